// The functions that arrange elements: shapes, axes, slices, joining, cutting, padding, repeating, diagonals.
//
// Each checks its arguments, works out the shape of the result and makes nodes of the primitives in Movement.swift.

extension NDArray {
  /// Another shape for the same elements; -1 once for what is left over.
  public func reshaped(_ dims: [Int]) throws(ArrayError) -> NDArray {
    var known = 1
    var hole: Int?
    if dims.count > Shape.maxRank { throw .tooManyDimensions(op: "reshape", count: dims.count) }
    for (i, dim) in dims.enumerated() {
      if dim == -1 && hole == nil {
        hole = i
        continue
      }
      if dim < 0 { throw .badReshape(shape: shape.array, to: dims) }
      let (next, overflow) = known.multipliedReportingOverflow(by: dim)
      if overflow { throw .badReshape(shape: shape.array, to: dims) }
      known = next
    }
    var target = Shape(dims)
    if let hole {
      guard known > 0, size % known == 0 else {
        throw .badReshape(shape: shape.array, to: dims)
      }
      target[hole] = size / known
      known = size
    }
    guard known == size else { throw .badReshape(shape: shape.array, to: dims) }
    return try reshaped(target, .shape(hole: hole))
  }
  /// The same for a shape that is known to be sound.
  func reshaped(_ target: Shape, _ recipe: Reshape.Recipe = .shape(hole: nil)) throws(ArrayError)
    -> NDArray
  {
    target == shape && !Tracing.isShapeless
      ? self : NDArray(Reshape(recipe: recipe), shape: target, dtype: dtype, self)
  }

  public func broadcast(to target: Shape, isView: Bool = false) throws(ArrayError) -> NDArray {
    if target == shape { return self }
    guard try Shape.broadcast(shape, target, op: "broadcast_to") == target else {
      throw .broadcast(op: "broadcast_to", lhs: shape.array, rhs: target.array)
    }
    _ = try target.elementCount(op: "broadcast_to")
    if let buffer, !isTraced, !(isView && isFill) {
      return NDArray(
        buffer: buffer, offset: offset, shape: target,
        strides: Broadcast.strides(self, to: target), dtype: dtype)
    }
    return NDArray(Broadcast(), shape: target, dtype: dtype, self)
  }

  /// Sums over the dimensions that broadcasting added or stretched: the gradient of a broadcast.
  public func sumTo(_ target: Shape) throws(ArrayError) -> NDArray {
    if shape == target { return self }
    let shift = rank - target.count
    var mask = 0
    for i in 0..<rank where i < shift || (target[i - shift] == 1 && shape[i] != 1) {
      mask |= 1 << i
    }
    return try sum(self, mask: mask, keepdims: true).astype(dtype).reshaped(target)
  }

  /// The bits as another dtype.
  public func view(as dtype: DType) throws(ArrayError) -> NDArray {
    if dtype == self.dtype { return self }
    var target = shape
    let (from, to) = (self.dtype.byteCount, dtype.byteCount)
    if from != to {
      guard rank > 0 else {
        throw .argument(op: "view", message: "a 0-d array keeps its element size")
      }
      let bytes = shape[rank - 1] * from
      guard bytes % to == 0 else {
        throw .argument(
          op: "view",
          message: "the last dimension, \(bytes) bytes, is no multiple of \(dtype.name)'s \(to)")
      }
      target[rank - 1] = bytes / to
    }
    return NDArray(ViewAs(), shape: target, dtype: dtype, self)
  }
}

