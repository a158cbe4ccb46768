// `memoryview`: a window on the bytes of another object.
//
// Over bytes and bytearray it is the object's own memory: writes are seen on both sides, and each access is checked
// against the present length, so that nothing dangles when a bytearray changes size. Over arrays it is a copy in the
// same format, since their values never change behind a program's back; what is written goes to the array as well, by
// the assignment that a program could write. Formats, casts and errors are CPython's.
import BigInt

/// What an object of a native type offers as a buffer.
public struct BufferCopy {
  public var bytes: [UInt8]
  public var format: String
  public var itemSize: Int
  public var shape: [Int]
  /// Bytes from one element to the next; nil: row by row.
  public var strides: [Int]?
  public init(bytes: [UInt8], format: String, itemSize: Int, shape: [Int], strides: [Int]? = nil) {
    self.bytes = bytes
    self.format = format
    self.itemSize = itemSize
    self.shape = shape
    self.strides = strides
  }
}

/// The elements under a memoryview in row-major order; nil for anything else.
public func memoryViewContents(_ v: Value) throws(LullError) -> BufferCopy? {
  guard v.kind == .native, v.native(MemoryView.self) != nil else { return nil }
  let m = try view(v)
  return BufferCopy(bytes: try m.gathered(), format: m.format, itemSize: m.itemSize, shape: m.shape)
}

/// Set by the library: the buffer of an array; nil for what has none.
nonisolated(unsafe) public var exportBuffer: ((Value) throws(LullError) -> BufferCopy?)?

final class MemoryView {
  /// The object viewed (owned), with its bytes in `copy` unless it is a bytes or bytearray object.
  let owner: Value
  var copy: [UInt8]?
  var format: String
  var itemSize: Int
  var shape: [Int]
  /// Bytes from one element to the next.
  var strides: [Int]
  var offset: Int
  var isReadOnly: Bool
  var isReleased = false

  init(
    owner: Value, copy: [UInt8]?, format: String, itemSize: Int, shape: [Int], strides: [Int],
    offset: Int, isReadOnly: Bool
  ) {
    self.owner = owner
    self.copy = copy
    self.format = format
    self.itemSize = itemSize
    self.shape = shape
    self.strides = strides
    self.offset = offset
    self.isReadOnly = isReadOnly
    owner.retain()
  }
  convenience init(like o: MemoryView) {
    self.init(
      owner: o.owner, copy: o.copy, format: o.format, itemSize: o.itemSize, shape: o.shape,
      strides: o.strides, offset: o.offset, isReadOnly: o.isReadOnly)
  }
  deinit { if !isReleased { owner.release() } }

  var elementCount: Int { shape.reduce(1, *) }
  var isContiguous: Bool { strides == rowMajor(shape, itemSize) || elementCount == 0 }
  /// The letter of the format, without its byte order.
  var code: UInt8 { format.utf8.last ?? UInt8(ascii: "B") }

  func release() {
    if isReleased { return }
    isReleased = true
    owner.release()
  }

