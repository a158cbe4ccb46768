// Random numbers from Threefry keys, number for number as MLX makes them.
//
// A key is two uint32. Functions without a key draw one from the global sequence, which `seed`
// starts: each draw splits the sequence's key, keeps the first half and uses the second.

import Kernels

struct RandomBits: Primitive, Codable {
  let width: Int
  var name: OperationName { "random.bits" }
  func evaluate(_ out: NDArray) throws(ArrayError) {
    let key = try out.input(0).rowContiguous()
    try out.allocate()
    if out.size == 0 { return }
    let keys = key.size / 2
    lull_random_bits(
      out.pointer.assumingMemoryBound(to: CChar.self), key.pointer(as: UInt32.self), Int64(keys),
      Int64(out.byteCount / keys))
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] { [nil] }
  /// One key an example, each for a part of the result.
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    NDArray(
      self, shape: try batch.shape(out.shape), dtype: out.dtype, batch.inputs[0])
  }
  func rebuild(_ inputs: [NDArray], like old: NodeShape) throws(ArrayError) -> NDArray {
    let key = inputs[0]
    guard key.dtype == .uint32, key.shape.last == 2, width == old.dtype.byteCount else {
      throw .argument(op: name, message: "a key is an array of two uint32")
    }
    let shape = try Shape.checked(old.shape.array, op: name)
    let (size, keys) = (shape.uncheckedElementCount, key.size / 2)
    guard size == 0 || (keys > 0 && size % keys == 0) else {
      throw .argument(op: name, message: "\(keys) keys for shape \(shape)")
    }
    return NDArray(self, shape: shape, dtype: old.dtype, key)
  }
  var passesGradient: Bool { false }
}

public enum Random {
  /// Where the global sequence's key is kept, if not here: the library shows it to programs.
  nonisolated(unsafe) public static var storage: (get: () -> NDArray?, set: (NDArray) -> Void)?
  nonisolated(unsafe) private static var ownState: NDArray?
  private static var state: NDArray? {
    get { storage.map { $0.get() } ?? ownState }
    set {
      guard let newValue else { return }
      if let storage { storage.set(newValue) } else { ownState = newValue }
    }
  }

  public static func key(_ seed: UInt64) throws(ArrayError) -> NDArray {
    let key = try NDArray(uninitialized: [2], dtype: .uint32)
    key.pointer(as: UInt32.self)[0] = UInt32(seed >> 32)
    key.pointer(as: UInt32.self)[1] = UInt32(truncatingIfNeeded: seed)
    return key
  }
  /// Starts the global sequence.
  public static func seed(_ seed: UInt64) throws(ArrayError) { state = try key(seed) }

  /// The global sequence's key, to save and restore it.
  public static func currentState() throws(ArrayError) -> NDArray {
    if let state { return state }
    let fresh = try key(UInt64.random(in: 0...UInt64.max))
    state = fresh
    return fresh
  }
  public static func restore(_ key: NDArray) throws(ArrayError) { state = try checked(key) }

  private static func checked(_ key: NDArray) throws(ArrayError) -> NDArray {
    guard key.dtype == .uint32, key.shape.last == 2, key.rank == 1 else {
      throw .argument(op: "random", message: "a key is an array of two uint32")
    }
    return key
  }
  private static func next(_ key: NDArray?) throws(ArrayError) -> NDArray {
    if let key { return try checked(key) }
    let both = try split(currentState())
    // In a trace the key may have no value yet; else nothing is gained by a long chain of keys.
    if !both.0.isTraced { try evaluate([both.0]) }
    state = both.0
    return both.1
  }

