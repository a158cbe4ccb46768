// From a lazy graph to evaluated arrays.
//
// One run: an explicit-stack walk orders the pending nodes; from the outputs back, elementwise
// nodes join the group of that consumer which runs first (same shape), so that each group becomes
// one kernel; the groups run in order, and a node lets its inputs go as soon as it is evaluated.
// What does not fit into a full group goes to a group that runs before it, together with the
// others of its shape. A node is always in a group that runs no later than those of its consumers,
// so the order needs no check. A member of a group gets storage only when somebody outside needs
// it: another group, the user (its reference count is higher than the graph explains), or it was
// asked for. No value is computed twice.
//
// The notes of a run live in the nodes (mark, uses, group), not in dictionaries.

import Kernels

@_silgen_name("swift_retainCount")
private func retainCount(_ object: UnsafeMutableRawPointer) -> UInt

enum Evaluator {
  nonisolated(unsafe) private static var mark: UInt32 = 0
  /// Greater than zero while a gradient's trace is open: traced nodes keep their inputs.
  nonisolated(unsafe) static var traceDepth = 0

  /// Who looks on; see Recorder.
  enum Watch { case nobody, record, findNaN, findNonFinite }
  nonisolated(unsafe) static var watch = Watch.nobody
  /// The primitive that ran last wrote to its input's memory.
  nonisolated(unsafe) private static var donated = false

  private static let groupLimit: Int32 = 64
  private static let inputLimit: Int32 = 28
  /// node.group: not consumed yet.
  private static let unassigned: Int32 = -1
  /// Computed by the group of a reshape of it; see Epilogue.
  private static let absorbed: Int32 = -3

  private struct Frame {
    let node: Unmanaged<NDArray>
    var next: Int
    let count: Int
  }

  /// Plain numbers and unowned references only: a graph has many groups.
  fileprivate struct Group {
    let root: Unmanaged<NDArray>
    /// The node that has the group's shape.
    let space: Unmanaged<NDArray>
    /// The member that was added last; the others follow by `nextInGroup`, up to the root.
    var last: Unmanaged<NDArray>?
    var memberCount: Int32
    var inputCount: Int32
    let isReduction: Bool
    let isFused: Bool
    /// The group for what did not fit into this one, which runs before it; -1 while there is none.
    var overflow: Int32 = -1

    var isFull: Bool { memberCount >= groupLimit || inputCount + 2 > inputLimit }
    /// The product (or a reshape of it) that the group follows as an epilogue.
    var product: Unmanaged<NDArray>?
  }

  static func run(_ node: NDArray) throws(ArrayError) {
    if watch != .nobody { return try run([node]) }
    if node.op != .none && node.input(0).buffer != nil
      && (node.in1?.buffer != nil || node.in1 == nil)
      && (node.in2?.buffer != nil || node.in2 == nil)
    {
      if try Fusion.runSmall(node) {
        finish(node)
        return
      }
    }
    if node.op == .none && !node.isReduction && node.inputsAreEvaluated {
      if lull_interrupt_stops() != 0 { throw .interrupted }
      do throws(ArrayError) { try compute(node) } catch { throw located(error, node) }
      finish(node)
      return
    }
    try run([node])
  }

  static func run(_ outputs: [NDArray]) throws(ArrayError) {
    if lull_interrupt_stops() != 0 { throw .interrupted }
    mark &+= 1
    let order = sort(outputs)
    var groups = assign(order, outputs)
    // Groups were made from the outputs back.
    while let group = groups.popLast() {
      if lull_interrupt_stops() != 0 { throw .interrupted }
      try execute(group, outputs)
    }
  }

  /// The nodes that would be computed together, inputs before users, for a picture of the graph.
  static func fusedGroups(_ outputs: [NDArray]) -> [[NDArray]] {
    mark &+= 1
    let groups = assign(sort(outputs), outputs)
    return groups.filter(\.isFused).map { group in
      var nodes: [NDArray] = []
      var next = group.last
      while let reference = next {
        let node = reference.takeUnretainedValue()
        nodes.append(node)
        next = node.nextInGroup
      }
      if group.isReduction { nodes.append(group.root.takeUnretainedValue()) }
      return nodes
    }
  }

  /// The kernels of an evaluation in their order: the nodes that each computes, as `NDArray.identity`.
  static func plan(_ outputs: [NDArray]) -> [[UInt]] {
    mark &+= 1
    func identity(_ node: Unmanaged<NDArray>) -> UInt { UInt(bitPattern: node.toOpaque()) }
    let groups = assign(sort(outputs), outputs)
    return groups.reversed().map { group in
      var nodes: [UInt] = []
      if let product = group.product {
        product._withUnsafeGuaranteedRef { node in
          if node.primitive is Reshape { nodes.append(identity(node.reference(0))) }
        }
        nodes.append(identity(product))
      }
      var next = group.last
      while let reference = next {
        nodes.append(identity(reference))
        next = reference._withUnsafeGuaranteedRef { $0.nextInGroup }
      }
      if group.isReduction || nodes.isEmpty { nodes.append(identity(group.root)) }
      return nodes
    }
  }

