// The native half of `struct`: numbers to bytes and back by a format. Sizes are C's; with `@` (or no mark) fields are
// aligned to their size as C does it, with `=`, `<`, `>`, `!` they follow each other without gaps. What is wrong with a
// format or a value is a ValueError here; stdlib/struct.lull makes it the module's own error.
import BigInt

private struct Field {
  let code: UInt8
  let count: Int
  let size: Int
}

private struct Layout {
  var fields: [Field] = []
  var bigEndian = false
  var aligned = true
  var byteCount = 0
  /// The values that it takes.
  var valueCount = 0

  init(_ v: Value) throws(LullError) {
    let text: [UInt8]
    if let s = v.stringValue {
      text = Array(s.utf8)
    } else if let b = v.byteArray {
      text = b
    } else {
      throw LullError.typeError(
        "Struct() argument 1 must be a str or bytes object, not \(typeName(v))")
    }
    var i = 0
    if let mark = text.first, "@=<>!".utf8.contains(mark) {
      bigEndian = mark == UInt8(ascii: ">") || mark == UInt8(ascii: "!")
      aligned = mark == UInt8(ascii: "@")
      i = 1
    }
    while i < text.count {
      var count: Int?
      while i < text.count, text[i] >= 48, text[i] <= 57 {
        count = (count ?? 0) * 10 + Int(text[i] - 48)
        if count ?? 0 > 1 << 30 { throw LullError.valueError("total struct size too long") }
        i += 1
      }
      guard i < text.count else {
        throw LullError.valueError("repeat count given without format specifier")
      }
      let code = text[i]
      i += 1
      if code == 32 || 9...13 ~= code {
        if count != nil { throw LullError.valueError("bad char in struct format") }
        continue
      }
      let size: Int
      switch code {
      case UInt8(ascii: "x"), UInt8(ascii: "c"), UInt8(ascii: "b"), UInt8(ascii: "B"),
        UInt8(ascii: "?"),
        UInt8(ascii: "s"), UInt8(ascii: "p"):
        size = 1
      case UInt8(ascii: "h"), UInt8(ascii: "H"), UInt8(ascii: "e"): size = 2
      case UInt8(ascii: "i"), UInt8(ascii: "I"), UInt8(ascii: "f"): size = 4
      case UInt8(ascii: "l"), UInt8(ascii: "L"): size = aligned ? 8 : 4
      case UInt8(ascii: "q"), UInt8(ascii: "Q"), UInt8(ascii: "d"): size = 8
      case UInt8(ascii: "n") where aligned, UInt8(ascii: "N") where aligned,
        UInt8(ascii: "P") where aligned:
        size = 8
      default: throw LullError.valueError("bad char in struct format")
      }
      let field = Field(code: code, count: count ?? 1, size: size)
      byteCount = start(field, byteCount) + field.count * size
      if byteCount > 1 << 30 { throw LullError.valueError("total struct size too long") }
      fields.append(field)
      switch code {
      case UInt8(ascii: "x"): break
      case UInt8(ascii: "s"), UInt8(ascii: "p"): valueCount += 1
      default: valueCount += field.count
      }
    }
  }

  func start(_ f: Field, _ at: Int) -> Int { aligned ? (at + f.size - 1) / f.size * f.size : at }
}

private func append(_ bits: UInt64, _ size: Int, _ big: Bool, _ out: inout [UInt8]) {
  for k in 0..<size {
    out.append(UInt8(truncatingIfNeeded: bits >> UInt64(8 * (big ? size - 1 - k : k))))
  }
}

/// Sentences of C's types, in its words, where the native format has them.
private func rangeError(_ n: BigInt, _ f: Field, _ layout: Layout, _ low: BigInt, _ high: BigInt)
  -> LullError
{
  let isWideUnsigned = f.code < 97 && (f.size >= 4 || f.size == 2 && layout.bigEndian)
  if Int(exactly: n) == nil || f.size == 8 || isWideUnsigned && n < 0 {
    return .valueError("argument out of range")
  }
  let code = f.code
  switch code {
  case UInt8(ascii: "b"): return .valueError("byte format requires -128 <= number <= 127")
  case UInt8(ascii: "B"): return .valueError("ubyte format requires 0 <= number <= 255")
  case UInt8(ascii: "h") where !layout.bigEndian:
    return .valueError("short format requires -32768 <= number <= 32767")
  case UInt8(ascii: "H") where !layout.bigEndian:
    return .valueError("ushort format requires 0 <= number <= 65535")
  default:
    return .valueError("'\(UnicodeScalar(code))' format requires \(low) <= number <= \(high)")
  }
}

private func tooLarge(_ v: Value, _ f: Field) -> LullError {
  v.isInteger
    ? .valueError("int too large to convert")
    : .overflow("float too large to pack with \(UnicodeScalar(f.code)) format")
}

