// From bytecode to x86-64 machine code, one instruction after the other.
//
// The usual case of an instruction (ints, floats, lists, cached names and attributes, calls of functions with exactly
// their parameters) is code in line; every other case calls the interpreter's own function (Helpers.swift). No type is
// assumed and nothing is ever thrown away: inline caches are read where the interpreter keeps them. What is won is the
// decoding of operands and the dispatch, and that the checks which an instruction's operands decide are made once.
import Glibc

/// Translates a code for `place` of the arena; fills the table of where its instructions begin. The frame is one that
/// runs it: what its registers hold says which types to try first. Nil when there is no room or no sense.
func translate(
  _ code: Code, _ frame: FramePtr, _ arena: CodeArena, _ offset: Int, _ size: Int,
  _ table: UnsafeMutablePointer<UnsafeRawPointer>
) -> (size: Int, entry: UnsafeRawPointer)? {
  if code.count > 20_000 { return nil }
  var t = Translator(code, frame, arena, offset, size)
  let entry = t.s.label()
  t.s.place(entry)
  t.prologue()
  for k in 0..<code.count { t.instruction(k) }
  t.finishLater()
  guard t.s.finish() else { return nil }
  let base = UnsafeRawPointer(arena.executable + offset)
  for k in 0..<code.count { table[k] = base + t.s.offset(of: t.labels[k]) }
  code.head.pointee.entry = base + t.s.offset(of: entry)
  return (t.s.count, base + t.s.offset(of: entry))
}

struct Translator {
  let code: Code
  let arena: CodeArena
  let offset: Int
  var s: Assembler
  /// Where each instruction begins.
  var labels: [CodeLabel] = []
  /// What is written behind the straight code.
  private var later: [(inout Translator) -> Void] = []
  /// What a register is likely to hold.
  var likely: [Tag]
  let localCount: Int

  init(_ code: Code, _ frame: FramePtr, _ arena: CodeArena, _ offset: Int, _ size: Int) {
    self.code = code
    self.arena = arena
    self.offset = offset
    s = Assembler(arena.writable + offset, capacity: size)
    localCount = code.localCount
    likely = (0..<code.registerCount).map { frame.pointee.regs[$0].tag }
    labels.reserveCapacity(code.count + 1)
    for _ in 0...code.count { labels.append(s.label()) }
  }

  // MARK: Pieces

  func slot(_ r: UInt16) -> Memory { Memory(.rbx, Int(r) * 16) }
  func word(_ r: UInt16) -> Memory { Memory(.rbx, Int(r) * 16 + 8) }
  func field(_ k: Int, _ offset: Int) -> Memory { Memory(.r14, k * 16 + offset) }
  func likely(_ r: UInt16, is t: Tag) -> Bool { Int(r) < likely.count && likely[Int(r)] == t }
  mutating func expect(_ r: UInt16, _ t: Tag) { if Int(r) < likely.count { likely[Int(r)] = t } }
  /// Code that is not on the usual way.
  mutating func outOfLine(_ write: @escaping (inout Translator) -> Void) { later.append(write) }
  mutating func finishLater() {
    var n = 0
    while n < later.count {
      later[n](&self)
      n += 1
    }
    s.place(labels[code.count])
  }
  mutating func outside(_ c: Condition, _ piece: Int) { s.jump(c, outside: piece - offset) }

