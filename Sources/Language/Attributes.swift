// Attributes: reading, writing, deleting, method look-up and the inline caches' slow paths.

/// Where an object keeps attributes of its own besides shape slots: functions, exceptions, natives,
/// modules, and instances of subclasses of builtins.
func ownDictSlot(_ v: Value) -> UnsafeMutablePointer<Value>? {
  switch v.tag {
  case .function: return withUnsafeMutablePointer(to: &v.function.pointee.dict) { $0 }
  case .exception: return withUnsafeMutablePointer(to: &v.exceptionBody.pointee.dict) { $0 }
  case .native:
    if v.type.pointee.native?.allowsAttributes != true { return nil }
    return withUnsafeMutablePointer(to: &v.body(NativeBody.self).pointee.dict) { $0 }
  case .derived:
    let size: Int
    switch v.kind {
    case .list: size = MemoryLayout<ListBody>.size
    case .dict: size = MemoryLayout<DictBody>.size
    case .set: size = MemoryLayout<SetBody>.size
    case .tuple: size = TupleBody.headSize + v.tuple.pointee.count * 16
    case .str: size = StrBody.headSize + v.str.pointee.capacity
    case .bigInt: size = MemoryLayout<BigIntBody>.size
    case .float: size = MemoryLayout<ComplexBody>.size
    case .bytes: size = MemoryLayout<BytesBody>.size
    case .native: size = MemoryLayout<NativeBody>.size
    default: return nil
    }
    return (v.raw + ((size + 15) & ~15)).assumingMemoryBound(to: Value.self)
  default: return nil
  }
}

/// An attribute of the object itself, borrowed; undefined when absent.
func ownAttribute(_ v: Value, _ name: StrPtr) -> Value {
  if v.tag == .instance {
    let s = v.instance.pointee.shape
    if s.pointee.isDict { return v.instance.pointee.slots[0].dict.get(name) ?? .undefined }
    let i = s.find(name)
    return i >= 0 ? v.instance.pointee.slots[i] : .undefined
  }
  if v.tag == .module { return v.module.pointee.dict.dict.get(name) ?? .undefined }
  if let slot = ownDictSlot(v), slot.pointee.tag == .dict {
    return slot.pointee.dict.get(name) ?? .undefined
  }
  return .undefined
}

/// Applies the descriptor protocol to a value found in a class: owned result. `me` undefined means
/// access through the class itself.
func bindDescriptor(_ f: Value, _ me: Value, _ t: TypePtr) throws(LullError) -> Value {
  switch f.tag {
  case .function, .builtin:
    if me.isUndefined { return f.retained() }
    return makeBoundMethod(me.retained(), f.retained())
  case .property:
    if me.isUndefined { return f.retained() }
    let getter = f.wrapper.pointee.a
    if getter.isNone {
      for (k, v) in dictItems(t.pointee.dict) where v.isSame(f) {
        throw LullError.attribute(
          "property '\(k.string)' of '\(t.pointee.qualname)' object has no getter")
      }
      throw LullError.attribute("property has no getter")
    }
    return try call1(getter, me)
  case .staticMethod: return f.wrapper.pointee.a.retained()
  case .classMethod:
    let inner = f.wrapper.pointee.a
    let cls = Value(t).retained()
    return makeBoundMethod(cls, inner.retained())
  case .instance, .derived:
    let get = f.type.lookup(.__get__)
    if get.isUndefined { return f.retained() }
    return try call(get, [f, me.isUndefined ? .none : me, Value(t)])
  default: return f.retained()
  }
}
private func isDataDescriptor(_ f: Value) -> Bool {
  if f.tag == .property { return true }
  if f.tag == .instance || f.tag == .derived { return !f.type.lookup(.__set__).isUndefined }
  return false
}

public func getAttribute(_ v: Value, _ name: Value) throws(LullError) -> Value {
  if let r = try getAttributeOrNil(v, name) { return r }
  throw attributeError(v, name.string)
}

func attributeError(_ v: Value, _ name: String) -> LullError {
  let e: LullError
  if v.tag == .type {
    e = .attribute("type object '\(v.typeObject.pointee.name)' has no attribute '\(name)'")
  } else if v.tag == .module {
    e = .attribute("module '\(v.module.pointee.name)' has no attribute '\(name)'")
  } else {
    e = .attribute("'\(typeName(v))' object has no attribute '\(name)'")
  }
  if let near = nearestName(name, among: attributeNames(v)) {
    e.notes.append("did you mean '\(near)'?")
  }
  e.attributes = [("name", makeStr(name)), ("obj", v.retained())]
  return e
}

