// Methods of str and bytes.
import Glibc

func isSpace(_ c: UInt32) -> Bool {
  if c < 128 { return (c >= 9 && c <= 13) || c == 32 || (c >= 28 && c <= 31) }
  return Unicode.Scalar(c)?.properties.isWhitespace ?? false
}
/// Lower case with the Greek rule: a sigma that ends a word has a form of its own.
private func lowered(_ s: StrPtr) -> Value {
  let points = s.codePoints
  return mapped(points) { lowered(points, $0) }
}
/// A character in lower case where it stands: a sigma at the end of a word has a form of its own.
private func lowered(_ points: [UInt32], _ i: Int) -> String {
  guard points[i] == 0x3A3 else { return lower(points[i]) }
  func isIgnorable(_ c: UInt32) -> Bool { Unicode.Scalar(c)?.properties.isCaseIgnorable ?? false }
  let before = points[..<i].last { !isIgnorable($0) }
  let after = points[(i + 1)...].first { !isIgnorable($0) }
  let isFinal = before.map(isCased) ?? false && !(after.map(isCased) ?? false)
  return isFinal ? "\u{3C2}" : "\u{3C3}"
}
private func mapped(_ s: StrPtr, _ f: (UInt32) -> String) -> Value {
  let points = s.codePoints
  return mapped(points) { f(points[$0]) }
}
/// The texts of all places; lone surrogates, which no Swift string holds, stay as they are.
private func mapped(_ points: [UInt32], _ f: (Int) -> String) -> Value {
  var out = TextBuilder()
  for (i, c) in points.enumerated() {
    if 0xD800...0xDFFF ~= c { out.append(codePoint: c) } else { out.append(text: f(i)) }
  }
  return out.value()
}
private func scalarText(_ c: UInt32) -> String {
  Unicode.Scalar(c).map { String($0) } ?? "\u{FFFD}"
}
private func upper(_ c: UInt32) -> String {
  Unicode.Scalar(c)?.properties.uppercaseMapping ?? scalarText(c)
}
private func lower(_ c: UInt32) -> String {
  Unicode.Scalar(c)?.properties.lowercaseMapping ?? scalarText(c)
}
private func title(_ c: UInt32) -> String {
  Unicode.Scalar(c)?.properties.titlecaseMapping ?? scalarText(c)
}
/// Full case folding: for all but these ranges, the lower case of the upper case.
private func fold(_ c: UInt32) -> String {
  switch c {
  case 0x131: return scalarText(c)
  case 0x1E9E: return "ss"
  case 0x13A0...0x13F5: return scalarText(c)
  case 0x13F8...0x13FD, 0xAB70...0xABBF: return upper(c)
  default:
    var out = ""
    for u in upper(c).unicodeScalars { out += lower(u.value) }
    return out
  }
}
func isAlpha(_ c: UInt32) -> Bool {
  if c < 128 { return isASCIILetter(c) }
  switch Unicode.Scalar(c)?.properties.generalCategory {
  case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
    return true
  default: return false
  }
}
@inline(__always) private func isASCIILetter(_ c: UInt32) -> Bool {
  let l = c | 32
  return l >= 97 && l <= 122
}
@inline(__always) private func isASCIIDigit(_ c: UInt32) -> Bool { c >= 48 && c <= 57 }
private func isDigit(_ c: UInt32) -> Bool {
  if c < 128 { return isASCIIDigit(c) }
  if let t = Unicode.Scalar(c)?.properties.numericType { return t == .decimal || t == .digit }
  return false
}
func isDecimal(_ c: UInt32) -> Bool {
  if c < 128 { return isASCIIDigit(c) }
  return Unicode.Scalar(c)?.properties.numericType == .decimal
}
func isNumeric(_ c: UInt32) -> Bool {
  if c < 128 { return isASCIIDigit(c) }
  return Unicode.Scalar(c)?.properties.numericType != nil
}
private func isUpper(_ c: UInt32) -> Bool {
  if c < 128 { return c >= 65 && c <= 90 }
  return Unicode.Scalar(c)?.properties.isUppercase ?? false
}
private func isLower(_ c: UInt32) -> Bool {
  if c < 128 { return c >= 97 && c <= 122 }
  return Unicode.Scalar(c)?.properties.isLowercase ?? false
}
private func isTitle(_ c: UInt32) -> Bool {
  c >= 128 && Unicode.Scalar(c)?.properties.generalCategory == .titlecaseLetter
}
private func isCased(_ c: UInt32) -> Bool {
  if c < 128 { return isASCIILetter(c) }
  return Unicode.Scalar(c)?.properties.isCased ?? false
}
/// Whether every code point passes, without an array of them.
private func every(_ s: StrPtr, _ f: (UInt32) -> Bool) -> Bool {
  var i = 0
  let n = s.pointee.byteCount
  while i < n {
    let (c, l) = s.decode(i)
    if !f(c) { return false }
    i += l
  }
  return true
}
/// An ASCII string with each byte mapped, given whether the byte before it was a letter.
@inline(__always) private func mappedASCII(_ s: StrPtr, _ f: (UInt8, Bool) -> UInt8) -> Value {
  let n = s.pointee.byteCount
  let r = makeStr(uninitialized: n)
  let from = s.bytes
  let to = r.bytes
  var previous = false
  var i = 0
  while i < n {
    let c = from[i]
    to[i] = f(c, previous)
    previous = (c | 32) &- 97 < 26
    i &+= 1
  }
  r.pointee.h.flags |= Header.flagASCII
  return r.value
}
@inline(__always) private func upperASCII(_ c: UInt8) -> UInt8 { c &- 97 < 26 ? c &- 32 : c }
@inline(__always) private func lowerASCII(_ c: UInt8) -> UInt8 { c &- 65 < 26 ? c &+ 32 : c }

