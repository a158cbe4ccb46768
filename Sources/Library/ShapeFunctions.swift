// Creation and shape: the functions that arrange elements without computing with them.

import Engine
import Language

public let creationFunctions: [Builtin] = [
  function(
    "zeros", "shape, dtype=None", "creation", "Zeros; float32 unless a dtype is given.",
    [">>> mx.zeros((2, 2))\narray([[0, 0],\n       [0, 0]], dtype=float32)"]
  ) { try NDArray.zeros($0.shape(0, op: "zeros"), dtype: $0.dtype(1) ?? .float32) },
  function(
    "ones", "shape, dtype=None", "creation", "Ones; float32 unless a dtype is given.",
    [">>> mx.ones(3)\narray([1, 1, 1], dtype=float32)"]
  ) { try NDArray.ones($0.shape(0, op: "ones"), dtype: $0.dtype(1) ?? .float32) },
  function(
    "full", "shape, vals, dtype=None", "creation", "A value (or a broadcast array) everywhere.",
    [">>> mx.full((2, 2), 7)\narray([[7, 7],\n       [7, 7]], dtype=int32)"]
  ) { a in
    let shape = try a.shape(0, op: "full")
    let dtype = try a.dtype(2)
    if let scalar = try a.args[1].scalar() { return try NDArray.full(shape, scalar, dtype: dtype) }
    let value = try a.array(1)
    let typed = value.astype(dtype ?? value.dtype)
    let result = try typed.broadcast(to: shape)
    return result === typed ? typed : result.asFill()
  },
  function(
    "zeros_like", "a, /, dtype=None", "creation", "Zeros of a's shape and dtype.",
    [">>> mx.zeros_like(mx.array([1, 2]))\narray([0, 0], dtype=int32)"]
  ) {
    let x = try $0.array(0)
    return try NDArray(.int(0), dtype: $0.dtype(1) ?? x.dtype).broadcast(like: x).asFill()
  },
  function(
    "ones_like", "a, /, dtype=None", "creation", "Ones of a's shape and dtype.",
    [">>> mx.ones_like(mx.array([1, 2]))\narray([1, 1], dtype=int32)"]
  ) {
    let x = try $0.array(0)
    return try NDArray(.int(1), dtype: $0.dtype(1) ?? x.dtype).broadcast(like: x).asFill()
  },
  function(
    "full_like", "a, vals, dtype=None", "creation", "A value everywhere, in a's shape.",
    [">>> mx.full_like(mx.array([1, 2]), 7)\narray([7, 7], dtype=int32)"]
  ) { a in
    let x = try a.array(0)
    let dtype = try a.dtype(2) ?? x.dtype
    let value = try toArray(a.args[1]).astype(dtype)
    let result = try value.broadcast(like: x)
    return result === value ? value : result.asFill()
  },
  Builtin(
    "arange", "arange(*limits, start=None, stop=None, step=None, dtype=None, stream=None)",
    chapter: "creation",
    doc:
      "Numbers from start up to but not including stop: arange(stop), arange(start, stop), arange(start, stop, step), "
      + "or by name; a dtype may follow.",
    examples: [
      ">>> mx.arange(5)\narray([0, 1, 2, 3, 4], dtype=int32)",
      ">>> mx.arange(1.0, 2.0, 0.25)\narray([1, 1.25, 1.5, 1.75], dtype=float32)",
    ]
  ) { (args) throws(LullError) in
    stampPosition()
    let given = args.rest(0)
    guard given.count <= 4 else {
      throw LullError.typeError("arange() takes at most 4 positional arguments, got \(given.count)")
    }
    /// The argument at a place, or by its name.
    func argument(_ i: Int, _ name: String) throws(LullError) -> Value {
      guard i < given.count else { return args[i + 1] }
      if !args.isNone(i + 1) {
        throw LullError.typeError("arange() got multiple values for argument '\(name)'")
      }
      return given[i]
    }
    func number(_ i: Int, _ name: String) throws(LullError) -> Scalar? {
      let v = try argument(i, name)
      if v.isNone { return nil }
      if let array = v.ndarray { return try engine { try array.item() } }
      guard let scalar = try v.scalar() else {
        throw LullError.typeError("arange(): \(name) must be a number, not \(v.typeNameText)")
      }
      return scalar
    }
    let start = try number(0, "start")
    let stop = try number(1, "stop")
    let step = try number(2, "step") ?? .int(1)
    // One number alone is the stop, but not where a name says that it is the start.
    guard stop != nil || (start != nil && !given.isEmpty) else {
      throw LullError.typeError("arange() needs a stop")
    }
    let type = try argument(3, "dtype")
    let dtype = type.isNone ? nil : try dtypeOf(type)
    try checkStream(args[5])
    let range = stop.map { (start ?? .int(0), $0) } ?? (.int(0), start ?? .int(0))
    return wrap(
      try engine { try NDArray.arange(range.0, range.1, step, dtype: dtype, limit: Int(Int32.max)) }
    )
  },
  function(
    "linspace", "start, stop, num=50, endpoint=True, dtype=None", "creation",
    "num evenly spaced numbers from start to stop.",
    [">>> mx.linspace(0, 1, 5)\narray([0, 0.25, 0.5, 0.75, 1], dtype=float32)"]
  ) {
    let (start, stop, count) = (try $0.double(0), try $0.double(1), try $0.int(2))
    let last = try $0.bool(3) ? stop : stop - (stop - start) / Double(Swift.max(count, 1))
    return try NDArray.linspace(start, last, count: count, dtype: $0.dtype(4) ?? .float32)
  },
  function(
    "eye", "n, m=None, k=0, dtype=None", "creation",
    "Ones on the k-th diagonal of an n x m matrix.",
    [">>> mx.eye(2)\narray([[1, 0],\n       [0, 1]], dtype=float32)"]
  ) {
    try NDArray.eye($0.int(0), $0.optionalInt(1), k: $0.int(2), dtype: $0.dtype(3) ?? .float32)
  },
  function(
    "identity", "n, dtype=None", "creation", "The n x n identity matrix.",
    [">>> mx.identity(2)\narray([[1, 0],\n       [0, 1]], dtype=float32)"]
  ) {
    try NDArray.identity($0.int(0), dtype: $0.dtype(1) ?? .float32)
  },
  function(
    "tri", "n, m=None, k=0, dtype=None", "creation", "Ones on and below the k-th diagonal.",
    [">>> mx.tri(2)\narray([[1, 0],\n       [1, 1]], dtype=float32)"]
  ) {
    try NDArray.tri($0.int(0), $0.optionalInt(1), k: $0.int(2), dtype: $0.dtype(3) ?? .float32)
  },
  function(
    "tril", "x, k=0", "creation", "x with zeros above the k-th diagonal.",
    [">>> mx.tril(mx.ones((2, 2)))\narray([[1, 0],\n       [1, 1]], dtype=float32)"]
  ) {
    try tril($0.array(0), k: $0.int(1))
  },
  function(
    "triu", "x, k=0", "creation", "x with zeros below the k-th diagonal.",
    [">>> mx.triu(mx.ones((2, 2)))\narray([[1, 1],\n       [0, 1]], dtype=float32)"]
  ) {
    try triu($0.array(0), k: $0.int(1))
  },
  function(
    "diag", "a, /, k=0", "creation", "A diagonal matrix of a vector, or the diagonal of a matrix.",
    [">>> mx.diag(mx.array([1, 2]))\narray([[1, 0],\n       [0, 2]], dtype=int32)"]
  ) { try diag($0.array(0), k: $0.int(1)) },
  function(
    "diagonal", "a, offset=0, axis1=0, axis2=1", "creation", "The diagonals of two axes.",
    [">>> mx.diagonal(mx.array([[1, 2], [3, 4]]))\narray([1, 4], dtype=int32)"]
  ) { try diagonal($0.array(0), offset: $0.int(1), axis1: $0.int(2), axis2: $0.int(3)) },
  function(
    "trace", "a, /, offset=0, axis1=0, axis2=1, dtype=None", "creation", "The sum of a diagonal.",
    [">>> mx.trace(mx.array([[1, 2], [3, 4]]))\narray(5, dtype=int32)"]
  ) { a in
    let x = try a.array(0)
    let typed = try a.dtype(4).map { x.astype($0) } ?? x
    return try trace(typed, offset: a.int(1), axis1: a.int(2), axis2: a.int(3))
  },
  special(
    "meshgrid", "*arrays, sparse=False, indexing='xy'", "creation",
    "Coordinate matrices of coordinate vectors.",
    [
      ">>> mx.meshgrid(mx.array([1, 2]), mx.array([3, 4]))[0]\narray([[1, 2],\n       [1, 2]], dtype=int32)"
    ]
  ) { a in
    let arrays = try restArrays(a, 0)
    return tuple(try meshgrid(arrays, sparse: a.bool(1), indexing: a.string(2)))
  },
]

