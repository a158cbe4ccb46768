// Byte-pair encoding of one word.
//
// A word begins as symbols: one an input byte (byte-level), or one a character. The pair of
// neighbours of lowest rank is merged, the leftmost first, until no pair has a rank. Two
// symbols' ids are the key of the rank table, so no text is touched while merging.
//
// Short words scan for the lowest rank (quadratic, but in a cache line or two). Long ones, as
// SentencePiece models see the whole text as one word, use a heap over a linked list: an entry
// is stale where the symbols it names have changed, and is dropped when met.
//
// SentencePiece files of GGUF have no merges but a score a token: there the rank of a pair is
// that of the token both spell, and ranks are made from the scores (ties share one).

struct BytePairEncoder: Sendable {
  enum Alphabet: Sendable {
    /// Every byte is a symbol, spelled in GPT-2's alphabet.
    case bytes
    /// Every character is a symbol.
    case characters
  }

  let vocabulary: Vocabulary
  let alphabet: Alphabet
  let merges: MergeTable
  /// For `.bytes`: the id of each byte's symbol, or -1, which makes the byte vanish.
  let byteIds: [Int32]
  /// For `.characters`: the ids of `<0x00>`…`<0xFF>`, or -1.
  let fallbackIds: [Int32]
  let usesByteFallback: Bool
  let unknownId: Int?
  let fusesUnknown: Bool
  /// A word that is in the vocabulary is taken whole.
  let ignoresMerges: Bool
  /// SentencePiece scores as ranks by id; empty where `merges` decides.
  let scoreRanks: [Int32]

  init(
    vocabulary: Vocabulary, alphabet: Alphabet, merges: MergeTable, usesByteFallback: Bool = false,
    unknownId: Int? = nil, fusesUnknown: Bool = false, ignoresMerges: Bool = false,
    scores: [Float] = []
  ) {
    self.vocabulary = vocabulary
    self.alphabet = alphabet
    self.merges = merges
    self.usesByteFallback = usesByteFallback
    self.unknownId = unknownId
    self.fusesUnknown = fusesUnknown
    self.ignoresMerges = ignoresMerges
    byteIds = ByteAlphabet.scalars.map { scalar in
      var text: [UInt8] = []
      appendScalar(scalar, to: &text)
      return Int32(vocabulary.id(text) ?? -1)
    }
    fallbackIds = Self.byteTokenIds(vocabulary)
    var ranks: [Int32] = []
    if !scores.isEmpty {
      ranks = [Int32](repeating: -1, count: scores.count)
      var rank: Int32 = -1
      var last: Float?
      for id in scores.indices.sorted(by: { scores[$0] > scores[$1] }) {
        if scores[id] != last { rank += 1 }
        last = scores[id]
        // A score of minus infinity marks a token that text may not spell (control, byte).
        ranks[id] = scores[id] == -.infinity ? -1 : rank
      }
    }
    scoreRanks = ranks
  }

  static func byteTokenIds(_ vocabulary: Vocabulary) -> [Int32] {
    let digits = Array("0123456789ABCDEF".utf8)
    return (0..<256).map { byte in
      let text = Array("<0x".utf8) + [digits[byte >> 4], digits[byte & 15]] + Array(">".utf8)
      return Int32(vocabulary.id(text) ?? -1)
    }
  }

  /// Appends the ids of a word.
  func encode(_ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
    guard !word.isEmpty else { return }
    if ignoresMerges, let whole = wholeWord(word) {
      ids.append(Int32(whole))
      return
    }
    var symbols: [Int32] = []
    var ends: [Int32] = []
    symbols.reserveCapacity(word.count)
    if alphabet == .bytes {
      for byte in word where byteIds[Int(byte)] >= 0 { symbols.append(byteIds[Int(byte)]) }
    } else {
      appendCharacters(word, &symbols, &ends)
    }
    if !scoreRanks.isEmpty {
      mergeLong(&symbols, ends: ends, word: word)
    } else if symbols.count <= 48 {
      mergeShort(&symbols)
    } else {
      mergeLong(&symbols, ends: [], word: word)
    }
    ids.append(contentsOf: symbols)
  }

