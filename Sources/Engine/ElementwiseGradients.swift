// The gradient of every elementwise operation, in array operations, so that it has gradients too.
//
// `gradients` gives one cotangent an input, in the shape of the output; the caller sums them down
// to the inputs' shapes. Complex numbers follow the field's convention: the cotangent of a
// holomorphic f is multiplied with the conjugate of its derivative.

extension ElementwiseOp {
  /// False for the operations whose gradients are all zero.
  var passesGradient: Bool {
    switch self {
    case .stopGradient, .logicalNot, .invert, .isnan, .isinf, .isfinite, .isposinf, .isneginf,
      .equal, .notEqual, .less, .lessEqual, .greater, .greaterEqual, .logicalAnd, .logicalOr,
      .logicalXor, .bitwiseAnd, .bitwiseOr, .bitwiseXor, .leftShift, .rightShift, .sign, .floor,
      .ceil, .rint, .trunc, .floorDivide:
      false
    default: true
    }
  }

  func gradients(_ out: NDArray, _ g: NDArray) throws(ArrayError) -> [NDArray?] {
    let x = out.input(0)
    func c(_ value: Double) throws(ArrayError) -> NDArray {
      try NDArray.weak(.float(value), like: g.dtype.inexact)
    }
    /// g times the (conjugated) derivative.
    func times(_ derivative: NDArray) throws(ArrayError) -> [NDArray?] {
      [try multiply(g, Engine.conjugate(derivative))]
    }
    switch self {
    case .none, .copy: return [g]
    case .stopGradient: return [nil]
    case .cast:
      if x.dtype == .bool { return [nil] }
      return [(x.dtype.isComplex ? g : Engine.real(g)).astype(x.dtype)]
    case .negative: return [try Engine.negative(g)]
    case .abs:
      if x.dtype.isComplex { return [try multiply(g.astype(x.dtype), Engine.sign(x))] }
      return try times(Engine.sign(x))
    case .square: return try times(multiply(x, c(2)))
    case .sqrt: return try times(divide(c(0.5), out))
    case .rsqrt: return try times(multiply(c(-0.5), divide(out, x)))
    case .reciprocal: return try times(Engine.negative(Engine.square(out)))
    case .exp: return try times(out)
    case .expm1: return try times(Engine.add(out, c(1)))
    case .log: return try times(Engine.reciprocal(x))
    case .log2: return try times(divide(c(1.44269504088896340736), x))
    case .log10: return try times(divide(c(0.43429448190325182765), x))
    case .log1p: return try times(Engine.reciprocal(Engine.add(x, c(1))))
    case .sin: return try times(Engine.cos(x))
    case .cos: return try times(Engine.negative(Engine.sin(x)))
    case .tan: return try times(Engine.add(Engine.square(out), c(1)))
    case .arcsin: return try times(Engine.rsqrt(Engine.subtract(c(1), Engine.square(x))))
    case .arccos:
      return try times(
        Engine.negative(Engine.rsqrt(Engine.subtract(c(1), Engine.square(x)))))
    case .arctan: return try times(Engine.reciprocal(Engine.add(Engine.square(x), c(1))))
    case .sinh: return try times(Engine.cosh(x))
    case .cosh: return try times(Engine.sinh(x))
    case .tanh: return try times(Engine.subtract(c(1), Engine.square(out)))
    case .arcsinh: return try times(Engine.rsqrt(Engine.add(Engine.square(x), c(1))))
    case .arccosh: return try times(Engine.rsqrt(Engine.subtract(Engine.square(x), c(1))))
    case .arctanh: return try times(Engine.reciprocal(Engine.subtract(c(1), Engine.square(x))))
    case .sigmoid: return try times(multiply(out, Engine.subtract(c(1), out)))
    case .erf:
      return try times(
        multiply(c(1.12837916709551257390), Engine.exp(Engine.negative(Engine.square(x)))))
    case .erfinv:
      return try times(multiply(c(0.88622692545275801365), Engine.exp(Engine.square(out))))
    case .real: return [g.astype(x.dtype)]
    case .imag:
      return [try multiply(g.astype(x.dtype), NDArray(.complex(0, 1), dtype: x.dtype))]
    case .conjugate: return [Engine.conjugate(g)]
    case .sign, .floor, .ceil, .rint, .trunc:
      return [try NDArray.zeros(x.shape, dtype: x.dtype)]
    case .logicalNot, .invert, .isnan, .isinf, .isfinite, .isposinf, .isneginf: return [nil]
    case .equal, .notEqual, .less, .lessEqual, .greater, .greaterEqual, .logicalAnd, .logicalOr,
      .logicalXor, .bitwiseAnd, .bitwiseOr, .bitwiseXor, .leftShift, .rightShift:
      return [nil, nil]
    case .add: return [g, g]
    case .subtract: return [g, try Engine.negative(g)]
    case .multiply:
      let y = out.input(1)
      return [
        try Engine.multiply(Engine.conjugate(y), g), try Engine.multiply(Engine.conjugate(x), g),
      ]
    case .divide:
      let y = out.input(1)
      let first = try Engine.divide(g, Engine.conjugate(y))
      return [first, try Engine.negative(Engine.multiply(first, Engine.conjugate(out)))]
    case .floorDivide:
      let none = try NDArray.zeros(out.shape, dtype: out.dtype)
      return [none, none]
    case .remainder:
      let y = out.input(1)
      return [g, try Engine.negative(Engine.multiply(g, Engine.floorDivide(x, y)))]
    case .power:
      let y = out.input(1)
      let one = try c(1)
      // x^(y-1) * y, and out * log(x), which is nothing where x is zero.
      let first = try Engine.multiply(y, Engine.power(x, Engine.subtract(y, one)))
      let safe = try `where`(Engine.equal(x, c(0)), one, x)
      let second = try Engine.multiply(out, Engine.log(safe))
      return [
        try Engine.multiply(g, Engine.conjugate(first)),
        try Engine.multiply(g, Engine.conjugate(second)),
      ]
    case .maximum, .minimum:
      let y = out.input(1)
      let mask = try self == .maximum ? Engine.greater(x, y) : Engine.less(x, y)
      return [try `where`(mask, g, zero(g)), try `where`(mask, zero(g), g)]
    case .arctan2:
      let y = out.input(1)
      let r = try Engine.divide(g, Engine.add(Engine.square(x), Engine.square(y)))
      return [try Engine.multiply(r, y), try Engine.negative(Engine.multiply(r, x))]
    case .logaddexp:
      let y = out.input(1)
      return [
        try Engine.multiply(g, Engine.exp(Engine.subtract(x, out))),
        try Engine.multiply(g, Engine.exp(Engine.subtract(y, out))),
      ]
    case .select:
      return [nil, try `where`(x, g, zero(g)), try `where`(x, zero(g), g)]
    }
  }

  private func multiply(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
    try Engine.multiply(a, b)
  }
  private func divide(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
    try Engine.divide(a, b)
  }
  private func zero(_ x: NDArray) throws(ArrayError) -> NDArray {
    try NDArray.zeros(Shape(), dtype: x.dtype)
  }
}
