// The filters.

import Formats

enum JinjaFilters {
  static let names: Set<String> = [
    "abs", "attr", "batch", "capitalize", "center", "count", "d", "default", "dictsort", "e",
    "escape", "first", "float", "forceescape", "format", "groupby", "indent", "int", "items",
    "join", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr",
    "replace", "reverse", "round", "safe", "select", "selectattr", "slice", "sort", "string",
    "sum", "title", "tojson", "trim", "truncate", "unique", "upper", "urlencode", "wordcount",
  ]
}

extension JinjaInterpreter {
  func filter(
    _ name: String, _ value: JinjaValue, _ arguments: JinjaCallArguments
  ) throws(TextError) -> JinjaValue {
    try step(1 + value.weight / 64)
    switch name {
    case "abs":
      if let integer = value.integer {
        guard integer != .min else { throw failure("an integer passes 64 bits") }
        return .int(abs(integer))
      }
      guard let number = value.number else { throw failure("abs of \(value.typeName)") }
      return .double(abs(number))
    case "attr": return try attribute(value, try required(arguments, 0, "name", name).text)
    case "d", "default":
      let treatsFalse = arguments.get(1, "boolean")?.isTrue ?? false
      if value.isUndefined || (treatsFalse && !value.isTrue) {
        return arguments.get(0, "default_value") ?? .emptyString
      }
      return value
    case "count", "length": return .int(try length(value))
    case "first":
      return try iterate(value).first ?? .undefined("No first item, sequence was empty.")
    case "last":
      return try iterate(value).last ?? .undefined("No last item, sequence was empty.")
    case "list": return try makeList(try iterate(value))
    case "string": return try make(value.text)
    case "safe": return value
    case "int": return try toInt(value, arguments)
    case "float":
      if let number = value.number { return .double(number) }
      if case .string(let text) = value, let number = pythonFloat(text) { return .double(number) }
      return arguments.get(0, "default") ?? .double(0)
    case "round": return try round(value, arguments)
    case "tojson": return try toJSON(value, arguments)
    case "items":
      if value.isUndefined { return try makeList([]) }
      guard case .dict(let dict) = value else {
        throw failure("Can only get item pairs from a mapping.")
      }
      return try pairs(dict)
    case "map", "select", "reject", "selectattr", "rejectattr":
      return try mapOrSelect(name, try iterate(value), arguments)
    case "join":
      var items = try iterate(value)
      if let key = arguments.get(1, "attribute") { items = try items.map(path(key)) }
      return try join(items, arguments.get(0, "d")?.text ?? "")
    case "reverse":
      if case .string(let text) = value {
        return try make(String(String.UnicodeScalarView(text.unicodeScalars.reversed())))
      }
      return try makeList(try iterate(value).reversed())
    case "sort", "unique", "min", "max", "dictsort", "groupby", "sum", "batch", "slice":
      return try sequenceFilter(name, value, arguments)
    default:
      try step(value.isUndefined ? 0 : textSize(value) / 8)
      return try textFilter(name, value.text, arguments)
    }
  }

  private func textSize(_ value: JinjaValue) -> Int {
    if case .string(let text) = value { text.utf8.count } else { 0 }
  }

  private func length(_ value: JinjaValue) throws(TextError) -> Int {
    switch value {
    case .string(let text):
      try step(text.utf8.count / 16)
      return text.unicodeScalars.count
    case .list(let list): return list.items.count
    case .dict(let dict): return dict.keys.count
    case .undefined: return 0
    default: throw failure("object of type '\(value.typeName)' has no len()")
    }
  }

  // MARK: numbers

  private func pythonFloat(_ text: String) -> Double? {
    let trimmed = JinjaMethods.trimmed(text, nil)
    guard !trimmed.utf8.contains(UInt8(ascii: "x")), !trimmed.utf8.contains(UInt8(ascii: "X"))
    else { return nil }
    return Double(trimmed)
  }

  private func toInt(
    _ value: JinjaValue, _ arguments: JinjaCallArguments
  ) throws(TextError) -> JinjaValue {
    let standard = arguments.get(0, "default") ?? .int(0)
    if let integer = value.integer { return .int(integer) }
    var number = value.number
    if case .string(let text) = value {
      let base = arguments.get(1, "base")?.integer ?? 10
      guard (2...36).contains(base) else { throw failure("int() base must be 2 to 36") }
      if let integer = Int(JinjaMethods.trimmed(text, nil), radix: base) { return .int(integer) }
      number = pythonFloat(text)
    }
    guard let number, let integer = Int(exactly: number.rounded(.towardZero)) else {
      return standard
    }
    return .int(integer)
  }

