// Subscripts, containment, length.
import BigInt
import Glibc

public func length(_ v: Value) throws(LullError) -> Int {
  switch v.tag {
  case .str: return v.str.pointee.count
  case .list: return v.list.pointee.count
  case .tuple: return v.tuple.pointee.count
  case .dict: return v.dict.pointee.count
  case .set: return v.set.pointee.count
  default: return try lengthAny(v)
  }
}
@inline(never) private func lengthAny(_ v: Value) throws(LullError) -> Int {
  switch v.tag {
  case .range:
    if let big = v.range.pointee.big, big.count > BigInt(Int.max) {
      throw LullError.overflow("Python int too large to convert to C ssize_t")
    }
    return v.range.pointee.count
  case .bytes: return v.bytes.count
  case .dictView: return v.body(DictViewBody.self).pointee.dict.dict.pointee.count
  case .instance, .derived, .exception:
    let f = v.type.lookup(.__len__)
    if !f.isUndefined, f.tag != .builtin {
      let r = try callMethod(f, v)
      defer { r.release() }
      guard r.isIntOrBool else {
        if r.kind == .bigInt {
          throw LullError.overflow("cannot fit 'int' into an index-sized integer")
        }
        throw LullError.typeError(
          "'\(typeName(r))' object cannot be interpreted as an integer")
      }
      if r.asInt < 0 { throw LullError.valueError("__len__() should return >= 0") }
      return r.asInt
    }
  default: break
  }
  switch v.kind {
  case .str: return v.str.pointee.count
  case .list: return v.list.pointee.count
  case .tuple: return v.tuple.pointee.count
  case .dict: return v.dict.pointee.count
  case .set: return v.set.pointee.count
  case .bytes: return v.bytes.count
  case .native: if let slot = v.type.pointee.native?.len { return try slot(v) }
  default: break
  }
  throw LullError.typeError("object of type '\(typeName(v))' has no len()")
}

private func sequenceIndex(_ k: Value, _ length: @autoclosure () -> Int, _ what: String)
  throws(LullError) -> Int
{
  let i: Value
  do throws(LullError) { i = try indexValue(k) } catch {
    if isCustom(k), !k.type.lookup(.__index__).isUndefined { throw error }
    throw LullError.typeError(
      what == "string"
        ? "string indices must be integers, not '\(typeName(k))'"
        : "\(what) indices must be integers or slices, not \(typeName(k))")
  }
  defer { i.release() }
  guard i.tag == .int else {
    if what == "range" { throw LullError.index("range object index out of range") }
    throw LullError.index("cannot fit 'int' into an index-sized integer")
  }
  let n = length()
  let x = i.asInt < 0 ? i.asInt &+ n : i.asInt
  if x < 0 || x >= n {
    // Whole texts: none is put together for an error that a program may well catch.
    switch what {
    case "list": throw LullError.index("list index out of range")
    case "tuple": throw LullError.index("tuple index out of range")
    case "string": throw LullError.index("string index out of range")
    case "byte": throw LullError.index("index out of range")
    case "range": throw LullError.index("range object index out of range")
    default: throw LullError.index("\(what) index out of range")
    }
  }
  return x
}

