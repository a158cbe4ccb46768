// Tags to a syntax tree: recursive descent with Jinja's precedences.
//
//   conditional ─ or ─ and ─ not ─ comparison ─ + - ─ ~ ─ * / // % ─ ** ─ unary ─ postfix
//
// Filters and tests bind as tightly as a postfix. Nesting of expressions and of blocks is
// bounded.

import Formats

struct JinjaParser {
  private let parts: [JinjaPart]
  private let source: String
  private var partIndex = 0
  private var tokens: [JinjaToken] = []
  private var at = 0
  private var line = 1
  private var depth = 0
  private var loopDepth = 0
  private var chained = 0
  private static let maximumDepth = 100

  init(_ template: String, source: String) throws(TextError) {
    var lexer = JinjaLexer(template, source: source)
    parts = try lexer.lex()
    self.source = source
  }

  mutating func parse() throws(TextError) -> [JinjaStatement] {
    let (body, _) = try block(until: [], of: "template")
    return body
  }

  // MARK: statements

  /// Statements up to a tag named in `ends`, whose name is taken and returned.
  private mutating func block(
    until ends: Set<String>, of opener: String
  ) throws(TextError) -> ([JinjaStatement], String) {
    try deepen()
    defer { depth -= 1 }
    var body: [JinjaStatement] = []
    while partIndex < parts.count {
      let part = parts[partIndex]
      partIndex += 1
      line = part.line
      switch part.kind {
      case .text(let text): body.append(JinjaStatement(kind: .text(text), line: line))
      case .output(let content):
        begin(content)
        let start = line
        let expression = try tupleExpression()
        try finish()
        body.append(JinjaStatement(kind: .output(expression), line: start))
      case .statement(let content):
        begin(content)
        guard case .name(let name)? = peek else { throw failure("a statement needs a name") }
        at += 1
        if ends.contains(name) { return (body, name) }
        let start = line
        let kind = try statement(name)
        body.append(JinjaStatement(kind: kind, line: start))
      }
    }
    if ends.isEmpty { return (body, "") }
    let wanted = ends.sorted().joined(separator: " or ")
    throw failure("the template ends inside '\(opener)', which needs \(wanted)")
  }

  private mutating func begin(_ content: [JinjaToken]) {
    tokens = content
    at = 0
    chained = 0
  }

  private func finish() throws(TextError) {
    if let token = peek { throw failure("unexpected '\(token.shown)'") }
  }

  private mutating func statement(_ name: String) throws(TextError) -> JinjaStatement.Kind {
    switch name {
    case "if": return try ifStatement()
    case "for": return try forStatement()
    case "set": return try setStatement()
    case "macro":
      guard case .name(let macro)? = next() else { throw failure("a macro needs a name") }
      let parameters = try parameters()
      try finish()
      return .macro(try macroBody(macro, parameters, "macro"))
    case "call":
      let parameters = peek == .symbol("(") ? try parameters() : []
      let call = try expression()
      guard case .call = call else { throw failure("a call block needs a call") }
      try finish()
      return .call(try macroBody("caller", parameters, "call"), call)
    case "filter":
      let filters = try filterChain()
      try finish()
      let (body, _) = try block(until: ["endfilter"], of: name)
      try finish()
      return .filter(filters, body: body)
    case "with":
      var bindings: [(JinjaTarget, JinjaExpression)] = []
      while peek != nil {
        if !bindings.isEmpty { try expect(",") }
        let target = try target(allowsTuple: false)
        try expect("=")
        bindings.append((target, try expression()))
      }
      let (body, _) = try block(until: ["endwith"], of: name)
      try finish()
      return .with(bindings, body: body)
    case "generation":
      try finish()
      let (body, _) = try block(until: ["endgeneration"], of: name)
      try finish()
      return .group(body)
    case "do":
      let value = try expression()
      try finish()
      return .do_(value)
    case "break", "continue":
      guard loopDepth > 0 else { throw failure("'\(name)' outside a loop") }
      try finish()
      return name == "break" ? .break_ : .continue_
    case "include", "import", "from", "extends", "block", "autoescape", "trans":
      throw TextError(
        .unsupported, source: source, field: "line \(line)",
        found: "the tag '\(name)' is not part of the chat-template language")
    default: throw failure("unknown tag '\(name)'")
    }
  }

  private mutating func ifStatement() throws(TextError) -> JinjaStatement.Kind {
    var branches: [(JinjaExpression, [JinjaStatement])] = []
    var otherwise: [JinjaStatement] = []
    var condition = try tupleExpression()
    try finish()
    while true {
      let (body, end) = try block(until: ["elif", "else", "endif"], of: "if")
      branches.append((condition, body))
      if end == "elif" {
        condition = try tupleExpression()
        try finish()
        continue
      }
      try finish()
      if end == "else" {
        (otherwise, _) = try block(until: ["endif"], of: "if")
        try finish()
      }
      return .if_(branches, otherwise: otherwise)
    }
  }

