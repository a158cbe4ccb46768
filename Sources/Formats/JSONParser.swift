// Text to JSON values.
//
// One pass of recursive descent over the bytes. Strings without escapes (nearly all of them)
// are validated and made in one step. Nesting is bounded, so a hostile file cannot exhaust
// the stack; the values take memory in proportion to the text. What Python's json accepts is
// accepted (NaN, Infinity, repeated keys, any value at the top) and nothing else. A \u escape
// that is half a surrogate pair cannot be held by a Swift string and becomes U+FFFD; Python
// keeps it as a lone surrogate, which no file can hold either.

import Glibc

extension JSON {
  public struct ParseOptions: Sendable {
    public var maximumDepth: Int
    /// Accept NaN, Infinity and -Infinity, as Python does.
    public var allowsNonFinite: Bool

    public init(maximumDepth: Int = 500, allowsNonFinite: Bool = true) {
      self.maximumDepth = min(maximumDepth, 2000)
      self.allowsNonFinite = allowsNonFinite
    }
  }

  public static func parse(
    _ bytes: UnsafeRawBufferPointer, file: String = "JSON", options: ParseOptions = ParseOptions()
  ) throws(FormatError) -> JSON {
    var parser = JSONParser(text: bytes.bindMemory(to: UInt8.self), file: file, options: options)
    return try parser.parseDocument()
  }