  private func round(
    _ value: JinjaValue, _ arguments: JinjaCallArguments
  ) throws(TextError) -> JinjaValue {
    guard let number = value.number else { throw failure("cannot round \(value.typeName)") }
    let precision = arguments.get(0, "precision")?.integer ?? 0
    let method = arguments.get(1, "method")?.text ?? "common"
    guard (-300...300).contains(precision) else { throw failure("precision is too large") }
    var scale = 1.0
    for _ in 0..<abs(precision) { scale *= 10 }
    let scaled = precision < 0 ? number / scale : number * scale
    guard scaled.isFinite else { return .double(number) }
    let rule: FloatingPointRoundingRule
    switch method {
    case "common": rule = .toNearestOrEven
    case "ceil": rule = .up
    case "floor": rule = .down
    default: throw failure("method must be common, ceil or floor")
    }
    let rounded = scaled.rounded(rule)
    return .double(precision < 0 ? rounded * scale : rounded / scale)
  }

  // MARK: JSON

  private func toJSON(
    _ value: JinjaValue, _ arguments: JinjaCallArguments
  ) throws(TextError) -> JinjaValue {
    guard let json = value.json else {
      throw failure("Object of type \(value.typeName) is not JSON serializable")
    }
    var options = JSON.WriteOptions(ensureASCII: false)
    if let indent = arguments.named("indent") ?? arguments.get(0, "indent") {
      options.indent = indent.integer.map { min(max($0, 0), 64) }
    }
    options.ensureASCII = arguments.named("ensure_ascii")?.isTrue ?? false
    options.sortKeys = arguments.named("sort_keys")?.isTrue ?? false
    if case .list(let pair)? = arguments.named("separators"), pair.items.count == 2 {
      options.compact = pair.items[0].text == "," && pair.items[1].text == ":"
    }
    return try make(json.serialized(options))
  }

  // MARK: sequences

  /// A function that follows "a.b.0" from an item.
  func path(_ key: JinjaValue) -> (JinjaValue) throws(TextError) -> JinjaValue {
    let parts: [JinjaValue]
    if case .string(let text) = key {
      parts = text.split(separator: ".").map { part in
        Int(part).map { .int($0) } ?? .string(String(part))
      }
    } else {
      parts = [key]
    }
    return { [self] (item: JinjaValue) throws(TextError) -> JinjaValue in
      var value = item
      for part in parts {
        if value.isUndefined { return value }
        value = try subscripted(value, part)
      }
      return value
    }
  }

  private func mapOrSelect(
    _ name: String, _ items: [JinjaValue], _ arguments: JinjaCallArguments
  ) throws(TextError) -> JinjaValue {
    try step(items.count)
    if name == "map" {
      if let key = arguments.named("attribute") {
        let follow = path(key)
        let standard = arguments.named("default")
        var out: [JinjaValue] = []
        for item in items {
          let found = try follow(item)
          out.append(found.isUndefined ? standard ?? found : found)
        }
        return try makeList(out)
      }
      let filterName = try required(arguments, 0, "filter", name).text
      guard JinjaFilters.names.contains(filterName) else {
        throw failure("no filter named '\(filterName)'")
      }
      var rest = arguments
      rest.positional.removeFirst()
      var out: [JinjaValue] = []
      for item in items { out.append(try filter(filterName, item, rest)) }
      return try makeList(out)
    }
    var rest = arguments
    var follow: ((JinjaValue) throws(TextError) -> JinjaValue)?
    if name.hasSuffix("attr") {
      follow = path(try required(arguments, 0, "attribute", name))
      rest.positional.removeFirst()
    }
    var testName: String?
    if let first = rest.positional.first {
      testName = first.text
      rest.positional.removeFirst()
      guard JinjaChecks.names.contains(first.text) else {
        throw failure("no test named '\(first.text)'")
      }
    }
    let keeps = name.hasPrefix("select")
    var out: [JinjaValue] = []
    for item in items {
      let subject = try follow?(item) ?? item
      let holds =
        try testName.map { (test) throws(TextError) in try check(test, subject, rest) }
        ?? subject.isTrue
      if holds == keeps { out.append(item) }
    }
    return try makeList(out)
  }

  private func folded(_ value: JinjaValue, _ isCaseSensitive: Bool) -> JinjaValue {
    if case .string(let text) = value, !isCaseSensitive { return .string(text.lowercased()) }
    return value
  }

  /// A stable merge sort, so that an error in a comparison ends it.
  private func sorted(
    _ items: [(key: JinjaValue, value: JinjaValue)], reverse: Bool
  ) throws(TextError) -> [(key: JinjaValue, value: JinjaValue)] {
    try step(items.count)
    guard items.count > 1 else { return items }
    let middle = items.count / 2
    let left = try sorted(Array(items[..<middle]), reverse: reverse)
    let right = try sorted(Array(items[middle...]), reverse: reverse)
    var out: [(key: JinjaValue, value: JinjaValue)] = []
    var a = 0
    var b = 0
    while a < left.count, b < right.count {
      let takesRight =
        reverse
        ? try isLess(left[a].key, right[b].key) : try isLess(right[b].key, left[a].key)
      out.append(takesRight ? right[b] : left[a])
      if takesRight { b += 1 } else { a += 1 }
    }
    return out + left[a...] + right[b...]
  }

