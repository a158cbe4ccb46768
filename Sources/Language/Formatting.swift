// Text of values: repr, str, the format mini-language, `%` and `str.format`.
import BigInt
import Glibc

// MARK: - Numbers to text

/// Python's repr of a float: the shortest digits that read back the same.
public func floatText(_ d: Double) -> String {
  if d.isNaN { return "nan" }
  if d.isInfinite { return d < 0 ? "-inf" : "inf" }
  if d == 0 { return d.sign == .minus ? "-0.0" : "0.0" }
  if abs(d) < 1e15, d == d.rounded() { return "\(Int(d)).0" }
  var digits: [UInt8] = []
  var exponent = 0
  var point = -1
  var seenE = false
  var expText = 0
  var expNegative = false
  for b in "\(abs(d))".utf8 {
    switch b {
    case 46: point = digits.count
    case 101, 69: seenE = true
    case 45: expNegative = true
    case 43: break
    default: if seenE { expText = expText * 10 + Int(b) - 48 } else { digits.append(b) }
    }
  }
  if point < 0 { point = digits.count }
  exponent = point + (expNegative ? -expText : expText)
  while digits.count > 1, digits.first == 48 {
    digits.removeFirst()
    exponent -= 1
  }
  while digits.count > 1, digits.last == 48 { digits.removeLast() }
  let e = exponent - 1
  let text = String(decoding: digits, as: UTF8.self)
  let sign = d < 0 ? "-" : ""
  if e >= -4, e < 16 {
    if e < 0 { return sign + "0." + String(repeating: "0", count: -e - 1) + text }
    if digits.count <= e + 1 {
      return sign + text + String(repeating: "0", count: e + 1 - digits.count) + ".0"
    }
    return sign + text.prefix(e + 1) + "." + text.dropFirst(e + 1)
  }
  let mantissa = digits.count == 1 ? text : text.prefix(1) + "." + text.dropFirst(1)
  let expDigits = abs(e) < 10 ? "0\(abs(e))" : "\(abs(e))"
  return "\(sign)\(mantissa)e\(e < 0 ? "-" : "+")\(expDigits)"
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
  return String(b)
}
func complexText(_ re: Double, _ im: Double) -> String {
  func part(_ d: Double) -> String {
    let t = floatText(d)
    return t.hasSuffix(".0") ? String(t.dropLast(2)) : t
  }
  if re == 0, re.sign == .plus { return part(im) + "j" }
  let i = part(im)
  return "(\(part(re))\(i.hasPrefix("-") || i == "nan" && im.sign == .minus ? "" : "+")\(i)j)"
}
func parseDecimalDigits(_ s: String) throws(LullError) -> Value {
  if s.utf8.count > 4300 {
    throw LullError.valueError(
      "Exceeds the limit (4300 digits) for integer string conversion: value has "
        + "\(s.utf8.count) digits; use sys.set_int_max_str_digits() to increase the limit")
  }
  guard let b = BigInt(s, radix: 10) else {
    throw LullError.valueError("invalid literal for int() with base 10: '\(s)'")
  }
  return makeBig(b)
}
func makeUnsigned(_ u: UInt64) -> Value { makeBig(BigInt(u)) }

// MARK: - repr and str