/// `o[k]`, owned.
public func getItem(_ o: Value, _ k: Value) throws(LullError) -> Value {
  if o.tag == .str, k.tag == .slice, o.str.isASCII, let r = plainSlice(k, o.str.pointee.byteCount) {
    return sliceASCII(o.str, r.start, r.step, r.count)
  }
  if o.tag == .dict {
    if let v = try o.dict.lookup(k) { return v.retained() }
    throw keyError(k)
  }
  if o.tag == .instance || o.tag == .derived || o.tag == .exception {
    let f = o.type.lookup(.__getitem__)
    if f.tag == .builtin, let d = o.asDict,
      f.isSame(typeTable[Int(Tag.dict.rawValue)].lookup(.__getitem__))
    {
      if let v = try d.lookup(k) { return v.retained() }
      let m = o.type.lookup(.__missing__)
      if !m.isUndefined { return try callMethod(m, o, k) }
      throw keyError(k)
    }
    if !f.isUndefined {
      try checkNativeStack()
      return try callMethod(f, o, k)
    }
    if let d = o.asDict {
      if let v = try d.lookup(k) { return v.retained() }
      let m = o.type.lookup(.__missing__)
      if !m.isUndefined { return try callMethod(m, o, k) }
      throw keyError(k)
    }
  }
  switch o.kind {
  case .list:
    let l = o.list
    if k.kind == .slice {
      let s = try sliceIndices(k, length: l.pointee.count)
      let r = makeList(capacity: s.count)
      var i = s.start
      for _ in 0..<s.count {
        r.list.append(l.pointee.items[i].retained())
        i &+= s.step
      }
      return r
    }
    let i = try sequenceIndex(k, l.pointee.count, "list")
    return l.pointee.items[i].retained()
  case .tuple:
    let t = o.tuple
    if k.kind == .slice {
      let s = try sliceIndices(k, length: t.pointee.count)
      let r = makeTuple(uninitialized: s.count)
      var i = s.start
      for j in 0..<s.count {
        r.tuple.items[j] = t.items[i].retained()
        i &+= s.step
      }
      return r
    }
    return t.items[try sequenceIndex(k, t.pointee.count, "tuple")].retained()
  case .str:
    let s = o.str
    if k.kind == .slice {
      let r = try sliceIndices(k, length: s.pointee.count)
      if r.count == 0 { return emptyString.retained() }
      if r.step == 1 {
        let a = s.offset(of: r.start)
        let b = s.isASCII ? a + r.count : s.offset(of: r.start + r.count)
        return makeStr(s.bytes + a, b - a)
      }
      if s.isASCII {
        let v = makeStr(uninitialized: r.count)
        var i = r.start
        for j in 0..<r.count {
          v.bytes[j] = s.bytes[i]
          i &+= r.step
        }
        v.pointee.h.flags |= Header.flagASCII
        return v.value
      }
      let points = s.codePoints
      var out: [UInt32] = []
      var i = r.start
      for _ in 0..<r.count {
        out.append(points[i])
        i &+= r.step
      }
      return makeStr(codePoints: out)
    }
    let i = try sequenceIndex(k, s.pointee.count, "string")
    return s.character(atOffset: s.offset(of: i))
  case .bytes:
    let b = o.bytes
    if k.kind == .slice {
      let s = try sliceIndices(k, length: b.count)
      var out: [UInt8] = []
      var i = s.start
      for _ in 0..<s.count {
        out.append(b[i])
        i &+= s.step
      }
      return o.isByteArray ? makeByteArray(out) : makeBytes(out)
    }
    return Value(Int(b[try sequenceIndex(k, b.count, o.isByteArray ? "bytearray" : "byte")]))
  case .range:
    let r = o.range.pointee
    if k.kind == .slice { return try o.range.slice(k) }
    if let big = r.big, k.isInteger || !k.type.lookup(.__index__).isUndefined {
      return try big.item(at: k)
    }
    let i = try sequenceIndex(k, r.count, "range")
    return Value(r.start &+ i &* r.step)
  case .native:
    if let slot = o.type.pointee.native?.getItem { return try slot(o, k) }
  case .type:
    let f = o.typeObject.lookup(.__class_getitem__)
    if !f.isUndefined {
      let b = try bindDescriptor(
        f.tag == .function ? makeWrapper(.classMethod, f.retained()) : f, .undefined, o.typeObject)
      defer { b.release() }
      return try call(b, [k])
    }
    // Annotations such as list[int].
    let generic: Set<String> = [
      "list", "dict", "tuple", "set", "frozenset", "type", "enumerate", "filter", "map", "zip",
    ]
    if !o.typeObject.pointee.isUserDefined, generic.contains(o.typeObject.pointee.name) {
      return makeGenericAlias(o, k)
    }
  default: break
  }
  if o.tag == .type {
    throw LullError.typeError("type '\(o.typeObject.pointee.name)' is not subscriptable")
  }
  throw LullError.typeError("'\(typeName(o))' object is not subscriptable")
}

