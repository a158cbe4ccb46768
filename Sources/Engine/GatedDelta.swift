// The recurrence of gated delta networks (MLX's fast.gated_delta_update).
//
// A head has a state S [Dv, Dk]. At each step S is multiplied by gamma, what it holds for the key is corrected by
// beta towards the value, and the output is what it then holds for the query:
//     S = gamma S;  S = S + beta (v - S k) k^T;  y = S q
// Where the mask is false the step does nothing, and its output is zero. Made of array operations, so that it has
// gradients: a step is five of them over all batches and heads.

/// q, k [B, T, Hk, Dk], v [B, T, Hv, Dv], gamma [B, T, Hv] or [B, T, Hv, Dk], beta [B, T, Hv], state [B, Hv, Dv, Dk],
/// mask [B, T]. Value head h reads key head h / (Hv / Hk). The outputs have q's dtype; the state is float32 at least.
public func gatedDeltaUpdate(
  _ q: NDArray, _ k: NDArray, _ v: NDArray, gamma: NDArray, beta: NDArray, state: NDArray? = nil,
  mask: NDArray? = nil
) throws(ArrayError) -> (outputs: NDArray, state: NDArray) {
  let op: OperationName = "gated_delta_update"
  for x in [q, k, v] {
    guard x.rank == 4 else {
      throw .rank(op: op, shape: x.shape.array, needed: "[batch, time, heads, features]")
    }
  }
  for x in [q, k, v, gamma, beta] {
    guard x.dtype.isFloating else {
      throw .dtype(op: op, found: x.dtype, needed: "floating-point arrays")
    }
  }
  let (batch, time, keyHeads, dim) = (q.shape[0], q.shape[1], q.shape[2], q.shape[3])
  let (heads, width) = (v.shape[2], v.shape[3])
  func expect(_ x: NDArray, _ shapes: [[Int]], _ what: String) throws(ArrayError) {
    guard shapes.contains(x.shape.array) else {
      throw .shapeMismatch(
        op: op, lhs: q.shape.array, rhs: x.shape.array,
        reason: "\(what) must have shape " + shapes.map { Shape.text($0) }.joined(separator: " or ")
      )
    }
  }
  try expect(k, [[batch, time, keyHeads, dim]], "k")
  try expect(v, [[batch, time, heads, width]], "v")
  guard keyHeads > 0, heads % keyHeads == 0 else {
    throw .shapeMismatch(
      op: op, lhs: q.shape.array, rhs: v.shape.array,
      reason: "the value heads must be a multiple of the key heads")
  }
  try expect(gamma, [[batch, time, heads], [batch, time, heads, dim]], "gamma")
  try expect(beta, [[batch, time, heads]], "beta")
  if let state { try expect(state, [[batch, heads, width, dim]], "the state") }
  if let mask { try expect(mask, [[batch, time]], "the mask") }
  if time == 0 { throw .empty(op: op, what: "the update") }

  let dtype = [k, v, gamma, beta].reduce(DType.promoted(q.dtype, .float32)) {
    DType.promoted($0, $1.dtype)
  }
  func perHead(_ x: NDArray) throws(ArrayError) -> NDArray {
    try `repeat`(x.astype(dtype), heads / keyHeads, axis: 2)
  }
  let (queries, keys, values) = (try perHead(q), try perHead(k), v.astype(dtype))
  let (decay, rate) = (gamma.astype(dtype), beta.astype(dtype))
  func step(_ x: NDArray, _ t: Int) throws(ArrayError) -> NDArray {
    try squeeze(slice(x, axis: 1, from: t, to: t + 1), [1])
  }
  let none = try NDArray.zeros([batch, heads, width, dim], dtype: dtype)
  var s = state?.astype(dtype) ?? none
  let visible = try mask.map { (m) throws(ArrayError) in
    try m.astype(.bool).reshaped([batch, time, 1, 1, 1] as Shape)
  }
  let zero = try NDArray(.int(0), dtype: dtype)
  var outputs: [NDArray] = []
  for t in 0..<time {
    let key = try expandDims(step(keys, t), [-1])  // [B, H, Dk, 1]
    let query = try expandDims(step(queries, t), [-1])
    let gate = try step(decay, t)
    let faded = try multiply(s, expandDims(gate, gate.rank == 3 ? [-2] : [-2, -1]))
    let held = try squeeze(matmul(faded, key), [-1])  // [B, H, Dv]
    let change = try multiply(subtract(step(values, t), held), expandDims(step(rate, t), [-1]))
    let next = try add(faded, multiply(expandDims(change, [-1]), swapaxes(key, -1, -2)))
    var y = try squeeze(matmul(next, query), [-1])
    if let visible {
      let now = try step(visible, t)  // [B, 1, 1, 1]
      s = try `where`(now, next, s)
      y = try `where`(squeeze(now, [-1]), y, zero)
    } else {
      s = next
    }
    outputs.append(y)
  }
  return (try stack(outputs, axis: 1).astype(q.dtype), s)
}
