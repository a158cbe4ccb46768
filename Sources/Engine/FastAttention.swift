// Attention without the score matrix (MLX's fast.scaled_dot_product_attention).
//
// q [batch, heads, queries, dim], k [batch, kvHeads, keys, dim], v [batch, kvHeads, keys, valueDim]; heads is
// a multiple of kvHeads, and query head h reads key head h / (heads / kvHeads). The result lies in memory as
// [batch, queries, heads, valueDim], so that the transpose and reshape which follow in a model copy nothing.
// `sinks` [batch or 1, heads] are scores of one more key a head, which has no value. A row whose keys are all
// hidden by a bool mask or the causal bound is the mean of the values, as in MLX.

import Kernels

struct FastAttention: Primitive, Codable {
  let scale: Float
  let causal: Bool
  let hasMask: Bool
  let hasSinks: Bool
  var name: OperationName { "scaled_dot_product_attention" }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    func denseRows(_ x: NDArray) throws(ArrayError) -> NDArray {
      x.shape[3] == 1 || x.strides[3] == 1 ? x : try x.rowContiguous()
    }
    let q = try denseRows(out.input(0))
    let k = try denseRows(out.input(1))
    let v = try denseRows(out.input(2))
    try out.allocate()
    if out.size == 0 { return }
    let (batch, heads, queries) = (q.shape[0], q.shape[1], q.shape[2])
    let (kvHeads, keys, valueDim) = (k.shape[1], k.shape[2], v.shape[3])
    if keys == 0 {
      out.pointer(as: Float.self).update(repeating: hasSinks ? 0 : .nan, count: out.size)
      return
    }
    out.strides = [queries * heads * valueDim, valueDim, heads * valueDim, 1]
    out.isRowContiguous = NDArray.isRowMajor(out.shape, out.strides)
    var base = LullAttention()
    base.keys = Int64(keys)
    base.dim = Int64(q.shape[3])
    base.value_dim = Int64(valueDim)
    base.queries = Int64(queries)
    base.q_head = Int64(q.strides[1])
    base.q_row = Int64(q.strides[2])
    base.k_row = Int64(k.strides[2])
    base.v_row = Int64(v.strides[2])
    base.out_head = Int64(valueDim)
    base.out_row = Int64(heads * valueDim)
    base.kv_type = Int32(
      k.dtype == .float32
        ? LULL_KV_FLOAT32 : k.dtype == .float16 ? LULL_KV_FLOAT16 : LULL_KV_BFLOAT16)
    base.scale = scale
    base.causal = causal ? 1 : 0
    var maskStrides = Shape(repeating: 0, count: 4)
    var mask: NDArray?
    if hasMask {
      let array = out.input(3)
      mask = array
      base.mask_kind = array.dtype == .bool ? 2 : 1
      let shift = 4 - array.rank
      for axis in 0..<array.rank where array.shape[axis] != 1 {
        maskStrides[axis + shift] = array.strides[axis]
      }
      base.mask_head = Int64(maskStrides[1])
      base.mask_row = Int64(maskStrides[2])
      base.mask_key = Int64(maskStrides[3])
    }
    let sinks = hasSinks ? out.input(hasMask ? 4 : 3) : nil
    let sinkPointer = sinks.map { UnsafePointer($0.pointer(as: Float.self)) }
    let sinkBatch = sinks.map { $0.shape[0] == 1 ? 0 : $0.strides[0] } ?? 0
    let sinkHead = sinks.map { $0.strides[1] } ?? 0
    base.sink_head = Int64(sinkHead)
    let group = heads / kvHeads
    let rowsPerHead = group * queries
    let threads = Int(lull_thread_count())
    // Four units a thread, so that an unlucky split costs little; 32 rows share a block of keys best.
    let target = (batch * heads * queries + threads * 4 - 1) / (threads * 4)
    let unitRows =
      queries == 1 && group <= 4
      ? group : max(1, min(Int(LULL_ATTENTION_ROWS), min(target, rowsPerHead)))
    let unitsPerHead = (rowsPerHead + unitRows - 1) / unitRows
    let scratchCount = (Int(lull_attention_scratch(&base, Int64(unitRows))) + 15) / 16 * 16
    let scratch = try Buffer(byteCount: threads * scratchCount * 4)
    let scratchPointer = scratch.pointer.assumingMemoryBound(to: Float.self)
    let (qp, kp, vp) = (
      q.pointer(as: Float.self), UnsafeRawPointer(k.pointer), UnsafeRawPointer(v.pointer)
    )
    let width = k.dtype.byteCount
    let op = out.pointer(as: Float.self)
    let maskPointer = mask.map { UnsafeRawPointer($0.pointer) }
    let maskBytes = mask.map { $0.dtype == .bool ? 1 : 4 } ?? 0
    let (qs, ks, vs) = (q.strides, k.strides, v.strides)
    let settings = base
    /// One key/value head and the query heads that share it, all keys.
    func head(_ b: Int, _ kvHead: Int) -> LullAttention {
      var a = settings
      a.q = UnsafePointer(qp + b * qs[0] + kvHead * group * qs[1])
      a.k = kp + (b * ks[0] + kvHead * ks[1]) * width
      a.v = vp + (b * vs[0] + kvHead * vs[1]) * width
      a.out = op + b * queries * heads * valueDim + kvHead * group * valueDim
      if let maskPointer {
        a.mask = maskPointer + (b * maskStrides[0] + kvHead * group * maskStrides[1]) * maskBytes
      }
      if let sinkPointer { a.sinks = sinkPointer + b * sinkBatch + kvHead * group * sinkHead }
      return a
    }
    // One query over many keys: they are shared out, too, and the keys are read once for a group.
    let parts = min((threads * 4 + batch * kvHeads - 1) / (batch * kvHeads), keys / 128)
    if queries == 1, group <= 4, !hasSinks, parts > 1 {
      let each = (keys + parts - 1) / parts
      let partialWidth = valueDim + 2
      let partial = try Buffer(byteCount: batch * kvHeads * parts * group * partialWidth * 4)
      let partialPointer = partial.pointer.assumingMemoryBound(to: Float.self)
      parallelFor(batch * kvHeads * parts) { chunk, worker in
        let (unit, part) = (chunk / parts, chunk % parts)
        let first = part * each
        var a = head(unit / kvHeads, unit % kvHeads)
        a.keys = Int64(max(0, min(each, keys - first)))
        a.k += first * Int(a.k_row) * width
        a.v += first * Int(a.v_row) * width
        if let mask = a.mask { a.mask = mask + first * Int(a.mask_key) * maskBytes }
        let own = partialPointer + chunk * group * partialWidth
        a.out = own
        a.out_head = Int64(valueDim)
        a.state = own + group * valueDim
        lull_attention(&a, 0, Int64(group), scratchPointer + worker * scratchCount)
      }
      for unit in 0..<batch * kvHeads {
        let own = partialPointer + unit * parts * group * partialWidth
        for row in 0..<group {
          let isVisible = lull_attention_merge(
            own + row * valueDim, Int64(group * partialWidth), own + group * valueDim + 2 * row,
            Int64(group * partialWidth), Int64(parts), Int64(valueDim),
            op + (unit / kvHeads * heads + unit % kvHeads * group + row) * valueDim)
          if isVisible == 0 {
            var a = head(unit / kvHeads, unit % kvHeads)
            lull_attention(&a, Int64(row), 1, scratchPointer)
          }
        }
      }
      return
    }
    parallelFor(batch * kvHeads * unitsPerHead) { chunk, worker in
      let unit = chunk % unitsPerHead
      let kvHead = chunk / unitsPerHead % kvHeads
      let b = chunk / unitsPerHead / kvHeads
      var a = head(b, kvHead)
      // Late queries of a causal mask have the most to do: start with them.
      let first = (unitsPerHead - 1 - unit) * unitRows
      lull_attention(
        &a, Int64(first), Int64(min(unitRows, rowsPerHead - first)),
        scratchPointer + worker * scratchCount)
    }
  }

  /// Through the scores, computed again: p = softmax(s), dv = p^T dy, ds = p (dp - sum(dp p)).
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    let (q, kvType) = (out.input(0), out.input(1).dtype)
    let (k, v) = (out.input(1).astype(.float32), out.input(2).astype(.float32))
    let (batch, heads, queries, dim) = (q.shape[0], q.shape[1], q.shape[2], q.shape[3])
    let (kvHeads, keys, valueDim) = (k.shape[1], k.shape[2], v.shape[3])
    let group = heads / kvHeads
    let factor = try NDArray.weak(.float(Double(scale)), like: .float32)
    let hidden = try NDArray.weak(
      .float(-Double(Float.greatestFiniteMagnitude)), like: .float32)
    // Query heads that share keys stand beside each other: [batch, kvHeads, group * queries, ...].
    func grouped(_ x: NDArray, _ width: Int) throws(ArrayError) -> NDArray {
      try x.reshaped([batch, kvHeads, group * queries, width])
    }
    func perHead(_ x: NDArray, _ width: Int) throws(ArrayError) -> NDArray {
      try x.reshaped([batch, heads, queries, width])
    }
    let scaledQ = try grouped(multiply(q, factor), dim)
    var scores = try perHead(matmul(scaledQ, swapaxes(k, 2, 3)), keys)
    if hasMask {
      let mask = out.input(3)
      scores =
        mask.dtype == .bool
        ? try `where`(mask, scores, hidden) : try add(scores, mask)
    }
    if causal {
      let visible = try NDArray.tri(queries, keys, k: keys - queries, dtype: .bool)
      scores = try `where`(visible, scores, hidden)
    }
    var sinkWeights: NDArray?  // [batch, heads, queries, 1]
    if hasSinks {
      let sinks = out.input(hasMask ? 4 : 3)
      let column = try sinks.reshaped([sinks.shape[0], heads, 1, 1])
        .broadcast(to: [batch, heads, queries, 1])
      scores = try concatenate([scores, column], axis: 3)
    }
    var p = try softmax(scores, axes: [-1])
    if hasSinks {
      let parts = try split(p, at: [keys], axis: 3)
      p = parts[0]
      sinkWeights = parts[1]
    }
    let dy = try grouped(cotangent, valueDim)
    let pGrouped = try grouped(p, keys)
    let dv = try matmul(swapaxes(pGrouped, 2, 3), dy)
    let dp = try perHead(matmul(dy, swapaxes(v, 2, 3)), keys)
    let mean = try sum(multiply(dp, p), axes: [-1], keepdims: true)
    let ds = try multiply(p, subtract(dp, mean))
    let dsGrouped = try grouped(ds, keys)
    let dq = try perHead(multiply(matmul(dsGrouped, k), factor), dim)
    let dk = try matmul(swapaxes(dsGrouped, 2, 3), scaledQ)
    var gradients: [NDArray?] = [dq, dk.astype(kvType), dv.astype(kvType)]
    if hasMask {
      let mask = out.input(3)
      gradients.append(mask.dtype == .bool ? nil : try ds.sumTo(mask.shape))
    }
    if let sinkWeights {
      let shape = out.input(hasMask ? 4 : 3).shape
      let each = try sum(negative(multiply(sinkWeights, mean)), axes: [2, 3], keepdims: false)
      gradients.append(try each.sumTo(shape))
    }
    return gradients
  }

  /// Examples are joined with the batch that attention has anyway.
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    func joined(_ i: Int) throws(ArrayError) -> NDArray {
      let x = try batch.full(i)
      return try x.reshaped(
        Shape([batch.size * x.shape[1]] + x.shape.dropFirst(2)))
    }
    var mask: NDArray?
    if hasMask {
      let own = batch.inputs[3]
      let batches = out.shape[0]
      let example = batch.isBatched[3] ? Shape(own.shape.dropFirst()) : own.shape
      if !batch.isBatched[3] && (example.count < 4 || example[0] == 1) {
        mask = own
      } else {
        var form = Shape(repeating: 1, count: 4 - example.count)
        for n in example { form.append(n) }
        let source = batch.isBatched[3] ? try own.reshaped(batch.shape(form)) : own
        var wide = form
        wide[0] = batches
        wide.insert(batch.size, at: 0)
        var flat = form
        flat[0] = batch.size * batches
        mask = try source.broadcast(to: wide).reshaped(flat)
      }
    }
    var sinks: NDArray?
    if hasSinks {
      let i = hasMask ? 4 : 3
      sinks = batch.inputs[i]
      let (batches, heads) = (out.shape[0], out.shape[1])
      if batch.isBatched[i] {
        let own = try batch.full(i)  // [examples, batches or 1, heads]
        sinks = try own.broadcast(to: [batch.size, batches, heads])
          .reshaped([batch.size * batches, heads])
      } else if batch.inputs[i].shape[0] != 1 {
        sinks = try batch.inputs[i].reshaped([1, batches, heads])
          .broadcast(to: [batch.size, batches, heads]).reshaped([batch.size * batches, heads])
      }
    }
    let y = try fastAttention(
      joined(0), joined(1), joined(2), scale: scale, mask: mask, causal: causal, sinks: sinks)
    return try y.reshaped(batch.shape(out.shape))
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    guard inputs.count == 3 + (hasMask ? 1 : 0) + (hasSinks ? 1 : 0) else {
      throw .argument(op: name, message: "\(inputs.count) inputs")
    }
    return try fastAttention(
      inputs[0], inputs[1], inputs[2], scale: scale, mask: hasMask ? inputs[3] : nil,
      causal: causal, sinks: hasSinks ? inputs[hasMask ? 4 : 3] : nil)
  }
}

