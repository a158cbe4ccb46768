// Matrix products, the fast layer kernels and random numbers.

import Engine
import Language

public let linearFunctions: [Builtin] = [
  function(
    "matmul", "a, b, /", "linear algebra", "Matrix product; leading axes broadcast.",
    [
      ">>> mx.matmul(mx.array([[1.0, 2.0]]), mx.array([[3.0], [4.0]]))\narray([[11]], dtype=float32)"
    ]
  ) {
    let (x, y) = try $0.pair(0, 1)
    return try matmul(x, y)
  },
  function(
    "addmm", "c, a, b, /, alpha=1.0, beta=1.0", "linear algebra", "alpha * (a @ b) + beta * c.",
    [
      ">>> mx.addmm(mx.array(1.0), mx.array([[1.0, 2.0]]), mx.array([[3.0], [4.0]]))\narray([[12]], dtype=float32)"
    ]
  ) {
    try addmm($0.array(0), $0.array(1), $0.array(2), alpha: $0.double(3), beta: $0.double(4))
  },
  function(
    "inner", "a, b, /", "linear algebra", "Sum of products over the last axes.",
    [">>> mx.inner(mx.array([1.0, 2.0]), mx.array([3.0, 4.0]))\narray(11, dtype=float32)"]
  ) {
    let (x, y) = try $0.pair(0, 1)
    return try inner(x, y)
  },
  function(
    "outer", "a, b, /", "linear algebra", "All products of two vectors' elements.",
    [
      ">>> mx.outer(mx.array([1, 2]), mx.array([3, 4]))\narray([[3, 4],\n       [6, 8]], dtype=int32)"
    ]
  ) {
    let (x, y) = try $0.pair(0, 1)
    return try outer(x, y)
  },
  function(
    "tensordot", "a, b, /, axes=2", "linear algebra",
    "Sum of products over axes: a number of them, or two lists.",
    [
      ">>> mx.tensordot(mx.array([1.0, 2.0]), mx.array([3.0, 4.0]), axes=1)\narray(11, dtype=float32)"
    ]
  ) { a in
    if let n = a.args[2].intValue { return try tensordot(a.array(0), a.array(1), axes: n) }
    let pair = a.args[2].elements
    guard pair.count == 2 else {
      throw LullError.valueError("tensordot: axes must be an int or a pair of lists of axes")
    }
    let wrong = { (_: String) in LullError.typeError("tensordot: axes must be ints") }
    return try tensordot(
      a.array(0), a.array(1), axesA: intSequence(pair[0], wrong), axesB: intSequence(pair[1], wrong)
    )
  },
  function(
    "kron", "a, b", "linear algebra", "Kronecker product.",
    [">>> mx.kron(mx.array([1, 2]), mx.array([1, 10]))\narray([1, 10, 2, 20], dtype=int32)"]
  ) {
    let (x, y) = try $0.pair(0, 1)
    return try kron(x, y)
  },
  function(
    "einsum", "subscripts, *operands", "linear algebra", "Sums of products in Einstein's notation.",
    [
      ">>> mx.einsum('ij,j->i', mx.array([[1.0, 2.0], [3.0, 4.0]]), mx.array([1.0, 1.0]))\narray([3, 7], dtype=float32)"
    ]
  ) { try einsum($0.string(0), restArrays($0, 1)) },
]

