// npz: a zip archive of npy files.
//
//   local header + data   (one a member)   PK 03 04 …
//   central directory     (one a member)   PK 01 02 …  name, method, sizes, offset
//   end of directory      (last 22 bytes)  PK 05 06 …  count, size, offset
//
// The directory is believed, the local header only gives the data's place. Stored members
// (np.savez) are used where the file is mapped; deflated ones (np.savez_compressed) are
// refused, by name. Zip64 fields are read where sizes need them.

/// The arrays of an archive, in its order.
public struct Npz: Sendable {
  public let file: MappedFile
  public let names: [String]
  public let arrays: [NpyArray]

  public subscript(name: String) -> NpyArray? {
    names.firstIndex { sameBytes($0, name) }.map { arrays[$0] }
  }

  public init(path: String) throws(FormatError) { try self.init(file: MappedFile(path: path)) }

  public init(file: MappedFile) throws(FormatError) {
    self.file = file
    var names: [String] = []
    var arrays: [NpyArray] = []
    for member in try ZipDirectory(file: file).members {
      let label = "\(file.path)/\(member.name)"
      guard member.method == 0 || member.method == 8 else {
        throw FormatError(
          .unsupported, file: file.path, field: "member '\(member.name)'",
          found: "has compression method \(member.method)",
          remedy: "save with numpy.savez or savez_compressed")
      }
      names.append(
        member.name.hasSuffix(".npy") ? String(member.name.dropLast(4)) : member.name)
      if member.method == 0 {
        arrays.append(try NpyArray(file: file, range: member.range, label: label))
        continue
      }
      let packed = UnsafeRawBufferPointer(rebasing: file.bytes[member.range])
      guard let bytes = inflate(packed, size: member.size) else {
        throw FormatError(
          .invalid, file: file.path, field: "member '\(member.name)'",
          found: "compressed data that is damaged", remedy: "save or download the file again")
      }
      let copy = MappedFile(copying: bytes, name: label)
      arrays.append(try NpyArray(file: copy, range: 0..<copy.count, label: label))
    }
    self.names = names
    self.arrays = arrays
  }
}

struct ZipDirectory {
  struct Member {
    var name: String
    var method: UInt16
    /// Bytes of the content, uncompressed.
    var size: Int
    /// The stored bytes in the file; validated.
    var range: Range<Int>
  }

  let members: [Member]

  init(file: MappedFile) throws(FormatError) {
    let bytes = file.bytes
    func failure(
      _ field: String, _ found: String, _ kind: FormatError.Kind = .invalid
    ) -> FormatError { FormatError(kind, file: file.path, field: field, found: found) }

    // The end record is followed by a comment of at most 65,535 bytes.
    guard bytes.count >= 22 else {
      throw failure("zip end record", "the file is too short", .truncated)
    }
    var at = bytes.count - 22
    let lowest = max(0, at - 65_535)
    while bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self).littleEndian != 0x0605_4B50 {
      guard at > lowest else {
        throw failure("zip end record", "not found: no npz file, or a truncated one")
      }
      at -= 1
    }
    var end = ByteReader(bytes, file: file.path, offset: at + 10)
    var count = Int(try end.integer(UInt16.self, "zip member count"))
    _ = try end.integer(UInt32.self, "zip directory size")
    var directoryAt = Int(try end.integer(UInt32.self, "zip directory offset"))
    if count == 0xFFFF || directoryAt == 0xFFFF_FFFF, at >= 20 {
      var locator = ByteReader(bytes, file: file.path, offset: at - 20)
      if try locator.integer(UInt32.self, "zip64 locator") == 0x0706_4B50 {
        _ = try locator.integer(UInt32.self, "zip64 locator")
        let recordAt = try locator.length("zip64 record offset")
        guard recordAt <= bytes.count else { throw failure("zip64 record offset", "\(recordAt)") }
        var record = ByteReader(bytes, file: file.path, offset: recordAt)
        guard try record.integer(UInt32.self, "zip64 record") == 0x0606_4B50 else {
          throw failure("zip64 record", "not found")
        }
        _ = try record.take(28, "zip64 record")
        count = try record.length("zip64 member count")
        _ = try record.take(8, "zip64 directory size")
        directoryAt = try record.length("zip64 directory offset")
      }
    }
    guard directoryAt <= bytes.count, count <= bytes.count / 46 else {
      throw failure("zip directory", "\(count) members at offset \(directoryAt) do not fit")
    }

