// Long integers: products, quotients, powers, shifts and text of magnitudes by `Kernels/bigint.c`. Signs, sums and short
// numbers are the package's, which keeps two limbs without memory of their own.

import BigInt
import Kernels

/// Up to this many limbs of both factors the package is as fast.
private let shortLimbs = 2

extension BigUInt {
  /// From limbs that a kernel writes.
  fileprivate init(limbs n: Int, _ fill: (UnsafeMutablePointer<UInt64>) -> Void) {
    let words = [UInt](unsafeUninitializedCapacity: n) { buffer, count in
      if let p = UnsafeMutableRawPointer(buffer.baseAddress)?.assumingMemoryBound(to: UInt64.self) {
        fill(p)
        count = n
      }
    }
    self.init(words: words)
  }
  fileprivate func withLimbs<R>(_ body: (UnsafePointer<UInt64>, Int) -> R) -> R {
    let words = Array(self.words)
    return words.withUnsafeBytes { raw in
      guard let p = raw.baseAddress else { return withUnsafePointer(to: 0) { body($0, 0) } }
      return body(p.assumingMemoryBound(to: UInt64.self), words.count)
    }
  }
}

private var stop: UnsafePointer<Int32> { UnsafePointer(vm.pointee.interrupt) }

/// a * b. Throws when it is interrupted.
func bigProduct(_ a: BigUInt, _ b: BigUInt) throws(LullError) -> BigUInt {
  if a.isZero || b.isZero { return 0 }
  let (n, m) = (a.words.count, b.words.count)
  if max(n, m) <= shortLimbs { return a * b }
  let r = a.withLimbs { x, n in
    b.withLimbs { y, m in
      BigUInt(limbs: n + m) { lull_big_multiply($0, x, Int64(n), y, Int64(m), stop) }
    }
  }
  try throwIfInterrupted()
  return r
}
func bigProduct(_ a: BigInt, _ b: BigInt) throws(LullError) -> BigInt {
  BigInt(
    sign: a.sign == b.sign ? .plus : .minus, magnitude: try bigProduct(a.magnitude, b.magnitude))
}

/// Quotient and remainder of magnitudes; b is not 0.
func bigQuotient(_ a: BigUInt, _ b: BigUInt) throws(LullError) -> (BigUInt, BigUInt) {
  if a < b { return (0, a) }
  let m = b.words.count
  if m == 1 {
    let d = UInt64(b.words[0])
    var rest: UInt64 = 0
    let q = a.withLimbs { x, n in
      BigUInt(limbs: n) { rest = lull_big_divide_word($0, x, Int64(n), d) }
    }
    return (q, BigUInt(rest))
  }
  var rest = BigUInt()
  let q = a.withLimbs { x, n in
    b.withLimbs { y, m in
      let room = UnsafeMutablePointer<UInt64>.allocate(capacity: n + 1 + m)
      defer { room.deallocate() }
      return BigUInt(limbs: n - m + 1) { q in
        rest = BigUInt(limbs: m) {
          lull_big_divide(q, $0, x, Int64(n), y, Int64(m), room, room + n + 1, stop)
        }
      }
    }
  }
  try throwIfInterrupted()
  return (q, rest)
}

/// Rounds down, as Python's // and %.
func floorDivMod(_ a: BigInt, _ b: BigInt) throws(LullError) -> (BigInt, BigInt) {
  let (q, r) = try bigQuotient(a.magnitude, b.magnitude)
  if a.sign == b.sign { return (BigInt(q), BigInt(sign: a.sign, magnitude: r)) }
  if r.isZero { return (BigInt(sign: .minus, magnitude: q), 0) }
  return (BigInt(sign: .minus, magnitude: q + 1), BigInt(sign: b.sign, magnitude: b.magnitude - r))
}

/// a to the power of e, e >= 0.
func bigPower(_ a: BigUInt, _ e: Int) throws(LullError) -> BigUInt {
  if e == 0 { return 1 }
  // Twos are shifted in at the end.
  let twos = a.trailingZeroBitCount
  let odd = twos == 0 ? a : shiftedRight(a, twos)
  var r = odd
  for bit in (0..<(Int.bitWidth - 1 - e.leadingZeroBitCount)).reversed() {
    r = try bigProduct(r, r)
    if e >> bit & 1 == 1 { r = try bigProduct(r, odd) }
  }
  return twos == 0 ? r : shiftedLeft(r, twos * e)
}

/// a to the power of e, modulo m > 1; a < m.
func bigPower(_ a: BigUInt, _ e: BigUInt, modulus m: BigUInt) throws(LullError) -> BigUInt {
  if e.isZero { return 1 }
  // Four bits of the exponent at a time.
  let width = e.bitWidth > 32 ? 4 : 1
  var powers: [BigUInt] = [1, a]
  while powers.count < 1 << width {
    powers.append(try bigQuotient(try bigProduct(powers[powers.count - 1], a), m).1)
  }
  let words = Array(e.words)
  var r = BigUInt(1)
  for digit in (0..<(words.count * (64 / width))).reversed() {
    let at = digit * width
    let d = Int(words[at / 64] >> UInt(at % 64) & (1 << UInt(width) - 1))
    if r != 1 {
      for _ in 0..<width { r = try bigQuotient(try bigProduct(r, r), m).1 }
    }
    if d > 0 { r = try bigQuotient(try bigProduct(r, powers[d]), m).1 }
  }
  return r
}

