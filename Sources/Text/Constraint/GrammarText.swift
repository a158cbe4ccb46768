// Grammars as text, in the form of llama.cpp's GBNF files:
//
//   # a comment
//   root   ::= "answer: " (yes | "no") "\n"
//   yes    ::= "yes" ("!" | "."){0,3}
//   number ::= [0-9]+ ("." [0-9]+)? | [^a-z\n] | .
//
// A rule is a name, `::=` and alternatives; a newline ends it unless it stands in parentheses or
// beside a bar. Behind an element may stand * + ? {m} {m,} {m,n}. Characters are code points; \n \r \t
// \" \\ \[ \] \xHH \uHHHH \UHHHHHHHH stand for them. `root` is what the text has to be.
//
// A rule that begins with itself (a ::= a x | b) is read as a ::= b x*, which accepts the same texts;
// longer circles are refused by the compiler.

public struct GrammarText {
  private let scalars: [Unicode.Scalar]
  private let source: String
  private var at = 0
  private var depth = 0
  private var names: [String: Int] = [:]
  private var rules: [GrammarRule?] = []
  /// Where each name was first used.
  private var uses: [Int] = []
  private static let maximumLength = 2_000_000
  private static let maximumDepth = 200

  static func parse(_ text: String, source: String) throws(TextError) -> [GrammarRule] {
    var parser = GrammarText(text, source)
    return try parser.rulesOfText()
  }

