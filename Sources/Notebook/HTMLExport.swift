// Notebooks as one HTML page that needs nothing else.
//
// The page runs no script and loads nothing: its content security policy forbids both, whatever the outputs hold.
// Images are inside it. Colours follow the reader's choice of light or dark.

import Formats
import Session

/// The page of a notebook.
public func exportedHTML(_ notebook: Notebook, name: String) throws(NotebookError) -> String {
  var body = ""
  for (i, cell) in notebook.cells.enumerated() {
    do throws(ProgramFailure) {
      body += try cellHTML(cell)
    } catch {
      throw NotebookError("cell \(i + 1): \(error.message)")
    }
  }
  return """
    <!DOCTYPE html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="generator" content="Lull \(Installation.version)">
    <link rel="icon" href="data:,">
    <title>\(escapedHTML(title(of: notebook) ?? name))</title>
    <style>
    \(pageStyle)
    </style>
    </head>
    <body>
    <main>
    \(body)</main>
    </body>
    </html>

    """
}

/// The notebook's first heading.
func title(of notebook: Notebook) -> String? {
  for cell in notebook.cells where cell.kind == .markdown {
    for line in cell.source.split(separator: "\n") where line.hasPrefix("#") {
      let text = line.drop { $0 == "#" }.drop { $0 == " " }
      if !text.isEmpty { return String(text) }
    }
  }
  return nil
}

private func cellHTML(_ cell: NotebookCell) throws(ProgramFailure) -> String {
  switch cell.kind {
  case .markdown:
    return "<article class=\"md\">\n\(try markdownHTML(withAttachments(cell)))</article>\n"
  case .raw:
    return cell.source.isEmpty
      ? "" : "<div class=\"cell raw\"><pre>\(escapedHTML(cell.source))</pre></div>\n"
  case .code:
    if cell.source.isEmpty, cell.outputs.isEmpty { return "" }
    let count = cell.executionCount.map { "<span class=\"count\">\($0)</span>" } ?? ""
    var html = "<section class=\"cell\">\n"
    // `hide-input` is Jupyter Book's tag.
    if !cell.tags.contains("hide-input") {
      html +=
        "<div class=\"in\">\(count)<pre><code>\(highlightedSource(cell.source))</code></pre></div>\n"
    }
    if !cell.tags.contains("hide-output") {
      for output in cell.outputs { html += try outputHTML(output) }
    }
    return html + "</section>\n"
  }
}

/// The source of a cell with `attachment:` links as data.
private func withAttachments(_ cell: NotebookCell) -> String {
  guard case .object(let files)? = cell.attachments else { return cell.source }
  var source = cell.source
  for (name, forms) in files {
    guard case .object(let forms) = forms,
      let (type, data) = forms.first(where: { $0.0.hasPrefix("image/") })
    else { continue }
    source = source.replacing("attachment:\(name)", with: dataAddress(type, joinedText(data)))
  }
  return source
}

private func dataAddress(_ type: String, _ base64: String) -> String {
  "data:\(type);base64,"
    + base64.filter {
      $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "+" || $0 == "/" || $0 == "=")
    }
}

private func outputHTML(_ output: JSON) throws(ProgramFailure) -> String {
  switch output["output_type"]?.string {
  case "stream":
    let isError = output["name"]?.string == "stderr"
    let text = collapsingReturns(joinedText(output["text"]))
    return "<div class=\"out\(isError ? " stderr" : "")\"><pre>\(terminalHTML(text))</pre></div>\n"
  case "error":
    let lines = output["traceback"]?.stringArray ?? []
    let text =
      lines.isEmpty
      ? "\(output["ename"]?.string ?? "Error"): \(output["evalue"]?.string ?? "")"
      : lines.joined(separator: "\n")
    return "<div class=\"out err\"><pre>\(terminalHTML(text))</pre></div>\n"
  case "display_data", "execute_result":
    guard let shown = try dataHTML(output["data"]) else { return "" }
    return "<div class=\"out\">\(shown)</div>\n"
  default: return ""
  }
}

/// The best form of a bundle that a page can show.
private func dataHTML(_ data: JSON?) throws(ProgramFailure) -> String? {
  guard let data else { return nil }
  func text(_ type: String) -> String? { data[type].map { joinedText($0) } }
  if let html = text("text/html") { return html }
  if let svg = text("image/svg+xml") {
    // Without the XML declaration and the document type.
    guard let start = svg.firstRange(of: "<svg") else { return nil }
    return String(svg[start.lowerBound...])
  }
  let plain = text("text/plain") ?? ""
  for type in ["image/png", "image/jpeg", "image/gif", "image/webp"] {
    if let image = text(type) {
      return "<img alt=\"\(escapedHTML(plain))\" src=\"\(dataAddress(type, image))\">"
    }
  }
  for type in ["audio/wav", "audio/mpeg", "audio/ogg"] {
    if let sound = text(type) {
      return "<audio controls src=\"\(dataAddress(type, sound))\"></audio>"
    }
  }
  if let markdown = text("text/markdown") { return try markdownHTML(markdown) }
  if let latex = text("text/latex") { return "<pre>\(escapedHTML(latex))</pre>" }
  return text("text/plain").map { "<pre>\(terminalHTML($0))</pre>" }
}
