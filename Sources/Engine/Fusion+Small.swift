// Small arrays: one node whose inputs are there, computed by one instruction over all of it. Making a program would
// take longer than running it.

import Kernels

extension Fusion {
  nonisolated(unsafe) private static let scratch = UnsafeMutableRawPointer.allocate(
    byteCount: 3 * 8192, alignment: 64)

  /// Computes one node whose inputs are evaluated without any program, when it is small and
  /// simple enough; false when it is not.
  static func runSmall(_ node: NDArray) throws(ArrayError) -> Bool {
    let size = node.size
    if size > 1024 || size == 0 { return false }
    // No reference to an input is counted here: one that dies is overwritten.
    let dtype = node.reference(0)._withUnsafeGuaranteedRef { $0.dtype }
    guard dtype.byteCount >= 4, dtype != .complex128, let op = simpleOp(node) else { return false }
    guard let function = lull_op_function(Int32(op), Int32(computeType(dtype))) else {
      return false
    }
    if node.dtype.byteCount < 4 { return false }
    guard let a = node.reference(0)._withUnsafeGuaranteedRef({ smallOperand($0, size, 0) }) else {
      return false
    }
    var b = a
    let isBinary = node.in1 != nil
    if isBinary {
      guard let found = node.reference(1)._withUnsafeGuaranteedRef({ smallOperand($0, size, 1) })
      else { return false }
      b = found
    }
    if launches.isWanted { launches.noteOther() }
    // In place where an input dies; wider values would need operands and results of one width.
    if dtype.byteCount != 4 || !(node.takeOver(0) || (isBinary && node.takeOver(1))) {
      try node.allocate()
    }
    function(node.pointer, a, b, b, Int64((size + 15) & ~15))
    return true
  }

  @inline(__always)
  private static func smallOperand(_ x: NDArray, _ size: Int, _ index: Int)
    -> UnsafeMutableRawPointer?
  {
    guard let buffer = x.buffer else { return nil }
    let width = x.dtype.byteCount
    if x.size == size && x.isRowContiguous {
      let padded = ((size + 15) & ~15) * width
      return x.offset + padded <= buffer.byteCount ? buffer.pointer + x.offset : nil
    }
    guard x.size == 1 else { return nil }
    let tile = scratch + index * 8192
    let source = buffer.pointer + x.offset
    let count = (size + 15) & ~15
    if width == 4 {
      tile.assumingMemoryBound(to: UInt32.self)
        .update(repeating: source.load(as: UInt32.self), count: count)
    } else {
      tile.assumingMemoryBound(to: UInt64.self)
        .update(repeating: source.load(as: UInt64.self), count: count)
    }
    return tile
  }

  /// The one instruction that an operation is, for dtypes of four bytes and more.
  @inline(__always)
  private static func simpleOp(_ node: NDArray) -> Int? {
    switch node.op {
    case .add: lullAdd
    case .subtract: lullSub
    case .multiply: lullMul
    case .divide: lullDiv
    case .maximum: lullMax
    case .minimum: lullMin
    case .power:
      switch wholeExponent(node) {
      case 2: lullSquare
      case 1, 3: nil
      default: lullPow
      }
    case .negative: lullNeg
    case .square: lullSquare
    case .sqrt: lullSqrt
    case .rsqrt: lullRsqrt
    case .reciprocal: lullRecip
    case .exp: lullExp
    case .log: lullLog
    case .sin: lullSin
    case .cos: lullCos
    case .tanh: lullTanh
    case .sigmoid: lullSigmoid
    case .erf: lullErf
    case .floorDivide: lullFloorDiv
    case .remainder: lullRem
    default: nil
    }
  }
}
