// Operators: everything the machine's fast paths do not cover.
//
// Order of attempts for `a op b`, as in CPython: numbers; then builtin containers; then, if either
// class defines the operator, `type(a).__op__` and `type(b).__rop__` (the right one first when its
// class is a proper subclass that overrides it). Operands are borrowed, results owned.
import Glibc

private let operatorText = [
  "+", "-", "*", "@", "/", "//", "%", "** or pow()", "<<", ">>", "&", "|", "^",
]

func symbol(_ op: BinaryOperator) -> String { operatorText[Int(op.rawValue)] }

@inline(never) func binaryOperation(
  _ op: BinaryOperator, _ a: Value, _ b: Value, _ frame: UnsafeMutablePointer<Frame>,
  _ i: UnsafeMutablePointer<Instruction>
) throws(LullError) -> Value {
  if a.isUndefined || b.isUndefined {
    throw unboundLocal(frame, a.isUndefined ? i.pointee.b : i.pointee.c)
  }
  return try binary(op, a, b)
}
@inline(never) func inplaceOperation(
  _ op: BinaryOperator, _ a: Value, _ b: Value, _ frame: UnsafeMutablePointer<Frame>,
  _ i: UnsafeMutablePointer<Instruction>
) throws(LullError) -> Value {
  if a.isUndefined || b.isUndefined {
    throw unboundLocal(frame, a.isUndefined ? i.pointee.b : i.pointee.c)
  }
  return try inplace(op, a, b)
}

/// `a op b`.
public func binary(_ op: BinaryOperator, _ a: Value, _ b: Value) throws(LullError) -> Value {
  let r = try binaryOrNil(op, a, b)
  if !r.isUndefined { return r }
  if op == .power {
    throw LullError.typeError(
      "unsupported operand type(s) for ** or pow(): '\(typeName(a))' and '\(typeName(b))'")
  }
  // A class's own __add__ has said that it does not know the other operand: no joining then.
  if op == .add,
    !isCustom(a) || a.type.lookup(.__add__).tag == .builtin || a.type.lookup(.__add__).isUndefined
  {
    if a.kind == .str {
      throw LullError.typeError("can only concatenate str (not \"\(typeName(b))\") to str")
    }
    if a.kind == .list || a.kind == .tuple {
      throw LullError.typeError(
        "can only concatenate \(typeName(a)) (not \"\(typeName(b))\") to \(typeName(a))")
    }
    if a.kind == .bytes {
      throw LullError.typeError("can't concat \(typeName(b)) to \(typeName(a))")
    }
  }
  if op == .bitOr, let union = try typeUnion(a, b) { return union }
  if op == .multiply {
    if a.kind == .str || a.kind == .list || a.kind == .tuple || a.kind == .bytes {
      throw LullError.typeError(
        "can't multiply sequence by non-int of type '\(typeName(b))'")
    }
    if b.kind == .str || b.kind == .list || b.kind == .tuple || b.kind == .bytes {
      throw LullError.typeError(
        "can't multiply sequence by non-int of type '\(typeName(a))'")
    }
  }
  throw LullError.typeError(
    "unsupported operand type(s) for \(symbol(op)): '\(typeName(a))' and '\(typeName(b))'")
}

func isCustom(_ v: Value) -> Bool {
  v.tag == .instance || v.tag == .derived || v.tag == .exception
}

