// Headless runs of notebooks.
//
// The cells' outputs go to standard output as they come, progress and tracebacks to standard error. With
// an output file the notebook is written as it goes, whole or not at all, so a run that is cut off
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
  /// Go on after a cell that fails: all is well at the end, or, with `keepGoing`, it is not.
  public var allowErrors = false
  public var keepGoing = false
  /// Names and values as source.
  public var parameters: [(name: String, value: String)] = []
  /// Files of names and values, taken before `parameters`.
  public var parameterFiles: [String] = []
  /// Seconds for a cell, and for all of them.
  public var timeout: Double?
  public var totalTimeout: Double?
  /// Shows no outputs, only progress and failures.
  public var isQuiet = false
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
  let notebook: Notebook
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
  // Of the processes of a run the first one writes.
  if Processes.rank > 0 { target = nil }
  let session = Session(directory: parent(of: path), arguments: [path])
  let run = NotebookRun(notebook, session, target: target, options)
  if let problem = run.prepare() { return .unusable(problem) }
  return run.run()
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

// MARK: - The run

/// One run: the notebook fills with outputs as its cells are run.
public final class NotebookRun {
  public private(set) var notebook: Notebook
  let session: Session
  private let target: String?
  private let options: NotebookOptions
  private var outputs = CellOutputs()
  private var isAtLineStart = true
  /// How each code cell ended; nil where it was not run.
  public private(set) var errors: [Int: CellError] = [:]
  private var lastWrite = (ended: -1e9, cost: 0.0)
  private var isWritten = true
  private var isSilent = false

  public init(_ notebook: Notebook, _ session: Session, target: String?, _ options: NotebookOptions)
  {
    self.notebook = notebook
    self.session = session
    self.target = target
    self.options = options
  }

  /// Clears outputs and puts the parameters in; a line that says what is wrong with them.
  public func prepare() -> String? {
    var values: [(name: String, value: String)] = []
    for path in options.parameterFiles {
      do throws(LullError) {
        for item in try session.settings(inFile: path) {
          guard isParameterName(item.name) else {
            return "'\(path)': '\(item.name)' is not a name for a parameter"
          }
          values.append(item)
        }
      } catch {
        return error.message
      }
    }
    for item in values + options.parameters where Processes.rank == 0 {
      guard let known = notebook.declaredParameters(session)?.map(\.name) else { break }
      if known.contains(item.name) { continue }
      let hint = nearestName(item.name, among: known).map { "; did you mean '\($0)'?" } ?? ""
      OutputSink.standardError.write(
        "warning: the cell of parameters does not set '\(item.name)'\(hint)\n")
    }
    notebook.clearOutputs()
    notebook.setLanguage()
    notebook.inject(values + options.parameters)
    for problem in notebook.orderProblems(known: session.isBuiltin, session: session) {
      progress("warning: cell \(problem.cell) \(problem.text)")
    }
    return nil
  }

  /// Runs without a word, but for what programs write to standard error themselves.
  func runSilently() -> NotebookOutcome {
    isSilent = true
    notebook.clearOutputs()
    return run()
  }

