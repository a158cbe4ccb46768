// Exceptions: between LullError (native) and exception objects (the program's).

func makeException(_ t: TypePtr, args: Value) -> Value {
  let p = allocateObject(MemoryLayout<ExceptionBody>.size)
    .bindMemory(to: ExceptionBody.self, capacity: 1)
  t.pointee.h.count &+= 1
  p.initialize(
    to: ExceptionBody(
      h: Header(.exception, t), args: args, cause: .none, context: .none, dict: .undefined,
      suppressContext: false, traceback: Trail(), storedNotes: nil, span: nil, source: nil))
  return Value(.exception, p)
}

private func makeSingle(_ v: Value) -> Value {
  let t = makeTuple(uninitialized: 1)
  t.tuple.items[0] = v
  return t
}

/// The exception object of an error (owned), made on first need.
func exceptionValue(_ e: LullError, caught: Bool = false) -> Value {
  if e.exception.isUndefined {
    let t = exceptionType(e.kind)
    let arg: Value
    if !e.isPlain, !e.arguments.isEmpty {
      arg = makeTuple(e.arguments.map { $0.retained() })
    } else if let v = e.argument {
      arg = makeSingle(v.retained())
    } else {
      arg = e.message.isEmpty ? emptyTuple() : makeSingle(makeStr(e.message))
    }
    e.exception = makeException(t, args: arg)
    let b = e.exception.exceptionBody
    if !e.isPlain {
      if !e.notes.isEmpty { b.pointee.notes = e.notes }
      (b.pointee.span, b.pointee.source) = e.ownPlace
      for (k, v) in e.attributes {
        if b.pointee.dict.isUndefined { b.pointee.dict = makeDict() }
        b.pointee.dict.dict.set(k, v.retained())
      }
    }
    let handled = vm.pointee.handled
    if handled.tag == .exception { b.pointee.context = handled.retained() }
  }
  if caught { e.exception.exceptionBody.pointee.traceback = e.trail }
  return e.exception.retained()
}

/// A LullError that carries an exception object (borrowed), ready to be thrown.
func wrap(_ v: Value) -> LullError { LullError(carrying: v) }

/// What `throw(type, value)` of a generator raises, owned: an exception, or its class and what to make it of.
func thrownException(_ type: Value, _ value: Value) throws(LullError) -> Value {
  if type.tag == .type, type.typeObject.pointee.isException {
    if value.tag == .exception { return value.retained() }
    if value.isNone || value.isUndefined { return try call(type, []) }
    return try call(type, value.asTuple?.array ?? [value])
  }
  guard type.tag == .exception else {
    throw LullError.typeError(
      "exceptions must be classes or instances deriving from BaseException, not \(typeName(type))")
  }
  if !value.isNone, !value.isUndefined {
    throw LullError.typeError("instance exception may not have a separate value")
  }
  return type.retained()
}

/// `raise v` / `raise v from cause` (undefined: none given); operands borrowed.
func raiseError(_ v: Value, _ cause: Value) throws(LullError) -> LullError {
  var object = v.retained()
  defer { object.release() }
  if v.tag == .type, v.typeObject.pointee.isException {
    let made = try call(v, [])
    object.release()
    object = made
  }
  guard object.tag == .exception else {
    throw LullError.typeError("exceptions must derive from BaseException")
  }
  let b = object.exceptionBody
  let handled = vm.pointee.handled
  if handled.tag == .exception, !handled.isSame(object) {
    // Avoid a cycle in the chain of contexts.
    var c = handled
    var steps = 0
    while c.tag == .exception, steps < 1000 {
      let next = c.exceptionBody.pointee.context
      if next.isSame(object) {
        c.exceptionBody.pointee.context = .none
        next.release()
        break
      }
      c = next
      steps += 1
    }
    let old = b.pointee.context
    b.pointee.context = handled.retained()
    old.release()
  }
  if !cause.isUndefined {
    var c = cause.retained()
    if cause.tag == .type, cause.typeObject.pointee.isException {
      c = try call(cause, [])
      cause.release()
    }
    guard c.tag == .exception || c.isNone else {
      c.release()
      throw LullError.typeError("exception causes must derive from BaseException")
    }
    let old = b.pointee.cause
    b.pointee.cause = c
    b.pointee.suppressContext = true
    old.release()
  }
  if !b.pointee.traceback.isEmpty { b.pointee.traceback = Trail() }
  return wrap(object)
}

