// Convolutions over one to three spatial axes, channels last.
//
// One primitive serves all: strides, uneven padding (negative padding cuts off), dilation of the
// kernel and of the input (which is what a transposed convolution is), groups, a flipped kernel.
// Its gradient for the input is a convolution with input dilation for stride and the weight's
// channels exchanged; that for the weight is a primitive of its own, both linear in each argument.
// The tiles of Kernels/conv.h read the input where it lies. 16-bit floats are widened first.

import Kernels

public struct ConvolutionGeometry: Sendable, Hashable, Codable {
  public var stride: [Int]
  public var low: [Int]
  public var high: [Int]
  public var kernelDilation: [Int]
  public var inputDilation: [Int]
  public var groups: Int
  public var flip: Bool

  var axes: Int { stride.count }

  /// The geometry of the gradient for the input.
  func reversed(input: Shape, kernel: Shape, output: Shape) -> ConvolutionGeometry {
    var g = self
    g.stride = inputDilation
    g.inputDilation = stride
    g.flip.toggle()
    for i in 0..<axes {
      let reach = kernelDilation[i] * (kernel[i + 1] - 1)
      g.low[i] = reach - low[i]
      // So that the size comes out as the input's.
      g.high[i] = inputDilation[i] * (input[i + 1] - 1) - stride[i] * (output[i + 1] - 1) + low[i]
    }
    return g
  }

  /// Calls `body` with the kernels' view, spatial axes filled up to three.
  fileprivate func withKernel<R>(
    input: Shape, kernel: Shape, output: Shape, dtype: DType,
    _ body: (inout LullConv) throws(ArrayError) -> R
  ) throws(ArrayError) -> R {
    var c = LullConv()
    let missing = 3 - axes
    func three(_ value: (Int) -> Int, _ fill: Int = 1) -> (Int64, Int64, Int64) {
      func at(_ i: Int) -> Int64 { i < missing ? Int64(fill) : Int64(value(i - missing)) }
      return (at(0), at(1), at(2))
    }
    c.isDouble = dtype == .float64 ? 1 : 0
    c.images = Int64(input[0])
    c.channels = Int64(input[axes + 1])
    c.outputs = Int64(output[axes + 1])
    c.groups = Int64(groups)
    c.in = three { input[$0 + 1] }
    c.kernel = three { kernel[$0 + 1] }
    c.out = three { output[$0 + 1] }
    c.stride = three { stride[$0] }
    c.low = three({ low[$0] }, 0)
    c.kernelDilation = three { kernelDilation[$0] }
    c.inputDilation = three { inputDilation[$0] }
    c.flip = flip ? 1 : 0
    return try body(&c)
  }
}

