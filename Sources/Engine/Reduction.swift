// Reductions: sum, prod, max, min, any, all, argmax, argmin as primitives that fuse with the
// elementwise nodes under them; mean, var, std and logsumexp composed of those.
//
// The axes are a bit mask. The result's dtype follows MLX: sums of bool and small integers are
// int32 (uint32 for unsigned), indices are uint32.

import Kernels

struct Reduction: Primitive {
  enum Kind: UInt8 {
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
      try keepdims ? y : y.reshaped(withOnes(x.shape))
    }
    let g = try expanded(cotangent)
    switch kind {
    case .sum: return [try g.astype(x.dtype).broadcast(to: x.shape)]
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
      return [try multiply(g, transpose(others, inverse))]
    case .any, .all, .argmax, .argmin: return [nil]
    }
  }

  private func withOnes(_ shape: Shape) -> Shape {
    var result = shape
    for axis in axisMask.bits { result[axis] = 1 }
    return result
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

private func count(_ x: NDArray, _ mask: Int) -> Int {
  mask.bits.reduce(1) { $0 &* x.shape[$1] }
}
public func mean(_ x: NDArray, axes: [Int]? = nil, keepdims: Bool = false) throws(ArrayError)
  -> NDArray
{
  let mask = try x.axisMask(axes, op: "mean")
  let y = x.astype(x.dtype.inexact)
  let n = count(x, mask)
  let total = try sum(y, mask: mask, keepdims: keepdims)
  return try multiply(total, NDArray(weak: .float(1 / Double(n)), like: y.dtype))
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
  let scale = try NDArray(weak: .float(Double(Swift.max(n &- ddof, 0))), like: total.dtype)
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
  return try keepdims ? result : result.reshaped(x.reducedShape(mask, keepdims: false))
}
public func countNonzero(_ x: NDArray, axes: [Int]? = nil, keepdims: Bool = false)
  throws(ArrayError) -> NDArray
{
  try sum(x.astype(.bool), axes: axes, keepdims: keepdims)
}
