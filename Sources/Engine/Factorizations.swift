// Cholesky and QR factorisations, inverses, solving, determinants. LU.swift has LU.

import COpenBLAS
#if canImport(Glibc)
  import Glibc
#endif
import Kernels

/// One triangle of each matrix, zero elsewhere.
private func triangle(_ x: NDArray, upper: Bool) throws(ArrayError) -> NDArray {
  try upper ? triu(x) : tril(x)
}

/// Clears the other triangle of an evaluated row-major array.
private func clear(_ x: NDArray, keepingUpper: Bool) {
  let n = x.columns
  let width = x.dtype.byteCount
  for i in 0..<x.matrixCount {
    for row in 0..<n {
      let line = x.matrix(i) + row * n * width
      if keepingUpper {
        line.initializeMemory(as: UInt8.self, repeating: 0, count: row * width)
      } else {
        (line + (row + 1) * width).initializeMemory(
          as: UInt8.self, repeating: 0, count: (n - row - 1) * width)
      }
    }
  }
}

// MARK: - Cholesky

struct Cholesky: MatrixPrimitive, Codable {
  let upper: Bool
  var name: OperationName { "linalg.cholesky" }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    let factor = try out.input(0).ownCopy()
    let (n, letter) = (out.columns, LinearAlgebra.letter(out.dtype))
    if out.size > 0 {
      let failure = try LinearAlgebra.forEach(name, out.matrixCount, side: n, threadsFrom: 256) {
        lull_potrf(letter, upper ? 1 : 0, Int32(n), factor.matrix($0))
      }
      if let (i, minor) = failure {
        throw .argument(
          op: name,
          message: LinearAlgebra.which(i, of: out.matrixCount) + " is not positive definite: "
            + "its leading \(minor) x \(minor) part is not")
      }
      clear(factor, keepingUpper: upper)
    }
    out.share(factor, strides: factor.strides)
  }

  /// The matrix counts as symmetric: the gradient is.
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    let l = try upper ? out.transposed : out
    let g = try upper ? cotangent.transposed : cotangent
    let lt = try l.transposed
    // The lower triangle of L^T G with half its diagonal.
    let half = try NDArray.weak(.float(0.5), like: out.dtype)
    let product = try matmul(lt, tril(g))
    let inner = try subtract(
      tril(product), multiply(half, multiply(product, NDArray.eye(out.rows, dtype: out.dtype))))
    let right = try solveTriangular(lt, inner, upper: true)  // L^-T P
    let both = try solveTriangular(lt, right.transposed, upper: true).transposed  // L^-T P L^-1
    return [try multiply(half, add(both, both.transposed))]
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    try cholesky(inputs[0], upper: upper)
  }
}

/// The triangular factor L of a = L L^T, or U of a = U^T U.
public func cholesky(_ a: NDArray, upper: Bool = false) throws(ArrayError) -> NDArray {
  try LinearAlgebra.check(a, "linalg.cholesky")
  return NDArray(Cholesky(upper: upper), shape: a.shape, dtype: a.dtype, a)
}

/// The inverse of a matrix out of its Cholesky factor.
public func choleskyInverse(_ factor: NDArray, upper: Bool = false) throws(ArrayError) -> NDArray {
  try LinearAlgebra.check(factor, "linalg.cholesky_inv")
  let inverse = try triangularInverse(factor, upper: upper)
  let other = try inverse.transposed
  return try upper ? matmul(inverse, other) : matmul(other, inverse)
}

// MARK: - Inverses

