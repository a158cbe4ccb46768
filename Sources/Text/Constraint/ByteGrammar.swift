// Grammars over bytes.
//
// The three front ends (patterns, JSON schemas, grammar texts) make rules of `GrammarNode`s; the
// compiler turns each rule into a nondeterministic automaton whose edges are byte ranges or calls of
// rules: a recursive transition network (Woods 1970). Empty steps are gone afterwards.
//
//   kernel   a state that something leads to: the start of a rule, behind a byte, behind a call
//   closure  of a kernel: the byte edges, calls and the end that empty steps reach
//
// What cannot end is cut away, so a text that has not failed can always be completed: that is why
// a mask never lets a text into a dead end. A rule that may be empty is stepped over by an empty
// step, so a call itself always reads something. Left recursion has no place here and is refused.

indirect enum GrammarNode {
  case bytes([UInt8])
  case set(ScalarSet)
  /// `escaped`: the characters as a JSON string spells them.
  case automaton(ScalarAutomaton, escaped: Bool)
  case sequence([GrammarNode])
  case choice([GrammarNode])
  case repeated(GrammarNode, Int, Int?)
  case call(Int)
  case graph(GrammarGraph)

  static func text(_ text: String) -> GrammarNode { .bytes(Array(text.utf8)) }
}

/// Nodes as the edges of a graph; state 0 is its start.
struct GrammarGraph {
  var edges: [(from: Int, node: GrammarNode, to: Int)] = []
  var stateCount = 1
  var finals: [Int] = []

  mutating func addState() -> Int {
    stateCount += 1
    return stateCount - 1
  }
}

struct GrammarRule {
  var name: String
  var node: GrammarNode
}

/// A compiled grammar.
struct ByteNetwork {
  struct Edge {
    var low: UInt8
    var high: UInt8
    var target: Int32
  }
  struct Call {
    var rule: Int32
    /// Where it goes on; -1: nothing follows in the calling rule.
    var target: Int32
  }
  /// Of kernel k: edges[edgeStart[k]..<edgeStart[k + 1]], calls alike.
  var edgeStart: [Int32] = [0]
  var edges: [Edge] = []
  var callStart: [Int32] = [0]
  var calls: [Call] = []
  var isFinal: [Bool] = []
  /// The kernel of each rule's start, and its place in an order in which a rule stands before those
  /// that it calls before reading anything.
  var ruleStart: [Int32] = []
  var ruleOrder: [Int32] = []
  var acceptsEmpty = false
  /// Repetitions by counts, and for each kernel which one it is in, -1: in none.
  var repetitions: [Repetition] = []
  var repetitionOf: [Int32] = []

  /// The copies of a repeated part. Copy i has the states base + i * stride ..., all alike.
  struct Repetition {
    var base: Int
    var stride: Int
    var least: Int
    var most: Int
  }
  /// The state of each kernel, and back (-1: none).
  var stateOf: [Int32] = []
  var kernelOf: [Int32] = []

  /// A kernel from which the same texts of up to so many bytes go on: counts that are far from their
  /// bounds are all alike.
  func representative(_ kernel: Int32, within length: Int) -> Int32 {
    let number = repetitionOf[Int(kernel)]
    guard number >= 0 else { return kernel }
    let repetition = repetitions[Int(number)]
    let (copy, offset) = (Int(stateOf[Int(kernel)]) - repetition.base).quotientAndRemainder(
      dividingBy: repetition.stride)
    let first = copy < repetition.least ? 0 : repetition.least
    let end = copy < repetition.least ? repetition.least : repetition.most
    // A copy reads at least a byte.
    guard copy > first, copy < end - length - 1 else { return kernel }
    let other = kernelOf[repetition.base + first * repetition.stride + offset]
    return other >= 0 ? other : kernel
  }

  static let maximumStates = 400_000
  static let maximumEdges = 3_000_000
}

/// Rule 0 is the root.
struct GrammarCompiler {
  let source: String
  let rules: [GrammarRule]
  private var empties: [[Int32]] = []
  private var edges: [[ByteNetwork.Edge]] = []
  private var calls: [[ByteNetwork.Call]] = []
  private var starts: [Int32] = []
  private var ends: [Int32] = []
  private var isNullable: [Bool] = []
  private var isLive: [Bool] = []
  private var repetitions: [ByteNetwork.Repetition] = []
  private var repetitionOf: [Int32] = []

  static func compile(_ rules: [GrammarRule], source: String) throws(TextError) -> ByteNetwork {
    var compiler = GrammarCompiler(source: source, rules: rules)
    return try compiler.run()
  }

