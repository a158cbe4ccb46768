// The connection file: where the kernel's sockets are, and the key that signs messages.
//
// A front end writes one and passes its name; started by hand, the kernel writes its own. A port of 0 is
// chosen by the system and written back into the file.

import Formats
import Glibc
import Session

/// A failure of the kernel that is its user's: one line.
public struct KernelError: Error, CustomStringConvertible {
  public let description: String
  init(_ description: String) { self.description = description }
}

struct ConnectionFile {
  enum Port: String, CaseIterable {
    case shell = "shell_port"
    case iopub = "iopub_port"
    case stdin = "stdin_port"
    case control = "control_port"
    case heartbeat = "hb_port"
  }

  var transport = "tcp"
  /// The address; with transport ipc the beginning of the sockets' file names.
  var address = "127.0.0.1"
  var ports: [Port: Int] = [:]
  /// Empty: messages are not signed.
  var key: [UInt8] = []
  /// Members that a front end has put there for itself.
  private var other = JSONObject()

  init() {
    for port in Port.allCases { ports[port] = 0 }
    key = Array(randomIdentifier().utf8)
  }

  init(path: String) throws(KernelError) {
    let json: JSON
    do throws(FormatError) {
      json = try JSON.load(path, limit: 1 << 20)
    } catch {
      throw KernelError("cannot use the connection file: \(error)")
    }
    func bad(_ what: String) -> KernelError { KernelError("connection file '\(path)': \(what)") }
    guard case .object(let members) = json else { throw bad("it holds no object") }
    other = members
    if let value = members["transport"] {
      guard let name = value.string, name == "tcp" || name == "ipc" else {
        throw bad("'transport' must be \"tcp\" or \"ipc\"")
      }
      transport = name
    }
    if let value = members["ip"] {
      guard let text = value.string, !text.isEmpty, !text.utf8.contains(0) else {
        throw bad("'ip' must be an address")
      }
      address = text
    } else if transport == "ipc" {
      throw bad("'ip' is missing: with transport ipc it begins the names of the sockets")
    }
    for port in Port.allCases {
      guard let number = members[port.rawValue]?.int, (0...65535).contains(number) else {
        throw bad("'\(port.rawValue)' must be a port number from 0 to 65535")
      }
      ports[port] = number
    }
    guard let text = (members["key"] ?? "").string else { throw bad("'key' must be a string") }
    key = Array(text.utf8)
    let scheme = members["signature_scheme"]?.string ?? "hmac-sha256"
    guard scheme == "hmac-sha256" || key.isEmpty else {
      throw bad("'signature_scheme' is '\(scheme)'; Lull signs with hmac-sha256")
    }
  }

  func endpoint(_ port: Port) -> String {
    let number = ports[port] ?? 0
    if transport == "ipc" { return "ipc://\(address)-\(number)" }
    let host = address.contains(":") && !address.hasPrefix("[") ? "[\(address)]" : address
    return "tcp://\(host):\(number == 0 ? "*" : String(number))"
  }

  /// Writes the file, for the user's eyes only.
  func write(to path: String) throws(KernelError) {
    var members = other
    members["transport"] = .string(transport)
    members["ip"] = .string(address)
    for port in Port.allCases { members[port.rawValue] = .int(ports[port] ?? 0) }
    members["key"] = .string(String(decoding: key, as: UTF8.self))
    members["signature_scheme"] = "hmac-sha256"
    if members["kernel_name"] == nil { members["kernel_name"] = "lull" }
    let bytes = JSON.object(members).serializedBytes(.init(indent: 2)) + [10]
    let old = umask(0o077)
    defer { umask(old) }
    do throws(FormatError) {
      try writeAtomically(bytes, to: path)
    } catch {
      throw KernelError("cannot write the connection file '\(path)': \(error.found)")
    }
  }

  /// Where a kernel that is started by hand puts its file, so that `jupyter console --existing` finds it.
  static func ownPath() throws(KernelError) -> String {
    let directory: String
    if let set = environment("JUPYTER_RUNTIME_DIR") {
      directory = set
    } else if let data = jupyterDataDirectory() {
      directory = data + "/runtime"
    } else {
      throw KernelError(
        "no place for a connection file: set JUPYTER_RUNTIME_DIR or HOME, or name one with -f")
    }
    guard makeDirectories(directory, mode: 0o700) else {
      throw KernelError("cannot make the directory '\(directory)'")
    }
    return directory + "/kernel-\(getpid()).json"
  }
}

/// `$JUPYTER_DATA_DIR`, `$XDG_DATA_HOME/jupyter`, `~/.local/share/jupyter`.
func jupyterDataDirectory() -> String? {
  if let set = environment("JUPYTER_DATA_DIR") { return set }
  if let set = environment("XDG_DATA_HOME") { return set + "/jupyter" }
  return environment("HOME").map { $0 + "/.local/share/jupyter" }
}

/// Makes a directory and those above it; whether it is there now.
func makeDirectories(_ path: String, mode: mode_t = 0o755) -> Bool {
  if isDirectory(path) { return true }
  let above = parent(of: path)
  if above != path, !isDirectory(above), !makeDirectories(above, mode: mode) { return false }
  return mkdir(path, mode) == 0 || isDirectory(path)
}

/// 32 random hex digits in the groups of a UUID.
func randomIdentifier() -> String {
  var generator = SystemRandomNumberGenerator()
  var digits = ""
  for _ in 0..<2 {
    let part = String(generator.next() as UInt64, radix: 16)
    digits += String(repeating: "0", count: 16 - part.count) + part
  }
  var out = ""
  for (i, digit) in digits.enumerated() {
    if [8, 12, 16, 20].contains(i) { out += "-" }
    out.append(digit)
  }
  return out
}
