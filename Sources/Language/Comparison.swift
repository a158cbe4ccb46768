// Truth, equality and order of any two values.
import BigInt
import Glibc

// MARK: - Truth

public func truth(_ v: Value) throws(LullError) -> Bool {
  switch v.tag {
  case .none: return false
  case .bool, .int: return v.bits != 0
  case .str: return v.str.pointee.byteCount > 0
  case .list: return v.list.pointee.count > 0
  case .tuple: return v.tuple.pointee.count > 0
  case .dict: return v.dict.pointee.count > 0
  default: return try truthAny(v)
  }
}
@inline(never) private func truthAny(_ v: Value) throws(LullError) -> Bool {
  switch v.tag {
  case .undefined, .none: return false
  case .bool, .int: return v.bits != 0
  case .float: return v.asDouble != 0
  case .str: return v.str.pointee.byteCount > 0
  case .list: return v.list.pointee.count > 0
  case .tuple: return v.tuple.pointee.count > 0
  case .dict: return v.dict.pointee.count > 0
  case .set: return v.set.pointee.count > 0
  case .range: return v.range.pointee.count > 0
  case .bytes: return !v.bytes.isEmpty
  case .bigInt: return true
  case .complex:
    let p = v.body(ComplexBody.self)
    return p.pointee.re != 0 || p.pointee.im != 0
  case .dictView: return v.body(DictViewBody.self).pointee.dict.dict.pointee.count > 0
  case .instance, .derived, .exception:
    let f = v.type.lookup(.__bool__)
    if !f.isUndefined {
      let r = try callMethod(f, v)
      if r.tag != .bool {
        let n = typeName(r)
        r.release()
        throw LullError.typeError("__bool__ should return bool, returned \(n)")
      }
      return r.asBool
    }
    if !v.type.lookup(.__len__).isUndefined { return try length(v) != 0 }
    switch v.kind {
    case .list: return v.list.pointee.count > 0
    case .tuple: return v.tuple.pointee.count > 0
    case .dict: return v.dict.pointee.count > 0
    case .set: return v.set.pointee.count > 0
    case .bytes: return !v.bytes.isEmpty
    case .bigInt: return !v.bigInt.isZero
    case .float: return try doubleOf(v) != 0
    case .str: return v.str.pointee.byteCount > 0
    case .native: return try nativeTruth(v)
    default: return true
    }
  case .native: return try nativeTruth(v)
  default: return true
  }
}
private func nativeTruth(_ v: Value) throws(LullError) -> Bool {
  if let n = v.type.pointee.native {
    if let slot = n.bool { return try slot(v) }
    if let slot = n.len { return try slot(v) != 0 }
  }
  return true
}
func truthReleasing(_ v: Value) throws(LullError) -> Bool {
  defer { v.release() }
  return try truth(v)
}

// MARK: - Comparison

@inline(never) func compareOperation(
  _ op: CompareOperator, _ a: Value, _ b: Value, _ frame: UnsafeMutablePointer<Frame>,
  _ i: UnsafeMutablePointer<Instruction>, fused: Bool = false
) throws(LullError) -> Value {
  if a.isUndefined || b.isUndefined {
    let left = fused ? i.pointee.a : i.pointee.b
    let right = fused ? i.pointee.b : i.pointee.c
    throw unboundLocal(frame, a.isUndefined ? left : right)
  }
  return try compare(op, a, b)
}

private func compareName(_ op: CompareOperator) -> (Name, Name) {
  switch op {
  case .equal: (.__eq__, .__eq__)
  case .notEqual: (.__ne__, .__ne__)
  case .less: (.__lt__, .__gt__)
  case .lessEqual: (.__le__, .__ge__)
  case .greater: (.__gt__, .__lt__)
  default: (.__ge__, .__le__)
  }
}
func compareSymbol(_ op: CompareOperator) -> String {
  switch op {
  case .equal: "=="
  case .notEqual: "!="
  case .less: "<"
  case .lessEqual: "<="
  case .greater: ">"
  case .greaterEqual: ">="
  case .is: "is"
  case .isNot: "is not"
  case .in: "in"
  case .notIn: "not in"
  }
}
@inline(__always) private func decide<T: Comparable>(_ op: CompareOperator, _ a: T, _ b: T) -> Bool
{
  switch op {
  case .equal: a == b
  case .notEqual: a != b
  case .less: a < b
  case .lessEqual: a <= b
  case .greater: a > b
  default: a >= b
  }
}
private func decideOrder(_ op: CompareOperator, _ c: Int) -> Bool { decide(op, c, 0) }

