// The functions of `mx.fft`: lengths, axes and norms; shifts, frequencies; short-time transforms.

public enum FourierNorm: String, Sendable {
  case backward, ortho, forward
  /// What a transform over n values is multiplied with besides the 1 / n of an inverse.
  func factor(_ n: Double, inverse: Bool) -> Double {
    switch self {
    case .backward: 1
    case .ortho: inverse ? n.squareRoot() : 1 / n.squareRoot()
    case .forward: inverse ? n : 1 / n
    }
  }
}

/// The transform over several axes (all when nil), the input cut or filled with zeros to the lengths.
public func fourier(
  _ x: NDArray, lengths: [Int]? = nil, axes: [Int]? = nil, real: Bool = false,
  inverse: Bool = false, norm: FourierNorm = .backward, op: OperationName = "fftn"
) throws(ArrayError) -> NDArray {
  guard x.rank >= 1 else {
    throw .rank(op: op, shape: [], needed: "at least one dimension")
  }
  // Lengths without axes belong to the last ones.
  let given =
    axes ?? lengths.map { Array((x.rank - Swift.min($0.count, x.rank))..<x.rank) }
    ?? Array(0..<x.rank)
  var places: [Int] = []
  for axis in given {
    let a = try x.axis(axis, op: op)
    if places.contains(a) { throw .duplicateAxis(op: op, axes: given) }
    places.append(a)
  }
  guard let last = places.last else { return x }
  if let lengths, lengths.count != places.count {
    throw .argument(
      op: op, message: "\(lengths.count) lengths for \(places.count) axes")
  }
  var sizes = lengths ?? places.map { x.shape[$0] }
  if lengths == nil && real && inverse { sizes[sizes.count - 1] = 2 * (x.shape[last] - 1) }
  for size in sizes where size <= 0 || size >= 1 << 30 {
    throw .argument(op: op, message: "transforms of \(size) values are not possible")
  }
  var shape = x.shape
  for (a, size) in zip(places, sizes) { shape[a] = size }
  if real && inverse { shape[last] = sizes[sizes.count - 1] / 2 + 1 }
  _ = try shape.elementCount(op: op)

  // float64 and complex128 are transformed in double precision, all else in single.
  let wide = x.dtype.complex
  var y = x.astype(real && !inverse ? wide.realPart : wide)
  var widths: [(Int, Int)] = []
  for i in 0..<x.rank {
    if shape[i] < x.shape[i] { y = try slice(y, axis: i, from: 0, to: shape[i]) }
    widths.append((0, Swift.max(0, shape[i] - x.shape[i])))
  }
  if widths.contains(where: { $0.1 > 0 }) { y = try pad(y, widths) }

  func transform(_ y: NDArray, _ kind: FFT.Kind, _ axis: Int, _ n: Int) -> NDArray {
    var shape = y.shape
    shape[axis] = kind == .realToComplex ? n / 2 + 1 : n
    return NDArray(
      FFT(kind: kind, inverse: inverse, axis: axis, n: n, rank: y.rank), shape: shape,
      dtype: kind == .complexToReal ? wide.realPart : wide, y)
  }
  let count = sizes.reduce(1.0) { $0 * Double($1) }
  let final = sizes[sizes.count - 1]
  if real && !inverse { y = transform(y, .realToComplex, last, final) }
  for (a, size) in zip(places.dropLast(), sizes.dropLast()) { y = transform(y, .complex, a, size) }
  if !real { y = transform(y, .complex, last, final) }
  if real && inverse { y = transform(y, .complexToReal, last, final) }
  let factor = norm.factor(count, inverse: inverse)
  return try factor == 1 ? y : multiply(y, NDArray.weak(.float(factor), like: y.dtype))
}

/// Moves the zero frequency to the middle of the axes, or back.
public func fourierShift(_ x: NDArray, axes: [Int]? = nil, inverse: Bool = false)
  throws(ArrayError) -> NDArray
{
  if let made = try Tracing.recorded(.shift(axes, inverse: inverse), [x]) { return made[0] }
  var y = x
  for axis in axes ?? Array(0..<x.rank) {
    let a = try x.axis(axis, op: inverse ? "ifftshift" : "fftshift")
    let shift = x.shape[a] / 2
    y = try roll(y, inverse ? -shift : shift, axis: a)
  }
  return y
}

