// Matrix products of selected parts: of matrices picked by indices (gather_mm), of ranges of the inner
// dimension (segmented_mm), of blocks under masks (block_masked_mm).

import COpenBLAS
import Kernels

/// Which matrix of a batch an index stands for; the indices must be evaluated.
func matrixIndices(_ x: NDArray, count: Int, op: OperationName) throws(ArrayError) -> [Int] {
  let index = try x.rowContiguous()
  let values = index.pointer(as: Int64.self)
  var result: [Int] = []
  result.reserveCapacity(x.size)
  for i in 0..<x.size {
    let k = Int(values[i])
    guard k >= -count, k < count else {
      throw .indexOutOfRange(op: op, index: k, axis: 0, size: count)
    }
    result.append(k < 0 ? k + count : k)
  }
  return result
}

/// C = A B for one pair of row-major matrices.
private func product(
  _ dtype: DType, _ a: UnsafeMutableRawPointer, _ lda: Int, _ b: UnsafeMutableRawPointer,
  _ ldb: Int,
  _ c: UnsafeMutableRawPointer, _ m: Int, _ n: Int, _ k: Int
) {
  let (m32, n32, k32) = (blasint(m), blasint(n), blasint(k))
  if dtype == .float64 {
    cblas_dgemm(
      CblasRowMajor, CblasNoTrans, CblasNoTrans, m32, n32, k32, 1,
      a.assumingMemoryBound(to: Double.self), blasint(lda),
      b.assumingMemoryBound(to: Double.self), blasint(ldb), 0,
      c.assumingMemoryBound(to: Double.self), n32)
  } else {
    cblas_sgemm(
      CblasRowMajor, CblasNoTrans, CblasNoTrans, m32, n32, k32, 1,
      a.assumingMemoryBound(to: Float.self), blasint(lda),
      b.assumingMemoryBound(to: Float.self), blasint(ldb), 0,
      c.assumingMemoryBound(to: Float.self), n32)
  }
}

/// Inputs: matrices a [A, m, k] and b [B, k, n], and for each result the places of its factors.
struct GatherMatMul: Primitive, Codable {
  var name: OperationName { "gather_mm" }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    let (a, b) = (try out.input(0).rowContiguous(), try out.input(1).rowContiguous())
    let left = try matrixIndices(out.input(2), count: a.shape[0], op: name)
    let right = try matrixIndices(out.input(3), count: b.shape[0], op: name)
    try out.allocate()
    let (m, k, n) = (a.rows, a.columns, b.columns)
    if out.size == 0 { return }
    if k == 0 {
      out.pointer.initializeMemory(as: UInt8.self, repeating: 0, count: out.byteCount)
      return
    }
    try requireBLAS()
    let (dtype, c) = (out.dtype, out.pointer)
    let step = m * n * dtype.byteCount
    parallelFor(left.count) { i, _ in
      product(dtype, a.matrix(left[i]), k, b.matrix(right[i]), n, c + i * step, m, n, k)
    }
    if lull_interrupt_raised() != 0 { throw .interrupted }
  }

  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    let (a, b, left, right) = (out.input(0), out.input(1), out.input(2), out.input(3))
    let all = try NDArray.arange(.int(0), .int(left.size), dtype: .int64)
    // Each result's share, added where its factors came from.
    let ga = try gathered(cotangent, b.transposed, all, right)
    let gb = try gathered(a.transposed, cotangent, left, all)
    return [
      try scatter(NDArray.zeros(like: a), [left], ga, .add),
      try scatter(NDArray.zeros(like: b), [right], gb, .add), nil, nil,
    ]
  }
  func rejectsGradient(of i: Int) -> String? { i >= 2 ? positionsHaveNoGradient : nil }
  var rejectsHiddenPositions: Bool { true }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    guard inputs[0].rank == 3, inputs[1].rank == 3, inputs[2].rank == 1, inputs[3].rank == 1 else {
      throw .rank(op: name, shape: inputs[0].shape.array, needed: "batches of matrices")
    }
    return try gatherMatmul(inputs[0], inputs[1], left: inputs[2], right: inputs[3])
  }
}

private func gathered(_ a: NDArray, _ b: NDArray, _ left: NDArray, _ right: NDArray)
  throws(ArrayError) -> NDArray
{
  let shape = try Shape.checked([left.size, a.rows, b.columns], op: "gather_mm")
  return NDArray(GatherMatMul(), shape: shape, dtype: a.dtype, inputs: [a, b, left, right])
}

/// Indices of a batch's matrices, or all of them in order, as int64.
func batchIndices(_ given: NDArray?, _ x: NDArray, op: OperationName) throws(ArrayError) -> NDArray
{
  guard let given else {
    let batch = Shape(x.shape.prefix(x.rank - 2))
    return try NDArray.arange(.int(0), .int(batch.uncheckedElementCount), dtype: .int64)
      .reshaped(batch)
  }
  guard given.dtype.isInteger else {
    throw .argument(op: op, message: "indices must be integers, not \(given.dtype.name)")
  }
  return given.astype(.int64)
}

