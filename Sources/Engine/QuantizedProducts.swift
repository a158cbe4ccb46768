// Products with quantised weights that a kept schedule runs together: those of one x. What does not change from call to
// call (tiles, layouts) is worked out once.

import Kernels

final class QuantizedProducts {
  let nodes: [NDArray]
  private let rows: Int
  private let columns: Int
  private let products: UnsafeMutablePointer<LullProduct>

  /// Whether a product can be one of these: few rows of x, as integers, and a packed weight.
  static func canHold(_ node: NDArray) throws(ArrayError) -> Bool {
    guard let primitive = node.primitive as? QuantizedMatmul, primitive.transpose,
      primitive.activationBits != nil, node.size > 0
    else { return false }
    let weight = primitive.weight
    guard node.size / weight.rows < Int(LULL_MANY_ROWS), try weight.packedTiles() != nil else {
      return false
    }
    return try weight.withStored { (stored) throws(ArrayError) in
      var view = stored
      return lull_has_int_dot(&view) != 0
    }
  }

  /// At most LULL_MOST_PRODUCTS nodes that can be held, with the same x.
  init(_ nodes: [NDArray]) throws(ArrayError) {
    self.nodes = nodes
    columns = nodes[0].input(0).shape.last ?? 0
    rows = nodes[0].input(0).size / Swift.max(columns, 1)
    products = .allocate(capacity: nodes.count)
    products.initialize(repeating: LullProduct(), count: nodes.count)
    for (i, node) in nodes.enumerated() {
      guard let weight = (node.primitive as? QuantizedMatmul)?.weight else { continue }
      products[i].packed = try weight.packedTiles()
      products[i].w = try weight.withStored { $0 }
      // The packed tiles are all that is read.
      products[i].w.data = nil
    }
  }
  deinit { products.deallocate() }

  func run() throws(ArrayError) {
    let x = try nodes[0].input(0).rowContiguous()
    let memory = try Buffer(byteCount: Int(lull_products_bytes(Int64(rows), Int64(columns))))
    for (i, node) in nodes.enumerated() {
      try node.allocate()
      products[i].y = node.pointer(as: Float.self)
    }
    lull_packed_products(
      x.pointer(as: Float.self), Int64(rows), Int64(columns), products, Int32(nodes.count),
      memory.pointer)
    if lull_interrupt_stops() != 0 {
      for node in nodes { node.buffer = nil }
      throw .interrupted
    }
  }
}
