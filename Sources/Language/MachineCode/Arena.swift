// Where translated functions lie, how they are entered, and the pieces of code that they share.
//
// Registers of machine code: rbx the frame's registers, r12 the frame, r13 the machine, r14 the code's instructions,
// r15 its constants; all five survive calls of C. Values lie in the frame's registers whenever another instruction
// begins, so the interpreter and the machine code can take over from each other at each of them, and errors, generators
// and the collector need to know nothing of it.
import Glibc
import Kernels

/// What a step of machine code that calls out comes back with.
enum Step {
  /// The next instruction.
  static let next = 0
  /// The instruction's target, in the same frame.
  static let jump = 1
  /// `pendingError` is to be raised.
  static let error = 2
  /// The machine's `result` is the value of the entry frame.
  static let value = 3
  /// The machine's frame goes on at its `ip`.
  static let elsewhere = 4
  /// In the frame that was just pushed.
  static let pushed = 5
  /// The instruction after the target, which this one did too.
  static let afterJump = 6
}

@exclusivity(unchecked) nonisolated(unsafe) var pendingError: LullError? = nil

typealias Helper = @convention(c) (UnsafeMutableRawPointer, UnsafeMutableRawPointer) -> Int

struct CodeArena {
  let writable: UnsafeMutablePointer<UInt8>
  let executable: UnsafeMutablePointer<UInt8>
  var used = 0
  static let capacity = 64 << 20

  // Offsets of the shared pieces.
  var enter = 0
  var dispatch = 0
  var interpret = 0
  /// rax a `Step` above `jump`.
  var leave = 0
  /// rdi the address of a register that holds a heap value: releases it. Keeps rax, rdx and rdi.
  var release = 0
  /// rax, rdx the result: ends the frame r12 and goes on in its caller.
  var finish = 0
  /// The same for a frame that native code called: leaves machine code with the value.
  var finishNative = 0
  /// A called function without machine code: r12 its frame, rdi its head, rcx its arguments.
  var begin = 0
  var findInDict = 0
  var findInSet = 0
  /// Into a frame that the interpreter's functions pushed.
  var pushed = 0

  /// Nil where there is no memory for code.
  static func make() -> CodeArena? {
    var w: UnsafeMutablePointer<UInt8>?
    var x: UnsafeMutablePointer<UInt8>?
    guard lull_map_code(capacity, &w, &x) != 0, let w, let x else { return nil }
    var arena = CodeArena(writable: w, executable: x)
    arena.writeShared()
    return arena
  }

