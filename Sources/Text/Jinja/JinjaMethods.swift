// The methods of Python's strings, dicts and lists that templates call.
//
// Strings are handled as UTF-8, never as Swift characters: a line break pair or a composed
// letter is one Swift character, but two of Python's.

import Formats

enum JinjaMethods {
  static let ofString: Set<String> = [
    "strip", "lstrip", "rstrip", "split", "rsplit", "splitlines", "startswith", "endswith",
    "replace", "upper", "lower", "title", "capitalize", "casefold", "swapcase", "find", "rfind",
    "index", "count", "join", "isdigit", "isdecimal", "isnumeric", "isalpha", "isalnum",
    "isupper", "islower", "isspace", "removeprefix", "removesuffix", "zfill", "ljust", "rjust",
    "center", "partition", "rpartition", "format",
  ]
  static let ofDict: Set<String> = ["items", "keys", "values", "get", "copy"]
  static let ofList: Set<String> = ["index", "count", "copy"]

  static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
    UnicodeClass.table[Int(scalar.value)] == UnicodeClass.space
      || (scalar.value >= 0x1C && scalar.value <= 0x1F)
  }

  static func trimmed(
    _ text: String, _ characters: String?, left: Bool = true, right: Bool = true
  ) -> String {
    var scalars = text.unicodeScalars[...]
    let set = characters.map { Set($0.unicodeScalars) }
    func drops(_ scalar: Unicode.Scalar) -> Bool { set?.contains(scalar) ?? isSpace(scalar) }
    if left { while let first = scalars.first, drops(first) { scalars.removeFirst() } }
    if right { while let last = scalars.last, drops(last) { scalars.removeLast() } }
    return String(scalars)
  }

  static func replaced(
    _ text: String, _ old: String, with new: String, limit: Int = .max
  ) -> [UInt8] {
    let bytes = Array(text.utf8)
    let wanted = Array(old.utf8)
    let content = Array(new.utf8)
    var out: [UInt8] = []
    var at = 0
    var done = 0
    if wanted.isEmpty {
      for scalar in text.unicodeScalars {
        if done < limit { out += content }
        done += 1
        appendScalar(scalar.value, to: &out)
      }
      if done < limit { out += content }
      return out
    }
    while done < limit, let found = findBytes(bytes, wanted, from: at) {
      out += bytes[at..<found]
      out += content
      at = found + wanted.count
      done += 1
    }
    out += bytes[at...]
    return out
  }

  /// Letters after a non-letter in upper case, others in lower, as `str.title`.
  static func titled(_ text: String) -> String {
    var out = ""
    var inWord = false
    for scalar in text.unicodeScalars {
      out += inWord ? scalar.properties.lowercaseMapping : scalar.properties.titlecaseMapping
      inWord = scalar.properties.isCased
    }
    return out
  }

  static func capitalized(_ text: String) -> String {
    guard let first = text.unicodeScalars.first else { return text }
    return first.properties.titlecaseMapping
      + String(text.unicodeScalars.dropFirst()).lowercased()
  }

  static func words(_ text: String) -> [String] {
    text.unicodeScalars.split(whereSeparator: isSpace).map { String($0) }
  }
}

extension JinjaInterpreter {
  func method(
    _ receiver: JinjaValue, _ name: String, _ arguments: JinjaCallArguments
  ) throws(TextError) -> JinjaValue {
    switch receiver {
    case .string(let text):
      try step(text.utf8.count / 8)
      return try stringMethod(text, name, arguments)
    case .dict(let dict): return try dictMethod(dict, name, arguments)
    case .list(let list):
      try step(list.items.count)
      switch name {
      case "copy": return receiver
      case "count":
        let wanted = try required(arguments, 0, "value", name)
        return .int(list.items.lazy.filter { jinjaEqual($0, wanted) }.count)
      default:
        let wanted = try required(arguments, 0, "value", name)
        guard let index = list.items.firstIndex(where: { jinjaEqual($0, wanted) }) else {
          throw failure("\(wanted.repr) is not in list")
        }
        return .int(index)
      }
    case .loop(let loop):
      if name == "cycle" {
        guard !arguments.positional.isEmpty else { throw failure("no items for cycling given") }
        return arguments.positional[loop.index % arguments.positional.count]
      }
      let values = arguments.positional
      let isSame = loop.lastChanged.map { last in
        last.count == values.count && zip(last, values).allSatisfy { jinjaEqual($0, $1) }
      }
      loop.lastChanged = values
      return .bool(isSame != true)
    case .cycler(let cycler):
      if name == "reset" {
        cycler.index = 0
        return .none
      }
      defer { cycler.index = (cycler.index + 1) % cycler.items.count }
      return cycler.items[cycler.index]
    default: throw failure("'\(receiver.typeName)' object has no method '\(name)'")
    }
  }

