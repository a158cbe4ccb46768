// A notebook's metadata at the top of a text notebook: YAML between `# ---` lines, under `jupyter:`.
//
// Read is what Jupytext writes (nested names, plain and quoted text, numbers, JSON); written is one name a line with its value as
// JSON, which is YAML, too.

import Formats

enum FrontMatter {
  /// The lines for metadata; none when there is nothing but what a run adds anyway.
  static func text(_ metadata: JSONObject) -> String {
    var own = metadata
    own["kernelspec"] = nil
    own["language_info"] = nil
    let isPlain = Notebook.isOwnLanguage(metadata)
    if own.isEmpty, isPlain || metadata.isEmpty { return "" }
    var text = "# ---\n# jupyter:\n"
    for (key, value) in metadata { text += "#   \(key): \(value.compact)\n" }
    return text + "# ---\n"
  }

  /// The metadata in the lines between the marks.
  static func read(_ lines: ArraySlice<Substring>) -> JSONObject {
    var rows: [(indent: Int, text: Substring)] = []
    for line in lines {
      var text = line.drop { $0 == "#" }
      while text.last == " " || text.last == "\r" { text.removeLast() }
      let indent = text.prefix { $0 == " " }.count
      text = text.dropFirst(indent)
      if !text.isEmpty, text.first != "#" { rows.append((indent, text)) }
    }
    var i = 0
    let top = mapping(rows, &i, indent: rows.first?.indent ?? 0, depth: 0)
    guard case .object(let metadata)? = top["jupyter"] else { return JSONObject() }
    return metadata
  }

  private static func mapping(
    _ rows: [(indent: Int, text: Substring)], _ i: inout Int, indent: Int, depth: Int
  ) -> JSONObject {
    var result = JSONObject()
    while i < rows.count, rows[i].indent >= indent {
      let (own, text) = rows[i]
      i += 1
      guard own == indent, let colon = text.firstIndex(of: ":") else { continue }
      let key = String(text[..<colon])
      let value = text[text.index(after: colon)...].drop { $0 == " " }
      if !value.isEmpty {
        result[key] = scalar(String(value))
      } else if i < rows.count, rows[i].indent > indent, depth < 20 {
        result[key] = .object(mapping(rows, &i, indent: rows[i].indent, depth: depth + 1))
      } else {
        result[key] = .null
      }
    }
    return result
  }

  private static func scalar(_ text: String) -> JSON {
    if text.count >= 2, text.first == "'", text.last == "'" {
      return .string(String(text.dropFirst().dropLast()).replacing("''", with: "'"))
    }
    do throws(FormatError) { return try JSON.parse(text) } catch { return .string(text) }
  }
}

extension Notebook {
  /// Whether the metadata name Lull's kernel and nothing else of the language.
  static func isOwnLanguage(_ metadata: JSONObject) -> Bool {
    var fresh = Notebook()
    fresh.setLanguage()
    return metadata["kernelspec"] == fresh.metadata["kernelspec"]
      && metadata["language_info"] == fresh.metadata["language_info"]
  }
}
