// Quantising to the block formats of GGUF files.
//
//   Q4_0  32 values: scale f16 │ 16 bytes of codes       value = scale * (code - 8)
//   Q5_0  32 values: scale f16 │ 4 bytes of fifth bits │ 16 bytes of codes   value = scale * (code - 16)
//   Q8_0  32 values: scale f16 │ 32 signed bytes         value = scale * code
//   Q4_K 256 values: scale f16 │ minimum f16 │ 12 bytes │ 128 bytes of codes
//        eight groups of 32, each with a scale s and a minimum m of 6 bits in the 12 bytes
//                                                        value = scale * s * code - minimum * m
//
// Q4_0, Q5_0 and Q8_0 are what llama.cpp's reference makes, bit for bit. In Q4_K each group looks for the scale
// and minimum of the least squared error, weighted by the size of the values: for some 20 widths of the
// step it rounds to codes, solves for the best line through them, and keeps the best.

import Kernels

#if canImport(Glibc)
  import Glibc
#endif

/// A matrix, or a stack of them, in a block format (by its number in GGUF files). Evaluates `w`.
public func quantizeToBlocks(_ w: NDArray, type: Int) throws(ArrayError) -> QuantizedWeight {
  let op: OperationName = "quantize_blocks"
  let quantizeRow: (UnsafePointer<Float>, UnsafeMutablePointer<UInt8>, Int) -> Void
  switch type {
  case 2: quantizeRow = quantizeQ4_0
  case 6: quantizeRow = quantizeQ5_0
  case 8: quantizeRow = quantizeQ8_0
  case 12: quantizeRow = quantizeQ4_K
  default:
    throw .argument(op: op, message: "can make Q4_0, Q5_0, Q8_0 and Q4_K, not type \(type)")
  }
  guard w.dtype.isFloating else {
    throw .argument(op: op, message: "needs floating-point values, not \(w.dtype.name)")
  }
  guard w.rank == 2 || w.rank == 3 else {
    throw .rank(op: op, shape: w.shape.array, needed: "a matrix, or a stack of matrices")
  }
  let (values, bytes) = (
    Int(lull_block_values(Int32(type))), Int(lull_block_bytes(Int32(type)))
  )
  let columns = w.columns
  guard columns > 0, columns % values == 0 else {
    throw .argument(
      op: op, message: "rows of \(columns) values do not divide into blocks of \(values)")
  }
  let rows = w.size / columns
  let rowBytes = columns / values * bytes
  let data = try NDArray(uninitialized: [rows * rowBytes], dtype: .uint8)
  let to = data.pointer(as: UInt8.self)
  let matrix = try w.reshaped([rows, columns] as Shape)
  // In pieces, so that a large matrix of 16-bit floats is never there in 32 bits as a whole.
  let perPiece = max(1, (1 << 22) / columns)
  let perChunk = max(1, 4096 / columns)
  for first in stride(from: 0, to: rows, by: perPiece) {
    let count = min(perPiece, rows - first)
    let floats = try slice(matrix, axis: 0, from: first, to: first + count).astype(.float32)
    try floats.eval()
    let source = try floats.rowContiguous()
    let from = source.pointer(as: Float.self)
    parallelFor((count + perChunk - 1) / perChunk) { chunk, _ in
      if lull_interrupt_raised() != 0 { return }
      for row in chunk * perChunk..<min(count, (chunk + 1) * perChunk) {
        quantizeRow(from + row * columns, to + (first + row) * rowBytes, columns)
      }
    }
    withExtendedLifetime(source) {}
    if lull_interrupt_raised() != 0 { throw .interrupted }
    w.releasePages()
  }
  return try QuantizedWeight(
    blockType: type, rows: rows, columns: columns, stack: w.rank == 3 ? w.shape[0] : nil,
    data: data)
}

extension NDArray {
  /// Lets go of the resident pages of a mapped file that the array views; they come back when touched.
  public func releasePages() {
    guard isEvaluated, let buffer, buffer.isExternal, size > 0 else { return }
    let page = 4096
    let start = (Int(bitPattern: buffer.pointer) + page - 1) / page * page
    let end = (Int(bitPattern: buffer.pointer) + buffer.byteCount) / page * page
    if end > start {
      madvise(UnsafeMutableRawPointer(bitPattern: start), end - start, MADV_DONTNEED)
    }
  }
}

// MARK: - 32 values with one scale

/// A code of at most `most`: the integer part, or 0 for what is no number.
@inline(__always)
private func code(_ value: Float, most: Float) -> UInt8 {
  value >= 0 ? UInt8(min(value, most)) : 0
}

@inline(__always)
private func store(_ value: Float, _ to: UnsafeMutablePointer<UInt8>) {
  let bits = Float16(value).bitPattern
  to[0] = UInt8(truncatingIfNeeded: bits)
  to[1] = UInt8(truncatingIfNeeded: bits >> 8)
}

