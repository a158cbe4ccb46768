// Quantised weights: a matrix whose values stay in the form the file has.
//
// A weight is [rows, columns]. Two families: block formats (GGUF), where the bytes of a row are a run of
// blocks with their own scales, and MLX's formats, where codes, scales and biases are three arrays.
// Nothing is ever expanded as a whole; products widen codes in registers or panel by panel (quant.h).
//
// Where the machine has products with integers, codes are packed once, on first use in a product, into tiles of 16
// rows side by side, which reads at the speed of memory; the pages of the file are then let go, so that one copy
// stays resident. `QuantizedWeight.packing` turns that off.

#if canImport(Glibc)
  import Glibc
#endif
import Kernels

public final class QuantizedWeight: @unchecked Sendable {
  public enum Format: Equatable, Sendable, Codable {
    /// A GGUF block type, by its number there.
    case blocks(type: Int)
    /// MLX's `affine` mode: value = scale * code + bias.
    case affine(bits: Int, group: Int)
    /// MLX's floating-point codes: `mxfp4`, `mxfp8`, `nvfp4`.
    case float(mode: FloatMode)
  }
  public enum FloatMode: String, Sendable, Codable {
    case mxfp4, mxfp8, nvfp4
    var number: Int32 {
      self == .mxfp4 ? Int32(LULL_MXFP4) : self == .mxfp8 ? Int32(LULL_MXFP8) : Int32(LULL_NVFP4)
    }
    var group: Int { self == .nvfp4 ? 16 : 32 }
    var bits: Int { self == .mxfp8 ? 8 : 4 }
  }

  public let format: Format
  public let rows: Int
  public let columns: Int
  /// How many matrices of the same height lie on top of each other, where it is a stack (the experts
  /// of a mixture); nil for a single matrix.
  public let stack: Int?
  /// Codes (any dtype; bytes count), scales and biases; the last two only for MLX's formats.
  public let arrays: [NDArray]
  private var packed: Buffer?

  /// Off: products read the file's own layout (slower, nothing is copied).
  nonisolated(unsafe) public static var packing = true

  fileprivate init(unchecked format: Format, rows: Int, columns: Int, arrays: [NDArray]) {
    (self.format, self.rows, self.columns, self.arrays) = (format, rows, columns, arrays)
    stack = nil
  }

  /// A GGUF tensor. `data` holds the tensor's bytes (uint8), mapped or not; `rows` counts those of all
  /// matrices of a stack.
  public init(blockType: Int, rows: Int, columns: Int, stack: Int? = nil, data: NDArray)
    throws(ArrayError)
  {
    let values = Int(lull_block_values(Int32(blockType)))
    guard values > 0 else {
      throw .argument(op: "quantized weight", message: "unknown block type \(blockType)")
    }
    guard rows >= 0, columns > 0, columns % values == 0 else {
      throw .argument(
        op: "quantized weight",
        message: "rows of \(columns) values do not divide into blocks of \(values)")
    }
    let (needed, overflow) = rows.multipliedReportingOverflow(
      by: columns / values * Int(lull_block_bytes(Int32(blockType))))
    guard !overflow, data.byteCount >= needed else {
      throw .argument(
        op: "quantized weight",
        message: "a [\(rows), \(columns)] weight needs \(overflow ? -1 : needed) bytes, "
          + "but there are \(data.byteCount)")
    }
    guard stack.map({ $0 > 0 && rows % $0 == 0 }) ?? true else {
      throw .argument(
        op: "quantized weight",
        message: "\(rows) rows are not \(stack ?? 0) matrices of one height")
    }
    format = .blocks(type: blockType)
    self.stack = stack
    self.rows = rows
    self.columns = columns
    arrays = [data]
  }

  /// The block type of an array of plain floats.
  private static func blockType(of dtype: DType) -> Int? {
    dtype == .float32 ? 0 : dtype == .float16 ? 1 : dtype == .bfloat16 ? 30 : nil
  }

