// Sorting lists.
//
// Keys are taken apart once: ints and floats become one ordered 64-bit word, strs and tuples a word
// that decides most comparisons (the first eight bytes, the first item) with the whole key behind
// it. Words and positions lie together and are sorted byte by byte (or merged, when there are few);
// runs of equal words are then sorted by the words that follow.
// Anything else compares through the language, where every comparison may run user code; the list
// is empty meanwhile, as in CPython.

private struct SortEntry {
  var word: UInt64
  var index: Int
}

/// Order-preserving map of ints and floats to unsigned words.
@inline(__always) private func word(_ i: Int) -> UInt64 {
  UInt64(bitPattern: Int64(i)) ^ (1 << 63)
}
@inline(__always) private func word(_ d: Double) -> UInt64 {
  let b = (d == 0 ? 0.0 : d).bitPattern
  return b >> 63 == 0 ? b | 1 << 63 : ~b
}
/// Eight bytes from an offset, the first one highest; zeros past the end.
@inline(__always) private func word(_ s: StrPtr, from offset: Int = 0) -> UInt64 {
  let n = s.pointee.byteCount - offset
  if n <= 0 { return 0 }
  let b = UnsafeRawPointer(s.bytes) + offset
  if n >= 8 { return UInt64(bigEndian: b.loadUnaligned(as: UInt64.self)) }
  var w: UInt64 = 0
  for i in 0..<8 {
    w = w << 8 | (i < n ? UInt64(b.load(fromByteOffset: i, as: UInt8.self)) : 0)
  }
  return w
}

private enum SortKind {
  case word, str, tuple, general
}

/// How the keys compare, with their words when that is known without user code.
private func classify(_ keys: [Value], _ entries: inout [SortEntry]) -> SortKind {
  let first = keys[0].tag
  for k in keys where k.tag != first { return .general }
  switch first {
  case .int, .bool:
    for i in 0..<keys.count { entries[i].word = word(keys[i].asInt) }
    return .word
  case .float:
    for k in keys where k.asDouble.isNaN { return .general }
    for i in 0..<keys.count { entries[i].word = word(keys[i].asDouble) }
    return .word
  case .str:
    for i in 0..<keys.count { entries[i].word = word(keys[i].str) }
    return .str
  case .tuple:
    guard let length = keys[0].asTuple?.pointee.count, length > 0 else { return .general }
    let head = keys[0].tuple.items[0].tag
    for k in keys {
      let t = k.tuple
      if t.pointee.count == 0 || t.items[0].tag != head { return .general }
      for i in 0..<t.pointee.count {
        let x = t.items[i]
        if i < length, x.tag != keys[0].tuple.items[i].tag { return .general }
        switch x.tag {
        case .int, .str: break
        case .float: if x.asDouble.isNaN { return .general }
        default: return .general
        }
        if i >= length { return .general }
      }
    }
    for i in 0..<keys.count {
      let x = keys[i].tuple.items[0]
      entries[i].word =
        x.tag == .int ? word(x.asInt) : x.tag == .str ? word(x.str) : word(x.asDouble)
    }
    return .tuple
  default: return .general
  }
}

/// `a < b` for tuples of ints, floats and strs whose types agree place by place.
private func tupleLess(_ a: UnsafeMutablePointer<TupleBody>, _ b: UnsafeMutablePointer<TupleBody>)
  -> Bool
{
  let n = min(a.pointee.count, b.pointee.count)
  for k in 0..<n {
    let x = a.items[k]
    let y = b.items[k]
    switch x.tag {
    case .int: if x.asInt != y.asInt { return x.asInt < y.asInt }
    case .float: if x.asDouble != y.asDouble { return x.asDouble < y.asDouble }
    default:
      let c = x.str.compare(y.str)
      if c != 0 { return c < 0 }
    }
  }
  return a.pointee.count < b.pointee.count
}

