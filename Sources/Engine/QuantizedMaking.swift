// Quantising: float arrays to MLX's affine codes, scales and biases.

import Kernels

struct Quantize: MultiOutputPrimitive, Codable {
  let bits: Int
  let group: Int
  var name: OperationName { "quantize" }

  func evaluateMultiple(_ out: NDArray) throws(ArrayError) -> [NDArray] {
    let w = try out.input(0).rowContiguous()
    let columns = w.shape[w.rank - 1]
    var codeShape = w.shape
    codeShape[w.rank - 1] = columns * bits / 32
    var groupShape = w.shape
    groupShape[w.rank - 1] = columns / group
    let codes = try NDArray(uninitialized: codeShape, dtype: .uint32)
    let scales = try NDArray(uninitialized: groupShape, dtype: .float32)
    let biases = try NDArray(uninitialized: groupShape, dtype: .float32)
    let groups = scales.size
    let from = w.pointer(as: Float.self)
    let (to, s, b) = (
      codes.pointer(as: UInt8.self), scales.pointer(as: Float.self), biases.pointer(as: Float.self)
    )
    let perChunk = max(1, 16384 / group)
    parallelFor((groups + perChunk - 1) / perChunk) { chunk, _ in
      let first = chunk * perChunk
      lull_quantize_affine(
        from + first * group, Int64(min(perChunk, groups - first)), Int32(group), Int32(bits),
        to + first * group * bits / 8, s + first, b + first)
    }
    if lull_interrupt_raised() != 0 { throw .interrupted }
    return [codes, scales, biases]
  }

  func vjpMultiple(_ out: NDArray, _ cotangents: [NDArray?]) throws(ArrayError) -> [NDArray?] {
    throw .notDifferentiable(op: name, reason: "rounding to codes has no gradient")
  }
  func vmapMultiple(_ out: NDArray, _ outputs: [(Shape, DType)], _ batch: Batch)
    throws(ArrayError) -> [NDArray]
  {
    var shapes: [Shape] = []
    for (shape, _) in outputs { shapes.append(try batch.shape(shape)) }
    return NDArray.outputs(
      of: self, shapes: shapes, dtypes: outputs.map { $0.1 }, inputs: batch.inputs)
  }
  func rebuildMultiple(_ inputs: [NDArray], like old: [NodeShape]) throws(ArrayError) -> [NDArray] {
    let (codes, scales, biases) = try quantize(inputs[0], group: group, bits: bits)
    return [codes, scales, biases]
  }
}

/// MLX's affine quantisation over groups of the last axis: (codes uint32, scales, biases). Scales and biases have
/// the dtype of `w`.
public func quantize(_ w: NDArray, group: Int = 64, bits: Int = 4) throws(ArrayError)
  -> (codes: NDArray, scales: NDArray, biases: NDArray)
{
  func bad(_ message: String) -> ArrayError { .argument(op: "quantize", message: message) }
  guard [2, 3, 4, 5, 6, 8].contains(bits) else {
    throw bad("bits must be 2, 3, 4, 5, 6 or 8, not \(bits)")
  }
  guard [32, 64, 128].contains(group) else {
    throw bad("group_size must be 32, 64 or 128, not \(group)")
  }
  guard w.rank >= 2 else {
    throw .rank(op: "quantize", shape: w.shape.array, needed: "a matrix (or several)")
  }
  guard w.dtype.isFloating else {
    throw bad("needs floating-point values, not \(w.dtype.name)")
  }
  let columns = w.shape[w.rank - 1]
  guard columns % group == 0, columns > 0 else {
    throw bad("the last axis, \(columns), must be a multiple of group_size \(group)")
  }
  var codeShape = w.shape
  codeShape[w.rank - 1] = columns * bits / 32
  var groupShape = w.shape
  groupShape[w.rank - 1] = columns / group
  let made = NDArray.outputs(
    of: Quantize(bits: bits, group: group), shapes: [codeShape, groupShape, groupShape],
    dtypes: [.uint32, .float32, .float32], inputs: [w.astype(.float32)])
  return (made[0], made[1].astype(w.dtype), made[2].astype(w.dtype))
}
