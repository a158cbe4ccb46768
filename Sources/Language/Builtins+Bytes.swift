// bytes and bytearray: constructors and methods.
//
// Both have the layout `.bytes`; a bytearray carries `Header.flagMutable` and its own class. A method that gives bytes
// gives the kind of its receiver.
import Glibc

extension Value {
  var isByteArray: Bool { kind == .bytes && header.pointee.flags & Header.flagMutable != 0 }
  /// The bytes of bytes, bytearray and memoryview objects.
  var bytesLike: [UInt8]? { kind == .bytes ? bytes : memoryViewBytes(self) }
}

func makeByteArray(_ value: [UInt8]) -> Value {
  let v = makeBytes(value)
  v.header.pointee.flags |= Header.flagMutable
  if let t = builtinTypes["bytearray"] { v.header.pointee.type = t }
  return v
}
private func make(_ value: [UInt8], like v: Value) -> Value {
  v.isByteArray ? makeByteArray(value) : makeBytes(value)
}
private func need(_ v: Value) throws(LullError) -> [UInt8] {
  guard let b = v.bytesLike else {
    throw LullError.typeError("a bytes-like object is required, not '\(typeName(v))'")
  }
  return b
}
/// An int from 0 to 255, for an element of a bytearray.
func byteOf(_ v: Value) throws(LullError) -> UInt8 {
  let i = try indexValue(v)
  defer { i.release() }
  guard i.tag == .int, i.asInt >= 0, i.asInt < 256 else {
    throw LullError.valueError("byte must be in range(0, 256)")
  }
  return UInt8(i.asInt)
}

private func source(_ a: Args, _ name: String) throws(LullError) -> [UInt8] {
  if !a.has(0) {
    if a.has(1) { throw LullError.typeError("encoding without a string argument") }
    return []
  }
  if let s = a[0].asStr {
    if !a.has(1) { throw LullError.typeError("string argument without an encoding") }
    return try encodeString(s, try a.string(1), try a.string(2))
  }
  if a.has(1), a[1].kind != .str {
    throw LullError.typeError("\(name)() argument 'encoding' must be str, not \(typeName(a[1]))")
  }
  if a.has(1) { throw LullError.typeError("encoding without a string argument") }
  if let b = a[0].bytesLike { return b }
  if a[0].kind == .native, let b = try exportBuffer?(a[0]) {
    return try rowMajorBytes(b)
  }
  if a[0].tag == .instance || a[0].tag == .derived {
    let f = a[0].type.lookup(.__bytes__)
    if !f.isUndefined {
      let r = try callMethod(f, a[0])
      defer { r.release() }
      guard let b = r.bytesLike else {
        throw LullError.typeError("__bytes__ returned non-bytes (type \(typeName(r)))")
      }
      return b
    }
  }
  if a[0].isInteger || (a[0].tag == .instance && !a[0].type.lookup(.__index__).isUndefined) {
    let i = try indexValue(a[0])
    defer { i.release() }
    guard i.tag == .int else {
      throw LullError.overflow("cannot fit 'int' into an index-sized integer")
    }
    if i.asInt < 0 { throw LullError.valueError("negative count") }
    try checkBytes(i.asInt, mutable: name == "bytearray")
    return [UInt8](repeating: 0, count: i.asInt)
  }
  if !isIterable(a[0]) {
    throw LullError.typeError("cannot convert '\(typeName(a[0]))' object to \(name)")
  }
  var out: [UInt8] = []
  try forEach(a[0]) { (x) throws(LullError) in
    let i = try indexValue(x)
    defer { i.release() }
    guard i.tag == .int, i.asInt >= 0, i.asInt < 256 else {
      throw LullError.valueError(
        name == "bytes" ? "bytes must be in range(0, 256)" : "byte must be in range(0, 256)")
    }
    try checkGrowth(out.count, 1)
    out.append(UInt8(i.asInt))
  }
  return out
}

/// CPython's bytes hold 33 bytes of their own beside these.
func checkBytes(_ n: Int, mutable: Bool) throws(LullError) {
  if !mutable, n > Int.max - 33 { throw LullError.overflow("byte string is too large") }
  try checkAllocation(n, 1)
}

// MARK: - Searching

