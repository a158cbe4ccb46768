// The parser: a hand-written recursive descent over the lexer's tokens, one token of lookahead.
//
// Statements are here, expressions in Parser+Expressions.swift. It accepts the grammar of Python 3.12
// less async, match statements and metaclasses; those are refused by name. Errors are worded as
// CPython words them where it has words. Depth is bounded in two ways: nesting (`maximumDepth`, counted
// in `nested`) bounds the parser's own stack, and the length of left-leaning chains (`maximumChain`)
// bounds the stack of everything that later walks the tree.

/// Parses a whole source text.
public func parseProgram(_ source: String) throws(SyntaxFailure) -> [Stmt] {
  var parser = try Parser(source)
  return try parser.program()
}

/// Parses one expression, such as the argument of `%time`. Newlines around it are allowed.
public func parseExpressionSource(_ source: String) throws(SyntaxFailure) -> Expr {
  var parser = try Parser(source)
  while parser.current.kind == .newline { try parser.advance() }
  let expression = try parser.starExpressions()
  while parser.current.kind == .newline { try parser.advance() }
  if parser.current.kind != .endOfFile { throw parser.invalidSyntax() }
  return expression
}

/// What a REPL needs to know about a partly typed cell.
public enum InputStatus: Equatable {
  case complete
  /// More lines can make it valid; `indent` is the indentation to offer for the next one.
  case incomplete(indent: String)
  case invalid
}

/// Whether `source` may run as a cell. A compound statement typed line by line is complete only after
/// a blank line, as in Python's own prompt.
public func inputStatus(_ source: String) -> InputStatus {
  let lines = source.split(separator: "\n", omittingEmptySubsequences: false)
  let lastCode = lines.last { line in line.contains { $0 != " " && $0 != "\t" } } ?? ""
  var indent = String(lastCode.prefix { $0 == " " || $0 == "\t" })
  let trimmed = lastCode.reversed().drop { $0 == " " || $0 == "\t" }
  if trimmed.first == ":" { indent += "    " }
  do {
    let program = try parseProgram(source)
    guard let last = program.last else { return .complete }
    let isCompound =
      switch last.kind {
      case .if, .while, .for, .function, .class, .with, .try: true
      default: false
      }
    let endsBlank = lines.count > 1 && !(lines.last ?? "").contains { $0 != " " && $0 != "\t" }
    // `if x: y` on one line still waits for the blank line, as CPython does.
    return !isCompound || endsBlank ? .complete : .incomplete(indent: indent)
  } catch {
    return error.isIncomplete ? .incomplete(indent: indent) : .invalid
  }
}

struct Parser {
  var lexer: Lexer
  var current: Token
  /// End of the token before `current`.
  var previousEnd = 0
  /// The lowest address that the recursion may reach on this thread.
  private let stackLimit = nativeStackLimit()
  /// The classes around, for names that begin with two underscores.
  var classNames: [String] = []
  var depth = 0

  static let maximumDepth = 300
  static let maximumChain = 3000

  init(_ source: String) throws(SyntaxFailure) {
    lexer = Lexer(source)
    current = try lexer.next()
  }

  mutating func advance() throws(SyntaxFailure) {
    previousEnd = current.end
    current = try lexer.next()
  }

  mutating func accept(_ kind: TokenKind) throws(SyntaxFailure) -> Bool {
    if current.kind != kind { return false }
    try advance()
    return true
  }

  mutating func expect(_ kind: TokenKind, _ message: String) throws(SyntaxFailure) {
    if current.kind != kind {
      if message == "expected ':'" && current.kind == .assign {
        throw failure("invalid syntax. Maybe you meant '==' or ':=' instead of '='?", current.span)
      }
      throw failure(message, current.span)
    }
    try advance()
  }

  func failure(_ message: String, _ span: Span, kind: String = "SyntaxError") -> SyntaxFailure {
    SyntaxFailure(
      kind: kind, message: message, span: span, isIncomplete: current.kind == .endOfFile)
  }

  func invalidSyntax() -> SyntaxFailure {
    switch current.kind {
    case .indent: return failure("unexpected indent", current.span, kind: "IndentationError")
    case .kAsync, .kAwait:
      return failure("'\(text(current))' is not part of the language", current.span)
    default: return failure("invalid syntax", current.span)
    }
  }

