// The module `lull.formats`: model files and tokenizers, for the loaders written in the language.

import Engine
import Formats
import Language
import Text

extension LullError {
  convenience init(_ error: TextError) {
    self.init("ValueError", "\(error)")
  }
}

func textual<R>(_ body: () throws -> R) throws(LullError) -> R {
  do { return try body() } catch let error as TextError {
    throw LullError(error)
  } catch let error as FormatError {
    throw LullError(error)
  } catch let error as LullError {
    throw error
  } catch {
    throw LullError("SystemError", "\(error)")
  }
}

// MARK: - Quantised weights

let quantizedWeightType: NativeType = {
  let type = NativeType(
    "QuantizedWeight", module: "lull.formats",
    doc:
      "A matrix of a GGUF file, or a stack of them (experts), kept in the blocks that the file has.\n\n>>> from lull import formats\n>>> metadata, tensors = formats.load_gguf('model.gguf')\n>>> tensors['token_embd.weight']\nQuantizedWeight(Q4_1, shape=(320, 128))"
  )
  func field(_ name: String, _ doc: String, _ get: @escaping (QuantizedWeight) -> Value)
    -> NativeProperty
  {
    NativeProperty(name, doc: doc) { (v) throws(LullError) in
      v.native(QuantizedWeight.self).map(get) ?? .none
    }
  }
  type.properties = [
    field("shape", "(rows, columns), or of a stack (matrices, rows, columns).") {
      makeTuple(ints: shape(of: $0))
    },
    field("format", "The block format, such as 'Q4_1'.") { makeStr($0.formatName) },
    field("nbytes", "Bytes of the stored form.") { Value($0.byteCount) },
    field("size", "The number of values.") { Value($0.rows * $0.columns) },
    field("ndim", "2, or 3 for a stack.") { Value(shape(of: $0).count) },
  ]
  type.getItem = { (me, index) throws(LullError) in
    guard let weight = me.native(QuantizedWeight.self) else { return .none }
    if weight.stack != nil {
      throw LullError.typeError("a stack of matrices has no rows to take: use mx.gather_qmm")
    }
    stampPosition()
    let ids = try toArray(index)
    return wrap(try engine { try quantizedTake(weight, ids) })
  }
  type.len = { (me) throws(LullError) in
    me.native(QuantizedWeight.self).map { shape(of: $0)[0] } ?? 0
  }
  type.repr = { (me) throws(LullError) in
    guard let w = me.native(QuantizedWeight.self) else { return "" }
    let sizes = shape(of: w).map { "\($0)" }.joined(separator: ", ")
    return "QuantizedWeight(\(w.formatName), shape=(\(sizes)))"
  }
  return type
}()

private func shape(of w: QuantizedWeight) -> [Int] {
  w.stack.map { [$0, w.rows / $0, w.columns] } ?? [w.rows, w.columns]
}

// MARK: - GGUF

/// `asArrays`: numbers of the metadata, and matrices of floats, as plain arrays. `isWhole`: long arrays, too.
func loadGGUF(_ path: String, asArrays: Bool = false, isWhole: Bool = false) throws(LullError) -> (
  metadata: Value, tensors: Value
) {
  try formats {
    let file = try GGUF(path: path)
    let metadata = makeDictValue([])
    for key in file.keys {
      guard let field = file[key],
        let v = try asArrays
          ? metadataArray(field, file.types[key]) : metadataValue(field, isWhole: isWhole)
      else { continue }
      let name = makeStr(key)
      defer { name.drop() }
      try setDictItem(metadata, name, v)
    }
    let tensors = makeDictValue([])
    for tensor in file.tensors {
      let parts = try asArrays ? affineParts(tensor) : nil
      for (key, v) in try parts ?? [(tensor.name, tensorValue(tensor, asArrays: asArrays))] {
        let name = makeStr(key)
        defer { name.drop() }
        try setDictItem(tensors, name, v)
      }
    }
    return (metadata, tensors)
  }
}

/// Scalars, strings and short arrays; a vocabulary stays in the file, unless all is wanted.
private func metadataValue(_ value: GGUFValue, isWhole: Bool = false) -> Value? {
  if let b = value.bool { return Value(b) }
  if let s = value.string { return makeStr(s) }
  switch value {
  case .unsigned(let u): return makeInt(u)
  case .signed(let i): return Value(Int(i))
  case .float(let d): return Value(d)
  case .array(let array):
    guard isWhole || array.count <= 4096 else { return nil }
    if let strings = array.strings { return makeListValue(strings.map { makeStr($0) }) }
    if let ints = array.ints { return makeListValue(ints.map { Value($0) }) }
    if let doubles = array.doubles { return makeListValue(doubles.map { Value($0) }) }
    return nil
  default: return nil
  }
}

