// Dictionaries.
//
// Insertion-ordered: entries in one dense array, and an open-addressing table of Int32 indices into
// it (CPython's probe sequence). Equal interned strings are one object, so most
// look-ups of names end at a pointer comparison; int keys compare as bits. A deleted entry keeps
// its place with an undefined key until the next rebuild. `keysVersion` changes when a key appears
// or disappears; the virtual machine's caches of globals rely on it, and on entries keeping their
// index while it is unchanged.
//
// Every look-up that may call user code (`__eq__`, `__hash__`) re-reads the table afterwards.
import Glibc

struct DictEntry {
  var hash: Int
  var key: Value
  var value: Value
}

struct DictBody {
  var h: Header
  var entries: UnsafeMutablePointer<DictEntry>
  var indices: UnsafeMutablePointer<Int32>
  /// Number of entries, deleted ones included.
  var used: Int
  /// Number of live entries: `len`.
  var count: Int
  /// Table size minus one; -1 before the first insertion.
  var mask: Int
  var capacity: Int
  /// Table slots that are not empty, deleted ones included; below `capacity`, so probes end.
  var fill: Int
  var keysVersion: UInt32
}

func makeDict() -> Value {
  let p = allocateObject(MemoryLayout<DictBody>.size).bindMemory(to: DictBody.self, capacity: 1)
  p.initialize(
    to: DictBody(
      h: Header(.dict), entries: UnsafeMutablePointer(bitPattern: 16).unsafelyUnwrapped,
      indices: UnsafeMutablePointer(bitPattern: 16).unsafelyUnwrapped, used: 0, count: 0, mask: -1,
      capacity: 0, fill: 0, keysVersion: freshVersion()))
  return Value(.dict, p)
}

/// With room for so many entries.
func makeDict(count: Int) -> Value {
  let d = makeDict()
  if count > 5 {
    var size = 16
    while size * 2 / 3 < count { size *= 2 }
    d.dict.resize(size)
  }
  return d
}

private func freeTables(
  _ entries: UnsafeMutablePointer<DictEntry>, _ capacity: Int,
  _ indices: UnsafeMutablePointer<Int32>, _ mask: Int
) {
  freeStorage(entries, capacity * MemoryLayout<DictEntry>.stride)
  freeStorage(indices, (mask + 1) * 4)
}

/// The slots that a hash visits: CPython's sequence, so that ints in a row lie in a row.
private struct Probe {
  private var perturb: UInt
  private(set) var slot: Int
  private let mask: Int
  @inline(__always) init(_ hash: Int, _ mask: Int) {
    perturb = UInt(bitPattern: hash)
    slot = hash & mask
    self.mask = mask
  }
  @inline(__always) mutating func next() {
    perturb >>= 5
    slot = (slot &* 5 &+ Int(bitPattern: perturb) &+ 1) & mask
  }
}

extension UnsafeMutablePointer where Pointee == DictBody {
  func destroyContents() {
    if pointee.mask < 0 { return }
    let n = pointee.used
    let e = pointee.entries
    let table = pointee.indices
    let capacity = pointee.capacity
    let mask = pointee.mask
    pointee.used = 0
    pointee.count = 0
    pointee.mask = -1
    pointee.capacity = 0
    pointee.fill = 0
    pointee.keysVersion = freshVersion()
    for i in 0..<n where !e[i].key.isUndefined {
      e[i].key.release()
      e[i].value.release()
    }
    freeTables(e, capacity, table, mask)
  }
  func clear() { destroyContents() }

  // Most look-ups end at the first slot: those are short enough to stand wherever one is needed, the rest is out of line.

