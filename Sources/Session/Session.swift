// A session: what the REPL, a notebook run and a kernel share.
//
// Cells go in, outputs come out through `onOutput`, names persist from cell to cell. One session a
// process, because the interpreter under it is one a process. Everything runs on the caller's
// thread, which should be the one of `runOnLargeStack`.
//
// The prelude goes into the builtins, so that modules of the user see it too and `%who` shows only the
// user's names: the array functions, `array` and the dtypes, the commands as functions, and `In`, `Out`,
// `_`. `mx`, `nn`, `optim` and `np` are bound when a cell's text first mentions them: start-up
// parses no file of the library.

import Engine
import Glibc
import Kernels
import Language
import Library

public final class Session {
  public let interpreter: Interpreter
  /// Receives everything that cells show.
  public var onOutput: (CellOutput) -> Void = { _ in }
  /// Shows help; by default it is output like any other.
  public var onPage: ((String) -> Void)?
  /// Called when a program asks for its standard output to be flushed.
  public var onFlush: () -> Void = {}
  /// Whether shell commands get the terminal to themselves: in the REPL.
  public var sharesTerminal = false
  /// Whether a line that is shown can be written over after a carriage return, though standard output is
  /// no terminal.
  public var overwritesLines = false
  /// Where the outputs are seen; a terminal gets text alone.
  public var frontEnd = FrontEnd.notebook
  /// The number of the last cell that was run.
  public private(set) var executionCount = 0
  public private(set) var table: CommandTable
  /// The sources of the cells so far, from the first; `In[1]` is at 0.
  public private(set) var history: [String] = []
  /// The cells of a session that was restored.
  var earlierHistory: [String] = []
  /// Where definitions came from, for `name??` and signatures.
  var definitions = DefinitionIndex()
  /// The file name of the running cell, as tracebacks show it.
  private(set) var currentFile = "<cell>"
  private var inputs: Value
  private var outputs: Value
  /// The values of the last three cells that had one, newest first (owned).
  private var recent: [Value] = []
  private var pendingNames = Session.lateNames
  private var importFailures: [String: LullError] = [:]

  /// `directory` is searched by `import` before the standard library, as Python does.
  public init(directory: String = ".", arguments: [String] = [""]) {
    interpreter = Interpreter()
    table = CommandTable([])
    inputs = makeListValue([strValue("")])
    outputs = makeDictValue([])
    interpreter.arguments = arguments
    let library = Installation.standardLibrary()
    interpreter.searchPath = [directory] + (library.map { [$0] } ?? [])
    Library.install()
    Interrupts.install(flag: interpreter.interruptFlag)
    installSessionModule()
    installPrelude()
    sendStreams()
  }

  deinit {
    inputs.drop()
    outputs.drop()
    for v in recent { v.drop() }
  }

  /// Names that are bound when a cell first mentions them: a module, or an attribute of one.
  private static let lateNames: [String: (module: String, attribute: String?)] = {
    var names: [String: (module: String, attribute: String?)] = [
      "mx": ("mlx.core", nil), "nn": ("mlx.nn", nil), "optim": ("mlx.optimizers", nil),
      "np": ("numpy", nil), "array": ("mlx.core", "array"), "newaxis": ("mlx.core", "newaxis"),
      "bool_": ("mlx.core", "bool_"),
    ]
    for name in borrowedNames { names[name] = ("mlx.core", name) }
    names.merge(mediaNames) { first, _ in first }
    for dtype in DType.allCases where dtype != .bool {
      names[dtype.name] = ("mlx.core", dtype.name)
    }
    return names
  }()

  private func sendStreams() {
    interpreter.setOutput(
      OutputStream(
        write: { [unowned self] text in self.onOutput(.stream(name: "stdout", text: text)) },
        flush: { [unowned self] in self.onFlush() }),
      error: OutputStream(
        write: { [unowned self] text in self.onOutput(.stream(name: "stderr", text: text)) },
        flush: {}))
  }

