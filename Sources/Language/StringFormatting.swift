// `str.format` and the `%` operator, over bytes.
import BigInt

private let openBrace: UInt8 = 123
private let closeBrace: UInt8 = 125

/// The state of one `str.format` call.
private struct TemplateFields {
  let args: [Value]
  let kwargs: DictPtr?
  /// What `format_map` asks instead, borrowed.
  var mapping: Value?
  /// The next automatic index.
  var next = 0
  /// 0 undecided, 1 automatic, 2 manual numbering.
  var mode = 0
}

func formatTemplate(
  _ template: StrPtr, _ args: [Value], _ kwargs: DictPtr?, mapping: Value? = nil
) throws(LullError) -> Value {
  var fields = TemplateFields(args: args, kwargs: kwargs, mapping: mapping)
  var out = TextBuilder()
  try appendTemplate(template.buffer, &fields, &out, depth: 0)
  return out.value()
}

private func appendTemplate(
  _ c: UnsafeBufferPointer<UInt8>, _ fields: inout TemplateFields, _ out: inout TextBuilder,
  depth: Int
) throws(LullError) {
  if depth > 2 { throw LullError.valueError("Max string recursion exceeded") }
  let n = c.count
  var i = 0
  while i < n {
    let b = c[i]
    if b == closeBrace {
      guard i + 1 < n, c[i + 1] == closeBrace else {
        throw LullError.valueError("Single '}' encountered in format string")
      }
      out.append(b)
      i += 2
      continue
    }
    if b != openBrace {
      out.append(b)
      i += 1
      continue
    }
    if i + 1 < n, c[i + 1] == openBrace {
      out.append(b)
      i += 2
      continue
    }
    if i + 1 >= n { throw LullError.valueError("Single '{' encountered in format string") }
    i += 1
    try appendField(c, &i, &fields, &out, depth: depth)
  }
}

/// One replacement field, `name[!conversion][:spec]}`, read from `c` at `i` (behind its brace) in CPython's order, so
/// that a malformed one gives the same error. Leaves `i` behind the closing brace.
private func appendField(
  _ c: UnsafeBufferPointer<UInt8>, _ i: inout Int, _ fields: inout TemplateFields,
  _ out: inout TextBuilder, depth: Int
) throws(LullError) {
  let n = c.count
  let first = i
  var end = n
  var stop: UInt8 = 0
  scan: while i < n {
    stop = c[i]
    i += 1
    switch stop {
    case openBrace: throw LullError.valueError("unexpected '{' in field name")
    case 91:
      while i < n, c[i] != 93 { i += 1 }
    case closeBrace, 58, 33:
      end = i - 1
      break scan
    default: break
    }
  }
  if end == n { throw LullError.valueError("expected '}' before end of string") }
  let name = UnsafeBufferPointer(rebasing: c[first..<end])
  var conversion: ArraySlice<UInt8> = []
  var spec: Range<Int> = n..<n
  var expands = false
  if stop == 33 {
    if i >= n {
      throw LullError.valueError("end of string while looking for conversion specifier")
    }
    let size = utf8Length(c[i])
    conversion = Array(c[i..<(i + size)])[...]
    i += size
    if i < n {
      stop = c[i]
      i += 1
      if stop != closeBrace, stop != 58 {
        throw LullError.valueError("expected ':' after conversion specifier")
      }
    }
  }
  if stop != closeBrace {
    var level = 1
    let start = i
    while i < n, level > 0 {
      if c[i] == openBrace {
        expands = true
        level += 1
      } else if c[i] == closeBrace {
        level -= 1
      }
      i += 1
    }
    if level > 0 { throw LullError.valueError("unmatched '{' in format spec") }
    spec = start..<(i - 1)
  }
  var v = try fieldValue(name, &fields)
  defer { v.release() }
  if let letter = conversion.first {
    var text = TextBuilder()
    switch letter {
    case 114: try appendRepr(v, &text)
    case 115: try appendDisplay(v, &text)
    case 97: text.append(text: try asciiRepr(v))
    default:
      throw LullError.valueError(
        letter > 32 && letter < 127
          ? "Unknown conversion specifier \(UnicodeScalar(letter))"
          : "Unknown conversion specifier \\x"
            + String(
              String(decoding: conversion, as: UTF8.self).unicodeScalars.first?.value ?? 0,
              radix: 16))
    }
    v.release()
    v = text.value()
  }
  let given = UnsafeBufferPointer(rebasing: c[spec])
  if expands {
    var text = TextBuilder()
    try appendTemplate(given, &fields, &text, depth: depth + 1)
    try appendFormat(v, UnsafeBufferPointer(start: text.bytes, count: text.count), &out)
  } else {
    try appendFormat(v, given, &out)
  }
}

