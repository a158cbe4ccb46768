// Making functions and classes, `super`, context managers, argument unpacking.

/// Calls with arguments in the caller's temporaries: moves them to a fresh window first.
func callOwned(
  _ callee: Value, _ w: UnsafeMutablePointer<Value>, _ argc: Int,
  _ kwNames: UnsafeMutablePointer<Value>?, _ kwCount: Int
) throws(LullError) -> Value {
  try withCallWindow(argc) { (v) throws(LullError) in
    for k in 0..<argc {
      v[k] = w[k]
      w[k].tag = .undefined
    }
    return try callConsuming(callee, v, argc, kwNames, kwCount)
  }
}

/// `f(*list, **dict)`; everything borrowed.
func callUnpacked(_ callee: Value, _ list: ListPtr, _ dict: DictPtr?) throws(LullError) -> Value {
  let n = list.pointee.count
  let entries =
    dict.map { d in
      (0..<d.pointee.used).map { d.pointee.entries[$0] }.filter { !$0.key.isUndefined }
    } ?? []
  let names = makeTuple(entries.map { $0.key.retained() })
  defer { names.release() }
  if n > 60000 { throw LullError.runtime("too many arguments in one call (\(n))") }
  return try withCallWindow(n + entries.count) { (w) throws(LullError) in
    for k in 0..<n { w[k] = list.pointee.items[k].retained() }
    for (k, e) in entries.enumerated() { w[n + k] = e.value.retained() }
    return try callConsuming(
      callee, w, n + entries.count, entries.isEmpty ? nil : names.tuple.items, entries.count)
  }
}

/// How messages about `*` and `**` name what is called: `module.name()`.
func callTitle(_ callee: Value) -> String {
  switch callee.tag {
  case .function:
    let module = callee.function.pointee.module.string
    return (module == "builtins" ? "" : module + ".") + callee.function.pointee.qualname.string
      + "()"
  case .builtin: return "\(callee.body(BuiltinBody.self).pointee.builtin.name)()"
  case .boundMethod: return callTitle(callee.method.pointee.function)
  case .type:
    let t = callee.typeObject.pointee
    return (t.module == "builtins" ? "" : t.module + ".") + t.qualname + "()"
  default:
    do throws(LullError) { return try display(callee) } catch { return "function" }
  }
}

func mergeKeywords(_ d: DictPtr, _ v: Value, callee: Value) throws(LullError) {
  let source: Value
  if v.kind == .dict {
    source = v.retained()
  } else {
    let keys = try getAttributeOrNil(v, Name.keys.str)
    keys?.release()
    if keys == nil {
      throw LullError.typeError(
        "\(callTitle(callee)) argument after ** must be a mapping, not \(typeName(v))")
    }
    source = makeDict()
    try updateDict(source.dict, v, mappingOnly: true)
  }
  defer { source.release() }
  for (k, x) in dictItems(source) {
    guard k.kind == .str else { throw LullError.typeError("keywords must be strings") }
    if d.get(k.str) != nil {
      throw LullError.typeError(
        "\(callTitle(callee)) got multiple values for keyword argument '\(k.string)'")
    }
    d.set(interned(k), x.retained())
  }
}

/// `d.update(v)`: a mapping or, unless `mappingOnly`, an iterable of pairs.
func updateDict(_ d: DictPtr, _ v: Value, mappingOnly: Bool) throws(LullError) {
  if v.kind == .dict {
    if v.tag == .dict || v.type.lookup(.__iter__).isUndefined { return try d.merge(v.dict) }
  }
  if let keys = try getAttributeOrNil(v, Name.keys.str) {
    defer { keys.release() }
    let list = try call(keys, [])
    defer { list.release() }
    try forEach(list) { (k) throws(LullError) in try d.store(k, try getItem(v, k)) }
    return
  }
  if mappingOnly { throw LullError.typeError("'\(typeName(v))' object is not a mapping") }
  var index = 0
  try forEach(v) { (pair) throws(LullError) in
    if !isIterable(pair) {
      throw LullError.typeError(
        "cannot convert dictionary update sequence element #\(index) to a sequence")
    }
    let items = try collect(pair)
    defer { for x in items { x.release() } }
    if items.count != 2 {
      throw LullError.valueError(
        "dictionary update sequence element #\(index) has length \(items.count); 2 is required")
    }
    try d.store(items[0], items[1].retained())
    index += 1
  }
}

