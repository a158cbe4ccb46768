// Arithmetic instructions: ints and floats here, everything else out of line in Operators.swift.
import Glibc

extension Loop {
  /// `a = b op c` for the operators that ints and floats share. The closures must come straight from
  /// `runLoop`: through a second method they would stay calls.
  @_transparent func arithmetic(
    _ i: InstructionPtr, _ op: BinaryOperator, inplace: Bool,
    _ int: (Int, Int) -> (partialValue: Int, overflow: Bool),
    _ float: (Double, Double) -> Double
  ) throws(LullError) {
    let l = b(i)
    let r = c(i)
    if l.tag == .int, r.tag == .int {
      let (s, o) = int(l.asInt, r.asInt)
      if !o {
        set(a(i), Value(s))
        return
      }
    } else if l.tag == .float {
      if r.tag == .float {
        set(a(i), Value(float(l.asDouble, r.asDouble)))
        return
      }
      if r.tag == .int {
        set(a(i), Value(float(l.asDouble, Double(r.asInt))))
        return
      }
    } else if l.tag == .int, r.tag == .float {
      set(a(i), Value(float(Double(l.asInt), r.asDouble)))
      return
    }
    try operate(frame, i, op, inplace)
  }
  /// `a = b op x`.
  @_transparent func immediate(
    _ i: InstructionPtr, _ op: BinaryOperator, inplace: Bool,
    _ int: (Int, Int) -> (partialValue: Int, overflow: Bool),
    _ float: (Double, Double) -> Double
  ) throws(LullError) {
    let l = b(i)
    if l.tag == .int {
      let (s, o) = int(l.asInt, Int(i.pointee.x))
      if !o {
        set(a(i), Value(s))
        return
      }
    } else if l.tag == .float {
      set(a(i), Value(float(l.asDouble, Double(i.pointee.x))))
      return
    }
    try operateImmediate(frame, i, op, inplace)
  }
  /// The divisor of the immediate forms is positive.
  @_transparent func floorDivideImmediate(_ i: InstructionPtr) throws(LullError) {
    let l = b(i)
    if l.tag == .int {
      set(a(i), Value(floorQuotient(l.asInt, Int(i.pointee.x))))
      return
    }
    try operateImmediate(frame, i, .floorDivide, false)
  }
  @_transparent func moduloImmediate(_ i: InstructionPtr) throws(LullError) {
    let l = b(i)
    if l.tag == .int {
      set(a(i), Value(floorRemainder(l.asInt, Int(i.pointee.x))))
      return
    }
    try operateImmediate(frame, i, .modulo, false)
  }
  @_transparent func divide(_ i: InstructionPtr) throws(LullError) {
    let l = b(i)
    let r = c(i)
    if l.tag == .float, r.tag == .float, r.asDouble != 0 {
      set(a(i), Value(l.asDouble / r.asDouble))
      return
    }
    if l.tag == .float, r.tag == .int, r.asInt != 0 {
      set(a(i), Value(l.asDouble / Double(r.asInt)))
      return
    }
    if l.tag == .int, r.tag == .float, r.asDouble != 0 {
      set(a(i), Value(Double(l.asInt) / r.asDouble))
      return
    }
    if l.tag == .int, r.tag == .int, r.asInt != 0, l.asInt.magnitude < 1 << 53,
      r.asInt.magnitude < 1 << 53
    {
      set(a(i), Value(Double(l.asInt) / Double(r.asInt)))
      return
    }
    try operate(frame, i, .divide, i.pointee.x != 0)
  }
  @_transparent func floorDivide(_ i: InstructionPtr) throws(LullError) {
    let l = b(i)
    let r = c(i)
    if l.tag == .int, r.tag == .int, r.asInt > 0 {
      set(a(i), Value(floorQuotient(l.asInt, r.asInt)))
      return
    }
    try operate(frame, i, .floorDivide, i.pointee.x != 0)
  }
  @_transparent func modulo(_ i: InstructionPtr) throws(LullError) {
    let l = b(i)
    let r = c(i)
    if l.tag == .int, r.tag == .int, r.asInt > 0 {
      set(a(i), Value(floorRemainder(l.asInt, r.asInt)))
      return
    }
    try operate(frame, i, .modulo, i.pointee.x != 0)
  }
  @_transparent func bits(
    _ i: InstructionPtr, _ op: BinaryOperator, _ int: (Int, Int) -> Int
  ) throws(LullError) {
    let l = b(i)
    let r = c(i)
    if l.tag == .int, r.tag == .int {
      set(a(i), Value(int(l.asInt, r.asInt)))
      return
    }
    try operate(frame, i, op, i.pointee.x != 0)
  }
  @_transparent func shift(_ i: InstructionPtr, left: Bool) throws(LullError) {
    let l = b(i)
    let r = c(i)
    if l.tag == .int, r.tag == .int, r.asInt >= 0, r.asInt < 64 {
      let s = left ? l.asInt &<< r.asInt : l.asInt &>> r.asInt
      if !left || s &>> r.asInt == l.asInt {
        set(a(i), Value(s))
        return
      }
    }
    try operate(frame, i, left ? .leftShift : .rightShift, i.pointee.x != 0)
  }
  @_transparent func power(_ i: InstructionPtr) throws(LullError) {
    let l = b(i)
    let r = c(i)
    if l.tag == .float, r.tag == .float, l.asDouble > 0 {
      let p = pow(l.asDouble, r.asDouble)
      if p.isFinite {
        set(a(i), Value(p))
        return
      }
    }
    try operate(frame, i, .power, i.pointee.x != 0)
  }
  @_transparent func negate(_ i: InstructionPtr) throws(LullError) {
    let v = b(i)
    if v.tag == .float {
      set(a(i), Value(-v.asDouble))
      return
    }
    if v.tag == .int, v.asInt != Int.min {
      set(a(i), Value(0 &- v.asInt))
      return
    }
    try operate(frame, i, .negate)
  }
  @_transparent func not(_ i: InstructionPtr) throws(LullError) {
    let v = b(i)
    if v.tag == .bool {
      set(a(i), Value(!v.asBool))
      return
    }
    save()
    if v.isUndefined { throw unboundLocal(frame, i.pointee.b) }
    let t = try truth(v)
    consumeB(i)
    set(a(i), Value(!t))
  }
}

