// Strings: storage.
//
// UTF-8 in one block after the head (lone surrogates as three bytes, as WTF-8, so that `chr(0xD800)`
// exists), with the number of code points and an is-ASCII flag: ASCII strings index in O(1), others
// walk. Byte order is code-point order, so comparison is memcmp. Names in programs are interned:
// equal interned strings are the same object, which dictionary look-ups use.
import Glibc

@inline(__always) func makeStr(uninitialized byteCount: Int, capacity: Int = 0) -> StrPtr {
  let cap = max(byteCount, capacity)
  let p = allocateObject(StrBody.headSize &+ cap).bindMemory(to: StrBody.self, capacity: 1)
  p.initialize(
    to: StrBody(
      h: Header(.str), hash: 0, byteCount: byteCount, count: byteCount, capacity: cap))
  return p
}

extension UnsafeMutablePointer where Pointee == StrBody {
  @inline(__always) var bytes: UnsafeMutablePointer<UInt8> {
    (UnsafeMutableRawPointer(self) + StrBody.headSize).assumingMemoryBound(to: UInt8.self)
  }
  @inline(__always) var buffer: UnsafeBufferPointer<UInt8> {
    UnsafeBufferPointer(start: bytes, count: pointee.byteCount)
  }
  @inline(__always) var isASCII: Bool { pointee.h.flags & Header.flagASCII != 0 }
  @inline(__always) var isInterned: Bool { pointee.h.flags & Header.flagInterned != 0 }
  @inline(__always) var value: Value { Value(.str, self) }

  /// Counts code points and sets the ASCII flag; to be called once after filling the bytes.
  func finish() {
    let n = pointee.byteCount
    let b = UnsafeRawPointer(bytes)
    var i = 0
    var any: UInt64 = 0
    // What is left at the end is read together with bytes that were read before.
    if n >= 8 {
      while i &+ 8 <= n {
        any |= b.loadUnaligned(fromByteOffset: i, as: UInt64.self)
        i &+= 8
      }
      any |= b.loadUnaligned(fromByteOffset: n &- 8, as: UInt64.self)
    } else if n >= 4 {
      any = UInt64(
        b.loadUnaligned(as: UInt32.self) | b.loadUnaligned(fromByteOffset: n &- 4, as: UInt32.self))
    } else {
      while i < n {
        any |= UInt64(b.load(fromByteOffset: i, as: UInt8.self))
        i &+= 1
      }
    }
    if any & 0x8080_8080_8080_8080 == 0 {
      pointee.count = n
      pointee.h.flags |= Header.flagASCII
      return
    }
    var continuation = 0
    for k in 0..<n where bytes[k] & 0xC0 == 0x80 { continuation &+= 1 }
    pointee.count = n &- continuation
  }

  @inline(__always) var hashValue64: Int {
    let h = pointee.hash
    return h != 0 ? h : computeHash()
  }
  @inline(never) func computeHash() -> Int {
    // As in CPython, whatever its seed: it shows in the order of sets.
    if pointee.byteCount == 0 { return 0 }
    var h: UInt64 = 0x9E37_79B9_7F4A_7C15 ^ UInt64(pointee.byteCount)
    let b = UnsafeRawPointer(bytes)
    var i = 0
    let n = pointee.byteCount
    while i + 8 <= n {
      h = (h ^ b.loadUnaligned(fromByteOffset: i, as: UInt64.self)) &* 0xFF51_AFD7_ED55_8CCD
      h ^= h >> 32
      i += 8
    }
    var tail: UInt64 = 0
    while i < n {
      tail = tail << 8 | UInt64(b.load(fromByteOffset: i, as: UInt8.self))
      i += 1
    }
    h = (h ^ tail) &* 0xC4CE_B9FE_1A85_EC53
    h ^= h >> 29
    h = h &* 0xFF51_AFD7_ED55_8CCD
    h ^= h >> 32
    let r = Int(bitPattern: UInt(h >> 1))
    pointee.hash = r == 0 ? 1 : r
    return pointee.hash
  }
  @inline(__always) func equals(_ o: StrPtr) -> Bool {
    if self == o { return true }
    let n = pointee.byteCount
    if n != o.pointee.byteCount { return false }
    return equalBytes(bytes, o.bytes, n)
  }
  func compare(_ o: StrPtr) -> Int {
    let n = Swift.min(pointee.byteCount, o.pointee.byteCount)
    let c = Int(memcmp(bytes, o.bytes, n))
    return c != 0 ? c : pointee.byteCount - o.pointee.byteCount
  }
  var string: String { String(decoding: buffer, as: UTF8.self) }