public func transpose(_ x: NDArray, _ axes: [Int]? = nil) throws(ArrayError) -> NDArray {
  let axes = axes ?? Array((0..<x.rank).reversed())
  guard axes.count == x.rank else {
    throw .argument(
      op: "transpose", message: "\(axes.count) axes for an array with \(x.rank) dimensions")
  }
  var order = Shape()
  var shape = Shape()
  var seen = 0
  for axis in axes {
    let a = try x.axis(axis, op: "transpose")
    if seen & (1 << a) != 0 { throw .duplicateAxis(op: "transpose", axes: axes) }
    seen |= 1 << a
    order.append(a)
    shape.append(x.shape[a])
  }
  return NDArray(Transpose(order: order), shape: shape, dtype: x.dtype, x)
}
public func moveaxis(_ x: NDArray, _ source: Int, _ destination: Int) throws(ArrayError) -> NDArray
{
  let from = try x.axis(source, op: "moveaxis")
  let to = try x.axis(destination, op: "moveaxis")
  var order = Array(0..<x.rank)
  order.remove(at: from)
  order.insert(from, at: to)
  return try transpose(x, order)
}
public func swapaxes(_ x: NDArray, _ a: Int, _ b: Int) throws(ArrayError) -> NDArray {
  var order = Array(0..<x.rank)
  order.swapAt(try x.axis(a, op: "swapaxes"), try x.axis(b, op: "swapaxes"))
  return try transpose(x, order)
}
public func expandDims(_ x: NDArray, _ axes: [Int]) throws(ArrayError) -> NDArray {
  let rank = x.rank + axes.count
  if rank > Shape.maxRank { throw .tooManyDimensions(op: "expand_dims", count: rank) }
  var mask = 0
  for axis in axes {
    let a = axis < 0 ? axis &+ rank : axis
    guard a >= 0, a < rank else { throw .axis(op: "expand_dims", axis: axis, rank: rank) }
    if mask & (1 << a) != 0 { throw .duplicateAxis(op: "expand_dims", axes: axes) }
    mask |= 1 << a
  }
  var shape = Shape()
  var next = 0
  for i in 0..<rank {
    if mask & (1 << i) != 0 {
      shape.append(1)
    } else {
      shape.append(x.shape[next])
      next += 1
    }
  }
  return try x.reshaped(shape, .expand(mask: mask))
}
public func squeeze(_ x: NDArray, _ axes: [Int]? = nil) throws(ArrayError) -> NDArray {
  var mask = 0
  if let axes {
    mask = try x.axisMask(axes, op: "squeeze")
    for axis in mask.bits where x.shape[axis] != 1 {
      throw .argument(
        op: "squeeze",
        message: "axis \(axis) of shape \(x.shape) has size \(x.shape[axis]), only size 1 can go; "
          + "to take one part of it, index it")
    }
  } else {
    for i in 0..<x.rank where x.shape[i] == 1 { mask |= 1 << i }
  }
  return try x.reshaped(x.reducedShape(mask, keepdims: false), .squeeze(mask: mask))
}
public func flatten(_ x: NDArray, from start: Int = 0, to end: Int = -1) throws(ArrayError)
  -> NDArray
{
  if x.rank == 0 { return try x.reshaped([1] as Shape, .expand(mask: 1)) }
  let a = try x.axis(start, op: "flatten")
  let b = try x.axis(end, op: "flatten")
  guard a <= b else {
    throw .argument(op: "flatten", message: "start_axis \(start) is after end_axis \(end)")
  }
  var shape = Shape()
  for i in 0..<a { shape.append(x.shape[i]) }
  shape.append((a...b).reduce(1) { $0 &* x.shape[$1] })
  for i in (b + 1)..<Swift.max(x.rank, b + 1) { shape.append(x.shape[i]) }
  return try x.reshaped(shape, .flatten(from: a, to: b))
}
public func unflatten(_ x: NDArray, axis: Int, shape: [Int]) throws(ArrayError) -> NDArray {
  let a = try x.axis(axis, op: "unflatten")
  let all = x.shape.array
  var dims = shape
  if let hole = dims.firstIndex(of: -1) {
    let known = dims.enumerated().reduce(1) { $1.offset == hole ? $0 : $0 &* $1.element }
    guard known > 0, all[a] % known == 0 else { throw .badReshape(shape: [all[a]], to: shape) }
    dims[hole] = all[a] / known
  }
  let target = Array(all[..<a]) + dims + Array(all[(a + 1)...])
  guard dims.allSatisfy({ $0 >= 0 }),
    try Shape.checked(target, op: "unflatten").elementCount(op: "unflatten") == x.size
  else { throw .badReshape(shape: [all[a]], to: shape) }
  return try x.reshaped(Shape(target), .unflatten(axis: a, dims: shape))
}
public func broadcastArrays(_ arrays: [NDArray]) throws(ArrayError) -> [NDArray] {
  if let made = try Tracing.recorded(.broadcasted, arrays) { return made }
  var shape = Shape()
  for x in arrays { shape = try Shape.broadcast(shape, x.shape, op: "broadcast_arrays") }
  var result: [NDArray] = []
  for x in arrays { result.append(try x.broadcast(to: shape)) }
  return result
}
public func contiguous(_ x: NDArray) -> NDArray {
  NDArray(Contiguous(), shape: x.shape, dtype: x.dtype, x)
}
public func asStrided(_ x: NDArray, shape: Shape, strides: Shape, offset: Int)
  throws(ArrayError) -> NDArray
{
  guard shape.count == strides.count else {
    throw .argument(op: "as_strided", message: "shape and strides differ in length")
  }
  _ = try shape.elementCount(op: "as_strided")
  var (low, high) = (offset, offset)
  for i in 0..<shape.count where shape[i] > 0 {
    let (reach, overflow) = (shape[i] - 1).multipliedReportingOverflow(by: strides[i])
    if overflow || Swift.abs(reach) > 1 << 58 {
      throw .argument(op: "as_strided", message: "the strides leave the array")
    }
    if reach < 0 { low += reach } else { high += reach }
  }
  if shape.uncheckedElementCount > 0 && (low < 0 || high >= x.size) {
    throw .argument(
      op: "as_strided",
      message: "elements \(low) to \(high) are asked for, the array has \(x.size)")
  }
  return NDArray(AsStrided(strides: strides, offset: offset), shape: shape, dtype: x.dtype, x)
}

