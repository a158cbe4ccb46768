// Running a template.
//
// A tree walk with scopes linked to the scope around them: loops, macros, `with` and captured
// blocks open one, `if` does not, and `set` writes to the innermost, as in Jinja.
//
// A template is data from a stranger, so everything is counted: steps (also those inside
// filters, in proportion to the values they make), output and intermediate text, recursion.
// Nothing outside the values passed in can be reached.

import Formats
import Glibc

/// The bounds of one rendering.
public struct JinjaLimits: Sendable {
  /// Nodes evaluated, plus one for every 16 bytes or every element that a value takes.
  public var steps = 4_000_000
  /// Bytes of output, and of any one string.
  public var outputBytes = 16_000_000
  /// Nested evaluations.
  public var depth = 600
  public init() {}
}

final class JinjaScope {
  var values: [String: JinjaValue]
  let parent: JinjaScope?

  init(_ values: [String: JinjaValue] = [:], parent: JinjaScope? = nil) {
    self.values = values
    self.parent = parent
  }

  func lookup(_ name: String) -> JinjaValue? {
    var scope: JinjaScope? = self
    while let current = scope {
      if let value = current.values[name] { return value }
      scope = current.parent
    }
    return nil
  }
}

final class JinjaMacro {
  let name: String
  let definition: JinjaMacroDefinition
  /// Cleared when the rendering ends, because scope and macro hold each other.
  var scope: JinjaScope?

  init(_ definition: JinjaMacroDefinition, scope: JinjaScope) {
    name = definition.name
    self.definition = definition
    self.scope = scope
  }
}

struct JinjaCallArguments {
  var positional: [JinjaValue] = []
  var named: [(name: String, value: JinjaValue)] = []

  func named(_ name: String) -> JinjaValue? { named.first { $0.name == name }?.value }

  /// The argument at a position, or by its name.
  func get(_ index: Int, _ name: String) -> JinjaValue? {
    index < positional.count ? positional[index] : named(name)
  }
}

final class JinjaInterpreter {
  private enum Flow { case normal, break_, continue_ }

  private let source: String
  private let limits: JinjaLimits
  private var steps = 0
  private var depth = 0
  private var loopLevel = 0
  private var output: [UInt8] = []
  var line = 1
  private var namespaces: [JinjaNamespace] = []
  private var macros: [JinjaMacro] = []

  init(source: String, limits: JinjaLimits) {
    self.source = source
    self.limits = limits
  }

  deinit {
    // Break the cycles, one by one, so that freeing does not recurse.
    for macro in macros { macro.scope = nil }
    for namespace in namespaces { namespace.attributes = [:] }
  }

  func render(
    _ body: [JinjaStatement], variables: [String: JinjaValue]
  ) throws(TextError) -> String {
    let globals: [String: JinjaValue] = Dictionary(
      uniqueKeysWithValues: Self.functions.map { ($0, .function($0)) })
    let scope = JinjaScope(variables, parent: JinjaScope(globals))
    do throws(TextError) {
      _ = try run(body, scope)
    } catch {
      var error = error
      if error.source.isEmpty { error.source = source }
      if error.field.isEmpty { error.field = "line \(line)" }
      throw error
    }
    return String(decoding: output, as: UTF8.self)
  }

  // MARK: accounting

  func step(_ count: Int = 1) throws(TextError) {
    steps += min(max(count, 0), 1 << 40)
    guard steps <= limits.steps else {
      throw TextError(
        .limit, source: source, field: "line \(line)",
        found: "the template does not end within \(limits.steps) steps")
    }
  }

  private func enter() throws(TextError) {
    depth += 1
    guard depth <= limits.depth else {
      throw TextError(
        .limit, source: source, field: "line \(line)",
        found: "recursion deeper than \(limits.depth) levels")
    }
    try step()
  }

  /// A new string, counted.
  func make(_ text: String) throws(TextError) -> JinjaValue {
    try checkSize(text.utf8.count)
    return .string(text)
  }

