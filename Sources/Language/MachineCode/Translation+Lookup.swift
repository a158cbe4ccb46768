// Machine code of look-ups in dicts and sets, and of the builtins that programs call most.

extension CodeArena {
  /// Two pieces that are called: rdi a dict (or a set), rsi and rdx an int or str key. r9 is then the address of the
  /// entry whose key, in the first place of its hash, is this very object or int, else 0. The zero flag says that the
  /// key is certainly absent; without it and an entry only the general look-up can tell. Keep rdi, rsi and rdx.
  mutating func writeLookups(_ s: inout Assembler) {
    func hash(_ none: CodeLabel, _ found: CodeLabel) {
      let str = s.label()
      s.alu(.cmp, .rdx, Int32(Tag.int.rawValue))
      s.jump(.notEqual, str)
      // The hash of an int below 2^60 is itself.
      s.move(.rax, .rsi)
      s.shiftRight(.rax, 60)
      s.jump(.notEqual, none)
      s.move(.rax, .rsi)
      s.jump(found)
      s.place(str)
      s.alu(.cmp, .rdx, Int32(Tag.str.rawValue))
      s.jump(.notEqual, none)
      s.load(.rax, Memory(.rsi, Offsets.strHash))
      s.test(.rax, .rax)
      s.jump(.equal, none)
      s.place(found)
    }
    func compareKey(_ none: CodeLabel) {
      s.alu(.cmp, .rsi, Memory(.r9, 8))
      s.jump(.notEqual, none)
      s.alu(.cmp, .rdx, Memory(.r9, 16))
      s.jump(.notEqual, none)
      s.test(.r9, .r9)
      s.return()
    }
    let absent = s.label()
    let unknown = s.label()
    let negative = s.label()
    findInDict = s.count
    hash(unknown, s.label())
    s.load(.rcx, Memory(.rdi, Offsets.dictMask))
    s.test(.rcx, .rcx)
    s.jump(.negative, absent)
    s.alu(.and, .rcx, .rax)
    s.shiftLeft(.rcx, 2)
    s.alu(.add, .rcx, Memory(.rdi, Offsets.dictIndices))
    s.load4Signed(.r9, Memory(.rcx, 0))
    s.test(.r9, .r9)
    s.jump(.negative, negative)
    s.multiply(.r9, Int32(MemoryLayout<DictEntry>.stride))
    s.alu(.add, .r9, Memory(.rdi, Offsets.dictEntries))
    compareKey(unknown)
    s.place(negative)
    s.alu(.cmp, .r9, -1)
    s.jump(.equal, absent)
    s.jump(unknown)

    findInSet = s.count
    hash(unknown, s.label())
    s.move(.r9, .rax)
    s.alu(.and, .r9, Memory(.rdi, Offsets.setMask))
    s.multiply(.r9, Int32(MemoryLayout<SetEntry>.stride))
    s.alu(.add, .r9, Memory(.rdi, Offsets.setTable))
    s.alu(.cmp, Memory(.r9, 0), -1)
    s.jump(.equal, absent)
    compareKey(unknown)
    s.place(unknown)
    s.move(.r9, 0)
    s.alu(.cmp, .r9, 1)
    s.return()
    s.place(absent)
    s.move(.r9, 0)
    s.test(.r9, .r9)
    s.return()
  }
}

