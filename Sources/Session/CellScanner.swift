// Command lines of a cell, rewritten to calls before the cell is parsed.
//
//     %generate m "Why?" --max-tokens 9     ->  _command_generate(m, "Why?", max_tokens=9)
//     model, tok = %load weights.gguf       ->  model, tok = _command_load("weights.gguf")
//     array?                                ->  _command_inspect("array", 1)
//     files = !ls                           ->  files = _command_shell("ls", True)
//
// Only a line that begins a statement can be one, so the scanner follows strings, brackets, comments
// and joined lines: `%` inside an expression or a multi-line string is left alone. None of these
// forms is valid Python, so no program changes its meaning. Every line keeps its number; the pairs of
// old and new text let tracebacks show what the user wrote.

import Language

/// A cell after its commands became calls.
struct RewrittenCell {
  var source: String
  /// Rewritten lines and what they were, for tracebacks.
  var replacements: [(new: String, old: String)] = []
}

struct CellScanner {
  private let bytes: [UInt8]
  private let table: CommandTable
  private var out: [UInt8] = []
  private var copied = 0
  private var replacements: [(new: String, old: String)] = []

  /// Throws a SyntaxError for a command that does not exist or whose arguments make no sense.
  static func rewrite(_ source: String, table: CommandTable) throws(LullError) -> RewrittenCell {
    let interesting = source.utf8.contains { $0 == 37 || $0 == 63 || $0 == 33 }  // % ? !
    guard interesting else { return RewrittenCell(source: source) }
    var scanner = CellScanner(bytes: Array(source.utf8), table: table)
    do throws(LullError) {
      return try scanner.run()
    } catch {
      if error.source == nil { error.source = SourceText(file: "<cell>", text: source) }
      throw error
    }
  }

  private init(bytes: [UInt8], table: CommandTable) {
    self.bytes = bytes
    self.table = table
  }

  private func byte(_ i: Int) -> UInt8 { i < bytes.count ? bytes[i] : 0 }
  private func text(_ range: Range<Int>) -> String {
    String(decoding: bytes[range], as: UTF8.self)
  }

  private mutating func run() throws(LullError) -> RewrittenCell {
    var i = 0
    while i < bytes.count {
      while byte(i) == 32 || byte(i) == 9 { i += 1 }
      i = try statement(at: i)
    }
    out.append(contentsOf: bytes[copied...])
    return RewrittenCell(
      source: String(decoding: out, as: UTF8.self), replacements: replacements)
  }

  /// One logical line that starts at `start`; returns the start of the next.
  private mutating func statement(at start: Int) throws(LullError) -> Int {
    switch byte(start) {
    case 37:  // %
      if byte(start + 1) == 37 {
        throw failure("'%%' commands take a whole cell: put it on the first line", start, start + 2)
      }
      if isNameStart(byte(start + 1)) { return try command(from: start, at: start) }
    case 33 where byte(start + 1) != 61: return shell(from: start, at: start)  // !
    case 63 where isNameStart(byte(start + 1)):  // ?name
      let end = lineEnd(start)
      return replace(
        start..<end, with: inspection(text(start + 1..<end).trimmed, detail: 1), end: end)
    default: break
    }
    var i = start
    var depth = 0
    var comment: Int?
    while i < bytes.count {
      let c = bytes[i]
      switch c {
      case 10:
        if depth == 0 {
          helpMark(start, comment ?? i)
          return i + 1
        }
        comment = nil
        i += 1
      case 35:  // #
        comment = i
        i = lineEnd(i)
      case 92: i += byte(i + 1) == 13 ? 3 : 2  // joined lines
      case 34, 39: i = stringEnd(i)
      case 40, 91, 123:
        depth += 1
        i += 1
      case 41, 93, 125:
        depth = max(0, depth - 1)
        i += 1
      case 61 where depth == 0 && byte(i + 1) != 61 && i > start && !isOperator(byte(i - 1)):
        var j = i + 1
        while byte(j) == 32 || byte(j) == 9 { j += 1 }
        if byte(j) == 37, isNameStart(byte(j + 1)) { return try command(from: start, at: j) }
        if byte(j) == 33, byte(j + 1) != 61 { return shell(from: start, at: j) }
        i += 1
      default: i += 1
      }
    }
    helpMark(start, comment ?? i)
    return bytes.count
  }

  /// `name?` and `name??` as a whole line.
  private mutating func helpMark(_ start: Int, _ end: Int) {
    var stop = min(end, bytes.count)
    while stop > start, byte(stop - 1) == 32 || byte(stop - 1) == 9 || byte(stop - 1) == 13 {
      stop -= 1
    }
    var detail = 0
    var nameEnd = stop
    while nameEnd > start, byte(nameEnd - 1) == 63, detail < 2 {
      nameEnd -= 1
      detail += 1
    }
    guard detail > 0, nameEnd > start else { return }
    var first = start
    if byte(first) == 37 { first += 1 }
    for i in first..<nameEnd where !isNamePart(byte(i)) && byte(i) != 46 { return }
    _ = replace(start..<stop, with: inspection(text(start..<nameEnd), detail: detail), end: end)
  }

  private func inspection(_ name: String, detail: Int) -> String {
    "_command_inspect(\(pythonLiteral(name)), \(detail))"
  }

  // MARK: - Commands