private func range(_ n: Int, _ a: Args, _ i: Int) throws(LullError) -> Range<Int>? {
  var start = a.isNone(i) ? 0 : try a.clamped(i)
  var end = a.isNone(i + 1) ? n : try a.clamped(i + 1)
  if start < 0 { start = max(0, start + n) }
  if end < 0 { end = max(0, end + n) }
  end = min(end, n)
  return start > end ? nil : start..<end
}
private func first(_ h: ArraySlice<UInt8>, _ n: [UInt8]) -> Int {
  let at = h.withUnsafeBufferPointer { x in n.withUnsafeBufferPointer { findBytes(x, $0, from: 0) }
  }
  return at < 0 ? -1 : at + h.startIndex
}
private func last(_ h: ArraySlice<UInt8>, _ n: [UInt8]) -> Int {
  let at = h.withUnsafeBufferPointer { x in n.withUnsafeBufferPointer { findLastBytes(x, $0) } }
  return at < 0 ? -1 : at + h.startIndex
}
/// What find, index and count look for: bytes or one byte as an int.
private func needle(_ v: Value) throws(LullError) -> [UInt8] {
  if let b = v.bytesLike { return b }
  guard v.isInteger else {
    throw LullError.typeError(
      "argument should be integer or bytes-like object, not '\(typeName(v))'")
  }
  return [try byteOf(v)]
}
private func find(_ name: String, _ doc: String, _ example: String, fromEnd: Bool, fails: Bool)
  -> Builtin
{
  Builtin(
    name, "\(name)(self, sub, start=None, end=None, /)", chapter: "bytes", doc: doc,
    examples: [example]
  ) {
    (a) throws(LullError) in
    let n = try needle(a[1])
    if let r = try range(a[0].bytes.count, a, 2) {
      let h = a[0].bytes[r]
      let at = fromEnd ? last(h, n) : first(h, n)
      if at >= 0 { return Value(at) }
    }
    if fails { throw LullError.valueError("subsection not found") }
    return Value(-1)
  }
}
private func affix(_ name: String, _ doc: String, _ example: String, atEnd: Bool) -> Builtin {
  Builtin(
    name, "\(name)(self, prefix, start=None, end=None, /)", chapter: "bytes", doc: doc,
    examples: [example]
  ) {
    (a) throws(LullError) in
    if a[1].kind != .tuple, a[1].bytesLike == nil {
      throw LullError.typeError(
        "\(name) first arg must be bytes or a tuple of bytes, not \(typeName(a[1]))")
    }
    let taken = try range(a[0].bytes.count, a, 2)
    let h = a[0].bytes[taken ?? 0..<0]
    func check(_ v: Value) throws(LullError) -> Bool {
      guard let p = v.bytesLike else {
        throw LullError.typeError("a bytes-like object is required, not '\(typeName(v))'")
      }
      return taken != nil && p.count <= h.count
        && (atEnd ? h.suffix(p.count) : h.prefix(p.count)).elementsEqual(p)
    }
    if let t = a[1].asTuple {
      for x in t.array where try check(x) { return Value(true) }
      return Value(false)
    }
    return Value(try check(a[1]))
  }
}

// MARK: - Pieces

private func isBlank(_ c: UInt8) -> Bool { c == 32 || (c >= 9 && c <= 13) }
private func isLower(_ c: UInt8) -> Bool { c >= 97 && c <= 122 }
private func isUpper(_ c: UInt8) -> Bool { c >= 65 && c <= 90 }
private func isLetter(_ c: UInt8) -> Bool { isLower(c) || isUpper(c) }
private func isDigit(_ c: UInt8) -> Bool { c >= 48 && c <= 57 }
private func lower(_ c: UInt8) -> UInt8 { isUpper(c) ? c + 32 : c }
private func upper(_ c: UInt8) -> UInt8 { isLower(c) ? c - 32 : c }

