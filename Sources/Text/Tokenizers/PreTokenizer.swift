// Cutting a text into the words that a model encodes one by one.
//
// The text is one byte buffer and the words are ranges of it; a step splits ranges, and only
// Metaspace and an added leading blank make a new buffer. Byte-level steps do not spell bytes
// in GPT-2's alphabet here: the encoder starts from the bytes themselves.

import Formats

/// A text and its words.
struct PreTokenized {
  var bytes: [UInt8]
  var words: [Range<Int>]
  /// The text begins where the input begins (Metaspace's "first").
  var isAtStart: Bool
}

enum SplitBehavior: String, Sendable {
  case removed = "Removed", isolated = "Isolated", contiguous = "Contiguous"
  case mergedWithPrevious = "MergedWithPrevious", mergedWithNext = "MergedWithNext"
}

enum PreTokenizer: Sendable {
  case byteLevel(addPrefixSpace: Bool, split: Bool)
  case split(SplitMatcher, SplitBehavior, invert: Bool)
  case metaspace(replacement: [UInt8], prepend: PrependScheme, split: Bool)

  enum PrependScheme: String, Sendable { case always, never, first }

  func apply(_ text: inout PreTokenized) {
    switch self {
    case .byteLevel(let addPrefixSpace, let split):
      if addPrefixSpace { Self.prefix(&text, with: [0x20]) { _ in true } }
      if split { Self.split(&text, .pattern(.gpt2), .isolated, invert: false) }
    case .split(let matcher, let behavior, let invert):
      Self.split(&text, matcher, behavior, invert: invert)
    case .metaspace(let replacement, let prepend, let split):
      Self.replaceSpaces(&text, with: replacement)
      switch prepend {
      case .always: Self.prefix(&text, with: replacement) { _ in true }
      case .first: Self.prefix(&text, with: replacement) { $0 == 0 }
      case .never: break
      }
      if split { Self.split(&text, .text(replacement), .mergedWithNext, invert: false) }
    }
  }

  /// Puts `prefix` before each word that does not begin with it.
  private static func prefix(
    _ text: inout PreTokenized, with prefix: [UInt8], where applies: (Int) -> Bool
  ) {
    let needed = text.words.map { word in
      !word.isEmpty && applies(text.isAtStart ? word.lowerBound : word.lowerBound + 1)
        && !text.bytes[word].starts(with: prefix)
    }
    guard needed.contains(true) else { return }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.bytes.count + prefix.count * text.words.count)
    for (index, word) in text.words.enumerated() {
      let start = bytes.count
      if needed[index] { bytes += prefix }
      bytes += text.bytes[word]
      text.words[index] = start..<bytes.count
    }
    text.bytes = bytes
  }

  private static func replaceSpaces(_ text: inout PreTokenized, with replacement: [UInt8]) {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.bytes.count * 5 / 4)
    for (index, word) in text.words.enumerated() {
      let start = bytes.count
      for byte in text.bytes[word] {
        if byte == 0x20 { bytes += replacement } else { bytes.append(byte) }
      }
      text.words[index] = start..<bytes.count
    }
    text.bytes = bytes
  }

  private static func split(
    _ text: inout PreTokenized, _ matcher: SplitMatcher, _ behavior: SplitBehavior, invert: Bool
  ) {
    var words: [Range<Int>] = []
    words.reserveCapacity(text.bytes.count / 4 + 1)
    text.bytes.withUnsafeBufferPointer { bytes in
      for word in text.words {
        var pieces: [(range: Range<Int>, isMatch: Bool)] = []
        var at = word.lowerBound
        let direct = behavior == .isolated && !invert
        func put(_ range: Range<Int>, _ isMatch: Bool) {
          guard !range.isEmpty else { return }
          if direct { words.append(range) } else { pieces.append((range, isMatch != invert)) }
        }
        matcher.matches(bytes, word) { match in
          put(at..<match.lowerBound, false)
          put(match, true)
          at = match.upperBound
        }
        put(at..<word.upperBound, false)
        if !direct { join(pieces, behavior, into: &words) }
      }
    }
    text.words = words
  }

  private static func join(
    _ pieces: [(range: Range<Int>, isMatch: Bool)], _ behavior: SplitBehavior,
    into words: inout [Range<Int>]
  ) {
    func extend(to end: Int) {
      let last = words.removeLast()
      words.append(last.lowerBound..<end)
    }
    var previousWasMatch = false
    switch behavior {
    case .isolated: words += pieces.map(\.range)
    case .removed: words += pieces.lazy.filter { !$0.isMatch }.map(\.range)
    case .contiguous:
      for (index, piece) in pieces.enumerated() {
        if index > 0, piece.isMatch == previousWasMatch {
          extend(to: piece.range.upperBound)
        } else {
          words.append(piece.range)
        }
        previousWasMatch = piece.isMatch
      }
    case .mergedWithPrevious:
      for (index, piece) in pieces.enumerated() {
        if piece.isMatch, index > 0, !previousWasMatch {
          extend(to: piece.range.upperBound)
        } else {
          words.append(piece.range)
        }
        previousWasMatch = piece.isMatch
      }
    case .mergedWithNext:
      var pending: Int?
      for piece in pieces {
        if piece.isMatch {
          if let start = pending { words.append(start..<piece.range.lowerBound) }
          pending = piece.range.lowerBound
        } else {
          words.append((pending ?? piece.range.lowerBound)..<piece.range.upperBound)
          pending = nil
        }
      }
      if let start = pending, let end = pieces.last?.range.upperBound { words.append(start..<end) }
    }
  }
}

