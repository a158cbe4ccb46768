// Einstein's summation: `ij,jk->ik`, with `...` for axes that broadcast.
//
// The operands are contracted in the order of `einsumPath`: at each step the pair whose contraction frees most
// memory, at the least cost where several do (NumPy's greedy order). A pair is one batched matrix product; an
// index that one operand has twice is its diagonal, one that nobody needs later is summed away first.

/// One einsum: a list of labels for each operand and for the result.
struct EinsumPlan {
  var terms: [[Character]]
  var output: [Character]
  var sizes: [Character: Int] = [:]
  /// The text of the terms, without the labels that stand for `...`.
  let text: String

  private static func bad(_ message: String) -> ArrayError {
    .argument(op: "einsum", message: message)
  }

  init(_ subscripts: String, _ operands: [NDArray]) throws(ArrayError) {
    text = subscripts.filter { $0 != " " }
    let halves = text.split(separator: "-", omittingEmptySubsequences: false)
    guard halves.count == 1 || (halves.count == 2 && halves[1].hasPrefix(">")) else {
      throw EinsumPlan.bad("'\(subscripts)' has a misplaced '->'")
    }
    let parts = halves[0].split(separator: ",", omittingEmptySubsequences: false).map { String($0) }
    guard parts.count == operands.count, !operands.isEmpty else {
      throw EinsumPlan.bad("\(parts.count) terms for \(operands.count) arrays")
    }
    // The axes under `...`, counted from the right, have labels of their own.
    var widest = 0
    terms = []
    for (part, x) in zip(parts, operands) {
      let named = part.count - (part.contains("...") ? 3 : 0)
      let hidden = part.contains("...") ? x.rank - named : 0
      guard named <= x.rank, hidden > 0 || named == x.rank || part.contains("...") else {
        throw EinsumPlan.bad("'\(part)' has \(named) indices for an array of shape \(x.shape)")
      }
      widest = Swift.max(widest, hidden)
      terms.append(try EinsumPlan.labels(part, hidden))
    }
    for (term, x) in zip(terms, operands) {
      for (label, size) in zip(term, x.shape) {
        if let known = sizes[label], known != size, known != 1, size != 1 {
          let name = EinsumPlan.isHidden(label) ? "under '...'" : "'\(label)'"
          throw EinsumPlan.bad(
            "index \(name) has sizes \(known) and \(size); an axis named by another letter may have another size"
          )
        }
        sizes[label] = sizes[label].map { $0 == 1 ? size : $0 } ?? size
      }
    }
    if halves.count == 2 {
      output = try EinsumPlan.labels(String(halves[1].dropFirst()), widest)
    } else {
      var counts: [Character: Int] = [:]
      for label in terms.joined() { counts[label, default: 0] += 1 }
      output = try EinsumPlan.labels(widest > 0 ? "..." : "", widest)
      output += counts.filter { $0.value == 1 && !EinsumPlan.isHidden($0.key) }.keys.sorted()
    }
    for (i, label) in output.enumerated() {
      if sizes[label] == nil { throw EinsumPlan.bad("output index '\(label)' is in no input") }
      if output[..<i].contains(label) {
        throw EinsumPlan.bad("output index '\(label)' is given twice")
      }
    }
  }

  private static let firstHidden: UInt32 = 0xE000
  static func isHidden(_ label: Character) -> Bool {
    label.unicodeScalars.first.map { $0.value >= firstHidden } ?? false
  }
  private static func labels(_ part: String, _ hidden: Int) throws(ArrayError) -> [Character] {
    var out: [Character] = []
    var rest = Substring(part)
    var seen = false
    while let c = rest.first {
      if rest.hasPrefix("..."), !seen {
        seen = true
        rest = rest.dropFirst(3)
        for i in 0..<hidden {
          let code = firstHidden + UInt32(hidden - 1 - i)
          if let scalar = Unicode.Scalar(code) { out.append(Character(scalar)) }
        }
        continue
      }
      guard c.isLetter, c.isASCII else { throw bad("'\(c)' is no index letter") }
      out.append(c)
      rest = rest.dropFirst()
    }
    return out
  }

