// The lexer: UTF-8 source bytes in, tokens out, one at a time.
//
// The parser pulls tokens on demand, which lets it hand f-strings to and fro: at `fStringStart` it asks
// for the literal text (`scanFString`), lets the ordinary lexer run over the expression in braces, and
// returns to literal text at `}` or `:`. Nested quotes of the same kind therefore work, as in Python 3.12.
//
// Invariants: `bytes` ends in a NUL sentinel that is not part of the source, so that one byte of lookahead
// needs no bounds test; spans are byte offsets; the lexer is a value, so the parser can try one reading
// and go back by keeping a copy.

/// What is wrong with a source text, where.
public struct SyntaxFailure: Error {
  /// `SyntaxError`, `IndentationError` or `TabError`.
  public var kind: String
  public var message: String
  public var span: Span
  /// True when more input could make the text valid: an open bracket, string or block.
  public var isIncomplete: Bool
}

enum TokenKind: UInt8 {
  case endOfFile, newline, indent, dedent
  case name, int, float, imaginary, string, bytes, fStringStart
  // Brackets and punctuation.
  case leftParen, rightParen, leftBracket, rightBracket, leftBrace, rightBrace
  case comma, colon, semicolon, dot, ellipsis, arrow, at, assign, walrus, exclamation
  // Operators.
  case plus, minus, star, doubleStar, slash, doubleSlash, percent
  case leftShift, rightShift, ampersand, pipe, caret, tilde
  case equal, notEqual, less, lessEqual, greater, greaterEqual
  case augmented  // the operator is in `Token.augmentedOperator`
  // Keywords.
  case kFalse, kNone, kTrue, kAnd, kAs, kAssert, kAsync, kAwait, kBreak, kClass, kContinue, kDef,
    kDel
  case kElif, kElse, kExcept, kFinally, kFor, kFrom, kGlobal, kIf, kImport, kIn, kIs, kLambda
  case kNonlocal, kNot, kOr, kPass, kRaise, kReturn, kTry, kWhile, kWith, kYield
}

struct Token {
  var kind: TokenKind
  var start: Int
  var end: Int
  var augmentedOperator: BinaryOperator = .add
  var span: Span { Span(start, end) }
}

let keywordKinds: [String: TokenKind] = [
  "False": .kFalse, "None": .kNone, "True": .kTrue, "and": .kAnd, "as": .kAs, "assert": .kAssert,
  "async": .kAsync, "await": .kAwait, "break": .kBreak, "class": .kClass, "continue": .kContinue,
  "def": .kDef, "del": .kDel, "elif": .kElif, "else": .kElse, "except": .kExcept,
  "finally": .kFinally, "for": .kFor, "from": .kFrom, "global": .kGlobal, "if": .kIf,
  "import": .kImport, "in": .kIn, "is": .kIs, "lambda": .kLambda, "nonlocal": .kNonlocal,
  "not": .kNot, "or": .kOr, "pass": .kPass, "raise": .kRaise, "return": .kReturn, "try": .kTry,
  "while": .kWhile, "with": .kWith, "yield": .kYield,
]

/// The reserved words, for completion.
public let languageKeywords: [String] = keywordKinds.keys.filter { $0 != "async" && $0 != "await" }
  .sorted()

struct Lexer {
  let bytes: [UInt8]
  /// Number of source bytes, without the sentinel.
  let count: Int
  private(set) var position = 0
  private var indents: [(columns: Int, alternate: Int)] = [(0, 0)]
  private var pendingDedents = 0
  private var atLineStart = true
  /// Open brackets: kind and place, for messages about the one never closed.
  private(set) var brackets: [(kind: TokenKind, position: Int)] = []
  /// Literal values of the last `string`, `bytes`, `int`, `float` or `imaginary` token.
  private(set) var literal = Constant.none

  static let maximumBrackets = 200
  static let maximumIndents = 100
  /// CPython refuses longer decimal literals too (4300); the bound keeps conversion short.
  static let maximumDigits = 4300

