// The interactive prompt.
//
// A cell is typed line by line: while the parser says that more lines can make it valid, the prompt is
// `... ` with the indentation filled in. Pasted text and recalled entries come as one string with
// newlines and run as one cell. Ctrl-C clears the line at the prompt and interrupts what runs; the
// session goes on. Ctrl-D, `exit` and `quit` leave.

import CReadline
import Formats
import Glibc
import Session

/// What the C callbacks reach; set once, before the first prompt.
nonisolated(unsafe) private var promptSession: Session?
/// The text of the entry above the current line, for completion.
nonisolated(unsafe) private var entryAbove = ""
nonisolated(unsafe) private var interruptPipe: Int32 = -1
nonisolated(unsafe) private var interruptReader: Int32 = -1

func startREPL() -> Int32 {
  let session = Session(arguments: [""])
  let colours = Colours(
    isOn: isatty(1) == 1 && getenv("NO_COLOR") == nil && environment("TERM") != "dumb")
  session.onOutput = { show($0, colours) }
  session.frontEnd = .terminal
  promptSession = session
  session.sharesTerminal = isatty(0) == 1 && isatty(1) == 1
  if session.sharesTerminal { session.onPage = showPages }
  startReadline()
  var history = History()
  for entry in history.load() { lull_history_add(entry) }
  runStartupFile(session)
  OutputSink.standardOutput.write(
    "Lull \(Installation.version): arrays and local language models. "
      + "%help lists commands, Ctrl-D leaves.\n")

  while true {
    OutputSink.standardOutput.flush()
    switch readCell(session) {
    case .end:
      OutputSink.standardOutput.write("\n")
      return ExitCode.ok
    case .interrupted: continue
    case .cell(let text):
      let bare = text.filter { $0 != " " && $0 != "\n" && $0 != "\t" }
      if bare.isEmpty { continue }
      var entry = text
      while entry.last == "\n" { entry.removeLast() }
      if history.append(entry) { lull_history_add(entry) }
      if bare == "exit" || bare == "quit" { return ExitCode.ok }
      let status = runCell(text, session)
      if case .exit(let code, let message) = status {
        OutputSink.standardOutput.flush()
        if let message { OutputSink.standardError.write(message + "\n") }
        return code
      }
    }
  }
}

/// `$LULL_STARTUP`, or `lull/startup.lull` in the directory of settings: a cell that is run before the first. What is wrong with
/// it is said, and the session starts.
private func runStartupFile(_ session: Session) {
  let settings = environment("XDG_CONFIG_HOME") ?? environment("HOME").map { $0 + "/.config" }
  let named = environment("LULL_STARTUP")
  guard let path = named ?? settings.map({ $0 + "/lull/startup.lull" }) else { return }
  guard fileExists(path) else {
    if named != nil { OutputSink.standardError.write("lull: no startup file '\(path)'\n") }
    return
  }
  let bytes: [UInt8]
  do { bytes = try Formats.readFile(path) } catch {
    OutputSink.standardError.write("lull: cannot read the startup file '\(path)'\n")
    return
  }
  session.run(cell: String(decoding: bytes, as: UTF8.self), storeHistory: false, file: path)
}

// MARK: - Reading

private enum Input {
  case cell(String)
  case interrupted
  case end
}

private func startReadline() {
  var ends: [Int32] = [-1, -1]
  if pipe(&ends) == 0 {
    (interruptReader, interruptPipe) = (ends[0], ends[1])
    for end in ends {
      _ = fcntl(end, F_SETFL, O_NONBLOCK)
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
    }
  }
  lull_readline_start(ends[0]) { text, wordLength, isPath in
    guard let session = promptSession, let text else { return nil }
    let source = entryAbove + String(cString: text)
    let completion = session.complete(source, cursor: source.utf8.count)
    wordLength?.pointee = Int32(source.utf8.count - completion.start)
    isPath?.pointee = completion.isPath ? 1 : 0
    if completion.candidates.isEmpty { return nil }
    return strdup(completion.candidates.map { $0 + "\n" }.joined())
  }
}

/// While readline has the terminal, SIGINT wakes it through the pipe; while a cell runs, the session's
/// own handler has it.
private func readLine(_ prompt: String, _ initial: String) -> (text: String?, status: Int) {
  var sessionAction = sigaction()
  var promptAction = sigaction()
  promptAction.__sigaction_handler.sa_handler = { _ in
    var byte: UInt8 = 3
    _ = write(interruptPipe, &byte, 1)
  }
  // One that came between two lines ends the entry; before an entry there is nothing to end.
  let ends = Interrupts.isRaised && !entryAbove.isEmpty
  Interrupts.lower()
  if ends {
    OutputSink.standardOutput.write("^C\n")
    return (nil, Int(LULL_INTERRUPTED))
  }
  sigaction(SIGINT, &promptAction, &sessionAction)
  var status: Int32 = 0
  let read = lull_readline(prompt, initial, &status)
  sigaction(SIGINT, &sessionAction, nil)
  guard let line = read else { return (nil, Int(status)) }
  // Ctrl-C just after Enter is for the cell.
  var bytes = [UInt8](repeating: 0, count: 64)
  if Glibc.read(interruptReader, &bytes, bytes.count) > 0 { Interrupts.raise() }
  defer { free(line) }
  return (String(cString: line), Int(status))
}

