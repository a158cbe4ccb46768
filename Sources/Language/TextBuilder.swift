// Text under construction: a growing buffer of UTF-8 bytes.
//
// repr, str, f-strings, `format` and `%` all write here, so that no step between a value and its
// text makes a Swift String or walks Characters. Small buffers come from the object free lists.
import Glibc

struct TextBuilder: ~Copyable {
  private(set) var bytes: UnsafeMutablePointer<UInt8>
  var count = 0
  private var capacity: Int

  init() {
    capacity = 128
    bytes = allocateStorage(128).assumingMemoryBound(to: UInt8.self)
  }
  deinit { freeStorage(bytes, capacity) }

  /// Room for `n` more bytes.
  @inline(__always) mutating func reserve(_ n: Int) {
    if count &+ n > capacity { grow(n) }
  }
  @inline(never) private mutating func grow(_ n: Int) {
    let size = max(capacity * 2, count + n + 64)
    let new = allocateStorage(size).assumingMemoryBound(to: UInt8.self)
    memcpy(new, bytes, count)
    freeStorage(bytes, capacity)
    bytes = new
    capacity = size
  }
  @inline(__always) mutating func append(_ byte: UInt8) {
    reserve(1)
    bytes[count] = byte
    count &+= 1
  }
  mutating func append(_ p: UnsafePointer<UInt8>, _ n: Int) {
    reserve(n)
    copyBytes(bytes + count, p, n)
    count &+= n
  }
  mutating func append(_ s: StrPtr) { append(s.bytes, s.pointee.byteCount) }
  mutating func append(_ s: StaticString) { append(s.utf8Start, s.utf8CodeUnitCount) }
  mutating func append(text: String) {
    var text = text
    text.withUTF8 { b in if let p = b.baseAddress { append(p, b.count) } }
  }
  mutating func append(repeating byte: UInt8, _ n: Int) {
    if n <= 0 { return }
    reserve(n)
    memset(bytes + count, Int32(byte), n)
    count &+= n
  }
  /// Moves what lies from a place on to make room for a byte repeated.
  mutating func insert(repeating byte: UInt8, _ n: Int, at place: Int) {
    if n <= 0 { return }
    reserve(n)
    memmove(bytes + (place + n), bytes + place, count - place)
    memset(bytes + place, Int32(byte), n)
    count &+= n
  }
  mutating func append(codePoint c: UInt32) {
    if c < 0x80 { return append(UInt8(truncatingIfNeeded: c)) }
    reserve(4)
    let p = bytes + count
    if c < 0x800 {
      p[0] = UInt8(truncatingIfNeeded: 0xC0 | c >> 6)
      p[1] = UInt8(truncatingIfNeeded: 0x80 | c & 0x3F)
      count &+= 2
    } else if c < 0x10000 {
      p[0] = UInt8(truncatingIfNeeded: 0xE0 | c >> 12)
      p[1] = UInt8(truncatingIfNeeded: 0x80 | c >> 6 & 0x3F)
      p[2] = UInt8(truncatingIfNeeded: 0x80 | c & 0x3F)
      count &+= 3
    } else {
      p[0] = UInt8(truncatingIfNeeded: 0xF0 | c >> 18 & 7)
      p[1] = UInt8(truncatingIfNeeded: 0x80 | c >> 12 & 0x3F)
      p[2] = UInt8(truncatingIfNeeded: 0x80 | c >> 6 & 0x3F)
      p[3] = UInt8(truncatingIfNeeded: 0x80 | c & 0x3F)
      count &+= 4
    }
  }
  mutating func append(decimal n: Int) {
    reserve(20)
    count &+= writeDecimal(n, bytes + count)
  }
  mutating func append(magnitude: UInt, radix: UInt, uppercase: Bool = false) {
    if radix == 10, let n = Int(exactly: magnitude) { return append(decimal: n) }
    var digits = 1
    var rest = magnitude / radix
    while rest != 0 {
      digits &+= 1
      rest /= radix
    }
    reserve(digits)
    var p = bytes + (count &+ digits)
    var m = magnitude
    let letters: UInt8 = uppercase ? 55 : 87
    for _ in 0..<digits {
      let d = UInt8(truncatingIfNeeded: m % radix)
      m /= radix
      p -= 1
      p.pointee = d < 10 ? d &+ 48 : d &+ letters
    }
    count &+= digits
  }
  /// `\x` and two digits.
  @inline(__always) mutating func append(escape x: UInt8) {
    reserve(4)
    let p = bytes + count
    let (high, low) = (x &>> 4, x & 15)
    p[0] = 92
    p[1] = 120
    p[2] = high < 10 ? high &+ 48 : high &+ 87
    p[3] = low < 10 ? low &+ 48 : low &+ 87
    count &+= 4
  }
  /// Fixed-width hexadecimal, for escapes.
  mutating func append(hex c: UInt32, _ digits: Int) {
    var shift = (digits - 1) * 4
    while shift >= 0 {
      let d = UInt8(truncatingIfNeeded: c >> UInt32(shift) & 15)
      append(d < 10 ? d &+ 48 : d &+ 87)
      shift -= 4
    }
  }