  private mutating func writeShared() {
    var s = Assembler(writable, capacity: 4096)
    let saved: [R] = [.rbx, .rbp, .r12, .r13, .r14, .r15]
    let exit = s.label()
    let toDispatch = s.label()
    let toRelease = s.label()

    enter = s.count
    for r in saved { s.push(r) }
    s.alu(.sub, .rsp, 8)
    s.move(.r13, .rdi)
    s.place(toDispatch)
    dispatch = s.count
    s.load(.r12, Memory(.r13, Offsets.machineFrame))
    s.load(.rax, Memory(.r12, Offsets.frameHead))
    s.load(.rcx, Memory(.rax, Offsets.headTable))
    let translated = s.label()
    s.test(.rcx, .rcx)
    s.jump(.notEqual, translated)
    interpret = s.count
    s.move(.rax, 1)
    s.jump(exit)
    s.place(translated)
    s.load(.rbx, Memory(.r12, Offsets.frameRegs))
    s.load(.r14, Memory(.rax, Offsets.headInstructions))
    s.load(.r15, Memory(.r12, Offsets.frameConstants))
    s.load(.rdx, Memory(.r12, Offsets.frameIP))
    s.alu(.sub, .rdx, .r14)
    s.shiftRight(.rdx, 1)
    s.alu(.add, .rcx, .rdx)
    s.jump(Memory(.rcx, 0))

    leave = s.count
    s.alu(.cmp, .rax, Int32(Step.elsewhere))
    s.jump(.equal, toDispatch)
    s.place(exit)
    s.alu(.add, .rsp, 8)
    for r in saved.reversed() { s.pop(r) }
    s.return()

    release = s.count
    s.place(toRelease)
    let last = s.label()
    s.load(.rsi, Memory(.rdi, 0))
    s.store(Memory(.rdi, 8), 0)
    s.decrement4(Memory(.rsi, 0))
    s.jump(.equal, last)
    s.return()
    s.place(last)
    for r in [R.rax, .rdx, .rdi] { s.push(r) }
    s.move(.rdi, .rsi)
    callC(&s, destroyHelper)
    for r in [R.rdi, .rdx, .rax] { s.pop(r) }
    s.return()

    finish = s.count
    let unused = s.label()
    s.load(.rcx, Memory(.r12, Offsets.framePrevious))
    s.store(Memory(.r13, Offsets.machineFrame), .rcx)
    s.store(Memory(.r13, Offsets.machineFrameTop), .r12)
    s.decrement(Memory(.r13, Offsets.machineDepth))
    s.load2(.r9, Memory(.r12, Offsets.frameReturnRegister))
    s.load(.rdi, Memory(.r12, Offsets.frameCalleeSlot))
    s.move(.r12, .rcx)
    s.load(.rbx, Memory(.rcx, Offsets.frameRegs))
    s.load(.rsi, Memory(.rdi, 0))
    s.store(Memory(.rdi, 8), 0)
    s.decrement4(Memory(.rsi, 0))
    s.jump(.equal, unused)
    s.jump(Memory(.r12, Offsets.frameResume))
    s.place(unused)
    for r in [R.rax, .rdx, .r9, .r9] { s.push(r) }
    s.move(.rdi, .rsi)
    callC(&s, destroyHelper)
    for r in [R.r9, .r9, .rdx, .rax] { s.pop(r) }
    s.jump(Memory(.r12, Offsets.frameResume))

    finishNative = s.count
    s.load(.rcx, Memory(.r12, Offsets.framePrevious))
    s.store(Memory(.r13, Offsets.machineFrame), .rcx)
    s.store(Memory(.r13, Offsets.machineFrameTop), .r12)
    s.decrement(Memory(.r13, Offsets.machineDepth))
    s.store(Memory(.r13, Offsets.machineResult), .rax)
    s.store(Memory(.r13, Offsets.machineResult + 8), .rdx)
    s.move(.rax, UInt64(Step.value))
    s.jump(exit)

    // A result for a frame whose call was not made by machine code.
    let resume = s.count
    let plain = s.label()
    s.move(.rdi, .r9)
    s.shiftLeft(.rdi, 4)
    s.alu(.add, .rdi, .rbx)
    s.compare1(Memory(.rdi, 8), Tag.firstHeap)
    s.jump(.below, plain)
    s.call(toRelease)
    s.place(plain)
    s.store(Memory(.rdi, 0), .rax)
    s.store(Memory(.rdi, 8), .rdx)
    s.jump(toDispatch)

    begin = s.count
    let toCount = s.label()
    let clear = s.label()
    let cleared = s.label()
    let hot = s.label()
    s.load(.rdx, Memory(.rdi, Offsets.headLocalCount))
    s.place(clear)
    s.alu(.cmp, .rcx, .rdx)
    s.jump(.greaterEqual, cleared)
    s.move(.rsi, .rcx)
    s.shiftLeft(.rsi, 4)
    s.alu(.add, .rsi, .rbx)
    s.store(Memory(.rsi, 8), 0)
    s.alu(.add, .rcx, 1)
    s.jump(clear)
    s.place(cleared)
    s.load(.rax, Memory(.rdi, Offsets.headInstructions))
    s.store(Memory(.r12, Offsets.frameIP), .rax)
    s.place(toCount)
    s.decrement4(Memory(.rdi, Offsets.headHeat))
    s.jump(.negative, hot)
    s.move(.rax, 1)
    s.jump(exit)
    s.place(hot)
    s.move(.rdi, .r12)
    s.move(.rsi, .r12)
    callC(&s, becomeHelper)
    s.jump(toDispatch)

    pushed = s.count
    s.load(.r12, Memory(.r13, Offsets.machineFrame))
    s.load(.rdi, Memory(.r12, Offsets.frameHead))
    s.load(.rax, Memory(.rdi, Offsets.headTable))
    s.test(.rax, .rax)
    s.jump(.notEqual, toDispatch)
    s.jump(toCount)

    // What a generator yielded, rax and rdx, for a `for` that is not in machine code: its frame is r12.
    let resumeFor = s.count
    let free = s.label()
    s.load(.rcx, Memory(.r12, Offsets.frameIP))
    s.load2(.rdi, Memory(.rcx, Offsets.instructionA - MemoryLayout<Instruction>.stride))
    s.shiftLeft(.rdi, 4)
    s.alu(.add, .rdi, .rbx)
    s.compare1(Memory(.rdi, 8), Tag.firstHeap)
    s.jump(.below, free)
    s.call(toRelease)
    s.place(free)
    s.store(Memory(.rdi, 0), .rax)
    s.store(Memory(.rdi, 8), .rdx)
    s.load(.rcx, Memory(.r12, Offsets.frameIP))
    s.load4Signed(.rax, Memory(.rcx, Offsets.instructionX - MemoryLayout<Instruction>.stride))
    s.shiftLeft(.rax, 4)
    s.alu(.add, .rcx, .rax)
    s.store(Memory(.r12, Offsets.frameIP), .rcx)
    s.jump(toDispatch)

    writeLookups(&s)
    _ = s.finish()
    used = (s.count + 63) & ~63
    vm.pointee.resumeAny = UnsafeRawPointer(executable + resume)
    vm.pointee.enter = unsafeBitCast(
      UnsafeRawPointer(executable + enter),
      to: (@convention(c) (UnsafeMutableRawPointer) -> Int).self)
    vm.pointee.resumeFor = UnsafeRawPointer(executable + resumeFor)
    // The frames that wait for a call at this moment.
    for innermost in [vm.pointee.frame] + Threads.waitingFrames {
      var frame = innermost
      while let f = frame, let caller = f.pointee.previous {
        let isFor = f.pointee.flags == Frame.ofGenerator | Frame.inFor
        caller.pointee.resume = isFor ? vm.pointee.resumeFor : vm.pointee.resumeAny
        frame = caller
      }
    }
  }
}

