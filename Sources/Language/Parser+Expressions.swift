// Expressions, from loosest to tightest: tuple, walrus, lambda, conditional, or, and, not, comparison,
// binary operators by precedence climbing, unary, power, postfix, atom.

extension Parser {
  /// `a`, `a, b`, `*a, b`: what stands on the right of `=`, in `return` and in `for ... in`.
  /// Without `walrus`, `:=` ends the expression: a replacement field's format spec may begin with `=`.
  mutating func starExpressions(walrus: Bool = true) throws(SyntaxFailure) -> Expr {
    let start = current.start
    let first = try starExpression(walrus)
    guard current.kind == .comma else { return first }
    var elements = [first]
    while try accept(.comma) {
      guard canStartExpression else { break }
      elements.append(try starExpression(walrus))
    }
    return Expr(.tuple(elements), span(from: start))
  }

  private mutating func starExpression(_ walrus: Bool = true) throws(SyntaxFailure) -> Expr {
    let start = current.start
    if try accept(.star) { return Expr(.starred(try binary(0)), span(from: start)) }
    return try walrus ? namedExpression() : expression()
  }

  private var canStartExpression: Bool {
    switch current.kind {
    case .leftParen, .leftBracket, .leftBrace, .minus, .plus, .tilde, .star, .kNot, .kLambda,
      .ellipsis, .kYield, .kAwait:
      true
    default: startsExpression(current.kind)
    }
  }

  mutating func namedExpression() throws(SyntaxFailure) -> Expr {
    let start = current.start
    let value = try expression()
    guard current.kind == .walrus else { return value }
    guard case .name(let name) = value.kind else {
      throw failure("cannot use assignment expressions with this target", value.span)
    }
    try advance()
    let assigned = try expression()
    return Expr(.walrus(Identifier(name, value.span), assigned), span(from: start))
  }

  mutating func yieldExpression() throws(SyntaxFailure) -> Expr {
    let start = current.start
    try advance()
    if try accept(.kFrom) {
      return Expr(.yieldFrom(try expression()), span(from: start))
    }
    let value = canStartExpression ? try starExpressions() : nil
    return Expr(.yield(value), span(from: start))
  }

  /// A conditional expression or a lambda.
  mutating func expression() throws(SyntaxFailure) -> Expr {
    try nested { (parser) throws(SyntaxFailure) in
      if parser.current.kind == .kLambda { return try parser.lambda() }
      let start = parser.current.start
      let body = try parser.disjunction()
      guard parser.current.kind == .kIf else { return body }
      try parser.advance()
      let test = try parser.disjunction()
      guard parser.current.kind == .kElse else {
        throw parser.failure(
          "expected 'else' after 'if' expression", parser.span(from: start))
      }
      try parser.advance()
      let orElse = try parser.expression()
      return Expr(
        .conditional(test: test, body: body, orElse: orElse), parser.span(from: start))
    }
  }

  private mutating func lambda() throws(SyntaxFailure) -> Expr {
    let start = current.start
    try advance()
    let parameters = try parameterList(until: .colon, annotated: false)
    try expect(.colon, "expected ':'")
    let body = try expression()
    return Expr(.lambda(parameters, body), span(from: start))
  }

  mutating func disjunction() throws(SyntaxFailure) -> Expr {
    let start = current.start
    let first = try conjunction()
    guard current.kind == .kOr else { return first }
    var operands = [first]
    while try accept(.kOr) { operands.append(try conjunction()) }
    return Expr(.boolean(.or, operands), span(from: start))
  }

  private mutating func conjunction() throws(SyntaxFailure) -> Expr {
    let start = current.start
    let first = try inversion()
    guard current.kind == .kAnd else { return first }
    var operands = [first]
    while try accept(.kAnd) { operands.append(try inversion()) }
    return Expr(.boolean(.and, operands), span(from: start))
  }

  private mutating func inversion() throws(SyntaxFailure) -> Expr {
    guard current.kind == .kNot else { return try comparison() }
    let start = current.start
    try advance()
    let operand = try nested { (parser) throws(SyntaxFailure) in try parser.inversion() }
    return Expr(.unary(.not, operand), span(from: start))
  }

