// The native half of `numpy`, module `_numpy`: creation, reductions, the methods of ndarray, and functions of
// mlx.core that run under NumPy's rules as they are. The rest is in the language, `stdlib/numpy`.

import Engine
import Language

/// A function of NumPy's that gives one array.
private func numpy(
  _ name: String, _ parameters: String, _ doc: String, _ examples: [String] = [],
  _ run: @escaping (ArrayArgs) throws -> NDArray
) -> Builtin {
  numpyValue(name, parameters, doc, examples) { wrap(try run($0)) }
}
private func numpyValue(
  _ name: String, _ parameters: String, _ doc: String, _ examples: [String] = [],
  _ run: @escaping (ArrayArgs) throws -> Value
) -> Builtin {
  Builtin(
    name, "\(name)(\(parameters))", chapter: "numpy", doc: doc,
    examples: examples.map { ">>> import numpy as np\n" + $0 }
  ) {
    (args) throws(LullError) in
    stampPosition()
    return try underNumPy { () throws(LullError) in try engine { try run(ArrayArgs(args)) } }
  }
}

/// A function of mlx.core under NumPy's rules and with NumPy's names of its parameters.
private func lifted(
  _ name: String, _ parameters: String, _ example: String? = nil, _ old: String? = nil
) -> Builtin? {
  let all = [
    shapeFunctions, creationFunctions, indexingFunctions, elementwiseFunctions, linearFunctions,
    reductionFunctions, moreFunctions, fourierFunctions, linalgFunctions, fileFunctions,
  ]
  guard let f = all.joined().first(where: { $0.name == old ?? name }) else { return nil }
  return Builtin(
    name, "\(name)(\(parameters))", chapter: "numpy", doc: f.doc,
    examples: example.map { [$0] } ?? []
  ) { (a) throws(LullError) in
    try underNumPy { () throws(LullError) in try f.run(a) }
  }
}

extension ArrayArgs {
  fileprivate func numpyType(_ i: Int) throws(LullError) -> DType? {
    has(i) ? try numpyDType(args[i]) : nil
  }
  /// The array at 0 in the dtype at i, if one is given.
  fileprivate func typed(_ i: Int) throws(LullError) -> NDArray {
    let x = try array(0)
    return try numpyType(i).map { x.astype($0) } ?? x
  }
}

// MARK: - Creation

private func made(_ a: ArrayArgs, ndmin: Int? = nil) throws -> NDArray {
  if let x = a.args[0].ndarray, x.dtype == .bfloat16, !a.has(1), a.args[0].isInstance(of: arrayType)
  {
    throw LullError.valueError(
      "NumPy has no bfloat16: convert the array first, x.astype(mx.float32)")
  }
  var x = try toArray(a.args[0], dtype: a.numpyType(1))
  if let ndmin, ndmin > x.rank {
    guard ndmin <= Shape.maxRank else {
      throw ArrayError.tooManyDimensions(op: "array", count: ndmin)
    }
    x = try x.reshaped([Int](repeating: 1, count: ndmin - x.rank) + x.shape.array)
  }
  return x
}

/// An ndarray over the memory of x, which keeps the array that it was made of.
private func sharing(_ x: NDArray, _ source: Value) throws -> Value {
  let v = wrap(try x.shared)
  if source.ndarray != nil { v.keep(source) }
  return v
}