  func text(_ token: Token) -> String { lexer.text(token.start, token.end) }
  /// A name as the class around it sees it: `__x` is private to the class, so it becomes `_Class__x`.
  func mangled(_ name: String) -> String {
    guard let owner = classNames.last, name.hasPrefix("__"), !name.hasSuffix("__") else {
      return name
    }
    let bare = owner.drop { $0 == "_" }
    return bare.isEmpty ? name : "_" + bare + name
  }
  func span(from start: Int) -> Span { Span(start, max(previousEnd, start)) }

  mutating func nested<T>(_ body: (inout Parser) throws(SyntaxFailure) -> T) throws(SyntaxFailure)
    -> T
  {
    depth += 1
    var here: UInt8 = 0
    let address = withUnsafeMutablePointer(to: &here) { UInt(bitPattern: $0) }
    if depth > Parser.maximumDepth || address < stackLimit {
      throw SyntaxFailure(
        kind: "SyntaxError", message: "too many nested expressions or blocks", span: current.span,
        isIncomplete: false)
    }
    let result = try body(&self)
    depth -= 1
    return result
  }

  mutating func identifier(_ message: String = "invalid syntax") throws(SyntaxFailure) -> Identifier
  {
    guard current.kind == .name else { throw failure(message, current.span) }
    let name = Identifier(mangled(text(current)), current.span)
    try advance()
    return name
  }

  // MARK: - Statements

  mutating func program() throws(SyntaxFailure) -> [Stmt] {
    var statements: [Stmt] = []
    while current.kind != .endOfFile {
      if current.kind == .newline {
        try advance()
        continue
      }
      try statement(into: &statements)
    }
    return statements
  }

  mutating func statement(into statements: inout [Stmt]) throws(SyntaxFailure) {
    let start = current.start
    switch current.kind {
    case .kIf: statements.append(try ifStatement("if"))
    case .kWhile: statements.append(try whileStatement())
    case .kFor: statements.append(try forStatement())
    case .kTry: statements.append(try tryStatement())
    case .kWith: statements.append(try withStatement())
    case .kDef: statements.append(try functionDefinition(decorators: [], start))
    case .kClass: statements.append(try classDefinition(decorators: [], start))
    case .at: statements.append(try decorated())
    case .kAsync, .indent: throw invalidSyntax()
    default: try simpleStatements(into: &statements)
    }
  }

  mutating func simpleStatements(into statements: inout [Stmt]) throws(SyntaxFailure) {
    while true {
      statements.append(try simpleStatement())
      if try accept(.semicolon) {
        if current.kind == .newline || current.kind == .endOfFile { break }
        continue
      }
      break
    }
    if current.kind == .endOfFile { return }
    guard current.kind == .newline else { throw trailingTokens(after: statements.last) }
    try advance()
  }

  /// Says what two adjacent expressions most likely were meant to be.
  private func trailingTokens(after statement: Stmt?) -> SyntaxFailure {
    guard let statement, case .expression(let expression) = statement.kind,
      startsExpression(current.kind)
    else { return invalidSyntax() }
    if case .name(let name) = expression.kind {
      if name == "print" || name == "exec" {
        return failure(
          "Missing parentheses in call to '\(name)'. Did you mean \(name)(...)?",
          Span(expression.span, current.span))
      }
      if name == "match" || name == "type" {
        return failure("'\(name)' statements are not part of the language", expression.span)
      }
    }
    return invalidSyntax()
  }

  func startsExpression(_ kind: TokenKind) -> Bool {
    switch kind {
    case .name, .int, .float, .imaginary, .string, .bytes, .fStringStart, .kNone, .kTrue, .kFalse:
      true
    default: false
    }
  }

  private mutating func simpleStatement() throws(SyntaxFailure) -> Stmt {
    let start = current.start
    switch current.kind {
    case .kPass:
      try advance()
      return Stmt(.pass, span(from: start))
    case .kBreak:
      try advance()
      return Stmt(.break, span(from: start))
    case .kContinue:
      try advance()
      return Stmt(.continue, span(from: start))
    case .kReturn:
      try advance()
      let value = endsStatement ? nil : try starExpressions()
      return Stmt(.return(value), span(from: start))
    case .kRaise:
      try advance()
      if endsStatement { return Stmt(.raise(nil, cause: nil), span(from: start)) }
      let value = try expression()
      let cause = try accept(.kFrom) ? try expression() : nil
      return Stmt(.raise(value, cause: cause), span(from: start))
    case .kAssert:
      try advance()
      let test = try expression()
      let message = try accept(.comma) ? try expression() : nil
      return Stmt(.assert(test, message: message), span(from: start))
    case .kGlobal, .kNonlocal:
      let isGlobal = current.kind == .kGlobal
      try advance()
      var names = [try identifier()]
      while try accept(.comma) { names.append(try identifier()) }
      return Stmt(isGlobal ? .global(names) : .nonlocal(names), span(from: start))
    case .kDel:
      try advance()
      var targets: [Expr] = []
      repeat {
        if endsStatement { break }
        let target = try binary(0)
        try checkTarget(target, .delete)
        targets.append(target)
      } while try accept(.comma)
      if targets.isEmpty { throw invalidSyntax() }
      return Stmt(.delete(targets), span(from: start))
    case .kImport: return try importStatement()
    case .kFrom: return try importFrom()
    default: return try expressionStatement()
    }
  }

