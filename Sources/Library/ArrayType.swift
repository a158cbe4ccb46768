// The type `array`: operators, properties and methods. What computes is in the function tables; a method is
// the function of the same name with the array as its first argument.

import Engine
import Language

/// Functions that are methods too.
private let methodNames: Set<String> = [
  "abs", "all", "any", "argmax", "argmin", "conj", "cos", "cummax", "cummin", "cumprod",
  "cumsum", "diag", "logcumsumexp", "diagonal", "exp", "flatten", "log", "log10", "log1p", "log2",
  "logsumexp",
  "max",
  "mean", "min", "moveaxis", "prod", "reciprocal", "round", "rsqrt", "sin", "split", "sqrt",
  "square",
  "squeeze", "std", "sum", "swapaxes", "var", "view",
]

public let arrayType: NativeType = {
  let type = NativeType(
    "array", module: "mlx.core",
    doc:
      "A lazy array: shape and dtype are known at once, values are computed when they are needed.")
  type.constructor = Builtin(
    "array", "array(val, dtype=None)", chapter: "creation",
    doc: "An array of a number, of (nested) lists of numbers, or of another array.",
    examples: [
      ">>> mx.array([1, 2, 3])\narray([1, 2, 3], dtype=int32)",
      ">>> mx.array([[1.5, 2.5], [3.5, 4.5]])\narray([[1.5, 2.5],\n       [3.5, 4.5]], dtype=float32)",
    ],
    fails: [("array([[1, 2], [3]])", "ValueError")]
  ) { (a) throws(LullError) in
    stampPosition()
    let dtype = a.isNone(1) ? nil : try dtypeOf(a[1])
    return wrap(try withinLimits(try toArray(a[0], dtype: dtype)))
  }
  type.binary = { (op, me, other, reflected) throws(LullError) in
    guard var x = me.ndarray else { return nil }
    stampPosition()
    var y: NDArray
    if let array = other.ndarray {
      y = array
      if x.dtype.isOfNumPy || y.dtype.isOfNumPy { (x, y) = mixedOperands(me, x, other, y) }
    } else if let scalar = try other.scalar() {
      y = try engine { try NDArray.weak(scalar, like: x.dtype) }
    } else if other.isList || other.isTuple || other.isString || other.isDict || other.isNone {
      throw needsArray(op, other)
    } else {
      return nil
    }
    return wrap(try engine { try reflected ? combine(op, y, x) : combine(op, x, y) })
  }
  type.inplace = { (op, me, other) throws(LullError) in
    guard let x = me.ndarray else { return nil }
    stampPosition()
    if other.isList || other.isTuple || other.isString || other.isDict || other.isNone {
      throw needsArray(op, other)
    }
    if op == .divide, x.dtype.inexact != x.dtype {
      throw LullError.valueError(
        "'/=' cannot put quotients into an array of dtype \(x.dtype.name); write x = x / y")
    }
    let y = try operands(me, other).1
    let result = try engine { () throws -> NDArray in
      let result = try combine(op, x, y)
      guard result.shape == x.shape else {
        throw ArrayError.shapeMismatch(
          op: "in-place operation", lhs: x.shape.array, rhs: y.shape.array,
          reason: "the result has another shape than the array that is changed")
      }
      return result
    }
    me.setNative(result)
    return me.retain()
  }
  type.unary = { (op, me) throws(LullError) in
    guard let x = me.ndarray else { return nil }
    stampPosition()
    switch op {
    case .negate: return wrap(try engine { try negative(x) })
    case .plus: return me.retain()
    case .invert: return wrap(try engine { try bitwiseInvert(x) })
    case .not: return nil
    }
  }
  type.compare = { (op, me, other) throws(LullError) in
    guard var x = me.ndarray else { return nil }
    stampPosition()
    var y: NDArray
    if let array = other.ndarray {
      y = array
      if x.dtype.isOfNumPy || y.dtype.isOfNumPy { (x, y) = mixedOperands(me, x, other, y) }
    } else if let scalar = try other.scalar() {
      y = try engine { try NDArray.weak(scalar, like: x.dtype) }
    } else {
      // Nothing else equals an array, and nothing else has an order with it.
      if op != .equal, op != .notEqual,
        other.isList || other.isTuple || other.isString || other.isDict || other.isNone
      {
        throw LullError.valueError("an array and \(article(other.typeNameText)) have no order")
      }
      return op == .equal ? Value(false) : op == .notEqual ? Value(true) : nil
    }
    switch op {
    case .equal: return wrap(try engine { try equal(x, y) })
    case .notEqual: return wrap(try engine { try notEqual(x, y) })
    case .less: return wrap(try engine { try less(x, y) })
    case .lessEqual: return wrap(try engine { try lessEqual(x, y) })
    case .greater: return wrap(try engine { try greater(x, y) })
    case .greaterEqual: return wrap(try engine { try greaterEqual(x, y) })
    default: return nil
    }
  }
  type.getItem = { (me, index) throws(LullError) in
    stampPosition()
    return wrap(try readIndex(me, index))
  }
  type.setItem = { (me, index, value) throws(LullError) in
    stampPosition()
    try writeIndex(me, index, value)
  }
  type.len = { (me) throws(LullError) in
    guard let x = me.ndarray, x.rank > 0 else {
      throw LullError.typeError("len() of a 0-d array: it has no axes")
    }
    return x.shape[0]
  }
  type.contains = { (me, item) throws(LullError) in
    let (x, y) = try operands(me, item)
    return try engine { try any(equal(x, y)).item().int != 0 }
  }
  type.iter = { (me) throws(LullError) in
    guard let x = me.ndarray, x.rank > 0 else {
      throw LullError.typeError("iteration over a 0-d array: it has no axes")
    }
    stampPosition()
    let rows = try engine { try (0..<x.shape[0]).map { try row(x, $0) } }
    let list = makeListValue(rows.map { wrap($0) })
    defer { list.drop() }
    return try makeIterator(list)
  }
  type.bool = { (me) throws(LullError) in
    guard let x = me.ndarray else { return true }
    if x.size != 1 {
      throw LullError.valueError(
        "the truth of an array of shape \(x.shape) is ambiguous: use any() or all()")
    }
    let scalar = try engine { try x.item() }
    return scalar.double != 0 || scalar.imaginary != 0
  }
  type.hash = { (me) throws(LullError) in
    me.nativeObject().map { ObjectIdentifier($0).hashValue } ?? 0
  }
  type.float = { (me) throws(LullError) in try oneValue(me).double }
  type.int = { (me) throws(LullError) in
    let scalar = try oneValue(me)
    if case .float(let d) = scalar, !d.isFinite {
      throw LullError.valueError("cannot convert float \(d.isNaN ? "NaN" : "infinity") to integer")
    }
    if case .unsigned = scalar { return value(of: scalar) }
    return Value(scalar.int)
  }
  type.index = { (me) throws(LullError) in
    guard let x = me.ndarray, x.size == 1, x.dtype.isInteger else {
      throw LullError.typeError("only an integer array with one value can be an index")
    }
    return Value(try engine { try x.item().int })
  }
  type.repr = { (me) throws(LullError) in
    guard let x = me.ndarray else { return "array()" }
    return try engine { try x.text() }
  }
  type.format = { (me, spec) throws(LullError) in
    guard let x = me.ndarray else { return "" }
    if spec.isEmpty { return try engine { try x.text() } }
    guard x.size == 1 else {
      throw LullError.typeError("the format '\(spec)' needs one value, this array has \(x.size)")
    }
    return try Language.format(value(of: engine { try x.item() }), spec)
  }
  type.properties = arrayProperties
  type.methods = ownMethods + operatorMethods + methodsFromFunctions()
  return type
}()

