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
            Evaluate an expression and say what each step of it is, and which steps ran fused in which kernel: shapes, dtypes, \
            bytes moved, arithmetic operations, time, and how near that is to what this machine's memory and arithmetic allow.
            """,
          examples: ["%explain mx.sum(sqrt(square(arange(1000.0))))", "%explain x @ w + b"]
        ) { [unowned self] (a) throws(LullError) in
          guard let source = a[0].stringValue else {
            throw LullError.typeError(
              "explain() needs source text, not \(a[0].typeNameText); or use lull.trace.kernels(*arrays)"
            )
          }
          return try self.explain(source, line: a.int(1))
        },
        style: .source, showsResult: true,
        cell: { [unowned self] (line, body) throws(LullError) in
          try self.explain(line + body, line: 1)
        }),
      Command(
        Builtin(
          "trace", "trace(what, /, nan_only=False, _line=0)", chapter: "timing",
          doc: """
            Evaluate an expression operation by operation and stop with FloatingPointError at the first one whose \
            result is not finite: the error names it, the index, and the line that built it. `%trace nan EXPRESSION` lets \
            infinities pass; `%trace nan` alone looks at the arrays that the session has evaluated.
            """,
          examples: ["%trace sqrt(array([4.0, 9.0]))", "%trace nan log(x) / y", "%trace nan"]
        ) { [unowned self] (a) throws(LullError) in
          guard var source = a[0].stringValue else {
            throw LullError.typeError(
              "trace() needs source text, not \(a[0].typeNameText); or use lull.trace.check_finite(*arrays)"
            )
          }
          var nanOnly = try truth(a[1])
          if source == "nan" {
            let module = try self.importedModule("lull.teaching.explain")
            defer { module.drop() }
            let survey = try attribute(module, "survey")
            defer { survey.drop() }
            return try callValue(survey, [])
          }
          // `nan` and a blank before an expression is no Python: it says what to look for.
          if source.hasPrefix("nan "), let next = source.dropFirst(4).trimmed.utf8.first,
            isNamePart(next) || "([{\"'".utf8.contains(next)
          {
            source = source.dropFirst(4).trimmed
            nanOnly = true
          }
          let arrays = try self.pendingWork(source, line: a.int(2))
          do throws(ArrayError) {
            try Recorder.checkFinite(arrays, nanOnly: nanOnly)
          } catch {
            throw LullError(error)
          }
          self.say(nanOnly ? "no result is nan\n" : "all results are finite\n")
          return .none
        },
        style: .source, showsResult: true),
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

  /// Evaluates what the source leaves pending; the report is written in the language.
  private func explain(_ source: String, line: Int) throws(LullError) -> Value {
    let arrays = try pendingWork(source, line: line)
    // Facts alone: a node that is held would be written to memory where it otherwise is inside a fused kernel.
    let nodes = makeListValue(graphNodes(arrays).map { nodeValue($0) })
    defer { nodes.drop() }
    let records: [KernelRecord]
    do throws(ArrayError) {
      records = try Recorder.evaluate(arrays)
    } catch {
      throw LullError(error)
    }
    let kernels = makeListValue(records.map { kernelValue($0) })
    let limits = limitsValue()
    defer {
      kernels.drop()
      limits.drop()
    }
    let module = try importedModule("lull.teaching.explain")
    defer { module.drop() }
    let report = try attribute(module, "report")
    defer { report.drop() }
    return try callValue(report, [nodes, kernels, limits, Value(arrays.count)])
  }
}
