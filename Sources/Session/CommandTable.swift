// The one table of commands.
//
// A command is a builtin's record and the way its line is read. The record's signature, text and
// examples serve `help`, completion, the command line's `lull help`, and the function of the same name
// in the prelude, so that `%generate m "Why?" --max-tokens 9` and `generate(m, "Why?", max_tokens=9)`
// are the same call.
//
// Reading a line: words are separated by blanks outside brackets and quotes. `--max-tokens 9`,
// `--max-tokens=9` and, for one letter, `-n 9` are keyword arguments; an option whose default is a
// bool needs no value and can be negated (`--no-raw`); `--` ends the options. The remaining words fill
// the positional parameters; the last one, if it is text, takes the rest of the line.

import Language

/// How a word of a command line becomes an argument.
enum ArgumentKind {
  /// Source text of an expression, evaluated in the session.
  case expression
  /// Itself, unless it is a string literal, `{expression}` or `$name`.
  case text
  /// As text; completed with file names, `~` expanded.
  case path
}

struct Command {
  enum Style {
    /// Words and options.
    case words
    /// Options first, then source text up to the end of the line.
    case source
  }
  let record: Builtin
  let style: Style
  /// Kinds by parameter name; `expression` where none is given.
  let kinds: [String: ArgumentKind]
  /// Whether a function of this name is in the prelude.
  let isFunction: Bool
  /// Whether a line of it shows its value at once, wherever in a cell it stands; `x = %name` does not.
  let showsResult: Bool
  /// What the command's options say of themselves, where they are declared one by one.
  let options: [CommandOption]
  /// Runs `%%name line` on top of a cell; nil when the command takes no cell.
  let cell: ((_ line: String, _ body: String) throws(LullError) -> Value)?

  init(
    _ record: Builtin, style: Style = .words, kinds: [String: ArgumentKind] = [:],
    isFunction: Bool = true, showsResult: Bool = false, options: [CommandOption] = [],
    cell: ((_ line: String, _ body: String) throws(LullError) -> Value)? = nil
  ) {
    self.record = record
    self.style = style
    self.kinds = kinds
    self.isFunction = isFunction
    self.showsResult = showsResult
    self.options = options
    self.cell = cell
  }

  var name: String { record.name }
  /// The name under which rewritten lines call it, safe from the user's own names.
  var hiddenName: String { "_command_\(name)" }
  /// The same for lines that use the value.
  var valueName: String { showsResult ? "_value_\(name)" : hiddenName }

  /// The source text of the call that a command line means.
  func call(_ line: String, line number: Int, usesValue: Bool = false) throws(LullError)
    -> String
  {
    let hiddenName = usesValue ? valueName : hiddenName
    switch style {
    case .words:
      let arguments = try wordArguments(words(of: line))
      return "\(hiddenName)(\(arguments.joined(separator: ", ")))"
    case .source:
      var rest = line.drop { $0 == " " || $0 == "\t" }
      var options: [String] = []
      while rest.first == "-", let letter = rest.dropFirst().first, letter == "-" || letter.isLetter
      {
        let split = words(of: String(rest))
        guard let first = split.first, option(first) != nil else { break }
        let isAlone = first.contains("=") || isFlag(first)
        let used = isAlone ? [first] : Array(split.prefix(2))
        options += try wordArguments(used)
        for word in used {
          rest = rest.drop { $0 == " " || $0 == "\t" }.dropFirst(word.count)
        }
        rest = rest.drop { $0 == " " || $0 == "\t" }
      }
      let source = String(rest).trimmed
      if source.isEmpty {
        throw LullError("SyntaxError", "%\(name) needs a statement, as in \(example)")
      }
      let all = [pythonLiteral(source)] + options + ["_line=\(number)"]
      return "\(hiddenName)(\(all.joined(separator: ", ")))"
    }
  }

  /// The first example's command line.
  var example: String {
    record.examples.first.map { String($0.prefix { $0 != "\n" }) } ?? "%\(name)"
  }

  // MARK: - Words

