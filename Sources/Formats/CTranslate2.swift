// Reading CTranslate2's model.bin.
//
//   u32 binary version (4 to 6)
//   text spec ("WhisperSpec"), u32 revision
//   u32 count, then for each variable:
//     text name, u8 rank, u32 x rank shape, u8 element type, u32 bytes, the bytes
//   u32 count, then for each alias: text name, text target
//   text: u16 bytes, which end with a zero
//
// Nothing is aligned. Everything is little-endian.

/// A variable inside a mapped model.bin.
public struct CTranslate2Variable: Sendable {
  public let name: String
  public let type: ElementType
  public let shape: [Int]
  /// Where its bytes lie in `file`; validated.
  public let range: Range<Int>
  public let file: MappedFile

  public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: file.bytes[range]) }
}

public struct CTranslate2: Sendable {
  public let file: MappedFile
  /// Which kind of model it is: "WhisperSpec".
  public let spec: String
  public let variables: [CTranslate2Variable]
  /// Further names of variables.
  public let aliases: [(name: String, target: String)]

  private static let types: [ElementType] = [.float32, .int8, .int16, .int32, .float16, .bfloat16]

  public init(path: String) throws(FormatError) { try self.init(file: MappedFile(path: path)) }

  public init(file: MappedFile) throws(FormatError) {
    self.file = file
    var reader = ByteReader(file.bytes, file: file.path)
    func text(_ field: String) throws(FormatError) -> String {
      let count = Int(try reader.integer(UInt16.self, field))
      let at = try reader.take(count, field)
      return String(decoding: file.bytes[at..<at + count].prefix { $0 != 0 }, as: UTF8.self)
    }
    let version = try reader.integer(UInt32.self, "binary version")
    guard (4...6).contains(version) else {
      throw FormatError(
        .unsupported, file: file.path, field: "binary version", found: "\(version)",
        remedy: "versions 4 to 6 are known; is this CTranslate2's model.bin?")
    }
    spec = try text("spec")
    _ = try reader.integer(UInt32.self, "revision")
    let count = Int(try reader.integer(UInt32.self, "variable count"))
    var variables: [CTranslate2Variable] = []
    var names: Set<String> = []
    for i in 0..<count {
      let name = try text("name of variable \(i)")
      let rank = Int(try reader.integer(UInt8.self, "'\(name)' rank"))
      guard rank <= 8 else {
        throw FormatError(
          .invalid, file: file.path, field: "'\(name)' rank", found: "\(rank) dimensions")
      }
      var shape: [Int] = []
      for _ in 0..<rank { shape.append(Int(try reader.integer(UInt32.self, "'\(name)' shape"))) }
      let code = Int(try reader.integer(UInt8.self, "'\(name)' type"))
      guard Self.types.indices.contains(code) else {
        throw FormatError(
          .unsupported, file: file.path, field: "'\(name)' type", found: "element type \(code)",
          remedy: "types 0 to \(Self.types.count - 1) are known")
      }
      let type = Self.types[code]
      let byteCount = Int(try reader.integer(UInt32.self, "'\(name)' size"))
      guard checkedElementCount(shape).flatMap({ checkedProduct($0, type.byteCount) }) == byteCount
      else {
        throw FormatError(
          .invalid, file: file.path, field: "'\(name)'",
          found: "\(byteCount) bytes for shape \(shape) of \(type.rawValue)")
      }
      let at = try reader.take(byteCount, "'\(name)'")
      guard names.insert(name).inserted else {
        throw FormatError(.invalid, file: file.path, field: "'\(name)'", found: "is there twice")
      }
      variables.append(
        CTranslate2Variable(
          name: name, type: type, shape: shape, range: at..<at + byteCount, file: file))
    }
    self.variables = variables
    var aliases: [(name: String, target: String)] = []
    for i in 0..<Int(try reader.integer(UInt32.self, "alias count")) {
      let name = try text("alias \(i)")
      let target = try text("alias \(i)")
      guard names.contains(target) else {
        throw FormatError(
          .invalid, file: file.path, field: "alias '\(name)'", found: "no variable '\(target)'")
      }
      aliases.append((name, target))
    }
    self.aliases = aliases
    guard reader.remaining == 0 else {
      throw FormatError(
        .invalid, file: file.path, field: "end", found: "\(reader.remaining) bytes left over")
    }
  }
}