/// What a split looks for.
enum SplitMatcher: Sendable {
  case pattern(SplitPattern)
  case text([UInt8])
  /// Single punctuation characters.
  case punctuation

  func matches(
    _ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ found: (Range<Int>) -> Void
  ) {
    switch self {
    case .pattern(let pattern): pattern.matches(bytes, range, found)
    case .text(let wanted):
      guard !wanted.isEmpty else { return }
      var at = range.lowerBound
      while at + wanted.count <= range.upperBound {
        if bytes[at] == wanted[0], bytes[at..<at + wanted.count].elementsEqual(wanted) {
          found(at..<at + wanted.count)
          at += wanted.count
        } else {
          at += 1
        }
      }
    case .punctuation:
      var at = range.lowerBound
      while at < range.upperBound {
        let (value, length) = decodeScalar(bytes, at)
        let isASCIISymbol = value < 0x80 && "$+<=>^`|~".utf8.contains(UInt8(value))
        if isASCIISymbol || UnicodeClass.table[Int(value)] == UnicodeClass.punctuation {
          found(at..<at + length)
        }
        at += length
      }
    }
  }
}

extension PreTokenizer {
  /// The steps of a `pre_tokenizer` object.
  static func parse(_ json: JSON?, _ file: String) throws(TextError) -> [PreTokenizer] {
    guard let json, !json.isNull else { return [] }
    func flag(_ key: String, _ standard: Bool) -> Bool { json[key]?.bool ?? standard }
    switch json["type"]?.string {
    case "Sequence":
      var steps: [PreTokenizer] = []
      for child in json["pretokenizers"]?.array ?? [] { steps += try parse(child, file) }
      return steps
    case "ByteLevel":
      return [
        .byteLevel(
          addPrefixSpace: flag("add_prefix_space", true), split: flag("use_regex", true))
      ]
    case "Digits":
      let behavior: SplitBehavior =
        flag("individual_digits", false) ? .isolated : .contiguous
      return [.split(.pattern(.digits(maximum: 1)), behavior, invert: false)]
    case "Metaspace":
      let text = json["replacement"]?.string ?? "▁"
      var scheme = PrependScheme.always
      if let name = json["prepend_scheme"]?.string {
        guard let known = PrependScheme(rawValue: name) else {
          throw TextError(
            .invalid, source: file, field: "pre_tokenizer prepend_scheme", found: "'\(name)'")
        }
        scheme = known
      } else if json["add_prefix_space"]?.bool == false {
        scheme = .never
      }
      return [
        .metaspace(replacement: Array(text.utf8), prepend: scheme, split: flag("split", true))
      ]
    case "WhitespaceSplit": return [.split(.pattern(.spaces), .removed, invert: false)]
    case "Punctuation":
      return [.split(.punctuation, try behavior(json, .isolated, file), invert: false)]
    case "CharDelimiterSplit":
      let text = json["delimiter"]?.string ?? " "
      return [.split(.text(Array(text.utf8)), .removed, invert: false)]
    case "Split":
      let matcher = try SplitMatcher.parse(json["pattern"], file, field: "pre_tokenizer Split")
      return [
        .split(matcher, try behavior(json, .isolated, file), invert: flag("invert", false))
      ]
    case let name:
      throw TextError(
        .unsupported, source: file, field: "pre_tokenizer",
        found: "type '\(name ?? "missing")' is not supported")
    }
  }

  private static func behavior(
    _ json: JSON, _ standard: SplitBehavior, _ file: String
  ) throws(TextError) -> SplitBehavior {
    guard let name = json["behavior"]?.string else { return standard }
    guard let behavior = SplitBehavior(rawValue: name) else {
      throw TextError(
        .invalid, source: file, field: "pre_tokenizer behavior", found: "unknown '\(name)'")
    }
    return behavior
  }
}

extension SplitMatcher {
  static func parse(
    _ json: JSON?, _ file: String, field: String
  ) throws(TextError) -> SplitMatcher {
    if let text = json?["String"]?.string { return .text(Array(text.utf8)) }
    guard let regex = json?["Regex"]?.string else {
      throw TextError(.invalid, source: file, field: field, found: "has no pattern")
    }
    guard let pattern = SplitPattern(regex: regex) else {
      throw TextError(
        .unsupported, source: file, field: field,
        found: "the regular expression \(regex) is none of the published ones that Lull knows",
        remedy: "report the model's name, so that its pattern can be added")
    }
    return .pattern(pattern)
  }
}
