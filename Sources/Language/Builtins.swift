// A builtin: one record.
//
// Everything a native function has to say stands in one `Builtin`: name, Python-style signature,
// chapter, a line of documentation, examples that must print what they say, failures that must
// fail so, and the code. The signature is parsed on first need and then drives argument binding,
// arity and keyword errors, `help` and completion, so none of them can disagree.
//
// Signature text: `name(a, b=1, /, c=None, *rest, d=2, **options)`. Defaults are literals (None,
// True, False, numbers, strings, `()`); any other text, such as `...`, means "left out", which
// `Args.has` tells. A parameter list with only required positional parameters costs one comparison
// per call: the arguments are then passed where they already lie.

/// What a call needs of a record, in raw memory: reached without counting references.
struct BuiltinHead {
  let record: Unmanaged<Builtin>
  /// Number of parameters when all are plain positional ones (no `*`), else -1; -2: not parsed yet.
  var plainCount = -2
  var requiredCount = 0
  /// The most positional arguments behind which the rest can be filled in, keyword-only ones
  /// included; -1 when there is a `*rest` or the like.
  var fillableCount = -1
  /// The number of parameters and their defaults, for filling in.
  var parameterCount = 0
  var defaultValues: UnsafeMutablePointer<Value>?
  /// Layouts that the first argument of a method may have, one bit a tag; 0 when any will do.
  /// `list.append(5, 1)` must be an error and not read an int as a list.
  var receivers: UInt64 = 0
}

public final class Builtin: @unchecked Sendable {
  public let name: String
  public let signature: String
  public let chapter: String
  public let doc: String
  /// `>>> source` lines, each followed by what it prints.
  public let examples: [String]
  /// Sources that must raise the named exception.
  public let fails: [(String, String)]
  public let run: (Args) throws(LullError) -> Value

  private var parsed: Signature?
  private(set) var head = UnsafeMutablePointer<BuiltinHead>.allocate(capacity: 1)
  /// For messages about methods: `list.append()`.
  public var owner: String?

  func setOwner(_ name: String, _ kinds: [Tag]) {
    owner = name
    head.pointee.receivers = kinds.reduce(0) { $0 | 1 << UInt64($1.rawValue) }
  }

  public init(
    _ name: String, _ signature: String, chapter: String = "language", doc: String = "",
    examples: [String] = [], fails: [(String, String)] = [],
    run: @escaping (Args) throws(LullError) -> Value
  ) {
    self.name = name
    self.signature = signature
    self.chapter = chapter
    self.doc = doc
    self.examples = examples
    self.fails = fails
    self.run = run
    head.initialize(to: BuiltinHead(record: Unmanaged.passUnretained(self)))
  }
  deinit {
    head.pointee.defaultValues?.deallocate()
    head.deinitialize(count: 1)
    head.deallocate()
  }

  public var parameters: Signature {
    if let parsed { return parsed }
    let s = Signature(signature)
    parsed = s
    if s.rest == nil, s.keywords == nil, s.firstKeywordOnly == s.parameters.count {
      head.pointee.plainCount = s.parameters.count
    } else {
      head.pointee.plainCount = -1
    }
    head.pointee.requiredCount = s.required
    if s.rest == nil, s.keywords == nil, !s.parameters.isEmpty,
      !s.parameters[s.firstKeywordOnly...].contains(where: \.isRequired)
    {
      head.pointee.fillableCount = s.firstKeywordOnly
      head.pointee.parameterCount = s.parameters.count
      let d = UnsafeMutablePointer<Value>.allocate(capacity: s.parameters.count)
      for (i, p) in s.parameters.enumerated() { (d + i).initialize(to: p.defaultValue) }
      head.pointee.defaultValues = d
    }
    return s
  }
  /// `list.append` for methods, `math.sqrt` for functions of C modules and static methods, else the name.
  var shownName: String {
    if let owner { return "\(owner).\(name)" }
    return Self.qualified.contains(chapter) ? "\(chapter).\(name)" : name
  }
  private static let qualified: Set<String> = [
    "math", "time", "sys", "bytes", "bytearray", "float", "str",
  ]

