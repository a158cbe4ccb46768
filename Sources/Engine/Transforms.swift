// Differentiation by walking the recorded graph backwards.
//
// The graph is there anyway, so reverse mode needs no second record: `trace` hands out leaves
// that stand for the inputs, the user's function runs on them, and `vjp` walks from the outputs
// to those leaves, node by node, asking each primitive for its rule. Rules are array operations,
// so gradients are graphs themselves and can be differentiated again; a leaf of an inner trace
// keeps its link to the outer one.
//
// Forward mode walks the same record from the leaves to the outputs (Forward.swift).
//
// While a trace is open, a traced node that is evaluated (by `item()` or a condition) keeps its
// inputs; the traces' depth is `Evaluator.traceDepth`.

/// The leaf of a trace: the same value as its input.
struct Leaf: Primitive {
  var name: OperationName { "leaf" }
  func evaluate(_ out: NDArray) throws(ArrayError) {
    out.share(out.input(0), strides: out.input(0).strides)
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] { [cotangent] }
  func jvp(_ out: NDArray, _ tangents: [NDArray?]) throws(ArrayError) -> NDArray? { tangents[0] }
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray { batch.inputs[0] }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray { inputs[0] }
}

/// Opens a trace: leaves that stand for the arrays. Every call needs its `endTrace`.
public func beginTrace(_ arrays: [NDArray]) -> [NDArray] {
  Evaluator.traceDepth += 1
  return arrays.map { leaf($0) }
}

private func leaf(_ x: NDArray) -> NDArray {
  let leaf: NDArray
  if let buffer = x.buffer, !x.isTraced {
    leaf = NDArray(
      buffer: buffer, offset: x.offset, shape: x.shape, strides: x.strides, dtype: x.dtype)
  } else {
    leaf = NDArray(Leaf(), shape: x.shape, dtype: x.dtype, x)
    if let buffer = x.buffer {
      leaf.buffer = buffer
      leaf.offset = x.offset
      leaf.strides = x.strides
      leaf.isRowContiguous = x.isRowContiguous
    }
  }
  leaf.isTraced = true
  leaf.level = Int32(Evaluator.traceDepth)
  return leaf
}

/// The same value without the way back: what is computed from it is not kept for a gradient,
/// while traces that replay the graph still see that it depends on their leaves.
func detached(_ x: NDArray) -> NDArray {
  let y = NDArray(Leaf(), shape: x.shape, dtype: x.dtype, x)
  y.isTraced = false
  return y
}

/// Closes a trace. The arrays that outlive it (values and gradients) let go of the way back.
public func endTrace(_ results: [NDArray]) {
  Evaluator.traceDepth -= 1
  if Evaluator.traceDepth == 0 {
    for x in results where x.isEvaluated { x.detach() }
  }
}

/// The gradients of outputs with respect to inputs, given the outputs' cotangents. The inputs
/// are nodes of the outputs' graph (leaves of a trace); zeros where nothing depends on them.
public func vjp(outputs: [NDArray], inputs: [NDArray], cotangents: [NDArray])
  throws(ArrayError) -> [NDArray]
{
  guard outputs.count == cotangents.count else {
    throw .argument(
      op: "vjp", message: "\(cotangents.count) cotangents for \(outputs.count) outputs")
  }
  for (y, g) in zip(outputs, cotangents) where y.shape != g.shape {
    throw .shapeMismatch(
      op: "vjp", lhs: y.shape.array, rhs: g.shape.array,
      reason: "a cotangent has its output's shape")
  }
  var pickers: [NDArray] = []
  let order = reachable(outputs, from: inputs) { node in
    if node.primitive?.rejectsHiddenPositions == true { pickers.append(node) }
  }
  for node in pickers { try checkPositions(of: node, inputs) }
  var gradients: [ObjectIdentifier: NDArray] = [:]
  var parts: [ObjectIdentifier: [NDArray?]] = [:]  // of primitives with several outputs
  func accumulate(_ node: NDArray, _ gradient: NDArray) throws(ArrayError) {
    let id = ObjectIdentifier(node)
    let g = gradient.dtype == node.dtype ? gradient : gradient.astype(node.dtype)
    if let old = gradients[id] { gradients[id] = try add(old, g) } else { gradients[id] = g }
  }
  let wanted = Set(inputs.map { ObjectIdentifier($0) })
  let needed = Set(order.map { ObjectIdentifier($0) })
  for (y, g) in zip(outputs, cotangents) where needed.contains(ObjectIdentifier(y)) {
    try accumulate(y, g)
  }
  let saved = currentPosition
  defer { currentPosition = saved }
  for node in order.reversed() {
    let id = ObjectIdentifier(node)
    if wanted.contains(id) { continue }
    var results: [NDArray?]
    currentPosition = node.position
    if let several = parts.removeValue(forKey: id), let primitive = node.primitive {
      results = try primitive.vjpMultiple(node, several)
    } else {
      guard let g = gradients.removeValue(forKey: id) else { continue }
      if node.op != .none {
        results = try node.op.gradients(node, g)
        for i in results.indices {
          if let part = results[i] { results[i] = try part.summed(like: node.input(i)) }
        }
      } else if let output = node.primitive as? OutputOf {
        let parent = ObjectIdentifier(node.input(0))
        var list = parts[parent] ?? [NDArray?](repeating: nil, count: output.count)
        list[output.index] = g
        parts[parent] = list
        continue
      } else {
        guard let primitive = node.primitive else {
          throw .notDifferentiable(op: "vjp", reason: "the graph was let go by an evaluation")
        }
        results = try primitive.vjp(node, g)
      }
    }
    for i in 0..<Swift.min(results.count, node.inputCount) {
      let input = node.input(i)
      guard needed.contains(ObjectIdentifier(input)) else { continue }
      if let gradient = results[i] {
        try accumulate(input, gradient)
      } else if let primitive = node.primitive, let reason = primitive.rejectsGradient(of: i) {
        throw .notDifferentiable(op: primitive.name, reason: reason)
      }
    }
  }
  var result: [NDArray] = []
  for x in inputs {
    let zero = try NDArray.zeros(like: x)
    result.append(gradients[ObjectIdentifier(x)] ?? zero)
  }
  return result
}

