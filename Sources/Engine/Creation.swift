// Arrays out of numbers: from the host, filled, ranges, identities.

import Kernels

/// An array of a file that ends before its elements.
struct Unreadable: Primitive {
  let problem: String
  var name: OperationName { "load" }
  func evaluate(_ out: NDArray) throws(ArrayError) { throw .unreadable(problem) }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] { [] }
}

extension NDArray {
  /// An array whose evaluation is an error that says what is wrong with its file.
  public static func unreadable(_ shape: Shape, _ dtype: DType, _ problem: String) -> NDArray {
    NDArray(Unreadable(problem: problem), shape: shape, dtype: dtype, inputs: [])
  }
}

/// The elements of a small file, which has been read: they go to memory of their own when they are asked for, like
/// any result, and there they can be overwritten.
private struct FileContent: Primitive, @unchecked Sendable {
  let bytes: UnsafeRawBufferPointer
  let owner: AnyObject
  var name: OperationName { "load" }
  func evaluate(_ out: NDArray) throws(ArrayError) {
    try out.allocate()
    if let base = bytes.baseAddress {
      out.pointer.copyMemory(from: base, byteCount: out.byteCount)
    }
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] { [] }
}

extension NDArray {
  /// An array that copies bytes (row-major; alive as long as `owner`) when it is evaluated.
  public static func copying(
    _ bytes: UnsafeRawBufferPointer, owner: AnyObject, shape: Shape, dtype: DType
  ) throws(ArrayError) -> NDArray {
    guard try shape.elementCount(op: "load") * dtype.byteCount == bytes.count else {
      throw .argument(op: "load", message: "\(bytes.count) bytes do not make \(shape)")
    }
    return NDArray(
      FileContent(bytes: bytes, owner: owner), shape: shape, dtype: dtype, inputs: [])
  }
}

extension NDArray {
  /// A 0-d array of a plain number in its natural dtype or the one given.
  public convenience init(_ scalar: Scalar, dtype: DType? = nil) throws(ArrayError) {
    try self.init(uninitialized: Shape(), dtype: dtype ?? DType.natural(of: scalar))
    NDArray.store(scalar, self.dtype, pointer)
  }

  /// A 0-d array of a plain number that meets an array of `dtype`. An integer that does not
  /// fit an integer dtype is an error. Programs meet the same few numbers again and again, so the
  /// last ones are kept: arrays are values, and one can serve all who ask for it.
  public static func weak(_ scalar: Scalar, like dtype: DType) throws(ArrayError) -> NDArray {
    let target = DType.forWeak(scalar, with: dtype)
    let bits: UInt64
    var isFloat = false
    switch scalar {
    case .int(let value):
      if let info = IntegerInfo(target) {
        if value < info.min || (value > 0 && UInt(value) > info.max) {
          throw .scalarOverflow(value: value, dtype: target)
        }
      }
      bits = UInt64(bitPattern: Int64(value))
    case .float(let value):
      bits = value.bitPattern
      isFloat = true
    case .bool(let value): bits = value ? 1 : 0
    case .complex, .unsigned:
      let array = try NDArray(uninitialized: Shape(), dtype: target)
      store(scalar, target, array.pointer)
      return array
    }
    let mixed = (bits &+ UInt64(target.rawValue)) &* 0x9e37_79b9_7f4a_7c15
    let kept = keptScalars + Int(mixed >> 58)
    if kept.pointee.bits == bits, kept.pointee.isFloat == isFloat, let array = kept.pointee.array,
      array.dtype == target
    {
      return array
    }
    let array = try NDArray(uninitialized: Shape(), dtype: target)
    store(scalar, target, array.pointer)
    kept.pointee = KeptScalar(bits: bits, isFloat: isFloat, array: array)
    return array
  }

  private struct KeptScalar {
    var bits: UInt64 = 0
    var isFloat = false
    var array: NDArray?
  }
  nonisolated(unsafe) private static let keptScalars = {
    let memory = UnsafeMutablePointer<KeptScalar>.allocate(capacity: 64)
    memory.initialize(repeating: KeptScalar(), count: 64)
    return memory
  }()