  private var endsStatement: Bool {
    current.kind == .newline || current.kind == .semicolon || current.kind == .endOfFile
  }

  private mutating func expressionStatement() throws(SyntaxFailure) -> Stmt {
    let start = current.start
    let first = try current.kind == .kYield ? yieldExpression() : starExpressions()
    switch current.kind {
    case .assign:
      var targets: [Expr] = []
      var value = first
      while try accept(.assign) {
        try checkTarget(value, .assign)
        targets.append(value)
        value = try current.kind == .kYield ? yieldExpression() : starExpressions()
      }
      return Stmt(.assign(targets: targets, value: value), span(from: start))
    case .augmented:
      let op = current.augmentedOperator
      try checkTarget(first, .augmented)
      try advance()
      let value = try current.kind == .kYield ? yieldExpression() : starExpressions()
      return Stmt(.augmentedAssign(target: first, op, value: value), span(from: start))
    case .colon:
      switch first.kind {
      case .name, .attribute, .subscript: break
      case .tuple, .list:
        throw failure("only single target (not tuple) can be annotated", first.span)
      default: throw failure("illegal target for annotation", first.span)
      }
      try advance()
      let annotation = try expression()
      var value: Expr?
      if try accept(.assign) {
        value = try current.kind == .kYield ? yieldExpression() : starExpressions()
      }
      return Stmt(
        .annotatedAssign(target: first, annotation: annotation, value: value), span(from: start))
    default:
      if case .starred = first.kind {
        throw failure("can't use starred expression here", first.span)
      }
      return Stmt(.expression(first), span(from: start))
    }
  }

  enum TargetUse { case assign, augmented, delete, forLoop, with }

  /// Refuses what cannot be assigned to or deleted, in CPython's words.
  func checkTarget(_ target: Expr, _ use: TargetUse, inside: Bool = false) throws(SyntaxFailure) {
    switch target.kind {
    case .name, .attribute, .subscript: return
    case .tuple(let elements) where use != .augmented,
      .list(let elements) where use != .augmented:
      var stars = 0
      for element in elements {
        if case .starred = element.kind { stars += 1 }
        try checkTarget(element, use, inside: true)
      }
      if stars > 1 {
        throw failure("multiple starred expressions in assignment", target.span)
      }
    case .starred(let inner) where use != .delete && use != .augmented:
      guard inside else {
        throw failure("starred assignment target must be in a list or tuple", target.span)
      }
      try checkTarget(inner, use, inside: true)
    default:
      let what = describe(target)
      switch use {
      case .delete: throw failure("cannot delete \(what)", target.span)
      case .augmented:
        throw failure("'\(what)' is an illegal expression for augmented assignment", target.span)
      case .assign where !inside:
        throw failure(
          "cannot assign to \(what) here. Maybe you meant '==' instead of '='?", target.span)
      default: throw failure("cannot assign to \(what)", target.span)
      }
    }
  }

  private func describe(_ expression: Expr) -> String {
    switch expression.kind {
    case .constant(let constant):
      switch constant {
      case .none: return "None"
      case .bool(let value): return value ? "True" : "False"
      case .ellipsis: return "ellipsis"
      default: return "literal"
      }
    case .tuple: return "tuple"
    case .list: return "list"
    case .set: return "set display"
    case .dict: return "dict literal"
    case .unary, .binary, .boolean: return "expression"
    case .compare: return "comparison"
    case .conditional: return "conditional expression"
    case .call: return "function call"
    case .lambda: return "lambda"
    case .listComprehension: return "list comprehension"
    case .setComprehension: return "set comprehension"
    case .dictComprehension: return "dict comprehension"
    case .generatorExpression: return "generator expression"
    case .formatted: return "f-string expression"
    case .yield, .yieldFrom: return "yield expression"
    case .walrus: return "named expression"
    case .starred: return "starred"
    default: return "expression"
    }
  }

