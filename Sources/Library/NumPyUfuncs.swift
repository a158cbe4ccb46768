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
  let rule: Rule
  let one: ((NDArray) throws -> NDArray)?
  let two: ((NDArray, NDArray) throws -> NDArray)?
  /// The reduction that folds with it, where the engine has one.
  let reduction: String?
  let accumulation: String?
  init(
    _ name: String, _ rule: Rule, one: ((NDArray) throws -> NDArray)? = nil,
    two: ((NDArray, NDArray) throws -> NDArray)? = nil, reduction: String? = nil,
    accumulation: String? = nil
  ) {
    self.name = name
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

private func one(_ name: String, _ rule: Rule, _ f: @escaping (NDArray) throws -> NDArray) -> Ufunc {
  Ufunc(name, rule, one: f)
}
private func two(
  _ name: String, _ rule: Rule, reduction: String? = nil, accumulation: String? = nil,
  _ f: @escaping (NDArray, NDArray) throws -> NDArray
) -> Ufunc { Ufunc(name, rule, two: f, reduction: reduction, accumulation: accumulation) }

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
  one("absolute", .same) { abs($0) },
  one("fabs", .float) { abs($0) },
  one("negative", .same) { x in
    if x.dtype == .bool {
      throw LullError.typeError("the numpy boolean negative, the `-` operator, is not supported, use `~`")
    }
    return try negative(x)
  },
  one("positive", .same) { $0 },
  one("sign", .same) { sign($0) },
  one("square", .same) { x in try x.dtype == .bool ? x : multiply(x, x) },
  one("sqrt", .float) { sqrt($0) },
  one("cbrt", .float) { x in
    try multiply(sign(x), power(abs(x), number(1.0 / 3.0, like: x)))
  },
  one("reciprocal", .same) { x in
    x.dtype.isInexact ? reciprocal(x) : try guarded(NDArray(.int(1), dtype: x.dtype), x) { try floorDivide($0, $1) }
  },
  one("exp", .float) { exp($0) }, one("expm1", .float) { expm1($0) },
  one("exp2", .float) { x in try power(number(2, like: x), x) },
  one("log", .float) { log($0) }, one("log2", .float) { log2($0) },
  one("log10", .float) { log10($0) }, one("log1p", .float) { log1p($0) },
  one("sin", .float) { sin($0) }, one("cos", .float) { cos($0) }, one("tan", .float) { tan($0) },
  one("arcsin", .float) { arcsin($0) }, one("arccos", .float) { arccos($0) },
  one("arctan", .float) { arctan($0) }, one("sinh", .float) { sinh($0) },
  one("cosh", .float) { cosh($0) }, one("tanh", .float) { tanh($0) },
  one("arcsinh", .float) { arcsinh($0) }, one("arccosh", .float) { arccosh($0) },
  one("arctanh", .float) { arctanh($0) },
  one("degrees", .float) { x in try multiply(x, number(180 / Double.pi, like: x)) },
  one("radians", .float) { x in try multiply(x, number(Double.pi / 180, like: x)) },
  one("floor", .same, rounding { try floor($0) }), one("ceil", .same, rounding { try ceil($0) }),
  one("trunc", .same, rounding { try trunc($0) }),
  one("rint", .float) { try round($0, decimals: 0) },
  one("isnan", .same) { isnan($0) }, one("isinf", .same) { isinf($0) },
  one("isfinite", .same) { isfinite($0) },
  one("isposinf", .same) { try isposinf($0) }, one("isneginf", .same) { try isneginf($0) },
  one("signbit", .same) { x in
    let zero = try NDArray(.int(0), dtype: x.dtype)
    return try logicalOr(less(x, zero), less(reciprocal(x), NDArray(.float(0), dtype: .float64)))
  },
  one("logical_not", .same) { logicalNot($0) },
  one("invert", .same) { x in x.dtype == .bool ? logicalNot(x) : try bitwiseInvert(x) },
  one("conjugate", .same) { conjugate($0) },
  two("add", .same, reduction: "sum", accumulation: "cumsum") { x, y in
    try x.dtype == .bool ? logicalOr(x, y) : add(x, y)
  },
  two("subtract", .same) { x, y in
    if x.dtype == .bool {
      throw LullError.typeError("numpy boolean subtract, the `-` operator, is not supported, use `^`")
    }
    return try subtract(x, y)
  },
  two("multiply", .same, reduction: "prod", accumulation: "cumprod") { x, y in
    try x.dtype == .bool ? logicalAnd(x, y) : multiply(x, y)
  },
  two("divide", .divide) { try divide($0, $1) },
  two("floor_divide", .same) { try guarded($0, $1) { try floorDivide($0, $1) } },
  two("remainder", .same) { try guarded($0, $1) { try remainder($0, $1) } },
  two("fmod", .same) { try truncatedRemainder($0, $1) },
  two("power", .same) { try poweredUp($0, $1) },
  two("float_power", .divide) { try power($0.astype(.float64), $1.astype(.float64)) },
  two("maximum", .same, reduction: "max", accumulation: "cummax") { try maximum($0, $1) },
  two("minimum", .same, reduction: "min", accumulation: "cummin") { try minimum($0, $1) },
  two("fmax", .same) { try skippingNaN($0, $1) { try maximum($0, $1) } },
  two("fmin", .same) { try skippingNaN($0, $1) { try minimum($0, $1) } },
  two("arctan2", .float) { try arctan2($0, $1) },
  two("hypot", .float) { x, y in
    // Scaled by the larger one, so that no square overflows.
    let (a, b) = (abs(x), abs(y))
    let (high, low) = (try maximum(a, b), try minimum(a, b))
    let zero = try number(0, like: x)
    let ratio = try `where`(equal(high, zero), zero, divide(low, high))
    let made = try multiply(high, sqrt(add(number(1, like: x), multiply(ratio, ratio))))
    return try `where`(logicalOr(isinf(a), isinf(b)), number(.infinity, like: x), made)
  },
  two("logaddexp", .float, reduction: "logsumexp", accumulation: "logcumsumexp") { try logaddexp($0, $1) },
  two("logaddexp2", .float) { x, y in
    let scale = try number(0.6931471805599453, like: x)
    return try divide(logaddexp(multiply(x, scale), multiply(y, scale)), scale)
  },
  two("copysign", .float) { x, y in
    let zero = try number(0, like: x)
    let isDown = try logicalOr(less(y, zero), less(reciprocal(y), zero))
    return try `where`(isDown, negative(abs(x)), abs(x))
  },
  two("heaviside", .float) { x, y in
    let (zero, unit) = (try number(0, like: x), try number(1, like: x))
    let step = try `where`(less(x, zero), zero, `where`(equal(x, zero), y, unit))
    return try `where`(isnan(x), x, step)
  },
  two("equal", .same) { try equal($0, $1) }, two("not_equal", .same) { try notEqual($0, $1) },
  two("less", .same) { try less($0, $1) }, two("less_equal", .same) { try lessEqual($0, $1) },
  two("greater", .same) { try greater($0, $1) },
  two("greater_equal", .same) { try greaterEqual($0, $1) },
  two("logical_and", .same, reduction: "all") { try logicalAnd($0, $1) },
  two("logical_or", .same, reduction: "any") { try logicalOr($0, $1) },
  two("logical_xor", .same) { try logicalXor($0, $1) },
  two("bitwise_and", .same) { try bitwiseAnd($0, $1) },
  two("bitwise_or", .same) { try bitwiseOr($0, $1) },
  two("bitwise_xor", .same) { try bitwiseXor($0, $1) },
  two("left_shift", .same) { try leftShift($0, $1) },
  two("right_shift", .same) { try rightShift($0, $1) },
  two("matmul", .same) { x, y in
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
          throw LullError.typeError("\(f.name)(): where= needs out=, which says what stands elsewhere")
        }
        result = try engine { try `where`(condition.astype(.bool), result, old.astype(result.dtype)) }
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
    NativeProperty("nin", doc: "How many arrays it takes.") { (v) throws(LullError) in
      Value(v.native(Ufunc.self)?.inputCount ?? 0)
    },
  ]
  type.methods = [
    Builtin(
      "reduce", "reduce(self, array, axis=0, dtype=None, keepdims=False)", chapter: "numpy",
      doc: "The function folded over an axis."
    ) { (a) throws(LullError) in try folded(a, keeping: false) },
    Builtin(
      "accumulate", "accumulate(self, array, axis=0, dtype=None)", chapter: "numpy",
      doc: "The function folded over an axis, with every step."
    ) { (a) throws(LullError) in try folded(a, keeping: true) },
    Builtin("outer", "outer(self, A, B, /)", chapter: "numpy", doc: "The function of all pairs.") {
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
          throw LullError.valueError("zero-size array to a fold of \(f.name), which has no identity")
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
  case "cumprod": try cumprod(x.astype(sumType(x.dtype)), axis: axis, reverse: false, inclusive: true)
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
