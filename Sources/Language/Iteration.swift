// Iteration: native iterators, generators, `forEach`, unpacking.
//
// A native iterator is one body with a kind and a few fields; the two that matter most (range, list)
// are also stepped inline by the machine. `nextNative` and `iteratorNext` return undefined at the
// end, so that no exception is involved.

enum IteratorKind: UInt8 {
  case range, list, tuple, str, bytes, dictKeys, dictValues, dictItems, set, reversed
  case enumerate, zip, map, filter, sequence, callable, native
}

struct IteratorBody {
  var h: Header
  var kind: IteratorKind
  var index: Int
  var limit: Int
  var current: Int
  var step: Int
  var a: Value
  var b: Value
  var step2: ((UnsafeMutablePointer<IteratorBody>) throws(LullError) -> Value)?
}

/// The types of iterators by kind, once they were looked up by name.
@exclusivity(unchecked) nonisolated(unsafe) private var iteratorTypes:
  UnsafeMutablePointer<TypePtr?>? = nil
@inline(__always) private func iteratorType(_ kind: IteratorKind) -> TypePtr {
  if let types = iteratorTypes, let t = types[Int(kind.rawValue)] { return t }
  return findIteratorType(kind)
}
@inline(never) private func findIteratorType(_ kind: IteratorKind) -> TypePtr {
  let types =
    iteratorTypes
    ?? {
      let t = UnsafeMutablePointer<TypePtr?>.allocate(capacity: 32)
      t.initialize(repeating: nil, count: 32)
      return t
    }()
  iteratorTypes = types
  let name =
    switch kind {
    case .range: "range_iterator"
    case .list: "list_iterator"
    case .tuple: "tuple_iterator"
    case .str: "str_iterator"
    case .bytes: "bytes_iterator"
    case .dictKeys: "dict_keyiterator"
    case .set: "set_iterator"
    case .reversed: "reversed"
    case .enumerate: "enumerate"
    case .zip: "zip"
    case .map: "map"
    case .filter: "filter"
    default: ""
    }
  let t = builtinTypes[name] ?? typeTable[Int(Tag.iterator.rawValue)]
  types[Int(kind.rawValue)] = t
  return t
}
/// An iterator of one of the plain kinds.
@inline(__always) func makePlainIterator(
  _ kind: IteratorKind, _ a: Value, limit: Int = 0, current: Int = 0, step: Int = 0
) -> Value {
  let p = allocateObject(MemoryLayout<IteratorBody>.size)
    .bindMemory(to: IteratorBody.self, capacity: 1)
  p.initialize(
    to: IteratorBody(
      h: Header(.iterator, iteratorType(kind)), kind: kind, index: 0, limit: limit,
      current: current,
      step: step, a: a, b: .undefined, step2: nil))
  return Value(.iterator, p)
}

func makeIterator(
  kind: IteratorKind, _ a: Value = .undefined, _ b: Value = .undefined, index: Int = 0,
  limit: Int = 0, current: Int = 0, step: Int = 0, type: String? = nil,
  next: ((UnsafeMutablePointer<IteratorBody>) throws(LullError) -> Value)? = nil
) -> Value {
  let p = allocateObject(MemoryLayout<IteratorBody>.size)
    .bindMemory(to: IteratorBody.self, capacity: 1)
  var t = typeTable[Int(Tag.iterator.rawValue)]
  if let type { t = kind == .native ? builtinTypes[type] ?? t : iteratorType(kind) }
  p.initialize(
    to: IteratorBody(
      h: Header(.iterator, t), kind: kind, index: index, limit: limit, current: current,
      step: step, a: a, b: b, step2: next))
  return Value(.iterator, p)
}
/// An iterator from a Swift closure that returns owned values, undefined at the end.
public func makeNativeIterator(_ next: @escaping () throws(LullError) -> Value) -> Value {
  makeIterator(kind: .native) { (_) throws(LullError) in try next() }
}

func isIterable(_ v: Value) -> Bool {
  switch v.kind {
  case .list, .tuple, .str, .dict, .set, .range, .bytes, .dictView, .iterator, .generator:
    return true
  case .native:
    let n = v.type.pointee.native
    if n?.iter != nil || n?.next != nil || (n?.getItem != nil && n?.len != nil) { return true }
  default: break
  }
  if v.tag == .instance || v.tag == .derived || v.tag == .exception {
    return !v.type.lookup(.__iter__).isUndefined || !v.type.lookup(.__getitem__).isUndefined
  }
  return false
}