  // MARK: - Imports

  private mutating func dottedName() throws(SyntaxFailure) -> Identifier {
    let first = try identifier()
    var name = first.name
    while try accept(.dot) { name += "." + (try identifier()).name }
    return Identifier(name, span(from: Int(first.span.start)))
  }

  private mutating func importStatement() throws(SyntaxFailure) -> Stmt {
    let start = current.start
    try advance()
    var names: [ImportAlias] = []
    repeat {
      let name = try dottedName()
      names.append(ImportAlias(name: name, alias: try accept(.kAs) ? try identifier() : nil))
    } while try accept(.comma)
    return Stmt(.import(names), span(from: start))
  }

  private mutating func importFrom() throws(SyntaxFailure) -> Stmt {
    let start = current.start
    try advance()
    var level = 0
    while current.kind == .dot || current.kind == .ellipsis {
      level += current.kind == .dot ? 1 : 3
      try advance()
    }
    let module = level > 0 && current.kind == .kImport ? "" : (try dottedName()).name
    try expect(.kImport, "invalid syntax")
    if try accept(.star) {
      return Stmt(.importFrom(module: module, level: level, []), span(from: start))
    }
    let parenthesised = try accept(.leftParen)
    var names: [ImportAlias] = []
    repeat {
      if parenthesised && current.kind == .rightParen { break }
      if !parenthesised && current.kind == .newline && !names.isEmpty {
        throw failure(
          "trailing comma not allowed without surrounding parentheses", current.span)
      }
      let name = try identifier()
      names.append(ImportAlias(name: name, alias: try accept(.kAs) ? try identifier() : nil))
    } while try accept(.comma)
    if names.isEmpty { throw invalidSyntax() }
    if parenthesised { try expect(.rightParen, "invalid syntax") }
    return Stmt(.importFrom(module: module, level: level, names), span(from: start))
  }

  // MARK: - Compound statements

  /// `:` and a block, either on the same line or indented.
  private mutating func block(_ owner: String, _ ownerStart: Int) throws(SyntaxFailure) -> [Stmt] {
    try expect(.colon, "expected ':'")
    return try nested { (parser) throws(SyntaxFailure) in
      var statements: [Stmt] = []
      guard parser.current.kind == .newline else {
        try parser.simpleStatements(into: &statements)
        return statements
      }
      try parser.advance()
      guard parser.current.kind == .indent else {
        throw parser.failure(
          "expected an indented block after \(owner) on line \(parser.lexer.line(of: ownerStart))",
          parser.current.span, kind: "IndentationError")
      }
      try parser.advance()
      while parser.current.kind != .dedent && parser.current.kind != .endOfFile {
        if parser.current.kind == .newline {
          try parser.advance()
          continue
        }
        try parser.statement(into: &statements)
      }
      _ = try parser.accept(.dedent)
      return statements
    }
  }

  private mutating func ifStatement(_ keyword: String) throws(SyntaxFailure) -> Stmt {
    // The elif chain is read in a loop and folded from the right.
    var branches: [(start: Int, test: Expr, body: [Stmt])] = []
    var orElse: [Stmt] = []
    var keyword = keyword
    while true {
      let start = current.start
      try advance()
      let test = try namedExpression()
      branches.append((start, test, try block("'\(keyword)' statement", start)))
      if branches.count > Parser.maximumChain { throw failure("too many branches", test.span) }
      keyword = "elif"
      if current.kind != .kElif { break }
    }
    if current.kind == .kElse {
      let start = current.start
      try advance()
      orElse = try block("'else' statement", start)
    }
    while let last = branches.popLast() {
      let statement = Stmt(
        .if(test: last.test, body: last.body, orElse: orElse), span(from: last.start))
      if branches.isEmpty { return statement }
      orElse = [statement]
    }
    throw invalidSyntax()
  }

  private mutating func elseBlock() throws(SyntaxFailure) -> [Stmt] {
    guard current.kind == .kElse else { return [] }
    let start = current.start
    try advance()
    return try block("'else' statement", start)
  }

  private mutating func whileStatement() throws(SyntaxFailure) -> Stmt {
    let start = current.start
    try advance()
    let test = try namedExpression()
    let body = try block("'while' statement", start)
    let orElse = try elseBlock()
    return Stmt(.while(test: test, body: body, orElse: orElse), span(from: start))
  }

