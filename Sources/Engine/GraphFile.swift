// Exported functions: plans as bytes.
//
// All integers little-endian; a text is a u32 count of bytes and the bytes (UTF-8).
//
//   "LULLFUNC" | u32 version (1) | u32 flags (1: shapeless) | text metadata
//   u32 constants: each u8 dtype, u8 rank, u64 sizes..., u64 byte count, bytes (row-major)
//   u32 traces: each
//     u32 positional inputs | u32 keywords: text each, in the order of the inputs that follow them
//     u32 inputs:  u8 dtype, u8 rank, u64 sizes...
//     u32 constants in use: u32 number of the constant each
//     u32 steps:   u8 kind | text name | parameters | u8 dtype, shape | u32 slots: u32 each
//                  (kind 3, several outputs, has u32 outputs: u8 dtype, shape each)
//     u32 outputs: u32 slot each
//   parameters: u8 tag: 0 null, 1 false, 2 true, 3 i64, 4 u64 bits of a float64, 5 text,
//               6 u32 count and elements, 7 u32 count and text-value pairs
//
// Slots number the inputs, constants and steps of a trace, in this order; a step refers to earlier slots only.
// A reader trusts nothing: every count is checked against the bytes that are left, and every step is built by
// the functions that a program would call, which check shapes, dtypes and parameters.

/// Functions in a file: one for each kind of arguments.
public struct GraphFile {
  public struct Trace {
    public let plan: CompiledPlan
    public let positionalCount: Int
    public let keywords: [String]
    public init(plan: CompiledPlan, positionalCount: Int, keywords: [String]) {
      (self.plan, self.positionalCount, self.keywords) = (plan, positionalCount, keywords)
    }
  }
  public var isShapeless: Bool
  public var metadata: String
  public var traces: [Trace]
  public init(isShapeless: Bool, metadata: String, traces: [Trace] = []) {
    (self.isShapeless, self.metadata, self.traces) = (isShapeless, metadata, traces)
  }

  /// The primitives that a file may hold, by the names of their types.
  static let types: [any (Primitive & Codable).Type] = [
    Reshape.self, Transpose.self, Broadcast.self, Slice.self, AsStrided.self, ViewAs.self,
    Contiguous.self, Concatenate.self, SliceUpdate.self, Gather.self, Scatter.self,
    TakeAlong.self, PutAlong.self, MaskPlaces.self, Reduction.self, ElementCount.self, Scan.self,
    Sort.self,
    SearchSorted.self, Softmax.self, RandomBits.self, MatMul.self, FastRMSNorm.self,
    FastLayerNorm.self, FastRoPE.self, FastAttention.self, QuantizedMatmul.self,
    QuantizedRows.self, Dequantize.self, Depends.self, SumLike.self, Convolution.self,
    ConvolutionWeightGradient.self, Cholesky.self, Inverse.self, TriangularInverse.self,
    Solve.self, PseudoInverse.self, Determinant.self, Cofactors.self, FFT.self, ConvertFloat8.self,
    Hadamard.self,
    GatherMatMul.self, SegmentedMatMul.self, GatherQuantizedMatMul.self, DynamicSlice.self,
    DynamicSliceUpdate.self,
  ]
  static let severalTypes: [any (MultiOutputPrimitive & Codable).Type] = [
    Quantize.self, LUFactors.self, SignLogDeterminant.self, QR.self, SVD.self,
    HermitianEigen.self, Eigen.self, Composed.self,
  ]

  static let magic = Array("LULLFUNC".utf8)
  static let version: UInt32 = 1
  static let op: OperationName = "import_function"
}

// MARK: - Writing

extension GraphFile {
  public func bytes() throws(ArrayError) -> [UInt8] {
    var out = ByteWriter()
    out.bytes += GraphFile.magic
    out.u32(GraphFile.version)
    out.u32(isShapeless ? 1 : 0)
    out.text(metadata)
    // One array is written once, however many traces use it.
    var constants: [NDArray] = []
    var numbers: [ObjectIdentifier: Int] = [:]
    for trace in traces {
      for x in trace.plan.constants where numbers[ObjectIdentifier(x)] == nil {
        numbers[ObjectIdentifier(x)] = constants.count
        constants.append(x)
      }
    }
    out.count(constants.count)
    for x in constants {
      out.form(x.shape, x.dtype)
      try x.withBytes { raw in
        out.u64(UInt64(raw.count))
        out.bytes.append(contentsOf: raw)
      }
    }
    out.count(traces.count)
    for trace in traces { try write(trace, numbers, &out) }
    return out.bytes
  }

