// The native interface: how Swift modules above Language add types, functions and modules.
//
// Ownership. A `Value` is trivial; references are counted by hand. Values that native code receives
// (arguments, `self`, elements) are borrowed: valid during the call; call `retain()` to keep one.
// Values that native code returns are owned by the receiver: a fresh value from a `make...`
// function, or `x.retain()` to hand back an argument. `drop()` gives a reference up.
//
// A type:
//
//   let arrayType = NativeType("array", module: "mlx.core")
//   arrayType.methods = [Builtin("sum", "sum(self, axis=None, keepdims=False)", ...) { a in ... }]
//   arrayType.properties = [NativeProperty("shape") { try makeTuple(... unwrap($0) ...) }]
//   arrayType.binary = { op, me, other, reflected in ... nil when it does not know `other` }
//   arrayType.constructor = Builtin("array", "array(value, dtype=None)") { ... }
//   arrayType.register()
//   let v = arrayType.make(nsArray)            // wrap any Swift class instance
//   let a = v.native(NDArray.self)             // unwrap: nil when it is something else
//
// A module is made when a program first imports it:
//
//   ModuleRegistry.add("mlx.core") { NativeModule(builtins: [...], values: [("pi", ...)]) }
//
// Calling back: `callValue(f, [args])`. Iterating: `forEach(v) { x in ... }` (x borrowed).
// The place of the running instruction: `currentPosition()` packs into 64 bits and costs two
// loads; `decodePosition` gives file, line and span later.

public final class NativeProperty: @unchecked Sendable {
  public let name: String
  public let doc: String
  public let get: (Value) throws(LullError) -> Value
  public let set: ((Value, Value) throws(LullError) -> Void)?
  public init(
    _ name: String, doc: String = "", get: @escaping (Value) throws(LullError) -> Value,
    set: ((Value, Value) throws(LullError) -> Void)? = nil
  ) {
    self.name = name
    self.doc = doc
    self.get = get
    self.set = set
  }
}

public final class NativeType: @unchecked Sendable {
  public let name: String
  public let module: String
  public let doc: String
  public let base: NativeType?
  public var methods: [Builtin] = []
  public var staticMethods: [Builtin] = []
  public var properties: [NativeProperty] = []
  public var constructor: Builtin?
  /// An empty object for subclasses written in the language that have an `__init__`.
  public var makeEmpty: (() -> Value)?
  /// `me op other`, or `other op me` when reflected; nil means "not for me".
  public var binary: ((BinaryOperator, Value, Value, Bool) throws(LullError) -> Value?)?
  /// `me op= other`; nil falls back to `binary`.
  public var inplace: ((BinaryOperator, Value, Value) throws(LullError) -> Value?)?
  public var unary: ((UnaryOperator, Value) throws(LullError) -> Value?)?
  /// The result may be any value (an array of bools).
  public var compare: ((CompareOperator, Value, Value) throws(LullError) -> Value?)?
  public var getItem: ((Value, Value) throws(LullError) -> Value)?
  public var setItem: ((Value, Value, Value) throws(LullError) -> Void)?
  public var deleteItem: ((Value, Value) throws(LullError) -> Void)?
  public var len: ((Value) throws(LullError) -> Int)?
  public var contains: ((Value, Value) throws(LullError) -> Bool)?
  /// An iterator, for example of a list of elements: `makeIterator(list)`.
  public var iter: ((Value) throws(LullError) -> Value)?
  /// The next element (owned) or undefined at the end: makes the type an iterator.
  public var next: ((Value) throws(LullError) -> Value)?
  public var bool: ((Value) throws(LullError) -> Bool)?
  public var hash: ((Value) throws(LullError) -> Int)?
  public var float: ((Value) throws(LullError) -> Double)?
  public var index: ((Value) throws(LullError) -> Value)?
  public var int: ((Value) throws(LullError) -> Value)?
  public var repr: ((Value) throws(LullError) -> String)?
  public var str: ((Value) throws(LullError) -> String)?
  public var format: ((Value, String) throws(LullError) -> String)?
  public var call:
    ((Value, UnsafeBufferPointer<Value>, [(String, Value)]) throws(LullError) -> Value)?
  /// For names that no method or property has; nil means AttributeError.
  public var getAttribute: ((Value, String) throws(LullError) -> Value?)?
  /// True when it took the assignment; otherwise attributes go to the object's own dict if
  /// `allowsAttributes`.
  public var setAttribute: ((Value, String, Value) throws(LullError) -> Bool)?
  public var enter: ((Value) throws(LullError) -> Value)?
  /// Gets the exception or None; true swallows it.
  public var exit: ((Value, Value) throws(LullError) -> Bool)?
  public var allowsAttributes = false
  /// The values that the Swift object owns, borrowed, so that cycles through it are found. Each must be held by it alone.
  public var references: ((AnyObject) -> [Value])?
  private(set) var pointer: TypePtr?