  /// A method of a class, for messages that do not count the class among the arguments.
  static func method(
    _ owner: String, _ name: String, _ signature: String, doc: String = "", examples: [String] = [],
    run: @escaping (Args) throws(LullError) -> Value
  ) -> Builtin {
    let b = Builtin(name, signature, doc: doc, examples: examples, run: run)
    b.owner = owner
    return b
  }
}

public struct SignatureParameter: @unchecked Sendable {
  public let name: String
  /// Undefined when the parameter is required or its default is "left out".
  public let defaultValue: Value
  public let isRequired: Bool
  let pointer: StrPtr

  init(name: String, defaultValue: Value, isRequired: Bool) {
    self.name = name
    self.defaultValue = defaultValue
    self.isRequired = isRequired
    pointer = internedPointer(name)
  }
}

public final class Signature: @unchecked Sendable {
  /// Positional-only, positional, keyword-only. In `Args` all stand in the order of the signature
  /// text: `*rest` just before the keyword-only ones, `**keywords` last.
  public private(set) var parameters: [SignatureParameter] = []
  public private(set) var positionalOnly = 0
  public private(set) var firstKeywordOnly = 0
  public private(set) var rest: String?
  public private(set) var keywords: String?
  private(set) var required = 0
  /// Where parameter `i` of `parameters` lies in `Args`.
  @inline(__always) func slot(_ i: Int) -> Int {
    rest != nil && i >= firstKeywordOnly ? i + 1 : i
  }
  var slotCount: Int { parameters.count + (rest != nil ? 1 : 0) + (keywords != nil ? 1 : 0) }

  init(_ text: String) {
    var inside = Substring(text)
    if let open = inside.firstIndex(of: "(") { inside = inside[inside.index(after: open)...] }
    if let close = inside.lastIndex(of: ")") { inside = inside[..<close] }
    var keywordOnly = false
    for piece in Signature.split(inside) {
      let p = piece.drop { $0 == " " }
      if p.isEmpty { continue }
      if p == "/" {
        positionalOnly = parameters.count
      } else if p == "*" {
        keywordOnly = true
        firstKeywordOnly = parameters.count
      } else if p.hasPrefix("**") {
        keywords = String(p.dropFirst(2))
      } else if p.hasPrefix("*") {
        rest = String(p.dropFirst(1))
        keywordOnly = true
        firstKeywordOnly = parameters.count
      } else if let eq = p.firstIndex(of: "=") {
        let name = String(p[..<eq]).filter { $0 != " " }
        parameters.append(
          SignatureParameter(
            name: name, defaultValue: Signature.literal(p[p.index(after: eq)...]),
            isRequired: false))
      } else {
        parameters.append(
          SignatureParameter(
            name: p.filter { $0 != " " }, defaultValue: .undefined, isRequired: true))
      }
    }
    if !keywordOnly { firstKeywordOnly = parameters.count }
    for p in parameters.prefix(firstKeywordOnly) where p.isRequired { required += 1 }
  }

  private static func split(_ s: Substring) -> [Substring] {
    var out: [Substring] = []
    var depth = 0
    var quote: Character?
    var start = s.startIndex
    var i = start
    while i < s.endIndex {
      let c = s[i]
      if let q = quote {
        if c == q { quote = nil }
      } else if c == "'" || c == "\"" {
        quote = c
      } else if c == "(" || c == "[" {
        depth += 1
      } else if c == ")" || c == "]" {
        depth -= 1
      } else if c == ",", depth == 0 {
        out.append(s[start..<i])
        start = s.index(after: i)
      }
      i = s.index(after: i)
    }
    out.append(s[start...])
    return out
  }

  private static func literal(_ text: Substring) -> Value {
    let t = text.drop { $0 == " " }
    switch t {
    case "None": return .none
    case "True": return Value(true)
    case "False": return Value(false)
    case "()": return emptyTuple()
    default: break
    }
    if let i = Int(t) { return Value(i) }
    if let d = Double(t) { return Value(d) }
    if let q = t.first, q == "'" || q == "\"", t.last == q, t.count >= 2 {
      let inner = String(t.dropFirst().dropLast())
      let plain = inner == "\\n" ? "\n" : inner
      return interned(plain)
    }
    return .undefined
  }
}