/// Metadata as mx.load gives it: numbers are arrays.
private func metadataArray(_ value: GGUFValue, _ type: GGUFValueType?) throws -> Value? {
  func numbers(_ type: GGUFValueType, _ shape: Shape, _ all: [GGUFValue]) throws -> Value? {
    guard let dtype = DType(name: "\(type)") else { return nil }
    let scalars = all.compactMap { v -> Scalar? in
      v.int.map { .int($0) } ?? v.bool.map { .bool($0) } ?? v.double.map { .float($0) }
    }
    guard scalars.count == all.count else { return nil }
    return wrap(try NDArray(scalars, shape: shape, dtype: dtype))
  }
  switch value {
  case .array(let array) where array.type != .string && array.type != .array:
    return try numbers(array.type, [array.count], (0..<array.count).compactMap { array[$0] })
  case .string, .array: return metadataValue(value)
  default: return try type.flatMap { try numbers($0, Shape(), [value]) } ?? metadataValue(value)
  }
}

/// Q4_0, Q4_1 and Q8_0 as mx.load gives them: the codes, scales and biases of affine quantisation in groups
/// of 32. Nil for other types.
private func affineParts(_ tensor: GGUFTensor) throws -> [(String, Value)]? {
  // A block: scale (f16), for Q4_1 bias (f16), then 16 bytes of codes (i in the low half, i + 16 in the high
  // one) or 32 signed bytes.
  let (bits, header, zero): (Int, Int, Float)
  switch tensor.type.name {
  case "Q4_0": (bits, header, zero) = (4, 2, 8)
  case "Q4_1": (bits, header, zero) = (4, 4, 0)
  case "Q8_0": (bits, header, zero) = (8, 2, 128)
  default: return nil
  }
  guard let columns = tensor.shape.last, columns % 32 == 0 else {
    throw LullError.valueError(
      "tensor '\(tensor.name)': rows of \(tensor.shape.last ?? 0) values are no whole blocks of 32")
  }
  var shape = try Shape.checked(tensor.shape, op: "load")
  let blocks = try shape.elementCount(op: "load") / 32
  let (blockBytes, codeBytes) = (header + 4 * bits, 4 * bits)
  guard tensor.bytes.count >= blocks * blockBytes else {
    throw LullError.valueError("tensor '\(tensor.name)': its bytes do not fill its shape")
  }
  let axis = shape.count - 1
  shape[axis] = columns * bits / 32
  let weight = try NDArray(uninitialized: shape, dtype: .uint32)
  shape[axis] = columns / 32
  let scales = try NDArray(uninitialized: shape, dtype: .float16)
  let biases = try NDArray(uninitialized: shape, dtype: .float16)
  let (w, s, b) = (
    weight.pointer(as: UInt8.self), scales.pointer(as: UInt16.self),
    biases.pointer(as: UInt16.self)
  )
  for i in 0..<blocks {
    let block = UnsafeRawBufferPointer(
      rebasing: tensor.bytes[i * blockBytes..<(i + 1) * blockBytes])
    let codes = UnsafeRawBufferPointer(rebasing: block[header...])
    s[i] = block.loadUnaligned(as: UInt16.self)
    b[i] =
      header == 4
      ? block.loadUnaligned(fromByteOffset: 2, as: UInt16.self)
      : Float16(-zero * Float(Float16(bitPattern: s[i]))).bitPattern
    let to = w + i * codeBytes
    for k in 0..<codeBytes {
      if bits == 8 {
        to[k] = codes[k] ^ 0x80
      } else {
        let (even, odd) = (codes[2 * k % 16], codes[(2 * k + 1) % 16])
        to[k] = k < 8 ? even & 15 | odd << 4 : even >> 4 | odd & 0xf0
      }
    }
  }
  let suffix = ".weight"
  let stem =
    tensor.name.hasSuffix(suffix) ? String(tensor.name.dropLast(suffix.count)) : tensor.name
  return [
    (tensor.name, wrap(weight)), (stem + ".scales", wrap(scales)), (stem + ".biases", wrap(biases)),
  ]
}

