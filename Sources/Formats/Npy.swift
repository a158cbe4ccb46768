// npy, NumPy's file for one array.
//
//   ┌───────────────┬─────────────┬──────────────────┬─────────────────────────────┬──────┐
//   │ 93 'NUMPY'    │ major minor │ header length    │ Python dict literal, padded │ data │
//   └───────────────┴─────────────┴── u16 v1, u32 v2+┴─────────────────────────────┴──────┘
//   {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
//
// The header is parsed strictly, never evaluated: exactly the three keys, in any order.
// Object arrays (which are pickles) and structured types are refused.

/// The element type of an npy file.
public struct NpyType: Sendable, Equatable {
  /// NumPy's kind letter: b, i, u, f, c, and S, U, V (fixed-size text and raw bytes), m, M.
  public let kind: Unicode.Scalar
  public let itemSize: Int
  public let isBigEndian: Bool
  /// The number type; nil for text, raw bytes and times.
  public let element: ElementType?

  init?(descriptor: String) {
    var scalars = Array(descriptor.unicodeScalars)
    var order: Unicode.Scalar = "|"
    if let first = scalars.first, "<>|=".unicodeScalars.contains(first) {
      order = first
      scalars.removeFirst()
    }
    guard let kind = scalars.first else { return nil }
    var digits = String(String.UnicodeScalarView(scalars.dropFirst()))
    if kind == "M" || kind == "m", let unit = digits.utf8.firstIndex(of: UInt8(ascii: "[")) {
      digits = String(digits[..<unit])
    }
    if kind == "?" { digits = "1" }
    guard !digits.isEmpty, digits.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }),
      let size = Int(digits), size <= 1 << 30
    else { return nil }
    self.kind = kind == "?" ? "b" : kind
    switch (self.kind, size) {
    case ("b", 1): element = .bool
    case ("i", 1): element = .int8
    case ("i", 2): element = .int16
    case ("i", 4): element = .int32
    case ("i", 8): element = .int64
    case ("u", 1): element = .uint8
    case ("u", 2): element = .uint16
    case ("u", 4): element = .uint32
    case ("u", 8): element = .uint64
    case ("f", 2): element = .float16
    case ("f", 4): element = .float32
    case ("f", 8): element = .float64
    case ("c", 8): element = .complex64
    case ("c", 16): element = .complex128
    case ("S", _), ("V", _), ("U", _), ("m", 8), ("M", 8): element = nil
    default: return nil
    }
    itemSize = self.kind == "U" ? size * 4 : size
    isBigEndian = order == ">" && size > 1
  }
}

/// An array inside a mapped file. The bytes may be unaligned inside an npz.
public struct NpyArray: Sendable {
  public let type: NpyType
  public let shape: [Int]
  /// True where the first index varies fastest.
  public let isFortranOrder: Bool
  public let range: Range<Int>
  public let file: MappedFile
  /// What is wrong with the elements of a file that ends before them, if the reader asked for no more than the header.
  public let missing: FormatError?