  private func write(_ trace: Trace, _ numbers: [ObjectIdentifier: Int], _ out: inout ByteWriter)
    throws(ArrayError)
  {
    let plan = trace.plan
    out.count(trace.positionalCount)
    out.count(trace.keywords.count)
    for name in trace.keywords { out.text(name) }
    out.count(plan.inputs.count)
    for (shape, dtype) in plan.inputs { out.form(shape, dtype) }
    out.count(plan.constants.count)
    for x in plan.constants { out.count(numbers[ObjectIdentifier(x)] ?? 0) }
    // Custom rules are the program's own code: a file has what they computed.
    var slots = Array(0..<(plan.inputs.count + plan.constants.count))
    var kept: [(CompiledPlan.Step, [Int])] = []
    var custom: [Int: [Int]] = [:]
    let first = slots.count
    for (i, step) in plan.steps.enumerated() {
      let from = step.inputs.map { slots[$0] }
      switch step.kind {
      case .several(let base as CustomFunction, _, _):
        custom[first + i] = Array(from[base.inputCount...])
        slots.append(from.first ?? 0)
        continue
      case .output(let index):
        if let made = custom[step.inputs[0]], index < made.count {
          slots.append(made[index])
          continue
        }
      default: break
      }
      slots.append(first + kept.count)
      kept.append((step, from))
    }
    out.count(kept.count)
    for (step, from) in kept { try write(step, from, &out) }
    out.count(plan.outputs.count)
    for slot in plan.outputs { out.count(slots[slot]) }
  }

  private func write(_ step: CompiledPlan.Step, _ from: [Int], _ out: inout ByteWriter)
    throws(ArrayError)
  {
    var several: [(Shape, DType)]?
    switch step.kind {
    case .elementwise(let op):
      out.u8(0)
      out.text(op.name.description)
      out.parameter(.null)
    case .primitive(let primitive):
      let name = String(describing: type(of: primitive))
      guard GraphFile.types.contains(where: { String(describing: $0) == name }),
        let parameters = Parameter.of(primitive)
      else {
        throw .argument(op: "export_function", message: "\(primitive.name) cannot be exported")
      }
      out.u8(1)
      out.text(name)
      out.parameter(parameters)
    case .output(let index):
      out.u8(2)
      out.text("output")
      out.parameter(.int(Int64(index)))
    case .several(let base, let shapes, let dtypes):
      let name = String(describing: type(of: base))
      guard GraphFile.severalTypes.contains(where: { String(describing: $0) == name }),
        let parameters = Parameter.of(base)
      else { throw .argument(op: "export_function", message: "\(base.name) cannot be exported") }
      out.u8(3)
      out.text(name)
      out.parameter(parameters)
      several = Array(zip(shapes, dtypes))
    }
    out.form(step.shape, step.dtype)
    out.count(from.count)
    for slot in from { out.count(slot) }
    if let several {
      out.count(several.count)
      for (shape, dtype) in several { out.form(shape, dtype) }
    }
  }
}

private struct ByteWriter {
  var bytes: [UInt8] = []
  mutating func u8(_ x: UInt8) { bytes.append(x) }
  mutating func u32(_ x: UInt32) {
    withUnsafeBytes(of: x.littleEndian) { bytes.append(contentsOf: $0) }
  }
  mutating func u64(_ x: UInt64) {
    withUnsafeBytes(of: x.littleEndian) { bytes.append(contentsOf: $0) }
  }
  mutating func count(_ n: Int) { u32(UInt32(clamping: n)) }
  mutating func text(_ s: String) {
    let utf8 = Array(s.utf8)
    count(utf8.count)
    bytes += utf8
  }
  mutating func form(_ shape: Shape, _ dtype: DType) {
    u8(dtype.rawValue)
    u8(UInt8(shape.count))
    for n in shape { u64(UInt64(n)) }
  }
  mutating func parameter(_ p: Parameter) {
    switch p {
    case .null: u8(0)
    case .bool(let b): u8(b ? 2 : 1)
    case .int(let i):
      u8(3)
      u64(UInt64(bitPattern: i))
    case .real(let bits):
      u8(4)
      u64(bits)
    case .text(let s):
      u8(5)
      text(s)
    case .list(let items):
      u8(6)
      count(items.count)
      for item in items { parameter(item) }
    case .map(let fields):
      u8(7)
      count(fields.count)
      for (key, value) in fields.sorted(by: { $0.key < $1.key }) {
        text(key)
        parameter(value)
      }
    }
  }
}

// MARK: - Reading