  public static func parse(
    _ bytes: [UInt8], file: String = "JSON", options: ParseOptions = ParseOptions()
  ) throws(FormatError) -> JSON {
    let result = bytes.withUnsafeBytes { raw -> Result<JSON, FormatError> in
      do throws(FormatError) {
        return .success(try parse(raw, file: file, options: options))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  public static func parse(
    _ text: String, file: String = "JSON", options: ParseOptions = ParseOptions()
  ) throws(FormatError) -> JSON {
    try parse(Array(text.utf8), file: file, options: options)
  }

  /// Parses a file.
  public static func load(
    _ path: String, limit: Int = 1 << 30, options: ParseOptions = ParseOptions()
  ) throws(FormatError) -> JSON {
    let file = try MappedFile(path: path)
    guard file.count <= limit else {
      throw FormatError(
        .tooLarge, file: path, field: "size", found: "\(file.count) bytes of JSON",
        remedy: "this reader accepts at most \(limit)")
    }
    defer { withExtendedLifetime(file) {} }
    return try parse(file.bytes, file: path, options: options)
  }
}

struct JSONParser {
  let text: UnsafeBufferPointer<UInt8>
  let file: String
  let options: JSON.ParseOptions
  private var position = 0
  private var depth = 0

  init(text: UnsafeBufferPointer<UInt8>, file: String, options: JSON.ParseOptions) {
    self.text = text
    self.file = file
    self.options = options
  }

  mutating func parseDocument() throws(FormatError) -> JSON {
    // A byte order mark is not JSON, but editors write it.
    if text.count >= 3, text[0] == 0xEF, text[1] == 0xBB, text[2] == 0xBF { position = 3 }
    let value = try parseValue()
    skipSpace()
    if position < text.count { throw failure("unexpected \(shown(position)) after the value") }
    return value
  }

  private mutating func parseValue() throws(FormatError) -> JSON {
    skipSpace()
    guard position < text.count else { throw failure("the text ends where a value should be") }
    switch text[position] {
    case UInt8(ascii: "\""): return .string(try parseString())
    case UInt8(ascii: "{"): return try parseObject()
    case UInt8(ascii: "["): return try parseArray()
    case UInt8(ascii: "t"): return try keyword("true", .bool(true))
    case UInt8(ascii: "f"): return try keyword("false", .bool(false))
    case UInt8(ascii: "n"): return try keyword("null", .null)
    case UInt8(ascii: "N") where options.allowsNonFinite:
      return try keyword("NaN", .double(.nan))
    case UInt8(ascii: "I") where options.allowsNonFinite:
      return try keyword("Infinity", .double(.infinity))
    case UInt8(ascii: "-"), 0x30...0x39: return try parseNumber()
    default: throw failure("unexpected \(shown(position)) where a value should be")
    }
  }

  private mutating func parseObject() throws(FormatError) -> JSON {
    try enter()
    defer { depth -= 1 }
    var object = JSONObject()
    skipSpace()
    if take(UInt8(ascii: "}")) { return .object(object) }
    while true {
      skipSpace()
      guard position < text.count, text[position] == UInt8(ascii: "\"") else {
        throw failure("expected a key in double quotes, found \(shown(position))")
      }
      let key = try parseString()
      skipSpace()
      guard take(UInt8(ascii: ":")) else {
        throw failure("expected ':' after a key, found \(shown(position))")
      }
      object.put(key, try parseValue())
      skipSpace()
      if take(UInt8(ascii: ",")) { continue }
      if take(UInt8(ascii: "}")) { return .object(object) }
      throw failure("expected ',' or '}' in an object, found \(shown(position))")
    }
  }

  private mutating func parseArray() throws(FormatError) -> JSON {
    try enter()
    defer { depth -= 1 }
    var array: [JSON] = []
    array.reserveCapacity(2)
    skipSpace()
    if take(UInt8(ascii: "]")) { return .array(array) }
    while true {
      array.append(try parseValue())
      skipSpace()
      if take(UInt8(ascii: ",")) { continue }
      if take(UInt8(ascii: "]")) { return .array(array) }
      throw failure("expected ',' or ']' in an array, found \(shown(position))")
    }
  }

  private mutating func enter() throws(FormatError) {
    depth += 1
    position += 1
    guard depth <= options.maximumDepth else {
      throw failure("nested deeper than \(options.maximumDepth) levels", .tooLarge)
    }
  }

  // MARK: strings

  private mutating func parseString() throws(FormatError) -> String {
    let start = position + 1
    var end = start
    var isWide = false
    while end < text.count {
      let byte = text[end]
      if byte >= 0x80 {
        isWide = true
        end += 1
        continue
      }
      if byte == UInt8(ascii: "\"") {
        let plain = UnsafeBufferPointer(rebasing: text[start..<end])
        position = end + 1
        // ASCII needs no validation, and short ASCII no allocation.
        if !isWide { return String(decoding: plain, as: UTF8.self) }
        guard let string = String(validating: plain, as: UTF8.self) else {
          throw failure("a string holds bytes that are not UTF-8")
        }
        return string
      }
      if byte == UInt8(ascii: "\\") { break }
      if byte < 0x20 {
        position = end
        throw failure("unescaped control character \(shown(end)) in a string")
      }
      end += 1
    }
    return try parseEscapedString(from: start, firstEscape: end)
  }

  private mutating func parseEscapedString(
    from start: Int, firstEscape: Int
  ) throws(FormatError) -> String {
    var bytes = [UInt8](text[start..<firstEscape])
    position = firstEscape
    while position < text.count {
      let byte = text[position]
      position += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard let string = String(validating: bytes, as: UTF8.self) else {
          throw failure("a string holds bytes that are not UTF-8")
        }
        return string
      case UInt8(ascii: "\\"):
        guard position < text.count else { break }
        let escape = text[position]
        position += 1
        switch escape {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): bytes.append(escape)
        case UInt8(ascii: "b"): bytes.append(0x08)
        case UInt8(ascii: "f"): bytes.append(0x0C)
        case UInt8(ascii: "n"): bytes.append(0x0A)
        case UInt8(ascii: "r"): bytes.append(0x0D)
        case UInt8(ascii: "t"): bytes.append(0x09)
        case UInt8(ascii: "u"): appendUTF8(try parseUnicodeEscape(), to: &bytes)
        default:
          position -= 1
          throw failure("invalid escape \\\(shown(position)) in a string")
        }
      case 0..<0x20:
        position -= 1
        throw failure("unescaped control character \(shown(position)) in a string")
      default: bytes.append(byte)
      }
    }
    throw failure("the text ends inside a string", .truncated)
  }

  /// After `\u`: one scalar, reading the second half of a surrogate pair too.
  private mutating func parseUnicodeEscape() throws(FormatError) -> Unicode.Scalar {
    let replacement: Unicode.Scalar = "\u{FFFD}"
    let first = try parseHex4()
    guard first & 0xFC00 == 0xD800 else { return Unicode.Scalar(first) ?? replacement }
    guard position + 1 < text.count, text[position] == UInt8(ascii: "\\"),
      text[position + 1] == UInt8(ascii: "u")
    else { return replacement }
    let mark = position
    position += 2
    let second = try parseHex4()
    guard second & 0xFC00 == 0xDC00 else {
      position = mark
      return replacement
    }
    return Unicode.Scalar(0x10000 + (first & 0x3FF) << 10 + (second & 0x3FF)) ?? replacement
  }

  private mutating func parseHex4() throws(FormatError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard position < text.count, let digit = hexDigit(text[position]) else {
        throw failure("\\u needs four hexadecimal digits")
      }
      value = value << 4 | digit
      position += 1
    }
    return value
  }

  // MARK: numbers

