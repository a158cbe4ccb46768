// GGUF, written: the header, metadata, a table of tensors, then their bytes, each aligned to 32.

/// A metadata value to write; numbers as little-endian bytes.
public enum GGUFField: Sendable {
  case string(String)
  case strings([String])
  case scalar(GGUFValueType, [UInt8])
  case array(GGUFValueType, Int, [UInt8])
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

private func ggmlType(_ type: ElementType) -> UInt32? {
  switch type.rawValue {
  case "float32": 0
  case "float16": 1
  case "int8": 24
  case "int16": 25
  case "int32": 26
  case "int64": 27
  case "float64": 28
  case "bfloat16": 30
  default: nil
  }
}

/// Writes tensors with at most 4 gigabytes of header; a shape goes out with its last axis first.
public func writeGGUF(
  _ tensors: [TensorSource], metadata: [(key: String, value: GGUFField)], to path: String
) throws(FormatError) {
  let alignment = 32
  var head: [UInt8] = Array("GGUF".utf8)
  func text(_ s: String) {
    let bytes = Array(s.utf8)
    appendLittleEndian(UInt64(bytes.count), to: &head)
    head += bytes
  }
  appendLittleEndian(UInt32(3), to: &head)
  appendLittleEndian(UInt64(tensors.count), to: &head)
  appendLittleEndian(UInt64(metadata.count), to: &head)
  for (key, value) in metadata {
    text(key)
    switch value {
    case .string(let s):
      appendLittleEndian(GGUFValueType.string.rawValue, to: &head)
      text(s)
    case .strings(let all):
      appendLittleEndian(GGUFValueType.array.rawValue, to: &head)
      appendLittleEndian(GGUFValueType.string.rawValue, to: &head)
      appendLittleEndian(UInt64(all.count), to: &head)
      for s in all { text(s) }
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
  var offset = 0
  for tensor in tensors {
    guard let type = ggmlType(tensor.type) else {
      throw FormatError(
        .unsupported, file: path, field: "tensor '\(tensor.name)'", found: tensor.type.rawValue,
        remedy: "GGUF has float16, bfloat16, float32, float64 and signed integers")
    }
    text(tensor.name)
    appendLittleEndian(UInt32(tensor.shape.count), to: &head)
    for n in tensor.shape.reversed() { appendLittleEndian(UInt64(n), to: &head) }
    appendLittleEndian(type, to: &head)
    appendLittleEndian(UInt64(offset), to: &head)
    offset += (tensor.bytes.count + alignment - 1) / alignment * alignment
  }
  let file = try AtomicFile(path: path)
  let padding = (alignment - head.count % alignment) % alignment
  try file.write(head + [UInt8](repeating: 0, count: padding))
  for tensor in tensors {
    try file.write(tensor.bytes)
    let rest = (alignment - tensor.bytes.count % alignment) % alignment
    if rest > 0 { try file.write([UInt8](repeating: 0, count: rest)) }
  }
  try file.commit()
}