/// Positions that were worked out of what is differentiated (by an argsort, say) are an error, unless they were
/// stopped: their gradient is not zero but undefined.
private func checkPositions(of node: NDArray, _ inputs: [NDArray]) throws(ArrayError) {
  guard let primitive = node.primitive else { return }
  let wanted = Set(inputs.map { ObjectIdentifier($0) })
  let lowest = inputs.reduce(Int32.max) { Swift.min($0, $1.level) }
  for i in 0..<node.inputCount {
    guard let reason = primitive.rejectsGradient(of: i) else { continue }
    var seen: Set<ObjectIdentifier> = []
    var stack = [node.input(i)]
    while let x = stack.popLast() {
      guard x.op != .stopGradient, x.isTraced, x.level >= lowest,
        seen.insert(ObjectIdentifier(x)).inserted
      else { continue }
      if wanted.contains(ObjectIdentifier(x)) {
        throw .notDifferentiable(op: primitive.name, reason: reason)
      }
      for j in 0..<x.inputCount { stack.append(x.input(j)) }
    }
  }
}

extension NDArray {
  /// Whether a gradient that arrives here can reach the inputs.
  var passesGradient: Bool {
    if op == .none { return primitive?.passesGradient ?? true }
    return op.passesGradient && !(op == .cast && !dtype.isInexact && in0?.dtype.isInexact == true)
  }
}

/// The nodes between inputs and outputs, inputs first. A walk for gradients passes only traced
/// nodes through which a gradient flows.
func reachable(
  _ outputs: [NDArray], from inputs: [NDArray], forGradients: Bool = true,
  visit: ((NDArray) -> Void)? = nil
) -> [NDArray] {
  let lowest = inputs.reduce(Int32.max) { Swift.min($0, $1.level) }
  func isEnd(_ node: NDArray) -> Bool {
    node.level < lowest || (forGradients && (!node.isTraced || !node.passesGradient))
  }
  // state: 0 open, 1 leads to no input, 2 leads to one.
  var state: [ObjectIdentifier: Int] = [:]
  for x in inputs { state[ObjectIdentifier(x)] = 2 }
  var order = inputs
  var stack: [(node: NDArray, next: Int, count: Int, leads: Bool)] = []
  for output in outputs where state[ObjectIdentifier(output)] == nil {
    state[ObjectIdentifier(output)] = 0
    stack.append((output, 0, isEnd(output) ? 0 : output.inputCount, false))
    while let top = stack.last {
      let t = stack.count - 1
      if top.next == top.count {
        state[ObjectIdentifier(top.node)] = top.leads ? 2 : 1
        visit?(top.node)
        if top.leads { order.append(top.node) }
        stack.removeLast()
        if top.leads && !stack.isEmpty { stack[t - 1].leads = true }
        continue
      }
      stack[t].next += 1
      let child = top.node.input(top.next)
      if let known = state[ObjectIdentifier(child)] {
        if known == 2 { stack[t].leads = true }
      } else {
        state[ObjectIdentifier(child)] = 0
        stack.append((child, 0, isEnd(child) ? 0 : child.inputCount, false))
      }
    }
  }
  return order
}

/// The function's outputs and the Jacobian's transpose times the cotangents.
public func vjp(
  _ primals: [NDArray], cotangents: [NDArray],
  _ function: ([NDArray]) throws(ArrayError) -> [NDArray]
) throws(ArrayError) -> (outputs: [NDArray], gradients: [NDArray]) {
  let leaves = beginTrace(primals)
  var kept: [NDArray] = []
  defer { endTrace(kept) }
  let outputs = try function(leaves)
  let gradients = try vjp(outputs: outputs, inputs: leaves, cotangents: cotangents)
  kept = outputs + gradients
  return (outputs, gradients)
}

/// The value of a scalar function and its gradients with respect to some of its arguments.
public func valueAndGrad(
  _ arguments: [NDArray], argnums: [Int] = [0],
  _ function: ([NDArray]) throws(ArrayError) -> NDArray
) throws(ArrayError) -> (value: NDArray, gradients: [NDArray]) {
  for i in argnums {
    guard arguments.indices.contains(i) else {
      throw .argument(op: "grad", message: "argument \(i) of \(arguments.count)")
    }
    guard arguments[i].dtype.isInexact else {
      throw .dtype(op: "grad", found: arguments[i].dtype, needed: "inexact arguments")
    }
  }
  let leaves = beginTrace(argnums.map { arguments[$0] })
  var kept: [NDArray] = []
  defer { endTrace(kept) }
  var traced = arguments
  for (i, leaf) in zip(argnums, leaves) { traced[i] = leaf }
  let value = try function(traced)
  guard value.size == 1 && value.rank == 0 else { throw .notScalar(shape: value.shape.array) }
  let one = try NDArray.ones(value.shape, dtype: value.dtype)
  let gradients = try vjp(outputs: [value], inputs: leaves, cotangents: [one])
  kept = [value] + gradients
  return (value, gradients)
}

public func grad(
  _ arguments: [NDArray], argnums: [Int] = [0],
  _ function: ([NDArray]) throws(ArrayError) -> NDArray
) throws(ArrayError) -> [NDArray] {
  try valueAndGrad(arguments, argnums: argnums, function).gradients
}
