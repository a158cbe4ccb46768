import Engine
import Glibc
import Testing

/// The engine against the reference values of make_reference.py, which writes reference.bin.
@Suite(.serialized) struct EngineTests {
  @Test func reference() throws {
    let file = #filePath
    let folder = file[..<(file.lastIndex(of: "/") ?? file.endIndex)]
    let (count, failures) = try referenceFailures(path: "\(folder)/reference.bin")
    #expect(count > 10_000)
    #expect(failures.isEmpty, "\(failures.prefix(5).joined(separator: "\n"))")
  }

  @Test func secondDerivative() throws {
    let x = try NDArray([0.5, 1.5], dtype: .float64)
    let g = try grad([x]) { (v) throws(ArrayError) in
      try sum(
        grad([v[0]]) { (q) throws(ArrayError) in
          try sum(multiply(multiply(q[0], q[0]), q[0]))
        }[0])
    }
    #expect(try g[0].doubles() == [3, 9])
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
    #expect { try bad.eval() } throws: {
      ($0 as? ArrayError)?.fact
        == .indexOutOfRange(op: "take", index: 5, axis: 0, size: 3)
    }
  }
}
