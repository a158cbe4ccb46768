// Hashes, equal to CPython's for numbers, and conversions to floats and indices.
import BigInt
import Glibc

// MARK: - Hash

private let hashModulus = (1 << 61) - 1

@inline(__always) func hashInt(_ i: Int) -> Int {
  if i >= 0, i < hashModulus { return i }
  let r = i % hashModulus
  return r == -1 ? -2 : r
}
func hashDouble(_ d: Double) -> Int {
  if d.isInfinite { return d > 0 ? 314159 : -314159 }
  if d.isNaN { return 0 }
  if d == d.rounded(), abs(d) < 1e18 { return hashInt(Int(d)) }
  var (m, e) = (d.significand, Int(d.exponent))
  m /= 2
  e += 1
  var x: UInt = 0
  var v = abs(m)
  let bits = 61
  while v != 0 {
    x = ((x << 28) & UInt(hashModulus)) | x >> UInt(bits - 28)
    v *= 268435456.0
    e -= 28
    let y = UInt(v)
    v -= Double(y)
    x += y
    if x >= UInt(hashModulus) { x -= UInt(hashModulus) }
  }
  e = e >= 0 ? e % bits : bits - 1 - ((-1 - e) % bits)
  x = ((x << UInt(e)) & UInt(hashModulus)) | x >> UInt(bits - e)
  let r = d < 0 ? -Int(x) : Int(x)
  return r == -1 ? -2 : r
}

@inline(__always) public func hashOf(_ v: Value) throws(LullError) -> Int {
  if v.tag == .str { return v.str.hashValue64 }
  if v.tag == .int { return hashInt(v.asInt) }
  return try hashSlow(v)
}
@inline(never) func hashSlow(_ v: Value) throws(LullError) -> Int {
  // As in CPython no hash is -1; tables rely on it.
  let h = try hashOther(v)
  return h == -1 ? -2 : h
}
private func hashOther(_ v: Value) throws(LullError) -> Int {
  switch v.tag {
  case .none: return 0x1234_5678
  case .bool: return v.asInt
  case .float: return hashDouble(v.asDouble)
  case .bigInt:
    let r = v.bigInt.magnitude % BigUInt(hashModulus)
    let h = Int(r) * (v.bigInt.sign == .minus ? -1 : 1)
    return h == -1 ? -2 : h
  case .tuple: return try hashTuple(v.tuple)
  case .list, .dict: throw unhashable(v)
  case .set:
    if !v.set.isFrozen { throw unhashable(v) }
    return try frozenHash(v)
  case .bytes:
    if v.isByteArray { throw unhashable(v) }
    var h = 0x345678
    for b in v.bytes { h = (h &* 1_000_003) ^ Int(b) }
    return h == -1 ? -2 : h
  case .complex:
    let p = v.body(ComplexBody.self)
    let h = hashDouble(p.pointee.re) &+ 1_000_003 &* hashDouble(p.pointee.im)
    return h == -1 ? -2 : h
  case .range:
    let r = v.range.pointee
    if let b = r.big {
      let parts = [b.count, b.count > 0 ? b.start : 0, b.count > 1 ? b.step : 0]
      return parts.reduce(0) { $0 &* 31 &+ hashOfBig($1) }
    }
    // As the tuple (length, start, step), of which what does not matter is None.
    let parts = makeTuple([
      Value(r.count), r.count > 0 ? Value(r.start) : .none, r.count > 1 ? Value(r.step) : .none,
    ])
    defer { parts.release() }
    return try hashTuple(parts.tuple)
  case .slice, .dictView: throw unhashable(v)
  case .instance, .derived, .exception:
    let f = v.type.lookup(.__hash__)
    if f.isNone { throw unhashable(v) }
    if !f.isUndefined {
      let r = try callMethod(f, v)
      defer { r.release() }
      if r.isIntOrBool { return r.asInt == -1 ? -2 : r.asInt }
      if r.kind == .bigInt { return try hashOf(r) }
      throw LullError.typeError("__hash__ method should return an integer")
    }
    if !v.type.lookup(.__eq__).isUndefined { throw unhashable(v) }
    switch v.kind {
    case .str: return v.str.hashValue64
    case .tuple: return try hashTuple(v.tuple)
    case .bigInt: return hashOfBig(v.bigInt)
    case .float: return hashDouble(try doubleOf(v))
    case .list, .dict: throw unhashable(v)
    case .set: if !v.set.isFrozen { throw unhashable(v) } else { return try frozenHash(v) }
    case .native: return try nativeHash(v)
    default: return Int(bitPattern: UInt(v.bits >> 4))
    }
  case .native: return try nativeHash(v)
  case .boundMethod:
    return try hashOf(v.method.pointee.receiver) ^ Int(v.method.pointee.function.bits >> 4)
  default: return Int(bitPattern: UInt(v.bits >> 4))
  }
}
private func nativeHash(_ v: Value) throws(LullError) -> Int {
  if let n = v.type.pointee.native {
    if let slot = n.hash { return try slot(v) }
    if n.compare != nil { throw unhashable(v) }
  }
  return Int(bitPattern: UInt(v.bits >> 4))
}
func unhashable(_ v: Value) -> LullError {
  LullError.typeError("unhashable type: '\(typeName(v))'")
}
private func hashTuple(_ t: TuplePtr) throws(LullError) -> Int {
  if t.pointee.hash != 0 { return t.pointee.hash }
  try checkNativeStack()
  var acc: UInt64 = 2_870_177_450_012_600_261
  // Items whose hash no code of the program decides: then the tuple's is kept.
  var isFixed = true
  for k in 0..<t.pointee.count {
    let x = t.items[k]
    let lane = UInt64(bitPattern: Int64(try hashOf(x)))
    if x.tag.rawValue > Tag.str.rawValue, x.tag != .tuple || x.tuple.pointee.hash == 0 {
      isFixed = false
    }
    acc = acc &+ lane &* 14_029_467_366_897_019_727
    acc = acc << 31 | acc >> 33
    acc = acc &* 11_400_714_785_074_694_791
  }
  acc = acc &+ (UInt64(t.pointee.count) ^ (2_870_177_450_012_600_261 ^ 3_527_539))
  let r = acc == UInt64.max ? 1_546_275_796 : Int(Int64(bitPattern: acc))
  if isFixed { t.pointee.hash = r }
  return r
}
func frozenHash(_ v: Value) throws(LullError) -> Int {
  var h: UInt = 0
  for e in v.set.elements {
    let x = UInt(bitPattern: e.hash)
    h ^= ((x ^ 89_869_747) ^ (x << 16)) &* 3_644_798_167
  }
  h ^= (UInt(v.set.pointee.count) &+ 1) &* 1_927_868_237
  h ^= (h >> 11) ^ (h >> 25)
  h = h &* 69069 &+ 907_133_923
  let r = Int(bitPattern: h)
  return r == -1 ? 590_923_713 : r
}