/// Names that an object has, for completion, `dir` and suggestions.
public func attributeNames(_ v: Value) -> [String] {
  var names: Set<String> = []
  func add(_ d: DictPtr) { for k in d.keys { names.insert(k.string) } }
  func chain(_ start: TypePtr) {
    var t: TypePtr? = start
    while let c = t {
      add(c.pointee.dict.dict)
      t = c.pointee.base
    }
  }
  switch v.tag {
  case .instance:
    if v.instance.pointee.shape.pointee.isDict {
      add(v.instance.pointee.slots[0].dict)
    } else {
      for k in v.instance.pointee.shape.pointee.keys { names.insert(k.string) }
    }
  case .module:
    add(v.module.pointee.dict.dict)
    names.formUnion(ModuleRegistry.lazyNames[v.module.pointee.name] ?? [])
  case .type: chain(v.typeObject)
  default: if let s = ownDictSlot(v), s.pointee.tag == .dict { add(s.pointee.dict) }
  }
  if v.tag != .module, v.tag != .type { chain(v.type) }
  // The runtime's own entries begin with a space.
  return names.filter { !$0.hasPrefix(" ") }.sorted()
}

/// `object.__getattribute__`: the usual look-up without the class's `__getattr__`.
func getAttributePlain(_ v: Value, _ name: Value) throws(LullError) -> Value? {
  if v.tag == .type || v.tag == .superObject || v.kind == .native || v.tag == .module {
    return try getAttributeOrNil(v, name)
  }
  let n = interned(name).str
  let f = v.type.lookup(n)
  if !f.isUndefined, isDataDescriptor(f) { return try bindDescriptor(f, v, v.type) }
  let own = ownAttribute(v, n)
  if !own.isUndefined { return own.retained() }
  if !f.isUndefined { return try bindDescriptor(f, v, v.type) }
  if let r = try specialAttribute(v, n) { return r }
  return slotMethod(v.type, n).map { bindSlot($0, v) }
}
/// A special method of a builtin class, bound.
private func bindSlot(_ f: Value, _ me: Value) -> Value {
  f.isNone ? f : makeBoundMethod(me.retained(), f.retained())
}

/// nil when there is no such attribute. May run user code.
func getAttributeOrNil(_ v: Value, _ name: Value) throws(LullError) -> Value? {
  let n = interned(name).str
  if v.isUndefined { return nil }
  if v.tag == .type { return try typeAttribute(v, n) }
  if v.tag == .superObject { return try superAttribute(v, n) }
  let t = v.type
  if t.pointee.hasGetattribute {
    try checkNativeStack()
    do throws(LullError) {
      return try call2(t.lookup(.__getattribute__), v, Value(.str, n))
    } catch {
      guard t.pointee.hasGetattr, isKind(error, "AttributeError") else { throw error }
      return try call2(t.lookup(.__getattr__), v, Value(.str, n))
    }
  }
  let f = t.lookup(n)
  if !f.isUndefined, isDataDescriptor(f) {
    f.retained()
    defer { f.release() }
    do throws(LullError) {
      return try bindDescriptor(f, v, t)
    } catch {
      if t.pointee.hasGetattr, isKind(error, "AttributeError") {
        let g = t.lookup(.__getattr__)
        return try call2(g, v, Value(.str, n))
      }
      throw error
    }
  }
  let own = ownAttribute(v, n)
  if !own.isUndefined { return own.retained() }
  if !f.isUndefined { return try bindDescriptor(f, v, t) }
  if let r = try specialAttribute(v, n) { return r }
  if v.kind != .native || v.tag == .derived, let m = slotMethod(t, n) { return bindSlot(m, v) }
  if v.kind == .native, let m = nativeSlotMethod(t, n) { return bindSlot(m, v) }
  if t.pointee.hasGetattr {
    let g = t.lookup(.__getattr__)
    try checkNativeStack()
    do throws(LullError) {
      return try call2(g, v, Value(.str, n))
    } catch {
      throw error
    }
  }
  if v.kind == .native, let slot = t.pointee.native?.getAttribute,
    let r = try slot(v, n.string)
  {
    return r
  }
  if v.tag == .module, let lazy = v.module.pointee.lazy {
    do {
      if let r = try lazy(n.string) {
        v.module.pointee.dict.dict.set(Value(.str, n), r.retained())
        return r
      }
    } catch let e as LullError { throw e } catch { return nil }
  }
  if v.tag == .module, n != Name.__getattr__.pointer,
    let f = v.module.pointee.dict.dict.get(Name.__getattr__.pointer)
  {
    try checkNativeStack()
    return try call1(f, Value(.str, n))
  }
  return nil
}

