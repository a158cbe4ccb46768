// Deflate (RFC 1951), as zip files have it: writing with the fixed Huffman codes over matches found by hashes of
// three bytes, reading all kinds of blocks.

private let lengthBase: [Int] = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
  163, 195, 227, 258,
]
private let lengthBits: [Int] = [
  0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
]
private let distanceBase: [Int] = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049,
  3073, 4097, 6145, 8193, 12289, 16385, 24577,
]
private let distanceBits: [Int] = [
  0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
]

// MARK: - Writing

private struct BitWriter {
  var out: [UInt8] = []
  var bits: UInt64 = 0
  var count = 0
  mutating func put(_ value: Int, _ width: Int) {
    bits |= UInt64(value) << UInt64(count)
    count += width
    while count >= 8 {
      out.append(UInt8(truncatingIfNeeded: bits))
      bits >>= 8
      count -= 8
    }
  }
  /// A Huffman code goes out with its first bit first.
  mutating func code(_ value: Int, _ width: Int) {
    var reversed = 0
    for i in 0..<width where value >> i & 1 == 1 { reversed |= 1 << (width - 1 - i) }
    put(reversed, width)
  }
  mutating func symbol(_ s: Int) {
    switch s {
    case ..<144: code(0x30 + s, 8)
    case ..<256: code(0x190 + s - 144, 9)
    case ..<280: code(s - 256, 7)
    default: code(0xC0 + s - 280, 8)
    }
  }
  mutating func finish() -> [UInt8] {
    if count > 0 { out.append(UInt8(truncatingIfNeeded: bits)) }
    return out
  }
}

/// The bytes in one final block with fixed codes.
func deflate(_ data: [UInt8]) -> [UInt8] {
  var writer = BitWriter()
  writer.out.reserveCapacity(data.count / 2)
  writer.put(1, 1)
  writer.put(1, 2)
  let hashSize = 1 << 15
  var head = [Int32](repeating: -1, count: hashSize)
  var previous = [Int32](repeating: -1, count: 1 << 15)
  let n = data.count
  data.withUnsafeBufferPointer { p in
    func hash(_ i: Int) -> Int {
      var word = UInt32(p[i])
      word |= UInt32(p[i + 1]) << 8
      word |= UInt32(p[i + 2]) << 16
      return Int((word &* 0x9E37_79B1) >> 17)
    }
    func remember(_ i: Int) {
      guard i + 2 < n else { return }
      let h = hash(i)
      previous[i & 0x7FFF] = head[h]
      head[h] = Int32(truncatingIfNeeded: i)
    }
    var i = 0
    while i < n {
      var best = 0
      var distance = 0
      if i + 2 < n, n < Int(Int32.max) {
        var candidate = Int(head[hash(i)])
        var tries = 16
        let most = Swift.min(258, n - i)
        while candidate >= 0, i - candidate <= 32768, candidate < i, tries > 0 {
          var length = 0
          while length < most, p[candidate + length] == p[i + length] { length += 1 }
          if length > best {
            best = length
            distance = i - candidate
            if length == most { break }
          }
          let next = Int(previous[candidate & 0x7FFF])
          if next >= candidate { break }
          candidate = next
          tries -= 1
        }
      }
      if best >= 3 {
        var l = lengthBase.count - 1
        while lengthBase[l] > best { l -= 1 }
        writer.symbol(257 + l)
        writer.put(best - lengthBase[l], lengthBits[l])
        var d = distanceBase.count - 1
        while distanceBase[d] > distance { d -= 1 }
        writer.code(d, 5)
        writer.put(distance - distanceBase[d], distanceBits[d])
        for k in 0..<best { remember(i + k) }
        i += best
      } else {
        writer.symbol(Int(p[i]))
        remember(i)
        i += 1
      }
    }
  }
  writer.symbol(256)
  return writer.finish()
}

// MARK: - Reading

/// A canonical Huffman code: how many codes have each length, and the symbols in order.
private struct Huffman {
  var counts = [Int](repeating: 0, count: 16)
  var symbols: [Int] = []
  init(_ lengths: [Int]) {
    for l in lengths { counts[l] += 1 }
    counts[0] = 0
    var offsets = [Int](repeating: 0, count: 17)
    for l in 1..<16 { offsets[l + 1] = offsets[l] + counts[l] }
    symbols = [Int](repeating: 0, count: lengths.count)
    for (s, l) in lengths.enumerated() where l > 0 {
      symbols[offsets[l]] = s
      offsets[l] += 1
    }
  }
}

