// Instructions that make containers, and those that read and write attributes and items.

extension Loop {
  // MARK: Containers

  @_transparent func makeList(_ i: InstructionPtr) {
    let n = Int(i.pointee.c)
    let first = regs + Int(i.pointee.b)
    let v = Language.makeList(from: first, count: n)
    for k in 0..<n { first[k].tag = .undefined }
    set(a(i), v)
  }
  @_transparent func makeTuple(_ i: InstructionPtr) {
    let n = Int(i.pointee.c)
    let first = regs + Int(i.pointee.b)
    if n == 0 {
      set(a(i), emptyTuple())
    } else {
      let v = Language.makeTuple(from: first, count: n)
      for k in 0..<n { first[k].tag = .undefined }
      set(a(i), v)
    }
  }
  @_transparent func makeString(_ i: InstructionPtr) throws(LullError) {
    let n = Int(i.pointee.c)
    let first = regs + Int(i.pointee.b)
    save()
    let v = try joinStrings(first, n)
    releaseArguments(first, n)
    set(a(i), v)
  }
  @_transparent func makeSlice(_ i: InstructionPtr) {
    let first = regs + Int(i.pointee.b)
    let v = Language.makeSlice(first[0], first[1], first[2])
    for k in 0..<3 { first[k].tag = .undefined }
    set(a(i), v)
  }
  @_transparent func listAppend(_ i: InstructionPtr) throws(LullError) {
    let v = takeB(i)
    if _slowPath(v.isUndefined) { throw unbound(frame, i, i.pointee.b) }
    a(i).pointee.list.append(v)
  }
  @_transparent func listExtend(_ i: InstructionPtr) throws(LullError) {
    save()
    let v = b(i)
    if _slowPath(v.isUndefined) { throw unboundLocal(frame, i.pointee.b) }
    if i.pointee.x > 0, !isIterable(v) {
      throw notIterable(v, i.pointee.x == 1 ? c(i) : .undefined)
    }
    try extendList(a(i).pointee.list, v)
    consumeB(i)
  }
  @_transparent func setAdd(_ i: InstructionPtr) throws(LullError) {
    save()
    let v = b(i)
    if _slowPath(v.isUndefined) { throw unboundLocal(frame, i.pointee.b) }
    try a(i).pointee.set.add(v)
    consumeB(i)
  }
  @_transparent func setUpdate(_ i: InstructionPtr) throws(LullError) {
    save()
    let v = b(i)
    if _slowPath(v.isUndefined) { throw unboundLocal(frame, i.pointee.b) }
    try a(i).pointee.set.update(v)
    consumeB(i)
  }
  @_transparent func dictSet(_ i: InstructionPtr) throws(LullError) {
    save()
    let key = b(i)
    let v = takeC(i)
    if _slowPath(key.isUndefined || v.isUndefined) {
      throw unboundLocal(frame, key.isUndefined ? i.pointee.b : i.pointee.c)
    }
    try a(i).pointee.dict.store(key, v)
    consumeB(i)
  }
  @_transparent func dictUpdate(_ i: InstructionPtr) throws(LullError) {
    save()
    let v = b(i)
    if _slowPath(v.isUndefined) { throw unboundLocal(frame, i.pointee.b) }
    try updateDict(a(i).pointee.dict, v, mappingOnly: true)
    consumeB(i)
  }
  @_transparent func dictMerge(_ i: InstructionPtr) throws(LullError) {
    save()
    let v = b(i)
    if _slowPath(v.isUndefined) { throw unboundLocal(frame, i.pointee.b) }
    try mergeKeywords(a(i).pointee.dict, v, callee: c(i))
    consumeB(i)
  }
  @_transparent func listToTuple(_ i: InstructionPtr) {
    let l = b(i).list
    let v = Language.makeTuple(from: l.pointee.items, count: l.pointee.count)
    l.pointee.count = 0
    consumeB(i)
    set(a(i), v)
  }

  // MARK: Attributes