struct Convolution: Primitive, Codable {
  let geometry: ConvolutionGeometry
  var name: OperationName { "conv_general" }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    let (x, w) = (try out.input(0).rowContiguous(), try out.input(1).rowContiguous())
    try out.allocate()
    if out.size == 0 { return }
    if x.size == 0 || w.size == 0 {
      out.pointer.initializeMemory(as: UInt8.self, repeating: 0, count: out.byteCount)
      return
    }
    let width = out.dtype.byteCount
    try geometry.withKernel(input: x.shape, kernel: w.shape, output: out.shape, dtype: out.dtype) {
      (c) throws(ArrayError) in
      c.x = UnsafeRawPointer(x.pointer)
      c.weight = UnsafeRawPointer(w.pointer)
      c.y = out.pointer
      let positions = Int(c.out.0 * c.out.1 * c.out.2)
      let threads = Int(lull_thread_count())
      var kept: [Buffer] = []
      let padded = Int(lull_conv_padded_size(&c))
      if padded > 0 {
        let buffer = try Buffer(byteCount: padded * width)
        kept.append(buffer)
        lull_conv_pad(&c, buffer.pointer)
        c.padded = UnsafeRawPointer(buffer.pointer)
      } else {
        let packed = try Buffer(byteCount: Int(lull_conv_packed_size(&c)) * width)
        kept.append(packed)
        c.packed = packed.pointer
        lull_conv_pack(&c)
        if lull_conv_is_ordered(&c) != 0 {
          let order = try Buffer(byteCount: positions * 4)
          kept.append(order)
          lull_conv_order(&c, order.pointer.assumingMemoryBound(to: Int32.self))
          c.order = UnsafePointer(order.pointer.assumingMemoryBound(to: Int32.self))
        }
      }
      c.block = lull_conv_block(&c)
      let block = Int(c.block)
      let scratchBytes = (Int(lull_conv_scratch(&c)) + 63) / 64 * 64
      let scratch = try Buffer(byteCount: padded > 0 ? 64 : scratchBytes * threads)
      let pieces = (positions + block - 1) / block
      let pointer = scratch.pointer
      withUnsafePointer(to: &c) { c in
        parallelFor(Int(c.pointee.images) * pieces) { chunk, worker in
          let first = chunk % pieces * block
          lull_conv(
            c, Int64(chunk / pieces), Int64(first), Int64(Swift.min(block, positions - first)),
            padded > 0 ? pointer : pointer + worker * scratchBytes)
        }
      }
      withExtendedLifetime((kept, scratch)) {}
    }
    if lull_interrupt_raised() != 0 { throw .interrupted }
  }

  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    let (x, w) = (out.input(0), out.input(1))
    return [
      try inputGradient(cotangent, w, geometry, input: x.shape),
      try weightGradient(x, cotangent, geometry, kernel: w.shape),
    ]
  }

  /// Images of several examples are images; weights of several examples are done one by one.
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    if batch.isBatched[1] { return try batch.loop(out, self) }
    let x = batch.inputs[0]
    var flat = Shape(x.shape.dropFirst())
    flat[0] *= batch.size
    var shape = out.shape
    shape[0] *= batch.size
    let all = NDArray(self, shape: shape, dtype: out.dtype, try x.reshaped(flat), batch.inputs[1])
    return try all.reshaped(batch.shape(out.shape))
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    try convolution(
      inputs[0], inputs[1], stride: geometry.stride, low: geometry.low, high: geometry.high,
      kernelDilation: geometry.kernelDilation, inputDilation: geometry.inputDilation,
      groups: geometry.groups, flip: geometry.flip)
  }
}

/// dL/dx out of dL/dy.
private func inputGradient(
  _ g: NDArray, _ w: NDArray, _ geometry: ConvolutionGeometry, input: Shape
) throws(ArrayError) -> NDArray {
  // [groups * O, k, C] to [groups * C, k, O]
  let (axes, groups) = (geometry.axes, geometry.groups)
  let (outputs, depth) = (w.shape[0] / groups, w.shape[axes + 1])
  let kernel = (1...axes).map { w.shape[$0] }
  var turned = try w.reshaped([groups, outputs] + kernel + [depth])
  turned = try swapaxes(turned, 1, axes + 2).reshaped([groups * depth] + kernel + [outputs])
  return NDArray(
    Convolution(geometry: geometry.reversed(input: input, kernel: w.shape, output: g.shape)),
    shape: input, dtype: g.dtype, g, turned)
}

private func weightGradient(
  _ x: NDArray, _ g: NDArray, _ geometry: ConvolutionGeometry, kernel: Shape
) throws(ArrayError) -> NDArray {
  NDArray(ConvolutionWeightGradient(geometry: geometry), shape: kernel, dtype: g.dtype, x, g)
}

