// Sound files through libsndfile (WAV, FLAC, Ogg, MP3, AIFF, ...), as one channel of float32 samples.
//
// The library judges what a file is; here is what it does not say well: a path that is no regular file, a file that is
// empty or ends before its first sample, and one that holds more than we take. The length in a header is only shown, never
// trusted: samples are read until there are no more.

import CSndfile
import Glibc

/// What a sound file's header says.
public struct SoundInfo: Sendable {
  public let rate: Int
  public let channels: Int
  /// As the header has it; a damaged file may say anything.
  public let frames: Int
  /// "WAV", "FLAC", ... or the number of libsndfile's format.
  public let format: String
}

/// Samples in memory of their own.
public final class SoundSamples {
  public private(set) var pointer: UnsafeMutablePointer<Float>?
  public private(set) var count = 0
  private var capacity = 0

  fileprivate init() {}
  deinit { free(pointer) }

  /// Makes room for more, or for exactly what there is; false where there is no memory.
  fileprivate func reserve(_ wanted: Int) -> Bool {
    guard
      let new = realloc(pointer, max(wanted, 1) * MemoryLayout<Float>.stride)?
        .assumingMemoryBound(to: Float.self)
    else { return false }
    pointer = new
    capacity = wanted
    return true
  }

  /// Where the next samples go, with room for `wanted`.
  fileprivate func room(_ wanted: Int) -> UnsafeMutablePointer<Float>? {
    if capacity - count < wanted, !reserve(max(count + wanted, capacity + capacity / 2)) {
      return nil
    }
    return pointer.map { $0 + count }
  }

  fileprivate func grew(_ n: Int) { count += n }

  /// Adds silence for a few samples that are missing, or drops a few that are too many.
  fileprivate func fit(_ total: Int) {
    guard abs(total - count) <= 16, total > 0 else { return }
    if total > count {
      guard reserve(total), let pointer else { return }
      (pointer + count).initialize(repeating: 0, count: total - count)
    }
    count = total
  }
}

public final class SoundFile {
  public let path: String
  public let info: SoundInfo
  private let handle: OpaquePointer

  /// 37 hours at 16 kHz: what fits the 32 bits that indices of samples have elsewhere.
  public static let maximumCount = Int(Int32.max)
  static let messageSize = 256

  /// Opens a file for reading.
  public init(path: String) throws(FormatError) {
    var status = stat()
    guard stat(path, &status) == 0 else { throw MappedFile.systemError(path, "open") }
    guard status.st_mode & S_IFMT == S_IFREG else {
      let kind = status.st_mode & S_IFMT == S_IFDIR ? "a directory" : "not a regular file"
      throw FormatError(
        .io, file: path, field: "open", found: "is \(kind)", remedy: "give a sound file")
    }
    guard status.st_size > 0 else {
      throw FormatError(
        .invalid, file: path, field: "", found: "the file is empty",
        remedy: "copy or record it again")
    }
    try SoundFile.load(path)
    var info = LullSoundInfo()
    var opened: OpaquePointer?
    let message = SoundFile.message { text, size in
      opened = lull_sound_open(path, &info, text, size)
    }
    guard let opened else {
      throw FormatError(
        .invalid, file: path, field: "", found: "no sound file that can be read: \(message)",
        remedy:
          "WAV, FLAC, OGG and MP3 are known, and what else libsndfile reads; convert others first")
    }
    self.path = path
    handle = opened
    self.info = SoundInfo(
      rate: Int(info.rate), channels: Int(info.channels), frames: Int(info.frames),
      format: SoundFile.name(ofFormat: Int(info.format)))
  }

  deinit { lull_sound_close(handle) }

