// Heap objects: the layout of each kind, and how to make one.
//
// Every body starts with a Header. Bodies are reached through typed raw pointers, never through
// Swift references, so no Swift reference counting happens on a hot path; the few Swift values
// inside bodies (BigInt, String, arrays) are initialised and deinitialised with the body.
// `makeX` returns an owned Value; arguments are consumed unless said otherwise.
import BigInt
import Glibc

typealias TypePtr = UnsafeMutablePointer<TypeBody>
typealias StrPtr = UnsafeMutablePointer<StrBody>
typealias ListPtr = UnsafeMutablePointer<ListBody>
typealias TuplePtr = UnsafeMutablePointer<TupleBody>
typealias DictPtr = UnsafeMutablePointer<DictBody>
typealias SetPtr = UnsafeMutablePointer<SetBody>
typealias FunctionPtr = UnsafeMutablePointer<FunctionBody>
typealias GeneratorPtr = UnsafeMutablePointer<GeneratorBody>

struct StrBody {
  var h: Header
  /// 0 when not computed.
  var hash: Int
  var byteCount: Int
  /// Number of code points.
  var count: Int
  /// Bytes allocated after the head.
  var capacity: Int
  static let headSize = 48
}

struct ListBody {
  var h: Header
  /// Valid only when `capacity > 0`.
  var items: UnsafeMutablePointer<Value>
  var count: Int
  var capacity: Int
}

struct TupleBody {
  var h: Header
  var count: Int
  var hash: Int
  static let headSize = 32
}

struct InstanceBody {
  var h: Header
  var shape: ShapePtr
  /// The attribute values in the shape's order: just after this body, or malloc'd (`external`).
  var slots: UnsafeMutablePointer<Value>
  var capacity: Int32
  var inlineCapacity: Int16
  var external: Bool
  static let headSize = 48
}

struct CellBody {
  var h: Header
  var value: Value
}

struct BoundMethodBody {
  var h: Header
  var receiver: Value
  var function: Value
}

struct FunctionBody {
  var h: Header
  var code: Unmanaged<Code>
  var head: UnsafeMutablePointer<CodeHead>
  var globals: Value
  /// Tuple of the defaults of the last positional parameters, or undefined.
  var defaults: Value
  /// Dict of keyword-only defaults, or undefined.
  var keywordDefaults: Value
  var name: Value
  var qualname: Value
  var doc: Value
  var dict: Value
  var cells: UnsafeMutablePointer<Value>?
  var cellCount: Int
  var codeOwner: Code
  /// The name of the module, a str or undefined; owned.
  var module: Value
  /// Dict of annotations by parameter name, or undefined; owned.
  var annotations: Value
}

struct GeneratorBody {
  var h: Header
  var frame: UnsafeMutablePointer<Frame>?
  var isRunning: Bool
  var isStarted: Bool
  /// Suspended inside a `yield from`.
  var isDelegating = false
  /// What a `return` inside the generator gave.
  var returned: Value
  var name: String
  var qualname: String
}

struct SliceBody {
  var h: Header
  var start: Value
  var stop: Value
  var step: Value
}

struct RangeBody {
  var h: Header
  var start: Int
  var stop: Int
  var step: Int
  var count: Int
  /// The numbers when they do not fit.
  var big: BigRange?
}

