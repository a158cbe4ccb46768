// Arrays as buffers: what `memoryview(a)` and `bytes(a)` read.
//
// A view lies as the array does where that is a permutation of its axes without gaps, so that strides are those of
// MLX; anything else is brought into rows first, unless the array shows the memory of another library.

import Engine
import Language

/// Formats as in `struct`; 64-bit integers are `q` and `Q`, as in MLX.
private let formats: [(DType, String)] = [
  (.bool, "?"), (.int8, "b"), (.uint8, "B"), (.int16, "h"), (.uint16, "H"), (.int32, "i"),
  (.uint32, "I"),
  (.int64, "q"), (.uint64, "Q"), (.float16, "e"), (.float32, "f"), (.float64, "d"),
  (.complex64, "Zf"), (.complex128, "Zd"),
  (.bfloat16, "bfloat16"),
]

/// The dtype of elements in a format, if there is one.
func elementType(ofFormat format: String) -> DType? {
  switch format {
  case "l", "n": .int64
  case "L", "N": .uint64
  case "c": .uint8
  default: formats.first { $0.1 == format }?.0
  }
}

/// Lets Language make memoryviews of arrays.
func installBuffers() {
  exportBuffer = { (v) throws(LullError) in
    guard let x = v.ndarray, let format = formats.first(where: { $0.0 == x.dtype })?.1 else {
      return nil
    }
    return try engine {
      try x.eval()
      let size = x.dtype.byteCount
      let shape = Array(x.shape)
      if x.keepsStrides, x.size > 0 {
        let last = zip(shape, x.strides).reduce(0) { $0 + ($1.0 - 1) * $1.1 }
        return BufferCopy(
          bytes: Array(UnsafeRawBufferPointer(start: x.pointer, count: (last + 1) * size)),
          format: format,
          itemSize: size, shape: shape, strides: x.strides.map { $0 * size })
      }
      // Axes from the outermost to the innermost as they lie.
      let order = (0..<shape.count).sorted { x.strides[$0] > x.strides[$1] }
      var span = 1
      var isDense = x.size > 0
      for axis in order.reversed() {
        if shape[axis] > 1, x.strides[axis] != span { isDense = false }
        span *= shape[axis]
      }
      let flat = isDense ? x : try x.rowContiguous()
      return BufferCopy(
        bytes: Array(UnsafeRawBufferPointer(start: flat.pointer, count: x.size * size)),
        format: format,
        itemSize: size, shape: shape, strides: isDense ? x.strides.map { $0 * size } : nil)
    }
  }
}