/// A slice of a sequence of `n` whose parts are ints or None and whose step is not 0; else nil.
@inline(__always) private func plainSlice(_ k: Value, _ n: Int) -> (
  start: Int, step: Int, count: Int
)? {
  let s = k.body(SliceBody.self)
  let a = s.pointee.start
  let b = s.pointee.stop
  let c = s.pointee.step
  guard a.tag == .int || a.isNone, b.tag == .int || b.isNone,
    c.isNone || c.tag == .int && c.asInt != 0,
    c.isNone || c.asInt.magnitude < 1 << 32
  else { return nil }
  let step = c.isNone ? 1 : c.asInt
  // Where a place may lie: behind the end going up, before the beginning going down.
  let (low, high) = step > 0 ? (0, n) : (-1, n &- 1)
  @inline(__always) func place(_ v: Value, _ missing: Int) -> Int {
    if v.isNone { return missing }
    let x = v.asInt < 0 ? v.asInt &+ n : v.asInt
    return x < low ? low : x > high ? high : x
  }
  let start = place(a, step > 0 ? low : high)
  let stop = place(b, step > 0 ? high : low)
  if step == 1 { return (start, 1, max(stop &- start, 0)) }
  if step == -1 { return (start, -1, max(start &- stop, 0)) }
  let count = step > 0 ? (stop &- start &+ step &- 1) / step : (start &- stop &- step &- 1) / -step
  return (start, step, max(count, 0))
}
@inline(never) private func sliceASCII(_ s: StrPtr, _ start: Int, _ step: Int, _ count: Int)
  -> Value
{
  if count == 0 { return emptyString.retained() }
  if step == 1 || count == 1 { return makePiece(s, start, start &+ count) }
  let v = makeStr(uninitialized: count)
  let to = v.bytes
  var from = s.bytes + start
  for j in 0..<count {
    to[j] = from.pointee
    from += step
  }
  v.pointee.h.flags |= Header.flagASCII
  return v.value
}

/// `o[k] = v`; all borrowed.
public func setItem(_ o: Value, _ k: Value, _ v: Value) throws(LullError) {
  if o.tag == .dict { return try o.dict.store(k, v.retained()) }
  if o.tag == .instance || o.tag == .derived || o.tag == .exception {
    let f = o.type.lookup(.__setitem__)
    if !f.isUndefined {
      try callMethod(f, o, k, v).release()
      return
    }
    if let d = o.asDict { return try d.store(k, v.retained()) }
    if o.tag == .instance, !o.type.lookup(.__delitem__).isUndefined {
      throw LullError.attribute("__setitem__")
    }
  }
  switch o.kind {
  case .list:
    let l = o.list
    if k.kind == .slice {
      if !isIterable(v) { throw LullError.typeError("can only assign an iterable") }
      let new = try collect(v)
      let s: (start: Int, stop: Int, step: Int, count: Int)
      do throws(LullError) { s = try sliceIndices(k, length: l.pointee.count) } catch {
        for x in new { x.release() }
        throw error
      }
      if s.step == 1 {
        l.replace(s.start..<max(s.start, s.start + s.count), with: new)
        return
      }
      if new.count != s.count {
        for x in new { x.release() }
        throw LullError.valueError(
          "attempt to assign sequence of size \(new.count) to extended slice of size \(s.count)")
      }
      var i = s.start
      for x in new {
        let old = l.pointee.items[i]
        l.pointee.items[i] = x
        old.release()
        i &+= s.step
      }
      return
    }
    let i: Int
    do throws(LullError) { i = try sequenceIndex(k, l.pointee.count, "list") } catch {
      if error.kind == "IndexError" { throw LullError.index("list assignment index out of range") }
      throw error
    }
    let old = l.pointee.items[i]
    l.pointee.items[i] = v.retained()
    old.release()
    return
  case .bytes where o.isByteArray:
    let body = o.body(BytesBody.self)
    if k.kind == .slice {
      if v.kind == .str {
        throw LullError.typeError(
          "can assign only bytes, buffers, or iterables of ints in range(0, 256)")
      }
      let new = try bytesFromIterable(v)
      let s = try sliceIndices(k, length: body.pointee.value.count)
      if s.step == 1 {
        body.pointee.value.replaceSubrange(s.start..<max(s.start, s.start + s.count), with: new)
        return
      }
      if new.count != s.count {
        throw LullError.valueError(
          "attempt to assign bytes of size \(new.count) to extended slice of size \(s.count)")
      }
      var i = s.start
      for x in new {
        body.pointee.value[i] = x
        i &+= s.step
      }
      return
    }
    let new = try byteOf(v)
    let i = try sequenceIndex(k, body.pointee.value.count, "bytearray")
    body.pointee.value[i] = new
    return
  case .native:
    if let slot = o.type.pointee.native?.setItem { return try slot(o, k, v) }
  default: break
  }
  throw LullError.typeError("'\(typeName(o))' object does not support item assignment")
}

