// The array: one node of the lazy graph.
//
// A node is either evaluated (buffer + byte offset + strides) or pending (the primitive and the
// inputs that will make it). Shape and dtype are known from the start, so mistakes are found when
// the expression is built. Up to three inputs are stored in the node, more in an array.
//
// Invariants:
// - `buffer != nil` means evaluated. An evaluated node has let its inputs go, unless it was
//   made inside a trace (`isTraced`), where the gradient needs the way back.
// - `strides` count elements and may be zero (broadcast) or negative; they mean nothing while
//   the node is pending. Views share the buffer and nobody writes to a buffer that an evaluated
//   array shows: arrays are values.
// - A chain of a million pending nodes is freed without recursion (`deinit`).
// - Everything here belongs to the one thread that builds and evaluates.

import Kernels

public final class NDArray: @unchecked Sendable {
  public let shape: Shape
  public let dtype: DType
  /// The number of elements.
  public let size: Int
  /// The elementwise operation of a pending node that can be fused, or `.none`.
  let op: ElementwiseOp
  /// Made from a tracer inside a gradient's trace: keeps its inputs when it is evaluated.
  public internal(set) var isTraced: Bool
  /// One value everywhere (`zeros`, `full`) without the memory that such an array stands for; it gets that where a
  /// program asks for it, see `evalInMemory`.
  var isFill = false
  /// The innermost trace that it can depend on; what has a lower level than a trace's leaves
  /// does not depend on them.
  var level: Int32
  /// The call of a compiled function that made it; 0 for any other node.
  var call: UInt32 = 0
  var isRowContiguous = false
  /// The primitive is a `Reduction`, which fuses with its input.
  var isReduction = false
  /// It shows the memory of another library; how that lies is part of it.
  public private(set) var keepsStrides = false
  /// While it is computed: its memory was an input's, which it overwrites.
  var hasDonation = false
  /// Of a schedule that a compiled function keeps: it has its inputs for ever, and values only during a call.
  var isKept = false
  /// The kernel that runs is the last to need a kept node's values, and may write over them.
  var isDying = false
  /// False for an argument that somebody else has too.
  var mayDie = true

  public internal(set) var primitive: (any Primitive)?
  var in0: NDArray?
  var in1: NDArray?
  var in2: NDArray?
  var more: [NDArray] = []

  public internal(set) var buffer: Buffer?
  /// In bytes from the buffer's start.
  public internal(set) var offset = 0
  /// In elements.
  public internal(set) var strides: Shape

  /// The source position that made this node; see `currentPosition`.
  public var position: UInt64

  // Notes of the evaluation that is under way; meaningless outside it.
  var mark: UInt32 = 0
  var uses: Int32 = 0
  var group: Int32 = 0
  var slot: Int32 = 0
  var slotMark: UInt32 = 0
  var nextInGroup: Unmanaged<NDArray>?
  /// Its consumer that runs first is a fused group of its shape.
  var joins = false
  /// It is needed outside its group.
  var escapes = false
  /// The group that counted it among its inputs last, and the evaluation.
  private var seenBy: Int32 = -1
  private var seenMark: UInt32 = 0
  func isSeen(by group: Int32, _ mark: UInt32) -> Bool { seenBy == group && seenMark == mark }
  /// The inputs of a product are there before the group that finishes it runs.
  func keepInputs(outOf group: Int32) {
    for i in 0..<inputCount {
      reference(i)._withUnsafeGuaranteedRef { input in
        if input.buffer != nil { return }
        input.escapes = true
        if group >= input.group {
          input.joins = false
          input.group = group
        }
      }
    }
  }
  func seen(by group: Int32, _ mark: UInt32) {
    seenBy = group
    seenMark = mark
  }

  /// A pending node. Shapes and dtypes must have been checked by the caller.
  public init(
    _ primitive: any Primitive, shape: Shape, dtype: DType, _ a: NDArray, _ b: NDArray? = nil,
    _ c: NDArray? = nil
  ) {
    self.primitive = primitive
    self.shape = shape
    self.dtype = dtype
    size = shape.uncheckedElementCount
    op = .none
    strides = Shape()
    in0 = a
    in1 = b
    in2 = c
    position = currentPosition
    isTraced = a.isTraced || (b?.isTraced ?? false) || (c?.isTraced ?? false)
    level = Swift.max(a.level, Swift.max(b?.level ?? 0, c?.level ?? 0))
  }

