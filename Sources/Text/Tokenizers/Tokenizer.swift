// Text to token ids and back.
//
//   text ─▶ added tokens cut out ─▶ normalise ─▶ normalised added tokens ─▶ words ─▶ model
//        ids ◀─ template (BOS, EOS, …) ◀──────────────────────────────────── ids a word
//
// The object is immutable but for a cache of words (most words of a text were seen before),
// which a lock guards; it may be shared by threads. Loaded from a tokenizer.json
// (`Tokenizer+JSON.swift`) or a GGUF file's metadata (`Tokenizer+GGUF.swift`).

import Formats
import Synchronization

public final class Tokenizer: Sendable {
  enum Model: Sendable {
    case bytePair(BytePairEncoder)
    case unigram(UnigramEncoder)
  }

  /// What the loaders gather.
  struct Parts {
    var source: String
    var vocabulary: Vocabulary
    var model: Model
    var normalizers: [Normalizer] = []
    var preTokenizers: [PreTokenizer] = []
    var decoder: [DecoderStep]?
    var added: [AddedToken] = []
    /// Ids before and after the text when special tokens are wanted.
    var prefix: [Int] = []
    var suffix: [Int] = []
    var bosId: Int?
    var eosIds: [Int] = []
    var unknownId: Int?
    var paddingId: Int?
    var chatTemplate: String?
    var namedChatTemplates: [String: String] = [:]
  }

  /// The file it came from.
  public let source: String
  /// Begins a text; nil where the model has none.
  public let bosId: Int?
  /// All ids that end a generation; the first is the tokenizer's own.
  public let eosIds: [Int]
  public let unknownId: Int?
  public let paddingId: Int?
  /// The Jinja text of the default chat template.
  public let chatTemplate: String?
  /// Further templates by name ("tool_use", "rag").
  public let namedChatTemplates: [String: String]

  let decoder: [DecoderStep]?
  private let vocabulary: Vocabulary
  private let model: Model
  private let normalizers: [Normalizer]
  private let preTokenizers: [PreTokenizer]
  private let prefix: [Int]
  private let suffix: [Int]
  private let addedById: [Int: AddedToken]
  private let rawTokens: AddedTokenSet
  private let normalizedTokens: AddedTokenSet
  private let cache = Mutex(WordCache())

  public var eosId: Int? { eosIds.first }

  init(_ parts: Parts) {
    source = parts.source
    vocabulary = parts.vocabulary
    model = parts.model
    normalizers = parts.normalizers
    preTokenizers = parts.preTokenizers
    decoder = parts.decoder
    prefix = parts.prefix
    suffix = parts.suffix
    bosId = parts.bosId
    eosIds = parts.eosIds
    unknownId = parts.unknownId
    paddingId = parts.paddingId
    chatTemplate = parts.chatTemplate
    namedChatTemplates = parts.namedChatTemplates
    var byId: [Int: AddedToken] = [:]
    var raw = AddedTokenSet()
    var normal = AddedTokenSet()
    for token in parts.added {
      byId[token.id] = token
      var bytes = Array(token.content.utf8)
      if token.isNormalized {
        for step in parts.normalizers { step.apply(&bytes) }
        normal.add(token, bytes: bytes)
      } else {
        raw.add(token, bytes: bytes)
      }
    }
    raw.finish()
    normal.finish()
    addedById = byId
    rawTokens = raw
    normalizedTokens = normal
  }

  // MARK: vocabulary

  /// One past the highest id; logits may be padded beyond it.
  public var idLimit: Int { max(vocabulary.idLimit, (addedById.keys.max() ?? -1) + 1) }

  /// How many ids have a token.
  public var vocabularySize: Int {
    vocabulary.count + addedById.keys.lazy.filter { self.vocabulary.text($0) == nil }.count
  }

  /// The id of a token as the vocabulary spells it ("Ġthe", "<|im_end|>").
  public func id(ofToken token: String) -> Int? {
    addedById.values.first { sameBytes($0.content, token) }?.id ?? vocabulary.id(token)
  }

