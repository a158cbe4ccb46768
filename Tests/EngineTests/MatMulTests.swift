import Engine
import Foundation
import Kernels
import Testing

extension AllEngineTests {
  /// Products of whole numbers, which every way of computing them must give exactly: sizes at which
  /// tiles, panels and pieces end in all ways, operands as they are, transposed and stepped.
  @Test(arguments: [Int32(2), 1, 0]) func products(level: Int32) throws {
    lull_set_simd_level(level)
    defer { lull_set_simd_level(2) }
    let sizes = [
      (1, 1, 1), (1, 40, 70), (70, 1, 33), (3, 65, 17), (9, 33, 31), (14, 32, 16), (15, 47, 100),
      (29, 64, 64), (64, 64, 64), (50, 50, 50), (128, 130, 127), (33, 300, 513), (200, 1100, 40),
      (600, 40, 300), (130, 700, 1030), (40, 9, 3000), (5, 1000, 4),
    ]
    for (m, n, k) in sizes {
      for dtype in [DType.float32, .float16, .bfloat16] {
        for (aWay, bWay) in [(0, 0), (1, 0), (0, 1), (1, 1), (2, 2)] {
          let a = try operand(m, k, dtype, aWay, seed: 1),
            b = try operand(k, n, dtype, bWay, seed: 2)
          let exact = try matmul(a.astype(.float64), b.astype(.float64)).astype(dtype).floats()
          let found = try matmul(a, b).floats()
          #expect(found == exact, "\(m) x \(n) x \(k), \(dtype), \(aWay) \(bWay)")
        }
      }
    }
  }

  @Test func batchesOfProducts() throws {
    for (batch, m, n, k) in [(3, 5, 7, 9), (40, 64, 64, 32), (3, 210, 190, 150), (2, 300, 20, 300)]
    {
      for dtype in [DType.float32, .float16, .bfloat16] {
        let a = try operand(batch * m, k, dtype, 0, seed: 3).reshaped([batch, m, k])
        let b = try operand(batch * k, n, dtype, 0, seed: 4).reshaped([batch, k, n])
        let found = try maximum(matmul(a, b), NDArray(.float(0), dtype: dtype)).floats()
        var exact: [Float] = []
        for i in 0..<batch {
          exact += try matmul(a.at([.int(i)]).astype(.float64), b.at([.int(i)]).astype(.float64))
            .astype(dtype).floats().map { Swift.max($0, 0) }
        }
        #expect(found == exact, "\(batch) x \(m) x \(n) x \(k), \(dtype)")
      }
    }
  }

  /// What follows a product is computed with it, and gives the same bits as computed after it.
  @Test(arguments: [Int32(2), 1, 0]) func epilogues(level: Int32) throws {
    lull_set_simd_level(level)
    defer { lull_set_simd_level(2) }
    let sizes = [
      (64, 64, 64), (65, 77, 100), (200, 1000, 60), (7, 300, 50), (310, 515, 300), (20, 2000, 30),
      (1000, 1100, 40), (2000, 1, 30), (1, 2000, 30), (1025, 33, 515),
    ]
    for (m, n, k) in sizes {
      for dtype in [DType.float32, .float16, .bfloat16] {
        for isInterpreted in [false, true] {
          lull_set_jit(isInterpreted ? 0 : 1)
          defer { lull_set_jit(1) }
          for way in 0..<6 {
            let a = try operand(m, k, dtype, 0, seed: 5),
              b = try operand(k, n, dtype, way % 2, seed: 6)
            var results: [[NDArray]] = []
            for isFused in [true, false] {
              let product = try matmul(a, b)
              if !isFused { try product.eval() }
              let outputs = try followed(product, way, dtype)
              try evaluate(outputs)
              results.append(outputs)
            }
            for (x, y) in zip(results[0], results[1]) {
              #expect(x.dtype == y.dtype)
              #expect(try x.floats() == y.floats(), "\(m) x \(n) x \(k), \(dtype), way \(way)")
            }
          }
        }
      }
    }
  }

