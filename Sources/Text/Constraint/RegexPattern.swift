// Regular expressions as a tree.
//
// The dialect is what Python's `re` and JSON schema's patterns have in common: classes, groups,
// alternation, quantifiers (a lazy one accepts the same texts), anchors, escapes. What a finite
// automaton cannot know (back references, looking around, word boundaries) is refused.
// `\d`, `\w` and `\s` are the ASCII ones; their complements leave out the Unicode ones as well, so
// that a text is right under either reading.

indirect enum RegexNode {
  case empty
  case set(ScalarSet)
  case sequence([RegexNode])
  case choice([RegexNode])
  case repeated(RegexNode, Int, Int?)
  case start
  case end

  static func text(_ text: String) -> RegexNode {
    .sequence(text.unicodeScalars.map { .set(ScalarSet($0)) })
  }

  /// The same for a grammar; nil for a pattern with anchors.
  var grammarNode: GrammarNode? {
    switch self {
    case .empty: return .bytes([])
    case .set(let set): return .set(set)
    case .sequence(let parts):
      let nodes = parts.compactMap(\.grammarNode)
      return nodes.count == parts.count ? .sequence(nodes) : nil
    case .choice(let parts):
      let nodes = parts.compactMap(\.grammarNode)
      return nodes.count == parts.count ? .choice(nodes) : nil
    case .repeated(let body, let least, let most):
      return body.grammarNode.map { .repeated($0, least, most) }
    case .start, .end: return nil
    }
  }
}

struct RegexParser {
  private let scalars: [Unicode.Scalar]
  private let source: String
  private var at = 0
  private var depth = 0
  private static let maximumDepth = 200

  /// `source` begins the messages ("the pattern", or a place in a schema).
  static func parse(_ pattern: String, source: String) throws(TextError) -> RegexNode {
    var parser = RegexParser(pattern, source)
    let node = try parser.choice()
    if parser.at < parser.scalars.count {
      throw parser.failure("an unmatched ')'", "write \\) for the character")
    }
    return node
  }

  private init(_ pattern: String, _ source: String) {
    scalars = Array(pattern.unicodeScalars)
    self.source = source
  }

  private func failure(
    _ found: String, _ remedy: String = "", at place: Int? = nil,
    _ kind: TextError.Kind = .syntax
  ) -> TextError {
    caretFailure(
      kind, source: source, text: scalars, at: place ?? at, found: found, remedy: remedy)
  }

  private var peek: Unicode.Scalar? { at < scalars.count ? scalars[at] : nil }

