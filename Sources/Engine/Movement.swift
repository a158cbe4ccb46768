// The primitives of views and copies: reshape, transpose, broadcast, slices, concatenation. What makes them of
// arguments is in Arranging.swift.
//
// A view shares its input's buffer with another offset and other strides. Reshape is a view
// where the strides allow and a copy elsewhere. Nothing here reads values.

import Kernels

extension NDArray {
  /// Copies evaluated elements between two layouts of one shape and element size.
  static func copy(
    shape: Shape, from source: UnsafeRawPointer, _ sourceStrides: Shape,
    to target: UnsafeMutableRawPointer, _ targetStrides: Shape, width: Int
  ) {
    withUnsafeTemporaryAllocation(of: Int64.self, capacity: 3 * Shape.maxRank) { scratch in
      let n = shape.count
      for k in 0..<n {
        scratch[k] = Int64(shape[k])
        scratch[10 + k] = Int64(targetStrides[k] * width)
        scratch[20 + k] = Int64(sourceStrides[k] * width)
      }
      guard let base = scratch.baseAddress else { return }
      lull_copy_strided(
        target.assumingMemoryBound(to: CChar.self), base + 10,
        source.assumingMemoryBound(to: CChar.self), base + 20, base, Int32(n), Int32(width))
    }
  }
  func copyStrided(from source: NDArray, to target: NDArray) {
    NDArray.copy(
      shape: source.shape, from: source.pointer, source.strides, to: target.pointer,
      target.strides, width: dtype.byteCount)
  }
}

// MARK: - Views

struct Reshape: Primitive, Codable {
  /// How the shape was asked for, so that it can be asked for again of another input.
  enum Recipe: Codable {
    /// The recorded shape, with -1 at one place if there was one.
    case shape(hole: Int?)
    case flatten(from: Int, to: Int)
    case unflatten(axis: Int, dims: [Int])
    case expand(mask: Int)
    case squeeze(mask: Int)
    /// The same with one more axis in front.
    var batched: Recipe {
      switch self {
      case .shape(let hole): .shape(hole: hole.map { $0 + 1 })
      case .flatten(let start, let end): .flatten(from: start + 1, to: end + 1)
      case .unflatten(let axis, let dims): .unflatten(axis: axis + 1, dims: dims)
      case .expand(let mask): .expand(mask: mask << 1)
      case .squeeze(let mask): .squeeze(mask: mask << 1)
      }
    }
  }
  var recipe = Recipe.shape(hole: nil)
  var name: OperationName { "reshape" }
  func evaluate(_ out: NDArray) throws(ArrayError) {
    let x = out.input(0)
    out.isFill = x.isFill
    if let strides = Reshape.viewStrides(x.shape, x.strides, to: out.shape) {
      out.share(x, strides: strides)
      return
    }
    let flat = try x.rowContiguous()
    out.share(flat, strides: out.shape.rowMajorStrides)
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    if let made = try Tracing.recorded(.reshapedLike, [cotangent, out.input(0)]) {
      return [made[0]]
    }
    return [try cotangent.reshaped(out.input(0).shape)]
  }

