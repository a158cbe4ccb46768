// Reductions: sum, prod, max, min, any, all, argmax, argmin as primitives that fuse with the
// elementwise nodes under them; mean, var, std and logsumexp composed of those.
//
// The axes are a bit mask. The result's dtype follows MLX: sums of bool and small integers are
// int32 (uint32 for unsigned), indices are uint32.

import Kernels

struct Reduction: Primitive, Codable {
  enum Kind: UInt8, Codable {
    case sum = 1
    case prod, max, min, any, all, argmax, argmin
    var code: UInt8 { rawValue }
    var name: OperationName {
      switch self {
      case .sum: "sum"
      case .prod: "prod"
      case .max: "max"
      case .min: "min"
      case .any: "any"
      case .all: "all"
      case .argmax: "argmax"
      case .argmin: "argmin"
      }
    }
  }
  let kind: Kind
  let axisMask: Int
  let keepdims: Bool
  var name: OperationName { kind.name }

  /// Only reached when the input has no elements; everything else is a fused kernel.
  func evaluate(_ out: NDArray) throws(ArrayError) {
    let value: Scalar = kind == .prod || kind == .all ? .int(1) : .int(0)
    let one = try NDArray(value, dtype: out.dtype)
    out.share(one, strides: Shape(repeating: 0, count: out.shape.count))
    if out.size == 0 { out.strides = out.shape.rowMajorStrides }
  }

  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    let x = out.input(0)
    func expanded(_ y: NDArray) throws(ArrayError) -> NDArray {
      try keepdims ? y : y.reshaped(withOnes(x.shape), .expand(mask: axisMask))
    }
    let g = try expanded(cotangent)
    switch kind {
    case .sum: return [try g.astype(x.dtype).broadcast(like: x)]
    case .max, .min:
      let mask = try equal(x, expanded(out)).astype(x.dtype)
      let count = try sum(mask, mask: axisMask, keepdims: true)
      return [try multiply(divide(g, count), mask)]
    case .prod:
      // The product of all the others, by exclusive products from both sides: zeros are fine.
      let axes = axisMask.bits
      var y = x
      let rest = (0..<x.rank).filter { axisMask & (1 << $0) == 0 }
      let order = rest + axes
      y = try transpose(x, order)
      let kept = Shape(rest.map { x.shape[$0] })
      var flat = kept
      flat.append(axes.reduce(1) { $0 &* x.shape[$1] })
      y = try y.reshaped(flat)
      let before = try cumulative(y, .prod, axis: flat.count - 1, inclusive: false)
      let after = try cumulative(y, .prod, axis: flat.count - 1, reverse: true, inclusive: false)
      let others = try multiply(before, after).reshaped(Shape(order.map { x.shape[$0] }))
      var inverse = [Int](repeating: 0, count: x.rank)
      for (i, axis) in order.enumerated() { inverse[axis] = i }
      return [try multiply(conjugate(transpose(others, inverse)), g)]
    case .any, .all, .argmax, .argmin: return [nil]
    }
  }

  private func withOnes(_ shape: Shape) -> Shape {
    var result = shape
    for axis in axisMask.bits { result[axis] = 1 }
    return result
  }

  func jvp(_ out: NDArray, _ tangents: [NDArray?]) throws(ArrayError) -> NDArray? {
    guard let t = tangents[0] else { return nil }
    let x = out.input(0)
    func total(_ y: NDArray) throws(ArrayError) -> NDArray {
      try sum(y, mask: axisMask, keepdims: keepdims)
    }
    switch kind {
    case .sum: return try total(t)
    case .prod:
      let one = try NDArray(.int(1), dtype: out.dtype).broadcast(to: out.shape)
      // The gradient of a cotangent of ones is the product of the others, conjugated.
      guard let others = try vjp(out, one)[0] else { return nil }
      return try total(multiply(conjugate(others), t))
    case .max, .min:
      let top = try keepdims ? out : out.reshaped(withOnes(x.shape))
      let mask = try equal(x, top).astype(x.dtype)
      return try divide(total(multiply(mask, t)), total(mask)).astype(out.dtype)
    case .any, .all, .argmax, .argmin: return nil
    }
  }

  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    var x = batch.inputs[0]
    var mask = axisMask << 1
    if kind == .argmax || kind == .argmin, axisMask.nonzeroBitCount != 1 {
      // The index counts through the whole example.
      x = try x.reshaped([batch.size, out.input(0).size] as Shape)
      mask = 2
      let result = try NDArray.reduce(kind, x, mask: mask, keepdims: false, dtype: out.dtype)
      return try result.reshaped(batch.shape(out.shape))
    }
    return try NDArray.reduce(kind, x, mask: mask, keepdims: keepdims, dtype: out.dtype)
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    let x = inputs[0]
    let axes = axisMask.bits
    if axisMask < 0 || axisMask >> Shape.maxRank != 0 {
      throw .argument(op: name, message: "unknown axes")
    }
    switch kind {
    case .sum: return try sum(x, axes: axes, keepdims: keepdims)
    case .prod: return try prod(x, axes: axes, keepdims: keepdims)
    case .max: return try max(x, axes: axes, keepdims: keepdims)
    case .min: return try min(x, axes: axes, keepdims: keepdims)
    case .any: return try any(x, axes: axes, keepdims: keepdims)
    case .all: return try all(x, axes: axes, keepdims: keepdims)
    case .argmax, .argmin:
      if x.size == 0 { throw .empty(op: name, what: name.description) }
      let mask = try x.axisMask(axes, op: name)
      guard mask.nonzeroBitCount == 1 || mask == (1 << x.rank) - 1 else {
        throw .argument(op: name, message: "one axis or all of them")
      }
      return try NDArray.reduce(kind, x, mask: mask, keepdims: keepdims, dtype: .uint32)
    }
  }
  var passesGradient: Bool {
    switch kind {
    case .sum, .prod, .max, .min: true
    case .any, .all, .argmax, .argmin: false
    }
  }
}

