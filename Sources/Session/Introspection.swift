// What front ends ask about a place in a text: the kinds of completions, the names to explain.
//
// As with completion nothing is evaluated and no module is read for it.

import Language

extension Session {
  /// What a candidate is, in the words that Jupyter's front ends know.
  public func kind(of candidate: String, in completion: Completion) -> String {
    if completion.isPath { return "path" }
    if candidate.hasPrefix("%") { return "magic" }
    if candidate.hasSuffix("=") { return "param" }
    if languageKeywords.contains(candidate) { return "keyword" }
    if let late = lateKinds[candidate] { return late }
    // Modules that an import line may name are not read for it.
    guard let dot = candidate.lastIndex(of: ".") else {
      guard let value = interpreter[candidate] else {
        return interpreter.builtinNames.contains(candidate)
          ? kindOfBuiltin(candidate) : "module"
      }
      return kind(of: value)
    }
    guard lateKinds[String(candidate[..<dot])] == nil, let value = resolve(candidate) else {
      return "instance"
    }
    defer { value.drop() }
    return kind(of: value)
  }

  private var lateKinds: [String: String] {
    var kinds: [String: String] = [:]
    for name in lateNames {
      kinds[name] = ["mx", "nn", "optim", "np"].contains(name) ? "module" : "function"
    }
    return kinds
  }

  private func kindOfBuiltin(_ name: String) -> String {
    guard let value = resolve(name) else { return "instance" }
    defer { value.drop() }
    return kind(of: value)
  }

  private func kind(of value: Value) -> String {
    if value.record != nil, value.typeNameText != "type" { return "function" }
    switch value.typeNameText {
    case "module": return "module"
    case "type": return "class"
    case "function", "method", "builtin_function_or_method": return "function"
    default: return "instance"
    }
  }

  /// The names that a user at the byte offset `cursor` may want to know about, likeliest first: the name
  /// there, the function whose arguments are written there.
  public func namesToInspect(_ source: String, cursor: Int) -> [String] {
    let bytes = Array(source.utf8)
    let place = max(0, min(cursor, bytes.count))
    func isPart(_ c: UInt8) -> Bool { isNamePart(c) || c == 46 }
    func name(endingAt end: Int) -> String? {
      var start = end
      while start > 0, isPart(bytes[start - 1]) { start -= 1 }
      while start < end, bytes[start] == 46 { start += 1 }
      var stop = end
      while stop > start, bytes[stop - 1] == 46 { stop -= 1 }
      guard start < stop, isNameStart(bytes[start]) else { return nil }
      let text = String(decoding: bytes[start..<stop], as: UTF8.self)
      // A command at the beginning of its line.
      var before = start
      while before > 0, bytes[before - 1] == 37 { before -= 1 }
      return before < start ? "%" + text : text
    }
    var names: [String] = []
    var end = place
    // Only to the end of the part that the cursor is in: of `a.b.c` the user points at a, b or c.
    while end < bytes.count, isNamePart(bytes[end]) { end += 1 }
    if let found = name(endingAt: end) { names.append(found) }
    // Out of the brackets, one after the other.
    var depth = 0
    var i = place
    while i > 0, names.count < 10 {
      i -= 1
      switch bytes[i] {
      case 41, 93, 125: depth += 1
      case 40, 91, 123:
        if depth > 0 {
          depth -= 1
        } else if bytes[i] == 40, let found = name(endingAt: i) {
          names.append(found)
        }
      default: break
      }
    }
    return names
  }
}
