// The module `mlx.core.linalg`.

import Engine
import Language

private func linalg(
  _ name: String, _ parameters: String, _ doc: String, _ example: String,
  fails: [(String, String)] = [], _ run: @escaping (ArrayArgs) throws -> NDArray
) -> Builtin {
  function(name, parameters, "linalg", doc, [example], fails: fails, run)
}
private func several(
  _ name: String, _ parameters: String, _ doc: String, _ example: String,
  _ run: @escaping (ArrayArgs) throws -> [NDArray]
) -> Builtin {
  special(name, parameters, "linalg", doc, [example]) { tuple(try run($0)) }
}

/// Eigenvalues of a float64 matrix are complex64 in MLX.
private func ofMLX(_ x: NDArray) -> NDArray { isNumPyCall ? x : x.astype(x.dtype.ofMLX) }

/// 'L' or 'U' of eigh's UPLO.
private func isUpper(_ a: ArrayArgs, _ i: Int) throws -> Bool {
  switch try a.string(i) {
  case "L", "l": return false
  case "U", "u": return true
  case let other:
    throw LullError.valueError("UPLO must be 'L' or 'U', not '\(other)'")
  }
}

private func order(_ a: ArrayArgs, _ i: Int) throws -> NormOrder? {
  guard a.has(i) else { return nil }
  guard let name = a.args[i].stringValue else { return .number(try a.double(i)) }
  switch name {
  case "fro", "f": return .frobenius
  case "nuc": return .nuclear
  default:
    throw LullError.valueError(
      "linalg.norm: ord must be a number, 'fro' or 'nuc', not '\(name)'")
  }
}