  /// Unsigned integers of 1, 2 or 4 bytes.
  public static func bits(_ shape: Shape, width: Int = 4, key: NDArray? = nil) throws(ArrayError)
    -> NDArray
  {
    guard width == 1 || width == 2 || width == 4 else {
      throw .argument(op: "random.bits", message: "width must be 1, 2 or 4, not \(width)")
    }
    let dtype: DType = width == 1 ? .uint8 : width == 2 ? .uint16 : .uint32
    _ = try shape.elementCount(op: "random.bits")
    return NDArray(RandomBits(width: width), shape: shape, dtype: dtype, try next(key))
  }
  public static func split(_ key: NDArray, count: Int) throws(ArrayError) -> NDArray {
    let shape = try Shape.checked([count, 2], op: "random.split")
    return NDArray(RandomBits(width: 4), shape: shape, dtype: .uint32, try checked(key))
  }
  public static func split(_ key: NDArray) throws(ArrayError) -> (NDArray, NDArray) {
    let both = try split(key, count: 2)
    return (
      try slice(both, axis: 0, from: 0, to: 1).reshaped([2] as Shape),
      try slice(both, axis: 0, from: 1, to: 2).reshaped([2] as Shape)
    )
  }

  /// Numbers in [low, high), the bounds broadcast to the shape.
  public static func uniform(
    low: NDArray, high: NDArray, _ shape: Shape, dtype: DType = .float32, key: NDArray? = nil
  ) throws(ArrayError) -> NDArray {
    guard dtype.isFloating else {
      throw .argument(op: "random.uniform", message: "needs a float dtype, not \(dtype.name)")
    }
    let a = low.astype(dtype)
    let range = try subtract(high.astype(dtype), a)
    guard try Shape.broadcast(shape, range.shape, op: "random.uniform") == shape else {
      throw .broadcast(op: "random.uniform", lhs: shape.array, rhs: range.shape.array)
    }
    let upper: Double =
      switch dtype {
      case .float16: Double(0.99951171875)
      case .bfloat16: 0.99609375
      default: Double(Float(1).nextDown)
      }
    let scale = try NDArray(.float(Double(UInt32.max)), dtype: .float32)
    let raw = try bits(shape, key: key).astype(.float32)
    let unit = try minimum(divide(raw, scale), NDArray(.float(upper), dtype: .float32))
    return try add(multiply(range, unit.astype(dtype)), a)
  }
  public static func uniform(
    _ low: Double = 0, _ high: Double = 1, _ shape: Shape, dtype: DType = .float32,
    key: NDArray? = nil
  ) throws(ArrayError) -> NDArray {
    try uniform(
      low: NDArray(.float(low), dtype: dtype), high: NDArray(.float(high), dtype: dtype), shape,
      dtype: dtype, key: key)
  }

  /// Numbers in (-1, 1) as float32, whatever is made of them.
  private static func symmetric(_ shape: Shape, _ key: NDArray?) throws(ArrayError) -> NDArray {
    try uniform(-Double(Float(1).nextDown), 1, shape, key: key)
  }