func quoted(_ s: StrPtr, ascii: Bool = false) -> String {
  var hasSingle = false
  var hasDouble = false
  for b in s.buffer {
    if b == 39 { hasSingle = true }
    if b == 34 { hasDouble = true }
  }
  let q: UInt8 = hasSingle && !hasDouble ? 34 : 39
  var out: [UInt8] = [q]
  func hex(_ c: UInt32, _ n: Int) {
    for k in stride(from: (n - 1) * 4, through: 0, by: -4) {
      out.append(Array("0123456789abcdef".utf8)[Int(c >> UInt32(k)) & 15])
    }
  }
  var i = 0
  let n = s.pointee.byteCount
  while i < n {
    let (c, l) = s.decode(i)
    switch c {
    case 10: out += Array("\\n".utf8)
    case 13: out += Array("\\r".utf8)
    case 9: out += Array("\\t".utf8)
    case 92: out += Array("\\\\".utf8)
    case UInt32(q): out += [92, q]
    case 0..<32, 127:
      out += Array("\\x".utf8)
      hex(c, 2)
    case 32..<127: out.append(UInt8(c))
    default:
      if !ascii, isPrintable(c) {
        appendUTF8(c, to: &out)
      } else if c < 0x100 {
        out += Array("\\x".utf8)
        hex(c, 2)
      } else if c < 0x10000 {
        out += Array("\\u".utf8)
        hex(c, 4)
      } else {
        out += Array("\\U".utf8)
        hex(c, 8)
      }
    }
    i += l
  }
  out.append(q)
  return String(decoding: out, as: UTF8.self)
}
func isPrintable(_ c: UInt32) -> Bool {
  if c >= 32, c < 127 { return true }
  guard let u = Unicode.Scalar(c) else { return false }
  switch u.properties.generalCategory {
  case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
    .paragraphSeparator:
    return false
  case .spaceSeparator: return c == 32
  default: return true
  }
}
func quotedBytes(_ b: [UInt8]) -> String {
  let q: UInt8 = b.contains(39) && !b.contains(34) ? 34 : 39
  var out = "b" + String(UnicodeScalar(q))
  for x in b {
    switch x {
    case 10: out += "\\n"
    case 13: out += "\\r"
    case 9: out += "\\t"
    case 92: out += "\\\\"
    case q: out += "\\" + String(UnicodeScalar(q))
    case 32..<127: out += String(UnicodeScalar(x))
    default: out += "\\x" + (x < 16 ? "0" : "") + String(x, radix: 16)
    }
  }
  return out + String(UnicodeScalar(q))
}

nonisolated(unsafe) private var reprStack: [UInt64] = []

