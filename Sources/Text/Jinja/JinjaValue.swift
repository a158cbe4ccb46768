// The values of a template, with Python's meaning and Python's printing.
//
// Lists and dicts are immutable (as in the sandbox that published templates are written for);
// the one thing that changes is a `namespace`. Nesting is counted when a container is made and
// bounded, so that no walk over a value (printing, comparing, freeing) can exhaust the stack.

import Formats

enum JinjaValue {
  /// A name that is not there, with the words to say so.
  case undefined(String)
  case none
  case bool(Bool)
  case int(Int)
  case double(Double)
  case string(String)
  case list(JinjaList)
  case dict(JinjaDict)
  case namespace(JinjaNamespace)
  case macro(JinjaMacro)
  case loop(JinjaLoop)
  case cycler(JinjaCycler)
  /// A method that waits for its call: `"a,b".split`.
  indirect case method(JinjaValue, String)
  /// A global function: range, namespace, …
  case function(String)

  static var emptyString: JinjaValue { .string("") }
}

final class JinjaList {
  let items: [JinjaValue]
  let isTuple: Bool
  let depth: Int
  let weight: Int

  init(_ items: [JinjaValue], isTuple: Bool, depth: Int) {
    self.items = items
    self.isTuple = isTuple
    self.depth = depth
    weight = items.reduce(1) { $0 + $1.weight }
  }
}

final class JinjaDict {
  let keys: [JinjaValue]
  let values: [JinjaValue]
  let depth: Int
  let weight: Int

  init(keys: [JinjaValue], values: [JinjaValue], depth: Int) {
    self.keys = keys
    self.values = values
    self.depth = depth
    weight = keys.reduce(1) { $0 + $1.weight } + values.reduce(0) { $0 + $1.weight }
  }

  subscript(key: String) -> JinjaValue? {
    for (index, candidate) in keys.enumerated() {
      if case .string(let text) = candidate, sameBytes(text, key) { return values[index] }
    }
    return nil
  }

  subscript(key: JinjaValue) -> JinjaValue? {
    if case .string(let text) = key { return self[text] }
    return keys.firstIndex { jinjaEqual($0, key) }.map { values[$0] }
  }
}

final class JinjaNamespace {
  var attributes: [String: JinjaValue]
  init(_ attributes: [String: JinjaValue]) { self.attributes = attributes }
}

final class JinjaLoop {
  let items: [JinjaValue]
  let level: Int
  var index = 0
  var lastChanged: [JinjaValue]?

  init(items: [JinjaValue], level: Int) {
    self.items = items
    self.level = level
  }
}

final class JinjaCycler {
  let items: [JinjaValue]
  var index = 0
  /// For a `joiner`: empty at the first call, then the separator.
  let isJoiner: Bool
  init(_ items: [JinjaValue], isJoiner: Bool = false) {
    self.items = items
    self.isJoiner = isJoiner
  }
}

/// The deepest nesting of lists and dicts.
let jinjaMaximumNesting = 200

/// The largest list or dict, as `weight` counts.
let jinjaMaximumWeight = 1 << 25

extension JinjaValue {
  var depth: Int {
    switch self {
    case .list(let list): list.depth
    case .dict(let dict): dict.depth
    default: 0
    }
  }

  /// About the bytes that printing it takes. Containers that share parts (`[a, a]` in a loop)
  /// grow exponentially when walked, so this is bounded when they are made.
  var weight: Int {
    switch self {
    case .string(let text): text.utf8.count + 2
    case .list(let list): list.weight
    case .dict(let dict): dict.weight
    default: 4
    }
  }

  static func list(
    _ items: [JinjaValue], isTuple: Bool = false
  ) throws(TextError) -> JinjaValue {
    let depth = 1 + (items.lazy.map(\.depth).max() ?? 0)
    guard depth <= jinjaMaximumNesting else { throw tooDeep }
    let list = JinjaList(items, isTuple: isTuple, depth: depth)
    guard list.weight <= jinjaMaximumWeight else { throw tooHeavy }
    return .list(list)
  }

