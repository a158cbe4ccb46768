// The special methods of builtin classes, for programs that name them: `[].__len__()`, `int.__add__`,
// `super().__repr__()`.
//
// The machine never looks these up: its operators work on the layouts, and a method found in a class is one that a
// program wrote. They stand in tables of their own, made on first need, that attribute access asks last. A method of a
// builtin class sees a receiver whose class overrides it as the plain builtin value, so that `super().__add__(x)`
// does not come back to the caller.

@exclusivity(unchecked) nonisolated(unsafe) private var tables: [TypePtr: [StrPtr: Value]] = [:]

/// The special method of a builtin class in the chain of `t`, borrowed.
func slotMethod(_ t: TypePtr, _ name: StrPtr) -> Value? {
  guard name.pointee.byteCount > 4,
    name.bytes[0] == 95 && name.bytes[1] == 95 || t.pointee.kind == .dictView
  else { return nil }
  if tables.isEmpty { makeTables() }
  var c: TypePtr? = t
  while let type = c {
    if !type.pointee.isUserDefined, let v = tables[type]?[name] { return v }
    c = type.pointee.base
  }
  return nil
}
/// The same for a type made in Swift: the slots that it fills.
func nativeSlotMethod(_ t: TypePtr, _ name: StrPtr) -> Value? {
  guard name.pointee.byteCount > 4, name.bytes[0] == 95, name.bytes[1] == 95 else { return nil }
  let type = t.builtinBase
  guard let n = type.pointee.native else { return nil }
  if tables[type] == nil { tables[type] = nativeTable(type, n).methods }
  return tables[type]?[name]
}
private func nativeTable(_ type: TypePtr, _ n: NativeType) -> Table {
  var t = Table(type: type, kinds: [.native])
  if let f = n.getItem {
    t.add("__getitem__", "self, key, /") { (a) throws(LullError) in try f(a[0], a[1]) }
  }
  if let f = n.setItem {
    t.add("__setitem__", "self, key, value, /") { (a) throws(LullError) in
      try f(a[0], a[1], a[2])
      return .none
    }
  }
  if let f = n.deleteItem {
    t.add("__delitem__", "self, key, /") { (a) throws(LullError) in
      try f(a[0], a[1])
      return .none
    }
  }
  if let f = n.len { t.add("__len__") { (a) throws(LullError) in Value(try f(a[0])) } }
  if n.contains != nil || n.getItem != nil {
    t.add("__contains__", "self, key, /") { (a) throws(LullError) in
      Value(try containsValue(a[0], a[1]))
    }
  }
  if n.iter != nil || n.next != nil || (n.getItem != nil && n.len != nil) {
    t.add("__iter__") { (a) throws(LullError) in try makeIterator(a[0]) }
  }
  if n.bool != nil { t.add("__bool__") { (a) throws(LullError) in Value(try truth(a[0])) } }
  if let f = n.float { t.add("__float__") { (a) throws(LullError) in Value(try f(a[0])) } }
  if let f = n.int { t.add("__int__") { (a) throws(LullError) in try f(a[0]) } }
  if let f = n.index { t.add("__index__") { (a) throws(LullError) in try f(a[0]) } }
  if n.hash != nil { addHash(&t) }
  if let f = n.call {
    t.add("__call__", "self, /, *args, **kwargs") { (a) throws(LullError) in
      try f(a[0], a.rest(1), dictItems(a[2]).map { ($0.key.string, $0.value) })
    }
  }
  if let f = n.binary {
    for (name, op) in arithmetic + bitwise + [("matmul", .matmul)] {
      for isReflected in [false, true] {
        t.add(isReflected ? "__r\(name)__" : "__\(name)__", "self, value, /") {
          (a) throws(LullError) in
          try f(op, a[0], a[1], isReflected) ?? .notImplemented
        }
      }
    }
  }
  if let f = n.compare {
    for (name, op) in comparisons {
      t.add("__\(name)__", "self, value, /") { (a) throws(LullError) in
        try f(op, a[0], a[1]) ?? .notImplemented
      }
    }
  }
  if let f = n.unary {
    for (name, op) in [("neg", UnaryOperator.negate), ("pos", .plus), ("invert", .invert)] {
      t.add("__\(name)__") { (a) throws(LullError) in
        guard let r = try f(op, a[0]) else {
          throw LullError.typeError("bad operand type for unary operator: '\(typeName(a[0]))'")
        }
        return r
      }
    }
  }
  return t
}