  /// Matrices of plain floats as they are: products with float32 widen 16-bit ones in registers. Unlike
  /// codes they have a gradient.
  public convenience init(plain x: NDArray, op: OperationName) throws(ArrayError) {
    guard let type = QuantizedWeight.blockType(of: x.dtype) else {
      throw .argument(
        op: op,
        message: "a weight without scales must be float32, float16 or bfloat16, not \(x.dtype.name)"
      )
    }
    guard x.rank == 2 || x.rank == 3 else {
      throw .rank(
        op: op, shape: x.shape.array, needed: "a matrix, or a stack of matrices, as the weight")
    }
    try self.init(
      blockType: type, rows: x.matrixCount * x.rows, columns: x.columns,
      stack: x.rank == 3 ? x.shape[0] : nil, data: x)
  }

  /// The array of plain floats, where it is one.
  var plain: NDArray? {
    guard case .blocks = format, let x = arrays.first, x.dtype.isFloating else { return nil }
    return x
  }

  /// A weight in MLX's layout: `codes` uint32 [rows, columns * bits / 32]; `scales` (and, for affine,
  /// `biases`) [rows, columns / group].
  public init(
    codes: NDArray, scales: NDArray, biases: NDArray?, group: Int, bits: Int, mode: String
  ) throws(ArrayError) {
    func bad(_ message: String) -> ArrayError {
      .argument(op: "quantized_matmul", message: message)
    }
    guard codes.dtype == .uint32, codes.rank == 2 else {
      throw bad("the packed weight must be a uint32 matrix, not \(codes.dtype) \(codes.shape)")
    }
    if mode == "affine" {
      guard [2, 3, 4, 5, 6, 8].contains(bits) else {
        throw bad("bits must be 2, 3, 4, 5, 6 or 8, not \(bits)")
      }
      guard [32, 64, 128].contains(group) else {
        throw bad("group_size must be 32, 64 or 128, not \(group)")
      }
      guard let biases, biases.shape == scales.shape, biases.dtype == scales.dtype else {
        throw bad("affine quantization needs biases of the shape and dtype of the scales")
      }
      guard scales.dtype == .float32 || scales.dtype == .float16 || scales.dtype == .bfloat16 else {
        throw bad("scales must be float32, float16 or bfloat16, not \(scales.dtype)")
      }
      format = .affine(bits: bits, group: group)
      arrays = [codes, scales, biases]
    } else if let float = FloatMode(rawValue: mode) {
      guard bits == float.bits, group == float.group else {
        throw bad("\(mode) has \(float.bits) bits and groups of \(float.group)")
      }
      guard biases == nil else { throw bad("\(mode) has no biases") }
      guard scales.dtype == .uint8 else { throw bad("scales of \(mode) must be uint8") }
      format = .float(mode: float)
      arrays = [codes, scales]
    } else {
      throw bad("unknown mode '\(mode)': affine, mxfp4, mxfp8 and nvfp4 are known")
    }
    stack = nil
    rows = codes.shape[0]
    let bitCount = codes.shape[1] * 32
    guard bitCount % bits == 0, (bitCount / bits) % group == 0, bitCount > 0 else {
      throw bad(
        "a packed row of \(codes.shape[1]) words does not hold whole groups of \(group) codes "
          + "of \(bits) bits")
    }
    columns = bitCount / bits
    guard scales.rank == 2, scales.shape[0] == rows, scales.shape[1] == columns / group else {
      throw bad(
        "scales of shape \(scales.shape) do not fit a weight of \(rows) rows of \(columns) "
          + "columns in groups of \(group)")
    }
  }

  /// Bytes of the weight in its stored form.
  public var byteCount: Int { arrays.reduce(0) { $0 + $1.byteCount } }
  /// Bytes of the packed copy, 0 while there is none.
  public var packedByteCount: Int { packed?.byteCount ?? 0 }

  /// The name of the format as its own tools write it: `Q4_1`, `affine 4 bits, group 64`.
  public var formatName: String {
    switch format {
    case .blocks(let type): return QuantizedWeight.blockTypeNames[type] ?? "type \(type)"
    case .affine(let bits, let group): return "affine \(bits)-bit, group \(group)"
    case .float(let mode): return mode.rawValue
    }
  }
  static let blockTypeNames: [Int: String] = [
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 10: "Q2_K",
    11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 20: "IQ4_NL", 23: "IQ4_XS", 30: "BF16",
  ]

  // MARK: - For the kernels