/// `iter(v)`, owned.
/// The kinds that loops meet most; the others, which take more room on the stack, apart.
@inline(never) public func makeIterator(_ v: Value) throws(LullError) -> Value {
  switch v.tag {
  case .range:
    let r = v.range
    if r.pointee.big != nil { return try makeIteratorAny(v) }
    return makePlainIterator(
      .range, .undefined, limit: r.pointee.count, current: r.pointee.start, step: r.pointee.step)
  case .list: return makePlainIterator(.list, v.retained())
  case .tuple: return makePlainIterator(.tuple, v.retained())
  case .str: return makePlainIterator(.str, v.retained())
  case .dict: return makePlainIterator(.dictKeys, v.retained(), limit: v.dict.pointee.count)
  case .dictView:
    let d = v.body(DictViewBody.self)
    let kind: IteratorKind =
      d.pointee.which == .keys ? .dictKeys : d.pointee.which == .values ? .dictValues : .dictItems
    let dict = d.pointee.dict
    return makePlainIterator(kind, dict.retained(), limit: dict.dict.pointee.count)
  case .iterator, .generator: return v.retained()
  default: return try makeIteratorAny(v)
  }
}
@inline(never) private func makeIteratorAny(_ v: Value) throws(LullError) -> Value {
  if v.tag == .instance || v.tag == .derived || v.tag == .exception {
    let f = v.type.lookup(.__iter__)
    if !f.isUndefined, !f.isNone {
      let it = try callMethod(f, v)
      if it.tag == .iterator || it.tag == .generator || !it.type.lookup(.__next__).isUndefined
        || it.type.pointee.native?.next != nil
      {
        return it
      }
      let n = typeName(it)
      it.release()
      throw LullError.typeError("iter() returned non-iterator of type '\(n)'")
    }
    if !v.type.lookup(.__getitem__).isUndefined, v.tag == .instance {
      return makeIterator(kind: .sequence, v.retained())
    }
  }
  switch v.kind {
  case .range:
    let r = v.range.pointee
    if let big = r.big { return big.iterator(reversed: false) }
    return makePlainIterator(.range, .undefined, limit: r.count, current: r.start, step: r.step)
  case .list: return makePlainIterator(.list, v.retained())
  case .tuple: return makePlainIterator(.tuple, v.retained())
  case .str: return makePlainIterator(.str, v.retained())
  case .bytes: return makePlainIterator(.bytes, v.retained())
  case .dict: return makePlainIterator(.dictKeys, v.retained(), limit: v.dict.pointee.count)
  case .set: return makePlainIterator(.set, v.retained(), limit: v.set.pointee.count)
  case .iterator, .generator: return v.retained()
  case .native:
    if let n = v.type.pointee.native {
      if let slot = n.iter { return try slot(v) }
      if n.next != nil { return v.retained() }
      if n.getItem != nil, n.len != nil { return makeIterator(kind: .sequence, v.retained()) }
    }
  default: break
  }
  throw LullError.typeError("'\(typeName(v))' object is not iterable")
}

/// How many elements an iterator still has, as its `__length_hint__` tells.
func lengthHint(_ p: UnsafeMutablePointer<IteratorBody>) -> Int {
  let n = p.pointee.index
  switch p.pointee.kind {
  case .range, .dictKeys, .dictValues, .dictItems, .set: return max(0, p.pointee.limit - n)
  case .list: return n == Int.max ? 0 : max(0, p.pointee.a.list.pointee.count - n)
  case .tuple: return max(0, p.pointee.a.tuple.pointee.count - n)
  case .str: return Array(p.pointee.a.str.buffer.dropFirst(n)).count { $0 & 0xC0 != 0x80 }
  case .bytes: return max(0, p.pointee.a.bytes.count - n)
  case .reversed:
    if p.pointee.a.tag == .list, n >= p.pointee.a.list.pointee.count { return 0 }
    return n + 1
  default: return 0
  }
}

