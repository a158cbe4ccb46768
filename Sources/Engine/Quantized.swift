// Products with quantised weights, rows of them, and expanding them.
//
// A product is computed in float32, whatever the dtype of x, by the number of rows of x: few rows read the codes
// once and keep the sums in registers; many rows expand a panel of the weight at a time and multiply it with
// OpenBLAS, which reuses each expanded value for every row. Where it need not be exact (layers in evaluation mode),
// x becomes integers of 16 bits with a scale for each 32 columns, and the sums are those of integers, which is some
// 2 to 3 times as fast. The gradient goes through the same weight, transposed, in float32.

import COpenBLAS
import Kernels

/// y = x @ W.T (transpose) or x @ W.
struct QuantizedMatmul: Primitive, Codable {
  func operationCount(_ out: NDArray) -> Int {
    2 &* out.size &* (out.input(0).shape.last ?? 1)
  }

  let weight: QuantizedWeight
  /// To how many bits x may be rounded, 16 or 8; nil: not at all.
  var activationBits: Int?
  let transpose: Bool  // last: more than 24 bytes would be a box in a node
  var name: OperationName { "quantized_matmul" }

  /// Up to this many rows the codes are read directly.
  static let fewRows = 8

  func evaluate(_ out: NDArray) throws(ArrayError) {
    let x = try out.input(0).rowContiguous()
    try out.allocate()
    let inner = transpose ? weight.columns : weight.rows
    let m = inner == 0 ? 0 : x.size / inner
    if m == 0 || out.size == 0 {
      out.pointer(as: UInt8.self).update(repeating: 0, count: out.byteCount)
      return
    }
    let xs = UnsafePointer(x.pointer(as: Float.self))
    let y = out.pointer(as: Float.self)
    if !transpose {
      try product(xs, m, y)
    } else {
      var isDone = false
      if activationBits != nil { isDone = try integers(xs, m, y) }
      if !isDone {
        if m <= QuantizedMatmul.fewRows { try fewRows(xs, m, y) } else { try manyRows(xs, m, y) }
      }
    }
    if lull_interrupt_raised() != 0 { throw .interrupted }
  }

  /// y[m, rows] with x as integers; false where the weight or the machine has no such product.
  private func integers(_ x: UnsafePointer<Float>, _ m: Int, _ y: UnsafeMutablePointer<Float>)
    throws(ArrayError) -> Bool
  {
    let (rows, columns) = (weight.rows, weight.columns)
    let packed = try weight.packedTiles()
    return try weight.withStored { (stored) throws(ArrayError) in
      var view = stored
      guard lull_has_int_dot(&view) != 0, packed != nil || m <= QuantizedMatmul.fewRows else {
        return false
      }
      if let packed, m < Int(LULL_MANY_ROWS) {
        let memory = try Buffer(byteCount: Int(lull_products_bytes(Int64(m), Int64(columns))))
        var product = LullProduct(w: stored, packed: packed, y: y)
        lull_packed_products(x, Int64(m), Int64(columns), &product, 1, memory.pointer)
        return true
      }
      let blocks = columns / 32
      let bytes = m * columns * 2
      // Few rows cost no more with 16 bits.
      let isNarrow = activationBits == 8 && packed != nil
      let memory = try Buffer(
        byteCount: bytes + m * blocks * 12 + (isNarrow ? m * columns : 0))
      let q = memory.pointer.assumingMemoryBound(to: Int16.self)
      let scales = (memory.pointer + bytes).assumingMemoryBound(to: Float.self)
      let sums = scales + m * blocks
      let narrow =
        isNarrow
        ? (memory.pointer + bytes + m * blocks * 12).assumingMemoryBound(to: Int8.self) : nil
      let order = Int32(packed != nil ? LULL_PAIRED : LULL_IN_ORDER)
      let each = max(1, 16384 / columns)
      parallelFor((m + each - 1) / each) { chunk, _ in
        let first = chunk * each
        lull_quantize_activations(
          x + first * columns, Int64(min(each, m - first)), Int64(columns), Int64(columns), order,
          q + first * columns, narrow.map { $0 + first * columns }, scales + first * blocks,
          sums + first * blocks * 2)
      }
      var activations = LullActivations(
        m: Int64(m), q: q, q8: narrow, scales: scales, sums: sums)
      let threads = Int(lull_thread_count())
      guard let packed else {
        let scratch = try Buffer(byteCount: threads * columns * 2)
        let scratchPointer = scratch.pointer.assumingMemoryBound(to: Float.self)
        let perChunk = chunkSize(items: rows, bytesEach: Int(view.row_bytes))
        parallelFor((rows + perChunk - 1) / perChunk) { chunk, worker in
          let first = chunk * perChunk
          lull_int_dot(
            &view, Int64(first), Int64(min(perChunk, rows - first)), &activations, y, Int64(rows),
            scratchPointer + worker * (columns / 2))
        }
        return true
      }
      let panels = try Buffer(byteCount: threads * Int(LULL_PANEL_BYTES))
      let panel = panels.pointer.assumingMemoryBound(to: UInt8.self)
      parallelFor((rows + 15) / 16) { tile, worker in
        lull_packed_dot(
          &view, packed, Int64(tile), 1, &activations, y, Int64(rows),
          panel + worker * Int(LULL_PANEL_BYTES))
      }
      return true
    }
  }

