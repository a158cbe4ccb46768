// Values.
//
// A `Value` is 16 trivial bytes: a tag and 64 bits. None, bool, int (64-bit) and float are inline;
// everything else is the address of a heap object that starts with a `Header`. Copying a Value does
// nothing; ownership is manual: whoever stores one calls `retain`, whoever drops one calls
// `release`. Counts are plain integers (the language is single-threaded), so a retain is one add.
//
//   Header:  | count (Int32) | kind (UInt8) | flags (UInt8) | 0 | type pointer (8 bytes) | payload
//
// Invariants: `tag.rawValue >= Tag.firstHeap` exactly when `bits` is the address of a live object.
// `header.kind` is the object's layout. An object whose class is written in the language carries the
// tag `.instance`, or `.derived` with a builtin layout (a subclass of list), so that a fast path on
// `.list` never bypasses an overridden method. Exceptions carry `.exception` always.
//
// Destruction is iterative past a small depth: a list a million links long frees without a deep
// stack. Cycles are found by Collector.swift.
import Glibc

public enum Tag: UInt8 {
  /// No value: an unassigned variable, an omitted argument, the end of an iteration.
  case undefined = 0
  case none, bool, int, float
  /// NotImplemented (0) and Ellipsis (1).
  case singleton
  /// No value has these: with a gap between raw values each `rawValue` would be a look-up in a table.
  /// Ellipsis has its type in the row of the first.
  case ellipsisRow, unusedRow
  case str
  case bigInt, list, tuple, dict, set, instance, function, builtin, boundMethod, type, cell
  case iterator, generator, range, slice, bytes, complex, module, exception, native
  case property, staticMethod, classMethod, superObject, dictView, code
  /// An instance of a class written in the language whose layout is a builtin's (`header.kind`).
  case derived
  static let firstHeap = Tag.str.rawValue
}

@frozen public struct Value {
  public var bits: UInt64
  /// The tag, in 8 bytes: a load of 4 bytes (which the code generator prefers to one of 1) right after a store of 1
  /// waits until the store has left the processor's queue, some 15 cycles at every builtin that looks at an argument.
  @usableFromInline var word: UInt64

  @inlinable @inline(__always) public init(tag: Tag, bits: UInt64) {
    self.bits = bits
    word = UInt64(tag.rawValue)
  }
  @inlinable public var tag: Tag {
    @inline(__always) get { unsafeBitCast(UInt8(truncatingIfNeeded: word), to: Tag.self) }
    @inline(__always) set { word = UInt64(newValue.rawValue) }
  }
  @inlinable @inline(__always) public init(_ i: Int) {
    self.init(tag: .int, bits: UInt64(bitPattern: Int64(i)))
  }
  @inlinable @inline(__always) public init(_ d: Double) {
    self.init(tag: .float, bits: d.bitPattern)
  }
  @inlinable @inline(__always) public init(_ b: Bool) {
    self.init(tag: .bool, bits: b ? 1 : 0)
  }
  @inline(__always) init(_ tag: Tag, _ p: UnsafeMutableRawPointer) {
    self.init(tag: tag, bits: UInt64(UInt(bitPattern: p)))
  }
  @inlinable public static var undefined: Value {
    @inline(__always) get { Value(tag: .undefined, bits: 0) }
  }
  @inlinable public static var none: Value {
    @inline(__always) get { Value(tag: .none, bits: 0) }
  }
  public static var notImplemented: Value { Value(tag: .singleton, bits: 0) }
  public static var ellipsis: Value { Value(tag: .singleton, bits: 1) }

  @inlinable public var isUndefined: Bool { @inline(__always) get { word == 0 } }
  @inlinable public var isNone: Bool { @inline(__always) get { tag == .none } }
  var isNotImplemented: Bool { tag == .singleton && bits == 0 }
  @inline(__always) var isHeap: Bool { word >= UInt64(Tag.firstHeap) }
  /// The integer of a `.int` or `.bool` value.
  @inlinable public var asInt: Int { @inline(__always) get { Int(Int64(bitPattern: bits)) } }
  @inlinable public var asDouble: Double {
    @inline(__always) get { Double(bitPattern: bits) }
  }
  @inline(__always) var asBool: Bool { bits != 0 }
  @inline(__always) var raw: UnsafeMutableRawPointer {
    UnsafeMutableRawPointer(bitPattern: UInt(bits)).unsafelyUnwrapped
  }
  @inline(__always) var header: UnsafeMutablePointer<Header> {
    raw.assumingMemoryBound(to: Header.self)
  }
  @inline(__always) func body<T>(_: T.Type) -> UnsafeMutablePointer<T> {
    raw.assumingMemoryBound(to: T.self)
  }
  @inline(__always) var isIntOrBool: Bool { tag == .int || tag == .bool }