/// Inputs: x and dL/dy; the result is dL/dw.
struct ConvolutionWeightGradient: Primitive, Codable {
  let geometry: ConvolutionGeometry
  var name: OperationName { "conv_general" }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    let (x, g) = (try out.input(0).rowContiguous(), try out.input(1).rowContiguous())
    try out.allocate()
    if out.size == 0 { return }
    if x.size == 0 || g.size == 0 {
      out.pointer.initializeMemory(as: UInt8.self, repeating: 0, count: out.byteCount)
      return
    }
    try geometry.withKernel(input: x.shape, kernel: out.shape, output: g.shape, dtype: out.dtype) {
      (c) throws(ArrayError) in
      c.x = UnsafeRawPointer(x.pointer)
      c.y = g.pointer
      let total = Int(lull_conv_weight_pieces(&c))
      let threads = Int(lull_thread_count())
      let each = Swift.max(1, Swift.min(33, (total + 4 * threads - 1) / (4 * threads)))
      let scratchBytes = (Int(lull_conv_weight_scratch(&c, Int64(each))) + 63) / 64 * 64
      let scratch = try Buffer(byteCount: scratchBytes * threads)
      let (result, pointer) = (out.pointer, scratch.pointer)
      withUnsafePointer(to: &c) { c in
        parallelFor((total + each - 1) / each) { chunk, worker in
          let first = chunk * each
          lull_conv_weight(
            c, Int64(first), Int64(Swift.min(each, total - first)), result,
            pointer + worker * scratchBytes)
        }
      }
      withExtendedLifetime(scratch) {}
    }
    if lull_interrupt_raised() != 0 { throw .interrupted }
  }

  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    let (x, g) = (out.input(0), out.input(1))
    return [
      try inputGradient(g, cotangent, geometry, input: x.shape),
      NDArray(
        Convolution(geometry: geometry), shape: g.shape, dtype: g.dtype, x, cotangent),
    ]
  }
  /// The convolution that this is the gradient of says whether the parts fit.
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    guard inputs.count == 2, inputs[0].dtype == inputs[1].dtype else {
      throw .argument(op: name, message: "wrong inputs for the gradient of a weight")
    }
    let (x, g) = (inputs[0], inputs[1])
    let y = try convolution(
      x, NDArray.zeros(old.shape, dtype: g.dtype), stride: geometry.stride, low: geometry.low,
      high: geometry.high, kernelDilation: geometry.kernelDilation,
      inputDilation: geometry.inputDilation, groups: geometry.groups, flip: geometry.flip)
    guard let checked = y.primitive as? Convolution, y.shape == g.shape else {
      throw .shapeMismatch(
        op: name, lhs: y.shape.array, rhs: g.shape.array,
        reason: "the gradient of a weight needs that of the output")
    }
    return try weightGradient(x, g, checked.geometry, kernel: old.shape)
  }
}

// MARK: - Functions

/// The general convolution of `x` [N, spatial..., C] with `w` [O, spatial..., C / groups]. Numbers
/// given once count for all axes.
public func convolution(
  _ x: NDArray, _ w: NDArray, stride: [Int] = [1], low: [Int] = [0], high: [Int] = [0],
  kernelDilation: [Int] = [1], inputDilation: [Int] = [1], groups: Int = 1, flip: Bool = false,
  axes: Int? = nil, op: OperationName = "conv_general"
) throws(ArrayError) -> NDArray {
  let n = axes ?? x.rank - 2
  guard (1...3).contains(n), x.rank == n + 2 else {
    throw .rank(
      op: op, shape: x.shape.array,
      needed: axes.map { "an input of \($0 + 2) dimensions [N, \($0) spatial, C]" }
        ?? "an input [N, spatial..., C] with one to three spatial dimensions")
  }
  guard w.rank == n + 2 else {
    throw .rank(
      op: op, shape: w.shape.array,
      needed: "a weight of \(n + 2) dimensions [outputs, \(n) spatial, channels]")
  }
  let dtype = DType.promoted(x.dtype, w.dtype)
  guard x.dtype.isFloating, dtype.isFloating else {
    throw .argument(
      op: op, message: "needs floating-point arrays, not \(x.dtype.name) and \(w.dtype.name)")
  }
  let channels = x.shape[n + 1]
  guard groups >= 1, channels % groups == 0, w.shape[0] % groups == 0 else {
    throw .argument(
      op: op,
      message: "groups=\(groups) must divide the input's \(channels) channels and the weight's "
        + "\(w.shape[0]) outputs")
  }
  guard channels == groups * w.shape[n + 1] else {
    throw .shapeMismatch(
      op: op, lhs: x.shape.array, rhs: w.shape.array,
      reason: "\(channels) input channels in \(groups) "
        + (groups == 1 ? "group" : "groups") + " need a weight whose last dimension is "
        + "\(channels / groups), not \(w.shape[n + 1])")
  }
  func full(_ list: [Int], _ what: String, _ least: Int) throws(ArrayError) -> [Int] {
    let values = list.count == 1 ? [Int](repeating: list[0], count: n) : list
    guard values.count == n else {
      throw .argument(op: op, message: "\(what) needs 1 or \(n) numbers, not \(values.count)")
    }
    for value in values where value < least || value.magnitude > 1 << 30 {
      throw .argument(op: op, message: "\(what) \(Shape.text(values)) is out of range")
    }
    return values
  }
  let geometry = ConvolutionGeometry(
    stride: try full(stride, "stride", 1), low: try full(low, "padding", -(1 << 30)),
    high: try full(high, "padding", -(1 << 30)),
    kernelDilation: try full(kernelDilation, "kernel_dilation", 1),
    inputDilation: try full(inputDilation, "input_dilation", 1), groups: groups, flip: flip)
  var shape = x.shape
  shape[n + 1] = w.shape[0]
  for i in 0..<n {
    let (size, taps) = (x.shape[i + 1], w.shape[i + 1])
    guard size < 1 << 31, taps < 1 << 24 else { throw .tooLarge(op: op, shape: x.shape.array) }
    let own = size == 0 ? 0 : geometry.inputDilation[i] * (size - 1) + 1
    let room = own + geometry.low[i] + geometry.high[i]
    let reach = geometry.kernelDilation[i] * (taps - 1) + 1
    guard taps > 0, room >= reach else {
      throw .shapeMismatch(
        op: op, lhs: x.shape.array, rhs: w.shape.array,
        reason: "the kernel spans \(Swift.max(reach, 0)) elements of axis \(i + 1), but with its "
          + "padding the input has \(Swift.max(room, 0))")
    }
    shape[i + 1] = (room - reach) / geometry.stride[i] + 1
  }
  _ = try shape.elementCount(op: op)
  for s in [x.shape, shape] where (1...n).reduce(1, { $0 &* s[$1] }) >= 1 << 31 {
    throw .tooLarge(op: op, shape: s.array)
  }
  // float16 and bfloat16 are computed in float32.
  let work: DType = dtype == .float64 ? .float64 : .float32
  return NDArray(
    Convolution(geometry: geometry), shape: shape, dtype: work, x.astype(work), w.astype(work)
  ).astype(dtype)
}

