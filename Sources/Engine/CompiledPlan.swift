// Compiled functions: what a function recorded once, to be made again for other inputs.
//
// The function runs on placeholders. The nodes between them and the outputs become steps, inputs before users;
// everything else the outputs need is a constant of the plan. Steps that compute the same are merged, as are
// equal numbers, and what no output needs is not there. A replay is one pass over the steps that makes a fresh
// graph: no program runs. Shapes are those of the trace, so a plan is for inputs of these shapes; the steps of
// a shapeless plan are rebuilt by their primitives, which work out the shapes again.
//
// Slots number everything a step can refer to: inputs, then constants, then steps.

public final class CompiledPlan: @unchecked Sendable {
  enum Kind {
    case elementwise(ElementwiseOp)
    case primitive(any Primitive)
    /// All outputs of one primitive; each of those in use is an `output` step.
    case several(any MultiOutputPrimitive, shapes: [Shape], dtypes: [DType])
    case output(Int)
  }
  struct Step {
    let kind: Kind
    let shape: Shape
    let dtype: DType
    let position: UInt64
    /// Slots.
    let inputs: [Int]
  }
  public let isShapeless: Bool
  let inputs: [(shape: Shape, dtype: DType)]
  private(set) var constants: [NDArray] = []
  private(set) var steps: [Step] = []
  private(set) var outputs: [Int] = []
  /// False when a constant belongs to a trace that is still open: the plan is good for one use.
  public internal(set) var isLasting = true
  /// See KeptKernel.swift.
  var kernel: KeptKernel?
  var keepsKernel = false
  /// See KeptSchedule.swift.
  var schedule: KeptSchedule?
  var keepsSchedule = false
  /// Numbers the calls of all plans: nodes know which one made them.
  nonisolated(unsafe) private static var lastCall: UInt32 = 0

  /// The plan of a recorded graph.
  init(
    placeholders: [NDArray], outputs results: [NDArray], isShapeless: Bool, hasPendingSteps: Bool
  ) throws(ArrayError) {
    self.isShapeless = isShapeless
    inputs = placeholders.map { ($0.shape, $0.dtype) }
    // With `hasPendingSteps` only what has values already is a constant: a file holds less.
    let order =
      hasPendingSteps
      ? try CompiledPlan.pending(results, besides: placeholders)
      : Array(
        reachable(results, from: placeholders, forGradients: false).dropFirst(placeholders.count))
    var slots: [ObjectIdentifier: Int] = [:]
    for (i, x) in placeholders.enumerated() { slots[ObjectIdentifier(x)] = i }
    try collectConstants(order, results, &slots)
    let first = inputs.count + constants.count
    var known: [StepKey: Int] = [:]
    for node in order {
      var from: [Int] = []
      for i in 0..<node.inputCount { from.append(slots[ObjectIdentifier(node.input(i))] ?? 0) }
      if node.primitive is Leaf {
        slots[ObjectIdentifier(node)] = from[0]
        continue
      }
      let kind: Kind
      if node.op != .none {
        kind = .elementwise(node.op)
      } else if let output = node.primitive as? OutputOf {
        kind = .output(output.index)
      } else if let all = node.primitive as? MultiOutput {
        kind = .several(all.base, shapes: all.shapes, dtypes: all.dtypes)
      } else if let primitive = node.primitive {
        kind = .primitive(primitive)
      } else {
        throw .internal("a node of a trace has lost its primitive")
      }
      let key = StepKey(kind, node, from)
      if let key, let slot = known[key] {
        slots[ObjectIdentifier(node)] = slot
        continue
      }
      let slot = first + steps.count
      slots[ObjectIdentifier(node)] = slot
      if let key { known[key] = slot }
      steps.append(
        Step(
          kind: kind, shape: node.shape, dtype: node.dtype, position: node.position, inputs: from))
    }
    outputs = results.map { slots[ObjectIdentifier($0)] ?? 0 }
    keepsKernel = canBeOneKernel()
    keepsSchedule = !keepsKernel && canKeepSchedule()
  }