  /// Byte offset of a code point index in 0...count.
  func offset(of index: Int) -> Int {
    if isASCII { return index }
    let b = bytes
    var left = index
    var i = 0
    let n = pointee.byteCount
    while left > 0, i < n {
      i += utf8Length(b[i])
      left -= 1
    }
    return i
  }
  /// Code point index of a byte offset.
  func index(ofOffset offset: Int) -> Int {
    if isASCII { return offset }
    var n = 0
    let b = bytes
    for i in 0..<offset where b[i] & 0xC0 != 0x80 { n += 1 }
    return n
  }
  /// One code point as a string, by byte offset.
  func character(atOffset i: Int) -> Value {
    let b = bytes[i]
    if b < 0x80 { return asciiCharacter(b) }
    return makeStr(bytes + i, utf8Length(b))
  }
  /// The code points. O(n).
  var codePoints: [UInt32] {
    var out: [UInt32] = []
    out.reserveCapacity(pointee.count)
    var i = 0
    let n = pointee.byteCount
    while i < n {
      let (c, l) = decode(i)
      out.append(c)
      i += l
    }
    return out
  }
  @inline(__always) func decode(_ i: Int) -> (UInt32, Int) {
    let b = bytes
    let c = UInt32(b[i])
    if c < 0x80 { return (c, 1) }
    if c < 0xE0 { return ((c & 0x1F) << 6 | UInt32(b[i + 1]) & 0x3F, 2) }
    if c < 0xF0 {
      return ((c & 0x0F) << 12 | (UInt32(b[i + 1]) & 0x3F) << 6 | UInt32(b[i + 2]) & 0x3F, 3)
    }
    return (
      (c & 0x07) << 18 | (UInt32(b[i + 1]) & 0x3F) << 12 | (UInt32(b[i + 2]) & 0x3F) << 6
        | UInt32(b[i + 3]) & 0x3F, 4
    )
  }
}

/// memcpy without a call for short texts, which most are: the last word overlaps the one before it.
@inline(__always) func copyBytes(_ to: UnsafeMutableRawPointer, _ from: UnsafeRawPointer, _ n: Int)
{
  if n > 16 {
    memcpy(to, from, n)
  } else if n >= 8 {
    let a = from.loadUnaligned(as: UInt64.self)
    let b = from.loadUnaligned(fromByteOffset: n &- 8, as: UInt64.self)
    to.storeBytes(of: a, as: UInt64.self)
    to.storeBytes(of: b, toByteOffset: n &- 8, as: UInt64.self)
  } else if n >= 4 {
    let a = from.loadUnaligned(as: UInt32.self)
    let b = from.loadUnaligned(fromByteOffset: n &- 4, as: UInt32.self)
    to.storeBytes(of: a, as: UInt32.self)
    to.storeBytes(of: b, toByteOffset: n &- 4, as: UInt32.self)
  } else if n > 0 {
    to.storeBytes(of: from.load(as: UInt8.self), as: UInt8.self)
    if n > 1 {
      to.storeBytes(
        of: from.load(fromByteOffset: n &- 1, as: UInt8.self), toByteOffset: n &- 1, as: UInt8.self)
      to.storeBytes(
        of: from.load(fromByteOffset: 1, as: UInt8.self), toByteOffset: 1, as: UInt8.self)
    }
  }
}
/// A piece of a str, by byte offsets at whole characters.
@inline(__always) func makePiece(_ s: StrPtr, _ from: Int, _ to: Int) -> Value {
  let n = to &- from
  if _slowPath(!s.isASCII) { return makeStr(s.bytes + from, n) }
  if n == 1 { return asciiCharacter(s.bytes[from]) }
  return makePlainPiece(s.bytes + from, n)
}
/// An ASCII text.
@inline(never) func makePlainPiece(_ p: UnsafePointer<UInt8>, _ n: Int) -> Value {
  let r = makeStr(uninitialized: n)
  copyBytes(r.bytes, p, n)
  r.pointee.h.flags = Header.flagASCII
  return r.value
}
/// memcmp == 0 without a call for short texts: the last word of each overlaps the one before it.
@inline(__always) func equalBytes(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ n: Int) -> Bool {
  if n >= 8 {
    if n > 64 { return memcmp(a, b, n) == 0 }
    var i = 0
    while i &+ 8 <= n {
      if a.loadUnaligned(fromByteOffset: i, as: UInt64.self)
        != b.loadUnaligned(fromByteOffset: i, as: UInt64.self)
      {
        return false
      }
      i &+= 8
    }
    return a.loadUnaligned(fromByteOffset: n &- 8, as: UInt64.self)
      == b.loadUnaligned(fromByteOffset: n &- 8, as: UInt64.self)
  }
  if n >= 4 {
    return a.loadUnaligned(as: UInt32.self) == b.loadUnaligned(as: UInt32.self)
      && a.loadUnaligned(fromByteOffset: n &- 4, as: UInt32.self)
        == b.loadUnaligned(fromByteOffset: n &- 4, as: UInt32.self)
  }
  var i = 0
  while i < n {
    if a.load(fromByteOffset: i, as: UInt8.self) != b.load(fromByteOffset: i, as: UInt8.self) {
      return false
    }
    i &+= 1
  }
  return true
}
@inline(__always) func utf8Length(_ b: UInt8) -> Int {
  b < 0x80 ? 1 : b < 0xE0 ? 2 : b < 0xF0 ? 3 : 4
}

