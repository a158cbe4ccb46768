// Arrays in files: npy, npz, safetensors and GGUF. Arrays are views of the mapped file, nothing is copied on reading;
// a small npy file is read instead, which is faster, and its array is one like any other.

import Engine
import Formats
import Language

#if canImport(Glibc)
  import Glibc
#endif

extension LullError {
  convenience init(_ error: FormatError) {
    self.init(error.isMissing ? "FileNotFoundError" : "ValueError", "\(error)")
  }
}

extension FormatError {
  var isMissing: Bool { kind == .io && !fileExists(file) }
}

func formats<R>(_ body: () throws -> R) throws(LullError) -> R {
  do { return try body() } catch let error as FormatError {
    throw LullError(error)
  } catch let error as ArrayError {
    throw LullError(error)
  } catch let error as LullError {
    throw error
  } catch {
    throw LullError("OSError", "\(error)")
  }
}

/// An array over bytes of a mapped file, kept alive by the file's mapping.
func mappedArray(
  _ bytes: UnsafeRawBufferPointer, _ shape: [Int], _ dtype: DType, _ file: MappedFile
)
  throws -> NDArray
{
  let shape = try Shape.checked(shape, op: "load")
  let count = try shape.elementCount(op: "load")
  guard let base = bytes.baseAddress, count > 0 else {
    return try NDArray.zeros(shape, dtype: dtype)
  }
  guard bytes.count >= count * dtype.byteCount else {
    throw LullError.valueError("\(file.path): a tensor's bytes do not fill its shape \(shape)")
  }
  if Int(bitPattern: base) % dtype.byteCount != 0 {
    // Kernels may read aligned elements only.
    return try NDArray(
      bytes: UnsafeRawBufferPointer(start: base, count: count * dtype.byteCount), shape: shape,
      dtype: dtype)
  }
  let buffer = Buffer(
    external: UnsafeMutableRawPointer(mutating: base), byteCount: bytes.count, owner: file,
    isMapped: file.isMapped)
  return NDArray(buffer: buffer, shape: shape, dtype: dtype)
}

func dtype(of type: ElementType, _ what: String) throws(LullError) -> DType {
  if let dtype = DType(name: type.rawValue) { return dtype }
  // fp8 scales and codes are bytes to us.
  if type.byteCount == 1 { return .uint8 }
  throw LullError.valueError("\(what): element type \(type.rawValue) is not supported")
}

private func array(_ npy: NpyArray) throws -> NDArray {
  guard let element = npy.type.element, !npy.type.isBigEndian else {
    throw LullError.valueError("\(npy.file.path): element type of the npy array is not supported")
  }
  let type = try dtype(of: element, npy.file.path)
  if type == .complex128, !isNumPyCall {
    throw LullError.valueError("\(npy.file.path): mx arrays cannot have the npy dtype complex128")
      .advising("read the file with numpy.load, or write it as complex64")
  }
  if let missing = npy.missing {
    return NDArray.unreadable(try Shape.checked(npy.shape, op: "load"), type, "\(missing)")
  }
  let dims = npy.isFortranOrder ? npy.shape.reversed() : npy.shape
  let x =
    npy.file.isMapped || npy.bytes.isEmpty
    ? try mappedArray(npy.bytes, dims, type, npy.file)
    : try NDArray.copying(
      npy.bytes, owner: npy.file, shape: try Shape.checked(dims, op: "load"), dtype: type)
  return npy.isFortranOrder ? try transpose(x) : x
}

func pathText(_ v: Value) throws(LullError) -> String {
  if let text = v.stringValue { return text }
  if let method = try attributeOrNil(v, "__fspath__") {
    defer { method.drop() }
    let text = try callValue(method, [])
    defer { text.drop() }
    if let text = text.stringValue { return text }
  }
  throw LullError.typeError("expected a path (str), not \(v.typeNameText)")
}

/// A path for reading: of a path, of an open file (flushed first), or of a temporary copy of what it reads.
private func readingPath(_ v: Value) throws(LullError) -> String {
  if v.stringValue != nil { return try pathText(v) }
  if let method = try attributeOrNil(v, "flush") {
    defer { method.drop() }
    try callValue(method, []).drop()
    if let name = try attributeOrNil(v, "name") {
      defer { name.drop() }
      if let path = name.stringValue, fileExists(path) { return path }
    }
  }
  return try pathText(v)
}

