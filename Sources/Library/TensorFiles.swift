// The part of `lull.formats` that writes models: quantised blocks, and files of tensors written one by one.

import Engine
import Formats
import Language

/// The array that holds a value's bytes in the file's form.
private func stored(_ v: Value) throws -> NDArray {
  if let weight = v.native(QuantizedWeight.self), let data = weight.arrays.first { return data }
  return try toArray(v)
}

/// Metadata of a GGUF file: texts, bools, numbers, lists of one kind of these, and arrays for other number types.
private func field(_ key: String, _ v: Value) throws -> GGUFField {
  func wrong(_ found: String) -> LullError {
    LullError.valueError("metadata '\(key)': \(found) cannot be written to a GGUF file")
  }
  if let text = v.stringValue { return .string(text) }
  if let b = v.boolValue { return .number(b ? 1 : 0 as UInt8, .bool) }
  if let i = v.intValue {
    if let small = UInt32(exactly: i) { return .number(small, .uint32) }
    return .number(Int64(i), .int64)
  }
  if v.tag == .float { return .number(Float(v.asDouble).bitPattern, .float32) }
  if let x = v.ndarray {
    guard x.rank <= 1, let type = GGUFValueType(dtypeName: x.dtype.name) else {
      throw wrong("an array of \(x.dtype.name) with \(x.rank) axes")
    }
    try x.eval()
    let flat = try x.rowContiguous()
    let bytes =
      x.size == 0
      ? []
      : Array(
        UnsafeRawBufferPointer(start: flat.pointer, count: flat.byteCount))
    return x.rank == 0 ? .scalar(type, bytes) : .array(type, x.size, bytes)
  }
  guard v.isList || v.isTuple else { throw wrong("a value of type \(v.typeNameText)") }
  let items = Array(v.elements)
  let texts = items.compactMap { $0.stringValue }
  if texts.count == items.count { return .strings(texts) }
  let ints = items.compactMap { $0.intValue }.compactMap { Int32(exactly: $0) }
  var bytes: [UInt8] = []
  if ints.count == items.count {
    for i in ints { withUnsafeBytes(of: i.littleEndian) { bytes += $0 } }
    return .array(.int32, ints.count, bytes)
  }
  for item in items {
    guard item.tag == .float || item.intValue != nil else {
      throw wrong("a list with a value of type \(item.typeNameText)")
    }
    let number = item.tag == .float ? Float(item.asDouble) : Float(item.intValue ?? 0)
    withUnsafeBytes(of: number.bitPattern.littleEndian) { bytes += $0 }
  }
  return .array(.float32, items.count, bytes)
}

private func items(_ dict: Value?) -> [(key: Value, value: Value)] {
  guard let dict else { return [] }
  return dictItems(dict)
}

/// (name, type, shape) as the language gives it.
private func planned(_ v: Value, isGGUF: Bool) throws -> PlannedTensor {
  guard v.isTuple || v.isList, v.elements.count == 3, let name = v.elements[0].stringValue,
    let type = v.elements[1].stringValue
  else { throw LullError.typeError("tensors must be a list of (name, type, shape)") }
  let shape = try intSequence(v.elements[2]) { _ in LullError.typeError("shapes are ints") }
  let element: PlannedTensor.Element
  if isGGUF, let block = GGMLType(name: type) {
    element = .ggml(block)
  } else if let plain = ElementType(rawValue: type) {
    element = .plain(plain)
  } else {
    throw LullError.valueError("tensor '\(name)': there is no type '\(type)'")
  }
  return PlannedTensor(name: name, element: element, shape: shape)
}

private func ggufMetadata(_ given: Value?, source: GGUF?) throws -> [(
  key: String, value: GGUFField
)] {
  var own: [(key: String, value: Value)] = []
  for (key, v) in items(given) {
    guard let name = key.stringValue else { throw LullError.typeError("metadata keys must be str") }
    own.append((name, v))
  }
  let replaced = Set(own.map(\.key))
  var out: [(key: String, value: GGUFField)] = []
  if let source {
    // The tensors written here lie at multiples of 32.
    for key in source.keys where !replaced.contains(key) && key != "general.alignment" {
      if let value = source.field(key) { out.append((key, value)) }
    }
  }
  for (key, v) in own where !v.isNone { out.append((key, try field(key, v))) }
  return out
}