public let fastFunctions: [Builtin] = [
  function(
    "cross_entropy", "logits, targets", "fast",
    "logsumexp(logits) - logits[target] over the last axis, in float32; targets are class indices.",
    [
      ">>> mx.fast.cross_entropy(mx.array([[1.0, 2.0], [3.0, 0.0]]), mx.array([1, 0]))\narray([0.313262, 0.0485873], dtype=float32)"
    ]
  ) { a in
    let (logits, targets) = (try a.array(0), try a.array(1))
    guard logits.rank >= 1, logits.dtype.isFloating else {
      throw LullError.valueError(
        "cross_entropy: logits must be floats with at least one axis, got \(logits.dtype.name) of shape \(Shape.text(logits.shape.array))"
      )
    }
    guard targets.dtype.isInteger, targets.shape.array == Array(logits.shape.array.dropLast())
    else {
      throw LullError.valueError(
        "cross_entropy: targets must be class indices of shape \(Shape.text(Array(logits.shape.array.dropLast()))), got \(targets.dtype.name) of shape \(Shape.text(targets.shape.array))"
      )
    }
    let x = logits.astype(.float32)
    let index = try expandDims(targets, [targets.rank])
    let score = try squeeze(takeAlongAxis(x, index, axis: -1), [-1])
    return try subtract(logsumexp(x, axes: [-1]), score)
  },
  function(
    "rms_norm", "x, weight, eps", "fast",
    "x / sqrt(mean(x * x) + eps) * weight over the last axis.",
    [
      ">>> mx.fast.rms_norm(mx.array([3.0, 4.0]), mx.array([1.0, 1.0]), 1e-5)\narray([0.848528, 1.13137], dtype=float32)"
    ]
  ) { try fastRMSNorm($0.array(0), weight: $0.optionalArray(1), eps: $0.float(2)) },
  function(
    "layer_norm", "x, weight, bias, eps", "fast",
    "(x - mean) / sqrt(variance + eps) * weight + bias over the last axis.",
    [
      ">>> mx.fast.layer_norm(mx.array([1.0, 3.0]), None, None, 1e-5)\narray([-0.999995, 0.999995], dtype=float32)"
    ]
  ) {
    try fastLayerNorm(
      $0.array(0), weight: $0.optionalArray(1), bias: $0.optionalArray(2), eps: $0.float(3))
  },
  function(
    "rope", "a, dims, *, traditional, base, scale, offset, freqs=None", "fast",
    "Rotary position embedding of a [..., length, features].",
    [
      ">>> mx.fast.rope(mx.ones((1, 2, 2)), 2, traditional=False, base=10000.0, scale=1.0, offset=0)\narray([[[1, 1],\n        [-0.301169, 1.38177]]], dtype=float32)"
    ]
  ) { a in
    let offset = a.args[5]
    let position = offset.intValue
    return try fastRoPE(
      a.array(0), dims: a.int(1), traditional: a.bool(2), base: a.has(3) ? a.float(3) : nil,
      scale: a.float(4), offset: position ?? 0, offsets: position == nil ? toArray(offset) : nil,
      freqs: a.optionalArray(6))
  },
  function(
    "scaled_dot_product_attention", "q, k, v, *, scale, mask=None, sinks=None", "fast",
    "softmax(scale * q @ k.T + mask) @ v for q [B, H, L, D]; mask is an array, 'causal' or None; sinks is one more score a head, of a key without a value.",
    [
      ">>> mx.fast.scaled_dot_product_attention(mx.ones((1, 1, 1, 2)), mx.ones((1, 1, 3, 2)), mx.ones((1, 1, 3, 2)), scale=1.0)\narray([[[[1, 1]]]], dtype=float32)"
    ]
  ) { a in
    var mask: NDArray?
    var causal = false
    if let name = a.args[4].stringValue {
      guard name == "causal" else {
        throw LullError.valueError("mask must be an array, 'causal' or None, not '\(name)'")
      }
      causal = true
    } else {
      mask = try a.optionalArray(4)
    }
    return try fastAttention(
      a.array(0), a.array(1), a.array(2), scale: a.float(3), mask: mask, causal: causal,
      sinks: a.optionalArray(5))
  },
  special(
    "gated_delta_update", "q, k, v, gamma, beta, initial_state=None, mask=None", "fast",
    "[outputs, final state] of the gated delta recurrence over q, k [B, T, Hk, Dk] and v [B, T, Hv, Dv].",
    [
      ">>> q = mx.ones((1, 2, 1, 2))\n>>> y, s = mx.fast.gated_delta_update(q, q, q, mx.ones((1, 2, 1)), 0.5 * mx.ones((1, 2, 1)))\n>>> y.flatten(), s.shape\n(array([1, 1, 1, 1], dtype=float32), (1, 1, 2, 2))"
    ]
  ) { a in
    let made = try gatedDeltaUpdate(
      a.array(0), a.array(1), a.array(2), gamma: a.array(3), beta: a.array(4),
      state: a.optionalArray(5), mask: a.optionalArray(6))
    return list([made.outputs, made.state])
  },
]