/// Undefined when neither operand knows how.
func binaryOrNil(_ op: BinaryOperator, _ a: Value, _ b: Value) throws(LullError) -> Value {
  // Plain numbers.
  if a.tag.rawValue <= Tag.float.rawValue, b.tag.rawValue <= Tag.float.rawValue,
    a.tag.rawValue >= Tag.bool.rawValue, b.tag.rawValue >= Tag.bool.rawValue
  {
    if a.tag == .float || b.tag == .float {
      return try floatBinary(
        op, a.tag == .float ? a.asDouble : Double(a.asInt),
        b.tag == .float ? b.asDouble : Double(b.asInt))
    }
    if a.tag == .bool, b.tag == .bool {
      switch op {
      case .bitAnd: return Value(a.asBool && b.asBool)
      case .bitOr: return Value(a.asBool || b.asBool)
      case .bitXor: return Value(a.asBool != b.asBool)
      default: break
      }
    }
    return try intBinary(op, a.asInt, b.asInt)
  }
  if isCustom(a) || isCustom(b) {
    try checkNativeStack()
    let name = Name(rawValue: Name.__add__.rawValue + Int(op.rawValue)) ?? .__add__
    let reflected = Name(rawValue: Name.__radd__.rawValue + Int(op.rawValue)) ?? .__radd__
    let left = isCustom(a) ? a.type.lookup(name) : .undefined
    let right = isCustom(b) ? b.type.lookup(reflected) : .undefined
    let rightFirst =
      !right.isUndefined && b.type != a.type && b.type.isSubtype(of: a.type)
      && !right.isSame(isCustom(a) ? a.type.lookup(reflected) : .undefined)
    if rightFirst {
      let r = try callMethod(right, b, a)
      if !r.isNotImplemented { return r }
    }
    if !left.isUndefined {
      let r = try callMethod(left, a, b)
      if !r.isNotImplemented { return r }
    } else if (!isCustom(a) || a.tag == .derived)
      && !(op == .multiply && !right.isUndefined && isSequence(a))
    {
      let r = try builtinBinary(op, a, b)
      if !r.isUndefined { return r }
    }
    if !rightFirst, !right.isUndefined, a.type != b.type {
      let r = try callMethod(right, b, a)
      if !r.isNotImplemented { return r }
    }
    if a.tag != .instance { return try builtinBinary(op, a, b) }
    if b.kind == .native { return try builtinBinary(op, a, b) }
    return .undefined
  }
  return try builtinBinary(op, a, b)
}

/// Calls a function found in a class on a receiver.
func callMethod(_ f: Value, _ me: Value) throws(LullError) -> Value {
  if f.tag == .function || f.tag == .builtin { return try call1(f, me) }
  let bound = try bindDescriptor(f, me, me.type)
  defer { bound.release() }
  return try call(bound, [])
}
func callMethod(_ f: Value, _ me: Value, _ a: Value) throws(LullError) -> Value {
  if f.tag == .function || f.tag == .builtin { return try call2(f, me, a) }
  let bound = try bindDescriptor(f, me, me.type)
  defer { bound.release() }
  return try call1(bound, a)
}
func callMethod(_ f: Value, _ me: Value, _ a: Value, _ b: Value) throws(LullError) -> Value {
  if f.tag == .function || f.tag == .builtin { return try call3(f, me, a, b) }
  let bound = try bindDescriptor(f, me, me.type)
  defer { bound.release() }
  return try call2(bound, a, b)
}

