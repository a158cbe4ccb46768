// Operators: everything the machine's fast paths do not cover.
//
// Order of attempts for `a op b`, as in CPython: numbers; then builtin containers; then, if either
// class defines the operator, `type(a).__op__` and `type(b).__rop__` (the right one first when its
// class is a proper subclass that overrides it). Operands are borrowed, results owned.
import BigInt
import Glibc

private let operatorText = ["+", "-", "*", "@", "/", "//", "%", "** or pow()", "<<", ">>", "&", "|", "^"]

func symbol(_ op: BinaryOperator) -> String { operatorText[Int(op.rawValue)] }

@inline(never) func binaryOperation(
  _ op: BinaryOperator, _ a: Value, _ b: Value, _ frame: UnsafeMutablePointer<Frame>,
  _ i: UnsafeMutablePointer<Instruction>
) throws(LullError) -> Value {
  if a.isUndefined || b.isUndefined {
    throw unboundLocal(frame, a.isUndefined ? i.pointee.b : i.pointee.c)
  }
  return try binary(op, a, b)
}
@inline(never) func inplaceOperation(
  _ op: BinaryOperator, _ a: Value, _ b: Value, _ frame: UnsafeMutablePointer<Frame>,
  _ i: UnsafeMutablePointer<Instruction>
) throws(LullError) -> Value {
  if a.isUndefined || b.isUndefined {
    throw unboundLocal(frame, a.isUndefined ? i.pointee.b : i.pointee.c)
  }
  return try inplace(op, a, b)
}

/// `a op b`.
public func binary(_ op: BinaryOperator, _ a: Value, _ b: Value) throws(LullError) -> Value {
  let r = try binaryOrNil(op, a, b)
  if !r.isUndefined { return r }
  if op == .power {
    throw LullError.typeError(
      "unsupported operand type(s) for ** or pow(): '\(typeName(a))' and '\(typeName(b))'")
  }
  if op == .add {
    if a.kind == .str {
      throw LullError.typeError("can only concatenate str (not \"\(typeName(b))\") to str")
    }
    if a.kind == .list || a.kind == .tuple {
      throw LullError.typeError(
        "can only concatenate \(typeName(a)) (not \"\(typeName(b))\") to \(typeName(a))")
    }
    if a.kind == .bytes { throw LullError.typeError("can't concat \(typeName(b)) to \(typeName(a))") }
  }
  if op == .multiply {
    if a.kind == .str || a.kind == .list || a.kind == .tuple || a.kind == .bytes {
      throw LullError.typeError(
        "can't multiply sequence by non-int of type '\(typeName(b))'")
    }
    if b.kind == .str || b.kind == .list || b.kind == .tuple || b.kind == .bytes {
      throw LullError.typeError(
        "can't multiply sequence by non-int of type '\(typeName(a))'")
    }
  }
  throw LullError.typeError(
    "unsupported operand type(s) for \(symbol(op)): '\(typeName(a))' and '\(typeName(b))'")
}

private func isCustom(_ v: Value) -> Bool {
  v.tag == .instance || v.tag == .derived || v.tag == .exception
}

/// Undefined when neither operand knows how.
func binaryOrNil(_ op: BinaryOperator, _ a: Value, _ b: Value) throws(LullError) -> Value {
  // Plain numbers.
  if a.tag.rawValue <= Tag.float.rawValue, b.tag.rawValue <= Tag.float.rawValue,
    a.tag.rawValue >= Tag.bool.rawValue, b.tag.rawValue >= Tag.bool.rawValue
  {
    if a.tag == .float || b.tag == .float {
      return try floatBinary(
        op, a.tag == .float ? a.asDouble : Double(a.asInt),
        b.tag == .float ? b.asDouble : Double(b.asInt))
    }
    if a.tag == .bool, b.tag == .bool {
      switch op {
      case .bitAnd: return Value(a.asBool && b.asBool)
      case .bitOr: return Value(a.asBool || b.asBool)
      case .bitXor: return Value(a.asBool != b.asBool)
      default: break
      }
    }
    return try intBinary(op, a.asInt, b.asInt)
  }
  if isCustom(a) || isCustom(b) {
    try checkNativeStack()
    let name = Name(rawValue: Name.__add__.rawValue + Int(op.rawValue)) ?? .__add__
    let reflected = Name(rawValue: Name.__radd__.rawValue + Int(op.rawValue)) ?? .__radd__
    let left = isCustom(a) ? a.type.lookup(name) : .undefined
    let right = isCustom(b) ? b.type.lookup(reflected) : .undefined
    let rightFirst =
      !right.isUndefined && b.type != a.type && b.type.isSubtype(of: a.type)
      && !right.isSame(isCustom(a) ? a.type.lookup(reflected) : .undefined)
    if rightFirst {
      let r = try callMethod(right, b, a)
      if !r.isNotImplemented { return r }
    }
    if !left.isUndefined {
      let r = try callMethod(left, a, b)
      if !r.isNotImplemented { return r }
    } else if !isCustom(a) || a.tag == .derived {
      let r = try builtinBinary(op, a, b)
      if !r.isUndefined { return r }
    }
    if !rightFirst, !right.isUndefined, a.type != b.type {
      let r = try callMethod(right, b, a)
      if !r.isNotImplemented { return r }
    }
    if a.tag != .instance { return try builtinBinary(op, a, b) }
    if b.kind == .native { return try builtinBinary(op, a, b) }
    return .undefined
  }
  return try builtinBinary(op, a, b)
}

/// Calls a function found in a class on a receiver.
func callMethod(_ f: Value, _ me: Value, _ args: Value...) throws(LullError) -> Value {
  if f.tag == .function || f.tag == .builtin { return try call(f, [me] + args) }
  let bound = try bindDescriptor(f, me, me.type)
  defer { bound.release() }
  return try call(bound, args)
}