// MARK: - Arguments

/// The bound arguments of one call, in signature order, borrowed for its duration.
@frozen public struct Args {
  public let values: UnsafeMutablePointer<Value>
  public let count: Int
  @usableFromInline let record: Unmanaged<Builtin>

  @inline(__always) init(
    _ values: UnsafeMutablePointer<Value>, _ count: Int, _ record: Unmanaged<Builtin>
  ) {
    self.values = values
    self.count = count
    self.record = record
  }

  /// The value of the parameter at a position of the signature, borrowed.
  @inlinable public subscript(i: Int) -> Value { @inline(__always) get { values[i] } }
  /// By name; a name that the signature lacks is undefined.
  public subscript(name: String) -> Value {
    guard let i = index(name) else { return .undefined }
    return values[i]
  }
  public func index(_ name: String) -> Int? {
    let s = record.takeUnretainedValue().parameters
    for (i, p) in s.parameters.enumerated() where p.name == name { return s.slot(i) }
    if s.rest == name { return s.firstKeywordOnly }
    if s.keywords == name { return s.slotCount - 1 }
    return nil
  }
  /// Whether the argument was given (or has a default other than "left out").
  @inlinable public func has(_ i: Int) -> Bool { i < count && !values[i].isUndefined }
  public func has(_ name: String) -> Bool { !self[name].isUndefined }
  /// Left out, or given as None.
  @inlinable public func isNone(_ i: Int) -> Bool {
    i >= count || values[i].isUndefined || values[i].isNone
  }
  public var functionName: String { record.takeUnretainedValue().name }

  public func int(_ i: Int) throws(LullError) -> Int {
    let v = values[i]
    if v.tag == .int || v.tag == .bool { return v.asInt }
    return try indexOf(v)
  }
  public func int(_ name: String) throws(LullError) -> Int { try indexOf(self[name]) }
  /// A place or a number of digits: past 64 bits it is as good as the greatest or the least.
  func clamped(_ i: Int) throws(LullError) -> Int {
    let r = try indexValue(values[i])
    defer { r.release() }
    return r.tag == .int ? r.asInt : r.integer.map { Int(clamping: $0) } ?? 0
  }
  /// What CPython takes as a C int.
  func int32(_ i: Int) throws(LullError) -> Int {
    let x = try clamped(i)
    guard Int32(exactly: x) != nil else {
      throw LullError.overflow("Python int too large to convert to C int")
    }
    return x
  }
  public func double(_ i: Int) throws(LullError) -> Double {
    let v = values[i]
    if v.tag == .float { return v.asDouble }
    return try doubleOf(v)
  }
  public func double(_ name: String) throws(LullError) -> Double { try doubleOf(self[name]) }
  public func string(_ i: Int) throws(LullError) -> String {
    guard let s = values[i].asStr else { throw wrong(i, "str") }
    return s.string
  }
  public func string(_ name: String) throws(LullError) -> String {
    try string(index(name) ?? 0)
  }
  public func bool(_ i: Int) throws(LullError) -> Bool { try truth(values[i]) }
  public func bool(_ name: String) throws(LullError) -> Bool { try truth(self[name]) }
  /// The items of `*rest`, borrowed.
  public func rest(_ i: Int) -> UnsafeBufferPointer<Value> {
    guard let t = values[i].asTuple else { return UnsafeBufferPointer(start: nil, count: 0) }
    return UnsafeBufferPointer(start: t.items, count: t.pointee.count)
  }
  func str(_ i: Int) throws(LullError) -> StrPtr {
    guard let s = values[i].asStr else { throw wrong(i, "str") }
    return s
  }
  public func wrong(_ i: Int, _ expected: String) -> LullError {
    let b = record.takeUnretainedValue()
    let s = b.parameters
    var position = i + 1
    if b.owner != nil { position -= 1 }
    let given = values[i].isNone ? "None" : typeName(values[i])
    let many = s.parameters.count - (b.owner != nil ? 1 : 0) > 1
    return LullError.typeError(
      many
        ? "\(b.name)() argument \(position) must be \(expected), not \(given)"
        : "\(b.name)() argument must be \(expected), not \(given)")
  }
}