func makesPairs(_ p: UnsafeMutablePointer<IteratorBody>) -> Bool {
  switch p.pointee.kind {
  case .enumerate, .dictItems: true
  case .zip: p.pointee.a.tuple.pointee.count == 2
  default: false
  }
}
/// The next pair of an iterator that `makesPairs`, both owned, without the tuple.
func nextPair(_ p: UnsafeMutablePointer<IteratorBody>) throws(LullError) -> (Value, Value)? {
  switch p.pointee.kind {
  case .enumerate:
    let x = try step(p.pointee.a)
    if x.isUndefined { return nil }
    let n = p.pointee.index
    p.pointee.index = n + 1
    return (Value(n), x)
  case .dictItems:
    let n = try nextEntry(p)
    if n < 0 { return nil }
    let e = p.pointee.a.dict.pointee.entries + n
    return (e.pointee.key.retained(), e.pointee.value.retained())
  default:
    let its = p.pointee.a.tuple
    let x = try step(its.items[0])
    if x.isUndefined {
      if p.pointee.index == 1 { try checkExhausted(its) }
      return nil
    }
    let y: Value
    do throws(LullError) { y = try step(its.items[1]) } catch {
      x.release()
      throw error
    }
    if y.isUndefined {
      x.release()
      if p.pointee.index == 1 { throw shorterArgument(1) }
      return nil
    }
    return (x, y)
  }
}
/// The index of the next entry of a dict's iterator, or -1 at its end.
@inline(__always) private func nextEntry(_ p: UnsafeMutablePointer<IteratorBody>) throws(LullError)
  -> Int
{
  let d = p.pointee.a.dict
  var n = p.pointee.index
  if _slowPath(d.pointee.count != p.pointee.limit) {
    if n == Int.max { return -1 }
    throw changedSize(p)
  }
  while n < d.pointee.used, d.pointee.entries[n].key.isUndefined { n &+= 1 }
  if n >= d.pointee.used {
    p.pointee.index = Int.max
    return -1
  }
  p.pointee.index = n &+ 1
  return n
}
@inline(never) private func changedSize(_ p: UnsafeMutablePointer<IteratorBody>) -> LullError {
  p.pointee.limit = -1
  return LullError.runtime("dictionary changed size during iteration")
}
/// `zip(strict=True)`: the first iterable has ended, so must the others.
private func checkExhausted(_ its: TuplePtr) throws(LullError) {
  for j in 1..<max(its.pointee.count, 1) {
    let y = try iteratorNext(its.items[j])
    if !y.isUndefined {
      y.release()
      throw LullError.valueError(
        "zip() argument \(j + 1) is longer than argument\(j > 1 ? "s 1-\(j)" : " 1")")
    }
  }
}
private func shorterArgument(_ k: Int) -> LullError {
  LullError.valueError(
    "zip() argument \(k + 1) is shorter than argument\(k > 1 ? "s 1-\(k)" : " 1")")
}

