import Foundation
import Testing

@testable import Engine

/// Every primitive under every transform: vmap against a loop, jvp against vjp, compiled against plain,
/// exported and read again against plain. The elementwise cases are made from the list of operations.
extension AllEngineTests {
  struct Input: Sendable {
    var shape: Shape
    var low = 0.15
    var high = 0.85
    /// A dtype that the case's own does not change: positions, keys.
    var fixed: DType?
    init(_ shape: Shape, _ low: Double = 0.15, _ high: Double = 0.85, fixed: DType? = nil) {
      (self.shape, self.low, self.high, self.fixed) = (shape, low, high, fixed)
    }
    /// Different values for each seed.
    func array(_ dtype: DType, _ seed: Int) throws -> NDArray {
      let n = shape.reduce(1, *)
      let type = fixed ?? dtype
      // Whole numbers get a range of their own, so that they are not all zero.
      var (a, b) = (low, high)
      if !type.isInexact && fixed == nil { (a, b) = type == .bool ? (0, 2) : (1, 7) }
      var values: [Double] = []
      for i in 0..<n {
        let place = Double((i * 31 + seed * 17 + 5) % 97) + 0.5
        let value: Double = a + (b - a) * place / 97
        values.append(type.isInexact ? value : value.rounded(.down))
      }
      return try NDArray(values, shape: shape, dtype: type)
    }
  }

  struct TransformCase: Sendable, CustomTestStringConvertible {
    var name: String
    var inputs: [Input]
    var dtypes: [DType] = [.float32]
    /// Which inputs have gradients.
    var isSmooth = true
    var function: @Sendable ([NDArray]) throws(ArrayError) -> [NDArray]
    init(
      _ name: String, _ inputs: [Input], _ dtypes: [DType] = [.float32, .float64],
      isSmooth: Bool = true,
      _ function: @escaping @Sendable ([NDArray]) throws(ArrayError) -> [NDArray]
    ) {
      (self.name, self.inputs, self.dtypes, self.isSmooth) = (name, inputs, dtypes, isSmooth)
      self.function = function
    }
    var testDescription: String { name }
  }

  static let everyDType = DType.allCases
  static let realFloats: [DType] = [.float16, .bfloat16, .float32, .float64]

  static let transformCases: [TransformCase] = elementwiseCases + primitiveCases

  static let elementwiseCases: [TransformCase] = {
    var cases: [TransformCase] = []
    var raw: UInt8 = 1
    while let op = ElementwiseOp(rawValue: raw) {
      raw += 1
      if op == .copy { continue }
      let (low, high): (Double, Double) = op == .arccosh ? (1.2, 3) : (0.15, 0.85)
      var inputs = [Input([2, 3], low, high), Input([3], low, high), Input([2, 1], low, high)]
      if op == .select { inputs[0].fixed = .bool; (inputs[0].low, inputs[0].high) = (0, 2) }
      inputs = Array(inputs.prefix(op.inputCount))
      cases.append(
        TransformCase("elementwise \(op.name)", inputs, everyDType) { (x) throws(ArrayError) in
          [try op.rebuild(x, dtype: op == .cast ? .float32 : x[0].dtype)]
        })
    }
    return cases
  }()

  static let matrix = Input([3, 4])
  static func positions(_ shape: Shape, below n: Int) -> Input {
    Input(shape, 0, Double(n), fixed: .int64)
  }

