// Elements at positions: gather and scatter over index arrays, along one axis, and under masks.
//
// A `Gather` takes index arrays of one broadcast shape for the leading axes: the result is [index shape..., rest...].
// Writes are `Scatter` over the same layout. Every index is checked when evaluated. What `x[...]` makes of them is in
// IndexPlan.swift.

import Kernels

public enum ScatterMode: Int32, Sendable, Codable {
  case set, add, prod, max, min
  var name: OperationName {
    switch self {
    case .set: "scatter"
    case .add: "scatter_add"
    case .prod: "scatter_prod"
    case .max: "scatter_max"
    case .min: "scatter_min"
    }
  }
}

/// Byte offsets of index tuples over the leading axes of `x`, checked.
private func offsets(
  _ indices: [NDArray], into x: NDArray, strides: Shape, op: OperationName
) throws(ArrayError) -> Buffer {
  let count = indices[0].size
  let buffer = try Buffer(byteCount: count * 8)
  var keep: [NDArray] = []
  for index in indices { keep.append(try index.rowContiguous(as: .int64)) }
  let pointers: [UnsafePointer<Int64>?] = keep.map { UnsafePointer($0.pointer(as: Int64.self)) }
  let sizes = indices.indices.map { Int64(x.shape[$0]) }
  let steps = indices.indices.map { Int64(strides[$0] * x.dtype.byteCount) }
  let bad = lull_index_offsets(
    buffer.pointer.assumingMemoryBound(to: Int64.self), pointers, Int32(indices.count), sizes,
    steps, Int64(count))
  if bad >= 0 {
    let (axis, at) = (Int(bad) / count, Int(bad) % count)
    throw .indexOutOfRange(
      op: op, index: keep[axis].pointer(as: Int.self)[at], axis: axis, size: x.shape[axis])
  }
  withExtendedLifetime(keep) {}
  return buffer
}

/// x[i0, i1, ...] for index arrays of one shape over the leading axes.
struct Gather: Primitive, Codable {
  var name: OperationName { "take" }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    var x = out.input(0)
    let k = out.inputCount - 1
    let indices = (1...k).map { out.input($0) }
    if out.size == 0 {
      try out.allocate()
      if indices[0].size > 0 { _ = try offsets(indices, into: x, strides: x.strides, op: name) }
      return
    }
    // The slices must lie row-major; the indexed axes may have any strides.
    let rest = Shape(x.shape.dropFirst(k))
    if !NDArray.isRowMajor(rest, Shape(x.strides.dropFirst(k))) { x = try x.rowContiguous() }
    if k == 1 { return try takeSlices(out, x, indices[0], rest) }
    let places = try offsets(indices, into: x, strides: x.strides, op: name)
    try out.allocate()
    lull_gather(
      out.pointer.assumingMemoryBound(to: CChar.self),
      x.pointer.assumingMemoryBound(to: CChar.self),
      places.pointer.assumingMemoryBound(to: Int64.self), Int64(indices[0].size),
      Int64(rest.uncheckedElementCount * x.dtype.byteCount))
    withExtendedLifetime(places) {}
  }

  /// One index array: checked and followed in one pass, in its own dtype.
  private func takeSlices(_ out: NDArray, _ x: NDArray, _ given: NDArray, _ rest: Shape)
    throws(ArrayError)
  {
    let isDirect = given.dtype == .int32 || given.dtype == .uint32
    let index = try isDirect ? given.rowContiguous() : given.rowContiguous(as: .int64)
    try out.allocate()
    let width = x.dtype.byteCount
    let bad = lull_take(
      out.pointer.assumingMemoryBound(to: CChar.self),
      x.pointer.assumingMemoryBound(to: CChar.self), index.pointer, Int32(index.dtype.rawValue),
      Int64(x.shape[0]), Int64(x.strides[0] * width), Int64(index.size),
      Int64(rest.uncheckedElementCount * width))
    guard bad < 0 else {
      out.buffer = nil
      let wide = try index.rowContiguous(as: .int64)
      throw .indexOutOfRange(
        op: name, index: wide.pointer(as: Int.self)[Int(bad)], axis: 0, size: x.shape[0])
    }
    withExtendedLifetime(index) {}
  }

  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    let x = out.input(0)
    let indices = (1..<out.inputCount).map { out.input($0) }
    let zero = try NDArray.zeros(like: x)
    return [try scatter(zero, indices, cotangent, .add)] + indices.map { _ in nil }
  }

  /// Batched indices get one more index array in front, which counts the examples.
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    let k = batch.inputs.count - 1
    if !batch.isBatched.dropFirst().contains(true) {
      // [n0, ..., nk-1, batch, rest...] gives [index..., batch, rest...]
      let x = try moveaxis(batch.inputs[0], 0, k)
      let picked = try gather(x, Array(batch.inputs.dropFirst()))
      return try moveaxis(picked, batch.inputs[1].rank, 0)
    }
    var indices: [NDArray] = []
    for i in 1...k { indices.append(try batch.full(i)) }
    if !batch.isBatched[0] { return try gather(batch.inputs[0], indices) }
    return try gather(batch.inputs[0], [batch.counter(like: indices[0])] + indices)
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    try checkIndices(Array(inputs.dropFirst()), into: inputs[0], op: name)
    return try gather(inputs[0], Array(inputs.dropFirst()))
  }
  func rejectsGradient(of i: Int) -> String? { i >= 1 ? positionsHaveNoGradient : nil }
}