  func required(
    _ arguments: JinjaCallArguments, _ index: Int, _ name: String, _ function: String
  ) throws(TextError) -> JinjaValue {
    guard let value = arguments.get(index, name) else {
      throw failure("\(function)() is missing the argument '\(name)'")
    }
    return value
  }

  private func requiredText(
    _ arguments: JinjaCallArguments, _ index: Int, _ name: String, _ function: String
  ) throws(TextError) -> String {
    let value = try required(arguments, index, name, function)
    guard case .string(let text) = value else {
      throw failure("\(function)() argument must be str, not \(value.typeName)")
    }
    return text
  }

  private func dictMethod(
    _ dict: JinjaDict, _ name: String, _ arguments: JinjaCallArguments
  ) throws(TextError) -> JinjaValue {
    try step(dict.keys.count)
    switch name {
    case "items": return try pairs(dict)
    case "keys": return try makeList(dict.keys)
    case "values": return try makeList(dict.values)
    case "copy": return .dict(dict)
    default:
      let key = try required(arguments, 0, "key", name)
      return dict[key] ?? arguments.get(1, "default") ?? .none
    }
  }

  func pairs(_ dict: JinjaDict) throws(TextError) -> JinjaValue {
    var items: [JinjaValue] = []
    for (key, value) in zip(dict.keys, dict.values) {
      items.append(try makeList([key, value], isTuple: true))
    }
    return try makeList(items)
  }

