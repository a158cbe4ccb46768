// Reads reference.bin (see make_reference.py) and compares the engine with it, case by case.

import Engine
import Glibc

struct ReferenceCase {
  var name: String
  var params: [Int]
  var tolerance: Double
  var inputs: [NDArray]
  var expected: [NDArray]
  var text: String?
}

struct ReferenceReader {
  let bytes: [UInt8]
  var at = 0

  init?(path: String) {
    guard let file = fopen(path, "rb") else { return nil }
    defer { fclose(file) }
    fseek(file, 0, SEEK_END)
    let count = ftell(file)
    fseek(file, 0, SEEK_SET)
    var data = [UInt8](repeating: 0, count: count)
    guard fread(&data, 1, count, file) == count else { return nil }
    bytes = data
  }

  mutating func number<T>(_ type: T.Type) -> T {
    defer { at += MemoryLayout<T>.size }
    return bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: at, as: T.self) }
  }
  mutating func string() -> String {
    let count = Int(number(UInt32.self))
    defer { at += count }
    return String(decoding: bytes[at..<(at + count)], as: UTF8.self)
  }
  mutating func array() throws(ArrayError) -> NDArray {
    let layout = number(UInt8.self)
    let dtype = DType(rawValue: number(UInt8.self))!
    let rank = Int(number(UInt8.self))
    var shape = Shape()
    for _ in 0..<rank { shape.append(Int(number(Int64.self))) }
    let count = shape.uncheckedElementCount * dtype.byteCount
    let plain = try NDArray(uninitialized: shape, dtype: dtype)
    bytes.withUnsafeBytes {
      if count > 0 { plain.pointer.copyMemory(from: $0.baseAddress! + at, byteCount: count) }
    }
    at += count
    var result = plain
    if layout == 1 {
      result = try transpose(contiguous(transpose(plain)))
    } else if layout == 2 && rank > 0 {
      let wide = try `repeat`(plain, 2, axis: rank - 1)
      result = try slice(
        contiguous(wide),
        (0..<(rank - 1)).map { _ in SliceRange() } + [SliceRange(nil, nil, 2)])
    }
    try result.eval()
    return result
  }
  mutating func next() throws(ArrayError) -> ReferenceCase {
    let name = string()
    let params = (0..<Int(number(UInt8.self))).map { _ in Int(number(Int64.self)) }
    let tolerance = number(Double.self)
    var inputs: [NDArray] = []
    for _ in 0..<number(UInt8.self) { inputs.append(try array()) }
    var expected: [NDArray] = []
    for _ in 0..<number(UInt8.self) { expected.append(try array()) }
    let text = name.hasPrefix("text:") ? string() : nil
    return ReferenceCase(
      name: name, params: params, tolerance: tolerance, inputs: inputs, expected: expected,
      text: text)
  }
}

private func ranges(_ p: ArraySlice<Int>) -> [SliceRange] {
  let p = Array(p)
  return stride(from: 0, to: p.count, by: 3).map {
    SliceRange(p[$0], p[$0 + 1] == -3 ? nil : p[$0 + 1], p[$0 + 2])
  }
}
private func pairs(_ p: [Int]) -> [(Int, Int)] {
  stride(from: 0, to: p.count, by: 2).map { (p[$0], p[$0 + 1]) }
}