private struct BitReader {
  let data: UnsafeRawBufferPointer
  var at = 0
  var bits: UInt32 = 0
  var count = 0
  /// nil at the end of the data.
  mutating func take(_ width: Int) -> Int? {
    while count < width {
      guard at < data.count else { return nil }
      bits |= UInt32(data[at]) << UInt32(count)
      at += 1
      count += 8
    }
    let value = Int(bits & (1 << UInt32(width) - 1))
    bits >>= UInt32(width)
    count -= width
    return value
  }
  mutating func symbol(_ code: Huffman) -> Int? {
    var value = 0
    var first = 0
    var index = 0
    for length in 1..<16 {
      guard let bit = take(1) else { return nil }
      value |= bit
      let n = code.counts[length]
      if value - n < first { return code.symbols[index + value - first] }
      index += n
      first = (first + n) << 1
      value <<= 1
    }
    return nil
  }
}

/// The `size` bytes that deflated data stand for; nil where it is damaged or of another size.
func inflate(_ data: UnsafeRawBufferPointer, size: Int) -> [UInt8]? {
  var reader = BitReader(data: data)
  var out: [UInt8] = []
  out.reserveCapacity(Swift.min(size, 1 << 28))
  let fixed = Huffman((0..<288).map { $0 < 144 ? 8 : $0 < 256 ? 9 : $0 < 280 ? 7 : 8 })
  let fixedDistances = Huffman([Int](repeating: 5, count: 30))
  while true {
    guard let isLast = reader.take(1), let kind = reader.take(2) else { return nil }
    switch kind {
    case 0:
      reader.bits = 0
      reader.count = 0
      guard reader.at + 4 <= data.count else { return nil }
      let length = Int(data[reader.at]) | Int(data[reader.at + 1]) << 8
      reader.at += 4
      guard length <= data.count - reader.at, out.count + length <= size else { return nil }
      out += data[reader.at..<reader.at + length]
      reader.at += length
    case 1: guard block(&reader, &out, size, fixed, fixedDistances) else { return nil }
    case 2:
      guard let (codes, distances) = tables(&reader) else { return nil }
      guard block(&reader, &out, size, codes, distances) else { return nil }
    default: return nil
    }
    if isLast == 1 { return out.count == size ? out : nil }
  }
}

private func block(
  _ reader: inout BitReader, _ out: inout [UInt8], _ size: Int, _ codes: Huffman,
  _ distances: Huffman
) -> Bool {
  while true {
    guard let s = reader.symbol(codes) else { return false }
    if s == 256 { return true }
    if s < 256 {
      guard out.count < size else { return false }
      out.append(UInt8(s))
      continue
    }
    guard s - 257 < lengthBase.count, let extra = reader.take(lengthBits[s - 257]),
      let d = reader.symbol(distances), d < distanceBase.count,
      let far = reader.take(distanceBits[d])
    else { return false }
    let length = lengthBase[s - 257] + extra
    let distance = distanceBase[d] + far
    guard distance <= out.count, out.count + length <= size else { return false }
    for _ in 0..<length { out.append(out[out.count - distance]) }
  }
}

private func tables(_ reader: inout BitReader) -> (Huffman, Huffman)? {
  guard let a = reader.take(5), let b = reader.take(5), let c = reader.take(4) else { return nil }
  let order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
  var lengths = [Int](repeating: 0, count: 19)
  for i in 0..<(c + 4) {
    guard let l = reader.take(3) else { return nil }
    lengths[order[i]] = l
  }
  let code = Huffman(lengths)
  var all: [Int] = []
  let total = a + 257 + b + 1
  while all.count < total {
    guard let s = reader.symbol(code) else { return nil }
    switch s {
    case ..<16: all.append(s)
    case 16:
      guard let last = all.last, let n = reader.take(2) else { return nil }
      all += [Int](repeating: last, count: n + 3)
    case 17:
      guard let n = reader.take(3) else { return nil }
      all += [Int](repeating: 0, count: n + 3)
    default:
      guard let n = reader.take(7) else { return nil }
      all += [Int](repeating: 0, count: n + 11)
    }
  }
  guard all.count == total else { return nil }
  return (Huffman(Array(all[..<(a + 257)])), Huffman(Array(all[(a + 257)...])))
}