public func deleteItem(_ o: Value, _ k: Value) throws(LullError) {
  if o.tag == .instance || o.tag == .derived || o.tag == .exception {
    let f = o.type.lookup(.__delitem__)
    if !f.isUndefined {
      try callMethod(f, o, k).release()
      return
    }
    if o.tag == .instance, !o.type.lookup(.__setitem__).isUndefined {
      throw LullError.attribute("__delitem__")
    }
  }
  switch o.kind {
  case .dict:
    guard let old = try o.dict.remove(k) else { throw keyError(k) }
    old.release()
    return
  case .list:
    let l = o.list
    if k.kind == .slice {
      let s = try sliceIndices(k, length: l.pointee.count)
      if s.step == 1 {
        l.replace(s.start..<max(s.start, s.start + s.count), with: [])
        return
      }
      var indices: [Int] = []
      var i = s.start
      for _ in 0..<s.count {
        indices.append(i)
        i &+= s.step
      }
      for i in indices.sorted(by: >) { l.remove(at: i).release() }
      return
    }
    let i: Int
    do throws(LullError) { i = try sequenceIndex(k, l.pointee.count, "list") } catch {
      if error.kind == "IndexError" { throw LullError.index("list assignment index out of range") }
      throw error
    }
    l.remove(at: i).release()
    return
  case .bytes where o.isByteArray:
    let body = o.body(BytesBody.self)
    if k.kind == .slice {
      let s = try sliceIndices(k, length: body.pointee.value.count)
      for i in (0..<s.count).map({ s.start + $0 * s.step }).sorted(by: >) {
        body.pointee.value.remove(at: i)
      }
      return
    }
    let i = try sequenceIndex(k, body.pointee.value.count, "bytearray")
    body.pointee.value.remove(at: i)
    return
  case .native:
    if let slot = o.type.pointee.native?.deleteItem { return try slot(o, k) }
  default: break
  }
  throw LullError.typeError("'\(typeName(o))' object doesn't support item deletion")
}