public func repr(_ v: Value) throws(LullError) -> String {
  switch v.tag {
  case .undefined: return "<undefined>"
  case .none: return "None"
  case .bool: return v.asBool ? "True" : "False"
  case .int: return String(v.asInt)
  case .float: return floatText(v.asDouble)
  case .singleton: return v.bits == 0 ? "NotImplemented" : "Ellipsis"
  case .str: return quoted(v.str)
  case .instance, .derived, .exception:
    let f = v.type.lookup(.__repr__)
    if !f.isUndefined {
      try checkNativeStack(" while getting the repr of an object")
      let r = try callMethod(f, v)
      defer { r.release() }
      guard r.kind == .str else {
        throw LullError.typeError("__repr__ returned non-string (type \(typeName(r)))")
      }
      return r.string
    }
  default: break
  }
  let name = v.type.pointee.name
  switch v.kind {
  case .str: return quoted(v.str)
  case .bigInt: return try bigText(v.bigInt)
  case .float: return floatText(try doubleOf(v))
  case .complex: return complexText(v.body(ComplexBody.self).pointee.re, v.body(ComplexBody.self).pointee.im)
  case .bytes: return quotedBytes(v.bytes)
  case .list, .tuple, .dict, .set, .dictView:
    if reprStack.contains(v.bits) {
      switch v.kind {
      case .list: return "[...]"
      case .tuple: return "(...)"
      case .dict: return "{...}"
      default: return "\(name)(...)"
      }
    }
    try checkNativeStack(" while getting the repr of an object")
    reprStack.append(v.bits)
    defer { reprStack.removeLast() }
    var parts: [String] = []
    switch v.kind {
    case .list:
      var k = 0
      while k < v.list.pointee.count {
        let x = v.list.pointee.items[k].retained()
        defer { x.release() }
        parts.append(try repr(x))
        k += 1
      }
      return "[" + parts.joined(separator: ", ") + "]"
    case .tuple:
      for k in 0..<v.tuple.pointee.count { parts.append(try repr(v.tuple.items[k])) }
      return parts.count == 1 ? "(\(parts[0]),)" : "(" + parts.joined(separator: ", ") + ")"
    case .dict:
      for (k, x) in dictItems(v) { parts.append(try repr(k) + ": " + (try repr(x))) }
      return "{" + parts.joined(separator: ", ") + "}"
    case .set:
      for e in v.set.elements { parts.append(try repr(e.key)) }
      let inside = parts.joined(separator: ", ")
      if v.set.isFrozen || v.tag == .derived {
        return parts.isEmpty ? "\(name)()" : "\(name)({\(inside)})"
      }
      return parts.isEmpty ? "set()" : "{\(inside)}"
    default:
      let list = try collect(v)
      defer { for x in list { x.release() } }
      for x in list { parts.append(try repr(x)) }
      return "\(name)([" + parts.joined(separator: ", ") + "])"
    }
  case .range:
    let r = v.range.pointee
    return r.step == 1
      ? "range(\(r.start), \(r.stop))" : "range(\(r.start), \(r.stop), \(r.step))"
  case .slice:
    let s = v.body(SliceBody.self).pointee
    return "slice(\(try repr(s.start)), \(try repr(s.stop)), \(try repr(s.step)))"
  case .function: return "<function \(v.function.pointee.qualname.string) at \(address(v))>"
  case .builtin: return "<built-in function \(v.body(BuiltinBody.self).pointee.builtin.name)>"
  case .boundMethod:
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
    if let slot = v.type.pointee.native?.repr { return try slot(v) }
  case .generator:
    return "<generator object \(v.body(GeneratorBody.self).pointee.name) at \(address(v))>"
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
  if v.tag == .instance || v.tag == .derived || v.tag == .exception {
    let f = v.type.lookup(.__str__)
    if !f.isUndefined {
      try checkNativeStack()
      let r = try callMethod(f, v)
      defer { r.release() }
      guard r.kind == .str else {
        throw LullError.typeError("__str__ returned non-string (type \(typeName(r)))")
      }
      return r.string
    }
    if v.tag == .exception { return try exceptionText(v) }
    if v.kind == .str, v.type.lookup(.__repr__).isUndefined { return v.str.string }
  }
  if v.kind == .native, let slot = v.type.pointee.native?.str { return try slot(v) }
  return try repr(v)
}
func displayValue(_ v: Value) throws(LullError) -> Value {
  if v.tag == .str { return v.retained() }
  return makeStr(try display(v))
}

func joinStrings(_ p: UnsafeMutablePointer<Value>, _ n: Int) throws(LullError) -> Value {
  if n == 1 { return p[0].retained() }
  var total = 0
  for k in 0..<n { total += p[k].str.pointee.byteCount }
  if total > 1 << 24 { try checkAllocation(total, 1) }
  let s = makeStr(uninitialized: total)
  var at = 0
  var count = 0
  var ascii = Header.flagASCII
  for k in 0..<n {
    let x = p[k].str
    memcpy(s.bytes + at, x.bytes, x.pointee.byteCount)
    at += x.pointee.byteCount
    count += x.pointee.count
    ascii &= x.pointee.h.flags
  }
  s.pointee.count = count
  s.pointee.h.flags |= ascii
  return s.value
}

/// One `{value!conversion:spec}` of an f-string: an owned exact str.
func formatPart(_ v: Value, _ spec: Value, _ conversion: UInt8) throws(LullError) -> Value {
  var x = v.retained()
  defer { x.release() }
  if conversion != 0 {
    let t: String
    switch conversion {
    case 114: t = try repr(v)
    case 97: t = try asciiRepr(v)
    default: t = try display(v)
    }
    x.release()
    x = makeStr(t)
  }
  if spec.isUndefined || spec.str.pointee.byteCount == 0 {
    if x.tag == .str { return x.retained() }
    if x.tag.rawValue <= Tag.float.rawValue { return makeStr(try repr(x)) }
  }
  return makeStr(try format(x, spec.isUndefined ? "" : spec.string))
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
      out += (n == 2 ? "\\x" : n == 4 ? "\\u" : "\\U")
        + String(repeating: "0", count: n - h.count) + h
    }
  }
  return out
}

// MARK: - The format mini-language