let tensorFileFunctions: [Builtin] = [
  Builtin(
    "quantize_blocks", "quantize_blocks(w, format)", chapter: "quantization",
    doc:
      "A matrix, or a stack of them, in blocks as GGUF files have them: Q4_0, Q5_0, Q8_0 or Q4_K.",
    examples: [
      ">>> import mlx.core as mx\n>>> from lull import formats\n>>> formats.quantize_blocks(mx.ones((2, 256)), 'Q4_K')\nQuantizedWeight(Q4_K, shape=(2, 256))"
    ]
  ) { (a) throws(LullError) in
    let name = try a.string(1)
    guard let type = GGMLType(name: name) else {
      throw LullError.valueError("there is no block format '\(name)'")
    }
    let w = try toArray(a[0])
    return quantizedWeightType.make(
      try engine { try quantizeToBlocks(w, type: Int(type.rawValue)) })
  },
  Builtin(
    "save_tensors", "save_tensors(path, tensors, make, metadata=None, source=None)",
    chapter: "files",
    doc:
      "Write a .safetensors or .gguf file tensor by tensor: tensors lists (name, type, shape), make(name) gives each one's values when its turn comes. The file appears under its name when it is whole. source is a GGUF file whose metadata are taken over; None as a value leaves a field out.",
    examples: [
      ">>> import mlx.core as mx\n>>> from lull import formats\n>>> formats.save_tensors('one.gguf', [('x', 'F16', (2, 32))], lambda name: mx.ones((2, 32), mx.float16))\n>>> formats.load_gguf('one.gguf')[1]['x'].shape\n(2, 32)"
    ]
  ) { (a) throws(LullError) in
    let path = try pathText(a[0])
    let isGGUF = path.hasSuffix(".gguf")
    let metadata = a.isNone(3) ? nil : a[3]
    guard metadata?.isDict ?? true else { throw a.wrong(3, "a dict") }
    try formats {
      guard a[1].isList || a[1].isTuple else { throw a.wrong(1, "a list") }
      let plan = try a[1].elements.map { try planned($0, isGGUF: isGGUF) }
      let writer: TensorFileWriter
      if isGGUF {
        let source = a.isNone(4) ? nil : try GGUF(path: pathText(a[4]))
        writer = try TensorFileWriter(
          gguf: plan, metadata: ggufMetadata(metadata, source: source), to: path)
      } else {
        var texts: [(key: String, value: String)] = []
        for (key, v) in items(metadata) {
          guard let k = key.stringValue, let text = v.stringValue else {
            throw LullError.typeError("metadata must be a dict of str to str")
          }
          texts.append((k, text))
        }
        writer = try TensorFileWriter(safetensors: plan, metadata: texts, to: path)
      }
      for tensor in plan {
        let name = makeStr(tensor.name)
        defer { name.drop() }
        let made = try callValue(a[2], [name])
        defer { made.drop() }
        let array = try stored(made)
        try array.eval()
        let flat = try array.rowContiguous()
        try writer.write(
          tensor.name, UnsafeRawBufferPointer(start: flat.pointer, count: flat.byteCount))
        flat.releasePages()
      }
      try writer.finish()
    }
    return .none
  },
  Builtin(
    "release_pages", "release_pages(x)", chapter: "files",
    doc:
      "Let go of the memory in which a mapped file's array, or quantised weight, lies; it is read again when it is used.",
    examples: [
      ">>> from lull import formats\n>>> tensors = formats.load_safetensors_directory('model')\n>>> formats.release_pages(tensors['model.norm.weight'])"
    ]
  ) { (a) throws(LullError) in
    try formats { try stored(a[0]).releasePages() }
    return .none
  },
]
