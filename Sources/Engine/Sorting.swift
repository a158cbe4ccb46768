// Sorting and what follows from it: argsort, partition, topk, median, searchsorted, unique.
//
// One kernel sorts rows of the last axis by radix passes over order-preserving keys (stable, NaN
// last); other axes are moved there. Partitions are whole sorts: a sorted row is partitioned at
// every place.

import Kernels

struct Sort: Primitive, Codable {
  let givesIndices: Bool
  var name: OperationName { givesIndices ? "argsort" : "sort" }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    let x = try out.input(0).rowContiguous()
    try out.allocate()
    if x.size == 0 { return }
    let n = x.shape[x.rank - 1]
    let scratch = try Buffer(
      byteCount: Int(lull_sort_scratch(Int64(n), Int32(x.dtype.rawValue), lull_thread_count())))
    lull_sort(
      givesIndices ? nil : out.pointer, givesIndices ? out.pointer(as: UInt32.self) : nil,
      x.pointer, Int32(x.dtype.rawValue), Int64(x.size / n), Int64(n), scratch.pointer)
    withExtendedLifetime(scratch) {}
  }

  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    if givesIndices { return [nil] }
    let x = out.input(0)
    let order = try argsort(x, axis: -1)  // constant where the order is
    let zero = try NDArray.zeros(like: x)
    return [try putAlongAxis(zero, order, cotangent, axis: -1)]
  }
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    if out.rank == 0 {
      return try givesIndices ? NDArray.zeros([batch.size], dtype: .uint32) : batch.inputs[0]
    }
    return try batch.same(out, self)
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    try givesIndices ? argsort(inputs[0], axis: -1) : sort(inputs[0], axis: -1)
  }
  var passesGradient: Bool { !givesIndices }
}

private func sorted(_ x: NDArray, axis: Int?, indices: Bool, op: OperationName)
  throws(ArrayError) -> NDArray
{
  if x.rank == 0, let axis, axis != 0 && axis != -1 {
    throw .axis(op: op, axis: axis, rank: 0)
  }
  guard let axis, x.rank > 0 else {
    let flat = try flatten(x)
    let result = try sorted(flat, axis: 0, indices: indices, op: op)
    return x.rank == 0 ? try result.reshaped(Shape()) : result
  }
  let a = try x.axis(axis, op: op)
  guard x.shape[a] < 1 << 32 else { throw .tooLarge(op: op, shape: x.shape.array) }
  let moved = try a == x.rank - 1 ? x : moveaxis(x, a, -1)
  let out = NDArray(
    Sort(givesIndices: indices), shape: moved.shape, dtype: indices ? .uint32 : x.dtype, moved)
  return try a == x.rank - 1 ? out : moveaxis(out, -1, a)
}
public func sort(_ x: NDArray, axis: Int? = -1) throws(ArrayError) -> NDArray {
  try sorted(x, axis: axis, indices: false, op: "sort")
}
public func argsort(_ x: NDArray, axis: Int? = -1) throws(ArrayError) -> NDArray {
  try sorted(x, axis: axis, indices: true, op: "argsort")
}
private func checkPlace(_ x: NDArray, _ kth: Int, _ axis: Int?, op: OperationName)
  throws(ArrayError)
{
  let n = try axis.map { (a) throws(ArrayError) in x.shape[try x.axis(a, op: op)] } ?? x.size
  let k = kth < 0 ? kth &+ n : kth
  guard k >= 0, k < n else {
    throw .indexOutOfRange(op: op, index: kth, axis: axis ?? 0, size: n)
  }
}
public func partition(_ x: NDArray, _ kth: Int, axis: Int? = -1) throws(ArrayError) -> NDArray {
  try checkPlace(x, kth, axis, op: "partition")
  return try sort(x, axis: axis)
}
public func argpartition(_ x: NDArray, _ kth: Int, axis: Int? = -1) throws(ArrayError) -> NDArray {
  try checkPlace(x, kth, axis, op: "argpartition")
  return try argsort(x, axis: axis)
}
/// The k largest elements along an axis, ascending.
public func topk(_ x: NDArray, _ k: Int, axis: Int? = -1) throws(ArrayError) -> NDArray {
  if let made = try Tracing.recorded(.topk(k, axis), [x]) { return made[0] }
  let y = try axis == nil ? flatten(x) : x
  let a = try y.axis(axis ?? 0, op: "topk")
  guard k >= 0, k <= y.shape[a] else {
    throw .argument(op: "topk", message: "k = \(k) for an axis of size \(y.shape[a])")
  }
  let all = try sort(y, axis: a)
  return try slice(all, axis: a, from: y.shape[a] - k, to: y.shape[a])
}
public func median(_ x: NDArray, axes: [Int]? = nil, keepdims: Bool = false) throws(ArrayError)
  -> NDArray
{
  if let made = try Tracing.recorded(.median(axes, keepdims: keepdims), [x]) { return made[0] }
  let mask = try x.axisMask(axes, op: "median")
  let y = x.astype(x.dtype.inexact)
  let rest = (0..<x.rank).filter { mask & (1 << $0) == 0 }
  var shape = Shape(rest.map { x.shape[$0] })
  let n = mask.bits.reduce(1) { $0 &* x.shape[$1] }
  if n == 0 { throw .empty(op: "median", what: "the median") }
  shape.append(n)
  let all = try sort(transpose(y, rest + mask.bits).reshaped(shape), axis: -1)
  let low = try slice(all, axis: rest.count, from: (n - 1) / 2, to: (n - 1) / 2 + 1)
  let high = try slice(all, axis: rest.count, from: n / 2, to: n / 2 + 1)
  let half = try NDArray.weak(.float(0.5), like: y.dtype)
  let between = n % 2 == 1 ? low : try multiply(add(low, high), half)
  // NaN sorts last: it is the median of whatever holds one.
  let last = try slice(all, axis: rest.count, from: n - 1, to: n)
  let middle = try `where`(isnan(last), last, between)
  return try middle.reshaped(x.reducedShape(mask, keepdims: keepdims))
}

