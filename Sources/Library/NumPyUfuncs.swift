// NumPy's universal functions: one element in, one out, or two in. Each row of the table says in which dtypes it
// works: the operands first meet under NumPy's rules, then the engine's operation runs on equal dtypes.

import Engine
import Language

/// What happens to the dtype of the operands before an operation.
private enum Rule {
  /// As they are.
  case same
  /// To NumPy's float for the dtype.
  case float
  /// Integers to float64.
  case divide
}

private final class Ufunc {
  let name: String
  /// A line of documentation, and the arguments of an example with what it gives.
  let doc: String
  let example: String
  let rule: Rule
  let one: ((NDArray) throws -> NDArray)?
  let two: ((NDArray, NDArray) throws -> NDArray)?
  /// The reduction that folds with it, where the engine has one.
  let reduction: String?
  let accumulation: String?
  init(
    _ name: String, _ doc: String, _ example: String, _ rule: Rule,
    one: ((NDArray) throws -> NDArray)? = nil,
    two: ((NDArray, NDArray) throws -> NDArray)? = nil, reduction: String? = nil,
    accumulation: String? = nil
  ) {
    self.name = name
    self.doc = doc
    self.example = example
    self.rule = rule
    self.one = one
    self.two = two
    self.reduction = reduction
    self.accumulation = accumulation
  }
  var inputCount: Int { one == nil ? 2 : 1 }

  func apply(_ x: NDArray) throws -> NDArray { try one.map { try $0(ready(x)) } ?? x }
  func apply(_ x: NDArray, _ y: NDArray) throws -> NDArray {
    try two.map { try $0(ready(x), ready(y)) } ?? x
  }
  private func ready(_ x: NDArray) -> NDArray {
    switch rule {
    case .same: x
    case .float: x.astype(numpyFloat(x.dtype))
    case .divide: x.dtype.isInexact ? x : x.astype(.float64)
    }
  }
}

private func one(
  _ name: String, _ doc: String, _ example: String, _ rule: Rule,
  _ f: @escaping (NDArray) throws -> NDArray
) -> Ufunc { Ufunc(name, doc, example, rule, one: f) }
private func two(
  _ name: String, _ doc: String, _ example: String, _ rule: Rule, reduction: String? = nil,
  accumulation: String? = nil, _ f: @escaping (NDArray, NDArray) throws -> NDArray
) -> Ufunc {
  Ufunc(name, doc, example, rule, two: f, reduction: reduction, accumulation: accumulation)
}

/// Keeps integers and bools as they are.
private func rounding(_ f: @escaping (NDArray) throws -> NDArray) -> (NDArray) throws -> NDArray {
  { $0.dtype.isInexact ? try f($0) : $0 }
}
private func number(_ d: Double, like x: NDArray) throws -> NDArray {
  try NDArray(.float(d), dtype: x.dtype)
}
/// x where it is no NaN, else y: for fmax and fmin.
private func skippingNaN(
  _ x: NDArray, _ y: NDArray, _ f: (NDArray, NDArray) throws -> NDArray
) throws -> NDArray {
  if !x.dtype.isInexact { return try f(x, y) }
  return try `where`(isnan(x), y, `where`(isnan(y), x, f(x, y)))
}
/// Integer division and remainder by zero give 0, as NumPy has it.
private func guarded(
  _ x: NDArray, _ y: NDArray, _ f: (NDArray, NDArray) throws -> NDArray
) throws -> NDArray {
  if x.dtype.isInexact { return try f(x, y) }
  let (zero, unit) = (try NDArray(.int(0), dtype: y.dtype), try NDArray(.int(1), dtype: y.dtype))
  let bad = try equal(y, zero)
  return try `where`(bad, zero, f(x, `where`(bad, unit, y)))
}
private func truncatedRemainder(_ x: NDArray, _ y: NDArray) throws -> NDArray {
  let rest = try guarded(x, y) { try remainder($0, $1) }
  // The sign of x: shift the floored remainder where the signs differ.
  let zero = try NDArray(.int(0), dtype: x.dtype)
  let differs = try logicalAnd(
    notEqual(rest, zero), logicalXor(less(x, zero), less(y, zero)))
  return try `where`(differs, subtract(rest, y), rest)
}
private func poweredUp(_ x: NDArray, _ y: NDArray) throws -> NDArray {
  if x.dtype == .bool { return try power(x.astype(.int8), y.astype(.int8)) }
  if x.dtype.isSigned, y.isEvaluated, y.size > 0 {
    let zero = try NDArray(.int(0), dtype: y.dtype)
    if try any(less(y, zero)).item().int != 0 {
      throw LullError.valueError("Integers to negative integer powers are not allowed.")
    }
  }
  return try power(x, y)
}