  /// Takes one more reference; returns self for convenience.
  @inline(__always) @discardableResult func retained() -> Value {
    if isHeap { header.pointee.count &+= 1 }
    return self
  }
  @inline(__always) func release() {
    if isHeap {
      let h = header
      h.pointee.count &-= 1
      if _slowPath(h.pointee.count == 0) { destroy(h) }
    }
  }
  /// Public names of the two, for native code (see NativeInterface.swift for who owns what).
  @discardableResult public func retain() -> Value { retained() }
  public func drop() { release() }

  /// A number, string or container: what no look-up of a method or descriptor cares about.
  var isPlainData: Bool {
    switch tag {
    case .bool, .int, .float, .str, .bigInt, .list, .tuple, .dict, .set, .bytes, .complex: true
    default: false
    }
  }
  /// `is`
  @inline(__always) func isSame(_ o: Value) -> Bool { word == o.word && bits == o.bits }
}

/// The head of every heap object.
struct Header {
  var count: Int32
  var kind: Tag
  var flags: UInt8
  var type: TypePtr

  /// str: all bytes are ASCII. set: frozen. dictView etc.: see their bodies.
  static let flagASCII: UInt8 = 1
  static let flagInterned: UInt8 = 2
  static let flagFrozen: UInt8 = 1
  /// bytes: a bytearray.
  static let flagMutable: UInt8 = 2
  /// The object's class is written in the language and its layout is a builtin's: a `dict` Value
  /// for its attributes follows the body.
  static let flagTrailingDict: UInt8 = 4
  /// Weak references to the object exist (Weak.swift).
  static let flagWeaklyHeld: UInt8 = 8
}

// MARK: - Memory

// Free lists by size, one pair a size: objects (what begins with a Header) and storage (the arrays of lists and
// dicts, text under construction). Chunks of 64 KiB hold places of one size and one of the two, so that the collector
// of cycles (Collector.swift) can walk every object without a link in any of them: a free place has the count 0, and its
// link lies where an object has its type. Sizes above 512 bytes go to malloc.
@exclusivity(unchecked) nonisolated(unsafe) private var freeLists:
  UnsafeMutablePointer<UnsafeMutableRawPointer?>? = nil
let sizeClassCount = 34

// With LULL_CHECKS every object is its own malloc block, so that the address sanitizer sees each use
// after its end.
@inline(__always) func allocateObject(_ byteCount: Int) -> UnsafeMutableRawPointer {
  #if LULL_CHECKS
    return allocateRaw(byteCount)
  #else
    return allocatePooled(byteCount, 0)
  #endif
}
/// Memory without a Header.
@inline(__always) func allocateStorage(_ byteCount: Int) -> UnsafeMutableRawPointer {
  #if LULL_CHECKS
    return allocateRaw(byteCount)
  #else
    return allocatePooled(byteCount, sizeClassCount)
  #endif
}
@inline(__always) private func allocatePooled(_ byteCount: Int, _ first: Int)
  -> UnsafeMutableRawPointer
{
  if byteCount <= 512, let lists = freeLists {
    let index = (byteCount &+ 15) &>> 4 &+ first
    if let p = lists[index] {
      lists[index] = p.load(fromByteOffset: 8, as: UnsafeMutableRawPointer?.self)
      return p
    }
  }
  return allocateSlow(byteCount, first)
}

/// The part of a chunk that was never used, by free list.
private struct Fresh {
  var next: UnsafeMutableRawPointer?
  var end: UnsafeMutableRawPointer?
}
@exclusivity(unchecked) nonisolated(unsafe) private var fresh: UnsafeMutablePointer<Fresh>? = nil

