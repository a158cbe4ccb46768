// The published pre-tokenizer patterns, as hand-written scanners.
//
// A tokenizer.json names its pattern as a regular expression. The published ones are few, so
// each is recognised by its text and run by a scanner that follows the expression's
// alternatives in order, with the backtracking worked out by hand:
//
// - `\s*[\r\n]+` ends after the last line break of a run of blanks.
// - `\s+(?!\S)` takes a run of blanks but its last, unless the text ends there.
// - `X?Y+` retries without X; where X and Y share characters (tekken's marks) the scanner
//   does too.
//
// An unknown expression is an error that shows it, never a guess.

import Formats

enum SplitPattern: Sendable, Equatable {
  /// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
  case gpt2
  /// The family of Llama 3 and Qwen 2: any-case contractions, digits in groups, line breaks
  /// apart. `marks` counts \p{M} as letters (Qwen 3.5).
  case words(maximumDigits: Int, marks: Bool)
  /// The family of GPT-4o and tekken: words split where lower case turns to upper.
  case casedWords(maximumDigits: Int, contractions: Bool)
  /// `\p{N}{1,n}`; n = Int.max for `\p{N}+`.
  case digits(maximum: Int)
  /// `\s+`
  case spaces
  /// `X{2,}` of one character.
  case repeated(UInt32)
  /// Chinese and Japanese of DeepSeek: `[一-龥぀-ゟ゠-ヿ]+`
  case cjk

  init?(regex: String) {
    guard let pattern = Self.published.first(where: { sameBytes($0.0, regex) }) else {
      return nil
    }
    self = pattern.1
  }

  private static let contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
  private static let tail = #"\s*[\r\n]+|\s+(?!\S)|\s+"#

