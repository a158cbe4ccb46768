// Matrix products: OpenBLAS on one thread for each piece, the pieces shared out by our pool.
//
// Operands may be any strided view whose last two dimensions are row- or column-major (passed as
// a flag); others are copied. Batch dimensions broadcast by strides of zero. Half precision and float32
// go to our own kernels where the machine has AVX2 (MatMulPanels.swift); elsewhere float16 and bfloat16 are widened to float32. Integers are multiplied in 64 bits.

import COpenBLAS
#if canImport(Glibc)
  import Glibc
#endif
import Kernels

struct MatMul: Primitive, Codable {
  func operationCount(_ out: NDArray) -> Int {
    2 &* out.size &* (out.input(0).shape.last ?? 1)
  }

  var name: OperationName { "matmul" }

  fileprivate struct Operand {
    var pointer: UnsafeMutableRawPointer
    var isTransposed: Bool
    var leading: Int
  }

  fileprivate struct Job {
    var a: UnsafeMutableRawPointer, b: UnsafeMutableRawPointer, c: UnsafeMutableRawPointer
    var aTransposed: Bool, bTransposed: Bool
    var lda: Int, ldb: Int
    var m: Int, n: Int, k: Int
    var dtype: DType
    /// Byte offsets of each batch entry's operands; [a0, b0, a1, b1, ...].
    var offsets: UnsafeMutablePointer<Int>
    var parts: Int  // of one product
    var splitsRows: Bool
  }