func callC(_ s: inout Assembler, _ f: Helper) {
  s.move(.rax, UInt64(UInt(bitPattern: unsafeBitCast(f, to: UnsafeRawPointer.self))))
  s.call(.rax)
}

let destroyHelper: Helper = { h, _ in
  destroy(h.assumingMemoryBound(to: Header.self))
  return 0
}
private let becomeHelper: Helper = { f, _ in
  _ = becomesMachineCode(f.assumingMemoryBound(to: Frame.self))
  return 0
}

/// Where the fields lie that machine code reads and writes.
enum Offsets {
  private static func of<T>(_ key: PartialKeyPath<T>) -> Int {
    guard let n = MemoryLayout<T>.offset(of: key) else {
      fatalError("a stored property has no place")
    }
    return n
  }
  static let machineFrame = of(\Machine.frame)
  static let machineFrameTop = of(\Machine.frameTop)
  static let machineStackLimit = of(\Machine.stackLimit)
  static let machineDepth = of(\Machine.depth)
  static let machineRecursionLimit = of(\Machine.recursionLimit)
  static let machineResult = of(\Machine.result)
  static let machineFlag = of(\Machine.interruptFlag)
  static let framePrevious = of(\Frame.previous)
  static let frameHead = of(\Frame.head)
  static let frameIP = of(\Frame.ip)
  static let frameRegs = of(\Frame.regs)
  static let frameTop = of(\Frame.top)
  static let frameConstants = of(\Frame.constants)
  static let frameGlobals = of(\Frame.globals)
  static let frameCells = of(\Frame.cells)
  static let frameCalleeSlot = of(\Frame.calleeSlot)
  static let frameNamespace = of(\Frame.namespace)
  static let frameResume = of(\Frame.resume)
  static let frameReturnRegister = of(\Frame.returnRegister)
  static let frameFlags = of(\Frame.flags)
  static let frameInitResult = of(\Frame.initResult)
  static let frameGenerator = of(\Frame.generator)
  static let generatorFrame = of(\GeneratorBody.frame)
  static let generatorIsRunning = of(\GeneratorBody.isRunning)
  static let generatorIsStarted = of(\GeneratorBody.isStarted)
  static let headInstructions = of(\CodeHead.instructions)
  static let headConstants = of(\CodeHead.constants)
  static let headExactCount = of(\CodeHead.exactCount)
  static let headLocalCount = of(\CodeHead.localCount)
  static let headWindow = of(\CodeHead.windowBytes)
  static let headHeat = of(\CodeHead.heat)
  static let headEntry = of(\CodeHead.entry)
  static let headTable = of(\CodeHead.table)
  static let functionHead = of(\FunctionBody.head)
  static let functionGlobals = of(\FunctionBody.globals)
  static let functionCells = of(\FunctionBody.cells)
  static let typeOfHeader = of(\Header.type)
  static let typeVersion = of(\TypeBody.version)
  static let instanceShape = of(\InstanceBody.shape)
  static let instanceSlots = of(\InstanceBody.slots)
  static let shapeID = of(\ShapeBody.id)
  static let listItems = of(\ListBody.items)
  static let listCount = of(\ListBody.count)
  static let listCapacity = of(\ListBody.capacity)
  static let tupleCount = of(\TupleBody.count)
  static let cellValue = of(\CellBody.value)
  static let strHash = of(\StrBody.hash)
  static let strCount = of(\StrBody.count)
  static let dictMask = of(\DictBody.mask)
  static let dictCount = of(\DictBody.count)
  static let dictIndices = of(\DictBody.indices)
  static let setTable = of(\SetBody.table)
  static let setMask = of(\SetBody.mask)
  static let setCount = of(\SetBody.count)
  static let dictEntries = of(\DictBody.entries)
  static let dictUsed = of(\DictBody.used)
  static let dictVersion = of(\DictBody.keysVersion)
  static let iteratorKind = of(\IteratorBody.kind)
  static let iteratorIndex = of(\IteratorBody.index)
  static let iteratorLimit = of(\IteratorBody.limit)
  static let iteratorCurrent = of(\IteratorBody.current)
  static let iteratorStep = of(\IteratorBody.step)
  static let iteratorA = of(\IteratorBody.a)
  static let instructionOp = of(\Instruction.op)
  static let instructionA = of(\Instruction.a)
  static let instructionX = of(\Instruction.x)
  static let instructionY = of(\Instruction.y)
}

