// Iteration, generators, unpacking, exceptions, context managers; making functions and classes;
// imports.

extension Loop {
  // MARK: Iteration

  @_transparent func getIter(_ i: InstructionPtr) throws(LullError) {
    save()
    let v = b(i)
    if _slowPath(v.isUndefined) { throw unboundLocal(frame, i.pointee.b) }
    let it = try makeIterator(v)
    consumeB(i)
    set(a(i), it)
  }
  /// `a = next(b)`, then jumps by `x`; falls through at the end.
  @_transparent mutating func forIter(_ i: InstructionPtr) throws(LullError) {
    if _slowPath(isInterrupted) {
      save()
      if let error = interruption() { throw error }
    }
    let it = b(i)
    if it.tag == .iterator {
      let p = it.iterator
      if p.pointee.kind == .range {
        let n = p.pointee.index
        if n < p.pointee.limit {
          p.pointee.index = n &+ 1
          let v = p.pointee.current
          p.pointee.current = v &+ p.pointee.step
          set(a(i), Value(v))
          turn(to: ip + Int(i.pointee.x))
        }
        return
      }
      if p.pointee.kind == .list {
        let l = p.pointee.a.list
        let n = p.pointee.index
        if n < l.pointee.count {
          p.pointee.index = n &+ 1
          set(a(i), l.pointee.items[n].retained())
          turn(to: ip + Int(i.pointee.x))
        } else {
          p.pointee.index = Int.max
        }
        return
      }
      let target = try next(frame, i, p)
      if target == i + 1 { ip = target } else { turn(to: target) }
      return
    }
    save()
    if it.tag == .generator, !it.body(GeneratorBody.self).pointee.isRunning {
      let g = it.body(GeneratorBody.self)
      guard let f = g.pointee.frame else { return }
      let m = vm
      let head = frame.pointee.head
      head.pointee.heat &-= 1
      if _slowPath(head.pointee.heat < 0), head.pointee.table == nil, becomesMachineCode(frame) {
        frame.pointee.ip = i
        ip = m.pointee.leaving
        return
      }
      m.pointee.depth &+= 1
      if m.pointee.depth > m.pointee.recursionLimit {
        m.pointee.depth &-= 1
        throw recursionError()
      }
      frame.pointee.resume = m.pointee.resumeFor
      f.pointee.previous = frame
      f.pointee.flags = Frame.ofGenerator | Frame.inFor
      f.pointee.top = frame.pointee.top
      if g.pointee.isStarted {
        set(f.pointee.regs + Int(f.pointee.returnRegister), .none)
      }
      g.pointee.isStarted = true
      g.pointee.isRunning = true
      m.pointee.frame = f
      start(f)
      return
    }
    let v = try iteratorNext(it)
    if !v.isUndefined {
      set(a(i), v)
      turn(to: ip + Int(i.pointee.x))
    }
  }
  /// Suspends the generator; the value when native code resumed it.
  @_transparent mutating func yield(_ i: InstructionPtr) throws(LullError) -> Value? {
    let v = takeB(i)
    save()
    if _slowPath(v.isUndefined) { throw unboundLocal(frame, i.pointee.b) }
    return suspend(i, v)
  }
  @_transparent private mutating func suspend(_ i: InstructionPtr, _ v: Value) -> Value? {
    let done = frame
    done.pointee.returnRegister = i.pointee.a
    done.pointee.resume = nil
    vm.pointee.frame = done.pointee.previous
    vm.pointee.depth &-= 1
    done.pointee.generator.unsafelyUnwrapped.pointee.isRunning = false
    if done.pointee.flags & Frame.fromNative != 0 || done.pointee.flags & Frame.inFor == 0 {
      return v
    }
    enter(done.pointee.previous.unsafelyUnwrapped)
    // The `for` instruction that resumed the generator.
    let f = ip - 1
    set(regs + Int(f.pointee.a), v)
    ip = ip + Int(f.pointee.x)
    return nil
  }
  @_transparent mutating func yieldFrom(_ i: InstructionPtr) throws(LullError) -> Value? {
    save()
    let it = b(i)
    let g = frame.pointee.generator.unsafelyUnwrapped
    let resumed = g.pointee.isDelegating
    let sent = resumed && !a(i).pointee.isUndefined ? a(i).pointee : Value.none
    switch try delegate(it, sent) {
    case .yielded(let v):
      // Run this instruction again when resumed; `a` then holds what was sent.
      frame.pointee.ip = i
      g.pointee.isDelegating = true
      return suspend(i, v)
    case .returned(let v):
      g.pointee.isDelegating = false
      set(a(i), v)
      return nil
    }
  }
  @_transparent func unpack(_ i: InstructionPtr) throws(LullError) {
    let v = b(i)
    let n = Int(i.pointee.c)
    let first = a(i)
    if v.tag == .tuple, v.tuple.pointee.count == n {
      let t = takeB(i)
      for k in 0..<n { set(first + k, t.tuple.items[k].retained()) }
      t.release()
      return
    }
    save()
    let source = takeB(i)
    if _slowPath(source.isUndefined) { throw unboundLocal(frame, i.pointee.b) }
    do throws(LullError) {
      try Language.unpack(source, first, n)
    } catch {
      source.release()
      throw error
    }
    source.release()
  }
  @_transparent func unpackPair(_ i: InstructionPtr) throws(LullError) {
    let v = b(i)
    if v.tag == .tuple, v.tuple.pointee.count == 2 {
      let t = takeB(i)
      set(a(i), t.tuple.items[0].retained())
      set(regs + Int(i.pointee.x), t.tuple.items[1].retained())
      t.release()
      return
    }
    try unpackPairAny(frame, i)
  }
  @_transparent func unpackStar(_ i: InstructionPtr) throws(LullError) {
    save()
    let source = takeB(i)
    if _slowPath(source.isUndefined) { throw unboundLocal(frame, i.pointee.b) }
    do throws(LullError) {
      try Language.unpackStar(source, a(i), Int(i.pointee.x), Int(i.pointee.y))
    } catch {
      source.release()
      throw error
    }
    source.release()
  }