func assertionError(_ message: Value) -> LullError {
  let t = exceptionType("AssertionError")
  let args = message.isUndefined ? emptyTuple() : makeTuple([message.retained()])
  let v = makeException(t, args: args)
  defer { v.release() }
  let handled = vm.pointee.handled
  if handled.tag == .exception { v.exceptionBody.pointee.context = handled.retained() }
  return wrap(v)
}

/// Whether an `except` clause with this type catches the exception.
func matches(_ e: Value, _ t: Value) throws(LullError) -> Bool {
  if t.tag == .type, t.typeObject.pointee.isException { return e.type.isSubtype(of: t.typeObject) }
  if let tuple = t.asTuple {
    var found = false
    for x in t.elements {
      guard x.tag == .type, x.typeObject.pointee.isException else { return try matches(e, .none) }
      if e.type.isSubtype(of: x.typeObject) { found = true }
    }
    return found && tuple.pointee.count > 0
  }
  throw LullError.typeError(
    "catching classes that do not inherit from BaseException is not allowed")
}

/// Whether the error is an instance of the named exception class.
func isKind(_ e: LullError, _ name: String) -> Bool {
  if e.kind == name { return true }
  let t = e.exception.isUndefined ? exceptionType(e.kind) : e.exception.type
  return exceptionTypes[name].map { t.isSubtype(of: $0) } ?? false
}
extension LullError {
  /// Whether the error is of this exception class or a subclass.
  public func isA(_ name: String) -> Bool { isKind(self, name) }
  /// The exception object, borrowed.
  public var value: Value {
    exceptionValue(self, caught: true).release()
    return exception
  }
  /// The stack, outermost first.
  public var frames: [TracebackEntry] { unwound.reversed() }
}

/// `str(exception)`; without `own`, what the builtin class gives.
func exceptionText(_ v: Value, own: Bool = true) throws(LullError) -> String {
  try checkNativeStack(" while getting the str of an object")  // an exception may hold itself
  let f = v.type.lookup(.__str__)
  if own, f.tag == .function {
    let r = try call(f, [v])
    defer { r.release() }
    return r.string
  }
  guard let args = v.exceptionBody.pointee.args.asTuple else { return "" }
  if args.pointee.count == 0 { return "" }
  if v.type.isSubtype(of: core.pointee.osError), args.pointee.count == 2 {
    var s = "[Errno \(try display(args.items[0]))] \(try display(args.items[1]))"
    if let file = v.exceptionBody.pointee.dict.asDict?.get("filename"), !file.isNone {
      s += ": \(try repr(file))"
    }
    return s
  }
  if let s = unicodeErrorText(v, args) { return s }
  if args.pointee.count == 1 {
    if v.type.isSubtype(of: exceptionType("KeyError")) { return try repr(args.items[0]) }
    return try display(args.items[0])
  }
  return try repr(v.exceptionBody.pointee.args)
}

/// The names of a unicode error's arguments.
let unicodeErrorParts = ["encoding", "object", "start", "end", "reason"]

/// The sentence of a unicode error with its five arguments; nil for other exceptions.
private func unicodeErrorText(_ v: Value, _ args: TuplePtr) -> String? {
  guard args.pointee.count == 5 else { return nil }
  let isDecoding = v.type.isSubtype(of: exceptionType("UnicodeDecodeError"))
  guard isDecoding || v.type.isSubtype(of: exceptionType("UnicodeEncodeError")),
    let encoding = args.items[0].stringValue, let start = args.items[2].intValue,
    let end = args.items[3].intValue, let why = args.items[4].stringValue
  else { return nil }
  var place = "position \(start)-\(end &- 1)"
  if isDecoding {
    guard let b = args.items[1].byteArray else { return nil }
    place = "bytes in " + place
    if start >= 0, start < b.count, end == start + 1 {
      place =
        "byte 0x\(b[start] < 16 ? "0" : "")\(String(b[start], radix: 16)) in position \(start)"
    }
  } else {
    guard let s = args.items[1].asStr else { return nil }
    place = "characters in " + place
    if start >= 0, start < s.pointee.count, end == start + 1 {
      let c = s.codePoints[start]
      let hex = String(c, radix: 16)
      let (letter, width) = c < 0x100 ? ("x", 2) : c < 0x10000 ? ("u", 4) : ("U", 8)
      place =
        "character '\\\(letter)\(String(repeating: "0", count: max(0, width - hex.count)))\(hex)' in position \(start)"
    }
  }
  return "'\(encoding)' codec can't \(isDecoding ? "decode" : "encode") \(place): \(why)"
}

