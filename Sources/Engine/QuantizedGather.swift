// Products with some of several quantised matrices, as a mixture of experts has them: the codes stay as they
// are, only the matrices that the indices name are read.

import COpenBLAS
import Kernels

/// Inputs: x [A, m, k], the places of the factors of each result, and the weight's arrays: all
/// matrices on top of each other, `height` rows each.
struct GatherQuantizedMatMul: Primitive, Codable {
  let weight: QuantizedWeight
  let height: Int
  let transpose: Bool
  var name: OperationName { "gather_qmm" }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    let x = try out.input(0).rowContiguous()
    let count = height == 0 ? 0 : weight.rows / height
    let left = try matrixIndices(out.input(1), count: x.shape[0], op: name)
    let right = try matrixIndices(out.input(2), count: count, op: name)
    try out.allocate()
    let (m, columns) = (x.rows, weight.columns)
    if out.size == 0 { return }
    if x.columns == 0 {
      out.pointer.initializeMemory(as: UInt8.self, repeating: 0, count: out.byteCount)
      return
    }
    try requireBLAS()
    if transpose && m <= QuantizedMatmul.fewRows {
      return try multiplyGrouped(x, left, right, matrices: count, out)
    }
    let panel = 64
    let threads = Int(lull_thread_count())
    let scratch = try Buffer(byteCount: threads * panel * columns * 4)
    let memory = scratch.pointer.assumingMemoryBound(to: Float.self)
    let (from, to) = (x.pointer(as: Float.self), out.pointer(as: Float.self))
    let (height, transpose) = (height, transpose)
    let panels = transpose ? (height + panel - 1) / panel : 1
    try weight.withStored { (stored) throws(ArrayError) in
      parallelFor(left.count * panels) { chunk, worker in
        var view = stored
        let i = chunk / panels
        let own = from + left[i] * m * (transpose ? columns : height)
        let first = right[i] * height
        let b = memory + worker * panel * columns
        if transpose {
          let start = chunk % panels * panel
          let rows = Swift.min(panel, height - start)
          let y = to + i * m * height
          if m <= QuantizedMatmul.fewRows {
            lull_quant_dot(
              &view, Int64(first + start), Int64(rows), own, Int64(m), Int64(columns), y - first,
              Int64(height), b)
            return
          }
          lull_quant_rows(&view, Int64(first + start), Int64(rows), b, Int64(columns))
          cblas_sgemm(
            CblasRowMajor, CblasNoTrans, CblasTrans, Int32(m), Int32(rows), Int32(columns), 1, own,
            Int32(columns), b, Int32(columns), 0, y + start, Int32(height))
          return
        }
        let y = to + i * m * columns
        for start in stride(from: 0, to: height, by: panel) {
          let rows = Swift.min(panel, height - start)
          lull_quant_rows(&view, Int64(first + start), Int64(rows), b, Int64(columns))
          cblas_sgemm(
            CblasRowMajor, CblasNoTrans, CblasNoTrans, Int32(m), Int32(columns), Int32(rows), 1,
            own + start, Int32(height), b, Int32(columns), start == 0 ? 0 : 1, y, Int32(columns))
        }
      }
    }
    withExtendedLifetime(scratch) {}
    if lull_interrupt_raised() != 0 { throw .interrupted }
  }

  /// x @ W.T for few rows a pair: the rows that meet the same matrix are put together, so that each
  /// matrix is read, and expanded, once.
  private func multiplyGrouped(
    _ x: NDArray, _ left: [Int], _ right: [Int], matrices: Int, _ out: NDArray
  ) throws(ArrayError) {
    let (m, columns, height, panel) = (x.rows, weight.columns, height, 64)
    // The pairs in the order of their matrices, and where those of each begin.
    var starts = [Int](repeating: 0, count: matrices + 1)
    for matrix in right { starts[matrix + 1] += 1 }
    for i in 0..<matrices { starts[i + 1] += starts[i] }
    var next = starts
    var places = [Int](repeating: 0, count: right.count)
    let rows = try Buffer(byteCount: right.count * m * columns * 4)
    let results = try Buffer(byteCount: right.count * m * height * 4)
    let xs = rows.pointer.assumingMemoryBound(to: Float.self)
    let ys = results.pointer.assumingMemoryBound(to: Float.self)
    let from = x.pointer(as: Float.self)
    for (i, matrix) in right.enumerated() {
      places[i] = next[matrix]
      next[matrix] += 1
      (xs + places[i] * m * columns).update(from: from + left[i] * m * columns, count: m * columns)
    }
    let used = (0..<matrices).filter { starts[$0] < starts[$0 + 1] }
    let panels = (height + panel - 1) / panel
    let scratch = try Buffer(byteCount: Int(lull_thread_count()) * panel * columns * 4)
    let memory = scratch.pointer.assumingMemoryBound(to: Float.self)
    try weight.withStored { (stored) throws(ArrayError) in
      parallelFor(used.count * panels) { chunk, worker in
        var view = stored
        let matrix = used[chunk / panels]
        let start = chunk % panels * panel
        let count = Swift.min(panel, height - start)
        let first = matrix * height
        let n = (starts[matrix + 1] - starts[matrix]) * m
        let own = xs + starts[matrix] * m * columns
        let y = ys + starts[matrix] * m * height
        let b = memory + worker * panel * columns
        if n <= QuantizedMatmul.fewRows {
          lull_quant_dot(
            &view, Int64(first + start), Int64(count), own, Int64(n), Int64(columns), y - first,
            Int64(height), b)
          return
        }
        lull_quant_rows(&view, Int64(first + start), Int64(count), b, Int64(columns))
        cblas_sgemm(
          CblasRowMajor, CblasNoTrans, CblasTrans, Int32(n), Int32(count), Int32(columns), 1, own,
          Int32(columns), b, Int32(columns), 0, y + start, Int32(height))
      }
    }
    let to = out.pointer(as: Float.self)
    for (i, place) in places.enumerated() {
      (to + i * m * height).update(from: ys + place * m * height, count: m * height)
    }
    withExtendedLifetime((rows, results, scratch)) {}
    if lull_interrupt_raised() != 0 { throw .interrupted }
  }

  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    let (x, left, right) = (out.input(0), out.input(1), out.input(2))
    let all = try NDArray.arange(.int(0), .int(left.size), dtype: .int64)
    let back = try gatheredQuantized(
      cotangent, weight, height: height, all, right, transpose: !transpose)
    let gradients: [NDArray?] = [
      try scatter(NDArray.zeros(like: x), [left], back, .add), nil, nil,
    ]
    var isAffine = false
    if case .affine = weight.format { isAffine = true }
    guard isAffine || weight.plain != nil else { return gradients + weight.arrays.map { _ in nil } }
    // The gradient for each expanded matrix, the shares of a matrix added up.
    let factors = try take(x, left, axis: 0)
    let (a, b) = transpose ? (cotangent, factors) : (factors, cotangent)
    let count = height == 0 ? 0 : weight.rows / height
    let zero = try NDArray.zeros([count, height, weight.columns])
    let expanded = try scatter(zero, [right], matmul(a.transposed, b), .add)
    if let plain = weight.plain {
      return try gradients + [expanded.reshaped(plain.shape).astype(plain.dtype)]
    }
    return try gradients
      + weight.scaleGradients(expanded.reshaped([weight.rows, weight.columns] as Shape))
  }
  func rejectsGradient(of i: Int) -> String? {
    i == 0 ? nil : i <= 2 ? positionsHaveNoGradient : weight.rejectsGradient(ofArray: i - 3)
  }
  var rejectsHiddenPositions: Bool { true }
  func holdsInput(_ i: Int) -> Bool { i > 2 }
  func replacing(_ inputs: [NDArray]) -> any Primitive {
    GatherQuantizedMatMul(
      weight: weight.over(Array(inputs.dropFirst(3))), height: height, transpose: transpose)
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    let (x, left, right) = (inputs[0], inputs[1], inputs[2])
    let own = try weight.replacing(Array(inputs.dropFirst(3)))
    guard x.rank == 3, left.rank == 1, right.shape == left.shape, left.dtype == .int64,
      right.dtype == .int64, x.dtype == .float32, height > 0, own.rows % height == 0,
      x.columns == (transpose ? own.columns : height)
    else {
      throw .rank(op: name, shape: x.shape.array, needed: "matrices that fit the weight's")
    }
    return try gatheredQuantized(x, own, height: height, left, right, transpose: transpose)
  }
}