  func checkSize(_ byteCount: Int) throws(TextError) {
    guard byteCount <= limits.outputBytes else {
      throw TextError(
        .limit, source: source, field: "line \(line)",
        found: "a text of more than \(limits.outputBytes) bytes")
    }
    try step(byteCount / 16)
  }

  func makeList(_ items: [JinjaValue], isTuple: Bool = false) throws(TextError) -> JinjaValue {
    try step(items.count)
    return try .list(items, isTuple: isTuple)
  }

  func failure(_ found: String) -> TextError {
    TextError(.rendering, source: source, field: "line \(line)", found: found)
  }

  // MARK: statements

  private func emit(_ text: String) throws(TextError) {
    try step(text.utf8.count / 16)
    guard output.count + text.utf8.count <= limits.outputBytes else {
      throw TextError(
        .limit, source: source, field: "line \(line)",
        found: "more than \(limits.outputBytes) bytes of output")
    }
    output.append(contentsOf: text.utf8)
  }

  private func run(_ body: [JinjaStatement], _ scope: JinjaScope) throws(TextError) -> Flow {
    try enter()
    defer { depth -= 1 }
    for statement in body {
      line = statement.line
      let flow = try run(statement, scope)
      if flow != .normal { return flow }
    }
    return .normal
  }

  private func run(_ statement: JinjaStatement, _ scope: JinjaScope) throws(TextError) -> Flow {
    try step()
    switch statement.kind {
    case .text(let text): try emit(text)
    case .output(let expression): try emit(try evaluate(expression, scope).text)
    case .if_(let branches, let otherwise):
      for (condition, body) in branches where try evaluate(condition, scope).isTrue {
        return try run(body, scope)
      }
      return try run(otherwise, scope)
    case .for_(let loop): try run(loop, scope)
    case .set(let target, let expression):
      try assign(target, try evaluate(expression, scope), scope)
    case .setBlock(let target, let filters, let body):
      let text = try capture(body, JinjaScope(parent: scope))
      try assign(target, try apply(filters, to: make(text), scope), scope)
    case .macro(let definition): scope.values[definition.name] = macro(definition, scope)
    case .call(let definition, let call):
      guard case .call(let callee, let arguments) = call else { break }
      var values = try self.arguments(arguments, scope)
      values.named.append(("caller", macro(definition, scope)))
      try emit(try self.call(try evaluate(callee, scope), values).text)
    case .filter(let filters, let body):
      let text = try capture(body, JinjaScope(parent: scope))
      try emit(try apply(filters, to: make(text), scope).text)
    case .with(let bindings, let body):
      let inner = JinjaScope(parent: scope)
      for (target, expression) in bindings {
        try assign(target, try evaluate(expression, scope), inner)
      }
      return try run(body, inner)
    case .group(let body): return try run(body, scope)
    case .do_(let expression): _ = try evaluate(expression, scope)
    case .break_: return .break_
    case .continue_: return .continue_
    }
    return .normal
  }

  private func run(_ loop: JinjaForLoop, _ scope: JinjaScope) throws(TextError) {
    var items = try iterate(try evaluate(loop.iterable, scope))
    if let condition = loop.condition {
      var kept: [JinjaValue] = []
      for item in items {
        let inner = JinjaScope(parent: scope)
        try assign(loop.target, item, inner)
        if try evaluate(condition, inner).isTrue { kept.append(item) }
      }
      items = kept
    }
    guard !items.isEmpty else {
      _ = try run(loop.otherwise, scope)
      return
    }
    let state = JinjaLoop(items: items, level: loopLevel)
    loopLevel += 1
    defer { loopLevel -= 1 }
    for (index, item) in items.enumerated() {
      state.index = index
      let inner = JinjaScope(["loop": .loop(state)], parent: scope)
      try assign(loop.target, item, inner)
      if try run(loop.body, inner) == .break_ { break }
    }
  }