  /// The entry index of an int key, -1 when absent, -2 when only `find` can tell.
  @inline(__always) func findInt(_ bits: UInt64, _ hash: Int) -> Int {
    let mask = pointee.mask
    if mask < 0 { return -1 }
    let x = Int(pointee.indices[hash & mask])
    if x >= 0 {
      let e = pointee.entries + x
      if e.pointee.key.bits == bits, e.pointee.key.tag == .int { return x }
    } else if x == -1 {
      return -1
    }
    return findIntFurther(bits, hash)
  }
  /// The same for a str.
  @inline(__always) func findStr(_ s: StrPtr) -> Int {
    let mask = pointee.mask
    if mask < 0 { return -1 }
    let hash = s.hashValue64
    let x = Int(pointee.indices[hash & mask])
    if x >= 0 {
      let e = pointee.entries + x
      if e.pointee.key.bits == UInt64(UInt(bitPattern: s)), e.pointee.key.tag == .str { return x }
    } else if x == -1 {
      return -1
    }
    return findStrFurther(s, hash)
  }
  @inline(never) private func findIntFurther(_ bits: UInt64, _ hash: Int) -> Int {
    var probe = Probe(hash, pointee.mask)
    let entries = pointee.entries
    let indices = pointee.indices
    while true {
      let x = Int(indices[probe.slot])
      if x == -1 { return -1 }
      if x >= 0, entries[x].hash == hash {
        let k = entries[x].key
        if k.tag == .int, k.bits == bits { return x }
        if k.tag != .int, k.tag != .str { return -2 }
      }
      probe.next()
    }
  }
  @inline(never) private func findStrFurther(_ s: StrPtr, _ hash: Int) -> Int {
    var probe = Probe(hash, pointee.mask)
    let entries = pointee.entries
    let indices = pointee.indices
    while true {
      let x = Int(indices[probe.slot])
      if x == -1 { return -1 }
      if x >= 0 {
        let e = entries + x
        if e.pointee.hash == hash {
          if e.pointee.key.tag == .str {
            if e.pointee.key.str.equals(s) { return x }
          } else if e.pointee.key.kind == .str || e.pointee.key.tag == .instance {
            return -2
          }
        }
      }
      probe.next()
    }
  }
  /// `findStr` out of line: the entry, -1 when absent, -2 when only `find` can tell.
  @inline(never) func findString(_ s: StrPtr) -> Int { findStr(s) }
  /// Entry index or -1. Borrowed key. May run user code.
  func find(_ key: Value, _ hash: Int) throws(LullError) -> Int {
    if key.tag == .str {
      let r = findStr(key.str)
      if r != -2 { return r }
    } else if key.tag == .int {
      let r = findInt(key.bits, hash)
      if r != -2 { return r }
    }
    restart: while true {
      let mask = pointee.mask
      if mask < 0 { return -1 }
      var probe = Probe(hash, mask)
      while true {
        let x = Int(pointee.indices[probe.slot])
        if x == -1 { return -1 }
        if x >= 0, pointee.entries[x].hash == hash {
          let k = pointee.entries[x].key
          if k.isSame(key) { return x }
          let entries = pointee.entries
          let version = pointee.keysVersion
          k.retained()
          let equal = try equalsReleasing(k, key)
          if pointee.keysVersion != version || pointee.entries != entries { continue restart }
          if equal { return x }
        }
        probe.next()
      }
    }
  }
  private func equalsReleasing(_ k: Value, _ key: Value) throws(LullError) -> Bool {
    do throws(LullError) {
      let r = try valuesEqual(k, key)
      k.release()
      return r
    } catch {
      k.release()
      throw error
    }
  }

  /// Look-up by an interned or any str; never runs user code. Borrowed result.
  @inline(__always) func get(_ s: StrPtr) -> Value? {
    let x = findStr(s)
    return x >= 0 ? pointee.entries[x].value : nil
  }
  @inline(__always) func get(_ key: Value) -> Value? { get(key.str) }
  func get(_ name: String) -> Value? { get(internedPointer(name)) }

  /// Look-up of any key; borrowed result.
  @inline(__always) func lookup(_ key: Value) throws(LullError) -> Value? {
    var x = -2
    if key.tag == .str {
      x = findStr(key.str)
    } else if key.tag == .int {
      x = findInt(key.bits, hashInt(key.asInt))
    }
    if x == -2 { x = try find(key, try hashOf(key)) }
    return x >= 0 ? pointee.entries[x].value : nil
  }

  /// Stores under a str key (borrowed, retained here); consumes the value. No user code runs.
  func set(_ key: Value, _ value: Value) {
    let s = key.str
    let x = findStr(s)
    if x >= 0 {
      let old = pointee.entries[x].value
      pointee.entries[x].value = value
      old.release()
    } else {
      insertNew(key.retained(), s.hashValue64, value)
    }
  }
  func set(_ name: String, _ value: Value) { set(interned(name), value) }

  /// Stores under any key (borrowed); consumes the value, also when it throws.
  func store(_ key: Value, _ value: Value) throws(LullError) {
    do throws(LullError) {
      let hash = try hashOf(key)
      var x = -2
      if key.tag == .str {
        x = findStr(key.str)
      } else if key.tag == .int {
        x = findInt(key.bits, hash)
      }
      if x == -2 { x = try find(key, hash) }
      if x >= 0 {
        let old = pointee.entries[x].value
        pointee.entries[x].value = value
        old.release()
      } else {
        insertNew(key.retained(), hash, value)
      }
    } catch {
      value.release()
      throw error
    }
  }

