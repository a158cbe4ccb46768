// Tokens back to text.
//
// A decoder is a chain of steps over the list of token texts. All but Strip and Metaspace
// treat a token alike wherever it stands; these two look at the first one.

import Formats

enum DecoderStep: Sendable {
  case byteLevel
  case byteFallback
  case fuse
  case strip(UInt32, start: Int, stop: Int)
  case replace(SplitMatcher, [UInt8])
  case metaspace(replacement: UInt32, dropsFirst: Bool)

  func apply(_ tokens: [[UInt8]]) -> [[UInt8]] {
    switch self {
    case .byteLevel:
      var bytes: [UInt8] = []
      for token in tokens { ByteAlphabet.decode(token, into: &bytes) }
      return [repaired(bytes)]
    case .fuse: return [Array(tokens.joined())]
    case .replace(let matcher, let content):
      return tokens.map { replaced($0, matcher, with: content) }
    case .byteFallback:
      var out: [[UInt8]] = []
      var run: [UInt8] = []
      for token in tokens {
        if let byte = byteToken(token) {
          run.append(byte)
        } else {
          if !run.isEmpty { out.append(decodedByteRun(run)) }
          run.removeAll(keepingCapacity: true)
          out.append(token)
        }
      }
      if !run.isEmpty { out.append(decodedByteRun(run)) }
      return out
    case .strip(let scalar, let start, let stop):
      return tokens.map { stripped($0, scalar, start, stop) }
    case .metaspace(let replacement, let dropsFirst):
      return tokens.enumerated().map { index, token in
        metaspaceDecoded(token, replacement, isFirst: index == 0 && dropsFirst)
      }
    }
  }

  static func parse(_ json: JSON?, _ file: String) throws(TextError) -> [DecoderStep]? {
    guard let json, !json.isNull else { return nil }
    switch json["type"]?.string {
    case "Sequence":
      var steps: [DecoderStep] = []
      for child in json["decoders"]?.array ?? [] { steps += try parse(child, file) ?? [] }
      return steps
    case "ByteLevel": return [.byteLevel]
    case "ByteFallback": return [.byteFallback]
    case "Fuse": return [.fuse]
    case "Strip":
      let content = json["content"]?.string?.unicodeScalars.first?.value ?? 0x20
      let start = max(0, json["start"]?.int ?? 0)
      return [.strip(content, start: start, stop: max(0, json["stop"]?.int ?? 0))]
    case "Replace":
      let matcher = try SplitMatcher.parse(json["pattern"], file, field: "decoder Replace")
      return [.replace(matcher, Array((json["content"]?.string ?? "").utf8))]
    case "Metaspace":
      let scalar = (json["replacement"]?.string ?? "▁").unicodeScalars.first?.value ?? 0x2581
      let scheme = json["prepend_scheme"]?.string
      let keeps = scheme == "never" || (scheme == nil && json["add_prefix_space"]?.bool == false)
      return [.metaspace(replacement: scalar, dropsFirst: !keeps)]
    case let name:
      throw TextError(
        .unsupported, source: file, field: "decoder",
        found: "type '\(name ?? "missing")' is not supported")
    }
  }
}

/// The byte of a token `<0xAB>`.
func byteToken(_ token: [UInt8]) -> UInt8? {
  guard token.count == 6, token[0] == UInt8(ascii: "<"), token[1] == UInt8(ascii: "0"),
    token[2] == UInt8(ascii: "x"), token[5] == UInt8(ascii: ">"),
    let high = nibble(token[3]), let low = nibble(token[4])
  else { return nil }
  return high << 4 | low
}

private func nibble(_ byte: UInt8) -> UInt8? {
  switch byte {
  case 0x30...0x39: byte - 0x30
  case 0x41...0x46: byte - 0x41 + 10
  case 0x61...0x66: byte - 0x61 + 10
  default: nil
  }
}

/// A run of byte tokens is one text where it is UTF-8, else one U+FFFD a byte.
func decodedByteRun(_ run: [UInt8]) -> [UInt8] {
  if String(validating: run, as: UTF8.self) != nil { return run }
  return Array(repeatElement([0xEF, 0xBF, 0xBD] as [UInt8], count: run.count).joined())
}

func metaspaceDecoded(_ token: [UInt8], _ replacement: UInt32, isFirst: Bool) -> [UInt8] {
  var out: [UInt8] = []
  token.withUnsafeBufferPointer { bytes in
    var at = 0
    while at < bytes.count {
      let (value, length) = decodeScalar(bytes, at)
      if value == replacement {
        if !isFirst { out.append(0x20) }
      } else {
        out.append(contentsOf: bytes[at..<at + length])
      }
      at += length
    }
  }
  return out
}

private func stripped(_ token: [UInt8], _ scalar: UInt32, _ start: Int, _ stop: Int) -> [UInt8] {
  var content: [UInt8] = []
  appendScalar(scalar, to: &content)
  var text = token[...]
  for _ in 0..<start {
    guard text.starts(with: content) else { break }
    text = text.dropFirst(content.count)
  }
  for _ in 0..<stop {
    guard text.count >= content.count, text.suffix(content.count).elementsEqual(content) else {
      break
    }
    text = text.dropLast(content.count)
  }
  return Array(text)
}

/// Broken UTF-8 replaced by U+FFFD.
func repaired(_ bytes: [UInt8]) -> [UInt8] {
  Array(String(decoding: bytes, as: UTF8.self).utf8)
}