/// Rich comparison; the result may be any value.
public func compare(_ op: CompareOperator, _ a: Value, _ b: Value) throws(LullError) -> Value {
  if a.tag == .str, b.tag == .str {
    if op == .equal { return Value(a.str.equals(b.str)) }
    if op == .notEqual { return Value(!a.str.equals(b.str)) }
    return Value(decideOrder(op, a.str.compare(b.str)))
  }
  if isCustom(a) || isCustom(b) {
    let r = op == .notEqual ? try customNotEqual(a, b) : try customCompare(op, a, b)
    if !r.isNotImplemented { return r }
    if a.tag == .derived || b.tag == .derived, a.tag != .instance, b.tag != .instance,
      a.kind != .native,
      b.kind != .native
    {
      // The methods have nothing to say: what is left is the builtin class of an operand that has none of its own.
      if hasOwn(op, a), hasOwn(op, b) {
        if op == .equal { return Value(a.isSame(b)) }
        if op == .notEqual { return Value(!a.isSame(b)) }
        throw notOrdered(op, a, b)
      }
      return try compare(op, plainView(a), plainView(b))
    }
    if a.tag == .instance || b.tag == .instance || a.tag == .exception || b.tag == .exception {
      if a.kind == .native || b.kind == .native, let r = try nativeCompare(op, a, b) { return r }
      if op == .equal { return Value(a.isSame(b)) }
      if op == .notEqual { return Value(!a.isSame(b)) }
      throw notOrdered(op, a, b)
    }
  }
  if a.kind == .native || b.kind == .native {
    if let r = try nativeCompare(op, a, b) { return r }
    if op == .equal { return Value(a.isSame(b)) }
    if op == .notEqual { return Value(!a.isSame(b)) }
    throw notOrdered(op, a, b)
  }
  if op == .equal { return Value(try valuesEqual(a, b)) }
  if op == .notEqual { return Value(!(try valuesEqual(a, b))) }
  // Order.
  if a.kind == .float || b.kind == .float, a.kind == .float || a.isInteger,
    b.kind == .float || b.isInteger
  {
    return Value(try compareNumbers(op, a, b))
  }
  if a.isIntOrBool, b.isIntOrBool { return Value(decide(op, a.asInt, b.asInt)) }
  if let x = a.integer, let y = b.integer { return Value(decide(op, x, y)) }
  if let x = a.asStr, let y = b.asStr { return Value(decideOrder(op, x.compare(y))) }
  if a.kind == .list, b.kind == .list {
    return try compareSequences(
      op, a, b, { a.list.pointee.count }, { b.list.pointee.count },
      { a.list.pointee.items[$0] }, { b.list.pointee.items[$0] })
  }
  if a.kind == .tuple, b.kind == .tuple {
    return try compareTuples(op, a, b)
  }
  if a.kind == .slice, b.kind == .slice {
    func parts(_ v: Value) -> Value {
      let s = v.body(SliceBody.self).pointee
      return makeTuple([s.start.retained(), s.stop.retained(), s.step.retained()])
    }
    let x = parts(a)
    let y = parts(b)
    defer {
      x.release()
      y.release()
    }
    return try compare(op, x, y)
  }
  if a.kind == .bytes, b.kind == .bytes {
    let x = a.bytes
    let y = b.bytes
    if x == y { return Value(decideOrder(op, 0)) }
    return Value(decideOrder(op, x.lexicographicallyPrecedes(y) ? -1 : 1))
  }
  if let x = setLike(a), let y = setLike(b) {
    defer {
      x.release()
      y.release()
    }
    return Value(try compareSets(op, x.set, y.set))
  }
  throw notOrdered(op, a, b)
}
/// Whether the class of an operand has a method of its own for a comparison.
private func hasOwn(_ op: CompareOperator, _ v: Value) -> Bool {
  guard isCustom(v) else { return false }
  let (name, reflected) = compareName(op)
  return !v.type.lookup(name).isUndefined || !v.type.lookup(reflected).isUndefined
    || (op == .notEqual && !v.type.lookup(.__eq__).isUndefined)
}
/// What the methods of the operands' classes say; NotImplemented when none decides.
private func customCompare(_ op: CompareOperator, _ a: Value, _ b: Value) throws(LullError) -> Value
{
  let (name, reflected) = compareName(op)
  let left = isCustom(a) ? a.type.lookup(name) : .undefined
  let right = isCustom(b) ? b.type.lookup(reflected) : .undefined
  if !left.isUndefined || !right.isUndefined { try checkNativeStack(" in comparison") }
  let rightFirst = !right.isUndefined && b.type != a.type && b.type.isSubtype(of: a.type)
  if rightFirst {
    let r = try callMethod(right, b, a)
    if !r.isNotImplemented { return r }
  }
  if !left.isUndefined {
    let r = try callMethod(left, a, b)
    if !r.isNotImplemented { return r }
  }
  if !rightFirst, !right.isUndefined { return try callMethod(right, b, a) }
  return .notImplemented
}
/// `!=`: a class without `__ne__` inverts what its `__eq__` gives.
private func customNotEqual(_ a: Value, _ b: Value) throws(LullError) -> Value {
  func method(_ v: Value) -> (f: Value, inverts: Bool) {
    guard isCustom(v) else { return (.undefined, false) }
    let f = v.type.lookup(.__ne__)
    return f.isUndefined ? (v.type.lookup(.__eq__), true) : (f, false)
  }
  let rightFirst = !method(b).f.isUndefined && b.type != a.type && b.type.isSubtype(of: a.type)
  for (me, other) in rightFirst ? [(b, a), (a, b)] : [(a, b), (b, a)] {
    let (f, inverts) = method(me)
    if f.isUndefined { continue }
    try checkNativeStack(" in comparison")
    let r = try callMethod(f, me, other)
    if !r.isNotImplemented { return inverts ? Value(!(try truthReleasing(r))) : r }
  }
  return .notImplemented
}
private func nativeCompare(_ op: CompareOperator, _ a: Value, _ b: Value) throws(LullError)
  -> Value?
{
  if a.kind == .native, let slot = a.type.pointee.native?.compare, let r = try slot(op, a, b) {
    return r
  }
  if b.kind == .native, let slot = b.type.pointee.native?.compare {
    let swapped: CompareOperator =
      switch op {
      case .less: .greater
      case .lessEqual: .greaterEqual
      case .greater: .less
      case .greaterEqual: .lessEqual
      default: op
      }
    return try slot(swapped, b, a)
  }
  return nil
}
/// Order of two tuples. Items that only the language's own code compares need no references held.
private func compareTuples(_ op: CompareOperator, _ a: Value, _ b: Value) throws(LullError) -> Value
{
  try checkNativeStack(" in comparison")
  let x = a.tuple
  let y = b.tuple
  let n = min(x.pointee.count, y.pointee.count)
  for k in 0..<n {
    let p = x.items[k]
    let q = y.items[k]
    if p.tag == q.tag {
      switch p.tag {
      case .int:
        if p.bits == q.bits { continue }
        return Value(decide(op, p.asInt, q.asInt))
      case .float:
        if p.asDouble == q.asDouble { continue }
        return Value(decide(op, p.asDouble, q.asDouble))
      case .str:
        let c = p.str.compare(q.str)
        if c == 0 { continue }
        return Value(decideOrder(op, c))
      default: break
      }
    }
    p.retained()
    q.retained()
    defer {
      p.release()
      q.release()
    }
    if p.isSame(q), p.tag != .float { continue }
    if !(try valuesEqual(p, q)) { return try compare(op, p, q) }
  }
  return Value(decide(op, x.pointee.count, y.pointee.count))
}
private func notOrdered(_ op: CompareOperator, _ a: Value, _ b: Value) -> LullError {
  LullError.typeError(
    "'\(compareSymbol(op))' not supported between instances of '\(typeName(a))' and '\(typeName(b))'"
  )
}
private func compareSequences(
  _ op: CompareOperator, _ a: Value, _ b: Value, _ n: () -> Int, _ m: () -> Int,
  _ x: (Int) -> Value, _ y: (Int) -> Value
) throws(LullError) -> Value {
  try checkNativeStack(" in comparison")
  var k = 0
  while k < n(), k < m() {
    let p = x(k).retained()
    let q = y(k).retained()
    defer {
      p.release()
      q.release()
    }
    if !(try valuesEqual(p, q)) { return try compare(op, p, q) }
    k += 1
  }
  return Value(decide(op, n(), m()))
}
/// int against float, exactly.
private func compareNumbers(_ op: CompareOperator, _ a: Value, _ b: Value) throws(LullError) -> Bool
{
  let x = a.kind == .float ? try doubleOf(a) : 0
  let y = b.kind == .float ? try doubleOf(b) : 0
  if a.kind == .float, b.kind == .float { return decide(op, x, y) }
  if a.kind == .float {
    if x.isNaN { return op == .notEqual }
    return decideOrder(op, -(compareExact(b, x)))
  }
  if y.isNaN { return op == .notEqual }
  return decideOrder(op, compareExact(a, y))
}
/// Sign of (integer value - double).
private func compareExact(_ i: Value, _ d: Double) -> Int {
  if d.isInfinite { return d > 0 ? -1 : 1 }
  if i.isIntOrBool, i.asInt.magnitude < 1 << 53 {
    let x = Double(i.asInt)
    return x < d ? -1 : x > d ? 1 : 0
  }
  let n = i.integer ?? 0
  let f = d.rounded(.down)
  let whole = BigInt(f)
  if n < whole { return -1 }
  if n > whole { return 1 }
  return d > f ? -1 : 0
}

