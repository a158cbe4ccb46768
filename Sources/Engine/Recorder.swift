// What an evaluation did: a record for every kernel it ran, and where numbers stopped being finite.
//
// Both watch the evaluator's groups from outside. Recording changes nothing about how groups are
// made, so that its times and bytes are those of an ordinary evaluation; tracing evaluates node by
// node, so that a NaN is found where it is born and not at the end of a fused kernel.

import Kernels

#if canImport(Glibc)
  import Glibc
#endif

/// One kernel of an evaluation.
public struct KernelRecord: Sendable {
  /// The operations that it computed, in their order.
  public let operations: [String]
  /// The shape and dtype of its result (of the last one, where it has several).
  public let shape: [Int]
  public let dtype: DType
  /// Bytes of the distinct elements that it read and of the memory that it filled; a view moves none.
  public let bytesRead: Int
  public let bytesWritten: Int
  /// Arithmetic operations: one an element for elementwise ones, 2 m n k for a matrix product.
  public let operationCount: Int
  public let seconds: Double
  /// Where in the program the operations were built.
  public let positions: [UInt64]
  /// Elementwise operations fused to one program; compiled to machine code or interpreted.
  public let isFused: Bool
  /// The nodes that it computed, by the `NDArray.identity` that they had.
  public let nodes: [UInt]

  /// The part of the machine's limit that was reached: the least time in which the memory could
  /// move the bytes and the processor do the operations, over the time that it took.
  public func shareOfLimit(_ limits: MachineLimits) -> Double {
    let needed = Swift.max(
      Double(bytesRead + bytesWritten) / limits.bytesPerSecond,
      Double(operationCount) / limits.operationsPerSecond)
    return seconds > 0 ? needed / seconds : 0
  }
}

/// What this machine's memory and arithmetic reach, measured once (some 100 ms).
public struct MachineLimits: Sendable {
  /// Bytes read from memory in a second by all threads.
  public let bytesPerSecond: Double
  /// float32 multiplications and additions in a second by all threads (a fused one is two).
  public let operationsPerSecond: Double

  public static let measured: MachineLimits = MachineLimits(
    bytesPerSecond: lull_measure_bandwidth(), operationsPerSecond: lull_measure_arithmetic())
}

public enum Recorder {
  nonisolated(unsafe) private static var records: [KernelRecord] = []

  /// Evaluates the arrays and says which kernels that took.
  public static func evaluate(_ arrays: [NDArray]) throws(ArrayError) -> [KernelRecord] {
    let before = Evaluator.watch
    let outer = records
    Evaluator.watch = .record
    records = []
    defer {
      Evaluator.watch = before
      records = outer
    }
    try Engine.evaluate(arrays)
    return records
  }

  /// Evaluates the arrays node by node; throws `.notFinite` at the first operation whose result has
  /// a NaN (or an infinity, unless `nanOnly`) while its inputs have none.
  public static func checkFinite(_ arrays: [NDArray], nanOnly: Bool) throws(ArrayError) {
    let before = Evaluator.watch
    Evaluator.watch = nanOnly ? .findNaN : .findNonFinite
    defer { Evaluator.watch = before }
    try Engine.evaluate(arrays)
    for array in arrays {
      if let found = firstNonFinite(array, nanOnly: nanOnly) {
        throw .notFinite(
          op: "array", value: found.value, index: found.index, shape: array.shape.array)
      }
    }
  }

  static func add(_ record: KernelRecord) { records.append(record) }

  static func firstNonFinite(_ x: NDArray, nanOnly: Bool) -> (value: String, index: [Int])? {
    guard x.dtype.isInexact, x.size > 0, let whole = try? x.rowContiguous() else { return nil }
    let place = lull_first_non_finite(
      whole.pointer, Int32(x.dtype.rawValue), Int64(x.size), nanOnly ? 1 : 0)
    if place < 0 { return nil }
    var rest = Int(place >> 1)
    var index = [Int](repeating: 0, count: x.rank)
    for axis in (0..<x.rank).reversed() {
      index[axis] = rest % x.shape[axis]
      rest /= x.shape[axis]
    }
    return (place & 1 == 1 ? "nan" : "inf", index)
  }

  /// Bytes of the distinct elements that an evaluated array shows.
  static func distinctBytes(_ x: NDArray) -> Int {
    var count = 1
    for axis in 0..<x.rank where x.strides[axis] != 0 || x.shape[axis] <= 1 {
      count *= x.shape[axis]
    }
    return count * x.dtype.byteCount
  }

  static func now() -> Double {
    var t = timespec()
    clock_gettime(CLOCK_MONOTONIC, &t)
    return Double(t.tv_sec) + Double(t.tv_nsec) * 1e-9
  }
}
