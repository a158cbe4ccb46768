// Constraints on generated text, for mlx_lm/constrained.lull: the types Constraint and ConstraintMatcher.

import Engine
import Formats
import Language
import Text

private final class ConstraintBox {
  let constraint: Constraint
  init(_ constraint: Constraint) { self.constraint = constraint }
}

private final class MatcherBox {
  let matcher: ConstraintMatcher
  init(_ matcher: ConstraintMatcher) { self.matcher = matcher }
}

private func constraint(_ v: Value) throws(LullError) -> Constraint {
  guard let box = v.native(ConstraintBox.self) else {
    throw LullError.typeError("expected a Constraint, not \(v.typeNameText)")
  }
  return box.constraint
}

private func matcher(_ v: Value) throws(LullError) -> ConstraintMatcher {
  guard let box = v.native(MatcherBox.self) else {
    throw LullError.typeError("expected a ConstraintMatcher, not \(v.typeNameText)")
  }
  return box.matcher
}

private func textBytes(_ v: Value) throws(LullError) -> [UInt8] {
  if let text = v.stringValue { return Array(text.utf8) }
  if let bytes = v.byteArray { return bytes }
  throw LullError.typeError("expected a text or bytes, not \(v.typeNameText)")
}

private func ids(_ v: Value) throws(LullError) -> [Int] {
  if let x = v.ndarray { return try engine { try x.ints() } }
  return try intSequence(v) { _ in LullError.typeError("token ids must be ints") }
}

/// Eight bits as eight bytes of 0 or 1, the lowest first.
private let spread: [UInt64] = (0..<256).map { byte in
  (0..<8).reduce(0) { $0 | UInt64(byte >> $1 & 1) << UInt64(8 * $1) }
}

/// Bits as an array of booleans.
private func booleans(_ bits: [UInt64], count: Int) throws(ArrayError) -> NDArray {
  let array = try NDArray(uninitialized: [count], dtype: .bool)
  let out = UnsafeMutableRawPointer(array.pointer(as: UInt8.self))
  spread.withUnsafeBufferPointer { spread in
    bits.withUnsafeBytes { bytes in
      let whole = count / 8
      for i in 0..<whole {
        out.storeBytes(of: spread[Int(bytes[i])], toByteOffset: 8 * i, as: UInt64.self)
      }
      for i in 8 * whole..<count {
        out.storeBytes(of: bytes[i >> 3] >> UInt8(i & 7) & 1, toByteOffset: i, as: UInt8.self)
      }
    }
  }
  return array
}

