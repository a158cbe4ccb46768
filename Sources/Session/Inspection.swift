// `help(x)`, `x?`, `x??`, and how values are displayed.

import Engine
import Language
import Library

extension Session {
  /// The forms in which a front end can show a value. The text of an array needs its values, and so does its table; a
  /// terminal shows text alone.
  func display(of value: Value) throws(LullError) -> MimeBundle {
    var bundle = MimeBundle(plain: try reprText(value))
    if frontEnd != .notebook { return bundle }
    if let array = value.native(NDArray.self) {
      if let table = arrayTable(array) { bundle.entries.append(("text/html", table)) }
      return bundle
    }
    if let table = try recordTable(value) {
      bundle.entries.append(("text/html", table))
      return bundle
    }
    // Objects of the user's classes may offer more, by the names that notebooks know.
    guard value.nativeObject() == nil,
      attributeNames(value).contains(where: { $0.hasPrefix("_repr_") })
    else { return bundle }
    let forms = [
      ("_repr_html_", "text/html"), ("_repr_svg_", "image/svg+xml"),
      ("_repr_markdown_", "text/markdown"), ("_repr_latex_", "text/latex"),
      ("_repr_json_", "application/json"), ("_repr_png_", "image/png"),
      ("_repr_jpeg_", "image/jpeg"),
    ]
    for (method, type) in forms {
      guard let f = try attributeOrNil(value, method) else { continue }
      defer { f.drop() }
      if !f.isCallable { continue }
      let made = try callValue(f, [])
      defer { made.drop() }
      if let text = made.stringValue {
        bundle.entries.append((type, text))
      } else if let bytes = made.byteArray {
        bundle.entries.append((type, base64(bytes)))
      }
    }
    return bundle
  }

  /// What `name?` (detail 1) and `name??` (detail 2) print; nil when there is no such name. Evaluates
  /// nothing: a pending array stays pending.
  public func inspect(_ name: String, detail: Int) -> String? {
    if name.hasPrefix("%") {
      let bare = String(name.drop { $0 == "%" })
      return table[bare].map { commandHelp($0) }
    }
    if let value = resolve(name) {
      defer { value.drop() }
      return describe(value, detail: detail)
    }
    if let command = table[name] { return commandHelp(command) }
    return nil
  }

  func commandHelp(_ command: Command) -> String {
    if !command.options.isEmpty { return optionHelp(command) }
    var text = "\(command.usage)\n  \(command.record.doc)\n"
    if command.isFunction { text += "  As a function: \(shownSignature(command.record))\n" }
    if command.cell != nil {
      text += "  %%\(command.name) on the first line takes the whole cell.\n"
    }
    for example in command.record.examples {
      text += "\n" + example.split(separator: "\n").map { "  \($0)\n" }.joined()
    }
    return text
  }

  /// The help of a command whose options say what they mean.
  private func optionHelp(_ command: Command) -> String {
    let first = command.options.filter { !$0.declaration.contains("=") }.map(\.name)
    var text = "%\(command.name) \(first.joined(separator: " ")) [options]\n"
    text += "  \(command.record.doc)\n"
    text +=
      "  As a function: \(command.name)(\(first.joined(separator: ", ")), name=value, ...)\n\n"
    text += command.optionTable(isCommandLine: false)
    for example in command.record.examples { text += "\n  \(example)\n" }
    return text
  }

  /// A signature without the parameters that only rewritten lines use.
  private func shownSignature(_ record: Builtin) -> String {
    guard let range = record.signature.firstRange(of: ", _line=0") else { return record.signature }
    return record.signature.replacing(range)
  }

  func describe(_ value: Value, detail: Int = 1) -> String {
    if let array = value.native(NDArray.self) { return describe(array) }
    if let record = value.record {
      if let command = table[record.name], command.record === record { return commandHelp(command) }
      var text = "\(record.signature)\n"
      if !record.doc.isEmpty { text += "  \(record.doc)\n" }
      for example in record.examples {
        text += "\n" + example.split(separator: "\n").map { "  \($0)\n" }.joined()
      }
      return text
    }
    if let definition = definition(of: value) {
      if detail > 1 { return definition.source + "\n" }
      var text = definition.signature + "\n"
      if !definition.doc.isEmpty { text += indented(definition.doc) }
      return text
    }
    let kind = value.typeNameText
    var text = ""
    switch kind {
    case "module":
      text = "module \(textAttribute(value, "__name__") ?? "")\n"
      if let doc = textAttribute(value, "__doc__"), !doc.isEmpty { text += indented(doc) }
      let names = attributeNames(value).filter { !$0.hasPrefix("_") }
      text += wrapped(names, indent: "  ")
    case "type":
      text = "class \(textAttribute(value, "__qualname__") ?? "")\n"
      // The names stand between the text and its examples.
      let doc = textAttribute(value, "__doc__") ?? ""
      let end = doc.firstRange(of: "\n\n>>> ")?.lowerBound ?? doc.endIndex
      if end != doc.startIndex { text += indented(String(doc[..<end])) }
      text += wrapped(attributeNames(value).filter { !$0.hasPrefix("_") }, indent: "  ")
      if end != doc.endIndex { text += indented(String(doc[doc.index(after: end)...])) }
    default:
      var shown = ""
      do throws(LullError) { shown = try quietRepr(value) } catch { shown = "<no repr>" }
      text = "\(kind): \(shown)\n"
      if let doc = textAttribute(value, "__doc__"), !doc.isEmpty { text += indented(doc) }
    }
    return text
  }

