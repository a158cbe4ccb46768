// The module `lull.programs`: gnuplot and Graphviz's dot as filters, text in and bytes out.
//
// Only these two can be started, by their own names on the PATH, without a shell. What they read comes from us
// (stdlib/lull/plots, stdlib/lull/teaching), with all text of the user quoted there.

import Glibc
import Kernels
import Language

/// The Debian package of each program that may be started.
private let packages = ["gnuplot": "gnuplot-nox", "dot": "graphviz"]

let programFunctions: [Builtin] = [
  Builtin(
    "find", "find(name, /)", chapter: "programs",
    doc: "Where a program (gnuplot or dot) is; None when it is not installed.",
    examples: [
      ">>> from lull.programs import find\n>>> find('dot') is None or find('dot')[-3:]\n'dot'"
    ]
  ) { (a) throws(LullError) in
    try programPath(try a.string(0)).map { makeStr($0) } ?? .none
  },
  Builtin(
    "run", "run(name, arguments, input, timeout=60.0, /)", chapter: "programs",
    doc: """
      Run gnuplot or dot with a list of arguments and a text as its input: (status, output as bytes, errors as text). \
      FileNotFoundError names the Debian package when the program is missing; TimeoutError after `timeout` seconds.
      """,
    examples: [
      ">>> from lull.programs import run\n>>> run('dot', ['-Tdot'], 'digraph { a -> b }')[0]\n0"
    ]
  ) { (a) throws(LullError) in
    let name = try a.string(0)
    guard let path = try programPath(name) else {
      throw LullError(
        "FileNotFoundError", "\(name) is not installed",
        notes: ["install it with: apt install \(packages[name] ?? name)"])
    }
    var arguments = [name]
    for v in a[1].elements {
      guard let text = v.stringValue else { throw a.wrong(1, "a list of str") }
      arguments.append(text)
    }
    guard let input = a[2].stringValue.map({ Array($0.utf8) }) ?? a[2].byteArray else {
      throw a.wrong(2, "str or bytes")
    }
    let done = try runProgram(path, arguments, input, seconds: try a.double(3))
    return makeTupleValue([
      Value(done.status), makeBytesValue(done.output),
      makeStr(String(decoding: done.errors, as: UTF8.self)),
    ])
  },
]

private func programPath(_ name: String) throws(LullError) -> String? {
  guard packages[name] != nil else {
    throw LullError(
      "PermissionError", "'\(name)' cannot be started from Lull: only gnuplot and dot can")
  }
  let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin"
  for directory in path.split(separator: ":") where directory.hasPrefix("/") {
    let file = "\(directory)/\(name)"
    var s = stat()
    if access(file, X_OK) == 0, stat(file, &s) == 0, s.st_mode & S_IFMT == S_IFREG { return file }
  }
  return nil
}

private func runProgram(_ path: String, _ arguments: [String], _ input: [UInt8], seconds: Double)
  throws(LullError) -> (status: Int, output: [UInt8], errors: [UInt8])
{
  var ends: [[Int32]] = []
  defer { for fd in ends.joined() where fd >= 0 { close(fd) } }
  for _ in 0..<3 {
    var pair: [Int32] = [-1, -1]
    guard pipe(&pair) == 0 else {
      throw LullError("OSError", "cannot start \(path): \(String(cString: strerror(errno)))")
    }
    // The program gets copies of its own ends only.
    for fd in pair { _ = fcntl(fd, F_SETFD, FD_CLOEXEC) }
    ends.append(pair)
  }
  var actions = posix_spawn_file_actions_t()
  posix_spawn_file_actions_init(&actions)
  defer { posix_spawn_file_actions_destroy(&actions) }
  posix_spawn_file_actions_adddup2(&actions, ends[0][0], 0)
  posix_spawn_file_actions_adddup2(&actions, ends[1][1], 1)
  posix_spawn_file_actions_adddup2(&actions, ends[2][1], 2)
  var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
  defer { for w in words { free(w) } }
  var child = pid_t()
  let failed = posix_spawn(&child, path, &actions, nil, &words, environ)
  guard failed == 0 else {
    throw LullError("OSError", "cannot start \(path): \(String(cString: strerror(failed)))")
  }
  for (i, k) in [(0, 0), (1, 1), (2, 1)] {
    close(ends[i][k])
    ends[i][k] = -1
  }
  func end(_ i: Int, _ k: Int) {
    close(ends[i][k])
    ends[i][k] = -1
  }
  for fd in [ends[0][1], ends[1][0], ends[2][0]] {
    _ = fcntl(fd, F_SETFL, O_NONBLOCK)
  }
  func stop() {
    kill(child, SIGKILL)
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0, errno == EINTR {}
  }

  var results: [[UInt8]] = [[], []]
  var written = 0
  var buffer = [UInt8](repeating: 0, count: 1 << 16)
  var clock = timespec()
  func now() -> Double {
    clock_gettime(CLOCK_MONOTONIC, &clock)
    return Double(clock.tv_sec) + Double(clock.tv_nsec) * 1e-9
  }
  let limit = now() + max(0, seconds)
  // A program that ends without reading all must not end us.
  let oldPipe = signal(SIGPIPE, SIG_IGN)
  defer { signal(SIGPIPE, oldPipe) }
  if input.isEmpty { end(0, 1) }
  while ends[1][0] >= 0 || ends[2][0] >= 0 {
    if now() > limit {
      stop()
      throw LullError(
        "TimeoutError", "\(arguments[0]) did not finish within \(Int(seconds)) seconds")
    }
    do throws(LullError) { try throwIfInterrupted() } catch {
      stop()
      throw error
    }
    // Closed ends are negative, which poll passes over.
    var waiting = [
      pollfd(fd: ends[0][1], events: Int16(POLLOUT), revents: 0),
      pollfd(fd: ends[1][0], events: Int16(POLLIN), revents: 0),
      pollfd(fd: ends[2][0], events: Int16(POLLIN), revents: 0),
    ]
    if poll(&waiting, 3, 50) <= 0 { continue }
    if waiting[0].revents != 0 {
      let n = input.withUnsafeBytes { bytes in
        write(
          ends[0][1], bytes.baseAddress.map { $0 + written }, min(1 << 16, input.count - written))
      }
      if n > 0 { written += n }
      if (n < 0 && errno != EAGAIN && errno != EINTR) || written == input.count { end(0, 1) }
    }
    for i in 1...2 where waiting[i].revents != 0 {
      let n = read(ends[i][0], &buffer, buffer.count)
      if n > 0 {
        results[i - 1] += buffer[..<n]
        if results[i - 1].count > 256 << 20 {
          stop()
          throw LullError("MemoryError", "\(arguments[0]) writes more than 256 MB")
        }
      } else if n == 0 || (errno != EAGAIN && errno != EINTR) {
        end(i, 0)
      }
    }
  }
  var status: Int32 = 0
  while waitpid(child, &status, 0) < 0, errno == EINTR {}
  let code = status & 0x7F == 0 ? Int(status >> 8) & 255 : 128 + Int(status & 0x7F)
  return (code, results[0], results[1])
}
