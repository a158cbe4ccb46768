// Regular expressions: the matcher behind stdlib/re.lull, which parses patterns.
//
// A pattern arrives as a flat list of ints (`Op` below, each with its operands) and a list of
// character classes. It runs by backtracking over the UTF-8 bytes of the text, with a stack of its
// own instead of recursion:
//
//   choice   (pc, position)               go on there when what follows fails
//   run      (pc, position, least)        a greedy run of single characters gives one back
//   stretch  (pc, position, most)         a lazy run takes one more
//   restore  (slot, old value)            undoes a change of a group or counter
//
// So groups and counters are always those of the path that is being tried. Where a match may begin
// is decided by a table of first bytes. Positions are byte offsets inside, code points outside.
import Glibc

final class RegexProgram {
  enum Op: Int {
    case match, character, folded, any, all, set
    case either  // first choice, second choice
    case jump
    case open, close  // group
    case assert  // Assertion
    case back  // group, folded
    /// Wanted (2: an atomic group, the match goes on behind it), width of a look-behind or -1, where it goes on; its body
    /// ends with match.
    case look
    /// Least, most or -1, lazy (2: greedy, and gives nothing back), then one of character ... set with its operand.
    case single
    case start  // loop
    case loop  // loop, least, most or -1, lazy, body; goes on behind
    case given  // group, where it goes on when that took no part
  }
  enum Assertion: Int {
    case textStart, textEnd, lineStart, lineEnd, finalLineEnd, wordBoundary, notWordBoundary
  }
  /// What a class in brackets or an escape like `\w` accepts.
  struct CharacterSet {
    var low: UInt64 = 0
    var high: UInt64 = 0
    var ranges: [(UInt32, UInt32)] = []
    /// Of "dDsSwW".
    var categories: [UInt8] = []
    var isNegated = false
    var isFolded = false
    var isASCII = false

    @inline(__always) func accepts(_ c: UInt32) -> Bool {
      if c < 64 { return low >> UInt64(c) & 1 != 0 }
      if c < 128 { return high >> UInt64(c - 64) & 1 != 0 }
      return computed(c)
    }
    func computed(_ c: UInt32) -> Bool {
      var found = includes(c)
      if !found, isFolded { found = includes(lowered(c)) || includes(raised(c)) }
      return found != isNegated
    }
    private func includes(_ c: UInt32) -> Bool {
      for (a, b) in ranges where a <= c && c <= b { return true }
      for k in categories {
        let yes: Bool
        switch k | 32 {
        case 100: yes = isDecimal(c) && (c < 128 || !isASCII)
        case 115: yes = isSpace(c) && (c < 128 || !isASCII)
        default: yes = isWord(c) && (c < 128 || !isASCII)
        }
        if yes == (k & 32 != 0) { return true }
      }
      return false
    }
    mutating func fillTable() {
      low = 0
      high = 0
      for c in UInt32(0)..<64 where computed(c) { low |= 1 << UInt64(c) }
      for c in UInt32(64)..<128 where computed(c) { high |= 1 << UInt64(c - 64) }
    }
  }

  // The matcher reads raw memory, which lives as long as the program: arrays would be counted and checked at every step.
  let code: UnsafeMutablePointer<Int>
  /// 256 bytes a set: 1 for the ASCII characters that it accepts.
  let tables: UnsafeMutablePointer<UInt8>
  let sets: [CharacterSet]
  let groupCount: Int
  let loopCount: Int
  /// 1 for the bytes with which a match may begin; nil when it may be empty or that is not known.
  let first: UnsafeMutablePointer<UInt8>?
  /// The pattern begins with a greedy, unbounded run of at least one character of this set: where a match from the
  /// beginning of such a run fails, it fails from any other place in it. -1: it does not.
  let leadingSet: Int