private let creation: [Builtin] = [
  numpyValue(
    "array", "object, dtype=None, *, copy=True, order=None, ndmin=0",
    "An ndarray of a number, of (nested) lists of numbers, or of another array; int64 and float64 by default.",
    [">>> np.array([1, 2, 3]), np.array([1.5, 2])\n(array([1, 2, 3]), array([1.5, 2. ]))"]
  ) { a in
    let x = try made(a, ndmin: a.int(4))
    return try a.bool(2) ? wrap(x) : sharing(x, a.args[0])
  },
  numpyValue(
    "asarray", "a, dtype=None, order=None, *, copy=None", "a as an ndarray.",
    [">>> np.asarray([1, 2])\narray([1, 2])"]
  ) { a in
    let x = try made(a)
    return try a.has(3) && !a.bool(3) ? sharing(x, a.args[0]) : wrap(x)
  },
  numpy(
    "zeros", "shape, dtype=None, order='C'", "Zeros; float64 unless a dtype is given.",
    [">>> np.zeros((2, 2))\narray([[0., 0.],\n       [0., 0.]])"]
  ) {
    try NDArray.zeros($0.shape(0, op: "zeros"), dtype: $0.numpyType(1) ?? .float64)
  },
  numpy(
    "ones", "shape, dtype=None, order='C'", "Ones; float64 unless a dtype is given.",
    [">>> np.ones(3)\narray([1., 1., 1.])"]
  ) {
    try NDArray.ones($0.shape(0, op: "ones"), dtype: $0.numpyType(1) ?? .float64)
  },
  numpy(
    "empty", "shape, dtype=None, order='C'", "As zeros: memory is always filled.",
    [">>> np.empty(2).shape\n(2,)"]
  ) {
    try NDArray.zeros($0.shape(0, op: "empty"), dtype: $0.numpyType(1) ?? .float64)
  },
  numpy(
    "full", "shape, fill_value, dtype=None, order='C'",
    "A value (or a broadcast array) everywhere.",
    [">>> np.full((2, 2), 7)\narray([[7, 7],\n       [7, 7]])"]
  ) { a in
    let value = try a.array(1)
    let typed = try value.astype(a.numpyType(2) ?? value.dtype)
    let result = try typed.broadcast(to: a.shape(0, op: "full"))
    return result === typed ? typed : result.asFill()
  },
  numpy(
    "zeros_like", "a, dtype=None", "Zeros of a's shape and dtype.",
    [">>> np.zeros_like(np.array([1, 2]))\narray([0, 0])"]
  ) { a in
    let x = try a.array(0)
    return try NDArray.zeros(x.shape, dtype: a.numpyType(1) ?? x.dtype)
  },
  numpy(
    "ones_like", "a, dtype=None", "Ones of a's shape and dtype.",
    [">>> np.ones_like(np.array([1, 2]))\narray([1, 1])"]
  ) { a in
    let x = try a.array(0)
    return try NDArray.ones(x.shape, dtype: a.numpyType(1) ?? x.dtype)
  },
  numpy(
    "empty_like", "a, dtype=None", "Zeros of a's shape and dtype.",
    [">>> np.empty_like(np.array([1, 2])).shape\n(2,)"]
  ) { a in
    let x = try a.array(0)
    return try NDArray.zeros(x.shape, dtype: a.numpyType(1) ?? x.dtype)
  },
  numpy(
    "full_like", "a, fill_value, dtype=None", "A value everywhere, in a's shape.",
    [">>> np.full_like(np.array([1, 2]), 7)\narray([7, 7])"]
  ) { a in
    let x = try a.array(0)
    return try a.array(1).astype(a.numpyType(2) ?? x.dtype).broadcast(to: x.shape)
  },
  numpy(
    "arange", "start, stop=None, step=None, dtype=None",
    "Numbers from start (0 if alone) up to but not including stop.",
    [">>> np.arange(3), np.arange(0.0, 1.0, 0.5)\n(array([0, 1, 2]), array([0. , 0.5]))"]
  ) { a in
    func number(_ i: Int) throws -> Scalar? {
      guard a.has(i) else { return nil }
      if let scalar = try a.args[i].scalar() { return scalar }
      return try a.array(i).item()
    }
    let first = try number(0) ?? .int(0)
    let stop = try number(1)
    let step = try number(2) ?? .int(1)
    var isFloat = false
    for case .float? in [first, stop, step] { isFloat = true }
    let dtype = try a.numpyType(3) ?? (isFloat ? .float64 : .int64)
    return try NDArray.arange(stop == nil ? .int(0) : first, stop ?? first, step, dtype: dtype)
  },
  numpy(
    "eye", "N, M=None, k=0, dtype=None", "Ones on the k-th diagonal of an N x M matrix.",
    [">>> np.eye(2)\narray([[1., 0.],\n       [0., 1.]])"]
  ) {
    try NDArray.eye($0.int(0), $0.optionalInt(1), k: $0.int(2), dtype: $0.numpyType(3) ?? .float64)
  },
  numpy(
    "identity", "n, dtype=None", "The n x n identity matrix.",
    [">>> np.identity(2)\narray([[1., 0.],\n       [0., 1.]])"]
  ) {
    try NDArray.identity($0.int(0), dtype: $0.numpyType(1) ?? .float64)
  },
  numpy(
    "tri", "N, M=None, k=0, dtype=None", "Ones on and below the k-th diagonal.",
    [">>> np.tri(2)\narray([[1., 0.],\n       [1., 1.]])"]
  ) {
    try NDArray.tri($0.int(0), $0.optionalInt(1), k: $0.int(2), dtype: $0.numpyType(3) ?? .float64)
  },
]

// MARK: - Reductions; each is a method too

