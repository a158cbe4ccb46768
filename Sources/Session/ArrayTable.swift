// Arrays and records as HTML tables, for notebooks.
//
// Colours are the page's own (currentColor, translucent lines), there are no scripts, and a table that is too wide for
// a phone scrolls inside its own box. Large arrays show the first and last rows and columns, as their text does.

import Engine
import Language

/// Rows and columns at each end of a long axis; up to twice as many and one are shown whole.
private let edge = 5

/// The indices of an axis that are shown; nil stands for those left out.
private func shownIndices(_ count: Int) -> [Int?] {
  if count <= 2 * edge + 1 { return Array(0..<count) }
  return Array(0..<edge) + [nil] + Array((count - edge)..<count)
}

/// Text with what HTML reserves escaped.
public func escapedHTML(_ text: String) -> String {
  var out = ""
  for c in text.unicodeScalars {
    switch c {
    case "<": out += "&lt;"
    case ">": out += "&gt;"
    case "&": out += "&amp;"
    case "\"": out += "&quot;"
    default: out.unicodeScalars.append(c)
    }
  }
  return out
}

private let line = "1px solid rgba(128,128,128,.35)"
private let headStyle =
  "padding:.15em .6em;text-align:right;font-weight:normal;opacity:.6;border-bottom:\(line)"
private let sideStyle =
  "padding:.15em .6em;text-align:right;font-weight:normal;opacity:.6;border-right:\(line)"
private let cellStyle = "padding:.15em .6em;text-align:right"

/// A table with a caption over it and one row of heads.
private func tableHTML(caption: String, head: [String], rows: [(side: String?, cells: [String])])
  -> String
{
  let corner = rows.contains { $0.side != nil } ? "<th style=\"\(headStyle)\"></th>" : ""
  var html = "<div style=\"overflow-x:auto;max-width:100%\">"
  html +=
    "<table style=\"border-collapse:collapse;font-family:ui-monospace,monospace;font-size:.9em;"
    + "color:inherit;background:transparent;margin:.2em 0\">"
  html +=
    "<caption style=\"text-align:left;white-space:nowrap;opacity:.75;padding:.2em 0\">\(caption)</caption>"
  html += "<thead><tr>\(corner)"
  for h in head { html += "<th scope=\"col\" style=\"\(headStyle)\">\(h)</th>" }
  html += "</tr></thead><tbody>"
  for row in rows {
    html += "<tr>"
    if let side = row.side { html += "<th scope=\"row\" style=\"\(sideStyle)\">\(side)</th>" }
    for c in row.cells { html += "<td style=\"\(cellStyle)\">\(c)</td>" }
    html += "</tr>"
  }
  return html + "</tbody></table></div>"
}

/// The table of an evaluated array with one or two axes; nil for others.
func arrayTable(_ x: NDArray) -> String? {
  guard x.rank == 1 || x.rank == 2, x.isEvaluated, x.size > 0 else { return nil }
  let columns = shownIndices(x.shape[x.rank - 1])
  let rows: [Int?] = x.rank == 1 ? [0] : shownIndices(x.shape[0])
  let shape = "(" + x.shape.map(String.init).joined(separator: ", ") + (x.rank == 1 ? ",)" : ")")
  func cell(_ row: Int?, _ column: Int?) -> String {
    guard let column else { return "&hellip;" }
    guard let row else { return "&#8942;" }
    return escapedHTML(x.elementText(x.rank == 1 ? [column] : [row, column]))
  }
  return tableHTML(
    caption: "array &nbsp;shape \(shape) &nbsp;\(x.dtype.name)",
    head: columns.map { $0.map(String.init) ?? "&hellip;" },
    rows: rows.map { row in
      (
        x.rank == 1 ? nil : row.map(String.init) ?? "&#8942;",
        columns.map { cell(row, $0) }
      )
    })
}

extension Session {
  /// The table of a list of dicts with the same few keys and plain values; nil for anything else.
  func recordTable(_ value: Value) throws(LullError) -> String? {
    guard value.isList, value.elements.count > 0, let first = value.elements.first, first.isDict
    else { return nil }
    let keys = dictItems(first).compactMap { $0.key.stringValue }
    guard !keys.isEmpty, keys.count <= 12, keys.count == dictItems(first).count else { return nil }
    let shown = shownIndices(value.elements.count)
    var rows: [(side: String?, cells: [String])] = []
    for index in shown {
      guard let index else {
        rows.append(("&#8942;", keys.map { _ in "&#8942;" }))
        continue
      }
      let record = value.elements[index]
      guard record.isDict, dictItems(record).count == keys.count else { return nil }
      var cells: [String] = []
      for key in keys {
        guard let item = dictItem(record, key) else { return nil }
        guard item.isNone || item.stringValue != nil || item.doubleValue != nil else { return nil }
        var text = item.stringValue ?? ""
        if item.stringValue == nil { text = try reprText(item) }
        cells.append(escapedHTML(text.count > 60 ? text.prefix(57) + "..." : text))
      }
      rows.append((String(index), cells))
    }
    let count = value.elements.count
    return tableHTML(
      caption: "list of \(count) record\(count == 1 ? "" : "s")", head: keys.map(escapedHTML),
      rows: rows)
  }
}
