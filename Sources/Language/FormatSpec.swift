// The format mini-language: `[[fill]align][sign][z][#][0][width][grouping][.precision][type]`.
//
// Specs are read from bytes and results written to a `TextBuilder`; the number's digits are made in
// a second builder when they must be padded.
import BigInt
import Glibc

struct FormatSpec {
  var fill: UInt32 = 32
  /// 0 when not given.
  var align: UInt8 = 0
  var sign: UInt8 = 45
  var hasSign = false
  var alternate = false
  var zero = false
  var width = 0
  var grouping: UInt8 = 0
  var precision = -1
  var type: UInt32 = 0
  var negativeZero = false
  /// The alignment is the text's own, not what a zero before the width means.
  var hasAlign = true

  init() {}

  /// Short specs are parsed once: those that follow find it in a table by their bytes.
  @inline(__always) static func parsed(
    _ c: UnsafeBufferPointer<UInt8>, typeName name: @autoclosure () -> String
  ) throws(LullError) -> FormatSpec {
    let n = c.count
    guard n > 0, n <= 7, let p = c.baseAddress else { return try FormatSpec(c, typeName: name()) }
    var key = UInt64(n)
    for i in 0..<n { key = key << 8 | UInt64(p[i]) }
    let slots = knownSpecs ?? makeKnownSpecs()
    let slot = slots + Int((key &* 0x9E37_79B9_7F4A_7C15) &>> 58)
    if slot.pointee.key == key { return slot.pointee.spec }
    let new = try FormatSpec(c, typeName: name())
    if new.width <= 1 << 20 { slot.pointee = KnownSpec(key: key, spec: new) }
    return new
  }

  init(_ c: UnsafeBufferPointer<UInt8>, typeName name: @autoclosure () -> String)
    throws(LullError)
  {
    let n = c.count
    var i = 0
    func isAlign(_ b: UInt8) -> Bool { b == 60 || b == 62 || b == 61 || b == 94 }
    func number() throws(LullError) -> Int {
      var x = -1
      while i < n, c[i] >= 48, c[i] <= 57 {
        let (tens, over) = max(x, 0).multipliedReportingOverflow(by: 10)
        let (sum, past) = tens.addingReportingOverflow(Int(c[i]) - 48)
        x = sum
        i += 1
        if over || past { throw LullError.valueError("Too many decimal digits in format string") }
      }
      return x
    }
    func codePoint(_ at: Int) -> (UInt32, Int) {
      let l = min(utf8Length(c[at]), n - at)
      if l == 1 { return (UInt32(c[at]), 1) }
      var x = UInt32(c[at]) & (l == 2 ? 0x1F : l == 3 ? 0x0F : 0x07)
      for k in 1..<l { x = x << 6 | UInt32(c[at + k]) & 0x3F }
      return (x, l)
    }
    var hasFill = false
    if n > 0 {
      let (first, l) = codePoint(0)
      if l < n, isAlign(c[l]) {
        hasFill = true
        fill = first
        align = c[l]
        i = l + 1
      } else if isAlign(c[0]) {
        align = c[0]
        i = 1
      }
    }
    if i < n, c[i] == 43 || c[i] == 45 || c[i] == 32 {
      sign = c[i]
      hasSign = true
      i += 1
    }
    if i < n, c[i] == 122 {
      negativeZero = true
      i += 1
    }
    if i < n, c[i] == 35 {
      alternate = true
      i += 1
    }
    if i < n, c[i] == 48 {
      zero = true
      if !hasFill { fill = 48 }
      hasAlign = align != 0
      if !hasAlign { align = 61 }
      i += 1
    }
    width = max(try number(), 0)
    if i < n, c[i] == 44 {
      grouping = 44
      i += 1
    }
    if i < n, c[i] == 95 {
      if grouping != 0 { throw LullError.valueError("Cannot specify both ',' and '_'.") }
      grouping = 95
      i += 1
    }
    if i < n, c[i] == 44, grouping != 0 {
      throw LullError.valueError(
        grouping == 95 ? "Cannot specify both ',' and '_'." : "Cannot specify ',' with ','.")
    }
    if i < n, c[i] == 46 {
      i += 1
      precision = try number()
      if precision < 0 { throw LullError.valueError("Format specifier missing precision") }
    }
    if i < n {
      let (t, l) = codePoint(i)
      type = t
      i += l
    }
    if i < n {
      throw LullError.valueError(
        "Invalid format specifier '\(String(decoding: c, as: UTF8.self))' for object of type "
          + "'\(name())'")
    }
    if width > 1 << 20 { try checkAllocation(width, 8) }
  }