  private init(_ text: String, _ source: String) {
    scalars = Array(text.unicodeScalars)
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

  private mutating func take(_ text: String) -> Bool {
    let wanted = Array(text.unicodeScalars)
    guard at + wanted.count <= scalars.count,
      scalars[at..<at + wanted.count].elementsEqual(wanted)
    else { return false }
    at += wanted.count
    return true
  }

  private mutating func skipSpace(newlines: Bool) {
    while let next = peek {
      if next == "#" {
        while let c = peek, c != "\n" { _ = c; at += 1 }
      } else if next == " " || next == "\t" || (newlines && (next == "\n" || next == "\r")) {
        at += 1
      } else {
        return
      }
    }
  }

  private mutating func rulesOfText() throws(TextError) -> [GrammarRule] {
    guard scalars.count <= Self.maximumLength else {
      throw TextError(
        .limit, source: source, field: "", found: "it has more than 2,000,000 characters")
    }
    _ = number(of: "root", at: 0)
    skipSpace(newlines: true)
    while peek != nil {
      let begin = at
      let name = word()
      guard !name.isEmpty else {
        throw failure("a rule is expected", "write: name ::= alternatives")
      }
      skipSpace(newlines: true)
      guard take("::=") else { throw failure("'::=' is expected behind the rule's name") }
      let rule = number(of: name, at: begin)
      guard rules[rule] == nil else {
        throw failure("the rule '\(name)' is there twice", "join them by a bar", at: begin)
      }
      skipSpace(newlines: true)
      let node = try alternatives(isNested: false)
      rules[rule] = GrammarRule(name: name, node: Self.withoutLeftRecursion(node, rule))
      if let next = peek, next != "\n", next != "\r" {
        throw failure(
          "'\(next)' has no place here", "begin a new rule on a new line")
      }
      skipSpace(newlines: true)
    }
    guard rules[0] != nil else {
      throw TextError(
        .invalid, source: source, field: "", found: "there is no rule 'root'",
        remedy: "name the rule that the whole text has to be: root ::= ...")
    }
    var out: [GrammarRule] = []
    for (name, rule) in names.sorted(by: { $0.value < $1.value }) {
      guard let definition = rules[rule] else {
        throw failure(
          "the rule '\(name)' is used, but not defined", "add: \(name) ::= ...", at: uses[rule],
          .invalid)
      }
      out.append(definition)
    }
    return GrammarInliner.inlined(out)
  }

  private mutating func number(of name: String, at place: Int) -> Int {
    if let known = names[name] { return known }
    names[name] = rules.count
    rules.append(nil)
    uses.append(place)
    return rules.count - 1
  }

  private mutating func word() -> String {
    var out = String.UnicodeScalarView()
    while let next = peek, ScalarSet.word.contains(next.value) || next == "-" {
      out.append(next)
      at += 1
    }
    return String(out)
  }

  private mutating func alternatives(isNested: Bool) throws(TextError) -> GrammarNode {
    depth += 1
    defer { depth -= 1 }
    guard depth <= Self.maximumDepth else {
      throw failure("groups are nested more than \(Self.maximumDepth) deep", "use rules", .limit)
    }
    var options = [try sequence(isNested: isNested)]
    while true {
      let mark = at
      skipSpace(newlines: true)
      guard take("|") else {
        at = isNested ? at : mark
        break
      }
      skipSpace(newlines: true)
      options.append(try sequence(isNested: isNested))
    }
    return options.count == 1 ? options[0] : .choice(options)
  }

  private mutating func sequence(isNested: Bool) throws(TextError) -> GrammarNode {
    var parts: [GrammarNode] = []
    while true {
      skipSpace(newlines: isNested)
      guard let next = peek, next != "|", next != ")", next != "\n", next != "\r" else { break }
      let begin = at
      var node: GrammarNode
      switch next {
      case "\"": node = try literal()
      case "[": node = try characterClass()
      case ".":
        at += 1
        node = .set(.all)
      case "(":
        at += 1
        node = try alternatives(isNested: true)
        skipSpace(newlines: true)
        guard take(")") else { throw failure("this '(' is not closed", at: begin) }
        // A group of one part stays one element.
        node = .sequence([node])
      default:
        let name = word()
        guard !name.isEmpty else {
          throw failure(
            "'\(next)' has no place here",
            "elements are \"texts\", [classes], rule names, . and ( )")
        }
        node = .call(number(of: name, at: begin))
      }
      var quantifiers = 0
      while let bounds = try quantifier() {
        node = .repeated(node, bounds.0, bounds.1)
        quantifiers += 1
        if quantifiers > 3 { throw failure("more than three quantifiers", "one is enough", .limit) }
      }
      parts.append(node)
    }
    return parts.count == 1 ? parts[0] : .sequence(parts)
  }

  private mutating func quantifier() throws(TextError) -> (Int, Int?)? {
    let begin = at
    if take("*") { return (0, nil) }
    if take("+") { return (1, nil) }
    if take("?") { return (0, 1) }
    guard take("{") else { return nil }
    let wrong = failure("bounds are {m}, {m,} or {m,n}", at: begin)
    skipSpace(newlines: false)
    let least = try count()
    var most = least
    skipSpace(newlines: false)
    if take(",") {
      skipSpace(newlines: false)
      most = try count()
      skipSpace(newlines: false)
    } else if least == nil {
      throw wrong
    }
    guard take("}") else { throw wrong }
    if let most, most < (least ?? 0) {
      throw failure("the least count is above the most", at: begin)
    }
    return (least ?? 0, most)
  }

  private mutating func count() throws(TextError) -> Int? {
    var value: Int?
    while let next = peek, next.value >= 0x30, next.value <= 0x39 {
      value = (value ?? 0) * 10 + Int(next.value - 0x30)
      if let value, value > 1_000_000 {
        throw failure("a count above 1,000,000", "use a smaller one, or *", .limit)
      }
      at += 1
    }
    return value
  }

  private mutating func literal() throws(TextError) -> GrammarNode {
    let begin = at
    at += 1
    var bytes: [UInt8] = []
    while true {
      guard let next = peek, next != "\n" else {
        throw failure("this text is not closed", at: begin)
      }
      at += 1
      if next == "\"" { return .bytes(bytes) }
      appendScalar(next == "\\" ? try escape().value : next.value, to: &bytes)
    }
  }

  private mutating func escape() throws(TextError) -> Unicode.Scalar {
    let begin = at - 1
    guard let next = peek else { throw failure("a backslash at the end", at: begin) }
    at += 1
    let digits: Int
    switch next {
    case "n": return "\n"
    case "r": return "\r"
    case "t": return "\t"
    case "\\", "\"", "[", "]", "-", "^": return next
    case "x": digits = 2
    case "u": digits = 4
    case "U": digits = 8
    default:
      throw failure(
        "the escape \\\(next) is not known", "write \\\\ for a backslash", at: begin)
    }
    var value: UInt32 = 0
    for _ in 0..<digits {
      guard let digit = peek?.hexValue, value < 0x1000_0000 else {
        throw failure("\(digits) hexadecimal digits are expected", at: begin)
      }
      value = value << 4 | digit
      at += 1
    }
    guard let scalar = Unicode.Scalar(value) else { throw failure("no code point", at: begin) }
    return scalar
  }

  private mutating func characterClass() throws(TextError) -> GrammarNode {
    let begin = at
    at += 1
    let isNegated = take("^")
    var ranges: [ClosedRange<UInt32>] = []
    func unclosed() -> TextError { failure("this '[' is not closed", at: begin) }
    while true {
      guard let next = peek, next != "\n" else { throw unclosed() }
      at += 1
      if next == "]" { break }
      let low = next == "\\" ? try escape() : next
      var high = low
      if peek == "-", at + 1 < scalars.count, scalars[at + 1] != "]" {
        at += 1
        guard let last = peek, last != "\n" else { throw unclosed() }
        at += 1
        high = last == "\\" ? try escape() : last
      }
      guard low <= high else {
        throw failure("the range \(low)-\(high) is empty: its ends are swapped", at: begin)
      }
      ranges.append(low.value...high.value)
    }
    let set = ScalarSet(ranges)
    let result = isNegated ? set.complement : set
    if result.isEmpty { throw failure("the class has no characters", at: begin) }
    return .set(result)
  }

  // MARK: Left recursion

  /// a ::= a x | b  as  a ::= (b) x*
  private static func withoutLeftRecursion(_ node: GrammarNode, _ rule: Int) -> GrammarNode {
    guard case .choice(let options) = node else { return node }
    var first: [GrammarNode] = []
    var behind: [GrammarNode] = []
    for option in options {
      if case .call(let called) = option, called == rule { continue }
      if case .sequence(let parts) = option, case .call(let called)? = parts.first, called == rule {
        behind.append(.sequence(Array(parts.dropFirst())))
      } else {
        first.append(option)
      }
    }
    if behind.isEmpty { return first.count == options.count ? node : .choice(first) }
    return .sequence([.choice(first), .repeated(.choice(behind), 0, nil)])
  }
}

/// Puts small rules that do not come back to themselves in the place of their calls, so that the
/// recogniser makes no frame for each character.
enum GrammarInliner {
  private static let largest = 40

