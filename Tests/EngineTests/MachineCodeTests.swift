import Engine
import Kernels
import Testing

extension AllEngineTests {
  /// Random fused programs (dtypes, broadcasts, strides, odd lengths, many values at once) give
  /// the same bits as machine code and in the tile interpreter; float sums of long rows, which
  /// machine code adds in another order, the same but for rounding.
  @Test func machineCodeEqualsTheInterpreter() throws {
    var generator = SplitMix(state: 20_261_123)
    let before = lull_jit_compiled()
    defer { lull_set_jit(1) }
    for _ in 0..<1500 {
      let seed = generator.next()
      var results: [[NDArray]] = []
      var scale: NDArray?
      for isOn in [Int32(0), 1] {
        lull_set_jit(isOn)
        var g = SplitMix(state: seed)
        let (outputs, summed) = try randomProgram(&g)
        if let summed { scale = try sum(abs(summed), axes: [summed.rank - 1]) }
        try evaluate(outputs)
        results.append(outputs)
      }
      for (a, b) in zip(results[0], results[1]) {
        #expect(a.dtype == b.dtype && a.shape == b.shape)
        let same = try sameBits(a, b) || scale.map { try isNear(a, b, scale: $0) } ?? false
        #expect(same, "program \(seed), \(a.dtype) \(a.shape.array)")
      }
    }
    if lull_simd_level() >= 1 { #expect(lull_jit_compiled() > before + 500) }
  }
}

private struct SplitMix {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
  mutating func below(_ n: Int) -> Int { Int(next() % UInt64(n)) }
}

private func randomLeaf(_ g: inout SplitMix, _ rows: Int, _ columns: Int) throws -> NDArray {
  let dtypes: [DType] = [
    .float32, .float32, .float32, .float16, .bfloat16, .int32, .uint32, .int8, .uint8, .int16,
    .uint16, .bool,
  ]
  let dtype = dtypes[g.below(dtypes.count)]
  let special: [Float] = [
    .nan, .infinity, -.infinity, -0.0, .leastNormalMagnitude / 8, 88.8, -104, 3e38,
  ]
  func values(_ count: Int) -> [Float] {
    (0..<count).map { _ in
      if dtype.isInexact && g.below(40) == 0 { return special[g.below(special.count)] }
      return Float(g.below(4001) - 2000) / (dtype.isInexact ? 300 : 7)
    }
  }
  func made(_ shape: [Int]) throws -> NDArray {
    let x = try NDArray(values(shape.reduce(1, *))).reshaped(shape).astype(dtype)
    try x.eval()
    return x
  }
  switch g.below(8) {
  case 0: return try made([])
  case 1: return try made([1, columns])
  case 2: return try made([rows, 1])
  case 3: return try transpose(made([columns, rows]))
  case 4:
    return try slice(made([rows, columns * 2]), [SliceRange(0, rows), SliceRange(0, nil, 2)])
  case 5: return try slice(made([rows * 2, columns]), [SliceRange(1, nil, 2)])
  default: return try made([rows, columns])
  }
}

/// What to evaluate, and the values under it when it is a float sum.
private func randomProgram(_ g: inout SplitMix) throws -> ([NDArray], summed: NDArray?) {
  let rows = [1, 1, 2, 3, 17][g.below(5)]
  let columns = [1, 3, 15, 16, 17, 64, 300, 1025][g.below(8)]
  var values: [NDArray] = []
  for _ in 0..<(2 + g.below(4)) { values.append(try randomLeaf(&g, rows, columns)) }
  let steps = 1 + g.below(g.below(6) == 0 ? 50 : 9)
  for _ in 0..<steps {
    let a = values[g.below(values.count)]
    let b = values[g.below(values.count)]
    let c = values[g.below(values.count)]
    let made: NDArray
    do {
      switch g.below(37) {
      case 0...3: made = try add(a, b)
      case 4...6: made = try multiply(a, b)
      case 7, 8: made = try subtract(a, b)
      case 9: made = try divide(a, b)
      case 10: made = try maximum(a, b)
      case 11: made = try minimum(a, b)
      case 12: made = exp(a)
      case 13: made = tanh(a)
      case 14: made = try sigmoid(a)
      case 15: made = try erf(a)
      case 16: made = sqrt(a)
      case 17: made = abs(a)
      case 18: made = sign(a)
      case 19: made = square(a)
      case 20: made = try floor(a)
      case 21: made = try `where`(less(a, b), b, c)
      case 22: made = try logicalAnd(greater(a, b), notEqual(a, c))
      case 23: made = logicalNot(a)
      case 24: made = isnan(a)
      case 25: made = a.astype([.float32, .float16, .bfloat16, .int32, .uint8, .int16][g.below(6)])
      case 26: made = try bitwiseXor(a, b)
      case 27: made = try leftShift(a, b)
      case 28: made = try rightShift(a, b)
      case 29: made = rsqrt(a)
      case 30: made = try logicalOr(lessEqual(a, b), isfinite(c))
      case 31: made = try equal(a, b)
      // The same numbers as conditions and as bits.
      case 33: made = try add(`where`(logicalAnd(a, b), a, b), bitwiseAnd(a, b))
      case 34: made = try bitwiseOr(a, `where`(a, b, c))
      case 35: made = try `where`(a, b, c)
      case 32: made = try round(a)
      default: made = try negative(a)
      }
    } catch { continue }  // an operation that this dtype does not have
    values.append(made)
  }
  guard let last = values.last else { return ([], nil) }
  let summed = last.dtype.isInexact ? last : nil
  switch last.rank == 0 ? 4 : g.below(8) {
  case 0:
    let flat = try last.reshaped([-1])
    return ([try sum(flat, axes: [0])], summed == nil ? nil : flat)
  case 1: return ([try max(last, axes: [0])], nil)
  case 2: return ([try sum(last, axes: [last.rank - 1])], summed)
  case 3: return ([last, values[values.count / 2]], nil)
  case 6, 7:
    // Every row with every other: rows that stay, and memory that is read again and again.
    let x = try last.rank == 2 ? last : last.reshaped([1, -1])
    let pairs = try subtract(
      x.reshaped([x.shape[0], 1, x.shape[1]]), x.reshaped([1, x.shape[0], x.shape[1]]))
    if g.below(2) == 0 { return ([pairs], nil) }
    let squares = square(pairs)
    return ([try sum(squares, axes: [2])], summed == nil ? nil : squares)
  default: return ([last], nil)
  }
}

/// Sums that differ by rounding only; those that overflow on the way may differ.
private func isNear(_ a: NDArray, _ b: NDArray, scale: NDArray) throws -> Bool {
  guard a.dtype == .float32, scale.shape == a.shape else { return false }
  let (x, y, s) = (try a.floats(), try b.floats(), try scale.floats())
  return x.indices.allSatisfy {
    !(s[$0] < 1e37) || Swift.abs(x[$0] - y[$0]) <= 2e-6 * s[$0] + 1e-37
  }
}

/// Equal bytes; a nan is a nan, whatever its payload.
private func sameBits(_ a: NDArray, _ b: NDArray) throws -> Bool {
  let (x, y) = (try a.rowContiguous(), try b.rowContiguous())
  let count = x.byteCount
  let (p, q) = (x.pointer(as: UInt8.self), y.pointer(as: UInt8.self))
  if (0..<count).allSatisfy({ p[$0] == q[$0] }) { return true }
  guard a.dtype.isInexact else { return false }
  let (u, v) = (try a.astype(.float32).floats(), try b.astype(.float32).floats())
  return zip(u, v).allSatisfy { $0.bitPattern == $1.bitPattern || $0.isNaN && $1.isNaN }
}
