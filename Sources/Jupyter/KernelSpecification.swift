// The kernelspec: how Jupyter finds and starts the kernel.
//
// A directory of Jupyter's data path with kernel.json and a logo. It names the program that installed it by
// its absolute path. Only directories that Lull wrote are replaced or removed.

import Formats
import Glibc
import Notebook
import Session

public enum KernelSpecification {
  /// Where a kernelspec is installed.
  public enum Place {
    /// The user's own data directory.
    case user
    /// `share/jupyter` below a directory.
    case prefix(String)
    /// `share/jupyter` of the active virtual environment.
    case environment
  }

  /// Installs the kernelspec; its directory.
  public static func install(name: String, displayName: String, at place: Place)
    throws(KernelError) -> String
  {
    let directory = try directory(of: name, at: place)
    if fileExists(directory + "/kernel.json"), !isOurs(directory) {
      throw KernelError(
        "'\(directory)' is another program's kernel; choose another --name, or remove it first")
    }
    guard makeDirectories(directory) else {
      throw KernelError("cannot make the directory '\(directory)': \(systemError())")
    }
    guard let binary = Installation.executablePath() else {
      throw KernelError("cannot find out where this program is")
    }
    let specification: JSON = [
      "argv": [.string(binary), "kernel", "run", "-f", "{connection_file}"],
      "display_name": .string(displayName), "language": "python", "interrupt_mode": "message",
      "metadata": ["debugger": false, "lull": ["version": .string(Installation.version)]],
    ]
    let files = [
      ("kernel.json", specification.serialized(.init(indent: 1)) + "\n"), ("logo-svg.svg", logo),
    ]
    for (file, text) in files {
      do throws(FormatError) {
        try writeAtomically(text, to: directory + "/" + file)
      } catch {
        throw KernelError("cannot write '\(directory)/\(file)': \(error.found)")
      }
    }
    return directory
  }

  /// Removes the kernelspec; its directory.
  public static func uninstall(name: String, at place: Place) throws(KernelError) -> String {
    let directory = try directory(of: name, at: place)
    guard isDirectory(directory) else { throw KernelError("no kernel '\(name)' in '\(directory)'") }
    guard isOurs(directory) else {
      throw KernelError("'\(directory)' is another program's kernel; it stays")
    }
    for file in ["kernel.json", "logo-svg.svg"] { unlink(directory + "/" + file) }
    guard rmdir(directory) == 0 else {
      throw KernelError("cannot remove '\(directory)': \(systemError())")
    }
    return directory
  }

  /// The directories of Lull's kernelspecs on Jupyter's data path, and whether their program is there.
  public static func installed() -> [(directory: String, program: String, isUsable: Bool)] {
    var roots: [String] = []
    for path in (environment("JUPYTER_PATH") ?? "").split(separator: ":") {
      roots.append(String(path))
    }
    if let data = jupyterDataDirectory() { roots.append(data) }
    if let active = activeEnvironment { roots.append(active + "/share/jupyter") }
    roots += ["/usr/local/share/jupyter", "/usr/share/jupyter"]
    var found: [(directory: String, program: String, isUsable: Bool)] = []
    var seen: Set<String> = []
    for root in roots where seen.insert(root).inserted {
      for name in directoryNames(root + "/kernels") {
        let directory = root + "/kernels/" + name
        guard isOurs(directory), let program = json(directory)?["argv"]?[0]?.string else {
          continue
        }
        found.append((directory, program, access(program, X_OK) == 0))
      }
    }
    return found
  }

  // MARK: - Places

  private static var activeEnvironment: String? {
    environment("VIRTUAL_ENV") ?? environment("CONDA_PREFIX")
  }

  private static func directory(of name: String, at place: Place) throws(KernelError) -> String {
    let isName =
      !name.isEmpty && name.utf8.count <= 100
      && name.utf8.allSatisfy {
        ($0 >= 48 && $0 <= 57) || ($0 >= 65 && $0 <= 90) || ($0 >= 97 && $0 <= 122) || $0 == 45
          || $0 == 46 || $0 == 95
      } && name != "." && name != ".."
    guard isName else {
      throw KernelError("'\(name)' is no name for a kernel: use letters, digits, '-', '_' and '.'")
    }
    switch place {
    case .user:
      guard let data = jupyterDataDirectory() else {
        throw KernelError("HOME is not set: name a directory with --prefix")
      }
      return data + "/kernels/" + name
    case .prefix(let prefix):
      return prefix + "/share/jupyter/kernels/" + name
    case .environment:
      guard let active = activeEnvironment else {
        throw KernelError(
          "no virtual environment is active (VIRTUAL_ENV and CONDA_PREFIX are not set): use --prefix DIR"
        )
      }
      return active + "/share/jupyter/kernels/" + name
    }
  }

  private static func isOurs(_ directory: String) -> Bool {
    json(directory)?["metadata"]?["lull"] != nil
  }

  private static func json(_ directory: String) -> JSON? {
    do throws(FormatError) {
      return try JSON.load(directory + "/kernel.json", limit: 1 << 20)
    } catch {
      return nil
    }
  }

  private static func directoryNames(_ path: String) -> [String] {
    (directoryEntries(path) ?? []).filter { $0.hasSuffix("/") }.map { String($0.dropLast()) }
  }

  private static func systemError() -> String { String(cString: strerror(errno)) }

  /// Three bars of a lullaby's falling tune.
  private static let logo = """
    <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" role="img" aria-label="Lull">
    <rect width="64" height="64" rx="14" fill="#27406b"/>
    <path d="M15 14v36" stroke="#f4d58d" stroke-width="7" stroke-linecap="round"/>
    <path d="M27 26v24" stroke="#e8eef8" stroke-width="7" stroke-linecap="round"/>
    <path d="M39 34v16" stroke="#b9c9e6" stroke-width="7" stroke-linecap="round"/>
    <path d="M51 42v8" stroke="#8fa8d3" stroke-width="7" stroke-linecap="round"/>
    </svg>

    """
}
