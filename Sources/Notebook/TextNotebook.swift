// Notebooks as text: programs with `# %%` lines between the cells (the percent format).
//
//     # %% [markdown]
//     # Some text.
//     # %% tags=["parameters"]
//     n = 3
//
// The text before the first marker is a cell too. Inside a markdown cell the comment signs are taken
// off. A title after the marker and `key=JSON` behind it are metadata. The notebook's metadata are in a front matter of
// `# ---` lines, as Jupytext writes it (FrontMatter.swift).

import Formats

extension Notebook {
  public static func read(text: String) -> Notebook {
    var notebook = Notebook()
    var cell: NotebookCell?
    var lines: [Substring] = []
    func finished() -> NotebookCell? {
      var body = lines
      while let last = body.last, isBlank(last) { body.removeLast() }
      while let first = body.first, isBlank(first) { body.removeFirst() }
      guard var done = cell ?? (body.isEmpty ? nil : NotebookCell(.code, "")) else { return nil }
      if done.kind != .code { body = uncommented(body) }
      done.source = body.joined(separator: "\n")
      // A text that these lines could not hold.
      if let exact = done.metadata["source"]?.string, body.isEmpty {
        done.source = exact
        done.metadata["source"] = nil
      }
      return done
    }
    var rest = text.split(separator: "\n", omittingEmptySubsequences: false)[...]
    rest = rest.count > 0 && rest.first?.hasPrefix("#!") == true ? rest.dropFirst() : rest
    if rest.first.map({ trimmedEnd($0) }) == "# ---",
      let end = rest.dropFirst().firstIndex(where: { trimmedEnd($0) == "# ---" })
    {
      notebook.metadata = FrontMatter.read(rest[(rest.startIndex + 1)..<end])
      rest = rest[(end + 1)...]
    }
    for raw in rest {
      let line = raw.last == "\r" ? raw.dropLast() : raw
      if let head = marker(line) {
        if let done = finished() { notebook.cells.append(done) }
        cell = makeCell(head)
        lines = []
      } else {
        lines.append(line)
      }
    }
    if let done = finished() { notebook.cells.append(done) }
    notebook.fillIdentifiers()
    return notebook
  }

  private static func isBlank(_ line: Substring) -> Bool {
    line.allSatisfy { $0 == " " || $0 == "\t" }
  }
  private static func trimmedEnd(_ line: Substring) -> Substring {
    var line = line
    while line.last == " " || line.last == "\r" { line.removeLast() }
    return line
  }

  /// What follows `# %%`; nil when the line is no marker.
  private static func marker(_ line: Substring) -> Substring? {
    guard line.first == "#" else { return nil }
    let rest = line.dropFirst().drop { $0 == " " }
    guard rest.hasPrefix("%%") else { return nil }
    let head = rest.dropFirst(2)
    // `# %%time` is a cell command in a comment, not a marker.
    guard head.isEmpty || head.first == " " || head.first == "\t" || head.first == "[" else {
      return nil
    }
    return head.drop { $0 == " " || $0 == "\t" }
  }

  /// A cell from what follows `# %%`: a title, the kind in brackets, and metadata as `key=JSON`.
  private static func makeCell(_ head: Substring) -> NotebookCell {
    var (title, options) = optionsOf(head)
    var kind = NotebookCell.Kind.code
    for (mark, what) in [
      ("[markdown]", NotebookCell.Kind.markdown), ("[md]", .markdown), ("[raw]", .raw),
    ] {
      guard let range = title.firstRange(of: mark) else { continue }
      kind = what
      title.removeSubrange(range)
    }
    var cell = NotebookCell(kind, "")
    let name = String(trimmedEnd(Substring(title).drop { $0 == " " }))
    if !name.isEmpty { cell.metadata["title"] = .string(name) }
    for (key, value) in options {
      switch key {
      case "id": cell.id = value.string.flatMap { Notebook.isIdentifier($0) ? $0 : nil } ?? ""
      case "attachments": cell.attachments = value
      default: cell.metadata[key] = value
      }
    }
    return cell
  }