struct SearchSorted: Primitive, Codable {
  let right: Bool
  var name: OperationName { "searchsorted" }
  func evaluate(_ out: NDArray) throws(ArrayError) {
    let a = try out.input(0).rowContiguous(as: .float64)
    let v = try out.input(1).rowContiguous(as: .float64)
    try out.allocate()
    lull_search_sorted(
      out.pointer(as: UInt32.self), a.pointer(as: Double.self), Int64(a.size),
      v.pointer(as: Double.self), Int64(v.size), right ? 1 : 0)
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] { [nil, nil] }
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    if batch.isBatched[0] { return try batch.loop(out, self) }
    return NDArray(
      self, shape: try batch.shape(out.shape), dtype: out.dtype, batch.inputs[0], batch.inputs[1])
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    try searchsorted(inputs[0], inputs[1], right: right)
  }
  var passesGradient: Bool { false }
}
/// The places where values keep a sorted one-dimensional array sorted.
public func searchsorted(_ sorted: NDArray, _ values: NDArray, right: Bool = false)
  throws(ArrayError) -> NDArray
{
  guard sorted.rank == 1 else {
    throw .rank(op: "searchsorted", shape: sorted.shape.array, needed: "one dimension")
  }
  if sorted.dtype.isComplex || values.dtype.isComplex {
    throw .dtype(
      op: "searchsorted", found: DType.promoted(sorted.dtype, values.dtype), needed: "real dtypes")
  }
  return NDArray(
    SearchSorted(right: right), shape: values.shape, dtype: .uint32, sorted, values)
}

/// The distinct elements, ascending, with the index of the first of each, the place of every
/// element among them and how often each occurs. Evaluates, as the sizes depend on the values.
public func unique(_ x: NDArray) throws(ArrayError)
  -> (values: NDArray, index: NDArray, inverse: NDArray, counts: NDArray)
{
  let flat = try flatten(x)
  let order = try argsort(flat, axis: 0)
  let all = try take(flat, order)
  let n = flat.size
  if n == 0 {
    let none = try NDArray.zeros([0], dtype: .int64)
    return (flat, none, none, none)
  }
  let changes = try notEqual(
    slice(all, axis: 0, from: 1, to: n), slice(all, axis: 0, from: 0, to: n - 1))
  let isFirst = try concatenate([NDArray([true]), changes])
  let starts = try nonzero(isFirst)[0]
  let values = try take(all, starts)
  let ends = try concatenate(
    [slice(starts, axis: 0, from: 1, to: starts.size), NDArray([n], dtype: .int64)])
  let group = try subtract(
    cumsum(isFirst.astype(.int64), axis: 0), NDArray(.int(1), dtype: .int64))
  let zero = try NDArray.zeros([n], dtype: .int64)
  let inverse = try scatter(zero, [order.astype(.int64)], group, .set)
  return (
    values, try take(order, starts).astype(.int64), try inverse.reshaped(x.shape),
    try subtract(ends, starts)
  )
}
