// The Unicode classes that pre-tokenizers split by.
//
// One byte a code point in a zeroed table of 1.1 MB, of which only the pages that hold
// letters are ever touched. It is filled from a text of runs at first use (0.2 ms).

import Glibc

/// The class of a code point.
enum UnicodeClass {
  static let other: UInt8 = 0
  static let upper: UInt8 = 1  // Lu
  static let lower: UInt8 = 2  // Ll
  static let title: UInt8 = 3  // Lt
  static let modifier: UInt8 = 4  // Lm
  static let otherLetter: UInt8 = 5  // Lo
  static let mark: UInt8 = 6  // M
  static let number: UInt8 = 7  // N
  static let space: UInt8 = 8  // \s
  static let punctuation: UInt8 = 9  // P

  /// Indexed by code point, valid for 0...0x10FFFF.
  nonisolated(unsafe) static let table: UnsafePointer<UInt8> = makeTable()

  private static func makeTable() -> UnsafePointer<UInt8> {
    guard let raw = calloc(0x110000, 1) else { fatalError("out of memory") }
    let table = raw.bindMemory(to: UInt8.self, capacity: 0x110000)
    var next = 0
    var reader = Base32Reader(unicodeClassRanges)
    while let gap = reader.number(), reader.byte() != nil, let length = reader.number(),
      let letter = reader.byte()
    {
      let start = next + gap
      next = start + length
      guard letter >= 0x41, next <= 0x110000 else { break }
      memset(raw + start, Int32(letter - 0x40), length)
    }
    return UnsafePointer(table)
  }
}

/// Reads the numbers of the generated tables.
struct Base32Reader {
  private let text: StaticString
  private var position = 0

  init(_ text: StaticString) { self.text = text }

  var atEnd: Bool { position >= text.utf8CodeUnitCount }

  /// The digits here; 0 where there are none, nil at the end.
  mutating func number() -> Int? {
    guard !atEnd else { return nil }
    var value = 0
    while !atEnd {
      let byte = text.utf8Start[position]
      switch byte {
      case 0x30...0x39: value = value << 5 | Int(byte - 0x30)
      case 0x61...0x76: value = value << 5 | Int(byte - 0x61 + 10)
      default: return value
      }
      position += 1
    }
    return value
  }

  mutating func byte() -> UInt8? {
    guard !atEnd else { return nil }
    defer { position += 1 }
    return text.utf8Start[position]
  }
}

/// One scalar of valid UTF-8 and its length; a broken sequence reads as U+FFFD of one byte.
@inline(__always)
func decodeScalar(
  _ bytes: UnsafeBufferPointer<UInt8>, _ at: Int
) -> (value: UInt32, length: Int) {
  let first = bytes[at]
  if first < 0x80 { return (UInt32(first), 1) }
  if first >= 0xC2, first < 0xE0, at + 1 < bytes.count {
    return (UInt32(first & 0x1F) << 6 | UInt32(bytes[at + 1] & 0x3F), 2)
  }
  if first >= 0xE0, first < 0xF0, at + 2 < bytes.count {
    let low = UInt32(bytes[at + 1] & 0x3F) << 6 | UInt32(bytes[at + 2] & 0x3F)
    return (UInt32(first & 0x0F) << 12 | low, 3)
  }
  if first >= 0xF0, first < 0xF5, at + 3 < bytes.count {
    let low = UInt32(bytes[at + 2] & 0x3F) << 6 | UInt32(bytes[at + 3] & 0x3F)
    let value = UInt32(first & 0x07) << 18 | UInt32(bytes[at + 1] & 0x3F) << 12 | low
    return value < 0x110000 ? (value, 4) : (0xFFFD, 1)
  }
  return (0xFFFD, 1)
}

/// Appends a code point as UTF-8.
@inline(__always)
func appendScalar(_ value: UInt32, to bytes: inout [UInt8]) {
  switch value {
  case 0..<0x80: bytes.append(UInt8(value))
  case 0..<0x800:
    bytes.append(UInt8(0xC0 | value >> 6))
    bytes.append(UInt8(0x80 | value & 0x3F))
  case 0..<0x10000:
    bytes.append(UInt8(0xE0 | value >> 12))
    bytes.append(UInt8(0x80 | value >> 6 & 0x3F))
    bytes.append(UInt8(0x80 | value & 0x3F))
  default:
    bytes.append(UInt8(truncatingIfNeeded: 0xF0 | value >> 18 & 0x07))
    bytes.append(UInt8(0x80 | value >> 12 & 0x3F))
    bytes.append(UInt8(0x80 | value >> 6 & 0x3F))
    bytes.append(UInt8(0x80 | value & 0x3F))
  }
}
