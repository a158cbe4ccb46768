// Text as bytes and back: UTF-8, UTF-16, UTF-32, Latin-1, ASCII, with CPython's error handlers and messages.

private enum Codec {
  case utf8, utf8Signature, latin1, ascii
  /// Bytes a unit; nil: a byte order mark says the order (little-endian when written).
  case wide(Int, littleEndian: Bool?)

  init(_ encoding: String) throws(LullError) {
    switch encoding.lowercased().filter({ $0 != "-" && $0 != "_" && $0 != " " }) {
    case "utf8", "u8": self = .utf8
    case "utf8sig": self = .utf8Signature
    case "latin1", "iso88591", "latin", "l1", "88591", "cp819": self = .latin1
    case "ascii", "usascii", "646": self = .ascii
    case "utf16", "u16": self = .wide(2, littleEndian: nil)
    case "utf16le": self = .wide(2, littleEndian: true)
    case "utf16be": self = .wide(2, littleEndian: false)
    case "utf32", "u32": self = .wide(4, littleEndian: nil)
    case "utf32le": self = .wide(4, littleEndian: true)
    case "utf32be": self = .wide(4, littleEndian: false)
    default: throw LullError("LookupError", "unknown encoding: \(encoding)")
    }
  }
  var name: String {
    switch self {
    case .utf8, .utf8Signature: "utf-8"
    case .latin1: "latin-1"
    case .ascii: "ascii"
    case .wide(let n, let little):
      "utf-\(n * 8)" + (little.map { $0 ? "-le" : "-be" } ?? "")
    }
  }
}

private func unknownHandler(_ name: String) -> LullError {
  LullError("LookupError", "unknown error handler name '\(name)'")
}

// MARK: - Decoding

private func decodeError(_ codec: Codec, _ b: [UInt8], _ i: Int, _ n: Int, _ why: String) -> LullError {
  let at =
    n <= 1
    ? "byte 0x\(b[i] < 16 ? "0" : "")\(String(b[i], radix: 16)) in position \(i)"
    : "bytes in position \(i)-\(i + n - 1)"
  let e = LullError("UnicodeDecodeError", "'\(codec.name)' codec can't decode \(at): \(why)")
  e.arguments = [makeStr(codec.name), makeBytes(b), Value(i), Value(i + n), makeStr(why)]
  return e
}

func decodeBytes(_ b: [UInt8], _ encoding: String, _ errors: String) throws(LullError) -> Value {
  let codec = try Codec(encoding)
  if case .latin1 = codec { return makeStr(codePoints: b.map { UInt32($0) }) }
  if case .utf8 = codec, String(validating: b, as: UTF8.self) != nil { return makeStr(b) }
  var out: [UInt32] = []
  out.reserveCapacity(b.count)
  var named = codec
  func bad(_ i: Int, _ n: Int, _ why: String) throws(LullError) {
    switch errors {
    case "strict": throw decodeError(named, b, i, n, why)
    case "ignore": return
    case "replace": out.append(0xFFFD)
    case "backslashreplace":
      for x in b[i..<(i + n)] {
        out += "\\x\(x < 16 ? "0" : "")\(String(x, radix: 16))".unicodeScalars.map(\.value)
      }
    default: throw unknownHandler(errors)
    }
  }
  var i = 0
  switch codec {
  case .latin1: break
  case .ascii:
    for (k, x) in b.enumerated() {
      if x < 128 { out.append(UInt32(x)) } else { try bad(k, 1, "ordinal not in range(128)") }
    }
  case .utf8, .utf8Signature:
    if case .utf8Signature = codec, b.starts(with: [0xEF, 0xBB, 0xBF]) { i = 3 }
    while i < b.count {
      let lead = b[i]
      let n = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0
      if n == 0 {
        try bad(i, 1, "invalid start byte")
        i += 1
        continue
      }
      var point = n == 1 ? UInt32(lead) : UInt32(lead) & (0xFF >> UInt32(n + 1))
      var k = 1
      while k < n, i + k < b.count {
        let low: UInt8 = k > 1 ? 0x80 : lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80
        let high: UInt8 = k > 1 ? 0xBF : lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF
        if b[i + k] < low || b[i + k] > high { break }
        point = point << 6 | UInt32(b[i + k] & 0x3F)
        k += 1
      }
      if k == n {
        out.append(point)
      } else {
        try bad(i, k, i + k >= b.count ? "unexpected end of data" : "invalid continuation byte")
      }
      i += k
    }
  case .wide(let size, let order):
    var little = order ?? true
    func unit(_ k: Int) -> UInt32 {
      var x: UInt32 = 0
      for j in 0..<size { x |= UInt32(b[k + j]) << UInt32(8 * (little ? j : size - 1 - j)) }
      return x
    }
    if order == nil, b.count >= size {
      if unit(0) == 0xFEFF {
        i = size
      } else if unit(0) == (size == 2 ? 0xFFFE : 0xFFFE_0000) {
        little = false
        i = size
      }
    }
    if order == nil { named = .wide(size, littleEndian: little) }
    while i < b.count {
      if i + size > b.count {
        try bad(i, b.count - i, "truncated data")
        break
      }
      let x = unit(i)
      if size == 2, x >= 0xD800, x < 0xDC00 {
        if i + 4 > b.count {
          try bad(i, b.count - i, "unexpected end of data")
          break
        }
        let y = unit(i + 2)
        if y >= 0xDC00, y < 0xE000 {
          out.append(0x10000 + (x - 0xD800) << 10 + (y - 0xDC00))
          i += 4
          continue
        }
        try bad(i, 2, "illegal UTF-16 surrogate")
      } else if x >= 0xD800, x < 0xE000 {
        try bad(i, size, size == 2 ? "illegal encoding" : "code point in surrogate code point range(0xd800, 0xe000)")
      } else if x > 0x10FFFF {
        try bad(i, size, "code point not in range(0x110000)")
      } else {
        out.append(x)
      }
      i += size
    }
  }
  return makeStr(codePoints: out)
}