  /// Appends an entry whose key is known to be absent; consumes both.
  func insertNew(_ key: Value, _ hash: Int, _ value: Value) {
    if pointee.used >= pointee.capacity || pointee.fill >= pointee.capacity { rebuild() }
    let n = pointee.used
    (pointee.entries + n).initialize(to: DictEntry(hash: hash, key: key, value: value))
    pointee.used = n + 1
    pointee.count += 1
    pointee.keysVersion = freshVersion()
    let mask = pointee.mask
    var probe = Probe(hash, mask)
    while pointee.indices[probe.slot] >= 0 { probe.next() }
    if pointee.indices[probe.slot] == -1 { pointee.fill += 1 }
    pointee.indices[probe.slot] = Int32(truncatingIfNeeded: n)
  }

  private func rebuild() {
    let live = pointee.count
    var size = 8
    while size * 2 < (live + 1) * 3 + live { size *= 2 }
    resize(size)
  }
  /// Rebuilds with a table of `size` (a power of two); drops deleted entries.
  fileprivate func resize(_ size: Int) {
    let capacity = size * 2 / 3
    let new = allocateStorage(capacity * MemoryLayout<DictEntry>.stride)
      .bindMemory(to: DictEntry.self, capacity: capacity)
    let table = allocateStorage(size * 4).bindMemory(to: Int32.self, capacity: size)
    memset(table, 0xFF, size * 4)
    var n = 0
    let mask = size - 1
    for i in 0..<pointee.used where !pointee.entries[i].key.isUndefined {
      new[n] = pointee.entries[i]
      var probe = Probe(new[n].hash, mask)
      while table[probe.slot] >= 0 { probe.next() }
      table[probe.slot] = Int32(truncatingIfNeeded: n)
      n += 1
    }
    if pointee.mask >= 0 {
      freeTables(pointee.entries, pointee.capacity, pointee.indices, pointee.mask)
    }
    pointee.entries = new
    pointee.indices = table
    pointee.used = n
    pointee.fill = n
    pointee.mask = mask
    pointee.capacity = capacity
    pointee.keysVersion = freshVersion()
  }

  /// Removes entry `x`; the key is released, the value returned (owned).
  func removeEntry(_ x: Int) -> Value {
    let e = pointee.entries[x]
    let mask = pointee.mask
    var probe = Probe(e.hash, mask)
    while Int(pointee.indices[probe.slot]) != x { probe.next() }
    pointee.indices[probe.slot] = -2
    pointee.entries[x].key = .undefined
    pointee.entries[x].value = .undefined
    pointee.count -= 1
    pointee.keysVersion = freshVersion()
    if x == pointee.used - 1 {
      var n = x
      while n > 0, pointee.entries[n - 1].key.isUndefined { n -= 1 }
      pointee.used = n
      if n == 0 {
        memset(pointee.indices, 0xFF, (mask + 1) * 4)
        pointee.fill = 0
      }
    }
    e.key.release()
    return e.value
  }
  /// Removes a key; nil when absent; the value is owned by the caller.
  func remove(_ key: Value) throws(LullError) -> Value? {
    let x = try find(key, try hashOf(key))
    return x >= 0 ? removeEntry(x) : nil
  }
  func copy() -> Value {
    let new = makeDict()
    let d = new.dict
    if pointee.count > 0 {
      var size = 8
      while size * 2 < (pointee.count + 1) * 3 { size *= 2 }
      d.resize(size)
    }
    for i in 0..<pointee.used where !pointee.entries[i].key.isUndefined {
      let e = pointee.entries[i]
      d.insertNew(e.key.retained(), e.hash, e.value.retained())
    }
    return new
  }
  /// Adds all entries of `o`.
  func merge(_ o: DictPtr) throws(LullError) {
    var i = 0
    while i < o.pointee.used {
      let e = o.pointee.entries[i]
      i += 1
      if e.key.isUndefined { continue }
      // User code that `find` runs may empty `o`.
      e.key.retained()
      e.value.retained()
      defer {
        e.key.release()
        e.value.release()
      }
      let x = try find(e.key, e.hash)
      if x >= 0 {
        let old = pointee.entries[x].value
        pointee.entries[x].value = e.value.retained()
        old.release()
      } else {
        insertNew(e.key.retained(), e.hash, e.value.retained())
      }
    }
  }
  /// Live keys, borrowed.
  var keys: [Value] {
    var out: [Value] = []
    out.reserveCapacity(pointee.count)
    for i in 0..<pointee.used where !pointee.entries[i].key.isUndefined {
      out.append(pointee.entries[i].key)
    }
    return out
  }
}