  init(_ source: String) {
    var bytes = Array(source.utf8)
    count = bytes.count
    bytes.append(0)
    self.bytes = bytes
    if count >= 3 && bytes[0] == 0xEF && bytes[1] == 0xBB && bytes[2] == 0xBF { position = 3 }
  }

  func text(_ start: Int, _ end: Int) -> String {
    String(decoding: bytes[start..<end], as: UTF8.self)
  }

  func line(of position: Int) -> Int {
    var line = 1
    for i in 0..<min(position, count) where bytes[i] == 0x0A { line += 1 }
    return line
  }

  func failure(
    _ message: String, _ start: Int, _ end: Int, kind: String = "SyntaxError",
    incomplete: Bool = false
  ) -> SyntaxFailure {
    SyntaxFailure(kind: kind, message: message, span: Span(start, end), isIncomplete: incomplete)
  }

  /// Goes on at `position` as literal text or expression; for f-strings only.
  mutating func seek(_ position: Int) { self.position = position }

  // MARK: - Tokens

  mutating func next() throws(SyntaxFailure) -> Token {
    if pendingDedents > 0 {
      pendingDedents -= 1
      return Token(kind: .dedent, start: position, end: position)
    }
    if atLineStart && brackets.isEmpty {
      atLineStart = false
      if let token = try indentation() { return token }
    }
    try skipBlanks()
    let start = position
    if start >= count { return try endOfFile() }
    let c = bytes[start]
    switch c {
    case 0x0A:  // newline
      position += 1
      atLineStart = true
      return Token(kind: .newline, start: start, end: position)
    case 0x41...0x5A, 0x61...0x7A, 0x5F, 0x80...0xFF:
      return try nameOrPrefixedString()
    case 0x30...0x39:
      return try number()
    case 0x22, 0x27:
      return try string(prefixStart: start, raw: false, isBytes: false)
    case 0x2E:
      if isDigit(bytes[start + 1]) { return try number() }
      if bytes[start + 1] == 0x2E && start + 2 < count && bytes[start + 2] == 0x2E {
        position += 3
        return Token(kind: .ellipsis, start: start, end: position)
      }
      position += 1
      return Token(kind: .dot, start: start, end: position)
    default:
      return try punctuation(c)
    }
  }

  private mutating func endOfFile() throws(SyntaxFailure) -> Token {
    if let open = brackets.last {
      throw failure(
        "'\(bracketText(open.kind))' was never closed", open.position, open.position + 1,
        incomplete: true)
    }
    if !atLineStart {
      atLineStart = true
      return Token(kind: .newline, start: count, end: count)
    }
    if indents.count > 1 {
      pendingDedents = indents.count - 2
      indents.removeLast(indents.count - 1)
      atLineStart = true
      return Token(kind: .dedent, start: count, end: count)
    }
    return Token(kind: .endOfFile, start: count, end: count)
  }

  /// Measures the indentation of a line that holds code; blank and comment lines are skipped.
  private mutating func indentation() throws(SyntaxFailure) -> Token? {
    while true {
      var columns = 0
      var alternate = 0  // with tabs as one column: differing orders mean inconsistent tabs
      let lineStart = position
      scan: while true {
        switch bytes[position] {
        case 0x20:
          columns += 1
          alternate += 1
        case 0x09:
          columns = (columns / 8 + 1) * 8
          alternate += 1
        case 0x0C:
          columns = 0
          alternate = 0
        default: break scan
        }
        position += 1
      }
      if bytes[position] == 0x23 { skipComment() }
      if bytes[position] == 0x0D && bytes[position + 1] == 0x0A { position += 1 }
      if bytes[position] == 0x0A {
        position += 1
        continue
      }
      if position >= count {
        atLineStart = true
        return nil
      }
      let top = indents[indents.count - 1]
      if columns == top.columns {
        if alternate != top.alternate { throw inconsistentTabs(lineStart) }
        return nil
      }
      if columns > top.columns {
        if alternate <= top.alternate { throw inconsistentTabs(lineStart) }
        if indents.count >= Lexer.maximumIndents {
          throw failure(
            "too many levels of indentation", lineStart, position, kind: "IndentationError")
        }
        indents.append((columns, alternate))
        return Token(kind: .indent, start: lineStart, end: position)
      }
      while indents[indents.count - 1].columns > columns {
        indents.removeLast()
        pendingDedents += 1
      }
      let level = indents[indents.count - 1]
      if level.columns != columns {
        throw failure(
          "unindent does not match any outer indentation level", lineStart, position,
          kind: "IndentationError")
      }
      if level.alternate != alternate { throw inconsistentTabs(lineStart) }
      pendingDedents -= 1
      return Token(kind: .dedent, start: position, end: position)
    }
  }