/// The value of the largest size, with its sign; the first of equals.
@inline(__always)
private func largest(_ x: UnsafePointer<Float>) -> Float {
  var size: Float = 0
  var value: Float = 0
  for i in 0..<32 where abs(x[i]) > size { (size, value) = (abs(x[i]), x[i]) }
  return value
}

private func quantizeQ8_0(
  _ x: UnsafePointer<Float>, _ out: UnsafeMutablePointer<UInt8>, _ columns: Int
) {
  for block in 0..<columns / 32 {
    let (x, out) = (x + block * 32, out + block * 34)
    let scale = abs(largest(x)) / 127
    let inverse = scale == 0 ? 0 : 1 / scale
    store(scale, out)
    for i in 0..<32 {
      let value = (x[i] * inverse).rounded()
      let signed = value >= -128 ? Int8(min(value, 127)) : value < 0 ? -128 : 0
      out[2 + i] = UInt8(bitPattern: signed)
    }
  }
}

private func quantizeQ4_0(
  _ x: UnsafePointer<Float>, _ out: UnsafeMutablePointer<UInt8>, _ columns: Int
) {
  for block in 0..<columns / 32 {
    let (x, out) = (x + block * 32, out + block * 18)
    let scale = largest(x) / -8
    let inverse = scale == 0 ? 0 : 1 / scale
    store(scale, out)
    for i in 0..<16 {
      let low = code(x[i] * inverse + 8.5, most: 15)
      let high = code(x[i + 16] * inverse + 8.5, most: 15)
      out[2 + i] = low | high << 4
    }
  }
}

private func quantizeQ5_0(
  _ x: UnsafePointer<Float>, _ out: UnsafeMutablePointer<UInt8>, _ columns: Int
) {
  for block in 0..<columns / 32 {
    let (x, out) = (x + block * 32, out + block * 22)
    let scale = largest(x) / -16
    let inverse = scale == 0 ? 0 : 1 / scale
    store(scale, out)
    var fifth: UInt32 = 0
    for i in 0..<16 {
      let low = code(x[i] * inverse + 16.5, most: 31)
      let high = code(x[i + 16] * inverse + 16.5, most: 31)
      out[6 + i] = low & 15 | (high & 15) << 4
      fifth |= UInt32(low >> 4) << UInt32(i) | UInt32(high >> 4) << UInt32(i + 16)
    }
    for k in 0..<4 { out[2 + k] = UInt8(truncatingIfNeeded: fifth >> UInt32(8 * k)) }
  }
}

// MARK: - Q4_K

private typealias Lanes = SIMD8<Float>

/// 32 values with their weights, as four vectors of eight.
private struct WeightedGroup {
  let x: (Lanes, Lanes, Lanes, Lanes)
  let weights: (Lanes, Lanes, Lanes, Lanes)
  let low: Float
  let high: Float
  /// Sums of w, w x and w x².
  let sumW: Float
  let sumX: Float
  let sumXX: Float

  @inline(__always)
  init(_ values: UnsafePointer<Float>) {
    let raw = UnsafeRawPointer(values)
    func load(_ k: Int) -> Lanes { raw.loadUnaligned(fromByteOffset: k * 32, as: Lanes.self) }
    x = (load(0), load(1), load(2), load(3))
    var (least, most): (Float, Float) = (0, values[0])
    for i in 0..<32 {
      least = values[i] < least ? values[i] : least
      most = values[i] > most ? values[i] : most
    }
    (low, high) = (least, most)
    let squares = x.0 * x.0 + x.1 * x.1 + x.2 * x.2 + x.3 * x.3
    let mean = Lanes(repeating: (total(squares) / 32).squareRoot())
    weights = (
      magnitude(x.0) + mean, magnitude(x.1) + mean, magnitude(x.2) + mean, magnitude(x.3) + mean
    )
    sumW = total(weights.0 + weights.1 + weights.2 + weights.3)
    let (a, b, c, d) = (
      weights.0 * x.0, weights.1 * x.1, weights.2 * x.2, weights.3 * x.3
    )
    sumX = total(a + b + c + d)
    sumXX = total(a * x.0 + b * x.1 + c * x.2 + d * x.3)
  }

  /// Sums of w c, w c² and w c x for the codes c that values get with so many steps from `start` to `high`.
  @inline(__always)
  func sums(from start: Float, steps: Float) -> (c: Float, cc: Float, xc: Float) {
    let (first, inverse) = (Lanes(repeating: start), Lanes(repeating: steps / (high - start)))
    var (c, cc, xc) = (Lanes(), Lanes(), Lanes())
    func add(_ x: Lanes, _ w: Lanes) {
      let codes = clampedCodes((x - first) * inverse)
      let wc = w * codes
      c += wc
      cc += wc * codes
      xc += wc * x
    }
    add(x.0, weights.0)
    add(x.1, weights.1)
    add(x.2, weights.2)
    add(x.3, weights.3)
    return (total(c), total(cc), total(xc))
  }