struct FormatSpec {
  var fill: Character = " "
  var align: Character?
  var sign: Character = "-"
  var alternate = false
  var zero = false
  var width = 0
  var grouping: Character?
  var precision: Int?
  var type: Character?
  var negativeZero = false

  init(_ text: String, typeName name: String) throws(LullError) {
    let c = Array(text)
    var i = 0
    let aligns: Set<Character> = ["<", ">", "=", "^"]
    if c.count >= 2, aligns.contains(c[1]) {
      fill = c[0]
      align = c[1]
      i = 2
    } else if let first = c.first, aligns.contains(first) {
      align = first
      i = 1
    }
    if i < c.count, "+- ".contains(c[i]) {
      sign = c[i]
      i += 1
    }
    if i < c.count, c[i] == "z" {
      negativeZero = true
      i += 1
    }
    if i < c.count, c[i] == "#" {
      alternate = true
      i += 1
    }
    if i < c.count, c[i] == "0" {
      zero = true
      if align == nil {
        fill = "0"
        align = "="
      }
      i += 1
    }
    func number() throws(LullError) -> Int? {
      var n = 0
      var any = false
      while i < c.count, let d = c[i].wholeNumberValue, c[i].isASCII {
        n = n * 10 + d
        any = true
        i += 1
        if n > 1 << 31 { throw LullError.valueError("Too many decimal digits in format string") }
      }
      return any ? n : nil
    }
    width = try number() ?? 0
    if i < c.count, c[i] == "," || c[i] == "_" {
      grouping = c[i]
      i += 1
    }
    if i < c.count, c[i] == "." {
      i += 1
      guard let p = try number() else {
        throw LullError.valueError("Format specifier missing precision")
      }
      precision = p
    }
    if i < c.count {
      type = c[i]
      i += 1
    }
    if i < c.count {
      throw LullError.valueError(
        "Invalid format specifier '\(text)' for object of type '\(name)'")
    }
    try checkAllocation(width, 4)
  }

  func pad(_ s: String, defaultAlign: Character, signLength: Int = 0) -> String {
    let n = s.unicodeScalars.count
    if n >= width { return s }
    let missing = width - n
    let f = String(fill)
    switch align ?? defaultAlign {
    case "<": return s + String(repeating: f, count: missing)
    case "^":
      return String(repeating: f, count: missing / 2) + s
        + String(repeating: f, count: missing - missing / 2)
    case "=":
      return s.prefix(signLength) + String(repeating: f, count: missing)
        + s.dropFirst(signLength)
    default: return String(repeating: f, count: missing) + s
    }
  }
  func group(_ digits: String, every n: Int = 3, minimum: Int = 0) -> String {
    guard let g = grouping else { return digits }
    var d = Array(digits)
    if minimum > 0 {
      // Zero padding counts the separators.
      while d.count + (d.count - 1) / n < minimum { d.insert("0", at: 0) }
    }
    var out: [Character] = []
    for (k, ch) in d.enumerated() {
      if k > 0, (d.count - k) % n == 0 { out.append(g) }
      out.append(ch)
    }
    return String(out)
  }
}