  /// The vocabulary's spelling of an id.
  public func token(_ id: Int) -> String? {
    tokenBytes(id).map { String(decoding: $0, as: UTF8.self) }
  }

  /// True for control tokens, which `decode(skipSpecial: true)` leaves out.
  public func isSpecial(_ id: Int) -> Bool { addedById[id]?.isSpecial ?? false }

  /// The ids of all special tokens, rising.
  public var specialIds: [Int] { addedById.values.filter(\.isSpecial).map(\.id).sorted() }

  private func tokenBytes(_ id: Int) -> [UInt8]? {
    if let token = addedById[id] { return Array(token.content.utf8) }
    return vocabulary.text(id).map { Array($0) }
  }

  /// The raw bytes one id stands for, whole or not as UTF-8 (constrained decoding asks).
  public func decodedBytes(_ id: Int) -> [UInt8]? {
    guard let token = tokenBytes(id) else { return nil }
    if let byte = byteToken(token), decoder?.contains(where: Self.isByteFallback) == true {
      return [byte]
    }
    var out = token
    for step in decoder ?? [] {
      switch step {
      case .byteLevel:
        var bytes: [UInt8] = []
        ByteAlphabet.decode(out, into: &bytes)
        out = bytes
      case .replace(let matcher, let content): out = replaced(out, matcher, with: content)
      case .metaspace(let scalar, _): out = metaspaceDecoded(out, scalar, isFirst: false)
      case .byteFallback, .fuse, .strip: break
      }
    }
    return out
  }

  private static func isByteFallback(_ step: DecoderStep) -> Bool {
    if case .byteFallback = step { true } else { false }
  }

  // MARK: encoding

  /// The ids of a text. Special tokens written in the text are recognised; `addSpecial` also
  /// puts the model's BOS, EOS and the like around it.
  public func encode(_ text: String, addSpecial: Bool = true) -> [Int] {
    var ids: [Int32] = []
    ids.reserveCapacity(text.utf8.count / 3 + 4)
    var text = text
    text.withUTF8 { bytes in
      if rawTokens.isEmpty {
        if !bytes.isEmpty { encodePiece(bytes, isAtStart: true, into: &ids) }
      } else {
        rawTokens.split(bytes) { id, range in
          if let id {
            ids.append(Int32(id))
          } else {
            encodePiece(
              UnsafeBufferPointer(rebasing: bytes[range]), isAtStart: range.lowerBound == 0,
              into: &ids)
          }
        }
      }
    }
    let inner = ids.map { Int($0) }
    return addSpecial ? prefix + inner + suffix : inner
  }

  /// A text without raw added tokens.
  private func encodePiece(
    _ bytes: UnsafeBufferPointer<UInt8>, isAtStart: Bool, into ids: inout [Int32]
  ) {
    var text = Array(bytes)
    for step in normalizers { step.apply(&text) }
    guard !text.isEmpty else { return }
    if normalizedTokens.isEmpty {
      encodeNormalized(text, isAtStart: isAtStart, into: &ids)
      return
    }
    text.withUnsafeBufferPointer { text in
      normalizedTokens.split(text) { id, range in
        if let id {
          ids.append(Int32(id))
        } else {
          encodeNormalized(
            Array(text[range]), isAtStart: isAtStart && range.lowerBound == 0, into: &ids)
        }
      }
    }
  }

  private func encodeNormalized(_ text: [UInt8], isAtStart: Bool, into ids: inout [Int32]) {
    var cut = PreTokenized(bytes: text, words: [0..<text.count], isAtStart: isAtStart)
    for step in preTokenizers { step.apply(&cut) }
    cut.bytes.withUnsafeBufferPointer { bytes in
      cache.withLock { cache in
        for word in cut.words where !word.isEmpty {
          let bytes = UnsafeBufferPointer(rebasing: bytes[word])
          guard bytes.count <= WordCache.maximumWord else {
            encodeWord(bytes, into: &ids)
            continue
          }
          let hash = WordCache.hash(bytes)
          if cache.append(bytes, hash, to: &ids) { continue }
          let start = ids.count
          encodeWord(bytes, into: &ids)
          cache.insert(bytes, hash, ids[start...])
        }
      }
    }
  }

