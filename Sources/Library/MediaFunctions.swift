// Images and bytes for displays: a PNG encoder and base64.
//
// A PNG file is a signature and chunks (length, type, data, CRC-32). The data of its pixels is a zlib stream of rows,
// each behind the number of its filter. zlib is opened when the first image is made; without it, and it is on nearly
// every machine, the stream has stored blocks: larger, and read by everything.

import Formats
import Language

let mediaFunctions: [Builtin] = [
  Builtin(
    "png", "png(pixels, width, height, channels, /)", chapter: "media",
    doc: """
      The bytes of a PNG file from bytes of pixels, row by row: 1 channel is grey, 2 grey and alpha, 3 RGB, 4 RGBA.
      """,
    examples: [
      ">>> from lull.media_native import png\n>>> png(bytes([0, 255]), 2, 1, 1)[:4]\nb'\\x89PNG'"
    ]
  ) { (a) throws(LullError) in
    guard let pixels = a[0].byteArray else { throw a.wrong(0, "bytes") }
    let (width, height, channels) = (try a.int(1), try a.int(2), try a.int(3))
    guard (1...4).contains(channels), (1...65535).contains(width), (1...65535).contains(height)
    else {
      throw LullError.valueError(
        "png: an image has 1 to 4 channels and 1 to 65535 rows and columns, not \(height) x \(width) x \(channels)"
      )
    }
    guard pixels.count == width * height * channels else {
      throw LullError.valueError(
        "png: \(height) x \(width) x \(channels) pixels are \(width * height * channels) bytes, not \(pixels.count)"
      )
    }
    return makeBytesValue(encodePNG(pixels, width: width, height: height, channels: channels))
  },
  Builtin(
    "base64", "base64(data, /)", chapter: "media", doc: "Bytes as base64, without line breaks.",
    examples: [">>> from lull.media_native import base64\n>>> base64(b'Lull')\n'THVsbA=='"]
  ) { (a) throws(LullError) in
    guard let bytes = a[0].byteArray else { throw a.wrong(0, "bytes") }
    return makeStr(base64(bytes))
  },
]

/// Base64 without line breaks.
public func base64(_ bytes: [UInt8]) -> String {
  let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
  var out: [UInt8] = []
  out.reserveCapacity((bytes.count + 2) / 3 * 4)
  var i = 0
  while i < bytes.count {
    let n = min(3, bytes.count - i)
    var group = UInt32(bytes[i]) << 16
    if n > 1 { group |= UInt32(bytes[i + 1]) << 8 }
    if n > 2 { group |= UInt32(bytes[i + 2]) }
    for k in 0..<4 {
      out.append(k <= n ? alphabet[Int(group >> UInt32(18 - 6 * k)) & 63] : 61)
    }
    i += 3
  }
  return String(decoding: out, as: UTF8.self)
}

// MARK: - PNG

private let crcTable: [UInt32] = (0..<256).map { n in
  (0..<8).reduce(UInt32(n)) { c, _ in c & 1 == 1 ? 0xEDB8_8320 ^ (c >> 1) : c >> 1 }
}

private func bigEndian(_ value: Int) -> [UInt8] {
  [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
}

private func chunk(_ type: String, _ data: [UInt8]) -> [UInt8] {
  let body = Array(type.utf8) + data
  let crc = body.reduce(UInt32.max) { c, b in crcTable[Int((c ^ UInt32(b)) & 255)] ^ (c >> 8) }
  return bigEndian(data.count) + body + bigEndian(Int(~crc))
}

func encodePNG(_ pixels: [UInt8], width: Int, height: Int, channels: Int) -> [UInt8] {
  let rowLength = width * channels
  var rows: [UInt8] = []
  rows.reserveCapacity((rowLength + 1) * height)
  for y in 0..<height {
    let row = y * rowLength
    // Differences to the pixel above compress well in pictures, and cost nothing in plain ones.
    rows.append(y == 0 ? 0 : 2)
    for x in row..<(row + rowLength) {
      rows.append(y == 0 ? pixels[x] : pixels[x] &- pixels[x - rowLength])
    }
  }
  let colour: [UInt8] = [0, 4, 2, 6]
  let header = bigEndian(width) + bigEndian(height) + [8, colour[channels - 1], 0, 0, 0]
  return [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A] + chunk("IHDR", header)
    + chunk("IDAT", compressed(rows)) + chunk("IEND", [])
}

/// A zlib stream of the bytes, compressed where there is zlib.
private func compressed(_ bytes: [UInt8]) -> [UInt8] {
  do throws(FormatError) { return try Zlib.compress(bytes, level: 6) } catch {
    return stored(bytes)
  }
}

/// A zlib stream that stores the bytes as they are.
func stored(_ bytes: [UInt8]) -> [UInt8] {
  var out: [UInt8] = [0x78, 0x01]
  var start = 0
  repeat {
    let count = min(65535, bytes.count - start)
    out.append(start + count == bytes.count ? 1 : 0)
    for n in [count, ~count] {
      out.append(UInt8(truncatingIfNeeded: n))
      out.append(UInt8(truncatingIfNeeded: n >> 8))
    }
    out += bytes[start..<(start + count)]
    start += count
  } while start < bytes.count
  var (a, b) = (UInt32(1), UInt32(0))
  for byte in bytes {
    a = (a + UInt32(byte)) % 65521
    b = (b + a) % 65521
  }
  return out + bigEndian(Int(b << 16 | a))
}