public let linalgFunctions: [Builtin] = [
  linalg(
    "norm", "a, /, ord=None, axis=None, keepdims=False",
    "Norm of vectors (one axis), matrices (two axes: also 'fro' and 'nuc'), or of the whole array.",
    ">>> mx.linalg.norm(mx.array([3.0, 4.0]))\narray(5, dtype=float32)",
    fails: [("mx.linalg.norm(mx.ones((2, 2)), ord=3)", "ValueError")]
  ) { try norm($0.array(0), order($0, 1), axes: $0.axes(2), keepdims: $0.bool(3)) },
  linalg(
    "cross", "a, b, axis=-1", "Cross product of vectors with two or three elements.",
    ">>> mx.linalg.cross(mx.array([1, 0, 0]), mx.array([0, 1, 0]))\narray([0, 0, 1], dtype=int32)"
  ) { try cross($0.array(0), $0.array(1), axis: $0.int(2)) },
  several(
    "qr", "a", "Q with orthonormal columns and upper triangular R: a = Q @ R.",
    ">>> q, r = mx.linalg.qr(mx.array([[2.0, 3.0], [0.0, 4.0]]))\n>>> mx.allclose(q @ r, mx.array([[2.0, 3.0], [0.0, 4.0]]))\narray(True, dtype=bool)"
  ) {
    let parts = try qr($0.array(0))
    return [parts.q, parts.r]
  },
  special(
    "svd", "a, compute_uv=True", "linalg",
    "Singular value decomposition (U, S, V transposed); S alone without compute_uv.",
    [
      ">>> mx.linalg.svd(mx.array([[3.0, 0.0], [0.0, 4.0]]), compute_uv=False)\narray([4, 3], dtype=float32)"
    ]
  ) { a in
    if try !a.bool(1) { return wrap(try svdValues(a.array(0))) }
    let parts = try svd(a.array(0))
    return tuple([parts.u, parts.s, parts.vt])
  },
  linalg(
    "inv", "a", "Inverse of square matrices.",
    ">>> mx.linalg.inv(mx.array([[2.0, 1.0], [1.0, 1.0]]))\narray([[1, -1],\n       [-1, 2]], dtype=float32)",
    fails: [("mx.eval(mx.linalg.inv(mx.zeros((2, 2))))", "ValueError")]
  ) { try inverse($0.array(0)) },
  linalg(
    "tri_inv", "a, upper=False", "Inverse of the lower (or upper) triangle of matrices.",
    ">>> mx.linalg.tri_inv(mx.array([[2.0, 0.0], [2.0, 4.0]]))\narray([[0.5, 0],\n       [-0.25, 0.25]], dtype=float32)"
  ) { try triangularInverse($0.array(0), upper: $0.bool(1)) },
  linalg(
    "cholesky", "a, upper=False",
    "The lower triangular L with a = L @ L.T, or the upper U with a = U.T @ U.",
    ">>> mx.linalg.cholesky(mx.array([[4.0, 2.0], [2.0, 5.0]]))\narray([[2, 0],\n       [1, 2]], dtype=float32)",
    fails: [("mx.eval(mx.linalg.cholesky(mx.array([[1.0, 2.0], [2.0, 1.0]])))", "ValueError")]
  ) { try cholesky($0.array(0), upper: $0.bool(1)) },
  linalg(
    "cholesky_inv", "L, upper=False", "Inverse of the matrix whose Cholesky factor is given.",
    ">>> mx.linalg.cholesky_inv(mx.array([[2.0, 0.0], [0.0, 4.0]]))\narray([[0.25, 0],\n       [0, 0.0625]], dtype=float32)"
  ) { try choleskyInverse($0.array(0), upper: $0.bool(1)) },
  linalg(
    "pinv", "a", "Pseudo-inverse of matrices.",
    ">>> mx.linalg.pinv(mx.array([[2.0, 0.0], [0.0, 0.0]]))\narray([[0.5, 0],\n       [0, 0]], dtype=float32)"
  ) { try pseudoInverse($0.array(0)) },
  several(
    "eigh", "a, UPLO='L'",
    "Eigenvalues (ascending) and eigenvectors (columns) of symmetric matrices, of which one triangle is read.",
    ">>> mx.linalg.eigh(mx.array([[3.0, 0.0], [0.0, 1.0]]))[0]\narray([1, 3], dtype=float32)"
  ) {
    let parts = try eigh($0.array(0), upper: isUpper($0, 1))
    return [parts.values, parts.vectors]
  },
  linalg(
    "eigvalsh", "a, UPLO='L'", "Eigenvalues of symmetric matrices, ascending.",
    ">>> mx.linalg.eigvalsh(mx.array([[3.0, 0.0], [0.0, 1.0]]))\narray([1, 3], dtype=float32)"
  ) { try eigvalsh($0.array(0), upper: isUpper($0, 1)) },
  several(
    "eig", "a", "Eigenvalues and eigenvectors (columns) of square matrices, complex.",
    ">>> mx.linalg.eig(mx.array([[3.0, 0.0], [0.0, 1.0]]))[0]\narray([3+0j, 1+0j], dtype=complex64)"
  ) {
    let parts = try eig($0.array(0))
    return [ofMLX(parts.values), ofMLX(parts.vectors)]
  },
  linalg(
    "eigvals", "a", "Eigenvalues of square matrices, complex.",
    ">>> mx.linalg.eigvals(mx.array([[0.0, -1.0], [1.0, 0.0]]))\narray([0+1j, 0-1j], dtype=complex64)"
  ) { ofMLX(try eigvals($0.array(0))) },
  several(
    "lu", "a", "(order, L, U) with L[order] @ U equal to the matrix.",
    ">>> mx.linalg.lu(mx.array([[1.0, 2.0], [2.0, 2.0]]))[2]\narray([[2, 2],\n       [0, 1]], dtype=float32)"
  ) {
    let parts = try lu($0.array(0))
    return [parts.order, parts.l, parts.u]
  },
  several(
    "lu_factor", "a", "L and U in one matrix, and the row exchanged with each row in turn.",
    ">>> mx.linalg.lu_factor(mx.array([[1.0, 2.0], [2.0, 2.0]]))\n(array([[2, 2],\n       [0.5, 1]], dtype=float32), array([1, 1], dtype=uint32))"
  ) {
    let parts = try luFactor($0.array(0))
    return [parts.lu, parts.pivots]
  },
  linalg(
    "solve", "a, b", "The x with a @ x = b; b holds a vector or columns.",
    ">>> mx.linalg.solve(mx.array([[2.0, 0.0], [0.0, 4.0]]), mx.array([2.0, 2.0]))\narray([1, 0.5], dtype=float32)",
    fails: [("mx.eval(mx.linalg.solve(mx.zeros((2, 2)), mx.ones((2,))))", "ValueError")]
  ) { try solve($0.array(0), $0.array(1)) },
  linalg(
    "solve_triangular", "a, b, *, upper=False", "solve, using only one triangle of a.",
    ">>> mx.linalg.solve_triangular(mx.array([[2.0, 0.0], [2.0, 4.0]]), mx.array([2.0, 2.0]))\narray([1, 0], dtype=float32)"
  ) { try solveTriangular($0.array(0), $0.array(1), upper: $0.bool(2)) },
  linalg(
    "det", "a", "Determinant of square matrices.",
    ">>> mx.linalg.det(mx.array([[1.0, 2.0], [3.0, 4.0]]))\narray(-2, dtype=float32)"
  ) { try determinant($0.array(0)) },
  several(
    "slogdet", "a", "Sign of the determinant and logarithm of its absolute value.",
    ">>> mx.linalg.slogdet(mx.array([[2.0, 0.0], [0.0, 0.5]]))\n(array(1, dtype=float32), array(0, dtype=float32))"
  ) {
    let parts = try slogdet($0.array(0))
    return [parts.sign, parts.log]
  },
]
