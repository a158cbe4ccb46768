// Headless runs of notebooks.
//
// The cells' outputs go to standard output as they come, progress and tracebacks to standard error. With
// an output file the notebook is written after every cell, whole or not at all, so a run that is cut off
// leaves what it had. Without one nothing is written.
//
// Tags: `parameters` marks the cell after which the given parameters go (without it they come first),
// `skip-execution` leaves a cell out, `raises-exception` lets a cell fail.

import Formats
import Glibc
import Language
import Session

public struct NotebookOptions {
  public var output: String?
  public var inPlace = false
  public var allowErrors = false
  public var parameters: [(name: String, value: String)] = []
  public var timeout: Double?
  public init() {}
}

public enum NotebookOutcome {
  case done
  case failed
  case interrupted
  case exit(Int32)
  /// The file cannot be run: one line that says why.
  case unusable(String)
}

public func runNotebook(_ path: String, _ options: NotebookOptions) -> NotebookOutcome {
  var notebook: Notebook
  do throws(NotebookError) {
    notebook = try readNotebook(path)
  } catch {
    return .unusable(error.description)
  }
  var target = options.output
  if options.inPlace {
    guard path.hasSuffix(".ipynb") else {
      return .unusable(
        "--in-place needs an .ipynb notebook; a text notebook has no place for outputs, use -o")
    }
    target = path
  }
  if let target, !target.hasSuffix(".ipynb") {
    return .unusable("the executed notebook is written as .ipynb, not as '\(target)'")
  }
  prepare(&notebook, options)
  // Of the processes of a run the first one writes.
  if Processes.rank > 0 { target = nil }
  var runner = NotebookRunner(notebook: notebook, target: target, options: options)
  return runner.run(directory: parent(of: path), path: path)
}

/// Reads a notebook of either kind.
public func readNotebook(_ path: String) throws(NotebookError) -> Notebook {
  if isDirectory(path) { throw NotebookError("'\(path)' is a directory, not a notebook") }
  guard fileExists(path) else { throw NotebookError("no notebook '\(path)'") }
  let isText = path.hasSuffix(".lull") || path.hasSuffix(".py")
  guard isText || path.hasSuffix(".ipynb") else {
    throw NotebookError("'\(path)' is not a notebook: expected .ipynb, .lull or .py")
  }
  let bytes: [UInt8]
  do throws(FormatError) {
    bytes = try Formats.readFile(path)
  } catch {
    throw NotebookError("cannot read '\(path)': \(error.found)")
  }
  if !isText { return try Notebook.read(ipynb: bytes, name: path) }
  guard let text = String(validating: bytes, as: UTF8.self) else {
    throw NotebookError("'\(path)' is not a notebook: its text is not UTF-8")
  }
  return Notebook.read(text: text)
}

// MARK: - Before the run

private func prepare(_ notebook: inout Notebook, _ options: NotebookOptions) {
  for i in notebook.cells.indices where notebook.cells[i].kind == .code {
    notebook.cells[i].outputs = []
    notebook.cells[i].executionCount = nil
  }
  notebook.metadata["kernelspec"] = [
    "display_name": "Lull", "language": "python", "name": "lull",
  ]
  notebook.metadata["language_info"] = [
    "codemirror_mode": ["name": "python"], "file_extension": ".py", "mimetype": "text/x-python",
    "name": "python", "pygments_lexer": "python", "version": "3.12",
  ]
  if options.parameters.isEmpty { return }
  // A cell that an earlier run injected is replaced.
  notebook.cells.removeAll { $0.tags.contains("injected-parameters") }
  var text = "# Parameters"
  for (name, value) in options.parameters { text += "\n\(name) = \(literal(value))" }
  let cell = NotebookCell(
    .code, text, metadata: JSONObject([("tags", ["injected-parameters"])]))
  let place = notebook.cells.firstIndex { $0.tags.contains("parameters") }.map { $0 + 1 } ?? 0
  notebook.cells.insert(cell, at: place)
  notebook.fillIdentifiers()
}