public func valuesEqual(_ a: Value, _ b: Value) throws(LullError) -> Bool {
  if a.tag == b.tag {
    switch a.tag {
    case .int, .bool: return a.bits == b.bits
    case .none: return true
    case .float: return a.asDouble == b.asDouble
    case .str: return a.str.equals(b.str)
    case .list:
      if a.bits == b.bits { return true }
      return try listsEqual(a.list, b.list)
    case .tuple: return try tuplesEqual(a.tuple, b.tuple)
    default: break
    }
  }
  if a.isHeap, a.isSame(b), a.kind != .float, !isCustom(a), a.kind != .native { return true }
  if isCustom(a) || isCustom(b) {
    if a.isSame(b), a.type.lookup(.__eq__).isUndefined { return true }
    let left = isCustom(a) ? a.type.lookup(.__eq__) : .undefined
    let right = isCustom(b) ? b.type.lookup(.__eq__) : .undefined
    if !left.isUndefined || !right.isUndefined {
      return try truthReleasing(try compare(.equal, a, b))
    }
    if a.tag == .instance || b.tag == .instance || a.tag == .exception || b.tag == .exception {
      if a.kind == .native || b.kind == .native {
        return try truthReleasing(try compare(.equal, a, b))
      }
      return a.isSame(b)
    }
  }
  if a.kind == .native || b.kind == .native {
    return try truthReleasing(try compare(.equal, a, b))
  }
  if a.isIntOrBool, b.isIntOrBool { return a.asInt == b.asInt }
  switch (a.kind, b.kind) {
  case (.float, .int), (.float, .bool), (.float, .bigInt), (.int, .float), (.bool, .float),
    (.bigInt, .float), (.float, .float):
    return try compareNumbers(.equal, a, b)
  case (.bigInt, _), (_, .bigInt):
    if let x = a.integer, let y = b.integer { return x == y }
    return false
  case (.str, .str): return a.str.equals(b.str)
  case (.tuple, .tuple): return try tuplesEqual(a.tuple, b.tuple)
  case (.list, .list):
    return try listsEqual(a.list, b.list)
  case (.dict, .dict):
    try checkNativeStack(" in comparison")
    let x = a.dict
    let y = b.dict
    if x.pointee.count != y.pointee.count { return false }
    var k = 0
    while k < x.pointee.used {
      let e = x.pointee.entries[k]
      k += 1
      if e.key.isUndefined { continue }
      let key = e.key.retained()
      let value = e.value.retained()
      defer {
        key.release()
        value.release()
      }
      let j = try y.find(key, e.hash)
      if j < 0 { return false }
      let other = y.pointee.entries[j].value.retained()
      defer { other.release() }
      if !value.isSame(other), !(try valuesEqual(value, other)) { return false }
    }
    return true
  case (.set, .set), (.dictView, .set), (.set, .dictView), (.dictView, .dictView):
    guard let x = setLike(a), let y = setLike(b) else { return a.isSame(b) }
    defer {
      x.release()
      y.release()
    }
    return try compareSets(.equal, x.set, y.set)
  case (.bytes, .bytes): return a.bytes == b.bytes
  case (.complex, _), (_, .complex):
    guard let x = complexParts(a), let y = complexParts(b) else { return false }
    return x.0 == y.0 && x.1 == y.1
  case (.range, .range):
    let x = a.range.pointee
    let y = b.range.pointee
    if x.big != nil || y.big != nil { return x.isSameSequence(as: y) }
    return x.count == y.count
      && (x.count == 0 || (x.start == y.start && (x.count == 1 || x.step == y.step)))
  case (.slice, .slice):
    let x = a.body(SliceBody.self).pointee
    let y = b.body(SliceBody.self).pointee
    if !(try valuesEqual(x.start, y.start)) { return false }
    if !(try valuesEqual(x.stop, y.stop)) { return false }
    return try valuesEqual(x.step, y.step)
  case (.boundMethod, .boundMethod):
    return a.method.pointee.function.isSame(b.method.pointee.function)
      && a.method.pointee.receiver.isSame(b.method.pointee.receiver)
  default: return a.isSame(b)
  }
}
private func listsEqual(_ x: ListPtr, _ y: ListPtr) throws(LullError) -> Bool {
  try checkNativeStack(" in comparison")
  if x.pointee.count != y.pointee.count { return false }
  var k = 0
  while k < x.pointee.count, k < y.pointee.count {
    let p = x.pointee.items[k].retained()
    let q = y.pointee.items[k].retained()
    defer {
      p.release()
      q.release()
    }
    if !p.isSame(q), !(try valuesEqual(p, q)) { return false }
    k += 1
  }
  return x.pointee.count == y.pointee.count
}
private func tuplesEqual(_ x: TuplePtr, _ y: TuplePtr) throws(LullError) -> Bool {
  if x == y { return true }
  let n = x.pointee.count
  if n != y.pointee.count { return false }
  try checkNativeStack(" in comparison")
  for k in 0..<n {
    let p = x.items[k]
    let q = y.items[k]
    if !p.isSame(q), !(try valuesEqual(p, q)) { return false }
  }
  return true
}

extension RangeBody {
  /// Whether two ranges, one of them past 64 bits, have the same items.
  fileprivate func isSameSequence(as o: RangeBody) -> Bool {
    func parts(_ r: RangeBody) -> (count: BigInt, start: BigInt, step: BigInt) {
      r.big.map { ($0.count, $0.start, $0.step) } ?? (
        BigInt(r.count), BigInt(r.start), BigInt(r.step)
      )
    }
    let x = parts(self)
    let y = parts(o)
    return x.count == y.count
      && (x.count == 0 || x.start == y.start && (x.count == 1 || x.step == y.step))
  }
}