extension GraphFile {
  public init(bytes: UnsafeRawBufferPointer) throws(ArrayError) {
    var reader = ByteReader(bytes: bytes)
    for byte in GraphFile.magic where try reader.u8() != byte {
      throw ByteReader.bad("this is no file of an exported function")
    }
    let version = try reader.u32()
    guard version == GraphFile.version else {
      throw ByteReader.bad("version \(version) of the format is not known")
    }
    let flags = try reader.u32()
    guard flags <= 1 else { throw ByteReader.bad("unknown flags \(flags)") }
    self.init(isShapeless: flags == 1, metadata: try reader.text())
    var constants: [NDArray] = []
    for _ in 0..<(try reader.count(each: 10)) {
      let (shape, dtype) = try reader.form()
      let size = try reader.u64()
      let needed = try shape.elementCount(op: GraphFile.op) * dtype.byteCount
      guard size == UInt64(needed) else {
        throw ByteReader.bad("a constant of shape \(shape) has \(size) bytes instead of \(needed)")
      }
      constants.append(try NDArray(bytes: reader.take(needed), shape: shape, dtype: dtype))
    }
    for _ in 0..<(try reader.count(each: 24)) {
      traces.append(try GraphFile.readTrace(&reader, constants, isShapeless))
    }
    guard reader.isAtEnd else { throw ByteReader.bad("there are bytes after the end") }
  }

  private static func readTrace(
    _ reader: inout ByteReader, _ constants: [NDArray], _ isShapeless: Bool
  ) throws(ArrayError) -> Trace {
    let positional = Int(try reader.u32())
    var keywords: [String] = []
    for _ in 0..<(try reader.count(each: 4)) { keywords.append(try reader.text()) }
    var forms: [(Shape, DType)] = []
    for _ in 0..<(try reader.count(each: 2)) { forms.append(try reader.form()) }
    guard positional + keywords.count == forms.count, Set(keywords).count == keywords.count else {
      throw ByteReader.bad("the inputs do not agree with their names")
    }
    let trace = PlanTrace(forms: forms, isShapeless: isShapeless)
    defer { trace.end() }
    var slots = trace.placeholders
    for _ in 0..<(try reader.count(each: 4)) {
      let number = Int(try reader.u32())
      guard number < constants.count else { throw ByteReader.bad("constant \(number) is missing") }
      slots.append(constants[number])
    }
    // Where the outputs of a primitive with several stand, by its slot; and what was recorded of each slot.
    var several: [Int: [NDArray]] = [:]
    var recorded = slots.map(\.shape)
    for _ in 0..<(try reader.count(each: 15)) {
      try readStep(&reader, &slots, &several, &recorded)
    }
    var outputs: [NDArray] = []
    for _ in 0..<(try reader.count(each: 4)) {
      let slot = Int(try reader.u32())
      guard slot < slots.count, several[slot] == nil else {
        throw ByteReader.bad("an output is missing")
      }
      outputs.append(slots[slot])
    }
    return Trace(
      plan: try trace.finish(outputs, op: op), positionalCount: positional, keywords: keywords)
  }

  private static func readStep(
    _ reader: inout ByteReader, _ slots: inout [NDArray], _ several: inout [Int: [NDArray]],
    _ recorded: inout [Shape]
  ) throws(ArrayError) {
    let kind = try reader.u8()
    let name = try reader.text()
    let parameters = try reader.parameter()
    let (shape, dtype) = try reader.form()
    var (numbers, inputs): ([Int], [NDArray]) = ([], [])
    for _ in 0..<(try reader.count(each: 4)) {
      let slot = Int(try reader.u32())
      guard slot < slots.count, several[slot] == nil || kind == 2 else {
        throw ByteReader.bad("'\(name)' refers to slot \(slot), which is not there")
      }
      numbers.append(slot)
      inputs.append(slots[slot])
    }
    let before = numbers.map { recorded[$0] }
    let node: NDArray
    switch kind {
    case 0:
      guard let op = ElementwiseOp.named(name) else { throw unknown(name) }
      node = try op.rebuild(inputs, dtype: dtype)
    case 1:
      guard let type = types.first(where: { String(describing: $0) == name }) else {
        throw unknown(name)
      }
      let primitive = try decode(type, parameters, name)
      guard !inputs.isEmpty else { throw ByteReader.bad("'\(name)' has no inputs") }
      node = try primitive.rebuild(
        inputs, like: NodeShape(shape: shape, dtype: dtype, inputShapes: before))
    case 2:
      guard case .int(let index) = parameters, let slot = numbers.first, let made = several[slot],
        made.indices.contains(Int(clamping: index))
      else { throw ByteReader.bad("an output without its primitive") }
      node = made[Int(index)]
    case 3:
      guard let type = severalTypes.first(where: { String(describing: $0) == name }) else {
        throw unknown(name)
      }
      var old: [NodeShape] = []
      for _ in 0..<(try reader.count(each: 2)) {
        let (shape, dtype) = try reader.form()
        old.append(NodeShape(shape: shape, dtype: dtype, inputShapes: before))
      }
      guard let first = inputs.first else { throw ByteReader.bad("'\(name)' has no inputs") }
      let primitive = try decodeSeveral(type, parameters, name)
      several[slots.count] = try primitive.rebuildMultiple(inputs, like: old)
      slots.append(first)
      recorded.append(shape)
      return
    default: throw ByteReader.bad("a step of kind \(kind)")
    }
    guard node.shape == shape, node.dtype == dtype else {
      throw ByteReader.bad(
        "'\(name)' gives \(node.dtype.name) \(node.shape), recorded is \(dtype.name) \(shape)")
    }
    slots.append(node)
    recorded.append(shape)
  }

