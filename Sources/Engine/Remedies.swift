// What to do about a failure: one line under the message, worked out from the facts.
//
// A remedy is only given when it holds for the very shapes at hand: the transposition, the axis or the shape that it
// names was tried. Where several would do, the one that the likeliest mistake calls for.

extension ArrayError {
  public var remedy: String? {
    switch fact {
    case .broadcast(let op, let lhs, let rhs): broadcastRemedy(op.description, lhs, rhs)
    case .shapeMismatch(let op, let lhs, let rhs, _): shapeRemedy(op.description, lhs, rhs)
    case .badReshape(let from, let to): reshapeRemedy(from, to)
    case .axis(_, let axis, let rank), .axisIndex(_, let axis, let rank): axisRemedy(axis, rank)
    case .indexOutOfRange(_, _, _, let size):
      size == 0
        ? "the axis is empty: there is nothing to index"
        : "its indices are 0 to \(size - 1), or -\(size) to -1 from the end"
    case .tooManyIndices(_, let shape):
      shape.isEmpty
        ? "an array without axes takes no index but () and ...; its value is a.item()"
        : "this array takes \(shape.count == 1 ? "one index" : "at most \(shape.count) indices")"
    case .dtype(let op, let found, _): dtypeRemedy(op.description, found)
    case .scalarOverflow(let value, _):
      "\(value) needs a wider dtype: convert the array with astype(mx.\(wider(value)))"
    case .duplicateAxis: "name each axis once"
    case .notScalar: "reduce it to one value with sum() or mean(), or index one element"
    case .notDifferentiable: "take it out of the gradient with mx.stop_gradient"
    case .negativeDimension(let op, _):
      op.description == "reshape" ? nil : "sizes are 0 or more; only reshape takes a -1"
    case .evaluatedInTrace:
      "write mx.where(condition, a, b) in place of an if, and take values out after the call"
    default: nil
    }
  }
}

private func broadcasts(_ a: [Int], _ b: [Int]) -> Bool {
  zip(a.reversed(), b.reversed()).allSatisfy { $0 == $1 || $0 == 1 || $1 == 1 }
}

private func broadcastRemedy(_ op: String, _ a: [Int], _ b: [Int]) -> String {
  if op == "multiply", a.count == 2, b.count == 2, a[1] == b[0] {
    return "for the product of two matrices write @ in place of *"
  }
  if op == "broadcast_to" {
    return
      "only axes of size 1 are stretched, and new ones come first; bring the array into a fitting shape with reshape"
  }
  // An axis of size 1 where a reduction took one out, the last first.
  for (short, long, name) in [(b, a, "second"), (a, b, "first")] where short.count + 1 == long.count
  {
    for place in stride(from: short.count, through: 1, by: -1) {
      var shape = short
      shape.insert(1, at: place)
      if broadcasts(shape, long) {
        let index =
          place == short.count
          ? "[..., None]" : "[" + String(repeating: ":, ", count: place) + "None]"
        return "give the \(name) an axis of size 1, \(Shape.text(shape)): index it with \(index), "
          + "or keep the axis of a reduction with keepdims=True"
      }
    }
  }
  if b.count == 2, broadcasts(a, b.reversed()) {
    return "the second fits when transposed: its .T has shape \(Shape.text(b.reversed()))"
  }
  if a.count == 2, broadcasts(a.reversed(), b) {
    return "the first fits when transposed: its .T has shape \(Shape.text(a.reversed()))"
  }
  for k in 1...max(a.count, b.count, 1) where k <= a.count && k <= b.count {
    let x = a[a.count - k]
    let y = b[b.count - k]
    if x != y, x != 1, y != 1 {
      return
        "sizes are compared from the last axis on and must be equal or 1: axis -\(k) has \(x) and \(y)"
    }
  }
  return "sizes are compared from the last axis on and must be equal or 1"
}

private func swapped(_ s: [Int]) -> [Int] {
  var s = s
  if s.count > 1 { s.swapAt(s.count - 1, s.count - 2) }
  return s
}

