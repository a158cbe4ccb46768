// Functions that are made of other operations and work with the sizes of their inputs: while a shapeless function
// is traced, each is recorded whole, as one node, and expanded when the trace is replayed over inputs of other sizes.
// Everywhere else they are the operations that they are made of, and nothing of this is used.
//
// Transforms of such a node are compositions too: its gradient, tangent and batch are recorded whole again.

indirect enum Composition: Codable, Sendable {
  case tile([Int])
  case repeated(Int, axis: Int?)
  case roll(Int, axis: Int?)
  case diagonal(Int, Int, Int)
  case diag(Int)
  case einsum(String)
  case tensordot([Int], [Int])
  case outer, kron, crossed(Int), inner
  case pad(before: [Int], after: [Int], mode: String)
  case triangle(upper: Bool, Int)
  case split(parts: Int?, at: [Int], axis: Int)
  case meshgrid(sparse: Bool, String)
  case median([Int]?, keepdims: Bool)
  case topk(Int, Int?)
  case broadcasted
  case index([IndexForm])
  case update([IndexForm], ScatterMode)
  case putAlong(ScatterMode)
  case maskedUpdate(ScatterMode)
  case gatherMatmul(left: Bool, right: Bool)
  case gatherQuantized(
    group: Int, bits: Int, String, biases: Bool, left: Bool, right: Bool, transpose: Bool)
  case segmented
  case blockMasked(Int, out: Bool, left: Bool, right: Bool)
  case hadamard(Double?)
  case convolve(String)
  case lu
  case attention(Double, causal: Bool, mask: Bool, sinks: Bool)
  case shift([Int]?, inverse: Bool)
  case reshapedLike
  case concatenateGradient(Int)
  case sliceGradient([SliceRange])
  case gradient(Composition, inputs: Int)
  case tangent(Composition, inputs: Int)
  case batch(Composition, [Bool])

  /// An index without its arrays, which are inputs.
  enum IndexForm: Codable, Sendable {
    case int(Int), slice(SliceRange), newAxis, ellipsis, array
  }

  /// The outputs for inputs of any sizes; checked like a call of the program.
  func call(_ x: [NDArray]) throws(ArrayError) -> [NDArray] {
    func need(_ count: Int) throws(ArrayError) {
      guard x.count == count else {
        throw .argument(
          op: "compile", message: "a recorded function of \(count) inputs has \(x.count)")
      }
    }
    var rest = x[...]
    func next() throws(ArrayError) -> NDArray {
      guard let y = rest.popFirst() else {
        throw .argument(op: "compile", message: "a recorded function lacks an input")
      }
      return y
    }
    func optional(_ isThere: Bool) throws(ArrayError) -> NDArray? { isThere ? try next() : nil }
    switch self {
    case .outer, .kron, .tensordot, .crossed, .inner, .reshapedLike, .sliceGradient, .convolve:
      try need(2)
    case .putAlong, .maskedUpdate, .segmented: try need(3)
    case .einsum, .meshgrid, .broadcasted, .index, .update, .gatherMatmul, .gatherQuantized,
      .blockMasked,
      .attention, .concatenateGradient, .gradient, .tangent, .batch:
      if x.isEmpty { try need(1) }
    case .pad: try need(2)
    default: try need(1)
    }
    switch self {
    case .tile(let repeats): return [try Engine.tile(x[0], repeats)]
    case .repeated(let times, let axis): return [try Engine.`repeat`(x[0], times, axis: axis)]
    case .roll(let shift, let axis): return [try Engine.roll(x[0], shift, axis: axis)]
    case .diagonal(let offset, let a, let b):
      return [try Engine.diagonal(x[0], offset: offset, axis1: a, axis2: b)]
    case .diag(let k): return [try Engine.diag(x[0], k: k)]
    case .einsum(let text): return [try Engine.einsum(text, x)]
    case .tensordot(let a, let b): return [try Engine.tensordot(x[0], x[1], axesA: a, axesB: b)]
    case .outer: return [try Engine.outer(x[0], x[1])]
    case .kron: return [try Engine.kron(x[0], x[1])]
    case .inner: return [try Engine.inner(x[0], x[1])]
    case .crossed(let axis): return [try Engine.cross(x[0], x[1], axis: axis)]
    case .pad(let before, let after, let name):
      guard before.count == after.count, let mode = PadMode(rawValue: name) else {
        throw .argument(op: "pad", message: "bad recorded widths")
      }
      return [try Engine.pad(x[0], Array(zip(before, after)), value: x[1], mode: mode)]
    case .triangle(let upper, let k): return [try upper ? triu(x[0], k: k) : tril(x[0], k: k)]
    case .split(let parts, let at, let axis):
      if let parts { return try Engine.split(x[0], parts: parts, axis: axis) }
      return try Engine.split(x[0], at: at, axis: axis)
    case .meshgrid(let sparse, let indexing):
      return try Engine.meshgrid(x, sparse: sparse, indexing: indexing)
    case .median(let axes, let keepdims):
      return [try Engine.median(x[0], axes: axes, keepdims: keepdims)]
    case .topk(let k, let axis): return [try Engine.topk(x[0], k, axis: axis)]
    case .broadcasted: return try broadcastArrays(x)
    case .index(let forms):
      let own = try next()
      return [try own.at(try Composition.indices(forms, &rest))]
    case .update(let forms, let mode):
      let (own, value) = (try next(), try next())
      return [try own.updating(try Composition.indices(forms, &rest), value, mode)]
    case .putAlong(let mode): return [try putAlongAxis(x[0], x[1], x[2], axis: nil, mode: mode)]
    case .maskedUpdate(let mode): return [try maskedScatter(x[0], x[1], x[2], mode)]
    case .gatherMatmul(let left, let right):
      let (a, b) = (try next(), try next())
      return [try Engine.gatherMatmul(a, b, left: optional(left), right: optional(right))]
    case .gatherQuantized(
      let group, let bits, let mode, let hasBiases, let left, let right, let transpose):
      let (y, codes, scales) = (try next(), try next(), try next())
      let w = QuantizedOperand(
        codes: codes, scales: scales, biases: try optional(hasBiases), group: group, bits: bits,
        mode: mode)
      return [
        try gatherQuantizedMatmul(
          y, w, left: optional(left), right: optional(right), transpose: transpose)
      ]
    case .segmented: return [try segmentedMatmul(x[0], x[1], segments: x[2])]
    case .blockMasked(let block, let out, let left, let right):
      let (a, b) = (try next(), try next())
      return [
        try blockMaskedMatmul(
          a, b, block: block, out: optional(out), left: optional(left), right: optional(right))
      ]
    case .hadamard(let scale): return [try hadamardTransform(x[0], scale: scale)]
    case .convolve(let mode): return [try Engine.convolve(x[0], x[1], mode: mode)]
    case .lu:
      let parts = try Engine.lu(x[0])
      return [parts.order, parts.l, parts.u]
    case .attention(let scale, let causal, let hasMask, let hasSinks):
      let (q, k, v) = (try next(), try next(), try next())
      return [
        try fastAttention(
          q, k, v, scale: Float(scale), mask: optional(hasMask), causal: causal,
          sinks: optional(hasSinks))
      ]
    case .shift(let axes, let inverse):
      return [try fourierShift(x[0], axes: axes, inverse: inverse)]
    case .concatenateGradient(let axis):
      // The cotangent and what was put together: the part that each has in it.
      let a = try x[0].axis(axis, op: "concatenate")
      var (parts, from): ([NDArray], Int) = ([], 0)
      for y in x.dropFirst() {
        guard y.rank == x[0].rank, from + y.shape[a] <= x[0].shape[a] else {
          throw .argument(op: "concatenate", message: "a recorded gradient of other parts")
        }
        parts.append(try slice(x[0], axis: a, from: from, to: from + y.shape[a]))
        from += y.shape[a]
      }
      return parts
    case .reshapedLike: return [try x[0].reshaped(x[1].shape.array)]
    case .sliceGradient(let ranges):
      return [try sliceUpdate(NDArray.zeros(x[1].shape, dtype: x[0].dtype), x[0], ranges)]
    case .gradient(let function, let count):
      guard count > 0, count < x.count else {
        throw .argument(op: "vjp", message: "bad recorded gradient")
      }
      return try vjp(Array(x[..<count]), cotangents: Array(x[count...])) { (y) throws(ArrayError) in
        try function.call(y)
      }.gradients
    case .tangent(let function, let count):
      guard count > 0, 2 * count == x.count else {
        throw .argument(op: "jvp", message: "bad recorded tangent")
      }
      return try jvp(Array(x[..<count]), tangents: Array(x[count...])) { (y) throws(ArrayError) in
        try function.call(y)
      }.tangents
    case .batch(let function, let isBatched):
      guard isBatched.count == x.count else {
        throw .argument(op: "vmap", message: "bad recorded batch")
      }
      return try vmap(x, axes: isBatched.map { $0 ? 0 : nil }) { (y) throws(ArrayError) in
        try function.call(y)
      }
    }
  }

  private static func indices(_ forms: [IndexForm], _ arrays: inout ArraySlice<NDArray>)
    throws(ArrayError)
    -> [Index]
  {
    var result: [Index] = []
    for form in forms {
      switch form {
      case .int(let i): result.append(.int(i))
      case .slice(let range): result.append(.slice(range))
      case .newAxis: result.append(.newAxis)
      case .ellipsis: result.append(.ellipsis)
      case .array:
        guard let array = arrays.popFirst() else {
          throw .argument(op: "index", message: "a recorded index lacks an array")
        }
        result.append(.array(array))
      }
    }
    return result
  }
  /// The forms of indices and their arrays.
  static func parts(_ indices: [Index]) -> ([IndexForm], [NDArray]) {
    var (forms, arrays): ([IndexForm], [NDArray]) = ([], [])
    for index in indices {
      switch index {
      case .int(let i): forms.append(.int(i))
      case .slice(let range): forms.append(.slice(range))
      case .newAxis: forms.append(.newAxis)
      case .ellipsis: forms.append(.ellipsis)
      case .array(let x):
        forms.append(.array)
        arrays.append(x)
      }
    }
    return (forms, arrays)
  }
}