  private func sequenceFilter(
    _ name: String, _ value: JinjaValue, _ arguments: JinjaCallArguments
  ) throws(TextError) -> JinjaValue {
    func key(_ item: JinjaValue, _ attribute: JinjaValue?, _ cased: Bool)
      throws(TextError) -> JinjaValue
    {
      folded(try attribute.map { (key) throws(TextError) in try path(key)(item) } ?? item, cased)
    }
    switch name {
    case "dictsort":
      guard case .dict(let dict) = value else { throw failure("dictsort needs a mapping") }
      let byValue = arguments.get(1, "by")?.text == "value"
      let cased = arguments.get(0, "case_sensitive")?.isTrue ?? false
      var items: [(key: JinjaValue, value: JinjaValue)] = []
      for (k, v) in zip(dict.keys, dict.values) {
        items.append((folded(byValue ? v : k, cased), try makeList([k, v], isTuple: true)))
      }
      let reverse = arguments.get(2, "reverse")?.isTrue ?? false
      return try makeList(try sorted(items, reverse: reverse).map(\.value))
    case "sort":
      let cased = arguments.get(1, "case_sensitive")?.isTrue ?? false
      let attribute = arguments.get(2, "attribute")
      var items: [(key: JinjaValue, value: JinjaValue)] = []
      for item in try iterate(value) { items.append((try key(item, attribute, cased), item)) }
      let reverse = arguments.get(0, "reverse")?.isTrue ?? false
      return try makeList(try sorted(items, reverse: reverse).map(\.value))
    case "unique":
      let cased = arguments.get(0, "case_sensitive")?.isTrue ?? false
      let attribute = arguments.get(1, "attribute")
      var seen: [JinjaValue] = []
      var out: [JinjaValue] = []
      for item in try iterate(value) {
        let wanted = try key(item, attribute, cased)
        try step(seen.count / 4)
        if seen.contains(where: { jinjaEqual($0, wanted) }) { continue }
        seen.append(wanted)
        out.append(item)
      }
      return try makeList(out)
    case "min", "max":
      let cased = arguments.get(0, "case_sensitive")?.isTrue ?? false
      let attribute = arguments.get(1, "attribute")
      var best: (key: JinjaValue, value: JinjaValue)?
      for item in try iterate(value) {
        let candidate = try key(item, attribute, cased)
        guard let current = best else {
          best = (candidate, item)
          continue
        }
        let wins =
          name == "min"
          ? try isLess(candidate, current.key) : try isLess(current.key, candidate)
        if wins { best = (candidate, item) }
      }
      return best?.value ?? .undefined("No aggregated item, sequence was empty.")
    case "sum":
      var total = arguments.get(1, "start") ?? .int(0)
      let attribute = arguments.get(0, "attribute")
      for item in try iterate(value) {
        total = try binary("+", total, try key(item, attribute, true))
      }
      return total
    case "groupby":
      let attribute = try required(arguments, 0, "attribute", name)
      var items: [(key: JinjaValue, value: JinjaValue)] = []
      for item in try iterate(value) { items.append((try key(item, attribute, true), item)) }
      var groups: [(JinjaValue, [JinjaValue])] = []
      for (key, item) in try sorted(items, reverse: false) {
        if let last = groups.indices.last, jinjaEqual(groups[last].0, key) {
          groups[last].1.append(item)
        } else {
          groups.append((key, [item]))
        }
      }
      var out: [JinjaValue] = []
      for (key, members) in groups {
        out.append(try makeList([key, try makeList(members)], isTuple: true))
      }
      return try makeList(out)
    default: return try cut(name, try iterate(value), arguments)
    }
  }

  /// batch and slice.
  private func cut(
    _ name: String, _ items: [JinjaValue], _ arguments: JinjaCallArguments
  ) throws(TextError) -> JinjaValue {
    guard let count = arguments.positional.first?.integer, count > 0, count <= 100_000 else {
      throw failure("\(name) needs a positive count")
    }
    let fill = arguments.get(1, "fill_with")
    var rows: [JinjaValue] = []
    if name == "batch" {
      var at = 0
      while at < items.count {
        var row = Array(items[at..<min(at + count, items.count)])
        if let fill, row.count < count {
          row += Array(repeating: fill, count: count - row.count)
        }
        rows.append(try makeList(row))
        at += count
      }
    } else {
      let size = items.count / count
      let longer = items.count % count
      var at = 0
      for index in 0..<count {
        let end = at + size + (index < longer ? 1 : 0)
        var row = Array(items[at..<end])
        if let fill, longer > 0, index >= longer { row.append(fill) }
        rows.append(try makeList(row))
        at = end
      }
    }
    return try makeList(rows)
  }