  static let primitiveCases: [TransformCase] = {
    typealias Case = TransformCase
    var list: [Case] = [
      Case("reshape", [matrix], everyDType) { (x) throws(ArrayError) in
        [try x[0].reshaped([2, -1])]
      },
      Case("flatten", [Input([2, 3, 2])]) { (x) throws(ArrayError) in [try flatten(x[0], from: 1)]
      },
      Case("unflatten", [Input([2, 6])]) { (x) throws(ArrayError) in
        [try unflatten(x[0], axis: 1, shape: [3, -1])]
      },
      Case("expand_dims and squeeze", [matrix]) { (x) throws(ArrayError) in
        [try squeeze(expandDims(x[0], [0, 2]), [0])]
      },
      Case("transpose", [Input([2, 3, 4])], everyDType) { (x) throws(ArrayError) in
        [try transpose(x[0], [2, 0, 1])]
      },
      Case("broadcast_to", [Input([3, 1])], everyDType) { (x) throws(ArrayError) in
        [try x[0].broadcast(to: [2, 3, 4])]
      },
      Case("slice", [matrix], everyDType) { (x) throws(ArrayError) in
        [try slice(x[0], [SliceRange(1, nil), SliceRange(nil, nil, -2)])]
      },
      Case("slice_update", [matrix, Input([2, 2])], everyDType) { (x) throws(ArrayError) in
        [try sliceUpdate(x[0], x[1], [SliceRange(0, 2), SliceRange(1, nil, 2)])]
      },
      Case("as_strided", [matrix]) { (x) throws(ArrayError) in
        [try asStrided(x[0], shape: [3, 3], strides: [1, 2], offset: 2)]
      },
      Case("view", [matrix], [.float32, .int32], isSmooth: false) { (x) throws(ArrayError) in
        [try x[0].view(as: .uint16)]
      },
      Case("contiguous", [matrix], everyDType) { (x) throws(ArrayError) in
        let y = try transpose(x[0])
        return [contiguous(y)]
      },
      Case("slice at positions", [Input([5, 4]), positions([2], below: 2)], everyDType) {
        (x) throws(ArrayError) in
        [try slice(x[0], at: x[1], [0, 1], size: [3, 2])]
      },
      Case(
        "slice_update at a position", [Input([5, 4]), Input([5, 2]), positions([1], below: 2)]
      ) {
        (x) throws(ArrayError) in
        [try sliceUpdate(x[0], x[1], at: x[2], [1])]
      },
      Case("concatenate", [matrix, Input([3, 2])], everyDType) { (x) throws(ArrayError) in
        [try concatenate(x, axis: 1)]
      },
      Case("take", [Input([5, 3]), positions([2, 2], below: 5)], everyDType) {
        (x) throws(ArrayError) in
        [try take(x[0], x[1], axis: 0)]
      },
      Case(
        "take, two index arrays",
        [Input([5, 4, 3]), positions([2], below: 5), positions([2], below: 4)]
      ) {
        (x) throws(ArrayError) in [try x[0].at([.array(x[1]), .array(x[2])])]
      },
      Case("take_along_axis", [matrix, positions([3, 2], below: 4)], everyDType) {
        (x) throws(ArrayError) in [try takeAlongAxis(x[0], x[1], axis: 1)]
      },
      Case("put_along_axis", [matrix, positions([3, 1], below: 4), Input([3, 1])]) {
        (x) throws(ArrayError) in [try putAlongAxis(x[0], x[1], x[2], axis: 1)]
      },
      Case("matmul", [matrix, Input([4, 2])], realFloats + [.complex64, .complex128, .int32]) {
        (x) throws(ArrayError) in [try matmul(x[0], x[1])]
      },
      Case("matmul, batched", [Input([2, 1, 3, 4]), Input([3, 4, 2])]) { (x) throws(ArrayError) in
        [try matmul(x[0], x[1])]
      },
      Case("matmul, vectors", [Input([4]), Input([4])]) { (x) throws(ArrayError) in
        [try matmul(x[0], x[1])]
      },
      Case("softmax", [matrix], realFloats) { (x) throws(ArrayError) in
        [try softmax(x[0], axes: [-1]), try logSoftmax(x[0], axes: [0])]
      },
      Case("sort", [matrix], everyDType.filter { !$0.isComplex }) { (x) throws(ArrayError) in
        [try sort(x[0], axis: 0), try argsort(x[0], axis: -1).astype(.int32)]
      },
      Case("searchsorted", [Input([6]), Input([2, 2])], isSmooth: false) { (x) throws(ArrayError) in
        [try searchsorted(sort(x[0]), x[1], right: true)]
      },
      Case("random.bits", [Input([2], 0, 90, fixed: .uint32)], isSmooth: false) {
        (x) throws(ArrayError) in
        [try Random.bits([3, 2], key: x[0]), try Random.uniform(0, 1, [5], key: x[0])]
      },
      Case("element_count", [matrix], isSmooth: false) { (x) throws(ArrayError) in
        [NDArray(ElementCount(axisMask: 2), shape: [], dtype: .float32, x[0]).astype(x[0].dtype)]
      },
      Case("sum_like", [matrix, Input([1, 4])]) { (x) throws(ArrayError) in
        [NDArray(SumLike(), shape: x[1].shape, dtype: x[0].dtype, x[0], x[1])]
      },
      Case("depends", [matrix, Input([2])], everyDType) { (x) throws(ArrayError) in
        let y = depends([x[0]], on: [x[1]])
        return y
      },
      Case("rms_norm", [matrix, Input([4])], [.float32]) { (x) throws(ArrayError) in
        [
          try fastRMSNorm(x[0], weight: x[1], eps: 1e-5),
          try fastRMSNorm(x[0], weight: nil, eps: 1e-5),
        ]
      },
      Case("layer_norm", [matrix, Input([4]), Input([4])], [.float32]) { (x) throws(ArrayError) in
        [
          try fastLayerNorm(x[0], weight: x[1], bias: x[2], eps: 1e-5),
          try fastLayerNorm(x[0], weight: nil, bias: x[2], eps: 1e-5),
        ]
      },
      Case("rope", [Input([2, 3, 4])], [.float32]) { (x) throws(ArrayError) in
        [
          try fastRoPE(x[0], dims: 4, traditional: false, base: 100, scale: 1, offset: 2),
          try fastRoPE(x[0], dims: 2, traditional: true, base: 100, scale: 1, offset: 0),
        ]
      },
      Case("rope, positions", [Input([2, 3, 4]), Input([2], 0, 9, fixed: .int32)], [.float32]) {
        (x) throws(ArrayError) in
        [
          try fastRoPE(
            x[0], dims: 4, traditional: false, base: 100, scale: 1, offset: 0, offsets: x[1])
        ]
      },
      Case("rope, frequencies", [Input([3, 4]), Input([2])], [.float32], isSmooth: false) {
        (x) throws(ArrayError) in
        [
          try fastRoPE(
            x[0], dims: 4, traditional: false, base: nil, scale: 1, offset: 1, freqs: x[1])
        ]
      },
      Case(
        "scaled_dot_product_attention",
        [Input([2, 2, 3, 4]), Input([2, 1, 5, 4]), Input([2, 1, 5, 2])],
        [.float32]
      ) { (x) throws(ArrayError) in [try fastAttention(x[0], x[1], x[2], scale: 0.5, causal: true)]
      },
      Case(
        "scaled_dot_product_attention, mask",
        [Input([2, 2, 3, 4]), Input([2, 2, 5, 4]), Input([2, 2, 5, 2]), Input([2, 1, 3, 5])],
        [.float32]
      ) { (x) throws(ArrayError) in [try fastAttention(x[0], x[1], x[2], scale: 0.5, mask: x[3])] },
      Case(
        "quantize and its uses", [Input([3, 64]), Input([2, 64]), positions([2], below: 3)],
        [.float32], isSmooth: false
      ) {
        (x) throws(ArrayError) in
        let (codes, scales, biases) = try quantize(x[0], group: 32, bits: 4)
        let weight = try QuantizedWeight(
          codes: codes, scales: scales, biases: biases, group: 32, bits: 4, mode: "affine")
        return [
          try quantizedMatmul(x[1], weight), try quantizedTake(weight, x[2]),
          try dequantize(weight), scales,
        ]
      },
      Case("index under a mask", [Input([4], 0, 2, fixed: .bool), Input([4])], isSmooth: false) {
        (x) throws(ArrayError) in
        [try maskedScatter(x[1], x[0], x[1])]
      },
      Case("several outputs, one unused", [matrix, Input([2])]) { (x) throws(ArrayError) in
        let y = try multiply(x[0], x[0])
        return [try sum(y, axes: [0]), try NDArray.ones([2]), x[1]]
      },
    ]
    let image: [Input] = [Input([2, 5, 5, 2]), Input([3, 3, 3, 2])]
    @Sendable func filtered(_ x: [NDArray]) throws(ArrayError) -> [NDArray] {
      [try convolution(x[0], x[1], stride: [2], low: [1], high: [1])]
    }
    list.append(Case("conv_general", image) { (x) throws(ArrayError) in try filtered(x) })
    list.append(
      Case("conv_general, gradients", image) { (x) throws(ArrayError) in
        let y = try filtered(x)
        return try vjp(x, cotangents: [multiply(y[0], y[0])], filtered).gradients
      })
    // Well away from singular: the cases are about the transforms, not the conditioning.
    let square = [Input([3, 3])]
    @Sendable func definite(_ x: NDArray) throws(ArrayError) -> NDArray {
      try add(matmul(x, swapaxes(x, -1, -2)), NDArray.eye(x.shape[0], dtype: x.dtype))
    }
    list += [
      Case("linalg.cholesky", square) { (x) throws(ArrayError) in [try cholesky(definite(x[0]))] },
      Case("linalg.inv", square) { (x) throws(ArrayError) in [try inverse(definite(x[0]))] },
      Case("linalg.tri_inv", square) { (x) throws(ArrayError) in
        [try triangularInverse(tril(definite(x[0])))]
      },
      Case("linalg.solve", [Input([3, 3]), Input([3, 2])]) { (x) throws(ArrayError) in
        [try solve(definite(x[0]), x[1])]
      },
      Case("linalg.pinv", square, isSmooth: false) { (x) throws(ArrayError) in
        [try pseudoInverse(definite(x[0]))]
      },
      Case("linalg.lu", square, isSmooth: false) { (x) throws(ArrayError) in
        let (order, l, u) = try lu(definite(x[0]))
        return [order, l, u]
      },
      Case("linalg.slogdet", square) { (x) throws(ArrayError) in
        let (sign, log) = try slogdet(definite(x[0]))
        return [sign, log]
      },
      Case("linalg.det", [Input([4, 4])]) { (x) throws(ArrayError) in
        [try determinant(definite(x[0]))]
      },
      Case("linalg.det, gradient", [Input([4, 4])]) { (x) throws(ArrayError) in
        let a = try definite(x[0])
        return [NDArray(Cofactors(), shape: a.shape, dtype: a.dtype, a)]
      },
      Case("linalg.qr", square, isSmooth: false) { (x) throws(ArrayError) in
        let (q, r) = try qr(definite(x[0]))
        return [q, r]
      },
      Case("linalg.svd", square, isSmooth: false) { (x) throws(ArrayError) in
        let (u, s, vt) = try svd(definite(x[0]))
        return [try matmul(multiply(u, s), vt), s]
      },
      Case("linalg.eigh", square, isSmooth: false) { (x) throws(ArrayError) in
        let (values, vectors) = try eigh(definite(x[0]))
        return [values, abs(vectors)]
      },
      Case("linalg.eig", square, isSmooth: false) { (x) throws(ArrayError) in
        let (values, vectors) = try eig(definite(x[0]))
        return [values, abs(vectors)]
      },
    ]
    list += [
      Case("fft", [Input([3, 8])], [.float32, .float64]) { (x) throws(ArrayError) in
        let y = try fourier(x[0], axes: [0])
        return [real(y), try imag(y)]
      },
      Case("rfft", [Input([3, 7]), Input([2, 6])], [.float32, .float64]) { (x) throws(ArrayError) in
        let (odd, even) = (try fourier(x[0], axes: [1], real: true), try fourier(x[1], real: true))
        return [real(odd), try imag(odd), real(even), try imag(even)]
      },
      Case("irfft", [Input([3, 5])], [.float32, .float64]) { (x) throws(ArrayError) in
        [try fourier(x[0], axes: [1], real: true, inverse: true)]
      },
      Case("hadamard_transform", [Input([2, 28]), Input([3, 8])], [.float32]) {
        (x) throws(ArrayError) in
        [try hadamardTransform(x[0]), try hadamardTransform(x[1], scale: 2)]
      },
      Case("to_fp8 and from_fp8", [matrix], [.float32], isSmooth: false) { (x) throws(ArrayError) in
        let codes = try toFloat8(x[0])
        return [codes, try fromFloat8(codes, dtype: .float32)]
      },
      Case(
        "gather_mm",
        [Input([2, 3, 4]), Input([3, 4, 2]), positions([4], below: 2), positions([4], below: 3)]
      ) { (x) throws(ArrayError) in [try gatherMatmul(x[0], x[1], left: x[2], right: x[3])] },
      Case("segmented_mm", [Input([3, 6]), Input([6, 2])]) { (x) throws(ArrayError) in
        let segments = try NDArray([0, 2, 1, 6, 3, 3] as [Int], shape: [3, 2], dtype: .int64)
        return [try segmentedMatmul(x[0], x[1], segments: segments)]
      },
      Case(
        "gather_qmm", [Input([2, 1, 64]), Input([3, 4, 64]), positions([2], below: 3)], [.float32],
        isSmooth: false
      ) { (x) throws(ArrayError) in
        let (codes, scales, biases) = try quantize(x[1], group: 32, bits: 4)
        let weight = QuantizedOperand(
          codes: codes, scales: scales, biases: biases, group: 32, bits: 4, mode: "affine")
        return [try gatherQuantizedMatmul(x[0], weight, right: x[2])]
      },
    ]
    for mode in [ScatterMode.set, .add, .prod, .max, .min] {
      list.append(
        Case(
          "\(mode.name)", [Input([5, 3]), positions([2], below: 5), Input([2, 3])],
          isSmooth: mode != .prod
        ) {
          (x) throws(ArrayError) in
          // Distinct places: what happens to repeated ones is not smooth.
          let index = try add(
            remainder(x[1], NDArray(.int(2), dtype: .int64)), NDArray([0, 2], dtype: .int64))
          return [try x[0].updating([.array(index)], x[2], mode)]
        })
    }
    for kind in [Reduction.Kind.sum, .prod, .max, .min, .any, .all, .argmax, .argmin] {
      let isIndex = kind == .argmax || kind == .argmin
      for axes in isIndex ? [nil, [1]] : [nil, [0], [0, 2]] as [[Int]?] {
        list.append(
          Case(
            "\(kind.name) over \(axes.map { "\($0)" } ?? "all")", [Input([2, 3, 2])],
            everyDType.filter { !$0.isComplex || kind == .sum || kind == .prod }
          ) { (x) throws(ArrayError) in
            let mask = try x[0].axisMask(axes, op: kind.name)
            switch kind {
            case .sum: return [try sum(x[0], axes: axes)]
            case .prod: return [try prod(x[0], axes: axes, keepdims: true)]
            case .max: return [try max(x[0], axes: axes)]
            case .min: return [try min(x[0], axes: axes, keepdims: true)]
            case .any: return [try any(x[0], axes: axes)]
            case .all: return [try all(x[0], axes: axes)]
            case .argmax: return [try argmax(x[0], axis: mask.nonzeroBitCount == 1 ? 1 : nil)]
            case .argmin:
              return [try argmin(x[0], axis: mask.nonzeroBitCount == 1 ? 1 : nil, keepdims: true)]
            }
          })
      }
    }
    for kind in [Scan.Kind.sum, .prod, .max, .min, .logaddexp] {
      for (reverse, inclusive) in [(false, true), (true, false)] {
        // What an exclusive logarithm starts with is minus infinity: no comparison of sums.
        let isSmooth = inclusive || kind == .sum || kind == .prod
        list.append(
          Case(
            "scan \(kind)\(reverse ? " reversed" : "")\(inclusive ? "" : " exclusive")", [matrix],
            kind == .logaddexp ? [.float32, .float64] : everyDType.filter { !$0.isComplex },
            isSmooth: isSmooth
          ) { (x) throws(ArrayError) in
            [try scan(x[0], kind, 1, reverse, inclusive, "scan")]
          })
      }
    }
    return list
  }()

