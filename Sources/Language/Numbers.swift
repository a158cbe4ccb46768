// Arithmetic of numbers: 64-bit ints that grow into big ones, floats, complex numbers.
import BigInt
import Glibc

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
    return makeBig(
      BigInt(sign: a < 0 ? .minus : .plus, magnitude: shiftedLeft(BigUInt(a.magnitude), b)))
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
  if n / 8 > maximumObjectBytes / 8 { throw LullError.memory() }
}
private func bigPower(_ a: BigInt, _ b: Int) throws(LullError) -> Value {
  let bits = a.magnitude.bitWidth
  let (total, o) = bits.multipliedReportingOverflow(by: b)
  // Results past some tens of megabytes would take hours to multiply out.
  if o || total > min(1 << 30, maximumObjectBytes / 4) {
    throw LullError.memory("the result of ** has too many digits")
  }
  let isNegative = a.sign == .minus && b & 1 == 1
  return makeBig(
    BigInt(sign: isNegative ? .minus : .plus, magnitude: try bigPower(a.magnitude, b)))
}
func bigBinary(_ op: BinaryOperator, _ a: BigInt, _ b: BigInt) throws(LullError) -> Value {
  switch op {
  case .add: return makeBig(a + b)
  case .subtract: return makeBig(a - b)
  case .multiply:
    try checkBits(a.bitWidth + b.bitWidth)
    return makeBig(try bigProduct(a, b))
  case .divide:
    if b.isZero { throw LullError.zeroDivision("division by zero") }
    return Value(try bigDivide(a, b))
  case .floorDivide:
    if b.isZero { throw LullError.zeroDivision("integer division or modulo by zero") }
    return makeBig(try floorDivMod(a, b).0)
  case .modulo:
    if b.isZero { throw LullError.zeroDivision("integer modulo by zero") }
    return makeBig(try floorDivMod(a, b).1)
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
      // As CPython, whose digits are of 30 bits in 4 bytes, and the size of all is 63 bits.
      throw b / 30 > BigInt(Int.max / 4 - 8)
        ? LullError.overflow("too many digits in integer") : LullError.memory()
    }
    try checkBits(n)
    return makeBig(BigInt(sign: a.sign, magnitude: shiftedLeft(a.magnitude, n)))
  case .rightShift:
    if b.sign == .minus { throw LullError.valueError("negative shift count") }
    guard let n = Int(exactly: b), n < 1 << 40 else { return Value(a.sign == .minus ? -1 : 0) }
    // Arithmetic shift rounds down.
    return makeBig(shiftedRight(a, min(n, a.bitWidth + 1)))
  case .bitAnd: return makeBig(bitwise(a, b, &))
  case .bitOr: return makeBig(bitwise(a, b, |))
  case .bitXor: return makeBig(bitwise(a, b, ^))
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
    let m = fmod(a, b)
    var d = (a - m) / b
    if m != 0, (b < 0) != (m < 0) { d -= 1 }
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
    if a == 0, b < 0, b.isFinite {
      throw LullError.zeroDivision("0.0 cannot be raised to a negative power")
    }
    if a < 0, b.isFinite, a.isFinite, b != b.rounded() {
      return try complexBinary(.power, (a, 0), (b, 0))
    }
    let r = pow(a, b)
    if r.isInfinite, a.isFinite, b.isFinite {
      let e = LullError("OverflowError", "(34, 'Numerical result out of range')")
      e.arguments = [Value(34), makeStr("Numerical result out of range")]
      throw e
    }
    return Value(r)
  default: return .undefined
  }
}

// MARK: - Complex

private func finitePower(_ re: Double, _ im: Double) throws(LullError) -> Value {
  if re.isInfinite || im.isInfinite { throw LullError.overflow("complex exponentiation") }
  return makeComplex(re, im)
}

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
      // By squaring, in CPython's order, for the same last digits.
      func product(_ x: (Double, Double), _ y: (Double, Double)) -> (Double, Double) {
        (x.0 * y.0 - x.1 * y.1, x.0 * y.1 + x.1 * y.0)
      }
      var r = (1.0, 0.0)
      var p = a
      var n = Int(abs(b.0))
      while n > 0 {
        if n & 1 == 1 { r = product(r, p) }
        n >>= 1
        if n > 0 { p = product(p, p) }
      }
      if b.0 < 0 { return try complexBinary(.divide, (1, 0), r) }
      return try finitePower(r.0, r.1)
    }
    let m = hypot(a.0, a.1)
    let angle = atan2(a.1, a.0)
    var len = pow(m, b.0)
    var phase = angle * b.0
    if b.1 != 0 {
      len /= exp(angle * b.1)
      phase += b.1 * log(m)
    }
    // What the C library's sine says of an infinite angle is what CPython takes for this error.
    if phase.isInfinite { throw LullError.zeroDivision("0.0 to a negative or complex power") }
    return try finitePower(len * cos(phase), len * sin(phase))
  default: return .undefined
  }
}
