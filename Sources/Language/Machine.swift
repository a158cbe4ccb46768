// The machine: running frames, and unwinding them when an error passes through.
//
// `execute` runs frames until its entry frame ends. Calls between functions of the language do not
// recurse natively: they push a frame and go on. The instructions themselves are methods of `Loop`
// (Loop.swift).
import Glibc

/// With `throwing`, the frame continues by raising that error.
func execute(_ entry: FramePtr, throwing: LullError? = nil)
  throws(LullError) -> Value
{
  var frame = entry
  if let throwing, !(try unwind(&frame, throwing)) { throw throwing }
  while true {
    do throws(LullError) {
      return try run(frame)
    } catch {
      // Unwind to a handler or out of the entry frame.
      frame = vm.pointee.frame ?? frame
      if !(try unwind(&frame, error)) { throw error }
    }
  }
}

/// Runs from a frame until its entry frame ends: in machine code where there is some, else in the loop.
private func run(_ start: FramePtr) throws(LullError) -> Value {
  var frame = start
  let head = frame.pointee.head
  if head.pointee.table == nil {
    head.pointee.heat &-= 1
    if _slowPath(head.pointee.heat < 0) { _ = becomesMachineCode(frame) }
  }
  while true {
    if frame.pointee.head.pointee.table != nil {
      let v = try runMachineCode()
      if v.tag != .unusedRow { return v }
      frame = vm.pointee.frame.unsafelyUnwrapped
    }
    let v = try runLoop(frame)
    if v.tag != .unusedRow { return v }
    frame = vm.pointee.frame.unsafelyUnwrapped
  }
}

/// Finds a handler, popping frames; false when the entry frame was left.
@inline(never) private func unwind(
  _ frame: inout FramePtr, _ error: LullError
) throws(LullError) -> Bool {
  while true {
    let head = frame.pointee.head
    let pc = max(0, frame.pointee.ip - head.pointee.instructions - 1)
    noteFrame(error, frame, frame.pointee.code.takeUnretainedValue(), pc)
    var innermost: UnsafeMutablePointer<ExceptionRange>?
    if let first = head.pointee.ranges.baseAddress {
      var r = first
      let end = first + head.pointee.ranges.count
      while r < end {
        if r.pointee.start <= pc, pc < r.pointee.end,
          r.pointee.depth > innermost?.pointee.depth ?? Int.min
        {
          innermost = r
        }
        r += 1
      }
    }
    if let r = innermost {
      let regs = frame.pointee.regs
      releaseArguments(
        regs + head.pointee.localCount, head.pointee.registerCount - head.pointee.localCount)
      set(regs + Int(r.pointee.register), exceptionValue(error, caught: true))
      frame.pointee.ip = head.pointee.instructions + r.pointee.handler
      return true
    }
    let isEntry = frame.pointee.flags & Frame.fromNative != 0
    popFrame(frame)
    if isEntry { return false }
    guard let previous = vm.pointee.frame else { return false }
    frame = previous
  }
}

/// Ends a frame that does not return normally.
private func popFrame(_ frame: FramePtr) {
  if frame.pointee.flags & Frame.ofGenerator != 0, let g = frame.pointee.generator {
    vm.pointee.frame = frame.pointee.previous
    vm.pointee.depth &-= 1
    g.pointee.isRunning = false
    freeGeneratorFrame(g)
    return
  }
  // A release may run the `finally` of a generator, whose calls take windows above the current
  // frame's top: this frame stays current until its registers are empty.
  clearRegisters(frame)
  if frame.pointee.flags & Frame.ofInitializer != 0 { frame.pointee.initResult.release() }
  if let slot = frame.pointee.calleeSlot {
    let v = slot.pointee
    slot.pointee.tag = .undefined
    v.release()
  }
  vm.pointee.frame = frame.pointee.previous
  vm.pointee.depth &-= 1
  vm.pointee.frameTop = frame
}

