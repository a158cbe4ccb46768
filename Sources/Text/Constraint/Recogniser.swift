// The recogniser: which texts a byte grammar lets go on, one byte at a time.
//
// All readings of the text so far are followed at once. A reading is a pair (kernel, frame): where
// it stands in a rule, and what follows when the rule ends. A frame is made for all calls of one
// rule at one place of the text together and lists where they go on:
//
//   frame = sorted pairs (kernel behind the call, frame of the caller)     0: the bottom
//
// so frames form a graph-structured stack (Tomita 1985), an ambiguous grammar costs no more readings
// than there are kernels and frames, and a call that ends its rule adds no frame: right recursion
// stays flat. Frames and sets of readings are hash-consed to numbers; a table remembers where
// each set goes with each class of bytes that the grammar tells apart. A grammar without recursion
// thus becomes a deterministic automaton while it is used.
//
// At the bottom stands frame 0, whose only pair (-1, 0) says that the text may end. The mask
// builder uses the same sets with 0 for an unknown rest of the stack: there, reaching the
// bottom means "goes on with whatever is below".

final class Recogniser {
  let network: ByteNetwork
  let source: String

  /// A set in which nothing is left.
  static let dead: Int32 = -1
  private static let unknown: Int32 = -2
  /// Bounds on what one constraint may remember.
  static let maximumSets = 400_000
  static let maximumReadings = 6_000_000

  struct Pair: Hashable, Comparable {
    var kernel: Int32
    var frame: Int32
    static func < (a: Pair, b: Pair) -> Bool {
      a.kernel != b.kernel ? a.kernel < b.kernel : a.frame < b.frame
    }
  }
  private struct SetKey: Hashable {
    var readings: [Pair]
    var isComplete: Bool
  }

  private var frameIds: [[Pair]: Int32] = [:]
  private(set) var frames: [[Pair]] = []
  private var setIds: [SetKey: Int32] = [:]
  /// The readings of each set.
  private(set) var sets: [[Pair]] = []
  /// Whether the bottom was reached: at the end of the whole text, it may end here.
  private(set) var isComplete: [Bool] = []
  private var readingCount = 0
  private var goesOnIds: [[Int32]: Int32] = [:]

  /// Bytes that no edge tells apart have one class.
  private(set) var classOf = [UInt8](repeating: 0, count: 256)
  private(set) var classCount = 1
  private var representative: [UInt8] = []
  /// By set and class: the next set, `dead` or `unknown`.
  private(set) var table: UnsafeMutablePointer<Int32>
  private var tableCapacity = 64
  private(set) var failure: TextError?

  private var pendingCalls: [[Pair]]
  private var orderedRules: [Int32]

  init(_ network: ByteNetwork, source: String) {
    self.network = network
    self.source = source
    var isCut = [Bool](repeating: false, count: 257)
    for edge in network.edges {
      isCut[Int(edge.low)] = true
      isCut[Int(edge.high) + 1] = true
    }
    representative = [0]
    for byte in 1..<256 {
      if isCut[byte] {
        classCount += 1
        representative.append(UInt8(byte))
      }
      classOf[byte] = UInt8(classCount - 1)
    }
    table = .allocate(capacity: tableCapacity * classCount)
    pendingCalls = Array(repeating: [], count: network.ruleStart.count)
    orderedRules = Array(repeating: 0, count: network.ruleOrder.count)
    for (rule, place) in network.ruleOrder.enumerated() {
      orderedRules[Int(place)] = Int32(rule)
    }
    _ = frame([Pair(kernel: -1, frame: 0)])
  }

  deinit { table.deallocate() }

  /// The set at the beginning of a text.
  func start() -> Int32 {
    pendingCalls[0] = frames[0]
    return closed([], isComplete: network.acceptsEmpty, lowestRule: Int(network.ruleOrder[0]))
  }

  /// The set after one more byte; `dead` where it cannot follow.
  @inline(__always)
  func next(_ set: Int32, class c: UInt8) -> Int32 {
    let known = table[Int(set) &* classCount &+ Int(c)]
    return known != Self.unknown ? known : compute(set, c)
  }

  func next(_ set: Int32, byte: UInt8) -> Int32 { next(set, class: classOf[Int(byte)]) }

  /// The set after a text's bytes.
  func next(_ set: Int32, bytes: some Sequence<UInt8>) -> Int32 {
    var set = set
    for byte in bytes {
      set = next(set, byte: byte)
      if set < 0 { return Self.dead }
    }
    return set
  }

  /// Whether nothing can follow.
  func isExhausted(_ set: Int32) -> Bool { sets[Int(set)].isEmpty }

  /// The set of readings that stand at kernels, with the bottom under all of them.
  func goingOn(at kernels: [Int32]) -> Int32 {
    if let known = goesOnIds[kernels] { return known }
    let id = closed(
      kernels.map { Pair(kernel: $0, frame: 0) }, isComplete: false, lowestRule: Int.max)
    goesOnIds[kernels] = id
    return id
  }