extension Translator {
  /// r9 = the entry of the key in register `key` in the dict in register `d`; on to `failed` without.
  mutating func findEntry(_ d: UInt16, _ key: UInt16, _ failed: CodeLabel) {
    s.load(.rdi, slot(d))
    s.load(.rsi, slot(key))
    s.load(.rdx, word(key))
    s.call(outside: arena.findInDict - offset)
    s.test(.r9, .r9)
    s.jump(.equal, failed)
  }
  /// `b in c`.
  mutating func contains(_ k: Int, _ i: Instruction) {
    let done = labels[k + 1]
    let failed = slow(k, done)
    let set = s.label()
    let no = s.label()
    let ask = s.label()
    let answered = s.label()
    let negated = i.op == .notContains
    s.compare1(word(i.c), Tag.dict.rawValue)
    s.jump(.notEqual, set)
    s.load(.rdi, slot(i.c))
    s.load(.rsi, slot(i.b))
    s.load(.rdx, word(i.b))
    s.call(outside: arena.findInDict - offset)
    s.jump(.equal, no)
    s.test(.r9, .r9)
    s.jump(.equal, ask)
    s.move(.rax, negated ? 0 : 1)
    s.place(answered)
    if i.temporaries & 2 != 0 { consumeTemporary(i.b) }
    if i.temporaries & 4 != 0 { consumeTemporary(i.c) }
    setRax(i.a, .bool)
    outOfLine { t in
      t.s.place(set)
      t.s.compare1(t.word(i.c), Tag.set.rawValue)
      t.s.jump(.notEqual, failed)
      t.s.load(.rdi, t.slot(i.c))
      t.s.load(.rsi, t.slot(i.b))
      t.s.load(.rdx, t.word(i.b))
      t.s.call(outside: t.arena.findInSet - t.offset)
      t.s.jump(.equal, no)
      t.s.test(.r9, .r9)
      t.s.jump(.equal, ask)
      t.s.move(.rax, negated ? 0 : 1)
      t.s.jump(answered)
      t.s.place(ask)
      t.s.move(
        .rax, UInt64(UInt(bitPattern: unsafeBitCast(containsHelper, to: UnsafeRawPointer.self))))
      t.s.call(.rax)
      t.s.test(.rax, .rax)
      t.s.jump(.negative, failed)
      if negated { t.s.alu(.xor, .rax, 1) }
      t.s.jump(answered)
      t.s.place(no)
      t.s.move(.rax, negated ? 1 : 0)
      t.s.jump(answered)
    }
  }
  /// Releases a temporary whose value was used; keeps rax and rdx.
  mutating func consumeTemporary(_ r: UInt16) {
    release(r)
    s.store(word(r), 0)
  }

  // MARK: Builtins

