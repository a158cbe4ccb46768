// The element types that tensor files hold, under the array language's names.

/// A fixed-size number type of a tensor file.
public enum ElementType: String, Sendable, CaseIterable {
  case bool, uint8, int8, uint16, int16, uint32, int32, uint64, int64
  case float16, bfloat16, float32, float64, complex64, complex128
  case float8E4M3 = "float8_e4m3", float8E5M2 = "float8_e5m2", float8E8M0 = "float8_e8m0"

  public var byteCount: Int {
    switch self {
    case .bool, .uint8, .int8, .float8E4M3, .float8E5M2, .float8E8M0: 1
    case .uint16, .int16, .float16, .bfloat16: 2
    case .uint32, .int32, .float32: 4
    case .uint64, .int64, .float64, .complex64: 8
    case .complex128: 16
    }
  }
}

/// A tensor to be written: its bytes in C order, little-endian.
public struct TensorSource {
  public var name: String
  public var type: ElementType
  public var shape: [Int]
  public var bytes: UnsafeRawBufferPointer

  /// `bytes` must stay valid until the write returns.
  public init(name: String, type: ElementType, shape: [Int], bytes: UnsafeRawBufferPointer) {
    self.name = name
    self.type = type
    self.shape = shape
    self.bytes = bytes
  }

  func validate(file: String) throws(FormatError) {
    let wanted = checkedElementCount(shape).flatMap { checkedProduct($0, type.byteCount) }
    guard wanted == bytes.count else {
      throw FormatError(
        .invalid, file: file, field: "tensor '\(name)'",
        found: "\(bytes.count) bytes for shape \(shape) of \(type.rawValue)",
        remedy: "pass the bytes of the whole array in C order")
    }
  }
}