extension Int {
  /// The positions of the set bits.
  var bits: [Int] { (0..<Shape.maxRank).filter { self & (1 << $0) != 0 } }
}

extension NDArray {
  /// A checked axis, counted from the front.
  public func axis(_ axis: Int, op: OperationName) throws(ArrayError) -> Int {
    let found = axis < 0 ? axis &+ rank : axis
    guard found >= 0, found < rank else { throw .axis(op: op, axis: axis, rank: rank) }
    return found
  }
  /// Checked axes as a bit mask; nil means all.
  func axisMask(_ axes: [Int]?, op: OperationName) throws(ArrayError) -> Int {
    guard let axes else { return (1 << rank) - 1 }
    var mask = 0
    for axis in axes {
      let bit = 1 << (try self.axis(axis, op: op))
      if mask & bit != 0 { throw .duplicateAxis(op: op, axes: axes) }
      mask |= bit
    }
    return mask
  }
  func reducedShape(_ mask: Int, keepdims: Bool) -> Shape {
    var result = Shape()
    for i in 0..<rank {
      if mask & (1 << i) == 0 { result.append(shape[i]) } else if keepdims { result.append(1) }
    }
    return result
  }

  static func reduce(
    _ kind: Reduction.Kind, _ x: NDArray, mask: Int, keepdims: Bool, dtype: DType
  ) throws(ArrayError) -> NDArray {
    if mask == 0 && kind != .argmax && kind != .argmin {
      return kind == .any || kind == .all ? x.astype(.bool) : x  // as MLX: the dtype stays
    }
    let shape = x.reducedShape(mask, keepdims: keepdims)
    let out = NDArray(
      Reduction(kind: kind, axisMask: mask, keepdims: keepdims), shape: shape, dtype: dtype, x)
    out.isReduction = true
    return out
  }
}

func sum(_ x: NDArray, mask: Int, keepdims: Bool) throws(ArrayError) -> NDArray {
  try .reduce(.sum, x, mask: mask, keepdims: keepdims, dtype: sumDType(x.dtype))
}
private func sumDType(_ dtype: DType) -> DType {
  switch dtype {
  case .bool, .int8, .int16: .int32
  case .uint8, .uint16: .uint32
  default: dtype
  }
}

public func sum(_ x: NDArray, axes: [Int]? = nil, keepdims: Bool = false) throws(ArrayError)
  -> NDArray
{
  try sum(x, mask: x.axisMask(axes, op: "sum"), keepdims: keepdims)
}
public func prod(_ x: NDArray, axes: [Int]? = nil, keepdims: Bool = false) throws(ArrayError)
  -> NDArray
{
  try .reduce(
    .prod, x, mask: x.axisMask(axes, op: "prod"), keepdims: keepdims, dtype: sumDType(x.dtype))
}
private func extreme(_ kind: Reduction.Kind, _ x: NDArray, _ axes: [Int]?, _ keepdims: Bool)
  throws(ArrayError) -> NDArray
{
  let mask = try x.axisMask(axes, op: kind.name)
  for axis in mask.bits where x.shape[axis] == 0 {
    throw .empty(op: kind.name, what: kind.name.description)
  }
  return try .reduce(kind, x, mask: mask, keepdims: keepdims, dtype: x.dtype)
}
public func max(_ x: NDArray, axes: [Int]? = nil, keepdims: Bool = false) throws(ArrayError)
  -> NDArray
{ try extreme(.max, x, axes, keepdims) }
public func min(_ x: NDArray, axes: [Int]? = nil, keepdims: Bool = false) throws(ArrayError)
  -> NDArray
{ try extreme(.min, x, axes, keepdims) }
public func any(_ x: NDArray, axes: [Int]? = nil, keepdims: Bool = false) throws(ArrayError)
  -> NDArray
{
  try .reduce(.any, x, mask: x.axisMask(axes, op: "any"), keepdims: keepdims, dtype: .bool)
}
public func all(_ x: NDArray, axes: [Int]? = nil, keepdims: Bool = false) throws(ArrayError)
  -> NDArray
{
  try .reduce(.all, x, mask: x.axisMask(axes, op: "all"), keepdims: keepdims, dtype: .bool)
}
private func argExtreme(_ kind: Reduction.Kind, _ x: NDArray, _ axis: Int?, _ keepdims: Bool)
  throws(ArrayError) -> NDArray
{
  if x.size == 0 { throw .empty(op: kind.name, what: kind.name.description) }
  let mask = try x.axisMask(axis.map { [$0] }, op: kind.name)
  return try .reduce(kind, x, mask: mask, keepdims: keepdims, dtype: .uint32)
}
/// The index of the largest element along an axis, or in the flattened array.
public func argmax(_ x: NDArray, axis: Int? = nil, keepdims: Bool = false) throws(ArrayError)
  -> NDArray
{ try argExtreme(.argmax, x, axis, keepdims) }
public func argmin(_ x: NDArray, axis: Int? = nil, keepdims: Bool = false) throws(ArrayError)
  -> NDArray
{ try argExtreme(.argmin, x, axis, keepdims) }