  /// A pending node with any number of inputs, none included.
  public init(_ primitive: any Primitive, shape: Shape, dtype: DType, inputs: [NDArray]) {
    self.primitive = primitive
    self.shape = shape
    self.dtype = dtype
    size = shape.uncheckedElementCount
    op = .none
    strides = Shape()
    in0 = inputs.count > 0 ? inputs[0] : nil
    in1 = inputs.count > 1 ? inputs[1] : nil
    in2 = inputs.count > 2 ? inputs[2] : nil
    if inputs.count > 3 { more = Array(inputs[3...]) }
    position = currentPosition
    isTraced = inputs.contains { $0.isTraced }
    level = inputs.reduce(0) { Swift.max($0, $1.level) }
  }

  /// A pending elementwise node; the inputs broadcast to `shape`.
  init(
    op: ElementwiseOp, shape: Shape, dtype: DType, _ a: NDArray, _ b: NDArray? = nil,
    _ c: NDArray? = nil
  ) {
    self.op = op
    self.shape = shape
    self.dtype = dtype
    size = shape.uncheckedElementCount
    strides = Shape()
    in0 = a
    in1 = b
    in2 = c
    position = currentPosition
    isTraced = a.isTraced || (b?.isTraced ?? false) || (c?.isTraced ?? false)
    level = Swift.max(a.level, Swift.max(b?.level ?? 0, c?.level ?? 0))
  }

  /// A pending elementwise node of two inputs with one shape.
  init(op: ElementwiseOp, like a: NDArray, dtype: DType, _ b: NDArray) {
    self.op = op
    shape = a.shape
    self.dtype = dtype
    size = a.size
    strides = a.shape
    in0 = a
    in1 = b
    position = currentPosition
    isTraced = a.isTraced || b.isTraced
    level = Swift.max(a.level, b.level)
  }

  /// An evaluated array over a buffer. `strides` are row-major unless given (in elements).
  public init(
    buffer: Buffer, offset: Int = 0, shape: Shape, strides: Shape? = nil, dtype: DType
  ) {
    self.shape = shape
    self.dtype = dtype
    size = shape.uncheckedElementCount
    op = .none
    self.buffer = buffer
    self.offset = offset
    self.strides = strides ?? shape.rowMajorStrides
    isRowContiguous = strides.map { NDArray.isRowMajor(shape, $0) } ?? true
    position = currentPosition
    isTraced = false
    level = 0
  }

  /// An evaluated, row-major array with undefined contents.
  public convenience init(uninitialized shape: Shape, dtype: DType) throws(ArrayError) {
    let byteCount = shape.uncheckedElementCount * dtype.byteCount
    self.init(buffer: try Buffer(byteCount: byteCount), shape: shape, dtype: dtype)
  }

  deinit {
    if in0 == nil { return }
    // Only inputs that die with this node need the loop; others just lose a reference.
    var dying: [NDArray] = []
    takeInputs(into: &dying)
    while var node = dying.popLast() {
      if isKnownUniquelyReferenced(&node) { node.takeInputs(into: &dying) }
    }
  }

  /// Moves the pending inputs out; evaluated ones without inputs are simply released.
  private func takeInputs(into list: inout [NDArray]) {
    if let a = in0 {
      in0 = nil
      if a.in0 != nil { list.append(a) }
    }
    if let b = in1 {
      in1 = nil
      if b.in0 != nil { list.append(b) }
    }
    if let c = in2 {
      in2 = nil
      if c.in0 != nil { list.append(c) }
    }
    if !more.isEmpty {
      list.append(contentsOf: more)
      more = []
    }
  }
}

/// Written by whoever runs the user's program: the source position stamped on each new node.
nonisolated(unsafe) public var currentPosition: UInt64 = 0

// MARK: - Inputs

extension NDArray {
  public var inputCount: Int {
    if in0 == nil { return 0 }
    if in1 == nil { return 1 }
    if in2 == nil { return 2 }
    return 3 + more.count
  }

  public func input(_ i: Int) -> NDArray {
    let own = i == 0 ? in0 : i == 1 ? in1 : i == 2 ? in2 : more[i - 3]
    guard let own else { preconditionFailure("input \(i) of a node with \(inputCount)") }
    return own
  }

  var inputsAreEvaluated: Bool {
    for i in 0..<inputCount
    where reference(i)._withUnsafeGuaranteedRef({ $0.buffer == nil }) { return false }
    return true
  }

  /// An input without counting a reference: for the evaluation, while this node holds it.
  @inline(__always) func reference(_ i: Int) -> Unmanaged<NDArray> {
    switch i {
    case 0: Unmanaged.passUnretained(in0.unsafelyUnwrapped)
    case 1: Unmanaged.passUnretained(in1.unsafelyUnwrapped)
    case 2: Unmanaged.passUnretained(in2.unsafelyUnwrapped)
    default: Unmanaged.passUnretained(more[i - 3])
    }
  }