func builtinBinary(_ op: BinaryOperator, _ a: Value, _ b: Value) throws(LullError) -> Value {
  if a.kind == .native || b.kind == .native {
    if a.kind == .native, let slot = a.type.pointee.native?.binary,
      let r = try slot(op, a, b, false)
    {
      return r
    }
    if b.kind == .native, let slot = b.type.pointee.native?.binary,
      let r = try slot(op, b, a, true)
    {
      return r
    }
    if a.kind == .native, b.kind == .native { return .undefined }
  }
  switch op {
  case .add:
    switch (a.kind, b.kind) {
    case (.str, .str): return try concatenate(a.str, b.str)
    case (.list, .list):
      let n = a.list.pointee.count
      let m = b.list.pointee.count
      try checkAllocation(n + m, 16)
      let v = makeList(capacity: n + m)
      for k in 0..<n { v.list.append(a.list.pointee.items[k].retained()) }
      for k in 0..<m { v.list.append(b.list.pointee.items[k].retained()) }
      return v
    case (.tuple, .tuple):
      let n = a.tuple.pointee.count
      let m = b.tuple.pointee.count
      let v = makeTuple(uninitialized: n + m)
      for k in 0..<n { v.tuple.items[k] = a.tuple.items[k].retained() }
      for k in 0..<m { v.tuple.items[n + k] = b.tuple.items[k].retained() }
      return v
    case (.bytes, .bytes):
      return a.isByteArray ? makeByteArray(a.bytes + b.bytes) : makeBytes(a.bytes + b.bytes)
    default: break
    }
  case .multiply:
    if isSequence(a), let n = try repeatCount(b) { return try repeated(a, n) }
    if isSequence(b), let n = try repeatCount(a) { return try repeated(b, n) }
  case .modulo:
    if a.kind == .str { return try percentFormat(a.str, b) }
    if a.kind == .bytes { return try percentFormatBytes(a, b) }
  case .bitOr:
    if a.kind == .dict, b.kind == .dict {
      let d = a.dict.copy()
      try d.dict.merge(b.dict)
      return d
    }
    if a.kind == .type || a.isNone, b.kind == .type || b.isNone {
      return makePair(a.retained(), b.retained())
    }
  default: break
  }
  if let r = try setBinary(op, a, b) { return r }
  // Numbers with a big int, a complex or a subclass among them.
  if a.kind == .complex || b.kind == .complex {
    if let x = complexParts(a), let y = complexParts(b) { return try complexBinary(op, x, y) }
    return .undefined
  }
  let aFloat = a.kind == .float
  let bFloat = b.kind == .float
  if aFloat || bFloat {
    guard aFloat || a.isInteger, bFloat || b.isInteger else { return .undefined }
    return try floatBinary(op, try doubleOf(a), try doubleOf(b))
  }
  if let x = a.integer, let y = b.integer { return try bigBinary(op, x, y) }
  return .undefined
}

private func isSequence(_ v: Value) -> Bool {
  v.kind == .str || v.kind == .list || v.kind == .tuple || v.kind == .bytes
}
/// How often to repeat a sequence; nil when the value is no index.
private func repeatCount(_ v: Value) throws(LullError) -> Int? {
  if v.tag == .int || v.tag == .bool { return v.asInt }
  guard v.kind == .bigInt || v.tag == .instance && !v.type.lookup(.__index__).isUndefined else { return nil }
  let i = try indexValue(v)
  defer { i.release() }
  guard i.tag == .int else {
    throw LullError.overflow("cannot fit 'int' into an index-sized integer")
  }
  return i.asInt
}
private func repeated(_ v: Value, _ count: Int) throws(LullError) -> Value {
  let n = max(0, count)
  switch v.kind {
  case .str:
    let s = v.str
    let m = s.pointee.byteCount
    if n == 1, v.tag == .str { return v.retained() }
    try checkAllocation(n, max(m, 1))
    let r = makeStr(uninitialized: n * m)
    if m == 1 {
      memset(r.bytes, Int32(s.bytes[0]), n)
    } else {
      for k in 0..<n { memcpy(r.bytes + k * m, s.bytes, m) }
    }
    r.pointee.count = n * s.pointee.count
    r.pointee.h.flags |= s.pointee.h.flags & Header.flagASCII
    return r.value
  case .list:
    let m = v.list.pointee.count
    try checkAllocation(n, max(16 * m, 1))
    let r = makeList(capacity: n * m)
    let items = r.list.pointee.items
    for k in 0..<(n * m) {
      (items + k).initialize(to: v.list.pointee.items[m == 1 ? 0 : k % m].retained())
    }
    r.list.pointee.count = n * m
    return r
  case .tuple:
    let m = v.tuple.pointee.count
    try checkAllocation(n, max(16 * m, 1))
    let r = makeTuple(uninitialized: n * m)
    for k in 0..<(n * m) { r.tuple.items[k] = v.tuple.items[k % m].retained() }
    return r
  default:
    try checkAllocation(n, max(v.bytes.count, 1))
    var out: [UInt8] = []
    for _ in 0..<n { out += v.bytes }
    return v.isByteArray ? makeByteArray(out) : makeBytes(out)
  }
}

// MARK: - Integers

