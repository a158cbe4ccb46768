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
    doc: "As eval; what goes wrong is said by synchronize() or by the next use of the array.",
    examples: [">>> mx.async_eval(mx.ones(2))"]
  ) { (a) throws(LullError) in
    guard transformDepth == 0 else {
      throw LullError.valueError(
        "async_eval: not allowed inside a function that is being transformed")
    }
    if try arraysIn(a.rest(0)).contains(where: { $0.isTraced }) {
      try evaluateAll(a)
      return .none
    }
    do throws(LullError) {
      try evaluateAll(a)
    } catch {
      guard ["ValueError", "ShapeError", "RuntimeError"].contains(error.kind) else { throw error }
      asyncFailure = asyncFailure ?? error.message
    }
    return .none
  },
  Builtin(
    "synchronize", "synchronize(stream=None)", chapter: "evaluation",
    doc:
      "Raises RuntimeError if an async_eval since the last call failed; no work is ever pending.",
    examples: [">>> mx.synchronize()"]
  ) { (a) throws(LullError) in
    guard let message = asyncFailure else { return .none }
    asyncFailure = nil
    throw LullError.runtime(message)
  },
  Builtin(
    "get_active_memory", "get_active_memory()", chapter: "memory",
    doc: "Bytes that arrays hold now.", examples: [">>> mx.get_active_memory() >= 0\nTrue"]
  ) { (a) throws(LullError) in Value(Memory.active) },
  Builtin(
    "get_peak_memory", "get_peak_memory()", chapter: "memory",
    doc:
      "The most bytes that arrays have held since the start or the last reset_peak_memory(), after which it is 0 until memory is taken.",
    examples: [">>> mx.get_peak_memory() >= 0\nTrue"]
  ) { (a) throws(LullError) in Value(Memory.peak) },
  Builtin(
    "get_cache_memory", "get_cache_memory()", chapter: "memory",
    doc: "Bytes kept for reuse.", examples: [">>> mx.get_cache_memory() >= 0\nTrue"]
  ) { (a) throws(LullError) in Value(Memory.cached) },
  Builtin(
    "get_array_buffer_size", "get_array_buffer_size(*args)", chapter: "memory",
    doc:
      "Bytes of the memory behind evaluated arrays (or trees of them); memory that several share counts once.",
    examples: [
      ">>> x = mx.array([1.0, 2.0])\n>>> mx.get_array_buffer_size(x) == mx.get_array_buffer_size([x, x])\nTrue"
    ]
  ) { (a) throws(LullError) in
    var buffers: [ObjectIdentifier: Int] = [:]
    for array in try arraysIn(a.rest(0)) {
      guard array.isEvaluated else {
        throw LullError.valueError(
          "get_array_buffer_size: an array has no values yet; call mx.eval first")
      }
      if let buffer = array.buffer { buffers[ObjectIdentifier(buffer)] = buffer.byteCount }
    }
    return Value(buffers.values.reduce(0, +))
  },
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

/// What an async_eval ran into, until synchronize() says it.
nonisolated(unsafe) private var asyncFailure: String?

private func evaluateAll(_ a: Args) throws(LullError) {
  let given = a.rest(0)
  if given.count == 1, let array = given[0].ndarray {
    try engine { try array.evalInMemory() }
    return
  }
  let arrays = try arraysIn(given)
  try engine { try evaluateInMemory(arrays) }
}

/// The arrays of values and of trees of values; a model counts as the tree of its parameters.
func arraysIn(_ values: UnsafeBufferPointer<Value>) throws(LullError) -> [NDArray] {
  var arrays: [NDArray] = []
  for v in values { arrays += try Tree.someArrays(v, "eval") }
  return arrays
}