/// Sorts few ints, floats or strs where they are, by insertion; false when other items are among them.
private func sortFew(_ l: ListPtr, _ reverse: Bool) -> Bool {
  let n = l.pointee.count
  if n < 2 { return true }
  let p = l.pointee.items
  let tag = p[0].tag
  if tag != .int, tag != .float, tag != .str { return false }
  for i in 0..<n where p[i].tag != tag || tag == .float && p[i].asDouble.isNaN { return false }
  func less(_ a: Value, _ b: Value) -> Bool {
    switch tag {
    case .int: a.asInt < b.asInt
    case .float: a.asDouble < b.asDouble
    default: a.str.compare(b.str) < 0
    }
  }
  for i in 1..<n {
    let x = p[i]
    var j = i
    while j > 0, reverse ? less(p[j - 1], x) : less(x, p[j - 1]) {
      p[j] = p[j - 1]
      j -= 1
    }
    p[j] = x
  }
  return true
}

/// Stable sort in place. The list is emptied while user code may run, as in CPython.
func sortList(_ l: ListPtr, key: Value, reverse: Bool) throws(LullError) {
  if key.isNone, l.pointee.count <= 12, sortFew(l, reverse) { return }
  var items = l.array
  l.pointee.count = 0
  func restore(_ v: [Value]) {
    let foreign = l.array
    l.pointee.count = 0
    for x in v { l.append(x) }
    for x in foreign { x.release() }
  }
  var keys = items
  var ownedKeys: [Value] = []
  if !key.isNone {
    ownedKeys.reserveCapacity(items.count)
    do throws(LullError) {
      for x in items { ownedKeys.append(try call1(key, x)) }
    } catch {
      for k in ownedKeys { k.release() }
      restore(items)
      throw error
    }
    keys = ownedKeys
  }
  let n = items.count
  var entries = [SortEntry](repeating: SortEntry(word: 0, index: 0), count: n)
  for i in 0..<n { entries[i].index = i }
  let kind = n == 0 ? .word : classify(keys, &entries)
  // Without user code nothing else asks.
  func stopWhenInterrupted() throws(LullError) {
    guard vm.pointee.interruptFlag == Request.interrupt else { return }
    for k in ownedKeys { k.release() }
    restore(items)
    try interrupted()
  }
  try stopWhenInterrupted()
  // Stability under `reverse`: reverse, sort, reverse.
  if reverse { entries.reverse() }
  var failure: LullError?
  switch kind {
  case .word, .str, .tuple:
    keys.withUnsafeBufferPointer { k in
      entries.withUnsafeMutableBufferPointer { e in
        guard let k = k.baseAddress, let e = e.baseAddress else { return }
        sortByWord(e, n, k, kind, level: 0)
      }
    }
  case .general:
    // Plain instances of one class: its `__lt__` is looked up once.
    var lessMethod = Value.undefined
    if keys[0].tag == .instance {
      let type = keys[0].type
      let f = type.lookup(.__lt__)
      if f.tag == .function, !keys.contains(where: { $0.tag != .instance || $0.type != type }) {
        lessMethod = f.retained()
      }
    }
    defer { lessMethod.release() }
    // Read without bounds, which the entries keep: they are the places of the keys.
    let k = UnsafeMutablePointer<Value>.allocate(capacity: n)
    defer { k.deallocate() }
    for i in 0..<n { (k + i).initialize(to: keys[i]) }
    func less(_ x: SortEntry, _ y: SortEntry) -> Bool {
      if failure != nil { return false }
      do throws(LullError) {
        if !lessMethod.isUndefined {
          let r = try call2(lessMethod, k[x.index], k[y.index])
          if r.tag == .bool { return r.asBool }
          if !r.isNotImplemented { return try truthReleasing(r) }
        }
        let r = try compare(.less, k[x.index], k[y.index])
        return r.tag == .bool ? r.asBool : try truthReleasing(r)
      } catch {
        failure = error
        return false
      }
    }
    if n < 64 { binarySort(&entries, { failure != nil }, less) } else { mergeSort(&entries, less) }
  }
  if failure == nil { try stopWhenInterrupted() }
  if reverse { entries.reverse() }
  let sorted = entries.map { items[$0.index] }
  items = []
  let changed = l.pointee.count > 0
  restore(sorted)
  for k in ownedKeys { k.release() }
  if let failure { throw failure }
  if changed { throw LullError.valueError("list modified during sort") }
}