  /// All pending nodes that the outputs need, inputs before consumers.
  private static func sort(_ outputs: [NDArray]) -> [Unmanaged<NDArray>] {
    var order: [Unmanaged<NDArray>] = []
    var stack: [Frame] = []
    for output in outputs where output.buffer == nil && output.mark != mark {
      output.mark = mark
      output.uses = 0
      output.group = unassigned
      output.escapes = false
      stack.append(
        Frame(node: Unmanaged.passUnretained(output), next: 0, count: output.inputCount))
      while !stack.isEmpty {
        let top = stack.count - 1
        if stack[top].next == stack[top].count {
          order.append(stack[top].node)
          stack.removeLast()
          continue
        }
        let i = stack[top].next
        stack[top].next += 1
        stack[top].node._withUnsafeGuaranteedRef { node in
          let reference = node.reference(i)
          reference._withUnsafeGuaranteedRef { child in
            if child.buffer != nil { return }
            if child.mark == mark {
              child.uses += 1
              return
            }
            child.mark = mark
            child.uses = 1
            child.group = unassigned
            child.escapes = false
            stack.append(Frame(node: reference, next: 0, count: child.inputCount))
          }
        }
      }
    }
    return order
  }

  private static func assign(_ order: [Unmanaged<NDArray>], _ outputs: [NDArray]) -> [Group] {
    var groups: [Group] = []
    groups.reserveCapacity(order.count)
    for reference in order.reversed() {
      reference._withUnsafeGuaranteedRef { node in
        let isElementwise = node.op != .none
        // A product that only one group reads is finished by it.
        if !isElementwise && (node.group == absorbed || follows(node, groups)) {
          if node.group == absorbed { return }
          let g = node.group
          groups[Int(g)].product = reference
          if node.primitive is Reshape, let product = node.in0 {
            product.group = absorbed
            product.keepInputs(outOf: g)
          } else {
            node.keepInputs(outOf: g)
          }
          return
        }
        var g = node.group
        var joins = isElementwise && node.joins && g >= 0 && (watch == .nobody || watch == .record)
        var full: Int32 = -1
        while joins && groups[Int(g)].isFull {
          full = g
          g = groups[Int(g)].overflow
          joins = g >= 0
        }
        // A reduction stores nothing but its result.
        if joins && groups[Int(g)].isReduction && (isHeld(node) || node.escapes) { joins = false }
        if joins {
          if g != node.group { node.escapes = true }
          node.nextInGroup = groups[Int(g)].last
          groups[Int(g)].last = reference
          groups[Int(g)].memberCount += 1
          if node.isSeen(by: g, mark) { groups[Int(g)].inputCount -= 1 }
        } else {
          g = Int32(groups.count)
          if full >= 0 && groups[Int(full)].overflow < 0 { groups[Int(full)].overflow = g }
          let reduction = !isElementwise && node.isReduction && node.input(0).size > 0
          node.nextInGroup = nil
          groups.append(
            Group(
              root: reference,
              space: reduction ? Unmanaged.passUnretained(node.input(0)) : reference,
              last: isElementwise ? reference : nil, memberCount: isElementwise ? 1 : 0,
              inputCount: 0, isReduction: reduction, isFused: isElementwise || reduction))
        }
        node.group = g
        let isFused = groups[Int(g)].isFused
        groups[Int(g)].space._withUnsafeGuaranteedRef { space in
          for i in 0..<node.inputCount {
            node.reference(i)._withUnsafeGuaranteedRef { input in
              if isFused && !input.isSeen(by: g, mark) {
                groups[Int(g)].inputCount += 1
                input.seen(by: g, mark)
              }
              if input.buffer != nil { return }
              let fits = isFused && (input === space || input.hasShape(of: space))
              if input.group == unassigned {
                input.escapes = !fits
              } else if input.group != g || !fits {
                input.escapes = true
              }
              if g > input.group {
                input.joins = fits
                input.group = g
              } else if g == input.group && !fits {
                input.joins = false
              }
            }
          }
        }
      }
    }
    return groups
  }

  /// Whether the group that is the only consumer of a node computes it, too.
  private static func follows(_ node: NDArray, _ groups: [Group]) -> Bool {
    guard node.group >= 0, node.joins, !node.escapes, watch == .nobody || watch == .record else {
      return false
    }
    let group = groups[Int(node.group)]
    return !group.isReduction && group.product == nil && Epilogue.isPossible(node)
  }

