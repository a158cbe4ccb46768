// The elementwise operations: what each is called, and how it becomes instructions.
//
// A node of these carries its `ElementwiseOp` instead of a primitive; inputs broadcast to the
// node's shape implicitly and have been cast to one dtype when the node was built. So the whole
// family fuses (see Fusion.swift). Gradients are in ElementwiseGradients.swift.

enum ElementwiseOp: UInt8 {
  case none
  // One operand.
  case copy, cast, stopGradient
  case negative, abs, sign, square, sqrt, rsqrt, reciprocal, exp, expm1, log, log2, log10, log1p
  case sin, cos, tan, arcsin, arccos, arctan, sinh, cosh, tanh, arcsinh, arccosh, arctanh
  case sigmoid, erf, erfinv, floor, ceil, rint, trunc, logicalNot, invert
  case isnan, isinf, isfinite, isposinf, isneginf, real, imag, conjugate
  // Two.
  case add, subtract, multiply, divide, floorDivide, remainder, power, maximum, minimum
  case arctan2, logaddexp, equal, notEqual, less, lessEqual, greater, greaterEqual
  case logicalAnd, logicalOr, logicalXor, bitwiseAnd, bitwiseOr, bitwiseXor, leftShift, rightShift
  // Three.
  case select

  var name: OperationName {
    switch self {
    case .none: "none"
    case .copy: "copy"
    case .cast: "astype"
    case .stopGradient: "stop_gradient"
    case .negative: "negative"
    case .abs: "abs"
    case .sign: "sign"
    case .square: "square"
    case .sqrt: "sqrt"
    case .rsqrt: "rsqrt"
    case .reciprocal: "reciprocal"
    case .exp: "exp"
    case .expm1: "expm1"
    case .log: "log"
    case .log2: "log2"
    case .log10: "log10"
    case .log1p: "log1p"
    case .sin: "sin"
    case .cos: "cos"
    case .tan: "tan"
    case .arcsin: "arcsin"
    case .arccos: "arccos"
    case .arctan: "arctan"
    case .sinh: "sinh"
    case .cosh: "cosh"
    case .tanh: "tanh"
    case .arcsinh: "arcsinh"
    case .arccosh: "arccosh"
    case .arctanh: "arctanh"
    case .sigmoid: "sigmoid"
    case .erf: "erf"
    case .erfinv: "erfinv"
    case .floor: "floor"
    case .ceil: "ceil"
    case .rint: "round"
    case .trunc: "trunc"
    case .logicalNot: "logical_not"
    case .invert: "bitwise_invert"
    case .isnan: "isnan"
    case .isinf: "isinf"
    case .isfinite: "isfinite"
    case .isposinf: "isposinf"
    case .isneginf: "isneginf"
    case .real: "real"
    case .imag: "imag"
    case .conjugate: "conjugate"
    case .add: "add"
    case .subtract: "subtract"
    case .multiply: "multiply"
    case .divide: "divide"
    case .floorDivide: "floor_divide"
    case .remainder: "remainder"
    case .power: "power"
    case .maximum: "maximum"
    case .minimum: "minimum"
    case .arctan2: "arctan2"
    case .logaddexp: "logaddexp"
    case .equal: "equal"
    case .notEqual: "not_equal"
    case .less: "less"
    case .lessEqual: "less_equal"
    case .greater: "greater"
    case .greaterEqual: "greater_equal"
    case .logicalAnd: "logical_and"
    case .logicalOr: "logical_or"
    case .logicalXor: "logical_xor"
    case .bitwiseAnd: "bitwise_and"
    case .bitwiseOr: "bitwise_or"
    case .bitwiseXor: "bitwise_xor"
    case .leftShift: "left_shift"
    case .rightShift: "right_shift"
    case .select: "where"
    }
  }

  /// Rounding and selecting keep a value representable, so float16 needs no rounding after them.
  var isExact: Bool {
    switch self {
    case .negative, .abs, .sign, .floor, .ceil, .rint, .trunc, .maximum, .minimum, .select,
      .conjugate, .real, .imag:
      true
    default: false
    }
  }
}

extension NDArray {
  /// The name of the operation that makes this pending array, as users write it.
  public var operationName: String? {
    op != .none
      ? (buffer == nil || in0 != nil ? op.name.description : nil)
      : primitive?.name.description
  }

