// Linear algebra: what its primitives share, and the products and norms made of other operations.
//
// Each factorisation works on the last two dimensions; the others are a batch, whose matrices the
// pool's threads share out, LAPACK on one thread in each. A large matrix alone is given to LAPACK
// with all threads. float32 and float64 are taken, complex numbers too where it is said.
//
// A matrix that has no result (a singular one to invert, one that is not positive definite) is an
// error of the evaluation, with the place that asked for it.

import COpenBLAS
import Glibc
import Kernels

/// LAPACK counts with 32 bits; workspaces of the decompositions go with the square.
private let largestMatrix = 16384

enum LinearAlgebra {
  /// The letter that LAPACK's routines have for a dtype.
  static func letter(_ dtype: DType) -> CChar {
    switch dtype {
    case .float32: CChar(UInt8(ascii: "s"))
    case .float64: CChar(UInt8(ascii: "d"))
    case .complex128: CChar(UInt8(ascii: "z"))
    default: CChar(UInt8(ascii: "c"))
    }
  }

  static func require(_ op: OperationName) throws(ArrayError) {
    try requireBLAS()
    if lull_lapack_load() != 0 {
      throw .argument(op: op, message: "the OpenBLAS library has no LAPACK")
    }
  }

  /// Calls `body(i)` for each matrix of a batch; the first that gives something else than 0 is
  /// returned, with what it gave. `side` decides whether one matrix is worth all threads.
  static func forEach(
    _ op: OperationName, _ count: Int, side: Int, threadsFrom: Int = 1024,
    _ body: @escaping (Int) -> Int32
  ) throws(ArrayError) -> (matrix: Int, info: Int32)? {
    try require(op)
    let threads = Int(lull_thread_count())
    let results = MatrixResults(count: count)
    let operations = count.multipliedReportingOverflow(by: side &* side &* side)
    if !operations.overflow, operations.partialValue < 50_000 {
      for i in 0..<count { results.codes[i] = body(i) }
    } else if side < 256 || count > 1 && side < threadsFrom {
      parallelFor(count) { i, _ in results.codes[i] = body(i) }
    } else {
      let isDone = interruptibly {
        if side >= threadsFrom { lull_lapack_threads(Int32(threads)) }
        for i in 0..<count where lull_interrupt_raised() == 0 { results.codes[i] = body(i) }
        lull_lapack_threads(1)
      }
      if !isDone { throw .interrupted }
    }
    let failures = results.codes
    if lull_interrupt_raised() != 0 { throw .interrupted }
    guard let i = failures.firstIndex(where: { $0 != 0 }) else { return nil }
    if failures[i] == Int32(lullLapackMemory) {
      throw .argument(op: op, message: "not enough memory for the workspace of LAPACK")
    }
    return (i, failures[i])
  }

  /// Runs `work`, which nothing can stop, on a thread of its own; false when an interrupt came first. The thread then goes on by
  /// itself, and what it works on lives until it is done.
  private static func interruptibly(_ work: @escaping () -> Void) -> Bool {
    DetachedWork.collect()
    guard let task = DetachedWork(work) else {
      work()
      return true
    }
    return task.wait()
  }

  /// `matrix 3 ` where there are several, for messages.
  static func which(_ i: Int, of count: Int) -> String {
    count > 1 ? "matrix \(i) of the batch" : "the matrix"
  }

  /// The checks of every factorisation.
  static func check(
    _ x: NDArray, _ op: OperationName, square: Bool = true, complex: Bool = false
  ) throws(ArrayError) {
    guard x.dtype == .float32 || x.dtype == .float64 || (complex && x.dtype.isComplex) else {
      throw .argument(
        op: op,
        message: "needs float32" + (complex ? ", float64 or complex64" : " or float64")
          + ", but the array has dtype \(x.dtype.name); convert it with astype")
    }
    guard x.rank >= 2 else {
      throw .rank(op: op, shape: x.shape.array, needed: "at least two dimensions")
    }
    let (m, n) = (x.shape[x.rank - 2], x.shape[x.rank - 1])
    if square && m != n {
      throw .rank(op: op, shape: x.shape.array, needed: "square matrices")
    }
    guard Swift.min(m, n) <= largestMatrix, Swift.max(m, n) < 1 << 27 else {
      throw .tooLarge(op: op, shape: x.shape.array)
    }
  }
}

