// Machine code of arithmetic, comparisons and the jumps that depend on them.

extension Translator {
  private func operation(_ op: Op) -> (integer: ALU?, double: UInt8) {
    switch op {
    case .add, .inplaceAdd, .addImm, .inplaceAddImm: (.add, 0x58)
    case .subtract, .inplaceSubtract, .subtractImm, .inplaceSubtractImm: (.sub, 0x5C)
    default: (nil, 0x59)
    }
  }
  private mutating func isInt(_ r: UInt16, else l: CodeLabel) {
    s.compare1(word(r), Tag.int.rawValue)
    s.jump(.notEqual, l)
  }
  private mutating func isFloat(_ r: UInt16, else l: CodeLabel) {
    s.compare1(word(r), Tag.float.rawValue)
    s.jump(.notEqual, l)
  }

  /// `a = b op c` on ints and floats, whichever is likely in line.
  mutating func arithmetic(_ k: Int, _ i: Instruction) {
    let done = labels[k + 1]
    let failed = slow(k, done)
    let op = operation(i.op)
    let floats = likely(i.b, is: .float) || likely(i.c, is: .float)
    func integers(_ t: inout Translator, else l: CodeLabel) {
      t.isInt(i.b, else: l)
      t.isInt(i.c, else: l)
      t.s.load(.rax, t.slot(i.b))
      if let alu = op.integer {
        t.s.alu(alu, .rax, t.slot(i.c))
      } else {
        t.s.multiply(.rax, t.slot(i.c))
      }
      t.s.jump(.overflow, failed)
      t.setRax(i.a, .int)
    }
    func doubles(_ t: inout Translator, else l: CodeLabel) {
      let mixed = t.s.label()
      let right = t.s.label()
      let both = t.s.label()
      t.isFloat(i.b, else: mixed)
      t.s.loadDouble(0, t.slot(i.b))
      t.isFloat(i.c, else: right)
      t.s.double(op.double, 0, t.slot(i.c))
      t.s.place(both)
      t.setDouble(i.a)
      t.outOfLine { t in
        t.s.place(right)
        t.isInt(i.c, else: failed)
        t.s.convertToDouble(1, t.slot(i.c))
        t.s.double(op.double, 0, 1)
        t.s.jump(both)
        t.s.place(mixed)
        t.isInt(i.b, else: l)
        t.isFloat(i.c, else: l)
        t.s.convertToDouble(0, t.slot(i.b))
        t.s.double(op.double, 0, t.slot(i.c))
        t.s.jump(both)
      }
    }
    let other = s.label()
    if floats { doubles(&self, else: other) } else { integers(&self, else: other) }
    outOfLine { t in
      t.s.place(other)
      if floats { integers(&t, else: failed) } else { doubles(&t, else: failed) }
      t.s.jump(done)
    }
    expect(i.a, floats ? .float : .int)
  }
  /// `a = b op x`.
  mutating func immediate(_ k: Int, _ i: Instruction) {
    let done = labels[k + 1]
    let failed = slow(k, done)
    let op = operation(i.op)
    let floats = likely(i.b, is: .float)
    func integer(_ t: inout Translator, else l: CodeLabel) {
      t.isInt(i.b, else: l)
      t.s.load(.rax, t.slot(i.b))
      if let alu = op.integer { t.s.alu(alu, .rax, i.x) } else { t.s.multiply(.rax, i.x) }
      t.s.jump(.overflow, failed)
      t.setRax(i.a, .int)
    }
    func double(_ t: inout Translator, else l: CodeLabel) {
      t.isFloat(i.b, else: l)
      t.s.move(.rax, UInt64(bitPattern: Int64(i.x)))
      t.s.convertToDouble(1, .rax)
      t.s.loadDouble(0, t.slot(i.b))
      t.s.double(op.double, 0, 1)
      t.setDouble(i.a)
    }
    let other = s.label()
    if floats { double(&self, else: other) } else { integer(&self, else: other) }
    outOfLine { t in
      t.s.place(other)
      if floats { integer(&t, else: failed) } else { double(&t, else: failed) }
      t.s.jump(done)
    }
    expect(i.a, floats ? .float : .int)
  }
  mutating func divide(_ k: Int, _ i: Instruction) {
    let failed = slow(k, labels[k + 1])
    isFloat(i.b, else: failed)
    isFloat(i.c, else: failed)
    s.loadDouble(0, slot(i.b))
    s.loadDouble(1, slot(i.c))
    s.zeroDouble(2)
    s.compareDouble(1, 2)
    // Zero compares equal, nan unordered: both leave.
    s.jump(.equal, failed)
    s.double(0x5E, 0, 1)
    setDouble(i.a)
  }
  /// `//` and `%` by a positive int.
  mutating func floored(_ k: Int, _ i: Instruction, immediate: Bool) {
    let failed = slow(k, labels[k + 1])
    let isModulo = i.op == .modulo || i.op == .moduloImm
    isInt(i.b, else: failed)
    s.load(.rax, slot(i.b))
    if immediate {
      s.move(.rcx, UInt64(bitPattern: Int64(i.x)))
      if i.x > 0, i.x & (i.x - 1) == 0 {
        // A power of two: the floored quotient is a shift, the remainder the low bits.
        if isModulo {
          s.alu(.and, .rax, i.x - 1)
        } else {
          s.move(.rcx, UInt64(i.x.trailingZeroBitCount))
          s.shiftRightSigned(.rax)
        }
        setRax(i.a, .int)
        return
      }
    } else {
      isInt(i.c, else: failed)
      s.load(.rcx, slot(i.c))
      s.test(.rcx, .rcx)
      s.jump(.lessEqual, failed)
    }
    s.divide(.rcx)
    let exact = s.label()
    if isModulo {
      s.alu(.cmp, .rdx, 0)
      s.jump(.greaterEqual, exact)
      s.alu(.add, .rdx, .rcx)
      s.place(exact)
      s.move(.rax, .rdx)
    } else {
      s.alu(.cmp, .rdx, 0)
      s.jump(.greaterEqual, exact)
      s.alu(.sub, .rax, 1)
      s.place(exact)
    }
    setRax(i.a, .int)
  }
  mutating func bits(_ k: Int, _ i: Instruction) {
    let failed = slow(k, labels[k + 1])
    isInt(i.b, else: failed)
    isInt(i.c, else: failed)
    s.load(.rax, slot(i.b))
    s.alu(i.op == .bitAnd ? .and : i.op == .bitOr ? .or : .xor, .rax, slot(i.c))
    setRax(i.a, .int)
  }
  mutating func shift(_ k: Int, _ i: Instruction) {
    let failed = slow(k, labels[k + 1])
    isInt(i.b, else: failed)
    isInt(i.c, else: failed)
    s.load(.rcx, slot(i.c))
    s.alu(.cmp, .rcx, 63)
    s.jump(.above, failed)
    s.load(.rax, slot(i.b))
    if i.op == .leftShift {
      s.shiftLeft(.rax)
      s.move(.rdx, .rax)
      s.shiftRightSigned(.rdx)
      s.alu(.cmp, .rdx, slot(i.b))
      s.jump(.notEqual, failed)
    } else {
      s.shiftRightSigned(.rax)
    }
    setRax(i.a, .int)
  }
  mutating func negate(_ k: Int, _ i: Instruction) {
    let done = labels[k + 1]
    let failed = slow(k, done)
    let other = s.label()
    isInt(i.b, else: other)
    s.load(.rax, slot(i.b))
    s.negate(.rax)
    s.jump(.overflow, failed)
    setRax(i.a, .int)
    outOfLine { t in
      t.s.place(other)
      t.isFloat(i.b, else: failed)
      t.s.move(.rax, 1 << 63)
      t.s.alu(.xor, .rax, t.slot(i.b))
      t.setRax(i.a, .float)
      t.s.jump(done)
    }
  }
  mutating func not(_ k: Int, _ i: Instruction) {
    s.compare1(word(i.b), Tag.bool.rawValue)
    s.jump(.notEqual, slow(k, labels[k + 1]))
    s.load(.rax, slot(i.b))
    s.alu(.xor, .rax, 1)
    setRax(i.a, .bool)
  }