  /// The strides that give the old layout another shape, if there are any.
  static func viewStrides(_ shape: Shape, _ strides: Shape, to target: Shape) -> Shape? {
    if NDArray.isRowMajor(shape, strides) { return target.rowMajorStrides }
    var result = target.rowMajorStrides
    // Join old dimensions into runs, then split each run into new ones.
    var (i, j) = (0, 0)
    while i < shape.count || j < target.count {
      var (oldSize, newSize) = (1, 1)
      let (iStart, jStart) = (i, j)
      repeat {
        if oldSize <= newSize && i < shape.count {
          oldSize *= shape[i]
          i += 1
        } else if j < target.count {
          newSize *= target[j]
          j += 1
        } else if i < shape.count {
          oldSize *= shape[i]
          i += 1
        } else {
          break
        }
      } while oldSize != newSize || (i < shape.count && shape[i] == 1)
        || (j < target.count && target[j] == 1)
      // The old run must be walked with one stride.
      var step: Int?
      var k = i - 1
      while k >= iStart {
        if shape[k] != 1 {
          if let step, strides[k] != step { return nil }
          step = strides[k] * shape[k]
        }
        k -= 1
      }
      var unit = 0
      k = i - 1
      while k >= iStart {
        if shape[k] != 1 {
          unit = strides[k]
          break
        }
        k -= 1
      }
      k = j - 1
      while k >= jStart {
        result[k] = unit
        unit *= target[k]
        k -= 1
      }
    }
    return result
  }

  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    try batch.inputs[0].reshaped(batch.shape(out.shape), recipe.batched)
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    let x = inputs[0]
    switch recipe {
    case .shape(let hole):
      var dims = old.shape.array
      if let hole, dims.indices.contains(hole) { dims[hole] = -1 }
      return try x.reshaped(dims)
    case .flatten(let start, let end): return try flatten(x, from: start, to: end)
    case .unflatten(let axis, let dims): return try unflatten(x, axis: axis, shape: dims)
    case .expand(let mask): return try expandDims(x, mask.bits)
    case .squeeze(let mask): return try squeeze(x, mask.bits)
    }
  }
}

struct Transpose: Primitive, Codable {
  let order: Shape
  var name: OperationName { "transpose" }
  func evaluate(_ out: NDArray) throws(ArrayError) {
    let x = out.input(0)
    out.isFill = x.isFill
    var strides = Shape()
    for axis in order { strides.append(x.strides[axis]) }
    out.share(x, strides: strides)
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    var inverse = [Int](repeating: 0, count: order.count)
    for (i, axis) in order.enumerated() { inverse[axis] = i }
    return [try transpose(cotangent, inverse)]
  }
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    try transpose(batch.inputs[0], [0] + order.map { $0 + 1 })
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    try transpose(inputs[0], order.array)
  }
}

struct Broadcast: Primitive, Codable {
  var name: OperationName { "broadcast_to" }
  func evaluate(_ out: NDArray) throws(ArrayError) {
    let x = out.input(0)
    out.share(x, strides: Broadcast.strides(x, to: out.shape))
  }
  static func strides(_ x: NDArray, to shape: Shape) -> Shape {
    var strides = Shape(repeating: 0, count: shape.count)
    let shift = shape.count - x.rank
    for i in 0..<x.rank where x.shape[i] == shape[i + shift] { strides[i + shift] = x.strides[i] }
    return strides
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    [try cotangent.summed(like: out.input(0))] + out.inputs.dropFirst().map { _ in nil }
  }
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    if batch.isBatched[0] {
      return try batch.aligned(0, rank: out.rank).broadcast(to: batch.shape(out.shape))
    }
    return try batch.inputs[0].broadcast(to: batch.shape(out.shape))
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    // Further inputs give the shape; without them it is the recorded one.
    if inputs.count == 1 { return try inputs[0].broadcast(to: old.shape) }
    var shape = inputs[0].shape
    for x in inputs.dropFirst() { shape = try Shape.broadcast(shape, x.shape, op: name) }
    _ = try shape.elementCount(op: name)
    return NDArray(Broadcast(), shape: shape, dtype: inputs[0].dtype, inputs: inputs)
  }
}

