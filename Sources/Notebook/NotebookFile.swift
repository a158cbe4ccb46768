// Notebooks as values, and the .ipynb format (nbformat 4).
//
// Any 4.x is read; what is written is 4.5 (or the file's own minor when it is later). Unknown metadata
// is kept. Multi-line strings are accepted as one string or as a list of lines and written as lists.
// The text is byte for byte what nbformat writes: sorted keys, indent 1, no escaping of non-ASCII
// characters, a newline at the end; so an untouched notebook reads and writes to the same bytes.

import Formats

public struct NotebookError: Error, CustomStringConvertible {
  public let description: String
  init(_ description: String) { self.description = description }
}

public struct NotebookCell {
  public enum Kind: String { case code, markdown, raw }
  public var kind: Kind
  public var id: String
  public var source: String
  public var metadata: JSONObject
  public var attachments: JSON?
  public var outputs: [JSON] = []
  public var executionCount: Int?

  public init(_ kind: Kind, _ source: String, id: String = "", metadata: JSONObject = JSONObject())
  {
    self.kind = kind
    self.source = source
    self.id = id
    self.metadata = metadata
  }

  public var tags: [String] { metadata["tags"]?.array?.compactMap(\.string) ?? [] }

  /// The first line that says something, for progress.
  var title: String {
    for line in source.split(separator: "\n") {
      let text = line.drop { $0 == " " || $0 == "\t" }
      if !text.isEmpty { return text.count > 60 ? text.prefix(57) + "..." : String(text) }
    }
    return ""
  }
}

public struct Notebook {
  public var cells: [NotebookCell] = []
  public var metadata = JSONObject()
  public var minor = 5

  public init() {}

  // MARK: - Reading

  public static func read(ipynb bytes: [UInt8], name: String) throws(NotebookError) -> Notebook {
    let json: JSON
    do throws(FormatError) {
      json = try JSON.parse(bytes, file: name)
    } catch {
      throw NotebookError(
        "'\(name)' is not a notebook: \(error.field.isEmpty ? "" : error.field + ": ")\(error.found)"
      )
    }
    guard case .object(let top) = json else {
      throw NotebookError("'\(name)' is not a notebook: expected an object, found \(json.typeName)")
    }
    func bad(_ what: String) -> NotebookError {
      NotebookError("'\(name)' is not a valid notebook: \(what)")
    }
    guard let major = top["nbformat"]?.int else { throw bad("'nbformat' is missing") }
    guard major == 4 else {
      throw bad(
        "format \(major) is not supported; convert it with 'jupyter nbconvert --to notebook'")
    }
    guard let list = top["cells"]?.array else { throw bad("'cells' is missing or is not an array") }
    var notebook = Notebook()
    notebook.minor = max(5, top["nbformat_minor"]?.int ?? 0)
    if let value = top["metadata"] {
      guard case .object(let metadata) = value else { throw bad("'metadata' is not an object") }
      notebook.metadata = metadata
    }
    for (i, item) in list.enumerated() {
      let place = "cells[\(i)]"
      guard case .object(let object) = item else { throw bad("\(place) is not an object") }
      guard let type = object["cell_type"]?.string, let kind = NotebookCell.Kind(rawValue: type)
      else { throw bad("\(place).cell_type must be code, markdown or raw") }
      guard let source = joined(object["source"] ?? .string("")) else {
        throw bad("\(place).source must be a string or a list of strings")
      }
      var cell = NotebookCell(kind, source)
      if let value = object["id"] {
        guard let id = value.string, isIdentifier(id) else {
          throw bad("\(place).id must be 1 to 64 letters, digits, '-' or '_'")
        }
        cell.id = id
      }
      if let value = object["metadata"] {
        guard case .object(let metadata) = value else {
          throw bad("\(place).metadata is not an object")
        }
        cell.metadata = metadata
      }
      cell.attachments = object["attachments"]
      if kind == .code {
        cell.executionCount = object["execution_count"]?.int
        if let value = object["outputs"] {
          guard let outputs = value.array, outputs.allSatisfy({ $0.object != nil }) else {
            throw bad("\(place).outputs is not a list of objects")
          }
          cell.outputs = outputs
        }
      }
      notebook.cells.append(cell)
    }
    notebook.fillIdentifiers()
    return notebook
  }

