// Sets: CPython's own table (open addressing, nine linear probes, then a perturbed jump), so that
// sets of ints print in the same order as there. `set` and `frozenset` share the layout; the
// header's frozen flag tells them apart.
import Glibc

struct SetEntry {
  var hash: Int
  /// Undefined when empty; hash is -1 then if the slot was never used (dummy: hash -2).
  var key: Value
}

struct SetBody {
  var h: Header
  var table: UnsafeMutablePointer<SetEntry>
  var mask: Int
  /// Used and dummy slots.
  var fill: Int
  var count: Int
  var version: UInt32
  /// Where `pop` looks first: behind what it took last.
  var finger: UInt32 = 0
}

func makeSet(frozen: Bool = false) -> Value {
  let p = allocateObject(MemoryLayout<SetBody>.size).bindMemory(to: SetBody.self, capacity: 1)
  p.initialize(
    to: SetBody(
      h: Header(
        .set, frozen ? core.pointee.frozensetType : typeTable[Int(Tag.set.rawValue)],
        flags: frozen ? Header.flagFrozen : 0),
      table: newSetTable(8), mask: 7, fill: 0, count: 0, version: 0))
  return Value(.set, p)
}

private func newSetTable(_ size: Int) -> UnsafeMutablePointer<SetEntry> {
  let t = allocateStorage(size * MemoryLayout<SetEntry>.stride)
    .bindMemory(to: SetEntry.self, capacity: size)
  t.initialize(repeating: SetEntry(hash: -1, key: .undefined), count: size)
  return t
}

private func freeSetTable(_ table: UnsafeMutablePointer<SetEntry>, _ mask: Int) {
  freeStorage(table, (mask + 1) * MemoryLayout<SetEntry>.stride)
}

private func insertClean(
  _ table: UnsafeMutablePointer<SetEntry>, _ mask: Int, _ e: SetEntry
) {
  var perturb = UInt(bitPattern: e.hash)
  var i = Int(bitPattern: UInt(bitPattern: e.hash) & UInt(mask))
  while true {
    if table[i].key.isUndefined {
      table[i] = e
      return
    }
    if i + 9 <= mask {
      for j in 1...9 where table[i + j].key.isUndefined {
        table[i + j] = e
        return
      }
    }
    perturb >>= 5
    i = Int(bitPattern: (UInt(i) &* 5 &+ 1 &+ perturb) & UInt(mask))
  }
}

extension UnsafeMutablePointer where Pointee == SetBody {
  var isFrozen: Bool { pointee.h.flags & Header.flagFrozen != 0 }

  func destroyContents() {
    let t = pointee.table
    let mask = pointee.mask
    if pointee.count > 0 { for i in 0...mask { t[i].key.release() } }
    freeSetTable(t, mask)
  }

