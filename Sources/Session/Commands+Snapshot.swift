// %save and %restore: the session's names in a file and back (stdlib/lull/snapshot.lull has the format).

import Language

extension Session {
  func snapshotCommands() -> [Command] {
    [
      Command(
        Builtin(
          "save", "save(path)", chapter: "session",
          doc: """
            Write the session to a file: arrays, values, functions and classes (as source), objects, the random state and the \
            history; of models, where they were loaded from. What cannot be saved is said.
            """,
          examples: ["%save work.session"]
        ) { [unowned self] (a) throws(LullError) in
          try self.save(try a.string(0))
          return .none
        }, kinds: ["path": .path]),
      Command(
        Builtin(
          "restore", "restore(path)", chapter: "session",
          doc: """
            Read what %save wrote: its names are added to those of the session. Runs the definitions of its functions and classes, \
            as a notebook does.
            """,
          examples: ["%restore work.session"]
        ) { [unowned self] (a) throws(LullError) in
          try self.restore(try a.string(0))
          return .none
        }, kinds: ["path": .path]),
    ]
  }

  private func snapshot(_ function: String, _ arguments: [Value]) throws(LullError) -> Value {
    let module = try importedModule("lull.snapshot")
    defer { module.drop() }
    let f = try attribute(module, function)
    defer { f.drop() }
    return try callValue(f, arguments)
  }

  private func save(_ path: String) throws(LullError) {
    var values: [(String, Value)] = []
    var sources: [(String, Value)] = []
    for name in userNames {
      guard let value = interpreter[name] else { continue }
      values.append((name, value.retain()))
    }
    for name in definitions.names {
      guard let place = definitions.place(name), let text = definitionText(name, in: place.source)
      else { continue }
      sources.append((name, strValue(text)))
    }
    let count = values.count
    let arguments = [
      strValue(path), makeDictValue(values), makeDictValue(sources),
      makeListValue((earlierHistory + history.dropLast()).map { strValue($0) }),
    ]
    defer { for value in arguments { value.drop() } }
    let result = try snapshot("save", arguments)
    defer { result.drop() }
    let saved = result.elements[0].elements.count
    say("saved \(saved) of \(count) name\(count == 1 ? "" : "s") in \(path)\n")
    sayLeft("not saved", result.elements[1])
  }

  private func restore(_ path: String) throws(LullError) {
    let functions = [
      Builtin("bind", "bind(name, value, /)", chapter: "session", doc: "", examples: []) {
        [unowned self] (a) throws(LullError) in
        self.interpreter.set(try a.string(0), a[1].retain())
        return .none
      },
      Builtin("define", "define(source, /)", chapter: "session", doc: "", examples: []) {
        [unowned self] (a) throws(LullError) in
        let source = try a.string(0)
        self.definitions.note(source, file: "<restored>")
        try self.runNested(source, line: 1)?.drop()
        return .none
      },
      Builtin("lookup", "lookup(name, /)", chapter: "session", doc: "", examples: []) {
        [unowned self] (a) throws(LullError) in
        let name = try a.string(0)
        guard let value = self.interpreter[name] else {
          throw LullError("NameError", "name '\(name)' is not defined")
        }
        return value.retain()
      },
    ]
    let arguments = [strValue(path)] + functions.map { makeFunctionValue($0) }
    defer { for value in arguments { value.drop() } }
    let result = try snapshot("restore", arguments)
    defer { result.drop() }
    let names = result.elements[0].elements.compactMap(\.stringValue)
    say("restored \(names.count) name\(names.count == 1 ? "" : "s") from \(path)\n")
    sayLeft("not restored", result.elements[1])
    earlierHistory += result.elements[2].elements.compactMap(\.stringValue)
  }

  private func sayLeft(_ what: String, _ left: Value) {
    for (name, reason) in dictItems(left) {
      say("\(what): \(name.stringValue ?? "") (\(reason.stringValue ?? ""))\n")
    }
  }
}