/// `format(v, spec)`.
public func format(_ v: Value, _ spec: String) throws(LullError) -> String {
  if v.tag == .instance || v.tag == .derived || v.tag == .exception {
    let f = v.type.lookup(.__format__)
    if !f.isUndefined {
      let s = makeStr(spec)
      defer { s.release() }
      let r = try callMethod(f, v, s)
      defer { r.release() }
      guard r.kind == .str else {
        throw LullError.typeError("__format__ must return a str, not \(typeName(r))")
      }
      return r.string
    }
  }
  if v.kind == .native, let slot = v.type.pointee.native?.format { return try slot(v, spec) }
  if spec.isEmpty { return try display(v) }
  switch v.kind {
  case .str:
    let f = try FormatSpec(spec, typeName: "str")
    if let t = f.type, t != "s" { throw unknownCode(t, "str") }
    if f.align == "=" {
      throw LullError.valueError("'=' alignment not allowed in string format specifier")
    }
    if f.sign != "-" { throw LullError.valueError("Sign not allowed in string format specifier") }
    var s = v.str.string
    if let p = f.precision { s = String(String.UnicodeScalarView(s.unicodeScalars.prefix(p))) }
    return f.pad(s, defaultAlign: "<")
  case .bool, .int, .bigInt:
    let f = try FormatSpec(spec, typeName: typeName(v))
    if v.tag == .bool, f.type == nil { return f.pad(try repr(v), defaultAlign: ">") }
    return try formatInt(v, f)
  case .float:
    return try formatFloat(try doubleOf(v), try FormatSpec(spec, typeName: "float"), "float")
  case .complex:
    let f = try FormatSpec(spec, typeName: "complex")
    let p = v.body(ComplexBody.self).pointee
    var plain = f
    plain.width = 0
    plain.align = nil
    let re = try formatFloat(p.re, plain, "complex")
    plain.sign = "+"
    return f.pad(re + (try formatFloat(p.im, plain, "complex")) + "j", defaultAlign: ">")
  default:
    throw LullError.typeError("unsupported format string passed to \(typeName(v)).__format__")
  }
}
private func unknownCode(_ t: Character, _ type: String) -> LullError {
  LullError.valueError("Unknown format code '\(t)' for object of type '\(type)'")
}
private func formatInt(_ v: Value, _ f: FormatSpec) throws(LullError) -> String {
  let t = f.type ?? "d"
  if "eEfFgG%".contains(t) { return try formatFloat(try doubleOf(v), f, "int") }
  if f.precision != nil {
    throw LullError.valueError("Precision not allowed in integer format specifier")
  }
  let n = v.integer ?? 0
  var digits: String
  var prefix = ""
  var every = 3
  switch t {
  case "d", "n": digits = try bigText(n.sign == .minus ? -n : n)
  case "b":
    digits = String(n.magnitude, radix: 2)
    prefix = "0b"
    every = 4
  case "o":
    digits = String(n.magnitude, radix: 8)
    prefix = "0o"
    every = 4
  case "x":
    digits = String(n.magnitude, radix: 16)
    prefix = "0x"
    every = 4
  case "X":
    digits = String(n.magnitude, radix: 16, uppercase: true)
    prefix = "0X"
    every = 4
  case "c":
    guard let i = Int(exactly: n), let u = Unicode.Scalar(UInt32(clamping: i)), i >= 0 else {
      throw LullError.overflow("%c arg not in range(0x110000)")
    }
    return f.pad(String(Character(u)), defaultAlign: "<")
  default: throw unknownCode(t, typeName(v))
  }
  if f.grouping == ",", t != "d" {
    throw LullError.valueError("Cannot specify ',' with '\(t)'.")
  }
  var sign = n.sign == .minus ? "-" : f.sign == "-" ? "" : String(f.sign)
  if f.alternate { sign += prefix }
  let minimum = f.zero && f.align == "=" && f.fill == "0" ? f.width - sign.count : 0
  digits = f.group(digits, every: every, minimum: f.grouping != nil ? minimum : 0)
  return f.pad(sign + digits, defaultAlign: ">", signLength: sign.count)
}
func formatFloat(_ value: Double, _ f: FormatSpec, _ typeName: String) throws(LullError) -> String {
  var d = abs(value)
  var negative = value.sign == .minus && !value.isNaN
  var body: String
  let t = f.type
  if let p = f.precision, p > 100_000 { throw LullError.valueError("precision too big") }
  if value.isNaN || value.isInfinite {
    body = value.isNaN ? "nan" : "inf"
    if t == "F" || t == "E" || t == "G" { body = body.uppercased() }
    if t == "%" { body += "%" }
  } else {
    switch t {
    case nil:
      if let p = f.precision {
        body = generalText(d, max(p, 1), keepPoint: true, f.alternate)
      } else {
        body = floatText(d)
      }
    case "f", "F": body = cFormat(f.alternate ? "%#.*f" : "%.*f", f.precision ?? 6, d)
    case "e": body = cFormat(f.alternate ? "%#.*e" : "%.*e", f.precision ?? 6, d)
    case "E": body = cFormat("%.*E", f.precision ?? 6, d)
    case "g", "n": body = cFormat(f.alternate ? "%#.*g" : "%.*g", f.precision ?? 6, d)
    case "G": body = cFormat("%.*G", f.precision ?? 6, d)
    case "%":
      d *= 100
      body = cFormat("%.*f", f.precision ?? 6, d) + "%"
    default: throw unknownCode(t ?? "?", typeName)
    }
  }
  if f.negativeZero, negative, !body.contains(where: { ("1"..."9").contains($0) }) {
    negative = false
  }
  let sign = negative ? "-" : f.sign == "-" ? "" : String(f.sign)
  if f.grouping != nil, !value.isNaN, !value.isInfinite {
    let end = body.firstIndex { !$0.isNumber } ?? body.endIndex
    let tail = body[end...]
    let minimum =
      f.zero && f.align == "=" && f.fill == "0" ? f.width - sign.count - tail.count : 0
    body = f.group(String(body[..<end]), minimum: minimum) + tail
  }
  return f.pad(sign + body, defaultAlign: ">", signLength: sign.count)
}
/// Precision without a type: like g, but with at least one digit after the point.
private func generalText(_ d: Double, _ p: Int, keepPoint: Bool, _ alternate: Bool) -> String {
  if d == 0 { return "0.0" }
  let e = cFormat("%.*e", p - 1, d)
  let exponent = Int(e[e.index(after: e.lastIndex(of: "e") ?? e.startIndex)...]) ?? 0
  if exponent >= -4, exponent < p {
    let t = cFormat("%.*g", p, d)
    return t.contains(".") ? t : t.contains("e") ? t : t + ".0"
  }
  return cFormat("%.*g", p, d)
}