private func split(_ h: [UInt8], _ separator: Value, _ most: Int, fromEnd: Bool) throws(LullError)
  -> [ArraySlice<UInt8>]
{
  let limit = most < 0 ? Int.max : most
  var parts: [ArraySlice<UInt8>] = []
  if separator.isNone {
    if fromEnd {
      var end = h.count
      while true {
        while end > 0, isBlank(h[end - 1]) { end -= 1 }
        if end == 0 { break }
        if parts.count == limit {
          parts.append(h[..<end])
          break
        }
        var start = end
        while start > 0, !isBlank(h[start - 1]) { start -= 1 }
        parts.append(h[start..<end])
        end = start
      }
      return parts.reversed()
    }
    var start = 0
    while true {
      while start < h.count, isBlank(h[start]) { start += 1 }
      if start == h.count { return parts }
      if parts.count == limit {
        parts.append(h[start...])
        return parts
      }
      var end = start
      while end < h.count, !isBlank(h[end]) { end += 1 }
      parts.append(h[start..<end])
      start = end
    }
  }
  let n = try need(separator)
  if n.isEmpty { throw LullError.valueError("empty separator") }
  if fromEnd {
    var end = h.count
    while parts.count < limit {
      let at = last(h[..<end], n)
      if at < 0 { break }
      parts.append(h[(at + n.count)..<end])
      end = at
    }
    parts.append(h[..<end])
    return parts.reversed()
  }
  var start = 0
  while parts.count < limit {
    let at = first(h[start...], n)
    if at < 0 { break }
    parts.append(h[start..<at])
    start = at + n.count
  }
  parts.append(h[start...])
  return parts
}
private func strip(_ name: String, _ doc: String, _ example: String, left: Bool, right: Bool)
  -> Builtin
{
  Builtin(name, "\(name)(self, bytes=None, /)", chapter: "bytes", doc: doc, examples: [example]) {
    (a) throws(LullError) in
    let h = a[0].bytes
    let set = a.isNone(1) ? nil : Set(try need(a[1]))
    func drop(_ c: UInt8) -> Bool { set.map { $0.contains(c) } ?? isBlank(c) }
    var i = 0
    var j = h.count
    if left { while i < j, drop(h[i]) { i += 1 } }
    if right { while j > i, drop(h[j - 1]) { j -= 1 } }
    return make(Array(h[i..<j]), like: a[0])
  }
}
private func justify(_ name: String, _ doc: String, _ example: String, _ align: Character)
  -> Builtin
{
  Builtin(
    name, "\(name)(self, width, fillchar=..., /)", chapter: "bytes", doc: doc, examples: [example]
  ) {
    (a) throws(LullError) in
    let h = a[0].bytes
    let width = try a.int(1)
    var fill: UInt8 = 32
    if a.has(2) {
      guard let f = a[2].bytesLike, f.count == 1 else {
        throw LullError.typeError(
          "\(name)() argument 2 must be a byte string of length 1, not \(typeName(a[2]))")
      }
      fill = f[0]
    }
    if width <= h.count { return make(h, like: a[0]) }
    try checkBytes(width, mutable: a[0].isByteArray)
    let missing = width - h.count
    let left = align == "<" ? 0 : align == ">" ? missing : missing / 2 + (missing & width & 1)
    return make(
      [UInt8](repeating: fill, count: left) + h + [UInt8](repeating: fill, count: missing - left),
      like: a[0])
  }
}
private func test(
  _ name: String, _ doc: String, _ example: String, _ f: @escaping ([UInt8]) -> Bool
) -> Builtin {
  Builtin(name, "\(name)(self, /)", chapter: "bytes", doc: doc, examples: [example]) {
    (a) throws(LullError) in Value(f(a[0].bytes))
  }
}
private func mapping(
  _ name: String, _ doc: String, _ example: String, _ f: @escaping ([UInt8]) -> [UInt8]
) -> Builtin {
  Builtin(name, "\(name)(self, /)", chapter: "bytes", doc: doc, examples: [example]) {
    (a) throws(LullError) in
    make(f(a[0].bytes), like: a[0])
  }
}
private func partition(_ name: String, _ doc: String, _ example: String, fromEnd: Bool) -> Builtin {
  Builtin(name, "\(name)(self, sep, /)", chapter: "bytes", doc: doc, examples: [example]) {
    (a) throws(LullError) in
    let h = a[0].bytes
    let n = try need(a[1])
    if n.isEmpty { throw LullError.valueError("empty separator") }
    let at = fromEnd ? last(h[...], n) : first(h[...], n)
    func piece(_ x: ArraySlice<UInt8>) -> Value { make(Array(x), like: a[0]) }
    if at < 0 {
      return fromEnd
        ? makeTuple([piece([]), piece([]), piece(h[...])])
        : makeTuple([piece(h[...]), piece([]), piece([])])
    }
    return makeTuple([piece(h[..<at]), piece(n[...]), piece(h[(at + n.count)...])])
  }
}