public func fourierFrequencies(_ n: Int, spacing: Double = 1, real: Bool = false)
  throws(ArrayError) -> NDArray
{
  let op: OperationName = real ? "rfftfreq" : "fftfreq"
  guard n > 0, n < 1 << 40 else {
    throw .argument(op: op, message: "n must be positive, not \(n)")
  }
  if spacing == 0 { throw .argument(op: op, message: "d must not be zero") }
  let scale = try NDArray.weak(.float(1 / (Double(n) * spacing)), like: .float32)
  let up = try NDArray.arange(.int(0), .int(real ? n / 2 + 1 : (n + 1) / 2), dtype: .float32)
  if real { return try multiply(up, scale) }
  let down = try NDArray.arange(.int(-(n / 2)), .int(0), dtype: .float32)
  return try multiply(concatenate([up, down]), scale)
}

// MARK: - Short-time transforms

/// How a signal is cut into frames.
public struct FrameSettings: Sendable {
  public var size: Int
  public var hop: Int?
  public var windowSize: Int?
  public var center = true
  public var norm = FourierNorm.backward
  public init(size: Int) { self.size = size }

  /// The step between frames and the window in the middle of `size` values.
  fileprivate func checked(_ window: NDArray?, op: OperationName) throws(ArrayError)
    -> (hop: Int, window: NDArray)
  {
    func bad(_ message: String) -> ArrayError { .argument(op: op, message: message) }
    guard size > 0, size < 1 << 30 else { throw bad("n_fft must be positive, not \(size)") }
    let hop = self.hop ?? size / 4
    guard hop > 0, hop < 1 << 30 else { throw bad("hop_length must be positive, not \(hop)") }
    let width = windowSize ?? (window?.rank == 1 ? window?.size : nil) ?? size
    guard width > 0, width <= size else {
      throw bad("the window must have between 1 and n_fft=\(size) values, not \(width)")
    }
    if let window, window.rank != 1 {
      throw .rank(op: op, shape: window.shape.array, needed: "a vector as the window")
    }
    if let window, window.size != width {
      throw bad("the window has \(window.size) values, but win_length is \(width)")
    }
    let values: NDArray
    if let window { values = window.astype(.float32) } else { values = try NDArray.ones([width]) }
    let left = (size - width) / 2
    return (hop, try width == size ? values : pad(values, [(left, size - width - left)]))
  }
}

/// The transforms of overlapping frames of the last axis: [..., frequency, frame].
public func shortTimeFourier(
  _ x: NDArray, _ settings: FrameSettings, window: NDArray? = nil, padMode: String = "reflect",
  onesided: Bool? = nil
) throws(ArrayError) -> NDArray {
  let op: OperationName = "stft"
  guard x.rank >= 1 else { throw .rank(op: op, shape: [], needed: "at least one dimension") }
  let (hop, w) = try settings.checked(window, op: op)
  let n = settings.size
  let isReal = !x.dtype.isComplex
  let half = onesided ?? isReal
  if half && !isReal {
    throw .argument(op: op, message: "the spectrum of a complex signal has two sides")
  }
  var y = x.astype(isReal ? x.dtype.complex.realPart : x.dtype.complex)
  if settings.center { y = try extended(y, n / 2, padMode, op) }
  let length = y.shape[y.rank - 1]
  guard length >= n else {
    throw .argument(op: op, message: "frames of \(n) values out of a signal of \(length)")
  }
  let frames = 1 + (length - n) / hop
  var shape = Shape(y.shape.prefix(y.rank - 1))
  guard shape.count + 2 <= Shape.maxRank else {
    throw .tooManyDimensions(op: op, count: shape.count + 2)
  }
  var strides = Shape(y.shape.rowMajorStrides.prefix(y.rank - 1))
  for (extent, step) in [(frames, hop), (n, 1)] {
    shape.append(extent)
    strides.append(step)
  }
  _ = try shape.elementCount(op: op)
  let cut = try multiply(asStrided(contiguous(y), shape: shape, strides: strides, offset: 0), w)
  let spectrum = try fourier(cut, axes: [-1], real: half, norm: settings.norm, op: op)
  return try swapaxes(spectrum, -1, -2)
}