  static func unary(_ op: ElementwiseOp, _ x: NDArray, dtype: DType? = nil) -> NDArray {
    NDArray(op: op, shape: x.shape, dtype: dtype ?? x.dtype, x)
  }

  /// A function that takes and gives inexact numbers: integers become float32.
  static func inexact(_ op: ElementwiseOp, _ x: NDArray) -> NDArray {
    let y = x.astype(x.dtype.inexact)
    return NDArray(op: op, shape: y.shape, dtype: y.dtype, y)
  }

  static func real(_ op: ElementwiseOp, _ x: NDArray) throws(ArrayError) -> NDArray {
    if x.dtype.isComplex { throw .dtype(op: op.name, found: x.dtype, needed: "a real dtype") }
    return inexact(op, x)
  }

  static func binary(
    _ op: ElementwiseOp, _ a: NDArray, _ b: NDArray, in dtype: DType? = nil, out: DType? = nil
  ) throws(ArrayError) -> NDArray {
    let isSame = a.hasShape(of: b)
    if isSame && a.dtype == b.dtype && (dtype == nil || dtype == a.dtype) {
      return NDArray(op: op, like: a, dtype: out ?? a.dtype, b)
    }
    if b.shape.count == 0 && a.dtype == b.dtype && (dtype == nil || dtype == a.dtype) {
      return NDArray(op: op, like: a, dtype: out ?? a.dtype, b)
    }
    let shape = isSame ? a.shape : try Shape.broadcast(a.shape, b.shape, op: op.name)
    if !isSame && shape.count > 0 { _ = try shape.elementCount(op: op.name) }
    let common = dtype ?? DType.promoted(a.dtype, b.dtype)
    return NDArray(
      op: op, shape: shape, dtype: out ?? common, a.astype(common), b.astype(common))
  }

  /// The array with each value converted: floats truncate to integers, integers wrap.
  public func astype(_ dtype: DType) -> NDArray {
    dtype == self.dtype ? self : NDArray(op: .cast, shape: shape, dtype: dtype, self)
  }
}

// MARK: - The operations

public func negative(_ x: NDArray) throws(ArrayError) -> NDArray {
  if x.dtype == .bool {
    throw .dtype(op: "negative", found: .bool, needed: "numbers; for bool use logical_not")
  }
  return .unary(.negative, x)
}
public func abs(_ x: NDArray) -> NDArray {
  x.dtype.isUnsigned || x.dtype == .bool
    ? x : .unary(.abs, x, dtype: x.dtype.realPart)
}
public func sign(_ x: NDArray) -> NDArray { .unary(.sign, x) }
public func square(_ x: NDArray) -> NDArray { .unary(.square, x) }
public func sqrt(_ x: NDArray) -> NDArray { .inexact(.sqrt, x) }
public func rsqrt(_ x: NDArray) -> NDArray { .inexact(.rsqrt, x) }
public func reciprocal(_ x: NDArray) -> NDArray { .inexact(.reciprocal, x) }
public func exp(_ x: NDArray) -> NDArray { .inexact(.exp, x) }
public func expm1(_ x: NDArray) -> NDArray { .inexact(.expm1, x) }
public func log(_ x: NDArray) -> NDArray { .inexact(.log, x) }
public func log2(_ x: NDArray) -> NDArray { .inexact(.log2, x) }
public func log10(_ x: NDArray) -> NDArray { .inexact(.log10, x) }
public func log1p(_ x: NDArray) -> NDArray { .inexact(.log1p, x) }
public func sin(_ x: NDArray) -> NDArray { .inexact(.sin, x) }
public func cos(_ x: NDArray) -> NDArray { .inexact(.cos, x) }
public func tan(_ x: NDArray) -> NDArray { .inexact(.tan, x) }
public func arcsin(_ x: NDArray) -> NDArray { .inexact(.arcsin, x) }
public func arccos(_ x: NDArray) -> NDArray { .inexact(.arccos, x) }
public func arctan(_ x: NDArray) -> NDArray { .inexact(.arctan, x) }
public func sinh(_ x: NDArray) -> NDArray { .inexact(.sinh, x) }
public func cosh(_ x: NDArray) -> NDArray { .inexact(.cosh, x) }
public func tanh(_ x: NDArray) -> NDArray { .inexact(.tanh, x) }
public func arcsinh(_ x: NDArray) -> NDArray { .inexact(.arcsinh, x) }
public func arccosh(_ x: NDArray) -> NDArray { .inexact(.arccosh, x) }
public func arctanh(_ x: NDArray) -> NDArray { .inexact(.arctanh, x) }
public func sigmoid(_ x: NDArray) throws(ArrayError) -> NDArray { try .real(.sigmoid, x) }
public func erf(_ x: NDArray) throws(ArrayError) -> NDArray { try .real(.erf, x) }
public func erfinv(_ x: NDArray) throws(ArrayError) -> NDArray { try .real(.erfinv, x) }
public func degrees(_ x: NDArray) throws(ArrayError) -> NDArray {
  let y = x.astype(x.dtype.inexact)
  return try multiply(y, NDArray.weak(.float(180 / Double.pi), like: y.dtype))
}
public func radians(_ x: NDArray) throws(ArrayError) -> NDArray {
  let y = x.astype(x.dtype.inexact)
  return try multiply(y, NDArray.weak(.float(Double.pi / 180), like: y.dtype))
}

