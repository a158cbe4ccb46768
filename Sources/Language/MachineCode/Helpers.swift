// What machine code calls: the instructions of the interpreter, one function each, as C functions that come back with a
// `Step`. Every instruction has one, so that a translation may leave any case to it.

/// Runs one instruction of `frame`, whose `ip` it saves, and says where to go on.
@_transparent private func step(
  _ frame: UnsafeMutableRawPointer, _ instruction: UnsafeMutableRawPointer,
  _ body: (inout Loop, InstructionPtr) throws(LullError) -> Value?
) -> Int {
  let f = frame.assumingMemoryBound(to: Frame.self)
  let i = instruction.assumingMemoryBound(to: Instruction.self)
  f.pointee.ip = i + 1
  var loop = Loop(f)
  do throws(LullError) {
    if let v = try body(&loop, i) {
      vm.pointee.result = v
      return Step.value
    }
  } catch {
    pendingError = error
    return Step.error
  }
  if loop.ip == i + 1, vm.pointee.frame == f { return Step.next }
  if loop.ip == vm.pointee.leaving { return Step.elsewhere }
  if vm.pointee.frame == f, loop.ip == i + 1 + Int(i.pointee.x) { return Step.jump }
  vm.pointee.frame?.pointee.ip = loop.ip
  return Step.elsewhere
}

/// The same for an instruction that goes on with the next.
@_transparent private func plain(
  _ frame: UnsafeMutableRawPointer, _ instruction: UnsafeMutableRawPointer,
  _ body: (Loop, InstructionPtr) throws(LullError) -> Void
) -> Int {
  let f = frame.assumingMemoryBound(to: Frame.self)
  let i = instruction.assumingMemoryBound(to: Instruction.self)
  f.pointee.ip = i + 1
  do throws(LullError) { try body(Loop(f), i) } catch {
    pendingError = error
    return Step.error
  }
  return Step.next
}

