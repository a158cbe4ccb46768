// What a cell shows: streams, displayed values and errors, as a front end receives them.
//
// A front end (REPL, notebook run, kernel) sets `Session.onOutput` and gets these in order. A value
// comes as a bundle of representations by MIME type; text/plain is always among them.

/// One thing shown in several forms, the best last.
public struct MimeBundle: Sendable {
  /// MIME type and content; images other than SVG are base64 without line breaks.
  public var entries: [(type: String, content: String)]

  public init(plain: String) { entries = [("text/plain", plain)] }

  public var plain: String { entries.first { $0.type == "text/plain" }?.content ?? "" }
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
