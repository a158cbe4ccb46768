// Operators, attributes, items and iteration, with Python's meaning.

import Formats
import Glibc

extension JinjaInterpreter {
  /// What a `for` runs over.
  func iterate(_ value: JinjaValue) throws(TextError) -> [JinjaValue] {
    switch value {
    case .list(let list):
      try step(list.items.count / 4)
      return list.items
    case .dict(let dict): return dict.keys
    case .string(let text):
      try step(text.utf8.count)
      return text.unicodeScalars.map { .string(String($0)) }
    case .undefined: return []
    default: throw failure("'\(value.typeName)' object is not iterable")
    }
  }

  // MARK: members

  func attribute(_ base: JinjaValue, _ name: String) throws(TextError) -> JinjaValue {
    switch base {
    case .undefined(let reason): throw failure(reason)
    case .namespace(let namespace):
      if let value = namespace.attributes[name] { return value }
    case .loop(let loop):
      if let value = try loopAttribute(loop, name) { return value }
    case .cycler(let cycler):
      if name == "current" { return cycler.items[cycler.index % cycler.items.count] }
      if name == "next" || name == "reset" { return .method(base, name) }
    case .macro(let macro):
      if name == "name" { return .string(macro.name) }
    case .dict(let dict):
      if JinjaMethods.ofDict.contains(name) { return .method(base, name) }
      if let value = dict[name] { return value }
    case .string:
      if JinjaMethods.ofString.contains(name) { return .method(base, name) }
    case .list:
      if JinjaMethods.ofList.contains(name) { return .method(base, name) }
    default: break
    }
    return .undefined("'\(base.typeName)' object has no attribute '\(name)'")
  }

  private func loopAttribute(
    _ loop: JinjaLoop, _ name: String
  ) throws(TextError) -> JinjaValue? {
    let count = loop.items.count
    switch name {
    case "index": return .int(loop.index + 1)
    case "index0": return .int(loop.index)
    case "revindex": return .int(count - loop.index)
    case "revindex0": return .int(count - loop.index - 1)
    case "first": return .bool(loop.index == 0)
    case "last": return .bool(loop.index == count - 1)
    case "length": return .int(count)
    case "depth": return .int(loop.level + 1)
    case "depth0": return .int(loop.level)
    case "previtem":
      return loop.index > 0 ? loop.items[loop.index - 1] : .undefined("there is no previous item")
    case "nextitem":
      return loop.index + 1 < count
        ? loop.items[loop.index + 1] : .undefined("there is no next item")
    case "cycle", "changed": return .method(.loop(loop), name)
    default: return nil
    }
  }

  func subscripted(_ base: JinjaValue, _ index: JinjaValue) throws(TextError) -> JinjaValue {
    switch base {
    case .undefined(let reason): throw failure(reason)
    case .list(let list):
      if let position = index.integer {
        let at = position < 0 ? position + list.items.count : position
        if list.items.indices.contains(at) { return list.items[at] }
        return .undefined("list index \(position) is out of range")
      }
    case .string(let text):
      if let position = index.integer {
        let scalars = text.unicodeScalars
        try step(scalars.count / 16)
        let at = position < 0 ? position + scalars.count : position
        guard at >= 0, at < scalars.count else {
          return .undefined("string index \(position) is out of range")
        }
        return .string(String(scalars[scalars.index(scalars.startIndex, offsetBy: at)]))
      }
    case .dict(let dict):
      try step(dict.keys.count / 8)
      if let value = dict[index] { return value }
    default: break
    }
    if case .string(let name) = index { return try attribute(base, name) }
    return .undefined("'\(base.typeName)' object has no item \(index.repr)")
  }

  // MARK: operators

  func unary(_ symbol: String, _ value: JinjaValue) throws(TextError) -> JinjaValue {
    if symbol == "not" { return .bool(!value.isTrue) }
    if case .undefined(let reason) = value { throw failure(reason) }
    if let integer = value.integer {
      guard symbol == "-" else { return .int(integer) }
      return .int(try exact(0.subtractingReportingOverflow(integer)))
    }
    if case .double(let number) = value { return .double(symbol == "-" ? -number : number) }
    throw failure("bad operand type for unary \(symbol): '\(value.typeName)'")
  }

  private func exact(
    _ result: (partialValue: Int, overflow: Bool)
  ) throws(TextError) -> Int {
    guard !result.overflow else { throw failure("an integer passes 64 bits") }
    return result.partialValue
  }

