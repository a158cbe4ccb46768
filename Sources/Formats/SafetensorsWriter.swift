// Writing safetensors, atomically.
//
// Tensors are laid out by falling alignment and then by name, as the reference implementation
// does, so each one is aligned to its element; the header is padded with blanks to 8 bytes.

/// Writes one file. The bytes of the tensors are streamed, not gathered.
public func writeSafetensors(
  _ tensors: [TensorSource], metadata: [(key: String, value: String)] = [], to path: String
) throws(FormatError) {
  for tensor in tensors { try tensor.validate(file: path) }
  let writer = try TensorFileWriter(
    safetensors: tensors.map {
      PlannedTensor(name: $0.name, element: .plain($0.type), shape: $0.shape)
    }, metadata: metadata, to: path)
  for tensor in tensors { try writer.write(tensor.name, tensor.bytes) }
  try writer.finish()
}

/// Appends the value's little-endian bytes.
func appendLittleEndian<T: FixedWidthInteger>(_ value: T, to bytes: inout [UInt8]) {
  withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
}
