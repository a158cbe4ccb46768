// Reading GGUF, the format of llama.cpp's models (versions 2 and 3, little-endian).
//
//   'GGUF' │ version u32 │ tensor count u64 │ pair count u64
//   pairs:   key string │ type u32 │ value           string = length u64 + bytes
//                                                    array  = type u32 + count u64 + values
//   tensors: name string │ rank u32 │ dims u64 × rank │ type u32 │ offset u64
//   padding to general.alignment (32) │ tensor data, each aligned
//
// Nothing is copied: scalars of arrays and tensor data stay in the mapping. A string array
// (a vocabulary) is one array of offsets into the file; its texts are made when asked for.
// ggml lists dimensions fastest first; `shape` has them in row-major order, reversed.

/// A metadata value.
public enum GGUFValue: Sendable {
  case unsigned(UInt64)
  case signed(Int64)
  case float(Double)
  case bool(Bool)
  case string(String)
  case array(GGUFArray)

  public var int: Int? {
    switch self {
    case .unsigned(let value): Int(exactly: value)
    case .signed(let value): Int(exactly: value)
    default: nil
    }
  }
  public var double: Double? {
    switch self {
    case .unsigned(let value): Double(value)
    case .signed(let value): Double(value)
    case .float(let value): value
    default: nil
    }
  }
  public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  public var string: String? { if case .string(let value) = self { value } else { nil } }
  public var array: GGUFArray? { if case .array(let value) = self { value } else { nil } }
}

/// The type codes of metadata.
public enum GGUFValueType: UInt32, Sendable {
  case uint8 = 0, int8, uint16, int16, uint32, int32, float32, bool, string, array
  case uint64, int64, float64

  /// Bytes of a scalar; nil for strings and arrays.
  var byteCount: Int? {
    switch self {
    case .uint8, .int8, .bool: 1
    case .uint16, .int16: 2
    case .uint32, .int32, .float32: 4
    case .uint64, .int64, .float64: 8
    case .string, .array: nil
    }
  }
}

/// An array of metadata values, read in place.
public struct GGUFArray: Sendable {
  public let type: GGUFValueType
  public let count: Int
  let file: MappedFile
  /// Scalars: where the first lies. Strings: unused.
  let start: Int
  /// Strings: where each one's length field lies; the text follows it.
  let offsets: [UInt64]
  let nested: [GGUFArray]

  /// Element `index` of a string array, as bytes in the file; nil for other types and indices.
  @inline(__always)
  public func stringBytes(_ index: Int) -> UnsafeRawBufferPointer? {
    guard type == .string, index >= 0, index < count else { return nil }
    let at = Int(offsets[index])
    let length = Int(
      truncatingIfNeeded: file.bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self).littleEndian
    )
    guard length >= 0, length <= file.count - at - 8 else { return nil }  // changed on disk
    return UnsafeRawBufferPointer(rebasing: file.bytes[at + 8..<at + 8 + length])
  }

  /// Element `index`; nil past the ends.
  public subscript(index: Int) -> GGUFValue? {
    guard index >= 0, index < count else { return nil }
    switch type {
    case .string: return stringBytes(index).map { .string(String(decoding: $0, as: UTF8.self)) }
    case .array: return .array(nested[index])
    default:
      guard let size = type.byteCount else { return nil }
      return GGUF.scalar(type, file.bytes, start + index * size)
    }
  }

  public var strings: [String]? {
    guard type == .string else { return nil }
    return (0..<count).map { index in
      stringBytes(index).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }
  }
  /// All elements as integers; nil where one is none.
  public var ints: [Int]? { collect { $0.int ?? $0.bool.map { $0 ? 1 : 0 } } }
  public var doubles: [Double]? { collect { $0.double } }

  private func collect<T>(_ convert: (GGUFValue) -> T?) -> [T]? {
    var values: [T] = []
    values.reserveCapacity(count)
    for index in 0..<count {
      guard let value = self[index].flatMap(convert) else { return nil }
      values.append(value)
    }
    return values
  }
}

/// A tensor inside the mapped file.
public struct GGUFTensor: Sendable {
  public let name: String
  public let type: GGMLType
  /// Row-major: the last dimension is contiguous (ggml's dims, reversed).
  public let shape: [Int]
  /// Where its bytes lie; validated, and of `elementCount / blockSize * blockBytes` bytes.
  public let range: Range<Int>
  public let file: MappedFile

  public var elementCount: Int { shape.reduce(1, *) }
  public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: file.bytes[range]) }
}

/// The header of a file.
public struct GGUF: Sendable {
  public let file: MappedFile
  public let version: UInt32
  public let alignment: Int
  /// Metadata keys in the file's order.
  public let keys: [String]
  public let tensors: [GGUFTensor]
  private let values: [String: GGUFValue]
  /// How the file has each metadata value.
  public let types: [String: GGUFValueType]
  private let tensorIndices: [String: Int]

  public subscript(key: String) -> GGUFValue? { values[key] }
  public func tensor(_ name: String) -> GGUFTensor? { tensorIndices[name].map { tensors[$0] } }