private func readCell(_ session: Session) -> Input {
  entryAbove = ""
  var (line, status) = readLine(">>> ", "")
  guard var cell = line else {
    return status == Int(LULL_INTERRUPTED) ? .interrupted : .end
  }
  // Pasted or recalled: complete as it is if it can be.
  if cell.contains("\n") {
    let closed = cell.last == "\n" ? cell : cell + "\n"
    if case .incomplete = session.inputStatus(closed) {} else { return .cell(cell) }
  }
  while true {
    let closed: Bool
    let indent: String
    switch session.inputStatus(cell) {
    case .incomplete(let next): (closed, indent) = (false, next)
    default: (closed, indent) = (true, "")
    }
    if closed { return .cell(cell) }
    entryAbove = cell + "\n"
    (line, status) = readLine("... ", indent)
    guard let more = line else {
      if status == Int(LULL_INTERRUPTED) { return .interrupted }
      // Ctrl-D ends the cell as a blank line does.
      OutputSink.standardOutput.write("\n")
      return .cell(cell + "\n")
    }
    // A line of blanks ends a block; inside brackets and strings it is only a blank line.
    let isBlank = !more.contains { $0 != " " && $0 != "\t" }
    cell += "\n" + (isBlank ? "" : more)
  }
}

// MARK: - Running

private func runCell(_ text: String, _ session: Session) -> CellStatus {
  liveDisplay.forget()
  let status = session.run(cell: text, keepsInterrupt: true)
  OutputSink.standardOutput.flush()
  return status
}

/// What does not fit the screen goes to `$PAGER`, or to less, which leaves the text on the screen.
private func showPages(_ text: String) {
  let out = OutputSink.standardOutput
  out.flush()
  var size = winsize()
  let hasSize = ioctl(1, UInt(TIOCGWINSZ), &size) == 0 && size.ws_row > 0 && size.ws_col > 0
  let rows = text.split(separator: "\n", omittingEmptySubsequences: false).reduce(0) {
    $0 + 1 + $1.count / Int(max(size.ws_col, 1))
  }
  guard hasSize, rows > Int(size.ws_row), environment("TERM") != "dumb" else {
    return out.write(text)
  }
  let program = environment("PAGER") ?? "less -FRX"
  // A pager that is left before the end of the text must not end us.
  let old = signal(SIGPIPE, SIG_IGN)
  defer { signal(SIGPIPE, old) }
  guard let pipe = popen(program, "w") else { return out.write(text) }
  let bytes = Array(text.utf8)
  fwrite(bytes, 1, bytes.count, pipe)
  let status = pclose(pipe)
  // The shell did not find it.
  if status >> 8 == 127 { out.write(text) }
}

struct Colours {
  let isOn: Bool
  func error(_ text: String) -> String { isOn ? "\u{1B}[31m\(text)\u{1B}[0m" : text }
  func faint(_ text: String) -> String { isOn ? "\u{1B}[2m\(text)\u{1B}[0m" : text }
}

nonisolated(unsafe) private var isAtLineStart = true
nonisolated(unsafe) private var liveDisplay = LiveDisplay()

private func show(_ output: CellOutput, _ colours: Colours) {
  let out = OutputSink.standardOutput
  let start = liveDisplay.start(of: output)
  switch output {
  case .stream(let name, let text):
    if name == "stdout" {
      out.write(text)
      out.flush()
    } else {
      out.flush()
      OutputSink.standardError.write(text)
    }
    if let last = text.last { isAtLineStart = last == "\n" }
  case .display(let bundle), .update(let bundle), .result(let bundle, _):
    endLine()
    out.write(start + bundle.plain + "\n")
    out.flush()
    if Interrupts.isRaised {
      OutputSink.standardError.write("\n" + colours.error("KeyboardInterrupt") + "\n")
    }
  case .clear:
    // What was printed above stays; only the line that is being written can go.
    if out.isTerminal, !isAtLineStart { out.write("\r\u{1B}[2K") }
    isAtLineStart = true
  case .error(let error):
    endLine()
    out.flush()
    if error.isInterrupt {
      OutputSink.standardError.write(colours.error("KeyboardInterrupt") + "\n")
      return
    }
    let lines = error.lines
    // The last lines, from the exception's name on, are the message.
    let message = lines.lastIndex { !$0.hasPrefix(" ") } ?? 0
    for (i, line) in lines.enumerated() {
      OutputSink.standardError.write((i >= message ? colours.error(line) : line) + "\n")
    }
  }
}

/// A value or an error begins on a line of its own.
private func endLine() {
  if !isAtLineStart { OutputSink.standardOutput.write("\n") }
  isAtLineStart = true
}