/// Floored division by a positive number.
@_transparent private func floorQuotient(_ n: Int, _ d: Int) -> Int {
  let q = n / d
  return n < 0 && q &* d != n ? q &- 1 : q
}
@_transparent private func floorRemainder(_ n: Int, _ d: Int) -> Int {
  let m = n % d
  return m < 0 ? m &+ d : m
}

/// `a = b op c` for any operands.
@inline(never) func operate(
  _ frame: FramePtr, _ i: InstructionPtr, _ op: BinaryOperator, _ inplace: Bool
) throws(LullError) {
  frame.pointee.ip = i + 1
  let regs = frame.pointee.regs
  let l = regs[Int(i.pointee.b)]
  let r = regs[Int(i.pointee.c)]
  if op == .add, l.tag == .str, r.tag == .str, l.header.pointee.count == 1, l.bits != r.bits,
    i.pointee.b >= frame.pointee.localCount || i.pointee.a == i.pointee.b
  {
    // Nobody else holds the left string: it grows in place.
    let v = try concatenateInPlace(l.str, r.str)
    regs[Int(i.pointee.b)].tag = .undefined
    frame.pointee.consume(i.pointee.c)
    set(regs + Int(i.pointee.a), v)
    return
  }
  let v: Value
  if op == .add, l.tag == .str, r.tag == .str {
    v = try concatenate(l.str, r.str)
  } else if inplace {
    v = try inplaceOperation(op, l, r, frame, i)
  } else {
    v = try binaryOperation(op, l, r, frame, i)
  }
  frame.pointee.consume(i.pointee.b)
  frame.pointee.consume(i.pointee.c)
  set(regs + Int(i.pointee.a), v)
}
/// `a = b op x` for any operand.
@inline(never) func operateImmediate(
  _ frame: FramePtr, _ i: InstructionPtr, _ op: BinaryOperator, _ inplace: Bool
) throws(LullError) {
  frame.pointee.ip = i + 1
  let regs = frame.pointee.regs
  let l = regs[Int(i.pointee.b)]
  let r = Value(Int(i.pointee.x))
  let v =
    inplace
    ? try inplaceOperation(op, l, r, frame, i) : try binaryOperation(op, l, r, frame, i)
  frame.pointee.consume(i.pointee.b)
  set(regs + Int(i.pointee.a), v)
}
/// `a = op b`.
@inline(never) func operate(_ frame: FramePtr, _ i: InstructionPtr, _ op: UnaryOperator)
  throws(LullError)
{
  frame.pointee.ip = i + 1
  let regs = frame.pointee.regs
  let v = regs[Int(i.pointee.b)]
  if v.isUndefined { throw unboundLocal(frame, i.pointee.b) }
  let n = try unaryOperation(op, v)
  frame.pointee.consume(i.pointee.b)
  set(regs + Int(i.pointee.a), n)
}