/// A value as its builtin class sees it.
func plainView(_ v: Value) -> Value {
  guard v.tag == .derived else { return v }
  switch v.kind {
  case .native: return v
  case .float: return Value(v.body(ComplexBody.self).pointee.re)
  case .bigInt:
    let n = v.bigInt
    return Int(exactly: n).map { Value($0) } ?? Value(tag: .bigInt, bits: v.bits)
  default: return Value(tag: v.kind, bits: v.bits)
  }
}

private typealias Body = (Args) throws(LullError) -> Value

private struct Table {
  let type: TypePtr
  let kinds: [Tag]
  var methods: [StrPtr: Value] = [:]

  mutating func add(_ name: String, _ parameters: String = "self, /", _ body: @escaping Body) {
    let b = Builtin(name, "\(name)(\(parameters))", run: body)
    b.setOwner(type.pointee.name, kinds)
    methods[internedPointer(name)] = makeBuiltin(b)
  }
  mutating func none(_ name: String) { methods[internedPointer(name)] = Value.none }
}

private func builtinCall(_ name: String, _ args: [Value]) throws(LullError) -> Value {
  guard let f = core.pointee.builtins.dict.get(name) else {
    throw LullError.runtime("the builtin function '\(name)' is gone")
  }
  return try call(f, args)
}

nonisolated(unsafe) private let arithmetic: [(String, BinaryOperator)] = [
  ("add", .add), ("sub", .subtract), ("mul", .multiply), ("truediv", .divide),
  ("floordiv", .floorDivide),
  ("mod", .modulo), ("pow", .power),
]
nonisolated(unsafe) private let bitwise: [(String, BinaryOperator)] = [
  ("lshift", .leftShift), ("rshift", .rightShift), ("and", .bitAnd), ("or", .bitOr),
  ("xor", .bitXor),
]
nonisolated(unsafe) private let comparisons: [(String, CompareOperator)] = [
  ("lt", .less), ("le", .lessEqual), ("eq", .equal), ("ne", .notEqual), ("gt", .greater),
  ("ge", .greaterEqual),
]

// MARK: - Families of methods