public func concatenate(_ arrays: [NDArray], axis: Int = 0) throws(ArrayError) -> NDArray {
  guard let first = arrays.first else {
    throw .argument(op: "concatenate", message: "needs at least one array")
  }
  let a = try first.axis(axis, op: "concatenate")
  var dtype = first.dtype
  var total = 0
  for x in arrays {
    dtype = DType.promoted(dtype, x.dtype)
    var expected = first.shape
    guard x.rank == first.rank else {
      throw .shapeMismatch(
        op: "concatenate", lhs: first.shape.array, rhs: x.shape.array,
        reason: "they need the same number of dimensions")
    }
    expected[a] = x.shape[a]
    guard expected == x.shape else {
      throw .shapeMismatch(
        op: "concatenate", lhs: first.shape.array, rhs: x.shape.array,
        reason: "all dimensions but axis \(a) must agree")
    }
    total += x.shape[a]
  }
  var shape = first.shape
  shape[a] = total
  _ = try shape.elementCount(op: "concatenate")
  let inputs = arrays.map { $0.astype(dtype) }
  return inputs.count == 1
    ? inputs[0] : NDArray(Concatenate(axis: a), shape: shape, dtype: dtype, inputs: inputs)
}
public func stack(_ arrays: [NDArray], axis: Int = 0) throws(ArrayError) -> NDArray {
  guard let first = arrays.first else {
    throw .argument(op: "stack", message: "needs at least one array")
  }
  var expanded: [NDArray] = []
  for x in arrays {
    guard x.shape == first.shape else {
      throw .shapeMismatch(
        op: "stack", lhs: first.shape.array, rhs: x.shape.array,
        reason: "all arrays need one shape")
    }
    expanded.append(try expandDims(x, [axis]))
  }
  return try concatenate(expanded, axis: axis)
}
/// Elements from ..< to of one axis; the bounds must be sound.
public func slice(_ x: NDArray, axis: Int, from: Int, to: Int) throws(ArrayError) -> NDArray {
  if from == 0 && to == x.shape[axis] { return x }
  var starts = Shape(repeating: 0, count: x.rank)
  starts[axis] = from
  var shape = x.shape
  shape[axis] = to - from
  return NDArray(
    Slice(starts: starts, steps: Shape(repeating: 1, count: x.rank)), shape: shape,
    dtype: x.dtype, x)
}
public func split(_ x: NDArray, at indices: [Int], axis: Int = 0) throws(ArrayError) -> [NDArray] {
  if let made = try Tracing.recorded(.split(parts: nil, at: indices, axis: axis), [x]) {
    return made
  }
  let a = try x.axis(axis, op: "split")
  let n = x.shape[a]
  var result: [NDArray] = []
  var from = 0
  for index in indices + [n] {
    let to = Swift.max(Swift.min(index < 0 ? index &+ n : index, n), 0)
    result.append(try slice(x, axis: a, from: Swift.min(from, to), to: to))
    from = to
  }
  return result
}
public func split(_ x: NDArray, parts: Int, axis: Int = 0) throws(ArrayError) -> [NDArray] {
  if let made = try Tracing.recorded(.split(parts: parts, at: [], axis: axis), [x]) { return made }
  let a = try x.axis(axis, op: "split")
  guard parts > 0, x.shape[a] % parts == 0 else {
    throw .argument(
      op: "split",
      message:
        "axis \(a) of shape \(x.shape) has size \(x.shape[a]), which is no multiple of \(parts); "
        + "give the places to cut at as a list")
  }
  let each = x.shape[a] / parts
  return try split(x, at: (1..<parts).map { $0 * each }, axis: a)
}

