// Sets of code points, and the byte sequences that spell them in UTF-8.

/// Sorted, disjoint ranges of code points without surrogates, which UTF-8 cannot spell.
struct ScalarSet: Equatable, Sendable {
  private(set) var ranges: [ClosedRange<UInt32>]

  static let all = ScalarSet([0...0x10FFFF])
  static let none = ScalarSet([])

  init(_ given: [ClosedRange<UInt32>]) {
    var sorted: [ClosedRange<UInt32>] = []
    for range in given {
      // Surrogates fall out.
      if range.lowerBound < 0xD800 {
        sorted.append(range.lowerBound...min(range.upperBound, 0xD7FF))
      }
      if range.upperBound > 0xDFFF, range.lowerBound <= 0x10FFFF {
        sorted.append(max(range.lowerBound, 0xE000)...min(range.upperBound, 0x10FFFF))
      }
    }
    sorted.sort { $0.lowerBound < $1.lowerBound }
    ranges = []
    for range in sorted {
      if let last = ranges.last, range.lowerBound <= last.upperBound &+ 1 {
        ranges[ranges.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
      } else {
        ranges.append(range)
      }
    }
  }

  init(_ scalar: Unicode.Scalar) { self.init([scalar.value...scalar.value]) }
  init(value: UInt32) { self.init([value...value]) }

  /// The code points of a text.
  init(_ text: String) { self.init(text.unicodeScalars.map { $0.value...$0.value }) }

  var isEmpty: Bool { ranges.isEmpty }

  func contains(_ value: UInt32) -> Bool { ranges.contains { $0.contains(value) } }

  func union(_ other: ScalarSet) -> ScalarSet { ScalarSet(ranges + other.ranges) }

  var complement: ScalarSet {
    var out: [ClosedRange<UInt32>] = []
    var next: UInt32 = 0
    for range in ranges {
      if range.lowerBound > next { out.append(next...range.lowerBound - 1) }
      next = range.upperBound + 1
    }
    if next <= 0x10FFFF { out.append(next...0x10FFFF) }
    return ScalarSet(out)
  }

  func intersection(_ other: ScalarSet) -> ScalarSet {
    var out: [ClosedRange<UInt32>] = []
    var (i, j) = (0, 0)
    while i < ranges.count, j < other.ranges.count {
      let (a, b) = (ranges[i], other.ranges[j])
      let (low, high) = (max(a.lowerBound, b.lowerBound), min(a.upperBound, b.upperBound))
      if low <= high { out.append(low...high) }
      if a.upperBound < b.upperBound { i += 1 } else { j += 1 }
    }
    return ScalarSet(out)
  }

  func subtracting(_ other: ScalarSet) -> ScalarSet { intersection(other.complement) }

  // MARK: Classes of patterns

  static let digits = ScalarSet([0x30...0x39])
  static let word = ScalarSet([0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A])
  static let space = ScalarSet([0x09...0x0D, 0x20...0x20])

  /// What is outside a class in every dialect: the class of Unicode and the one of ASCII are both
  /// left out, so a text of these is one for CPython and for JavaScript.
  static let notDigits = ScalarSet([0x30...0x39]).union(unicode { $0 == UnicodeClass.number })
    .complement
  static let notWord = word.union(
    unicode {
      ($0 >= UnicodeClass.upper && $0 <= UnicodeClass.number)
    }
  ).complement
  static let notSpace = ScalarSet([0x09...0x0D, 0x1C...0x20, 0x85...0x85, 0xFEFF...0xFEFF]).union(
    unicode { $0 == UnicodeClass.space }
  ).complement

  private static func unicode(_ isIn: (UInt8) -> Bool) -> ScalarSet {
    var out: [ClosedRange<UInt32>] = []
    var start: UInt32?
    for value in UInt32(0)...0x10FFFF {
      if isIn(UnicodeClass.table[Int(value)]) {
        if start == nil { start = value }
      } else if let first = start {
        out.append(first...value - 1)
        start = nil
      }
    }
    if let first = start { out.append(first...0x10FFFF) }
    return ScalarSet(out)
  }

  // MARK: UTF-8

  /// The byte sequences of all members, each a list of byte ranges.
  var byteSequences: [[ClosedRange<UInt8>]] {
    var out: [[ClosedRange<UInt8>]] = []
    for range in ranges {
      for (low, high) in [
        (UInt32(0), UInt32(0x7F)), (0x80, 0x7FF), (0x800, 0xFFFF), (0x10000, 0x10FFFF),
      ] {
        let (from, to) = (max(low, range.lowerBound), min(high, range.upperBound))
        if from <= to { Self.split(from, to, into: &out) }
      }
    }
    return out
  }

  /// Cuts a range whose members have equally many bytes until the ranges of the bytes are independent.
  private static func split(_ low: UInt32, _ high: UInt32, into out: inout [[ClosedRange<UInt8>]]) {
    let count = low < 0x80 ? 1 : low < 0x800 ? 2 : low < 0x10000 ? 3 : 4
    for tail in 1..<max(count, 1) {
      let mask = (UInt32(1) << UInt32(6 * tail)) - 1
      if low & ~mask != high & ~mask {
        if low & mask != 0 {
          split(low, low | mask, into: &out)
          split((low | mask) + 1, high, into: &out)
          return
        }
        if high & mask != mask {
          split(low, (high & ~mask) - 1, into: &out)
          split(high & ~mask, high, into: &out)
          return
        }
      }
    }
    var (a, b): ([UInt8], [UInt8]) = ([], [])
    appendScalar(low, to: &a)
    appendScalar(high, to: &b)
    out.append(zip(a, b).map { $0...$1 })
  }
}
