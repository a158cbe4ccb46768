// Rotary position embedding (Su et al. 2021; MLX's fast.rope).
//
// Row t of the second to last axis is rotated by the angles (offset + t) * scale * frequency[i], with
// frequency[i] = base^(-2i / dims), or 1 / freqs[i] when an array of periods is given. The tables of cosine
// and sine are kept for the last few settings and grown by doubling, so a decoding step computes none.

#if canImport(Glibc)
  import Glibc
#endif
import Kernels

struct FastRoPE: Primitive, Codable {
  let dims: Int
  let traditional: Bool
  let base: Float?
  let scale: Float
  /// The position of row 0, unless it is an array (the last input).
  let offset: Int
  let hasOffsetArray: Bool
  /// -1 rotates back: the gradient.
  let sign: Float
  var name: OperationName { "rope" }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    var x = out.input(0)
    let n = x.shape[x.rank - 1]
    if x.strides[x.rank - 1] != 1 && n > 1 { x = try x.rowContiguous() }
    try out.allocate()
    if out.size == 0 { return }
    let length = x.shape[x.rank - 2]
    let freqs = base == nil ? try out.input(1).rowContiguous() : nil
    let rows = x.size / n
    let perBatch = rows / x.shape[0]
    var offsets = [offset]
    if hasOffsetArray {
      let array = try out.input(out.inputCount - 1).rowContiguous()
      let pointer = array.pointer(as: Int32.self)
      offsets = (0..<array.size).map { Int(pointer[$0]) }
    }
    let top = (offsets.max() ?? 0)
    let bottom = (offsets.min() ?? 0)
    guard bottom >= -(1 << 24), top <= 1 << 24 else {
      throw .argument(op: name, message: "positions from \(bottom) to \(top) are out of range")
    }
    let half = dims / 2
    // Far positions get a table of their own range: one from 0 on would take gigabytes.
    let start = bottom < 0 || top + length > RotaryTable.farthest ? bottom : 0
    guard (top + length - start).multipliedReportingOverflow(by: half).partialValue <= 1 << 26
    else {
      throw .argument(
        op: name, message: "the offsets from \(bottom) to \(top) lie too far apart for one call")
    }
    let table = try RotaryTable.with(
      dims: dims, base: base, freqs: freqs, scale: scale, first: start,
      positions: top + length - start)
    let (cosine, sine) = (table.cosine, table.sine)
    let (from, to) = (x.pointer(as: Float.self), out.pointer(as: Float.self))
    let (shape, strides, rank) = (x.shape, x.strides, x.rank)
    let perChunk = max(1, 16384 / n)
    let offsetCount = offsets.count
    offsets.withUnsafeBufferPointer { offsets in
      parallelFor((rows + perChunk - 1) / perChunk) { chunk, _ in
        for row in chunk * perChunk..<min((chunk + 1) * perChunk, rows) {
          var rest = row
          var place = 0
          var axis = rank - 2
          while axis >= 0 {
            place += rest % shape[axis] * strides[axis]
            rest /= shape[axis]
            axis -= 1
          }
          let first = offsets[offsetCount == 1 ? 0 : row / perBatch]
          let position = first + row % length - start
          lull_rope(
            from + place, cosine + position * half, sine + position * half, Int64(n),
            Int64(dims), traditional ? 1 : 0, sign, to + row * n)
        }
      }
    }
    withExtendedLifetime(table) {}
  }

  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    var inputs = out.inputs
    inputs[0] = cotangent
    let back = FastRoPE(
      dims: dims, traditional: traditional, base: base, scale: scale, offset: offset,
      hasOffsetArray: hasOffsetArray, sign: -sign)
    return [NDArray(back, shape: out.shape, dtype: .float32, inputs: inputs)]
      + inputs.dropFirst().map { _ in nil }
  }

  /// Examples are joined with the first axis, whose entries may have positions of their own.
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    let last = batch.inputs.count - 1
    if base == nil && batch.isBatched[1] { return try batch.loop(out, self) }
    let x = try batch.full(0)
    var inputs = batch.inputs
    inputs[0] = x
    if !hasOffsetArray || (batch.inputs[last].size == 1 && !batch.isBatched[last]) {
      return NDArray(self, shape: x.shape, dtype: out.dtype, inputs: inputs)
    }
    let first = out.shape[0]
    var joined = out.shape
    joined[0] = batch.size * first
    let offsets = try batch.full(last).reshaped([batch.size, -1])
    inputs[0] = try x.reshaped(joined)
    inputs[last] = try offsets.broadcast(to: [batch.size, first]).reshaped(
      [batch.size * first] as Shape)
    if joined[0] == 0 { return x }
    return try NDArray(self, shape: joined, dtype: out.dtype, inputs: inputs).reshaped(x.shape)
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    let count = 1 + (base == nil ? 1 : 0) + (hasOffsetArray ? 1 : 0)
    guard inputs.count == count, Swift.abs(sign) == 1 else {
      throw .argument(op: name, message: "unknown parameters")
    }
    let y = try fastRoPE(
      inputs[0], dims: dims, traditional: traditional, base: base, scale: scale, offset: offset,
      offsets: hasOffsetArray ? inputs[count - 1] : nil, freqs: base == nil ? inputs[1] : nil)
    return NDArray(self, shape: y.shape, dtype: .float32, inputs: y.inputs)
  }
  func rejectsGradient(of i: Int) -> String? { i >= 1 ? positionsHaveNoGradient : nil }
}