  public static func normal(
    _ shape: Shape, dtype: DType = .float32, loc: NDArray? = nil, scale: NDArray? = nil,
    key: NDArray? = nil
  ) throws(ArrayError) -> NDArray {
    guard dtype.isInexact else {
      throw .argument(
        op: "random.normal", message: "needs a float dtype or complex64, not \(dtype.name)")
    }
    if dtype.isComplex { return try complexNormal(shape, dtype, loc, scale, key) }
    var factor = try NDArray(.float(1.4142135623730951), dtype: dtype)
    if let scale { factor = try multiply(factor, scale.astype(dtype)) }
    let x = try multiply(factor, erfinv(symmetric(shape, key)).astype(dtype))
    guard let loc else { return x }
    return try add(loc.astype(dtype), x)
  }
  /// Real and imaginary part with half the variance each.
  private static func complexNormal(
    _ shape: Shape, _ dtype: DType, _ loc: NDArray?, _ scale: NDArray?, _ key: NDArray?
  ) throws(ArrayError) -> NDArray {
    let pairs = try Shape.checked(shape.array + [2], op: "random.normal")
    let parts = try erfinv(symmetric(pairs, key))
    var z = try squeeze(parts.view(as: .complex64), [-1]).astype(dtype)
    if let scale { z = try multiply(scale.astype(dtype), z) }
    if let loc { z = try add(loc.astype(dtype), z) }
    return z
  }
  /// Vectors with the given mean and covariance; `shape` is that of the batch.
  public static func multivariateNormal(
    mean: NDArray, covariance: NDArray, _ shape: Shape, dtype: DType = .float32,
    key: NDArray? = nil
  ) throws(ArrayError) -> NDArray {
    let op: OperationName = "random.multivariate_normal"
    guard dtype == .float32 else {
      throw .argument(op: op, message: "the dtype must be float32, not \(dtype.name)")
    }
    guard mean.rank >= 1 else {
      throw .rank(op: op, shape: [], needed: "a mean of one dimension or more")
    }
    guard covariance.rank >= 2, covariance.rows == covariance.columns else {
      throw .rank(op: op, shape: covariance.shape.array, needed: "a square covariance matrix")
    }
    let n = mean.shape[mean.rank - 1]
    guard n == covariance.columns else {
      throw .shapeMismatch(
        op: op, lhs: mean.shape.array, rhs: covariance.shape.array,
        reason: "a mean of \(n) values needs a covariance of \(n) x \(n)")
    }
    var whole = try Shape.broadcast(
      Shape(covariance.shape.prefix(covariance.rank - 2)), Shape(mean.shape.prefix(mean.rank - 1)),
      op: op)
    whole = try Shape.broadcast(whole, shape, op: op)
    guard whole.count < Shape.maxRank - 1 else {
      throw .tooManyDimensions(op: op, count: whole.count + 1)
    }
    whole.append(n)
    // The square root of the covariance, by its singular values.
    let parts = try svd(covariance.astype(.float32))
    let root = try matmul(multiply(parts.u, expandDims(sqrt(parts.s), [-2])), parts.vt)
    let z = try normal(whole, key: key)
    return try add(mean, squeeze(matmul(expandDims(z, [-2]), root), [-2]))
  }
  public static func laplace(
    _ shape: Shape, dtype: DType = .float32, loc: Double = 0, scale: Double = 1,
    key: NDArray? = nil
  ) throws(ArrayError) -> NDArray {
    guard dtype.isFloating else {
      throw .argument(op: "random.laplace", message: "needs a float dtype, not \(dtype.name)")
    }
    let u = try symmetric(shape, key)
    var x = try multiply(sign(u), log1p(negative(abs(u)))).astype(dtype)
    if scale != 1 { x = try multiply(NDArray(.float(scale), dtype: dtype), x) }
    return loc == 0 ? x : try add(NDArray(.float(loc), dtype: dtype), x)
  }
  /// Integers (or bools) in [low, high).
  public static func randint(
    low: NDArray, high: NDArray, _ shape: Shape, dtype: DType = .int32, key: NDArray? = nil
  ) throws(ArrayError) -> NDArray {
    guard !dtype.isInexact else {
      throw .argument(
        op: "random.randint", message: "needs an integer dtype or bool, not \(dtype.name)")
    }
    let u = try uniform(low: low, high: high, shape, key: key)
    // float32 may not hold the limits: the integers are held between them afterwards.
    let out = try floor(u).astype(dtype)
    let last = try subtract(high, NDArray(.int(1), dtype: high.dtype)).astype(dtype)
    return try maximum(minimum(out, last), low.astype(dtype))
  }
  /// True with probability p (broadcast to the shape).
  public static func bernoulli(_ p: NDArray, _ shape: Shape? = nil, key: NDArray? = nil)
    throws(ArrayError) -> NDArray
  {
    guard p.dtype.isFloating else {
      throw .argument(
        op: "random.bernoulli", message: "p must be a float, not \(p.dtype.name)")
    }
    let shape = shape ?? p.shape
    guard try Shape.broadcast(shape, p.shape, op: "random.bernoulli") == shape else {
      throw .broadcast(op: "random.bernoulli", lhs: shape.array, rhs: p.shape.array)
    }
    // Just above the largest draw, so that 1 is always true.
    let upper = try NDArray(.float(Double(Float(UInt32.max).nextUp)), dtype: .float32)
    return try less(bits(shape, key: key), multiply(p, upper))
  }
  public static func truncatedNormal(
    low: NDArray, high: NDArray, _ shape: Shape? = nil, dtype: DType = .float32,
    key: NDArray? = nil
  ) throws(ArrayError) -> NDArray {
    var target = try Shape.broadcast(low.shape, high.shape, op: "random.truncated_normal")
    if let shape { target = shape }
    let root = try NDArray(.float(1.4142135623730951), dtype: dtype)
    let (a, b) = (low.astype(dtype), high.astype(dtype))
    let u = try uniform(
      low: erf(divide(a, root)), high: erf(divide(b, root)), target, dtype: dtype, key: key)
    return try maximum(minimum(multiply(root, erfinv(u)), b), a)
  }
  public static func gumbel(_ shape: Shape, dtype: DType = .float32, key: NDArray? = nil)
    throws(ArrayError) -> NDArray
  {
    let u = try uniform(0, 1, shape, dtype: dtype, key: key)
    return try negative(log(negative(log(u))))
  }
  /// Indices drawn with the probabilities that unnormalised logits give along an axis.
  public static func categorical(
    _ logits: NDArray, axis: Int = -1, shape: Shape? = nil, count: Int? = nil,
    key: NDArray? = nil
  ) throws(ArrayError) -> NDArray {
    let a = axis < 0 ? axis &+ logits.rank : axis
    guard a >= 0, a < logits.rank else {
      throw .axisIndex(op: "random.categorical", axis: axis, rank: logits.rank)
    }
    if logits.size == 0 { throw .empty(op: "random.categorical", what: "a draw") }
    if shape != nil && count != nil {
      throw .argument(op: "random.categorical", message: "give shape or num_samples, not both")
    }
    // Draws from one distribution need no number of their own for each outcome.
    let single = logits.size == logits.shape[a]
    if single, let count {
      var draws = logits.shape
      draws.remove(at: a)
      draws.append(count)
      return try draw(
        from: flatten(logits), Shape.checked(draws.array, op: "random.categorical"), key)
    }
    if let count {
      // One more dimension at the end, with a draw in each place of it.
      var noise = logits.shape
      if noise.count == Shape.maxRank {
        throw .tooManyDimensions(op: "random.categorical", count: noise.count + 1)
      }
      noise.append(count)
      return try argmax(add(expandDims(logits, [-1]), gumbel(noise, key: key)), axis: a)
    }
    if let shape {
      var rest = logits.shape
      let n = rest[a]
      rest.remove(at: a)
      guard try Shape.broadcast(shape, rest, op: "random.categorical") == shape else {
        throw .broadcast(op: "random.categorical", lhs: shape.array, rhs: rest.array)
      }
      if single && shape.count > 0 { return try draw(from: flatten(logits), shape, key) }
      var full = shape
      let place = a + shape.count - rest.count
      full.insert(n, at: place)
      return try argmax(add(logits, gumbel(full, key: key)), axis: place)
    }
    if single && logits.rank > 1 {
      var shape = logits.shape
      shape.remove(at: a)
      return try draw(from: flatten(logits), shape, key)
    }
    return try argmax(add(logits, gumbel(logits.shape, key: key)), axis: a)
  }
  /// Places in the running sum of the probabilities.
  private static func draw(from logits: NDArray, _ shape: Shape, _ key: NDArray?)
    throws(ArrayError) -> NDArray
  {
    let x = logits.astype(DType.promoted(logits.dtype, .float32))
    let top = try max(x)
    // Where the largest is infinite, those that are as large share the probability.
    let weights = try `where`(isinf(top), equal(x, top).astype(x.dtype), exp(subtract(x, top)))
    let before = try cumulative(weights, .sum, axis: 0, inclusive: false)
    let u = try multiply(uniform(0, 1, shape, key: key), sum(weights))
    let place = try searchsorted(before, u, right: true)
    return try subtract(place, NDArray(.int(1), dtype: place.dtype))
  }
  /// 0 ..< n in random order.
  public static func permutation(_ n: Int, key: NDArray? = nil) throws(ArrayError) -> NDArray {
    let shape = try Shape.checked([n], op: "random.permutation")
    return try argsort(bits(shape, key: key), axis: 0)
  }
  /// The array with the slices of one axis in random order.
  public static func permutation(_ x: NDArray, axis: Int = 0, key: NDArray? = nil)
    throws(ArrayError) -> NDArray
  {
    let a = try x.axis(axis, op: "random.permutation")
    return try take(x, permutation(x.shape[a], key: key), axis: a)
  }
}