func makeStr(_ p: UnsafePointer<UInt8>, _ n: Int) -> Value {
  if n == 1, p[0] < 0x80 { return asciiCharacter(p[0]) }
  let s = makeStr(uninitialized: n)
  copyBytes(s.bytes, p, n)
  s.finish()
  return s.value
}
func makeStr(_ bytes: [UInt8]) -> Value {
  bytes.withUnsafeBufferPointer { b in
    let s = makeStr(uninitialized: b.count)
    if let base = b.baseAddress { memcpy(s.bytes, base, b.count) }
    s.finish()
    return s.value
  }
}
public func makeStr(_ string: String) -> Value {
  var string = string
  return string.withUTF8 { b in
    let s = makeStr(uninitialized: b.count)
    if let base = b.baseAddress { memcpy(s.bytes, base, b.count) }
    s.finish()
    return s.value
  }
}
func makeStr(codePoints: some Sequence<UInt32>) -> Value {
  var out: [UInt8] = []
  for c in codePoints { appendUTF8(c, to: &out) }
  return makeStr(out)
}
@inline(__always) func appendUTF8(_ c: UInt32, to out: inout [UInt8]) {
  if c < 0x80 {
    out.append(UInt8(c))
  } else if c < 0x800 {
    out.append(UInt8(0xC0 | c >> 6))
    out.append(UInt8(0x80 | c & 0x3F))
  } else if c < 0x10000 {
    out.append(UInt8(0xE0 | c >> 12))
    out.append(UInt8(0x80 | c >> 6 & 0x3F))
    out.append(UInt8(0x80 | c & 0x3F))
  } else {
    out.append(UInt8(0xF0 | c >> 18 & 7))
    out.append(UInt8(0x80 | c >> 12 & 0x3F))
    out.append(UInt8(0x80 | c >> 6 & 0x3F))
    out.append(UInt8(0x80 | c & 0x3F))
  }
}

extension Value {
  /// The text of a str value (empty for anything else).
  var string: String { kind == .str ? str.string : "" }
}

// MARK: - Interning

