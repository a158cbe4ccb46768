// An elementwise operation by its name over any inputs, checked as if a program had called it: exported
// functions are read with this.

extension ElementwiseOp {
  private static let byName: [String: ElementwiseOp] = {
    var table: [String: ElementwiseOp] = [:]
    var raw: UInt8 = 1
    while let op = ElementwiseOp(rawValue: raw) {
      table[op.name.description] = op
      raw += 1
    }
    return table
  }()
  static func named(_ name: String) -> ElementwiseOp? { byName[name] }

  func rebuild(_ x: [NDArray], dtype: DType) throws(ArrayError) -> NDArray {
    guard x.count == inputCount else {
      throw .argument(op: name, message: "\(x.count) inputs instead of \(inputCount)")
    }
    let a = x[0]
    switch self {
    case .none, .copy: throw .argument(op: name, message: "is no operation of a program")
    case .cast: return a.astype(dtype)
    case .stopGradient: return Engine.stopGradient(a)
    case .negative: return try Engine.negative(a)
    case .abs: return Engine.abs(a)
    case .sign: return Engine.sign(a)
    case .square: return Engine.square(a)
    case .sqrt: return Engine.sqrt(a)
    case .rsqrt: return Engine.rsqrt(a)
    case .reciprocal: return Engine.reciprocal(a)
    case .exp: return Engine.exp(a)
    case .expm1: return Engine.expm1(a)
    case .log: return Engine.log(a)
    case .log2: return Engine.log2(a)
    case .log10: return Engine.log10(a)
    case .log1p: return Engine.log1p(a)
    case .sin: return Engine.sin(a)
    case .cos: return Engine.cos(a)
    case .tan: return Engine.tan(a)
    case .arcsin: return Engine.arcsin(a)
    case .arccos: return Engine.arccos(a)
    case .arctan: return Engine.arctan(a)
    case .sinh: return Engine.sinh(a)
    case .cosh: return Engine.cosh(a)
    case .tanh: return Engine.tanh(a)
    case .arcsinh: return Engine.arcsinh(a)
    case .arccosh: return Engine.arccosh(a)
    case .arctanh: return Engine.arctanh(a)
    case .sigmoid: return try Engine.sigmoid(a)
    case .erf: return try Engine.erf(a)
    case .erfinv: return try Engine.erfinv(a)
    case .floor: return try Engine.floor(a)
    case .ceil: return try Engine.ceil(a)
    case .rint: return try Engine.round(a)
    case .trunc: return try Engine.trunc(a)
    case .logicalNot: return Engine.logicalNot(a)
    case .invert: return try Engine.bitwiseInvert(a)
    case .isnan: return Engine.isnan(a)
    case .isinf: return Engine.isinf(a)
    case .isfinite: return Engine.isfinite(a)
    case .isposinf: return try Engine.isposinf(a)
    case .isneginf: return try Engine.isneginf(a)
    case .real: return Engine.real(a)
    case .imag: return try Engine.imag(a)
    case .conjugate: return Engine.conjugate(a)
    case .add: return try Engine.add(a, x[1])
    case .subtract: return try Engine.subtract(a, x[1])
    case .multiply: return try Engine.multiply(a, x[1])
    case .divide: return try Engine.divide(a, x[1])
    case .floorDivide: return try Engine.floorDivide(a, x[1])
    case .remainder: return try Engine.remainder(a, x[1])
    case .power: return try Engine.power(a, x[1])
    case .maximum: return try Engine.maximum(a, x[1])
    case .minimum: return try Engine.minimum(a, x[1])
    case .arctan2: return try Engine.arctan2(a, x[1])
    case .logaddexp: return try Engine.logaddexp(a, x[1])
    case .equal: return try Engine.equal(a, x[1])
    case .notEqual: return try Engine.notEqual(a, x[1])
    case .less: return try Engine.less(a, x[1])
    case .lessEqual: return try Engine.lessEqual(a, x[1])
    case .greater: return try Engine.greater(a, x[1])
    case .greaterEqual: return try Engine.greaterEqual(a, x[1])
    case .logicalAnd: return try Engine.logicalAnd(a, x[1])
    case .logicalOr: return try Engine.logicalOr(a, x[1])
    case .logicalXor: return try Engine.logicalXor(a, x[1])
    case .bitwiseAnd: return try Engine.bitwiseAnd(a, x[1])
    case .bitwiseOr: return try Engine.bitwiseOr(a, x[1])
    case .bitwiseXor: return try Engine.bitwiseXor(a, x[1])
    case .leftShift: return try Engine.leftShift(a, x[1])
    case .rightShift: return try Engine.rightShift(a, x[1])
    case .select: return try `where`(a, x[1], x[2])
    }
  }

  /// How many inputs the operation has.
  var inputCount: Int {
    rawValue >= ElementwiseOp.select.rawValue ? 3 : rawValue >= ElementwiseOp.add.rawValue ? 2 : 1
  }
}