  public var inputs: [NDArray] { (0..<inputCount).map(input) }

  /// Makes a pending node one that shows another of its shape and dtype, and lets its inputs go.
  func becomeCopy(of other: NDArray) {
    primitive = Reshape()
    in0 = other
    in1 = nil
    in2 = nil
    more = []
  }

  /// Lets the inputs go of a node whose primitive has taken what it needs of them.
  func dropInputs() {
    in0 = nil
    in1 = nil
    in2 = nil
    more = []
  }

  /// Forgets how the array was made; only for evaluated nodes.
  func detach() {
    if op == .none { primitive = nil }
    guard in0 != nil else { return }
    var dying: [NDArray] = []
    takeInputs(into: &dying)
    while var node = dying.popLast() {
      if isKnownUniquelyReferenced(&node) { node.takeInputs(into: &dying) }
    }
  }
}

// MARK: - Storage

extension NDArray {
  public var isEvaluated: Bool { buffer != nil }
  public var rank: Int { shape.count }
  public var byteCount: Int { size * dtype.byteCount }

  /// Compares in place: shapes are too large to be copied for it.
  @inline(__always) func hasShape(of other: NDArray) -> Bool {
    if self === other { return true }
    let count = shape.count
    if count != other.shape.count || size != other.size { return false }
    var i = 0
    while i < count {
      if shape[unchecked: i] != other.shape[unchecked: i] { return false }
      i &+= 1
    }
    return true
  }

  static func isRowMajor(_ shape: Shape, _ strides: Shape) -> Bool {
    var step = 1
    var i = shape.count - 1
    while i >= 0 {
      let dim = shape[i]
      if dim == 0 { return true }
      if dim != 1 && strides[i] != step { return false }
      step &*= dim
      i -= 1
    }
    return true
  }

  /// The first element's address; only for evaluated arrays.
  public var pointer: UnsafeMutableRawPointer { memory.pointer + offset }
  /// The end of the memory that it lies in; only for evaluated arrays.
  var limit: UnsafeMutableRawPointer { memory.pointer + memory.byteCount }
  /// The buffer of an evaluated array.
  @inline(__always) var memory: Buffer {
    guard let buffer else { preconditionFailure("an array without values has no memory") }
    return buffer
  }

  public func pointer<T>(as type: T.Type) -> UnsafeMutablePointer<T> {
    pointer.assumingMemoryBound(to: type)
  }

  /// Gives a pending node fresh row-major memory to write its result to.
  public func allocate() throws(ArrayError) {
    buffer = try Buffer(byteCount: size &* dtype.byteCount)
    offset = 0
    strides.setRowMajor(shape)
    isRowContiguous = true
  }

  /// Like `allocate`, but takes over the buffer of an input that dies with this evaluation, when
  /// that is row-major and of the same size in bytes. True when the memory was taken over.
  @discardableResult
  public func allocate(donating index: Int) throws(ArrayError) -> Bool {
    if takeDonation(index) { return true }
    try allocate()
    return false
  }

  func takeDonation(_ index: Int) -> Bool {
    guard takeOver(index) else { return false }
    hasDonation = true
    lull_interrupt_shield(1)
    return true
  }

  /// The same for a kernel that no interrupt cuts short.
  @inline(__always) func takeOver(_ index: Int) -> Bool {
    if isTraced { return false }
    if isKept { return isLastUse(index) && takeOver(reference(index)) }
    let unique =
      switch index {
      case 0: isKnownUniquelyReferenced(&in0)
      case 1: isKnownUniquelyReferenced(&in1)
      case 2: isKnownUniquelyReferenced(&in2)
      default: false
      }
    return unique && takeOver(reference(index))
  }

  private func isLastUse(_ index: Int) -> Bool {
    let input = reference(index)
    guard input._withUnsafeGuaranteedRef({ $0.isDying }) else { return false }
    for i in 0..<inputCount where i != index && reference(i).toOpaque() == input.toOpaque() {
      return false
    }
    return true
  }