  /// The text before the first `key=JSON` of a line, and those.
  static func optionsOf(_ head: Substring) -> (String, [(String, JSON)]) {
    let scalars = Array(trimmedEnd(head))
    var i = 0
    while i < scalars.count {
      if i == 0 || scalars[i - 1] == " ", let options = options(scalars, from: i) {
        return (String(scalars[..<i]), options)
      }
      i += 1
    }
    return (String(scalars), [])
  }

  /// All of the text from `start` as options; nil when it is something else.
  private static func options(_ text: [Character], from start: Int) -> [(String, JSON)]? {
    var result: [(String, JSON)] = []
    var i = start
    while i < text.count {
      while i < text.count, text[i] == " " { i += 1 }
      if i == text.count { break }
      let keyStart = i
      while i < text.count, text[i].isLetter || text[i].isNumber || "_-.".contains(text[i]) {
        i += 1
      }
      guard i > keyStart, i < text.count, text[i] == "=" else { return nil }
      let key = String(text[keyStart..<i])
      i += 1
      let valueStart = i
      var depth = 0
      var inString = false
      while i < text.count {
        let c = text[i]
        if inString {
          if c == "\\" { i += 1 } else if c == "\"" { inString = false }
        } else if c == "\"" {
          inString = true
        } else if c == "[" || c == "{" {
          depth += 1
        } else if c == "]" || c == "}" {
          depth -= 1
        } else if c == " ", depth == 0 {
          break
        }
        i += 1
      }
      i = min(i, text.count)
      do throws(FormatError) {
        result.append((key, try JSON.parse(String(text[valueStart..<i]))))
      } catch {
        return nil
      }
    }
    return result.isEmpty ? nil : result
  }

  /// The text of comment lines; other lines (Jupytext also takes a string literal) as they are.
  private static func uncommented(_ lines: [Substring]) -> [Substring] {
    let bare = lines.filter { !isBlank($0) }
    if let first = bare.first, let last = bare.last, bare.count > 1,
      first.hasPrefix("\"\"\""), last.hasSuffix("\"\"\"")
    {
      var inner = lines
      inner[0] = inner[0].dropFirst(3)
      inner[inner.count - 1] = inner[inner.count - 1].dropLast(3)
      if inner.first?.isEmpty == true { inner.removeFirst() }
      if inner.last?.isEmpty == true { inner.removeLast() }
      return inner
    }
    return lines.map { line in
      guard line.first == "#" else { return line }
      let rest = line.dropFirst()
      return rest.first == " " ? rest.dropFirst() : rest
    }
  }

  // MARK: - Writing

  /// The notebook as text, without outputs: reading it gives the same cells, metadata and ids.
  public func percentText() -> String {
    var derived = self
    for i in derived.cells.indices { derived.cells[i].id = "" }
    derived.fillIdentifiers()
    var text = FrontMatter.text(metadata)
    for (cell, other) in zip(cells, derived.cells) {
      if !text.isEmpty { text += "\n" }
      text += Notebook.percentText(cell, withId: cell.id != other.id)
    }
    return text
  }

  private static func percentText(_ cell: NotebookCell, withId: Bool) -> String {
    var head = "# %%"
    var metadata = cell.metadata
    if let title = metadata["title"]?.string, !title.isEmpty,
      title.allSatisfy({ $0.isLetter || $0.isNumber || " ,.:;()'-".contains($0) }),
      title.first != " ", title.last != " "
    {
      head += " " + title
      metadata["title"] = nil
    }
    if cell.kind != .code { head += " [\(cell.kind.rawValue)]" }
    if withId { head += " id=" + JSON.string(cell.id).compact }
    for (key, value) in metadata { head += " \(key)=" + value.compact }
    if let attachments = cell.attachments { head += " attachments=" + attachments.compact }
    var body = cell.source.isEmpty ? "" : cell.source + "\n"
    if cell.kind != .code {
      body =
        cell.source.isEmpty
        ? ""
        : cell.source.split(separator: "\n", omittingEmptySubsequences: false)
          .map { $0.isEmpty ? "#\n" : "# \($0)\n" }.joined()
    }
    let whole = head + "\n" + body
    let back = Notebook.read(text: whole)
    if back.cells.count == 1, back.cells[0].source == cell.source { return whole }
    return head + " source=" + JSON.string(cell.source).compact + "\n"
  }
}

extension JSON {
  var compact: String { String(decoding: serializedBytes(), as: UTF8.self) }
}