nonisolated(unsafe) private let ufuncs: [Ufunc] = [
  one("absolute", "Absolute value.", "([-1.5, 2])\narray([1.5, 2. ])", .same) { abs($0) },
  one("fabs", "Absolute value as a float.", "([-1, 2])\narray([1., 2.])", .float) { abs($0) },
  one("negative", "-x.", "([1, -2])\narray([-1,  2])", .same) { x in
    if x.dtype == .bool {
      throw LullError.typeError(
        "the numpy boolean negative, the `-` operator, is not supported, use `~`")
    }
    return try negative(x)
  },
  one("positive", "x itself.", "([1, -2])\narray([ 1, -2])", .same) { $0 },
  one("sign", "-1, 0 or 1, by the sign.", "([-3, 0, 2])\narray([-1,  0,  1])", .same) { sign($0) },
  one("square", "x * x.", "([2, 3])\narray([4, 9])", .same) { x in
    try x.dtype == .bool ? x : multiply(x, x)
  },
  one("sqrt", "Square root.", "([4, 9])\narray([2., 3.])", .float) { sqrt($0) },
  one("cbrt", "Cube root.", "([8, 27])\narray([2., 3.])", .float) { x in
    try multiply(sign(x), power(abs(x), number(1.0 / 3.0, like: x)))
  },
  one("reciprocal", "1 / x.", "([2.0, 4.0])\narray([0.5 , 0.25])", .same) { x in
    x.dtype.isInexact
      ? reciprocal(x) : try guarded(NDArray(.int(1), dtype: x.dtype), x) { try floorDivide($0, $1) }
  },
  one("exp", "e to the power x.", "([0, 1])\narray([1.        , 2.71828183])", .float) { exp($0) },
  one(
    "expm1", "exp(x) - 1, exact for small x.", "([0, 1])\narray([0.        , 1.71828183])", .float
  ) { expm1($0) },
  one("exp2", "2 to the power x.", "([3, 0.5])\narray([8.        , 1.41421356])", .float) { x in
    try power(number(2, like: x), x)
  },
  one("log", "Natural logarithm.", "([1, 10])\narray([0.        , 2.30258509])", .float) {
    log($0)
  },
  one("log2", "Logarithm to base 2.", "([1, 8])\narray([0., 3.])", .float) { log2($0) },
  one("log10", "Logarithm to base 10.", "([1, 100])\narray([0., 2.])", .float) { log10($0) },
  one(
    "log1p", "log(1 + x), exact for small x.", "([0, 1])\narray([0.        , 0.69314718])", .float
  ) { log1p($0) },
  one("sin", "Sine of an angle in radians.", "([0, 1])\narray([0.        , 0.84147098])", .float) {
    sin($0)
  },
  one("cos", "Cosine of an angle in radians.", "([0, 1])\narray([1.        , 0.54030231])", .float)
  { cos($0) },
  one("tan", "Tangent of an angle in radians.", "([0, 1])\narray([0.        , 1.55740772])", .float)
  { tan($0) },
  one("arcsin", "Inverse sine, in radians.", "([0, 1])\narray([0.        , 1.57079633])", .float) {
    arcsin($0)
  },
  one("arccos", "Inverse cosine, in radians.", "([1, 0])\narray([0.        , 1.57079633])", .float)
  { arccos($0) },
  one("arctan", "Inverse tangent, in radians.", "([0, 1])\narray([0.        , 0.78539816])", .float)
  { arctan($0) },
  one("sinh", "Hyperbolic sine.", "([0, 1])\narray([0.        , 1.17520119])", .float) { sinh($0) },
  one("cosh", "Hyperbolic cosine.", "([0, 1])\narray([1.        , 1.54308063])", .float) {
    cosh($0)
  },
  one("tanh", "Hyperbolic tangent.", "([0, 1])\narray([0.        , 0.76159416])", .float) {
    tanh($0)
  },
  one("arcsinh", "Inverse hyperbolic sine.", "([0, 1])\narray([0.        , 0.88137359])", .float) {
    arcsinh($0)
  },
  one("arccosh", "Inverse hyperbolic cosine.", "([1, 2])\narray([0.       , 1.3169579])", .float) {
    arccosh($0)
  },
  one(
    "arctanh", "Inverse hyperbolic tangent.", "([0, 0.5])\narray([0.        , 0.54930614])", .float
  ) { arctanh($0) },
  one("degrees", "Radians to degrees.", "([0, np.pi])\narray([  0., 180.])", .float) { x in
    try multiply(x, number(180 / Double.pi, like: x))
  },
  one("radians", "Degrees to radians.", "([0, 180])\narray([0.        , 3.14159265])", .float) {
    x in try multiply(x, number(Double.pi / 180, like: x))
  },
  one(
    "floor", "Largest whole number that is not larger.", "([-1.5, 1.5])\narray([-2.,  1.])", .same,
    rounding { try floor($0) }),
  one(
    "ceil", "Smallest whole number that is not smaller.", "([-1.5, 1.5])\narray([-1.,  2.])", .same,
    rounding { try ceil($0) }),
  one(
    "trunc", "Rounded towards zero.", "([-1.5, 1.5])\narray([-1.,  1.])", .same,
    rounding { try trunc($0) }),
  one(
    "rint", "Nearest whole number; ties go to the even one.",
    "([0.5, 1.5, 2.2])\narray([0., 2., 2.])", .float
  ) { try round($0, decimals: 0) },
  one("isnan", "Whether x is not a number.", "([1, np.nan])\narray([False,  True])", .same) {
    isnan($0)
  },
  one("isinf", "Whether x is an infinity.", "([1, np.inf])\narray([False,  True])", .same) {
    isinf($0)
  },
  one(
    "isfinite", "Whether x is neither infinite nor NaN.", "([1, np.inf])\narray([ True, False])",
    .same
  ) { isfinite($0) },
  one("isposinf", "Whether x is positive infinity.", "([1, np.inf])\narray([False,  True])", .same)
  { try isposinf($0) },
  one("isneginf", "Whether x is negative infinity.", "([1, -np.inf])\narray([False,  True])", .same)
  { try isneginf($0) },
  one(
    "signbit", "Whether x has a minus sign, -0 too.", "([-1.0, 2.0])\narray([ True, False])", .same
  ) { x in
    let zero = try NDArray(.int(0), dtype: x.dtype)
    return try logicalOr(less(x, zero), less(reciprocal(x), NDArray(.float(0), dtype: .float64)))
  },
  one("logical_not", "Whether x is zero.", "([0, 1, 2])\narray([ True, False, False])", .same) {
    logicalNot($0)
  },
  one("invert", "All bits turned over.", "([0, 1])\narray([-1, -2])", .same) { x in
    x.dtype == .bool ? logicalNot(x) : try bitwiseInvert(x)
  },
  one(
    "conjugate", "Complex conjugate.", "([1+2j, 3j])\narray([1.-2.j, 0.-3.j])",
    .same
  ) { conjugate($0) },
  two(
    "add", "a + b.", "([1, 2], 0.5)\narray([1.5, 2.5])", .same, reduction: "sum",
    accumulation: "cumsum"
  ) { x, y in
    try x.dtype == .bool ? logicalOr(x, y) : add(x, y)
  },
  two("subtract", "a - b.", "([1, 2], 0.5)\narray([0.5, 1.5])", .same) { x, y in
    if x.dtype == .bool {
      throw LullError.typeError(
        "numpy boolean subtract, the `-` operator, is not supported, use `^`")
    }
    return try subtract(x, y)
  },
  two(
    "multiply", "a * b.", "([1, 2], [3, 4])\narray([3, 8])", .same, reduction: "prod",
    accumulation: "cumprod"
  ) { x, y in
    try x.dtype == .bool ? logicalAnd(x, y) : multiply(x, y)
  },
  two("divide", "a / b, a float.", "([1, 2], [2, 8])\narray([0.5 , 0.25])", .divide) {
    try divide($0, $1)
  },
  two("floor_divide", "a // b.", "([7, -7], 2)\narray([ 3, -4])", .same) {
    try guarded($0, $1) { try floorDivide($0, $1) }
  },
  two("remainder", "a % b, with the sign of b.", "([7, -7], 3)\narray([1, 2])", .same) {
    try guarded($0, $1) { try remainder($0, $1) }
  },
  two("fmod", "C's remainder, with the sign of a.", "([7, -7], 3)\narray([ 1, -1])", .same) {
    try truncatedRemainder($0, $1)
  },
  two("power", "a to the power b.", "([2, 3], [3, 2])\narray([8, 9])", .same) {
    try poweredUp($0, $1)
  },
  two(
    "float_power", "a to the power b, as float64 or complex128.",
    "([2, 4], [-1, 0.5])\narray([0.5, 2. ])",
    .divide
  ) { x, y in
    let dtype: DType = x.dtype.isComplex ? .complex128 : .float64
    return try power(x.astype(dtype), y.astype(dtype))
  },
  two(
    "maximum", "The larger of a and b; NaN wins.", "([1, 5], [4, 2])\narray([4, 5])", .same,
    reduction: "max", accumulation: "cummax"
  ) { try maximum($0, $1) },
  two(
    "minimum", "The smaller of a and b; NaN wins.", "([1, 5], [4, 2])\narray([1, 2])", .same,
    reduction: "min", accumulation: "cummin"
  ) { try minimum($0, $1) },
  two("fmax", "The larger of a and b; NaN loses.", "([1, np.nan], [4, 2])\narray([4., 2.])", .same)
  { try skippingNaN($0, $1) { try maximum($0, $1) } },
  two("fmin", "The smaller of a and b; NaN loses.", "([1, np.nan], [4, 2])\narray([1., 2.])", .same)
  { try skippingNaN($0, $1) { try minimum($0, $1) } },
  two(
    "arctan2", "Angle of the point (b, a).", "([1, -1], [1, 1])\narray([ 0.78539816, -0.78539816])",
    .float
  ) { try arctan2($0, $1) },
  two(
    "hypot", "Length of the hypotenuse, without overflow.", "([3, 5], [4, 12])\narray([ 5., 13.])",
    .float
  ) { x, y in
    // Scaled by the larger one, so that no square overflows.
    let (a, b) = (abs(x), abs(y))
    let (high, low) = (try maximum(a, b), try minimum(a, b))
    let zero = try number(0, like: x)
    let ratio = try `where`(equal(high, zero), zero, divide(low, high))
    let made = try multiply(high, sqrt(add(number(1, like: x), multiply(ratio, ratio))))
    return try `where`(logicalOr(isinf(a), isinf(b)), number(.infinity, like: x), made)
  },
  two(
    "logaddexp", "log(exp(a) + exp(b)).", "([0, 1], [0, 2])\narray([0.69314718, 2.31326169])",
    .float, reduction: "logsumexp", accumulation: "logcumsumexp"
  ) { try logaddexp($0, $1) },
  two("logaddexp2", "log2(2**a + 2**b).", "([0, 1], [0, 1])\narray([1., 2.])", .float) { x, y in
    let scale = try number(0.6931471805599453, like: x)
    return try divide(logaddexp(multiply(x, scale), multiply(y, scale)), scale)
  },
  two("copysign", "a with the sign of b.", "([1, 2], [-1, 1])\narray([-1.,  2.])", .float) { x, y in
    let zero = try number(0, like: x)
    let isDown = try logicalOr(less(y, zero), less(reciprocal(y), zero))
    return try `where`(isDown, negative(abs(x)), abs(x))
  },
  two(
    "heaviside", "0 below zero, 1 above, b at zero.",
    "([-1.0, 0.0, 2.0], 0.5)\narray([0. , 0.5, 1. ])", .float
  ) { x, y in
    let (zero, unit) = (try number(0, like: x), try number(1, like: x))
    let step = try `where`(less(x, zero), zero, `where`(equal(x, zero), y, unit))
    return try `where`(isnan(x), x, step)
  },
  two("equal", "a == b.", "([1, 2], [1, 3])\narray([ True, False])", .same) { try equal($0, $1) },
  two("not_equal", "a != b.", "([1, 2], [1, 3])\narray([False,  True])", .same) {
    try notEqual($0, $1)
  },
  two("less", "a < b.", "([1, 2], [1, 3])\narray([False,  True])", .same) { try less($0, $1) },
  two("less_equal", "a <= b.", "([1, 2], [1, 1])\narray([ True, False])", .same) {
    try lessEqual($0, $1)
  },
  two("greater", "a > b.", "([1, 2], [1, 1])\narray([False,  True])", .same) {
    try greater($0, $1)
  },
  two("greater_equal", "a >= b.", "([1, 2], [1, 3])\narray([ True, False])", .same) {
    try greaterEqual($0, $1)
  },
  two(
    "logical_and", "Whether both are not zero.", "([0, 1], [1, 1])\narray([False,  True])", .same,
    reduction: "all"
  ) { try logicalAnd($0, $1) },
  two(
    "logical_or", "Whether one is not zero.", "([0, 1], [0, 0])\narray([False,  True])", .same,
    reduction: "any"
  ) { try logicalOr($0, $1) },
  two(
    "logical_xor", "Whether just one is not zero.", "([1, 1], [0, 1])\narray([ True, False])", .same
  ) { try logicalXor($0, $1) },
  two("bitwise_and", "a & b.", "([6, 3], [3, 1])\narray([2, 1])", .same) { try bitwiseAnd($0, $1) },
  two("bitwise_or", "a | b.", "([6, 3], [3, 1])\narray([7, 3])", .same) { try bitwiseOr($0, $1) },
  two("bitwise_xor", "a ^ b.", "([6, 3], [3, 1])\narray([5, 2])", .same) { try bitwiseXor($0, $1) },
  two("left_shift", "a << b.", "([1, 2], [3, 1])\narray([8, 4])", .same) { try leftShift($0, $1) },
  two("right_shift", "a >> b.", "([8, 5], [3, 1])\narray([1, 2])", .same) {
    try rightShift($0, $1)
  },
  two("matmul", "Matrix product.", "([[1, 2], [3, 4]], [1, 1])\narray([3, 7])", .same) { x, y in
    if x.rank == 0 || y.rank == 0 {
      throw LullError.valueError("matmul: an operand has no dimensions")
    }
    return try matmul(x, y)
  },
]
nonisolated(unsafe) private let ufuncTable: [String: Ufunc] = Dictionary(
  uniqueKeysWithValues: ufuncs.map { ($0.name, $0) })

