// The tokens of a vocabulary as a tree of bytes.
//
// The nodes lie in preorder; each knows where its subtree ends, so a walk with an automaton is one loop
// that jumps behind what cannot be. Tokens of whole characters that stand for themselves in a JSON
// string ("plain") are the bulk of every vocabulary; they have trees of their own, one for each
// number of characters, since inside a string all of them are allowed and a look at the automaton
// says so without a walk.
//
//   root  most tokens: quotes, backslashes, control characters, parts of characters
//   root  plain, one character
//   root  plain, two characters ...

final class TokenTrie: Sendable {
  struct Root: Sendable {
    var node: Int
    /// How many characters its tokens have; 0 for tokens that are not plain.
    var least: Int
    var most: Int
    /// All its tokens.
    var mask: [UInt64]
  }
  let roots: [Root]
  /// By node, in preorder. A root's byte says nothing.
  let bytes: [UInt8]
  let depths: [UInt16]
  let ends: [Int32]
  /// The tokens of node n: tokens[tokenStarts[n]..<tokenStarts[n + 1]].
  let tokenStarts: [Int32]
  let tokens: [Int32]
  let maximumDepth: Int
  /// The characters of the longest plain token.
  let longestPlain: Int
  /// The bytes of each id; none for ids that a constrained text cannot have.
  private let blob: [UInt8]
  private let blobStarts: [Int32]
  /// One past the highest id.
  let idLimit: Int

  var wordCount: Int { (idLimit + 63) / 64 }

  private static let bounds = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 24, 32, 64, Int.max]
  /// Longer tokens are left out of the tree; no vocabulary has them.
  private static let maximumLength = 4096

  init(_ texts: [[UInt8]?]) {
    idLimit = texts.count
    var blob: [UInt8] = []
    var blobStarts: [Int32] = [0]
    for text in texts {
      if let text, text.count <= Self.maximumLength { blob += text }
      blobStarts.append(Int32(blob.count))
    }
    self.blob = blob
    self.blobStarts = blobStarts

    var longest = 0
    var groups: [[Int32]] = Array(repeating: [], count: Self.bounds.count + 1)
    for id in texts.indices {
      let range = Int(blobStarts[id])..<Int(blobStarts[id + 1])
      if range.isEmpty { continue }
      let characters = Self.plainCharacters(blob[range])
      longest = max(longest, characters ?? 0)
      let group = characters.map { count in Self.bounds.firstIndex { count <= $0 } ?? 0 }
      groups[group.map { $0 + 1 } ?? 0].append(Int32(id))
    }

    var roots: [Root] = []
    var bytes: [UInt8] = []
    var depths: [UInt16] = []
    var ends: [Int32] = []
    var tokenStarts: [Int32] = []
    var tokens: [Int32] = []
    var deepest = 0
    let words = (texts.count + 63) / 64
    for (group, ids) in groups.enumerated() where !ids.isEmpty {
      var mask = [UInt64](repeating: 0, count: words)
      for id in ids { mask[Int(id) >> 6] |= 1 << UInt64(id & 63) }
      roots.append(
        Root(
          node: bytes.count, least: group == 0 ? 0 : group == 1 ? 1 : Self.bounds[group - 2] + 1,
          most: group == 0 ? 0 : min(longest, Self.bounds[group - 1]), mask: mask))
      let sorted = blob.withUnsafeBufferPointer { blob in
        ids.sorted { a, b in
          let x = blob[Int(blobStarts[Int(a)])..<Int(blobStarts[Int(a) + 1])]
          let y = blob[Int(blobStarts[Int(b)])..<Int(blobStarts[Int(b) + 1])]
          if x.elementsEqual(y) { return a < b }
          return x.lexicographicallyPrecedes(y)
        }
      }
      var path: [Int] = []
      func open(_ byte: UInt8) {
        path.append(bytes.count)
        bytes.append(byte)
        depths.append(UInt16(path.count - 1))
        ends.append(0)
        tokenStarts.append(Int32(tokens.count))
        deepest = max(deepest, path.count)
      }
      func close(to count: Int) {
        while path.count > count { ends[path.removeLast()] = Int32(bytes.count) }
      }
      open(0)
      var last: ArraySlice<UInt8> = []
      for id in sorted {
        let text = blob[Int(blobStarts[Int(id)])..<Int(blobStarts[Int(id) + 1])]
        var common = 0
        for (a, b) in zip(last, text) {
          if a != b { break }
          common += 1
        }
        close(to: common + 1)
        for byte in text.dropFirst(common) { open(byte) }
        tokens.append(id)
        last = text
      }
      close(to: 0)
    }
    tokenStarts.append(Int32(tokens.count))
    self.roots = roots
    self.bytes = bytes
    self.depths = depths
    self.ends = ends
    self.tokens = tokens
    self.tokenStarts = tokenStarts
    maximumDepth = deepest
    longestPlain = longest
  }

  /// The bytes of an id; none for one that a constrained text cannot have.
  func text(_ id: Int) -> ArraySlice<UInt8> {
    guard id >= 0, id < idLimit else { return [] }
    return blob[Int(blobStarts[id])..<Int(blobStarts[id + 1])]
  }

  /// How many characters a plain token has; nil for another.
  private static func plainCharacters(_ text: ArraySlice<UInt8>) -> Int? {
    guard let string = String(validating: text, as: UTF8.self) else { return nil }
    var count = 0
    for scalar in string.unicodeScalars {
      if scalar.value < 0x20 || scalar == "\"" || scalar == "\\" { return nil }
      count += 1
    }
    return count
  }
}

