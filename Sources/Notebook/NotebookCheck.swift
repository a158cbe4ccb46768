// `lull check`: runs a notebook again and compares what its cells show with what is stored.
//
// Compared are streams, results, displays that have text, SVG or HTML, and the name and text of errors. Numbers in
// text may differ by a tolerance, addresses are ignored. Tags and comments leave cells out as nbval's do:
// `nbval-ignore-output` (# NBVAL_IGNORE_OUTPUT) runs a cell without comparing, `nbval-skip` (# NBVAL_SKIP) and
// `skip-execution` do not run it, `raises-exception` (# NBVAL_RAISES_EXCEPTION) wants it to fail.

import Formats
import Glibc
import Language
import Session

public struct CheckOptions {
  public var relativeTolerance = 1e-5
  public var absoluteTolerance = 1e-8
  public var timeout: Double?
  public init() {}
}

/// Checks a notebook; the differences go to standard output.
public func checkNotebook(_ path: String, _ options: CheckOptions) -> NotebookOutcome {
  let stored: Notebook
  do throws(NotebookError) { stored = try readNotebook(path) } catch {
    return .unusable(error.description)
  }
  guard path.hasSuffix(".ipynb") else {
    return .unusable("'\(path)' has no outputs to check: it is a text notebook")
  }
  var marked = stored
  for i in marked.cells.indices where marked.cells[i].kind == .code {
    marked.cells[i].addTagsOfComments()
  }
  let session = Session(directory: parent(of: path), arguments: [path])
  var run = NotebookOptions()
  run.allowErrors = true
  run.timeout = options.timeout
  run.isQuiet = true
  let runner = NotebookRun(marked, session, target: nil, run)
  var report = CheckReport(options)
  for problem in stored.orderProblems(known: session.isBuiltin, session: session)
    + stored.runOrderProblems()
  {
    report.say(problem.cell, problem.text)
  }
  let outcome = runner.runSilently()
  var number = 0
  for (i, cell) in marked.cells.enumerated() where cell.kind == .code {
    number += 1
    if case .interrupted = outcome, runner.notebook.cells[i].executionCount == nil { break }
    if cell.tags.contains("skip-execution") { continue }
    report.compare(
      number, stored: stored.cells[i], now: runner.notebook.cells[i], tags: cell.tags,
      error: runner.errors[i])
  }
  switch outcome {
  case .interrupted, .unusable, .exit: return outcome
  case .done, .failed: break
  }
  let count = report.problems
  OutputSink.standardOutput.write(
    count == 0
      ? "\(path): \(number) cell\(number == 1 ? "" : "s"), as stored\n"
      : "\(path): \(count) problem\(count == 1 ? "" : "s") in \(number) cell\(number == 1 ? "" : "s")\n"
  )
  return count == 0 ? .done : .failed
}

extension NotebookCell {
  /// nbval's comments and tags as those that a run knows.
  mutating func addTagsOfComments() {
    let marks = [
      ("NBVAL_IGNORE_OUTPUT", "nbval-ignore-output"), ("NBVAL_SKIP", "skip-execution"),
      ("NBVAL_RAISES_EXCEPTION", "raises-exception"),
    ]
    var all = tags
    for line in source.split(separator: "\n") where line.hasPrefix("#") {
      for (mark, tag) in marks where line.dropFirst().drop(while: { $0 == " " }).hasPrefix(mark) {
        all.append(tag)
      }
    }
    if all.contains("nbval-skip") { all.append("skip-execution") }
    if all.count != tags.count { metadata["tags"] = .array(all.map { .string($0) }) }
  }
}

private struct CheckReport {
  let options: CheckOptions
  var problems = 0
  init(_ options: CheckOptions) { self.options = options }

  mutating func say(_ cell: Int, _ text: String) {
    problems += 1
    OutputSink.standardOutput.write("cell \(cell): \(text)\(text.last == "\n" ? "" : "\n")")
  }

  mutating func compare(
    _ number: Int, stored: NotebookCell, now: NotebookCell, tags: [String], error: CellError?
  ) {
    let mayFail =
      tags.contains("raises-exception")
      || stored.outputs.contains { $0["output_type"]?.string == "error" }
    if let error, !mayFail { return say(number, "failed: \(error.name): \(error.text)") }
    if error == nil, tags.contains("raises-exception") {
      return say(number, "is tagged raises-exception, and raised none")
    }
    if tags.contains("nbval-ignore-output") { return }
    let isBlank = stored.source.allSatisfy { $0 == " " || $0 == "\n" || $0 == "\t" }
    if stored.executionCount == nil, stored.outputs.isEmpty, !isBlank, !now.outputs.isEmpty {
      return say(number, "has no stored outputs: run it with 'lull run --in-place'")
    }
    let (old, new) = (forms(stored.outputs), forms(now.outputs))
    for i in 0..<max(old.count, new.count) {
      guard i < old.count else {
        return say(number, "shows more than stored:\n" + marked("+", new[i].text))
      }
      guard i < new.count else {
        return say(number, "no longer shows:\n" + marked("-", old[i].text))
      }
      if old[i].kind != new[i].kind {
        return say(
          number,
          "shows \(new[i].kind) where \(old[i].kind) is stored:\n" + marked("-", old[i].text)
            + marked("+", new[i].text))
      }
      var comparison = TextComparison(options)
      // Of a drawing, places on the page.
      if old[i].kind == "image/svg+xml" { comparison.absolute = max(comparison.absolute, 0.05) }
      if !comparison.equal(old[i].text, new[i].text) {
        say(number, "\(old[i].kind) differs:\n" + difference(old[i].text, new[i].text))
      }
    }
  }