private let reductions: [Builtin] =
  ["sum", "prod", "max", "min", "all", "any"].map { name in
    let prints = [
      "sum": "[4, 6]", "prod": "[3, 8]", "max": "[3, 4]", "min": "[1, 2]", "all": "[ True,  True]",
      "any": "[ True,  True]",
    ]
    return numpy(
      name, "a, axis=None, dtype=None, out=None, keepdims=False, initial=None, where=None",
      "The \(name) over axes (None: all); `where` leaves elements out.",
      [">>> np.\(name)(np.array([[1, 2], [3, 4]]), axis=0)\narray(\(prints[name] ?? ""))"]
    ) { a in try reduced(name, a) }
  } + [
    numpy(
      "mean", "a, axis=None, dtype=None, out=None, keepdims=False", "Mean over axes (None: all).",
      [">>> np.mean(np.array([[1, 2], [3, 4]]), axis=0)\narray([2., 3.])"]
    ) { a in
      let x = try a.typed(2)
      return try numpyReduce("mean", x, a.axes(1), keepdims: a.bool(4))
    },
    numpy(
      "var", "a, axis=None, dtype=None, out=None, ddof=0, keepdims=False", "Variance over axes.",
      [">>> np.var(np.array([[1, 2], [3, 4]]), axis=0)\narray([1., 1.])"]
    ) { a in
      let x = try a.typed(2)
      return try variance(
        x.dtype.isInexact ? x : x.astype(.float64), axes: a.axes(1), keepdims: a.bool(5),
        ddof: a.int(4))
    },
    numpy(
      "std", "a, axis=None, dtype=None, out=None, ddof=0, keepdims=False", "Standard deviation.",
      [">>> np.std(np.array([[1, 2], [3, 4]]), axis=0)\narray([1., 1.])"]
    ) { a in
      let x = try a.typed(2)
      return try std(
        x.dtype.isInexact ? x : x.astype(.float64), axes: a.axes(1), keepdims: a.bool(5),
        ddof: a.int(4))
    },
    numpy(
      "argmax", "a, axis=None, out=None, *, keepdims=False", "Index of the first largest value.",
      [">>> np.argmax(np.array([[1, 2], [3, 4]]), axis=0)\narray([1, 1])"]
    ) {
      try argmax($0.array(0), axis: $0.optionalInt(1), keepdims: $0.bool(3)).astype(.int64)
    },
    numpy(
      "argmin", "a, axis=None, out=None, *, keepdims=False", "Index of the first smallest value.",
      [">>> np.argmin(np.array([[1, 2], [3, 4]]), axis=0)\narray([0, 0])"]
    ) {
      try argmin($0.array(0), axis: $0.optionalInt(1), keepdims: $0.bool(3)).astype(.int64)
    },
    numpy(
      "cumsum", "a, axis=None, dtype=None, out=None", "Sums of all values up to each.",
      [">>> np.cumsum(np.array([1, 2, 3]))\narray([1, 3, 6])"]
    ) {
      let made = try numpyScan("cumsum", $0.typed(2), $0.optionalInt(1))
      return try $0.numpyType(2).map { made.astype($0) } ?? made
    },
    numpy(
      "cumprod", "a, axis=None, dtype=None, out=None", "Products of all values up to each.",
      [">>> np.cumprod(np.array([1, 2, 3]))\narray([1, 2, 6])"]
    ) {
      let made = try numpyScan("cumprod", $0.typed(2), $0.optionalInt(1))
      return try $0.numpyType(2).map { made.astype($0) } ?? made
    },
    numpy(
      "round", "a, decimals=0, out=None",
      "Nearest value with so many decimals; ties go to the even one.",
      [">>> np.round(np.array([1.25, 2.55]), 1)\narray([1.2, 2.6])"]
    ) { a in
      let x = try a.array(0)
      let decimals = try a.int(1)
      if !x.dtype.isInexact, decimals >= 0 { return x }
      return try round(x, decimals: decimals).astype(x.dtype)
    },
    numpy(
      "trace", "a, offset=0, axis1=0, axis2=1, dtype=None", "The sum of a diagonal.",
      [">>> np.trace(np.array([[1, 2], [3, 4]]))\nnp.int64(5)"]
    ) { a in
      let d = try diagonal(a.array(0), offset: a.int(1), axis1: a.int(2), axis2: a.int(3))
      return try numpyReduce("sum", a.numpyType(4).map { d.astype($0) } ?? d, [-1], keepdims: false)
    },
    numpy(
      "clip", "a, a_min=None, a_max=None, *, min=None, max=None", "a held between two limits.",
      [">>> np.clip(np.array([1, 5, 9]), 2, 6)\narray([2, 5, 6])"]
    ) { a in
      var x = try a.array(0)
      let (low, high) = (a.has(1) ? 1 : 3, a.has(2) ? 2 : 4)
      if a.has(low) {
        let (p, q) = try numpyOperands(wrap(x), a.args[low])
        x = try maximum(p, q)
      }
      if a.has(high) {
        let (p, q) = try numpyOperands(wrap(x), a.args[high])
        x = try minimum(p, q)
      }
      return x
    },
    numpy(
      "argsort", "a, axis=-1, kind=None", "The indices that sort an axis.",
      [">>> np.argsort(np.array([3, 1, 2]))\narray([1, 2, 0])"]
    ) {
      try argsort($0.array(0), axis: $0.optionalInt(1)).astype(.int64)
    },
    numpyValue(
      "nonzero", "a", "The indices of what is not zero, one array an axis.",
      [">>> np.nonzero(np.array([0, 5, 7]))\n(array([1, 2]),)"]
    ) {
      tuple(try nonzero($0.array(0)).map { $0.astype(.int64) })
    },
    numpy(
      "argpartition", "a, kth, axis=-1", "The indices that partition an axis.",
      [">>> np.argpartition(np.array([3, 1, 2]), 0)[0]\nnp.int64(1)"]
    ) {
      try argpartition($0.array(0), $0.int(1), axis: $0.optionalInt(2)).astype(.int64)
    },
    numpy(
      "ravel", "a, order='C'", "The elements one after the other; order 'F' by columns.",
      [">>> np.ravel(np.array([[1, 2], [3, 4]]))\narray([1, 2, 3, 4])"]
    ) { a in
      let x = try a.array(0)
      return try flatten(a.string(1) == "F" ? transpose(x) : x)
    },
    numpy(
      "dot", "a, b", "Matrix product, or the sum over a's last and b's second-last axis.",
      [">>> np.dot(np.array([[1, 2], [3, 4]]), np.array([1, 1]))\narray([3, 7])"]
    ) { a in
      let (x, y) = try a.pair(0, 1)
      if x.rank == 0 || y.rank == 0 { return try multiply(x, y) }
      if x.rank <= 2, y.rank <= 2 { return try matmul(x, y) }
      return try tensordot(x, y, axesA: [x.rank - 1], axesB: [Swift.max(y.rank - 2, 0)])
    },
  ]
  + [
    lifted(
      "swapaxes", "a, axis1, axis2",
      ">>> import numpy as np\n>>> np.swapaxes(np.zeros((2, 3)), 0, 1).shape\n(3, 2)"),
    lifted(
      "squeeze", "a, axis=None",
      ">>> import numpy as np\n>>> np.squeeze(np.array([[1, 2]]))\narray([1, 2])"),
    lifted(
      "repeat", "a, repeats, axis=None",
      ">>> import numpy as np\n>>> np.repeat(np.array([1, 2]), 2)\narray([1, 1, 2, 2])"),
    lifted(
      "take", "a, indices, axis=None",
      ">>> import numpy as np\n>>> np.take(np.array([10, 20, 30]), [2, 0])\narray([30, 10])"),
    lifted(
      "diagonal", "a, offset=0, axis1=0, axis2=1",
      ">>> import numpy as np\n>>> np.diagonal(np.array([[1, 2], [3, 4]]))\narray([1, 4])"),
  ].compactMap { $0 }