  /// The frame of a property's getter to go on in, or nil when the value is there.
  @_transparent func getAttr(_ i: InstructionPtr) throws(LullError) -> FramePtr? {
    let o = b(i)
    if o.tag == .instance {
      let p = o.instance
      if _fastPath(p.pointee.shape.pointee.id == i.pointee.y) {
        let v = p.pointee.slots[Int(i.pointee.x)].retained()
        consumeB(i)
        set(a(i), v)
        return nil
      }
    }
    return try getAttrAny(frame, i)
  }
  @_transparent func setAttr(_ i: InstructionPtr) throws(LullError) {
    let o = a(i).pointee
    if o.tag == .instance {
      let p = o.instance
      if _fastPath(p.pointee.shape.pointee.id == i.pointee.y && i.pointee.x >= 0) {
        let v = takeB(i)
        if _slowPath(v.isUndefined) { throw unbound(frame, i, i.pointee.b) }
        set(p.pointee.slots + Int(i.pointee.x), v)
        consumeA(i)
        return
      }
    }
    try setAttrAny(frame, i)
  }
  @_transparent func deleteAttr(_ i: InstructionPtr) throws(LullError) {
    save()
    let o = a(i).pointee
    if _slowPath(o.isUndefined) { throw unboundLocal(frame, i.pointee.a) }
    try deleteAttribute(o, constants[Int(i.pointee.c)])
    consumeA(i)
  }

  // MARK: Items

  /// `a = b[c]`.
  @_transparent func getItem(_ i: InstructionPtr) throws(LullError) {
    let o = b(i)
    let k = c(i)
    if k.tag == .int, let p = place(o, k.asInt) {
      let v = p.pointee.retained()
      consumeB(i)
      set(a(i), v)
      return
    }
    try getItemAny(frame, i)
  }
  /// `a = b[x]`.
  @_transparent func getItemImmediate(_ i: InstructionPtr) throws(LullError) {
    let o = b(i)
    if let p = place(o, Int(i.pointee.x)) {
      let v = p.pointee.retained()
      consumeB(i)
      set(a(i), v)
      return
    }
    save()
    if _slowPath(o.isUndefined) { throw unboundLocal(frame, i.pointee.b) }
    let v = try Language.getItem(o, Value(Int(i.pointee.x)))
    consumeB(i)
    set(a(i), v)
  }
  /// `a[b] = c`.
  @_transparent func setItem(_ i: InstructionPtr) throws(LullError) {
    let o = a(i).pointee
    let k = b(i)
    if o.tag == .list, k.tag == .int, let p = place(o, k.asInt) {
      let v = takeC(i)
      if !v.isUndefined {
        set(p, v)
        consumeA(i)
        return
      }
    }
    try setItemAny(frame, i)
  }
  /// `a[x] = c`.
  @_transparent func setItemImmediate(_ i: InstructionPtr) throws(LullError) {
    let o = a(i).pointee
    if o.tag == .list, let p = place(o, Int(i.pointee.x)) {
      let v = takeC(i)
      if !v.isUndefined {
        set(p, v)
        consumeA(i)
        return
      }
    }
    save()
    let v = c(i)
    if _slowPath(v.isUndefined) { throw unboundLocal(frame, i.pointee.c) }
    if _slowPath(o.isUndefined) { throw unboundLocal(frame, i.pointee.a) }
    try Language.setItem(o, Value(Int(i.pointee.x)), v)
    consumeA(i)
    consumeC(i)
  }
  @_transparent func deleteItem(_ i: InstructionPtr) throws(LullError) {
    save()
    let o = a(i).pointee
    let k = b(i)
    if _slowPath(o.isUndefined || k.isUndefined) {
      throw unbound(frame, i, i.pointee.a, i.pointee.b)
    }
    try Language.deleteItem(o, k)
    consumeA(i)
    consumeB(i)
  }
}

/// `callee` is undefined for a `*` in a display.
@inline(never) private func notIterable(_ v: Value, _ callee: Value) -> LullError {
  let title = callee.isUndefined ? "Value" : "\(callTitle(callee)) argument"
  return .typeError("\(title) after * must be an iterable, not \(typeName(v))")
}
/// The place of an item of a list or tuple; nil for anything else and out of range.
@_transparent private func place(_ o: Value, _ index: Int) -> Registers? {
  if o.tag == .list {
    let l = o.list
    let n = l.pointee.count
    let x = index < 0 ? index &+ n : index
    return UInt(bitPattern: x) < UInt(bitPattern: n) ? l.pointee.items + x : nil
  }
  if o.tag == .tuple {
    let t = o.tuple
    let n = t.pointee.count
    let x = index < 0 ? index &+ n : index
    return UInt(bitPattern: x) < UInt(bitPattern: n) ? t.items + x : nil
  }
  return nil
}

