// A graph in the language of Graphviz: operations are boxes, arrays ellipses.
//
// Nodes of one call of a compiled function that one kernel will compute are one box, `Compiled` and their names in
// order, as MLX draws them. Which those are the evaluator says (`Evaluator.fusedGroups`), so the picture shows what
// will run. A broadcast is read where its input lies: every box that needs it has it inside.

/// The text of a DOT file for everything that the outputs will be computed from. `names` are shown for arrays
/// that have one.
public func graphText(_ outputs: [NDArray], names: [ObjectIdentifier: String] = [:]) -> String {
  let boxes = outputs.contains { !$0.isEvaluated } ? FusedBox.all(outputs) : [:]
  var lines = ["digraph {"]
  var numbers: [ObjectIdentifier: Int] = [:]
  func quoted(_ s: String) -> String {
    var text = ""
    for c in s {
      if c == "\"" || c == "\\" { text += "\\" }
      text += c == "\n" ? "\\n" : String(c)
    }
    return "\"\(text)\""
  }
  func array(_ x: NDArray) -> Int {
    let id = ObjectIdentifier(x)
    if let known = numbers[id] { return known }
    let number = numbers.count
    numbers[id] = number
    let label = (names[id].map { "\($0)\n" } ?? "") + "\(x.dtype.name) \(x.shape)"
    lines.append("  a\(number) [shape=ellipse, label=\(quoted(label))];")
    return number
  }
  var drawn: [ObjectIdentifier: Int] = [:]
  var seen: Set<ObjectIdentifier> = []
  var stack = Array(outputs.reversed())
  while let x = stack.popLast() {
    guard seen.insert(ObjectIdentifier(x)).inserted else { continue }
    let number = array(x)
    guard x.inputCount > 0, let name = x.compiledName ?? x.operationName else { continue }
    let box = boxes[ObjectIdentifier(x)]
    if let box, let known = drawn[ObjectIdentifier(box)] {
      lines.append("  p\(known) -> a\(number);")
      continue
    }
    if let box { drawn[ObjectIdentifier(box)] = number }
    lines.append("  p\(number) [shape=rectangle, label=\(quoted(box?.name ?? name))];")
    lines.append("  p\(number) -> a\(number);")
    for input in box?.inputs ?? x.inputs {
      lines.append("  a\(array(input)) -> p\(number);")
      stack.append(input)
    }
  }
  lines.append("}")
  return lines.joined(separator: "\n") + "\n"
}

/// Several nodes of a compiled function that are drawn as one.
private final class FusedBox {
  let name: String
  /// What it reads, each once.
  let inputs: [NDArray]

  /// nil for what is no more than one operation.
  private init?(_ members: [NDArray]) {
    var operations: [String] = []
    var found: [NDArray] = []
    var seen = Set(members.map { ObjectIdentifier($0) })
    for node in members {
      for input in node.inputs where seen.insert(ObjectIdentifier(input)).inserted {
        if !input.isEvaluated, input.primitive is Broadcast, input.call == node.call {
          operations.append(kernelName("broadcast_to"))
          if seen.insert(ObjectIdentifier(input.input(0))).inserted { found.append(input.input(0)) }
        } else {
          found.append(input)
        }
      }
      operations.append(kernelName(node.operationName ?? ""))
    }
    if operations.count < 2 { return nil }
    name = "Compiled" + operations.joined()
    inputs = found
  }

  /// The box of each node that is in one.
  static func all(_ outputs: [NDArray]) -> [ObjectIdentifier: FusedBox] {
    var boxes: [ObjectIdentifier: FusedBox] = [:]
    for group in Evaluator.fusedGroups(outputs) {
      for (_, members) in Dictionary(grouping: group.filter({ $0.call != 0 }), by: \.call) {
        guard let box = FusedBox(members) else { continue }
        for node in members { boxes[ObjectIdentifier(node)] = box }
      }
    }
    return boxes
  }
}

extension NDArray {
  /// The name of the kernel that a compiled function is.
  fileprivate var compiledName: String? {
    guard let kept = primitive as? KeptFunction else { return nil }
    let names = kept.plan.operations.map { kernelName($0.name) }
    return names.count > 1 ? "Compiled" + names.joined() : kept.plan.operations.first?.name
  }
}

/// What MLX calls an operation.
private func kernelName(_ name: String) -> String {
  let others = [
    "astype": "AsType", "where": "Select", "broadcast_to": "Broadcast", "arcsin": "ArcSin",
    "arccos": "ArcCos", "arctan": "ArcTan", "arctan2": "ArcTan2", "arcsinh": "ArcSinh",
    "arccosh": "ArcCosh", "arctanh": "ArcTanh", "erfinv": "ErfInv", "logaddexp": "LogAddExp",
  ]
  return others[name]
    ?? name.split(separator: "_").map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
}