  @Test func epiloguesLeaveOthersAlone() throws {
    let a = try operand(100, 50, .float32, 0, seed: 7),
      b = try operand(50, 120, .float32, 0, seed: 8)
    let zero = try NDArray(.float(0), dtype: .float32)
    // The product is one of the results.
    let product = try matmul(a, b), rectified = try maximum(product, zero)
    try evaluate([rectified, product])
    #expect(try rectified.floats() == product.floats().map { Swift.max($0, 0) })
    // Held, but not asked for: it is there afterwards.
    let held = try matmul(a, b), after = try maximum(held, zero)
    try after.eval()
    #expect(try after.floats() == held.floats().map { Swift.max($0, 0) })
    #expect(try held.floats() == product.floats())
    // One kernel, and its operations in their order, where our kernels do the product.
    let isOurs = lull_gemm_works(Int32(DType.float32.rawValue)) != 0
    let records = try Recorder.evaluate([maximum(add(matmul(a, b), zero), zero)])
    #expect(records.count == (isOurs ? 1 : 2))
    #expect(records.flatMap(\.operations) == ["matmul", "add", "maximum"])
    #expect(records.first?.isFused == isOurs)
    // A gradient passes, and sees the product as it was.
    let gradient = try grad([a]) { (x) throws(ArrayError) in
      try sum(square(tanh(multiply(matmul(x[0], b), NDArray(.float(0.01), dtype: .float32)))))
    }[0]
    let y = try multiply(product, NDArray(.float(0.01), dtype: .float32))
    let t = tanh(y)
    let inner = try multiply(t, subtract(NDArray(.float(1), dtype: .float32), square(t)))
    let expected = try matmul(
      multiply(inner, NDArray(.float(0.02), dtype: .float32)), swapaxes(b, 0, 1)
    ).floats()
    #expect(
      zip(try gradient.floats(), expected).allSatisfy {
        Swift.abs($0 - $1) < 1e-4 + 1e-3 * Swift.abs($1)
      })
  }

  @Test func interruptedEpiloguesEvaluateToTheSame() throws {
    let a = try operand(700, 700, .float32, 0, seed: 9),
      b = try operand(700, 700, .float32, 0, seed: 10)
    func graph() throws -> NDArray {
      var x = a
      for _ in 0..<4 {
        x = try tanh(multiply(matmul(x, b), NDArray(.float(0.001), dtype: .float32)))
      }
      return x
    }
    let expected = try graph().floats()
    for delay in stride(from: 50, to: 20000, by: 1500) {
      let again = try graph()
      let flag = Thread {
        usleep(useconds_t(delay))
        lull_interrupt_set(1)
      }
      flag.start()
      _ = try? again.eval()
      while !flag.isFinished { usleep(50) }
      lull_interrupt_set(0)
      #expect(try again.floats() == expected)
    }
  }
}

/// Whole numbers from -2 to 2; way 1: the columns are contiguous, way 2: every second row and column.
private func operand(_ rows: Int, _ columns: Int, _ dtype: DType, _ way: Int, seed: UInt64) throws
  -> NDArray
{
  var state = seed
  func next() -> Float {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Float(Int(state >> 60) % 5) - 2
  }
  let (r, c) = way == 2 ? (2 * rows, 2 * columns) : way == 1 ? (columns, rows) : (rows, columns)
  let whole = try NDArray((0..<(r * c)).map { _ in next() }).reshaped([r, c]).astype(dtype)
  try whole.eval()
  switch way {
  case 1: return try swapaxes(whole, 0, 1)
  case 2: return try slice(whole, [SliceRange(0, nil, 2), SliceRange(0, nil, 2)])
  default: return whole
  }
}

/// What a program may do with a product: with rows, columns and arrays of its shape, in its dtype and
/// in others, through a reshape, with more than one result.
private func followed(_ product: NDArray, _ way: Int, _ dtype: DType) throws -> [NDArray] {
  let (m, n) = (product.shape[0], product.shape[1])
  let row = try NDArray.arange(.int(0), .int(n), dtype: .float32).astype(dtype)
  let half = try NDArray(.float(0.5), dtype: dtype), zero = try NDArray(.float(0), dtype: dtype)
  switch way {
  case 0: return [try maximum(add(product, row), zero)]
  case 1:
    let residual = try operand(m, n, dtype, 1, seed: 11)
    return [try add(multiply(tanh(multiply(product, half)), product), residual)]
  case 2:
    let column = try NDArray.arange(.int(0), .int(m), dtype: .float32).astype(dtype).reshaped([
      m, 1,
    ])
    return [try greater(add(product, column), half)]
  case 3: return [try multiply(product, half).astype(.float64)]
  case 4:
    let batch = try product.reshaped(m % 5 == 0 ? [5, m / 5, n] : [1, m, n])
    return [try sigmoid(add(batch, row))]
  default:
    let first = try add(product, row)
    return [first, try maximum(first, zero), try multiply(first, product)]
  }
}