struct Inverse: MatrixPrimitive, Codable {
  var name: OperationName { "linalg.inv" }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    let (n, count) = (out.columns, out.matrixCount)
    func singular(_ i: Int) -> ArrayError {
      .argument(
        op: name, message: LinearAlgebra.which(i, of: count) + " is singular: it has no inverse")
    }
    if LUKernels.take(out.dtype) {
      let a = try out.input(0).rowContiguous()
      try out.allocate()
      if out.size == 0 { return }
      let failure = try LUKernels.forEach(count, rows: n, columns: n, out.dtype) { i, lu in
        lull_lu_factorise(lu, a.matrix(i))
        if lu.pointee.singular != 0 { return 1 }
        lull_lu_invert(lu, out.matrix(i))
        return 0
      }
      if let (i, _) = failure { throw singular(i) }
      return
    }
    let result = try out.input(0).ownCopy()
    if out.size > 0 {
      let letter = LinearAlgebra.letter(out.dtype)
      let pivots = try Buffer(byteCount: count * n * 4)
      let failure = try LinearAlgebra.forEach(name, count, side: n, threadsFrom: 256) {
        lull_inverse(letter, Int32(n), result.matrix($0), pivots.integers + $0 * n)
      }
      withExtendedLifetime(pivots) {}
      if let (i, _) = failure { throw singular(i) }
    }
    out.share(result, strides: result.strides)
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    let t = conjugate(try out.transposed)
    return [try negative(matmul(t, matmul(cotangent, t)))]
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    try inverse(inputs[0])
  }
}

struct TriangularInverse: MatrixPrimitive, Codable {
  let upper: Bool
  var name: OperationName { "linalg.tri_inv" }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    let result = try out.input(0).ownCopy()
    let (n, letter) = (out.columns, LinearAlgebra.letter(out.dtype))
    if out.size > 0 {
      let failure: (matrix: Int, info: Int32)?
      if LUKernels.take(out.dtype) {
        failure = try LUKernels.forEachTriangle(result) { i, lu in
          lull_triangle_solve(lu, upper ? 1 : 0, Int64(n), nil, result.matrix(i))
        }
      } else {
        failure = try LinearAlgebra.forEach(name, out.matrixCount, side: n, threadsFrom: 256) {
          lull_tri_inverse(letter, upper ? 1 : 0, Int32(n), result.matrix($0))
        }
      }
      if let (i, row) = failure {
        throw .argument(
          op: name,
          message: LinearAlgebra.which(i, of: out.matrixCount)
            + " is singular: entry \(row - 1) of its diagonal is zero")
      }
      clear(result, keepingUpper: upper)
    }
    out.share(result, strides: result.strides)
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    let t = try out.transposed
    let g = try triangle(cotangent, upper: upper)
    return [try triangle(negative(matmul(t, matmul(g, t))), upper: upper)]
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    try triangularInverse(inputs[0], upper: upper)
  }
}

public func inverse(_ a: NDArray) throws(ArrayError) -> NDArray {
  try LinearAlgebra.check(a, "linalg.inv", complex: true)
  return NDArray(Inverse(), shape: a.shape, dtype: a.dtype, a)
}
/// The inverse of a triangle of a matrix; the other triangle is not looked at.
public func triangularInverse(_ a: NDArray, upper: Bool = false) throws(ArrayError) -> NDArray {
  try LinearAlgebra.check(a, "linalg.tri_inv")
  return NDArray(TriangularInverse(upper: upper), shape: a.shape, dtype: a.dtype, a)
}

// MARK: - Solving