/// The arrays of `*arrays` at a slot of the bound arguments.
func restArrays(_ a: ArrayArgs, _ i: Int) throws -> [NDArray] {
  var out: [NDArray] = []
  for v in a.args.rest(i) { out.append(try toArray(v)) }
  return out
}

public let shapeFunctions: [Builtin] = [
  function(
    "reshape", "a, /, shape", "shape", "a in another shape of the same size; -1 is worked out.",
    [">>> mx.reshape(mx.arange(4), (2, 2))\narray([[0, 1],\n       [2, 3]], dtype=int32)"]
  ) { try $0.array(0).reshaped($0.dimensions(1)) },
  function(
    "transpose", "a, /, axes=None", "shape", "a with its axes in another order (None: reversed).",
    [">>> mx.transpose(mx.array([[1, 2], [3, 4]]))\narray([[1, 3],\n       [2, 4]], dtype=int32)"]
  ) { try transpose($0.array(0), $0.axes(1)) },
  function(
    "permute_dims", "a, /, axes=None", "shape", "As transpose.",
    [
      ">>> mx.permute_dims(mx.array([[1, 2], [3, 4]]))\narray([[1, 3],\n       [2, 4]], dtype=int32)"
    ]
  ) { try transpose($0.array(0), $0.axes(1)) },
  function(
    "moveaxis", "a, /, source, destination", "shape", "a with one axis moved.",
    [">>> mx.moveaxis(mx.zeros((2, 3, 4)), 0, 2).shape\n(3, 4, 2)"]
  ) { try moveaxis($0.array(0), $0.int(1), $0.int(2)) },
  function(
    "swapaxes", "a, /, axis1, axis2", "shape", "a with two axes exchanged.",
    [">>> mx.swapaxes(mx.zeros((2, 3, 4)), 0, 2).shape\n(4, 3, 2)"]
  ) { try swapaxes($0.array(0), $0.int(1), $0.int(2)) },
  function(
    "expand_dims", "a, /, axis", "shape", "a with axes of length 1 put in.",
    [">>> mx.expand_dims(mx.array([1, 2]), 0)\narray([[1, 2]], dtype=int32)"]
  ) { try expandDims($0.array(0), $0.ints(1)) },
  function(
    "squeeze", "a, /, axis=None", "shape", "a without axes of length 1.",
    [">>> mx.squeeze(mx.array([[1, 2]]))\narray([1, 2], dtype=int32)"]
  ) { try squeeze($0.array(0), $0.axes(1)) },
  function(
    "flatten", "a, /, start_axis=0, end_axis=-1", "shape", "a with a range of axes made one.",
    [">>> mx.flatten(mx.array([[1, 2], [3, 4]]))\narray([1, 2, 3, 4], dtype=int32)"]
  ) { try flatten($0.array(0), from: $0.int(1), to: $0.int(2)) },
  function(
    "unflatten", "a, /, axis, shape", "shape", "a with one axis split into several.",
    [">>> mx.unflatten(mx.arange(4), 0, (2, -1))\narray([[0, 1],\n       [2, 3]], dtype=int32)"]
  ) { try unflatten($0.array(0), axis: $0.int(1), shape: $0.dimensions(2)) },
  function(
    "broadcast_to", "a, /, shape", "shape", "a repeated, without a copy, to a shape.",
    [">>> mx.broadcast_to(mx.array([1, 2]), (2, 2))\narray([[1, 2],\n       [1, 2]], dtype=int32)"]
  ) { try $0.array(0).broadcast(to: $0.shape(1, op: "broadcast_to"), isView: true) },
  special(
    "broadcast_arrays", "*arrays", "shape", "The arrays broadcast against each other.",
    [
      ">>> mx.broadcast_arrays(mx.array([1, 2]), mx.array([[3], [4]]))[0]\narray([[1, 2],\n       [1, 2]], dtype=int32)"
    ]
  ) { tuple(try broadcastArrays(restArrays($0, 0))) },
  special(
    "broadcast_shapes", "*shapes", "shape", "The shape that shapes broadcast to.",
    [">>> mx.broadcast_shapes((3, 1), (4,))\n(3, 4)"], stream: false
  ) { a in
    var shape = Shape()
    if a.args.rest(0).count == 0 {
      throw LullError.valueError("broadcast_shapes: give at least one shape")
    }
    for v in a.args.rest(0) {
      let dims = try intSequence(v) { _ in LullError.typeError("a shape is a sequence of ints") }
      shape = try Shape.broadcast(
        shape, Shape.checked(dims, op: "broadcast_shapes"), op: "broadcast_shapes")
    }
    return makeTuple(ints: shape.array)
  },
  function(
    "concatenate", "arrays, axis=0", "shape",
    "Arrays one after the other along an axis (None: flattened).",
    [">>> mx.concatenate([mx.array([1, 2]), mx.array([3])])\narray([1, 2, 3], dtype=int32)"]
  ) { a in try concatenated(a) },
  function(
    "concat", "arrays, axis=0", "shape", "As concatenate.",
    [">>> mx.concat([mx.array([1, 2]), mx.array([3])])\narray([1, 2, 3], dtype=int32)"]
  ) { a in try concatenated(a) },
  function(
    "stack", "arrays, axis=0", "shape", "Arrays of one shape along a new axis.",
    [
      ">>> mx.stack([mx.array([1, 2]), mx.array([3, 4])])\narray([[1, 2],\n       [3, 4]], dtype=int32)"
    ]
  ) { a in
    let arrays = try a.arrays(0)
    guard let axis = try a.optionalInt(1) else {
      return try stack(arrays.map { try flatten($0) }, axis: 0)
    }
    return try stack(arrays, axis: axis)
  },
  special(
    "split", "a, /, indices_or_sections, axis=0", "shape",
    "a cut along an axis into equal parts, or at indices.",
    [">>> mx.split(mx.arange(4), 2)\n[array([0, 1], dtype=int32), array([2, 3], dtype=int32)]"]
  ) { a in
    let x = try a.array(0)
    if let parts = a.args[1].intValue { return list(try split(x, parts: parts, axis: a.int(2))) }
    return list(try split(x, at: a.ints(1), axis: a.int(2)))
  },
  function(
    "pad", "a, pad_width, mode='constant', constant_values=0", "shape",
    "a with borders: one width, (before, after), or a pair for each axis.",
    [">>> mx.pad(mx.array([1, 2]), 1)\narray([0, 1, 2, 0], dtype=int32)"]
  ) { a in try padded(a) },
  function(
    "tile", "a, reps, /", "shape", "a repeated like tiles.",
    [">>> mx.tile(mx.array([1, 2]), 2)\narray([1, 2, 1, 2], dtype=int32)"]
  ) {
    try tile($0.array(0), $0.ints(1))
  },
  function(
    "repeat", "array, repeats, axis=None", "shape", "Each element repeated.",
    [">>> mx.repeat(mx.array([1, 2]), 2)\narray([1, 1, 2, 2], dtype=int32)"]
  ) { try `repeat`($0.array(0), $0.int(1), axis: $0.optionalInt(2)) },
  function(
    "roll", "a, /, shift, axis=None", "shape", "a with its elements moved round an axis.",
    [">>> mx.roll(mx.arange(4), 1)\narray([3, 0, 1, 2], dtype=int32)"]
  ) { a in
    var x = try a.array(0)
    let shifts = try a.ints(1)
    guard let axes = try a.axes(2) else { return try roll(x, shifts.reduce(0, &+)) }
    guard shifts.count == axes.count || shifts.count == 1 || axes.count == 1 else {
      throw LullError.valueError("roll: \(shifts.count) shifts for \(axes.count) axes")
    }
    for i in 0..<Swift.max(axes.count, shifts.count) {
      x = try roll(
        x, shifts.count == 1 ? shifts[0] : shifts[i], axis: axes.count == 1 ? axes[0] : axes[i])
    }
    return x
  },
  function(
    "flip", "a, /, axis=None", "shape", "a with axes reversed (None: all).",
    [">>> mx.flip(mx.array([1, 2, 3]))\narray([3, 2, 1], dtype=int32)"]
  ) { try flip($0.array(0), axes: $0.axes(1)) },
  function(
    "contiguous", "a, /, allow_col_major=False", "shape", "a, laid out row after row in memory.",
    [
      ">>> mx.contiguous(mx.array([[1, 2], [3, 4]]).T)\narray([[1, 3],\n       [2, 4]], dtype=int32)"
    ]
  ) { contiguous(try $0.array(0)) },
  function(
    "as_strided", "a, /, shape=None, strides=None, offset=0", "shape",
    "A view of a's row-major memory with other shape and strides (in elements).",
    [
      ">>> mx.as_strided(mx.arange(4), (3, 2), (1, 1))\narray([[0, 1],\n       [1, 2],\n       [2, 3]], dtype=int32)"
    ]
  ) { a in
    let x = try a.array(0)
    let shape = a.has(1) ? try a.shape(1, op: "as_strided") : x.shape
    let strides = a.has(2) ? Shape(try checkedRank(a.ints(2), "as_strided")) : shape.rowMajorStrides
    return try asStrided(x, shape: shape, strides: strides, offset: a.int(3))
  },
  special(
    "atleast_1d", "*arys", "shape", "Arrays with at least one axis.",
    [">>> mx.atleast_1d(mx.array(3))\narray([3], dtype=int32)"]
  ) { a in try atLeast(a, 1) },
  special(
    "atleast_2d", "*arys", "shape", "Arrays with at least two axes.",
    [">>> mx.atleast_2d(mx.array([1, 2]))\narray([[1, 2]], dtype=int32)"]
  ) { a in try atLeast(a, 2) },
  special(
    "atleast_3d", "*arys", "shape", "Arrays with at least three axes.",
    [">>> mx.atleast_3d(mx.array([1, 2])).shape\n(1, 2, 1)"]
  ) { a in try atLeast(a, 3) },
]