/// A copy of x with slices replaced by, or combined with, updates: inputs x, updates, indices.
struct Scatter: Primitive, Codable {
  let mode: ScatterMode
  var name: OperationName { mode.name }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    let updates = try out.input(1).rowContiguous()
    let indices = (2..<out.inputCount).map { out.input($0) }
    let k = indices.count
    // Checked before anything is written.
    let places =
      indices[0].size > 0
      ? try offsets(indices, into: out, strides: out.shape.rowMajorStrides, op: name) : nil
    // Before a local holds the input: only then can its memory be taken over.
    let isDonated = out.takeDonation(0)
    let x = out.input(0)
    if !isDonated {
      try out.allocate()
      NDArray.copy(
        shape: x.shape, from: x.pointer, x.strides, to: out.pointer, out.strides,
        width: x.dtype.byteCount)
    }
    guard let places, updates.size > 0 else { return }
    let rest = Shape(x.shape.dropFirst(k))
    lull_scatter(
      out.pointer.assumingMemoryBound(to: CChar.self),
      updates.pointer.assumingMemoryBound(to: CChar.self),
      places.pointer.assumingMemoryBound(to: Int64.self), Int64(indices[0].size),
      Int64(rest.uncheckedElementCount), Int32(x.dtype.rawValue), mode.rawValue)
    withExtendedLifetime(places) {}
  }

  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    let updates = out.input(1)
    let indices = (2..<out.inputCount).map { out.input($0) }
    let picked = try gather(cotangent, indices)
    let none: [NDArray?] = indices.map { _ in nil }
    switch mode {
    case .set:
      let zero = try NDArray.zeros(like: updates)
      return [try scatter(cotangent, indices, zero, .set), picked] + none
    case .add: return [cotangent, picked] + none
    case .prod:
      // Sound where each place is updated once.
      let old = try gather(out.input(0), indices)
      let scaled = try scatter(cotangent, indices, updates, .prod)
      return [scaled, try multiply(picked, old)] + none
    case .max, .min:
      let isKept = try equal(out.input(0), out)
      let isTaken = try equal(updates, gather(out, indices))
      let zero = try NDArray.zeros(Shape(), dtype: cotangent.dtype)
      return [
        try `where`(isKept, cotangent, zero), try `where`(isTaken, picked, zero),
      ] + none
    }
  }

  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    let k = batch.inputs.count - 2
    let x = try batch.full(0)
    let updates = try batch.full(1)
    if !batch.isBatched.dropFirst(2).contains(true) {
      let indices = Array(batch.inputs.dropFirst(2))
      let moved = try moveaxis(x, 0, k)
      let values = try moveaxis(updates, 0, indices[0].rank)
      return try moveaxis(scatter(moved, indices, values, mode), k, 0)
    }
    var indices: [NDArray] = []
    for i in 0..<k { indices.append(try batch.full(2 + i)) }
    return try scatter(x, [batch.counter(like: indices[0])] + indices, updates, mode)
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    guard inputs.count > 2 else { throw .argument(op: name, message: "no index arrays") }
    try checkIndices(Array(inputs.dropFirst(2)), into: inputs[0], op: name)
    return try scatter(inputs[0], Array(inputs.dropFirst(2)), inputs[1], mode)
  }
  func rejectsGradient(of i: Int) -> String? { i >= 2 ? positionsHaveNoGradient : nil }
}