  /// Scale s >= 0 and minimum m >= 0 such that s * code - m with codes 0...15 comes close to x.
  @inline(__always)
  func bestLine() -> (scale: Float, minimum: Float) {
    guard high > low else { return (0, -low) }
    var best = (scale: (high - low) / 15, minimum: low)
    let first = sums(from: low, steps: 15)
    var bestError = error(first, best.scale, best.minimum)
    func consider(from start: Float, _ steps: Float) {
      let sum = sums(from: start, steps: steps)
      let determinant = sumW * sum.cc - sum.c * sum.c
      guard determinant > 0 else { return }
      var scale = (sumW * sum.xc - sumX * sum.c) / determinant
      var minimum = (sum.cc * sumX - sum.c * sum.xc) / determinant
      if minimum > 0 {
        minimum = 0
        scale = sum.xc / sum.cc
      }
      let found = error(sum, scale, minimum)
      if found < bestError {
        bestError = found
        best = (scale, minimum)
      }
    }
    // From 14 to 16 steps between the extremes, or between the best minimum so far and the largest value.
    for step in 0...20 {
      let steps = 14 + 0.1 * Float(step)
      consider(from: low, steps)
      if best.minimum != low, high > best.minimum { consider(from: best.minimum, steps) }
    }
    return (max(best.scale, 0), -best.minimum)
  }

  /// The weighted sum of (s c + m - x)², from the sums.
  @inline(__always)
  private func error(_ sum: (c: Float, cc: Float, xc: Float), _ s: Float, _ m: Float) -> Double {
    let (s, m) = (Double(s), Double(m))
    let squares = s * s * Double(sum.cc) + m * m * Double(sumW) + Double(sumXX)
    return squares + 2 * (s * m * Double(sum.c) - s * Double(sum.xc) - m * Double(sumX))
  }
}

@inline(__always)
private func total(_ v: Lanes) -> Float {
  let four = v.lowHalf + v.highHalf
  let two = four.lowHalf + four.highHalf
  return two[0] + two[1]
}

@inline(__always)
private func magnitude(_ v: Lanes) -> Lanes { v.replacing(with: -v, where: v .< Lanes()) }

/// The nearest integers from 0 to 15, ties to even.
@inline(__always)
private func clampedCodes(_ v: Lanes) -> Lanes {
  let shift = Lanes(repeating: 12_582_912)  // 1.5 * 2^23: adding it leaves no room for fractions
  let most = Lanes(repeating: 15)
  let codes = (v + shift) - shift
  let low = codes.replacing(with: Lanes(), where: codes .< Lanes())
  return low.replacing(with: most, where: low .> most)
}

private func quantizeQ4_K(
  _ x: UnsafePointer<Float>, _ out: UnsafeMutablePointer<UInt8>, _ columns: Int
) {
  for block in 0..<columns / 256 {
    let (x, out) = (x + block * 256, out + block * 144)
    var scales = SIMD8<Float>()
    var minima = SIMD8<Float>()
    for j in 0..<8 { (scales[j], minima[j]) = WeightedGroup(x + 32 * j).bestLine() }
    let (scale, minimum) = (scales.max(), minima.max())
    store(scale / 63, out)
    store(minimum / 63, out + 2)
    let perScale = Float(Float16(scale / 63))
    let perMinimum = Float(Float16(minimum / 63))
    for k in 4..<16 { out[k] = 0 }
    let bytes = out + 4
    for j in 0..<8 {
      let s = scale > 0 ? code((scales[j] * (63 / scale)).rounded(), most: 63) : 0
      let m = minimum > 0 ? code((minima[j] * (63 / minimum)).rounded(), most: 63) : 0
      if j < 4 {
        bytes[j] = s
        bytes[j + 4] = m
      } else {
        bytes[j + 4] = s & 15 | (m & 15) << 4
        bytes[j - 4] |= (s >> 4) << 6
        bytes[j] |= (m >> 4) << 6
      }
      // Codes for the scale and minimum as they were rounded.
      let step = perScale * Float(s)
      let shift: Float = 12_582_912
      let to = out + 16 + (j / 2) * 32
      for i in 0..<32 {
        var c: UInt8 = 0
        if step > 0 {
          c = code(((x[32 * j + i] + perMinimum * Float(m)) / step + shift) - shift, most: 15)
        }
        to[i] = j % 2 == 0 ? c : to[i] | c << 4
      }
    }
  }
}