  private init(source: String, rules: [GrammarRule]) {
    self.source = source
    self.rules = rules
  }

  private mutating func run() throws(TextError) -> ByteNetwork {
    for rule in rules {
      let start = try state()
      let end = try state()
      starts.append(Int32(start))
      ends.append(Int32(end))
      try add(rule.node, from: start, to: end)
    }
    findNullable()
    findLive()
    guard isLive[Int(starts[0])] else {
      throw TextError(
        .invalid, source: source, field: "", found: "no finite text satisfies it",
        remedy: "some part demands itself again, or two demands contradict each other")
    }
    return try network()
  }

  // MARK: states of one rule

  private mutating func state() throws(TextError) -> Int {
    guard edges.count < ByteNetwork.maximumStates else {
      throw TextError(
        .limit, source: source, field: "",
        found: "it needs more than \(ByteNetwork.maximumStates) states",
        remedy: "use smaller counts and lengths, or leave the upper bound out")
    }
    empties.append([])
    edges.append([])
    calls.append([])
    repetitionOf.append(-1)
    return edges.count - 1
  }

  private mutating func add(_ node: GrammarNode, from: Int, to: Int) throws(TextError) {
    switch node {
    case .bytes(let bytes):
      var at = from
      for (i, byte) in bytes.enumerated() {
        let next = i == bytes.count - 1 ? to : try state()
        edges[at].append(.init(low: byte, high: byte, target: Int32(next)))
        at = next
      }
      if bytes.isEmpty { empties[from].append(Int32(to)) }
    case .set(let set):
      var tails: [[ClosedRange<UInt8>]: Int] = [:]
      for bytes in set.byteSequences { try add(bytes[...], from: from, to: to, &tails) }
    case .automaton(let automaton, let escaped):
      try add(automaton, escaped: escaped, from: from, to: to)
    case .sequence(let parts):
      var at = from
      for (i, part) in parts.enumerated() {
        let next = i == parts.count - 1 ? to : try state()
        try add(part, from: at, to: next)
        at = next
      }
      if parts.isEmpty { empties[from].append(Int32(to)) }
    case .choice(let options):
      for option in options {
        let first = try state()
        empties[from].append(Int32(first))
        try add(option, from: first, to: to)
      }
    case .repeated(let body, let least, let most):
      var at = from
      let base = edges.count
      for _ in 0..<least {
        let next = try state()
        try add(body, from: at, to: next)
        at = next
      }
      if let most {
        for _ in least..<max(least, most) {
          empties[at].append(Int32(to))
          let next = try state()
          try add(body, from: at, to: next)
          at = next
        }
        note(body, base, least, max(least, most))
        empties[at].append(Int32(to))
      } else {
        note(body, base, least, least)
        let loop = try state()
        let first = try state()
        empties[at].append(Int32(loop))
        empties[loop].append(Int32(first))
        empties[loop].append(Int32(to))
        try add(body, from: first, to: loop)
      }
    case .call(let rule):
      calls[from].append(.init(rule: Int32(rule), target: Int32(to)))
    case .graph(let graph):
      var states: [Int] = []
      for _ in 0..<graph.stateCount { states.append(try state()) }
      empties[from].append(Int32(states[0]))
      for final in graph.finals { empties[states[final]].append(Int32(to)) }
      for edge in graph.edges {
        try add(edge.node, from: states[edge.from], to: states[edge.to])
      }
    }
  }

  /// Remembers the copies of a part that reads something.
  private mutating func note(_ body: GrammarNode, _ base: Int, _ least: Int, _ most: Int) {
    let count = edges.count - base
    guard most > 8, count % most == 0, Self.readsSomething(body) else { return }
    repetitions.append(.init(base: base, stride: count / most, least: least, most: most))
    for state in base..<edges.count where repetitionOf[state] < 0 {
      repetitionOf[state] = Int32(repetitions.count - 1)
    }
  }

  private static func readsSomething(_ node: GrammarNode) -> Bool {
    switch node {
    case .bytes(let bytes): !bytes.isEmpty
    case .set: true
    case .sequence(let parts): parts.contains { readsSomething($0) }
    case .choice(let parts): parts.allSatisfy { readsSomething($0) }
    case .repeated(let body, let least, _): least > 0 && readsSomething(body)
    case .automaton, .call, .graph: false
    }
  }

