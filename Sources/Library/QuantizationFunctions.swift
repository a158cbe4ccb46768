// Quantisation, products with quantised and with selected matrices.

import Engine
import Language

/// (bits, group size) as given, or the mode's own.
private func settings(_ a: ArrayArgs, _ mode: String, group: Int, bits: Int) throws
  -> (bits: Int, group: Int)
{
  let isAffine = mode == "affine"
  return (
    try a.optionalInt(bits) ?? (mode == "mxfp8" ? 8 : 4),
    try a.optionalInt(group) ?? (isAffine ? 64 : mode == "nvfp4" ? 16 : 32)
  )
}

private func floatMode(_ name: String, _ op: String) throws -> QuantizedWeight.FloatMode {
  guard let mode = QuantizedWeight.FloatMode(rawValue: name) else {
    throw LullError.valueError(
      "\(op): unknown mode '\(name)': affine, mxfp4, mxfp8 and nvfp4 are known")
  }
  return mode
}

/// A weight that is one object: of a GGUF file, or an array of floats given without scales.
private func whole(_ a: ArrayArgs, _ op: OperationName, w: Int) throws -> QuantizedWeight? {
  if let weight = a.args[w].native(QuantizedWeight.self) { return weight }
  guard !a.has(w + 1), let x = a.args[w].ndarray, x.dtype.isFloating else { return nil }
  return try QuantizedWeight(plain: x, op: op)
}

/// The packed weight of a product: w, scales and biases side by side, then where its settings are.
private func operand(
  _ a: ArrayArgs, _ op: String, w: Int, group: Int, bits: Int, mode: Int
) throws -> QuantizedOperand {
  guard a.has(w + 1) else {
    throw LullError.typeError("\(op): a packed weight needs its scales")
  }
  let name = try a.string(mode)
  let (bits, group) = try settings(a, name, group: group, bits: bits)
  return QuantizedOperand(
    codes: try a.array(w), scales: try a.array(w + 1), biases: try a.optionalArray(w + 2),
    group: group, bits: bits, mode: name)
}