private func typeAttribute(_ v: Value, _ n: StrPtr) throws(LullError) -> Value? {
  let t = v.typeObject
  // A class's own, made on first need; not its base's.
  if n == Name.__annotations__.pointer, t.pointee.isUserDefined {
    if let own = t.pointee.dict.dict.get(n) { return own.retained() }
    let made = makeDict()
    t.pointee.dict.dict.set(Value(.str, n), made.retained())
    return made
  }
  let f = t.lookup(n)
  if !f.isUndefined { return try bindDescriptor(f, .undefined, t) }
  switch n {
  case Name.__init__.pointer: return core.pointee.baseInitializer.retained()
  case Name.__new__.pointer:
    return t.pointee.isUserDefined || t == core.pointee.object
      ? core.pointee.builtins.dict.get(" new")?.retained() : makeBuiltin(newMethod(t))
  case Name.__setattr__.pointer: return core.pointee.builtins.dict.get(" setattr")?.retained()
  case Name.__name__.pointer: return makeStr(t.pointee.name)
  case Name.__qualname__.pointer: return makeStr(t.pointee.qualname)
  case Name.__module__.pointer: return makeStr(t.pointee.module)
  case Name.__doc__.pointer: return t.pointee.doc.isEmpty ? Value.none : makeStr(t.pointee.doc)
  case Name.__class__.pointer: return Value(v.type).retained()
  case Name.__dict__.pointer: return t.pointee.dict.dict.copy()
  case Name.__base__.pointer: return t.pointee.base.map { Value($0).retained() } ?? Value.none
  case Name.__bases__.pointer:
    return t.pointee.base.map { makeTuple([Value($0).retained()]) } ?? emptyTuple()
  case Name.__mro__.pointer:
    var out: [Value] = []
    var c: TypePtr? = t
    while let x = c {
      out.append(Value(x).retained())
      c = x.pointee.base
    }
    return makeTuple(out)
  case Name.__subclasses__.pointer:
    let list = t.pointee.subclasses.map { Value($0).retained() }
    let holder = makeList(list)
    let b = Builtin("__subclasses__", "__subclasses__()") { (_) throws(LullError) in
      makeList(holder.list.array.map { $0.retained() })
    }
    return makeBuiltin(b)
  default: break
  }
  if n.value.string == "mro" {
    let b = Builtin("mro", "mro()") { (_) throws(LullError) in
      var out: [Value] = []
      var c: TypePtr? = t
      while let x = c {
        out.append(Value(x).retained())
        c = x.pointee.base
      }
      return makeList(out)
    }
    return makeBuiltin(b)
  }
  if let m = slotMethod(t, n) {
    if n == Name.__init_subclass__.pointer { return bindSlot(m, v) }
    return m.retained()
  }
  let m = v.type.lookup(n)
  if !m.isUndefined { return try bindDescriptor(m, v, v.type) }
  return nil
}

/// `int.__new__` and the like: they make instances of their class and its subclasses only.
private func newMethod(_ t: TypePtr) -> Builtin {
  let name = t.pointee.name
  return Builtin("__new__", "__new__(*args, **kwargs)") { (a) throws(LullError) in
    guard let cls = a.rest(0).first else {
      throw LullError.typeError("\(name).__new__(): not enough arguments")
    }
    guard cls.tag == .type else {
      throw LullError.typeError("\(name).__new__(X): X is not a type object (\(typeName(cls)))")
    }
    guard cls.typeObject.isSubtype(of: t) else {
      let n = cls.typeObject.pointee.name
      throw LullError.typeError("\(name).__new__(\(n)): \(n) is not a subtype of \(name)")
    }
    guard let make = core.pointee.builtins.dict.get(" new") else { return .none }
    return try call(
      make, Array(a.rest(0)), keywords: dictItems(a[1]).map { ($0.key.string, $0.value) })
  }
}

private func superAttribute(_ v: Value, _ n: StrPtr) throws(LullError) -> Value? {
  let s = v.body(SuperBody.self)
  let me = s.pointee.receiver
  let isClass = me.tag == .type
  let t = isClass ? me.typeObject : me.type
  if let start = s.pointee.type.pointee.base {
    let f = start.lookup(n)
    if !f.isUndefined {
      if n == Name.__new__.pointer {
        return f.tag == .staticMethod ? f.wrapper.pointee.a.retained() : f.retained()
      }
      return try bindDescriptor(f, isClass ? (f.tag == .classMethod ? me : .undefined) : me, t)
    }
  }
  // What `object` and the builtin bases offer.
  switch n {
  case Name.__init__.pointer:
    return makeBoundMethod(me.retained(), core.pointee.baseInitializer.retained())
  case Name.__new__.pointer: return core.pointee.builtins.dict.get(" new")?.retained()
  case Name.__setattr__.pointer:
    return makeBoundMethod(
      me.retained(), core.pointee.builtins.dict.get(" setattr")?.retained() ?? .none)
  default: break
  }
  if let start = s.pointee.type.pointee.base, let m = slotMethod(start, n) {
    return isClass && n != Name.__init_subclass__.pointer ? m.retained() : bindSlot(m, me)
  }
  if let r = try specialAttribute(me, n) { return r }
  return nil
}