private func tensorValue(_ tensor: GGUFTensor, asArrays: Bool) throws -> Value {
  let isPlain = asArrays && !tensor.type.isQuantized
  if let element = tensor.type.element, tensor.shape.count != 2 || isPlain || !isBlock(tensor.type)
  {
    let type = try dtype(of: element, tensor.name)
    return wrap(try mappedArray(tensor.bytes, tensor.shape, type, tensor.file))
  }
  let isStack = tensor.shape.count == 3 && !asArrays
  guard tensor.shape.count == 2 || isStack else {
    throw FormatError(
      .unsupported, file: tensor.file.path, field: "tensor '\(tensor.name)'",
      found: "\(tensor.type.name) with \(tensor.shape.count) dimensions",
      remedy: "only matrices, and stacks of them, may be quantised")
  }
  let data = try mappedArray(tensor.bytes, [tensor.bytes.count], .uint8, tensor.file)
  return quantizedWeightType.make(
    try QuantizedWeight(
      blockType: Int(tensor.type.rawValue), rows: tensor.shape.dropLast().reduce(1, *),
      columns: tensor.shape[tensor.shape.count - 1], stack: isStack ? tensor.shape[0] : nil,
      data: data))
}

/// Types that products read as they are: quantised blocks, and 16-bit floats.
private func isBlock(_ type: GGMLType) -> Bool {
  type.isQuantized || type.name == "F16" || type.name == "BF16"
}

// MARK: - Tokenizers

final class TokenizerBox {
  let tokenizer: Tokenizer
  private var vocabulary: ConstraintVocabulary?
  init(_ tokenizer: Tokenizer) { self.tokenizer = tokenizer }

  /// Made when the first constraint asks for it.
  func constraintVocabulary() throws -> ConstraintVocabulary {
    if let vocabulary { return vocabulary }
    let made = try ConstraintVocabulary(tokenizer)
    vocabulary = made
    return made
  }
}

final class DetokenizerBox {
  let tokenizer: Tokenizer
  var state: StreamingDetokenizer
  var text = ""
  var segment = ""
  init(_ tokenizer: Tokenizer) {
    self.tokenizer = tokenizer
    state = tokenizer.streamingDetokenizer()
  }
}

private func tokenizer(_ v: Value) throws(LullError) -> Tokenizer {
  guard let box = v.native(TokenizerBox.self) else { throw LullError.typeError("not a tokenizer") }
  return box.tokenizer
}

private func ids(_ v: Value) throws(LullError) -> [Int] {
  if let x = v.ndarray { return try engine { try x.ints() } }
  return try intSequence(v) { _ in LullError.typeError("token ids must be ints") }
}

let tokenizerType: NativeType = {
  let type = NativeType(
    "Tokenizer", module: "lull.formats",
    doc:
      "Text to token ids and back, as a model was trained with.\n\n>>> from lull import formats\n>>> tokenizer = formats.load_tokenizer('model')\n>>> tokenizer\nTokenizer(vocab_size=320)"
  )
  type.methods = [
    Builtin(
      "encode", "encode(self, text, add_special_tokens=True)", chapter: "models",
      doc: "The token ids of a text, as a list.",
      examples: [">>> tokenizer.encode('hello')\n[259, 270, 81]"]
    ) { (a) throws(LullError) in
      let t = try tokenizer(a[0])
      let addSpecial = try a.bool(2)
      return makeListValue(t.encode(try a.string(1), addSpecial: addSpecial).map { Value($0) })
    },
    Builtin(
      "decode", "decode(self, ids, skip_special_tokens=False)", chapter: "models",
      doc: "The text of token ids.",
      examples: [">>> tokenizer.decode([259, 270, 81])\n'hello'"]
    ) { (a) throws(LullError) in
      let t = try tokenizer(a[0])
      let skip = try a.bool(2)
      return makeStr(t.decode(try ids(a[1]), skipSpecial: skip))
    },
    Builtin(
      "apply_chat_template",
      "apply_chat_template(self, messages, tools=None, add_generation_prompt=False, tokenize=True, **variables)",
      chapter: "models",
      doc:
        "Messages ([{'role': ..., 'content': ...}, ...]) as the model's chat template writes them: ids, or text with tokenize=False.",
      examples: [
        ">>> messages = [{'role': 'user', 'content': 'hi'}]\n>>> tokenizer.apply_chat_template(messages, tokenize=False)\n'<|im_start|>user\\nhi<|im_end|>\\n'"
      ]
    ) { (a) throws(LullError) in
      let t = try tokenizer(a[0])
      let messages = try json(a[1])
      let prompt = try a.bool(3)
      var variables = JSONObject()
      if !a.isNone(2) { variables["tools"] = try json(a[2]) }
      for (key, v) in dictItems(a[5]) { variables[key.stringValue ?? ""] = try json(v) }
      let rendered = try textual {
        try t.applyChatTemplate(
          messages: messages, addGenerationPrompt: prompt, variables: variables)
      }
      if try !a.bool(4) { return makeStr(rendered) }
      return makeListValue(t.encode(rendered, addSpecial: false).map { Value($0) })
    },
    Builtin(
      "convert_tokens_to_ids", "convert_tokens_to_ids(self, token)", chapter: "models",
      doc: "The id of a token, or None.",
      examples: [">>> tokenizer.convert_tokens_to_ids('he')\n259"]
    ) { (a) throws(LullError) in
      try tokenizer(a[0]).id(ofToken: a.string(1)).map { Value($0) } ?? .none
    },
    Builtin(
      "convert_ids_to_tokens", "convert_ids_to_tokens(self, id)", chapter: "models",
      doc: "The token of an id, or None.",
      examples: [">>> tokenizer.convert_ids_to_tokens(259)\n'he'"]
    ) { (a) throws(LullError) in
      try tokenizer(a[0]).token(a.int(1)).map { makeStr($0) } ?? .none
    },
  ]
  func field(_ name: String, _ doc: String, _ get: @escaping (Tokenizer) -> Value) -> NativeProperty
  {
    NativeProperty(name, doc: doc) { (v) throws(LullError) in get(try tokenizer(v)) }
  }
  type.properties = [
    field("eos_token_id", "The id that ends a text, or None.") {
      $0.eosId.map { Value($0) } ?? .none
    },
    field("eos_token_ids", "All ids that end a text.") {
      makeListValue($0.eosIds.map { Value($0) })
    },
    field("bos_token_id", "The id that begins a text, or None.") {
      $0.bosId.map { Value($0) } ?? .none
    },
    field("vocab_size", "The number of tokens.") { Value($0.vocabularySize) },
    field("chat_template", "The chat template's source, or None.") {
      $0.chatTemplate.map { makeStr($0) } ?? .none
    },
    field("detokenizer", "A new streaming detokenizer.") {
      detokenizerType.make(DetokenizerBox($0))
    },
  ]
  type.repr = { (v) throws(LullError) in
    let t = try tokenizer(v)
    return "Tokenizer(vocab_size=\(t.vocabularySize))"
  }
  return type
}()

