// Function transforms over trees: grad, value_and_grad, vjp, jvp.
//
// A tree is an array, or lists, tuples and dicts of trees. A transform replaces the arrays of the arguments it
// differentiates by the leaves of a trace, calls the function, and walks back from its outputs.

import Engine
import Language

/// The arrays of a tree, in order. Anything but arrays and containers is an error.
private func leaves(_ v: Value, _ into: inout [NDArray], _ what: String, _ depth: Int = 0)
  throws(LullError)
{
  if depth > 200 { throw LullError.valueError("\(what): the tree is nested too deeply") }
  if let x = v.ndarray {
    into.append(x)
  } else if v.isList || v.isTuple {
    for element in v.elements { try leaves(element, &into, what, depth + 1) }
  } else if v.isDict {
    for (_, item) in dictItems(v) { try leaves(item, &into, what, depth + 1) }
  } else {
    throw LullError.valueError(
      "\(what) must be an array or lists, tuples and dicts of arrays, but holds \(describe(v))")
  }
}

private func describe(_ v: Value) -> String {
  v.isNone ? "None" : "a value of type \(v.typeNameText)"
}

/// A tree of the same form with other arrays, taken in order.
private func rebuilt(_ v: Value, _ arrays: inout ArraySlice<NDArray>) throws(LullError) -> Value {
  if v.ndarray != nil { return arrays.popFirst().map { wrap($0) } ?? .none }
  if v.isList || v.isTuple {
    var out: [Value] = []
    for element in v.elements { out.append(try rebuilt(element, &arrays)) }
    return v.isList ? makeListValue(out) : makeTupleValue(out)
  }
  if v.isDict {
    let dict = makeDictValue([])
    for (key, item) in dictItems(v) { try setDictItem(dict, key, try rebuilt(item, &arrays)) }
    return dict
  }
  return v.retain()
}

/// The tree with the arrays given.
private func rebuild(_ v: Value, _ arrays: [NDArray]) throws(LullError) -> Value {
  var rest = arrays[...]
  return try rebuilt(v, &rest)
}

/// Which arguments to differentiate.
private struct Wanted {
  var argnums: [Int]
  /// The result is a tuple over argnums, not the single tree.
  let isSequence: Bool
  let argnames: [String]
}

private func wanted(_ a: Args) throws(LullError) -> Wanted {
  var names: [String] = []
  if let name = a[2].stringValue {
    names = [name]
  } else if !a.isNone(2) {
    for v in try collect(a[2]) {
      defer { v.drop() }
      guard let name = v.stringValue else { throw a.wrong(2, "a str or a sequence of str") }
      names.append(name)
    }
  }
  if a.isNone(1) {
    return Wanted(argnums: names.isEmpty ? [0] : [], isSequence: false, argnames: names)
  }
  if let i = a[1].intValue { return Wanted(argnums: [i], isSequence: false, argnames: names) }
  let nums = try intSequence(a[1]) { a.wrong(1, $0) }
  if nums.isEmpty && names.isEmpty {
    throw LullError.valueError("grad: no argument to differentiate was given")
  }
  return Wanted(argnums: nums, isSequence: true, argnames: names)
}