@inline(never) private func allocateSlow(_ byteCount: Int, _ first: Int) -> UnsafeMutableRawPointer
{
  if byteCount > 512 { return allocateRaw(byteCount) }
  if freeLists == nil {
    freeLists = .allocate(capacity: 2 * sizeClassCount)
    freeLists?.initialize(repeating: nil, count: 2 * sizeClassCount)
    fresh = .allocate(capacity: 2 * sizeClassCount)
    fresh?.initialize(repeating: Fresh(), count: 2 * sizeClassCount)
  }
  // An empty request takes a place too: its address must be its own.
  let units = max((byteCount + 15) >> 4, 1)
  let size = units * 16
  let f = fresh.unsafelyUnwrapped + (units + first)
  if let p = f.pointee.next, let end = f.pointee.end, p + size <= end {
    f.pointee.next = p + size
    return p
  }
  let chunk = takeChunk(units: units, isStorage: first > 0)
  f.pointee = Fresh(next: chunk + size, end: chunk + chunkBytes)
  return chunk
}

@inline(__always) func freeObject(_ p: UnsafeMutableRawPointer, _ byteCount: Int) {
  #if LULL_CHECKS
    free(p)
  #else
    if byteCount <= 512 { p.storeBytes(of: 0, as: Int32.self) }
    freePooled(p, byteCount, 0)
  #endif
}
@inline(__always) func freeStorage(_ p: UnsafeMutableRawPointer, _ byteCount: Int) {
  #if LULL_CHECKS
    free(p)
  #else
    freePooled(p, byteCount, sizeClassCount)
  #endif
}
@inline(__always) private func freePooled(
  _ p: UnsafeMutableRawPointer, _ byteCount: Int, _ first: Int
) {
  if byteCount <= 512, let lists = freeLists {
    let index = (byteCount &+ 15) &>> 4 &+ first
    p.storeBytes(of: lists[index], toByteOffset: 8, as: UnsafeMutableRawPointer?.self)
    lists[index] = p
  } else {
    free(p)
  }
}

func eachFreePlace(_ body: (UnsafeMutableRawPointer) -> Void) {
  guard let lists = freeLists else { return }
  for i in 0..<2 * sizeClassCount {
    var next = lists[i]
    while let p = next {
      body(p)
      next = p.load(fromByteOffset: 8, as: UnsafeMutableRawPointer?.self)
    }
  }
}
/// Takes the free places that `keeps` refuses from their lists.
func keepFreePlaces(_ keeps: (UnsafeMutableRawPointer) -> Bool) {
  guard let lists = freeLists else { return }
  for i in 0..<2 * sizeClassCount {
    var (next, last) = (lists[i], nil as UnsafeMutableRawPointer?)
    lists[i] = nil
    while let p = next {
      next = p.load(fromByteOffset: 8, as: UnsafeMutableRawPointer?.self)
      if !keeps(p) { continue }
      if let last {
        last.storeBytes(of: p, toByteOffset: 8, as: UnsafeMutableRawPointer?.self)
      } else {
        lists[i] = p
      }
      last = p
    }
    last?.storeBytes(of: nil, toByteOffset: 8, as: UnsafeMutableRawPointer?.self)
  }
}
/// Calls `body` with an address in each chunk that has places which were never used.
func eachUnfinishedChunk(_ body: (UnsafeMutableRawPointer) -> Void) {
  guard let fresh else { return }
  for i in 0..<2 * sizeClassCount {
    if let p = fresh[i].next, let end = fresh[i].end, p < end { body(p) }
  }
}

/// malloc; small requests that fail mean that the machine has nothing left at all. Large requests
/// must be checked first with `checkAllocation`.
func allocateRaw(_ byteCount: Int) -> UnsafeMutableRawPointer {
  if byteCount >= 4 << 20 {
    // Large pages: a fault a 2 MiB, and fewer misses of the address cache.
    var large: UnsafeMutableRawPointer?
    if posix_memalign(&large, 2 << 20, byteCount) == 0, let large {
      madvise(large, byteCount, 14 /* MADV_HUGEPAGE */)
      return large
    }
  }
  guard let p = malloc(max(byteCount, 16)) else {
    _ = write(2, "lull: out of memory\n", 20)
    exit(1)
  }
  return p
}

/// The most bytes that one object may take: what the machine has, so that `[0] * 10**12` is an
/// error and not a killed process.
@exclusivity(unchecked) nonisolated(unsafe) public var maximumObjectBytes: Int = {
  let pages = sysconf(Int32(_SC_PHYS_PAGES))
  let size = sysconf(Int32(_SC_PAGESIZE))
  return pages > 0 && size > 0 ? max(pages * size / 4 * 3, 1 << 28) : 1 << 32
}()