/// Sorts by words; entries whose words agree are sorted by the next eight bytes of the string or the
/// next item of the tuple, so that each object is read once a level and not once a comparison.
/// Short runs, and what is left after a few levels, compare whole keys.
private func sortByWord(
  _ e: UnsafeMutablePointer<SortEntry>, _ n: Int, _ keys: UnsafePointer<Value>, _ kind: SortKind,
  level: Int
) {
  if n < 2 { return }
  if n <= 16 || level == 4 {
    switch kind {
    case .str:
      mergeSort(e, n) { x, y in
        x.word != y.word
          ? x.word < y.word : keys[x.index].str.compare(keys[y.index].str) < 0
      }
    case .tuple:
      mergeSort(e, n) { x, y in
        x.word != y.word
          ? x.word < y.word : tupleLess(keys[x.index].tuple, keys[y.index].tuple)
      }
    default: mergeSort(e, n) { $0.word < $1.word }
    }
    return
  }
  if n < 256 { mergeSort(e, n) { $0.word < $1.word } } else { radixSort(e, n) }
  if kind == .word { return }
  var start = 0
  while start < n {
    var end = start + 1
    while end < n, e[end].word == e[start].word { end += 1 }
    if end - start > 1 {
      let run = e + start
      let count = end - start
      let next = count > 16 ? nextWords(run, count, keys, kind, level: level + 1) : false
      sortByWord(run, count, keys, kind, level: next ? level + 1 : 4)
    }
    start = end
  }
}

/// Replaces the words of a run by those of the next level; false (and unchanged) when the rest of
/// the keys is not decided by such words alone.
private func nextWords(
  _ e: UnsafeMutablePointer<SortEntry>, _ n: Int, _ keys: UnsafePointer<Value>, _ kind: SortKind,
  level: Int
) -> Bool {
  if kind == .str {
    let offset = level * 8
    var longer = false
    for i in 0..<n where keys[e[i].index].str.pointee.byteCount > offset {
      longer = true
      break
    }
    if !longer { return false }
    for i in 0..<n { e[i].word = word(keys[e[i].index].str, from: offset) }
    return true
  }
  // The item that was compared must be equal where its words are.
  let tag = keys[e[0].index].tuple.items[level - 1].tag
  if tag == .str { return false }
  for i in 0..<n where keys[e[i].index].tuple.pointee.count <= level { return false }
  for i in 0..<n {
    let x = keys[e[i].index].tuple.items[level]
    e[i].word = x.tag == .int ? word(x.asInt) : x.tag == .str ? word(x.str) : word(x.asDouble)
  }
  return true
}

/// Least significant byte first, over the bytes in which the words differ. Stable.
private func radixSort(_ e: UnsafeMutablePointer<SortEntry>, _ n: Int) {
  var ordered = 1
  while ordered < n, e[ordered - 1].word <= e[ordered].word { ordered += 1 }
  if ordered == n { return }
  var all: UInt64 = .max
  var any: UInt64 = 0
  for i in 0..<n {
    all &= e[i].word
    any |= e[i].word
  }
  let varying = all ^ any
  let scratch = UnsafeMutablePointer<SortEntry>.allocate(capacity: n)
  let places = UnsafeMutablePointer<Int>.allocate(capacity: 256)
  defer {
    scratch.deallocate()
    places.deallocate()
  }
  var from = e
  var to = scratch
  var shift: UInt64 = 0
  while shift < 64, vm.pointee.interruptFlag != Request.interrupt {
    if varying >> shift & 0xFF != 0 {
      places.initialize(repeating: 0, count: 256)
      for i in 0..<n { places[Int(from[i].word >> shift & 0xFF)] &+= 1 }
      var sum = 0
      for b in 0..<256 {
        let count = places[b]
        places[b] = sum
        sum &+= count
      }
      var i = 0
      while i < n {
        let end = min(n, i + (1 << 18))
        while i < end {
          let x = from[i]
          let b = Int(x.word >> shift & 0xFF)
          to[places[b]] = x
          places[b] &+= 1
          i += 1
        }
        // The list is put back as it was.
        if vm.pointee.interruptFlag == Request.interrupt { return }
      }
      swap(&from, &to)
    }
    shift += 8
  }
  if from != e { e.update(from: from, count: n) }
}

