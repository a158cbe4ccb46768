// The command line: a contract (DESIGN section 8).
//
// Exit status: 0 all well, 1 a program or cell failed, 2 wrong usage, 130 interrupted. A failure of
// usage or of a file is one line on standard error; a traceback is for programs only. Arguments are
// read by hand, because start-up time counts.

import Formats
import Glibc
import Language
import Notebook
import Session

enum ExitCode {
  static let ok: Int32 = 0
  static let failed: Int32 = 1
  static let usage: Int32 = 2
  static let interrupted: Int32 = 130
}

private let usageText = """
  usage: lull                           start the interactive prompt
         lull FILE [ARGS]               run a program (.lull or .py)
         lull -c CODE [ARGS]            run code given as text
         lull run NOTEBOOK [options]    run a notebook (.ipynb, or text with '# %%' cells)
         lull check NOTEBOOK ...        run it again and compare with the outputs that it has
         lull export NOTEBOOK [-o OUT]  as an HTML page, as text (.lull, .py), or as .ipynb
         lull new NOTEBOOK              make one
         lull generate|chat|convert     language models; each has its --help
         lull transcribe FILE ...       speech to text
         lull kernel install|run        the Jupyter kernel; has its --help
         lull help [NAME]               help on a function or command
         lull --version | --help

  run, check, export, new, generate, ... --help says more.
  Without a FILE and with standard input not a terminal, the program is read from there.
  """

func runCommandLine(_ arguments: [String]) -> Int32 {
  guard let first = arguments.first else {
    return isatty(0) == 1 ? startREPL() : runStandardInput(["-"])
  }
  let rest = Array(arguments.dropFirst())
  switch first {
  case "--version", "-V":
    printLine("lull \(Installation.version)")
    return ExitCode.ok
  case "--help", "-h":
    printLine(usageText)
    return ExitCode.ok
  case "-c":
    guard let code = rest.first else { return wrongUsage("-c needs code to run") }
    return runProgram(code, file: "<string>", directory: ".", ["-c"] + rest.dropFirst())
  case "-": return runStandardInput(arguments)
  case let name where notebookPrograms.contains { $0.name == name }:
    return runNotebookProgram(name, rest)
  case "kernel": return runKernelCommand(rest)
  case "help": return help(rest)
  case let name where commandLinePrograms.contains { $0.name == name }:
    return runModelCommand(name, rest)
  default: break
  }
  if first.hasPrefix("-") {
    let known = ["--version", "--help", "-c", "kernel", "help"] + notebookPrograms.map(\.name)
    let hint = nearestName(first, among: known).map { "; did you mean '\($0)'?" } ?? ""
    return wrongUsage("unknown option '\(first)'\(hint)")
  }
  return runFile(first, arguments)
}

// MARK: - Programs

private func runFile(_ path: String, _ arguments: [String]) -> Int32 {
  if path.hasSuffix(".ipynb") {
    return wrongUsage("'\(path)' is a notebook: run it with 'lull run \(path)'")
  }
  guard fileExists(path) else {
    if !path.contains("/"), !path.contains("."),
      let near = nearestName(
        path,
        among: ["kernel", "help"] + notebookPrograms.map(\.name) + commandLinePrograms.map(\.name))
    {
      return wrongUsage("no file or command '\(path)'; did you mean '\(near)'?")
    }
    return fail("no file '\(path)'")
  }
  let bytes: [UInt8]
  do { bytes = try Formats.readFile(path) } catch { return fail("cannot read '\(path)'") }
  guard let source = String(validating: bytes, as: UTF8.self) else {
    return fail("'\(path)' is not a program: its text is not UTF-8")
  }
  return runProgram(source, file: path, directory: parent(of: path), arguments)
}

private func runStandardInput(_ arguments: [String]) -> Int32 {
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 1 << 16)
  while true {
    let n = read(0, &buffer, buffer.count)
    if n > 0 {
      bytes += buffer[..<n]
    } else if n == 0 || errno != EINTR {
      break
    }
  }
  guard let source = String(validating: bytes, as: UTF8.self) else {
    return fail("standard input is not a program: its text is not UTF-8")
  }
  return runProgram(source, file: "<stdin>", directory: ".", arguments)
}