  /// The matrix layout that BLAS takes, if the last two dimensions have one.
  func layout(_ x: NDArray) -> (isTransposed: Bool, leading: Int)? {
    let r = x.rank
    let (rows, columns) = (x.shape[r - 2], x.shape[r - 1])
    let (s, t) = (x.strides[r - 2], x.strides[r - 1])
    if (t == 1 || columns == 1) && (s >= columns || rows == 1) && (rows == 1 || s > 0) {
      return (false, rows == 1 ? Swift.max(columns, 1) : s)
    }
    if (s == 1 || rows == 1) && (t >= rows || columns == 1) && (columns == 1 || t > 0) {
      return (true, columns == 1 ? Swift.max(rows, 1) : t)
    }
    return nil
  }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    if usesPanels(out) { return try multiplyPanels(out) }
    try requireBLAS()
    var (a, b) = (out.input(0), out.input(1))
    let isHalf = out.dtype == .float16 || out.dtype == .bfloat16
    let isInteger = !out.dtype.isInexact
    let work: DType = isHalf ? .float32 : isInteger ? .int64 : out.dtype
    if work != out.dtype {
      let (wideA, wideB) = (a.astype(work), b.astype(work))
      try Engine.evaluate([wideA, wideB])
      (a, b) = (wideA, wideB)
    }
    if isInteger {
      a = try a.rowContiguous()
      b = try b.rowContiguous()
    }
    if layout(a) == nil { a = try a.rowContiguous() }
    if layout(b) == nil { b = try b.rowContiguous() }
    let result = work == out.dtype ? out : try NDArray(uninitialized: out.shape, dtype: work)
    if work == out.dtype { try out.allocate() }
    let r = out.rank
    let (m, n) = (out.shape[r - 2], out.shape[r - 1])
    let k = a.shape[a.rank - 1]
    if out.size > 0 && k == 0 {
      memset(result.pointer, 0, result.byteCount)
    } else if out.size > 0 {
      multiply(a, b, result, m, n, k)
    }
    if work != out.dtype {
      let narrow = try result.rowContiguous(as: out.dtype)
      out.share(narrow, strides: narrow.strides)
    }
  }

  private func multiply(_ a: NDArray, _ b: NDArray, _ c: NDArray, _ m: Int, _ n: Int, _ k: Int) {
    guard let la = layout(a), let lb = layout(b) else {
      preconditionFailure("a product of factors that BLAS cannot read")
    }
    withEntryOffsets(a, b, c) { offsets, batch in
      let flops = 2 * m * n * k
      let threads = Int(lull_thread_count())
      var parts = 1
      if flops * batch > 2_000_000 && batch < 4 * threads && flops > 200_000 {
        parts = Swift.min(threads * (flops > 100_000_000 ? 2 : 1), (Swift.max(m, n) + 7) / 8)
      }
      var job = Job(
        a: a.pointer, b: b.pointer, c: c.pointer, aTransposed: la.isTransposed,
        bTransposed: lb.isTransposed, lda: la.leading, ldb: lb.leading, m: m, n: n, k: k,
        dtype: c.dtype, offsets: offsets, parts: Swift.max(parts, 1),
        splitsRows: m >= n)
      if flops * batch < 200_000 {
        for i in 0..<batch { MatMul.run(&job, i) }
      } else {
        lull_parallel_for(
          Int64(batch * job.parts),
          { context, chunk, _ in
            guard let context else { return }
            MatMul.run(context.assumingMemoryBound(to: Job.self), Int(chunk))
          }, &job)
      }
    }
  }

  /// Byte offsets of the operands of each entry of a batch: [a0, b0, a1, b1, ...], and their number.
  func withEntryOffsets(
    _ a: NDArray, _ b: NDArray, _ c: NDArray, _ body: (UnsafeMutablePointer<Int>, Int) -> Void
  ) {
    let r = c.rank
    let width = c.dtype.byteCount
    var batch = 1
    for i in 0..<(r - 2) { batch *= c.shape[i] }
    let aStrides = Broadcast.strides(a, to: batchShape(c.shape, a.shape))
    let bStrides = Broadcast.strides(b, to: batchShape(c.shape, b.shape))
    withUnsafeTemporaryAllocation(of: Int.self, capacity: 2 * batch) { offsets in
      var index = Shape(repeating: 0, count: r)
      var (ao, bo) = (0, 0)
      for i in 0..<batch {
        offsets[2 * i] = ao * width
        offsets[2 * i + 1] = bo * width
        var d = r - 3
        while d >= 0 {
          index[d] += 1
          ao += aStrides[d]
          bo += bStrides[d]
          if index[d] < c.shape[d] { break }
          ao -= aStrides[d] * c.shape[d]
          bo -= bStrides[d] * c.shape[d]
          index[d] = 0
          d -= 1
        }
      }
      if let first = offsets.baseAddress { body(first, batch) }
    }
  }

  private func batchShape(_ out: Shape, _ own: Shape) -> Shape {
    var shape = out
    shape[out.count - 2] = own[own.count - 2]
    shape[out.count - 1] = own[own.count - 1]
    return shape
  }

  private static func run(_ job: UnsafeMutablePointer<Job>, _ chunk: Int) {
    let j = job.pointee
    let (entry, part) = (chunk / j.parts, chunk % j.parts)
    let width = j.dtype.byteCount
    var a = j.a + j.offsets[2 * entry]
    var b = j.b + j.offsets[2 * entry + 1]
    var c = j.c + entry * j.m * j.n * width
    var (m, n) = (j.m, j.n)
    if j.parts > 1 {
      let total = j.splitsRows ? m : n
      // Pieces of whole register blocks.
      let each = ((total + j.parts - 1) / j.parts + 15) & ~15
      let from = Swift.min(part * each, total)
      let to = Swift.min(from + each, total)
      if from == to { return }
      if j.splitsRows {
        a += from * (j.aTransposed ? 1 : j.lda) * width
        c += from * n * width
        m = to - from
      } else {
        b += from * (j.bTransposed ? j.ldb : 1) * width
        c += from * width
        n = to - from
      }
    }
    let ta = j.aTransposed ? CblasTrans : CblasNoTrans
    let tb = j.bTransposed ? CblasTrans : CblasNoTrans
    let (bm, bn, bk) = (blasint(m), blasint(n), blasint(j.k))
    let (lda, ldb, ldc) = (blasint(j.lda), blasint(j.ldb), blasint(j.n))
    switch j.dtype {
    case .float32:
      let (x, y, z) = (
        a.assumingMemoryBound(to: Float.self), b.assumingMemoryBound(to: Float.self),
        c.assumingMemoryBound(to: Float.self)
      )
      if n == 1 && j.n == 1 {
        let step = j.bTransposed ? 1 : ldb
        cblas_sgemv(
          CblasRowMajor, ta, j.aTransposed ? bk : bm, j.aTransposed ? bm : bk, 1, x, lda, y,
          j.bTransposed ? 1 : step, 0, z, 1)
      } else if m == 1 {
        // A row times a matrix: the transposed matrix times a column.
        cblas_sgemv(
          CblasRowMajor, j.bTransposed ? CblasNoTrans : CblasTrans, j.bTransposed ? bn : bk,
          j.bTransposed ? bk : bn, 1, y, ldb, x, j.aTransposed ? lda : 1, 0, z, 1)
      } else {
        cblas_sgemm(CblasRowMajor, ta, tb, bm, bn, bk, 1, x, lda, y, ldb, 0, z, ldc)
      }
    case .float64:
      cblas_dgemm(
        CblasRowMajor, ta, tb, bm, bn, bk, 1, a.assumingMemoryBound(to: Double.self), lda,
        b.assumingMemoryBound(to: Double.self), ldb, 0, c.assumingMemoryBound(to: Double.self),
        ldc)
    case .complex64:
      var one: (Float, Float) = (1, 0)
      var zero: (Float, Float) = (0, 0)
      cblas_cgemm(CblasRowMajor, ta, tb, bm, bn, bk, &one, a, lda, b, ldb, &zero, c, ldc)
    case .complex128:
      var one: (Double, Double) = (1, 0)
      var zero: (Double, Double) = (0, 0)
      cblas_zgemm(CblasRowMajor, ta, tb, bm, bn, bk, &one, a, lda, b, ldb, &zero, c, ldc)
    default:
      let x = a.assumingMemoryBound(to: Int.self)
      let y = b.assumingMemoryBound(to: Int.self)
      let z = c.assumingMemoryBound(to: Int.self)
      for i in 0..<m {
        for q in 0..<n { z[i * j.n + q] = 0 }
        for p in 0..<j.k {
          let v = j.aTransposed ? x[p * j.lda + i] : x[i * j.lda + p]
          if v == 0 { continue }
          for q in 0..<n {
            z[i * j.n + q] &+= v &* (j.bTransposed ? y[q * j.ldb + p] : y[p * j.ldb + q])
          }
        }
      }
    }
  }

  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    let (a, b) = (out.input(0), out.input(1))
    let ga = try matmul(cotangent, conjugate(swapaxes(b, -1, -2))).summed(like: a)
    let gb = try matmul(conjugate(swapaxes(a, -1, -2)), cotangent).summed(like: b)
    return [ga, gb]
  }

  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    let rank = out.rank
    return try matmul(batch.aligned(0, rank: rank), batch.aligned(1, rank: rank))
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    try matmul(inputs[0], inputs[1])
  }
}

