// Normalisations as single kernels (MLX's fast.rms_norm and fast.layer_norm), float32 inside.

import Kernels

struct FastRMSNorm: Primitive, Codable {
  let eps: Float
  let hasWeight: Bool
  var name: OperationName { "rms_norm" }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    let x = try out.input(0).rowContiguous()
    let weight = hasWeight ? try out.input(1).rowContiguous() : nil
    try out.allocate()
    let n = x.shape[x.rank - 1]
    if out.size == 0 { return }
    let rows = x.size / n
    let (from, to) = (x.pointer(as: Float.self), out.pointer(as: Float.self))
    let w = weight.map { UnsafePointer($0.pointer(as: Float.self)) }
    let perChunk = max(1, 32768 / n)
    parallelFor((rows + perChunk - 1) / perChunk) { chunk, _ in
      let first = chunk * perChunk
      lull_rms_norm(
        from + first * n, Int64(n), w, eps, Int64(min(perChunk, rows - first)), Int64(n),
        to + first * n)
    }
  }

  /// With n = x r, r = 1/rms: dx = r (g - n mean(g n)), g = dy w; dw = sum of dy n over rows.
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    let x = out.input(0)
    let r = try rsqrt(
      add(
        mean(square(x), axes: [-1], keepdims: true),
        try NDArray.weak(.float(Double(eps)), like: .float32)))
    let normal = try multiply(x, r)
    let g = hasWeight ? try multiply(cotangent, out.input(1)) : cotangent
    let shared = try mean(multiply(g, normal), axes: [-1], keepdims: true)
    let dx = try multiply(r, subtract(g, multiply(normal, shared)))
    if !hasWeight { return [dx] }
    return [dx, try multiply(cotangent, normal).sumTo(out.input(1).shape)]
  }

  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    if !hasWeight || !batch.isBatched[1] {
      return try fastRMSNorm(
        batch.full(0), weight: hasWeight ? batch.inputs[1] : nil, eps: eps)
    }
    let normal = try fastRMSNorm(batch.full(0), weight: nil, eps: eps)
    return try multiply(normal, batch.aligned(1, rank: out.rank))
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    guard inputs.count == (hasWeight ? 2 : 1) else {
      throw .argument(op: name, message: "\(inputs.count) inputs")
    }
    return try fastRMSNorm(inputs[0], weight: hasWeight ? inputs[1] : nil, eps: eps)
  }
}

struct FastLayerNorm: Primitive, Codable {
  let eps: Float
  let hasWeight: Bool
  let hasBias: Bool
  var name: OperationName { "layer_norm" }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    let x = try out.input(0).rowContiguous()
    let weight = hasWeight ? try out.input(1).rowContiguous() : nil
    let bias = hasBias ? try out.input(hasWeight ? 2 : 1).rowContiguous() : nil
    try out.allocate()
    let n = x.shape[x.rank - 1]
    if out.size == 0 { return }
    let rows = x.size / n
    let (from, to) = (x.pointer(as: Float.self), out.pointer(as: Float.self))
    let w = weight.map { UnsafePointer($0.pointer(as: Float.self)) }
    let b = bias.map { UnsafePointer($0.pointer(as: Float.self)) }
    let perChunk = max(1, 32768 / n)
    parallelFor((rows + perChunk - 1) / perChunk) { chunk, _ in
      let first = chunk * perChunk
      lull_layer_norm(
        from + first * n, Int64(n), w, b, eps, Int64(min(perChunk, rows - first)), Int64(n),
        to + first * n)
    }
  }

  /// With n = (x - mean) r: dx = r (g - mean(g) - n mean(g n)), g = dy w; dw = sum dy n; db = sum dy.
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    let x = out.input(0)
    let centred = try subtract(x, mean(x, axes: [-1], keepdims: true))
    let r = try rsqrt(
      add(
        mean(square(centred), axes: [-1], keepdims: true),
        try NDArray.weak(.float(Double(eps)), like: .float32)))
    let normal = try multiply(centred, r)
    let g = hasWeight ? try multiply(cotangent, out.input(1)) : cotangent
    let shared = try mean(multiply(g, normal), axes: [-1], keepdims: true)
    let dx = try multiply(
      r,
      subtract(
        subtract(g, mean(g, axes: [-1], keepdims: true)), multiply(normal, shared)))
    var gradients: [NDArray?] = [dx]
    if hasWeight {
      gradients.append(try multiply(cotangent, normal).sumTo(out.input(1).shape))
    }
    if hasBias { gradients.append(try cotangent.sumTo([x.shape[x.rank - 1]])) }
    return gradients
  }

  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    if !batch.isBatched.dropFirst().contains(true) {
      return try normal(batch.full(0), batch.inputs)
    }
    var y = try fastLayerNorm(batch.full(0), weight: nil, bias: nil, eps: eps)
    if hasWeight { y = try multiply(y, batch.aligned(1, rank: out.rank)) }
    if hasBias { y = try add(y, batch.aligned(hasWeight ? 2 : 1, rank: out.rank)) }
    return y
  }
  private func normal(_ x: NDArray, _ inputs: [NDArray]) throws(ArrayError) -> NDArray {
    try fastLayerNorm(
      x, weight: hasWeight ? inputs[1] : nil, bias: hasBias ? inputs[hasWeight ? 2 : 1] : nil,
      eps: eps)
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    guard inputs.count == 1 + (hasWeight ? 1 : 0) + (hasBias ? 1 : 0) else {
      throw .argument(op: name, message: "\(inputs.count) inputs")
    }
    return try normal(inputs[0], inputs)
  }
}

private func checkNorm(_ op: OperationName, _ x: NDArray, _ parameters: [NDArray?])
  throws(ArrayError)
{
  guard x.rank > 0 else { throw .rank(op: op, shape: [], needed: "at least one dimension") }
  guard x.dtype.isFloating else {
    throw .dtype(op: op, found: x.dtype, needed: "a floating-point array")
  }
  let n = x.shape[x.rank - 1]
  for parameter in parameters {
    guard let parameter else { continue }
    guard parameter.rank == 1, parameter.shape[0] == n else {
      throw .shapeMismatch(
        op: op, lhs: x.shape.array, rhs: parameter.shape.array,
        reason: "weight and bias must have the length \(n) of the last axis")
    }
  }
}

/// x / rms(x) over the last axis, times `weight` [n]. Computed in float32, returned in x's dtype.
public func fastRMSNorm(_ x: NDArray, weight: NDArray?, eps: Float) throws(ArrayError) -> NDArray {
  try checkNorm("rms_norm", x, [weight])
  var inputs = [x.astype(.float32)]
  if let weight { inputs.append(weight.astype(.float32)) }
  return NDArray(
    FastRMSNorm(eps: eps, hasWeight: weight != nil), shape: x.shape, dtype: .float32,
    inputs: inputs
  ).astype(x.dtype)
}

/// (x - mean) / sqrt(variance + eps) over the last axis, times `weight`, plus `bias` (both [n]).
public func fastLayerNorm(_ x: NDArray, weight: NDArray?, bias: NDArray?, eps: Float)
  throws(ArrayError) -> NDArray
{
  try checkNorm("layer_norm", x, [weight, bias])
  var inputs = [x.astype(.float32)]
  if let weight { inputs.append(weight.astype(.float32)) }
  if let bias { inputs.append(bias.astype(.float32)) }
  return NDArray(
    FastLayerNorm(eps: eps, hasWeight: weight != nil, hasBias: bias != nil), shape: x.shape,
    dtype: .float32, inputs: inputs
  ).astype(x.dtype)
}