  private mutating func comparison() throws(SyntaxFailure) -> Expr {
    let start = current.start
    let first = try binary(0)
    var rest: [(op: CompareOperator, operand: Expr)] = []
    while let op = try compareOperator() { rest.append((op, try binary(0))) }
    return rest.isEmpty ? first : Expr(.compare(first, rest), span(from: start))
  }

  private mutating func compareOperator() throws(SyntaxFailure) -> CompareOperator? {
    let op: CompareOperator
    switch current.kind {
    case .equal: op = .equal
    case .notEqual: op = .notEqual
    case .less: op = .less
    case .lessEqual: op = .lessEqual
    case .greater: op = .greater
    case .greaterEqual: op = .greaterEqual
    case .kIn: op = .in
    case .kIs:
      try advance()
      return try accept(.kNot) ? .isNot : .is
    case .kNot:
      try advance()
      try expect(.kIn, "invalid syntax")
      return .notIn
    default: return nil
    }
    try advance()
    return op
  }

  private func binaryOperator() -> (op: BinaryOperator, level: Int)? {
    switch current.kind {
    case .pipe: (.bitOr, 0)
    case .caret: (.bitXor, 1)
    case .ampersand: (.bitAnd, 2)
    case .leftShift: (.leftShift, 3)
    case .rightShift: (.rightShift, 3)
    case .plus: (.add, 4)
    case .minus: (.subtract, 4)
    case .star: (.multiply, 5)
    case .slash: (.divide, 5)
    case .doubleSlash: (.floorDivide, 5)
    case .percent: (.modulo, 5)
    case .at: (.matmul, 5)
    default: nil
    }
  }

  /// Operators of at least `minimum` precedence; all of them are left-associative.
  mutating func binary(_ minimum: Int) throws(SyntaxFailure) -> Expr {
    let start = current.start
    var left = try unary()
    var chain = 0
    while let (op, level) = binaryOperator(), level >= minimum {
      try advance()
      let right = try binary(level + 1)
      left = Expr(.binary(op, left, right), span(from: start))
      chain += 1
      if chain > Parser.maximumChain { throw tooLong(left) }
    }
    return left
  }

  private func tooLong(_ expression: Expr) -> SyntaxFailure {
    failure(
      "expression has more than \(Parser.maximumChain) operations in a row; split it",
      expression.span)
  }

  private mutating func unary() throws(SyntaxFailure) -> Expr {
    let op: UnaryOperator
    switch current.kind {
    case .minus: op = .negate
    case .plus: op = .plus
    case .tilde: op = .invert
    default: return try power()
    }
    let start = current.start
    try advance()
    let operand = try nested { (parser) throws(SyntaxFailure) in try parser.unary() }
    return Expr(.unary(op, operand), span(from: start))
  }

  private mutating func power() throws(SyntaxFailure) -> Expr {
    let start = current.start
    if current.kind == .kAwait { throw invalidSyntax() }
    let base = try postfix()
    guard try accept(.doubleStar) else { return base }
    let exponent = try nested { (parser) throws(SyntaxFailure) in try parser.unary() }
    return Expr(.binary(.power, base, exponent), span(from: start))
  }

  private mutating func postfix() throws(SyntaxFailure) -> Expr {
    let start = current.start
    var value = try atom()
    var chain = 0
    while true {
      switch current.kind {
      case .dot:
        try advance()
        let name = try identifier()
        value = Expr(.attribute(value, name), span(from: start))
      case .leftParen:
        try advance()
        value = Expr(.call(value, try callArguments()), span(from: start))
      case .leftBracket:
        try advance()
        let index = try subscriptIndex()
        try expect(.rightBracket, "invalid syntax. Perhaps you forgot a comma?")
        value = Expr(.subscript(value, index), span(from: start))
      default: return value
      }
      chain += 1
      if chain > Parser.maximumChain { throw tooLong(value) }
    }
  }

  // MARK: - Calls and subscripts