/// Binary operators with operands that `accepts` takes; else NotImplemented.
private func addOperators(
  _ t: inout Table, _ list: [(String, BinaryOperator)], reflected: Bool,
  _ accepts: @escaping (Value) -> Bool
) {
  for (name, op) in list {
    t.add("__\(name)__", op == .power ? "self, value, mod=None, /" : "self, value, /") {
      (a) throws(LullError) in
      guard accepts(a[1]) else { return .notImplemented }
      if op == .power, a.has(2), !a[2].isNone {
        return try builtinCall("pow", [plainView(a[0]), plainView(a[1]), a[2]])
      }
      let r = try builtinBinary(op, plainView(a[0]), plainView(a[1]))
      return r.isUndefined ? .notImplemented : r
    }
    if !reflected { continue }
    t.add("__r\(name)__", op == .power ? "self, value, mod=None, /" : "self, value, /") {
      (a) throws(LullError) in
      guard accepts(a[1]) else { return .notImplemented }
      let r = try builtinBinary(op, plainView(a[1]), plainView(a[0]))
      return r.isUndefined ? .notImplemented : r
    }
  }
}
private func addComparisons(
  _ t: inout Table, ordered: Bool = true, _ accepts: @escaping (Value) -> Bool
) {
  for (name, op) in comparisons where ordered || op == .equal || op == .notEqual {
    t.add("__\(name)__", "self, value, /") { (a) throws(LullError) in
      accepts(a[1]) ? try compare(op, plainView(a[0]), plainView(a[1])) : .notImplemented
    }
  }
}
private func addText(_ t: inout Table) {
  t.add("__repr__") { (a) throws(LullError) in
    var b = TextBuilder()
    // A set's text names its class.
    let v = a[0].kind == .set ? a[0] : plainView(a[0])
    if v.tag.rawValue < Tag.firstHeap {
      try appendRepr(v, &b)
    } else {
      try appendBuiltinRepr(v, &b)
    }
    return b.value()
  }
}
private func addHash(_ t: inout Table) {
  t.add("__hash__") { (a) throws(LullError) in Value(try hashOf(plainView(a[0]))) }
}
private func addSequence(_ t: inout Table, reversible: Bool = false) {
  t.add("__len__") { (a) throws(LullError) in Value(try length(plainView(a[0]))) }
  t.add("__contains__", "self, key, /") { (a) throws(LullError) in
    Value(try containsValue(plainView(a[0]), a[1]))
  }
  t.add("__iter__") { (a) throws(LullError) in try makeIterator(plainView(a[0])) }
  if reversible {
    t.add("__reversed__") { (a) throws(LullError) in try builtinCall("reversed", [plainView(a[0])])
    }
  }
}
private func addItem(_ t: inout Table, mutable: Bool) {
  t.add("__getitem__", "self, key, /") { (a) throws(LullError) in try getItem(plainView(a[0]), a[1])
  }
  if !mutable { return }
  t.add("__setitem__", "self, key, value, /") { (a) throws(LullError) in
    try setItem(plainView(a[0]), a[1], a[2])
    return .none
  }
  t.add("__delitem__", "self, key, /") { (a) throws(LullError) in
    try deleteItem(plainView(a[0]), a[1])
    return .none
  }
}
/// `+` and `*` of sequences, which raise instead of giving NotImplemented.
private func addConcatenation(_ t: inout Table, mutable: Bool) {
  t.add("__add__", "self, value, /") { (a) throws(LullError) in
    let v = plainView(a[0])
    let r = v.kind == a[1].kind ? try builtinBinary(.add, v, plainView(a[1])) : .undefined
    return r.isUndefined ? try binary(.add, v, a[1]) : r
  }
  for name in ["__mul__", "__rmul__"] {
    t.add(name, "self, value, /") { (a) throws(LullError) in
      let n = try indexValue(a[1])
      defer { n.release() }
      return try binary(.multiply, plainView(a[0]), n)
    }
  }
  if !mutable { return }
  for (name, op) in [("__iadd__", BinaryOperator.add), ("__imul__", .multiply)] {
    t.add(name, "self, value, /") { (a) throws(LullError) in
      try inplace(op, plainView(a[0]), a[1]).release()
      return a[0].retained()
    }
  }
}
private func addConversions(_ t: inout Table, isInteger: Bool) {
  t.add("__neg__") { (a) throws(LullError) in try unaryOperation(.negate, plainView(a[0])) }
  t.add("__pos__") { (a) throws(LullError) in try unaryOperation(.plus, plainView(a[0])) }
  t.add("__abs__") { (a) throws(LullError) in try builtinCall("abs", [plainView(a[0])]) }
  t.add("__bool__") { (a) throws(LullError) in Value(try truth(plainView(a[0]))) }
  t.add("__int__") { (a) throws(LullError) in try builtinCall("int", [plainView(a[0])]) }
  t.add("__float__") { (a) throws(LullError) in Value(try doubleOf(plainView(a[0]))) }
  t.add("__trunc__") { (a) throws(LullError) in try builtinCall("int", [plainView(a[0])]) }
  t.add("__round__", "self, ndigits=None, /") { (a) throws(LullError) in
    try builtinCall("round", a.isNone(1) ? [plainView(a[0])] : [plainView(a[0]), a[1]])
  }
  t.add("__divmod__", "self, value, /") { (a) throws(LullError) in
    guard isInteger ? a[1].isInteger : a[1].isInteger || a[1].kind == .float else {
      return .notImplemented
    }
    return try builtinCall("divmod", [plainView(a[0]), plainView(a[1])])
  }
  t.add("__rdivmod__", "self, value, /") { (a) throws(LullError) in
    guard isInteger ? a[1].isInteger : a[1].isInteger || a[1].kind == .float else {
      return .notImplemented
    }
    return try builtinCall("divmod", [plainView(a[1]), plainView(a[0])])
  }
  for (name, rule) in [("__floor__", FloatingPointRoundingRule.down), ("__ceil__", .up)] {
    t.add(name) { (a) throws(LullError) in
      let v = plainView(a[0])
      return v.kind == .float ? try truncate(try doubleOf(v).rounded(rule)) : try indexValue(v)
    }
  }
  if isInteger {
    t.add("__index__") { (a) throws(LullError) in try indexValue(plainView(a[0])) }
    t.add("__invert__") { (a) throws(LullError) in try unaryOperation(.invert, plainView(a[0])) }
  }
}