/// The kinds that loops meet most; the others, which take more room on the stack, apart.
@inline(never) func nextNative(_ p: UnsafeMutablePointer<IteratorBody>) throws(LullError) -> Value {
  switch p.pointee.kind {
  case .tuple:
    let t = p.pointee.a.tuple
    let n = p.pointee.index
    if n >= t.pointee.count { return .undefined }
    p.pointee.index = n + 1
    return t.items[n].retained()
  case .str:
    let s = p.pointee.a.str
    let n = p.pointee.index
    if n >= s.pointee.byteCount { return .undefined }
    let c = s.bytes[n]
    if c < 0x80 {
      p.pointee.index = n + 1
      return asciiCharacter(c)
    }
    p.pointee.index = n + utf8Length(c)
    return s.character(atOffset: n)
  case .range:
    let n = p.pointee.index
    if n >= p.pointee.limit { return .undefined }
    p.pointee.index = n &+ 1
    let v = p.pointee.current
    p.pointee.current = v &+ p.pointee.step
    return Value(v)
  case .list:
    let l = p.pointee.a.list
    let n = p.pointee.index
    if n < l.pointee.count {
      p.pointee.index = n &+ 1
      return l.pointee.items[n].retained()
    }
    p.pointee.index = Int.max
    return .undefined
  case .dictKeys, .dictValues:
    let n = try nextEntry(p)
    if n < 0 { return .undefined }
    let e = p.pointee.a.dict.pointee.entries + n
    return p.pointee.kind == .dictKeys ? e.pointee.key.retained() : e.pointee.value.retained()
  default: return try nextAny(p)
  }
}
@inline(never) private func nextAny(_ p: UnsafeMutablePointer<IteratorBody>) throws(LullError)
  -> Value
{
  switch p.pointee.kind {
  case .range, .list, .tuple, .str, .dictKeys, .dictValues: return try nextNative(p)
  case .bytes:
    let n = p.pointee.index
    let b = p.pointee.a.body(BytesBody.self)
    if n >= b.pointee.value.count { return .undefined }
    p.pointee.index = n + 1
    return Value(Int(b.pointee.value[n]))
  case .dictItems:
    let n = try nextEntry(p)
    if n < 0 { return .undefined }
    let e = p.pointee.a.dict.pointee.entries + n
    return makePair(e.pointee.key.retained(), e.pointee.value.retained())
  case .set:
    let s = p.pointee.a.set
    if p.pointee.index == Int.max { return .undefined }
    if s.pointee.count != p.pointee.limit {
      p.pointee.limit = -1
      throw LullError.runtime("Set changed size during iteration")
    }
    var n = p.pointee.index
    while n <= s.pointee.mask, s.pointee.table[n].key.isUndefined { n += 1 }
    if n > s.pointee.mask {
      p.pointee.index = Int.max
      return .undefined
    }
    p.pointee.index = n + 1
    return s.pointee.table[n].key.retained()
  case .reversed:
    let n = p.pointee.index
    if n < 0 { return .undefined }
    p.pointee.index = n - 1
    let v = p.pointee.a
    if v.tag == .list {
      if n >= v.list.pointee.count {
        p.pointee.index = -1
        return .undefined
      }
      return v.list.pointee.items[n].retained()
    }
    do throws(LullError) { return try getItem(v, Value(n)) } catch {
      p.pointee.index = -1
      if isKind(error, "IndexError") || isKind(error, "StopIteration") { return .undefined }
      throw error
    }
  case .enumerate:
    try checkNativeStack()
    let x = try iteratorNext(p.pointee.a)
    if x.isUndefined { return x }
    let n = p.pointee.index
    p.pointee.index = n + 1
    return makePair(Value(n), x)
  case .zip:
    try checkNativeStack()
    // index 1: strict
    let its = p.pointee.a.tuple
    let n = its.pointee.count
    if n == 0 { return .undefined }
    let t = makeTuple(uninitialized: n)
    for k in 0..<n { t.tuple.items[k] = .undefined }
    for k in 0..<n {
      let x: Value
      do throws(LullError) { x = try iteratorNext(its.items[k]) } catch {
        t.release()
        throw error
      }
      if x.isUndefined {
        t.release()
        if p.pointee.index == 1 {
          if k > 0 { throw shorterArgument(k) }
          try checkExhausted(its)
        }
        return .undefined
      }
      t.tuple.items[k] = x
    }
    return t
  case .map:
    try checkNativeStack()
    let its = p.pointee.b.tuple
    let n = its.pointee.count
    if n == 1 {
      let x = try iteratorNext(its.items[0])
      if x.isUndefined { return x }
      defer { x.release() }
      return try call1(p.pointee.a, x)
    }
    var args: [Value] = []
    defer { for v in args { v.release() } }
    for k in 0..<n {
      let x = try iteratorNext(its.items[k])
      if x.isUndefined { return x }
      args.append(x)
    }
    return try call(p.pointee.a, args)
  case .filter:
    try checkNativeStack()
    while true {
      let x = try iteratorNext(p.pointee.b)
      if x.isUndefined { return x }
      do throws(LullError) {
        let keep =
          p.pointee.a.isNone ? try truth(x) : try truthReleasing(try call1(p.pointee.a, x))
        if keep { return x }
        x.release()
      } catch {
        x.release()
        throw error
      }
    }
  case .sequence:
    if p.pointee.index == Int.max { return .undefined }
    do throws(LullError) {
      let v = try getItem(p.pointee.a, Value(p.pointee.index))
      p.pointee.index += 1
      return v
    } catch {
      if isKind(error, "IndexError") || isKind(error, "StopIteration") {
        p.pointee.index = Int.max
        return .undefined
      }
      throw error
    }
  case .callable:
    if p.pointee.index == Int.max { return .undefined }
    let v = try call(p.pointee.a, [])
    if try valuesEqual(v, p.pointee.b) {
      v.release()
      p.pointee.index = Int.max
      return .undefined
    }
    return v
  case .native:
    try checkNativeStack()
    guard let step = p.pointee.step2 else { return .undefined }
    return try step(p)
  }
}