/// Attributes that the layout itself provides.
private func specialAttribute(_ v: Value, _ n: StrPtr) throws(LullError) -> Value? {
  switch n {
  case Name.__class__.pointer: return Value(v.type).retained()
  case Name.__doc__.pointer:
    if v.tag == .function { return v.function.pointee.doc.retained() }
    if v.tag == .builtin { return makeStr(v.body(BuiltinBody.self).pointee.builtin.doc) }
    if v.tag == .boundMethod {
      return try getAttributeOrNil(v.method.pointee.function, Name.__doc__.str)
    }
    if v.tag == .property {
      if !v.wrapper.pointee.doc.isNone { return v.wrapper.pointee.doc.retained() }
      return try getAttributeOrNil(v.wrapper.pointee.a, Name.__doc__.str)
    }
    return v.tag == .module
      ? Value.none : (v.type.pointee.doc.isEmpty ? .none : makeStr(v.type.pointee.doc))
  case Name.__dict__.pointer:
    if v.tag == .instance {
      if v.type.pointee.slots != nil { return nil }
      return Value(.dict, v.instance.attributeDict()).retained()
    }
    if v.tag == .module { return v.module.pointee.dict.retained() }
    if let slot = ownDictSlot(v) {
      if slot.pointee.tag != .dict { slot.pointee = makeDict() }
      return slot.pointee.retained()
    }
    return nil
  case Name.__module__.pointer:
    if v.tag == .function { return v.function.pointee.module.retained() }
    return makeStr(v.type.pointee.module)
  default: break
  }
  if v.tag == .derived, v.kind == .bigInt || v.kind == .float {
    return try specialAttribute(plainView(v), n)
  }
  switch v.tag {
  case .function:
    let f = v.function
    switch n {
    case Name.__name__.pointer: return f.pointee.name.retained()
    case Name.__qualname__.pointer: return f.pointee.qualname.retained()
    case Name.__defaults__.pointer:
      return f.pointee.defaults.isUndefined ? Value.none : f.pointee.defaults.retained()
    case Name.__kwdefaults__.pointer:
      return f.pointee.keywordDefaults.isUndefined
        ? Value.none : f.pointee.keywordDefaults.retained()
    case Name.__globals__.pointer: return f.pointee.globals.retained()
    case Name.__code__.pointer:
      let p = allocateObject(MemoryLayout<CodeBody>.size).bindMemory(to: CodeBody.self, capacity: 1)
      p.initialize(to: CodeBody(h: Header(.code), code: f.pointee.codeOwner))
      return Value(.code, p)
    case Name.__closure__.pointer:
      guard let cells = f.pointee.cells, f.pointee.cellCount > 0 else { return Value.none }
      return makeTuple((0..<f.pointee.cellCount).map { cells[$0].retained() })
    case Name.__annotations__.pointer:
      if f.pointee.annotations.tag != .dict { f.pointee.annotations = makeDict() }
      return f.pointee.annotations.retained()
    default: return nil
    }
  case .builtin:
    if n == Name.__name__.pointer || n == Name.__qualname__.pointer {
      return makeStr(v.body(BuiltinBody.self).pointee.builtin.name)
    }
    if n.string == "__text_signature__" {
      let b = v.body(BuiltinBody.self).pointee.builtin
      return makeStr(String(b.signature.drop { $0 != "(" }))
    }
  case .boundMethod:
    let m = v.method
    if n == Name.__self__.pointer { return m.pointee.receiver.retained() }
    if n == Name.__func__.pointer { return m.pointee.function.retained() }
    return try getAttributeOrNil(m.pointee.function, Value(.str, n))
  case .exception:
    let b = v.exceptionBody
    switch n {
    case Name.args.pointer: return b.pointee.args.retained()
    case Name.__cause__.pointer: return b.pointee.cause.retained()
    case Name.__context__.pointer: return b.pointee.context.retained()
    case Name.__suppress_context__.pointer: return Value(b.pointee.suppressContext)
    case Name.__traceback__.pointer: return tracebackValue(v)
    case Name.__notes__.pointer:
      return b.pointee.notes.isEmpty ? nil : makeList(b.pointee.notes.map { makeStr($0) })
    case Name.value.pointer:
      if v.type.isSubtype(of: exceptionType("StopIteration")) {
        let t = b.pointee.args.tuple
        return t.pointee.count > 0 ? t.items[0].retained() : Value.none
      }
    default:
      let name = n.string
      let t = b.pointee.args.tuple
      if name == "code", v.type.isSubtype(of: exceptionType("SystemExit")) {
        return t.pointee.count > 0 ? t.items[0].retained() : Value.none
      }
      if t.pointee.count == 5, v.type.isSubtype(of: exceptionType("UnicodeError")),
        let k = unicodeErrorParts.firstIndex(of: name)
      {
        return t.items[k].retained()
      }
      if v.type.isSubtype(of: exceptionType("ImportError")) {
        if name == "name" || name == "path" { return Value.none }
        if name == "msg" { return t.pointee.count == 1 ? t.items[0].retained() : Value.none }
      }
      if name == "name", v.type.isSubtype(of: exceptionType("NameError")) { return Value.none }
      if name == "name" || name == "obj", v.type.isSubtype(of: exceptionType("AttributeError")) {
        return Value.none
      }
      if v.type.isSubtype(of: exceptionType("SyntaxError")) {
        if name == "msg" { return t.pointee.count > 0 ? t.items[0].retained() : Value.none }
        if ["filename", "lineno", "offset", "text", "end_lineno", "end_offset"].contains(name) {
          return Value.none
        }
      }
      if v.type.isSubtype(of: core.pointee.osError) {
        let hasNumber = t.pointee.count == 2
        if name == "errno" { return hasNumber ? t.items[0].retained() : Value.none }
        if name == "strerror" { return hasNumber ? t.items[1].retained() : Value.none }
        if name == "filename" || name == "filename2" { return Value.none }
      }
    }
  case .slice:
    let s = v.body(SliceBody.self)
    if n == Name.start.pointer { return s.pointee.start.retained() }
    if n == Name.stop.pointer { return s.pointee.stop.retained() }
    if n == Name.step.pointer { return s.pointee.step.retained() }
  case .range:
    if n == Name.start.pointer { return v.range.ends.0 }
    if n == Name.stop.pointer { return v.range.ends.1 }
    if n == Name.step.pointer { return v.range.ends.2 }
  case .complex:
    let name = n.string
    if name == "real" { return Value(v.body(ComplexBody.self).pointee.re) }
    if name == "imag" { return Value(v.body(ComplexBody.self).pointee.im) }
  case .float:
    let name = n.string
    if name == "real" { return v.retained() }
    if name == "imag" { return Value(0.0) }
  case .int, .bool, .bigInt:
    let name = n.string
    if name == "real" || name == "numerator" {
      return v.tag == .bool ? Value(v.asInt) : v.retained()
    }
    if name == "imag" { return Value(0) }
    if name == "denominator" { return Value(1) }
  case .property:
    let w = v.wrapper
    switch n.string {
    case "fget": return w.pointee.a.retained()
    case "fset": return w.pointee.b.retained()
    case "fdel": return w.pointee.c.retained()
    default: return nil
    }
  case .code: return codeAttribute(v.body(CodeBody.self).pointee.code, n.string)
  case .cell:
    if n.string == "cell_contents" {
      if v.cell.pointee.value.isUndefined { throw LullError.valueError("Cell is empty") }
      return v.cell.pointee.value.retained()
    }
  case .classMethod, .staticMethod:
    if n == Name.__func__.pointer { return v.wrapper.pointee.a.retained() }
  case .dictView:
    if n.string == "mapping" {
      let types = try importModule(
        "types", level: 0, globals: core.pointee.builtins.dict, top: false)
      defer { types.release() }
      let proxy = try getAttribute(types, interned("MappingProxyType"))
      defer { proxy.release() }
      return try call1(proxy, v.body(DictViewBody.self).pointee.dict)
    }
  case .generator:
    if n.string == "gi_running" { return Value(v.body(GeneratorBody.self).pointee.isRunning) }
    if n.string == "gi_suspended" {
      let g = v.body(GeneratorBody.self).pointee
      return Value(g.isStarted && !g.isRunning && g.frame != nil)
    }
    if n.string == "gi_frame", v.body(GeneratorBody.self).pointee.frame == nil { return Value.none }
    if n == Name.__name__.pointer { return makeStr(v.body(GeneratorBody.self).pointee.name) }
    if n == Name.__qualname__.pointer {
      return makeStr(v.body(GeneratorBody.self).pointee.qualname)
    }
  default: break
  }
  return nil
}