  private func installPrelude() {
    interpreter.addBuiltins(Library.prelude())
    table = CommandTable(
      modelCommands() + timingCommands() + explainCommands() + teachingCommands() + plotCommands()
        + sessionCommands() + snapshotCommands())
    BuiltinRegistry.add(table.commands.map(\.record))
    for command in table.commands {
      let function = makeFunctionValue(command.record)
      if command.isFunction { interpreter.addBuiltin(command.name, function.retain()) }
      if command.showsResult {
        interpreter.addBuiltin(command.valueName, function)
        interpreter.addBuiltin(command.hiddenName, makeFunctionValue(shown(command.record)))
      } else {
        interpreter.addBuiltin(command.hiddenName, function)
      }
    }
    interpreter.addBuiltins(sessionFunctions() + displayFunctions)
    ModuleRegistry.add("_display") { [unowned self] in self.displayModule() }
    interpreter.addBuiltin("In", inputs.retain())
    interpreter.addBuiltin("Out", outputs.retain())
    for name in ["_", "__", "___"] { interpreter.addBuiltin(name, strValue("")) }
  }

  /// A command whose value is shown at once.
  private func shown(_ record: Builtin) -> Builtin {
    Builtin(record.name, record.signature, chapter: record.chapter, doc: record.doc) {
      [unowned self] (a) throws(LullError) in
      let value = try record.run(a)
      defer { value.drop() }
      if !value.isNone { self.onOutput(.display(try self.display(of: value))) }
      return .none
    }
  }

  // MARK: - Running

  /// Runs one cell. `storeHistory` false leaves the counter, `In` and `Out` alone; `file` is what tracebacks call it; with
  /// `keepsInterrupt` one that has come already stops the cell.
  @discardableResult
  public func run(
    cell source: String, storeHistory: Bool = true, file: String? = nil,
    keepsInterrupt: Bool = false
  ) -> CellStatus {
    if storeHistory {
      executionCount += 1
      history.append(source)
      appendToList(inputs, strValue(source))
    }
    let count = executionCount
    currentFile = file ?? (storeHistory ? "<cell \(count)>" : "<cell>")
    if !keepsInterrupt { Interrupts.lower() }
    defer { Interrupts.lower() }
    var cell = RewrittenCell(source: source)
    do throws(LullError) {
      let value: Value?
      if let result = try runCellCommand(source) {
        value = result.isNone ? nil : result
      } else {
        cell = try CellScanner.rewrite(source, table: table)
        definitions.note(cell.source, file: currentFile)
        bindMentioned(cell.source)
        try throwIfInterrupted()
        value = try interpreter.run(cell.source, file: currentFile, keepsInterrupt: true)
      }
      // One that ended only what the cell waited for (a shell command) stops those that wait, too.
      if keepsInterrupt, Interrupts.isRaised {
        value?.drop()
        throw LullError("KeyboardInterrupt", "")
      }
      guard let value else { return .done }
      defer { value.drop() }
      let bundle = try bundle(of: value)
      if storeHistory { remember(value, count) }
      onOutput(.result(bundle, count: count))
      return .done
    } catch {
      return status(of: error, cell)
    }
  }

  /// Evaluates one expression; shows nothing and leaves the history alone.
  public func evaluation(of expression: String) -> Evaluation {
    Interrupts.lower()
    defer { Interrupts.lower() }
    do throws(LullError) {
      do throws(SyntaxFailure) { _ = try parseExpressionSource(expression) } catch {
        throw LullError(
          error.kind, error.message, span: error.span,
          source: SourceText(file: "<expression>", text: expression))
      }
      bindMentioned(expression)
      let value = try interpreter.run(expression, file: "<expression>") ?? .none
      defer { value.drop() }
      return .value(try bundle(of: value))
    } catch {
      return .failed(failure(of: error, RewrittenCell(source: expression)))
    }
  }

