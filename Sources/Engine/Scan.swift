// Cumulative sums, products, maxima and minima along an axis.

import Kernels

struct Scan: Primitive {
  enum Kind: Int32 { case sum, prod, max, min, logaddexp }
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
      // Sound for inputs without zeros, as the field has it: sum of g * out over what follows.
      let back = try cumulative(
        multiply(cotangent, out), .sum, axis: axis, reverse: !reverse, inclusive: inclusive)
      return [try divide(back, x)]
    case .max, .min:
      throw .notDifferentiable(op: name, reason: "it only picks elements")
    }
  }
}

func cumulative(
  _ x: NDArray, _ kind: Scan.Kind, axis: Int, reverse: Bool = false, inclusive: Bool = true
) throws(ArrayError) -> NDArray {
  NDArray(
    Scan(kind: kind, axis: axis, reverse: reverse, inclusive: inclusive), shape: x.shape,
    dtype: x.dtype, x)
}

private func scan(
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