  // MARK: Exceptions and context managers

  @_transparent func raise(_ i: InstructionPtr) throws(LullError) {
    save()
    let e = a(i).pointee
    if _slowPath(e.isUndefined) { throw unboundLocal(frame, i.pointee.a) }
    let cause = i.pointee.b == noRegister ? Value.undefined : b(i)
    throw try raiseError(e, cause)
  }
  @_transparent func reraise(_ i: InstructionPtr) throws(LullError) {
    save()
    let e = i.pointee.a == noRegister ? vm.pointee.handled : a(i).pointee
    throw reraising(e)
  }
  @_transparent func pushHandled(_ i: InstructionPtr) {
    let e = b(i).retained()
    set(a(i), vm.pointee.handled)
    vm.pointee.handled = e
  }
  @_transparent func popHandled(_ i: InstructionPtr) {
    let e = a(i).pointee
    a(i).pointee.tag = .undefined
    let old = vm.pointee.handled
    vm.pointee.handled = e
    old.release()
  }
  @_transparent func matchException(_ i: InstructionPtr) throws(LullError) {
    save()
    let t = c(i)
    if _slowPath(t.isUndefined) { throw unboundLocal(frame, i.pointee.c) }
    let m = try matches(b(i), t)
    consumeC(i)
    set(a(i), Value(m))
  }
  @_transparent func withEnter(_ i: InstructionPtr) throws(LullError) {
    save()
    let manager = c(i)
    if _slowPath(manager.isUndefined) { throw unboundLocal(frame, i.pointee.c) }
    let (exit, value) = try enterContext(manager)
    set(regs + Int(i.pointee.b), exit)
    consumeC(i)
    set(a(i), value)
  }
  @_transparent func withExit(_ i: InstructionPtr) throws(LullError) {
    save()
    let e = i.pointee.c == noRegister ? Value.undefined : c(i)
    set(a(i), Value(try exitContext(b(i), e)))
  }

  // MARK: Strings, functions, classes, modules