private func reduced(_ name: String, _ a: ArrayArgs) throws -> NDArray {
  var x = try a.typed(2)
  let isLogical = name == "all" || name == "any"
  let hasInitial = a.has(5)
  if a.has(6) {
    let mask = try a.array(6).astype(.bool)
    let fill: NDArray
    switch name {
    case "sum", "any": fill = try NDArray(.int(0), dtype: x.dtype)
    case "prod", "all": fill = try NDArray(.int(1), dtype: x.dtype)
    default:
      guard hasInitial else {
        throw LullError.valueError(
          "reduction operation '\(name)' has no identity: give initial= with where=")
      }
      fill = try a.array(5).astype(x.dtype)
    }
    x = try `where`(mask, x, fill)
  }
  let axes = try a.axes(1)
  let keepdims = try a.bool(4)
  if x.size == 0, hasInitial, name == "max" || name == "min" {
    let shape = try sum(x, axes: axes, keepdims: keepdims).shape
    return try a.array(5).astype(x.dtype).broadcast(to: shape)
  }
  let made = try numpyReduce(name, x, axes, keepdims: keepdims)
  let typed = try a.has(2) && !isLogical ? made.astype(a.numpyType(2) ?? made.dtype) : made
  guard hasInitial, !isLogical else { return typed }
  let (p, q) = try numpyOperands(wrap(typed), a.args[5])
  switch name {
  case "sum": return try add(p, q)
  case "prod": return try multiply(p, q)
  case "max": return try maximum(p, q)
  default: return try minimum(p, q)
  }
}

// MARK: - Methods