private func gatheredQuantized(
  _ x: NDArray, _ weight: QuantizedWeight, height: Int, _ left: NDArray, _ right: NDArray,
  transpose: Bool
) throws(ArrayError) -> NDArray {
  let shape = try Shape.checked(
    [left.size, x.rows, transpose ? height : weight.columns], op: "gather_qmm")
  return NDArray(
    GatherQuantizedMatMul(weight: weight, height: height, transpose: transpose), shape: shape,
    dtype: .float32, inputs: [x, left, right] + weight.arrays)
}

/// x @ W.T (or x @ W) for the pairs of matrices that the indices pick from the batches of x and from a
/// stack of matrices in a block format; without indices the batches broadcast.
public func gatherQuantizedMatmul(
  _ x: NDArray, _ weight: QuantizedWeight, left: NDArray? = nil, right: NDArray? = nil,
  transpose: Bool = true, activationBits: Int? = nil, op: OperationName = "gather_qmm"
) throws(ArrayError) -> NDArray {
  if weight.stack == nil && left == nil && right == nil {
    return try quantizedMatmul(x, weight, transpose: transpose, activationBits: activationBits)
  }
  guard x.dtype.isFloating else {
    throw .argument(op: op, message: "needs a floating-point x, not \(x.dtype.name)")
  }
  guard x.rank >= 1 else { throw .rank(op: op, shape: x.shape.array, needed: "matrices as x") }
  let count = weight.stack ?? 1
  let height = weight.rows / count
  let y = try x.rank == 1 ? expandDims(x, [0]) : x
  guard y.columns == (transpose ? weight.columns : height) else {
    throw .shapeMismatch(
      op: op, lhs: x.shape.array, rhs: [count, height, weight.columns],
      reason: "the last axis of x must have \(transpose ? weight.columns : height) elements")
  }
  let all = try NDArray.arange(.int(0), .int(count), dtype: .int64)
  let pair = try broadcastArrays([
    batchIndices(left, y, op: op), batchIndices(right ?? all, y, op: op),
  ])
  let product = try gatheredQuantized(
    y.astype(.float32).reshaped([y.matrixCount, y.rows, y.columns] as Shape), weight,
    height: height, flatten(pair[0]), flatten(pair[1]), transpose: transpose)
  var shape = pair[0].shape.array
  if x.rank > 1 { shape.append(y.rows) }
  shape.append(product.columns)
  return try product.reshaped(Shape.checked(shape, op: op)).astype(x.dtype)
}

