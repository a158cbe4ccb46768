// The machine's loop: its state and the small steps that every instruction is made of.
//
// A `Loop` lives in `runLoop` (Machine.swift), where the compiler keeps its fields in registers. Its
// methods are the instructions, one a case of `Op`, by concern: Loop+Names, Loop+Arithmetic,
// Loop+Compare, Loop+Data, Loop+Calls, Loop+Flow. They are `@_transparent`: the one attribute with
// which the compiler inlines into a function as large as `runLoop` (`@inline(__always)` gives up
// there, and then the Loop lies in memory: 1.4 times the time). What is not fast is a function of its
// own, never inlined, that gets the frame and the instruction and not the Loop.
//
// Reading: `l`/`r` are borrowed operands. `consume(x)` releases operand x if it is a temporary.
// `set(a, v)` stores an owned value and releases what was there.
import Glibc

typealias FramePtr = UnsafeMutablePointer<Frame>
typealias InstructionPtr = UnsafeMutablePointer<Instruction>
typealias Registers = UnsafeMutablePointer<Value>

struct Loop {
  /// The next instruction; saved to `frame.ip` before anything that may fail or run other code.
  var ip: InstructionPtr
  var regs: Registers
  // Nothing else is kept here: what lives across the calls of every instruction must be saved around
  // them, and these two fit the registers that calls preserve.
  @_transparent var frame: FramePtr { vm.pointee.frame.unsafelyUnwrapped }
  @_transparent var constants: UnsafeMutablePointer<Value> { frame.pointee.constants }
  @_transparent var isInterrupted: Bool { vm.pointee.interruptFlag != 0 }

  @_transparent init(_ frame: FramePtr) {
    ip = frame.pointee.ip
    regs = frame.pointee.regs
  }
  /// Continues with the machine's frame, which is `f`, where it stands.
  @_transparent mutating func enter(_ f: FramePtr) {
    ip = f.pointee.ip
    regs = f.pointee.regs
  }
  /// Continues in a frame that was just called, here or, when its code has become hot, in machine code.
  @_transparent mutating func start(_ f: FramePtr) {
    let head = f.pointee.head
    head.pointee.heat &-= 1
    if _slowPath(head.pointee.heat < 0), becomesMachineCode(f) {
      ip = vm.pointee.leaving
    } else {
      enter(f)
    }
  }
  /// A turn of a loop, which goes on at `target`: here or, when the code has become hot, in machine code.
  @_transparent mutating func turn(to target: InstructionPtr) {
    let f = frame
    let head = f.pointee.head
    head.pointee.heat &-= 1
    if _slowPath(head.pointee.heat < 0), becomesMachineCode(f) {
      f.pointee.ip = target
      ip = vm.pointee.leaving
    } else {
      ip = target
    }
  }
  /// After a return or a `yield`: the frame that goes on may have machine code.
  @_transparent mutating func resume() {
    let f = frame
    if _slowPath(f.pointee.head.pointee.table != nil) {
      f.pointee.ip = ip
      ip = vm.pointee.leaving
    }
  }
  @_transparent func a(_ i: InstructionPtr) -> Registers { regs + Int(i.pointee.a) }
  @_transparent func b(_ i: InstructionPtr) -> Value { regs[Int(i.pointee.b)] }
  @_transparent func c(_ i: InstructionPtr) -> Value { regs[Int(i.pointee.c)] }
  @_transparent func save() { frame.pointee.ip = ip }
  @_transparent func consumeA(_ i: InstructionPtr) {
    if i.pointee.temporaries & 1 != 0 { Language.consume(a(i)) }
  }
  @_transparent func consumeB(_ i: InstructionPtr) {
    if i.pointee.temporaries & 2 != 0 { Language.consume(regs + Int(i.pointee.b)) }
  }
  @_transparent func consumeC(_ i: InstructionPtr) {
    if i.pointee.temporaries & 4 != 0 { Language.consume(regs + Int(i.pointee.c)) }
  }
  @_transparent func takeA(_ i: InstructionPtr) -> Value {
    Language.take(a(i), i.pointee.temporaries & 1 != 0)
  }
  @_transparent func takeB(_ i: InstructionPtr) -> Value {
    Language.take(regs + Int(i.pointee.b), i.pointee.temporaries & 2 != 0)
  }
  @_transparent func takeC(_ i: InstructionPtr) -> Value {
    Language.take(regs + Int(i.pointee.c), i.pointee.temporaries & 4 != 0)
  }

  /// Jumps by `x` if `taken`; every loop passes here or through `forIter`, so that it can be
  /// interrupted.
  @_transparent mutating func jump(_ i: InstructionPtr, if taken: Bool) throws(LullError) {
    if taken {
      let x = Int(i.pointee.x)
      if x < 0, _slowPath(isInterrupted) {
        save()
        if let error = interruption() { throw error }
      }
      if x < 0 { turn(to: ip + x) } else { ip = ip + x }
    }
  }
}

/// Hints keep the usual way straight: every branch that is taken costs, and takes room in the
/// history by which the processor predicts the next dispatch. The store comes last, after the branch on what was there: an instruction that ends so gets a
/// dispatch of its own. (The generator of code copies the dispatch behind straight code only; where
/// a branch leads to it directly, all share one.)
@_transparent func set(_ p: Registers, _ v: Value) {
  if _slowPath(p.pointee.isHeap) {
    let old = p.pointee
    p.pointee.tag = .undefined
    old.release()
  }
  p.pointee = v
}
@_transparent func consume(_ p: Registers) {
  if p.pointee.isHeap {
    let v = p.pointee
    p.pointee.tag = .undefined
    v.release()
  }
}
extension Frame {
  @_transparent func consume(_ r: UInt16) {
    if r >= localCount { Language.consume(regs + Int(r)) }
  }
}
/// Moves a temporary out, or copies a local. Undefined when the local is unassigned.
@_transparent func take(_ p: Registers, _ isTemporary: Bool) -> Value {
  let v = p.pointee
  if isTemporary { p.pointee.tag = .undefined } else { v.retained() }
  return v
}
@_transparent func take(_ regs: Registers, _ r: UInt16, _ localCount: Int) -> Value {
  take(regs + Int(r), r >= localCount)
}
/// Releases values of the stack and leaves none behind: the place may lie in the temporaries of a
/// frame further out, which releases whatever is there when an error passes through it.
@_transparent func releaseArguments(_ p: Registers, _ n: Int) {
  var i = 0
  while i < n {
    if p[i].isHeap {
      let v = p[i]
      p[i].tag = .undefined
      v.release()
    }
    i &+= 1
  }
}

@inline(never) func unboundLocal(_ frame: FramePtr, _ r: UInt16) -> LullError {
  let code = frame.pointee.code.takeUnretainedValue()
  let name = Int(r) < code.localNames.count ? code.localNames[Int(r)] : "?"
  return LullError(
    "UnboundLocalError",
    "cannot access local variable '\(name)' where it is not associated with a value")
}
/// The same for the instruction `i`, whose place is saved first.
@inline(never) func unbound(_ frame: FramePtr, _ i: InstructionPtr, _ r: UInt16) -> LullError {
  frame.pointee.ip = i + 1
  return unboundLocal(frame, r)
}
/// For whichever of two operands is unassigned.
@inline(never) func unbound(_ frame: FramePtr, _ i: InstructionPtr, _ a: UInt16, _ b: UInt16)
  -> LullError
{
  unbound(frame, i, frame.pointee.regs[Int(a)].isUndefined ? a : b)
}