func intBinary(_ op: BinaryOperator, _ a: Int, _ b: Int) throws(LullError) -> Value {
  switch op {
  case .add:
    let (r, o) = a.addingReportingOverflow(b)
    return o ? makeBig(BigInt(a) + BigInt(b)) : Value(r)
  case .subtract:
    let (r, o) = a.subtractingReportingOverflow(b)
    return o ? makeBig(BigInt(a) - BigInt(b)) : Value(r)
  case .multiply:
    let (r, o) = a.multipliedReportingOverflow(by: b)
    return o ? makeBig(BigInt(a) * BigInt(b)) : Value(r)
  case .divide:
    if b == 0 { throw LullError.zeroDivision("division by zero") }
    if a.magnitude <= 1 << 53, b.magnitude <= 1 << 53 { return Value(Double(a) / Double(b)) }
    return Value(try bigDivide(BigInt(a), BigInt(b)))
  case .floorDivide:
    if b == 0 { throw LullError.zeroDivision("integer division or modulo by zero") }
    if b == -1 {
      let (r, o) = a.multipliedReportingOverflow(by: -1)
      return o ? makeBig(-BigInt(a)) : Value(r)
    }
    let q = a / b
    return Value((a % b != 0) && ((a < 0) != (b < 0)) ? q - 1 : q)
  case .modulo:
    if b == 0 { throw LullError.zeroDivision("integer modulo by zero") }
    if b == -1 { return Value(0) }
    let m = a % b
    return Value(m != 0 && ((m < 0) != (b < 0)) ? m + b : m)
  case .power:
    if b < 0 {
      if a == 0 { throw LullError.zeroDivision("0.0 cannot be raised to a negative power") }
      return Value(pow(Double(a), Double(b)))
    }
    var result = 1
    var base = a
    var e = b
    while e > 0 {
      if e & 1 == 1 {
        let (r, o) = result.multipliedReportingOverflow(by: base)
        if o { return try bigPower(BigInt(a), b) }
        result = r
      }
      e >>= 1
      if e > 0 {
        let (r, o) = base.multipliedReportingOverflow(by: base)
        if o { return try bigPower(BigInt(a), b) }
        base = r
      }
    }
    return Value(result)
  case .leftShift:
    if b < 0 { throw LullError.valueError("negative shift count") }
    if a == 0 { return Value(0) }
    if b < 63 {
      let r = a << b
      if r >> b == a { return Value(r) }
    }
    try checkBits(b)
    return makeBig(BigInt(a) << b)
  case .rightShift:
    if b < 0 { throw LullError.valueError("negative shift count") }
    return Value(b > 63 ? (a < 0 ? -1 : 0) : a >> b)
  case .bitAnd: return Value(a & b)
  case .bitOr: return Value(a | b)
  case .bitXor: return Value(a ^ b)
  case .matmul: return .undefined
  }
}
private func checkBits(_ n: Int) throws(LullError) {
  if n / 8 > maximumObjectBytes / 8 { throw LullError.overflow("too many digits in integer") }
}
private func bigPower(_ a: BigInt, _ b: Int) throws(LullError) -> Value {
  let bits = a.magnitude.bitWidth
  let (total, o) = bits.multipliedReportingOverflow(by: b)
  // Results past some tens of megabytes would take hours to multiply out.
  if o || total > min(1 << 30, maximumObjectBytes / 4) { throw LullError.memory("the result of ** has too many digits") }
  if a == 2 { return makeBig(BigInt(1) << b) }
  return makeBig(a.power(b))
}
func floorDivMod(_ a: BigInt, _ b: BigInt) -> (BigInt, BigInt) {
  var (q, r) = a.quotientAndRemainder(dividingBy: b)
  if !r.isZero, (r.sign == .minus) != (b.sign == .minus) {
    q -= 1
    r += b
  }
  return (q, r)
}
func bigBinary(_ op: BinaryOperator, _ a: BigInt, _ b: BigInt) throws(LullError) -> Value {
  switch op {
  case .add: return makeBig(a + b)
  case .subtract: return makeBig(a - b)
  case .multiply:
    try checkBits(a.bitWidth + b.bitWidth)
    return makeBig(a * b)
  case .divide:
    if b.isZero { throw LullError.zeroDivision("division by zero") }
    return Value(try bigDivide(a, b))
  case .floorDivide:
    if b.isZero { throw LullError.zeroDivision("integer division or modulo by zero") }
    return makeBig(floorDivMod(a, b).0)
  case .modulo:
    if b.isZero { throw LullError.zeroDivision("integer modulo by zero") }
    return makeBig(floorDivMod(a, b).1)
  case .power:
    if b.sign == .minus {
      if a.isZero { throw LullError.zeroDivision("0.0 cannot be raised to a negative power") }
      return Value(pow(try bigToDouble(a), try bigToDouble(b)))
    }
    guard let e = Int(exactly: b) else {
      if a.isZero || a == 1 { return makeBig(a) }
      if a == -1 { return Value(b % 2 == 0 ? 1 : -1) }
      throw LullError.memory("the result of ** has too many digits")
    }
    if a.isZero || a == 1 { return makeBig(e == 0 ? 1 : a) }
    return try bigPower(a, e)
  case .leftShift:
    if b.sign == .minus { throw LullError.valueError("negative shift count") }
    if a.isZero { return Value(0) }
    guard let n = Int(exactly: b) else {
      throw LullError.overflow("too many digits in integer")
    }
    try checkBits(n)
    return makeBig(a << n)
  case .rightShift:
    if b.sign == .minus { throw LullError.valueError("negative shift count") }
    guard let n = Int(exactly: b), n < 1 << 40 else { return Value(a.sign == .minus ? -1 : 0) }
    // Arithmetic shift rounds down.
    return makeBig(floorDivMod(a, BigInt(1) << min(n, a.bitWidth + 1)).0)
  case .bitAnd: return makeBig(a & b)
  case .bitOr: return makeBig(a | b)
  case .bitXor: return makeBig(a ^ b)
  case .matmul: return .undefined
  }
}
/// Correctly rounded (half to even).
func bigToDouble(_ a: BigInt) throws(LullError) -> Double {
  if let i = Int(exactly: a) { return Double(i) }
  let m = a.magnitude
  let bits = m.bitWidth
  if bits > 1024 { throw LullError.overflow("int too large to convert to float") }
  let shift = bits - 64
  var top = UInt64(truncatingIfNeeded: m >> max(shift, 0))
  if shift > 0, !(m & ((BigUInt(1) << shift) - 1)).isZero { top |= 1 }
  let d = scalbn(Double(top), Int32(max(shift, 0)))
  if d.isInfinite { throw LullError.overflow("int too large to convert to float") }
  return a.sign == .minus ? -d : d
}
func bigDivide(_ a: BigInt, _ b: BigInt) throws(LullError) -> Double {
  if a.isZero { return b.sign == .minus ? -0.0 : 0 }
  // Scale so that the quotient has 66 bits, keep a sticky bit, round once.
  let shift = 66 - (a.magnitude.bitWidth - b.magnitude.bitWidth)
  var n = a.magnitude
  var d = b.magnitude
  if shift > 0 { n = n << shift } else if shift < 0 { d = d << (-shift) }
  let (q, r) = n.quotientAndRemainder(dividingBy: d)
  let extra = max(0, q.bitWidth - 64)
  var top = UInt64(truncatingIfNeeded: q >> extra)
  if !r.isZero || !(q & ((BigUInt(1) << extra) - 1)).isZero { top |= 1 }
  let exponent = extra - shift
  if exponent > 1200 {
    throw LullError.overflow("integer division result too large for a float")
  }
  let v = scalbn(Double(top), Int32(max(exponent, -5000)))
  if v.isInfinite { throw LullError.overflow("integer division result too large for a float") }
  return (a.sign == .minus) != (b.sign == .minus) ? -v : v
}

