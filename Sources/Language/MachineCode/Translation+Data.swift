// Machine code of attributes, items, calls, returns and loops.

extension Translator {
  // MARK: Lists, items, attributes

  /// Releases operand `r`, a temporary; keeps rax and rdx. A local stays.
  private mutating func consume(_ r: UInt16, _ isTemporary: Bool) {
    guard isTemporary else { return }
    release(r)
    s.store(word(r), 0)
  }
  mutating func listAppend(_ k: Int, _ i: Instruction) {
    let failed = slow(k, labels[k + 1])
    s.load(.rdi, slot(i.a))
    s.load(.rcx, Memory(.rdi, Offsets.listCount))
    s.alu(.cmp, .rcx, Memory(.rdi, Offsets.listCapacity))
    s.jump(.greaterEqual, failed)
    takeRegister(i.b, i.temporaries & 2 != 0, failed)
    s.address(.rsi, Memory(.rcx, 1))
    s.store(Memory(.rdi, Offsets.listCount), .rsi)
    s.shiftLeft(.rcx, 4)
    s.alu(.add, .rcx, Memory(.rdi, Offsets.listItems))
    s.store(Memory(.rcx, 0), .rax)
    s.store(Memory(.rcx, 8), .rdx)
  }
  /// rax = the instance in register `r`, whose shape is the one in the cache.
  private mutating func instance(_ k: Int, _ r: UInt16, else failed: CodeLabel) {
    s.compare1(word(r), Tag.instance.rawValue)
    s.jump(.notEqual, failed)
    s.load(.rdi, slot(r))
    s.load(.rcx, Memory(.rdi, Offsets.instanceShape))
    s.load4(.rcx, Memory(.rcx, Offsets.shapeID))
    s.alu4(.cmp, .rcx, field(k, Offsets.instructionY))
    s.jump(.notEqual, failed)
  }
  mutating func getAttr(_ k: Int, _ i: Instruction) {
    let done = labels[k + 1]
    let failed = s.label()
    let resumed = s.label()
    instance(k, i.b, else: failed)
    s.load4Signed(.rcx, field(k, Offsets.instructionX))
    s.shiftLeft(.rcx, 4)
    s.alu(.add, .rcx, Memory(.rdi, Offsets.instanceSlots))
    s.load(.rax, Memory(.rcx, 0))
    s.load(.rdx, Memory(.rcx, 8))
    retain()
    consume(i.b, i.temporaries & 2 != 0)
    setValue(i.a)
    outOfLine { t in
      t.s.place(failed)
      t.callHelper(k, attributeHelper)
      t.s.test(.rax, .rax)
      t.s.jump(.equal, done)
      t.enterPushed(resumed)
      // What a property's getter returned.
      t.s.place(resumed)
      t.restore()
      t.setValue(i.a)
      t.s.jump(done)
    }
  }
  mutating func setAttr(_ k: Int, _ i: Instruction) {
    let failed = slow(k, labels[k + 1])
    instance(k, i.a, else: failed)
    s.load4Signed(.rcx, field(k, Offsets.instructionX))
    s.test(.rcx, .rcx)
    s.jump(.negative, failed)
    takeRegister(i.b, i.temporaries & 2 != 0, failed)
    s.shiftLeft(.rcx, 4)
    s.alu(.add, .rcx, Memory(.rdi, Offsets.instanceSlots))
    s.move(.rdi, .rcx)
    storeAt(.rdi)
    consume(i.a, i.temporaries & 1 != 0)
  }
  /// rdi = the address of the item that register c (or x) names in the list or tuple of register `r`.
  private mutating func item(
    _ i: Instruction, of r: UInt16, by index: UInt16?, else failed: CodeLabel, tuples: Bool
  ) {
    let inside = s.label()
    let found = s.label()
    let notList = s.label()
    let back = s.label()
    if let index {
      s.compare1(word(index), Tag.int.rawValue)
      s.jump(.notEqual, failed)
      s.load(.rdi, slot(index))
    } else {
      s.move(.rdi, UInt64(bitPattern: Int64(i.x)))
    }
    s.load1(.rcx, word(r))
    s.load(.rax, slot(r))
    s.alu(.cmp, .rcx, Int32(Tag.list.rawValue))
    s.jump(.notEqual, tuples ? notList : failed)
    s.load(.rsi, Memory(.rax, Offsets.listCount))
    s.load(.r8, Memory(.rax, Offsets.listItems))
    s.place(inside)
    s.alu(.cmp, .rdi, .rsi)
    s.jump(.aboveEqual, back)
    s.place(found)
    s.shiftLeft(.rdi, 4)
    s.alu(.add, .rdi, .r8)
    outOfLine { t in
      // From the end, or out of range.
      t.s.place(back)
      t.s.alu(.add, .rdi, .rsi)
      t.s.alu(.cmp, .rdi, .rsi)
      t.s.jump(.below, found)
      t.s.jump(failed)
      t.s.place(notList)
      t.s.alu(.cmp, .rcx, Int32(Tag.tuple.rawValue))
      t.s.jump(.notEqual, failed)
      t.s.load(.rsi, Memory(.rax, Offsets.tupleCount))
      t.s.address(.r8, Memory(.rax, TupleBody.headSize))
      t.s.jump(inside)
    }
  }
  mutating func getItem(_ k: Int, _ i: Instruction, immediate: Bool) {
    let failed = slow(k, labels[k + 1])
    let other = immediate ? failed : s.label()
    let found = s.label()
    item(i, of: i.b, by: immediate ? nil : i.c, else: other, tuples: true)
    s.load(.rax, Memory(.rdi, 0))
    s.load(.rdx, Memory(.rdi, 8))
    retain()
    s.place(found)
    consume(i.b, i.temporaries & 2 != 0)
    setValue(i.a)
    if immediate { return }
    outOfLine { t in
      t.s.place(other)
      t.s.compare1(t.word(i.b), Tag.dict.rawValue)
      t.s.jump(.notEqual, failed)
      t.findEntry(i.b, i.c, failed)
      t.s.load(.rax, Memory(.r9, 24))
      t.s.load(.rdx, Memory(.r9, 32))
      t.retain()
      t.consume(i.c, i.temporaries & 4 != 0)
      t.s.jump(found)
    }
  }
  mutating func setItem(_ k: Int, _ i: Instruction, immediate: Bool) {
    let done = labels[k + 1]
    let failed = slow(k, done)
    let other = immediate ? failed : s.label()
    item(i, of: i.a, by: immediate ? nil : i.b, else: other, tuples: false)
    takeRegister(i.c, i.temporaries & 4 != 0, failed)
    storeAt(.rdi)
    consume(i.a, i.temporaries & 1 != 0)
    if immediate { return }
    outOfLine { t in
      t.s.place(other)
      t.s.compare1(t.word(i.a), Tag.dict.rawValue)
      t.s.jump(.notEqual, failed)
      t.findEntry(i.a, i.b, failed)
      t.takeRegister(i.c, i.temporaries & 4 != 0, failed)
      t.s.address(.rdi, Memory(.r9, 24))
      t.storeAt(.rdi)
      t.consume(i.b, i.temporaries & 2 != 0)
      t.consume(i.a, i.temporaries & 1 != 0)
      t.s.jump(done)
    }
  }
  mutating func unpack(_ k: Int, _ i: Instruction) {
    let isTemporary = i.temporaries & 2 != 0
    // The source may be one of the targets: then it must outlive the first assignment.
    let first = i.a
    let overlaps = i.b >= first && Int(i.b) < Int(first) + Int(i.c)
    if i.c > 4 || !isTemporary || overlaps {
      byHelper(k)
      return
    }
    let failed = slow(k, labels[k + 1])
    s.compare1(word(i.b), Tag.tuple.rawValue)
    s.jump(.notEqual, failed)
    s.load(.rax, slot(i.b))
    s.alu(.cmp, Memory(.rax, Offsets.tupleCount), Int32(i.c))
    s.jump(.notEqual, failed)
    for n in 0..<i.c {
      let at = TupleBody.headSize + Int(n) * 16
      if n > 0 { s.load(.rax, slot(i.b)) }
      s.load(.rdx, Memory(.rax, at + 8))
      s.load(.rax, Memory(.rax, at))
      retain()
      setValue(first + n)
    }
    consume(i.b, true)
  }
  mutating func unpackPair(_ k: Int, _ i: Instruction) {
    guard i.temporaries & 2 != 0, i.a != i.b, i.x != Int32(i.b), let second = UInt16(exactly: i.x)
    else {
      byHelper(k)
      return
    }
    let failed = slow(k, labels[k + 1])
    s.compare1(word(i.b), Tag.tuple.rawValue)
    s.jump(.notEqual, failed)
    s.load(.rax, slot(i.b))
    s.alu(.cmp, Memory(.rax, Offsets.tupleCount), 2)
    s.jump(.notEqual, failed)
    for (r, at) in [(i.a, TupleBody.headSize), (second, TupleBody.headSize + 16)] {
      if at != TupleBody.headSize { s.load(.rax, slot(i.b)) }
      s.load(.rdx, Memory(.rax, at + 8))
      s.load(.rax, Memory(.rax, at))
      retain()
      setValue(r)
    }
    consume(i.b, true)
  }