/// What a constraint must know of a tokenizer.
public final class ConstraintVocabulary: Sendable {
  /// The tree for a text's first token, which some tokenizers strip of a blank, and for all others.
  let first: TokenTrie
  let rest: TokenTrie
  let endIds: [Int]
  let name: String

  public init(_ tokenizer: Tokenizer) throws(TextError) {
    guard let steps = tokenizer.decoder else {
      throw TextError(
        .unsupported, source: tokenizer.source, field: "decoder",
        found: "the tokenizer joins tokens by blanks",
        remedy: "constrained generation needs a tokenizer that says how tokens become text")
    }
    var excluded = Set(tokenizer.specialIds + tokenizer.eosIds)
    for id in [tokenizer.bosId, tokenizer.unknownId, tokenizer.paddingId] {
      if let id { excluded.insert(id) }
    }
    var texts: [[UInt8]?] = []
    texts.reserveCapacity(tokenizer.idLimit)
    for id in 0..<tokenizer.idLimit {
      texts.append(excluded.contains(id) ? nil : tokenizer.decodedBytes(id))
    }
    let rest = TokenTrie(texts)
    var isStripped = false
    var firstTexts = texts
    for step in steps {
      switch step {
      case .strip(let scalar, let start, let stop):
        guard start <= 1, stop == 0 else {
          throw TextError(
            .unsupported, source: tokenizer.source, field: "decoder Strip",
            found: "it takes more than one character from the beginning, or some from the end",
            remedy: "constrained generation works with at most one")
        }
        if start == 0 { continue }
        isStripped = true
        var content: [UInt8] = []
        appendScalar(scalar, to: &content)
        for id in texts.indices {
          if let text = texts[id], text.starts(with: content) {
            firstTexts[id] = Array(text.dropFirst(content.count))
          }
        }
      case .metaspace(let scalar, let dropsFirst) where dropsFirst:
        isStripped = true
        for id in texts.indices where texts[id] != nil {
          if let token = tokenizer.token(id) {
            firstTexts[id] = metaspaceDecoded(Array(token.utf8), scalar, isFirst: true)
          }
        }
      default: break
      }
    }
    self.rest = rest
    first = isStripped ? TokenTrie(firstTexts) : rest
    endIds = tokenizer.eosIds
    name = tokenizer.source
  }

  /// For tests: tokens by their bytes.
  init(tokens: [[UInt8]?], endIds: [Int]) {
    rest = TokenTrie(tokens)
    first = rest
    self.endIds = endIds
    name = "tokens"
  }

  /// One past the highest id.
  public var idLimit: Int { rest.idLimit }

  func trie(isFirst: Bool) -> TokenTrie { isFirst ? first : rest }
}