  private mutating func command(from start: Int, at percent: Int) throws(LullError) -> Int {
    var nameEnd = percent + 1
    while isNamePart(byte(nameEnd)) { nameEnd += 1 }
    let name = text(percent + 1..<nameEnd)
    // `%time?` asks about the command.
    if byte(nameEnd) == 63 {
      let end = lineEnd(nameEnd)
      return replace(
        percent..<end, with: inspection("%" + name, detail: byte(nameEnd + 1) == 63 ? 2 : 1),
        end: end)
    }
    guard let command = table[name] else {
      throw table.unknown(name, span: Span(percent, nameEnd))
    }
    let (end, codeEnd) = commandEnd(nameEnd, keepsComments: false)
    let arguments = text(nameEnd..<codeEnd)
    let line = 1 + bytes[..<percent].count { $0 == 10 }
    var call: String
    do throws(LullError) {
      call = try command.call(arguments, line: line, usesValue: start != percent)
    } catch {
      error.span = error.span ?? Span(percent, max(codeEnd, nameEnd))
      throw error
    }
    // Every line of the command stays a line.
    let lines = bytes[percent..<codeEnd].count { $0 == 10 }
    let have = call.utf8.count { $0 == 10 }
    if lines > have, call.last == ")" {
      call.removeLast()
      call += String(repeating: "\n", count: lines - have) + ")"
    }
    return replace(percent..<codeEnd, with: call, end: end, from: start)
  }

  /// `!command` up to the end of its line; behind `name =` its output is the value. A backslash joins lines.
  private mutating func shell(from start: Int, at mark: Int) -> Int {
    var end = lineEnd(mark)
    while end < bytes.count, bytes[end - 1] == 92 { end = lineEnd(end + 1) }
    let command = pythonLiteral(text(mark + 1..<end))
    let lines = bytes[mark..<end].count { $0 == 10 }
    let call =
      "_command_shell(\(command), \(mark > start ? "True" : "False")"
      + String(repeating: "\n", count: lines) + ")"
    return replace(mark..<end, with: call, end: end, from: start)
  }

  /// Where a command ends: at the end of its logical line, less a comment. A bracket that is never
  /// closed (free text may have one) does not reach past the line.
  private func commandEnd(_ start: Int, keepsComments: Bool) -> (next: Int, code: Int) {
    var i = start
    var depth = 0
    while i < bytes.count {
      switch bytes[i] {
      case 10 where depth == 0: return (i, i)
      case 35 where depth == 0 && (byte(i - 1) == 32 || byte(i - 1) == 9): return (lineEnd(i), i)
      case 35 where depth > 0: i = lineEnd(i)
      case 92: i += 2
      case 34, 39: i = stringEnd(i)
      case 40, 91, 123:
        depth += 1
        i += 1
      case 41, 93, 125:
        depth = max(0, depth - 1)
        i += 1
      default: i += 1
      }
    }
    if depth > 0 {
      let end = lineEnd(start)
      return (end, end)
    }
    return (bytes.count, bytes.count)
  }

  private mutating func replace(
    _ range: Range<Int>, with new: String, end: Int, from start: Int? = nil
  ) -> Int {
    out.append(contentsOf: bytes[copied..<range.lowerBound])
    out.append(contentsOf: new.utf8)
    copied = range.upperBound
    let head = text((start ?? range.lowerBound)..<range.lowerBound)
    replacements.append((head + new, head + text(range)))
    return min(end, bytes.count) + (byte(end) == 10 ? 1 : 0)
  }

  // MARK: - Characters

  private func lineEnd(_ start: Int) -> Int {
    var i = start
    while i < bytes.count, bytes[i] != 10 { i += 1 }
    return i
  }

  /// The byte after a string literal that starts at `start`.
  private func stringEnd(_ start: Int) -> Int {
    let quote = bytes[start]
    if byte(start + 1) == quote, byte(start + 2) == quote {
      var i = start + 3
      while i < bytes.count {
        if bytes[i] == 92 {
          i += 2
          continue
        }
        if bytes[i] == quote, byte(i + 1) == quote, byte(i + 2) == quote { return i + 3 }
        i += 1
      }
      return bytes.count
    }
    var i = start + 1
    while i < bytes.count, bytes[i] != 10 {
      if bytes[i] == 92 {
        i += 2
        continue
      }
      if bytes[i] == quote { return i + 1 }
      i += 1
    }
    return min(i, bytes.count)
  }

  private func isOperator(_ c: UInt8) -> Bool { "=!<>:+-*/%&|^@~".utf8.contains(c) }

  private func failure(_ message: String, _ start: Int, _ end: Int, note: String? = nil)
    -> LullError
  {
    LullError(
      "SyntaxError", message, span: Span(start, min(end, bytes.count)),
      notes: note.map { [$0] } ?? [])
  }
}

public func isNameStart(_ c: UInt8) -> Bool {
  c == 95 || (c >= 65 && c <= 90) || (c >= 97 && c <= 122) || c >= 128
}
public func isNamePart(_ c: UInt8) -> Bool { isNameStart(c) || (c >= 48 && c <= 57) }

extension StringProtocol {
  /// Without blanks and line ends at both ends.
  var trimmed: String {
    let isBlank = { (c: Character) in c == " " || c == "\t" || c == "\n" || c == "\r\n" || c == "\r"
    }
    let head = drop(while: isBlank)
    guard let last = head.lastIndex(where: { !isBlank($0) }) else { return "" }
    return String(head[...last])
  }
}

/// A string literal of the language for any text, on one line.
public func pythonLiteral(_ text: String) -> String {
  var out = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": out += "\\\""
    case "\\": out += "\\\\"
    case "\n": out += "\\n"
    case "\r": out += "\\r"
    case "\t": out += "\\t"
    case _ where scalar.value < 32 || scalar.value == 127:
      let digits = String(scalar.value, radix: 16)
      out += "\\x" + (digits.count < 2 ? "0" : "") + digits
    default: out.unicodeScalars.append(scalar)
    }
  }
  return out + "\""
}