// MARK: - Encoding

private func escape(_ c: UInt32) -> String {
  func padded(_ n: Int) -> String {
    let h = String(c, radix: 16)
    return String(repeating: "0", count: max(0, n - h.count)) + h
  }
  return c < 0x100 ? "\\x\(padded(2))" : c < 0x10000 ? "\\u\(padded(4))" : "\\U\(padded(8))"
}

func encodeString(_ s: StrPtr, _ encoding: String, _ errors: String) throws(LullError) -> [UInt8] {
  let codec = try Codec(encoding)
  switch codec {
  case .utf8: return Array(s.buffer)
  case .utf8Signature: return [0xEF, 0xBB, 0xBF] + Array(s.buffer)
  case .latin1, .ascii:
    let limit: UInt32 = codec.name == "ascii" ? 128 : 256
    let points = s.codePoints
    var out: [UInt8] = []
    out.reserveCapacity(points.count)
    var i = 0
    while i < points.count {
      if points[i] < limit {
        out.append(UInt8(points[i]))
        i += 1
        continue
      }
      var end = i
      while end < points.count, points[end] >= limit { end += 1 }
      switch errors {
      case "strict":
        let what =
          end == i + 1
          ? "character '\(escape(points[i]))' in position \(i)" : "characters in position \(i)-\(end - 1)"
        let why = "ordinal not in range(\(limit))"
        let e = LullError("UnicodeEncodeError", "'\(codec.name)' codec can't encode \(what): \(why)")
        e.arguments = [makeStr(codec.name), s.value.retained(), Value(i), Value(end), makeStr(why)]
        throw e
      case "ignore": break
      case "replace": out += [UInt8](repeating: 63, count: end - i)
      case "backslashreplace": for c in points[i..<end] { out += Array(escape(c).utf8) }
      case "xmlcharrefreplace": for c in points[i..<end] { out += Array("&#\(c);".utf8) }
      default: throw unknownHandler(errors)
      }
      i = end
    }
    return out
  case .wide(let size, let order):
    let little = order ?? true
    var out: [UInt8] = []
    func write(_ x: UInt32) {
      for j in 0..<size { out.append(UInt8(truncatingIfNeeded: x >> UInt32(8 * (little ? j : size - 1 - j)))) }
    }
    if order == nil { write(0xFEFF) }
    for c in s.codePoints {
      if size == 2, c >= 0x10000 {
        write(0xD800 + (c - 0x10000) >> 10)
        write(0xDC00 + (c - 0x10000) & 0x3FF)
      } else {
        write(c)
      }
    }
    return out
  }
}