/// Kernels written for a GPU: the names are there and say that there is none.
private func gpuKernel(_ name: String, _ parameters: String, _ backend: String) -> Builtin {
  Builtin(
    name, "\(name)(\(parameters))", chapter: "fast",
    doc:
      "A kernel in \(backend)'s language; there is no \(backend) back-end here, so it raises RuntimeError.",
    examples: []
  ) { (a) throws(LullError) in
    throw LullError.runtime("\(name): No \(backend) back-end: this build runs on the processor")
  }
}
public let gpuKernelFunctions: [Builtin] = [
  gpuKernel(
    "metal_kernel",
    "name, input_names, output_names, source, header='', ensure_row_contiguous=True, atomic_outputs=False, **options",
    "Metal"),
  gpuKernel(
    "cuda_kernel",
    "name, input_names, output_names, source, header='', ensure_row_contiguous=True, shared_memory=0",
    "CUDA"
  ),
  gpuKernel("precompiled_cuda_kernel", "*args, **options", "CUDA"),
]

// MARK: - Random numbers

private func random(
  _ name: String, _ parameters: String, _ doc: String, _ example: String,
  _ run: @escaping (ArrayArgs) throws -> NDArray
) -> Builtin {
  function(name, parameters, "random", doc, [example], run)
}

private func shapeOrEmpty(_ a: ArrayArgs, _ i: Int) throws -> Shape {
  a.has(i) ? try a.shape(i, op: "random") : Shape()
}

