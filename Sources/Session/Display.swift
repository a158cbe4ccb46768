// What a cell shows: streams, displayed values and errors, as a front end receives them.
//
// A front end (REPL, notebook run, kernel) sets `Session.onOutput` and gets these in order. A value
// comes as a bundle of representations by MIME type; text/plain is always among them. What is displayed
// under an id can be replaced later, wherever it stands.

import Formats

/// One thing shown in several forms, the best last.
public struct MimeBundle: Sendable {
  /// MIME type and content; images other than SVG are base64 without line breaks.
  public var entries: [(type: String, content: String)]
  /// What a front end should know of single entries, by MIME type: an image's width, for one.
  public var metadata = JSONObject()
  /// The name under which `update` finds what is displayed; nil: nothing replaces it.
  public var displayID: String?

  public init(plain: String) { entries = [("text/plain", plain)] }

  public var plain: String { entries.first { $0.type == "text/plain" }?.content ?? "" }

  /// The entries as notebooks and front ends take them: JSON types as JSON, all others as text.
  public var data: JSON {
    var object = JSONObject()
    for (type, content) in entries {
      if type == "application/json" || (type.hasPrefix("application/") && type.hasSuffix("+json")) {
        do throws(FormatError) {
          object[type] = try JSON.parse(content, options: .init(allowsNonFinite: false))
        } catch {}
      } else {
        object[type] = .string(content)
      }
    }
    return .object(object)
  }
}

/// A failure as front ends and notebook files need it.
public struct CellError: Sendable {
  /// The exception's class, its text, and the traceback as Python prints it.
  public var name: String
  public var text: String
  public var traceback: String
  public var isInterrupt: Bool

  public init(name: String, text: String, traceback: String, isInterrupt: Bool) {
    self.name = name
    self.text = text
    self.traceback = traceback
    self.isInterrupt = isInterrupt
  }

  /// The traceback's lines, without a newline at the end.
  public var lines: [String] {
    var all = traceback.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    while all.last == "" { all.removeLast() }
    return all
  }
}

/// What a cell sends while it runs.
public enum CellOutput: Sendable {
  /// `name` is "stdout" or "stderr".
  case stream(name: String, text: String)
  case display(MimeBundle)
  /// Replaces everything that was displayed under the bundle's id.
  case update(MimeBundle)
  /// Takes away the cell's outputs so far: now, or (`wait`) when the next one comes.
  case clear(wait: Bool)
  case result(MimeBundle, count: Int)
  case error(CellError)
}

/// How a cell or a program ended.
public enum CellStatus: Sendable {
  case done
  case failed(CellError)
  /// `sys.exit` and the like: the exit status that was asked for, and the text to say with it.
  case exit(Int32, message: String?)

  public var isDone: Bool { if case .done = self { true } else { false } }

  public var error: CellError? {
    if case .failed(let error) = self { return error }
    return nil
  }
}

/// What became of an expression that a front end asked about.
public enum Evaluation: Sendable {
  case value(MimeBundle)
  case failed(CellError)
}