  /// Runs a whole program as `__main__`. Programs are Python: they have no commands.
  public func runProgram(_ source: String, file: String) -> CellStatus {
    currentFile = file
    frontEnd = .program
    Interrupts.lower()
    defer {
      // As in CPython, after the program's own error has been shown.
      interpreter.finishThreads()
      Interrupts.lower()
    }
    bindMentioned(source)
    do throws(LullError) {
      try interpreter.runProgram(source, file: file)
      return .done
    } catch {
      if error.isA("SyntaxError"), let text = error.source, let span = error.span {
        let line = text.lineText(text.line(at: span.start)).trimmed
        if line.hasPrefix("%") || line.hasPrefix("!") {
          error.notes.append("commands such as %time work in cells: in the REPL and in notebooks")
        }
      }
      return status(of: error, RewrittenCell(source: source))
    }
  }

  /// `%%name args` on the first line of a cell; nil when there is none.
  private func runCellCommand(_ source: String) throws(LullError) -> Value? {
    guard source.contains("%%") else { return nil }
    var lines = source.split(separator: "\n", omittingEmptySubsequences: false)
    guard let index = lines.firstIndex(where: { !$0.trimmed.isEmpty }), lines[index].hasPrefix("%%")
    else { return nil }
    let head = lines[index].dropFirst(2)
    let name = String(head.prefix { $0.isLetter || $0 == "_" })
    guard let command = table[name] else { throw table.unknown(name) }
    guard let run = command.cell else {
      throw LullError(
        "SyntaxError", "%%\(name) does not take a whole cell",
        notes: ["write %\(name) on a line of its own"])
    }
    // The body keeps its line numbers.
    for k in 0...index { lines[k] = "" }
    let body = lines.joined(separator: "\n")
    return try run(String(head.dropFirst(name.count)).trimmed, body)
  }

  /// Runs source text inside a running cell, for commands: lines are counted from `line`.
  func runNested(_ source: String, line: Int) throws(LullError) -> Value? {
    let cell = try CellScanner.rewrite(source, table: table)
    bindMentioned(cell.source)
    let padding = String(repeating: "\n", count: max(0, line - 1))
    return try interpreter.run(padding + cell.source, file: currentFile, keepsInterrupt: true)
  }

  private func remember(_ value: Value, _ count: Int) {
    recent.insert(value.retain(), at: 0)
    if recent.count > 3 { recent.removeLast().drop() }
    for (name, v) in zip(["_", "__", "___"], recent) { interpreter.addBuiltin(name, v.retain()) }
    do throws(LullError) { try setDictItem(outputs, Value(count), value.retain()) } catch {}
  }

  /// Forgets the values of earlier cells.
  func forgetOutputs() {
    outputs.drop()
    outputs = makeDictValue([])
    interpreter.addBuiltin("Out", outputs.retain())
    for v in recent { v.drop() }
    recent = []
    for name in ["_", "__", "___"] { interpreter.addBuiltin(name, strValue("")) }
  }

  // MARK: - Errors

  private func status(of error: LullError, _ cell: RewrittenCell) -> CellStatus {
    if error.isA("SystemExit") { return exitStatus(error) }
    let failure = failure(of: error, cell)
    onOutput(.error(failure))
    return .failed(failure)
  }

  private func failure(of error: LullError, _ cell: RewrittenCell) -> CellError {
    var error = error
    if error.kind == "NameError" {
      for (name, failure) in importFailures where error.message.contains("'\(name)'") {
        error = failure
      }
    }
    if error.kind == "SyntaxError", let source = error.source, source.file == "<cell>" {
      error.source = SourceText(
        file: currentFile, text: String(decoding: source.bytes, as: UTF8.self))
    }
    var text = renderTraceback(error)
    for r in cell.replacements { text = restoring(r.old, in: text, for: r.new) }
    return CellError(
      name: error.kind, text: error.message, traceback: text,
      isInterrupt: error.isA("KeyboardInterrupt"))
  }

  /// Shows a command's line as it was typed, in place of the call that it became.
  private func restoring(_ old: String, in text: String, for new: String) -> String {
    let shown = "    " + (new.split(separator: "\n").first.map { String($0).trimmed } ?? "")
    let typed = old.split(separator: "\n").first.map { String($0).trimmed } ?? ""
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    var i = 0
    while i < lines.count {
      if lines[i].hasPrefix(shown) {
        lines[i] = "    " + typed + String(lines[i].dropFirst(shown.count))
        if i + 1 < lines.count, lines[i + 1].contains("^"),
          lines[i + 1].allSatisfy({ $0 == " " || $0 == "^" || $0 == "~" })
        {
          lines.remove(at: i + 1)
        }
      }
      i += 1
    }
    return lines.joined(separator: "\n")
  }