private let ownMethods: [Builtin] = [
  Builtin("__dlpack_device__", "__dlpack_device__(self, /)") { (_) throws(LullError) in
    makeTupleValue([Value(1), Value(0)])
  },
  Builtin(
    "__dlpack__", "__dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None)",
    chapter: "numpy", doc: "The array as another library takes it with from_dlpack.",
    run: giveCapsule),
  Builtin("__copy__", "__copy__(self, /)") { (a) throws(LullError) in
    a[0].ndarray.map { ndarrayType.make($0) } ?? .none
  },
  Builtin("__deepcopy__", "__deepcopy__(self, memo, /)") { (a) throws(LullError) in
    a[0].ndarray.map { ndarrayType.make($0) } ?? .none
  },
  numpy("__abs__", "self, /", "abs(x).") { abs(try $0.array(0)) },
  numpyValue("__complex__", "self, /", "complex(x).") { a in
    let s = try a.array(0).item()
    return makeComplexValue(s.double, s.imaginary)
  },
  numpyValue(
    "item", "self, index=None", "The one value, or the value at a flat index, as a plain number.",
    [">>> np.array([5]).item()\n5"]
  ) { a in
    let x = try a.array(0)
    if a.has(1) {
      let flat = try flatten(x)
      let i = try a.int(1)
      guard i >= -flat.size, i < flat.size else {
        throw ArrayError.indexOutOfRange(op: "item", index: i, axis: 0, size: flat.size)
      }
      return value(of: try flat.at([.int(i)]).item())
    }
    return value(of: try x.item())
  },
  numpyValue(
    "tolist", "self", "The values as nested lists.",
    [">>> np.array([[1, 2], [3, 4]]).tolist()\n[[1, 2], [3, 4]]"]
  ) { try nestedList($0.array(0)) },
  numpy(
    "astype", "self, dtype, order=None, casting=None, subok=True, copy=True",
    "The values in another dtype.",
    [">>> np.array([1.7, -1.7]).astype(int)\narray([ 1, -1])"]
  ) {
    try $0.array(0).astype($0.numpyType(1) ?? .float64)
  },
  numpy(
    "view", "self, dtype=None", "The same bytes read as another dtype.",
    [">>> np.array([1.0]).view(np.int64)\narray([4607182418800017408])"]
  ) { a in
    let x = try a.array(0)
    return try a.numpyType(1).map { try x.view(as: $0) } ?? x
  },
  numpy(
    "reshape", "self, *shape, order='C'", "The array in another shape.",
    [">>> np.arange(4).reshape(2, 2)\narray([[0, 1],\n       [2, 3]])"]
  ) { a in
    let x = try a.array(0)
    guard a.has(2), try a.string(2) == "F" else { return try x.reshaped(a.restInts(1)) }
    return try transpose(transpose(x).reshaped(Array(a.restInts(1).reversed())))
  },
  numpy(
    "transpose", "self, *axes", "The array with its axes in another order.",
    [">>> np.array([[1, 2], [3, 4]]).transpose()\narray([[1, 3],\n       [2, 4]])"]
  ) { a in
    let rest = a.args.rest(1)
    if rest.count == 0 || (rest.count == 1 && rest[0].isNone) { return try transpose(a.array(0)) }
    return try transpose(a.array(0), a.restInts(1))
  },
  numpy(
    "copy", "self, order='C'", "The array itself: arrays are values.",
    [">>> np.array([1, 2]).copy()\narray([1, 2])"]
  ) { try $0.array(0) },
  numpy(
    "flatten", "self, order='C'", "The elements one after the other.",
    [">>> np.array([[1, 2], [3, 4]]).flatten()\narray([1, 2, 3, 4])"]
  ) { a in
    let x = try a.array(0)
    return try flatten(a.string(1) == "F" ? transpose(x) : x)
  },
  numpy(
    "conj", "self", "Complex conjugate.",
    [">>> np.array([1+2j]).conj()\narray([1.-2.j])"]
  ) { conjugate(try $0.array(0)) },
  numpy(
    "conjugate", "self", "Complex conjugate.",
    [">>> np.array([1+2j]).conjugate()\narray([1.-2.j])"]
  ) { conjugate(try $0.array(0)) },
  numpyValue(
    "tobytes", "self, order='C'", "The bytes of the elements, row by row.",
    [">>> np.array([1, 2], dtype=np.uint8).tobytes()\nb'\\x01\\x02'"]
  ) { a in
    let x = try a.array(0)
    try x.eval()
    let flat = try x.rowContiguous()
    return makeBytesValue(
      Array(UnsafeRawBufferPointer(start: flat.pointer, count: x.size == 0 ? 0 : flat.byteCount)))
  },
  numpyValue(
    "fill", "self, value", "Puts one value everywhere.",
    [">>> a = np.zeros(2)\n>>> a.fill(7)\n>>> a\narray([7., 7.])"]
  ) { a in
    let x = try a.array(0)
    a.args[0].setNative(try a.array(1).astype(x.dtype).broadcast(to: x.shape))
    return .none
  },
  numpyValue(
    "sort", "self, axis=-1, kind=None", "Sorts in place.",
    [">>> a = np.array([3, 1, 2])\n>>> a.sort()\n>>> a\narray([1, 2, 3])"]
  ) { a in
    a.args[0].setNative(try sort(a.array(0), axis: a.optionalInt(1)))
    return .none
  },
  numpy(
    "searchsorted", "self, v, side='left'", "Where values belong in this sorted array.",
    [">>> np.array([1, 3, 5]).searchsorted(4)\nnp.int64(2)"]
  ) { a in
    try searchsorted(a.array(0), a.array(1), right: a.string(2) == "right").astype(.int64)
  },
  numpy(
    "ptp", "self, axis=None, out=None, keepdims=False", "Largest less smallest value.",
    [">>> np.array([3, 9, 5]).ptp()\nnp.int64(6)"]
  ) { a in
    let x = try a.array(0)
    let (axes, keep) = (try a.axes(1), try a.bool(3))
    return try subtract(max(x, axes: axes, keepdims: keep), min(x, axes: axes, keepdims: keep))
  },
]