  /// The set of these readings.
  func set(_ readings: [Pair]) -> Int32 { intern(unique(readings), false) }

  // MARK: inside

  private func frame(_ pairs: [Pair]) -> Int32 {
    if let known = frameIds[pairs] { return known }
    let id = Int32(frames.count)
    frameIds[pairs] = id
    frames.append(pairs)
    readingCount += pairs.count
    return id
  }

  private func intern(_ readings: [Pair], _ complete: Bool) -> Int32 {
    if readings.isEmpty, !complete { return Self.dead }
    let key = SetKey(readings: readings, isComplete: complete)
    if let known = setIds[key] { return known }
    readingCount += readings.count
    if sets.count >= Self.maximumSets || readingCount > Self.maximumReadings {
      failure = TextError(
        .limit, source: source, field: "",
        found: "the text can be read in too many ways to follow them all",
        remedy: "make the grammar less ambiguous, or its counts smaller")
      return Self.dead
    }
    let id = Int32(sets.count)
    setIds[key] = id
    sets.append(readings)
    isComplete.append(complete)
    if sets.count > tableCapacity {
      let larger = UnsafeMutablePointer<Int32>.allocate(capacity: tableCapacity * 2 * classCount)
      larger.update(from: table, count: tableCapacity * classCount)
      table.deallocate()
      table = larger
      tableCapacity *= 2
    }
    (table + Int(id) * classCount).update(repeating: Self.unknown, count: classCount)
    return id
  }

  private func compute(_ set: Int32, _ c: UInt8) -> Int32 {
    // All bytes between the nearest ends of edges go the same way.
    let byte = representative[Int(c)]
    var (least, most) = (UInt8.min, UInt8.max)
    var moved: [Pair] = []
    for reading in sets[Int(set)] {
      let kernel = Int(reading.kernel)
      for i in Int(network.edgeStart[kernel])..<Int(network.edgeStart[kernel + 1]) {
        let edge = network.edges[i]
        if byte < edge.low {
          most = min(most, edge.low - 1)
        } else if byte > edge.high {
          least = max(least, edge.high + 1)
        } else {
          least = max(least, edge.low)
          most = min(most, edge.high)
          moved.append(Pair(kernel: edge.target, frame: reading.frame))
        }
      }
    }
    let id =
      moved.isEmpty ? Self.dead : closed(moved, isComplete: false, lowestRule: Int.max)
    let row = table + Int(set) * classCount
    for other in Int(classOf[Int(least)])...Int(classOf[Int(most)]) { row[other] = id }
    return id
  }

  /// The set of readings to which the given ones lead without a byte: ends of rules go back to their
  /// callers first, then calls begin their rules, each rule when all its callers are known.
  private func closed(_ given: [Pair], isComplete complete: Bool, lowestRule: Int) -> Int32 {
    var complete = complete
    var lowest = lowestRule
    var readings: [Pair] = []
    var queue = given
    var seen = Set<Pair>()
    let isSmall = given.count == 1
    while let reading = queue.popLast() {
      if reading.kernel < 0 {
        complete = true
        continue
      }
      if !isSmall || !seen.isEmpty || !queue.isEmpty {
        guard seen.insert(reading).inserted else { continue }
      }
      let kernel = Int(reading.kernel)
      if network.edgeStart[kernel] < network.edgeStart[kernel + 1] { readings.append(reading) }
      addCalls(of: kernel, frame: reading.frame, &lowest)
      if network.isFinal[kernel] {
        seen.insert(reading)
        queue += frames[Int(reading.frame)]
      }
    }
    while lowest < orderedRules.count {
      let rule = Int(orderedRules[lowest])
      lowest += 1
      if pendingCalls[rule].isEmpty { continue }
      let callers = unique(pendingCalls[rule])
      pendingCalls[rule].removeAll(keepingCapacity: true)
      let start = Int(network.ruleStart[rule])
      let id = frame(callers)
      if network.edgeStart[start] < network.edgeStart[start + 1] {
        readings.append(Pair(kernel: Int32(start), frame: id))
      }
      addCalls(of: start, frame: id, &lowest)
    }
    return intern(unique(readings), complete)
  }

  private func addCalls(of kernel: Int, frame id: Int32, _ lowest: inout Int) {
    for i in Int(network.callStart[kernel])..<Int(network.callStart[kernel + 1]) {
      let call = network.calls[i]
      if call.target < 0 {
        pendingCalls[Int(call.rule)] += frames[Int(id)]
      } else {
        pendingCalls[Int(call.rule)].append(Pair(kernel: call.target, frame: id))
      }
      lowest = min(lowest, Int(network.ruleOrder[Int(call.rule)]))
    }
  }

  private func unique(_ pairs: [Pair]) -> [Pair] {
    if pairs.count < 2 { return pairs }
    let sorted = pairs.sorted()
    var out: [Pair] = [sorted[0]]
    for pair in sorted.dropFirst() where pair != out[out.count - 1] { out.append(pair) }
    return out
  }
}