  private func exitStatus(_ error: LullError) -> CellStatus {
    var code: Value?
    do throws(LullError) { code = try attributeOrNil(error.value, "code") } catch {}
    defer { code?.drop() }
    guard let code, !code.isNone else { return .exit(0, message: nil) }
    if let number = code.intValue {
      return .exit(Int32(truncatingIfNeeded: number & 0xFF), message: nil)
    }
    var text = error.message
    do throws(LullError) { text = try strText(code) } catch {}
    return .exit(1, message: text)
  }

  // MARK: - Modules and library functions

  /// Binds those of the late names that the text mentions.
  func bindMentioned(_ source: String) {
    for name in identifiers(in: source, among: pendingNames) { bindLate(name) }
  }

  /// Binds one of the late names now, if it is one and still unbound.
  func bindLate(_ name: String) {
    guard let origin = pendingNames[name] else { return }
    do throws(LullError) {
      var value = try importedModule(origin.module)
      if let attributeName = origin.attribute {
        let module = value
        defer { module.drop() }
        value = try attribute(module, attributeName)
      }
      interpreter.addBuiltin(name, value)
      pendingNames[name] = nil
      importFailures[name] = nil
    } catch {
      importFailures[name] = error
    }
  }

  var lateNames: [String] { Array(pendingNames.keys) }

  /// A module by its dotted name (owned).
  func importedModule(_ name: String) throws(LullError) -> Value {
    try importModuleValue(name)
  }

  /// Calls a function of the library that is written in the language.
  func callLibrary(_ module: String, _ function: String, _ a: Args, _ record: Builtin)
    throws(LullError) -> Value
  {
    let m = try importedModule(module)
    defer { m.drop() }
    let f = try attribute(m, function)
    defer { f.drop() }
    let signature = record.parameters
    var positional: [Value] = []
    var keywords: [(String, Value)] = []
    for (i, p) in signature.parameters.enumerated() {
      // Keyword-only parameters lie behind the tuple of the rest.
      let slot = signature.rest != nil && i >= signature.firstKeywordOnly ? i + 1 : i
      guard a.has(slot) else { continue }
      let isPositional = p.isRequired || i < signature.positionalOnly
      if isPositional, i < signature.firstKeywordOnly, positional.count == i {
        positional.append(a[slot])
      } else {
        keywords.append((p.name, a[slot]))
      }
    }
    if signature.rest != nil { positional += a.rest(signature.firstKeywordOnly) }
    if signature.keywords != nil {
      for (k, v) in dictItems(a[a.count - 1]) { keywords.append((k.stringValue ?? "", v)) }
    }
    return try callValue(f, positional, keywords: keywords)
  }

  /// Long text, which a front end may show page by page.
  func page(_ text: String) {
    if let onPage { onPage(text) } else { say(text) }
  }

  /// Text to the cell's standard output.
  func say(_ text: String) { onOutput(.stream(name: "stdout", text: text)) }
}

/// Those of `names` that occur in the text as a whole name that is no attribute.
private func identifiers(
  in source: String, among names: [String: (module: String, attribute: String?)]
)
  -> [String]
{
  var found: Set<String> = []
  let bytes = Array(source.utf8)
  var i = 0
  var previous: UInt8 = 0
  while i < bytes.count {
    if isNameStart(bytes[i]) {
      let start = i
      while i < bytes.count, isNamePart(bytes[i]) { i += 1 }
      if previous != 46, i - start <= 20 {
        let name = String(decoding: bytes[start..<i], as: UTF8.self)
        if names[name] != nil { found.insert(name) }
      }
      previous = bytes[i - 1]
    } else {
      if bytes[i] != 32 { previous = bytes[i] }
      i += 1
    }
  }
  return found.sorted()
}

/// A str of the language (owned).
func strValue(_ text: String) -> Value { makeStr(text) }
