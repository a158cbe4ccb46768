// The module `mlx.core.fft`.

import Engine
import Language

private func normOf(_ a: ArrayArgs, _ i: Int) throws -> FourierNorm {
  let name = try a.string(i)
  guard let norm = FourierNorm(rawValue: name) else {
    throw LullError.valueError("norm must be 'backward', 'ortho' or 'forward', not '\(name)'")
  }
  return norm
}

/// What is transformed. MLX transforms in single precision.
private func signal(_ a: ArrayArgs) throws -> NDArray {
  let x = try a.array(0)
  return isNumPyCall ? x : x.astype(x.dtype.ofMLX)
}

/// `stream` may be given in its place, as MLX has it here.
private func fft(
  _ name: String, _ parameters: String, _ doc: String, _ example: String,
  fails: [(String, String)] = [], _ run: @escaping (ArrayArgs) throws -> NDArray
) -> Builtin {
  Builtin(
    name, "\(name)(\(parameters), stream=None)", chapter: "fft", doc: doc, examples: [example],
    fails: fails
  ) { (args) throws(LullError) in
    stampPosition()
    return wrap(try engine { try run(ArrayArgs(args)) })
  }
}

private func one(
  _ name: String, real: Bool, inverse: Bool, _ doc: String, _ example: String
) -> Builtin {
  fft(name, "a, n=None, axis=-1, norm='backward'", doc, example) { a in
    try fourier(
      signal(a), lengths: a.optionalInt(1).map { [$0] }, axes: [a.int(2)], real: real,
      inverse: inverse, norm: normOf(a, 3))
  }
}

private func several(_ name: String, real: Bool, inverse: Bool, plane: Bool, _ doc: String)
  -> Builtin
{
  let axes = plane ? "[-2, -1]" : "None"
  let shape = real && !inverse ? "(2, 3)" : real ? "(2, 6)" : "(2, 4)"
  return fft(
    name, "a, s=None, axes=\(axes), norm='backward'", doc,
    ">>> mx.fft.\(name)(mx.ones((2, 4))).shape\n\(shape)"
  ) { a in
    let axes = try plane && !a.args.has(2) ? [-2, -1] : a.axes(2)
    return try fourier(
      signal(a), lengths: a.axes(1), axes: axes, real: real, inverse: inverse,
      norm: normOf(a, 3))
  }
}

public let fourierFunctions: [Builtin] = [
  one(
    "fft", real: false, inverse: false, "Fourier transform along an axis.",
    ">>> mx.fft.fft(mx.array([1.0, 0.0, 0.0, 0.0]))\narray([1+0j, 1+0j, 1+0j, 1+0j], dtype=complex64)"
  ),
  one(
    "ifft", real: false, inverse: true, "Inverse of fft.",
    ">>> mx.fft.ifft(mx.array([4.0, 0.0, 0.0, 0.0]))\narray([1+0j, 1+0j, 1+0j, 1+0j], dtype=complex64)"
  ),
  one(
    "rfft", real: true, inverse: false,
    "Fourier transform of real values: the first half of the spectrum.",
    ">>> mx.fft.rfft(mx.array([1.0, 0.0, 0.0, 0.0]))\narray([1+0j, 1+0j, 1+0j], dtype=complex64)"
  ),
  one(
    "irfft", real: true, inverse: true,
    "Inverse of rfft; n is the number of real values (default 2 * (size - 1)).",
    ">>> mx.fft.irfft(mx.array([4.0, 0.0, 0.0]))\narray([1, 1, 1, 1], dtype=float32)"
  ),
  several(
    "fft2", real: false, inverse: false, plane: true, "fft over two axes."),
  several(
    "ifft2", real: false, inverse: true, plane: true, "Inverse of fft2."),
  several(
    "rfft2", real: true, inverse: false, plane: true,
    "rfft over the last of two axes, fft over the other."),
  several(
    "irfft2", real: true, inverse: true, plane: true, "Inverse of rfft2."),
  several(
    "fftn", real: false, inverse: false, plane: false, "fft over several axes, by default all."),
  several(
    "ifftn", real: false, inverse: true, plane: false, "Inverse of fftn."),
  several(
    "rfftn", real: true, inverse: false, plane: false,
    "rfft over the last of several axes, fft over the others."),
  several(
    "irfftn", real: true, inverse: true, plane: false, "Inverse of rfftn."),
  fft(
    "fftshift", "a, axes=None", "Moves the zero frequency to the middle.",
    ">>> mx.fft.fftshift(mx.array([0, 1, 2, 3]))\narray([2, 3, 0, 1], dtype=int32)"
  ) { try fourierShift($0.array(0), axes: $0.axes(1)) },
  fft(
    "ifftshift", "a, axes=None", "Inverse of fftshift.",
    ">>> mx.fft.ifftshift(mx.array([2, 3, 4, 0, 1]))\narray([4, 0, 1, 2, 3], dtype=int32)"
  ) { try fourierShift($0.array(0), axes: $0.axes(1), inverse: true) },
  fft(
    "fftfreq", "n, d=1.0", "Frequencies of fft's values, for samples d apart.",
    ">>> mx.fft.fftfreq(4)\narray([0, 0.25, -0.5, -0.25], dtype=float32)",
    fails: [("mx.fft.fftfreq(0)", "ValueError")]
  ) { try fourierFrequencies($0.int(0), spacing: $0.double(1)) },
  fft(
    "rfftfreq", "n, d=1.0", "Frequencies of rfft's values, for samples d apart.",
    ">>> mx.fft.rfftfreq(4)\narray([0, 0.25, 0.5], dtype=float32)"
  ) { try fourierFrequencies($0.int(0), spacing: $0.double(1), real: true) },
  fft(
    "stft",
    "x, n_fft=2048, hop_length=None, win_length=None, window=None, center=True, pad_mode='reflect', norm='backward', onesided=None",
    "Transforms of overlapping, windowed frames of the last axis: [..., frequency, frame].",
    ">>> mx.fft.stft(mx.ones((16,)), n_fft=8).shape\n(5, 9)"
  ) { a in
    var settings = FrameSettings(size: try a.int(1))
    settings.hop = try a.optionalInt(2)
    settings.windowSize = try a.optionalInt(3)
    settings.center = try a.bool(5)
    settings.norm = try normOf(a, 7)
    return try shortTimeFourier(
      signal(a), settings, window: a.optionalArray(4), padMode: a.string(6),
      onesided: a.has(8) ? a.bool(8) : nil)
  },
  fft(
    "istft",
    "stft_matrix, n_fft=None, hop_length=None, win_length=None, window=None, center=True, norm='backward', onesided=None, length=None",
    "The signal of a short-time transform, by overlapping and adding.",
    ">>> mx.fft.istft(mx.fft.stft(mx.ones((16,)), n_fft=8)).shape\n(16,)"
  ) { a in
    var settings = FrameSettings(size: 1)
    settings.hop = try a.optionalInt(2)
    settings.windowSize = try a.optionalInt(3)
    settings.center = try a.bool(5)
    settings.norm = try normOf(a, 6)
    return try inverseShortTimeFourier(
      signal(a), size: a.optionalInt(1), settings, window: a.optionalArray(4),
      onesided: a.has(7) ? a.bool(7) : nil, length: a.optionalInt(8))
  },
]