/// Runs from a frame until its entry frame ends, or the current frame goes on in machine code (the value then has the
/// tag `unusedRow`). One case per instruction; what an instruction does
/// stands in the method of the same name.
private func runLoop(_ start: FramePtr) throws(LullError) -> Value {
  var loop = Loop(start)
  while true {
    let i = loop.ip
    loop.ip = i + 1
    switch i.pointee.op {
    case .loadConst: set(loop.a(i), loop.constants[Int(i.pointee.b)].retained())
    case .loadInt: set(loop.a(i), Value(Int(i.pointee.x)))
    case .move:
      let v = loop.takeB(i)
      if v.isUndefined { throw unbound(loop.frame, i, i.pointee.b) }
      set(loop.a(i), v)
    case .clear: set(loop.a(i), .undefined)
    case .checkLocal:
      if loop.a(i).pointee.isUndefined { throw unbound(loop.frame, i, i.pointee.a) }
    case .deleteLocal:
      if loop.a(i).pointee.isUndefined { throw unbound(loop.frame, i, i.pointee.a) }
      set(loop.a(i), .undefined)

    case .loadGlobal: try loop.loadGlobal(i)
    case .storeGlobal: try loop.storeGlobal(i)
    case .deleteGlobal: try loop.deleteGlobal(i)
    case .loadName: try loop.loadName(i)
    case .storeName: try loop.storeName(i)
    case .deleteName: try loop.deleteName(i)
    case .loadGlobalCached: loop.loadGlobalCached(i)
    case .loadBuiltinCached: loop.loadBuiltinCached(i)
    case .makeCell: loop.a(i).pointee = makeCell(loop.a(i).pointee)
    case .loadCell: try loop.loadCell(i)
    case .storeCell: try loop.storeCell(i)
    case .deleteCell: try loop.deleteCell(i)
    case .loadFree: try loop.loadFree(i)
    case .storeFree: try loop.storeFree(i)
    case .deleteFree: try loop.deleteFree(i)
    case .loadClassFree: try loop.loadClassFree(i)

    case .add:
      try loop.arithmetic(i, .add, inplace: false, { $0.addingReportingOverflow($1) }, { $0 + $1 })
    case .subtract:
      try loop.arithmetic(
        i, .subtract, inplace: false, { $0.subtractingReportingOverflow($1) }, { $0 - $1 })
    case .multiply:
      try loop.arithmetic(
        i, .multiply, inplace: false, { $0.multipliedReportingOverflow(by: $1) }, { $0 * $1 })
    case .inplaceAdd:
      try loop.arithmetic(i, .add, inplace: true, { $0.addingReportingOverflow($1) }, { $0 + $1 })
    case .inplaceSubtract:
      try loop.arithmetic(
        i, .subtract, inplace: true, { $0.subtractingReportingOverflow($1) }, { $0 - $1 })
    case .inplaceMultiply:
      try loop.arithmetic(
        i, .multiply, inplace: true, { $0.multipliedReportingOverflow(by: $1) }, { $0 * $1 })
    case .addImm:
      try loop.immediate(i, .add, inplace: false, { $0.addingReportingOverflow($1) }, { $0 + $1 })
    case .inplaceAddImm:
      try loop.immediate(i, .add, inplace: true, { $0.addingReportingOverflow($1) }, { $0 + $1 })
    case .subtractImm:
      try loop.immediate(
        i, .subtract, inplace: false, { $0.subtractingReportingOverflow($1) }, { $0 - $1 })
    case .inplaceSubtractImm:
      try loop.immediate(
        i, .subtract, inplace: true, { $0.subtractingReportingOverflow($1) }, { $0 - $1 })
    case .multiplyImm:
      try loop.immediate(
        i, .multiply, inplace: false, { $0.multipliedReportingOverflow(by: $1) }, { $0 * $1 })
    case .floorDivideImm: try loop.floorDivideImmediate(i)
    case .moduloImm: try loop.moduloImmediate(i)
    case .divide: try loop.divide(i)
    case .floorDivide: try loop.floorDivide(i)
    case .modulo: try loop.modulo(i)
    case .power: try loop.power(i)
    case .negate: try loop.negate(i)
    case .not: try loop.not(i)
    case .matmul: try operate(loop.frame, i, .matmul, i.pointee.x != 0)
    case .bitAnd: try loop.bits(i, .bitAnd, &)
    case .bitOr: try loop.bits(i, .bitOr, |)
    case .bitXor: try loop.bits(i, .bitXor, ^)
    case .leftShift: try loop.shift(i, left: true)
    case .rightShift: try loop.shift(i, left: false)
    case .plus: try operate(loop.frame, i, .plus)
    case .invert: try operate(loop.frame, i, .invert)

    case .equal: try loop.compare(i, .equal, { $0 == $1 }, { $0 == $1 })
    case .jumpEqual: try loop.compareJump(i, .equal, { $0 == $1 }, { $0 == $1 })
    case .jumpEqualImm: try loop.compareJumpImmediate(i, .equal) { $0 == $1 }
    case .notEqual: try loop.compare(i, .notEqual, { $0 != $1 }, { $0 != $1 })
    case .jumpNotEqual: try loop.compareJump(i, .notEqual, { $0 != $1 }, { $0 != $1 })
    case .jumpNotEqualImm: try loop.compareJumpImmediate(i, .notEqual) { $0 != $1 }
    case .less: try loop.compare(i, .less, { $0 < $1 }, { $0 < $1 })
    case .jumpLess: try loop.compareJump(i, .less, { $0 < $1 }, { $0 < $1 })
    case .jumpLessImm: try loop.compareJumpImmediate(i, .less) { $0 < $1 }
    case .lessEqual: try loop.compare(i, .lessEqual, { $0 <= $1 }, { $0 <= $1 })
    case .jumpLessEqual: try loop.compareJump(i, .lessEqual, { $0 <= $1 }, { $0 <= $1 })
    case .jumpLessEqualImm: try loop.compareJumpImmediate(i, .lessEqual) { $0 <= $1 }
    case .greater: try loop.compare(i, .greater, { $0 > $1 }, { $0 > $1 })
    case .jumpGreater: try loop.compareJump(i, .greater, { $0 > $1 }, { $0 > $1 })
    case .jumpGreaterImm: try loop.compareJumpImmediate(i, .greater) { $0 > $1 }
    case .greaterEqual: try loop.compare(i, .greaterEqual, { $0 >= $1 }, { $0 >= $1 })
    case .jumpGreaterEqual: try loop.compareJump(i, .greaterEqual, { $0 >= $1 }, { $0 >= $1 })
    case .jumpGreaterEqualImm: try loop.compareJumpImmediate(i, .greaterEqual) { $0 >= $1 }
    case .isSame: try loop.isSame(i, negated: false)
    case .isNotSame: try loop.isSame(i, negated: true)
    case .contains: try containsAny(loop.frame, i, negated: false)
    case .notContains: try containsAny(loop.frame, i, negated: true)
    case .jump: try loop.jump(i, if: true)
    case .jumpTrue: try loop.jumpIf(i, true)
    case .jumpFalse: try loop.jumpIf(i, false)
    case .jumpTrueKeep: try loop.jumpKeeping(i, true)
    case .jumpFalseKeep: try loop.jumpKeeping(i, false)
    case .jumpIs: try loop.jumpIs(i, negated: false)
    case .jumpIsNot: try loop.jumpIs(i, negated: true)

    case .makeList: loop.makeList(i)
    case .makeTuple: loop.makeTuple(i)
    case .makeSet: set(loop.a(i), makeSet())
    case .makeDict: set(loop.a(i), makeDict(count: Int(i.pointee.x)))
    case .makeString: try loop.makeString(i)
    case .makeSlice: loop.makeSlice(i)
    case .listAppend: try loop.listAppend(i)
    case .listExtend: try loop.listExtend(i)
    case .setAdd: try loop.setAdd(i)
    case .setUpdate: try loop.setUpdate(i)
    case .dictSet: try loop.dictSet(i)
    case .dictUpdate: try loop.dictUpdate(i)
    case .dictMerge: try loop.dictMerge(i)
    case .listToTuple: loop.listToTuple(i)
    case .getAttr: if let f = try loop.getAttr(i) { loop.start(f) }
    case .setAttr: try loop.setAttr(i)
    case .deleteAttr: try loop.deleteAttr(i)
    case .getItem: try loop.getItem(i)
    case .setItem: try loop.setItem(i)
    case .deleteItem: try loop.deleteItem(i)
    case .getItemImm: try loop.getItemImmediate(i)
    case .setItemImm: try loop.setItemImmediate(i)

    case .call: if let f = try loop.call(i, method: false) { loop.start(f) }
    case .callMethod: if let f = try loop.call(i, method: true) { loop.start(f) }
    case .callKeywords: if let f = try loop.callKeywords(i) { loop.start(f) }
    case .callUnpacked: try loop.callUnpacked(i)
    case .loadMethod: try loop.loadMethod(i)
    case .return:
      if let v = try loop.leave(i) { return v }
      loop.resume()
    case .yield:
      if let v = try loop.yield(i) { return v }
      loop.resume()
    case .yieldFrom:
      if let v = try loop.yieldFrom(i) { return v }
      loop.resume()
    case .getIter: try loop.getIter(i)
    case .forIter: try loop.forIter(i)
    case .unpack: try loop.unpack(i)
    case .unpackPair: try loop.unpackPair(i)
    case .unpackStar: try loop.unpackStar(i)

    case .raise: try loop.raise(i)
    case .reraise: try loop.reraise(i)
    case .pushHandled: loop.pushHandled(i)
    case .popHandled: loop.popHandled(i)
    case .matchException: try loop.matchException(i)
    case .assertFail:
      loop.save()
      throw assertionError(i.pointee.a == noRegister ? .undefined : loop.a(i).pointee)
    case .withEnter: try loop.withEnter(i)
    case .withExit: try loop.withExit(i)
    case .format: try loop.format(i)
    case .makeFunction: loop.makeFunction(i)
    case .makeClass: try loop.makeClass(i)
    case .loadSuper: try loop.loadSuper(i)
    case .importName: try loop.importName(i)
    case .importFrom:
      loop.save()
      set(loop.a(i), try importFrom(loop.b(i), loop.constants[Int(i.pointee.c)]))
    case .importStar:
      loop.save()
      try importStar(loop.b(i), loop.frame.pointee.globals)
    case .nop: break
    case .leaveLoop: return Value(tag: .unusedRow, bits: 0)
    }
  }
}