  /// Slot of the key, or the slot where it would be inserted (key undefined there).
  @inline(__always) func find(_ key: Value, _ hash: Int) throws(LullError) -> Int {
    if key.tag == .int || key.tag == .str {
      let i = findPlain(key, hash)
      if i != -2 { return i }
    }
    var passed = -1
    return try findAny(key, hash, &passed)
  }
  /// The same for an int or str key, when no other class is on the way; else -2. Runs no user code.
  /// The first slot decides most look-ups; -1 is no element's hash: one comparison tells an unused slot.
  @inline(__always) func findPlain(_ key: Value, _ hash: Int) -> Int {
    let i = hash & pointee.mask
    let e = pointee.table + i
    if e.pointee.hash == -1 { return i }
    if e.pointee.key.isSame(key) { return i }
    return key.tag == .int ? findIntFurther(key.bits, hash) : findStrFurther(key.str, hash)
  }
  /// For the machine, which has no use for the slot that an insertion would take.
  /// The slots on the way of a hash, until an unused one or an answer of `test` (which sees the elements with this hash
  /// and removed ones): found (true), another (false), or nil for what only `findAny` can tell (-2).
  @inline(__always) private func probe(_ hash: Int, _ test: (Value) -> Bool?) -> Int {
    let mask = pointee.mask
    let table = pointee.table
    var perturb = UInt(bitPattern: hash)
    var i = hash & mask
    while true {
      var e = table + i
      var left = i &+ 9 <= mask ? 10 : 1
      repeat {
        let h = e.pointee.hash
        if h == hash {
          guard let found = test(e.pointee.key) else { return -2 }
          if found { return e - table }
        } else if h == -1 {
          return e - table
        }
        e += 1
        left &-= 1
      } while left != 0
      perturb >>= 5
      i = Int(bitPattern: UInt(bitPattern: i) &* 5 &+ 1 &+ perturb) & mask
    }
  }
  @inline(never) private func findIntFurther(_ bits: UInt64, _ hash: Int) -> Int {
    probe(hash) { k in
      if k.tag == .int { return k.bits == bits }
      return k.isUndefined || k.tag == .str ? false : nil
    }
  }
  @inline(never) private func findStrFurther(_ s: StrPtr, _ hash: Int) -> Int {
    probe(hash) { k in
      if k.tag == .str { return k.str.equals(s) }
      return k.isUndefined || k.tag == .int ? false : nil
    }
  }
  /// The last slot on the way from the hash to an unused one whose element was removed, or -1.
  @inline(never) private func lastRemoved(_ hash: Int) -> Int {
    let mask = pointee.mask
    let table = pointee.table
    var perturb = UInt(bitPattern: hash)
    var i = hash & mask
    var passed = -1
    while true {
      let last = i &+ 9 <= mask ? i &+ 9 : i
      var j = i
      while j <= last {
        let h = table[j].hash
        if h == -1 { return passed }
        if h == -2, table[j].key.isUndefined { passed = j }
        j &+= 1
      }
      perturb >>= 5
      i = Int(bitPattern: UInt(bitPattern: i) &* 5 &+ 1 &+ perturb) & mask
    }
  }
  /// `passed`: the last slot on the way whose element was removed, which an insertion takes.
  @inline(__always) private func find(_ key: Value, _ hash: Int, _ passed: inout Int)
    throws(LullError) -> Int
  {
    if key.tag == .int || key.tag == .str {
      let i = findPlain(key, hash)
      if i != -2 {
        if pointee.fill != pointee.count, pointee.table[i].key.isUndefined {
          passed = lastRemoved(hash)
        }
        return i
      }
    }
    return try findAny(key, hash, &passed)
  }
  @inline(never) private func findAny(_ key: Value, _ hash: Int, _ passed: inout Int)
    throws(LullError) -> Int
  {
    restart: while true {
      passed = -1
      let mask = pointee.mask
      let table = pointee.table
      var perturb = UInt(bitPattern: hash)
      var i = Int(bitPattern: UInt(bitPattern: hash) & UInt(mask))
      while true {
        var probes = i + 9 <= mask ? 9 : 0
        var j = i
        while true {
          let e = table[j]
          if e.key.isUndefined {
            if e.hash == -1 { return j }
            passed = j
          } else if e.hash == hash {
            if e.key.isSame(key) { return j }
            if e.key.tag == .str, key.tag == .str {
              if e.key.str.equals(key.str) { return j }
            } else if e.key.tag != .int || key.tag != .int {
              let version = pointee.version
              let k = e.key.retained()
              let equal: Bool
              do throws(LullError) {
                equal = try valuesEqual(k, key)
              } catch {
                k.release()
                throw error
              }
              k.release()
              if pointee.version != version || pointee.table != table { continue restart }
              if equal { return j }
            }
          }
          if probes == 0 { break }
          probes -= 1
          j += 1
        }
        perturb >>= 5
        i = Int(bitPattern: (UInt(i) &* 5 &+ 1 &+ perturb) & UInt(mask))
      }
    }
  }