/// Eight ASCII characters with those from `first` on, 26 of them, in the other case.
@inline(__always) private func otherCase(_ w: UInt64, from first: UInt64) -> UInt64 {
  // Each byte is below 128, so sums do not reach the next one; its top bit then tells.
  let ones: UInt64 = 0x0101_0101_0101_0101
  let atLeast = w &+ ones &* (128 &- first)
  let above = w &+ ones &* (128 &- first &- 26)
  return w ^ (((atLeast & ~above) & (ones &* 128)) &>> 2)
}
/// An ASCII string with the letters from `first` on in the other case.
private func changedCase(_ s: StrPtr, from first: UInt8) -> Value {
  let n = s.pointee.byteCount
  let r = makeStr(uninitialized: n)
  let from = UnsafeRawPointer(s.bytes)
  let to = UnsafeMutableRawPointer(r.bytes)
  var i = 0
  while i &+ 8 <= n {
    let w = otherCase(from.loadUnaligned(fromByteOffset: i, as: UInt64.self), from: UInt64(first))
    to.storeBytes(of: w, toByteOffset: i, as: UInt64.self)
    i &+= 8
  }
  while i < n {
    let c = from.load(fromByteOffset: i, as: UInt8.self)
    to.storeBytes(of: c &- first < 26 ? c ^ 32 : c, toByteOffset: i, as: UInt8.self)
    i &+= 1
  }
  r.pointee.h.flags |= Header.flagASCII
  return r.value
}

