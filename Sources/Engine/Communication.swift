// Communication with the other processes of a run (mx.distributed), over Open MPI.
//
// Communications are nodes of the graph like other operations. All processes of a group must evaluate theirs in the
// same order, which they do when they run the same program. Nothing of MPI is opened before `ProcessGroup.world()` is
// asked for in a run that mpirun started.

import CMPI
import Kernels

/// The processes that work together.
public struct ProcessGroup: Equatable, Sendable {
  let handle: Int32
  public let rank: Int
  public let size: Int

  /// How many processes this run has, as its environment says; 1 without mpirun.
  public static var launchedSize: Int { Int(lull_mpi_launched()) }
  /// This process's number among them.
  public static var launchedRank: Int { launchedSize > 1 ? Int(lull_mpi_launched_rank()) : 0 }
  /// Whether Open MPI is installed; opens it.
  public static var isAvailable: Bool { lull_mpi_load() == 0 }

  /// A group that `split` made, by its number.
  public init?(number: Int) {
    guard number >= 0, number < Int(lull_mpi_groups()) else { return nil }
    self.init(handle: Int32(number))
  }
  public var number: Int { Int(handle) }

  private init(handle: Int32) {
    self.handle = handle
    rank = Int(lull_mpi_rank(handle))
    size = Int(lull_mpi_size(handle))
  }

  /// All processes of the run. Begins communication.
  public static func world() throws(ArrayError) -> ProcessGroup {
    if lull_mpi_start() != 0 { throw failure() }
    return ProcessGroup(handle: 0)
  }

  /// The processes that give the same color, in the order of their keys.
  public func split(color: Int32, key: Int32) throws(ArrayError) -> ProcessGroup {
    let part = lull_mpi_split(handle, color, key)
    if part < 0 { throw ProcessGroup.failure() }
    return ProcessGroup(handle: part)
  }

  static func failure() -> ArrayError { .communication(String(cString: lull_mpi_description())) }

  func check(peer: Int, _ op: OperationName) throws(ArrayError) {
    guard peer >= 0, peer < size, peer != rank else {
      throw .argument(
        op: op,
        message: peer == rank
          ? "process \(peer) is this one"
          : "there is no process \(peer); the group has those from 0 to \(size - 1)")
    }
  }
}

public enum GroupReduction: Sendable {
  case sum, max, min
}

extension DType {
  /// The type in which MPI reduces arrays of this dtype, and how they get there.
  fileprivate var reduced: (dtype: DType, type: LullMPIType) {
    switch self {
    case .bool: (.uint8, lullMPIUInt8)
    case .int8: (.int8, lullMPIInt8)
    case .int16: (.int16, lullMPIInt16)
    case .int32: (.int32, lullMPIInt32)
    case .int64: (.int64, lullMPIInt64)
    case .uint8: (.uint8, lullMPIUInt8)
    case .uint16: (.uint16, lullMPIUInt16)
    case .uint32: (.uint32, lullMPIUInt32)
    case .uint64: (.uint64, lullMPIUInt64)
    case .float16, .bfloat16, .float32: (.float32, lullMPIFloat)
    case .float64: (.float64, lullMPIDouble)
    case .complex64: (.complex64, lullMPIComplex)
    case .complex128: (.complex128, lullMPIDoubleComplex)
    }
  }
}

private func carryOut(_ buffers: [NDArray], _ body: (LullMPIStop) -> Int32) throws(ArrayError) {
  let code = body { lull_interrupt_stops() }
  if code == 0 { return }
  // A communication that was given up still reads and writes its memory.
  if code == Int32(lullMPIStopped) {
    for x in buffers { _ = Unmanaged.passRetained(x) }
    throw .interrupted
  }
  throw ProcessGroup.failure()
}

private struct AllReduce: Primitive {
  let group: ProcessGroup
  let reduction: GroupReduction
  var name: OperationName {
    switch reduction {
    case .sum: "distributed.all_sum"
    case .max: "distributed.all_max"
    case .min: "distributed.all_min"
    }
  }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    let x = try out.input(0).rowContiguous()
    try out.allocate()
    let operation =
      switch reduction {
      case .sum: lullMPISum
      case .max: lullMPIMax
      case .min: lullMPIMin
      }
    try carryOut([x, out]) {
      lull_mpi_all_reduce(
        group.handle, operation, x.dtype.reduced.type, x.pointer, out.pointer, Int64(x.size), $0)
    }
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    guard reduction == .sum else {
      throw .notDifferentiable(op: name, reason: "only all_sum has a gradient")
    }
    return [cotangent]
  }
  func jvp(_ out: NDArray, _ tangents: [NDArray?]) throws(ArrayError) -> NDArray? {
    guard reduction == .sum else {
      throw .notDifferentiable(op: name, reason: "only all_sum has a gradient")
    }
    return try tangents[0].map { (t) throws(ArrayError) in try allReduce(t, .sum, group) }
  }
  func vmap(_ out: NDArray, _ batch: Batch) throws(ArrayError) -> NDArray {
    try batch.same(out, self)
  }
}