/// Calls `function` on traced arguments; gives its result and the gradient tree.
private func differentiate(
  _ name: String, _ function: Value, _ wanted: Wanted, _ args: [Value],
  _ keywords: [(String, Value)]
) throws(LullError) -> (value: Value, gradient: Value) {
  var arrays: [NDArray] = []
  var counts: [Int] = []
  var trees: [Value] = []
  for n in wanted.argnums {
    let i = n < 0 ? n + args.count : n
    guard args.indices.contains(i) else {
      throw LullError.valueError(
        "\(name): cannot differentiate argument \(n) of a call with \(args.count) positional arguments"
      )
    }
    trees.append(args[i])
  }
  for key in wanted.argnames {
    guard let pair = keywords.first(where: { $0.0 == key }) else {
      throw LullError.valueError("\(name): the call has no keyword argument '\(key)'")
    }
    trees.append(pair.1)
  }
  for tree in trees {
    let before = arrays.count
    try leaves(tree, &arrays, "\(name): the argument to differentiate")
    counts.append(arrays.count - before)
  }
  for x in arrays where !x.dtype.isInexact {
    throw LullError.valueError(
      "\(name): arguments to differentiate must be floating-point, found \(x.dtype.name); use astype(float32)"
    )
  }
  let traced = beginTrace(arrays)
  var results: [NDArray] = []
  defer { endTrace(results) }

  var start = 0
  var owned: [Value] = []
  defer { for v in owned { v.drop() } }
  var newArgs = args
  var newKeywords = keywords
  for (k, tree) in trees.enumerated() {
    let replacement = try rebuild(tree, Array(traced[start..<start + counts[k]]))
    start += counts[k]
    owned.append(replacement)
    if k < wanted.argnums.count {
      let n = wanted.argnums[k]
      newArgs[n < 0 ? n + args.count : n] = replacement
    } else {
      let key = wanted.argnames[k - wanted.argnums.count]
      for i in newKeywords.indices where newKeywords[i].0 == key { newKeywords[i].1 = replacement }
    }
  }
  let result = try callValue(function, newArgs, keywords: newKeywords)
  var keep = false
  defer { if !keep { result.drop() } }
  let first = result.isTuple || result.isList ? result.elements.first ?? .none : result
  guard let loss = first.ndarray else {
    throw LullError.valueError(
      "\(name): the function must return a scalar array (or a tuple that begins with one), "
        + "not \(describe(first))")
  }
  guard loss.rank == 0 || loss.size == 1 else {
    throw LullError.valueError(
      "\(name): the function must return a scalar, but the result has shape \(loss.shape); "
        + "take its sum() or mean()")
  }
  let gradients = try engine {
    try vjp(
      outputs: [loss], inputs: traced,
      cotangents: [NDArray.ones(loss.shape, dtype: loss.dtype)])
  }
  results = [loss] + gradients
  start = 0
  var gradientTrees: [Value] = []
  for (k, tree) in trees.enumerated() {
    gradientTrees.append(try rebuild(tree, Array(gradients[start..<start + counts[k]])))
    start += counts[k]
  }
  keep = true
  let gradient: Value
  if wanted.argnames.isEmpty {
    gradient = wanted.isSequence ? makeTupleValue(gradientTrees) : gradientTrees[0]
  } else {
    let named = makeDictValue(
      Array(zip(wanted.argnames, gradientTrees[wanted.argnums.count...])).map { ($0, $1) })
    let positional = Array(gradientTrees[..<wanted.argnums.count])
    let head =
      positional.isEmpty ? .none : wanted.isSequence ? makeTupleValue(positional) : positional[0]
    gradient = makeTupleValue([head, named])
  }
  return (result, gradient)
}

/// A callable of any arguments around a function of the language.
func transformed(
  _ name: String, _ function: Value,
  _ run: @escaping (Value, [Value], [(String, Value)]) throws(LullError) -> Value
) -> Value {
  let holder = Holder(function.retain())
  return makeFunctionValue(
    Builtin(name, "\(name)(*args, **kwargs)") { (a) throws(LullError) in
      var keywords: [(String, Value)] = []
      for (key, v) in dictItems(a[1]) { keywords.append((key.stringValue ?? "", v)) }
      return try run(holder.value, Array(a.rest(0)), keywords)
    })
}

/// Keeps a value alive for a closure.
final class Holder: @unchecked Sendable {
  let value: Value
  init(_ value: Value) { self.value = value }
  deinit { value.drop() }
}

private func callable(_ a: Args) throws(LullError) -> Value {
  guard a[0].isCallable else { throw a.wrong(0, "a function") }
  return a[0]
}

