// Which tokens may come next: a bit a token for each set of readings.
//
// A mask is the union over the frames of a set. What is allowed at a place of a rule is worked out
// once, whatever lies below in the stack: a walk of the tree with the bottom standing for the unknown
// rest gives the tokens that stay within the rule and the nodes where the rule ends ("exits"). With a
// frame's pairs at hand, the walk goes on below these nodes only. Each such step is kept, too:
//
//   piece = (mask, exits)      piece + set of the frame below -> piece, until no exits are left
//
// so deep recursion costs no more than its top does, and a step that was seen before is a look-up.

final class TokenMasks {
  struct Piece {
    var mask: [UInt64]
    /// Nodes of the tree where the stack's known part has ended.
    var exits: [Int32]
  }
  private struct PieceKey: Hashable {
    /// -1: at a tree's roots.
    var piece: Int32
    var set: Int32
    var isBottom: Bool
  }

  let recogniser: Recogniser
  let trie: TokenTrie
  private var masks: [Int32: [UInt64]] = [:]
  private var pieces: [Piece] = []
  private var pieceIds: [PieceKey: Int32] = [:]
  private var keptWords = 0
  private var path: [Int32]
  /// The classes of the ways to spell a plain character; nil where there are too many.
  private let plainPaths: [[UInt8]]?

  /// Memory for masks: 128 MB.
  private static let maximumWords = 16 << 20
  private static let maximumPaths = 160

  init(_ recogniser: Recogniser, _ trie: TokenTrie) {
    self.recogniser = recogniser
    self.trie = trie
    path = Array(repeating: 0, count: trie.maximumDepth + 1)
    plainPaths = Self.plainPaths(recogniser)
  }

  /// The tokens that may follow in a set; what ends the text is not among them.
  func mask(_ set: Int32) -> [UInt64] {
    if let known = masks[set] { return known }
    if keptWords > Self.maximumWords {
      masks.removeAll()
      pieces.removeAll()
      pieceIds.removeAll()
      keptWords = 0
    }
    let mask = build(set)
    masks[set] = mask
    keptWords += mask.count + 8
    return mask
  }

  private func build(_ set: Int32) -> [UInt64] {
    let readings = recogniser.sets[Int(set)]
    if !recogniser.network.repetitions.isEmpty {
      // Sets that differ by counts that no token can tell apart have one mask.
      let alike = recogniser.set(
        readings.map {
          let kernel = recogniser.network.representative($0.kernel, within: trie.maximumDepth)
          return Recogniser.Pair(kernel: kernel, frame: $0.frame)
        })
      if alike >= 0, recogniser.sets[Int(alike)] != readings { return mask(alike) }
    }
    var groups: [Int32: [Recogniser.Pair]] = [:]
    for reading in readings {
      groups[reading.frame, default: []].append(.init(kernel: reading.kernel, frame: 0))
    }
    var mask: [UInt64]?
    func add(_ other: [UInt64]) {
      guard var sum = mask else {
        mask = other
        return
      }
      for i in sum.indices { sum[i] |= other[i] }
      mask = sum
    }
    for (frame, group) in groups {
      let local = recogniser.set(group)
      if local < 0 { continue }
      if frame == 0 {
        add(pieces[Int(piece(-1, local, isBottom: true))].mask)
        continue
      }
      // What is below is looked at as deep as the tokens reach.
      var queue: [(piece: Int32, frame: Int32)] = [(piece(-1, local, isBottom: false), frame)]
      var seen: Set<[Int32]> = []
      while let (top, frame) = queue.popLast() {
        let isDone = pieces[Int(top)].exits.isEmpty || frame == 0
        if isDone {
          add(pieces[Int(top)].mask)
          continue
        }
        var below: [Int32: [Int32]] = [:]
        for pair in recogniser.frames[Int(frame)] {
          if pair.kernel < 0 {
            add(pieces[Int(top)].mask)
          } else {
            below[pair.frame, default: []].append(pair.kernel)
          }
        }
        for (parent, kernels) in below {
          let set = recogniser.goingOn(at: kernels)
          if set < 0 { continue }
          let next = piece(top, set, isBottom: parent == 0)
          if seen.insert([next, parent]).inserted { queue.append((next, parent)) }
        }
      }
    }
    return mask ?? [UInt64](repeating: 0, count: trie.wordCount)
  }