private func shapeRemedy(_ op: String, _ a: [Int], _ b: [Int]) -> String? {
  /// Whether a product of these shapes is possible, but for the axes before the last two.
  func multiplies(_ a: [Int], _ b: [Int]) -> Bool {
    guard let inner = a.last, !b.isEmpty else { return false }
    return b.count == 1 ? b[0] == inner : b[b.count - 2] == inner
  }
  switch op {
  case "matmul", "addmm":
    if a.isEmpty || b.isEmpty { return "a number scales an array with *" }
    if b.count > 1, multiplies(a, swapped(b)) {
      return "the second fits when transposed: its .T has shape \(Shape.text(swapped(b)))"
    }
    if a.count > 1, multiplies(swapped(a), b) {
      return "the first fits when transposed: its .T has shape \(Shape.text(swapped(a)))"
    }
    if multiplies(b, a) { return "the product exists the other way round: exchange the two" }
    return "the sizes in the middle must agree: (n, k) @ (k, m)"
  case "concatenate":
    if a.count == b.count + 1, Array(a.dropFirst()) == b {
      return
        "give the second the missing axis: index it with [None], of shape \(Shape.text([1] + b))"
    }
    if b.count == a.count + 1, Array(b.dropFirst()) == a {
      return
        "give the first the missing axis: index it with [None], of shape \(Shape.text([1] + a))"
    }
    if a.count == b.count {
      let apart = a.indices.filter { a[$0] != b[$0] }
      if apart.count == 1 {
        return "they differ in axis \(apart[0]): join them along it with axis=\(apart[0])"
      }
    }
    return "cut or reshape one of them until all other axes agree"
  case "stack":
    return "arrays of different sizes are joined along an axis that they have with concatenate"
  case "index": return "make the mask from the array itself, such as a[a > 0]"
  case "assignment":
    return a.reduce(1, &*) == b.reduce(1, &*)
      ? "the value has as many elements: bring it into the shape \(Shape.text(b)) with reshape"
      : "assign to a slice as large as the value, or a value of shape \(Shape.text(b)) or of one element"
  case "conv1d", "conv2d", "conv3d", "conv_general":
    if a.count > 2, let channels = b.last, a[1] == channels {
      let order = [0] + Array(2..<a.count) + [1]
      return
        "channels come last: transpose the input with transpose(\(order.map(String.init).joined(separator: ", ")))"
    }
    return "channels come last, in the input and in the weight"
  default: return nil
  }
}

private func reshapeRemedy(_ from: [Int], _ to: [Int]) -> String {
  let size = from.reduce(1, &*)
  if to.count(where: { $0 == -1 }) > 1 {
    return "only one size can be -1: it is worked out from the others"
  }
  if let bad = to.first(where: { $0 < -1 }) {
    return "\(bad) is no size; -1 stands for the one that is worked out"
  }
  for (i, n) in to.enumerated() where n != -1 {
    let others = to.enumerated().filter { $0.offset != i && $0.element != -1 }.reduce(1) {
      $0 &* $1.element
    }
    if others > 0, size % others == 0, to.allSatisfy({ $0 != -1 }) {
      var shape = to
      shape[i] = size / others
      return
        "\(size) elements fill the shape \(Shape.text(shape)); a -1 in place of \(n) works that size out"
    }
  }
  // The pair of sizes nearest to a square.
  var side = Int(Double(size).squareRoot())
  while side > 1, size % side != 0 { side -= 1 }
  return "the product of the sizes must be \(size)"
    + (side > 1 ? ", as in \(Shape.text([side, size / side]))" : "")
}

private func axisRemedy(_ axis: Int, _ rank: Int) -> String {
  switch rank {
  case 0: "this array has no axes: leave axis out"
  case 1: "the only axis is 0, which is also -1"
  default: "its axes are 0 to \(rank - 1), or -\(rank) to -1 from the last"
  }
}

private func dtypeRemedy(_ op: String, _ found: DType) -> String {
  if op.hasPrefix("bitwise") || op.hasSuffix("shift") {
    return "convert it with astype(mx.int32), or make bools with a comparison such as a > 0"
  }
  return found.isInteger || found == .bool
    ? "convert it with astype(mx.float32)" : "convert it with astype"
}

/// The narrowest dtype that holds a number and is not the one that did not.
private func wider(_ value: Int) -> String {
  if value < 0 {
    return value >= -128
      ? "int8" : value >= -32768 ? "int16" : value >= Int(Int32.min) ? "int32" : "int64"
  }
  return value <= 32767 ? "int16" : value <= Int(Int32.max) ? "int32" : "int64"
}