  private func wholeWord(_ word: UnsafeBufferPointer<UInt8>) -> Int? {
    guard alphabet == .bytes else { return vocabulary.id(word) }
    var spelled: [UInt8] = []
    spelled.reserveCapacity(word.count * 2)
    for byte in word { appendScalar(ByteAlphabet.scalars[Int(byte)], to: &spelled) }
    return vocabulary.id(spelled)
  }

  /// One symbol a character; unknown ones fall back to bytes or the unknown token. `ends` is
  /// where each symbol's text ends.
  private func appendCharacters(
    _ word: UnsafeBufferPointer<UInt8>, _ symbols: inout [Int32], _ ends: inout [Int32]
  ) {
    var pendingUnknown = false
    func flush(_ at: Int) {
      guard pendingUnknown, let unknownId else { return }
      symbols.append(Int32(unknownId))
      ends.append(Int32(at))
      pendingUnknown = false
    }
    var at = 0
    while at < word.count {
      let length = decodeScalar(word, at).length
      let character = UnsafeBufferPointer(rebasing: word[at..<at + length])
      if let id = vocabulary.id(character) {
        flush(at)
        symbols.append(Int32(id))
        ends.append(Int32(at + length))
      } else if usesByteFallback, character.allSatisfy({ fallbackIds[Int($0)] >= 0 }) {
        for (index, byte) in character.enumerated() {
          symbols.append(fallbackIds[Int(byte)])
          ends.append(Int32(at + index + 1))
        }
      } else if unknownId != nil {
        if !fusesUnknown { flush(at) }
        pendingUnknown = true
      }
      at += length
    }
    flush(word.count)
  }

  private func mergeShort(_ symbols: inout [Int32]) {
    guard symbols.count > 1 else { return }
    merges.withUnsafeTable { table in
      var count = symbols.count
      while count > 1 {
        var best = Int32.max
        var bestAt = -1
        var bestId: Int32 = 0
        for at in 0..<count - 1 {
          if let merge = table.find(symbols[at], symbols[at + 1]), merge.rank < best {
            best = merge.rank
            bestAt = at
            bestId = merge.id
          }
        }
        guard bestAt >= 0 else { break }
        symbols[bestAt] = bestId
        for at in bestAt + 1..<count - 1 { symbols[at] = symbols[at + 1] }
        count -= 1
      }
      symbols.removeSubrange(count...)
    }
  }

  private func mergeLong(
    _ symbols: inout [Int32], ends: [Int32], word: UnsafeBufferPointer<UInt8>
  ) {
    let count = symbols.count
    guard count > 1 else { return }
    var next = [Int32](repeating: 0, count: count)
    var previous = [Int32](repeating: 0, count: count)
    var ends = ends
    for at in 0..<count {
      next[at] = at + 1 < count ? Int32(at + 1) : -1
      previous[at] = Int32(at - 1)
    }
    var heap = MergeHeap()
    merges.withUnsafeTable { table in
      // Where a symbol's text begins: where the one before it ends.
      func lookup(_ left: Int, _ right: Int) -> (rank: Int32, id: Int32)? {
        if scoreRanks.isEmpty { return table.find(symbols[left], symbols[right]) }
        let start = previous[left] < 0 ? 0 : Int(ends[Int(previous[left])])
        let text = UnsafeBufferPointer(rebasing: word[start..<Int(ends[right])])
        guard text.count <= vocabulary.maximumLength, let id = vocabulary.id(text),
          id < scoreRanks.count, scoreRanks[id] >= 0
        else { return nil }
        return (scoreRanks[id], Int32(id))
      }
      func push(_ left: Int, _ right: Int) {
        guard let merge = lookup(left, right) else { return }
        heap.push(
          MergeHeap.Entry(
            rank: merge.rank, position: Int32(left), left: symbols[left], right: symbols[right],
            id: merge.id))
      }
      for at in 0..<count - 1 { push(at, at + 1) }
      while let entry = heap.pop() {
        let left = Int(entry.position)
        guard symbols[left] == entry.left, next[left] >= 0 else { continue }
        let right = Int(next[left])
        guard symbols[right] == entry.right else { continue }
        // The same ids may spell other text under scores, so the pair is looked up again.
        if !scoreRanks.isEmpty {
          guard let merge = lookup(left, right), merge.id == entry.id else { continue }
        }
        symbols[left] = entry.id
        symbols[right] = -1
        if !ends.isEmpty { ends[left] = ends[right] }
        next[left] = next[right]
        if next[left] >= 0 { previous[Int(next[left])] = Int32(left) }
        if previous[left] >= 0 { push(Int(previous[left]), left) }
        if next[left] >= 0 { push(left, Int(next[left])) }
      }
    }
    symbols.removeAll { $0 < 0 }
  }
}