  /// Appends `s` padded to the width. `signLength` bytes stay before the padding of `=`.
  func pad(
    _ s: borrowing TextBuilder, _ out: inout TextBuilder, defaultAlign: UInt8,
    signLength: Int = 0
  ) {
    pad(s.bytes, s.count, s.codePointCount, &out, defaultAlign, signLength)
  }
  func pad(
    _ p: UnsafePointer<UInt8>, _ n: Int, _ codePoints: Int, _ out: inout TextBuilder,
    _ defaultAlign: UInt8, _ signLength: Int = 0
  ) {
    let missing = width - codePoints
    if missing <= 0 { return out.append(p, n) }
    var before = missing
    var head = 0
    switch align == 0 ? defaultAlign : align {
    case 60: before = 0
    case 94: before = missing / 2
    case 61: head = signLength
    default: break
    }
    out.append(p, head)
    appendFill(before, &out)
    out.append(p + head, n - head)
    appendFill(missing - before, &out)
  }
  /// Pads the ASCII text that `out` has from `start` on, where it stands.
  func pad(_ out: inout TextBuilder, from start: Int, defaultAlign: UInt8, signLength: Int = 0) {
    let n = out.count - start
    let missing = width - n
    if missing <= 0 { return }
    var before = missing
    var head = 0
    switch align == 0 ? defaultAlign : align {
    case 60: before = 0
    case 94: before = missing / 2
    case 61: head = signLength
    default: break
    }
    if fill < 0x80 {
      let byte = UInt8(truncatingIfNeeded: fill)
      out.insert(repeating: byte, before, at: start + head)
      out.append(repeating: byte, missing - before)
      return
    }
    var text = TextBuilder()
    text.append(out.bytes + start, n)
    out.count = start
    pad(text, &out, defaultAlign: defaultAlign, signLength: signLength)
  }
  private func appendFill(_ n: Int, _ out: inout TextBuilder) {
    if fill < 0x80 { return out.append(repeating: UInt8(truncatingIfNeeded: fill), n) }
    for _ in 0..<n { out.append(codePoint: fill) }
  }
  /// Appends ASCII digits with separators, after zeros up to `minimum` places (separators count).
  func group(
    _ p: UnsafePointer<UInt8>, _ count: Int, _ out: inout TextBuilder, every n: Int = 3,
    minimum: Int = 0
  ) {
    if grouping == 0 { return out.append(p, count) }
    var total = count
    if minimum > 0 {
      while total + (total - 1) / n < minimum { total += 1 }
    }
    for k in 0..<total {
      if k > 0, (total - k) % n == 0 { out.append(grouping) }
      out.append(k < total - count ? 48 : p[k - (total - count)])
    }
  }
}

/// A spec by its length and bytes.
private struct KnownSpec {
  var key: UInt64 = 0
  var spec = FormatSpec()
}
@exclusivity(unchecked) nonisolated(unsafe) private var knownSpecs: UnsafeMutablePointer<KnownSpec>?
@inline(never) private func makeKnownSpecs() -> UnsafeMutablePointer<KnownSpec> {
  let p = UnsafeMutablePointer<KnownSpec>.allocate(capacity: 64)
  p.initialize(repeating: KnownSpec(), count: 64)
  knownSpecs = p
  return p
}

/// `format(v, spec)`.
public func format(_ v: Value, _ spec: String) throws(LullError) -> String {
  var b = TextBuilder()
  let s = makeStr(spec)
  defer { s.release() }
  try appendFormat(v, s.str.buffer, &b)
  return b.string
}

