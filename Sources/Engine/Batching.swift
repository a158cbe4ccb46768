// vmap: a function written for one example, applied to a batch.
//
// The function runs once, on placeholders that have the shape of one example and no values. What it recorded
// is then replayed, inputs before users, with the batched arrays in place of the placeholders. Each node that
// depends on one is made anew by its primitive's `vmap`; all others stay as they are. The batch axis of a
// batched array is always its first: `in_axes` and `out_axes` are transpositions at both ends. The replay is a
// graph like any other, so gradients, other batches and compilation go through it.

/// Stands for an example that has no values yet.
struct Placeholder: Primitive {
  var name: OperationName { "placeholder" }
  func evaluate(_ out: NDArray) throws(ArrayError) { throw .evaluatedInTrace }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] { [] }
}

extension NDArray {
  /// An array without values inside the innermost open trace.
  static func placeholder(_ shape: Shape, _ dtype: DType) -> NDArray {
    let x = NDArray(Placeholder(), shape: shape, dtype: dtype, inputs: [])
    x.isTraced = true
    x.level = Int32(Evaluator.traceDepth)
    return x
  }

  /// Whether the values are not there before a trace has ended.
  public var needsPlaceholder: Bool {
    if isEvaluated || level == 0 { return false }
    var seen: Set<ObjectIdentifier> = [ObjectIdentifier(self)]
    var stack = [self]
    while let node = stack.popLast() {
      if node.primitive is Placeholder { return true }
      for i in 0..<node.inputCount {
        let input = node.input(i)
        if input.isEvaluated || input.level == 0 { continue }
        if seen.insert(ObjectIdentifier(input)).inserted { stack.append(input) }
      }
    }
    return false
  }
}

/// The inputs of one node in a replay: batched ones have the batch axis in front.
public struct Batch {
  public let size: Int
  public let inputs: [NDArray]
  public let isBatched: [Bool]

  /// The shape of a batch of such arrays.
  func shape(_ example: Shape) throws(ArrayError) -> Shape {
    if example.count == Shape.maxRank {
      throw .tooManyDimensions(op: "vmap", count: example.count + 1)
    }
    var result = example
    result.insert(size, at: 0)
    _ = try result.elementCount(op: "vmap")
    return result
  }
  /// Input i with the batch axis in front, broadcast if it has none.
  func full(_ i: Int) throws(ArrayError) -> NDArray {
    if isBatched[i] { return inputs[i] }
    return try inputs[i].broadcast(to: shape(inputs[i].shape))
  }
  /// Input i as it broadcasts against examples of `rank` dimensions: ones after the batch axis.
  func aligned(_ i: Int, rank: Int) throws(ArrayError) -> NDArray {
    let x = inputs[i]
    if !isBatched[i] || x.rank - 1 >= rank { return x }
    if rank + 1 > Shape.maxRank { throw .tooManyDimensions(op: "vmap", count: rank + 1) }
    var target = x.shape
    for _ in 0..<(rank + 1 - x.rank) { target.insert(1, at: 1) }
    let added = target.count - x.rank
    return try x.reshaped(target, .expand(mask: ((1 << added) - 1) << 1))
  }
  /// The node of a primitive that treats leading axes one by one anyway.
  func same(_ out: NDArray, _ primitive: any Primitive) throws(ArrayError) -> NDArray {
    var all: [NDArray] = []
    for i in inputs.indices { all.append(try full(i)) }
    return NDArray(primitive, shape: try shape(out.shape), dtype: out.dtype, inputs: all)
  }

  /// One node an example, stacked: the rule of primitives without one.
  func loop(_ out: NDArray, _ primitive: any Primitive) throws(ArrayError) -> NDArray {
    let whole = try shape(out.shape)
    if size == 0 { return try NDArray.zeros(whole, dtype: out.dtype) }
    var results: [NDArray] = []
    for k in 0..<size {
      let own = try example(k)
      results.append(
        NDArray(primitive.replacing(own), shape: out.shape, dtype: out.dtype, inputs: own))
    }
    return try stack(results)
  }
  func loop(_ primitive: any MultiOutputPrimitive, _ outputs: [(Shape, DType)])
    throws(ArrayError) -> [NDArray]
  {
    var lists = outputs.map { _ in [NDArray]() }
    for k in 0..<size {
      let own = try example(k)
      let made = NDArray.outputs(
        of: primitive.replacing(own), shapes: outputs.map { $0.0 }, dtypes: outputs.map { $0.1 },
        inputs: own)
      for i in made.indices { lists[i].append(made[i]) }
    }
    var result: [NDArray] = []
    for (list, (form, dtype)) in zip(lists, outputs) {
      result.append(
        try size == 0 ? NDArray.zeros(shape(form), dtype: dtype) : stack(list))
    }
    return result
  }
  private func example(_ k: Int) throws(ArrayError) -> [NDArray] {
    var own: [NDArray] = []
    for (i, x) in inputs.enumerated() {
      guard isBatched[i] else {
        own.append(x)
        continue
      }
      var target = x.shape
      target.remove(at: 0)
      own.append(try slice(x, axis: 0, from: k, to: k + 1).reshaped(target))
    }
    return own
  }
}

extension ElementwiseOp {
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    var x: [NDArray] = []
    for i in batch.inputs.indices { x.append(try batch.aligned(i, rank: out.rank)) }
    return NDArray(
      op: self, shape: try batch.shape(out.shape), dtype: out.dtype, x[0],
      x.count > 1 ? x[1] : nil, x.count > 2 ? x[2] : nil)
  }
}