private func rounding(_ op: ElementwiseOp, _ x: NDArray) throws(ArrayError) -> NDArray {
  if x.dtype.isComplex && op != .rint {
    throw .dtype(op: op.name, found: x.dtype, needed: "a real dtype")
  }
  return x.dtype.isInexact ? .unary(op, x) : x
}
public func floor(_ x: NDArray) throws(ArrayError) -> NDArray { try rounding(.floor, x) }
public func ceil(_ x: NDArray) throws(ArrayError) -> NDArray { try rounding(.ceil, x) }
public func trunc(_ x: NDArray) throws(ArrayError) -> NDArray { try rounding(.trunc, x) }
/// Rounds half to even, to a number of decimals (negative ones: tens, hundreds).
public func round(_ x: NDArray, decimals: Int = 0) throws(ArrayError) -> NDArray {
  if decimals == 0 { return try rounding(.rint, x) }
  var scale = 1.0
  for _ in 0..<min(Swift.abs(decimals), 400) { scale *= 10 }
  if x.dtype.isInteger && decimals > 0 { return x }
  let y = x.astype(x.dtype.inexact)
  let factor = try NDArray.weak(.float(scale), like: y.dtype)
  let result =
    decimals > 0
    ? try divide(rounding(.rint, multiply(y, factor)), factor)
    : try multiply(rounding(.rint, divide(y, factor)), factor)
  return result.astype(x.dtype)
}

public func logicalNot(_ x: NDArray) -> NDArray { .unary(.logicalNot, x, dtype: .bool) }
public func bitwiseInvert(_ x: NDArray) throws(ArrayError) -> NDArray {
  if x.dtype.isInexact {
    throw .dtype(op: "bitwise_invert", found: x.dtype, needed: "integers or bools")
  }
  return .unary(.invert, x)
}
public func isnan(_ x: NDArray) -> NDArray { .unary(.isnan, x, dtype: .bool) }
public func isinf(_ x: NDArray) -> NDArray { .unary(.isinf, x, dtype: .bool) }
public func isfinite(_ x: NDArray) -> NDArray { .unary(.isfinite, x, dtype: .bool) }
public func isposinf(_ x: NDArray) throws(ArrayError) -> NDArray {
  if x.dtype.isComplex {
    return try equal(x, NDArray(.complex(.infinity, 0)))
  }
  return .unary(.isposinf, x, dtype: .bool)
}
public func isneginf(_ x: NDArray) throws(ArrayError) -> NDArray {
  if x.dtype.isComplex {
    return try equal(x, NDArray(.complex(-.infinity, 0)))
  }
  return .unary(.isneginf, x, dtype: .bool)
}
public func real(_ x: NDArray) -> NDArray {
  x.dtype.isComplex ? .unary(.real, x, dtype: x.dtype.realPart) : x
}
public func imag(_ x: NDArray) throws(ArrayError) -> NDArray {
  x.dtype.isComplex
    ? .unary(.imag, x, dtype: x.dtype.realPart) : try NDArray.zeros(x.shape, dtype: x.dtype)
}
public func conjugate(_ x: NDArray) -> NDArray { x.dtype.isComplex ? .unary(.conjugate, x) : x }
/// The same values, through which no gradient flows.
public func stopGradient(_ x: NDArray) -> NDArray { .unary(.stopGradient, x) }