  private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
    guard peek == scalar else { return false }
    at += 1
    return true
  }

  private mutating func choice() throws(TextError) -> RegexNode {
    depth += 1
    defer { depth -= 1 }
    guard depth <= Self.maximumDepth else {
      throw failure(
        "groups are nested more than \(Self.maximumDepth) deep", "nest them less", .limit)
    }
    var options = [try sequence()]
    while take("|") { options.append(try sequence()) }
    return options.count == 1 ? options[0] : .choice(options)
  }

  private mutating func sequence() throws(TextError) -> RegexNode {
    var parts: [RegexNode] = []
    while let next = peek, next != "|", next != ")" {
      let begin = at
      var node = try atom()
      var isAnchor = false
      switch node {
      case .start, .end: isAnchor = true
      default: break
      }
      var isQuantified = false
      while let bounds = try quantifier() {
        if isAnchor { throw failure("an anchor is not repeated", at: begin) }
        if isQuantified {
          throw failure("a quantifier behind a quantifier", "put the first into a group (?: )")
        }
        isQuantified = true
        node = .repeated(node, bounds.0, bounds.1)
      }
      parts.append(node)
    }
    return parts.isEmpty ? .empty : parts.count == 1 ? parts[0] : .sequence(parts)
  }

  /// Bounds of `*`, `+`, `?`, `{m}`, `{m,}`, `{,n}`, `{m,n}`; a brace that is none of these is a character.
  private mutating func quantifier() throws(TextError) -> (Int, Int?)? {
    let begin = at
    var bounds: (Int, Int?)
    switch peek {
    case "*": bounds = (0, nil)
    case "+": bounds = (1, nil)
    case "?": bounds = (0, 1)
    case "{":
      at += 1
      let least = try number()
      var most = least
      var isRange = false
      if take(",") {
        isRange = true
        most = try number()
      }
      guard take("}"), least != nil || isRange else {
        at = begin
        return nil
      }
      at -= 1
      bounds = (least ?? 0, most)
      if let most, most < (least ?? 0) {
        throw failure("the least count is above the most", at: begin)
      }
    default: return nil
    }
    at += 1
    if take("+") {
      throw failure("a possessive quantifier", "leave the second + out", at: begin, .unsupported)
    }
    _ = take("?")  // a lazy one accepts the same texts
    return bounds
  }

  private mutating func number() throws(TextError) -> Int? {
    var value: Int?
    while let digit = peek, digit.value >= 0x30, digit.value <= 0x39 {
      value = (value ?? 0) * 10 + Int(digit.value - 0x30)
      if let value, value > 1_000_000_000 {
        throw failure("a count above 1,000,000,000", "use a smaller one", .limit)
      }
      at += 1
    }
    return value
  }

  private mutating func atom() throws(TextError) -> RegexNode {
    let begin = at
    guard let next = peek else { return .empty }
    at += 1
    switch next {
    case ".": return .set(ScalarSet("\n\r\u{2028}\u{2029}").complement)
    case "^": return .start
    case "$": return .end
    case "[": return .set(try bracket(begin))
    case "(":
      if take("?") { try groupKind(begin) }
      let node = try choice()
      guard take(")") else { throw failure("this '(' is not closed", at: begin) }
      // A repeated anchor inside is refused where it is, so a group of one is as good as its content.
      return .sequence([node])
    case "*", "+", "?":
      throw failure("nothing to repeat", "write \\\(next) for the character", at: begin)
    case "\\": return try escape(begin)
    default: return .set(ScalarSet(next))
    }
  }

  private mutating func groupKind(_ begin: Int) throws(TextError) {
    if take(":") { return }
    func unsupported(_ what: String, _ remedy: String) -> TextError {
      failure(what, remedy, at: begin, .unsupported)
    }
    if peek == "=" || peek == "!" {
      throw unsupported("looking ahead", "a constraint goes forward only; spell out what may come")
    }
    if take("P") {
      if peek == "=" { throw unsupported("a back reference", "spell out what may come") }
      if peek == ">" { throw unsupported("a named call", "write the group out") }
    }
    if take("<") {
      if peek == "=" || peek == "!" {
        throw unsupported("looking behind", "a constraint goes forward only; spell out what came")
      }
      while let next = peek, next != ">" {
        guard next.properties.isAlphabetic || next == "_" || ScalarSet.digits.contains(next.value)
        else { throw failure("a group's name has letters, digits and _ only") }
        at += 1
      }
      guard take(">") else { throw failure("the group's name does not end", at: begin) }
      return
    }
    throw unsupported(
      "a group of this kind", "plain groups ( ), (?: ) and named ones (?P<name> ) are there")
  }

  private mutating func escape(_ begin: Int) throws(TextError) -> RegexNode {
    guard let next = peek else { throw failure("a backslash at the end", at: begin) }
    switch next {
    case "A":
      at += 1
      return .start
    case "Z", "z":
      at += 1
      return .end
    case "b", "B":
      throw failure(
        "a word boundary", "spell out the characters beside it", at: begin, .unsupported)
    case "1"..."9":
      throw failure("a back reference", "spell out what may come", at: begin, .unsupported)
    default: return .set(try classEscape(begin))
    }
  }

  /// An escape that stands for characters, also in brackets; `at` is behind the backslash.
  private mutating func classEscape(_ begin: Int) throws(TextError) -> ScalarSet {
    guard let next = peek else { throw failure("a backslash at the end", at: begin) }
    at += 1
    switch next {
    case "d": return .digits
    case "D": return .notDigits
    case "w": return .word
    case "W": return .notWord
    case "s": return .space
    case "S": return .notSpace
    case "n": return ScalarSet(value: 0x0A)
    case "r": return ScalarSet(value: 0x0D)
    case "t": return ScalarSet(value: 0x09)
    case "f": return ScalarSet(value: 0x0C)
    case "v": return ScalarSet(value: 0x0B)
    case "a": return ScalarSet(value: 0x07)
    case "0": return ScalarSet(value: 0)
    case "x": return ScalarSet(value: try hex(2, begin))
    case "u":
      if take("{") {
        var value: UInt32 = 0
        let first = at
        while let digit = peek?.hexValue, at - first < 6 {
          value = value << 4 | digit
          at += 1
        }
        guard at > first, take("}"), let scalar = Unicode.Scalar(value) else {
          throw failure("no code point", "write \\u{1F600}", at: begin)
        }
        return ScalarSet(scalar)
      }
      let value = try hex(4, begin)
      if value >= 0xD800, value <= 0xDBFF, take("\\"), take("u") {
        let low = try hex(4, begin)
        if low >= 0xDC00, low <= 0xDFFF {
          return ScalarSet(value: 0x10000 + (value - 0xD800) << 10 + (low - 0xDC00))
        }
      }
      guard let scalar = Unicode.Scalar(value) else {
        throw failure("half of a surrogate pair", "write both halves, or \\u{...}", at: begin)
      }
      return ScalarSet(scalar)
    case "U":
      guard let scalar = Unicode.Scalar(try hex(8, begin)) else {
        throw failure("no code point", at: begin)
      }
      return ScalarSet(scalar)
    case "p", "P":
      throw failure(
        "a Unicode property", "write the ranges of characters, such as [a-zà-ÿ]", at: begin,
        .unsupported)
    default:
      if next.properties.isAlphabetic || ScalarSet.digits.contains(next.value) {
        throw failure("the escape \\\(next) is not known", at: begin)
      }
      return ScalarSet(next)
    }
  }

  private mutating func hex(_ count: Int, _ begin: Int) throws(TextError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<count {
      guard let digit = peek?.hexValue else {
        throw failure("\(count) hexadecimal digits are expected", at: begin)
      }
      guard value < 0x1000_0000 else { throw failure("no code point", at: begin) }
      value = value << 4 | digit
      at += 1
    }
    return value
  }

  private mutating func bracket(_ begin: Int) throws(TextError) -> ScalarSet {
    let isNegated = take("^")
    var ranges: [ClosedRange<UInt32>] = []
    var isFirst = true
    while true {
      guard let next = peek else { throw failure("this '[' is not closed", at: begin) }
      if next == "]", !isFirst { break }
      isFirst = false
      let place = at
      let low = try member()
      if peek == "-", at + 1 < scalars.count, scalars[at + 1] != "]" {
        at += 1
        let high = try member()
        guard let a = low.single, let b = high.single else {
          throw failure("a range goes from one character to another", at: place)
        }
        guard a <= b else { throw failure("the range is empty: its ends are swapped", at: place) }
        ranges.append(a...b)
      } else {
        ranges += low.ranges
      }
    }
    at += 1
    let set = ScalarSet(ranges)
    if !isNegated { return set }
    // The complement of an ASCII class leaves out the Unicode class, too.
    var excluded = set
    let classes: [(Unicode.Scalar, ScalarSet)] = [
      ("d", ScalarSet.notDigits.complement), ("w", ScalarSet.notWord.complement),
      ("s", ScalarSet.notSpace.complement), ("D", ScalarSet.digits.complement),
      ("W", ScalarSet.word.complement), ("S", ScalarSet.space.complement),
    ]
    for (letter, set) in classes where bracket(begin, has: letter) {
      excluded = excluded.union(set)
    }
    return excluded.complement
  }

  /// Whether a bracket names a class by its escape.
  private func bracket(_ begin: Int, has letter: Unicode.Scalar) -> Bool {
    var i = begin + 1
    while i + 1 < at {
      if scalars[i] == "\\" {
        if scalars[i + 1] == letter { return true }
        i += 1
      }
      i += 1
    }
    return false
  }

  private mutating func member() throws(TextError) -> ScalarSet {
    let begin = at
    guard let next = peek else { throw failure("the class is not closed") }
    at += 1
    guard next == "\\" else { return ScalarSet(next) }
    if take("b") { return ScalarSet(value: 8) }
    return try classEscape(begin)
  }
}