/// X of A X = B, A being used whole (`triangle` nil) or one triangle of it. The batches are equal.
struct Solve: MatrixPrimitive, Codable {
  enum Triangle: String, Codable { case lower, upper }
  let triangle: Triangle?
  var name: OperationName { triangle == nil ? "linalg.solve" : "linalg.solve_triangular" }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    let (a, b) = (out.input(0), out.input(1))
    let (n, k, count) = (out.rows, out.columns, out.matrixCount)
    if out.size == 0 { return try out.allocate() }
    let letter = LinearAlgebra.letter(out.dtype)
    if LUKernels.take(out.dtype) { return try solveByPanels(out) }
    guard let triangle else {
      let factors = try a.ownCopy()
      let columns = try b.columnMajorCopy()
      let pivots = try Buffer(byteCount: count * n * 4)
      let failure = try LinearAlgebra.forEach(name, count, side: n, threadsFrom: 256) {
        lull_solve(
          letter, Int32(n), Int32(k), factors.matrix($0), pivots.integers + $0 * n,
          columns.matrix($0))
      }
      withExtendedLifetime((factors, pivots)) {}
      if let (i, _) = failure { throw singular(i, count, "its columns depend on each other") }
      out.share(columns, strides: columns.exchanged.strides)
      return
    }
    let matrices = try a.rowContiguous()
    let result = try b.ownCopy()
    let failure = try LinearAlgebra.forEach(name, count, side: n, threadsFrom: 256) { i in
      let m = matrices.matrix(i)
      let row = LUKernels.zeroOnDiagonal(m, n, out.dtype)
      if row > 0 { return row }
      lull_solve_triangular(
        letter, triangle == .upper ? 1 : 0, Int32(n), Int32(k), m, result.matrix(i))
      return 0
    }
    if let (i, row) = failure {
      throw singular(i, count, "entry \(row - 1) of its diagonal is zero")
    }
    out.share(result, strides: result.strides)
  }

  /// By our own kernels.
  private func solveByPanels(_ out: NDArray) throws(ArrayError) {
    let (a, b) = (try out.input(0).rowContiguous(), try out.input(1).rowContiguous())
    let (n, k, count) = (out.rows, Int64(out.columns), out.matrixCount)
    try out.allocate()
    if let triangle {
      let failure = try LUKernels.forEachTriangle(a) { i, lu in
        lull_triangle_solve(lu, triangle == .upper ? 1 : 0, k, b.matrix(i), out.matrix(i))
      }
      if let (i, row) = failure {
        throw singular(i, count, "entry \(row - 1) of its diagonal is zero")
      }
      return
    }
    let failure = try LUKernels.forEach(count, rows: n, columns: n, out.dtype) { i, lu in
      lull_lu_factorise(lu, a.matrix(i))
      if lu.pointee.singular != 0 { return 1 }
      lull_lu_solve(lu, k, b.matrix(i), out.matrix(i))
      return 0
    }
    if let (i, _) = failure { throw singular(i, count, "its columns depend on each other") }
  }

  private func singular(_ i: Int, _ count: Int, _ why: String) -> ArrayError {
    .argument(op: name, message: LinearAlgebra.which(i, of: count) + " is singular: \(why)")
  }

  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    let t = conjugate(try out.input(0).transposed)
    let turned: Triangle? = triangle.map { $0 == .lower ? .upper : .lower }
    let b = NDArray(
      Solve(triangle: turned), shape: cotangent.shape, dtype: out.dtype, t, cotangent)
    var a = try negative(matmul(b, conjugate(out.transposed)))
    if let triangle { a = try Engine.triangle(a, upper: triangle == .upper) }
    return [a, b]
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    guard let triangle else { return try solve(inputs[0], inputs[1]) }
    return try solveTriangular(inputs[0], inputs[1], upper: triangle == .upper)
  }
}

private func solve(_ a: NDArray, _ b: NDArray, _ triangle: Solve.Triangle?, _ op: OperationName)
  throws(ArrayError) -> NDArray
{
  guard a.rank >= 2 else {
    throw .rank(op: op, shape: a.shape.array, needed: "matrices as its first argument")
  }
  guard a.rows == a.columns else {
    throw .rank(op: op, shape: a.shape.array, needed: "square matrices as its first argument")
  }
  guard b.rank >= 1 else {
    throw .rank(op: op, shape: [], needed: "vectors or matrices as its second argument")
  }
  let isVector = b.rank == 1
  let rows = isVector ? b.shape[0] : b.rows
  guard rows == a.columns else {
    throw .shapeMismatch(
      op: op, lhs: a.shape.array, rhs: b.shape.array,
      reason: "\(a.columns) unknowns need \(a.columns) "
        + (isVector ? "values" : "rows") + " on the right, not \(rows)")
  }
  let dtype = DType.promoted(a.dtype, b.dtype)
  guard dtype == .float32 || dtype == .float64 || (dtype.isComplex && triangle == nil) else {
    throw .argument(
      op: op,
      message:
        "needs arrays that meet in float32 or float64\(triangle == nil ? " or complex64" : ""), not \(a.dtype.name) and "
        + b.dtype.name)
  }
  try LinearAlgebra.check(a.astype(dtype), op, complex: triangle == nil)
  let right = try isVector ? b.reshaped([rows, 1] as Shape) : b
  let batch = try Shape.broadcast(
    Shape(a.shape.prefix(a.rank - 2)), Shape(right.shape.prefix(right.rank - 2)), op: op)
  let left = try a.astype(dtype).broadcast(
    to: Shape.checked(batch.array + [a.rows, a.columns], op: op))
  let values = try right.astype(dtype).broadcast(
    to: Shape.checked(batch.array + [rows, right.columns], op: op))
  guard right.columns < 1 << 31 else { throw .tooLarge(op: op, shape: b.shape.array) }
  let result = NDArray(Solve(triangle: triangle), shape: values.shape, dtype: dtype, left, values)
  return try isVector ? squeeze(result, [-1]) : result
}
public func solve(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
  try solve(a, b, nil, "linalg.solve")
}
public func solveTriangular(_ a: NDArray, _ b: NDArray, upper: Bool = false) throws(ArrayError)
  -> NDArray
{
  try solve(a, b, upper ? .upper : .lower, "linalg.solve_triangular")
}