private func bits(_ v: Value, _ f: Field, _ layout: Layout) throws(LullError) -> UInt64 {
  func number() throws(LullError) -> Double {
    do throws(LullError) { return try doubleOf(v) } catch {
      throw error.kind == "TypeError"
        ? LullError.valueError("required argument is not a float") : error
    }
  }
  switch f.code {
  case UInt8(ascii: "?"): return try truth(v) ? 1 : 0
  case UInt8(ascii: "c"):
    guard v.kind == .bytes, v.bytes.count == 1 else {
      throw LullError.valueError("char format requires a bytes object of length 1")
    }
    return UInt64(v.bytes[0])
  case UInt8(ascii: "d"): return plainNaN(try number()).bitPattern
  case UInt8(ascii: "f"):
    let d = plainNaN(try number())
    if Float(d).isInfinite, d.isFinite, !layout.aligned { throw tooLarge(v, f) }
    return UInt64(Float(d).bitPattern)
  case UInt8(ascii: "e"):
    let d = plainNaN(try number())
    if Float16(d).isInfinite, d.isFinite { throw tooLarge(v, f) }
    return UInt64(Float16(d).bitPattern)
  default:
    guard
      v.isInteger || !v.type.lookup(.__index__).isUndefined || v.type.pointee.native?.index != nil
    else {
      throw LullError.valueError("required argument is not an integer")
    }
    let index = try indexValue(v)
    defer { index.release() }
    let n = index.integer ?? 0
    let signed = f.code >= 97
    let width = 8 * f.size
    let low = signed ? -(BigInt(1) << (width - 1)) : 0
    let high = (BigInt(1) << (signed ? width - 1 : width)) - 1
    guard n >= low, n <= high else {
      throw rangeError(n, f, layout, low, high)
    }
    return UInt64(truncatingIfNeeded: n)
  }
}

private func value(_ b: ArraySlice<UInt8>, _ f: Field, _ big: Bool) -> Value {
  var u: UInt64 = 0
  for x in big ? Array(b) : b.reversed() { u = u << 8 | UInt64(x) }
  switch f.code {
  case UInt8(ascii: "?"): return Value(u != 0)
  case UInt8(ascii: "c"): return makeBytes(Array(b))
  case UInt8(ascii: "d"): return Value(Double(bitPattern: u))
  case UInt8(ascii: "f"): return Value(Double(Float(bitPattern: UInt32(truncatingIfNeeded: u))))
  case UInt8(ascii: "e"): return Value(Double(Float16(bitPattern: UInt16(truncatingIfNeeded: u))))
  default:
    if f.code < 97 { return makeInt(u) }
    let shift = UInt64(64 - 8 * f.size)
    return Value(Int(Int64(bitPattern: u << shift) >> Int64(shift)))
  }
}

private func pack(_ layout: Layout, _ values: ArraySlice<Value>, _ name: String = "pack")
  throws(LullError) -> [UInt8]
{
  guard values.count == layout.valueCount else {
    throw LullError.valueError(
      "\(name) expected \(layout.valueCount) items for packing (got \(values.count))")
  }
  var out: [UInt8] = []
  out.reserveCapacity(layout.byteCount)
  var next = values.startIndex
  // There is one for each: their number was compared.
  func take() -> Value {
    next += 1
    return values[next - 1]
  }
  for f in layout.fields {
    while out.count < layout.start(f, out.count) { out.append(0) }
    switch f.code {
    case UInt8(ascii: "x"): out += [UInt8](repeating: 0, count: f.count)
    case UInt8(ascii: "s"), UInt8(ascii: "p"):
      let v = take()
      guard v.kind == .bytes else {
        throw LullError.valueError("argument for '\(UnicodeScalar(f.code))' must be a bytes object")
      }
      var b = v.bytes
      if f.code == UInt8(ascii: "p"), f.count > 0 {
        // Pascal's strings: the length first, in one byte.
        b = Array(b.prefix(f.count - 1))
        b.insert(UInt8(Swift.min(b.count, 255)), at: 0)
      }
      out += b.prefix(f.count)
      out += [UInt8](repeating: 0, count: f.count - Swift.min(f.count, b.count))
    default:
      for _ in 0..<f.count { append(try bits(take(), f, layout), f.size, layout.bigEndian, &out) }
    }
  }
  return out
}