  /// The parameter that an option word names; nil for a word that is no option of this command.
  func option(_ word: String) -> SignatureParameter? {
    guard word.hasPrefix("-") else { return nil }
    var name = word.drop { $0 == "-" }
    if let equals = name.firstIndex(of: "=") { name = name[..<equals] }
    var plain = String(name).map { $0 == "-" ? "_" : String($0) }.joined()
    let all = record.parameters.parameters
    if let named = options.first(where: { $0.aliases.contains(plain) }) { plain = named.name }
    if let p = all.first(where: { $0.name == plain && !plain.hasPrefix("_") }) { return p }
    if plain.hasPrefix("no_") {
      plain.removeFirst(3)
      return all.first { $0.name == plain && $0.defaultValue.boolValue != nil }
    }
    return nil
  }

  func isFlag(_ word: String) -> Bool { option(word)?.defaultValue.boolValue != nil }

  private func wordArguments(_ words: [String]) throws(LullError) -> [String] {
    var positional: [String] = []
    var named: [String] = []
    var lists: [String: [String]] = [:]
    func add(_ parameter: SignatureParameter, _ value: String) {
      if options.contains(where: { $0.name == parameter.name && $0.repeats }) {
        lists[parameter.name, default: []].append(argument(value, parameter))
      } else {
        named.append("\(parameter.name)=\(argument(value, parameter))")
      }
    }
    var i = 0
    var optionsEnded = false
    while i < words.count {
      let word = words[i]
      i += 1
      if word == "--" {
        optionsEnded = true
        continue
      }
      let looksLikeOption =
        word.hasPrefix("--") || (word.hasPrefix("-") && word.dropFirst().first?.isLetter == true)
      guard !optionsEnded, looksLikeOption else {
        positional.append(word)
        continue
      }
      guard let parameter = option(word) else { throw unknownOption(word) }
      if let equals = word.firstIndex(of: "=") {
        add(parameter, String(word[word.index(after: equals)...]))
      } else if parameter.defaultValue.boolValue != nil {
        named.append("\(parameter.name)=\(word.hasPrefix("--no-") ? "False" : "True")")
      } else if i < words.count {
        add(parameter, words[i])
        i += 1
      } else {
        throw LullError("SyntaxError", "option '\(word)' of %\(name) needs a value")
      }
    }
    // One that is a list already (in brackets, or a name) stands for itself.
    for (name, values) in lists.sorted(by: { $0.key < $1.key }) {
      let isText = values.allSatisfy { isStringLiteral($0) }
      named.append(
        "\(name)="
          + (values.count == 1 && !isText ? values[0] : "[\(values.joined(separator: ", "))]"))
    }
    let signature = record.parameters
    let slots = Array(signature.parameters.prefix(signature.firstKeywordOnly))
    if let last = slots.last, kind(last) == .text, positional.count > slots.count {
      let head = positional[..<(slots.count - 1)]
      positional = head + [positional[(slots.count - 1)...].joined(separator: " ")]
    }
    if positional.count > slots.count, signature.rest == nil {
      let most = slots.count
      throw LullError(
        "SyntaxError",
        most == 0
          ? "%\(name) takes no arguments"
          : "%\(name) takes at most \(most) argument\(most == 1 ? "" : "s") (\(positional.count) given)",
        notes: ["usage: \(usage)"])
    }
    var out: [String] = []
    for (k, word) in positional.enumerated() {
      let parameter = k < slots.count ? slots[k] : nil
      let kind = parameter.map(kind) ?? (kinds[signature.rest ?? ""] ?? .expression)
      out.append(argument(word, kind))
    }
    return out + named
  }

  private func kind(_ parameter: SignatureParameter) -> ArgumentKind {
    kinds[parameter.name] ?? .expression
  }
  private func argument(_ word: String, _ parameter: SignatureParameter) -> String {
    argument(word, kind(parameter))
  }
  private func argument(_ word: String, _ kind: ArgumentKind) -> String {
    if word.hasPrefix("$"), word.utf8.dropFirst().allSatisfy(isNamePart),
      let first = word.utf8.dropFirst().first, isNameStart(first)
    {
      return String(word.dropFirst())
    }
    if kind == .expression { return word }
    if isStringLiteral(word) { return word }
    if word.hasPrefix("{"), word.hasSuffix("}"), word.count > 2 {
      return "(" + word.dropFirst().dropLast() + ")"
    }
    return pythonLiteral(kind == .path ? expandHome(word) : word)
  }

