// Rewriting a text before it is cut into words.

import Formats

enum Normalizer: Sendable {
  case form(NormalizationForm)
  case lowercase
  case prepend([UInt8])
  case replace(SplitMatcher, [UInt8])
  case strip(left: Bool, right: Bool)
  case stripAccents

  func apply(_ bytes: inout [UInt8]) {
    switch self {
    case .form(let form): bytes = normalized(bytes, to: form)
    case .lowercase:
      var out: [UInt8] = []
      out.reserveCapacity(bytes.count)
      for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
        if scalar.isASCII {
          let byte = UInt8(truncatingIfNeeded: scalar.value)
          out.append(byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte)
        } else {
          out.append(contentsOf: scalar.properties.lowercaseMapping.utf8)
        }
      }
      bytes = out
    case .prepend(let prefix): if !bytes.isEmpty { bytes = prefix + bytes }
    case .replace(let matcher, let content):
      bytes = replaced(bytes, matcher, with: content)
    case .strip(let left, let right):
      bytes.withUnsafeBufferPointer { buffer in
        var start = 0
        if left { start = spaceEnd(buffer, 0) }
        var end = buffer.count
        if right { end = max(start, spaceStart(buffer, end)) }
        return Array(buffer[start..<end])
      }.swap(into: &bytes)
    case .stripAccents:
      var out: [UInt8] = []
      for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
        if UnicodeClass.table[Int(scalar.value)] != UnicodeClass.mark {
          appendScalar(scalar.value, to: &out)
        }
      }
      bytes = out
    }
  }

  static func parse(_ json: JSON?, _ file: String) throws(TextError) -> [Normalizer] {
    guard let json, !json.isNull else { return [] }
    switch json["type"]?.string {
    case "Sequence":
      var steps: [Normalizer] = []
      for child in json["normalizers"]?.array ?? [] { steps += try parse(child, file) }
      return steps
    case "NFC": return [.form(.nfc)]
    case "NFD": return [.form(.nfd)]
    case "NFKC": return [.form(.nfkc)]
    case "NFKD": return [.form(.nfkd)]
    case "Lowercase": return [.lowercase]
    case "StripAccents": return [.stripAccents]
    case "Strip":
      return [
        .strip(
          left: json["strip_left"]?.bool ?? true, right: json["strip_right"]?.bool ?? true)
      ]
    case "Prepend": return [.prepend(Array((json["prepend"]?.string ?? "").utf8))]
    case "Replace":
      let matcher = try SplitMatcher.parse(json["pattern"], file, field: "normalizer Replace")
      return [.replace(matcher, Array((json["content"]?.string ?? "").utf8))]
    case let name:
      throw TextError(
        .unsupported, source: file, field: "normalizer",
        found: "type '\(name ?? "missing")' is not supported")
    }
  }
}

extension Array {
  fileprivate func swap(into other: inout [Element]) { other = self }
}

/// Every match of a text replaced.
func replaced(_ bytes: [UInt8], _ matcher: SplitMatcher, with content: [UInt8]) -> [UInt8] {
  var out: [UInt8] = []
  out.reserveCapacity(bytes.count + bytes.count / 4)
  bytes.withUnsafeBufferPointer { buffer in
    var at = 0
    matcher.matches(buffer, 0..<buffer.count) { match in
      out.append(contentsOf: buffer[at..<match.lowerBound])
      out.append(contentsOf: content)
      at = match.upperBound
    }
    out.append(contentsOf: buffer[at...])
  }
  return out
}

/// The end of the blanks that begin at a place.
func spaceEnd(_ bytes: UnsafeBufferPointer<UInt8>, _ at: Int) -> Int {
  var end = at
  while end < bytes.count {
    let (value, length) = decodeScalar(bytes, end)
    guard UnicodeClass.table[Int(value)] == UnicodeClass.space else { break }
    end += length
  }
  return end
}

/// The start of the blanks that end at a place.
func spaceStart(_ bytes: UnsafeBufferPointer<UInt8>, _ end: Int) -> Int {
  var start = end
  while start > 0 {
    var at = start - 1
    while at > 0, bytes[at] & 0xC0 == 0x80 { at -= 1 }
    let (value, _) = decodeScalar(bytes, at)
    guard UnicodeClass.table[Int(value)] == UnicodeClass.space else { break }
    start = at
  }
  return start
}