/// The convolution that is the gradient of one with these strides and padding.
public func transposedConvolution(
  _ x: NDArray, _ w: NDArray, stride: [Int], padding: [Int], dilation: [Int],
  outputPadding: [Int], groups: Int, axes n: Int, op: OperationName
) throws(ArrayError) -> NDArray {
  guard x.rank == n + 2, w.rank == n + 2 else {
    throw .rank(
      op: op, shape: (x.rank == n + 2 ? w : x).shape.array,
      needed: "arrays of \(n + 2) dimensions")
  }
  func full(_ list: [Int]) throws(ArrayError) -> [Int] {
    let values = list.count == 1 ? [Int](repeating: list[0], count: n) : list
    guard values.count == n, values.allSatisfy({ $0.magnitude < 1 << 30 }) else {
      throw .argument(op: op, message: "\(Shape.text(list)) are not \(n) numbers in range")
    }
    return values
  }
  let (s, p, d, extra) = (
    try full(stride), try full(padding), try full(dilation), try full(outputPadding)
  )
  var (low, high): ([Int], [Int]) = ([], [])
  for i in 0..<n {
    guard s[i] > 0, d[i] > 0, w.shape[i + 1] < 1 << 24 else {
      throw .argument(op: op, message: "stride and dilation must be positive")
    }
    let reach = d[i] * (w.shape[i + 1] - 1)
    low.append(reach - p[i])
    high.append(reach - p[i] + extra[i])
  }
  return try convolution(
    x, w, stride: [1], low: low, high: high, kernelDilation: d, inputDilation: s, groups: groups,
    flip: true, axes: n, op: op)
}

/// The convolution of two vectors: `full`, `same` or `valid`.
public func convolve(_ a: NDArray, _ v: NDArray, mode: String = "full") throws(ArrayError)
  -> NDArray
{
  if let made = try Tracing.recorded(.convolve(mode), [a, v]) { return made[0] }
  for x in [a, v] where x.rank != 1 {
    throw .rank(op: "convolve", shape: x.shape.array, needed: "vectors")
  }
  if a.size == 0 || v.size == 0 { throw .empty(op: "convolve", what: "convolution") }
  let (x, w) = a.size < v.size ? (v, a) : (a, v)
  let n = w.size
  let (low, high): (Int, Int)
  switch mode {
  case "full": (low, high) = (n - 1, n - 1)
  case "valid": (low, high) = (0, 0)
  case "same": (low, high) = (n / 2, n % 2 == 1 ? n / 2 : n / 2 - 1)
  default:
    throw .argument(
      op: "convolve", message: "mode must be 'full', 'same' or 'valid', not '\(mode)'")
  }
  let result = try convolution(
    x.reshaped([1, x.size, 1] as Shape), w.reshaped([1, n, 1] as Shape), low: [low], high: [high],
    flip: true, op: "convolve")
  return try flatten(result)
}