// MARK: - Determinants

/// The sign of the determinant and the logarithm of its absolute value.
struct SignLogDeterminant: MatrixMultiPrimitive, Codable {
  var name: OperationName { "linalg.slogdet" }

  func evaluateMultiple(_ out: NDArray) throws(ArrayError) -> [NDArray] {
    let a = out.input(0)
    let (n, count) = (a.columns, a.matrixCount)
    let batch = Shape(a.shape.prefix(a.rank - 2))
    let signs = try NDArray(uninitialized: batch, dtype: a.dtype)
    let logs = try NDArray(uninitialized: batch, dtype: a.dtype)
    let factors = try a.ownCopy()
    let letter = LinearAlgebra.letter(a.dtype)
    let pivots = try Buffer(byteCount: Swift.max(count * n, 1) * 4)
    let p = pivots.pointer.assumingMemoryBound(to: Int32.self)
    let isDouble = a.dtype == .float64
    if n > 0 && LUKernels.take(a.dtype) {
      _ = try LUKernels.forEach(count, rows: n, columns: n, a.dtype) { i, lu in
        LUKernels.factorise(lu, factors.matrix(i), p + i * n)
        return 0
      }
    } else if n > 0 {
      _ = try LinearAlgebra.forEach(name, count, side: n, threadsFrom: 256) {
        let info = lull_getrf(
          letter, Int32(n), Int32(n), factors.matrix($0), pivots.integers + $0 * n)
        return info > 0 ? 0 : info
      }
    }
    for i in 0..<count {
      let own = p + i * n
      var (sign, log) = (1.0, 0.0)
      for j in 0..<n {
        let d =
          isDouble
          ? factors.matrix(i).assumingMemoryBound(to: Double.self)[j * (n + 1)]
          : Double(factors.matrix(i).assumingMemoryBound(to: Float.self)[j * (n + 1)])
        if Int(own[j]) != j + 1 { sign = -sign }
        if d < 0 { sign = -sign }
        if d == 0 { sign = 0 }
        log += Glibc.log(d.magnitude)
      }
      if isDouble {
        signs.pointer(as: Double.self)[i] = sign
        logs.pointer(as: Double.self)[i] = log
      } else {
        signs.pointer(as: Float.self)[i] = Float(sign)
        logs.pointer(as: Float.self)[i] = Float(log)
      }
    }
    withExtendedLifetime((factors, pivots)) {}
    return [signs, logs]
  }

  func vjpMultiple(_ out: NDArray, _ cotangents: [NDArray?]) throws(ArrayError) -> [NDArray?] {
    guard let g = cotangents[1] else {
      return [try NDArray.zeros(out.input(0).shape, dtype: out.input(0).dtype)]
    }
    return [try multiply(expandDims(g, [-2, -1]), inverse(out.input(0)).transposed)]
  }
  func rebuildMultiple(_ inputs: [NDArray], like old: [NodeShape]) throws(ArrayError) -> [NDArray] {
    let parts = try slogdet(inputs[0])
    return [parts.sign, parts.log]
  }
}