/// The first axis's i-th entry.
private func row(_ x: NDArray, _ i: Int) throws(ArrayError) -> NDArray {
  var ranges = [SliceRange](repeating: SliceRange(), count: x.rank)
  ranges[0] = SliceRange(i, i + 1)
  return try squeeze(slice(x, ranges), [0])
}

private func oneValue(_ v: Value) throws(LullError) -> Scalar {
  guard let x = v.ndarray else { return .int(0) }
  guard x.size == 1 else {
    throw LullError.valueError(
      "only an array with one value converts to a number; this one has shape \(x.shape)"
    ).advising("index one of its \(x.size) values, or reduce it with sum() or mean()")
  }
  return try engine { try x.item() }
}

private func symbol(_ op: BinaryOperator) -> String {
  switch op {
  case .add: "+"
  case .subtract: "-"
  case .multiply: "*"
  case .matmul: "@"
  case .divide: "/"
  case .floorDivide: "//"
  case .modulo: "%"
  case .power: "**"
  case .leftShift: "<<"
  case .rightShift: ">>"
  case .bitAnd: "&"
  case .bitOr: "|"
  case .bitXor: "^"
  }
}

private func combine(_ op: BinaryOperator, _ x: NDArray, _ y: NDArray) throws(ArrayError) -> NDArray
{
  switch op {
  case .add: try add(x, y)
  case .subtract: try subtract(x, y)
  case .multiply: try multiply(x, y)
  case .matmul: try matmul(x, y)
  case .divide: try divide(x, y)
  case .floorDivide: try floorDivide(x, y)
  case .modulo: try remainder(x, y)
  case .power: try power(x, y)
  case .leftShift: try leftShift(x, y)
  case .rightShift: try rightShift(x, y)
  case .bitAnd: try bitwiseAnd(x, y)
  case .bitOr: try bitwiseOr(x, y)
  case .bitXor: try bitwiseXor(x, y)
  }
}