    var reader = ByteReader(bytes, file: file.path, offset: directoryAt)
    var members: [Member] = []
    for index in 0..<count {
      members.append(try Self.readMember(index, &reader, failure: failure))
    }
    self.members = members
  }

  private static func readMember(
    _ index: Int, _ reader: inout ByteReader,
    failure: (String, String, FormatError.Kind) -> FormatError
  ) throws(FormatError) -> Member {
    let field = "zip member \(index)"
    guard try reader.integer(UInt32.self, field) == 0x0201_4B50 else {
      throw failure(field, "its directory entry is not there", .invalid)
    }
    _ = try reader.take(4, field)
    let flags = try reader.integer(UInt16.self, field)
    let method = try reader.integer(UInt16.self, field)
    _ = try reader.take(8, field)
    var storedSize = Int(try reader.integer(UInt32.self, field))
    var size = Int(try reader.integer(UInt32.self, field))
    let nameSize = Int(try reader.integer(UInt16.self, field))
    let extraSize = Int(try reader.integer(UInt16.self, field))
    let commentSize = Int(try reader.integer(UInt16.self, field))
    _ = try reader.take(8, field)
    var headerAt = Int(try reader.integer(UInt32.self, field))
    let nameAt = try reader.take(nameSize, "\(field) name")
    let name = String(decoding: reader.bytes[nameAt..<nameAt + nameSize], as: UTF8.self)
    let extraAt = try reader.take(extraSize, "\(field) extra")
    _ = try reader.take(commentSize, "\(field) comment")

    // Zip64: the extra field holds, in this order, those of the three that are saturated.
    var extra = ByteReader(
      UnsafeRawBufferPointer(rebasing: reader.bytes[extraAt..<extraAt + extraSize]),
      file: reader.file)
    while extra.remaining >= 4 {
      let tag = try extra.integer(UInt16.self, field)
      let length = Int(try extra.integer(UInt16.self, field))
      guard length <= extra.remaining else { break }
      if tag == 1 {
        if size == 0xFFFF_FFFF { size = try extra.length("\(field) size") }
        if storedSize == 0xFFFF_FFFF { storedSize = try extra.length("\(field) size") }
        if headerAt == 0xFFFF_FFFF { headerAt = try extra.length("\(field) offset") }
        break
      }
      _ = try extra.take(length, field)
    }
    guard flags & 1 == 0 else {
      throw failure("zip member '\(name)'", "is encrypted", .unsupported)
    }
    guard headerAt <= reader.bytes.count else {
      throw failure("zip member '\(name)' offset", "\(headerAt) is past the end", .invalid)
    }
    var local = ByteReader(reader.bytes, file: reader.file, offset: headerAt)
    guard try local.integer(UInt32.self, field) == 0x0403_4B50 else {
      throw failure("zip member '\(name)'", "its local header is not there", .invalid)
    }
    _ = try local.take(22, field)
    let localName = Int(try local.integer(UInt16.self, field))
    let localExtra = Int(try local.integer(UInt16.self, field))
    _ = try local.take(localName + localExtra, field)
    let dataAt = try local.take(storedSize, "zip member '\(name)' data")
    guard method != 0 || storedSize == size else {
      throw failure("zip member '\(name)' size", "\(size) and \(storedSize) differ", .invalid)
    }
    return Member(name: name, method: method, size: size, range: dataAt..<dataAt + storedSize)
  }
}