/// What a function's `__code__` tells about its parameters and names.
private func codeAttribute(_ code: Code, _ name: String) -> Value? {
  switch name {
  case "co_name": return makeStr(code.name)
  case "co_qualname": return makeStr(code.qualname)
  case "co_filename": return makeStr(code.source.file)
  case "co_firstlineno": return Value(code.source.line(at: code.span.start))
  case "co_argcount": return Value(code.positionalCount)
  case "co_posonlyargcount": return Value(code.positionalOnly)
  case "co_kwonlyargcount": return Value(code.keywordOnlyCount)
  case "co_varnames":
    let parameters = code.parameterNames.map(\.string)
    let others = code.localNames.filter {
      !parameters.contains($0) && !$0.hasPrefix(".") && !$0.hasPrefix(" ")
    }
    return makeTuple((parameters + others).map { makeStr($0) })
  case "co_nlocals": return Value(Set(code.parameterNames.map(\.string) + code.localNames).count)
  case "co_freevars": return makeTuple(code.freeNames.map { makeStr($0) })
  case "co_flags":
    return Value(
      (code.hasRest ? 4 : 0) | (code.hasKeywords ? 8 : 0) | (code.isGenerator ? 32 : 0) | 3)
  default: return nil
  }
}

@inline(never) func getAttributeCaching(
  _ o: Value, _ name: Value, _ i: UnsafeMutablePointer<Instruction>
) throws(LullError) -> Value {
  if o.tag == .instance, !o.type.pointee.hasGetattribute {
    let s = o.instance.pointee.shape
    if !s.pointee.isDict {
      let x = s.find(name.str)
      if x >= 0, !isDataDescriptor(o.type.lookup(name.str)) {
        i.pointee.x = Int32(truncatingIfNeeded: x)
        i.pointee.y = s.pointee.id
        return o.instance.pointee.slots[x].retained()
      }
    }
  }
  return try getAttribute(o, name)
}

