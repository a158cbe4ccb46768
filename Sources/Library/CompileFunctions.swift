// compile: a function's graph, recorded once for each kind of arguments and replayed.
//
// What tells one recording from another is a key over everything the function could see: the form of the
// arguments, shapes and dtypes of their arrays (ranks only when shapeless), the values of plain constants, and
// the same for the captured inputs. The function then runs on placeholders; what it returns, and what the
// captured outputs hold afterwards, become the outputs of a plan.

import Engine
#if canImport(Glibc)
  import Glibc
#endif
import Language

/// One recorded call.
private final class Recording: @unchecked Sendable {
  let plan: CompiledPlan
  /// The result with placeholders for arrays.
  let result: Value
  let resultCount: Int
  /// The result is one array.
  let isArray: Bool
  init(_ plan: CompiledPlan, _ result: Value, _ resultCount: Int) {
    self.plan = plan
    isArray = result.ndarray != nil
    self.result = result.retain()
    self.resultCount = resultCount
  }
  deinit { result.drop() }
}

/// What one part of the arguments is, as far as a recording depends on it.
private enum KeyPart: Hashable {
  case array([Int], DType)
  case anyShape(rank: Int, DType)
  case none, bool(Bool), int(Int), float(UInt64), text(String)
  case list(Int), tuple(Int, String), dict([String]), module([String]), other(String)
  case arguments(Int), keywords([String]), captured
}

extension CompiledPlan {
  /// The arrays of arguments that are just like those of the recording.
  fileprivate func matching(_ args: [Value]) -> [NDArray]? {
    guard args.count == inputCount else { return nil }
    var arrays: [NDArray] = []
    arrays.reserveCapacity(args.count)
    for (i, v) in args.enumerated() {
      guard let x = v.ndarray, accepts(x, at: i) else { return nil }
      arrays.append(x)
    }
    return arrays
  }
}

final class CompiledFunction: @unchecked Sendable {
  nonisolated(unsafe) static var isEnabled = !isDisabledByEnvironment()
  private let inputs: Holder
  private let outputs: Holder
  private let isShapeless: Bool
  private var recordings: [[KeyPart]: Recording] = [:]
  /// The recording that the last call used, if that had arrays only: most calls are as the one before.
  private var recent: Recording?

  init(inputs: Value, outputs: Value, isShapeless: Bool) {
    self.inputs = Holder(inputs)
    self.outputs = Holder(outputs)
    self.isShapeless = isShapeless
  }

  func call(_ f: Value, _ args: [Value], _ keywords: [(String, Value)]) throws(LullError) -> Value {
    if !CompiledFunction.isEnabled { return try callValue(f, args, keywords: keywords) }
    if keywords.isEmpty, let recent, let arrays = recent.plan.matching(args) {
      stampPosition()
      let results = try engine { try recent.plan.run(arrays) }
      if recent.isArray { return wrap(results[0]) }
      return try Tree.rebuilt(recent.result, results)
    }
    let sorted = keywords.sorted { $0.0 < $1.0 }
    var key: [KeyPart] = [.arguments(args.count)]
    var arrays: [NDArray] = []
    for v in args { try describe(v, &key, &arrays) }
    key.append(.keywords(sorted.map(\.0)))
    for (_, v) in sorted { try describe(v, &key, &arrays) }
    let ownCount = arrays.count
    if !inputs.value.isNone {
      key.append(.captured)
      try describeState(inputs.value, &key, &arrays)
    }
    stampPosition()
    let recording: Recording
    if let known = recordings[key] {
      recording = known
    } else {
      recording = try record(f, args, sorted, arrays, ownCount)
      if recording.plan.isLasting { recordings[key] = recording }
    }
    let isPlain = keywords.isEmpty && inputs.value.isNone && outputs.value.isNone && !isShapeless
    recent =
      isPlain && recording.plan.isLasting && args.allSatisfy { $0.ndarray != nil } ? recording : nil
    let results = try engine { try recording.plan.run(arrays) }
    if !outputs.value.isNone {
      try Tree.fill(
        outputs.value, Array(results[recording.resultCount...]), "compile: the captured outputs")
    }
    return try Tree.rebuilt(recording.result, Array(results[..<recording.resultCount]))
  }

