// Errors.
//
// One `LullError` per failure that a user can cause: the Python name of its type, a message in the
// user's terms, the place, notes (remedies), and the stack of the user's program. It is a class, so
// throwing it moves one pointer (typed throws everywhere: `throws(LullError)`).
//
// Native code throws it with a kind and a message; the Python-level exception object is only made
// when a program catches it (`LullError.exceptionValue`). `raise` in a program makes the object
// first and wraps it. `span` is in bytes of `source`; both may be missing in errors that have no
// place of their own: the virtual machine then adds the place while it unwinds.

/// One piece of program text and its name; shared by everything compiled from it.
public final class SourceText: Sendable {
  /// A path, or a name in angle brackets such as `<cell 3>`.
  public let file: String
  public let bytes: [UInt8]
  /// Byte offset of the start of each line.
  public let lineStarts: [Int32]

  public init(file: String, text: String) {
    self.file = file
    bytes = Array(text.utf8)
    var starts: [Int32] = [0]
    for (i, b) in bytes.enumerated() where b == 10 { starts.append(Int32(i + 1)) }
    lineStarts = starts
  }

  /// 1-based line number of a byte offset.
  public func line(at offset: Int32) -> Int {
    var lo = 0
    var hi = lineStarts.count
    while lo < hi {
      let mid = (lo + hi) / 2
      if lineStarts[mid] <= offset { lo = mid + 1 } else { hi = mid }
    }
    return max(lo, 1)
  }

  /// 0-based byte column of an offset in its line.
  public func column(at offset: Int32) -> Int {
    Int(offset) - Int(lineStarts[line(at: offset) - 1])
  }

  /// The text of a 1-based line, without its newline.
  public func lineText(_ line: Int) -> String {
    guard line >= 1, line <= lineStarts.count else { return "" }
    let start = Int(lineStarts[line - 1])
    var end = line < lineStarts.count ? Int(lineStarts[line]) - 1 : bytes.count
    if end > start, bytes[end - 1] == 13 { end -= 1 }
    return String(decoding: bytes[start..<max(start, end)], as: UTF8.self)
  }

  public func text(_ span: Span) -> String {
    let a = max(0, min(Int(span.start), bytes.count))
    let b = max(a, min(Int(span.end), bytes.count))
    return String(decoding: bytes[a..<b], as: UTF8.self)
  }
}

/// One frame of the stack of a failed program, outermost first.
/// It only says where: most errors are caught unseen.
public struct TracebackEntry: @unchecked Sendable {
  let code: Code
  let pc: Int
  public var source: SourceText { code.source }
  public var function: String { code.name }
  /// The expression or statement that was running.
  public var span: Span { pc < code.spans.count ? code.spans[pc] : code.span }
  /// The operator's operands, when the failing expression has two (carets go under them).
  public var operands: (Span, Span)? { code.operands[pc] }
  public var line: Int { source.line(at: span.start) }
}

/// The places that an error passed, innermost first. Most errors are caught where they arise: the first entry needs no
/// array.
struct Trail: Sequence {
  private(set) var first: TracebackEntry?
  private var rest: [TracebackEntry]?

  var isEmpty: Bool { first == nil }
  var count: Int { first == nil ? 0 : 1 + (rest?.count ?? 0) }
  var last: TracebackEntry? { rest?.last ?? first }
  mutating func append(_ entry: TracebackEntry) {
    if first == nil {
      first = entry
    } else if rest == nil {
      rest = [entry]
    } else {
      rest?.append(entry)
    }
  }
  var entries: [TracebackEntry] {
    guard let first else { return [] }
    return [first] + (rest ?? [])
  }
  func makeIterator() -> IndexingIterator<[TracebackEntry]> { entries.makeIterator() }
}