/// The value that `0.name[key]` names, owned.
private func fieldValue(_ name: UnsafeBufferPointer<UInt8>, _ fields: inout TemplateFields)
  throws(LullError) -> Value
{
  let n = name.count
  var i = 0
  while i < n, name[i] != 46, name[i] != 91 { i += 1 }
  var number = 0
  for k in 0..<i {
    guard name[k] >= 48, name[k] <= 57 else {
      number = -1
      break
    }
    number = min(number * 10 + Int(name[k]) - 48, 1 << 40)
  }
  var v: Value
  if number < 0 {
    let key = makeStr(String(decoding: name[..<i], as: UTF8.self))
    defer { key.release() }
    if let mapping = fields.mapping {
      v = try getItem(mapping, key)
    } else {
      guard let found = fields.kwargs?.get(key.str) else { throw keyError(key) }
      v = found.retained()
    }
  } else {
    if i == 0 {
      if fields.mode == 2 {
        throw LullError.valueError(
          "cannot switch from manual field specification to automatic field numbering")
      }
      fields.mode = 1
      number = fields.next
      fields.next += 1
    } else {
      if fields.mode == 1 {
        throw LullError.valueError(
          "cannot switch from automatic field numbering to manual field specification")
      }
      fields.mode = 2
    }
    if fields.mapping != nil {
      throw LullError.valueError("Format string contains positional fields")
    }
    guard number < fields.args.count else {
      throw LullError.index("Replacement index \(number) out of range for positional args tuple")
    }
    v = fields.args[number].retained()
  }
  do throws(LullError) {
    while i < n {
      let isItem = name[i] == 91
      if !isItem, name[i] != 46 {
        throw LullError.valueError(
          "Only '.' or '[' may follow ']' in format field specifier")
      }
      i += 1
      let start = i
      while i < n, isItem ? name[i] != 93 : name[i] != 46 && name[i] != 91 { i += 1 }
      if i == start { throw LullError.valueError("Empty attribute in format string") }
      let text = String(decoding: name[start..<i], as: UTF8.self)
      let next: Value
      if isItem {
        if i >= n { throw LullError.valueError("Missing ']' in format string") }
        i += 1
        let key = text.utf8.allSatisfy { $0 >= 48 && $0 <= 57 } ? Int(text) : nil
        let k = key.map { Value($0) } ?? makeStr(text)
        defer { k.release() }
        next = try getItem(v, k)
      } else {
        next = try getAttribute(v, interned(text))
      }
      v.release()
      v = next
    }
  } catch {
    v.release()
    throw error
  }
  return v
}

// MARK: - % formatting

/// The operands of one `%`: borrowed.
private struct PercentArguments {
  let values: Value
  let tuple: UnsafeMutablePointer<TupleBody>?
  var next = 0