public func add(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  try .binary(.add, a, b)
}
public func subtract(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  try .binary(.subtract, a, b)
}
public func multiply(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  try .binary(.multiply, a, b)
}
public func divide(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  try .binary(.divide, a, b, in: DType.promoted(a.dtype, b.dtype).inexact)
}
public func floorDivide(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  try .binary(.floorDivide, a, b)
}
public func remainder(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  let dtype = DType.promoted(a.dtype, b.dtype)
  if dtype.isComplex { throw .dtype(op: "remainder", found: dtype, needed: "real dtypes") }
  return try .binary(.remainder, a, b)
}
public func divmod(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> (NDArray, NDArray) {
  // As MLX has it, no gradient flows through either; remainder and floor_divide alone have theirs.
  (stopGradient(try floorDivide(a, b)), stopGradient(try remainder(a, b)))
}
public func power(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  try .binary(.power, a, b)
}
public func maximum(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  try .binary(.maximum, a, b)
}
public func minimum(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  try .binary(.minimum, a, b)
}
public func arctan2(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  let dtype = DType.promoted(a.dtype, b.dtype).inexact
  if dtype.isComplex { throw .dtype(op: "arctan2", found: dtype, needed: "real dtypes") }
  return try .binary(.arctan2, a, b, in: dtype)
}
public func logaddexp(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  try .binary(.logaddexp, a, b, in: DType.promoted(a.dtype, b.dtype).inexact)
}
public func equal(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  try .binary(.equal, a, b, out: .bool)
}
public func notEqual(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  try .binary(.notEqual, a, b, out: .bool)
}
public func less(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  try .binary(.less, a, b, out: .bool)
}
public func lessEqual(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  try .binary(.lessEqual, a, b, out: .bool)
}
public func greater(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  try .binary(.greater, a, b, out: .bool)
}
public func greaterEqual(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  try .binary(.greaterEqual, a, b, out: .bool)
}
public func logicalAnd(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  try .binary(.logicalAnd, a, b, in: .bool)
}
public func logicalOr(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  try .binary(.logicalOr, a, b, in: .bool)
}
public func logicalXor(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  try .binary(.logicalXor, a, b, in: .bool)
}

private func bits(_ op: ElementwiseOp, _ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  var dtype = DType.promoted(a.dtype, b.dtype)
  if dtype.isInexact { throw .dtype(op: op.name, found: dtype, needed: "integers or bools") }
  if dtype == .bool && (op == .leftShift || op == .rightShift) { dtype = .uint8 }
  return try .binary(op, a, b, in: dtype)
}
public func bitwiseAnd(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  try bits(.bitwiseAnd, a, b)
}
public func bitwiseOr(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  try bits(.bitwiseOr, a, b)
}
public func bitwiseXor(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  try bits(.bitwiseXor, a, b)
}
public func leftShift(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  try bits(.leftShift, a, b)
}
public func rightShift(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  try bits(.rightShift, a, b)
}

/// `x` where the condition holds, else `y`; all three broadcast.
public func `where`(_ condition: NDArray, _ x: NDArray, _ y: NDArray) throws(ArrayError) -> NDArray
{
  let dtype = DType.promoted(x.dtype, y.dtype)
  let values = try Shape.broadcast(x.shape, y.shape, op: "where")
  let shape = try Shape.broadcast(condition.shape, values, op: "where")
  _ = try shape.elementCount(op: "where")
  return NDArray(
    op: .select, shape: shape, dtype: dtype, condition.astype(.bool), x.astype(dtype),
    y.astype(dtype))
}

public func clip(_ x: NDArray, min low: NDArray?, max high: NDArray?) throws(ArrayError) -> NDArray
{
  guard low != nil || high != nil else {
    throw .argument(op: "clip", message: "at least one of a_min and a_max must be given")
  }
  var y = x
  if let low { y = try maximum(y, low) }
  if let high { y = try minimum(y, high) }
  return y
}

public func nanToNum(
  _ x: NDArray, nan: Double = 0, posinf: Double? = nil, neginf: Double? = nil
) throws(ArrayError) -> NDArray {
  guard x.dtype.isInexact else { return x }
  guard let info = FloatInfo(x.dtype), !x.dtype.isComplex else {
    throw .dtype(op: "nan_to_num", found: x.dtype, needed: "a real dtype")
  }
  func constant(_ value: Double) throws(ArrayError) -> NDArray {
    try NDArray.weak(.float(value), like: x.dtype)
  }
  var y = try `where`(isnan(x), constant(nan), x)
  y = try `where`(isposinf(x), constant(posinf ?? info.max), y)
  return try `where`(isneginf(x), constant(neginf ?? info.min), y)
}