extension Batch {
  /// 0, 1, ... along the batch axis, in the shape of a batch of index arrays.
  func counter(like index: NDArray) throws(ArrayError) -> NDArray {
    var shape = Shape(repeating: 1, count: index.rank)
    shape[0] = size
    return try NDArray.arange(.int(0), .int(size), dtype: .int64).reshaped(shape)
      .broadcast(to: index.shape)
  }
}

/// Index arrays of one shape and integer dtype, at most one an axis.
private func checkIndices(_ indices: [NDArray], into x: NDArray, op: OperationName)
  throws(ArrayError)
{
  guard let first = indices.first, indices.count <= x.rank else {
    throw .tooManyIndices(count: indices.count, shape: x.shape.array)
  }
  for index in indices {
    guard index.dtype.isInteger else {
      throw .dtype(op: op, found: index.dtype, needed: "integer indices")
    }
    guard index.shape == first.shape else {
      throw .broadcast(op: op, lhs: first.shape.array, rhs: index.shape.array)
    }
  }
}

func gather(_ x: NDArray, _ indices: [NDArray]) throws(ArrayError) -> NDArray {
  var shape = indices[0].shape
  guard shape.count + x.rank - indices.count <= Shape.maxRank else {
    throw .tooManyDimensions(op: "take", count: shape.count + x.rank - indices.count)
  }
  for i in indices.count..<x.rank { shape.append(x.shape[i]) }
  _ = try shape.elementCount(op: "take")
  return NDArray(Gather(), shape: shape, dtype: x.dtype, inputs: [x] + indices)
}

/// Updates must have (or broadcast to) the shape [index shape..., rest...].
func scatter(_ x: NDArray, _ indices: [NDArray], _ updates: NDArray, _ mode: ScatterMode)
  throws(ArrayError) -> NDArray
{
  var shape = indices[0].shape
  guard shape.count + x.rank - indices.count <= Shape.maxRank else {
    throw .tooManyDimensions(op: mode.name, count: shape.count + x.rank - indices.count)
  }
  for i in indices.count..<x.rank { shape.append(x.shape[i]) }
  let values = try updates.dropLeadingOnes(shape.count).astype(x.dtype).broadcast(to: shape)
  return NDArray(
    Scatter(mode: mode), shape: x.shape, dtype: x.dtype, inputs: [x, values] + indices)
}

func integers(_ x: NDArray, op: OperationName) throws(ArrayError) -> NDArray {
  guard x.dtype.isInteger else {
    throw .dtype(op: op, found: x.dtype, needed: "integer indices")
  }
  return x.astype(.int64)
}

/// Elements of the flattened array, or slices along an axis.
public func take(_ x: NDArray, _ indices: NDArray, axis: Int? = nil) throws(ArrayError) -> NDArray {
  let isDirect = indices.dtype == .int32 || indices.dtype == .uint32
  let index = isDirect ? indices : try integers(indices, op: "take")
  guard let axis else { return try gather(flatten(x), [index]) }
  let a = try x.axis(axis, op: "take")
  if x.shape[a] == 0, index.size > 0 {
    throw .argument(op: "take", message: "axis \(a) has no entries to take from")
  }
  if a == 0 { return try gather(x, [index]) }
  let picked = try gather(moveaxis(x, a, 0), [index])
  // [index..., before..., after...] -> [before..., index..., after...]
  let n = index.rank
  let order = Array(n..<(n + a)) + Array(0..<n) + Array((n + a)..<picked.rank)
  return try transpose(picked, order)
}

