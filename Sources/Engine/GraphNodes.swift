// The graph of pending arrays as plain facts: what each node is, what it is made from, and which kernel will compute
// it. Nothing here keeps a node alive: one that somebody refers to would be written to memory where it otherwise
// lives inside a fused kernel, and the picture would not be that of the evaluation.

/// One array of a graph.
public struct GraphNode: Sendable {
  /// Tells nodes of one answer apart; addresses are used again once an array is gone.
  public let id: UInt
  /// nil for an array that was given, not computed.
  public let operation: String?
  public let shape: [Int]
  public let dtype: DType
  public let isEvaluated: Bool
  /// The text of an evaluated array without axes.
  public let value: String?
  public let inputs: [UInt]
  /// Where in the program it was built.
  public let position: UInt64
  /// The kernel that will compute it, from 0 in the order of evaluation; nil when it has its values.
  public let kernel: Int?
}

extension NDArray {
  /// What tells this array from others while it lives.
  public var identity: UInt { UInt(bitPattern: Unmanaged.passUnretained(self).toOpaque()) }
}

/// The nodes that the arrays will be computed from, inputs before what uses them, evaluated arrays as leaves.
public func graphNodes(_ outputs: [NDArray]) -> [GraphNode] {
  var kernels: [UInt: Int] = [:]
  for (i, group) in Evaluator.plan(outputs).enumerated() {
    for id in group { kernels[id] = kernels[id] ?? i }
  }
  var nodes: [GraphNode] = []
  var seen: Set<UInt> = []
  var stack = outputs.reversed().map { (node: $0, isLeaving: false) }
  while let (node, isLeaving) = stack.popLast() {
    let hasInputs = !node.isEvaluated
    if isLeaving {
      nodes.append(
        GraphNode(
          id: node.identity, operation: node.isEvaluated ? nil : node.operationName,
          shape: node.shape.array, dtype: node.dtype, isEvaluated: node.isEvaluated,
          value: node.isEvaluated && node.rank == 0 ? node.elementText([]) : nil,
          inputs: hasInputs ? node.inputs.map(\.identity) : [], position: node.position,
          kernel: kernels[node.identity]))
      continue
    }
    guard seen.insert(node.identity).inserted else { continue }
    stack.append((node, true))
    if hasInputs { for input in node.inputs.reversed() { stack.append((input, false)) } }
  }
  return nodes
}