  private func inconsistentTabs(_ lineStart: Int) -> SyntaxFailure {
    failure(
      "inconsistent use of tabs and spaces in indentation", lineStart, position, kind: "TabError")
  }

  private mutating func skipComment() {
    while position < count && bytes[position] != 0x0A { position += 1 }
  }

  private mutating func skipBlanks() throws(SyntaxFailure) {
    while true {
      switch bytes[position] {
      case 0x20, 0x09, 0x0C: position += 1
      case 0x0D:  // CR of CRLF; a lone CR is blank too
        position += 1
      case 0x23: skipComment()
      case 0x0A where !brackets.isEmpty: position += 1
      case 0x5C:  // backslash continuation
        var next = position + 1
        if next < count && bytes[next] == 0x0D { next += 1 }
        if next < count && bytes[next] == 0x0A {
          position = next + 1
          if position >= count {
            throw failure("unexpected end of file", position, position, incomplete: true)
          }
        } else if next >= count {
          throw failure(
            "unexpected end of file after the line continuation character", position, count,
            incomplete: true)
        } else {
          throw failure(
            "unexpected character after line continuation character", position, position + 1)
        }
      default: return
      }
    }
  }

  // MARK: - Names and numbers

  private mutating func nameOrPrefixedString() throws(SyntaxFailure) -> Token {
    let start = position
    var ascii = true
    while true {
      let c = bytes[position]
      if isNameByte(c) {
        position += 1
      } else if c >= 0x80 {
        ascii = false
        let (scalar, length) = scalar(at: position)
        guard let scalar,
          position == start ? scalar.properties.isXIDStart : scalar.properties.isXIDContinue
        else {
          if position > start && scalar != nil { break }
          throw failure(
            "invalid character '\(scalar.map(String.init) ?? "?")'", position, position + length)
        }
        position += length
      } else {
        break
      }
    }
    let quote = bytes[position]
    if (quote == 0x22 || quote == 0x27) && position - start <= 2 && ascii {
      if let prefix = StringPrefix(bytes[start..<position]) {
        if prefix.formatted {
          return fStringStart(prefixStart: start, raw: prefix.raw)
        }
        return try string(prefixStart: start, raw: prefix.raw, isBytes: prefix.isBytes)
      }
    }
    let length = position - start
    if ascii && length >= 2 && length <= 8, let keyword = keywordKinds[text(start, position)] {
      return Token(kind: keyword, start: start, end: position)
    }
    return Token(kind: .name, start: start, end: position)
  }

  private func scalar(at index: Int) -> (Unicode.Scalar?, Int) {
    let lead = bytes[index]
    let length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1
    let end = min(index + length, count)
    return (text(index, end).unicodeScalars.first, end - index)
  }