private func sharedMethods() -> [Builtin] {
  [
    Builtin(
      "decode", "decode(self, encoding='utf-8', errors='strict')", chapter: "bytes",
      doc: "As text.", examples: [">>> b'caf\\xc3\\xa9'.decode()\n'café'"]
    ) { (a) throws(LullError) in
      try decodeBytes(a[0].bytes, try a.string(1), try a.string(2))
    },
    Builtin(
      "hex", "hex(self, sep=..., bytes_per_sep=1)", chapter: "bytes", doc: "As hexadecimal text.",
      examples: [">>> b'\\x01\\xff'.hex(':')\n'01:ff'"]
    ) { (a) throws(LullError) in
      let b = a[0].bytes
      let digits = b.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
      guard a.has(1) else { return makeStr(digits.joined()) }
      let separator =
        a[1].kind == .bytes ? String(decoding: a[1].bytes, as: UTF8.self) : try a.string(1)
      if separator.unicodeScalars.count != 1 { throw LullError.valueError("sep must be length 1.") }
      let group = try a.int32(2)
      if group == 0 { return makeStr(digits.joined()) }
      var out = ""
      for (i, d) in digits.enumerated() {
        if i > 0, group > 0 ? (b.count - i) % group == 0 : i % -group == 0 { out += separator }
        out += d
      }
      return makeStr(out)
    },
    affix(
      "startswith", "Whether it starts with a prefix, or one of a tuple of them.",
      ">>> b'banana'.startswith(b'ba')\nTrue", atEnd: false),
    affix(
      "endswith", "Whether it ends with a suffix, or one of a tuple of them.",
      ">>> b'a.txt'.endswith((b'.txt', b'.md'))\nTrue", atEnd: true),
    find(
      "find", "The first index of a part, or -1.",
      ">>> b'banana'.find(b'an'), b'banana'.find(b'x')\n(1, -1)", fromEnd: false, fails: false),
    find(
      "rfind", "The last index of a part, or -1.", ">>> b'banana'.rfind(b'an')\n3", fromEnd: true,
      fails: false),
    find(
      "index", "The first index of a part, which must be there.", ">>> b'banana'.index(b'n', 3)\n4",
      fromEnd: false, fails: true),
    find(
      "rindex", "The last index of a part, which must be there.", ">>> b'banana'.rindex(b'an')\n3",
      fromEnd: true, fails: true),
    Builtin(
      "count", "count(self, sub, start=None, end=None, /)", chapter: "bytes",
      doc: "Number of occurrences.", examples: [">>> b'banana'.count(b'an')\n2"]
    ) { (a) throws(LullError) in
      let n = try needle(a[1])
      guard let r = try range(a[0].bytes.count, a, 2) else { return Value(0) }
      if n.isEmpty { return Value(r.count + 1) }
      let h = a[0].bytes
      var total = 0
      var start = r.lowerBound
      while true {
        let at = first(h[start..<r.upperBound], n)
        if at < 0 { return Value(total) }
        total += 1
        start = at + n.count
      }
    },
    Builtin(
      "join", "join(self, iterable, /)", chapter: "bytes", doc: "The parts with this between them.",
      examples: [">>> b', '.join([b'a', b'b'])\nb'a, b'"]
    ) { (a) throws(LullError) in
      if !isIterable(a[1]) { throw LullError.typeError("can only join an iterable") }
      var out: [UInt8] = []
      var index = 0
      try forEach(a[1]) { (x) throws(LullError) in
        guard let b = x.bytesLike else {
          throw LullError.typeError(
            "sequence item \(index): expected a bytes-like object, \(typeName(x)) found")
        }
        if index > 0 { out += a[0].bytes }
        index += 1
        if out.count > 1 << 20 { try checkAllocation(out.count, adding: b.count, 1) }
        out += b
      }
      return make(out, like: a[0])
    },
    Builtin(
      "replace", "replace(self, old, new, count=-1, /)", chapter: "bytes",
      doc: "Occurrences replaced.", examples: [">>> b'banana'.replace(b'an', b'o')\nb'booa'"]
    ) { (a) throws(LullError) in
      let h = a[0].bytes
      let old = try need(a[1])
      let new = try need(a[2])
      var left = try a.int(3)
      if left < 0 { left = Int.max }
      var out: [UInt8] = []
      if old.isEmpty {
        for (i, c) in h.enumerated() {
          if i < left { out += new }
          out.append(c)
        }
        if h.count < left { out += new }
        return make(out, like: a[0])
      }
      var start = 0
      while left > 0 {
        let at = first(h[start...], old)
        if at < 0 { break }
        out += h[start..<at]
        out += new
        start = at + old.count
        left -= 1
        if out.count > maximumObjectBytes / 2 { throw LullError.memory() }
      }
      return make(out + h[start...], like: a[0])
    },
    Builtin(
      "split", "split(self, sep=None, maxsplit=-1)", chapter: "bytes",
      doc: "The parts between separators.",
      examples: [">>> b'a,b,c'.split(b',')\n[b'a', b'b', b'c']"]
    ) { (a) throws(LullError) in
      makeList(
        try split(a[0].bytes, a[1], try a.int(2), fromEnd: false).map {
          make(Array($0), like: a[0])
        })
    },
    Builtin(
      "rsplit", "rsplit(self, sep=None, maxsplit=-1)", chapter: "bytes",
      doc: "Like split, from the right.", examples: [">>> b'a,b,c'.rsplit(b',', 1)\n[b'a,b', b'c']"]
    ) { (a) throws(LullError) in
      makeList(
        try split(a[0].bytes, a[1], try a.int(2), fromEnd: true).map { make(Array($0), like: a[0]) }
      )
    },
    Builtin(
      "splitlines", "splitlines(self, keepends=False)", chapter: "bytes", doc: "The lines.",
      examples: [">>> b'one\\ntwo'.splitlines()\n[b'one', b'two']"]
    ) { (a) throws(LullError) in
      let h = a[0].bytes
      let keep = try truth(a[1])
      let out = makeList()
      var start = 0
      while start < h.count {
        var end = start
        while end < h.count, h[end] != 10, h[end] != 13 { end += 1 }
        var next = end < h.count ? end + 1 : end
        if next < h.count, h[end] == 13, h[next] == 10 { next += 1 }
        out.list.append(make(Array(h[start..<(keep ? next : end)]), like: a[0]))
        start = next
      }
      return out
    },
    strip(
      "strip", "Without white space, or given bytes, at both ends.", ">>> b' a '.strip()\nb'a'",
      left: true, right: true),
    strip(
      "lstrip", "Without white space, or given bytes, at the start.",
      ">>> b'xxa'.lstrip(b'x')\nb'a'", left: true, right: false),
    strip(
      "rstrip", "Without white space, or given bytes, at the end.",
      ">>> b'line\\n'.rstrip()\nb'line'", left: false, right: true),
    partition(
      "partition", "Before the first separator, the separator, after it.",
      ">>> b'key=a=b'.partition(b'=')\n(b'key', b'=', b'a=b')", fromEnd: false),
    partition(
      "rpartition", "Before the last separator, the separator, after it.",
      ">>> b'key=a=b'.rpartition(b'=')\n(b'key=a', b'=', b'b')", fromEnd: true),
    Builtin(
      "removeprefix", "removeprefix(self, prefix, /)", chapter: "bytes", doc: "Without a prefix.",
      examples: [">>> b'test_add'.removeprefix(b'test_')\nb'add'"]
    ) { (a) throws(LullError) in
      let p = try need(a[1])
      let h = a[0].bytes
      return make(h.starts(with: p) ? Array(h.dropFirst(p.count)) : h, like: a[0])
    },
    Builtin(
      "removesuffix", "removesuffix(self, suffix, /)", chapter: "bytes", doc: "Without a suffix.",
      examples: [">>> b'notes.txt'.removesuffix(b'.txt')\nb'notes'"]
    ) { (a) throws(LullError) in
      let p = try need(a[1])
      let h = a[0].bytes
      return make(
        h.count >= p.count && h.suffix(p.count).elementsEqual(p) ? Array(h.dropLast(p.count)) : h,
        like: a[0])
    },
    justify("ljust", "Padded on the right to a width.", ">>> b'ab'.ljust(5, b'.')\nb'ab...'", "<"),
    justify("rjust", "Padded on the left to a width.", ">>> b'42'.rjust(5)\nb'   42'", ">"),
    justify(
      "center", "Padded on both sides to a width.", ">>> b'ab'.center(6, b'*')\nb'**ab**'", "^"),
    Builtin(
      "zfill", "zfill(self, width, /)", chapter: "bytes", doc: "Padded with zeros on the left.",
      examples: [">>> b'-42'.zfill(6)\nb'-00042'"]
    ) { (a) throws(LullError) in
      let h = a[0].bytes
      let width = try a.int(1)
      if width <= h.count { return make(h, like: a[0]) }
      let missing = width - h.count
      try checkBytes(width, mutable: a[0].isByteArray)
      let sign = h.first == 43 || h.first == 45 ? 1 : 0
      return make(
        Array(h.prefix(sign)) + [UInt8](repeating: 48, count: missing) + h.dropFirst(sign),
        like: a[0])
    },
    Builtin(
      "expandtabs", "expandtabs(self, tabsize=8)", chapter: "bytes", doc: "Tabs as spaces.",
      examples: [">>> b'a\\tb'.expandtabs(4)\nb'a   b'"]
    ) { (a) throws(LullError) in
      let size = try a.int32(1)
      var column = 0
      var out: [UInt8] = []
      for c in a[0].bytes {
        if c == 9 {
          if size > 0 {
            let n = size - column % size
            if n > 1 << 16 { try checkAllocation(n, 4) }
            out.append(contentsOf: repeatElement(32, count: n))
            column += n
          }
        } else {
          out.append(c)
          column = c == 10 || c == 13 ? 0 : column + 1
        }
      }
      return make(out, like: a[0])
    },
    Builtin(
      "translate", "translate(self, table, /, delete=...)", chapter: "bytes",
      doc: "Bytes mapped by a table of 256.",
      examples: [">>> b'banana'.translate(None, delete=b'a')\nb'bnn'"]
    ) { (a) throws(LullError) in
      let table = a[1].isNone ? nil : try need(a[1])
      if let table, table.count != 256 {
        throw LullError.valueError("translation table must be 256 characters long")
      }
      let dropped = a.has(2) ? Set(try need(a[2])) : []
      return make(
        a[0].bytes.filter { !dropped.contains($0) }.map { table?[Int($0)] ?? $0 }, like: a[0])
    },
    mapping("upper", "In upper case.", ">>> b'lull'.upper()\nb'LULL'") { $0.map(upper) },
    mapping("lower", "In lower case.", ">>> b'LuLL'.lower()\nb'lull'") { $0.map(lower) },
    mapping("swapcase", "Cases swapped.", ">>> b'aBC'.swapcase()\nb'Abc'") {
      $0.map { isUpper($0) ? lower($0) : upper($0) }
    },
    mapping("capitalize", "First byte upper, rest lower.", ">>> b'hello'.capitalize()\nb'Hello'") {
      b in
      b.enumerated().map { $0.offset == 0 ? upper($0.element) : lower($0.element) }
    },
    mapping("title", "Each word capitalised.", ">>> b'hello world'.title()\nb'Hello World'") { b in
      var previous = false
      return b.map { c in
        defer { previous = isLetter(c) }
        return previous ? lower(c) : upper(c)
      }
    },
    test("isalpha", "Whether all bytes are ASCII letters.", ">>> b'abc'.isalpha()\nTrue") {
      !$0.isEmpty && $0.allSatisfy(isLetter)
    },
    test("isdigit", "Whether all bytes are ASCII digits.", ">>> b'12'.isdigit()\nTrue") {
      !$0.isEmpty && $0.allSatisfy(isDigit)
    },
    test("isalnum", "Whether all bytes are ASCII letters or digits.", ">>> b'a1'.isalnum()\nTrue") {
      !$0.isEmpty && $0.allSatisfy { isLetter($0) || isDigit($0) }
    },
    test("isspace", "Whether all bytes are white space.", ">>> b' \\t'.isspace()\nTrue") {
      !$0.isEmpty && $0.allSatisfy(isBlank)
    },
    test(
      "isascii", "Whether all bytes are ASCII.",
      ">>> b'abc'.isascii(), b'\\xff'.isascii()\n(True, False)"
    ) { $0.allSatisfy { $0 < 128 } },
    test("isupper", "Whether its ASCII letters are upper case.", ">>> b'ABC'.isupper()\nTrue") {
      $0.contains(where: isUpper) && !$0.contains(where: isLower)
    },
    test("islower", "Whether its ASCII letters are lower case.", ">>> b'abc'.islower()\nTrue") {
      $0.contains(where: isLower) && !$0.contains(where: isUpper)
    },
    test("istitle", "Whether each word begins with a capital.", ">>> b'Ab Cd'.istitle()\nTrue") {
      b in
      var previous = false
      var any = false
      for c in b {
        if isUpper(c) {
          if previous { return false }
          previous = true
          any = true
        } else if isLower(c) {
          if !previous { return false }
        } else {
          previous = false
        }
      }
      return any
    },
  ]
}