  /// Arguments after `(`, the closing parenthesis included.
  mutating func callArguments() throws(SyntaxFailure) -> [Argument] {
    var arguments: [Argument] = []
    var sawKeyword = false
    var sawUnpackKeywords = false
    while current.kind != .rightParen {
      let start = current.start
      if try accept(.star) {
        if sawUnpackKeywords {
          throw failure(
            "iterable argument unpacking follows keyword argument unpacking", span(from: start))
        }
        arguments.append(Argument(.unpack, try expression()))
      } else if try accept(.doubleStar) {
        sawUnpackKeywords = true
        arguments.append(Argument(.unpackKeywords, try expression()))
      } else {
        let value = try namedExpression()
        if current.kind == .assign {
          guard case .name(let name) = value.kind else {
            throw failure(
              "expression cannot contain assignment, perhaps you meant \"==\"?", value.span)
          }
          try advance()
          sawKeyword = true
          arguments.append(
            Argument(.keyword(Identifier(name, value.span)), try expression()))
        } else if current.kind == .kFor {
          let generator = try comprehensionTail { .generatorExpression(value, $0) }
          let whole = Expr(generator, span(from: start))
          if !arguments.isEmpty || current.kind == .comma {
            // A lone trailing comma after the generator is fine in CPython only without others.
            if try accept(.comma), current.kind == .rightParen, arguments.isEmpty {
              arguments.append(Argument(.positional, whole))
              break
            }
            throw failure("Generator expression must be parenthesized", whole.span)
          }
          arguments.append(Argument(.positional, whole))
          break
        } else {
          if sawUnpackKeywords {
            throw failure(
              "positional argument follows keyword argument unpacking", value.span)
          }
          if sawKeyword {
            throw failure("positional argument follows keyword argument", value.span)
          }
          arguments.append(Argument(.positional, value))
        }
      }
      if current.kind != .rightParen {
        try expect(
          .comma,
          startsExpression(current.kind)
            ? "invalid syntax. Perhaps you forgot a comma?" : "invalid syntax")
      }
    }
    try expect(.rightParen, "invalid syntax")
    return arguments
  }

  private mutating func subscriptIndex() throws(SyntaxFailure) -> Expr {
    let start = current.start
    let first = try sliceOrExpression()
    guard current.kind == .comma else {
      if case .starred = first.kind { return Expr(.tuple([first]), first.span) }
      return first
    }
    var elements = [first]
    while try accept(.comma) {
      if current.kind == .rightBracket { break }
      elements.append(try sliceOrExpression())
    }
    return Expr(.tuple(elements), span(from: start))
  }

  private mutating func sliceOrExpression() throws(SyntaxFailure) -> Expr {
    let start = current.start
    if try accept(.star) { return Expr(.starred(try binary(0)), span(from: start)) }
    var lower: Expr?
    if current.kind != .colon {
      lower = try namedExpression()
      if current.kind != .colon, let lower { return lower }
    }
    try expect(.colon, "invalid syntax")
    func ends(_ parser: Parser) -> Bool {
      parser.current.kind == .colon || parser.current.kind == .comma
        || parser.current.kind == .rightBracket
    }
    let upper = ends(self) ? nil : try expression()
    var step: Expr?
    if try accept(.colon) { step = ends(self) ? nil : try expression() }
    return Expr(.slice(lower: lower, upper: upper, step: step), span(from: start))
  }

  // MARK: - Atoms

  private mutating func atom() throws(SyntaxFailure) -> Expr {
    let token = current
    switch token.kind {
    case .name:
      try advance()
      return Expr(.name(text(token)), token.span)
    case .int, .float, .imaginary:
      let literal = lexer.literal
      try advance()
      return Expr(.constant(literal), token.span)
    case .kNone, .kTrue, .kFalse, .ellipsis:
      try advance()
      let constant: Constant =
        switch token.kind {
        case .kNone: .none
        case .ellipsis: .ellipsis
        default: .bool(token.kind == .kTrue)
        }
      return Expr(.constant(constant), token.span)
    case .string, .bytes, .fStringStart: return try strings()
    case .leftParen: return try parenthesised()
    case .leftBracket: return try listDisplay()
    case .leftBrace: return try braceDisplay()
    default: throw invalidSyntax()
    }
  }

