// The history file: one entry a line, a whole cell an entry.
//
// Newlines inside an entry are written `\n` and backslashes `\\`. Entries are appended as they are
// entered, each in one write, so that several sessions can share the file and a crash loses nothing.

import Glibc
import Session

struct History {
  private let path: String?
  private var last: String?
  static let maximumEntries = 5000

  /// `$XDG_STATE_HOME/lull/history`, by default `~/.local/state/lull/history`.
  init() {
    if let state = environment("XDG_STATE_HOME") {
      path = state + "/lull/history"
    } else if let home = environment("HOME") {
      path = home + "/.local/state/lull/history"
    } else {
      path = nil
    }
  }

  /// The latest entries, oldest first.
  mutating func load() -> [String] {
    guard let path, let file = fopen(path, "r") else { return [] }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    // A very long history is read from near its end.
    fseek(file, 0, SEEK_END)
    let size = ftell(file)
    fseek(file, max(0, size - (4 << 20)), SEEK_SET)
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let n = fread(&buffer, 1, buffer.count, file)
      if n == 0 { break }
      bytes += buffer[..<n]
    }
    let lines = bytes.split(separator: 10).map { String(decoding: $0, as: UTF8.self) }
    let entries = lines.suffix(History.maximumEntries).map(History.unescaped)
    last = entries.last
    return entries
  }

  /// Adds an entry; one equal to the entry before it is kept once. True when it is new.
  mutating func append(_ entry: String) -> Bool {
    if entry == last { return false }
    last = entry
    guard let path else { return true }
    makeDirectories(parent(of: path))
    let line = Array((History.escaped(entry) + "\n").utf8)
    let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    if descriptor >= 0 {
      _ = line.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      close(descriptor)
    }
    return true
  }

  private func makeDirectories(_ directory: String) {
    if isDirectory(directory) { return }
    if directory != "/", directory != "." { makeDirectories(parent(of: directory)) }
    mkdir(directory, 0o700)
  }

  private static func escaped(_ text: String) -> String {
    var out = ""
    for c in text.unicodeScalars {
      switch c {
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\r": break
      default: out.unicodeScalars.append(c)
      }
    }
    return out
  }

  private static func unescaped(_ line: String) -> String {
    var out = ""
    var isEscaped = false
    for c in line.unicodeScalars {
      if isEscaped {
        out.unicodeScalars.append(c == "n" ? "\n" : c)
        isEscaped = false
      } else if c == "\\" {
        isEscaped = true
      } else {
        out.unicodeScalars.append(c)
      }
    }
    return out
  }
}