// MARK: - The arena of the process

@exclusivity(unchecked) nonisolated(unsafe) private var arena: CodeArena? = nil
@exclusivity(unchecked) nonisolated(unsafe) private var isTried = false
/// The pieces that were freed, by size: a new one takes the place of one that is large enough.
@exclusivity(unchecked) nonisolated(unsafe) private var pieces:
  [UnsafeRawPointer: (offset: Int, size: Int)] = [:]
@exclusivity(unchecked) nonisolated(unsafe) private var freed: [(offset: Int, size: Int)] = []

/// Calls and turns of loops after which code is translated; LULL_HEAT in the environment sets it for tests.
let heatOfCode: Int32 =
  getenv("LULL_HEAT").flatMap { Int32(String(cString: $0)) }.map { max($0, 0) } ?? 100

/// Whether the frame's code has machine code; translates it on the way. Asked when its heat is used up.
@inline(never) func becomesMachineCode(_ frame: FramePtr) -> Bool {
  let head = frame.pointee.head
  if head.pointee.table != nil { return true }
  if !isTried {
    isTried = true
    arena = CodeArena.make()
  }
  head.pointee.heat = .max
  guard var a = arena else { return false }
  let code = head.pointee.code.takeUnretainedValue()
  var place = (offset: a.used, size: CodeArena.capacity - a.used)
  // Code of moderate size takes about 120 bytes an instruction.
  let wanted = 200 * code.count + 512
  if let k = freed.firstIndex(where: { $0.size >= wanted }) { place = freed.remove(at: k) }
  let table = UnsafeMutablePointer<UnsafeRawPointer>.allocate(capacity: max(code.count, 1))
  guard let (size, entry) = translate(code, frame, a, place.offset, place.size, table) else {
    table.deallocate()
    if place.offset != a.used { freed.append(place) }
    return false
  }
  if place.offset == a.used {
    place.size = (size + 63) & ~63
    a.used += place.size
    arena = a
  }
  pieces[UnsafeRawPointer(table)] = place
  head.pointee.entry = entry
  head.pointee.table = table
  // Stays below zero: the interpreter looks here to find out that it should leave.
  head.pointee.heat = -1
  return true
}

/// Gives the room of a code's translation back.
func forgetMachineCode(_ head: UnsafeMutablePointer<CodeHead>) {
  guard let table = head.pointee.table else { return }
  if let piece = pieces.removeValue(forKey: UnsafeRawPointer(table)) { freed.append(piece) }
  table.deallocate()
}

/// Runs the machine's frame, which has machine code, until its entry frame ends, or a frame without machine code is to go
/// on: then the value has the tag `unusedRow`.
@inline(__always) func runMachineCode() throws(LullError) -> Value {
  let m = vm
  guard let enter = m.pointee.enter else { return Value(tag: .unusedRow, bits: 0) }
  let step = enter(UnsafeMutableRawPointer(m))
  if _fastPath(step == Step.value) { return m.pointee.result }
  if step == Step.error, let e = pendingError {
    pendingError = nil
    throw e
  }
  return Value(tag: .unusedRow, bits: 0)
}
