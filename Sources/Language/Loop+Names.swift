// Instructions on names: globals, class namespaces, cells and closures.

extension Loop {
  @_transparent func loadGlobal(_ i: InstructionPtr) throws(LullError) {
    save()
    let name = constants[Int(i.pointee.c)].str
    set(a(i), try Language.loadGlobal(frame, i, name).retained())
  }
  @_transparent mutating func loadGlobalCached(_ i: InstructionPtr) {
    let x = Int(i.pointee.x)
    let g = frame.pointee.globals
    if _fastPath(x < g.pointee.used) {
      let e = g.pointee.entries + x
      if _fastPath(e.pointee.key.bits == constants[Int(i.pointee.c)].bits) {
        set(a(i), e.pointee.value.retained())
        return
      }
    }
    i.pointee.op = .loadGlobal
    ip = i
  }
  @_transparent mutating func loadBuiltinCached(_ i: InstructionPtr) {
    if _fastPath(frame.pointee.globals.pointee.keysVersion == i.pointee.y) {
      let b = core.pointee.builtins.dict
      let x = Int(i.pointee.x)
      if x < b.pointee.used, b.pointee.entries[x].key.bits == constants[Int(i.pointee.c)].bits {
        set(a(i), b.pointee.entries[x].value.retained())
        return
      }
    }
    i.pointee.op = .loadGlobal
    ip = i
  }
  @_transparent func storeGlobal(_ i: InstructionPtr) throws(LullError) {
    let v = takeA(i)
    if _slowPath(v.isUndefined) { throw unbound(frame, i, i.pointee.a) }
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
  }
  @_transparent func deleteGlobal(_ i: InstructionPtr) throws(LullError) {
    save()
    let key = constants[Int(i.pointee.c)]
    let g = frame.pointee.globals
    let x = g.findString(key.str)
    if x < 0 { throw nameError(key.string, frame) }
    g.removeEntry(x).release()
  }

  @_transparent func loadName(_ i: InstructionPtr) throws(LullError) {
    save()
    let name = constants[Int(i.pointee.c)]
    if let v = frame.pointee.namespace.dict.get(name.str) {
      set(a(i), v.retained())
    } else {
      set(a(i), try loadGlobalSlow(frame, name.str).retained())
    }
  }
  @_transparent func storeName(_ i: InstructionPtr) throws(LullError) {
    save()
    let v = takeA(i)
    if _slowPath(v.isUndefined) { throw unboundLocal(frame, i.pointee.a) }
    frame.pointee.namespace.dict.set(constants[Int(i.pointee.c)], v)
  }
  @_transparent func deleteName(_ i: InstructionPtr) throws(LullError) {
    save()
    let key = constants[Int(i.pointee.c)]
    let d = frame.pointee.namespace.dict
    let x = d.findString(key.str)
    if x < 0 { throw nameError(key.string, frame) }
    d.removeEntry(x).release()
  }

  @_transparent func loadCell(_ i: InstructionPtr) throws(LullError) {
    let v = b(i).cell.pointee.value
    if _slowPath(v.isUndefined) {
      save()
      throw unboundCell(constants[Int(i.pointee.c)].string)
    }
    set(a(i), v.retained())
  }
  @_transparent func storeCell(_ i: InstructionPtr) throws(LullError) {
    let v = takeA(i)
    if _slowPath(v.isUndefined) { throw unbound(frame, i, i.pointee.a) }
    store(v, b(i).cell)
  }
  @_transparent func deleteCell(_ i: InstructionPtr) throws(LullError) {
    let cell = b(i).cell
    if cell.pointee.value.isUndefined {
      save()
      throw unboundCell(constants[Int(i.pointee.c)].string)
    }
    store(.undefined, cell)
  }
  @_transparent func free(_ i: InstructionPtr) -> UnsafeMutablePointer<CellBody> {
    frame.pointee.cells.unsafelyUnwrapped[Int(i.pointee.b)].cell
  }
  @_transparent func loadFree(_ i: InstructionPtr) throws(LullError) {
    let v = free(i).pointee.value
    if _slowPath(v.isUndefined) {
      save()
      throw freeVariableError(constants[Int(i.pointee.c)].string)
    }
    set(a(i), v.retained())
  }
  @_transparent func storeFree(_ i: InstructionPtr) throws(LullError) {
    let v = takeA(i)
    if _slowPath(v.isUndefined) { throw unbound(frame, i, i.pointee.a) }
    store(v, free(i))
  }
  @_transparent func deleteFree(_ i: InstructionPtr) throws(LullError) {
    let cell = free(i)
    if cell.pointee.value.isUndefined {
      save()
      throw freeVariableError(constants[Int(i.pointee.c)].string)
    }
    store(.undefined, cell)
  }
  @_transparent func loadClassFree(_ i: InstructionPtr) throws(LullError) {
    let name = constants[Int(i.pointee.c)]
    if let v = frame.pointee.namespace.dict.get(name.str) {
      set(a(i), v.retained())
    } else {
      try loadFree(i)
    }
  }
}

@_transparent private func store(_ v: Value, _ cell: UnsafeMutablePointer<CellBody>) {
  let old = cell.pointee.value
  cell.pointee.value = v
  old.release()
}
@inline(never) private func unboundCell(_ name: String) -> LullError {
  LullError(
    "UnboundLocalError",
    "cannot access local variable '\(name)' where it is not associated with a value")
}