  private mutating func forStatement() throws(TextError) -> JinjaStatement.Kind {
    let target = try target(allowsTuple: true)
    guard takeName("in") else { throw failure("expected 'in' in a for tag") }
    let iterable = try tupleExpression(allowsConditional: false)
    var condition: JinjaExpression?
    if takeName("if") { condition = try expression() }
    if peek == .name("recursive") {
      throw TextError(
        .unsupported, source: source, field: "line \(line)", found: "recursive loops")
    }
    try finish()
    loopDepth += 1
    let (body, end) = try block(until: ["else", "endfor"], of: "for")
    loopDepth -= 1
    try finish()
    var otherwise: [JinjaStatement] = []
    if end == "else" {
      (otherwise, _) = try block(until: ["endfor"], of: "for")
      try finish()
    }
    return .for_(
      JinjaForLoop(
        target: target, iterable: iterable, condition: condition, body: body,
        otherwise: otherwise))
  }

  private mutating func setStatement() throws(TextError) -> JinjaStatement.Kind {
    let target = try target(allowsTuple: true)
    if take("=") {
      let value = try tupleExpression()
      try finish()
      return .set(target, value)
    }
    var filters: [(String, JinjaArguments)] = []
    if take("|") { filters = try filterChain() }
    try finish()
    let (body, _) = try block(until: ["endset"], of: "set")
    try finish()
    return .setBlock(target, filters: filters, body: body)
  }

  private mutating func macroBody(
    _ name: String, _ parameters: [(name: String, standard: JinjaExpression?)], _ tag: String
  ) throws(TextError) -> JinjaMacroDefinition {
    let outerLoops = loopDepth
    loopDepth = 0
    defer { loopDepth = outerLoops }
    let (body, _) = try block(until: ["end\(tag)"], of: tag)
    if peek == .name(name) { at += 1 }
    try finish()
    return JinjaMacroDefinition(name: name, parameters: parameters, body: body)
  }

  private mutating func parameters()
    throws(TextError) -> [(name: String, standard: JinjaExpression?)]
  {
    try expect("(")
    var list: [(name: String, standard: JinjaExpression?)] = []
    while !take(")") {
      if !list.isEmpty {
        try expect(",")
        if take(")") { break }
      }
      guard case .name(let name)? = next() else { throw failure("a parameter needs a name") }
      list.append((name, take("=") ? try expression() : nil))
    }
    return list
  }

  private mutating func filterChain() throws(TextError) -> [(String, JinjaArguments)] {
    var filters: [(String, JinjaArguments)] = []
    repeat {
      let name = try filterName()
      filters.append((name, peek == .symbol("(") ? try arguments() : JinjaArguments()))
    } while take("|")
    return filters
  }

  private mutating func target(allowsTuple: Bool) throws(TextError) -> JinjaTarget {
    var targets: [JinjaTarget] = []
    var isTuple = false
    let hasParenthesis = allowsTuple && take("(")
    repeat {
      guard case .name(let name)? = peek, name != "in" else {
        if isTuple, !targets.isEmpty { break }
        throw failure("expected a name to assign to")
      }
      at += 1
      if take(".") {
        guard case .name(let attribute)? = next() else { throw failure("expected a name") }
        targets.append(.attribute(name, attribute))
      } else {
        targets.append(.name(name))
      }
      guard allowsTuple, take(",") else { break }
      isTuple = true
    } while true
    if hasParenthesis { try expect(")") }
    return isTuple ? .tuple(targets) : targets[0]
  }

  // MARK: expressions

  private mutating func tupleExpression(
    allowsConditional: Bool = true
  ) throws(TextError) -> JinjaExpression {
    let first = allowsConditional ? try expression() : try orExpression()
    guard peek == .symbol(",") else { return first }
    var items = [first]
    while take(",") {
      guard let token = peek, token != .symbol(")"), token != .symbol("=") else { break }
      items.append(allowsConditional ? try expression() : try orExpression())
    }
    return .tuple(items)
  }

  private mutating func expression() throws(TextError) -> JinjaExpression {
    try deepen()
    defer { depth -= 1 }
    var value = try orExpression()
    while takeName("if") {
      let condition = try orExpression()
      let otherwise = takeName("else") ? try expression() : nil
      value = .conditional(then: value, condition: condition, otherwise: otherwise)
    }
    return value
  }

  private mutating func orExpression() throws(TextError) -> JinjaExpression {
    var left = try andExpression()
    while takeName("or") {
      left = .binary("or", left, try andExpression())
      try bound()
    }
    return left
  }