  private func marked(_ mark: String, _ text: String) -> String {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    let shown = lines.prefix(20).map { "  \(mark) \($0)\n" }.joined()
    return lines.count > 20 ? shown + "  \(mark) ... \(lines.count - 20) lines more\n" : shown
  }

  /// The lines from the first to the last that differ.
  private func difference(_ old: String, _ new: String) -> String {
    var a = old.split(separator: "\n", omittingEmptySubsequences: false)[...]
    var b = new.split(separator: "\n", omittingEmptySubsequences: false)[...]
    let same = TextComparison(options)
    while let x = a.first, let y = b.first, same.equal(String(x), String(y)) {
      a = a.dropFirst()
      b = b.dropFirst()
    }
    while let x = a.last, let y = b.last, same.equal(String(x), String(y)) {
      a = a.dropLast()
      b = b.dropLast()
    }
    return (a.isEmpty ? "" : marked("-", a.joined(separator: "\n")))
      + (b.isEmpty ? "" : marked("+", b.joined(separator: "\n")))
  }

  /// What of outputs is compared: a kind and a text each; a stream's pieces are one.
  private func forms(_ outputs: [JSON]) -> [(kind: String, text: String)] {
    var result: [(kind: String, text: String)] = []
    for output in outputs {
      switch output["output_type"]?.string {
      case "stream":
        let kind = output["name"]?.string ?? "stdout"
        let text = collapsingReturns(joinedText(output["text"]))
        if let last = result.last, last.kind == kind {
          result[result.count - 1].text += text
        } else {
          result.append((kind, text))
        }
      case "error":
        result.append(
          ("error", "\(output["ename"]?.string ?? ""): \(output["evalue"]?.string ?? "")"))
      default:
        for type in ["text/plain", "text/html", "image/svg+xml", "text/markdown"] {
          guard let value = output["data"]?[type] else { continue }
          // Another look of what the text says: the table of an array, for one.
          if type == "text/html", output["data"]?["text/plain"] != nil { continue }
          result.append((type, joinedText(value)))
        }
      }
    }
    return result
  }
}

/// A text that a notebook stores as one string or as lines.
func joinedText(_ value: JSON?) -> String {
  value?.string ?? value?.stringArray?.joined() ?? ""
}

/// Texts that are the same but for blanks, addresses and, within a tolerance, numbers.
struct TextComparison {
  let relative: Double
  var absolute: Double
  init(_ options: CheckOptions) {
    (relative, absolute) = (options.relativeTolerance, options.absoluteTolerance)
  }

  private enum Piece: Equatable {
    case number(Double)
    case other(String)
  }

  func equal(_ a: String, _ b: String) -> Bool {
    if a == b { return true }
    let (x, y) = (pieces(a), pieces(b))
    guard x.count == y.count else { return false }
    return zip(x, y).allSatisfy { p, q in
      if case .number(let m) = p, case .number(let n) = q {
        return m == n || abs(m - n) <= absolute + relative * max(abs(m), abs(n))
      }
      return p == q
    }
  }

  private func pieces(_ text: String) -> [Piece] {
    let bytes = Array(text.utf8)
    var result: [Piece] = []
    var word: [UInt8] = []
    func isDigit(_ i: Int) -> Bool { i < bytes.count && bytes[i] >= 48 && bytes[i] <= 57 }
    func isLetter(_ c: UInt8) -> Bool { (c | 32) >= 97 && (c | 32) <= 122 || c == 95 || c >= 128 }
    func flush() {
      if !word.isEmpty { result.append(.other(String(decoding: word, as: UTF8.self))) }
      word = []
    }
    var i = 0
    while i < bytes.count {
      let c = bytes[i]
      if c == 32 || c == 9 || c == 10 || c == 13 {
        flush()
        i += 1
        continue
      }
      let startsNumber =
        isDigit(i) || c == 46 && isDigit(i + 1)
        || c == 45
          && (isDigit(i + 1) || i + 2 < bytes.count && bytes[i + 1] == 46 && isDigit(i + 2))
      if startsNumber, word.last.map({ !isLetter($0) && !($0 >= 48 && $0 <= 57) }) ?? true {
        var end = i + (c == 45 ? 1 : 0)
        // An address: 0x and hexadecimal digits.
        if bytes[end] == 48, end + 1 < bytes.count, bytes[end + 1] == 120 {
          end += 2
          while end < bytes.count, isDigit(end) || (bytes[end] | 32 >= 97 && bytes[end] | 32 <= 102)
          { end += 1 }
          flush()
          result.append(.other("0x"))
          i = end
          continue
        }
        while end < bytes.count, isDigit(end) || bytes[end] == 46 { end += 1 }
        if end < bytes.count, bytes[end] | 32 == 101 {
          var e = end + 1
          if e < bytes.count, bytes[e] == 43 || bytes[e] == 45 { e += 1 }
          if isDigit(e) {
            while isDigit(e) { e += 1 }
            end = e
          }
        }
        let digits = String(decoding: bytes[i..<end], as: UTF8.self)
        flush()
        if let value = Double(digits.hasSuffix(".") ? digits + "0" : digits) {
          result.append(.number(value))
        } else {
          result.append(.other(digits))
        }
        i = end
        continue
      }
      word.append(c)
      i += 1
    }
    flush()
    return result
  }
}
