// The keywords of JSON schemas: which there are, what they demand, and what two schemas demand
// together.

import Formats

enum JSONSchemaKeywords {
  static let annotations: Set<String> = [
    "title", "description", "default", "examples", "$schema", "$id", "$comment", "$defs",
    "definitions", "deprecated", "readOnly", "writeOnly", "contentMediaType", "contentEncoding",
    "$vocabulary",
  ]
  static let allTypes = ["object", "array", "string", "number", "integer", "boolean", "null"]

  private static let byType: [(type: String, keywords: [String])] = [
    (
      "object",
      [
        "properties", "required", "additionalProperties", "patternProperties", "minProperties",
        "maxProperties", "propertyNames",
      ]
    ),
    ("array", ["items", "prefixItems", "minItems", "maxItems"]),
    ("string", ["minLength", "maxLength", "pattern", "format"]),
    ("number", ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]),
  ]
  static let known: Set<String> = Set(byType.flatMap(\.keywords)).union([
    "type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref",
  ])
  /// Keywords of the standard that are not understood, and what to do.
  static let unsupported: [String: String] = [
    "not": "say what is allowed instead",
    "if": "name the cases by anyOf", "then": "name the cases by anyOf",
    "else": "name the cases by anyOf",
    "dependentRequired": "name the cases by anyOf", "dependentSchemas": "name the cases by anyOf",
    "dependencies": "name the cases by anyOf",
    "unevaluatedProperties": "use additionalProperties", "unevaluatedItems": "use items",
    "uniqueItems": "leave it out and check the items afterwards, or name the sets by enum",
    "contains": "use items or prefixItems", "minContains": "use items or prefixItems",
    "maxContains": "use items or prefixItems", "additionalItems": "use prefixItems and items",
    "$dynamicRef": "use $ref", "$recursiveRef": "use $ref", "$anchor": "use $ref with a pointer",
    "$dynamicAnchor": "use $ref with a pointer", "contentSchema": "leave it out",
    "nullable": "write \"type\": [..., \"null\"]", "discriminator": "use const in the branches",
  ]

  /// The types that a schema without alternatives allows.
  static func types(of schema: JSONObject) -> Set<String> {
    if let names = schema["type"]?.stringArray { return Set(names) }
    if let name = schema["type"]?.string { return [name] }
    let spoken = byType.filter { $0.keywords.contains { schema[$0] != nil } }.map(\.type)
    return Set(spoken.isEmpty ? allTypes : spoken)
  }

  /// A schema for what satisfies all of several.
  static func both(_ parts: [JSON]) -> JSON {
    var distinct: [JSON] = []
    for part in parts where part != .bool(true) && !distinct.contains(part) {
      distinct.append(part)
    }
    if distinct.isEmpty { return .bool(true) }
    if distinct.contains(.bool(false)) { return .bool(false) }
    return distinct.count == 1 ? distinct[0] : .object(JSONObject([("allOf", .array(distinct))]))
  }

  /// Equality of values as JSON schema has it: 1 is 1.0, true is not 1.
  static func same(_ a: JSON, _ b: JSON) -> Bool {
    switch (a, b) {
    case (.array(let x), .array(let y)):
      return x.count == y.count && zip(x, y).allSatisfy { same($0, $1) }
    case (.object(let x), .object(let y)):
      return x.count == y.count
        && x.keys.allSatisfy { key in
          if let p = x[key], let q = y[key] { same(p, q) } else { false }
        }
    case (.int(let x), .double(let y)), (.double(let y), .int(let x)): return Double(x) == y
    default: return a == b
    }
  }
}

extension JSONSchemaCompiler {
  // MARK: Checks