func runCase(_ c: ReferenceCase) throws(ArrayError) -> [NDArray] {
  let x = c.inputs[0]
  let p = c.params
  let axes: [Int]? = p.count > 1 ? Array(p[1...]) : nil
  let axis = axes?.first
  let keep = p.first == 1
  var y: NDArray { c.inputs[1] }
  switch c.name {
  case "negative": return [try negative(x)]
  case "abs": return [abs(x)]
  case "sign": return [sign(x)]
  case "square": return [square(x)]
  case "sqrt": return [sqrt(x)]
  case "rsqrt": return [rsqrt(x)]
  case "reciprocal": return [reciprocal(x)]
  case "exp": return [exp(x)]
  case "expm1": return [expm1(x)]
  case "log": return [log(x)]
  case "log2": return [log2(x)]
  case "log10": return [log10(x)]
  case "log1p": return [log1p(x)]
  case "sin": return [sin(x)]
  case "cos": return [cos(x)]
  case "tan": return [tan(x)]
  case "arcsin": return [arcsin(x)]
  case "arccos": return [arccos(x)]
  case "arctan": return [arctan(x)]
  case "sinh": return [sinh(x)]
  case "cosh": return [cosh(x)]
  case "tanh": return [tanh(x)]
  case "arcsinh": return [arcsinh(x)]
  case "arccosh": return [arccosh(x)]
  case "arctanh": return [arctanh(x)]
  case "sigmoid": return [try sigmoid(x)]
  case "erf": return [try erf(x)]
  case "erfinv": return [try erfinv(x)]
  case "floor": return [try floor(x)]
  case "ceil": return [try ceil(x)]
  case "round": return [try round(x)]
  case "rounded": return [try round(x, decimals: p[0])]
  case "logical_not": return [logicalNot(x)]
  case "bitwise_invert": return [try bitwiseInvert(x)]
  case "isnan": return [isnan(x)]
  case "isinf": return [isinf(x)]
  case "isfinite": return [isfinite(x)]
  case "isposinf": return [try isposinf(x)]
  case "isneginf": return [try isneginf(x)]
  case "real": return [real(x)]
  case "imag": return [try imag(x)]
  case "conjugate": return [conjugate(x)]
  case "degrees": return [try degrees(x)]
  case "radians": return [try radians(x)]
  case "nan_to_num": return [try nanToNum(x)]
  case "add": return [try add(x, y)]
  case "subtract": return [try subtract(x, y)]
  case "multiply": return [try multiply(x, y)]
  case "divide": return [try divide(x, y)]
  case "floor_divide": return [try floorDivide(x, y)]
  case "remainder": return [try remainder(x, y)]
  case "power": return [try power(x, y)]
  case "maximum": return [try maximum(x, y)]
  case "minimum": return [try minimum(x, y)]
  case "arctan2": return [try arctan2(x, y)]
  case "logaddexp": return [try logaddexp(x, y)]
  case "equal": return [try equal(x, y)]
  case "not_equal": return [try notEqual(x, y)]
  case "less": return [try less(x, y)]
  case "less_equal": return [try lessEqual(x, y)]
  case "greater": return [try greater(x, y)]
  case "greater_equal": return [try greaterEqual(x, y)]
  case "logical_and": return [try logicalAnd(x, y)]
  case "logical_or": return [try logicalOr(x, y)]
  case "logical_xor": return [try logicalXor(x, y)]
  case "bitwise_and": return [try bitwiseAnd(x, y)]
  case "bitwise_or": return [try bitwiseOr(x, y)]
  case "bitwise_xor": return [try bitwiseXor(x, y)]
  case "left_shift": return [try leftShift(x, y)]
  case "right_shift": return [try rightShift(x, y)]
  case "astype": return [x.astype(DType(rawValue: UInt8(p[0]))!)]
  case "where": return [try `where`(x, y, c.inputs[2])]
  case "sum": return [try sum(x, axes: axes, keepdims: keep)]
  case "prod": return [try prod(x, axes: axes, keepdims: keep)]
  case "max": return [try max(x, axes: axes, keepdims: keep)]
  case "min": return [try min(x, axes: axes, keepdims: keep)]
  case "all": return [try all(x, axes: axes, keepdims: keep)]
  case "any": return [try any(x, axes: axes, keepdims: keep)]
  case "mean": return [try mean(x, axes: axes, keepdims: keep)]
  case "var": return [try variance(x, axes: axes, keepdims: keep)]
  case "std": return [try std(x, axes: axes, keepdims: keep)]
  case "logsumexp": return [try logsumexp(x, axes: axes, keepdims: keep)]
  case "argmax": return [try argmax(x, axis: axis, keepdims: keep)]
  case "argmin": return [try argmin(x, axis: axis, keepdims: keep)]
  case "cumsum": return [try cumsum(x, axis: p[0], reverse: p[1] == 1, inclusive: p[2] == 1)]
  case "cumprod": return [try cumprod(x, axis: p[0], reverse: p[1] == 1, inclusive: p[2] == 1)]
  case "cummax": return [try cummax(x, axis: p[0], reverse: p[1] == 1, inclusive: p[2] == 1)]
  case "cummin": return [try cummin(x, axis: p[0], reverse: p[1] == 1, inclusive: p[2] == 1)]
  case "logcumsumexp":
    return [try logcumsumexp(x, axis: p[0], reverse: p[1] == 1, inclusive: p[2] == 1)]
  case "softmax": return [try softmax(x, axes: [p[0]])]
  case "reshape": return [try x.reshaped(p)]
  case "transpose": return [try transpose(x, p)]
  case "flatten": return [try flatten(x, from: p[0], to: p[1])]
  case "squeeze_expand": return [try expandDims(squeeze(expandDims(x, p), p), p)]
  case "moveaxis": return [try moveaxis(x, p[0], p[1])]
  case "swapaxes": return [try swapaxes(x, p[0], p[1])]
  case "broadcast": return [try x.broadcast(to: Shape(p))]
  case "concatenate": return [try concatenate(c.inputs, axis: p[0])]
  case "stack": return [try stack(c.inputs, axis: p[0])]
  case "split": return try split(x, parts: p[0], axis: p[1])
  case "pad": return [try pad(x, pairs(p))]
  case "pad_edge": return [try pad(x, pairs(p), mode: .edge)]
  case "tile": return [try tile(x, p)]
  case "repeat": return [try `repeat`(x, p[0], axis: p[1])]
  case "roll": return [try roll(x, p[0], axis: p[1])]
  case "slice":
    return [
      try slice(x, [SliceRange(nil, nil, -1), SliceRange(1, 3), SliceRange(nil, nil, 2)])
    ]
  case "slice_update": return [try sliceUpdate(x, y, ranges(p[...]))]
  case "diagonal": return [try diagonal(x, offset: p[0], axis1: p[1], axis2: p[2])]
  case "tril": return [try tril(x, k: p[0])]
  case "triu": return [try triu(x, k: p[0])]
  case "diag": return [try diag(x, k: p[0])]
  case "contiguous": return [contiguous(x)]
  default: return try runMoreCases(c)
  }
}