  private mutating func parenthesised() throws(SyntaxFailure) -> Expr {
    let start = current.start
    try advance()
    if try accept(.rightParen) { return Expr(.tuple([]), span(from: start)) }
    if current.kind == .kYield {
      let value = try yieldExpression()
      try expect(.rightParen, "invalid syntax")
      return value
    }
    let first = try starExpression()
    if current.kind == .kFor {
      let kind = try comprehensionTail { .generatorExpression(first, $0) }
      try expect(.rightParen, "invalid syntax")
      return Expr(kind, span(from: start))
    }
    if current.kind == .comma {
      var elements = [first]
      while try accept(.comma) {
        if current.kind == .rightParen { break }
        elements.append(try starExpression())
      }
      try expect(.rightParen, "invalid syntax. Perhaps you forgot a comma?")
      return Expr(.tuple(elements), span(from: start))
    }
    if case .starred = first.kind {
      throw failure("cannot use starred expression here", first.span)
    }
    try expect(
      .rightParen,
      startsExpression(current.kind)
        ? "invalid syntax. Perhaps you forgot a comma?" : "invalid syntax")
    return first
  }

  private mutating func listDisplay() throws(SyntaxFailure) -> Expr {
    let start = current.start
    try advance()
    var elements: [Expr] = []
    while current.kind != .rightBracket {
      let element = try starExpression()
      if current.kind == .kFor && elements.isEmpty {
        let kind = try comprehensionTail { .listComprehension(element, $0) }
        try expect(.rightBracket, "invalid syntax")
        return Expr(kind, span(from: start))
      }
      elements.append(element)
      if current.kind != .rightBracket {
        try expect(.comma, "invalid syntax. Perhaps you forgot a comma?")
      }
    }
    try advance()
    return Expr(.list(elements), span(from: start))
  }

  private mutating func braceDisplay() throws(SyntaxFailure) -> Expr {
    let start = current.start
    try advance()
    if try accept(.rightBrace) { return Expr(.dict([]), span(from: start)) }
    var items: [(key: Expr?, value: Expr)] = []
    var elements: [Expr] = []
    while current.kind != .rightBrace {
      if elements.isEmpty, try accept(.doubleStar) {
        items.append((nil, try binary(0)))
      } else {
        let first = try starExpression()
        if elements.isEmpty && current.kind == .colon {
          try advance()
          let value = try expression()
          if current.kind == .kFor && items.isEmpty {
            let kind = try comprehensionTail { .dictComprehension(key: first, value: value, $0) }
            try expect(.rightBrace, "invalid syntax")
            return Expr(kind, span(from: start))
          }
          items.append((first, value))
        } else {
          guard items.isEmpty else {
            throw failure("':' expected after dictionary key", first.span)
          }
          if current.kind == .kFor && elements.isEmpty {
            let kind = try comprehensionTail { .setComprehension(first, $0) }
            try expect(.rightBrace, "invalid syntax")
            return Expr(kind, span(from: start))
          }
          elements.append(first)
        }
      }
      if current.kind != .rightBrace {
        try expect(.comma, "invalid syntax. Perhaps you forgot a comma?")
      }
    }
    try advance()
    return Expr(elements.isEmpty ? .dict(items) : .set(elements), span(from: start))
  }

  /// `for target in iterable if condition ...`, one or more times.
  private mutating func comprehensionTail(_ make: ([Comprehension]) -> ExprKind)
    throws(SyntaxFailure) -> ExprKind
  {
    var clauses: [Comprehension] = []
    while try accept(.kFor) {
      let target = try targetList(.forLoop)
      try expect(.kIn, "invalid syntax")
      let iterable = try disjunction()
      var conditions: [Expr] = []
      while try accept(.kIf) { conditions.append(try conditionOfComprehension()) }
      clauses.append(
        Comprehension(target: target, iterable: iterable, conditions: conditions))
    }
    if current.kind == .kAsync { throw invalidSyntax() }
    return make(clauses)
  }

  private mutating func conditionOfComprehension() throws(SyntaxFailure) -> Expr {
    let start = current.start
    let value = try disjunction()
    guard current.kind == .walrus, case .name(let name) = value.kind else { return value }
    try advance()
    return Expr(
      .walrus(Identifier(name, value.span), try disjunction()), span(from: start))
  }

  // MARK: - Strings