// MARK: - Floats

func floatModulo(_ a: Double, _ b: Double) -> Double {
  var m = fmod(a, b)
  if m != 0 {
    if (b < 0) != (m < 0) { m += b }
  } else {
    m = b.sign == .minus ? -0.0 : 0.0
  }
  return m
}
func floatBinary(_ op: BinaryOperator, _ a: Double, _ b: Double) throws(LullError) -> Value {
  switch op {
  case .add: return Value(a + b)
  case .subtract: return Value(a - b)
  case .multiply: return Value(a * b)
  case .divide:
    if b == 0 { throw LullError.zeroDivision("float division by zero") }
    return Value(a / b)
  case .floorDivide:
    if b == 0 { throw LullError.zeroDivision("float floor division by zero") }
    let m = floatModulo(a, b)
    var d = (a - m) / b
    if d != 0 {
      let f = d.rounded(.down)
      d = d - f > 0.5 ? f + 1 : f
    } else {
      d = (a / b).sign == .minus ? -0.0 : 0
    }
    return Value(d)
  case .modulo:
    if b == 0 { throw LullError.zeroDivision("float modulo") }
    return Value(floatModulo(a, b))
  case .power:
    if a == 0, b < 0 {
      throw LullError.zeroDivision("0.0 cannot be raised to a negative power")
    }
    if a < 0, b.isFinite, a.isFinite, b != b.rounded() {
      return try complexBinary(.power, (a, 0), (b, 0))
    }
    let r = pow(a, b)
    if r.isInfinite, a.isFinite, b.isFinite {
      throw LullError("OverflowError", "(34, 'Numerical result out of range')")
    }
    return Value(r)
  default: return .undefined
  }
}

// MARK: - Complex

func complexParts(_ v: Value) -> (Double, Double)? {
  switch v.kind {
  case .complex:
    let p = v.body(ComplexBody.self)
    return (p.pointee.re, p.pointee.im)
  case .float, .int, .bool, .bigInt:
    do { return (try doubleOf(v), 0) } catch { return nil }
  default: return nil
  }
}
func complexBinary(_ op: BinaryOperator, _ a: (Double, Double), _ b: (Double, Double))
  throws(LullError) -> Value
{
  switch op {
  case .add: return makeComplex(a.0 + b.0, a.1 + b.1)
  case .subtract: return makeComplex(a.0 - b.0, a.1 - b.1)
  case .multiply: return makeComplex(a.0 * b.0 - a.1 * b.1, a.0 * b.1 + a.1 * b.0)
  case .divide:
    if b.0 == 0, b.1 == 0 { throw LullError.zeroDivision("complex division by zero") }
    if abs(b.0) >= abs(b.1) {
      let ratio = b.1 / b.0
      let d = b.0 + b.1 * ratio
      return makeComplex((a.0 + a.1 * ratio) / d, (a.1 - a.0 * ratio) / d)
    }
    let ratio = b.0 / b.1
    let d = b.0 * ratio + b.1
    return makeComplex((a.0 * ratio + a.1) / d, (a.1 * ratio - a.0) / d)
  case .power:
    if b.0 == 0, b.1 == 0 { return makeComplex(1, 0) }
    if a.0 == 0, a.1 == 0 {
      if b.1 != 0 || b.0 < 0 {
        throw LullError.zeroDivision("0.0 to a negative or complex power")
      }
      return makeComplex(0, 0)
    }
    if b.1 == 0, b.0 == b.0.rounded(), abs(b.0) <= 100 {
      var r = (1.0, 0.0)
      for _ in 0..<Int(abs(b.0)) { r = (r.0 * a.0 - r.1 * a.1, r.0 * a.1 + r.1 * a.0) }
      if b.0 < 0 { return try complexBinary(.divide, (1, 0), r) }
      return makeComplex(r.0, r.1)
    }
    let m = hypot(a.0, a.1)
    let angle = atan2(a.1, a.0)
    var len = pow(m, b.0)
    var phase = angle * b.0
    if b.1 != 0 {
      len *= exp(-angle * b.1)
      phase += b.1 * log(m)
    }
    return makeComplex(len * cos(phase), len * sin(phase))
  case .floorDivide, .modulo:
    throw LullError.typeError(
      "unsupported operand type(s) for \(symbol(op)): 'complex' and 'complex'")
  default: return .undefined
  }
}

// MARK: - In place

