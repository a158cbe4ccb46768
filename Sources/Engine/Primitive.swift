// What one operation of the graph knows.
//
// How a new primitive is written (see Movement.swift or Softmax.swift for short examples):
//
// 1. A small struct in the family's file, with the operation's parameters as stored members:
//        struct Softmax: Primitive { let precise: Bool; var name: OperationName { "softmax" } }
// 2. A public method of NDArray (or a free function) that checks shapes and dtypes, throws
//    ArrayError, and returns `NDArray(Softmax(...), shape: ..., dtype: ..., x)`. Promote inputs
//    there (`x.astype(...)`): a primitive's inputs have the dtypes that its kernel takes.
// 3. `evaluate(_ out:)`: the inputs `out.input(i)` are evaluated by then (any strides, so take
//    `try out.input(0).rowContiguous()` where the kernel wants row-major). Call
//    `try out.allocate()` (or `allocate(donating: 0)` when the kernel works in place) and write
//    to `out.pointer(as: Float.self)`, or make a view with `out.share(input, offset:strides:)`.
//    Large loops go through `lull_parallel_for` in C. Zero-size arrays arrive here too.
//    Check nothing else here, except what depends on values: throw; the node's position is added.
// 4. `vjp(_ out:, _ cotangent:)`: one gradient an input (nil where there is none: integers),
//    written with array operations only, each of the shape of its input (`sumTo(shape)` undoes a
//    broadcast). Gradients that need the forward's result use `out` itself.
// 5. Several outputs: conform to MultiOutputPrimitive (evaluateMultiple returns evaluated
//    arrays), make the users' arrays with `NDArray.outputs(of:shapes:dtypes:inputs:)`, and
//    write the gradient as `vjpMultiple`, which sees all the cotangents (nil is zero).
// 6. `vmap(_ out:, _ batch:)`: the operation over a batch. `out` is the node for one example;
//    batched inputs have one more axis, always in front, and so has the result. Without a rule
//    the examples are computed one by one and stacked: right for everything, but slow.
// 7. `jvp`: only where applying the gradient's own gradient (the default) is not wanted.
// 8. `rebuild(_ inputs:, like:)`: the operation over inputs of other shapes, all checked as if
//    a user had called it. A shapeless function and an imported one are made with it.
// 9. Make the struct `Codable` and list it in `GraphFile.types`: its parameters are then written
//    to exported functions and equal nodes of a compiled function are found.
//
// Elementwise operations are not written here but as cases of ElementwiseOp: they fuse.

public protocol Primitive: Sendable {
  /// The operation's name as users write it.
  var name: OperationName { get }
  /// Computes `out` from its evaluated inputs.
  func evaluate(_ out: NDArray) throws(ArrayError)
  /// Arithmetic operations of an evaluation, for reports; its inputs are evaluated.
  func operationCount(_ out: NDArray) -> Int
  /// The gradients for the inputs, given that of the output.
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?]
  /// The same for a primitive with several outputs; a nil cotangent is zero.
  func vjpMultiple(_ out: NDArray, _ cotangents: [NDArray?]) throws(ArrayError) -> [NDArray?]
  /// The tangent of the output, given those of the inputs (nil is zero).
  func jvp(_ out: NDArray, _ tangents: [NDArray?]) throws(ArrayError) -> NDArray?
  /// The result for a batch of examples of which `out` is one, the batch axis in front.
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray
  /// The operation over other inputs, which may have other shapes; `old` is the recorded node.
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray
  /// The primitive over other inputs of the same shapes; differs only if it holds arrays itself.
  func replacing(_ inputs: [NDArray]) -> any Primitive
  /// Whether the primitive itself holds input i.
  func holdsInput(_ i: Int) -> Bool
  /// Why input i can have no gradient at all (asking for one is an error); nil where it can.
  func rejectsGradient(of i: Int) -> String?
  /// Whether positions that depend on what is differentiated are an error even where no gradient would reach them.
  var rejectsHiddenPositions: Bool { get }
  /// False where every gradient is zero: nothing that leads only here is differentiated.
  var passesGradient: Bool { get }
}

/// Positions in an array are whole numbers: no gradient reaches them.
let positionsHaveNoGradient =
  "the positions depend on what is differentiated; wrap them in stop_gradient"
let codesHaveNoGradient = "a quantized weight has no gradient"

/// What a recorded node looked like: the result of a primitive for inputs of known shapes.
public struct NodeShape: Sendable {
  public let shape: Shape
  public let dtype: DType
  public let inputShapes: [Shape]
  public init(shape: Shape, dtype: DType, inputShapes: [Shape]) {
    (self.shape, self.dtype, self.inputShapes) = (shape, dtype, inputShapes)
  }
}