  /// All samples at a rate (nil: the file's). `proceed` is asked every few seconds of sound and may throw.
  public func samples(rate: Int?, proceed: () throws -> Void) throws -> SoundSamples {
    var failed: Int32 = 0
    let refusal = SoundFile.message { text, size in
      failed = lull_sound_set_rate(handle, Int32(clamping: rate ?? 0), text, size)
    }
    if failed != 0 {
      throw FormatError(.unsupported, file: path, field: "rate", found: refusal)
    }
    let samples = SoundSamples()
    while true {
      try proceed()
      let block = 1 << 18
      guard let room = samples.room(block) else {
        throw FormatError(
          .tooLarge, file: path, field: "",
          found: "no memory for more than \(samples.count) samples",
          remedy: "cut the file into parts")
      }
      var got: Int64 = 0
      let message = SoundFile.message { text, size in
        got = lull_sound_read(handle, room, Int64(block), text, size)
      }
      if got < 0 {
        throw FormatError(
          .invalid, file: path, field: "sample \(samples.count)", found: message,
          remedy: "the file is damaged: copy or convert it again")
      }
      if got == 0 { break }
      samples.grew(Int(got))
      if samples.count > SoundFile.maximumCount {
        throw FormatError(
          .tooLarge, file: path, field: "",
          found: "more than \(SoundFile.maximumCount) samples", remedy: "cut the file into parts")
      }
    }
    samples.fit(Int(clamping: lull_sound_total(handle)))
    guard samples.count > 0 else {
      throw FormatError(
        .invalid, file: path, field: "", found: "the file has no samples",
        remedy: "copy or record it again")
    }
    _ = samples.reserve(samples.count)
    return samples
  }

  // MARK: - Writing

  /// The endings that `write` knows, with libsndfile's format.
  static let endings: [(name: String, format: Int32)] = [
    ("wav", 0x01_0002), ("flac", 0x17_0002), ("ogg", 0x20_0060), ("mp3", 0x23_0082),
    ("aiff", 0x02_0002), ("aif", 0x02_0002),
  ]

  /// Writes one channel (16 bits an integer sample in WAV, FLAC and AIFF) under a temporary name, then renames it. What is outside
  /// -1 ... 1 is cut off there.
  public static func write(_ samples: UnsafeBufferPointer<Float>, rate: Int, path: String)
    throws(FormatError)
  {
    let ending = path.split(separator: "/").last?.split(separator: ".").last.map { $0.lowercased() }
    guard let format = endings.first(where: { $0.name == ending })?.format else {
      throw FormatError(
        .unsupported, file: path, field: "", found: "the name says no format that can be written",
        remedy: "end it with .wav, .flac, .ogg, .mp3 or .aiff")
    }
    try load(path)
    guard rate > 0, rate <= 768_000, lull_sound_can_write(format, Int32(rate)) != 0 else {
      throw FormatError(
        .unsupported, file: path, field: "",
        found: "libsndfile does not write \(ending ?? "it") at \(rate) Hz",
        remedy: "try another rate, or .wav")
    }
    let temporary = "\(path).\(getpid()).part"
    var failed: Int32 = 0
    let message = message { text, size in
      failed = lull_sound_write(
        temporary, format, Int32(rate), samples.baseAddress, Int64(samples.count), text, size)
    }
    guard failed == 0 else {
      unlink(temporary)
      throw FormatError(.io, file: path, field: "write", found: message)
    }
    guard rename(temporary, path) == 0 else {
      let error = MappedFile.systemError(path, "rename")
      unlink(temporary)
      throw error
    }
  }

  // MARK: - The library

  private static func load(_ path: String) throws(FormatError) {
    guard lull_sound_load() == 0 else {
      throw FormatError(
        .unsupported, file: path, field: "", found: String(cString: lull_sound_description()))
    }
  }

  /// What a call writes into its message.
  private static func message(_ body: (UnsafeMutablePointer<CChar>?, Int32) -> Void) -> String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: messageSize) { text in
      text.initialize(repeating: 0)
      body(text.baseAddress, Int32(messageSize))
      return text.baseAddress.map { String(cString: $0) } ?? ""
    }
  }

  private static func name(ofFormat format: Int) -> String {
    let names = [
      0x01: "WAV", 0x02: "AIFF", 0x03: "AU", 0x04: "RAW", 0x06: "SVX", 0x0B: "W64", 0x13: "WAVEX",
      0x17: "FLAC", 0x18: "CAF", 0x20: "OGG", 0x22: "RF64", 0x23: "MP3",
    ]
    return names[format >> 16 & 0xFFF] ?? "format \(format >> 16 & 0xFFF)"
  }
}