public func inplace(_ op: BinaryOperator, _ a: Value, _ b: Value) throws(LullError) -> Value {
  switch a.tag {
  case .list:
    if op == .add {
      try extendList(a.list, b)
      return a.retained()
    }
    if op == .multiply, let n = try repeatCount(b) {
      let r = try repeated(a, n)
      let items = r.list.array
      for v in items { v.retained() }
      a.list.replace(0..<a.list.pointee.count, with: items)
      r.release()
      return a.retained()
    }
  case .dict:
    if op == .bitOr {
      try updateDict(a.dict, b, mappingOnly: false)
      return a.retained()
    }
  case .bytes where a.isByteArray:
    if op == .add, let new = b.bytesLike {
      a.body(BytesBody.self).pointee.value += new
      return a.retained()
    }
  case .set:
    if !a.set.isFrozen, b.kind == .set {
      switch op {
      case .bitOr:
        try a.set.merge(b.set)
        return a.retained()
      case .subtract, .bitAnd, .bitXor:
        try updateSet(op, a, b)
        return a.retained()
      default: break
      }
    }
  case .instance, .derived, .exception:
    let name = Name(rawValue: Name.__iadd__.rawValue + Int(op.rawValue)) ?? .__iadd__
    let f = a.type.lookup(name)
    if !f.isUndefined {
      let r = try callMethod(f, a, b)
      if !r.isNotImplemented { return r }
    } else if a.kind == .list, op == .add {
      try extendList(a.list, b)
      return a.retained()
    }
  case .native:
    if let slot = a.type.pointee.native?.inplace, let r = try slot(op, a, b) { return r }
  default: break
  }
  let r = try binaryOrNil(op, a, b)
  if !r.isUndefined { return r }
  if op == .add, a.kind == .str || a.kind == .tuple { return try binary(op, a, b) }
  throw LullError.typeError(
    "unsupported operand type(s) for \(op == .power ? "** or pow()" : symbol(op))=: '\(typeName(a))' and '\(typeName(b))'")
}

// MARK: - Unary

public func unaryOperation(_ op: UnaryOperator, _ v: Value) throws(LullError) -> Value {
  switch v.tag {
  case .int, .bool:
    switch op {
    case .negate: return try intBinary(.subtract, 0, v.asInt)
    case .plus: return Value(v.asInt)
    case .invert: return Value(~v.asInt)
    case .not: return Value(!v.asBool)
    }
  case .float:
    if op == .negate { return Value(-v.asDouble) }
    if op == .plus { return v }
  default: break
  }
  if op == .not { return Value(!(try truth(v))) }
  if isCustom(v) {
    let f = v.type.lookup(op == .negate ? .__neg__ : op == .plus ? .__pos__ : .__invert__)
    if !f.isUndefined { return try callMethod(f, v) }
  }
  if v.kind == .native, let slot = v.type.pointee.native?.unary, let r = try slot(op, v) {
    return r
  }
  if v.kind == .complex, let (re, im) = complexParts(v), op != .invert {
    return op == .negate ? makeComplex(-re, -im) : makeComplex(re, im)
  }
  if let b = v.integer {
    switch op {
    case .negate: return makeBig(-b)
    case .plus: return makeBig(b)
    default: return makeBig(-b - 1)
    }
  }
  if v.kind == .float {
    let d = try doubleOf(v)
    if op != .invert { return Value(op == .negate ? -d : d) }
  }
  let s = op == .negate ? "-" : op == .plus ? "+" : "~"
  throw LullError.typeError("bad operand type for unary \(s): '\(typeName(v))'")
}

// MARK: - Truth

public func truth(_ v: Value) throws(LullError) -> Bool {
  switch v.tag {
  case .undefined, .none: return false
  case .bool, .int: return v.bits != 0
  case .float: return v.asDouble != 0
  case .str: return v.str.pointee.byteCount > 0
  case .list: return v.list.pointee.count > 0
  case .tuple: return v.tuple.pointee.count > 0
  case .dict: return v.dict.pointee.count > 0
  case .set: return v.set.pointee.count > 0
  case .range: return v.range.pointee.count > 0
  case .bytes: return !v.bytes.isEmpty
  case .bigInt: return true
  case .complex:
    let p = v.body(ComplexBody.self)
    return p.pointee.re != 0 || p.pointee.im != 0
  case .dictView: return v.body(DictViewBody.self).pointee.dict.dict.pointee.count > 0
  case .instance, .derived, .exception:
    let f = v.type.lookup(.__bool__)
    if !f.isUndefined {
      let r = try callMethod(f, v)
      if r.tag != .bool {
        let n = typeName(r)
        r.release()
        throw LullError.typeError("__bool__ should return bool, returned \(n)")
      }
      return r.asBool
    }
    if !v.type.lookup(.__len__).isUndefined { return try length(v) != 0 }
    switch v.kind {
    case .bigInt: return !v.bigInt.isZero
    case .float: return try doubleOf(v) != 0
    case .str: return v.str.pointee.byteCount > 0
    case .native: return try nativeTruth(v)
    default: return true
    }
  case .native: return try nativeTruth(v)
  default: return true
  }
}
private func nativeTruth(_ v: Value) throws(LullError) -> Bool {
  if let n = v.type.pointee.native {
    if let slot = n.bool { return try slot(v) }
    if let slot = n.len { return try slot(v) != 0 }
  }
  return true
}
func truthReleasing(_ v: Value) throws(LullError) -> Bool {
  defer { v.release() }
  return try truth(v)
}

// MARK: - Comparison

@inline(never) func compareOperation(
  _ op: CompareOperator, _ a: Value, _ b: Value, _ frame: UnsafeMutablePointer<Frame>,
  _ i: UnsafeMutablePointer<Instruction>, fused: Bool = false
) throws(LullError) -> Value {
  if a.isUndefined || b.isUndefined {
    let left = fused ? i.pointee.a : i.pointee.b
    let right = fused ? i.pointee.b : i.pointee.c
    throw unboundLocal(frame, a.isUndefined ? left : right)
  }
  return try compare(op, a, b)
}