  mutating func prologue() {
    s.move(.r14, UInt64(UInt(bitPattern: code.instructions)))
    s.move(.r15, UInt64(UInt(bitPattern: code.constants)))
    let first = code.positionalCount
    if localCount - first <= 12 {
      for r in first..<max(first, localCount) { s.store(word(UInt16(r)), 0) }
    } else {
      let again = s.label()
      s.address(.rax, word(UInt16(first)))
      s.move(.rcx, UInt64(localCount - first))
      s.place(again)
      s.store(Memory(.rax, 0), 0)
      s.alu(.add, .rax, 16)
      s.alu(.sub, .rcx, 1)
      s.jump(.notEqual, again)
    }
  }
  /// Calls an instruction's function; rax its step.
  mutating func callHelper(_ k: Int, _ f: Helper) {
    s.move(.rdi, .r12)
    s.address(.rsi, field(k, 0))
    callC(&s, f)
  }
  /// The whole instruction by its function, then the next.
  mutating func byHelper(_ k: Int) {
    callHelper(k, helper(code.instructions[k].op))
    s.test(.rax, .rax)
    outside(.notEqual, arena.leave)
  }
  /// The same for an instruction that may jump.
  mutating func jumpByHelper(_ k: Int, _ next: CodeLabel, _ target: CodeLabel) {
    callHelper(k, helper(code.instructions[k].op))
    s.alu(.cmp, .rax, Int32(Step.jump))
    s.jump(.equal, target)
    outside(.above, arena.leave)
    s.jump(next)
  }
  /// A label out of line at which the instruction's function does it, back to `done`.
  mutating func slow(_ k: Int, _ done: CodeLabel) -> CodeLabel {
    let l = s.label()
    outOfLine { t in
      t.s.place(l)
      t.byHelper(k)
      t.s.jump(done)
    }
    return l
  }
  /// Releases a register that holds a heap value. Keeps rax and rdx.
  mutating func release(_ r: UInt16) {
    let held = s.label()
    let back = s.label()
    s.compare1(word(r), Tag.firstHeap)
    s.jump(.aboveEqual, held)
    s.place(back)
    outOfLine { t in
      t.s.place(held)
      t.s.address(.rdi, t.slot(r))
      t.s.call(outside: t.arena.release - t.offset)
      t.s.jump(back)
    }
  }
  /// Register `r` = rax with a tag.
  mutating func setRax(_ r: UInt16, _ tag: Tag) {
    release(r)
    s.store(slot(r), .rax)
    s.store(word(r), Int32(tag.rawValue))
    expect(r, tag)
  }
  /// Register `r` = rax, rdx.
  mutating func setValue(_ r: UInt16) {
    release(r)
    s.store(slot(r), .rax)
    s.store(word(r), .rdx)
  }
  /// Takes a reference to the value rax, rdx.
  mutating func retain() {
    let plain = s.label()
    s.alu(.cmp, .rdx, Int32(Tag.firstHeap))
    s.jump(.below, plain)
    s.increment4(Memory(.rax, 0))
    s.place(plain)
  }
  mutating func setDouble(_ r: UInt16) {
    release(r)
    s.storeDouble(slot(r), 0)
    s.store(word(r), Int32(Tag.float.rawValue))
    expect(r, .float)
  }
  /// Lets the machine's flag be looked after, when it is set.
  mutating func checkFlag(_ k: Int) {
    let raised = s.label()
    let back = s.label()
    s.alu4(.cmp, Memory(.r13, Offsets.machineFlag), 0)
    s.jump(.notEqual, raised)
    s.place(back)
    outOfLine { t in
      t.s.place(raised)
      t.callHelper(k, interruptHelper)
      t.s.test(.rax, .rax)
      t.outside(.notEqual, t.arena.leave)
      t.s.jump(back)
    }
  }
  func target(_ k: Int) -> CodeLabel {
    let n = k + 1 + Int(code.instructions[k].x)
    return labels[min(max(n, 0), code.count)]
  }
  /// Jumps to the instruction's target if `c`.
  mutating func jumpTarget(_ k: Int, _ c: Condition) {
    if code.instructions[k].x >= 0 {
      s.jump(c, target(k))
      return
    }
    let taken = s.label()
    s.jump(c, taken)
    outOfLine { t in
      t.s.place(taken)
      t.checkFlag(k)
      t.s.jump(t.target(k))
    }
  }

  // MARK: Instructions