struct BigIntBody {
  var h: Header
  var value: BigInt
}
struct BytesBody {
  var h: Header
  var value: [UInt8]
}
struct ComplexBody {
  var h: Header
  var re: Double
  var im: Double
}
struct ExceptionBody {
  var h: Header
  var args: Value
  var cause: Value
  var context: Value
  var dict: Value
  var suppressContext: Bool
  var traceback: Trail
  var storedNotes: [String]?
  var notes: [String] {
    get { storedNotes ?? [] }
    set { storedNotes = newValue }
  }
  var span: Span?
  var source: SourceText?
}
struct NativeBody {
  var h: Header
  var object: AnyObject
  var dict: Value
}
/// property (getter, setter, deleter), staticmethod and classmethod (function).
struct WrapperBody {
  var h: Header
  var a: Value
  var b: Value
  var c: Value
  var doc: Value
}
struct SuperBody {
  var h: Header
  /// The class after which the search starts; owned.
  var type: TypePtr
  var receiver: Value
}
struct DictViewBody {
  var h: Header
  var dict: Value
  var which: DictViewKind
}
enum DictViewKind: UInt8 { case keys, values, items }
struct ModuleBody {
  var h: Header
  var name: String
  var dict: Value
  /// Makes a missing attribute on first use; nil for most modules.
  var lazy: ((String) throws -> Value?)?
}
struct BuiltinBody {
  var h: Header
  var builtin: Builtin
  /// The record's, for calls: whoever calls holds this object.
  var head: UnsafeMutablePointer<BuiltinHead>
}
struct CodeBody {
  var h: Header
  var code: Code
}

extension Header {
  @inline(__always) init(_ kind: Tag, _ type: TypePtr, flags: UInt8 = 0) {
    self.init(count: 1, kind: kind, flags: flags, type: type)
  }
  @inline(__always) init(_ kind: Tag) {
    self.init(count: 1, kind: kind, flags: 0, type: typeTable[Int(kind.rawValue)])
  }
}

/// The type of each tag's plain values. Set up by `startRuntime`, never changed after.
@exclusivity(unchecked) nonisolated(unsafe) var typeTable: UnsafeMutablePointer<TypePtr> =
  UnsafeMutablePointer(bitPattern: 16).unsafelyUnwrapped

extension Value {
  @inline(__always) var type: TypePtr {
    isHeap
      ? header.pointee.type : typeTable[Int(tag == .singleton ? 5 + bits : UInt64(tag.rawValue))]
  }
  @inline(__always) var str: StrPtr { body(StrBody.self) }
  @inline(__always) var list: ListPtr { body(ListBody.self) }
  @inline(__always) var tuple: TuplePtr { body(TupleBody.self) }
  @inline(__always) var dict: DictPtr { body(DictBody.self) }
  @inline(__always) var set: SetPtr { body(SetBody.self) }
  @inline(__always) var instance: UnsafeMutablePointer<InstanceBody> { body(InstanceBody.self) }
  @inline(__always) var function: FunctionPtr { body(FunctionBody.self) }
  @inline(__always) var cell: UnsafeMutablePointer<CellBody> { body(CellBody.self) }
  @inline(__always) var method: UnsafeMutablePointer<BoundMethodBody> {
    body(BoundMethodBody.self)
  }
  @inline(__always) var typeObject: TypePtr { body(TypeBody.self) }
  @inline(__always) var iterator: UnsafeMutablePointer<IteratorBody> { body(IteratorBody.self) }
  @inline(__always) var range: UnsafeMutablePointer<RangeBody> { body(RangeBody.self) }
  @inline(__always) var exceptionBody: UnsafeMutablePointer<ExceptionBody> {
    body(ExceptionBody.self)
  }
  /// Layout kind: the tag, or what a subclass instance has inside.
  @inline(__always) var kind: Tag { isHeap ? header.pointee.kind : tag }
  /// The list of a list or of an instance of a subclass of list.
  @inline(__always) var asList: ListPtr? { kind == .list ? list : nil }
  @inline(__always) var asTuple: TuplePtr? { kind == .tuple ? tuple : nil }
  @inline(__always) var asDict: DictPtr? { kind == .dict ? dict : nil }
  @inline(__always) var asSet: SetPtr? { kind == .set ? set : nil }
  @inline(__always) var asStr: StrPtr? { kind == .str ? str : nil }
}

// MARK: - Numbers

func makeBig(_ value: BigInt) -> Value {
  // The width of -2**63 is given as 65.
  if value.bitWidth <= 65, let small = Int(exactly: value) { return Value(small) }
  let p = allocateObject(MemoryLayout<BigIntBody>.size).bindMemory(to: BigIntBody.self, capacity: 1)
  p.initialize(to: BigIntBody(h: Header(.bigInt), value: value))
  return Value(.bigInt, p)
}

