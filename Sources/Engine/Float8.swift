// Eight-bit floats and Hadamard's transform.

import Kernels

struct ConvertFloat8: Primitive, Codable {
  let encodes: Bool
  var name: OperationName { encodes ? "to_fp8" : "from_fp8" }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    let x = try out.input(0).rowContiguous()
    try out.allocate()
    let (count, piece) = (out.size, 1 << 15)
    let (from, to) = (x.pointer, out.pointer)
    parallelFor((count + piece - 1) / piece) { chunk, _ in
      let start = chunk * piece
      let n = Int64(Swift.min(piece, count - start))
      if encodes {
        lull_to_fp8(
          from.assumingMemoryBound(to: Float.self) + start,
          to.assumingMemoryBound(to: UInt8.self) + start, n)
      } else {
        lull_from_fp8(
          from.assumingMemoryBound(to: UInt8.self) + start,
          to.assumingMemoryBound(to: Float.self) + start, n)
      }
    }
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    throw .notDifferentiable(op: name, reason: "rounding to codes has no gradient")
  }
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    try batch.same(out, self)
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    try encodes ? toFloat8(inputs[0]) : fromFloat8(inputs[0], dtype: .float32)
  }
}

/// Codes with four bits of exponent and three of mantissa.
public func toFloat8(_ x: NDArray) throws(ArrayError) -> NDArray {
  guard x.dtype.isFloating else {
    throw .argument(op: "to_fp8", message: "needs a float dtype, not \(x.dtype.name)")
  }
  return NDArray(
    ConvertFloat8(encodes: true), shape: x.shape, dtype: .uint8, x.astype(.float32))
}
public func fromFloat8(_ x: NDArray, dtype: DType = .bfloat16) throws(ArrayError) -> NDArray {
  guard x.dtype == .uint8 else {
    throw .argument(op: "from_fp8", message: "codes are uint8, not \(x.dtype.name)")
  }
  guard dtype.isFloating else {
    throw .argument(op: "from_fp8", message: "the result needs a float dtype, not \(dtype.name)")
  }
  return NDArray(ConvertFloat8(encodes: false), shape: x.shape, dtype: .float32, x).astype(dtype)
}

/// The product of the last axis with Hadamard's matrix of its size.
struct Hadamard: Primitive, Codable {
  let scale: Float
  /// 1, or the order of the factor that is no power of two.
  let factor: Int
  var name: OperationName { "hadamard_transform" }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    let x = out.input(0)
    let copy = try x.ownCopy()
    let n = out.shape[out.rank - 1] / factor
    let matrix = Hadamard.matrix(factor)
    matrix.withUnsafeBufferPointer {
      lull_hadamard(
        copy.pointer(as: Float.self), Int64(out.size / (n * factor)), Int64(n), Int32(factor),
        $0.baseAddress, scale)
    }
    out.share(copy, strides: copy.strides)
    if lull_interrupt_raised() != 0 { throw .interrupted }
  }

  /// The matrices of order 12, 20 and 28 in Sloane's library of Hadamard matrices: blocks of 2 x 2 after
  /// a symmetric conference matrix, or 4 x 4 circulant blocks, of which the first rows are here.
  private static func matrix(_ order: Int) -> [Float] {
    if order == 12 {
      // Quadratic residues of 5 decide the sign of a block; the diagonal has blocks of its own.
      let plus: [Float] = [1, 1, 1, -1]
      let own: [Float] = [1, -1, -1, -1]
      var result = [Float](repeating: 0, count: 144)
      for i in 0..<6 {
        for j in 0..<6 {
          let isResidue = i == 0 || j == 0 || [1, 4].contains((i - j + 5) % 5)
          let block = i == j ? own : plus.map { isResidue ? $0 : -$0 }
          for k in 0..<4 { result[(2 * i + k / 2) * 12 + 2 * j + k % 2] = block[k] }
        }
      }
      return result
    }
    let lines =
      order == 20
      ? [
        "+----+----++--++-++-", "-+++++-----+--+++--+", "--++-+-++-+-----++++",
        "-+--+--++-+----+----",
      ]
      : [
        "+------++----++-+--+-+--++--", "--++++-+-------++--+++-+--+-",
        "-+-++-++--++--+--------++++-", "-++--++-+-++-+++----++------",
      ]
    if order == 1 { return [] }
    let side = order / 4
    var result = [Float](repeating: 0, count: order * order)
    for (i, line) in lines.enumerated() {
      let signs = line.map { $0 == "+" ? Float(1) : -1 }
      for row in 0..<side {
        for j in 0..<order {
          let (block, column) = (j / side, j % side)
          result[(i * side + row) * order + j] =
            signs[block * side + (column - row + side) % side]
        }
      }
    }
    return result
  }
  /// The factor that is no power of two, if there is a matrix for it.
  static func factor(_ n: Int) -> Int? {
    func isPower(_ n: Int) -> Bool { n > 0 && n & (n - 1) == 0 && n <= 1 << 26 }
    if isPower(n) { return 1 }
    return [12, 20, 28].first { n % $0 == 0 && isPower(n / $0) }
  }

  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    if factor == 1 {
      return [NDArray(self, shape: out.shape, dtype: out.dtype, cotangent)]
    }
    // The matrices of other orders are not symmetric: by a product.
    let eye = try NDArray.eye(out.shape[out.rank - 1], dtype: out.dtype)
    let matrix = NDArray(self, shape: eye.shape, dtype: out.dtype, eye)
    return [try matmul(cotangent, matrix.transposed)]
  }
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    try batch.same(out, self)
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    try hadamardTransform(inputs[0], scale: Double(scale))
  }
}

public func hadamardTransform(_ x: NDArray, scale: Double? = nil) throws(ArrayError) -> NDArray {
  if let made = try Tracing.recorded(.hadamard(scale), [x]) { return made[0] }
  if x.size == 0 { throw .empty(op: "hadamard_transform", what: "transform") }
  let n = x.shape.last ?? 1
  let scale = scale ?? 1 / Double(n).squareRoot()
  let dtype = x.dtype.isFloating ? x.dtype : .float32
  if x.rank == 0 || n == 1 {
    return try multiply(x.astype(dtype), NDArray.weak(.float(scale), like: dtype))
  }
  guard let factor = Hadamard.factor(n) else {
    throw .argument(
      op: "hadamard_transform",
      message: "the last axis must have 2^k, 12 * 2^k, 20 * 2^k or 28 * 2^k elements, not \(n)")
  }
  return NDArray(
    Hadamard(scale: Float(scale), factor: factor), shape: x.shape, dtype: .float32,
    x.astype(.float32)
  ).astype(dtype)
}
