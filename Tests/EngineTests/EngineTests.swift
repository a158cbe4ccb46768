import Engine
import Foundation
import Kernels
import Testing

/// Everything that uses the engine runs one test after the other: graphs belong to one thread.
@Suite(.serialized) struct AllEngineTests {}

extension AllEngineTests {
  /// The engine against the reference values of make_reference.py, at every level of SIMD.
  @Test(arguments: [Int32(2), 1, 0]) func reference(level: Int32) throws {
    lull_set_simd_level(level)
    defer { lull_set_simd_level(2) }
    let file = #filePath
    let folder = file[..<(file.lastIndex(of: "/") ?? file.endIndex)]
    let (count, failures) = try referenceFailures(path: "\(folder)/reference.bin")
    #expect(count > 10_000)
    #expect(
      failures.isEmpty, "\(failures.count) failures: \(failures.prefix(5).joined(separator: "\n"))")
  }

  @Test func longChainsAreFreed() throws {
    let one = try NDArray([1.0])
    var x = one
    for _ in 0..<500_000 { x = try add(one, x) }
    x = one
    #expect(try x.item() == .float(1))
  }

  @Test func indexErrorsNameTheIndex() throws {
    let x = try NDArray([1, 2, 3])
    let bad = try take(x, NDArray([5]), axis: 0)
    #expect {
      try bad.eval()
    } throws: {
      ($0 as? ArrayError)?.fact == .indexOutOfRange(op: "take", index: 5, axis: 0, size: 3)
    }
  }

  @Test func longScansMatchShortOnes() throws {
    let n = 600_000
    let x = try NDArray((0..<n).map { ($0 &* 7919) % 13 - 6 })
    let total = try cumsum(x, axis: 0).ints()
    var sum = 0
    var wrong = 0
    for (i, value) in try x.ints().enumerated() {
      sum += value
      if total[i] != sum { wrong += 1 }
    }
    #expect(wrong == 0)
    for dtype in [DType.complex64, .complex128] {
      let z = try add(x.astype(dtype), NDArray(.complex(0, 1), dtype: dtype))
      let ends = try slice(cumsum(z, axis: 0), [SliceRange(n - 1, n)])
      #expect(try ends.reshaped([]).item() == .complex(Double(sum), Double(n)))
    }
  }

  @Test func theMemoryLimitIsKept() throws {
    let saved = Memory.limit
    defer { Memory.limit = saved }
    Memory.limit = Memory.active + (8 << 20)
    let x = try NDArray.arange(.int(0), .int(1000), dtype: .float32)
    let large = try add(
      x.broadcast(to: [10_000, 1000]), NDArray(.float(1), dtype: .float32))
    #expect {
      try large.eval()
    } throws: {
      if case .memory = ($0 as? ArrayError)?.fact { true } else { false }
    }
    Memory.limit = saved
    #expect(try large.at([.int(9999), .int(7)]).item() == .float(8))
  }

  @Test func anInterruptStopsAtOnceAndLosesNothing() throws {
    let n = 1 << 20
    let start = try NDArray.arange(.int(0), .int(n), dtype: .float32)
    try start.eval()
    var x = start
    // Some seconds of work in kernels of many kinds, several of which write in place.
    for i in 0..<400 {
      x = try sin(add(x, NDArray(.float(0.5), dtype: .float32)))
      x = try cumsum(x, axis: 0)
      x = try sliceUpdate(
        x, NDArray(.float(Double(i)), dtype: .float32), [SliceRange(i, n, 7)])
      x = try sort(x)
    }
    let flag = Thread {
      usleep(100_000)
      lull_interrupt_set(1)
    }
    flag.start()
    let clock = ContinuousClock()
    let begin = clock.now
    #expect {
      try x.eval()
    } throws: {
      ($0 as? ArrayError)?.fact == .interrupted
    }
    let elapsed = clock.now - begin
    lull_interrupt_set(0)
    #expect(elapsed < .milliseconds(250), "stopped after \(elapsed)")
    #expect(!x.isEvaluated)
    #expect(try start.at([.int(n - 1)]).item() == .float(Double(n - 1)))
    x = start
  }

  /// The same graph, interrupted at many moments and evaluated again, gives the same values.
  @Test func interruptedGraphsEvaluateToTheSame() throws {
    func graph(_ start: NDArray) throws -> NDArray {
      var x = start
      let picks = try NDArray((0..<5000).map { ($0 &* 37) % 200_000 })
      for i in 0..<12 {
        x = try multiply(x, NDArray(.float(1.0009), dtype: .float32))
        x = try sliceUpdate(
          x, add(slice(x, [SliceRange(i, nil, 5)]), NDArray(.float(1), dtype: .float32)),
          [SliceRange(i, nil, 5)])
        x = try x.updating([.array(picks)], NDArray(.float(3), dtype: .float32), .add)
      }
      return x
    }
    let start = try NDArray.arange(.int(0), .int(200_000), dtype: .float32)
    let expected = try graph(start).floats()
    for delay in stride(from: 50, to: 4000, by: 250) {
      let again = try graph(start)
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

  @Test func lessUsedFunctions() throws {
    let x = try NDArray([3, 1, 2, 3, 1, 1], shape: [2, 3])
    let u = try unique(x)
    #expect(try u.values.ints() == [1, 2, 3])
    #expect(try u.index.ints() == [1, 2, 0])
    #expect(try u.inverse.ints() == [2, 0, 1, 2, 0, 0])
    #expect(try u.counts.ints() == [3, 1, 2])
    #expect(try median(x).item() == .float(1.5))
    #expect(try median(x, axes: [1]).floats() == [2, 1])
    #expect(try topk(x, 2, axis: 1).ints() == [2, 3, 1, 3])
    #expect(
      try searchsorted(NDArray([1, 2, 2, 4]), NDArray([2, 3]), right: true).ints() == [3, 3])
    for dtype in [DType.float64, .int32, .int64, .uint8, .bool] {
      let a = try NDArray([1, 0, 2, 1], shape: [2, 2]).astype(dtype)
      let product = try matmul(a, a)
      #expect(product.dtype == dtype)
      #expect(try product.ints() == (dtype == .bool ? [1, 0, 1, 1] : [1, 0, 4, 1]))
    }
    let key = try Random.key(3)
    for (width, limit) in [(1, 256), (2, 65536)] {
      let bits = try Random.bits([1000], width: width, key: key).ints()
      #expect(bits.allSatisfy { (0..<limit).contains($0) })
      #expect(Set(bits).count > (width == 1 ? 200 : 900))
    }
  }

  /// Vector functions where they are easily wrong: huge, subnormal, infinite and nan arguments.
  @Test(arguments: [Int32(2), 1, 0]) func functionsAtTheEdges(level: Int32) throws {
    lull_set_simd_level(level)
    defer { lull_set_simd_level(2) }
    let points: [Float] = [
      0, -0.0, .leastNonzeroMagnitude, -.leastNonzeroMagnitude, .leastNormalMagnitude / 8,
      .leastNormalMagnitude, 1e-20, 1e-7, 0.5, 1, -1, 2, 10, 50, 87, 88.7,
      89, 100, -87, -88, -103, -104, -150, 1e4, 1e5, -1e5, 1e6, 1e8, 1e10, 1e20, 3.4e38, -3.4e38,
      .infinity, -.infinity, .nan,
    ]
    let x = try NDArray(points)
    let functions: [(String, (NDArray) throws -> NDArray, (Double) -> Double)] = [
      ("exp", { exp($0) }, { Foundation.exp($0) }), ("log", { log($0) }, { Foundation.log($0) }),
      ("sin", { sin($0) }, { Foundation.sin($0) }), ("cos", { cos($0) }, { Foundation.cos($0) }),
      ("tanh", { tanh($0) }, { Foundation.tanh($0) }),
      ("expm1", { expm1($0) }, { Foundation.expm1($0) }),
      ("log1p", { log1p($0) }, { Foundation.log1p($0) }),
      ("log2", { log2($0) }, { Foundation.log2($0) }),
      ("log10", { log10($0) }, { Foundation.log10($0) }),
      ("sigmoid", { try sigmoid($0) }, { 1 / (1 + Foundation.exp(-$0)) }),
      ("erf", { try erf($0) }, { Foundation.erf($0) }),
      ("tan", { tan($0) }, { Foundation.tan($0) }),
      ("arctan", { arctan($0) }, { Foundation.atan($0) }),
      ("sinh", { sinh($0) }, { Foundation.sinh($0) }),
      ("arcsinh", { arcsinh($0) }, { Foundation.asinh($0) }),
      ("sqrt", { sqrt($0) }, { $0.squareRoot() }),
    ]
    for (name, function, exact) in functions {
      for (point, found) in zip(points, try function(x).floats()) {
        let wanted = exact(Double(point))
        let rounded = Float(wanted)
        let isSame = found == rounded || found.isNaN && rounded.isNaN
        let isNear =
          found.isFinite && rounded.isFinite
          && Swift.abs(Double(found) - wanted) <= Swift.max(Swift.abs(wanted) * 5e-7, 2e-45)
        #expect(isSame || isNear, "\(name)(\(point)) = \(found), not \(rounded), level \(level)")
      }
    }
  }
}