  /// Writes the call of a builtin that its name, read shortly before, makes likely: at run time the callee must be it.
  /// Comes from, and on failure goes on, where the callee is known to be a builtin.
  mutating func intrinsic(_ k: Int, _ i: Instruction, method: Bool, _ done: CodeLabel) {
    guard let (name, callee) = likelyBuiltin(k, i, method: method) else { return }
    let other = s.label()
    let untouched = s.label()
    let w = i.b + 1
    switch (name, i.c) {
    case ("len", 1) where !method:
      isCallee(i, callee, else: untouched)
      length(w, else: other)
      finishCall(i, w, 1)
      setRax(i.a, .int)
    case ("append", 2) where method:
      isCallee(i, callee, else: untouched)
      append(w, else: other)
      finishCall(i, w, 1)
      s.move(.rax, 0)
      setRax(i.a, .none)
    case ("pop", 1) where method:
      isCallee(i, callee, else: untouched)
      s.compare1(word(w), Tag.list.rawValue)
      s.jump(.notEqual, other)
      s.load(.rdi, slot(w))
      s.load(.rcx, Memory(.rdi, Offsets.listCount))
      s.alu(.sub, .rcx, 1)
      s.jump(.below, other)
      s.store(Memory(.rdi, Offsets.listCount), .rcx)
      s.shiftLeft(.rcx, 4)
      s.alu(.add, .rcx, Memory(.rdi, Offsets.listItems))
      s.load(.rax, Memory(.rcx, 0))
      s.load(.rdx, Memory(.rcx, 8))
      finishCall(i, w, 1)
      setValue(i.a)
    case ("get", 2) where method, ("get", 3) where method:
      let absent = s.label()
      isCallee(i, callee, else: untouched)
      s.compare1(word(w), Tag.dict.rawValue)
      s.jump(.notEqual, other)
      s.load(.rdi, slot(w))
      s.load(.rsi, slot(w + 1))
      s.load(.rdx, word(w + 1))
      s.call(outside: arena.findInDict - offset)
      s.jump(.equal, absent)
      s.test(.r9, .r9)
      s.jump(.equal, other)
      s.load(.rax, Memory(.r9, 24))
      s.load(.rdx, Memory(.r9, 32))
      retain()
      finishCall(i, w, i.c)
      setValue(i.a)
      s.jump(done)
      s.place(absent)
      if i.c == 3 {
        s.load(.rax, slot(w + 2))
        s.load(.rdx, word(w + 2))
        s.store(word(w + 2), 0)
      } else {
        s.move(.rax, 0)
        s.move(.rdx, UInt64(Tag.none.rawValue))
      }
      finishCall(i, w, 2)
      setValue(i.a)
    default: return
    }
    s.jump(done)
    s.place(other)
    // The general call wants its window again.
    s.address(.rcx, slot(w))
    s.move(.rdx, UInt64(i.c))
    s.place(untouched)
  }
  /// `iter(range(...))` of one or two ints without the range between: the next instruction makes the iterator.
  mutating func rangeIterator(_ k: Int, _ i: Instruction) {
    guard k + 1 < code.count, i.c == 1 || i.c == 2 else { return }
    let next = code.instructions[k + 1]
    guard next.op == .getIter, next.b == i.a, next.temporaries & 2 != 0,
      let (name, range) = likelyBuiltin(k, i, method: false), name == "range"
    else { return }
    let other = s.label()
    let untouched = s.label()
    let w = i.b + 1
    s.move(.rax, range)
    s.alu(.cmp, .rax, slot(i.b))
    s.jump(.notEqual, untouched)
    for r in 0..<i.c {
      s.compare1(word(w + r), Tag.int.rawValue)
      s.jump(.notEqual, untouched)
    }
    if i.c == 1 { s.move(.rdi, 0) } else { s.load(.rdi, slot(w)) }
    s.load(.rsi, slot(w + i.c - 1))
    s.move(.rax, UInt64(UInt(bitPattern: unsafeBitCast(rangeHelper, to: UnsafeRawPointer.self))))
    s.call(.rax)
    s.test(.rax, .rax)
    s.jump(.equal, other)
    s.move(.rdx, UInt64(Tag.iterator.rawValue))
    finishCall(i, w, 0)
    setValue(next.a)
    s.jump(labels[k + 2])
    s.place(other)
    s.address(.rcx, slot(w))
    s.move(.rdx, UInt64(i.c))
    s.place(untouched)
  }
  /// The name by which register b was loaded in the same straight piece of code, and the builtin that it means.
  private func likelyBuiltin(_ k: Int, _ i: Instruction, method: Bool) -> (String, UInt64)? {
    var n = k - 1
    while n >= 0, k - n < 24 {
      let j = code.instructions[n]
      switch j.op {
      case .loadMethod where j.a == i.b:
        guard method else { return nil }
        let name = code.constants[Int(j.c)]
        let type: Tag
        switch name.string {
        case "append", "pop": type = .list
        case "get": type = .dict
        default: return nil
        }
        let v = typeTable[Int(type.rawValue)].lookup(name.str)
        return v.tag == .builtin ? (name.string, v.bits) : nil
      case .loadGlobal where j.a == i.b, .loadGlobalCached where j.a == i.b,
        .loadBuiltinCached where j.a == i.b:
        guard !method else { return nil }
        let name = code.constants[Int(j.c)]
        guard name.string == "len" || name.string == "range",
          let v = core.pointee.builtins.dict.get(name.str),
          v.tag == .builtin || v.tag == .type
        else { return nil }
        return (name.string, v.bits)
      default: n -= 1
      }
    }
    return nil
  }
  private mutating func isCallee(_ i: Instruction, _ callee: UInt64, else other: CodeLabel) {
    s.move(.rax, callee)
    s.alu(.cmp, .rax, slot(i.b))
    s.jump(.notEqual, other)
    // After `loadMethod` of what is bound already the arguments begin one register later.
    s.compare1(word(i.b + 1), 0)
    s.jump(.equal, other)
  }
  /// Lets the callee and `n` arguments go; keeps rax and rdx.
  private mutating func finishCall(_ i: Instruction, _ w: UInt16, _ n: UInt16) {
    // Its module or class holds the callee too.
    s.load(.rcx, slot(i.b))
    s.decrement4(Memory(.rcx, 0))
    s.store(word(i.b), 0)
    for r in 0..<n { consumeTemporary(w + r) }
  }
  /// rax = the number of elements of register `r`.
  private mutating func length(_ r: UInt16, else other: CodeLabel) {
    let list = s.label()
    let notList = s.label()
    s.load1(.rcx, word(r))
    s.load(.rdi, slot(r))
    s.alu(.cmp, .rcx, Int32(Tag.list.rawValue))
    s.jump(.notEqual, notList)
    s.load(.rax, Memory(.rdi, Offsets.listCount))
    s.place(list)
    outOfLine { t in
      t.s.place(notList)
      for (tag, offset) in [
        (Tag.str, Offsets.strCount), (.tuple, Offsets.tupleCount), (.dict, Offsets.dictCount),
        (.set, Offsets.setCount),
      ] {
        let next = t.s.label()
        t.s.alu(.cmp, .rcx, Int32(tag.rawValue))
        t.s.jump(.notEqual, next)
        t.s.load(.rax, Memory(.rdi, offset))
        t.s.jump(list)
        t.s.place(next)
      }
      t.s.jump(other)
    }
  }
  /// Moves register w + 1 to the end of the list in register `w`.
  private mutating func append(_ w: UInt16, else other: CodeLabel) {
    s.compare1(word(w), Tag.list.rawValue)
    s.jump(.notEqual, other)
    s.load(.rdi, slot(w))
    s.load(.rcx, Memory(.rdi, Offsets.listCount))
    s.alu(.cmp, .rcx, Memory(.rdi, Offsets.listCapacity))
    s.jump(.greaterEqual, other)
    s.load(.rax, slot(w + 1))
    s.load(.rdx, word(w + 1))
    s.store(word(w + 1), 0)
    s.address(.rsi, Memory(.rcx, 1))
    s.store(Memory(.rdi, Offsets.listCount), .rsi)
    s.shiftLeft(.rcx, 4)
    s.alu(.add, .rcx, Memory(.rdi, Offsets.listItems))
    s.store(Memory(.rcx, 0), .rax)
    s.store(Memory(.rcx, 8), .rdx)
  }
}

