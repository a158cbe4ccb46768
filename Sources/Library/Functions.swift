// How array functions are declared.
//
// Each is one `Builtin` record: signature, a line of documentation, examples that the tests run, and the call
// into the engine. `stream` is accepted everywhere, as MLX has it, and means nothing on one device. Records
// whose first parameter is the array serve as methods of the array type too (`methodNames`).

import Engine
import Language

/// An array function; `parameters` is the inside of its signature, without `stream`.
func function(
  _ name: String, _ parameters: String, _ chapter: String, _ doc: String, _ examples: [String],
  fails: [(String, String)] = [], _ run: @escaping (ArrayArgs) throws -> NDArray
) -> Builtin {
  let last = parameterCount(parameters)
  return Builtin(
    name, signature(name, parameters), chapter: chapter, doc: doc, examples: examples, fails: fails
  ) { (args) throws(LullError) in
    stampPosition()
    if !args.isNone(last) { try checkStream(args[last]) }
    return wrap(try withinLimits(try engine { try run(ArrayArgs(args)) }))
  }
}

/// A function that returns something else than one array.
func special(
  _ name: String, _ parameters: String, _ chapter: String, _ doc: String, _ examples: [String],
  stream: Bool = true, _ run: @escaping (ArrayArgs) throws -> Value
) -> Builtin {
  Builtin(
    name, stream ? signature(name, parameters) : "\(name)(\(parameters))", chapter: chapter,
    doc: doc, examples: examples
  ) { (args) throws(LullError) in
    stampPosition()
    return try engine { try run(ArrayArgs(args)) }
  }
}

/// How many parameters a list has, the bare `*` and `/` not counted: the place of `stream`.
private func parameterCount(_ parameters: String) -> Int {
  var depth = 0
  var parts = [""]
  for c in parameters {
    if c == "(" { depth += 1 }
    if c == ")" { depth -= 1 }
    if c == ",", depth == 0 { parts.append("") } else { parts[parts.count - 1].append(c) }
  }
  return parts.count { part in
    let name = part.drop { $0 == " " }
    return name != "*" && name != "/" && !name.isEmpty
  }
}

private func signature(_ name: String, _ parameters: String) -> String {
  let keywordOnly = parameters.contains("*")
  return "\(name)(\(parameters)\(keywordOnly ? "" : ", *"), stream=None)"
}

func list(_ arrays: [NDArray]) -> Value { makeListValue(arrays.map { wrap($0) }) }
func tuple(_ arrays: [NDArray]) -> Value { makeTupleValue(arrays.map { wrap($0) }) }

// MARK: - Elementwise

private func unary(
  _ name: String, _ doc: String, _ example: String, _ prints: String,
  _ operation: @escaping (NDArray) throws -> NDArray
) -> Builtin {
  function(name, "a, /", "elementwise", doc, [">>> mx.\(name)(mx.array(\(example)))\n\(prints)"]) {
    try operation($0.array(0))
  }
}

private func binary(
  _ name: String, _ doc: String, _ a: String, _ b: String, _ prints: String,
  _ operation: @escaping (NDArray, NDArray) throws -> NDArray
) -> Builtin {
  function(
    name, "a, b", "elementwise", doc, [">>> mx.\(name)(mx.array(\(a)), mx.array(\(b)))\n\(prints)"]
  ) {
    let (x, y) = try $0.pair(0, 1)
    return try operation(x, y)
  }
}