  private mutating func number() throws(SyntaxFailure) -> Token {
    let start = position
    if bytes[position] == 0x30, let radix = radix(bytes[position + 1]) {
      position += 2
      var digits = ""
      while true {
        let c = bytes[position]
        if c == 0x5F {
          guard isAlphanumeric(bytes[position + 1]) else {
            throw failure("invalid \(radix.name) literal", start, position + 1)
          }
          position += 1
        } else if isAlphanumeric(c) {
          guard let value = hexValue(c), value < radix.value else {
            throw failure(
              isDigit(c)
                ? "invalid digit '\(text(position, position + 1))' in \(radix.name) literal"
                : "invalid \(radix.name) literal", start, position + 1)
          }
          digits.append(Character(Unicode.Scalar(c)))
          position += 1
        } else {
          break
        }
      }
      if digits.isEmpty { throw failure("invalid \(radix.name) literal", start, position) }
      if digits.utf8.count > Lexer.maximumDigits {
        throw failure("integer literal is too long", start, position)
      }
      if let value = Int(digits, radix: radix.value) {
        literal = .int(value)
      } else {
        literal = .bigInt(decimal(digits, radix: radix.value))
      }
      return Token(kind: .int, start: start, end: position)
    }
    var digits = ""
    var isFloat = false
    try takeDigits(&digits, start)
    if bytes[position] == 0x2E {
      isFloat = true
      digits.append(".")
      position += 1
      if isDigit(bytes[position]) { try takeDigits(&digits, start) }
    }
    let e = bytes[position]
    if e == 0x65 || e == 0x45 {
      let sign = bytes[position + 1] == 0x2B || bytes[position + 1] == 0x2D
      if position + 1 < count && isDigit(bytes[position + (sign ? 2 : 1)]) {
        isFloat = true
        digits.append("e")
        position += 1
        if sign {
          if bytes[position] == 0x2D { digits.append("-") }
          position += 1
        }
        try takeDigits(&digits, start)
      }
    }
    if bytes[position] == 0x6A || bytes[position] == 0x4A {
      position += 1
      try rejectNameAfterNumber(start)
      literal = .imaginary(Double(normalised(digits)) ?? 0)
      return Token(kind: .imaginary, start: start, end: position)
    }
    try rejectNameAfterNumber(start)
    if isFloat {
      literal = .float(Double(normalised(digits)) ?? 0)
      return Token(kind: .float, start: start, end: position)
    }
    if digits.utf8.count > 1 && digits.utf8.first == 0x30
      && digits.utf8.contains(where: { $0 != 0x30 })
    {
      throw failure(
        "leading zeros in decimal integer literals are not permitted; "
          + "use an 0o prefix for octal integers", start, position)
    }
    if digits.utf8.count > Lexer.maximumDigits {
      throw failure(
        "Exceeds the limit (4300 digits) for integer string conversion: value has "
          + "\(digits.utf8.count) digits", start, position)
    }
    literal = Int(digits).map { .int($0) } ?? .bigInt(digits)
    return Token(kind: .int, start: start, end: position)
  }

  /// `1.` and `.5` in the form `Double.init` accepts.
  private func normalised(_ digits: String) -> String {
    var text = digits
    if text.hasPrefix(".") { text = "0" + text }
    if let dot = text.firstIndex(of: ".") {
      let after = text.index(after: dot)
      if after == text.endIndex || text[after] == "e" { text.insert("0", at: after) }
    }
    return text
  }

  private mutating func takeDigits(_ digits: inout String, _ start: Int) throws(SyntaxFailure) {
    while true {
      let c = bytes[position]
      if isDigit(c) {
        digits.append(Character(Unicode.Scalar(c)))
        position += 1
      } else if c == 0x5F {
        guard isDigit(bytes[position + 1]) else {
          throw failure("invalid decimal literal", start, position + 1)
        }
        position += 1
      } else {
        return
      }
    }
  }

  /// `1if x` is legal (and deprecated) in Python; `1x` is not.
  private func rejectNameAfterNumber(_ start: Int) throws(SyntaxFailure) {
    let c = bytes[position]
    guard isNameByte(c) else { return }
    var end = position
    while isNameByte(bytes[end]) { end += 1 }
    let word = text(position, end)
    if ["and", "or", "if", "else", "in", "is", "for", "not"].contains(word) { return }
    throw failure("invalid decimal literal", start, end)
  }