  /// The program comes from stdlib/re.lull; checked all the same, so that no index is ever wrong.
  init?(code: [Int], sets: [CharacterSet], groupCount: Int, loopCount: Int) {
    guard RegexProgram.isValid(code, sets.count, groupCount, loopCount) else { return nil }
    self.code = .allocate(capacity: code.count)
    for (i, x) in code.enumerated() { (self.code + i).initialize(to: x) }
    tables = .allocate(capacity: max(256 * sets.count, 1))
    tables.initialize(repeating: 0, count: max(256 * sets.count, 1))
    for (k, s) in sets.enumerated() {
      for c in 0..<128 where s.accepts(UInt32(c)) { tables[256 * k + c] = 1 }
    }
    self.sets = sets
    self.groupCount = groupCount
    self.loopCount = loopCount
    var table = [Bool](repeating: false, count: 256)
    var seen: Set<Int> = []
    if RegexProgram.collectFirst(code, sets, 0, &table, &seen) {
      let p = UnsafeMutablePointer<UInt8>.allocate(capacity: 256)
      for i in 0..<256 { (p + i).initialize(to: table[i] ? 1 : 0) }
      first = p
    } else {
      first = nil
    }
    let startsWithRun =
      code[0] == Op.single.rawValue && code[1] > 0 && code[2] < 0 && code[3] == 0
      && code[4] == Op.set.rawValue
    leadingSet = startsWithRun ? code[5] : -1
    // A greedy run keeps what it took when a character follows that it would not have taken.
    var at = 0
    while at < code.count, let op = Op(rawValue: code[at]) {
      if op == .single, code[at + 3] == 0, RegexProgram.excludes(code, sets, at) {
        self.code[at + 3] = 2
      }
      at += RegexProgram.length(op)
    }
  }
  deinit {
    code.deallocate()
    tables.deallocate()
    first?.deallocate()
  }

  /// Whether the character that must follow the run at `at` is none of the run.
  private static func excludes(_ code: [Int], _ sets: [CharacterSet], _ at: Int) -> Bool {
    var next = at + 6
    while code[next] == Op.open.rawValue || code[next] == Op.close.rawValue { next += 2 }
    guard code[next] == Op.character.rawValue, code[next + 1] < 128 else { return false }
    let c = code[next + 1]
    switch Op(rawValue: code[at + 4]) {
    case .set: return !sets[code[at + 5]].accepts(UInt32(c))
    case .character: return code[at + 5] != c
    case .any: return c == 10
    default: return false
    }
  }

  private static func length(_ op: Op) -> Int {
    switch op {
    case .match: 1
    case .any, .all, .character, .folded, .set, .jump, .open, .close, .assert, .start: 2
    case .either, .back, .given: 3
    case .look: 4
    case .single, .loop: 6
    }
  }
  private static func isValid(_ code: [Int], _ sets: Int, _ groups: Int, _ loops: Int) -> Bool {
    var starts: Set<Int> = []
    var targets: [Int] = []
    var at = 0
    var last = Op.jump
    while at < code.count {
      guard let op = Op(rawValue: code[at]), at + length(op) <= code.count else { return false }
      starts.insert(at)
      let x = at + 1
      func single(_ op: Op, _ argument: Int) -> Bool {
        switch op {
        case .any, .all: true
        case .character, .folded: argument >= 0 && argument < 0x110000
        case .set: argument >= 0 && argument < sets
        default: false
        }
      }
      switch op {
      case .match: break
      case .any, .all, .character, .folded, .set: if !single(op, code[x]) { return false }
      case .jump: targets.append(code[x])
      case .either: targets += [code[x], code[x + 1]]
      case .open, .close, .back: if code[x] < 1 || code[x] > groups { return false }
      case .assert: if Assertion(rawValue: code[x]) == nil { return false }
      case .given:
        if code[x] < 1 || code[x] > groups { return false }
        targets.append(code[x + 1])
      case .look:
        targets.append(code[x + 2])
        targets.append(at + 4)
      case .single:
        guard let inner = Op(rawValue: code[x + 3]), single(inner, code[x + 4]), code[x] >= 0
        else { return false }
      case .start: if code[x] < 0 || code[x] >= loops { return false }
      case .loop:
        if code[x] < 0 || code[x] >= loops { return false }
        targets.append(code[x + 4])
      }
      last = op
      at += length(op)
    }
    return last == .match && targets.allSatisfy(starts.contains)
  }

