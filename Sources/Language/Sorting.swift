// Sorting lists.
//
// Keys are taken apart once: ints and floats become one ordered 64-bit word, strs and tuples a word
// that decides most comparisons (the first eight bytes, the first item) with the whole key behind
// it. Words and positions lie together, so that the merge touches no object unless words are equal.
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
/// The first eight bytes, the first one highest.
@inline(__always) private func word(_ s: StrPtr) -> UInt64 {
  let n = s.pointee.byteCount
  let b = UnsafeRawPointer(s.bytes)
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
      entries[i].word = x.tag == .int ? word(x.asInt) : x.tag == .str ? word(x.str) : word(x.asDouble)
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

/// Stable sort in place. The list is emptied while user code may run, as in CPython.
func sortList(_ l: ListPtr, key: Value, reverse: Bool) throws(LullError) {
  var items = l.array
  if items.count < 2, key.isNone { return }
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
  // Stability under `reverse`: reverse, sort, reverse.
  if reverse { entries.reverse() }
  var failure: LullError?
  switch kind {
  case .word: mergeSort(&entries) { $0.word < $1.word }
  case .str:
    keys.withUnsafeBufferPointer { k in
      mergeSort(&entries) { x, y in
        if x.word != y.word { return x.word < y.word }
        return k[x.index].str.compare(k[y.index].str) < 0
      }
    }
  case .tuple:
    keys.withUnsafeBufferPointer { k in
      mergeSort(&entries) { x, y in
        if x.word != y.word { return x.word < y.word }
        return tupleLess(k[x.index].tuple, k[y.index].tuple)
      }
    }
  case .general:
    mergeSort(&entries) { x, y in
      if failure != nil { return false }
      do throws(LullError) {
        let r = try compare(.less, keys[x.index], keys[y.index])
        return r.tag == .bool ? r.asBool : try truthReleasing(r)
      } catch {
        failure = error
        return false
      }
    }
  }
  if reverse { entries.reverse() }
  let sorted = failure == nil ? entries.map { items[$0.index] } : items
  items = []
  let changed = l.pointee.count > 0
  restore(sorted)
  for k in ownedKeys { k.release() }
  if let failure { throw failure }
  if changed { throw LullError.valueError("list modified during sort") }
}

/// Merge sort with insertion sort on short runs; finds a sorted or strictly falling input in one
/// pass. Stable.
@inline(__always) private func mergeSort(
  _ a: inout [SortEntry], _ less: (SortEntry, SortEntry) -> Bool
) {
  let n = a.count
  if n < 2 { return }
  a.withUnsafeMutableBufferPointer { buffer in
    guard let p = buffer.baseAddress else { return }
    var ordered = 1
    if less(p[1], p[0]) {
      ordered = 2
      while ordered < n, less(p[ordered], p[ordered - 1]) { ordered += 1 }
      if ordered == n {
        buffer.reverse()
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