private func compareName(_ op: CompareOperator) -> (Name, Name) {
  switch op {
  case .equal: (.__eq__, .__eq__)
  case .notEqual: (.__ne__, .__ne__)
  case .less: (.__lt__, .__gt__)
  case .lessEqual: (.__le__, .__ge__)
  case .greater: (.__gt__, .__lt__)
  default: (.__ge__, .__le__)
  }
}
func compareSymbol(_ op: CompareOperator) -> String {
  switch op {
  case .equal: "=="
  case .notEqual: "!="
  case .less: "<"
  case .lessEqual: "<="
  case .greater: ">"
  case .greaterEqual: ">="
  case .is: "is"
  case .isNot: "is not"
  case .in: "in"
  case .notIn: "not in"
  }
}
@inline(__always) private func decide<T: Comparable>(_ op: CompareOperator, _ a: T, _ b: T) -> Bool {
  switch op {
  case .equal: a == b
  case .notEqual: a != b
  case .less: a < b
  case .lessEqual: a <= b
  case .greater: a > b
  default: a >= b
  }
}
private func decideOrder(_ op: CompareOperator, _ c: Int) -> Bool { decide(op, c, 0) }

/// Rich comparison; the result may be any value.
public func compare(_ op: CompareOperator, _ a: Value, _ b: Value) throws(LullError) -> Value {
  if a.tag == .str, b.tag == .str {
    if op == .equal { return Value(a.str.equals(b.str)) }
    if op == .notEqual { return Value(!a.str.equals(b.str)) }
    return Value(decideOrder(op, a.str.compare(b.str)))
  }
  if isCustom(a) || isCustom(b) {
    let (name, reflected) = compareName(op)
    let left = isCustom(a) ? a.type.lookup(name) : .undefined
    let right = isCustom(b) ? b.type.lookup(reflected) : .undefined
    if !left.isUndefined || !right.isUndefined { try checkNativeStack(" in comparison") }
    let rightFirst = !right.isUndefined && b.type != a.type && b.type.isSubtype(of: a.type)
    if rightFirst {
      let r = try callMethod(right, b, a)
      if !r.isNotImplemented { return r }
    }
    if !left.isUndefined {
      let r = try callMethod(left, a, b)
      if !r.isNotImplemented { return r }
    }
    if !rightFirst, !right.isUndefined {
      let r = try callMethod(right, b, a)
      if !r.isNotImplemented { return r }
    }
    if op == .notEqual {
      // The default `!=` inverts `==`.
      let l = isCustom(a) ? a.type.lookup(.__eq__) : .undefined
      let q = isCustom(b) ? b.type.lookup(.__eq__) : .undefined
      if !l.isUndefined || !q.isUndefined {
        let e = try compare(.equal, a, b)
        return Value(!(try truthReleasing(e)))
      }
    }
    if a.tag == .instance || b.tag == .instance || a.tag == .exception || b.tag == .exception {
      if a.kind == .native || b.kind == .native, let r = try nativeCompare(op, a, b) { return r }
      if op == .equal { return Value(a.isSame(b)) }
      if op == .notEqual { return Value(!a.isSame(b)) }
      throw notOrdered(op, a, b)
    }
  }
  if a.kind == .native || b.kind == .native {
    if let r = try nativeCompare(op, a, b) { return r }
    if op == .equal { return Value(a.isSame(b)) }
    if op == .notEqual { return Value(!a.isSame(b)) }
    throw notOrdered(op, a, b)
  }
  if op == .equal { return Value(try valuesEqual(a, b)) }
  if op == .notEqual { return Value(!(try valuesEqual(a, b))) }
  // Order.
  if a.kind == .float || b.kind == .float, a.kind == .float || a.isInteger,
    b.kind == .float || b.isInteger
  {
    return Value(try compareNumbers(op, a, b))
  }
  if a.isIntOrBool, b.isIntOrBool { return Value(decide(op, a.asInt, b.asInt)) }
  if let x = a.integer, let y = b.integer { return Value(decide(op, x, y)) }
  if let x = a.asStr, let y = b.asStr { return Value(decideOrder(op, x.compare(y))) }
  if a.kind == .list, b.kind == .list {
    return try compareSequences(
      op, a, b, { a.list.pointee.count }, { b.list.pointee.count },
      { a.list.pointee.items[$0] }, { b.list.pointee.items[$0] })
  }
  if a.kind == .tuple, b.kind == .tuple {
    return try compareSequences(
      op, a, b, { a.tuple.pointee.count }, { b.tuple.pointee.count }, { a.tuple.items[$0] },
      { b.tuple.items[$0] })
  }
  if a.kind == .bytes, b.kind == .bytes {
    let x = a.bytes
    let y = b.bytes
    if x == y { return Value(decideOrder(op, 0)) }
    return Value(decideOrder(op, x.lexicographicallyPrecedes(y) ? -1 : 1))
  }
  if let x = setLike(a), let y = setLike(b) {
    defer {
      x.release()
      y.release()
    }
    return Value(try compareSets(op, x.set, y.set))
  }
  throw notOrdered(op, a, b)
}
private func nativeCompare(_ op: CompareOperator, _ a: Value, _ b: Value) throws(LullError) -> Value?
{
  if a.kind == .native, let slot = a.type.pointee.native?.compare, let r = try slot(op, a, b) {
    return r
  }
  if b.kind == .native, let slot = b.type.pointee.native?.compare {
    let swapped: CompareOperator =
      switch op {
      case .less: .greater
      case .lessEqual: .greaterEqual
      case .greater: .less
      case .greaterEqual: .lessEqual
      default: op
      }
    return try slot(swapped, b, a)
  }
  return nil
}
private func notOrdered(_ op: CompareOperator, _ a: Value, _ b: Value) -> LullError {
  LullError.typeError(
    "'\(compareSymbol(op))' not supported between instances of '\(typeName(a))' and '\(typeName(b))'"
  )
}
private func compareSequences(
  _ op: CompareOperator, _ a: Value, _ b: Value, _ n: () -> Int, _ m: () -> Int,
  _ x: (Int) -> Value, _ y: (Int) -> Value
) throws(LullError) -> Value {
  try checkNativeStack(" in comparison")
  var k = 0
  while k < n(), k < m() {
    let p = x(k).retained()
    let q = y(k).retained()
    defer {
      p.release()
      q.release()
    }
    if !(try valuesEqual(p, q)) { return try compare(op, p, q) }
    k += 1
  }
  return Value(decide(op, n(), m()))
}
/// int against float, exactly.
private func compareNumbers(_ op: CompareOperator, _ a: Value, _ b: Value) throws(LullError) -> Bool {
  let x = a.kind == .float ? try doubleOf(a) : 0
  let y = b.kind == .float ? try doubleOf(b) : 0
  if a.kind == .float, b.kind == .float { return decide(op, x, y) }
  if a.kind == .float {
    if x.isNaN { return op == .notEqual }
    return decideOrder(op, -(compareExact(b, x)))
  }
  if y.isNaN { return op == .notEqual }
  return decideOrder(op, compareExact(a, y))
}
/// Sign of (integer value - double).
private func compareExact(_ i: Value, _ d: Double) -> Int {
  if d.isInfinite { return d > 0 ? -1 : 1 }
  if i.isIntOrBool, i.asInt.magnitude < 1 << 53 {
    let x = Double(i.asInt)
    return x < d ? -1 : x > d ? 1 : 0
  }
  let n = i.integer ?? 0
  let f = d.rounded(.down)
  let whole = BigInt(f)
  if n < whole { return -1 }
  if n > whole { return 1 }
  return d > f ? -1 : 0
}