  /// Adds the bytes with which a match from `pc` may begin; false when it may be empty.
  private static func collectFirst(
    _ code: [Int], _ sets: [CharacterSet], _ start: Int, _ table: inout [Bool],
    _ seen: inout Set<Int>
  ) -> Bool {
    func add(_ op: Op, _ argument: Int, _ table: inout [Bool]) {
      switch op {
      case .character where argument < 128: table[argument] = true
      case .set:
        for c in UInt32(0)..<128 where sets[argument].accepts(c) { table[Int(c)] = true }
        for c in 128..<256 { table[c] = true }
      case .folded where argument < 128:
        for c in UInt32(0)..<128 where lowered(c) == UInt32(argument) { table[Int(c)] = true }
        for c in 128..<256 { table[c] = true }
      case .character, .folded: for c in 128..<256 { table[c] = true }
      default: for c in 0..<256 { table[c] = true }
      }
    }
    var pc = start
    while seen.count < 1000, seen.insert(pc).inserted {
      guard let op = Op(rawValue: code[pc]) else { return false }
      switch op {
      case .match, .back, .look, .start, .loop, .given: return false
      case .character, .folded, .any, .all, .set:
        add(op, code[pc + 1], &table)
        return true
      case .single:
        add(Op(rawValue: code[pc + 4]) ?? .all, code[pc + 5], &table)
        if code[pc + 1] > 0 { return true }
        pc += 6
      case .either:
        if !collectFirst(code, sets, code[pc + 1], &table, &seen) { return false }
        pc = code[pc + 2]
      case .jump: pc = code[pc + 1]
      case .open, .close, .assert: pc += 2
      }
    }
    return false
  }
}

private func isWord(_ c: UInt32) -> Bool {
  if c < 128 { return isAlpha(c) || isDecimal(c) || c == 95 }
  return isAlpha(c) || isNumeric(c)
}
private func simpleMapping(_ c: UInt32, _ text: String?) -> UInt32 {
  guard let s = text?.unicodeScalars, s.count == 1, let x = s.first else { return c }
  return x.value
}
private func lowered(_ c: UInt32) -> UInt32 {
  if c < 128 { return c >= 65 && c <= 90 ? c + 32 : c }
  return simpleMapping(c, Unicode.Scalar(c)?.properties.lowercaseMapping)
}
private func raised(_ c: UInt32) -> UInt32 {
  if c < 128 { return c >= 97 && c <= 122 ? c - 32 : c }
  return simpleMapping(c, Unicode.Scalar(c)?.properties.uppercaseMapping)
}

/// A stack that a matcher has left behind for the next.
@exclusivity(unchecked) nonisolated(unsafe) private var spareStack: UnsafeMutablePointer<Int>?
private let stackCapacity = 1024

/// One text being searched. Stack and slots are raw memory, freed with it.
struct RegexMatcher: ~Copyable {
  let program: RegexProgram
  let text: StrPtr
  let bytes: UnsafeMutablePointer<UInt8>
  /// Where the search ends, in bytes.
  let end: Int
  /// Groups (start and end, -1 when unset; 0 is the whole match), where open groups began, and
  /// count and last position of each loop. They lie before the stack.
  let slots: UnsafeMutablePointer<Int>
  let groupCount: Int
  private let code: UnsafeMutablePointer<Int>
  private let tables: UnsafeMutablePointer<UInt8>
  private let isASCII: Bool
  private let slotCount: Int
  private var stack: UnsafeMutablePointer<Int>
  private var capacity: Int
  private var top = 0
  private var steps = 0
  /// The slots hold a match; a failed attempt leaves none behind.
  private var hasMatch = false

  private static let choice = 0
  private static let run = 1
  private static let stretch = 2
  private static let restore = 3

  init(_ program: RegexProgram, _ text: StrPtr, end: Int) {
    self.program = program
    self.text = text
    bytes = text.bytes
    self.end = end
    code = program.code
    tables = program.tables
    isASCII = text.isASCII
    groupCount = program.groupCount
    slotCount = 3 * (program.groupCount + 1) + 2 * program.loopCount
    slots = .allocate(capacity: slotCount)
    slots.initialize(repeating: -1, count: slotCount)
    capacity = stackCapacity
    if let spare = spareStack {
      stack = spare
      spareStack = nil
    } else {
      stack = .allocate(capacity: capacity)
    }
  }
  deinit {
    slots.deallocate()
    if capacity == stackCapacity, spareStack == nil {
      spareStack = stack
    } else {
      stack.deallocate()
    }
  }