  public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: file.bytes[range]) }

  /// With `needsData: false` a file that ends too early is read as far as its header goes.
  public init(path: String, needsData: Bool = true) throws(FormatError) {
    let file = try MappedFile(path: path)
    try self.init(file: file, range: 0..<file.count, label: path, needsData: needsData)
  }

  public init(file: MappedFile) throws(FormatError) {
    try self.init(file: file, range: 0..<file.count, label: file.path)
  }

  /// Reads the array in a part of a file, which `label` names.
  init(file: MappedFile, range: Range<Int>, label: String, needsData: Bool = true)
    throws(FormatError)
  {
    let content = UnsafeRawBufferPointer(rebasing: file.bytes[range])
    var reader = ByteReader(content, file: label)
    let magicAt = try reader.take(6, "magic")
    guard content[magicAt..<magicAt + 6].elementsEqual([0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59]) else {
      throw FormatError(.invalid, file: label, field: "magic", found: "is not that of an npy file")
    }
    let major = try reader.integer(UInt8.self, "version")
    _ = try reader.integer(UInt8.self, "version")
    let headerSize: Int
    switch major {
    case 1: headerSize = Int(try reader.integer(UInt16.self, "header length"))
    case 2, 3: headerSize = Int(try reader.integer(UInt32.self, "header length"))
    default:
      throw FormatError(
        .unsupported, file: label, field: "version", found: "\(major)",
        remedy: "versions 1 to 3 are known")
    }
    guard headerSize <= 1 << 20 else {
      throw FormatError(.tooLarge, file: label, field: "header length", found: "\(headerSize)")
    }
    let headerAt = try reader.take(headerSize, "header")
    var header = NpyHeaderParser(
      text: Array(content[headerAt..<headerAt + headerSize]), file: label)
    let fields = try header.parse()
    guard fields.descriptor.unicodeScalars.last != "O" else {
      throw FormatError(
        .unsupported, file: label, field: "descr",
        found: "an array of Python objects, which would have to run code to load",
        remedy: "save a numeric array")
    }
    guard let type = NpyType(descriptor: fields.descriptor) else {
      throw FormatError(
        .unsupported, file: label, field: "descr", found: "unknown type '\(fields.descriptor)'")
    }
    guard
      let size = checkedElementCount(fields.shape).flatMap({ checkedProduct($0, type.itemSize) })
    else {
      throw FormatError(.tooLarge, file: label, field: "shape", found: "\(fields.shape)")
    }
    self.type = type
    shape = fields.shape
    isFortranOrder = fields.isFortranOrder
    self.file = file
    do throws(FormatError) {
      let dataAt = try reader.take(size, "data of shape \(fields.shape)")
      self.range = range.lowerBound + dataAt..<range.lowerBound + dataAt + size
      missing = nil
    } catch {
      guard !needsData, error.kind == .truncated else { throw error }
      self.range = range.upperBound..<range.upperBound
      missing = error
    }
  }
}

/// The dict literal of the header.
private struct NpyHeaderParser {
  let text: [UInt8]
  let file: String
  var position = 0

  init(text: [UInt8], file: String) {
    self.text = text
    self.file = file
  }

  mutating func parse() throws(FormatError) -> (
    descriptor: String, isFortranOrder: Bool, shape: [Int]
  ) {
    var descriptor: String?
    var fortran: Bool?
    var shape: [Int]?
    try expect("{")
    while !take("}") {
      let key = try string()
      try expect(":")
      switch key {
      case "descr" where descriptor == nil:
        skipSpace()
        guard position < text.count, text[position] != UInt8(ascii: "[") else {
          throw failure("a structured type", .unsupported)
        }
        descriptor = try string()
      case "fortran_order" where fortran == nil:
        if take("True") {
          fortran = true
        } else if take("False") {
          fortran = false
        } else {
          throw failure("fortran_order is neither True nor False")
        }
      case "shape" where shape == nil: shape = try tuple()
      default: throw failure("unexpected or repeated key '\(key)'")
      }
      if !take(",") {
        try expect("}")
        break
      }
    }
    skipSpace()
    guard position == text.count else { throw failure("text after the dict") }
    guard let descriptor, let fortran, let shape else {
      throw failure("one of descr, fortran_order and shape is missing")
    }
    return (descriptor, fortran, shape)
  }

  private mutating func tuple() throws(FormatError) -> [Int] {
    try expect("(")
    var values: [Int] = []
    while !take(")") {
      skipSpace()
      let start = position
      while position < text.count, text[position] >= 0x30, text[position] <= 0x39 { position += 1 }
      guard let value = Int(String(decoding: text[start..<position], as: UTF8.self)) else {
        throw failure("shape holds something that is not a size")
      }
      _ = take("L")
      values.append(value)
      guard values.count <= 64 else { throw failure("more than 64 dimensions", .tooLarge) }
      if !take(",") {
        guard values.count > 1 else { throw failure("shape is not a tuple") }
        try expect(")")
        break
      }
    }
    return values
  }

