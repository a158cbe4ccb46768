// What a trace for a shapeless function changes: shapes that follow from other arrays are recorded
// as such, not as numbers. Everywhere else these are the plain operations.

enum Tracing {
  /// Set while a function is traced that will be replayed with other sizes.
  nonisolated(unsafe) static var isShapeless = false
}

extension NDArray {
  /// Zeros in the shape of an array.
  static func zeros(like x: NDArray, dtype: DType? = nil) throws(ArrayError) -> NDArray {
    let zero = try NDArray(.int(0), dtype: dtype ?? x.dtype)
    return try zero.broadcast(like: x)
  }
  /// The array broadcast to the shape of another.
  public func broadcast(like x: NDArray) throws(ArrayError) -> NDArray {
    if !Tracing.isShapeless || !x.isTraced { return try broadcast(to: x.shape) }
    guard try Shape.broadcast(shape, x.shape, op: "broadcast_to") == x.shape else {
      throw .broadcast(op: "broadcast_to", lhs: shape.array, rhs: x.shape.array)
    }
    return NDArray(Broadcast(), shape: x.shape, dtype: dtype, self, x)
  }
  /// Summed down to the shape of another, from which it may have been broadcast.
  func summed(like x: NDArray) throws(ArrayError) -> NDArray {
    if !Tracing.isShapeless || !x.isTraced { return try sumTo(x.shape) }
    return NDArray(SumLike(), shape: x.shape, dtype: dtype, self, x)
  }
}

/// The sum of the first input down to the shape of the second.
struct SumLike: Primitive, Codable {
  var name: OperationName { "sum_like" }
  func evaluate(_ out: NDArray) throws(ArrayError) {
    let y = try out.input(0).sumTo(out.shape)
    try y.eval()
    out.share(y, strides: y.strides)
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    [try cotangent.broadcast(like: out.input(0)), nil]
  }
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    let x = try batch.full(0)
    var target = out.shape
    for _ in 0..<(x.rank - 1 - out.rank) { target.insert(1, at: 0) }
    return try x.sumTo(batch.shape(target)).reshaped(batch.shape(out.shape))
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    guard try Shape.broadcast(inputs[0].shape, inputs[1].shape, op: name) == inputs[0].shape else {
      throw .broadcast(op: name, lhs: inputs[0].shape.array, rhs: inputs[1].shape.array)
    }
    return try inputs[0].sumTo(inputs[1].shape)
  }
}