  /// Runs with the memory viewed.
  func withBytes<R>(_ body: (UnsafeBufferPointer<UInt8>) throws(LullError) -> R) throws(LullError)
    -> R
  {
    let source = copy ?? owner.bytes
    var result: Result<R, LullError>?
    source.withUnsafeBufferPointer { p in
      do throws(LullError) { result = .success(try body(p)) } catch { result = .failure(error) }
    }
    guard let result else { throw LullError.runtime("a buffer could not be read") }
    return try result.get()
  }
  private func element(_ p: UnsafeBufferPointer<UInt8>, _ at: Int) throws(LullError) -> Value {
    guard at >= 0, at + itemSize <= p.count else {
      throw LullError("BufferError", "the object under the memoryview has become shorter")
    }
    var u: UInt64 = 0
    for k in 0..<min(itemSize, 8) { u |= UInt64(p[at + k]) << UInt64(8 * k) }
    switch code {
    case UInt8(ascii: "?"): return Value(u != 0)
    case UInt8(ascii: "c"): return makeBytes([p[at]])
    case UInt8(ascii: "d"): return Value(Double(bitPattern: u))
    case UInt8(ascii: "f"): return Value(Double(Float(bitPattern: UInt32(truncatingIfNeeded: u))))
    case UInt8(ascii: "e"): return Value(Double(Float16(bitPattern: UInt16(truncatingIfNeeded: u))))
    case UInt8(ascii: "B"), UInt8(ascii: "H"), UInt8(ascii: "I"), UInt8(ascii: "L"),
      UInt8(ascii: "Q"),
      UInt8(ascii: "N"), UInt8(ascii: "P"):
      return makeInteger(u)
    case UInt8(ascii: "b"), UInt8(ascii: "h"), UInt8(ascii: "i"), UInt8(ascii: "l"),
      UInt8(ascii: "q"),
      UInt8(ascii: "n"):
      let shift = UInt64(64 - 8 * itemSize)
      return Value(Int(Int64(bitPattern: u << shift) >> Int64(shift)))
    default:
      throw LullError("NotImplementedError", "memoryview: format \(format) not supported")
    }
  }
  func element(at index: Int) throws(LullError) -> Value {
    try withBytes { (p) throws(LullError) in try element(p, offset + index * strides[0]) }
  }
  func element(at indices: [Int]) throws(LullError) -> Value {
    var at = offset
    for (i, s) in zip(indices, strides) { at += i * s }
    return try withBytes { (p) throws(LullError) in try element(p, at) }
  }
  /// The bytes in row-major order.
  func gathered() throws(LullError) -> [UInt8] {
    try withBytes { (p) throws(LullError) in
      if isContiguous {
        guard offset >= 0, offset + elementCount * itemSize <= p.count else {
          throw LullError("BufferError", "the object under the memoryview has become shorter")
        }
        return Array(p[offset..<(offset + elementCount * itemSize)])
      }
      var out: [UInt8] = []
      out.reserveCapacity(elementCount * itemSize)
      for at in offsets() {
        guard at >= 0, at + itemSize <= p.count else {
          throw LullError("BufferError", "the object under the memoryview has become shorter")
        }
        out.append(contentsOf: p[at..<(at + itemSize)])
      }
      return out
    }
  }
  /// Where each element lies, in row-major order.
  func offsets() -> [Int] {
    var out = [offset]
    for (n, s) in zip(shape, strides) {
      out = out.flatMap { base in (0..<n).map { base + $0 * s } }
    }
    return out
  }
  func list(_ axis: Int, _ at: Int) throws(LullError) -> Value {
    if axis == shape.count { return try withBytes { (p) throws(LullError) in try element(p, at) } }
    let out = makeList(capacity: shape[axis])
    for i in 0..<shape[axis] {
      do throws(LullError) { out.list.append(try list(axis + 1, at + i * strides[axis])) } catch {
        out.release()
        throw error
      }
    }
    return out
  }
  /// The bytes of an element with this value.
  func encoded(_ v: Value) throws(LullError) -> [UInt8] {
    var u: UInt64
    func wrongType() -> LullError { .typeError("memoryview: invalid type for format '\(format)'") }
    func wrongValue() -> LullError {
      .valueError("memoryview: invalid value for format '\(format)'")
    }
    switch code {
    case UInt8(ascii: "?"): u = try truth(v) ? 1 : 0
    case UInt8(ascii: "c"):
      guard let b = v.byteArray else { throw wrongType() }
      guard b.count == 1 else { throw wrongValue() }
      return b
    case UInt8(ascii: "d"), UInt8(ascii: "f"), UInt8(ascii: "e"):
      let d: Double
      do throws(LullError) { d = try doubleOf(v) } catch { throw wrongType() }
      u =
        code == UInt8(ascii: "d")
        ? plainNaN(d).bitPattern
        : code == UInt8(ascii: "f") ? UInt64(Float(d).bitPattern) : UInt64(Float16(d).bitPattern)
    default:
      let index: Value
      do throws(LullError) { index = try indexValue(v) } catch { throw wrongType() }
      defer { index.release() }
      let n = index.integer ?? 0
      let isSigned = code >= 97
      let width = 8 * itemSize
      let low = isSigned ? -(BigInt(1) << (width - 1)) : 0
      let high = (BigInt(1) << (isSigned ? width - 1 : width)) - 1
      guard n >= low, n <= high else { throw wrongValue() }
      u = UInt64(truncatingIfNeeded: n)
    }
    var out: [UInt8] = []
    for _ in 0..<itemSize {
      out.append(UInt8(truncatingIfNeeded: u))
      u >>= 8
    }
    return out
  }
  func store(_ bytes: ArraySlice<UInt8>, at: Int) throws(LullError) {
    if copy != nil { return try storeInArray(bytes, at: at) }
    let body = owner.body(BytesBody.self)
    guard at >= 0, at + bytes.count <= body.pointee.value.count else {
      throw LullError("BufferError", "the object under the memoryview has become shorter")
    }
    for (k, b) in bytes.enumerated() { body.pointee.value[at + k] = b }
  }
}