  private func radix(_ c: UInt8) -> (value: Int, name: String)? {
    switch c {
    case 0x78, 0x58: (16, "hexadecimal")
    case 0x6F, 0x4F: (8, "octal")
    case 0x62, 0x42: (2, "binary")
    default: nil
    }
  }

  /// Decimal digits of a number too long for `Int`, by repeated multiplication of 1e9 limbs.
  private func decimal(_ digits: String, radix: Int) -> String {
    var limbs: [UInt64] = [0]  // base 1e9, least significant first
    for c in digits.utf8 {
      var carry = UInt64(hexValue(c) ?? 0)
      for i in limbs.indices {
        let value = limbs[i] * UInt64(radix) + carry
        limbs[i] = value % 1_000_000_000
        carry = value / 1_000_000_000
      }
      if carry > 0 { limbs.append(carry) }
    }
    var text = String(limbs[limbs.count - 1])
    for limb in limbs.dropLast().reversed() {
      let part = String(limb)
      text += String(repeating: "0", count: 9 - part.count) + part
    }
    return text
  }

  // MARK: - Strings

  private struct StringPrefix {
    var raw = false
    var isBytes = false
    var formatted = false
    init?(_ prefix: ArraySlice<UInt8>) {
      var unicode = false
      for c in prefix {
        switch c | 0x20 {
        case 0x72 where !raw: raw = true
        case 0x62 where !isBytes: isBytes = true
        case 0x66 where !formatted: formatted = true
        case 0x75 where !unicode: unicode = true
        default: return nil
        }
      }
      if (isBytes && formatted) || (unicode && prefix.count > 1) { return nil }
    }
  }

  private mutating func openQuote() -> (quote: UInt8, triple: Bool) {
    let quote = bytes[position]
    let triple =
      bytes[position + 1] == quote && position + 2 < count && bytes[position + 2] == quote
    position += triple ? 3 : 1
    return (quote, triple)
  }

  private func closes(_ quote: UInt8, _ triple: Bool) -> Bool {
    bytes[position] == quote
      && (!triple
        || (position + 2 < count && bytes[position + 1] == quote && bytes[position + 2] == quote))
  }

  private mutating func string(prefixStart: Int, raw: Bool, isBytes: Bool) throws(SyntaxFailure)
    -> Token
  {
    let (quote, triple) = openQuote()
    var out: [UInt8] = []
    while true {
      if position >= count || (!triple && bytes[position] == 0x0A) {
        throw unterminated("string", prefixStart, triple)
      }
      if closes(quote, triple) {
        position += triple ? 3 : 1
        break
      }
      let c = bytes[position]
      if isBytes && c >= 0x80 {
        throw failure("bytes can only contain ASCII literal characters", position, position + 1)
      }
      if c == 0x5C {
        try escape(into: &out, raw: raw, isBytes: isBytes)
      } else if c == 0x0D && bytes[position + 1] == 0x0A {
        position += 1
      } else {
        out.append(c)
        position += 1
      }
    }
    literal = isBytes ? .bytes(out) : .text(out)
    return Token(kind: isBytes ? .bytes : .string, start: prefixStart, end: position)
  }

  private func unterminated(_ what: String, _ start: Int, _ triple: Bool) -> SyntaxFailure {
    let line = line(of: position >= count ? max(count - 1, 0) : position)
    return failure(
      "unterminated \(triple ? "triple-quoted " : "")\(what) literal (detected at line \(line))",
      start, start + 1, incomplete: triple)
  }

