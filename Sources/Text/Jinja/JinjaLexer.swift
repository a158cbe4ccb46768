// A template's text to text parts and tags.
//
//   {{ expression }}   {% statement %}   {# comment #}   {% raw %}…{% endraw %}
//
// Blanks around tags, as in the environment that chat templates are written for: one line
// break after a statement or comment goes (trim_blocks), blanks before one at the start of a
// line go (lstrip_blocks), `-` at either end takes all blanks, `+` keeps them, and the
// template's last line break goes.

import Formats

enum JinjaToken: Equatable {
  case name(String)
  case string(String)
  case int(Int)
  case double(Double)
  case symbol(String)

  var shown: String {
    switch self {
    case .name(let text): text
    case .string(let text): pythonRepr(text)
    case .int(let value): String(value)
    case .double(let value): pythonRepr(value)
    case .symbol(let text): text
    }
  }
}

struct JinjaPart {
  enum Kind {
    case text(String)
    case output([JinjaToken])
    case statement([JinjaToken])
  }
  var kind: Kind
  var line: Int
}

struct JinjaLexer {
  private let text: [UInt8]
  private let source: String
  private var position = 0
  private var line = 1
  private var parts: [JinjaPart] = []

  init(_ template: String, source: String) {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(template.utf8.count)
    var previous: UInt8 = 0
    for byte in template.utf8 {
      if byte == 0x0D {
        bytes.append(0x0A)
      } else if !(byte == 0x0A && previous == 0x0D) {
        bytes.append(byte)
      }
      previous = byte
    }
    if bytes.last == 0x0A { bytes.removeLast() }
    text = bytes
    self.source = source
  }

  mutating func lex() throws(TextError) -> [JinjaPart] {
    // Whether what comes next begins a line, for lstrip_blocks.
    var startsLine = true
    while position < text.count {
      let start = position
      while position < text.count, !isTagStart(position) { position += 1 }
      var end = position
      guard position < text.count else {
        addText(start, end)
        break
      }
      let opener = text[position + 1]
      let mark = position + 2 < text.count ? text[position + 2] : 0
      if mark == UInt8(ascii: "-") {
        while end > start, isSpace(text[end - 1]) { end -= 1 }
      } else if opener != UInt8(ascii: "{"), mark != UInt8(ascii: "+") {
        var at = end
        while at > start, text[at - 1] == 0x20 || text[at - 1] == 0x09 { at -= 1 }
        if at > start ? text[at - 1] == 0x0A : startsLine { end = at }
      }
      addText(start, end)
      line += newlines(end, position)
      let tagLine = line
      position += 2
      if mark == UInt8(ascii: "-") || mark == UInt8(ascii: "+") { position += 1 }
      switch opener {
      case UInt8(ascii: "#"): try skipComment()
      case UInt8(ascii: "{"):
        let tokens = try tokens(until: UInt8(ascii: "}"))
        parts.append(JinjaPart(kind: .output(tokens), line: tagLine))
      default:
        let tokens = try tokens(until: UInt8(ascii: "%"))
        if tokens == [.name("raw")] {
          try takeRaw()
        } else {
          parts.append(JinjaPart(kind: .statement(tokens), line: tagLine))
        }
      }
      startsLine = position > 0 && text[position - 1] == 0x0A
    }
    return parts
  }

  // MARK: parts

  private func isTagStart(_ at: Int) -> Bool {
    guard text[at] == UInt8(ascii: "{"), at + 1 < text.count else { return false }
    let next = text[at + 1]
    return next == UInt8(ascii: "{") || next == UInt8(ascii: "%") || next == UInt8(ascii: "#")
  }

  private mutating func addText(_ start: Int, _ end: Int) {
    guard end > start else { return }
    let content = String(decoding: text[start..<end], as: UTF8.self)
    parts.append(JinjaPart(kind: .text(content), line: line))
    line += newlines(start, end)
  }

  private func newlines(_ start: Int, _ end: Int) -> Int {
    text[start..<max(start, end)].lazy.filter { $0 == 0x0A }.count
  }