/// A regular sub-block: per dimension the first index and the step (of either sign).
struct Slice: Primitive, Codable {
  let starts: Shape
  let steps: Shape
  /// The bounds as they were written, for inputs of other sizes.
  var asked: [SliceRange]?
  var name: OperationName { "slice" }
  func evaluate(_ out: NDArray) throws(ArrayError) {
    let x = out.input(0)
    out.isFill = x.isFill
    var offset = 0
    var strides = Shape()
    for i in 0..<x.rank {
      offset += starts[i] * x.strides[i]
      strides.append(x.strides[i] * steps[i])
    }
    out.share(x, offset: out.size == 0 ? 0 : offset * x.dtype.byteCount, strides: strides)
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    let x = out.input(0)
    if Tracing.isShapeless,
      let made = try Tracing.recorded(
        .sliceGradient(ranges(x.shape, out.shape)), [cotangent, x])
    {
      return [made[0]]
    }
    let zero = try NDArray.zeros(like: x)
    return [
      NDArray(
        SliceUpdate(starts: starts, steps: steps), shape: x.shape, dtype: x.dtype, zero, cotangent)
    ]
  }
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    let rule = Slice(starts: starts.with(0, at: 0), steps: steps.with(1, at: 0), asked: asked)
    return NDArray(
      rule, shape: try batch.shape(out.shape), dtype: out.dtype, batch.inputs[0])
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    try slice(inputs[0], ranges(old.inputShapes[0], old.shape))
  }
  /// What a user would write for this slice of an axis of the recorded size.
  private func ranges(_ from: Shape, _ to: Shape) throws(ArrayError) -> [SliceRange] {
    if let asked { return asked }
    return try recordedRanges(starts, steps, from, to, op: name)
  }
}

/// The ranges of a slice with known starts, steps and result.
private func recordedRanges(
  _ starts: Shape, _ steps: Shape, _ from: Shape, _ to: Shape, op: OperationName
) throws(ArrayError) -> [SliceRange] {
  guard starts.count == from.count, steps.count == from.count, to.count == from.count else {
    throw .argument(op: op, message: "bounds for another number of dimensions")
  }
  var result: [SliceRange] = []
  for i in 0..<from.count {
    let (last, overflow) = steps[i].multipliedReportingOverflow(by: Swift.max(to[i] - 1, 0))
    let (end, more) = last.addingReportingOverflow(starts[i])
    guard !overflow, !more, steps[i] != 0, starts[i] >= 0,
      to[i] == 0 || (starts[i] < from[i] && end >= 0 && end < from[i])
    else { throw .argument(op: op, message: "bounds that leave the array") }
    if to[i] == 0 {
      result.append(SliceRange(0, 0, 1))
    } else if steps[i] > 0 {
      result.append(SliceRange(starts[i], end + 1, steps[i]))
    } else {
      result.append(SliceRange(starts[i], end == 0 ? nil : end - 1, steps[i]))
    }
  }
  return result
}

struct AsStrided: Primitive, Codable {
  let strides: Shape
  let offset: Int
  var name: OperationName { "as_strided" }
  func evaluate(_ out: NDArray) throws(ArrayError) {
    let x = try out.input(0).rowContiguous()
    out.share(x, offset: offset * x.dtype.byteCount, strides: strides)
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    let x = out.input(0)
    let indices = try asStrided(
      NDArray.arange(.int(0), .int(x.size), dtype: .int64), shape: out.shape, strides: strides,
      offset: offset)
    let zero = try NDArray.zeros([x.size], dtype: x.dtype)
    let flat = try scatter(
      zero, [indices.reshaped([out.size])], cotangent.reshaped([out.size]), .add)
    return [try flat.reshaped(x.shape)]
  }
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    let x = batch.inputs[0]
    let step = x.shape.dropFirst().reduce(1, *)
    return NDArray(
      AsStrided(strides: strides.with(step, at: 0), offset: offset),
      shape: try batch.shape(out.shape), dtype: out.dtype, x)
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    guard inputs[0].shape == old.inputShapes[0] else {
      throw .argument(
        op: name,
        message:
          "was recorded for an array of shape \(old.inputShapes[0]), this one has \(inputs[0].shape): "
          + "its strides are numbers and do not follow")
    }
    return try asStrided(inputs[0], shape: old.shape, strides: strides, offset: offset)
  }
}