func checkAllocation(_ count: Int, _ unit: Int) throws(LullError) {
  let (bytes, overflow) = count.multipliedReportingOverflow(by: unit)
  if overflow || bytes > maximumObjectBytes {
    throw LullError.memory("")
  }
  if bytes > 1 << 24 {
    guard let p = malloc(bytes) else { throw LullError.memory("") }
    free(p)
  }
}

/// For something that grows by `more` elements.
func checkAllocation(_ count: Int, adding more: Int, _ unit: Int) throws(LullError) {
  let (sum, overflow) = count.addingReportingOverflow(more)
  try checkAllocation(overflow ? Int.max : sum, unit)
}
/// For a Swift array that grows one by one without a known end: whether its next doubling is possible, asked now and then.
@inline(__always) func checkGrowth(_ count: Int, _ unit: Int) throws(LullError) {
  if _slowPath(count & 0xF_FFFF == 0xF_FFFF) { try checkAllocation(count, adding: count, unit) }
}

// MARK: - Destruction

@exclusivity(unchecked) nonisolated(unsafe) private var destroyDepth = 0
@exclusivity(unchecked) nonisolated(unsafe) private var pending: [UnsafeMutablePointer<Header>] = []
/// For another thread: nothing is being destroyed in it. Gives the way back.
func saveDestruction() -> () -> Void {
  let saved = (destroyDepth, pending)
  (destroyDepth, pending) = (0, [])
  return { (destroyDepth, pending) = saved }
}

/// Frees an object whose count has reached zero. Past a depth of 64 the object waits in a list
/// that the outermost call empties.
@inline(never) func destroy(_ h: UnsafeMutablePointer<Header>) {
  if h.pointee.kind == .str, h.pointee.flags & Header.flagTrailingDict == 0 {
    let p = UnsafeMutableRawPointer(h)
    freeObject(p, StrBody.headSize + p.assumingMemoryBound(to: StrBody.self).pointee.capacity)
    return
  }
  if destroyDepth > 64 {
    pending.append(h)
    return
  }
  destroyDepth += 1
  destroyNow(h)
  if destroyDepth == 1 {
    while let next = pending.popLast() { destroyNow(next) }
  }
  destroyDepth -= 1
}