extension Tracing {
  /// The depths of the traces under way that belong to vmap.
  nonisolated(unsafe) fileprivate static var mapped: Set<Int32> = []
}
extension NDArray {
  /// Whether it depends on what the innermost vmap under way maps over.
  public var isMapped: Bool { level > 0 && Tracing.mapped.contains(level) }
}

/// An open vmap: `examples` go to the function, `finish` turns what it gave into batches.
public struct BatchTrace {
  /// What the function gets in place of the inputs; inputs without an axis are passed on.
  public let examples: [NDArray]
  public let size: Int
  private let batched: [NDArray]
  private let places: [Int]

  /// Opens the trace: every one needs its `end`. An axis may be negative; nil is not mapped.
  public init(_ inputs: [NDArray], axes: [Int?]) throws(ArrayError) {
    var (moved, places, size): ([NDArray], [Int], Int?) = ([], [], nil)
    for (i, x) in inputs.enumerated() {
      guard let axis = axes[i] else { continue }
      let a = try x.axis(axis, op: "vmap")
      if let size, size != x.shape[a] {
        throw .argument(
          op: "vmap",
          message:
            "axis \(axis) of input \(i), of shape \(x.shape), has size \(x.shape[a]), that of the others \(size); "
            + "in_axes says which axis of each input is mapped, None for none")
      }
      size = x.shape[a]
      moved.append(try a == 0 ? x : moveaxis(x, a, 0))
      places.append(i)
    }
    guard let size else {
      throw .argument(op: "vmap", message: "at least one input needs an axis to map over")
    }
    self.size = size
    batched = moved
    self.places = places
    Evaluator.traceDepth += 1
    Tracing.mapped.insert(Int32(Evaluator.traceDepth))
    var examples = inputs
    for (x, i) in zip(moved, places) {
      var shape = x.shape
      shape.remove(at: 0)
      examples[i] = .placeholder(shape, x.dtype)
    }
    self.examples = examples
  }
  public func end() {
    Tracing.mapped.remove(Int32(Evaluator.traceDepth))
    endTrace([])
  }

  /// The batches of the outputs, the batch axis where `axes` has it; nil where it does not.
  public func finish(_ outputs: [NDArray], axes: [Int?]) throws(ArrayError) -> [NDArray] {
    let replayed = try batches(
      of: outputs, over: places.map { examples[$0] }, batched, size: size)
    var result: [NDArray] = []
    for (i, y) in outputs.enumerated() {
      let batch = replayed[i]
      guard let axis = axes[i] else {
        if batch != nil {
          throw .argument(
            op: "vmap", message: "output \(i) depends on a mapped input, so it needs an out axis")
        }
        result.append(y)
        continue
      }
      let rank = y.rank + 1
      let place = axis < 0 ? axis &+ rank : axis
      guard place >= 0, place < rank else { throw .axis(op: "vmap", axis: axis, rank: rank) }
      let whole: NDArray
      if let batch {
        whole = batch
      } else {
        whole = try y.broadcast(to: Batch(size: size, inputs: [], isBatched: []).shape(y.shape))
      }
      result.append(try place == 0 ? whole : moveaxis(whole, 0, place))
    }
    return result
  }
}

/// The outputs with `batched` in place of the leaves; nil for those that depend on none.
func batches(of outputs: [NDArray], over leaves: [NDArray], _ batched: [NDArray], size: Int)
  throws(ArrayError) -> [NDArray?]
{
  var known: [ObjectIdentifier: NDArray] = [:]
  var several: [ObjectIdentifier: [NDArray]] = [:]
  for (x, y) in zip(leaves, batched) { known[ObjectIdentifier(x)] = y }
  let saved = currentPosition
  defer { currentPosition = saved }
  let order = reachable(outputs, from: leaves, forGradients: false)
  for node in order.dropFirst(leaves.count) {
    currentPosition = node.position
    if let output = node.primitive as? OutputOf {
      known[ObjectIdentifier(node)] = several[ObjectIdentifier(node.input(0))]?[output.index]
      continue
    }
    var (inputs, isBatched): ([NDArray], [Bool]) = ([], [])
    for i in 0..<node.inputCount {
      let found = known[ObjectIdentifier(node.input(i))]
      inputs.append(found ?? node.input(i))
      isBatched.append(found != nil)
    }
    let batch = Batch(size: size, inputs: inputs, isBatched: isBatched)
    if let all = node.primitive as? MultiOutput {
      several[ObjectIdentifier(node)] = try all.base.vmapMultiple(
        node, Array(zip(all.shapes, all.dtypes)), batch)
    } else if node.op != .none {
      known[ObjectIdentifier(node)] = try node.op.vmap(node, batch)
    } else if let primitive = node.primitive {
      known[ObjectIdentifier(node)] = try primitive.vmap(node, batch)
    } else {
      throw .internal("a node of a trace has lost its primitive")
    }
  }
  return outputs.map { known[ObjectIdentifier($0)] }
}

/// The function over a batch: inputs with an axis are mapped over it, the outputs stacked.
public func vmap(
  _ inputs: [NDArray], axes: [Int?], outAxis: Int = 0,
  _ function: ([NDArray]) throws(ArrayError) -> [NDArray]
) throws(ArrayError) -> [NDArray] {
  let trace = try BatchTrace(inputs, axes: axes)
  defer { trace.end() }
  let outputs = try function(trace.examples)
  return try trace.finish(outputs, axes: outputs.map { _ in outAxis })
}