  // MARK: Comparisons

  private func conditions(_ op: Op) -> (integer: Condition, double: Condition, isSwapped: Bool) {
    switch op {
    case .equal, .jumpEqual, .jumpEqualImm: (.equal, .equal, false)
    case .notEqual, .jumpNotEqual, .jumpNotEqualImm: (.notEqual, .notEqual, false)
    // Unordered operands set carry, as below does: so "less" is "above" of the operands exchanged.
    case .less, .jumpLess, .jumpLessImm: (.less, .above, true)
    case .lessEqual, .jumpLessEqual, .jumpLessEqualImm: (.lessEqual, .aboveEqual, true)
    case .greater, .jumpGreater, .jumpGreaterImm: (.greater, .above, false)
    default: (.greaterEqual, .aboveEqual, false)
    }
  }
  private func opposite(_ c: Condition) -> Condition {
    switch c {
    case .equal: .notEqual
    case .notEqual: .equal
    case .less: .greaterEqual
    case .lessEqual: .greater
    case .greater: .lessEqual
    case .greaterEqual: .less
    case .above: .belowEqual
    case .aboveEqual: .below
    case .below: .aboveEqual
    case .belowEqual: .above
    case .parity: .noParity
    case .noParity: .parity
    default: .overflow
    }
  }
  /// `a = b op c`.
  mutating func compare(_ k: Int, _ i: Instruction) {
    let done = labels[k + 1]
    let failed = slow(k, done)
    let c = conditions(i.op)
    let other = s.label()
    let stored = s.label()
    isInt(i.b, else: other)
    isInt(i.c, else: other)
    s.load(.rax, slot(i.b))
    s.alu(.cmp, .rax, slot(i.c))
    s.set(.rax, if: c.integer)
    s.place(stored)
    setRax(i.a, .bool)
    outOfLine { t in
      t.s.place(other)
      t.isFloat(i.b, else: failed)
      t.isFloat(i.c, else: failed)
      t.s.loadDouble(0, t.slot(c.isSwapped ? i.c : i.b))
      t.s.compareDouble(0, t.slot(c.isSwapped ? i.b : i.c))
      t.s.set(.rax, if: c.double)
      if c.double == .equal {
        t.s.set(.rcx, if: .noParity)
        t.s.alu(.and, .rax, .rcx)
      } else if c.double == .notEqual {
        t.s.set(.rcx, if: .parity)
        t.s.alu(.or, .rax, .rcx)
      }
      t.s.jump(stored)
    }
  }
  /// Compares a with b or y and jumps when the result is c.
  mutating func compareJump(_ k: Int, _ i: Instruction, immediate: Bool) {
    let next = labels[k + 1]
    let c = conditions(i.op)
    let sense = i.c != 0
    let failed = s.label()
    let other = s.label()
    outOfLine { t in
      t.s.place(failed)
      t.jumpByHelper(k, next, t.target(k))
    }
    func integers(_ t: inout Translator, else l: CodeLabel) {
      t.isInt(i.a, else: l)
      if immediate {
        t.s.alu(.cmp, t.slot(i.a), Int32(bitPattern: i.y))
      } else {
        t.isInt(i.b, else: l)
        t.s.load(.rax, t.slot(i.a))
        t.s.alu(.cmp, .rax, t.slot(i.b))
      }
      t.jumpTarget(k, sense ? c.integer : t.opposite(c.integer))
    }
    func doubles(_ t: inout Translator, else l: CodeLabel) {
      t.isFloat(i.a, else: l)
      t.isFloat(i.b, else: l)
      t.s.loadDouble(0, t.slot(c.isSwapped ? i.b : i.a))
      t.s.compareDouble(0, t.slot(c.isSwapped ? i.a : i.b))
      switch (c.double, sense) {
      case (.equal, true), (.notEqual, false):
        t.s.jump(.parity, next)
        t.jumpTarget(k, .equal)
      case (.equal, false), (.notEqual, true):
        t.jumpTarget(k, .parity)
        t.jumpTarget(k, .notEqual)
      default: t.jumpTarget(k, sense ? c.double : t.opposite(c.double))
      }
    }
    if immediate {
      integers(&self, else: failed)
      return
    }
    let floats = likely(i.a, is: .float) || likely(i.b, is: .float)
    if floats { doubles(&self, else: other) } else { integers(&self, else: other) }
    outOfLine { t in
      t.s.place(other)
      if floats { integers(&t, else: failed) } else { doubles(&t, else: failed) }
      t.s.jump(next)
    }
  }
  /// rax and rdx the value of register `x`, rcx the tag of `y`; unassigned operands leave.
  private mutating func operands(_ x: UInt16, _ y: UInt16, else failed: CodeLabel) {
    s.load(.rdx, word(x))
    s.test(.rdx, .rdx)
    s.jump(.equal, failed)
    s.load(.rcx, word(y))
    s.test(.rcx, .rcx)
    s.jump(.equal, failed)
    s.load(.rax, slot(x))
  }
  mutating func isSame(_ k: Int, _ i: Instruction) {
    if i.temporaries & 6 != 0 {
      byHelper(k)
      return
    }
    let failed = slow(k, labels[k + 1])
    operands(i.b, i.c, else: failed)
    let negated = i.op == .isNotSame
    s.alu(.xor, .rax, slot(i.c))
    s.alu(.xor, .rdx, .rcx)
    s.alu(.or, .rax, .rdx)
    s.set(.rax, if: negated ? .notEqual : .equal)
    setRax(i.a, .bool)
  }
  mutating func jumpIs(_ k: Int, _ i: Instruction) {
    let next = labels[k + 1]
    let failed = s.label()
    outOfLine { t in
      t.s.place(failed)
      t.jumpByHelper(k, next, t.target(k))
    }
    if i.temporaries & 3 != 0 {
      // A temporary that holds a heap value is to be released.
      for (bit, r) in [(UInt8(1), i.a), (2, i.b)] where i.temporaries & bit != 0 {
        s.compare1(word(r), Tag.firstHeap)
        s.jump(.aboveEqual, failed)
      }
    }
    operands(i.a, i.b, else: failed)
    s.alu(.xor, .rax, slot(i.b))
    s.alu(.xor, .rdx, .rcx)
    s.alu(.or, .rax, .rdx)
    let whenSame = (i.c != 0) == (i.op == .jumpIs)
    jumpTarget(k, whenSame ? .equal : .notEqual)
  }
  mutating func jumpIf(_ k: Int, _ i: Instruction) {
    let next = labels[k + 1]
    let other = s.label()
    s.load1(.rax, word(i.a))
    s.alu(.sub, .rax, Int32(Tag.bool.rawValue))
    s.alu(.cmp, .rax, 1)
    s.jump(.above, other)
    s.alu(.cmp, slot(i.a), 0)
    jumpTarget(k, i.op == .jumpTrue ? .notEqual : .equal)
    outOfLine { t in
      t.s.place(other)
      t.jumpByHelper(k, next, t.target(k))
    }
  }
  mutating func jumpKeeping(_ k: Int, _ i: Instruction) {
    let next = labels[k + 1]
    let other = s.label()
    s.load1(.rax, word(i.a))
    s.alu(.sub, .rax, Int32(Tag.bool.rawValue))
    s.alu(.cmp, .rax, 1)
    s.jump(.above, other)
    s.alu(.cmp, slot(i.a), 0)
    s.jump(i.op == .jumpTrueKeep ? .notEqual : .equal, target(k))
    s.store(word(i.a), 0)
    outOfLine { t in
      t.s.place(other)
      t.jumpByHelper(k, next, t.target(k))
    }
  }
}
