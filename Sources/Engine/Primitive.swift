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
//
// Elementwise operations are not written here but as cases of ElementwiseOp: they fuse.

public protocol Primitive: Sendable {
  /// The operation's name as users write it.
  var name: OperationName { get }
  /// Computes `out` from its evaluated inputs.
  func evaluate(_ out: NDArray) throws(ArrayError)
  /// The gradients for the inputs, given that of the output.
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?]
  /// The same for a primitive with several outputs; a nil cotangent is zero.
  func vjpMultiple(_ out: NDArray, _ cotangents: [NDArray?]) throws(ArrayError) -> [NDArray?]
}

extension Primitive {
  public func vjpMultiple(_ out: NDArray, _ cotangents: [NDArray?]) throws(ArrayError)
    -> [NDArray?]
  {
    throw .notDifferentiable(op: name, reason: "no rule for its several outputs")
  }
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
}

/// A primitive with several outputs: `evaluateMultiple` returns evaluated arrays.
public protocol MultiOutputPrimitive: Sendable {
  var name: OperationName { get }
  func evaluateMultiple(_ out: NDArray) throws(ArrayError) -> [NDArray]
  func vjpMultiple(_ out: NDArray, _ cotangents: [NDArray?]) throws(ArrayError) -> [NDArray?]
}

extension NDArray {
  /// The arrays that a primitive with several outputs makes.
  public static func outputs(
    of primitive: any MultiOutputPrimitive, shapes: [Shape], dtypes: [DType], inputs: [NDArray]
  ) -> [NDArray] {
    let results = MultiResults()
    let node = NDArray(
      MultiOutput(base: primitive, results: results), shape: [0], dtype: .bool, inputs: inputs)
    return shapes.indices.map {
      NDArray(
        OutputOf(results: results, index: $0, count: shapes.count), shape: shapes[$0],
        dtype: dtypes[$0], node)
    }
  }
}