// MARK: - Properties and methods

private func property(
  _ name: String, _ doc: String, _ get: @escaping (NDArray) throws -> Value
) -> NativeProperty {
  NativeProperty(name, doc: doc) { (v) throws(LullError) in
    guard let x = v.ndarray else { return .none }
    stampPosition()
    return try engine { try get(x) }
  }
}

private let arrayProperties: [NativeProperty] = [
  property("shape", "The length of each axis, as a tuple.") { makeTuple(ints: $0.shape) },
  property("dtype", "The type of the elements.") { dtypeValue($0.dtype) },
  property("ndim", "The number of axes.") { Value($0.rank) },
  property("size", "The number of elements.") { Value($0.size) },
  property("nbytes", "Bytes of the elements.") { Value($0.byteCount) },
  property("itemsize", "Bytes of one element.") { Value($0.dtype.byteCount) },
  property("T", "The array with its axes reversed.") { wrap(try transpose($0)) },
  property("mT", "The array with its last two axes exchanged.") { wrap(try matrixTranspose($0)) },
  property("real", "Real part.") { wrap(real($0)) },
  property("imag", "Imaginary part.") { wrap(try imag($0)) },
  NativeProperty(
    "at",
    doc: "Updates at indices: a.at[i].add(x) and set, subtract, multiply, divide, maximum, minimum."
  ) {
    (v) throws(LullError) in
    arrayAtType.make(AtBox(v.retain()))
  },
]

/// Operators by their Python names, for programs that call or ask for them.
private let operatorMethods: [Builtin] = {
  let names: [(String, BinaryOperator)] = [
    ("add", .add), ("sub", .subtract), ("mul", .multiply), ("truediv", .divide),
    ("floordiv", .floorDivide), ("mod", .modulo), ("pow", .power), ("matmul", .matmul),
    ("and", .bitAnd), ("or", .bitOr), ("xor", .bitXor), ("lshift", .leftShift),
    ("rshift", .rightShift),
  ]
  return names.flatMap { (name, op) in
    [
      Builtin("__\(name)__", "__\(name)__(self, other, /)") { (a) throws(LullError) in
        try arrayType.binary?(op, a[0], a[1], false) ?? .none
      },
      Builtin("__r\(name)__", "__r\(name)__(self, other, /)") { (a) throws(LullError) in
        try arrayType.binary?(op, a[0], a[1], true) ?? .none
      },
      Builtin("__i\(name)__", "__i\(name)__(self, other, /)") { (a) throws(LullError) in
        try arrayType.inplace?(op, a[0], a[1]) ?? .none
      },
    ]
  }
}()

