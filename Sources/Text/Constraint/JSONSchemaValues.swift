// Strings and numbers of schemas, and which given values a schema allows.

import Formats

extension JSONSchemaCompiler {
  // MARK: Strings

  mutating func string(_ schema: JSONObject, _ place: String) throws(TextError) -> GrammarNode {
    let quote = GrammarNode.text("\"")
    if schema["pattern"] != nil || schema["format"] != nil {
      let texts = try stringAutomaton(ofSimple: schema, place)
      if texts.isEmpty { return .choice([]) }
      return .sequence([quote, .automaton(texts, escaped: true), quote])
    }
    let least = schema["minLength"]?.int ?? 0
    let most = schema["maxLength"]?.int
    if let most, most < least { return .choice([]) }
    if least == 0, most == nil {
      return try shared("string") { (_) throws(TextError) in
        .sequence([quote, .repeated(Self.character(withCodes: true), 0, nil), quote])
      }
    }
    // Long strings do without \uXXXX, which would double their states.
    let character = Self.character(withCodes: max(least, most ?? 0) <= 2_000)
    return .sequence([quote, .repeated(character, least, most), quote])
  }

  /// One character of a JSON string in any of its spellings.
  private static func character(withCodes: Bool) -> GrammarNode {
    let hex = GrammarNode.set(ScalarSet([0x30...0x39, 0x41...0x46, 0x61...0x66]))
    var escapes: [GrammarNode] = [.set(ScalarSet("\"\\/bfnrt"))]
    if withCodes {
      let d = GrammarNode.set(ScalarSet("dD"))
      escapes += [
        .sequence([
          .text("u"),
          .set(ScalarSet([0x30...0x39, 0x41...0x43, 0x45...0x46, 0x61...0x63, 0x65...0x66])),
          hex, hex, hex,
        ]),
        .sequence([.text("u"), d, .set(ScalarSet("01234567")), hex, hex]),
        // Characters past U+FFFF are spelled by two halves.
        .sequence([
          .text("u"), d, .set(ScalarSet("89abAB")), hex, hex, .text("\\u"), d,
          .set(ScalarSet("cdefCDEF")), hex, hex,
        ]),
      ]
    }
    return .choice([.set(JSONText.plain), .sequence([.text("\\"), .choice(escapes)])])
  }

  /// The texts of a simple schema's strings, without their spelling in JSON.
  mutating func stringAutomaton(
    ofSimple schema: JSONObject, _ place: String
  ) throws(TextError) -> ScalarAutomaton {
    var parts: [ScalarAutomaton] = []
    if let values = schema["enum"]?.array {
      var rest = schema
      rest["enum"] = nil
      var options: [RegexNode] = []
      for value in values {
        if let text = value.string, try isValid(value, simple: rest, place, 0) {
          options.append(.text(text))
        }
      }
      return try .pattern(.choice(options), source: Self.source)
    }
    func texts(_ key: String) -> [String] {
      (schema[key]?.array ?? schema[key].map { [$0] } ?? []).compactMap(\.string)
    }
    for pattern in texts("pattern") { parts.append(try automaton(pattern, "\(place)/pattern")) }
    for format in texts("format") {
      guard let pattern = JSONFormats.patterns[format] else {
        throw failure(
          "\(place)/format", "the format '\(format)' is not known",
          "known are \(JSONFormats.patterns.keys.sorted().joined(separator: ", ")); or use pattern",
          .unsupported)
      }
      parts.append(try .pattern(pattern, source: Self.source))
    }
    let least = schema["minLength"]?.int ?? 0
    let most = schema["maxLength"]?.int
    if let most, most < least { return ScalarAutomaton() }
    if parts.isEmpty || least > 0 || most != nil {
      guard max(least, most ?? 0) <= ScalarAutomaton.maximumStates else {
        throw failure(
          place, "a length above \(ScalarAutomaton.maximumStates)", "use a smaller one, or none",
          .limit)
      }
      parts.append(.length(least, most))
    }
    var out = parts[0]
    for part in parts.dropFirst() {
      out = try out.intersection(part, source: "\(Self.source): \(place)")
    }
    return out.trimmed
  }