/// Cosines and sines for positions first ..< first + positions, [positions, dims / 2] each.
private final class RotaryTable {
  let dims: Int
  let base: Float?
  let freqs: NDArray?
  let scale: Float
  let positions: Int
  let cosine: UnsafeMutablePointer<Float>
  let sine: UnsafeMutablePointer<Float>

  /// Tables up to this position begin at 0 and are kept.
  static let farthest = 1 << 18
  nonisolated(unsafe) private static var recent: [RotaryTable] = []
  private static let kept = 4

  static func with(
    dims: Int, base: Float?, freqs: NDArray?, scale: Float, first: Int, positions: Int
  ) throws(ArrayError) -> RotaryTable {
    if first != 0 { return RotaryTable(dims, base, freqs, scale, positions, first: first) }
    func fits(_ table: RotaryTable) -> Bool {
      table.dims == dims && table.base == base && table.scale == scale
        && table.freqs?.buffer === freqs?.buffer && table.freqs?.offset == freqs?.offset
    }
    var wanted = 256
    while wanted < positions { wanted *= 2 }
    if let i = recent.firstIndex(where: fits) {
      if recent[i].positions >= positions { return recent[i] }
      recent.remove(at: i)
    }
    let table = RotaryTable(dims, base, freqs, scale, wanted)
    recent.insert(table, at: 0)
    if recent.count > kept { recent.removeLast() }
    return table
  }

  private init(
    _ dims: Int, _ base: Float?, _ freqs: NDArray?, _ scale: Float, _ positions: Int,
    first: Int = 0
  ) {
    self.dims = dims
    self.base = base
    self.freqs = freqs
    self.scale = scale
    self.positions = positions
    let half = dims / 2
    cosine = .allocate(capacity: max(positions * half, 1))
    sine = .allocate(capacity: max(positions * half, 1))
    for i in 0..<half {
      let frequency: Double
      if let freqs {
        frequency = 1 / Double(freqs.pointer(as: Float.self)[i])
      } else {
        frequency = pow(Double(base ?? 1), -2 * Double(i) / Double(dims))
      }
      for position in 0..<positions {
        let angle = Double(first + position) * Double(scale) * frequency
        cosine[position * half + i] = Float(cos(angle))
        sine[position * half + i] = Float(sin(angle))
      }
    }
  }

  deinit {
    cosine.deallocate()
    sine.deallocate()
  }
}

/// Rotates the first `dims` values of the last axis of x [..., length, features] by position. Give `base`
/// or `freqs` [dims / 2] (periods). `offsets`, when given, is an int array: one position for all, or one
/// for each entry of the first axis. Computed in float32, returned in x's dtype.
public func fastRoPE(
  _ x: NDArray, dims: Int, traditional: Bool, base: Float?, scale: Float, offset: Int,
  offsets: NDArray? = nil, freqs: NDArray? = nil
) throws(ArrayError) -> NDArray {
  guard x.rank >= 2 else {
    throw .rank(op: "rope", shape: x.shape.array, needed: "at least two dimensions")
  }
  guard x.dtype.isFloating else {
    throw .dtype(op: "rope", found: x.dtype, needed: "a floating-point array")
  }
  let n = x.shape[x.rank - 1]
  guard dims > 0, dims <= n, dims % 2 == 0 else {
    throw .argument(
      op: "rope", message: "dims must be even, positive and at most \(n), not \(dims)")
  }
  guard (base == nil) != (freqs == nil) else {
    throw .argument(op: "rope", message: "give one of base and freqs")
  }
  if let freqs {
    guard freqs.rank == 1, freqs.shape[0] == dims / 2 else {
      throw .argument(
        op: "rope", message: "freqs must have shape (\(dims / 2),), not \(freqs.shape)")
    }
  }
  var inputs = [x.astype(.float32)]
  if let freqs { inputs.append(freqs.astype(.float32)) }
  if let offsets {
    guard offsets.dtype.isInteger,
      offsets.size == 1 || (offsets.rank == 1 && offsets.size == x.shape[0])
    else {
      throw .argument(
        op: "rope", message: "offset must be one integer, or one for each of \(x.shape[0]) rows")
    }
    inputs.append(offsets.astype(.int32))
  }
  let node = FastRoPE(
    dims: dims, traditional: traditional, base: base, scale: scale, offset: offset,
    hasOffsetArray: offsets != nil, sign: 1)
  return NDArray(node, shape: x.shape, dtype: .float32, inputs: inputs).astype(x.dtype)
}
