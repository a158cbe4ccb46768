// The interpreter as the session sees it: a persistent `__main__`, cells in, values or errors out.
import Glibc

/// Where a program's output goes.
public struct OutputStream {
  public var write: (String) -> Void
  public var flush: () -> Void
  public init(write: @escaping (String) -> Void, flush: @escaping () -> Void) {
    self.write = write
    self.flush = flush
  }
}

nonisolated(unsafe) private let outputFile = fdopen(1, "w")
nonisolated(unsafe) private let errorFile = fdopen(2, "w")
@exclusivity(unchecked) nonisolated(unsafe) var standardOutput = OutputStream(
  write: { s in
    var s = s
    s.withUTF8 { b in _ = fwrite(b.baseAddress, 1, b.count, outputFile) }
  }, flush: { fflush(outputFile) })
@exclusivity(unchecked) nonisolated(unsafe) var standardError = OutputStream(
  write: { s in
    var s = s
    s.withUTF8 { b in _ = fwrite(b.baseAddress, 1, b.count, errorFile) }
  }, flush: { fflush(errorFile) })

@exclusivity(unchecked) nonisolated(unsafe) private var runtimeStarted = false

/// Makes the core types, builtins and machine. Once per process; Interpreter does it.
public func startRuntime() {
  if runtimeStarted { return }
  runtimeStarted = true
  makeCoreTypes()
  makeMachine()
  core.pointee.builtins = makeDict()
  installBuiltins()
}

public final class Interpreter {
  /// The `__main__` module's namespace.
  let main: Value
  let mainModule: Value

  public init() {
    startRuntime()
    mainModule = makeModule("__main__")
    main = mainModule.module.pointee.dict
    main.dict.set(Name.__builtins__.str, .none)
    main.dict.set(Name.__annotations__.str, makeDict())
    modulesDict().dict.set(interned("__main__"), mainModule.retained())
  }
  deinit { mainModule.release() }

  /// Forgets everything in `__main__`, which also breaks the cycles between the namespace and the
  /// functions defined in it.
  public func clear() { main.dict.clear() }

  /// Replaces where `print` and errors go.
  public func setOutput(_ out: OutputStream, error: OutputStream? = nil) {
    standardOutput = out
    if let error { standardError = error }
  }
  /// Replaces who answers `input()` and `getpass`; standard input does by default.
  public func setInput(_ reader: @escaping InputReader) { inputReader = reader }
  /// Directories that `import` searches, in order.
  public var searchPath: [String] {
    get { moduleSearchPath }
    set { moduleSearchPath = newValue }
  }
  public var arguments: [String] {
    get { programArguments }
    set { programArguments = newValue }
  }

  /// Runs a cell; returns the value (owned) of a trailing expression statement, nil when there is
  /// none or it is None. `keepsInterrupt`: one that has come already stops it.
  public func run(_ source: String, file: String = "<cell>", keepsInterrupt: Bool = false)
    throws(LullError) -> Value?
  {
    if !keepsInterrupt { vm.pointee.interruptFlag = 0 }
    let v = try execute(source, file: file, namespace: mainModule, showsLast: true)
    return v.isNone ? nil : v
  }
  /// Runs a whole program as `__main__`.
  public func runProgram(_ source: String, file: String) throws(LullError) {
    main.dict.set(Name.__file__.str, makeStr(file))
    vm.pointee.interruptFlag = 0
    try execute(source, file: file, namespace: mainModule, showsLast: false).release()
  }

  private func execute(_ source: String, file: String, namespace: Value, showsLast: Bool)
    throws(LullError) -> Value
  {
    vm.pointee.nativeLimit = nativeStackLimit()
    defer { if vm.pointee.depth == 0 { releaseEmptyChunks() } }
    return try runSource(source, file: file, module: namespace, showsLast: showsLast)
  }

  /// Asks the running program to stop with KeyboardInterrupt. Safe in a signal handler.
  public func interrupt() { vm.pointee.interruptFlag = 1 }
  /// The flag itself, for a C signal handler.
  public var interruptFlag: UnsafeMutablePointer<Int32> { vm.pointee.interrupt }