/// Python's slice of one axis, with its rules for missing, negative and far bounds.
public struct SliceRange: Sendable, Hashable, Codable {
  public var start: Int?, stop: Int?, step: Int?
  public init(_ start: Int? = nil, _ stop: Int? = nil, _ step: Int? = nil) {
    (self.start, self.stop, self.step) = (start, stop, step)
  }
  /// The first index, the number of elements and the step for an axis of `size`.
  public func resolved(_ size: Int) throws(ArrayError) -> (first: Int, count: Int, step: Int) {
    let step = step ?? 1
    if step == 0 { throw .argument(op: "slice", message: "the step must not be zero") }
    func clamp(_ i: Int, _ low: Int, _ high: Int) -> Int {
      let j = i < 0 ? i &+ size : i
      return Swift.max(low, Swift.min(j, high))
    }
    if step > 0 {
      let a = start.map { clamp($0, 0, size) } ?? 0
      let b = stop.map { clamp($0, 0, size) } ?? size
      return (a, b > a ? (b - a - 1) / step + 1 : 0, step)
    }
    let a = start.map { clamp($0, -1, size - 1) } ?? size - 1
    let b = stop.map { clamp($0, -1, size - 1) } ?? -1
    if step == .min { return (a, a > b ? 1 : 0, -1) }
    return (a, a > b ? (a - b - 1) / -step + 1 : 0, step)
  }
}