/// A parameter's text as source: itself when it is a literal of the language, else a string. `true`,
/// `false` and `null` are taken as in JSON.
func literal(_ text: String) -> String {
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
  return pythonString(text)
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

private func pythonString(_ text: String) -> String {
  var out = "\""
  for c in text.unicodeScalars {
    switch c {
    case "\"": out += "\\\""
    case "\\": out += "\\\\"
    case "\n": out += "\\n"
    case "\r": out += "\\r"
    case "\t": out += "\\t"
    case "\0": out += "\\x00"
    default: out.unicodeScalars.append(c)
    }
  }
  return out + "\""
}

// MARK: - The run

private struct NotebookRunner {
  var notebook: Notebook
  let target: String?
  let options: NotebookOptions

  private final class Collector {
    var outputs = CellOutputs()
    var isAtLineStart = true
    var wroteSomething = false
  }

  mutating func run(directory: String, path: String) -> NotebookOutcome {
    let session = Session(directory: directory, arguments: [path])
    let collector = Collector()
    session.onOutput = { output in
      collector.outputs.add(output)
      NotebookRunner.show(output, collector)
    }
    let codeCells = notebook.cells.indices.filter { notebook.cells[$0].kind == .code }
    let isTerminal = isatty(2) == 1
    var failed = false
    if let failure = write() { return .unusable(failure) }
    for (k, i) in codeCells.enumerated() {
      let cell = notebook.cells[i]
      let head = "[\(k + 1)/\(codeCells.count)] \(cell.title)"
      if cell.tags.contains("skip-execution") {
        progress(head + "  skipped")
        continue
      }
      if cell.source.allSatisfy({ $0 == " " || $0 == "\n" || $0 == "\t" }) { continue }
      collector.outputs = CellOutputs()
      collector.wroteSomething = false
      if isTerminal { OutputSink.standardError.write("\(head) ...\n") }
      let start = seconds()
      if let timeout = options.timeout { Interrupts.startTimer(seconds: timeout) }
      var status = session.run(cell: cell.source)
      var isTimeout = false
      if options.timeout != nil { isTimeout = Interrupts.endTimer() }
      let taken = seconds() - start
      // A cell that ends by itself when it is interrupted (a generation does) is late, too.
      if isTimeout, let timeout = options.timeout,
        status.isDone || status.error?.isInterrupt == true
      {
        let text = "the cell did not end within \(secondsText(timeout))"
        let late = CellError(
          name: "CellTimeoutError", text: text,
          traceback: status.error?.traceback ?? "CellTimeoutError: \(text)\n", isInterrupt: false)
        status = .failed(late)
        OutputSink.standardOutput.flush()
        OutputSink.standardError.write("CellTimeoutError: \(late.text)\n")
        collector.outputs = collector.outputs.replacingError(late)
      }
      if !collector.isAtLineStart {
        OutputSink.standardOutput.write("\n")
        collector.isAtLineStart = true
      }
      OutputSink.standardOutput.flush()
      notebook.cells[i].outputs = collector.outputs.finished()
      notebook.cells[i].executionCount = session.executionCount
      progress("\(head)  \(fixedSeconds(taken))")
      if let failure = write() { return .unusable(failure) }
      switch status {
      case .done: continue
      case .exit(let code, let message):
        if let message { OutputSink.standardError.write(message + "\n") }
        return .exit(code)
      case .failed(let error):
        if error.isInterrupt { return .interrupted }
        if cell.tags.contains("raises-exception") { continue }
        if options.allowErrors { continue }
        failed = true
      }
      if failed { break }
    }
    return failed ? .failed : .done
  }

  private func progress(_ text: String) {
    if Processes.rank == 0 { OutputSink.standardError.write(text + "\n") }
  }

  /// Always in seconds with two decimals, so that a run's times line up and compare.
  private func fixedSeconds(_ seconds: Double) -> String {
    let hundredths = Int((min(max(seconds, 0), 1e12) * 100).rounded())
    let rest = hundredths % 100
    return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest) s"
  }

  private func seconds() -> Double {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) * 1e-9
  }

  /// Writes the notebook as far as it has run; nil, or why it could not be written.
  private func write() -> String? {
    guard let target else { return nil }
    do throws(FormatError) {
      try writeAtomically(notebook.ipynb(), to: target)
      return nil
    } catch {
      return "cannot write '\(target)': \(error.found)"
    }
  }

  private static func show(_ output: CellOutput, _ collector: Collector) {
    let out = OutputSink.standardOutput
    switch output {
    case .stream(let name, let text):
      if name == "stderr" {
        out.flush()
        OutputSink.standardError.write(text)
        return
      }
      out.write(text)
      out.flush()
      if let last = text.last { collector.isAtLineStart = last == "\n" }
    case .display(let bundle), .result(let bundle, _):
      if !collector.isAtLineStart { out.write("\n") }
      out.write(bundle.plain + "\n")
      out.flush()
      collector.isAtLineStart = true
    case .error(let error):
      if !collector.isAtLineStart { out.write("\n") }
      collector.isAtLineStart = true
      out.flush()
      OutputSink.standardError.write(error.traceback)
    }
  }
}

extension CellOutputs {
  /// The same outputs with another error at the end.
  func replacingError(_ error: CellError) -> CellOutputs {
    var copy = self
    copy.removeErrors()
    copy.add(.error(error))
    return copy
  }
}