  mutating func instruction(_ k: Int) {
    let i = code.instructions[k]
    s.place(labels[k])
    switch i.op {
    case .loadConst: constant(i)
    case .loadInt:
      release(i.a)
      s.store(slot(i.a), i.x)
      s.store(word(i.a), Int32(Tag.int.rawValue))
      expect(i.a, .int)
    case .move: move(k, i)
    case .clear:
      release(i.a)
      s.store(word(i.a), 0)
    case .checkLocal:
      s.compare1(word(i.a), 0)
      s.jump(.equal, slow(k, labels[k + 1]))
    case .loadGlobal, .loadGlobalCached, .loadBuiltinCached: global(k, i)
    case .storeGlobal: storeGlobal(k, i)
    case .loadCell, .loadFree: loadCell(k, i)
    case .storeCell, .storeFree: storeCell(k, i)
    case .add, .inplaceAdd, .subtract, .inplaceSubtract, .multiply, .inplaceMultiply:
      arithmetic(k, i)
    case .addImm, .inplaceAddImm, .subtractImm, .inplaceSubtractImm, .multiplyImm: immediate(k, i)
    case .divide: divide(k, i)
    case .floorDivide, .modulo: floored(k, i, immediate: false)
    case .floorDivideImm, .moduloImm: floored(k, i, immediate: true)
    case .bitAnd, .bitOr, .bitXor: bits(k, i)
    case .leftShift, .rightShift: shift(k, i)
    case .negate: negate(k, i)
    case .not: not(k, i)
    case .equal, .notEqual, .less, .lessEqual, .greater, .greaterEqual: compare(k, i)
    case .jumpEqual, .jumpNotEqual, .jumpLess, .jumpLessEqual, .jumpGreater, .jumpGreaterEqual:
      compareJump(k, i, immediate: false)
    case .jumpEqualImm, .jumpNotEqualImm, .jumpLessImm, .jumpLessEqualImm, .jumpGreaterImm,
      .jumpGreaterEqualImm:
      compareJump(k, i, immediate: true)
    case .isSame, .isNotSame: isSame(k, i)
    case .jumpIs, .jumpIsNot: jumpIs(k, i)
    case .jump:
      if i.x < 0 { checkFlag(k) }
      s.jump(target(k))
    case .jumpTrue, .jumpFalse: jumpIf(k, i)
    case .jumpTrueKeep, .jumpFalseKeep: jumpKeeping(k, i)
    case .listAppend: listAppend(k, i)
    case .getAttr: getAttr(k, i)
    case .setAttr: setAttr(k, i)
    case .getItem: getItem(k, i, immediate: false)
    case .getItemImm: getItem(k, i, immediate: true)
    case .setItem: setItem(k, i, immediate: false)
    case .setItemImm: setItem(k, i, immediate: true)
    case .loadMethod: loadMethod(k, i)
    case .call: call(k, i, method: false)
    case .callMethod: call(k, i, method: true)
    case .return: leave(k, i)
    case .forIter: forIter(k, i)
    case .unpack: unpack(k, i)
    case .unpackPair: unpackPair(k, i)
    case .yield: yield(k, i)
    case .contains, .notContains: contains(k, i)
    case .nop: break
    default: byHelper(k)
    }
  }

  private mutating func constant(_ i: Instruction) {
    let v = code.constants[Int(i.b)]
    s.move(.rax, v.bits)
    if v.isHeap { s.increment4(Memory(.rax, 0)) }
    setRax(i.a, v.tag)
  }
  private mutating func move(_ k: Int, _ i: Instruction) {
    let isTemporary = i.temporaries & 2 != 0
    s.load(.rdx, word(i.b))
    s.load(.rax, slot(i.b))
    if isTemporary {
      s.store(word(i.b), 0)
      s.test(.rdx, .rdx)
      s.jump(.equal, slow(k, labels[k + 1]))
    } else {
      // One comparison sorts out both what has a count and what is unassigned.
      let plain = s.label()
      let back = s.label()
      let failed = slow(k, labels[k + 1])
      s.alu(.cmp, .rdx, Int32(Tag.firstHeap))
      s.jump(.below, plain)
      s.increment4(Memory(.rax, 0))
      s.place(back)
      outOfLine { t in
        t.s.place(plain)
        t.s.test(.rdx, .rdx)
        t.s.jump(.notEqual, back)
        t.s.jump(failed)
      }
    }
    setValue(i.a)
    if Int(i.b) < likely.count { expect(i.a, likely[Int(i.b)]) }
  }

  // MARK: Names