// MARK: - Conversions

/// The float value of any number, or of an object with `__float__` or `__index__`.
public func doubleOf(_ v: Value) throws(LullError) -> Double {
  switch v.kind {
  case .float: return v.tag == .float ? v.asDouble : v.body(ComplexBody.self).pointee.re
  case .int, .bool: return Double(v.asInt)
  case .bigInt: return try bigToDouble(v.bigInt)
  default:
    if isCustom(v) {
      for name in [Name.__float__, .__index__] {
        let f = v.type.lookup(name)
        if !f.isUndefined {
          let r = try callMethod(f, v)
          defer { r.release() }
          if name == .__float__, r.kind != .float {
            throw LullError.typeError(
              "\(typeName(v)).__float__ returned non-float (type \(typeName(r)))")
          }
          return try doubleOf(r)
        }
      }
    }
    if v.kind == .native, let slot = v.type.pointee.native?.float { return try slot(v) }
    throw LullError.typeError("must be real number, not \(typeName(v))")
  }
}
/// The value of an integer or an object with `__index__`, as a value (owned).
func indexValue(_ v: Value) throws(LullError) -> Value {
  if v.isIntOrBool { return Value(v.asInt) }
  if v.tag == .bigInt { return v.retained() }
  if v.kind == .bigInt { return makeBig(v.bigInt) }
  if isCustom(v) {
    let f = v.type.lookup(.__index__)
    if !f.isUndefined {
      let r = try callMethod(f, v)
      if !r.isInteger {
        let n = typeName(r)
        r.release()
        throw LullError.typeError("__index__ returned non-int (type \(n))")
      }
      // A bool or an instance of a subclass of int stands for its number.
      if r.tag == .int || r.tag == .bigInt { return r }
      defer { r.release() }
      return makeBig(r.integer ?? 0)
    }
  }
  if v.kind == .native, let slot = v.type.pointee.native?.index { return try slot(v) }
  throw LullError.typeError("'\(typeName(v))' object cannot be interpreted as an integer")
}
public func indexOf(_ v: Value) throws(LullError) -> Int {
  let r = try indexValue(v)
  defer { r.release() }
  if r.tag == .int { return r.asInt }
  throw LullError.overflow("Python int too large to convert to C ssize_t")
}

/// Identity or equality, as containers compare.
func sameOrEqual(_ x: Value, _ y: Value) throws(LullError) -> Bool {
  if x.isSame(y) { return true }
  x.retained()
  defer { x.release() }
  return try valuesEqual(x, y)
}

/// `a -= b`, `a &= b`, `a ^= b` for sets, step by step as CPython, so that the order agrees.
func updateSet(_ op: BinaryOperator, _ a: Value, _ b: Value) throws(LullError) {
  switch op {
  case .subtract: try a.set.subtract(b)
  case .bitXor: try a.set.toggle(b)
  default: try intersectSet(a.set, [b])
  }
}
func intersectSet(_ a: SetPtr, _ others: some Sequence<Value>) throws(LullError) {
  let r = try setIntersection(a, all: others, false)
  swap(&a.pointee.table, &r.set.pointee.table)
  swap(&a.pointee.mask, &r.set.pointee.mask)
  swap(&a.pointee.fill, &r.set.pointee.fill)
  swap(&a.pointee.count, &r.set.pointee.count)
  a.pointee.version &+= 1
  r.release()
}

func hashOfBig(_ n: BigInt) -> Int {
  let h = Int(n.magnitude % BigUInt(hashModulus)) * (n.sign == .minus ? -1 : 1)
  return h == -1 ? -2 : h
}