  /// What `take` will give, if there is one.
  var peek: Value? {
    if let tuple { return next < tuple.pointee.count ? tuple.items[next] : nil }
    return next == 0 ? values : nil
  }
  mutating func take() throws(LullError) -> Value {
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
}

/// `bytes % values`: over text with one character a byte.
func percentFormatBytes(_ template: Value, _ values: Value) throws(LullError) -> Value {
  let s = makeStr(codePoints: template.bytes.map { UInt32($0) })
  defer { s.release() }
  let r = try percentFormat(s.str, values, forBytes: true)
  defer { r.release() }
  let out = try encodeString(r.str, "latin-1", "strict")
  return template.isByteArray ? makeByteArray(out) : makeBytes(out)
}

/// Whether the right operand of `%` may be asked for keys; then it need not be used up.
private func isMapping(_ v: Value, forBytes: Bool) -> Bool {
  switch v.kind {
  case .dict, .list, .range: return true
  case .bytes: return !forBytes
  case .str, .tuple: return false
  case .native: return v.type.pointee.native?.getItem != nil
  default: return v.tag == .instance && !v.type.lookup(.__getitem__).isUndefined
  }
}

/// What `%s` and `%b` of a bytes template put in, as text with one character a byte.
private func bytesArgument(_ v: Value) throws(LullError) -> Value {
  if let b = v.bytesLike { return makeStr(codePoints: b.map { UInt32($0) }) }
  let f = v.type.lookup(.__bytes__)
  if !f.isUndefined {
    let r = try callMethod(f, v)
    defer { r.release() }
    if let b = r.bytesLike { return makeStr(codePoints: b.map { UInt32($0) }) }
  }
  throw LullError.typeError(
    "%b requires a bytes-like object, or an object that implements __bytes__, not '\(typeName(v))'")
}

func percentFormat(_ s: StrPtr, _ values: Value, forBytes: Bool = false) throws(LullError) -> Value
{
  let c = s.bytes
  let n = s.pointee.byteCount
  var out = TextBuilder()
  var i = 0
  var args = PercentArguments(
    values: values, tuple: values.kind == .tuple ? values.tuple : nil)
  let mapping = isMapping(values, forBytes: forBytes) ? values : nil
  func number(_ args: inout PercentArguments, isPrecision: Bool = false) throws(LullError) -> Int? {
    if i < n, c[i] == 42 {
      i += 1
      let v = try args.take()
      guard v.isInteger else { throw LullError.typeError("* wants int") }
      if isPrecision, (v.integer.map { Int32(exactly: $0) == nil }) ?? false {
        throw LullError.overflow("Python int too large to convert to C int")
      }
      return try indexOf(v)
    }
    var x = -1
    while i < n, c[i] >= 48, c[i] <= 57 {
      let digit = Int(c[i]) - 48
      if max(x, 0) > ((isPrecision ? Int(Int32.max) : Int.max) - digit) / 10 {
        throw LullError.valueError(isPrecision ? "precision too big" : "width too big")
      }
      x = max(x, 0) * 10 + digit
      i += 1
    }
    return x < 0 ? nil : x
  }
  while i < n {
    if c[i] != 37 {
      let start = i
      while i < n, c[i] != 37 { i += 1 }
      out.append(c + start, i - start)
      continue
    }
    i += 1
    if i >= n { throw LullError.valueError("incomplete format") }
    if c[i] == 37 {
      out.append(37)
      i += 1
      continue
    }
    // A bare %d of an int or %s of a str.
    if c[i] == 100 || c[i] == 115, !forBytes, let v = args.peek {
      if c[i] == 100, v.tag == .int {
        out.append(decimal: v.asInt)
        args.next += 1
        i += 1
        continue
      }
      if c[i] == 115, v.tag == .str {
        out.append(v.str)
        args.next += 1
        i += 1
        continue
      }
    }
    var keyed = Value.undefined
    defer { keyed.release() }
    if c[i] == 40 {
      guard let mapping else { throw LullError.typeError("format requires a mapping") }
      let start = i + 1
      var depth = 1
      i += 1
      while i < n {
        if c[i] == 40 { depth += 1 }
        if c[i] == 41 {
          depth -= 1
          if depth == 0 { break }
        }
        i += 1
      }
      if i >= n { throw LullError.valueError("incomplete format key") }
      let text = makeStr(c + start, i - start)
      let key =
        forBytes ? makeBytes(try encodeString(text.str, "latin-1", "strict")) : text.retained()
      text.release()
      defer { key.release() }
      keyed.release()
      keyed = try getItem(mapping, key)
      args.next = 1
      i += 1
    }
    var isLeft = false
    var isZero = false
    var spec = FormatSpec()
    flags: while i < n {
      switch c[i] {
      case 45: isLeft = true
      case 43: spec.sign = 43
      case 32: if spec.sign == 45 { spec.sign = 32 }
      case 35: spec.alternate = true
      case 48: isZero = true
      default: break flags
      }
      i += 1
    }
    var width = try number(&args) ?? 0
    if width < 0 {
      isLeft = true
      // The least has no opposite: no width, as CPython.
      width = width == Int.min ? 0 : -width
    }
    spec.width = width
    if isLeft { spec.align = 60 }
    var precision = -1
    if i < n, c[i] == 46 {
      i += 1
      precision = max(try number(&args, isPrecision: true) ?? 0, 0)
    }
    while i < n, c[i] == 104 || c[i] == 108 || c[i] == 76 { i += 1 }
    guard i < n else { throw LullError.valueError("incomplete format") }
    let at = i
    var t = c[i]
    i += 1
    if forBytes { t = t == 98 ? 115 : t == 114 ? 97 : t }
    switch t {
    case 115, 114, 97, 99, 100, 105, 117, 120, 88, 111, 102, 70, 101, 69, 103, 71: break
    default:
      if keyed.isUndefined { _ = try args.take() }
      let (scalar, _) = s.decode(at)
      throw LullError.valueError(
        "unsupported format character '\(scalar < 127 && (forBytes || scalar > 30) ? String(UnicodeScalar(UInt8(scalar))) : "?")' "
          + "(0x\(String(scalar, radix: 16))) at index \(s.index(ofOffset: at))")
    }
    var v = keyed.isUndefined ? try args.take() : keyed
    v.retained()
    defer { v.release() }
    if forBytes, t == 99 {
      if v.isInteger {
        let i = try indexValue(v)
        defer { i.release() }
        guard i.tag == .int, i.asInt >= 0, i.asInt < 256 else {
          throw LullError.overflow("%c arg not in range(256)")
        }
      } else if v.kind != .bytes || v.bytes.count != 1 {
        throw LullError.typeError("%c requires an integer in range(256) or a single byte")
      }
    }
    if forBytes, t == 115 || t == 99 && v.kind == .bytes {
      let text = t == 99 && v.bytes.count != 1 ? Value.none : try bytesArgument(v)
      v.release()
      v = text
    }
    if width > 1 << 20 {
      do throws(LullError) { try checkAllocation(width, 8) } catch {
        // What is wrong with the value is said before that there is no room for it.
        spec.width = 0
        try appendPercent(v, t, spec, precision: precision, isZero: false, &out)
        throw error
      }
    }
    try appendPercent(
      v, t, spec, precision: precision, isZero: isZero && !isLeft, &out)
  }
  if let tuple = args.tuple, args.next < tuple.pointee.count {
    throw LullError.typeError(
      "not all arguments converted during \(forBytes ? "bytes" : "string") formatting")
  }
  if args.tuple == nil, mapping == nil, args.next == 0 {
    throw LullError.typeError(
      "not all arguments converted during \(forBytes ? "bytes" : "string") formatting")
  }
  return out.value()
}

/// What makes an int of an instance for `%d` (`__int__` or `__index__`) or `%x` (`__index__`).
private func numberMethod(_ v: Value, _ isDecimal: Bool) -> Value? {
  for name in isDecimal ? [Name.__int__, .__index__] : [.__index__] {
    let f = v.type.lookup(name)
    if !f.isUndefined { return f }
  }
  return nil
}
/// One conversion of `%`.
private func appendPercent(
  _ v: Value, _ t: UInt8, _ plain: FormatSpec, precision: Int, isZero: Bool,
  _ out: inout TextBuilder
) throws(LullError) {
  var spec = plain
  switch t {
  case 115, 114, 97:
    if spec.width == 0, precision < 0 {
      return t == 115
        ? try appendDisplay(v, &out)
        : t == 114 ? try appendRepr(v, &out) : out.append(text: try asciiRepr(v))
    }
    var b = TextBuilder()
    if t == 115 {
      try appendDisplay(v, &b)
    } else if t == 114 {
      try appendRepr(v, &b)
    } else {
      b.append(text: try asciiRepr(v))
    }
    if precision >= 0 {
      var points = 0
      for k in 0..<b.count where b.bytes[k] & 0xC0 != 0x80 {
        if points == precision {
          b.count = k
          break
        }
        points += 1
      }
    }
    spec.pad(b, &out, defaultAlign: 62)
  case 99:
    var b = TextBuilder()
    if v.kind == .str, v.str.pointee.count == 1 {
      b.append(v.str)
    } else if v.isInteger || isCustom(v) && !v.type.lookup(.__index__).isUndefined {
      let i = try indexValue(v)
      defer { i.release() }
      guard i.tag == .int, i.asInt >= 0, i.asInt < 0x110000 else {
        throw LullError.overflow("%c arg not in range(0x110000)")
      }
      b.append(codePoint: UInt32(i.asInt))
    } else {
      throw LullError.typeError("%c requires int or char")
    }
    spec.pad(b, &out, defaultAlign: 62)
  case 102, 70, 101, 69, 103, 71:
    guard v.kind == .float || v.isInteger || v.tag == .instance || v.kind == .native else {
      throw LullError.typeError("must be real number, not \(typeName(v))")
    }
    spec.type = UInt32(t)
    spec.precision = precision
    if isZero {
      spec.fill = 48
      spec.align = 61
    }
    try appendFormattedFloat(try doubleOf(v), spec, "float", &out)
  default:
    var n = v.retained()
    defer { n.release() }
    let isDecimal = t == 100 || t == 105 || t == 117
    if v.kind == .float, isDecimal {
      n = try truncate(try doubleOf(v))
    } else if isCustom(v), !v.isInteger, let f = numberMethod(v, isDecimal) {
      n = try callMethod(f, v)
      guard n.isInteger else {
        throw LullError.typeError(
          "\(isDecimal ? "__int__" : "__index__") returned non-int (type \(typeName(n)))")
      }
    } else if !v.isInteger {
      throw LullError.typeError(
        "%\(UnicodeScalar(t)) format: \(isDecimal ? "a real number" : "an integer") is required, "
          + "not \(typeName(v))")
    }
    if isZero {
      spec.fill = 48
      spec.align = 61
    }
    spec.type = isDecimal ? 100 : UInt32(t)
    if precision < 0 { return try appendFormattedInt(n, spec, &out) }
    // A precision pads the digits alone with zeros.
    if precision > 100_000 { throw LullError.valueError("precision too big") }
    var inner = spec
    inner.width = 0
    var b = TextBuilder()
    try appendFormattedInt(n, inner, &b)
    var head = 0
    while head < b.count, b.bytes[head] == 43 || b.bytes[head] == 45 || b.bytes[head] == 32 {
      head += 1
    }
    if spec.alternate, !isDecimal { head += 2 }
    var padded = TextBuilder()
    padded.append(b.bytes, head)
    padded.append(repeating: 48, precision - (b.count - head))
    padded.append(b.bytes + head, b.count - head)
    spec.pad(padded, &out, defaultAlign: 62, signLength: head)
  }
}