/// `iteratorNext` with the kinds that are met most where it stands.
@inline(__always) private func step(_ it: Value) throws(LullError) -> Value {
  it.tag == .iterator ? try nextNative(it.iterator) : try iteratorNext(it)
}
/// The next element (owned), or undefined at the end.
public func iteratorNext(_ it: Value) throws(LullError) -> Value {
  switch it.tag {
  case .iterator: return try nextNative(it.iterator)
  case .generator:
    return try resumeGenerator(it.body(GeneratorBody.self), .none)
  default:
    let f = it.isUndefined ? Value.undefined : it.type.lookup(.__next__)
    if !f.isUndefined {
      do throws(LullError) {
        return try callMethod(f, it)
      } catch {
        if isKind(error, "StopIteration") { return .undefined }
        throw error
      }
    }
    if it.kind == .native, let slot = it.type.pointee.native?.next { return try slot(it) }
    throw LullError.typeError("'\(typeName(it))' object is not an iterator")
  }
}

/// Runs `body` for each element (borrowed).
public func forEach(_ v: Value, _ body: (Value) throws(LullError) -> Void) throws(LullError) {
  if v.tag == .list {
    let l = v.list
    v.retained()
    defer { v.release() }
    var k = 0
    while k < l.pointee.count {
      let x = l.pointee.items[k].retained()
      defer { x.release() }
      try body(x)
      k += 1
    }
    return
  }
  if v.tag == .tuple {
    for k in 0..<v.tuple.pointee.count { try body(v.tuple.items[k]) }
    return
  }
  let it = try makeIterator(v)
  defer { it.release() }
  while true {
    let x = try step(it)
    if x.isUndefined { return }
    defer { x.release() }
    try body(x)
    if vm.pointee.interruptFlag != 0 { try interrupted() }
  }
}

/// Asks an object how many elements it has before it is read, as CPython does to make room: only what the program's
/// own methods do, or raise, can be noticed.
func askLength(_ v: Value) throws(LullError) {
  guard isCustom(v) else { return }
  if v.type.lookup(.__len__).tag == .function {
    do throws(LullError) { _ = try length(v) } catch {
      if !isKind(error, "TypeError") { throw error }
    }
    return
  }
  let f = v.type.lookup(.__length_hint__)
  if f.tag != .function { return }
  let r: Value
  do throws(LullError) { r = try callMethod(f, v) } catch {
    if isKind(error, "TypeError") { return }
    throw error
  }
  defer { r.release() }
  if r.isNotImplemented { return }
  guard r.isInteger else {
    throw LullError.typeError("__length_hint__ must be an integer, not \(typeName(r))")
  }
  if (r.integer ?? 0).sign == .minus {
    throw LullError.valueError("__length_hint__() should return >= 0")
  }
}

func extendList(_ l: ListPtr, _ v: Value) throws(LullError) {
  if v.kind == .list, v.tag != .list, v.list == l {
    let items = try collect(v)
    for x in items { l.append(x) }
    return
  }
  if v.tag == .list {
    let n = v.list.pointee.count
    try checkAllocation(l.pointee.count, adding: n, 16)
    for k in 0..<n { l.append(v.list.pointee.items[k].retained()) }
    return
  }
  if v.tag == .tuple {
    for k in 0..<v.tuple.pointee.count { l.append(v.tuple.items[k].retained()) }
    return
  }
  if v.tag == .range {
    try checkAllocation(l.pointee.count, adding: v.range.pointee.count, 16)
  }
  let it = try makeIterator(v)
  defer { it.release() }
  try askLength(v)
  var ticks = 0
  while true {
    let x = try step(it)
    if x.isUndefined { return }
    l.append(x)
    ticks &+= 1
    if ticks & 1023 == 0 {
      if vm.pointee.interruptFlag != 0 { try interrupted() }
      if ticks & 0xFF_FFFF == 0 { try checkAllocation(l.pointee.count * 2, 16) }
    }
  }
}

// MARK: - Unpacking