/// Operators by their Python names.
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
        try ndarrayType.binary?(op, a[0], a[1], false) ?? .none
      },
      Builtin("__r\(name)__", "__r\(name)__(self, other, /)") { (a) throws(LullError) in
        try ndarrayType.binary?(op, a[0], a[1], true) ?? .none
      },
      Builtin("__i\(name)__", "__i\(name)__(self, other, /)") { (a) throws(LullError) in
        try ndarrayType.inplace?(op, a[0], a[1]) ?? .none
      },
    ]
  }
}()

let numpyMethods: [Builtin] =
  ownMethods + operatorMethods
  + reductions.map { f in
    let parameters = f.signature.drop { $0 != "(" }.dropFirst()
    let rest = parameters.drop { $0 != "," && $0 != ")" }
    return Builtin(
      f.name, "\(f.name)(self\(rest)", chapter: "numpy", doc: f.doc,
      examples: f.examples.map { asMethod($0, f.name, of: "np") }, run: f.run)
  }

// MARK: - The module

private let functions: [Builtin] =
  creation + reductions + [
    numpyValue("asnd", "x, /", "An mlx array as an ndarray of the same dtype; others as they are.")
    { a in
      if let x = a.args[0].ndarray { return ndarrayType.make(x) }
      return a.args[0].retain()
    },
    numpyValue("take_dlpack", "x, /", "The array of anything with __dlpack__, as an ndarray.") {
      a in
      guard let x = try takeCapsule(a.args[0]) else {
        throw LullError.typeError(
          "from_dlpack: expected an object with __dlpack__, not \(a.args[0].typeNameText)")
      }
      return ndarrayType.make(x)
    },
    numpyValue("asmx", "x, /", "An ndarray (or what makes one) as an mlx array of the same dtype.")
    { a in
      arrayType.make(try a.array(0))
    },
    numpy(
      "reshape", "a, shape, order='C'", "a in another shape of the same size; -1 is worked out.",
      [">>> np.reshape(np.arange(4), (2, 2))\narray([[0, 1],\n       [2, 3]])"]
    ) { a in
      let x = try a.array(0)
      guard try a.string(2) == "F" else { return try x.reshaped(a.ints(1)) }
      return try transpose(transpose(x).reshaped(Array(a.ints(1).reversed())))
    },
    numpy(
      "sort", "a, axis=-1, kind=None", "The values in ascending order along an axis (None: all).",
      [">>> np.sort(np.array([3, 1, 2]))\narray([1, 2, 3])"]
    ) {
      try sort($0.array(0), axis: $0.optionalInt(1))
    },
    numpy(
      "searchsorted", "a, v, side='left'", "Where values belong in a sorted array.",
      [">>> np.searchsorted(np.array([1, 3, 5]), [3, 4])\narray([1, 2])"]
    ) { a in
      let side = try a.string(2)
      guard side == "left" || side == "right" else {
        throw LullError.valueError("side must be 'left' or 'right', not '\(side)'")
      }
      return try searchsorted(a.array(0), a.array(1), right: side == "right").astype(.int64)
    },
    numpyValue(
      "where", "condition, x=..., y=..., /",
      "x where the condition holds, y elsewhere; alone: nonzero.",
      [">>> np.where(np.array([True, False]), [1, 2], 0)\narray([1, 0])"]
    ) { a in
      let condition = try a.array(0)
      if !a.args.has(1), !a.args.has(2) {
        return tuple(try nonzero(condition).map { $0.astype(.int64) })
      }
      guard a.args.has(1), a.args.has(2) else {
        throw LullError.valueError("either both or neither of x and y should be given")
      }
      let (x, y) = try a.pair(1, 2)
      return wrap(try `where`(condition.astype(.bool), x, y))
    },
    numpy(
      "nan_to_num", "x, nan=0.0, posinf=None, neginf=None",
      "x with other numbers for NaN and the infinities, in both parts of complex numbers.",
      [">>> np.nan_to_num(np.array([1.0, np.nan]))\narray([1., 0.])"]
    ) { a in
      let x = try a.array(0)
      let nan = try a.double(1)
      let (high, low) = (try a.has(2) ? a.double(2) : nil, try a.has(3) ? a.double(3) : nil)
      func made(_ y: NDArray) throws -> NDArray {
        try nanToNum(y, nan: nan, posinf: high, neginf: low).astype(x.dtype)
      }
      guard x.dtype.isComplex else { return try made(x) }
      let unit = try NDArray(.complex(0, 1), dtype: x.dtype)
      return try add(made(real(x)), multiply(made(imag(x)), unit))
    },
    numpyValue(
      "array_equal", "a1, a2, equal_nan=False", "Whether shapes and all values are equal.",
      [">>> np.array_equal([1, 2], [1, 2])\nTrue"]
    ) { a in
      let (x, y) = try a.pair(0, 1)
      if x.shape != y.shape { return Value(false) }
      var same = try equal(x, y)
      if try a.bool(2) { same = try logicalOr(same, logicalAnd(isnan(x), isnan(y))) }
      return Value(try all(same).item().int != 0)
    },
    numpy("result_dtype", "*values", "Zeros of the dtype that values promote to together.") { a in
      var dtype: DType?
      for v in a.args.rest(0) {
        let next: DType
        if let x = v.ndarray {
          next = x.dtype
        } else if let s = try v.scalar() {
          next = dtype.map { numpyWeak(s, with: $0) } ?? numpyNatural(of: s)
        } else {
          next = try numpyDType(v)
        }
        dtype = dtype.map { numpyPromoted($0, next) } ?? next
      }
      return try NDArray.zeros(Shape(), dtype: dtype ?? .float64)
    },
    numpyValue(
      "unique_parts", "x, /", "(values, first indices, inverse, counts) of the flattened array."
    ) { a in
      let parts = try unique(a.array(0))
      return tuple([
        parts.values, parts.index.astype(.int64), parts.inverse.astype(.int64),
        parts.counts.astype(.int64),
      ])
    },
    numpy("median_all", "a, axis=None, keepdims=False", "The middle value over axes (None: all).") {
      a in
      let x = try a.array(0)
      return try median(
        x.dtype.isInexact ? x : x.astype(.float64), axes: a.axes(1), keepdims: a.bool(2))
    },
    numpyValue(
      "set_print", "precision, threshold, edgeitems, linewidth, suppress, /",
      "How ndarrays are printed."
    ) { a in
      numpyPrintOptions = NumPyPrintOptions(
        precision: Swift.min(Swift.max(try a.int(0), 0), 17), threshold: Swift.max(try a.int(1), 0),
        edgeitems: Swift.max(try a.int(2), 1), linewidth: Swift.max(try a.int(3), 10),
        suppress: try a.bool(4))
      return .none
    },
    numpyValue("get_print", "", "(precision, threshold, edgeitems, linewidth, suppress).") { _ in
      let o = numpyPrintOptions
      return makeTupleValue([
        Value(o.precision), Value(o.threshold), Value(o.edgeitems), Value(o.linewidth),
        Value(o.suppress),
      ])
    },
  ]
  + [
    lifted(
      "transpose", "a, axes=None",
      ">>> import numpy as np\n>>> np.transpose(np.array([[1, 2], [3, 4]]))\narray([[1, 3],\n       [2, 4]])"
    ),
    lifted(
      "expand_dims", "a, axis",
      ">>> import numpy as np\n>>> np.expand_dims(np.array([1, 2]), 0)\narray([[1, 2]])"),
    lifted(
      "broadcast_to", "array, shape",
      ">>> import numpy as np\n>>> np.broadcast_to(np.array([1, 2]), (2, 2))\narray([[1, 2],\n       [1, 2]])"
    ),
    lifted(
      "broadcast_arrays", "*args",
      ">>> import numpy as np\n>>> np.broadcast_arrays(np.array([1, 2]), np.array([[3], [4]]))[0]\narray([[1, 2],\n       [1, 2]])"
    ),
    lifted(
      "broadcast_shapes", "*args",
      ">>> import numpy as np\n>>> np.broadcast_shapes((3, 1), (4,))\n(3, 4)"),
    lifted(
      "concatenate", "arrays, axis=0",
      ">>> import numpy as np\n>>> np.concatenate([np.array([1, 2]), np.array([3])])\narray([1, 2, 3])"
    ),
    lifted(
      "stack", "arrays, axis=0",
      ">>> import numpy as np\n>>> np.stack([np.array([1, 2]), np.array([3, 4])])\narray([[1, 2],\n       [3, 4]])"
    ),
    lifted(
      "tile", "A, reps",
      ">>> import numpy as np\n>>> np.tile(np.array([1, 2]), 2)\narray([1, 2, 1, 2])"),
    lifted(
      "roll", "a, shift, axis=None",
      ">>> import numpy as np\n>>> np.roll(np.arange(4), 1)\narray([3, 0, 1, 2])"),
    lifted(
      "flip", "m, axis=None",
      ">>> import numpy as np\n>>> np.flip(np.array([1, 2, 3]))\narray([3, 2, 1])"),
    lifted(
      "pad", "array, pad_width, mode='constant', constant_values=0",
      ">>> import numpy as np\n>>> np.pad(np.array([1, 2]), 1)\narray([0, 1, 2, 0])"),
    lifted(
      "meshgrid", "*xi, sparse=False, indexing='xy'",
      ">>> import numpy as np\n>>> np.meshgrid([1, 2], [3, 4])[0]\narray([[1, 2],\n       [1, 2]])"),
    lifted(
      "tril", "m, k=0",
      ">>> import numpy as np\n>>> np.tril(np.ones((2, 2)))\narray([[1., 0.],\n       [1., 1.]])"),
    lifted(
      "triu", "m, k=0",
      ">>> import numpy as np\n>>> np.triu(np.ones((2, 2)))\narray([[1., 1.],\n       [0., 1.]])"),
    lifted(
      "diag", "v, k=0",
      ">>> import numpy as np\n>>> np.diag(np.array([1, 2]))\narray([[1, 0],\n       [0, 2]])"),
    lifted(
      "partition", "a, kth, axis=-1",
      ">>> import numpy as np\n>>> np.partition(np.array([3, 1, 2]), 1)[1]\nnp.int64(2)"),
    lifted(
      "take_along_axis", "arr, indices, axis=-1",
      ">>> import numpy as np\n>>> np.take_along_axis(np.array([[3, 1], [2, 4]]), np.array([[1], [0]]), axis=1)\narray([[1],\n       [2]])"
    ),
    lifted("put_values_along_axis", "arr, indices, values, axis=None", nil, "put_along_axis"),
    lifted(
      "isclose", "a, b, rtol=1e-05, atol=1e-08, equal_nan=False",
      ">>> import numpy as np\n>>> np.isclose([1.0, 2.0], [1.0, 2.1])\narray([ True, False])"),
    lifted("allclose_array", "a, b, rtol=1e-05, atol=1e-08, equal_nan=False", nil, "allclose"),
    lifted(
      "kron", "a, b",
      ">>> import numpy as np\n>>> np.kron([1, 2], [1, 10])\narray([ 1, 10,  2, 20])"),
    lifted(
      "outer", "a, b",
      ">>> import numpy as np\n>>> np.outer([1, 2], [3, 4])\narray([[3, 4],\n       [6, 8]])"),
    lifted("inner", "a, b", ">>> import numpy as np\n>>> np.inner([1, 2], [3, 4])\nnp.int64(11)"),
    lifted(
      "tensordot", "a, b, axes=2",
      ">>> import numpy as np\n>>> np.tensordot(np.array([[1, 2], [3, 4]]), [1, 1], axes=1)\narray([3, 7])"
    ),
    lifted(
      "einsum", "subscripts, *operands",
      ">>> import numpy as np\n>>> np.einsum('ij,j->i', np.array([[1, 2], [3, 4]]), [1, 1])\narray([3, 7])"
    ),
    lifted("einsum_steps", "subscripts, *operands", nil, "einsum_path"),
    lifted(
      "unstack", "x, /, *, axis=0",
      ">>> import numpy as np\n>>> np.unstack(np.array([[1, 2], [3, 4]]))[1]\narray([3, 4])"),
    lifted("atleast_1d", "*arys", ">>> import numpy as np\n>>> np.atleast_1d(3)\narray([3])"),
    lifted(
      "atleast_2d", "*arys", ">>> import numpy as np\n>>> np.atleast_2d([1, 2])\narray([[1, 2]])"),
    lifted(
      "atleast_3d", "*arys", ">>> import numpy as np\n>>> np.atleast_3d([1, 2]).shape\n(1, 2, 1)"),
    lifted(
      "vecdot", "x1, x2, /, *, axis=-1",
      ">>> import numpy as np\n>>> np.vecdot([1.0, 2.0], [3.0, 4.0])\nnp.float64(11.0)"),
    lifted(
      "real", "val",
      ">>> import numpy as np\n>>> np.real(np.array([1+2j]))\narray([1.])"),
    lifted("count_all", "a, *, axis=None, keepdims=False", nil, "count_nonzero"),
    lifted("moveaxis_one", "a, source, destination", nil, "moveaxis"),
    lifted("linalg_eig", "a, *, stream=None", nil, "eig"),
    lifted("linalg_eigvals", "a, *, stream=None", nil, "eigvals"),
    lifted(
      "load_file", "file, format=None, return_metadata=False, *, stream=None", nil, "load"),
  ].compactMap { $0 }
  + ["fft", "ifft", "rfft", "irfft"].compactMap {
    lifted("fourier_" + $0, "a, n=None, axis=-1, norm='backward', stream=None", nil, $0)
  }
  + ["fftn", "ifftn", "rfftn", "irfftn"].compactMap {
    lifted("fourier_" + $0, "a, s=None, axes=None, norm='backward', stream=None", nil, $0)
  }

func numpyModule() -> NativeModule {
  var values = ufuncValues()
  values.append(("ndarray", ndarrayType.value.retain()))
  values.append(("dtype", numpyDTypeType.value.retain()))
  values.append(("ufunc", ufuncType.value.retain()))
  for dtype in DType.allCases where dtype != .bfloat16 && dtype != .complex64 {
    values.append((dtype == .bool ? "bool_" : dtype.name, numpyDTypeValue(dtype)))
  }
  values.append(("complex64", numpyDTypeValue(.complex64)))
  values.append(("bfloat16", numpyDTypeValue(.bfloat16)))
  return NativeModule(builtins: functions, values: values)
}
