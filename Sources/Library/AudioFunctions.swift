// Sound files: `load_audio`, `save_audio` and `audio_info`, in the prelude and in `lull.audio`.

import Engine
import Formats
import Kernels
import Language

#if canImport(Glibc)
  import Glibc
#endif

/// A rate in Hz.
private func rate(_ a: Args, _ i: Int) throws(LullError) -> Int {
  let rate = try ArrayArgs(a).int(i)
  guard rate > 0, rate <= 768_000 else {
    throw LullError.valueError("rate must be between 1 and 768000 samples a second, got \(rate)")
  }
  return rate
}

private func seconds(_ info: SoundInfo) -> Double { Double(info.frames) / Double(info.rate) }

let audioFunctions: [Builtin] = [
  Builtin(
    "load_audio", "load_audio(path, rate=16000)", chapter: "audio",
    doc:
      "The samples of a sound file (WAV, FLAC, OGG, MP3, ...) as one channel, the mean of all, of float32 at a rate; rate=None keeps the file's.",
    examples: [
      ">>> save_audio('/tmp/lull-example.wav', mx.zeros((22050,)), rate=44100)\n>>> load_audio('/tmp/lull-example.wav').shape, load_audio('/tmp/lull-example.wav', rate=None).shape\n((8000,), (22050,))"
    ]
  ) { (a) throws(LullError) in
    let path = try pathText(a[0])
    let wanted = a.isNone(1) ? nil : try rate(a, 1)
    return try formats {
      let samples = try SoundFile(path: path).samples(rate: wanted) {
        if lull_interrupt_stops() != 0 { try engine { throw ArrayError.interrupted } }
      }
      guard let pointer = samples.pointer else { return .none }
      for i in 0..<samples.count where !pointer[i].isFinite {
        throw LullError.valueError("\(path): sample \(i) is no finite number; the file is damaged")
      }
      let buffer = Buffer(
        external: pointer, byteCount: samples.count * 4, owner: samples)
      return wrap(NDArray(buffer: buffer, shape: [samples.count], dtype: .float32))
    }
  },
  Builtin(
    "save_audio", "save_audio(path, audio, rate=16000)", chapter: "audio",
    doc:
      "Write samples (one axis) as a sound file; the ending says the format: .wav, .flac, .ogg, .mp3 or .aiff. What is outside -1 to 1 is cut off.",
    examples: [
      ">>> save_audio('/tmp/lull-example.flac', 0.5 * mx.sin(mx.arange(16000) * 0.1))\n>>> audio_info('/tmp/lull-example.flac')['seconds']\n1.0"
    ]
  ) { (a) throws(LullError) in
    let path = try pathText(a[0])
    let audio = try ArrayArgs(a).array(1)
    let rate = try rate(a, 2)
    guard audio.rank == 1, audio.size > 0, !audio.dtype.isComplex else {
      throw LullError.valueError(
        "expected samples along one axis, got shape \(audio.shape.array)"
      ).advising("give one channel: audio.mean(axis=1)")
    }
    return try formats {
      let x = audio.astype(.float32)
      try x.eval()
      let dense = try x.rowContiguous()
      let samples = UnsafeBufferPointer(
        start: UnsafePointer(dense.pointer(as: Float.self)), count: dense.size)
      if let bad = samples.firstIndex(where: { !$0.isFinite }) {
        throw LullError.valueError(
          "sample \(bad) is \(samples[bad]): only finite numbers can be written")
      }
      try SoundFile.write(samples, rate: rate, path: path)
      return .none
    }
  },
  Builtin(
    "audio_info", "audio_info(path)", chapter: "audio",
    doc:
      "What the header of a sound file says: a dict of rate, channels, frames, seconds and format.",
    examples: [
      ">>> save_audio('/tmp/lull-example.wav', mx.zeros((8000,)))\n>>> audio_info('/tmp/lull-example.wav')\n{'rate': 16000, 'channels': 1, 'frames': 8000, 'seconds': 0.5, 'format': 'WAV'}"
    ]
  ) { (a) throws(LullError) in
    let path = try pathText(a[0])
    return try formats {
      let info = try SoundFile(path: path).info
      return makeDictValue([
        ("rate", Value(info.rate)), ("channels", Value(info.channels)),
        ("frames", Value(info.frames)), ("seconds", Value(seconds(info))),
        ("format", makeStr(info.format)),
      ])
    }
  },
]

// MARK: - zlib

private func bytes(_ a: Args, _ i: Int) throws(LullError) -> [UInt8] {
  guard let bytes = a[i].byteArray else {
    throw LullError.typeError("a bytes-like object is required, not '\(a[i].typeNameText)'")
  }
  return bytes
}

/// The module `zlib`, as far as CPython's is about whole texts.
let zlibFunctions: [Builtin] = [
  Builtin(
    "compress", "compress(data, /, level=-1)", chapter: "standard",
    doc: "The bytes, compressed. Level 0 is none, 9 the most, -1 zlib's choice.",
    examples: [">>> import zlib\n>>> len(zlib.compress(b'lull ' * 100))\n18"]
  ) { (a) throws(LullError) in
    let (data, level) = (try bytes(a, 0), try a.int(1))
    return makeBytesValue(try formats { try Zlib.compress(data, level: level) })
  },
  Builtin(
    "decompress", "decompress(data, /)", chapter: "standard",
    doc: "The bytes that were compressed.",
    examples: [">>> import zlib\n>>> zlib.decompress(zlib.compress(b'lull'))\nb'lull'"]
  ) { (a) throws(LullError) in
    let data = try bytes(a, 0)
    return makeBytesValue(try formats { try Zlib.decompress(data) })
  },
  Builtin(
    "crc32", "crc32(data, value=0, /)", chapter: "standard",
    doc: "The CRC-32 of bytes, going on from a value.",
    examples: [">>> import zlib\n>>> zlib.crc32(b'lull')\n2411869380"]
  ) { (a) throws(LullError) in
    let (data, start) = (try bytes(a, 0), UInt32(truncatingIfNeeded: try a.int(1)))
    return Value(Int(try formats { try Zlib.crc32(data, from: start) }))
  },
  Builtin(
    "adler32", "adler32(data, value=1, /)", chapter: "standard",
    doc: "The Adler-32 sum of bytes, going on from a value.",
    examples: [">>> import zlib\n>>> zlib.adler32(b'lull')\n72810938"]
  ) { (a) throws(LullError) in
    let (data, start) = (try bytes(a, 0), UInt32(truncatingIfNeeded: try a.int(1)))
    return Value(Int(try formats { try Zlib.adler32(data, from: start) }))
  },
]