private func unpack(_ layout: Layout, _ b: ArraySlice<UInt8>) -> Value {
  var out: [Value] = []
  var at = b.startIndex
  for f in layout.fields {
    at = b.startIndex + layout.start(f, at - b.startIndex)
    switch f.code {
    case UInt8(ascii: "x"): at += f.count
    case UInt8(ascii: "s"):
      out.append(makeBytes(Array(b[at..<at + f.count])))
      at += f.count
    case UInt8(ascii: "p"):
      let length = f.count == 0 ? 0 : Swift.min(Int(b[at]), f.count - 1)
      out.append(makeBytes(f.count == 0 ? [] : Array(b[(at + 1)..<(at + 1 + length)])))
      at += f.count
    default:
      for _ in 0..<f.count {
        out.append(value(b[at..<at + f.size], f, layout.bigEndian))
        at += f.size
      }
    }
  }
  return makeTuple(out)
}

private func buffer(_ a: Args, _ i: Int) throws(LullError) -> [UInt8] {
  guard let b = a[i].byteArray else {
    throw LullError.typeError("a bytes-like object is required, not '\(typeName(a[i]))'")
  }
  return b
}

/// Where `layout` lies in a buffer of `size` bytes, from an offset that may count from its end.
private func place(_ layout: Layout, _ offset: Int, _ size: Int, _ isUnpacking: Bool)
  throws(LullError) -> Int
{
  let n = layout.byteCount
  var at = offset
  if at < 0 {
    if at > -n || at == Int.min {
      throw LullError.valueError(
        "\(isUnpacking ? "not enough data to unpack" : "no space to pack") \(n) bytes at offset \(at)"
      )
    }
    guard at + size >= 0 else {
      throw LullError.valueError("offset \(at) out of range for \(size)-byte buffer")
    }
    at += size
  }
  guard at <= size, size - at >= n else {
    let (needed, o) = at.addingReportingOverflow(n)
    throw LullError.valueError(
      "\(isUnpacking ? "un" : "")pack_\(isUnpacking ? "from" : "into") requires a buffer of at least "
        + "\(o ? Int.max : needed) bytes for \(isUnpacking ? "un" : "")packing \(n) bytes at offset \(at) "
        + "(actual buffer size is \(size))")
  }
  return at
}

func structModule() -> NativeModule {
  func builtin(
    _ name: String, _ signature: String, _ doc: String, _ example: String,
    run: @escaping (Args) throws(LullError) -> Value
  ) -> Builtin {
    Builtin(name, signature, chapter: "struct", doc: doc, examples: [example], run: run)
  }
  return NativeModule(builtins: [
    builtin(
      "pack", "pack(format, /, *values)", "Values as bytes, by a format.",
      ">>> import struct\n>>> struct.pack('<ih', 1, 2)\nb'\\x01\\x00\\x00\\x00\\x02\\x00'"
    ) { (a) throws(LullError) in
      makeBytes(try pack(try Layout(a[0]), Array(a.rest(1))[...]))
    },
    builtin(
      "unpack", "unpack(format, buffer, /)", "The values in bytes, as a tuple.",
      ">>> import struct\n>>> struct.unpack('<ih', b'\\x01\\x00\\x00\\x00\\x02\\x00')\n(1, 2)"
    ) { (a) throws(LullError) in
      let layout = try Layout(a[0])
      let b = try buffer(a, 1)
      guard b.count == layout.byteCount else {
        throw LullError.valueError("unpack requires a buffer of \(layout.byteCount) bytes")
      }
      return unpack(layout, b[...])
    },
    builtin(
      "unpack_from", "unpack_from(format, /, buffer, offset=0)",
      "The values in bytes from an offset on.",
      ">>> import struct\n>>> struct.unpack_from('<h', b'\\xff\\xff\\x02\\x00', 2)\n(2,)"
    ) {
      (a) throws(LullError) in
      let layout = try Layout(a[0])
      let b = try buffer(a, 1)
      let at = try place(layout, try a.int(2), b.count, true)
      return unpack(layout, b[at..<at + layout.byteCount])
    },
    builtin(
      "pack_at", "pack_at(format, size, offset, values, /)",
      "Where values go in a buffer, and their bytes.",
      ">>> import _struct\n>>> _struct.pack_at('<h', 8, 2, (1,))\n(2, b'\\x01\\x00')"
    ) {
      (a) throws(LullError) in
      let layout = try Layout(a[0])
      let values = try collect(a[3])
      defer { for v in values { v.release() } }
      guard values.count == layout.valueCount else {
        throw LullError.valueError(
          "pack_into expected \(layout.valueCount) items for packing (got \(values.count))")
      }
      let at = try place(layout, try a.int(2), try a.int(1), false)
      return makePair(Value(at), makeBytes(try pack(layout, values[...], "pack_into")))
    },
    builtin(
      "calcsize", "calcsize(format, /)", "The bytes that a format takes.",
      ">>> import struct\n>>> struct.calcsize('<ih')\n6"
    ) {
      (a) throws(LullError) in Value(try Layout(a[0]).byteCount)
    },
  ])
}
