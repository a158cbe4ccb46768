// JSON values to text, byte for byte as Python's json.dumps writes them.
//
// Notebooks are compared and merged as text, so the layout is Python's to the last blank:
// indent, sorted keys (by code point, which is the order of the UTF-8), float repr, and which
// characters are escaped.

extension JSON {
  public struct WriteOptions: Sendable {
    /// Spaces a level; nil writes one line.
    public var indent: Int?
    public var sortKeys: Bool
    public var ensureASCII: Bool
    /// Without blanks after ',' and ':' (Python's `separators=(",", ":")`).
    public var compact: Bool

    public init(
      indent: Int? = nil, sortKeys: Bool = false, ensureASCII: Bool = true, compact: Bool = false
    ) {
      self.indent = indent
      self.sortKeys = sortKeys
      self.ensureASCII = ensureASCII
      self.compact = compact
    }

    /// As nbformat writes a notebook (which adds a newline at the end).
    public static let notebook = WriteOptions(indent: 1, sortKeys: true, ensureASCII: false)
  }

  /// The text as UTF-8.
  public func serializedBytes(_ options: WriteOptions = WriteOptions()) -> [UInt8] {
    var writer = JSONWriter(options: options)
    writer.write(self, level: 0)
    return writer.bytes
  }

  public func serialized(_ options: WriteOptions = WriteOptions()) -> String {
    String(decoding: serializedBytes(options), as: UTF8.self)
  }
}

private struct JSONWriter {
  let options: JSON.WriteOptions
  var bytes: [UInt8] = []

  init(options: JSON.WriteOptions) { self.options = options }

  mutating func write(_ value: JSON, level: Int) {
    switch value {
    case .null: append("null")
    case .bool(let value): append(value ? "true" : "false")
    case .int(let value): append(String(value))
    case .bigInt(let digits): append(digits)
    case .double(let value):
      if value.isNaN {
        append("NaN")
      } else if value.isInfinite {
        append(value < 0 ? "-Infinity" : "Infinity")
      } else {
        append(pythonRepr(value))
      }
    case .string(let text): write(text)
    case .array(let elements):
      guard !elements.isEmpty else { return append("[]") }
      append("[")
      for (index, element) in elements.enumerated() {
        separate(index, level + 1)
        write(element, level: level + 1)
      }
      newline(level)
      append("]")
    case .object(let object):
      guard !object.isEmpty else { return append("{}") }
      append("{")
      var order = Array(object.keys.indices)
      if options.sortKeys {
        order.sort { object.keys[$0].utf8.lexicographicallyPrecedes(object.keys[$1].utf8) }
      }
      for (place, index) in order.enumerated() {
        separate(place, level + 1)
        write(object.keys[index])
        append(options.compact ? ":" : ": ")
        write(object.values[index], level: level + 1)
      }
      newline(level)
      append("}")
    }
  }

  private mutating func separate(_ index: Int, _ level: Int) {
    if index > 0 { append(options.indent != nil || options.compact ? "," : ", ") }
    newline(level)
  }

  private mutating func newline(_ level: Int) {
    guard let indent = options.indent else { return }
    bytes.append(0x0A)
    bytes.append(contentsOf: repeatElement(0x20, count: max(0, indent) * level))
  }

  private mutating func write(_ text: String) {
    bytes.append(UInt8(ascii: "\""))
    var text = text
    let isPlain = text.withUTF8 { utf8 in
      utf8.allSatisfy {
        $0 >= 0x20 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\")
          && ($0 < 0x7F || !options.ensureASCII)
      }
    }
    if isPlain {
      bytes.append(contentsOf: text.utf8)
    } else {
      for scalar in text.unicodeScalars { write(scalar) }
    }
    bytes.append(UInt8(ascii: "\""))
  }

  private mutating func write(_ scalar: Unicode.Scalar) {
    switch scalar {
    case "\"": append("\\\"")
    case "\\": append("\\\\")
    case "\n": append("\\n")
    case "\r": append("\\r")
    case "\t": append("\\t")
    case "\u{8}": append("\\b")
    case "\u{c}": append("\\f")
    case _ where scalar.value < 0x20: writeEscape(UInt16(scalar.value))
    case _ where scalar.value >= 0x7F && options.ensureASCII:
      for unit in String(scalar).utf16 { writeEscape(unit) }
    default: bytes.append(contentsOf: String(scalar).utf8)
    }
  }

  private mutating func writeEscape(_ unit: UInt16) {
    append("\\u")
    let digits = String(unit, radix: 16)
    bytes.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: 4 - digits.utf8.count))
    append(digits)
  }

  private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }
}

/// A float as Python's `repr` prints it: the shortest digits that read back, in positional
/// notation from 1e-4 up to (not including) 1e16.
public func pythonRepr(_ value: Double) -> String {
  if value.isNaN { return "nan" }
  if value.isInfinite { return value < 0 ? "-inf" : "inf" }
  if value == 0 { return value.sign == .minus ? "-0.0" : "0.0" }
  // Swift prints the same shortest digits; only its choice of notation differs.
  var digits: [UInt8] = []
  var pointAt: Int?
  var exponent = 0
  let text = Array(value.magnitude.description.utf8)
  for (index, byte) in text.enumerated() {
    if byte == UInt8(ascii: ".") {
      pointAt = digits.count
    } else if byte == UInt8(ascii: "e") {
      exponent = Int(String(decoding: text[(index + 1)...], as: UTF8.self)) ?? 0
      break
    } else {
      digits.append(byte)
    }
  }
  var point = (pointAt ?? digits.count) + exponent
  let leading = digits.prefix { $0 == 0x30 }.count
  digits.removeFirst(leading)
  point -= leading
  while digits.count > 1, digits.last == 0x30 { digits.removeLast() }

  let body = String(decoding: digits, as: UTF8.self)
  let sign = value < 0 ? "-" : ""
  if point > 16 || point <= -4 {
    let power = point - 1
    let magnitude = abs(power) < 10 ? "0\(abs(power))" : String(abs(power))
    let rest = digits.count > 1 ? "." + body.dropFirst() : ""
    return "\(sign)\(body.prefix(1))\(rest)e\(power < 0 ? "-" : "+")\(magnitude)"
  }
  if point <= 0 { return sign + "0." + String(repeating: "0", count: -point) + body }
  if point >= digits.count {
    return sign + body + String(repeating: "0", count: point - digits.count) + ".0"
  }
  return sign + body.prefix(point) + "." + body.dropFirst(point)
}