/// A factorisation treats all axes but the last two as a batch already.
protocol MatrixPrimitive: Primitive {}
extension MatrixPrimitive {
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    try batch.same(out, self)
  }
}
protocol MatrixMultiPrimitive: MultiOutputPrimitive {}
extension MatrixMultiPrimitive {
  func vmapMultiple(_ out: NDArray, _ outputs: [(Shape, DType)], _ batch: Batch)
    throws(ArrayError) -> [NDArray]
  {
    var shapes: [Shape] = []
    for output in outputs { shapes.append(try batch.shape(output.0)) }
    return NDArray.outputs(
      of: self, shapes: shapes, dtypes: outputs.map { $0.1 }, inputs: [try batch.full(0)])
  }
}

/// A cotangent, zero where there is none.
func orZero(_ cotangent: NDArray?, like x: NDArray) throws(ArrayError) -> NDArray {
  if let cotangent { return cotangent }
  return try NDArray.zeros(x.shape, dtype: x.dtype)
}

extension NDArray {
  /// The number of matrices in the last two dimensions.
  var matrixCount: Int {
    (0..<Swift.max(rank - 2, 0)).reduce(1) { $0 * shape[$1] }
  }
  var rows: Int { shape[rank - 2] }
  var columns: Int { shape[rank - 1] }

  /// The last two dimensions exchanged.
  var transposed: NDArray {
    get throws(ArrayError) { try swapaxes(self, -1, -2) }
  }

  /// An evaluated row-major copy of an evaluated array, which nobody else has.
  func ownCopy() throws(ArrayError) -> NDArray {
    let copy = try NDArray(uninitialized: shape, dtype: dtype)
    if size > 0 { copyStrided(from: self, to: copy) }
    return copy
  }

  /// A copy with the last two dimensions exchanged in memory: its columns lie in one piece.
  func columnMajorCopy() throws(ArrayError) -> NDArray { try exchanged.ownCopy() }

  /// The evaluated array seen with its last two dimensions exchanged.
  var exchanged: NDArray {
    var (turned, steps) = (shape, strides)
    (turned[rank - 2], turned[rank - 1]) = (columns, rows)
    (steps[rank - 2], steps[rank - 1]) = (strides[rank - 1], strides[rank - 2])
    return NDArray(buffer: memory, offset: offset, shape: turned, strides: steps, dtype: dtype)
  }

  func matrix(_ i: Int) -> UnsafeMutableRawPointer {
    pointer + i * rows * columns * dtype.byteCount
  }
}

// MARK: - Norms and products

/// The order of a norm: a number or a name.
public enum NormOrder: Sendable {
  case number(Double)
  case frobenius, nuclear
}

private func euclidean(_ x: NDArray, _ axes: [Int], _ keepdims: Bool) throws(ArrayError) -> NDArray
{
  let squares = x.dtype.isComplex ? square(abs(x)) : square(x)
  return sqrt(try sum(squares, axes: axes, keepdims: keepdims))
}

private func singularValues(_ x: NDArray, _ row: Int, _ column: Int) throws(ArrayError) -> NDArray {
  let rest = (0..<x.rank).filter { $0 != row && $0 != column }
  return try svdValues(transpose(x, rest + [row, column]))
}