public let quantizationFunctions: [Builtin] = [
  special(
    "quantize", "w, /, group_size=None, bits=None, mode='affine', *, global_scale=None",
    "quantization",
    "(codes, scales, biases) of w, quantised over groups of the last axis; floating-point modes have no biases.",
    [
      ">>> [x.shape for x in mx.quantize(mx.ones((2, 64)))]\n[(2, 8), (2, 1), (2, 1)]",
      ">>> [x.shape for x in mx.quantize(mx.ones((2, 64)), mode='nvfp4')]\n[(2, 8), (2, 4)]",
    ]
  ) { a in
    let name = try a.string(3)
    if name == "affine" {
      if a.has(4) {
        throw LullError.valueError("quantize: global_scale belongs to 'nvfp4', not 'affine'")
      }
      let made = try quantize(
        a.array(0), group: a.optionalInt(1) ?? 64, bits: a.optionalInt(2) ?? 4)
      return tuple([made.codes, made.scales, made.biases])
    }
    let made = try quantize(
      a.array(0), mode: floatMode(name, "quantize"), group: a.optionalInt(1),
      bits: a.optionalInt(2), globalScale: a.optionalArray(4))
    return tuple([made.codes, made.scales])
  },
  function(
    "dequantize",
    "w, /, scales=None, biases=None, group_size=None, bits=None, mode='affine', global_scale=None, dtype=None",
    "quantization", "A quantised weight as an array of floats.",
    [
      ">>> mx.dequantize(mx.zeros((1, 4), dtype=mx.uint32), mx.ones((1, 1)), mx.ones((1, 1)), group_size=32, bits=4).sum()\narray(32, dtype=float32)"
    ]
  ) { a in
    if let weight = a.args[0].native(QuantizedWeight.self) {
      return try dequantize(weight).astype(a.dtype(7) ?? .float32)
    }
    let w = try operand(a, "dequantize", w: 0, group: 3, bits: 4, mode: 5)
    return try dequantize(
      w.codes, scales: w.scales, biases: w.biases, group: w.group, bits: w.bits, mode: w.mode,
      dtype: a.dtype(7), globalScale: a.optionalArray(6))
  },
  function(
    "quantized_matmul",
    "x, w, /, scales=None, biases=None, transpose=True, group_size=None, bits=None, mode='affine', *, activation_bits=None",
    "quantization",
    "x @ w.T (or x @ w) with a quantised w: packed as MLX packs it, or a weight of a GGUF file. Without scales w is an array of floats (of 16 or 32 bits), read as it is. activation_bits 16 or 8 allows to round x to integers of so many bits with a scale for each 32 columns, which is faster (some 5e-5 and 1e-2 of the result); layers take 16 in evaluation mode, see nn.activation_bits.",
    [
      ">>> mx.quantized_matmul(mx.ones((1, 32)), mx.zeros((1, 4), dtype=mx.uint32), mx.ones((1, 1)), mx.ones((1, 1)), group_size=32, bits=4)\narray([[32]], dtype=float32)"
    ]
  ) { a in
    let bits = try a.optionalInt(8)
    guard bits == nil || bits == 16 || bits == 8 else {
      throw LullError.valueError(
        "quantized_matmul: activation_bits is None, 16 or 8, not \(bits ?? 0)")
    }
    if let weight = try whole(a, "quantized_matmul", w: 1) {
      return try gatherQuantizedMatmul(
        a.array(0), weight, transpose: a.bool(4), activationBits: bits, op: "quantized_matmul")
    }
    return try gatherQuantizedMatmul(
      a.array(0), operand(a, "quantized_matmul", w: 1, group: 5, bits: 6, mode: 7),
      transpose: a.bool(4), activationBits: bits, op: "quantized_matmul")
  },
  function(
    "gather_qmm",
    "x, w, /, scales=None, biases=None, lhs_indices=None, rhs_indices=None, transpose=True, group_size=None, bits=None, mode='affine', global_scale=None, *, sorted_indices=False",
    "quantization",
    "quantized_matmul for the pairs of matrices that indices pick from the batches; w may be the stack of experts of a GGUF file.",
    [
      ">>> w, s, b = mx.quantize(mx.ones((3, 2, 64)))\n>>> mx.gather_qmm(mx.ones((1, 1, 64)), w, s, b, rhs_indices=mx.array([2, 0])).shape\n(2, 1, 2)"
    ]
  ) { a in
    if let weight = try whole(a, "gather_qmm", w: 1) {
      return try gatherQuantizedMatmul(
        a.array(0), weight, left: a.optionalArray(4), right: a.optionalArray(5),
        transpose: a.bool(6))
    }
    return try gatherQuantizedMatmul(
      a.array(0), operand(a, "gather_qmm", w: 1, group: 7, bits: 8, mode: 9),
      left: a.optionalArray(4), right: a.optionalArray(5), transpose: a.bool(6),
      globalScale: a.optionalArray(10))
  },
  function(
    "gather_qqmm",
    "x, w, /, scales=None, lhs_indices=None, rhs_indices=None, group_size=None, bits=None, mode='nvfp4', global_scale_x=None, global_scale_w=None, *, sorted_indices=False",
    "quantization", "qqmm for the pairs of matrices that indices pick from the batches.",
    [
      ">>> w = 6 * mx.ones((3, 2, 16))\n>>> mx.gather_qqmm(6 * mx.ones((1, 1, 16)), w, rhs_indices=mx.array([2, 0])).shape\n(2, 1, 2)"
    ]
  ) { a in
    try doublyQuantizedMatmul(
      a.array(0), a.array(1), scales: a.optionalArray(2),
      mode: floatMode(a.string(7), "gather_qqmm"),
      group: a.optionalInt(5), bits: a.optionalInt(6), globalX: a.optionalArray(8),
      globalW: a.optionalArray(9), isGathered: true, left: a.optionalArray(3),
      right: a.optionalArray(4),
      op: "gather_qqmm")
  },
  function(
    "qqmm",
    "x, w, scales=None, group_size=None, bits=None, mode='nvfp4', global_scale_x=None, global_scale_w=None",
    "quantization",
    "x @ w.T with x rounded to a floating-point mode, and w given quantised or rounded too.",
    [">>> mx.qqmm(6 * mx.ones((1, 16)), 6 * mx.ones((2, 16)))\narray([[576, 576]], dtype=float32)"]
  ) { a in
    try doublyQuantizedMatmul(
      a.array(0), a.array(1), scales: a.optionalArray(2), mode: floatMode(a.string(5), "qqmm"),
      group: a.optionalInt(3), bits: a.optionalInt(4), globalX: a.optionalArray(6),
      globalW: a.optionalArray(7))
  },
  function(
    "to_fp8", "x", "quantization",
    "Codes of eight bits, four of them exponent; what is larger than 448 becomes 448.",
    [">>> mx.to_fp8(mx.array([1.0, -2.0, 1000.0]))\narray([56, 192, 126], dtype=uint8)"]
  ) { try toFloat8($0.array(0)) },
  function(
    "from_fp8", "x, dtype=None", "quantization",
    "The values of eight-bit codes; bfloat16 unless told.",
    [
      ">>> mx.from_fp8(mx.array([56, 192, 126], dtype=mx.uint8), mx.float32)\narray([1, -2, 448], dtype=float32)"
    ]
  ) { try fromFloat8($0.array(0), dtype: $0.dtype(1) ?? .bfloat16) },
  function(
    "gather_mm", "a, b, /, lhs_indices=None, rhs_indices=None, *, sorted_indices=False",
    "linear algebra", "a @ b for the pairs of matrices that indices pick from the batches.",
    [
      ">>> b = mx.array([[[1.0]], [[10.0]]])\n>>> mx.gather_mm(mx.ones((1, 1)), b, rhs_indices=mx.array([1, 0, 1])).flatten()\narray([10, 1, 10], dtype=float32)"
    ]
  ) {
    try gatherMatmul(
      $0.array(0), $0.array(1), left: $0.optionalArray(2), right: $0.optionalArray(3))
  },
  function(
    "segmented_mm", "a, b, /, segments", "linear algebra",
    "a[:, i:j] @ b[i:j] for each segment (i, j).",
    [
      ">>> mx.segmented_mm(mx.ones((1, 4)), mx.ones((4, 1)), mx.array([[0, 1], [1, 4]])).flatten()\narray([1, 3], dtype=float32)"
    ]
  ) { try segmentedMatmul($0.array(0), $0.array(1), segments: $0.array(2)) },
  function(
    "block_masked_mm",
    "a, b, /, block_size=64, mask_out=None, mask_lhs=None, mask_rhs=None", "linear algebra",
    "a @ b with blocks of the result and of the factors under masks.",
    [
      ">>> mx.block_masked_mm(mx.ones((1, 64)), mx.ones((64, 1)), 32, None, mx.array([[True, False]]))\narray([[32]], dtype=float32)"
    ]
  ) {
    try blockMaskedMatmul(
      $0.array(0), $0.array(1), block: $0.int(2), out: $0.optionalArray(3),
      left: $0.optionalArray(4), right: $0.optionalArray(5))
  },
  function(
    "hadamard_transform", "a, scale=None", "linear algebra",
    "The last axis (2^k, or 12, 20 or 28 times that) times Hadamard's matrix; scale is 1 / sqrt(n) unless told.",
    [
      ">>> mx.hadamard_transform(mx.array([1.0, 2.0, 3.0, 4.0]), 1.0)\narray([10, -2, -4, 0], dtype=float32)"
    ]
  ) { try hadamardTransform($0.array(0), scale: $0.has(1) ? $0.double(1) : nil) },
]

private func window(
  _ name: String, _ prints: String, _ make: @escaping (Int) throws -> NDArray
) -> Builtin {
  function(
    name, "M", "creation", "The \(name) window of M values.",
    [">>> mx.\(name)(5)\narray(\(prints), dtype=float32)"]
  ) { try make($0.int(0)) }
}

public let windowFunctions: [Builtin] = [
  window("hanning", "[0, 0.5, 1, 0.5, 7.64274e-15]") { try hanning($0) },
  window("hamming", "[0.08, 0.54, 1, 0.54, 0.08]") { try hamming($0) },
  window("blackman", "[0, 0.34, 1, 0.34, 0]") { try blackman($0) },
  window("bartlett", "[0, 0.5, 1, 0.5, 0]") { try bartlett($0) },
]