public let elementwiseFunctions: [Builtin] = [
  unary(
    "abs", "Absolute value; of a complex number its magnitude.", "[-1.5, 2.0]",
    "array([1.5, 2], dtype=float32)"
  ) { abs($0) },
  unary("negative", "-a.", "[1, -2]", "array([-1, 2], dtype=int32)") { try negative($0) },
  unary("positive", "a itself.", "[1, -2]", "array([1, -2], dtype=int32)") { $0 },
  unary("sign", "-1, 0 or 1, by the sign.", "[-3.0, 0.0, 2.0]", "array([-1, 0, 1], dtype=float32)")
  { sign($0) },
  unary("square", "a * a.", "[2, 3]", "array([4, 9], dtype=int32)") { square($0) },
  unary("sqrt", "Square root.", "[4.0, 9.0]", "array([2, 3], dtype=float32)") { sqrt($0) },
  unary("rsqrt", "1 / sqrt(a).", "[4.0, 16.0]", "array([0.5, 0.25], dtype=float32)") { rsqrt($0) },
  unary("reciprocal", "1 / a.", "[2.0, 4.0]", "array([0.5, 0.25], dtype=float32)") {
    reciprocal($0)
  },
  unary("exp", "e to the power a.", "[0.0, 1.0]", "array([1, 2.71828], dtype=float32)") { exp($0) },
  unary(
    "expm1", "exp(a) - 1, exact for small a.", "[0.0, 1.0]", "array([0, 1.71828], dtype=float32)"
  ) { x in
    if x.dtype.isComplex {
      throw ArrayError.dtype(op: "expm1", found: x.dtype, needed: "a real dtype")
    }
    return expm1(x)
  },
  unary("log", "Natural logarithm.", "[1.0, 10.0]", "array([0, 2.30259], dtype=float32)") {
    log($0)
  },
  unary("log2", "Logarithm to base 2.", "[1.0, 8.0]", "array([0, 3], dtype=float32)") { log2($0) },
  unary("log10", "Logarithm to base 10.", "[1.0, 100.0]", "array([0, 2], dtype=float32)") {
    log10($0)
  },
  unary(
    "log1p", "log(1 + a), exact for small a.", "[0.0, 1.0]", "array([0, 0.693147], dtype=float32)"
  ) { log1p($0) },
  unary("sin", "Sine of an angle in radians.", "[0.0, 1.0]", "array([0, 0.841471], dtype=float32)")
  { sin($0) },
  unary(
    "cos", "Cosine of an angle in radians.", "[0.0, 1.0]", "array([1, 0.540302], dtype=float32)"
  ) { cos($0) },
  unary(
    "tan", "Tangent of an angle in radians.", "[0.0, 1.0]", "array([0, 1.55741], dtype=float32)"
  ) { tan($0) },
  unary("arcsin", "Inverse sine, in radians.", "[0.0, 1.0]", "array([0, 1.5708], dtype=float32)") {
    arcsin($0)
  },
  unary("arccos", "Inverse cosine, in radians.", "[1.0, 0.0]", "array([0, 1.5708], dtype=float32)")
  { arccos($0) },
  unary(
    "arctan", "Inverse tangent, in radians.", "[0.0, 1.0]", "array([0, 0.785398], dtype=float32)"
  ) { arctan($0) },
  unary("sinh", "Hyperbolic sine.", "[0.0, 1.0]", "array([0, 1.1752], dtype=float32)") { sinh($0) },
  unary("cosh", "Hyperbolic cosine.", "[0.0, 1.0]", "array([1, 1.54308], dtype=float32)") {
    cosh($0)
  },
  unary("tanh", "Hyperbolic tangent.", "[0.0, 1.0]", "array([0, 0.761594], dtype=float32)") {
    tanh($0)
  },
  unary("arcsinh", "Inverse hyperbolic sine.", "[0.0, 1.0]", "array([0, 0.881374], dtype=float32)")
  { arcsinh($0) },
  unary("arccosh", "Inverse hyperbolic cosine.", "[1.0, 2.0]", "array([0, 1.31696], dtype=float32)")
  { arccosh($0) },
  unary(
    "arctanh", "Inverse hyperbolic tangent.", "[0.0, 0.5]", "array([0, 0.549306], dtype=float32)"
  ) { arctanh($0) },
  unary("sigmoid", "1 / (1 + exp(-a)).", "[0.0, 2.0]", "array([0.5, 0.880797], dtype=float32)") {
    try sigmoid($0)
  },
  unary("erf", "Error function.", "[0.5, 1.0]", "array([0.5205, 0.842701], dtype=float32)") {
    try erf($0)
  },
  unary(
    "erfinv", "Inverse of the error function.", "[0.0, 0.5]", "array([0, 0.476936], dtype=float32)"
  ) { try erfinv($0) },
  unary("degrees", "Radians to degrees.", "[0.0, 3.1415927]", "array([0, 180], dtype=float32)") {
    try degrees($0)
  },
  unary("radians", "Degrees to radians.", "[0.0, 180.0]", "array([0, 3.14159], dtype=float32)") {
    try radians($0)
  },
  unary(
    "floor", "Largest integer that is not larger.", "[-1.5, 1.5]", "array([-2, 1], dtype=float32)"
  ) { try floor($0) },
  unary(
    "ceil", "Smallest integer that is not smaller.", "[-1.5, 1.5]", "array([-1, 2], dtype=float32)"
  ) { try ceil($0) },
  unary("trunc", "Rounded towards zero.", "[-1.5, 1.5]", "array([-1, 1], dtype=float32)") {
    try trunc($0)
  },
  unary("logical_not", "Whether a is zero.", "[0, 1, 2]", "array([True, False, False], dtype=bool)")
  { logicalNot($0) },
  unary("bitwise_invert", "All bits turned over.", "[0, 1]", "array([-1, -2], dtype=int32)") {
    try bitwiseInvert($0)
  },
  unary(
    "isnan", "Whether a is not a number.", "[1.0, float('nan')]", "array([False, True], dtype=bool)"
  ) { isnan($0) },
  unary(
    "isinf", "Whether a is an infinity.", "[1.0, float('inf')]", "array([False, True], dtype=bool)"
  ) { isinf($0) },
  unary(
    "isfinite", "Whether a is neither infinite nor NaN.", "[1.0, float('inf')]",
    "array([True, False], dtype=bool)"
  ) { isfinite($0) },
  unary(
    "isposinf", "Whether a is positive infinity.", "[1.0, float('inf')]",
    "array([False, True], dtype=bool)"
  ) { try isposinf($0) },
  unary(
    "isneginf", "Whether a is negative infinity.", "[1.0, float('-inf')]",
    "array([False, True], dtype=bool)"
  ) { try isneginf($0) },
  unary("real", "Real part.", "[1+2j, 3j]", "array([1, 0], dtype=float32)") { real($0) },
  unary("imag", "Imaginary part.", "[1+2j, 3j]", "array([2, 3], dtype=float32)") { try imag($0) },
  unary("conjugate", "Complex conjugate.", "[1+2j, 3j]", "array([1-2j, 0-3j], dtype=complex64)") {
    conjugate($0)
  },
  unary("conj", "Complex conjugate.", "[1+2j, 3j]", "array([1-2j, 0-3j], dtype=complex64)") {
    conjugate($0)
  },
  unary(
    "stop_gradient", "a, through which no gradient flows.", "[1.0, 2.0]",
    "array([1, 2], dtype=float32)"
  ) { stopGradient($0) },
  function(
    "round", "a, /, decimals=0", "elementwise",
    "Nearest value with so many decimals; ties go to the even one.",
    [">>> mx.round(mx.array([0.5, 1.5, 2.25]))\narray([0, 2, 2], dtype=float32)"]
  ) { try round($0.array(0), decimals: $0.int(1)) },
  binary("add", "a + b.", "[1, 2]", "[0.5, 0.25]", "array([1.5, 2.25], dtype=float32)") {
    try add($0, $1)
  },
  binary("subtract", "a - b.", "[1, 2]", "[0.5, 0.25]", "array([0.5, 1.75], dtype=float32)") {
    try subtract($0, $1)
  },
  binary("multiply", "a * b.", "[1, 2]", "[0.5, 0.25]", "array([0.5, 0.5], dtype=float32)") {
    try multiply($0, $1)
  },
  binary(
    "divide", "a / b; integers give float32.", "[1, 2]", "[2, 8]",
    "array([0.5, 0.25], dtype=float32)"
  ) { try divide($0, $1) },
  binary("floor_divide", "a // b.", "[7, -7]", "[2, 2]", "array([3, -4], dtype=int32)") {
    try floorDivide($0, $1)
  },
  binary(
    "remainder", "a % b, with the sign of b.", "[7, -7]", "[3, 3]", "array([1, 2], dtype=int32)"
  ) { try remainder($0, $1) },
  binary("power", "a to the power b.", "[2, 3]", "[3, 2]", "array([8, 9], dtype=int32)") {
    try power($0, $1)
  },
  binary(
    "maximum", "The larger of a and b; NaN wins.", "[1, 5]", "[4, 2]", "array([4, 5], dtype=int32)"
  ) { try maximum($0, $1) },
  binary(
    "minimum", "The smaller of a and b; NaN wins.", "[1, 5]", "[4, 2]", "array([1, 2], dtype=int32)"
  ) { try minimum($0, $1) },
  binary(
    "arctan2", "Angle of the point (b, a).", "[1.0, -1.0]", "[1.0, 1.0]",
    "array([0.785398, -0.785398], dtype=float32)"
  ) { try arctan2($0, $1) },
  binary(
    "logaddexp", "log(exp(a) + exp(b)).", "[0.0, 1.0]", "[0.0, 2.0]",
    "array([0.693147, 2.31326], dtype=float32)"
  ) { try logaddexp($0, $1) },
  binary("equal", "a == b.", "[1, 2]", "[1, 3]", "array([True, False], dtype=bool)") {
    try equal($0, $1)
  },
  binary("not_equal", "a != b.", "[1, 2]", "[1, 3]", "array([False, True], dtype=bool)") {
    try notEqual($0, $1)
  },
  binary("less", "a < b.", "[1, 2]", "[1, 3]", "array([False, True], dtype=bool)") {
    try less($0, $1)
  },
  binary("less_equal", "a <= b.", "[1, 2]", "[1, 3]", "array([True, True], dtype=bool)") {
    try lessEqual($0, $1)
  },
  binary("greater", "a > b.", "[1, 2]", "[1, 1]", "array([False, True], dtype=bool)") {
    try greater($0, $1)
  },
  binary("greater_equal", "a >= b.", "[1, 2]", "[1, 3]", "array([True, False], dtype=bool)") {
    try greaterEqual($0, $1)
  },
  binary(
    "logical_and", "Whether both are not zero.", "[0, 1]", "[1, 1]",
    "array([False, True], dtype=bool)"
  ) { try logicalAnd($0, $1) },
  binary(
    "logical_or", "Whether one is not zero.", "[0, 1]", "[0, 0]", "array([False, True], dtype=bool)"
  ) { try logicalOr($0, $1) },
  binary(
    "logical_xor", "Whether just one is not zero.", "[True, True]", "[False, True]",
    "array([True, False], dtype=bool)"
  ) {
    try logicalXor($0, $1)
  },
  binary("bitwise_and", "a & b.", "[6, 3]", "[3, 1]", "array([2, 1], dtype=int32)") {
    try bitwiseAnd($0, $1)
  },
  binary("bitwise_or", "a | b.", "[6, 3]", "[3, 1]", "array([7, 3], dtype=int32)") {
    try bitwiseOr($0, $1)
  },
  binary("bitwise_xor", "a ^ b.", "[6, 3]", "[3, 1]", "array([5, 2], dtype=int32)") {
    try bitwiseXor($0, $1)
  },
  binary("left_shift", "a << b.", "[1, 2]", "[3, 1]", "array([8, 4], dtype=int32)") {
    try leftShift($0, $1)
  },
  binary("right_shift", "a >> b.", "[8, 5]", "[3, 1]", "array([1, 2], dtype=int32)") {
    try rightShift($0, $1)
  },
  special(
    "divmod", "a, b", "elementwise", "Quotient and remainder: (a // b, a % b).",
    [
      ">>> mx.divmod(mx.array([7, -7]), mx.array([3, 3]))\n[array([2, -3], dtype=int32), array([1, 2], dtype=int32)]"
    ]
  ) {
    let (x, y) = try $0.pair(0, 1)
    let (quotient, rest) = try divmod(x, y)
    return list([quotient, rest])
  },
  function(
    "where", "condition, x, y, /", "elementwise", "x where the condition holds, y elsewhere.",
    [">>> mx.where(mx.array([True, False]), mx.array([1, 2]), 0)\narray([1, 0], dtype=int32)"]
  ) {
    let (x, y) = try $0.pair(1, 2)
    return try `where`($0.array(0), x, y)
  },
  function(
    "clip", "a, /, a_min, a_max", "elementwise",
    "a, held between a_min and a_max (None: no limit).",
    [">>> mx.clip(mx.array([-2.0, 0.5, 9.0]), -1, 1)\narray([-1, 0.5, 1], dtype=float32)"]
  ) { a in
    func bound(_ i: Int, _ x: NDArray) throws -> NDArray? {
      a.has(i) ? try operands(a.args[0], a.args[i]).1 : nil
    }
    let x = try a.array(0)
    return try clip(x, min: bound(1, x), max: bound(2, x))
  },
  function(
    "nan_to_num", "a, nan=0.0, posinf=None, neginf=None", "elementwise",
    "NaN and infinities replaced by numbers (None: the dtype's limits).",
    [">>> mx.nan_to_num(mx.array([1.0, float('nan')]))\narray([1, 0], dtype=float32)"]
  ) {
    try nanToNum(
      $0.array(0), nan: $0.double(1), posinf: $0.has(2) ? $0.double(2) : nil,
      neginf: $0.has(3) ? $0.double(3) : nil)
  },
  function(
    "isclose", "a, b, /, rtol=1e-05, atol=1e-08, *, equal_nan=False", "elementwise",
    "Whether |a - b| <= atol + rtol * |b|.",
    [">>> mx.isclose(mx.array([1.0, 2.0]), mx.array([1.0, 2.1]))\narray([True, False], dtype=bool)"]
  ) { a in try isClose(a) },
  function(
    "allclose", "a, b, /, rtol=1e-05, atol=1e-08, *, equal_nan=False", "elementwise",
    "Whether isclose holds everywhere.",
    [">>> mx.allclose(mx.array([1.0, 2.0]), mx.array([1.0, 2.0]))\narray(True, dtype=bool)"]
  ) { a in try all(isClose(a)) },
  function(
    "array_equal", "a, b, equal_nan=False", "elementwise",
    "Whether shapes and all values are equal.",
    [">>> mx.array_equal(mx.array([1, 2]), mx.array([1, 2]))\narray(True, dtype=bool)"]
  ) { a in
    let (x, y) = try a.pair(0, 1)
    if x.shape != y.shape { return try NDArray(.bool(false)) }
    var same = try equal(x, y)
    if try a.bool(2) { same = try logicalOr(same, logicalAnd(isnan(x), isnan(y))) }
    return try all(same)
  },
  function(
    "astype", "a, dtype, /", "dtypes", "a with its values converted to a dtype.",
    [">>> mx.astype(mx.array([1.7, -1.7]), mx.int32)\narray([1, -1], dtype=int32)"]
  ) { try $0.array(0).astype($0.dtype(1) ?? .float32) },
  function(
    "view", "a, dtype", "dtypes", "The same bytes read as another dtype.",
    [">>> mx.view(mx.array([1.0]), mx.int32)\narray([1065353216], dtype=int32)"]
  ) { try $0.array(0).view(as: $0.dtype(1) ?? .float32) },
]

