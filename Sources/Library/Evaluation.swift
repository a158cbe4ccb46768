// Asking for values, and the accounts of the memory that they take.

import Engine
import Language

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
  let arrays = try arraysIn(given)
  try engine { try Engine.evaluate(arrays) }
}

/// The arrays of values and of trees of values; a model counts as the tree of its parameters.
func arraysIn(_ values: UnsafeBufferPointer<Value>) throws(LullError) -> [NDArray] {
  var arrays: [NDArray] = []
  for v in values { arrays += try Tree.someArrays(v, "eval") }
  return arrays
}