  /// Writes one number in a dtype; integers wrap.
  static func store(_ scalar: Scalar, _ dtype: DType, _ p: UnsafeMutableRawPointer) {
    switch dtype {
    case .bool:
      let isTrue: Bool =
        if case .int(let value) = scalar { value != 0 } else {
          scalar.double != 0 || scalar.imaginary != 0
        }
      p.storeBytes(of: isTrue ? 1 : 0, as: UInt8.self)
    case .uint8, .int8: p.storeBytes(of: UInt8(truncatingIfNeeded: scalar.int), as: UInt8.self)
    case .uint16, .int16:
      p.storeBytes(of: UInt16(truncatingIfNeeded: scalar.int), as: UInt16.self)
    case .uint32, .int32:
      p.storeBytes(of: UInt32(truncatingIfNeeded: scalar.int), as: UInt32.self)
    case .uint64, .int64:
      if case .unsigned(let value) = scalar {
        p.storeBytes(of: value, as: UInt64.self)
      } else {
        p.storeBytes(of: scalar.int, as: Int.self)
      }
    case .float16, .bfloat16:
      var value = Float(scalar.double)
      withUnsafePointer(to: &value) {
        lull_convert(
          p.assumingMemoryBound(to: CChar.self), Int32(dtype.rawValue),
          UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self),
          Int32(DType.float32.rawValue), 4, 1)
      }
    case .float32: p.storeBytes(of: Float(scalar.double), as: Float.self)
    case .float64: p.storeBytes(of: scalar.double, as: Double.self)
    case .complex64:
      p.storeBytes(of: Float(scalar.double), as: Float.self)
      p.storeBytes(of: Float(scalar.imaginary), toByteOffset: 4, as: Float.self)
    case .complex128:
      p.storeBytes(of: scalar.double, as: Double.self)
      p.storeBytes(of: scalar.imaginary, toByteOffset: 8, as: Double.self)
    }
  }

  /// A row-major array of host numbers, converted to `dtype`.
  public convenience init(_ values: [Double], shape: Shape? = nil, dtype: DType = .float32)
    throws(ArrayError)
  {
    let shape = shape ?? [values.count]
    guard shape.uncheckedElementCount == values.count else {
      throw .badReshape(shape: [values.count], to: shape.array)
    }
    try self.init(uninitialized: shape, dtype: dtype)
    fill(from: values, .float64)
  }

  public convenience init(_ values: [Float], shape: Shape? = nil) throws(ArrayError) {
    let shape = shape ?? [values.count]
    guard shape.uncheckedElementCount == values.count else {
      throw .badReshape(shape: [values.count], to: shape.array)
    }
    try self.init(uninitialized: shape, dtype: .float32)
    fill(from: values, .float32)
  }

  /// Host integers: int32 when all of them fit and no dtype is given, else int64.
  public convenience init(_ values: [Int], shape: Shape? = nil, dtype: DType? = nil)
    throws(ArrayError)
  {
    let shape = shape ?? [values.count]
    guard shape.uncheckedElementCount == values.count else {
      throw .badReshape(shape: [values.count], to: shape.array)
    }
    let fits = dtype != nil || values.allSatisfy { Int32(exactly: $0) != nil }
    try self.init(uninitialized: shape, dtype: dtype ?? (fits ? .int32 : .int64))
    fill(from: values, .int64)
  }

  public convenience init(_ values: [Bool], shape: Shape? = nil) throws(ArrayError) {
    let shape = shape ?? [values.count]
    guard shape.uncheckedElementCount == values.count else {
      throw .badReshape(shape: [values.count], to: shape.array)
    }
    try self.init(uninitialized: shape, dtype: .bool)
    for (i, value) in values.enumerated() { pointer(as: UInt8.self)[i] = value ? 1 : 0 }
  }

  /// An array of plain numbers (a flattened nested list), in the common dtype that MLX would
  /// choose unless one is given: complex64, float32, int64 where one does not fit 32 bits,
  /// int32, bool; float32 for none.
  public convenience init(_ scalars: [Scalar], shape: Shape, dtype: DType? = nil)
    throws(ArrayError)
  {
    guard shape.uncheckedElementCount == scalars.count else {
      throw .badReshape(shape: [scalars.count], to: shape.array)
    }
    var found: DType? = nil
    if dtype == nil {
      for scalar in scalars {
        let natural = DType.natural(of: scalar)
        found = found.map { DType.promoted($0, natural) } ?? natural
      }
    }
    let dtype = dtype ?? found ?? .float32
    try self.init(uninitialized: shape, dtype: dtype)
    let width = dtype.byteCount
    for (i, scalar) in scalars.enumerated() {
      NDArray.store(scalar, dtype, pointer + i * width)
    }
  }

  /// Raw bytes, row-major, as a file or another array holds them.
  public convenience init(bytes: UnsafeRawBufferPointer, shape: Shape, dtype: DType)
    throws(ArrayError)
  {
    guard shape.uncheckedElementCount * dtype.byteCount == bytes.count else {
      throw .argument(op: "array", message: "\(bytes.count) bytes do not make \(shape)")
    }
    try self.init(uninitialized: shape, dtype: dtype)
    if let base = bytes.baseAddress, bytes.count > 0 {
      pointer.copyMemory(from: base, byteCount: bytes.count)
    }
  }

  private func fill<T>(from values: [T], _ from: DType) {
    values.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress, size > 0 else { return }
      if from == dtype {
        pointer.copyMemory(from: base, byteCount: bytes.count)
      } else {
        lull_convert(
          pointer.assumingMemoryBound(to: CChar.self), Int32(dtype.rawValue),
          base.assumingMemoryBound(to: CChar.self), Int32(from.rawValue),
          Int64(MemoryLayout<T>.stride), Int64(size))
      }
    }
  }

  /// One value for a whole shape; takes the memory of one element until `evalInMemory`.
  public static func full(_ shape: Shape, _ scalar: Scalar, dtype: DType? = nil)
    throws(ArrayError) -> NDArray
  {
    try NDArray(scalar, dtype: dtype).broadcast(to: shape).asFill()
  }
  public static func zeros(_ shape: Shape, dtype: DType = .float32) throws(ArrayError) -> NDArray {
    try full(shape, .int(0), dtype: dtype)
  }
  public static func ones(_ shape: Shape, dtype: DType = .float32) throws(ArrayError) -> NDArray {
    try full(shape, .int(1), dtype: dtype)
  }

  /// start, start + step, ... up to but not with stop. int32 when all three are integers.
  public static func arange(
    _ start: Scalar, _ stop: Scalar, _ step: Scalar = .int(1), dtype: DType? = nil,
    limit: Int = 1 << 40
  ) throws(ArrayError) -> NDArray {
    var isFloat = false
    for scalar in [start, stop, step] {
      switch scalar {
      case .float: isFloat = true
      case .complex: throw .argument(op: "arange", message: "complex numbers have no range")
      default: break
      }
    }
    let (a, b, s) = (start.double, stop.double, step.double)
    if a.isNaN || b.isNaN || s.isNaN {
      throw .argument(op: "arange", message: "cannot compute a length with nan")
    }
    if s == 0 { throw .argument(op: "arange", message: "step must be nonzero") }
    if s.isInfinite || a.isInfinite || b.isInfinite {
      if !(s.isInfinite && a.isFinite && b.isFinite) {
        throw .argument(op: "arange", message: "cannot compute a length with infinity")
      }
    }
    let fits = [start, stop, step].allSatisfy { Int32(exactly: $0.int) != nil }
    let dtype = dtype ?? (isFloat ? .float32 : fits ? .int32 : .int64)
    // An infinite step never comes back: the start alone.
    let length =
      s.isInfinite ? ((b - a) * (s > 0 ? 1 : -1) > 0 ? 1 : 0) : ((b - a) / s).rounded(.up)
    guard length <= Double(limit) else {
      throw .argument(op: "arange", message: "\(length) numbers are more than the \(limit) allowed")
    }
    let count = length > 0 ? Int(length) : 0
    let out = try NDArray(uninitialized: [count], dtype: dtype)
    switch dtype {
    case .float32:
      let p = out.pointer(as: Float.self)
      let (first, next) = (Float(a), Float(a + s))
      let step = count > 1 ? next - first : 0
      for i in 0..<count { p[i] = first + Float(i) * step }
    case .int32:
      let p = out.pointer(as: Int32.self)
      let (first, step) = (start.int, isFloat ? Int(truncatingIfNeeded: step.int) : step.int)
      for i in 0..<count { p[i] = Int32(truncatingIfNeeded: first &+ i &* step) }
    case .int64:
      let p = out.pointer(as: Int.self)
      for i in 0..<count { p[i] = start.int &+ i &* step.int }
    case .float64:
      let p = out.pointer(as: Double.self)
      for i in 0..<count { p[i] = i == 0 ? a : a + Double(i) * s }
    default:
      if dtype.isInteger || dtype == .bool {
        var values = [Int](repeating: 0, count: count)
        for i in 0..<count { values[i] = start.int &+ i &* step.int }
        return try NDArray(values, dtype: dtype)
      }
      var values = [Double](repeating: 0, count: count)
      for i in 0..<count { values[i] = i == 0 ? a : a + Double(i) * s }
      return try NDArray(values, dtype: dtype)
    }
    return out
  }

  /// `count` numbers evenly from start to stop, both included.
  public static func linspace(
    _ start: Double, _ stop: Double, count: Int = 50, dtype: DType = .float32
  ) throws(ArrayError) -> NDArray {
    if count < 0 { throw .argument(op: "linspace", message: "num must not be negative") }
    _ = try Shape([count]).elementCount(op: "linspace")
    var values = [Double](repeating: start, count: count)
    if count > 1 {
      for i in 0..<count {
        let t = Double(i) / Double(count - 1)
        values[i] = (1 - t) * start + t * stop
      }
      values[count - 1] = stop
    }
    return try NDArray(values, dtype: dtype)
  }

  public static func eye(_ n: Int, _ m: Int? = nil, k: Int = 0, dtype: DType = .float32)
    throws(ArrayError) -> NDArray
  {
    let m = m ?? n
    let shape = try Shape.checked([n, m], op: "eye")
    let rows = try NDArray.arange(.int(0), .int(n)).reshaped([n, 1])
    let columns = try NDArray.arange(.int(0), .int(m))
    let offset = try NDArray.weak(.int(Swift.max(Swift.min(k, m), -n)), like: .int32)
    _ = shape
    return try equal(add(rows, offset), columns).astype(dtype)
  }
  public static func identity(_ n: Int, dtype: DType = .float32) throws(ArrayError) -> NDArray {
    try eye(n, dtype: dtype)
  }
  /// Ones at and below the k-th diagonal.
  public static func tri(_ n: Int, _ m: Int? = nil, k: Int = 0, dtype: DType = .float32)
    throws(ArrayError) -> NDArray
  {
    let m = m ?? n
    _ = try Shape.checked([n, m], op: "tri")
    let rows = try NDArray.arange(.int(0), .int(n)).reshaped([n, 1])
    let columns = try NDArray.arange(.int(0), .int(m))
    let offset = try NDArray.weak(.int(Swift.max(Swift.min(k, m), -n)), like: .int32)
    return try greaterEqual(add(rows, offset), columns).astype(dtype)
  }
}

/// The array below its k-th diagonal, zero above.
public func tril(_ x: NDArray, k: Int = 0) throws(ArrayError) -> NDArray {
  if let made = try Tracing.recorded(.triangle(upper: false, k), [x]) { return made[0] }
  guard x.rank >= 2 else { throw .rank(op: "tril", shape: x.shape.array, needed: "a matrix") }
  let mask = try NDArray.tri(x.shape[x.rank - 2], x.shape[x.rank - 1], k: k, dtype: .bool)
  return try `where`(mask, x, NDArray.zeros(Shape(), dtype: x.dtype))
}
public func triu(_ x: NDArray, k: Int = 0) throws(ArrayError) -> NDArray {
  if let made = try Tracing.recorded(.triangle(upper: true, k), [x]) { return made[0] }
  guard x.rank >= 2 else { throw .rank(op: "triu", shape: x.shape.array, needed: "a matrix") }
  let mask = try NDArray.tri(x.shape[x.rank - 2], x.shape[x.rank - 1], k: k - 1, dtype: .bool)
  return try `where`(mask, NDArray.zeros(Shape(), dtype: x.dtype), x)
}