  /// Refuses keywords that are not understood, and arguments that are none.
  func check(_ schema: JSONObject, _ place: String) throws(TextError) {
    for (key, value) in schema {
      if JSONSchemaKeywords.annotations.contains(key) || key.hasPrefix("x-") {
        if key == "$id", place != "#" {
          throw failure(
            "\(place)/$id", "a schema inside has its own $id", "leave it out", .unsupported)
        }
        continue
      }
      let at = "\(place)/\(key)"
      if let remedy = JSONSchemaKeywords.unsupported[key] {
        if key == "uniqueItems", value == .bool(false) { continue }
        if key == "nullable", value == .bool(false) { continue }
        throw failure(
          at, "this keyword restricts values in a way that is not supported", remedy, .unsupported)
      }
      guard JSONSchemaKeywords.known.contains(key) else {
        let near = JSONSchemaKeywords.known.min { distance($0, key) < distance($1, key) } ?? ""
        throw failure(
          at, "the keyword '\(key)' is not known",
          distance(near, key) <= 3
            ? "did you mean '\(near)'?" : "leave it out, or name it x-\(key)",
          .unsupported)
      }
      try checkArgument(key, value, at)
    }
  }

  private func checkArgument(_ key: String, _ value: JSON, _ at: String) throws(TextError) {
    func demand(_ holds: Bool, _ what: String) throws(TextError) {
      if !holds { throw failure(at, "expected \(what), found \(value.typeName)") }
    }
    func isSchema(_ json: JSON) -> Bool { json.object != nil || json.bool != nil }
    switch key {
    case "type":
      let names = value.stringArray ?? value.string.map { [$0] }
      guard let names, !names.isEmpty else {
        throw failure(at, "expected a type's name, or a list of names")
      }
      for name in names where !JSONSchemaKeywords.allTypes.contains(name) {
        throw failure(
          at, "'\(name)' is no type",
          "types are \(JSONSchemaKeywords.allTypes.joined(separator: ", "))")
      }
    case "enum": try demand(value.array?.isEmpty == false, "a list of values")
    case "anyOf", "oneOf", "allOf":
      try demand(value.array?.isEmpty == false, "a list of schemas")
      for (i, part) in (value.array ?? []).enumerated() where !isSchema(part) {
        throw failure("\(at)/\(i)", "expected a schema, found \(part.typeName)")
      }
    case "prefixItems":
      try demand(value.array != nil, "a list of schemas")
      for (i, part) in (value.array ?? []).enumerated() where !isSchema(part) {
        throw failure("\(at)/\(i)", "expected a schema, found \(part.typeName)")
      }
    case "properties", "patternProperties":
      try demand(value.object != nil, "an object of schemas")
      for (name, part) in value.object ?? JSONObject() where !isSchema(part) {
        throw failure("\(at)/\(name)", "expected a schema, found \(part.typeName)")
      }
    case "items":
      if value.array != nil {
        throw failure(at, "a list of schemas", "newer drafts call it prefixItems", .unsupported)
      }
      try demand(isSchema(value), "a schema")
    case "additionalProperties", "propertyNames": try demand(isSchema(value), "a schema")
    case "required": try demand(value.stringArray != nil, "a list of names")
    case "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties":
      try demand((value.int ?? -1) >= 0, "a whole number that is not negative")
    case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum":
      if value.bool != nil {
        throw failure(at, "a boolean is the form of draft 4", "give the bound itself", .unsupported)
      }
      try demand(value.double != nil, "a number")
    case "multipleOf": try demand((value.double ?? 0) > 0, "a positive number")
    case "pattern", "format", "$ref": try demand(value.string != nil, "a string")
    default: break
    }
  }

  // MARK: Alternatives

