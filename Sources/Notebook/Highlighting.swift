// Source and terminal text as HTML: colours by class, for the page's style to choose.

import Language
import Session

/// A cell's source with spans of the classes k (keywords), s (strings), n (numbers), c (comments), m (commands) and d (names that are
/// defined). What is no valid source is coloured as far as it goes.
func highlightedSource(_ source: String) -> String {
  var scanner = SourceScanner(bytes: Array(source.utf8))
  return scanner.run()
}

private struct SourceScanner {
  let bytes: [UInt8]
  private var out = ""
  private var i = 0
  private var isLineStart = true
  private var previousWord = ""
  private static let keywords = Set(languageKeywords)

  init(bytes: [UInt8]) { self.bytes = bytes }

  private func byte(_ k: Int) -> UInt8 { k < bytes.count ? bytes[k] : 0 }
  private func text(_ from: Int, _ to: Int) -> String {
    escapedHTML(String(decoding: bytes[from..<min(to, bytes.count)], as: UTF8.self))
  }
  private mutating func emit(_ kind: String, to end: Int) {
    let shown = text(i, end)
    out += kind.isEmpty ? shown : "<span class=\"\(kind)\">\(shown)</span>"
    i = min(end, bytes.count)
  }

  mutating func run() -> String {
    while i < bytes.count {
      let c = bytes[i]
      if c == 10 {
        isLineStart = true
        emit("", to: i + 1)
        continue
      }
      if c == 32 || c == 9 {
        emit("", to: i + 1)
        continue
      }
      defer { isLineStart = false }
      if isLineStart, c == 37 || c == 33 {
        var end = i
        while byte(end) == 37 || byte(end) == 33 { end += 1 }
        while isNamePart(byte(end)) { end += 1 }
        emit("m", to: end)
      } else if c == 35 {
        var end = i
        while end < bytes.count, bytes[end] != 10 { end += 1 }
        emit("c", to: end)
      } else if let end = stringEnd(i) {
        emit("s", to: end)
      } else if c >= 48 && c <= 57 || c == 46 && byte(i + 1) >= 48 && byte(i + 1) <= 57 {
        emit("n", to: numberEnd(i))
      } else if isNameStart(c) {
        var end = i
        while end < bytes.count, isNamePart(bytes[end]) { end += 1 }
        let word = String(decoding: bytes[i..<end], as: UTF8.self)
        let isDefined = previousWord == "def" || previousWord == "class"
        let isKeyword =
          SourceScanner.keywords.contains(word) && byte(i == 0 ? bytes.count : i - 1) != 46
        previousWord = word
        emit(isKeyword ? "k" : isDefined ? "d" : "", to: end)
        continue
      } else {
        emit("", to: i + 1)
      }
      previousWord = ""
    }
    return out
  }

  private func numberEnd(_ start: Int) -> Int {
    var end = start
    while end < bytes.count {
      let c = bytes[end]
      let isSign =
        (c == 43 || c == 45) && end > start && bytes[end - 1] | 32 == 101
        && byte(start + 1) | 32 != 120
      if isNamePart(c) && c < 128 || c == 46 || isSign { end += 1 } else { break }
    }
    return max(end, start + 1)
  }

  /// Where a string that begins here ends; nil when none does.
  private func stringEnd(_ start: Int) -> Int? {
    var k = start
    while k - start < 2, "rbfuRBFU".utf8.contains(byte(k)) { k += 1 }
    let quote = byte(k)
    guard quote == 34 || quote == 39 else { return nil }
    let isLong = byte(k + 1) == quote && byte(k + 2) == quote
    k += isLong ? 3 : 1
    while k < bytes.count {
      if bytes[k] == 92 {
        k += 2
        continue
      }
      if isLong {
        if bytes[k] == quote, byte(k + 1) == quote, byte(k + 2) == quote { return k + 3 }
      } else if bytes[k] == quote {
        return k + 1
      } else if bytes[k] == 10 {
        return k
      }
      k += 1
    }
    return bytes.count
  }
}