  @inline(never) private mutating func growStack() throws(LullError) {
    try checkAllocation(capacity * 2, 8)
    let new = UnsafeMutablePointer<Int>.allocate(capacity: capacity * 2)
    new.update(from: stack, count: top)
    stack.deallocate()
    stack = new
    capacity *= 2
  }
  @inline(__always) private mutating func push(_ kind: Int, _ x: Int, _ y: Int, _ z: Int)
    throws(LullError)
  {
    if top &+ 4 > capacity { try growStack() }
    let p = stack + top
    p[0] = kind
    p[1] = x
    p[2] = y
    p[3] = z
    top &+= 4
  }
  @inline(__always) private mutating func change(_ slot: Int, _ value: Int) throws(LullError) {
    try push(RegexMatcher.restore, slot, slots[slot], 0)
    slots[slot] = value
  }

  /// The length of the character at `i`, if it is one that `op` accepts, else 0.
  @inline(__always) private func width(_ op: Int, _ argument: Int, _ i: Int) -> Int {
    if i >= end { return 0 }
    let byte = bytes[i]
    if byte < 128 {
      switch op {
      case RegexProgram.Op.character.rawValue: return Int(byte) == argument ? 1 : 0
      case RegexProgram.Op.any.rawValue: return byte == 10 ? 0 : 1
      case RegexProgram.Op.all.rawValue: return 1
      case RegexProgram.Op.set.rawValue: return Int(tables[argument &<< 8 &+ Int(byte)])
      default: return Int(lowered(UInt32(byte))) == argument ? 1 : 0
      }
    }
    return wideWidth(op, argument, i)
  }
  /// The same for a character that is not ASCII.
  @inline(never) private func wideWidth(_ op: Int, _ argument: Int, _ i: Int) -> Int {
    let (c, n) = text.decode(i)
    switch op {
    case RegexProgram.Op.any.rawValue, RegexProgram.Op.all.rawValue: return n
    case RegexProgram.Op.set.rawValue: return program.sets[argument].accepts(c) ? n : 0
    case RegexProgram.Op.folded.rawValue: return Int(lowered(c)) == argument ? n : 0
    default: return Int(c) == argument ? n : 0
    }
  }
  /// The end of a run of at most `most` characters in a text of ASCII.
  @inline(__always) private func runEnd(_ op: Int, _ argument: Int, _ i: Int, _ most: Int) -> Int {
    let limit = most < end &- i ? i &+ most : end
    var j = i
    switch op {
    case RegexProgram.Op.set.rawValue:
      let table = tables + argument &<< 8
      while j < limit, table[Int(bytes[j])] != 0 { j &+= 1 }
    case RegexProgram.Op.character.rawValue: while j < limit, Int(bytes[j]) == argument { j &+= 1 }
    case RegexProgram.Op.any.rawValue: while j < limit, bytes[j] != 10 { j &+= 1 }
    case RegexProgram.Op.all.rawValue: j = limit
    default: while j < limit, Int(lowered(UInt32(bytes[j]))) == argument { j &+= 1 }
    }
    return j
  }
  private func back(_ i: Int) -> Int {
    var j = i - 1
    while j > 0, bytes[j] & 0xC0 == 0x80 { j -= 1 }
    return j
  }
  private func isWordAt(_ i: Int) -> Bool {
    i < end && isWord(bytes[i] < 128 ? UInt32(bytes[i]) : text.decode(i).0)
  }
  private func holds(_ a: Int, _ i: Int) -> Bool {
    switch RegexProgram.Assertion(rawValue: a) {
    case .textStart: i == 0
    case .textEnd: i == end
    case .lineStart: i == 0 || bytes[i - 1] == 10
    case .lineEnd: i == end || bytes[i] == 10
    case .finalLineEnd: i == end || (i == end - 1 && bytes[i] == 10)
    case .wordBoundary: (i > 0 && isWordAt(back(i))) != isWordAt(i)
    case .notWordBoundary: (i > 0 && isWordAt(back(i))) == isWordAt(i)
    case nil: false
    }
  }

  /// Whether a match begins at `start`; `slots` then hold it. `full`: it must reach the end.
  mutating func matches(at start: Int, full: Bool, allowsEmpty: Bool) throws(LullError) -> Bool {
    if hasMatch {
      slots.update(repeating: -1, count: slotCount)
      hasMatch = false
    }
    top = 0
    let e = try run(0, start, base: 0, full ? .wholeText : allowsEmpty ? .any : .notEmpty)
    if e < 0 { return false }
    hasMatch = true
    slots[0] = start
    slots[1] = e
    return true
  }

