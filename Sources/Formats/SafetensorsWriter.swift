// Writing safetensors, atomically.
//
// Tensors are laid out by falling alignment and then by name, as the reference implementation
// does, so each one is aligned to its element; the header is padded with blanks to 8 bytes.

/// Writes one file. The bytes of the tensors are streamed, not gathered.
public func writeSafetensors(
  _ tensors: [TensorSource], metadata: [(key: String, value: String)] = [], to path: String
) throws(FormatError) {
  var header = JSONObject()
  if !metadata.isEmpty {
    header["__metadata__"] = .object(JSONObject(metadata.map { ($0.key, .string($0.value)) }))
  }
  let order = tensors.sorted { a, b in
    if a.type.byteCount != b.type.byteCount { return a.type.byteCount > b.type.byteCount }
    return a.name.utf8.lexicographicallyPrecedes(b.name.utf8)
  }
  var offset = 0
  for tensor in order {
    try tensor.validate(file: path)
    guard let dtype = tensor.type.safetensorsName else {
      throw FormatError(
        .unsupported, file: path, field: "tensor '\(tensor.name)' dtype",
        found: "the format has no \(tensor.type.rawValue)",
        remedy: "convert it, for example to complex64, or save as npz")
    }
    guard tensor.name != "__metadata__", header[tensor.name] == nil else {
      throw FormatError(
        .invalid, file: path, field: "tensor '\(tensor.name)'",
        found: "the name is reserved or used twice", remedy: "rename it")
    }
    guard let end = checkedSum(offset, tensor.bytes.count) else {
      throw FormatError(.tooLarge, file: path, field: "data size", found: "past 63 bits")
    }
    header[tensor.name] = .object(
      JSONObject([
        ("dtype", .string(dtype)), ("shape", .array(tensor.shape.map { .int($0) })),
        ("data_offsets", [.int(offset), .int(end)]),
      ]))
    offset = end
  }
  let options = JSON.WriteOptions(ensureASCII: false, compact: true)
  var text = JSON.object(header).serializedBytes(options)
  while text.count % 8 != 0 { text.append(0x20) }

  let file = try AtomicFile(path: path)
  var prefix: [UInt8] = []
  appendLittleEndian(UInt64(text.count), to: &prefix)
  try file.write(prefix)
  try file.write(text)
  for tensor in order { try file.write(tensor.bytes) }
  try file.commit()
}

/// Appends the value's little-endian bytes.
func appendLittleEndian<T: FixedWidthInteger>(_ value: T, to bytes: inout [UInt8]) {
  withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
}