/// Calls a universal function by name, under NumPy's rules.
func callUfunc(_ name: String, _ args: [Value]) throws(LullError) -> Value {
  guard let f = ufuncTable[name] else { throw LullError("SystemError", "no such ufunc: \(name)") }
  return wrap(try applied(f, args))
}
private func applied(_ f: Ufunc, _ args: [Value]) throws(LullError) -> NDArray {
  if f.inputCount == 1 {
    let x = try toArray(args[0])
    return try engine { try f.apply(x) }
  }
  let (x, y) = try numpyOperands(args[0], args[1])
  return try engine { try f.apply(x, y) }
}

let ufuncType: NativeType = {
  let type = NativeType("ufunc", module: "numpy", doc: "A function of one or two elements.")
  type.repr = { (v) throws(LullError) in "<ufunc '\(v.native(Ufunc.self)?.name ?? "?")'>" }
  type.call = { (me, args, keywords) throws(LullError) in
    guard let f = me.native(Ufunc.self) else { return .none }
    guard args.count == f.inputCount else {
      throw LullError.typeError(
        "\(f.name)() takes \(f.inputCount) positional argument\(f.inputCount == 1 ? "" : "s") but \(args.count) were given"
      )
    }
    var dtype: DType?
    var condition: NDArray?
    var out = Value.none
    for (key, v) in keywords where !v.isNone {
      switch key {
      case "dtype": dtype = try numpyDType(v)
      case "where": condition = try toArray(v)
      case "out": out = v.isTuple && v.elements.count == 1 ? v.elements[0] : v
      default: throw LullError.typeError("\(f.name)() got an unexpected keyword argument '\(key)'")
      }
    }
    stampPosition()
    return try underNumPy { () throws(LullError) in
      var values = args.map { $0 }
      var made: [Value] = []
      defer { for v in made { v.drop() } }
      if let dtype {
        made = try values.map { (v) throws(LullError) in wrap(try toArray(v).astype(dtype)) }
        values = made
      }
      var result = try applied(f, values)
      if let condition {
        guard let old = out.ndarray else {
          throw LullError.typeError(
            "\(f.name)(): where= needs out=, which says what stands elsewhere")
        }
        result = try engine {
          try `where`(condition.astype(.bool), result, old.astype(result.dtype))
        }
      }
      if let target = out.ndarray {
        guard target.shape == result.shape else {
          throw LullError.valueError("\(f.name)(): out has another shape than the result")
        }
        out.setNative(result.astype(target.dtype))
        return out.retain()
      }
      return wrap(result)
    }
  }
  type.properties = [
    NativeProperty("__name__", doc: "The name.") { (v) throws(LullError) in
      makeStr(v.native(Ufunc.self)?.name ?? "")
    },
    NativeProperty("__doc__", doc: "What it computes, and an example.") { (v) throws(LullError) in
      guard let f = v.native(Ufunc.self) else { return .none }
      return makeStr("\(f.doc)\n\n>>> import numpy as np\n>>> np.\(f.name)\(f.example)")
    },
    NativeProperty("nin", doc: "How many arrays it takes.") { (v) throws(LullError) in
      Value(v.native(Ufunc.self)?.inputCount ?? 0)
    },
  ]
  type.methods = [
    Builtin(
      "reduce", "reduce(self, array, axis=0, dtype=None, keepdims=False)", chapter: "numpy",
      doc: "The function folded over an axis.",
      examples: [">>> import numpy as np\n>>> np.add.reduce([[1, 2], [3, 4]])\narray([4, 6])"]
    ) { (a) throws(LullError) in try folded(a, keeping: false) },
    Builtin(
      "accumulate", "accumulate(self, array, axis=0, dtype=None)", chapter: "numpy",
      doc: "The function folded over an axis, with every step.",
      examples: [">>> import numpy as np\n>>> np.multiply.accumulate([1, 2, 3])\narray([1, 2, 6])"]
    ) { (a) throws(LullError) in try folded(a, keeping: true) },
    Builtin(
      "outer", "outer(self, A, B, /)", chapter: "numpy", doc: "The function of all pairs.",
      examples: [
        ">>> import numpy as np\n>>> np.add.outer([1, 2], [10, 20])\narray([[11, 21],\n       [12, 22]])"
      ]
    ) {
      (a) throws(LullError) in
      guard let f = a[0].native(Ufunc.self) else { return .none }
      stampPosition()
      return try underNumPy { () throws(LullError) in
        let (x, y) = try numpyOperands(a[1], a[2])
        return wrap(
          try engine {
            let ones = [Int](repeating: 1, count: y.rank)
            return try f.apply(x.reshaped(x.shape.array + ones), y)
          })
      }
    },
  ]
  return type
}()