  public init(
    _ name: String, module: String = "builtins", doc: String = "", base: NativeType? = nil
  ) {
    self.name = name
    self.module = module
    self.doc = doc
    self.base = base
    if let base {
      binary = base.binary
      inplace = base.inplace
      unary = base.unary
      compare = base.compare
      getItem = base.getItem
      setItem = base.setItem
      len = base.len
      contains = base.contains
      iter = base.iter
      next = base.next
      bool = base.bool
      hash = base.hash
      float = base.float
      index = base.index
      repr = base.repr
      str = base.str
      format = base.format
      call = base.call
      getAttribute = base.getAttribute
      setAttribute = base.setAttribute
      allowsAttributes = base.allowsAttributes
    }
  }

  /// Makes the type known; once, after its members are set.
  public func register() {
    if pointer != nil { return }
    base?.register()
    let t = makeType(
      name, base: base?.pointer ?? core.pointee.object, kind: .native, module: module)
    t.pointee.h.count = immortal
    t.pointee.native = self
    t.pointee.doc = doc
    t.pointee.constructor = constructor
    pointer = t
    for m in methods {
      m.setOwner(name, [.native])
      t.pointee.dict.dict.set(m.name, makeBuiltin(m))
    }
    for m in staticMethods {
      t.pointee.dict.dict.set(m.name, makeWrapper(.staticMethod, makeBuiltin(m)))
    }
    for p in properties {
      let getter = Builtin(p.name, "\(p.name)(self, /)", doc: p.doc) {
        (a) throws(LullError) in try p.get(a[0])
      }
      var setter = Value.none
      if let set = p.set {
        setter = makeBuiltin(
          Builtin(p.name, "\(p.name)(self, value, /)") { (a) throws(LullError) in
            try set(a[0], a[1])
            return .none
          })
      }
      t.pointee.dict.dict.set(
        p.name, makeWrapper(.property, makeBuiltin(getter), setter, doc: makeStr(p.doc)))
    }
    BuiltinRegistry.add(methods + staticMethods)
    if let constructor { BuiltinRegistry.add([constructor]) }
    t.changed()
  }
  /// The type as a value, borrowed.
  public var value: Value {
    if pointer == nil { register() }
    return pointer.map { Value($0) } ?? .none
  }
  /// Wraps an object (owned value).
  public func make(_ object: AnyObject) -> Value {
    if pointer == nil { register() }
    let p = allocateObject(MemoryLayout<NativeBody>.size)
      .bindMemory(to: NativeBody.self, capacity: 1)
    p.initialize(
      to: NativeBody(
        h: Header(.native, pointer ?? core.pointee.object), object: object, dict: .undefined))
    return Value(.native, p)
  }
}