/// Writes an uncompressed archive, atomically, as numpy.savez does. Each array's data begins
/// at a multiple of 64, so it can be used where the file is mapped.
public func writeNpz(_ tensors: [TensorSource], compressed: Bool = false, to path: String)
  throws(FormatError)
{
  let file = try AtomicFile(path: path)
  var directory: [UInt8] = []
  for tensor in tensors {
    let header = try npyHeader(tensor, file: path)
    let name = Array("\(tensor.name).npy".utf8)
    let size = header.count + tensor.bytes.count
    guard let size32 = UInt32(exactly: size), size32 < .max,
      let at = UInt32(exactly: file.byteCount), at < .max,
      let nameSize = UInt16(exactly: name.count)
    else {
      throw FormatError(
        .tooLarge, file: path, field: "array '\(tensor.name)'", found: "past 4 GB",
        remedy: "save as safetensors")
    }
    // A compressed member goes out whole, from one copy in memory.
    let packed = compressed ? deflate(header + Array(tensor.bytes)) : nil
    let stored = packed.map { UInt32($0.count) } ?? size32
    var crc = CRC32()
    header.withUnsafeBytes { crc.update($0) }
    crc.update(tensor.bytes)
    // An extra field of private tag pads the data to the alignment.
    var padding = 64 - (file.byteCount + 30 + name.count + 4) % 64
    if padding == 64 { padding = 0 }

    var common: [UInt8] = []
    appendLittleEndian(UInt16(20), to: &common)  // version needed
    appendLittleEndian(UInt16(0x0800), to: &common)  // UTF-8 names
    appendLittleEndian(UInt16(packed == nil ? 0 : 8), to: &common)  // stored or deflated
    appendLittleEndian(UInt32(0x0021_0000), to: &common)  // 1980-01-01, 00:00
    appendLittleEndian(crc.value, to: &common)
    appendLittleEndian(stored, to: &common)
    appendLittleEndian(size32, to: &common)
    appendLittleEndian(nameSize, to: &common)

    var local: [UInt8] = [0x50, 0x4B, 3, 4]
    local += common
    appendLittleEndian(UInt16(4 + padding), to: &local)
    local += name
    appendLittleEndian(UInt16(0x4C4C), to: &local)
    appendLittleEndian(UInt16(padding), to: &local)
    local += [UInt8](repeating: 0, count: padding)
    try file.write(local)
    if let packed {
      try file.write(packed)
    } else {
      try file.write(header)
      try file.write(tensor.bytes)
    }

    directory += [0x50, 0x4B, 1, 2, 20, 0]
    directory += common
    directory += [UInt8](repeating: 0, count: 12)  // extra, comment, disk, attributes
    appendLittleEndian(at, to: &directory)
    directory += name
  }
  guard let at = UInt32(exactly: file.byteCount), let count = UInt16(exactly: tensors.count),
    count < .max
  else {
    throw FormatError(.tooLarge, file: path, field: "archive", found: "past 4 GB or 65,534 arrays")
  }
  var end: [UInt8] = [0x50, 0x4B, 5, 6, 0, 0, 0, 0]
  appendLittleEndian(count, to: &end)
  appendLittleEndian(count, to: &end)
  appendLittleEndian(UInt32(directory.count), to: &end)
  appendLittleEndian(at, to: &end)
  end += [0, 0]
  try file.write(directory + end)
  try file.commit()
}

/// The checksum of zip (polynomial 0xEDB88320, reflected).
struct CRC32 {
  private var state: UInt32 = 0xFFFF_FFFF
  private static let table: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { value, _ in
      value & 1 == 1 ? 0xEDB8_8320 ^ (value >> 1) : value >> 1
    }
  }

  var value: UInt32 { state ^ 0xFFFF_FFFF }

  mutating func update(_ bytes: UnsafeRawBufferPointer) {
    let table = Self.table
    var state = state
    for byte in bytes { state = table[Int((state ^ UInt32(byte)) & 0xFF)] ^ (state >> 8) }
    self.state = state
  }
}