func makeFunction(
  _ frame: UnsafeMutablePointer<Frame>, _ codeValue: Value, _ defaults: Value, _ keywords: Value,
  _ annotations: Value = .undefined
) -> Value {
  let code = codeValue.body(CodeBody.self).pointee.code
  let n = code.cellSources.count
  var cells: UnsafeMutablePointer<Value>?
  if n > 0 {
    let c = allocateRaw(n * 16).bindMemory(to: Value.self, capacity: n)
    for (k, s) in code.cellSources.enumerated() {
      switch s {
      case .register(let r): c[k] = frame.pointee.regs[Int(r)].retained()
      case .free(let i):
        c[k] = frame.pointee.cells.unsafelyUnwrapped[i].retained()
      }
    }
    cells = c
  }
  let globals = Value(.dict, frame.pointee.globals).retained()
  let module = frame.pointee.globals.get(Name.__name__.pointer) ?? interned("__main__")
  let p = allocateObject(MemoryLayout<FunctionBody>.size)
    .bindMemory(to: FunctionBody.self, capacity: 1)
  p.initialize(
    to: FunctionBody(
      h: Header(.function), code: Unmanaged.passUnretained(code), head: code.head,
      globals: globals,
      defaults: defaults, keywordDefaults: keywords, name: code.nameValue.retained(),
      qualname: code.qualnameValue.retained(),
      doc: code.docstring.map { makeStr($0) } ?? .none, dict: .undefined, cells: cells,
      cellCount: n, codeOwner: code, module: module.retained(), annotations: annotations))
  return Value(.function, p)
}

/// `keywords`: a dict for `__init_subclass__`, or undefined.
func makeClass(
  _ frame: UnsafeMutablePointer<Frame>, _ codeValue: Value, _ baseValue: Value, _ keywords: Value
) throws(LullError) -> Value {
  let code = codeValue.body(CodeBody.self).pointee.code
  let base = try acceptableBase(baseValue)
  let namespace = makeDict()
  defer { namespace.release() }
  let f = makeFunction(frame, codeValue, .undefined, .undefined)
  defer { f.release() }
  let w = frame.pointee.top + 1
  var classCell = Value.undefined
  if code.localNames.first == "__class__" { classCell = makeCell(.undefined) }
  defer { classCell.release() }
  try checkNativeStack()
  let new = try pushFrame(f.function, w, bound: 0, flags: Frame.fromNative)
  new.pointee.namespace = namespace
  if !classCell.isUndefined {
    // The body's first instruction would make this cell; the class needs to reach it afterwards.
    w[0] = classCell.retained()
    new.pointee.ip = new.pointee.ip + 1
  }
  try execute(new).release()

  return try finishClass(code.name, base, namespace.dict, classCell, keywords)
}

/// The class that a new class may have as its base; undefined stands for `object`.
private func acceptableBase(_ v: Value) throws(LullError) -> TypePtr {
  if v.isUndefined { return core.pointee.object }
  let base = try baseClass(v).typeObject
  let final: Set<String> = [
    "bool", "NoneType", "function", "range", "slice", "generator", "method", "module", "memoryview",
    "ellipsis", "NotImplementedType", "builtin_function_or_method",
  ]
  if !base.pointee.isUserDefined, final.contains(base.pointee.name) {
    throw LullError.typeError("type '\(base.pointee.name)' is not an acceptable base type")
  }
  return base
}