/// An unsigned number as an int of the language.
public func makeInteger(_ value: UInt64) -> Value { makeBig(BigInt(value)) }

extension Value {
  var bigInt: BigInt { body(BigIntBody.self).pointee.value }
  /// The integer value of a bool, int or big int (or of a subclass of int).
  var integer: BigInt? {
    switch kind {
    case .int, .bool: return BigInt(asInt)
    case .bigInt: return bigInt
    default: return nil
    }
  }
  var isInteger: Bool { tag == .int || tag == .bool || kind == .bigInt }
}

func makeComplex(_ re: Double, _ im: Double) -> Value {
  let p = allocateObject(MemoryLayout<ComplexBody>.size)
    .bindMemory(to: ComplexBody.self, capacity: 1)
  p.initialize(to: ComplexBody(h: Header(.complex), re: re, im: im))
  return Value(.complex, p)
}

// MARK: - Containers

func makeBytes(_ value: [UInt8]) -> Value {
  let p = allocateObject(MemoryLayout<BytesBody>.size).bindMemory(to: BytesBody.self, capacity: 1)
  p.initialize(to: BytesBody(h: Header(.bytes), value: value))
  return Value(.bytes, p)
}
extension Value {
  var bytes: [UInt8] { body(BytesBody.self).pointee.value }
}

@inline(__always) private func noItems() -> UnsafeMutablePointer<Value> {
  UnsafeMutablePointer(bitPattern: 16).unsafelyUnwrapped
}

func makeList(capacity: Int = 0) -> Value {
  let p = allocateObject(MemoryLayout<ListBody>.size).bindMemory(to: ListBody.self, capacity: 1)
  let items =
    capacity > 0
    ? allocateStorage(capacity * 16).bindMemory(to: Value.self, capacity: capacity) : noItems()
  p.initialize(to: ListBody(h: Header(.list), items: items, count: 0, capacity: capacity))
  return Value(.list, p)
}
/// Consumes the references of the elements.
func makeList(_ values: [Value]) -> Value {
  let v = makeList(capacity: values.count)
  for (i, x) in values.enumerated() { (v.list.pointee.items + i).initialize(to: x) }
  v.list.pointee.count = values.count
  return v
}
/// Takes `count` references from `from`.
func makeList(from: UnsafePointer<Value>, count: Int) -> Value {
  let v = makeList(capacity: count)
  if count > 0 { v.list.pointee.items.update(from: from, count: count) }
  v.list.pointee.count = count
  return v
}

extension UnsafeMutablePointer where Pointee == ListBody {
  @inline(__always) func append(_ v: Value) {
    let n = pointee.count
    if n == pointee.capacity { grow(n + 1) }
    pointee.items[n] = v
    pointee.count = n + 1
  }
  @inline(never) func grow(_ needed: Int) {
    let capacity = Swift.max(needed, pointee.capacity + pointee.capacity / 2 + 4)
    let old = pointee.capacity
    let new: UnsafeMutableRawPointer
    if old > 32, let p = realloc(pointee.items, capacity * 16) {
      // Past 512 bytes both are malloc's.
      new = p
    } else {
      new = allocateStorage(capacity * 16)
      if old > 0 {
        memcpy(new, pointee.items, pointee.count * 16)
        freeStorage(pointee.items, old * 16)
      }
    }
    pointee.items = new.bindMemory(to: Value.self, capacity: capacity)
    pointee.capacity = capacity
  }
  func insert(_ v: Value, at i: Int) {
    append(v)
    var j = pointee.count - 1
    while j > i {
      pointee.items[j] = pointee.items[j - 1]
      j -= 1
    }
    pointee.items[i] = v
  }
  /// Removes and returns (owned).
  func remove(at i: Int) -> Value {
    let items = pointee.items
    let v = items[i]
    let n = pointee.count - 1
    if i < n { (items + i).update(from: items + i + 1, count: n - i) }
    pointee.count = n
    return v
  }
  func clear() {
    let n = pointee.count
    let items = pointee.items
    let capacity = pointee.capacity
    pointee.count = 0
    pointee.capacity = 0
    pointee.items = UnsafeMutablePointer<Value>(bitPattern: 16).unsafelyUnwrapped
    for i in 0..<n { items[i].release() }
    if capacity > 0 { freeStorage(items, capacity * 16) }
  }
  /// Replaces the range by `new` (owned values).
  func replace(_ range: Range<Int>, with new: [Value]) {
    var tail: [Value] = []
    for i in range.upperBound..<Swift.max(range.upperBound, pointee.count) {
      tail.append(pointee.items[i])
    }
    var old: [Value] = []
    for i in range { old.append(pointee.items[i]) }
    pointee.count = range.lowerBound
    for v in new { append(v) }
    for v in tail { append(v) }
    for v in old { v.release() }
  }
  /// A copy of the elements, not retained.
  var array: [Value] {
    Array(UnsafeBufferPointer(start: pointee.items, count: pointee.count))
  }
}