/// start and end as byte offsets.
@inline(__always) private func bounds(_ s: StrPtr, _ a: Args, _ i: Int) throws(LullError) -> (
  Int, Int
)? {
  if a.isNone(i), a.isNone(i + 1) { return (0, s.pointee.byteCount) }
  return try givenBounds(s, a, i)
}
@inline(never) private func givenBounds(_ s: StrPtr, _ a: Args, _ i: Int) throws(LullError) -> (
  Int, Int
)? {
  let n = s.pointee.count
  var start = a.isNone(i) ? 0 : try a.clamped(i)
  var end = a.isNone(i + 1) ? n : try a.clamped(i + 1)
  if start < 0 { start = max(0, start + n) }
  if end < 0 { end = max(0, end + n) }
  end = min(end, n)
  if start > end { return nil }
  return (s.offset(of: start), s.offset(of: end))
}
private func needStr(_ v: Value) throws(LullError) -> StrPtr {
  guard let s = v.asStr else { throw LullError.typeError("must be str, not \(typeName(v))") }
  return s
}
private func slice(_ s: StrPtr, _ a: Int, _ b: Int) -> UnsafeBufferPointer<UInt8> {
  UnsafeBufferPointer(start: s.bytes + a, count: b - a)
}
private func trim(_ s: StrPtr, _ chars: Value, left: Bool, right: Bool) throws(LullError) -> Value {
  if s.isASCII, chars.isNone || chars.asStr?.isASCII == true {
    // A bit for each ASCII character to drop.
    var low: UInt64 = 0x1_F000_3E00
    var high: UInt64 = 0
    if let c = chars.asStr {
      low = 0
      for b in c.buffer {
        if b < 64 { low |= 1 << UInt64(b) } else { high |= 1 << UInt64(b - 64) }
      }
    }
    let b = s.bytes
    func drops(_ c: UInt8) -> Bool { ((c < 64 ? low : high) &>> UInt64(c & 63)) & 1 != 0 }
    var i = 0
    var j = s.pointee.byteCount
    if left { while i < j, drops(b[i]) { i &+= 1 } }
    if right { while j > i, drops(b[j &- 1]) { j &-= 1 } }
    if i == 0, j == s.pointee.byteCount, s.pointee.h.flags & Header.flagTrailingDict == 0 {
      return s.value.retained()
    }
    return makePiece(s, i, j)
  }
  let points = s.codePoints
  var set: Set<UInt32>?
  if !chars.isNone {
    guard let c = chars.asStr else {
      throw LullError.typeError(
        "\(left && right ? "" : left ? "l" : "r")strip arg must be None or str")
    }
    set = Set(c.codePoints)
  }
  func drop(_ c: UInt32) -> Bool { set.map { $0.contains(c) } ?? isSpace(c) }
  var i = 0
  var j = points.count
  if left { while i < j, drop(points[i]) { i += 1 } }
  if right { while j > i, drop(points[j - 1]) { j -= 1 } }
  if i == 0, j == points.count, s.value.tag == .str, s.pointee.h.kind == .str,
    s.pointee.h.flags & Header.flagTrailingDict == 0
  {
    return s.value.retained()
  }
  let a = s.offset(of: i)
  let b = s.offset(of: j)
  return makeStr(s.bytes + a, b - a)
}
private func split(_ s: StrPtr, _ sep: Value, _ most: Int, fromRight: Bool) throws(LullError)
  -> Value
{
  let out = makeList()
  let b = s.buffer
  let limit = most < 0 ? Int.max : most
  @inline(__always) func piece(_ i: Int, _ j: Int) -> Value { makePiece(s, i, j) }
  if sep.isNone {
    // Runs of white space separate.
    if limit == Int.max, s.isASCII {
      var i = 0
      let n = b.count
      let bytes = s.bytes
      let gaps: UInt64 = 0x1_F000_3E00
      @inline(__always) func isGap(_ c: UInt8) -> Bool { c <= 32 && (gaps &>> UInt64(c)) & 1 != 0 }
      while true {
        while i < n, isGap(bytes[i]) { i &+= 1 }
        if i >= n { return out }
        let start = i
        while i < n, !isGap(bytes[i]) { i &+= 1 }
        out.list.append(piece(start, i))
      }
    }
    var ranges: [(Int, Int)] = []
    var i = 0
    var start = -1
    while i < b.count {
      let (c, l) = s.decode(i)
      if isSpace(c) {
        if start >= 0 {
          ranges.append((start, i))
          start = -1
        }
      } else if start < 0 {
        start = i
      }
      i += l
    }
    if start >= 0 { ranges.append((start, b.count)) }
    if ranges.count > limit {
      if fromRight {
        let keep = ranges.count - limit
        let head = (ranges[0].0, ranges[keep - 1].1)
        // The head keeps its leading white space off only on its right side.
        out.list.append(piece(0, head.1))
        for r in ranges[keep...] { out.list.append(piece(r.0, r.1)) }
      } else {
        for r in ranges[..<limit] { out.list.append(piece(r.0, r.1)) }
        out.list.append(piece(ranges[limit].0, b.count))
        if limit >= 0, let last = out.list.array.last {
          let t = try trim(last.str, .none, left: false, right: false)
          t.release()
        }
      }
    } else {
      for r in ranges { out.list.append(piece(r.0, r.1)) }
    }
    return out
  }
  guard let p = sep.asStr else {
    out.release()
    throw LullError.typeError("must be str or None, not \(typeName(sep))")
  }
  if p.pointee.byteCount == 0 {
    out.release()
    throw LullError.valueError("empty separator")
  }
  let n = p.pointee.byteCount
  if fromRight {
    var end = b.count
    var parts: [Value] = []
    while parts.count < limit {
      let at = findLastBytes(UnsafeBufferPointer(start: s.bytes, count: end), p.buffer)
      if at < 0 { break }
      parts.append(piece(at + n, end))
      end = at
    }
    parts.append(piece(0, end))
    for v in parts.reversed() { out.list.append(v) }
    return out
  }
  var start = 0
  if n == 1 {
    let c = p.bytes[0]
    while out.list.pointee.count < limit {
      let at = findByte(s.bytes, start, b.count, c)
      if at < 0 { break }
      out.list.append(piece(start, at))
      start = at &+ 1
    }
  } else {
    while out.list.pointee.count < limit {
      let at = findBytes(b, p.buffer, from: start)
      if at < 0 { break }
      out.list.append(piece(start, at))
      start = at &+ n
    }
  }
  out.list.append(piece(start, b.count))
  return out
}
private func replace(_ s: StrPtr, _ old: StrPtr, _ new: StrPtr, _ most: Int) throws(LullError)
  -> Value
{
  let b = s.buffer
  var out = TextBuilder()
  var left = most < 0 ? Int.max : most
  if old.pointee.byteCount == 0 {
    var i = 0
    while true {
      if left > 0 {
        out.append(new)
        left -= 1
      }
      if i >= b.count { break }
      let l = utf8Length(b[i])
      out.append(s.bytes + i, l)
      i += l
      if out.count & 0xFFFFF == 0 { try checkAllocation(out.count, 4) }
    }
    return out.value()
  }
  var start = 0
  let first = findBytes(b, old.buffer, from: 0)
  if first < 0 || left == 0 {
    if s.pointee.h.flags & Header.flagTrailingDict == 0 { return s.value.retained() }
  }
  while left > 0 {
    let at = start == 0 ? first : findBytes(b, old.buffer, from: start)
    if at < 0 { break }
    if start == 0 { out.reserve(b.count + 64) }
    out.append(s.bytes + start, at - start)
    out.append(new)
    start = at + old.pointee.byteCount
    left -= 1
    if out.count > maximumObjectBytes / 2 { throw LullError.memory() }
  }
  if start == 0, s.pointee.h.flags & Header.flagTrailingDict == 0 { return s.value.retained() }
  out.append(s.bytes + start, b.count - start)
  return out.value()
}