  var codePointCount: Int {
    var n = 0
    for i in 0..<count where bytes[i] & 0xC0 != 0x80 { n &+= 1 }
    return n
  }
  func value() -> Value { makeStr(bytes, count) }
  var string: String {
    String(decoding: UnsafeBufferPointer(start: bytes, count: count), as: UTF8.self)
  }
}

/// 10, 100, ... 10^19.
@exclusivity(unchecked) nonisolated(unsafe) private var powersOfTen: UnsafeMutablePointer<UInt> =
  UnsafeMutablePointer(bitPattern: 16).unsafelyUnwrapped
/// "00" to "99", 16 bits each.
@exclusivity(unchecked) nonisolated(unsafe) private var digitPairs: UnsafeMutablePointer<UInt16> =
  UnsafeMutablePointer(bitPattern: 16).unsafelyUnwrapped
/// Made by `startRuntime`: globals that are made on first use ask at each use whether they are.
func makeDigitTables() {
  powersOfTen = .allocate(capacity: 19)
  var power: UInt = 1
  for i in 0..<19 {
    power &*= 10
    (powersOfTen + i).initialize(to: power)
  }
  digitPairs = .allocate(capacity: 100)
  for i in 0..<100 {
    (digitPairs + i).initialize(
      to: UInt16(littleEndian: UInt16(48 + i / 10) | UInt16(48 + i % 10) << 8))
  }
}
@inline(__always) private func decimalDigits(_ m: UInt) -> Int {
  if m < 10 { return 1 }
  if m < 100 { return 2 }
  if m < 1000 { return 3 }
  // From the number of bits: 1233 / 4096 is just above the logarithm of 2.
  let guess = ((64 &- m.leadingZeroBitCount) &* 1233) &>> 12
  return m >= (guess == 0 ? 1 : powersOfTen[guess &- 1]) ? guess &+ 1 : guess
}
/// Writes a decimal integer of at most 20 bytes; returns its length.
func writeDecimal(_ n: Int, _ out: UnsafeMutablePointer<UInt8>) -> Int {
  let length = decimalDigits(n.magnitude) &+ (n < 0 ? 1 : 0)
  writeDecimal(n, out, length)
  return length
}
@inline(__always) private func writeDecimal(
  _ n: Int, _ out: UnsafeMutablePointer<UInt8>, _ length: Int
) {
  var m = n.magnitude
  if n < 0 { out[0] = 45 }
  var p = out + length
  let pairs = digitPairs
  while m >= 100 {
    let q = m / 100
    p -= 2
    UnsafeMutableRawPointer(p).storeBytes(of: pairs[Int(m &- q &* 100)], as: UInt16.self)
    m = q
  }
  if m >= 10 {
    p -= 2
    UnsafeMutableRawPointer(p).storeBytes(of: pairs[Int(m)], as: UInt16.self)
  } else {
    (p - 1).pointee = UInt8(truncatingIfNeeded: m) &+ 48
  }
}
/// An int as a str.
func makeStr(decimal n: Int) -> Value {
  if n >= 0, n < 10 { return asciiCharacter(UInt8(truncatingIfNeeded: n) &+ 48) }
  let length = decimalDigits(n.magnitude) &+ (n < 0 ? 1 : 0)
  let s = makeStr(uninitialized: length)
  writeDecimal(n, s.bytes, length)
  s.pointee.h.flags |= Header.flagASCII
  return s.value
}

@_silgen_name("strfromd")
private func strfromd(
  _ buffer: UnsafeMutablePointer<UInt8>, _ size: Int, _ format: UnsafePointer<UInt8>, _ d: Double
) -> Int32

