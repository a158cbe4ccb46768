// What went wrong with a tokenizer or a template, rendered in one place.

import Formats

/// A failure of this module: a tokenizer that cannot be used, a template that cannot render.
public struct TextError: Error, Sendable, Equatable, CustomStringConvertible {
  public enum Kind: Sendable, Equatable {
    /// The file contradicts itself or the format.
    case invalid
    /// A feature that Lull does not have; the message names it.
    case unsupported
    /// The template's text is wrong.
    case syntax
    /// The template failed while rendering.
    case rendering
    /// The template called `raise_exception`; `found` is its message.
    case raised
    /// A bound on steps, output, or nesting was passed.
    case limit
    /// A file could not be read.
    case file
  }

  public var kind: Kind
  /// The file or template.
  public var source: String
  /// The field, or the line of a template.
  public var field: String
  public var found: String
  public var remedy: String
  /// Lines that show the place in a pattern or grammar, the last with a caret; they end the message.
  public var excerpt = ""

  public init(_ kind: Kind, source: String, field: String, found: String, remedy: String = "") {
    self.kind = kind
    self.source = source
    self.field = field
    self.found = found
    self.remedy = remedy
  }

  init(_ error: FormatError) {
    self.init(
      .file, source: error.file, field: error.field, found: error.found, remedy: error.remedy)
  }

  public var description: String {
    if kind == .raised { return found }
    var text = [source, readable(field), readable(found)].filter { !$0.isEmpty }.joined(
      separator: ": ")
    if !remedy.isEmpty { text += "; \(remedy)" }
    if !excerpt.isEmpty { text += "\n\(excerpt)" }
    return text
  }
}
