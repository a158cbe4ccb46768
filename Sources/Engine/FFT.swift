// Fourier transforms along one axis; those over several are one after the other.
//
// The kernels (Kernels/fft.h) work on rows of complex numbers, of floats or of doubles. Tables of roots are made once a length and
// kept, the last ones used, up to some megabytes. Rows of an even number of real values are
// transformed as half as many complex ones. A transform carries its factor, so that scaling costs
// nothing: `forward` transforms have none of their own, inverse ones 1 / n.

import Kernels

/// The tables for one length in one precision.
final class FFTPlan {
  let pointer: UnsafeMutablePointer<LullFFT>
  private var kept: [Buffer] = []
  private let inner: FFTPlan?
  private(set) var byteCount = 0
  var lastUse = 0

  nonisolated(unsafe) private static var plans: [Int: FFTPlan] = [:]
  nonisolated(unsafe) private static var roots: [Int: Buffer] = [:]
  nonisolated(unsafe) private static var clock = 0
  private static let byteLimit = 32 << 20

  /// `direct`: all of n in lanes; nil where n has a large prime factor.
  static func plan(_ n: Int, direct: Bool = false, isDouble: Bool) throws(ArrayError) -> FFTPlan? {
    clock += 1
    let key = (direct ? -n : n) * 2 + (isDouble ? 1 : 0)
    if let found = plans[key] {
      found.lastUse = clock
      return found
    }
    guard let made = try FFTPlan(n, direct: direct, isDouble: isDouble) else { return nil }
    while let oldest = plans.min(by: { $0.value.lastUse < $1.value.lastUse }),
      plans.values.reduce(made.byteCount, { $0 + $1.byteCount }) > byteLimit
    { plans[oldest.key] = nil }
    made.lastUse = clock
    plans[key] = made
    return made
  }

  /// n roots of 1, of an order n.
  static func roots(_ n: Int, isDouble: Bool) throws(ArrayError) -> Buffer {
    let key = n * 2 + (isDouble ? 1 : 0)
    if let found = roots[key] { return found }
    let made = try Buffer(byteCount: n * (isDouble ? 16 : 8))
    lull_fft_roots(Int64(n), Int64(n), isDouble ? 1 : 0, made.pointer)
    if roots.values.reduce(made.byteCount, { $0 + $1.byteCount }) > byteLimit { roots = [:] }
    roots[key] = made
    return made
  }

  private init?(_ n: Int, direct: Bool, isDouble: Bool) throws(ArrayError) {
    var f = LullFFT()
    f.n = Int64(n)
    f.isDouble = isDouble ? 1 : 0
    var inner: FFTPlan?
    var buffers: [Buffer] = []
    func table(_ byteCount: Int) throws(ArrayError) -> UnsafeMutableRawPointer {
      let buffer = try Buffer(byteCount: byteCount)
      buffers.append(buffer)
      return buffer.pointer
    }
    let width = isDouble ? 8 : 4  // of a part
    func lanes(_ n: Int) throws(ArrayError) -> LullLanes {
      var l = LullLanes()
      _ = lull_fft_radices(Int64(n), &l)
      let roots = try table(2 * n * width)
      lull_fft_roots(Int64(n), Int64(n), isDouble ? 1 : 0, roots)
      l.twiddle = UnsafeRawPointer(roots)
      return l
    }
    var whole = LullLanes()
    let isSmooth = lull_fft_radices(Int64(n), &whole) != 0
    let split = FFTPlan.split(n, whole)
    if direct && !isSmooth { return nil }
    if isSmooth && (direct || split == nil) {
      f.first = try lanes(n)
    } else if isSmooth, let (n1, n2) = split {
      f.kind = 1
      f.first = try lanes(n1)
      f.second = try lanes(n2)
      f.shift = Int32((Int.bitWidth - n.leadingZeroBitCount + 1) / 2)
      let near = 1 << Int(f.shift)
      let lanes = try table(n1 * 32 * width)
      let h = try table(16 * (n / near + 1)).assumingMemoryBound(to: Double.self)
      let l = try table(16 * near).assumingMemoryBound(to: Double.self)
      f.lanes = UnsafeRawPointer(lanes)
      f.high = UnsafePointer(h)
      f.low = UnsafePointer(l)
      lull_fft_tables(&f, lanes, h, l)
    } else {
      f.kind = 2
      // The smallest power of two, or 3 or 5 times one, that holds the convolution.
      var m = 256
      while m < 2 * n - 1 { m *= 2 }
      for smaller in [m / 8 * 5, m / 4 * 3] where smaller >= 2 * n - 1 && smaller >= 256 {
        m = smaller
        break
      }
      guard let found = try FFTPlan.plan(m, isDouble: isDouble) else { return nil }
      inner = found
      f.inner = UnsafePointer(found.pointer)
      let (chirp, spectrum) = (try table(2 * n * width), try table(2 * m * width))
      f.chirp = UnsafeRawPointer(chirp)
      f.spectrum = UnsafeRawPointer(spectrum)
      let scratch = try Buffer(byteCount: Int(lull_fft_scratch(found.pointer, 1)))
      lull_fft_chirp(&f, chirp, spectrum, scratch.pointer)
      withExtendedLifetime(scratch) {}
    }
    self.inner = inner
    kept = buffers
    byteCount = buffers.reduce(0) { $0 + $1.byteCount }
    pointer = .allocate(capacity: 1)
    pointer.initialize(to: f)
  }
  deinit { pointer.deallocate() }

