// Frames, the machine's state, and calls into the machine.
//
// Registers of ordinary frames lie on one large stack that the system commits page by page; a
// callee's window begins at its first argument inside the caller's temporaries, so arguments are
// passed by staying where they are. A generator's registers live on the heap with it. The recursion
// limit counts frames; native recursion (a comparison that calls `__eq__` that compares...) is
// bounded by the address of the native stack instead.
import Glibc
import Kernels

struct Frame {
  var previous: UnsafeMutablePointer<Frame>?
  var head: UnsafeMutablePointer<CodeHead>
  var ip: UnsafeMutablePointer<Instruction>
  var regs: UnsafeMutablePointer<Value>
  /// One past the window, slack included: where native code may put a callee's window.
  var top: UnsafeMutablePointer<Value>
  var constants: UnsafeMutablePointer<Value>
  var globals: DictPtr
  var cells: UnsafeMutablePointer<Value>?
  /// Where the caller holds the callee; released on return. nil for native entries.
  var calleeSlot: UnsafeMutablePointer<Value>?
  /// The namespace of a class body, else undefined; borrowed.
  var namespace: Value
  /// The new object when this frame is its `__init__` (`ofInitializer`); owned.
  var initResult: Value
  /// Valid with `ofGenerator`.
  var generator: GeneratorPtr?
  /// Where machine code goes on when the call that this frame waits for returns; set with each call. In the frame of a
  /// suspended generator, where it goes on itself; nil: by its `ip`.
  var resume: UnsafeRawPointer?
  /// The caller's register for the result.
  var returnRegister: UInt16
  /// Of the following; 0 for a plain call of a function by another.
  var flags: UInt8

  var code: Unmanaged<Code> { head.pointee.code }
  @_transparent var registerCount: Int { head.pointee.registerCount }
  @_transparent var localCount: Int { head.pointee.localCount }

  /// `execute` returns to native code when this frame ends.
  static let fromNative: UInt8 = 1
  /// A generator frame that a `for` in the machine resumed.
  static let inFor: UInt8 = 2
  static let ofInitializer: UInt8 = 4
  static let ofGenerator: UInt8 = 8
}

struct Machine {
  var frame: UnsafeMutablePointer<Frame>?
  var frameTop: UnsafeMutablePointer<Frame>
  var stackBase: UnsafeMutablePointer<Value>
  var stackLimit: UnsafeMutablePointer<Value>
  var depth: Int
  var recursionLimit: Int
  /// The exception being handled (for a bare `raise` and for `__context__`); owned.
  var handled: Value
  /// Set from a signal handler; see `Interpreter.interrupt`.
  var interruptFlag: Int32
  /// A `leaveLoop` instruction.
  var leaving: UnsafeMutablePointer<Instruction>
  /// Enters machine code at the machine's frame; returns a `Step`.
  var enter: (@convention(c) (UnsafeMutableRawPointer) -> Int)? = nil
  /// What a frame's `resume` is when the interpreter or a builtin made the call (MachineCode/).
  var resumeAny: UnsafeRawPointer? = nil
  /// The same where a `for` of the interpreter waits for a generator.
  var resumeFor: UnsafeRawPointer? = nil
  /// The address of the flag.
  var interrupt: UnsafeMutablePointer<Int32> {
    (UnsafeMutableRawPointer(vm) + (MemoryLayout<Machine>.offset(of: \.interruptFlag) ?? 0))
      .assumingMemoryBound(to: Int32.self)
  }
  /// What the entry frame of machine code returned.
  var result: Value = .undefined
  /// Native code below this address of the stack is refused.
  var nativeLimit: UInt
}

@exclusivity(unchecked) nonisolated(unsafe) var vm: UnsafeMutablePointer<Machine> =
  UnsafeMutablePointer(bitPattern: 16).unsafelyUnwrapped

let windowSlack = 12