  private static func joined(_ value: JSON) -> String? {
    if let text = value.string { return text }
    return value.stringArray?.joined()
  }

  static func isIdentifier(_ id: String) -> Bool {
    !id.isEmpty && id.utf8.count <= 64
      && id.utf8.allSatisfy {
        ($0 >= 48 && $0 <= 57) || ($0 >= 65 && $0 <= 90) || ($0 >= 97 && $0 <= 122) || $0 == 45
          || $0 == 95
      }
  }

  /// Gives cells without an id (or with one that an earlier cell has) 8 hex digits that depend on
  /// their place and text only, so that the same notebook gets the same ids.
  mutating func fillIdentifiers() {
    var used: Set<String> = []
    for cell in cells where !cell.id.isEmpty { used.insert(cell.id) }
    var seen: Set<String> = []
    for i in cells.indices {
      if !cells[i].id.isEmpty, seen.insert(cells[i].id).inserted { continue }
      var salt = 0
      while true {
        var hash: UInt32 = 2_166_136_261
        for byte in "\(i):\(salt):\(cells[i].source)".utf8 {
          hash = (hash ^ UInt32(byte)) &* 16_777_619
        }
        let digits = String(hash, radix: 16)
        let id = String(repeating: "0", count: 8 - digits.count) + digits
        if used.insert(id).inserted {
          cells[i].id = id
          seen.insert(id)
          break
        }
        salt += 1
      }
    }
  }

  // MARK: - Writing

  public func ipynb() -> [UInt8] {
    var top = JSONObject()
    top["cells"] = .array(cells.map(json))
    top["metadata"] = .object(metadata)
    top["nbformat"] = .int(4)
    top["nbformat_minor"] = .int(minor)
    return JSON.object(top).serializedBytes(.notebook) + [10]
  }

  private func json(_ cell: NotebookCell) -> JSON {
    var object = JSONObject()
    object["cell_type"] = .string(cell.kind.rawValue)
    object["id"] = .string(cell.id)
    object["metadata"] = .object(cell.metadata)
    object["source"] = lines(cell.source)
    if let attachments = cell.attachments { object["attachments"] = attachments }
    if cell.kind == .code {
      object["execution_count"] = cell.executionCount.map { .int($0) } ?? .null
      object["outputs"] = .array(cell.outputs.map(Notebook.splittingText))
    }
    return .object(object)
  }

  /// An output with its multi-line strings as lists of lines.
  private static func splittingText(_ output: JSON) -> JSON {
    guard case .object(var object) = output else { return output }
    if let text = object["text"]?.string { object["text"] = lines(text) }
    if case .object(var data)? = object["data"] {
      for (type, value) in data {
        let isJSON =
          type == "application/json" || (type.hasPrefix("application/") && type.hasSuffix("+json"))
        if !isJSON, !type.hasPrefix("image/") || type == "image/svg+xml", let text = value.string {
          data[type] = lines(text)
        }
      }
      object["data"] = .object(data)
    }
    return .object(object)
  }
}

/// A text as notebooks store it: lines with their ends, split where Python's `splitlines` does.
func lines(_ text: String) -> JSON {
  var out: [JSON] = []
  var line = String.UnicodeScalarView()
  let scalars = Array(text.unicodeScalars)
  var i = 0
  while i < scalars.count {
    let c = scalars[i]
    line.append(c)
    i += 1
    switch c.value {
    case 13 where i < scalars.count && scalars[i].value == 10: continue
    case 10, 13, 11, 12, 0x1C, 0x1D, 0x1E, 0x85, 0x2028, 0x2029:
      out.append(.string(String(line)))
      line = String.UnicodeScalarView()
    default: break
    }
  }
  if !line.isEmpty { out.append(.string(String(line))) }
  return .array(out)
}
