// Damaged notebooks: an error that names the file, or a notebook; never a trap.

import Foundation
import Testing

import Formats
import Notebook

/// SplitMix64.
private struct Seeded: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

private let pieces = [
  "null", "[]", "{}", "\"cells\"", "-1", "1e999", "\"source\"", "\"outputs\"", "\"stream\"", "true",
  "\"execute_result\"", "\"\\ud800\"", "[[[[", "9007199254740993", "\"metadata\"", "\"tags\"",
]

private func mutate(_ bytes: [UInt8], _ random: inout Seeded) -> [UInt8] {
  var out = bytes
  for _ in 0...Int.random(in: 0..<4, using: &random) {
    guard !out.isEmpty else { break }
    let at = Int.random(in: 0..<out.count, using: &random)
    let end = min(out.count, at + Int.random(in: 1..<80, using: &random))
    switch Int.random(in: 0..<6, using: &random) {
    case 0: out[at] = UInt8.random(in: 0...255, using: &random)
    case 1: out.removeSubrange(at..<end)
    case 2: out.insert(contentsOf: out[at..<end], at: Int.random(in: 0...out.count, using: &random))
    case 3: out.removeSubrange(at...)
    default:
      let piece = pieces[Int.random(in: 0..<pieces.count, using: &random)]
      out.replaceSubrange(at..<min(out.count, at + 4), with: Array(piece.utf8))
    }
  }
  return out
}

@Test func damagedNotebooksAreErrorsOrNotebooks() throws {
  let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
  let whole = [UInt8](try Data(contentsOf: root.appendingPathComponent("notebooks/tour.ipynb")))
  let untouched = try Notebook.read(ipynb: whole, name: "tour.ipynb")
  #expect(untouched.cells.count > 20)
  #expect(untouched.ipynb() == whole)
  var random = Seeded(state: 20261123)
  var errors = 0
  for _ in 0..<1500 {
    let damaged = mutate(whole, &random)
    do {
      let notebook = try Notebook.read(ipynb: damaged, name: "damaged.ipynb")
      _ = notebook.ipynb()
    } catch {
      #expect(error.description.contains("damaged.ipynb"))
      errors += 1
    }
    _ = Notebook.read(text: String(decoding: damaged, as: UTF8.self)).ipynb()
  }
  #expect(errors > 300)
}
