// Where the parts of Lull lie.

import Glibc

public enum Installation {
  public static let version = "0.1.0"

  /// The directory of the part of the library that is written in the language: `LULL_STDLIB`, else
  /// `../lib/lull/stdlib` beside an installed binary, else `stdlib` in a directory above a built one.
  public static func standardLibrary() -> String? {
    if let set = environment("LULL_STDLIB") { return set }
    guard let binary = executablePath() else { return nil }
    var directory = parent(of: binary)
    let installed = parent(of: directory) + "/lib/lull/stdlib"
    if isDirectory(installed) { return installed }
    for _ in 0..<6 {
      if isDirectory(directory + "/stdlib/mlx") { return directory + "/stdlib" }
      if directory == "/" || directory.isEmpty { break }
      directory = parent(of: directory)
    }
    return nil
  }

  /// The directory of the documentation: `docs` beside the library.
  public static func documentation() -> String? {
    guard let library = standardLibrary() else { return nil }
    let directory = parent(of: library) + "/docs"
    return isDirectory(directory) ? directory : nil
  }

  public static func executablePath() -> String? {
    var buffer = [CChar](repeating: 0, count: 4096)
    let n = readlink("/proc/self/exe", &buffer, buffer.count - 1)
    guard n > 0 else { return nil }
    return String(decoding: buffer[..<n].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

/// The value of an environment variable that is set and not empty.
public func environment(_ name: String) -> String? {
  guard let text = getenv(name) else { return nil }
  let value = String(cString: text)
  return value.isEmpty ? nil : value
}

/// The directory part of a path; "." for a bare name.
public func parent(of path: String) -> String {
  guard let slash = path.lastIndex(of: "/") else { return "." }
  let head = path[..<slash]
  return head.isEmpty ? "/" : String(head)
}

public func isDirectory(_ path: String) -> Bool {
  var info = stat()
  return stat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
}

/// A path with a leading `~` replaced by the home directory.
func expandHome(_ path: String) -> String {
  guard path == "~" || path.hasPrefix("~/"), let home = environment("HOME") else { return path }
  return home + path.dropFirst()
}

/// The names in a directory, sorted, with "/" after directories; nil when it cannot be read.
public func directoryEntries(_ path: String) -> [String]? {
  guard let handle = opendir(path.isEmpty ? "." : path) else { return nil }
  defer { closedir(handle) }
  var names: [String] = []
  while let entry = readdir(handle) {
    let name = withUnsafePointer(to: &entry.pointee.d_name) {
      $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
    if name == "." || name == ".." { continue }
    let whole = path.isEmpty ? name : path + "/" + name
    names.append(isDirectory(whole) ? name + "/" : name)
  }
  return names.sorted()
}

/// Seconds of a clock that only goes forward.
func monotonicSeconds() -> Double {
  var now = timespec()
  clock_gettime(CLOCK_MONOTONIC, &now)
  return Double(now.tv_sec) + Double(now.tv_nsec) * 1e-9
}