/// The same bits as another dtype; the last dimension grows or shrinks with the width.
struct ViewAs: Primitive, Codable {
  var name: OperationName { "view" }
  func evaluate(_ out: NDArray) throws(ArrayError) {
    let x = out.input(0)
    if x.dtype.byteCount == out.dtype.byteCount {
      out.share(x, strides: x.strides)
    } else {
      out.share(try x.rowContiguous(), strides: out.shape.rowMajorStrides)
    }
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] { [nil] }
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    try batch.same(out, self)
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    try inputs[0].view(as: old.dtype)
  }
  var passesGradient: Bool { false }
}

// MARK: - Copies

struct Contiguous: Primitive, Codable {
  var name: OperationName { "contiguous" }
  func evaluate(_ out: NDArray) throws(ArrayError) {
    let x = try out.input(0).rowContiguous()
    out.share(x, strides: out.shape.rowMajorStrides)
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] { [cotangent] }
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    try batch.same(out, self)
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    contiguous(inputs[0])
  }
}

struct Concatenate: Primitive, Codable {
  let axis: Int
  var name: OperationName { "concatenate" }
  func evaluate(_ out: NDArray) throws(ArrayError) {
    try out.allocate()
    var at = 0
    for x in out.inputs {
      if x.size > 0 {
        NDArray.copy(
          shape: x.shape, from: x.pointer, x.strides,
          to: out.pointer + at * out.strides[axis] * out.dtype.byteCount, out.strides,
          width: out.dtype.byteCount)
      }
      at += x.shape[axis]
    }
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    if let parts = try Tracing.recorded(.concatenateGradient(axis), [cotangent] + out.inputs) {
      return parts
    }
    var result: [NDArray?] = []
    var at = 0
    for x in out.inputs {
      let end = at + x.shape[axis]
      result.append(try slice(cotangent, axis: axis, from: at, to: end))
      at = end
    }
    return result
  }
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    try batch.same(out, Concatenate(axis: axis + 1))
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    try concatenate(inputs, axis: axis)
  }
}

/// A copy of the first input with a regular sub-block replaced by the second.
struct SliceUpdate: Primitive, Codable {
  let starts: Shape
  let steps: Shape
  /// The bounds as they were written, for inputs of other sizes.
  var asked: [SliceRange]?
  var name: OperationName { "slice_update" }
  func evaluate(_ out: NDArray) throws(ArrayError) {
    // Before anything else holds the input: only then can its memory be taken over.
    let isDonated = out.takeDonation(0)
    let (x, update) = (out.input(0), out.input(1))
    if !isDonated {
      try out.allocate()
      NDArray.copy(
        shape: x.shape, from: x.pointer, x.strides, to: out.pointer, out.strides,
        width: x.dtype.byteCount)
    }
    if update.size == 0 { return }
    var offset = 0
    var strides = Shape()
    for i in 0..<x.rank {
      offset += starts[i] * out.strides[i]
      strides.append(out.strides[i] * steps[i])
    }
    NDArray.copy(
      shape: update.shape, from: update.pointer, update.strides,
      to: out.pointer + offset * x.dtype.byteCount, strides, width: x.dtype.byteCount)
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    let update = out.input(1)
    if Tracing.isShapeless {
      let recorded = try recordedRanges(starts, steps, out.shape, update.shape, op: name)
      let ranges = asked ?? recorded
      let zero = try NDArray(.int(0), dtype: cotangent.dtype)
      return [try sliceUpdate(cotangent, zero, ranges), try slice(cotangent, ranges)]
    }
    let zero = try NDArray.zeros(like: update)
    let hole = NDArray(self, shape: out.shape, dtype: out.dtype, cotangent, zero)
    let part = NDArray(
      Slice(starts: starts, steps: steps), shape: update.shape, dtype: out.dtype, cotangent)
    return [hole, part]
  }
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    try batch.same(
      out, SliceUpdate(starts: starts.with(0, at: 0), steps: steps.with(1, at: 0), asked: asked))
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    if let asked { return try sliceUpdate(inputs[0], inputs[1], asked) }
    let ranges = try recordedRanges(
      starts, steps, old.inputShapes[0], old.inputShapes[1], op: name)
    return try sliceUpdate(inputs[0], inputs[1], ranges)
  }
}