let detokenizerType: NativeType = {
  let type = NativeType(
    "StreamingDetokenizer", module: "lull.formats",
    doc:
      "Turns token ids into text one by one; never shows part of a character.\n\n>>> from lull import formats\n>>> tokenizer = formats.load_tokenizer('model')\n>>> detokenizer = tokenizer.detokenizer\n>>> for id in tokenizer.encode('hello'):\n...     detokenizer.add_token(id)\n...     print(detokenizer.last_segment)\nhe\nll\no"
  )
  func box(_ v: Value) throws(LullError) -> DetokenizerBox {
    guard let box = v.native(DetokenizerBox.self) else {
      throw LullError.typeError("not a detokenizer")
    }
    return box
  }
  type.methods = [
    Builtin(
      "add_token", "add_token(self, token)", chapter: "models", doc: "Take one more token id.",
      examples: [">>> detokenizer.add_token(259)\n>>> detokenizer.text\n'hellohe'"]
    ) {
      (a) throws(LullError) in
      let b = try box(a[0])
      let new = b.state.append(try ArrayArgs(a).int(1))
      b.segment += new
      b.text += new
      return .none
    },
    Builtin(
      "finalize", "finalize(self)", chapter: "models", doc: "Give out what was held back.",
      examples: [">>> detokenizer.finalize()\n>>> detokenizer.text\n'hellohe'"]
    ) {
      (a) throws(LullError) in
      let b = try box(a[0])
      let new = b.state.finish()
      b.segment += new
      b.text += new
      return .none
    },
    Builtin(
      "reset", "reset(self)", chapter: "models", doc: "Begin a new text.",
      examples: [">>> detokenizer.reset()\n>>> detokenizer.text\n''"]
    ) {
      (a) throws(LullError) in
      let b = try box(a[0])
      b.state = b.tokenizer.streamingDetokenizer()
      b.text = ""
      b.segment = ""
      return .none
    },
  ]
  type.properties = [
    NativeProperty("last_segment", doc: "The text since the last look.") { (v) throws(LullError) in
      let b = try box(v)
      defer { b.segment = "" }
      return makeStr(b.segment)
    },
    NativeProperty("text", doc: "All text so far.") { (v) throws(LullError) in
      makeStr(try box(v).text)
    },
  ]
  return type
}()