  func binary(
    _ symbol: String, _ left: JinjaValue, _ right: JinjaValue
  ) throws(TextError) -> JinjaValue {
    if symbol == "~" {
      try step((left.weight + right.weight) / 16)
      return try make(left.text + right.text)
    }
    if case .undefined(let reason) = left { throw failure(reason) }
    if case .undefined(let reason) = right { throw failure(reason) }
    if let a = left.integer, let b = right.integer { return try integers(symbol, a, b) }
    if let a = left.number, let b = right.number { return try numbers(symbol, a, b) }
    switch (symbol, left, right) {
    case ("+", .string(let a), .string(let b)): return try make(a + b)
    case ("+", .list(let a), .list(let b)) where a.isTuple == b.isTuple:
      return try makeList(a.items + b.items, isTuple: a.isTuple)
    case ("*", .string(let text), _), ("*", _, .string(let text)):
      guard let count = left.integer ?? right.integer else { break }
      let times = max(0, count)
      guard let size = checkedSize(text.utf8.count, times) else {
        throw failure("the repeated text is too long")
      }
      try checkSize(size)
      return .string(String(repeating: text, count: times))
    case ("*", .list(let list), _), ("*", _, .list(let list)):
      guard let count = left.integer ?? right.integer else { break }
      guard let size = checkedSize(list.items.count, max(0, count)), size <= 1_000_000 else {
        throw failure("the repeated list is too long")
      }
      let items = Array(repeatElement(list.items, count: max(0, count)).joined())
      return try makeList(items, isTuple: list.isTuple)
    case ("%", .string(let format), _):
      var values = [right]
      if case .list(let list) = right, list.isTuple { values = list.items }
      return try make(try percentFormat(format, values))
    case ("+", .string, _):
      throw failure("can only concatenate str (not \"\(right.typeName)\") to str")
    default: break
    }
    throw failure(
      "unsupported operand type(s) for \(symbol): '\(left.typeName)' and '\(right.typeName)'")
  }

  private func checkedSize(_ size: Int, _ times: Int) -> Int? {
    let (product, overflow) = size.multipliedReportingOverflow(by: times)
    return overflow ? nil : product
  }

  private func integers(_ symbol: String, _ a: Int, _ b: Int) throws(TextError) -> JinjaValue {
    switch symbol {
    case "+": return .int(try exact(a.addingReportingOverflow(b)))
    case "-": return .int(try exact(a.subtractingReportingOverflow(b)))
    case "*": return .int(try exact(a.multipliedReportingOverflow(by: b)))
    case "/":
      guard b != 0 else { throw failure("division by zero") }
      return .double(Double(a) / Double(b))
    case "//", "%":
      guard b != 0 else { throw failure("integer division or modulo by zero") }
      let quotient = try exact(a.dividedReportingOverflow(by: b))
      let remainder = a.remainderReportingOverflow(dividingBy: b).partialValue
      // Python rounds down; the remainder has the divisor's sign.
      let isBelow = remainder != 0 && (remainder < 0) != (b < 0)
      if symbol == "//" { return .int(isBelow ? quotient - 1 : quotient) }
      return .int(isBelow ? remainder + b : remainder)
    case "**":
      guard b >= 0 else { return try numbers(symbol, Double(a), Double(b)) }
      var result = 1
      var base = a
      var exponent = b
      while exponent > 0 {
        if exponent & 1 == 1 { result = try exact(result.multipliedReportingOverflow(by: base)) }
        exponent >>= 1
        if exponent > 0 { base = try exact(base.multipliedReportingOverflow(by: base)) }
      }
      return .int(result)
    default: throw failure("unknown operator \(symbol)")
    }
  }

  private func numbers(
    _ symbol: String, _ a: Double, _ b: Double
  ) throws(TextError) -> JinjaValue {
    switch symbol {
    case "+": return .double(a + b)
    case "-": return .double(a - b)
    case "*": return .double(a * b)
    case "**": return .double(pow(a, b))
    default:
      guard b != 0 else { throw failure("float division by zero") }
      switch symbol {
      case "/": return .double(a / b)
      case "//": return .double((a / b).rounded(.down))
      default:
        let remainder = fmod(a, b)
        return .double(remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder)
      }
    }
  }

  func compare(
    _ symbol: String, _ left: JinjaValue, _ right: JinjaValue
  ) throws(TextError) -> Bool {
    try step(min(left.weight, right.weight) / 64)
    switch symbol {
    case "==": return jinjaEqual(left, right)
    case "!=": return !jinjaEqual(left, right)
    case "in": return try contains(right, left)
    case "not in": return !(try contains(right, left))
    case "<": return try isLess(left, right)
    case ">": return try isLess(right, left)
    case "<=": return try isLess(left, right) || jinjaEqual(left, right)
    default: return try isLess(right, left) || jinjaEqual(left, right)
    }
  }

