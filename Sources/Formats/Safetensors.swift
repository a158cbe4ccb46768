// Reading safetensors, the format of Hugging Face weights.
//
//   ┌────────────┬───────────────────────────────┬──────────────────────────┐
//   │ N: u64 LE  │ N bytes of JSON (padded, ' ') │ data; offsets count here │
//   └────────────┴───────────────────────────────┴──────────────────────────┘
//   {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...,
//    "__metadata__": {"key": "text"}}
//
// Nothing is copied: a tensor is a byte range of the mapped file. As the reference
// implementation does, the reader wants the tensors, sorted by offset, to follow each other
// without hole or overlap and to end where the file ends. A model may be cut into shards;
// `model.safetensors.index.json` says which shard holds which tensor.

/// A tensor inside a mapped file.
public struct SafetensorsTensor: Sendable {
  public let name: String
  public let type: ElementType
  public let shape: [Int]
  /// Where its bytes lie in `file`; validated.
  public let range: Range<Int>
  public let file: MappedFile

  public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: file.bytes[range]) }
}

/// One file.
public struct Safetensors: Sendable {
  public let file: MappedFile
  /// In the header's order.
  public let tensors: [SafetensorsTensor]
  /// The texts of `__metadata__`, in order.
  public let metadata: [(key: String, value: String)]
  private let indices: [String: Int]

  /// The reference implementation's bound on the header.
  static let maximumHeaderSize = 100_000_000

  public subscript(name: String) -> SafetensorsTensor? { indices[name].map { tensors[$0] } }

  public init(path: String) throws(FormatError) { try self.init(file: MappedFile(path: path)) }

  public init(file: MappedFile) throws(FormatError) {
    self.file = file
    var reader = ByteReader(file.bytes, file: file.path)
    let headerSize = try reader.length("header size")
    guard headerSize <= Self.maximumHeaderSize else {
      throw FormatError(
        .tooLarge, file: file.path, field: "header size", found: "\(headerSize) bytes",
        remedy: "at most \(Self.maximumHeaderSize) are allowed; is this a safetensors file?")
    }
    let headerAt = try reader.take(headerSize, "header")
    let dataAt = reader.offset
    let header = try JSON.parse(
      UnsafeRawBufferPointer(rebasing: file.bytes[headerAt..<dataAt]),
      file: "\(file.path) (header)", options: JSON.ParseOptions(maximumDepth: 32))
    guard let entries = header.object else {
      throw FormatError(
        .invalid, file: file.path, field: "header", found: "\(header.typeName), not an object")
    }

    var tensors: [SafetensorsTensor] = []
    var metadata: [(key: String, value: String)] = []
    var indices: [String: Int] = [:]
    tensors.reserveCapacity(entries.count)
    indices.reserveCapacity(entries.count)
    for (name, entry) in entries {
      if name == "__metadata__" {
        metadata = try Self.readMetadata(entry, file: file.path)
        continue
      }
      indices[name] = tensors.count
      tensors.append(try Self.readTensor(name, entry, file: file, dataAt: dataAt))
    }

    var expected = dataAt
    for tensor in tensors.sorted(by: {
      ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound)
    }) {
      guard tensor.range.lowerBound == expected else {
        let problem =
          tensor.range.lowerBound < expected ? "overlaps the one before it" : "follows a hole"
        throw FormatError(
          .invalid, file: file.path, field: "tensor '\(tensor.name)' data_offsets",
          found: "begins at \(tensor.range.lowerBound - dataAt), which \(problem) "
            + "(ends at \(expected - dataAt))")
      }
      expected = tensor.range.upperBound
    }
    guard expected == file.count else {
      throw FormatError(
        .invalid, file: file.path, field: "data size",
        found: "the tensors end at \(expected - dataAt), the data at \(file.count - dataAt)")
    }
    self.tensors = tensors
    self.metadata = metadata
    self.indices = indices
  }

  private static func readMetadata(
    _ entry: JSON, file: String
  ) throws(FormatError) -> [(key: String, value: String)] {
    if entry.isNull { return [] }  // as MLX writes it
    guard let object = entry.object else {
      throw FormatError(
        .invalid, file: file, field: "__metadata__", found: "\(entry.typeName), not an object")
    }
    var pairs: [(key: String, value: String)] = []
    for (key, value) in object {
      guard let text = value.string else {
        throw FormatError(
          .invalid, file: file, field: "__metadata__ '\(key)'",
          found: "\(value.typeName), not a string")
      }
      pairs.append((key, text))
    }
    return pairs
  }

  private static func readTensor(
    _ name: String, _ entry: JSON, file: MappedFile, dataAt: Int
  ) throws(FormatError) -> SafetensorsTensor {
    func failure(
      _ field: String, _ found: String, _ kind: FormatError.Kind = .invalid
    ) -> FormatError {
      FormatError(kind, file: file.path, field: "tensor '\(name)' \(field)", found: found)
    }
    guard let dtype = entry["dtype"]?.string else { throw failure("dtype", "missing") }
    guard let type = ElementType(safetensorsName: dtype) else {
      throw failure("dtype", "'\(dtype)' is not a type this reader knows", .unsupported)
    }
    guard let dims = entry["shape"]?.array else { throw failure("shape", "missing") }
    guard dims.count <= 64 else { throw failure("shape", "\(dims.count) dimensions", .tooLarge) }
    var shape: [Int] = []
    for dim in dims {
      guard let size = dim.int, size >= 0 else {
        throw failure("shape", "holds \(dim.serialized()), not a size")
      }
      shape.append(size)
    }
    guard let offsets = entry["data_offsets"]?.array, offsets.count == 2,
      let from = offsets[0].int, let to = offsets[1].int
    else { throw failure("data_offsets", "missing, or not a pair of integers") }
    guard from >= 0, to >= from, to <= file.count - dataAt else {
      let kind: FormatError.Kind = from >= 0 && to >= from ? .truncated : .invalid
      throw failure(
        "data_offsets", "[\(from), \(to)] is not inside the data of \(file.count - dataAt) bytes",
        kind)
    }
    guard let wanted = checkedElementCount(shape).flatMap({ checkedProduct($0, type.byteCount) }),
      wanted == to - from
    else {
      throw failure("data_offsets", "\(to - from) bytes for shape \(shape) of \(dtype)")
    }
    return SafetensorsTensor(
      name: name, type: type, shape: shape, range: dataAt + from..<dataAt + to, file: file)
  }
}