@inline(__always) func makeTuple(uninitialized n: Int) -> Value {
  let p = allocateObject(TupleBody.headSize + n &* 16).bindMemory(to: TupleBody.self, capacity: 1)
  p.initialize(to: TupleBody(h: Header(.tuple), count: n, hash: 0))
  return Value(.tuple, p)
}
/// Consumes the references of the elements.
func makeTuple(_ values: [Value]) -> Value {
  let v = makeTuple(uninitialized: values.count)
  for (i, x) in values.enumerated() { v.tuple.items[i] = x }
  return v
}
func makeTuple(from: UnsafePointer<Value>, count: Int) -> Value {
  let v = makeTuple(uninitialized: count)
  for i in 0..<count { v.tuple.items[i] = from[i] }
  return v
}
@inline(__always) func makePair(_ a: Value, _ b: Value) -> Value {
  let v = makeTuple(uninitialized: 2)
  v.tuple.items[0] = a
  v.tuple.items[1] = b
  return v
}
extension UnsafeMutablePointer where Pointee == TupleBody {
  @inline(__always) var items: UnsafeMutablePointer<Value> {
    (UnsafeMutableRawPointer(self) + TupleBody.headSize).assumingMemoryBound(to: Value.self)
  }
  var array: [Value] { Array(UnsafeBufferPointer(start: items, count: pointee.count)) }
}