private func folded(_ a: Args, keeping: Bool) throws(LullError) -> Value {
  guard let f = a[0].native(Ufunc.self), f.inputCount == 2 else {
    throw LullError.valueError("only functions of two arrays fold")
  }
  stampPosition()
  return try underNumPy { () throws(LullError) in
    var x = try toArray(a[1])
    if !a.isNone(3) { x = x.astype(try numpyDType(a[3])) }
    if a.isNone(2) { x = try engine { try flatten(x) } }
    let axes = a.isNone(2) ? [0] : try ArrayArgs(a).ints(2)
    let axis = axes.first ?? 0
    guard axes.count <= 1 || (!keeping && f.reduction != nil) else {
      throw LullError.valueError("\(f.name) folds over one axis at a time")
    }
    let keepdims = keeping ? false : try a.bool(4)
    return wrap(
      try engine {
        if let name = keeping ? f.accumulation : f.reduction {
          return try keeping
            ? numpyScan(name, x, axis) : numpyReduce(name, x, axes, keepdims: keepdims)
        }
        let i = try x.axis(axis, op: "reduce")
        guard x.shape[i] > 0 else {
          throw LullError.valueError(
            "zero-size array to a fold of \(f.name), which has no identity")
        }
        func part(_ k: Int) throws -> NDArray { try slice(x, axis: i, from: k, to: k + 1) }
        var value = try part(0)
        var steps = [value]
        for k in 1..<Swift.max(x.shape[i], 1) {
          value = try f.apply(value, part(k))
          steps.append(value)
        }
        if keeping { return try concatenate(steps, axis: i) }
        return keepdims ? value : try squeeze(value, [i])
      })
  }
}

