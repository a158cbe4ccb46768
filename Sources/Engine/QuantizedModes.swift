// The floating-point codes of MLX (mxfp4, mxfp8, nvfp4): making them, expanding them with a scale over
// all, and products of two quantised arrays.

extension QuantizedWeight.FloatMode {
  /// The largest value that a code stands for.
  var largest: Double { bits == 4 ? 6 : 448 }

  func check(group: Int?, bits: Int?, op: OperationName) throws(ArrayError) {
    guard group ?? self.group == self.group, bits ?? self.bits == self.bits else {
      throw .argument(
        op: op, message: "\(rawValue) has \(self.bits) bits and groups of \(self.group)")
    }
  }
}

/// The factor of nvfp4's codes that belongs to all groups: a float32 number.
private func checkGlobal(
  _ scale: NDArray?, _ mode: QuantizedWeight.FloatMode, op: OperationName
) throws(ArrayError) {
  guard let scale else { return }
  guard mode == .nvfp4 else {
    throw .argument(op: op, message: "global_scale belongs to 'nvfp4', not '\(mode.rawValue)'")
  }
  guard scale.size == 1, scale.dtype == .float32 else {
    throw .argument(
      op: op,
      message: "global_scale must be one float32, not \(scale.dtype.name) of shape \(scale.shape)")
  }
}

/// Floating-point codes (packed in uint32) and the scales (uint8) of groups of the last axis.
public func quantize(
  _ w: NDArray, mode: QuantizedWeight.FloatMode, group: Int? = nil, bits: Int? = nil,
  globalScale: NDArray? = nil
) throws(ArrayError) -> (codes: NDArray, scales: NDArray) {
  let op: OperationName = "quantize"
  try mode.check(group: group, bits: bits, op: op)
  guard w.dtype.isFloating else {
    throw .argument(op: op, message: "needs floating-point values, not \(w.dtype.name)")
  }
  guard w.rank >= 2 else {
    throw .rank(op: op, shape: w.shape.array, needed: "a matrix (or several)")
  }
  guard w.columns % mode.group == 0, w.columns > 0, w.columns * mode.bits % 32 == 0 else {
    throw .argument(
      op: op, message: "the last axis, \(w.columns), must be a multiple of \(mode.group)")
  }
  try checkGlobal(globalScale, mode, op: op)
  let dtype = w.dtype
  func number(_ value: Double) throws(ArrayError) -> NDArray {
    try NDArray.weak(.float(value), like: dtype)
  }
  let groups = w.size / mode.group
  var values = try w.reshaped([groups, mode.group] as Shape)
  var scales =
    try groups == 0
    ? NDArray.zeros([0, 1], dtype: dtype)
    : divide(max(abs(values), axes: [-1], keepdims: true), number(mode.largest))
  if mode == .nvfp4 {
    let factor: NDArray
    if let globalScale {
      factor = try divide(NDArray(.float(448 * 6), dtype: .float32), globalScale.reshaped(Shape()))
    } else {
      factor = try NDArray(.float(1), dtype: .float32)
    }
    scales = try toFloat8(multiply(scales, factor))
    values = try multiply(divide(values, fromFloat8(scales, dtype: dtype)), factor)
  } else {
    // The exponent of a power of two that is not smaller, 127 more: nothing is cut off.
    let zero = try number(0)
    let exponent = try ceil(log2(scales)).astype(.int32).astype(dtype)
    let power = try `where`(equal(scales, zero), zero, exponent)
    values = try divide(values, Engine.power(number(2), power))
    scales = try add(power, NDArray(.int(127), dtype: .int32)).astype(.uint8)
  }
  var codeShape = w.shape
  codeShape[w.rank - 1] = w.columns * mode.bits / 32
  var scaleShape = w.shape
  scaleShape[w.rank - 1] = w.columns / mode.group
  let codes: NDArray
  if mode.bits == 4 {
    let table = try NDArray(
      [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6] as [Double]
    ).astype(dtype)
    if groups == 0 {
      codes = try NDArray.zeros(codeShape, dtype: .uint32)
    } else {
      let nearest = try argmin(abs(subtract(expandDims(values, [-1]), table)), axis: -1)
      let shifts = try NDArray((0..<8).map { 1 << (4 * $0) }, dtype: .uint32)
      codes = try sum(multiply(nearest.reshaped([-1, 8]), shifts), axes: [-1]).reshaped(codeShape)
    }
  } else {
    codes = try toFloat8(values).reshaped(w.shape).view(as: .uint32)
  }
  return (codes, try scales.reshaped(scaleShape))
}

/// The scales of nvfp4 as floats, times the factor over all.
func dequantize(
  _ codes: NDArray, _ scales: NDArray, mode: QuantizedWeight.FloatMode, dtype: DType,
  globalScale: NDArray?
) throws(ArrayError) -> NDArray {
  try checkGlobal(globalScale, mode, op: "dequantize")
  let plain = try QuantizedWeight(
    codes: codes, scales: scales, biases: nil, group: mode.group, bits: mode.bits,
    mode: mode.rawValue)
  guard let globalScale else { return try dequantize(plain).astype(dtype) }
  // The codes alone have scales of 1, which is code 56.
  let ones = try NDArray.full(scales.shape, .int(56), dtype: .uint8)
  let units = try QuantizedWeight(
    codes: codes, scales: ones, biases: nil, group: mode.group, bits: mode.bits,
    mode: mode.rawValue)
  let values = try dequantize(units).astype(dtype)
  let factor = try divide(globalScale.reshaped(Shape()), NDArray(.float(448 * 6), dtype: dtype))
  let each = try multiply(fromFloat8(scales, dtype: dtype), factor)
  let groups = try values.reshaped([scales.shape[0], scales.shape[1], mode.group] as Shape)
  return try multiply(groups, expandDims(each, [-1])).reshaped([plain.rows, plain.columns])
    .astype(dtype)
}