/// The worst difference, in units of the dtype's epsilon relative to the magnitude; nil when
/// shapes or dtypes differ or one is nan where the other is not.
func difference(_ a: NDArray, _ b: NDArray) throws(ArrayError) -> Double? {
  guard a.shape == b.shape, a.dtype == b.dtype else { return nil }
  let (p, q) = (try a.scalars(), try b.scalars())
  let eps = FloatInfo(a.dtype)?.eps ?? 0
  var worst = 0.0
  for (u, v) in zip(p, q) {
    if !a.dtype.isInexact {
      if u != v { return nil }
      continue
    }
    let scale = a.dtype.isComplex ? Swift.max(hypot(v.double, v.imaginary), 1e-3) : 1e-3
    for (x, y) in [(u.double, v.double), (u.imaginary, v.imaginary)] {
      if x == y || (x.isNaN && y.isNaN) { continue }
      if a.dtype.isComplex && (y.isNaN || y.isInfinite) { continue }
      if !x.isFinite || !y.isFinite { return nil }
      worst = Swift.max(worst, abs(x - y) / (eps * Swift.max(abs(y), scale)))
    }
  }
  return worst
}

/// Runs every case; returns a line for each that fails.
func referenceFailures(path: String) throws(ArrayError) -> (count: Int, failures: [String]) {
  guard var reader = ReferenceReader(path: path) else { return (0, ["cannot read \(path)"]) }
  let count = Int(reader.number(UInt32.self))
  var failures: [String] = []
  for i in 0..<count {
    let c = try reader.next()
    let inputs = c.inputs.map { "\($0.dtype.name)\($0.shape)" }.joined(separator: ", ")
    func fail(_ why: String) { failures.append("#\(i) \(c.name)(\(inputs)) \(c.params): \(why)") }
    do throws(ArrayError) {
      if let text = c.text {
        let found = try c.inputs[0].text()
        if found != text { fail("\n\(found)\ninstead of\n\(text)") }
        continue
      }
      let found = try runCase(c)
      if found.count != c.expected.count {
        fail("\(found.count) outputs")
        continue
      }
      for (a, b) in zip(found, c.expected) {
        try a.eval()
        guard let d = try difference(a, b) else {
          fail("found \(try a.text())\n instead of \(try b.text())\n for \(try c.inputs.first!.text())\n \(try c.inputs.last!.text())")
          continue
        }
        if d > c.tolerance { fail("off by \(d) eps, allowed \(c.tolerance)") }
      }
    } catch { fail(error.message) }
  }
  return (count, failures)
}