struct TakeAlong: Primitive, Codable {
  var name: OperationName { "take_along_axis" }
  func evaluate(_ out: NDArray) throws(ArrayError) {
    let x = try out.input(0).rowContiguous()
    let index = try out.input(1).rowContiguous(as: .int64)
    try out.allocate()
    if out.size == 0 { return }
    let (n, m) = (x.shape[x.rank - 1], out.shape[out.rank - 1])
    let bad = lull_take_along(
      out.pointer.assumingMemoryBound(to: CChar.self),
      x.pointer.assumingMemoryBound(to: CChar.self), index.pointer(as: Int64.self),
      Int64(out.size / m), Int64(n), Int64(m), Int32(x.dtype.byteCount))
    if bad >= 0 {
      out.buffer = nil
      throw .indexOutOfRange(
        op: name, index: index.pointer(as: Int.self)[Int(bad)], axis: x.rank - 1, size: n)
    }
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    let x = out.input(0)
    let zero = try NDArray.zeros(like: x)
    return [
      NDArray(
        PutAlong(mode: .add), shape: x.shape, dtype: x.dtype, zero, out.input(1), cotangent),
      nil,
    ]
  }
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    try batch.same(out, self)
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    try takeAlongAxis(inputs[0], inputs[1], axis: -1)
  }
  func rejectsGradient(of i: Int) -> String? { i == 1 ? positionsHaveNoGradient : nil }
}
struct PutAlong: Primitive, Codable {
  let mode: ScatterMode
  var name: OperationName { mode == .add ? "scatter_add_axis" : "put_along_axis" }
  func evaluate(_ out: NDArray) throws(ArrayError) {
    let x = out.input(0)
    let index = try out.input(1).rowContiguous(as: .int64)
    let updates = try out.input(2).rowContiguous()
    try out.allocate()
    copyAll(x, out)
    if index.size == 0 { return }
    let (n, m) = (x.shape[x.rank - 1], index.shape[index.rank - 1])
    let bad = lull_put_along(
      out.pointer.assumingMemoryBound(to: CChar.self),
      updates.pointer.assumingMemoryBound(to: CChar.self), index.pointer(as: Int64.self),
      Int64(index.size / m), Int64(n), Int64(m), Int32(x.dtype.rawValue), mode.rawValue)
    if bad >= 0 {
      out.buffer = nil
      throw .indexOutOfRange(
        op: name, index: index.pointer(as: Int.self)[Int(bad)], axis: x.rank - 1, size: n)
    }
  }
  private func copyAll(_ x: NDArray, _ out: NDArray) {
    NDArray.copy(
      shape: x.shape, from: x.pointer, x.strides, to: out.pointer, out.strides,
      width: x.dtype.byteCount)
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    let index = out.input(1)
    let picked = NDArray(TakeAlong(), shape: index.shape, dtype: out.dtype, cotangent, index)
    if mode == .add { return [cotangent, nil, picked] }
    guard mode == .set else { throw .notDifferentiable(op: name, reason: "only set and add are") }
    let zero = try NDArray.zeros(index.shape, dtype: out.dtype)
    let hole = NDArray(
      PutAlong(mode: .set), shape: out.shape, dtype: out.dtype, cotangent, index, zero)
    return [hole, nil, picked]
  }
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    try batch.same(out, self)
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    try putAlongAxis(inputs[0], inputs[1], inputs[2], axis: -1, mode: mode)
  }
  func rejectsGradient(of i: Int) -> String? { i == 1 ? positionsHaveNoGradient : nil }
}

/// The operands of an along-axis operation with that axis last and the others broadcast.
private func along(_ x: NDArray, _ indices: NDArray, _ axis: Int?, op: OperationName)
  throws(ArrayError) -> (x: NDArray, index: NDArray, axis: Int)
{
  var (x, index) = (x, try integers(indices, op: op))
  if axis == nil {
    x = try flatten(x)
    index = try flatten(index)
  }
  let a = try x.axis(axis ?? 0, op: op)
  guard index.rank == x.rank else {
    throw .shapeMismatch(
      op: op, lhs: x.shape.array, rhs: index.shape.array,
      reason: "indices need as many dimensions as the array")
  }
  x = try moveaxis(x, a, -1)
  index = try moveaxis(index, a, -1)
  var (p, q) = (x.shape, index.shape)
  (p[p.count - 1], q[q.count - 1]) = (1, 1)
  var common = try Shape.broadcast(p, q, op: op)
  common[common.count - 1] = x.shape[x.rank - 1]
  x = try x.broadcast(to: common)
  common[common.count - 1] = index.shape[index.rank - 1]
  index = try index.broadcast(to: common)
  return (x, index, a)
}
public func takeAlongAxis(_ x: NDArray, _ indices: NDArray, axis: Int?) throws(ArrayError)
  -> NDArray
{
  let (y, index, a) = try along(x, indices, axis, op: "take_along_axis")
  let out = NDArray(TakeAlong(), shape: index.shape, dtype: x.dtype, y, index)
  return try moveaxis(out, -1, a)
}
public func putAlongAxis(
  _ x: NDArray, _ indices: NDArray, _ values: NDArray, axis: Int?, mode: ScatterMode = .set
) throws(ArrayError) -> NDArray {
  if axis == nil, let made = try Tracing.recorded(.putAlong(mode), [x, indices, values]) {
    return made[0]
  }
  let indices = indices.size == 0 ? indices.astype(.int64) : indices
  let (y, index, a) = try along(x, indices, axis, op: "put_along_axis")
  let moved: NDArray
  if axis == nil {
    moved = try values.size == 1 ? values : flatten(values)
  } else if values.rank == x.rank {
    moved = try moveaxis(values, a, -1)
  } else {
    moved = values
  }
  let update = try moved.astype(x.dtype).broadcast(to: index.shape)
  let out = NDArray(PutAlong(mode: mode), shape: y.shape, dtype: x.dtype, y, index, update)
  return axis == nil ? try out.reshaped(x.shape) : try moveaxis(out, -1, a)
}