// MARK: - bytearray

private func mutate<R>(_ v: Value, _ f: (inout [UInt8]) throws(LullError) -> R) throws(LullError)
  -> R
{
  try f(&v.body(BytesBody.self).pointee.value)
}
/// The bytes of what `extend` and a slice assignment take.
func bytesFromIterable(_ v: Value) throws(LullError) -> [UInt8] {
  if let b = v.bytesLike { return b }
  if v.kind == .str { throw LullError.typeError("expected iterable of integers; got: 'str'") }
  if !isIterable(v) { throw LullError.typeError("can't extend bytearray with \(typeName(v))") }
  var out: [UInt8] = []
  try forEach(v) { (x) throws(LullError) in
    try checkGrowth(out.count, 1)
    out.append(try byteOf(x))
  }
  return out
}
private func arrayMethods() -> [Builtin] {
  [
    Builtin(
      "append", "append(self, item, /)", chapter: "bytes", doc: "Add a byte at the end.",
      examples: [">>> x = bytearray(b'ab')\n>>> x.append(99)\n>>> x\nbytearray(b'abc')"]
    ) { (a) throws(LullError) in
      let b = try byteOf(a[1])
      try mutate(a[0]) { (v) throws(LullError) in v.append(b) }
      return .none
    },
    Builtin(
      "extend", "extend(self, iterable, /)", chapter: "bytes", doc: "Add bytes at the end.",
      examples: [">>> x = bytearray(b'ab')\n>>> x.extend(b'cd')\n>>> x\nbytearray(b'abcd')"]
    ) { (a) throws(LullError) in
      if a[1].kind == .str, a[1].str.pointee.count > 0 {
        throw LullError.typeError("'str' object cannot be interpreted as an integer")
      }
      let b = a[1].kind == .str ? [] : try bytesFromIterable(a[1])
      try mutate(a[0]) { (v) throws(LullError) in v += b }
      return .none
    },
    Builtin(
      "insert", "insert(self, index, item, /)", chapter: "bytes", doc: "Put a byte in.",
      examples: [">>> x = bytearray(b'ac')\n>>> x.insert(1, 98)\n>>> x\nbytearray(b'abc')"]
    ) { (a) throws(LullError) in
      let i = try a.int(1)
      let b = try byteOf(a[2])
      try mutate(a[0]) { (v) throws(LullError) in
        v.insert(b, at: i < 0 ? max(0, i + v.count) : min(i, v.count))
      }
      return .none
    },
    Builtin(
      "pop", "pop(self, index=-1, /)", chapter: "bytes", doc: "Take a byte out.",
      examples: [">>> x = bytearray(b'abc')\n>>> x.pop(), x\n(99, bytearray(b'ab'))"]
    ) { (a) throws(LullError) in
      let i = try a.int(1)
      return try mutate(a[0]) { (v) throws(LullError) in
        if v.isEmpty { throw LullError.index("pop from empty bytearray") }
        let k = i < 0 ? i + v.count : i
        guard k >= 0, k < v.count else { throw LullError.index("pop index out of range") }
        return Value(Int(v.remove(at: k)))
      }
    },
    Builtin(
      "remove", "remove(self, value, /)", chapter: "bytes", doc: "Take the first such byte out.",
      examples: [">>> x = bytearray(b'abca')\n>>> x.remove(97)\n>>> x\nbytearray(b'bca')"]
    ) { (a) throws(LullError) in
      let b = try byteOf(a[1])
      try mutate(a[0]) { (v) throws(LullError) in
        guard let k = v.firstIndex(of: b) else {
          throw LullError.valueError("value not found in bytearray")
        }
        v.remove(at: k)
      }
      return .none
    },
    Builtin(
      "reverse", "reverse(self, /)", chapter: "bytes", doc: "Turn the order round.",
      examples: [">>> x = bytearray(b'abc')\n>>> x.reverse()\n>>> x\nbytearray(b'cba')"]
    ) { (a) throws(LullError) in
      try mutate(a[0]) { (v) throws(LullError) in v.reverse() }
      return .none
    },
    Builtin(
      "clear", "clear(self, /)", chapter: "bytes", doc: "Take all bytes out.",
      examples: [">>> x = bytearray(b'abc')\n>>> x.clear()\n>>> x\nbytearray(b'')"]
    ) { (a) throws(LullError) in
      try mutate(a[0]) { (v) throws(LullError) in v = [] }
      return .none
    },
    Builtin(
      "copy", "copy(self, /)", chapter: "bytes", doc: "A copy.",
      examples: [">>> x = bytearray(b'abc')\n>>> x.copy() is x\nFalse"]
    ) { (a) throws(LullError) in makeByteArray(a[0].bytes) },
  ]
}

