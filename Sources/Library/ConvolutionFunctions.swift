// Convolutions of `mlx.core`.

import Engine
import Language

private func plain(_ axes: Int) -> Builtin {
  let shape = [String](repeating: "2", count: axes).joined(separator: ", ")
  let (image, kernel) = ("mx.ones((1, \(shape), 1))", "mx.ones((1, \(shape), 1))")
  let open = String(repeating: "[", count: axes + 2)
  let close = String(repeating: "]", count: axes + 2)
  let op: OperationName = axes == 1 ? "conv1d" : axes == 2 ? "conv2d" : "conv3d"
  return function(
    "conv\(axes)d", "input, weight, /, stride=1, padding=0, dilation=1, groups=1", "convolution",
    "Convolution of input [N, \(axes) spatial, C] with weight [outputs, \(axes) spatial, C / groups].",
    [
      ">>> mx.conv\(axes)d(\(image), \(kernel))\narray(\(open)\(1 << axes)\(close), dtype=float32)"
    ]
  ) { a in
    let padding = try a.ints(3)
    return try convolution(
      a.array(0), a.array(1), stride: a.ints(2), low: padding, high: padding,
      kernelDilation: a.ints(4), groups: a.int(5),
      axes: axes == 1 ? nil : axes, op: op)  // conv1d takes more axes too, as MLX has it
  }
}

private func transposed(_ axes: Int) -> Builtin {
  let ones = [String](repeating: "1", count: axes).joined(separator: ", ")
  let twos = [String](repeating: "2", count: axes).joined(separator: ", ")
  let op: OperationName =
    axes == 1 ? "conv_transpose1d" : axes == 2 ? "conv_transpose2d" : "conv_transpose3d"
  return function(
    "conv_transpose\(axes)d",
    "input, weight, /, stride=1, padding=0, dilation=1, output_padding=0, groups=1", "convolution",
    "Transposed convolution: the gradient of conv\(axes)d for its input.",
    [
      ">>> mx.conv_transpose\(axes)d(mx.ones((1, \(ones), 1)), mx.ones((3, \(twos), 1)), stride=2).shape\n(1, \(twos), 3)"
    ]
  ) { a in
    try transposedConvolution(
      a.array(0), a.array(1), stride: a.ints(2), padding: a.ints(3), dilation: a.ints(4),
      outputPadding: a.ints(5), groups: a.int(6), axes: axes, op: op)
  }
}

public let convolutionFunctions: [Builtin] = [
  plain(1), plain(2), plain(3), transposed(1), transposed(2), transposed(3),
  function(
    "conv_general",
    "input, weight, /, stride=1, padding=0, kernel_dilation=1, input_dilation=1, groups=1, flip=False",
    "convolution",
    "Convolution over one to three spatial axes; padding may be a pair of lists, (low, high).",
    [
      ">>> mx.conv_general(mx.array([[[1.0], [2.0]]]), mx.array([[[1.0], [10.0]]]), padding=([1], [0]))\narray([[[10],\n        [21]]], dtype=float32)"
    ],
    fails: [("mx.conv_general(mx.ones((1, 3, 2)), mx.ones((1, 2, 1)))", "ShapeError")]
  ) { a in
    let value = a.args[3]
    var (low, high): ([Int], [Int])
    let parts = value.isList || value.isTuple ? Array(value.elements) : []
    if parts.count == 2, parts.allSatisfy({ $0.isList || $0.isTuple }) {
      let wrong = { (what: String) in LullError.typeError("conv_general: padding must be \(what)") }
      (low, high) = (try intSequence(parts[0], wrong), try intSequence(parts[1], wrong))
    } else {
      low = try a.ints(3)
      high = low
    }
    return try convolution(
      a.array(0), a.array(1), stride: a.ints(2), low: low, high: high, kernelDilation: a.ints(4),
      inputDilation: a.ints(5), groups: a.int(6), flip: a.bool(7))
  },
  function(
    "convolve", "a, v, /, mode='full'", "convolution",
    "Convolution of two vectors: mode 'full', 'same' or 'valid'.",
    [
      ">>> mx.convolve(mx.array([1.0, 2.0]), mx.array([1.0, 10.0]))\narray([1, 12, 20], dtype=float32)"
    ],
    fails: [("mx.convolve(mx.ones((2,)), mx.ones((0,)))", "ValueError")]
  ) { try convolve($0.array(0), $0.array(1), mode: $0.string(2)) },
]