  /// Names defined in `__main__`, in order of definition.
  public var names: [String] { main.dict.keys.map(\.string) }
  /// A global of `__main__`, borrowed.
  public subscript(name: String) -> Value? { main.dict.get(name) }
  /// Sets a global (owned value).
  public func set(_ name: String, _ owned: Value) { main.dict.set(name, owned) }
  public func remove(_ name: String) {
    let x = main.dict.findStr(internedPointer(name))
    if x >= 0 { main.dict.removeEntry(x).release() }
  }
  /// Adds a name to the builtins that every module sees (owned value).
  public func addBuiltin(_ name: String, _ owned: Value) {
    core.pointee.builtins.dict.set(name, owned)
  }
  /// Takes a builtin away from every module.
  public func removeBuiltin(_ name: String) {
    let d = core.pointee.builtins.dict
    let x = d.findStr(internedPointer(name))
    if x >= 0 { d.removeEntry(x).release() }
  }
  public func addBuiltins(_ records: [Builtin]) {
    BuiltinRegistry.add(records)
    for b in records { addBuiltin(b.name, makeBuiltin(b)) }
  }
  public var builtinNames: [String] {
    core.pointee.builtins.dict.keys.map(\.string).filter { !$0.hasPrefix(" ") }
  }
}

/// The code of the last cells stays, so that what they left pending can name its line.
@exclusivity(unchecked) nonisolated(unsafe) private var recentCode: [Code] = []
@exclusivity(unchecked) nonisolated(unsafe) private var recentNext = 0
private func keepPositions(of code: Code) {
  let limit = 256
  if recentCode.count < limit {
    recentCode.append(code)
  } else {
    recentCode[recentNext] = code
    recentNext = (recentNext + 1) % limit
  }
}

/// Compiles and runs source in a module's namespace.
func runSource(_ source: String, file: String, module: Value, showsLast: Bool) throws(LullError)
  -> Value
{
  let text = SourceText(file: file, text: source)
  let program: [Stmt]
  do {
    program = try parseProgram(source)
  } catch {
    throw LullError(error.kind, error.message, span: error.span, source: text)
  }
  let code = try compileModule(program, source: text, showsLast: showsLast)
  keepPositions(of: code)
  let p = allocateObject(MemoryLayout<FunctionBody>.size)
    .bindMemory(to: FunctionBody.self, capacity: 1)
  p.initialize(
    to: FunctionBody(
      h: Header(.function), code: Unmanaged.passUnretained(code), head: code.head,
      globals: module.module.pointee.dict.retained(), defaults: .undefined,
      keywordDefaults: .undefined, name: interned("<module>"), qualname: interned("<module>"),
      doc: .none, dict: .undefined, cells: nil, cellCount: 0, codeOwner: code,
      module: makeStr(module.module.pointee.name), annotations: .undefined))
  let f = Value(.function, p)
  defer { f.release() }
  try checkNativeStack()
  let w = (vm.pointee.frame?.pointee.top ?? vm.pointee.stackBase) + 1
  let frame = try pushFrame(p, w, bound: 0, flags: Frame.fromNative)
  return try execute(frame)
}

// MARK: - Tracebacks

