// Completion: what can stand at the cursor.
//
// Candidates come from the live values of the session (names, attributes), the keywords, the command
// table, the signatures of what is being called, and the file system inside strings and for path
// arguments. Nothing is evaluated and no code of the user runs: a pending array stays pending.

import Language

public struct Completion: Sendable {
  /// Byte offset where the completed text begins.
  public var start: Int
  /// Whole replacements for the text from `start` to the cursor, sorted.
  public var candidates: [String]
  /// Whether the candidates are names of files.
  public var isPath = false
}

extension Session {
  /// Completes the text before the byte offset `cursor` of a cell.
  public func complete(_ source: String, cursor: Int) -> Completion {
    let bytes = Array(Array(source.utf8).prefix(max(0, cursor)))
    let line = Array(bytes[((bytes.lastIndex(of: 10) ?? -1) + 1)...])
    let head = bytes.count - line.count
    let context = scan(bytes)

    if let quote = context.openString {
      let start = quote + 1
      if let keys = dictKeys(bytes, quote) { return keys }
      return files(String(decoding: bytes[start...], as: UTF8.self), at: start)
    }
    if let found = completeCommand(line, head) { return found }

    // The dotted name before the cursor.
    var start = bytes.count
    while start > 0, isNamePart(bytes[start - 1]) || bytes[start - 1] == 46 { start -= 1 }
    let path = String(decoding: bytes[start...], as: UTF8.self)
    if let dot = path.lastIndex(of: ".") {
      let owner = String(path[..<dot])
      let prefix = String(path[path.index(after: dot)...])
      guard let value = resolve(owner) else { return Completion(start: start, candidates: []) }
      defer { value.drop() }
      var names = attributeNames(value)
      if value.typeNameText == "module", let name = textAttribute(value, "__name__"),
        name == "mlx.core"
      {
        names += ["random", "fast", "linalg"].filter {
          Language.knownModules().contains("mlx.core." + $0)
        }
      }
      let matching = Set(names).filter { fits($0, prefix) }.sorted()
      return Completion(start: start, candidates: matching.map { owner + "." + $0 })
    }
    var candidates = Set(
      interpreter.names + interpreter.builtinNames + lateNames + languageKeywords)
    candidates = candidates.filter { fits($0, path) }
    if let call = context.openCall, let value = resolve(call) {
      defer { value.drop() }
      if let parameters = signature(of: value)?.parameters {
        for p in parameters where p.hasPrefix(path) { candidates.insert(p + "=") }
      }
    }
    let trimmed = String(decoding: line, as: UTF8.self).trimmed
    if trimmed.hasPrefix("import ") || trimmed.hasPrefix("from ") {
      for name in knownModules() where name.hasPrefix(path) { candidates.insert(name) }
    }
    return Completion(start: start, candidates: candidates.sorted())
  }

  /// Private names only when they are asked for.
  private func fits(_ name: String, _ prefix: String) -> Bool {
    name.hasPrefix(prefix) && (prefix.hasPrefix("_") || !name.hasPrefix("_"))
  }

  // MARK: - Command lines

  private func completeCommand(_ line: [UInt8], _ head: Int) -> Completion? {
    let text = String(decoding: line, as: UTF8.self)
    guard let percent = line.firstIndex(of: 37) else { return nil }
    let before = String(decoding: line[..<percent], as: UTF8.self).trimmed
    guard before.isEmpty || before.hasSuffix("=") || before == "%" else { return nil }
    var nameStart = percent
    while nameStart < line.count, line[nameStart] == 37 { nameStart += 1 }
    var nameEnd = nameStart
    while nameEnd < line.count, isNamePart(line[nameEnd]) { nameEnd += 1 }
    let name = String(decoding: line[nameStart..<nameEnd], as: UTF8.self)
    let marks = String(repeating: "%", count: nameStart - percent)
    if nameEnd == line.count {
      let names = table.commands.filter { marks.count == 1 || $0.cell != nil }.map(\.name)
      return Completion(
        start: head + percent,
        candidates: names.filter { $0.hasPrefix(name) && $0 != "inspect" }.sorted().map {
          marks + $0
        })
    }
    guard let command = table[name] else { return nil }
    let rest = text.utf8.suffix(line.count - nameEnd)
    let restText = String(decoding: Array(rest), as: UTF8.self)
    let endsBlank = restText.last == " "
    var before2 = words(of: restText)
    let word = endsBlank ? "" : before2.popLast() ?? ""
    let start = head + line.count - word.utf8.count
    if word.hasPrefix("-") {
      let options = command.record.parameters.parameters
        .filter { !$0.isRequired && !$0.name.hasPrefix("_") }
        .map { "--" + $0.name.map { $0 == "_" ? "-" : String($0) }.joined() }
      return Completion(start: start, candidates: options.filter { $0.hasPrefix(word) }.sorted())
    }
    guard command.style == .words else { return nil }
    let slots = command.record.parameters.parameters
    let position = before2.count { !$0.hasPrefix("-") }
    if let last = before2.last, last.hasPrefix("--") {
      let option = String(last.dropFirst(2)).map { $0 == "-" ? "_" : String($0) }.joined()
      return command.kinds[option] == .path ? files(word, at: start) : nil
    }
    if position < slots.count, command.kinds[slots[position].name] == .path {
      return files(word, at: start)
    }
    return nil
  }

