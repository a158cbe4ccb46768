// Commands of the table as programs of the command line: `lull generate --model M --prompt P`.
//
// The same record and options as in cells say what there is. On a command line every word is text, so
// numbers are read here and a wrong one is a matter of usage. The work is in stdlib/lull/cli.lull.

import Language

/// What a command line asks for.
public enum CommandLineRequest {
  /// A program to run.
  case program(String)
  case help(String)
  /// Wrong usage: what is wrong.
  case wrong(String)
}

/// The commands that the command line has, with a line on each.
public let commandLinePrograms: [(name: String, summary: String)] = [
  ("generate", "generate text with a language model"),
  ("chat", "talk with a language model"),
  ("convert", "quantise a model, or write it as GGUF or as an MLX directory"),
  ("finetune", "train adapters, or weights, of a language model"),
  ("fuse", "merge adapters into a model's weights"),
  ("transcribe", "turn speech into text with a Whisper model"),
]

extension Session {
  /// Reads the words after `lull NAME`.
  public func commandLine(_ name: String, _ words: [String]) -> CommandLineRequest {
    guard let command = table[name] else { return .wrong("there is no command '\(name)'") }
    let parameters = command.record.parameters
    let slots = parameters.parameters.prefix(parameters.firstKeywordOnly).map(\.name)
    var values: [String: [String]] = [:]
    var optionsEnded = false
    var i = 0
    while i < words.count {
      let word = words[i]
      i += 1
      if !optionsEnded, word == "--" {
        optionsEnded = true
        continue
      }
      if !optionsEnded, word == "--help" || word == "-h" { return .help(command.manual) }
      guard !optionsEnded, word.hasPrefix("-"), word != "-" else {
        // A bare word is the first argument that is not there yet, or one more of the last, where that may be several.
        if let slot = slots.first(where: { values[$0] == nil }) {
          values[slot] = [word]
        } else if let last = slots.last, command.mayRepeat(last) {
          values[last, default: []].append(word)
        } else {
          return .wrong("'\(word)' is one argument too many")
        }
        continue
      }
      let isLong = word.hasPrefix("--")
      let bare = String(word.prefix { $0 != "=" })
      let attached = word.firstIndex(of: "=").map { String(word[word.index(after: $0)...]) }
      guard let parameter = command.option(bare), isLong || bare.count == 2 else {
        let known = command.optionNames + slots.map(dashed)
        let near = nearestName(bare, among: known)
        return .wrong(
          "unknown option '\(bare)'" + (near.map { "; did you mean '\($0)'?" } ?? ""))
      }
      if parameter.defaultValue.boolValue != nil {
        // As for mlx-lm, a flag may be followed by True or False.
        var text = attached
        if text == nil, i < words.count, ["True", "False"].contains(words[i]) {
          text = words[i]
          i += 1
        }
        let isNegated = bare.hasPrefix("--no-")
        switch text?.lowercased() {
        case nil, "true", "t", "1", "yes": values[parameter.name] = [isNegated ? "False" : "True"]
        case "false", "f", "0", "no": values[parameter.name] = [isNegated ? "True" : "False"]
        case let other: return .wrong("\(bare) is True or False, not '\(other ?? "")'")
        }
        continue
      }
      guard let text = attached ?? (i < words.count ? words[i] : nil) else {
        return .wrong("\(bare) needs a value")
      }
      if attached == nil { i += 1 }
      values[parameter.name, default: []].append(text)
    }

    var arguments: [String] = []
    for parameter in parameters.parameters {
      guard let given = values[parameter.name] else {
        guard parameter.isRequired else { continue }
        let help = command.options.first { $0.name == parameter.name }?.help ?? ""
        let option = command.options.first { $0.name == parameter.name }.map(commandLineName)
        let name = command.mayRepeat(parameter.name) ? parameter.name : nil
        return .wrong("\(name ?? option ?? dashed(parameter.name)) is missing: \(help)")
      }
      let option = command.options.first { $0.name == parameter.name }
      if given.count > 1, !(option?.repeats ?? false) {
        return .wrong("\(dashed(parameter.name)) is given twice")
      }
      var texts: [String] = []
      for text in given {
        if parameter.defaultValue.boolValue != nil {
          texts.append(text)
        } else if parameter.name == "model" || (option?.kind ?? .text) != .expression {
          texts.append(pythonLiteral(text))
        } else if let number = numberLiteral(text, like: parameter.defaultValue) {
          texts.append(number)
        } else {
          let what = parameter.defaultValue.tag == .float ? "a number" : "an integer"
          return .wrong("\(dashed(parameter.name)) needs \(what), not '\(text)'")
        }
      }
      let value = option?.repeats == true ? "[\(texts.joined(separator: ", "))]" : texts[0]
      arguments.append("\(parameter.name)=\(value)")
    }
    return .program(
      "from lull import cli\ncli.\(name)(\(arguments.joined(separator: ", ")))\n")
  }
}

