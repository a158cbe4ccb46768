// A file as read-only memory.
//
// Weights are used where they lie: the file is mapped, never read, so opening a 4 GB model
// costs microseconds and no heap; a small one is read at once, which is cheaper. The object owns the mapping; descriptors (tensors, strings)
// hold a reference to it and a byte range, so the pages live as long as anyone needs them.
//
// Invariants: `bytes` is constant for the object's life; an empty file has an empty buffer.
// Limit: a file that another program truncates while it is mapped faults on access (SIGBUS);
// no reader can check that away, so models should be replaced by rename, as `writeAtomically`
// does.

import Glibc

public final class MappedFile: @unchecked Sendable {
  /// The path as given, used in messages.
  public let path: String
  /// The whole content.
  public let bytes: UnsafeRawBufferPointer
  /// False where the bytes are a copy in memory.
  public let isMapped: Bool

  /// Files of up to so many bytes are read: mapping one, touching its pages and unmapping it costs more. (open, read
  /// and copy 4 KiB: 4 us, map and touch: 10 us; 128 KiB: 11 and 17 us; 256 KiB: 21 and 20 us.)
  static let readSize = 128 << 10

  /// Maps a regular file read-only.
  public init(path: String) throws(FormatError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw MappedFile.systemError(path, "open") }
    defer { close(descriptor) }
    var info = stat()
    guard fstat(descriptor, &info) == 0 else { throw MappedFile.systemError(path, "stat") }
    guard info.st_mode & S_IFMT == S_IFREG else {
      let kind = info.st_mode & S_IFMT == S_IFDIR ? "a directory" : "not a regular file"
      throw FormatError(.io, file: path, field: "open", found: "is \(kind)")
    }
    let size = Int(info.st_size)
    self.path = path
    guard size > 0 else {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      isMapped = false
      return
    }
    if size <= MappedFile.readSize {
      let content = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 64)
      var count = 0
      while count < size {
        let n = read(descriptor, content.baseAddress.map { $0 + count }, size - count)
        if n < 0 && errno == EINTR { continue }
        if n < 0 {
          let error = MappedFile.systemError(path, "read")
          content.deallocate()
          throw error
        }
        // Cut short since its size was asked for.
        if n == 0 { break }
        count += n
      }
      bytes = UnsafeRawBufferPointer(rebasing: content[0..<count])
      isMapped = false
      return
    }
    guard let start = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), start != MAP_FAILED
    else { throw MappedFile.systemError(path, "mmap") }
    bytes = UnsafeRawBufferPointer(start: start, count: size)
    isMapped = true
  }

  /// The same interface over a copy of bytes in memory.
  public init(copying content: some Collection<UInt8>, name: String) {
    path = name
    isMapped = false
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: content.count, alignment: 64)
    copy.copyBytes(from: content)
    bytes = UnsafeRawBufferPointer(copy)
  }

  deinit {
    guard let start = bytes.baseAddress else { return }
    if isMapped {
      munmap(UnsafeMutableRawPointer(mutating: start), bytes.count)
    } else {
      bytes.deallocate()
    }
  }

  public var count: Int { bytes.count }

  /// The bytes of a range; nil where the range is not inside the file.
  public func slice(_ range: Range<Int>) -> UnsafeRawBufferPointer? {
    guard range.lowerBound >= 0, range.upperBound <= bytes.count else { return nil }
    return UnsafeRawBufferPointer(rebasing: bytes[range])
  }

  public enum Advice: Sendable {
    /// Read ahead: the range is needed soon.
    case willNeed
    /// Drop the resident pages; they are read again when touched.
    case dontNeed
    case sequential
    case random
  }

  /// Tells the system how a range will be used. Never fails: it is only a hint. `dontNeed`
  /// shrinks to whole pages inside the range, so neighbours keep theirs.
  public func advise(_ advice: Advice, range: Range<Int>? = nil) {
    guard isMapped, let start = bytes.baseAddress else { return }
    let range = (range ?? 0..<bytes.count).clamped(to: 0..<bytes.count)
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    guard page > 0, !range.isEmpty else { return }
    var low = range.lowerBound / page * page
    var high = range.upperBound
    let flag: Int32
    switch advice {
    case .willNeed: flag = Int32(MADV_WILLNEED)
    case .sequential: flag = Int32(MADV_SEQUENTIAL)
    case .random: flag = Int32(MADV_RANDOM)
    case .dontNeed:
      flag = Int32(MADV_DONTNEED)
      low = (range.lowerBound + page - 1) / page * page
      if high != bytes.count { high = high / page * page }
    }
    guard low < high else { return }
    _ = madvise(UnsafeMutableRawPointer(mutating: start + low), high - low, flag)
  }

  static func systemError(_ path: String, _ action: String) -> FormatError {
    let code = errno
    let reason = strerror(code).map { String(cString: $0) } ?? "error \(code)"
    let remedy = code == ENOENT ? "check the path" : ""
    return FormatError(.io, file: path, field: action, found: reason, remedy: remedy)
  }
}

/// Reads a whole file, refusing one above `limit` bytes.
public func readFile(_ path: String, limit: Int = 1 << 30) throws(FormatError) -> [UInt8] {
  let file = try MappedFile(path: path)
  guard file.count <= limit else {
    throw FormatError(
      .tooLarge, file: path, field: "size",
      found: "\(file.count) bytes are more than the \(limit) that this reader accepts")
  }
  return [UInt8](file.bytes)
}

/// True where something exists at the path.
public func fileExists(_ path: String) -> Bool { access(path, F_OK) == 0 }
