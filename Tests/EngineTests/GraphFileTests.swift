import Testing

@testable import Engine

/// Files of exported functions that are cut short or changed: an error or a function, never a fault.
extension AllEngineTests {
  private static func sample() throws -> (bytes: [UInt8], inputs: [NDArray]) {
    let x = try Input([3, 4]).array(.float32, 1)
    let index = try NDArray([0, 2], dtype: .int64)
    let table = try Input([4, 5]).array(.float32, 2)
    func f(_ v: [NDArray]) throws(ArrayError) -> [NDArray] {
      let y = try matmul(v[0], table)
      let wide = try tile(y, [1, 13])  // [3, 65]
      let (codes, scales, _) = try quantize(
        slice(wide, [SliceRange(), SliceRange(0, 64)]), group: 32, bits: 4)
      let taken = try take(sort(y), v[1], axis: 0)
      return [
        try softmax(taken, axes: [-1]), try cumsum(y, axis: 1), codes, scales,
        try asStrided(v[0], shape: [2, 2], strides: [4, 1], offset: 1),
      ]
    }
    let trace = PlanTrace([x, index], isShapeless: false)
    defer { trace.end() }
    let plan = try trace.finish(try f(trace.placeholders), op: "export_function")
    var file = GraphFile(isShapeless: false, metadata: "text")
    file.traces.append(GraphFile.Trace(plan: plan, positionalCount: 1, keywords: ["index"]))
    return (try file.bytes(), [x, index])
  }

  private static func read(_ bytes: [UInt8], _ inputs: [NDArray]) {
    do {
      let file = try bytes.withUnsafeBytes { (raw) throws(ArrayError) -> GraphFile in
        try GraphFile(bytes: raw)
      }
      for trace in file.traces {
        let entries = trace.plan.inputEntries
        guard entries.count == inputs.count,
          zip(entries, inputs).allSatisfy({ $0.shape == $1.shape && $0.dtype == $1.dtype })
        else { continue }
        for y in try trace.plan.run(inputs) { try y.eval() }
      }
    } catch {}
  }

  @Test func damagedGraphFiles() throws {
    let (bytes, inputs) = try AllEngineTests.sample()
    let file = try bytes.withUnsafeBytes { raw throws(ArrayError) in try GraphFile(bytes: raw) }
    #expect(file.metadata == "text" && file.traces[0].keywords == ["index"])
    for y in try file.traces[0].plan.run(inputs) { try y.eval() }
    for n in 0..<bytes.count {
      #expect(throws: ArrayError.self) {
        try bytes[..<n].withUnsafeBytes { raw throws(ArrayError) in try GraphFile(bytes: raw) }
      }
    }
    var state: UInt64 = 7
    func next(_ n: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % n
    }
    for _ in 0..<4000 {
      var changed = bytes
      for _ in 0...next(3) {
        let place = next(changed.count)
        changed[place] = next(3) == 0 ? UInt8(next(256)) : changed[place] ^ UInt8(1 << next(8))
      }
      AllEngineTests.read(changed, inputs)
    }
  }

  @Test func checkpointKeepsNothingInBetween() throws {
    let x = try NDArray([Double](repeating: 0.5, count: 1 << 16), dtype: .float32)
    @Sendable func deep(_ v: [NDArray]) throws(ArrayError) -> [NDArray] {
      var y = v[0]
      // Softmax does not fuse, so each step has memory of its own.
      for _ in 0..<20 { y = try softmax(multiply(y, y), axes: [-1]) }
      return [try sum(y)]
    }
    func peak(_ f: @escaping ([NDArray]) throws(ArrayError) -> [NDArray]) throws -> (Int, [Double])
    {
      let before = Memory.active
      Memory.resetPeak()
      // The values are computed inside the trace, as a loop that prints its loss does.
      let leaves = beginTrace([x])
      var kept: [NDArray] = []
      defer { endTrace(kept) }
      let y = try f(leaves)
      try y[0].eval()
      let held = Memory.active - before
      let g = try vjp(outputs: y, inputs: leaves, cotangents: [NDArray.ones(Shape())])
      kept = y + g
      return (held, try g[0].doubles())
    }
    let (plain, a) = try peak(deep)
    let (saved, b) = try peak { (v) throws(ArrayError) in try checkpoint(v, deep) }
    #expect(saved * 10 < plain, "\(saved) bytes held with checkpoint, \(plain) without")
    for (p, q) in zip(a, b) { #expect(p == q) }
  }

  @Test func compiledMergesEqualSteps() throws {
    let x = try NDArray([1.0, 2.0])
    let trace = PlanTrace([x], isShapeless: false)
    defer { trace.end() }
    let v = trace.placeholders[0]
    let one = try add(v, NDArray(.float(1)))
    let other = try add(v, NDArray(.float(1)))
    _ = exp(v)  // needed by nobody
    let plan = try trace.finish([try multiply(one, other)])
    #expect(plan.steps.count == 2 && plan.constants.count == 1)
    #expect(try plan.run([x])[0].doubles() == [4, 9])
  }
}