/// a @ b for the pairs of matrices that the indices pick from the flattened batches.
public func gatherMatmul(
  _ a: NDArray, _ b: NDArray, left: NDArray? = nil, right: NDArray? = nil
) throws(ArrayError) -> NDArray {
  let op: OperationName = "gather_mm"
  if left == nil && right == nil { return try matmul(a, b) }
  if let made = try Tracing.recorded(
    .gatherMatmul(left: left != nil, right: right != nil),
    [a, b] + [left, right].compactMap { $0 })
  {
    return made[0]
  }
  if a.rank == 0 || b.rank == 0 {
    throw .rank(op: op, shape: [], needed: "at least one dimension")
  }
  let dtype = DType.promoted(a.dtype, b.dtype)
  guard dtype.isFloating else {
    throw .argument(op: op, message: "needs float dtypes, not \(a.dtype.name) and \(b.dtype.name)")
  }
  let work: DType = dtype == .float64 ? .float64 : .float32
  let x = try a.rank == 1 ? expandDims(a, [0]) : a
  let y = try b.rank == 1 ? expandDims(b, [1]) : b
  guard x.columns == y.rows else {
    throw .shapeMismatch(
      op: op, lhs: a.shape.array, rhs: b.shape.array,
      reason: "\(x.columns) columns of the first, \(y.rows) rows of the second")
  }
  for size in [x.rows, x.columns, y.columns] where size >= 1 << 31 {
    throw .tooLarge(op: op, shape: a.shape.array)
  }
  let pair = try broadcastArrays([
    batchIndices(left, x, op: op), batchIndices(right, y, op: op),
  ])
  let product = try gathered(
    x.astype(work).reshaped([x.matrixCount, x.rows, x.columns] as Shape),
    y.astype(work).reshaped([y.matrixCount, y.rows, y.columns] as Shape), flatten(pair[0]),
    flatten(pair[1]))
  var shape = pair[0].shape.array
  if a.rank > 1 { shape.append(x.rows) }
  if b.rank > 1 { shape.append(y.columns) }
  return try product.reshaped(Shape.checked(shape, op: op)).astype(dtype)
}

/// Inputs: a [m, k], b [k, n], and ranges [s, 2] of the inner dimension.
struct SegmentedMatMul: Primitive, Codable {
  var name: OperationName { "segmented_mm" }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    let (a, b) = (try out.input(0).rowContiguous(), try out.input(1).rowContiguous())
    let segments = try out.input(2).rowContiguous()
    try out.allocate()
    let (m, k, n, count) = (a.rows, a.columns, b.columns, segments.shape[0])
    if out.size == 0 { return }
    let ends = segments.pointer(as: Int64.self)
    for i in 0..<count where ends[2 * i] < 0 || ends[2 * i + 1] > k {
      throw .argument(
        op: name,
        message: "segment \(i) is \(ends[2 * i]) to \(ends[2 * i + 1]), but the inner dimension "
          + "has \(k) elements")
    }
    try requireBLAS()
    let (dtype, c, width) = (out.dtype, out.pointer, out.dtype.byteCount)
    let step = m * n * width
    parallelFor(count) { i, _ in
      let (start, end) = (Int(ends[2 * i]), Int(ends[2 * i + 1]))
      if end <= start {
        (c + i * step).initializeMemory(as: UInt8.self, repeating: 0, count: step)
      } else {
        product(
          dtype, a.pointer + start * width, k, b.pointer + start * n * width, n, c + i * step, m, n,
          end - start)
      }
    }
    if lull_interrupt_raised() != 0 { throw .interrupted }
  }

  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    let (a, b, segments) = (out.input(0), out.input(1), out.input(2))
    // [s, k]: which elements of the inner dimension a segment has.
    let inner = try NDArray.arange(.int(0), .int(a.columns), dtype: .int64)
    let starts = try slice(segments, axis: 1, from: 0, to: 1)
    let ends = try slice(segments, axis: 1, from: 1, to: 2)
    let inside = try logicalAnd(greaterEqual(inner, starts), less(inner, ends)).astype(a.dtype)
    let ga = try multiply(matmul(cotangent, b.transposed), expandDims(inside, [1]))
    let gb = try multiply(matmul(a.transposed, cotangent), expandDims(inside, [2]))
    return [try sum(ga, axes: [0]), try sum(gb, axes: [0]), nil]
  }
  func rejectsGradient(of i: Int) -> String? { i == 2 ? positionsHaveNoGradient : nil }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    try segmentedMatmul(inputs[0], inputs[1], segments: inputs[2])
  }
}