/// Whether a dict or a set has an int or str key: 0 or 1, or -1 when code of the program would have to say.
private let containsHelper: @convention(c) (UnsafeMutableRawPointer, UInt64, UInt64) -> Int = {
  container, bits, word in
  let isInt = word == UInt64(Tag.int.rawValue)
  guard isInt || word == UInt64(Tag.str.rawValue) else { return -1 }
  let key = Value(tag: isInt ? .int : .str, bits: bits)
  let hash = key.tag == .int ? hashInt(key.asInt) : key.str.hashValue64
  if container.assumingMemoryBound(to: Header.self).pointee.kind == .set {
    let set = container.assumingMemoryBound(to: SetBody.self)
    let x = set.findPlain(key, hash)
    return x == -2 ? -1 : set.pointee.table[x].key.isUndefined ? 0 : 1
  }
  let dict = container.assumingMemoryBound(to: DictBody.self)
  let x = key.tag == .int ? dict.findInt(key.bits, hash) : dict.findStr(key.str)
  return x == -2 ? -1 : x >= 0 ? 1 : 0
}
/// An iterator over the ints from the first to before the second; 0 when there are too many to count.
private let rangeHelper: @convention(c) (Int, Int) -> UInt = { start, stop in
  let (count, overflow) = stop.subtractingReportingOverflow(start)
  if overflow { return 0 }
  let it = makePlainIterator(.range, .undefined, limit: max(count, 0), current: start, step: 1)
  return UInt(it.bits)
}
