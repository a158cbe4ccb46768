// Tokenizers against the reference implementation: ids, decodings, and streams.

import Foundation
import Testing

@testable import Formats
@testable import Text

/// A stream's text must only grow, never hold a U+FFFD that the whole text lacks, and end as it.
func streamProblem(_ tokenizer: Tokenizer, _ ids: [Int], expected: String) -> String? {
  var stream = tokenizer.streamingDetokenizer(skipSpecial: false)
  var text = ""
  for id in ids {
    text += stream.append(id)
    if !expected.utf8.starts(with: text.utf8) { return "showed \(text.debugDescription)" }
  }
  text += stream.finish()
  return sameBytes(text, expected) ? nil : "ended as \(text.debugDescription)"
}

@Suite struct TokenizerFixtureTests {
  @Test(arguments: Fixtures.tokenizers)
  func matchesReference(_ directory: String) throws {
    let tokenizer = try Tokenizer.load(directory: directory)
    let expected = try JSON.load("\(directory)/expected.json")
    var failures: [String] = []
    for entry in expected["cases"]?.array ?? [] {
      let text = try #require(entry["text"]?.string)
      let ids = try #require(entry["ids"]?.intArray)
      let special = entry["ids_with_special"]?.intArray ?? ids
      let plain = tokenizer.encode(text, addSpecial: false)
      if plain != ids { failures.append("encode \(text.debugDescription): \(plain), want \(ids)") }
      if tokenizer.encode(text, addSpecial: true) != special {
        failures.append("addSpecial \(text.debugDescription)")
      }
      let decoded = entry["decoded"]?.string ?? ""
      let result = tokenizer.decode(ids)
      if !sameBytes(result, decoded) {
        failures.append(
          "decode \(ids): \(result.debugDescription), want \(decoded.debugDescription)")
      }
      let skipped = entry["decoded_skip_special"]?.string ?? decoded
      if !sameBytes(tokenizer.decode(ids, skipSpecial: true), skipped) {
        failures.append("skipSpecial \(ids)")
      }
      if let problem = streamProblem(tokenizer, ids, expected: decoded) {
        failures.append("stream \(ids): \(problem)")
      }
    }
    for entry in expected["streaming"]?.array ?? [] {
      let ids = try #require(entry["ids"]?.intArray)
      let prefixes = try #require(entry["prefix_decoded"]?.stringArray)
      for (count, prefix) in prefixes.enumerated() {
        let result = tokenizer.decode(Array(ids[...count]))
        if !sameBytes(result, prefix) {
          failures.append("prefix \(ids[...count]): \(result.debugDescription)")
        }
      }
      if let problem = streamProblem(tokenizer, ids, expected: prefixes.last ?? "") {
        failures.append("stream \(ids): \(problem)")
      }
    }
    #expect(failures.isEmpty, "\(failures.count) failures, first: \(failures.prefix(4))")
  }

  @Test func tokensAndIds() throws {
    let directory = try #require(Fixtures.tokenizers.first { $0.hasSuffix("llama3_style_small") })
    let tokenizer = try Tokenizer.load(directory: directory)
    let begin = try #require(tokenizer.id(ofToken: "<|begin_of_text|>"))
    #expect(tokenizer.bosId == begin)
    #expect(tokenizer.token(begin) == "<|begin_of_text|>")
    #expect(tokenizer.isSpecial(begin))
    #expect(tokenizer.eosId == tokenizer.id(ofToken: "<|eot_id|>"))
    #expect(tokenizer.decodedBytes(tokenizer.encode(" the", addSpecial: false)[0])?.first == 0x20)
  }
}
