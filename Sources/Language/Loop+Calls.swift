// Calls and returns.
//
// A call of a function of the language pushes a frame and goes on in the same loop; the arguments
// become the callee's first registers where they lie. `call` has the common case, a function that
// takes exactly these arguments; `callAny` finds out what else is being called and gives back the
// frame to go on in, or nil when the result is already in its register.
import Glibc

extension Loop {
  /// `.call`: b callee, then c arguments. `.callMethod`: after `loadMethod`, where the first argument
  /// is the receiver, or undefined when the callee is already bound. The frame to go on in, or nil
  /// when the result is there.
  @_transparent func call(_ i: InstructionPtr, method: Bool) throws(LullError) -> FramePtr? {
    let slot = regs + Int(i.pointee.b)
    var w = slot + 1
    var argc = Int(i.pointee.c)
    if method, w.pointee.isUndefined {
      w = w + 1
      argc &-= 1
    }
    save()
    if _slowPath(isInterrupted), let error = interruption() { throw error }
    let callee = slot.pointee
    if callee.tag == .function, frame.pointee.flags & Frame.ofGenerator == 0 {
      let f = callee.function
      if f.pointee.head.pointee.exactCount == argc {
        // When there is no room the arguments stay behind as temporaries of this frame.
        return try pushFrame(f, w, bound: argc, calleeSlot: slot, returnRegister: i.pointee.a)
      }
    } else if callee.tag == .builtin {
      try callBuiltin(frame, i, slot, w, argc)
      return nil
    }
    return try callAny(frame, i, slot, w, argc)
  }
  @_transparent func loadMethod(_ i: InstructionPtr) throws(LullError) {
    let p = a(i)
    let o = p[1]
    let id =
      o.tag == .instance
      ? o.instance.pointee.shape.pointee.id
      : o.isUndefined ? 0 : o.type.pointee.version
    if _fastPath(id == i.pointee.y && id != 0) {
      set(p, constants[Int(i.pointee.b)].retained())
      return
    }
    save()
    try Language.loadMethod(frame, p, constants[Int(i.pointee.c)], i)
  }
  @_transparent func callKeywords(_ i: InstructionPtr) throws(LullError) -> FramePtr? {
    save()
    if _slowPath(isInterrupted), let error = interruption() { throw error }
    let slot = regs + Int(i.pointee.b)
    return try callAny(
      frame, i, slot, slot + 1, Int(i.pointee.c), constants[Int(i.pointee.x)].tuple)
  }
  @_transparent func callUnpacked(_ i: InstructionPtr) throws(LullError) {
    save()
    let callee = regs[Int(i.pointee.x)]
    let list = b(i).list
    let dict = i.pointee.c == noRegister ? nil : Optional(c(i).dict)
    let v = try Language.callUnpacked(callee, list, dict)
    consumeB(i)
    if i.pointee.c != noRegister { consumeC(i) }
    frame.pointee.consume(UInt16(truncatingIfNeeded: i.pointee.x))
    set(a(i), v)
  }

  /// Ends the frame; the value when it was an entry from native code, else nil and the caller's
  /// frame goes on.
  @_transparent mutating func leave(_ i: InstructionPtr) throws(LullError) -> Value? {
    var v = a(i).pointee
    if _slowPath(v.isUndefined) { throw unbound(frame, i, i.pointee.a) }
    a(i).pointee.tag = .undefined
    let done = frame
    let flags = done.pointee.flags
    let m = vm
    if _slowPath(flags != 0) {
      if flags & Frame.ofGenerator != 0 {
        guard let previous = endGenerator(done, v) else { return .undefined }
        enter(previous)
        return nil
      }
      if flags & Frame.ofInitializer != 0 {
        if !v.isNone {
          frame.pointee.ip = ip
          throw wrongInitializer(v)
        }
        v = done.pointee.initResult
      }
    }
    // No temporary is alive here.
    releaseArguments(regs, done.pointee.localCount)
    let previous = done.pointee.previous
    let returnRegister = Int(done.pointee.returnRegister)
    m.pointee.frame = previous
    m.pointee.frameTop = done
    m.pointee.depth &-= 1
    if flags & Frame.fromNative != 0 { return v }
    // From here on `done` may be another call's frame: the release may run user code.
    if let slot = done.pointee.calleeSlot {
      let f = slot.pointee
      slot.pointee.tag = .undefined
      f.release()
    }
    enter(previous.unsafelyUnwrapped)
    set(regs + returnRegister, v)
    return nil
  }
}

/// The error for an `__init__` that returned a value, which is released.
@inline(never) private func wrongInitializer(_ v: Value) -> LullError {
  let e = LullError.typeError("__init__() should return None, not '\(typeName(v))'")
  v.release()
  return e
}