private func resolve(_ x: NDArray, _ ranges: [SliceRange]) throws(ArrayError)
  -> (starts: Shape, steps: Shape, shape: Shape)
{
  if ranges.count > x.rank { throw .tooManyIndices(count: ranges.count, shape: x.shape.array) }
  var (starts, steps, shape) = (Shape(), Shape(), Shape())
  for i in 0..<x.rank {
    let (first, count, step) =
      i < ranges.count ? try ranges[i].resolved(x.shape[i]) : (0, x.shape[i], 1)
    starts.append(count == 0 ? 0 : first)
    steps.append(count <= 1 ? 1 : step)
    shape.append(count)
  }
  return (starts, steps, shape)
}
/// A regular sub-block, a view.
public func slice(_ x: NDArray, _ ranges: [SliceRange]) throws(ArrayError) -> NDArray {
  let (starts, steps, shape) = try resolve(x, ranges)
  if Tracing.isShapeless {
    return NDArray(
      Slice(starts: starts, steps: steps, asked: ranges), shape: shape, dtype: x.dtype, x)
  }
  if shape == x.shape && steps.allSatisfy({ $0 == 1 }) { return x }
  return NDArray(Slice(starts: starts, steps: steps), shape: shape, dtype: x.dtype, x)
}
/// x with a regular sub-block replaced by `update` (broadcast, cast to x's dtype).
public func sliceUpdate(_ x: NDArray, _ update: NDArray, _ ranges: [SliceRange])
  throws(ArrayError) -> NDArray
{
  let (starts, steps, shape) = try resolve(x, ranges)
  let value = try update.dropLeadingOnes(shape.count).astype(x.dtype).broadcast(to: shape)
  return NDArray(
    SliceUpdate(starts: starts, steps: steps, asked: Tracing.isShapeless ? ranges : nil),
    shape: x.shape, dtype: x.dtype, x, value)
}
extension NDArray {
  /// Updates may have more leading dimensions of size one than the place they go to.
  func dropLeadingOnes(_ rank: Int) throws(ArrayError) -> NDArray {
    var target = shape
    while target.count > rank && target[0] == 1 { target.remove(at: 0) }
    return try reshaped(target)
  }
}