// MARK: - Binding

private let bindingCapacity = 1 << 14
@exclusivity(unchecked) nonisolated(unsafe) private var bindingTop = 0
@exclusivity(unchecked) nonisolated(unsafe) private var bindingStack =
  UnsafeMutablePointer<Value>.allocate(capacity: bindingCapacity)

/// Threads bind arguments on stacks of their own; gives the way back to that of the running one.
func saveBindings() -> () -> Void {
  let (top, stack) = (bindingTop, bindingStack)
  return { (bindingTop, bindingStack) = (top, stack) }
}
func makeBindings() {
  (bindingTop, bindingStack) = (0, .allocate(capacity: bindingCapacity))
}
func freeBindings() { bindingStack.deallocate() }

extension UnsafeMutablePointer where Pointee == BuiltinHead {
  /// Runs the record's code. A constant property of a borrowed object is called without counting references to what
  /// the closure captured; read from a struct in memory it would be retained and released at every call.
  @inline(__always) private func run(
    _ args: UnsafeMutablePointer<Value>, _ count: Int, _ failure: inout LullError?
  ) -> Value {
    let record = pointee.record
    return record._withUnsafeGuaranteedRef { (b) -> Value in
      do throws(LullError) {
        return try b.run(Args(args, count, record))
      } catch {
        failure = error
        return .undefined
      }
    }
  }
  /// Calls with arguments that lie together in memory; `kwCount` of them, at the end, are named by
  /// `kwNames`. Borrows the arguments. There is room for `extraSlots` values after the arguments.
  @inline(__always) func call(
    _ args: UnsafeMutablePointer<Value>, _ argc: Int
  ) throws(LullError) -> Value {
    if pointee.plainCount == argc {
      let allowed = pointee.receivers
      if allowed == 0 || argc > 0 && allowed >> UInt64(args[0].kind.rawValue) & 1 != 0 {
        var failure: LullError?
        let v = run(args, argc, &failure)
        if let failure { throw failure }
        return v
      }
    }
    return try callFilling(args, argc)
  }
  /// Fills omitted optional arguments in behind the given ones (borrowed, and cleared again).
  @inline(never) func callFilling(
    _ args: UnsafeMutablePointer<Value>, _ argc: Int
  ) throws(LullError) -> Value {
    let n = pointee.parameterCount
    let allowed = pointee.receivers
    guard let defaults = pointee.defaultValues, argc >= pointee.requiredCount,
      argc <= pointee.fillableCount, n - argc <= windowSlack - 2,
      allowed == 0 || argc > 0 && allowed >> UInt64(args[0].kind.rawValue) & 1 != 0
    else { return try pointee.record.takeUnretainedValue().callBinding(args, argc, nil, 0) }
    var i = argc
    while i < n {
      args[i] = defaults[i]
      i &+= 1
    }
    var failure: LullError?
    let v = run(args, n, &failure)
    i = argc
    while i < n {
      args[i].tag = .undefined
      i &+= 1
    }
    if let failure { throw failure }
    return v
  }
}

