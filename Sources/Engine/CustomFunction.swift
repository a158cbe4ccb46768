// Functions with transforms of their own, functions that are computed again for their gradient, and nodes
// that wait for others.
//
// The node of a custom function has the inputs and the outputs of a call as its inputs; it hands the outputs
// on. The call ran on detached inputs, so no gradient goes through it except by the rule, and what the call
// needed in between is let go as soon as it is computed. Where there is no rule, the transform is taken of the
// function itself, called again.

/// What a custom function does under each transform; `function` is the function itself.
public final class CustomRules: @unchecked Sendable {
  public typealias Function = ([NDArray]) throws(ArrayError) -> [NDArray]
  public let function: Function
  /// (inputs, outputs, cotangents) to gradients.
  public var vjp: (([NDArray], [NDArray], [NDArray]) throws(ArrayError) -> [NDArray?])?
  /// (inputs, tangents; nil is zero) to the tangents of the outputs.
  public var jvp: (([NDArray], [NDArray?]) throws(ArrayError) -> [NDArray])?
  /// (batched inputs, their axes) to batched outputs and theirs.
  public var vmap: (([NDArray], [Int?]) throws(ArrayError) -> ([NDArray], [Int?]))?
  public init(_ function: @escaping Function) { self.function = function }
}

struct CustomFunction: MultiOutputPrimitive {
  let inputCount: Int
  let rules: CustomRules
  var name: OperationName { "custom_function" }

  func evaluateMultiple(_ out: NDArray) throws(ArrayError) -> [NDArray] {
    (inputCount..<out.inputCount).map { out.input($0) }
  }

  func vjpMultiple(_ out: NDArray, _ cotangents: [NDArray?]) throws(ArrayError) -> [NDArray?] {
    let all = out.inputs
    let (inputs, outputs) = (Array(all[..<inputCount]), Array(all[inputCount...]))
    var filled: [NDArray] = []
    for (i, output) in outputs.enumerated() {
      let zero = try NDArray.zeros(like: output)
      filled.append((i < cotangents.count ? cotangents[i] : nil) ?? zero)
    }
    let gradients: [NDArray?]
    if let rule = rules.vjp {
      gradients = try rule(inputs, outputs, filled)
      guard gradients.count == inputCount else {
        throw .argument(
          op: name, message: "the rule gave \(gradients.count) gradients for \(inputCount) inputs")
      }
      for (x, g) in zip(inputs, gradients) {
        if let g, g.shape != x.shape {
          throw .shapeMismatch(
            op: name, lhs: x.shape.array, rhs: g.shape.array,
            reason: "a gradient has the shape of its input")
        }
      }
    } else {
      gradients = try Engine.vjp(inputs, cotangents: filled, rules.function).gradients
    }
    return gradients + outputs.map { _ in nil }
  }

  func jvpMultiple(_ out: NDArray, _ outputs: [(Shape, DType)], _ tangents: [NDArray?])
    throws(ArrayError) -> [NDArray?]
  {
    let inputs = Array(out.inputs[..<inputCount])
    var filled: [NDArray] = []
    for (i, x) in inputs.enumerated() {
      let zero = try NDArray.zeros(like: x, dtype: x.dtype == .bool ? .float32 : x.dtype)
      filled.append(tangents[i] ?? zero)
    }
    guard let rule = rules.jvp else {
      return try Engine.jvp(inputs, tangents: filled, rules.function).tangents
    }
    let result = try rule(inputs, Array(tangents[..<inputCount]))
    guard result.count == outputs.count else {
      throw .argument(
        op: name, message: "the rule gave \(result.count) tangents for \(outputs.count) outputs")
    }
    for ((shape, _), t) in zip(outputs, result) where t.shape != shape {
      throw .shapeMismatch(
        op: name, lhs: shape.array, rhs: t.shape.array,
        reason: "a tangent has the shape of its output")
    }
    return result
  }

  func vmapMultiple(_ out: NDArray, _ outputs: [(Shape, DType)], _ batch: Batch)
    throws(ArrayError) -> [NDArray]
  {
    let isMapped = Array(batch.isBatched[..<inputCount])
    let inputs = Array(batch.inputs[..<inputCount])
    if let rule = rules.vmap {
      let (made, axes) = try rule(inputs, isMapped.map { $0 ? 0 : nil })
      guard made.count == outputs.count, axes.count == made.count else {
        throw .argument(
          op: name, message: "the rule gave \(made.count) outputs for \(outputs.count)")
      }
      var result: [NDArray] = []
      for (i, y) in made.enumerated() {
        let whole: NDArray
        if let axis = axes[i] {
          whole = try moveaxis(y, y.axis(axis, op: name), 0)
        } else {
          whole = try y.broadcast(to: batch.shape(y.shape))
        }
        let expected = try batch.shape(outputs[i].0)
        guard whole.shape == expected else {
          throw .shapeMismatch(
            op: name, lhs: expected.array, rhs: whole.shape.array,
            reason: "the vmap rule's output has another shape than the function's")
        }
        result.append(whole)
      }
      return result
    }
    // The outputs were batched on the way here; the rules are mapped over the batch too.
    var made: [NDArray] = []
    for i in inputCount..<batch.inputs.count { made.append(try batch.full(i)) }
    return NDArray.outputs(
      of: CustomFunction(inputCount: inputCount, rules: batched(isMapped)),
      shapes: made.map(\.shape), dtypes: made.map(\.dtype), inputs: inputs + made)
  }

