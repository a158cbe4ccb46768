// Loading the tokenizer that a GGUF file carries.
//
//   tokenizer.ggml.model       gpt2 (byte-level BPE) or llama (SentencePiece BPE by scores)
//   tokenizer.ggml.pre         which pre-tokenizer pattern, by the name llama.cpp gave it
//   tokenizer.ggml.tokens, .merges, .scores, .token_type, .bos_token_id, .add_bos_token, …
//   tokenizer.chat_template
//
// Texts are read from the mapped file straight into the vocabulary.

import Formats

extension Tokenizer {
  /// Makes the tokenizer of a GGUF file.
  public convenience init(gguf: GGUF) throws(TextError) {
    self.init(try GGUFTokenizerLoader(gguf).parts())
  }
}

private struct GGUFTokenizerLoader {
  let gguf: GGUF
  let source: String

  private enum TokenType {
    static let normal = 1
    static let unknown = 2
    static let control = 3
    static let userDefined = 4
    static let unused = 5
    static let byte = 6
  }

  init(_ gguf: GGUF) {
    self.gguf = gguf
    source = gguf.file.path
  }

  func parts() throws(TextError) -> Tokenizer.Parts {
    guard let model = gguf["tokenizer.ggml.model"]?.string else {
      throw failure("tokenizer.ggml.model", "missing", "the file carries no tokenizer")
    }
    guard let tokens = gguf["tokenizer.ggml.tokens"]?.array, tokens.type == .string,
      tokens.count > 0, tokens.count <= Vocabulary.maximumId
    else { throw failure("tokenizer.ggml.tokens", "missing, or no list of texts") }
    let types = gguf["tokenizer.ggml.token_type"]?.array?.ints ?? []
    var vocabulary = Vocabulary(capacity: tokens.count)
    var added: [AddedToken] = []
    for id in 0..<tokens.count {
      guard let raw = tokens.stringBytes(id),
        vocabulary.insert(raw.bindMemory(to: UInt8.self), id: id)
      else { throw failure("tokenizer.ggml.tokens[\(id)]", "cannot be entered") }
      let type = id < types.count ? types[id] : TokenType.normal
      let isUnknownText = type == TokenType.unknown
      if type == TokenType.control || type == TokenType.userDefined || isUnknownText {
        added.append(
          AddedToken(
            id: id, content: String(decoding: raw, as: UTF8.self),
            isSpecial: type != TokenType.userDefined))
      }
    }

    var parts: Tokenizer.Parts
    switch model {
    case "gpt2": parts = try bytePair(vocabulary)
    case "llama": parts = try sentencePiece(vocabulary, types: types)
    default:
      throw TextError(
        .unsupported, source: source, field: "tokenizer.ggml.model", found: "'\(model)'",
        remedy: "gpt2 and llama are supported; use the model's tokenizer.json")
    }
    parts.added = added
    func id(_ key: String) -> Int? {
      guard let id = gguf["tokenizer.ggml.\(key)"]?.int, vocabulary.text(id) != nil else {
        return nil
      }
      return id
    }
    parts.bosId = id("bos_token_id")
    parts.eosIds = ["eos_token_id", "eot_token_id", "eom_token_id"].compactMap(id)
      .reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    parts.unknownId = id("unknown_token_id") ?? parts.unknownId
    parts.paddingId = id("padding_token_id")
    parts.chatTemplate = gguf["tokenizer.chat_template"]?.string
    for key in gguf.keys where key.hasPrefix("tokenizer.chat_template.") {
      guard let text = gguf[key]?.string else { continue }
      parts.namedChatTemplates[String(key.dropFirst("tokenizer.chat_template.".count))] = text
    }
    let addsBos = gguf["tokenizer.ggml.add_bos_token"]?.bool ?? !parts.prefix.isEmpty
    parts.prefix = addsBos ? [parts.bosId].compactMap { $0 } : []
    let addsEos = gguf["tokenizer.ggml.add_eos_token"]?.bool ?? false
    parts.suffix = addsEos ? [parts.eosIds.first].compactMap { $0 } : []
    return parts
  }

  private func failure(_ field: String, _ found: String, _ remedy: String = "") -> TextError {
    TextError(.invalid, source: source, field: field, found: found, remedy: remedy)
  }

  // MARK: gpt2