  func elementCount(_ labels: some Sequence<Character>) -> Double {
    labels.reduce(1.0) { $0 * Double(sizes[$1] ?? 1) }
  }
  private func flops(_ all: Set<Character>, _ isReduced: Bool, _ count: Int) -> Double {
    elementCount(all) * Double(Swift.max(1, count - 1) + (isReduced ? 1 : 0))
  }

  /// The positions contracted at each step; a result goes to the end of the list. And the cost of each step.
  func path() -> (steps: [[Int]], naive: Double, cost: Double, scaling: Int) {
    var sets = terms.map { Set($0) }
    let result = Set(output)
    let all = sets.reduce(Set()) { $0.union($1) }
    let naive = flops(all, !all.subtracting(result).isEmpty, sets.count)
    let limit = (sets + [result]).map { elementCount($0) }.max() ?? 0
    guard sets.count > 2, all != result else {
      return ([Array(0..<sets.count)], naive, naive, all.count)
    }
    struct Candidate {
      var freed: Double
      var cost: Double
      var x: Int
      var y: Int
      var union: Set<Character>
      var made: Set<Character>
    }
    var spent = 0.0
    var scaling = 0
    var steps: [[Int]] = []
    // Results of the scan are kept from step to step; positions move as operands go.
    var known: [Candidate] = []
    func consider(_ x: Int, _ y: Int) {
      let union = sets[x].union(sets[y])
      var needed = result
      for (i, s) in sets.enumerated() where i != x && i != y { needed.formUnion(s) }
      let made = union.intersection(needed)
      let size = elementCount(made)
      if size > limit { return }
      let cost = flops(union, made != union, 2)
      if spent + cost > naive { return }
      let freed = elementCount(sets[x]) + elementCount(sets[y]) - size
      known.append(Candidate(freed: freed, cost: cost, x: x, y: y, union: union, made: made))
    }
    var pairs: [(Int, Int)] = []
    for x in sets.indices { for y in sets.indices where y > x { pairs.append((x, y)) } }
    while sets.count > 1 {
      for (x, y) in pairs where !sets[x].isDisjoint(with: sets[y]) { consider(x, y) }
      if known.isEmpty {
        for x in sets.indices { for y in sets.indices where y > x { consider(x, y) } }
      }
      guard var best = known.first else {
        steps.append(Array(sets.indices))
        let union = sets.reduce(Set()) { $0.union($1) }
        spent += flops(union, union != result, sets.count)
        scaling = Swift.max(scaling, union.count)
        break
      }
      for c in known.dropFirst() {
        if c.freed > best.freed || (c.freed == best.freed && c.cost < best.cost) { best = c }
      }
      let (bx, by) = (best.x, best.y)
      known = known.compactMap { c in
        if c.x == bx || c.x == by || c.y == bx || c.y == by { return nil }
        var moved = c
        moved.x -= (c.x > bx ? 1 : 0) + (c.x > by ? 1 : 0)
        moved.y -= (c.y > bx ? 1 : 0) + (c.y > by ? 1 : 0)
        return moved
      }
      sets.remove(at: by)
      sets.remove(at: bx)
      sets.append(best.made)
      pairs = (0..<(sets.count - 1)).map { ($0, sets.count - 1) }
      steps.append([bx, by])
      spent += best.cost
      scaling = Swift.max(scaling, best.union.count)
    }
    return (steps, naive, spent, scaling)
  }
}

/// The order of contraction, and a text that tells what it saves.
public func einsumPath(_ subscripts: String, _ operands: [NDArray]) throws(ArrayError)
  -> (steps: [[Int]], text: String)
{
  let plan = try EinsumPlan(subscripts, operands)
  let path = plan.path()
  let indices = Set(plan.terms.joined())
  func number(_ d: Double) -> String { d < 1e18 ? String(Int(d)) : String(d) }
  let text = """
      Complete contraction:  \(plan.text)
             Naive scaling:  \(indices.count)
         Optimized scaling:  \(path.scaling)
          Naive FLOP count:  \(number(path.naive))
      Optimized FLOP count:  \(number(path.cost))

    """
  return (path.steps, text)
}