extension Builtin {
  @inline(__always) func call(
    _ args: UnsafeMutablePointer<Value>, _ argc: Int
  ) throws(LullError) -> Value {
    try head.call(args, argc)
  }
  private func checkReceiver(
    _ args: UnsafeMutablePointer<Value>, _ argc: Int
  ) throws(LullError) {
    let receivers = head.pointee.receivers
    if receivers != 0, argc == 0 || receivers >> UInt64(args[0].kind.rawValue) & 1 == 0 {
      throw wrongReceiver(args, argc)
    }
  }
  @inline(never) private func wrongReceiver(_ args: UnsafeMutablePointer<Value>, _ argc: Int)
    -> LullError
  {
    if argc == 0 {
      return .typeError("unbound method \(shownName)() needs an argument")
    }
    if name.hasPrefix("__") {
      return .typeError(
        "descriptor '\(name)' requires a '\(owner ?? "?")' object but received a '\(typeName(args[0]))'"
      )
    }
    return .typeError(
      "descriptor '\(name)' for '\(owner ?? "?")' objects doesn't apply to a "
        + "'\(typeName(args[0]))' object")
  }
  @inline(never) func callBinding(
    _ args: UnsafeMutablePointer<Value>, _ argc: Int, _ kwNames: UnsafeMutablePointer<Value>?,
    _ kwCount: Int
  ) throws(LullError) -> Value {
    try checkReceiver(args, argc - kwCount)
    let s = parameters
    let slots = s.slotCount
    // Slots come from a stack of their own: calls nest, and malloc would cost as much as the rest.
    let mark = bindingTop
    let isStacked = mark + slots <= bindingCapacity
    let bound =
      isStacked
      ? bindingStack + mark : UnsafeMutablePointer<Value>.allocate(capacity: max(slots, 1))
    if isStacked { bindingTop = mark + slots }
    defer { if isStacked { bindingTop = mark } else { bound.deallocate() } }
    bound.initialize(repeating: .undefined, count: slots)
    let named = s.parameters.count
    let positional = argc - kwCount
    var rest: Value = .undefined
    var extras: Value = .undefined
    defer {
      rest.release()
      extras.release()
    }

    if positional > s.firstKeywordOnly {
      if s.rest != nil {
        let extra = positional - s.firstKeywordOnly
        let t = makeTuple(uninitialized: extra)
        for i in 0..<extra { t.tuple.items[i] = args[s.firstKeywordOnly + i].retained() }
        rest = t
        bound[s.firstKeywordOnly] = t
      } else {
        throw withSignature(tooMany(positional, kwCount, s))
      }
    } else if s.rest != nil {
      bound[s.firstKeywordOnly] = core.pointee.emptyTuple
    }
    for i in 0..<min(positional, s.firstKeywordOnly) { bound[i] = args[i] }

    if s.keywords != nil {
      extras = makeDict()
      bound[slots - 1] = extras
    }
    if let kwNames {
      for k in 0..<kwCount {
        let name = interned(kwNames[k]).str
        var found = false
        for i in s.positionalOnly..<named where s.parameters[i].pointer == name {
          if !bound[s.slot(i)].isUndefined {
            throw LullError.typeError(
              "\(self.name)() got multiple values for argument '\(name.string)'")
          }
          bound[s.slot(i)] = args[positional + k]
          found = true
          break
        }
        if found { continue }
        if !extras.isUndefined {
          extras.dict.set(interned(kwNames[k]), args[positional + k].retained())
          continue
        }
        throw unexpectedKeyword(name.string, s)
      }
    }
    for i in 0..<named where bound[s.slot(i)].isUndefined {
      let p = s.parameters[i]
      if p.isRequired { throw withSignature(missing(bound, s)) }
      bound[s.slot(i)] = p.defaultValue
    }
    return try run(Args(bound, slots, Unmanaged.passUnretained(self)))
  }

  /// Functions whose arguments CPython reads in an older way, with other messages.
  private static let parsedByHand: Set<String> = [
    "count", "find", "rfind", "index", "rindex", "startswith", "endswith",
  ]

  /// Functions whose arguments are unpacked from a tuple.
  private static let expecting: Set<String> = ["sorted", "reversed"]
  /// Functions that say of their positional arguments that they are.
  private static let namesPositional: Set<String> = ["sum", "prod"]
  private var isParsedByHand: Bool {
    (owner == "str" || owner == "bytes" || owner == "bytearray") && Self.parsedByHand.contains(name)
  }

  private var selfOffset: Int { owner == nil ? 0 : 1 }