func unpack(_ v: Value, _ out: UnsafeMutablePointer<Value>, _ n: Int) throws(LullError) {
  func put(_ k: Int, _ x: Value) {
    let old = out[k]
    out[k] = x
    old.release()
  }
  if v.tag == .tuple || v.tag == .list {
    let e = v.elements
    if e.count != n {
      throw LullError.valueError(
        e.count > n
          ? "too many values to unpack (expected \(n))"
          : "not enough values to unpack (expected \(n), got \(e.count))")
    }
    for x in e { x.retained() }
    for k in 0..<n { put(k, e[k]) }
    return
  }
  if !isIterable(v) {
    throw LullError.typeError("cannot unpack non-iterable \(typeName(v)) object")
  }
  let it = try makeIterator(v)
  defer { it.release() }
  for k in 0..<n {
    let x = try iteratorNext(it)
    if x.isUndefined {
      throw LullError.valueError("not enough values to unpack (expected \(n), got \(k))")
    }
    put(k, x)
  }
  let x = try iteratorNext(it)
  if !x.isUndefined {
    x.release()
    throw LullError.valueError("too many values to unpack (expected \(n))")
  }
}

func unpackStar(_ v: Value, _ out: UnsafeMutablePointer<Value>, _ before: Int, _ after: Int)
  throws(LullError)
{
  if !isIterable(v) {
    throw LullError.typeError("cannot unpack non-iterable \(typeName(v)) object")
  }
  let l = makeList()
  do throws(LullError) { try extendList(l.list, v) } catch {
    l.release()
    throw error
  }
  let n = l.list.pointee.count
  if n < before + after {
    l.release()
    throw LullError.valueError(
      "not enough values to unpack (expected at least \(before + after), got \(n))")
  }
  let items = l.list.array
  l.list.pointee.count = 0
  l.release()
  func put(_ k: Int, _ x: Value) {
    let old = out[k]
    out[k] = x
    old.release()
  }
  for k in 0..<before { put(k, items[k]) }
  put(before, makeList(Array(items[before..<(n - after)])))
  for k in 0..<after { put(before + 1 + k, items[n - after + k]) }
}

// MARK: - Generators

/// Sends a borrowed value; returns the next yielded value, or undefined when the generator has
/// ended (`returned` then holds its value).
func resumeGenerator(_ g: GeneratorPtr, _ sent: Value, throwing: LullError? = nil) throws(LullError)
  -> Value
{
  if g.pointee.isRunning { throw LullError.valueError("generator already executing") }
  guard let f = g.pointee.frame else {
    if let throwing { throw throwing }
    g.pointee.returned.release()
    g.pointee.returned = .undefined
    return .undefined
  }
  if !g.pointee.isStarted {
    if let throwing {
      freeGeneratorFrame(g)
      throw escaped(throwing)
    }
    if !sent.isNone {
      throw LullError.typeError("can't send non-None value to a just-started generator")
    }
  } else {
    let p = f.pointee.regs + Int(f.pointee.returnRegister)
    let old = p.pointee
    p.pointee = sent.retained()
    old.release()
  }
  try checkNativeStack()
  let m = vm
  m.pointee.depth += 1
  if m.pointee.depth > m.pointee.recursionLimit {
    m.pointee.depth -= 1
    throw recursionError()
  }
  g.pointee.isStarted = true
  g.pointee.isRunning = true
  f.pointee.previous = m.pointee.frame
  f.pointee.flags = Frame.ofGenerator | Frame.fromNative
  f.pointee.top = m.pointee.frame?.pointee.top ?? m.pointee.stackBase
  m.pointee.frame = f
  let handled = m.pointee.handled.retained()
  let me = Value(.generator, g).retained()
  var failure: LullError?
  var v = Value.undefined
  do throws(LullError) { v = try execute(f, throwing: throwing) } catch { failure = error }
  let old = m.pointee.handled
  m.pointee.handled = handled
  old.release()
  me.release()
  if let failure { throw escaped(failure) }
  return v
}
/// What leaves a generator that raised an error: a StopIteration must not look like its end.
private func escaped(_ error: LullError) -> LullError {
  if !isKind(error, "StopIteration") { return error }
  let cause = exceptionValue(error)
  let e = LullError.runtime("generator raised StopIteration")
  let v = exceptionValue(e)
  let body = v.exceptionBody
  body.pointee.cause = cause
  body.pointee.suppressContext = true
  let old = body.pointee.context
  body.pointee.context = cause.retained()
  old.release()
  v.release()
  return e
}