/// A plain value (None, bools, numbers, strings, lists, dicts) as JSON.
public func json(_ v: Value, _ depth: Int = 0) throws(LullError) -> JSON {
  if depth > 100 { throw LullError.valueError("the value is nested too deeply") }
  if v.isNone { return .null }
  if let b = v.boolValue { return .bool(b) }
  if let i = v.intValue { return .int(i) }
  if v.tag == .float { return .double(v.asDouble) }
  if let s = v.stringValue { return .string(s) }
  if v.isList || v.isTuple {
    var out: [JSON] = []
    for element in v.elements { out.append(try json(element, depth + 1)) }
    return .array(out)
  }
  if v.isDict {
    var object = JSONObject()
    for (key, item) in dictItems(v) {
      guard let name = key.stringValue else { throw LullError.typeError("keys must be str") }
      object[name] = try json(item, depth + 1)
    }
    return .object(object)
  }
  throw LullError.typeError("a value of type \(v.typeNameText) has no JSON form")
}

let formatsFunctions: [Builtin] = [
  Builtin(
    "load_gguf", "load_gguf(path, whole=False)", chapter: "files",
    doc:
      "(metadata, tensors) of a GGUF file; quantised matrices stay as the file has them. Lists of more than 4096 items (vocabularies) are left out of the metadata unless whole is true.",
    examples: [
      ">>> from lull import formats\n>>> metadata, tensors = formats.load_gguf('model.gguf')\n>>> metadata['general.architecture'], tensors['output_norm.weight'].shape\n('llama', (128,))"
    ]
  ) { (a) throws(LullError) in
    let (metadata, tensors) = try loadGGUF(try pathText(a[0]), isWhole: try a.bool(1))
    return makeTupleValue([metadata, tensors])
  },
  Builtin(
    "load_safetensors_directory", "load_safetensors_directory(path)", chapter: "files",
    doc: "All tensors of a model directory: model.safetensors, or the shards of its index.",
    examples: [
      ">>> from lull import formats\n>>> tensors = formats.load_safetensors_directory('model')\n>>> tensors['model.embed_tokens.weight'].shape\n(320, 64)"
    ]
  ) { (a) throws(LullError) in
    let path = try pathText(a[0])
    let model = try formats { try SafetensorsModel(path: path) }
    return try loadArrays(model.tensors)
  },
  Builtin(
    "load_ctranslate2", "load_ctranslate2(path)", chapter: "files",
    doc:
      "(spec, variables) of CTranslate2's model.bin: which kind of model it is, and arrays by name.",
    examples: [
      ">>> from lull import formats\n>>> formats.load_ctranslate2('model.gguf')\nTraceback (most recent call last):\n...\nValueError: model.gguf: binary version: 1179993927; versions 4 to 6 are known; is this CTranslate2's model.bin?"
    ]
  ) { (a) throws(LullError) in
    let path = try pathText(a[0])
    return try formats {
      let model = try CTranslate2(path: path)
      let dict = makeDictValue([])
      for v in model.variables {
        let x = try mappedArray(v.bytes, v.shape, dtype(of: v.type, v.name), v.file)
        // What did not lie aligned was copied, and is not needed twice.
        if (v.bytes.baseAddress.map { Int(bitPattern: $0) } ?? 0) % v.type.byteCount != 0 {
          v.file.advise(.dontNeed, range: v.range)
        }
        let key = makeStr(v.name)
        defer { key.drop() }
        try setDictItem(dict, key, wrap(x))
      }
      for (name, target) in model.aliases {
        let key = makeStr(name)
        defer { key.drop() }
        if let value = dictItem(dict, target) { try setDictItem(dict, key, value.retain()) }
      }
      return makeTupleValue([makeStr(model.spec), dict])
    }
  },
  Builtin(
    "gguf_tokenizer", "gguf_tokenizer(path)", chapter: "models",
    doc: "The tokenizer inside a GGUF file.",
    examples: [
      ">>> from lull import formats\n>>> formats.gguf_tokenizer('model.gguf').encode('hello')\n[259, 270, 81]"
    ]
  ) { (a) throws(LullError) in
    let path = try pathText(a[0])
    return tokenizerType.make(TokenizerBox(try textual { try Tokenizer(gguf: GGUF(path: path)) }))
  },
  Builtin(
    "load_tokenizer", "load_tokenizer(path)", chapter: "models",
    doc: "The tokenizer of a model directory (tokenizer.json).",
    examples: [
      ">>> from lull import formats\n>>> formats.load_tokenizer('model').vocab_size\n320"
    ]
  ) { (a) throws(LullError) in
    let path = try pathText(a[0])
    return tokenizerType.make(TokenizerBox(try textual { try Tokenizer.load(directory: path) }))
  },
]