  /// All nodes without values that the outputs need, inputs before users.
  private static func pending(_ outputs: [NDArray], besides placeholders: [NDArray])
    throws(ArrayError)
    -> [NDArray]
  {
    var seen = Set(placeholders.map { ObjectIdentifier($0) })
    var order: [NDArray] = []
    var stack: [(node: NDArray, next: Int)] = []
    for y in outputs {
      if y.isKeptCall { try y.eval() }
      if !y.isEvaluated, seen.insert(ObjectIdentifier(y)).inserted { stack.append((y, 0)) }
      while let top = stack.last {
        if top.next == top.node.inputCount {
          if top.node.inputCount > 0 { order.append(top.node) }
          stack.removeLast()
          continue
        }
        stack[stack.count - 1].next += 1
        let child = top.node.input(top.next)
        // Nothing that leads from a placeholder, and no step that a file could hold.
        if child.isKeptCall { try child.eval() }
        if !child.isEvaluated, seen.insert(ObjectIdentifier(child)).inserted {
          stack.append((child, 0))
        }
      }
    }
    return order
  }

  /// What the steps and outputs need and no placeholder leads to; equal numbers once.
  private func collectConstants(
    _ order: [NDArray], _ results: [NDArray], _ slots: inout [ObjectIdentifier: Int]
  ) throws(ArrayError) {
    let own = Set(order.map { ObjectIdentifier($0) })
    var numbers: [NumberKey: Int] = [:]
    func add(_ x: NDArray) {
      let id = ObjectIdentifier(x)
      if own.contains(id) || slots[id] != nil { return }
      if let key = NumberKey(x) {
        if let slot = numbers[key] {
          slots[id] = slot
          return
        }
        numbers[key] = inputs.count + constants.count
      }
      slots[id] = inputs.count + constants.count
      constants.append(x)
      if x.needsPlaceholder || (x.isTraced && Evaluator.traceDepth > 1) { isLasting = false }
    }
    for node in order { for i in 0..<node.inputCount { add(node.input(i)) } }
    for y in results { add(y) }
  }

  /// Whether the constants need one of these arrays: then the plan would keep it for ever.
  func needs(_ arrays: [NDArray]) -> Bool {
    let wanted = Set(arrays.map { ObjectIdentifier($0) })
    var seen: Set<ObjectIdentifier> = []
    var stack = constants
    while let node = stack.popLast() {
      guard seen.insert(ObjectIdentifier(node)).inserted else { continue }
      if wanted.contains(ObjectIdentifier(node)) { return true }
      for i in 0..<node.inputCount { stack.append(node.input(i)) }
    }
    return false
  }

  public var inputCount: Int { inputs.count }
  /// Whether an array has the shape and dtype of the recorded input i.
  public func accepts(_ x: NDArray, at i: Int) -> Bool {
    x.dtype == inputs[i].dtype && x.shape == inputs[i].shape
  }

  /// A fresh graph over these inputs; they have the dtypes and, unless shapeless, shapes of the trace.
  public func run(_ arrays: [NDArray]) throws(ArrayError) -> [NDArray] {
    guard arrays.count == inputs.count else {
      throw .argument(op: "compile", message: "\(arrays.count) inputs for \(inputs.count)")
    }
    if let node = keptNode(arrays) { return [node] }
    if let outputs = keptOutputs(arrays) { return outputs }
    return try nodes(arrays)
  }

  /// The graph with all its nodes.
  func nodes(_ arrays: [NDArray]) throws(ArrayError) -> [NDArray] {
    let saved = currentPosition
    defer { currentPosition = saved }
    CompiledPlan.lastCall &+= 1
    if CompiledPlan.lastCall == 0 { CompiledPlan.lastCall = 1 }
    var slots = arrays
    slots.reserveCapacity(arrays.count + constants.count + steps.count)
    slots.append(contentsOf: constants)
    if isShapeless {
      try rebuild(&slots)
    } else {
      for step in steps {
        currentPosition = step.position
        slots.append(make(step, slots))
      }
    }
    return outputs.map { slots[$0] }
  }