extension Value {
  /// The Swift object inside, when it is of this class.
  @inline(__always) public func native<T: AnyObject>(_: T.Type) -> T? {
    guard kind == .native else { return nil }
    return body(NativeBody.self).pointee.object as? T
  }
  /// The Swift object inside, without a check of its class beyond identity of the type.
  public func nativeObject() -> AnyObject? {
    kind == .native ? body(NativeBody.self).pointee.object : nil
  }
  public func isInstance(of t: NativeType) -> Bool {
    guard kind == .native else { return false }
    return t.value.tag == .type && type.isSubtype(of: t.value.typeObject)
  }
  /// The record behind a builtin function, a method (bound or not) or the constructor of a class.
  public var record: Builtin? {
    switch tag {
    case .builtin: body(BuiltinBody.self).pointee.builtin
    case .boundMethod: method.pointee.function.record
    case .type: typeObject.pointee.isUserDefined ? nil : typeObject.pointee.constructor
    default: nil
    }
  }
  /// Keeps another value alive as long as this native object, whose type has no attributes of its own, lives.
  public func keep(_ other: Value) {
    guard kind == .native, type.pointee.native?.allowsAttributes != true else { return }
    body(NativeBody.self).pointee.dict.release()
    body(NativeBody.self).pointee.dict = other.retained()
  }
  /// What `keep` holds, borrowed; undefined for nothing.
  public var kept: Value {
    guard kind == .native, type.pointee.native?.allowsAttributes != true else { return .undefined }
    return body(NativeBody.self).pointee.dict
  }
  /// Replaces the Swift object inside (for in-place updates of a value type's box).
  public func setNative(_ object: AnyObject) {
    if kind == .native { body(NativeBody.self).pointee.object = object }
  }
  /// The text of a str; nil for anything else.
  public var stringValue: String? { kind == .str ? str.string : nil }
  /// The integer of an int that fits, or of a bool.
  public var intValue: Int? { tag == .int || tag == .bool ? asInt : nil }
  /// An integer past those of 64 bits with a sign that fits 64 bits without.
  public var unsignedValue: UInt64? { kind == .bigInt ? UInt64(exactly: bigInt) : nil }
  public var boolValue: Bool? { tag == .bool ? asBool : nil }
  /// The number in a float, or the float nearest to an int.
  public var doubleValue: Double? {
    switch kind {
    case .float, .int, .bool, .bigInt: do { return try doubleOf(self) } catch { return nil }
    default: return nil
    }
  }
  public var typeNameText: String { typeName(self) }
  /// The identity of a heap object; equal exactly for the same object.
  public var objectIdentity: UInt64 { bits }
  public var isList: Bool { kind == .list }
  public var isTuple: Bool { kind == .tuple }
  public var isDict: Bool { kind == .dict }
  public var isString: Bool { kind == .str }
  public var isSlice: Bool { kind == .slice }
  public var isEllipsis: Bool { tag == .singleton && bits == 1 }
  public var isComplex: Bool { kind == .complex }
  public var isCallable: Bool { isCallableValue(self) }
  /// Elements of a list or tuple, borrowed; empty for anything else.
  public var elements: UnsafeBufferPointer<Value> {
    switch kind {
    case .list:
      UnsafeBufferPointer(
        start: list.pointee.capacity > 0 ? UnsafePointer(list.pointee.items) : nil,
        count: list.pointee.count)
    case .tuple: UnsafeBufferPointer(start: UnsafePointer(tuple.items), count: tuple.pointee.count)
    default: UnsafeBufferPointer(start: nil, count: 0)
    }
  }
  public var byteArray: [UInt8]? { bytesLike }
  /// start, stop, step of a slice (None where left out), borrowed.
  public var sliceParts: (start: Value, stop: Value, step: Value)? {
    guard kind == .slice else { return nil }
    let s = body(SliceBody.self).pointee
    return (s.start, s.stop, s.step)
  }
  public var rangeParts: (start: Int, stop: Int, step: Int, count: Int)? {
    guard kind == .range else { return nil }
    let r = range.pointee
    if r.big != nil { return nil }
    return (r.start, r.stop, r.step, r.count)
  }
  public var complexParts: (re: Double, im: Double)? { Language.complexParts(self) }
}