  // MARK: Comparing

  static func values(_ x: NDArray) throws -> [Double] {
    try x.scalars().flatMap { s -> [Double] in
      if case .complex(let re, let im) = s { return [re, im] }
      return [s.double]
    }
  }
  static func expectEqual(_ a: NDArray, _ b: NDArray, _ what: String) throws {
    #expect(a.shape == b.shape, "\(what): shapes \(a.shape) and \(b.shape)")
    #expect(a.dtype == b.dtype, "\(what): dtypes \(a.dtype.name) and \(b.dtype.name)")
    guard a.shape == b.shape else { return }
    let tolerance: Double =
      switch a.dtype {
      case .float16: 4e-3
      case .bfloat16: 3e-2
      case .float32, .complex64: 2e-5
      case .float64, .complex128: 1e-6  // softmax and its like compute in float32
      default: 0
      }
    for (p, q) in zip(try values(a), try values(b)) {
      let isClose =
        p == q || (p.isNaN && q.isNaN) || Swift.abs(p - q) <= tolerance * Swift.max(1, Swift.abs(q))
      if !isClose {
        Issue.record("\(what): \(p) and \(q)")
        return
      }
    }
  }

  /// The dtypes that the function takes, with its inputs.
  static func eachDType(_ c: TransformCase) throws -> [(dtype: DType, inputs: [NDArray])] {
    var found: [(dtype: DType, inputs: [NDArray])] = []
    for dtype in c.dtypes {
      let x = try c.inputs.enumerated().map { try $1.array(dtype, $0) }
      do throws(ArrayError) { _ = try c.function(x) } catch {
        if case .dtype = error.fact { continue }
        throw error
      }
      found.append((dtype, x))
    }
    #expect(!found.isEmpty, "no dtype for \(c.name)")
    return found
  }