/// The function that runs an instruction.
func helper(_ op: Op) -> Helper {
  switch op {
  case .loadConst:
    { f, i in
      plain(f, i) { (l, i) throws(LullError) in
        set(l.a(i), l.constants[Int(i.pointee.b)].retained())
      }
    }
  case .loadInt:
    { f, i in plain(f, i) { (l, i) throws(LullError) in set(l.a(i), Value(Int(i.pointee.x))) } }
  case .move, .checkLocal:
    { f, i in
      plain(f, i) { (l, i) throws(LullError) in
        throw unbound(l.frame, i, i.pointee.op == .move ? i.pointee.b : i.pointee.a)
      }
    }
  case .clear: { f, i in plain(f, i) { (l, i) throws(LullError) in set(l.a(i), .undefined) } }
  case .deleteLocal:
    { f, i in
      plain(f, i) { (l, i) throws(LullError) in
        if l.a(i).pointee.isUndefined { throw unbound(l.frame, i, i.pointee.a) }
        set(l.a(i), .undefined)
      }
    }
  case .loadGlobal, .loadGlobalCached, .loadBuiltinCached:
    { f, i in plain(f, i) { (l, i) throws(LullError) in try l.loadGlobal(i) } }
  case .storeGlobal: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.storeGlobal(i) } }
  case .deleteGlobal: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.deleteGlobal(i) } }
  case .loadName: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.loadName(i) } }
  case .storeName: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.storeName(i) } }
  case .deleteName: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.deleteName(i) } }
  case .makeCell:
    { f, i in plain(f, i) { (l, i) throws(LullError) in l.a(i).pointee = makeCell(l.a(i).pointee) }
    }
  case .loadCell: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.loadCell(i) } }
  case .storeCell: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.storeCell(i) } }
  case .deleteCell: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.deleteCell(i) } }
  case .loadFree: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.loadFree(i) } }
  case .storeFree: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.storeFree(i) } }
  case .deleteFree: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.deleteFree(i) } }
  case .loadClassFree:
    { f, i in plain(f, i) { (l, i) throws(LullError) in try l.loadClassFree(i) } }

  case .add:
    { f, i in plain(f, i) { (l, i) throws(LullError) in try operate(l.frame, i, .add, false) } }
  case .subtract:
    { f, i in plain(f, i) { (l, i) throws(LullError) in try operate(l.frame, i, .subtract, false) }
    }
  case .multiply:
    { f, i in plain(f, i) { (l, i) throws(LullError) in try operate(l.frame, i, .multiply, false) }
    }
  case .inplaceAdd:
    { f, i in plain(f, i) { (l, i) throws(LullError) in try operate(l.frame, i, .add, true) } }
  case .inplaceSubtract:
    { f, i in plain(f, i) { (l, i) throws(LullError) in try operate(l.frame, i, .subtract, true) } }
  case .inplaceMultiply:
    { f, i in plain(f, i) { (l, i) throws(LullError) in try operate(l.frame, i, .multiply, true) } }
  case .addImm:
    { f, i in
      plain(f, i) { (l, i) throws(LullError) in try operateImmediate(l.frame, i, .add, false) }
    }
  case .inplaceAddImm:
    { f, i in
      plain(f, i) { (l, i) throws(LullError) in try operateImmediate(l.frame, i, .add, true) }
    }
  case .subtractImm:
    { f, i in
      plain(f, i) { (l, i) throws(LullError) in try operateImmediate(l.frame, i, .subtract, false) }
    }
  case .inplaceSubtractImm:
    { f, i in
      plain(f, i) { (l, i) throws(LullError) in try operateImmediate(l.frame, i, .subtract, true) }
    }
  case .multiplyImm:
    { f, i in
      plain(f, i) { (l, i) throws(LullError) in try operateImmediate(l.frame, i, .multiply, false) }
    }
  case .floorDivideImm:
    { f, i in plain(f, i) { (l, i) throws(LullError) in try l.floorDivideImmediate(i) } }
  case .moduloImm: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.moduloImmediate(i) } }
  case .divide: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.divide(i) } }
  case .floorDivide: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.floorDivide(i) } }
  case .modulo: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.modulo(i) } }
  case .power: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.power(i) } }
  case .negate: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.negate(i) } }
  case .not: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.not(i) } }
  case .matmul:
    { f, i in
      plain(f, i) { (l, i) throws(LullError) in try operate(l.frame, i, .matmul, i.pointee.x != 0) }
    }
  case .bitAnd: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.bits(i, .bitAnd, &) } }
  case .bitOr: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.bits(i, .bitOr, |) } }
  case .bitXor: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.bits(i, .bitXor, ^) } }
  case .leftShift:
    { f, i in plain(f, i) { (l, i) throws(LullError) in try l.shift(i, left: true) } }
  case .rightShift:
    { f, i in plain(f, i) { (l, i) throws(LullError) in try l.shift(i, left: false) } }
  case .plus: { f, i in plain(f, i) { (l, i) throws(LullError) in try operate(l.frame, i, .plus) } }
  case .invert:
    { f, i in plain(f, i) { (l, i) throws(LullError) in try operate(l.frame, i, .invert) } }

  case .equal:
    { f, i in plain(f, i) { (l, i) throws(LullError) in try compareAny(l.frame, i, .equal) } }
  case .notEqual:
    { f, i in plain(f, i) { (l, i) throws(LullError) in try compareAny(l.frame, i, .notEqual) } }
  case .less:
    { f, i in plain(f, i) { (l, i) throws(LullError) in try compareAny(l.frame, i, .less) } }
  case .lessEqual:
    { f, i in plain(f, i) { (l, i) throws(LullError) in try compareAny(l.frame, i, .lessEqual) } }
  case .greater:
    { f, i in plain(f, i) { (l, i) throws(LullError) in try compareAny(l.frame, i, .greater) } }
  case .greaterEqual:
    { f, i in plain(f, i) { (l, i) throws(LullError) in try compareAny(l.frame, i, .greaterEqual) }
    }
  case .jumpEqual:
    { f, i in
      step(f, i) { (l, i) throws(LullError) in
        try l.jumpAny(i, .equal); return nil
      }
    }
  case .jumpNotEqual:
    { f, i in
      step(f, i) { (l, i) throws(LullError) in
        try l.jumpAny(i, .notEqual); return nil
      }
    }
  case .jumpLess:
    { f, i in
      step(f, i) { (l, i) throws(LullError) in
        try l.jumpAny(i, .less); return nil
      }
    }
  case .jumpLessEqual:
    { f, i in
      step(f, i) { (l, i) throws(LullError) in
        try l.jumpAny(i, .lessEqual); return nil
      }
    }
  case .jumpGreater:
    { f, i in
      step(f, i) { (l, i) throws(LullError) in
        try l.jumpAny(i, .greater); return nil
      }
    }
  case .jumpGreaterEqual:
    { f, i in
      step(f, i) { (l, i) throws(LullError) in
        try l.jumpAny(i, .greaterEqual); return nil
      }
    }
  case .jumpEqualImm:
    { f, i in
      step(f, i) { (l, i) throws(LullError) in
        try l.jumpAnyImmediate(i, .equal); return nil
      }
    }
  case .jumpNotEqualImm:
    { f, i in
      step(f, i) { (l, i) throws(LullError) in
        try l.jumpAnyImmediate(i, .notEqual); return nil
      }
    }
  case .jumpLessImm:
    { f, i in
      step(f, i) { (l, i) throws(LullError) in
        try l.jumpAnyImmediate(i, .less); return nil
      }
    }
  case .jumpLessEqualImm:
    { f, i in
      step(f, i) { (l, i) throws(LullError) in
        try l.jumpAnyImmediate(i, .lessEqual); return nil
      }
    }
  case .jumpGreaterImm:
    { f, i in
      step(f, i) { (l, i) throws(LullError) in
        try l.jumpAnyImmediate(i, .greater); return nil
      }
    }
  case .jumpGreaterEqualImm:
    { f, i in
      step(f, i) { (l, i) throws(LullError) in
        try l.jumpAnyImmediate(i, .greaterEqual); return nil
      }
    }
  case .isSame:
    { f, i in plain(f, i) { (l, i) throws(LullError) in try l.isSame(i, negated: false) } }
  case .isNotSame:
    { f, i in plain(f, i) { (l, i) throws(LullError) in try l.isSame(i, negated: true) } }
  case .contains:
    { f, i in
      plain(f, i) { (l, i) throws(LullError) in try containsAny(l.frame, i, negated: false) }
    }
  case .notContains:
    { f, i in plain(f, i) { (l, i) throws(LullError) in try containsAny(l.frame, i, negated: true) }
    }
  case .jump:
    { f, i in
      step(f, i) { (l, i) throws(LullError) in
        try l.jump(i, if: true); return nil
      }
    }
  case .jumpTrue:
    { f, i in
      step(f, i) { (l, i) throws(LullError) in
        try l.jumpIf(i, true); return nil
      }
    }
  case .jumpFalse:
    { f, i in
      step(f, i) { (l, i) throws(LullError) in
        try l.jumpIf(i, false); return nil
      }
    }
  case .jumpTrueKeep:
    { f, i in
      step(f, i) { (l, i) throws(LullError) in
        try l.jumpKeeping(i, true); return nil
      }
    }
  case .jumpFalseKeep:
    { f, i in
      step(f, i) { (l, i) throws(LullError) in
        try l.jumpKeeping(i, false); return nil
      }
    }
  case .jumpIs:
    { f, i in
      step(f, i) { (l, i) throws(LullError) in
        try l.jumpIs(i, negated: false); return nil
      }
    }
  case .jumpIsNot:
    { f, i in
      step(f, i) { (l, i) throws(LullError) in
        try l.jumpIs(i, negated: true); return nil
      }
    }

  case .makeList: { f, i in plain(f, i) { (l, i) throws(LullError) in l.makeList(i) } }
  case .makeTuple: { f, i in plain(f, i) { (l, i) throws(LullError) in l.makeTuple(i) } }
  case .makeSet: { f, i in plain(f, i) { (l, i) throws(LullError) in set(l.a(i), makeSet()) } }
  case .makeDict:
    { f, i in
      plain(f, i) { (l, i) throws(LullError) in set(l.a(i), makeDict(count: Int(i.pointee.x))) }
    }
  case .makeString: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.makeString(i) } }
  case .makeSlice: { f, i in plain(f, i) { (l, i) throws(LullError) in l.makeSlice(i) } }
  case .listAppend: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.listAppend(i) } }
  case .listExtend: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.listExtend(i) } }
  case .setAdd: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.setAdd(i) } }
  case .setUpdate: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.setUpdate(i) } }
  case .dictSet: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.dictSet(i) } }
  case .dictUpdate: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.dictUpdate(i) } }
  case .dictMerge: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.dictMerge(i) } }
  case .listToTuple: { f, i in plain(f, i) { (l, i) throws(LullError) in l.listToTuple(i) } }
  case .getAttr:
    { f, i in
      step(f, i) { (l, i) throws(LullError) in
        if let f = try l.getAttr(i) { l.start(f) }; return nil
      }
    }
  case .setAttr: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.setAttr(i) } }
  case .deleteAttr: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.deleteAttr(i) } }
  case .getItem: { f, i in plain(f, i) { (l, i) throws(LullError) in try getItemAny(l.frame, i) } }
  case .setItem: { f, i in plain(f, i) { (l, i) throws(LullError) in try setItemAny(l.frame, i) } }
  case .deleteItem: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.deleteItem(i) } }
  case .getItemImm:
    { f, i in plain(f, i) { (l, i) throws(LullError) in try l.getItemImmediate(i) } }
  case .setItemImm:
    { f, i in plain(f, i) { (l, i) throws(LullError) in try l.setItemImmediate(i) } }

  case .call:
    { f, i in
      step(f, i) { (l, i) throws(LullError) in
        if let f = try l.call(i, method: false) { l.start(f) }; return nil
      }
    }
  case .callMethod:
    { f, i in
      step(f, i) { (l, i) throws(LullError) in
        if let f = try l.call(i, method: true) { l.start(f) }; return nil
      }
    }
  case .callKeywords:
    { f, i in
      step(f, i) { (l, i) throws(LullError) in
        if let f = try l.callKeywords(i) { l.start(f) }; return nil
      }
    }
  case .callUnpacked: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.callUnpacked(i) } }
  case .loadMethod: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.loadMethod(i) } }
  case .return: { f, i in step(f, i) { (l, i) throws(LullError) in try l.leave(i) } }
  case .yield: { f, i in step(f, i) { (l, i) throws(LullError) in try l.yield(i) } }
  case .yieldFrom: { f, i in step(f, i) { (l, i) throws(LullError) in try l.yieldFrom(i) } }
  case .getIter: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.getIter(i) } }
  case .forIter:
    { f, i in
      step(f, i) { (l, i) throws(LullError) in
        try l.forIter(i); return nil
      }
    }
  case .unpack: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.unpack(i) } }
  case .unpackPair: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.unpackPair(i) } }
  case .unpackStar: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.unpackStar(i) } }

  case .raise: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.raise(i) } }
  case .reraise: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.reraise(i) } }
  case .pushHandled: { f, i in plain(f, i) { (l, i) throws(LullError) in l.pushHandled(i) } }
  case .popHandled: { f, i in plain(f, i) { (l, i) throws(LullError) in l.popHandled(i) } }
  case .matchException:
    { f, i in plain(f, i) { (l, i) throws(LullError) in try l.matchException(i) } }
  case .assertFail:
    { f, i in
      plain(f, i) { (l, i) throws(LullError) in
        throw assertionError(i.pointee.a == noRegister ? .undefined : l.a(i).pointee)
      }
    }
  case .withEnter: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.withEnter(i) } }
  case .withExit: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.withExit(i) } }
  case .format: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.format(i) } }
  case .makeFunction: { f, i in plain(f, i) { (l, i) throws(LullError) in l.makeFunction(i) } }
  case .makeClass: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.makeClass(i) } }
  case .loadSuper: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.loadSuper(i) } }
  case .importName: { f, i in plain(f, i) { (l, i) throws(LullError) in try l.importName(i) } }
  case .importFrom:
    { f, i in
      plain(f, i) { (l, i) throws(LullError) in
        set(l.a(i), try importFrom(l.b(i), l.constants[Int(i.pointee.c)]))
      }
    }
  case .importStar:
    { f, i in
      plain(f, i) { (l, i) throws(LullError) in try importStar(l.b(i), l.frame.pointee.globals) }
    }
  case .nop, .leaveLoop: { _, _ in Step.next }
  }
}

