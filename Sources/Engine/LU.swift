// LU factorisations as results, and by what they are computed.
//
// Our own kernels (lu.h) factorise, solve and invert float32 and float64 on AVX2 and AVX-512. Elsewhere, and
// for complex numbers, LAPACK does it.

import COpenBLAS
import Kernels

// MARK: - LU

/// Outputs: L and U in one matrix, the exchanges of rows, the order of rows that they make.
struct LUFactors: MatrixMultiPrimitive, Codable {
  /// Asked for as they are (lu_factor), not as three matrices (lu).
  let isFactor: Bool
  var name: OperationName { isFactor ? "linalg.lu_factor" : "linalg.lu" }

  func evaluateMultiple(_ out: NDArray) throws(ArrayError) -> [NDArray] {
    let a = out.input(0)
    let (m, n, count) = (a.rows, a.columns, a.matrixCount)
    let k = Swift.min(m, n)
    let factors = try a.columnMajorCopy()
    var batch = Shape(a.shape.prefix(a.rank - 2))
    batch.append(k)
    let pivots = try NDArray(uninitialized: batch, dtype: .uint32)
    batch[batch.count - 1] = m
    let order = try NDArray(uninitialized: batch, dtype: .uint32)
    let letter = LinearAlgebra.letter(a.dtype)
    let (p, rows) = (pivots.pointer(as: Int32.self), order.pointer(as: UInt32.self))
    // A zero pivot is a result like any other.
    if a.size > 0 && LUKernels.take(a.dtype) && LUKernels.isCompact(m, n, a.dtype) {
      _ = try LUKernels.forEach(count, rows: m, columns: n, a.dtype) { i, lu in
        LUKernels.factorise(lu, factors.matrix(i), p + i * k)
        return 0
      }
    } else if a.size > 0 {
      _ = try LinearAlgebra.forEach(name, count, side: k) {
        let own = pivots.pointer(as: Int32.self) + $0 * k
        let info = lull_getrf(letter, Int32(m), Int32(n), factors.matrix($0), own)
        return info > 0 ? 0 : info
      }
    }
    for i in 0..<count {
      let (own, line) = (p + i * k, rows + i * m)
      for j in 0..<m { line[j] = UInt32(j) }
      for j in stride(from: k - 1, through: 0, by: -1) {
        own[j] -= 1
        let other = Int(own[j])
        (line[j], line[other]) = (line[other], line[j])
      }
    }
    return [factors.exchanged, pivots, order]
  }
  /// With the matrix in the order of its rows exchanged, cut where the shorter side ends: L = [L1; L2], U = [U1, U2].
  func vjpMultiple(_ out: NDArray, _ cotangents: [NDArray?]) throws(ArrayError) -> [NDArray?] {
    let a = out.input(0)
    guard let g = cotangents[0] else { return [try NDArray.zeros(like: a)] }
    let (m, n) = (a.rows, a.columns)
    let k = Swift.min(m, n)
    let parts = try factors(a, isFactor: isFactor)
    func part(_ x: NDArray, _ rows: Range<Int>, _ columns: Range<Int>) throws(ArrayError) -> NDArray
    {
      try slice(
        slice(x, axis: x.rank - 2, from: rows.lowerBound, to: rows.upperBound), axis: x.rank - 1,
        from: columns.lowerBound, to: columns.upperBound)
    }
    let (square, gSquare) = (try part(parts[0], 0..<k, 0..<k), try part(g, 0..<k, 0..<k))
    let u = try triu(square)
    let l = try add(tril(square, k: -1), NDArray.eye(k, dtype: a.dtype))
    let (lt, ut) = (try l.transposed, try u.transposed)
    // tril(L^T gL) below the diagonal, triu(gU U^T) on and above it.
    var low = try matmul(lt, tril(gSquare, k: -1))
    var high = try matmul(triu(gSquare), ut)
    var (right, below): (NDArray?, NDArray?)
    if n > k {
      let (u2, g2) = (try part(parts[0], 0..<k, k..<n), try part(g, 0..<k, k..<n))
      low = try subtract(low, matmul(g2, u2.transposed))
      right = try solveTriangular(lt, g2, upper: true)
    }
    if m > k {
      let (l2, g2) = (try part(parts[0], k..<m, 0..<k), try part(g, k..<m, 0..<k))
      high = try subtract(high, matmul(l2.transposed, g2))
      below = try solveTriangular(u, g2.transposed, upper: true).transposed
    }
    let inner = try add(tril(low, k: -1), triu(high))
    let left = try solveTriangular(lt, inner, upper: true)
    var whole = try solveTriangular(u, left.transposed, upper: true).transposed
    if let right { whole = try concatenate([whole, right], axis: a.rank - 1) }
    if let below { whole = try concatenate([whole, below], axis: a.rank - 2) }
    // The rows back in the order of the matrix.
    return [try takeAlongAxis(whole, stopGradient(expandDims(parts[2], [-1])), axis: -2)]
  }
  func rebuildMultiple(_ inputs: [NDArray], like old: [NodeShape]) throws(ArrayError) -> [NDArray] {
    try factors(inputs[0], isFactor: isFactor)
  }
}