  static func dict(
    _ pairs: [(JinjaValue, JinjaValue)]
  ) throws(TextError) -> JinjaValue {
    var keys: [JinjaValue] = []
    var values: [JinjaValue] = []
    for (key, value) in pairs {
      if let index = keys.firstIndex(where: { jinjaEqual($0, key) }) {
        values[index] = value
      } else {
        keys.append(key)
        values.append(value)
      }
    }
    let depth = 1 + max(keys.lazy.map(\.depth).max() ?? 0, values.lazy.map(\.depth).max() ?? 0)
    guard depth <= jinjaMaximumNesting else { throw tooDeep }
    let dict = JinjaDict(keys: keys, values: values, depth: depth)
    guard dict.weight <= jinjaMaximumWeight else { throw tooHeavy }
    return .dict(dict)
  }

  private static var tooHeavy: TextError {
    TextError(
      .limit, source: "", field: "", found: "a value of more than \(jinjaMaximumWeight) bytes")
  }

  private static var tooDeep: TextError {
    TextError(
      .limit, source: "", field: "", found: "values nested deeper than \(jinjaMaximumNesting)")
  }

  init(_ json: JSON) throws(TextError) { try self.init(json, level: 0) }

  private init(_ json: JSON, level: Int) throws(TextError) {
    guard level < jinjaMaximumNesting else { throw Self.tooDeep }
    switch json {
    case .null: self = .none
    case .bool(let value): self = .bool(value)
    case .int(let value): self = .int(value)
    case .bigInt(let digits): self = .double(Double(digits) ?? .infinity)
    case .double(let value): self = .double(value)
    case .string(let text): self = .string(text)
    case .array(let elements):
      var items: [JinjaValue] = []
      for element in elements { items.append(try JinjaValue(element, level: level + 1)) }
      self = try .list(items)
    case .object(let object):
      // An object's keys are distinct already.
      var values: [JinjaValue] = []
      for value in object.values { values.append(try JinjaValue(value, level: level + 1)) }
      let depth = 1 + (values.lazy.map(\.depth).max() ?? 0)
      self = .dict(
        JinjaDict(keys: object.keys.map { .string($0) }, values: values, depth: depth))
    }
  }

  /// As JSON, for `tojson`; nil for what json.dumps refuses.
  var json: JSON? {
    switch self {
    case .none: return .null
    case .bool(let value): return .bool(value)
    case .int(let value): return .int(value)
    case .double(let value): return .double(value)
    case .string(let text): return .string(text)
    case .list(let list):
      let elements = list.items.compactMap(\.json)
      return elements.count == list.items.count ? .array(elements) : nil
    case .dict(let dict):
      var object = JSONObject()
      for (key, value) in zip(dict.keys, dict.values) {
        guard let value = value.json else { return nil }
        switch key {
        case .string(let text): object[text] = value
        case .int, .double: object[key.text] = value
        case .bool(let flag): object[flag ? "true" : "false"] = value
        case .none: object["null"] = value
        default: return nil
        }
      }
      return .object(object)
    default: return nil
    }
  }

  var isTrue: Bool {
    switch self {
    case .undefined, .none: false
    case .bool(let value): value
    case .int(let value): value != 0
    case .double(let value): value != 0
    case .string(let text): !text.isEmpty
    case .list(let list): !list.items.isEmpty
    case .dict(let dict): !dict.keys.isEmpty
    default: true
    }
  }

