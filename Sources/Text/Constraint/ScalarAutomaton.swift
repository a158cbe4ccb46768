// Nondeterministic finite automata over code points, without empty steps.
//
// Strings of a schema are made here, since a length counts characters and a pattern knows nothing of
// the escapes that spell them: automata are intersected first and become bytes in the end. State 0
// is the start.

struct ScalarAutomaton: Sendable {
  struct Edge: Sendable {
    var set: ScalarSet
    var target: Int
  }
  var edges: [[Edge]] = [[]]
  var isFinal: [Bool] = [false]

  var count: Int { edges.count }

  /// Bounds: what is larger would take too long to compile and too much memory.
  static let maximumStates = 60_000
  static let maximumEdges = 600_000

  mutating func addState() -> Int {
    edges.append([])
    isFinal.append(false)
    return edges.count - 1
  }

  /// Accepts nothing.
  var isEmpty: Bool { !isFinal.contains(true) }

  /// Any text of so many characters.
  static func length(_ least: Int, _ most: Int?, of set: ScalarSet = .all) -> ScalarAutomaton {
    var out = ScalarAutomaton()
    var last = 0
    for i in 0..<(most ?? least) {
      if i >= least { out.isFinal[last] = true }
      let next = out.addState()
      out.edges[last].append(Edge(set: set, target: next))
      last = next
    }
    out.isFinal[last] = true
    if most == nil { out.edges[last].append(Edge(set: set, target: last)) }
    return out
  }

  /// Any text but these.
  static func anything(but words: [String], of set: ScalarSet = .all) -> ScalarAutomaton {
    var out = ScalarAutomaton()
    let rest = out.addState()
    out.isFinal[rest] = true
    out.edges[rest].append(Edge(set: set, target: rest))
    var children: [[UInt32: Int]] = [[:], [:]]
    var isWord = [false, false]
    for word in words {
      var at = 0
      for scalar in word.unicodeScalars {
        if let next = children[at][scalar.value] {
          at = next
        } else {
          let next = out.addState()
          children.append([:])
          isWord.append(false)
          children[at][scalar.value] = next
          at = next
        }
      }
      isWord[at] = true
    }
    for state in 0..<out.count where state != rest {
      out.isFinal[state] = !isWord[state]
      for (value, target) in children[state].sorted(by: { $0.key < $1.key }) {
        let one = ScalarSet(value: value).intersection(set)
        if !one.isEmpty { out.edges[state].append(Edge(set: one, target: target)) }
      }
      let others = set.subtracting(ScalarSet(children[state].keys.map { $0...$0 }))
      if !others.isEmpty { out.edges[state].append(Edge(set: others, target: rest)) }
    }
    return out
  }

  /// The texts that both accept.
  func intersection(_ other: ScalarAutomaton, source: String) throws(TextError) -> ScalarAutomaton {
    var out = ScalarAutomaton()
    var numbers: [Int: Int] = [0: 0]
    var pairs = [(0, 0)]
    var edgeCount = 0
    var at = 0
    while at < pairs.count {
      let (a, b) = pairs[at]
      out.isFinal[at] = isFinal[a] && other.isFinal[b]
      for left in edges[a] {
        for right in other.edges[b] {
          let set = left.set.intersection(right.set)
          if set.isEmpty { continue }
          let key = left.target * other.count + right.target
          let target: Int
          if let known = numbers[key] {
            target = known
          } else {
            target = out.addState()
            numbers[key] = target
            pairs.append((left.target, right.target))
          }
          out.edges[at].append(Edge(set: set, target: target))
          edgeCount += 1
        }
      }
      guard pairs.count <= Self.maximumStates, edgeCount <= Self.maximumEdges else {
        throw tooLarge(source)
      }
      at += 1
    }
    return out.trimmed
  }

  /// Without states from which no end is reached.
  var trimmed: ScalarAutomaton {
    var sources: [[Int]] = Array(repeating: [], count: count)
    for (state, list) in edges.enumerated() { for e in list { sources[e.target].append(state) } }
    var isUseful = isFinal
    var queue = isFinal.indices.filter { isFinal[$0] }
    while let state = queue.popLast() {
      for source in sources[state] where !isUseful[source] {
        isUseful[source] = true
        queue.append(source)
      }
    }
    var out = self
    for state in edges.indices {
      out.edges[state] = isUseful[state] ? edges[state].filter { isUseful[$0.target] } : []
    }
    return out
  }

  func accepts(_ text: String) -> Bool {
    var states: Set<Int> = [0]
    for scalar in text.unicodeScalars {
      var next: Set<Int> = []
      for state in states {
        for edge in edges[state] where edge.set.contains(scalar.value) { next.insert(edge.target) }
      }
      if next.isEmpty { return false }
      states = next
    }
    return states.contains { isFinal[$0] }
  }
}