  private func fewRows(_ x: UnsafePointer<Float>, _ m: Int, _ y: UnsafeMutablePointer<Float>)
    throws(ArrayError)
  {
    let (rows, columns) = (weight.rows, weight.columns)
    if try weight.packedTiles() != nil { return try manyRows(x, m, y) }
    try weight.withStored { (stored) throws(ArrayError) in
      let scratch = try Buffer(byteCount: Int(lull_thread_count()) * columns * 4)
      let scratchPointer = scratch.pointer.assumingMemoryBound(to: Float.self)
      let perChunk = chunkSize(items: rows, bytesEach: Int(stored.row_bytes) * 4)
      parallelFor((rows + perChunk - 1) / perChunk) { chunk, worker in
        var view = stored
        let first = chunk * perChunk
        lull_quant_dot(
          &view, Int64(first), Int64(min(perChunk, rows - first)), x, Int64(m), Int64(columns), y,
          Int64(rows), scratchPointer + worker * columns)
      }
    }
  }

  /// Chunks of some 100 KB of codes: about 10 us of work, enough to hide a claim.
  private func chunkSize(items: Int, bytesEach: Int) -> Int {
    max(1, min((items + 1) / 2, 100_000 / max(bytesEach, 1)))
  }

  /// y[m, rows] = x[m, columns] @ W.T, the panels of W's rows shared out among the threads.
  private func manyRows(_ x: UnsafePointer<Float>, _ m: Int, _ y: UnsafeMutablePointer<Float>)
    throws(ArrayError)
  {
    let (rows, columns) = (weight.rows, weight.columns)
    let threads = Int(lull_thread_count())
    // About 128 rows a panel (half a core's second-level cache), a multiple of the threads of them.
    let rounds = max(1, (rows + threads * 128 - 1) / (threads * 128))
    let panel = ((rows + rounds * threads - 1) / (rounds * threads) + 15) / 16 * 16
    let scratch = try Buffer(byteCount: threads * panel * columns * 4)
    let scratchPointer = scratch.pointer.assumingMemoryBound(to: Float.self)
    try requireBLAS()
    let packed = try weight.packedTiles()
    try weight.withStored { (stored) throws(ArrayError) in
      parallelFor((rows + panel - 1) / panel) { chunk, worker in
        let first = chunk * panel
        let count = min(panel, rows - first)
        let b = scratchPointer + worker * panel * columns
        if let packed {
          var view = stored
          lull_packed_columns(
            &view, packed, Int64(first / 16), Int64((count + 15) / 16), b, Int64(panel))
          cblas_sgemm(
            CblasRowMajor, CblasNoTrans, CblasNoTrans, Int32(m), Int32(count), Int32(columns), 1,
            x, Int32(columns), b, Int32(panel), 0, y + first, Int32(rows))
        } else {
          var view = stored
          lull_quant_rows(&view, Int64(first), Int64(count), b, Int64(columns))
          cblas_sgemm(
            CblasRowMajor, CblasNoTrans, CblasTrans, Int32(m), Int32(count), Int32(columns), 1, x,
            Int32(columns), b, Int32(columns), 0, y + first, Int32(rows))
        }
      }
    }
  }