  public init(path: String) throws(FormatError) { try self.init(file: MappedFile(path: path)) }

  public init(file: MappedFile) throws(FormatError) {
    self.file = file
    var reader = ByteReader(file.bytes, file: file.path)
    let magic = try reader.integer(UInt32.self, "magic")
    guard magic == 0x4655_4747 else {
      throw FormatError(.invalid, file: file.path, field: "magic", found: "this is no GGUF file")
    }
    version = try reader.integer(UInt32.self, "version")
    guard version == 2 || version == 3 else {
      let found = version.byteSwapped <= 3 ? "the file is big-endian" : "version \(version)"
      throw FormatError(
        .unsupported, file: file.path, field: "version", found: found,
        remedy: "convert the model to a little-endian GGUF of version 2 or 3")
    }
    // A tensor takes at least 24 bytes of header, a pair at least 13.
    let tensorCount = try reader.length("tensor count")
    let pairCount = try reader.length("metadata count")
    guard tensorCount <= reader.remaining / 24, pairCount <= reader.remaining / 13 else {
      throw FormatError(
        .truncated, file: file.path, field: "counts",
        found: "\(tensorCount) tensors and \(pairCount) pairs do not fit the file")
    }

    var keys: [String] = []
    var values: [String: GGUFValue] = [:]
    var types: [String: GGUFValueType] = [:]
    for index in 0..<pairCount {
      let key = try Self.string(&reader, "metadata key \(index)")
      let type = try Self.valueType(&reader, "metadata '\(key)' type")
      let value = try Self.value(type, &reader, file: file, key: key, depth: 0)
      types[key] = type
      guard values.updateValue(value, forKey: key) == nil else {
        throw FormatError(
          .invalid, file: file.path, field: "metadata '\(key)'", found: "the key appears twice")
      }
      keys.append(key)
    }
    self.types = types
    self.keys = keys
    self.values = values

    let alignment = values["general.alignment"].map { $0.int ?? 0 } ?? 32
    guard alignment > 0, alignment <= 1 << 20, alignment & (alignment - 1) == 0 else {
      throw FormatError(
        .invalid, file: file.path, field: "general.alignment",
        found: "\(alignment) is not a power of two")
    }
    self.alignment = alignment

    var infos: [TensorInfo] = []
    infos.reserveCapacity(tensorCount)
    for index in 0..<tensorCount { infos.append(try TensorInfo(&reader, index: index)) }
    let dataAt = (reader.offset + alignment - 1) / alignment * alignment
    var tensors: [GGUFTensor] = []
    tensors.reserveCapacity(tensorCount)
    var tensorIndices: [String: Int] = [:]
    for info in infos {
      guard tensorIndices.updateValue(tensors.count, forKey: info.name) == nil else {
        throw FormatError(
          .invalid, file: file.path, field: "tensor '\(info.name)'", found: "appears twice")
      }
      tensors.append(try info.resolve(file: file, dataAt: dataAt, alignment: alignment))
    }
    self.tensors = tensors
    self.tensorIndices = tensorIndices
  }

  // MARK: values

  private static func string(
    _ reader: inout ByteReader, _ field: @autoclosure () -> String
  ) throws(FormatError) -> String {
    let length = try reader.length(field())
    let at = try reader.take(length, field())
    return String(decoding: reader.bytes[at..<at + length], as: UTF8.self)
  }

  private static func valueType(
    _ reader: inout ByteReader, _ field: @autoclosure () -> String
  ) throws(FormatError) -> GGUFValueType {
    let code = try reader.integer(UInt32.self, field())
    guard let type = GGUFValueType(rawValue: code) else {
      throw FormatError(
        .invalid, file: reader.file, field: field(), found: "unknown value type \(code)")
    }
    return type
  }

  private static func value(
    _ type: GGUFValueType, _ reader: inout ByteReader, file: MappedFile, key: String, depth: Int
  ) throws(FormatError) -> GGUFValue {
    switch type {
    case .string: return .string(try string(&reader, "metadata '\(key)'"))
    case .array: return .array(try array(&reader, file: file, key: key, depth: depth))
    default:
      let at = try reader.take(type.byteCount ?? 0, "metadata '\(key)'")
      return scalar(type, reader.bytes, at)
    }
  }