func builtinBinary(_ op: BinaryOperator, _ a: Value, _ b: Value) throws(LullError) -> Value {
  if a.kind == .native || b.kind == .native {
    if a.kind == .native, let slot = a.type.pointee.native?.binary,
      let r = try slot(op, a, b, false)
    {
      return r
    }
    if b.kind == .native, let slot = b.type.pointee.native?.binary,
      let r = try slot(op, b, a, true)
    {
      return r
    }
    if a.kind == .native, b.kind == .native { return .undefined }
  }
  switch op {
  case .add:
    switch (a.kind, b.kind) {
    case (.str, .str): return try concatenate(a.str, b.str)
    case (.list, .list):
      let n = a.list.pointee.count
      let m = b.list.pointee.count
      try checkAllocation(n + m, 16)
      let v = makeList(capacity: n + m)
      for k in 0..<n { v.list.append(a.list.pointee.items[k].retained()) }
      for k in 0..<m { v.list.append(b.list.pointee.items[k].retained()) }
      return v
    case (.tuple, .tuple):
      let n = a.tuple.pointee.count
      let m = b.tuple.pointee.count
      let v = makeTuple(uninitialized: n + m)
      for k in 0..<n { v.tuple.items[k] = a.tuple.items[k].retained() }
      for k in 0..<m { v.tuple.items[n + k] = b.tuple.items[k].retained() }
      return v
    case (.bytes, .bytes):
      return a.isByteArray ? makeByteArray(a.bytes + b.bytes) : makeBytes(a.bytes + b.bytes)
    default: break
    }
    if a.kind == .bytes, let new = memoryViewBytes(b) {
      return a.isByteArray ? makeByteArray(a.bytes + new) : makeBytes(a.bytes + new)
    }
  case .multiply:
    if isSequence(a), let n = try repeatCount(b) { return try repeated(a, n) }
    if isSequence(b), let n = try repeatCount(a) { return try repeated(b, n) }
  case .modulo:
    if a.kind == .str { return try percentFormat(a.str, b) }
    if a.kind == .bytes { return try percentFormatBytes(a, b) }
  case .bitOr:
    if a.kind == .dict, b.kind == .dict {
      let d = a.dict.copy()
      try d.dict.merge(b.dict)
      return d
    }
  default: break
  }
  if let r = try setBinary(op, a, b) { return r }
  // Numbers with a big int, a complex or a subclass among them.
  if a.kind == .complex || b.kind == .complex {
    if let x = complexParts(a), let y = complexParts(b) { return try complexBinary(op, x, y) }
    // An int that no float holds.
    if a.kind == .complex, b.isInteger { _ = try doubleOf(b) }
    if b.kind == .complex, a.isInteger { _ = try doubleOf(a) }
    return .undefined
  }
  let aFloat = a.kind == .float
  let bFloat = b.kind == .float
  if aFloat || bFloat {
    guard aFloat || a.isInteger, bFloat || b.isInteger else { return .undefined }
    return try floatBinary(op, try doubleOf(a), try doubleOf(b))
  }
  if let x = a.integer, let y = b.integer { return try bigBinary(op, x, y) }
  return .undefined
}

private func isSequence(_ v: Value) -> Bool {
  v.kind == .str || v.kind == .list || v.kind == .tuple || v.kind == .bytes
}
/// How often to repeat a sequence; nil when the value is no index.
private func repeatCount(_ v: Value) throws(LullError) -> Int? {
  if v.tag == .int || v.tag == .bool { return v.asInt }
  guard v.kind == .bigInt || v.tag == .instance && !v.type.lookup(.__index__).isUndefined else {
    return nil
  }
  let i = try indexValue(v)
  defer { i.release() }
  guard i.tag == .int else {
    throw LullError.overflow("cannot fit 'int' into an index-sized integer")
  }
  return i.asInt
}
private func repeated(_ v: Value, _ count: Int) throws(LullError) -> Value {
  let n = max(0, count)
  switch v.kind {
  case .str:
    let s = v.str
    let m = s.pointee.byteCount
    if n == 1, v.tag == .str { return v.retained() }
    if m == 0 || n == 0 { return makeStr("") }
    if n > Int.max / s.pointee.count { throw LullError.overflow("repeated string is too long") }
    try checkAllocation(n, max(m, 1))
    let r = makeStr(uninitialized: n * m)
    if m == 1 {
      memset(r.bytes, Int32(s.bytes[0]), n)
    } else {
      for k in 0..<n { memcpy(r.bytes + k * m, s.bytes, m) }
    }
    r.pointee.count = n * s.pointee.count
    r.pointee.h.flags |= s.pointee.h.flags & Header.flagASCII
    return r.value
  case .list:
    let m = v.list.pointee.count
    if m == 0 { return makeList([]) }
    try checkAllocation(n, max(16 * m, 1))
    let r = makeList(capacity: n * m)
    let items = r.list.pointee.items
    for k in 0..<(n * m) {
      (items + k).initialize(to: v.list.pointee.items[m == 1 ? 0 : k % m].retained())
    }
    r.list.pointee.count = n * m
    return r
  case .tuple:
    let m = v.tuple.pointee.count
    if m == 0 { return emptyTuple() }
    try checkAllocation(n, max(16 * m, 1))
    let r = makeTuple(uninitialized: n * m)
    for k in 0..<(n * m) { r.tuple.items[k] = v.tuple.items[k % m].retained() }
    return r
  default:
    let m = v.bytes.count
    if m > 0, n > Int.max / m, !v.isByteArray {
      throw LullError.overflow("repeated bytes are too long")
    }
    try checkAllocation(n, m)
    var out: [UInt8] = []
    if m > 0 { for _ in 0..<n { out += v.bytes } }
    return v.isByteArray ? makeByteArray(out) : makeBytes(out)
  }
}