  private func assign(
    _ target: JinjaTarget, _ value: JinjaValue, _ scope: JinjaScope
  ) throws(TextError) {
    switch target {
    case .name(let name): scope.values[name] = value
    case .attribute(let name, let attribute):
      guard case .namespace(let namespace)? = scope.lookup(name) else {
        throw failure("cannot assign to '\(name).\(attribute)': '\(name)' is no namespace")
      }
      namespace.attributes[attribute] = value
    case .tuple(let targets):
      let items = try iterate(value)
      guard items.count == targets.count else {
        throw failure("cannot unpack \(items.count) values into \(targets.count) names")
      }
      for (target, item) in zip(targets, items) { try assign(target, item, scope) }
    }
  }

  private func capture(
    _ body: [JinjaStatement], _ scope: JinjaScope
  ) throws(TextError) -> String {
    let outer = output
    output = []
    defer { output = outer }
    _ = try run(body, scope)
    return String(decoding: output, as: UTF8.self)
  }

  private func macro(_ definition: JinjaMacroDefinition, _ scope: JinjaScope) -> JinjaValue {
    let macro = JinjaMacro(definition, scope: scope)
    macros.append(macro)
    return .macro(macro)
  }

  private func apply(
    _ filters: [(String, JinjaArguments)], to value: JinjaValue, _ scope: JinjaScope
  ) throws(TextError) -> JinjaValue {
    var value = value
    for (name, arguments) in filters {
      value = try filter(name, value, try self.arguments(arguments, scope))
    }
    return value
  }

  // MARK: expressions

  func evaluate(
    _ expression: JinjaExpression, _ scope: JinjaScope
  ) throws(TextError) -> JinjaValue {
    try enter()
    defer { depth -= 1 }
    switch expression {
    case .literal(let literal):
      switch literal {
      case .none: return .none
      case .bool(let value): return .bool(value)
      case .int(let value): return .int(value)
      case .double(let value): return .double(value)
      case .string(let text): return .string(text)
      }
    case .name(let name): return scope.lookup(name) ?? .undefined("'\(name)' is undefined")
    case .list(let items): return try makeList(try evaluate(items, scope))
    case .tuple(let items): return try makeList(try evaluate(items, scope), isTuple: true)
    case .dict(let pairs):
      var values: [(JinjaValue, JinjaValue)] = []
      for (key, value) in pairs {
        values.append((try evaluate(key, scope), try evaluate(value, scope)))
      }
      try step(values.count * values.count / 8)
      return try .dict(values)
    case .attribute(let base, let name):
      return try attribute(try evaluate(base, scope), name)
    case .subscript_(let base, let index):
      return try subscripted(try evaluate(base, scope), try evaluate(index, scope))
    case .slice(let base, let start, let stop, let stride):
      return try slice(try evaluate(base, scope), start, stop, stride, scope)
    case .call(let callee, let arguments):
      return try call(try evaluate(callee, scope), try self.arguments(arguments, scope))
    case .filter(let base, let name, let arguments):
      return try filter(name, try evaluate(base, scope), try self.arguments(arguments, scope))
    case .test(let base, let name, let arguments, let negated):
      let value = try evaluate(base, scope)
      let holds = try check(name, value, try self.arguments(arguments, scope))
      return .bool(holds != negated)
    case .unary(let symbol, let operand):
      return try unary(symbol, try evaluate(operand, scope))
    case .binary("and", let left, let right):
      let value = try evaluate(left, scope)
      return value.isTrue ? try evaluate(right, scope) : value
    case .binary("or", let left, let right):
      let value = try evaluate(left, scope)
      return value.isTrue ? value : try evaluate(right, scope)
    case .binary(let symbol, let left, let right):
      return try binary(symbol, try evaluate(left, scope), try evaluate(right, scope))
    case .comparison(let first, let rest):
      var left = try evaluate(first, scope)
      for (symbol, operand) in rest {
        let right = try evaluate(operand, scope)
        if !(try compare(symbol, left, right)) { return .bool(false) }
        left = right
      }
      return .bool(true)
    case .conditional(let then, let condition, let otherwise):
      if try evaluate(condition, scope).isTrue { return try evaluate(then, scope) }
      guard let otherwise else { return .undefined("the inline if has no else") }
      return try evaluate(otherwise, scope)
    }
  }

