// The builtin functions: len, print, range, sorted, isinstance, ...
import BigInt
import Glibc

/// Installs all builtin names and types. Called once by `startRuntime`.
func installBuiltins() {
  let d = core.pointee.builtins.dict
  for f in builtinFunctions {
    d.set(f.name, makeBuiltin(f))
  }
  BuiltinRegistry.add(builtinFunctions)
  installTypes()
  for (name, t) in exceptionTypes { d.set(name, Value(t).retained()) }
  d.set("IOError", Value(core.pointee.osError).retained())
  d.set("EnvironmentError", Value(core.pointee.osError).retained())
  for name in [
    "object", "int", "float", "str", "bool", "list", "tuple", "dict", "set", "frozenset", "bytes",
    "bytearray",
    "complex", "range", "slice", "type", "property", "staticmethod", "classmethod", "super",
  ] {
    if let t = builtinTypes[name] { d.set(name, Value(t).retained()) }
  }
  for name in ["enumerate", "zip", "map", "filter", "reversed"] {
    let t = makeType(name, base: core.pointee.object, kind: .iterator)
    t.pointee.h.count = immortal
    builtinTypes[name] = t
    if let f = d.get(name), f.tag == .builtin {
      t.pointee.constructor = f.body(BuiltinBody.self).pointee.builtin
    }
    d.set(name, Value(t).retained())
  }
  for name in [
    "range_iterator", "list_iterator", "tuple_iterator", "str_iterator", "bytes_iterator",
    "dict_keyiterator", "set_iterator",
  ] {
    let t = makeType(name, base: core.pointee.object, kind: .iterator)
    t.pointee.h.count = immortal
    builtinTypes[name] = t
  }
  installMemoryView()
  installTypeAliases()
  d.set("NotImplemented", .notImplemented)
  d.set("Ellipsis", .ellipsis)
  d.set("__debug__", Value(true))
  d.set(
    " init",
    makeBuiltin(
      Builtin("__init__", "__init__(*args, **kwargs)") { (a) throws(LullError) in
        guard let me = a.rest(0).first else {
          throw LullError.typeError("descriptor '__init__' of 'object' object needs an argument")
        }
        try initialiseBase(me, UnsafeBufferPointer(rebasing: a.rest(0).dropFirst()), a[1])
        return .none
      }))
  core.pointee.baseInitializer = d.get(" init") ?? .none
  d.set(
    " new",
    makeBuiltin(
      Builtin("__new__", "__new__(*args, **kwargs)") { (a) throws(LullError) in
        guard let first = a.rest(0).first else {
          throw LullError.typeError("object.__new__(): not enough arguments")
        }
        guard first.tag == .type else {
          throw LullError.typeError(
            "object.__new__(X): X is not a type object (\(typeName(first)))")
        }
        let t = first.typeObject
        let rest = UnsafeBufferPointer(rebasing: a.rest(0).dropFirst())
        if t.pointee.kind == .instance { return makeInstance(t) }
        let w = UnsafeMutablePointer<Value>.allocate(capacity: rest.count + 1 + windowSlack)
        defer { w.deallocate() }
        for i in 0..<rest.count { w[i] = rest[i] }
        if !t.pointee.isUserDefined {
          for i in 0..<rest.count { w[i].retained() }
          return try construct(t, w, rest.count, nil, 0)
        }
        return try allocateInstance(t, w, rest.count, nil, 0)
      }))
  d.set(
    " setattr",
    makeBuiltin(
      Builtin("__setattr__", "__setattr__(self, name, value, /)") { (a) throws(LullError) in
        try setAttributePlain(a[0], interned(a[1]).str, a[2].retained())
        return .none
      }))
}

/// `super().__init__(...)` when the base is a builtin class.
private func initialiseBase(_ me: Value, _ args: UnsafeBufferPointer<Value>, _ kwargs: Value)
  throws(LullError)
{
  switch me.kind {
  case .exception:
    let old = me.exceptionBody.pointee.args
    let new = makeTuple(uninitialized: args.count)
    for (i, x) in args.enumerated() { new.tuple.items[i] = x.retained() }
    me.exceptionBody.pointee.args = new
    old.release()
  case .list:
    me.list.clear()
    if args.count > 0 { try extendList(me.list, args[0]) }
  case .dict:
    if args.count > 0 { try updateDict(me.dict, args[0], mappingOnly: false) }
    if let k = kwargs.asDict { try me.dict.merge(k) }
  case .set:
    if !me.set.isFrozen {
      me.set.clear()
      if args.count > 0 { try forEach(args[0]) { (x) throws(LullError) in try me.set.add(x) } }
    }
  case .instance:
    if args.count > 0 {
      throw LullError.typeError(
        "object.__init__() takes exactly one argument (the instance to initialize)")
    }
  case .native:
    if let c = me.type.builtinBase.pointee.constructor {
      let made = try call(
        makeBuiltin(c), Array(args), keywords: dictItems(kwargs).map { ($0.key.string, $0.value) })
      if made.kind == .native { me.setNative(made.body(NativeBody.self).pointee.object) }
      made.release()
    }
  default: break
  }
}