extension Primitive {
  public func operationCount(_ out: NDArray) -> Int { out.size }
  public func vjpMultiple(_ out: NDArray, _ cotangents: [NDArray?]) throws(ArrayError)
    -> [NDArray?]
  {
    throw .notDifferentiable(op: name, reason: "no rule for its several outputs")
  }
  public func jvp(_ out: NDArray, _ tangents: [NDArray?]) throws(ArrayError) -> NDArray? {
    try transposedGradient(out, [out], tangents) { (c) throws(ArrayError) in
      guard let c = c[0] else { return [] }
      return try vjp(out, c)
    }[0]
  }
  public func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    try batch.loop(out, self)
  }
  public func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    throw .argument(
      op: name, message: "has no rule for inputs of other shapes than it was recorded with")
  }
  public func replacing(_ inputs: [NDArray]) -> any Primitive { self }
  public func holdsInput(_ i: Int) -> Bool { false }
  public func rejectsGradient(of i: Int) -> String? { nil }
  public var rejectsHiddenPositions: Bool { false }
  public var passesGradient: Bool { true }
}

/// What a primitive with several outputs has computed, shared by the nodes of its outputs.
final class MultiResults: @unchecked Sendable { var arrays: [NDArray] = [] }

/// One of the outputs of a primitive that has several. Its input is that primitive's node.
struct OutputOf: Primitive {
  let results: MultiResults
  let index: Int
  let count: Int
  var name: OperationName { "output" }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    guard index < results.arrays.count else {
      throw .internal("output \(index) of a primitive was not computed")
    }
    let result = results.arrays[index]
    out.share(result, strides: result.strides)
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    throw .internal("the gradient of an output is taken by its primitive")
  }
}

/// The node that stands for all outputs of one primitive.
struct MultiOutput: Primitive {
  let base: any MultiOutputPrimitive
  let results: MultiResults
  let shapes: [Shape]
  let dtypes: [DType]
  var name: OperationName { base.name }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    results.arrays = try base.evaluateMultiple(out)
    try out.allocate()
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    try base.vjpMultiple(out, [cotangent])
  }
  func vjpMultiple(_ out: NDArray, _ cotangents: [NDArray?]) throws(ArrayError) -> [NDArray?] {
    try base.vjpMultiple(out, cotangents)
  }
  /// The outputs of the same primitive over other inputs of the same shapes.
  func outputs(over inputs: [NDArray]) -> [NDArray] {
    NDArray.outputs(of: base.replacing(inputs), shapes: shapes, dtypes: dtypes, inputs: inputs)
  }
}

/// A primitive with several outputs: `evaluateMultiple` returns evaluated arrays.
public protocol MultiOutputPrimitive: Sendable {
  var name: OperationName { get }
  func evaluateMultiple(_ out: NDArray) throws(ArrayError) -> [NDArray]
  func vjpMultiple(_ out: NDArray, _ cotangents: [NDArray?]) throws(ArrayError) -> [NDArray?]
  /// The tangents of the outputs; `outputs` are the recorded shapes and dtypes.
  func jvpMultiple(_ out: NDArray, _ outputs: [(Shape, DType)], _ tangents: [NDArray?])
    throws(ArrayError) -> [NDArray?]
  /// The outputs for a batch, the batch axis in front of each.
  func vmapMultiple(_ out: NDArray, _ outputs: [(Shape, DType)], _ batch: Batch)
    throws(ArrayError) -> [NDArray]
  /// The outputs over other inputs, checked; `old` is what was recorded, output by output.
  func rebuildMultiple(_ inputs: [NDArray], like old: [NodeShape]) throws(ArrayError) -> [NDArray]
  func replacing(_ inputs: [NDArray]) -> any MultiOutputPrimitive
}

extension MultiOutputPrimitive {
  public func jvpMultiple(_ out: NDArray, _ outputs: [(Shape, DType)], _ tangents: [NDArray?])
    throws(ArrayError) -> [NDArray?]
  {
    var like: [NDArray] = []
    for (shape, dtype) in outputs { like.append(try NDArray.zeros(shape, dtype: dtype)) }
    return try transposedGradient(out, like, tangents) { (c) throws(ArrayError) in
      try vjpMultiple(out, c)
    }
  }
  public func vmapMultiple(_ out: NDArray, _ outputs: [(Shape, DType)], _ batch: Batch)
    throws(ArrayError) -> [NDArray]
  {
    try batch.loop(self, outputs)
  }
  public func rebuildMultiple(_ inputs: [NDArray], like old: [NodeShape]) throws(ArrayError)
    -> [NDArray]
  {
    throw .argument(
      op: name, message: "has no rule for inputs of other shapes than it was recorded with")
  }
  public func replacing(_ inputs: [NDArray]) -> any MultiOutputPrimitive { self }
}

extension NDArray {
  /// The arrays that a primitive with several outputs makes.
  public static func outputs(
    of primitive: any MultiOutputPrimitive, shapes: [Shape], dtypes: [DType], inputs: [NDArray]
  ) -> [NDArray] {
    let results = MultiResults()
    let node = NDArray(
      MultiOutput(base: primitive, results: results, shapes: shapes, dtypes: dtypes),
      shape: [0], dtype: .bool, inputs: inputs)
    return shapes.indices.map {
      NDArray(
        OutputOf(results: results, index: $0, count: shapes.count), shape: shapes[$0],
        dtype: dtypes[$0], node)
    }
  }
}
