// Reading and writing by index, with NumPy's rules: integers, slices, new axes, an ellipsis,
// arrays of integers and boolean masks, in any mix.
//
// Ints and slices are views. Index arrays are brought to one broadcast shape and become a
// `Gather` over axes that were moved to the front; the index dimensions go to the place of the
// first index array where all are adjacent, else to the front.

public enum Index {
  case int(Int)
  case slice(SliceRange)
  case newAxis
  case ellipsis
  /// Integers, or a mask of bools over as many axes as it has dimensions.
  case array(NDArray)
}

/// What a mix of indices comes to: a view by slices, then index arrays over some of its axes.
private struct Plan {
  var view: NDArray
  var ranges: [SliceRange]  // over the original's axes
  var squeezed: [Int] = []  // original axes that an integer took away
  /// Per dimension of the result of basic indexing: an original axis or nil for a new axis.
  var dims: [Int?] = []
  var arrays: [(axis: Int, index: NDArray)] = []  // axes of the original
  var arraysFirst = false
  var arrayPlace = 0  // number of result dimensions before the index dimensions
}

private func plan(_ x: NDArray, _ indices: [Index]) throws(ArrayError) -> Plan {
  var used = 0
  var ellipses = 0
  for index in indices {
    switch index {
    case .newAxis: break
    case .ellipsis: ellipses += 1
    case .array(let a): used += a.dtype == .bool ? Swift.max(a.rank, 0) : 1
    default: used += 1
    }
  }
  if ellipses > 1 {
    throw .argument(op: "index", message: "an index can only have one ellipsis ('...')")
  }
  if used > x.rank { throw .tooManyIndices(count: used, shape: x.shape.array) }
  let hasArrays = indices.contains { if case .array = $0 { true } else { false } }
  var plan = Plan(view: x, ranges: [SliceRange](repeating: SliceRange(), count: x.rank))
  var axis = 0
  var groups = 0
  var inGroup = false
  func endGroup() { inGroup = false }
  func addArray(_ axis: Int, _ index: NDArray) {
    if !inGroup {
      groups += 1
      inGroup = true
      if groups == 1 { plan.arrayPlace = plan.dims.count }
    }
    plan.arrays.append((axis, index))
  }
  func keepAxis() {
    plan.dims.append(axis)
    axis += 1
  }
  for index in indices {
    switch index {
    case .int(let i):
      let n = x.shape[axis]
      let j = i < 0 ? i &+ n : i
      guard j >= 0, j < n else {
        throw .indexOutOfRange(op: "index", index: i, axis: axis, size: n)
      }
      if hasArrays {
        addArray(axis, try NDArray(.int(j), dtype: .int64))
      } else {
        plan.ranges[axis] =
          i < 0 && Tracing.isShapeless ? SliceRange(i, i == -1 ? nil : i + 1) : SliceRange(j, j + 1)
        plan.squeezed.append(axis)
      }
      axis += 1
    case .slice(let range):
      endGroup()
      plan.ranges[axis] = range
      keepAxis()
    case .newAxis:
      endGroup()
      plan.dims.append(nil)
    case .ellipsis:
      endGroup()
      for _ in 0..<(x.rank - used) { keepAxis() }
    case .array(let a):
      if a.dtype == .bool {
        if a.rank == 0 {
          throw .argument(op: "index", message: "a mask needs at least one dimension")
        }
        for i in 0..<a.rank where a.shape[i] != x.shape[axis + i] {
          throw .shapeMismatch(
            op: "index", lhs: x.shape.array, rhs: a.shape.array,
            reason: "a boolean index has the shape of the axes that it indexes")
        }
        for found in try nonzero(a) {
          addArray(axis, found)
          axis += 1
        }
      } else {
        addArray(axis, try integers(a, op: "index"))
        axis += 1
      }
    }
  }
  while axis < x.rank { keepAxis() }
  plan.arraysFirst = groups > 1
  if plan.arraysFirst { plan.arrayPlace = 0 }
  plan.view = try slice(x, plan.ranges)
  return plan
}

/// The index arrays brought to one shape.
private func broadcastIndices(_ plan: Plan) throws(ArrayError) -> [NDArray] {
  var shape = Shape()
  for (_, index) in plan.arrays {
    shape = try Shape.broadcast(shape, index.shape, op: "index")
  }
  var result: [NDArray] = []
  for (_, index) in plan.arrays { result.append(try index.broadcast(to: shape)) }
  return result
}