  /// Adjacent literals are one constant; an f-string among them makes the whole formatted.
  private mutating func strings() throws(SyntaxFailure) -> Expr {
    let start = current.start
    var parts: [FStringPart] = []
    var text: [UInt8] = []
    var bytes: [UInt8] = []
    var isBytes: Bool?
    var formatted = false
    func flush() {
      if !text.isEmpty { parts.append(.literal(.text(text))) }
      text = []
    }
    while current.kind == .string || current.kind == .bytes || current.kind == .fStringStart {
      let nowBytes = current.kind == .bytes
      if let isBytes, isBytes != nowBytes {
        throw failure("cannot mix bytes and nonbytes literals", current.span)
      }
      isBytes = nowBytes
      switch lexer.literal {
      case .string(let value) where current.kind == .string:
        text += value.utf8
        try advance()
      case .surrogates(let value) where current.kind == .string:
        text += value
        try advance()
      case .bytes(let value) where current.kind == .bytes:
        bytes += value
        try advance()
      default:
        formatted = true
        let mode = lexer.fStringMode
        try fStringParts(mode, text: &text, parts: &parts)
      }
    }
    let span = span(from: start)
    if isBytes == true { return Expr(.constant(.bytes(bytes)), span) }
    if !formatted { return Expr(.constant(.text(text)), span) }
    flush()
    return Expr(.formatted(parts), span)
  }

  /// The inside of an f-string whose opening quote has been read; ends with the token after it.
  private mutating func fStringParts(
    _ mode: Lexer.FStringMode, text: inout [UInt8], parts: inout [FStringPart]
  ) throws(SyntaxFailure) {
    while true {
      let (literal, stop) = try lexer.scanFString(mode, inSpec: false)
      text += literal
      if stop == .end { break }
      try replacementField(mode, text: &text, parts: &parts)
    }
    let end = lexer.position
    try advance()
    previousEnd = end
  }

  /// `expression[=][!conversion][:spec]}` after the opening brace. Leaves the lexer after `}`.
  private mutating func replacementField(
    _ mode: Lexer.FStringMode, text: inout [UInt8], parts: inout [FStringPart]
  ) throws(SyntaxFailure) {
    depth += 1
    defer { depth -= 1 }
    if depth > Parser.maximumDepth || lexer.brackets.count >= Lexer.maximumBrackets {
      throw failure("f-string: expressions nested too deeply", current.span)
    }
    let open = lexer.position
    lexer.enterBraces(at: open - 1)
    try advance()
    if current.kind == .rightBrace {
      throw failure("f-string: valid expression required before '}'", current.span)
    }
    let value = try current.kind == .kYield ? yieldExpression() : starExpressions(walrus: false)
    var conversion: Character?
    var spec: [FStringPart]?
    var isDebug = false
    if current.kind == .assign {
      isDebug = true
      try advance()
      text += lexer.text(open, current.start).utf8
    }
    if current.kind == .exclamation {
      try advance()
      let name = self.text(current)
      guard current.kind == .name, name == "r" || name == "s" || name == "a" else {
        throw failure(
          "f-string: invalid conversion character: expected 's', 'r', or 'a'", current.span)
      }
      conversion = name.first
      try advance()
    }
    if current.kind == .colon || current.kind == .walrus {
      // `:=` inside braces is a spec that starts with `=`.
      lexer.seek(current.start + 1)
      spec = try formatSpec(mode)
      try advance()
    }
    guard current.kind == .rightBrace else {
      throw failure("f-string: expecting '}'", current.span)
    }
    if isDebug && conversion == nil && spec == nil { conversion = "r" }
    if !text.isEmpty { parts.append(.literal(.text(text))) }
    text = []
    parts.append(.value(value, conversion: conversion, spec: spec))
  }

  private mutating func formatSpec(_ mode: Lexer.FStringMode) throws(SyntaxFailure) -> [FStringPart]
  {
    var parts: [FStringPart] = []
    var text: [UInt8] = []
    while true {
      let (literal, stop) = try lexer.scanFString(mode, inSpec: true)
      text += literal
      if stop != .brace { break }
      try replacementField(mode, text: &text, parts: &parts)
    }
    if !text.isEmpty { parts.append(.literal(.text(text))) }
    return parts
  }
}
