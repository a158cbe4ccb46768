// Unigram: the segmentation of highest total score (Viterbi).
//
// `best[i]` is the best way to cover the first i bytes. From each character every token that
// begins there is tried, by hashing one more byte at a time. A character that is no token
// costs ten less than the worst score and becomes the unknown token; neighbours of these fuse
// to one, as in the reference implementation.

struct UnigramEncoder: Sendable {
  let vocabulary: Vocabulary
  let scores: [Double]
  let unknownId: Int?
  let usesByteFallback: Bool
  private let fallbackIds: [Int32]
  private let unknownScore: Double

  init(vocabulary: Vocabulary, scores: [Double], unknownId: Int?, usesByteFallback: Bool) {
    self.vocabulary = vocabulary
    self.scores = scores
    self.unknownId = unknownId
    self.usesByteFallback = usesByteFallback
    fallbackIds = BytePairEncoder.byteTokenIds(vocabulary)
    unknownScore = (scores.min() ?? 0) - 10
  }

  private struct Node {
    var score = 0.0
    var start: Int32 = -1
    var id: Int32 = -1
  }

  func encode(_ text: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
    guard !text.isEmpty else { return }
    var best = [Node](repeating: Node(), count: text.count + 1)
    var at = 0
    while at < text.count {
      let character = decodeScalar(text, at).length
      let scoreHere = best[at].score
      var hasSingle = false
      var hash = Vocabulary.hashStart
      var end = at
      let limit = min(text.count, at + vocabulary.maximumLength)
      while end < limit {
        hash = Vocabulary.hashStep(hash, text[end])
        end += 1
        // Tokens end where characters end.
        if end < text.count, text[end] & 0xC0 == 0x80 { continue }
        let piece = UnsafeBufferPointer(rebasing: text[at..<end])
        guard let id = vocabulary.id(piece, hash: hash) else { continue }
        let score = scores[id] + scoreHere
        if best[end].start < 0 || score > best[end].score {
          best[end] = Node(score: score, start: Int32(at), id: Int32(id))
        }
        if end - at == character { hasSingle = true }
      }
      if !hasSingle {
        let score = unknownScore + scoreHere
        let target = at + character
        if best[target].start < 0 || score > best[target].score {
          best[target] = Node(score: score, start: Int32(at), id: Int32(unknownId ?? -1))
        }
      }
      at += character
    }

    // Backwards, fusing neighbouring unknowns.
    var pieces: [Range<Int>] = []
    var end = text.count
    var unknownEnd: Int?
    while end > 0 {
      let node = best[end]
      let start = max(0, Int(node.start))
      guard start < end else { break }
      if let unknownId, Int(node.id) == unknownId {
        unknownEnd = unknownEnd ?? end
      } else {
        if let last = unknownEnd { pieces.append(end..<last) }
        unknownEnd = nil
        pieces.append(start..<end)
      }
      end = start
    }
    if let last = unknownEnd { pieces.append(0..<last) }
    for piece in pieces.reversed() {
      let bytes = UnsafeBufferPointer(rebasing: text[piece])
      if let id = vocabulary.id(bytes) {
        ids.append(Int32(id))
      } else if usesByteFallback, bytes.allSatisfy({ fallbackIds[Int($0)] >= 0 }) {
        for byte in bytes { ids.append(fallbackIds[Int(byte)]) }
      } else if let unknownId {
        ids.append(Int32(unknownId))
      }
    }
  }
}