  private func record(
    _ f: Value, _ args: [Value], _ keywords: [(String, Value)], _ arrays: [NDArray], _ ownCount: Int
  ) throws(LullError) -> Recording {
    let trace = PlanTrace(arrays, isShapeless: isShapeless)
    defer { trace.end() }
    var rest = trace.placeholders[..<ownCount]
    var own: [Value] = []
    defer { for v in own { v.drop() } }
    for v in args { own.append(try Tree.rebuilt(v, &rest)) }
    var named: [(String, Value)] = []
    for (name, v) in keywords {
      own.append(try Tree.rebuilt(v, &rest))
      named.append((name, own[own.count - 1]))
    }
    // The captured containers hold placeholders while the function runs. Outputs are put back too: what the
    // trace left there has no values.
    let before = outputs.value.isNone ? [] : try snapshot(outputs.value)
    var isDone = false
    defer { if !isDone { restore(outputs.value, before) } }
    var swap: TreeSwap?
    if !inputs.value.isNone {
      swap = try TreeSwap(
        [inputs.value], Array(trace.placeholders[ownCount...]), "compile: the captured inputs")
    }
    defer { swap?.end() }
    let result = try callValue(f, Array(own[..<args.count]), keywords: named)
    defer { result.drop() }
    var produced = try Tree.someArrays(result, "compile: the result")
    let count = produced.count
    if !outputs.value.isNone {
      produced += try Tree.someArrays(outputs.value, "compile: the captured outputs")
    }
    let plan = try engine { try trace.finish(produced) }
    isDone = true
    // The form of the result, without the trace's nodes.
    let empty = try engine { try NDArray(.int(0)) }
    let form = try Tree.rebuilt(result, [NDArray](repeating: empty, count: count))
    defer { form.drop() }
    return Recording(plan, form, count)
  }

  /// The arrays of the captured outputs before a trace.
  private func snapshot(_ v: Value) throws(LullError) -> [Holder] {
    var found: [Holder] = []
    try Tree.visit(v, "compile: the captured outputs") { (x) throws(LullError) in
      if x.ndarray != nil { found.append(Holder(x)) }
    }
    return found
  }
  /// Puts them back when the function failed; what it had added is left.
  private func restore(_ v: Value, _ before: [Holder]) {
    if v.isNone { return }
    var rest = before[...]
    do throws(LullError) {
      let back = try Tree.replaced(v, "compile") { (_) throws(LullError) in
        rest.popFirst()?.value.retain()
      }
      back.drop()
    } catch {}
  }

  private func add(_ x: NDArray, _ key: inout [KeyPart], _ arrays: inout [NDArray]) {
    key.append(isShapeless ? .anyShape(rank: x.rank, x.dtype) : .array(x.shape.array, x.dtype))
    arrays.append(x)
  }

  private func describe(
    _ v: Value, _ key: inout [KeyPart], _ arrays: inout [NDArray], _ depth: Int = 0
  )
    throws(LullError)
  {
    if depth > Tree.depthLimit {
      throw LullError.valueError("compile: an argument is nested too deeply")
    }
    if let x = v.ndarray {
      add(x, &key, &arrays)
    } else if v.isNone {
      key.append(.none)
    } else if let b = v.boolValue {
      key.append(.bool(b))
    } else if let i = v.intValue {
      key.append(.int(i))
    } else if let s = v.stringValue {
      key.append(.text(s))
    } else if let d = v.doubleValue {
      key.append(.float(d.bitPattern))
    } else if v.isList || v.isTuple {
      key.append(v.isList ? .list(v.elements.count) : .tuple(v.elements.count, v.typeNameText))
      for x in v.elements { try describe(x, &key, &arrays, depth + 1) }
    } else if v.isDict {
      let items = dictItems(v)
      var names: [String] = []
      for (name, _) in items { names.append(try reprText(name)) }
      key.append(.dict(names))
      for (_, x) in items { try describe(x, &key, &arrays, depth + 1) }
    } else {
      throw LullError.valueError(
        "compile: arguments must be trees of arrays or constants (bool, int, float, str, None), not "
          + Tree.describe(v) + "; capture it in the function, and its arrays with inputs=")
    }
  }

