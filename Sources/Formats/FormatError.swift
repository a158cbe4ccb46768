// What is wrong with a file, stated as facts and rendered in one place.
//
// Every reader of this module throws this one type. A message always names the file, the
// field in the file's own vocabulary ("tensor 'w' data_offsets"), what was found there, and
// what the user can do about it. Readers never trap on what a file holds.

/// A failure to read or write a file.
public struct FormatError: Error, Sendable, Equatable, CustomStringConvertible {
  public enum Kind: Sendable, Equatable {
    /// The operating system refused (missing file, no permission, full disk).
    case io
    /// The file ends before the field does.
    case truncated
    /// A field contradicts the format or another field.
    case invalid
    /// The file may be right, but this reader does not know the feature.
    case unsupported
    /// A count or size is past the reader's bound.
    case tooLarge
  }

  public var kind: Kind
  public var file: String
  public var field: String
  public var found: String
  public var remedy: String

  public init(_ kind: Kind, file: String, field: String, found: String, remedy: String = "") {
    self.kind = kind
    self.file = file
    self.field = field
    self.found = found
    self.remedy = remedy
  }

  public var description: String {
    var text = file.isEmpty ? "" : "\(file): "
    if !field.isEmpty { text += "\(readable(field)): " }
    text += readable(found)
    let advice = remedy.isEmpty ? defaultRemedy : remedy
    if !advice.isEmpty { text += "; \(advice)" }
    return text
  }

  private var defaultRemedy: String {
    switch kind {
    case .truncated: "the file is incomplete, download or copy it again"
    case .invalid: "the file is damaged or not of this format"
    case .io, .unsupported, .tooLarge: ""
    }
  }
}

/// Text from a damaged file as one line that can be read: no control characters, and not too long.
public func readable(_ text: String) -> String {
  var out = ""
  var count = 0
  for scalar in text.unicodeScalars {
    if count == 300 { return out + "..." }
    count += 1
    let isControl = scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value)
    out.unicodeScalars.append(isControl || scalar.value == 0xFFFD ? "?" : scalar)
  }
  return out
}