  private func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (byte >= 0x09 && byte <= 0x0D) }

  /// After the closing mark of a tag: the blanks that go with it.
  private mutating func finishTag(_ mark: UInt8, trims: Bool) {
    if mark == UInt8(ascii: "-") {
      while position < text.count, isSpace(text[position]) {
        if text[position] == 0x0A { line += 1 }
        position += 1
      }
    } else if trims, mark != UInt8(ascii: "+"), position < text.count, text[position] == 0x0A {
      line += 1
      position += 1
    }
  }

  private mutating func skipComment() throws(TextError) {
    while position + 1 < text.count {
      if text[position] == UInt8(ascii: "#"), text[position + 1] == UInt8(ascii: "}") {
        let mark = text[position - 1]
        position += 2
        finishTag(mark, trims: true)
        return
      }
      if text[position] == 0x0A { line += 1 }
      position += 1
    }
    throw failure("a comment is not closed by #}")
  }

  private mutating func takeRaw() throws(TextError) {
    let start = position
    var at = position
    while at + 1 < text.count {
      if text[at] == UInt8(ascii: "{"), text[at + 1] == UInt8(ascii: "%") {
        var inner = at + 2
        let strips = inner < text.count && text[inner] == UInt8(ascii: "-")
        if strips { inner += 1 }
        while inner < text.count, isSpace(text[inner]) { inner += 1 }
        let word = Array("endraw".utf8)
        if inner + word.count <= text.count, text[inner..<inner + word.count].elementsEqual(word) {
          position = inner + word.count
          var end = at
          if strips { while end > start, isSpace(text[end - 1]) { end -= 1 } }
          addText(start, end)
          line += newlines(end, position)
          guard try tokens(until: UInt8(ascii: "%")).isEmpty else {
            throw failure("unexpected text in endraw")
          }
          return
        }
      }
      at += 1
    }
    throw failure("a raw block is not closed by endraw")
  }

  // MARK: tokens

  private static let symbols: [[UInt8]] = [
    "==", "!=", "<=", ">=", "//", "**", "<", ">", "+", "-", "*", "/", "%", "~", "(", ")", "[",
    "]", "{", "}", ",", ":", ".", "|", "=",
  ].map { Array($0.utf8) }

  /// The tokens up to the tag's end (`%}` or `}}`, with `-` or `+` before it).
  private mutating func tokens(until closer: UInt8) throws(TextError) -> [JinjaToken] {
    var tokens: [JinjaToken] = []
    var brackets: [UInt8] = []
    while true {
      while position < text.count, isSpace(text[position]) {
        if text[position] == 0x0A { line += 1 }
        position += 1
      }
      guard position < text.count else { throw failure("a tag is not closed") }
      let byte = text[position]
      if brackets.isEmpty {
        let hasMark = byte == UInt8(ascii: "-") || byte == UInt8(ascii: "+")
        let at = hasMark ? position + 1 : position
        if at + 1 < text.count, text[at] == closer, text[at + 1] == UInt8(ascii: "}") {
          position = at + 2
          finishTag(hasMark ? byte : 0, trims: closer == UInt8(ascii: "%"))
          return tokens
        }
      }
      switch byte {
      case 0x30...0x39: tokens.append(try number())
      case 0x22, 0x27: tokens.append(.string(try string(byte)))
      case 0x41...0x5A, 0x61...0x7A, 0x5F, 0x80...: tokens.append(name())
      default:
        let rest = text[position...]
        guard let symbol = Self.symbols.first(where: { rest.starts(with: $0) }) else {
          throw failure("unexpected character '\(Unicode.Scalar(byte))'")
        }
        switch byte {
        case UInt8(ascii: "("): brackets.append(UInt8(ascii: ")"))
        case UInt8(ascii: "["): brackets.append(UInt8(ascii: "]"))
        case UInt8(ascii: "{"): brackets.append(UInt8(ascii: "}"))
        case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"):
          guard brackets.popLast() == byte else {
            throw failure("unexpected '\(Unicode.Scalar(byte))'")
          }
        default: break
        }
        position += symbol.count
        tokens.append(.symbol(String(decoding: symbol, as: UTF8.self)))
      }
    }
  }

  private mutating func name() -> JinjaToken {
    let start = position
    while position < text.count {
      switch text[position] {
      case 0x41...0x5A, 0x61...0x7A, 0x30...0x39, 0x5F, 0x80...: position += 1
      default: return .name(String(decoding: text[start..<position], as: UTF8.self))
      }
    }
    return .name(String(decoding: text[start..<position], as: UTF8.self))
  }

  private mutating func number() throws(TextError) -> JinjaToken {
    var digits: [UInt8] = []
    var isFloat = false
    func digit(_ at: Int) -> Bool { at < text.count && text[at] >= 0x30 && text[at] <= 0x39 }
    while digit(position) || (position < text.count && text[position] == 0x5F) {
      if text[position] != 0x5F { digits.append(text[position]) }
      position += 1
    }
    if position < text.count, text[position] == UInt8(ascii: "."), digit(position + 1) {
      isFloat = true
      digits.append(UInt8(ascii: "."))
      position += 1
      while digit(position) {
        digits.append(text[position])
        position += 1
      }
    }
    if position < text.count, text[position] | 0x20 == UInt8(ascii: "e") {
      var at = position + 1
      if at < text.count, text[at] == 0x2B || text[at] == 0x2D { at += 1 }
      if digit(at) {
        isFloat = true
        digits.append(contentsOf: text[position..<at])
        position = at
        while digit(position) {
          digits.append(text[position])
          position += 1
        }
      }
    }
    let literal = String(decoding: digits, as: UTF8.self)
    if isFloat, let value = Double(literal) { return .double(value) }
    guard let value = Int(literal) else { throw failure("the number \(literal) is too large") }
    return .int(value)
  }

  private mutating func string(_ quote: UInt8) throws(TextError) -> String {
    position += 1
    var bytes: [UInt8] = []
    while position < text.count {
      let byte = text[position]
      position += 1
      if byte == quote { return String(decoding: bytes, as: UTF8.self) }
      if byte == 0x0A { line += 1 }
      guard byte == UInt8(ascii: "\\"), position < text.count else {
        bytes.append(byte)
        continue
      }
      let escape = text[position]
      position += 1
      switch escape {
      case UInt8(ascii: "n"): bytes.append(0x0A)
      case UInt8(ascii: "t"): bytes.append(0x09)
      case UInt8(ascii: "r"): bytes.append(0x0D)
      case UInt8(ascii: "b"): bytes.append(0x08)
      case UInt8(ascii: "f"): bytes.append(0x0C)
      case UInt8(ascii: "v"): bytes.append(0x0B)
      case UInt8(ascii: "a"): bytes.append(0x07)
      case UInt8(ascii: "\\"), 0x22, 0x27: bytes.append(escape)
      case 0x0A: line += 1
      case UInt8(ascii: "x"): try hexEscape(2, &bytes)
      case UInt8(ascii: "u"): try hexEscape(4, &bytes)
      case UInt8(ascii: "U"): try hexEscape(8, &bytes)
      case 0x30...0x37:
        var value = UInt32(escape - 0x30)
        var count = 1
        while count < 3, position < text.count, text[position] >= 0x30, text[position] <= 0x37 {
          value = value * 8 + UInt32(text[position] - 0x30)
          position += 1
          count += 1
        }
        appendScalar(value, to: &bytes)
      default:
        bytes.append(UInt8(ascii: "\\"))
        bytes.append(escape)
      }
    }
    throw failure("a string is not closed")
  }

  private mutating func hexEscape(_ count: Int, _ bytes: inout [UInt8]) throws(TextError) {
    var value: UInt32 = 0
    for _ in 0..<count {
      guard position < text.count,
        let digit = Character(Unicode.Scalar(text[position])).hexDigitValue
      else { throw failure("an escape needs \(count) hexadecimal digits") }
      value = value << 4 | UInt32(digit)
      position += 1
    }
    appendScalar(Unicode.Scalar(value)?.value ?? 0xFFFD, to: &bytes)
  }

  private func failure(_ found: String) -> TextError {
    TextError(.syntax, source: source, field: "line \(line)", found: found)
  }
}
