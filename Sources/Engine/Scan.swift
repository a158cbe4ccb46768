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
    case .logaddexp: return [try logGradient(x, cotangent)]
    case .prod: return [try productGradient(x, cotangent)]
    case .max, .min:
      return [try pickGradient(out, cotangent)]
    }
  }

  /// d out_j / d x_i is the product of the others up to j: p_i s_i, with the product p_i of what is before i
  /// and s_i = g_i + x_{i+1} s_{i+1}. Nothing is divided by: zeros are fine, in every derivative.
  private func productGradient(_ x: NDArray, _ cotangent: NDArray) throws(ArrayError) -> NDArray {
    let (y, g) = (try forward(conjugate(x)), try fromInclusive(cotangent))
    let before = try cumulative(y, .prod, axis: axis, inclusive: false)
    let after = try recurrence(g, shifted(y, 1))
    return try forward(multiply(before, after))
  }

  /// d out_j / d x_i is exp(x_i - out_j) for i up to j: exp(x_i - out_i) s_i, with
  /// s_i = g_i + exp(out_i - out_{i+1}) s_{i+1}. No factor passes one, so nothing overflows.
  private func logGradient(_ x: NDArray, _ cotangent: NDArray) throws(ArrayError) -> NDArray {
    let (y, g) = (try forward(x), try fromInclusive(cotangent))
    let out = try cumulative(y, .logaddexp, axis: axis)
    let zero = try NDArray(.int(0), dtype: out.dtype)
    /// exp(a - b) of sums of which the first is a part of the second.
    func ratio(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> NDArray {
      // Nothing added up yet: its part of anything is nothing.
      let none = try equal(a, .weak(.float(-.infinity), like: out.dtype))
      return try `where`(none, zero, exp(subtract(`where`(none, zero, a), `where`(none, zero, b))))
    }
    let n = out.shape[axis]
    var factors = try NDArray.zeros(out.shape, dtype: out.dtype)
    if n > 1 {
      var last = out.shape
      last[axis] = 1
      factors = try concatenate(
        [
          ratio(slice(out, axis: axis, from: 0, to: n - 1), slice(out, axis: axis, from: 1, to: n)),
          NDArray.zeros(last, dtype: out.dtype),
        ], axis: axis)
    }
    let after = try recurrence(g, factors)
    return try forward(multiply(ratio(y, out), after))
  }

  /// The line in the direction of the scan, and back.
  private func forward(_ x: NDArray) throws(ArrayError) -> NDArray {
    reverse ? try flip(x, axes: [axis]) : x
  }
  /// The cotangent as that of an inclusive scan, in the scan's direction.
  private func fromInclusive(_ cotangent: NDArray) throws(ArrayError) -> NDArray {
    let g = try forward(cotangent)
    return inclusive ? g : try shifted(g, 1)
  }
  /// x_{i+d}, zero past the end.
  private func shifted(_ x: NDArray, _ d: Int) throws(ArrayError) -> NDArray {
    let n = x.shape[axis]
    if d >= n { return try NDArray.zeros(x.shape, dtype: x.dtype) }
    var rest = x.shape
    rest[axis] = d
    return try concatenate(
      [slice(x, axis: axis, from: d, to: n), NDArray.zeros(rest, dtype: x.dtype)], axis: axis)
  }
  /// s_i = g_i + a_i s_{i+1}, by doubling: log n steps over whole lines, linear in g.
  private func recurrence(_ g: NDArray, _ factors: NDArray) throws(ArrayError) -> NDArray {
    var (s, a) = (g, factors)
    var d = 1
    while d < g.shape[axis] {
      s = try add(s, multiply(a, shifted(s, d)))
      if d * 2 < g.shape[axis] { a = try multiply(a, shifted(a, d)) }
      d *= 2
    }
    return s
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