extension MemoryView {
  /// An element of an array: in the copy, and in the array at its indices.
  private func storeInArray(_ bytes: ArraySlice<UInt8>, at: Int) throws(LullError) {
    guard let place = offsets().firstIndex(of: at), let set = owner.type.pointee.native?.setItem
    else {
      throw LullError.typeError("memoryview: only whole elements of an array can be assigned")
    }
    for (k, b) in bytes.enumerated() { copy?[at + k] = b }
    var rest = place
    var indices: [Value] = []
    for n in shape.reversed() {
      indices.insert(Value(rest % n), at: 0)
      rest /= n
    }
    let key = makeTuple(indices)
    let value = try element(at: indices.map(\.asInt))
    defer {
      key.release()
      value.release()
    }
    try set(owner, key, value)
  }
}

private func rowMajor(_ shape: [Int], _ itemSize: Int) -> [Int] {
  var out = [Int](repeating: itemSize, count: shape.count)
  for i in stride(from: shape.count - 2, through: 0, by: -1) { out[i] = out[i + 1] * shape[i + 1] }
  return out
}

private func sizeOf(_ format: String) -> Int? {
  let text = format.hasPrefix("@") ? format.dropFirst() : Substring(format)
  guard text.utf8.count == 1, let c = text.utf8.first else { return nil }
  switch c {
  case UInt8(ascii: "c"), UInt8(ascii: "b"), UInt8(ascii: "B"), UInt8(ascii: "?"): return 1
  case UInt8(ascii: "h"), UInt8(ascii: "H"), UInt8(ascii: "e"): return 2
  case UInt8(ascii: "i"), UInt8(ascii: "I"), UInt8(ascii: "f"): return 4
  case UInt8(ascii: "l"), UInt8(ascii: "L"), UInt8(ascii: "q"), UInt8(ascii: "Q"),
    UInt8(ascii: "n"),
    UInt8(ascii: "N"), UInt8(ascii: "d"), UInt8(ascii: "P"):
    return 8
  default: return nil
  }
}

/// The bytes of a buffer in row-major order.
func rowMajorBytes(_ b: BufferCopy) throws(LullError) -> [UInt8] {
  guard let strides = b.strides else { return b.bytes }
  return try MemoryView(
    owner: .none, copy: b.bytes, format: b.format, itemSize: b.itemSize, shape: b.shape,
    strides: strides,
    offset: 0, isReadOnly: true
  ).gathered()
}

// MARK: - The type

let memoryViewType = NativeType(
  "memoryview", doc: "A window on the bytes of a bytes, bytearray or array object.")