  // MARK: The tests

  @Test(arguments: transformCases) func vmapAgainstLoop(_ c: TransformCase) throws {
    let size = 3
    for (dtype, plain) in try AllEngineTests.eachDType(c) {
      var batches: [[NDArray]] = []
      for b in 0..<size {
        batches.append(try c.inputs.enumerated().map { try $1.array(dtype, $0 + 3 * b) })
      }
      // All inputs mapped, then each alone, the axis at either end.
      var choices = [(Set(c.inputs.indices), 0)]
      for i in c.inputs.indices { choices.append(([i], c.inputs[i].shape.count)) }
      for (mapped, place) in choices {
        var inputs: [NDArray] = []
        for i in c.inputs.indices {
          let all = try stack(batches.map { $0[i] })
          inputs.append(try mapped.contains(i) ? moveaxis(all, 0, place) : plain[i])
        }
        let found = try vmap(
          inputs, axes: c.inputs.indices.map { mapped.contains($0) ? place : nil }, c.function)
        for k in found.indices {
          let loop = try (0..<size).map { b in
            try c.function(
              c.inputs.indices.map { mapped.contains($0) ? batches[b][$0] : plain[$0] })[k]
          }
          try AllEngineTests.expectEqual(
            found[k], try stack(loop),
            "vmap \(c.name) \(dtype.name) over \(mapped.sorted()), output \(k)")
        }
      }
    }
  }

