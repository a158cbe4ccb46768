// Singular values and eigenvalues: svd, pinv, eigh, eig.

import COpenBLAS
import Kernels

/// The diagonal matrices of vectors times a matrix: rows scaled.
private func scaledRows(_ scale: NDArray, _ x: NDArray) throws(ArrayError) -> NDArray {
  try multiply(expandDims(scale, [-1]), x)
}
private func scaledColumns(_ x: NDArray, _ scale: NDArray) throws(ArrayError) -> NDArray {
  try multiply(x, expandDims(scale, [-2]))
}

/// The first matrix of an evaluated batch that holds NaN or infinity.
private func firstNotFinite(_ a: NDArray) throws(ArrayError) -> Int? {
  let finite = try all(isfinite(a), axes: [-1, -2])
  try finite.eval()
  let flags = try finite.rowContiguous().pointer(as: UInt8.self)
  return (0..<a.matrixCount).first { flags[$0] == 0 }
}

/// The conjugate of the transposed last two dimensions.
private func adjoint(_ x: NDArray) throws(ArrayError) -> NDArray { conjugate(try x.transposed) }

// MARK: - Singular values

/// Outputs: U, S, V transposed; or S alone.
struct SVD: MatrixMultiPrimitive, Codable {
  /// Which vectors: none, as many as there are values, all.
  enum Vectors: String, Codable { case none, thin, full }
  let vectors: Vectors
  var name: OperationName { "linalg.svd" }

  func evaluateMultiple(_ out: NDArray) throws(ArrayError) -> [NDArray] {
    let a = out.input(0)
    let (m, n, count) = (a.rows, a.columns, a.matrixCount)
    let shapes = SVD.shapes(a, vectors)
    let values = try NDArray(uninitialized: shapes.s, dtype: a.dtype.realPart)
    if a.size == 0 {
      // No singular values: any orthonormal bases do.
      if vectors == .none { return [values] }
      let pair = [
        try NDArray.eye(m, shapes.u.last ?? 0, dtype: a.dtype).broadcast(to: shapes.u),
        try NDArray.eye(shapes.vt[a.rank - 2], n, dtype: a.dtype).broadcast(to: shapes.vt),
      ]
      try evaluate(pair)
      return [pair[0], values, pair[1]]
    }
    if let i = try firstNotFinite(a) {
      throw .argument(
        op: name,
        message: LinearAlgebra.which(i, of: count)
          + " has no decomposition: it holds NaN or infinity")
    }
    let work = try a.ownCopy()
    var (u, vt): (NDArray?, NDArray?)
    if vectors != .none {
      u = try NDArray(uninitialized: shapes.u, dtype: a.dtype)
      vt = try NDArray(uninitialized: shapes.vt, dtype: a.dtype)
    }
    let k = Swift.min(m, n)
    let letter = LinearAlgebra.letter(a.dtype)
    let step = k * values.dtype.byteCount
    let failure = try LinearAlgebra.forEach(name, count, side: k) { [u, vt] in
      lull_svd(
        letter, vectors == .thin ? 1 : 0, Int32(m), Int32(n), work.matrix($0),
        values.pointer + $0 * step, u?.matrix($0), vt?.matrix($0))
    }
    if let (i, info) = failure {
      let why = info < 0 ? "it holds NaN or infinity" : "the iteration did not converge"
      throw .argument(
        op: name, message: LinearAlgebra.which(i, of: count) + " has no decomposition: \(why)")
    }
    if let u, let vt { return [u, values, vt] }
    return [values]
  }

  static func shapes(_ a: NDArray, _ vectors: Vectors) -> (u: Shape, s: Shape, vt: Shape) {
    let k = Swift.min(a.rows, a.columns)
    var (u, vt) = (a.shape, a.shape)
    u[a.rank - 1] = vectors == .full ? a.rows : k
    vt[a.rank - 2] = vectors == .full ? a.columns : k
    var s = Shape(a.shape.prefix(a.rank - 2))
    s.append(k)
    return (u, s, vt)
  }