// MARK: - In place

public func inplace(_ op: BinaryOperator, _ a: Value, _ b: Value) throws(LullError) -> Value {
  switch a.tag {
  case .list:
    if op == .add {
      try extendList(a.list, b)
      return a.retained()
    }
    if op == .multiply, let n = try repeatCount(b) {
      let r = try repeated(a, n)
      let items = r.list.array
      for v in items { v.retained() }
      a.list.replace(0..<a.list.pointee.count, with: items)
      r.release()
      return a.retained()
    }
  case .dict:
    if op == .bitOr {
      try updateDict(a.dict, b, mappingOnly: false)
      return a.retained()
    }
  case .bytes where a.isByteArray:
    if op == .add, let new = b.bytesLike {
      a.body(BytesBody.self).pointee.value += new
      return a.retained()
    }
  case .set:
    if !a.set.isFrozen, b.kind == .set {
      switch op {
      case .bitOr:
        try a.set.merge(b.set)
        return a.retained()
      case .subtract, .bitAnd, .bitXor:
        try updateSet(op, a, b)
        return a.retained()
      default: break
      }
    }
  case .instance, .derived, .exception:
    let name = Name(rawValue: Name.__iadd__.rawValue + Int(op.rawValue)) ?? .__iadd__
    let f = a.type.lookup(name)
    if !f.isUndefined {
      let r = try callMethod(f, a, b)
      if !r.isNotImplemented { return r }
    } else if a.kind == .list, op == .add {
      try extendList(a.list, b)
      return a.retained()
    }
  case .native:
    if let slot = a.type.pointee.native?.inplace, let r = try slot(op, a, b) { return r }
  default: break
  }
  let r = try binaryOrNil(op, a, b)
  if !r.isUndefined { return r }
  if op == .add, a.kind == .str || a.kind == .tuple { return try binary(op, a, b) }
  if op == .multiply, isSequence(a) || isSequence(b) { return try binary(op, a, b) }
  if op == .bitOr, let union = try typeUnion(a, b) { return union }
  throw LullError.typeError(
    "unsupported operand type(s) for \(op == .power ? "**" : symbol(op))=: '\(typeName(a))' and '\(typeName(b))'"
  )
}

// MARK: - Unary

public func unaryOperation(_ op: UnaryOperator, _ v: Value) throws(LullError) -> Value {
  switch v.tag {
  case .int, .bool:
    switch op {
    case .negate: return try intBinary(.subtract, 0, v.asInt)
    case .plus: return Value(v.asInt)
    case .invert: return Value(~v.asInt)
    case .not: return Value(!v.asBool)
    }
  case .float:
    if op == .negate { return Value(-v.asDouble) }
    if op == .plus { return v }
  default: break
  }
  if op == .not { return Value(!(try truth(v))) }
  if isCustom(v) {
    let f = v.type.lookup(op == .negate ? .__neg__ : op == .plus ? .__pos__ : .__invert__)
    if !f.isUndefined { return try callMethod(f, v) }
  }
  if v.kind == .native, let slot = v.type.pointee.native?.unary, let r = try slot(op, v) {
    return r
  }
  if v.kind == .complex, let (re, im) = complexParts(v), op != .invert {
    return op == .negate ? makeComplex(-re, -im) : makeComplex(re, im)
  }
  if let b = v.integer {
    switch op {
    case .negate: return makeBig(-b)
    case .plus: return makeBig(b)
    default: return makeBig(-b - 1)
    }
  }
  if v.kind == .float {
    let d = try doubleOf(v)
    if op != .invert { return Value(op == .negate ? -d : d) }
  }
  let s = op == .negate ? "-" : op == .plus ? "+" : "~"
  throw LullError.typeError("bad operand type for unary \(s): '\(typeName(v))'")
}