typealias CallHelper =
  @convention(c) (
    UnsafeMutableRawPointer, UnsafeMutableRawPointer, UnsafeMutableRawPointer,
    UnsafeMutableRawPointer, Int
  ) -> Int
/// A builtin with its arguments at `w`, which stay; `slot` holds the callee. The machine's `result` is the result.
let builtinHelper: CallHelper = { _, _, slot, w, argc in
  let callee = slot.assumingMemoryBound(to: Value.self).pointee
  do throws(LullError) {
    vm.pointee.result = try callee.body(BuiltinBody.self).pointee.head.call(
      w.assumingMemoryBound(to: Value.self), argc)
    return Step.next
  } catch {
    pendingError = error
    return Step.error
  }
}
/// Any other callee.
let anyCallHelper: CallHelper = { f, i, slot, w, argc in
  do throws(LullError) {
    let pushed = try callAny(
      f.assumingMemoryBound(to: Frame.self), i.assumingMemoryBound(to: Instruction.self),
      slot.assumingMemoryBound(to: Value.self), w.assumingMemoryBound(to: Value.self), argc)
    return pushed == nil ? Step.next : Step.pushed
  } catch {
    pendingError = error
    return Step.error
  }
}
let attributeHelper: Helper = { f, i in
  do throws(LullError) {
    let pushed = try getAttrAny(
      f.assumingMemoryBound(to: Frame.self), i.assumingMemoryBound(to: Instruction.self))
    return pushed == nil ? Step.next : Step.pushed
  } catch {
    pendingError = error
    return Step.error
  }
}

/// A turn of a loop.
let nextHelper: Helper = { f, i in
  let frame = f.assumingMemoryBound(to: Frame.self)
  let instruction = i.assumingMemoryBound(to: Instruction.self)
  let it = frame.pointee.regs[Int(instruction.pointee.b)]
  guard it.tag == .iterator else { return helper(.forIter)(f, i) }
  do throws(LullError) {
    let target = try next(frame, instruction, it.iterator)
    if target == instruction + 1 { return Step.next }
    return target == instruction + (1 + Int(instruction.pointee.x)) ? Step.jump : Step.afterJump
  } catch {
    pendingError = error
    return Step.error
  }
}

/// Does what the machine's flag asks for.
let interruptHelper: Helper = { f, i in
  f.assumingMemoryBound(to: Frame.self).pointee.ip = i.assumingMemoryBound(to: Instruction.self) + 1
  if let error = interruption() {
    pendingError = error
    return Step.error
  }
  return Step.next
}