  func vjpMultiple(_ out: NDArray, _ cotangents: [NDArray?]) throws(ArrayError) -> [NDArray?] {
    let a = out.input(0)
    let (u, s, vt) = try svd(a, .thin)
    if a.dtype.isComplex {
      guard vectors == .none || (cotangents[0] == nil && cotangents[2] == nil) else {
        throw .notDifferentiable(
          op: name,
          reason:
            "the singular vectors of a complex matrix are not unique; its singular values have a gradient"
        )
      }
      let g = try orZero(cotangents[vectors == .none ? 0 : 1], like: s).astype(a.dtype)
      return [try matmul(scaledColumns(u, g), vt)]
    }
    if vectors == .none {
      return [try matmul(scaledColumns(u, orZero(cotangents[0], like: s)), vt)]
    }
    let gs = try orZero(cotangents[1], like: s)
    if cotangents[0] == nil && cotangents[2] == nil {
      return [try matmul(scaledColumns(u, gs), vt)]
    }
    guard vectors == .thin || a.rows == a.columns else {
      throw .notDifferentiable(
        op: name,
        reason: "the vectors of a matrix that is not square are not unique; "
          + "the singular values have a gradient")
    }
    // U (sym(F o U^T gU) S + S sym(F o V^T gV) + diag(gs)) V^T with F = 1 / (s_j^2 - s_i^2),
    // and the parts of gU and gV outside the ranges of U and V.
    let k = Swift.min(a.rows, a.columns)
    let squares = square(s)
    let eye = try NDArray.eye(k, dtype: a.dtype)
    let gap = try add(subtract(expandDims(squares, [-2]), expandDims(squares, [-1])), eye)
    let f = try subtract(reciprocal(gap), eye)
    func part(_ x: NDArray, _ g: NDArray) throws(ArrayError) -> NDArray {
      let inner = try multiply(f, matmul(x.transposed, g))
      return try add(inner, inner.transposed)
    }
    var middle = try multiply(eye, expandDims(gs, [-1]))
    var outside: NDArray?
    let inverse = reciprocal(s)
    if let g = cotangents[0] {
      middle = try add(middle, scaledColumns(part(u, g), s))
      if a.rows > k {
        let rest = try subtract(g, matmul(u, matmul(u.transposed, g)))
        outside = try matmul(scaledColumns(rest, inverse), vt)
      }
    }
    if let g = cotangents[2] {
      let v = try vt.transposed
      middle = try add(middle, scaledRows(s, part(v, g.transposed)))
      if a.columns > k {
        let rest = try subtract(g, matmul(matmul(g, v), vt))
        let term = try matmul(u, scaledRows(inverse, rest))
        if let old = outside { outside = try add(old, term) } else { outside = term }
      }
    }
    let inside = try matmul(matmul(u, middle), vt)
    if let outside { return [try add(inside, outside)] }
    return [inside]
  }
  func rebuildMultiple(_ inputs: [NDArray], like old: [NodeShape]) throws(ArrayError) -> [NDArray] {
    if vectors == .none { return [try svdValues(inputs[0])] }
    let parts = try svd(inputs[0], vectors)
    return [parts.u, parts.s, parts.vt]
  }
}

/// The singular values, largest first.
public func svdValues(_ a: NDArray) throws(ArrayError) -> NDArray {
  try LinearAlgebra.check(a, "linalg.svd", square: false, complex: true)
  return NDArray.outputs(
    of: SVD(vectors: .none), shapes: [SVD.shapes(a, .none).s], dtypes: [a.dtype.realPart],
    inputs: [a])[0]
}
func svd(_ a: NDArray, _ vectors: SVD.Vectors) throws(ArrayError)
  -> (u: NDArray, s: NDArray, vt: NDArray)
{
  let shapes = SVD.shapes(a, vectors)
  for shape in [shapes.u, shapes.vt] { _ = try shape.elementCount(op: "linalg.svd") }
  let parts = NDArray.outputs(
    of: SVD(vectors: vectors), shapes: [shapes.u, shapes.s, shapes.vt],
    dtypes: [a.dtype, a.dtype.realPart, a.dtype], inputs: [a])
  return (parts[0], parts[1], parts[2])
}
/// All left singular vectors, the values, and all right ones, transposed.
public func svd(_ a: NDArray) throws(ArrayError) -> (u: NDArray, s: NDArray, vt: NDArray) {
  try LinearAlgebra.check(a, "linalg.svd", square: false, complex: true)
  guard Swift.max(a.rows, a.columns) <= 32768 else {
    throw .tooLarge(op: "linalg.svd", shape: a.shape.array)
  }
  return try svd(a, .full)
}

/// The pseudo-inverse. Inputs: the matrix, and its pseudo-inverse made with `svd`; the gradient
/// is that of the result as a function of the matrix, which needs no vectors.
struct PseudoInverse: MatrixPrimitive, Codable {
  var name: OperationName { "linalg.pinv" }
  func evaluate(_ out: NDArray) throws(ArrayError) {
    out.share(out.input(1), strides: out.input(1).strides)
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    let a = out.input(0)
    let pt = try out.transposed
    let gt = try cotangent.transposed
    // G^T without its part in the ranges: (I - A P) G^T P P^T + P^T P G^T (I - P A) - P^T G P^T.
    let left = try subtract(gt, matmul(a, matmul(out, gt)))
    let right = try subtract(gt, matmul(matmul(gt, out), a))
    let first = try matmul(matmul(left, out), pt)
    let second = try matmul(pt, matmul(out, right))
    return [try subtract(add(first, second), matmul(pt, matmul(cotangent, pt))), nil]
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    try pseudoInverse(inputs[0])
  }
}

