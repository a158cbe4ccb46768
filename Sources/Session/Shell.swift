// `!command` lines: the system's shell.
//
// At a terminal the command has it to itself, so that editors and pagers work. Elsewhere it reads nothing, and what it writes is
// shown as it comes. `{expression}` and `$name` stand for values of the session, where they have one: what is meant for the
// shell itself (`$HOME`, `{a,b}`) passes.

import Glibc
import Language

extension Session {
  func shellCommand() -> Command {
    Command(
      Builtin(
        "shell", "shell(command, capture=False, /)", chapter: "session",
        doc: """
          Run a command of the system's shell; `!command` is the same. `lines = !command` gives its output as a list of lines. \
          {expression} and $name stand for values of the session; the exit status is left in _exit_code.
          """,
        examples: ["!ls -l", "files = !ls", "%shell git log -1"]
      ) { [unowned self] (a) throws(LullError) in
        try self.runShell(try a.string(0), captures: try truth(a[1]))
      }, kinds: ["command": .text], isFunction: false,
      cell: { [unowned self] (line, body) throws(LullError) in
        try self.runShell(line.isEmpty ? body : line + "\n" + body, captures: false)
      })
  }

  /// Runs a command; the lines of its output, or None when they were shown.
  private func runShell(_ command: String, captures: Bool) throws(LullError) -> Value {
    let text = expanded(command)
    if text.trimmed.isEmpty {
      throw LullError("SyntaxError", "'!' needs a command", notes: ["as in !ls -l"])
    }
    var collected: [UInt8] = []
    onFlush()
    let status: Int32
    if sharesTerminal, !captures {
      status = try spawnShell(text, output: nil)
    } else {
      status = try spawnShell(text) { [unowned self] (bytes, isError) in
        if captures, !isError {
          collected += bytes
        } else {
          self.onOutput(
            .stream(
              name: isError ? "stderr" : "stdout", text: String(decoding: bytes, as: UTF8.self)))
        }
      }
    }
    // As a shell has it: the status, or 128 and the signal that ended it.
    let code = status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F)
    interpreter.addBuiltin("_exit_code", Value(Int(code)))
    guard captures else { return .none }
    var lines = String(decoding: collected, as: UTF8.self)
      .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    if lines.last == "" { lines.removeLast() }
    return makeListValue(lines.map { strValue($0) })
  }

  // MARK: - Values in the command

  private func expanded(_ command: String) -> String {
    guard command.contains("{") || command.contains("$") else { return command }
    let bytes = Array(command.utf8)
    var out: [UInt8] = []
    var i = 0
    while i < bytes.count {
      if bytes[i] == 36, i + 1 < bytes.count {
        if bytes[i + 1] == 36 {
          out.append(36)
          i += 2
          continue
        }
        var end = i + 1
        if isNameStart(bytes[end]) {
          while end < bytes.count, isNamePart(bytes[end]) { end += 1 }
        }
        if end > i + 1, let text = valueText(String(decoding: bytes[(i + 1)..<end], as: UTF8.self))
        {
          out += text.utf8
          i = end
          continue
        }
      } else if bytes[i] == 123, let end = closing(bytes, i) {
        if let text = valueText(String(decoding: bytes[(i + 1)..<end], as: UTF8.self)) {
          out += text.utf8
          i = end + 1
          continue
        }
      }
      out.append(bytes[i])
      i += 1
    }
    return String(decoding: out, as: UTF8.self)
  }

  private func closing(_ bytes: [UInt8], _ start: Int) -> Int? {
    var depth = 0
    for i in start..<bytes.count {
      if bytes[i] == 123 { depth += 1 }
      if bytes[i] == 125 {
        depth -= 1
        if depth == 0 { return i }
      }
    }
    return nil
  }

  /// The text of an expression's value; nil when it is none, or has no value.
  private func valueText(_ source: String) -> String? {
    do throws(SyntaxFailure) { _ = try parseExpressionSource(source) } catch { return nil }
    do throws(LullError) {
      guard let value = try runNested(source, line: 1) else { return nil }
      defer { value.drop() }
      return try strText(value)
    } catch {
      return nil
    }
  }

  // MARK: - The process

  /// Runs `sh -c`; the wait status. `output` gets what it writes; without it the process has our own streams.
  private func spawnShell(_ command: String, output: (([UInt8], Bool) -> Void)?)
    throws(LullError) -> Int32
  {
    func failure(_ what: String) -> LullError {
      LullError("OSError", "cannot run '\(command)': \(what): \(String(cString: strerror(errno)))")
    }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var defaults = sigset_t()
    sigemptyset(&defaults)
    for signal in [SIGINT, SIGTERM, SIGPIPE, SIGALRM] { sigaddset(&defaults, signal) }
    posix_spawnattr_setsigdefault(&attributes, &defaults)
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    var flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK
    var readers: [Int32] = []
    var writers: [Int32] = []
    defer { for end in readers { close(end) } }
    if output != nil {
      // A group of its own, so that an interrupt reaches all that it started.
      flags |= POSIX_SPAWN_SETPGROUP
      posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
      for target in [Int32(1), 2] {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
          for end in writers { close(end) }
          throw failure("pipe")
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        readers.append(ends[0])
        writers.append(ends[1])
        posix_spawn_file_actions_adddup2(&actions, ends[1], target)
      }
    }
    posix_spawnattr_setflags(&attributes, Int16(flags))
    var words: [UnsafeMutablePointer<CChar>?] =
      (["sh", "-c", command] as [String]).map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    var process = pid_t()
    let code = posix_spawn(&process, "/bin/sh", &actions, &attributes, &words, environ)
    for end in writers { close(end) }
    if code != 0 {
      errno = code
      throw failure("sh")
    }
    var status: Int32 = 0
    if let output {
      pass(readers, process, output)
      while waitpid(process, &status, 0) < 0, errno == EINTR {}
    } else {
      wait(process, &status)
    }
    return status
  }

  /// Waits for a process that has the terminal. Ctrl-C reaches it from there; a shell that is just starting its own process can
  /// lose one, so it gets it some times more.
  private func wait(_ process: pid_t, _ status: inout Int32) {
    var isInterrupted = interpreter.interruptFlag.pointee != 0
    while true {
      if isInterrupted {
        for _ in 0..<3 {
          usleep(30_000)
          if waitpid(process, &status, WNOHANG) == process { return }
          var ignore = sigaction()
          ignore.__sigaction_handler.sa_handler = SIG_IGN
          var own = sigaction()
          sigaction(SIGINT, &ignore, &own)
          kill(0, SIGINT)
          sigaction(SIGINT, &own, nil)
        }
      }
      let signals = Interrupts.count
      if waitpid(process, &status, 0) == process { return }
      guard errno == EINTR else { return }
      // Other signals, of the window's size for one, are none of the command's.
      isInterrupted = Interrupts.count != signals
    }
  }

  /// Hands on what comes through the pipes until both end. An interrupt goes to the process; one that stays is ended.
  private func pass(_ readers: [Int32], _ process: pid_t, _ output: ([UInt8], Bool) -> Void) {
    var open = readers.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    var held: [[UInt8]] = readers.map { _ in [] }
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    var asked = 0.0
    var first: Double?
    while open.contains(where: { $0.fd >= 0 }) {
      let n = poll(&open, nfds_t(open.count), 50)
      if interpreter.interruptFlag.pointee != 0 {
        // At once and again (a shell that is just starting a program misses one), after half a second, after one.
        let now = monotonicSeconds()
        let since = now - (first ?? now)
        first = first ?? now
        if now - asked > 0.04 {
          kill(-process, since < 0.5 ? SIGINT : since < 1 ? SIGTERM : SIGKILL)
          asked = now
        }
      }
      if n <= 0 { continue }
      for i in open.indices where open[i].fd >= 0 && open[i].revents != 0 {
        let count = read(open[i].fd, &buffer, buffer.count)
        if count > 0 {
          held[i] += buffer[..<count]
          let whole = held[i].count - unfinishedBytes(held[i])
          output(Array(held[i][..<whole]), i == 1)
          held[i].removeFirst(whole)
        } else if count == 0 || errno != EINTR && errno != EAGAIN {
          if !held[i].isEmpty { output(held[i], i == 1) }
          open[i].fd = -1
        }
      }
    }
  }

  private func monotonicSeconds() -> Double {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) * 1e-9
  }

  /// How many bytes at the end begin a character that is not whole yet.
  private func unfinishedBytes(_ bytes: [UInt8]) -> Int {
    for back in 1...3 where back <= bytes.count {
      let c = bytes[bytes.count - back]
      if c & 0xC0 == 0x80 { continue }
      let length = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1
      return length > back ? back : 0
    }
    return 0
  }
}