private func fromHex(_ owner: String, _ make: @escaping ([UInt8]) -> Value) -> Builtin {
  Builtin(
    "fromhex", "fromhex(string, /)", chapter: owner, doc: "Bytes from hexadecimal text.",
    examples: [">>> bytes.fromhex('01 ff')\nb'\\x01\\xff'"]
  ) { (a) throws(LullError) in
    guard a[0].kind == .str else {
      throw LullError.typeError("fromhex() argument must be str, not \(typeName(a[0]))")
    }
    let t = a[0].str.codePoints
    var out: [UInt8] = []
    var i = 0
    func digit(_ k: Int) -> UInt8? {
      guard k < t.count, t[k] < 128 else { return nil }
      let c = lower(UInt8(t[k]))
      return isDigit(c) ? c - 48 : c >= 97 && c <= 102 ? c - 87 : nil
    }
    while i < t.count {
      if t[i] < 128, isBlank(UInt8(t[i])) {
        i += 1
        continue
      }
      guard let x = digit(i) else {
        throw LullError.valueError("non-hexadecimal number found in fromhex() arg at position \(i)")
      }
      guard let y = digit(i + 1) else {
        throw LullError.valueError(
          "non-hexadecimal number found in fromhex() arg at position \(i + 1)")
      }
      out.append(x << 4 | y)
      i += 2
    }
    return make(out)
  }
}