/// A builtin with its arguments at `w`; `slot` holds the callee.
@inline(never) func callBuiltin(
  _ frame: FramePtr, _ i: InstructionPtr, _ slot: Registers, _ w: Registers, _ argc: Int
) throws(LullError) {
  let v = try slot.pointee.body(BuiltinBody.self).pointee.head.call(w, argc)
  releaseArguments(slot, argc &+ (w - slot))
  set(frame.pointee.regs + Int(i.pointee.a), v)
}

/// The end of a generator's frame: nil when native code resumed it, else the frame of the `for` that
/// did, which goes on behind its loop.
@inline(never) private func endGenerator(_ done: FramePtr, _ v: Value) -> FramePtr? {
  let m = vm
  let g = done.pointee.generator.unsafelyUnwrapped
  let previous = done.pointee.previous
  let flags = done.pointee.flags
  m.pointee.frame = previous
  m.pointee.depth &-= 1
  g.pointee.isRunning = false
  freeGeneratorFrame(g)
  if flags & Frame.fromNative != 0 || flags & Frame.inFor == 0 {
    g.pointee.returned.release()
    g.pointee.returned = v
    return nil
  }
  v.release()
  return previous.unsafelyUnwrapped
}

/// Any other call: bound methods, classes, functions that need their arguments bound, generators,
/// callable objects. `names`: of the last arguments.
@inline(never) func callAny(
  _ frame: FramePtr, _ i: InstructionPtr, _ slot: Registers, _ arguments: Registers, _ count: Int,
  _ names: TuplePtr? = nil
) throws(LullError) -> FramePtr? {
  let kwNames = names?.items
  let kwCount = names?.pointee.count ?? 0
  let regs = frame.pointee.regs
  var w = arguments
  var argc = count
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
    if t.pointee.isUserDefined,
      t.pointee.kind == .instance
        || t.pointee.kind == .exception && !t.isSubtype(of: core.pointee.osError)
    {
      if t.pointee.initVersion != t.pointee.version {
        t.pointee.initVersion = t.pointee.version
        let f = t.lookup(.__init__)
        t.pointee.initFunction =
          f.tag == .function && t.lookup(.__new__).isUndefined ? f : .undefined
      }
      let f = t.pointee.initFunction
      if f.tag == .function {
        if t.pointee.kind == .instance {
          initResult = makeInstance(t)
        } else {
          let args = makeTuple(uninitialized: argc - kwCount)
          for k in 0..<(argc - kwCount) { args.tuple.items[k] = w[k].retained() }
          initResult = makeException(t, args: args)
        }
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
      let v =
        kwCount == 0 ? try c.call(w, argc) : try c.callBinding(w, argc, kwNames, kwCount)
      releaseArguments(slot, argc + (w - slot))
      set(regs + Int(i.pointee.a), v)
      return nil
    }
  }
  if callee.tag == .function {
    let f = callee.function
    if frame.pointee.flags & Frame.ofGenerator != 0 {
      // A generator's registers are not on the stack, and end soon after its temporaries: the
      // arguments move to where there is room for the callee's.
      let v = frame.pointee.top + 1
      for k in 0..<argc {
        v[k] = w[k]
        w[k].tag = .undefined
      }
      w = v
    }
    var bound = argc
    do throws(LullError) {
      if f.pointee.head.pointee.exactCount != argc || kwCount > 0 {
        try bindArguments(f, w, argc, kwNames, kwCount)
        bound = f.pointee.codeOwner.parameterCount
        if f.pointee.codeOwner.isGenerator {
          let g = makeGenerator(f, w, bound: bound)
          set(slot, .undefined)
          set(regs + Int(i.pointee.a), g)
          return nil
        }
      }
      let new = try pushFrame(
        f, w, bound: bound, calleeSlot: slot, returnRegister: i.pointee.a)
      if !initResult.isUndefined {
        new.pointee.flags = Frame.ofInitializer
        new.pointee.initResult = initResult
      }
      return new
    } catch {
      releaseArguments(w, bound)
      initResult.release()
      throw error
    }
  }
  if callee.tag == .builtin {
    if kwCount == 0 {
      try callBuiltin(frame, i, slot, w, argc)
    } else {
      let b = callee.body(BuiltinBody.self).pointee.builtin
      let v = try b.callBinding(w, argc, kwNames, kwCount)
      releaseArguments(slot, argc + (w - slot))
      set(regs + Int(i.pointee.a), v)
    }
    return nil
  }
  if callee.isUndefined { throw unboundLocal(frame, i.pointee.b) }
  slot.pointee.tag = .undefined
  let v: Value
  do throws(LullError) {
    v = try callOwned(callee, w, argc, kwNames, kwCount)
  } catch {
    callee.release()
    throw error
  }
  callee.release()
  set(regs + Int(i.pointee.a), v)
  return nil
}