func makeMachine() {
  let slots = 16 << 20
  let bytes = slots * 16
  let memory = mmap(
    nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
  let stack: UnsafeMutablePointer<Value>
  let limit: Int
  if let memory, memory != MAP_FAILED {
    stack = memory.bindMemory(to: Value.self, capacity: slots)
    limit = slots
  } else {
    limit = 1 << 18
    stack = .allocate(capacity: limit)
  }
  let frameCount = 2 << 20
  let frameBytes = frameCount * MemoryLayout<Frame>.stride
  let frameMemory = mmap(
    nil, frameBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
  let frames: UnsafeMutablePointer<Frame>
  if let frameMemory, frameMemory != MAP_FAILED {
    frames = frameMemory.bindMemory(to: Frame.self, capacity: frameCount)
  } else {
    frames = .allocate(capacity: 1 << 16)
  }
  let leaving = InstructionPtr.allocate(capacity: 1)
  leaving.initialize(to: Instruction(op: .leaveLoop, a: 0, b: 0, c: 0, x: 0, y: 0))
  vm = .allocate(capacity: 1)
  vm.initialize(
    to: Machine(
      frame: nil, frameTop: frames, stackBase: stack, stackLimit: stack + limit - 70000,
      depth: 0, recursionLimit: 1000, handled: .undefined, interruptFlag: 0, leaving: leaving,
      nativeLimit: nativeStackLimit()))
}

@_silgen_name("pthread_getattr_np")
private func pthread_getattr_np(
  _ thread: pthread_t, _ attributes: UnsafeMutablePointer<pthread_attr_t>
) -> Int32

/// The lowest address that Lull's native recursion may reach on this thread.
func nativeStackLimit() -> UInt {
  var attributes = pthread_attr_t()
  guard pthread_getattr_np(pthread_self(), &attributes) == 0 else { return 0 }
  defer { pthread_attr_destroy(&attributes) }
  var low: UnsafeMutableRawPointer?
  var size = 0
  guard pthread_attr_getstack(&attributes, &low, &size) == 0, let low else { return 0 }
  let reserve = max(size / 8, 192 << 10)
  // The main thread's reported size may exceed what is mapped yet; the kernel grows it.
  return UInt(bitPattern: low) + UInt(reserve)
}

/// Refuses when the native stack is nearly used up. To be called by every native function that may
/// recurse through user code or nested data.
@inline(__always) func checkNativeStack(_ what: @autoclosure () -> String = "") throws(LullError) {
  var here: UInt8 = 0
  let address = withUnsafeMutablePointer(to: &here) { UInt(bitPattern: $0) }
  if address < vm.pointee.nativeLimit {
    throw LullError.recursion("maximum recursion depth exceeded" + what())
  }
}

/// What the flag that calls, loops and jumps look at asks for.
enum Request {
  static let interrupt: Int32 = 1
  /// The collector of cycles wants to run; only the machine and what calls into it let it.
  static let collection: Int32 = 2
}

@inline(never) func interrupted() throws(LullError) {
  if let error = interruption() { throw error }
}
/// Does what the flag asks for; nil when that was a collection, and the program goes on.
@inline(never) func interruption() -> LullError? {
  let request = vm.pointee.interruptFlag
  vm.pointee.interruptFlag = 0
  if request == Request.collection {
    collectWhenAsked()
    return nil
  }
  // One interrupt is raised once: kernels have a flag of their own.
  lull_interrupt_set(0)
  return LullError("KeyboardInterrupt", "")
}

func recursionError() -> LullError {
  LullError(
    "RecursionError", "maximum recursion depth exceeded",
    notes: ["the limit is \(vm.pointee.recursionLimit) calls; sys.setrecursionlimit changes it"])
}

// MARK: - Binding arguments

/// Lays the arguments out as the callee's first registers. `w` holds `argc` owned values, the last
/// `kwCount` of them named by `kwNames`. On failure the arguments are still owned by `w` as before
/// (positions beyond may have been cleared); the caller releases them.
@inline(never) func bindArguments(
  _ f: FunctionPtr, _ w: UnsafeMutablePointer<Value>, _ argc: Int,
  _ kwNames: UnsafeMutablePointer<Value>?, _ kwCount: Int
) throws(LullError) {
  let code = f.pointee.codeOwner
  let positional = code.positionalCount
  let keywordOnly = code.keywordOnlyCount
  let total = code.parameterCount
  let given = argc - kwCount
  let defaults = f.pointee.defaults.asTuple
  let defaultCount = defaults?.pointee.count ?? 0

  if kwCount == 0, !code.hasRest, !code.hasKeywords, keywordOnly == 0, given <= positional,
    given >= positional - defaultCount
  {
    if let defaults {
      for i in given..<positional {
        w[i] = defaults.items[i - (positional - defaultCount)].retained()
      }
    }
    return
  }

  if kwCount > 0, placeKeywords(f, code, w, given, kwNames, kwCount) { return }

  var out = [Value](repeating: .undefined, count: total)
  var extras: Value = .undefined
  var failure: LullError?
  var title: String { f.pointee.qualname.string }
  for i in 0..<min(given, positional) { out[i] = w[i] }
  if code.hasKeywords { extras = makeDict() }
  if let kwNames {
    for k in 0..<kwCount {
      let value = w[given + k]
      let name = interned(kwNames[k])
      var index = -1
      for i in code.positionalOnly..<(positional + keywordOnly)
      where code.parameterNames[i] == name.str {
        index = i
        break
      }
      if index >= 0 {
        if !out[index].isUndefined {
          failure = .typeError(
            "\(title)() got multiple values for argument '\(name.string)'")
          break
        }
        out[index] = value
      } else if code.hasKeywords {
        extras.dict.set(name, value.retained())
      } else {
        failure = unexpectedKeyword(
          code, title, name.string, (0..<kwCount).map { kwNames[$0].string })
        break
      }
    }
  }
  var missing: [String] = []
  var missingKeywords: [String] = []
  var borrowedDefaults: [Int] = []
  if failure == nil, given > positional, !code.hasRest {
    let named = (positional..<(positional + keywordOnly)).count { !out[$0].isUndefined }
    failure = tooManyPositional(code, title, given, named, defaultCount)
  }
  if failure == nil {
    for i in 0..<positional where out[i].isUndefined {
      let d = i - (positional - defaultCount)
      if d >= 0, let defaults {
        out[i] = defaults.items[d]
        borrowedDefaults.append(i)
      } else {
        missing.append(code.parameterNames[i].string)
      }
    }
    for i in positional..<(positional + keywordOnly) where out[i].isUndefined {
      if let d = f.pointee.keywordDefaults.asDict?.get(code.parameterNames[i]) {
        out[i] = d
        borrowedDefaults.append(i)
      } else {
        missingKeywords.append(code.parameterNames[i].string)
      }
    }
    if !missing.isEmpty {
      failure = missingArguments(title, missing, "positional")
    } else if !missingKeywords.isEmpty {
      failure = missingArguments(title, missingKeywords, "keyword-only")
    }
  }
  if let failure {
    extras.release()
    throw failure
  }
  for i in borrowedDefaults { out[i].retained() }
  var next = positional + keywordOnly
  if code.hasRest {
    let n = max(0, given - positional)
    if n == 0 {
      out[next] = emptyTuple()
    } else {
      let t = makeTuple(uninitialized: n)
      for i in 0..<n { t.tuple.items[i] = w[positional + i] }
      out[next] = t
    }
    next += 1
  }
  if code.hasKeywords {
    // Values that went to **keywords were retained for it.
    if let kwNames {
      for k in 0..<kwCount {
        let v = w[given + k]
        let name = interned(kwNames[k])
        var taken = false
        for i in code.positionalOnly..<(positional + keywordOnly)
        where code.parameterNames[i] == name.str { taken = true }
        if !taken { v.release() }
      }
    }
    out[next] = extras
  }
  for i in 0..<total { w[i] = out[i] }
  // Arguments that went to *rest must not stay behind in the caller's temporaries.
  for i in total..<max(total, argc) { w[i].tag = .undefined }
}

/// The case without `*rest`, `**keywords` or errors; false, with nothing changed, when there is one.
private func placeKeywords(
  _ f: FunctionPtr, _ code: Code, _ w: UnsafeMutablePointer<Value>, _ given: Int,
  _ kwNames: UnsafeMutablePointer<Value>?, _ kwCount: Int
) -> Bool {
  let positional = code.positionalCount
  let total = positional + code.keywordOnlyCount
  guard let kwNames, !code.hasRest, !code.hasKeywords, given <= positional, total < 64 else {
    return false
  }
  // A bit for each parameter that has its argument.
  var bound: UInt64 = 1 << UInt64(given) - 1
  func index(_ k: Int) -> Int {
    let name = interned(kwNames[k]).str
    return code.parameterNames.withUnsafeBufferPointer { names in
      for i in code.positionalOnly..<total where names[i] == name { return i }
      return -1
    }
  }
  for k in 0..<kwCount {
    let i = index(k)
    if i < 0 || bound >> UInt64(i) & 1 != 0 { return false }
    bound |= 1 << UInt64(i)
  }
  let defaults = f.pointee.defaults.asTuple
  let firstDefault = positional - (defaults?.pointee.count ?? 0)
  for i in given..<total where bound >> UInt64(i) & 1 == 0 {
    if i < positional
      ? i < firstDefault
      : f.pointee.keywordDefaults.asDict?.get(code.parameterNames[i]) == nil
    {
      return false
    }
  }
  // The named values go above everything first, then each to its place.
  let named = w + total + kwCount
  for k in 0..<kwCount {
    named[k] = w[given + k]
    w[given + k].tag = .undefined
  }
  for k in 0..<kwCount {
    w[index(k)] = named[k]
    named[k].tag = .undefined
  }
  for i in given..<total where bound >> UInt64(i) & 1 == 0 {
    if i < positional {
      w[i] = defaults.unsafelyUnwrapped.items[i - firstDefault].retained()
    } else if let d = f.pointee.keywordDefaults.asDict?.get(code.parameterNames[i]) {
      w[i] = d.retained()
    }
  }
  return true
}

private func listed(_ names: [String]) -> String {
  let quoted = names.map { "'\($0)'" }
  if quoted.count == 1 { return quoted[0] }
  if quoted.count == 2 { return "\(quoted[0]) and \(quoted[1])" }
  return quoted.dropLast().joined(separator: ", ") + ", and " + (quoted.last ?? "")
}
private func missingArguments(_ title: String, _ names: [String], _ kind: String) -> LullError {
  .typeError(
    "\(title)() missing \(names.count) required \(kind) "
      + "argument\(names.count == 1 ? "" : "s"): \(listed(names))")
}
/// `named`: how many keyword-only parameters were given.
private func tooManyPositional(
  _ code: Code, _ title: String, _ given: Int, _ named: Int, _ defaults: Int
) -> LullError {
  let most = code.positionalCount
  let takes: String
  if defaults > 0 {
    takes = "from \(most - defaults) to \(most) positional arguments"
  } else {
    takes = "\(most) positional argument\(most == 1 ? "" : "s")"
  }
  if named > 0 {
    return .typeError(
      "\(title)() takes \(takes) but \(given) positional argument\(given == 1 ? "" : "s") "
        + "(and \(named) keyword-only argument\(named == 1 ? "" : "s")) were given")
  }
  return .typeError(
    "\(title)() takes \(takes) but \(given) \(given == 1 ? "was" : "were") given")
}
private func unexpectedKeyword(_ code: Code, _ title: String, _ name: String, _ given: [String])
  -> LullError
{
  let wrong = code.parameterNames.prefix(code.positionalOnly).map(\.string).filter(given.contains)
  if !wrong.isEmpty {
    return .typeError(
      "\(title)() got some positional-only arguments passed as keyword arguments: "
        + "'\(wrong.joined(separator: ", "))'")
  }
  let e = LullError.typeError("\(title)() got an unexpected keyword argument '\(name)'")
  let names = code.parameterNames[
    code.positionalOnly..<(code.positionalCount + code.keywordOnlyCount)
  ].map(\.string)
  if let near = nearestName(name, among: names) { e.notes.append("did you mean '\(near)'?") }
  return e
}

// MARK: - Pushing frames

/// Makes a frame for a Lull function whose bound arguments lie at `w`. Above them the stack holds no
/// heap value: whoever moves one away or ends a frame leaves its place undefined. So temporaries need
/// no clearing here, and only the other locals must be undefined.
@inline(__always) func pushFrame(
  _ f: FunctionPtr, _ w: UnsafeMutablePointer<Value>, bound: Int,
  calleeSlot: UnsafeMutablePointer<Value>? = nil, returnRegister: UInt16 = 0, flags: UInt8 = 0
) throws(LullError) -> UnsafeMutablePointer<Frame> {
  let m = vm
  let depth = m.pointee.depth &+ 1
  if _slowPath(depth > m.pointee.recursionLimit || w > m.pointee.stackLimit) {
    throw recursionError()
  }
  m.pointee.depth = depth
  let new = m.pointee.frameTop
  m.pointee.frameTop = new + 1
  let head = f.pointee.head
  if let caller = m.pointee.frame { caller.pointee.resume = m.pointee.resumeAny }
  new.pointee.previous = m.pointee.frame
  new.pointee.head = head
  new.pointee.ip = head.pointee.instructions
  new.pointee.constants = head.pointee.constants
  let count = head.pointee.registerCount
  let locals = head.pointee.localCount
  new.pointee.top = w + (count &+ windowSlack)
  var i = bound
  while i < locals {
    w[i].tag = .undefined
    i &+= 1
  }
  #if LULL_CHECKS
    for k in bound..<(count + windowSlack) where w[k].isHeap {
      fatalError(
        "a heap value above the arguments of \(f.pointee.codeOwner.qualname), register \(k)")
    }
  #endif
  new.pointee.regs = w
  new.pointee.globals = f.pointee.globals.dict
  new.pointee.cells = f.pointee.cells
  new.pointee.calleeSlot = calleeSlot
  new.pointee.namespace.tag = .undefined
  new.pointee.returnRegister = returnRegister
  new.pointee.flags = flags
  m.pointee.frame = new
  return new
}

/// Releases the registers of a frame.
@inline(__always) func clearRegisters(_ f: UnsafeMutablePointer<Frame>) {
  let regs = f.pointee.regs
  let n = f.pointee.registerCount
  var i = 0
  while i < n {
    if regs[i].isHeap {
      let v = regs[i]
      regs[i].tag = .undefined
      v.release()
    }
    i &+= 1
  }
}

private let generatorFrameSize = (MemoryLayout<Frame>.size + 15) & ~15
private func generatorBlockSize(_ registerCount: Int) -> Int {
  generatorFrameSize + (1 + registerCount + windowSlack) * 16
}

/// Moves bound arguments into a new generator object.
func makeGenerator(_ f: FunctionPtr, _ w: UnsafeMutablePointer<Value>, bound: Int) -> Value {
  let code = f.pointee.codeOwner
  let n = code.registerCount
  // One block: the frame, the function, the registers.
  let block = allocateStorage(generatorBlockSize(n))
  let frame = block.bindMemory(to: Frame.self, capacity: 1)
  let owner = (block + generatorFrameSize).bindMemory(to: Value.self, capacity: 1 + n + windowSlack)
  owner.initialize(to: Value(.function, f).retained())
  let regs = owner + 1
  for i in 0..<bound {
    regs[i] = w[i]
    w[i].tag = .undefined
  }
  (regs + bound).initialize(repeating: .undefined, count: n + windowSlack - bound)
  frame.initialize(
    to: Frame(
      previous: nil, head: code.head, ip: code.instructions, regs: regs,
      top: regs, constants: code.constants, globals: f.pointee.globals.dict,
      cells: f.pointee.cells, calleeSlot: owner, namespace: .undefined, initResult: .undefined,
      generator: nil, resume: nil, returnRegister: 0, flags: Frame.ofGenerator))
  let p = allocateObject(MemoryLayout<GeneratorBody>.size)
    .bindMemory(to: GeneratorBody.self, capacity: 1)
  p.initialize(
    to: GeneratorBody(
      h: Header(.generator), frame: frame, isRunning: false, isStarted: false,
      returned: .undefined, name: code.name, qualname: code.qualname))
  frame.pointee.generator = p
  return Value(.generator, p)
}

/// Frees the frame of a generator that has ended or is being dropped.
func freeGeneratorFrame(_ g: GeneratorPtr) {
  guard let f = g.pointee.frame else { return }
  g.pointee.frame = nil
  clearRegisters(f)
  let size = generatorBlockSize(f.pointee.registerCount)
  if let slot = f.pointee.calleeSlot { slot.pointee.release() }
  freeStorage(f, size)
}
func destroyGenerator(_ g: GeneratorPtr) {
  // A generator suspended in a try with a finally runs it when dropped, as CPython's close() does.
  if let f = g.pointee.frame, g.pointee.isStarted, !g.pointee.isRunning,
    !f.pointee.head.pointee.ranges.isEmpty
  {
    g.pointee.h.count = 2
    do throws(LullError) { try closeGenerator(g) } catch {}
    g.pointee.h.count = 0
  }
  freeGeneratorFrame(g)
  g.pointee.returned.release()
  g.deinitialize(count: 1)
}

// MARK: - Calls from native code

/// Calls anything callable. Arguments are borrowed; the result is owned.
func call(_ callee: Value, _ args: [Value]) throws(LullError) -> Value {
  let n = args.count
  return try withCallWindow(n) { (w) throws(LullError) in
    for i in 0..<n { w[i] = args[i].retained() }
    return try callConsuming(callee, w, n, nil, 0)
  }
}
@inline(__always) func call1(_ callee: Value, _ a: Value) throws(LullError) -> Value {
  try withCallWindow(1) { (w) throws(LullError) in
    w[0] = a.retained()
    return try callConsuming(callee, w, 1, nil, 0)
  }
}
@inline(__always) func call2(_ callee: Value, _ a: Value, _ b: Value) throws(LullError) -> Value {
  try withCallWindow(2) { (w) throws(LullError) in
    w[0] = a.retained()
    w[1] = b.retained()
    return try callConsuming(callee, w, 2, nil, 0)
  }
}
func call3(_ callee: Value, _ a: Value, _ b: Value, _ c: Value) throws(LullError) -> Value {
  try withCallWindow(3) { (w) throws(LullError) in
    w[0] = a.retained()
    w[1] = b.retained()
    w[2] = c.retained()
    return try callConsuming(callee, w, 3, nil, 0)
  }
}
func call(_ callee: Value, _ args: [Value], keywords: [(String, Value)]) throws(LullError) -> Value
{
  let n = args.count + keywords.count
  let names = makeTuple(keywords.map { interned($0.0) })
  defer { names.release() }
  return try withCallWindow(n) { (w) throws(LullError) in
    for i in 0..<args.count { w[i] = args[i].retained() }
    for (i, k) in keywords.enumerated() { w[args.count + i] = k.1.retained() }
    return try callConsuming(callee, w, n, names.tuple.items, keywords.count)
  }
}

/// A place for arguments above everything that the current frame uses. The arguments of nested
/// calls must not overlap, so the frame's top is moved up during the call.
@inline(__always) func withCallWindow(
  _ n: Int, _ body: (UnsafeMutablePointer<Value>) throws(LullError) -> Value
) throws(LullError) -> Value {
  let m = vm
  let frame = m.pointee.frame
  let w = (frame?.pointee.top ?? m.pointee.stackBase) + 1
  if w + n > m.pointee.stackLimit { throw recursionError() }
  if let frame {
    let old = frame.pointee.top
    frame.pointee.top = w + n + windowSlack
    defer { frame.pointee.top = old }
    return try body(w)
  }
  return try body(w)
}

/// Calls with owned arguments at `w` (consumed whatever happens), with `windowSlack` free places
/// after them.
func callConsuming(
  _ callee: Value, _ w: UnsafeMutablePointer<Value>, _ argc: Int,
  _ kwNames: UnsafeMutablePointer<Value>?, _ kwCount: Int
) throws(LullError) -> Value {
  switch callee.tag {
  case .function:
    let f = callee.function
    if kwCount == 0, f.pointee.head.pointee.exactCount == argc {
      return try callBound(callee, w, argc)
    }
    let code = f.pointee.codeOwner
    if !(code.isSimple && argc == code.positionalCount && kwCount == 0) {
      do throws(LullError) {
        try bindArguments(f, w, argc, kwNames, kwCount)
      } catch {
        releaseArguments(w, argc)
        throw error
      }
    }
    let bound = code.parameterCount
    if code.isGenerator { return makeGenerator(f, w, bound: bound) }
    return try callBound(callee, w, bound)
  case .builtin:
    defer { releaseArguments(w, argc) }
    let b = callee.body(BuiltinBody.self)
    if kwCount == 0 { return try b.pointee.head.call(w, argc) }
    return try b.pointee.builtin.callBinding(w, argc, kwNames, kwCount)
  case .boundMethod:
    let m = callee.method
    var i = argc
    while i > 0 {
      w[i] = w[i - 1]
      i -= 1
    }
    w[0] = m.pointee.receiver.retained()
    let f = m.pointee.function.retained()
    defer { f.release() }
    return try callConsuming(f, w, argc + 1, kwNames, kwCount)
  case .type:
    return try construct(callee.typeObject, w, argc, kwNames, kwCount)
  default:
    let f = callee.isUndefined ? Value.undefined : callee.type.lookup(.__call__)
    if !f.isUndefined, callee.tag == .instance || callee.tag == .derived || callee.tag == .exception
    {
      var i = argc
      while i > 0 {
        w[i] = w[i - 1]
        i -= 1
      }
      w[0] = callee.retained()
      f.retained()
      defer { f.release() }
      do throws(LullError) { try checkNativeStack() } catch {
        releaseArguments(w, argc + 1)
        throw error
      }
      return try callConsuming(f, w, argc + 1, kwNames, kwCount)
    }
    if callee.kind == .staticMethod {
      return try callConsuming(callee.wrapper.pointee.a, w, argc, kwNames, kwCount)
    }
    defer { releaseArguments(w, argc) }
    if callee.tag == .native || callee.kind == .native,
      let slot = callee.type.pointee.native?.call
    {
      var names: [String] = []
      if let kwNames { for i in 0..<kwCount { names.append(kwNames[i].string) } }
      return try slot(
        callee, UnsafeBufferPointer(start: w, count: argc - kwCount),
        zip(names, (argc - kwCount)..<argc).map { ($0, w[$1]) })
    }
    let e = LullError.typeError("'\(typeName(callee))' object is not callable")
    if callee.type.pointee.native?.getItem != nil
      || [.list, .tuple, .dict, .str].contains(callee.kind)
    {
      e.notes.append("to index it, write [ ] in place of ( )")
    }
    throw e
  }
}

/// A function whose arguments at `w` are bound.
@inline(never) private func callBound(
  _ callee: Value, _ w: UnsafeMutablePointer<Value>, _ bound: Int
) throws(LullError) -> Value {
  callee.retained()
  defer { callee.release() }
  let frame: UnsafeMutablePointer<Frame>
  do throws(LullError) {
    try checkNativeStack()
    // Native loops (`in`, sum, a sort's comparisons) are interrupted by the calls they make.
    if vm.pointee.interruptFlag != 0 { try interrupted() }
    frame = try pushFrame(callee.function, w, bound: bound, flags: Frame.fromNative)
  } catch {
    releaseArguments(w, bound)
    throw error
  }
  return try execute(frame)
}

/// Makes an instance: `T(...)`. Consumes the arguments at `w`.
func construct(
  _ t: TypePtr, _ w: UnsafeMutablePointer<Value>, _ argc: Int,
  _ kwNames: UnsafeMutablePointer<Value>?, _ kwCount: Int
) throws(LullError) -> Value {
  if !t.pointee.isUserDefined, !t.pointee.isException {
    defer { releaseArguments(w, argc) }
    if t == typeTable[Int(Tag.type.rawValue)], argc == 1, kwCount == 0 {
      return Value(w[0].type).retained()
    }
    guard let c = t.pointee.constructor else {
      throw LullError.typeError("cannot create '\(t.pointee.name)' instances")
    }
    if kwCount == 0 { return try c.call(w, argc) }
    return try c.callBinding(w, argc, kwNames, kwCount)
  }
  // __new__
  let new = t.lookup(.__new__)
  var object: Value
  let initFunction = t.lookup(.__init__)
  do throws(LullError) {
    if !new.isUndefined, t.pointee.isUserDefined,
      new.tag == .function || new.tag == .staticMethod
    {
      let f = new.tag == .staticMethod ? new.wrapper.pointee.a : new
      object = try withCallWindow(argc + 1) { (v) throws(LullError) in
        v[0] = Value(t).retained()
        for i in 0..<argc { v[i + 1] = w[i].retained() }
        return try callConsuming(f, v, argc + 1, kwNames, kwCount)
      }
      if !object.type.isSubtype(of: t) {
        releaseArguments(w, argc)
        return object
      }
    } else {
      object = try allocateInstance(t, w, argc, kwNames, kwCount)
    }
  } catch {
    releaseArguments(w, argc)
    throw error
  }
  if initFunction.tag == .function || (!initFunction.isUndefined && t.pointee.isUserDefined) {
    let result: Value
    do throws(LullError) {
      result = try withCallWindow(argc + 1) { (v) throws(LullError) in
        v[0] = object.retained()
        for i in 0..<argc {
          v[i + 1] = w[i]
          w[i].tag = .undefined
        }
        return try callConsuming(initFunction, v, argc + 1, kwNames, kwCount)
      }
    } catch {
      object.release()
      throw error
    }
    if !result.isNone {
      let n = typeName(result)
      result.release()
      object.release()
      throw LullError.typeError("__init__() should return None, not '\(n)'")
    }
  } else {
    if object.tag == .instance, argc > 0, new.isUndefined {
      releaseArguments(w, argc)
      object.release()
      throw LullError.typeError("\(t.pointee.name)() takes no arguments")
    }
    releaseArguments(w, argc)
  }
  return object
}

/// The object before `__init__`: empty for plain classes; a builtin layout is filled from the
/// arguments by the builtin's constructor when the class has no `__init__` of its own or is
/// immutable. Borrows the arguments.
func allocateInstance(
  _ t: TypePtr, _ w: UnsafeMutablePointer<Value>, _ argc: Int,
  _ kwNames: UnsafeMutablePointer<Value>?, _ kwCount: Int
) throws(LullError) -> Value {
  if t.pointee.isException {
    let args = makeTuple(uninitialized: argc - kwCount)
    for i in 0..<(argc - kwCount) { args.tuple.items[i] = w[i].retained() }
    if kwCount > 0, t.isSubtype(of: exceptionType("ImportError")), let kwNames,
      (0..<kwCount).allSatisfy({ ["name", "path"].contains(kwNames[$0].string) })
    {
      let e = makeException(t, args: args)
      let d = makeDict()
      for k in 0..<kwCount { d.dict.set(kwNames[k], w[argc - kwCount + k].retained()) }
      e.exceptionBody.pointee.dict = d
      return e
    }
    if kwCount > 0, t.lookup(.__init__).isUndefined {
      args.release()
      throw LullError.typeError("\(t.pointee.name)() takes no keyword arguments")
    }
    if t.isSubtype(of: core.pointee.osError) { return makeOSError(t, args) }
    return makeException(t, args: args)
  }
  if t.pointee.kind == .instance { return makeInstance(t) }
  let base = t.builtinBase
  let ownInit = t.lookup(.__init__).tag == .function
  let mutable =
    t.pointee.kind == .list || t.pointee.kind == .dict
    || (t.pointee.kind == .set && base != core.pointee.frozensetType)
    || t.pointee.kind == .native
  let plain: Value
  guard let c = base.pointee.constructor else {
    throw LullError.typeError("type '\(base.pointee.name)' is not an acceptable base type")
  }
  if mutable && ownInit && t.pointee.kind != .native {
    plain = try c.callBinding(w, 0, nil, 0)
  } else if t.pointee.kind == .native, ownInit {
    plain = base.pointee.native?.makeEmpty?() ?? .undefined
    if plain.isUndefined {
      throw LullError.typeError("type '\(base.pointee.name)' is not an acceptable base type")
    }
  } else {
    plain = try c.callBinding(w, argc, kwNames, kwCount)
  }
  return try derive(plain, t)
}

/// Turns a plain builtin value (consumed) into an instance of a subclass.
func derive(_ plain: Value, _ t: TypePtr) throws(LullError) -> Value {
  defer { plain.release() }
  func shell<B>(_ size: Int, _: B.Type) -> UnsafeMutablePointer<B> {
    let aligned = (size + 15) & ~15
    let p = allocateObject(aligned + 16)
    (p + aligned).storeBytes(of: Value.undefined, as: Value.self)
    t.pointee.h.count &+= 1
    return p.bindMemory(to: B.self, capacity: 1)
  }
  let flags = Header.flagTrailingDict
  switch plain.kind {
  case .list:
    let p = shell(MemoryLayout<ListBody>.size, ListBody.self)
    let items = plain.list.array
    p.initialize(
      to: ListBody(
        h: Header(.list, t, flags: flags),
        items: UnsafeMutablePointer(bitPattern: 16).unsafelyUnwrapped, count: 0, capacity: 0))
    for v in items { p.append(v.retained()) }
    return Value(.derived, p)
  case .dict:
    let p = shell(MemoryLayout<DictBody>.size, DictBody.self)
    let copy = plain.dict.copy()
    p.initialize(to: copy.dict.pointee)
    p.pointee.h = Header(.dict, t, flags: flags)
    copy.dict.pointee.mask = -1
    copy.release()
    return Value(.derived, p)
  case .set:
    let p = shell(MemoryLayout<SetBody>.size, SetBody.self)
    let copy = plain.set.copy(frozen: plain.set.isFrozen)
    p.initialize(to: copy.set.pointee)
    p.pointee.h = Header(.set, t, flags: flags | (plain.set.isFrozen ? Header.flagFrozen : 0))
    let empty = makeSet()
    copy.set.pointee.table = empty.set.pointee.table
    copy.set.pointee.mask = empty.set.pointee.mask
    freeObject(empty.raw, MemoryLayout<SetBody>.size)
    copy.release()
    return Value(.derived, p)
  case .tuple:
    let n = plain.tuple.pointee.count
    let p = shell(TupleBody.headSize + n * 16, TupleBody.self)
    p.initialize(to: TupleBody(h: Header(.tuple, t, flags: flags), count: n, hash: 0))
    for i in 0..<n { p.items[i] = plain.tuple.items[i].retained() }
    return Value(.derived, p)
  case .str:
    let n = plain.str.pointee.byteCount
    let p = shell(StrBody.headSize + n, StrBody.self)
    p.initialize(
      to: StrBody(
        h: Header(.str, t, flags: flags | (plain.str.pointee.h.flags & Header.flagASCII)),
        hash: 0, byteCount: n, count: plain.str.pointee.count, capacity: n))
    memcpy(p.bytes, plain.str.bytes, n)
    return Value(.derived, p)
  case .int, .bool, .bigInt:
    let p = shell(MemoryLayout<BigIntBody>.size, BigIntBody.self)
    p.initialize(
      to: BigIntBody(h: Header(.bigInt, t, flags: flags), value: plain.integer ?? 0))
    return Value(.derived, p)
  case .float:
    let p = shell(MemoryLayout<ComplexBody>.size, ComplexBody.self)
    p.initialize(
      to: ComplexBody(h: Header(.float, t, flags: flags), re: try doubleOf(plain), im: 0))
    return Value(.derived, p)
  case .bytes:
    let p = shell(MemoryLayout<BytesBody>.size, BytesBody.self)
    p.initialize(to: BytesBody(h: Header(.bytes, t, flags: flags), value: plain.bytes))
    return Value(.derived, p)
  case .native:
    let p = shell(MemoryLayout<NativeBody>.size, NativeBody.self)
    p.initialize(
      to: NativeBody(
        h: Header(.native, t, flags: flags), object: plain.body(NativeBody.self).pointee.object,
        dict: .undefined))
    return Value(.derived, p)
  default:
    throw LullError.typeError("type '\(typeName(plain))' is not an acceptable base type")
  }
}