extension ScalarSet {
  fileprivate var single: UInt32? {
    ranges.count == 1 && ranges[0].lowerBound == ranges[0].upperBound ? ranges[0].lowerBound : nil
  }
}

extension Unicode.Scalar {
  var hexValue: UInt32? {
    switch value {
    case 0x30...0x39: value - 0x30
    case 0x41...0x46: value - 0x41 + 10
    case 0x61...0x66: value - 0x61 + 10
    default: nil
    }
  }
}

/// An error with the line of a text and a caret under the place in it.
func caretFailure(
  _ kind: TextError.Kind, source: String, text: [Unicode.Scalar], at: Int, found: String,
  remedy: String
) -> TextError {
  let at = min(at, text.count)
  var start = at
  while start > 0, text[start - 1] != "\n", at - start < 60 { start -= 1 }
  var end = at
  while end < text.count, text[end] != "\n", end - at < 30 { end += 1 }
  let number = text[..<at].lazy.filter { $0 == "\n" }.count + 1
  var column = at
  while column > 0, text[column - 1] != "\n" { column -= 1 }
  let isOneLine = !text.contains("\n")
  let place =
    isOneLine ? "character \(at + 1)" : "line \(number), column \(at - column + 1)"
  var line = String.UnicodeScalarView()
  line.append(contentsOf: text[start..<end].map { $0.value < 0x20 || $0.value == 0x7F ? " " : $0 })
  var error = TextError(kind, source: source, field: place, found: found, remedy: remedy)
  error.excerpt = "    \(String(line))\n    " + String(repeating: " ", count: at - start) + "^"
  return error
}
