// Files that appear whole or not at all.
//
// Bytes go to a temporary file in the same directory, are synced to the disk, and take the
// final name by rename, which replaces an older file in one step. A crash or a full disk
// leaves the older file as it was. The directory is synced too, so the rename lasts.

import Glibc

/// A file being written; `commit()` gives it its name, dropping it throws it away.
public final class AtomicFile {
  public let path: String
  private let temporaryPath: String
  private var descriptor: Int32
  private var pending: [UInt8] = []
  /// Bytes written so far.
  public private(set) var byteCount = 0

  public init(path: String) throws(FormatError) {
    self.path = path
    var template = Array("\(path).tmp.XXXXXX".utf8CString)
    let made = template.withUnsafeMutableBufferPointer { buffer -> Int32 in
      guard let start = buffer.baseAddress else { return -1 }
      return mkstemp(start)
    }
    descriptor = made
    temporaryPath = template.withUnsafeBufferPointer { buffer in
      buffer.baseAddress.map { String(cString: $0) } ?? ""
    }
    guard made >= 0 else { throw MappedFile.systemError(path, "create") }
    _ = fcntl(made, F_SETFD, FD_CLOEXEC)
    // A new file has the usual mode; one that is replaced keeps its own.
    var info = stat()
    let old = stat(path, &info) == 0
    let mask = umask(0)
    umask(mask)
    fchmod(made, old ? info.st_mode & 0o777 : 0o666 & ~mask)
  }

  deinit {
    guard descriptor >= 0 else { return }
    close(descriptor)
    unlink(temporaryPath)
  }

  public func write(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
    byteCount += bytes.count
    if bytes.count < 1 << 16 {
      pending.append(contentsOf: bytes)
      if pending.count >= 1 << 18 { try flush() }
    } else {
      try flush()
      try writeAll(bytes)
    }
  }

  public func write(_ bytes: [UInt8]) throws(FormatError) {
    let failure = bytes.withUnsafeBytes { raw -> FormatError? in
      do throws(FormatError) {
        try write(raw)
        return nil
      } catch {
        return error
      }
    }
    if let failure { throw failure }
  }

  public func write(_ text: String) throws(FormatError) { try write(Array(text.utf8)) }

  /// Gives the file its size before its parts are written at their places.
  func reserve(_ count: Int) throws(FormatError) {
    try flush()
    guard ftruncate(descriptor, count) == 0 else { throw MappedFile.systemError(path, "resize") }
    byteCount = count
  }

  /// Writes a part at its place; what `write(_:)` adds comes after the last part that it wrote.
  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FormatError) {
    guard let start = bytes.baseAddress else { return }
    var done = 0
    while done < bytes.count {
      let count = pwrite(descriptor, start + done, bytes.count - done, offset + done)
      if count > 0 {
        done += count
      } else if errno != EINTR {
        throw MappedFile.systemError(path, "write")
      }
    }
  }

  /// Syncs, renames, and syncs the directory. Without `sync` the file survives the end of the process, but perhaps not
  /// that of the machine.
  public func commit(sync: Bool = true) throws(FormatError) {
    try flush()
    guard !sync || fsync(descriptor) == 0 else { throw MappedFile.systemError(path, "sync") }
    close(descriptor)
    descriptor = -1
    guard rename(temporaryPath, path) == 0 else {
      let error = MappedFile.systemError(path, "rename")
      unlink(temporaryPath)
      throw error
    }
    if !sync { return }
    var folder = "."
    if let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) {
      folder = slash == path.startIndex ? "/" : String(path[..<slash])
    }
    let directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if directory >= 0 {
      fsync(directory)
      close(directory)
    }
  }

  private func flush() throws(FormatError) {
    guard !pending.isEmpty else { return }
    let chunk = pending
    pending.removeAll(keepingCapacity: true)
    let failure = chunk.withUnsafeBytes { raw -> FormatError? in
      do throws(FormatError) {
        try writeAll(raw)
        return nil
      } catch {
        return error
      }
    }
    if let failure { throw failure }
  }

  private func writeAll(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
    guard let start = bytes.baseAddress else { return }
    var done = 0
    while done < bytes.count {
      let count = Glibc.write(descriptor, start + done, bytes.count - done)
      if count > 0 {
        done += count
      } else if errno != EINTR {
        throw MappedFile.systemError(path, "write")
      }
    }
  }
}

/// Writes a whole file atomically.
public func writeAtomically(_ bytes: [UInt8], to path: String, sync: Bool = true)
  throws(FormatError)
{
  let file = try AtomicFile(path: path)
  try file.write(bytes)
  try file.commit(sync: sync)
}

/// Writes a whole text file atomically.
public func writeAtomically(_ text: String, to path: String) throws(FormatError) {
  try writeAtomically(Array(text.utf8), to: path)
}
