// A matrix product and the elementwise group that is its only consumer, as one kernel: each part of the
// product is finished by the worker that computed it, while it is in the cache. Without this the result
// goes to memory and comes back.
//
// The evaluator gives the product (perhaps seen through a reshape) to the group instead of making it a
// kernel of its own. The product's node gets memory before the group's program is made, and values only
// when the program runs; nobody else looks at it meanwhile, since the group is its only consumer.

import Kernels

struct Epilogue {
  private let product: NDArray
  /// The product in the shape in which the group sees it.
  private let view: NDArray?
  private let job: PanelProduct
  /// Whether somebody keeps the product: then the group's result has memory of its own.
  private let isHeld: Bool

  /// Smaller products are not worth it. (And one number would be read when the program is made.)
  static let leastSize = 1024

  /// Whether a pending node can be computed together with the group that consumes it.
  static func isPossible(_ node: NDArray) -> Bool {
    if node.size < leastSize { return false }
    if let product = node.primitive as? MatMul { return product.usesPanels(node) }
    guard node.primitive is Reshape, let x = node.in0, x.buffer == nil, x.uses == 1 else {
      return false
    }
    return (x.primitive as? MatMul)?.usesPanels(x) ?? false
  }

  init(_ source: NDArray, isHeld: Bool) throws(ArrayError) {
    (product, view) = source.primitive is MatMul ? (source, nil) : (source.input(0), source)
    job = try PanelProduct(product)
    self.isHeld = isHeld
  }

  /// Memory for the product and for the nodes of the group that are kept. One result of the product's
  /// size takes the product's own memory: a program reads each element before it writes it.
  func allocate(_ kept: [NDArray]) throws(ArrayError) {
    do throws(ArrayError) {
      try product.allocate()
      if let view { view.share(product, strides: view.shape.rowMajorStrides) }
      for node in kept {
        if kept.count == 1 && !isHeld && node.dtype.byteCount == product.dtype.byteCount {
          node.share(product, strides: node.shape.rowMajorStrides)
        } else {
          try node.allocate()
        }
      }
    } catch {
      for node in kept { node.buffer = nil }
      forget()
      throw error
    }
  }

  func run(_ program: UnsafePointer<LullProgram>) {
    job.run(product, before: program)
  }

  /// After an error: nothing was computed.
  func forget() {
    view?.buffer = nil
    product.buffer = nil
  }

  /// The nodes of a source that get values.
  static func nodes(of source: NDArray) -> [NDArray] {
    source.primitive is MatMul ? [source] : [source.input(0), source]
  }
}
