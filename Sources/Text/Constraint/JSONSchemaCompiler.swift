// JSON schemas (draft 2020-12) as grammars.
//
// A schema becomes rules that write its values in one way: the members of an object in the order of
// `properties`, without repetition, numbers with at most 15 digits. What is written is always
// valid; not every valid text is written. Each schema text has one rule, so recursion by $ref
// is recursion of rules.
//
//   schema ─ alternatives ─▶ simple schemas ─▶ rule: one choice a type
//            ($ref, allOf, anyOf, oneOf)       (type, bounds, members)
//
// A keyword that restricts values and is not understood is an error which names its place: never is
// one passed over. Annotations are passed over.
//
// Where JSON schema leaves a choice, the stricter reading is taken: objects with `properties` have no
// other members unless additionalProperties says so, arrays with `prefixItems` no other items unless
// `items` does, and a schema without a type has the types that its keywords speak of.

import Formats

public struct JSONSchemaCompiler {
  /// Whether blanks and newlines may stand between the parts of the text.
  public enum Whitespace: String, Sendable { case any, compact }

  let root: JSON
  let whitespace: Whitespace
  private(set) var rules: [GrammarRule] = []
  private var numbers: [String: Int] = [:]
  private var queue: [(rule: Int, schema: JSON, place: String)] = []
  private var next = 0
  var automata: [String: ScalarAutomaton] = [:]

  static let source = "the JSON schema"
  static let maximumRules = 20_000
  static let maximumAlternatives = 500
  /// A bound on the work with alternatives, which can grow as a power.
  private static let maximumSteps = 300_000
  private var steps = 0

  static func rules(of schema: JSON, whitespace: Whitespace) throws(TextError) -> [GrammarRule] {
    var compiler = JSONSchemaCompiler(root: schema, whitespace: whitespace)
    return try compiler.run()
  }

  private init(root: JSON, whitespace: Whitespace) {
    self.root = root
    self.whitespace = whitespace
  }

  private mutating func run() throws(TextError) -> [GrammarRule] {
    _ = try rule(for: root, "#")
    while next < queue.count {
      let (rule, schema, place) = queue[next]
      next += 1
      rules[rule].node = try build(schema, place)
    }
    return rules
  }

  mutating func countStep(_ place: String) throws(TextError) {
    steps += 1
    guard steps <= Self.maximumSteps else {
      throw failure(
        place, "too many combinations of alternatives",
        "put the alternatives into properties of their own", .limit)
    }
  }

  func failure(
    _ place: String, _ found: String, _ remedy: String = "", _ kind: TextError.Kind = .invalid
  ) -> TextError {
    TextError(kind, source: Self.source, field: place, found: found, remedy: remedy)
  }

  // MARK: Rules

  /// The number of the rule of a schema, which is built later.
  mutating func rule(for schema: JSON, _ place: String) throws(TextError) -> Int {
    let text = schema.serialized()
    if let known = numbers[text] { return known }
    guard rules.count < Self.maximumRules else {
      throw failure(place, "more than \(Self.maximumRules) rules", "use a smaller schema", .limit)
    }
    numbers[text] = rules.count
    rules.append(GrammarRule(name: place, node: .choice([])))
    queue.append((rules.count - 1, schema, place))
    return rules.count - 1
  }

  /// A rule that many schemas share.
  mutating func shared(
    _ name: String, _ make: (inout JSONSchemaCompiler) throws(TextError) -> GrammarNode
  ) throws(TextError) -> GrammarNode {
    if let known = numbers[name] { return .call(known) }
    let rule = rules.count
    numbers[name] = rule
    rules.append(GrammarRule(name: name, node: .choice([])))
    rules[rule].node = try make(&self)
    return .call(rule)
  }

  private mutating func build(_ schema: JSON, _ place: String) throws(TextError) -> GrammarNode {
    if let object = schema.object {
      let parts = object.keys.filter { !JSONSchemaKeywords.annotations.contains($0) }
      if parts == ["$ref"] {
        let (target, targetPlace) = try resolve(object["$ref"], place)
        return .call(try rule(for: target, targetPlace))
      }
      if parts == ["anyOf"] {
        try check(object, place)
        var options: [GrammarNode] = []
        for (i, branch) in (object["anyOf"]?.array ?? []).enumerated() {
          options.append(.call(try rule(for: branch, "\(place)/anyOf/\(i)")))
        }
        return .choice(options)
      }
    }
    var options: [GrammarNode] = []
    for simple in try alternatives(schema, place, 0) {
      options.append(try node(ofSimple: simple, place))
    }
    return .choice(options)
  }

