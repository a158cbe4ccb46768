// Loading Hugging Face's tokenizer.json and the files beside it.
//
//   tokenizer.json          the pipeline, the vocabulary, the added tokens
//   tokenizer_config.json   which tokens are BOS, EOS, …; chat_template
//   chat_template.jinja     the template, in newer models
//   generation_config.json  further ids that end a generation

import Formats

extension Tokenizer {
  /// Loads the tokenizer of a model directory.
  public static func load(directory: String) throws(TextError) -> Tokenizer {
    let path = "\(directory)/tokenizer.json"
    let json = try loadJSON(path)
    var parts = try parse(json, source: path)
    let configPath = "\(directory)/tokenizer_config.json"
    if fileExists(configPath) { try applyConfig(loadJSON(configPath), &parts) }
    let templatePath = "\(directory)/chat_template.jinja"
    if fileExists(templatePath) {
      do throws(FormatError) {
        let bytes = try readFile(templatePath, limit: 1 << 22)
        parts.chatTemplate = String(decoding: bytes, as: UTF8.self)
      } catch { throw TextError(error) }
    }
    for name in ["generation_config.json", "config.json"] {
      let path = "\(directory)/\(name)"
      guard fileExists(path) else { continue }
      let config = try loadJSON(path)
      let ids = config["eos_token_id"]
      for id in ids?.array?.compactMap(\.int) ?? [ids?.int].compactMap({ $0 })
      where !parts.eosIds.contains(id) { parts.eosIds.append(id) }
      if parts.bosId == nil { parts.bosId = config["bos_token_id"]?.int }
      if ids != nil { break }
    }
    return Tokenizer(parts)
  }

  /// Makes a tokenizer from the text of a tokenizer.json alone.
  public convenience init(json: JSON, source: String = "tokenizer.json") throws(TextError) {
    self.init(try Self.parse(json, source: source))
  }

  private static func loadJSON(_ path: String) throws(TextError) -> JSON {
    do throws(FormatError) {
      return try JSON.load(path, limit: 1 << 28)
    } catch { throw TextError(error) }
  }

  private static func applyConfig(_ config: JSON, _ parts: inout Parts) throws(TextError) {
    func id(_ key: String) -> Int? {
      guard let text = config[key]?.string ?? config[key]?["content"]?.string else { return nil }
      return parts.added.first { sameBytes($0.content, text) }?.id ?? parts.vocabulary.id(text)
    }
    parts.bosId = id("bos_token") ?? parts.bosId
    if let eos = id("eos_token") { parts.eosIds = [eos] }
    parts.unknownId = id("unk_token") ?? parts.unknownId
    parts.paddingId = id("pad_token") ?? parts.paddingId
    if let template = config["chat_template"]?.string { parts.chatTemplate = template }
    for entry in config["chat_template"]?.array ?? [] {
      guard let name = entry["name"]?.string, let text = entry["template"]?.string else { continue }
      if name == "default" {
        parts.chatTemplate = text
      } else {
        parts.namedChatTemplates[name] = text
      }
    }
  }

  // MARK: tokenizer.json

  static func parse(_ json: JSON, source: String) throws(TextError) -> Parts {
    guard let model = json["model"], model.object != nil else {
      throw TextError(
        .invalid, source: source, field: "model", found: "missing",
        remedy: "is this a tokenizer.json?")
    }
    let preTokenizers = try PreTokenizer.parse(json["pre_tokenizer"], source)
    // Byte-level steps must come last: their bytes are never spelled out in between.
    let byteLevels = preTokenizers.indices.filter {
      if case .byteLevel = preTokenizers[$0] { true } else { false }
    }
    guard byteLevels.isEmpty || byteLevels == [preTokenizers.count - 1] else {
      throw TextError(
        .unsupported, source: source, field: "pre_tokenizer",
        found: "a ByteLevel step that is not the last")
    }
    let type = model["type"]?.string ?? (model["merges"] != nil ? "BPE" : "missing")
    let added = try parseAdded(json["added_tokens"], source)
    var parts: Parts
    switch type {
    case "BPE": parts = try parseBytePair(model, isByteLevel: !byteLevels.isEmpty, source)
    case "Unigram": parts = try parseUnigram(model, isByteLevel: !byteLevels.isEmpty, source)
    default:
      throw TextError(
        .unsupported, source: source, field: "model type", found: "'\(type)'",
        remedy: "BPE and Unigram are supported")
    }
    parts.added = added
    parts.preTokenizers = preTokenizers
    parts.normalizers = try Normalizer.parse(json["normalizer"], source)
    parts.decoder = try DecoderStep.parse(json["decoder"], source)
    try parsePostProcessor(json["post_processor"], &parts)
    return parts
  }

  private static func parseAdded(
    _ json: JSON?, _ source: String
  ) throws(TextError) -> [AddedToken] {
    var tokens: [AddedToken] = []
    for entry in json?.array ?? [] {
      guard let id = entry["id"]?.int, id >= 0, id <= Vocabulary.maximumId,
        let content = entry["content"]?.string
      else {
        throw TextError(
          .invalid, source: source, field: "added_tokens[\(tokens.count)]",
          found: "has no valid id and content")
      }
      let isSpecial = entry["special"]?.bool ?? false
      tokens.append(
        AddedToken(
          id: id, content: content, isSpecial: isSpecial,
          stripsLeft: entry["lstrip"]?.bool ?? false, stripsRight: entry["rstrip"]?.bool ?? false,
          isSingleWord: entry["single_word"]?.bool ?? false,
          isNormalized: entry["normalized"]?.bool ?? !isSpecial))
    }
    return tokens
  }