/// Codes of any rank, expanded: leading axes are kept.
public func dequantize(
  _ codes: NDArray, scales: NDArray, biases: NDArray?, group: Int, bits: Int, mode: String,
  dtype: DType?, globalScale: NDArray? = nil
) throws(ArrayError) -> NDArray {
  let op: OperationName = "dequantize"
  guard codes.rank >= 2, scales.rank == codes.rank else {
    throw .argument(
      op: op,
      message: "codes need two dimensions or more, and scales as many, not \(codes.shape) and "
        + "\(scales.shape)")
  }
  for i in 0..<(codes.rank - 1) where codes.shape[i] != scales.shape[i] {
    throw .shapeMismatch(
      op: op, lhs: codes.shape.array, rhs: scales.shape.array, reason: "axis \(i) differs")
  }
  if let dtype, !dtype.isFloating {
    throw .argument(op: op, message: "the result needs a float dtype, not \(dtype.name)")
  }
  func matrix(_ x: NDArray) throws(ArrayError) -> NDArray {
    try x.reshaped([x.matrixCount * x.rows, x.columns] as Shape)
  }
  var shape = codes.shape
  let flat: NDArray
  if let float = QuantizedWeight.FloatMode(rawValue: mode) {
    guard biases == nil else { throw .argument(op: op, message: "\(mode) has no biases") }
    try float.check(group: group, bits: bits, op: op)
    flat = try dequantize(
      matrix(codes), matrix(scales), mode: float, dtype: dtype ?? .bfloat16,
      globalScale: globalScale)
  } else {
    if globalScale != nil {
      throw .argument(op: op, message: "global_scale belongs to 'nvfp4', not '\(mode)'")
    }
    let common = biases.map { DType.promoted(scales.dtype, $0.dtype) } ?? scales.dtype
    var offsets: NDArray?
    if let biases {
      guard biases.shape == scales.shape else {
        throw .shapeMismatch(
          op: op, lhs: scales.shape.array, rhs: biases.shape.array,
          reason: "scales and biases have one shape")
      }
      offsets = try matrix(biases.astype(common))
    }
    let weight = try QuantizedWeight(
      codes: matrix(codes), scales: matrix(scales.astype(common)), biases: offsets, group: group,
      bits: bits, mode: mode)
    flat = try dequantize(weight).astype(dtype ?? common)
  }
  shape[shape.count - 1] = flat.columns
  return try flat.reshaped(shape)
}

/// x @ w.T (for the pairs of matrices that indices pick, if `isGathered`) with both rounded to codes of a mode; w is given as codes with scales, or as floats.
public func doublyQuantizedMatmul(
  _ x: NDArray, _ w: NDArray, scales: NDArray?, mode: QuantizedWeight.FloatMode, group: Int?,
  bits: Int?, globalX: NDArray? = nil, globalW: NDArray? = nil, isGathered: Bool = false,
  left: NDArray? = nil, right: NDArray? = nil, op: OperationName = "qqmm"
) throws(ArrayError) -> NDArray {
  try mode.check(group: group, bits: bits, op: op)
  guard x.dtype.isFloating, x.rank >= 1 else {
    throw .argument(op: op, message: "needs a float x of one dimension or more")
  }
  guard (globalX == nil) == (globalW == nil) else {
    throw .argument(op: op, message: "give both global scales or none")
  }
  guard w.rank >= 2 else { throw .rank(op: op, shape: w.shape.array, needed: "a matrix as w") }
  func rounded(_ y: NDArray, _ global: NDArray?) throws(ArrayError) -> NDArray {
    let parts = try quantize(y, mode: mode, globalScale: global)
    return try dequantize(
      parts.codes, scales: parts.scales, biases: nil, group: mode.group, bits: mode.bits,
      mode: mode.rawValue, dtype: .float32, globalScale: global)
  }
  let rows = try x.rank == 1 ? expandDims(x, [0]) : x
  let weight: NDArray
  if let scales {
    weight = try dequantize(
      w, scales: scales, biases: nil, group: mode.group, bits: mode.bits, mode: mode.rawValue,
      dtype: .float32, globalScale: globalW)
  } else {
    weight = try rounded(w, globalW)
  }
  guard rows.columns == weight.columns else {
    throw .shapeMismatch(
      op: op, lhs: x.shape.array, rhs: w.shape.array,
      reason: "x has \(rows.columns) columns, the weight \(weight.columns)")
  }
  if isGathered {
    guard x.rank >= 2 else { throw .rank(op: op, shape: x.shape.array, needed: "matrices as x") }
    return try gatherMatmul(rounded(rows, globalX), weight.transposed, left: left, right: right)
      .astype(x.dtype)
  }
  let product = try matmul(rounded(rows, globalX), weight.transposed).astype(x.dtype)
  return try x.rank == 1 ? squeeze(product, [0]) : product
}