  private func make(_ step: Step, _ slots: [NDArray]) -> NDArray {
    switch step.kind {
    case .elementwise(let op):
      let from = step.inputs
      let node = NDArray(
        op: op, shape: step.shape, dtype: step.dtype, slots[from[0]],
        from.count > 1 ? slots[from[1]] : nil, from.count > 2 ? slots[from[2]] : nil)
      node.call = CompiledPlan.lastCall
      return node
    case .primitive(let primitive):
      let own = step.inputs.map { slots[$0] }
      let node = NDArray(
        primitive.replacing(own), shape: step.shape, dtype: step.dtype, inputs: own)
      node.isReduction = primitive is Reduction
      node.call = CompiledPlan.lastCall
      return node
    case .several(let base, let shapes, let dtypes):
      let own = step.inputs.map { slots[$0] }
      return NDArray(
        MultiOutput(
          base: base.replacing(own), results: MultiResults(), shapes: shapes, dtypes: dtypes),
        shape: step.shape, dtype: step.dtype, inputs: own)
    case .output(let index):
      let all = slots[step.inputs[0]]
      guard let several = all.primitive as? MultiOutput else { return all }
      return NDArray(
        OutputOf(results: several.results, index: index, count: several.shapes.count),
        shape: step.shape, dtype: step.dtype, all)
    }
  }

  /// Step by step with the shapes worked out again.
  private func rebuild(_ slots: inout [NDArray]) throws(ArrayError) {
    // Outputs of primitives with several: they stand where their steps are.
    var several: [Int: [NDArray]] = [:]
    let call = CompiledPlan.lastCall
    let shapeless = Tracing.isShapeless
    Tracing.isShapeless = shapeless || slots.contains { $0.isTraced }
    defer { Tracing.isShapeless = shapeless }
    for step in steps {
      currentPosition = step.position
      let own = step.inputs.map { slots[$0] }
      switch step.kind {
      case .elementwise(let op):
        var shape = own[0].shape
        for x in own.dropFirst() { shape = try Shape.broadcast(shape, x.shape, op: op.name) }
        _ = try shape.elementCount(op: op.name)
        let node = NDArray(
          op: op, shape: shape, dtype: step.dtype, own[0], own.count > 1 ? own[1] : nil,
          own.count > 2 ? own[2] : nil)
        node.call = call
        slots.append(node)
      case .primitive(let primitive):
        let old = NodeShape(
          shape: step.shape, dtype: step.dtype, inputShapes: step.inputs.map { shape(of: $0) })
        let node = try primitive.rebuild(own, like: old)
        guard node.dtype == step.dtype else {
          throw .dtype(op: primitive.name, found: node.dtype, needed: step.dtype.name)
        }
        node.call = call
        slots.append(node)
      case .several(let base, let shapes, let dtypes):
        let before = step.inputs.map { shape(of: $0) }
        let old = zip(shapes, dtypes).map { NodeShape(shape: $0, dtype: $1, inputShapes: before) }
        let made = try base.rebuildMultiple(own, like: old)
        guard made.count == shapes.count else {
          throw .internal("\(base.name) gave \(made.count) outputs for \(shapes.count)")
        }
        several[slots.count] = made
        slots.append(own.first ?? made[0])
      case .output(let index):
        guard let made = several[step.inputs[0]], index < made.count else {
          throw .internal("an output without its primitive")
        }
        slots.append(made[index])
      }
    }
  }

  /// The recorded shape of a slot.
  func shape(of slot: Int) -> Shape {
    if slot < inputs.count { return inputs[slot].shape }
    let i = slot - inputs.count
    return i < constants.count ? constants[i].shape : steps[i - constants.count].shape
  }
}

/// What tells steps apart: equal keys compute the same.
private struct StepKey: Hashable {
  let name: String
  let parameters: Parameter
  let shape: Shape
  let dtype: DType
  let inputs: [Int]

  /// nil for what cannot be compared.
  init?(_ kind: CompiledPlan.Kind, _ node: NDArray, _ inputs: [Int]) {
    switch kind {
    case .elementwise(let op):
      name = "elementwise"
      parameters = .int(Int64(op.rawValue))
    case .primitive(let primitive):
      guard let found = Parameter.of(primitive) else { return nil }
      name = String(describing: type(of: primitive))
      parameters = found
    case .several(let base, _, _):
      guard let found = Parameter.of(base) else { return nil }
      name = String(describing: type(of: base))
      parameters = found
    case .output(let index):
      name = "output"
      parameters = .int(Int64(index))
    }
    shape = node.shape
    dtype = node.dtype
    self.inputs = inputs
  }
}