private func runProgram(
  _ source: String, file: String, directory: String, _ arguments: [String]
) -> Int32 {
  var source = source
  if source.unicodeScalars.first == "\u{FEFF}" { source.unicodeScalars.removeFirst() }
  let session = Session(directory: directory, arguments: arguments)
  session.onOutput = showInProgram
  session.onFlush = { OutputSink.standardOutput.flush() }
  let status = session.runProgram(source, file: file)
  OutputSink.standardOutput.flush()
  switch status {
  case .done: return ExitCode.ok
  case .failed(let error): return error.isInterrupt ? ExitCode.interrupted : ExitCode.failed
  case .exit(let code, let message):
    if let message { OutputSink.standardError.write(message + "\n") }
    return code
  }
}

/// What programs print goes straight out; their traceback to standard error.
private func showInProgram(_ output: CellOutput) {
  switch output {
  case .stream(let name, let text):
    if name == "stdout" {
      OutputSink.standardOutput.write(text)
    } else {
      OutputSink.standardOutput.flush()
      OutputSink.standardError.write(text)
    }
  case .display(let bundle), .update(let bundle), .result(let bundle, _):
    OutputSink.standardOutput.write(bundle.plain + "\n")
  case .clear: break
  case .error(let error):
    OutputSink.standardOutput.flush()
    OutputSink.standardError.write(error.traceback)
  }
}

// MARK: - Language models

/// `lull generate` and its kin: what goes wrong is one line, never a traceback.
private func runModelCommand(_ name: String, _ words: [String]) -> Int32 {
  OutputSink.standardOutput.isSilent = Processes.rank > 0
  let session = Session(arguments: ["lull \(name)"])
  session.onFlush = { OutputSink.standardOutput.flush() }
  session.onOutput = { output in
    guard case .error(let error) = output else { return showInProgram(output) }
    OutputSink.standardOutput.flush()
    if error.isInterrupt { return }
    let text = error.text.split(separator: "\n").joined(separator: " ")
    let isOurs = error.name == "SystemError" || error.text.isEmpty
    OutputSink.standardError.write("lull \(name): \(isOurs ? "\(error.name): " : "")\(text)\n")
  }
  switch session.commandLine(name, words) {
  case .help(let text):
    OutputSink.standardOutput.write(text)
    return ExitCode.ok
  case .wrong(let message):
    OutputSink.standardError.write("lull \(name): \(message)\nTry 'lull \(name) --help'.\n")
    return ExitCode.usage
  case .program(let source):
    let status = session.runProgram(source, file: "<command line>")
    OutputSink.standardOutput.flush()
    switch status {
    case .done: return ExitCode.ok
    case .failed(let error): return error.isInterrupt ? ExitCode.interrupted : ExitCode.failed
    case .exit(let code, let message):
      if let message { OutputSink.standardError.write(message + "\n") }
      return code
    }
  }
}

// MARK: - Help

private func help(_ arguments: [String]) -> Int32 {
  let session = Session()
  session.onOutput = showInProgram
  guard let name = arguments.first else {
    printLine(usageText + "\n")
    OutputSink.standardOutput.write(session.commandList())
    return ExitCode.ok
  }
  if arguments.count > 1 { return wrongUsage("help takes one name") }
  do throws(LullError) {
    OutputSink.standardOutput.write(try session.help(on: name))
    return ExitCode.ok
  } catch {
    return fail(([error.message] + error.notes).joined(separator: "; "))
  }
}

// MARK: - Messages

func printLine(_ text: String) { OutputSink.standardOutput.write(text + "\n") }

/// A failure that is no program's: one line.
func fail(_ message: String) -> Int32 {
  OutputSink.standardOutput.flush()
  let line = String(message.map { $0 == "\n" ? " " : $0 })
  OutputSink.standardError.write("lull: \(line)\n")
  return ExitCode.failed
}

private func wrongUsage(_ message: String) -> Int32 {
  OutputSink.standardError.write("lull: \(message)\nTry 'lull --help'.\n")
  return ExitCode.usage
}