/// The signal with `width` values more at both ends of its last axis.
private func extended(_ x: NDArray, _ width: Int, _ mode: String, _ op: OperationName)
  throws(ArrayError) -> NDArray
{
  let n = x.shape[x.rank - 1]
  if width == 0 { return x }
  var widths = [(Int, Int)](repeating: (0, 0), count: x.rank - 1)
  widths.append((width, width))
  guard let padding = PadMode(rawValue: mode), padding != .symmetric else {
    throw .argument(
      op: op, message: "pad_mode must be 'reflect', 'constant' or 'edge', not '\(mode)'")
  }
  if padding != .constant && n == 0 { throw .empty(op: op, what: "padding") }
  return try pad(x, widths, mode: padding)
}

/// The signal whose short-time transform is given.
public func inverseShortTimeFourier(
  _ spectrum: NDArray, size: Int? = nil, _ options: FrameSettings, window: NDArray? = nil,
  onesided: Bool? = nil, length: Int? = nil
) throws(ArrayError) -> NDArray {
  let op: OperationName = "istft"
  guard spectrum.rank >= 2 else {
    throw .rank(
      op: op, shape: spectrum.shape.array, needed: "a spectrum [..., frequency, frame]")
  }
  let half = onesided ?? true
  let (bins, frames) = (spectrum.rows, spectrum.columns)
  var settings = options
  settings.size = size ?? (half ? 2 * (bins - 1) : bins)
  let n = settings.size
  let (hop, w) = try settings.checked(window, op: op)
  guard bins == (half ? n / 2 + 1 : n), frames > 0 else {
    throw .argument(
      op: op,
      message: "n_fft=\(n) needs \(half ? n / 2 + 1 : n) frequencies and at least one frame, "
        + "but the shape is \(spectrum.shape)")
  }
  let turned = try swapaxes(spectrum, -1, -2)
  let values = try fourier(
    turned, lengths: [n], axes: [-1], real: half, inverse: true, norm: settings.norm, op: op)
  let total = n + hop * (frames - 1)
  let rest = Shape(spectrum.shape.prefix(spectrum.rank - 2))
  let batch = rest.uncheckedElementCount
  _ = try Shape.checked([batch, total], op: op)
  // [frame, n]: where each value goes.
  let starts = try NDArray.arange(.int(0), .int(frames * hop), .int(hop), dtype: .int64)
  let places = try add(
    starts.reshaped([frames, 1]), NDArray.arange(.int(0), .int(n), dtype: .int64))
  func overlapped(_ x: NDArray) throws(ArrayError) -> NDArray {
    // [batch, frame * n] into [batch, total]
    let rows = x.shape[0]
    let index = try flatten(places).broadcast(to: [rows, frames * n])
    return try putAlongAxis(
      NDArray.zeros([rows, total], dtype: x.dtype), index, x, axis: 1, mode: .add)
  }
  // The signal is real, whatever the spectrum.
  let weighted = try multiply(real(values), w).reshaped([batch, frames * n])
  let envelope = try overlapped(
    square(w).broadcast(to: [frames, n]).reshaped([1, frames * n]))
  let small = try NDArray.weak(.float(1e-11), like: .float32)
  let one = try NDArray.weak(.float(1), like: .float32)
  var y = try divide(overlapped(weighted), `where`(greater(envelope, small), envelope, one))
  let from = settings.center ? n / 2 : 0
  var to = settings.center ? total - n / 2 : total
  if let length {
    guard length >= 0 else { throw .argument(op: op, message: "length must not be negative") }
    to = Swift.min(total, from + length)
  }
  y = try slice(y, axis: 1, from: from, to: Swift.max(from, to))
  if let length, length > y.shape[1] { y = try pad(y, [(0, 0), (0, length - y.shape[1])]) }
  var shape = rest
  shape.append(y.shape[1])
  return try y.reshaped(shape)
}