func keyError(_ key: Value) -> LullError {
  let e = LullError("KeyError", "")
  e.setArgument(key)
  e.describeByArgument()
  return e
}
func stopIteration(_ value: Value) -> LullError {
  let e = LullError("StopIteration", "")
  if !value.isUndefined, !value.isNone { e.setArgument(value) }
  return e
}
func osError(_ code: Int32, _ path: String) -> LullError {
  let text = String(cString: errorText(code))
  let v = makeOSError(
    core.pointee.osError, makeTuple([Value(Int(code)), makeStr(text), makeStr(path)]))
  defer { v.release() }
  return wrap(v)
}
private let errorClasses: [Int: String] = [
  1: "PermissionError", 2: "FileNotFoundError", 3: "ProcessLookupError", 4: "InterruptedError",
  10: "ChildProcessError", 11: "BlockingIOError", 13: "PermissionError", 17: "FileExistsError",
  20: "NotADirectoryError", 21: "IsADirectoryError", 32: "BrokenPipeError",
  103: "ConnectionAbortedError",
  104: "ConnectionResetError", 108: "BrokenPipeError", 110: "TimeoutError",
  111: "ConnectionRefusedError",
  114: "BlockingIOError", 115: "BlockingIOError",
]
/// An OSError (arguments consumed): its class follows from the number, a file name is an attribute and no argument.
func makeOSError(_ t: TypePtr, _ args: Value) -> Value {
  let items = args.tuple
  guard items.pointee.count >= 2, items.pointee.count <= 5 else {
    return makeException(t, args: args)
  }
  var type = t
  if t == core.pointee.osError, items.items[0].tag == .int,
    let name = errorClasses[items.items[0].asInt]
  {
    type = exceptionType(name)
  }
  let v = makeException(type, args: makePair(items.items[0].retained(), items.items[1].retained()))
  if items.pointee.count > 2 {
    let d = makeDict()
    d.dict.set("filename", items.items[2].retained())
    v.exceptionBody.pointee.dict = d
  }
  args.release()
  return v
}

/// Adds the frame that is being left or searched to the error's stack, once: not again when a `finally` or a bare
/// `raise` sends it on, but for each call of a recursion.
func noteFrame(_ e: LullError, _ frame: FramePtr, _ code: Code, _ pc: Int) {
  let activation = UInt32(truncatingIfNeeded: UInt(bitPattern: frame) >> 4)
  if e.lastFrame == activation { return }
  if e.lastFrame == UInt32.max, code.instructions[pc].op == .reraise, let last = e.trail.last,
    last.code === code
  {
    e.lastFrame = activation
    return
  }
  e.lastFrame = activation
  if e.trail.isEmpty || e.trail.count < 2000 { e.trail.append(TracebackEntry(code: code, pc: pc)) }
}

func nameError(_ name: String, _ frame: UnsafeMutablePointer<Frame>) -> LullError {
  let e = LullError("NameError", "name '\(name)' is not defined")
  var candidates = frame.pointee.globals.keys.map(\.string)
  candidates += core.pointee.builtins.dict.keys.map(\.string)
  candidates += frame.pointee.code.takeUnretainedValue().localNames
  if let near = nearestName(name, among: candidates.filter { !$0.isEmpty }) {
    e.notes.append("did you mean '\(near)'?")
  }
  e.attributes = [("name", makeStr(name))]
  return e
}
func freeVariableError(_ name: String) -> LullError {
  LullError(
    "NameError",
    "cannot access free variable '\(name)' where it is not associated with a value in enclosing scope"
  )
}

@inline(never) func loadGlobal(
  _ frame: UnsafeMutablePointer<Frame>, _ i: UnsafeMutablePointer<Instruction>, _ name: StrPtr
) throws(LullError) -> Value {
  let g = frame.pointee.globals
  let x = g.findStr(name)
  if x >= 0 {
    if g.pointee.entries[x].key.bits == UInt64(UInt(bitPattern: name)) {
      i.pointee.op = .loadGlobalCached
      i.pointee.x = Int32(truncatingIfNeeded: x)
    }
    return g.pointee.entries[x].value
  }
  let b = core.pointee.builtins.dict
  let y = b.findStr(name)
  if y >= 0 {
    i.pointee.op = .loadBuiltinCached
    i.pointee.x = Int32(truncatingIfNeeded: y)
    i.pointee.y = g.pointee.keysVersion
    return b.pointee.entries[y].value
  }
  throw nameError(name.string, frame)
}
func loadGlobalSlow(_ frame: UnsafeMutablePointer<Frame>, _ name: StrPtr) throws(LullError) -> Value
{
  if let v = frame.pointee.globals.get(name) { return v }
  if let v = core.pointee.builtins.dict.get(name) { return v }
  throw nameError(name.string, frame)
}