  private func describe(_ array: NDArray) -> String {
    let shape = "(" + array.shape.map(String.init).joined(separator: ", ")
    var text = "array: shape \(shape)\(array.rank == 1 ? ",)" : ")"), \(array.dtype.name)\n"
    text += "  \(array.size) element\(array.size == 1 ? "" : "s"), \(byteText(array.byteCount))\n"
    if array.isEvaluated {
      text += "  evaluated"
      if array.rank > 0 {
        text += ", strides (" + array.strides.map(String.init).joined(separator: ", ")
        text += ") in elements"
      }
      text += "\n"
    } else {
      text += "  pending: it is computed when its values are needed\n"
      if let place = decodePosition(array.position) {
        text += "  made by \(place.source.file), line \(place.line): "
        text += "\(place.source.text(place.span))\n"
      }
    }
    return text
  }

  /// A short repr that evaluates no array.
  func quietRepr(_ value: Value) throws(LullError) -> String {
    if let array = value.native(NDArray.self) {
      let shape = array.shape.map(String.init).joined(separator: ", ")
      let state = array.isEvaluated ? "" : ", pending"
      return "(\(shape)\(array.rank == 1 ? "," : "")) \(array.dtype.name)\(state)"
    }
    if pendingArrays(in: value, limit: 1).isEmpty == false || containsArray(value) {
      return "\(value.elements.count) items with arrays"
    }
    var text = try reprText(value)
    if let newline = text.firstIndex(of: "\n") { text = text[..<newline] + " ..." }
    return text.count > 70 ? text.prefix(66) + " ..." : text
  }

  private func containsArray(_ value: Value) -> Bool {
    value.elements.prefix(1000).contains { $0.native(NDArray.self) != nil }
  }

  /// The arrays in a value (lists, tuples, dicts, instances of dicts) that are still pending.
  func pendingArrays(in value: Value, limit: Int = .max) -> [NDArray] {
    var found: [NDArray] = []
    var stack = [(value, 0)]
    var seen = 0
    while let (v, depth) = stack.popLast(), found.count < limit {
      seen += 1
      if seen > 1_000_000 || depth > 50 { continue }
      if let array = v.native(NDArray.self) {
        if !array.isEvaluated { found.append(array) }
      } else if v.isList || v.isTuple {
        for element in v.elements { stack.append((element, depth + 1)) }
      } else if v.isDict {
        for (_, item) in dictItems(v) { stack.append((item, depth + 1)) }
      }
    }
    return found
  }
}

extension String {
  func firstRange(of part: String) -> Range<String.Index>? {
    var start = startIndex
    while start < endIndex {
      if self[start...].hasPrefix(part) {
        return start..<(index(start, offsetBy: part.count))
      }
      start = index(after: start)
    }
    return nil
  }
  fileprivate func replacing(_ range: Range<String.Index>) -> String {
    String(self[..<range.lowerBound]) + self[range.upperBound...]
  }
}

/// A docstring without the margin that it has in its source, two columns in.
private func indented(_ text: String) -> String {
  func margin(_ line: some StringProtocol) -> Int { line.prefix { $0 == " " }.count }
  var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
  func isBlank(_ line: Substring) -> Bool { line.allSatisfy { $0 == " " } }
  let common = lines.dropFirst().filter { !isBlank($0) }.map(margin).min() ?? 0
  for i in lines.indices { lines[i] = lines[i].dropFirst(i == 0 ? margin(lines[i]) : common) }
  while let last = lines.last, isBlank(last) { lines.removeLast() }
  return lines.map { isBlank($0) ? "\n" : "  \($0)\n" }.joined()
}

/// Words in lines of at most 78 characters.
func wrapped(_ words: [String], indent: String) -> String {
  var text = ""
  var line = indent
  for word in words {
    if line.count + word.count > 78, line != indent {
      text += line + "\n"
      line = indent
    }
    line += (line == indent ? "" : "  ") + word
  }
  return line == indent ? text : text + line + "\n"
}

/// Bytes as people read them, in powers of 1000.
func byteText(_ count: Int) -> String {
  let units = ["bytes", "kB", "MB", "GB", "TB"]
  var value = Double(count)
  var unit = 0
  while value >= 1000, unit < units.count - 1 {
    value /= 1000
    unit += 1
  }
  return unit == 0 ? "\(count) bytes" : "\(decimal(value, places: 2)) \(units[unit])"
}

/// A number with a fixed number of decimals.
func decimal(_ value: Double, places: Int) -> String {
  guard value.isFinite, abs(value) < 1e15 else { return "\(value)" }
  var scale = 1.0
  for _ in 0..<places { scale *= 10 }
  let scaled = Int((abs(value) * scale).rounded())
  let whole = scaled / Int(scale)
  var fraction = String(scaled % Int(scale))
  while fraction.count < places { fraction = "0" + fraction }
  return (value < 0 && scaled != 0 ? "-" : "") + "\(whole)" + (places > 0 ? "." + fraction : "")
}

/// A time span in the unit that suits it.
public func secondsText(_ seconds: Double) -> String {
  if seconds >= 60 {
    return
      "\(Int(seconds) / 60) min \(decimal(seconds - Double(Int(seconds) / 60 * 60), places: 1)) s"
  }
  if seconds >= 1 { return "\(decimal(seconds, places: 2)) s" }
  if seconds >= 1e-3 { return "\(decimal(seconds * 1e3, places: 2)) ms" }
  if seconds >= 1e-6 { return "\(decimal(seconds * 1e6, places: 2)) us" }
  return "\(decimal(seconds * 1e9, places: 0)) ns"
}