public enum PadMode: String, Sendable { case constant, edge, reflect, symmetric }
/// Adds elements before and after each axis.
public func pad(
  _ x: NDArray, _ widths: [(Int, Int)], value: NDArray? = nil, mode: PadMode = .constant
) throws(ArrayError) -> NDArray {
  if Tracing.isShapeless {
    let zero = try NDArray.zeros(Shape(), dtype: x.dtype)
    let fill = value ?? zero
    let function = Composition.pad(
      before: widths.map { $0.0 }, after: widths.map { $0.1 }, mode: mode.rawValue)
    if let made = try Tracing.recorded(function, [x, fill]) { return made[0] }
  }
  guard widths.count == x.rank else {
    throw .argument(
      op: "pad", message: "\(widths.count) widths for an array with \(x.rank) dimensions")
  }
  var shape = Shape()
  for (i, (before, after)) in widths.enumerated() {
    guard before >= 0, after >= 0, before < 1 << 58, after < 1 << 58 else {
      throw .argument(op: "pad", message: "widths must not be negative")
    }
    shape.append(x.shape[i] + before + after)
  }
  _ = try shape.elementCount(op: "pad")
  if mode == .reflect || mode == .symmetric {
    var y = x
    for (i, (before, after)) in widths.enumerated() where before + after > 0 {
      guard y.shape[i] > 0 else { throw .empty(op: "pad", what: "the reflection") }
      let mirrored = mirroredIndices(y.shape[i], before, after, mode)
      y = try take(y, NDArray(mirrored, dtype: .int64), axis: i)
    }
    return y
  }
  if mode == .edge {
    var y = x
    for (i, (before, after)) in widths.enumerated() where before + after > 0 {
      guard y.shape[i] > 0 else { throw .empty(op: "pad", what: "the edge") }
      var edge = y.shape
      edge[i] = before
      let first = try slice(y, axis: i, from: 0, to: 1).broadcast(to: edge)
      edge[i] = after
      let n = y.shape[i]
      let last = try slice(y, axis: i, from: n - 1, to: n).broadcast(to: edge)
      y = try concatenate([first, y, last], axis: i)
    }
    return y
  }
  let zero = try NDArray.zeros(Shape(), dtype: x.dtype)
  let fill = value.map { $0.astype(x.dtype) } ?? zero
  let base = try fill.broadcast(to: shape)
  return NDArray(
    SliceUpdate(
      starts: Shape(widths.map { $0.0 }), steps: Shape(repeating: 1, count: x.rank)),
    shape: shape, dtype: x.dtype, base, x)
}
/// Where each element of a padded axis comes from, back and forth as often as it takes.
private func mirroredIndices(_ n: Int, _ before: Int, _ after: Int, _ mode: PadMode) -> [Int] {
  let period = mode == .symmetric ? 2 * n : Swift.max(2 * (n - 1), 1)
  return (-before..<n + after).map { position in
    let i = ((position % period) + period) % period
    if n == 1 { return 0 }
    return i < n ? i : mode == .symmetric ? period - 1 - i : period - i
  }
}
public func tile(_ x: NDArray, _ repeats: [Int]) throws(ArrayError) -> NDArray {
  if let made = try Tracing.recorded(.tile(repeats), [x]) { return made[0] }
  let rank = Swift.max(x.rank, repeats.count)
  let old = [Int](repeating: 1, count: rank - x.rank) + x.shape.array
  let times = [Int](repeating: 1, count: rank - repeats.count) + repeats
  for t in times where t < 0 { throw .negativeDimension(op: "tile", shape: repeats) }
  // What is repeated needs a dimension of its own, unless it is repeated once or only one long.
  var (narrow, wide, final): ([Int], [Int], [Int]) = ([], [], [])
  for i in 0..<rank {
    if times[i] != 1, old[i] != 1 {
      narrow.append(1)
      wide.append(times[i])
    }
    narrow.append(old[i])
    wide.append(old[i] == 1 ? times[i] : old[i])
    final.append(old[i].multipliedReportingOverflow(by: times[i]).partialValue)
  }
  if wide.count > Shape.maxRank {  // one axis after the other
    _ = try Shape.checked(final, op: "tile")
    var (y, sizes) = (x, old)
    for i in 0..<rank where times[i] != 1 {
      let sides = [sizes[..<i].reduce(1, *), sizes[i], sizes[(i + 1)...].reduce(1, *)]
      y = try tile(y.reshaped(sides), [1, times[i], 1])
      sizes[i] = final[i]
    }
    return try y.reshaped(Shape(final))
  }
  let target = try Shape.checked(wide, op: "tile")
  return try x.reshaped(narrow).broadcast(to: target).reshaped(Shape(final))
}
public func `repeat`(_ x: NDArray, _ times: Int, axis: Int? = nil) throws(ArrayError) -> NDArray {
  if let made = try Tracing.recorded(.repeated(times, axis: axis), [x]) { return made[0] }
  guard let axis else { return try `repeat`(flatten(x), times, axis: 0) }
  let a = try x.axis(axis, op: "repeat")
  if times < 0 { throw .argument(op: "repeat", message: "repeats must not be negative") }
  var dims = x.shape.array
  dims.insert(times, at: a + 1)
  let wide = try Shape.checked(dims, op: "repeat")
  var final = x.shape
  final[a] *= times
  return try expandDims(x, [a + 1]).broadcast(to: wide).reshaped(final)
}
public func roll(_ x: NDArray, _ shift: Int, axis: Int? = nil) throws(ArrayError) -> NDArray {
  if let made = try Tracing.recorded(.roll(shift, axis: axis), [x]) { return made[0] }
  guard let axis else { return try roll(flatten(x), shift, axis: 0).reshaped(x.shape) }
  let a = try x.axis(axis, op: "roll")
  let n = x.shape[a]
  if n == 0 { return x }
  let s = (shift % n + n) % n
  if s == 0 { return x }
  return try concatenate(
    [slice(x, axis: a, from: n - s, to: n), slice(x, axis: a, from: 0, to: n - s)], axis: a)
}
public func flip(_ x: NDArray, axes: [Int]? = nil) throws(ArrayError) -> NDArray {
  let mask = try x.axisMask(axes, op: "flip")
  return try slice(
    x, (0..<x.rank).map { mask & (1 << $0) != 0 ? SliceRange(nil, nil, -1) : SliceRange() })
}
public func meshgrid(_ arrays: [NDArray], sparse: Bool = false, indexing: String = "xy")
  throws(ArrayError) -> [NDArray]
{
  if let made = try Tracing.recorded(.meshgrid(sparse: sparse, indexing), arrays) { return made }
  guard indexing == "xy" || indexing == "ij" else {
    throw .argument(op: "meshgrid", message: "indexing must be 'xy' or 'ij'")
  }
  var result: [NDArray] = []
  for (i, x) in arrays.enumerated() {
    var dims = [Int](repeating: 1, count: arrays.count)
    var place = i
    if indexing == "xy" && arrays.count > 1 && i < 2 { place = 1 - i }
    dims[place] = x.size
    result.append(try x.reshaped(dims))
  }
  return sparse ? result : try broadcastArrays(result)
}
/// The k-th diagonal of the last-placed pair of axes.
public func diagonal(_ x: NDArray, offset: Int = 0, axis1: Int = 0, axis2: Int = 1)
  throws(ArrayError) -> NDArray
{
  if let made = try Tracing.recorded(.diagonal(offset, axis1, axis2), [x]) { return made[0] }
  guard x.rank >= 2 else {
    throw .rank(op: "diagonal", shape: x.shape.array, needed: "at least two dimensions")
  }
  let (a, b) = (try x.axis(axis1, op: "diagonal"), try x.axis(axis2, op: "diagonal"))
  if a == b { throw .duplicateAxis(op: "diagonal", axes: [axis1, axis2]) }
  let order = (0..<x.rank).filter { $0 != a && $0 != b } + [a, b]
  let y = try transpose(x, order)
  let (rows, columns) = (x.shape[a], x.shape[b])
  let row = Swift.min(Swift.max(-Swift.max(offset, -rows), 0), rows)
  let column = Swift.min(Swift.max(offset, 0), columns)
  let count = Swift.max(Swift.min(rows - row, columns - column), 0)
  let n = y.rank
  let block = try slice(
    slice(y, axis: n - 2, from: row, to: row + count), axis: n - 1, from: column,
    to: column + count)
  // In a square block flattened, the diagonal is every (count + 1)-th element.
  var flat = Shape(y.shape.prefix(n - 2))
  flat.append(count * count)
  let all = try contiguous(block).reshaped(flat)
  return try slice(
    all, (0..<(n - 2)).map { _ in SliceRange() } + [SliceRange(nil, nil, count + 1)])
}
public func diag(_ x: NDArray, k: Int = 0) throws(ArrayError) -> NDArray {
  if let made = try Tracing.recorded(.diag(k), [x]) { return made[0] }
  if x.rank == 2 { return try diagonal(x, offset: k) }
  guard x.rank == 1 else {
    throw .rank(op: "diag", shape: x.shape.array, needed: "one or two dimensions")
  }
  let n = x.size + Swift.abs(Swift.max(Swift.min(k, 1 << 30), -(1 << 30)))
  let shape = try Shape.checked([n, n], op: "diag")
  let zero = try NDArray.zeros([n * n], dtype: x.dtype)
  let start = k >= 0 ? k : -k * n
  if x.size == 0 { return try zero.reshaped(shape) }
  return try NDArray(
    SliceUpdate(starts: [start], steps: [n + 1]), shape: [n * n], dtype: x.dtype, zero, x
  ).reshaped(shape)
}
public func trace(_ x: NDArray, offset: Int = 0, axis1: Int = 0, axis2: Int = 1)
  throws(ArrayError) -> NDArray
{
  try sum(diagonal(x, offset: offset, axis1: axis1, axis2: axis2), axes: [-1])
}