  private func contains(_ whole: JinjaValue, _ part: JinjaValue) throws(TextError) -> Bool {
    switch whole {
    case .string(let text):
      guard case .string(let wanted) = part else {
        throw failure("'in <string>' requires string as left operand, not \(part.typeName)")
      }
      try step(text.utf8.count / 16)
      return findBytes(Array(text.utf8), Array(wanted.utf8)) != nil
    case .list(let list):
      try step(list.weight / 16)
      return list.items.contains { jinjaEqual($0, part) }
    case .dict(let dict):
      try step(dict.keys.count / 4)
      return dict[part] != nil
    case .undefined: return false
    default: throw failure("argument of type '\(whole.typeName)' is not iterable")
    }
  }

  func isLess(_ a: JinjaValue, _ b: JinjaValue) throws(TextError) -> Bool {
    if let x = a.integer, let y = b.integer { return x < y }
    if let x = a.number, let y = b.number { return x < y }
    switch (a, b) {
    case (.string(let x), .string(let y)):
      return x.utf8.lexicographicallyPrecedes(y.utf8)
    case (.list(let x), .list(let y)):
      for (p, q) in zip(x.items, y.items) where !jinjaEqual(p, q) { return try isLess(p, q) }
      return x.items.count < y.items.count
    case (.undefined(let reason), _), (_, .undefined(let reason)): throw failure(reason)
    default:
      throw failure("'<' not supported between '\(a.typeName)' and '\(b.typeName)'")
    }
  }

  /// Python's `%` formatting, with %s, %r, %d, %i, %f and %%.
  func percentFormat(
    _ format: String, _ values: [JinjaValue]
  ) throws(TextError) -> String {
    var out = String.UnicodeScalarView()
    var index = 0
    var scalars = format.unicodeScalars.makeIterator()
    while let scalar = scalars.next() {
      guard scalar == "%" else {
        out.append(scalar)
        continue
      }
      guard let code = scalars.next() else { throw failure("incomplete format") }
      if code == "%" {
        out.append("%")
        continue
      }
      guard index < values.count else { throw failure("not enough arguments for format string") }
      let value = values[index]
      index += 1
      switch code {
      case "s": out.append(contentsOf: value.text.unicodeScalars)
      case "r": out.append(contentsOf: value.repr.unicodeScalars)
      case "d", "i":
        guard let number = value.number, let whole = Int(exactly: number.rounded(.towardZero))
        else { throw failure("%d format: a number is required, not \(value.typeName)") }
        out.append(contentsOf: String(value.integer ?? whole).unicodeScalars)
      default: throw failure("the format %\(code) is not supported")
      }
    }
    guard index == values.count else {
      throw failure("not all arguments converted during string formatting")
    }
    return String(out)
  }
}

/// Where `part` begins in `whole` at or after `start`; nil where it does not occur.
func findBytes(_ whole: [UInt8], _ part: [UInt8], from start: Int = 0) -> Int? {
  guard !part.isEmpty else { return start <= whole.count ? start : nil }
  guard whole.count - start >= part.count else { return nil }
  if part.count > 32 { return findLongBytes(whole, part, from: start) }
  let first = part[0]
  return whole.withUnsafeBufferPointer { buffer in
    part.withUnsafeBufferPointer { wanted in
      var at = start
      let last = buffer.count - wanted.count
      while at <= last {
        if buffer[at] == first,
          UnsafeBufferPointer(rebasing: buffer[at..<at + wanted.count]).elementsEqual(wanted)
        {
          return at
        }
        at += 1
      }
      return nil
    }
  }
}

/// Knuth, Morris and Pratt's search: linear, whatever the texts.
private func findLongBytes(_ whole: [UInt8], _ part: [UInt8], from start: Int) -> Int? {
  // border[i]: the longest proper prefix of part[...i] that is its suffix too.
  var border = [Int](repeating: 0, count: part.count)
  var length = 0
  for index in 1..<part.count {
    while length > 0, part[index] != part[length] { length = border[length - 1] }
    if part[index] == part[length] { length += 1 }
    border[index] = length
  }
  length = 0
  for index in start..<whole.count {
    while length > 0, whole[index] != part[length] { length = border[length - 1] }
    if whole[index] == part[length] { length += 1 }
    if length == part.count { return index - length + 1 }
  }
  return nil
}
