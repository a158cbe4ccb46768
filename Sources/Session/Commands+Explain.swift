// Commands that show what an evaluation does: explain, trace.

import Engine
import Language
import Library

extension Session {
  func explainCommands() -> [Command] {
    [
      Command(
        Builtin(
          "explain", "explain(what, /, _line=0)", chapter: "timing",
          doc: """
            Evaluate an expression and list the kernels that ran: operations, result, bytes moved, arithmetic \
            operations, time, and how near that is to what this machine's memory and arithmetic allow.
            """,
          examples: ["%explain mx.sum(sqrt(square(arange(1000.0))))", "%explain x @ w + b"]
        ) { [unowned self] (a) throws(LullError) in
          guard let source = a[0].stringValue else {
            throw LullError.typeError(
              "explain() needs source text, not \(a[0].typeNameText); or use lull.trace.kernels(*arrays)"
            )
          }
          try self.explain(source, line: a.int(1))
          return .none
        },
        style: .source,
        cell: { [unowned self] (line, body) throws(LullError) in
          try self.explain(line + body, line: 1)
          return .none
        }),
      Command(
        Builtin(
          "trace", "trace(what, /, nan_only=False, _line=0)", chapter: "timing",
          doc: """
            Evaluate an expression operation by operation and stop with FloatingPointError at the first one whose \
            result is not finite: the error names it, the index, and the line that built it.
            """,
          examples: ["%trace sqrt(array([4.0, 9.0]))"]
        ) { [unowned self] (a) throws(LullError) in
          guard let source = a[0].stringValue else {
            throw LullError.typeError(
              "trace() needs source text, not \(a[0].typeNameText); or use lull.trace.check_finite(*arrays)"
            )
          }
          let arrays = try self.pendingWork(source, line: a.int(2))
          let nanOnly = try truth(a[1])
          do throws(ArrayError) {
            try Recorder.checkFinite(arrays, nanOnly: nanOnly)
          } catch {
            throw LullError(error)
          }
          self.say("all results are finite\n")
          return .none
        },
        style: .source),
    ]
  }

  /// The arrays that running the source leaves in its value and in the names it assigned.
  private func pendingWork(_ source: String, line: Int) throws(LullError) -> [NDArray] {
    let before = namedObjects()
    let value = try runNested(source, line: line) ?? .none
    defer { value.drop() }
    var arrays = arrays(in: value)
    for name in interpreter.names {
      guard let v = interpreter[name], before[name] != identity(v) else { continue }
      arrays += pendingArrays(in: v)
    }
    return arrays
  }

  private func arrays(in value: Value) -> [NDArray] {
    if let array = value.native(NDArray.self) { return [array] }
    return pendingArrays(in: value)
  }

  private func explain(_ source: String, line: Int) throws(LullError) {
    let arrays = try pendingWork(source, line: line)
    let records: [KernelRecord]
    do throws(ArrayError) {
      records = try Recorder.evaluate(arrays)
    } catch {
      throw LullError(error)
    }
    if records.isEmpty {
      say("nothing to compute: \(arrays.isEmpty ? "no arrays" : "the arrays are evaluated")\n")
      return
    }
    let limits = MachineLimits.measured
    var rows = [["kernel", "result", "read", "written", "operations", "time", "of limit", "line"]]
    let kernels = records.filter { $0.bytesWritten > 0 }
    let views = records.count - kernels.count
    let shown = 60
    for (i, record) in kernels.prefix(shown).enumerated() {
      let lines = record.positions.compactMap { sourceText($0)?.line }
      let (first, last) = (lines.min() ?? 0, lines.max() ?? 0)
      rows.append([
        "\(i + 1) " + summary(record.operations),
        "(\(record.shape.map(String.init).joined(separator: ", "))"
          + "\(record.shape.count == 1 ? "," : "")) \(record.dtype.name)",
        byteText(record.bytesRead), byteText(record.bytesWritten),
        countText(record.operationCount), secondsText(record.seconds),
        "\(Int((record.shareOfLimit(limits) * 100).rounded()))%",
        first == 0 ? "" : first == last ? "\(first)" : "\(first)-\(last)",
      ])
    }
    let seconds = records.reduce(0) { $0 + $1.seconds }
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    var text = ""
    for row in rows {
      let cells = row.enumerated().map { column, cell in
        let blanks = String(repeating: " ", count: widths[column] - cell.count)
        return column < 2 ? cell + blanks : blanks + cell
      }
      var line = cells.joined(separator: "  ")
      while line.last == " " { line.removeLast() }
      text += line + "\n"
    }
    let speed = byteText(Int(limits.bytesPerSecond)),
      arithmetic = countText(Int(limits.operationsPerSecond))
    if kernels.count > shown { text += "... \(kernels.count - shown) more\n" }
    text +=
      "\(kernels.count) kernel\(kernels.count == 1 ? "" : "s")"
      + (views == 0 ? "" : " and \(views) view\(views == 1 ? "" : "s")")
      + " in \(secondsText(seconds)); "
      + "the machine's limit: \(speed)/s from memory, \(arithmetic) operations/s\n"
    say(text)
  }

  /// Operations in order, repeated ones counted, long lists cut.
  private func summary(_ operations: [String]) -> String {
    var parts: [(name: String, count: Int)] = []
    for name in operations {
      if let last = parts.last, last.name == name {
        parts[parts.count - 1].count += 1
      } else {
        parts.append((name, 1))
      }
    }
    let texts = parts.map { $0.count == 1 ? $0.name : "\($0.name) x\($0.count)" }
    return texts.count <= 8
      ? texts.joined(separator: " ")
      : texts.prefix(7).joined(separator: " ") + " ... (\(operations.count) operations)"
  }

  private func countText(_ count: Int) -> String {
    let value = Double(count)
    func text(_ scaled: Double, _ unit: String) -> String {
      let tenths = Int((scaled * 10).rounded())
      return tenths >= 1000 ? "\(tenths / 10)\(unit)" : "\(tenths / 10).\(tenths % 10)\(unit)"
    }
    if value < 1000 { return "\(count)" }
    if value < 1e6 { return text(value / 1e3, "k") }
    if value < 1e9 { return text(value / 1e6, "M") }
    return text(value / 1e9, "G")
  }
}