  private mutating func andExpression() throws(TextError) -> JinjaExpression {
    var left = try notExpression()
    while takeName("and") {
      left = .binary("and", left, try notExpression())
      try bound()
    }
    return left
  }

  private mutating func notExpression() throws(TextError) -> JinjaExpression {
    guard takeName("not") else { return try comparison() }
    try deepen()
    defer { depth -= 1 }
    return .unary("not", try notExpression())
  }

  private mutating func comparison() throws(TextError) -> JinjaExpression {
    let first = try sum()
    var rest: [(String, JinjaExpression)] = []
    while true {
      if case .symbol(let symbol)? = peek, ["==", "!=", "<", ">", "<=", ">="].contains(symbol) {
        at += 1
        rest.append((symbol, try sum()))
      } else if takeName("in") {
        rest.append(("in", try sum()))
      } else if peek == .name("not"), at + 1 < tokens.count, tokens[at + 1] == .name("in") {
        at += 2
        rest.append(("not in", try sum()))
      } else {
        return rest.isEmpty ? first : .comparison(first, rest)
      }
    }
  }

  private mutating func sum() throws(TextError) -> JinjaExpression {
    var left = try concatenation()
    while case .symbol(let symbol)? = peek, symbol == "+" || symbol == "-" {
      at += 1
      left = .binary(symbol, left, try concatenation())
      try bound()
    }
    return left
  }

  private mutating func concatenation() throws(TextError) -> JinjaExpression {
    var left = try product()
    while take("~") {
      left = .binary("~", left, try product())
      try bound()
    }
    return left
  }

  private mutating func product() throws(TextError) -> JinjaExpression {
    var left = try power()
    while case .symbol(let symbol)? = peek, ["*", "/", "//", "%"].contains(symbol) {
      at += 1
      left = .binary(symbol, left, try power())
      try bound()
    }
    return left
  }

  private mutating func power() throws(TextError) -> JinjaExpression {
    var left = try unary(takesFilters: true)
    while take("**") {
      left = .binary("**", left, try unary(takesFilters: true))
      try bound()
    }
    return left
  }

  private mutating func unary(takesFilters: Bool) throws(TextError) -> JinjaExpression {
    try deepen()
    defer { depth -= 1 }
    var value: JinjaExpression
    if take("-") {
      value = .unary("-", try unary(takesFilters: false))
    } else if take("+") {
      value = .unary("+", try unary(takesFilters: false))
    } else {
      value = try primary()
    }
    value = try postfix(value)
    return takesFilters ? try filters(value) : value
  }

  private mutating func primary() throws(TextError) -> JinjaExpression {
    guard let token = next() else { throw failure("an expression is missing") }
    switch token {
    case .name("true"), .name("True"): return .literal(.bool(true))
    case .name("false"), .name("False"): return .literal(.bool(false))
    case .name("none"), .name("None"): return .literal(.none)
    case .name(let name):
      guard !["and", "or", "not", "in", "is", "if", "else"].contains(name) else {
        at -= 1
        throw failure("unexpected '\(name)'")
      }
      return .name(name)
    case .int(let value): return .literal(.int(value))
    case .double(let value): return .literal(.double(value))
    case .string(var text):
      while case .string(let more)? = peek {
        text += more
        at += 1
      }
      return .literal(.string(text))
    case .symbol("("):
      if take(")") { return .tuple([]) }
      let value = try tupleExpression()
      try expect(")")
      return value
    case .symbol("["):
      var items: [JinjaExpression] = []
      while !take("]") {
        if !items.isEmpty {
          try expect(",")
          if take("]") { break }
        }
        items.append(try expression())
      }
      return .list(items)
    case .symbol("{"):
      var pairs: [(JinjaExpression, JinjaExpression)] = []
      while !take("}") {
        if !pairs.isEmpty {
          try expect(",")
          if take("}") { break }
        }
        let key = try expression()
        try expect(":")
        pairs.append((key, try expression()))
      }
      return .dict(pairs)
    case .symbol(let symbol):
      at -= 1
      throw failure("unexpected '\(symbol)'")
    }
  }

  private mutating func postfix(_ base: JinjaExpression) throws(TextError) -> JinjaExpression {
    var value = base
    while case .symbol(let symbol)? = peek {
      switch symbol {
      case ".":
        at += 1
        switch next() {
        case .name(let name)?: value = .attribute(value, name)
        case .int(let index)?: value = .subscript_(value, .literal(.int(index)))
        default: throw failure("expected a name after '.'")
        }
      case "[": value = try subscript_(value)
      case "(": value = .call(value, try arguments())
      default: return value
      }
      try bound()
    }
    return value
  }