  private func isStringLiteral(_ word: String) -> Bool {
    let prefix = word.prefix { $0.isLetter }
    guard prefix.count <= 2, prefix.allSatisfy({ "rRfFuU".contains($0) }) else { return false }
    let rest = word.dropFirst(prefix.count)
    guard let quote = rest.first, quote == "\"" || quote == "'", rest.count > 1 else {
      return false
    }
    return rest.last == quote
  }

  /// The names of its options, as they are typed.
  var optionNames: [String] {
    let names = record.parameters.parameters.filter { !$0.isRequired && !$0.name.hasPrefix("_") }
      .map(\.name)
    return (names + options.flatMap(\.aliases).filter { $0.count > 1 }).map(dashed)
  }

  private func unknownOption(_ word: String) -> LullError {
    let known = optionNames
    let bare = String(word.prefix { $0 != "=" })
    let error = LullError("SyntaxError", "%\(name) has no option '\(bare)'")
    if let near = nearestName(bare, among: known) {
      error.notes.append("did you mean '\(near)'?")
    } else if !known.isEmpty {
      error.notes.append("its options: " + known.joined(separator: " "))
    }
    return error
  }

  /// `%generate model prompt --max-tokens 256 ...`
  var usage: String {
    var parts = ["%\(name)"]
    let signature = record.parameters
    for (i, p) in signature.parameters.enumerated() where !p.name.hasPrefix("_") {
      let option = dashed(p.name)
      if p.isRequired {
        parts.append(p.name)
      } else if i < signature.firstKeywordOnly, kinds[p.name] != nil,
        p.defaultValue.boolValue == nil
      {
        parts.append("[\(p.name)]")
      } else if p.defaultValue.boolValue != nil {
        parts.append("[\(option)]")
      } else {
        parts.append("[\(option) \(p.name.uppercased())]")
      }
    }
    if let rest = signature.rest { parts.append("[\(rest) ...]") }
    return parts.joined(separator: " ")
  }
}

/// `--max-tokens` for `max_tokens`.
func dashed(_ name: String) -> String {
  "--" + name.map { $0 == "_" ? "-" : String($0) }.joined()
}

/// Words separated by blanks outside brackets and quotes.
func words(of line: String) -> [String] {
  var out: [String] = []
  var word = ""
  var depth = 0
  var quote: Character?
  var escaped = false
  for c in line {
    if let q = quote {
      word.append(c)
      if escaped {
        escaped = false
      } else if c == "\\" {
        escaped = true
      } else if c == q {
        quote = nil
      }
      continue
    }
    switch c {
    case "\"", "'":
      // An apostrophe inside a bare word is a letter.
      if c == "\"" || word.isEmpty || depth > 0 || !(word.last?.isLetter ?? false)
        || word.count <= 2
      {
        quote = c
      }
      word.append(c)
    case "(", "[", "{":
      depth += 1
      word.append(c)
    case ")", "]", "}":
      depth -= 1
      word.append(c)
    case " ", "\t", "\n", "\r\n":
      if depth > 0 {
        word.append(c)
      } else if !word.isEmpty {
        out.append(word)
        word = ""
      }
    default: word.append(c)
    }
  }
  if !word.isEmpty { out.append(word) }
  return out
}

public final class CommandTable {
  private(set) var commands: [Command]
  private let byName: [String: Int]

  init(_ commands: [Command]) {
    self.commands = commands
    byName = Dictionary(
      commands.enumerated().map { ($0.element.name, $0.offset) }, uniquingKeysWith: { a, _ in a })
  }

  subscript(name: String) -> Command? { byName[name].map { commands[$0] } }
  var names: [String] { commands.map(\.name) }

  func unknown(_ name: String, span: Span? = nil) -> LullError {
    let error = LullError("SyntaxError", "there is no command '%\(name)'", span: span)
    if let near = nearestName(name, among: names) {
      error.notes.append("did you mean '%\(near)'?")
    } else {
      error.notes.append("%help lists the commands")
    }
    return error
  }
}