@inline(__always) func makeCell(_ v: Value) -> Value {
  let p = allocateObject(MemoryLayout<CellBody>.size).bindMemory(to: CellBody.self, capacity: 1)
  p.initialize(to: CellBody(h: Header(.cell), value: v))
  return Value(.cell, p)
}
@inline(__always) func makeBoundMethod(_ receiver: Value, _ function: Value) -> Value {
  let p = allocateObject(MemoryLayout<BoundMethodBody>.size)
    .bindMemory(to: BoundMethodBody.self, capacity: 1)
  p.initialize(
    to: BoundMethodBody(h: Header(.boundMethod), receiver: receiver, function: function))
  return Value(.boundMethod, p)
}
func makeSlice(_ start: Value, _ stop: Value, _ step: Value) -> Value {
  let p = allocateObject(MemoryLayout<SliceBody>.size).bindMemory(to: SliceBody.self, capacity: 1)
  p.initialize(to: SliceBody(h: Header(.slice), start: start, stop: stop, step: step))
  return Value(.slice, p)
}
func makeRange(_ start: Int, _ stop: Int, _ step: Int) throws(LullError) -> Value {
  if step == 0 { throw LullError.valueError("range() arg 3 must not be zero") }
  var count = 0
  if step > 0, start < stop {
    let (d, o) = stop.subtractingReportingOverflow(start)
    if o { return try makeRange(BigInt(start), BigInt(stop), BigInt(step)) }
    count = (d - 1) / step + 1
  } else if step < 0, start > stop {
    let (d, o) = start.subtractingReportingOverflow(stop)
    if o || step == Int.min { return try makeRange(BigInt(start), BigInt(stop), BigInt(step)) }
    count = (d - 1) / (-step) + 1
  }
  return makeRange(
    RangeBody(h: Header(.range), start: start, stop: stop, step: step, count: count, big: nil))
}
func makeRange(_ body: RangeBody) -> Value {
  let p = allocateObject(MemoryLayout<RangeBody>.size).bindMemory(to: RangeBody.self, capacity: 1)
  p.initialize(to: body)
  return Value(.range, p)
}
func makeWrapper(
  _ kind: Tag, _ a: Value, _ b: Value = .none, _ c: Value = .none, doc: Value = .none
)
  -> Value
{
  let p = allocateObject(MemoryLayout<WrapperBody>.size)
    .bindMemory(to: WrapperBody.self, capacity: 1)
  p.initialize(to: WrapperBody(h: Header(kind), a: a, b: b, c: c, doc: doc))
  return Value(kind, p)
}
extension Value {
  @inline(__always) var wrapper: UnsafeMutablePointer<WrapperBody> { body(WrapperBody.self) }
}
func makeDictView(_ dict: Value, _ which: DictViewKind) -> Value {
  let p = allocateObject(MemoryLayout<DictViewBody>.size)
    .bindMemory(to: DictViewBody.self, capacity: 1)
  p.initialize(
    to: DictViewBody(
      h: Header(
        .dictView,
        which == .keys
          ? core.pointee.dictKeysType
          : which == .values ? core.pointee.dictValuesType : core.pointee.dictItemsType),
      dict: dict, which: which))
  return Value(.dictView, p)
}
func makeModule(_ name: String, dict: Value? = nil) -> Value {
  let d = dict ?? makeDict()
  let p = allocateObject(MemoryLayout<ModuleBody>.size).bindMemory(to: ModuleBody.self, capacity: 1)
  p.initialize(to: ModuleBody(h: Header(.module), name: name, dict: d, lazy: nil))
  if d.dict.get(interned("__name__")) == nil { d.dict.set(interned("__name__"), makeStr(name)) }
  return Value(.module, p)
}
extension Value {
  var module: UnsafeMutablePointer<ModuleBody> { body(ModuleBody.self) }
}
func makeBuiltin(_ b: Builtin) -> Value {
  let p = allocateObject(MemoryLayout<BuiltinBody>.size)
    .bindMemory(to: BuiltinBody.self, capacity: 1)
  p.initialize(to: BuiltinBody(h: Header(.builtin), builtin: b, head: b.head))
  return Value(.builtin, p)
}

// MARK: - Instances and shapes

typealias ShapePtr = UnsafeMutablePointer<ShapeBody>

/// A hidden class: the attribute names of an instance in slot order. Shapes form a tree per type.
struct ShapeBody {
  /// Changes when the type changes, so that inline caches that hold it miss.
  var id: UInt32
  var count: Int
  var keys: [StrPtr]
  var index: [StrPtr: Int]
  var transitions: [StrPtr: ShapePtr]
  /// The transition taken last: constructors add the same attributes again and again.
  var lastKey: StrPtr?
  var lastShape: ShapePtr?
  var parent: ShapePtr?
  /// The instance's only slot holds a dict with the attributes (someone asked for `__dict__`).
  var isDict: Bool
}

@exclusivity(unchecked) nonisolated(unsafe) var nextVersion: UInt32 = 1
func freshVersion() -> UInt32 {
  nextVersion &+= 1
  return nextVersion
}

func makeShape(parent: ShapePtr? = nil, key: StrPtr? = nil, isDict: Bool = false) -> ShapePtr {
  let p = ShapePtr.allocate(capacity: 1)
  var keys = parent?.pointee.keys ?? []
  if let key { keys.append(key) }
  var index: [StrPtr: Int] = [:]
  if keys.count > 8 { for (i, k) in keys.enumerated() { index[k] = i } }
  p.initialize(
    to: ShapeBody(
      id: freshVersion(), count: isDict ? 1 : keys.count, keys: isDict ? [] : keys, index: index,
      transitions: [:], lastKey: nil, lastShape: nil, parent: parent, isDict: isDict))
  return p
}