public func pseudoInverse(_ a: NDArray) throws(ArrayError) -> NDArray {
  try LinearAlgebra.check(a, "linalg.pinv", square: false)
  let turned = try a.transposed.shape
  if a.size == 0 { return try NDArray.zeros(turned, dtype: a.dtype) }
  let parts = try svd(stopGradient(a), .thin)
  let eps = FloatInfo(a.dtype)?.eps ?? 0
  let relative = 10 * Double(Swift.max(a.rows, a.columns)) * eps
  let cutoff = try multiply(
    NDArray.weak(.float(relative), like: a.dtype), max(parts.s, axes: [-1], keepdims: true))
  let inverses = try `where`(
    greater(parts.s, cutoff), reciprocal(parts.s), NDArray.weak(.float(0), like: a.dtype))
  let value = try matmul(scaledColumns(parts.vt.transposed, inverses), parts.u.transposed)
  return NDArray(PseudoInverse(), shape: turned, dtype: a.dtype, a, value)
}

// MARK: - Eigenvalues

/// Outputs: the eigenvalues of a Hermitian matrix, ascending, and (if asked for) the vectors.
struct HermitianEigen: MatrixMultiPrimitive, Codable {
  let upper: Bool
  let vectors: Bool
  var name: OperationName { vectors ? "linalg.eigh" : "linalg.eigvalsh" }

  func evaluateMultiple(_ out: NDArray) throws(ArrayError) -> [NDArray] {
    let a = out.input(0)
    let (n, count) = (a.columns, a.matrixCount)
    let values = try NDArray(
      uninitialized: Shape(a.shape.prefix(a.rank - 1)), dtype: a.dtype.realPart)
    let work = try a.ownCopy()
    if a.size > 0 {
      let letter = LinearAlgebra.letter(a.dtype)
      let step = n * values.dtype.byteCount
      let failure = try LinearAlgebra.forEach(name, count, side: n) {
        lull_eigh(
          letter, upper ? 1 : 0, vectors ? 1 : 0, Int32(n), work.matrix($0),
          values.pointer + $0 * step)
      }
      if let (i, _) = failure { throw notFound(name, i, count) }
    }
    return vectors ? [values, work.exchanged] : [values]
  }

  /// The matrix counts as Hermitian: the gradient is. Vectors have a gradient up to their phases.
  func vjpMultiple(_ out: NDArray, _ cotangents: [NDArray?]) throws(ArrayError) -> [NDArray?] {
    let a = out.input(0)
    let parts = try eigh(a, upper: upper)
    let (w, v) = (parts.values, parts.vectors)
    var middle: NDArray?
    let eye = try NDArray.eye(a.rows, dtype: w.dtype)
    if let g = cotangents[0] { middle = try multiply(eye, expandDims(g, [-1])).astype(a.dtype) }
    if vectors, let g = cotangents[1] {
      let gap = try add(subtract(expandDims(w, [-2]), expandDims(w, [-1])), eye)
      let f = try subtract(reciprocal(gap), eye)
      let part = try multiply(f, matmul(adjoint(v), g))
      middle = try middle.map { (m) throws(ArrayError) in try add(m, part) } ?? part
    }
    guard let middle else { return [nil] }
    let g = try matmul(matmul(v, middle), adjoint(v))
    let half = try NDArray.weak(.float(0.5), like: a.dtype)
    return [try multiply(half, add(g, adjoint(g)))]
  }
  func rebuildMultiple(_ inputs: [NDArray], like old: [NodeShape]) throws(ArrayError) -> [NDArray] {
    if !vectors { return [try eigvalsh(inputs[0], upper: upper)] }
    let parts = try eigh(inputs[0], upper: upper)
    return [parts.values, parts.vectors]
  }
}

private func notFound(_ op: OperationName, _ i: Int, _ count: Int) -> ArrayError {
  .argument(
    op: op,
    message: "the eigenvalues of " + LinearAlgebra.which(i, of: count)
      + " were not found: the iteration did not converge (does it hold NaN or infinity?)")
}

