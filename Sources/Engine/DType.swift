/// The element types of an array, in MLX's order, with its promotion rules. complex128, which MLX has not, comes
/// last and takes in every other.
///
/// Two arrays meet at `promoted(_:_:)`; an array and a plain number of the language meet at
/// `DType.forWeak(_:with:)`, where the number takes the array's type unless it belongs to a
/// higher category (an integer with a bool array, a float with an integer array).
public enum DType: UInt8, Sendable, CaseIterable, Hashable, Codable {
  case bool, uint8, uint16, uint32, uint64, int8, int16, int32, int64
  case float16, bfloat16, float32, float64, complex64, complex128

  /// The name users see, `float32`.
  public var name: String {
    switch self {
    case .bool: "bool"
    case .uint8: "uint8"
    case .uint16: "uint16"
    case .uint32: "uint32"
    case .uint64: "uint64"
    case .int8: "int8"
    case .int16: "int16"
    case .int32: "int32"
    case .int64: "int64"
    case .float16: "float16"
    case .bfloat16: "bfloat16"
    case .float32: "float32"
    case .float64: "float64"
    case .complex64: "complex64"
    case .complex128: "complex128"
    }
  }

  @inlinable public var byteCount: Int {
    switch self {
    case .bool, .uint8, .int8: 1
    case .uint16, .int16, .float16, .bfloat16: 2
    case .uint32, .int32, .float32: 4
    case .uint64, .int64, .float64, .complex64: 8
    case .complex128: 16
    }
  }

  @inlinable public var isFloating: Bool {
    rawValue >= DType.float16.rawValue && rawValue <= DType.float64.rawValue
  }
  @inlinable public var isInexact: Bool { rawValue >= DType.float16.rawValue }
  @inlinable public var isComplex: Bool { rawValue >= DType.complex64.rawValue }
  /// An integer type; bool is none.
  @inlinable public var isInteger: Bool {
    rawValue >= DType.uint8.rawValue && rawValue <= DType.int64.rawValue
  }
  @inlinable public var isUnsigned: Bool {
    rawValue >= DType.uint8.rawValue && rawValue <= DType.uint64.rawValue
  }
  @inlinable public var isSigned: Bool {
    rawValue >= DType.int8.rawValue && rawValue <= DType.int64.rawValue
  }

  /// The type itself where it is inexact, else float32.
  @inlinable public var inexact: DType { isInexact ? self : .float32 }
  /// The type of the parts of a complex type; any other type itself.
  @inlinable public var realPart: DType {
    self == .complex64 ? .float32 : self == .complex128 ? .float64 : self
  }
  /// The complex type as wide as this one: complex128 for float64, complex64 for narrower ones.
  @inlinable public var complex: DType {
    self == .float64 || self == .complex128 ? .complex128 : .complex64
  }

  /// The type in which two arrays of these types meet.
  public static func promoted(_ a: DType, _ b: DType) -> DType {
    if a == b { return a }
    let low = a.rawValue < b.rawValue ? a : b
    let high = a.rawValue < b.rawValue ? b : a
    if high.isComplex || high == .float64 || high == .float32 { return high }
    if high == .bfloat16 { return low == .float16 ? .float32 : .bfloat16 }
    if high == .float16 || low == .bool { return high }
    if low.isUnsigned == high.isUnsigned { return high }
    if low == .uint64 { return .float32 }
    let byteCount = max(high.byteCount, 2 * low.byteCount)
    return byteCount == 2 ? .int16 : byteCount == 4 ? .int32 : .int64
  }

  /// The type that an array of `dtype` and a plain number meet in.
  public static func forWeak(_ scalar: Scalar, with dtype: DType) -> DType {
    switch scalar {
    case .bool: dtype
    case .int, .unsigned: dtype == .bool ? .int32 : dtype
    case .float: dtype.inexact
    case .complex: dtype == .complex128 ? .complex128 : .complex64
    }
  }

  /// The type that a number alone makes: int32 (int64 when it does not fit), float32, ...
  public static func natural(of scalar: Scalar) -> DType {
    switch scalar {
    case .bool: .bool
    case .int(let value): Int32(exactly: value) == nil ? .int64 : .int32
    case .unsigned: .uint64
    case .float: .float32
    case .complex: .complex64
    }
  }

  public init?(name: String) {
    let plain = name == "bool_" ? "bool" : name
    guard let found = DType.allCases.first(where: { $0.name == plain }) else { return nil }
    self = found
  }
}

/// A plain number of the language: it has a category but no array type yet.
public enum Scalar: Sendable, Hashable {
  case bool(Bool)
  case int(Int)
  /// An integer past `Int.max`; only an array's value is one.
  case unsigned(UInt64)
  case float(Double)
  case complex(Double, Double)

  /// The number as a real one (a complex number's real part).
  public var double: Double {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .int(let value): Double(value)
    case .unsigned(let value): Double(value)
    case .float(let value): value
    case .complex(let real, _): real
    }
  }
  public var imaginary: Double {
    if case .complex(_, let imaginary) = self { return imaginary }
    return 0
  }
  /// The number as an integer; floats are truncated, and what is too large is held inside the 64 bits.
  public var int: Int {
    switch self {
    case .bool(let value): return value ? 1 : 0
    case .int(let value): return value
    case .unsigned: return .max
    case .float(let value), .complex(let value, _):
      if value.isNaN { return 0 }
      if value >= 9.2233720368547758e18 { return .max }
      if value <= -9.2233720368547758e18 { return .min }
      return Int(value)
    }
  }
}

/// What `finfo` says of a float type.
public struct FloatInfo: Sendable {
  public let dtype: DType
  public let min, max, eps, smallestNormal: Double
  public let bits: Int

  public init?(_ dtype: DType) {
    self.dtype = dtype
    switch dtype {
    case .float16: (max, eps, smallestNormal, bits) = (65504, 0x1p-10, 0x1p-14, 16)
    case .bfloat16: (max, eps, smallestNormal, bits) = (0x1.fep127, 0x1p-7, 0x1p-126, 16)
    case .float32, .complex64:
      (max, eps, smallestNormal, bits) = (0x1.fffffep127, 0x1p-23, 0x1p-126, 32)
    case .float64, .complex128:
      (max, eps, smallestNormal, bits) = (.greatestFiniteMagnitude, 0x1p-52, 0x1p-1022, 64)
    default: return nil
    }
    min = -max
  }
}

/// What `iinfo` says of an integer type; `max` is unsigned because of uint64.
public struct IntegerInfo: Sendable {
  public let dtype: DType
  public let min: Int
  public let max: UInt
  public let bits: Int

  public init?(_ dtype: DType) {
    guard dtype.isInteger || dtype == .bool else { return nil }
    self.dtype = dtype
    bits = dtype == .bool ? 1 : dtype.byteCount * 8
    if dtype.isSigned {
      max = UInt.max >> UInt(65 - bits)
      min = -Int(max) - 1
    } else {
      min = 0
      max = UInt.max >> UInt(64 - bits)
    }
  }
}