func installBytes() {
  guard let bytes = builtinTypes["bytes"] else { return }
  let array = makeType("bytearray", base: core.pointee.object, kind: .bytes)
  array.pointee.h.count = immortal
  builtinTypes["bytearray"] = array
  let makers = [
    Builtin(
      "bytes", "bytes(source=..., encoding=..., errors='strict')", chapter: "types",
      doc: "Bytes from ints, text or a length.",
      examples: [
        ">>> bytes([97, 98]), bytes('é', 'utf-8'), bytes(2)\n(b'ab', b'\\xc3\\xa9', b'\\x00\\x00')"
      ]
    ) {
      (a) throws(LullError) in
      if a.has(0), !a.has(1), a[0].tag == .bytes, !a[0].isByteArray { return a[0].retained() }
      return makeBytes(try source(a, "bytes"))
    },
    Builtin(
      "bytearray", "bytearray(source=..., encoding=..., errors='strict')", chapter: "types",
      doc: "Bytes that can be changed.",
      examples: [">>> x = bytearray(b'abc')\n>>> x[0] = 65\n>>> x\nbytearray(b'Abc')"]
    ) {
      (a) throws(LullError) in makeByteArray(try source(a, "bytearray"))
    },
  ]
  bytes.pointee.constructor = makers[0]
  array.pointee.constructor = makers[1]
  bytes.pointee.doc = makers[0].doc
  array.pointee.doc = makers[1].doc
  BuiltinRegistry.add(makers)
  for (t, methods) in [(bytes, sharedMethods()), (array, sharedMethods() + arrayMethods())] {
    for m in methods {
      m.setOwner(t.pointee.name, [.bytes])
      t.pointee.dict.dict.set(m.name, makeBuiltin(m))
    }
    let table = Builtin(
      "maketrans", "maketrans(frm, to, /)", chapter: "bytes", doc: "A table for translate.",
      examples: [">>> b'banana'.translate(bytes.maketrans(b'an', b'oN'))\nb'boNoNo'"]
    ) { (a) throws(LullError) in
      let x = try need(a[0])
      let y = try need(a[1])
      if x.count != y.count {
        throw LullError.valueError("maketrans arguments must have same length")
      }
      var out = (0..<256).map { UInt8($0) }
      for (p, q) in zip(x, y) { out[Int(p)] = q }
      return makeBytes(out)
    }
    t.pointee.dict.dict.set("maketrans", makeWrapper(.staticMethod, registered(table)))
    let build: ([UInt8]) -> Value = t == array ? { makeByteArray($0) } : { makeBytes($0) }
    t.pointee.dict.dict.set(
      "fromhex", makeWrapper(.staticMethod, registered(fromHex(t.pointee.name, build))))
    BuiltinRegistry.add(methods)
    t.changed()
  }
}