  private static func parseBytePair(
    _ model: JSON, isByteLevel: Bool, _ source: String
  ) throws(TextError) -> Parts {
    for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
      guard model[key]?.string ?? "" == "" else {
        throw TextError(
          .unsupported, source: source, field: "model \(key)", found: model[key]?.string ?? "")
      }
    }
    guard let entries = model["vocab"]?.object else {
      throw TextError(.invalid, source: source, field: "model vocab", found: "missing")
    }
    var vocabulary = Vocabulary(capacity: entries.count)
    let tokens = entries.keys
    let ids = entries.values
    for index in tokens.indices {
      guard let id = ids[index].int, vocabulary.insert(tokens[index], id: id) else {
        throw TextError(
          .invalid, source: source, field: "model vocab '\(tokens[index])'",
          found: "id \(ids[index].serialized()) is not valid or is used twice")
      }
    }
    let rules = model["merges"]?.array ?? []
    var merges = MergeTable(capacity: rules.count)
    var spelled: [UInt8] = []
    for (rank, rule) in rules.enumerated() {
      var left: String
      var right: String
      if let pair = rule.array, pair.count == 2, let a = pair[0].string, let b = pair[1].string {
        (left, right) = (a, b)
      } else if let text = rule.string, let blank = text.utf8.firstIndex(of: 0x20) {
        left = String(text[..<blank])
        right = String(text[text.utf8.index(after: blank)...])
      } else {
        throw TextError(
          .invalid, source: source, field: "model merges[\(rank)]", found: "is not a pair")
      }
      spelled.removeAll(keepingCapacity: true)
      spelled.append(contentsOf: left.utf8)
      spelled.append(contentsOf: right.utf8)
      guard let a = left.withUTF8({ vocabulary.id($0) }),
        let b = right.withUTF8({ vocabulary.id($0) }), let merged = vocabulary.id(spelled)
      else {
        throw TextError(
          .invalid, source: source, field: "model merges[\(rank)]",
          found: "'\(left)' + '\(right)' names a token that is not in the vocabulary")
      }
      merges.insert(a, b, rank: rank, id: merged)
    }
    let unknown = model["unk_token"]?.string.flatMap { vocabulary.id($0) }
    let encoder = BytePairEncoder(
      vocabulary: vocabulary, alphabet: isByteLevel ? .bytes : .characters, merges: merges,
      usesByteFallback: model["byte_fallback"]?.bool ?? false, unknownId: unknown,
      fusesUnknown: model["fuse_unk"]?.bool ?? false,
      ignoresMerges: model["ignore_merges"]?.bool ?? false)
    return Parts(
      source: source, vocabulary: vocabulary, model: .bytePair(encoder), unknownId: unknown)
  }

  private static func parseUnigram(
    _ model: JSON, isByteLevel: Bool, _ source: String
  ) throws(TextError) -> Parts {
    guard !isByteLevel else {
      throw TextError(
        .unsupported, source: source, field: "model", found: "Unigram over ByteLevel")
    }
    guard let entries = model["vocab"]?.array, !entries.isEmpty else {
      throw TextError(.invalid, source: source, field: "model vocab", found: "missing or empty")
    }
    var vocabulary = Vocabulary(capacity: entries.count)
    var scores: [Double] = []
    scores.reserveCapacity(entries.count)
    for (id, entry) in entries.enumerated() {
      guard let text = entry[0]?.string, let score = entry[1]?.double, score.isFinite,
        vocabulary.insert(text, id: id)
      else {
        throw TextError(
          .invalid, source: source, field: "model vocab[\(id)]", found: "is not [text, score]")
      }
      scores.append(score)
    }
    let unknown = model["unk_id"]?.int
    if let unknown, vocabulary.text(unknown) == nil {
      throw TextError(
        .invalid, source: source, field: "model unk_id", found: "\(unknown) is not an id")
    }
    let encoder = UnigramEncoder(
      vocabulary: vocabulary, scores: scores, unknownId: unknown,
      usesByteFallback: model["byte_fallback"]?.bool ?? false)
    return Parts(
      source: source, vocabulary: vocabulary, model: .unigram(encoder), unknownId: unknown)
  }

  /// The special tokens around a single text.
  private static func parsePostProcessor(_ json: JSON?, _ parts: inout Parts) throws(TextError) {
    guard let json, !json.isNull else { return }
    func invalid(_ found: String) -> TextError {
      TextError(.invalid, source: parts.source, field: "post_processor", found: found)
    }
    switch json["type"]?.string {
    case "ByteLevel": break
    case "Sequence":
      for child in json["processors"]?.array ?? [] { try parsePostProcessor(child, &parts) }
    case "BertProcessing", "RobertaProcessing":
      guard let first = json["cls"]?[1]?.int, let last = json["sep"]?[1]?.int else {
        throw invalid("has no cls and sep")
      }
      parts.prefix.insert(first, at: 0)
      parts.suffix.append(last)
    case "TemplateProcessing":
      var before: [Int] = []
      var after: [Int] = []
      var seenText = false
      for item in json["single"]?.array ?? [] {
        if item["Sequence"] != nil {
          guard !seenText else { throw invalid("a template that repeats the text") }
          seenText = true
        } else if let name = item["SpecialToken"]?["id"]?.string {
          guard let ids = json["special_tokens"]?[name]?["ids"]?.array?.compactMap(\.int),
            ids.allSatisfy({ $0 >= 0 && $0 <= Vocabulary.maximumId })
          else { throw invalid("the special token '\(name)' has no ids") }
          if seenText { after += ids } else { before += ids }
        }
      }
      parts.prefix = before + parts.prefix
      parts.suffix += after
    case let name:
      throw TextError(
        .unsupported, source: parts.source, field: "post_processor",
        found: "type '\(name ?? "missing")' is not supported")
    }
  }
}