  /// Simple schemas, without $ref, allOf, anyOf and oneOf, of which a value satisfies one.
  mutating func alternatives(
    _ schema: JSON, _ place: String, _ depth: Int
  ) throws(TextError) -> [JSONObject] {
    try countStep(place)
    if let bool = schema.bool { return bool ? [JSONObject()] : [] }
    guard let object = schema.object else {
      throw failure(place, "expected a schema, found \(schema.typeName)")
    }
    guard depth < 60 else {
      throw failure(
        place, "schemas refer to each other without end, or are nested too deeply",
        "put a property or an item between a schema and its reference to itself", .limit)
    }
    try check(object, place)
    var rest = JSONObject()
    for (key, value) in object
    where !JSONSchemaKeywords.annotations.contains(key) && !key.hasPrefix("x-") {
      switch key {
      case "$ref", "allOf", "anyOf", "oneOf", "uniqueItems", "nullable": break
      case "const":
        if rest["enum"] != nil || object["enum"] != nil {
          let values = (object["enum"]?.array ?? []).filter { JSONSchemaKeywords.same($0, value) }
          rest["enum"] = .array(values.isEmpty ? [] : [value])
        } else {
          rest["enum"] = .array([value])
        }
      case "enum": if object["const"] == nil { rest[key] = value }
      default: rest[key] = value
      }
    }
    var out = [rest]
    func multiply(_ others: [JSONObject]) throws(TextError) {
      out = try product(out, others, place)
    }
    if let reference = object["$ref"] {
      let (target, targetPlace) = try resolve(reference, place)
      try multiply(try alternatives(target, targetPlace, depth + 1))
    }
    for (i, part) in (object["allOf"]?.array ?? []).enumerated() {
      try multiply(try alternatives(part, "\(place)/allOf/\(i)", depth + 1))
    }
    if let parts = object["anyOf"]?.array {
      var branches: [JSONObject] = []
      for (i, part) in parts.enumerated() {
        branches += try alternatives(part, "\(place)/anyOf/\(i)", depth + 1)
      }
      try multiply(branches)
    }
    if let parts = object["oneOf"]?.array {
      // The branches exclude each other where what is said beside them holds.
      var branches: [[JSONObject]] = []
      for (i, part) in parts.enumerated() {
        let branch = try alternatives(part, "\(place)/oneOf/\(i)", depth + 1)
        branches.append(try product(out, branch, place))
      }
      for i in branches.indices {
        for j in branches.indices.dropFirst(i + 1) {
          for a in branches[i] {
            for b in branches[j] where try !areDisjoint(a, b, place, depth + 1) {
              throw failure(
                "\(place)/oneOf", "a value may satisfy both branch \(i) and branch \(j)",
                "use anyOf, or tell the branches apart by a required property with different consts",
                .unsupported)
            }
          }
        }
      }
      out = branches.flatMap { $0 }
    }
    return out
  }

  private func product(
    _ left: [JSONObject], _ right: [JSONObject], _ place: String
  ) throws(TextError) -> [JSONObject] {
    var out: [JSONObject] = []
    for a in left {
      for b in right { if let both = try merged(a, b, place) { out.append(both) } }
    }
    guard out.count <= Self.maximumAlternatives else {
      throw failure(
        place, "more than \(Self.maximumAlternatives) combinations of alternatives",
        "put the alternatives into properties of their own", .limit)
    }
    return out
  }

  /// What satisfies both of two simple schemas; nil where nothing does.
  private func merged(
    _ a: JSONObject, _ b: JSONObject, _ place: String
  ) throws(TextError) -> JSONObject? {
    if a.isEmpty { return b }
    if b.isEmpty || a == b { return a }
    var out = a
    for (key, value) in b {
      guard let mine = a[key] else {
        out[key] = value
        continue
      }
      if mine == value { continue }
      switch key {
      case "type":
        let (x, y) = (JSONSchemaKeywords.types(of: a), JSONSchemaKeywords.types(of: b))
        var types = x.intersection(y)
        let numeric: Set = ["number", "integer"]
        if !x.isDisjoint(with: numeric), !y.isDisjoint(with: numeric), !types.contains("number") {
          types.insert("integer")
        }
        if types.isEmpty { return nil }
        out[key] = .array(types.sorted().map { .string($0) })
      case "enum":
        let values = (mine.array ?? []).filter { v in
          (value.array ?? []).contains { JSONSchemaKeywords.same($0, v) }
        }
        if values.isEmpty { return nil }
        out[key] = .array(values)
      case "minLength", "minItems", "minProperties", "minimum", "exclusiveMinimum":
        if (value.double ?? 0) > (mine.double ?? 0) { out[key] = value }
      case "maxLength", "maxItems", "maxProperties", "maximum", "exclusiveMaximum":
        if (value.double ?? 0) < (mine.double ?? 0) { out[key] = value }
      case "multipleOf":
        guard let x = mine.int, let y = value.int else {
          throw failure(
            "\(place)/multipleOf", "two of them that are not whole", "give one", .unsupported)
        }
        var (p, q) = (x, y)
        while q != 0 { (p, q) = (q, p % q) }
        let (product, overflow) = (x / p).multipliedReportingOverflow(by: y)
        guard !overflow else {
          throw failure("\(place)/multipleOf", "their common multiple is too large", "", .limit)
        }
        out[key] = .int(product)
      case "pattern", "format":
        out[key] = .array((mine.array ?? [mine]) + (value.array ?? [value]))
      case "items", "propertyNames": out[key] = JSONSchemaKeywords.both([mine, value])
      case "required": out[key] = .array((mine.array ?? []) + (value.array ?? []))
      default: break  // below
      }
    }
    mergePrefix(a, b, &out)
    try mergeMembers(a, b, place, &out)
    return out
  }