  func contains(_ key: Value) throws(LullError) -> Bool {
    try has(key, try setHash(key))
  }
  func has(_ key: Value, _ hash: Int) throws(LullError) -> Bool {
    let i = try find(key, hash)
    return !pointee.table[i].key.isUndefined
  }
  /// A set as a key is looked up as the equal frozenset.
  @inline(__always) private func setHash(_ key: Value) throws(LullError) -> Int {
    if _slowPath(key.tag == .set) { return try frozenHash(key) }
    return try hashOf(key)
  }
  /// Adds a borrowed key.
  @inline(__always) func add(_ key: Value) throws(LullError) {
    try add(key, try hashOf(key))
  }
  func add(_ key: Value, _ hash: Int) throws(LullError) {
    var passed = -1
    let i = try find(key, hash, &passed)
    if !pointee.table[i].key.isUndefined { return }
    if passed >= 0 {
      pointee.table[passed] = SetEntry(hash: hash, key: key.retained())
      pointee.count += 1
      pointee.version &+= 1
      return
    }
    pointee.table[i] = SetEntry(hash: hash, key: key.retained())
    pointee.fill &+= 1
    pointee.count &+= 1
    pointee.version &+= 1
    if pointee.fill &* 5 >= pointee.mask &* 3 {
      resize(pointee.count > 50000 ? pointee.count * 2 : pointee.count * 4)
    }
  }
  @inline(never) func resize(_ minimum: Int) {
    var size = 8
    while size <= minimum { size <<= 1 }
    let new = newSetTable(size)
    let old = pointee.table
    for i in 0...pointee.mask where !old[i].key.isUndefined {
      insertClean(new, size - 1, old[i])
    }
    freeSetTable(old, pointee.mask)
    pointee.table = new
    pointee.mask = size - 1
    pointee.fill = pointee.count
    pointee.version &+= 1
  }
  /// Removes a key; false when absent.
  func remove(_ key: Value) throws(LullError) -> Bool {
    let i = try find(key, try setHash(key))
    let k = pointee.table[i].key
    if k.isUndefined { return false }
    pointee.table[i] = SetEntry(hash: -2, key: .undefined)
    pointee.count -= 1
    pointee.version &+= 1
    k.release()
    return true
  }
  /// Removes and returns some element (owned), or nil. As CPython it goes on behind the last one that it took.
  func pop() -> Value? {
    if pointee.count == 0 { return nil }
    let mask = pointee.mask
    var i = Int(pointee.finger) & mask
    while pointee.table[i].key.isUndefined { i = i == mask ? 0 : i &+ 1 }
    let k = pointee.table[i].key
    pointee.table[i] = SetEntry(hash: -2, key: .undefined)
    pointee.count -= 1
    pointee.finger = UInt32(truncatingIfNeeded: i &+ 1)
    pointee.version &+= 1
    return k
  }
  /// After many removals: a smaller table, when the removed ones take more than a quarter of it.
  func dropRemoved() {
    if pointee.fill - pointee.count > pointee.mask / 4 {
      resize(pointee.count > 50000 ? pointee.count * 2 : pointee.count * 4)
    }
  }
  func clear() {
    let t = pointee.table
    let m = pointee.mask
    pointee.table = newSetTable(8)
    pointee.mask = 7
    pointee.fill = 0
    pointee.count = 0
    pointee.version &+= 1
    for i in 0...m { t[i].key.release() }
    freeSetTable(t, m)
  }
  /// CPython's set_merge: same order as there.
  func merge(_ o: SetPtr) throws(LullError) {
    if o == self || o.pointee.count == 0 { return }
    if (pointee.fill + o.pointee.count) * 5 >= pointee.mask * 3 {
      resize((pointee.count + o.pointee.count) * 2)
    }
    if pointee.fill == 0, pointee.mask == o.pointee.mask, o.pointee.fill == o.pointee.count {
      for i in 0...pointee.mask {
        pointee.table[i] = o.pointee.table[i]
        pointee.table[i].key.retained()
      }
      pointee.fill = o.pointee.fill
      pointee.count = o.pointee.count
      pointee.version &+= 1
      return
    }
    if pointee.fill == 0 {
      for i in 0...o.pointee.mask where !o.pointee.table[i].key.isUndefined {
        let e = o.pointee.table[i]
        insertClean(pointee.table, pointee.mask, SetEntry(hash: e.hash, key: e.key.retained()))
      }
      pointee.fill = o.pointee.count
      pointee.count = o.pointee.count
      pointee.version &+= 1
      return
    }
    try o.eachElement { (e) throws(LullError) in try add(e.key, e.hash) }
  }
  /// CPython's set_update_internal: a set's table is merged, a dict's size is made room for at once.
  func update(_ o: Value) throws(LullError) {
    if o.kind == .set { return try merge(o.set) }
    if o.tag == .dict {
      let n = o.dict.pointee.count
      if (pointee.fill + n) * 5 >= pointee.mask * 3 { resize((pointee.count + n) * 2) }
    }
    try forEach(o) { (x) throws(LullError) in try add(x) }
  }
  /// Takes the elements of a set or of any iterable out, as CPython: the table may shrink behind it.
  func subtract(_ o: Value) throws(LullError) {
    if o.kind == .set {
      if o.set == self { return clear() }
      // Of a much larger set only what is here as well is looked up, in an order of its own.
      let common =
        o.set.pointee.count >> 3 > pointee.count
        ? try setIntersection(self, o.set, false) : o.retained()
      defer { common.release() }
      try common.set.eachElement { (e) throws(LullError) in _ = try remove(e.key) }
    } else {
      try forEach(o) { (x) throws(LullError) in _ = try remove(x) }
    }
    dropRemoved()
  }
  /// `^=` with a set or any iterable: of a dict the keys one by one, of another iterable its distinct elements.
  func toggle(_ o: Value) throws(LullError) {
    if o.kind == .set, o.set == self { return clear() }
    if o.tag == .dict {
      return try forEach(o) { (x) throws(LullError) in if !(try remove(x)) { try add(x) } }
    }
    let other = o.kind == .set ? o.retained() : try setFrom(o, frozen: false)
    defer { other.release() }
    try other.set.eachElement { (e) throws(LullError) in
      if !(try remove(e.key)) { try add(e.key, e.hash) }
    }
  }
  /// Calls `body` with each element that is there now; it may change the set.
  func eachElement(_ body: (SetEntry) throws(LullError) -> Void) throws(LullError) {
    let all = elements
    for e in all { e.key.retained() }
    defer { for e in all { e.key.release() } }
    for e in all { try body(e) }
  }
  /// Live entries, borrowed.
  var elements: [SetEntry] {
    var out: [SetEntry] = []
    out.reserveCapacity(pointee.count)
    for i in 0...pointee.mask where !pointee.table[i].key.isUndefined {
      out.append(pointee.table[i])
    }
    return out
  }
  func copy(frozen: Bool) -> Value {
    let s = makeSet(frozen: frozen)
    // Merging into an empty set compares nothing, so it cannot fail.
    do throws(LullError) { try s.set.merge(self) } catch {}
    return s
  }
}
