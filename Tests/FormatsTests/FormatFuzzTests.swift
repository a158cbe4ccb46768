// Damaged files: an error or a valid reading, never a trap, a hang, or a huge allocation.

import Testing

@testable import Formats

/// SplitMix64, so that every run damages the same bytes.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// Bit flips, truncations, splices, and edits of what may be lengths.
func mutated(_ bytes: [UInt8], _ random: inout SeededGenerator, header: Int) -> [UInt8] {
  var out = bytes
  for _ in 0...Int.random(in: 0..<4, using: &random) {
    guard !out.isEmpty else { return out }
    // Mostly the header, where the structure is.
    let limit = Bool.random(using: &random) ? min(header, out.count) : out.count
    let at = Int.random(in: 0..<limit, using: &random)
    switch Int.random(in: 0..<6, using: &random) {
    case 0: out[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
    case 1: out.removeSubrange(at...)
    case 2:
      let end = min(out.count, at + Int.random(in: 1..<64, using: &random))
      out.removeSubrange(at..<end)
    case 3:
      let from = Int.random(in: 0..<out.count, using: &random)
      let piece = Array(out[from..<min(out.count, from + 40)])
      out.insert(contentsOf: piece, at: at)
    case 4:
      let extremes: [UInt64] = [0, 1, .max, 1 << 63, 1 << 32, 0x7FFF_FFFF_FFFF_FFFF, 1 << 40, 255]
      let value = extremes[Int.random(in: 0..<extremes.count, using: &random)]
      for index in 0..<8 where at + index < out.count {
        out[at + index] = UInt8(truncatingIfNeeded: value >> UInt64(index * 8))
      }
    default: out[at] = UInt8.random(in: 0...255, using: &random)
    }
  }
  return out
}

@Suite struct FormatFuzzTests {
  private func fuzz(
    _ path: String, count: Int, header: Int, _ read: (MappedFile) throws -> Void
  ) throws {
    let bytes = try readFile(path)
    var random = SeededGenerator(state: UInt64(path.utf8.count))
    for _ in 0..<count {
      let damaged = mutated(bytes, &random, header: header)
      do { try read(MappedFile(copying: damaged, name: "fuzz")) } catch is FormatError {}
    }
  }

  @Test func gguf() throws {
    try fuzz("\(Fixtures.committed)/gguf/qwen2_Q8_0.gguf", count: 1500, header: 12_000) { file in
      let gguf = try GGUF(file: file)
      for tensor in gguf.tensors { _ = tensor.bytes.first }
      for key in gguf.keys { _ = gguf[key]?.array?.strings }
    }
  }

  @Test func safetensors() throws {
    let path = "\(Fixtures.committed)/safetensors/affine_g32_b3.safetensors"
    try fuzz(path, count: 1500, header: 600) { file in
      for tensor in try Safetensors(file: file).tensors { _ = tensor.bytes.last }
    }
  }

  @Test func npy() throws {
    for name in ["t_f4", "fortran", "version2", "t_U3", "scalar"] {
      try fuzz("\(Fixtures.committed)/npy/\(name).npy", count: 400, header: 128) { file in
        _ = try NpyArray(file: file).bytes.last
      }
    }
    try fuzz("\(Fixtures.committed)/npy/two.npz", count: 1500, header: 10_000) { file in
      for array in try Npz(file: file).arrays { _ = array.bytes.last }
    }
  }

  @Test func json() throws {
    try fuzz("\(Fixtures.committed)/json/cases.json", count: 1500, header: 100_000) { file in
      let value = try JSON.parse(file.bytes, file: file.path)
      let text = value.serializedBytes(.notebook)
      #expect(try JSON.parse(text).serializedBytes(.notebook) == text)
    }
  }
}