  private func mergePrefix(_ a: JSONObject, _ b: JSONObject, _ out: inout JSONObject) {
    guard a["prefixItems"] != nil || b["prefixItems"] != nil else { return }
    let (x, y) = (a["prefixItems"]?.array ?? [], b["prefixItems"]?.array ?? [])
    var items: [JSON] = []
    for i in 0..<max(x.count, y.count) {
      let mine = i < x.count ? x[i] : a["items"] ?? .bool(true)
      let other = i < y.count ? y[i] : b["items"] ?? .bool(true)
      items.append(JSONSchemaKeywords.both([mine, other]))
    }
    out["prefixItems"] = .array(items)
  }

  private func mergeMembers(
    _ a: JSONObject, _ b: JSONObject, _ place: String, _ out: inout JSONObject
  ) throws(TextError) {
    let keys = ["properties", "patternProperties", "additionalProperties"]
    guard keys.contains(where: { a[$0] != nil }), keys.contains(where: { b[$0] != nil }) else {
      return
    }
    let isTold = { (s: JSONObject) in
      s["patternProperties"] != nil || (s["additionalProperties"] ?? .bool(true)) != .bool(true)
    }
    if a["patternProperties"] != b["patternProperties"],
      (a["patternProperties"] != nil && isTold(b)) || (b["patternProperties"] != nil && isTold(a))
    {
      throw failure(
        place, "patternProperties in one of several schemas that hold together",
        "write them in one schema", .unsupported)
    }
    var members = JSONObject()
    let (x, y) = (a["properties"]?.object ?? .init(), b["properties"]?.object ?? .init())
    for name in x.keys + y.keys.filter({ x[$0] == nil }) {
      members[name] = JSONSchemaKeywords.both([
        x[name] ?? a["additionalProperties"] ?? .bool(true),
        y[name] ?? b["additionalProperties"] ?? .bool(true),
      ])
    }
    if a["properties"] != nil || b["properties"] != nil { out["properties"] = .object(members) }
    let extra = [a["additionalProperties"], b["additionalProperties"]].compactMap { $0 }
    if !extra.isEmpty { out["additionalProperties"] = JSONSchemaKeywords.both(extra) }
  }
}

/// How many letters differ between two names (Levenshtein).
private func distance(_ a: String, _ b: String) -> Int {
  let (x, y) = (Array(a.lowercased().utf8), Array(b.lowercased().utf8))
  guard x.count < 64, y.count < 64 else { return 64 }
  var row = Array(0...y.count)
  for i in x.indices {
    var diagonal = row[0]
    row[0] = i + 1
    for j in y.indices {
      let above = row[j + 1]
      row[j + 1] = min(above + 1, row[j] + 1, diagonal + (x[i] == y[j] ? 0 : 1))
      diagonal = above
    }
  }
  return row[y.count]
}