private func test(_ name: String, _ doc: String, _ example: String, _ f: @escaping (UInt32) -> Bool)
  -> Builtin
{
  // The answers for ASCII, a bit each.
  var low: UInt64 = 0
  var high: UInt64 = 0
  for c in UInt32(0)..<64 {
    if f(c) { low |= 1 << UInt64(c) }
    if f(c + 64) { high |= 1 << UInt64(c) }
  }
  let (below, above) = (low, high)
  return Builtin(name, "\(name)(self, /)", chapter: "str", doc: doc, examples: [example]) {
    (a) throws(LullError) in
    let s = a[0].str
    if !s.isASCII { return Value(s.pointee.byteCount > 0 && every(s, f)) }
    let bytes = s.bytes
    let n = s.pointee.byteCount
    var i = 0
    while i < n {
      let c = UInt64(bytes[i])
      if ((c < 64 ? below : above) &>> (c & 63)) & 1 == 0 { return Value(false) }
      i &+= 1
    }
    return Value(n > 0)
  }
}
private func find(_ name: String, _ doc: String, _ example: String, last: Bool, fails: Bool)
  -> Builtin
{
  Builtin(
    name, "\(name)(self, sub, start=None, end=None, /)", chapter: "str", doc: doc,
    examples: [example]
  ) {
    (a) throws(LullError) in
    let s = a[0].str
    let sub = try needStr(a[1])
    if let (i, j) = try bounds(s, a, 2) {
      let h = slice(s, i, j)
      let at = last ? findLastBytes(h, sub.buffer) : findBytes(h, sub.buffer, from: 0)
      if at >= 0 { return Value(s.index(ofOffset: i + at)) }
    }
    if fails { throw LullError.valueError("substring not found") }
    return Value(-1)
  }
}
private func affix(_ name: String, _ doc: String, _ example: String, _ atEnd: Bool) -> Builtin {
  Builtin(
    name, "\(name)(self, prefix, start=None, end=None, /)", chapter: "str", doc: doc,
    examples: [example]
  ) {
    (a) throws(LullError) in
    let s = a[0].str
    if a[1].kind != .str, a[1].kind != .tuple {
      throw LullError.typeError(
        "\(name) first arg must be str or a tuple of str, not \(typeName(a[1]))")
    }
    if a[1].tag == .str, a.isNone(2), a.isNone(3) {
      let p = a[1].str
      let rest = s.pointee.byteCount &- p.pointee.byteCount
      return Value(
        rest >= 0 && equalBytes(s.bytes + (atEnd ? rest : 0), p.bytes, p.pointee.byteCount))
    }
    let range = try bounds(s, a, 2)
    func check(_ v: Value) throws(LullError) -> Bool {
      guard let p = v.asStr else {
        throw LullError.typeError(
          "tuple for \(name) must only contain str, not \(typeName(v))")
      }
      guard let (i, j) = range else { return false }
      let n = p.pointee.byteCount
      if j - i < n { return false }
      return memcmp(s.bytes + (atEnd ? j - n : i), p.bytes, n) == 0
    }
    if let t = a[1].asTuple {
      for k in 0..<t.pointee.count {
        if try check(t.items[k]) { return Value(true) }
      }
      return Value(false)
    }
    return Value(try check(a[1]))
  }
}
private func justify(_ name: String, _ doc: String, _ example: String, _ align: Character)
  -> Builtin
{
  Builtin(
    name, "\(name)(self, width, fillchar=' ', /)", chapter: "str", doc: doc, examples: [example]
  ) {
    (a) throws(LullError) in
    let width = try a.int(1)
    guard let fill = a[2].asStr else {
      throw LullError.typeError(
        "The fill character must be a unicode character, not \(typeName(a[2]))")
    }
    if fill.pointee.count != 1 {
      throw LullError.typeError("The fill character must be exactly one character long")
    }
    let n = a[0].str.pointee.count
    if width <= n { return a[0].retained() }
    try checkAllocation(width, 4)
    let missing = width - n
    let left = align == "<" ? 0 : align == ">" ? missing : missing / 2 + (missing & width & 1)
    var out = TextBuilder()
    for _ in 0..<left { out.append(fill) }
    out.append(a[0].str)
    for _ in 0..<(missing - left) { out.append(fill) }
    return out.value()
  }
}

private func makeTriple(_ a: Value, _ b: Value, _ c: Value) -> Value {
  let t = makeTuple(uninitialized: 3)
  t.tuple.items[0] = a
  t.tuple.items[1] = b
  t.tuple.items[2] = c
  return t
}