  static func inlined(_ rules: [GrammarRule]) -> [GrammarRule] {
    var done: [GrammarNode?] = Array(repeating: nil, count: rules.count)
    var sizes = Array(repeating: Int.max, count: rules.count)
    var isOpen = Array(repeating: false, count: rules.count)

    // Where the recursion is deep, calls stay calls.
    func finish(_ rule: Int, _ depth: Int) {
      if done[rule] != nil || isOpen[rule] { return }
      isOpen[rule] = true
      let node = expanded(rules[rule].node, depth + 1)
      isOpen[rule] = false
      done[rule] = node
      // One that comes back to a rule that is being expanded keeps its name, for messages as well.
      var called: Set<Int> = []
      collectCalls(node, &called)
      let comesBack = called.contains { $0 == rule || isOpen[$0] }
      sizes[rule] = comesBack ? Int.max : size(node)
    }
    func expanded(_ node: GrammarNode, _ depth: Int) -> GrammarNode {
      switch node {
      case .bytes, .set, .automaton, .graph: return node
      case .sequence(let parts): return .sequence(parts.map { expanded($0, depth + 1) })
      case .choice(let parts): return .choice(parts.map { expanded($0, depth + 1) })
      case .repeated(let body, let least, let most):
        return .repeated(expanded(body, depth + 1), least, most)
      case .call(let rule):
        if depth < 500 { finish(rule, depth) }
        if let node = done[rule], sizes[rule] <= largest { return node }
        return node
      }
    }
    for rule in rules.indices { finish(rule, 0) }
    return rules.indices.map {
      GrammarRule(name: rules[$0].name, node: done[$0] ?? rules[$0].node)
    }
  }

  private static func collectCalls(_ node: GrammarNode, _ out: inout Set<Int>) {
    switch node {
    case .bytes, .set, .automaton: break
    case .sequence(let parts), .choice(let parts): for part in parts { collectCalls(part, &out) }
    case .repeated(let body, _, _): collectCalls(body, &out)
    case .call(let called): out.insert(called)
    case .graph(let graph): for edge in graph.edges { collectCalls(edge.node, &out) }
    }
  }

  private static func size(_ node: GrammarNode) -> Int {
    switch node {
    case .bytes(let bytes): bytes.count
    case .set(let set): set.ranges.count
    case .sequence(let parts), .choice(let parts): parts.reduce(1) { $0 + min(size($1), 1 << 20) }
    case .repeated(let body, let least, let most):
      min(size(body), 1 << 20) * max(1, min(most ?? least + 1, 1 << 20))
    case .call: 1
    case .automaton, .graph: 1 << 20
    }
  }
}