  // MARK: Calls

  mutating func loadMethod(_ k: Int, _ i: Instruction) {
    let failed = slow(k, labels[k + 1])
    let other = s.label()
    let check = s.label()
    s.compare1(word(i.a + 1), Tag.instance.rawValue)
    s.jump(.notEqual, other)
    s.load(.rax, slot(i.a + 1))
    s.load(.rax, Memory(.rax, Offsets.instanceShape))
    s.load4(.rcx, Memory(.rax, Offsets.shapeID))
    s.place(check)
    s.test(.rcx, .rcx)
    s.jump(.equal, failed)
    s.alu4(.cmp, .rcx, field(k, Offsets.instructionY))
    s.jump(.notEqual, failed)
    s.load(.rax, Memory(.r15, Int(i.b) * 16))
    s.load(.rdx, Memory(.r15, Int(i.b) * 16 + 8))
    retain()
    setValue(i.a)
    outOfLine { t in
      t.s.place(other)
      t.s.compare1(t.word(i.a + 1), Tag.firstHeap)
      t.s.jump(.below, failed)
      t.s.load(.rax, t.slot(i.a + 1))
      t.s.load(.rax, Memory(.rax, Offsets.typeOfHeader))
      t.s.load4(.rcx, Memory(.rax, Offsets.typeVersion))
      t.s.jump(check)
    }
  }
  /// A call of a function with exactly its parameters, or of a builtin; everything else by `callAny`.
  mutating func call(_ k: Int, _ i: Instruction, method: Bool) {
    let done = labels[k + 1]
    let any = s.label()
    let ready = s.label()
    let other = s.label()
    let resumed = s.label()
    s.address(.rax, field(k + 1, 0))
    s.store(Memory(.r12, Offsets.frameIP), .rax)
    checkFlag(k)
    s.address(.rcx, slot(i.b + 1))
    s.move(.rdx, UInt64(i.c))
    if method {
      // After `loadMethod` of what is bound already there is no receiver.
      let bound = s.label()
      s.compare1(word(i.b + 1), 0)
      s.jump(.equal, bound)
      outOfLine { t in
        t.s.place(bound)
        t.s.address(.rcx, t.slot(i.b + 2))
        t.s.move(.rdx, UInt64(max(Int(i.c) - 1, 0)))
        t.s.jump(ready)
      }
    }
    s.place(ready)
    s.compare1(word(i.b), Tag.function.rawValue)
    s.jump(.notEqual, other)
    if code.isGenerator {
      s.jump(any)
    } else {
      pushFrame(i, any, resumed)
    }
    s.place(resumed)
    restore()
    setValue(i.a)
    outOfLine { t in
      t.s.place(other)
      if !method { t.rangeIterator(k, i) }
      t.s.compare1(t.word(i.b), Tag.builtin.rawValue)
      t.s.jump(.notEqual, any)
      t.intrinsic(k, i, method: method, done)
      t.callOut(k, i, builtinHelper)
      t.s.jump(.notEqual, outside: t.arena.leave - t.offset)
      t.s.load(.rax, Memory(.r13, Offsets.machineResult))
      t.s.load(.rdx, Memory(.r13, Offsets.machineResult + 8))
      t.releaseRegisters(i.b, Int(i.c) + 1)
      t.setValue(i.a)
      t.s.jump(done)
      t.s.place(any)
      t.callOut(k, i, anyCallHelper)
      t.s.jump(.equal, done)
      t.enterPushed(resumed)
    }
  }
  /// Calls with the window in rcx and the number of arguments in rdx; compares the step with zero.
  private mutating func callOut(_ k: Int, _ i: Instruction, _ f: CallHelper) {
    s.move(.r8, .rdx)
    s.address(.rdx, slot(i.b))
    s.move(.rdi, .r12)
    s.address(.rsi, field(k, 0))
    s.move(.rax, UInt64(UInt(bitPattern: unsafeBitCast(f, to: UnsafeRawPointer.self))))
    s.call(.rax)
    s.test(.rax, .rax)
  }
  /// After a step that is not zero: into the frame that it pushed, whose return goes on at `resumed`.
  private mutating func enterPushed(_ resumed: CodeLabel) {
    s.alu(.cmp, .rax, Int32(Step.pushed))
    s.jump(.notEqual, outside: arena.leave - offset)
    s.address(.rax, of: resumed)
    s.store(Memory(.r12, Offsets.frameResume), .rax)
    s.jump(outside: arena.pushed - offset)
  }
  /// What machine code keeps in registers, back in this frame.
  private mutating func restore() {
    s.move(.r14, UInt64(UInt(bitPattern: code.instructions)))
    s.move(.r15, UInt64(UInt(bitPattern: code.constants)))
  }
  /// Calls the function in register b with rdx arguments at rcx, when it takes exactly as many; see `pushFrame`.
  private mutating func pushFrame(_ i: Instruction, _ failed: CodeLabel, _ resumed: CodeLabel) {
    s.load(.rsi, slot(i.b))
    s.load(.rdi, Memory(.rsi, Offsets.functionHead))
    s.alu(.cmp, .rdx, Memory(.rdi, Offsets.headExactCount))
    s.jump(.notEqual, failed)
    s.load(.rax, Memory(.r13, Offsets.machineDepth))
    s.alu(.add, .rax, 1)
    s.alu(.cmp, .rax, Memory(.r13, Offsets.machineRecursionLimit))
    s.jump(.greater, failed)
    s.alu(.cmp, .rcx, Memory(.r13, Offsets.machineStackLimit))
    s.jump(.above, failed)
    s.store(Memory(.r13, Offsets.machineDepth), .rax)
    s.load(.r8, Memory(.r13, Offsets.machineFrameTop))
    s.address(.r9, Memory(.r8, MemoryLayout<Frame>.stride))
    s.store(Memory(.r13, Offsets.machineFrameTop), .r9)
    s.store(Memory(.r8, Offsets.framePrevious), .r12)
    s.store(Memory(.r8, Offsets.frameHead), .rdi)
    s.store(Memory(.r8, Offsets.frameRegs), .rcx)
    s.load(.rax, Memory(.rdi, Offsets.headConstants))
    s.store(Memory(.r8, Offsets.frameConstants), .rax)
    s.load(.r9, Memory(.rdi, Offsets.headWindow))
    s.alu(.add, .r9, .rcx)
    s.store(Memory(.r8, Offsets.frameTop), .r9)
    s.load(.rax, Memory(.rsi, Offsets.functionGlobals))
    s.store(Memory(.r8, Offsets.frameGlobals), .rax)
    s.load(.rax, Memory(.rsi, Offsets.functionCells))
    s.store(Memory(.r8, Offsets.frameCells), .rax)
    s.address(.rax, slot(i.b))
    s.store(Memory(.r8, Offsets.frameCalleeSlot), .rax)
    s.store(Memory(.r8, Offsets.frameNamespace + 8), 0)
    // The return register and, above it, flags of zero.
    s.store4(Memory(.r8, Offsets.frameReturnRegister), Int32(i.a))
    s.address(.rax, of: resumed)
    s.store(Memory(.r12, Offsets.frameResume), .rax)
    s.store(Memory(.r13, Offsets.machineFrame), .r8)
    s.move(.r12, .r8)
    s.move(.rbx, .rcx)
    s.load(.rax, Memory(.rdi, Offsets.headEntry))
    let untranslated = s.label()
    s.test(.rax, .rax)
    s.jump(.equal, untranslated)
    s.jump(.rax)
    outOfLine { t in
      t.s.place(untranslated)
      t.s.move(.rcx, .rdx)
      t.s.jump(outside: t.arena.begin - t.offset)
    }
  }
  mutating func leave(_ k: Int, _ i: Instruction) {
    let failed = s.label()
    let special = s.label()
    let native = s.label()
    let taken = s.label()
    s.compare1(Memory(.r12, Offsets.frameFlags), 0)
    s.jump(.notEqual, special)
    s.load(.rdx, word(i.a))
    s.test(.rdx, .rdx)
    s.jump(.equal, failed)
    s.load(.rax, slot(i.a))
    s.store(word(i.a), 0)
    s.place(taken)
    releaseLocals(but: i.a)
    s.jump(outside: arena.finish - offset)
    outOfLine { t in
      t.s.place(special)
      t.s.compare1(Memory(.r12, Offsets.frameFlags), Frame.ofInitializer)
      t.s.jump(.notEqual, native)
      t.s.compare1(t.word(i.a), Tag.none.rawValue)
      t.s.jump(.notEqual, failed)
      t.s.load(.rax, Memory(.r12, Offsets.frameInitResult))
      t.s.load(.rdx, Memory(.r12, Offsets.frameInitResult + 8))
      t.s.store(t.word(i.a), 0)
      t.s.jump(taken)
      t.s.place(native)
      t.s.compare1(Memory(.r12, Offsets.frameFlags), Frame.fromNative)
      t.s.jump(.notEqual, failed)
      t.s.load(.rdx, t.word(i.a))
      t.s.test(.rdx, .rdx)
      t.s.jump(.equal, failed)
      t.s.load(.rax, t.slot(i.a))
      t.s.store(t.word(i.a), 0)
      t.releaseLocals(but: i.a)
      t.s.jump(outside: t.arena.finishNative - t.offset)
      t.s.place(failed)
      t.byHelper(k)
      // A return never goes on with the next instruction.
      t.s.move(.rax, UInt64(Step.elsewhere))
      t.s.jump(outside: t.arena.leave - t.offset)
    }
  }