  /// n as a product of two numbers near its root, if it is worth it.
  private static func split(_ n: Int, _ lanes: LullLanes) -> (Int, Int)? {
    guard n >= 256 else { return nil }
    var best = 1
    var d = 1
    while d * d <= n {
      if n % d == 0 { best = d }
      d += 1
    }
    return best >= 8 ? (best, n / best) : nil
  }
}

/// A transform along one axis.
struct FFT: Primitive, Codable {
  enum Kind: String, Codable { case complex, realToComplex, complexToReal }
  let kind: Kind
  let inverse: Bool
  let axis: Int
  /// The number of values of the transform: that of the real side.
  let n: Int
  let rank: Int
  var name: OperationName { "fft" }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    let x = try out.input(0).rowContiguous()
    if out.size == 0 { return try out.allocate() }
    let inner = (axis + 1..<out.rank).reduce(1) { $0 * out.shape[$1] }
    if inner == 1 {
      try rows(x, out)
      return
    }
    let isDouble = out.dtype.complex == .complex128
    if kind == .complex, n <= 1024, inner >= 8,
      let plan = try FFTPlan.plan(n, direct: true, isDouble: isDouble)
    {
      try out.allocate()
      let scratch = try Buffer(
        byteCount: Int(lull_fft_scratch(plan.pointer, 2)))
      lull_fft_columns(
        plan.pointer, x.pointer, out.pointer, Int64(out.size / (n * inner)), Int64(inner),
        inverse ? 1 : 0, factor(isDouble), scratch.pointer)
      withExtendedLifetime((scratch, plan)) {}
      return
    }
    // Other axes are brought to the end and back.
    let turned = try moveaxis(x, axis, -1)
    try turned.eval()
    let source = try turned.rowContiguous()
    var shape = source.shape
    shape[out.rank - 1] = out.shape[axis]
    let rowsOut = NDArray(self, shape: shape, dtype: out.dtype, source)
    try rows(source, rowsOut)
    rowsOut.detach()
    let back = try contiguous(moveaxis(rowsOut, -1, axis))
    try back.eval()
    out.share(back, strides: back.strides)
  }

  /// What an inverse transform is multiplied with.
  private func factor(_ isDouble: Bool) -> Double {
    !inverse ? 1 : isDouble ? 1 / Double(n) : Double(1 / Float(n))
  }

  private func rows(_ x: NDArray, _ out: NDArray) throws(ArrayError) {
    if out.dtype.complex == .complex128 {
      try rows(x, out, of: Double.self)
    } else {
      try rows(x, out, of: Float.self)
    }
  }
  private func rows<Part: BinaryFloatingPoint>(_ x: NDArray, _ out: NDArray, of: Part.Type)
    throws(ArrayError)
  {
    try out.allocate()
    let count = out.size / out.shape[out.rank - 1]
    let width = MemoryLayout<Part>.size
    let isDouble = width == 8
    let (from, to) = (x.pointer(as: Part.self), out.pointer(as: Part.self))
    func run(_ n: Int, _ from: UnsafePointer<Part>, _ to: UnsafeMutablePointer<Part>)
      throws(ArrayError)
    {
      guard let plan = try FFTPlan.plan(n, isDouble: isDouble) else {
        throw .internal("no plan for \(n) values")
      }
      let scratch = try Buffer(
        byteCount: Int(lull_fft_scratch(plan.pointer, Int64(count))))
      // The factor is of self.n, not n: half as many complex values stand for the real ones.
      lull_fft(
        plan.pointer, from, to, Int64(count), inverse ? 1 : 0, factor(isDouble), scratch.pointer)
      withExtendedLifetime((scratch, plan)) {}
    }
    switch kind {
    case .complex: try run(n, from, to)
    case .realToComplex where n % 2 == 0:
      let half = try Buffer(byteCount: count * n * width)
      let z = half.pointer.assumingMemoryBound(to: Part.self)
      let roots = try FFTPlan.roots(n, isDouble: isDouble)
      try run(n / 2, from, z)
      lull_fft_unpack(z, to, Int64(count), Int64(n), isDouble ? 1 : 0, roots.pointer)
      withExtendedLifetime((half, roots)) {}
    case .complexToReal where n % 2 == 0:
      let half = try Buffer(byteCount: count * n * width)
      let z = half.pointer.assumingMemoryBound(to: Part.self)
      let roots = try FFTPlan.roots(n, isDouble: isDouble)
      lull_fft_pack(from, z, Int64(count), Int64(n), isDouble ? 1 : 0, roots.pointer)
      try run(n / 2, z, to)
      withExtendedLifetime((half, roots)) {}
    case .realToComplex, .complexToReal:
      // An odd number of values: as complex ones.
      let whole = try Buffer(byteCount: count * n * 2 * width)
      let z = whole.pointer.assumingMemoryBound(to: Part.self)
      let m = n / 2 + 1
      for row in 0..<count {
        let own = z + 2 * row * n
        if kind == .realToComplex {
          for i in 0..<n { (own[2 * i], own[2 * i + 1]) = (from[row * n + i], 0) }
        } else {
          let half = from + 2 * row * m
          (own[0], own[1]) = (half[0], 0)
          for i in 1..<m {
            (own[2 * i], own[2 * i + 1]) = (half[2 * i], half[2 * i + 1])
            (own[2 * (n - i)], own[2 * (n - i) + 1]) = (half[2 * i], -half[2 * i + 1])
          }
        }
      }
      try run(n, z, z)
      for row in 0..<count {
        let own = z + 2 * row * n
        if kind == .realToComplex {
          (to + 2 * row * m).update(from: own, count: 2 * m)
        } else {
          for i in 0..<n { to[row * n + i] = own[2 * i] }
        }
      }
      withExtendedLifetime(whole) {}
    }
    if lull_interrupt_raised() != 0 { throw .interrupted }
  }

  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    if Tracing.isShapeless && out.input(0).isTraced {
      throw .notDifferentiable(
        op: name,
        reason:
          "in a function compiled without shapes its size would not follow; compile with shapes")
    }
    switch kind {
    case .complex:
      let back = transform(cotangent, .complex, !inverse)
      let factor = inverse ? 1 / Double(n) : Double(n)
      return [try multiply(back, NDArray.weak(.float(factor), like: back.dtype))]
    case .realToComplex:
      let back = transform(try multiply(cotangent, mask(0.5)), .complexToReal, true)
      return [try multiply(back, NDArray.weak(.float(Double(n)), like: back.dtype))]
    case .complexToReal:
      let back = transform(cotangent, .realToComplex, false)
      let scale = try NDArray.weak(.float(1 / Double(n)), like: cotangent.dtype)
      return [try multiply(back, multiply(mask(2), scale))]
    }
  }
  private func transform(_ x: NDArray, _ kind: Kind, _ inverse: Bool) -> NDArray {
    var shape = x.shape
    shape[axis] = kind == .realToComplex ? n / 2 + 1 : n
    return NDArray(
      FFT(kind: kind, inverse: inverse, axis: axis, n: n, rank: rank), shape: shape,
      dtype: kind == .complexToReal ? x.dtype.realPart : x.dtype.complex, x)
  }
  /// The numbers of a half spectrum that stand for two: all but the first and, for an even n, the last.
  private func mask(_ value: Float) throws(ArrayError) -> NDArray {
    let m = n / 2 + 1
    var values = [Float](repeating: value, count: m)
    values[0] = 1
    if n % 2 == 0 { values[m - 1] = 1 }
    var shape = Shape(repeating: 1, count: rank - axis)
    shape[0] = m
    return try NDArray(values).reshaped(shape)
  }
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    try batch.same(
      out, FFT(kind: kind, inverse: inverse, axis: axis + 1, n: n, rank: out.rank + 1))
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    let x = inputs[0]
    guard x.rank == rank, axis >= 0, axis < rank else {
      throw .rank(op: name, shape: x.shape.array, needed: "\(rank) dimensions")
    }
    // An odd number of real values cannot be told from the spectrum: it stays.
    let size = x.shape[axis]
    let isSame = size == n / 2 + 1
    return try fourier(
      x, lengths: kind == .complexToReal && isSame ? [n] : nil, axes: [axis],
      real: kind != .complex, inverse: inverse)
  }
}
