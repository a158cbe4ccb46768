// The outputs of one cell as nbformat stores them.
//
// Consecutive pieces of the same stream become one output. Carriage returns are carried out, so that of
// a progress bar the last state is stored.

import Formats
import Session

struct CellOutputs {
  private(set) var items: [JSON] = []
  private var stream: (name: String, text: String)?

  mutating func add(_ output: CellOutput) {
    switch output {
    case .stream(let name, let text):
      if text.isEmpty { return }
      if let open = stream, open.name == name {
        stream?.text += text
      } else {
        flush()
        stream = (name, text)
      }
    case .display(let bundle):
      flush()
      items.append(
        .object(
          JSONObject([
            ("output_type", .string("display_data")), ("data", data(bundle)), ("metadata", [:]),
          ])))
    case .result(let bundle, let count):
      flush()
      items.append(
        .object(
          JSONObject([
            ("output_type", .string("execute_result")), ("execution_count", .int(count)),
            ("data", data(bundle)), ("metadata", [:]),
          ])))
    case .error(let error):
      flush()
      items.append(
        .object(
          JSONObject([
            ("output_type", .string("error")), ("ename", .string(error.name)),
            ("evalue", .string(error.text)),
            ("traceback", .array(error.lines.map { .string($0) })),
          ])))
    }
  }

  /// All outputs so far.
  mutating func finished() -> [JSON] {
    flush()
    return items
  }

  mutating func removeErrors() {
    items.removeAll { $0["output_type"]?.string == "error" }
  }

  private mutating func flush() {
    guard let open = stream else { return }
    stream = nil
    items.append(
      .object(
        JSONObject([
          ("output_type", .string("stream")), ("name", .string(open.name)),
          ("text", .string(collapsingReturns(open.text))),
        ])))
  }

  private func data(_ bundle: MimeBundle) -> JSON {
    var object = JSONObject()
    for (type, content) in bundle.entries {
      if type == "application/json" || (type.hasPrefix("application/") && type.hasSuffix("+json")) {
        do throws(FormatError) { object[type] = try JSON.parse(content) } catch {}
      } else {
        object[type] = .string(content)
      }
    }
    return .object(object)
  }
}

/// Each line as a terminal would show it after its carriage returns.
func collapsingReturns(_ text: String) -> String {
  guard text.utf8.contains(13) else { return text }
  let lines = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
  return lines.enumerated().map { i, line -> String in
    var shown: [Unicode.Scalar] = []
    var column = 0
    // A return before the line's end belongs to the line end.
    var scalars = Array(line)
    if i < lines.count - 1 { while scalars.last == "\r" { scalars.removeLast() } }
    for c in scalars {
      if c == "\r" {
        column = 0
      } else if column < shown.count {
        shown[column] = c
        column += 1
      } else {
        shown.append(c)
        column += 1
      }
    }
    var out = String.UnicodeScalarView()
    out.append(contentsOf: shown)
    return String(out)
  }.joined(separator: "\n")
}