/// The dtype in which NumPy adds up a dtype.
private func sumType(_ d: DType) -> DType {
  d == .bool || d.isSigned ? .int64 : d.isUnsigned ? .uint64 : d
}
func numpyReduce(_ name: String, _ x: NDArray, _ axes: [Int]?, keepdims: Bool) throws -> NDArray {
  switch name {
  case "sum": return try sum(x.astype(sumType(x.dtype)), axes: axes, keepdims: keepdims)
  case "prod": return try prod(x.astype(sumType(x.dtype)), axes: axes, keepdims: keepdims)
  case "max": return try max(x, axes: axes, keepdims: keepdims)
  case "min": return try min(x, axes: axes, keepdims: keepdims)
  case "all": return try all(x, axes: axes, keepdims: keepdims)
  case "any": return try any(x, axes: axes, keepdims: keepdims)
  case "logsumexp":
    return try logsumexp(x.astype(numpyFloat(x.dtype)), axes: axes, keepdims: keepdims)
  case "mean":
    let y = x.dtype.isInexact ? x : x.astype(.float64)
    let total = try sum(y, axes: axes, keepdims: keepdims)
    let count = Double(y.size) / Double(Swift.max(total.size, 1))
    return try divide(total, NDArray(.float(count), dtype: total.dtype))
  default: throw LullError("SystemError", "no such reduction: \(name)")
  }
}
func numpyScan(_ name: String, _ x: NDArray, _ axis: Int?) throws -> NDArray {
  switch name {
  case "cumsum": try cumsum(x.astype(sumType(x.dtype)), axis: axis, reverse: false, inclusive: true)
  case "cumprod":
    try cumprod(x.astype(sumType(x.dtype)), axis: axis, reverse: false, inclusive: true)
  case "cummax": try cummax(x, axis: axis, reverse: false, inclusive: true)
  case "cummin": try cummin(x, axis: axis, reverse: false, inclusive: true)
  default:
    try logcumsumexp(x.astype(numpyFloat(x.dtype)), axis: axis, reverse: false, inclusive: true)
  }
}

/// The universal functions and their second names.
func ufuncValues() -> [(String, Value)] {
  var out = ufuncs.map { ($0.name, ufuncType.make($0)) }
  for (name, old) in [
    ("abs", "absolute"), ("conj", "conjugate"), ("true_divide", "divide"), ("mod", "remainder"),
    ("bitwise_not", "invert"), ("bitwise_invert", "invert"), ("bitwise_left_shift", "left_shift"),
    ("bitwise_right_shift", "right_shift"), ("pow", "power"), ("asin", "arcsin"),
    ("acos", "arccos"), ("atan", "arctan"), ("atan2", "arctan2"), ("asinh", "arcsinh"),
    ("acosh", "arccosh"), ("atanh", "arctanh"), ("rad2deg", "degrees"), ("deg2rad", "radians"),
  ] {
    if let f = ufuncTable[old] { out.append((name, ufuncType.make(f))) }
  }
  return out
}
