// history_request: the cells of this session.
//
// A session is numbered 1; 0 means the running one, as the protocol says, and other numbers find nothing:
// kernels keep no history after their end.

import Formats
import Session

extension Kernel {
  func history(_ content: JSON) {
    let sources = session.history
    var numbers: [Int]
    switch content["hist_access_type"]?.string {
    case "tail":
      numbers = Array((1...max(1, sources.count)).suffix(clamped(content["n"], sources.count)))
    case "search":
      let pattern = Array((content["pattern"]?.string ?? "*").unicodeScalars)
      numbers = (1...max(1, sources.count)).filter { number in
        sources.indices.contains(number - 1)
          && matches(Array(sources[number - 1].unicodeScalars), glob: pattern)
      }
      if content["unique"]?.bool ?? false {
        // Of equal ones the latest.
        var seen: Set<[UInt8]> = []
        numbers = numbers.reversed().filter { seen.insert(Array(sources[$0 - 1].utf8)).inserted }
          .reversed()
      }
      numbers = numbers.suffix(clamped(content["n"], numbers.count))
    case "range":
      let number = content["session"]?.int ?? 0
      let first = max(1, content["start"]?.int ?? 1)
      let end = min(content["stop"]?.int ?? Int.max, sources.count + 1)
      numbers = (number == 0 || number == 1) && first < end ? Array(first..<end) : []
    default: numbers = []
    }
    let withOutput = content["output"]?.bool ?? false
    let entries = numbers.compactMap { number -> JSON? in
      guard sources.indices.contains(number - 1) else { return nil }
      let source = JSON.string(sources[number - 1])
      let text = resultTexts[number].map { JSON.string($0) } ?? .null
      return [1, .int(number), withOutput ? [source, text] : source]
    }
    reply("history_reply", ["status": "ok", "history": .array(entries)])
  }

  private func clamped(_ value: JSON?, _ most: Int) -> Int { max(0, min(value?.int ?? most, most)) }
}

/// Whether a text is of a form with `*` for any characters, `?` for one and `[...]` for one of some.
/// Takes time in proportion to the product of the lengths at worst.
func matches(_ text: [Unicode.Scalar], glob: [Unicode.Scalar]) -> Bool {
  var i = 0
  var g = 0
  // Where to go on when the part after the last star does not match.
  var retry: (glob: Int, text: Int)?
  while i < text.count {
    if g < glob.count, glob[g] == "*" {
      retry = (g + 1, i)
      g += 1
      continue
    }
    if let next = step(text[i], glob, g) {
      i += 1
      g = next
      continue
    }
    guard let from = retry else { return false }
    retry = (from.glob, from.text + 1)
    g = from.glob
    i = from.text + 1
  }
  while g < glob.count, glob[g] == "*" { g += 1 }
  return g == glob.count
}

/// The place after the form at `g`, if it takes the character.
private func step(_ c: Unicode.Scalar, _ glob: [Unicode.Scalar], _ g: Int) -> Int? {
  guard g < glob.count else { return nil }
  if glob[g] == "?" { return g + 1 }
  guard glob[g] == "[", let close = closing(glob, g) else { return glob[g] == c ? g + 1 : nil }
  var k = g + 1
  let isNegated = glob[k] == "!" || glob[k] == "^"
  if isNegated { k += 1 }
  var found = false
  while k < close {
    if k + 2 < close, glob[k + 1] == "-" {
      if glob[k].value <= c.value, c.value <= glob[k + 2].value { found = true }
      k += 3
    } else {
      if glob[k] == c { found = true }
      k += 1
    }
  }
  return found != isNegated ? close + 1 : nil
}

/// The bracket that ends a set; a first `]` belongs to it.
private func closing(_ glob: [Unicode.Scalar], _ g: Int) -> Int? {
  var k = g + 1
  if k < glob.count, glob[k] == "!" || glob[k] == "^" { k += 1 }
  k += 1
  while k < glob.count {
    if glob[k] == "]" { return k }
    k += 1
  }
  return nil
}
