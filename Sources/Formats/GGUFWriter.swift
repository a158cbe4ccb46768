// GGUF, written: the header, metadata, a table of tensors, then their bytes, each aligned to 32.

/// A metadata value to write; numbers as little-endian bytes.
public enum GGUFField: Sendable {
  case string(String)
  case strings([String])
  case scalar(GGUFValueType, [UInt8])
  case array(GGUFValueType, Int, [UInt8])

  /// The value's type and bytes.
  func append(to head: inout [UInt8]) {
    switch self {
    case .string(let s):
      appendLittleEndian(GGUFValueType.string.rawValue, to: &head)
      appendText(s, to: &head)
    case .strings(let all):
      appendLittleEndian(GGUFValueType.array.rawValue, to: &head)
      appendLittleEndian(GGUFValueType.string.rawValue, to: &head)
      appendLittleEndian(UInt64(all.count), to: &head)
      for s in all { appendText(s, to: &head) }
    case .scalar(let type, let bytes):
      appendLittleEndian(type.rawValue, to: &head)
      head += bytes
    case .array(let type, let count, let bytes):
      appendLittleEndian(GGUFValueType.array.rawValue, to: &head)
      appendLittleEndian(type.rawValue, to: &head)
      appendLittleEndian(UInt64(count), to: &head)
      head += bytes
    }
  }

  /// A number of a type, which must be able to hold it.
  public static func number<T: FixedWidthInteger>(_ value: T, _ type: GGUFValueType) -> GGUFField {
    var bytes: [UInt8] = []
    appendLittleEndian(value, to: &bytes)
    return .scalar(type, bytes)
  }
}

func appendText(_ text: String, to bytes: inout [UInt8]) {
  let utf8 = Array(text.utf8)
  appendLittleEndian(UInt64(utf8.count), to: &bytes)
  bytes += utf8
}

extension GGUF {
  /// A metadata value as it is written again; nil for arrays of arrays.
  public func field(_ key: String) -> GGUFField? {
    guard let value = self[key], let type = types[key] else { return nil }
    switch value {
    case .string(let text): return .string(text)
    case .bool(let value): return .number(value ? 1 : 0 as UInt8, type)
    case .float(let value):
      return type == .float32
        ? .number(Float(value).bitPattern, type) : .number(value.bitPattern, type)
    case .unsigned(let value): return .scalar(type, littleEndian(value, type))
    case .signed(let value): return .scalar(type, littleEndian(UInt64(bitPattern: value), type))
    case .array(let array):
      if let texts = array.strings { return .strings(texts) }
      return array.scalarBytes.map { .array(array.type, array.count, [UInt8]($0)) }
    }
  }

  private func littleEndian(_ value: UInt64, _ type: GGUFValueType) -> [UInt8] {
    (0..<(type.byteCount ?? 8)).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) }
  }
}

extension GGUFArray {
  /// The bytes of an array of numbers, which lie in the file as they are written.
  fileprivate var scalarBytes: UnsafeRawBufferPointer? {
    guard let size = type.byteCount else { return nil }
    return file.slice(start..<start + count * size)
  }
}

extension GGUFValueType {
  /// The type of numbers of a dtype; nil where GGUF has none.
  public init?(dtypeName: String) {
    let types: [String: GGUFValueType] = [
      "uint8": .uint8, "int8": .int8, "uint16": .uint16, "int16": .int16, "uint32": .uint32,
      "int32": .int32, "uint64": .uint64, "int64": .int64, "float32": .float32, "float64": .float64,
      "bool": .bool,
    ]
    guard let type = types[dtypeName] else { return nil }
    self = type
  }
}

/// Writes a whole file; a shape goes out with its last axis first.
public func writeGGUF(
  _ tensors: [TensorSource], metadata: [(key: String, value: GGUFField)], to path: String
) throws(FormatError) {
  let writer = try TensorFileWriter(
    gguf: tensors.map { PlannedTensor(name: $0.name, element: .plain($0.type), shape: $0.shape) },
    metadata: metadata, to: path)
  for tensor in tensors { try writer.write(tensor.name, tensor.bytes) }
  try writer.finish()
}