func installStrings() {
  let str = Builtin(
    "str", "str(object='', /, encoding=..., errors=...)", chapter: "types",
    doc: "The text of a value.",
    examples: [">>> str(1.5) + str([1])\n'1.5[1]'\n>>> str(b'abc', 'ascii')\n'abc'"]
  ) {
    (a) throws(LullError) in
    if a.has(1) || a.has(2) {
      if let b = a[0].bytesLike {
        return try decodeBytes(
          b, a.has(1) ? try a.string(1) : "utf-8", a.has(2) ? try a.string(2) : "strict")
      }
      throw LullError.typeError(
        a[0].kind == .str
          ? "decoding str is not supported"
          : "decoding to str: need a bytes-like object, \(typeName(a[0])) found")
    }
    return try displayValue(a[0])
  }
  builtinTypes["str"]?.pointee.constructor = str
  BuiltinRegistry.add([str])
  let methods: [Builtin] = [
    Builtin(
      "upper", "upper(self, /)", chapter: "str", doc: "In upper case.",
      examples: [">>> 'lull'.upper()\n'LULL'"]
    ) { (a) throws(LullError) in
      let s = a[0].str
      if s.isASCII { return changedCase(s, from: 97) }
      return mapped(s, upper)
    },
    Builtin(
      "lower", "lower(self, /)", chapter: "str", doc: "In lower case.",
      examples: [">>> 'LuLL'.lower()\n'lull'"]
    ) { (a) throws(LullError) in
      let s = a[0].str
      if s.isASCII { return changedCase(s, from: 65) }
      return lowered(s)
    },
    Builtin(
      "casefold", "casefold(self, /)", chapter: "str", doc: "For caseless comparison.",
      examples: [">>> 'Straße'.casefold() == 'STRASSE'.casefold()\nTrue"]
    ) { (a) throws(LullError) in
      mapped(a[0].str, fold)
    },
    Builtin(
      "swapcase", "swapcase(self, /)", chapter: "str", doc: "Cases swapped.",
      examples: [">>> 'aBC'.swapcase()\n'Abc'"]
    ) { (a) throws(LullError) in
      let points = a[0].str.codePoints
      return mapped(points) { i in
        let c = points[i]
        return isUpper(c) ? lowered(points, i) : isLower(c) ? upper(c) : scalarText(c)
      }
    },
    Builtin(
      "capitalize", "capitalize(self, /)", chapter: "str",
      doc: "First character upper, rest lower.",
      examples: [">>> 'hello WORLD'.capitalize()\n'Hello world'"]
    ) { (a) throws(LullError) in
      var first = true
      if a[0].str.isASCII {
        return mappedASCII(a[0].str) { c, _ in
          defer { first = false }
          return first ? upperASCII(c) : lowerASCII(c)
        }
      }
      let points = a[0].str.codePoints
      return mapped(points) { $0 == 0 ? title(points[0]) : lowered(points, $0) }
    },
    Builtin(
      "title", "title(self, /)", chapter: "str", doc: "Each word capitalised.",
      examples: [">>> 'hello world'.title()\n'Hello World'"]
    ) { (a) throws(LullError) in
      var previous = false
      if a[0].str.isASCII {
        return mappedASCII(a[0].str) { c, inWord in inWord ? lowerASCII(c) : upperASCII(c) }
      }
      let points = a[0].str.codePoints
      return mapped(points) { i in
        defer { previous = isCased(points[i]) }
        return previous ? lowered(points, i) : title(points[i])
      }
    },
    Builtin(
      "strip", "strip(self, chars=None, /)", chapter: "str",
      doc: "Without white space, or the characters in chars, at both ends.",
      examples: [">>> '  a b '.strip()\n'a b'\n>>> 'xyaxy'.strip('xy')\n'a'"]
    ) { (a) throws(LullError) in
      try trim(a[0].str, a[1], left: true, right: true)
    },
    Builtin(
      "lstrip", "lstrip(self, chars=None, /)", chapter: "str",
      doc: "Without white space, or the characters in chars, at the start.",
      examples: [">>> '  a b '.lstrip()\n'a b '"]
    ) { (a) throws(LullError) in
      try trim(a[0].str, a[1], left: true, right: false)
    },
    Builtin(
      "rstrip", "rstrip(self, chars=None, /)", chapter: "str",
      doc: "Without white space, or the characters in chars, at the end.",
      examples: [">>> 'line\\n'.rstrip()\n'line'"]
    ) { (a) throws(LullError) in
      try trim(a[0].str, a[1], left: false, right: true)
    },
    Builtin(
      "split", "split(self, sep=None, maxsplit=-1)", chapter: "str",
      doc: "The parts between separators; runs of white space separate if there is no sep.",
      examples: [
        ">>> ' a  b '.split()\n['a', 'b']\n>>> 'a,b,,c'.split(',', maxsplit=2)\n['a', 'b', ',c']"
      ]
    ) { (a) throws(LullError) in
      try split(a[0].str, a[1], try a.int(2), fromRight: false)
    },
    Builtin(
      "rsplit", "rsplit(self, sep=None, maxsplit=-1)", chapter: "str",
      doc: "Like split, from the right.",
      examples: [">>> 'a,b,c'.rsplit(',', maxsplit=1)\n['a,b', 'c']"]
    ) { (a) throws(LullError) in
      try split(a[0].str, a[1], try a.int(2), fromRight: true)
    },
    Builtin(
      "splitlines", "splitlines(self, keepends=False)", chapter: "str", doc: "The lines.",
      examples: [">>> 'one\\ntwo\\n'.splitlines()\n['one', 'two']"]
    ) { (a) throws(LullError) in
      let s = a[0].str
      let keep = try truth(a[1])
      let out = makeList()
      var start = 0
      var i = 0
      let b = s.buffer
      while i < b.count {
        let (c, l) = s.decode(i)
        if (c >= 10 && c <= 13) || (c >= 28 && c <= 30) || c == 0x85 || c == 0x2028 || c == 0x2029 {
          var end = i + l
          if c == 13, end < b.count, b[end] == 10 { end += 1 }
          out.list.append(makeStr(s.bytes + start, (keep ? end : i) - start))
          start = end
          i = end
        } else {
          i += l
        }
      }
      if start < b.count { out.list.append(makeStr(s.bytes + start, b.count - start)) }
      return out
    },
    Builtin(
      "join", "join(self, iterable, /)", chapter: "str", doc: "The strings with this between them.",
      examples: [">>> ', '.join(['a', 'b', 'c'])\n'a, b, c'"]
    ) { (a) throws(LullError) in
      let sep = a[0].str
      var owned = Value.undefined
      defer { owned.release() }
      var source = a[1]
      if source.tag != .list, source.tag != .tuple {
        if !isIterable(source) { throw LullError.typeError("can only join an iterable") }
        owned = makeList(try collect(source))
        source = owned
      }
      let n = source.elements.count
      if n == 0 { return emptyString.retained() }
      let items = source.tag == .list ? source.list.pointee.items : source.tuple.items
      let gap = sep.pointee.byteCount
      var total = gap &* (n &- 1)
      var count = sep.pointee.count &* (n &- 1)
      var flags = n > 1 ? sep.pointee.h.flags : Header.flagASCII
      for i in 0..<n {
        guard let s = items[i].asStr else {
          throw LullError.typeError(
            "sequence item \(i): expected str instance, \(typeName(items[i])) found")
        }
        total += s.pointee.byteCount
        count &+= s.pointee.count
        flags &= s.pointee.h.flags
      }
      if total > 1 << 24 { try checkAllocation(total, 1) }
      if n == 1, items[0].tag == .str { return items[0].retained() }
      let r = makeStr(uninitialized: total)
      var to = r.bytes
      for i in 0..<n {
        if i > 0 {
          copyBytes(to, sep.bytes, gap)
          to += gap
        }
        let s = items[i].str
        copyBytes(to, s.bytes, s.pointee.byteCount)
        to += s.pointee.byteCount
      }
      r.pointee.count = count
      r.pointee.h.flags |= flags & Header.flagASCII
      return r.value
    },
    Builtin(
      "replace", "replace(self, old, new, count=-1, /)", chapter: "str",
      doc: "Occurrences replaced.", examples: [">>> 'banana'.replace('an', 'o', 1)\n'boana'"]
    ) { (a) throws(LullError) in
      try replace(a[0].str, try a.str(1), try a.str(2), try a.int(3))
    },
    find(
      "find", "The first index of a substring, or -1.",
      ">>> 'banana'.find('an'), 'banana'.find('x')\n(1, -1)", last: false, fails: false),
    find(
      "rfind", "The last index of a substring, or -1.", ">>> 'banana'.rfind('an')\n3", last: true,
      fails: false),
    find(
      "index", "The first index of a substring, which must be there.",
      ">>> 'banana'.index('n', 3)\n4", last: false, fails: true),
    find(
      "rindex", "The last index of a substring, which must be there.",
      ">>> 'banana'.rindex('an')\n3", last: true, fails: true),
    Builtin(
      "count", "count(self, sub, start=None, end=None, /)", chapter: "str",
      doc: "Number of non-overlapping occurrences.", examples: [">>> 'banana'.count('an')\n2"]
    ) { (a) throws(LullError) in
      let s = a[0].str
      let sub = try needStr(a[1])
      guard let (i, j) = try bounds(s, a, 2) else { return Value(0) }
      if sub.pointee.byteCount == 0 {
        return Value(s.index(ofOffset: j) - s.index(ofOffset: i) + 1)
      }
      let h = slice(s, i, j)
      var n = 0
      var at = 0
      while true {
        let p = findBytes(h, sub.buffer, from: at)
        if p < 0 { return Value(n) }
        n += 1
        at = p + sub.pointee.byteCount
      }
    },

    affix(
      "startswith", "Whether the text starts with a prefix, or one of a tuple of them.",
      ">>> 'banana'.startswith('ba'), 'banana'.startswith(('x', 'b'))\n(True, True)", false),
    affix(
      "endswith", "Whether the text ends with a suffix, or one of a tuple of them.",
      ">>> 'a.txt'.endswith('.txt')\nTrue", true),
    Builtin(
      "removeprefix", "removeprefix(self, prefix, /)", chapter: "str", doc: "Without a prefix.",
      examples: [">>> 'test_add'.removeprefix('test_')\n'add'"]
    ) { (a) throws(LullError) in
      let s = a[0].str
      let p = try a.str(1)
      let n = p.pointee.byteCount
      if n == 0 || s.pointee.byteCount < n || memcmp(s.bytes, p.bytes, n) != 0 {
        return a[0].retained()
      }
      return makeStr(s.bytes + n, s.pointee.byteCount - n)
    },
    Builtin(
      "removesuffix", "removesuffix(self, suffix, /)", chapter: "str", doc: "Without a suffix.",
      examples: [">>> 'notes.txt'.removesuffix('.txt')\n'notes'"]
    ) { (a) throws(LullError) in
      let s = a[0].str
      let p = try a.str(1)
      let n = p.pointee.byteCount
      let rest = s.pointee.byteCount - n
      if n == 0 || rest < 0 || memcmp(s.bytes + rest, p.bytes, n) != 0 { return a[0].retained() }
      return makeStr(s.bytes, rest)
    },
    Builtin(
      "partition", "partition(self, sep, /)", chapter: "str", doc: "Before, separator, after.",
      examples: [">>> 'key=a=b'.partition('=')\n('key', '=', 'a=b')"]
    ) { (a) throws(LullError) in
      let s = a[0].str
      let p = try needStr(a[1])
      if p.pointee.byteCount == 0 { throw LullError.valueError("empty separator") }
      let at = findBytes(s.buffer, p.buffer, from: 0)
      if at < 0 { return makeTuple([a[0].retained(), makeStr(""), makeStr("")]) }
      let e = at + p.pointee.byteCount
      return makeTriple(makePiece(s, 0, at), a[1].retained(), makePiece(s, e, s.pointee.byteCount))
    },
    Builtin(
      "rpartition", "rpartition(self, sep, /)", chapter: "str",
      doc: "Like partition, at the last separator.",
      examples: [">>> 'key=a=b'.rpartition('=')\n('key=a', '=', 'b')"]
    ) { (a) throws(LullError) in
      let s = a[0].str
      let p = try needStr(a[1])
      if p.pointee.byteCount == 0 { throw LullError.valueError("empty separator") }
      let at = findLastBytes(s.buffer, p.buffer)
      if at < 0 { return makeTuple([makeStr(""), makeStr(""), a[0].retained()]) }
      let e = at + p.pointee.byteCount
      return makeTriple(makePiece(s, 0, at), a[1].retained(), makePiece(s, e, s.pointee.byteCount))
    },
    justify("ljust", "Padded on the right to a width.", ">>> 'ab'.ljust(5, '.')\n'ab...'", "<"),
    justify("rjust", "Padded on the left to a width.", ">>> '42'.rjust(5)\n'   42'", ">"),
    justify("center", "Padded on both sides to a width.", ">>> 'ab'.center(6, '*')\n'**ab**'", "^"),
    Builtin(
      "zfill", "zfill(self, width, /)", chapter: "str", doc: "Padded with zeros on the left.",
      examples: [">>> '-42'.zfill(6)\n'-00042'"]
    ) { (a) throws(LullError) in
      let s = a[0].str
      let width = try a.int(1)
      if width <= s.pointee.count { return a[0].retained() }
      let missing = width - s.pointee.count
      try checkAllocation(missing, 4)
      var out = TextBuilder()
      let sign = s.buffer.first.map { $0 == 43 || $0 == 45 } ?? false ? 1 : 0
      out.append(s.bytes, sign)
      out.append(repeating: 48, missing)
      out.append(s.bytes + sign, s.pointee.byteCount - sign)
      return out.value()
    },
    Builtin(
      "expandtabs", "expandtabs(self, tabsize=8)", chapter: "str", doc: "Tabs as spaces.",
      examples: [">>> 'a\\tb'.expandtabs(4)\n'a   b'"]
    ) { (a) throws(LullError) in
      let size = try a.int32(1)
      var column = 0
      var out: [UInt32] = []
      for c in a[0].str.codePoints {
        if c == 9 {
          if size > 0 {
            let n = size - column % size
            if n > 1 << 16 { try checkAllocation(n, 16) }
            out.append(contentsOf: repeatElement(32, count: n))
            column += n
          }
        } else {
          out.append(c)
          column = c == 10 || c == 13 ? 0 : column + 1
        }
      }
      return makeStr(codePoints: out)
    },
    Builtin(
      "format", "format(self, *args, **kwargs)", chapter: "str",
      doc: "Fill the replacement fields.",
      examples: [
        ">>> '{} is {:.2f}, {name:>5}'.format('pi', 3.14159, name='ok')\n'pi is 3.14,    ok'"
      ]
    ) { (a) throws(LullError) in
      try formatTemplate(a[0].str, Array(a.rest(1)), a[2].asDict)
    },
    Builtin(
      "format_map", "format_map(self, mapping, /)", chapter: "str",
      doc: "Fill the fields from a mapping.",
      examples: [">>> '{x} and {y}'.format_map({'x': 1, 'y': 2})\n'1 and 2'"]
    ) { (a) throws(LullError) in
      try formatTemplate(a[0].str, [], nil, mapping: a[1])
    },
    Builtin(
      "encode", "encode(self, encoding='utf-8', errors='strict')", chapter: "str", doc: "As bytes.",
      examples: [">>> 'é'.encode(), 'é'.encode('latin-1')\n(b'\\xc3\\xa9', b'\\xe9')"]
    ) { (a) throws(LullError) in
      makeBytes(try encodeString(a[0].str, try a.string(1), try a.string(2)))
    },
    Builtin(
      "translate", "translate(self, table, /)", chapter: "str",
      doc: "Characters mapped by a table.",
      examples: [">>> 'banana'.translate({ord('a'): 'o', ord('b'): None})\n'onono'"]
    ) { (a) throws(LullError) in
      var out = ""
      for c in a[0].str.codePoints {
        do throws(LullError) {
          let v = try getItem(a[1], Value(Int(c)))
          defer { v.release() }
          if v.isNone { continue }
          if v.kind != .str {
            guard v.isInteger else {
              throw LullError.typeError("character mapping must return integer, None or str")
            }
            let i = try indexOf(v)
            if i < 0 || i > 0x10FFFF {
              throw LullError.valueError("character mapping must be in range(0x110000)")
            }
          }
          out += v.kind == .str ? v.string : scalarText(UInt32(clamping: try indexOf(v)))
        } catch {
          if isKind(error, "LookupError") { out += scalarText(c) } else { throw error }
        }
      }
      return makeStr(out)
    },
    test("isalpha", "All letters.", ">>> 'abc'.isalpha(), 'a1'.isalpha()\n(True, False)", isAlpha),
    test("isdigit", "All digits.", ">>> '123'.isdigit(), '1.5'.isdigit()\n(True, False)", isDigit),
    test(
      "isdecimal", "All decimal digits.", ">>> '123'.isdecimal(), '²'.isdecimal()\n(True, False)",
      isDecimal),
    test(
      "isnumeric", "All numeric.", ">>> '½'.isnumeric(), 'x'.isnumeric()\n(True, False)", isNumeric),
    test("isalnum", "All letters or digits.", ">>> 'a1'.isalnum(), 'a b'.isalnum()\n(True, False)")
    { isAlpha($0) || isNumeric($0) },
    test(
      "isspace", "All white space.", ">>> ' \\t'.isspace(), ''.isspace()\n(True, False)", isSpace),
    Builtin(
      "isascii", "isascii(self, /)", chapter: "str", doc: "All ASCII.",
      examples: [">>> 'abc'.isascii(), 'é'.isascii()\n(True, False)"]
    ) { (a) throws(LullError) in Value(a[0].str.isASCII) },
    Builtin(
      "isprintable", "isprintable(self, /)", chapter: "str", doc: "All printable.",
      examples: [">>> 'a b'.isprintable(), 'a\\n'.isprintable()\n(True, False)"]
    ) { (a) throws(LullError) in
      Value(a[0].str.codePoints.allSatisfy(isPrintable))
    },
    Builtin(
      "isupper", "isupper(self, /)", chapter: "str", doc: "Cased and all upper.",
      examples: [">>> 'ABC1'.isupper(), 'Abc'.isupper()\n(True, False)"]
    ) { (a) throws(LullError) in
      let p = a[0].str.codePoints
      return Value(p.contains(where: isUpper) && !p.contains { isLower($0) || isTitle($0) })
    },
    Builtin(
      "islower", "islower(self, /)", chapter: "str", doc: "Cased and all lower.",
      examples: [">>> 'abc1'.islower(), 'Abc'.islower()\n(True, False)"]
    ) { (a) throws(LullError) in
      let p = a[0].str.codePoints
      return Value(p.contains(where: isLower) && !p.contains { isUpper($0) || isTitle($0) })
    },
    Builtin(
      "istitle", "istitle(self, /)", chapter: "str", doc: "Title-cased.",
      examples: [">>> 'Hello World'.istitle(), 'Hello world'.istitle()\n(True, False)"]
    ) { (a) throws(LullError) in
      var previous = false
      var any = false
      for c in a[0].str.codePoints {
        if isUpper(c) || isTitle(c) {
          if previous { return Value(false) }
          previous = true
          any = true
        } else if isLower(c) {
          if !previous { return Value(false) }
        } else {
          previous = false
        }
      }
      return Value(any)
    },
    Builtin(
      "isidentifier", "isidentifier(self, /)", chapter: "str", doc: "A valid name.",
      examples: [">>> 'name_1'.isidentifier(), '1name'.isidentifier()\n(True, False)"]
    ) { (a) throws(LullError) in
      let p = a[0].str.codePoints
      func properties(_ c: UInt32) -> Unicode.Scalar.Properties? { Unicode.Scalar(c)?.properties }
      guard let first = p.first, first == 95 || properties(first)?.isXIDStart ?? false else {
        return Value(false)
      }
      return Value(p.allSatisfy { properties($0)?.isXIDContinue ?? false })
    },
  ]
  guard let t = builtinTypes["str"] else { return }
  for m in methods {
    m.setOwner("str", [.str])
    t.pointee.dict.dict.set(m.name, makeBuiltin(m))
  }
  BuiltinRegistry.add(methods)
  t.pointee.dict.dict.set(
    "maketrans",
    makeWrapper(
      .staticMethod,
      registered(
        Builtin(
          "maketrans", "maketrans(x, y=..., z=..., /)", chapter: "str",
          doc:
            "A table for translate: of a dict, or from the characters of x to those of y, without those of z.",
          examples: [">>> 'banana'.translate(str.maketrans('an', 'oN', 'b'))\n'oNoNo'"]
        ) { (a) throws(LullError) in
          let d = makeDict()
          if a.has(1) {
            guard let first = a[0].asStr else {
              throw LullError.typeError(
                "first maketrans argument must be a string if there is a second argument")
            }
            let x = first.codePoints
            let y = try a.str(1).codePoints
            if x.count != y.count {
              throw LullError.valueError("the first two maketrans arguments must have equal length")
            }
            for (p, q) in zip(x, y) { try d.dict.store(Value(Int(p)), Value(Int(q))) }
            if a.has(2) {
              for c in try a.str(2).codePoints { try d.dict.store(Value(Int(c)), .none) }
            }
            return d
          }
          guard a[0].kind == .dict else {
            throw LullError.typeError(
              "if you give only one argument to maketrans it must be a dict")
          }
          for (k, v) in dictItems(a[0]) {
            if k.kind == .str, k.str.pointee.count != 1 {
              throw LullError.valueError("string keys in translate table must be of length 1")
            }
            if k.kind != .str, !k.isInteger {
              throw LullError.typeError("keys in translate table must be strings or integers")
            }
            let key = k.kind == .str ? Value(Int(k.str.decode(0).0)) : k
            try d.dict.store(key, v.retained())
          }
          return d
        })))
  t.changed()
  installBytes()
}