public func valuesEqual(_ a: Value, _ b: Value) throws(LullError) -> Bool {
  if a.tag == b.tag {
    switch a.tag {
    case .int, .bool: return a.bits == b.bits
    case .none: return true
    case .float: return a.asDouble == b.asDouble
    case .str: return a.str.equals(b.str)
    case .list:
      if a.bits == b.bits { return true }
      return try listsEqual(a.list, b.list)
    case .tuple: return try tuplesEqual(a.tuple, b.tuple)
    default: break
    }
  }
  if a.isHeap, a.isSame(b), a.kind != .float, !isCustom(a), a.kind != .native { return true }
  if isCustom(a) || isCustom(b) {
    if a.isSame(b), a.type.lookup(.__eq__).isUndefined { return true }
    let left = isCustom(a) ? a.type.lookup(.__eq__) : .undefined
    let right = isCustom(b) ? b.type.lookup(.__eq__) : .undefined
    if !left.isUndefined || !right.isUndefined {
      return try truthReleasing(try compare(.equal, a, b))
    }
    if a.tag == .instance || b.tag == .instance || a.tag == .exception || b.tag == .exception {
      if a.kind == .native || b.kind == .native {
        return try truthReleasing(try compare(.equal, a, b))
      }
      return a.isSame(b)
    }
  }
  if a.kind == .native || b.kind == .native {
    return try truthReleasing(try compare(.equal, a, b))
  }
  if a.isIntOrBool, b.isIntOrBool { return a.asInt == b.asInt }
  switch (a.kind, b.kind) {
  case (.float, .int), (.float, .bool), (.float, .bigInt), (.int, .float), (.bool, .float),
    (.bigInt, .float), (.float, .float):
    return try compareNumbers(.equal, a, b)
  case (.bigInt, _), (_, .bigInt):
    if let x = a.integer, let y = b.integer { return x == y }
    return false
  case (.str, .str): return a.str.equals(b.str)
  case (.tuple, .tuple): return try tuplesEqual(a.tuple, b.tuple)
  case (.list, .list):
    return try listsEqual(a.list, b.list)
  case (.dict, .dict):
    try checkNativeStack(" in comparison")
    let x = a.dict
    let y = b.dict
    if x.pointee.count != y.pointee.count { return false }
    var k = 0
    while k < x.pointee.used {
      let e = x.pointee.entries[k]
      k += 1
      if e.key.isUndefined { continue }
      let key = e.key.retained()
      let value = e.value.retained()
      defer {
        key.release()
        value.release()
      }
      let j = try y.find(key, e.hash)
      if j < 0 { return false }
      let other = y.pointee.entries[j].value.retained()
      defer { other.release() }
      if !value.isSame(other), !(try valuesEqual(value, other)) { return false }
    }
    return true
  case (.set, .set), (.dictView, .set), (.set, .dictView), (.dictView, .dictView):
    guard let x = setLike(a), let y = setLike(b) else { return a.isSame(b) }
    defer {
      x.release()
      y.release()
    }
    return try compareSets(.equal, x.set, y.set)
  case (.bytes, .bytes): return a.bytes == b.bytes
  case (.complex, _), (_, .complex):
    guard let x = complexParts(a), let y = complexParts(b) else { return false }
    return x.0 == y.0 && x.1 == y.1
  case (.range, .range):
    let x = a.range.pointee
    let y = b.range.pointee
    return x.count == y.count
      && (x.count == 0 || (x.start == y.start && (x.count == 1 || x.step == y.step)))
  case (.slice, .slice):
    let x = a.body(SliceBody.self).pointee
    let y = b.body(SliceBody.self).pointee
    if !(try valuesEqual(x.start, y.start)) { return false }
    if !(try valuesEqual(x.stop, y.stop)) { return false }
    return try valuesEqual(x.step, y.step)
  case (.boundMethod, .boundMethod):
    return a.method.pointee.function.isSame(b.method.pointee.function)
      && a.method.pointee.receiver.isSame(b.method.pointee.receiver)
  default: return a.isSame(b)
  }
}
private func listsEqual(_ x: ListPtr, _ y: ListPtr) throws(LullError) -> Bool {
  try checkNativeStack(" in comparison")
  if x.pointee.count != y.pointee.count { return false }
  var k = 0
  while k < x.pointee.count, k < y.pointee.count {
    let p = x.pointee.items[k].retained()
    let q = y.pointee.items[k].retained()
    defer {
      p.release()
      q.release()
    }
    if !p.isSame(q), !(try valuesEqual(p, q)) { return false }
    k += 1
  }
  return x.pointee.count == y.pointee.count
}
private func tuplesEqual(_ x: TuplePtr, _ y: TuplePtr) throws(LullError) -> Bool {
  if x == y { return true }
  let n = x.pointee.count
  if n != y.pointee.count { return false }
  try checkNativeStack(" in comparison")
  for k in 0..<n {
    let p = x.items[k]
    let q = y.items[k]
    if !p.isSame(q) || p.tag == .float, !(try valuesEqual(p, q)) { return false }
  }
  return true
}