  /// The texts of any schema's strings.
  mutating func stringAutomaton(
    of schema: JSON, _ place: String
  ) throws(TextError) -> ScalarAutomaton {
    let simple = try alternatives(schema, place, 0).filter {
      $0["type"] == nil || JSONSchemaKeywords.types(of: $0).contains("string")
    }
    guard simple.count == 1 else {
      if simple.isEmpty { return ScalarAutomaton() }
      throw failure(place, "alternatives for names", "write one pattern", .unsupported)
    }
    return try stringAutomaton(ofSimple: simple[0], place)
  }

  private mutating func automaton(
    _ pattern: String, _ place: String
  ) throws(TextError) -> ScalarAutomaton {
    if let known = automata[pattern] { return known }
    let made = try ScalarAutomaton.pattern(
      pattern, isSearch: true, source: "\(Self.source): \(place)")
    automata[pattern] = made
    return made
  }

  mutating func matches(
    _ pattern: String, _ text: String, _ place: String
  ) throws(TextError) -> Bool {
    try automaton(pattern, place).accepts(text)
  }

  // MARK: Numbers

  mutating func number(
    _ schema: JSONObject, _ place: String, isInteger: Bool
  ) throws(TextError) -> GrammarNode {
    var multiple = 1
    if let json = schema["multipleOf"] {
      guard let value = wholeNumber(json) else {
        throw failure(
          "\(place)/multipleOf", "multiples of a fraction are not exact in binary numbers",
          "use a whole number, or a pattern in a string", .unsupported)
      }
      multiple = value
    }
    let low = try bound(schema, "minimum", "exclusiveMinimum", place, isLower: true)
    let high = try bound(schema, "maximum", "exclusiveMaximum", place, isLower: false)
    if low == nil, high == nil, multiple == 1 {
      let pattern = isInteger ? JSONNumbers.integer : JSONNumbers.number
      return try shared(isInteger ? "integer" : "number") { (_) throws(TextError) in
        .automaton(try .pattern(pattern, source: Self.source), escaped: false)
      }
    }
    let texts: ScalarAutomaton
    if isInteger || multiple > 1 {
      texts = try integers(low, high, multiple, place)
    } else {
      texts = try decimals(low, high, place)
    }
    return texts.isEmpty ? .choice([]) : .automaton(texts, escaped: false)
  }

  private func wholeNumber(_ json: JSON) -> Int? {
    if let value = json.int { return value }
    if case .double(let value) = json { return Int(exactly: value) }
    return nil
  }

  private struct Bound {
    var value: JSONDecimal
    var isExclusive: Bool
  }

  private func bound(
    _ schema: JSONObject, _ inclusive: String, _ exclusive: String, _ place: String, isLower: Bool
  ) throws(TextError) -> Bound? {
    var out: (number: Double, bound: Bound)?
    for (key, isExclusive) in [(inclusive, false), (exclusive, true)] {
      guard let json = schema[key], let number = json.double else { continue }
      guard let value = JSONDecimal(json) else {
        // No number that is written comes near a bound so far away.
        if isLower ? number < -1e15 : number > 1e15 { continue }
        throw failure(
          "\(place)/\(key)", "a bound of more than \(JSONNumbers.maximumDigits) digits",
          "round it", .unsupported)
      }
      let isTighter =
        out.map { isLower ? number > $0.number : number < $0.number } ?? true
      if isTighter || (out?.number == number && isExclusive) {
        out = (number, Bound(value: value, isExclusive: isExclusive))
      }
    }
    return out?.bound
  }

  private func integers(
    _ low: Bound?, _ high: Bound?, _ multiple: Int, _ place: String
  ) throws(TextError) -> ScalarAutomaton {
    var least = -JSONNumbers.largest
    var most = JSONNumbers.largest
    if let low {
      let (floor, isExact) = low.value.floor
      least = isExact && !low.isExclusive ? floor : floor + 1
    }
    if let high {
      let (floor, isExact) = high.value.floor
      most = isExact && high.isExclusive ? floor - 1 : floor
    }
    least = max(least, -JSONNumbers.largest)
    most = min(most, JSONNumbers.largest)
    if least > most { return ScalarAutomaton() }
    if multiple <= 1_000 { return JSONNumbers.texts(least, most, multiple: multiple) }
    // Few enough to name them.
    var first = least / multiple * multiple
    if first < least { first += multiple }
    guard first <= most else { return ScalarAutomaton() }
    guard (most - first) / multiple < 5_000 else {
      throw failure(
        "\(place)/multipleOf", "multiples of a number above 1,000 in so wide a range",
        "use a smaller one, or narrower bounds", .unsupported)
    }
    let options = stride(from: first, through: most, by: multiple).map { RegexNode.text("\($0)") }
    return try .pattern(.choice(options), source: Self.source)
  }