// MARK: - str.format

func formatTemplate(_ template: String, _ args: [Value], _ kwargs: DictPtr?) throws(LullError)
  -> String
{
  var auto = 0
  var mode = 0
  return try formatLevel(Array(template), args, kwargs, &auto, &mode, depth: 0)
}
private func formatLevel(
  _ c: [Character], _ args: [Value], _ kwargs: DictPtr?, _ auto: inout Int, _ mode: inout Int,
  depth: Int
) throws(LullError) -> String {
  if depth > 2 { throw LullError.valueError("Max string recursion exceeded") }
  var out = ""
  var i = 0
  while i < c.count {
    if c[i] == "{" {
      if i + 1 < c.count, c[i + 1] == "{" {
        out.append("{")
        i += 2
        continue
      }
      var level = 1
      var j = i + 1
      var bracket = false
      while j < c.count {
        if c[j] == "[" { bracket = true }
        if c[j] == "]" { bracket = false }
        if !bracket || level > 1 {
          if c[j] == "{" { level += 1 }
          if c[j] == "}" {
            level -= 1
            if level == 0 { break }
          }
        }
        j += 1
      }
      if j >= c.count {
        throw LullError.valueError(
          i + 1 >= c.count ? "Single '{' encountered in format string" : "expected '}' before end of string")
      }
      let field = Array(c[(i + 1)..<j])
      i = j + 1
      var k = 0
      var inBracket = false
      while k < field.count {
        if field[k] == "[" { inBracket = true }
        if field[k] == "]" { inBracket = false }
        if !inBracket, field[k] == "!" || field[k] == ":" { break }
        k += 1
      }
      let name = String(field[..<k])
      var conversion: Character?
      if k < field.count, field[k] == "!" {
        guard k + 1 < field.count else {
          throw LullError.valueError("end of string while looking for conversion specifier")
        }
        conversion = field[k + 1]
        k += 2
        if k < field.count, field[k] != ":" {
          throw LullError.valueError("expected ':' after conversion specifier")
        }
      }
      var spec = ""
      if k < field.count {
        spec = try formatLevel(
          Array(field[(k + 1)...]), args, kwargs, &auto, &mode, depth: depth + 1)
      }
      var v = try fieldValue(name, args, kwargs, &auto, &mode)
      defer { v.release() }
      if let conversion {
        let t: String
        switch conversion {
        case "r": t = try repr(v)
        case "s": t = try display(v)
        case "a": t = try asciiRepr(v)
        default:
          throw LullError.valueError("Unknown conversion specifier \(conversion)")
        }
        v.release()
        v = makeStr(t)
      }
      out += try format(v, spec)
    } else if c[i] == "}" {
      if i + 1 < c.count, c[i + 1] == "}" {
        out.append("}")
        i += 2
        continue
      }
      throw LullError.valueError("Single '}' encountered in format string")
    } else {
      out.append(c[i])
      i += 1
    }
  }
  return out
}
private func fieldValue(
  _ name: String, _ args: [Value], _ kwargs: DictPtr?, _ auto: inout Int, _ mode: inout Int
) throws(LullError) -> Value {
  var rest = Substring(name)
  let head = rest.prefix { $0 != "." && $0 != "[" }
  rest = rest.dropFirst(head.count)
  var v: Value
  if head.isEmpty || head.allSatisfy({ $0.isNumber }) {
    let index: Int
    if head.isEmpty {
      if mode == 2 {
        throw LullError.valueError(
          "cannot switch from manual field specification to automatic field numbering")
      }
      mode = 1
      index = auto
      auto += 1
    } else {
      if mode == 1 {
        throw LullError.valueError(
          "cannot switch from automatic field numbering to manual field specification")
      }
      mode = 2
      index = Int(head) ?? Int.max
    }
    guard index < args.count else {
      throw LullError.index("Replacement index \(index) out of range for positional args tuple")
    }
    v = args[index].retained()
  } else {
    let key = makeStr(String(head))
    defer { key.release() }
    guard let found = kwargs?.get(key.str) else { throw keyError(key) }
    v = found.retained()
  }
  while let first = rest.first {
    let next: Value
    if first == "." {
      let attr = rest.dropFirst().prefix { $0 != "." && $0 != "[" }
      rest = rest.dropFirst(attr.count + 1)
      next = try getAttribute(v, interned(String(attr)))
    } else {
      let key = rest.dropFirst().prefix { $0 != "]" }
      rest = rest.dropFirst(min(rest.count, key.count + 2))
      let k = Int(key).map { Value($0) } ?? makeStr(String(key))
      defer { k.release() }
      next = try getItem(v, k)
    }
    v.release()
    v = next
  }
  return v
}