@inline(never) func loadMethod(
  _ frame: UnsafeMutablePointer<Frame>, _ a: UnsafeMutablePointer<Value>, _ name: Value,
  _ i: UnsafeMutablePointer<Instruction>
) throws(LullError) {
  let o = a[1]
  if o.isUndefined { throw unboundLocal(frame, i.pointee.a + 1) }
  let n = name.str
  if o.tag != .type, o.tag != .module, o.tag != .superObject {
    let t = o.type
    let f = t.lookup(n)
    if f.tag == .function || f.tag == .builtin, !t.pointee.hasGetattribute,
      ownAttribute(o, n).isUndefined
    {
      let code = frame.pointee.code.takeUnretainedValue()
      if Int(i.pointee.b) - code.constantCount < 0x7FFE,
        o.tag != .instance || !o.instance.pointee.shape.pointee.isDict,
        o.tag == .instance || ownDictSlot(o) == nil
      {
        i.pointee.y =
          o.tag == .instance ? o.instance.pointee.shape.pointee.id : t.pointee.version
        code.constants[Int(i.pointee.b)] = f
      }
      let old = a[0]
      a[0] = f.retained()
      old.release()
      return
    }
  }
  if o.tag == .superObject {
    // `super().method(...)`: the function and its receiver as they are, no bound method.
    let s = o.body(SuperBody.self)
    let me = s.pointee.receiver
    if me.tag != .type, n != Name.__new__.pointer, let start = s.pointee.type.pointee.base {
      var f = start.lookup(n)
      if f.isUndefined, n == Name.__init__.pointer { f = core.pointee.baseInitializer }
      if f.tag == .function || f.tag == .builtin {
        set(a, f.retained())
        set(a + 1, me.retained())
        return
      }
    }
  }
  let v = try getAttribute(o, name)
  let old = a[0]
  a[0] = v
  old.release()
  let receiver = a[1]
  a[1].tag = .undefined
  receiver.release()
}

// MARK: - Writing

/// Consumes the value, also when it throws.
func setAttribute(_ o: Value, _ name: Value, _ v: Value) throws(LullError) {
  let n = interned(name).str
  if o.tag != .type, !o.isUndefined, o.type.pointee.hasSetattr {
    defer { v.release() }
    try checkNativeStack()
    try call3(o.type.lookup(.__setattr__), o, Value(.str, n), v).release()
    return
  }
  try setAttributePlain(o, n, v)
}

/// The error for a new attribute that `__slots__` does not name.
private func refused(_ o: Value, _ n: StrPtr) -> LullError? {
  guard let allowed = o.type.pointee.slots, !allowed.contains(n) else { return nil }
  return o.type.lookup(n).isUndefined
    ? attributeError(o, n.value.string)
    : .attribute("'\(typeName(o))' object attribute '\(n.value.string)' is read-only")
}

