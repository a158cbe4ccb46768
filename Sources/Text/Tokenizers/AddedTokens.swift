// Added tokens: texts that are cut out before anything else happens.
//
// Two sets: tokens matched in the raw text, and tokens marked `normalized`, matched after
// normalisation (with their own text normalised). The longest token at the leftmost place
// wins. `lstrip` and `rstrip` swallow the blanks beside a match, `single_word` refuses one
// inside a word.

import Formats

struct AddedToken: Sendable {
  var id: Int
  var content: String
  var isSpecial: Bool
  var stripsLeft = false
  var stripsRight = false
  var isSingleWord = false
  var isNormalized = false
}

struct AddedTokenSet: Sendable {
  private var entries: [(token: AddedToken, bytes: [UInt8])] = []
  /// The entries by first byte, longest first.
  private var byFirstByte = [[Int32]](repeating: [], count: 256)

  var isEmpty: Bool { entries.isEmpty }

  mutating func add(_ token: AddedToken, bytes: [UInt8]) {
    guard let first = bytes.first else { return }
    entries.append((token, bytes))
    byFirstByte[Int(first)].append(Int32(entries.count - 1))
  }

  mutating func finish() {
    for byte in 0..<256 {
      byFirstByte[byte].sort { entries[Int($0)].bytes.count > entries[Int($1)].bytes.count }
    }
  }

  /// Cuts a range into texts and tokens, in order; empty texts are left out.
  func split(
    _ bytes: UnsafeBufferPointer<UInt8>, _ emit: (_ id: Int?, _ range: Range<Int>) -> Void
  ) {
    var done = 0
    var at = 0
    while at < bytes.count {
      let candidates = byFirstByte[Int(bytes[at])]
      guard !candidates.isEmpty, let match = longest(candidates, bytes, at) else {
        at += 1
        continue
      }
      let token = entries[match].token
      var start = at
      var end = at + entries[match].bytes.count
      at = end
      if token.isSingleWord, wordEnds(bytes, start) || wordBegins(bytes, end) { continue }
      if token.stripsLeft { start = max(spaceStart(bytes, start), done) }
      if token.stripsRight { end = spaceEnd(bytes, end) }
      if done < start { emit(nil, done..<start) }
      emit(token.id, start..<end)
      done = end
    }
    if done < bytes.count { emit(nil, done..<bytes.count) }
  }

  private func longest(
    _ candidates: [Int32], _ bytes: UnsafeBufferPointer<UInt8>, _ at: Int
  ) -> Int? {
    for candidate in candidates {
      let text = entries[Int(candidate)].bytes
      if at + text.count <= bytes.count,
        text.withUnsafeBufferPointer({ $0.elementsEqual(bytes[at..<at + text.count]) })
      {
        return Int(candidate)
      }
    }
    return nil
  }

  private func isWord(_ value: UInt32) -> Bool {
    let kind = UnicodeClass.table[Int(value)]
    return (kind >= UnicodeClass.upper && kind <= UnicodeClass.number) || value == 0x5F
  }

  private func wordEnds(_ bytes: UnsafeBufferPointer<UInt8>, _ end: Int) -> Bool {
    guard end > 0 else { return false }
    var at = end - 1
    while at > 0, bytes[at] & 0xC0 == 0x80 { at -= 1 }
    return isWord(decodeScalar(bytes, at).value)
  }

  private func wordBegins(_ bytes: UnsafeBufferPointer<UInt8>, _ at: Int) -> Bool {
    at < bytes.count && isWord(decodeScalar(bytes, at).value)
  }
}