func checkedRank(_ values: [Int], _ op: OperationName) throws(ArrayError) -> [Int] {
  if values.count > Shape.maxRank { throw .tooManyDimensions(op: op, count: values.count) }
  return values
}

private func atLeast(_ a: ArrayArgs, _ rank: Int) throws -> Value {
  let arrays = try restArrays(a, 0).map { (x: NDArray) throws -> NDArray in
    var y = x
    // Two axes become three with the new one last, as NumPy has it.
    while y.rank < rank { y = try expandDims(y, [y.rank == 2 ? 2 : 0]) }
    return y
  }
  return arrays.count == 1 ? wrap(arrays[0]) : list(arrays)
}

private func concatenated(_ a: ArrayArgs) throws -> NDArray {
  let arrays = try a.arrays(0)
  guard let axis = try a.optionalInt(1) else {
    return try concatenate(arrays.map { try flatten($0) }, axis: 0)
  }
  return try concatenate(arrays, axis: axis)
}

private func padded(_ a: ArrayArgs) throws -> NDArray {
  let x = try a.array(0)
  let width = a.args[1]
  func pair(_ v: Value) throws -> (Int, Int) {
    let ints = try intSequence(v) { _ in
      LullError.typeError("pad: a width is an int or a pair (before, after)")
    }
    guard ints.count == 1 || ints.count == 2 else {
      throw LullError.valueError("pad: a width is an int or a pair (before, after)")
    }
    return (ints[0], ints[ints.count - 1])
  }
  var widths: [(Int, Int)]
  if let first = width.elements.first, first.isList || first.isTuple {
    widths = try width.elements.map(pair)
    if widths.count == 1 { widths = Array(repeating: widths[0], count: x.rank) }
  } else {
    widths = Array(repeating: try pair(width), count: x.rank)
  }
  let name = try a.string(2)
  guard let mode = PadMode(rawValue: name) else {
    throw LullError.valueError(
      "pad: mode '\(name)' is not known; constant, edge, reflect and symmetric are")
  }
  let value = try operands(a.args[0], a.args[3]).1
  if value.isMapped {
    throw LullError.valueError("pad: vmap maps over the array, not over the constant")
  }
  return try pad(x, widths, value: value, mode: mode)
}