  /// One spelling of characters; equal ends of spellings share their states.
  private mutating func add(
    _ bytes: ArraySlice<ClosedRange<UInt8>>, from: Int, to: Int,
    _ tails: inout [[ClosedRange<UInt8>]: Int]
  ) throws(TextError) {
    guard let first = bytes.first else { return }
    let rest = Array(bytes.dropFirst())
    let next: Int
    if rest.isEmpty {
      next = to
    } else if let known = tails[rest] {
      next = known
    } else {
      next = try state()
      tails[rest] = next
      try add(rest[...], from: next, to: to, &tails)
    }
    edges[from].append(.init(low: first.lowerBound, high: first.upperBound, target: Int32(next)))
  }

  private mutating func add(
    _ automaton: ScalarAutomaton, escaped: Bool, from: Int, to: Int
  ) throws(TextError) {
    var states: [Int] = []
    for _ in 0..<automaton.count { states.append(try state()) }
    empties[from].append(Int32(states[0]))
    for i in states.indices {
      if automaton.isFinal[i] { empties[states[i]].append(Int32(to)) }
      // Spellings share their ends where they lead to one state.
      var tails: [Int: [[ClosedRange<UInt8>]: Int]] = [:]
      for edge in automaton.edges[i] {
        let target = states[edge.target]
        let plain = escaped ? edge.set.intersection(JSONText.plain) : edge.set
        for bytes in plain.byteSequences {
          try add(bytes[...], from: states[i], to: target, &tails[edge.target, default: [:]])
        }
        if escaped {
          for (scalar, spelling) in JSONText.escapes where edge.set.contains(scalar) {
            try add(.bytes(spelling), from: states[i], to: target)
          }
        }
      }
    }
  }

  // MARK: what may be empty, and what can end

  private mutating func findNullable() {
    let isEmpty = reachingEnds(throughBytes: false)
    isNullable = starts.map { isEmpty[Int($0)] }
    for state in calls.indices {
      for call in calls[state] where isNullable[Int(call.rule)] {
        empties[state].append(call.target)
      }
    }
  }

  private mutating func findLive() { isLive = reachingEnds(throughBytes: true) }

  /// The states from which their rule's end is reached, reading something or nothing. A call is
  /// passed once the start of its rule is known to reach an end.
  private func reachingEnds(throughBytes: Bool) -> [Bool] {
    var sources: [[Int32]] = Array(repeating: [], count: edges.count)
    /// The calls of each rule, and the calls that go on in a state: (the calling state, target or rule).
    var callers: [[(Int32, Int32)]] = Array(repeating: [], count: rules.count)
    var callsInto: [Int32: [(Int32, Int32)]] = [:]
    for state in edges.indices {
      for next in empties[state] { sources[Int(next)].append(Int32(state)) }
      if throughBytes {
        for edge in edges[state] { sources[Int(edge.target)].append(Int32(state)) }
      }
      for call in calls[state] {
        callers[Int(call.rule)].append((Int32(state), call.target))
        callsInto[call.target, default: []].append((Int32(state), call.rule))
      }
    }
    var ruleOf: [Int32: Int] = [:]
    for rule in rules.indices { ruleOf[starts[rule]] = rule }
    var reaches = [Bool](repeating: false, count: edges.count)
    var queue = ends
    for end in ends { reaches[Int(end)] = true }
    func mark(_ state: Int32) {
      if !reaches[Int(state)] {
        reaches[Int(state)] = true
        queue.append(state)
      }
    }
    while let state = queue.popLast() {
      for source in sources[Int(state)] { mark(source) }
      for (source, rule) in callsInto[state] ?? [] where reaches[Int(starts[Int(rule)])] {
        mark(source)
      }
      if let rule = ruleOf[state] {
        for (source, target) in callers[rule] where reaches[Int(target)] { mark(source) }
      }
    }
    return reaches
  }

  // MARK: without empty steps