/// An array that holds one number everywhere.
private struct NumberKey: Hashable {
  let shape: Shape
  let dtype: DType
  let bytes: [UInt8]
  init?(_ x: NDArray) {
    guard x.isEvaluated, !x.isTraced, x.size > 0,
      x.size == 1 || (0..<x.rank).allSatisfy({ x.strides[$0] == 0 || x.shape[$0] == 1 })
    else { return nil }
    shape = x.shape
    dtype = x.dtype
    bytes = Array(UnsafeRawBufferPointer(start: x.pointer, count: x.dtype.byteCount))
  }
}

/// An open trace of a function to be compiled or exported. Every one needs its `end`.
public struct PlanTrace {
  /// What the function gets in place of the arrays.
  public let placeholders: [NDArray]
  private let originals: [NDArray]
  private let isShapeless: Bool
  private let wasShapeless: Bool

  public init(_ arrays: [NDArray], isShapeless: Bool) {
    Evaluator.traceDepth += 1
    originals = arrays
    self.isShapeless = isShapeless
    wasShapeless = Tracing.isShapeless
    Tracing.isShapeless = wasShapeless || isShapeless
    placeholders = arrays.map { .placeholder($0.shape, $0.dtype) }
  }
  /// A trace of a function that is read, not called.
  init(forms: [(Shape, DType)], isShapeless: Bool) {
    Evaluator.traceDepth += 1
    originals = []
    self.isShapeless = isShapeless
    wasShapeless = Tracing.isShapeless
    Tracing.isShapeless = wasShapeless || isShapeless
    placeholders = forms.map { .placeholder($0.0, $0.1) }
  }
  /// The plan of what the function gave.
  public func finish(_ outputs: [NDArray], op: OperationName = "compile") throws(ArrayError)
    -> CompiledPlan
  {
    let plan = try CompiledPlan(
      placeholders: placeholders, outputs: outputs, isShapeless: isShapeless,
      hasPendingSteps: op != "compile")
    if plan.needs(originals) {
      if originals.contains(where: { $0.isTraced }) {
        // Inside another trace: right for this call, and for no other.
        plan.isLasting = false
        plan.keepsSchedule = false
        return plan
      }
      throw .argument(
        op: op,
        message: "the function uses an array that is also one of its inputs without taking it "
          + "as an argument; name it in inputs= or pass it")
    }
    return plan
  }
  public func end() {
    Tracing.isShapeless = wasShapeless
    endTrace([])
  }
}

// MARK: - Listing

extension CompiledPlan {
  /// One array of a plan, as a listing shows it.
  public struct Entry {
    public let slot: Int
    public let shape: Shape
    public let dtype: DType
  }
  /// One operation: its name, its parameters by field, the arrays it reads and makes.
  public struct Operation {
    public let name: String
    public let parameters: Parameter
    public let inputs: [Entry]
    public let outputs: [Entry]
  }

  private func entry(_ slot: Int) -> Entry {
    let dtype: DType
    let i = slot - inputs.count
    if slot < inputs.count {
      dtype = inputs[slot].dtype
    } else {
      dtype = i < constants.count ? constants[i].dtype : steps[i - constants.count].dtype
    }
    return Entry(slot: slot, shape: shape(of: slot), dtype: dtype)
  }
  public var inputEntries: [Entry] { inputs.indices.map(entry) }
  public var outputEntries: [Entry] { outputs.map(entry) }
  public var constantEntries: [(Entry, NDArray)] {
    constants.indices.map { (entry(inputs.count + $0), constants[$0]) }
  }
  /// The operations in the order of their computation.
  public var operations: [Operation] {
    let first = inputs.count + constants.count
    var several: [Int: [Entry]] = [:]
    for (i, step) in steps.enumerated() {
      if case .output = step.kind { several[step.inputs[0], default: []].append(entry(first + i)) }
    }
    return steps.enumerated().compactMap { (i, step) in
      let own = step.inputs.map(entry)
      switch step.kind {
      case .elementwise(let op):
        return Operation(
          name: op.name.description, parameters: .null, inputs: own, outputs: [entry(first + i)])
      case .primitive(let primitive):
        return Operation(
          name: primitive.name.description, parameters: Parameter.of(primitive) ?? .null,
          inputs: own, outputs: [entry(first + i)])
      case .several(let base, _, _):
        return Operation(
          name: base.name.description, parameters: Parameter.of(base) ?? .null, inputs: own,
          outputs: several[first + i] ?? [])
      case .output: return nil
      }
    }
  }
}