  private mutating func forStatement() throws(SyntaxFailure) -> Stmt {
    let start = current.start
    try advance()
    let target = try targetList(.forLoop)
    try expect(.kIn, "invalid syntax")
    let iterable = try starExpressions()
    let body = try block("'for' statement", start)
    let orElse = try elseBlock()
    return Stmt(
      .for(target: target, iterable: iterable, body: body, orElse: orElse), span(from: start))
  }

  /// Targets of `for`: `a`, `a, b`, `(a, *b)`; they bind tighter than `in`.
  mutating func targetList(_ use: TargetUse) throws(SyntaxFailure) -> Expr {
    let start = current.start
    let first = try starTarget()
    guard current.kind == .comma else {
      try checkTarget(first, use)
      return first
    }
    var elements = [first]
    while try accept(.comma) {
      if current.kind == .kIn || current.kind == .assign { break }
      elements.append(try starTarget())
    }
    let tuple = Expr(.tuple(elements), span(from: start))
    try checkTarget(tuple, use)
    return tuple
  }

  private mutating func starTarget() throws(SyntaxFailure) -> Expr {
    let start = current.start
    if try accept(.star) {
      return Expr(.starred(try binary(0)), span(from: start))
    }
    return try binary(0)
  }

  private mutating func tryStatement() throws(SyntaxFailure) -> Stmt {
    let start = current.start
    try advance()
    let body = try block("'try' statement", start)
    var handlers: [ExceptHandler] = []
    while current.kind == .kExcept {
      let handlerStart = current.start
      try advance()
      if current.kind == .star {
        throw failure("'except*' is not part of the language", current.span)
      }
      if let last = handlers.last, last.type == nil {
        throw failure("default 'except:' must be last", last.span)
      }
      var type: Expr?
      var name: Identifier?
      if current.kind != .colon {
        type = try expression()
        if current.kind == .comma {
          throw failure("multiple exception types must be parenthesized", current.span)
        }
        if try accept(.kAs) { name = try identifier() }
      }
      let handlerBody = try block("'except' statement", handlerStart)
      handlers.append(
        ExceptHandler(type: type, name: name, body: handlerBody, span: span(from: handlerStart)))
    }
    var orElse: [Stmt] = []
    var finally: [Stmt] = []
    if !handlers.isEmpty { orElse = try elseBlock() }
    if current.kind == .kFinally {
      let finallyStart = current.start
      try advance()
      finally = try block("'finally' statement", finallyStart)
    } else if handlers.isEmpty {
      throw failure("expected 'except' or 'finally' block", current.span)
    }
    return Stmt(
      .try(body: body, handlers: handlers, orElse: orElse, finally: finally), span(from: start))
  }

  private mutating func withStatement() throws(SyntaxFailure) -> Stmt {
    let start = current.start
    try advance()
    // `with (a as b, c as d):` and `with (a, b)[0] as c:` begin alike; try the first, else go back.
    if current.kind == .leftParen {
      let saved = self
      if let items = try? parenthesisedWithItems() {
        let body = try block("'with' statement", start)
        return Stmt(.with(items: items, body: body), span(from: start))
      }
      self = saved
    }
    var items: [(context: Expr, target: Expr?)] = []
    repeat { items.append(try withItem()) } while try accept(.comma)
    let body = try block("'with' statement", start)
    return Stmt(.with(items: items, body: body), span(from: start))
  }

  private mutating func withItem() throws(SyntaxFailure) -> (context: Expr, target: Expr?) {
    let context = try expression()
    guard try accept(.kAs) else { return (context, nil) }
    let target = try starTarget()
    try checkTarget(target, .with)
    return (context, target)
  }

  private mutating func parenthesisedWithItems() throws(SyntaxFailure) -> [(
    context: Expr, target: Expr?
  )]? {
    try advance()
    var items: [(context: Expr, target: Expr?)] = []
    repeat {
      if current.kind == .rightParen { break }
      items.append(try withItem())
    } while try accept(.comma)
    guard !items.isEmpty, try accept(.rightParen), current.kind == .colon else {
      throw invalidSyntax()
    }
    return items
  }

  // MARK: - Definitions

  private mutating func decorated() throws(SyntaxFailure) -> Stmt {
    let start = current.start
    var decorators: [Expr] = []
    while try accept(.at) {
      decorators.append(try namedExpression())
      try expect(.newline, "invalid syntax")
      while current.kind == .newline { try advance() }
    }
    switch current.kind {
    case .kDef: return try functionDefinition(decorators: decorators, start)
    case .kClass: return try classDefinition(decorators: decorators, start)
    default: throw invalidSyntax()
    }
  }