  private mutating func network() throws(TextError) -> ByteNetwork {
    var out = ByteNetwork()
    out.acceptsEmpty = isNullable[0]
    var numbers = [Int32](repeating: -1, count: edges.count)
    var kernels: [Int32] = []
    func kernel(_ state: Int32, _ kernels: inout [Int32]) -> Int32 {
      if numbers[Int(state)] < 0 {
        numbers[Int(state)] = Int32(kernels.count)
        kernels.append(state)
      }
      return numbers[Int(state)]
    }
    for start in starts { out.ruleStart.append(kernel(start, &kernels)) }
    var isEnd = [Bool](repeating: false, count: edges.count)
    for end in ends { isEnd[Int(end)] = true }
    var seen = [Int32](repeating: -1, count: edges.count)
    var at = 0
    while at < kernels.count {
      var stack = [kernels[at]]
      seen[Int(stack[0])] = Int32(at)
      var final = false
      while let state = stack.popLast() {
        let i = Int(state)
        if isEnd[i] { final = true }
        for edge in edges[i] where isLive[Int(edge.target)] {
          out.edges.append(
            .init(low: edge.low, high: edge.high, target: kernel(edge.target, &kernels)))
        }
        for call in calls[i]
        where isLive[Int(call.target)] && isLive[Int(starts[Int(call.rule)])] {
          out.calls.append(.init(rule: call.rule, target: kernel(call.target, &kernels)))
        }
        for next in empties[i] where isLive[Int(next)] && seen[Int(next)] != Int32(at) {
          seen[Int(next)] = Int32(at)
          stack.append(next)
        }
      }
      out.isFinal.append(final)
      out.edgeStart.append(Int32(out.edges.count))
      out.callStart.append(Int32(out.calls.count))
      guard out.edges.count + out.calls.count <= ByteNetwork.maximumEdges else {
        throw TextError(
          .limit, source: source, field: "",
          found: "it needs more than \(ByteNetwork.maximumEdges) transitions",
          remedy: "repeat fewer parts that may be empty")
      }
      at += 1
    }
    // Behind a call that ends its rule nothing is left to remember.
    for i in out.calls.indices {
      let target = Int(out.calls[i].target)
      if out.isFinal[target], out.edgeStart[target] == out.edgeStart[target + 1],
        out.callStart[target] == out.callStart[target + 1]
      {
        out.calls[i].target = -1
      }
    }
    out.ruleOrder = try order(of: out)
    out.repetitions = repetitions
    out.repetitionOf = kernels.map { repetitionOf[Int($0)] }
    if !repetitions.isEmpty {
      out.stateOf = kernels
      out.kernelOf = numbers
    }
    return out
  }

  /// Rules before those that they call first; a circle is left recursion.
  private func order(of network: ByteNetwork) throws(TextError) -> [Int32] {
    func firstCalls(_ rule: Int) -> ArraySlice<ByteNetwork.Call> {
      let start = Int(network.ruleStart[rule])
      return network.calls[Int(network.callStart[start])..<Int(network.callStart[start + 1])]
    }
    var mark = [UInt8](repeating: 0, count: rules.count)  // 1: on the path, 2: done
    var finished: [Int] = []
    for root in rules.indices where mark[root] == 0 {
      var path: [(rule: Int, calls: ArraySlice<ByteNetwork.Call>)] = [(root, firstCalls(root))]
      mark[root] = 1
      while var top = path.popLast() {
        guard let call = top.calls.popFirst() else {
          mark[top.rule] = 2
          finished.append(top.rule)
          continue
        }
        path.append(top)
        let next = Int(call.rule)
        if mark[next] == 1 {
          let circle =
            path.drop { $0.rule != next }.map { rules[$0.rule].name } + [rules[next].name]
          throw TextError(
            .invalid, source: source, field: "",
            found: "\(circle.joined(separator: " -> ")) begins with itself, so it never begins",
            remedy: "put something before the repetition, or write it as first (\"op\" next)*")
        }
        if mark[next] == 0 {
          mark[next] = 1
          path.append((next, firstCalls(next)))
        }
      }
    }
    var out = [Int32](repeating: 0, count: rules.count)
    for (place, rule) in finished.reversed().enumerated() { out[rule] = Int32(place) }
    return out
  }
}

/// How JSON spells characters in a string.
enum JSONText {
  /// Those that stand for themselves.
  static let plain = ScalarSet([0x20...0x21, 0x23...0x5B, 0x5D...0x10FFFF])

  /// The one spelling of each other character.
  static let escapes: [(UInt32, [UInt8])] = {
    var out: [(UInt32, [UInt8])] = [(0x22, Array("\\\"".utf8)), (0x5C, Array("\\\\".utf8))]
    for value in UInt32(0)..<0x20 { out.append((value, spelling(value))) }
    return out
  }()

  private static func spelling(_ value: UInt32) -> [UInt8] {
    switch value {
    case 8: return Array("\\b".utf8)
    case 9: return Array("\\t".utf8)
    case 10: return Array("\\n".utf8)
    case 12: return Array("\\f".utf8)
    case 13: return Array("\\r".utf8)
    default:
      let digits = String(value, radix: 16)
      return Array(("\\u" + String(repeating: "0", count: 4 - digits.count) + digits).utf8)
    }
  }

  /// A text as a JSON string with its quotes.
  static func quoted(_ text: String) -> [UInt8] {
    var out: [UInt8] = [0x22]
    for scalar in text.unicodeScalars {
      if let escape = escapes.first(where: { $0.0 == scalar.value }) {
        out += escape.1
      } else {
        appendScalar(scalar.value, to: &out)
      }
    }
    return out + [0x22]
  }
}
