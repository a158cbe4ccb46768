// Damaged tokenizers and templates: an error or a working object, never a trap or a hang.

import Testing

@testable import Formats
@testable import Text

private struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

private func mutated(_ bytes: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
  var out = bytes
  for _ in 0...Int.random(in: 0..<3, using: &random) where !out.isEmpty {
    let at = Int.random(in: 0..<out.count, using: &random)
    switch Int.random(in: 0..<6, using: &random) {
    case 0: out[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
    case 1: out.removeSubrange(at..<min(out.count, at + Int.random(in: 1..<30, using: &random)))
    case 2:
      let from = Int.random(in: 0..<out.count, using: &random)
      out.insert(contentsOf: Array(out[from..<min(out.count, from + 40)]), at: at)
    case 3:
      // A number in the text becomes an extreme one.
      if let digit = out[at...].firstIndex(where: { $0 >= 0x30 && $0 <= 0x39 }) {
        let extremes = ["-1", "9223372036854775807", "99999999", "1e300", "0", "null"]
        let text = extremes[Int.random(in: 0..<extremes.count, using: &random)]
        out.replaceSubrange(digit...digit, with: Array(text.utf8))
      }
    case 4 where Int.random(in: 0..<8, using: &random) == 0: out.removeSubrange(at...)
    default: out[at] = Array("{}[]()'\"|%-:,.x0".utf8)[Int.random(in: 0..<16, using: &random)]
    }
  }
  return out
}

@Suite struct TextFuzzTests {
  @Test(arguments: [
    "spm_small_metaspace", "gemma_style_small", "unigram_small", "llama3_style_small",
  ])
  func tokenizerJSON(_ name: String) throws {
    let bytes = try readFile("\(Fixtures.committed)/tokenizers/\(name)/tokenizer.json")
    var random = SeededGenerator(state: UInt64(name.utf8.count))
    for _ in 0..<250 {
      do {
        let tokenizer = try Tokenizer(json: JSON.parse(mutated(bytes, &random)))
        let ids = tokenizer.encode("Hello  wörld 123 <s> 中文😀\n", addSpecial: true)
        _ = tokenizer.decode(ids)
        _ = streamProblem(tokenizer, ids, expected: tokenizer.decode(ids))
      } catch is FormatError {
      } catch is TextError {}
    }
  }

  @Test func ggufTokenizer() throws {
    let bytes = try readFile("\(Fixtures.committed)/gguf/qwen2_Q8_0.gguf")
    var random = SeededGenerator(state: 7)
    for _ in 0..<500 {
      let damaged = mutated(Array(bytes[..<12_000]), &random) + bytes[12_000...]
      do {
        let file = MappedFile(copying: damaged, name: "fuzz")
        let tokenizer = try Tokenizer(gguf: GGUF(file: file))
        _ = tokenizer.decode(tokenizer.encode("Hello 123 wörld"))
      } catch is FormatError {
      } catch is TextError {}
    }
  }

  @Test(arguments: ["llama3.1", "qwen3", "mistral_nemo", "chatml", "phi3_mini"])
  func templates(_ name: String) throws {
    let folder = "\(Fixtures.committed)/chat_templates"
    let bytes = try readFile("\(folder)/\(name).jinja")
    let expected = try JSON.load("\(folder)/\(name).expected.json")
    let messages = try #require(expected["cases"]?[0]?["messages"])
    var random = SeededGenerator(state: UInt64(name.utf8.count) * 31)
    var limits = JinjaLimits()
    limits.steps = 100_000
    limits.outputBytes = 1_000_000
    for _ in 0..<300 {
      let text = String(decoding: mutated(bytes, &random), as: UTF8.self)
      do throws(TextError) {
        let template = try JinjaTemplate(text, limits: limits)
        _ = try template.render(messages: messages, addGenerationPrompt: true)
      } catch {}
    }
  }
}