/// Writes to a path (given its extension if it has none of it) or, through a temporary file, into an open one.
private func writing(
  _ v: Value, _ ending: String, _ body: (String) throws(LullError) -> Void
) throws(LullError) {
  guard v.stringValue == nil, let write = try attributeOrNil(v, "write") else {
    let path = try pathText(v)
    return try body(path.hasSuffix(ending) ? path : path + ending)
  }
  defer { write.drop() }
  var template = Array("/tmp/lull-XXXXXX".utf8CString)
  let descriptor = mkstemp(&template)
  guard descriptor >= 0 else { throw LullError("OSError", "cannot make a temporary file in /tmp") }
  close(descriptor)
  let path = String(
    decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  defer { unlink(path) }
  try body(path)
  let bytes = makeBytesValue(try readFile(path))
  defer { bytes.drop() }
  try callValue(write, [bytes]).drop()
  if let flush = try attributeOrNil(v, "flush") {
    defer { flush.drop() }
    try callValue(flush, []).drop()
  }
}

private func source(_ name: String, _ array: NDArray) throws -> (TensorSource, NDArray) {
  try array.eval()
  let flat = try array.rowContiguous()
  guard let type = ElementType(rawValue: array.dtype.name) ?? (array.dtype == .bool ? .bool : nil)
  else { throw LullError.valueError("cannot save \(array.dtype.name)") }
  let bytes = UnsafeRawBufferPointer(start: flat.pointer, count: flat.byteCount)
  return (TensorSource(name: name, type: type, shape: array.shape.array, bytes: bytes), flat)
}

/// `format`: of a file that cannot hold complex128, which is an error, not rounded.
private func namedArrays(_ dict: Value, format: String? = nil) throws(LullError)
  -> [(String, NDArray)]
{
  guard dict.isDict else { throw LullError.typeError("expected a dict of names and arrays") }
  var out: [(String, NDArray)] = []
  for (key, v) in dictItems(dict) {
    guard let name = key.stringValue else { throw LullError.typeError("array names must be str") }
    if let format, v.ndarray?.dtype == .complex128 {
      throw LullError.valueError("array '\(name)': \(format) has no complex128")
        .advising("convert it to complex64 with astype, or save it with numpy.savez")
    }
    out.append((name, try toArray(v)))
  }
  return out
}

private func write(_ arrays: [(String, NDArray)], _ body: ([TensorSource]) throws -> Void) throws {
  try Engine.evaluate(arrays.map(\.1))
  var kept: [NDArray] = []
  var sources: [TensorSource] = []
  for (name, array) in arrays {
    let (tensor, owner) = try source(name, array)
    sources.append(tensor)
    kept.append(owner)
  }
  try body(sources)
  withExtendedLifetime(kept) {}
}

func loadArrays(_ tensors: [SafetensorsTensor]) throws(LullError) -> Value {
  try formats {
    let dict = makeDictValue([])
    for tensor in tensors {
      let x = try mappedArray(
        tensor.bytes, tensor.shape, dtype(of: tensor.type, tensor.name), tensor.file)
      let key = makeStr(tensor.name)
      defer { key.drop() }
      try setDictItem(dict, key, wrap(x))
    }
    return dict
  }
}

public let fileFunctions: [Builtin] = [
  Builtin(
    "load", "load(file, /, format=None, return_metadata=False, *, stream=None)", chapter: "files",
    doc:
      "Arrays of a .npy (one array), .npz or .safetensors file (a dict); but for small files they are views of the mapped file.",
    examples: [
      ">>> mx.save('/tmp/lull-example.npy', mx.array([1, 2]))\n>>> mx.load('/tmp/lull-example.npy')\narray([1, 2], dtype=int32)"
    ]
  ) { (a) throws(LullError) in
    let path = try readingPath(a[0])
    try checkStream(a[3])
    let format =
      a.isNone(1) ? path.split(separator: ".").last.map(String.init) ?? "" : try a.string(1)
    switch format {
    // As in MLX, elements that are missing are an error where they are read.
    case "npy": return wrap(try formats { try array(NpyArray(path: path, needsData: false)) })
    case "npz":
      return try formats {
        let file = try Npz(path: path)
        return makeDictValue(try zip(file.names, file.arrays).map { ($0, wrap(try array($1))) })
      }
    case "safetensors":
      let file = try formats { try Safetensors(path: path) }
      let dict = try loadArrays(file.tensors)
      if try a.bool(2) {
        return makeTupleValue([
          dict, makeDictValue(file.metadata.map { ($0.key, makeStr($0.value)) }),
        ])
      }
      return dict
    case "gguf":
      let file = try loadGGUF(path, asArrays: true)
      if try a.bool(2) { return makeTupleValue([file.tensors, file.metadata]) }
      file.metadata.drop()
      return file.tensors
    default:
      throw LullError.valueError(
        "load: cannot tell the format of '\(path)'; .npy, .npz, .safetensors and .gguf are known")
    }
  },
  Builtin(
    "save", "save(file, arr)", chapter: "files", doc: "Write one array as .npy.",
    examples: [">>> mx.save('/tmp/lull-example.npy', mx.array([1, 2]))"]
  ) { (a) throws(LullError) in
    let x = try toArray(a[1])
    try writing(a[0], ".npy") { (path) throws(LullError) in
      try formats { try write([("arr", x)]) { try writeNpy($0[0], to: path) } }
    }
    return .none
  },
  Builtin(
    "savez_compressed", "savez_compressed(file, *args, **kwargs)", chapter: "files",
    doc: "As savez, compressed.",
    examples: [">>> mx.savez_compressed('/tmp/lull-example.npz', x=mx.array([1, 2]))"]
  ) { (a) throws(LullError) in
    var arrays: [(String, NDArray)] = []
    for (i, v) in a.rest(1).enumerated() { arrays.append(("arr_\(i)", try toArray(v))) }
    arrays += try namedArrays(a[2])
    try writing(a[0], ".npz") { (path) throws(LullError) in
      try formats { try write(arrays) { try writeNpz($0, compressed: true, to: path) } }
    }
    return .none
  },
  Builtin(
    "savez", "savez(file, *args, **kwargs)", chapter: "files",
    doc: "Write several arrays as .npz; positional ones are named arr_0, arr_1, ...",
    examples: [">>> mx.savez('/tmp/lull-example.npz', x=mx.array([1, 2]))"]
  ) { (a) throws(LullError) in
    var arrays: [(String, NDArray)] = []
    for (i, v) in a.rest(1).enumerated() { arrays.append(("arr_\(i)", try toArray(v))) }
    arrays += try namedArrays(a[2])
    try writing(a[0], ".npz") { (path) throws(LullError) in
      try formats { try write(arrays) { try writeNpz($0, to: path) } }
    }
    return .none
  },
  Builtin(
    "save_safetensors", "save_safetensors(file, arrays, metadata=None)", chapter: "files",
    doc: "Write a dict of arrays as .safetensors.",
    examples: [">>> mx.save_safetensors('/tmp/lull-example.safetensors', {'x': mx.array([1, 2])})"]
  ) { (a) throws(LullError) in
    let arrays = try namedArrays(a[1], format: "safetensors")
    var metadata: [(key: String, value: String)] = []
    if !a.isNone(2) {
      for (key, v) in dictItems(a[2]) {
        guard let k = key.stringValue, let text = v.stringValue else {
          throw LullError.typeError("metadata must be a dict of str to str")
        }
        metadata.append((k, text))
      }
    }
    try writing(a[0], ".safetensors") { (path) throws(LullError) in
      try formats { try write(arrays) { try writeSafetensors($0, metadata: metadata, to: path) } }
    }
    return .none
  },
  Builtin(
    "save_gguf", "save_gguf(file, arrays, metadata=None)", chapter: "files",
    doc:
      "Write a dict of arrays as .gguf; metadata are str, lists of str, and arrays with at most one axis.",
    examples: [">>> mx.save_gguf('/tmp/lull-example.gguf', {'x': mx.array([1, 2])})"]
  ) { (a) throws(LullError) in
    let arrays = try namedArrays(a[1], format: "GGUF")
    var metadata: [(key: String, value: GGUFField)] = []
    if !a.isNone(2) {
      guard a[2].isDict else { throw a.wrong(2, "a dict") }
      for (key, v) in dictItems(a[2]) {
        guard let k = key.stringValue else {
          throw LullError.typeError("metadata keys must be str")
        }
        metadata.append((k, try ggufField(k, v)))
      }
    }
    try writing(a[0], ".gguf") { (path) throws(LullError) in
      try formats { try write(arrays) { try writeGGUF($0, metadata: metadata, to: path) } }
    }
    return .none
  },
]

private func ggufField(_ key: String, _ v: Value) throws(LullError) -> GGUFField {
  if let text = v.stringValue { return .string(text) }
  if v.isList {
    var out: [String] = []
    for item in v.elements {
      guard let text = item.stringValue else {
        throw LullError.valueError("metadata '\(key)': a list must hold str only")
      }
      out.append(text)
    }
    return .strings(out)
  }
  guard let x = v.ndarray, x.rank <= 1 else {
    throw LullError.valueError(
      "metadata '\(key)' must be a str, a list of str, or an array with at most one axis")
  }
  guard let type = GGUFValueType(dtypeName: x.dtype.name), x.dtype != .bool else {
    throw LullError.valueError("metadata '\(key)': \(x.dtype.name) is not supported")
  }
  return try engine {
    try x.eval()
    let flat = try x.rowContiguous()
    let bytes = Array(
      UnsafeRawBufferPointer(start: flat.pointer, count: x.size == 0 ? 0 : flat.byteCount))
    return x.rank == 0 ? .scalar(type, bytes) : .array(type, x.size, bytes)
  }
}