private func fold(
  _ name: String, _ a: Args, _ pick: CompareOperator
) throws(LullError) -> Value {
  let items = a.rest(0)
  let key = a[1]
  let fallback = a[2]
  var best = Value.undefined
  var bestKey = Value.undefined
  func consider(_ x: Value) throws(LullError) {
    let k = key.isNone ? x.retained() : try call1(key, x)
    if best.isUndefined {
      best = x.retained()
      bestKey = k
      return
    }
    let isBetter: Bool
    if k.tag == .int, bestKey.tag == .int {
      isBetter = pick == .less ? k.asInt < bestKey.asInt : k.asInt > bestKey.asInt
    } else if k.tag == .float, bestKey.tag == .float {
      isBetter = pick == .less ? k.asDouble < bestKey.asDouble : k.asDouble > bestKey.asDouble
    } else {
      isBetter = try truthReleasing(try compare(pick, k, bestKey))
    }
    if isBetter {
      best.release()
      bestKey.release()
      best = x.retained()
      bestKey = k
    } else {
      k.release()
    }
  }
  if items.count == 1 {
    try forEach(items[0]) { (x) throws(LullError) in try consider(x) }
  } else if items.count == 0 {
    throw LullError.typeError("\(name) expected at least 1 argument, got 0")
  } else {
    if !fallback.isUndefined {
      throw LullError.typeError(
        "Cannot specify a default for \(name)() with multiple positional arguments")
    }
    for x in items { try consider(x) }
  }
  bestKey.release()
  if best.isUndefined {
    if !fallback.isUndefined { return fallback.retained() }
    throw LullError.valueError("\(name)() arg is an empty sequence")
  }
  return best
}

/// What an abstract class says of a class that does not inherit from it: its own `_class_hook` (stdlib/abc.lull).
@inline(never) private func abstractAccepts(_ t: TypePtr, _ c: TypePtr) throws(LullError) -> Bool {
  guard t.pointee.isUserDefined, let hook = t.pointee.dict.dict.get(classHook) else { return false }
  try checkNativeStack()
  let f = try bindDescriptor(hook, .undefined, t)
  defer { f.release() }
  return try truthReleasing(try call1(f, Value(c)))
}
nonisolated(unsafe) private let classHook = internedPointer("_class_hook")

func isInstanceOf(_ v: Value, _ t: Value) throws(LullError) -> Bool {
  if t.tag == .type {
    return v.type.isSubtype(of: t.typeObject) ? true : try abstractAccepts(t.typeObject, v.type)
  }
  if t.isNone { return v.isNone }
  if let members = try unionMembers(t) {
    for m in members where try isInstanceOf(v, m) { return true }
    return false
  }
  if let tuple = t.asTuple {
    try checkNativeStack()
    for i in 0..<tuple.pointee.count {
      if try isInstanceOf(v, tuple.items[i]) { return true }
    }
    return false
  }
  if isCustom(t) {
    let f = t.type.lookup(instanceCheck)
    if !f.isUndefined { return try truthReleasing(try callMethod(f, t, v)) }
  }
  throw LullError.typeError("isinstance() arg 2 must be a type, a tuple of types, or a union")
}
nonisolated(unsafe) private let instanceCheck = internedPointer("__instancecheck__")
nonisolated(unsafe) private let subclassCheck = internedPointer("__subclasscheck__")
private func isSubclassOf(_ c: Value, _ t: Value) throws(LullError) -> Bool {
  guard c.tag == .type else { throw LullError.typeError("issubclass() arg 1 must be a class") }
  if t.tag == .type {
    return c.typeObject.isSubtype(of: t.typeObject)
      ? true : try abstractAccepts(t.typeObject, c.typeObject)
  }
  if let members = try unionMembers(t) {
    for m in members where try isSubclassOf(c, m) { return true }
    return false
  }
  if let tuple = t.asTuple {
    try checkNativeStack()
    for i in 0..<tuple.pointee.count {
      if try isSubclassOf(c, tuple.items[i]) { return true }
    }
    return false
  }
  if isCustom(t) {
    let f = t.type.lookup(subclassCheck)
    if !f.isUndefined { return try truthReleasing(try callMethod(f, t, c)) }
  }
  throw LullError.typeError("issubclass() arg 2 must be a class, a tuple of classes, or a union")
}

