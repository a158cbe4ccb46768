// The module `lull.trace`: what an evaluation did, and where numbers stopped being finite.

import Engine
import Language

/// The source line of a position, as "file:line: text"; nil when its code is gone.
public func sourceText(_ position: UInt64) -> (file: String, line: Int, text: String)? {
  guard let place = decodePosition(position) else { return nil }
  return (place.source.file, place.line, place.source.text(place.span))
}

let traceFunctions: [Builtin] = [
  Builtin(
    "kernels", "kernels(*arrays)", chapter: "trace",
    doc: """
      Evaluate the arrays and return a list with a dict for each kernel that ran: operations, shape, \
      dtype, bytes_read, bytes_written, operation_count, seconds, share_of_limit (of what the machine's memory and \
      arithmetic allow), fused, and lines, the source lines that built it.
      """,
    examples: [
      ">>> from lull.trace import kernels\n>>> x = mx.arange(1000.0)\n>>> mx.eval(x)\n"
        + ">>> [k[\"operations\"] for k in kernels(mx.sum(mx.sqrt(x * x + 1)))]\n"
        + "[['multiply', 'add', 'sqrt', 'sum']]"
    ]
  ) { (a) throws(LullError) in
    let arrays = try arraysIn(a.rest(0))
    let records = try engine { try Recorder.evaluate(arrays) }
    return makeListValue(records.map { kernelValue($0) })
  },
  Builtin(
    "check_finite", "check_finite(*arrays, nan_only=False)", chapter: "trace",
    doc: """
      Evaluate the arrays operation by operation and raise FloatingPointError at the first whose result has a \
      nan or an infinity while its inputs have none: the error names the operation, the index and the line.
      """,
    examples: [
      ">>> from lull.trace import check_finite\n>>> check_finite(mx.sqrt(mx.array([1.0, 4.0])))"
    ]
  ) { (a) throws(LullError) in
    let arrays = try arraysIn(a.rest(0))
    let nanOnly = try truth(a[1])
    try engine { try Recorder.checkFinite(arrays, nanOnly: nanOnly) }
    return .none
  },
  Builtin(
    "limits", "limits()", chapter: "trace",
    doc:
      "What this machine reaches: a dict of bytes_per_second and operations_per_second (float32).",
    examples: [">>> from lull.trace import limits\n>>> limits()[\"bytes_per_second\"] > 1e9\nTrue"]
  ) { (_) throws(LullError) in
    limitsValue()
  },
]

/// What this machine reaches, as `limits()` gives it.
public func limitsValue() -> Value {
  let limits = MachineLimits.measured
  return makeDictValue([
    ("bytes_per_second", Value(limits.bytesPerSecond)),
    ("operations_per_second", Value(limits.operationsPerSecond)),
  ])
}

/// What one kernel did, as `kernels()` gives it.
public func kernelValue(_ r: KernelRecord) -> Value {
  var lines: [Value] = []
  var seen: Set<Int> = []
  for position in r.positions {
    guard let place = sourceText(position), seen.insert(place.line).inserted else { continue }
    lines.append(Value(place.line))
  }
  return makeDictValue([
    ("operations", makeListValue(r.operations.map { makeStr($0) })),
    ("shape", makeTuple(ints: r.shape)), ("dtype", makeStr(r.dtype.name)),
    ("bytes_read", Value(r.bytesRead)), ("bytes_written", Value(r.bytesWritten)),
    ("operation_count", Value(r.operationCount)), ("seconds", Value(r.seconds)),
    ("share_of_limit", Value(r.shareOfLimit(MachineLimits.measured))),
    ("fused", Value(r.isFused)), ("lines", makeListValue(lines)),
    ("nodes", makeListValue(r.nodes.map { Value(Int(bitPattern: $0)) })),
  ])
}