  /// The rules for a batch: the rules mapped over its examples.
  private func batched(_ isMapped: [Bool]) -> CustomRules {
    let axes: [Int?] = isMapped.map { $0 ? 0 : nil }
    let rules = self.rules
    let result = CustomRules { (inputs) throws(ArrayError) in
      try Engine.vmap(inputs, axes: axes, rules.function)
    }
    if let rule = rules.vjp {
      result.vjp = { (inputs, outputs, cotangents) throws(ArrayError) in
        let (n, m) = (inputs.count, outputs.count)
        let every = [Int?](repeating: 0, count: 2 * m)
        let gradients = try Engine.vmap(inputs + outputs + cotangents, axes: axes + every) {
          (v) throws(ArrayError) in
          let found = try rule(Array(v[..<n]), Array(v[n..<n + m]), Array(v[(n + m)...]))
          guard found.count == n else {
            throw .argument(
              op: "custom_function",
              message: "the rule gave \(found.count) gradients for \(n) inputs")
          }
          var all: [NDArray] = []
          for (i, g) in found.enumerated() {
            let zero = try NDArray.zeros(like: v[i])
            all.append(g ?? zero)
          }
          return all
        }
        // What every example shared gets the sum of their gradients.
        var summed: [NDArray?] = []
        for (i, g) in gradients.enumerated() {
          summed.append(try isMapped[i] ? g : sum(g, axes: [0]).astype(g.dtype))
        }
        return summed
      }
    }
    if let rule = rules.jvp {
      result.jvp = { (inputs, tangents) throws(ArrayError) in
        let given = tangents.indices.filter { tangents[$0] != nil }
        let all = inputs + given.compactMap { tangents[$0] }
        return try Engine.vmap(all, axes: axes + given.map { axes[$0] }) { (v) throws(ArrayError) in
          var own = [NDArray?](repeating: nil, count: tangents.count)
          for (k, i) in given.enumerated() { own[i] = v[inputs.count + k] }
          return try rule(Array(v[..<inputs.count]), own)
        }
      }
    }
    return result
  }
}

/// A call of a function whose transforms are given by rules.
public func customFunction(_ inputs: [NDArray], _ rules: CustomRules) throws(ArrayError)
  -> [NDArray]
{
  let outputs = try rules.function(inputs.map { detached($0) })
  return custom(inputs, outputs, rules)
}

private func custom(_ inputs: [NDArray], _ outputs: [NDArray], _ rules: CustomRules) -> [NDArray] {
  if outputs.isEmpty { return [] }
  return NDArray.outputs(
    of: CustomFunction(inputCount: inputs.count, rules: rules), shapes: outputs.map(\.shape),
    dtypes: outputs.map(\.dtype), inputs: inputs + outputs)
}

/// Outputs of a computation that is done already, with a gradient rule (inputs, outputs, cotangents).
public func customVJP(
  inputs: [NDArray], outputs: [NDArray],
  rule: @escaping ([NDArray], [NDArray], [NDArray]) throws(ArrayError) -> [NDArray?]
) -> [NDArray] {
  let rules = CustomRules { (x) throws(ArrayError) in
    throw .notDifferentiable(op: "custom_function", reason: "it has only a gradient rule")
  }
  rules.vjp = rule
  return custom(inputs, outputs, rules)
}

/// The function's outputs; for the gradient it is called again, so that nothing in between is kept.
public func checkpoint(_ inputs: [NDArray], _ function: @escaping CustomRules.Function)
  throws(ArrayError) -> [NDArray]
{
  let rules = CustomRules(function)
  rules.vjp = { (inputs, _, cotangents) throws(ArrayError) in
    // Not before the cotangents are there: else nothing would be saved.
    let late = depends(inputs, on: cotangents)
    return try Engine.vjp(late, cotangents: cotangents, function).gradients
  }
  return try customFunction(inputs, rules)
}

/// The same array, computed after others.
struct Depends: Primitive, Codable {
  var name: OperationName { "depends" }
  func evaluate(_ out: NDArray) throws(ArrayError) {
    out.share(out.input(0), strides: out.input(0).strides)
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    [cotangent] + out.inputs.dropFirst().map { _ in nil }
  }
  func jvp(_ out: NDArray, _ tangents: [NDArray?]) throws(ArrayError) -> NDArray? { tangents[0] }
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    try depends([batch.full(0)], on: Array(batch.inputs.dropFirst()))[0]
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    depends([inputs[0]], on: Array(inputs.dropFirst()))[0]
  }
}

/// The inputs, which are not computed before the dependencies are.
public func depends(_ inputs: [NDArray], on dependencies: [NDArray]) -> [NDArray] {
  inputs.map {
    NDArray(Depends(), shape: $0.shape, dtype: $0.dtype, inputs: [$0] + dependencies)
  }
}
