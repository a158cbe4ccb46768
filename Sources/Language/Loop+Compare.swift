// Comparisons, membership and the jumps that depend on them.

extension Loop {
  /// `a = b op c`.
  @_transparent func compare(
    _ i: InstructionPtr, _ op: CompareOperator, _ int: (Int, Int) -> Bool,
    _ float: (Double, Double) -> Bool
  ) throws(LullError) {
    let l = b(i)
    let r = c(i)
    if l.tag == .int, r.tag == .int {
      set(a(i), Value(int(l.asInt, r.asInt)))
      return
    }
    if l.tag == .float, r.tag == .float {
      set(a(i), Value(float(l.asDouble, r.asDouble)))
      return
    }
    try compareAny(frame, i, op)
  }
  /// Compares a with b and jumps by `x` when the result is `c`.
  @_transparent mutating func compareJump(
    _ i: InstructionPtr, _ op: CompareOperator, _ int: (Int, Int) -> Bool,
    _ float: (Double, Double) -> Bool
  ) throws(LullError) {
    let l = a(i).pointee
    let r = b(i)
    let t: Bool
    if l.tag == .int, r.tag == .int {
      t = int(l.asInt, r.asInt)
    } else if l.tag == .float, r.tag == .float {
      t = float(l.asDouble, r.asDouble)
    } else {
      t = try compareAnyFused(frame, i, op)
    }
    try jump(i, if: t == (i.pointee.c != 0))
  }
  /// The two jumps for operands that are neither ints nor floats.
  @_transparent mutating func jumpAny(_ i: InstructionPtr, _ op: CompareOperator) throws(LullError)
  {
    let t = try compareAnyFused(frame, i, op)
    try jump(i, if: t == (i.pointee.c != 0))
  }
  @_transparent mutating func jumpAnyImmediate(_ i: InstructionPtr, _ op: CompareOperator)
    throws(LullError)
  {
    let t = try compareAnyImmediate(frame, i, op)
    try jump(i, if: t == (i.pointee.c != 0))
  }
  /// Compares a with `y` and jumps by `x` when the result is `c`.
  @_transparent mutating func compareJumpImmediate(
    _ i: InstructionPtr, _ op: CompareOperator, _ int: (Int, Int) -> Bool
  ) throws(LullError) {
    let l = a(i).pointee
    let t: Bool
    if l.tag == .int {
      t = int(l.asInt, Int(Int32(bitPattern: i.pointee.y)))
    } else {
      t = try compareAnyImmediate(frame, i, op)
    }
    try jump(i, if: t == (i.pointee.c != 0))
  }

  @_transparent func isSame(_ i: InstructionPtr, negated: Bool) throws(LullError) {
    let l = b(i)
    let r = c(i)
    if _slowPath(l.isUndefined || r.isUndefined) {
      throw unbound(frame, i, i.pointee.b, i.pointee.c)
    }
    let same = l.isSame(r)
    consumeB(i)
    consumeC(i)
    set(a(i), Value(same != negated))
  }
  @_transparent mutating func jumpIs(_ i: InstructionPtr, negated: Bool) throws(LullError) {
    let l = a(i).pointee
    let r = b(i)
    if _slowPath(l.isUndefined || r.isUndefined) {
      throw unbound(frame, i, i.pointee.a, i.pointee.b)
    }
    let t = l.isSame(r) != negated
    consumeA(i)
    consumeB(i)
    try jump(i, if: t == (i.pointee.c != 0))
  }
  @_transparent mutating func jumpIf(_ i: InstructionPtr, _ sense: Bool) throws(LullError) {
    let v = a(i).pointee
    let t: Bool
    if v.tag == .bool {
      t = v.asBool
    } else if v.tag == .int {
      t = v.asInt != 0
    } else {
      save()
      if _slowPath(v.isUndefined) { throw unboundLocal(frame, i.pointee.a) }
      t = try truth(v)
      consumeA(i)
    }
    try jump(i, if: t == sense)
  }
  /// Keeps the value when it jumps, drops it otherwise.
  @_transparent mutating func jumpKeeping(_ i: InstructionPtr, _ sense: Bool) throws(LullError) {
    let v = a(i).pointee
    let t: Bool
    if v.tag == .bool || v.tag == .int {
      t = v.bits != 0
    } else {
      save()
      if _slowPath(v.isUndefined) { throw unboundLocal(frame, i.pointee.a) }
      t = try truth(v)
    }
    if t == sense {
      ip = ip + Int(i.pointee.x)
    } else {
      set(a(i), .undefined)
    }
  }
}

/// `a = c in b` with the operands as the instruction has them: b the item, c the container.
@inline(never) func containsAny(_ frame: FramePtr, _ i: InstructionPtr, negated: Bool)
  throws(LullError)
{
  frame.pointee.ip = i + 1
  let regs = frame.pointee.regs
  let l = regs[Int(i.pointee.b)]
  let r = regs[Int(i.pointee.c)]
  if l.isUndefined || r.isUndefined { throw unbound(frame, i, i.pointee.b, i.pointee.c) }
  let found: Bool
  if r.tag == .dict, l.tag == .str || l.tag == .int {
    let x = l.tag == .str ? r.dict.findStr(l.str) : r.dict.findInt(l.bits, hashInt(l.asInt))
    found = x == -2 ? try containsValue(r, l) : x >= 0
  } else if r.tag == .set, l.tag == .int || l.tag == .str {
    let x = r.set.findPlain(l, try hashOf(l))
    found = x == -2 ? try containsValue(r, l) : !r.set.pointee.table[x].key.isUndefined
  } else {
    found = try containsValue(r, l)
  }
  frame.pointee.consume(i.pointee.b)
  frame.pointee.consume(i.pointee.c)
  set(regs + Int(i.pointee.a), Value(found != negated))
}
@inline(never) func compareAny(_ frame: FramePtr, _ i: InstructionPtr, _ op: CompareOperator)
  throws(LullError)
{
  frame.pointee.ip = i + 1
  let regs = frame.pointee.regs
  let v = try compareOperation(op, regs[Int(i.pointee.b)], regs[Int(i.pointee.c)], frame, i)
  frame.pointee.consume(i.pointee.b)
  frame.pointee.consume(i.pointee.c)
  set(regs + Int(i.pointee.a), v)
}
@inline(never) func compareAnyFused(_ frame: FramePtr, _ i: InstructionPtr, _ op: CompareOperator)
  throws(LullError) -> Bool
{
  frame.pointee.ip = i + 1
  let regs = frame.pointee.regs
  let v = try compareOperation(
    op, regs[Int(i.pointee.a)], regs[Int(i.pointee.b)], frame, i, fused: true)
  let t = v.tag == .bool ? v.asBool : try truthReleasing(v)
  frame.pointee.consume(i.pointee.a)
  frame.pointee.consume(i.pointee.b)
  return t
}
@inline(never) func compareAnyImmediate(
  _ frame: FramePtr, _ i: InstructionPtr, _ op: CompareOperator
) throws(LullError) -> Bool {
  frame.pointee.ip = i + 1
  let regs = frame.pointee.regs
  let r = Value(Int(Int32(bitPattern: i.pointee.y)))
  let v = try compareOperation(op, regs[Int(i.pointee.a)], r, frame, i, fused: true)
  let t = v.tag == .bool ? v.asBool : try truthReleasing(v)
  frame.pointee.consume(i.pointee.a)
  return t
}