  /// How many refer to the node.
  @inline(__always) static func references(_ node: Unmanaged<NDArray>) -> UInt {
    retainCount(node.toOpaque())
  }

  /// Whether somebody besides the graph under evaluation refers to the node.
  @inline(__always)
  private static func isHeld(_ node: NDArray) -> Bool {
    retainCount(Unmanaged.passUnretained(node).toOpaque()) > UInt(node.uses)
  }

  private static func execute(_ group: Group, _ outputs: [NDArray]) throws(ArrayError) {
    if watch == .nobody { return try perform(group) }
    let root = group.root.takeUnretainedValue()
    if root.buffer != nil { return }
    var nodes: [Unmanaged<NDArray>] = []
    var written = 0
    if let product = group.product {
      product._withUnsafeGuaranteedRef { node in
        if node.primitive is Reshape { nodes.append(node.reference(0)) }
        if isHeld(node) { written &+= node.byteCount }
      }
      nodes.append(product)
    }
    var next = group.last
    while let reference = next {
      reference._withUnsafeGuaranteedRef { node in
        next = node.nextInGroup
        if node !== root && (isHeld(node) || node.escapes) { written &+= node.byteCount }
      }
      nodes.append(reference)
    }
    if group.isReduction || nodes.isEmpty { nodes.append(group.root) }
    var names: [String] = []
    var positions: [UInt64] = []
    var sources: Set<ObjectIdentifier> = []
    var buffers: Set<ObjectIdentifier> = []
    var (bytesRead, operationCount, inputsAreFinite) = (0, 0, true)
    for reference in nodes {
      reference._withUnsafeGuaranteedRef { node in
        names.append(node.operationName ?? "array")
        positions.append(node.position)
        operationCount &+=
          node.isReduction
          ? node.input(0).size
          : node.primitive?.operationCount(node) ?? node.size
        for i in 0..<node.inputCount {
          let input = node.input(i)
          guard let buffer = input.buffer, sources.insert(ObjectIdentifier(input)).inserted
          else { continue }
          buffers.insert(ObjectIdentifier(buffer))
          bytesRead &+= Recorder.distinctBytes(input)
          if watch != .record, Recorder.firstNonFinite(input, nanOnly: watch == .findNaN) != nil {
            inputsAreFinite = false
          }
        }
      }
    }
    let identities = watch == .record ? nodes.map { UInt(bitPattern: $0.toOpaque()) } : []
    nodes.removeAll()
    donated = false
    let operation = root.primitive?.name ?? root.op.name
    let start = Recorder.now()
    try perform(group)
    let seconds = Recorder.now() - start
    if watch == .record {
      // A primitive that shows its input's memory is a view: it moves nothing.
      let isView =
        !group.isFused && !donated
        && (root.buffer.map { buffers.contains(ObjectIdentifier($0)) } ?? true)
      Recorder.add(
        KernelRecord(
          operations: names, shape: root.shape.array, dtype: root.dtype,
          bytesRead: isView ? 0 : bytesRead, bytesWritten: isView ? 0 : written &+ root.byteCount,
          operationCount: isView ? 0 : operationCount, seconds: seconds, positions: positions,
          isFused: group.isFused,
          nodes: identities))
    } else if inputsAreFinite,
      let found = Recorder.firstNonFinite(root, nanOnly: watch == .findNaN)
    {
      throw .at(
        position: root.position,
        error: .notFinite(
          op: operation, value: found.value, index: found.index, shape: root.shape.array))
    }
  }

  private static func perform(_ group: Group) throws(ArrayError) {
    let root = group.root.takeUnretainedValue()
    if root.buffer != nil { return }
    if !group.isFused {
      do throws(ArrayError) { try compute(root) } catch { throw located(error, root) }
      finish(root)
      return
    }
    if group.memberCount == 1 && !group.isReduction && group.product == nil {
      do throws(ArrayError) { try computeAlone(root) } catch { throw located(error, root) }
      finish(root)
      return
    }
    // The root holds the other members until it is finished.
    let launch = Launch(group)
    try run(launch)
    if launch.isReduction { return finish(root) }
    if let product = launch.product { for node in Epilogue.nodes(of: product) { finish(node) } }
    for node in launch.kept { finish(node) }
  }

  /// A kernel and the nodes that it computes.
  struct Launch {
    let root: NDArray
    /// The elementwise members of a fused group, inputs before users; none for a primitive.
    let nodes: [Unmanaged<NDArray>]
    /// Those of them that get memory.
    let kept: [NDArray]
    let isReduction: Bool
    /// The product (or a reshape of it) that the group finishes.
    let product: NDArray?
    /// Whether somebody besides the group needs the product.
    let keepsProduct: Bool