/// The number nearest to `d` written with so many decimals.
private func roundedText(_ d: Double, _ digits: Int) -> Double {
  var text = TextBuilder()
  text.append(d, conversion: 102, precision: digits)
  text.append(0)
  return strtod(UnsafeRawPointer(text.bytes).assumingMemoryBound(to: CChar.self), nil)
}
/// Round half to even at a decimal position, as CPython: through the correctly rounded text.
func roundFloat(_ d: Double, _ digits: Int) -> Double {
  if !d.isFinite || digits > 308 { return d }
  if digits >= 0 { return roundedText(d, digits) }
  if digits < -308 { return d.sign == .minus ? -0.0 : 0 }
  // Exactly: a power of ten past 10**22 is no float.
  let whole = d.magnitude.rounded(.down)
  let p = BigInt(10).power(-digits)
  let (q, rest) = BigInt(whole).quotientAndRemainder(dividingBy: p)
  let twice = rest * 2
  let isUp = twice > p || twice == p && (whole != d.magnitude || q % 2 != 0)
  let r: Double
  do throws(LullError) { r = try bigToDouble((isUp ? q + 1 : q) * p) } catch { r = .infinity }
  return d.sign == .minus ? -r : r
}

/// What a program has put in the place of `sys.stdout`; undefined: nothing.
@exclusivity(unchecked) nonisolated(unsafe) private var redirectedOutput = Value.undefined
@exclusivity(unchecked) nonisolated(unsafe) private var originalOutput = Value.undefined

/// `sys.stdout = new` (both borrowed).
func redirectOutput(_ new: Value, from old: Value) {
  if originalOutput.isUndefined { originalOutput = old.retained() }
  redirectedOutput.release()
  redirectedOutput = new.isSame(originalOutput) ? .undefined : new.retained()
}