/// (left id, right id) → (rank, merged id), open addressing.
struct MergeTable: Sendable {
  struct Slot: Sendable {
    var key: UInt64
    var rank: Int32
    var id: Int32
  }

  private var slots: [Slot]
  private(set) var count = 0
  private static let free = UInt64.max

  init(capacity: Int) {
    var size = 64
    while size < capacity * 2 { size *= 2 }
    slots = [Slot](repeating: Slot(key: Self.free, rank: 0, id: 0), count: size)
  }

  /// Later rules replace earlier ones of the same pair. At most `capacity` may be entered.
  mutating func insert(_ left: Int, _ right: Int, rank: Int, id: Int) {
    guard (count + 1) * 2 <= slots.count + 2 else { return }
    let key = UInt64(UInt32(left)) << 32 | UInt64(UInt32(right))
    let mask = slots.count - 1
    var at = Int(truncatingIfNeeded: View.mix(key)) & mask
    while slots[at].key != Self.free, slots[at].key != key { at = (at + 1) & mask }
    if slots[at].key == Self.free { count += 1 }
    slots[at] = Slot(key: key, rank: Int32(rank), id: Int32(id))
  }

  func withUnsafeTable<R>(_ body: (View) -> R) -> R {
    slots.withUnsafeBufferPointer { body(View(slots: $0)) }
  }

  struct View {
    let slots: UnsafeBufferPointer<Slot>

    @inline(__always)
    static func mix(_ key: UInt64) -> UInt64 {
      let product = key &* 0x9E37_79B9_7F4A_7C15
      return product ^ (product >> 32)
    }

    @inline(__always)
    func find(_ left: Int32, _ right: Int32) -> (rank: Int32, id: Int32)? {
      let key = UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
      let mask = slots.count - 1
      var at = Int(truncatingIfNeeded: Self.mix(key)) & mask
      while true {
        let slot = slots[at]
        if slot.key == key { return (slot.rank, slot.id) }
        if slot.key == UInt64.max { return nil }
        at = (at + 1) & mask
      }
    }
  }
}

/// A binary heap: lowest rank first, then leftmost.
private struct MergeHeap {
  struct Entry {
    var rank: Int32
    var position: Int32
    var left: Int32
    var right: Int32
    var id: Int32

    @inline(__always)
    func precedes(_ other: Entry) -> Bool {
      rank != other.rank ? rank < other.rank : position < other.position
    }
  }

  private var entries: [Entry] = []

  mutating func push(_ entry: Entry) {
    entries.append(entry)
    var at = entries.count - 1
    while at > 0 {
      let parent = (at - 1) / 2
      guard entry.precedes(entries[parent]) else { break }
      entries[at] = entries[parent]
      at = parent
    }
    entries[at] = entry
  }

  mutating func pop() -> Entry? {
    guard let first = entries.first, let last = entries.popLast() else { return nil }
    guard !entries.isEmpty else { return first }
    var at = 0
    while true {
      var child = at * 2 + 1
      guard child < entries.count else { break }
      if child + 1 < entries.count, entries[child + 1].precedes(entries[child]) { child += 1 }
      guard entries[child].precedes(last) else { break }
      entries[at] = entries[child]
      at = child
    }
    entries[at] = last
    return first
  }
}
