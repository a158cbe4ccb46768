// Weak references: values that name an object without holding it.
//
// An object that has some carries a flag in its header, and a table tells which; when the object ends, they are
// emptied first and their callbacks called after. The references themselves are native objects; dictionaries and sets
// that hold weakly are written over them (stdlib/weakref.lull).
import Glibc

final class WeakReference {
  /// Not retained; undefined once the object is gone.
  var target: Value
  let callback: Value
  var hash: Int?
  /// The native value that holds this, not retained.
  var holder = Value.undefined

  init(_ target: Value, _ callback: Value) {
    self.target = target
    self.callback = callback.retained()
  }
  deinit {
    if !target.isUndefined { forget(self, target.header) }
    callback.release()
  }
}

/// The references to each object, in order; not retained.
@exclusivity(unchecked) nonisolated(unsafe) private var references:
  [UnsafeMutablePointer<Header>: [Unmanaged<WeakReference>]] = [:]

let weakReferenceType = NativeType(
  "ReferenceType", module: "weakref", doc: "A reference that does not hold its object.")

private func forget(_ r: WeakReference, _ h: UnsafeMutablePointer<Header>) {
  guard var list = references[h] else { return }
  list.removeAll { $0.toOpaque() == Unmanaged.passUnretained(r).toOpaque() }
  if list.isEmpty {
    references[h] = nil
    h.pointee.flags &= ~Header.flagWeaklyHeld
  } else {
    references[h] = list
  }
}
/// Empties the references to an object and gives those with callbacks, owned.
private func empty(_ h: UnsafeMutablePointer<Header>) -> [Value] {
  h.pointee.flags &= ~Header.flagWeaklyHeld
  guard let list = references.removeValue(forKey: h) else { return [] }
  var called: [Value] = []
  for u in list {
    let r = u.takeUnretainedValue()
    r.target = .undefined
    if !r.callback.isNone, !r.holder.isUndefined { called.append(r.holder.retained()) }
  }
  return called.reversed()
}
func runWeakCallbacks(_ held: [Value]) {
  for v in held {
    if let r = v.native(WeakReference.self) {
      do throws(LullError) { try call1(r.callback, v).release() } catch {
        standardError.write("Exception ignored in a callback of a weak reference: \(error)\n")
      }
    }
    v.release()
  }
}
/// To be called when an object's count has reached zero.
func clearWeakReferences(_ h: UnsafeMutablePointer<Header>) { runWeakCallbacks(empty(h)) }
/// Empties the references to objects that end together; gives those from outside that have callbacks.
func clearWeakReferences(within found: [UnsafeMutablePointer<Header>]) -> [Value] {
  var called: [Value] = []
  let flagged = found.filter { $0.pointee.flags & Header.flagWeaklyHeld != 0 }
  if flagged.isEmpty { return [] }
  let inside = Set(found.map { UnsafeMutableRawPointer($0) })
  for h in flagged {
    for v in empty(h) {
      if inside.contains(v.raw) { v.release() } else { called.append(v) }
    }
  }
  return called
}

private func canBeWeak(_ v: Value) -> Bool {
  switch v.tag {
  case .instance:
    v.type.pointee.slots == nil
      || v.type.pointee.slots?.contains(internedPointer("__weakref__")) ?? false
  case .function, .builtin, .boundMethod, .type, .generator, .set, .module, .native, .code: true
  case .exception: v.type.pointee.isUserDefined
  case .derived: v.kind != .tuple && v.kind != .bigInt && v.kind != .bytes
  default: false
  }
}