private func view(_ v: Value) throws(LullError) -> MemoryView {
  guard let m = v.native(MemoryView.self) else {
    throw LullError.typeError("a memoryview is required, not '\(typeName(v))'")
  }
  if m.isReleased {
    throw LullError.valueError("operation forbidden on released memoryview object")
  }
  return m
}
/// The bytes of a memoryview; nil for anything else and for one that was released.
func memoryViewBytes(_ v: Value) -> [UInt8]? {
  guard v.kind == .native, let m = v.native(MemoryView.self), !m.isReleased else { return nil }
  do throws(LullError) { return try m.gathered() } catch { return nil }
}

private func makeView(_ v: Value) throws(LullError) -> Value {
  if v.kind == .bytes {
    return memoryViewType.make(
      MemoryView(
        owner: v, copy: nil, format: "B", itemSize: 1, shape: [v.bytes.count], strides: [1],
        offset: 0,
        isReadOnly: !v.isByteArray))
  }
  if v.native(MemoryView.self) != nil { return memoryViewType.make(MemoryView(like: try view(v))) }
  if let b = try exportBuffer?(v) {
    return memoryViewType.make(
      MemoryView(
        owner: v, copy: b.bytes, format: b.format, itemSize: b.itemSize, shape: b.shape,
        strides: b.strides ?? rowMajor(b.shape, b.itemSize), offset: 0,
        isReadOnly: v.type.pointee.native?.setItem == nil))
  }
  throw LullError.typeError("memoryview: a bytes-like object is required, not '\(typeName(v))'")
}

private func position(_ m: MemoryView, _ i: Int, _ axis: Int) throws(LullError) -> Int {
  let k = i < 0 ? i + m.shape[axis] : i
  guard k >= 0, k < m.shape[axis] else {
    throw LullError.index("index out of bounds on dimension \(axis + 1)")
  }
  return k
}
/// A view of what a slice takes.
private func sliced(_ m: MemoryView, _ k: Value) throws(LullError) -> MemoryView {
  let s = try sliceIndices(k, length: m.shape[0])
  let out = MemoryView(like: m)
  out.offset = m.offset + s.start * m.strides[0]
  out.shape[0] = s.count
  out.strides[0] = m.strides[0] * s.step
  return out
}
/// The indices of a tuple of ints, one an axis.
private func indices(_ m: MemoryView, _ k: Value) throws(LullError) -> [Int]? {
  guard let t = k.asTuple, t.array.allSatisfy({ $0.isInteger }) else { return nil }
  let n = t.pointee.count
  if n > m.shape.count {
    throw LullError.typeError(
      "cannot index \(m.shape.count)-dimension view with \(n)-element tuple")
  }
  if n < m.shape.count { throw LullError("NotImplementedError", "sub-views are not implemented") }
  var out: [Int] = []
  for (axis, x) in t.array.enumerated() { out.append(try position(m, try indexOf(x), axis)) }
  return out
}
private func item(_ v: Value, _ k: Value) throws(LullError) -> Value {
  let m = try view(v)
  if m.shape.isEmpty {
    if k.isEllipsis { return memoryViewType.make(MemoryView(like: m)) }
    if let t = k.asTuple, t.pointee.count == 0 { return try m.element(at: []) }
    throw LullError.typeError("invalid indexing of 0-dim memory")
  }
  if k.kind == .slice { return memoryViewType.make(try sliced(m, k)) }
  if k.isEllipsis { return memoryViewType.make(MemoryView(like: m)) }
  if let at = try indices(m, k) { return try m.element(at: at) }
  guard k.isInteger || (isCustom(k) && !k.type.lookup(.__index__).isUndefined) else {
    throw LullError.typeError("memoryview: invalid slice key")
  }
  if m.shape.count > 1 {
    throw LullError("NotImplementedError", "multi-dimensional sub-views are not implemented")
  }
  return try m.element(at: try position(m, try indexOf(k), 0))
}
private func assignItem(_ v: Value, _ k: Value, _ x: Value) throws(LullError) {
  let m = try view(v)
  if m.isReadOnly { throw LullError.typeError("cannot modify read-only memory") }
  if m.shape.isEmpty {
    guard k.isEllipsis || k.asTuple?.pointee.count == 0 else {
      throw LullError.typeError("invalid indexing of 0-dim memory")
    }
    return try m.store(try m.encoded(x)[...], at: m.offset)
  }
  if let at = try indices(m, k) {
    var place = m.offset
    for (i, s) in zip(at, m.strides) { place += i * s }
    return try m.store(try m.encoded(x)[...], at: place)
  }
  if k.kind == .slice {
    guard m.shape.count == 1 else {
      throw LullError(
        "NotImplementedError", "memoryview slice assignments are currently restricted to ndim = 1")
    }
    let target = try sliced(m, k)
    let sourceFormat: String
    let bytes: [UInt8]
    if let o = x.native(MemoryView.self) {
      _ = try view(x)
      sourceFormat = o.format
      bytes = try o.gathered()
    } else if let b = x.bytesLike {
      sourceFormat = "B"
      bytes = b
    } else {
      throw LullError.typeError("a bytes-like object is required, not '\(typeName(x))'")
    }
    guard sourceFormat == m.format, bytes.count == target.elementCount * m.itemSize else {
      throw LullError.valueError(
        "memoryview assignment: lvalue and rvalue have different structures")
    }
    for (n, at) in target.offsets().enumerated() {
      try m.store(bytes[(n * m.itemSize)..<((n + 1) * m.itemSize)], at: at)
    }
    return
  }
  guard k.isInteger || (isCustom(k) && !k.type.lookup(.__index__).isUndefined) else {
    throw LullError.typeError("memoryview: invalid slice key")
  }
  if m.shape.count > 1 { throw LullError("NotImplementedError", "sub-views are not implemented") }
  let at = m.offset + (try position(m, try indexOf(k), 0)) * m.strides[0]
  try m.store(try m.encoded(x)[...], at: at)
}