/// `object.__setattr__`; consumes the value.
func setAttributePlain(_ o: Value, _ n: StrPtr, _ v: Value) throws(LullError) {
  if o.tag == .type {
    let t = o.typeObject
    guard t.pointee.isUserDefined else {
      v.release()
      throw LullError.typeError(
        "cannot set '\(n.string)' attribute of immutable type '\(t.pointee.name)'")
    }
    if n == Name.__name__.pointer, v.kind == .str { t.pointee.name = v.string }
    if n == Name.__doc__.pointer { t.pointee.doc = v.string }
    if n == Name.__qualname__.pointer { t.pointee.qualname = v.string }
    if n == Name.__module__.pointer { t.pointee.module = v.string }
    let d = t.pointee.dict.dict
    let x = d.findStr(n)
    if x >= 0, d.pointee.entries[x].value.isPlainData, v.isPlainData {
      // Neither a method nor a descriptor: only look-ups of this name are stale.
      let old = d.pointee.entries[x].value
      d.pointee.entries[x].value = v
      t.forget(n)
      old.release()
      return
    }
    d.set(Value(.str, n), v)
    t.changed()
    return
  }
  let f = o.type.lookup(n)
  if !f.isUndefined {
    if f.tag == .property {
      defer { v.release() }
      let setter = f.wrapper.pointee.b
      if setter.isNone {
        throw LullError.attribute(
          "property '\(n.string)' of '\(o.type.pointee.qualname)' object has no setter")
      }
      try call2(setter, o, v).release()
      return
    }
    if f.tag == .instance {
      let set = f.type.lookup(.__set__)
      if !set.isUndefined {
        defer { v.release() }
        try call(set, [f, o, v]).release()
        return
      }
    }
  }
  switch o.tag {
  case .instance:
    let p = o.instance
    if p.pointee.shape.pointee.isDict {
      p.pointee.slots[0].dict.set(Value(.str, n), v)
      return
    }
    if o.type == core.pointee.object {
      v.release()
      throw attributeError(o, n.value.string)
    }
    if n == Name.__class__.pointer {
      v.release()
      throw LullError.typeError("__class__ assignment is not in the language")
    }
    if n == Name.__dict__.pointer {
      defer { v.release() }
      guard let d = v.asDict else {
        throw LullError.typeError("__dict__ must be set to a dictionary")
      }
      let mine = p.attributeDict()
      mine.clear()
      try mine.merge(d)
      return
    }
    let x = p.pointee.shape.find(n)
    if x >= 0 {
      let old = p.pointee.slots[x]
      p.pointee.slots[x] = v
      old.release()
    } else {
      if let e = refused(o, n) {
        v.release()
        throw e
      }
      p.addSlot(n, v)
    }
  case .module:
    let m = o.module.pointee
    if m.name == "sys", n.value.string == "stdout" {
      redirectOutput(v, from: m.dict.dict.get(n) ?? .undefined)
    }
    m.dict.dict.set(Value(.str, n), v)
  case .function:
    switch n {
    case Name.__name__.pointer: swap(&o.function.pointee.name, v)
    case Name.__qualname__.pointer: swap(&o.function.pointee.qualname, v)
    case Name.__doc__.pointer: swap(&o.function.pointee.doc, v)
    case Name.__module__.pointer:
      swap(&o.function.pointee.module, v)
    case Name.__defaults__.pointer: swap(&o.function.pointee.defaults, v)
    case Name.__kwdefaults__.pointer:
      guard v.isNone || v.kind == .dict else {
        v.release()
        throw LullError.typeError("__kwdefaults__ must be set to a dict object")
      }
      swap(&o.function.pointee.keywordDefaults, v)
    case Name.__annotations__.pointer:
      guard v.isNone || v.kind == .dict else {
        v.release()
        throw LullError.typeError("__annotations__ must be set to a dict object")
      }
      swap(&o.function.pointee.annotations, v)
    case Name.__dict__.pointer: swap(&o.function.pointee.dict, v)
    default:
      if o.function.pointee.dict.tag != .dict { o.function.pointee.dict = makeDict() }
      o.function.pointee.dict.dict.set(Value(.str, n), v)
    }
  case .exception:
    let b = o.exceptionBody
    switch n {
    case Name.args.pointer:
      defer { v.release() }
      let items = try collect(v)
      swap(&b.pointee.args, makeTuple(items))
    case Name.__cause__.pointer:
      guard v.isNone || v.tag == .exception else {
        v.release()
        throw LullError.typeError("exception cause must be None or derive from BaseException")
      }
      swap(&b.pointee.cause, v)
      b.pointee.suppressContext = true
    case Name.__context__.pointer:
      guard v.isNone || v.tag == .exception else {
        v.release()
        throw LullError.typeError("exception context must be None or derive from BaseException")
      }
      swap(&b.pointee.context, v)
    case Name.__suppress_context__.pointer:
      b.pointee.suppressContext = try truthReleasing(v)
    case Name.__traceback__.pointer:
      if v.isNone { b.pointee.traceback = Trail() }
      v.release()
    default:
      if b.pointee.dict.tag != .dict { b.pointee.dict = makeDict() }
      b.pointee.dict.dict.set(Value(.str, n), v)
    }
  default:
    if o.kind == .native, let slot = o.type.pointee.native?.setAttribute {
      do throws(LullError) {
        if try slot(o, n.string, v) {
          v.release()
          return
        }
      } catch {
        v.release()
        throw error
      }
    }
    if o.tag == .derived, let e = refused(o, n) {
      v.release()
      throw e
    }
    if let slot = ownDictSlot(o) {
      if slot.pointee.tag != .dict { slot.pointee = makeDict() }
      slot.pointee.dict.set(Value(.str, n), v)
      return
    }
    v.release()
    if o.type.lookup(n).isUndefined {
      throw LullError.attribute("'\(typeName(o))' object has no attribute '\(n.string)'")
    }
    throw LullError.attribute("'\(typeName(o))' object attribute '\(n.string)' is read-only")
  }
}
private func swap(_ slot: inout Value, _ v: Value) {
  let old = slot
  slot = v
  old.release()
}