  private func piece(_ top: Int32, _ set: Int32, isBottom: Bool) -> Int32 {
    let key = PieceKey(piece: top, set: set, isBottom: isBottom)
    if let known = pieceIds[key] { return known }
    var out: Piece
    if top < 0 {
      out = Piece(mask: [UInt64](repeating: 0, count: trie.wordCount), exits: [])
      walkRoots(set, isBottom, &out)
    } else {
      let above = pieces[Int(top)]
      out = Piece(mask: above.mask, exits: [])
      let endsHere = recogniser.isComplete[Int(set)]
      for node in above.exits {
        if endsHere, !isBottom { out.exits.append(node) }
        walk(below: Int(node), set, isBottom, &out)
      }
      // A node is an exit once, though several readings may leave there.
      if out.exits.count > 1 { out.exits = Array(Set(out.exits)).sorted() }
    }
    let id = Int32(pieces.count)
    pieces.append(out)
    pieceIds[key] = id
    keptWords += out.mask.count + out.exits.count / 2 + 8
    return id
  }

  /// The tokens below a node, from a set of readings there.
  private func walk(below node: Int, _ set: Int32, _ isBottom: Bool, _ out: inout Piece) {
    let base = Int(trie.depths[node])
    let end = Int(trie.ends[node])
    guard node + 1 < end else { return }
    let classes = recogniser.classCount
    path[0] = set
    trie.bytes.withUnsafeBufferPointer { bytes in
      trie.depths.withUnsafeBufferPointer { depths in
        trie.tokenStarts.withUnsafeBufferPointer { starts in
          recogniser.classOf.withUnsafeBufferPointer { classOf in
            path.withUnsafeMutableBufferPointer { path in
              out.mask.withUnsafeMutableBufferPointer { mask in
                var n = node + 1
                while n < end {
                  let depth = Int(depths[n]) - base
                  let c = classOf[Int(bytes[n])]
                  var next = recogniser.table[Int(path[depth - 1]) &* classes &+ Int(c)]
                  if next < Recogniser.dead { next = recogniser.next(path[depth - 1], class: c) }
                  if next < 0 {
                    n = Int(trie.ends[n])
                    continue
                  }
                  path[depth] = next
                  var t = Int(starts[n])
                  let last = Int(starts[n + 1])
                  while t < last {
                    let id = Int(trie.tokens[t])
                    mask[id >> 6] |= 1 << UInt64(id & 63)
                    t += 1
                  }
                  if !isBottom, recogniser.isComplete[Int(next)] { out.exits.append(Int32(n)) }
                  n += 1
                }
              }
            }
          }
        }
      }
    }
  }

  // MARK: Plain text

  /// How far all plain texts are allowed.
  private struct Cover {
    /// Any plain text of so many characters is allowed, and leaves no rule.
    var characters: Int
    /// No longer one is.
    var endsThere: Bool
  }

  private func walkRoots(_ set: Int32, _ isBottom: Bool, _ out: inout Piece) {
    let cover = plainCover(set, isBottom)
    for root in trie.roots {
      if root.most > 0 {
        if root.most <= cover.characters {
          for i in out.mask.indices { out.mask[i] |= root.mask[i] }
          continue
        }
        if cover.endsThere, root.least > cover.characters { continue }
      }
      walk(below: root.node, set, isBottom, &out)
    }
  }

  private func plainCover(_ set: Int32, _ isBottom: Bool) -> Cover {
    guard let plainPaths else { return Cover(characters: 0, endsThere: false) }
    var frontier: [Int32] = [set]
    var visited: Set<Int32> = []
    var characters = 0
    while characters < trie.longestPlain {
      var next: Set<Int32> = []
      var someDies = false
      for set in frontier {
        for path in plainPaths {
          var at = set
          for c in path {
            at = recogniser.next(at, class: c)
            if at < 0 { break }
            if !isBottom, recogniser.isComplete[Int(at)] {
              return Cover(characters: characters, endsThere: false)
            }
          }
          if at < 0 { someDies = true } else { next.insert(at) }
        }
        if someDies, !next.isEmpty { break }
      }
      if someDies { return Cover(characters: characters, endsThere: next.isEmpty) }
      characters += 1
      visited.formUnion(frontier)
      if next.isSubset(of: visited) { return Cover(characters: Int.max, endsThere: true) }
      if next.count > 6 { break }
      frontier = Array(next)
    }
    return Cover(characters: characters, endsThere: false)
  }

  private static func plainPaths(_ recogniser: Recogniser) -> [[UInt8]]? {
    var seen: Set<[UInt8]> = []
    for bytes in JSONText.plain.byteSequences {
      var paths: [[UInt8]] = [[]]
      for range in bytes {
        var classes: [UInt8] = []
        for byte in range {
          let c = recogniser.classOf[Int(byte)]
          if classes.last != c { classes.append(c) }
        }
        guard paths.count * classes.count <= 4 * maximumPaths else { return nil }
        paths = paths.flatMap { path in classes.map { path + [$0] } }
      }
      seen.formUnion(paths)
      if seen.count > maximumPaths { return nil }
    }
    return Array(seen)
  }
}