  private func decimals(
    _ low: Bound?, _ high: Bound?, _ place: String
  ) throws(TextError) -> ScalarAutomaton {
    let bounds = [low, high].compactMap { $0?.value }
    let scale = bounds.map(\.scale).max() ?? 0
    // Digits before the point that a bound has; the rest are free for the fraction.
    var whole = 1
    for bound in bounds {
      var unit = 1
      for _ in 0..<bound.scale { unit *= 10 }
      whole = max(whole, String(bound.digits / unit).count)
    }
    let fraction = min(max(6, scale + 3), JSONNumbers.maximumDigits - whole)
    var least = -JSONNumbers.largest
    var most = JSONNumbers.largest
    for (bound, isLower) in [(low, true), (high, false)] {
      guard let bound else { continue }
      guard fraction >= scale, let units = bound.value.units(fraction) else {
        throw failure(
          place, "the bounds need more than \(JSONNumbers.maximumDigits) digits together",
          "round them", .unsupported)
      }
      if isLower {
        least = units + (bound.isExclusive ? 1 : 0)
      } else {
        most = units - (bound.isExclusive ? 1 : 0)
      }
    }
    return JSONNumbers.texts(least, most, fractionDigits: fraction)
  }

  // MARK: Which values a schema allows

  mutating func isValid(
    _ value: JSON, _ schema: JSON, _ place: String, _ depth: Int
  ) throws(TextError) -> Bool {
    for simple in try alternatives(schema, place, depth) {
      if try isValid(value, simple: simple, place, depth) { return true }
    }
    return false
  }

  mutating func isValid(
    _ value: JSON, simple schema: JSONObject, _ place: String, _ depth: Int
  ) throws(TextError) -> Bool {
    if let values = schema["enum"]?.array,
      !values.contains(where: { JSONSchemaKeywords.same($0, value) })
    {
      return false
    }
    // Only what is told as a type restricts a given value.
    if schema["type"] != nil {
      let types = JSONSchemaKeywords.types(of: schema)
      let name: String
      switch value {
      case .null: name = "null"
      case .bool: name = "boolean"
      case .int, .bigInt: name = "integer"
      case .double(let x): name = x == x.rounded() && x.isFinite ? "integer" : "number"
      case .string: name = "string"
      case .array: name = "array"
      case .object: name = "object"
      }
      guard types.contains(name) || (name == "integer" && types.contains("number")) else {
        return false
      }
    }
    switch value {
    case .int, .bigInt, .double:
      let x = value.double ?? 0
      if let bound = schema["minimum"]?.double, x < bound { return false }
      if let bound = schema["maximum"]?.double, x > bound { return false }
      if let bound = schema["exclusiveMinimum"]?.double, x <= bound { return false }
      if let bound = schema["exclusiveMaximum"]?.double, x >= bound { return false }
      if let unit = schema["multipleOf"] {
        guard let unit = wholeNumber(unit), let x = Int(exactly: x) else { return false }
        return x % unit == 0
      }
    case .string(let text):
      let keys = ["minLength", "maxLength", "pattern", "format"]
      if keys.contains(where: { schema[$0] != nil }) {
        var rest = schema
        rest["enum"] = nil
        return try stringAutomaton(ofSimple: rest, place).accepts(text)
      }
    case .array(let items):
      if let least = schema["minItems"]?.int, items.count < least { return false }
      if let most = schema["maxItems"]?.int, items.count > most { return false }
      let prefix = schema["prefixItems"]?.array ?? []
      for (i, item) in items.enumerated() {
        let part = i < prefix.count ? prefix[i] : schema["items"] ?? .bool(true)
        if try !isValid(item, part, place, depth + 1) { return false }
      }
    case .object(let members):
      if let least = schema["minProperties"]?.int, members.count < least { return false }
      if let most = schema["maxProperties"]?.int, members.count > most { return false }
      for name in schema["required"]?.stringArray ?? [] where members[name] == nil { return false }
      for (name, member) in members {
        if let names = schema["propertyNames"],
          try !isValid(.string(name), names, place, depth + 1)
        {
          return false
        }
        let part = try schemaOfMember(name, schema, place)
        if try !isValid(member, part, place, depth + 1) { return false }
      }
    case .null, .bool: break
    }
    return true
  }