private func reference(_ v: Value, _ callback: Value) throws(LullError) -> Value {
  guard canBeWeak(v) else {
    throw LullError.typeError("cannot create weak reference to '\(typeName(v))' object")
  }
  let h = v.header
  // Without a callback one is enough.
  if callback.isNone,
    let known = references[h]?.first(where: { $0.takeUnretainedValue().callback.isNone })
  {
    let holder = known.takeUnretainedValue().holder
    if !holder.isUndefined { return holder.retained() }
  }
  let r = WeakReference(v, callback)
  let out = weakReferenceType.make(r)
  r.holder = out
  h.pointee.flags |= Header.flagWeaklyHeld
  references[h, default: []].append(Unmanaged.passUnretained(r))
  return out
}
private func weak(_ v: Value) throws(LullError) -> WeakReference {
  guard let r = v.native(WeakReference.self) else {
    throw LullError.typeError("a weak reference is required, not '\(typeName(v))'")
  }
  return r
}

func weakModule() -> NativeModule {
  let t = weakReferenceType
  t.constructor = Builtin(
    "ReferenceType", "ReferenceType(object, callback=None, /)", chapter: "weakref", doc: t.doc,
    examples: [
      ">>> import weakref\n>>> class Box:\n...     pass\n>>> box = Box()\n>>> r = weakref.ref(box)\n>>> r() is box\nTrue\n>>> del box\n>>> print(r())\nNone"
    ]
  ) { (a) throws(LullError) in
    try reference(a[0], a[1])
  }
  t.call = { (v, args, keywords) throws(LullError) in
    if args.count > 0 || !keywords.isEmpty {
      throw LullError.typeError(
        "weakref.__call__() takes no arguments (\(args.count + keywords.count) given)")
    }
    let target = try weak(v).target
    return target.isUndefined ? Value.none : target.retained()
  }
  t.compare = { (op, a, b) throws(LullError) in
    guard op == .equal || op == .notEqual, let x = a.native(WeakReference.self),
      let y = b.native(WeakReference.self)
    else { return nil }
    let same: Bool
    if x.target.isUndefined || y.target.isUndefined {
      same = a.isSame(b)
    } else {
      same = try sameOrEqual(x.target, y.target)
    }
    return Value(same == (op == .equal))
  }
  t.hash = { (v) throws(LullError) in
    let r = try weak(v)
    if let h = r.hash { return h }
    if r.target.isUndefined { throw LullError.typeError("weak object has gone away") }
    let h = try hashOf(r.target)
    r.hash = h
    return h
  }
  t.repr = { (v) throws(LullError) in
    let r = try weak(v)
    let at = "0x" + String(v.bits, radix: 16)
    if r.target.isUndefined { return "<weakref at \(at); dead>" }
    return "<weakref at \(at); to '\(typeName(r.target))' at 0x\(String(r.target.bits, radix: 16))>"
  }
  t.properties = [
    NativeProperty("__callback__", doc: "What is called when the object is gone.") {
      (v) throws(LullError) in
      let r = try weak(v)
      return r.target.isUndefined ? Value.none : r.callback.retained()
    }
  ]
  t.register()
  return NativeModule(
    builtins: [
      Builtin(
        "getweakrefcount", "getweakrefcount(object, /)", chapter: "weakref",
        doc: "How many weak references an object has.",
        examples: [
          ">>> import weakref\n>>> class Box:\n...     pass\n>>> box = Box()\n>>> r = weakref.ref(box)\n>>> weakref.getweakrefcount(box)\n1"
        ]
      ) {
        (a) throws(LullError) in
        Value(a[0].isHeap ? references[a[0].header]?.count ?? 0 : 0)
      },
      Builtin(
        "getweakrefs", "getweakrefs(object, /)", chapter: "weakref",
        doc: "The weak references of an object.",
        examples: [
          ">>> import weakref\n>>> class Box:\n...     pass\n>>> box = Box()\n>>> r = weakref.ref(box)\n>>> weakref.getweakrefs(box) == [r]\nTrue"
        ]
      ) { (a) throws(LullError) in
        let list = a[0].isHeap ? references[a[0].header] ?? [] : []
        return makeList(list.map { $0.takeUnretainedValue().holder.retained() })
      },
    ],
    values: [("ref", t.value.retained())])
}
