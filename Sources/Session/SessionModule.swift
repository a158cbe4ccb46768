// The module `lull.session`: what commands that are written in the language need to know of the session they run in.

import Engine
import Glibc
import Language

/// Where a session's outputs are seen.
public enum FrontEnd: String, Sendable {
  /// A terminal: text, and images where it can show them.
  case terminal
  /// A notebook or a page: HTML, SVG and images beside the text.
  case notebook
  /// A program that runs by itself: nobody looks at values.
  case program
}

extension Session {
  func installSessionModule() {
    ModuleRegistry.add("lull.session") { [unowned self] () throws(LullError) in
      NativeModule(builtins: self.moduleFunctions())
    }
  }

  private func moduleFunctions() -> [Builtin] {
    [
      Builtin(
        "evaluate", "evaluate(source, probe=None, line=1, /)", chapter: "session",
        doc: """
          Run source text in the session as part of the running cell: the value of its last expression, or None. `probe` \
          is bound to the name _probe meanwhile.
          """,
        examples: [">>> from lull.session import evaluate\n>>> evaluate('1 + 1')\n2"]
      ) { [unowned self] (a) throws(LullError) in
        let source = try a.string(0)
        let line = try a.int(2)
        guard !a.isNone(1) else { return try self.runNested(source, line: line) ?? .none }
        self.interpreter.addBuiltin("_probe", a[1].retain())
        defer { self.interpreter.removeBuiltin("_probe") }
        return try self.runNested(source, line: line) ?? .none
      },
      Builtin(
        "names", "names()", chapter: "session",
        doc: "The names that the user defined, with their values.",
        examples: [">>> from lull.session import names\n>>> isinstance(names(), dict)\nTrue"]
      ) { [unowned self] (_) throws(LullError) in
        var items: [(String, Value)] = []
        for name in self.userNames {
          if let v = self.interpreter[name] { items.append((name, v.retain())) }
        }
        return makeDictValue(items)
      },
      Builtin(
        "cells", "cells()", chapter: "session",
        doc: "The sources of the cells so far, the running one last.",
        examples: [">>> from lull.session import cells\n>>> 'import cells' in cells()[-1]\nTrue"]
      ) { [unowned self] (_) throws(LullError) in
        makeListValue(self.history.map { strValue($0) })
      },
      Builtin(
        "front_end", "front_end()", chapter: "session",
        doc:
          "Where outputs are seen: 'terminal' or 'notebook'; 'program' where a program runs by itself.",
        examples: [">>> from lull.session import front_end\n>>> front_end()\n'notebook'"]
      ) { [unowned self] (_) throws(LullError) in strValue(self.frontEnd.rawValue) },
      Builtin(
        "terminal_size", "terminal_size()", chapter: "session",
        doc: "(columns, rows) of the terminal; (80, 24) where there is none.",
        examples: [">>> from lull.session import terminal_size\n>>> terminal_size()[0] > 0\nTrue"]
      ) { (_) throws(LullError) in
        let size = terminalSize()
        return makeTuple(ints: [size.columns, size.rows])
      },
      Builtin(
        "terminal_graphics", "terminal_graphics()", chapter: "session",
        doc: """
          'kitty' or 'sixel' where the terminal says that it can show images that way, else ''. LULL_GRAPHICS in the \
          environment (kitty, sixel or text) decides without asking.
          """,
        examples: [">>> from lull.session import terminal_graphics\n>>> terminal_graphics()\n''"]
      ) { [unowned self] (_) throws(LullError) in
        self.frontEnd == .terminal ? strValue(terminalGraphics()) : strValue("")
      },
      Builtin(
        "command_names", "command_names()", chapter: "session",
        doc: "The names of the commands.",
        examples: [
          ">>> from lull.session import command_names\n>>> 'shapes' in command_names()\nTrue"
        ]
      ) { [unowned self] (_) throws(LullError) in
        makeListValue(self.table.names.map { strValue($0) })
      },
    ]
  }
}

// MARK: - The terminal

func terminalSize() -> (columns: Int, rows: Int) {
  var size = winsize()
  guard ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
    return (80, 24)
  }
  return (Int(size.ws_col), Int(size.ws_row))
}

/// What the terminal said, asked once.
nonisolated(unsafe) private var knownGraphics: String?

private func terminalGraphics() -> String {
  if let chosen = getenv("LULL_GRAPHICS").map({ String(cString: $0) }), !chosen.isEmpty {
    return chosen == "kitty" || chosen == "sixel" ? chosen : ""
  }
  if let knownGraphics { return knownGraphics }
  let answer = isatty(0) == 1 && isatty(1) == 1 ? askTerminal() : ""
  knownGraphics = answer
  return answer
}

/// Asks for a one-pixel image in kitty's protocol and for the terminal's attributes, of which 4 means sixel. Every
/// terminal answers the second question, so that the first needs no waiting.
private func askTerminal() -> String {
  if let term = getenv("TERM"), ["dumb", "linux"].contains(String(cString: term)) { return "" }
  var old = termios()
  guard tcgetattr(0, &old) == 0 else { return "" }
  var raw = old
  raw.c_lflag &= ~tcflag_t(ICANON | ECHO)
  guard tcsetattr(0, TCSANOW, &raw) == 0 else { return "" }
  defer { tcsetattr(0, TCSANOW, &old) }
  let question = Array("\u{1B}_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\u{1B}\\\u{1B}[c".utf8)
  guard write(1, question, question.count) == question.count else { return "" }
  var answer: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 256)
  // The answer to the second question ends in c.
  for _ in 0..<10 {
    var waiting = [pollfd(fd: 0, events: Int16(POLLIN), revents: 0)]
    guard poll(&waiting, 1, 100) > 0 else { break }
    let n = read(0, &buffer, buffer.count)
    guard n > 0 else { break }
    answer += buffer[..<n]
    if answer.last == UInt8(ascii: "c"), answer.contains(UInt8(ascii: "?")) { break }
  }
  let text = String(decoding: answer, as: UTF8.self)
  if text.contains("_Gi=31;OK") { return "kitty" }
  guard let start = text.firstRange(of: "[?") else { return "" }
  let attributes = text[start.upperBound...].prefix { $0 != "c" }.split(separator: ";")
  return attributes.dropFirst().contains("4") ? "sixel" : ""
}