  private func stringMethod(
    _ text: String, _ name: String, _ arguments: JinjaCallArguments
  ) throws(TextError) -> JinjaValue {
    func characters() throws(TextError) -> String? {
      guard let value = arguments.get(0, "chars") else { return nil }
      if case .none = value { return nil }
      return try requiredText(arguments, 0, "chars", name)
    }
    func affixes() throws(TextError) -> [String] {
      let value = try required(arguments, 0, "prefix", name)
      if case .list(let list) = value, list.isTuple { return list.items.map(\.text) }
      return [try requiredText(arguments, 0, "prefix", name)]
    }
    func all(_ holds: (Unicode.Scalar) -> Bool) -> JinjaValue {
      .bool(!text.isEmpty && text.unicodeScalars.allSatisfy(holds))
    }
    func kind(_ scalar: Unicode.Scalar) -> UInt8 { UnicodeClass.table[Int(scalar.value)] }
    func isAlpha(_ scalar: Unicode.Scalar) -> Bool {
      kind(scalar) >= UnicodeClass.upper && kind(scalar) <= UnicodeClass.otherLetter
    }
    func pad(_ left: Bool, _ right: Bool) throws(TextError) -> JinjaValue {
      guard let width = arguments.get(0, "width")?.integer else {
        throw failure("\(name)() needs a width")
      }
      let fill = arguments.get(1, "fillchar")?.text ?? " "
      try checkSize(min(width, 1 << 40))
      return try make(padded(text, width, fill, left: left, right: right))
    }
    switch name {
    case "strip": return try make(JinjaMethods.trimmed(text, try characters()))
    case "lstrip": return try make(JinjaMethods.trimmed(text, try characters(), right: false))
    case "rstrip": return try make(JinjaMethods.trimmed(text, try characters(), left: false))
    case "split", "rsplit": return try split(text, arguments, fromRight: name == "rsplit")
    case "splitlines":
      var lines = text.utf8.split(
        separator: 0x0A, omittingEmptySubsequences: false
      ).map { String($0) ?? "" }
      if lines.last?.isEmpty == true { lines.removeLast() }
      let keeps = arguments.get(0, "keepends")?.isTrue ?? false
      return try makeList(
        lines.map { line in
          let isCR = line.utf8.last == 0x0D
          return .string(
            keeps ? line + "\n" : isCR ? String(line.unicodeScalars.dropLast()) : line)
        })
    case "startswith": return .bool(try affixes().contains { text.utf8.starts(with: $0.utf8) })
    case "endswith":
      return .bool(
        try affixes().contains { text.utf8.reversed().starts(with: $0.utf8.reversed()) })
    case "removeprefix":
      let affix = try requiredText(arguments, 0, "prefix", name)
      guard text.utf8.starts(with: affix.utf8) else { return .string(text) }
      return try make(String(decoding: text.utf8.dropFirst(affix.utf8.count), as: UTF8.self))
    case "removesuffix":
      let affix = try requiredText(arguments, 0, "suffix", name)
      guard text.utf8.reversed().starts(with: affix.utf8.reversed()) else { return .string(text) }
      return try make(String(decoding: text.utf8.dropLast(affix.utf8.count), as: UTF8.self))
    case "replace":
      return try replace(
        text, try requiredText(arguments, 0, "old", name),
        try requiredText(arguments, 1, "new", name), arguments.get(2, "count")?.integer)
    case "upper": return try make(text.uppercased())
    case "lower", "casefold": return try make(text.lowercased())
    case "title": return try make(JinjaMethods.titled(text))
    case "capitalize": return try make(JinjaMethods.capitalized(text))
    case "swapcase":
      let swapped = text.unicodeScalars.map {
        $0.properties.isUppercase ? $0.properties.lowercaseMapping : $0.properties.uppercaseMapping
      }
      return try make(swapped.joined())
    case "find", "rfind", "index", "count":
      return try search(text, try requiredText(arguments, 0, "sub", name), name)
    case "join":
      let items = try iterate(try required(arguments, 0, "iterable", name))
      for item in items {
        guard case .string = item else {
          throw failure("join(): expected str instance, \(item.typeName) found")
        }
      }
      return try join(items, text)
    case "isdigit", "isdecimal", "isnumeric":
      return all { $0.properties.numericType != nil && kind($0) == UnicodeClass.number }
    case "isalpha": return all(isAlpha)
    case "isalnum": return all { isAlpha($0) || kind($0) == UnicodeClass.number }
    case "isspace": return all(JinjaMethods.isSpace)
    case "isupper":
      let cased = text.unicodeScalars.filter(\.properties.isCased)
      return .bool(!cased.isEmpty && cased.allSatisfy { $0.properties.isUppercase })
    case "islower":
      let cased = text.unicodeScalars.filter(\.properties.isCased)
      return .bool(!cased.isEmpty && cased.allSatisfy { $0.properties.isLowercase })
    case "ljust": return try pad(false, true)
    case "rjust": return try pad(true, false)
    case "center": return try pad(true, true)
    case "zfill":
      guard let width = arguments.get(0, "width")?.integer else {
        throw failure("zfill() needs a width")
      }
      try checkSize(min(width, 1 << 40))
      let isSigned = text.utf8.first == 0x2D || text.utf8.first == 0x2B
      let digits = isSigned ? String(text.unicodeScalars.dropFirst()) : text
      let sign = isSigned ? String(text.unicodeScalars.prefix(1)) : ""
      return try make(
        sign + padded(digits, max(1, width) - sign.utf8.count, "0", left: true, right: false))
    case "partition", "rpartition":
      let separator = Array(try requiredText(arguments, 0, "sep", name).utf8)
      guard !separator.isEmpty else { throw failure("empty separator") }
      let bytes = Array(text.utf8)
      let places = occurrences(bytes, separator)
      let place = name == "partition" ? places.first : places.last
      var parts: [String]
      if let place {
        let end = place + separator.count
        parts = [bytes[..<place], bytes[place..<end], bytes[end...]].map {
          String(decoding: $0, as: UTF8.self)
        }
      } else {
        parts = name == "partition" ? [text, "", ""] : ["", "", text]
      }
      return try makeList(parts.map { .string($0) }, isTuple: true)
    default: return try make(try format(text, arguments))
    }
  }

  func replace(
    _ text: String, _ old: String, _ new: String, _ count: Int?
  ) throws(TextError) -> JinjaValue {
    let limit = count.map { $0 < 0 ? Int.max : $0 } ?? .max
    // Bound the result before it is made.
    let places =
      old.isEmpty
      ? text.unicodeScalars.count + 1
      : occurrences(Array(text.utf8), Array(old.utf8)).count
    let growth = min(places, limit).multipliedReportingOverflow(by: new.utf8.count)
    try checkSize(
      growth.overflow
        ? .max : text.utf8.count.addingReportingOverflow(growth.partialValue).partialValue)
    let bytes = JinjaMethods.replaced(text, old, with: new, limit: limit)
    return try make(String(decoding: bytes, as: UTF8.self))
  }

  func join(_ items: [JinjaValue], _ separator: String) throws(TextError) -> JinjaValue {
    var out = ""
    for (index, item) in items.enumerated() {
      if index > 0 { out += separator }
      out += item.text
      guard out.utf8.count <= jinjaMaximumWeight else { try checkSize(out.utf8.count); break }
      try step()
    }
    return try make(out)
  }