  private mutating func functionDefinition(decorators: [Expr], _ start: Int) throws(SyntaxFailure)
    -> Stmt
  {
    let defStart = current.start
    try advance()
    let name = try identifier()
    if current.kind == .leftBracket {
      throw failure("type parameters are not part of the language", current.span)
    }
    try expect(.leftParen, "expected '('")
    let parameters = try parameterList(until: .rightParen, annotated: true)
    try expect(.rightParen, "invalid syntax")
    let annotation = try accept(.arrow) ? try expression() : nil
    let body = try block("function definition", defStart)
    let definition = FunctionDefinition(
      name: name, parameters: parameters, body: body, decorators: decorators,
      returnAnnotation: annotation, span: span(from: defStart))
    return Stmt(.function(definition), span(from: start))
  }

  private mutating func classDefinition(decorators: [Expr], _ start: Int) throws(SyntaxFailure)
    -> Stmt
  {
    let classStart = current.start
    try advance()
    let name = try identifier()
    var arguments: [Argument] = []
    if try accept(.leftParen) { arguments = try callArguments() }
    classNames.append(name.name)
    let body = try block("class definition", classStart)
    classNames.removeLast()
    let definition = ClassDefinition(
      name: name, arguments: arguments, body: body, decorators: decorators,
      span: span(from: classStart))
    return Stmt(.class(definition), span(from: start))
  }

  /// Parameters of a `def` (annotated) or a `lambda`.
  mutating func parameterList(until end: TokenKind, annotated: Bool) throws(SyntaxFailure)
    -> Parameters
  {
    var parameters = Parameters()
    var names: Set<String> = []
    var sawStar = false
    var sawDefault = false
    func fresh(_ name: Identifier) throws(SyntaxFailure) {
      if !names.insert(name.name).inserted {
        throw failure(
          "duplicate argument '\(name.name)' in function definition", name.span)
      }
    }
    while current.kind != end {
      let start = current.span
      if parameters.keywords != nil {
        throw failure("arguments cannot follow var-keyword argument", start)
      }
      if try accept(.slash) {
        if sawStar { throw failure("/ must be ahead of *", start) }
        if !parameters.positionalOnly.isEmpty { throw failure("/ may appear only once", start) }
        if parameters.positional.isEmpty {
          throw failure("at least one argument must precede /", start)
        }
        parameters.positionalOnly = parameters.positional
        parameters.positional = []
      } else if try accept(.star) {
        if sawStar { throw failure("* argument may appear only once", start) }
        sawStar = true
        if current.kind == .comma {
          try advance()
          if current.kind == end || current.kind == .doubleStar {
            throw failure("named arguments must follow bare *", start)
          }
          continue
        }
        if current.kind == end { throw failure("named arguments must follow bare *", start) }
        let rest = try parameter(annotated: annotated, defaultAllowed: false)
        try fresh(rest.name)
        parameters.rest = rest
      } else if try accept(.doubleStar) {
        let keywords = try parameter(annotated: annotated, defaultAllowed: false)
        try fresh(keywords.name)
        parameters.keywords = keywords
      } else {
        let one = try parameter(annotated: annotated, defaultAllowed: true)
        try fresh(one.name)
        if sawStar {
          parameters.keywordOnly.append(one)
        } else {
          if one.defaultValue != nil {
            sawDefault = true
          } else if sawDefault {
            throw failure("parameter without a default follows parameter with a default", start)
          }
          parameters.positional.append(one)
        }
      }
      if current.kind != end { try expect(.comma, "invalid syntax") }
    }
    return parameters
  }

  private mutating func parameter(annotated: Bool, defaultAllowed: Bool) throws(SyntaxFailure)
    -> Parameter
  {
    let name = try identifier()
    var annotation: Expr?
    if annotated, try accept(.colon) {
      // `*args: *Ts` is legal in Python; the annotation is never evaluated.
      _ = try accept(.star)
      annotation = try expression()
    }
    var defaultValue: Expr?
    if current.kind == .assign {
      if !defaultAllowed {
        throw failure("var-positional argument cannot have default value", current.span)
      }
      try advance()
      defaultValue = try expression()
    }
    return Parameter(name: name, annotation: annotation, defaultValue: defaultValue)
  }
}