/// `type(name, bases, namespace)`, owned.
func makeClass(_ name: Value, _ bases: Value, _ namespace: Value, _ keywords: Value)
  throws(LullError) -> Value
{
  guard name.kind == .str else {
    throw LullError.typeError("type.__new__() argument 1 must be str, not \(typeName(name))")
  }
  guard let bases = bases.asTuple else {
    throw LullError.typeError("type.__new__() argument 2 must be tuple, not \(typeName(bases))")
  }
  guard let given = namespace.asDict else {
    throw LullError.typeError("type.__new__() argument 3 must be dict, not \(typeName(namespace))")
  }
  for item in dictItems(namespace) where item.key.kind != .str {
    throw LullError.typeError("the names of a class must be str, not \(typeName(item.key))")
  }
  if bases.pointee.count > 1 {
    throw LullError.typeError("multiple inheritance is not in the language")
  }
  let base = try acceptableBase(bases.pointee.count == 1 ? bases.items[0] : .undefined)
  let copy = given.copy()
  defer { copy.release() }
  if copy.dict.get(Name.__module__.pointer) == nil,
    let module = vm.pointee.frame?.pointee.globals.get(Name.__name__.pointer)
  {
    copy.dict.set(Name.__module__.str, module.retained())
  }
  return try finishClass(name.string, base, copy.dict, .undefined, keywords)
}

/// The class of a namespace that its body (or a call of `type`) has filled. `classCell`: what `super()` reads, or
/// undefined.
private func finishClass(
  _ name: String, _ base: TypePtr, _ namespace: DictPtr, _ classCell: Value, _ keywords: Value
) throws(LullError) -> Value {
  let kind: Tag = base.pointee.isException ? .exception : base.pointee.kind
  if let q = namespace.get(Name.__qualname__.pointer), q.kind != .str {
    throw LullError.typeError("type __qualname__ must be a str, not \(typeName(q))")
  }
  let t = makeType(name, base: base, kind: kind, module: "__main__", user: true)
  if kind == .int || kind == .bool { t.pointee.kind = .bigInt }
  if let m = namespace.get(Name.__module__.pointer), m.kind == .str {
    t.pointee.module = m.string
  }
  if let q = namespace.get(Name.__qualname__.pointer) {
    t.pointee.qualname = q.string
    namespace.removeEntry(namespace.findStr(Name.__qualname__.pointer)).release()
  }
  if let d = namespace.get(Name.__doc__.pointer), d.kind == .str {
    t.pointee.doc = d.string
  }
  if namespace.get(Name.__doc__.pointer) == nil { namespace.set(Name.__doc__.str, .none) }
  // A class that defines __eq__ without __hash__ is unhashable.
  if namespace.get(Name.__eq__.pointer) != nil,
    namespace.get(Name.__hash__.pointer) == nil
  {
    namespace.set(Name.__hash__.str, .none)
  }
  for k in namespace.keys {
    guard let v = namespace.get(k.str) else { continue }
    t.pointee.dict.dict.set(k, v.retained())
  }
  t.changed()
  t.pointee.slots = try slotNames(namespace, base, name)
  let result = Value(t)
  if !classCell.isUndefined { classCell.cell.pointee.value = result.retained() }
  for k in namespace.keys {
    guard let v = namespace.get(k.str), v.tag == .instance else { continue }
    let hook = v.type.lookup(.__set_name__)
    if !hook.isUndefined { try call(hook, [v, result, k]).release() }
  }
  let hook = base.lookup(.__init_subclass__)
  if !hook.isUndefined {
    let inner = hook.tag == .classMethod ? hook.wrapper.pointee.a : hook
    let named = keywords.isUndefined ? [] : dictItems(keywords).map { ($0.key.string, $0.value) }
    try call(inner, [result], keywords: named).release()
  } else if let d = keywords.asDict, d.pointee.count > 0 {
    throw LullError.typeError("\(name).__init_subclass__() takes no keyword arguments")
  }
  return result
}