func appendFormat(
  _ v: Value, _ spec: UnsafeBufferPointer<UInt8>, _ out: inout TextBuilder
) throws(LullError) {
  if v.tag == .instance || v.tag == .derived || v.tag == .exception {
    let f = v.type.lookup(.__format__)
    if !f.isUndefined {
      try checkNativeStack()
      let s = spec.baseAddress.map { makeStr($0, spec.count) } ?? makeStr("")
      defer { s.release() }
      let r = try callMethod(f, v, s)
      defer { r.release() }
      guard r.kind == .str else {
        throw LullError.typeError("__format__ must return a str, not \(typeName(r))")
      }
      return out.append(r.str)
    }
  }
  if v.kind == .native, let slot = v.type.pointee.native?.format {
    return out.append(text: try slot(v, String(decoding: spec, as: UTF8.self)))
  }
  if spec.isEmpty { return try appendDisplay(v, &out) }
  switch v.kind {
  case .str:
    let f = try FormatSpec.parsed(spec, typeName: "str")
    if f.type != 0, f.type != 115 { throw unknownCode(f.type, "str") }
    if f.grouping != 0 {
      throw LullError.valueError("Cannot specify '\(UnicodeScalar(f.grouping))' with 's'.")
    }
    if f.hasSign {
      throw LullError.valueError(
        "\(f.sign == 32 ? "Space" : "Sign") not allowed in string format specifier")
    }
    if f.negativeZero {
      throw LullError.valueError(
        "Negative zero coercion (z) not allowed in string format specifier")
    }
    if f.alternate {
      throw LullError.valueError("Alternate form (#) not allowed in string format specifier")
    }
    if f.align == 61, f.hasAlign {
      throw LullError.valueError("'=' alignment not allowed in string format specifier")
    }
    let s = v.str
    var bytes = s.pointee.byteCount
    var count = s.pointee.count
    if f.precision >= 0, f.precision < count {
      count = f.precision
      bytes = s.offset(of: count)
    }
    // A zero before the width fills, but on the right.
    var padded = f
    if f.zero, f.align == 61 { padded.align = 60 }
    padded.pad(s.bytes, bytes, count, &out, 60)
  case .bool, .int, .bigInt:
    let f = try FormatSpec.parsed(spec, typeName: typeName(v))
    try appendFormattedInt(v, f, &out)
  case .float:
    try appendFormattedFloat(
      try doubleOf(v), try FormatSpec.parsed(spec, typeName: "float"), "float", &out)
  case .complex:
    let f = try FormatSpec.parsed(spec, typeName: "complex")
    let p = v.body(ComplexBody.self).pointee
    switch f.type {
    case 0, 102, 70, 101, 69, 103, 110, 71: break
    default: throw unknownCode(f.type, "complex")
    }
    if f.fill == 48 {
      throw LullError.valueError("Zero padding is not allowed in complex format specifier")
    }
    if f.align == 61 {
      throw LullError.valueError("'=' alignment flag is not allowed in complex format specifier")
    }
    var plain = f
    // Without a type: like str, in brackets unless the real part is a plain zero.
    let isPlain = f.type == 0
    let skipsReal = isPlain && p.re == 0 && p.re.sign == .plus
    if isPlain, f.precision >= 0 { plain.type = 103 }
    func part(_ d: Double, _ b: inout TextBuilder) throws(LullError) {
      try appendFormattedFloat(d, plain, "complex", &b)
      if isPlain, f.precision < 0, b.count >= 2, b.bytes[b.count - 1] == 48,
        b.bytes[b.count - 2] == 46
      {
        b.count -= 2
      }
    }
    plain.width = 0
    plain.align = 0
    var b = TextBuilder()
    if isPlain, !skipsReal { b.append(40) }
    if !skipsReal {
      try part(p.re, &b)
      plain.sign = 43
    }
    try part(p.im, &b)
    b.append(106)
    if isPlain, !skipsReal { b.append(41) }
    f.pad(b, &out, defaultAlign: 62)
  default:
    throw LullError.typeError("unsupported format string passed to \(typeName(v)).__format__")
  }
}
private func unknownCode(_ t: UInt32, _ type: String) -> LullError {
  LullError.valueError(
    "Unknown format code '\(t > 32 && t < 128 ? String(UnicodeScalar(UInt8(t))) : "\\x" + String(t, radix: 16))' for object of "
      + "type '\(type)'")
}

