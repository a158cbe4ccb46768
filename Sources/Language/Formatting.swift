// Text of values: numbers, repr and str.
import BigInt
import Glibc

// MARK: - Numbers to text

/// Python's repr of a float: the shortest digits that read back the same.
public func floatText(_ d: Double) -> String {
  var b = TextBuilder()
  appendFloat(d, &b)
  return b.string
}
func appendFloat(_ d: Double, _ b: inout TextBuilder) {
  if d.isNaN { return b.append("nan") }
  if d.isInfinite { return d < 0 ? b.append("-inf") : b.append("inf") }
  if d.sign == .minus { b.append(45) }
  let m = abs(d)
  if m < 1e15, m == m.rounded() {
    b.append(magnitude: UInt(m), radix: 10)
    b.append(".0")
    return
  }
  // Swift's description has the shortest digits, and in this range no exponent.
  if m >= 1e-4, m < 1e15 { return b.append(text: m.description) }
  // Elsewhere the layout is made anew.
  var digits = TextBuilder()
  var point = -1
  var seenE = false
  var expText = 0
  var expNegative = false
  for c in m.description.utf8 {
    switch c {
    case 46: point = digits.count
    case 101, 69: seenE = true
    case 45: expNegative = true
    case 43: break
    default: if seenE { expText = expText * 10 + Int(c) - 48 } else { digits.append(c) }
    }
  }
  if point < 0 { point = digits.count }
  var p = digits.bytes
  var n = digits.count
  var e = point + (expNegative ? -expText : expText) - 1
  while n > 1, p[0] == 48 {
    p += 1
    n -= 1
    e -= 1
  }
  while n > 1, p[n - 1] == 48 { n -= 1 }
  if e >= -4, e < 16 {
    if e < 0 {
      b.append("0.")
      b.append(repeating: 48, -e - 1)
      b.append(p, n)
    } else if n <= e + 1 {
      b.append(p, n)
      b.append(repeating: 48, e + 1 - n)
      b.append(".0")
    } else {
      b.append(p, e + 1)
      b.append(46)
      b.append(p + (e + 1), n - e - 1)
    }
    return
  }
  b.append(p[0])
  if n > 1 {
    b.append(46)
    b.append(p + 1, n - 1)
  }
  b.append(101)
  b.append(e < 0 ? 45 : 43)
  if abs(e) < 10 { b.append(48) }
  b.append(decimal: abs(e))
}

