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

private typealias Group = SIMD32<Float>

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
  let floats = w.astype(.float32)
  try floats.eval()
  let source = try floats.rowContiguous()
  let rowBytes = columns / values * bytes
  let data = try NDArray(uninitialized: [rows * rowBytes], dtype: .uint8)
  let from = source.pointer(as: Float.self)
  let to = data.pointer(as: UInt8.self)
  let perChunk = max(1, 16384 / columns)
  parallelFor((rows + perChunk - 1) / perChunk) { chunk, _ in
    if lull_interrupt_raised() != 0 { return }
    for row in chunk * perChunk..<min(rows, (chunk + 1) * perChunk) {
      quantizeRow(from + row * columns, to + row * rowBytes, columns)
    }
  }
  if lull_interrupt_raised() != 0 { throw .interrupted }
  withExtendedLifetime(source) {}
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

/// The nearest integers to values below 2^22 in size, ties to even.
@inline(__always)
private func nearest(_ x: Group) -> Group {
  let shift = Group(repeating: 12_582_912)  // 1.5 * 2^23: adding it leaves no room for fractions
  return (x + shift) - shift
}

/// Scale s >= 0 and minimum m >= 0 such that s * code - m with codes 0...15 comes close to x.
@inline(__always)
private func bestLine(_ x: Group, _ weights: Group) -> (scale: Float, minimum: Float) {
  let (zero, most) = (Group(repeating: 0), Group(repeating: 15))
  let low = min(x.min(), 0)
  let high = x.max()
  guard high > low else { return (0, -low) }
  let wx = weights * x
  let (sumW, sumX) = (weights.sum(), wx.sum())

  func error(_ codes: Group, _ scale: Float, _ minimum: Float) -> Float {
    let difference = codes * scale + Group(repeating: minimum) - x
    return (weights * difference * difference).sum()
  }

  var best = (scale: (high - low) / 15, minimum: low)
  let first = nearest((x - Group(repeating: low)) * (15 / (high - low)))
    .clamped(lowerBound: zero, upperBound: most)
  var bestError = error(first, best.scale, best.minimum)
  func consider(from start: Float, _ steps: Float) {
    let codes = nearest((x - Group(repeating: start)) * (steps / (high - start)))
      .clamped(lowerBound: zero, upperBound: most)
    let wc = weights * codes
    let (sumC, sumCC, sumXC) = (wc.sum(), (wc * codes).sum(), (wx * codes).sum())
    let determinant = sumW * sumCC - sumC * sumC
    guard determinant > 0 else { return }
    var scale = (sumW * sumXC - sumX * sumC) / determinant
    var minimum = (sumCC * sumX - sumC * sumXC) / determinant
    if minimum > 0 {
      minimum = 0
      scale = sumXC / sumCC
    }
    let found = error(codes, scale, minimum)
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

private func quantizeQ4_K(
  _ x: UnsafePointer<Float>, _ out: UnsafeMutablePointer<UInt8>, _ columns: Int
) {
  for block in 0..<columns / 256 {
    let out = out + block * 144
    let raw = UnsafeRawPointer(x + block * 256)
    func group(_ j: Int) -> Group { raw.loadUnaligned(fromByteOffset: j * 128, as: Group.self) }
    var scales = SIMD8<Float>()
    var minima = SIMD8<Float>()
    for j in 0..<8 {
      let values = group(j)
      let size = values.replacing(with: -values, where: values .< Group(repeating: 0))
      let weights = size + Group(repeating: ((values * values).sum() / 32).squareRoot())
      (scales[j], minima[j]) = bestLine(values, weights)
    }
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
      var codes = Group(repeating: 0)
      if step > 0 {
        codes = nearest((group(j) + Group(repeating: perMinimum * Float(m))) / step)
      }
      let to = out + 16 + (j / 2) * 32
      for i in 0..<32 {
        let c = code(codes[i], most: 15)
        to[i] = j % 2 == 0 ? c : to[i] | c << 4
      }
    }
  }
}