  private func files(_ typed: String, at start: Int) -> Completion {
    let slash = typed.lastIndex(of: "/")
    let directory = slash.map { String(typed[...$0]) } ?? ""
    let prefix = slash.map { String(typed[typed.index(after: $0)...]) } ?? typed
    let names = directoryEntries(expandHome(directory)) ?? []
    let matching = names.filter {
      $0.hasPrefix(prefix) && (prefix.hasPrefix(".") || !$0.hasPrefix("."))
    }
    return Completion(start: start, candidates: matching.map { directory + $0 }, isPath: true)
  }

  /// The keys of a dict, in `name["...`; nil where the string is no subscript of one.
  private func dictKeys(_ bytes: [UInt8], _ quote: Int) -> Completion? {
    guard quote > 0, bytes[quote - 1] == 91 else { return nil }
    var start = quote - 1
    while start > 0, isNamePart(bytes[start - 1]) || bytes[start - 1] == 46 { start -= 1 }
    guard let value = resolve(String(decoding: bytes[start..<(quote - 1)], as: UTF8.self)) else {
      return nil
    }
    defer { value.drop() }
    guard value.isDict else { return nil }
    let prefix = String(decoding: bytes[(quote + 1)...], as: UTF8.self)
    let mark = String(UnicodeScalar(bytes[quote]))
    let keys = dictItems(value).compactMap { $0.0.stringValue }.filter {
      $0.hasPrefix(prefix) && !$0.contains(mark) && !$0.contains("\\") && !$0.contains("\n")
    }
    return Completion(start: quote + 1, candidates: keys.sorted().map { $0 + mark + "]" })
  }

  // MARK: - Where the cursor is

  /// The open string and the open call at the end of the text.
  private func scan(_ bytes: [UInt8]) -> (openString: Int?, openCall: String?) {
    var quote: (byte: UInt8, start: Int, isLong: Bool)?
    var brackets: [Int] = []
    var i = 0
    func byte(_ k: Int) -> UInt8 { k < bytes.count ? bytes[k] : 0 }
    while i < bytes.count {
      let c = bytes[i]
      if let q = quote {
        if c == 92 {
          i += 2
          continue
        }
        if q.isLong {
          if c == q.byte, byte(i + 1) == q.byte, byte(i + 2) == q.byte {
            quote = nil
            i += 3
            continue
          }
        } else if c == q.byte || c == 10 {
          quote = nil
        }
        i += 1
        continue
      }
      switch c {
      case 35:
        while i < bytes.count, bytes[i] != 10 { i += 1 }
        continue
      case 34, 39:
        let isLong = byte(i + 1) == c && byte(i + 2) == c
        quote = (c, isLong ? i + 2 : i, isLong)
        if isLong { i += 2 }
      case 40, 91, 123: brackets.append(i)
      case 41, 93, 125: _ = brackets.popLast()
      default: break
      }
      i += 1
    }
    if let quote { return (quote.start, nil) }
    guard let open = brackets.last, bytes[open] == 40 else { return (nil, nil) }
    var start = open
    while start > 0, isNamePart(bytes[start - 1]) || bytes[start - 1] == 46 { start -= 1 }
    return (nil, start < open ? String(decoding: bytes[start..<open], as: UTF8.self) : nil)
  }

  /// Whether the text can run as a cell, with commands taken into account.
  public func inputStatus(_ source: String) -> InputStatus {
    if source.trimmed.hasPrefix("%%") {
      return source.hasSuffix("\n") ? .complete : .incomplete(indent: "")
    }
    do throws(LullError) {
      return Language.inputStatus(try CellScanner.rewrite(source, table: table).source)
    } catch {
      return .invalid
    }
  }
}