  private mutating func parseNumber() throws(FormatError) -> JSON {
    let start = position
    let negative = take(UInt8(ascii: "-"))
    if negative, position < text.count, text[position] == UInt8(ascii: "I"),
      options.allowsNonFinite
    {
      return try keyword("Infinity", .double(-.infinity))
    }
    let firstDigit = position
    var mantissa: UInt64 = 0
    var digitCount = 0
    func digit(_ at: Int) -> UInt64? {
      guard at < text.count, text[at] >= 0x30, text[at] <= 0x39 else { return nil }
      return UInt64(text[at] - 0x30)
    }
    while let next = digit(position) {
      if digitCount < 19 { mantissa = mantissa * 10 + next }
      digitCount += 1
      position += 1
    }
    guard position > firstDigit else { throw failure("a number needs a digit") }
    if text[firstDigit] == 0x30, position > firstDigit + 1 {
      throw failure("a number may not begin with 0")
    }
    var isInteger = true
    var scale = 0
    if position < text.count, text[position] == UInt8(ascii: ".") {
      isInteger = false
      position += 1
      let fraction = position
      while let next = digit(position) {
        if digitCount < 19 { mantissa = mantissa * 10 + next }
        digitCount += 1
        position += 1
      }
      scale = position - fraction
      guard scale > 0 else { throw failure("a number needs a digit after its point") }
    }
    var exponent = 0
    if position < text.count, text[position] | 0x20 == UInt8(ascii: "e") {
      isInteger = false
      position += 1
      var sign = 1
      if take(UInt8(ascii: "-")) { sign = -1 } else { _ = take(UInt8(ascii: "+")) }
      let from = position
      while let next = digit(position) {
        exponent = min(exponent * 10 + Int(next), 100_000)
        position += 1
      }
      guard position > from else { throw failure("a number needs a digit after its e") }
      exponent *= sign
    }
    if isInteger, digitCount <= 18 {
      return .int(negative ? -Int(mantissa) : Int(mantissa))
    }
    let digits = String(decoding: text[start..<position], as: UTF8.self)
    if isInteger { return Int(digits).map { .int($0) } ?? .bigInt(digits) }
    // Both numbers are exact below 2^53 and 10^22, so one division or product rounds right.
    let power = exponent - scale
    if digitCount <= 15, power >= -22, power <= 22 {
      let magnitude =
        power < 0
        ? Double(mantissa) / powersOfTen[-power] : Double(mantissa) * powersOfTen[power]
      return .double(negative ? -magnitude : magnitude)
    }
    guard let value = Double(digits) else { throw failure("cannot read the number \(digits)") }
    return .double(value)
  }

  // MARK: small steps

  private mutating func keyword(_ word: StaticString, _ value: JSON) throws(FormatError) -> JSON {
    let count = word.utf8CodeUnitCount
    guard position + count <= text.count, let start = text.baseAddress,
      memcmp(start + position, word.utf8Start, count) == 0
    else { throw failure("unexpected \(shown(position)) where a value should be") }
    position += count
    return value
  }

  @inline(__always)
  private mutating func skipSpace() {
    while position < text.count {
      switch text[position] {
      case 0x20, 0x0A, 0x0D, 0x09: position += 1
      default: return
      }
    }
  }

  @inline(__always)
  private mutating func take(_ byte: UInt8) -> Bool {
    guard position < text.count, text[position] == byte else { return false }
    position += 1
    return true
  }

  private func shown(_ at: Int) -> String {
    guard at < text.count else { return "the end of the text" }
    let byte = text[at]
    if byte > 0x20, byte < 0x7F { return "'\(Unicode.Scalar(byte))'" }
    return "byte 0x" + String(byte, radix: 16)
  }

  private func failure(_ found: String, _ kind: FormatError.Kind = .invalid) -> FormatError {
    var line = 1
    var column = 1
    for byte in text[..<min(position, text.count)] {
      if byte == 0x0A {
        line += 1
        column = 1
      } else {
        column += 1
      }
    }
    return FormatError(
      position >= text.count ? .truncated : kind, file: file,
      field: "JSON line \(line) column \(column)", found: found, remedy: "correct the file")
  }
}

private let powersOfTen: [Double] = [
  1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
  1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
]

func hexDigit(_ byte: UInt8) -> UInt32? {
  switch byte {
  case 0x30...0x39: UInt32(byte - 0x30)
  case 0x41...0x46: UInt32(byte - 0x41 + 10)
  case 0x61...0x66: UInt32(byte - 0x61 + 10)
  default: nil
  }
}

@inline(__always)
func appendUTF8(_ scalar: Unicode.Scalar, to bytes: inout [UInt8]) {
  bytes.append(contentsOf: String(Character(scalar)).utf8)
}