  private enum Ending { case any, wholeText, notEmpty }

  /// Runs from `pc` at `start` until `match`; the end, or -1.
  private mutating func run(_ from: Int, _ start: Int, base: Int, _ ending: Ending)
    throws(LullError) -> Int
  {
    let groups = groupCount &+ 1
    let loops = 3 &* groups
    var pc = from
    var i = start
    let code = self.code
    while true {
      steps &+= 1
      if steps & 0xFFF == 0, vm.pointee.interruptFlag == Request.interrupt { try interrupted() }
      var failed = false
      let op = code[pc]
      // The raw values count up from 0 and were checked.
      switch unsafeBitCast(UInt8(truncatingIfNeeded: op), to: RegexProgram.Op.self) {
      case .match:
        if (ending == .wholeText && i != end) || (ending == .notEmpty && i == start) {
          failed = true
        } else {
          return i
        }
      case .character, .folded, .any, .all, .set:
        let n = width(op, code[pc &+ 1], i)
        if n == 0 {
          failed = true
        } else {
          i &+= n
          pc &+= 2
        }
      case .either:
        try push(RegexMatcher.choice, code[pc &+ 2], i, 0)
        pc = code[pc &+ 1]
      case .jump: pc = code[pc &+ 1]
      case .open:
        try change(2 &* groups &+ code[pc &+ 1], i)
        pc &+= 2
      case .close:
        let g = code[pc &+ 1]
        try change(2 &* g, slots[2 &* groups &+ g])
        try change(2 &* g &+ 1, i)
        pc &+= 2
      case .assert:
        if holds(code[pc &+ 1], i) { pc &+= 2 } else { failed = true }
      case .back:
        let g = code[pc &+ 1]
        let n =
          slots[2 &* g] < 0
          ? -1 : repeated(slots[2 &* g], slots[2 &* g &+ 1], i, code[pc &+ 2] != 0)
        if n < 0 {
          failed = true
        } else {
          i = n
          pc &+= 3
        }
      case .look:
        let j = try look(pc, i)
        if j >= 0 {
          i = j
          pc = code[pc &+ 3]
        } else {
          failed = true
        }
      case .given:
        let g = code[pc &+ 1]
        pc = slots[2 &* g] >= 0 && slots[2 &* g &+ 1] >= 0 ? pc &+ 3 : code[pc &+ 2]
      case .single:
        let least = code[pc &+ 1]
        let most = code[pc &+ 2] < 0 ? Int.max : code[pc &+ 2]
        let inner = code[pc &+ 4]
        let argument = code[pc &+ 5]
        var n = 0
        var j = i
        if code[pc &+ 3] == 1 {
          while n < least {
            let w = width(inner, argument, j)
            if w == 0 { break }
            j &+= w
            n &+= 1
          }
          if n < least {
            failed = true
          } else {
            if most > least { try push(RegexMatcher.stretch, pc, j, most &- least) }
            i = j
            pc &+= 6
          }
        } else {
          var floor = i
          if isASCII {
            j = runEnd(inner, argument, i, most)
            n = j &- i
            if n >= least { floor = i &+ least }
          } else {
            while n < most {
              let w = width(inner, argument, j)
              if w == 0 { break }
              j &+= w
              n &+= 1
              if n == least { floor = j }
            }
          }
          if n < least {
            failed = true
          } else {
            if j > floor, code[pc &+ 3] == 0 { try push(RegexMatcher.run, pc &+ 6, j, floor) }
            i = j
            pc &+= 6
          }
        }
      case .start:
        let slot = loops &+ 2 &* code[pc &+ 1]
        try change(slot, 0)
        try change(slot &+ 1, -1)
        pc &+= 2
      case .loop:
        let slot = loops &+ 2 &* code[pc &+ 1]
        let n = slots[slot]
        // After an empty round another would be empty, too, and so on for ever.
        let more = (code[pc &+ 3] < 0 || n < code[pc &+ 3]) && slots[slot &+ 1] != i
        if n < code[pc &+ 2] {
          try change(slot, n &+ 1)
          pc = code[pc &+ 5]
        } else if more, code[pc &+ 4] == 0 {
          try push(RegexMatcher.choice, pc &+ 6, i, 0)
          try change(slot, n &+ 1)
          try change(slot &+ 1, i)
          pc = code[pc &+ 5]
        } else {
          if more { try push(RegexMatcher.choice, -pc - 1, i, 0) }
          pc &+= 6
        }
      }
      if !failed { continue }
      // Back to the last choice.
      while true {
        if top == base { return -1 }
        top &-= 4
        let kind = stack[top]
        let x = stack[top &+ 1]
        if kind == RegexMatcher.restore {
          slots[x] = stack[top &+ 2]
          continue
        }
        i = stack[top &+ 2]
        if kind == RegexMatcher.choice {
          pc = x
          if x < 0 {
            // One more round of a lazy loop.
            let l = -x - 1
            let slot = loops &+ 2 &* code[l &+ 1]
            try change(slot, slots[slot] &+ 1)
            try change(slot &+ 1, i)
            pc = code[l &+ 5]
          }
          break
        }
        if kind == RegexMatcher.run {
          let least = stack[top &+ 3]
          i = back(i)
          // What follows tells which places are worth trying.
          if code[x] == RegexProgram.Op.character.rawValue, code[x &+ 1] < 128 {
            while i > least, Int(bytes[i]) != code[x &+ 1] { i &-= 1 }
            while i > least, bytes[i] & 0xC0 == 0x80 { i &-= 1 }
          }
          if i > least { try push(RegexMatcher.run, x, i, least) }
          pc = x
          break
        }
        let w = width(code[x &+ 4], code[x &+ 5], i)
        if w == 0 { continue }
        i &+= w
        if stack[top &+ 3] > 1 { try push(RegexMatcher.stretch, x, i, stack[top &+ 3] &- 1) }
        pc = x &+ 6
        break
      }
    }
  }