func cFormat(_ spec: String, _ precision: Int, _ d: Double) -> String {
  withVaList([Int32(clamping: precision), d]) { args in
    var buffer = [CChar](repeating: 0, count: 64)
    var n = Int(vsnprintf(&buffer, buffer.count, spec, args))
    if n >= buffer.count {
      return withVaList([Int32(clamping: precision), d]) { again in
        buffer = [CChar](repeating: 0, count: n + 1)
        n = Int(vsnprintf(&buffer, buffer.count, spec, again))
        return String(decoding: buffer.prefix(n).map { UInt8(bitPattern: $0) }, as: UTF8.self)
      }
    }
    return String(decoding: buffer.prefix(max(n, 0)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

func bigText(_ b: BigInt) throws(LullError) -> String {
  if b.magnitude.bitWidth > 14300 {
    throw LullError.valueError(
      "Exceeds the limit (4300 digits) for integer string conversion; "
        + "use sys.set_int_max_str_digits() to increase the limit")
  }
  return decimalText(b)
}
func complexText(_ re: Double, _ im: Double) -> String {
  func part(_ d: Double) -> String {
    let t = floatText(d)
    return t.hasSuffix(".0") ? String(t.dropLast(2)) : t
  }
  if re == 0, re.sign == .plus { return part(im) + "j" }
  let i = part(im)
  return "(\(part(re))\(i.hasPrefix("-") ? "" : "+")\(i)j)"
}
func parseDecimalDigits(_ s: String) throws(LullError) -> Value {
  if s.utf8.count > 4300 {
    throw LullError.valueError(
      "Exceeds the limit (4300 digits) for integer string conversion: value has "
        + "\(s.utf8.count) digits; use sys.set_int_max_str_digits() to increase the limit")
  }
  guard let b = bigDecimal(s) else {
    throw LullError.valueError("invalid literal for int() with base 10: '\(s)'")
  }
  return makeBig(b)
}
func makeUnsigned(_ u: UInt64) -> Value { makeBig(BigInt(u)) }

// MARK: - repr and str

func quoted(_ s: StrPtr, ascii: Bool = false) -> String {
  var b = TextBuilder()
  appendQuoted(s, &b, ascii: ascii)
  return b.string
}
func appendQuoted(_ s: StrPtr, _ out: inout TextBuilder, ascii: Bool = false) {
  var hasSingle = false
  var hasDouble = false
  var isPlain = true
  for b in s.buffer {
    if b == 39 { hasSingle = true }
    if b == 34 { hasDouble = true }
    if b < 32 || b >= 127 || b == 92 { isPlain = false }
  }
  let q: UInt8 = hasSingle && !hasDouble ? 34 : 39
  out.append(q)
  if isPlain, !(hasSingle && hasDouble) {
    out.append(s)
    out.append(q)
    return
  }
  var i = 0
  let n = s.pointee.byteCount
  while i < n {
    let (c, l) = s.decode(i)
    switch c {
    case 10: out.append("\\n")
    case 13: out.append("\\r")
    case 9: out.append("\\t")
    case 92: out.append("\\\\")
    case UInt32(q):
      out.append(92)
      out.append(q)
    case 0..<32, 127:
      out.append("\\x")
      out.append(hex: c, 2)
    case 32..<127: out.append(UInt8(truncatingIfNeeded: c))
    default:
      if !ascii, isPrintable(c) {
        out.append(codePoint: c)
      } else if c < 0x100 {
        out.append("\\x")
        out.append(hex: c, 2)
      } else if c < 0x10000 {
        out.append("\\u")
        out.append(hex: c, 4)
      } else {
        out.append("\\U")
        out.append(hex: c, 8)
      }
    }
    i += l
  }
  out.append(q)
}
/// Whether a character is in Unicode 14, which CPython 3.11 has; Swift's tables are newer.
private func isKnown(_ u: Unicode.Scalar) -> Bool {
  guard let age = u.properties.age else { return false }
  return age.major <= 14
}
func isPrintable(_ c: UInt32) -> Bool {
  if c >= 32, c < 127 { return true }
  guard let u = Unicode.Scalar(c), isKnown(u) else { return false }
  switch u.properties.generalCategory {
  case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
    .paragraphSeparator:
    return false
  case .spaceSeparator: return c == 32
  default: return true
  }
}
/// `escapesSingle`: also in double quotes, as CPython writes a bytearray.
func quotedBytes(_ bytes: [UInt8]) -> String {
  var b = TextBuilder()
  appendQuoted(bytes, &b)
  return b.string
}
private func appendQuoted(_ bytes: [UInt8], escapesSingle: Bool = false, _ b: inout TextBuilder) {
  let q: UInt8 = bytes.contains(39) && !bytes.contains(34) ? 34 : 39
  b.append(98)
  b.append(q)
  for x in bytes {
    switch x {
    case 10: b.append("\\n")
    case 13: b.append("\\r")
    case 9: b.append("\\t")
    case 92: b.append("\\\\")
    case q:
      b.append(92)
      b.append(q)
    case 39 where escapesSingle: b.append("\\'")
    case 32..<127: b.append(x)
    default:
      b.append(escape: x)
    }
  }
  b.append(q)
}

@exclusivity(unchecked) nonisolated(unsafe) private var reprStack: [UInt64] = []
/// For another thread: nothing is being shown in it. Gives the way back.
func saveReprs() -> () -> Void {
  let saved = reprStack
  reprStack = []
  return { reprStack = saved }
}

public func repr(_ v: Value) throws(LullError) -> String {
  switch v.tag {
  case .none: return "None"
  case .bool: return v.asBool ? "True" : "False"
  default: break
  }
  var b = TextBuilder()
  try appendRepr(v, &b)
  return b.string
}

/// The result of `__repr__` or another method that must give text.
private func appendText(
  of f: Value, _ v: Value, _ name: StaticString, _ b: inout TextBuilder
) throws(LullError) {
  try checkNativeStack(" while getting the repr of an object")
  let r = try callMethod(f, v)
  defer { r.release() }
  guard r.kind == .str else {
    throw LullError.typeError("\(name) returned non-string (type \(typeName(r)))")
  }
  b.append(r.str)
}

func appendRepr(_ v: Value, _ b: inout TextBuilder) throws(LullError) {
  switch v.tag {
  case .undefined: return b.append("<undefined>")
  case .none: return b.append("None")
  case .bool: return v.asBool ? b.append("True") : b.append("False")
  case .int: return b.append(decimal: v.asInt)
  case .float: return appendFloat(v.asDouble, &b)
  case .singleton: return v.bits == 0 ? b.append("NotImplemented") : b.append("Ellipsis")
  case .str: return appendQuoted(v.str, &b)
  case .instance, .derived, .exception:
    let f = v.type.lookup(.__repr__)
    if !f.isUndefined { return try appendText(of: f, v, "__repr__", &b) }
  default: break
  }
  try appendBuiltinRepr(v, &b)
}

/// The repr that the layout gives, whatever the class says.
func appendBuiltinRepr(_ v: Value, _ b: inout TextBuilder) throws(LullError) {
  switch v.kind {
  case .list, .tuple, .dict, .set, .dictView: break
  case .str: return appendQuoted(v.str, &b)
  case .bytes:
    if !v.isByteArray { return appendQuoted(v.bytes, &b) }
    b.append("bytearray(")
    appendQuoted(v.bytes, escapesSingle: true, &b)
    return b.append(41)
  default: return b.append(text: try plainRepr(v))
  }
  if reprStack.contains(v.bits) {
    switch v.kind {
    case .list: return b.append("[...]")
    case .tuple: return b.append("(...)")
    case .dict: return b.append("{...}")
    default:
      b.append(text: v.type.pointee.name)
      return b.append("(...)")
    }
  }
  try checkNativeStack(" while getting the repr of an object")
  if reprStack.count >= vm.pointee.recursionLimit {
    throw LullError.recursion(
      "maximum recursion depth exceeded while getting the repr of an object")
  }
  reprStack.append(v.bits)
  defer { reprStack.removeLast() }
  switch v.kind {
  case .list:
    b.append(91)
    var k = 0
    while k < v.list.pointee.count {
      if k > 0 { b.append(", ") }
      if k & 0xFFF == 0xFFF { try throwIfInterrupted() }
      let x = v.list.pointee.items[k].retained()
      defer { x.release() }
      try appendRepr(x, &b)
      k += 1
    }
    b.append(93)
  case .tuple:
    b.append(40)
    let n = v.tuple.pointee.count
    for k in 0..<n {
      if k > 0 { b.append(", ") }
      try appendRepr(v.tuple.items[k], &b)
    }
    b.append(n == 1 ? ",)" : ")")
  case .dict:
    b.append(123)
    let items = dictItems(v).map { ($0.0.retained(), $0.1.retained()) }
    defer {
      for (k, x) in items {
        k.release()
        x.release()
      }
    }
    var first = true
    for (k, x) in items {
      if !first { b.append(", ") }
      first = false
      try appendRepr(k, &b)
      b.append(": ")
      try appendRepr(x, &b)
    }
    b.append(125)
  case .set:
    let items = v.set.elements.map { $0.key.retained() }
    defer { for x in items { x.release() } }
    let named = v.set.isFrozen || v.tag == .derived
    if named || items.isEmpty { b.append(text: named ? v.type.pointee.name : "set") }
    if items.isEmpty { return b.append("()") }
    b.append(named ? "({" : "{")
    for (k, x) in items.enumerated() {
      if k > 0 { b.append(", ") }
      try appendRepr(x, &b)
    }
    b.append(named ? "})" : "}")
  default:
    let list = try collect(v)
    defer { for x in list { x.release() } }
    b.append(text: v.type.pointee.name)
    b.append("([")
    for (k, x) in list.enumerated() {
      if k > 0 { b.append(", ") }
      try appendRepr(x, &b)
    }
    b.append("])")
  }
}

private func plainRepr(_ v: Value) throws(LullError) -> String {
  let name = v.type.pointee.name
  switch v.kind {
  case .bigInt: return try bigText(v.bigInt)
  case .float: return floatText(try doubleOf(v))
  case .complex:
    return complexText(v.body(ComplexBody.self).pointee.re, v.body(ComplexBody.self).pointee.im)
  case .range:
    let (start, stop, step) = v.range.ends
    defer {
      start.release()
      stop.release()
      step.release()
    }
    let ends = "range(\(try repr(start)), \(try repr(stop))"
    return step.tag == .int && step.asInt == 1 ? ends + ")" : ends + ", \(try repr(step)))"
  case .slice:
    let s = v.body(SliceBody.self).pointee
    return "slice(\(try repr(s.start)), \(try repr(s.stop)), \(try repr(s.step)))"
  case .function: return "<function \(v.function.pointee.qualname.string) at \(address(v))>"
  case .builtin: return "<built-in function \(v.body(BuiltinBody.self).pointee.builtin.name)>"
  case .boundMethod:
    try checkNativeStack(" while getting the repr of an object")
    let m = v.method.pointee
    if m.function.tag == .builtin {
      return "<built-in method \(m.function.body(BuiltinBody.self).pointee.builtin.name) of "
        + "\(typeName(m.receiver)) object at \(address(m.receiver))>"
    }
    let q = m.function.tag == .function ? m.function.function.pointee.qualname.string : "?"
    return "<bound method \(q) of \(try repr(m.receiver))>"
  case .type:
    let t = v.typeObject.pointee
    return t.module == "builtins" ? "<class '\(t.name)'>" : "<class '\(t.module).\(t.qualname)'>"
  case .module: return "<module '\(v.module.pointee.name)'>"
  case .exception:
    let args = v.exceptionBody.pointee.args
    let inside = try repr(args)
    if args.tuple.pointee.count == 1 { return "\(name)(\(inside.dropFirst().dropLast(2)))" }
    return "\(name)\(inside)"
  case .native:
    if let slot = v.type.pointee.native?.repr {
      try checkNativeStack(" while getting the repr of an object")
      return try slot(v)
    }
  case .generator:
    return "<generator object \(v.body(GeneratorBody.self).pointee.qualname) at \(address(v))>"
  default: break
  }
  let t = v.type.pointee
  let shown = t.module == "builtins" ? t.name : "\(t.module).\(t.qualname)"
  return "<\(shown) object at \(address(v))>"
}
func address(_ v: Value) -> String {
  let h = String(v.bits, radix: 16)
  return "0x" + String(repeating: "0", count: max(0, 12 - h.count)) + h
}

/// `str(v)`.
public func display(_ v: Value) throws(LullError) -> String {
  if v.tag == .str { return v.str.string }
  var b = TextBuilder()
  try appendDisplay(v, &b)
  return b.string
}
func appendDisplay(_ v: Value, _ b: inout TextBuilder) throws(LullError) {
  if v.tag == .str { return b.append(v.str) }
  if v.tag == .instance || v.tag == .derived || v.tag == .exception {
    let f = v.type.lookup(.__str__)
    if !f.isUndefined { return try appendText(of: f, v, "__str__", &b) }
    if v.tag == .exception { return b.append(text: try exceptionText(v)) }
    if v.kind == .str { return b.append(v.str) }
  }
  if v.kind == .native, let slot = v.type.pointee.native?.str {
    return b.append(text: try slot(v))
  }
  try appendRepr(v, &b)
}
func displayValue(_ v: Value) throws(LullError) -> Value {
  if v.tag == .str { return v.retained() }
  if v.tag == .int { return makeStr(decimal: v.asInt) }
  var b = TextBuilder()
  try appendDisplay(v, &b)
  return b.value()
}

func joinStrings(_ p: UnsafeMutablePointer<Value>, _ n: Int) throws(LullError) -> Value {
  if n == 1 { return p[0].retained() }
  var total = 0
  for k in 0..<n { total += p[k].str.pointee.byteCount }
  if total > 1 << 24 { try checkAllocation(total, 1) }
  let s = makeStr(uninitialized: total)
  var to = s.bytes
  var count = 0
  var ascii = Header.flagASCII
  for k in 0..<n {
    let x = p[k].str
    let length = x.pointee.byteCount
    copyBytes(to, x.bytes, length)
    to += length
    count &+= x.pointee.count
    ascii &= x.pointee.h.flags
  }
  s.pointee.count = count
  s.pointee.h.flags |= ascii
  return s.value
}

/// One `{value!conversion:spec}` of an f-string: an owned exact str.
func formatPart(_ v: Value, _ spec: Value, _ conversion: UInt8) throws(LullError) -> Value {
  let hasSpec = !spec.isUndefined && spec.str.pointee.byteCount > 0
  if conversion == 0, !hasSpec {
    if v.tag == .str { return v.retained() }
    if v.tag == .int { return makeStr(decimal: v.asInt) }
  }
  var b = TextBuilder()
  if conversion == 0 {
    if hasSpec {
      try appendFormat(v, spec.str.buffer, &b)
    } else {
      try appendFormat(v, UnsafeBufferPointer(start: nil, count: 0), &b)
    }
    return b.value()
  }
  switch conversion {
  case 114: try appendRepr(v, &b)
  case 97: b.append(text: try asciiRepr(v))
  default: try appendDisplay(v, &b)
  }
  let x = b.value()
  if !hasSpec { return x }
  defer { x.release() }
  b.count = 0
  try appendFormat(x, spec.str.buffer, &b)
  return b.value()
}
func asciiRepr(_ v: Value) throws(LullError) -> String {
  if v.kind == .str { return quoted(v.str, ascii: true) }
  let t = makeStr(try repr(v))
  defer { t.release() }
  if t.str.isASCII { return t.string }
  var out = ""
  for c in t.str.codePoints {
    if c < 128 {
      out.unicodeScalars.append(Unicode.Scalar(UInt8(c)))
    } else {
      let h = String(c, radix: 16)
      let n = c < 0x100 ? 2 : c < 0x10000 ? 4 : 8
      out +=
        (n == 2 ? "\\x" : n == 4 ? "\\u" : "\\U")
        + String(repeating: "0", count: n - h.count) + h
    }
  }
  return out
}

/// A float's integer part as an int value.
func truncate(_ d: Double) throws(LullError) -> Value {
  if d.isNaN { throw LullError.valueError("cannot convert float NaN to integer") }
  if d.isInfinite { throw LullError.overflow("cannot convert float infinity to integer") }
  if abs(d) < 9e18 { return Value(Int(d)) }
  return makeBig(BigInt(d))
}