/// Where the array is not zero: one int64 index array a dimension. Evaluates.
public func nonzero(_ x: NDArray) throws(ArrayError) -> [NDArray] {
  let mask = x.astype(.bool)
  try mask.eval()
  let flat = try mask.rowContiguous()
  let bytes = flat.pointer(as: UInt8.self)
  let count = Int(lull_nonzero(nil, bytes, Int64(flat.size)))
  let places = try NDArray(uninitialized: [count], dtype: .int64)
  _ = lull_nonzero(places.pointer(as: Int64.self), bytes, Int64(flat.size))
  if x.rank <= 1 { return [places] }
  var result: [NDArray] = []
  let strides = x.shape.rowMajorStrides
  for axis in 0..<x.rank {
    let step = try NDArray(.int(strides[axis]), dtype: .int64)
    let size = try NDArray(.int(Swift.max(x.shape[axis], 1)), dtype: .int64)
    result.append(try remainder(floorDivide(places, step), size))
  }
  return result
}

/// Inputs: a mask and the values for its true elements; the result is which of the values each element takes.
/// Elements that take none have 0 or the place of the value before them.
struct MaskPlaces: Primitive, Codable {
  var name: OperationName { "index" }
  func evaluate(_ out: NDArray) throws(ArrayError) {
    let mask = try out.input(0).rowContiguous()
    let available = out.input(1).shape[0]
    try out.allocate()
    let (from, to) = (mask.pointer(as: UInt8.self), out.pointer(as: Int.self))
    var count = 0
    for i in 0..<mask.size {
      if from[i] != 0 { count += 1 }
      to[i] = Swift.max(count - 1, 0)
    }
    if count > available {
      out.buffer = nil
      throw .argument(
        op: name,
        message: "the mask has \(count) true elements, but there are only \(available) values")
    }
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] { [nil, nil] }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    guard inputs.count == 2, inputs[0].dtype == .bool, inputs[1].rank >= 1 else {
      throw .argument(op: name, message: "needs a mask and values")
    }
    return NDArray(MaskPlaces(), shape: inputs[0].shape, dtype: .int64, inputs[0], inputs[1])
  }
  var passesGradient: Bool { false }
}

/// x with the elements where a mask over its leading axes holds replaced by the values in order,
/// or combined with one value. The mask is not looked at before the result is computed: that is when too few values
/// are an error.
public func maskedScatter(
  _ x: NDArray, _ mask: NDArray, _ values: NDArray, _ mode: ScatterMode = .set
) throws(ArrayError) -> NDArray {
  if let made = try Tracing.recorded(.maskedUpdate(mode), [x, mask, values]) { return made[0] }
  guard mask.rank >= 1, mask.rank <= x.rank, mask.shape.array == Array(x.shape.prefix(mask.rank))
  else {
    throw .shapeMismatch(
      op: "index", lhs: x.shape.array, rhs: mask.shape.array,
      reason: "a boolean index has the shape of the axes that it indexes")
  }
  let rest = Array(x.shape.dropFirst(mask.rank))
  let wide = try mask.reshaped(mask.shape.array + rest.map { _ in 1 })
  var update = values.astype(x.dtype)
  if update.size == 1 {
    update = try update.reshaped(Shape())
  } else {
    // Slices for the true elements, in order: the place of each is the count before it.
    let leading = update.rank - rest.count
    guard leading >= 0, leading <= 1, Array(update.shape.suffix(rest.count)) == rest else {
      throw .shapeMismatch(
        op: "index", lhs: values.shape.array, rhs: x.shape.array,
        reason: "values for a mask are one, or a slice for each true element")
    }
    if leading == 1 {
      guard update.shape[0] > 0 else { throw .empty(op: "index", what: "the values") }
      let place = NDArray(
        MaskPlaces(), shape: mask.shape, dtype: .int64, mask, stopGradient(update))
      update = try gather(update, [place])
    }
  }
  switch mode {
  case .set: break
  case .add: update = try add(x, update)
  case .prod: update = try multiply(x, update)
  case .max: update = try maximum(x, update)
  case .min: update = try minimum(x, update)
  }
  return try `where`(wide, update, x)
}