private func factors(_ a: NDArray, isFactor: Bool) throws(ArrayError) -> [NDArray] {
  let primitive = LUFactors(isFactor: isFactor)
  try LinearAlgebra.check(a, primitive.name, square: false)
  var pivots = Shape(a.shape.prefix(a.rank - 2))
  pivots.append(Swift.min(a.rows, a.columns))
  return NDArray.outputs(
    of: primitive, shapes: [a.shape, pivots, Shape(a.shape.prefix(a.rank - 1))],
    dtypes: [a.dtype, .uint32, .uint32], inputs: [a])
}
/// The order of rows, L and U: L[order] @ U is the matrix.
public func lu(_ a: NDArray) throws(ArrayError) -> (order: NDArray, l: NDArray, u: NDArray) {
  if let made = try Tracing.recorded(.lu, [a]) { return (made[0], made[1], made[2]) }
  let parts = try factors(a, isFactor: false)
  let (m, n) = (a.rows, a.columns)
  let k = Swift.min(m, n)
  let l = try slice(tril(parts[0], k: -1), axis: a.rank - 1, from: 0, to: k)
  let u = try slice(triu(parts[0]), axis: a.rank - 2, from: 0, to: k)
  return (parts[2], try add(l, NDArray.eye(m, k, dtype: a.dtype)), u)
}
/// L and U in one matrix, and the rows exchanged at each step.
public func luFactor(_ a: NDArray) throws(ArrayError) -> (lu: NDArray, pivots: NDArray) {
  let parts = try factors(a, isFactor: true)
  return (parts[0], parts[1])
}

// MARK: - Our own kernels

enum LUKernels {
  static func take(_ dtype: DType) -> Bool {
    lull_lu_works() != 0 && (dtype == .float32 || dtype == .float64)
  }

  /// Whether a workspace is small beside the matrix: of a long and narrow one it would be many times as large.
  static func isCompact(_ rows: Int, _ columns: Int, _ dtype: DType) -> Bool {
    let bytes = lull_lu_bytes(dtype == .float64 ? 1 : 0, Int64(rows), Int64(columns), 1)
    return bytes < 1 << 20 || bytes / 8 < Int64(rows * columns * dtype.byteCount)
  }

  /// Calls `body` for each of `count` matrices, with a workspace for a factorisation of `rows` x `columns`
  /// (of a row-major matrix's transpose, see lu.h). Few matrices are done one after the other, by all threads;
  /// many by one thread each. The first that gives something else than 0 is returned, with what it gave.
  static func forEach(
    _ count: Int, rows: Int, columns: Int, _ dtype: DType,
    _ body: (Int, UnsafeMutablePointer<LullLU>) -> Int32
  ) throws(ArrayError) -> (matrix: Int, info: Int32)? {
    let isDouble: Int32 = dtype == .float64 ? 1 : 0
    let (m, n) = (Int64(rows), Int64(columns))
    let threads = Int(lull_thread_count())
    let operations =
      Double(count) * Double(rows) * Double(columns) * Double(Swift.min(rows, columns))
    let isShared = count >= threads && threads > 1 && operations > 50_000
    let each = (Int(lull_lu_bytes(isDouble, m, n, isShared ? 1 : Int32(threads))) + 63) & ~63
    let memory = try Buffer(byteCount: each * (isShared ? threads : 1))
    let pointer = memory.pointer
    func run(_ i: Int, _ place: Int, _ threads: Int32) -> Int32 {
      var lu = LullLU()
      lull_lu_open(&lu, isDouble, m, n, threads, pointer + place * each)
      return body(i, &lu)
    }
    var failures = [Int32](repeating: 0, count: count)
    failures.withUnsafeMutableBufferPointer { failures in
      guard let failed = failures.baseAddress else { return }
      if isShared {
        parallelFor(count) { i, worker in failed[i] = run(i, worker, 1) }
      } else {
        for i in 0..<count where lull_interrupt_raised() == 0 {
          failed[i] = run(i, 0, Int32(threads))
        }
      }
    }
    withExtendedLifetime(memory) {}
    if lull_interrupt_raised() != 0 { throw .interrupted }
    guard let i = failures.firstIndex(where: { $0 != 0 }) else { return nil }
    return (i, failures[i])
  }

  /// The same for one triangle of each matrix of `x` (row-major), which `body` finds loaded. A zero on a
  /// diagonal is a failure: its row, from 1.
  static func forEachTriangle(
    _ x: NDArray, _ body: (Int, UnsafeMutablePointer<LullLU>) -> Void
  ) throws(ArrayError) -> (matrix: Int, info: Int32)? {
    let n = x.columns
    return try forEach(x.matrixCount, rows: n, columns: n, x.dtype) { i, lu in
      let row = zeroOnDiagonal(x.matrix(i), n, x.dtype)
      if row > 0 { return row }
      lull_triangle_load(lu, x.matrix(i))
      body(i, lu)
      return 0
    }
  }

  /// The row of the first zero on the diagonal of a row-major matrix, from 1; 0 if there is none.
  static func zeroOnDiagonal(_ x: UnsafeMutableRawPointer, _ n: Int, _ dtype: DType) -> Int32 {
    for row in 0..<n {
      let place = row * (n + 1)
      let d =
        dtype == .float64
        ? x.assumingMemoryBound(to: Double.self)[place]
        : Double(x.assumingMemoryBound(to: Float.self)[place])
      if d == 0 { return Int32(row + 1) }
    }
    return 0
  }

  /// Factorises in place; the pivots count from 1.
  static func factorise(
    _ lu: UnsafeMutablePointer<LullLU>, _ x: UnsafeMutableRawPointer,
    _ pivots: UnsafeMutablePointer<Int32>
  ) {
    lull_lu_factorise(lu, x)
    lull_lu_store(lu, x)
    for i in 0..<Int(Swift.min(lu.pointee.m, lu.pointee.n)) {
      pivots[i] = lu.pointee.pivots[i] + 1
    }
  }
}