  /// The number, booleans being 0 and 1.
  var number: Double? {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .int(let value): Double(value)
    case .double(let value): value
    default: nil
    }
  }

  var integer: Int? {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .int(let value): value
    default: nil
    }
  }

  var isUndefined: Bool { if case .undefined = self { true } else { false } }

  /// Python's name of the type.
  var typeName: String {
    switch self {
    case .undefined: "Undefined"
    case .none: "NoneType"
    case .bool: "bool"
    case .int: "int"
    case .double: "float"
    case .string: "str"
    case .list(let list): list.isTuple ? "tuple" : "list"
    case .dict: "dict"
    case .namespace: "Namespace"
    case .macro: "Macro"
    case .loop: "LoopContext"
    case .cycler: "Cycler"
    case .method: "method"
    case .function: "function"
    }
  }

  /// Python's `str`.
  var text: String {
    switch self {
    case .undefined: ""
    case .string(let text): text
    default: repr
    }
  }

  /// Python's `repr`.
  var repr: String {
    var out = ""
    write(to: &out)
    return out
  }

  private func write(to out: inout String) {
    switch self {
    case .undefined: out += "Undefined"
    case .none: out += "None"
    case .bool(let value): out += value ? "True" : "False"
    case .int(let value): out += String(value)
    case .double(let value): out += pythonRepr(value)
    case .string(let text): out += pythonRepr(text)
    case .list(let list):
      out += list.isTuple ? "(" : "["
      for (index, item) in list.items.enumerated() {
        if index > 0 { out += ", " }
        item.write(to: &out)
      }
      if list.isTuple, list.items.count == 1 { out += "," }
      out += list.isTuple ? ")" : "]"
    case .dict(let dict):
      out += "{"
      for index in dict.keys.indices {
        if index > 0 { out += ", " }
        dict.keys[index].write(to: &out)
        out += ": "
        dict.values[index].write(to: &out)
      }
      out += "}"
    case .namespace: out += "<Namespace>"
    case .macro(let macro): out += "<Macro '\(macro.name)'>"
    case .loop(let loop): out += "<LoopContext \(loop.index + 1)/\(loop.items.count)>"
    case .cycler: out += "<Cycler>"
    case .method(_, let name): out += "<method \(name)>"
    case .function(let name): out += "<function \(name)>"
    }
  }
}

/// Python's `repr` of a string.
func pythonRepr(_ text: String) -> String {
  let quote: Unicode.Scalar =
    text.utf8.contains(0x27) && !text.utf8.contains(0x22) ? "\"" : "'"
  var out = String.UnicodeScalarView()
  out.append(quote)
  func hex(_ value: UInt32, _ width: Int) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
  }
  for scalar in text.unicodeScalars {
    switch scalar {
    case quote, "\\":
      out.append("\\")
      out.append(scalar)
    case "\n": out.append(contentsOf: "\\n".unicodeScalars)
    case "\r": out.append(contentsOf: "\\r".unicodeScalars)
    case "\t": out.append(contentsOf: "\\t".unicodeScalars)
    case " "..."~": out.append(scalar)
    default:
      switch scalar.properties.generalCategory {
      case .control, .format, .surrogate, .privateUse, .unassigned, .spaceSeparator,
        .lineSeparator, .paragraphSeparator:
        let value = scalar.value
        let escape =
          value < 0x100
          ? "\\x" + hex(value, 2)
          : value < 0x10000 ? "\\u" + hex(value, 4) : "\\U" + hex(value, 8)
        out.append(contentsOf: escape.unicodeScalars)
      default: out.append(scalar)
      }
    }
  }
  out.append(quote)
  return String(out)
}

/// Python's `==`.
func jinjaEqual(_ a: JinjaValue, _ b: JinjaValue) -> Bool {
  if let x = a.number, let y = b.number {
    if let m = a.integer, let n = b.integer { return m == n }
    return x == y
  }
  switch (a, b) {
  case (.undefined, .undefined), (.none, .none): return true
  case (.string(let x), .string(let y)): return sameBytes(x, y)
  case (.list(let x), .list(let y)):
    return x.isTuple == y.isTuple && x.items.count == y.items.count
      && zip(x.items, y.items).allSatisfy { jinjaEqual($0, $1) }
  case (.dict(let x), .dict(let y)):
    return x.keys.count == y.keys.count
      && zip(x.keys, x.values).allSatisfy { key, value in
        y[key].map { jinjaEqual($0, value) } ?? false
      }
  case (.namespace(let x), .namespace(let y)): return x === y
  case (.macro(let x), .macro(let y)): return x === y
  case (.loop(let x), .loop(let y)): return x === y
  case (.cycler(let x), .cycler(let y)): return x === y
  default: return false
  }
}
