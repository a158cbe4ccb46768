// Cumulative sums, products, maxima and minima along an axis.

import Kernels

struct Scan: Primitive, Codable {
  enum Kind: Int32, Codable { case sum, prod, max, min, logaddexp }
  let kind: Kind
  let axis: Int
  let reverse: Bool
  let inclusive: Bool
  var name: OperationName {
    switch kind {
    case .sum: "cumsum"
    case .prod: "cumprod"
    case .max: "cummax"
    case .min: "cummin"
    case .logaddexp: "logcumsumexp"
    }
  }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    let x = try out.input(0).rowContiguous()
    try out.allocate()
    if out.size == 0 { return }
    let n = x.shape[axis]
    let inner = (axis + 1..<x.rank).reduce(1) { $0 * x.shape[$1] }
    let outer = x.size / (n * inner)
    var scratch: Buffer?
    let bytes = Int(lull_scan_scratch(Int64(outer), Int64(n), Int64(inner)))
    if bytes > 0 { scratch = try Buffer(byteCount: bytes) }
    lull_scan(
      out.pointer, x.pointer, Int32(x.dtype.rawValue), kind.rawValue, reverse ? 1 : 0,
      inclusive ? 1 : 0, Int64(outer), Int64(n), Int64(inner), scratch?.pointer)
    withExtendedLifetime(scratch) {}
  }

  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    let x = out.input(0)
    switch kind {
    case .sum:
      return [
        try cumulative(cotangent, .sum, axis: axis, reverse: !reverse, inclusive: inclusive)
      ]
    case .logaddexp:
      // d out_j / d x_i = exp(x_i - out_j) for i <= j.
      let weights = try exp(negative(out))
      let back = try cumulative(
        multiply(cotangent, weights), .sum, axis: axis, reverse: !reverse, inclusive: inclusive)
      return [try multiply(exp(x), back)]
    case .prod:
      return [try productGradient(out, cotangent)]
    case .max, .min:
      return [try pickGradient(out, cotangent)]
    }
  }

  /// d out_j / d x_i is out_j / x_i where x_i is not zero. The first zero of a line takes the
  /// products with a one in its place; what follows it is zero. Derivatives of this gradient are
  /// right for lines with at most one zero.
  private func productGradient(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> NDArray {
    let x = out.input(0)
    func back(_ products: NDArray) throws(ArrayError) -> NDArray {
      try cumulative(
        multiply(cotangent, products), .sum, axis: axis, reverse: !reverse, inclusive: inclusive)
    }
    let (one, zero) = (try NDArray(.int(1), dtype: x.dtype), try NDArray(.int(0), dtype: x.dtype))
    let isZero = try equal(x, zero)
    let zeros = try cumulative(isZero.astype(.int64), .sum, axis: axis, reverse: reverse)
    let isFirst = try logicalAnd(isZero, equal(zeros, NDArray(.int(1), dtype: .int64)))
    let filled = try `where`(isFirst, one, x)
    let others = try cumulative(filled, .prod, axis: axis, reverse: reverse, inclusive: inclusive)
    let smooth = try divide(back(out), `where`(isZero, one, x))
    return try `where`(isFirst, back(others), `where`(isZero, zero, smooth))
  }

  /// A running extreme hands its gradient to the element that it was taken from.
  private func pickGradient(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> NDArray {
    let x = out.input(0)
    let n = x.shape[axis]
    let before = try cumulative(x, kind, axis: axis, reverse: reverse, inclusive: false)
    // Of equal elements the latest counts.
    let isNew = try kind == .max ? greaterEqual(x, before) : lessEqual(x, before)
    var line = Shape(repeating: 1, count: x.rank)
    line[axis] = n
    // Steps from the start of the scan, and the step that the present extreme came from.
    var step = try NDArray.arange(.int(0), .int(n), dtype: .int64).reshaped(line)
    let last = try NDArray(.int(n - 1), dtype: .int64)
    if reverse { step = try subtract(last, step) }
    let none = try NDArray(.int(0), dtype: .int64)
    let origin = try maximum(
      cumulative(
        `where`(isNew, step, none), .max, axis: axis, reverse: reverse, inclusive: inclusive),
      none)
    let place = try reverse ? subtract(last, origin) : origin
    let zero = try NDArray(.int(0), dtype: x.dtype)
    // An exclusive scan starts with a value that is no element.
    let g = try inclusive ? cotangent : `where`(greater(step, none), cotangent, zero)
    return try putAlongAxis(
      NDArray.zeros(x.shape, dtype: x.dtype), place, g, axis: axis, mode: .add)
  }

  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    try batch.same(
      out, Scan(kind: kind, axis: axis + 1, reverse: reverse, inclusive: inclusive))
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    try scan(inputs[0], kind, axis, reverse, inclusive, name)
  }
}

func cumulative(
  _ x: NDArray, _ kind: Scan.Kind, axis: Int, reverse: Bool = false, inclusive: Bool = true
) throws(ArrayError) -> NDArray {
  NDArray(
    Scan(kind: kind, axis: axis, reverse: reverse, inclusive: inclusive), shape: x.shape,
    dtype: x.dtype, x)
}

func scan(
  _ x: NDArray, _ kind: Scan.Kind, _ axis: Int?, _ reverse: Bool, _ inclusive: Bool,
  _ op: OperationName
) throws(ArrayError) -> NDArray {
  var y = x
  switch kind {
  case .sum: if x.dtype == .bool { y = x.astype(.int32) }
  case .logaddexp: y = x.astype(x.dtype.inexact)
  default: break
  }
  guard let axis else {
    return try cumulative(
      flatten(y), kind, axis: 0, reverse: reverse, inclusive: inclusive)
  }
  return try cumulative(
    y, kind, axis: x.axis(axis, op: op), reverse: reverse, inclusive: inclusive)
}
public func cumsum(
  _ x: NDArray, axis: Int? = nil, reverse: Bool = false, inclusive: Bool = true
) throws(ArrayError) -> NDArray { try scan(x, .sum, axis, reverse, inclusive, "cumsum") }
public func cumprod(
  _ x: NDArray, axis: Int? = nil, reverse: Bool = false, inclusive: Bool = true
) throws(ArrayError) -> NDArray { try scan(x, .prod, axis, reverse, inclusive, "cumprod") }
public func cummax(
  _ x: NDArray, axis: Int? = nil, reverse: Bool = false, inclusive: Bool = true
) throws(ArrayError) -> NDArray { try scan(x, .max, axis, reverse, inclusive, "cummax") }
public func cummin(
  _ x: NDArray, axis: Int? = nil, reverse: Bool = false, inclusive: Bool = true
) throws(ArrayError) -> NDArray { try scan(x, .min, axis, reverse, inclusive, "cummin") }
public func logcumsumexp(
  _ x: NDArray, axis: Int? = nil, reverse: Bool = false, inclusive: Bool = true
) throws(ArrayError) -> NDArray {
  try scan(x, .logaddexp, axis, reverse, inclusive, "logcumsumexp")
}
