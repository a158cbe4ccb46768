// The outputs of one cell as nbformat stores them.
//
// Consecutive pieces of the same stream become one output. Carriage returns are carried out, so that of
// a progress bar the last state is stored. An update goes into every output of the notebook that was
// displayed under its id; ids are not stored.

import Formats
import Session

struct CellOutputs {
  private(set) var items: [JSON] = []
  /// The display id of each item.
  private(set) var displayIDs: [String?] = []
  /// What was updated, by display id: for outputs of earlier cells.
  private(set) var updates: [(id: String, data: JSON, metadata: JSON)] = []
  private var stream: (name: String, text: String)?
  private var clearsBeforeNext = false

  mutating func add(_ output: CellOutput) {
    switch output {
    case .stream(let name, let text):
      if text.isEmpty { return }
      clearIfAsked()
      if let open = stream, open.name == name {
        stream?.text += text
      } else {
        flush()
        stream = (name, text)
      }
    case .display(let bundle):
      append(
        [
          ("output_type", .string("display_data")), ("data", bundle.data),
          ("metadata", .object(bundle.metadata)),
        ], id: bundle.displayID)
    case .update(let bundle):
      guard let id = bundle.displayID else { return }
      let update = (id: id, data: bundle.data, metadata: JSON.object(bundle.metadata))
      for i in items.indices where displayIDs[i] == id {
        items[i] = items[i].updated(update.data, update.metadata)
      }
      updates.removeAll { $0.id == id }
      updates.append(update)
    case .clear(let wait):
      clearsBeforeNext = true
      if !wait { clearIfAsked() }
    case .result(let bundle, let count):
      append([
        ("output_type", .string("execute_result")), ("execution_count", .int(count)),
        ("data", bundle.data), ("metadata", .object(bundle.metadata)),
      ])
    case .error(let error):
      append([
        ("output_type", .string("error")), ("ename", .string(error.name)),
        ("evalue", .string(error.text)),
        ("traceback", .array(error.lines.map { .string($0) })),
      ])
    }
  }

  /// All outputs so far.
  mutating func finished() -> [JSON] {
    flush()
    return items
  }

  mutating func removeErrors() {
    for i in items.indices.reversed() where items[i]["output_type"]?.string == "error" {
      items.remove(at: i)
      displayIDs.remove(at: i)
    }
  }

  private mutating func append(_ members: [(String, JSON)], id: String? = nil) {
    clearIfAsked()
    flush()
    items.append(.object(JSONObject(members)))
    displayIDs.append(id)
  }

  private mutating func clearIfAsked() {
    guard clearsBeforeNext else { return }
    clearsBeforeNext = false
    stream = nil
    items = []
    displayIDs = []
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
    displayIDs.append(nil)
  }
}

extension JSON {
  /// A displayed output with other contents.
  fileprivate func updated(_ data: JSON, _ metadata: JSON) -> JSON {
    guard case .object(var object) = self else { return self }
    object["data"] = data
    object["metadata"] = metadata
    return .object(object)
  }
}

/// Where in a notebook outputs stand that later cells may update.
struct DisplayedOutputs {
  private var places: [String: [(cell: Int, output: Int)]] = [:]

  /// Stores a cell's outputs in the notebook and carries its updates into earlier cells.
  mutating func store(_ outputs: inout CellOutputs, cell: Int, in notebook: inout Notebook) {
    for update in outputs.updates {
      for place in places[update.id] ?? [] {
        guard notebook.cells.indices.contains(place.cell),
          notebook.cells[place.cell].outputs.indices.contains(place.output)
        else { continue }
        let old = notebook.cells[place.cell].outputs[place.output]
        notebook.cells[place.cell].outputs[place.output] = old.updated(
          update.data, update.metadata)
      }
    }
    notebook.cells[cell].outputs = outputs.finished()
    for (i, id) in outputs.displayIDs.enumerated() {
      if let id { places[id, default: []].append((cell, i)) }
    }
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