  @Test(arguments: transformCases) func nestedVmap(_ c: TransformCase) throws {
    let all = try AllEngineTests.eachDType(c)
    guard let (_, x) = all.first(where: { $0.dtype == .float32 }) ?? all.first else { return }
    let twice = try x.map {
      try broadcastArrays([
        $0.reshaped([1, 1] + $0.shape.array), NDArray.zeros(Shape([2, 3] + $0.shape.array)),
      ])[0]
    }
    let zero: [Int?] = x.map { _ in 0 }
    let found = try vmap(twice, axes: zero) { (y) throws(ArrayError) in
      try vmap(y, axes: zero, c.function)
    }
    for (y, z) in zip(found, try c.function(x)) {
      try AllEngineTests.expectEqual(
        try y.at([.int(1), .int(2)]), z, "nested vmap \(c.name)")
    }
  }

  @Test(arguments: transformCases) func jvpAgainstVjp(_ c: TransformCase) throws {
    guard c.isSmooth else { return }
    for (dtype, x) in try AllEngineTests.eachDType(c) {
      guard dtype == .float64 || dtype == .float32 || dtype.isComplex else { continue }
      // Positions and masks are constants.
      let moving = c.inputs.indices.filter { c.inputs[$0].fixed == nil }
      func f(_ y: [NDArray]) throws(ArrayError) -> [NDArray] {
        var all = x
        for (k, i) in moving.enumerated() { all[i] = y[k] }
        return try c.function(all)
      }
      let primals = moving.map { x[$0] }
      let tangents = try moving.map { try c.inputs[$0].array(dtype, 40 + $0) }
      let (outputs, pushed) = try jvp(primals, tangents: tangents, f)
      let cotangents = try outputs.enumerated().map { k, y in
        try Input(y.shape, 0.2, 0.9).array(y.dtype.isInexact ? y.dtype : .float32, 60 + k)
      }
      let pulled = try vjp(primals, cotangents: cotangents, f).gradients
      func dot(_ a: [NDArray], _ b: [NDArray]) throws -> Double {
        try zip(a, b).reduce(0) { total, pair in
          let wide: DType =
            pair.0.dtype.isComplex || pair.1.dtype.isComplex ? .complex128 : .float64
          let product = try multiply(conjugate(pair.0.astype(wide)), pair.1.astype(wide))
          return try total + sum(real(product)).item().double
        }
      }
      let (forward, backward) = (try dot(cotangents, pushed), try dot(pulled, tangents))
      let tolerance = dtype == .float64 || dtype == .complex128 ? 1e-5 : 2e-4
      #expect(
        (forward.isNaN && backward.isNaN)
          || Swift.abs(forward - backward) <= tolerance * Swift.max(1, Swift.abs(forward)),
        "\(c.name) \(dtype.name): jvp gives \(forward), vjp \(backward)")
      // Central differences along the tangents.
      let isExact = dtype == .float64
      let h = isExact ? 1e-5 : 1e-2
      func moved(_ step: Double) throws -> [NDArray] {
        try f(
          zip(primals, tangents).map {
            try add($0, multiply($1, NDArray(.float(step), dtype: dtype)))
          })
      }
      let (up, down) = dtype.isComplex ? ([], []) : (try moved(h), try moved(-h))
      for k in up.indices where outputs[k].dtype == dtype && !c.name.contains("stop_gradient") {
        let (a, b) = (try AllEngineTests.values(up[k]), try AllEngineTests.values(down[k]))
        for (i, t) in try AllEngineTests.values(pushed[k]).enumerated() {
          let wanted = (a[i] - b[i]) / (2 * h)
          #expect(
            Swift.abs(t - wanted) <= (isExact ? 1e-6 : 2e-2) * Swift.max(1, Swift.abs(wanted))
              || (t.isNaN && wanted.isNaN),
            "\(c.name) \(dtype.name): tangent \(t), differences \(wanted)")
        }
      }
      for (y, t) in zip(outputs, pushed) { #expect(y.shape == t.shape, "tangent of \(c.name)") }
    }
  }

  @Test(arguments: transformCases) func gradientUnderVmap(_ c: TransformCase) throws {
    guard c.isSmooth, c.dtypes.contains(.float32), c.inputs.allSatisfy({ $0.fixed == nil }) else {
      return
    }
    let batches = try (0..<2).map { b in
      try c.inputs.enumerated().map { try $1.array(.float32, $0 + 5 * b) }
    }
    do throws(ArrayError) { _ = try c.function(batches[0]) } catch { return }
    func gradients(_ x: [NDArray]) throws(ArrayError) -> [NDArray] {
      try grad(x, argnums: Array(x.indices)) { (y) throws(ArrayError) in
        var total = try NDArray(.float(0))
        for z in try c.function(y) { total = try add(total, sum(real(square(z)).astype(.float32))) }
        return total
      }
    }
    let found = try vmap(
      c.inputs.indices.map { i in try stack(batches.map { $0[i] }) }, axes: c.inputs.map { _ in 0 },
      gradients)
    for i in c.inputs.indices {
      let loop = try stack(batches.map { try gradients($0)[i] })
      try AllEngineTests.expectEqual(found[i], loop, "gradient of \(c.name) under vmap, input \(i)")
    }
  }

  @Test(arguments: transformCases) func compiledAgainstPlain(_ c: TransformCase) throws {
    for (dtype, x) in try AllEngineTests.eachDType(c) {
      let trace = PlanTrace(x, isShapeless: false)
      defer { trace.end() }
      let plan = try trace.finish(try c.function(trace.placeholders))
      for _ in 0..<2 {
        for (y, z) in zip(try plan.run(x), try c.function(x)) {
          try AllEngineTests.expectEqual(y, z, "compiled \(c.name) \(dtype.name)")
        }
      }
      // A gradient goes through the replay.
      if c.isSmooth, dtype == .float32, c.inputs.allSatisfy({ $0.fixed == nil }) {
        func total(_ y: [NDArray]) throws(ArrayError) -> NDArray {
          var all = try NDArray(.float(0))
          for z in y { all = try add(all, sum(square(real(z)).astype(.float32))) }
          return all
        }
        let numbers = Array(x.indices)
        let a = try grad(x, argnums: numbers) { (y) throws(ArrayError) in try total(plan.run(y)) }
        let b = try grad(x, argnums: numbers) { (y) throws(ArrayError) in try total(c.function(y)) }
        for (p, q) in zip(a, b) {
          try AllEngineTests.expectEqual(p, q, "gradient of compiled \(c.name)")
        }
      }
    }
  }

  @Test(arguments: transformCases) func exportedAgainstPlain(_ c: TransformCase) throws {
    for isShapeless in [false, true] {
      for (dtype, x) in try AllEngineTests.eachDType(c) {
        let trace = PlanTrace(x, isShapeless: isShapeless)
        let plan: CompiledPlan
        do {
          defer { trace.end() }
          plan = try trace.finish(try c.function(trace.placeholders), op: "export_function")
        }
        var file = GraphFile(isShapeless: isShapeless, metadata: "m")
        file.traces.append(GraphFile.Trace(plan: plan, positionalCount: x.count, keywords: []))
        let bytes = try file.bytes()
        let read = try bytes.withUnsafeBytes { raw throws(ArrayError) in try GraphFile(bytes: raw) }
        #expect(read.metadata == "m" && read.isShapeless == isShapeless)
        for (y, z) in zip(try read.traces[0].plan.run(x), try c.function(x)) {
          try AllEngineTests.expectEqual(y, z, "exported \(c.name) \(dtype.name)")
        }
      }
    }
  }

  /// Every operation and every primitive type in the sources has a case.
  @Test func everyPrimitiveHasACase() throws {
    var seen: Set<String> = []
    for c in AllEngineTests.transformCases {
      for (_, x) in try AllEngineTests.eachDType(c) {
        let trace = PlanTrace(x, isShapeless: false)
        defer { trace.end() }
        var stack = try c.function(trace.placeholders)
        while let node = stack.popLast() {
          if node.isEvaluated { continue }
          if node.op != .none {
            seen.insert("op \(node.op.name)")
          } else if let all = node.primitive as? MultiOutput {
            seen.insert(String(describing: type(of: all.base)))
          } else if let primitive = node.primitive {
            seen.insert(String(describing: type(of: primitive)))
          }
          stack += node.inputs
        }
      }
    }
    var raw: UInt8 = 1
    while let op = ElementwiseOp(rawValue: raw) {
      raw += 1
      if op != .copy { #expect(seen.contains("op \(op.name)"), "no case for \(op.name)") }
    }
    // Those of the machinery of transforms are tested as such.
    let machinery: Set<String> = [
      "Leaf", "OutputOf", "MultiOutput", "Placeholder", "CustomFunction", "Composed",
      "KeptFunction", "Unreadable",
    ]
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../../Sources/Engine")
    var found = 0
    for file in try FileManager.default.contentsOfDirectory(
      at: folder, includingPropertiesForKeys: nil)
    {
      guard file.pathExtension == "swift" else { continue }
      for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
        guard line.hasPrefix("struct "), line.contains("Primitive"),
          let colon = line.firstIndex(of: ":")
        else { continue }
        let name = line.dropFirst(7)[..<colon].trimmingCharacters(in: .whitespaces)
        found += 1
        if machinery.contains(name) { continue }
        #expect(seen.contains(name), "no case for the primitive \(name)")
        let isListed =
          GraphFile.types.contains { String(describing: $0) == name }
          || GraphFile.severalTypes.contains { String(describing: $0) == name }
        #expect(isListed, "\(name) is not listed in GraphFile")
      }
    }
    #expect(found > 30)
  }
}