  func padded(
    _ text: String, _ width: Int, _ fill: String, left: Bool, right: Bool
  ) -> String {
    let missing = max(0, width) - text.unicodeScalars.count
    guard missing > 0 else { return text }
    // Python puts the odd one of `center` left where the width is odd.
    let before = left ? (right ? missing / 2 + (missing & width & 1) : missing) : 0
    let after = right ? missing - before : 0
    return String(repeating: fill, count: before) + text + String(repeating: fill, count: after)
  }

  private func occurrences(_ bytes: [UInt8], _ wanted: [UInt8]) -> [Int] {
    var places: [Int] = []
    var at = 0
    while let found = findBytes(bytes, wanted, from: at) {
      places.append(found)
      at = found + max(1, wanted.count)
    }
    return places
  }

  private func search(
    _ text: String, _ part: String, _ name: String
  ) throws(TextError) -> JinjaValue {
    let bytes = Array(text.utf8)
    if part.isEmpty {
      let count = text.unicodeScalars.count
      return .int(name == "count" ? count + 1 : name == "rfind" ? count : 0)
    }
    let wanted = Array(part.utf8)
    if name == "count" { return .int(occurrences(bytes, wanted).count) }
    var place = findBytes(bytes, wanted)
    if name == "rfind" {
      while let found = place, let next = findBytes(bytes, wanted, from: found + 1) {
        place = next
      }
    }
    guard let place else {
      if name == "index" { throw failure("substring not found") }
      return .int(-1)
    }
    // Bytes to code points.
    return .int(bytes[..<place].lazy.filter { $0 & 0xC0 != 0x80 }.count)
  }

  private func split(
    _ text: String, _ arguments: JinjaCallArguments, fromRight: Bool
  ) throws(TextError) -> JinjaValue {
    let limit = arguments.get(1, "maxsplit")?.integer ?? -1
    var parts: [String] = []
    if case .string(let separator)? = arguments.get(0, "sep") {
      guard !separator.isEmpty else { throw failure("empty separator") }
      let bytes = Array(text.utf8)
      let wanted = Array(separator.utf8)
      var places = occurrences(bytes, wanted)
      if limit >= 0 { places = Array(fromRight ? places.suffix(limit) : places.prefix(limit)) }
      var start = 0
      for place in places {
        parts.append(String(decoding: bytes[start..<place], as: UTF8.self))
        start = place + wanted.count
      }
      parts.append(String(decoding: bytes[start...], as: UTF8.self))
    } else {
      parts = JinjaMethods.words(text)
      if limit >= 0, parts.count > limit {
        // The rest keeps its inner blanks.
        let scalars = Array(text.unicodeScalars)
        var at = fromRight ? scalars.count : 0
        var taken: [String] = []
        let direction = fromRight ? -1 : 1
        func has() -> Bool { fromRight ? at > 0 : at < scalars.count }
        func current() -> Unicode.Scalar { scalars[fromRight ? at - 1 : at] }
        for _ in 0..<limit {
          while has(), JinjaMethods.isSpace(current()) { at += direction }
          let from = at
          while has(), !JinjaMethods.isSpace(current()) { at += direction }
          var word = String.UnicodeScalarView()
          word.append(contentsOf: scalars[min(from, at)..<max(from, at)])
          taken.append(String(word))
        }
        var rest = String.UnicodeScalarView()
        rest.append(contentsOf: fromRight ? scalars[..<at] : scalars[at...])
        let trimmed = JinjaMethods.trimmed(String(rest), nil)
        parts = fromRight ? [trimmed] + taken.reversed() : taken + [trimmed]
      }
    }
    return try makeList(parts.map { .string($0) })
  }

  /// `str.format` with plain fields: {} {0} {name}.
  private func format(
    _ text: String, _ arguments: JinjaCallArguments
  ) throws(TextError) -> String {
    var out = ""
    var next = 0
    let scalars = Array(text.unicodeScalars)
    var at = 0
    while at < scalars.count {
      let scalar = scalars[at]
      if (scalar == "{" || scalar == "}"), at + 1 < scalars.count, scalars[at + 1] == scalar {
        out.unicodeScalars.append(scalar)
        at += 2
        continue
      }
      guard scalar == "{" else {
        out.unicodeScalars.append(scalar)
        at += 1
        continue
      }
      guard let end = scalars[at...].firstIndex(of: "}") else { throw failure("a { is not closed") }
      var field = String.UnicodeScalarView()
      field.append(contentsOf: scalars[at + 1..<end])
      let key = String(field)
      var index = Int(key)
      if key.isEmpty {
        index = next
        next += 1
      }
      guard let value = index.map({ arguments.get($0, "") }) ?? arguments.named(key) else {
        throw failure("format(): the field {\(key)} has no plain argument")
      }
      out += value.text
      try checkSize(out.utf8.count)
      at = end + 1
    }
    return out
  }
}
