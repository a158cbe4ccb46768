// Files of tensors, written one tensor at a time.
//
// The names, types and shapes are known before any value is, so the header goes out first and each
// tensor has its place. The tensors may then come in any order and one by one, so that a model is converted
// without ever being in memory as a whole. The file has a temporary name until `finish()`, which
// refuses while a tensor is missing: what has the final name is complete.

/// A tensor that is to come.
public struct PlannedTensor: Sendable {
  public enum Element: Sendable {
    case plain(ElementType)
    case ggml(GGMLType)
  }
  public var name: String
  public var element: Element
  public var shape: [Int]

  public init(name: String, element: Element, shape: [Int]) {
    self.name = name
    self.element = element
    self.shape = shape
  }

  /// Its bytes; nil where the shape is impossible, or rows are no whole blocks.
  var byteCount: Int? {
    guard let count = checkedElementCount(shape) else { return nil }
    switch element {
    case .plain(let type): return checkedProduct(count, type.byteCount)
    case .ggml(let type):
      guard (shape.last ?? 1) % type.blockSize == 0 else { return nil }
      return checkedProduct(count / type.blockSize, type.blockBytes)
    }
  }
}

public final class TensorFileWriter {
  public let path: String
  private let file: AtomicFile
  /// Where each tensor's bytes lie.
  private var places: [String: Range<Int>] = [:]
  private var missing: Set<String> = []

  /// Begins a .safetensors file.
  public init(
    safetensors tensors: [PlannedTensor], metadata: [(key: String, value: String)] = [],
    to path: String
  ) throws(FormatError) {
    self.path = path
    var header = JSONObject()
    if !metadata.isEmpty {
      header["__metadata__"] = .object(JSONObject(metadata.map { ($0.key, .string($0.value)) }))
    }
    var plan: [(tensor: PlannedTensor, type: ElementType, byteCount: Int)] = []
    for tensor in tensors {
      guard case .plain(let type) = tensor.element, let byteCount = tensor.byteCount else {
        throw FormatError(
          .invalid, file: path, field: "tensor '\(tensor.name)'",
          found: "impossible shape \(tensor.shape)", remedy: "give plain numbers")
      }
      plan.append((tensor, type, byteCount))
    }
    plan.sort { a, b in
      if a.type.byteCount != b.type.byteCount { return a.type.byteCount > b.type.byteCount }
      return a.tensor.name.utf8.lexicographicallyPrecedes(b.tensor.name.utf8)
    }
    var offset = 0
    for (tensor, type, byteCount) in plan {
      guard let dtype = type.safetensorsName else {
        throw FormatError(
          .unsupported, file: path, field: "tensor '\(tensor.name)' dtype",
          found: "the format has no \(type.rawValue)",
          remedy: "convert it, for example to complex64, or save as npz")
      }
      guard tensor.name != "__metadata__", header[tensor.name] == nil else {
        throw FormatError(
          .invalid, file: path, field: "tensor '\(tensor.name)'",
          found: "the name is reserved or used twice", remedy: "rename it")
      }
      guard let end = checkedSum(offset, byteCount), end < 1 << 62 else {
        throw FormatError(.tooLarge, file: path, field: "data size", found: "past 63 bits")
      }
      header[tensor.name] = .object(
        JSONObject([
          ("dtype", .string(dtype)), ("shape", .array(tensor.shape.map { .int($0) })),
          ("data_offsets", [.int(offset), .int(end)]),
        ]))
      places[tensor.name] = offset..<end
      offset = end
    }
    let options = JSON.WriteOptions(ensureASCII: false, compact: true)
    var text = JSON.object(header).serializedBytes(options)
    while text.count % 8 != 0 { text.append(0x20) }
    var head: [UInt8] = []
    appendLittleEndian(UInt64(text.count), to: &head)
    head += text
    file = try AtomicFile(path: path)
    try begin(head, dataSize: offset)
  }

