// Constraints on generated text, and the matcher that follows one text.
//
//   pattern ┐
//   schema  ├─▶ rules over bytes ─▶ recogniser ─▶ masks over a vocabulary ─▶ matcher of one text
//   grammar ┘   (ByteGrammar)       (Recogniser)  (TokenMasks)
//
// Two promises. A text whose tokens the masks allowed is the beginning of one that satisfies the
// constraint, and the end-of-sequence token is allowed exactly where it satisfies it. And nothing is
// let through where this cannot be kept: what a front end does not understand, a token that may not
// follow, and a vocabulary without a way on are errors.

import Formats

/// What a text has to be. It keeps what was learned about its masks, so use one for many texts.
/// It belongs to one thread.
public final class Constraint {
  public enum Kind: String, Sendable { case regex, jsonSchema = "json_schema", grammar }

  public let kind: Kind
  let network: ByteNetwork
  let source: String
  private(set) var recogniser: Recogniser
  private var masks: [ObjectIdentifier: TokenMasks] = [:]
  private static let maximumVocabularies = 4

  private init(_ kind: Kind, _ rules: [GrammarRule], source: String) throws(TextError) {
    self.kind = kind
    self.source = source
    network = try GrammarCompiler.compile(rules, source: source)
    recogniser = Recogniser(network, source: source)
  }

  /// Texts that match a regular expression as a whole.
  public convenience init(regex pattern: String) throws(TextError) {
    let source = "the regular expression"
    let parsed = try RegexParser.parse(pattern, source: source)
    let node: GrammarNode
    if let whole = parsed.grammarNode {
      node = whole
    } else {
      node = .automaton(try ScalarAutomaton.pattern(parsed, source: source), escaped: false)
    }
    try self.init(.regex, [GrammarRule(name: "root", node: node)], source: source)
  }

  /// Texts of a grammar; see `GrammarText`.
  public convenience init(grammar text: String) throws(TextError) {
    let source = "the grammar"
    try self.init(.grammar, GrammarText.parse(text, source: source), source: source)
  }

  /// JSON texts that a schema allows.
  public convenience init(
    jsonSchema schema: JSON, whitespace: JSONSchemaCompiler.Whitespace = .any
  ) throws(TextError) {
    try self.init(
      .jsonSchema, JSONSchemaCompiler.rules(of: schema, whitespace: whitespace),
      source: "the JSON schema")
  }

  /// Whether a whole text satisfies it.
  public func matches(_ bytes: some Sequence<UInt8>) throws(TextError) -> Bool {
    let set = try follow(bytes)
    return set >= 0 && recogniser.isComplete[Int(set)]
  }

  /// Whether a text is the beginning of one that satisfies it.
  public func isPrefix(_ bytes: some Sequence<UInt8>) throws(TextError) -> Bool {
    try follow(bytes) >= 0
  }

  private func follow(_ bytes: some Sequence<UInt8>) throws(TextError) -> Int32 {
    renewIfFull()
    let set = recogniser.next(recogniser.start(), bytes: bytes)
    if let failure = recogniser.failure { throw failure }
    return set
  }

  /// A matcher of a text that begins.
  public func matcher(_ vocabulary: ConstraintVocabulary) -> ConstraintMatcher {
    ConstraintMatcher(self, vocabulary)
  }

  func masks(_ trie: TokenTrie) -> TokenMasks {
    let key = ObjectIdentifier(trie)
    if let known = masks[key], known.recogniser === recogniser, known.trie === trie { return known }
    if masks.count >= Self.maximumVocabularies { masks.removeAll() }
    let made = TokenMasks(recogniser, trie)
    masks[key] = made
    return made
  }

  /// Begins anew where the recogniser remembers too much; matchers read their texts again.
  func renewIfFull() {
    guard recogniser.failure != nil || recogniser.sets.count > Recogniser.maximumSets / 2 else {
      return
    }
    recogniser = Recogniser(network, source: source)
    masks.removeAll()
  }
}

/// Follows one text token by token.
public final class ConstraintMatcher {
  public let constraint: Constraint
  public let vocabulary: ConstraintVocabulary
  /// The tokens accepted so far.
  public private(set) var tokens: [Int32] = []
  /// The set of readings before the first token and after each; `ended` after an end-of-sequence token.
  private var sets: [Int32]
  private var recogniser: Recogniser
  private static let ended: Int32 = -3

  init(_ constraint: Constraint, _ vocabulary: ConstraintVocabulary) {
    self.constraint = constraint
    self.vocabulary = vocabulary
    constraint.renewIfFull()
    recogniser = constraint.recogniser
    sets = [recogniser.start()]
  }

  private init(copying other: ConstraintMatcher) {
    constraint = other.constraint
    vocabulary = other.vocabulary
    tokens = other.tokens
    sets = other.sets
    recogniser = other.recogniser
  }

  public func copy() -> ConstraintMatcher { ConstraintMatcher(copying: self) }

  private var last: Int32 { sets[sets.count - 1] }

  /// Whether the text may end here.
  public var isComplete: Bool { last == Self.ended || recogniser.isComplete[Int(last)] }