/// The weights of a model directory: one file, or the shards of an index.
public struct SafetensorsModel: Sendable {
  public let shards: [Safetensors]
  private let places: [String: (shard: Int, tensor: Int)]
  /// All tensors, shard by shard.
  public var tensors: [SafetensorsTensor] { shards.flatMap(\.tensors) }

  public subscript(name: String) -> SafetensorsTensor? {
    places[name].map { shards[$0.shard].tensors[$0.tensor] }
  }

  /// Opens a `.safetensors` file, an `.index.json`, or a directory that holds
  /// `model.safetensors` or `model.safetensors.index.json`.
  public init(path: String) throws(FormatError) {
    var index: String?
    if path.hasSuffix(".json") {
      index = path
    } else if !path.hasSuffix(".safetensors") {
      let candidate = path + "/model.safetensors.index.json"
      if fileExists(candidate), !fileExists(path + "/model.safetensors") { index = candidate }
    }
    if let index {
      try self.init(index: index)
    } else {
      let single = path.hasSuffix(".safetensors") ? path : path + "/model.safetensors"
      try self.init(shards: [Safetensors(path: single)], file: single)
    }
  }

  private init(index path: String) throws(FormatError) {
    let index = try JSON.load(path, limit: 1 << 28)
    guard let map = index["weight_map"]?.object else {
      throw FormatError(.invalid, file: path, field: "weight_map", found: "missing")
    }
    let slash = path.utf8.lastIndex(of: UInt8(ascii: "/"))
    let folder = slash.map { String(path[...$0]) } ?? ""
    var files: [String: Int] = [:]
    var shards: [Safetensors] = []
    for (name, value) in map {
      guard let file = value.string, !file.isEmpty, !file.utf8.contains(UInt8(ascii: "/")),
        file != ".."
      else {
        throw FormatError(
          .invalid, file: path, field: "weight_map '\(name)'",
          found: "\(value.serialized()) is not the name of a file beside the index")
      }
      if files[file] == nil {
        files[file] = shards.count
        shards.append(try Safetensors(path: folder + file))
      }
      guard let shard = files[file], shards[shard][name] != nil else {
        throw FormatError(
          .invalid, file: path, field: "weight_map '\(name)'",
          found: "the shard \(file) has no such tensor")
      }
    }
    try self.init(shards: shards, file: path)
  }

  private init(shards: [Safetensors], file: String) throws(FormatError) {
    self.shards = shards
    var places: [String: (shard: Int, tensor: Int)] = [:]
    for (s, shard) in shards.enumerated() {
      for (t, tensor) in shard.tensors.enumerated() {
        guard places.updateValue((s, t), forKey: tensor.name) == nil else {
          throw FormatError(
            .invalid, file: file, field: "tensor '\(tensor.name)'", found: "is in two shards")
        }
      }
    }
    self.places = places
  }
}

extension ElementType {
  /// The type of a `dtype` field; nil where unknown (sub-byte types among them).
  public init?(safetensorsName name: String) {
    guard let match = Self.allCases.first(where: { $0.safetensorsName == name }) else { return nil }
    self = match
  }

  /// The `dtype` text; nil where the format has none.
  public var safetensorsName: String? {
    switch self {
    case .bool: "BOOL"
    case .uint8: "U8"
    case .int8: "I8"
    case .uint16: "U16"
    case .int16: "I16"
    case .uint32: "U32"
    case .int32: "I32"
    case .uint64: "U64"
    case .int64: "I64"
    case .float16: "F16"
    case .bfloat16: "BF16"
    case .float32: "F32"
    case .float64: "F64"
    case .complex64: "C64"
    case .complex128: nil
    case .float8E4M3: "F8_E4M3"
    case .float8E5M2: "F8_E5M2"
    case .float8E8M0: "F8_E8M0"
    }
  }
}