  private static func unknown(_ name: String) -> ArrayError {
    ByteReader.bad("the operation '\(name)' is not known")
  }
  private static func decode(_ type: any (Primitive & Codable).Type, _ p: Parameter, _ name: String)
    throws(ArrayError) -> any Primitive
  {
    do { return try p.decoded(as: type) } catch {
      throw ByteReader.bad("the parameters of '\(name)' are damaged")
    }
  }
  private static func decodeSeveral(
    _ type: any (MultiOutputPrimitive & Codable).Type, _ p: Parameter, _ name: String
  ) throws(ArrayError) -> any MultiOutputPrimitive {
    do { return try p.decoded(as: type) } catch {
      throw ByteReader.bad("the parameters of '\(name)' are damaged")
    }
  }
}

private struct ByteReader {
  let bytes: UnsafeRawBufferPointer
  var place = 0
  init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }
  var isAtEnd: Bool { place == bytes.count }

  static func bad(_ message: String) -> ArrayError { .argument(op: GraphFile.op, message: message) }

  mutating func take(_ n: Int) throws(ArrayError) -> UnsafeRawBufferPointer {
    guard n >= 0, n <= bytes.count - place else { throw ByteReader.bad("the file ends too early") }
    defer { place += n }
    return UnsafeRawBufferPointer(rebasing: bytes[place..<place + n])
  }
  mutating func u8() throws(ArrayError) -> UInt8 { try take(1)[0] }
  mutating func u32() throws(ArrayError) -> UInt32 {
    UInt32(littleEndian: try take(4).loadUnaligned(as: UInt32.self))
  }
  mutating func u64() throws(ArrayError) -> UInt64 {
    UInt64(littleEndian: try take(8).loadUnaligned(as: UInt64.self))
  }
  /// A count of things that take at least so many bytes each.
  mutating func count(each: Int) throws(ArrayError) -> Int {
    let n = Int(try u32())
    guard n <= (bytes.count - place) / each else { throw ByteReader.bad("the file ends too early") }
    return n
  }
  mutating func text() throws(ArrayError) -> String {
    let raw = try take(Int(try u32()))
    guard let s = String(validating: raw, as: UTF8.self) else {
      throw ByteReader.bad("a text is not UTF-8")
    }
    return s
  }
  mutating func form() throws(ArrayError) -> (Shape, DType) {
    let raw = try u8()
    guard let dtype = DType(rawValue: raw) else { throw ByteReader.bad("dtype \(raw)") }
    let rank = Int(try u8())
    var dims: [Int] = []
    for _ in 0..<rank {
      guard let n = Int(exactly: try u64()) else { throw ByteReader.bad("a size of 2^63 or more") }
      dims.append(n)
    }
    return (try Shape.checked(dims, op: GraphFile.op), dtype)
  }
  mutating func parameter(_ depth: Int = 0) throws(ArrayError) -> Parameter {
    if depth > 16 { throw ByteReader.bad("parameters are nested too deeply") }
    switch try u8() {
    case 0: return .null
    case 1: return .bool(false)
    case 2: return .bool(true)
    case 3: return .int(Int64(bitPattern: try u64()))
    case 4: return .real(try u64())
    case 5: return .text(try text())
    case 6:
      var items: [Parameter] = []
      for _ in 0..<(try count(each: 1)) { items.append(try parameter(depth + 1)) }
      return .list(items)
    case 7:
      var fields: [String: Parameter] = [:]
      for _ in 0..<(try count(each: 5)) {
        let key = try text()
        fields[key] = try parameter(depth + 1)
      }
      return .map(fields)
    case let tag: throw ByteReader.bad("a parameter of kind \(tag)")
    }
  }
}