let builtinFunctions: [Builtin] = [
  Builtin(
    "len", "len(obj, /)", doc: "The number of items in a container.",
    examples: [">>> len([1, 2, 3])\n3"], fails: [("len(3)", "TypeError")]
  ) {
    (a) throws(LullError) in Value(try length(a[0]))
  },
  Builtin(
    "print", "print(*args, sep=' ', end='\\n', file=None, flush=False)",
    doc: "Print values to the output, separated by sep and followed by end.",
    examples: [">>> print(1, 2, sep='-')\n1-2"]
  ) {
    (a) throws(LullError) in
    var out = TextBuilder()
    /// The first text that cannot be written to a file.
    var unwritable: StrPtr?
    for (i, name) in [(1, "sep"), (2, "end")] where !a[i].isNone && a[i].kind != .str {
      throw LullError.typeError("\(name) must be None or a string, not \(typeName(a[i]))")
    }
    let file = a[3].isNone && !redirectedOutput.isUndefined ? redirectedOutput : a[3]
    for (i, v) in a.rest(0).enumerated() {
      if i > 0 { if let sep = a[1].asStr { out.append(sep) } else { out.append(32) } }
      if v.tag == .str {
        let s = v.str
        if unwritable == nil, s.hasSurrogates { unwritable = s }
        if unwritable != nil, file.isNone { break }
        out.append(s)
        continue
      }
      do throws(LullError) { out.append(text: try display(v)) } catch {
        // What stands before it is printed already.
        if a[3].isNone { standardOutput.write(out.string) }
        throw error
      }
    }
    if file.isNone, let unwritable {
      standardOutput.write(out.string)
      _ = try encodeString(unwritable, "utf-8", "strict")
    }
    if let end = a[2].asStr { out.append(end) } else { out.append(10) }
    if file.isNone {
      standardOutput.write(out.string)
      if try truth(a[4]) { standardOutput.flush() }
    } else {
      let text = out.value()
      defer { text.release() }
      let write = try getAttribute(file, interned("write"))
      defer { write.release() }
      try call1(write, text).release()
    }
    return .none
  },
  Builtin(
    "repr", "repr(obj, /)", doc: "The text that shows a value as source.",
    examples: [">>> repr('a')\n\"'a'\""]
  ) {
    (a) throws(LullError) in makeStr(try repr(a[0]))
  },
  Builtin(
    "ascii", "ascii(obj, /)", doc: "Like repr, with everything but ASCII escaped.",
    examples: [">>> ascii('é')\n\"'\\\\xe9'\""]
  ) {
    (a) throws(LullError) in makeStr(try asciiRepr(a[0]))
  },
  Builtin(
    "format", "format(value, format_spec='', /)", doc: "Format one value by a format spec.",
    examples: [">>> format(3.14159, '.2f')\n'3.14'"]
  ) {
    (a) throws(LullError) in makeStr(try format(a[0], try a.string(1)))
  },
  Builtin(
    "chr", "chr(i, /)", doc: "The character with a code point.", examples: [">>> chr(97)\n'a'"]
  ) {
    (a) throws(LullError) in
    let number = try indexValue(a[0])
    defer { number.release() }
    guard number.tag == .int, let i = Int32(exactly: number.asInt).map(Int.init) else {
      throw LullError.overflow("Python int too large to convert to C int")
    }
    if i < 0 || i > 0x10FFFF { throw LullError.valueError("chr() arg not in range(0x110000)") }
    if i < 128 { return asciiCharacter(UInt8(i)) }
    return makeStr(codePoints: [UInt32(i)])
  },
  Builtin("ord", "ord(c, /)", doc: "The code point of a character.", examples: [">>> ord('a')\n97"])
  {
    (a) throws(LullError) in
    if a[0].kind == .bytes, a[0].bytes.count == 1 { return Value(Int(a[0].bytes[0])) }
    guard let s = a[0].asStr else {
      if let n = a[0].kind == .bytes ? a[0].bytes.count : nil {
        throw LullError.typeError("ord() expected a character, but string of length \(n) found")
      }
      throw LullError.typeError("ord() expected string of length 1, but \(typeName(a[0])) found")
    }
    if s.pointee.count != 1 {
      throw LullError.typeError(
        "ord() expected a character, but string of length \(s.pointee.count) found")
    }
    return Value(Int(s.decode(0).0))
  },
  radixFunction("hex", 16, "0x"), radixFunction("oct", 8, "0o"), radixFunction("bin", 2, "0b"),
  Builtin("hash", "hash(obj, /)", doc: "The hash of a value.", examples: [">>> hash(7)\n7"]) {
    (a) throws(LullError) in Value(try hashOf(a[0]))
  },
  Builtin(
    "id", "id(obj, /)", doc: "A number that identifies a living object.",
    examples: [">>> id(None) == id(None)\nTrue"]
  ) {
    (a) throws(LullError) in
    Value(Int(bitPattern: UInt(a[0].bits & 0x7FFF_FFFF_FFFF_FFFF)) ^ Int(a[0].tag.rawValue))
  },
  Builtin(
    "isinstance", "isinstance(obj, class_or_tuple, /)", doc: "Whether a value belongs to a class.",
    examples: [">>> isinstance(1, int)\nTrue"]
  ) {
    (a) throws(LullError) in Value(try isInstanceOf(a[0], a[1]))
  },
  Builtin(
    "issubclass", "issubclass(cls, class_or_tuple, /)",
    doc: "Whether a class derives from another.", examples: [">>> issubclass(bool, int)\nTrue"]
  ) {
    (a) throws(LullError) in Value(try isSubclassOf(a[0], a[1]))
  },
  Builtin(
    "callable", "callable(obj, /)", doc: "Whether a value can be called.",
    examples: [">>> callable(len)\nTrue"]
  ) {
    (a) throws(LullError) in Value(isCallableValue(a[0]))
  },
  Builtin(
    "getattr", "getattr(object, name, default=..., /)", doc: "An attribute by name.",
    examples: [">>> getattr(1, 'imag')\n0"]
  ) {
    (a) throws(LullError) in
    guard a[1].kind == .str else {
      throw LullError.typeError("attribute name must be string, not '\(typeName(a[1]))'")
    }
    if !a.has(2) { return try getAttribute(a[0], interned(a[1])) }
    do throws(LullError) {
      return try getAttributeOrNil(a[0], interned(a[1])) ?? a[2].retained()
    } catch {
      if isKind(error, "AttributeError") { return a[2].retained() }
      throw error
    }
  },
  Builtin(
    "hasattr", "hasattr(obj, name, /)", doc: "Whether an attribute exists.",
    examples: [">>> hasattr([], 'append')\nTrue"]
  ) {
    (a) throws(LullError) in
    guard a[1].kind == .str else {
      throw LullError.typeError("attribute name must be string, not '\(typeName(a[1]))'")
    }
    do throws(LullError) {
      guard let v = try getAttributeOrNil(a[0], interned(a[1])) else { return Value(false) }
      v.release()
      return Value(true)
    } catch {
      if isKind(error, "AttributeError") { return Value(false) }
      throw error
    }
  },
  Builtin(
    "setattr", "setattr(obj, name, value, /)", doc: "Set an attribute by name.",
    examples: [
      ">>> class Box:\n...     pass\n>>> box = Box()\n>>> setattr(box, 'size', 3)\n>>> box.size\n3"
    ]
  ) {
    (a) throws(LullError) in
    guard a[1].kind == .str else {
      throw LullError.typeError("attribute name must be string, not '\(typeName(a[1]))'")
    }
    try setAttribute(a[0], interned(a[1]), a[2].retained())
    return .none
  },
  Builtin(
    "delattr", "delattr(obj, name, /)", doc: "Delete an attribute by name.",
    examples: [
      ">>> class Box:\n...     pass\n>>> box = Box()\n>>> box.size = 3\n>>> delattr(box, 'size')\n>>> hasattr(box, 'size')\nFalse"
    ]
  ) {
    (a) throws(LullError) in
    try deleteAttribute(a[0], interned(a[1]))
    return .none
  },
  Builtin(
    "iter", "iter(object, sentinel=..., /)",
    doc: "An iterator over a value, or over calls until a sentinel.",
    examples: [">>> next(iter([5]))\n5"]
  ) {
    (a) throws(LullError) in
    if a.has(1), !isCallableValue(a[0]) {
      throw LullError.typeError("iter(v, w): v must be callable")
    }
    if a.has(1) { return makeIterator(kind: .callable, a[0].retained(), a[1].retained()) }
    return try makeIterator(a[0])
  },
  Builtin(
    "next", "next(iterator, default=..., /)", doc: "The next element.",
    examples: [">>> next(iter([]), 'end')\n'end'"]
  ) {
    (a) throws(LullError) in
    let it = a[0]
    if it.tag == .instance {
      let f = it.type.lookup(.__next__)
      if !f.isUndefined, !a.has(1) { return try callMethod(f, it) }
    }
    let v = try iteratorNext(it)
    if !v.isUndefined { return v }
    if a.has(1) { return a[1].retained() }
    if it.tag == .generator { throw stopIteration(it.body(GeneratorBody.self).pointee.returned) }
    throw stopIteration(.undefined)
  },
  Builtin(
    "any", "any(iterable, /)", doc: "Whether any element is true.",
    examples: [">>> any([0, 1])\nTrue"]
  ) {
    (a) throws(LullError) in
    let it = try makeIterator(a[0])
    defer { it.release() }
    while true {
      let x = try iteratorNext(it)
      if x.isUndefined { return Value(false) }
      if try truthReleasing(x) { return Value(true) }
    }
  },
  Builtin(
    "all", "all(iterable, /)", doc: "Whether all elements are true.",
    examples: [">>> all([1, 0])\nFalse"]
  ) {
    (a) throws(LullError) in
    let it = try makeIterator(a[0])
    defer { it.release() }
    while true {
      let x = try iteratorNext(it)
      if x.isUndefined { return Value(true) }
      if !(try truthReleasing(x)) { return Value(false) }
    }
  },
  Builtin(
    "sum", "sum(iterable, /, start=0)", doc: "The sum of the elements.",
    examples: [">>> sum([1, 2, 3])\n6"]
  ) {
    (a) throws(LullError) in
    if a[1].kind == .str {
      throw LullError.typeError("sum() can't sum strings [use ''.join(seq) instead]")
    }
    var total = a[1].retained()
    do throws(LullError) {
      try forEach(a[0]) { (x) throws(LullError) in
        if total.tag == .int, x.tag == .int {
          let (s, o) = total.asInt.addingReportingOverflow(x.asInt)
          if !o {
            total = Value(s)
            return
          }
        }
        if total.tag == .float, x.tag == .float {
          total = Value(total.asDouble + x.asDouble)
          return
        }
        let t = try binary(.add, total, x)
        total.release()
        total = t
      }
    } catch {
      total.release()
      throw error
    }
    return total
  },
  Builtin(
    "min", "min(*args, key=None, default=...)", doc: "The least element or argument.",
    examples: [">>> min(3, 1, 2)\n1"]
  ) {
    (a) throws(LullError) in try fold("min", Args(a), .less)
  },
  Builtin(
    "max", "max(*args, key=None, default=...)", doc: "The greatest element or argument.",
    examples: [">>> max([3, 1, 2])\n3"]
  ) {
    (a) throws(LullError) in try fold("max", Args(a), .greater)
  },
  Builtin("abs", "abs(x, /)", doc: "The absolute value.", examples: [">>> abs(-3)\n3"]) {
    (a) throws(LullError) in
    let v = a[0]
    if v.tag == .float { return Value(Swift.abs(v.asDouble)) }
    if v.isIntOrBool { return v.asInt < 0 ? try unaryOperation(.negate, v) : Value(v.asInt) }
    if v.kind == .float, v.tag == .derived, v.type.lookup(.__abs__).isUndefined {
      return Value(Swift.abs(try doubleOf(v)))
    }
    let f = v.type.lookup(.__abs__)
    if !f.isUndefined { return try callMethod(f, v) }
    if v.kind == .complex, let (re, im) = complexParts(v) {
      let r = hypot(re, im)
      if r.isInfinite, re.isFinite, im.isFinite {
        throw LullError.overflow("absolute value too large")
      }
      return Value(r)
    }
    if let b = v.integer { return makeBig(BigInt(b.magnitude)) }
    throw LullError.typeError("bad operand type for abs(): '\(typeName(v))'")
  },
  Builtin(
    "round", "round(number, ndigits=None)", doc: "Round to a number of digits, halves to even.",
    examples: [">>> round(2.5)\n2", ">>> round(3.14159, 2)\n3.14"]
  ) {
    (a) throws(LullError) in
    let v = a[0]
    if v.tag == .derived {
      let f = v.type.lookup(.__round__)
      if !f.isUndefined { return a.isNone(1) ? try callMethod(f, v) : try callMethod(f, v, a[1]) }
    }
    if v.kind == .float {
      let d = try doubleOf(v)
      if a.isNone(1) { return try truncate(d.rounded(.toNearestOrEven)) }
      let r = roundFloat(d, try a.clamped(1))
      if r.isInfinite, d.isFinite {
        throw LullError.overflow("rounded value too large to represent")
      }
      return Value(r)
    }
    if v.isInteger {
      if a.isNone(1) { return try indexValue(v) }
      let n = try a.clamped(1)
      if n >= 0 { return try indexValue(v) }
      let b = v.integer ?? 0
      // Past the number's own digits the result is 0, and the power would be huge.
      if n < -(b.magnitude.bitWidth / 3 + 1) { return Value(0) }
      let p = BigInt(10).power(-n)
      let (q, r) = try floorDivMod(b, p)
      let twice = r * 2
      return makeBig((twice > p || (twice == p && q % 2 != 0) ? q + 1 : q) * p)
    }
    let f = v.type.lookup(.__round__)
    if !f.isUndefined {
      return a.isNone(1) ? try callMethod(f, v) : try callMethod(f, v, a[1])
    }
    throw LullError.typeError("type \(typeName(v)) doesn't define __round__ method")
  },
  Builtin(
    "divmod", "divmod(x, y, /)", doc: "Quotient and remainder.",
    examples: [">>> divmod(7, 2)\n(3, 1)"]
  ) {
    (a) throws(LullError) in
    for (me, other, name) in [(a[0], a[1], Name.__divmod__), (a[1], a[0], .__rdivmod__)]
    where me.tag == .instance || me.tag == .derived {
      let f = me.type.lookup(name)
      if f.isUndefined { continue }
      let r = try callMethod(f, me, other)
      if !r.isNotImplemented { return r }
    }
    if a[0].tag == .instance || a[1].tag == .instance, a[0].kind != .native, a[1].kind != .native {
      throw notDivisible(a)
    }
    if a[0].kind == .float || a[1].kind == .float, a[0].kind == .float || a[0].isInteger,
      a[1].kind == .float || a[1].isInteger, try doubleOf(a[1]) == 0
    {
      throw LullError.zeroDivision("float divmod()")
    }
    let q: Value
    do throws(LullError) { q = try binary(.floorDivide, a[0], a[1]) } catch {
      throw error.message.hasPrefix("unsupported operand") ? notDivisible(a) : error
    }
    if a[0].kind == .str || a[0].kind == .bytes
      || !a[0].isInteger && a[0].kind != .float && a[0].kind != .native
    {
      q.release()
      throw notDivisible(a)
    }
    do throws(LullError) { return makePair(q, try binary(.modulo, a[0], a[1])) } catch {
      q.release()
      throw error
    }
  },
  Builtin(
    "pow", "pow(base, exp, mod=None)", doc: "Power, optionally modulo a number.",
    examples: [">>> pow(3, 4, 5)\n1"]
  ) {
    (a) throws(LullError) in
    if a.isNone(2) { return try binary(.power, a[0], a[1]) }
    if a[0].tag == .instance || a[0].tag == .derived {
      let f = a[0].type.lookup(.__pow__)
      if !f.isUndefined {
        let r = try callMethod(f, a[0], a[1], a[2])
        if !r.isNotImplemented { return r }
      }
    }
    if a[0].tag == .instance, a[0].type.lookup(.__pow__).isUndefined,
      !a[0].type.lookup(.__rpow__).isUndefined
    {
      throw LullError.attribute("__pow__")
    }
    guard let b = a[0].integer, let e = a[1].integer, let m = a[2].integer else {
      func isNumber(_ v: Value) -> Bool { v.isInteger || v.kind == .float || v.kind == .complex }
      // Each operand's type is asked in turn: int passes unless all are, float refuses a modulus, complex wants
      // two numbers first.
      for i in 0..<3 {
        if a[i].kind == .float {
          throw LullError.typeError(
            "pow() 3rd argument not allowed unless all arguments are integers")
        }
        if a[i].kind == .complex, isNumber(a[0]), isNumber(a[1]) {
          throw LullError.valueError("complex modulo")
        }
      }
      throw LullError.typeError(
        "unsupported operand type(s) for ** or pow(): '\(typeName(a[0]))', '\(typeName(a[1]))', '\(typeName(a[2]))'"
      )
    }
    if m.isZero { throw LullError.valueError("pow() 3rd argument cannot be 0") }
    if m.magnitude == 1 { return Value(0) }
    var base = b
    var exponent = e
    if e.sign == .minus {
      guard let inverse = try floorDivMod(b, BigInt(m.magnitude)).1.inverse(BigInt(m.magnitude))
      else {
        throw LullError.valueError("base is not invertible for the given modulus")
      }
      base = inverse
      exponent = -e
    }
    let r = try bigPower(
      try floorDivMod(base, BigInt(m.magnitude)).1.magnitude, exponent.magnitude,
      modulus: m.magnitude)
    return makeBig(try floorDivMod(BigInt(r), m).1)
  },
  Builtin(
    "sorted", "sorted(iterable, /, *, key=None, reverse=False)", doc: "A new sorted list; stable.",
    examples: [">>> sorted([3, 1, 2])\n[1, 2, 3]"]
  ) {
    (a) throws(LullError) in
    try askLength(a[0])
    let l: Value
    if a[0].tag == .list || a[0].tag == .tuple {
      let items = a[0].elements
      l = makeList(capacity: items.count)
      for x in items { l.list.append(x.retained()) }
    } else {
      l = makeList(try collect(a[0]))
    }
    do throws(LullError) {
      try sortList(l.list, key: a[1], reverse: try truth(a[2]))
    } catch {
      l.release()
      throw error
    }
    return l
  },
  Builtin(
    "reversed", "reversed(sequence, /)", doc: "An iterator from the end.",
    examples: [">>> list(reversed([1, 2]))\n[2, 1]"]
  ) {
    (a) throws(LullError) in
    let v = a[0]
    let f = v.type.lookup(.__reversed__)
    if !f.isUndefined { return try callMethod(f, v) }
    if v.tag == .instance, v.type.lookup(.__getitem__).isUndefined {
      throw LullError.typeError("'\(typeName(v))' object is not reversible")
    }
    if v.tag == .instance, v.type.lookup(.__len__).isUndefined { _ = try length(v) }
    if v.kind == .dict {
      let keys = makeList(v.dict.keys.map { $0.retained() })
      return makeIterator(
        kind: .reversed, keys, index: keys.list.pointee.count - 1, type: "reversed")
    }
    if v.tag == .str, !v.str.isASCII {
      // A character's place in UTF-8 is found from the start: take them all once.
      let characters = makeList(try collect(v))
      return makeIterator(
        kind: .reversed, characters, index: characters.list.pointee.count - 1, type: "reversed")
    }
    if v.kind == .set || v.kind == .generator || v.kind == .iterator {
      throw LullError.typeError("'\(typeName(v))' object is not reversible")
    }
    if v.kind == .dictView {
      let keys = makeList(try collect(v))
      return makeIterator(kind: .reversed, keys, index: keys.list.pointee.count - 1)
    }
    if v.kind == .range, let big = v.range.pointee.big { return big.iterator(reversed: true) }
    let n: Int
    do throws(LullError) { n = try length(v) } catch {
      if isCustom(v), !v.type.lookup(.__len__).isUndefined { throw error }
      throw LullError.typeError("'\(typeName(v))' object is not reversible")
    }
    return makeIterator(kind: .reversed, v.retained(), index: n - 1, type: "reversed")
  },
  Builtin(
    "enumerate", "enumerate(iterable, start=0)", doc: "Pairs of index and element.",
    examples: [">>> list(enumerate('ab'))\n[(0, 'a'), (1, 'b')]"]
  ) {
    (a) throws(LullError) in
    let start = try indexValue(a[1])
    defer { start.release() }
    if start.tag == .int, start.asInt < Int.max / 2 {
      return makeIterator(
        kind: .enumerate, try makeIterator(a[0]), index: start.asInt, type: "enumerate")
    }
    // Counts that leave 64 bits: pairs of a counter and the elements.
    let it = try makeIterator(a[0])
    var count = start.integer ?? 0
    return makeIterator(kind: .native, it, type: "enumerate") { (p) throws(LullError) in
      let x = try iteratorNext(p.pointee.a)
      if x.isUndefined { return x }
      defer { count += 1 }
      return makePair(makeBig(count), x)
    }
  },
  Builtin(
    "zip", "zip(*iterables, strict=False)", doc: "Tuples of the elements side by side.",
    examples: [">>> list(zip([1, 2], 'ab'))\n[(1, 'a'), (2, 'b')]"]
  ) {
    (a) throws(LullError) in
    var its: [Value] = []
    for x in a.rest(0) {
      do throws(LullError) { its.append(try makeIterator(x)) } catch {
        for v in its { v.release() }
        throw error
      }
    }
    return makeIterator(kind: .zip, makeTuple(its), index: try truth(a[1]) ? 1 : 0, type: "zip")
  },
  Builtin(
    "map", "map(function=..., *iterables)", doc: "The function applied to each element.",
    examples: [">>> list(map(str, [1, 2]))\n['1', '2']"]
  ) {
    (a) throws(LullError) in
    let items = a.rest(1)
    if !a.has(0) || items.count == 0 {
      throw LullError.typeError("map() must have at least two arguments.")
    }
    var its: [Value] = []
    for x in items { its.append(try makeIterator(x)) }
    return makeIterator(kind: .map, a[0].retained(), makeTuple(its), type: "map")
  },
  Builtin(
    "filter", "filter(function, iterable, /)", doc: "The elements for which the function is true.",
    examples: [">>> list(filter(None, [0, 1]))\n[1]"]
  ) {
    (a) throws(LullError) in
    makeIterator(kind: .filter, a[0].retained(), try makeIterator(a[1]), type: "filter")
  },
  Builtin(
    "vars", "vars(object=..., /)", doc: "An object's attributes as a dict.",
    examples: [
      ">>> class Box:\n...     pass\n>>> box = Box()\n>>> box.size = 3\n>>> vars(box)\n{'size': 3}"
    ]
  ) {
    (a) throws(LullError) in
    if !a.has(0) {
      return Value(.dict, (vm.pointee.frame?.pointee.globals ?? core.pointee.builtins.dict))
        .retained()
    }
    do throws(LullError) {
      if let d = try getAttributeOrNil(a[0], Name.__dict__.str) { return d }
    } catch {
      if !isKind(error, "AttributeError") { throw error }
    }
    throw LullError.typeError("vars() argument must have __dict__ attribute")
  },
  Builtin(
    "dir", "dir(object=..., /)", doc: "The names of an object's attributes.",
    examples: [">>> [name for name in dir([]) if name.startswith('co')]\n['copy', 'count']"]
  ) {
    (a) throws(LullError) in
    let names: Value
    if a.has(0) {
      let f = a[0].type.lookup(.__dir__)
      if f.tag != .function { return makeList(attributeNames(a[0]).map { makeStr($0) }) }
      let own = try callMethod(f, a[0])
      defer { own.release() }
      names = makeList(try collect(own))
    } else {
      let variables = localVariables()
      defer { variables.release() }
      names = makeList(variables.dict.keys.map { $0.retained() })
    }
    do throws(LullError) {
      try sortList(names.list, key: .none, reverse: false)
    } catch {
      names.release()
      throw error
    }
    return names
  },
  Builtin(
    "globals", "globals()", doc: "The names of the running module.",
    examples: [">>> answer = 42\n>>> globals()['answer']\n42"]
  ) {
    (a) throws(LullError) in
    Value(.dict, vm.pointee.frame?.pointee.globals ?? core.pointee.builtins.dict).retained()
  },
  Builtin(
    "locals", "locals()", doc: "The variables of the running function, as a new dict.",
    examples: [">>> def f(a, b):\n...     return locals()\n>>> f(1, 2)\n{'a': 1, 'b': 2}"]
  ) {
    (_) throws(LullError) in localVariables()
  },
  openFunction,
  Builtin(
    "__import__", "__import__(name, globals=None, locals=None, fromlist=(), level=0)",
    doc: "A module by name.", examples: [">>> __import__('math').sqrt(9)\n3.0"]
  ) {
    (a) throws(LullError) in
    try importModule(
      try a.string(0), level: try a.int(4),
      globals: a[1].asDict ?? vm.pointee.frame?.pointee.globals ?? core.pointee.builtins.dict,
      top: !(try truth(a[3])))
  },
  Builtin("input", "input(prompt='', /)", doc: "Read one line from standard input.") {
    (a) throws(LullError) in try askForLine(try display(a[0]), isHidden: false)
  },
]
extension Args {
  init(_ a: Args) { self = a }
}
private func notDivisible(_ a: Args) -> LullError {
  .typeError(
    "unsupported operand type(s) for divmod(): '\(typeName(a[0]))' and '\(typeName(a[1]))'")
}
private func radixFunction(_ name: String, _ radix: Int, _ prefix: String) -> Builtin {
  Builtin(
    name, "\(name)(number, /)", doc: "The number as text in base \(radix).",
    examples: [">>> \(name)(10)\n'\(prefix)\(String(10, radix: radix))'"]
  ) {
    (a) throws(LullError) in
    let v = try indexValue(a[0])
    defer { v.release() }
    let b = v.integer ?? 0
    return makeStr((b.sign == .minus ? "-" : "") + prefix + String(b.magnitude, radix: radix))
  }
}

/// The variables of the running function, as a new dict; the module's own dict outside functions.
private func localVariables() -> Value {
  guard let f = vm.pointee.frame else { return makeDict() }
  let code = f.pointee.code.takeUnretainedValue()
  if code.name == "<module>" { return Value(.dict, f.pointee.globals).retained() }
  if f.pointee.namespace.tag == .dict { return f.pointee.namespace.retained() }
  let d = makeDict()
  for (i, n) in code.localNames.enumerated() where !n.isEmpty {
    var v = f.pointee.regs[i]
    if v.tag == .cell { v = v.cell.pointee.value }
    if !v.isUndefined { d.dict.set(n, v.retained()) }
  }
  return d
}