private func destroyNow(_ h: UnsafeMutablePointer<Header>) {
  if h.pointee.flags & Header.flagWeaklyHeld != 0 { clearWeakReferences(h) }
  let p = UnsafeMutableRawPointer(h)
  let size: Int
  switch h.pointee.kind {
  case .str:
    let s = p.assumingMemoryBound(to: StrBody.self)
    if h.pointee.flags & Header.flagTrailingDict == 0 {
      freeObject(p, StrBody.headSize + s.pointee.capacity)
      return
    }
    size = StrBody.headSize + s.pointee.capacity
  case .instance:
    let o = p.assumingMemoryBound(to: InstanceBody.self)
    let n = o.pointee.shape.pointee.count
    let slots = o.pointee.slots
    for i in 0..<n { slots[i].release() }
    let inline = Int(o.pointee.inlineCapacity)
    if o.pointee.external { free(slots) }
    let type = h.pointee.type
    freeObject(p, InstanceBody.headSize + inline * 16)
    releaseType(type)
    return
  case .list:
    let l = p.assumingMemoryBound(to: ListBody.self)
    for i in 0..<l.pointee.count { l.pointee.items[i].release() }
    if l.pointee.capacity > 0 { freeStorage(l.pointee.items, l.pointee.capacity * 16) }
    size = MemoryLayout<ListBody>.size
  case .tuple:
    let t = p.assumingMemoryBound(to: TupleBody.self)
    let n = t.pointee.count
    for i in 0..<n { t.items[i].release() }
    if h.pointee.flags & Header.flagTrailingDict == 0 {
      freeObject(p, TupleBody.headSize + n * 16)
      return
    }
    size = TupleBody.headSize + n * 16
  case .dict:
    p.assumingMemoryBound(to: DictBody.self).destroyContents()
    size = MemoryLayout<DictBody>.size
  case .set:
    p.assumingMemoryBound(to: SetBody.self).destroyContents()
    size = MemoryLayout<SetBody>.size
  case .boundMethod:
    let b = p.assumingMemoryBound(to: BoundMethodBody.self)
    b.pointee.receiver.release()
    b.pointee.function.release()
    size = MemoryLayout<BoundMethodBody>.size
  case .cell:
    p.assumingMemoryBound(to: CellBody.self).pointee.value.release()
    size = MemoryLayout<CellBody>.size
  case .slice:
    let s = p.assumingMemoryBound(to: SliceBody.self)
    s.pointee.start.release()
    s.pointee.stop.release()
    s.pointee.step.release()
    size = MemoryLayout<SliceBody>.size
  case .function:
    let f = p.assumingMemoryBound(to: FunctionBody.self)
    f.pointee.globals.release()
    f.pointee.defaults.release()
    f.pointee.keywordDefaults.release()
    f.pointee.dict.release()
    f.pointee.name.release()
    f.pointee.qualname.release()
    f.pointee.doc.release()
    f.pointee.module.release()
    f.pointee.annotations.release()
    if let cells = f.pointee.cells {
      for i in 0..<f.pointee.cellCount { cells[i].release() }
      free(cells)
    }
    f.deinitialize(count: 1)
    size = MemoryLayout<FunctionBody>.size
  case .generator:
    destroyGenerator(p.assumingMemoryBound(to: GeneratorBody.self))
    size = MemoryLayout<GeneratorBody>.size
  case .iterator:
    let i = p.assumingMemoryBound(to: IteratorBody.self)
    i.pointee.a.release()
    i.pointee.b.release()
    i.deinitialize(count: 1)
    size = MemoryLayout<IteratorBody>.size
  case .range:
    let r = p.assumingMemoryBound(to: RangeBody.self)
    r.deinitialize(count: 1)
    size = MemoryLayout<RangeBody>.size
  case .bigInt:
    p.assumingMemoryBound(to: BigIntBody.self).deinitialize(count: 1)
    size = MemoryLayout<BigIntBody>.size
  case .bytes:
    p.assumingMemoryBound(to: BytesBody.self).deinitialize(count: 1)
    size = MemoryLayout<BytesBody>.size
  case .complex, .float:
    size = MemoryLayout<ComplexBody>.size
  case .exception:
    let e = p.assumingMemoryBound(to: ExceptionBody.self)
    e.pointee.args.release()
    e.pointee.cause.release()
    e.pointee.context.release()
    e.pointee.dict.release()
    e.deinitialize(count: 1)
    size = MemoryLayout<ExceptionBody>.size
  case .native:
    let n = p.assumingMemoryBound(to: NativeBody.self)
    n.pointee.dict.release()
    n.deinitialize(count: 1)
    size = MemoryLayout<NativeBody>.size
  case .property, .staticMethod, .classMethod:
    let w = p.assumingMemoryBound(to: WrapperBody.self)
    w.pointee.a.release()
    w.pointee.b.release()
    w.pointee.c.release()
    w.pointee.doc.release()
    size = MemoryLayout<WrapperBody>.size
  case .superObject:
    let s = p.assumingMemoryBound(to: SuperBody.self)
    s.pointee.receiver.release()
    releaseType(s.pointee.type)
    size = MemoryLayout<SuperBody>.size
  case .dictView:
    p.assumingMemoryBound(to: DictViewBody.self).pointee.dict.release()
    size = MemoryLayout<DictViewBody>.size
  case .module:
    let m = p.assumingMemoryBound(to: ModuleBody.self)
    m.pointee.dict.release()
    m.deinitialize(count: 1)
    size = MemoryLayout<ModuleBody>.size
  case .builtin:
    p.assumingMemoryBound(to: BuiltinBody.self).deinitialize(count: 1)
    size = MemoryLayout<BuiltinBody>.size
  case .type:
    destroyType(p.assumingMemoryBound(to: TypeBody.self))
    size = MemoryLayout<TypeBody>.size
  case .code:
    p.assumingMemoryBound(to: CodeBody.self).deinitialize(count: 1)
    size = MemoryLayout<CodeBody>.size
  default:
    return
  }
  if h.pointee.flags & Header.flagTrailingDict != 0 {
    let type = h.pointee.type
    let aligned = (size + 15) & ~15
    p.load(fromByteOffset: aligned, as: Value.self).release()
    freeObject(p, aligned + 16)
    releaseType(type)
  } else {
    let type = h.pointee.type
    let owns = h.pointee.kind == .exception
    freeObject(p, size)
    if owns { releaseType(type) }
  }
}