/// The largest whole number whose square is at most a, by Newton's iteration from above.
func bigSquareRoot(_ a: BigUInt) throws(LullError) -> BigUInt {
  if a.isZero { return 0 }
  var x = shiftedLeft(1, (a.bitWidth + 1) / 2)
  while true {
    let next = shiftedRight(x + (try bigQuotient(a, x).0), 1)
    if next >= x { return x }
    x = next
  }
}

func shiftedLeft(_ a: BigUInt, _ bits: Int) -> BigUInt {
  if a.isZero || bits == 0 { return a }
  return a.withLimbs { x, n in
    BigUInt(limbs: n + bits / 64 + 1) {
      lull_big_shift_left($0, x, Int64(n), Int64(bits / 64), Int32(bits % 64))
    }
  }
}
func shiftedRight(_ a: BigUInt, _ bits: Int) -> BigUInt {
  a.withLimbs { x, n in
    if bits / 64 >= n { return 0 }
    return BigUInt(limbs: n - bits / 64) {
      lull_big_shift_right($0, x, Int64(n), Int64(bits / 64), Int32(bits % 64))
    }
  }
}
/// Rounds down.
func shiftedRight(_ a: BigInt, _ bits: Int) -> BigInt {
  if a.sign == .plus { return BigInt(shiftedRight(a.magnitude, bits)) }
  return BigInt(sign: .minus, magnitude: shiftedRight(a.magnitude - 1, bits) + 1)
}

/// An operation on the bits of two's complements of any length. (The package's loses the borrow of a negative number
/// whose lowest limb is 0.)
@inline(__always)
func bitwise(_ a: BigInt, _ b: BigInt, _ op: (UInt, UInt) -> UInt) -> BigInt {
  let (x, y) = (Array(a.magnitude.words), Array(b.magnitude.words))
  let n = Swift.max(x.count, y.count) + 1
  var (r, carryA, carryB) = ([UInt](repeating: 0, count: n), true, true)
  // -m is ~m + 1.
  @inline(__always) func limb(_ words: [UInt], _ i: Int, _ isNegative: Bool, _ carry: inout Bool)
    -> UInt
  {
    let word = i < words.count ? words[i] : 0
    if !isNegative { return word }
    let (sum, overflow) = (~word).addingReportingOverflow(carry ? 1 : 0)
    carry = overflow
    return sum
  }
  for i in 0..<n {
    r[i] = op(limb(x, i, a.sign == .minus, &carryA), limb(y, i, b.sign == .minus, &carryB))
  }
  guard r[n - 1] >> (UInt.bitWidth - 1) == 1 else {
    return BigInt(sign: .plus, magnitude: BigUInt(words: r))
  }
  var carry = true
  let magnitude = r.indices.map { limb(r, $0, true, &carry) }
  return BigInt(sign: .minus, magnitude: BigUInt(words: magnitude))
}

/// Ten to the 19th is the largest power of ten in a limb.
private let limbDigits = 19
private let limbPower: UInt64 = 10_000_000_000_000_000_000

/// Decimal digits.
func decimalText(_ a: BigInt) -> String {
  if a.magnitude.words.count <= 1 { return String(a) }
  var words = Array(a.magnitude.words)
  var parts: [UInt64] = []
  words.withUnsafeMutableBytes { raw in
    guard let p = raw.baseAddress?.assumingMemoryBound(to: UInt64.self) else { return }
    var n = raw.count / 8
    while n > 0 {
      parts.append(lull_big_divide_word(p, p, Int64(n), limbPower))
      while n > 0, p[n - 1] == 0 { n -= 1 }
    }
  }
  var text = TextBuilder()
  if a.sign == .minus { text.append(UInt8(ascii: "-")) }
  for (i, part) in parts.reversed().enumerated() {
    let digits = String(part)
    if i > 0 { text.append(repeating: UInt8(ascii: "0"), limbDigits - digits.utf8.count) }
    text.append(text: digits)
  }
  return text.string
}

/// ASCII decimal digits, a sign before them; nil for anything else.
func bigDecimal(_ text: String) -> BigInt? {
  var digits = Array(text.utf8)[...]
  let isNegative = digits.first == UInt8(ascii: "-")
  if isNegative || digits.first == UInt8(ascii: "+") { digits.removeFirst() }
  guard !digits.isEmpty, digits.allSatisfy({ $0 >= 48 && $0 <= 57 }) else { return nil }
  let first = digits.count % limbDigits
  var words: [UInt64] = []
  words.reserveCapacity(digits.count / limbDigits + 1)
  var at = digits.startIndex
  while at < digits.endIndex {
    let some = at == digits.startIndex && first > 0 ? first : limbDigits
    var part: UInt64 = 0
    for d in digits[at..<(at + some)] { part = part &* 10 &+ UInt64(d &- 48) }
    let carry = words.withUnsafeMutableBufferPointer {
      lull_big_multiply_word($0.baseAddress, Int64($0.count), limbPower, part)
    }
    if carry > 0 { words.append(carry) }
    at += some
  }
  return BigInt(
    sign: isNegative ? .minus : .plus, magnitude: BigUInt(words: words.map { UInt($0) }))
}