private func isClose(_ a: ArrayArgs) throws -> NDArray {
  let (x, y) = try a.pair(0, 1)
  func number(_ i: Int) throws -> NDArray { try NDArray.weak(.float(a.double(i)), like: .float32) }
  let bound = try add(number(3), multiply(number(2), abs(y)))
  var close = try lessEqual(abs(subtract(x, y)), bound)
  close = try logicalAnd(close, logicalAnd(isfinite(x), isfinite(y)))
  close = try logicalOr(close, equal(x, y))
  if try a.bool(4) { close = try logicalOr(close, logicalAnd(isnan(x), isnan(y))) }
  return close
}

// MARK: - Reductions and scans

private func reduction(
  _ name: String, _ doc: String, _ prints: String,
  _ operation: @escaping (NDArray, [Int]?, Bool) throws -> NDArray
) -> Builtin {
  function(
    name, "a, /, axis=None, keepdims=False", "reductions", doc,
    [">>> mx.\(name)(mx.array([[1.0, 2.0], [3.0, 4.0]]), axis=0)\n\(prints)"]
  ) { try operation($0.array(0), $0.axes(1), $0.bool(2)) }
}

private func scan(
  _ name: String, _ doc: String, _ prints: String,
  _ operation: @escaping (NDArray, Int?, Bool, Bool) throws -> NDArray
) -> Builtin {
  function(
    name, "a, /, axis=None, *, reverse=False, inclusive=True", "reductions", doc,
    [">>> mx.\(name)(mx.array([1.0, 3.0, 2.0]))\n\(prints)"]
  ) { try operation($0.array(0), $0.optionalInt(1), $0.bool(2), $0.bool(3)) }
}