let constraintType: NativeType = {
  let type = NativeType(
    "Constraint", module: "lull.formats",
    doc:
      "What a generated text has to be: made by Constraint.regex, Constraint.json_schema or Constraint.grammar. It keeps what it learns about a vocabulary, so use one for many texts.\n\n>>> from lull.formats import Constraint\n>>> Constraint.regex('[0-9]+').matches('2024')\nTrue"
  )
  type.staticMethods = [
    Builtin(
      "regex", "regex(pattern)", chapter: "models",
      doc:
        "Texts that match a regular expression as a whole: characters, [classes], ( ), |, * + ? {m,n}, \\d \\w \\s (of ASCII). Looking around and back references are errors.",
      examples: [
        ">>> date = Constraint.regex(r'\\d{4}-\\d\\d-\\d\\d')\n>>> date.matches('2024-02-29'), date.matches('tomorrow')\n(True, False)"
      ]
    ) { (a) throws(LullError) in
      let pattern = try a.string(0)
      return constraintType.make(ConstraintBox(try textual { try Constraint(regex: pattern) }))
    },
    Builtin(
      "json_schema", "json_schema(schema, whitespace='any')", chapter: "models",
      doc:
        "JSON texts that a schema allows (a dict, a JSON text, or True for any JSON); whitespace='compact' leaves out the blanks between the parts. A keyword that is not supported is an error.",
      examples: [
        ">>> number = Constraint.json_schema({'type': 'integer', 'minimum': 1, 'maximum': 12})\n>>> [text for text in ('0', '7', '12', '13') if number.matches(text)]\n['7', '12']"
      ]
    ) { (a) throws(LullError) in
      let name = try a.string(1)
      guard let whitespace = JSONSchemaCompiler.Whitespace(rawValue: name) else {
        throw LullError.valueError("whitespace must be 'any' or 'compact', got '\(name)'")
      }
      let given = a[0]
      let text = given.stringValue
      let value = text == nil ? try json(given) : .null
      let made = try textual {
        let schema = try text.map { try JSON.parse($0, file: "the JSON schema") } ?? value
        return try Constraint(jsonSchema: schema, whitespace: whitespace)
      }
      return constraintType.make(ConstraintBox(made))
    },
    Builtin(
      "grammar", "grammar(text)", chapter: "models",
      doc:
        "Texts of a grammar in llama.cpp's form: rules `name ::= alternatives` with \"texts\", [classes], names, ( ), | and * + ? {m,n}; the text has to be a `root`.",
      examples: [
        ">>> sums = Constraint.grammar('''\n... root ::= number (\" + \" number)*\n... number ::= [1-9] [0-9]*\n... ''')\n>>> sums.matches('1 + 20 + 3'), sums.matches('1 +'), sums.is_prefix('1 +')\n(True, False, True)"
      ]
    ) { (a) throws(LullError) in
      let text = try a.string(0)
      return constraintType.make(ConstraintBox(try textual { try Constraint(grammar: text) }))
    },
  ]
  type.methods = [
    Builtin(
      "matcher", "matcher(self, tokenizer)", chapter: "models",
      doc: "A ConstraintMatcher, which follows one text in a tokenizer's tokens.",
      examples: [
        ">>> from lull import formats\n>>> tokenizer = formats.load_tokenizer('model')\n>>> Constraint.regex('yes|no').matcher(tokenizer).mask().sum()\narray(2, dtype=int32)"
      ]
    ) { (a) throws(LullError) in
      let c = try constraint(a[0])
      guard let tokenizer = a[1].native(TokenizerBox.self) else {
        throw LullError.typeError("expected a tokenizer, not \(a[1].typeNameText)")
      }
      let vocabulary = try textual { try tokenizer.constraintVocabulary() }
      return matcherType.make(MatcherBox(c.matcher(vocabulary)))
    },
    Builtin(
      "matches", "matches(self, text)", chapter: "models",
      doc: "Whether a whole text satisfies the constraint.",
      examples: [">>> Constraint.regex('a+').matches('aab')\nFalse"]
    ) { (a) throws(LullError) in
      let (c, bytes) = (try constraint(a[0]), try textBytes(a[1]))
      return Value(try textual { try c.matches(bytes) })
    },
    Builtin(
      "is_prefix", "is_prefix(self, text)", chapter: "models",
      doc: "Whether a text is the beginning of one that satisfies the constraint.",
      examples: [">>> Constraint.regex('a+b').is_prefix('aa')\nTrue"]
    ) { (a) throws(LullError) in
      let (c, bytes) = (try constraint(a[0]), try textBytes(a[1]))
      return Value(try textual { try c.isPrefix(bytes) })
    },
  ]
  type.repr = { (v) throws(LullError) in "Constraint(\(try constraint(v).kind.rawValue))" }
  return type
}()

