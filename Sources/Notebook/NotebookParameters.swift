// Parameters of a run (papermill's convention), and what a notebook looks like before it.
//
// Values go into a cell of their own, tagged `injected-parameters`, after the cell tagged `parameters`, or first of all. A cell that
// an earlier run injected is replaced.

import Formats
import Language
import Session

extension Notebook {
  /// The metadata by which Jupyter finds the kernel and colours the source.
  mutating func setLanguage() {
    metadata["kernelspec"] = kernelSpecification
    metadata["language_info"] = languageInformation
  }

  /// Forgets outputs and numbers of execution.
  mutating func clearOutputs() {
    for i in cells.indices where cells[i].kind == .code {
      cells[i].outputs = []
      cells[i].executionCount = nil
    }
  }

  /// Puts the values (as source) where they take effect.
  mutating func inject(_ parameters: [(name: String, value: String)]) {
    if parameters.isEmpty { return }
    cells.removeAll { $0.tags.contains("injected-parameters") }
    var text = "# Parameters"
    for (name, value) in parameters { text += "\n\(name) = \(value)" }
    let cell = NotebookCell(
      .code, text, metadata: JSONObject([("tags", ["injected-parameters"])]))
    cells.insert(cell, at: parametersCell.map { $0 + 1 } ?? 0)
    fillIdentifiers()
  }

  private var parametersCell: Int? { cells.firstIndex { $0.tags.contains("parameters") } }

  /// The parameters that the tagged cell sets: `name = value  # what it is`.
  public func declaredParameters(_ session: Session) -> [(name: String, line: String)]? {
    guard let cell = parametersCell, let use = session.nameUse(cells[cell].source) else {
      return nil
    }
    let lines = cells[cell].source.split(separator: "\n").map(String.init)
    return use.binds.compactMap { name -> (Int, String, String)? in
      let at = lines.firstIndex { line in
        line.hasPrefix(name)
          && line.dropFirst(name.count).drop { $0 == " " }.first.map { $0 == "=" || $0 == ":" }
            == true
      }
      return at.map { ($0, name, lines[$0]) }
    }.sorted { $0.0 < $1.0 }.map { ($0.1, $0.2) }
  }
}

/// A parameter's text as source: itself when it is a literal of the language, else a string. `true`,
/// `false` and `null` are taken as in JSON.
public func literal(_ text: String) -> String {
  switch text {
  case "true": return "True"
  case "false": return "False"
  case "null": return "None"
  default: break
  }
  do throws(SyntaxFailure) {
    let expression = try parseExpressionSource(text)
    if isLiteral(expression) { return text }
  } catch {}
  return pythonLiteral(text)
}

private func isLiteral(_ e: Expr) -> Bool {
  switch e.kind {
  case .constant: return true
  case .unary(let op, let operand):
    return (op == .negate || op == .plus) && isLiteral(operand)
  case .list(let items), .tuple(let items), .set(let items):
    return items.allSatisfy(isLiteral)
  case .dict(let items):
    return items.allSatisfy { ($0.key.map(isLiteral) ?? false) && isLiteral($0.value) }
  default: return false
  }
}

/// Whether a parameter can have this name: an identifier that is no keyword.
public func isParameterName(_ text: String) -> Bool {
  guard let first = text.first, first.isLetter || first == "_" else { return false }
  return text.allSatisfy { $0.isLetter || $0.isNumber || $0 == "_" }
    && !languageKeywords.contains(text)
}