// MARK: - The tables

private func isNumber(_ v: Value) -> Bool { v.isInteger || v.kind == .float }

private func makeTables() {
  func table(_ name: String, _ kinds: [Tag], _ fill: (inout Table) -> Void) {
    guard let type = builtinTypes[name] ?? exceptionTypes[name] else { return }
    var t = Table(type: type, kinds: kinds)
    fill(&t)
    tables[type] = t.methods
  }
  table("object", []) { t in
    t.add("__repr__") { (a) throws(LullError) in
      var b = TextBuilder()
      if a[0].tag.rawValue < Tag.firstHeap {
        try appendRepr(a[0], &b)
      } else {
        try appendBuiltinRepr(a[0], &b)
      }
      return b.value()
    }
    t.add("__str__") { (a) throws(LullError) in
      let v = plainView(a[0])
      return v.kind == .str && v.tag == .str ? makeStr(v.string) : makeStr(try repr(a[0]))
    }
    t.add("__format__", "self, format_spec, /") { (a) throws(LullError) in
      let spec = try a.string(1)
      if a[0].tag == .instance || a[0].tag == .exception {
        if spec.isEmpty { return makeStr(try display(a[0])) }
        throw LullError.typeError(
          "unsupported format string passed to \(typeName(a[0])).__format__")
      }
      if spec.isEmpty { return makeStr(try display(a[0])) }
      return makeStr(try format(plainView(a[0]), spec))
    }
    t.add("__eq__", "self, value, /") { (a) throws(LullError) in
      a[0].isSame(a[1]) ? Value(true) : .notImplemented
    }
    t.add("__ne__", "self, value, /") { (a) throws(LullError) in
      let f = try getAttribute(Value(a[0].type), Name.__eq__.str)
      defer { f.release() }
      let r = try call(f, [a[0], a[1]])
      return r.isNotImplemented ? r : Value(!(try truthReleasing(r)))
    }
    for (name, op) in comparisons where op != .equal && op != .notEqual {
      t.add("__\(name)__", "self, value, /") { (_) throws(LullError) in .notImplemented }
    }
    t.add("__hash__") { (a) throws(LullError) in
      a[0].tag == .instance || a[0].tag == .exception
        ? Value(Int(bitPattern: UInt(a[0].bits >> 4))) : Value(try hashOf(plainView(a[0])))
    }
    t.add("__getattribute__", "self, name, /") { (a) throws(LullError) in
      guard a[1].kind == .str else {
        throw LullError.typeError("attribute name must be string, not '\(typeName(a[1]))'")
      }
      if let v = try getAttributePlain(a[0], interned(a[1])) { return v }
      throw attributeError(a[0], a[1].string)
    }
    t.add("__delattr__", "self, name, /") { (a) throws(LullError) in
      guard a[1].kind == .str else {
        throw LullError.typeError("attribute name must be string, not '\(typeName(a[1]))'")
      }
      try deleteAttributePlain(a[0], interned(a[1]))
      return .none
    }
    t.add("__init_subclass__", "cls, /, **kwargs") { (a) throws(LullError) in
      if a[1].dict.pointee.count > 0 {
        throw LullError.typeError(
          "\(a[0].tag == .type ? a[0].typeObject.pointee.name : "object").__init_subclass__() takes no keyword arguments"
        )
      }
      return .none
    }
    t.add("__dir__") { (a) throws(LullError) in makeList(attributeNames(a[0]).map { makeStr($0) }) }
  }
  for name in ["int", "bool"] {
    table(name, [.int, .bool, .bigInt]) { t in
      addOperators(&t, arithmetic + bitwise, reflected: true) { $0.isInteger }
      if name == "bool" {
        for (n, op) in bitwise.suffix(3) {
          t.add("__\(n)__", "self, value, /") { (a) throws(LullError) in
            a[1].isInteger ? try binary(op, a[0], plainView(a[1])) : .notImplemented
          }
        }
      }
      addComparisons(&t) { $0.isInteger }
      addConversions(&t, isInteger: true)
      addText(&t)
      addHash(&t)
    }
  }
  table("float", [.float]) { t in
    addOperators(&t, arithmetic, reflected: true, isNumber)
    addComparisons(&t, isNumber)
    addConversions(&t, isInteger: false)
    addText(&t)
    addHash(&t)
  }
  table("complex", [.complex]) { t in
    let accepts: (Value) -> Bool = { isNumber($0) || $0.kind == .complex }
    addOperators(
      &t, arithmetic.filter { $0.1 != .floorDivide && $0.1 != .modulo }, reflected: true, accepts)
    addComparisons(&t, ordered: false, accepts)
    t.add("__neg__") { (a) throws(LullError) in try unaryOperation(.negate, plainView(a[0])) }
    t.add("__pos__") { (a) throws(LullError) in try unaryOperation(.plus, plainView(a[0])) }
    t.add("__abs__") { (a) throws(LullError) in try builtinCall("abs", [plainView(a[0])]) }
    t.add("__bool__") { (a) throws(LullError) in Value(try truth(plainView(a[0]))) }
    t.add("__complex__") { (a) throws(LullError) in plainView(a[0]).retained() }
    addText(&t)
    addHash(&t)
  }
  table("str", [.str]) { t in
    addSequence(&t)
    addItem(&t, mutable: false)
    addConcatenation(&t, mutable: false)
    addComparisons(&t) { $0.kind == .str }
    addText(&t)
    addHash(&t)
    t.add("__mod__", "self, value, /") { (a) throws(LullError) in try percentFormat(a[0].str, a[1])
    }
    t.add("__rmod__", "self, value, /") { (a) throws(LullError) in
      a[1].kind == .str ? try percentFormat(a[1].str, a[0]) : .notImplemented
    }
  }
  for name in ["bytes", "bytearray"] {
    table(name, [.bytes]) { t in
      addSequence(&t)
      addItem(&t, mutable: name == "bytearray")
      addConcatenation(&t, mutable: name == "bytearray")
      addComparisons(&t) { $0.kind == .bytes }
      addText(&t)
      if name == "bytes" { addHash(&t) } else { t.none("__hash__") }
      t.add("__mod__", "self, value, /") { (a) throws(LullError) in
        try percentFormatBytes(a[0], a[1])
      }
    }
  }
  table("list", [.list]) { t in
    addSequence(&t, reversible: true)
    addItem(&t, mutable: true)
    addConcatenation(&t, mutable: true)
    addComparisons(&t) { $0.kind == .list }
    addText(&t)
    t.none("__hash__")
  }
  table("tuple", [.tuple]) { t in
    addSequence(&t)
    addItem(&t, mutable: false)
    addConcatenation(&t, mutable: false)
    addComparisons(&t) { $0.kind == .tuple }
    addText(&t)
    addHash(&t)
  }
  table("range", [.range]) { t in
    addSequence(&t, reversible: true)
    addItem(&t, mutable: false)
    addComparisons(&t, ordered: false) { $0.kind == .range }
    addText(&t)
    addHash(&t)
    t.add("__bool__") { (a) throws(LullError) in Value(try truth(a[0])) }
  }
  table("dict", [.dict]) { t in
    addSequence(&t, reversible: true)
    addItem(&t, mutable: true)
    addComparisons(&t, ordered: false) { $0.kind == .dict }
    addOperators(&t, [("or", .bitOr)], reflected: true) { $0.kind == .dict }
    t.add("__ior__", "self, value, /") { (a) throws(LullError) in
      try updateDict(a[0].dict, a[1], mappingOnly: false)
      return a[0].retained()
    }
    addText(&t)
    t.none("__hash__")
  }
  for name in ["set", "frozenset"] {
    table(name, [.set]) { t in
      let operators: [(String, BinaryOperator)] = [
        ("or", .bitOr), ("and", .bitAnd), ("sub", .subtract), ("xor", .bitXor),
      ]
      addSequence(&t)
      addOperators(&t, operators, reflected: true) { $0.kind == .set }
      addComparisons(&t) { $0.kind == .set }
      addText(&t)
      if name == "frozenset" {
        addHash(&t)
      } else {
        t.none("__hash__")
        for (n, op) in operators {
          t.add("__i\(n)__", "self, value, /") { (a) throws(LullError) in
            guard a[1].kind == .set else { return .notImplemented }
            try inplace(op, plainView(a[0]), plainView(a[1])).release()
            return a[0].retained()
          }
        }
      }
    }
  }
  for name in ["dict_keys", "dict_values", "dict_items"] {
    table(name, [.dictView]) { t in
      addSequence(&t, reversible: true)
      if name == "dict_values" { return }
      t.methods[internedPointer("isdisjoint")] = makeBuiltin(
        Builtin("isdisjoint", "isdisjoint(self, other, /)") { (a) throws(LullError) in
          let mine = try setFrom(a[0], frozen: false)
          defer { mine.release() }
          var meets = false
          try forEach(a[1]) { (x) throws(LullError) in if try mine.set.contains(x) { meets = true }
          }
          return Value(!meets)
        })
      addOperators(
        &t, [("or", .bitOr), ("and", .bitAnd), ("sub", .subtract), ("xor", .bitXor)],
        reflected: true
      ) { $0.kind == .set || $0.kind == .dictView }
      addComparisons(&t) { $0.kind == .set || $0.kind == .dictView }
      t.none("__hash__")
    }
  }
  table("slice", [.slice]) { t in
    addComparisons(&t) { $0.kind == .slice }
    t.none("__hash__")
  }
  table("BaseException", [.exception]) { t in
    t.add("__str__") { (a) throws(LullError) in makeStr(try exceptionText(a[0], own: false)) }
  }
  for type in Set(builtinTypes.values) where type.pointee.kind == .iterator {
    table(type.pointee.name, [.iterator]) { t in
      t.add("__iter__") { (a) throws(LullError) in a[0].retained() }
      t.add("__next__") { (a) throws(LullError) in
        let v = try iteratorNext(a[0])
        if v.isUndefined { throw stopIteration(.undefined) }
        return v
      }
      if type.pointee.name.hasSuffix("iterator") || type.pointee.name == "reversed" {
        t.add("__length_hint__") { (a) throws(LullError) in Value(lengthHint(a[0].iterator)) }
      }
    }
  }
  for (name, kind) in [
    ("function", Tag.function), ("builtin_function_or_method", .builtin), ("method", .boundMethod),
    ("staticmethod", .staticMethod),
  ] {
    table(name, [kind]) { t in
      t.add("__call__", "self, /, *args, **kwargs") { (a) throws(LullError) in
        try call(
          a[0], Array(a.rest(1)), keywords: dictItems(a[2]).map { ($0.key.string, $0.value) })
      }
    }
  }
  for (name, kind) in [
    ("function", Tag.function), ("staticmethod", .staticMethod), ("classmethod", .classMethod),
    ("property", .property),
  ] {
    table(name, [kind]) { t in
      t.methods.merge(tables[t.type] ?? [:]) { old, _ in old }
      t.add("__get__", "self, instance, owner=None, /") { (a) throws(LullError) in
        let type = a[2].tag == .type ? a[2].typeObject : a[1].type
        return try bindDescriptor(a[0], a[1].isNone ? .undefined : a[1], type)
      }
    }
  }
  table("property", [.property]) { t in
    t.methods.merge(tables[t.type] ?? [:]) { old, _ in old }
    t.add("__set__", "self, instance, value, /") { (a) throws(LullError) in
      if a[0].wrapper.pointee.b.isNone { throw LullError.attribute("property has no setter") }
      try call(a[0].wrapper.pointee.b, [a[1], a[2]]).release()
      return .none
    }
    t.add("__delete__", "self, instance, /") { (a) throws(LullError) in
      if a[0].wrapper.pointee.c.isNone { throw LullError.attribute("property has no deleter") }
      try call(a[0].wrapper.pointee.c, [a[1]]).release()
      return .none
    }
  }
  table("NoneType", [.none]) { t in
    t.add("__bool__") { (_) throws(LullError) in Value(false) }
    addText(&t)
  }
}
