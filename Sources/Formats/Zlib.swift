// zlib's streams (RFC 1950), by the system's library: a compressed text has the length that Python's zlib gives it.

import CZlib

public enum Zlib {
  private static func load() throws(FormatError) {
    guard lull_zlib_load() == 0 else {
      throw FormatError(
        .unsupported, file: "", field: "", found: String(cString: lull_zlib_description()))
    }
  }

  /// Compressed bytes; the level is 0 to 9, or -1 for zlib's own choice (6).
  public static func compress(_ bytes: [UInt8], level: Int) throws(FormatError) -> [UInt8] {
    guard (-1...9).contains(level) else {
      throw FormatError(
        .unsupported, file: "", field: "level", found: "\(level)", remedy: "levels are -1 to 9")
    }
    try load()
    var out = [UInt8](repeating: 0, count: lull_zlib_bound(bytes.count))
    var size = out.count
    let error = lull_zlib_compress(bytes, bytes.count, Int32(level), &out, &size)
    guard error == 0, size <= out.count else {
      throw FormatError(.tooLarge, file: "", field: "", found: "zlib's error \(error)")
    }
    out.removeLast(out.count - size)
    return out
  }

  /// The bytes of a whole stream, at most `limit`.
  public static func decompress(_ bytes: [UInt8], limit: Int = 1 << 32) throws(FormatError)
    -> [UInt8]
  {
    try load()
    var room = max(4 * bytes.count, 1 << 12)
    while true {
      var out = [UInt8](repeating: 0, count: room)
      var (size, used) = (room, bytes.count)
      let error = lull_zlib_uncompress(bytes, &used, &out, &size)
      switch error {
      case 0:
        out.removeLast(out.count - size)
        return out
      case -5 where size == room && room < limit: room = min(2 * room, limit)
      case -5 where size == room:
        throw FormatError(.tooLarge, file: "", field: "", found: "more than \(limit) bytes")
      case -5:
        throw FormatError(
          .truncated, file: "", field: "", found: "incomplete or truncated stream", remedy: " ")
      default:
        throw FormatError(
          .invalid, file: "", field: "", found: "invalid compressed data", remedy: " ")
      }
    }
  }

  public static func crc32(_ bytes: [UInt8], from start: UInt32) throws(FormatError) -> UInt32 {
    try load()
    return lull_zlib_crc32(start, bytes, bytes.count)
  }

  public static func adler32(_ bytes: [UInt8], from start: UInt32) throws(FormatError) -> UInt32 {
    try load()
    return lull_zlib_adler32(start, bytes, bytes.count)
  }
}