  /// y[m, columns] = x[m, rows] @ W: each thread takes some rows of x and goes over all panels.
  private func product(_ x: UnsafePointer<Float>, _ m: Int, _ y: UnsafeMutablePointer<Float>)
    throws(ArrayError)
  {
    let (rows, columns) = (weight.rows, weight.columns)
    let threads = Int(lull_thread_count())
    let panel = min(128, (rows + 15) / 16 * 16)
    let scratch = try Buffer(byteCount: threads * panel * columns * 4)
    let scratchPointer = scratch.pointer.assumingMemoryBound(to: Float.self)
    try requireBLAS()
    let packed = try weight.packedTiles()
    let share = (m + threads - 1) / threads
    try weight.withStored { (stored) throws(ArrayError) in
      parallelFor((m + share - 1) / share) { chunk, worker in
        let firstRow = chunk * share
        let count = min(share, m - firstRow)
        let b = scratchPointer + worker * panel * columns
        let out = y + firstRow * columns
        var first = 0
        while first < rows {
          let n = min(panel, rows - first)
          let xPanel = x + firstRow * rows + first
          let beta: Float = first == 0 ? 0 : 1
          if let packed {
            var view = stored
            lull_packed_columns(
              &view, packed, Int64(first / 16), Int64((n + 15) / 16), b, Int64(panel))
            cblas_sgemm(
              CblasRowMajor, CblasNoTrans, CblasTrans, Int32(count), Int32(columns), Int32(n), 1,
              xPanel, Int32(rows), b, Int32(panel), beta, out, Int32(columns))
          } else {
            var view = stored
            lull_quant_rows(&view, Int64(first), Int64(n), b, Int64(columns))
            cblas_sgemm(
              CblasRowMajor, CblasNoTrans, CblasNoTrans, Int32(count), Int32(columns), Int32(n), 1,
              xPanel, Int32(rows), b, Int32(columns), beta, out, Int32(columns))
          }
          first += panel
        }
      }
    }
  }

  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    let x = out.input(0)
    let back = try quantizedMatmul(cotangent, weight, transpose: !transpose)
    // The expanded matrix's gradient, of which scales and biases have their sums.
    func rows(_ y: NDArray) throws(ArrayError) -> NDArray {
      try y.reshaped([-1, y.shape.last ?? 1])
    }
    let (a, b) = try transpose ? (rows(cotangent), rows(x)) : (rows(x), rows(cotangent))
    if let plain = weight.plain { return [back, try matmul(a.transposed, b).astype(plain.dtype)] }
    guard case .affine = weight.format else { return [back] + weight.arrays.map { _ in nil } }
    return try [back] + weight.scaleGradients(matmul(a.transposed, b))
  }

  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    if batch.isBatched.dropFirst().contains(true) { return try batch.loop(out, self) }
    return NDArray(
      self, shape: try batch.shape(out.shape), dtype: out.dtype, inputs: batch.inputs)
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    try quantizedMatmul(
      inputs[0], weight.replacing(Array(inputs.dropFirst())), transpose: transpose,
      activationBits: activationBits)
  }
  func rejectsGradient(of i: Int) -> String? {
    i == 0 ? nil : weight.rejectsGradient(ofArray: i - 1)
  }
  func holdsInput(_ i: Int) -> Bool { i > 0 }
  func replacing(_ inputs: [NDArray]) -> any Primitive {
    QuantizedMatmul(
      weight: weight.over(Array(inputs.dropFirst())), activationBits: activationBits,
      transpose: transpose)
  }
}

/// Rows of a quantised weight as float32: an embedding.
struct QuantizedRows: Primitive, Codable {
  let weight: QuantizedWeight
  var name: OperationName { "take" }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    let indices = try out.input(0).rowContiguous()
    try out.allocate()
    let index = indices.pointer(as: Int32.self)
    let (rows, columns) = (weight.rows, weight.columns)
    for i in 0..<indices.size {
      let row = Int(index[i])
      if row >= rows || row < -rows {
        throw .indexOutOfRange(op: name, index: row, axis: 0, size: rows)
      }
    }
    let y = out.pointer(as: Float.self)
    try weight.withStored { (stored) throws(ArrayError) in
      let perChunk = max(1, 4096 / max(columns, 1))
      parallelFor((indices.size + perChunk - 1) / perChunk) { chunk, _ in
        var view = stored
        for i in chunk * perChunk..<min((chunk + 1) * perChunk, indices.size) {
          let row = Int64(index[i] < 0 ? Int(index[i]) + rows : Int(index[i]))
          lull_quant_rows(&view, row, 1, y + i * columns, Int64(columns))
        }
      }
    }
    if lull_interrupt_raised() != 0 { throw .interrupted }
  }

  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    [nil] + weight.arrays.map { _ in nil }
  }

  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    if batch.isBatched.dropFirst().contains(true) { return try batch.loop(out, self) }
    return NDArray(
      self, shape: try batch.shape(out.shape), dtype: out.dtype, inputs: batch.inputs)
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    try quantizedTake(weight.replacing(Array(inputs.dropFirst())), inputs[0])
  }
  func holdsInput(_ i: Int) -> Bool { i > 0 }
  func replacing(_ inputs: [NDArray]) -> any Primitive {
    QuantizedRows(weight: weight.over(Array(inputs.dropFirst())))
  }
  func rejectsGradient(of i: Int) -> String? {
    i == 0 ? positionsHaveNoGradient : codesHaveNoGradient
  }
}