    fileprivate init(_ group: Group) {
      root = group.root.takeUnretainedValue()
      isReduction = group.isReduction
      var members: [Unmanaged<NDArray>] = []
      var stored: [NDArray] = []
      members.reserveCapacity(Int(group.memberCount))
      var next = group.last
      while let reference = next {
        next = reference._withUnsafeGuaranteedRef { $0.nextInGroup }
        let isRoot = reference.toOpaque() == group.root.toOpaque() && !group.isReduction
        if isRoot || reference._withUnsafeGuaranteedRef({ isHeld($0) || $0.escapes }) {
          stored.append(reference.takeUnretainedValue())
        }
        members.append(reference)
      }
      nodes = members
      kept = stored
      product = group.product?.takeUnretainedValue()
      keepsProduct =
        group.product?._withUnsafeGuaranteedRef { node in
          node.isTraced || isHeld(node)
            || node.primitive is Reshape
              && node.reference(0)._withUnsafeGuaranteedRef { isHeld($0) }
        } ?? false
    }

    /// The nodes that get memory.
    var computed: [NDArray] {
      let own = isReduction || nodes.isEmpty ? [root] : kept
      return own + (product.map { Epilogue.nodes(of: $0) } ?? [])
    }
    /// The values that it needs.
    var read: [NDArray] {
      let own = nodes.map { $0.takeUnretainedValue() } + computed
      var found = Set(own.map { ObjectIdentifier($0) })
      return own.flatMap(\.inputs).filter { found.insert(ObjectIdentifier($0)).inserted }
    }
  }

  /// The kernels that make pending outputs, in their order, for somebody who keeps them.
  static func launches(_ outputs: [NDArray]) -> [Launch] {
    mark &+= 1
    return assign(sort(outputs), outputs).reversed().map { Launch($0) }
  }

  /// Computes what a launch stands for; the nodes keep their inputs.
  static func run(_ launch: Launch) throws(ArrayError) {
    let root = launch.root
    do throws(ArrayError) {
      if launch.isReduction {
        try Fusion.execute(launch.nodes, kept: [], reduction: root)
      } else if launch.nodes.isEmpty {
        try compute(root)
      } else if let product = launch.product {
        let epilogue = try Epilogue(product, isHeld: launch.keepsProduct)
        do throws(ArrayError) {
          try Fusion.execute(launch.nodes, kept: launch.kept, reduction: nil, epilogue: epilogue)
        } catch {
          epilogue.forget()
          throw error
        }
      } else if launch.nodes.count == 1 {
        try computeAlone(root)
      } else if root.size == 0 {
        for node in launch.kept { try node.allocate() }
      } else {
        try Fusion.execute(launch.nodes, kept: launch.kept, reduction: nil)
      }
    } catch {
      throw located(error, root)
    }
  }

  /// Computes an elementwise node that no other one joined.
  private static func computeAlone(_ root: NDArray) throws(ArrayError) {
    if root.size == 0 { return try root.allocate() }
    if try Fusion.runSmall(root) { return }
    try Fusion.execute([Unmanaged.passUnretained(root)], kept: [root], reduction: nil)
  }

  /// The error with the place of the node that met it.
  static func located(_ error: ArrayError, _ node: NDArray) -> ArrayError {
    switch error {
    case .at, .interrupted: return error
    case .memory(let requested, let active, let limit, _, _):
      return .at(
        position: node.position,
        error: .memory(
          requested: requested, active: active, limit: limit,
          op: node.primitive?.name ?? node.op.name, shape: node.shape.array))
    default: return .at(position: node.position, error: error)
    }
  }

  /// Computes a node that is not fused and whose inputs are there.
  private static func compute(_ root: NDArray) throws(ArrayError) {
    guard let primitive = root.primitive else {
      throw .internal("a pending array without a primitive")
    }
    try compute(root, primitive)
  }
  static func compute(_ root: NDArray, _ primitive: any Primitive) throws(ArrayError) {
    do throws(ArrayError) {
      try primitive.evaluate(root)
    } catch {
      // Not computed, whatever memory it had taken by then.
      root.buffer = nil
      if root.hasDonation {
        root.hasDonation = false
        lull_interrupt_shield(0)
      }
      throw error
    }
    if root.hasDonation {
      // Its input is gone, and the kernel was not interrupted: the result is whole.
      lull_interrupt_shield(0)
      root.hasDonation = false
      donated = true
    } else if lull_interrupt_stops() != 0 {
      root.buffer = nil
      throw .interrupted
    }
  }

  private static func finish(_ node: NDArray) {
    if node.isTraced && traceDepth > 0 { return }
    node.detach()
  }
}