@inline(never) func getAttrAny(_ frame: FramePtr, _ i: InstructionPtr) throws(LullError)
  -> FramePtr?
{
  frame.pointee.ip = i + 1
  let o = frame.pointee.regs[Int(i.pointee.b)]
  if o.isUndefined { throw unboundLocal(frame, i.pointee.b) }
  if o.tag == .instance, !o.type.pointee.hasGetattr {
    let p = o.type.lookup(frame.pointee.constants[Int(i.pointee.c)].str)
    if p.tag == .property, p.wrapper.pointee.a.tag == .function {
      let f = p.wrapper.pointee.a
      if f.function.pointee.head.pointee.exactCount == 1 {
        // The getter runs in the same loop, in a window above everything of this frame.
        let slot = frame.pointee.top + 1
        slot[0] = f.retained()
        slot[1] = o.retained()
        let new: FramePtr
        do throws(LullError) {
          new = try pushFrame(
            f.function, slot + 1, bound: 1, calleeSlot: slot, returnRegister: i.pointee.a)
        } catch {
          releaseArguments(slot, 2)
          throw error
        }
        frame.pointee.consume(i.pointee.b)
        return new
      }
    }
  }
  let v = try getAttributeCaching(o, frame.pointee.constants[Int(i.pointee.c)], i)
  frame.pointee.consume(i.pointee.b)
  set(frame.pointee.regs + Int(i.pointee.a), v)
  return nil
}
@inline(never) private func setAttrAny(_ frame: FramePtr, _ i: InstructionPtr) throws(LullError) {
  frame.pointee.ip = i + 1
  let regs = frame.pointee.regs
  let o = regs[Int(i.pointee.a)]
  let v = take(regs, i.pointee.b, frame.pointee.localCount)
  if v.isUndefined { throw unboundLocal(frame, i.pointee.b) }
  if o.isUndefined {
    v.release()
    throw unboundLocal(frame, i.pointee.a)
  }
  let name = frame.pointee.constants[Int(i.pointee.c)]
  if i.pointee.x == -2, o.tag == .instance, o.instance.pointee.shape.pointee.id == i.pointee.y {
    o.instance.addSlot(name.str, v)
  } else {
    try setAttributeCaching(o, name, v, i)
  }
  frame.pointee.consume(i.pointee.a)
}
@inline(never) func getItemAny(_ frame: FramePtr, _ i: InstructionPtr) throws(LullError) {
  frame.pointee.ip = i + 1
  let regs = frame.pointee.regs
  let o = regs[Int(i.pointee.b)]
  let k = regs[Int(i.pointee.c)]
  var v = Value.undefined
  if o.tag == .dict {
    var x = -2
    if k.tag == .str {
      x = o.dict.findStr(k.str)
    } else if k.tag == .int {
      x = o.dict.findInt(k.bits, hashInt(k.asInt))
    }
    if x >= 0 { v = o.dict.pointee.entries[x].value.retained() }
  } else if o.tag == .str, k.tag == .int, o.str.isASCII {
    let n = o.str.pointee.byteCount
    let x = k.asInt < 0 ? k.asInt &+ n : k.asInt
    if x >= 0, x < n { v = asciiCharacter(o.str.bytes[x]) }
  }
  if v.isUndefined {
    if o.isUndefined || k.isUndefined { throw unbound(frame, i, i.pointee.b, i.pointee.c) }
    v = try getItem(o, k)
  }
  frame.pointee.consume(i.pointee.b)
  frame.pointee.consume(i.pointee.c)
  set(regs + Int(i.pointee.a), v)
}
@inline(never) func setItemAny(_ frame: FramePtr, _ i: InstructionPtr) throws(LullError) {
  frame.pointee.ip = i + 1
  let regs = frame.pointee.regs
  let o = regs[Int(i.pointee.a)]
  let k = regs[Int(i.pointee.b)]
  if o.tag == .dict, k.tag == .str || k.tag == .int {
    let d = o.dict
    let hash = k.tag == .str ? k.str.hashValue64 : hashInt(k.asInt)
    let x = k.tag == .str ? d.findStr(k.str) : d.findInt(k.bits, hash)
    if x != -2, !regs[Int(i.pointee.c)].isUndefined {
      let v = take(regs, i.pointee.c, frame.pointee.localCount)
      if x >= 0 {
        let old = d.pointee.entries[x].value
        d.pointee.entries[x].value = v
        old.release()
      } else {
        d.insertNew(k.retained(), hash, v)
      }
      frame.pointee.consume(i.pointee.a)
      frame.pointee.consume(i.pointee.b)
      return
    }
  }
  let v = regs[Int(i.pointee.c)]
  if v.isUndefined { throw unboundLocal(frame, i.pointee.c) }
  if o.isUndefined || k.isUndefined { throw unbound(frame, i, i.pointee.a, i.pointee.b) }
  try setItem(o, k, v)
  frame.pointee.consume(i.pointee.a)
  frame.pointee.consume(i.pointee.b)
  frame.pointee.consume(i.pointee.c)
}