/// What the arguments of a product with quantised matrices are called.
public struct QuantizedOperand {
  public var codes: NDArray
  public var scales: NDArray
  public var biases: NDArray?
  public var group: Int
  public var bits: Int
  public var mode: String
  public init(
    codes: NDArray, scales: NDArray, biases: NDArray?, group: Int, bits: Int, mode: String
  ) {
    (self.codes, self.scales, self.biases) = (codes, scales, biases)
    (self.group, self.bits, self.mode) = (group, bits, mode)
  }

  /// All matrices on top of each other.
  fileprivate func stacked(op: OperationName) throws(ArrayError) -> QuantizedWeight {
    for (x, what) in [(scales, "scales"), (biases ?? scales, "biases")] {
      guard x.rank == codes.rank, x.rank >= 2,
        Shape(x.shape.prefix(x.rank - 1)) == Shape(codes.shape.prefix(codes.rank - 1))
      else {
        throw .shapeMismatch(
          op: op, lhs: codes.shape.array, rhs: x.shape.array,
          reason: "\(what) have the weight's shape but for the last axis")
      }
    }
    func matrix(_ x: NDArray) throws(ArrayError) -> NDArray {
      try x.reshaped([x.matrixCount * x.rows, x.columns] as Shape)
    }
    // Scales and biases meet in one dtype.
    let dtype = biases.map { DType.promoted(scales.dtype, $0.dtype) } ?? scales.dtype
    var offsets: NDArray?
    if let biases { offsets = try matrix(biases.astype(dtype)) }
    return try QuantizedWeight(
      codes: matrix(codes), scales: matrix(scales.astype(dtype)), biases: offsets, group: group,
      bits: bits, mode: mode)
  }
}

