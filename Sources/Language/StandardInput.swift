// Lines that a program asks for: input() and getpass.
//
// A front end may answer them (`Interpreter.setInput`); otherwise they come from standard input. Ctrl-C must end the wait. A signal that comes just before the read would be missed by it, so the wait is
// for a tenth of a second at a time, and the flag is looked at in between.

import Glibc

/// Asks the user for a line; what is typed stays unseen if `isHidden`. nil at the end of the input.
public typealias InputReader = (_ prompt: String, _ isHidden: Bool) throws(LullError) -> String?

@exclusivity(unchecked) nonisolated(unsafe) var inputReader: InputReader = readPromptedLine

/// `input` and `getpass` in one: the line as a str (owned), or EOFError.
func askForLine(_ prompt: String, isHidden: Bool) throws(LullError) -> Value {
  guard let line = try inputReader(prompt, isHidden) else {
    throw LullError("EOFError", "EOF when reading a line")
  }
  return makeStr(line)
}

func inputModule() -> NativeModule {
  NativeModule(builtins: [
    Builtin(
      "read_hidden", "read_hidden(prompt, /)", chapter: "getpass",
      doc: "Asks for a line that is not shown while it is typed."
    ) { (a) throws(LullError) in try askForLine(try a.string(0), isHidden: true) }
  ])
}

private func readPromptedLine(_ prompt: String, _ isHidden: Bool) throws(LullError) -> String? {
  standardOutput.write(prompt)
  standardOutput.flush()
  guard isHidden else { return try readInputLine() }
  var shown = termios()
  let isTerminal = tcgetattr(0, &shown) == 0
  if isTerminal {
    var hidden = shown
    hidden.c_lflag &= ~tcflag_t(ECHO)
    tcsetattr(0, TCSAFLUSH, &hidden)
  }
  defer {
    if isTerminal {
      tcsetattr(0, TCSAFLUSH, &shown)
      standardOutput.write("\n")
      standardOutput.flush()
    }
  }
  return try readInputLine()
}

/// What was read and not yet asked for.
nonisolated(unsafe) private var pendingInput: [UInt8] = []

/// The next line without its end; nil at the end of the input.
private func readInputLine() throws(LullError) -> String? {
  var buffer = [UInt8](repeating: 0, count: 1 << 16)
  while true {
    if let end = pendingInput.firstIndex(of: 10) {
      let length = end > 0 && pendingInput[end - 1] == 13 ? end - 1 : end
      let line = String(decoding: pendingInput[..<length], as: UTF8.self)
      pendingInput.removeFirst(end + 1)
      return line
    }
    if vm.pointee.interruptFlag == Request.interrupt { try interrupted() }
    var waiting = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
    let ready = poll(&waiting, 1, 100)
    if ready == 0 || (ready < 0 && errno == EINTR) { continue }
    let count = read(0, &buffer, buffer.count)
    if count > 0 {
      pendingInput += buffer[..<count]
    } else if count == 0 || errno != EINTR {
      guard !pendingInput.isEmpty else { return nil }
      defer { pendingInput = [] }
      return String(decoding: pendingInput, as: UTF8.self)
    }
  }
}