/// `cast(format, shape)`: between bytes and another format, or a new shape of contiguous memory.
private func cast(_ m: MemoryView, _ format: String, _ shape: Value) throws(LullError) -> Value {
  guard m.isContiguous else {
    throw LullError.typeError("memoryview: casts are restricted to C-contiguous views")
  }
  guard let size = sizeOf(format) else {
    throw LullError.valueError(
      "memoryview: destination format must be a native single character format prefixed with an optional '@'"
    )
  }
  let isBytes: (UInt8) -> Bool = {
    $0 == UInt8(ascii: "B") || $0 == UInt8(ascii: "b") || $0 == UInt8(ascii: "c")
  }
  let to = format.utf8.last ?? 0
  guard isBytes(to) || isBytes(m.code) else {
    throw LullError.typeError("memoryview: cannot cast between two non-byte formats")
  }
  let total = m.elementCount * m.itemSize
  guard total % size == 0 else {
    throw LullError.typeError("memoryview: length is not a multiple of itemsize")
  }
  let out = MemoryView(like: m)
  out.format = format
  out.itemSize = size
  out.shape = [total / size]
  if !shape.isNone {
    guard shape.kind == .list || shape.kind == .tuple else {
      throw LullError.typeError("shape must be a list or a tuple")
    }
    if m.shape.count != 1, shape.elements.count != 1 {
      throw LullError.typeError("memoryview: cast must be 1D -> ND or ND -> 1D")
    }
    var sizes: [Int] = []
    var product = size
    for x in shape.elements {
      guard x.isInteger else {
        throw LullError.typeError("memoryview.cast(): elements of shape must be integers")
      }
      let n = try indexOf(x)
      let (p, overflow) = product.multipliedReportingOverflow(by: n)
      guard n > 0, !overflow else {
        throw LullError.valueError("memoryview.cast(): elements of shape must be integers > 0")
      }
      product = p
      sizes.append(n)
    }
    guard product == total else {
      throw LullError.typeError("memoryview: product(shape) * itemsize != buffer size")
    }
    out.shape = sizes
  }
  out.strides = rowMajor(out.shape, size)
  return memoryViewType.make(out)
}

