// `lull kernel`: the Jupyter kernel and its installation.

import Jupyter
import Language
import Session

private let kernelUsage = """
  usage: lull kernel install [--user | --sys-prefix | --prefix DIR] [--name NAME] [--display-name TEXT]
         lull kernel uninstall [--user | --sys-prefix | --prefix DIR] [--name NAME]
         lull kernel list
         lull kernel run [-f CONNECTION_FILE]

  install tells Jupyter of Lull: for you (--user, the default), in the active virtual environment
  (--sys-prefix), or below DIR/share/jupyter. list shows where it is installed. run is what Jupyter
  calls; without a file it makes one, for `jupyter console --existing`.
  """

func runKernelCommand(_ words: [String]) -> Int32 {
  guard let action = words.first else {
    return wrongKernel("say what to do: install, uninstall, list or run")
  }
  if words.contains("--help") || words.contains("-h") {
    OutputSink.standardOutput.write(kernelUsage + "\n")
    return ExitCode.ok
  }
  guard let options = kernelOptions[action] else {
    let hint = nearest(action, kernelOptions.keys.sorted())
    return wrongKernel("unknown command '\(action)'\(hint)")
  }
  var values: [String: String] = [:]
  var i = 1
  while i < words.count {
    var word = words[i]
    i += 1
    var attached: String?
    if word.hasPrefix("--"), let equals = word.firstIndex(of: "=") {
      attached = String(word[word.index(after: equals)...])
      word = String(word[..<equals])
    }
    guard let takesValue = options[word] else {
      let hint = nearest(word, options.keys.sorted())
      return wrongKernel(
        word.hasPrefix("-")
          ? "unknown option '\(word)'\(hint)" : "'\(word)' is one argument too many")
    }
    if takesValue {
      guard let value = attached ?? (i < words.count ? words[i] : nil), !value.isEmpty else {
        return wrongKernel("\(word) needs a value")
      }
      if attached == nil { i += 1 }
      values[word] = value
    } else if attached != nil {
      return wrongKernel("\(word) takes no value")
    } else {
      values[word] = ""
    }
  }
  if ["--user", "--sys-prefix", "--prefix"].count(where: { values[$0] != nil }) > 1 {
    return wrongKernel("--user, --sys-prefix and --prefix exclude each other")
  }
  do throws(KernelError) {
    return try runKernel(action, values)
  } catch {
    return fail(error.description)
  }
}

/// The options of each command and whether they take a value.
private let kernelOptions: [String: [String: Bool]] = {
  let places = ["--user": false, "--sys-prefix": false, "--prefix": true, "--name": true]
  return [
    "install": places.merging(["--display-name": true]) { a, _ in a }, "uninstall": places,
    "list": [:], "run": ["-f": true],
  ]
}()

private func runKernel(_ action: String, _ values: [String: String]) throws(KernelError) -> Int32 {
  let name = values["--name"] ?? "lull"
  var place = KernelSpecification.Place.user
  if values["--sys-prefix"] != nil { place = .environment }
  if let prefix = values["--prefix"] { place = .prefix(prefix) }
  let out = OutputSink.standardOutput
  switch action {
  case "install":
    let directory = try KernelSpecification.install(
      name: name, displayName: values["--display-name"] ?? "Lull", at: place)
    out.write("Installed the kernel '\(name)' in \(directory)\n")
    if let missing = Kernel.missingLibrary {
      OutputSink.standardError.write("It cannot run yet: \(missing)\n")
    }
  case "uninstall":
    out.write("Removed \(try KernelSpecification.uninstall(name: name, at: place))\n")
  case "list":
    let all = KernelSpecification.installed()
    if all.isEmpty { out.write("No kernel is installed: 'lull kernel install' does it.\n") }
    for kernel in all {
      out.write("\(kernel.directory)  \(kernel.program)\(kernel.isUsable ? "" : "  (missing)")\n")
    }
  default: return try Kernel.run(connectionFile: values["-f"])
  }
  return ExitCode.ok
}

private func nearest(_ word: String, _ known: [String]) -> String {
  nearestName(word, among: known).map { "; did you mean '\($0)'?" } ?? ""
}

private func wrongKernel(_ message: String) -> Int32 {
  OutputSink.standardError.write("lull kernel: \(message)\nTry 'lull kernel --help'.\n")
  return ExitCode.usage
}