let matcherType: NativeType = {
  let type = NativeType(
    "ConstraintMatcher", module: "lull.formats",
    doc:
      "Follows a text token by token and says which tokens may come next.\n\n>>> from lull.formats import Constraint, load_tokenizer\n>>> tokenizer = load_tokenizer('model')\n>>> matcher = Constraint.regex('hello( hello)*').matcher(tokenizer)\n>>> for token in tokenizer.encode('hello'):\n...     matcher.accept(token)\n>>> matcher.is_complete, matcher.is_finished\n(True, False)"
  )
  type.methods = [
    Builtin(
      "mask", "mask(self, size=None)", chapter: "models",
      doc:
        "Booleans [size], by token id: whether a token may come next. size is the number of the model's logits.",
      examples: [">>> matcher.mask().shape, matcher.mask(400).shape\n((320,), (400,))"]
    ) { (a) throws(LullError) in
      let m = try matcher(a[0])
      let count = a.isNone(1) ? m.vocabulary.idLimit : try a.int(1)
      guard count > 0, count <= 1 << 24 else {
        throw LullError.valueError("size must be a positive number of logits, got \(count)")
      }
      let bits = try textual { try m.mask(count: count) }
      return wrap(try engine { try booleans(bits, count: count) })
    },
    Builtin(
      "accept", "accept(self, token)", chapter: "models",
      doc: "Take the next token; one that may not follow is an error.",
      examples: [
        ">>> try:\n...     matcher.accept(0)\n... except ValueError as error:\n...     print(str(error)[:22])\nthe regular expression"
      ]
    ) { (a) throws(LullError) in
      let (m, token) = (try matcher(a[0]), try ArrayArgs(a).int(1))
      try textual { try m.accept(token) }
      return .none
    },
    Builtin(
      "allows", "allows(self, token)", chapter: "models",
      doc: "Whether a token may come next.",
      examples: [">>> matcher.allows(tokenizer.eos_token_id), matcher.allows(-1)\n(True, False)"]
    ) { (a) throws(LullError) in
      let (m, token) = (try matcher(a[0]), try ArrayArgs(a).int(1))
      return Value(try textual { try m.allows(token) })
    },
    Builtin(
      "follow", "follow(self, tokens, start=0)", chapter: "models",
      doc:
        "Make tokens[start:] the text so far: tokens are taken back and accepted as needed. tokens is a list or an array.",
      examples: [
        ">>> matcher.follow([5, 6, *tokenizer.encode('hello')], start=2)\n>>> len(matcher.tokens)\n3"
      ]
    ) { (a) throws(LullError) in
      let (m, tokens, start) = (try matcher(a[0]), try ids(a[1]), try a.int(2))
      guard start >= 0, start <= tokens.count else {
        throw LullError.valueError("start must be from 0 to \(tokens.count), got \(start)")
      }
      try textual { try m.follow(tokens[start...]) }
      return .none
    },
    Builtin(
      "rollback", "rollback(self, n=1)", chapter: "models", doc: "Take back the last n tokens.",
      examples: [">>> matcher.rollback(3)\n>>> matcher.tokens\n[]"]
    ) { (a) throws(LullError) in
      let (m, n) = (try matcher(a[0]), try a.int(1))
      try textual { try m.rollback(n) }
      return .none
    },
    Builtin(
      "copy", "copy(self)", chapter: "models", doc: "A matcher of its own with the same text.",
      examples: [">>> matcher.copy().tokens == matcher.tokens\nTrue"]
    ) { (a) throws(LullError) in
      matcherType.make(MatcherBox(try matcher(a[0]).copy()))
    },
  ]
  type.properties = [
    NativeProperty("is_complete", doc: "Whether the text may end here.") { (v) throws(LullError) in
      Value(try matcher(v).isComplete)
    },
    NativeProperty("is_finished", doc: "Whether the text is complete and nothing can follow.") {
      (v) throws(LullError) in Value(try matcher(v).isFinished)
    },
    NativeProperty("tokens", doc: "The tokens accepted so far.") { (v) throws(LullError) in
      makeListValue(try matcher(v).tokens.map { Value(Int($0)) })
    },
  ]
  type.repr = { (v) throws(LullError) in
    let m = try matcher(v)
    let state = m.isFinished ? "finished" : m.isComplete ? "complete" : "incomplete"
    return "ConstraintMatcher(\(m.tokens.count) tokens, \(state))"
  }
  return type
}()
