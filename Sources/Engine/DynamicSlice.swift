// Slices whose place is a value of the graph: the first indices along some axes come from an array (MLX's
// DynamicSlice and DynamicSliceUpdate). They are checked when they are known.

/// The place in bytes of a block whose first indices along `axes` are the values of `starts`, in an array of a shape
/// and strides.
private func place(
  of block: Shape, _ starts: NDArray, _ axes: [Int], in shape: Shape, _ strides: Shape, width: Int,
  op: OperationName
) throws(ArrayError) -> Int {
  // One number is how caches of keys and values ask, for every layer of every token.
  let isNumber = starts.size == 1 && starts.dtype == .int32
  let numbers = try isNumber ? [Int(starts.pointer(as: Int32.self).pointee)] : starts.ints()
  var offset = 0
  for (axis, start) in zip(axes, numbers) {
    guard start >= 0, start <= shape[axis] - block[axis] else {
      throw .indexOutOfRange(op: op, index: start, axis: axis, size: shape[axis])
    }
    offset += start * strides[axis]
  }
  return offset * width
}

/// The block of the node's shape.
struct DynamicSlice: Primitive, Codable {
  let axes: [Int]
  var name: OperationName { "slice" }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    let x = out.input(0)
    let offset = try place(
      of: out.shape, out.input(1), axes, in: x.shape, x.strides, width: x.dtype.byteCount, op: name)
    out.share(x, offset: out.size == 0 ? 0 : offset, strides: x.strides)
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    [try sliceUpdate(NDArray.zeros(like: out.input(0)), cotangent, at: out.input(1), axes), nil]
  }
  func rejectsGradient(of i: Int) -> String? { i == 1 ? positionsHaveNoGradient : nil }
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    if batch.isBatched[1] { return try batch.loop(out, self) }
    return NDArray(
      DynamicSlice(axes: axes.map { $0 + 1 }), shape: try batch.shape(out.shape),
      dtype: out.dtype, batch.inputs[0], batch.inputs[1])
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    // Axes that are no placed ones and were whole are whole again.
    var size = old.shape
    for i in 0..<size.count where !axes.contains(i) && size[i] == old.inputShapes[0][i] {
      size[i] = inputs[0].shape[i]
    }
    return try slice(inputs[0], at: inputs[1], axes, size: size)
  }
}

/// A copy of the first input with the block replaced by the second.
struct DynamicSliceUpdate: Primitive, Codable {
  let axes: [Int]
  var name: OperationName { "slice_update" }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    // Before anything else holds the input: only then can its memory be taken over.
    let start = try place(
      of: out.input(1).shape, out.input(2), axes, in: out.shape, out.shape.rowMajorStrides,
      width: out.dtype.byteCount, op: name)
    if !out.takeDonation(0) {
      let x = out.input(0)
      try out.allocate()
      NDArray.copy(
        shape: x.shape, from: x.pointer, x.strides, to: out.pointer, out.strides,
        width: x.dtype.byteCount)
    }
    let update = out.input(1)
    if update.size == 0 { return }
    NDArray.copy(
      shape: update.shape, from: update.pointer, update.strides, to: out.pointer + start,
      out.strides, width: out.dtype.byteCount)
  }

  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    let (update, starts) = (out.input(1), out.input(2))
    let hole = try sliceUpdate(cotangent, NDArray.zeros(like: update), at: starts, axes)
    return [hole, try slice(cotangent, at: starts, axes, size: update.shape), nil]
  }
  func rejectsGradient(of i: Int) -> String? { i == 2 ? positionsHaveNoGradient : nil }
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    if batch.isBatched[2] { return try batch.loop(out, self) }
    return NDArray(
      DynamicSliceUpdate(axes: axes.map { $0 + 1 }), shape: try batch.shape(out.shape),
      dtype: out.dtype, inputs: [try batch.full(0), try batch.full(1), batch.inputs[2]])
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    try sliceUpdate(inputs[0], inputs[1], at: inputs[2], axes)
  }
}

private func checked(
  _ x: NDArray, _ block: Shape, _ starts: NDArray, _ axes: [Int], op: OperationName
) throws(ArrayError) -> [Int] {
  guard starts.dtype.isInteger else {
    throw .dtype(op: op, found: starts.dtype, needed: "integer start indices")
  }
  guard starts.size == axes.count else {
    throw .argument(op: op, message: "\(starts.size) start indices for \(axes.count) axes")
  }
  guard block.count == x.rank else {
    throw .shapeMismatch(
      op: op, lhs: x.shape.array, rhs: block.array,
      reason: "the block must have as many axes as the array")
  }
  for i in 0..<x.rank where block[i] > x.shape[i] || block[i] < 0 {
    throw .shapeMismatch(
      op: op, lhs: x.shape.array, rhs: block.array,
      reason: "the block is larger than the array along axis \(i)")
  }
  var seen: [Int] = []
  for axis in axes {
    let i = try x.axis(axis, op: op)
    if seen.contains(i) { throw .duplicateAxis(op: op, axes: axes) }
    seen.append(i)
  }
  return seen
}

/// The block of a size in x whose first indices along `axes` are the values of `starts` [axes.count], elsewhere 0.
public func slice(_ x: NDArray, at starts: NDArray, _ axes: [Int], size: Shape)
  throws(ArrayError) -> NDArray
{
  let axes = try checked(x, size, starts, axes, op: "slice")
  return NDArray(DynamicSlice(axes: axes), shape: size, dtype: x.dtype, x, starts)
}

/// A copy of x with such a block replaced by `update`.
public func sliceUpdate(_ x: NDArray, _ update: NDArray, at starts: NDArray, _ axes: [Int])
  throws(ArrayError) -> NDArray
{
  let axes = try checked(x, update.shape, starts, axes, op: "slice_update")
  return NDArray(
    DynamicSliceUpdate(axes: axes), shape: x.shape, dtype: x.dtype, x,
    update.astype(x.dtype), starts)
}