  /// Pre-tokenizer names of llama.cpp, and whether BOS is added when the file does not say.
  private func preTokenizer(
    _ name: String
  ) -> (steps: [PreTokenizer], ignoresMerges: Bool, addsBos: Bool)? {
    let bytes = PreTokenizer.byteLevel(addPrefixSpace: false, split: false)
    func split(_ pattern: SplitPattern) -> [PreTokenizer] {
      [.split(.pattern(pattern), .isolated, invert: false), bytes]
    }
    switch name {
    case "gpt-2", "gpt2", "default", "phi-2", "mpt", "olmo", "jais", "jina-es", "jina-de",
      "gigachat", "exaone", "roberta-bpe":
      return ([.byteLevel(addPrefixSpace: false, split: true)], false, false)
    case "smollm", "starcoder", "refact", "command-r", "codeshell":
      return (
        [.split(.pattern(.digits(maximum: 1)), .isolated, invert: false)] + split(.gpt2), false,
        false
      )
    case "llama3", "llama-v3", "llama-bpe", "falcon3", "pixtral":
      return (split(.words(maximumDigits: 3, marks: false)), true, true)
    case "dbrx", "smaug-bpe", "glm4", "chatglm-bpe":
      return (split(.words(maximumDigits: 3, marks: false)), false, false)
    case "qwen2", "stablelm2", "deepseek-r1-qwen", "hunyuan", "megrez", "kormo":
      return (split(.words(maximumDigits: 1, marks: false)), false, false)
    case "qwen35": return (split(.words(maximumDigits: 1, marks: true)), false, false)
    case "tekken":
      return (split(.casedWords(maximumDigits: 1, contractions: false)), true, true)
    case "gpt-4o", "llama4":
      return (split(.casedWords(maximumDigits: 3, contractions: true)), false, false)
    default: return nil
    }
  }

  private func bytePair(_ vocabulary: Vocabulary) throws(TextError) -> Tokenizer.Parts {
    let name = gguf["tokenizer.ggml.pre"]?.string ?? "default"
    guard let pre = preTokenizer(name) else {
      throw TextError(
        .unsupported, source: source, field: "tokenizer.ggml.pre",
        found: "the pre-tokenizer '\(name)' is not known",
        remedy: "load the model from its Hugging Face directory, or report its name")
    }
    guard let rules = gguf["tokenizer.ggml.merges"]?.array, rules.type == .string,
      rules.count <= Vocabulary.maximumId
    else { throw failure("tokenizer.ggml.merges", "missing, or no list of texts") }
    var merges = MergeTable(capacity: rules.count)
    var spelled: [UInt8] = []
    for rank in 0..<rules.count {
      guard let raw = rules.stringBytes(rank) else { continue }
      let rule = raw.bindMemory(to: UInt8.self)
      // The first half may begin with a blank, so the one that separates is not the first byte.
      guard let blank = rule.dropFirst().firstIndex(of: 0x20) else {
        throw failure("tokenizer.ggml.merges[\(rank)]", "is not a pair")
      }
      let left = UnsafeBufferPointer(rebasing: rule[..<blank])
      let right = UnsafeBufferPointer(rebasing: rule[(blank + 1)...])
      spelled.removeAll(keepingCapacity: true)
      spelled.append(contentsOf: left)
      spelled.append(contentsOf: right)
      // As llama.cpp does, a rule about tokens that are not there is passed over.
      guard let a = vocabulary.id(left), let b = vocabulary.id(right),
        let merged = vocabulary.id(spelled)
      else { continue }
      merges.insert(a, b, rank: rank, id: merged)
    }
    let encoder = BytePairEncoder(
      vocabulary: vocabulary, alphabet: .bytes, merges: merges, ignoresMerges: pre.ignoresMerges)
    var steps = pre.steps
    if gguf["tokenizer.ggml.add_space_prefix"]?.bool == true, let last = steps.popLast(),
      case .byteLevel(_, let split) = last
    {
      steps.append(.byteLevel(addPrefixSpace: true, split: split))
    }
    return Tokenizer.Parts(
      source: source, vocabulary: vocabulary, model: .bytePair(encoder), preTokenizers: steps,
      decoder: [.byteLevel], prefix: pre.addsBos ? [0] : [])
  }

  // MARK: llama (SentencePiece)

  private func sentencePiece(
    _ vocabulary: Vocabulary, types: [Int]
  ) throws(TextError) -> Tokenizer.Parts {
    guard let values = gguf["tokenizer.ggml.scores"]?.array?.doubles,
      values.count == vocabulary.idLimit
    else { throw failure("tokenizer.ggml.scores", "missing, or not one a token") }
    var scores = values.map { $0.isNaN ? -Float.greatestFiniteMagnitude : Float($0) }
    for (id, type) in types.enumerated() where id < scores.count {
      if type != TokenType.normal, type != TokenType.userDefined { scores[id] = -.infinity }
    }
    let unknown = gguf["tokenizer.ggml.unknown_token_id"]?.int ?? types.firstIndex(of: 2)
    let encoder = BytePairEncoder(
      vocabulary: vocabulary, alphabet: .characters, merges: MergeTable(capacity: 0),
      usesByteFallback: true, unknownId: unknown.flatMap { vocabulary.text($0) == nil ? nil : $0 },
      fusesUnknown: false, scores: scores)
    let mark = Array("▁".utf8)
    var normalizers: [Normalizer] = []
    var decoder: [DecoderStep] = [.replace(.text(mark), [0x20]), .byteFallback, .fuse]
    if gguf["tokenizer.ggml.add_space_prefix"]?.bool ?? true {
      normalizers.append(.prepend(mark))
      decoder.append(.strip(0x20, start: 1, stop: 0))
    }
    normalizers.append(.replace(.text([0x20]), mark))
    return Tokenizer.Parts(
      source: source, vocabulary: vocabulary, model: .bytePair(encoder), normalizers: normalizers,
      decoder: decoder, prefix: [0])
  }
}
