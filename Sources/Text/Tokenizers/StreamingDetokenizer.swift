// Text that grows token by token.
//
// What was shown is never taken back: a token may end in the middle of a character, so bytes
// that a later token can complete wait. In the end, after `finish()`, all that was returned,
// joined, equals the decoding of all ids at once.
//
// - Byte-level: the bytes of an unfinished character wait (at most three).
// - Byte fallback: whether a run of byte tokens is text or U+FFFDs is only known at the end of
//   the run, so the run waits.
// - Any other chain of decoders is decoded anew each time, and what stays a prefix is shown.

public struct StreamingDetokenizer: Sendable {
  private enum Mode {
    case byteLevel
    /// Replace, ByteFallback, Fuse, Strip at the start.
    case pieces(strip: UInt32?, stripCount: Int)
    case metaspace(UInt32, dropsFirst: Bool)
    case whole
  }

  private let tokenizer: Tokenizer
  private let skipSpecial: Bool
  private let mode: Mode
  private var pending: [UInt8] = []
  private var byteRun: [UInt8] = []
  private var ids: [Int] = []
  private var shown: [UInt8] = []
  private var isFirst = true
  private var stripLeft: Int

  init(tokenizer: Tokenizer, skipSpecial: Bool) {
    self.tokenizer = tokenizer
    self.skipSpecial = skipSpecial
    mode = Self.mode(tokenizer.decoder)
    if case .pieces(_, let count) = mode { stripLeft = count } else { stripLeft = 0 }
  }

  private static func mode(_ steps: [DecoderStep]?) -> Mode {
    guard let steps else { return .whole }
    if steps.count == 1 {
      if case .byteLevel = steps[0] { return .byteLevel }
      if case .metaspace(let scalar, let drops) = steps[0] {
        return .metaspace(scalar, dropsFirst: drops)
      }
    }
    var seen = ""
    var strip: UInt32?
    var count = 0
    for step in steps {
      switch step {
      case .replace: seen += "r"
      case .byteFallback: seen += "b"
      case .fuse: seen += "f"
      case .strip(let scalar, let start, let stop):
        guard stop == 0 else { return .whole }
        seen += "s"
        strip = scalar
        count = start
      case .byteLevel, .metaspace: return .whole
      }
    }
    while seen.hasPrefix("r") { seen.removeFirst() }
    return seen == "bf" || seen == "bfs" ? .pieces(strip: strip, stripCount: count) : .whole
  }

  /// Takes a token and returns the text that is now certain.
  public mutating func append(_ id: Int) -> String {
    guard let token = tokenizer.decodableText(id, skipSpecial: skipSpecial) else { return "" }
    switch mode {
    case .byteLevel:
      ByteAlphabet.decode(token, into: &pending)
      return take(pending.count - unfinishedSuffix(pending))
    case .metaspace(let scalar, let dropsFirst):
      pending += metaspaceDecoded(token, scalar, isFirst: isFirst && dropsFirst)
      isFirst = false
      return take(pending.count)
    case .pieces(let strip, _):
      var text = token
      for step in tokenizer.decoder ?? [] {
        guard case .replace(let matcher, let content) = step else { break }
        text = replaced(text, matcher, with: content)
      }
      if let byte = byteToken(text) {
        byteRun.append(byte)
        return ""
      }
      flushRun()
      pending += text
      return takeStripped(strip)
    case .whole:
      ids.append(id)
      let full = Array(tokenizer.decode(ids, skipSpecial: skipSpecial).utf8)
      var end = full.count
      while end >= 3, full[end - 3..<end].elementsEqual([0xEF, 0xBF, 0xBD]) { end -= 3 }
      guard end > shown.count, full.starts(with: shown) else { return "" }
      let new = String(decoding: full[shown.count..<end], as: UTF8.self)
      shown = Array(full[..<end])
      return new
    }
  }

  /// The rest: what waited for tokens that did not come.
  public mutating func finish() -> String {
    switch mode {
    case .byteLevel, .metaspace: return take(pending.count)
    case .pieces(let strip, _):
      flushRun()
      return takeStripped(strip)
    case .whole:
      let full = Array(tokenizer.decode(ids, skipSpecial: skipSpecial).utf8)
      defer { shown = full }
      guard full.starts(with: shown) else { return "" }
      return String(decoding: full[shown.count...], as: UTF8.self)
    }
  }

  private mutating func flushRun() {
    guard !byteRun.isEmpty else { return }
    pending += decodedByteRun(byteRun)
    byteRun.removeAll(keepingCapacity: true)
  }

  private mutating func takeStripped(_ strip: UInt32?) -> String {
    if let strip, stripLeft > 0 {
      var content: [UInt8] = []
      appendScalar(strip, to: &content)
      while stripLeft > 0, pending.starts(with: content) {
        pending.removeFirst(content.count)
        stripLeft -= 1
      }
      if !pending.isEmpty { stripLeft = 0 }
    }
    return take(pending.count)
  }

  private mutating func take(_ count: Int) -> String {
    guard count > 0 else { return "" }
    defer { pending.removeFirst(count) }
    return String(decoding: pending[..<count], as: UTF8.self)
  }
}

/// How many last bytes are the beginning of a character that may still be completed.
func unfinishedSuffix(_ bytes: [UInt8]) -> Int {
  for back in 1...3 where back <= bytes.count {
    let lead = bytes[bytes.count - back]
    if lead & 0xC0 == 0x80 { continue }
    let length =
      lead >= 0xF0 && lead <= 0xF4
      ? 4
      : lead >= 0xE0 && lead < 0xF0
        ? 3
        : lead >= 0xC2 && lead < 0xE0 ? 2 : 1
    guard length > back else { return 0 }
    if back > 1 {
      // Some second bytes make overlong forms, surrogates, or code points past the last.
      let second = bytes[bytes.count - back + 1]
      switch lead {
      case 0xE0 where second < 0xA0, 0xED where second > 0x9F: return 0
      case 0xF0 where second < 0x90, 0xF4 where second > 0x8F: return 0
      default: break
      }
    }
    return back
  }
  return 0
}
