import Engine
import Foundation
import Testing

/// Every gradient rule against central differences in float64: the gradient itself, the Jacobian
/// times a tangent, and the gradient of the gradient.
extension AllEngineTests {
  typealias Function = ([NDArray]) throws(ArrayError) -> NDArray

  struct GradientCase: Sendable, CustomTestStringConvertible {
    var name: String
    var inputs: [([Double], Shape)]
    var hasSecond = true
    var function: @Sendable ([NDArray]) throws(ArrayError) -> NDArray
    var testDescription: String { name }
  }

  /// Values between low and high without repeats, in no order.
  static func spread(_ shape: Shape, _ low: Double, _ high: Double, _ seed: Int = 0) -> (
    [Double], Shape
  ) {
    let n = shape.reduce(1, *)
    var values: [Double] = []
    for i in 0..<n {
      // 31 has no factor in common with 97: no value comes twice.
      let place = (i * 31 + seed * 17 + 5) % 97
      values.append(low + (high - low) * (Double(place) + 0.5) / 97)
    }
    return (values, shape)
  }

  static func weights(_ shape: Shape) -> [Double] {
    var result: [Double] = []
    for i in 0..<shape.reduce(1, *) {
      let place = (i * 5 + 2) % 7
      result.append(0.3 + Double(place) / 5)
    }
    return result
  }