private func needsArray(_ op: BinaryOperator, _ other: Value) -> LullError {
  LullError.valueError(
    "'\(symbol(op))' needs an array or a number, not \(article(other.typeNameText)); write array(...)"
  )
}

/// What `__dlpack__` gives: an array on its way to another library.
private let capsuleType = NativeType(
  "PyCapsule", module: "builtins", doc: "An array on its way to another library.")

func giveCapsule(_ a: Args) throws(LullError) -> Value {
  guard let x = a[0].ndarray else { return .none }
  if x.dtype == .bfloat16 && isNumPyCall { throw LullError.typeError("NumPy has no bfloat16") }
  return capsuleType.make(try engine { try x.shared })
}
/// The array of anything with `__dlpack__`; nil for what has none.
func takeCapsule(_ v: Value) throws(LullError) -> NDArray? {
  if let x = v.ndarray { return x }
  guard let give = try attributeOrNil(v, "__dlpack__") else { return nil }
  defer { give.drop() }
  let capsule = try callValue(give, [])
  defer { capsule.drop() }
  return capsule.native(NDArray.self)
}

private let ownMethods: [Builtin] = [
  Builtin("__dlpack_device__", "__dlpack_device__(self, /)") { (_) throws(LullError) in
    makeTupleValue([Value(1), Value(0)])  // memory of the CPU
  },
  Builtin(
    "__dlpack__", "__dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None)",
    chapter: "arrays", doc: "The array as another library takes it with from_dlpack.",
    run: giveCapsule),
  Builtin("__copy__", "__copy__(self, /)") { (a) throws(LullError) in
    a[0].ndarray.map(wrap) ?? .none
  },
  Builtin("__deepcopy__", "__deepcopy__(self, memo, /)") { (a) throws(LullError) in
    a[0].ndarray.map(wrap) ?? .none
  },
  Builtin("__abs__", "__abs__(self, /)") { (a) throws(LullError) in
    stampPosition()
    return a[0].ndarray.map { wrap(abs($0)) } ?? .none
  },
  Builtin("__complex__", "__complex__(self, /)") { (a) throws(LullError) in
    let scalar = try oneValue(a[0])
    return makeComplexValue(scalar.double, scalar.imaginary)
  },
  Builtin("__array_namespace__", "__array_namespace__(self, api_version=None)") {
    (_) throws(LullError) in
    try importModuleValue("mlx.core")
  },
  Builtin(
    "astype", "astype(self, dtype, stream=None)", chapter: "arrays",
    doc: "The values in another dtype.",
    examples: [">>> mx.array([1.7, -1.7]).astype(mx.int32)\narray([1, -1], dtype=int32)"]
  ) { (a) throws(LullError) in
    stampPosition()
    try checkStream(a[2])
    let dtype = try dtypeOf(a[1])
    return a[0].ndarray.map { wrap($0.astype(dtype)) } ?? .none
  },
  special(
    "item", "self", "arrays", "The one value, as a plain number.", [">>> mx.array(3).item()\n3"],
    stream: false
  ) {
    value(of: try $0.array(0).item())
  },
  special(
    "tolist", "self", "arrays", "The values as nested lists.",
    [">>> mx.array([[1, 2], [3, 4]]).tolist()\n[[1, 2], [3, 4]]"], stream: false
  ) { try nestedList($0.array(0)) },
  function(
    "reshape", "self, *shape", "arrays", "The array in another shape.",
    [">>> mx.arange(4).reshape(2, 2)\narray([[0, 1],\n       [2, 3]], dtype=int32)"]
  ) {
    let dims = try $0.restInts(1)
    try checkDimensions(dims)
    return try $0.array(0).reshaped(dims)
  },
  function(
    "transpose", "self, *axes", "arrays", "The array with its axes in another order.",
    [">>> mx.zeros((2, 3)).transpose().shape\n(3, 2)"]
  ) {
    let rest = $0.args.rest(1)
    if rest.count == 0 || (rest.count == 1 && rest[0].isNone) { return try transpose($0.array(0)) }
    return try transpose($0.array(0), $0.restInts(1))
  },
]