  /// Calls `body` with the C view of the stored form. The arrays must be evaluated; they are made
  /// row-major if they are not.
  func withStored<R>(_ body: (LullQuantized) throws(ArrayError) -> R) throws(ArrayError) -> R {
    let contiguous = try arrays.map { (array) throws(ArrayError) in try array.rowContiguous() }
    var view = LullQuantized()
    view.rows = Int64(rows)
    view.columns = Int64(columns)
    view.data = UnsafePointer(contiguous[0].pointer(as: UInt8.self))
    switch format {
    case .blocks(let type):
      view.type = Int32(type)
      let values = Int(lull_block_values(Int32(type)))
      view.row_bytes = Int64(columns / values) * Int64(lull_block_bytes(Int32(type)))
    case .affine(let bits, let group):
      view.type = -1
      view.mode = Int32(LULL_AFFINE)
      view.bits = Int32(bits)
      view.group = Int32(group)
      view.row_bytes = Int64(columns * bits / 8)
      view.scales = UnsafePointer(contiguous[1].pointer(as: UInt8.self))
      view.biases = UnsafePointer(contiguous[2].pointer(as: UInt8.self))
      let dtype = contiguous[1].dtype
      view.scale_type = Int32(
        dtype == .float16 ? LULL_F16 : dtype == .bfloat16 ? LULL_BF16 : LULL_F32)
    case .float(let mode):
      view.type = -1
      view.mode = mode.number
      view.bits = Int32(mode.bits)
      view.group = Int32(mode.group)
      view.row_bytes = Int64(columns * mode.bits / 8)
      view.scales = UnsafePointer(contiguous[1].pointer(as: UInt8.self))
    }
    let result = try body(view)
    withExtendedLifetime(contiguous) {}
    return result
  }

  /// The packed copy, made now if the format has one. That of MLX's arrays stays with their memory, as the arrays
  /// are what lives on; only mapped ones are packed, whose pages can be let go.
  func packedTiles() throws(ArrayError) -> UnsafePointer<UInt8>? {
    if let packed { return pointer(packed) }
    guard QuantizedWeight.packing, rows >= 16 else { return nil }
    var home: Buffer?
    if case .blocks = format {
    } else {
      guard let memory = arrays[0].buffer, memory.isMapped, arrays[0].isRowContiguous,
        arrays.dropFirst().allSatisfy({ $0.buffer != nil })
      else { return nil }
      home = memory
      if let kept = memory.packed[arrays[0].offset], kept.isOf(self) {
        packed = kept.tiles
        return pointer(kept.tiles)
      }
    }
    let buffer: Buffer? = try withStored { (stored) throws(ArrayError) in
      var view = stored
      let tileBytes = Int(lull_packed_tile_bytes(&view))
      guard tileBytes > 0 else { return nil }
      let tiles = (rows + 15) / 16
      let buffer = try TileMemory.take(tiles * tileBytes)
      let out = buffer.pointer.assumingMemoryBound(to: UInt8.self)
      let perChunk = max(1, (1 << 18) / max(tileBytes, 1))
      parallelFor((tiles + perChunk - 1) / perChunk) { chunk, _ in
        let first = chunk * perChunk
        lull_pack_tiles(&view, Int64(first), Int64(min(perChunk, tiles - first)), out)
      }
      if lull_interrupt_raised() != 0 { throw .interrupted }
      releasePages(from: stored)
      return buffer
    }
    guard let buffer else { return nil }
    packed = buffer
    home?.packed[arrays[0].offset] = PackedTiles(tiles: buffer, weight: self)
    return pointer(buffer)
  }

  private func pointer(_ tiles: Buffer) -> UnsafePointer<UInt8> {
    UnsafePointer(tiles.pointer.assumingMemoryBound(to: UInt8.self))
  }

  /// Lets go of the mapped pages that hold the stored form; they come back when touched.
  private func releasePages(from stored: LullQuantized) {
    guard let buffer = arrays[0].buffer, buffer.isMapped, let data = stored.data else { return }
    let page = 4096
    let start = (Int(bitPattern: data) + page - 1) / page * page
    let end = (Int(bitPattern: data) + rows * Int(stored.row_bytes)) / page * page
    if end > start {
      madvise(UnsafeMutableRawPointer(bitPattern: start), end - start, MADV_DONTNEED)
    }
  }
}

/// Memory for the tiles of weights, which live as long as each other: out of large pages, as a fault for every 4 KiB
/// takes longer than packing them.
enum TileMemory {
  nonisolated(unsafe) private static weak var pile: Buffer?
  nonisolated(unsafe) private static var used = 0
  private static let pileBytes = 8 << 20