public let randomFunctions: [Builtin] = [
  special(
    "seed", "seed", "random", "Seed the shared state of random numbers.",
    [">>> mx.random.seed(7)"], stream: false
  ) {
    try Random.seed(UInt64(bitPattern: Int64($0.int(0))))
    return .none
  },
  Builtin(
    "key", "key(seed)", chapter: "random", doc: "A random key for a seed.",
    examples: [">>> mx.random.key(0)\narray([0, 0], dtype=uint32)"]
  ) { (a) throws(LullError) in
    let seed = try a.int(0)
    return wrap(try engine { try Random.key(UInt64(bitPattern: Int64(seed))) })
  },
  random(
    "split", "key, num=2", "New keys out of one.",
    ">>> mx.random.split(mx.random.key(0))\narray([[4146024105, 967050713],\n       [2718843009, 1272950319]], dtype=uint32)"
  ) {
    try Random.split($0.array(0), count: $0.int(1))
  },
  random(
    "uniform", "low=0, high=1, shape=(), dtype=None, key=None",
    "Evenly distributed in [low, high).",
    ">>> mx.random.uniform(shape=(2,), key=mx.random.key(1))\narray([0.453759, 0.986534], dtype=float32)"
  ) {
    try Random.uniform(
      low: $0.array(0), high: $0.array(1), shapeOrEmpty($0, 2), dtype: $0.dtype(3) ?? .float32,
      key: $0.optionalArray(4))
  },
  random(
    "normal", "shape=(), dtype=None, loc=None, scale=None, key=None", "Normally distributed.",
    ">>> mx.random.normal((2,), key=mx.random.key(1))\narray([-0.11617, 2.21251], dtype=float32)"
  ) { a in
    func parameter(_ i: Int, _ neutral: Double) throws -> NDArray? {
      guard a.has(i) else { return nil }
      if a.args[i].doubleValue == neutral { return nil }
      return try a.array(i)
    }
    return try Random.normal(
      shapeOrEmpty(a, 0), dtype: a.dtype(1) ?? .float32, loc: parameter(2, 0),
      scale: parameter(3, 1), key: a.optionalArray(4))
  },
  random(
    "multivariate_normal", "mean, cov, shape=(), dtype=None, key=None",
    "Normally distributed vectors with a mean and a covariance matrix.",
    ">>> mx.random.multivariate_normal(mx.zeros((2,)), mx.eye(2), (3,), key=mx.random.key(1)).shape\n(3, 2)"
  ) {
    try Random.multivariateNormal(
      mean: $0.array(0), covariance: $0.array(1), shapeOrEmpty($0, 2),
      dtype: $0.dtype(3) ?? .float32,
      key: $0.optionalArray(4))
  },
  random(
    "randint", "low, high, shape=(), dtype=None, key=None", "Integers in [low, high).",
    ">>> mx.random.randint(0, 10, (3,), key=mx.random.key(1))\narray([5, 2, 8], dtype=int32)"
  ) {
    try Random.randint(
      low: $0.array(0), high: $0.array(1), shapeOrEmpty($0, 2), dtype: $0.dtype(3) ?? .int32,
      key: $0.optionalArray(4))
  },
  random(
    "bernoulli", "p=0.5, shape=None, key=None", "True with probability p.",
    ">>> mx.random.bernoulli(0.5, (3,), key=mx.random.key(1))\narray([False, True, False], dtype=bool)"
  ) {
    try Random.bernoulli(
      $0.array(0), $0.has(1) ? $0.shape(1, op: "random.bernoulli") : nil, key: $0.optionalArray(2))
  },
  random(
    "truncated_normal", "lower, upper, shape=None, dtype=None, key=None",
    "Normally distributed between two limits.",
    ">>> mx.random.truncated_normal(-1, 1, (2,), key=mx.random.key(1))\narray([-0.079213, 0.962703], dtype=float32)"
  ) {
    try Random.truncatedNormal(
      low: $0.array(0), high: $0.array(1),
      $0.has(2) ? $0.shape(2, op: "random.truncated_normal") : nil, dtype: $0.dtype(3) ?? .float32,
      key: $0.optionalArray(4))
  },
  random(
    "gumbel", "shape=(), dtype=None, key=None", "From the standard Gumbel distribution.",
    ">>> mx.random.gumbel((2,), key=mx.random.key(1))\narray([0.235482, 4.30083], dtype=float32)"
  ) {
    try Random.gumbel(shapeOrEmpty($0, 0), dtype: $0.dtype(1) ?? .float32, key: $0.optionalArray(2))
  },
  random(
    "laplace", "shape=(), dtype=None, loc=0.0, scale=1.0, key=None", "From a Laplace distribution.",
    ">>> mx.random.laplace((2,), key=mx.random.key(1))\narray([0.0970424, -3.61445], dtype=float32)"
  ) {
    try Random.laplace(
      shapeOrEmpty($0, 0), dtype: $0.dtype(1) ?? .float32, loc: $0.double(2), scale: $0.double(3),
      key: $0.optionalArray(4))
  },
  random(
    "categorical", "logits, axis=-1, shape=None, num_samples=None, key=None",
    "Indices drawn with probabilities softmax(logits).",
    ">>> mx.random.categorical(mx.zeros((2, 5)), key=mx.random.key(1))\narray([0, 2], dtype=uint32)"
  ) {
    try Random.categorical(
      $0.array(0), axis: $0.int(1), shape: $0.has(2) ? $0.shape(2, op: "random.categorical") : nil,
      count: $0.optionalInt(3), key: $0.optionalArray(4))
  },
  random(
    "permutation", "x, axis=0, key=None",
    "The ints below x, or the entries of an array's axis, shuffled.",
    ">>> mx.random.permutation(5, key=mx.random.key(1))\narray([1, 2, 4, 3, 0], dtype=uint32)"
  ) { a in
    if let n = a.args[0].intValue { return try Random.permutation(n, key: a.optionalArray(2)) }
    return try Random.permutation(a.array(0), axis: a.int(1), key: a.optionalArray(2))
  },
]
