// Tokenizers inside GGUF files against the reference ids.

import Foundation
import Testing

@testable import Formats
@testable import Text

@Suite struct GGUFTokenizerTests {
  static let files: [String] = [Fixtures.shared, Fixtures.committed].flatMap { root in
    Fixtures.entries("\(root)/gguf").filter { $0.hasSuffix(".gguf") }.map { "\(root)/gguf/\($0)" }
  }

  @Test(arguments: files)
  func loads(_ path: String) throws {
    let tokenizer = try Tokenizer(gguf: GGUF(path: path))
    #expect(tokenizer.vocabularySize > 300)
    let text = "Hello, numbers 123 and 中文 😀\n"
    #expect(tokenizer.decode(tokenizer.encode(text, addSpecial: false)) == text)
    let expected = try JSON.load(path.replacingOccurrences(of: ".gguf", with: ".expected.json"))
    for entry in expected["spm_tokenize"]?.array ?? [] {
      let text = try #require(entry["text"]?.string)
      let ids = try #require(entry["ids"]?.intArray)
      #expect(tokenizer.encode(text, addSpecial: false) == ids, "\(text.debugDescription)")
    }
  }
}