public final class LullError: Error, @unchecked Sendable, CustomStringConvertible {
  /// The Python exception type's name: "SyntaxError", "TypeError", "ShapeError", ...
  public var kind: String { nativeKind ?? exception.exceptionBody.pointee.h.type.pointee.name }
  /// Nil when it carries an exception that a program made.
  private let nativeKind: String?
  /// Of an exception that a program raised it is made when it is asked for, by its `__str__`.
  public var message: String {
    get {
      if let given { return given }
      let text: String
      do throws(LullError) {
        if exception.isUndefined, let argument {
          text = try repr(argument)
        } else {
          text = try exceptionText(exception)
        }
      } catch {
        text = "<unprintable \(kind) object>"
      }
      given = text
      return text
    }
    set { given = newValue }
  }
  private var given: String?
  /// The message is the argument's repr, which may run the program's code: made when it is asked for.
  func describeByArgument() { given = nil }
  /// What few errors have: one field to make and to end for most.
  private final class Details {
    var span: Span?
    var source: SourceText?
    var notes: [String] = []
    var arguments: [Value] = []
    var attributes: [(String, Value)] = []
  }
  private var details: Details?
  private var ownDetails: Details {
    if let details { return details }
    let new = Details()
    details = new
    return new
  }
  /// The error's own place, else the first that it passed.
  public var span: Span? {
    get { details?.span ?? trail.first?.span }
    set { ownDetails.span = newValue }
  }
  /// Remedies and facts, one line each, shown under the message.
  public var notes: [String] {
    get { details?.notes ?? [] }
    set { ownDetails.notes = newValue }
  }
  public var source: SourceText? {
    get { details?.source ?? trail.first?.source }
    set { ownDetails.source = newValue }
  }
  /// Span and source apart from where the error passed.
  var ownPlace: (Span?, SourceText?) { (details?.span, details?.source) }
  /// The stack of the user's program, innermost first while unwinding (see `frames`).
  public var unwound: [TracebackEntry] { trail.entries }
  var trail = Trail()
  /// The Python-level exception object, owned; undefined until someone needs it.
  var exception = Value.undefined
  /// The exception's single argument when it is not the message (a KeyError's key); owned.
  private(set) var argument: Value?
  /// The exception's arguments when they are neither its message nor one value; owned.
  var arguments: [Value] {
    get { details?.arguments ?? [] }
    set { ownDetails.arguments = newValue }
  }
  /// Attributes of the exception object, owned values.
  var attributes: [(String, Value)] {
    get { details?.attributes ?? [] }
    set { ownDetails.attributes = newValue }
  }
  /// Nothing of what few errors have.
  var isPlain: Bool { details == nil }
  /// Which activation of a function was noted last: part of its address.
  var lastFrame = UInt32.max

  public init(
    _ kind: String, _ message: String, span: Span? = nil, notes: [String] = [],
    source: SourceText? = nil
  ) {
    nativeKind = kind
    given = message
    if span != nil || source != nil || !notes.isEmpty {
      let d = Details()
      d.span = span
      d.source = source
      d.notes = notes
      details = d
    }
  }

  /// Carries an exception object (borrowed).
  init(carrying v: Value) {
    let b = v.exceptionBody
    nativeKind = nil
    exception = v.retained()
    trail = b.pointee.traceback
    if b.pointee.storedNotes != nil || b.pointee.span != nil || b.pointee.source != nil {
      let d = Details()
      d.notes = b.pointee.notes
      d.span = b.pointee.span
      d.source = b.pointee.source
      details = d
    }
  }

  func setArgument(_ v: Value) {
    argument?.release()
    argument = v.retained()
  }
  deinit {
    exception.release()
    argument?.release()
    if let details {
      for (_, v) in details.attributes { v.release() }
      for v in details.arguments { v.release() }
    }
  }

  public var description: String { message.isEmpty ? kind : "\(kind): \(message)" }

  public static func typeError(_ m: String) -> LullError { LullError("TypeError", m) }
  public static func valueError(_ m: String) -> LullError { LullError("ValueError", m) }
  public static func shapeError(_ m: String) -> LullError { LullError("ShapeError", m) }
  public static func overflow(_ m: String) -> LullError { LullError("OverflowError", m) }
  public static func memory(_ m: String = "") -> LullError { LullError("MemoryError", m) }
  public static func index(_ m: String) -> LullError { LullError("IndexError", m) }
  public static func runtime(_ m: String) -> LullError { LullError("RuntimeError", m) }
  public static func recursion(_ m: String) -> LullError { LullError("RecursionError", m) }
  public static func attribute(_ m: String) -> LullError { LullError("AttributeError", m) }
  public static func zeroDivision(_ m: String) -> LullError {
    LullError("ZeroDivisionError", m)
  }
}

// MARK: - Near names

/// The name nearest to `name` by edit distance, if one is near enough to be meant.
public func nearestName(_ name: String, among candidates: some Sequence<String>) -> String? {
  let a = Array(name.utf8)
  guard a.count > 1, a.count < 60 else { return nil }
  var best: (name: String, distance: Int) = ("", .max)
  for candidate in candidates where candidate != name {
    let b = Array(candidate.utf8)
    let limit = max(1, min(3, (max(a.count, b.count) + 1) / 3))
    if abs(a.count - b.count) > limit || b.isEmpty { continue }
    let d = editDistance(a, b, limit: limit)
    if d <= limit, d < min(a.count, b.count),
      d < best.distance || (d == best.distance && candidate < best.name)
    {
      best = (candidate, d)
    }
  }
  return best.distance == .max ? nil : best.name
}

/// Damerau-Levenshtein distance (adjacent swaps count one, a change of case counts one).
func editDistance(_ a: [UInt8], _ b: [UInt8], limit: Int) -> Int {
  var two = [Int](repeating: 0, count: b.count + 1)
  var one = Array(0...b.count)
  for i in 0..<a.count {
    var row = [Int](repeating: 0, count: b.count + 1)
    row[0] = i + 1
    var low = row[0]
    for j in 0..<b.count {
      var d = min(one[j + 1] + 1, row[j] + 1, one[j] + (a[i] == b[j] ? 0 : 1))
      if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { d = min(d, two[j - 1] + 1) }
      row[j + 1] = d
      low = min(low, d)
    }
    if low > limit { return limit + 1 }
    two = one
    one = row
  }
  return one[b.count]
}