/// The norm of an array's vectors (one axis), matrices (two), or of all of it.
public func norm(
  _ x: NDArray, _ order: NormOrder? = nil, axes: [Int]? = nil, keepdims: Bool = false
) throws(ArrayError) -> NDArray {
  let op: OperationName = "linalg.norm"
  guard let order else {
    guard let axes else {
      let whole = try euclidean(flatten(x), [0], false)
      return try keepdims ? whole.reshaped(Shape(repeating: 1, count: x.rank)) : whole
    }
    guard axes.count <= 2 else {
      throw .argument(op: op, message: "takes one or two axes, not \(axes.count)")
    }
    return try euclidean(x, axes, keepdims)
  }
  let dtype = x.dtype.inexact
  let given = axes ?? Array(0..<x.rank)
  var places: [Int] = []
  for axis in given { places.append(try x.axis(axis, op: op)) }
  func real(_ y: NDArray) -> NDArray { y.astype(dtype.realPart) }

  if places.count == 1 {
    guard case .number(let p) = order else {
      throw .argument(op: op, message: "the norm of this name is one of matrices: give two axes")
    }
    switch p {
    case 0:
      let zero = try NDArray.weak(.int(0), like: x.dtype)
      return real(try sum(notEqual(x, zero), axes: places, keepdims: keepdims))
    case 1: return real(try sum(abs(x), axes: places, keepdims: keepdims))
    case 2: return try euclidean(x, places, keepdims)
    case .infinity: return real(try max(abs(x), axes: places, keepdims: keepdims))
    case -.infinity: return real(try min(abs(x), axes: places, keepdims: keepdims))
    default:
      let y = real(abs(x))
      let powers = try power(y, NDArray.weak(.float(p), like: y.dtype))
      return try power(
        sum(powers, axes: places, keepdims: keepdims), NDArray.weak(.float(1 / p), like: y.dtype))
    }
  }
  guard places.count == 2 else {
    throw .argument(op: op, message: "takes one or two axes, not \(places.count)")
  }
  guard places[0] != places[1] else { throw .duplicateAxis(op: op, axes: given) }
  let (row, column) = (places[0], places[1])
  func shaped(_ y: NDArray) throws(ArrayError) -> NDArray {
    try keepdims ? expandDims(y, places.sorted()) : y
  }
  func extreme(_ summed: Int, _ left: Int, _ largest: Bool) throws(ArrayError) -> NDArray {
    let sums = try sum(abs(x), axes: [summed], keepdims: true)
    let result =
      try largest
      ? max(sums, axes: [left], keepdims: true) : min(sums, axes: [left], keepdims: true)
    return real(try keepdims ? result : squeeze(result, places))
  }
  switch order {
  case .frobenius: return try euclidean(x, places, keepdims)
  case .nuclear:
    return try shaped(sum(singularValues(x, row, column), axes: [-1]))
  case .number(1): return try extreme(row, column, true)
  case .number(-1): return try extreme(row, column, false)
  case .number(.infinity): return try extreme(column, row, true)
  case .number(-.infinity): return try extreme(column, row, false)
  case .number(2): return try shaped(max(singularValues(x, row, column), axes: [-1]))
  case .number(-2): return try shaped(min(singularValues(x, row, column), axes: [-1]))
  case .number(let p):
    throw .argument(op: op, message: "there is no matrix norm of order \(p)")
  }
}