/// The traceback as CPython prints it, with carets, the chain of causes, and notes.
public func renderTraceback(_ e: LullError) -> String { renderTraceback(e, e.frames) }
/// The same with other frames than the error's own, outermost first.
func renderTraceback(_ e: LullError, _ frames: [TracebackEntry]) -> String {
  var out = ""
  if e.isA("SyntaxError"), let source = e.source, let span = e.span, e.unwound.isEmpty {
    let line = source.line(at: span.start)
    out += "  File \"\(source.file)\", line \(line)\n"
    out += sourceLines(source, span, nil, always: true)
    out += "\(e.kind): \(e.message)\n"
    for n in e.notes { out += "  \(n)\n" }
    return out
  }
  var seen: Set<UInt64> = []
  renderChain(e.value, frames, e.notes, &out, &seen, depth: 0)
  return out
}
private func renderChain(
  _ v: Value, _ frames: [TracebackEntry], _ notes: [String], _ out: inout String,
  _ seen: inout Set<UInt64>, depth: Int
) {
  if !seen.insert(v.bits).inserted || depth > 20 { return }
  let b = v.exceptionBody.pointee
  if b.cause.tag == .exception {
    renderChain(
      b.cause, b.cause.exceptionBody.pointee.traceback.reversed(),
      b.cause.exceptionBody.pointee.notes, &out, &seen, depth: depth + 1)
    out += "\nThe above exception was the direct cause of the following exception:\n\n"
  } else if b.context.tag == .exception, !b.suppressContext, !seen.contains(b.context.bits) {
    renderChain(
      b.context, b.context.exceptionBody.pointee.traceback.reversed(),
      b.context.exceptionBody.pointee.notes, &out, &seen, depth: depth + 1)
    out += "\nDuring handling of the above exception, another exception occurred:\n\n"
  }
  if !frames.isEmpty { out += "Traceback (most recent call last):\n" }
  var previous = ""
  var repeats = 0
  for (k, f) in frames.enumerated() {
    let head = "  File \"\(f.source.file)\", line \(f.line), in \(f.function)\n"
    if head == previous {
      repeats += 1
      if repeats >= 3 { continue }
    } else {
      if repeats >= 3 {
        out += "  [Previous line repeated \(repeats - 2) more times]\n"
      }
      repeats = 0
      previous = head
    }
    // A whole line is only pointed at where there is something to say about it.
    out +=
      head
      + sourceLines(f.source, f.span, f.operands, always: !notes.isEmpty && k == frames.count - 1)
  }
  if repeats >= 3 { out += "  [Previous line repeated \(repeats - 2) more times]\n" }
  var text = ""
  do throws(LullError) { text = try exceptionText(v) } catch { text = "<exception str() failed>" }
  let t = v.type.pointee
  let name =
    t.module == "builtins" || t.module == "__main__" ? t.qualname : "\(t.module).\(t.qualname)"
  out += text.isEmpty ? "\(name)\n" : "\(name): \(text)\n"
  for n in notes { out += "  \(n)\n" }
}
private func sourceLines(
  _ source: SourceText, _ span: Span, _ operands: (Span, Span)?, always: Bool
) -> String {
  let line = source.line(at: span.start)
  let raw = source.lineText(line)
  let trimmed = raw.drop { $0 == " " || $0 == "\t" }
  if trimmed.isEmpty { return "" }
  let indent = raw.utf8.count - trimmed.utf8.count
  let bytes = Array(trimmed.utf8)
  let lineStart = Int(source.lineStarts[line - 1]) + indent
  let start = max(0, Int(span.start) - lineStart)
  let end = max(start + 1, min(Int(span.end) - lineStart, max(bytes.count, start + 1)))
  var marks = [UInt8](repeating: 32, count: max(end, bytes.count))
  for k in start..<end { marks[k] = 94 }
  if let (l, r) = operands, source.line(at: r.start) == line {
    for k in start..<end { marks[k] = 94 }
    for s in [l, r] {
      for k in max(0, Int(s.start) - lineStart)..<max(0, min(marks.count, Int(s.end) - lineStart)) {
        marks[k] = 126
      }
    }
    // Between the operands only the operator itself is pointed at, as CPython does.
    for k in start..<min(end, bytes.count) where marks[k] == 94 {
      if bytes[k] == 32 || bytes[k] == 40 || bytes[k] == 41 { marks[k] = 126 }
    }
  }
  var out = "    \(trimmed)\n"
  let whole = start == 0 && end >= bytes.count && operands == nil
  if always || !whole {
    // One mark per code point.
    var carets = ""
    for k in 0..<max(bytes.count, end) {
      if k < bytes.count, bytes[k] & 0xC0 == 0x80 { continue }
      carets.unicodeScalars.append(Unicode.Scalar(k < marks.count ? marks[k] : 32))
    }
    while carets.last == " " { carets.removeLast() }
    out += "    \(carets)\n"
  }
  return out
}
func errorText(_ code: Int32) -> UnsafePointer<CChar> { UnsafePointer(strerror(code)) }
