// A deterministic source of damaged programs.
//
// A program is cut into tokens roughly as the lexer would; a few mutations drawn from a seeded
// generator then delete, repeat, swap, replace and splice them. The same seed and case number give
// the same bytes everywhere, so a failure is found again from its number alone.

struct SplitMix {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
  mutating func below(_ n: Int) -> Int { n <= 1 ? 0 : Int(next() % UInt64(n)) }
}

struct Mutator {
  let programs: [[UInt8]]
  let seed: UInt64

  init(programs: [String], seed: UInt64) {
    self.programs = programs.map { Array($0.utf8) }
    self.seed = seed
  }

  /// Case `number`: one program after one mutation, or up to six.
  func program(_ number: Int) -> [UInt8] {
    var random = SplitMix(state: seed &+ UInt64(number) &* 0xD134_2543_DE82_EF95)
    var tokens = Mutator.tokens(piece(&random))
    let mutations = random.below(3) == 0 ? 1 + random.below(6) : 1
    for _ in 0..<mutations { mutate(&tokens, &random) }
    var out = Array(tokens.joined())
    if random.below(20) == 0, !out.isEmpty {
      for _ in 0...random.below(4) {
        out[random.below(out.count)] = UInt8(truncatingIfNeeded: random.next())
      }
    }
    return out
  }

  /// A whole short program, or some following lines of a long one.
  private func piece(_ random: inout SplitMix) -> [UInt8] {
    let all = programs[random.below(programs.count)]
    let lines = all.split(separator: 10, omittingEmptySubsequences: false)
    if lines.count <= 40 || random.below(4) == 0 { return all }
    var start = random.below(lines.count - 20)
    while start > 0, let c = lines[start].first, c == 32 || c == 9 { start -= 1 }
    let end = min(lines.count, start + 10 + random.below(40))
    return Array(lines[start..<end].joined(separator: [10]))
  }

  private static let numbers = [
    "0", "1", "-1", "2", "3", "7", "255", "256", "65536", "2147483647", "2147483648", "4294967296",
    "9223372036854775807", "-9223372036854775808", "9223372036854775808", "10**30", "-(10**30)",
    "0.0", "-0.0", "1e308", "1e-320", "0.5", "float('nan')", "float('inf')", "1j", "True", "None",
  ]
  private static let words = [
    "x", "self", "len", "str", "int", "list", "dict", "set", "tuple", "object", "range", "iter",
    "next", "print", "repr", "hash", "sorted", "type", "super", "lambda: 0", "yield", "return",
    "raise", "del", "in", "not", "is", "and", "or", "for", "while", "if", "else", "try", "finally",
    "except", "class", "def", "with", "global", "nonlocal", "pass", "break", "continue", "import",
    "from", "as", "assert", "[]", "{}", "()", "''", "b''", "...", "*", "**", ":=", "==", "<", "+",
    "-", "%", "//", "@", "[::-1]", "[:]", "[0]", "(x)", ".append(x)", ".x", ".__class__",
    ".__dict__", "f'{x}'", "'\\ud800'", "'é😀'", "slice(None)", "NotImplemented",
  ]