public func segmentedMatmul(_ a: NDArray, _ b: NDArray, segments: NDArray) throws(ArrayError)
  -> NDArray
{
  let op: OperationName = "segmented_mm"
  if let made = try Tracing.recorded(.segmented, [a, b, segments]) { return made[0] }
  guard a.rank == 2, b.rank == 2 else {
    throw .rank(op: op, shape: (a.rank == 2 ? b : a).shape.array, needed: "matrices")
  }
  guard a.columns == b.rows else {
    throw .shapeMismatch(
      op: op, lhs: a.shape.array, rhs: b.shape.array,
      reason: "\(a.columns) columns of the first, \(b.rows) rows of the second")
  }
  guard segments.rank >= 1, segments.shape.last == 2 else {
    throw .rank(
      op: op, shape: segments.shape.array, needed: "segments with two elements in the last axis")
  }
  guard segments.dtype.isInteger else {
    throw .argument(op: op, message: "segments must be integers, not \(segments.dtype.name)")
  }
  let dtype = DType.promoted(a.dtype, b.dtype)
  guard dtype.isFloating else {
    throw .argument(op: op, message: "needs float dtypes, not \(a.dtype.name) and \(b.dtype.name)")
  }
  for size in [a.rows, a.columns, b.columns] where size >= 1 << 31 {
    throw .tooLarge(op: op, shape: a.shape.array)
  }
  let work: DType = dtype == .float64 ? .float64 : .float32
  let count = segments.size / 2
  let shape = try Shape.checked([count, a.rows, b.columns], op: op)
  let product = NDArray(
    SegmentedMatMul(), shape: shape, dtype: work, a.astype(work), b.astype(work),
    try segments.astype(.int64).reshaped([count, 2]))
  let final = Array(segments.shape.array.dropLast()) + [a.rows, b.columns]
  return try product.reshaped(Shape.checked(final, op: op)).astype(dtype)
}

/// a @ b, blocks of the factors and of the result multiplied by (or, for bools, kept under) masks.
public func blockMaskedMatmul(
  _ a: NDArray, _ b: NDArray, block: Int = 64, out: NDArray? = nil, left: NDArray? = nil,
  right: NDArray? = nil
) throws(ArrayError) -> NDArray {
  let op: OperationName = "block_masked_mm"
  if out == nil && left == nil && right == nil { return try matmul(a, b) }
  if let made = try Tracing.recorded(
    .blockMasked(block, out: out != nil, left: left != nil, right: right != nil),
    [a, b] + [out, left, right].compactMap { $0 })
  {
    return made[0]
  }
  guard block == 32 || block == 64 else {
    throw .argument(op: op, message: "block_size must be 32 or 64, not \(block)")
  }
  if a.rank == 0 || b.rank == 0 {
    throw .rank(op: op, shape: [], needed: "at least one dimension")
  }
  guard DType.promoted(a.dtype, b.dtype).isFloating else {
    throw .argument(op: op, message: "needs float dtypes, not \(a.dtype.name) and \(b.dtype.name)")
  }
  /// The matrices under a mask of their blocks; a vector has one row (or column) of blocks.
  func masked(_ x: NDArray, _ mask: NDArray?, vectorAxis: Int?) throws(ArrayError) -> NDArray {
    guard let mask else { return x }
    var (m, y) = (mask, x)
    if let vectorAxis {
      m = try expandDims(m, [vectorAxis])
      y = try expandDims(y, [vectorAxis])
    }
    guard m.rank >= 2 else {
      throw .rank(op: op, shape: mask.shape.array, needed: "a mask of blocks")
    }
    for (axis, size) in [(m.rank - 2, y.rows), (m.rank - 1, y.columns)] {
      let blocks = (size + block - 1) / block
      guard m.shape[axis] == blocks || m.shape[axis] == 1 else {
        throw .shapeMismatch(
          op: op, lhs: x.shape.array, rhs: mask.shape.array,
          reason: "\(size) elements are \(blocks) blocks of \(block)")
      }
      if m.shape[axis] == blocks {
        m = try slice(`repeat`(m, block, axis: axis), axis: axis, from: 0, to: size)
      }
    }
    let zero = try NDArray.weak(.int(0), like: y.dtype)
    let kept = try m.dtype == .bool ? `where`(m, y, zero) : multiply(y, m.astype(y.dtype))
    return try vectorAxis.map { (axis) throws(ArrayError) in try squeeze(kept, [axis]) } ?? kept
  }
  let x = try masked(a, left, vectorAxis: a.rank == 1 ? -2 : nil)
  let y = try masked(b, right, vectorAxis: b.rank == 1 ? -1 : nil)
  let product = try matmul(x, y)
  guard let out else { return product }
  // The result's mask is one of matrices, also where vectors lost their axes.
  var (whole, mask) = (product, out)
  var axes: [Int] = []
  if a.rank == 1 { axes.append(-2) }
  if b.rank == 1 { axes.append(-1) }
  if !axes.isEmpty {
    whole = try expandDims(whole, axes)
    mask = try expandDims(mask, axes)
  }
  let kept = try masked(whole, mask, vectorAxis: nil)
  return try axes.isEmpty ? kept : squeeze(kept, axes)
}