func appendFormattedInt(_ v: Value, _ f: FormatSpec, _ out: inout TextBuilder) throws(LullError) {
  let t = f.type == 0 ? 100 : f.type
  switch t {
  case 101, 69, 102, 70, 103, 71, 37:
    return try appendFormattedFloat(try doubleOf(v), f, "int", &out)
  default: break
  }
  let radix: UInt
  var every = 4
  switch t {
  case 100, 110:
    radix = 10
    every = 3
  case 98: radix = 2
  case 111: radix = 8
  case 120, 88: radix = 16
  case 99:
    if f.precision >= 0 {
      throw LullError.valueError("Precision not allowed in integer format specifier")
    }
    if f.negativeZero {
      throw LullError.valueError(
        "Negative zero coercion (z) not allowed in integer format specifier")
    }
    if f.grouping != 0 {
      throw LullError.valueError("Cannot specify '\(UnicodeScalar(f.grouping))' with 'c'.")
    }
    if f.hasSign {
      throw LullError.valueError("Sign not allowed with integer format specifier 'c'")
    }
    if f.alternate {
      throw LullError.valueError("Alternate form (#) not allowed with integer format specifier 'c'")
    }
    if !v.isIntOrBool {
      let fits = v.integer.map { Int(exactly: $0) != nil } ?? false
      throw LullError.overflow(
        fits ? "%c arg not in range(0x110000)" : "Python int too large to convert to C long")
    }
    guard v.asInt >= 0, v.asInt < 0x110000 else {
      throw LullError.overflow("%c arg not in range(0x110000)")
    }
    var b = TextBuilder()
    b.append(codePoint: UInt32(v.asInt))
    return f.pad(b, &out, defaultAlign: 62)
  default: throw unknownCode(t, typeName(v))
  }
  if f.precision >= 0 {
    throw LullError.valueError("Precision not allowed in integer format specifier")
  }
  if f.grouping == 44, t != 100 || f.type == 110 {
    throw LullError.valueError("Cannot specify ',' with '\(UnicodeScalar(UInt8(t)))'.")
  }
  if f.grouping == 95, t == 110 { throw LullError.valueError("Cannot specify '_' with 'n'.") }
  if f.negativeZero {
    throw LullError.valueError("Negative zero coercion (z) not allowed in integer format specifier")
  }
  if v.isIntOrBool, f.grouping == 0 {
    let start = out.count
    if v.asInt < 0 { out.append(45) } else if f.sign != 45 { out.append(f.sign) }
    if f.alternate, radix != 10 {
      out.append(48)
      out.append(UInt8(truncatingIfNeeded: t))
    }
    let signLength = out.count - start
    out.append(magnitude: v.asInt.magnitude, radix: radix, uppercase: t == 88)
    return f.pad(&out, from: start, defaultAlign: 62, signLength: signLength)
  }
  var digits = TextBuilder()
  let isNegative: Bool
  if v.isIntOrBool {
    isNegative = v.asInt < 0
    digits.append(magnitude: v.asInt.magnitude, radix: radix, uppercase: t == 88)
  } else {
    let n = v.integer ?? 0
    isNegative = n.sign == .minus
    if radix == 10 {
      digits.append(text: try bigText(BigInt(n.magnitude)))
    } else {
      digits.append(text: String(n.magnitude, radix: Int(radix), uppercase: t == 88))
    }
  }
  var b = TextBuilder()
  if isNegative { b.append(45) } else if f.sign != 45 { b.append(f.sign) }
  if f.alternate, radix != 10 {
    b.append(48)
    b.append(UInt8(truncatingIfNeeded: t))
  }
  let signLength = b.count
  let minimum =
    f.grouping != 0 && f.zero && f.align == 61 && f.fill == 48 ? f.width - signLength : 0
  f.group(digits.bytes, digits.count, &b, every: every, minimum: minimum)
  f.pad(b, &out, defaultAlign: 62, signLength: signLength)
}