extension NDArray {
  /// x[indices], as NumPy has it. A view for ints and slices; a mask is evaluated for its count.
  public func at(_ indices: [Index]) throws(ArrayError) -> NDArray {
    if Tracing.isShapeless, indices.contains(where: { if case .array = $0 { true } else { false } })
    {
      let (forms, arrays) = Composition.parts(indices)
      if let made = try Tracing.recorded(.index(forms), [self] + arrays) { return made[0] }
    }
    let p = try plan(self, indices)
    if p.arrays.isEmpty {
      let y = p.view
      if Tracing.isShapeless {
        let fresh = p.dims.indices.filter { p.dims[$0] == nil }
        let kept = p.squeezed.isEmpty ? y : try squeeze(y, p.squeezed)
        return fresh.isEmpty ? kept : try expandDims(kept, fresh)
      }
      return try y.reshaped(Shape.checked(p.dims.map { $0.map { y.shape[$0] } ?? 1 }, op: "index"))
    }
    let axes = p.arrays.map(\.axis)
    let rest = p.dims.compactMap { $0 }
    let indices = try broadcastIndices(p)
    let picked = try gather(transpose(p.view, axes + rest), indices)
    // [index..., rest...]: the index dimensions to their place, new axes in between.
    let n = indices[0].rank
    let before = p.dims.prefix(p.arrayPlace).compactMap { $0 }.count
    let order =
      Array(n..<(n + before)) + Array(0..<n) + Array((n + before)..<(n + rest.count))
    let moved = try transpose(picked, order)
    var final: [Int] = []
    for (i, dim) in p.dims.enumerated() {
      if i == p.arrayPlace { final += indices[0].shape.array }
      final.append(dim.map { p.view.shape[$0] } ?? 1)
    }
    if p.arrayPlace >= p.dims.count { final += indices[0].shape.array }
    return try moved.reshaped(Shape.checked(final, op: "index"))
  }

  /// The array with x[indices] replaced by, or combined with, `value` (broadcast to the place).
  public func updating(_ indices: [Index], _ value: NDArray, _ mode: ScatterMode = .set)
    throws(ArrayError) -> NDArray
  {
    if Tracing.isShapeless {
      let (forms, arrays) = Composition.parts(indices)
      if let made = try Tracing.recorded(.update(forms, mode), [self, value] + arrays) {
        return made[0]
      }
    }
    // A mask over the whole array with one value needs no index arrays.
    if mode == .set, indices.count == 1, case .array(let mask) = indices[0],
      mask.dtype == .bool, mask.shape == shape, value.size == 1
    {
      return try `where`(mask, value.astype(dtype).reshaped(Shape()), self)
    }
    if indices.count == 1, case .array(let mask) = indices[0], mask.dtype == .bool,
      mask.needsPlaceholder
    {
      return try maskedScatter(self, mask, value, mode)
    }
    let p = try plan(self, indices)
    let view = p.view
    var value = value
    if indices.count == 1, case .array(let mask) = indices[0], mask.dtype == .bool,
      let count = p.arrays.first?.index.size, value.rank == rank - mask.rank + 1,
      value.shape[0] > Swift.max(count, 1)
    {
      // As MLX has it, a mask takes as many values as it needs from the front.
      value = try slice(value, axis: 0, from: 0, to: count)
    }
    if p.arrays.isEmpty {
      let target = try Shape.checked(p.dims.map { $0.map { view.shape[$0] } ?? 1 }, op: "index")
      var update = try value.fitting(target, dtype)
      update = try update.reshaped(view.shape)
      switch mode {
      case .set: break
      case .add: update = try add(view, update)
      case .prod: update = try multiply(view, update)
      case .max: update = try maximum(view, update)
      case .min: update = try minimum(view, update)
      }
      return try sliceUpdate(self, update, p.ranges)
    }
    let axes = p.arrays.map(\.axis)
    let rest = p.dims.compactMap { $0 }
    let indices = try broadcastIndices(p)
    let n = indices[0].rank
    // The place's shape as the user sees it, without new axes.
    var final: [Int] = []
    for (i, dim) in p.dims.enumerated() {
      if i == p.arrayPlace { final += indices[0].shape.array }
      final.append(dim.map { view.shape[$0] } ?? 1)
    }
    if p.arrayPlace >= p.dims.count { final += indices[0].shape.array }
    let target = try Shape.checked(final, op: "index")
    let before = p.dims.prefix(p.arrayPlace).compactMap { $0 }.count
    var update = try value.fitting(target, dtype)
    let plain =
      p.dims.prefix(p.arrayPlace).compactMap { $0.map { view.shape[$0] } }
      + indices[0].shape.array
      + p.dims.dropFirst(p.arrayPlace).compactMap { $0.map { view.shape[$0] } }
    update = try update.reshaped(plain)
    let order =
      Array(before..<(before + n)) + Array(0..<before) + Array((before + n)..<(n + rest.count))
    update = try transpose(update, order)
    let moved = try transpose(view, axes + rest)
    let written = try scatter(moved, indices, update, mode)
    var inverse = [Int](repeating: 0, count: rank)
    for (i, axis) in (axes + rest).enumerated() { inverse[axis] = i }
    let back = try transpose(written, inverse)
    return try p.view.shape == shape && p.view === self
      ? back : sliceUpdate(self, back, p.ranges)
  }
}

extension NDArray {
  /// A value that is assigned to a place of shape `target`.
  fileprivate func fitting(_ target: Shape, _ dtype: DType) throws(ArrayError) -> NDArray {
    let value = try dropLeadingOnes(target.count)
    do throws(ArrayError) { return try value.astype(dtype).broadcast(to: target) } catch {
      guard case .broadcast = error else { throw error }
      throw .shapeMismatch(
        op: "assignment", lhs: shape.array, rhs: target.array,
        reason: "the value's shape does not broadcast to that of the place")
    }
  }
}
