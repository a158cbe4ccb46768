// `lull run`, `check`, `export` and `new`: what is done with notebook files.

import Language
import Notebook
import Session

/// A program of the command line with its options, declared here alone.
struct NotebookProgram {
  let name: String
  let usage: String
  /// Options as they are typed, how many values each takes, and what it does.
  let options: [(names: [String], values: [String], help: String)]
  let run: @Sendable (_ paths: [String], _ options: [String: [[String]]]) -> Int32

  var help: String {
    var rows = options.map { option -> (String, String) in
      (([option.names.joined(separator: ", ")] + option.values).joined(separator: " "), option.help)
    }
    rows.append(("-h, --help", "show this"))
    let width = rows.map(\.0.count).max() ?? 0
    let table = rows.map { row in
      "  \(row.0)\(String(repeating: " ", count: width - row.0.count))  \(row.1)\n"
    }
    return "usage: \(usage)\n\n" + table.joined()
  }
}

let notebookPrograms: [NotebookProgram] = [
  NotebookProgram(
    name: "run", usage: "lull run NOTEBOOK [options]",
    options: [
      (["-o", "--output"], ["OUT"], "write the executed notebook to OUT (.ipynb)"),
      (["--in-place"], [], "write it over NOTEBOOK"),
      (["-p", "--parameter"], ["NAME", "VALUE"], "set a parameter; can be repeated"),
      (["-r", "--raw-parameter"], ["NAME", "TEXT"], "set a parameter to a text as it is"),
      (["-f", "--parameters-file"], ["FILE"], "parameters from a .json or .yaml file"),
      (["--list-parameters"], [], "show what the cell of parameters sets, and run nothing"),
      (["--allow-errors"], [], "go on after a cell that fails; the run succeeds"),
      (["--keep-going"], [], "go on after a cell that fails; the run fails at its end"),
      (["--timeout"], ["SECONDS"], "interrupt a cell that takes longer"),
      (["--total-timeout"], ["SECONDS"], "end a run that takes longer"),
      (["-q", "--quiet"], [], "show no outputs, only progress and failures"),
    ], run: runRun),
  NotebookProgram(
    name: "check", usage: "lull check NOTEBOOK ... [options]",
    options: [
      (["--rtol"], ["X"], "relative tolerance for numbers (1e-5)"),
      (["--atol"], ["X"], "absolute tolerance for numbers (1e-8)"),
      (["--timeout"], ["SECONDS"], "interrupt a cell that takes longer"),
    ], run: runCheck),
  NotebookProgram(
    name: "export", usage: "lull export NOTEBOOK ... [-o OUT]",
    options: [
      (
        ["-o", "--output"], ["OUT"],
        "an .html, .lull, .py or .ipynb file (NOTEBOOK's name with .html)"
      ),
      (["--to"], ["FORM"], "html, lull, py or ipynb, beside each NOTEBOOK"),
    ], run: runExport),
  NotebookProgram(
    name: "new", usage: "lull new NOTEBOOK [--title TEXT]",
    options: [(["--title"], ["TEXT"], "its title (the file's name)")], run: runNew),
]

/// Usage that is wrong: what to say.
private struct WrongUsage: Error { let message: String }

func runNotebookProgram(_ name: String, _ arguments: [String]) -> Int32 {
  OutputSink.standardOutput.isSilent = Processes.rank > 0
  guard let program = notebookPrograms.first(where: { $0.name == name }) else {
    return ExitCode.usage
  }
  var options: [String: [[String]]] = [:]
  var paths: [String] = []
  var i = 0
  while i < arguments.count {
    var word = arguments[i]
    i += 1
    guard word.hasPrefix("-"), word != "-" else {
      paths.append(word)
      continue
    }
    if word == "--" {
      paths += arguments[i...]
      break
    }
    if word == "-h" || word == "--help" {
      OutputSink.standardOutput.write(program.help)
      return ExitCode.ok
    }
    var values: [String] = []
    if word.hasPrefix("--"), let equals = word.firstIndex(of: "=") {
      values = [String(word[word.index(after: equals)...])]
      word = String(word[..<equals])
    }
    guard let option = program.options.first(where: { $0.names.contains(word) }) else {
      let known = program.options.flatMap(\.names).filter { $0.hasPrefix("--") }
      let hint = nearestName(word, among: known).map { "; did you mean '\($0)'?" } ?? ""
      return wrong(name, "unknown option '\(word)'\(hint)")
    }
    while values.count < option.values.count, i < arguments.count {
      values.append(arguments[i])
      i += 1
    }
    guard values.count == option.values.count else {
      let what = option.values.map { $0.lowercased() }.joined(separator: " and ")
      return wrong(
        name, option.values.isEmpty ? "\(word) takes no value" : "\(word) needs a \(what)")
    }
    options[option.names[option.names.count - 1], default: []].append(values)
  }
  if paths.isEmpty { return wrong(name, "name the notebook") }
  return program.run(paths, options)
}