/// Einstein's summation: `ij,jk->ik`.
public func einsum(_ subscripts: String, _ operands: [NDArray]) throws(ArrayError) -> NDArray {
  if let made = try Tracing.recorded(.einsum(subscripts), operands) { return made[0] }
  let plan = try EinsumPlan(subscripts, operands)
  var list: [Operand] = []
  for (x, term) in zip(operands, plan.terms) {
    // An axis of size 1 under an index that is longer elsewhere broadcasts: it has nothing to say.
    let gone = term.indices.filter { x.shape[$0] == 1 && plan.sizes[term[$0]] != 1 }
    let kept = term.indices.filter { !gone.contains($0) }.map { term[$0] }
    list.append(Operand(x: gone.isEmpty ? x : try squeeze(x, gone), term: kept))
  }
  for step in plan.path().steps {
    var taken = step.map { list[$0] }
    for i in step.sorted(by: >) { list.remove(at: i) }
    let needed = Set(plan.output).union(list.flatMap(\.term))
    var made = taken.removeFirst()
    while !taken.isEmpty {
      let next = taken.removeFirst()
      made = try contract(made, next, keeping: needed.union(taken.flatMap(\.term)))
    }
    list.append(try made.reduced(keeping: needed))
  }
  let last = try list[0].reduced(keeping: Set(plan.output))
  // A broadcast index that only short axes had is missing: it has size 1 everywhere else too.
  var (x, term) = (last.x, last.term)
  for label in plan.output where !term.contains(label) {
    x = try expandDims(x, [x.rank])
    term.append(label)
  }
  return try transpose(x, order(plan.output, in: term))
}

private struct Operand {
  var x: NDArray
  var term: [Character]

  /// Without repeated indices and without those that are not needed any more.
  func reduced(keeping: Set<Character>) throws(ArrayError) -> Operand {
    var (x, term) = (x, term)
    var i = 0
    while i < term.count {
      if let j = term[(i + 1)...].firstIndex(of: term[i]) {
        let label = term[i]
        x = try diagonal(x, axis1: i, axis2: j)
        term.remove(at: j)
        term.remove(at: i)
        term.append(label)
        continue
      }
      i += 1
    }
    let gone = term.indices.filter { !keeping.contains(term[$0]) }
    if !gone.isEmpty {
      x = try sum(x, axes: gone).astype(x.dtype)
      term = term.filter { keeping.contains($0) }
    }
    return Operand(x: x, term: term)
  }
}

private func order(_ labels: [Character], in term: [Character]) -> [Int] {
  labels.compactMap { term.firstIndex(of: $0) }
}

/// Two operands become one: a batched matrix product over the indices that nobody needs later.
private func contract(_ a: Operand, _ b: Operand, keeping later: Set<Character>) throws(ArrayError)
  -> Operand
{
  let a = try a.reduced(keeping: later.union(b.term))
  let b = try b.reduced(keeping: later.union(a.term))
  let batch = a.term.filter { b.term.contains($0) && later.contains($0) }
  let common = a.term.filter { b.term.contains($0) && !later.contains($0) }
  let left = a.term.filter { !b.term.contains($0) }
  let right = b.term.filter { !a.term.contains($0) }
  func sizes(_ labels: [Character], _ o: Operand) -> [Int] {
    order(labels, in: o.term).map { o.x.shape[$0] }
  }
  func product(_ dims: [Int]) -> Int { dims.reduce(1) { $0 &* $1 } }
  let batchDims = sizes(batch, a)
  let (leftDims, rightDims) = (sizes(left, a), sizes(right, b))
  let inner = product(sizes(common, a))
  let p = try transpose(a.x, order(batch + left + common, in: a.term))
    .reshaped(batchDims + [product(leftDims), inner])
  let q = try transpose(b.x, order(batch + common + right, in: b.term))
    .reshaped(batchDims + [inner, product(rightDims)])
  let shape = batchDims + leftDims + rightDims
  let made =
    common.isEmpty
    ? try multiply(
      p.reshaped(batchDims + [product(leftDims), 1]),
      q.reshaped(batchDims + [1, product(rightDims)]))
    : try matmul(p, q)
  return Operand(x: try made.reshaped(shape), term: batch + left + right)
}