public func eigh(_ a: NDArray, upper: Bool = false) throws(ArrayError)
  -> (values: NDArray, vectors: NDArray)
{
  try LinearAlgebra.check(a, "linalg.eigh", complex: true)
  let parts = NDArray.outputs(
    of: HermitianEigen(upper: upper, vectors: true),
    shapes: [Shape(a.shape.prefix(a.rank - 1)), a.shape], dtypes: [a.dtype.realPart, a.dtype],
    inputs: [a])
  return (parts[0], parts[1])
}
public func eigvalsh(_ a: NDArray, upper: Bool = false) throws(ArrayError) -> NDArray {
  try LinearAlgebra.check(a, "linalg.eigvalsh", complex: true)
  return NDArray.outputs(
    of: HermitianEigen(upper: upper, vectors: false), shapes: [Shape(a.shape.prefix(a.rank - 1))],
    dtypes: [a.dtype.realPart], inputs: [a])[0]
}

/// Outputs: the eigenvalues of any square matrix, complex, and (if asked for) the vectors.
struct Eigen: MatrixMultiPrimitive, Codable {
  let vectors: Bool
  var name: OperationName { vectors ? "linalg.eig" : "linalg.eigvals" }

  func evaluateMultiple(_ out: NDArray) throws(ArrayError) -> [NDArray] {
    let a = out.input(0)
    let (n, count) = (a.columns, a.matrixCount)
    let values = try NDArray(
      uninitialized: Shape(a.shape.prefix(a.rank - 1)), dtype: a.dtype.complex)
    let found = try NDArray(uninitialized: vectors ? a.shape : [0], dtype: a.dtype.complex)
    if a.size > 0 {
      // LAPACK complains on standard error of what is not finite.
      if let i = try firstNotFinite(a) { throw notFound(name, i, count) }
      let work = try a.ownCopy()
      let letter = LinearAlgebra.letter(a.dtype)
      let width = values.dtype.byteCount
      let failure = try LinearAlgebra.forEach(name, count, side: n) {
        lull_eig(
          letter, Int32(n), work.matrix($0), values.pointer + $0 * n * width,
          vectors ? found.pointer + $0 * n * n * width : nil)
      }
      withExtendedLifetime(work) {}
      if let (i, _) = failure { throw notFound(name, i, count) }
    }
    return vectors ? [values, found.exchanged] : [values]
  }
  /// V^-H (diag(gw) + (V^H gV - V^H V diag(re(V^H gV))) / conj(w_j - w_i)) V^H; the vectors have length 1, and a
  /// gradient up to their phases. A defective matrix has none: its vectors have no inverse.
  func vjpMultiple(_ out: NDArray, _ cotangents: [NDArray?]) throws(ArrayError) -> [NDArray?] {
    let a = out.input(0)
    let parts = try eig(a)
    let (w, v) = (parts.values, parts.vectors)
    let eye = try NDArray.eye(a.rows, dtype: w.dtype)
    let vh = try adjoint(v)
    var middle = try multiply(eye, expandDims(orZero(cotangents[0], like: w), [-1]))
    if vectors, let g = cotangents[1] {
      let inner = try matmul(vh, g)
      let along = try real(sum(multiply(inner, eye), axes: [-2])).astype(w.dtype)
      let turned = try subtract(inner, scaledColumns(matmul(vh, v), along))
      let gap = try add(conjugate(subtract(expandDims(w, [-2]), expandDims(w, [-1]))), eye)
      let off = try subtract(NDArray(.int(1), dtype: w.dtype), eye)
      middle = try add(middle, multiply(off, divide(turned, gap)))
    }
    let g = try solve(vh, matmul(middle, vh))
    return [a.dtype.isComplex ? g : real(g).astype(a.dtype)]
  }
  func rebuildMultiple(_ inputs: [NDArray], like old: [NodeShape]) throws(ArrayError) -> [NDArray] {
    if !vectors { return [try eigvals(inputs[0])] }
    let parts = try eig(inputs[0])
    return [parts.values, parts.vectors]
  }
}
public func eig(_ a: NDArray) throws(ArrayError) -> (values: NDArray, vectors: NDArray) {
  try LinearAlgebra.check(a, "linalg.eig", complex: true)
  let parts = NDArray.outputs(
    of: Eigen(vectors: true), shapes: [Shape(a.shape.prefix(a.rank - 1)), a.shape],
    dtypes: [a.dtype.complex, a.dtype.complex], inputs: [a])
  return (parts[0], parts[1])
}
public func eigvals(_ a: NDArray) throws(ArrayError) -> NDArray {
  try LinearAlgebra.check(a, "linalg.eigvals", complex: true)
  return NDArray.outputs(
    of: Eigen(vectors: false), shapes: [Shape(a.shape.prefix(a.rank - 1))],
    dtypes: [a.dtype.complex],
    inputs: [a])[0]
}