public let reductionFunctions: [Builtin] = [
  reduction("sum", "Sum over axes (None: all).", "array([4, 6], dtype=float32)") {
    try sum($0, axes: $1, keepdims: $2)
  },
  reduction("prod", "Product over axes (None: all).", "array([3, 8], dtype=float32)") {
    try prod($0, axes: $1, keepdims: $2)
  },
  reduction("max", "Largest value over axes (None: all).", "array([3, 4], dtype=float32)") {
    try max($0, axes: $1, keepdims: $2)
  },
  reduction("min", "Smallest value over axes (None: all).", "array([1, 2], dtype=float32)") {
    try min($0, axes: $1, keepdims: $2)
  },
  reduction("mean", "Mean over axes (None: all).", "array([2, 3], dtype=float32)") {
    try mean($0, axes: $1, keepdims: $2)
  },
  reduction("any", "Whether any value is not zero.", "array([True, True], dtype=bool)") {
    try any($0, axes: $1, keepdims: $2)
  },
  reduction("all", "Whether all values are not zero.", "array([True, True], dtype=bool)") {
    try all($0, axes: $1, keepdims: $2)
  },
  reduction(
    "logsumexp", "log(sum(exp(a))), without overflow.", "array([3.12693, 4.12693], dtype=float32)"
  ) {
    try logsumexp($0, axes: $1, keepdims: $2)
  },
  function(
    "var", "a, /, axis=None, keepdims=False, ddof=0", "reductions",
    "Variance over axes (None: all), divided by the count less ddof.",
    [">>> mx.var(mx.array([1.0, 2.0, 4.0]))\narray(1.55556, dtype=float32)"]
  ) { try variance($0.array(0), axes: $0.axes(1), keepdims: $0.bool(2), ddof: $0.int(3)) },
  function(
    "std", "a, /, axis=None, keepdims=False, ddof=0", "reductions",
    "Standard deviation over axes (None: all).",
    [">>> mx.std(mx.array([1.0, 2.0, 4.0]))\narray(1.24722, dtype=float32)"]
  ) { try std($0.array(0), axes: $0.axes(1), keepdims: $0.bool(2), ddof: $0.int(3)) },
  function(
    "argmax", "a, /, axis=None, keepdims=False", "reductions",
    "Index of the (first) largest value, as uint32.",
    [">>> mx.argmax(mx.array([3, 9, 2]))\narray(1, dtype=uint32)"]
  ) { try argmax($0.array(0), axis: $0.optionalInt(1), keepdims: $0.bool(2)) },
  function(
    "argmin", "a, /, axis=None, keepdims=False", "reductions",
    "Index of the (first) smallest value, as uint32.",
    [">>> mx.argmin(mx.array([3, 9, 2]))\narray(2, dtype=uint32)"]
  ) { try argmin($0.array(0), axis: $0.optionalInt(1), keepdims: $0.bool(2)) },
  function(
    "count_nonzero", "a, /, *, axis=None, keepdims=False", "reductions",
    "How many values are not zero.",
    [">>> mx.count_nonzero(mx.array([0, 3, 4]))\narray(2, dtype=int32)"]
  ) { try countNonzero($0.array(0), axes: $0.axes(1), keepdims: $0.bool(2)) },
  scan("cumsum", "Sums of all values up to each.", "array([1, 4, 6], dtype=float32)") {
    try cumsum($0, axis: $1, reverse: $2, inclusive: $3)
  },
  scan("cumprod", "Products of all values up to each.", "array([1, 3, 6], dtype=float32)") {
    try cumprod($0, axis: $1, reverse: $2, inclusive: $3)
  },
  scan("cummax", "Largest of all values up to each.", "array([1, 3, 3], dtype=float32)") {
    try cummax($0, axis: $1, reverse: $2, inclusive: $3)
  },
  scan("cummin", "Smallest of all values up to each.", "array([1, 1, 1], dtype=float32)") {
    try cummin($0, axis: $1, reverse: $2, inclusive: $3)
  },
  function(
    "softmax", "a, /, axis=None, *, precise=False", "reductions",
    "exp(a) / sum(exp(a)) over axes (None: all).",
    [
      ">>> mx.softmax(mx.array([1.0, 2.0, 3.0]), axis=-1)\narray([0.0900306, 0.244728, 0.665241], dtype=float32)"
    ]
  ) { a in
    let (x, axes) = (try a.array(0), try a.axes(1))
    if x.rank == 0, let axis = axes?.first {
      throw ArrayError.axis(op: "softmax", axis: axis, rank: 0)
    }
    return try softmax(x, axes: axes)
  },
  function(
    "diff", "a, /, n=1, axis=-1", "reductions", "n-th difference of neighbours along an axis.",
    [">>> mx.diff(mx.array([1, 4, 9, 16]))\narray([3, 5, 7], dtype=int32)"]
  ) { a in
    var x = try a.array(0)
    let n = try a.int(1)
    if n < 0 { throw LullError.valueError("diff: n must not be negative, got \(n)") }
    let axis = try a.int(2)
    for _ in 0..<n {
      let at = axis < 0 ? axis + x.rank : axis
      guard at >= 0, at < x.rank else {
        throw ArrayError.axis(op: "diff", axis: axis, rank: x.rank)
      }
      if x.shape[at] == 0 { break }
      var high = [SliceRange](repeating: SliceRange(), count: x.rank)
      var low = high
      high[at] = SliceRange(1, nil, nil)
      low[at] = SliceRange(nil, -1, nil)
      x = try subtract(slice(x, high), slice(x, low))
    }
    return x
  },
]