  private mutating func global(_ k: Int, _ i: Instruction) {
    let done = labels[k + 1]
    let failed = slow(k, done)
    let found = s.label()
    let name = Memory(.r15, Int(i.c) * 16)
    func entry(_ t: inout Translator) {
      // rcx the dict: the entry x, whose key must be the name.
      t.s.load4Signed(.rdx, t.field(k, Offsets.instructionX))
      t.s.alu(.cmp, .rdx, Memory(.rcx, Offsets.dictUsed))
      t.s.jump(.aboveEqual, failed)
      t.s.multiply(.rdx, Int32(MemoryLayout<DictEntry>.stride))
      t.s.alu(.add, .rdx, Memory(.rcx, Offsets.dictEntries))
      t.s.load(.rax, Memory(.rdx, 8))
      t.s.alu(.cmp, .rax, name)
      t.s.jump(.notEqual, failed)
      t.s.load(.rax, Memory(.rdx, 24))
      t.s.load(.rdx, Memory(.rdx, 32))
    }
    func builtin(_ t: inout Translator) {
      t.s.load(.rcx, Memory(.r12, Offsets.frameGlobals))
      t.s.load4(.rdx, Memory(.rcx, Offsets.dictVersion))
      t.s.alu4(.cmp, .rdx, t.field(k, Offsets.instructionY))
      t.s.jump(.notEqual, failed)
      t.s.move(.rcx, core.pointee.builtins.bits)
      entry(&t)
    }
    func ofModule(_ t: inout Translator) {
      t.s.load(.rcx, Memory(.r12, Offsets.frameGlobals))
      entry(&t)
    }
    let builtinFirst = i.op == .loadBuiltinCached
    let other = s.label()
    s.compare1(
      field(k, Offsets.instructionOp),
      (builtinFirst ? Op.loadBuiltinCached : .loadGlobalCached).rawValue)
    s.jump(.notEqual, other)
    if builtinFirst { builtin(&self) } else { ofModule(&self) }
    s.place(found)
    retain()
    setValue(i.a)
    outOfLine { t in
      t.s.place(other)
      t.s.compare1(
        t.field(k, Offsets.instructionOp),
        (builtinFirst ? Op.loadGlobalCached : .loadBuiltinCached).rawValue)
      t.s.jump(.notEqual, failed)
      if builtinFirst { ofModule(&t) } else { builtin(&t) }
      t.s.jump(found)
    }
  }
  private mutating func storeGlobal(_ k: Int, _ i: Instruction) {
    let done = labels[k + 1]
    let failed = slow(k, done)
    s.load(.rcx, Memory(.r12, Offsets.frameGlobals))
    s.load4Signed(.rdi, field(k, Offsets.instructionX))
    s.test(.rdi, .rdi)
    s.jump(.lessEqual, failed)
    s.alu(.cmp, .rdi, Memory(.rcx, Offsets.dictUsed))
    s.jump(.above, failed)
    s.multiply(.rdi, Int32(MemoryLayout<DictEntry>.stride))
    s.alu(.add, .rdi, Memory(.rcx, Offsets.dictEntries))
    s.load(.rax, Memory(.rdi, 8 - MemoryLayout<DictEntry>.stride))
    s.alu(.cmp, .rax, Memory(.r15, Int(i.c) * 16))
    s.jump(.notEqual, failed)
    s.alu(.sub, .rdi, Int32(MemoryLayout<DictEntry>.stride - 24))
    takeA(i, failed)
    storeAt(.rdi)
  }
  /// rax, rdx = what register a holds, moved or with a reference of its own; `failed` when it is unassigned.
  private mutating func takeA(_ i: Instruction, _ failed: CodeLabel) {
    takeRegister(i.a, i.temporaries & 1 != 0, failed)
  }
  mutating func takeRegister(_ r: UInt16, _ isTemporary: Bool, _ failed: CodeLabel) {
    s.load(.rdx, word(r))
    s.test(.rdx, .rdx)
    s.jump(.equal, failed)
    s.load(.rax, slot(r))
    if isTemporary { s.store(word(r), 0) } else { retain() }
  }
  /// The value rax, rdx to the address in rdi, whose old value is released afterwards, by way of a push.
  mutating func storeAt(_ p: R) {
    let held = s.label()
    let back = s.label()
    s.compare1(Memory(p, 8), Tag.firstHeap)
    s.jump(.aboveEqual, held)
    s.store(Memory(p, 0), .rax)
    s.store(Memory(p, 8), .rdx)
    s.place(back)
    // The new value must be in its place before the old one's end runs code that may look.
    outOfLine { t in
      t.s.place(held)
      t.s.load(.rcx, Memory(p, 0))
      t.s.store(Memory(p, 0), .rax)
      t.s.store(Memory(p, 8), .rdx)
      t.s.decrement4(Memory(.rcx, 0))
      t.s.jump(.notEqual, back)
      t.s.move(.rdi, .rcx)
      callC(&t.s, destroyHelper)
      t.s.jump(back)
    }
  }
  /// rcx = the cell.
  private mutating func cell(_ i: Instruction, free: Bool) {
    if free {
      s.load(.rcx, Memory(.r12, Offsets.frameCells))
      s.load(.rcx, Memory(.rcx, Int(i.b) * 16))
    } else {
      s.load(.rcx, slot(i.b))
    }
  }
  private mutating func loadCell(_ k: Int, _ i: Instruction) {
    cell(i, free: i.op == .loadFree)
    s.load(.rdx, Memory(.rcx, Offsets.cellValue + 8))
    s.load(.rax, Memory(.rcx, Offsets.cellValue))
    s.test(.rdx, .rdx)
    s.jump(.equal, slow(k, labels[k + 1]))
    retain()
    setValue(i.a)
  }
  private mutating func storeCell(_ k: Int, _ i: Instruction) {
    takeA(i, slow(k, labels[k + 1]))
    cell(i, free: i.op == .storeFree)
    s.address(.rdi, Memory(.rcx, Offsets.cellValue))
    storeAt(.rdi)
  }
}