  @_transparent func format(_ i: InstructionPtr) throws(LullError) {
    save()
    let v = b(i)
    if _slowPath(v.isUndefined) { throw unboundLocal(frame, i.pointee.b) }
    let spec = i.pointee.c == noRegister ? Value.undefined : c(i)
    let s = try formatPart(v, spec, UInt8(truncatingIfNeeded: i.pointee.x))
    consumeB(i)
    if i.pointee.c != noRegister { consumeC(i) }
    set(a(i), s)
  }
  @_transparent func makeFunction(_ i: InstructionPtr) {
    save()
    let defaults = i.pointee.c == noRegister ? .undefined : takeC(i)
    let keywords =
      i.pointee.x < 0
      ? .undefined
      : take(regs, UInt16(truncatingIfNeeded: i.pointee.x), frame.pointee.localCount)
    let annotations =
      i.pointee.y == 0
      ? .undefined
      : take(regs, UInt16(truncatingIfNeeded: i.pointee.y &- 1), frame.pointee.localCount)
    set(
      a(i),
      Language.makeFunction(frame, constants[Int(i.pointee.b)], defaults, keywords, annotations))
  }
  @_transparent func makeClass(_ i: InstructionPtr) throws(LullError) {
    save()
    let n = Int(i.pointee.x)
    let base = n > 0 ? c(i) : .undefined
    if n > 0, base.isUndefined { throw unboundLocal(frame, i.pointee.c) }
    let keywords = i.pointee.y == 1 ? regs[Int(i.pointee.c) + n] : .undefined
    let v = try Language.makeClass(frame, constants[Int(i.pointee.b)], base, keywords)
    if n > 0 { consumeC(i) }
    if i.pointee.y == 1 { frame.pointee.consume(i.pointee.c + UInt16(n)) }
    set(a(i), v)
  }
  @_transparent func loadSuper(_ i: InstructionPtr) throws(LullError) {
    save()
    let type = free(i).pointee.value
    var me = c(i)
    if i.pointee.x == 1 { me = me.cell.pointee.value }
    set(a(i), try makeSuper(type, me))
  }
  @_transparent func importName(_ i: InstructionPtr) throws(LullError) {
    save()
    let name = constants[Int(i.pointee.c)].string
    let v = try importModule(
      name, level: Int(i.pointee.x), globals: frame.pointee.globals, top: i.pointee.y == 1)
    set(a(i), v)
  }
}

@inline(never) private func unpackPairAny(_ frame: FramePtr, _ i: InstructionPtr) throws(LullError)
{
  frame.pointee.ip = i + 1
  let regs = frame.pointee.regs
  let source = take(regs, i.pointee.b, frame.pointee.localCount)
  if source.isUndefined { throw unboundLocal(frame, i.pointee.b) }
  defer { source.release() }
  // Neither local changes unless there are exactly two values.
  try withUnsafeTemporaryAllocation(of: Value.self, capacity: 2) { (pair) throws(LullError) in
    let p = pair.baseAddress.unsafelyUnwrapped
    p.initialize(repeating: .undefined, count: 2)
    do throws(LullError) { try unpack(source, p, 2) } catch {
      p[0].release()
      p[1].release()
      throw error
    }
    set(regs + Int(i.pointee.a), p[0])
    set(regs + Int(i.pointee.x), p[1])
  }
}

/// A step of `forIter` over a native iterator: the instruction to go on with. Pairs that the loop
/// takes apart at once (`for k, v in d.items()`) are never made.
@inline(never) func next(
  _ frame: FramePtr, _ i: InstructionPtr, _ p: UnsafeMutablePointer<IteratorBody>
) throws(LullError) -> InstructionPtr {
  frame.pointee.ip = i + 1
  let regs = frame.pointee.regs
  let body = i + (1 + Int(i.pointee.x))
  if body.pointee.op == .unpackPair, body.pointee.b == i.pointee.a, makesPairs(p) {
    guard let (x, y) = try nextPair(p) else { return i + 1 }
    set(regs + Int(body.pointee.a), x)
    set(regs + Int(body.pointee.x), y)
    return body + 1
  }
  let v = try nextNative(p)
  if v.isUndefined { return i + 1 }
  set(regs + Int(i.pointee.a), v)
  return body
}
@inline(never) private func reraising(_ e: Value) -> LullError {
  e.tag == .exception ? wrap(e) : LullError.runtime("No active exception to reraise")
}