func appendFormattedFloat(
  _ value: Double, _ f: FormatSpec, _ typeName: String, _ out: inout TextBuilder
) throws(LullError) {
  let t = f.type
  let p = f.precision
  if p > 100_000 { throw LullError.valueError("precision too big") }
  if t == 110, f.grouping != 0 {
    throw LullError.valueError("Cannot specify '\(UnicodeScalar(f.grouping))' with 'n'.")
  }
  switch t {
  case 0, 102, 70, 101, 69, 103, 110, 71, 37: break
  default: throw unknownCode(t, typeName)
  }
  if f.grouping == 0, !f.negativeZero, value.isFinite, t != 37, t != 0 || p < 0 {
    // The digits go where they belong.
    let start = out.count
    if value.sign == .minus { out.append(45) } else if f.sign != 45 { out.append(f.sign) }
    let signLength = out.count - start
    if t == 0 {
      appendFloat(abs(value), &out)
    } else {
      let conversion: UInt8 = t == 70 ? 102 : t == 110 ? 103 : UInt8(truncatingIfNeeded: t)
      out.append(
        abs(value), conversion: conversion, precision: p < 0 ? 6 : p, alternate: f.alternate)
    }
    return f.pad(&out, from: start, defaultAlign: 62, signLength: signLength)
  }
  var d = abs(value)
  var isNegative = value.sign == .minus && !value.isNaN
  var body = TextBuilder()
  if value.isNaN || value.isInfinite {
    let upper = t == 70 || t == 69 || t == 71
    if value.isNaN {
      body.append(upper ? "NAN" : "nan")
    } else {
      body.append(upper ? "INF" : "inf")
    }
    if t == 37 { body.append(37) }
  } else {
    let digits = p < 0 ? 6 : p
    switch t {
    case 0:
      if p >= 0 {
        appendGeneral(d, max(p, 1), f.alternate, &body)
      } else {
        appendFloat(d, &body)
      }
    case 102, 70: body.append(d, conversion: 102, precision: digits, alternate: f.alternate)
    case 110: body.append(d, conversion: 103, precision: digits, alternate: f.alternate)
    case 37:
      d *= 100
      body.append(d, conversion: 102, precision: digits, alternate: f.alternate)
      body.append(37)
    default:
      body.append(
        d, conversion: UInt8(truncatingIfNeeded: t), precision: digits, alternate: f.alternate)
    }
  }
  if f.negativeZero, isNegative, value.isFinite {
    isNegative = false
    for i in 0..<body.count where body.bytes[i] >= 49 && body.bytes[i] <= 57 { isNegative = true }
  }
  var b = TextBuilder()
  if isNegative { b.append(45) } else if f.sign != 45 { b.append(f.sign) }
  let signLength = b.count
  if f.grouping != 0, !value.isNaN, !value.isInfinite {
    var end = 0
    while end < body.count, body.bytes[end] >= 48, body.bytes[end] <= 57 { end += 1 }
    let tail = body.count - end
    let minimum =
      f.zero && f.align == 61 && f.fill == 48 ? f.width - signLength - tail : 0
    f.group(body.bytes, end, &b, minimum: minimum)
    b.append(body.bytes + end, tail)
  } else {
    b.append(body.bytes, body.count)
  }
  f.pad(b, &out, defaultAlign: 62, signLength: signLength)
}
/// Precision without a type: like g, but with at least one digit after the point, and with an
/// exponent one place earlier.
private func appendGeneral(_ d: Double, _ p: Int, _ alternate: Bool, _ out: inout TextBuilder) {
  if d == 0, p > 1 { return out.append("0.0") }
  var e = TextBuilder()
  e.append(d, conversion: 101, precision: p - 1)
  var mark = e.count - 1
  while mark > 0, e.bytes[mark] != 101 { mark -= 1 }
  var exponent = 0
  for k in (mark + 2)..<e.count { exponent = exponent * 10 + Int(e.bytes[k]) - 48 }
  if e.bytes[mark + 1] == 45 { exponent = -exponent }
  if exponent < -4 || exponent >= p - 1 {
    var end = mark
    if p > 1, !alternate {
      while e.bytes[end - 1] == 48 { end -= 1 }
      if e.bytes[end - 1] == 46 { end -= 1 }
    }
    out.append(e.bytes, end)
    out.append(e.bytes + mark, e.count - mark)
    return
  }
  let start = out.count
  out.append(d, conversion: 103, precision: p, alternate: alternate)
  for i in start..<out.count where out.bytes[i] == 46 { return }
  out.append(".0")
}