private func tooLarge(_ source: String) -> TextError {
  TextError(
    .limit, source: source, field: "",
    found: "it needs more than \(ScalarAutomaton.maximumStates) states",
    remedy: "use smaller counts in its quantifiers and lengths")
}

// MARK: From a pattern

extension ScalarAutomaton {
  /// The texts that match a pattern as a whole; `isSearch`: that contain a match, as JSON schema's
  /// patterns do.
  static func pattern(
    _ node: RegexNode, isSearch: Bool = false, source: String
  ) throws(TextError) -> ScalarAutomaton {
    var thompson = Thompson(source: source)
    var node = node
    if isSearch {
      let rest = RegexNode.repeated(.set(.all), 0, nil)
      node = .sequence([rest, node, rest])
    }
    let end = try thompson.add(node, from: 0)
    return try thompson.withoutEmptySteps(end: end).trimmed
  }

  static func pattern(
    _ text: String, isSearch: Bool = false, source: String
  ) throws(TextError) -> ScalarAutomaton {
    try pattern(RegexParser.parse(text, source: source), isSearch: isSearch, source: source)
  }
}

/// The construction of Thompson (1968): each node a piece with one entry and one exit. An anchor is
/// an empty step on a condition: how much was read is one of four modes while empty steps go.
private struct Thompson {
  enum Step { case empty, start, end }
  let source: String
  var steps: [[(Step, Int)]] = [[]]
  var edges: [[(ScalarSet, Int)]] = [[]]

  mutating func state() throws(TextError) -> Int {
    guard edges.count < 4 * ScalarAutomaton.maximumStates else { throw tooLarge(source) }
    steps.append([])
    edges.append([])
    return edges.count - 1
  }

  mutating func add(_ node: RegexNode, from: Int) throws(TextError) -> Int {
    switch node {
    case .empty: return from
    case .set(let set):
      let to = try state()
      if !set.isEmpty { edges[from].append((set, to)) }
      return to
    case .start, .end:
      let to = try state()
      if case .start = node {
        steps[from].append((.start, to))
      } else {
        steps[from].append((.end, to))
      }
      return to
    case .sequence(let parts):
      var at = from
      for part in parts { at = try add(part, from: at) }
      return at
    case .choice(let options):
      let to = try state()
      for option in options {
        let first = try state()
        steps[from].append((.empty, first))
        steps[try add(option, from: first)].append((.empty, to))
      }
      return to
    case .repeated(let body, let least, let most):
      var at = from
      for _ in 0..<least {
        let before = edges.count
        at = try add(body, from: at)
        if edges.count == before { break }  // an empty body: its count says nothing
      }
      if let most {
        let to = try state()
        for _ in least..<max(most, least) {
          let before = edges.count
          steps[at].append((.empty, to))
          at = try add(body, from: at)
          if edges.count == before { break }
        }
        steps[at].append((.empty, to))
        return to
      }
      let loop = try state()
      steps[at].append((.empty, loop))
      let first = try state()
      let to = try state()
      steps[loop].append((.empty, first))
      steps[loop].append((.empty, to))
      steps[try add(body, from: first)].append((.empty, loop))
      return to
    }
  }

  /// Modes: bit 0, something was read; bit 1, the end was asserted.
  func withoutEmptySteps(end: Int) throws(TextError) -> ScalarAutomaton {
    var out = ScalarAutomaton()
    var numbers: [Int: Int] = [:]
    var origins: [(state: Int, mode: Int)] = [(0, 0)]
    numbers[0] = 0
    var edgeCount = 0
    var at = 0
    var seen = [Int32](repeating: -1, count: edges.count * 4)
    while at < origins.count {
      var stack = [origins[at]]
      seen[stack[0].state * 4 + stack[0].mode] = Int32(at)
      while let (state, mode) = stack.popLast() {
        if state == end { out.isFinal[at] = true }
        for (step, next) in steps[state] {
          var mode = mode
          switch step {
          case .empty: break
          case .start: if mode & 1 != 0 { continue }
          case .end: mode |= 2
          }
          if seen[next * 4 + mode] != Int32(at) {
            seen[next * 4 + mode] = Int32(at)
            stack.append((next, mode))
          }
        }
        if mode & 2 != 0 { continue }
        for (set, next) in edges[state] {
          let key = next * 4 + 1
          let target: Int
          if let known = numbers[key] {
            target = known
          } else {
            target = out.addState()
            numbers[key] = target
            origins.append((next, 1))
          }
          out.edges[at].append(ScalarAutomaton.Edge(set: set, target: target))
          edgeCount += 1
        }
      }
      guard origins.count <= ScalarAutomaton.maximumStates,
        edgeCount <= ScalarAutomaton.maximumEdges
      else { throw tooLarge(source) }
      at += 1
    }
    return out
  }
}