public let transformFunctions: [Builtin] = [
  Builtin(
    "grad", "grad(fun, argnums=None, argnames=None)", chapter: "transforms",
    doc:
      "The function that computes the gradient of a scalar function fun with respect to some arguments.",
    examples: [">>> mx.grad(lambda x: x * x)(mx.array(3.0))\narray(6, dtype=float32)"]
  ) { (a) throws(LullError) in
    let selected = try wanted(a)
    return transformed("grad", try callable(a)) { (f, args, keywords) throws(LullError) in
      let (value, gradient) = try differentiate("grad", f, selected, args, keywords)
      value.drop()
      return gradient
    }
  },
  Builtin(
    "value_and_grad", "value_and_grad(fun, argnums=None, argnames=None)", chapter: "transforms",
    doc: "As grad, but the function gives (fun's value, gradient).",
    examples: [
      ">>> mx.value_and_grad(lambda x: x * x)(mx.array(3.0))\n(array(9, dtype=float32), array(6, dtype=float32))"
    ]
  ) { (a) throws(LullError) in
    let selected = try wanted(a)
    return transformed("value_and_grad", try callable(a)) { (f, args, keywords) throws(LullError) in
      let (value, gradient) = try differentiate("value_and_grad", f, selected, args, keywords)
      return makeTupleValue([value, gradient])
    }
  },
  Builtin(
    "vjp", "vjp(fun, primals, cotangents)", chapter: "transforms",
    doc: "(outputs of fun at the primals, cotangents times the Jacobian).",
    examples: [
      ">>> mx.vjp(lambda x: x * x, [mx.array([1.0, 2.0])], [mx.array([1.0, 1.0])])[1]\n[array([2, 4], dtype=float32)]"
    ]
  ) { (a) throws(LullError) in
    let f = try callable(a)
    let args = ArrayArgs(a)
    let (primals, cotangents) = (try args.arrays(1), try args.arrays(2))
    let (outputs, gradients) = try engine {
      try throughFunction(f) { (call) throws(ArrayError) in try vjp(primals, cotangents: cotangents, call) }
    }
    return makeTupleValue([list(outputs), list(gradients)])
  },
  Builtin(
    "jvp", "jvp(fun, primals, tangents)", chapter: "transforms",
    doc: "(outputs of fun at the primals, the Jacobian times the tangents).",
    examples: [
      ">>> mx.jvp(lambda x: x * x, [mx.array([1.0, 2.0])], [mx.array([1.0, 0.0])])[1]\n[array([2, 0], dtype=float32)]"
    ]
  ) { (a) throws(LullError) in
    let f = try callable(a)
    let args = ArrayArgs(a)
    let (primals, tangents) = (try args.arrays(1), try args.arrays(2))
    let (outputs, results) = try engine {
      try throughFunction(f) { (call) throws(ArrayError) in try jvp(primals, tangents: tangents, call) }
    }
    return makeTupleValue([list(outputs), list(results)])
  },
]

/// Lends a function of the language to the engine, which knows only its own errors.
private func throughFunction<R>(
  _ f: Value, _ body: (([NDArray]) throws(ArrayError) -> [NDArray]) throws(ArrayError) -> R
) throws -> R {
  var failure: LullError?
  do {
    return try body { (arrays) throws(ArrayError) in
      let values = arrays.map { wrap($0) }
      defer { for v in values { v.drop() } }
      do throws(LullError) {
        let result = try callValue(f, values)
        defer { result.drop() }
        if let x = result.ndarray { return [x] }
        var out: [NDArray] = []
        for element in result.elements {
          guard let x = element.ndarray else {
            throw LullError.valueError("the function must return arrays, not \(describe(element))")
          }
          out.append(x)
        }
        return out
      } catch {
        failure = error
        throw .internal("a function of the program failed")
      }
    }
  } catch {
    throw failure ?? error
  }
}

// MARK: - Evaluation