  /// Appends what the escape at `position` (a backslash) stands for.
  private mutating func escape(into out: inout [UInt8], raw: Bool, isBytes: Bool)
    throws(SyntaxFailure)
  {
    let start = position
    position += 1
    guard position < count else { return }
    let c = bytes[position]
    if raw {
      out.append(0x5C)
      // A raw quote stays, backslash and all, and does not close the string.
      out.append(c)
      position += 1
      return
    }
    position += 1
    switch c {
    case 0x0A: break
    case 0x0D: if bytes[position] == 0x0A { position += 1 }
    case 0x5C, 0x27, 0x22: out.append(c)
    case 0x61: out.append(7)
    case 0x62: out.append(8)
    case 0x66: out.append(12)
    case 0x6E: out.append(10)
    case 0x72: out.append(13)
    case 0x74: out.append(9)
    case 0x76: out.append(11)
    case 0x30...0x37:
      var value = Int(c - 0x30)
      var digits = 1
      while digits < 3, (0x30...0x37).contains(bytes[position]) {
        value = value * 8 + Int(bytes[position] - 0x30)
        position += 1
        digits += 1
      }
      if isBytes {
        out.append(UInt8(truncatingIfNeeded: value))
      } else {
        append(UInt32(value), to: &out)
      }
    case 0x78: try hexEscape(2, "\\xXX", start, into: &out, isBytes: isBytes)
    case 0x75 where !isBytes: try hexEscape(4, "\\uXXXX", start, into: &out, isBytes: false)
    case 0x55 where !isBytes: try hexEscape(8, "\\UXXXXXXXX", start, into: &out, isBytes: false)
    case 0x4E where !isBytes:
      guard position < count, bytes[position] == 0x7B,
        let close = (position..<min(count, position + 100)).first(where: { bytes[$0] == 0x7D }),
        close > position + 1
      else { throw failure("malformed \\N character escape", start, position) }
      let name = String(decoding: bytes[(position + 1)..<close], as: UTF8.self)
      guard let c = characterNamed(name) else {
        throw failure("unknown Unicode character name", start, close + 1)
      }
      append(c, to: &out)
      position = close + 1
    default:
      out.append(0x5C)
      position -= 1  // the character itself is taken by the caller, whole if it is not ASCII
    }
  }

  private mutating func hexEscape(
    _ digits: Int, _ form: String, _ start: Int, into out: inout [UInt8], isBytes: Bool
  ) throws(SyntaxFailure) {
    var value: UInt32 = 0
    for _ in 0..<digits {
      guard let digit = hexValue(bytes[position]) else {
        throw failure(
          isBytes
            ? "invalid \\x escape at position \(start)"
            : "(unicode error) truncated \(form) escape", start, position)
      }
      value = value << 4 | UInt32(digit)
      position += 1
    }
    if isBytes {
      out.append(UInt8(truncatingIfNeeded: value))
    } else if value > 0x10FFFF {
      throw failure("(unicode error) illegal Unicode character", start, position)
    } else {
      append(value, to: &out)
    }
  }

  private func append(_ scalar: UInt32, to out: inout [UInt8]) {
    if let character = Unicode.Scalar(scalar) {
      out.append(contentsOf: String(character).utf8)
    } else {
      out += [0xED, UInt8(0x80 | scalar >> 6 & 0x3F), UInt8(0x80 | scalar & 0x3F)]
    }
  }

  // MARK: - f-strings

  /// How the literal text of an f-string ended.
  enum FStringStop { case brace, end, specEnd }

  struct FStringMode {
    let quote: UInt8
    let triple: Bool
    let raw: Bool
    let start: Int
  }
  private(set) var fStringMode = FStringMode(quote: 0, triple: false, raw: false, start: 0)

  private mutating func fStringStart(prefixStart: Int, raw: Bool) -> Token {
    let (quote, triple) = openQuote()
    fStringMode = FStringMode(quote: quote, triple: triple, raw: raw, start: prefixStart)
    return Token(kind: .fStringStart, start: prefixStart, end: position)
  }

