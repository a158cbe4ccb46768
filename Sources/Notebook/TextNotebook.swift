// Notebooks as text: programs with `# %%` lines between the cells (the percent format).
//
//     # %% [markdown]
//     # Some text.
//     # %% tags=["parameters"]
//     n = 3
//
// The text before the first marker is a cell too. Inside a markdown cell the comment signs are taken
// off. A title after the marker is kept in the metadata. A front matter of `# ---` lines, as Jupytext
// writes it, is skipped.

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
      // A line that would be a command is a comment in a plain program.
      return done
    }
    var rest = text.split(separator: "\n", omittingEmptySubsequences: false)[...]
    rest = rest.count > 0 && rest.first?.hasPrefix("#!") == true ? rest.dropFirst() : rest
    if rest.first.map({ trimmedEnd($0) }) == "# ---",
      let end = rest.dropFirst().firstIndex(where: { trimmedEnd($0) == "# ---" })
    {
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

  private static func makeCell(_ head: Substring) -> NotebookCell {
    var head = head
    var kind = NotebookCell.Kind.code
    for (mark, what) in [
      ("[markdown]", NotebookCell.Kind.markdown), ("[md]", .markdown), ("[raw]", .raw),
    ]
    where head.hasPrefix(mark) {
      kind = what
      head = head.dropFirst(mark.count)
    }
    var metadata = JSONObject()
    if let start = tagsStart(head) {
      let list = String(head[start...])
      if let open = list.firstIndex(of: "["), let close = list.firstIndex(of: "]") {
        let json: JSON?
        do throws(FormatError) { json = try JSON.parse(String(list[open...close])) } catch {
          json = nil
        }
        if let tags = json?.stringArray { metadata["tags"] = .array(tags.map { .string($0) }) }
      }
      head = head[..<start]
    }
    let title = String(trimmedEnd(head.drop { $0 == " " }))
    if !title.isEmpty { metadata["title"] = .string(title) }
    return NotebookCell(kind, "", metadata: metadata)
  }

  private static func tagsStart(_ head: Substring) -> Substring.Index? {
    var i = head.startIndex
    while i < head.endIndex {
      if head[i...].hasPrefix("tags=[") { return i }
      i = head.index(after: i)
    }
    return nil
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
}