extension Tracing {
  /// The outputs of a function recorded whole, while a shapeless function is traced; else nil.
  static func recorded(_ function: Composition, _ inputs: [NDArray]) throws(ArrayError)
    -> [NDArray]?
  {
    guard isShapeless, inputs.contains(where: { $0.isTraced }) else { return nil }
    return try record(function, inputs)
  }
  fileprivate static func record(_ function: Composition, _ inputs: [NDArray]) throws(ArrayError)
    -> [NDArray]
  {
    let made = try plain { () throws(ArrayError) in try function.call(inputs) }
    return NDArray.outputs(
      of: Composed(function: function), shapes: made.map(\.shape), dtypes: made.map(\.dtype),
      inputs: inputs)
  }
  /// Runs a body in which sizes are numbers.
  fileprivate static func plain<R>(_ body: () throws(ArrayError) -> R) throws(ArrayError) -> R {
    let old = isShapeless
    isShapeless = false
    defer { isShapeless = old }
    return try body()
  }
}

/// The node of a function that was recorded whole.
struct Composed: MultiOutputPrimitive, Codable {
  let function: Composition
  var name: OperationName { "composed" }

  func evaluateMultiple(_ out: NDArray) throws(ArrayError) -> [NDArray] {
    let made = try Tracing.plain { () throws(ArrayError) in try function.call(out.inputs) }
    try evaluate(made)
    return made
  }
  func vjpMultiple(_ out: NDArray, _ cotangents: [NDArray?]) throws(ArrayError) -> [NDArray?] {
    let inputs = out.inputs
    let outputs = (out.primitive as? MultiOutput)?.outputs(over: inputs) ?? []
    var filled: [NDArray] = []
    for (i, y) in outputs.enumerated() {
      let zero = try NDArray.zeros(like: y)
      filled.append((i < cotangents.count ? cotangents[i] : nil) ?? zero)
    }
    return try Tracing.record(.gradient(function, inputs: inputs.count), inputs + filled)
  }
  func jvpMultiple(_ out: NDArray, _ outputs: [(Shape, DType)], _ tangents: [NDArray?])
    throws(ArrayError) -> [NDArray?]
  {
    let inputs = out.inputs
    var filled: [NDArray] = []
    for (i, x) in inputs.enumerated() {
      let zero = try NDArray.zeros(like: x)
      filled.append(tangents[i] ?? zero)
    }
    return try Tracing.record(.tangent(function, inputs: inputs.count), inputs + filled)
  }
  func vmapMultiple(_ out: NDArray, _ outputs: [(Shape, DType)], _ batch: Batch) throws(ArrayError)
    -> [NDArray]
  {
    try Tracing.record(.batch(function, batch.isBatched), batch.inputs)
  }
  func rebuildMultiple(_ inputs: [NDArray], like old: [NodeShape]) throws(ArrayError) -> [NDArray] {
    if let made = try Tracing.recorded(function, inputs) { return made }
    return try function.call(inputs)
  }
}
