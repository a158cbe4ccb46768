// Markdown as HTML, by the program cmark-gfm (Debian: cmark-gfm), GitHub's reading of CommonMark.

import Glibc

struct ProgramFailure: Error { let message: String }

/// Markdown with tables, strikethrough and links; raw HTML passes but for scripts, styles and frames.
func markdownHTML(_ text: String) throws(ProgramFailure) -> String {
  try output(
    of: [
      "cmark-gfm", "--unsafe", "-e", "table", "-e", "strikethrough", "-e", "autolink", "-e",
      "tagfilter",
    ], input: text, package: "cmark-gfm")
}

/// What a program of the system prints for an input.
func output(of command: [String], input: String, package: String) throws(ProgramFailure) -> String {
  let name = command[0]
  guard let file = tmpfile() else { throw ProgramFailure(message: "no temporary file can be made") }
  defer { fclose(file) }
  let bytes = Array(input.utf8)
  fwrite(bytes, 1, bytes.count, file)
  fflush(file)
  lseek(fileno(file), 0, SEEK_SET)
  var ends: [Int32] = [-1, -1]
  guard pipe(&ends) == 0 else { throw ProgramFailure(message: "no pipe can be made") }
  for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
  defer { close(ends[0]) }
  var actions = posix_spawn_file_actions_t()
  posix_spawn_file_actions_init(&actions)
  defer { posix_spawn_file_actions_destroy(&actions) }
  posix_spawn_file_actions_adddup2(&actions, fileno(file), 0)
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
  var words: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
  defer { for word in words { free(word) } }
  var process = pid_t()
  let failure = posix_spawnp(&process, name, &actions, nil, &words, environ)
  close(ends[1])
  if failure != 0 {
    throw ProgramFailure(message: "the program '\(name)' is not there (Debian: \(package))")
  }
  var result: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 1 << 16)
  while true {
    let n = read(ends[0], &buffer, buffer.count)
    if n > 0 { result += buffer[..<n] } else if n == 0 || errno != EINTR { break }
  }
  var status: Int32 = 0
  while waitpid(process, &status, 0) < 0, errno == EINTR {}
  guard status == 0 else { throw ProgramFailure(message: "the program '\(name)' failed") }
  return String(decoding: result, as: UTF8.self)
}
