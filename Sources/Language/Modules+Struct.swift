// `struct`: numbers to bytes and back by a format. Sizes are C's; with `@` (or no mark) fields are aligned to
// their size as C does it, with `=`, `<`, `>`, `!` they follow each other without gaps.
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

  init(_ v: Value) throws(LullError) {
    let text: [UInt8]
    if let s = v.stringValue {
      text = Array(s.utf8)
    } else if let b = v.byteArray {
      text = b
    } else {
      throw LullError.typeError("a struct format is a str, not \(typeName(v))")
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
        if count ?? 0 > 1 << 30 { throw LullError.valueError("the struct format's count is too large") }
        i += 1
      }
      guard i < text.count else { throw LullError.valueError("repeat count given without format specifier") }
      let code = text[i]
      i += 1
      if code == 32 || code == 10 || code == 9 { continue }
      let size: Int
      switch code {
      case UInt8(ascii: "x"), UInt8(ascii: "c"), UInt8(ascii: "b"), UInt8(ascii: "B"), UInt8(ascii: "?"),
        UInt8(ascii: "s"):
        size = 1
      case UInt8(ascii: "h"), UInt8(ascii: "H"), UInt8(ascii: "e"): size = 2
      case UInt8(ascii: "i"), UInt8(ascii: "I"), UInt8(ascii: "f"): size = 4
      case UInt8(ascii: "l"), UInt8(ascii: "L"): size = aligned ? 8 : 4
      case UInt8(ascii: "q"), UInt8(ascii: "Q"), UInt8(ascii: "d"): size = 8
      case UInt8(ascii: "n"), UInt8(ascii: "N"): size = 8
      default: throw LullError.valueError("bad char in struct format: '\(UnicodeScalar(code))'")
      }
      let field = Field(code: code, count: count ?? 1, size: size)
      byteCount = start(field, byteCount) + field.count * size
      if byteCount > 1 << 30 { throw LullError.valueError("the struct is too large") }
      fields.append(field)
    }
  }

  func start(_ f: Field, _ at: Int) -> Int { aligned ? (at + f.size - 1) / f.size * f.size : at }
}

private func append(_ bits: UInt64, _ size: Int, _ big: Bool, _ out: inout [UInt8]) {
  for k in 0..<size {
    out.append(UInt8(truncatingIfNeeded: bits >> UInt64(8 * (big ? size - 1 - k : k))))
  }
}

private func bits(_ v: Value, _ f: Field) throws(LullError) -> UInt64 {
  switch f.code {
  case UInt8(ascii: "?"): return try truth(v) ? 1 : 0
  case UInt8(ascii: "c"):
    guard let b = v.byteArray, b.count == 1 else {
      throw LullError.valueError("char format requires a bytes object of length 1")
    }
    return UInt64(b[0])
  case UInt8(ascii: "d"): return plainNaN(try doubleOf(v)).bitPattern
  case UInt8(ascii: "f"): return UInt64(Float(try doubleOf(v)).bitPattern)
  case UInt8(ascii: "e"): return UInt64(Float16(try doubleOf(v)).bitPattern)
  default:
    let index = try indexValue(v)
    defer { index.release() }
    let n = index.integer ?? 0
    let signed = f.code >= 97
    let width = 8 * f.size
    let low = signed ? -(BigInt(1) << (width - 1)) : 0
    let high = (BigInt(1) << (signed ? width - 1 : width)) - 1
    guard n >= low, n <= high else {
      throw LullError.valueError("'\(UnicodeScalar(f.code))' format requires \(low) <= number <= \(high)")
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

private func pack(_ layout: Layout, _ values: [Value]) throws(LullError) -> [UInt8] {
  var out: [UInt8] = []
  out.reserveCapacity(layout.byteCount)
  var next = 0
  func take() throws(LullError) -> Value {
    guard next < values.count else {
      throw LullError.valueError("pack expected more than the \(values.count) items given")
    }
    next += 1
    return values[next - 1]
  }
  for f in layout.fields {
    while out.count < layout.start(f, out.count) { out.append(0) }
    switch f.code {
    case UInt8(ascii: "x"): out += [UInt8](repeating: 0, count: f.count)
    case UInt8(ascii: "s"):
      guard let b = try take().byteArray else {
        throw LullError.valueError("argument for 's' must be a bytes object")
      }
      out += b.prefix(f.count)
      out += [UInt8](repeating: 0, count: f.count - Swift.min(f.count, b.count))
    default:
      for _ in 0..<f.count { append(try bits(try take(), f), f.size, layout.bigEndian, &out) }
    }
  }
  guard next == values.count else {
    throw LullError.valueError("pack expected \(next) items for packing (got \(values.count))")
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

func structModule() -> NativeModule {
  NativeModule(
    builtins: [
      Builtin(
        "pack", "pack(format, /, *values)", chapter: "struct", doc: "Values as bytes, by a format.", examples: [">>> import struct\n>>> struct.pack('<ih', 1, 2)\nb'\\x01\\x00\\x00\\x00\\x02\\x00'"]
      ) { (a) throws(LullError) in
        let layout = try Layout(a[0])
        return makeBytes(try pack(layout, Array(a.rest(1))))
      },
      Builtin(
        "unpack", "unpack(format, buffer, /)", chapter: "struct", doc: "The values in bytes, as a tuple.", examples: [">>> import struct\n>>> struct.unpack('<ih', b'\\x01\\x00\\x00\\x00\\x02\\x00')\n(1, 2)"]
      ) { (a) throws(LullError) in
        let layout = try Layout(a[0])
        let b = try buffer(a, 1)
        guard b.count == layout.byteCount else {
          throw LullError.valueError("unpack requires a buffer of \(layout.byteCount) bytes")
        }
        return unpack(layout, b[...])
      },
      Builtin(
        "unpack_from", "unpack_from(format, /, buffer, offset=0)", chapter: "struct",
        doc: "The values in bytes that begin at an offset.", examples: [">>> import struct\n>>> struct.unpack_from('<h', b'\\xff\\xff\\x02\\x00', 2)\n(2,)"]
      ) { (a) throws(LullError) in
        let layout = try Layout(a[0])
        let b = try buffer(a, 1)
        let offset = try a.int(2)
        guard offset >= 0, offset <= b.count, b.count - offset >= layout.byteCount else {
          throw LullError.valueError("unpack_from requires \(layout.byteCount) bytes at offset \(offset) of \(b.count)")
        }
        return unpack(layout, b[offset..<offset + layout.byteCount])
      },
      Builtin("calcsize", "calcsize(format, /)", chapter: "struct", doc: "The bytes that a format takes.", examples: [">>> import struct\n>>> struct.calcsize('<ih')\n6"]) {
        (a) throws(LullError) in Value(try Layout(a[0]).byteCount)
      },
    ], values: [("error", Value(exceptionType("ValueError")).retained())])
}