func makeSuper(_ type: Value, _ me: Value) throws(LullError) -> Value {
  guard type.tag == .type else { throw LullError.runtime("super(): empty __class__ cell") }
  if me.isUndefined { throw LullError.runtime("super(): arg[0] deleted") }
  let t = me.tag == .type ? me.typeObject : me.type
  if !t.isSubtype(of: type.typeObject) {
    throw LullError.typeError("super(type, obj): obj must be an instance or subtype of type")
  }
  let p = allocateObject(MemoryLayout<SuperBody>.size).bindMemory(to: SuperBody.self, capacity: 1)
  type.retained()
  p.initialize(
    to: SuperBody(h: Header(.superObject), type: type.typeObject, receiver: me.retained()))
  return Value(.superObject, p)
}

/// The attributes that instances may have when the class and its bases name them in `__slots__`; nil: any.
private func slotNames(_ namespace: DictPtr, _ base: TypePtr, _ name: String) throws(LullError)
  -> Set<StrPtr>?
{
  guard let v = namespace.get(internedPointer("__slots__")) else { return nil }
  let plain: Set<Tag> = [
    .instance, .tuple, .str, .int, .float, .bytes, .list, .dict, .set, .complex,
  ]
  guard plain.contains(base.pointee.kind), !base.pointee.isUserDefined || base.pointee.slots != nil
  else { return nil }
  var names = base.pointee.slots ?? []
  let items = v.kind == .str ? [v.retained()] : try collect(v)
  defer { for x in items { x.release() } }
  if !items.isEmpty, [.tuple, .int, .bytes].contains(base.pointee.kind) {
    throw LullError.typeError(
      "nonempty __slots__ not supported for subtype of '\(base.pointee.name)'")
  }
  for x in items {
    guard x.kind == .str else {
      throw LullError.typeError("__slots__ items must be strings, not '\(typeName(x))'")
    }
    if x.string == "__dict__" { return nil }
    if namespace.get(interned(x).str) != nil {
      throw LullError.valueError("'\(x.string)' in __slots__ conflicts with class variable")
    }
    let stripped = name.drop { $0 == "_" }
    let isPrivate = x.string.hasPrefix("__") && !x.string.hasSuffix("__") && !stripped.isEmpty
    names.insert(internedPointer(isPrivate ? "_\(stripped)\(x.string)" : x.string))
  }
  return names
}

// MARK: - with

/// The bound `__exit__` and the result of `__enter__`.
func enterContext(_ m: Value) throws(LullError) -> (Value, Value) {
  if m.kind == .native, m.tag == .native, let n = m.type.pointee.native, let enter = n.enter {
    let v = try enter(m)
    return (m.retained(), v)
  }
  let enter = m.type.lookup(.__enter__)
  let exit = m.type.lookup(.__exit__)
  if enter.isUndefined || exit.isUndefined {
    let missing = exit.isUndefined && !enter.isUndefined ? " (missed __exit__ method)" : ""
    throw LullError.typeError(
      "'\(typeName(m))' object does not support the context manager protocol\(missing)")
  }
  let bound = try bindDescriptor(exit, m, m.type)
  do throws(LullError) {
    return (bound, try callMethod(enter, m))
  } catch {
    bound.release()
    throw error
  }
}
/// Calls `__exit__`; true when it swallows the exception.
func exitContext(_ exit: Value, _ e: Value) throws(LullError) -> Bool {
  if exit.tag == .native, let slot = exit.type.pointee.native?.exit {
    return try slot(exit, e.isUndefined ? .none : e)
  }
  if e.isUndefined {
    try call(exit, [.none, .none, .none]).release()
    return false
  }
  let trace = tracebackValue(e)
  defer { trace.release() }
  return try truthReleasing(try call(exit, [Value(e.type), e, trace]))
}

func isCallableValue(_ v: Value) -> Bool {
  switch v.tag {
  case .function, .builtin, .boundMethod, .type, .staticMethod: return true
  case .native: return v.type.pointee.native?.call != nil
  case .instance, .derived, .exception:
    return !v.type.lookup(.__call__).isUndefined
      || (v.kind == .native && v.type.pointee.native?.call != nil)
  default: return false
  }
}