private func methodsFromFunctions() -> [Builtin] {
  (elementwiseFunctions + reductionFunctions + shapeFunctions + creationFunctions + moreFunctions)
    .filter { methodNames.contains($0.name) }
    .map { f in
      let parameters = f.signature.drop { $0 != "(" }.dropFirst()
      let rest = parameters.drop { $0 != "," && $0 != ")" }
      return Builtin(
        f.name, "\(f.name)(self\(rest)", chapter: "arrays", doc: f.doc,
        examples: f.examples.map { asMethod($0, f.name) },
        run: f.run)
    }
}

/// `mx.sum(x, axis=0)` in an example as `x.sum(axis=0)`.
func asMethod(_ example: String, _ name: String, of module: String = "mx") -> String {
  let call = ">>> \(module).\(name)("
  guard let range = example.firstRange(of: call) else { return example }
  let text = Array(example[range.upperBound...])
  var depth = 0
  for (i, c) in text.enumerated() {
    if depth == 0, c == "," || c == ")" {
      let rest = String(text[(c == "," ? i + 1 : i)...].drop { $0 == " " })
      return "\(example[..<range.lowerBound])>>> \(String(text[..<i])).\(name)(\(rest)"
    }
    if "([".contains(c) { depth += 1 }
    if ")]".contains(c) { depth -= 1 }
  }
  return example
}

// MARK: - at

final class AtBox {
  let array: Value
  init(_ array: Value) { self.array = array }
  deinit { array.drop() }
}

final class AtIndexBox {
  let array: Value
  let index: Value
  init(_ array: Value, _ index: Value) {
    self.array = array
    self.index = index
  }
  deinit {
    array.drop()
    index.drop()
  }
}

let arrayAtType: NativeType = {
  let type = NativeType("ArrayAt", module: "mlx.core", doc: "Updates of an array at indices.")
  type.getItem = { (me, index) throws(LullError) in
    guard let box = me.native(AtBox.self) else { return .none }
    return atIndexType.make(AtIndexBox(box.array.retain(), index.retain()))
  }
  type.methods = ["set", "add", "subtract", "multiply", "divide", "maximum", "minimum"].map {
    name in
    Builtin(
      name, "\(name)(self, value)", chapter: "arrays",
      doc: "Needs the indices first: a.at[i].\(name)(value).",
      examples: [">>> a = mx.array([6, 2])\n>>> a.at[0].\(name)(3)[1]\narray(2, dtype=int32)"]
    ) { (_) throws(LullError) in
      throw LullError.valueError("give the indices first: a.at[indices].\(name)(value)")
    }
  }
  return type
}()

private let atIndexType: NativeType = {
  let type = NativeType(
    "ArrayAtIndex", module: "mlx.core", doc: "Updates of an array at given indices.")
  func method(_ name: String, _ doc: String, _ prints: String, _ mode: UpdateMode) -> Builtin {
    Builtin(
      name, "\(name)(self, value)", chapter: "arrays", doc: doc,
      examples: [
        ">>> a = mx.array([6, 2])\n>>> a.at[0].\(name)(3)\narray([\(prints), 2], dtype=int32)"
      ]
    ) { (a) throws(LullError) in
      guard let box = a[0].native(AtIndexBox.self) else { return .none }
      stampPosition()
      return wrap(try updated(box.array, box.index, a[1], mode))
    }
  }
  type.methods = [
    method("set", "A copy with the values at the indices replaced.", "3", .set),
    method("add", "A copy with value added at the indices; repeated indices add up.", "9", .add),
    method("subtract", "A copy with value subtracted at the indices.", "3", .subtract),
    method("multiply", "A copy with the values at the indices multiplied.", "18", .multiply),
    method("divide", "A copy with the values at the indices divided.", "2", .divide),
    method("maximum", "A copy with the larger of old and new at the indices.", "6", .maximum),
    method("minimum", "A copy with the smaller of old and new at the indices.", "3", .minimum),
  ]
  return type
}()