/// `x in container`.
public func containsValue(_ c: Value, _ x: Value) throws(LullError) -> Bool {
  if c.tag == .instance || c.tag == .derived || c.tag == .exception {
    let f = c.type.lookup(.__contains__)
    if !f.isUndefined { return try truthReleasing(try callMethod(f, c, x)) }
    if !c.type.lookup(.__iter__).isUndefined { return try containsByIteration(c, x) }
  }
  switch c.kind {
  case .dict: return try c.dict.lookup(x) != nil
  case .set: return try c.set.contains(x)
  case .str:
    guard let s = x.asStr else {
      throw LullError.typeError(
        "'in <string>' requires string as left operand, not \(typeName(x))")
    }
    return findBytes(c.str.buffer, s.buffer, from: 0) >= 0
  case .bytes:
    if x.isInteger {
      let b = try byteOf(x)
      return c.bytes.contains(b)
    }
    guard x.kind == .bytes else {
      throw LullError.typeError("a bytes-like object is required, not '\(typeName(x))'")
    }
    let hay = c.bytes
    let needle = x.bytes
    return hay.withUnsafeBufferPointer { h in
      needle.withUnsafeBufferPointer { findBytes(h, $0, from: 0) >= 0 }
    }
  case .range:
    if x.tag == .int || x.tag == .bool || x.tag == .bigInt {
      guard let i = c.range.index(of: x) else { return false }
      i.release()
      return true
    }
    return try containsByIteration(c, x)
  case .dictView:
    let v = c.body(DictViewBody.self).pointee
    if v.which == .keys { return try v.dict.dict.lookup(x) != nil }
    if v.which == .items {
      guard let t = x.asTuple, t.pointee.count == 2 else { return false }
      guard let found = try v.dict.dict.lookup(t.items[0]) else { return false }
      return try valuesEqual(found, t.items[1])
    }
    return try containsByIteration(c, x)
  case .native:
    if let slot = c.type.pointee.native?.contains { return try slot(c, x) }
    return try containsByIteration(c, x)
  case .list, .tuple, .iterator, .generator: return try containsByIteration(c, x)
  default:
    if isIterable(c) { return try containsByIteration(c, x) }
    throw LullError.typeError("argument of type '\(typeName(c))' is not iterable")
  }
}
private func containsByIteration(_ c: Value, _ x: Value) throws(LullError) -> Bool {
  if c.tag == .list {
    let l = c.list
    var k = 0
    while k < l.pointee.count {
      let y = l.pointee.items[k]
      if y.isSame(x) { return true }
      if y.tag.rawValue <= Tag.float.rawValue, y.tag == x.tag {
        if y.tag == .float ? y.asDouble == x.asDouble : y.bits == x.bits { return true }
      } else {
        y.retained()
        defer { y.release() }
        if try valuesEqual(y, x) { return true }
      }
      k += 1
    }
    return false
  }
  let it = try makeIterator(c)
  defer { it.release() }
  while true {
    let y = try iteratorNext(it)
    if y.isUndefined { return false }
    defer { y.release() }
    if try sameOrEqual(y, x) { return true }
    if vm.pointee.interruptFlag != 0 { try interrupted() }
  }
}

@_silgen_name("memmem")
private func memmem(
  _ h: UnsafeRawPointer, _ n: Int, _ needle: UnsafeRawPointer, _ m: Int
) -> UnsafeMutableRawPointer?

/// Byte offset of the first occurrence at or after `from`, or -1.
/// The place of a byte in `from..<end`, or -1.
@inline(__always) func findByte(
  _ p: UnsafeMutablePointer<UInt8>, _ from: Int, _ end: Int, _ c: UInt8
) -> Int {
  guard from < end, let q = memchr(p + from, Int32(c), end &- from) else { return -1 }
  return UnsafeMutableRawPointer(p).distance(to: q)
}
func findBytes(
  _ h: UnsafeBufferPointer<UInt8>, _ n: UnsafeBufferPointer<UInt8>, from: Int
) -> Int {
  if n.count == 0 { return from <= h.count ? from : -1 }
  guard let base = h.baseAddress, let needle = n.baseAddress, from <= h.count,
    h.count - from >= n.count
  else { return -1 }
  // memchr finds the first byte many at a time; where that byte is common, memmem is faster.
  var at = from
  var tries = 0
  let last = h.count - n.count
  while at <= last, tries < 16 {
    guard let p = memchr(base + at, Int32(needle[0]), last - at + 1) else { return -1 }
    at = UnsafePointer(p.assumingMemoryBound(to: UInt8.self)) - base
    if n.count == 1 || equalBytes(base + at, needle, n.count) { return at }
    at += 1
    tries += 1
  }
  if at > last { return -1 }
  guard let p = memmem(base + at, h.count - at, needle, n.count) else { return -1 }
  return UnsafePointer(p.assumingMemoryBound(to: UInt8.self)) - base
}
func findLastBytes(_ h: UnsafeBufferPointer<UInt8>, _ n: UnsafeBufferPointer<UInt8>) -> Int {
  var i = h.count - n.count
  while i >= 0 {
    var match = true
    for k in 0..<n.count where h[i + k] != n[k] {
      match = false
      break
    }
    if match { return i }
    i -= 1
  }
  return -1
}