  private func evaluate(
    _ expressions: [JinjaExpression], _ scope: JinjaScope
  ) throws(TextError) -> [JinjaValue] {
    var values: [JinjaValue] = []
    for expression in expressions { values.append(try evaluate(expression, scope)) }
    return values
  }

  private func arguments(
    _ arguments: JinjaArguments, _ scope: JinjaScope
  ) throws(TextError) -> JinjaCallArguments {
    var values = JinjaCallArguments(positional: try evaluate(arguments.positional, scope))
    for (name, expression) in arguments.named {
      values.named.append((name, try evaluate(expression, scope)))
    }
    return values
  }

  private func slice(
    _ base: JinjaValue, _ start: JinjaExpression?, _ stop: JinjaExpression?,
    _ stride: JinjaExpression?, _ scope: JinjaScope
  ) throws(TextError) -> JinjaValue {
    func bound(_ expression: JinjaExpression?) throws(TextError) -> Int? {
      guard let expression else { return nil }
      let value = try evaluate(expression, scope)
      if case .none = value { return nil }
      guard let index = value.integer else {
        throw failure("slice indices must be integers, not \(value.typeName)")
      }
      return index
    }
    let from = try bound(start)
    let to = try bound(stop)
    let by = try bound(stride) ?? 1
    guard by != 0 else { throw failure("slice step cannot be zero") }
    switch base {
    case .string(let text):
      let scalars = Array(text.unicodeScalars)
      let indices = Self.sliceIndices(scalars.count, from, to, by)
      var out = String.UnicodeScalarView()
      for index in indices { out.append(scalars[index]) }
      return try make(String(out))
    case .list(let list):
      let indices = Self.sliceIndices(list.items.count, from, to, by)
      return try makeList(indices.map { list.items[$0] }, isTuple: list.isTuple)
    case .undefined(let reason): throw failure(reason)
    default: throw failure("'\(base.typeName)' object cannot be sliced")
    }
  }

  /// The indices of Python's `[from:to:by]`.
  static func sliceIndices(_ count: Int, _ from: Int?, _ to: Int?, _ by: Int) -> [Int] {
    func clamp(_ index: Int?, _ standard: Int, _ low: Int, _ high: Int) -> Int {
      guard let index else { return standard }
      let positive = index < 0 ? index.addingReportingOverflow(count).partialValue : index
      return min(max(index < 0 && positive > 0 && index == .min ? low : positive, low), high)
    }
    let by = max(min(by, count + 1), -count - 1)
    if by > 0 {
      let start = clamp(from, 0, 0, count)
      let end = clamp(to, count, 0, count)
      return start < end ? Array(stride(from: start, to: end, by: by)) : []
    }
    let start = clamp(from, count - 1, -1, count - 1)
    let end = clamp(to, -1, -1, count - 1)
    return start > end ? Array(stride(from: start, to: end, by: by)) : []
  }

  // MARK: calls

  private static let functions = [
    "range", "namespace", "dict", "cycler", "joiner", "raise_exception", "strftime_now",
  ]

  func call(
    _ callee: JinjaValue, _ arguments: JinjaCallArguments
  ) throws(TextError) -> JinjaValue {
    switch callee {
    case .macro(let macro): return try call(macro, arguments)
    case .method(let receiver, let name): return try method(receiver, name, arguments)
    case .function(let name): return try function(name, arguments)
    case .cycler(let cycler) where cycler.isJoiner:
      defer { cycler.index = 1 }
      return cycler.index == 0 ? .emptyString : cycler.items[0]
    case .undefined(let reason): throw failure(reason)
    default: throw failure("'\(callee.typeName)' object is not callable")
    }
  }

