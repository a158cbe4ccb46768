// Schedules that a compiled function keeps.
//
// A step of decoding or of training is hundreds of small kernels. Making their nodes, ordering and grouping them takes
// as long as a good part of the arithmetic, and comes out the same each time. A compiled function of many steps keeps
// its nodes instead: the first call makes them over stand-ins for the arguments and works out which kernels run in
// which order, which values die after each, and which memory may be written over. A later call puts its arguments in and
// runs the kernels.
//
// The call makes one node, `KeptCall`, as lazy as any other, whose outputs are computed together. It is used only where
// nobody needs to see into it: outside traces, and not while kernels are recorded. What an error or an interrupt cuts
// short goes on where it stopped when it is asked for again, since arguments may have been written over by then.

import Kernels

final class KeptSchedule {
  /// One kernel, or products that run as one. References that the schedule holds anyway are not counted: they would be
  /// counted for each kernel of each call.
  private final class Launch {
    private let work: Evaluator.Launch
    private let products: QuantizedProducts?
    private let primitive: (any Primitive)?
    private let several: MultiResults?
    let root: NDArray
    var computed: [NDArray] { products?.nodes ?? work.computed }
    var read: [NDArray] { products?.nodes.flatMap(\.inputs) ?? work.read }
    private var dying: UnsafeMutableBufferPointer<Unmanaged<NDArray>>
    private var dyingResults: [MultiResults] = []

    init(_ work: Evaluator.Launch, _ products: QuantizedProducts?) {
      self.work = work
      self.products = products
      root = work.root
      primitive = work.nodes.isEmpty && !work.isReduction ? work.root.primitive : nil
      several = (primitive as? MultiOutput)?.results
      dying = .allocate(capacity: 0)
    }
    deinit { dying.deallocate() }

    /// Sets the nodes whose values nothing needs any more after it.
    func end(_ nodes: [NDArray]) {
      dying.deallocate()
      dying = .allocate(capacity: nodes.count)
      _ = dying.initialize(from: nodes.map { Unmanaged.passUnretained($0) })
      dyingResults = nodes.compactMap { ($0.primitive as? MultiOutput)?.results }
    }

    func run() throws(ArrayError) {
      for x in dying { x._withUnsafeGuaranteedRef { $0.isDying = $0.mayDie } }
      defer { for x in dying { x._withUnsafeGuaranteedRef { $0.isDying = false } } }
      if let products {
        do throws(ArrayError) { try products.run() } catch {
          throw Evaluator.located(error, root)
        }
      } else if let primitive {
        do throws(ArrayError) { try Evaluator.compute(root, primitive) } catch {
          throw Evaluator.located(error, root)
        }
      } else {
        try Evaluator.run(work)
      }
      if let several {
        // Outputs that are inputs, as those of a custom function: the nodes may be about to lose their values.
        several.arrays = several.arrays.map { $0.isKept ? $0.values ?? $0 : $0 }
      }
      for x in dying { x._withUnsafeGuaranteedRef { $0.buffer = nil } }
      for x in dyingResults { x.arrays = [] }
    }
  }
  /// A call that was cut short: the launch that is next, and all values.
  struct Suspended {
    fileprivate let next: Int
    fileprivate let values: [(node: NDArray, memory: NDArray, mayDie: Bool)]
    fileprivate let results: [[NDArray]]
  }

  /// Stand-ins for the arguments: evaluated leaves, which have memory only while a call runs.
  private let arguments: [NDArray]
  private let outputs: [NDArray]
  private let launches: [Launch]
  /// All nodes that can have memory of their own during a call.
  private let nodes: [NDArray]
  /// Of all primitives with several outputs.
  private let results: [MultiResults]
  private(set) var isRunning = false

  /// The schedule of a plan; `inputs` are the arguments of its first call, evaluated, as all its constants are.
  init(_ plan: CompiledPlan, _ inputs: [NDArray]) throws(ArrayError) {
    arguments = inputs.map { x in
      let leaf = NDArray(
        buffer: x.memory, offset: x.offset, shape: x.shape, strides: x.strides, dtype: x.dtype)
      leaf.isKept = true
      return leaf
    }
    let results = try plan.nodes(arguments)
    let first = plan.inputs.count + plan.constants.count
    outputs = zip(results, plan.outputs).filter { $0.1 >= first }.map(\.0)
    launches = try KeptSchedule.joined(Evaluator.launches(outputs))
    nodes = arguments + launches.flatMap(\.computed)
    self.results = nodes.compactMap { ($0.primitive as? MultiOutput)?.results }
    for x in nodes { x.isKept = true }
    // Looking from the end, the first launch that reads a value is the last to need it.
    var isNeeded = Set(outputs.map { ObjectIdentifier($0) })
    for launch in launches.reversed() {
      // Also what nothing reads, as the node of a primitive whose outputs are nodes of their own.
      launch.end(
        (launch.read + launch.computed)
          .filter { $0.isKept && isNeeded.insert(ObjectIdentifier($0)).inserted })
    }
    letGo()
  }

  /// Products of one x go where the first of them is: what they read besides are weights, which are constants.
  private static func joined(_ all: [Evaluator.Launch]) throws(ArrayError) -> [Launch] {
    var groups: [(works: [Evaluator.Launch], areProducts: Bool)] = []
    var last: [ObjectIdentifier: Int] = [:]  // the group of an x
    for work in all {
      let isProduct = try QuantizedProducts.canHold(work.root)
      if isProduct {
        let x = ObjectIdentifier(work.root.input(0))
        if let k = last[x], groups[k].works.count < Int(LULL_MOST_PRODUCTS) {
          groups[k].works.append(work)
          continue
        }
        last[x] = groups.count
      }
      groups.append(([work], isProduct))
    }
    var out: [Launch] = []
    for (works, areProducts) in groups {
      let products = areProducts ? try QuantizedProducts(works.map(\.root)) : nil
      out.append(Launch(works[0], products))
    }
    return out
  }

