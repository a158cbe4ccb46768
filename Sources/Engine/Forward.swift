// Forward mode: tangents carried from the leaves of a trace to its outputs.
//
// The graph is recorded as for gradients; then each node between leaves and outputs, inputs first, gets its
// tangent from those of its inputs. A real elementwise node multiplies with its derivatives. Any other
// primitive whose `jvp` is not written uses its gradient: that is linear in the cotangent, so the gradient of
// the gradient with respect to the cotangent, applied to the tangents, is the tangent of the output.

/// The tangents of `outputs` given by a gradient that is linear in its cotangents. `like` has the shapes and
/// dtypes of the outputs.
func transposedGradient(
  _ node: NDArray, _ like: [NDArray], _ tangents: [NDArray?],
  _ gradient: ([NDArray?]) throws(ArrayError) -> [NDArray?]
) throws(ArrayError) -> [NDArray?] {
  var zeros: [NDArray] = []
  for y in like {
    zeros.append(try NDArray.zeros(y.shape, dtype: y.dtype == .bool ? .float32 : y.dtype))
  }
  let cotangents = beginTrace(zeros)
  defer { endTrace([]) }
  let gradients = try gradient(cotangents)
  var (from, weights): ([NDArray], [NDArray]) = ([], [])
  for (i, tangent) in tangents.enumerated() {
    guard let tangent, i < gradients.count, let g = gradients[i] else { continue }
    from.append(g)
    weights.append(tangent.astype(g.dtype))
  }
  if from.isEmpty { return like.map { _ in nil } }
  return try vjp(outputs: from, inputs: cotangents, cotangents: weights)
}

/// The tangents of the outputs for tangents of the leaves; zero where an output does not depend on them.
public func pushForward(outputs: [NDArray], leaves: [NDArray], tangents: [NDArray])
  throws(ArrayError) -> [NDArray]
{
  guard leaves.count == tangents.count else {
    throw .argument(op: "jvp", message: "\(tangents.count) tangents for \(leaves.count) primals")
  }
  var known: [ObjectIdentifier: NDArray] = [:]
  /// What the nodes of primitives with several outputs have for each of them.
  var several: [ObjectIdentifier: [NDArray?]] = [:]
  for (x, t) in zip(leaves, tangents) {
    guard x.shape == t.shape else {
      throw .shapeMismatch(
        op: "jvp", lhs: x.shape.array, rhs: t.shape.array,
        reason: "a tangent has the shape of its primal")
    }
    known[ObjectIdentifier(x)] = t
  }
  let order = reachable(outputs, from: leaves)
  // A primitive with several outputs is asked once, with what all of them look like.
  var parts: [ObjectIdentifier: [(Shape, DType)]] = [:]
  for node in order {
    guard node.primitive is OutputOf, let all = node.input(0).primitive as? MultiOutput else {
      continue
    }
    parts[ObjectIdentifier(node.input(0))] = Array(zip(all.shapes, all.dtypes))
  }
  let saved = currentPosition
  defer { currentPosition = saved }
  for node in order.dropFirst(leaves.count) {
    currentPosition = node.position
    let given = (0..<node.inputCount).map { known[ObjectIdentifier(node.input($0))] }
    let id = ObjectIdentifier(node)
    if let output = node.primitive as? OutputOf {
      if let tangent = several[ObjectIdentifier(node.input(0))]?[output.index] {
        known[id] = tangent
      }
    } else if let all = node.primitive as? MultiOutput {
      several[id] = try all.base.jvpMultiple(node, parts[id] ?? [], given)
    } else if node.op != .none {
      known[id] = try elementwiseTangent(node, given)
    } else if let primitive = node.primitive {
      if given.contains(where: { $0 != nil }) {
        known[id] = try primitive.jvp(node, given)?.astype(node.dtype)
      }
    } else {
      throw .notDifferentiable(op: "jvp", reason: "the graph was let go by an evaluation")
    }
  }
  var result: [NDArray] = []
  for y in outputs {
    let zero = try NDArray.zeros(y.shape, dtype: y.dtype == .bool ? .float32 : y.dtype)
    result.append(known[ObjectIdentifier(y)] ?? zero)
  }
  return result
}

private func elementwiseTangent(_ node: NDArray, _ tangents: [NDArray?]) throws(ArrayError)
  -> NDArray?
{
  var isReal = !node.dtype.isComplex
  for i in 0..<node.inputCount where node.input(i).dtype.isComplex { isReal = false }
  if !isReal {
    return try transposedGradient(node, [node], tangents) { (c) throws(ArrayError) in
      guard let c = c[0] else { return [] }
      var gradients = try node.op.gradients(node, c)
      for i in gradients.indices {
        if let g = gradients[i] { gradients[i] = try g.sumTo(node.input(i).shape) }
      }
      return gradients
    }[0]
  }
  var total: NDArray?
  for (i, tangent) in tangents.enumerated() {
    guard let tangent else { continue }
    if node.op == .cast {
      total = tangent.astype(node.dtype)
      break
    }
    guard let term = try node.op.gradients(node, tangent)[i] else { continue }
    total = try total.map { (t) throws(ArrayError) in try add(t, term) } ?? term
  }
  return try total?.broadcast(to: node.shape)
}

/// The function's outputs and the Jacobian times the tangents.
public func jvp(
  _ primals: [NDArray], tangents: [NDArray],
  _ function: ([NDArray]) throws(ArrayError) -> [NDArray]
) throws(ArrayError) -> (outputs: [NDArray], tangents: [NDArray]) {
  guard primals.count == tangents.count else {
    throw .argument(op: "jvp", message: "\(tangents.count) tangents for \(primals.count) primals")
  }
  let leaves = beginTrace(primals)
  var kept: [NDArray] = []
  defer { endTrace(kept) }
  let outputs = try function(leaves)
  let result = try pushForward(outputs: outputs, leaves: leaves, tangents: tangents)
  kept = outputs + result
  return (outputs, result)
}