  private func encodeWord(_ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
    switch model {
    case .bytePair(let encoder): encoder.encode(word, into: &ids)
    case .unigram(let encoder): encoder.encode(word, into: &ids)
    }
  }

  // MARK: decoding

  /// The text of ids. Unknown ids are left out; broken UTF-8 becomes U+FFFD.
  public func decode(_ ids: [Int], skipSpecial: Bool = false) -> String {
    let tokens = ids.compactMap { decodableText($0, skipSpecial: skipSpecial) }
    guard let decoder else {
      return tokens.map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ")
    }
    let out = decoder.reduce(tokens) { $1.apply($0) }
    return String(decoding: Array(out.joined()), as: UTF8.self)
  }

  func decodableText(_ id: Int, skipSpecial: Bool) -> [UInt8]? {
    if skipSpecial, isSpecial(id) { return nil }
    return tokenBytes(id)
  }

  /// A decoder that takes one id at a time.
  public func streamingDetokenizer(skipSpecial: Bool = true) -> StreamingDetokenizer {
    StreamingDetokenizer(tokenizer: self, skipSpecial: skipSpecial)
  }
}

/// Words seen before, with their ids. It is emptied when full, so memory is bounded.
struct WordCache: Sendable {
  static let maximumWord = 64
  private static let tableSize = 1 << 16

  private struct Entry {
    var hash: UInt64
    var word: UInt32
    var ids: UInt32
    var wordCount: UInt16
    var idCount: UInt16
  }

  private var table: [Int32] = []
  private var entries: [Entry] = []
  private var words: [UInt8] = []
  private var ids: [Int32] = []

  static func hash(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt64 {
    var hash = Vocabulary.hashStart
    for byte in bytes { hash = Vocabulary.hashStep(hash, byte) }
    return hash ^ (hash >> 29)
  }

  func append(
    _ word: UnsafeBufferPointer<UInt8>, _ hash: UInt64, to out: inout [Int32]
  ) -> Bool {
    guard !table.isEmpty else { return false }
    var slot = Int(truncatingIfNeeded: hash) & (Self.tableSize - 1)
    while table[slot] >= 0 {
      let entry = entries[Int(table[slot])]
      if entry.hash == hash, Int(entry.wordCount) == word.count {
        let start = Int(entry.word)
        let isSame = words.withUnsafeBufferPointer {
          $0[start..<start + word.count].elementsEqual(word)
        }
        if isSame {
          let start = Int(entry.ids)
          out.append(contentsOf: ids[start..<start + Int(entry.idCount)])
          return true
        }
      }
      slot = (slot + 1) & (Self.tableSize - 1)
    }
    return false
  }

  mutating func insert(
    _ word: UnsafeBufferPointer<UInt8>, _ hash: UInt64, _ wordIds: ArraySlice<Int32>
  ) {
    if table.isEmpty || entries.count >= Self.tableSize / 2 {
      table = [Int32](repeating: -1, count: Self.tableSize)
      entries.removeAll(keepingCapacity: true)
      words.removeAll(keepingCapacity: true)
      ids.removeAll(keepingCapacity: true)
    }
    var slot = Int(truncatingIfNeeded: hash) & (Self.tableSize - 1)
    while table[slot] >= 0 { slot = (slot + 1) & (Self.tableSize - 1) }
    table[slot] = Int32(entries.count)
    entries.append(
      Entry(
        hash: hash, word: UInt32(words.count), ids: UInt32(ids.count),
        wordCount: UInt16(word.count), idCount: UInt16(wordIds.count)))
    words.append(contentsOf: word)
    ids.append(contentsOf: wordIds)
  }
}