/// mlx-lm's name of an option where it has one of its own.
private func commandLineName(_ option: CommandOption) -> String {
  dashed(option.aliases.first { $0.count > 1 } ?? option.name)
}

/// The text as a number of the language; options whose default is an int, or None, take ints only.
private func numberLiteral(_ text: String, like value: Value) -> String? {
  if let number = Int(text) { return "\(number)" }
  guard value.tag == .float || value.isNone, let number = Double(text), number.isFinite else {
    return nil
  }
  return "\(number)"
}

extension Command {
  /// Whether an argument may be given several times.
  fileprivate func mayRepeat(_ name: String) -> Bool {
    options.contains { $0.name == name && $0.repeats }
  }

  /// The text of `lull NAME --help`.
  var manual: String {
    let required = options.filter { !$0.declaration.contains("=") }
    var usage = "usage: lull \(name)"
    for option in required {
      let name = option.name.uppercased()
      usage += option.repeats ? " \(name) [\(name) ...]" : " \(commandLineName(option)) \(name)"
    }
    usage += " [options]"
    return "\(usage)\n\n\(record.doc)\n\noptions:\n" + optionTable(isCommandLine: true)
  }

  /// A line on each option, as it is typed on the command line or in a cell.
  func optionTable(isCommandLine: Bool) -> String {
    var rows: [(String, String)] = []
    for option in options {
      let isRequired = !option.declaration.contains("=")
      if !isCommandLine, isRequired {
        rows.append((option.name, option.help))
        continue
      }
      let value = record.parameters.parameters.first { $0.name == option.name }?.defaultValue
      let flag = value?.boolValue
      var names = isCommandLine ? option.aliases.filter { $0.count == 1 }.map { "-" + $0 } : []
      names.append(isCommandLine ? commandLineName(option) : dashed(option.name))
      if isRequired, option.repeats {
        rows.append((option.name.uppercased(), option.help))
        continue
      }
      if flag == true { names = [dashed("no_" + option.name)] }
      var left = names.joined(separator: ", ")
      if flag == nil {
        left += " " + (isRequired ? option.name.uppercased() : placeholder(option, value))
      }
      var help = flag == true ? "do not " + option.help : option.help
      if flag == nil, let equals = option.declaration.firstIndex(of: "=") {
        let text = option.declaration[option.declaration.index(after: equals)...]
        if text != "None" { help += " (default: \(text.filter { $0 != "\"" }))" }
      }
      rows.append((left, help))
    }
    if isCommandLine { rows.append(("-h, --help", "show this text")) }
    let width = rows.map { $0.0.count }.max() ?? 0
    return rows.map { left, help in
      "  \(left)\(String(repeating: " ", count: width - left.count))  \(help)\n"
    }.joined()
  }

  private func placeholder(_ option: CommandOption, _ value: Value?) -> String {
    switch option.kind {
    case .path: "PATH"
    case .text: "TEXT"
    case .expression: value?.tag == .float ? "X" : "N"
    }
  }
}