/// The cross product of vectors with two or three elements along an axis.
public func cross(_ a: NDArray, _ b: NDArray, axis: Int = -1) throws(ArrayError) -> NDArray {
  let op: OperationName = "linalg.cross"
  if let made = try Tracing.recorded(.crossed(axis), [a, b]) { return made[0] }
  let (p, q) = (try a.axis(axis, op: op), try b.axis(axis, op: op))
  for (x, place) in [(a, p), (b, q)] where x.shape[place] != 2 && x.shape[place] != 3 {
    throw .argument(
      op: op, message: "axis \(axis) must have size 2 or 3, but the shape is \(x.shape)")
  }
  let dtype = DType.promoted(a.dtype, b.dtype)
  /// The components, zero where there is no third.
  func parts(_ x: NDArray, _ place: Int) throws(ArrayError) -> [NDArray] {
    let y = x.astype(dtype)
    var result: [NDArray] = []
    for i in 0..<x.shape[place] {
      result.append(try slice(y, axis: place, from: i, to: i + 1))
    }
    return result
  }
  let (x, y) = (try parts(a, p), try parts(b, q))
  func minor(_ i: Int, _ j: Int) throws(ArrayError) -> NDArray? {
    let first = i < x.count && j < y.count ? try multiply(x[i], y[j]) : nil
    let second = j < x.count && i < y.count ? try multiply(x[j], y[i]) : nil
    if let first {
      return try second.map { (s) throws(ArrayError) in try subtract(first, s) } ?? first
    }
    return try second.map { (s) throws(ArrayError) in try negative(s) }
  }
  let last = try subtract(multiply(x[0], y[1]), multiply(x[1], y[0]))
  let zero = try NDArray.zeros(last.shape, dtype: dtype)
  let components = [try minor(1, 2) ?? zero, try minor(2, 0) ?? zero, last]
  return try concatenate(components, axis: axis < 0 ? last.rank + axis : p)
}

/// What each matrix of a batch gave.
private final class MatrixResults: @unchecked Sendable {
  var codes: [Int32]
  init(count: Int) { codes = [Int32](repeating: 0, count: count) }
}

/// Work on another thread, and the wait for it. The thread holds no reference: memory is given back by the engine's thread alone.
private final class DetachedWork: @unchecked Sendable {
  private let work: () -> Void
  private var isDone = false
  private var mutex = pthread_mutex_t()
  private var condition = pthread_cond_t()
  private var thread = pthread_t()
  /// What was given up and still runs.
  nonisolated(unsafe) private static var left: [DetachedWork] = []

  /// Starts; nil when there is no thread to be had.
  init?(_ work: @escaping () -> Void) {
    self.work = work
    pthread_mutex_init(&mutex, nil)
    pthread_cond_init(&condition, nil)
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setstacksize(&attributes, 64 << 20)
    // Signals are for the thread that waits.
    var all = sigset_t()
    var old = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_BLOCK, &all, &old)
    let failed = pthread_create(
      &thread, &attributes,
      { argument in
        if let argument {
          let task = Unmanaged<DetachedWork>.fromOpaque(argument)
          task._withUnsafeGuaranteedRef { task in
            task.work()
            pthread_mutex_lock(&task.mutex)
            task.isDone = true
            pthread_cond_signal(&task.condition)
            pthread_mutex_unlock(&task.mutex)
          }
        }
        return nil
      }, Unmanaged.passUnretained(self).toOpaque())
    pthread_sigmask(SIG_SETMASK, &old, nil)
    if failed != 0 { return nil }
  }

  deinit {
    pthread_mutex_destroy(&mutex)
    pthread_cond_destroy(&condition)
  }

  /// True when it is done, false when an interrupt came before.
  func wait() -> Bool {
    pthread_mutex_lock(&mutex)
    while !isDone, lull_interrupt_stops() == 0 {
      var limit = timespec()
      clock_gettime(CLOCK_REALTIME, &limit)
      limit.tv_nsec += 10_000_000
      if limit.tv_nsec >= 1_000_000_000 {
        limit.tv_nsec -= 1_000_000_000
        limit.tv_sec += 1
      }
      pthread_cond_timedwait(&condition, &mutex, &limit)
    }
    let done = isDone
    pthread_mutex_unlock(&mutex)
    if done { pthread_join(thread, nil) } else { DetachedWork.left.append(self) }
    return done
  }

  /// Lets go of what has ended since it was given up.
  static func collect() {
    left.removeAll { task in
      pthread_mutex_lock(&task.mutex)
      let done = task.isDone
      pthread_mutex_unlock(&task.mutex)
      if done { pthread_join(task.thread, nil) }
      return done
    }
  }
}