/// Binary insertion behind the first run, with the comparisons that CPython makes, in its order: they may print, or
/// fail for some pairs only. `failed` ends it.
private func binarySort(
  _ a: inout [SortEntry], _ failed: () -> Bool, _ less: (SortEntry, SortEntry) -> Bool
) {
  let n = a.count
  if n < 2 { return }
  var ordered = 2
  if less(a[1], a[0]) {
    while ordered < n, less(a[ordered], a[ordered - 1]) { ordered += 1 }
    if failed() { return }
    a[..<ordered].reverse()
  } else {
    while ordered < n, !failed(), !less(a[ordered], a[ordered - 1]) { ordered += 1 }
    if failed() { return }
  }
  while ordered < n {
    let pivot = a[ordered]
    var low = 0
    var high = ordered
    while low < high {
      let middle = (low + high) >> 1
      if less(pivot, a[middle]) { high = middle } else { low = middle + 1 }
      if failed() { return }
    }
    var j = ordered
    while j > low {
      a[j] = a[j - 1]
      j -= 1
    }
    a[low] = pivot
    ordered += 1
  }
}

/// Merge sort with insertion sort on short runs; finds a sorted or strictly falling input in one
/// pass. Stable.
@inline(__always) private func mergeSort(
  _ a: inout [SortEntry], _ less: (SortEntry, SortEntry) -> Bool
) {
  a.withUnsafeMutableBufferPointer { buffer in
    if let p = buffer.baseAddress { mergeSort(p, buffer.count, less) }
  }
}
@inline(__always) private func mergeSort(
  _ p: UnsafeMutablePointer<SortEntry>, _ n: Int, _ less: (SortEntry, SortEntry) -> Bool
) {
  if n < 2 { return }
  do {
    var ordered = 1
    if less(p[1], p[0]) {
      ordered = 2
      while ordered < n, less(p[ordered], p[ordered - 1]) { ordered += 1 }
      if ordered == n {
        var all = UnsafeMutableBufferPointer(start: p, count: n)
        all.reverse()
        return
      }
    } else {
      while ordered < n, !less(p[ordered], p[ordered - 1]) { ordered += 1 }
      if ordered == n { return }
    }
    let run = 12
    var s = 0
    while s < n {
      let e = min(s + run, n)
      var i = s + 1
      while i < e {
        let x = p[i]
        var j = i
        while j > s, less(x, p[j - 1]) {
          p[j] = p[j - 1]
          j -= 1
        }
        p[j] = x
        i += 1
      }
      s = e
    }
    let scratch = UnsafeMutablePointer<SortEntry>.allocate(capacity: n)
    defer { scratch.deallocate() }
    var width = run
    while width < n {
      var lo = 0
      while lo + width < n {
        let mid = lo + width
        let hi = min(mid + width, n)
        if less(p[mid], p[mid - 1]) {
          let m = mid - lo
          scratch.update(from: p + lo, count: m)
          var i = 0
          var j = mid
          var k = lo
          while i < m, j < hi {
            let x = p[j]
            let y = scratch[i]
            let takesRight = less(x, y)
            p[k] = takesRight ? x : y
            j &+= takesRight ? 1 : 0
            i &+= takesRight ? 0 : 1
            k &+= 1
          }
          (p + k).update(from: scratch + i, count: m - i)
        }
        lo = hi
      }
      width *= 2
    }
  }
}