// MARK: - Sets

/// A set for a set or a dict's keys or items view (owned), nil otherwise.
func setLike(_ v: Value) -> Value? {
  if v.kind == .set { return v.retained() }
  if v.kind == .dictView, v.body(DictViewBody.self).pointee.which != .values {
    let s = makeSet()
    do throws(LullError) {
      try forEach(v) { (x) throws(LullError) in try s.set.add(x) }
    } catch {
      s.release()
      return nil
    }
    return s
  }
  return nil
}
func compareSets(_ op: CompareOperator, _ a: SetPtr, _ b: SetPtr) throws(LullError) -> Bool {
  func subset(_ x: SetPtr, _ y: SetPtr) throws(LullError) -> Bool {
    var all = true
    try x.eachElement { (e) throws(LullError) in
      if all, !(try y.has(e.key, e.hash)) { all = false }
    }
    return all
  }
  let n = a.pointee.count
  let m = b.pointee.count
  switch op {
  case .equal: return n == m ? try subset(a, b) : false
  case .notEqual: return n == m ? !(try subset(a, b)) : true
  case .less: return n < m ? try subset(a, b) : false
  case .lessEqual: return n <= m ? try subset(a, b) : false
  case .greater: return n > m ? try subset(b, a) : false
  default: return n >= m ? try subset(b, a) : false
  }
}
func setBinary(_ op: BinaryOperator, _ a: Value, _ b: Value) throws(LullError) -> Value? {
  guard op == .bitOr || op == .bitAnd || op == .bitXor || op == .subtract else { return nil }
  guard a.kind == .set || a.kind == .dictView, b.kind == .set || b.kind == .dictView,
    let x = setLike(a), let y = setLike(b)
  else { return nil }
  defer {
    x.release()
    y.release()
  }
  let frozen = x.set.isFrozen && a.kind == .set
  switch op {
  case .bitOr:
    let r = x.set.copy(frozen: frozen)
    try r.set.merge(y.set)
    return r
  case .bitAnd: return try setIntersection(x.set, y.set, frozen)
  case .subtract: return try setDifference(x.set, y.set, frozen)
  default:
    let r = x.set.copy(frozen: frozen)
    try y.set.eachElement { (e) throws(LullError) in
      if !(try r.set.remove(e.key)) { try r.set.add(e.key, e.hash) }
    }
    return r
  }
}
func setIntersection(_ a: SetPtr, _ b: SetPtr, _ frozen: Bool) throws(LullError) -> Value {
  let r = makeSet(frozen: frozen)
  let (small, large) = b.pointee.count > a.pointee.count ? (a, b) : (b, a)
  try small.eachElement { (e) throws(LullError) in
    if try large.has(e.key, e.hash) { try r.set.add(e.key, e.hash) }
  }
  return r
}
func setDifference(_ a: SetPtr, _ b: SetPtr, _ frozen: Bool) throws(LullError) -> Value {
  let r = makeSet(frozen: frozen)
  try a.eachElement { (e) throws(LullError) in
    if !(try b.has(e.key, e.hash)) { try r.set.add(e.key, e.hash) }
  }
  return r
}

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
    return r.count &* 31 &+ (r.count > 0 ? r.start : 0) &* 17 &+ (r.count > 1 ? r.step : 0)
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
    case .bigInt: return Int((v.bigInt.magnitude % BigUInt(hashModulus))) * (v.bigInt.sign == .minus ? -1 : 1)
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
  try checkNativeStack()
  var acc: UInt64 = 2_870_177_450_012_600_261
  for k in 0..<t.pointee.count {
    let lane = UInt64(bitPattern: Int64(try hashOf(t.items[k])))
    acc = acc &+ lane &* 14_029_467_366_897_019_727
    acc = acc << 31 | acc >> 33
    acc = acc &* 11_400_714_785_074_694_791
  }
  acc = acc &+ (UInt64(t.pointee.count) ^ (2_870_177_450_012_600_261 ^ 3_527_539))
  if acc == UInt64.max { return 1_546_275_796 }
  return Int(Int64(bitPattern: acc))
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
      return r
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
  case .subtract:
    if a.isSame(b) { return a.set.clear() }
    try b.set.eachElement { (e) throws(LullError) in _ = try a.set.remove(e.key) }
  case .bitXor:
    if a.isSame(b) { return a.set.clear() }
    try b.set.eachElement { (e) throws(LullError) in
      if !(try a.set.remove(e.key)) { try a.set.add(e.key, e.hash) }
    }
  default:
    let r = try setIntersection(a.set, b.set, false)
    swap(&a.set.pointee.table, &r.set.pointee.table)
    swap(&a.set.pointee.mask, &r.set.pointee.mask)
    swap(&a.set.pointee.fill, &r.set.pointee.fill)
    swap(&a.set.pointee.count, &r.set.pointee.count)
    a.set.pointee.version &+= 1
    r.release()
  }
}
