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

private func decodeError(_ codec: Codec, _ b: [UInt8], _ i: Int, _ n: Int, _ why: String)
  -> LullError
{
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
  /// Handles `n` bytes that mean nothing; returns how many are done with.
  func bad(_ i: Int, _ n: Int, _ why: String) throws(LullError) -> Int {
    switch errors {
    case "strict": throw decodeError(named, b, i, n, why)
    case "ignore": return n
    case "replace": out.append(0xFFFD)
    case "surrogateescape":
      let run = b[i..<min(i + n, b.count)].prefix { $0 >= 0x80 }
      if run.isEmpty { throw decodeError(named, b, i, n, why) }
      out += run.map { 0xDC00 + UInt32($0) }
      return run.count
    case "surrogatepass":
      var size = 3
      var point: UInt32 = 0
      switch named {
      case .utf8, .utf8Signature:
        guard i + 3 <= b.count, b[i] == 0xED, 0xA0...0xBF ~= b[i + 1], 0x80...0xBF ~= b[i + 2]
        else { break }
        point = 0xD000 | UInt32(b[i + 1] & 0x3F) << 6 | UInt32(b[i + 2] & 0x3F)
      case .wide(let unit, let order) where i + unit <= b.count:
        size = unit
        for j in 0..<unit {
          point |= UInt32(b[i + j]) << UInt32(8 * (order ?? true ? j : unit - 1 - j))
        }
      default: break
      }
      guard 0xD800...0xDFFF ~= point else { throw decodeError(named, b, i, n, why) }
      out.append(point)
      return size
    case "backslashreplace":
      for x in b[i..<(i + n)] {
        out += "\\x\(x < 16 ? "0" : "")\(String(x, radix: 16))".unicodeScalars.map(\.value)
      }
    default: throw unknownHandler(errors)
    }
    return n
  }
  var i = 0
  switch codec {
  case .latin1: break
  case .ascii:
    for (k, x) in b.enumerated() {
      if x < 128 { out.append(UInt32(x)) } else { _ = try bad(k, 1, "ordinal not in range(128)") }
    }
  case .utf8, .utf8Signature:
    if case .utf8Signature = codec, b.starts(with: [0xEF, 0xBB, 0xBF]) { i = 3 }
    while i < b.count {
      let lead = b[i]
      let n =
        lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0
      if n == 0 {
        i += try bad(i, 1, "invalid start byte")
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
        i += k
      } else {
        i += try bad(
          i, k, i + k >= b.count ? "unexpected end of data" : "invalid continuation byte")
      }
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
        i += try bad(i, b.count - i, "truncated data")
        continue
      }
      let x = unit(i)
      if size == 2, x >= 0xD800, x < 0xDC00 {
        if i + 4 > b.count {
          i += try bad(i, b.count - i, "unexpected end of data")
          continue
        }
        let y = unit(i + 2)
        if y >= 0xDC00, y < 0xE000 {
          out.append(0x10000 + (x - 0xD800) << 10 + (y - 0xDC00))
          i += 4
          continue
        }
        i += try bad(i, 2, "illegal UTF-16 surrogate")
      } else if x >= 0xD800, x < 0xE000 {
        i += try bad(
          i, size,
          size == 2
            ? "illegal encoding" : "code point in surrogate code point range(0xd800, 0xe000)")
      } else if x > 0x10FFFF {
        i += try bad(i, size, "code point not in range(0x110000)")
      } else {
        out.append(x)
        i += size
      }
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

/// What takes the place of code points that a codec cannot write.
private enum Replacement {
  case text(String)
  case bytes([UInt8])
}

/// The place of code points `i..<end`, by the error handler; throws when it is strict or does not know what to do.
private func replacement(
  _ codec: Codec, _ s: StrPtr, _ points: [UInt32], _ i: Int, _ end: Int, _ why: String,
  _ errors: String
) throws(LullError) -> Replacement {
  func strict() -> LullError {
    let what =
      end == i + 1
      ? "character '\(escape(points[i]))' in position \(i)"
      : "characters in position \(i)-\(end - 1)"
    let e = LullError("UnicodeEncodeError", "'\(codec.name)' codec can't encode \(what): \(why)")
    e.arguments = [makeStr(codec.name), s.value.retained(), Value(i), Value(end), makeStr(why)]
    return e
  }
  let run = points[i..<end]
  switch errors {
  case "strict": throw strict()
  case "ignore": return .text("")
  case "replace": return .text(String(repeating: "?", count: run.count))
  case "backslashreplace": return .text(run.map(escape).joined())
  case "xmlcharrefreplace": return .text(run.map { "&#\($0);" }.joined())
  case "namereplace":
    return .text(
      run.map { c in Unicode.Scalar(c)?.properties.name.map { "\\N{\($0)}" } ?? escape(c) }.joined()
    )
  case "surrogateescape":
    guard run.allSatisfy({ 0xDC80...0xDCFF ~= $0 }) else { throw strict() }
    return .bytes(run.map { UInt8(truncatingIfNeeded: $0) })
  case "surrogatepass":
    guard run.allSatisfy({ 0xD800...0xDFFF ~= $0 }) else { throw strict() }
    switch codec {
    case .utf8, .utf8Signature:
      return .bytes(run.flatMap { [0xED, UInt8(0x80 | $0 >> 6 & 0x3F), UInt8(0x80 | $0 & 0x3F)] })
    case .wide(let size, let order):
      return .bytes(
        run.flatMap { c in
          (0..<size).map {
            UInt8(truncatingIfNeeded: c >> UInt32(8 * (order ?? true ? $0 : size - 1 - $0)))
          }
        })
    default: throw strict()
    }
  default: throw unknownHandler(errors)
  }
}

extension UnsafeMutablePointer where Pointee == StrBody {
  /// Whether there are lone surrogates, which no codec writes by itself.
  var hasSurrogates: Bool {
    if isASCII { return false }
    let b = buffer
    for i in 0..<max(0, b.count - 1) where b[i] == 0xED && b[i + 1] >= 0xA0 { return true }
    return false
  }
}

func encodeString(_ s: StrPtr, _ encoding: String, _ errors: String) throws(LullError) -> [UInt8] {
  let codec = try Codec(encoding)
  var out: [UInt8] = []
  switch codec {
  case .utf8, .utf8Signature:
    if case .utf8Signature = codec { out = [0xEF, 0xBB, 0xBF] }
    if !s.hasSurrogates { return out.isEmpty ? Array(s.buffer) : out + Array(s.buffer) }
    let points = s.codePoints
    try write(points, codec, s, errors, "surrogates not allowed", &out) { c, out in
      guard let u = Unicode.Scalar(c) else { return false }
      out += String(u).utf8
      return true
    }
  case .latin1, .ascii:
    let limit: UInt32 = codec.name == "ascii" ? 128 : 256
    let points = s.codePoints
    out.reserveCapacity(points.count)
    try write(points, codec, s, errors, "ordinal not in range(\(limit))", &out) { c, out in
      if c >= limit { return false }
      out.append(UInt8(c))
      return true
    }
  case .wide(let size, let order):
    let little = order ?? true
    func unit(_ x: UInt32, _ out: inout [UInt8]) {
      for j in 0..<size {
        out.append(UInt8(truncatingIfNeeded: x >> UInt32(8 * (little ? j : size - 1 - j))))
      }
    }
    if order == nil { unit(0xFEFF, &out) }
    try write(s.codePoints, codec, s, errors, "surrogates not allowed", &out) { c, out in
      if 0xD800...0xDFFF ~= c { return false }
      if size == 2, c >= 0x10000 {
        unit(0xD800 + (c - 0x10000) >> 10, &out)
        unit(0xDC00 + (c - 0x10000) & 0x3FF, &out)
      } else {
        unit(c, &out)
      }
      return true
    }
  }
  return out
}

/// Writes each code point with `one`, which says whether it can, and what the handler puts in place of the others.
private func write(
  _ points: [UInt32], _ codec: Codec, _ s: StrPtr, _ errors: String, _ why: String,
  _ out: inout [UInt8],
  _ one: (UInt32, inout [UInt8]) -> Bool
) throws(LullError) {
  var isWide = false
  if case .wide = codec { isWide = true }
  var i = 0
  while i < points.count {
    if one(points[i], &out) {
      i += 1
      continue
    }
    var end = i + 1
    var none: [UInt8] = []
    // The wide codecs ask the handler for each one, the others for a run of them.
    while !isWide, end < points.count, !one(points[end], &none) { end += 1 }
    if errors == "surrogateescape", !isWide {
      // Those before the first that is none are written.
      while i < end, 0xDC80...0xDCFF ~= points[i] {
        out.append(UInt8(truncatingIfNeeded: points[i]))
        i += 1
      }
      if i == end { continue }
    }
    switch try replacement(codec, s, points, i, end, why, errors) {
    case .bytes(let b):
      // Half a unit would shift all that follows.
      if case .wide(let size, _) = codec, b.count % size != 0 {
        _ = try replacement(codec, s, points, i, end, why, "strict")
      }
      out += b
    case .text(let t): for u in t.unicodeScalars { _ = one(u.value, &out) }
    }
    i = end
  }
}