/// The sum, largest or smallest of x over the processes, element by element. bool is "any" for sum and max.
public func allReduce(_ x: NDArray, _ reduction: GroupReduction, _ group: ProcessGroup)
  throws(ArrayError) -> NDArray
{
  if x.dtype.isComplex && reduction != .sum {
    throw .dtype(
      op: AllReduce(group: group, reduction: reduction).name, found: x.dtype, needed: "real numbers"
    )
  }
  let (wide, _) = x.dtype.reduced
  let isBool = x.dtype == .bool
  let primitive = AllReduce(group: group, reduction: isBool && reduction == .sum ? .max : reduction)
  return NDArray(primitive, shape: x.shape, dtype: wide, x.astype(wide)).astype(x.dtype)
}

private struct AllGather: Primitive {
  let group: ProcessGroup
  var name: OperationName { "distributed.all_gather" }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    let x = try out.input(0).rowContiguous()
    try out.allocate()
    try carryOut([x, out]) {
      lull_mpi_all_gather(group.handle, x.pointer, out.pointer, Int64(x.byteCount), $0)
    }
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    let x = out.input(0)
    let rows = x.rank == 0 ? 1 : x.shape[0]
    let own = try slice(cotangent, axis: 0, from: group.rank * rows, to: (group.rank + 1) * rows)
    return [try own.reshaped(x.shape)]
  }
  func jvp(_ out: NDArray, _ tangents: [NDArray?]) throws(ArrayError) -> NDArray? {
    try tangents[0].map { (t) throws(ArrayError) in try allGather(t, group) }
  }
}

/// The x of all processes behind each other along the first axis; a scalar becomes a vector.
public func allGather(_ x: NDArray, _ group: ProcessGroup) throws(ArrayError) -> NDArray {
  var shape = x.rank == 0 ? Shape([1]) : x.shape
  let rows = shape[0].multipliedReportingOverflow(by: group.size)
  if rows.overflow { throw .tooLarge(op: "distributed.all_gather", shape: x.shape.array) }
  shape[0] = rows.partialValue
  _ = try shape.elementCount(op: "distributed.all_gather")
  return NDArray(AllGather(group: group), shape: shape, dtype: x.dtype, x)
}

/// This process's part, along the first axis, of the sum of x.
public func sumScatter(_ x: NDArray, _ group: ProcessGroup) throws(ArrayError) -> NDArray {
  guard x.rank > 0, x.shape[0] % group.size == 0 else {
    throw .argument(
      op: "distributed.sum_scatter",
      message: "the first axis of \(x.shape) does not divide into \(group.size) equal parts")
  }
  let rows = x.shape[0] / group.size
  let total = try allReduce(x, .sum, group)
  return try slice(total, axis: 0, from: group.rank * rows, to: (group.rank + 1) * rows)
}

private struct Send: Primitive {
  let group: ProcessGroup
  let peer: Int
  var name: OperationName { "distributed.send" }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    let x = try out.input(0).rowContiguous()
    try carryOut([x]) {
      lull_mpi_send(group.handle, x.pointer, Int64(x.byteCount), Int32(peer), $0)
    }
    out.share(x, strides: x.strides)
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    throw .notDifferentiable(op: name, reason: "what is sent has no gradient")
  }
}

/// x, which is sent when it is evaluated.
public func send(_ x: NDArray, to peer: Int, _ group: ProcessGroup) throws(ArrayError) -> NDArray {
  try group.check(peer: peer, "distributed.send")
  return NDArray(Send(group: group, peer: peer), shape: x.shape, dtype: x.dtype, x)
}

private struct Receive: Primitive {
  let group: ProcessGroup
  let peer: Int
  var name: OperationName { "distributed.recv" }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    try out.allocate()
    try carryOut([out]) {
      lull_mpi_receive(group.handle, out.pointer, Int64(out.byteCount), Int32(peer), $0)
    }
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] { [] }
}

/// What process `peer` sends, when it is evaluated.
public func receive(_ shape: Shape, _ dtype: DType, from peer: Int, _ group: ProcessGroup)
  throws(ArrayError) -> NDArray
{
  try group.check(peer: peer, "distributed.recv")
  _ = try shape.elementCount(op: "distributed.recv")
  return NDArray(Receive(group: group, peer: peer), shape: shape, dtype: dtype, inputs: [])
}