/// Resolves a slice against a length as CPython does.
/// The length is read after the bounds, whose `__index__` may change it.
public func sliceIndices(_ slice: Value, length: @autoclosure () throws(LullError) -> Int)
  throws(LullError) -> (start: Int, stop: Int, step: Int, count: Int)
{
  guard let (a, b, c) = slice.sliceParts else { throw LullError.typeError("expected a slice") }
  func clip(_ v: Value) throws(LullError) -> Int {
    let r: Value
    do throws(LullError) { r = try indexValue(v) } catch {
      if isCustom(v), !v.type.lookup(.__index__).isUndefined { throw error }
      throw LullError.typeError(
        "slice indices must be integers or None or have an __index__ method")
    }
    defer { r.release() }
    if r.tag == .int { return r.asInt }
    return r.bigInt.sign == .minus ? Int.min / 2 : Int.max / 2
  }
  let step = c.isNone ? 1 : try clip(c)
  if step == 0 { throw LullError.valueError("slice step cannot be zero") }
  let first = a.isNone ? 0 : try clip(a)
  let last = b.isNone ? 0 : try clip(b)
  let n = try length()
  func bound(_ v: Value, _ given: Int, _ missing: Int) -> Int {
    if v.isNone { return missing }
    var x = given
    if x < 0 {
      x = x < -n ? (step < 0 ? -1 : 0) : x + n
    } else if x >= n {
      x = step < 0 ? n - 1 : n
    }
    return x
  }
  let start = bound(a, first, step < 0 ? n - 1 : 0)
  let stop = bound(b, last, step < 0 ? -1 : n)
  var count = 0
  if step > 0, start < stop { count = (stop - start - 1) / step + 1 }
  if step < 0, start > stop {
    count = step == Int.min ? 1 : (start - stop - 1) / (-step) + 1
  }
  return (start, stop, step, count)
}

// MARK: - Making and reading values