  public func run() -> NotebookOutcome {
    session.onOutput = { [unowned self] output in
      self.outputs.add(output)
      self.show(output)
    }
    session.onFlush = { OutputSink.standardOutput.flush() }
    // What ends a run from outside interrupts the cell, so that its outputs are kept.
    if target != nil { Interrupts.handleTermination() }
    let codeCells = notebook.cells.indices.filter { notebook.cells[$0].kind == .code }
    let isTerminal = isatty(2) == 1
    let start = seconds()
    var displayed = DisplayedOutputs()
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
      if isTerminal { progress("\(head) ...") }
      let began = seconds()
      let signals = Interrupts.count
      let status = runCell(cell, elapsed: began - start)
      displayed.store(&outputs, cell: i, in: &notebook)
      notebook.cells[i].executionCount = session.executionCount
      isWritten = false
      progress("\(head)  \(fixedSeconds(seconds() - began))")
      var outcome: NotebookOutcome?
      switch status {
      case .done:
        if cell.tags.contains("raises-exception") {
          progress("warning: cell \(k + 1) is tagged raises-exception, and raised none")
        }
      case .exit(let code, let message):
        if let message { OutputSink.standardError.write(message + "\n") }
        outcome = .exit(code)
      case .failed(let error):
        errors[i] = error
        noteDefinition(error, after: i)
        if error.isInterrupt {
          outcome = .interrupted
        } else if isTotalTimeUp(seconds() - start) {
          outcome = .failed
        } else if !cell.tags.contains("raises-exception"), !options.allowErrors {
          failed = true
          if !options.keepGoing { outcome = .failed }
        }
      }
      // A signal between two cells, or one that the cell took for the end of its own work.
      if outcome == nil, Interrupts.count != signals { outcome = .interrupted }
      if let failure = write(isLast: outcome != nil) { return .unusable(failure) }
      if let outcome { return outcome }
    }
    if let failure = write(isLast: true) { return .unusable(failure) }
    return failed ? .failed : .done
  }

  // MARK: - One cell

  private func isTotalTimeUp(_ elapsed: Double) -> Bool {
    options.totalTimeout.map { elapsed >= $0 } ?? false
  }

  private func runCell(_ cell: NotebookCell, elapsed: Double) -> CellStatus {
    outputs = CellOutputs()
    let left = options.totalTimeout.map { max($0 - elapsed, 0.001) }
    let limit = [options.timeout, left].compactMap { $0 }.min()
    if let limit { Interrupts.startTimer(seconds: limit) }
    var status = session.run(cell: cell.source)
    // A cell that ends by itself when it is interrupted (a generation does) is late, too.
    if let limit, Interrupts.endTimer(), status.isDone || status.error?.isInterrupt == true {
      let isTotal = limit != options.timeout
      let text =
        isTotal
        ? "the notebook did not end within \(secondsText(options.totalTimeout ?? limit))"
        : "the cell did not end within \(secondsText(limit))"
      let late = CellError(
        name: "CellTimeoutError", text: text,
        traceback: status.error?.traceback ?? "CellTimeoutError: \(text)\n", isInterrupt: false)
      status = .failed(late)
      OutputSink.standardOutput.flush()
      OutputSink.standardError.write("CellTimeoutError: \(late.text)\n")
      outputs = outputs.replacingError(late)
    }
    if !isAtLineStart {
      if !options.isQuiet { OutputSink.standardOutput.write("\n") }
      isAtLineStart = true
    }
    OutputSink.standardOutput.flush()
    return status
  }

  /// For a name that is not there: the cell further down that defines it.
  private func noteDefinition(_ error: CellError, after i: Int) {
    guard error.name == "NameError", let start = error.text.firstIndex(of: "'") else { return }
    let name = error.text[error.text.index(after: start)...].prefix { $0 != "'" }
    let codeCells = notebook.cells.indices.filter { notebook.cells[$0].kind == .code }
    for (k, j) in codeCells.enumerated() where j > i {
      if session.nameUse(notebook.cells[j].source)?.binds.contains(String(name)) == true {
        return progress("note: cell \(k + 1), further down, defines '\(name)'")
      }
    }
  }

  // MARK: - Messages and files

  private func progress(_ text: String) {
    if Processes.rank == 0, !isSilent { OutputSink.standardError.write(text + "\n") }
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

  /// Writes the notebook as far as it has run; nil, or why it could not be written. A notebook that takes milliseconds is
  /// written after every cell, a larger one so often that writing takes a tenth of the time at most.
  private func write(isLast: Bool = false) -> String? {
    guard let target else { return nil }
    let now = seconds()
    if !isLast, lastWrite.cost > 0.005, now - lastWrite.ended < 10 * lastWrite.cost { return nil }
    if isWritten, lastWrite.cost > 0 { return nil }
    do throws(FormatError) {
      try writeAtomically(notebook.ipynb(), to: target, sync: isLast)
    } catch {
      return "cannot write '\(target)': \(error.found)"
    }
    isWritten = true
    let ended = seconds()
    lastWrite = (ended, ended - now)
    return nil
  }

  private func show(_ output: CellOutput) {
    if isSilent { return }
    let out = OutputSink.standardOutput
    if options.isQuiet {
      if case .error(let error) = output { OutputSink.standardError.write(error.traceback) }
      return
    }
    switch output {
    case .stream(let name, let text):
      if name == "stderr" {
        out.flush()
        OutputSink.standardError.write(text)
        return
      }
      out.write(text)
      out.flush()
      if let last = text.last { isAtLineStart = last == "\n" }
    case .clear: break
    case .display(let bundle), .update(let bundle), .result(let bundle, _):
      if !isAtLineStart { out.write("\n") }
      out.write(bundle.plain + "\n")
      out.flush()
      isAtLineStart = true
    case .error(let error):
      if !isAtLineStart { out.write("\n") }
      isAtLineStart = true
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