public let evaluationFunctions: [Builtin] = [
  Builtin(
    "eval", "eval(*args)", chapter: "evaluation",
    doc: "Compute the arrays in the arguments (arrays, or trees of them) now.",
    examples: [">>> x = mx.ones(2) + 1\n>>> mx.eval(x)"]
  ) { (a) throws(LullError) in
    try evaluateAll(a)
    return .none
  },
  Builtin(
    "async_eval", "async_eval(*args)", chapter: "evaluation",
    doc: "As eval; the computation is finished when it returns.",
    examples: [">>> mx.async_eval(mx.ones(2))"]
  ) { (a) throws(LullError) in
    try evaluateAll(a)
    return .none
  },
  Builtin(
    "synchronize", "synchronize(stream=None)", chapter: "evaluation",
    doc: "Wait for pending work; there is none on the CPU.", examples: [">>> mx.synchronize()"]
  ) { (a) throws(LullError) in .none },
  Builtin(
    "get_active_memory", "get_active_memory()", chapter: "memory",
    doc: "Bytes that arrays hold now.", examples: [">>> mx.get_active_memory() >= 0\nTrue"]
  ) { (a) throws(LullError) in Value(Memory.active) },
  Builtin(
    "get_peak_memory", "get_peak_memory()", chapter: "memory",
    doc: "The most bytes that arrays have held since the start or the last reset_peak_memory().",
    examples: [">>> mx.get_peak_memory() >= 0\nTrue"]
  ) { (a) throws(LullError) in Value(Memory.peak) },
  Builtin(
    "get_cache_memory", "get_cache_memory()", chapter: "memory",
    doc: "Bytes kept for reuse.", examples: [">>> mx.get_cache_memory() >= 0\nTrue"]
  ) { (a) throws(LullError) in Value(Memory.cached) },
  Builtin(
    "reset_peak_memory", "reset_peak_memory()", chapter: "memory",
    doc: "Start counting the peak anew.", examples: [">>> mx.reset_peak_memory()"]
  ) { (a) throws(LullError) in
    Memory.resetPeak()
    return .none
  },
  Builtin(
    "clear_cache", "clear_cache()", chapter: "memory",
    doc: "Give the memory kept for reuse back to the system.", examples: [">>> mx.clear_cache()"]
  ) { (a) throws(LullError) in
    Memory.clearCache()
    return .none
  },
  Builtin(
    "get_memory_limit", "get_memory_limit()", chapter: "memory",
    doc: "The bytes past which evaluation raises MemoryError.",
    examples: [">>> mx.get_memory_limit() > 0\nTrue"]
  ) { (a) throws(LullError) in Value(Memory.limit) },
  Builtin(
    "set_memory_limit", "set_memory_limit(limit)", chapter: "memory",
    doc: "Set the limit in bytes; returns the old one.",
    examples: [">>> old = mx.set_memory_limit(mx.get_memory_limit())"]
  ) { (a) throws(LullError) in
    let old = Memory.limit
    let limit = try a.int(0)
    guard limit >= 0 else {
      throw LullError.valueError("the limit must not be negative, got \(limit)")
    }
    Memory.limit = limit
    return Value(old)
  },
  Builtin(
    "set_cache_limit", "set_cache_limit(limit)", chapter: "memory",
    doc: "Keep at most so many bytes for reuse; returns the old limit.",
    examples: [">>> old = mx.set_cache_limit(1 << 30)"]
  ) { (a) throws(LullError) in
    let old = Memory.cacheLimit
    let limit = try a.int(0)
    guard limit >= 0 else {
      throw LullError.valueError("the limit must not be negative, got \(limit)")
    }
    Memory.cacheLimit = limit
    return Value(old)
  },
]

private func evaluateAll(_ a: Args) throws(LullError) {
  let given = a.rest(0)
  if given.count == 1, let array = given[0].ndarray {
    if !array.isEvaluated { try engine { try array.eval() } }
    return
  }
  var arrays: [NDArray] = []
  for v in a.rest(0) {
    try forEachArray(v) { (x) throws(LullError) in
      if let array = x.ndarray { arrays.append(array) }
    }
    // A model counts as the tree of its parameters.
    if !v.isList && !v.isTuple && !v.isDict && v.ndarray == nil,
      let method = try attributeOrNil(v, "parameters")
    {
      defer { method.drop() }
      let tree = try callValue(method, [])
      defer { tree.drop() }
      try forEachArray(tree) { (x) throws(LullError) in
        if let array = x.ndarray { arrays.append(array) }
      }
    }
  }
  try engine { try Engine.evaluate(arrays) }
}