public func makeListValue(_ owned: [Value]) -> Value { makeList(owned) }
public func makeTupleValue(_ owned: [Value]) -> Value { makeTuple(owned) }
public func makeTuple(ints: some Sequence<Int>) -> Value { makeTuple(ints.map { Value($0) }) }
public func makeBytesValue(_ bytes: [UInt8]) -> Value { makeBytes(bytes) }
public func makeComplexValue(_ re: Double, _ im: Double) -> Value { makeComplex(re, im) }
public func makeSliceValue(_ a: Value, _ b: Value, _ c: Value) -> Value { makeSlice(a, b, c) }
public func makeFunctionValue(_ b: Builtin) -> Value { makeBuiltin(b) }
/// An int of any size from its decimal digits.
public func makeInt(_ u: UInt64) -> Value {
  u <= UInt64(Int.max) ? Value(Int(u)) : makeUnsigned(u)
}
/// A dict of owned values under str keys.
public func makeDictValue(_ items: [(String, Value)]) -> Value {
  let d = makeDict()
  for (k, v) in items { d.dict.store(string: k, v) }
  return d
}
extension UnsafeMutablePointer where Pointee == DictBody {
  func store(string k: String, _ v: Value) {
    let key = makeStr(k)
    set(key, v)
    key.release()
  }
}
/// Appends an owned value to a list.
public func appendToList(_ list: Value, _ owned: Value) {
  if let l = list.asList { l.append(owned) } else { owned.release() }
}
/// Puts an owned value in the place of an element of a list.
public func setListItem(_ list: Value, _ i: Int, _ owned: Value) {
  guard let l = list.asList, i >= 0, i < l.pointee.count else { return owned.release() }
  let old = l.pointee.items[i]
  l.pointee.items[i] = owned
  old.release()
}
/// Stores an owned value under any key (borrowed).
public func setDictItem(_ dict: Value, _ key: Value, _ owned: Value) throws(LullError) {
  guard let d = dict.asDict else {
    owned.release()
    throw LullError.typeError("expected a dict")
  }
  try d.store(key, owned)
}
/// The value under a str key, borrowed.
public func dictItem(_ dict: Value, _ key: String) -> Value? { dict.asDict?.get(key) }
/// The entries of a dict in order, borrowed.
public func dictItems(_ dict: Value) -> [(key: Value, value: Value)] {
  guard let d = dict.asDict else { return [] }
  var out: [(key: Value, value: Value)] = []
  for i in 0..<d.pointee.used where !d.pointee.entries[i].key.isUndefined {
    out.append((d.pointee.entries[i].key, d.pointee.entries[i].value))
  }
  return out
}
/// Calls any callable with borrowed arguments; the result is owned.
public func callValue(_ f: Value, _ args: [Value], keywords: [(String, Value)] = [])
  throws(LullError) -> Value
{
  keywords.isEmpty ? try call(f, args) : try call(f, args, keywords: keywords)
}
/// All elements of an iterable, owned.
public func collect(_ iterable: Value) throws(LullError) -> [Value] {
  if iterable.tag == .range { try checkAllocation(iterable.range.pointee.count, 16) }
  var out: [Value] = []
  do throws(LullError) {
    try forEach(iterable) { (x) throws(LullError) in
      try checkGrowth(out.count, 16)
      out.append(x.retained())
    }
  } catch {
    for v in out { v.release() }
    throw error
  }
  return out
}
/// An attribute (owned); throws AttributeError.
public func attribute(_ v: Value, _ name: String) throws(LullError) -> Value {
  try getAttribute(v, interned(name))
}
public func attributeOrNil(_ v: Value, _ name: String) throws(LullError) -> Value? {
  try getAttributeOrNil(v, interned(name))
}
/// Sets an attribute to a borrowed value.
public func setAttributeValue(_ v: Value, _ name: String, _ x: Value) throws(LullError) {
  try setAttribute(v, interned(name), x.retained())
}
public func reprText(_ v: Value) throws(LullError) -> String { try repr(v) }
public func strText(_ v: Value) throws(LullError) -> String { try display(v) }
/// Whether a program asked to stop; long native work polls this and calls `throwIfInterrupted`.
public func throwIfInterrupted() throws(LullError) {
  if vm.pointee.interruptFlag == Request.interrupt { try interrupted() }
}
/// The class with this name among exceptions and builtins, borrowed.
public func builtinType(_ name: String) -> Value? {
  (exceptionTypes[name] ?? builtinTypes[name]).map { Value($0) }
}

// MARK: - Positions

/// The running instruction: code id in the upper, instruction index in the lower 32 bits. Zero when
/// no program runs.
@inline(__always) public func currentPosition() -> UInt64 {
  guard let f = vm.pointee.frame else { return 0 }
  return f.pointee.code._withUnsafeGuaranteedRef {
    UInt64($0.id) << 32 | UInt64(UInt32(truncatingIfNeeded: f.pointee.ip - $0.instructions))
  }
}
public struct SourcePosition {
  public let source: SourceText
  public let function: String
  public let span: Span
  public let operands: (Span, Span)?
  public var line: Int { source.line(at: span.start) }
}
/// nil when the code is gone (its cell was replaced and nothing refers to it).
public func decodePosition(_ p: UInt64) -> SourcePosition? {
  let id = Int(p >> 32)
  let pc = Int(p & 0xFFFF_FFFF) - 1
  guard p != 0, id < codeTable.count, let code = codeTable[id]?.takeUnretainedValue(), pc >= 0,
    pc < code.spans.count
  else { return nil }
  return SourcePosition(
    source: code.source, function: code.name, span: code.spans[pc], operands: code.operands[pc])
}