  private func call(
    _ macro: JinjaMacro, _ arguments: JinjaCallArguments
  ) throws(TextError) -> JinjaValue {
    guard let outer = macro.scope else { throw failure("the macro is not available any more") }
    let parameters = macro.definition.parameters
    guard arguments.positional.count <= parameters.count else {
      throw failure(
        "macro '\(macro.name)' takes not more than \(parameters.count) argument(s)")
    }
    let scope = JinjaScope(parent: outer)
    for (name, value) in arguments.named {
      guard name == "caller" || parameters.contains(where: { $0.name == name }) else {
        throw failure("macro '\(macro.name)' takes no keyword argument '\(name)'")
      }
      scope.values[name] = value
    }
    for (index, parameter) in parameters.enumerated() {
      if index < arguments.positional.count {
        scope.values[parameter.name] = arguments.positional[index]
      } else if scope.values[parameter.name] == nil {
        if let standard = parameter.standard {
          scope.values[parameter.name] = try evaluate(standard, scope)
        } else {
          scope.values[parameter.name] = .undefined(
            "parameter '\(parameter.name)' was not provided")
        }
      }
    }
    let callLine = line
    defer { line = callLine }
    return try make(try capture(macro.definition.body, scope))
  }

  private func function(
    _ name: String, _ arguments: JinjaCallArguments
  ) throws(TextError) -> JinjaValue {
    switch name {
    case "range":
      let bounds = arguments.positional.compactMap(\.integer)
      guard bounds.count == arguments.positional.count, (1...3).contains(bounds.count) else {
        throw failure("range takes 1 to 3 integers")
      }
      let start = bounds.count == 1 ? 0 : bounds[0]
      let end = bounds.count == 1 ? bounds[0] : bounds[1]
      let by = bounds.count == 3 ? bounds[2] : 1
      guard bounds.allSatisfy({ $0 > -(1 << 60) && $0 < 1 << 60 }) else {
        throw failure("range() bounds are too large")
      }
      guard by != 0 else { throw failure("range() arg 3 must not be zero") }
      var values: [JinjaValue] = []
      for value in stride(from: start, to: end, by: by) {
        values.append(.int(value))
        guard values.count <= 100_000 else { throw failure("range of more than 100000 values") }
      }
      return try makeList(values)
    case "namespace", "dict":
      var pairs: [(JinjaValue, JinjaValue)] = []
      if let first = arguments.positional.first {
        guard case .dict(let dict) = first else { throw failure("\(name) takes a mapping") }
        pairs = Array(zip(dict.keys, dict.values))
      }
      pairs += arguments.named.map { (.string($0.name), $0.value) }
      guard name == "namespace" else { return try .dict(pairs) }
      let attributes = pairs.map { ($0.0.text, $0.1) }
      let namespace = JinjaNamespace(Dictionary(attributes, uniquingKeysWith: { $1 }))
      namespaces.append(namespace)
      return .namespace(namespace)
    case "cycler":
      guard !arguments.positional.isEmpty else { throw failure("cycler takes at least one item") }
      return .cycler(JinjaCycler(arguments.positional))
    case "joiner":
      let separator = arguments.get(0, "sep") ?? .string(", ")
      return .cycler(JinjaCycler([separator], isJoiner: true))
    case "raise_exception":
      throw TextError(
        .raised, source: source, field: "line \(line)",
        found: arguments.get(0, "message")?.text ?? "")
    case "strftime_now":
      return try make(try formattedNow(arguments.get(0, "format")?.text ?? "%d %b %Y"))
    default: throw failure("unknown function '\(name)'")
    }
  }

  private func formattedNow(_ format: String) throws(TextError) -> String {
    guard !format.isEmpty else { return "" }
    var now = time(nil)
    var parts = tm()
    guard localtime_r(&now, &parts) != nil else { throw failure("the time is not known") }
    var buffer = [CChar](repeating: 0, count: 512)
    let count = strftime(&buffer, buffer.count, format, &parts)
    return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