// MARK: - % formatting

func percentFormat(_ s: StrPtr, _ values: Value) throws(LullError) -> Value {
  let c = Array(s.string)
  var out = ""
  var i = 0
  var next = 0
  let tuple = values.kind == .tuple ? values.tuple : nil
  let mapping = values.kind == .dict ? values.dict : nil
  func argument() throws(LullError) -> Value {
    if let tuple {
      guard next < tuple.pointee.count else {
        throw LullError.typeError("not enough arguments for format string")
      }
      next += 1
      return tuple.items[next - 1]
    }
    if next > 0 { throw LullError.typeError("not enough arguments for format string") }
    next += 1
    return values
  }
  while i < c.count {
    if c[i] != "%" {
      out.append(c[i])
      i += 1
      continue
    }
    i += 1
    if i >= c.count { throw LullError.valueError("incomplete format") }
    if c[i] == "%" {
      out.append("%")
      i += 1
      continue
    }
    var keyed: Value?
    if c[i] == "(" {
      guard let end = c[i...].firstIndex(of: ")") else {
        throw LullError.valueError("incomplete format key")
      }
      guard let mapping else { throw LullError.typeError("format requires a mapping") }
      let key = makeStr(String(c[(i + 1)..<end]))
      defer { key.release() }
      guard let v = mapping.get(key.str) else { throw keyError(key) }
      keyed = v
      next = 1
      i = end + 1
    }
    var left = false
    var zero = false
    var plus = false
    var space = false
    var alternate = false
    while i < c.count, "-+ #0".contains(c[i]) {
      switch c[i] {
      case "-": left = true
      case "+": plus = true
      case " ": space = true
      case "#": alternate = true
      default: zero = true
      }
      i += 1
    }
    func number() throws(LullError) -> Int? {
      if i < c.count, c[i] == "*" {
        i += 1
        return try indexOf(try argument())
      }
      var n = 0
      var any = false
      while i < c.count, let d = c[i].wholeNumberValue {
        n = min(n * 10 + d, 1 << 40)
        any = true
        i += 1
      }
      return any ? n : nil
    }
    var width = try number() ?? 0
    if width < 0 {
      left = true
      width = -width
    }
    try checkAllocation(width, 4)
    var precision: Int?
    if i < c.count, c[i] == "." {
      i += 1
      precision = try number() ?? 0
    }
    while i < c.count, "hlL".contains(c[i]) { i += 1 }
    guard i < c.count else { throw LullError.valueError("incomplete format") }
    let t = c[i]
    i += 1
    let v: Value
    if let keyed { v = keyed } else { v = try argument() }
    var text: String
    var spec = try FormatSpec("", typeName: "str")
    spec.width = width
    if left { spec.align = "<" }
    if plus { spec.sign = "+" } else if space { spec.sign = " " }
    spec.alternate = alternate
    switch t {
    case "s", "r", "a":
      text = t == "s" ? try display(v) : t == "r" ? try repr(v) : try asciiRepr(v)
      if let p = precision { text = String(text.prefix(p)) }
      text = spec.pad(text, defaultAlign: ">")
    case "d", "i", "u", "x", "X", "o":
      var n = v
      if v.kind == .float, t == "d" || t == "i" || t == "u" {
        n = try truncate(try doubleOf(v))
      } else if !v.isInteger {
        if t == "d" || t == "i" || t == "u" {
          throw LullError.typeError(
            "%\(t) format: a real number is required, not \(typeName(v))")
        }
        throw LullError.typeError("%\(t) format: an integer is required, not \(typeName(v))")
      }
      if let p = precision {
        var digits = t == "x" ? String((n.integer ?? 0).magnitude, radix: 16) : try bigText(BigInt((n.integer ?? 0).magnitude))
        while digits.count < p { digits = "0" + digits }
        let sign = (n.integer ?? 0).sign == .minus ? "-" : plus ? "+" : space ? " " : ""
        text = spec.pad(sign + digits, defaultAlign: ">")
      } else {
        if zero, !left {
          spec.fill = "0"
          spec.align = "="
        }
        spec.type = t == "i" || t == "u" ? "d" : t
        text = try formatInt(n, spec)
      }
    case "f", "F", "e", "E", "g", "G":
      guard v.kind == .float || v.isInteger || v.tag == .instance || v.kind == .native else {
        throw LullError.typeError("must be real number, not \(typeName(v))")
      }
      spec.type = t
      spec.precision = precision
      if zero, !left {
        spec.fill = "0"
        spec.align = "="
      }
      text = try formatFloat(try doubleOf(v), spec, "float")
    case "c":
      text = v.kind == .str ? v.string : String(Character(Unicode.Scalar(UInt32(clamping: try indexOf(v))) ?? "?"))
      text = spec.pad(text, defaultAlign: ">")
    default:
      throw LullError.valueError(
        "unsupported format character '\(t)' (0x\(String(t.unicodeScalars.first?.value ?? 0, radix: 16))) at index \(i - 1)")
    }
    out += text
  }
  if let tuple, next < tuple.pointee.count {
    throw LullError.typeError("not all arguments converted during string formatting")
  }
  if tuple == nil, mapping == nil, next == 0 {
    throw LullError.typeError("not all arguments converted during string formatting")
  }
  return makeStr(out)
}

/// A float's integer part as an int value.
func truncate(_ d: Double) throws(LullError) -> Value {
  if d.isNaN { throw LullError.valueError("cannot convert float NaN to integer") }
  if d.isInfinite { throw LullError.overflow("cannot convert float infinity to integer") }
  if abs(d) < 9e18 { return Value(Int(d)) }
  return makeBig(BigInt(d))
}
