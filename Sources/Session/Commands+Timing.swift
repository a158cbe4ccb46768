// Commands that measure: time, timeit, memory.
//
// Arrays are lazy, so running a line may compute nothing. `%time` therefore reports two parts: what it
// took to build (run the code) and what it took to evaluate the arrays that the code left pending, in
// its value and in the names it assigned. It says how many arrays it forced.

import Engine
import Glibc
import Language

extension Session {
  func timingCommands() -> [Command] {
    [
      Command(
        Builtin(
          "time", "time(what, /, _line=0)", chapter: "timing",
          doc: "Run a statement once and say how long it took to build and to evaluate.",
          examples: ["%time softmax(ones((1000, 1000)))", "%time y = x @ x.T"]
        ) { [unowned self] (a) throws(LullError) in
          try self.time(a[0], line: a.int(1))
        },
        style: .source,
        cell: { [unowned self] (line, body) throws(LullError) in
          try self.time(source: line + body, line: 1)
        }),
      Command(
        Builtin(
          "timeit", "timeit(what, /, n=0, r=5, _line=0)", chapter: "timing",
          doc:
            "Run an expression many times, evaluating its arrays each time; best and mean of r rounds of n.",
          examples: ["%timeit sum(arange(1000))", "%timeit -n 100 -r 3 ones(10) + 1"]
        ) { [unowned self] (a) throws(LullError) in
          try self.timeRepeatedly(a[0], count: a.int(1), rounds: a.int(2), line: a.int(3))
          return .none
        },
        style: .source,
        cell: { [unowned self] (line, body) throws(LullError) in
          let text = strValue(line + body)
          defer { text.drop() }
          try self.timeRepeatedly(text, count: 0, rounds: 5, line: 1)
          return .none
        }),
      Command(
        Builtin(
          "memory", "memory()", chapter: "timing",
          doc: "Bytes that arrays hold now, held at most, and keep for reuse.",
          examples: ["%memory"]
        ) { [unowned self] (_) throws(LullError) in
          self.say(
            "arrays \(byteText(Memory.active)), peak \(byteText(max(Memory.peak, Memory.active))), "
              + "kept for reuse \(byteText(Memory.cached)), process \(byteText(residentBytes()))\n")
          return .none
        }),
    ]
  }

  // MARK: - time

  private func time(_ what: Value, line: Int) throws(LullError) -> Value {
    if let source = what.stringValue { return try time(source: source, line: line) }
    guard what.isCallable else {
      throw LullError.typeError(
        "time() needs source text or something to call, not \(what.typeNameText)")
    }
    return try measure { () throws(LullError) in try callValue(what, []) }
  }

  func time(source: String, line: Int) throws(LullError) -> Value {
    try measure { () throws(LullError) in try self.runNested(source, line: line) ?? .none }
  }

  /// Runs the work, evaluates what it left pending, and prints the times. The value is owned.
  private func measure(_ work: () throws(LullError) -> Value) throws(LullError) -> Value {
    let before = namedObjects()
    let start = monotonicSeconds()
    let value = try work()
    let built = monotonicSeconds()
    var pending: [NDArray] = pendingArrays(in: value)
    for name in interpreter.names {
      guard let v = interpreter[name] else { continue }
      if before[name] == identity(v) { continue }
      pending += pendingArrays(in: v)
    }
    do throws(LullError) {
      try force(pending)
    } catch {
      value.drop()
      throw error
    }
    let end = monotonicSeconds()
    var text = "time: \(secondsText(end - start))"
    if !pending.isEmpty {
      let distinct = Set(pending.map(ObjectIdentifier.init)).count
      text += " = build \(secondsText(built - start)) + evaluate \(secondsText(end - built))"
      text += " (evaluated \(distinct) pending array\(distinct == 1 ? "" : "s"))"
    }
    say(text + "\n")
    return value
  }

