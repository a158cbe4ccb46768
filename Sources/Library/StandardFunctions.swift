// The rest of mlx.core's names: second names of functions, creation without values, questions about dtypes, and
// what is composed of other operations. And how arrays are printed.

import Engine
import Language

/// Second names: `asin` for `arcsin`, ...
public let aliasFunctions: [Builtin] = [
  alias("acos", "arccos"), alias("acosh", "arccosh"), alias("asin", "arcsin"),
  alias("asinh", "arcsinh"), alias("atan", "arctan"), alias("atanh", "arctanh"),
  alias("atan2", "arctan2"), alias("pow", "power"), alias("bitwise_left_shift", "left_shift"),
  alias("bitwise_right_shift", "right_shift"), alias("cumulative_sum", "cumsum"),
  alias("cumulative_prod", "cumprod"), alias("empty", "zeros"), alias("empty_like", "zeros_like"),
  alias("matrix_norm", "norm"),
].compactMap { $0 }

private func alias(_ name: String, _ old: String) -> Builtin? {
  let tables = [elementwiseFunctions, reductionFunctions, creationFunctions, linalgFunctions]
  guard let f = tables.joined().first(where: { $0.name == old }) else { return nil }
  let isFilled = name.hasPrefix("empty")
  return Builtin(
    name, name + f.signature.drop { $0 != "(" }, chapter: f.chapter,
    doc: isFilled ? "As \(old): memory is always filled." : "As \(old).",
    examples: f.examples.map { example in
      let call = example.split(separator: "\n", maxSplits: 1, omittingEmptySubsequences: false)
      let source = call[0].replacing("mx.\(old)(", with: "mx.\(name)(")
      return ([String(source)] + call.dropFirst().map(String.init)).joined(separator: "\n")
    }, run: f.run)
}

private func kindNames(_ dtype: DType) -> Set<String> {
  if dtype == .bool { return ["bool"] }
  if dtype.isComplex { return ["complex floating", "numeric"] }
  if dtype.isFloating { return ["real floating", "numeric"] }
  return [dtype.isUnsigned ? "unsigned integer" : "signed integer", "integral", "numeric"]
}
private let allKinds: Set<String> = [
  "bool", "signed integer", "unsigned integer", "integral", "real floating", "complex floating",
  "numeric",
]