/// A text by its bytes: Swift's own equality takes different spellings of one character for the same.
struct TextKey: Hashable {
  let text: String
  static func == (a: TextKey, b: TextKey) -> Bool { a.text.utf8.elementsEqual(b.text.utf8) }
  func hash(into hasher: inout Hasher) {
    var text = text
    text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
  }
}
@exclusivity(unchecked) nonisolated(unsafe) private var internTable: [TextKey: StrPtr] = [:]
/// One-character ASCII strings, made by `startRuntime`.
@exclusivity(unchecked) nonisolated(unsafe) var asciiTable: UnsafeMutablePointer<Value> =
  UnsafeMutablePointer(bitPattern: 16).unsafelyUnwrapped

let immortal: Int32 = 1 << 30

/// The interned string, borrowed: interned strings live forever.
func interned(_ name: String) -> Value { Value(.str, internedPointer(name)) }
func internedPointer(_ name: String) -> StrPtr {
  if let p = internTable[TextKey(text: name)] { return p }
  let v: Value
  if name.utf8.count == 1, let b = name.utf8.first, b < 0x80 {
    v = Value(.str, asciiTable[Int(b)].raw)
  } else {
    v = makeStr(name)
  }
  v.header.pointee.count = immortal
  v.header.pointee.flags |= Header.flagInterned
  internTable[TextKey(text: name)] = v.str
  _ = v.str.hashValue64
  return v.str
}
/// The interned twin of a str value.
func interned(_ v: Value) -> Value {
  if v.tag == .str, v.str.isInterned { return v }
  return interned(v.string)
}
/// '', interned; made by `startRuntime`.
@exclusivity(unchecked) nonisolated(unsafe) var emptyString = Value.undefined
func makeASCIITable() {
  asciiTable = .allocate(capacity: 128)
  for i in 0..<128 {
    let s = makeStr(uninitialized: 1)
    s.bytes[0] = UInt8(i)
    s.finish()
    s.pointee.h.count = immortal
    asciiTable[i] = s.value
  }
  emptyString = interned("")
}
@inline(__always) func asciiCharacter(_ b: UInt8) -> Value {
  let v = asciiTable[Int(b)]
  v.header.pointee.count &+= 1
  return Value(tag: .str, bits: v.bits)
}

// MARK: - Concatenation

/// a + b, borrowed operands.
func concatenate(_ a: StrPtr, _ b: StrPtr) throws(LullError) -> Value {
  let n = a.pointee.byteCount
  let m = b.pointee.byteCount
  if n == 0, a.pointee.h.type == b.pointee.h.type { return b.value.retained() }
  if n + m > 1 << 24 { try checkAllocation(n + m, 1) }
  let s = makeStr(uninitialized: n + m)
  copyBytes(s.bytes, a.bytes, n)
  copyBytes(s.bytes + n, b.bytes, m)
  s.pointee.count = a.pointee.count &+ b.pointee.count
  s.pointee.h.flags |= a.pointee.h.flags & b.pointee.h.flags & Header.flagASCII
  return s.value
}

/// Appends to a string that nobody else holds; consumes `a`, borrows `b`. Amortised O(m).
func concatenateInPlace(_ a: StrPtr, _ b: StrPtr) throws(LullError) -> Value {
  let n = a.pointee.byteCount
  let m = b.pointee.byteCount
  var a = a
  if n + m > a.pointee.capacity {
    if n + m > 1 << 24 { try checkAllocation(n + m, 2) }
    let capacity = n + m + (n + m) / 2 + 16
    let old = a.pointee.capacity
    if StrBody.headSize + old > 512, StrBody.headSize + capacity > 512,
      let p = realloc(a, StrBody.headSize + capacity)
    {
      a = p.assumingMemoryBound(to: StrBody.self)
      a.pointee.capacity = capacity
    } else {
      let s = makeStr(uninitialized: n, capacity: capacity)
      memcpy(s.bytes, a.bytes, n)
      s.pointee.count = a.pointee.count
      s.pointee.h.flags = a.pointee.h.flags
      freeObject(a, StrBody.headSize + old)
      a = s
    }
  }
  // `b` may not alias `a`: the caller checked that `a` has one owner.
  copyBytes(a.bytes + n, b.bytes, m)
  a.pointee.byteCount = n + m
  a.pointee.count += b.pointee.count
  a.pointee.hash = 0
  if !b.isASCII { a.pointee.h.flags &= ~Header.flagASCII }
  return a.value
}