  struct Identity: Equatable {
    let bits: UInt64
    let tag: Tag
    let object: ObjectIdentifier?
  }
  func identity(_ v: Value) -> Identity {
    Identity(bits: v.bits, tag: v.tag, object: v.nativeObject().map { ObjectIdentifier($0) })
  }
  func namedObjects() -> [String: Identity] {
    var out: [String: Identity] = [:]
    for name in interpreter.names {
      if let v = interpreter[name] { out[name] = identity(v) }
    }
    return out
  }

  /// Evaluates arrays; the engine's failures become the language's.
  func force(_ arrays: [NDArray]) throws(LullError) {
    if arrays.isEmpty { return }
    do throws(ArrayError) {
      try evaluate(arrays)
    } catch {
      throw LullError(error.kind, error.fact.message)
    }
  }

  // MARK: - timeit

  private func timeRepeatedly(_ what: Value, count: Int, rounds: Int, line: Int)
    throws(LullError)
  {
    guard count >= 0, rounds > 0, rounds <= 1000 else {
      throw LullError.valueError("n must not be negative and r must be from 1 to 1000")
    }
    let function: Value
    if let source = what.stringValue {
      function = try timedFunction(source, line: line)
    } else if what.isCallable {
      function = what.retain()
    } else {
      throw LullError.typeError(
        "timeit() needs source text or something to call, not \(what.typeNameText)")
    }
    defer { function.drop() }
    var forced = 0
    func seconds(_ n: Int) throws(LullError) -> Double {
      let start = monotonicSeconds()
      for _ in 0..<n {
        try throwIfInterrupted()
        let value = try callValue(function, [])
        defer { value.drop() }
        let pending = pendingArrays(in: value)
        if !pending.isEmpty {
          forced += 1
          try force(pending)
        }
      }
      return monotonicSeconds() - start
    }
    var n = count
    if n == 0 {
      // As many runs as take about 0.2 s.
      n = 1
      while n < 10_000_000 {
        let t = try seconds(n)
        if t >= 0.02 {
          n = max(1, Int(Double(n) * min(10, 0.2 / t)))
          break
        }
        n *= t > 0.002 ? 4 : 10
      }
    }
    forced = 0
    var times: [Double] = []
    for _ in 0..<rounds { times.append(try seconds(n) / Double(n)) }
    let best = times.min() ?? 0
    let mean = times.reduce(0, +) / Double(times.count)
    var text = "best \(secondsText(best)), mean \(secondsText(mean)) "
    text += "(\(rounds) round\(rounds == 1 ? "" : "s") of \(n) run\(n == 1 ? "" : "s")"
    text += forced > 0 ? ", arrays evaluated in each run)" : ")"
    say(text + "\n")
  }

  /// A function of no arguments that runs the source once (owned).
  private func timedFunction(_ source: String, line: Int) throws(LullError) -> Value {
    let text = source.trimmed
    var expression: String? = nil
    do throws(SyntaxFailure) {
      let program = try parseProgram(text)
      if program.count == 1, let only = program.first {
        let place = SourceText(file: "", text: text)
        switch only.kind {
        case .expression: expression = text
        // The value of an assignment would stay pending: time what is assigned.
        case .assign(_, let value): expression = place.text(value.span)
        default: break
        }
      }
    } catch {
      // The interpreter says what is wrong with it.
      let failed = try runNested(text, line: line)
      failed?.drop()
    }
    if let expression {
      guard let f = try runNested("lambda: (\(expression)\n)", line: line) else { return .none }
      return f
    }
    let body = text.split(separator: "\n", omittingEmptySubsequences: false)
      .map { "  \($0)\n" }.joined()
    let name = "_timed"
    _ = try runNested("def \(name)():\n\(body)", line: max(1, line - 1))
    defer { interpreter.remove(name) }
    return interpreter[name]?.retain() ?? .none
  }
}

/// Resident memory of the process.
private func residentBytes() -> Int {
  guard let file = fopen("/proc/self/statm", "r") else { return 0 }
  defer { fclose(file) }
  var line = [CChar](repeating: 0, count: 256)
  guard fgets(&line, 256, file) != nil else { return 0 }
  let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  let fields = text.split(separator: " ")
  guard fields.count > 1, let pages = Int(fields[1]) else { return 0 }
  return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
}