  /// Takes over the memory of an evaluated array which nobody refers to but those whose values this node holds.
  @inline(never) func takeOver(_ reference: Unmanaged<NDArray>) -> Bool {
    reference._withUnsafeGuaranteedRef { donor in
      // What an interrupt has cut short already must not end up in memory that is overwritten.
      guard lull_interrupt_raised() == 0, donor.isRowContiguous, donor.size == size,
        donor.offset == 0, donor.in0 == nil || donor.isKept,
        donor.dtype.byteCount == dtype.byteCount,
        donor.buffer?.isExternal == false, isKnownUniquelyReferenced(&donor.buffer)
      else { return false }
      buffer = donor.buffer
      offset = 0
      strides.setRowMajor(shape)
      isRowContiguous = true
      return true
    }
  }

  /// Gives an evaluated array that shows one value everywhere the memory that it stands for.
  func fillMemory() throws(ArrayError) {
    guard isFill, buffer != nil else { return }
    if !isRowContiguous {
      let full = try rowContiguous()
      buffer = full.buffer
      offset = 0
      strides = full.strides
      isRowContiguous = true
    }
    isFill = false
  }

  /// Makes this node a view of evaluated storage.
  public func share(_ other: NDArray, offset byteOffset: Int = 0, strides newStrides: Shape) {
    buffer = other.buffer
    offset = other.offset + byteOffset
    strides = newStrides
    isRowContiguous = NDArray.isRowMajor(shape, newStrides)
  }

  /// The array itself when it is row-major, else an evaluated row-major copy.
  public func rowContiguous() throws(ArrayError) -> NDArray {
    if isRowContiguous { return self }
    let copy = try NDArray(uninitialized: shape, dtype: dtype)
    copyStrided(from: self, to: copy)
    return copy
  }

  /// An evaluated row-major array of this one's values in another dtype (itself if it fits).
  public func rowContiguous(as dtype: DType) throws(ArrayError) -> NDArray {
    if self.dtype == dtype { return try rowContiguous() }
    let copy = astype(dtype)
    try copy.eval()
    return try copy.rowContiguous()
  }
}

extension NDArray {
  /// Of an evaluated array: whether its elements lie one after the other, row by row.
  public var isRowMajor: Bool { isRowContiguous }
  /// Of an evaluated array: whether no other array shows its memory.
  public var ownsBuffer: Bool { isKnownUniquelyReferenced(&buffer) }
  /// Another array over the memory of an evaluated one, for a program that sees how it lies; its strides must not be
  /// negative.
  public var laidOut: NDArray {
    get throws(ArrayError) {
      let x = try shared
      guard x.strides.allSatisfy({ $0 >= 0 }) else {
        throw .argument(op: "from_dlpack", message: "memory with negative strides cannot be taken")
      }
      x.keepsStrides = true
      return x
    }
  }
  /// Another array over the memory of this one, which is computed first.
  public var shared: NDArray {
    get throws(ArrayError) {
      try evalInMemory()
      guard let buffer else { return self }
      return NDArray(buffer: buffer, offset: offset, shape: shape, strides: strides, dtype: dtype)
    }
  }
}

// MARK: - Evaluation

extension NDArray {
  /// Computes the array, and everything it needs, if that has not happened yet.
  public func eval() throws(ArrayError) {
    if buffer != nil { return }
    try Evaluator.run(self)
  }

  /// Computes the array where a program asks for its values in memory: one value everywhere (`zeros`, `full`) takes
  /// none inside expressions, here it gets what its size says.
  public func evalInMemory() throws(ArrayError) {
    if buffer == nil {
      // A view of such an array shows its memory.
      if let x = in0, x.isFill, primitive is Broadcast { try x.fillMemory() }
      try Evaluator.run(self)
    }
    if isFill { try fillMemory() }
  }

  /// Says that a new array stands for memory of its own, although it shows one value everywhere.
  public func asFill() -> NDArray {
    isFill = true
    return self
  }
  /// Of an evaluated array: whether it shows one value everywhere and has not got the memory it stands for.
  public var isVirtual: Bool { isFill && !isRowContiguous }
}

/// The same for several, computed in one pass.
public func evaluateInMemory(_ arrays: [NDArray]) throws(ArrayError) {
  for x in arrays where x.buffer == nil {
    if let input = x.in0, input.isFill, x.primitive is Broadcast { try input.fillMemory() }
  }
  try evaluate(arrays)
  for x in arrays where x.isFill { try x.fillMemory() }
}

/// Evaluates several arrays in one pass, so that what they share is computed once.
public func evaluate(_ arrays: [NDArray]) throws(ArrayError) {
  if arrays.count == 1 { return try arrays[0].eval() }
  let pending = arrays.filter { !$0.isEvaluated }
  if pending.isEmpty { return }
  if pending.count == 1 { return try Evaluator.run(pending[0]) }
  try Evaluator.run(pending)
}