/// The matrix product of the last two dimensions; the others broadcast. One-dimensional operands
/// are a row on the left, a column on the right.
public func matmul(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  if a.rank == 0 || b.rank == 0 {
    throw .rank(
      op: "matmul", shape: (a.rank == 0 ? a : b).shape.array, needed: "at least one dimension")
  }
  let dtype = DType.promoted(a.dtype, b.dtype)
  let x = a.rank == 1 ? try a.reshaped([1, a.size] as Shape, .expand(mask: 1)) : a
  let y = b.rank == 1 ? try b.reshaped([b.size, 1] as Shape, .expand(mask: 2)) : b
  guard x.shape[x.rank - 1] == y.shape[y.rank - 2] else {
    throw .shapeMismatch(
      op: "matmul", lhs: a.shape.array, rhs: b.shape.array,
      reason: "the last dimension of the first, \(x.shape[x.rank - 1]), must equal the "
        + (b.rank == 1 ? "size" : "second to last dimension")
        + " of the second, \(y.shape[y.rank - 2])")
  }
  let batchA = Shape(x.shape.prefix(x.rank - 2))
  let batchB = Shape(y.shape.prefix(y.rank - 2))
  var shape: Shape
  do throws(ArrayError) {
    shape = try Shape.broadcast(batchA, batchB, op: "matmul")
  } catch {
    throw .broadcast(op: "matmul", lhs: a.shape.array, rhs: b.shape.array)
  }
  shape.append(x.shape[x.rank - 2])
  shape.append(y.shape[y.rank - 1])
  _ = try shape.elementCount(op: "matmul")
  for n in [shape[shape.count - 1], shape[shape.count - 2], x.shape[x.rank - 1]] where n >= 1 << 31
  {
    throw .tooLarge(op: "matmul", shape: shape.array)
  }
  // Many matrices times one: a single tall product.
  if x.rank > 2 && y.rank == 2 && !Tracing.isShapeless {
    let rows = (0..<(x.rank - 1)).reduce(1) { $0 &* x.shape[$1] }
    if rows > 0 && rows < 1 << 31 {
      let flat = try x.astype(dtype).reshaped([rows, x.shape[x.rank - 1]] as Shape)
      let product = NDArray(
        MatMul(), shape: [rows, y.shape[1]], dtype: dtype, flat, y.astype(dtype))
      var final = shape
      if b.rank == 1 { final.remove(at: final.count - 1) }
      return try product.reshaped(final)
    }
  }
  let product = NDArray(MatMul(), shape: shape, dtype: dtype, x.astype(dtype), y.astype(dtype))
  if a.rank > 1 && b.rank > 1 { return product }
  var final = Shape(shape.prefix(shape.count - 2))
  if a.rank > 1 { final.append(shape[shape.count - 2]) }
  if b.rank > 1 { final.append(shape[shape.count - 1]) }
  let gone = (a.rank == 1 ? 1 << (shape.count - 2) : 0) | (b.rank == 1 ? 1 << (shape.count - 1) : 0)
  return try product.reshaped(final, .squeeze(mask: gone))
}