@inline(never) func setAttributeCaching(
  _ o: Value, _ name: Value, _ v: Value, _ i: UnsafeMutablePointer<Instruction>
) throws(LullError) {
  if o.tag == .instance, !o.type.pointee.hasSetattr {
    let p = o.instance
    let s = p.pointee.shape
    let n = name.str
    if !s.pointee.isDict, n != Name.__class__.pointer, n != Name.__dict__.pointer {
      let f = o.type.lookup(n)
      if f.isUndefined || !isDataDescriptor(f) {
        let x = s.find(n)
        if x >= 0 {
          i.pointee.x = Int32(truncatingIfNeeded: x)
          i.pointee.y = s.pointee.id
          let old = p.pointee.slots[x]
          p.pointee.slots[x] = v
          old.release()
        } else {
          if let e = refused(o, n) {
            v.release()
            throw e
          }
          // -2: objects of this shape get the attribute as a new one.
          i.pointee.x = -2
          i.pointee.y = s.pointee.id
          p.addSlot(n, v)
        }
        return
      }
    }
  }
  try setAttribute(o, name, v)
}

func deleteAttribute(_ o: Value, _ name: Value) throws(LullError) {
  if o.tag != .type, o.type.pointee.hasDelattr {
    try call2(o.type.lookup(.__delattr__), o, interned(name)).release()
    return
  }
  try deleteAttributePlain(o, name)
}

/// `object.__delattr__`.
func deleteAttributePlain(_ o: Value, _ name: Value) throws(LullError) {
  let n = interned(name).str
  if o.tag == .type, o.typeObject.pointee.isUserDefined {
    let d = o.typeObject.pointee.dict.dict
    let x = d.findStr(n)
    if x < 0 { throw attributeError(o, n.string) }
    d.removeEntry(x).release()
    o.typeObject.changed()
    return
  }
  let f = o.type.lookup(n)
  if f.tag == .property {
    let deleter = f.wrapper.pointee.c
    if deleter.isNone {
      throw LullError.attribute(
        "property '\(n.string)' of '\(o.type.pointee.qualname)' object has no deleter")
    }
    try call1(deleter, o).release()
    return
  }
  if f.tag == .instance {
    let delete = f.type.lookup(.__delete__)
    if !delete.isUndefined {
      try call(delete, [f, o]).release()
      return
    }
  }
  if o.tag == .instance, !o.instance.pointee.shape.pointee.isDict {
    if let old = o.instance.removeSlot(n) {
      old.release()
      return
    }
    throw attributeError(o, n.string)
  }
  let d: DictPtr?
  if o.tag == .instance {
    d = o.instance.pointee.slots[0].dict
  } else if o.tag == .module {
    d = o.module.pointee.dict.dict
  } else if let s = ownDictSlot(o), s.pointee.tag == .dict {
    d = s.pointee.dict
  } else {
    d = nil
  }
  if let d {
    let x = d.findStr(n)
    if x >= 0 {
      d.removeEntry(x).release()
      return
    }
  }
  throw attributeError(o, n.string)
}