  private static func array(
    _ reader: inout ByteReader, file: MappedFile, key: String, depth: Int
  ) throws(FormatError) -> GGUFArray {
    let type = try valueType(&reader, "metadata '\(key)' element type")
    let count = try reader.length("metadata '\(key)' length")
    func failure(_ found: String, _ kind: FormatError.Kind = .invalid) -> FormatError {
      FormatError(kind, file: file.path, field: "metadata '\(key)'", found: found)
    }
    if let size = type.byteCount {
      guard let byteCount = checkedProduct(count, size) else { throw failure("\(count) elements") }
      let start = try reader.take(byteCount, "metadata '\(key)' of \(count) elements")
      return GGUFArray(type: type, count: count, file: file, start: start, offsets: [], nested: [])
    }
    // A string takes at least 8 bytes and an array 12, which bounds what we reserve.
    guard count <= reader.remaining / (type == .string ? 8 : 12) else {
      throw failure("\(count) elements do not fit the file", .truncated)
    }
    if type == .string {
      let offsets = try stringOffsets(count, &reader, key: key)
      return GGUFArray(type: type, count: count, file: file, start: 0, offsets: offsets, nested: [])
    }
    guard depth < 4 else { throw failure("arrays nested deeper than 4 levels") }
    var nested: [GGUFArray] = []
    for _ in 0..<count {
      nested.append(try array(&reader, file: file, key: key, depth: depth + 1))
    }
    return GGUFArray(type: type, count: count, file: file, start: 0, offsets: [], nested: nested)
  }

  private static func stringOffsets(
    _ count: Int, _ reader: inout ByteReader, key: String
  ) throws(FormatError) -> [UInt64] {
    var offsets: [UInt64] = []
    offsets.reserveCapacity(count)
    for index in 0..<count {
      offsets.append(UInt64(reader.offset))
      let length = try reader.length("metadata '\(key)'[\(index)]")
      _ = try reader.take(length, "metadata '\(key)'[\(index)]")
    }
    return offsets
  }

  static func scalar(
    _ type: GGUFValueType, _ bytes: UnsafeRawBufferPointer, _ at: Int
  ) -> GGUFValue {
    func load<T: FixedWidthInteger>(_: T.Type) -> T {
      T(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: T.self))
    }
    switch type {
    case .uint8: return .unsigned(UInt64(load(UInt8.self)))
    case .int8: return .signed(Int64(load(Int8.self)))
    case .uint16: return .unsigned(UInt64(load(UInt16.self)))
    case .int16: return .signed(Int64(load(Int16.self)))
    case .uint32: return .unsigned(UInt64(load(UInt32.self)))
    case .int32: return .signed(Int64(load(Int32.self)))
    case .uint64: return .unsigned(load(UInt64.self))
    case .int64: return .signed(load(Int64.self))
    case .float32: return .float(Double(Float(bitPattern: load(UInt32.self))))
    case .float64: return .float(Double(bitPattern: load(UInt64.self)))
    case .bool, .string, .array: return .bool(load(UInt8.self) != 0)
    }
  }
}

/// A tensor's entry before its place is known.
private struct TensorInfo {
  let name: String
  let dims: [Int]
  let type: GGMLType
  let offset: Int

  init(_ reader: inout ByteReader, index: Int) throws(FormatError) {
    let length = try reader.length("tensor \(index) name")
    let at = try reader.take(length, "tensor \(index) name")
    let name = String(decoding: reader.bytes[at..<at + length], as: UTF8.self)
    self.name = name
    let rank = try reader.integer(UInt32.self, "tensor '\(name)' rank")
    guard rank <= 8 else {
      throw FormatError(
        .invalid, file: reader.file, field: "tensor '\(name)' rank",
        found: "\(rank) dimensions, at most 8 are allowed")
    }
    var dims: [Int] = []
    for axis in 0..<rank { dims.append(try reader.length("tensor '\(name)' dim \(axis)")) }
    self.dims = dims
    let code = try reader.integer(UInt32.self, "tensor '\(name)' type")
    guard let type = GGMLType(rawValue: code) else {
      throw FormatError(
        .unsupported, file: reader.file, field: "tensor '\(name)' type",
        found: "\(code) (\(GGMLType.unknownName(code)))",
        remedy: "use a file quantised as one of "
          + GGMLType.allCases.filter(\.isQuantized).map(\.name).joined(separator: ", "))
    }
    self.type = type
    offset = try reader.length("tensor '\(name)' offset")
  }

  func resolve(file: MappedFile, dataAt: Int, alignment: Int) throws(FormatError) -> GGUFTensor {
    func failure(_ found: String, _ kind: FormatError.Kind = .invalid) -> FormatError {
      FormatError(kind, file: file.path, field: "tensor '\(name)'", found: found)
    }
    guard (dims.first ?? 1) % type.blockSize == 0 else {
      throw failure("rows of \(dims[0]) values are no whole blocks of \(type.blockSize)")
    }
    guard let count = checkedElementCount(dims),
      let byteCount = checkedProduct(count / type.blockSize, type.blockBytes)
    else { throw failure("its size \(dims) is past 63 bits", .tooLarge) }
    guard offset % alignment == 0 else {
      throw failure("offset \(offset) is not a multiple of \(alignment)")
    }
    guard let start = checkedSum(dataAt, offset), let end = checkedSum(start, byteCount),
      end <= file.count
    else {
      throw failure(
        "\(byteCount) bytes at offset \(offset) end past the file of \(file.count) bytes",
        .truncated)
    }
    return GGUFTensor(
      name: name, type: type, shape: dims.reversed(), range: start..<end, file: file)
  }
}