  // MARK: Which schemas exclude each other

  /// Whether surely no value satisfies both.
  mutating func areDisjoint(
    _ a: JSONObject, _ b: JSONObject, _ place: String, _ depth: Int
  ) throws(TextError) -> Bool {
    try countStep(place)
    for (x, y) in [(a, b), (b, a)] {
      guard let values = x["enum"]?.array else { continue }
      for value in values {
        if try isValid(value, simple: x, place, depth), try isValid(value, simple: y, place, depth)
        {
          return false
        }
      }
      return true
    }
    // Without a type told, a schema says nothing of values of other types.
    func types(_ schema: JSONObject) -> Set<String> {
      schema["type"] == nil
        ? Set(JSONSchemaKeywords.allTypes) : JSONSchemaKeywords.types(of: schema)
    }
    let (p, q) = (types(a), types(b))
    for type in JSONSchemaKeywords.allTypes {
      let isNumeric = type == "number" || type == "integer"
      let isIn = { (s: Set<String>) in
        isNumeric ? s.contains("number") || s.contains("integer") : s.contains(type)
      }
      guard isIn(p), isIn(q) else { continue }
      switch type {
      case "number", "integer":
        if !isBelow(a, b), !isBelow(b, a) { return false }
      case "string":
        let both = try stringAutomaton(ofSimple: a, place).intersection(
          stringAutomaton(ofSimple: b, place), source: Self.source)
        if !both.isEmpty { return false }
      case "object":
        if try !isToldApart(a, b, place, depth), try !isToldApart(b, a, place, depth) {
          return false
        }
      default: return false
      }
    }
    return true
  }

  private func isBelow(_ a: JSONObject, _ b: JSONObject) -> Bool {
    let high = min(a["maximum"]?.double ?? .infinity, a["exclusiveMaximum"]?.double ?? .infinity)
    let low = max(b["minimum"]?.double ?? -.infinity, b["exclusiveMinimum"]?.double ?? -.infinity)
    if high < low { return true }
    return high == low && high.isFinite
      && (a["exclusiveMaximum"]?.double == high || b["exclusiveMinimum"]?.double == low)
  }

  /// Whether a member that the first demands cannot be the second's.
  private mutating func isToldApart(
    _ a: JSONObject, _ b: JSONObject, _ place: String, _ depth: Int
  ) throws(TextError) -> Bool {
    for name in a["required"]?.stringArray ?? [] {
      let mine = try schemaOfMember(name, a, place)
      let other = try schemaOfMember(name, b, place)
      if other == .bool(false) { return true }
      let (x, y) = (
        try alternatives(mine, place, depth + 1), try alternatives(other, place, depth + 1)
      )
      var isApart = true
      for p in x {
        for q in y where isApart { isApart = try areDisjoint(p, q, place, depth + 1) }
      }
      if isApart { return true }
    }
    return false
  }
}

/// String formats as patterns. Each accepts valid texts only, if not all.
enum JSONFormats {
  private static let day =
    "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
  private static let leap =
    "(?:[1-9][0-9](?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[13579][26])00)-02-29"
  private static let date = "(?:[1-9][0-9]{3}-\(day)|\(leap))"
  private static let time =
    "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,6})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
  private static let byte = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
  private static let label = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?"

  static let patterns: [String: String] = [
    "date": date, "time": time, "date-time": "\(date)T\(time)",
    "uuid": "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "email":
      "[A-Za-z0-9_](?:[A-Za-z0-9_+-]|\\.[A-Za-z0-9_+-]){0,30}@(?:\(label)\\.){1,3}[A-Za-z]{2,12}",
    "ipv4": "\(byte)(?:\\.\(byte)){3}", "ipv6": "(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}",
    "hostname": "(?:\(label)\\.){0,4}\(label)",
    "uri":
      "https?://(?:\(label)\\.){1,3}[A-Za-z]{2,12}(?:/[A-Za-z0-9._~-]{1,60}){0,8}/?(?:\\?[A-Za-z0-9=&._~-]{1,100})?",
  ]
}