  private mutating func subscript_(_ base: JinjaExpression) throws(TextError) -> JinjaExpression {
    try expect("[")
    var parts: [JinjaExpression?] = []
    var isSlice = false
    var current: JinjaExpression?
    while true {
      if take(":") {
        isSlice = true
        parts.append(current)
        current = nil
      } else if take("]") {
        parts.append(current)
        break
      } else {
        guard current == nil else { throw failure("expected ']'") }
        current = try tupleExpression()
      }
      guard parts.count <= 3 else { throw failure("too many ':' in a slice") }
    }
    if isSlice {
      guard parts.count <= 3 else { throw failure("too many ':' in a slice") }
      return .slice(base, parts[0], parts[1], parts.count > 2 ? parts[2] : nil)
    }
    guard let index = parts[0] else { throw failure("expected an index") }
    return .subscript_(base, index)
  }

  private mutating func filters(_ base: JinjaExpression) throws(TextError) -> JinjaExpression {
    var value = base
    while true {
      try bound()
      if take("|") {
        let name = try filterName()
        value = .filter(value, name, peek == .symbol("(") ? try arguments() : JinjaArguments())
      } else if takeName("is") {
        let negated = takeName("not")
        let name = try testName()
        var arguments = JinjaArguments()
        if peek == .symbol("(") {
          arguments = try self.arguments()
        } else if startsTestArgument {
          arguments.positional = [try postfix(try primary())]
        }
        value = .test(value, name, arguments, negated: negated)
      } else if peek == .symbol("(") {
        value = .call(value, try arguments())
      } else {
        return value
      }
    }
  }

  private var startsTestArgument: Bool {
    switch peek {
    case .string?, .int?, .double?, .symbol("[")?, .symbol("{")?: true
    case .name(let name)?: !["else", "or", "and", "is", "if", "in", "not"].contains(name)
    default: false
    }
  }

  private mutating func filterName() throws(TextError) -> String {
    guard case .name(let name)? = next() else { throw failure("a filter needs a name") }
    guard JinjaFilters.names.contains(name) else { throw failure("no filter named '\(name)'") }
    return name
  }

  private mutating func testName() throws(TextError) -> String {
    let token = next()
    if case .symbol(let symbol)? = token, JinjaChecks.names.contains(symbol) { return symbol }
    guard case .name(let name)? = token else { throw failure("a test needs a name") }
    guard JinjaChecks.names.contains(name) else { throw failure("no test named '\(name)'") }
    return name
  }

  private mutating func arguments() throws(TextError) -> JinjaArguments {
    try expect("(")
    var arguments = JinjaArguments()
    var isFirst = true
    while !take(")") {
      if !isFirst {
        try expect(",")
        if take(")") { break }
      }
      isFirst = false
      if case .name(let name)? = peek, at + 1 < tokens.count, tokens[at + 1] == .symbol("=") {
        at += 2
        arguments.named.append((name, try expression()))
      } else {
        guard peek != .symbol("*"), peek != .symbol("**") else {
          throw TextError(
            .unsupported, source: source, field: "line \(line)", found: "unpacked arguments")
        }
        guard arguments.named.isEmpty else {
          throw failure("a positional argument follows a named one")
        }
        arguments.positional.append(try expression())
      }
    }
    return arguments
  }

  // MARK: tokens

  private var peek: JinjaToken? { at < tokens.count ? tokens[at] : nil }

  private mutating func next() -> JinjaToken? {
    guard at < tokens.count else { return nil }
    defer { at += 1 }
    return tokens[at]
  }

  private mutating func take(_ symbol: String) -> Bool {
    guard peek == .symbol(symbol) else { return false }
    at += 1
    return true
  }

  private mutating func takeName(_ name: String) -> Bool {
    guard peek == .name(name) else { return false }
    at += 1
    return true
  }

  private mutating func expect(_ symbol: String) throws(TextError) {
    guard take(symbol) else {
      throw failure(
        "expected '\(symbol)', found \(peek.map { "'\($0.shown)'" } ?? "the tag's end")")
    }
  }

  private mutating func deepen() throws(TextError) {
    depth += 1
    guard depth <= Self.maximumDepth else {
      throw TextError(
        .limit, source: source, field: "line \(line)",
        found: "nested deeper than \(Self.maximumDepth) levels")
    }
  }

  /// Chains of one operator lean left and so nest as deep as they are long.
  private mutating func bound() throws(TextError) {
    chained += 1
    guard chained <= 500 else {
      throw TextError(
        .limit, source: source, field: "line \(line)", found: "more than 500 operators in a tag")
    }
  }

  private func failure(_ found: String) -> TextError {
    TextError(.syntax, source: source, field: "line \(line)", found: found)
  }
}