  /// Where the match goes on, or -1.
  private mutating func look(_ pc: Int, _ i: Int) throws(LullError) -> Int {
    try checkNativeStack(" in a regular expression")
    let wanted = code[pc + 1] != 0
    var j = i
    if code[pc + 2] >= 0 {
      for _ in 0..<code[pc + 2] {
        if j == 0 { return wanted ? -1 : i }
        j = back(j)
      }
    }
    let base = top
    let last = try run(pc + 4, j, base: base, .any)
    let found = last >= 0
    if found, wanted {
      // Groups stay set, but nothing inside is tried again.
      var keep = base
      var k = base
      while k < top {
        if stack[k] == RegexMatcher.restore {
          for m in 0..<4 { stack[keep + m] = stack[k + m] }
          keep += 4
        }
        k += 4
      }
      top = keep
    } else {
      while top > base {
        top -= 4
        if stack[top] == RegexMatcher.restore { slots[stack[top + 1]] = stack[top + 2] }
      }
    }
    return found != wanted ? -1 : code[pc + 1] == 2 ? last : i
  }

  /// The end of another occurrence of bytes a..<b at `i`, or -1.
  private func repeated(_ a: Int, _ b: Int, _ i: Int, _ folded: Bool) -> Int {
    if !folded {
      return i + b - a <= end && memcmp(bytes + a, bytes + i, b - a) == 0 ? i + b - a : -1
    }
    var k = a
    var j = i
    while k < b {
      if j >= end { return -1 }
      let (x, n) = text.decode(k)
      let (y, m) = text.decode(j)
      if lowered(x) != lowered(y) { return -1 }
      k += n
      j += m
    }
    return j
  }

  /// The first match that begins in `start...end`.
  mutating func search(from start: Int, allowsEmpty: Bool) throws(LullError) -> Bool {
    var i = start
    var empty = allowsEmpty
    while i <= end {
      if let first = program.first {
        if i < end, first[Int(bytes[i])] == 0 {
          repeat { i &+= 1 } while i < end && first[Int(bytes[i])] == 0
          empty = true
        }
        if i >= end { return false }
      }
      if try matches(at: i, full: false, allowsEmpty: empty) { return true }
      empty = true
      if program.leadingSet >= 0, i < end, bytes[i] < 128 {
        // Not before the end of the run.
        let table = tables + program.leadingSet &<< 8
        repeat { i &+= 1 } while i < end && table[Int(bytes[i])] != 0
      } else {
        i &+= i < end ? utf8Length(bytes[i]) : 1
      }
    }
    return false
  }
}