  /// Begins a .gguf file; a shape goes out with its last axis first.
  public init(
    gguf tensors: [PlannedTensor], metadata: [(key: String, value: GGUFField)], to path: String
  ) throws(FormatError) {
    self.path = path
    let alignment = 32
    var head: [UInt8] = Array("GGUF".utf8)
    appendLittleEndian(UInt32(3), to: &head)
    appendLittleEndian(UInt64(tensors.count), to: &head)
    appendLittleEndian(UInt64(metadata.count), to: &head)
    for (key, value) in metadata {
      appendText(key, to: &head)
      value.append(to: &head)
    }
    var offset = 0
    for tensor in tensors {
      var type: GGMLType?
      switch tensor.element {
      case .plain(let element): type = GGMLType(element: element)
      case .ggml(let given): type = given
      }
      guard let type else {
        throw FormatError(
          .unsupported, file: path, field: "tensor '\(tensor.name)'", found: "its number type",
          remedy: "GGUF has float16, bfloat16, float32, float64 and signed integers")
      }
      let planned = PlannedTensor(name: tensor.name, element: .ggml(type), shape: tensor.shape)
      guard let byteCount = planned.byteCount, byteCount < 1 << 60, offset < 1 << 61 else {
        throw FormatError(
          .invalid, file: path, field: "tensor '\(tensor.name)'",
          found: "the shape \(tensor.shape) does not fill blocks of \(type.name)",
          remedy: "rows must be multiples of \(type.blockSize)")
      }
      guard places[tensor.name] == nil else {
        throw FormatError(
          .invalid, file: path, field: "tensor '\(tensor.name)'", found: "the name is used twice",
          remedy: "rename it")
      }
      appendText(tensor.name, to: &head)
      appendLittleEndian(UInt32(tensor.shape.count), to: &head)
      for n in tensor.shape.reversed() { appendLittleEndian(UInt64(n), to: &head) }
      appendLittleEndian(type.rawValue, to: &head)
      appendLittleEndian(UInt64(offset), to: &head)
      places[tensor.name] = offset..<offset + byteCount
      offset += (byteCount + alignment - 1) / alignment * alignment
    }
    let padding = (alignment - head.count % alignment) % alignment
    head += [UInt8](repeating: 0, count: padding)
    file = try AtomicFile(path: path)
    try begin(head, dataSize: offset)
  }

  private func begin(_ head: [UInt8], dataSize: Int) throws(FormatError) {
    try file.write(head)
    try file.reserve(head.count + dataSize)
    places = places.mapValues { $0.lowerBound + head.count..<$0.upperBound + head.count }
    missing = Set(places.keys)
  }

  /// Puts a tensor into its place.
  public func write(_ name: String, _ bytes: UnsafeRawBufferPointer) throws(FormatError) {
    guard let place = places[name] else {
      throw FormatError(
        .invalid, file: path, field: "tensor '\(name)'", found: "was not announced",
        remedy: "name it before its values are written")
    }
    guard bytes.count == place.count else {
      throw FormatError(
        .invalid, file: path, field: "tensor '\(name)'",
        found: "\(bytes.count) bytes, announced were \(place.count)",
        remedy: "pass the bytes of the whole array in C order")
    }
    try file.write(bytes, at: place.lowerBound)
    missing.remove(name)
  }

  /// Gives the file its name, once every tensor is there.
  public func finish() throws(FormatError) {
    if let name = missing.sorted().first {
      throw FormatError(
        .invalid, file: path, field: "tensor '\(name)'", found: "was announced and never written",
        remedy: "write all tensors before the file is finished")
    }
    try file.commit()
  }
}

extension GGMLType {
  /// The type of plain numbers; nil where GGUF has none.
  public init?(element: ElementType) {
    guard let type = GGMLType.allCases.first(where: { $0.element == element }) else { return nil }
    self = type
  }

  /// The type with ggml's name.
  public init?(name: String) {
    guard let type = GGMLType.allCases.first(where: { $0.name == name }) else { return nil }
    self = type
  }
}