private func equal(_ v: Value, _ o: Value) throws(LullError) -> Bool {
  guard let m = v.native(MemoryView.self) else { return false }
  if m.isReleased { return v.isSame(o) }
  let other: MemoryView
  if let n = o.native(MemoryView.self) {
    if n.isReleased { return v.isSame(o) }
    other = n
  } else {
    guard let made = o.kind == .bytes ? try makeView(o) : nil else { return false }
    defer { made.release() }
    guard let n = made.native(MemoryView.self) else { return false }
    other = n
  }
  guard m.shape == other.shape else { return false }
  let isFloat = "dfe".utf8.contains(m.code) || "dfe".utf8.contains(other.code)
  if m.format == other.format, !isFloat { return try m.gathered() == other.gathered() }
  // By value: formats differ, or bits say nothing (nan, -0.0).
  let x = m.offsets()
  let y = other.offsets()
  for k in 0..<x.count {
    let a = try m.list(m.shape.count, x[k])
    let b = try other.list(other.shape.count, y[k])
    defer {
      a.release()
      b.release()
    }
    if !(try valuesEqual(a, b)) { return false }
  }
  return true
}

func installMemoryView() {
  let t = memoryViewType
  t.constructor = Builtin(
    "memoryview", "memoryview(object)", chapter: "types", doc: t.doc,
    examples: [
      ">>> x = bytearray(b'abc')\n>>> view = memoryview(x)\n>>> view[0] = 65\n>>> x\nbytearray(b'Abc')"
    ]
  ) { (a) throws(LullError) in
    try makeView(a[0])
  }
  t.getItem = item
  t.setItem = assignItem
  t.deleteItem = { (v, _) throws(LullError) in
    if try view(v).isReadOnly { throw LullError.typeError("cannot modify read-only memory") }
    throw LullError.typeError("cannot delete memory")
  }
  t.len = { (v) throws(LullError) in
    let m = try view(v)
    guard let n = m.shape.first else { throw LullError.typeError("0-dim memory has no length") }
    return n
  }
  t.compare = { (op, a, b) throws(LullError) in
    switch op {
    case .equal: Value(try equal(a, b))
    case .notEqual: Value(!(try equal(a, b)))
    default: nil
    }
  }
  t.hash = { (v) throws(LullError) in
    let m = try view(v)
    if !m.isReadOnly { throw LullError.valueError("cannot hash writable memoryview object") }
    guard "Bbc".utf8.contains(m.code) else {
      throw LullError.valueError("memoryview: hashing is restricted to formats 'B', 'b' or 'c'")
    }
    let b = makeBytes(try m.gathered())
    defer { b.release() }
    return try hashOf(b)
  }
  t.enter = { (v) throws(LullError) in
    _ = try view(v)
    return v.retained()
  }
  t.exit = { (v, _) throws(LullError) in
    v.native(MemoryView.self)?.release()
    return false
  }
  t.repr = { (v) throws(LullError) in
    let isReleased = v.native(MemoryView.self)?.isReleased ?? true
    return "<\(isReleased ? "released memory" : "memory") at 0x\(String(v.bits, radix: 16))>"
  }
  t.properties = [
    NativeProperty("obj", doc: "The object under it.") { (v) throws(LullError) in
      try view(v).owner.retained()
    },
    NativeProperty("nbytes", doc: "Bytes of all elements.") { (v) throws(LullError) in
      let m = try view(v)
      return Value(m.elementCount * m.itemSize)
    },
    NativeProperty("readonly", doc: "Whether elements cannot be assigned.") {
      (v) throws(LullError) in Value(try view(v).isReadOnly)
    },
    NativeProperty("format", doc: "The format of an element, as in struct.") {
      (v) throws(LullError) in makeStr(try view(v).format)
    },
    NativeProperty("itemsize", doc: "Bytes of an element.") { (v) throws(LullError) in
      Value(try view(v).itemSize)
    },
    NativeProperty("ndim", doc: "The number of axes.") { (v) throws(LullError) in
      Value(try view(v).shape.count)
    },
    NativeProperty("shape", doc: "The sizes.") { (v) throws(LullError) in
      makeTuple(ints: try view(v).shape)
    },
    NativeProperty("strides", doc: "Bytes from one element to the next.") { (v) throws(LullError) in
      makeTuple(ints: try view(v).strides)
    },
    NativeProperty("suboffsets", doc: "Always empty.") { (v) throws(LullError) in
      _ = try view(v)
      return emptyTuple()
    },
    NativeProperty("c_contiguous", doc: "Whether elements lie in row-major order.") {
      (v) throws(LullError) in
      Value(try view(v).isContiguous)
    },
    NativeProperty("f_contiguous", doc: "Whether elements lie in column-major order.") {
      (v) throws(LullError) in
      let m = try view(v)
      return Value(
        m.elementCount == 0
          || m.strides == Array(rowMajor(m.shape.reversed(), m.itemSize).reversed()))
    },
    NativeProperty("contiguous", doc: "Whether elements lie without gaps.") {
      (v) throws(LullError) in
      let m = try view(v)
      return Value(
        m.isContiguous || m.strides == Array(rowMajor(m.shape.reversed(), m.itemSize).reversed()))
    },
  ]
  t.methods = [
    Builtin(
      "tobytes", "tobytes(self, order=None)", chapter: "bytes", doc: "The elements as bytes.",
      examples: [">>> memoryview(b'abcd')[::2].tobytes()\nb'ac'"]
    ) { (a) throws(LullError) in
      makeBytes(try view(a[0]).gathered())
    },
    Builtin(
      "tolist", "tolist(self, /)", chapter: "bytes", doc: "The elements as a list.",
      examples: [">>> memoryview(b'abc').tolist()\n[97, 98, 99]"]
    ) { (a) throws(LullError) in
      let m = try view(a[0])
      return try m.list(0, m.offset)
    },
    Builtin(
      "hex", "hex(self, sep=..., bytes_per_sep=1)", chapter: "bytes",
      doc: "The bytes in hexadecimal.", examples: [">>> memoryview(b'\\x01\\xff').hex()\n'01ff'"]
    ) { (a) throws(LullError) in
      let b = makeBytes(try view(a[0]).gathered())
      defer { b.release() }
      let f = try attribute(b, "hex")
      defer { f.release() }
      return try call(f, a.has(1) ? [a[1], a[2]] : [])
    },
    Builtin(
      "cast", "cast(self, format, shape=None)", chapter: "bytes",
      doc: "The same memory in another format or shape.",
      examples: [">>> memoryview(b'abcd').cast('B', (2, 2)).tolist()\n[[97, 98], [99, 100]]"]
    ) {
      (a) throws(LullError) in
      guard let format = a[1].stringValue else {
        throw LullError.typeError("cast() argument 'format' must be str, not \(typeName(a[1]))")
      }
      return try cast(try view(a[0]), format, a[2])
    },
    Builtin(
      "toreadonly", "toreadonly(self, /)", chapter: "bytes", doc: "A view that cannot be written.",
      examples: [">>> memoryview(bytearray(b'abc')).toreadonly().readonly\nTrue"]
    ) { (a) throws(LullError) in
      let m = MemoryView(like: try view(a[0]))
      m.isReadOnly = true
      return memoryViewType.make(m)
    },
    Builtin(
      "release", "release(self, /)", chapter: "bytes", doc: "Let the object go.",
      examples: [
        ">>> x = bytearray(b'abc')\n>>> view = memoryview(x)\n>>> view.release()\n>>> x.append(100)"
      ]
    ) { (a) throws(LullError) in
      a[0].native(MemoryView.self)?.release()
      return .none
    },
    Builtin("__enter__", "__enter__(self, /)") { (a) throws(LullError) in
      _ = try view(a[0])
      return a[0].retained()
    },
    Builtin("__exit__", "__exit__(self, *args)") { (a) throws(LullError) in
      a[0].native(MemoryView.self)?.release()
      return .none
    },
  ]
  t.register()
  core.pointee.builtins.dict.set("memoryview", t.value.retained())
}