  private func mutate(_ t: inout [ArraySlice<UInt8>], _ random: inout SplitMix) {
    if t.isEmpty { t = [ArraySlice("x".utf8)] }
    let i = random.below(t.count)
    // Half of the mutations keep the tokens' kinds, so that many programs still run.
    switch random.below(2) == 0 ? [4, 8, 8, 10, 11][random.below(5)] : random.below(14) {
    case 0: t.removeSubrange(i..<min(t.count, i + 1 + random.below(3)))
    case 1: t.insert(t[i], at: i)
    case 2: t.swapAt(i, random.below(t.count))
    case 3: t.swapAt(i, min(t.count - 1, i + 1))
    case 4:
      let numbers = t.indices.filter { t[$0].first.map { $0 >= 48 && $0 <= 57 } ?? false }
      if !numbers.isEmpty {
        t[numbers[random.below(numbers.count)]] =
          ArraySlice(Mutator.numbers[random.below(Mutator.numbers.count)].utf8)
      }
    case 5, 6: t[i] = ArraySlice(Mutator.words[random.below(Mutator.words.count)].utf8)
    case 7:
      t.insert(ArraySlice(Mutator.words[random.below(Mutator.words.count)].utf8), at: i)
    case 8:  // another identifier of the program
      let names = t.indices.filter { t[$0].first.map(Mutator.isLetter) ?? false }
      if names.count > 1 {
        t[names[random.below(names.count)]] = t[names[random.below(names.count)]]
      }
    case 9:  // brackets
      let brackets = t.indices.filter { t[$0].first.map { "()[]{}".utf8.contains($0) } ?? false }
      if !brackets.isEmpty {
        let k = brackets[random.below(brackets.count)]
        if random.below(2) == 0 {
          t.remove(at: k)
        } else {
          t[k] = ArraySlice([Array("()[]{}".utf8)[random.below(6)]])
        }
      }
    case 10:  // lines
      var lines = Array(t.joined()).split(separator: 10, omittingEmptySubsequences: false)
      let a = random.below(lines.count)
      switch random.below(3) {
      case 0: lines.swapAt(a, random.below(lines.count))
      case 1: lines.remove(at: a)
      default: lines.insert(lines[a], at: random.below(lines.count))
      }
      t = Mutator.tokens(Array(lines.joined(separator: [10])))
    case 11:  // strings
      let strings = t.indices.filter { t[$0].first.map { $0 == 34 || $0 == 39 } ?? false }
      if !strings.isEmpty {
        let k = strings[random.below(strings.count)]
        var s = Array(t[k])
        let at = random.below(s.count)
        switch random.below(3) {
        case 0: s.remove(at: at)
        case 1: s.insert(Array("{}%\\'\"!:0[]é".utf8)[random.below(12)], at: at)
        default: s.insert(contentsOf: s[at...], at: at)
        }
        t[k] = ArraySlice(s)
      }
    case 12:  // the rest of another program
      let other = Mutator.tokens(piece(&random))
      let cut = random.below(max(other.count, 1))
      t = Array(t[..<i]) + other[min(cut, other.count)...].prefix(400)
    default:  // deep nesting
      let depth = 1 << random.below(9)
      let (open, close) = [("(", ")"), ("[", "]"), ("-", ""), ("not ", ""), ("lambda: ", "")][
        random.below(5)]
      for _ in 0..<depth {
        t.insert(ArraySlice(open.utf8), at: i)
        t.insert(ArraySlice(close.utf8), at: min(t.count, i + depth + 1))
      }
    }
  }

  private static func isLetter(_ b: UInt8) -> Bool {
    b >= 97 && b <= 122 || b >= 65 && b <= 90 || b == 95 || b >= 128
  }
  private static func isDigit(_ b: UInt8) -> Bool { b >= 48 && b <= 57 }

  /// Words, numbers, strings, runs of blanks and single other bytes.
  static func tokens(_ s: [UInt8]) -> [ArraySlice<UInt8>] {
    var out: [ArraySlice<UInt8>] = []
    var i = 0
    while i < s.count {
      let start = i
      let b = s[i]
      i += 1
      if isLetter(b) {
        while i < s.count, isLetter(s[i]) || isDigit(s[i]) { i += 1 }
      } else if isDigit(b) {
        while i < s.count, isDigit(s[i]) || s[i] == 46 || isLetter(s[i]) { i += 1 }
      } else if b == 32 {
        while i < s.count, s[i] == 32 { i += 1 }
      } else if b == 34 || b == 39 {
        while i < s.count, s[i] != b, s[i] != 10 { i += s[i] == 92 ? 2 : 1 }
        i = min(i + 1, s.count)
      }
      out.append(s[start..<i])
    }
    return out
  }
}