/// softmax(scale q k^T + mask) v. `mask` is bool (false hides) or is added; it broadcasts to
/// [batch, heads, queries, keys]. `causal` lets query i see keys up to i + keys - queries. `sinks` is [heads]
/// or [batch or 1, heads]. Computed in float32, returned in the dtype q, k and v promote to.
public func fastAttention(
  _ q: NDArray, _ k: NDArray, _ v: NDArray, scale: Float, mask: NDArray? = nil,
  causal: Bool = false, sinks: NDArray? = nil
) throws(ArrayError) -> NDArray {
  let op: OperationName = "scaled_dot_product_attention"
  if let made = try Tracing.recorded(
    .attention(Double(scale), causal: causal, mask: mask != nil, sinks: sinks != nil),
    [q, k, v] + [mask, sinks].compactMap { $0 })
  {
    return made[0]
  }
  for x in [q, k, v] {
    guard x.rank == 4 else {
      throw .rank(op: op, shape: x.shape.array, needed: "[batch, heads, length, features]")
    }
    guard x.dtype.isFloating else {
      throw .dtype(op: op, found: x.dtype, needed: "floating-point arrays")
    }
  }
  func mismatch(_ a: NDArray, _ b: NDArray, _ reason: String) -> ArrayError {
    .shapeMismatch(op: op, lhs: a.shape.array, rhs: b.shape.array, reason: reason)
  }
  guard q.shape[0] == k.shape[0], k.shape[0] == v.shape[0] else {
    throw mismatch(q, k, "queries, keys and values need the same batch size")
  }
  guard q.shape[3] == k.shape[3] else {
    throw mismatch(q, k, "queries and keys need the same number of features")
  }
  guard k.shape[1] == v.shape[1], k.shape[2] == v.shape[2] else {
    throw mismatch(k, v, "keys and values need the same heads and length")
  }
  guard k.shape[1] > 0, q.shape[1] % k.shape[1] == 0 else {
    throw mismatch(q, k, "the query heads must be a multiple of the key heads")
  }
  let dtype = DType.promoted(DType.promoted(q.dtype, k.dtype), v.dtype)
  func promotes(_ x: NDArray, _ what: String) throws(ArrayError) {
    guard DType.promoted(x.dtype, dtype) == dtype else {
      throw .dtype(op: op, found: x.dtype, needed: "\(what) that promote to \(dtype.name)")
    }
  }
  // Keys and values of 16 bits are widened where they are used: those of a long context are much to read.
  let kvType: DType =
    k.dtype == v.dtype && (k.dtype == .float16 || k.dtype == .bfloat16) ? k.dtype : .float32
  var inputs = [q.astype(.float32), k.astype(kvType), v.astype(kvType)]
  if let mask {
    try promotes(mask, "masks")
    let full: Shape = [q.shape[0], q.shape[1], q.shape[2], k.shape[2]]
    guard mask.rank <= 4, try Shape.broadcast(mask.shape, full, op: op) == full else {
      throw .broadcast(op: op, lhs: mask.shape.array, rhs: full.array)
    }
    inputs.append(mask.dtype == .bool ? mask : mask.astype(.float32))
  }
  if let sinks {
    try promotes(sinks, "sinks")
    let heads = q.shape[1]
    guard
      sinks.shape == [heads] || sinks.shape == [1, heads] || sinks.shape == [q.shape[0], heads]
    else {
      throw .shapeMismatch(
        op: op, lhs: q.shape.array, rhs: sinks.shape.array, reason: "sinks need one number a head")
    }
    inputs.append(try sinks.astype(.float32).reshaped([sinks.size / max(1, heads), heads]))
  }
  return NDArray(
    FastAttention(
      scale: scale, causal: causal, hasMask: mask != nil, hasSinks: sinks != nil),
    shape: [q.shape[0], q.shape[1], q.shape[2], v.shape[3]], dtype: .float32, inputs: inputs
  ).astype(dtype)
}