  /// Literal text up to `{`, the end of the string, or, in a format spec, `}`. The stop is consumed,
  /// except the `}` of a spec.
  mutating func scanFString(_ mode: FStringMode, inSpec: Bool) throws(SyntaxFailure) -> (
    text: [UInt8], stop: FStringStop
  ) {
    var out: [UInt8] = []
    while true {
      if position >= count || (!mode.triple && bytes[position] == 0x0A) {
        throw unterminated("f-string", mode.start, mode.triple)
      }
      if closes(mode.quote, mode.triple) {
        if inSpec { throw failure("f-string: expecting '}'", position, position + 1) }
        position += mode.triple ? 3 : 1
        return (out, .end)
      }
      switch bytes[position] {
      case 0x7B:
        if !inSpec && bytes[position + 1] == 0x7B {
          out.append(0x7B)
          position += 2
        } else {
          position += 1
          return (out, .brace)
        }
      case 0x7D:
        if inSpec { return (out, .specEnd) }
        guard bytes[position + 1] == 0x7D else {
          throw failure("f-string: single '}' is not allowed", position, position + 1)
        }
        out.append(0x7D)
        position += 2
      case 0x5C:
        if mode.raw {
          // The backslash is text; a following quote does not close, a brace still opens.
          out.append(0x5C)
          position += 1
          if bytes[position] == mode.quote || bytes[position] == 0x5C {
            out.append(bytes[position])
            position += 1
          }
        } else if bytes[position + 1] == 0x7B || bytes[position + 1] == 0x7D {
          out.append(0x5C)
          position += 1
        } else {
          try escape(into: &out, raw: false, isBytes: false)
        }
      default:
        out.append(bytes[position])
        position += 1
      }
    }
  }

  /// Opens or closes the braces of an f-string's expression: inside, newlines are blanks.
  mutating func enterBraces(at position: Int) { brackets.append((.leftBrace, position)) }

  // MARK: - Punctuation

  private mutating func punctuation(_ c: UInt8) throws(SyntaxFailure) -> Token {
    let start = position
    let c1 = bytes[start + 1]
    let c2 = c1 == 0 ? 0 : bytes[start + 2]
    func token(_ kind: TokenKind, _ length: Int) -> Token {
      position = start + length
      return Token(kind: kind, start: start, end: position)
    }
    /// One- and two-character operators with their augmented assignments.
    func binary(_ one: TokenKind, _ op: BinaryOperator) -> Token {
      if c1 == 0x3D {
        position = start + 2
        return Token(kind: .augmented, start: start, end: position, augmentedOperator: op)
      }
      return token(one, 1)
    }
    func double(_ two: TokenKind, _ op: BinaryOperator) -> Token {
      if c2 == 0x3D {
        position = start + 3
        return Token(kind: .augmented, start: start, end: position, augmentedOperator: op)
      }
      return token(two, 2)
    }
    switch c {
    case 0x28: return try open(.leftParen)
    case 0x5B: return try open(.leftBracket)
    case 0x7B: return try open(.leftBrace)
    case 0x29: return try close(.rightParen, .leftParen)
    case 0x5D: return try close(.rightBracket, .leftBracket)
    case 0x7D: return try close(.rightBrace, .leftBrace)
    case 0x2C: return token(.comma, 1)
    case 0x3A: return c1 == 0x3D ? token(.walrus, 2) : token(.colon, 1)
    case 0x3B: return token(.semicolon, 1)
    case 0x40: return binary(.at, .matmul)
    case 0x3D: return c1 == 0x3D ? token(.equal, 2) : token(.assign, 1)
    case 0x21: return c1 == 0x3D ? token(.notEqual, 2) : token(.exclamation, 1)
    case 0x3C:
      if c1 == 0x3C { return double(.leftShift, .leftShift) }
      return c1 == 0x3D ? token(.lessEqual, 2) : token(.less, 1)
    case 0x3E:
      if c1 == 0x3E { return double(.rightShift, .rightShift) }
      return c1 == 0x3D ? token(.greaterEqual, 2) : token(.greater, 1)
    case 0x2B: return binary(.plus, .add)
    case 0x2D: return c1 == 0x3E ? token(.arrow, 2) : binary(.minus, .subtract)
    case 0x2A: return c1 == 0x2A ? double(.doubleStar, .power) : binary(.star, .multiply)
    case 0x2F: return c1 == 0x2F ? double(.doubleSlash, .floorDivide) : binary(.slash, .divide)
    case 0x25: return binary(.percent, .modulo)
    case 0x26: return binary(.ampersand, .bitAnd)
    case 0x7C: return binary(.pipe, .bitOr)
    case 0x5E: return binary(.caret, .bitXor)
    case 0x7E: return token(.tilde, 1)
    default:
      let shown = c >= 0x20 && c < 0x7F ? "'\(text(start, start + 1))'" : "U+00" + hex(c)
      throw failure(
        c >= 0x20 && c < 0x7F ? "invalid syntax" : "invalid non-printable character \(shown)",
        start,
        start + 1)
    }
  }