/// How many elements some axes have: a node, so that a shapeless function asks its own input.
struct ElementCount: Primitive, Codable {
  let axisMask: Int
  var name: OperationName { "element_count" }
  func evaluate(_ out: NDArray) throws(ArrayError) {
    let x = out.input(0)
    let n = axisMask.bits.reduce(1) { $0 &* ($1 < x.rank ? x.shape[$1] : 1) }
    let value = try NDArray(.int(n), dtype: out.dtype)
    out.share(value, strides: value.strides)
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] { [nil] }
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    try countOfElements(batch.inputs[0], axisMask << 1, dtype: out.dtype)
      .broadcast(to: [batch.size])
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    try countOfElements(
      inputs[0], inputs[0].axisMask(axisMask.bits, op: name), dtype: old.dtype)
  }
  var passesGradient: Bool { false }
}
private func countOfElements(_ x: NDArray, _ mask: Int, dtype: DType) throws(ArrayError)
  -> NDArray
{
  NDArray(ElementCount(axisMask: mask), shape: Shape(), dtype: dtype, x)
}

private func count(_ x: NDArray, _ mask: Int) -> Int {
  mask.bits.reduce(1) { $0 &* x.shape[$1] }
}
public func mean(_ x: NDArray, axes: [Int]? = nil, keepdims: Bool = false) throws(ArrayError)
  -> NDArray
{
  let mask = try x.axisMask(axes, op: "mean")
  let y = x.astype(x.dtype.inexact)
  let total = try sum(y, mask: mask, keepdims: keepdims)
  if Tracing.isShapeless { return try divide(total, countOfElements(y, mask, dtype: y.dtype)) }
  return try multiply(total, NDArray.weak(.float(1 / Double(count(x, mask))), like: y.dtype))
}
public func variance(
  _ x: NDArray, axes: [Int]? = nil, keepdims: Bool = false, ddof: Int = 0
) throws(ArrayError) -> NDArray {
  let mask = try x.axisMask(axes, op: "var")
  let y = x.astype(x.dtype.inexact)
  let n = count(x, mask)
  let center = try mean(y, axes: mask.bits, keepdims: true)
  let d = try subtract(y, center)
  let squares =
    y.dtype.isComplex ? try add(square(real(d)), square(imag(d))) : square(d)
  let total = try sum(squares, mask: mask, keepdims: keepdims)
  if Tracing.isShapeless {
    let less = try NDArray.weak(.int(ddof), like: total.dtype)
    let zero = try NDArray(.int(0), dtype: total.dtype)
    let scale = try subtract(countOfElements(y, mask, dtype: total.dtype), less)
    return try divide(total, maximum(scale, zero))
  }
  let scale = try NDArray.weak(.float(Double(Swift.max(n &- ddof, 0))), like: total.dtype)
  return try divide(total, scale)
}
public func std(
  _ x: NDArray, axes: [Int]? = nil, keepdims: Bool = false, ddof: Int = 0
) throws(ArrayError) -> NDArray {
  sqrt(try variance(x, axes: axes, keepdims: keepdims, ddof: ddof))
}
/// log(sum(exp(x))) without overflow.
public func logsumexp(_ x: NDArray, axes: [Int]? = nil, keepdims: Bool = false)
  throws(ArrayError) -> NDArray
{
  let mask = try x.axisMask(axes, op: "logsumexp")
  let y = x.astype(x.dtype.inexact)
  if x.size == 0 { return log(try sum(exp(y), mask: mask, keepdims: keepdims)) }
  let top = stopGradient(try max(y, axes: mask.bits, keepdims: true))
  // An infinite maximum is its own result: subtracting it would make nan.
  let finite = try `where`(isfinite(top), top, NDArray.zeros(Shape(), dtype: y.dtype))
  let total = log(try sum(exp(subtract(y, finite)), mask: mask, keepdims: true))
  let result = try add(total, finite)
  return try keepdims ? result : squeeze(result, mask.bits)
}
public func countNonzero(_ x: NDArray, axes: [Int]? = nil, keepdims: Bool = false)
  throws(ArrayError) -> NDArray
{
  try sum(x.astype(.bool), axes: axes, keepdims: keepdims).astype(.int32)
}
