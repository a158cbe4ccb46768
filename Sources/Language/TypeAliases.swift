// What annotations are made of besides classes: `list[int]` (a generic alias) and `int | None` (a union of types).
//
// Both only describe: a call of an alias makes its class, `isinstance` takes a union apart, and nothing checks elements.

final class GenericAlias {
  /// The class and its arguments, owned.
  let origin: Value
  let arguments: Value
  init(_ origin: Value, _ arguments: Value) {
    self.origin = origin.retained()
    self.arguments = arguments
  }
  deinit {
    origin.release()
    arguments.release()
  }
}
final class TypeUnion {
  /// A tuple of at least two different members, owned.
  let members: Value
  init(_ members: Value) { self.members = members }
  deinit { members.release() }
}

let genericAliasType = NativeType(
  "GenericAlias", module: "types", doc: "A class with type arguments, for annotations.")
let typeUnionType = NativeType(
  "UnionType", module: "types", doc: "One of several types, for annotations.")

/// `origin[arguments]`; borrows both.
func makeGenericAlias(_ origin: Value, _ key: Value) -> Value {
  genericAliasType.make(
    GenericAlias(origin, key.kind == .tuple ? key.retained() : makeTuple([key.retained()])))
}

/// How an annotation writes a member.
private func shown(_ v: Value) throws(LullError) -> String {
  if v.isEllipsis { return "..." }
  if v.tag == .type {
    let t = v.typeObject.pointee
    if t.name == "NoneType" { return "None" }
    return t.module == "builtins" ? t.qualname : t.module + "." + t.qualname
  }
  if let l = v.asList {
    try checkNativeStack(" while getting the repr of an object")
    var parts: [String] = []
    for x in l.array { parts.append(try shown(x)) }
    return "[" + parts.joined(separator: ", ") + "]"
  }
  return try repr(v)
}
private func isTypeLike(_ v: Value) -> Bool {
  v.isNone || v.tag == .type || v.native(GenericAlias.self) != nil
    || v.native(TypeUnion.self) != nil
}
private func isSameType(_ a: Value, _ b: Value) throws(LullError) -> Bool {
  a.isSame(b) ? true : try valuesEqual(a, b)
}

/// `a | b` of types (owned); nil when an operand is none.
func typeUnion(_ a: Value, _ b: Value) throws(LullError) -> Value? {
  guard isTypeLike(a), isTypeLike(b), !(a.isNone && b.isNone) else { return nil }
  var members: [Value] = []
  for v in [a, b] {
    let parts =
      v.native(TypeUnion.self).map { $0.members.tuple.array }
      ?? [v.isNone ? Value(typeTable[Int(Tag.none.rawValue)]) : v]
    for p in parts {
      var known = false
      for m in members where try isSameType(m, p) { known = true }
      if !known { members.append(p) }
    }
  }
  if members.count == 1 { return members[0].retained() }
  return typeUnionType.make(TypeUnion(makeTuple(members.map { $0.retained() })))
}

/// The members that `isinstance` and `issubclass` try; nil when it is no union.
func unionMembers(_ v: Value) throws(LullError) -> [Value]? {
  if v.native(GenericAlias.self) != nil {
    throw LullError.typeError("isinstance() argument 2 cannot be a parameterized generic")
  }
  return v.native(TypeUnion.self)?.members.tuple.array
}

/// The class that an entry in a class's bases stands for, borrowed.
func baseClass(_ v: Value) throws(LullError) -> Value {
  if v.tag == .type { return v }
  if let alias = v.native(GenericAlias.self) { return alias.origin }
  throw LullError.typeError("a class's base must be a class, not \(typeName(v))")
}

func installTypeAliases() {
  let a = genericAliasType
  func alias(_ v: Value) throws(LullError) -> GenericAlias {
    guard let g = v.native(GenericAlias.self) else {
      throw LullError.typeError("a generic alias is required, not '\(typeName(v))'")
    }
    return g
  }
  a.constructor = Builtin(
    "GenericAlias", "GenericAlias(origin, args, /)", chapter: "types", doc: a.doc
  ) { (x) throws(LullError) in
    makeGenericAlias(x[0], x[1])
  }
  a.repr = { (v) throws(LullError) in
    let g = try alias(v)
    var parts: [String] = []
    for x in g.arguments.tuple.array { parts.append(try shown(x)) }
    return "\(try shown(g.origin))[\(parts.isEmpty ? "()" : parts.joined(separator: ", "))]"
  }
  a.call = { (v, args, keywords) throws(LullError) in
    try callValue(try alias(v).origin, Array(args), keywords: keywords)
  }
  a.getItem = { (v, key) throws(LullError) in makeGenericAlias(try alias(v).origin, key) }
  a.compare = { (op, x, y) throws(LullError) in
    guard op == .equal || op == .notEqual else { return nil }
    var same = false
    if let g = x.native(GenericAlias.self), let h = y.native(GenericAlias.self) {
      same = try isSameType(g.origin, h.origin)
      if same { same = try valuesEqual(g.arguments, h.arguments) }
    }
    return Value(same == (op == .equal))
  }
  a.hash = { (v) throws(LullError) in
    let g = try alias(v)
    return try hashOf(g.origin) ^ (try hashOf(g.arguments))
  }
  a.properties = [
    NativeProperty("__origin__", doc: "The class.") { (v) throws(LullError) in
      try alias(v).origin.retained()
    },
    NativeProperty("__args__", doc: "The type arguments.") { (v) throws(LullError) in
      try alias(v).arguments.retained()
    },
    NativeProperty("__parameters__", doc: "The type variables among the arguments.") {
      (v) throws(LullError) in
      let t = try alias(v).arguments.tuple
      return makeTuple(t.array.filter { typeName($0) == "TypeVar" }.map { $0.retained() })
    },
  ]
  a.getAttribute = { (v, name) throws(LullError) in
    name.hasPrefix("__") && name != "__name__" && name != "__qualname__" && name != "__doc__"
      ? nil : try attributeOrNil(try alias(v).origin, name)
  }
  a.register()

  let u = typeUnionType
  func members(_ v: Value) -> Value { v.native(TypeUnion.self)?.members ?? core.pointee.emptyTuple }
  u.repr = { (v) throws(LullError) in
    var parts: [String] = []
    for x in members(v).tuple.array { parts.append(try shown(x)) }
    return parts.joined(separator: " | ")
  }
  u.compare = { (op, x, y) throws(LullError) in
    guard op == .equal || op == .notEqual else { return nil }
    var same = false
    if x.native(TypeUnion.self) != nil, y.native(TypeUnion.self) != nil {
      let p = members(x).tuple.array
      let q = members(y).tuple.array
      same = p.count == q.count
      for m in p where same {
        var found = false
        for n in q where try isSameType(m, n) { found = true }
        same = found
      }
    }
    return Value(same == (op == .equal))
  }
  u.hash = { (v) throws(LullError) in
    var h = 0
    for m in members(v).tuple.array { h ^= try hashOf(m) }
    return h
  }
  u.properties = [
    NativeProperty("__args__", doc: "The members.") { (v) throws(LullError) in members(v).retained()
    }
  ]
  u.register()
}