  /// Lets the locals go, but for one that is empty; keeps rax and rdx.
  private mutating func releaseLocals(but returned: UInt16) {
    if localCount <= 16 {
      for r in 0..<localCount where UInt16(r) != returned { release(UInt16(r)) }
    } else {
      releaseRegisters(0, localCount)
    }
  }
  /// Empties `n` registers from `first` on; keeps rax and rdx.
  private mutating func releaseRegisters(_ first: UInt16, _ n: Int) {
    if n <= 8 {
      for r in 0..<n { release(first + UInt16(r)) }
    } else {
      let again = s.label()
      let plain = s.label()
      s.address(.rdi, slot(first))
      s.address(.rcx, slot(first).plus(n * 16))
      s.place(again)
      s.compare1(Memory(.rdi, 8), Tag.firstHeap)
      s.jump(.below, plain)
      s.push(.rcx)
      s.push(.rcx)
      s.call(outside: arena.release - offset)
      s.pop(.rcx)
      s.pop(.rcx)
      s.place(plain)
      s.alu(.add, .rdi, 16)
      s.alu(.cmp, .rdi, .rcx)
      s.jump(.below, again)
    }
  }

  // MARK: Loops

  mutating func forIter(_ k: Int, _ i: Instruction) {
    let next = labels[k + 1]
    let other = s.label()
    let list = s.label()
    let failed = s.label()
    checkFlag(k)
    s.compare1(word(i.b), Tag.iterator.rawValue)
    s.jump(.notEqual, other)
    s.load(.rdi, slot(i.b))
    s.compare1(Memory(.rdi, Offsets.iteratorKind), IteratorKind.range.rawValue)
    s.jump(.notEqual, list)
    s.load(.rcx, Memory(.rdi, Offsets.iteratorIndex))
    s.alu(.cmp, .rcx, Memory(.rdi, Offsets.iteratorLimit))
    s.jump(.greaterEqual, next)
    s.alu(.add, .rcx, 1)
    s.store(Memory(.rdi, Offsets.iteratorIndex), .rcx)
    s.load(.rax, Memory(.rdi, Offsets.iteratorCurrent))
    s.load(.rcx, Memory(.rdi, Offsets.iteratorStep))
    s.alu(.add, .rcx, .rax)
    s.store(Memory(.rdi, Offsets.iteratorCurrent), .rcx)
    setRax(i.a, .int)
    s.jump(target(k))
    outOfLine { t in
      t.s.place(list)
      t.s.compare1(Memory(.rdi, Offsets.iteratorKind), IteratorKind.list.rawValue)
      t.s.jump(.notEqual, failed)
      t.s.load(.rsi, Memory(.rdi, Offsets.iteratorA))
      t.s.load(.rcx, Memory(.rdi, Offsets.iteratorIndex))
      t.s.alu(.cmp, .rcx, Memory(.rsi, Offsets.listCount))
      t.s.jump(.greaterEqual, failed)
      t.s.address(.rax, Memory(.rcx, 1))
      t.s.store(Memory(.rdi, Offsets.iteratorIndex), .rax)
      t.s.shiftLeft(.rcx, 4)
      t.s.alu(.add, .rcx, Memory(.rsi, Offsets.listItems))
      t.s.load(.rax, Memory(.rcx, 0))
      t.s.load(.rdx, Memory(.rcx, 8))
      t.retain()
      t.setValue(i.a)
      t.s.jump(t.target(k))
      t.s.place(other)
      t.resumeGenerator(k, i, failed)
      t.s.place(failed)
      t.callHelper(k, nextHelper)
      t.s.alu(.cmp, .rax, Int32(Step.jump))
      t.s.jump(.equal, t.target(k))
      t.s.jump(.below, next)
      t.s.alu(.cmp, .rax, Int32(Step.afterJump))
      t.s.jump(.notEqual, outside: t.arena.leave - t.offset)
      t.s.jump(t.labels[min(max(k + 2 + Int(i.x), 0), t.code.count)])
    }
  }
  /// A turn of `for` over a generator, which goes on in the machine code of either.
  private mutating func resumeGenerator(_ k: Int, _ i: Instruction, _ failed: CodeLabel) {
    let first = s.label()
    let byPlace = s.label()
    let yielded = s.label()
    s.compare1(word(i.b), Tag.generator.rawValue)
    s.jump(.notEqual, failed)
    s.load(.rdi, slot(i.b))
    s.compare1(Memory(.rdi, Offsets.generatorIsRunning), 0)
    s.jump(.notEqual, failed)
    s.load(.rsi, Memory(.rdi, Offsets.generatorFrame))
    s.test(.rsi, .rsi)
    s.jump(.equal, failed)
    s.load(.rax, Memory(.r13, Offsets.machineDepth))
    s.alu(.add, .rax, 1)
    s.alu(.cmp, .rax, Memory(.r13, Offsets.machineRecursionLimit))
    s.jump(.greater, failed)
    s.compare1(Memory(.rdi, Offsets.generatorIsStarted), 0)
    s.jump(.equal, first)
    // What was sent is None.
    s.load2(.rcx, Memory(.rsi, Offsets.frameReturnRegister))
    s.shiftLeft(.rcx, 4)
    s.alu(.add, .rcx, Memory(.rsi, Offsets.frameRegs))
    s.compare1(Memory(.rcx, 8), Tag.firstHeap)
    s.jump(.aboveEqual, failed)
    s.store(Memory(.rcx, 0), 0)
    s.store(Memory(.rcx, 8), Int32(Tag.none.rawValue))
    s.place(first)
    s.store(Memory(.r13, Offsets.machineDepth), .rax)
    s.store1(Memory(.rdi, Offsets.generatorIsStarted), 1)
    s.store1(Memory(.rdi, Offsets.generatorIsRunning), 1)
    s.store(Memory(.rsi, Offsets.framePrevious), .r12)
    s.store1(Memory(.rsi, Offsets.frameFlags), Frame.ofGenerator | Frame.inFor)
    s.load(.rax, Memory(.r12, Offsets.frameTop))
    s.store(Memory(.rsi, Offsets.frameTop), .rax)
    s.address(.rax, field(k + 1, 0))
    s.store(Memory(.r12, Offsets.frameIP), .rax)
    s.address(.rax, of: yielded)
    s.store(Memory(.r12, Offsets.frameResume), .rax)
    s.store(Memory(.r13, Offsets.machineFrame), .rsi)
    s.load(.rax, Memory(.rsi, Offsets.frameResume))
    s.test(.rax, .rax)
    s.jump(.equal, byPlace)
    s.move(.r12, .rsi)
    s.load(.rbx, Memory(.rsi, Offsets.frameRegs))
    s.jump(.rax)
    s.place(byPlace)
    s.jump(outside: arena.pushed - offset)
    s.place(yielded)
    restore()
    setValue(i.a)
    s.jump(target(k))
  }
  mutating func yield(_ k: Int, _ i: Instruction) {
    let failed = s.label()
    let resumed = s.label()
    let other = s.label()
    s.compare1(Memory(.r12, Offsets.frameFlags), Frame.ofGenerator | Frame.inFor)
    s.jump(.notEqual, other)
    takeRegister(i.b, i.temporaries & 2 != 0, failed)
    suspend(k, i, resumed)
    s.load(.rbx, Memory(.r12, Offsets.frameRegs))
    s.jump(Memory(.r12, Offsets.frameResume))
    s.place(resumed)
    restore()
    outOfLine { t in
      t.s.place(other)
      t.s.compare1(Memory(.r12, Offsets.frameFlags), Frame.ofGenerator | Frame.fromNative)
      t.s.jump(.notEqual, failed)
      t.takeRegister(i.b, i.temporaries & 2 != 0, failed)
      t.suspend(k, i, resumed)
      t.s.store(Memory(.r13, Offsets.machineResult), .rax)
      t.s.store(Memory(.r13, Offsets.machineResult + 8), .rdx)
      t.s.move(.rax, UInt64(Step.value))
      t.s.jump(outside: t.arena.leave - t.offset)
      t.s.place(failed)
      t.byHelper(k)
      t.s.move(.rax, UInt64(Step.elsewhere))
      t.s.jump(outside: t.arena.leave - t.offset)
    }
  }
  /// The generator's frame r12 waits behind its `yield`; the frame that resumed it goes on. Keeps rax and rdx.
  private mutating func suspend(_ k: Int, _ i: Instruction, _ resumed: CodeLabel) {
    s.store2(Memory(.r12, Offsets.frameReturnRegister), i.a)
    s.address(.rcx, field(k + 1, 0))
    s.store(Memory(.r12, Offsets.frameIP), .rcx)
    s.address(.rcx, of: resumed)
    s.store(Memory(.r12, Offsets.frameResume), .rcx)
    s.load(.rcx, Memory(.r12, Offsets.frameGenerator))
    s.store1(Memory(.rcx, Offsets.generatorIsRunning), 0)
    s.decrement(Memory(.r13, Offsets.machineDepth))
    s.load(.r12, Memory(.r12, Offsets.framePrevious))
    s.store(Memory(.r13, Offsets.machineFrame), .r12)
  }
}