  /// The outputs for the arguments of a call, or for one that was cut short, from the launch on where it stopped.
  func run(_ call: NDArray, _ suspended: inout Suspended?) throws(ArrayError) -> [NDArray] {
    isRunning = true
    defer { isRunning = false }
    var next = 0
    if let stopped = suspended {
      next = stopped.next
      for (node, memory, mayDie) in stopped.values {
        node.hold(memory)
        node.mayDie = mayDie
      }
      for (own, saved) in zip(results, stopped.results) { own.arrays = saved }
      suspended = nil
    } else {
      for (i, x) in arguments.enumerated() { call.lend(i, to: x) }
      call.dropInputs()
    }
    do throws(ArrayError) {
      while next < launches.count {
        if lull_interrupt_stops() != 0 { throw .interrupted }
        try launches[next].run()
        next += 1
      }
    } catch {
      suspended = Suspended(
        next: next,
        values: nodes.compactMap { x in x.values.map { (x, $0, x.mayDie) } },
        results: results.map(\.arrays))
      letGo()
      throw error
    }
    let made = outputs.compactMap(\.values)
    letGo()
    return made
  }

  private func letGo() {
    for x in nodes { x.buffer = nil }
    for x in results { x.arrays = [] }
  }
}

extension NDArray {
  /// Shows what another array shows.
  fileprivate func hold(_ x: NDArray) { share(x, strides: x.strides) }
  /// An array of its own for what a node shows; nil while it has no values.
  fileprivate var values: NDArray? {
    buffer.map {
      NDArray(buffer: $0, offset: offset, shape: shape, strides: strides, dtype: dtype)
    }
  }
  /// Gives input i to a stand-in, with its memory where nobody else refers to it: then it may be written over.
  fileprivate func lend(_ i: Int, to leaf: NDArray) {
    let input = reference(i)
    input._withUnsafeGuaranteedRef { x in
      leaf.hold(x)
      leaf.mayDie = false
    }
    guard Evaluator.references(input) == 1 else { return }
    input._withUnsafeGuaranteedRef { $0.buffer = nil }
    leaf.mayDie = true
  }
}

/// A call of a compiled function whose plan keeps its schedule.
final class KeptCall: MultiOutputPrimitive, @unchecked Sendable {
  let plan: CompiledPlan
  private var suspended: KeptSchedule.Suspended?
  var name: OperationName { "compiled" }

  init(_ plan: CompiledPlan) { self.plan = plan }

  func evaluateMultiple(_ out: NDArray) throws(ArrayError) -> [NDArray] {
    if plan.schedule == nil, Evaluator.watch == .nobody {
      try evaluate(plan.constants)
      plan.schedule = try KeptSchedule(plan, out.inputs)
    }
    if let schedule = plan.schedule, !schedule.isRunning,
      Evaluator.watch == .nobody || suspended != nil
    {
      return try schedule.run(out, &suspended)
    }
    guard suspended == nil else {
      throw .internal("a compiled function that was cut short runs in another place")
    }
    let first = plan.inputs.count + plan.constants.count
    let results = zip(try plan.nodes(out.inputs), plan.outputs).filter { $0.1 >= first }.map(\.0)
    try evaluate(results)
    return results
  }
  func vjpMultiple(_ out: NDArray, _ cotangents: [NDArray?]) throws(ArrayError) -> [NDArray?] {
    throw .internal("a compiled function that is traced makes all its nodes")
  }
}

extension NDArray {
  /// A call of a compiled function, or an output of one: nobody can see into it.
  var isKeptCall: Bool {
    if primitive is KeptFunction { return true }
    let maker = primitive is OutputOf ? in0?.primitive : primitive
    return (maker as? MultiOutput)?.base is KeptCall
  }
}

extension CompiledPlan {
  /// Fewer steps gain little, and their kernels may fuse with what follows.
  static let leastKeptSteps = 24

  /// Whether the nodes of one call are good for all.
  func canKeepSchedule() -> Bool {
    if isShapeless || !isLasting || steps.count < CompiledPlan.leastKeptSteps { return false }
    let first = inputs.count + constants.count
    var passed = 0
    for step in steps {
      guard case .primitive(let primitive) = step.kind else { continue }
      passed += primitive is Reduction ? 0 : 1
      // What such a primitive knows about its weight belongs to the weight's memory.
      for (i, slot) in step.inputs.enumerated()
      where primitive.holdsInput(i) && (slot < inputs.count || slot >= first) { return false }
    }
    return passed > 0 && outputs.contains { $0 >= first }
  }

  /// The outputs of a call whose schedule is kept, or to be kept; nil for the ordinary way.
  func keptOutputs(_ arguments: [NDArray]) -> [NDArray]? {
    guard keepsSchedule, !arguments.isEmpty, Evaluator.traceDepth == 0, Evaluator.watch == .nobody
    else { return nil }
    let first = inputs.count + constants.count
    let own = outputs.filter { $0 >= first }
    let made = NDArray.outputs(
      of: KeptCall(self), shapes: own.map { shape(of: $0) },
      dtypes: own.map { steps[$0 - first].dtype }, inputs: arguments)
    var next = 0
    return outputs.map { slot in
      if slot < inputs.count { return arguments[slot] }
      if slot < first { return constants[slot - inputs.count] }
      next += 1
      return made[next - 1]
    }
  }
}