  /// Whether it must end here: it is complete and nothing can follow.
  public var isFinished: Bool {
    last == Self.ended || (recogniser.isComplete[Int(last)] && recogniser.isExhausted(last))
  }

  /// The bits of the tokens that may come next, for a model of so many logits.
  public func mask(count: Int) throws(TextError) -> [UInt64] {
    try renew()
    let trie = vocabulary.trie(isFirst: tokens.isEmpty)
    let words = max(0, count + 63) / 64
    var mask: [UInt64]
    if last == Self.ended {
      mask = Array(repeating: 0, count: words)
    } else {
      mask = constraint.masks(trie).mask(last)
      if let failure = recogniser.failure { throw failure }
      if mask.count > words { mask.removeLast(mask.count - words) }
      while mask.count < words { mask.append(0) }
      if count % 64 != 0, let word = mask.popLast() {
        mask.append(word & (1 << UInt64(count % 64) - 1))
      }
    }
    if isComplete {
      for id in vocabulary.endIds where id >= 0 && id < count {
        mask[id >> 6] |= 1 << UInt64(id & 63)
      }
    }
    if !mask.contains(where: { $0 != 0 }) {
      if isFinished {
        throw TextError(
          .invalid, source: constraint.source, field: "",
          found: "the text is complete, and the model has no token that ends a text",
          remedy: "stop when the matcher's is_finished is true")
      }
      throw TextError(
        .invalid, source: constraint.source, field: "",
        found: "no token of the vocabulary can go on after \(shownEnd)",
        remedy: "the constraint needs characters that this tokenizer cannot write")
    }
    return mask
  }

  /// Whether a token may come next.
  public func allows(_ id: Int) throws(TextError) -> Bool {
    try renew()
    if vocabulary.endIds.contains(id) { return isComplete }
    return try after(id) >= 0
  }

  private func after(_ id: Int) throws(TextError) -> Int32 {
    let text = vocabulary.trie(isFirst: tokens.isEmpty).text(id)
    if text.isEmpty || last == Self.ended { return Recogniser.dead }
    let set = recogniser.next(last, bytes: text)
    if let failure = recogniser.failure { throw failure }
    return set
  }

  /// Takes the next token; one that may not follow is an error and changes nothing.
  public func accept(_ id: Int) throws(TextError) {
    try renew()
    let set: Int32
    if vocabulary.endIds.contains(id), isComplete {
      set = Self.ended
    } else {
      set = try after(id)
      guard set >= 0 else {
        let text = vocabulary.trie(isFirst: tokens.isEmpty).text(id)
        let shown =
          text.isEmpty
          ? "" : " (\(String(decoding: text, as: UTF8.self).debugDescription))"
        throw TextError(
          .invalid, source: constraint.source, field: "token \(tokens.count + 1)",
          found: "token \(id)\(shown) cannot follow \(shownEnd)",
          remedy: "choose among the tokens of the mask")
      }
    }
    tokens.append(Int32(truncatingIfNeeded: id))
    sets.append(set)
  }

  /// Takes back the last n tokens.
  public func rollback(_ n: Int) throws(TextError) {
    guard n >= 0, n <= tokens.count else {
      throw TextError(
        .invalid, source: constraint.source, field: "",
        found: "cannot take back \(n) tokens of \(tokens.count)")
    }
    tokens.removeLast(n)
    sets.removeLast(n)
  }

  /// Makes the text these tokens: what it has in common with them stays.
  public func follow(_ ids: some RandomAccessCollection<Int>) throws(TextError) {
    var common = 0
    for (id, token) in zip(ids, tokens) {
      if id != Int(token) { break }
      common += 1
    }
    try rollback(tokens.count - common)
    for id in ids.dropFirst(common) { try accept(id) }
  }

  /// The end of the text so far, for messages.
  private var shownEnd: String {
    if tokens.isEmpty { return "the beginning" }
    if last == Self.ended { return "the end of the text" }
    var bytes: [UInt8] = []
    for (i, token) in tokens.enumerated().suffix(12) {
      bytes += vocabulary.trie(isFirst: i == 0).text(Int(token))
    }
    return String(decoding: bytes.suffix(40), as: UTF8.self).debugDescription
  }

  /// Reads the text again where the constraint began anew.
  private func renew() throws(TextError) {
    if recogniser === constraint.recogniser {
      guard recogniser.failure != nil || recogniser.sets.count > Recogniser.maximumSets / 2 else {
        return
      }
      constraint.renewIfFull()
    }
    let isEnded = last == Self.ended
    recogniser = constraint.recogniser
    sets = [recogniser.start()]
    for (i, token) in tokens.enumerated() {
      let text = vocabulary.trie(isFirst: i == 0).text(Int(token))
      let set = text.isEmpty ? Self.ended : last < 0 ? last : recogniser.next(last, bytes: text)
      if let failure = recogniser.failure { throw failure }
      sets.append(set)
    }
    if isEnded { sets[sets.count - 1] = Self.ended }
  }
}