extension TextBuilder {
  /// printf's `%.{precision}f`, exactly: a float is an integer times a power of two, so its digits are
  /// an integer quotient, rounded half to even. False where the numbers do not fit 128 bits.
  private mutating func appendFixed(_ d: Double, _ precision: Int) -> Bool {
    guard d.isFinite, precision <= 18 else { return false }
    let exponent = Int(d.exponentBitPattern == 0 ? 1 : d.exponentBitPattern) - 1075
    let m = d.significandBitPattern | (d.exponentBitPattern == 0 ? 0 : 1 << 52)
    guard exponent <= 0, exponent > -127 else { return false }
    var power: UInt64 = 1
    for _ in 0..<precision { power &*= 10 }
    let scaled = UInt128(m) * UInt128(power)  // below 2^53 * 2^60
    let shift = UInt128(-exponent)
    var q = scaled >> shift
    if exponent < 0 {
      let rest = scaled - q << shift
      let half = UInt128(1) << (shift - 1)
      if rest > half || rest == half && q & 1 == 1 { q += 1 }
    }
    guard q < 1 << 63 else { return false }
    if d.sign == .minus { append(45) }
    let digits = UInt64(q)
    append(decimal: Int(digits / power))
    if precision == 0 { return true }
    append(46)
    reserve(precision)
    var rest = digits % power
    var k = count + precision
    for _ in 0..<precision {
      k -= 1
      bytes[k] = UInt8(truncatingIfNeeded: rest % 10) &+ 48
      rest /= 10
    }
    count += precision
    return true
  }

  /// printf's `%.{precision}e`, as exactly; `letter` stands before the exponent.
  private mutating func appendScientific(_ d: Double, _ precision: Int, _ letter: UInt8) -> Bool {
    guard d.isFinite, d != 0, precision <= 16 else { return false }
    let exponent = Int(d.exponentBitPattern == 0 ? 1 : d.exponentBitPattern) - 1075
    let m = UInt128(d.significandBitPattern | (d.exponentBitPattern == 0 ? 0 : 1 << 52))
    var least: UInt128 = 1
    for _ in 0..<precision { least &*= 10 }
    // The decimal exponent may be one off, which the number of digits tells.
    var e = Int(log10(abs(d)).rounded(.down))
    var q: UInt128 = 0
    for _ in 0..<3 {
      let places = precision - e
      guard places.magnitude <= 19 else { return false }
      var power: UInt128 = 1
      for _ in 0..<places.magnitude { power &*= 10 }
      // The number is over / under.
      var over = places > 0 ? m &* power : m
      var under = places < 0 ? power : 1
      if exponent > 0 {
        guard over.leadingZeroBitCount > exponent else { return false }
        over <<= UInt128(exponent)
      } else {
        guard under.leadingZeroBitCount > -exponent + 1 else { return false }
        under <<= UInt128(-exponent)
      }
      let rest: UInt128
      if places >= 0 {
        // A power of two.
        q = exponent > 0 ? over : over >> UInt128(-exponent)
        rest = over & (under &- 1)
      } else {
        (q, rest) = over.quotientAndRemainder(dividingBy: under)
      }
      if q < least {
        e -= 1
        continue
      }
      if q >= least * 10 {
        e += 1
        continue
      }
      let half = rest << 1
      if half > under || half == under && q & 1 == 1 { q += 1 }
      if q == least * 10 {
        q = least
        e += 1
      }
      if d.sign == .minus { append(45) }
      let start = count
      append(decimal: Int(q))
      if precision > 0 {
        // One more byte behind the first digit, for the point.
        append(0)
        memmove(bytes + (start + 2), bytes + (start + 1), precision)
        bytes[start + 1] = 46
      }
      append(letter)
      append(e < 0 ? 45 : 43)
      if abs(e) < 10 { append(48) }
      append(decimal: abs(e))
      return true
    }
    return false
  }

  /// printf's `%.{precision}{conversion}`, with `#` when `alternate`.
  mutating func append(
    _ d: Double, conversion: UInt8, precision: Int, alternate: Bool = false
  ) {
    if alternate {
      append(text: cFormat("%#.*\(UnicodeScalar(conversion))", precision, d))
      return
    }
    if conversion == 102, appendFixed(d, precision) { return }
    if conversion == 101 || conversion == 69, appendScientific(d, precision, conversion) { return }
    var format = TextBuilder()
    format.append(37)
    format.append(46)
    format.append(decimal: precision)
    format.append(conversion)
    format.append(0)
    reserve(64)
    let room = capacity - count
    var n = Int(strfromd(bytes + count, room, format.bytes, d))
    if n >= room {
      reserve(n + 1)
      n = Int(strfromd(bytes + count, n + 1, format.bytes, d))
    }
    count += max(n, 0)
  }
}