private func wrong(_ name: String, _ message: String) -> Int32 {
  OutputSink.standardError.write("lull \(name): \(message)\nTry 'lull \(name) --help'.\n")
  return ExitCode.usage
}

private func number(_ options: [String: [[String]]], _ name: String, allowZero: Bool = false)
  throws(WrongUsage) -> Double?
{
  guard let text = options[name]?.last?.first else { return nil }
  guard let value = Double(text), value > 0 || allowZero && value == 0, value < 1e9 else {
    let what = name.hasSuffix("timeout") ? "positive number of seconds" : "number from 0 on"
    throw WrongUsage(message: "\(name) needs a \(what), not '\(text)'")
  }
  return value
}

// MARK: - The programs

private func runRun(_ paths: [String], _ given: [String: [[String]]]) -> Int32 {
  if paths.count > 1 {
    return wrong("run", "one notebook at a time: '\(paths[1])' is one too many")
  }
  var options = NotebookOptions()
  options.output = given["--output"]?.last?[0]
  options.inPlace = given["--in-place"] != nil
  options.allowErrors = given["--allow-errors"] != nil
  options.keepGoing = given["--keep-going"] != nil
  options.isQuiet = given["--quiet"] != nil
  options.parameterFiles = (given["--parameters-file"] ?? []).map { $0[0] }
  for (option, isRaw) in [("--parameter", false), ("--raw-parameter", true)] {
    for pair in given[option] ?? [] {
      guard isParameterName(pair[0]) else {
        return wrong("run", "'\(pair[0])' is not a name for a parameter")
      }
      options.parameters.append((pair[0], isRaw ? pythonLiteral(pair[1]) : literal(pair[1])))
    }
  }
  do throws(WrongUsage) {
    options.timeout = try number(given, "--timeout")
    options.totalTimeout = try number(given, "--total-timeout")
  } catch {
    return wrong("run", error.message)
  }
  if options.inPlace, options.output != nil {
    return wrong("run", "-o and --in-place exclude each other")
  }
  if given["--list-parameters"] != nil { return listParameters(paths[0]) }
  return status(runNotebook(paths[0], options))
}

private func listParameters(_ path: String) -> Int32 {
  do throws(NotebookError) {
    let notebook = try readNotebook(path)
    guard let parameters = notebook.declaredParameters(Session()) else {
      return fail("'\(path)' has no cell tagged 'parameters'")
    }
    for parameter in parameters { printLine(parameter.line) }
    return ExitCode.ok
  } catch {
    return fail(error.description)
  }
}

private func status(_ outcome: NotebookOutcome) -> Int32 {
  switch outcome {
  case .done: return ExitCode.ok
  case .failed: return ExitCode.failed
  case .interrupted: return ExitCode.interrupted
  case .exit(let code): return code
  case .unusable(let message): return fail(message)
  }
}

private func runCheck(_ paths: [String], _ given: [String: [[String]]]) -> Int32 {
  if paths.count > 1 {
    return wrong("check", "one notebook at a time: '\(paths[1])' is one too many")
  }
  var options = CheckOptions()
  do throws(WrongUsage) {
    options.relativeTolerance =
      try number(given, "--rtol", allowZero: true) ?? options.relativeTolerance
    options.absoluteTolerance =
      try number(given, "--atol", allowZero: true) ?? options.absoluteTolerance
    options.timeout = try number(given, "--timeout")
  } catch {
    return wrong("check", error.message)
  }
  return status(checkNotebook(paths[0], options))
}

private func runExport(_ paths: [String], _ given: [String: [[String]]]) -> Int32 {
  let output = given["--output"]?.last?[0]
  let form = given["--to"]?.last?[0]
  if output != nil, form != nil { return wrong("export", "-o and --to exclude each other") }
  if output != nil, paths.count > 1 {
    return wrong("export", "-o takes one notebook; use --to for several")
  }
  if let form, !["html", "lull", "py", "ipynb"].contains(form) {
    return wrong("export", "--to takes html, lull, py or ipynb, not '\(form)'")
  }
  for path in paths {
    let stem = path.lastIndex(of: ".").map { String(path[..<$0]) } ?? path
    let target = output ?? "\(stem).\(form ?? "html")"
    if target == path { return wrong("export", "'\(path)' would be written over itself") }
    do throws(ExportFailure) {
      try exportNotebook(path, to: target)
    } catch {
      return fail(error.message)
    }
    printLine(target)
  }
  return ExitCode.ok
}

private func runNew(_ paths: [String], _ given: [String: [[String]]]) -> Int32 {
  if paths.count > 1 {
    return wrong("new", "one notebook at a time: '\(paths[1])' is one too many")
  }
  let file = paths[0].split(separator: "/").last.map(String.init) ?? paths[0]
  let stem = file.lastIndex(of: ".").map { String(file[..<$0]) } ?? file
  do throws(ExportFailure) {
    try makeNotebook(paths[0], title: given["--title"]?.last?[0] ?? stem)
    printLine(paths[0])
    return ExitCode.ok
  } catch {
    return fail(error.message)
  }
}
