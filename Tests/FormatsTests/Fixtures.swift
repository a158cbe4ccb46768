// Where the reference files are.

import Foundation

@testable import Formats

enum Fixtures {
  static let packageRoot = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// The whole reference set beside the package; not part of the repository.
  static let shared = packageRoot.appendingPathComponent("../shared/fixtures").standardized.path

  /// Small copies that are always there.
  static let committed = packageRoot.appendingPathComponent("Tests/Fixtures").path

  static func entries(_ folder: String) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
  }

  /// The directories of tokenizer fixtures, shared and committed.
  static let tokenizers: [String] = [shared, committed].flatMap { root in
    entries("\(root)/tokenizers").map { "\(root)/tokenizers/\($0)" }
  }

  static let chatTemplates: [String] = [shared, committed].flatMap { root in
    entries("\(root)/chat_templates").filter { $0.hasSuffix(".jinja") }
      .map { "\(root)/chat_templates/\($0.dropLast(6))" }
  }
}