private func determinantInput(_ a: NDArray, _ op: OperationName) throws(ArrayError) -> NDArray {
  if a.dtype.isComplex {
    throw .argument(op: op, message: "complex matrices are not supported")
  }
  let x = a.astype(a.dtype == .float64 ? .float64 : .float32)
  try LinearAlgebra.check(x, op)
  return x
}

public func slogdet(_ a: NDArray) throws(ArrayError) -> (sign: NDArray, log: NDArray) {
  let x = try determinantInput(a, "linalg.slogdet")
  let batch = Shape(x.shape.prefix(x.rank - 2))
  let parts = NDArray.outputs(
    of: SignLogDeterminant(), shapes: [batch, batch], dtypes: [x.dtype, x.dtype], inputs: [x])
  let dtype = a.dtype.inexact
  return (parts[0].astype(dtype), parts[1].astype(dtype))
}

/// The product of the pivots.
struct Determinant: MatrixPrimitive, Codable {
  var name: OperationName { "linalg.det" }
  func evaluate(_ out: NDArray) throws(ArrayError) {
    let parts = try slogdet(out.input(0))
    let result = try multiply(parts.sign, exp(parts.log))
    try result.eval()
    out.share(result, strides: result.strides)
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    let a = out.input(0)
    let minors = NDArray(Cofactors(), shape: a.shape, dtype: a.dtype, a)
    return [try multiply(expandDims(cotangent, [-2, -1]), minors)]
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    try determinant(inputs[0])
  }
}

/// The gradient of the determinant, which singular matrices have too: out of U diag(s) V^T it is
/// det(U) det(V) U diag(products of the other values) V^T.
struct Cofactors: MatrixPrimitive, Codable {
  var name: OperationName { "linalg.det" }
  func evaluate(_ out: NDArray) throws(ArrayError) {
    let a = out.input(0)
    let (u, s, vt) = try svd(a)
    let n = a.columns
    // others[i] = the product of all s but s[i]: of those before it and those after it.
    let one = try NDArray.ones(Shape(s.shape.dropLast() + [1]), dtype: s.dtype)
    let axis = s.rank - 1
    let before = try slice(
      cumprod(concatenate([one, s], axis: axis), axis: axis), axis: axis, from: 0, to: n)
    let after = try slice(
      cumprod(concatenate([s, one], axis: axis), axis: axis, reverse: true), axis: axis, from: 1,
      to: n + 1)
    let others = try multiply(before, after)
    let sign = try multiply(slogdet(u).sign, slogdet(vt).sign)
    let scaled = try multiply(u, expandDims(multiply(others, expandDims(sign, [-1])), [-2]))
    let result = try matmul(scaled, vt)
    try result.eval()
    out.share(result, strides: result.strides)
  }
  /// With C = det(A) A^-T: (<G, C> C - C G^T C) / det(A).
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    let a = out.input(0)
    let inverseT = try inverse(a).transposed
    let along = try sum(multiply(cotangent, out), axes: [-2, -1], keepdims: true)
    return [
      try subtract(multiply(along, inverseT), matmul(out, matmul(cotangent.transposed, inverseT)))
    ]
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    try LinearAlgebra.check(inputs[0], name)
    return NDArray(Cofactors(), shape: inputs[0].shape, dtype: inputs[0].dtype, inputs[0])
  }
}

