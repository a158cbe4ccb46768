// Values out of arrays: one number, flat Swift arrays, raw bytes.

import Kernels

extension NDArray {
  /// The one value of a one-element array; evaluates it.
  public func item() throws(ArrayError) -> Scalar {
    if size != 1 { throw .notScalar(shape: shape.array) }
    try eval()
    return NDArray.load(pointer, dtype)
  }

  static func load(_ p: UnsafeRawPointer, _ dtype: DType) -> Scalar {
    switch dtype {
    case .bool: .bool(p.load(as: UInt8.self) != 0)
    case .uint8: .int(Int(p.load(as: UInt8.self)))
    case .int8: .int(Int(p.load(as: Int8.self)))
    case .uint16: .int(Int(p.loadUnaligned(as: UInt16.self)))
    case .int16: .int(Int(p.loadUnaligned(as: Int16.self)))
    case .uint32: .int(Int(p.loadUnaligned(as: UInt32.self)))
    case .int32: .int(Int(p.loadUnaligned(as: Int32.self)))
    case .uint64:
      Int(exactly: p.loadUnaligned(as: UInt64.self)).map { .int($0) }
        ?? .unsigned(p.loadUnaligned(as: UInt64.self))
    case .int64: .int(Int(p.loadUnaligned(as: Int64.self)))
    case .float16: .float(Double(float16: p.loadUnaligned(as: UInt16.self)))
    case .bfloat16:
      .float(Double(Float(bitPattern: UInt32(p.loadUnaligned(as: UInt16.self)) << 16)))
    case .float32: .float(Double(p.loadUnaligned(as: Float.self)))
    case .float64: .float(p.loadUnaligned(as: Double.self))
    case .complex64:
      .complex(
        Double(p.loadUnaligned(as: Float.self)),
        Double((p + 4).loadUnaligned(as: Float.self)))
    case .complex128:
      .complex(p.loadUnaligned(as: Double.self), (p + 8).loadUnaligned(as: Double.self))
    }
  }

  /// All values in row-major order; evaluates the array.
  public func scalars() throws(ArrayError) -> [Scalar] {
    try eval()
    let flat = try rowContiguous()
    let width = dtype.byteCount
    return (0..<size).map { NDArray.load(flat.pointer + $0 * width, dtype) }
  }

  public func doubles() throws(ArrayError) -> [Double] {
    try eval()
    let flat = try rowContiguous(as: .float64)
    return Array(UnsafeBufferPointer(start: flat.pointer(as: Double.self), count: size))
  }

  public func floats() throws(ArrayError) -> [Float] {
    try eval()
    let flat = try rowContiguous(as: .float32)
    return Array(UnsafeBufferPointer(start: flat.pointer(as: Float.self), count: size))
  }

  public func ints() throws(ArrayError) -> [Int] {
    try eval()
    let flat = try rowContiguous(as: .int64)
    return Array(UnsafeBufferPointer(start: flat.pointer(as: Int.self), count: size))
  }

  /// The row-major bytes, for writers of files; evaluates, and copies only what is not row-major.
  public func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) throws(ArrayError) -> R {
    try eval()
    let flat = try rowContiguous()
    defer { withExtendedLifetime(flat) {} }
    return body(UnsafeRawBufferPointer(start: flat.pointer, count: byteCount))
  }
}

extension Double {
  /// The value of an IEEE half in bits.
  init(float16 bits: UInt16) {
    let exponent = Int(bits >> 10) & 31
    let fraction = Double(bits & 1023)
    let magnitude: Double =
      switch exponent {
      case 0: fraction * 0x1p-24
      case 31: fraction == 0 ? .infinity : .nan
      default:
        Double(sign: .plus, exponent: exponent - 15, significand: 1 + fraction * 0x1p-10)
      }
    self = bits & 0x8000 != 0 ? -magnitude : magnitude
  }
}