  private mutating func string() throws(FormatError) -> String {
    skipSpace()
    guard position < text.count, text[position] == 0x27 || text[position] == 0x22 else {
      throw failure("expected a quoted text")
    }
    let quote = text[position]
    let start = position + 1
    guard let end = text[start...].firstIndex(of: quote),
      !text[start..<end].contains(UInt8(ascii: "\\")),
      let value = String(validating: text[start..<end], as: UTF8.self)
    else { throw failure("unfinished or escaped text") }
    position = end + 1
    return value
  }

  private mutating func expect(_ word: StaticString) throws(FormatError) {
    guard take(word) else { throw failure("expected '\(word)'") }
  }

  private mutating func take(_ word: StaticString) -> Bool {
    skipSpace()
    let count = word.utf8CodeUnitCount
    guard position + count <= text.count else { return false }
    for index in 0..<count where text[position + index] != word.utf8Start[index] { return false }
    position += count
    return true
  }

  private mutating func skipSpace() {
    while position < text.count, [0x20, 0x0A, 0x09, 0x0D].contains(text[position]) { position += 1 }
  }

  private func failure(_ found: String, _ kind: FormatError.Kind = .invalid) -> FormatError {
    FormatError(kind, file: file, field: "header, character \(position)", found: found)
  }
}

extension ElementType {
  /// The `descr` text NumPy knows; nil for bfloat16 and the 8-bit floats.
  public var npyDescriptor: String? {
    switch self {
    case .bool: "|b1"
    case .uint8: "|u1"
    case .int8: "|i1"
    case .uint16: "<u2"
    case .int16: "<i2"
    case .uint32: "<u4"
    case .int32: "<i4"
    case .uint64: "<u8"
    case .int64: "<i8"
    case .float16: "<f2"
    case .float32: "<f4"
    case .float64: "<f8"
    case .complex64: "<c8"
    case .complex128: "<c16"
    case .bfloat16, .float8E4M3, .float8E5M2, .float8E8M0: nil
    }
  }
}

/// The bytes before the data: version 1, or 2 where the shape is very long, padded so that
/// the data begins at a multiple of 64.
func npyHeader(_ tensor: TensorSource, file: String) throws(FormatError) -> [UInt8] {
  try tensor.validate(file: file)
  guard let descriptor = tensor.type.npyDescriptor else {
    throw FormatError(
      .unsupported, file: file, field: "dtype",
      found: "NumPy has no \(tensor.type.rawValue)", remedy: "convert to float32 first")
  }
  let dims = tensor.shape.map { String($0) }.joined(separator: ", ")
  let tuple = tensor.shape.count == 1 ? "(\(dims),)" : "(\(dims))"
  var text = Array(
    "{'descr': '\(descriptor)', 'fortran_order': False, 'shape': \(tuple), }".utf8)
  let isLong = text.count + 64 + 10 > 65535
  let prefixSize = isLong ? 12 : 10
  while (prefixSize + text.count + 1) % 64 != 0 { text.append(0x20) }
  text.append(0x0A)
  var bytes: [UInt8] = [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59, isLong ? 2 : 1, 0]
  if isLong {
    appendLittleEndian(UInt32(text.count), to: &bytes)
  } else {
    appendLittleEndian(UInt16(text.count), to: &bytes)
  }
  return bytes + text
}

/// Writes one array, atomically. The tensor's name is not stored.
public func writeNpy(_ tensor: TensorSource, to path: String) throws(FormatError) {
  let header = try npyHeader(tensor, file: path)
  let file = try AtomicFile(path: path)
  try file.write(header)
  try file.write(tensor.bytes)
  try file.commit()
}