public let moreFunctions: [Builtin] = [
  function(
    "asarray", "a, dtype=None, *, copy=None", "creation",
    "a as an array; an array is taken as it is.",
    [">>> mx.asarray([1, 2])\narray([1, 2], dtype=int32)"]
  ) { a in
    if a.has(2), try !a.bool(2) {
      throw LullError.valueError(
        "asarray: arrays are values, so copy=False cannot be promised; leave it out")
    }
    return try toArray(a.args[0], dtype: a.dtype(1))
  },
  function(
    "from_dlpack", "x, /, *, copy=None", "creation",
    "An array of anything with __dlpack__; NumPy's 64-bit floats become float32. Arrays are values: copy=False is an error.",
    [">>> mx.from_dlpack(mx.array([1, 2]))\narray([1, 2], dtype=int32)"]
  ) { a in
    guard let x = try takeCapsule(a.args[0]) else {
      throw LullError.typeError(
        "from_dlpack: expected an object with __dlpack__, not \(a.args[0].typeNameText)")
    }
    if a.has(1), try !a.bool(1) {
      throw LullError.valueError(
        "from_dlpack: arrays are values, so memory that changes cannot be shared; leave copy=False out"
      )
    }
    guard a.args[0].isInstance(of: ndarrayType) else { return x }
    return x.dtype.isOfNumPy ? x.astype(x.dtype.ofMLX) : try x.laidOut
  },
  Builtin(
    "can_cast", "can_cast(from_, to)", chapter: "dtypes",
    doc: "Whether promoting the two dtypes together gives the second.",
    examples: [
      ">>> mx.can_cast(mx.int32, mx.float16), mx.can_cast(mx.float32, mx.int32)\n(True, False)"
    ]
  ) { (a) throws(LullError) in
    let from: DType
    if let x = a[0].ndarray { from = x.dtype } else { from = try dtypeOf(a[0]) }
    let to = try dtypeOf(a[1])
    return Value(DType.promoted(from, to) == to)
  },
  Builtin(
    "isdtype", "isdtype(dtype, kind)", chapter: "dtypes",
    doc: "Whether a dtype is of a kind such as 'integral' or 'real floating', or one of several.",
    examples: [">>> mx.isdtype(mx.float16, 'real floating')\nTrue"]
  ) { (a) throws(LullError) in
    let dtype = try dtypeOf(a[0])
    func matches(_ v: Value) throws(LullError) -> Bool {
      guard let name = v.stringValue else { return try dtypeOf(v) == dtype }
      guard allKinds.contains(name) else {
        throw LullError.valueError(
          "isdtype: kind '\(name)' is not known; kinds are \(allKinds.sorted().joined(separator: ", "))"
        )
      }
      return kindNames(dtype).contains(name)
    }
    guard a[1].isTuple else { return Value(try matches(a[1])) }
    var found = false
    for kind in a[1].elements { found = try matches(kind) || found }
    return Value(found)
  },
  function(
    "matrix_transpose", "a, /", "shape", "a with its last two axes exchanged.",
    [">>> mx.matrix_transpose(mx.zeros((2, 3, 4))).shape\n(2, 4, 3)"]
  ) { try matrixTranspose($0.array(0)) },
  function(
    "logcumsumexp", "a, /, axis=None, *, reverse=False, inclusive=True", "reductions",
    "log of the sums of exp of all values up to each, without overflow.",
    [">>> mx.logcumsumexp(mx.array([0.0, 1.0, 2.0]))\narray([0, 1.31326, 2.40761], dtype=float32)"]
  ) {
    try logcumsumexp(
      $0.array(0), axis: $0.optionalInt(1), reverse: $0.bool(2), inclusive: $0.bool(3))
  },
  function(
    "median", "a, /, axis=None, keepdims=False", "reductions",
    "The middle value over axes (None: all).",
    [">>> mx.median(mx.array([3.0, 1.0, 2.0, 10.0]))\narray(2.5, dtype=float32)"]
  ) { try median($0.array(0), axes: $0.axes(1), keepdims: $0.bool(2)) },
  special(
    "minmax", "a, /, axis=None, keepdims=False", "reductions",
    "(smallest, largest) over axes (None: all).",
    [">>> mx.minmax(mx.array([3, 1, 2]))\n(array(1, dtype=int32), array(3, dtype=int32))"]
  ) { a in
    let (x, axes, keep) = (try a.array(0), try a.axes(1), try a.bool(2))
    return tuple([try min(x, axes: axes, keepdims: keep), try max(x, axes: axes, keepdims: keep)])
  },
  function(
    "vecdot", "a, b, /, *, axis=-1", "linear algebra", "Sum of conj(a) * b along an axis.",
    [">>> mx.vecdot(mx.array([1.0, 2.0]), mx.array([3.0, 4.0]))\narray(11, dtype=float32)"]
  ) { a in
    let (x, y) = (try a.array(0), try a.array(1))
    guard x.rank > 0, y.rank > 0 else {
      throw LullError.valueError("vecdot: the arrays need at least one axis")
    }
    let n = try x.shape[x.axis(a.int(2), op: "vecdot")]
    guard n == (try y.shape[y.axis(a.int(2), op: "vecdot")]) else {
      throw ArrayError.shapeMismatch(
        op: "vecdot", lhs: x.shape.array, rhs: y.shape.array, reason: "the vectors differ in length"
      )
    }
    let left = x.dtype.isComplex ? conjugate(x) : x
    let product = try multiply(left, y)
    return try sum(product, axes: [a.int(2)]).astype(product.dtype)
  },
  special(
    "unstack", "x, /, *, axis=0", "shape", "The entries of an axis, as a tuple of arrays.",
    [
      ">>> mx.unstack(mx.array([[1, 2], [3, 4]]))\n(array([1, 2], dtype=int32), array([3, 4], dtype=int32))"
    ]
  ) { a in
    let x = try a.array(0)
    let axis = try x.axis(a.int(1), op: "unstack")
    return tuple(
      try (0..<x.shape[axis]).map {
        try squeeze(slice(x, axis: axis, from: $0, to: $0 + 1), [axis])
      })
  },
  function(
    "slice", "a, start_indices, axes, slice_size", "indexing",
    "The part of a of a size, from indices along axes.",
    [
      ">>> mx.slice(mx.array([[1, 2, 3], [4, 5, 6]]), mx.array([1]), (1,), (2, 1))\narray([[2],\n       [5]], dtype=int32)"
    ]
  ) { a in try sliced(a) },
  special(
    "unique",
    "a, /, size=None, return_index=False, return_inverse=False, return_counts=False, fill_value=None",
    "sorting",
    "The distinct values of the flattened a, ascending: `size` of them, short ones padded (None: as many as there are).",
    [
      ">>> mx.unique(mx.array([2, 1, 2, 3, 1]))\narray([1, 2, 3], dtype=int32)",
      ">>> mx.unique(mx.array([2, 1, 2, 3, 1]), 4, return_counts=True, fill_value=0)\n(array([1, 2, 3, 0], dtype=int32), array([2, 2, 1, 0], dtype=int32))",
    ]
  ) { a in try uniqueValues(a) },
  special(
    "einsum_path", "subscripts, *operands", "linear algebra",
    "The order in which einsum contracts its operands, and a text about its cost.",
    [
      ">>> mx.einsum_path('ij,jk,kl->il', mx.ones((2, 2)), mx.ones((2, 5)), mx.ones((5, 2)))[0]\n[(1, 2), (0, 1)]"
    ], stream: false
  ) { a in
    let (steps, text) = try einsumPath(a.string(0), restArrays(a, 1))
    return makeTupleValue([makeListValue(steps.map { makeTuple(ints: $0) }), makeStr(text)])
  },
  Builtin(
    "set_wired_limit", "set_wired_limit(limit)", chapter: "memory",
    doc:
      "Memory that is always resident, on systems that can; nothing here: returns the old limit, 0.",
    examples: [">>> mx.set_wired_limit(0)\n0"]
  ) { (a) throws(LullError) in
    if try a.int(0) < 0 { throw LullError.valueError("the limit must not be negative") }
    return Value(0)
  },
  Builtin(
    "set_printoptions", "set_printoptions(precision=-1)", chapter: "printing",
    doc: "Decimals of printed floats; -1: six significant digits.",
    examples: [
      ">>> mx.set_printoptions(precision=2)\n>>> mx.array([1.0, 2.345])\narray([1.00, 2.35], dtype=float32)",
      ">>> mx.set_printoptions()",
    ]
  ) { (a) throws(LullError) in
    Engine.printPrecision = try precision(a)
    return .none
  },
  Builtin(
    "get_printoptions", "get_printoptions()", chapter: "printing", doc: "How arrays are printed.",
    examples: [">>> mx.get_printoptions().precision\n-1"]
  ) { (a) throws(LullError) in printOptionsType.make(PrintOptionsBox(Engine.printPrecision)) },
  Builtin(
    "printoptions", "printoptions(precision=-1)", chapter: "printing",
    doc: "A context (`with`) in which arrays print with so many decimals.",
    examples: [
      ">>> with mx.printoptions(precision=1):\n...     print(mx.array(2.55))\narray(2.5, dtype=float32)"
    ]
  ) { (a) throws(LullError) in printContextType.make(PrintOptionsBox(try precision(a))) },
]

