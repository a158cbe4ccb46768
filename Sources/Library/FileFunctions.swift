// Arrays in files: npy, npz, safetensors and GGUF. Nothing is copied on reading: arrays are views of the
// mapped file.

import Engine
import Formats
import Language

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
    external: UnsafeMutableRawPointer(mutating: base), byteCount: bytes.count, owner: file)
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
  if npy.isFortranOrder {
    let reversed = try mappedArray(npy.bytes, Array(npy.shape.reversed()), type, npy.file)
    return try transpose(reversed)
  }
  return try mappedArray(npy.bytes, npy.shape, type, npy.file)
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

private func source(_ name: String, _ array: NDArray) throws -> (TensorSource, NDArray) {
  try array.eval()
  let flat = try array.rowContiguous()
  guard let type = ElementType(rawValue: array.dtype.name) ?? (array.dtype == .bool ? .bool : nil)
  else { throw LullError.valueError("cannot save \(array.dtype.name)") }
  let bytes = UnsafeRawBufferPointer(start: flat.pointer, count: flat.byteCount)
  return (TensorSource(name: name, type: type, shape: array.shape.array, bytes: bytes), flat)
}

private func namedArrays(_ dict: Value) throws(LullError) -> [(String, NDArray)] {
  guard dict.isDict else { throw LullError.typeError("expected a dict of names and arrays") }
  var out: [(String, NDArray)] = []
  for (key, v) in dictItems(dict) {
    guard let name = key.stringValue else { throw LullError.typeError("array names must be str") }
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
      "Arrays of a .npy (one array), .npz or .safetensors file (a dict); they are views of the mapped file.",
    examples: [
      ">>> mx.save('/tmp/lull-example.npy', mx.array([1, 2]))\n>>> mx.load('/tmp/lull-example.npy')\narray([1, 2], dtype=int32)"
    ]
  ) { (a) throws(LullError) in
    let path = try pathText(a[0])
    let format =
      a.isNone(1) ? path.split(separator: ".").last.map(String.init) ?? "" : try a.string(1)
    switch format {
    case "npy": return wrap(try formats { try array(NpyArray(path: path)) })
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
    case "gguf": return try loadGGUF(path).tensors
    default:
      throw LullError.valueError(
        "load: cannot tell the format of '\(path)'; .npy, .npz, .safetensors and .gguf are known")
    }
  },
  Builtin(
    "save", "save(file, arr)", chapter: "files", doc: "Write one array as .npy.",
    examples: [">>> mx.save('/tmp/lull-example.npy', mx.array([1, 2]))"]
  ) { (a) throws(LullError) in
    var path = try pathText(a[0])
    if !path.hasSuffix(".npy") { path += ".npy" }
    let x = try toArray(a[1])
    try formats { try write([("arr", x)]) { try writeNpy($0[0], to: path) } }
    return .none
  },
  Builtin(
    "savez", "savez(file, *args, **kwargs)", chapter: "files",
    doc: "Write several arrays as .npz; positional ones are named arr_0, arr_1, ...",
    examples: [">>> mx.savez('/tmp/lull-example.npz', x=mx.array([1, 2]))"]
  ) { (a) throws(LullError) in
    var path = try pathText(a[0])
    if !path.hasSuffix(".npz") { path += ".npz" }
    var arrays: [(String, NDArray)] = []
    for (i, v) in a.rest(1).enumerated() { arrays.append(("arr_\(i)", try toArray(v))) }
    arrays += try namedArrays(a[2])
    try formats { try write(arrays) { try writeNpz($0, to: path) } }
    return .none
  },
  Builtin(
    "save_safetensors", "save_safetensors(file, arrays, metadata=None)", chapter: "files",
    doc: "Write a dict of arrays as .safetensors.",
    examples: [">>> mx.save_safetensors('/tmp/lull-example.safetensors', {'x': mx.array([1, 2])})"]
  ) { (a) throws(LullError) in
    var path = try pathText(a[0])
    if !path.hasSuffix(".safetensors") { path += ".safetensors" }
    let arrays = try namedArrays(a[1])
    var metadata: [(key: String, value: String)] = []
    if !a.isNone(2) {
      for (key, v) in dictItems(a[2]) {
        guard let k = key.stringValue, let text = v.stringValue else {
          throw LullError.typeError("metadata must be a dict of str to str")
        }
        metadata.append((k, text))
      }
    }
    try formats { try write(arrays) { try writeSafetensors($0, metadata: metadata, to: path) } }
    return .none
  },
]
