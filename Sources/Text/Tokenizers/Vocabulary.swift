// A vocabulary: texts to ids and back.
//
// All texts lie in one blob; an id has a start and a length in it (a hole in the ids has
// length -1). The way back is an open-addressing table of ids, a power of two, at most half
// full, keyed by FNV-1a over the bytes. FNV runs byte by byte, so a search for every prefix
// at a place (Unigram) hashes each byte once.

import Glibc

struct Vocabulary: Sendable {
  private(set) var blob: [UInt8] = []
  private var starts: [UInt32] = []
  private var lengths: [Int32] = []
  private var table: [Int32] = []
  /// How many ids have a text.
  private(set) var count = 0
  /// The longest text in bytes.
  private(set) var maximumLength = 0

  /// A bound on ids, far above any published vocabulary, so a hostile id allocates little.
  static let maximumId = 1 << 23

  init(capacity: Int) {
    starts.reserveCapacity(capacity)
    lengths.reserveCapacity(capacity)
    var size = 64
    while size < capacity * 2 { size *= 2 }
    table = [Int32](repeating: -1, count: size)
  }

  /// One past the highest id.
  var idLimit: Int { starts.count }

  /// Enters a text; the first id of a text that appears twice is the one that is found.
  /// Returns false where the id is out of bounds or already has another text.
  mutating func insert(_ text: UnsafeBufferPointer<UInt8>, id: Int) -> Bool {
    guard id >= 0, id <= Self.maximumId, text.count <= Int(Int32.max),
      blob.count + text.count <= Int(UInt32.max)
    else { return false }
    while starts.count <= id {
      starts.append(0)
      lengths.append(-1)
    }
    guard lengths[id] < 0 else { return bytesEqual(id, text) }
    starts[id] = UInt32(blob.count)
    lengths[id] = Int32(text.count)
    blob.append(contentsOf: text)
    count += 1
    maximumLength = max(maximumLength, text.count)
    if count * 2 > table.count { grow() }
    enter(id)
    return true
  }

  mutating func insert(_ text: String, id: Int) -> Bool {
    var text = text
    return text.withUTF8 { insert($0, id: id) }
  }

  @inline(__always)
  static func hashStep(_ hash: UInt64, _ byte: UInt8) -> UInt64 {
    (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3
  }
  static let hashStart: UInt64 = 0xcbf2_9ce4_8422_2325

  /// The id of a text; nil where it has none.
  func id(_ text: UnsafeBufferPointer<UInt8>) -> Int? {
    var hash = Self.hashStart
    for byte in text { hash = Self.hashStep(hash, byte) }
    return id(text, hash: hash)
  }

  /// The same with the hash known.
  @inline(__always)
  func id(_ text: UnsafeBufferPointer<UInt8>, hash: UInt64) -> Int? {
    let mask = table.count - 1
    var slot = Int(truncatingIfNeeded: hash ^ (hash >> 29)) & mask
    while true {
      let id = Int(table[slot])
      if id < 0 { return nil }
      if bytesEqual(id, text) { return id }
      slot = (slot + 1) & mask
    }
  }

  func id(_ text: String) -> Int? {
    var text = text
    return text.withUTF8 { id($0) }
  }

  func id(_ text: [UInt8]) -> Int? { text.withUnsafeBufferPointer { id($0) } }

  /// The bytes of an id; nil for a hole.
  func text(_ id: Int) -> ArraySlice<UInt8>? {
    guard id >= 0, id < starts.count, lengths[id] >= 0 else { return nil }
    let start = Int(starts[id])
    return blob[start..<start + Int(lengths[id])]
  }

  @inline(__always)
  private func bytesEqual(_ id: Int, _ text: UnsafeBufferPointer<UInt8>) -> Bool {
    guard Int(lengths[id]) == text.count else { return false }
    guard let start = text.baseAddress else { return true }
    return blob.withUnsafeBufferPointer { blob in
      guard let base = blob.baseAddress else { return text.isEmpty }
      return memcmp(base + Int(starts[id]), start, text.count) == 0
    }
  }

  private mutating func grow() {
    table = [Int32](repeating: -1, count: table.count * 2)
    for id in starts.indices where lengths[id] >= 0 { enter(id) }
  }

  private mutating func enter(_ id: Int) {
    var hash = Self.hashStart
    let start = Int(starts[id])
    let end = start + Int(lengths[id])
    for at in start..<end { hash = Self.hashStep(hash, blob[at]) }
    let mask = table.count - 1
    var slot = Int(truncatingIfNeeded: hash ^ (hash >> 29)) & mask
    while true {
      let other = Int(table[slot])
      if other < 0 { break }
      if other == id { return }
      if lengths[other] == lengths[id],
        blob[start..<end].elementsEqual(blob[Int(starts[other])..<Int(starts[other]) + end - start])
      {
        return  // the first keeps the text
      }
      slot = (slot + 1) & mask
    }
    table[slot] = Int32(id)
  }
}

/// GPT-2's printable stand-ins for the 256 bytes: a byte-level vocabulary spells a blank "Ġ".
enum ByteAlphabet {
  /// The code point that stands for a byte.
  static let scalars: [UInt32] = {
    var next: UInt32 = 256
    return (0..<256).map { byte in
      switch byte {
      case 33...126, 161...172, 174...255: return UInt32(byte)
      default:
        defer { next += 1 }
        return next
      }
    }
  }()

  /// The byte of a code point below 324, or -1.
  static let bytes: [Int16] = {
    var table = [Int16](repeating: -1, count: 324)
    for (byte, scalar) in scalars.enumerated() { table[Int(scalar)] = Int16(byte) }
    return table
  }()

  /// The bytes a token stands for. A token with a character outside the alphabet stands for
  /// its own text.
  static func decode(_ token: some Sequence<UInt8>, into out: inout [UInt8]) {
    let mark = out.count
    var raw: [UInt8] = []
    var lead: UInt32 = 0
    var isForeign = false
    for byte in token {
      raw.append(byte)
      if byte < 0x80 {
        let value = bytes[Int(byte)]
        if value < 0 { isForeign = true } else { out.append(UInt8(value)) }
      } else if byte >= 0xC0 {
        lead = UInt32(byte)
        if byte >= 0xE0 { isForeign = true }
      } else {
        let scalar = Int((lead & 0x1F) << 6 | UInt32(byte & 0x3F))
        let value = scalar < bytes.count ? bytes[scalar] : -1
        if value < 0 { isForeign = true } else { out.append(UInt8(value)) }
      }
    }
    if isForeign {
      out.removeSubrange(mark...)
      out.append(contentsOf: raw)
    }
  }
}