/// `generator.throw`.
func throwIntoGenerator(_ g: GeneratorPtr, _ e: LullError) throws(LullError) -> Value {
  if g.pointee.isDelegating, let f = g.pointee.frame, !g.pointee.isRunning {
    // Suspended in `yield from`: the inner generator gets the exception first.
    let i = f.pointee.ip
    let inner = f.pointee.regs[Int(i.pointee.b)].retained()
    defer { inner.release() }
    if inner.tag == .generator {
      // Running meanwhile: the inner generator's code must not resume or close this one.
      g.pointee.isRunning = true
      let me = Value(.generator, g).retained()
      defer { me.release() }
      do throws(LullError) {
        let v = try throwIntoGenerator(inner.body(GeneratorBody.self), e)
        g.pointee.isRunning = false
        if !v.isUndefined { return v }
      } catch {
        g.pointee.isRunning = false
        g.pointee.isDelegating = false
        f.pointee.ip = i + 1
        return try resumeGenerator(g, .none, throwing: error)
      }
      // It returned: `yield from` has its value.
      g.pointee.isDelegating = false
      let r = inner.body(GeneratorBody.self).pointee.returned
      f.pointee.ip = i + 1
      f.pointee.returnRegister = i.pointee.a
      return try resumeGenerator(g, r.isUndefined ? .none : r)
    }
    if inner.tag != .iterator {
      // Another iterator gets it by its `throw` (or learns of the end by its `close`), if it has one.
      let isClosing = isKind(e, "GeneratorExit")
      if let method = try getAttributeOrNil(inner, isClosing ? Name.close.str : Name.throw.str) {
        g.pointee.isRunning = true
        let me = Value(.generator, g).retained()
        defer {
          method.release()
          me.release()
        }
        do throws(LullError) {
          let thrown = exceptionValue(e)
          defer { thrown.release() }
          let v = try call(method, isClosing ? [] : [thrown])
          g.pointee.isRunning = false
          if !isClosing { return v }
          v.release()
        } catch {
          g.pointee.isRunning = false
          g.pointee.isDelegating = false
          f.pointee.ip = i + 1
          if !isClosing, isKind(error, "StopIteration") {
            f.pointee.returnRegister = i.pointee.a
            return try resumeGenerator(g, stopValue(error))
          }
          return try resumeGenerator(g, .none, throwing: error)
        }
      }
    }
    g.pointee.isDelegating = false
    f.pointee.ip = i + 1
  }
  return try resumeGenerator(g, .none, throwing: e)
}

func closeGenerator(_ g: GeneratorPtr) throws(LullError) {
  if g.pointee.frame == nil { return }
  if !g.pointee.isStarted {
    freeGeneratorFrame(g)
    return
  }
  do throws(LullError) {
    let v = try throwIntoGenerator(g, LullError("GeneratorExit", ""))
    if !v.isUndefined {
      v.release()
      throw LullError.runtime("generator ignored GeneratorExit")
    }
  } catch {
    if isKind(error, "GeneratorExit") || isKind(error, "StopIteration") { return }
    throw error
  }
}

enum Delegation {
  case yielded(Value)
  case returned(Value)
}

/// One step of `yield from`.
func delegate(_ it: Value, _ sent: Value) throws(LullError) -> Delegation {
  if it.tag == .generator {
    let g = it.body(GeneratorBody.self)
    let v = try resumeGenerator(g, sent)
    if !v.isUndefined { return .yielded(v) }
    let r = g.pointee.returned
    g.pointee.returned = .undefined
    return .returned(r.isUndefined ? .none : r)
  }
  if !sent.isNone {
    let f = try getAttribute(it, Name.send.str)
    defer { f.release() }
    do throws(LullError) {
      return .yielded(try call(f, [sent]))
    } catch {
      if isKind(error, "StopIteration") { return .returned(stopValue(error)) }
      throw error
    }
  }
  if it.tag == .instance {
    let f = it.type.lookup(.__next__)
    if !f.isUndefined {
      do throws(LullError) {
        return .yielded(try callMethod(f, it))
      } catch {
        if isKind(error, "StopIteration") { return .returned(stopValue(error)) }
        throw error
      }
    }
  }
  let v = try iteratorNext(it)
  return v.isUndefined ? .returned(.none) : .yielded(v)
}
func stopValue(_ e: LullError) -> Value {
  let v = exceptionValue(e)
  defer { v.release() }
  let t = v.exceptionBody.pointee.args.tuple
  return t.pointee.count > 0 ? t.items[0].retained() : .none
}