private func precision(_ a: Args) throws(LullError) -> Int {
  let n = try a.int(0)
  guard n >= -1, n <= 60 else {
    throw LullError.valueError("precision must be between -1 and 60, got \(n)")
  }
  return n
}

func matrixTranspose(_ x: NDArray) throws(ArrayError) -> NDArray {
  guard x.rank >= 2 else {
    throw .rank(op: "matrix_transpose", shape: x.shape.array, needed: "at least two dimensions")
  }
  return try swapaxes(x, -1, -2)
}

private func sliced(_ a: ArrayArgs) throws -> NDArray {
  let x = try a.array(0)
  let places = try a.array(1)
  let axes = try a.ints(2)
  let sizes = try a.ints(3)
  if !places.isEvaluated || places.isTraced, sizes.allSatisfy({ $0 >= 0 }) {
    return try slice(x, at: places, axes, size: Shape.checked(sizes, op: "slice"))
  }
  let starts = try flatten(places).ints()
  guard starts.count == axes.count else {
    throw LullError.valueError("slice: \(starts.count) start indices for \(axes.count) axes")
  }
  guard sizes.count == x.rank else {
    throw LullError.valueError("slice: \(sizes.count) sizes for an array with \(x.rank) dimensions")
  }
  var ranges = [SliceRange](repeating: SliceRange(), count: x.rank)
  for (i, size) in sizes.enumerated() {
    guard size >= 0, size <= x.shape[i] else {
      throw LullError.valueError("slice: size \(size) for axis \(i) with size \(x.shape[i])")
    }
    ranges[i] = SliceRange(0, size)
  }
  var seen = Set<Int>()
  for (start, given) in zip(starts, axes) {
    let i = try x.axis(given, op: "slice")
    guard seen.insert(i).inserted else { throw ArrayError.duplicateAxis(op: "slice", axes: axes) }
    guard start >= 0, start <= x.shape[i] - sizes[i] else {
      throw ArrayError.indexOutOfRange(op: "slice", index: start, axis: i, size: x.shape[i])
    }
    ranges[i] = SliceRange(start, start + sizes[i])
  }
  return try slice(x, ranges)
}

