// The machine's loop.
//
// `execute` runs frames until its entry frame ends. Calls between functions of the language do not
// recurse natively: they push a frame and go on. Fast paths (ints, floats, cached attributes) are
// written out here; everything else goes through Operators.swift and its neighbours, with
// `frame.ip` saved first so that errors, tracebacks and native code know the place.
//
// Reading: `l`/`r` are borrowed operands. `consume(x)` releases operand x if it is a temporary.
// `set(a, v)` stores an owned value and releases what was there.
import Glibc

@inline(__always) private func set(_ p: UnsafeMutablePointer<Value>, _ v: Value) {
  let old = p.pointee
  p.pointee = v
  old.release()
}
@inline(__always) private func consume(
  _ regs: UnsafeMutablePointer<Value>, _ r: UInt16, _ localCount: UInt16
) {
  if r >= localCount {
    let p = regs + Int(r)
    if p.pointee.isHeap {
      let v = p.pointee
      p.pointee.tag = .undefined
      v.release()
    }
  }
}
/// Moves a temporary out, or copies a local. Undefined when the local is unassigned.
@inline(__always) private func take(
  _ regs: UnsafeMutablePointer<Value>, _ r: UInt16, _ localCount: UInt16
) -> Value {
  let p = regs + Int(r)
  let v = p.pointee
  if r >= localCount { p.pointee.tag = .undefined } else { v.retained() }
  return v
}
/// Releases values of the stack and leaves none behind: the place may lie in the temporaries of a
/// frame further out, which releases whatever is there when an error passes through it.
@inline(__always) func releaseArguments(_ p: UnsafeMutablePointer<Value>, _ n: Int) {
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

@inline(never) func unboundLocal(_ frame: UnsafeMutablePointer<Frame>, _ r: UInt16) -> LullError {
  let code = frame.pointee.code.takeUnretainedValue()
  let name = Int(r) < code.localNames.count ? code.localNames[Int(r)] : "?"
  return LullError(
    "UnboundLocalError",
    "cannot access local variable '\(name)' where it is not associated with a value")
}
@inline(never) private func unboundOperand(
  _ frame: UnsafeMutablePointer<Frame>, _ a: UInt16, _ b: UInt16
) -> LullError {
  unboundLocal(frame, frame.pointee.regs[Int(a)].isUndefined ? a : b)
}

@inline(__always) private func dictHasStr(_ d: Value, _ k: Value) throws(LullError) -> Bool {
  let x = d.dict.findString(k.str)
  return x == -2 ? try containsValue(d, k) : x >= 0
}

/// With `throwing`, the frame continues by raising that error.
func execute(_ entry: UnsafeMutablePointer<Frame>, throwing: LullError? = nil)
  throws(LullError) -> Value
{
  var frame = entry
  if let throwing, !(try unwind(&frame, throwing)) { throw throwing }
  while true {
    do throws(LullError) {
      return try runLoop(&frame)
    } catch {
      // Unwind to a handler or out of the entry frame.
      frame = vm.pointee.frame ?? frame
      if !(try unwind(&frame, error)) { throw error }
    }
  }
}

/// Finds a handler, popping frames; false when the entry frame was left.
@inline(never) private func unwind(
  _ frame: inout UnsafeMutablePointer<Frame>, _ error: LullError
) throws(LullError) -> Bool {
  while true {
    let code = frame.pointee.code.takeUnretainedValue()
    let pc = max(0, frame.pointee.ip - code.instructions - 1)
    noteFrame(error, code, pc)
    var best: ExceptionRange?
    for r in code.ranges where r.start <= pc && pc < r.end {
      if best == nil || r.depth > best!.depth { best = r }
    }
    let regs = frame.pointee.regs
    if let r = best {
      for i in Int(frame.pointee.localCount)..<Int(frame.pointee.registerCount) {
        let v = regs[i]
        if v.isHeap {
          regs[i].tag = .undefined
          v.release()
        }
      }
      set(regs + Int(r.register), exceptionValue(error, caught: true))
      frame.pointee.ip = code.instructions + r.handler
      return true
    }
    let isEntry = frame.pointee.isEntry
    popFrame(frame)
    if isEntry { return false }
    guard let previous = vm.pointee.frame else { return false }
    frame = previous
  }
}

/// Ends a frame that does not return normally.
private func popFrame(_ frame: UnsafeMutablePointer<Frame>) {
  if let g = frame.pointee.generator {
    vm.pointee.frame = frame.pointee.previous
    vm.pointee.depth &-= 1
    g.pointee.isRunning = false
    freeGeneratorFrame(g)
    return
  }
  // A release may run the `finally` of a generator, whose calls take windows above the current
  // frame's top: this frame stays current until its registers are empty.
  clearRegisters(frame)
  frame.pointee.initResult.release()
  if let slot = frame.pointee.calleeSlot {
    let v = slot.pointee
    slot.pointee.tag = .undefined
    v.release()
  }
  vm.pointee.frame = frame.pointee.previous
  vm.pointee.depth &-= 1
  vm.pointee.frameTop = frame
}

// A long function: one case per instruction, in the order of `Op`.
private func runLoop(_ current: inout UnsafeMutablePointer<Frame>) throws(LullError) -> Value {
  var frame = current
  var ip = frame.pointee.ip
  var regs = frame.pointee.regs
  var constants = frame.pointee.constants
  var localCount = frame.pointee.localCount
  let interrupt = vm.pointee.interrupt

  while true {
    let i = ip
    ip = ip + 1
    let A = regs + Int(i.pointee.a)
    switch i.pointee.op {
    case .loadConst:
      set(A, constants[Int(i.pointee.b)].retained())
    case .loadInt:
      set(A, Value(Int(i.pointee.x)))
    case .move:
      let v = take(regs, i.pointee.b, localCount)
      if v.isUndefined {
        frame.pointee.ip = ip
        throw unboundLocal(frame, i.pointee.b)
      }
      set(A, v)
    case .clear:
      set(A, .undefined)
    case .checkLocal:
      if A.pointee.isUndefined {
        frame.pointee.ip = ip
        throw unboundLocal(frame, i.pointee.a)
      }
    case .deleteLocal:
      if A.pointee.isUndefined {
        frame.pointee.ip = ip
        throw unboundLocal(frame, i.pointee.a)
      }
      set(A, .undefined)

    case .loadGlobal:
      frame.pointee.ip = ip
      let name = constants[Int(i.pointee.c)].str
      set(A, try loadGlobal(frame, i, name).retained())
    case .loadGlobalCached:
      let x = Int(i.pointee.x)
      let g = frame.pointee.globals
      if x < g.pointee.used {
        let e = g.pointee.entries + x
        if e.pointee.key.bits == constants[Int(i.pointee.c)].bits {
          set(A, e.pointee.value.retained())
          continue
        }
      }
      i.pointee.op = .loadGlobal
      ip = i
    case .loadBuiltinCached:
      if frame.pointee.globals.pointee.keysVersion == i.pointee.y {
        let b = core.pointee.builtins.dict
        let x = Int(i.pointee.x)
        if x < b.pointee.used, b.pointee.entries[x].key.bits == constants[Int(i.pointee.c)].bits {
          set(A, b.pointee.entries[x].value.retained())
          continue
        }
      }
      i.pointee.op = .loadGlobal
      ip = i
    case .storeGlobal:
      let v = take(regs, i.pointee.a, localCount)
      if v.isUndefined {
        frame.pointee.ip = ip
        throw unboundLocal(frame, i.pointee.a)
      }
      let g = frame.pointee.globals
      let x = Int(i.pointee.x)
      if x > 0, x <= g.pointee.used,
        g.pointee.entries[x - 1].key.bits == constants[Int(i.pointee.c)].bits
      {
        let e = g.pointee.entries + (x - 1)
        let old = e.pointee.value
        e.pointee.value = v
        old.release()
      } else {
        let key = constants[Int(i.pointee.c)]
        g.set(key, v)
        i.pointee.x = Int32(truncatingIfNeeded: g.findStr(key.str) + 1)
      }
    case .deleteGlobal:
      frame.pointee.ip = ip
      let key = constants[Int(i.pointee.c)]
      let g = frame.pointee.globals
      let x = g.findStr(key.str)
      if x < 0 { throw nameError(key.string, frame) }
      g.removeEntry(x).release()
    case .loadName:
      frame.pointee.ip = ip
      let name = constants[Int(i.pointee.c)]
      if let v = frame.pointee.namespace.dict.get(name.str) {
        set(A, v.retained())
      } else {
        set(A, try loadGlobalSlow(frame, name.str).retained())
      }
    case .storeName:
      frame.pointee.ip = ip
      let v = take(regs, i.pointee.a, localCount)
      if v.isUndefined { throw unboundLocal(frame, i.pointee.a) }
      frame.pointee.namespace.dict.set(constants[Int(i.pointee.c)], v)
    case .deleteName:
      frame.pointee.ip = ip
      let key = constants[Int(i.pointee.c)]
      let d = frame.pointee.namespace.dict
      let x = d.findStr(key.str)
      if x < 0 { throw nameError(key.string, frame) }
      d.removeEntry(x).release()

    case .makeCell:
      A.pointee = makeCell(A.pointee)
    case .loadCell:
      let v = regs[Int(i.pointee.b)].cell.pointee.value
      if v.isUndefined {
        frame.pointee.ip = ip
        throw LullError(
          "UnboundLocalError",
          "cannot access local variable '\(constants[Int(i.pointee.c)].string)' where it is not "
            + "associated with a value")
      }
      set(A, v.retained())
    case .storeCell:
      let v = take(regs, i.pointee.a, localCount)
      if v.isUndefined {
        frame.pointee.ip = ip
        throw unboundLocal(frame, i.pointee.a)
      }
      let cell = regs[Int(i.pointee.b)].cell
      let old = cell.pointee.value
      cell.pointee.value = v
      old.release()
    case .deleteCell:
      let cell = regs[Int(i.pointee.b)].cell
      let old = cell.pointee.value
      if old.isUndefined {
        frame.pointee.ip = ip
        throw LullError(
          "UnboundLocalError",
          "cannot access local variable '\(constants[Int(i.pointee.c)].string)' where it is not "
            + "associated with a value")
      }
      cell.pointee.value = .undefined
      old.release()
    case .loadFree:
      let v = frame.pointee.cells.unsafelyUnwrapped[Int(i.pointee.b)].cell.pointee.value
      if v.isUndefined {
        frame.pointee.ip = ip
        throw freeVariableError(constants[Int(i.pointee.c)].string)
      }
      set(A, v.retained())
    case .storeFree:
      let v = take(regs, i.pointee.a, localCount)
      if v.isUndefined {
        frame.pointee.ip = ip
        throw unboundLocal(frame, i.pointee.a)
      }
      let cell = frame.pointee.cells.unsafelyUnwrapped[Int(i.pointee.b)].cell
      let old = cell.pointee.value
      cell.pointee.value = v
      old.release()
    case .deleteFree:
      let cell = frame.pointee.cells.unsafelyUnwrapped[Int(i.pointee.b)].cell
      let old = cell.pointee.value
      if old.isUndefined {
        frame.pointee.ip = ip
        throw freeVariableError(constants[Int(i.pointee.c)].string)
      }
      cell.pointee.value = .undefined
      old.release()
    case .loadClassFree:
      let name = constants[Int(i.pointee.c)]
      if let v = frame.pointee.namespace.dict.get(name.str) {
        set(A, v.retained())
      } else {
        let v = frame.pointee.cells.unsafelyUnwrapped[Int(i.pointee.b)].cell.pointee.value
        if v.isUndefined {
          frame.pointee.ip = ip
          throw freeVariableError(name.string)
        }
        set(A, v.retained())
      }

    case .add:
      let l = regs[Int(i.pointee.b)]
      let r = regs[Int(i.pointee.c)]
      if l.tag == .int, r.tag == .int {
        let (s, o) = l.asInt.addingReportingOverflow(r.asInt)
        if !o {
          set(A, Value(s))
          continue
        }
      } else if l.tag == .float {
        if r.tag == .float {
          set(A, Value(l.asDouble + r.asDouble))
          continue
        }
        if r.tag == .int {
          set(A, Value(l.asDouble + Double(r.asInt)))
          continue
        }
      } else if l.tag == .int, r.tag == .float {
        set(A, Value(Double(l.asInt) + r.asDouble))
        continue
      }
      if l.tag == .str, r.tag == .str, l.header.pointee.count == 1, l.bits != r.bits,
        i.pointee.b >= localCount || i.pointee.a == i.pointee.b
      {
        frame.pointee.ip = ip
        let v = try concatenateInPlace(l.str, r.str)
        regs[Int(i.pointee.b)].tag = .undefined
        consume(regs, i.pointee.c, localCount)
        set(A, v)
        continue
      }
      frame.pointee.ip = ip
      let v = try binaryOperation(.add, l, r, frame, i)
      consume(regs, i.pointee.b, localCount)
      consume(regs, i.pointee.c, localCount)
      set(A, v)
    case .subtract:
      let l = regs[Int(i.pointee.b)]
      let r = regs[Int(i.pointee.c)]
      if l.tag == .int, r.tag == .int {
        let (s, o) = l.asInt.subtractingReportingOverflow(r.asInt)
        if !o {
          set(A, Value(s))
          continue
        }
      } else if l.tag == .float {
        if r.tag == .float {
          set(A, Value(l.asDouble - r.asDouble))
          continue
        }
        if r.tag == .int {
          set(A, Value(l.asDouble - Double(r.asInt)))
          continue
        }
      } else if l.tag == .int, r.tag == .float {
        set(A, Value(Double(l.asInt) - r.asDouble))
        continue
      }
      frame.pointee.ip = ip
      let v = try binaryOperation(.subtract, l, r, frame, i)
      consume(regs, i.pointee.b, localCount)
      consume(regs, i.pointee.c, localCount)
      set(A, v)
    case .multiply:
      let l = regs[Int(i.pointee.b)]
      let r = regs[Int(i.pointee.c)]
      if l.tag == .int, r.tag == .int {
        let (s, o) = l.asInt.multipliedReportingOverflow(by: r.asInt)
        if !o {
          set(A, Value(s))
          continue
        }
      } else if l.tag == .float {
        if r.tag == .float {
          set(A, Value(l.asDouble * r.asDouble))
          continue
        }
        if r.tag == .int {
          set(A, Value(l.asDouble * Double(r.asInt)))
          continue
        }
      } else if l.tag == .int, r.tag == .float {
        set(A, Value(Double(l.asInt) * r.asDouble))
        continue
      }
      frame.pointee.ip = ip
      let v = try binaryOperation(.multiply, l, r, frame, i)
      consume(regs, i.pointee.b, localCount)
      consume(regs, i.pointee.c, localCount)
      set(A, v)
    case .inplaceAdd:
      let l = regs[Int(i.pointee.b)]
      let r = regs[Int(i.pointee.c)]
      if l.tag == .int, r.tag == .int {
        let (s, o) = l.asInt.addingReportingOverflow(r.asInt)
        if !o {
          set(A, Value(s))
          continue
        }
      } else if l.tag == .float {
        if r.tag == .float {
          set(A, Value(l.asDouble + r.asDouble))
          continue
        }
        if r.tag == .int {
          set(A, Value(l.asDouble + Double(r.asInt)))
          continue
        }
      } else if l.tag == .int, r.tag == .float {
        set(A, Value(Double(l.asInt) + r.asDouble))
        continue
      }
      if l.tag == .str, r.tag == .str, l.header.pointee.count == 1, l.bits != r.bits,
        i.pointee.b >= localCount || i.pointee.a == i.pointee.b
      {
        frame.pointee.ip = ip
        let v = try concatenateInPlace(l.str, r.str)
        regs[Int(i.pointee.b)].tag = .undefined
        consume(regs, i.pointee.c, localCount)
        set(A, v)
        continue
      }
      frame.pointee.ip = ip
      let v = try inplaceOperation(.add, l, r, frame, i)
      consume(regs, i.pointee.b, localCount)
      consume(regs, i.pointee.c, localCount)
      set(A, v)
    case .inplaceSubtract:
      let l = regs[Int(i.pointee.b)]
      let r = regs[Int(i.pointee.c)]
      if l.tag == .int, r.tag == .int {
        let (s, o) = l.asInt.subtractingReportingOverflow(r.asInt)
        if !o {
          set(A, Value(s))
          continue
        }
      } else if l.tag == .float {
        if r.tag == .float {
          set(A, Value(l.asDouble - r.asDouble))
          continue
        }
        if r.tag == .int {
          set(A, Value(l.asDouble - Double(r.asInt)))
          continue
        }
      } else if l.tag == .int, r.tag == .float {
        set(A, Value(Double(l.asInt) - r.asDouble))
        continue
      }
      frame.pointee.ip = ip
      let v = try inplaceOperation(.subtract, l, r, frame, i)
      consume(regs, i.pointee.b, localCount)
      consume(regs, i.pointee.c, localCount)
      set(A, v)
    case .inplaceMultiply:
      let l = regs[Int(i.pointee.b)]
      let r = regs[Int(i.pointee.c)]
      if l.tag == .int, r.tag == .int {
        let (s, o) = l.asInt.multipliedReportingOverflow(by: r.asInt)
        if !o {
          set(A, Value(s))
          continue
        }
      } else if l.tag == .float {
        if r.tag == .float {
          set(A, Value(l.asDouble * r.asDouble))
          continue
        }
        if r.tag == .int {
          set(A, Value(l.asDouble * Double(r.asInt)))
          continue
        }
      } else if l.tag == .int, r.tag == .float {
        set(A, Value(Double(l.asInt) * r.asDouble))
        continue
      }
      frame.pointee.ip = ip
      let v = try inplaceOperation(.multiply, l, r, frame, i)
      consume(regs, i.pointee.b, localCount)
      consume(regs, i.pointee.c, localCount)
      set(A, v)
    case .addImm:
      let l = regs[Int(i.pointee.b)]
      if l.tag == .int {
        let (s, o) = l.asInt.addingReportingOverflow(Int(i.pointee.x))
        if !o {
          set(A, Value(s))
          continue
        }
      } else if l.tag == .float {
        set(A, Value(l.asDouble + Double(i.pointee.x)))
        continue
      }
      frame.pointee.ip = ip
      let v = try binaryOperation(.add, l, Value(Int(i.pointee.x)), frame, i)
      consume(regs, i.pointee.b, localCount)
      set(A, v)
    case .inplaceAddImm:
      let l = regs[Int(i.pointee.b)]
      if l.tag == .int {
        let (s, o) = l.asInt.addingReportingOverflow(Int(i.pointee.x))
        if !o {
          set(A, Value(s))
          continue
        }
      } else if l.tag == .float {
        set(A, Value(l.asDouble + Double(i.pointee.x)))
        continue
      }
      frame.pointee.ip = ip
      let v = try inplaceOperation(.add, l, Value(Int(i.pointee.x)), frame, i)
      consume(regs, i.pointee.b, localCount)
      set(A, v)
    case .subtractImm:
      let l = regs[Int(i.pointee.b)]
      if l.tag == .int {
        let (s, o) = l.asInt.subtractingReportingOverflow(Int(i.pointee.x))
        if !o {
          set(A, Value(s))
          continue
        }
      } else if l.tag == .float {
        set(A, Value(l.asDouble - Double(i.pointee.x)))
        continue
      }
      frame.pointee.ip = ip
      let v = try binaryOperation(.subtract, l, Value(Int(i.pointee.x)), frame, i)
      consume(regs, i.pointee.b, localCount)
      set(A, v)
    case .inplaceSubtractImm:
      let l = regs[Int(i.pointee.b)]
      if l.tag == .int {
        let (s, o) = l.asInt.subtractingReportingOverflow(Int(i.pointee.x))
        if !o {
          set(A, Value(s))
          continue
        }
      } else if l.tag == .float {
        set(A, Value(l.asDouble - Double(i.pointee.x)))
        continue
      }
      frame.pointee.ip = ip
      let v = try inplaceOperation(.subtract, l, Value(Int(i.pointee.x)), frame, i)
      consume(regs, i.pointee.b, localCount)
      set(A, v)
    case .multiplyImm:
      let l = regs[Int(i.pointee.b)]
      if l.tag == .int {
        let (s, o) = l.asInt.multipliedReportingOverflow(by: Int(i.pointee.x))
        if !o {
          set(A, Value(s))
          continue
        }
      } else if l.tag == .float {
        set(A, Value(l.asDouble * Double(i.pointee.x)))
        continue
      }
      frame.pointee.ip = ip
      let v = try binaryOperation(.multiply, l, Value(Int(i.pointee.x)), frame, i)
      consume(regs, i.pointee.b, localCount)
      set(A, v)
    case .floorDivideImm:
      let l = regs[Int(i.pointee.b)]
      if l.tag == .int {
        let d = Int(i.pointee.x)
        let q = l.asInt / d
        set(A, Value(l.asInt < 0 && q &* d != l.asInt ? q - 1 : q))
        continue
      }
      frame.pointee.ip = ip
      let v = try binaryOperation(.floorDivide, l, Value(Int(i.pointee.x)), frame, i)
      consume(regs, i.pointee.b, localCount)
      set(A, v)
    case .moduloImm:
      let l = regs[Int(i.pointee.b)]
      if l.tag == .int {
        let d = Int(i.pointee.x)
        let m = l.asInt % d
        set(A, Value(m < 0 ? m + d : m))
        continue
      }
      frame.pointee.ip = ip
      let v = try binaryOperation(.modulo, l, Value(Int(i.pointee.x)), frame, i)
      consume(regs, i.pointee.b, localCount)
      set(A, v)
    case .divide:
      let l = regs[Int(i.pointee.b)]
      let r = regs[Int(i.pointee.c)]
      if l.tag == .float, r.tag == .float, r.asDouble != 0 {
        set(A, Value(l.asDouble / r.asDouble))
        continue
      }
      if l.tag == .int, r.tag == .int, r.asInt != 0, l.asInt.magnitude < 1 << 53,
        r.asInt.magnitude < 1 << 53
      {
        set(A, Value(Double(l.asInt) / Double(r.asInt)))
        continue
      }
      frame.pointee.ip = ip
      let v = try binaryOperation(.divide, l, r, frame, i)
      consume(regs, i.pointee.b, localCount)
      consume(regs, i.pointee.c, localCount)
      set(A, v)
    case .floorDivide:
      let l = regs[Int(i.pointee.b)]
      let r = regs[Int(i.pointee.c)]
      if l.tag == .int, r.tag == .int, r.asInt > 0 {
        let d = r.asInt
        let q = l.asInt / d
        set(A, Value(l.asInt < 0 && q &* d != l.asInt ? q - 1 : q))
        continue
      }
      frame.pointee.ip = ip
      let v = try binaryOperation(.floorDivide, l, r, frame, i)
      consume(regs, i.pointee.b, localCount)
      consume(regs, i.pointee.c, localCount)
      set(A, v)
    case .modulo:
      let l = regs[Int(i.pointee.b)]
      let r = regs[Int(i.pointee.c)]
      if l.tag == .int, r.tag == .int, r.asInt > 0 {
        let m = l.asInt % r.asInt
        set(A, Value(m < 0 ? m + r.asInt : m))
        continue
      }
      frame.pointee.ip = ip
      let v = try binaryOperation(.modulo, l, r, frame, i)
      consume(regs, i.pointee.b, localCount)
      consume(regs, i.pointee.c, localCount)
      set(A, v)
    case .bitAnd:
      let l = regs[Int(i.pointee.b)]
      let r = regs[Int(i.pointee.c)]
      if l.tag == .int, r.tag == .int {
        set(A, Value(l.asInt & r.asInt))
        continue
      }
      frame.pointee.ip = ip
      let v = try binaryOperation(.bitAnd, l, r, frame, i)
      consume(regs, i.pointee.b, localCount)
      consume(regs, i.pointee.c, localCount)
      set(A, v)
    case .bitOr:
      let l = regs[Int(i.pointee.b)]
      let r = regs[Int(i.pointee.c)]
      if l.tag == .int, r.tag == .int {
        set(A, Value(l.asInt | r.asInt))
        continue
      }
      frame.pointee.ip = ip
      let v = try binaryOperation(.bitOr, l, r, frame, i)
      consume(regs, i.pointee.b, localCount)
      consume(regs, i.pointee.c, localCount)
      set(A, v)
    case .bitXor:
      let l = regs[Int(i.pointee.b)]
      let r = regs[Int(i.pointee.c)]
      if l.tag == .int, r.tag == .int {
        set(A, Value(l.asInt ^ r.asInt))
        continue
      }
      frame.pointee.ip = ip
      let v = try binaryOperation(.bitXor, l, r, frame, i)
      consume(regs, i.pointee.b, localCount)
      consume(regs, i.pointee.c, localCount)
      set(A, v)
    case .matmul:
      let l = regs[Int(i.pointee.b)]
      let r = regs[Int(i.pointee.c)]
      frame.pointee.ip = ip
      let v = try binaryOperation(.matmul, l, r, frame, i)
      consume(regs, i.pointee.b, localCount)
      consume(regs, i.pointee.c, localCount)
      set(A, v)
    case .power:
      let l = regs[Int(i.pointee.b)]
      let r = regs[Int(i.pointee.c)]
      if l.tag == .float, r.tag == .float, l.asDouble > 0 {
        let p = pow(l.asDouble, r.asDouble)
        if p.isFinite {
          set(A, Value(p))
          continue
        }
      }
      frame.pointee.ip = ip
      let v = try binaryOperation(.power, l, r, frame, i)
      consume(regs, i.pointee.b, localCount)
      consume(regs, i.pointee.c, localCount)
      set(A, v)
    case .leftShift:
      let l = regs[Int(i.pointee.b)]
      let r = regs[Int(i.pointee.c)]
      frame.pointee.ip = ip
      let v = try binaryOperation(.leftShift, l, r, frame, i)
      consume(regs, i.pointee.b, localCount)
      consume(regs, i.pointee.c, localCount)
      set(A, v)
    case .rightShift:
      let l = regs[Int(i.pointee.b)]
      let r = regs[Int(i.pointee.c)]
      frame.pointee.ip = ip
      let v = try binaryOperation(.rightShift, l, r, frame, i)
      consume(regs, i.pointee.b, localCount)
      consume(regs, i.pointee.c, localCount)
      set(A, v)
    case .inplace:
      let l = regs[Int(i.pointee.b)]
      let r = regs[Int(i.pointee.c)]
      let op = BinaryOperator(rawValue: UInt8(truncatingIfNeeded: i.pointee.x)) ?? .add
      frame.pointee.ip = ip
      let v = try inplaceOperation(op, l, r, frame, i)
      consume(regs, i.pointee.b, localCount)
      consume(regs, i.pointee.c, localCount)
      set(A, v)
    case .equal:
      let l = regs[Int(i.pointee.b)]
      let r = regs[Int(i.pointee.c)]
      if l.tag == .int, r.tag == .int {
        set(A, Value(l.asInt == r.asInt))
        continue
      }
      if l.tag == .float, r.tag == .float {
        set(A, Value(l.asDouble == r.asDouble))
        continue
      }
      frame.pointee.ip = ip
      let v = try compareOperation(.equal, l, r, frame, i)
      consume(regs, i.pointee.b, localCount)
      consume(regs, i.pointee.c, localCount)
      set(A, v)
    case .notEqual:
      let l = regs[Int(i.pointee.b)]
      let r = regs[Int(i.pointee.c)]
      if l.tag == .int, r.tag == .int {
        set(A, Value(l.asInt != r.asInt))
        continue
      }
      if l.tag == .float, r.tag == .float {
        set(A, Value(l.asDouble != r.asDouble))
        continue
      }
      frame.pointee.ip = ip
      let v = try compareOperation(.notEqual, l, r, frame, i)
      consume(regs, i.pointee.b, localCount)
      consume(regs, i.pointee.c, localCount)
      set(A, v)
    case .less:
      let l = regs[Int(i.pointee.b)]
      let r = regs[Int(i.pointee.c)]
      if l.tag == .int, r.tag == .int {
        set(A, Value(l.asInt < r.asInt))
        continue
      }
      if l.tag == .float, r.tag == .float {
        set(A, Value(l.asDouble < r.asDouble))
        continue
      }
      frame.pointee.ip = ip
      let v = try compareOperation(.less, l, r, frame, i)
      consume(regs, i.pointee.b, localCount)
      consume(regs, i.pointee.c, localCount)
      set(A, v)
    case .lessEqual:
      let l = regs[Int(i.pointee.b)]
      let r = regs[Int(i.pointee.c)]
      if l.tag == .int, r.tag == .int {
        set(A, Value(l.asInt <= r.asInt))
        continue
      }
      if l.tag == .float, r.tag == .float {
        set(A, Value(l.asDouble <= r.asDouble))
        continue
      }
      frame.pointee.ip = ip
      let v = try compareOperation(.lessEqual, l, r, frame, i)
      consume(regs, i.pointee.b, localCount)
      consume(regs, i.pointee.c, localCount)
      set(A, v)
    case .greater:
      let l = regs[Int(i.pointee.b)]
      let r = regs[Int(i.pointee.c)]
      if l.tag == .int, r.tag == .int {
        set(A, Value(l.asInt > r.asInt))
        continue
      }
      if l.tag == .float, r.tag == .float {
        set(A, Value(l.asDouble > r.asDouble))
        continue
      }
      frame.pointee.ip = ip
      let v = try compareOperation(.greater, l, r, frame, i)
      consume(regs, i.pointee.b, localCount)
      consume(regs, i.pointee.c, localCount)
      set(A, v)
    case .greaterEqual:
      let l = regs[Int(i.pointee.b)]
      let r = regs[Int(i.pointee.c)]
      if l.tag == .int, r.tag == .int {
        set(A, Value(l.asInt >= r.asInt))
        continue
      }
      if l.tag == .float, r.tag == .float {
        set(A, Value(l.asDouble >= r.asDouble))
        continue
      }
      frame.pointee.ip = ip
      let v = try compareOperation(.greaterEqual, l, r, frame, i)
      consume(regs, i.pointee.b, localCount)
      consume(regs, i.pointee.c, localCount)
      set(A, v)
    case .isSame:
      let l = regs[Int(i.pointee.b)]
      let r = regs[Int(i.pointee.c)]
      if l.isUndefined || r.isUndefined {
        frame.pointee.ip = ip
        throw unboundOperand(frame, i.pointee.b, i.pointee.c)
      }
      let same = l.isSame(r)
      consume(regs, i.pointee.b, localCount)
      consume(regs, i.pointee.c, localCount)
      set(A, Value(same))
    case .isNotSame:
      let l = regs[Int(i.pointee.b)]
      let r = regs[Int(i.pointee.c)]
      if l.isUndefined || r.isUndefined {
        frame.pointee.ip = ip
        throw unboundOperand(frame, i.pointee.b, i.pointee.c)
      }
      let same = !l.isSame(r)
      consume(regs, i.pointee.b, localCount)
      consume(regs, i.pointee.c, localCount)
      set(A, Value(same))
    case .contains:
      let l = regs[Int(i.pointee.b)]
      let r = regs[Int(i.pointee.c)]
      frame.pointee.ip = ip
      if l.isUndefined || r.isUndefined {
        throw unboundOperand(frame, i.pointee.b, i.pointee.c)
      }
      let found =
        r.tag == .dict && l.tag == .str ? try dictHasStr(r, l) : try containsValue(r, l)
      consume(regs, i.pointee.b, localCount)
      consume(regs, i.pointee.c, localCount)
      set(A, Value(found))
    case .notContains:
      let l = regs[Int(i.pointee.b)]
      let r = regs[Int(i.pointee.c)]
      frame.pointee.ip = ip
      if l.isUndefined || r.isUndefined {
        throw unboundOperand(frame, i.pointee.b, i.pointee.c)
      }
      let found =
        !(r.tag == .dict && l.tag == .str ? try dictHasStr(r, l) : try containsValue(r, l))
      consume(regs, i.pointee.b, localCount)
      consume(regs, i.pointee.c, localCount)
      set(A, Value(found))

    case .jump:
      let x = Int(i.pointee.x)
      ip = ip + x
      if x < 0, interrupt.pointee != 0 {
        frame.pointee.ip = ip
        try interrupted()
      }
    case .jumpTrue, .jumpFalse:
      let v = A.pointee
      let t: Bool
      if v.tag == .bool {
        t = v.asBool
      } else {
        frame.pointee.ip = ip
        if v.isUndefined { throw unboundLocal(frame, i.pointee.a) }
        t = try truth(v)
        consume(regs, i.pointee.a, localCount)
      }
      if t == (i.pointee.op == .jumpTrue) {
        let x = Int(i.pointee.x)
        ip = ip + x
        if x < 0, interrupt.pointee != 0 {
          frame.pointee.ip = ip
          try interrupted()
        }
      }
    case .jumpTrueKeep, .jumpFalseKeep:
      let v = A.pointee
      let t: Bool
      if v.tag == .bool {
        t = v.asBool
      } else {
        frame.pointee.ip = ip
        if v.isUndefined { throw unboundLocal(frame, i.pointee.a) }
        t = try truth(v)
      }
      if t == (i.pointee.op == .jumpTrueKeep) {
        ip = ip + Int(i.pointee.x)
      } else {
        set(A, .undefined)
      }
    case .jumpEqual:
      let l = A.pointee
      let r = regs[Int(i.pointee.b)]
      let t: Bool
      if l.tag == .int, r.tag == .int {
        t = l.asInt == r.asInt
      } else if l.tag == .float, r.tag == .float {
        t = l.asDouble == r.asDouble
      } else {
        frame.pointee.ip = ip
        let v = try compareOperation(.equal, l, r, frame, i, fused: true)
        t = v.tag == .bool ? v.asBool : try truthReleasing(v)
        consume(regs, i.pointee.a, localCount)
        consume(regs, i.pointee.b, localCount)
      }
      if t == (i.pointee.c != 0) {
        let x = Int(i.pointee.x)
        ip = ip + x
        if x < 0, interrupt.pointee != 0 {
          frame.pointee.ip = ip
          try interrupted()
        }
      }
    case .jumpEqualImm:
      let l = A.pointee
      let t: Bool
      if l.tag == .int {
        t = l.asInt == Int(Int32(bitPattern: i.pointee.y))
      } else {
        frame.pointee.ip = ip
        let r = Value(Int(Int32(bitPattern: i.pointee.y)))
        let v = try compareOperation(.equal, l, r, frame, i, fused: true)
        t = v.tag == .bool ? v.asBool : try truthReleasing(v)
        consume(regs, i.pointee.a, localCount)
      }
      if t == (i.pointee.c != 0) {
        let x = Int(i.pointee.x)
        ip = ip + x
        if x < 0, interrupt.pointee != 0 {
          frame.pointee.ip = ip
          try interrupted()
        }
      }
    case .jumpNotEqual:
      let l = A.pointee
      let r = regs[Int(i.pointee.b)]
      let t: Bool
      if l.tag == .int, r.tag == .int {
        t = l.asInt != r.asInt
      } else if l.tag == .float, r.tag == .float {
        t = l.asDouble != r.asDouble
      } else {
        frame.pointee.ip = ip
        let v = try compareOperation(.notEqual, l, r, frame, i, fused: true)
        t = v.tag == .bool ? v.asBool : try truthReleasing(v)
        consume(regs, i.pointee.a, localCount)
        consume(regs, i.pointee.b, localCount)
      }
      if t == (i.pointee.c != 0) {
        let x = Int(i.pointee.x)
        ip = ip + x
        if x < 0, interrupt.pointee != 0 {
          frame.pointee.ip = ip
          try interrupted()
        }
      }
    case .jumpNotEqualImm:
      let l = A.pointee
      let t: Bool
      if l.tag == .int {
        t = l.asInt != Int(Int32(bitPattern: i.pointee.y))
      } else {
        frame.pointee.ip = ip
        let r = Value(Int(Int32(bitPattern: i.pointee.y)))
        let v = try compareOperation(.notEqual, l, r, frame, i, fused: true)
        t = v.tag == .bool ? v.asBool : try truthReleasing(v)
        consume(regs, i.pointee.a, localCount)
      }
      if t == (i.pointee.c != 0) {
        let x = Int(i.pointee.x)
        ip = ip + x
        if x < 0, interrupt.pointee != 0 {
          frame.pointee.ip = ip
          try interrupted()
        }
      }
    case .jumpLess:
      let l = A.pointee
      let r = regs[Int(i.pointee.b)]
      let t: Bool
      if l.tag == .int, r.tag == .int {
        t = l.asInt < r.asInt
      } else if l.tag == .float, r.tag == .float {
        t = l.asDouble < r.asDouble
      } else {
        frame.pointee.ip = ip
        let v = try compareOperation(.less, l, r, frame, i, fused: true)
        t = v.tag == .bool ? v.asBool : try truthReleasing(v)
        consume(regs, i.pointee.a, localCount)
        consume(regs, i.pointee.b, localCount)
      }
      if t == (i.pointee.c != 0) {
        let x = Int(i.pointee.x)
        ip = ip + x
        if x < 0, interrupt.pointee != 0 {
          frame.pointee.ip = ip
          try interrupted()
        }
      }
    case .jumpLessImm:
      let l = A.pointee
      let t: Bool
      if l.tag == .int {
        t = l.asInt < Int(Int32(bitPattern: i.pointee.y))
      } else {
        frame.pointee.ip = ip
        let r = Value(Int(Int32(bitPattern: i.pointee.y)))
        let v = try compareOperation(.less, l, r, frame, i, fused: true)
        t = v.tag == .bool ? v.asBool : try truthReleasing(v)
        consume(regs, i.pointee.a, localCount)
      }
      if t == (i.pointee.c != 0) {
        let x = Int(i.pointee.x)
        ip = ip + x
        if x < 0, interrupt.pointee != 0 {
          frame.pointee.ip = ip
          try interrupted()
        }
      }
    case .jumpLessEqual:
      let l = A.pointee
      let r = regs[Int(i.pointee.b)]
      let t: Bool
      if l.tag == .int, r.tag == .int {
        t = l.asInt <= r.asInt
      } else if l.tag == .float, r.tag == .float {
        t = l.asDouble <= r.asDouble
      } else {
        frame.pointee.ip = ip
        let v = try compareOperation(.lessEqual, l, r, frame, i, fused: true)
        t = v.tag == .bool ? v.asBool : try truthReleasing(v)
        consume(regs, i.pointee.a, localCount)
        consume(regs, i.pointee.b, localCount)
      }
      if t == (i.pointee.c != 0) {
        let x = Int(i.pointee.x)
        ip = ip + x
        if x < 0, interrupt.pointee != 0 {
          frame.pointee.ip = ip
          try interrupted()
        }
      }
    case .jumpLessEqualImm:
      let l = A.pointee
      let t: Bool
      if l.tag == .int {
        t = l.asInt <= Int(Int32(bitPattern: i.pointee.y))
      } else {
        frame.pointee.ip = ip
        let r = Value(Int(Int32(bitPattern: i.pointee.y)))
        let v = try compareOperation(.lessEqual, l, r, frame, i, fused: true)
        t = v.tag == .bool ? v.asBool : try truthReleasing(v)
        consume(regs, i.pointee.a, localCount)
      }
      if t == (i.pointee.c != 0) {
        let x = Int(i.pointee.x)
        ip = ip + x
        if x < 0, interrupt.pointee != 0 {
          frame.pointee.ip = ip
          try interrupted()
        }
      }
    case .jumpGreater:
      let l = A.pointee
      let r = regs[Int(i.pointee.b)]
      let t: Bool
      if l.tag == .int, r.tag == .int {
        t = l.asInt > r.asInt
      } else if l.tag == .float, r.tag == .float {
        t = l.asDouble > r.asDouble
      } else {
        frame.pointee.ip = ip
        let v = try compareOperation(.greater, l, r, frame, i, fused: true)
        t = v.tag == .bool ? v.asBool : try truthReleasing(v)
        consume(regs, i.pointee.a, localCount)
        consume(regs, i.pointee.b, localCount)
      }
      if t == (i.pointee.c != 0) {
        let x = Int(i.pointee.x)
        ip = ip + x
        if x < 0, interrupt.pointee != 0 {
          frame.pointee.ip = ip
          try interrupted()
        }
      }
    case .jumpGreaterImm:
      let l = A.pointee
      let t: Bool
      if l.tag == .int {
        t = l.asInt > Int(Int32(bitPattern: i.pointee.y))
      } else {
        frame.pointee.ip = ip
        let r = Value(Int(Int32(bitPattern: i.pointee.y)))
        let v = try compareOperation(.greater, l, r, frame, i, fused: true)
        t = v.tag == .bool ? v.asBool : try truthReleasing(v)
        consume(regs, i.pointee.a, localCount)
      }
      if t == (i.pointee.c != 0) {
        let x = Int(i.pointee.x)
        ip = ip + x
        if x < 0, interrupt.pointee != 0 {
          frame.pointee.ip = ip
          try interrupted()
        }
      }
    case .jumpGreaterEqual:
      let l = A.pointee
      let r = regs[Int(i.pointee.b)]
      let t: Bool
      if l.tag == .int, r.tag == .int {
        t = l.asInt >= r.asInt
      } else if l.tag == .float, r.tag == .float {
        t = l.asDouble >= r.asDouble
      } else {
        frame.pointee.ip = ip
        let v = try compareOperation(.greaterEqual, l, r, frame, i, fused: true)
        t = v.tag == .bool ? v.asBool : try truthReleasing(v)
        consume(regs, i.pointee.a, localCount)
        consume(regs, i.pointee.b, localCount)
      }
      if t == (i.pointee.c != 0) {
        let x = Int(i.pointee.x)
        ip = ip + x
        if x < 0, interrupt.pointee != 0 {
          frame.pointee.ip = ip
          try interrupted()
        }
      }
    case .jumpGreaterEqualImm:
      let l = A.pointee
      let t: Bool
      if l.tag == .int {
        t = l.asInt >= Int(Int32(bitPattern: i.pointee.y))
      } else {
        frame.pointee.ip = ip
        let r = Value(Int(Int32(bitPattern: i.pointee.y)))
        let v = try compareOperation(.greaterEqual, l, r, frame, i, fused: true)
        t = v.tag == .bool ? v.asBool : try truthReleasing(v)
        consume(regs, i.pointee.a, localCount)
      }
      if t == (i.pointee.c != 0) {
        let x = Int(i.pointee.x)
        ip = ip + x
        if x < 0, interrupt.pointee != 0 {
          frame.pointee.ip = ip
          try interrupted()
        }
      }
    case .jumpIs:
      let l = A.pointee
      let r = regs[Int(i.pointee.b)]
      if l.isUndefined || r.isUndefined {
        frame.pointee.ip = ip
        throw unboundOperand(frame, i.pointee.a, i.pointee.b)
      }
      let t = l.isSame(r)
      consume(regs, i.pointee.a, localCount)
      consume(regs, i.pointee.b, localCount)
      if t == (i.pointee.c != 0) {
        let x = Int(i.pointee.x)
        ip = ip + x
        if x < 0, interrupt.pointee != 0 {
          frame.pointee.ip = ip
          try interrupted()
        }
      }
    case .jumpIsNot:
      let l = A.pointee
      let r = regs[Int(i.pointee.b)]
      if l.isUndefined || r.isUndefined {
        frame.pointee.ip = ip
        throw unboundOperand(frame, i.pointee.a, i.pointee.b)
      }
      let t = !l.isSame(r)
      consume(regs, i.pointee.a, localCount)
      consume(regs, i.pointee.b, localCount)
      if t == (i.pointee.c != 0) {
        let x = Int(i.pointee.x)
        ip = ip + x
        if x < 0, interrupt.pointee != 0 {
          frame.pointee.ip = ip
          try interrupted()
        }
      }

    case .not:
      let v = regs[Int(i.pointee.b)]
      frame.pointee.ip = ip
      if v.isUndefined { throw unboundLocal(frame, i.pointee.b) }
      let t = v.tag == .bool ? v.asBool : try truth(v)
      consume(regs, i.pointee.b, localCount)
      set(A, Value(!t))
    case .negate:
      let v = regs[Int(i.pointee.b)]
      if v.tag == .float {
        set(A, Value(-v.asDouble))
        continue
      }
      frame.pointee.ip = ip
      if v.isUndefined { throw unboundLocal(frame, i.pointee.b) }
      let n = try unaryOperation(.negate, v)
      consume(regs, i.pointee.b, localCount)
      set(A, n)
    case .plus, .invert:
      let v = regs[Int(i.pointee.b)]
      frame.pointee.ip = ip
      if v.isUndefined { throw unboundLocal(frame, i.pointee.b) }
      let n = try unaryOperation(i.pointee.op == .plus ? .plus : .invert, v)
      consume(regs, i.pointee.b, localCount)
      set(A, n)

    case .makeList:
      let n = Int(i.pointee.c)
      let first = regs + Int(i.pointee.b)
      let v = makeList(from: first, count: n)
      for k in 0..<n { first[k].tag = .undefined }
      set(A, v)
    case .makeTuple:
      let n = Int(i.pointee.c)
      let first = regs + Int(i.pointee.b)
      if n == 0 {
        set(A, emptyTuple())
      } else {
        let v = makeTuple(from: first, count: n)
        for k in 0..<n { first[k].tag = .undefined }
        set(A, v)
      }
    case .makeSet:
      set(A, makeSet())
    case .makeDict:
      set(A, makeDict())
    case .makeString:
      let n = Int(i.pointee.c)
      let first = regs + Int(i.pointee.b)
      frame.pointee.ip = ip
      let v = try joinStrings(first, n)
      releaseArguments(first, n)
      set(A, v)
    case .makeSlice:
      let first = regs + Int(i.pointee.b)
      let v = makeSlice(first[0], first[1], first[2])
      for k in 0..<3 { first[k].tag = .undefined }
      set(A, v)
    case .listAppend:
      let v = take(regs, i.pointee.b, localCount)
      if v.isUndefined {
        frame.pointee.ip = ip
        throw unboundLocal(frame, i.pointee.b)
      }
      A.pointee.list.append(v)
    case .listExtend:
      frame.pointee.ip = ip
      let v = regs[Int(i.pointee.b)]
      if v.isUndefined { throw unboundLocal(frame, i.pointee.b) }
      if i.pointee.x == 1, !isIterable(v) {
        throw LullError.typeError(
          "\(callTitle(regs[Int(i.pointee.c)])) argument after * must be an iterable, not \(typeName(v))")
      }
      try extendList(A.pointee.list, v)
      consume(regs, i.pointee.b, localCount)
    case .setAdd:
      frame.pointee.ip = ip
      let v = regs[Int(i.pointee.b)]
      if v.isUndefined { throw unboundLocal(frame, i.pointee.b) }
      try A.pointee.set.add(v)
      consume(regs, i.pointee.b, localCount)
    case .setUpdate:
      frame.pointee.ip = ip
      let v = regs[Int(i.pointee.b)]
      if v.isUndefined { throw unboundLocal(frame, i.pointee.b) }
      try forEach(v) { (x) throws(LullError) in try A.pointee.set.add(x) }
      consume(regs, i.pointee.b, localCount)
    case .dictSet:
      frame.pointee.ip = ip
      let key = regs[Int(i.pointee.b)]
      let v = take(regs, i.pointee.c, localCount)
      if key.isUndefined || v.isUndefined {
        throw unboundLocal(frame, key.isUndefined ? i.pointee.b : i.pointee.c)
      }
      try A.pointee.dict.store(key, v)
      consume(regs, i.pointee.b, localCount)
    case .dictUpdate:
      frame.pointee.ip = ip
      let v = regs[Int(i.pointee.b)]
      if v.isUndefined { throw unboundLocal(frame, i.pointee.b) }
      try updateDict(A.pointee.dict, v, mappingOnly: true)
      consume(regs, i.pointee.b, localCount)
    case .dictMerge:
      frame.pointee.ip = ip
      let v = regs[Int(i.pointee.b)]
      if v.isUndefined { throw unboundLocal(frame, i.pointee.b) }
      try mergeKeywords(A.pointee.dict, v, callee: regs[Int(i.pointee.c)])
      consume(regs, i.pointee.b, localCount)
    case .listToTuple:
      let l = regs[Int(i.pointee.b)].list
      let v = makeTuple(from: l.pointee.items, count: l.pointee.count)
      l.pointee.count = 0
      consume(regs, i.pointee.b, localCount)
      set(A, v)

    case .getAttr:
      let o = regs[Int(i.pointee.b)]
      if o.tag == .instance {
        let p = o.instance
        if p.pointee.shape.pointee.id == i.pointee.y {
          let v = p.pointee.slots[Int(i.pointee.x)].retained()
          consume(regs, i.pointee.b, localCount)
          set(A, v)
          continue
        }
      }
      frame.pointee.ip = ip
      if o.isUndefined { throw unboundLocal(frame, i.pointee.b) }
      let v = try getAttributeCaching(o, constants[Int(i.pointee.c)], i)
      consume(regs, i.pointee.b, localCount)
      set(A, v)
    case .setAttr:
      let o = A.pointee
      let v = take(regs, i.pointee.b, localCount)
      if v.isUndefined {
        frame.pointee.ip = ip
        throw unboundLocal(frame, i.pointee.b)
      }
      if o.tag == .instance {
        let p = o.instance
        if p.pointee.shape.pointee.id == i.pointee.y {
          if i.pointee.x >= 0 {
            set(p.pointee.slots + Int(i.pointee.x), v)
            consume(regs, i.pointee.a, localCount)
            continue
          }
        }
      }
      frame.pointee.ip = ip
      if o.isUndefined {
        v.release()
        throw unboundLocal(frame, i.pointee.a)
      }
      try setAttributeCaching(o, constants[Int(i.pointee.c)], v, i)
      consume(regs, i.pointee.a, localCount)
    case .deleteAttr:
      frame.pointee.ip = ip
      let o = A.pointee
      if o.isUndefined { throw unboundLocal(frame, i.pointee.a) }
      try deleteAttribute(o, constants[Int(i.pointee.c)])
      consume(regs, i.pointee.a, localCount)

    case .getItem:
      let o = regs[Int(i.pointee.b)]
      let k = regs[Int(i.pointee.c)]
      if k.tag == .int {
        if o.tag == .list {
          let l = o.list
          var x = k.asInt
          if x < 0 { x &+= l.pointee.count }
          if x >= 0, x < l.pointee.count {
            let v = l.pointee.items[x].retained()
            consume(regs, i.pointee.b, localCount)
            set(A, v)
            continue
          }
        } else if o.tag == .tuple {
          let t = o.tuple
          var x = k.asInt
          if x < 0 { x &+= t.pointee.count }
          if x >= 0, x < t.pointee.count {
            let v = t.items[x].retained()
            consume(regs, i.pointee.b, localCount)
            set(A, v)
            continue
          }
        }
      } else if o.tag == .dict, k.tag == .str {
        let x = o.dict.findString(k.str)
        if x >= 0 {
          let v = o.dict.pointee.entries[x].value.retained()
          consume(regs, i.pointee.b, localCount)
          consume(regs, i.pointee.c, localCount)
          set(A, v)
          continue
        }
      }
      frame.pointee.ip = ip
      if o.isUndefined || k.isUndefined {
        throw unboundOperand(frame, i.pointee.b, i.pointee.c)
      }
      let v = try getItem(o, k)
      consume(regs, i.pointee.b, localCount)
      consume(regs, i.pointee.c, localCount)
      set(A, v)
    case .getItemImm:
      let o = regs[Int(i.pointee.b)]
      if o.tag == .list {
        let l = o.list
        var x = Int(i.pointee.x)
        if x < 0 { x &+= l.pointee.count }
        if x >= 0, x < l.pointee.count {
          let v = l.pointee.items[x].retained()
          consume(regs, i.pointee.b, localCount)
          set(A, v)
          continue
        }
      } else if o.tag == .tuple {
        let t = o.tuple
        var x = Int(i.pointee.x)
        if x < 0 { x &+= t.pointee.count }
        if x >= 0, x < t.pointee.count {
          let v = t.items[x].retained()
          consume(regs, i.pointee.b, localCount)
          set(A, v)
          continue
        }
      }
      frame.pointee.ip = ip
      if o.isUndefined { throw unboundLocal(frame, i.pointee.b) }
      let v = try getItem(o, Value(Int(i.pointee.x)))
      consume(regs, i.pointee.b, localCount)
      set(A, v)
    case .setItemImm:
      let o = A.pointee
      if o.tag == .list {
        let l = o.list
        var x = Int(i.pointee.x)
        if x < 0 { x &+= l.pointee.count }
        if x >= 0, x < l.pointee.count {
          let v = take(regs, i.pointee.c, localCount)
          if !v.isUndefined {
            set(l.pointee.items + x, v)
            consume(regs, i.pointee.a, localCount)
            continue
          }
        }
      }
      frame.pointee.ip = ip
      let v = regs[Int(i.pointee.c)]
      if v.isUndefined { throw unboundLocal(frame, i.pointee.c) }
      if o.isUndefined { throw unboundLocal(frame, i.pointee.a) }
      try setItem(o, Value(Int(i.pointee.x)), v)
      consume(regs, i.pointee.a, localCount)
      consume(regs, i.pointee.c, localCount)
    case .setItem:
      let o = A.pointee
      let k = regs[Int(i.pointee.b)]
      if o.tag == .dict, k.tag == .str {
        let d = o.dict
        let x = d.findString(k.str)
        if x != -2 {
          let v = take(regs, i.pointee.c, localCount)
          if !v.isUndefined {
            if x >= 0 {
              let old = d.pointee.entries[x].value
              d.pointee.entries[x].value = v
              old.release()
            } else {
              d.insertNew(k.retained(), k.str.hashValue64, v)
            }
            consume(regs, i.pointee.a, localCount)
            consume(regs, i.pointee.b, localCount)
            continue
          }
        }
      }
      if o.tag == .list, k.tag == .int {
        let l = o.list
        var x = k.asInt
        if x < 0 { x &+= l.pointee.count }
        if x >= 0, x < l.pointee.count {
          let v = take(regs, i.pointee.c, localCount)
          if !v.isUndefined {
            set(l.pointee.items + x, v)
            consume(regs, i.pointee.a, localCount)
            continue
          }
        }
      }
      frame.pointee.ip = ip
      let v = regs[Int(i.pointee.c)]
      if v.isUndefined { throw unboundLocal(frame, i.pointee.c) }
      if o.isUndefined || k.isUndefined {
        throw unboundOperand(frame, i.pointee.a, i.pointee.b)
      }
      try setItem(o, k, v)
      consume(regs, i.pointee.a, localCount)
      consume(regs, i.pointee.b, localCount)
      consume(regs, i.pointee.c, localCount)
    case .deleteItem:
      frame.pointee.ip = ip
      let o = A.pointee
      let k = regs[Int(i.pointee.b)]
      if o.isUndefined || k.isUndefined {
        throw unboundOperand(frame, i.pointee.a, i.pointee.b)
      }
      try deleteItem(o, k)
      consume(regs, i.pointee.a, localCount)
      consume(regs, i.pointee.b, localCount)

    case .call, .callMethod:
      let slot = regs + Int(i.pointee.b)
      var w = slot + 1
      var argc = Int(i.pointee.c)
      if i.pointee.op == .callMethod, w.pointee.isUndefined {
        w = w + 1
        argc &-= 1
      }
      frame.pointee.ip = ip
      if interrupt.pointee != 0 { try interrupted() }
      var callee = slot.pointee
      if callee.tag == .boundMethod {
        let m = callee.method
        var k = argc
        while k > 0 {
          w[k] = w[k - 1]
          k &-= 1
        }
        w[0] = m.pointee.receiver.retained()
        slot.pointee = m.pointee.function.retained()
        callee.release()
        callee = slot.pointee
        argc &+= 1
      }
      var initResult = Value.undefined
      if callee.tag == .type {
        let t = callee.typeObject
        if t.pointee.isUserDefined, t.pointee.kind == .instance {
          if t.pointee.initVersion != t.pointee.version {
            t.pointee.initVersion = t.pointee.version
            let f = t.lookup(.__init__)
            t.pointee.initFunction =
              f.tag == .function && t.lookup(.__new__).isUndefined ? f : .undefined
          }
          let f = t.pointee.initFunction
          if f.tag == .function {
            initResult = makeInstance(t)
            var k = argc
            while k > 0 {
              w[k] = w[k - 1]
              k &-= 1
            }
            w[0] = initResult.retained()
            slot.pointee = f.retained()
            callee.release()
            callee = f
            argc &+= 1
          }
        } else if !t.pointee.isUserDefined, !t.pointee.isException,
          t != typeTable[Int(Tag.type.rawValue)], let c = t.pointee.constructor
        {
          let v = try c.call(w, argc)
          releaseArguments(slot, argc + (w - slot))
          set(regs + Int(i.pointee.a), v)
          continue
        }
      }
      if callee.tag == .function {
        let f = callee.function
        let isSimple = f.pointee.code._withUnsafeGuaranteedRef {
          $0.isSimple && argc == $0.positionalCount
        }
        if frame.pointee.generator != nil {
          // A generator's registers are not on the stack, and end soon after its temporaries: the
          // arguments move to where there is room for the callee's.
          let v = frame.pointee.top + 1
          for k in 0..<argc {
            v[k] = w[k]
            w[k].tag = .undefined
          }
          w = v
        }
        let bound: Int
        if isSimple {
          bound = argc
        } else {
          do throws(LullError) {
            try bindArguments(f, w, argc, nil, 0)
          } catch {
            releaseArguments(w, argc)
            initResult.release()
            throw error
          }
          bound = f.pointee.codeOwner.parameterCount
          if f.pointee.codeOwner.isGenerator {
            let g = makeGenerator(f, w, bound: bound)
            set(slot, .undefined)
            set(regs + Int(i.pointee.a), g)
            continue
          }
        }
        let new: UnsafeMutablePointer<Frame>
        do throws(LullError) {
          new = try pushFrame(f, w, bound: bound)
        } catch {
          releaseArguments(w, bound)
          initResult.release()
          throw error
        }
        new.pointee.calleeSlot = slot
        new.pointee.returnRegister = i.pointee.a
        new.pointee.initResult = initResult
        frame = new
        ip = frame.pointee.ip
        regs = w
        constants = frame.pointee.constants
        localCount = frame.pointee.localCount
        continue
      }
      if callee.tag == .builtin {
        let b = callee.body(BuiltinBody.self)
        let v = try b.pointee.builtin.call(w, argc)
        releaseArguments(slot, argc + (w - slot))
        set(regs + Int(i.pointee.a), v)
        continue
      }
      if callee.isUndefined { throw unboundLocal(frame, i.pointee.b) }
      slot.pointee.tag = .undefined
      let v: Value
      do throws(LullError) {
        v = try callOwned(callee, w, argc, nil, 0)
      } catch {
        callee.release()
        throw error
      }
      callee.release()
      set(regs + Int(i.pointee.a), v)
    case .callKeywords:
      frame.pointee.ip = ip
      let slot = regs + Int(i.pointee.b)
      let names = constants[Int(i.pointee.x)].tuple
      let callee = slot.pointee
      slot.pointee.tag = .undefined
      let v: Value
      do throws(LullError) {
        v = try callOwned(
          callee, slot + 1, Int(i.pointee.c), names.items, names.pointee.count)
      } catch {
        callee.release()
        throw error
      }
      callee.release()
      set(regs + Int(i.pointee.a), v)
    case .callUnpacked:
      frame.pointee.ip = ip
      let callee = regs[Int(i.pointee.x)]
      let list = regs[Int(i.pointee.b)].list
      let dict = i.pointee.c == noRegister ? nil : Optional(regs[Int(i.pointee.c)].dict)
      let v = try callUnpacked(callee, list, dict)
      consume(regs, i.pointee.b, localCount)
      if i.pointee.c != noRegister { consume(regs, i.pointee.c, localCount) }
      consume(regs, UInt16(truncatingIfNeeded: i.pointee.x), localCount)
      set(A, v)
    case .loadMethod:
      let o = A[1]
      let id =
        o.tag == .instance
        ? o.instance.pointee.shape.pointee.id
        : o.isUndefined ? 0 : o.type.pointee.version
      if id == i.pointee.y, id != 0 {
        let cache = frame.pointee.code._withUnsafeGuaranteedRef { $0.caches }
        set(A, cache[Int(i.pointee.b)].retained())
        continue
      }
      frame.pointee.ip = ip
      try loadMethod(frame, A, constants[Int(i.pointee.c)], i)

    case .return:
      var v = A.pointee
      if v.isUndefined {
        frame.pointee.ip = ip
        throw unboundLocal(frame, i.pointee.a)
      }
      A.pointee.tag = .undefined
      if !frame.pointee.initResult.isUndefined {
        if !v.isNone {
          frame.pointee.ip = ip
          let e = LullError.typeError("__init__() should return None, not '\(typeName(v))'")
          v.release()
          throw e
        }
        v = frame.pointee.initResult
      }
      let done = frame
      let isEntry = done.pointee.isEntry
      let m = vm
      if let g = done.pointee.generator {
        let previous = done.pointee.previous
        let inline = done.pointee.isInlineFor
        m.pointee.frame = previous
        m.pointee.depth &-= 1
        g.pointee.isRunning = false
        freeGeneratorFrame(g)
        if isEntry || !inline {
          g.pointee.returned.release()
          g.pointee.returned = v
          return .undefined
        }
        v.release()
        frame = previous.unsafelyUnwrapped
        ip = frame.pointee.ip
        regs = frame.pointee.regs
        constants = frame.pointee.constants
        localCount = frame.pointee.localCount
        continue
      }
      // No temporary is alive here.
      releaseArguments(regs, Int(localCount))
      let previous = done.pointee.previous
      let returnRegister = Int(done.pointee.returnRegister)
      m.pointee.frame = previous
      m.pointee.frameTop = done
      m.pointee.depth &-= 1
      if isEntry {
        return v
      }
      // From here on `done` may be another call's frame: the release may run user code.
      if let slot = done.pointee.calleeSlot {
        let f = slot.pointee
        slot.pointee.tag = .undefined
        f.release()
      }
      frame = previous.unsafelyUnwrapped
      ip = frame.pointee.ip
      regs = frame.pointee.regs
      constants = frame.pointee.constants
      localCount = frame.pointee.localCount
      set(regs + returnRegister, v)
    case .yield:
      let v = take(regs, i.pointee.b, localCount)
      frame.pointee.ip = ip
      if v.isUndefined { throw unboundLocal(frame, i.pointee.b) }
      frame.pointee.returnRegister = i.pointee.a
      let done = frame
      vm.pointee.frame = done.pointee.previous
      vm.pointee.depth &-= 1
      done.pointee.generator.unsafelyUnwrapped.pointee.isRunning = false
      if done.pointee.isEntry || !done.pointee.isInlineFor { return v }
      frame = done.pointee.previous.unsafelyUnwrapped
      ip = frame.pointee.ip
      regs = frame.pointee.regs
      constants = frame.pointee.constants
      localCount = frame.pointee.localCount
      // The `for` instruction that resumed the generator.
      let f = ip - 1
      set(regs + Int(f.pointee.a), v)
      ip = ip + Int(f.pointee.x)
    case .yieldFrom:
      frame.pointee.ip = ip
      let it = regs[Int(i.pointee.b)]
      let g = frame.pointee.generator.unsafelyUnwrapped
      let resumed = g.pointee.isDelegating
      let sent = resumed && !A.pointee.isUndefined ? A.pointee : Value.none
      switch try delegate(it, sent) {
      case .yielded(let v):
        // Run this instruction again when resumed; `a` then holds what was sent.
        frame.pointee.ip = i
        g.pointee.isDelegating = true
        frame.pointee.returnRegister = i.pointee.a
        let done = frame
        vm.pointee.frame = done.pointee.previous
        vm.pointee.depth &-= 1
        done.pointee.generator.unsafelyUnwrapped.pointee.isRunning = false
        if done.pointee.isEntry || !done.pointee.isInlineFor { return v }
        frame = done.pointee.previous.unsafelyUnwrapped
        ip = frame.pointee.ip
        regs = frame.pointee.regs
        constants = frame.pointee.constants
        localCount = frame.pointee.localCount
        let f = ip - 1
        set(regs + Int(f.pointee.a), v)
        ip = ip + Int(f.pointee.x)
      case .returned(let v):
        g.pointee.isDelegating = false
        set(A, v)
      }

    case .getIter:
      frame.pointee.ip = ip
      let v = regs[Int(i.pointee.b)]
      if v.isUndefined { throw unboundLocal(frame, i.pointee.b) }
      let it = try makeIterator(v)
      consume(regs, i.pointee.b, localCount)
      set(A, it)
    case .forIter:
      if interrupt.pointee != 0 {
        frame.pointee.ip = ip
        try interrupted()
      }
      let it = regs[Int(i.pointee.b)]
      if it.tag == .iterator {
        let p = it.iterator
        if p.pointee.kind == .range {
          let n = p.pointee.index
          if n < p.pointee.limit {
            p.pointee.index = n &+ 1
            let v = p.pointee.current
            p.pointee.current = v &+ p.pointee.step
            set(A, Value(v))
            ip = ip + Int(i.pointee.x)
          }
          continue
        }
        if p.pointee.kind == .list {
          let l = p.pointee.a.list
          let n = p.pointee.index
          if n < l.pointee.count {
            p.pointee.index = n &+ 1
            set(A, l.pointee.items[n].retained())
            ip = ip + Int(i.pointee.x)
          } else {
            p.pointee.index = Int.max
          }
          continue
        }
        frame.pointee.ip = ip
        let v = try nextNative(p)
        if !v.isUndefined {
          set(regs + Int(i.pointee.a), v)
          ip = ip + Int(i.pointee.x)
        }
        continue
      }
      frame.pointee.ip = ip
      if it.tag == .generator, !it.body(GeneratorBody.self).pointee.isRunning {
        let g = it.body(GeneratorBody.self)
        guard let f = g.pointee.frame else { continue }
        let m = vm
        m.pointee.depth &+= 1
        if m.pointee.depth > m.pointee.recursionLimit {
          m.pointee.depth &-= 1
          throw recursionError()
        }
        f.pointee.previous = frame
        f.pointee.isEntry = false
        f.pointee.isInlineFor = true
        f.pointee.top = frame.pointee.top
        if g.pointee.isStarted {
          set(f.pointee.regs + Int(f.pointee.returnRegister), .none)
        }
        g.pointee.isStarted = true
        g.pointee.isRunning = true
        m.pointee.frame = f
        frame = f
        ip = frame.pointee.ip
        regs = frame.pointee.regs
        constants = frame.pointee.constants
        localCount = frame.pointee.localCount
        continue
      }
      let v = try iteratorNext(it)
      if !v.isUndefined {
        set(A, v)
        ip = ip + Int(i.pointee.x)
      }
    case .unpack:
      let v = regs[Int(i.pointee.b)]
      let n = Int(i.pointee.c)
      if v.tag == .tuple, v.tuple.pointee.count == n {
        let t = take(regs, i.pointee.b, localCount)
        for k in 0..<n { set(A + k, t.tuple.items[k].retained()) }
        t.release()
        continue
      }
      frame.pointee.ip = ip
      let source = take(regs, i.pointee.b, localCount)
      if source.isUndefined { throw unboundLocal(frame, i.pointee.b) }
      do throws(LullError) {
        try unpack(source, A, n)
      } catch {
        source.release()
        throw error
      }
      source.release()
    case .unpackStar:
      frame.pointee.ip = ip
      let source = take(regs, i.pointee.b, localCount)
      if source.isUndefined { throw unboundLocal(frame, i.pointee.b) }
      do throws(LullError) {
        try unpackStar(source, A, Int(i.pointee.x), Int(i.pointee.y))
      } catch {
        source.release()
        throw error
      }
      source.release()

    case .raise:
      frame.pointee.ip = ip
      if A.pointee.isUndefined { throw unboundLocal(frame, i.pointee.a) }
      let cause = i.pointee.b == noRegister ? Value.undefined : regs[Int(i.pointee.b)]
      throw try raiseError(A.pointee, cause)
    case .reraise:
      frame.pointee.ip = ip
      let e = i.pointee.a == noRegister ? vm.pointee.handled : A.pointee
      if e.tag != .exception { throw LullError.runtime("No active exception to reraise") }
      throw wrap(e)
    case .pushHandled:
      let e = regs[Int(i.pointee.b)].retained()
      set(A, vm.pointee.handled)
      vm.pointee.handled = e
    case .popHandled:
      let e = A.pointee
      A.pointee.tag = .undefined
      let old = vm.pointee.handled
      vm.pointee.handled = e
      old.release()
    case .matchException:
      frame.pointee.ip = ip
      let t = regs[Int(i.pointee.c)]
      if t.isUndefined { throw unboundLocal(frame, i.pointee.c) }
      let m = try matches(regs[Int(i.pointee.b)], t)
      consume(regs, i.pointee.c, localCount)
      set(A, Value(m))
    case .assertFail:
      frame.pointee.ip = ip
      throw assertionError(i.pointee.a == noRegister ? .undefined : A.pointee)
    case .withEnter:
      frame.pointee.ip = ip
      let manager = regs[Int(i.pointee.c)]
      if manager.isUndefined { throw unboundLocal(frame, i.pointee.c) }
      let (exit, value) = try enterContext(manager)
      set(regs + Int(i.pointee.b), exit)
      consume(regs, i.pointee.c, localCount)
      set(A, value)
    case .withExit:
      frame.pointee.ip = ip
      let exit = regs[Int(i.pointee.b)]
      let e = i.pointee.c == noRegister ? Value.undefined : regs[Int(i.pointee.c)]
      let v = try exitContext(exit, e)
      set(A, Value(v))
    case .format:
      frame.pointee.ip = ip
      let v = regs[Int(i.pointee.b)]
      if v.isUndefined { throw unboundLocal(frame, i.pointee.b) }
      let spec = i.pointee.c == noRegister ? Value.undefined : regs[Int(i.pointee.c)]
      let s = try formatPart(v, spec, UInt8(truncatingIfNeeded: i.pointee.x))
      consume(regs, i.pointee.b, localCount)
      if i.pointee.c != noRegister { consume(regs, i.pointee.c, localCount) }
      set(A, s)
    case .makeFunction:
      frame.pointee.ip = ip
      let defaults = i.pointee.c == noRegister ? .undefined : take(regs, i.pointee.c, localCount)
      let keywords =
        i.pointee.x < 0
        ? .undefined : take(regs, UInt16(truncatingIfNeeded: i.pointee.x), localCount)
      set(A, makeFunction(frame, constants[Int(i.pointee.b)], defaults, keywords))
    case .makeClass:
      frame.pointee.ip = ip
      let n = Int(i.pointee.x)
      let base = n > 0 ? regs[Int(i.pointee.c)] : .undefined
      if n > 0, base.isUndefined { throw unboundLocal(frame, i.pointee.c) }
      let keywords = i.pointee.y == 1 ? regs[Int(i.pointee.c) + n] : .undefined
      let v = try makeClass(frame, constants[Int(i.pointee.b)], base, keywords)
      if n > 0 { consume(regs, i.pointee.c, localCount) }
      if i.pointee.y == 1 { consume(regs, i.pointee.c + UInt16(n), localCount) }
      set(A, v)
    case .loadSuper:
      frame.pointee.ip = ip
      let type = frame.pointee.cells.unsafelyUnwrapped[Int(i.pointee.b)].cell.pointee.value
      var me = regs[Int(i.pointee.c)]
      if i.pointee.x == 1 { me = me.cell.pointee.value }
      set(A, try makeSuper(type, me))
    case .importName:
      frame.pointee.ip = ip
      let name = constants[Int(i.pointee.c)].string
      let v = try importModule(
        name, level: Int(i.pointee.x), globals: frame.pointee.globals, top: i.pointee.y == 1)
      set(regs + Int(i.pointee.a), v)
    case .importFrom:
      frame.pointee.ip = ip
      set(A, try importFrom(regs[Int(i.pointee.b)], constants[Int(i.pointee.c)]))
    case .importStar:
      frame.pointee.ip = ip
      try importStar(regs[Int(i.pointee.b)], frame.pointee.globals)
    case .nop: break
    }
  }
}