/// Terminal text as HTML: the escape sequences of colours and weight become spans, others go.
func terminalHTML(_ text: String) -> String {
  let scalars = Array(text.unicodeScalars)
  var out = ""
  var style = TerminalStyle()
  var run = ""
  func flush() {
    if run.isEmpty { return }
    let shown = escapedHTML(run)
    let css = style.css
    out += css.isEmpty ? shown : "<span style=\"\(css)\">\(shown)</span>"
    run = ""
  }
  var i = 0
  while i < scalars.count {
    if scalars[i] != "\u{1B}" {
      run.unicodeScalars.append(scalars[i])
      i += 1
      continue
    }
    guard i + 1 < scalars.count, scalars[i + 1] == "[" else {
      i += 2
      continue
    }
    var k = i + 2
    var codes = ""
    while k < scalars.count, !(scalars[k].value >= 0x40 && scalars[k].value <= 0x7E) {
      codes.unicodeScalars.append(scalars[k])
      k += 1
    }
    if k < scalars.count, scalars[k] == "m" {
      flush()
      style.apply(
        codes.split(separator: ";", omittingEmptySubsequences: false).map { Int($0) ?? 0 })
    }
    i = k + 1
  }
  flush()
  return out
}

private struct TerminalStyle {
  var colour: String?
  var background: String?
  var isBold = false
  var isFaint = false
  var isItalic = false
  var isUnderlined = false

  var css: String {
    var parts: [String] = []
    if let colour { parts.append("color:\(colour)") }
    if let background { parts.append("background:\(background)") }
    if isBold { parts.append("font-weight:bold") }
    if isFaint { parts.append("opacity:.6") }
    if isItalic { parts.append("font-style:italic") }
    if isUnderlined { parts.append("text-decoration:underline") }
    return parts.joined(separator: ";")
  }

  mutating func apply(_ codes: [Int]) {
    var i = 0
    while i < codes.count {
      switch codes[i] {
      case 0: self = TerminalStyle()
      case 1: isBold = true
      case 2: isFaint = true
      case 3: isItalic = true
      case 4: isUnderlined = true
      case 22: (isBold, isFaint) = (false, false)
      case 23: isItalic = false
      case 24: isUnderlined = false
      case 30...37: colour = "var(--t\(codes[i] - 30))"
      case 90...97: colour = "var(--t\(codes[i] - 90))"
      case 39: colour = nil
      case 40...47: background = "var(--t\(codes[i] - 40))"
      case 100...107: background = "var(--t\(codes[i] - 100))"
      case 49: background = nil
      case 38, 48:
        guard let (value, used) = TerminalStyle.extended(codes[(i + 1)...]) else { return }
        if codes[i] == 38 { colour = value } else { background = value }
        i += used
      default: break
      }
      i += 1
    }
  }

  /// A colour of the palette of 256, or of three bytes.
  private static func extended(_ codes: ArraySlice<Int>) -> (String, used: Int)? {
    let c = Array(codes.prefix(4))
    if c.count >= 2, c[0] == 5 {
      let n = min(max(c[1], 0), 255)
      if n < 16 { return ("var(--t\(n % 8))", 2) }
      if n >= 232 {
        let v = 8 + (n - 232) * 10
        return ("rgb(\(v),\(v),\(v))", 2)
      }
      let steps = [0, 95, 135, 175, 215, 255]
      let k = n - 16
      return ("rgb(\(steps[k / 36]),\(steps[k / 6 % 6]),\(steps[k % 6]))", 2)
    }
    if c.count >= 4, c[0] == 2 {
      let v = c[1...3].map { min(max($0, 0), 255) }
      return ("rgb(\(v[0]),\(v[1]),\(v[2]))", 4)
    }
    return nil
  }
}