  private func hex(_ c: UInt8) -> String {
    let text = String(c, radix: 16, uppercase: true)
    return text.utf8.count == 1 ? "0" + text : text
  }

  private mutating func open(_ kind: TokenKind) throws(SyntaxFailure) -> Token {
    if brackets.count >= Lexer.maximumBrackets {
      throw failure("too many nested parentheses", position, position + 1)
    }
    brackets.append((kind, position))
    position += 1
    return Token(kind: kind, start: position - 1, end: position)
  }

  private mutating func close(_ kind: TokenKind, _ opener: TokenKind) throws(SyntaxFailure) -> Token
  {
    guard let top = brackets.last else {
      throw failure("unmatched '\(text(position, position + 1))'", position, position + 1)
    }
    guard top.kind == opener else {
      let line = line(of: top.position)
      let place = line == self.line(of: position) ? "" : " on line \(line)"
      throw failure(
        "closing parenthesis '\(text(position, position + 1))' does not match opening "
          + "parenthesis '\(bracketText(top.kind))'\(place)", position, position + 1)
    }
    brackets.removeLast()
    position += 1
    return Token(kind: kind, start: position - 1, end: position)
  }

  private func bracketText(_ kind: TokenKind) -> String {
    kind == .leftParen ? "(" : kind == .leftBracket ? "[" : "{"
  }
}

@inline(__always) private func isDigit(_ c: UInt8) -> Bool { c &- 0x30 < 10 }
@inline(__always) private func isNameByte(_ c: UInt8) -> Bool {
  (c | 0x20) &- 0x61 < 26 || c &- 0x30 < 10 || c == 0x5F
}
@inline(__always) private func isAlphanumeric(_ c: UInt8) -> Bool {
  (c | 0x20) &- 0x61 < 26 || c &- 0x30 < 10
}
private func hexValue(_ c: UInt8) -> Int? {
  if isDigit(c) { return Int(c - 0x30) }
  let lower = c | 0x20
  return (0x61...0x66).contains(lower) ? Int(lower - 0x61) + 10 : nil
}

@exclusivity(unchecked) nonisolated(unsafe) private var namedCharacters: [String: UInt32] = [:]

/// The character of `\N{name}`. Names are searched, which takes a moment, and remembered.
private func characterNamed(_ text: String) -> UInt32? {
  let name = text.uppercased()
  if let known = namedCharacters[name] { return known }
  for prefix in ["CJK UNIFIED IDEOGRAPH-"] where name.hasPrefix(prefix) {
    return UInt32(name.dropFirst(prefix.count), radix: 16)
  }
  for range in [UInt32(0)...0xD7FF, 0xE000...0x2FFFF, 0xE0000...0xE01FF] {
    for c in range {
      guard let p = Unicode.Scalar(c)?.properties, p.generalCategory != .unassigned else {
        continue
      }
      if p.name == name || p.nameAlias == name {
        namedCharacters[name] = c
        return c
      }
    }
  }
  return nil
}