extension UnsafeMutablePointer where Pointee == ShapeBody {
  func find(_ key: StrPtr) -> Int {
    let n = pointee.count
    if n <= 8 {
      return pointee.keys.withUnsafeBufferPointer { keys in
        for i in 0..<keys.count where keys[i] == key { return i }
        return -1
      }
    }
    return pointee.index[key] ?? -1
  }
  func adding(_ key: StrPtr) -> ShapePtr {
    if pointee.lastKey == key, let s = pointee.lastShape { return s }
    let s = pointee.transitions[key] ?? makeShape(parent: self, key: key)
    pointee.transitions[key] = s
    pointee.lastKey = key
    pointee.lastShape = s
    return s
  }
  func renumber() {
    pointee.id = freshVersion()
    for (_, s) in pointee.transitions { s.renumber() }
  }
}

/// A new instance of a plain class (layout `.instance`), without attributes.
@inline(__always) func makeInstance(_ type: TypePtr) -> Value {
  let hint = type.pointee.slotHint
  let p = allocateObject(InstanceBody.headSize + hint &* 16)
    .bindMemory(to: InstanceBody.self, capacity: 1)
  type.pointee.h.count &+= 1
  p.initialize(
    to: InstanceBody(
      h: Header(.instance, type), shape: type.pointee.rootShape,
      slots: (UnsafeMutableRawPointer(p) + InstanceBody.headSize)
        .assumingMemoryBound(to: Value.self),
      capacity: Int32(truncatingIfNeeded: hint), inlineCapacity: Int16(truncatingIfNeeded: hint),
      external: false))
  return Value(.instance, p)
}

extension UnsafeMutablePointer where Pointee == InstanceBody {
  /// Adds a slot; consumes the value.
  func addSlot(_ key: StrPtr, _ v: Value) {
    let new = pointee.shape.adding(key)
    appendSlot(v)
    pointee.shape = new
    let type = pointee.h.type
    if new.pointee.count > type.pointee.slotHint, new.pointee.count <= 24 {
      type.pointee.slotHint = new.pointee.count
    }
  }
  /// Stores a value after the last slot; the caller then sets the shape.
  @inline(__always) func appendSlot(_ v: Value) {
    let n = pointee.shape.pointee.count
    if n >= Int(pointee.capacity) { growSlots(n) }
    pointee.slots[n] = v
  }
  @inline(never) func growSlots(_ n: Int) {
    let capacity = n * 2 + 2
    let new = allocateRaw(capacity * 16).bindMemory(to: Value.self, capacity: capacity)
    for i in 0..<n { new[i] = pointee.slots[i] }
    if pointee.external { free(pointee.slots) }
    pointee.slots = new
    pointee.external = true
    pointee.capacity = Int32(capacity)
  }
  /// Removes a slot; returns the old value (owned) or nil.
  func removeSlot(_ key: StrPtr) -> Value? {
    let i = pointee.shape.find(key)
    if i < 0 { return nil }
    let old = pointee.slots[i]
    let keys = pointee.shape.pointee.keys
    var shape = pointee.h.type.pointee.rootShape
    for k in keys where k != key { shape = shape.adding(k) }
    for j in i..<(keys.count - 1) { pointee.slots[j] = pointee.slots[j + 1] }
    pointee.shape = shape
    return old
  }
  /// Turns the attributes into a dict (once) and returns it, borrowed.
  func attributeDict() -> DictPtr {
    if pointee.shape.pointee.isDict { return pointee.slots[0].dict }
    let d = makeDict()
    let keys = pointee.shape.pointee.keys
    for (i, k) in keys.enumerated() { d.dict.set(Value(.str, k), pointee.slots[i]) }
    if pointee.capacity < 1 { growSlots(0) }
    pointee.slots[0] = d
    pointee.shape = pointee.h.type.pointee.dictShape
    return d.dict
  }
}