  static func take(_ byteCount: Int) throws(ArrayError) -> Buffer {
    if byteCount < 32 << 10 || byteCount > pileBytes / 2 {
      return try Buffer(byteCount: byteCount)
    }
    let size = (byteCount + 127) & ~127
    let home: Buffer
    if let pile, used + size <= pile.byteCount {
      home = pile
    } else {
      home = try Buffer(byteCount: pileBytes)
      pile = home
      used = 0
    }
    let start = home.pointer + used
    used += size
    return Buffer(external: start, byteCount: size, owner: home)
  }
}

/// What a weight in MLX's arrays was packed into, and from what.
final class PackedTiles {
  let tiles: Buffer
  private let format: QuantizedWeight.Format
  private let size: [Int]
  /// Scales and biases: their memory, which stays, and places in it.
  private let others: [(buffer: Buffer?, offset: Int)]

  init(tiles: Buffer, weight: QuantizedWeight) {
    self.tiles = tiles
    format = weight.format
    size = [weight.rows, weight.columns]
    others = weight.arrays.dropFirst().map { ($0.buffer, $0.offset) }
  }
  func isOf(_ weight: QuantizedWeight) -> Bool {
    weight.format == format && size == [weight.rows, weight.columns]
      && weight.arrays.count == others.count + 1
      && zip(weight.arrays.dropFirst(), others).allSatisfy {
        $0.buffer === $1.buffer && $0.offset == $1.offset
      }
  }
}

/// Runs `body(chunk, worker)` for all chunks on the pool. The body must only touch raw memory.
func parallelFor(_ chunks: Int, _ body: (Int, Int) -> Void) {
  withoutActuallyEscaping(body) { escaping in
    var box = escaping
    withUnsafeMutablePointer(to: &box) { context in
      lull_parallel_for(
        Int64(chunks),
        { context, chunk, worker in
          guard let context else { return }
          context.assumingMemoryBound(to: ((Int, Int) -> Void).self).pointee(
            Int(chunk), Int(worker))
        }, context)
    }
  }
}

// MARK: - The same weight over other arrays

extension QuantizedWeight: Codable {
  /// Over arrays of the same shapes and dtypes: nothing is checked.
  func over(_ arrays: [NDArray]) -> QuantizedWeight {
    if arrays.count == self.arrays.count && zip(arrays, self.arrays).allSatisfy({ $0 === $1 }) {
      return self
    }
    return QuantizedWeight(unchecked: format, rows: rows, columns: columns, arrays: arrays)
  }
  /// Over other arrays, checked as if the weight were made anew.
  func replacing(_ arrays: [NDArray]) throws(ArrayError) -> QuantizedWeight {
    func bad() -> ArrayError { .argument(op: "quantized weight", message: "wrong arrays") }
    switch format {
    case .blocks(let type):
      guard arrays.count == 1,
        arrays[0].dtype == .uint8 || QuantizedWeight.blockType(of: arrays[0].dtype) == type
      else { throw bad() }
      return try QuantizedWeight(blockType: type, rows: rows, columns: columns, data: arrays[0])
    case .affine(let bits, let group):
      guard arrays.count == 3 else { throw bad() }
      return try QuantizedWeight(
        codes: arrays[0], scales: arrays[1], biases: arrays[2], group: group, bits: bits,
        mode: "affine")
    case .float(let mode):
      guard arrays.count == 2 else { throw bad() }
      return try QuantizedWeight(
        codes: arrays[0], scales: arrays[1], biases: nil, group: mode.group, bits: mode.bits,
        mode: mode.rawValue)
    }
  }

  private enum Key: CodingKey { case format, rows, columns }
  public convenience init(from decoder: any Decoder) throws {
    let box = try decoder.container(keyedBy: Key.self)
    self.init(
      unchecked: try box.decode(Format.self, forKey: .format),
      rows: try box.decode(Int.self, forKey: .rows),
      columns: try box.decode(Int.self, forKey: .columns), arrays: [])
  }
  public func encode(to encoder: any Encoder) throws {
    var box = encoder.container(keyedBy: Key.self)
    try box.encode(format, forKey: .format)
    try box.encode(rows, forKey: .rows)
    try box.encode(columns, forKey: .columns)
  }
}