  func resolve(_ reference: JSON?, _ place: String) throws(TextError) -> (JSON, String) {
    let place = "\(place)/$ref"
    guard let text = reference?.string else { throw failure(place, "a reference is a string") }
    guard text.hasPrefix("#") else {
      throw failure(
        place, "'\(text)' is outside the schema",
        "put the schema into $defs and write #/$defs/name",
        .unsupported)
    }
    var at = root
    let pointer = text.dropFirst()
    guard pointer.isEmpty || pointer.first == "/" else {
      throw failure(place, "'\(text)' is an anchor", "write a pointer: #/$defs/name", .unsupported)
    }
    for part in pointer.split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
      let name = unescaped(String(part))
      if let member = at[name] {
        at = member
      } else if let index = Int(name), let element = at[index] {
        at = element
      } else {
        throw failure(place, "'\(text)' is not there: no '\(name)'", "define it in $defs")
      }
    }
    return (at, text)
  }

  private func unescaped(_ part: String) -> String {
    var out: [UInt8] = []
    let bytes = Array(part.utf8)
    var i = 0
    while i < bytes.count {
      if bytes[i] == 0x7E, i + 1 < bytes.count {
        out.append(bytes[i + 1] == 0x31 ? 0x2F : 0x7E)
        i += 2
      } else if bytes[i] == 0x25, i + 2 < bytes.count,
        let high = Unicode.Scalar(bytes[i + 1]).hexValue,
        let low = Unicode.Scalar(bytes[i + 2]).hexValue
      {
        out.append(UInt8(high << 4 | low))
        i += 3
      } else {
        out.append(bytes[i])
        i += 1
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  // MARK: Values of one simple schema

  private mutating func node(
    ofSimple schema: JSONObject, _ place: String
  ) throws(TextError) -> GrammarNode {
    if let values = schema["enum"]?.array {
      var rest = schema
      rest["enum"] = nil
      var options: [GrammarNode] = []
      for value in values where try isValid(value, simple: rest, place, 0) {
        options.append(try literal(value, place))
      }
      return .choice(options)
    }
    var options: [GrammarNode] = []
    let types = JSONSchemaKeywords.types(of: schema)
    for type in JSONSchemaKeywords.allTypes where types.contains(type) {
      if type == "integer", types.contains("number") { continue }
      switch type {
      case "null": options.append(.text("null"))
      case "boolean": options.append(.choice([.text("true"), .text("false")]))
      case "integer": options.append(try number(schema, place, isInteger: true))
      case "number": options.append(try number(schema, place, isInteger: false))
      case "string": options.append(try string(schema, place))
      case "array": options.append(try array(schema, place))
      default: options.append(try object(schema, place))
      }
    }
    return .choice(options)
  }

  /// A given value as it is written.
  private mutating func literal(_ value: JSON, _ place: String) throws(TextError) -> GrammarNode {
    switch value {
    case .null: return .text("null")
    case .bool(let value): return .text(value ? "true" : "false")
    case .int(let value): return .text("\(value)")
    case .bigInt(let digits): return .text(digits)
    case .double(let value):
      guard value.isFinite else { throw failure(place, "JSON has no number \(value)") }
      return .text("\(value)")
    case .string(let text): return .bytes(JSONText.quoted(text))
    case .array(let elements):
      var parts: [GrammarNode] = [.text("["), try space()]
      for (i, element) in elements.enumerated() {
        if i > 0 { parts.append(try comma()) }
        parts.append(try literal(element, place))
      }
      if !elements.isEmpty { parts.append(try space()) }
      return .sequence(parts + [.text("]")])
    case .object(let members):
      var parts: [GrammarNode] = [.text("{"), try space()]
      for (i, member) in members.enumerated() {
        if i > 0 { parts.append(try comma()) }
        parts += [.bytes(JSONText.quoted(member.0)), try colon(), try literal(member.1, place)]
      }
      if !members.isEmpty { parts.append(try space()) }
      return .sequence(parts + [.text("}")])
    }
  }

  // MARK: Punctuation

  /// What may stand between parts: nothing, a blank or two, or a new line and its indentation. Any more
  /// says nothing, and a model could go on with it for ever.
  mutating func space() throws(TextError) -> GrammarNode {
    if whitespace == .compact { return .bytes([]) }
    return try shared("whitespace") { (_) throws(TextError) in
      let line: [GrammarNode] = [
        .repeated(.text("\r"), 0, 1), .text("\n"), .repeated(.set(ScalarSet(" \t")), 0, 40),
      ]
      return .choice([.repeated(.text(" "), 0, 2), .sequence(line)])
    }
  }

  mutating func comma() throws(TextError) -> GrammarNode {
    .sequence([.text(","), try space()])
  }

  mutating func colon() throws(TextError) -> GrammarNode {
    whitespace == .compact
      ? .text(":") : .sequence([.text(":"), .repeated(.text(" "), 0, 1)])
  }

  // MARK: Arrays

  private mutating func array(
    _ schema: JSONObject, _ place: String
  ) throws(TextError) -> GrammarNode {
    let prefix = schema["prefixItems"]?.array ?? []
    let least = schema["minItems"]?.int ?? 0
    var most = schema["maxItems"]?.int
    var rest = schema["items"]
    if rest == nil {
      rest = prefix.isEmpty || least > prefix.count ? .bool(true) : .bool(false)
    }
    if rest == .bool(false) { most = min(most ?? Int.max, prefix.count) }
    if let most, most < least { return .choice([]) }
    guard least <= 100_000, (most ?? 0) <= 100_000 else {
      throw failure(place, "more than 100,000 items", "use a smaller bound, or none", .limit)
    }
    let element = GrammarNode.call(try rule(for: rest ?? .bool(true), "\(place)/items"))
    let comma = try comma()
    var graph = GrammarGraph()
    var at = 0
    let close = graph.addState()
    graph.finals = [close]
    let end = GrammarNode.sequence([try space(), .text("]")])
    // State i: i items are there.
    let last = max(most ?? max(least, prefix.count), 0)
    for i in 0...last {
      if i >= least { graph.edges.append((at, i == 0 ? .text("]") : end, close)) }
      if i == last { break }
      let item =
        i < prefix.count
        ? GrammarNode.call(try rule(for: prefix[i], "\(place)/prefixItems/\(i)")) : element
      let next = graph.addState()
      graph.edges.append((at, i == 0 ? item : .sequence([comma, item]), next))
      at = next
    }
    if most == nil {
      let loop = graph.addState()
      let item = last == 0 ? element : GrammarNode.sequence([comma, element])
      graph.edges.append((at, item, loop))
      graph.edges.append((loop, .sequence([comma, element]), loop))
      graph.edges.append((loop, end, close))
    }
    return .sequence([.text("["), try space(), .graph(graph)])
  }

  // MARK: Objects

  private mutating func object(
    _ schema: JSONObject, _ place: String
  ) throws(TextError) -> GrammarNode {
    let required = schema["required"]?.stringArray ?? []
    let properties = schema["properties"]?.object ?? JSONObject()
    let patterns = schema["patternProperties"]?.object ?? JSONObject()
    var keyLanguage: ScalarAutomaton?
    if let names = schema["propertyNames"], names != .bool(true) {
      keyLanguage = try stringAutomaton(of: names, "\(place)/propertyNames")
    }
    // The members with names.
    var members: [(name: String, value: GrammarNode, isRequired: Bool)] = []
    var missing = required
    missing.removeAll { properties[$0] != nil }
    for name in properties.keys + missing {
      let isRequired = required.contains { sameBytes($0, name) }
      if let keyLanguage, !keyLanguage.accepts(name) {
        if isRequired { return .choice([]) }
        continue
      }
      let value = try schemaOfMember(name, schema, place)
      if value == .bool(false) {
        if isRequired { return .choice([]) }
        continue
      }
      if members.contains(where: { sameBytes($0.name, name) }) { continue }
      let rule = try rule(for: value, "\(place)/properties/\(name)")
      members.append((name, .call(rule), isRequired))
    }
    let requiredCount = members.lazy.filter(\.isRequired).count
    let least = schema["minProperties"]?.int ?? 0
    let most = schema["maxProperties"]?.int
    if let most, most < requiredCount { return .choice([]) }

    // The others: a key's text and its value.
    var others: [GrammarNode] = []
    let names = Array(properties.keys) + missing
    func pair(_ keys: ScalarAutomaton?, _ value: JSON, _ place: String, _ c: inout Self)
      throws(TextError) -> GrammarNode
    {
      var keys = keys ?? .anything(but: names)
      if let keyLanguage { keys = try keys.intersection(keyLanguage, source: Self.source) }
      if keys.isEmpty { return .choice([]) }
      let value = GrammarNode.call(try c.rule(for: value, place))
      return .sequence([
        .text("\""), .automaton(keys, escaped: true), .text("\""), try c.colon(), value,
      ])
    }
    if patterns.isEmpty {
      let extra =
        schema["additionalProperties"] ?? .bool(properties.isEmpty && required.isEmpty)
      if extra != .bool(false) {
        others.append(try pair(nil, extra, "\(place)/additionalProperties", &self))
      }
    } else {
      var languages: [ScalarAutomaton] = []
      for (pattern, value) in patterns {
        let place = "\(place)/patternProperties/\(pattern)"
        let keys = try ScalarAutomaton.pattern(
          pattern, isSearch: true, source: "\(Self.source): \(place)")
        for other in languages
        where try !keys.intersection(other, source: Self.source).isEmpty {
          throw failure(
            place, "a name can match this pattern and another one",
            "make the patterns exclude each other, or join them", .unsupported)
        }
        languages.append(keys)
        if value == .bool(false) { continue }
        let rest = try keys.intersection(.anything(but: names), source: Self.source)
        others.append(try pair(rest, value, place, &self))
      }
    }
    if least > max(requiredCount, 1) {
      throw failure(
        "\(place)/minProperties", "more than one property besides the required ones is demanded",
        "name them in required", .unsupported)
    }
    if let most, most < members.count {
      throw failure(
        "\(place)/maxProperties", "fewer than the \(members.count) named properties",
        "leave it out, or name the alternatives by anyOf", .unsupported)
    }
    return try object(
      members, .choice(others), hasOthers: !others.isEmpty, isEmptyAllowed: least == 0,
      most: most.map { $0 - members.count })
  }

  /// States f0 f1 ...: so many members were passed, none written; n0 n1 ...: some were.
  private mutating func object(
    _ members: [(name: String, value: GrammarNode, isRequired: Bool)], _ other: GrammarNode,
    hasOthers: Bool, isEmptyAllowed: Bool, most: Int?
  ) throws(TextError) -> GrammarNode {
    var graph = GrammarGraph()
    let comma = try comma()
    let colon = try colon()
    let none = GrammarNode.bytes([])
    var (first, some) = (0, graph.addState())
    for member in members {
      let begin = graph.addState()
      let (nextFirst, nextSome) = (graph.addState(), graph.addState())
      graph.edges.append((first, none, begin))
      graph.edges.append((some, comma, begin))
      graph.edges.append(
        (begin, .sequence([.bytes(JSONText.quoted(member.name)), colon, member.value]), nextSome))
      if !member.isRequired {
        graph.edges.append((first, none, nextFirst))
        graph.edges.append((some, none, nextSome))
      }
      (first, some) = (nextFirst, nextSome)
    }
    let close = graph.addState()
    graph.finals = [close]
    let end = GrammarNode.sequence([try space(), .text("}")])
    if isEmptyAllowed { graph.edges.append((first, .text("}"), close)) }
    graph.edges.append((some, end, close))
    if hasOthers {
      guard (most ?? 0) <= 100_000 else {
        throw failure("maxProperties", "more than 100,000", "leave it out", .limit)
      }
      if let most {
        for _ in 0..<max(most, 0) {
          let next = graph.addState()
          graph.edges.append((first, other, next))
          graph.edges.append((some, .sequence([comma, other]), next))
          graph.edges.append((next, end, close))
          first = graph.addState()  // none leads here: at least one is written now
          some = next
        }
      } else {
        let loop = graph.addState()
        graph.edges.append((first, other, loop))
        graph.edges.append((some, .sequence([comma, other]), loop))
        graph.edges.append((loop, .sequence([comma, other]), loop))
        graph.edges.append((loop, end, close))
      }
    }
    return .sequence([.text("{"), try space(), .graph(graph)])
  }

  /// What a member of this name has to be.
  mutating func schemaOfMember(
    _ name: String, _ schema: JSONObject, _ place: String
  ) throws(TextError) -> JSON {
    var parts: [JSON] = []
    if let own = schema["properties"]?[name] { parts.append(own) }
    for (pattern, value) in schema["patternProperties"]?.object ?? JSONObject() {
      if try matches(pattern, name, "\(place)/patternProperties") { parts.append(value) }
    }
    if parts.isEmpty { return schema["additionalProperties"] ?? .bool(true) }
    return JSONSchemaKeywords.both(parts)
  }
}