/// x @ w.T (or x @ w; times the matrix's global scale / 2688) for the pairs of matrices that the indices pick from the flattened batches; without
/// indices the batches broadcast.
public func gatherQuantizedMatmul(
  _ x: NDArray, _ w: QuantizedOperand, left: NDArray? = nil, right: NDArray? = nil,
  transpose: Bool = true, globalScale: NDArray? = nil, activationBits: Int? = nil,
  op: OperationName = "gather_qmm"
) throws(ArrayError) -> NDArray {
  if let globalScale {
    // The scale of each matrix is that of its product.
    guard w.mode == "nvfp4" else {
      throw .argument(op: op, message: "global_scale belongs to 'nvfp4', not '\(w.mode)'")
    }
    let experts = Shape(w.codes.shape.prefix(Swift.max(w.codes.rank - 2, 0)))
    guard globalScale.shape == experts, globalScale.dtype == .float32 else {
      throw .argument(
        op: op,
        message: "global_scale must be float32 with one number a matrix, shape \(experts), not "
          + "\(globalScale.dtype.name) of shape \(globalScale.shape)")
    }
    let product = try gatherQuantizedMatmul(
      x, w, left: left, right: right, transpose: transpose, op: op)
    let index = try batchIndices(right, w.codes, op: op)
    let factor = try divide(globalScale, NDArray(.float(448 * 6), dtype: .float32))
    let each = try take(flatten(factor), index)
    return try multiply(product, expandDims(each, x.rank == 1 ? [-1] : [-2, -1])).astype(
      product.dtype)
  }
  let function = Composition.gatherQuantized(
    group: w.group, bits: w.bits, w.mode, biases: w.biases != nil, left: left != nil,
    right: right != nil,
    transpose: transpose)
  if w.codes.rank > 2 || left != nil || right != nil,
    let made = try Tracing.recorded(
      function, [x, w.codes, w.scales] + [w.biases, left, right].compactMap { $0 })
  {
    return made[0]
  }
  guard x.dtype.isFloating else {
    throw .argument(op: op, message: "needs a floating-point x, not \(x.dtype.name)")
  }
  guard x.rank >= 1, w.codes.rank >= 2 else {
    throw .rank(
      op: op, shape: (x.rank >= 1 ? w.codes : x).shape.array, needed: "matrices as the weight")
  }
  let isGathered = left != nil || right != nil
  if w.codes.rank == 2 && !isGathered {
    let product = try quantizedMatmul(
      x, w.stacked(op: op), transpose: transpose, activationBits: activationBits)
    // The scales' dtype has a say, as MLX has it.
    return w.mode == "affine"
      ? product.astype(DType.promoted(x.dtype, w.scales.dtype)) : product
  }
  let weight = try w.stacked(op: op)
  let height = w.codes.rows
  let y = try x.rank == 1 ? expandDims(x, [0]) : x
  guard y.columns == (transpose ? weight.columns : height) else {
    throw .shapeMismatch(
      op: op, lhs: x.shape.array, rhs: [height, weight.columns],
      reason: "the last axis of x must have \(transpose ? weight.columns : height) elements")
  }
  let pair = try broadcastArrays([
    batchIndices(left, y, op: op), batchIndices(right, w.codes, op: op),
  ])
  let product = try gatheredQuantized(
    y.astype(.float32).reshaped([y.matrixCount, y.rows, y.columns] as Shape), weight,
    height: height, flatten(pair[0]), flatten(pair[1]), transpose: transpose)
  var shape = pair[0].shape.array
  if x.rank > 1 { shape.append(y.rows) }
  shape.append(product.columns)
  let dtype = w.mode == "affine" ? DType.promoted(x.dtype, w.scales.dtype) : x.dtype
  return try product.reshaped(Shape.checked(shape, op: op)).astype(dtype)
}

extension QuantizedWeight {
  /// The gradients for scales and biases out of that for the expanded matrix; affine codes only.
  func scaleGradients(_ g: NDArray) throws(ArrayError) -> [NDArray?] {
    guard case .affine(let bits, let group) = format else { return arrays.map { _ in nil } }
    let units = try QuantizedWeight(
      codes: arrays[0], scales: NDArray.ones(arrays[1].shape),
      biases: NDArray.zeros(arrays[1].shape),
      group: group, bits: bits, mode: "affine")
    let shape: Shape = [rows, columns / group, group]
    let (each, codes) = (try g.reshaped(shape), try dequantize(units).reshaped(shape))
    return [nil, try sum(multiply(each, codes), axes: [-1]), try sum(each, axes: [-1])]
  }
  func rejectsGradient(ofArray i: Int) -> String? {
    if case .affine = format, i >= 1 { return nil }
    if plain != nil { return nil }
    return codesHaveNoGradient
  }
}