/// Up to 3 x 3 by products, which are exact for small integers and have a gradient where the
/// matrix is singular too; the others by their LU factors.
public func determinant(_ a: NDArray) throws(ArrayError) -> NDArray {
  let x = try determinantInput(a, "linalg.det")
  let n = x.columns
  func element(_ i: Int, _ j: Int) throws(ArrayError) -> NDArray {
    try squeeze(
      slice(slice(x, axis: x.rank - 2, from: i, to: i + 1), axis: x.rank - 1, from: j, to: j + 1),
      [-2, -1])
  }
  func minor(_ i: Int, _ j: Int, _ k: Int, _ l: Int) throws(ArrayError) -> NDArray {
    try subtract(
      multiply(element(i, k), element(j, l)), multiply(element(i, l), element(j, k)))
  }
  let result: NDArray
  switch n {
  case 0: result = try NDArray.ones(Shape(x.shape.prefix(x.rank - 2)), dtype: x.dtype)
  case 1: result = try element(0, 0)
  case 2: result = try minor(0, 1, 0, 1)
  case 3:
    result = try add(
      subtract(
        multiply(element(0, 0), minor(1, 2, 1, 2)), multiply(element(0, 1), minor(1, 2, 0, 2))),
      multiply(element(0, 2), minor(1, 2, 0, 1)))
  default:
    result = NDArray(
      Determinant(), shape: Shape(x.shape.prefix(x.rank - 2)), dtype: x.dtype, x)
  }
  return result.astype(a.dtype.inexact)
}

// MARK: - QR

struct QR: MatrixMultiPrimitive, Codable {
  var name: OperationName { "linalg.qr" }

  func evaluateMultiple(_ out: NDArray) throws(ArrayError) -> [NDArray] {
    let a = out.input(0)
    let (m, n, count) = (a.rows, a.columns, a.matrixCount)
    let k = Swift.min(m, n)
    let work = try a.columnMajorCopy()  // [n, m] in memory
    var shape = a.shape
    (shape[a.rank - 2], shape[a.rank - 1]) = (n, k)
    let r = try NDArray(uninitialized: shape, dtype: a.dtype)
    if a.size > 0 {
      let letter = LinearAlgebra.letter(a.dtype)
      let failure = try LinearAlgebra.forEach(name, count, side: k) {
        lull_qr(letter, Int32(m), Int32(n), work.matrix($0), r.matrix($0))
      }
      if let (i, info) = failure {
        throw .internal("LAPACK's qr of matrix \(i) says \(info)")
      }
    }
    shape = a.shape
    shape[a.rank - 1] = k
    // The strides are those of all n columns.
    let q = NDArray(
      buffer: work.memory, shape: shape, strides: work.exchanged.strides, dtype: a.dtype)
    return [q, r.exchanged]
  }

  func vjpMultiple(_ out: NDArray, _ cotangents: [NDArray?]) throws(ArrayError) -> [NDArray?] {
    let a = out.input(0)
    guard a.rows >= a.columns else {
      throw .notDifferentiable(op: name, reason: "the matrix has more columns than rows")
    }
    let (q, r) = try qr(a)
    let gq = try orZero(cotangents[0], like: q)
    let gr = try orZero(cotangents[1], like: r)
    let m = try subtract(matmul(r, gr.transposed), matmul(gq.transposed, q))
    // The lower triangle, mirrored.
    let mirrored = try add(tril(m), tril(m, k: -1).transposed)
    let left = try add(gq, matmul(q, mirrored))
    return [try solveTriangular(r, left.transposed, upper: true).transposed]
  }
  func rebuildMultiple(_ inputs: [NDArray], like old: [NodeShape]) throws(ArrayError) -> [NDArray] {
    let parts = try qr(inputs[0])
    return [parts.q, parts.r]
  }
}

/// Q with orthonormal columns and the upper triangle R: a = Q R.
public func qr(_ a: NDArray) throws(ArrayError) -> (q: NDArray, r: NDArray) {
  try LinearAlgebra.check(a, "linalg.qr", square: false)
  let k = Swift.min(a.rows, a.columns)
  var (q, r) = (a.shape, a.shape)
  q[a.rank - 1] = k
  r[a.rank - 2] = k
  let parts = NDArray.outputs(
    of: QR(), shapes: [q, r], dtypes: [a.dtype, a.dtype], inputs: [a])
  return (parts[0], parts[1])
}

extension Buffer {
  /// Its bytes as 32-bit integers.
  fileprivate var integers: UnsafeMutablePointer<Int32> {
    pointer.assumingMemoryBound(to: Int32.self)
  }
}
