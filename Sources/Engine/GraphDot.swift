// A graph in the language of Graphviz: operations are boxes, arrays ellipses.

/// The text of a DOT file for everything that the outputs will be computed from. `names` are shown for arrays
/// that have one.
public func graphText(_ outputs: [NDArray], names: [ObjectIdentifier: String] = [:]) -> String {
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
  var seen: Set<ObjectIdentifier> = []
  var stack = Array(outputs.reversed())
  while let x = stack.popLast() {
    guard seen.insert(ObjectIdentifier(x)).inserted else { continue }
    let number = array(x)
    guard x.inputCount > 0, let name = x.operationName else { continue }
    lines.append("  p\(number) [shape=rectangle, label=\(quoted(name))];")
    lines.append("  p\(number) -> a\(number);")
    for i in 0..<x.inputCount {
      lines.append("  a\(array(x.input(i))) -> p\(number);")
      stack.append(x.input(i))
    }
  }
  lines.append("}")
  return lines.joined(separator: "\n") + "\n"
}
