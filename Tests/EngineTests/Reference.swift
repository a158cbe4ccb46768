// Reads reference.bin (see make_reference.py) and compares the engine with it, case by case.

import Engine
import Glibc

struct ReferenceCase {
  var name: String
  var params: [Int]
  var tolerance: Double
  var inputs: [NDArray]
  var expected: [Expected]
  var text: String?

  struct Expected {
    /// All values, or samples of them (`isSampled`) for an output of `shape`.
    var values: NDArray
    var shape: Shape
    var isSampled: Bool
  }
}

struct ReferenceReader {
  private let bytes: [UInt8]
  private var at = 0
  private var arrays: [NDArray] = []
  private var views: [Int: NDArray] = [:]
  private var strings: [String] = []
  private(set) var caseCount = 0

  init?(path: String) throws(ArrayError) {
    guard let file = fopen(path, "rb") else { return nil }
    defer { fclose(file) }
    fseek(file, 0, SEEK_END)
    let count = ftell(file)
    fseek(file, 0, SEEK_SET)
    var data = [UInt8](repeating: 0, count: count)
    guard fread(&data, 1, count, file) == count else { return nil }
    bytes = data
    for _ in 0..<number() {
      let (dtype, shape) = header()
      let byteCount = shape.reduce(dtype.byteCount, *)
      let array = try NDArray(uninitialized: shape, dtype: dtype)
      bytes.withUnsafeBytes {
        array.pointer.copyMemory(from: $0.baseAddress.unsafelyUnwrapped + at, byteCount: byteCount)
      }
      at += byteCount
      arrays.append(array)
    }
    for _ in 0..<number() {
      let count = number()
      strings.append(String(decoding: bytes[at..<(at + count)], as: UTF8.self))
      at += count
    }
    caseCount = number()
  }

  private mutating func number() -> Int {
    var (result, shift) = (0, 0)
    while true {
      let byte = Int(bytes[at])
      at += 1
      result |= (byte & 127) << shift
      if byte < 128 { return result }
      shift += 7
    }
  }
  private mutating func signed() -> Int {
    let n = number()
    return n & 1 == 0 ? n >> 1 : -(n >> 1) - 1
  }
  private mutating func header() -> (DType, Shape) {
    let dtype = DType(rawValue: UInt8(number())).unsafelyUnwrapped
    var shape = Shape()
    for _ in 0..<number() { shape.append(number()) }
    return (dtype, shape)
  }
  private mutating func input() throws(ArrayError) -> NDArray {
    let layout = Int(bytes[at])
    at += 1
    let index = number()
    if let made = views[index * 4 + layout] { return made }
    let plain = arrays[index]
    var result = plain
    if layout == 1 {
      result = try transpose(contiguous(transpose(plain)))
    } else if layout == 2 && plain.rank > 0 {
      let wide = try `repeat`(plain, 2, axis: plain.rank - 1)
      result = try slice(
        contiguous(wide),
        (0..<(plain.rank - 1)).map { _ in SliceRange() } + [SliceRange(nil, nil, 2)])
    }
    try result.eval()
    views[index * 4 + layout] = result
    return result
  }
  mutating func next() throws(ArrayError) -> ReferenceCase {
    let name = strings[number()]
    var params: [Int] = []
    for _ in 0..<number() { params.append(signed()) }
    let bits = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: at, as: UInt32.self) }
    at += 4
    var inputs: [NDArray] = []
    for _ in 0..<number() { inputs.append(try input()) }
    var expected: [ReferenceCase.Expected] = []
    for _ in 0..<number() {
      let index = number()
      if index > 0 {
        let values = arrays[index - 1]
        expected.append(.init(values: values, shape: values.shape, isSampled: false))
      } else {
        let shape = header().1
        expected.append(.init(values: arrays[number()], shape: shape, isSampled: true))
      }
    }
    let text = number()
    return ReferenceCase(
      name: name, params: params, tolerance: Double(Float(bitPattern: bits)), inputs: inputs,
      expected: expected, text: text > 0 ? strings[text - 1] : nil)
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
  case "astype": return [x.astype(DType(rawValue: UInt8(p[0])).unsafelyUnwrapped)]
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

/// The worst difference, in units of the dtype's epsilon relative to the magnitude (of the
/// largest value when the tolerance is negative); nil when shapes or dtypes differ or one is nan
/// where the other is not.
func difference(_ a: NDArray, _ b: ReferenceCase.Expected, _ tolerance: Double)
  throws(ArrayError) -> Double?
{
  guard a.shape == b.shape, a.dtype == b.values.dtype else { return nil }
  var p = try a.scalars()
  let q = try b.values.scalars()
  if b.isSampled {
    let all = p
    p = q.indices.map { all[$0 * (all.count - 1) / (q.count - 1)] }
  }
  let eps = FloatInfo(a.dtype)?.eps ?? 0
  var floor = 1e-3
  if tolerance < 0 {
    for v in q where v.double.isFinite { floor = Swift.max(floor, hypot(v.double, v.imaginary)) }
  }
  var worst = 0.0
  for (u, v) in zip(p, q) {
    if !a.dtype.isInexact {
      if u != v { return nil }
      continue
    }
    let scale = a.dtype.isComplex ? Swift.max(hypot(v.double, v.imaginary), floor) : floor
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
  guard var reader = try ReferenceReader(path: path) else { return (0, ["cannot read \(path)"]) }
  var failures: [String] = []
  for i in 0..<reader.caseCount {
    let c = try reader.next()
    func fail(_ why: String) {
      let inputs = c.inputs.map { "\($0.dtype.name)\($0.shape)" }.joined(separator: ", ")
      failures.append("#\(i) \(c.name)(\(inputs)) \(c.params): \(why)")
    }
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
        guard let d = try difference(a, b, c.tolerance) else {
          fail("found \(try a.text()), expected \(try b.values.text())")
          continue
        }
        if d > abs(c.tolerance) { fail("off by \(d) eps, allowed \(c.tolerance)") }
      }
    } catch { fail(error.message) }
  }
  return (reader.caseCount, failures)
}
