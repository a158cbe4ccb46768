// Softmax along the last axis as one kernel; other axes are moved there.

import Kernels

struct Softmax: Primitive, Codable {
  let isLog: Bool
  var name: OperationName { isLog ? "log_softmax" : "softmax" }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    let x = try out.input(0).rowContiguous(as: .float32)
    let isDirect = out.dtype == .float32
    let result = isDirect ? out : try NDArray(uninitialized: out.shape, dtype: .float32)
    if isDirect { try out.allocate() }
    let columns = out.shape[out.rank - 1]
    if out.size > 0 {
      lull_softmax(
        result.pointer(as: Float.self), x.pointer(as: Float.self), Int64(out.size / columns),
        Int64(columns), isLog ? 1 : 0)
    }
    if !isDirect {
      let converted = try result.rowContiguous(as: out.dtype)
      out.share(converted, strides: converted.strides)
    }
  }

  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    if isLog {
      let total = try sum(cotangent, axes: [-1], keepdims: true)
      return [try subtract(cotangent, multiply(exp(out), total))]
    }
    let weighted = try multiply(cotangent, out)
    let total = try sum(weighted, axes: [-1], keepdims: true)
    return [try subtract(weighted, multiply(out, total))]
  }

  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    try batch.same(out, self)
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    try isLog ? logSoftmax(inputs[0], axes: [-1]) : softmax(inputs[0], axes: [-1])
  }
}

private func softmax(_ x: NDArray, axes: [Int], isLog: Bool, op: OperationName)
  throws(ArrayError) -> NDArray
{
  if x.rank == 0 && axes.isEmpty == false && axes != [-1] && axes != [0] {
    throw .axis(op: op, axis: axes[0], rank: 0)
  }
  let y = x.astype(x.dtype.inexact)
  if x.rank == 0 {
    return try softmax(y.reshaped([1] as Shape), axes: [0], isLog: isLog, op: op)
      .reshaped(Shape())
  }
  let mask = try x.axisMask(axes, op: op)
  if mask == 0 { return isLog ? try subtract(y, y) : try NDArray.ones(x.shape, dtype: y.dtype) }
  if mask == 1 << (x.rank - 1) && y.dtype != .float64 && !y.dtype.isComplex {
    return NDArray(Softmax(isLog: isLog), shape: y.shape, dtype: y.dtype, y)
  }
  if mask.nonzeroBitCount == 1 && y.dtype != .float64 && !y.dtype.isComplex {
    let axis = mask.trailingZeroBitCount
    let moved = try moveaxis(y, axis, -1)
    let result = NDArray(Softmax(isLog: isLog), shape: moved.shape, dtype: y.dtype, moved)
    return try moveaxis(result, -1, axis)
  }
  if isLog { return try subtract(y, logsumexp(y, axes: axes, keepdims: true)) }
  if y.size == 0 { return y }
  let e = exp(try subtract(y, stopGradient(max(y, axes: axes, keepdims: true))))
  return try divide(e, sum(e, axes: axes, keepdims: true))
}
/// exp(x) / sum(exp(x)) along the axes; float16 and bfloat16 are computed in float32.
public func softmax(_ x: NDArray, axes: [Int]? = nil, precise: Bool = true) throws(ArrayError)
  -> NDArray
{ try softmax(x, axes: axes ?? Array(0..<x.rank), isLog: false, op: "softmax") }
public func logSoftmax(_ x: NDArray, axes: [Int]? = nil) throws(ArrayError) -> NDArray {
  try softmax(x, axes: axes ?? Array(0..<x.rank), isLog: true, op: "log_softmax")
}