/// The product of x with a quantised weight W [rows, columns]: x @ W.T, or x @ W without `transpose`.
/// The dtype is x's, the computation float32, or with `activationBits` in integers of so many bits where the weight and
/// the machine have such products.
public func quantizedMatmul(
  _ x: NDArray, _ weight: QuantizedWeight, transpose: Bool = true, activationBits: Int? = nil
) throws(ArrayError) -> NDArray {
  let inner = transpose ? weight.columns : weight.rows
  guard let last = x.shape.last, last == inner else {
    throw .shapeMismatch(
      op: "quantized_matmul", lhs: x.shape.array, rhs: [weight.rows, weight.columns],
      reason: "the last axis of x must have the weight's "
        + (transpose ? "column count \(inner)" : "row count \(inner)"))
  }
  guard x.dtype.isFloating else {
    throw .argument(
      op: "quantized_matmul", message: "needs a floating-point x, not \(x.dtype.name)")
  }
  var shape = x.shape
  shape[shape.count - 1] = transpose ? weight.rows : weight.columns
  _ = try shape.elementCount(op: "quantized_matmul")
  let x32 = x.astype(.float32)
  let product = NDArray(
    QuantizedMatmul(weight: weight, activationBits: activationBits, transpose: transpose),
    shape: shape,
    dtype: .float32,
    inputs: [x32] + weight.arrays)
  return product.astype(x.dtype)
}

/// Rows of a quantised weight, dequantised: [indices..., columns] float32.
public func quantizedTake(_ weight: QuantizedWeight, _ indices: NDArray) throws(ArrayError)
  -> NDArray
{
  guard indices.dtype.isInteger else {
    throw .dtype(op: "take", found: indices.dtype, needed: "integer indices")
  }
  guard indices.rank < Shape.maxRank else {
    throw .tooManyDimensions(op: "take", count: indices.rank + 1)
  }
  var shape = indices.shape
  shape.append(weight.columns)
  _ = try shape.elementCount(op: "take")
  return NDArray(
    QuantizedRows(weight: weight), shape: shape, dtype: .float32,
    inputs: [indices.astype(.int32)] + weight.arrays)
}

/// The whole weight as float32 [rows, columns].
public func dequantize(_ weight: QuantizedWeight) throws(ArrayError) -> NDArray {
  _ = try Shape.checked([weight.rows, weight.columns], op: "dequantize")
  return NDArray(
    Dequantize(weight: weight), shape: [weight.rows, weight.columns], dtype: .float32,
    inputs: weight.arrays)
}

struct Dequantize: Primitive, Codable {
  let weight: QuantizedWeight
  var name: OperationName { "dequantize" }
  func evaluate(_ out: NDArray) throws(ArrayError) {
    try out.allocate()
    let y = out.pointer(as: Float.self)
    let (rows, columns) = (weight.rows, weight.columns)
    try weight.withStored { (stored) throws(ArrayError) in
      let perChunk = max(1, 16384 / max(columns, 1))
      parallelFor((rows + perChunk - 1) / perChunk) { chunk, _ in
        var view = stored
        let first = chunk * perChunk
        lull_quant_rows(
          &view, Int64(first), Int64(min(perChunk, rows - first)), y + first * columns,
          Int64(columns))
      }
    }
    if lull_interrupt_raised() != 0 { throw .interrupted }
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    try weight.scaleGradients(cotangent)
  }
  func rejectsGradient(of i: Int) -> String? { weight.rejectsGradient(ofArray: i) }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    try dequantize(weight.replacing(inputs))
  }
  func holdsInput(_ i: Int) -> Bool { true }
  func replacing(_ inputs: [NDArray]) -> any Primitive { Dequantize(weight: weight.over(inputs)) }
}