  /// The captured state: arrays count with their shapes, and the form of what holds them.
  private func describeState(
    _ v: Value, _ key: inout [KeyPart], _ arrays: inout [NDArray], _ depth: Int = 0
  )
    throws(LullError)
  {
    if depth > Tree.depthLimit {
      throw LullError.valueError("compile: the captured inputs are nested too deeply")
    }
    if let x = v.ndarray {
      add(x, &key, &arrays)
    } else if v.isList || v.isTuple {
      key.append(.list(v.elements.count))
      for x in v.elements { try describeState(x, &key, &arrays, depth + 1) }
    } else if v.isDict {
      let items = dictItems(v)
      var names: [String] = []
      for (name, _) in items { names.append(try reprText(name)) }
      key.append(.dict(names))
      for (_, x) in items { try describeState(x, &key, &arrays, depth + 1) }
    } else if let parts = try Tree.moduleParts(v) {
      key.append(.module(parts.map(\.name)))
      for (_, x) in parts { try describeState(x, &key, &arrays, depth + 1) }
    } else if let i = v.intValue {
      key.append(.int(i))
    } else if let d = v.doubleValue, !v.isString {
      key.append(.float(d.bitPattern))
    } else {
      key.append(.other(v.typeNameText))
    }
  }
}

private func isDisabledByEnvironment() -> Bool {
  for name in ["MLX_DISABLE_COMPILE", "LULL_DISABLE_COMPILE"] {
    if let text = getenv(name), text[0] != 0, String(cString: text) != "0" { return true }
  }
  return false
}

public let compileFunctions: [Builtin] = [
  Builtin(
    "compile", "compile(fun, inputs=None, outputs=None, shapeless=False)", chapter: "transforms",
    doc:
      "The function fun, recorded once for each kind of arguments and replayed as a graph. Arrays that it uses "
      + "besides its arguments are constants, unless they are in the trees inputs (read anew at each call) and "
      + "outputs (written at each call). With shapeless, other sizes do not record again.",
    examples: [
      ">>> f = mx.compile(lambda x: mx.exp(x) + 1)\n>>> f(mx.array([0.0, 1.0]))\narray([2, 3.71828], dtype=float32)",
      ">>> state = {\"n\": mx.array(1)}\n>>> def step(x):\n...     state[\"n\"] = state[\"n\"] + x\n>>> mx.compile(step, inputs=state, outputs=state)(mx.array(2))\n>>> state[\"n\"]\narray(3, dtype=int32)",
    ]
  ) { (a) throws(LullError) in
    let f = try callable(a)
    let compiled = CompiledFunction(inputs: a[1], outputs: a[2], isShapeless: try a.bool(3))
    return transformed("compile", f) { (f, args, keywords) throws(LullError) in
      try compiled.call(f, args, keywords)
    }
  },
  Builtin(
    "disable_compile", "disable_compile()", chapter: "transforms",
    doc:
      "Compiled functions run as if they were not (as with MLX_DISABLE_COMPILE in the environment).",
    examples: [
      ">>> mx.disable_compile()\n>>> mx.compile(lambda x: x + 1)(mx.array(1))\narray(2, dtype=int32)\n>>> mx.enable_compile()"
    ]
  ) { (a) throws(LullError) in
    CompiledFunction.isEnabled = false
    return .none
  },
  Builtin(
    "enable_compile", "enable_compile()", chapter: "transforms",
    doc: "Compiled functions are replayed again after disable_compile().",
    examples: [">>> mx.enable_compile()"]
  ) { (a) throws(LullError) in
    CompiledFunction.isEnabled = true
    return .none
  },
]