  // MARK: texts

  private func textFilter(
    _ name: String, _ text: String, _ arguments: JinjaCallArguments
  ) throws(TextError) -> JinjaValue {
    switch name {
    case "upper": return try make(text.uppercased())
    case "lower": return try make(text.lowercased())
    case "capitalize": return try make(JinjaMethods.capitalized(text))
    case "title": return try make(titleFilter(text))
    case "trim":
      var characters: String?
      if case .string(let given)? = arguments.get(0, "chars") { characters = given }
      return try make(JinjaMethods.trimmed(text, characters))
    case "replace":
      let old = try required(arguments, 0, "old", name).text
      let new = try required(arguments, 1, "new", name).text
      return try replace(text, old, new, arguments.get(2, "count")?.integer)
    case "center":
      let width = arguments.get(0, "width")?.integer ?? 80
      try checkSize(width)
      return try make(padded(text, width, " ", left: true, right: true))
    case "wordcount":
      let isWord = { (scalar: Unicode.Scalar) -> Bool in
        let kind = UnicodeClass.table[Int(scalar.value)]
        return (kind >= UnicodeClass.upper && kind <= UnicodeClass.number) || scalar == "_"
      }
      return .int(text.unicodeScalars.split(whereSeparator: { !isWord($0) }).count)
    case "e", "escape", "forceescape":
      var out: [UInt8] = []
      for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "&"): out += "&amp;".utf8
        case UInt8(ascii: "<"): out += "&lt;".utf8
        case UInt8(ascii: ">"): out += "&gt;".utf8
        case UInt8(ascii: "\""): out += "&#34;".utf8
        case UInt8(ascii: "'"): out += "&#39;".utf8
        default: out.append(byte)
        }
      }
      return try make(String(decoding: out, as: UTF8.self))
    case "urlencode":
      let digits = Array("0123456789ABCDEF".utf8)
      var out: [UInt8] = []
      for byte in text.utf8 {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x5F, 0x2E, 0x2D, 0x7E, 0x2F: out.append(byte)
        default: out += [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
      }
      return try make(String(decoding: out, as: UTF8.self))
    case "indent":
      var pad = String(repeating: " ", count: 4)
      if case .string(let given)? = arguments.get(0, "width") {
        pad = given
      } else if let width = arguments.get(0, "width")?.integer {
        guard (0...1000).contains(width) else { throw failure("indent of \(width)") }
        pad = String(repeating: " ", count: width)
      }
      let first = arguments.get(1, "first")?.isTrue ?? false
      let blank = arguments.get(2, "blank")?.isTrue ?? false
      let lines = text.utf8.split(separator: 0x0A, omittingEmptySubsequences: false)
      try checkSize(text.utf8.count + pad.utf8.count * lines.count)
      var out: [String] = []
      for (index, line) in lines.enumerated() {
        let content = String(decoding: line, as: UTF8.self)
        let indents = index == 0 ? first : blank || !line.isEmpty
        out.append(indents ? pad + content : content)
      }
      return try make(out.joined(separator: "\n"))
    case "format": return try make(try percentFormat(text, arguments.positional))
    case "truncate":
      let length = arguments.get(0, "length")?.integer ?? 255
      let killWords = arguments.get(1, "killwords")?.isTrue ?? false
      let end = arguments.get(2, "end")?.text ?? "..."
      let leeway = arguments.get(3, "leeway")?.integer ?? 5
      let scalars = Array(text.unicodeScalars)
      guard length >= end.unicodeScalars.count else { throw failure("truncate is too short") }
      guard scalars.count > length.addingReportingOverflow(leeway).partialValue else {
        return .string(text)
      }
      var kept = String(
        String.UnicodeScalarView(scalars[..<max(0, length - end.unicodeScalars.count)]))
      if !killWords, let blank = kept.utf8.lastIndex(of: 0x20) { kept = String(kept[..<blank]) }
      return try make(kept + end)
    default: throw failure("no filter named '\(name)'")
    }
  }

  /// Jinja's title: words split at blanks, hyphens and opening brackets.
  private func titleFilter(_ text: String) -> String {
    var out = ""
    var startsWord = true
    for scalar in text.unicodeScalars {
      if JinjaMethods.isSpace(scalar) || "-({[<".unicodeScalars.contains(scalar) {
        out.unicodeScalars.append(scalar)
        startsWord = true
      } else {
        out += startsWord ? scalar.properties.uppercaseMapping : scalar.properties.lowercaseMapping
        startsWord = false
      }
    }
    return out
  }
}