  private func withSignature(_ e: LullError) -> LullError {
    e.notes.append("it is called as \(signature)")
    return e
  }
  private func tooMany(_ given: Int, _ kwCount: Int, _ s: Signature) -> LullError {
    let most = s.firstKeywordOnly - selfOffset
    let least = s.required - selfOffset
    let n = given - selfOffset
    let title = "\(shownName)()"
    let total = s.parameters.count - selfOffset
    if s.parameters.count > s.firstKeywordOnly, n + kwCount > total {
      return .typeError(
        "\(name)() takes at most \(total) argument\(total == 1 ? "" : "s") (\(n + kwCount) given)")
    }
    if most == 0, s.parameters.count > selfOffset {
      return .typeError("\(name)() takes no positional arguments")
    }
    if most == 0 { return .typeError("\(title) takes no arguments (\(n) given)") }
    if most == 1, least == 1 {
      if Self.expecting.contains(name) {
        return .typeError("\(name) expected 1 argument, got \(n)")
      }
      return .typeError("\(title) takes exactly one argument (\(n) given)")
    }
    if s.positionalOnly < s.firstKeywordOnly || isParsedByHand {
      return .typeError(
        "\(name)() takes \(most == least ? "exactly" : "at most") \(most) argument\(most == 1 ? "" : "s") (\(n) given)"
      )
    }
    if most == least {
      return .typeError("\(name) expected \(most) arguments, got \(n)")
    }
    return .typeError("\(name) expected at most \(most) argument\(most == 1 ? "" : "s"), got \(n)")
  }
  private func missing(_ bound: UnsafeMutablePointer<Value>, _ s: Signature) -> LullError {
    let title = "\(shownName)()"
    var given = 0
    for i in 0..<s.firstKeywordOnly where !bound[i].isUndefined { given += 1 }
    let least = s.required - selfOffset
    let most = s.firstKeywordOnly - selfOffset
    given = max(0, given - selfOffset)
    for i in s.positionalOnly..<s.parameters.count
    where s.parameters[i].isRequired && bound[s.slot(i)].isUndefined {
      let title = owner == nil ? "\(name)()" : title
      if i >= s.firstKeywordOnly {
        return .typeError(
          "\(title) missing 1 required keyword-only argument: '\(s.parameters[i].name)'")
      }
      return .typeError(
        "\(title) missing required argument '\(s.parameters[i].name)' (pos \(i + 1 - selfOffset))")
    }
    let plain = s.positionalOnly - selfOffset
    if Self.namesPositional.contains(name), plain > 0 {
      return .typeError(
        "\(name)() takes \(plain < most ? "at least" : "exactly") \(plain) positional argument\(plain == 1 ? "" : "s") "
          + "(\(given) given)")
    }
    if least == 1, most == 1 {
      if Self.expecting.contains(name) {
        return .typeError("\(name) expected 1 argument, got \(given)")
      }
      return .typeError("\(title) takes exactly one argument (\(given) given)")
    }
    if least == most { return .typeError("\(name) expected \(least) arguments, got \(given)") }
    if isParsedByHand {
      return .typeError(
        "\(name)() takes at least \(least) argument\(least == 1 ? "" : "s") (\(given) given)")
    }
    return .typeError(
      "\(name) expected at least \(least) argument\(least == 1 ? "" : "s"), got \(given)")
  }
  private func unexpectedKeyword(_ keyword: String, _ s: Signature) -> LullError {
    if s.positionalOnly == s.parameters.count {
      return .typeError("\(shownName)() takes no keyword arguments")
    }
    let e = LullError.typeError("'\(keyword)' is an invalid keyword argument for \(name)()")
    let names = s.parameters[s.positionalOnly...].map(\.name)
    if let near = nearestName(keyword, among: names) {
      e.notes.append("did you mean '\(near)'?")
    } else {
      e.notes.append("keywords of \(name): " + names.joined(separator: ", "))
    }
    return e
  }
}

// MARK: - Registry

/// Every record that was defined, for `help`, completion, documentation and tests.
public enum BuiltinRegistry {
  nonisolated(unsafe) public private(set) static var all: [Builtin] = []
  public static func add(_ records: [Builtin]) { all.append(contentsOf: records) }
}
