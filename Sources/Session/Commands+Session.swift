// Commands about the session and the file system: who, whos, help, reset, history, run, cd, ls, pwd.

import Engine
import Formats
import Glibc
import Language

extension Session {
  /// Names that the user defined.
  var userNames: [String] { interpreter.names.filter { !$0.hasPrefix("_") } }

  func sessionCommands() -> [Command] {
    [
      Command(
        Builtin(
          "who", "who()", chapter: "session", doc: "The names that you defined.",
          examples: ["%who"]
        ) { [unowned self] (_) throws(LullError) in
          let names = self.userNames
          self.say(names.isEmpty ? "no names yet\n" : wrapped(names, indent: ""))
          return .none
        }),
      Command(
        Builtin(
          "whos", "whos()", chapter: "session",
          doc: "The names that you defined, with type and value; evaluates nothing.",
          examples: ["%whos"]
        ) { [unowned self] (_) throws(LullError) in
          try self.printNames()
          return .none
        }),
      Command(
        Builtin(
          "help", "help(object=..., /)", chapter: "session",
          doc:
            "Signature, text and examples of a function, command or value, or a page of the documentation; alone, the list of commands.",
          examples: ["%help softmax", "%help %time", "help(softmax)"]
        ) { [unowned self] (a) throws(LullError) in
          guard a.has(0) else {
            self.page(self.commandList())
            return .none
          }
          if let name = a[0].stringValue {
            self.page(try self.help(on: name))
          } else {
            self.page(self.describe(a[0]))
          }
          return .none
        }, kinds: ["object": .text]),
      Command(
        Builtin(
          "reset", "reset(what=\"all\")", chapter: "session",
          doc:
            "Forget the names that you defined (all), or only the values of earlier cells (out).",
          examples: ["%reset", "%reset out"]
        ) { [unowned self] (a) throws(LullError) in
          let what = try a.string(0)
          guard what == "all" || what == "out" else {
            throw LullError.valueError("reset takes 'all' or 'out', not '\(what)'")
          }
          self.forgetOutputs()
          if what == "all" {
            for name in self.interpreter.names where !name.hasPrefix("__") {
              self.interpreter.remove(name)
            }
          }
          return .none
        }, kinds: ["what": .text]),
      Command(
        Builtin(
          "history", "history(pattern=None, n=None)", chapter: "session",
          doc: "The cells of this session; --n the last ones, with a text only those that have it.",
          examples: ["%history", "%history -n 5", "%history softmax"]
        ) { [unowned self] (a) throws(LullError) in
          let pattern = a.isNone(0) ? nil : try a.string(0)
          let last = a.isNone(1) ? Int.max : max(0, try a.int(1))
          var rows: [String] = []
          let earlier = self.earlierHistory.map { ("restored", $0) }
          let own = self.history.enumerated().dropLast(1).map { ("\($0 + 1)", $1) }
          for (number, cell) in earlier + own {
            if let pattern, cell.firstRange(of: pattern) == nil { continue }
            let lines = cell.split(separator: "\n", omittingEmptySubsequences: false)
            rows.append("\(number): " + lines.joined(separator: "\n   ") + "\n")
          }
          self.say(rows.suffix(last).joined())
          return .none
        }, kinds: ["pattern": .text]),
      Command(
        Builtin(
          "run", "run(path, *args)", chapter: "session",
          doc: "Run a program in this session; its names stay.",
          examples: ["%run train.lull --iters 10"]
        ) { [unowned self] (a) throws(LullError) in
          let path = try a.string(0)
          var arguments = [path]
          for v in a.rest(1) { arguments.append(try strText(v)) }
          let source: String
          do {
            source = String(decoding: try Formats.readFile(path), as: UTF8.self)
          } catch {
            throw LullError("FileNotFoundError", "cannot read '\(path)'")
          }
          self.interpreter.arguments = arguments
          self.definitions.note(source, file: path)
          self.bindMentioned(source)
          try self.interpreter.run(source, file: path)?.drop()
          return .none
        }, kinds: ["path": .path, "args": .text]),
      Command(
        Builtin(
          "pwd", "pwd()", chapter: "session", doc: "The current directory.", examples: ["%pwd"]
        ) { (_) throws(LullError) in
          guard let path = getcwd(nil, 0) else {
            throw LullError("OSError", "the current directory is gone")
          }
          defer { free(path) }
          return strValue(String(cString: path))
        }),
      Command(
        Builtin(
          "cd", "cd(path=\"~\")", chapter: "session", doc: "Change the current directory.",
          examples: ["%cd notebooks"]
        ) { (a) throws(LullError) in
          let path = expandHome(try a.string(0))
          if chdir(path) != 0 {
            throw LullError(
              "OSError", "cannot go to '\(path)': \(String(cString: strerror(errno)))")
          }
          return .none
        }, kinds: ["path": .path]),
      Command(
        Builtin(
          "ls", "ls(path=\".\")", chapter: "session", doc: "The names in a directory.",
          examples: ["%ls", "%ls models"]
        ) { [unowned self] (a) throws(LullError) in
          let path = expandHome(try a.string(0))
          guard let names = directoryEntries(path) else {
            throw LullError("OSError", "cannot list '\(path)': \(String(cString: strerror(errno)))")
          }
          self.say(wrapped(names.filter { !$0.hasPrefix(".") }, indent: ""))
          return .none
        }, kinds: ["path": .path]),
      Command(
        Builtin(
          "inspect", "inspect(name, detail=1, /)", chapter: "session",
          doc: "What `name?` (detail 1) and `name??` (detail 2) print.", examples: ["softmax?"]
        ) { [unowned self] (a) throws(LullError) in
          let name = try a.string(0)
          guard let text = self.inspect(name, detail: try a.int(1)) else {
            throw self.unknownName(name)
          }
          self.page(text)
          return .none
        }, kinds: ["name": .text], isFunction: false),
      shellCommand(),
    ]
  }

