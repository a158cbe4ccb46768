// `lull export` and `lull new`: notebooks in other forms, and new ones.

import Formats
import Session

public struct ExportFailure: Error { public let message: String }

/// Writes a notebook as HTML, as text (.lull, .py) or as .ipynb, by the end of `target`'s name.
///
/// A text notebook that becomes an .ipynb which is there already keeps that file's outputs and metadata for the cells that are as
/// they were.
public func exportNotebook(_ path: String, to target: String) throws(ExportFailure) {
  do throws(NotebookError) {
    var notebook = try readNotebook(path)
    let text: String
    if target.hasSuffix(".html") || target.hasSuffix(".htm") {
      text = try exportedHTML(notebook, name: path)
    } else if target.hasSuffix(".lull") || target.hasSuffix(".py") {
      text = notebook.percentText()
    } else if target.hasSuffix(".ipynb") {
      if fileExists(target) { notebook.takeOver(try readNotebook(target)) }
      if notebook.metadata["kernelspec"] == nil { notebook.setLanguage() }
      text = String(decoding: notebook.ipynb(), as: UTF8.self)
    } else {
      throw NotebookError("'\(target)' must end in .html, .lull, .py or .ipynb")
    }
    do throws(FormatError) {
      try writeAtomically(text, to: target)
    } catch {
      throw NotebookError("cannot write '\(target)': \(error.found)")
    }
  } catch {
    throw ExportFailure(message: error.description)
  }
}

/// Makes a notebook with a title; an existing file is left alone.
public func makeNotebook(_ path: String, title: String) throws(ExportFailure) {
  guard path.hasSuffix(".ipynb") || path.hasSuffix(".lull") || path.hasSuffix(".py") else {
    throw ExportFailure(message: "'\(path)' must end in .ipynb, .lull or .py")
  }
  if fileExists(path) { throw ExportFailure(message: "'\(path)' is there already") }
  var notebook = Notebook()
  notebook.setLanguage()
  notebook.cells = [NotebookCell(.markdown, "# \(title)"), NotebookCell(.code, "")]
  notebook.fillIdentifiers()
  do throws(FormatError) {
    if path.hasSuffix(".ipynb") {
      try writeAtomically(notebook.ipynb(), to: path)
    } else {
      try writeAtomically(notebook.percentText(), to: path)
    }
  } catch {
    throw ExportFailure(message: "cannot write '\(path)': \(error.found)")
  }
}

extension Notebook {
  /// Outputs, numbers, ids and metadata of the cells of an older state whose source is the same, in their order.
  mutating func takeOver(_ old: Notebook) {
    for (key, value) in old.metadata where metadata[key] == nil { metadata[key] = value }
    var next = 0
    var taken: Set<Int> = []
    for i in cells.indices {
      let own = cells[i]
      let same = { (cell: NotebookCell) in cell.kind == own.kind && cell.source == own.source }
      let ahead = old.cells.indices.first { $0 >= next && same(old.cells[$0]) }
      guard
        let match = ahead
          ?? old.cells.indices.first(where: { !taken.contains($0) && same(old.cells[$0]) })
      else { continue }
      if !taken.insert(match).inserted { continue }
      if match >= next { next = match + 1 }
      let previous = old.cells[match]
      cells[i].id = previous.id
      cells[i].outputs = previous.outputs
      cells[i].executionCount = previous.executionCount
      cells[i].attachments = cells[i].attachments ?? previous.attachments
      for (key, value) in previous.metadata where cells[i].metadata[key] == nil {
        cells[i].metadata[key] = value
      }
    }
    fillIdentifiers()
  }
}
