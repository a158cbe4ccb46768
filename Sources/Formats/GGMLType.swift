// The element and block types of GGUF files.
//
// Quantised tensors are rows of blocks: so many values share a scale and lie in so many bytes.
// The numbers are ggml's type ids; the layout of each block is documented at its
// dequantisation kernel.

/// A tensor type of ggml that Lull knows.
public enum GGMLType: UInt32, Sendable, CaseIterable {
  case f32 = 0
  case f16 = 1
  case q4_0 = 2
  case q4_1 = 3
  case q5_0 = 6
  case q5_1 = 7
  case q8_0 = 8
  case q8_1 = 9
  case q2_K = 10
  case q3_K = 11
  case q4_K = 12
  case q5_K = 13
  case q6_K = 14
  case q8_K = 15
  case iq4_nl = 20
  case iq4_xs = 23
  case i8 = 24
  case i16 = 25
  case i32 = 26
  case i64 = 27
  case f64 = 28
  case bf16 = 30

  /// ggml's name.
  public var name: String { traits.name }
  /// Values a block; 1 for plain numbers.
  public var blockSize: Int { traits.values }
  /// Bytes a block.
  public var blockBytes: Int { traits.bytes }
  public var isQuantized: Bool { blockSize > 1 }

  /// The number type of an unquantised tensor.
  public var element: ElementType? {
    switch self {
    case .f32: .float32
    case .f16: .float16
    case .bf16: .bfloat16
    case .f64: .float64
    case .i8: .int8
    case .i16: .int16
    case .i32: .int32
    case .i64: .int64
    default: nil
    }
  }

  private var traits: (name: String, values: Int, bytes: Int) {
    switch self {
    case .f32: ("F32", 1, 4)
    case .f16: ("F16", 1, 2)
    case .q4_0: ("Q4_0", 32, 18)
    case .q4_1: ("Q4_1", 32, 20)
    case .q5_0: ("Q5_0", 32, 22)
    case .q5_1: ("Q5_1", 32, 24)
    case .q8_0: ("Q8_0", 32, 34)
    case .q8_1: ("Q8_1", 32, 36)
    case .q2_K: ("Q2_K", 256, 84)
    case .q3_K: ("Q3_K", 256, 110)
    case .q4_K: ("Q4_K", 256, 144)
    case .q5_K: ("Q5_K", 256, 176)
    case .q6_K: ("Q6_K", 256, 210)
    case .q8_K: ("Q8_K", 256, 292)
    case .iq4_nl: ("IQ4_NL", 32, 18)
    case .iq4_xs: ("IQ4_XS", 256, 136)
    case .i8: ("I8", 1, 1)
    case .i16: ("I16", 1, 2)
    case .i32: ("I32", 1, 4)
    case .i64: ("I64", 1, 8)
    case .f64: ("F64", 1, 8)
    case .bf16: ("BF16", 1, 2)
    }
  }

  /// The names of ids that ggml has and Lull does not, for messages.
  static func unknownName(_ id: UInt32) -> String {
    let names: [UInt32: String] = [
      16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 21: "IQ3_S", 22: "IQ2_S",
      29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
    ]
    return names[id] ?? "unknown"
  }
}