  /// Functions of the prelude that are no commands.
  func sessionFunctions() -> [Builtin] {
    let leave = { (name: String) in
      Builtin(
        name, "\(name)(status=None, /)", chapter: "session", doc: "Leave the session.",
        examples: ["\(name)()"]
      ) { (a) throws(LullError) in
        let sys = try importModuleValue("sys")
        defer { sys.drop() }
        let exit = try attribute(sys, "exit")
        defer { exit.drop() }
        return try callValue(exit, a.isNone(0) ? [] : [a[0]])
      }
    }
    return [
      leave("exit"), leave("quit"),
    ]
  }

  private func printNames() throws(LullError) {
    let names = userNames
    if names.isEmpty {
      say("no names yet\n")
      return
    }
    var rows: [(name: String, type: String, value: String)] = []
    for name in names {
      guard let v = interpreter[name] else { continue }
      var text: String
      if let array = v.native(NDArray.self) {
        text = try quietRepr(v) + ", " + byteText(array.byteCount)
      } else {
        switch v.typeNameText {
        case "function": text = definition(of: v)?.signature ?? "function"
        case "type", "module": text = textAttribute(v, "__name__") ?? ""
        default: text = try quietRepr(v)
        }
      }
      text = text.trimmed
      rows.append((name, v.typeNameText, text))
    }
    let nameWidth = rows.map(\.name.count).max() ?? 0
    let typeWidth = rows.map(\.type.count).max() ?? 0
    for row in rows {
      say(
        row.name.padded(nameWidth) + "  " + row.type.padded(typeWidth) + "  " + row.value + "\n")
    }
  }

  /// Help on a name or `%command`, as `help(name)` and `lull help NAME` print it.
  public func help(on name: String) throws(LullError) -> String {
    if let text = inspect(name, detail: 1) { return text }
    if topics.contains(name), let directory = Installation.documentation() {
      do {
        return String(decoding: try Formats.readFile("\(directory)/\(name).md"), as: UTF8.self)
      } catch {}
    }
    throw unknownName(name)
  }

  /// The pages of the documentation, which `help` shows by their names.
  var topics: [String] {
    guard let directory = Installation.documentation() else { return [] }
    return (directoryEntries(directory) ?? []).filter { $0.hasSuffix(".md") }.map {
      String($0.dropLast(3))
    }
  }

  private func unknownName(_ name: String) -> LullError {
    if name.hasPrefix("%") { return table.unknown(String(name.drop { $0 == "%" })) }
    let error = LullError("NameError", "name '\(name)' is not defined")
    let known = interpreter.names + interpreter.builtinNames + lateNames + table.names + topics
    if let near = nearestName(name, among: known.filter { !$0.hasPrefix("_") }) {
      error.notes.append("did you mean '\(near)'?")
    }
    return error
  }

  public func commandList() -> String {
    let shown = table.commands.filter { $0.name != "inspect" }
    let width = shown.map(\.name.count).max() ?? 0
    var text = "Commands (%help NAME says more; name? shows what a name is):\n"
    for command in shown {
      text += "  %" + command.name.padded(width) + "  " + firstClause(command.record.doc) + "\n"
    }
    if !topics.isEmpty {
      text += "Pages of the documentation: " + topics.joined(separator: " ") + "\n"
    }
    return text
  }
}

extension String {
  /// With blanks after it up to a width.
  func padded(_ width: Int) -> String {
    count >= width ? self : self + String(repeating: " ", count: width - count)
  }
}

/// A text up to the end of its first sentence or clause, so that a list has one line for each.
private func firstClause(_ text: String) -> String {
  func cut(_ text: String, at marks: [String]) -> String {
    let ends = marks.compactMap { text.firstRange(of: $0)?.lowerBound }
    return ends.min().map { String(text[..<$0]) } ?? text
  }
  var clause = cut(text, at: [". ", "; ", ": "])
  if clause.count > 64 { clause = cut(clause, at: [", "]) }
  return clause.last == "." ? String(clause.dropLast()) : clause
}