  private static let published: [(String, SplitPattern)] = {
    var list: [(String, SplitPattern)] = [
      (
        #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#, .gpt2
      ),
      (#"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#, .gpt2),
      (#"\s+"#, .spaces), (#"\p{N}"#, .digits(maximum: 1)), (#"\p{N}+"#, .digits(maximum: .max)),
      (" {2,}", .repeated(0x20)), ("[一-龥぀-ゟ゠-ヿ]+", .cjk),
    ]
    let digitForms: [(String, Int)] = [
      (#"\p{N}"#, 1), (#"\p{N}{1,3}"#, 3), (#"\p{N}{1,2}"#, 2), (#"\p{N}+"#, .max),
    ]
    for (digits, maximum) in digitForms {
      list.append(
        (
          contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|"# + digits
            + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|"# + tail,
          .words(maximumDigits: maximum, marks: false)
        ))
      // The same with possessive repeats, and with one line break, which matches alike.
      list.append(
        (
          #"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|"# + digits
            + #"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"#,
          .words(maximumDigits: maximum, marks: false)
        ))
      list.append(
        (
          contractions + #"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|"# + digits
            + #"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|"# + tail,
          .words(maximumDigits: maximum, marks: true)
        ))
      let upper = #"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"#
      let lower = #"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"#
      for suffix in ["", contractions + "?"] {
        list.append(
          (
            #"[^\r\n\p{L}\p{N}]?"# + upper + "*" + lower + "+" + suffix
              + #"|[^\r\n\p{L}\p{N}]?"# + upper + "+" + lower + "*" + suffix + "|" + digits
              + #"| ?[^\s\p{L}\p{N}]+[\r\n/]*|"# + tail,
            .casedWords(maximumDigits: maximum, contractions: !suffix.isEmpty)
          ))
      }
    }
    for maximum in 2...4 {
      list.append(("\\p{N}{1,\(maximum)}", .digits(maximum: maximum)))
    }
    return list
  }()

  /// All matches in a text, in order and without overlap.
  func matches(
    _ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ found: (Range<Int>) -> Void
  ) {
    let scanner = PatternScanner(
      text: UnsafeBufferPointer(rebasing: text[..<range.upperBound]), classes: UnicodeClass.table)
    var at = range.lowerBound
    while at < range.upperBound {
      let end: Int
      switch self {
      case .gpt2: end = scanner.gpt2(at)
      case .words(let digits, let marks): end = scanner.words(at, digits, marks)
      case .casedWords(let digits, let contractions):
        end = scanner.casedWords(at, digits, contractions)
      case .digits(let maximum): end = scanner.run(at, maximum) { $0 == UnicodeClass.number }
      case .spaces: end = scanner.run(at, .max) { $0 == UnicodeClass.space }
      case .repeated(let scalar): end = scanner.repeated(at, scalar)
      case .cjk: end = scanner.cjk(at)
      }
      if end > at {
        found(at..<end)
        at = end
      } else {
        at += scanner.scalar(at).length
      }
    }
  }
}

/// One step of each pattern: the end of the match that begins at a place, or the place itself.
private struct PatternScanner {
  let text: UnsafeBufferPointer<UInt8>
  let classes: UnsafePointer<UInt8>

  @inline(__always)
  func scalar(_ at: Int) -> (value: UInt32, length: Int) { decodeScalar(text, at) }

  @inline(__always)
  func kind(_ at: Int) -> (kind: UInt8, length: Int) {
    let first = text[at]
    if first < 0x80 { return (classes[Int(first)], 1) }
    let (value, length) = decodeScalar(text, at)
    return (classes[Int(value)], length)
  }

  @inline(__always)
  static func isLetter(_ kind: UInt8) -> Bool { kind >= 1 && kind <= 5 }

  /// `[^\s\p{L}\p{N}]`
  @inline(__always)
  static func isSymbol(_ kind: UInt8) -> Bool { kind == 0 || kind == 6 || kind == 9 }

  @inline(__always)
  func run(_ at: Int, _ maximum: Int, _ accepts: (UInt8) -> Bool) -> Int {
    var end = at
    var count = 0
    while end < text.count, count < maximum {
      let (kind, length) = kind(end)
      guard accepts(kind) else { break }
      end += length
      count += 1
    }
    return end
  }

  func repeated(_ at: Int, _ wanted: UInt32) -> Int {
    var end = at
    var count = 0
    while end < text.count {
      let (value, length) = scalar(end)
      guard value == wanted else { break }
      end += length
      count += 1
    }
    return count >= 2 ? end : at
  }

  func cjk(_ at: Int) -> Int {
    var end = at
    while end < text.count {
      let (value, length) = scalar(end)
      guard (0x4E00...0x9FA5).contains(value) || (0x3040...0x30FF).contains(value) else { break }
      end += length
    }
    return end
  }

  @inline(__always)
  func isBreak(_ at: Int) -> Bool { text[at] == 0x0A || text[at] == 0x0D }

  /// `'s|'t|'re|'ve|'m|'ll|'d` at an apostrophe.
  func contraction(_ at: Int, anyCase: Bool) -> Int {
    guard at + 1 < text.count, text[at] == 0x27 else { return at }
    func letter(_ index: Int) -> UInt8 {
      guard index < text.count else { return 0 }
      let byte = text[index]
      return anyCase && byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte
    }
    let first = letter(at + 1)
    let second = letter(at + 2)
    switch first {
    case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"): return at + 2
    case UInt8(ascii: "r") where second == UInt8(ascii: "e"): return at + 3
    case UInt8(ascii: "v") where second == UInt8(ascii: "e"): return at + 3
    case UInt8(ascii: "l") where second == UInt8(ascii: "l"): return at + 3
    // The long s folds to s.
    case 0xC5 where anyCase && second == 0xBF: return at + 3
    default: return at
    }
  }

  /// `\s+(?!\S)|\s+`
  func blanks(_ at: Int) -> Int {
    var end = at
    var last = at
    while end < text.count {
      let (kind, length) = kind(end)
      guard kind == UnicodeClass.space else { break }
      last = end
      end += length
    }
    return end == text.count || last == at ? end : last
  }

  /// `\s*[\r\n]+`: after the last line break of the run of blanks.
  func blanksToBreak(_ at: Int) -> Int {
    var end = at
    var afterBreak = at
    while end < text.count {
      let (kind, length) = kind(end)
      guard kind == UnicodeClass.space else { break }
      end += length
      if length == 1, isBreak(end - 1) { afterBreak = end }
    }
    return afterBreak
  }

  func gpt2(_ at: Int) -> Int {
    let short = contraction(at, anyCase: false)
    if short > at { return short }
    var from = at
    if text[at] == 0x20, at + 1 < text.count { from = at + 1 }
    let first = kind(from).kind
    if Self.isLetter(first) { return run(from, .max, Self.isLetter) }
    if first == UnicodeClass.number { return run(from, .max) { $0 == UnicodeClass.number } }
    if Self.isSymbol(first) { return run(from, .max, Self.isSymbol) }
    return blanks(at)
  }

  func words(_ at: Int, _ maximumDigits: Int, _ marks: Bool) -> Int {
    let short = contraction(at, anyCase: true)
    if short > at { return short }
    func inWord(_ kind: UInt8) -> Bool {
      Self.isLetter(kind) || (marks && kind == UnicodeClass.mark)
    }
    let (first, length) = kind(at)
    // `[^\r\n\p{L}\p{N}]?[word]+`
    if !Self.isLetter(first), first != UnicodeClass.number, !isBreak(at),
      at + length < text.count, inWord(kind(at + length).kind)
    {
      return run(at + length, .max, inWord)
    }
    if inWord(first) { return run(at, .max, inWord) }
    return rest(at, first, maximumDigits, slash: false) {
      Self.isSymbol($0) && !(marks && $0 == UnicodeClass.mark)
    }
  }

  /// Digits, symbols and blanks, alike in both families.
  @inline(__always)
  private func rest(
    _ at: Int, _ first: UInt8, _ maximumDigits: Int, slash: Bool, _ isSymbol: (UInt8) -> Bool
  ) -> Int {
    if first == UnicodeClass.number {
      return run(at, maximumDigits) { $0 == UnicodeClass.number }
    }
    var from = at
    if text[at] == 0x20, at + 1 < text.count { from = at + 1 }
    if isSymbol(kind(from).kind) {
      var end = run(from, .max, isSymbol)
      while end < text.count, isBreak(end) || (slash && text[end] == 0x2F) { end += 1 }
      return end
    }
    let broken = blanksToBreak(at)
    return broken > at ? broken : blanks(at)
  }

  func casedWords(_ at: Int, _ maximumDigits: Int, _ contractions: Bool) -> Int {
    let (first, length) = kind(at)
    let mayPrefix = !Self.isLetter(first) && first != UnicodeClass.number && !isBreak(at)
    var end = at
    if mayPrefix { end = lowerWord(at + length) ?? at }
    if end == at { end = lowerWord(at) ?? at }
    if end == at, mayPrefix { end = upperWord(at + length) ?? at }
    if end == at { end = upperWord(at) ?? at }
    if end > at { return contractions ? contraction(end, anyCase: true) : end }
    return rest(at, first, maximumDigits, slash: true, Self.isSymbol)
  }

  /// Lm, Lo, M are of both cases.
  @inline(__always)
  private static func isUpper(_ kind: UInt8) -> Bool {
    kind == 1 || (kind >= 3 && kind <= 6)
  }
  @inline(__always)
  private static func isLower(_ kind: UInt8) -> Bool {
    kind == 2 || (kind >= 4 && kind <= 6)
  }

  /// `[upper]*[lower]+`
  private func lowerWord(_ at: Int) -> Int? {
    var end = at
    var afterShared: Int?  // where the last upper that is lower too ends
    while end < text.count {
      let (kind, length) = kind(end)
      guard Self.isUpper(kind) else { break }
      end += length
      if Self.isLower(kind) { afterShared = end }
    }
    let word = run(end, .max, Self.isLower)
    return word > end ? word : afterShared
  }

  /// `[upper]+[lower]*`
  private func upperWord(_ at: Int) -> Int? {
    let upper = run(at, .max, Self.isUpper)
    return upper > at ? run(upper, .max, Self.isLower) : nil
  }
}