/// beta * c + alpha * (a @ b)
public func addmm(
  _ c: NDArray, _ a: NDArray, _ b: NDArray, alpha: Double = 1, beta: Double = 1
) throws(ArrayError) -> NDArray {
  var product = try matmul(a, b)
  guard try Shape.broadcast(c.shape, product.shape, op: "addmm") == product.shape else {
    throw .broadcast(op: "addmm", lhs: c.shape.array, rhs: product.shape.array)
  }
  if alpha != 1 {
    product = try multiply(product, NDArray.weak(.float(alpha), like: product.dtype))
  }
  let term = beta == 1 ? c : try multiply(c, NDArray.weak(.float(beta), like: c.dtype))
  return try add(term, product)
}

public func inner(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  if a.rank == 0 || b.rank == 0 { return try multiply(a, b) }
  return try tensordot(a, b, axesA: [-1], axesB: [-1])
}
public func outer(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  try multiply(expandDims(flatten(a), [1]), flatten(b))
}

/// Sums products over the given axes of both.
public func tensordot(_ a: NDArray, _ b: NDArray, axesA: [Int], axesB: [Int])
  throws(ArrayError) -> NDArray
{
  if let made = try Tracing.recorded(.tensordot(axesA, axesB), [a, b]) { return made[0] }
  guard axesA.count == axesB.count else {
    throw .argument(op: "tensordot", message: "both arrays need the same number of axes")
  }
  var (fromA, fromB): ([Int], [Int]) = ([], [])
  for i in axesA.indices {
    let (p, q) = (try a.axis(axesA[i], op: "tensordot"), try b.axis(axesB[i], op: "tensordot"))
    guard a.shape[p] == b.shape[q] else {
      throw .shapeMismatch(
        op: "tensordot", lhs: a.shape.array, rhs: b.shape.array,
        reason: "axis \(p) and axis \(q) differ")
    }
    fromA.append(p)
    fromB.append(q)
  }
  let restA = (0..<a.rank).filter { !fromA.contains($0) }
  let restB = (0..<b.rank).filter { !fromB.contains($0) }
  let k = fromA.reduce(1) { $0 &* a.shape[$1] }
  let m = restA.reduce(1) { $0 &* a.shape[$1] }
  let n = restB.reduce(1) { $0 &* b.shape[$1] }
  let x = try transpose(a, restA + fromA).reshaped([m, k] as Shape)
  let y = try transpose(b, fromB + restB).reshaped([k, n] as Shape)
  return try matmul(x, y).reshaped(
    Shape.checked(restA.map { a.shape[$0] } + restB.map { b.shape[$0] }, op: "tensordot"))
}
public func tensordot(_ a: NDArray, _ b: NDArray, axes: Int = 2) throws(ArrayError) -> NDArray {
  guard axes >= 0, axes <= a.rank, axes <= b.rank else {
    throw .argument(op: "tensordot", message: "axes must be between 0 and both ranks")
  }
  return try tensordot(
    a, b, axesA: Array((a.rank - axes)..<a.rank), axesB: Array(0..<axes))
}

public func kron(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  if let made = try Tracing.recorded(.kron, [a, b]) { return made[0] }
  if a.size == 0 || b.size == 0 { throw .empty(op: "kron", what: "the product") }
  let rank = Swift.max(a.rank, b.rank)
  let p = [Int](repeating: 1, count: rank - a.rank) + a.shape.array
  let q = [Int](repeating: 1, count: rank - b.rank) + b.shape.array
  var (left, right, final): ([Int], [Int], [Int]) = ([], [], [])
  for i in 0..<rank {
    left += [p[i], 1]
    right += [1, q[i]]
    final.append(p[i] &* q[i])
  }
  return try multiply(a.reshaped(left), b.reshaped(right)).reshaped(final)
}