  @Test(arguments: gradientCases) func gradient(_ c: GradientCase) throws {
    let primals = try c.inputs.map { (v) throws(ArrayError) in
      try NDArray(v.0, shape: v.1, dtype: .float64)
    }
    let all = Array(primals.indices)
    func weights(_ shape: Shape) throws(ArrayError) -> NDArray {
      try NDArray(AllEngineTests.weights(shape), shape: shape, dtype: .float64)
    }
    // A number out of the function: weighted, so that no two outputs can cancel.
    func scalar(_ x: [NDArray]) throws(ArrayError) -> NDArray {
      let y = try c.function(x)
      return try sum(multiply(y, weights(y.shape)))
    }
    func check(_ f: @escaping Function, _ what: String, _ tolerance: Double) throws {
      let found = try grad(primals, argnums: all, f)
      for (k, (values, shape)) in c.inputs.enumerated() {
        let g = try found[k].doubles()
        #expect(found[k].shape == shape)
        for i in values.indices {
          func at(_ step: Double) throws -> Double {
            var moved = values
            moved[i] += step
            var x = primals
            x[k] = try NDArray(moved, shape: shape, dtype: .float64)
            return try f(x).doubles()[0]
          }
          let h = 1e-5
          let wanted = try (at(h) - at(-h)) / (2 * h)
          #expect(
            Swift.abs(g[i] - wanted) <= tolerance * Swift.max(1, Swift.abs(wanted)),
            "\(c.name), \(what): input \(k)[\(i)] has \(g[i]), differences \(wanted)")
        }
      }
    }
    try check({ (x) throws(ArrayError) in try scalar(x) }, "gradient", 2e-7)
    if c.hasSecond {
      try check(
        { (x) throws(ArrayError) in
          var total = try NDArray(.float(0), dtype: .float64)
          for g in try grad(x, argnums: all, scalar) {
            total = try add(total, sum(multiply(g, weights(g.shape))))
          }
          return total
        }, "second derivative", 2e-5)
    }
    // Forward: J t against differences along t.
    let tangents = try primals.map { (x) throws(ArrayError) in try weights(x.shape) }
    let forward = try jvp(primals, tangents: tangents) { (x) throws(ArrayError) in
      [try scalar(x)]
    }.tangents[0].doubles()[0]
    func along(_ step: Double) throws -> Double {
      var x: [NDArray] = []
      for (p, t) in zip(primals, tangents) {
        x.append(try add(p, multiply(t, NDArray(.float(step), dtype: .float64))))
      }
      return try scalar(x).doubles()[0]
    }
    let wanted = try (along(1e-5) - along(-1e-5)) / 2e-5
    #expect(
      Swift.abs(forward - wanted) <= 1e-6 * Swift.max(1, Swift.abs(wanted)),
      "\(c.name), jvp: \(forward), differences \(wanted)")
  }

  private static func one(
    _ name: String, _ low: Double = -1.7, _ high: Double = 1.9, shape: Shape = [2, 3],
    second: Bool = true, _ f: @escaping @Sendable (NDArray) throws(ArrayError) -> NDArray
  ) -> GradientCase {
    GradientCase(name: name, inputs: [spread(shape, low, high)], hasSecond: second) {
      (x) throws(ArrayError) in try f(x[0])
    }
  }
  private static func two(
    _ name: String, _ low: Double = -1.7, _ high: Double = 1.9, _ a: Shape = [2, 3],
    _ b: Shape = [3], _ f: @escaping @Sendable (NDArray, NDArray) throws(ArrayError) -> NDArray
  ) -> GradientCase {
    GradientCase(name: name, inputs: [spread(a, low, high), spread(b, low, high, 1)]) {
      (x) throws(ArrayError) in try f(x[0], x[1])
    }
  }
  private static let s = SliceRange.self

  static let gradientCases: [GradientCase] = elementwise + reductions + moving + products

  private static let elementwise: [GradientCase] = [
    one("negative") { (x) throws(ArrayError) in try negative(x) },
    one("abs") { (x) throws(ArrayError) in abs(x) },
    one("square") { (x) throws(ArrayError) in square(x) },
    one("sqrt", 0.4, 3) { (x) throws(ArrayError) in sqrt(x) },
    one("rsqrt", 0.4, 3) { (x) throws(ArrayError) in rsqrt(x) },
    one("reciprocal", 0.5, 3) { (x) throws(ArrayError) in reciprocal(x) },
    one("exp") { (x) throws(ArrayError) in exp(x) },
    one("expm1") { (x) throws(ArrayError) in expm1(x) },
    one("log", 0.4, 3) { (x) throws(ArrayError) in log(x) },
    one("log2", 0.4, 3) { (x) throws(ArrayError) in log2(x) },
    one("log10", 0.4, 3) { (x) throws(ArrayError) in log10(x) },
    one("log1p", -0.5, 3) { (x) throws(ArrayError) in log1p(x) },
    one("sin") { (x) throws(ArrayError) in sin(x) },
    one("cos") { (x) throws(ArrayError) in cos(x) },
    one("tan", -0.9, 0.9) { (x) throws(ArrayError) in tan(x) },
    one("arcsin", -0.8, 0.8) { (x) throws(ArrayError) in arcsin(x) },
    one("arccos", -0.8, 0.8) { (x) throws(ArrayError) in arccos(x) },
    one("arctan") { (x) throws(ArrayError) in arctan(x) },
    one("sinh") { (x) throws(ArrayError) in sinh(x) },
    one("cosh") { (x) throws(ArrayError) in cosh(x) },
    one("tanh") { (x) throws(ArrayError) in tanh(x) },
    one("arcsinh") { (x) throws(ArrayError) in arcsinh(x) },
    one("arccosh", 1.4, 3) { (x) throws(ArrayError) in arccosh(x) },
    one("arctanh", -0.8, 0.8) { (x) throws(ArrayError) in arctanh(x) },
    one("sigmoid") { (x) throws(ArrayError) in try sigmoid(x) },
    one("erf") { (x) throws(ArrayError) in try erf(x) },
    one("erfinv", -0.8, 0.8) { (x) throws(ArrayError) in try erfinv(x) },
    one("floor") { (x) throws(ArrayError) in try multiply(floor(x), x) },
    one("degrees") { (x) throws(ArrayError) in try degrees(x) },
    one("clip") { (x) throws(ArrayError) in
      try clip(x, min: NDArray(.float(-0.6)), max: NDArray(.float(0.8)))
    },
    one("nan_to_num") { (x) throws(ArrayError) in try nanToNum(x) },
    one("stop_gradient of a part") { (x) throws(ArrayError) in
      try add(x, multiply(stopGradient(x), NDArray(.float(0), dtype: .float64)))
    },
    two("add") { (x, y) throws(ArrayError) in try add(x, y) },
    two("subtract") { (x, y) throws(ArrayError) in try subtract(x, y) },
    two("multiply", -1.7, 1.9, [2, 1], [1, 3]) { (x, y) throws(ArrayError) in try multiply(x, y) },
    two("divide", 0.5, 2) { (x, y) throws(ArrayError) in try divide(x, y) },
    two("power", 0.5, 2) { (x, y) throws(ArrayError) in try power(x, y) },
    two("remainder", 0.6, 5) { (x, y) throws(ArrayError) in try remainder(x, y) },
    two("maximum") { (x, y) throws(ArrayError) in try maximum(x, y) },
    two("minimum") { (x, y) throws(ArrayError) in try minimum(x, y) },
    two("arctan2", 0.4, 2) { (x, y) throws(ArrayError) in try arctan2(x, y) },
    two("logaddexp") { (x, y) throws(ArrayError) in try logaddexp(x, y) },
    two("where") { (x, y) throws(ArrayError) in
      try `where`(greater(x, y), square(x), multiply(x, y))
    },
    two("a value used in several places", 0.4, 2) { (x, y) throws(ArrayError) in
      let z = try multiply(exp(x), y)
      return try add(multiply(z, z), divide(z, add(x, y)))
    },
  ]

  /// Rows with one zero and with two (or none), where second derivatives are not promised.
  private static func zeros(
    _ name: String, second: Bool = false,
    _ f: @escaping @Sendable (NDArray) throws(ArrayError) -> NDArray
  ) -> GradientCase {
    GradientCase(
      name: name, inputs: [([0.7, -1.2, 0, 1.5, second ? 0.4 : 0, 2, 0, -0.8], [2, 4])],
      hasSecond: second
    ) {
      (x) throws(ArrayError) in try f(x[0])
    }
  }

  private static let reductions: [GradientCase] = [
    one("sum") { (x) throws(ArrayError) in try square(sum(x, axes: [1])) },
    one("sum of all, keepdims") { (x) throws(ArrayError) in try square(sum(x, keepdims: true)) },
    one("mean", shape: [2, 3, 2]) { (x) throws(ArrayError) in try square(mean(x, axes: [0, 2])) },
    one("prod") { (x) throws(ArrayError) in try prod(x, axes: [1]) },
    one("prod of all") { (x) throws(ArrayError) in try prod(x) },
    zeros("prod at zero") { (x) throws(ArrayError) in try prod(x, axes: [1], keepdims: true) },
    one("max") { (x) throws(ArrayError) in try square(max(x, axes: [1])) },
    one("min") { (x) throws(ArrayError) in try square(min(x, axes: [0], keepdims: true)) },
    one("var") { (x) throws(ArrayError) in try variance(x, axes: [1], ddof: 1) },
    one("std") { (x) throws(ArrayError) in try std(x, axes: [1]) },
    one("logsumexp") { (x) throws(ArrayError) in try logsumexp(x, axes: [1]) },
    one("softmax") { (x) throws(ArrayError) in try softmax(x, axes: [1]) },
    one("softmax axis 0") { (x) throws(ArrayError) in try softmax(x, axes: [0]) },
    one("log_softmax") { (x) throws(ArrayError) in try logSoftmax(x, axes: [-1]) },
    one("cumsum") { (x) throws(ArrayError) in try square(cumsum(x, axis: 1)) },
    one("cumsum reverse exclusive") { (x) throws(ArrayError) in
      try square(cumsum(x, axis: 0, reverse: true, inclusive: false))
    },
    one("cumprod") { (x) throws(ArrayError) in try cumprod(x, axis: 1) },
    zeros("cumprod at one zero", second: true) { (x) throws(ArrayError) in
      try cumprod(x, axis: 1)
    },
    zeros("cumprod at zero") { (x) throws(ArrayError) in
      try cumprod(x, axis: 1)
    },
    zeros("cumprod at zero, exclusive") { (x) throws(ArrayError) in
      try cumprod(x, axis: 1, inclusive: false)
    },
    zeros("cumprod at zero, reverse") { (x) throws(ArrayError) in
      try cumprod(x, axis: 1, reverse: true)
    },
    one("cummax", shape: [2, 5]) { (x) throws(ArrayError) in try square(cummax(x, axis: 1)) },
    one("cummax reverse", shape: [2, 5]) { (x) throws(ArrayError) in
      try square(cummax(x, axis: 1, reverse: true))
    },
    one("cummin", shape: [5, 2]) { (x) throws(ArrayError) in try square(cummin(x, axis: 0)) },
    one("logcumsumexp") { (x) throws(ArrayError) in try logcumsumexp(x, axis: 1) },
    one("logcumsumexp reverse") { (x) throws(ArrayError) in
      try logcumsumexp(x, axis: 1, reverse: true)
    },
    one("sort", shape: [2, 5]) { (x) throws(ArrayError) in try square(sort(x)) },
    one("sort axis 0", shape: [5, 2]) { (x) throws(ArrayError) in try square(sort(x, axis: 0)) },
    one("topk", shape: [2, 5]) { (x) throws(ArrayError) in try square(topk(x, 2)) },
    one("median", shape: [2, 5]) { (x) throws(ArrayError) in try square(median(x, axes: [1])) },
  ]

  private static let moving: [GradientCase] = [
    one("reshape, transpose") { (x) throws(ArrayError) in
      try square(transpose(x).reshaped([2, 3]))
    },
    one("broadcast") { (x) throws(ArrayError) in try square(x.broadcast(to: [4, 2, 3])) },
    one("slice", shape: [4, 5]) { (x) throws(ArrayError) in
      try square(slice(x, [s.init(3, 0, -2), s.init(1, nil, 2)]))
    },
    two("concatenate", -1, 1, [2, 3], [2, 2]) { (x, y) throws(ArrayError) in
      try square(concatenate([x, y, x], axis: 1))
    },
    one("split", shape: [2, 4]) { (x) throws(ArrayError) in
      let parts = try split(x, parts: 2, axis: 1)
      return try multiply(parts[0], square(parts[1]))
    },
    one("stack") { (x) throws(ArrayError) in try square(stack([x, x], axis: 1)) },
    one("pad") { (x) throws(ArrayError) in try square(pad(x, [(1, 0), (0, 2)])) },
    one("pad edge") { (x) throws(ArrayError) in
      try square(pad(x, [(1, 0), (0, 2)], mode: .edge))
    },
    one("tile") { (x) throws(ArrayError) in try square(tile(x, [2, 1, 2])) },
    one("repeat") { (x) throws(ArrayError) in try square(`repeat`(x, 2, axis: 1)) },
    one("roll") { (x) throws(ArrayError) in try square(roll(x, 1, axis: 1)) },
    one("flip") { (x) throws(ArrayError) in try square(flip(x, axes: [1])) },
    one("diagonal", shape: [3, 4]) { (x) throws(ArrayError) in try square(diagonal(x, offset: 1)) },
    one("diag", shape: [3]) { (x) throws(ArrayError) in try square(diag(x, k: -1)) },
    one("tril", shape: [3, 3]) { (x) throws(ArrayError) in try square(tril(x)) },
    one("as_strided", shape: [6]) { (x) throws(ArrayError) in
      try square(asStrided(x, shape: [3, 3], strides: [1, 1], offset: 1))
    },
    one("contiguous") { (x) throws(ArrayError) in try square(contiguous(transpose(x))) },
    two("slice_update", -1, 1, [3, 4], [2, 2]) { (x, y) throws(ArrayError) in
      try square(sliceUpdate(x, y, [s.init(0, 3, 2), s.init(1, 3)]))
    },
    one("take", shape: [4, 3]) { (x) throws(ArrayError) in
      try square(take(x, NDArray([0, 2, 2, -1]), axis: 0))
    },
    one("take axis 1", shape: [2, 3, 2]) { (x) throws(ArrayError) in
      try square(take(x, NDArray([2, 0, 2]), axis: 1))
    },
    one("index by arrays", shape: [3, 4]) { (x) throws(ArrayError) in
      try square(x.at([.array(NDArray([0, 2, 2])), .array(NDArray([1, 3, 3]))]))
    },
    one("index mixed", shape: [3, 4, 2]) { (x) throws(ArrayError) in
      try square(x.at([.slice(s.init(1, 3)), .array(NDArray([1, 1])), .int(0)]))
    },
    one("take_along_axis", shape: [2, 4]) { (x) throws(ArrayError) in
      try square(takeAlongAxis(x, NDArray([0, 0, 3, 2], shape: [2, 2]), axis: 1))
    },
    two("put_along_axis", -1, 1, [2, 4], [2, 2]) { (x, y) throws(ArrayError) in
      try square(putAlongAxis(x, NDArray([0, 1, 3, 2], shape: [2, 2]), y, axis: 1))
    },
    two("assign", -1, 1, [4, 3], [2, 3]) { (x, y) throws(ArrayError) in
      try square(x.updating([.array(NDArray([3, 1]))], y))
    },
    two("add at", -1, 1, [4, 3], [3, 3]) { (x, y) throws(ArrayError) in
      try square(x.updating([.array(NDArray([3, 1, 3]))], y, .add))
    },
    two("max at", -1, 1, [4, 3], [2, 3]) { (x, y) throws(ArrayError) in
      try square(x.updating([.array(NDArray([3, 1]))], y, .max))
    },
    two("min at a slice", -1, 1, [4, 3], [2, 3]) { (x, y) throws(ArrayError) in
      try square(x.updating([.slice(s.init(1, 3))], y, .min))
    },
    two("multiply at", 0.5, 2, [4, 3], [2, 3]) { (x, y) throws(ArrayError) in
      try x.updating([.array(NDArray([3, 1]))], y, .prod)
    },
  ]

  private static let products: [GradientCase] = [
    two("matmul", -1, 1, [2, 3], [3, 4]) { (x, y) throws(ArrayError) in try matmul(x, y) },
    two("matmul of vectors", -1, 1, [3], [3]) { (x, y) throws(ArrayError) in try matmul(x, y) },
    two("matmul, matrix and vector", -1, 1, [2, 3], [3]) { (x, y) throws(ArrayError) in
      try square(matmul(x, y))
    },
    two("matmul, vector and batch", -1, 1, [3], [2, 3, 2]) { (x, y) throws(ArrayError) in
      try matmul(x, y)
    },
    two("matmul, broadcast batch", -1, 1, [2, 1, 2, 3], [2, 3, 2]) { (x, y) throws(ArrayError) in
      try matmul(x, y)
    },
    two("matmul, many times one", -1, 1, [2, 2, 3], [3, 2]) { (x, y) throws(ArrayError) in
      try square(matmul(x, y))
    },
    two("tensordot", -1, 1, [2, 3, 2], [3, 2, 2]) { (x, y) throws(ArrayError) in
      try tensordot(x, y, axes: 2)
    },
    two("inner", -1, 1, [2, 3], [4, 3]) { (x, y) throws(ArrayError) in try inner(x, y) },
    two("outer", -1, 1, [2], [3]) { (x, y) throws(ArrayError) in try outer(x, y) },
    two("kron", -1, 1, [2, 2], [1, 3]) { (x, y) throws(ArrayError) in try kron(x, y) },
    two("einsum ij,jk->ki", -1, 1, [2, 3], [3, 2]) { (x, y) throws(ArrayError) in
      try einsum("ij,jk->ki", [x, y])
    },
    two("einsum bij,bj->b", -1, 1, [2, 2, 3], [2, 3]) { (x, y) throws(ArrayError) in
      try einsum("bij,bj->b", [x, y])
    },
    one("einsum ii->i", shape: [3, 3]) { (x) throws(ArrayError) in
      try square(einsum("ii->i", [x]))
    },
    GradientCase(
      name: "addmm",
      inputs: [spread([2, 2], -1, 1), spread([2, 3], -1, 1), spread([3, 2], -1, 1, 2)]
    ) { (x) throws(ArrayError) in try addmm(x[0], x[1], x[2], alpha: 0.5, beta: 2) },
  ]

  /// The kernels of FastNorm, FastRoPE and FastAttention compute in float32: their gradients
  /// against those of the same formula in plain float64 operations.
  func compare(
    _ name: String, _ inputs: [([Double], Shape)], _ fast: @escaping Function,
    _ plain: @escaping Function
  ) throws {
    let all = Array(inputs.indices)
    func run(_ dtype: DType, _ f: @escaping Function) throws -> [[Double]] {
      let x = try inputs.map { (v) throws(ArrayError) in
        try NDArray(v.0, shape: v.1, dtype: dtype)
      }
      let weighted: Function = { (x) throws(ArrayError) in
        let y = try f(x)
        let w = try NDArray(AllEngineTests.weights(y.shape), shape: y.shape, dtype: dtype)
        return try sum(multiply(y, w))
      }
      let second = try grad(x, argnums: all) { (q) throws(ArrayError) in
        var total = try NDArray(.float(0), dtype: dtype)
        for g in try grad(q, argnums: all, weighted) { total = try add(total, sum(square(g))) }
        return total
      }
      let (value, gradients) = try valueAndGrad(x, argnums: all, weighted)
      return try ([value] + gradients + second).map { (y) throws(ArrayError) in try y.doubles() }
    }
    for (k, (a, b)) in zip(try run(.float32, fast), try run(.float64, plain)).enumerated() {
      let scale = b.map { Swift.abs($0) }.max() ?? 1
      for (u, v) in zip(a, b) {
        #expect(
          Swift.abs(u - v) <= 2e-5 * Swift.max(scale, 1e-3),
          "\(name): output \(k): \(u), should be \(v)")
      }
    }
  }

  @Test func fastNormGradients() throws {
    let inputs = [
      AllEngineTests.spread([2, 3, 8], -1, 2), AllEngineTests.spread([8], 0.5, 1.5),
      AllEngineTests.spread([8], -0.5, 0.5),
    ]
    func eps() throws(ArrayError) -> NDArray { try NDArray(.float(1e-5), dtype: .float64) }
    try compare("rms_norm", Array(inputs.prefix(2))) { (x) throws(ArrayError) in
      try fastRMSNorm(x[0], weight: x[1], eps: 1e-5)
    } _: { (x) throws(ArrayError) in
      let r = rsqrt(try add(mean(square(x[0]), axes: [-1], keepdims: true), eps()))
      return try multiply(multiply(x[0], r), x[1])
    }
    try compare("layer_norm", inputs) { (x) throws(ArrayError) in
      try fastLayerNorm(x[0], weight: x[1], bias: x[2], eps: 1e-5)
    } _: { (x) throws(ArrayError) in
      let d = try subtract(x[0], mean(x[0], axes: [-1], keepdims: true))
      let r = rsqrt(try add(mean(square(d), axes: [-1], keepdims: true), eps()))
      return try add(multiply(multiply(d, r), x[1]), x[2])
    }
  }

  @Test func fastRoPEGradients() throws {
    try compare("rope", [AllEngineTests.spread([1, 2, 3, 4], -1, 1)]) { (x) throws(ArrayError) in
      try square(fastRoPE(x[0], dims: 4, traditional: false, base: 100, scale: 1, offset: 2))
    } _: { (x) throws(ArrayError) in
      var angles: [Double] = []
      for t in 2..<5 { angles += [Double(t), Double(t) / 10] }
      let angle = try NDArray(angles, shape: [3, 2], dtype: .float64)
      let halves = try split(x[0], parts: 2, axis: -1)
      let first = try subtract(multiply(halves[0], cos(angle)), multiply(halves[1], sin(angle)))
      let second = try add(multiply(halves[0], sin(angle)), multiply(halves[1], cos(angle)))
      return try square(concatenate([first, second], axis: -1))
    }
  }

  @Test func softmaxGradients() throws {
    try compare("softmax", [AllEngineTests.spread([3, 5], -2, 2)]) { (x) throws(ArrayError) in
      try softmax(x[0], axes: [-1])
    } _: { (x) throws(ArrayError) in
      try softmax(x[0], axes: [-1])
    }
    try compare("log_softmax", [AllEngineTests.spread([3, 5], -2, 2)]) { (x) throws(ArrayError) in
      try logSoftmax(x[0], axes: [0])
    } _: { (x) throws(ArrayError) in
      try logSoftmax(x[0], axes: [0])
    }
  }

  @Test func fastAttentionGradients() throws {
    let (q, k, v) = (
      AllEngineTests.spread([1, 4, 3, 4], -1, 1), AllEngineTests.spread([1, 2, 5, 4], -1, 1, 1),
      AllEngineTests.spread([1, 2, 5, 4], -1, 1, 2)
    )
    for causal in [false, true] {
      try compare("attention, causal \(causal)", [q, k, v]) { (x) throws(ArrayError) in
        try fastAttention(x[0], x[1], x[2], scale: 0.5, causal: causal)
      } _: { (x) throws(ArrayError) in
        let keys = try `repeat`(x[1], 2, axis: 1)
        let values = try `repeat`(x[2], 2, axis: 1)
        var scores = try multiply(
          matmul(x[0], swapaxes(keys, 2, 3)), NDArray(.float(0.5), dtype: .float64))
        if causal {
          let visible = try NDArray.tri(3, 5, k: 2, dtype: .bool)
          scores = try `where`(visible, scores, NDArray(.float(-1e30), dtype: .float64))
        }
        return try matmul(softmax(scores, axes: [-1]), values)
      }
    }
  }

  @Test func aCustomGradientIsUsed() throws {
    let x = try NDArray([1.0, 2.0], dtype: .float64)
    let g = try grad([x]) { (v) throws(ArrayError) in
      let y = customVJP(inputs: [v[0]], outputs: [try sum(square(v[0]))]) {
        (inputs, outputs, cotangents) throws(ArrayError) in
        [try multiply(cotangents[0], multiply(inputs[0], NDArray(.float(10), dtype: .float64)))]
      }
      return y[0]
    }
    #expect(try g[0].doubles() == [10, 20])
  }
}