private func uniqueValues(_ a: ArrayArgs) throws -> Value {
  let x = try a.array(0)
  let found = try unique(x)
  let n = found.values.size
  let size = try a.optionalInt(1) ?? n
  guard size >= 0, size < 1 << 40 else {
    throw LullError.valueError("unique: size must not be negative, got \(size)")
  }
  if size > n, n == 0, !a.has(5) {
    throw LullError.valueError("unique: an empty array has no value to fill with; give fill_value")
  }
  /// Cut, or filled up to `size`.
  func sized(_ y: NDArray, _ fill: NDArray?) throws -> NDArray {
    if size <= n { return size == n ? y : try slice(y, axis: 0, from: 0, to: size) }
    let value = try fill?.astype(y.dtype) ?? squeeze(slice(y, axis: 0, from: 0, to: 1))
    return try concatenate([y, value.broadcast(to: [size - n])], axis: 0)
  }
  var out = [try sized(found.values, a.has(5) ? operands(wrap(x), a.args[5]).1 : nil)]
  let zero = try NDArray(.int(0), dtype: .int64)
  if try a.bool(2) { out.append(try sized(found.index, n == 0 ? zero : nil).astype(.uint32)) }
  if try a.bool(3) {
    let last = try NDArray(.int(Swift.max(size - 1, 0)), dtype: .int64)
    let inverse = size < n ? try minimum(found.inverse, last) : found.inverse
    out.append(try inverse.reshaped(x.shape.array).astype(.uint32))
  }
  if try a.bool(4) { out.append(try sized(found.counts, zero).astype(.int32)) }
  return out.count == 1 ? wrap(out[0]) : tuple(out)
}

// MARK: - Printing

final class PrintOptionsBox {
  let precision: Int
  var old = -1
  init(_ precision: Int) { self.precision = precision }
}
let printOptionsType: NativeType = {
  let type = NativeType("PrintOptions", module: "mlx.core", doc: "How arrays are printed.")
  type.constructor = Builtin(
    "PrintOptions", "PrintOptions(precision=-1)", chapter: "printing",
    doc: "How arrays are printed.",
    examples: [">>> mx.PrintOptions(3).precision\n3"]
  ) { (a) throws(LullError) in printOptionsType.make(PrintOptionsBox(try precision(a))) }
  type.properties = [
    NativeProperty("precision", doc: "Decimals; -1: six significant digits.") {
      (v) throws(LullError) in
      Value(v.native(PrintOptionsBox.self)?.precision ?? -1)
    }
  ]
  type.repr = { (v) throws(LullError) in
    "PrintOptions(precision=\(v.native(PrintOptionsBox.self)?.precision ?? -1))"
  }
  return type
}()
private let printContextType: NativeType = {
  let type = NativeType(
    "_PrintOptionsContext", module: "mlx.core", doc: "Print options for a while.")
  type.enter = { (me) throws(LullError) in
    guard let box = me.native(PrintOptionsBox.self) else { return .none }
    box.old = Engine.printPrecision
    Engine.printPrecision = box.precision
    return printOptionsType.make(PrintOptionsBox(box.precision))
  }
  type.exit = { (me, _) throws(LullError) in
    if let box = me.native(PrintOptionsBox.self) { Engine.printPrecision = box.old }
    return false
  }
  return type
}()
