// Constructors and methods of the builtin types other than str and bytes.
import BigInt
import Glibc

private func define(_ type: String, _ methods: [Builtin]) {
  guard let t = builtinTypes[type] ?? exceptionTypes[type] else { return }
  let kinds: [Tag] =
    type == "int" ? [.int, .bool, .bigInt] : type == "object" ? [] : [t.pointee.kind]
  for m in methods {
    m.setOwner(type, kinds)
    t.pointee.dict.dict.set(m.name, makeBuiltin(m))
  }
  BuiltinRegistry.add(methods)
  t.changed()
}
/// A record for a static or class method, known to help and the tests as others are.
func registered(_ b: Builtin) -> Value {
  BuiltinRegistry.add([b])
  return makeBuiltin(b)
}
private func constructor(
  _ type: String, _ signature: String, doc: String, examples: [String],
  _ run: @escaping (Args) throws(LullError) -> Value
) {
  let b = Builtin(type, signature, chapter: "types", doc: doc, examples: examples, run: run)
  builtinTypes[type]?.pointee.constructor = b
  builtinTypes[type]?.pointee.doc = doc
  BuiltinRegistry.add([b])
}

/// A sign and up to 18 ASCII digits with spaces around; nil for anything else.
private func plainDecimal(_ text: String) -> Int? {
  var text = text
  return text.withUTF8 { plainDecimal($0) }
}
private func plainDecimal(_ text: UnsafeBufferPointer<UInt8>) -> Int? {
  var value = 0
  var digits = 0
  // Before the sign, after it, in the digits, behind them.
  var state = 0
  var isNegative = false
  for b in text {
    if b >= 48, b <= 57 {
      if state == 3 { return nil }
      state = 2
      value = value &* 10 &+ Int(b &- 48)
      digits += 1
      if digits > 18 { return nil }
    } else if b == 32 || b == 10 {
      if state == 1 { return nil }
      if state == 2 { state = 3 }
    } else if b == 43 || b == 45, state == 0 {
      isNegative = b == 45
      state = 1
    } else {
      return nil
    }
  }
  return digits == 0 ? nil : isNegative ? -value : value
}
/// ASCII digits as a number. BigInt knows bases below 36: a digit of base 36 is two of base 6.
private func bigInt(_ digits: String, radix: Int) -> BigInt? {
  if radix == 10 { return bigDecimal(digits) }
  if radix < 36 { return BigInt(digits, radix: radix) }
  var pairs = ""
  for c in digits {
    guard let d = Int(String(c), radix: 36) else { return nil }
    pairs += String(d / 6) + String(d % 6)
  }
  return BigInt(pairs, radix: 6)
}
/// The text with the decimal digits of every script as ASCII digits.
private func asciiDigits(_ text: String) -> String {
  if text.utf8.allSatisfy({ $0 < 128 }) { return text }
  var out = String.UnicodeScalarView()
  for u in text.unicodeScalars {
    if u.value > 127, u.properties.numericType == .decimal, let n = u.properties.numericValue,
      let digit = UnicodeScalar(48 + UInt32(n))
    {
      out.append(digit)
    } else {
      out.append(u)
    }
  }
  return String(out)
}
/// `shown`: how messages write the text; nil: as a str.
func parseInt(_ text: String, _ radix: Int, shown: String? = nil) throws(LullError) -> Value {
  func bad() -> LullError {
    let whole = shown ?? quoted(makeStr(text).str)
    let cut = whole.utf8.count <= 200 ? whole : String(whole.prefix(200))
    return .valueError("invalid literal for int() with base \(radix): \(cut)")
  }
  if radix == 10 {
    if let i = plainDecimal(text) { return Value(i) }
    if text.utf8.count <= 4300, let b = bigDecimal(text) { return makeBig(b) }
    // Whatever is neither a digit nor may stand around digits is seen at once.
    for b in text.utf8.prefix(100) where b > 57 && b != 95 && b < 128 || b > 45 && b < 48 {
      throw bad()
    }
  }
  let plain = asciiDigits(text)
  var s = Substring(plain)
  while let c = s.first, c.isWhitespace { s = s.dropFirst() }
  while let c = s.last, c.isWhitespace { s = s.dropLast() }
  var negative = false
  if let c = s.first, c == "-" || c == "+" {
    negative = c == "-"
    s = s.dropFirst()
  }
  var base = radix
  let lower = s.prefix(2).lowercased()
  if lower == "0x", base == 16 || base == 0 {
    base = 16
    s = s.dropFirst(2)
  } else if lower == "0b", base == 2 || base == 0 {
    base = 2
    s = s.dropFirst(2)
  } else if lower == "0o", base == 8 || base == 0 {
    base = 8
    s = s.dropFirst(2)
  } else if base == 0 {
    base = 10
  }
  if radix == 0, base == 10, s.first == "0", s.contains(where: { $0 != "0" && $0 != "_" }) {
    throw bad()
  }
  if s.isEmpty || s.first == "_" && base == 10 || s.last == "_" || s.contains("__") { throw bad() }
  let digits = String(s.filter { $0 != "_" })
  if digits.isEmpty || digits.first == "-" || digits.first == "+" { throw bad() }
  if let i = Int(digits, radix: base) { return Value(negative ? -i : i) }
  if digits.utf8.count > 4300, base & (base - 1) != 0 {
    throw LullError.valueError(
      "Exceeds the limit (4300 digits) for integer string conversion: value has "
        + "\(digits.utf8.count) digits; use sys.set_int_max_str_digits() to increase the limit")
  }
  guard digits.allSatisfy({ $0.isASCII }), let b = bigInt(digits, radix: base) else { throw bad() }
  return makeBig(negative ? -b : b)
}
/// A nan that is identical to no other one, as each `float('nan')` of CPython is an object of its own: floats lie inside
/// their values, so low bits that nothing else uses tell them apart. `plainNaN` takes them out of what is written.
@exclusivity(unchecked) nonisolated(unsafe) private var nanCount: UInt64 = 0
private func freshNaN() -> Double {
  nanCount = nanCount % 0xFFF_FFFF + 1
  return Double(bitPattern: Double.nan.bitPattern | nanCount)
}
func plainNaN(_ d: Double) -> Double {
  d.isNaN && d.bitPattern & 0x7FFF_FFFF_F000_0000 == 0x7FF8_0000_0000_0000 ? .nan : d
}
/// `shown`: how messages write the text; nil: as a str.
func parseFloat(_ text: String, shown: String? = nil) throws(LullError) -> Double {
  let u = text.utf8
  if let a = u.first, let z = u.last, a == 45 || (a >= 48 && a <= 57), z >= 48, z <= 57,
    u.allSatisfy({ ($0 >= 48 && $0 <= 57) || $0 == 46 }), let d = Double(text)
  {
    return d
  }
  let digits = asciiDigits(text)
  var s = Substring(digits)
  while let c = s.first, c.isWhitespace { s = s.dropFirst() }
  while let c = s.last, c.isWhitespace { s = s.dropLast() }
  let plain = hasPlainUnderscores(String(s)) ? String(s.filter { $0 != "_" }) : "_"
  let lower = plain.lowercased()
  switch lower {
  case "inf", "+inf", "infinity", "+infinity": return .infinity
  case "-inf", "-infinity": return -.infinity
  case "nan", "+nan", "-nan": return freshNaN()
  default: break
  }
  // A point or an exponent alone would be read as the zeros that are put around it.
  let mantissa = lower.prefix { $0 != "e" }
  if mantissa.contains(where: \.isNumber), lower.allSatisfy({ $0.isNumber || "+-.e".contains($0) }),
    let d = Double(plain.hasSuffix(".") ? plain + "0" : plain.replacingDotE())
  {
    return d
  }
  throw LullError.valueError(
    "could not convert string to float: \(shown ?? quoted(makeStr(text).str))")
}
extension String {
  /// "1.e5" and ".5" in a form that Swift reads.
  fileprivate func replacingDotE() -> String {
    var out = ""
    var previous: Character = " "
    for c in self {
      if c == "e" || c == "E", previous == "." { out += "0" }
      if c == ".", !previous.isNumber { out += "0" }
      out.append(c)
      previous = c
    }
    return out
  }
}

/// Real and imaginary part of a number or of what `__float__` and `__index__` give.
private func complexOf(_ v: Value) throws(LullError) -> (Double, Double)? {
  if v.kind == .complex { return complexParts(v) }
  do throws(LullError) { return (try doubleOf(v), 0) } catch {
    if error.kind == "TypeError" { return nil }
    throw error
  }
}

/// Whether each underscore stands between two digits.
private func hasPlainUnderscores(_ text: String) -> Bool {
  let c = Array(text.unicodeScalars)
  func isDigit(_ i: Int) -> Bool { c.indices.contains(i) && c[i].value >= 48 && c[i].value <= 57 }
  return c.indices.allSatisfy { c[$0] != "_" || isDigit($0 - 1) && isDigit($0 + 1) }
}

/// "1+2j", "(3j)", "-inf", " 1e5-2.5j ": nil when malformed.
private func parseComplex(_ text: String) -> (Double, Double)? {
  var s = Array(text.unicodeScalars.map { $0.properties.isWhitespace ? " " : Character($0) })
  func trim() {
    while s.first == " " { s.removeFirst() }
    while s.last == " " { s.removeLast() }
  }
  trim()
  if s.first == "(", s.last == ")", s.count >= 2 {
    s = Array(s.dropFirst().dropLast())
    trim()
  }
  if s.contains("_") { s = s.filter { $0 != "_" } }
  if s.isEmpty || s.contains(" ") { return nil }
  func number(_ x: ArraySlice<Character>) -> Double? {
    if x.isEmpty { return nil }
    do throws(LullError) { return try parseFloat(String(x)) } catch { return nil }
  }
  guard s.last == "j" || s.last == "J" else { return number(s[...]).map { ($0, 0) } }
  let body = s.dropLast()
  // The sign that begins the imaginary part: the last one that follows no exponent letter.
  var split = 0
  for (i, c) in body.enumerated() where i > 0 && (c == "+" || c == "-") {
    let before = body[i - 1]
    if before != "e" && before != "E" { split = i }
  }
  let imaginary = body[split...]
  let y: Double?
  if imaginary == ["+"] || imaginary.isEmpty {
    y = 1
  } else if imaginary == ["-"] {
    y = -1
  } else {
    y = number(imaginary)
  }
  guard let y else { return nil }
  if split == 0 { return (0, y) }
  guard let x = number(body[..<split]) else { return nil }
  return (x, y)
}

func installTypes() {
  installStrings()
  constructor(
    "object", "object(*args, **kwargs)", doc: "The base of all classes.",
    examples: [">>> isinstance(3, object)\nTrue"]
  ) { (a) throws(LullError) in
    if a.rest(0).count > 0 || a[1].dict.pointee.count > 0 {
      throw LullError.typeError("object() takes no arguments")
    }
    return makeInstance(core.pointee.object)
  }
  constructor(
    "int", "int(x=..., /, base=...)", doc: "An integer from a number or text.",
    examples: [">>> int('42') + int(3.9)\n45\n>>> int('ff', base=16)\n255"]
  ) {
    (a) throws(LullError) in
    let v = a[0]
    if a.has(1) {
      if v.isUndefined { throw LullError.typeError("int() missing string argument") }
      let number = try indexValue(a[1])
      defer { number.release() }
      guard number.tag == .int, case let base = number.asInt, base == 0 || base >= 2 && base <= 36
      else {
        throw LullError.valueError("int() base must be >= 2 and <= 36, or 0")
      }
      guard v.kind == .str || v.kind == .bytes else {
        throw LullError.typeError("int() can't convert non-string with explicit base")
      }
      return try parseInt(
        v.kind == .str ? v.string : String(decoding: v.bytes, as: UTF8.self), base,
        shown: v.kind == .str ? nil : quotedBytes(v.bytes))
    }
    if v.isUndefined { return Value(0) }
    switch v.kind {
    case .int, .bool: return Value(v.asInt)
    case .bigInt: return makeBig(v.bigInt)
    case .float: return try truncate(try doubleOf(v))
    case .str:
      if let i = plainDecimal(v.str.buffer) { return Value(i) }
      return try parseInt(v.string, 10)
    case .bytes:
      return try parseInt(String(decoding: v.bytes, as: UTF8.self), 10, shown: quotedBytes(v.bytes))
    default:
      for name in [Name.__int__, .__index__, .__trunc__] {
        let f = v.type.lookup(name)
        if f.isUndefined { continue }
        let r = try callMethod(f, v)
        if r.isInteger || name == .__trunc__ { return r }
        let n = typeName(r)
        r.release()
        throw LullError.typeError("\(name) returned non-int (type \(n))")
      }
      if v.kind == .native, let slot = v.type.pointee.native?.int { return try slot(v) }
      if let b = v.bytesLike {
        return try parseInt(String(decoding: b, as: UTF8.self), 10, shown: quotedBytes(b))
      }
      throw LullError.typeError(
        "int() argument must be a string, a bytes-like object or a real number, not '\(typeName(v))'"
      )
    }
  }
  constructor(
    "float", "float(x=0.0, /)", doc: "A float from a number or text.",
    examples: [">>> float('1.5e3')\n1500.0"]
  ) {
    (a) throws(LullError) in
    let v = a[0]
    if v.kind == .str { return Value(try parseFloat(v.string)) }
    if let b = v.bytesLike {
      return Value(try parseFloat(String(decoding: b, as: UTF8.self), shown: try repr(v)))
    }
    do throws(LullError) { return Value(try doubleOf(v)) } catch {
      if error.kind == "TypeError", error.message.hasPrefix("must be real") {
        throw LullError.typeError(
          "float() argument must be a string or a real number, not '\(typeName(v))'")
      }
      throw error
    }
  }
  constructor(
    "bool", "bool(x=False, /)", doc: "The truth of a value.",
    examples: [">>> bool([]), bool([0])\n(False, True)"]
  ) { (a) throws(LullError) in
    Value(try truth(a[0]))
  }
  constructor(
    "complex", "complex(real=0, imag=...)", doc: "A complex number.",
    examples: [">>> complex(3, 4) * 1j\n(-4+3j)"]
  ) {
    (a) throws(LullError) in
    if a[0].kind == .str {
      if a.has(1) {
        throw LullError.typeError("complex() can't take second arg if first is a string")
      }
      let text = a[0].string
      // As CPython reads it: up to the first character that no number has.
      let known = text.unicodeScalars.prefix {
        $0.isASCII || $0.properties.numericType == .decimal || $0.properties.isWhitespace
      }
      if known.contains("_"), !hasPlainUnderscores(String(known)) {
        throw LullError.valueError("could not convert string to complex: \(quoted(a[0].str))")
      }
      guard let (x, y) = parseComplex(text) else {
        throw LullError.valueError("complex() arg is a malformed string")
      }
      return makeComplex(x, y)
    }
    if a.has(1), a[1].kind == .str {
      throw LullError.typeError("complex() second arg can't be a string")
    }
    let f = a[0].type.lookup(.__complex__)
    var first = a[0].retained()
    defer { first.release() }
    if !f.isUndefined {
      let r = try callMethod(f, first)
      first.release()
      first = r
    }
    guard let x = try complexOf(first) else {
      if isCustom(first), !first.type.lookup(.__float__).isUndefined { _ = try doubleOf(first) }
      throw LullError.typeError(
        "complex() first argument must be a string or a number, not '\(typeName(a[0]))'")
    }
    if !a.has(1) { return makeComplex(x.0, x.1) }
    guard let y = try complexOf(a[1]) else {
      throw LullError.typeError(
        "complex() second argument must be a number, not '\(typeName(a[1]))'")
    }
    // As CPython: parts that are not there do not touch the signs of zeros.
    let re = a[1].kind == .complex ? x.0 - y.1 : x.0
    return makeComplex(re, first.kind == .complex ? x.1 + y.0 : y.0)
  }
  constructor(
    "list", "list(iterable=(), /)", doc: "A list of the elements.",
    examples: [">>> list('abc')\n['a', 'b', 'c']"]
  ) {
    (a) throws(LullError) in
    let l = makeList()
    do throws(LullError) { try extendList(l.list, a[0]) } catch {
      l.release()
      throw error
    }
    return l
  }
  constructor(
    "tuple", "tuple(iterable=(), /)", doc: "A tuple of the elements.",
    examples: [">>> tuple([1, 2])\n(1, 2)"]
  ) {
    (a) throws(LullError) in
    if a[0].tag == .tuple { return a[0].retained() }
    if a[0].tag == .list, a[0].list.pointee.count > 0 {
      let l = a[0].list
      let t = makeTuple(uninitialized: l.pointee.count)
      for i in 0..<l.pointee.count { t.tuple.items[i] = l.pointee.items[i].retained() }
      return t
    }
    let items = try collect(a[0])
    return items.isEmpty ? emptyTuple() : makeTuple(items)
  }
  constructor(
    "dict", "dict(mapping=..., /, **kwargs)", doc: "A dict from a mapping, pairs or keywords.",
    examples: [">>> dict([('a', 1)], b=2)\n{'a': 1, 'b': 2}"]
  ) {
    (a) throws(LullError) in
    let d = makeDict()
    do throws(LullError) {
      if a.has(0) {
        try updateDict(d.dict, a[0], mappingOnly: false)
      }
      try d.dict.merge(a[1].dict)
    } catch {
      d.release()
      throw error
    }
    return d
  }
  constructor(
    "set", "set(iterable=(), /)", doc: "A set of the elements.",
    examples: [">>> sorted(set('banana'))\n['a', 'b', 'n']"]
  ) { (a) throws(LullError) in
    try setFrom(a[0], frozen: false)
  }
  constructor(
    "frozenset", "frozenset(iterable=(), /)", doc: "An immutable set.",
    examples: [">>> frozenset([1, 1]) == {1}\nTrue"]
  ) {
    (a) throws(LullError) in
    if a[0].tag == .set, a[0].set.isFrozen { return a[0].retained() }
    return try setFrom(a[0], frozen: true)
  }
  constructor(
    "range", "range(start, stop=..., step=..., /)", doc: "An arithmetic progression of ints.",
    examples: [">>> list(range(5)), list(range(10, 0, -3))\n([0, 1, 2, 3, 4], [10, 7, 4, 1])"]
  ) {
    (a) throws(LullError) in
    a.has(1)
      ? try makeRange(a[0], a[1], a.has(2) ? a[2] : Value(1))
      : try makeRange(Value(0), a[0], Value(1))
  }
  constructor(
    "slice", "slice(start, stop=..., step=None, /)", doc: "A slice object.",
    examples: [">>> 'abcdef'[slice(1, None, 2)]\n'bdf'"]
  ) {
    (a) throws(LullError) in
    if !a.has(1) { return makeSlice(.none, a[0].retained(), .none) }
    return makeSlice(a[0].retained(), a[1].retained(), a[2].retained())
  }
  constructor(
    "type", "type(object, bases=..., dict=..., /, **keywords)",
    doc: "The class of a value, or a new class.", examples: [">>> type(3)\n<class 'int'>"]
  ) {
    (a) throws(LullError) in
    if a.has(1), a.has(2) { return try makeClass(a[0], a[1], a[2], a[3]) }
    if a.has(1) || a[3].asDict.map({ $0.pointee.count > 0 }) ?? false {
      throw LullError.typeError("type() takes 1 or 3 arguments")
    }
    return Value(a[0].type).retained()
  }
  constructor(
    "property", "property(fget=None, fset=None, fdel=None, doc=None)", doc: "A computed attribute.",
    examples: [
      ">>> class Circle:\n...     def __init__(self, r):\n...         self.r = r\n...     @property\n...     def area(self):\n...         return 3 * self.r ** 2\n>>> Circle(2).area\n12"
    ]
  ) {
    (a) throws(LullError) in
    makeWrapper(.property, a[0].retained(), a[1].retained(), a[2].retained(), doc: a[3].retained())
  }
  constructor(
    "staticmethod", "staticmethod(function, /)", doc: "A function in a class without self.",
    examples: [
      ">>> class Text:\n...     @staticmethod\n...     def twice(s):\n...         return s + s\n>>> Text.twice('ab')\n'abab'"
    ]
  ) {
    (a) throws(LullError) in makeWrapper(.staticMethod, a[0].retained())
  }
  constructor(
    "classmethod", "classmethod(function, /)", doc: "A method of the class.",
    examples: [
      ">>> class Point:\n...     def __init__(self, x):\n...         self.x = x\n...     @classmethod\n...     def origin(cls):\n...         return cls(0)\n>>> Point.origin().x\n0"
    ]
  ) {
    (a) throws(LullError) in makeWrapper(.classMethod, a[0].retained())
  }
  constructor(
    "super", "super(type=..., object=..., /)", doc: "The methods of the base class.",
    examples: [
      ">>> class Base:\n...     def hello(self):\n...         return 'hello'\n>>> class Loud(Base):\n...     def hello(self):\n...         return super().hello().upper()\n>>> Loud().hello()\n'HELLO'"
    ]
  ) {
    (a) throws(LullError) in
    if !a.has(1), a.has(0), a[0].tag != .type {
      throw LullError.typeError("super() argument 1 must be a type, not \(typeName(a[0]))")
    }
    if !a.has(1) { throw LullError.runtime("super(): no arguments") }
    return try makeSuper(a[0], a[1])
  }
  define("object", [])
  define(
    "property",
    [
      Builtin(
        "setter", "setter(self, function, /)", doc: "The property with this function to set it.",
        examples: [
          ">>> class Box:\n...     size = property(lambda self: self._size)\n...     @size.setter\n...     def size(self, value):\n...         self._size = abs(value)\n>>> box = Box()\n>>> box.size = -3\n>>> box.size\n3"
        ]
      ) { (a) throws(LullError) in
        let w = a[0].wrapper.pointee
        return makeWrapper(.property, w.a.retained(), a[1].retained(), w.c.retained())
      },
      Builtin(
        "getter", "getter(self, function, /)", doc: "The property with this function to read it.",
        examples: [
          ">>> class Box:\n...     size = property(lambda self: 1)\n...     size = size.getter(lambda self: 2)\n>>> Box().size\n2"
        ]
      ) { (a) throws(LullError) in
        let w = a[0].wrapper.pointee
        return makeWrapper(.property, a[1].retained(), w.b.retained(), w.c.retained())
      },
      Builtin(
        "deleter", "deleter(self, function, /)",
        doc: "The property with this function to delete it.",
        examples: [
          ">>> class Box:\n...     size = property(lambda self: self.n)\n...     @size.deleter\n...     def size(self):\n...         self.n = 0\n>>> box = Box()\n>>> del box.size\n>>> box.size\n0"
        ]
      ) { (a) throws(LullError) in
        let w = a[0].wrapper.pointee
        return makeWrapper(.property, w.a.retained(), w.b.retained(), a[1].retained())
      },
    ])
  define(
    "generator",
    [
      Builtin(
        "send", "send(self, value, /)", doc: "Goes on with a value that the waiting yield gives.",
        examples: [
          ">>> def echo():\n...     while True:\n...         x = yield\n...         print('got', x)\n>>> g = echo()\n>>> next(g)\n>>> g.send(5)\ngot 5"
        ]
      ) { (a) throws(LullError) in
        let g = a[0].body(GeneratorBody.self)
        let v = try resumeGenerator(g, a[1])
        if v.isUndefined { throw stopIteration(g.pointee.returned) }
        return v
      },
      Builtin(
        "throw", "throw(self, type, value=None, tb=None, /)",
        doc: "Goes on with an exception at the waiting yield.",
        examples: [
          ">>> def careful():\n...     try:\n...         yield 1\n...     except ValueError:\n...         yield 'caught'\n>>> g = careful()\n>>> next(g)\n1\n>>> g.throw(ValueError('x'))\n'caught'"
        ]
      ) { (a) throws(LullError) in
        let g = a[0].body(GeneratorBody.self)
        let thrown = try thrownException(a[1], a[2])
        defer { thrown.release() }
        let v = try throwIntoGenerator(g, try raiseError(thrown, .undefined))
        if v.isUndefined { throw stopIteration(g.pointee.returned) }
        return v
      },
      Builtin(
        "close", "close(self, /)", doc: "Ends the generator; its finally clauses run.",
        examples: [">>> g = (n for n in range(9))\n>>> next(g)\n0\n>>> g.close()\n>>> list(g)\n[]"]
      ) { (a) throws(LullError) in
        try closeGenerator(a[0].body(GeneratorBody.self))
        return .none
      },
      Builtin("__next__", "__next__(self, /)") { (a) throws(LullError) in
        let g = a[0].body(GeneratorBody.self)
        let v = try resumeGenerator(g, .none)
        if v.isUndefined { throw stopIteration(g.pointee.returned) }
        return v
      },
      Builtin("__iter__", "__iter__(self, /)") { (a) throws(LullError) in a[0].retained() },
    ])
  define(
    "BaseException",
    [
      Builtin(
        "with_traceback", "with_traceback(self, tb, /)", doc: "The exception itself.",
        examples: [">>> ValueError('x').with_traceback(None)\nValueError('x')"]
      ) { (a) throws(LullError) in a[0].retained() },
      Builtin("__reduce__", "__reduce__(self, /)") { (a) throws(LullError) in
        let b = a[0].exceptionBody
        var parts = [Value(a[0].type).retained(), b.pointee.args.retained()]
        if let d = b.pointee.dict.asDict, d.pointee.count > 0 {
          parts.append(b.pointee.dict.retained())
        }
        return makeTuple(parts)
      },
      Builtin(
        "add_note", "add_note(self, note, /)", doc: "Adds a line that is shown below the message.",
        examples: [
          ">>> e = ValueError('x')\n>>> e.add_note('while reading a')\n>>> e.__notes__\n['while reading a']"
        ]
      ) { (a) throws(LullError) in
        guard a[1].kind == .str else {
          throw LullError.typeError("note must be a str, not '\(typeName(a[1]))'")
        }
        let note = try a.string(1)
        a[0].exceptionBody.pointee.notes.append(note)
        return .none
      },
    ])
  func me(_ a: Args) -> ListPtr { a[0].list }
  define(
    "list",
    [
      Builtin(
        "append", "append(self, object, /)", doc: "Add an element at the end.",
        examples: [">>> x = [1]\n>>> x.append(2)\n>>> x\n[1, 2]"]
      ) { (a) throws(LullError) in
        a[0].list.append(a[1].retained())
        return .none
      },
      Builtin(
        "extend", "extend(self, iterable, /)", doc: "Add all elements of an iterable at the end.",
        examples: [">>> x = [1]\n>>> x.extend('ab')\n>>> x\n[1, 'a', 'b']"]
      ) { (a) throws(LullError) in
        try extendList(me(a), a[1])
        return .none
      },
      Builtin(
        "insert", "insert(self, index, object, /)", doc: "Put an element before an index.",
        examples: [">>> x = [1, 3]\n>>> x.insert(1, 2)\n>>> x\n[1, 2, 3]"]
      ) { (a) throws(LullError) in
        var i = try a.int(1)
        let n = me(a).pointee.count
        if i < 0 { i = max(0, i + n) }
        me(a).insert(a[2].retained(), at: min(i, n))
        return .none
      },
      Builtin(
        "pop", "pop(self, index=-1, /)",
        doc: "Take the element at an index out and give it; the last one by default.",
        examples: [">>> x = [1, 2, 3]\n>>> x.pop(), x.pop(0), x\n(3, 1, [2])"]
      ) { (a) throws(LullError) in
        var i = try a.int(1)
        let n = me(a).pointee.count
        if n == 0 { throw LullError.index("pop from empty list") }
        if i < 0 { i += n }
        if i < 0 || i >= n { throw LullError.index("pop index out of range") }
        return me(a).remove(at: i)
      },
      Builtin(
        "remove", "remove(self, value, /)", doc: "Take the first element that equals a value out.",
        examples: [">>> x = [1, 2, 1]\n>>> x.remove(1)\n>>> x\n[2, 1]"]
      ) { (a) throws(LullError) in
        var i = 0
        while i < me(a).pointee.count {
          let x = me(a).pointee.items[i]
          let same = try sameOrEqual(x, a[1])
          if same, i < me(a).pointee.count {
            me(a).remove(at: i).release()
            return .none
          }
          i += 1
        }
        throw LullError.valueError("list.remove(x): x not in list")
      },
      Builtin(
        "clear", "clear(self, /)", doc: "Take all elements out.",
        examples: [">>> x = [1, 2]\n>>> x.clear()\n>>> x\n[]"]
      ) { (a) throws(LullError) in
        me(a).clear()
        return .none
      },
      Builtin(
        "copy", "copy(self, /)", doc: "A new list of the same elements.",
        examples: [">>> x = [1, 2]\n>>> y = x.copy()\n>>> y.append(3)\n>>> x\n[1, 2]"]
      ) { (a) throws(LullError) in
        let l = makeList(capacity: me(a).pointee.count)
        for i in 0..<me(a).pointee.count { l.list.append(me(a).pointee.items[i].retained()) }
        return l
      },
      Builtin(
        "reverse", "reverse(self, /)", doc: "Turn the order round, in place.",
        examples: [">>> x = [1, 2, 3]\n>>> x.reverse()\n>>> x\n[3, 2, 1]"]
      ) { (a) throws(LullError) in
        let l = me(a)
        var i = 0
        var j = l.pointee.count - 1
        while i < j {
          let t = l.pointee.items[i]
          l.pointee.items[i] = l.pointee.items[j]
          l.pointee.items[j] = t
          i += 1
          j -= 1
        }
        return .none
      },
      Builtin(
        "sort", "sort(self, *, key=None, reverse=False)",
        doc: "Sort in place; equal elements keep their order.",
        examples: [
          ">>> x = ['bb', 'a', 'ccc']\n>>> x.sort(key=len, reverse=True)\n>>> x\n['ccc', 'bb', 'a']"
        ]
      ) { (a) throws(LullError) in
        try sortList(me(a), key: a[1], reverse: try truth(a[2]))
        return .none
      },
      Builtin(
        "index", "index(self, value, start=0, stop=9223372036854775807, /)",
        doc: "The first index of a value.", examples: [">>> ['a', 'b', 'a'].index('a', 1)\n2"]
      ) { (a) throws(LullError) in
        for k in [2, 3]
        where !a[k].isInteger && (!isCustom(a[k]) || a[k].type.lookup(.__index__).isUndefined) {
          throw LullError.typeError("slice indices must be integers or have an __index__ method")
        }
        let n = me(a).pointee.count
        var i = try a.clamped(2)
        var end = try a.clamped(3)
        if i < 0 { i = max(0, i + n) }
        if end < 0 { end += n }
        while i < min(end, me(a).pointee.count) {
          let x = me(a).pointee.items[i]
          if try sameOrEqual(x, a[1]) { return Value(i) }
          i += 1
        }
        throw LullError.valueError("\(try repr(a[1])) is not in list")
      },
      Builtin(
        "count", "count(self, value, /)", doc: "How many elements equal a value.",
        examples: [">>> [1, 2, 1].count(1)\n2"]
      ) { (a) throws(LullError) in
        var n = 0
        try forEach(a[0]) { (x) throws(LullError) in
          if try sameOrEqual(x, a[1]) { n += 1 }
        }
        return Value(n)
      },
    ])
  define(
    "tuple",
    [
      Builtin(
        "index", "index(self, value, start=0, stop=9223372036854775807, /)",
        doc: "The first index of a value.", examples: [">>> (3, 1, 3).index(3, 1)\n2"]
      ) { (a) throws(LullError) in
        let t = a[0].tuple
        let n = t.pointee.count
        func place(_ i: Int) -> Int { i < 0 ? max(0, i + n) : min(i, n) }
        let first = place(try a.clamped(2))
        for i in first..<max(first, place(try a.clamped(3))) {
          if try sameOrEqual(t.items[i], a[1]) { return Value(i) }
        }
        throw LullError.valueError("tuple.index(x): x not in tuple")
      },
      Builtin(
        "count", "count(self, value, /)", doc: "How many elements equal a value.",
        examples: [">>> (1, 2, 1).count(1)\n2"]
      ) { (a) throws(LullError) in
        var n = 0
        for x in a[0].elements {
          if try sameOrEqual(x, a[1]) { n += 1 }
        }
        return Value(n)
      },
    ])
  define(
    "range",
    [
      Builtin(
        "index", "index(self, value, /)", doc: "The index of a value.",
        examples: [">>> range(0, 10, 2).index(6)\n3"]
      ) { (a) throws(LullError) in
        let x = a[1]
        if x.tag == .int || x.tag == .bool || x.tag == .bigInt {
          if let i = a[0].range.index(of: x) { return i }
          throw LullError.valueError("\(try repr(x)) is not in range")
        }
        guard let i = try rangeItems(a[0], equalTo: x, stopAtFirst: true).first else {
          throw LullError.valueError("sequence.index(x): x not in sequence")
        }
        return Value(i)
      },
      Builtin(
        "count", "count(self, value, /)", doc: "1 if the value is in the range, else 0.",
        examples: [">>> range(0, 10, 2).count(6), range(0, 10, 2).count(7)\n(1, 0)"]
      ) { (a) throws(LullError) in
        let x = a[1]
        if x.tag == .int || x.tag == .bool || x.tag == .bigInt {
          return Value(try containsValue(a[0], x) ? 1 : 0)
        }
        return Value(try rangeItems(a[0], equalTo: x, stopAtFirst: false).count)
      },
    ])
  define(
    "slice",
    [
      Builtin(
        "indices", "indices(self, length, /)",
        doc: "(start, stop, step) of the slice in a sequence of a length.",
        examples: [">>> slice(None, None, -1).indices(4)\n(3, -1, -1)"]
      ) { (a) throws(LullError) in
        let length = try indexValue(a[1])
        defer { length.release() }
        if (length.integer ?? 0).sign == .minus {
          throw LullError.valueError("length should not be negative")
        }
        if length.kind == .bigInt {
          let (first, last, by) = try BigRange.indices(a[0], length.bigInt)
          return makeTuple([makeBig(first), makeBig(last), makeBig(by)])
        }
        let n = length.asInt
        let s = try sliceIndices(a[0], length: n)
        return makeTuple(ints: [s.start, s.stop, s.step])
      }
    ])
  define(
    "dict",
    [
      Builtin(
        "get", "get(self, key, default=None, /)", doc: "The value for a key, or a default.",
        examples: [">>> d = {'a': 1}\n>>> d.get('a'), d.get('b', 0)\n(1, 0)"]
      ) { (a) throws(LullError) in
        try a[0].dict.lookup(a[1])?.retained() ?? a[2].retained()
      },
      Builtin(
        "setdefault", "setdefault(self, key, default=None, /)",
        doc: "The value for a key, which gets a default first if it is missing.",
        examples: [">>> d = {}\n>>> d.setdefault('a', []).append(1)\n>>> d\n{'a': [1]}"]
      ) { (a) throws(LullError) in
        if let v = try a[0].dict.lookup(a[1]) { return v.retained() }
        try a[0].dict.store(a[1], a[2].retained())
        return a[2].retained()
      },
      Builtin(
        "pop", "pop(self, key, default=..., /)",
        doc: "Take a key out and give its value, or a default.",
        examples: [">>> d = {'a': 1}\n>>> d.pop('a'), d.pop('a', None), d\n(1, None, {})"]
      ) { (a) throws(LullError) in
        if let v = try a[0].dict.remove(a[1]) { return v }
        if a.has(2) { return a[2].retained() }
        throw keyError(a[1])
      },
      Builtin(
        "popitem", "popitem(self, /)", doc: "Take the last pair out and give it.",
        examples: [">>> d = {'a': 1, 'b': 2}\n>>> d.popitem(), d\n(('b', 2), {'a': 1})"]
      ) { (a) throws(LullError) in
        let d = a[0].dict
        var x = d.pointee.used - 1
        while x >= 0, d.pointee.entries[x].key.isUndefined { x -= 1 }
        if x < 0 {
          let e = LullError("KeyError", "'popitem(): dictionary is empty'")
          let s = makeStr("popitem(): dictionary is empty")
          e.setArgument(s)
          s.release()
          throw e
        }
        let key = d.pointee.entries[x].key.retained()
        return makePair(key, d.removeEntry(x))
      },
      Builtin(
        "keys", "keys(self, /)", doc: "The keys, a view.",
        examples: [">>> list({'a': 1, 'b': 2}.keys())\n['a', 'b']"]
      ) { (a) throws(LullError) in makeDictView(a[0].retained(), .keys) },
      Builtin(
        "values", "values(self, /)", doc: "The values, a view.",
        examples: [">>> sum({'a': 1, 'b': 2}.values())\n3"]
      ) { (a) throws(LullError) in makeDictView(a[0].retained(), .values) },
      Builtin(
        "items", "items(self, /)", doc: "The pairs (key, value), a view.",
        examples: [">>> for k, v in {'a': 1, 'b': 2}.items():\n...     print(k, v)\na 1\nb 2"]
      ) { (a) throws(LullError) in makeDictView(a[0].retained(), .items) },
      Builtin(
        "update", "update(self, other=..., /, **kwargs)",
        doc: "Take over the pairs of a mapping, of an iterable, and keywords.",
        examples: [">>> d = {'a': 1}\n>>> d.update({'b': 2}, a=9)\n>>> d\n{'a': 9, 'b': 2}"]
      ) { (a) throws(LullError) in
        if a.has(1) { try updateDict(a[0].dict, a[1], mappingOnly: false) }
        try a[0].dict.merge(a[2].dict)
        return .none
      },
      Builtin(
        "clear", "clear(self, /)", doc: "Take all keys out.",
        examples: [">>> d = {'a': 1}\n>>> d.clear()\n>>> d\n{}"]
      ) { (a) throws(LullError) in
        a[0].dict.clear()
        return .none
      },
      Builtin(
        "copy", "copy(self, /)", doc: "A new dict of the same pairs.",
        examples: [">>> d = {'a': 1}\n>>> {**d.copy(), 'b': 2}, d\n({'a': 1, 'b': 2}, {'a': 1})"]
      ) { (a) throws(LullError) in a[0].dict.copy() },
      Builtin("__getitem__", "__getitem__(self, key, /)") { (a) throws(LullError) in
        if let v = try a[0].dict.lookup(a[1]) { return v.retained() }
        let m = a[0].type.lookup(.__missing__)
        if !m.isUndefined { return try callMethod(m, a[0], a[1]) }
        throw keyError(a[1])
      },
      Builtin("__setitem__", "__setitem__(self, key, value, /)") { (a) throws(LullError) in
        try a[0].dict.store(a[1], a[2].retained())
        return .none
      },
      Builtin("__delitem__", "__delitem__(self, key, /)") { (a) throws(LullError) in
        guard let v = try a[0].dict.remove(a[1]) else { throw keyError(a[1]) }
        v.release()
        return .none
      },
      Builtin("__contains__", "__contains__(self, key, /)") { (a) throws(LullError) in
        Value(try a[0].dict.lookup(a[1]) != nil)
      },
    ])
  if let t = builtinTypes["dict"] {
    t.pointee.dict.dict.set(
      "fromkeys",
      makeWrapper(
        .classMethod,
        registered(
          Builtin.method(
            "dict", "fromkeys", "fromkeys(cls, iterable, value=None, /)",
            doc: "A dict with the elements for keys and one value.",
            examples: [">>> dict.fromkeys('ab', 0)\n{'a': 0, 'b': 0}"]
          ) { (a) throws(LullError) in
            let d = a[0].tag == .type && a[0].typeObject != t ? try call(a[0], []) : makeDict()
            do throws(LullError) {
              try forEach(a[1]) { (x) throws(LullError) in try setItem(d, x, a[2]) }
            } catch {
              d.release()
              throw error
            }
            return d
          })))
    t.changed()
  }
  for name in ["set", "frozenset"] { define(name, setMethods(name == "frozenset")) }
  define(
    "int",
    [
      Builtin(
        "bit_length", "bit_length(self, /)",
        doc: "How many bits the number takes, without its sign.",
        examples: [">>> (255).bit_length(), (256).bit_length()\n(8, 9)"]
      ) { (a) throws(LullError) in
        let m = (a[0].integer ?? 0).magnitude
        return Value(m.bitWidth)
      },
      Builtin(
        "bit_count", "bit_count(self, /)", doc: "How many of its bits are 1.",
        examples: [">>> (0b1011).bit_count()\n3"]
      ) { (a) throws(LullError) in
        Value((a[0].integer ?? 0).magnitude.words.reduce(0) { $0 + $1.nonzeroBitCount })
      },
      Builtin(
        "conjugate", "conjugate(self, /)", doc: "The number itself.",
        examples: [">>> (3).conjugate()\n3"]
      ) { (a) throws(LullError) in try indexValue(plainView(a[0])) },
      Builtin(
        "as_integer_ratio", "as_integer_ratio(self, /)", doc: "(the number, 1).",
        examples: [">>> (3).as_integer_ratio()\n(3, 1)"]
      ) { (a) throws(LullError) in
        makePair(try indexValue(plainView(a[0])), Value(1))
      },
      Builtin(
        "to_bytes", "to_bytes(self, length=1, byteorder='big', *, signed=False)",
        doc: "The number as bytes.", examples: [">>> (1000).to_bytes(2, 'big')\nb'\\x03\\xe8'"]
      ) { (a) throws(LullError) in
        let n = a[0].integer ?? 0
        let count = try a.int(1)
        try checkByteOrder(a[2], "to_bytes")
        if count < 0 { throw LullError.valueError("length argument must be non-negative") }
        try checkBytes(count, mutable: false)
        try checkAllocation(count, 2)
        let signed = try truth(a[3])
        if n.sign == .minus && !signed {
          throw LullError.overflow("can't convert negative int to unsigned")
        }
        // Bits that the number needs, with a sign where one is written.
        let needed = (n.sign == .minus ? -n - 1 : n).magnitude.bitWidth + (signed ? 1 : 0)
        if needed > 8 * count, count > 0 || n > 0 || n < -1 {
          throw LullError.overflow("int too big to convert")
        }
        let words = Array(n.words)
        var out = [UInt8](repeating: n.sign == .minus ? 255 : 0, count: count)
        for i in 0..<min(count, words.count * 8) {
          out[i] = UInt8(truncatingIfNeeded: words[i / 8] >> (8 * (i % 8)))
        }
        return makeBytes(try a.string(2) == "little" ? out : out.reversed())
      },
    ])
  builtinTypes["int"]?.pointee.dict.dict.set(
    "from_bytes",
    makeWrapper(
      .staticMethod,
      registered(
        Builtin(
          "from_bytes", "from_bytes(bytes, byteorder='big', *, signed=False)",
          doc: "The number that bytes are.",
          examples: [">>> int.from_bytes(b'\\x03\\xe8', 'big')\n1000"]
        ) { (a) throws(LullError) in
          var raw: [UInt8] = []
          try checkByteOrder(a[1], "from_bytes")
          if let b = a[0].bytesLike {
            raw = b
          } else if a[0].kind == .str || a[0].isInteger || !isIterable(a[0]) {
            throw LullError.typeError("cannot convert '\(typeName(a[0]))' object to bytes")
          } else {
            try forEach(a[0]) { (x) throws(LullError) in
              try checkGrowth(raw.count, 1)
              do throws(LullError) { raw.append(try byteOf(x)) } catch {
                throw error.kind == "ValueError"
                  ? LullError.valueError("bytes must be in range(0, 256)") : error
              }
            }
          }
          var n: BigInt
          let little = try a.string(1) == "little"
          var words = [UInt](repeating: 0, count: (raw.count + 7) / 8)
          for i in raw.indices {
            words[i / 8] |= UInt(raw[little ? i : raw.count - 1 - i]) << UInt(8 * (i % 8))
          }
          n = BigInt(BigUInt(words: words))
          if try truth(a[2]), let top = little ? raw.last : raw.first, top >= 128 {
            n -= BigInt(1) << (8 * raw.count)
          }
          return makeBig(n)
        })))
  builtinTypes["float"]?.pointee.dict.dict.set(
    "fromhex",
    makeWrapper(
      .staticMethod,
      registered(
        Builtin(
          "fromhex", "fromhex(string, /)", chapter: "float",
          doc: "The float that hexadecimal text is.",
          examples: [">>> float.fromhex('0x1.8p+1')\n3.0"]
        ) { (a) throws(LullError) in
          guard a[0].kind == .str else {
            throw LullError.typeError("bad argument type for built-in operation")
          }
          return Value(try floatFromHex(a[0].string))
        })))
  define(
    "float",
    [
      Builtin(
        "is_integer", "is_integer(self, /)", doc: "Whether it is a whole number.",
        examples: [">>> (2.0).is_integer(), (2.5).is_integer()\n(True, False)"]
      ) { (a) throws(LullError) in
        let d = try doubleOf(a[0])
        return Value(d.isFinite && d == d.rounded())
      },
      Builtin(
        "conjugate", "conjugate(self, /)", doc: "The number itself.",
        examples: [">>> (1.5).conjugate()\n1.5"]
      ) { (a) throws(LullError) in a[0].retained() },
      Builtin(
        "as_integer_ratio", "as_integer_ratio(self, /)",
        doc: "The exact fraction (numerator, denominator).",
        examples: [">>> (0.75).as_integer_ratio()\n(3, 4)"]
      ) { (a) throws(LullError) in
        let d = try doubleOf(a[0])
        if d.isNaN { throw LullError.valueError("cannot convert NaN to integer ratio") }
        if d.isInfinite { throw LullError.overflow("cannot convert Infinity to integer ratio") }
        var e = 0
        var m = d
        while m != m.rounded(), e < 1100 {
          m *= 2
          e += 1
        }
        return makePair(try truncate(m), makeBig(BigInt(1) << e))
      },
      Builtin(
        "hex", "hex(self, /)", doc: "The exact value as hexadecimal text.",
        examples: [">>> (3.0).hex()\n'0x1.8000000000000p+1'"]
      ) { (a) throws(LullError) in
        let d = try doubleOf(a[0])
        if d.isNaN || d.isInfinite { return makeStr(floatText(d)) }
        if d == 0 { return makeStr(d.sign == .minus ? "-0x0.0p+0" : "0x0.0p+0") }
        var h = String(d.significandBitPattern, radix: 16)
        h = String(repeating: "0", count: 13 - h.count) + h
        let e = d.isNormal ? Int(d.exponent) : -1022
        return makeStr(
          "\(d < 0 ? "-" : "")0x\(d.isNormal ? 1 : 0).\(h)p\(e < 0 ? "-" : "+")\(Swift.abs(e))")
      },
    ])
  define(
    "complex",
    [
      Builtin(
        "conjugate", "conjugate(self, /)",
        doc: "The number with the other sign of its imaginary part.",
        examples: [">>> (3+4j).conjugate()\n(3-4j)"]
      ) { (a) throws(LullError) in
        let p = a[0].body(ComplexBody.self).pointee
        return makeComplex(p.re, -p.im)
      }
    ])
}

/// `0x1.8p+3` and its relatives.
private func floatFromHex(_ text: String) throws(LullError) -> Double {
  func bad() -> LullError { .valueError("invalid hexadecimal floating-point string") }
  var s = Substring(text)
  while let c = s.first, c.isWhitespace { s = s.dropFirst() }
  while let c = s.last, c.isWhitespace { s = s.dropLast() }
  var negative = false
  if let c = s.first, c == "-" || c == "+" {
    negative = c == "-"
    s = s.dropFirst()
  }
  let lower = s.lowercased()
  if lower == "inf" || lower == "infinity" { return negative ? -.infinity : .infinity }
  if lower == "nan" { return .nan }
  var rest = Substring(lower)
  if rest.hasPrefix("0x") { rest = rest.dropFirst(2) }
  var mantissa = BigInt(0)
  var scale = 0
  var digits = 0
  var seenPoint = false
  while let c = rest.first, c != "p" {
    rest = rest.dropFirst()
    if c == ".", !seenPoint {
      seenPoint = true
      continue
    }
    guard let d = c.hexDigitValue else { throw bad() }
    mantissa = mantissa << 4 + BigInt(d)
    digits += 1
    if seenPoint { scale -= 4 }
    if digits > 10_000 { throw bad() }
  }
  if digits == 0 { throw bad() }
  if rest.first == "p" {
    guard let e = Int(rest.dropFirst()), rest.dropFirst().first != "_" else { throw bad() }
    if abs(e) > 1 << 20 {
      if mantissa.isZero || e < 0 { return negative ? -0.0 : 0 }
      throw LullError.overflow("hexadecimal value too large to represent as a float")
    }
    scale += e
  }
  if mantissa.isZero { return negative ? -0.0 : 0 }
  let value: Double
  do throws(LullError) {
    value =
      scale >= 0 ? try bigToDouble(mantissa << scale) : try bigDivide(mantissa, BigInt(1) << -scale)
  } catch {
    throw LullError.overflow("hexadecimal value too large to represent as a float")
  }
  if value.isInfinite {
    throw LullError.overflow("hexadecimal value too large to represent as a float")
  }
  return negative ? -value : value
}

private func checkByteOrder(_ v: Value, _ function: String) throws(LullError) {
  guard v.kind == .str else {
    throw LullError.typeError("\(function)() argument 'byteorder' must be str, not \(typeName(v))")
  }
  guard v.string == "big" || v.string == "little" else {
    throw LullError.valueError("byteorder must be either 'little' or 'big'")
  }
}

func setFrom(_ v: Value, frozen: Bool) throws(LullError) -> Value {
  if v.kind == .set { return v.set.copy(frozen: frozen) }
  let s = makeSet(frozen: frozen)
  do throws(LullError) {
    try s.set.update(v)
  } catch {
    s.release()
    throw error
  }
  return s
}
private func asSet(_ v: Value) throws(LullError) -> Value {
  v.kind == .set ? v.retained() : try setFrom(v, frozen: false)
}
private func setMethods(_ frozen: Bool) -> [Builtin] {
  func test(_ name: String, _ doc: String, _ example: String, _ op: CompareOperator) -> Builtin {
    Builtin(name, "\(name)(self, other, /)", doc: doc, examples: [example]) {
      (a) throws(LullError) in
      let o = try asSet(a[1])
      defer { o.release() }
      return Value(try compareSets(op, a[0].set, o.set))
    }
  }
  var out = [
    Builtin(
      "union", "union(self, *others)", doc: "The elements of this set or of others.",
      examples: [">>> sorted({1, 2}.union([2, 3], [4]))\n[1, 2, 3, 4]"]
    ) { (a) throws(LullError) in
      let r = a[0].set.copy(frozen: a[0].set.isFrozen)
      do throws(LullError) {
        for x in a.rest(1) where !x.isSame(a[0]) { try r.set.update(x) }
      } catch {
        r.release()
        throw error
      }
      return r
    },
    Builtin(
      "intersection", "intersection(self, *others)",
      doc: "The elements that this set and all others have.",
      examples: [">>> {1, 2, 3}.intersection([2, 3, 4])\n{2, 3}"]
    ) { (a) throws(LullError) in
      try setIntersection(a[0].set, all: a.rest(1), a[0].set.isFrozen)
    },
    Builtin(
      "difference", "difference(self, *others)", doc: "The elements of this set that no other has.",
      examples: [">>> sorted({1, 2, 3}.difference([2]))\n[1, 3]"]
    ) { (a) throws(LullError) in
      var r = Value.undefined
      do throws(LullError) {
        for x in a.rest(1) {
          if r.isUndefined {
            r = try setDifference(a[0].set, x, a[0].set.isFrozen)
          } else {
            try r.set.subtract(x)
          }
        }
      } catch {
        r.release()
        throw error
      }
      return r.isUndefined ? a[0].set.copy(frozen: a[0].set.isFrozen) : r
    },
    Builtin(
      "symmetric_difference", "symmetric_difference(self, other, /)",
      doc: "The elements that only one of the two has.",
      examples: [">>> sorted({1, 2}.symmetric_difference([2, 3]))\n[1, 3]"]
    ) { (a) throws(LullError) in
      // As CPython: the new set begins with the other's elements, which decides the order.
      let o = try setFrom(a[1], frozen: a[0].set.isFrozen)
      do throws(LullError) { try o.set.toggle(a[0]) } catch {
        o.release()
        throw error
      }
      return o
    },
    test(
      "issubset", "Whether another has all of its elements.", ">>> {1}.issubset([1, 2])\nTrue",
      .lessEqual),
    test(
      "issuperset", "Whether it has all elements of another.", ">>> {1, 2}.issuperset([1])\nTrue",
      .greaterEqual),
    Builtin(
      "isdisjoint", "isdisjoint(self, other, /)", doc: "Whether the two have no element in common.",
      examples: [">>> {1, 2}.isdisjoint([3])\nTrue"]
    ) { (a) throws(LullError) in
      // The first common element decides: what is behind it is not looked at.
      let it = try makeIterator(a[1])
      defer { it.release() }
      while true {
        let x = try iteratorNext(it)
        if x.isUndefined { return Value(true) }
        defer { x.release() }
        _ = try hashOf(x)  // a set is no element, though `in` looks for it as a frozenset
        if try containsValue(a[0], x) { return Value(false) }
      }
    },
    Builtin(
      "copy", "copy(self, /)", doc: "A new set of the same elements.",
      examples: [">>> s = {1}\n>>> s.copy() is s\nFalse"]
    ) { (a) throws(LullError) in
      a[0].tag == .set && a[0].set.isFrozen
        ? a[0].retained() : a[0].set.copy(frozen: a[0].set.isFrozen)
    },
  ]
  if frozen { return out }
  out += [
    Builtin(
      "add", "add(self, element, /)", doc: "Put an element in.",
      examples: [">>> s = {1}\n>>> s.add(2)\n>>> sorted(s)\n[1, 2]"]
    ) { (a) throws(LullError) in
      try a[0].set.add(a[1])
      return .none
    },
    Builtin(
      "remove", "remove(self, element, /)", doc: "Take an element out, which must be there.",
      examples: [">>> s = {1, 2}\n>>> s.remove(1)\n>>> s\n{2}"]
    ) { (a) throws(LullError) in
      if !(try a[0].set.remove(a[1])) { throw keyError(a[1]) }
      return .none
    },
    Builtin(
      "discard", "discard(self, element, /)", doc: "Take an element out, if it is there.",
      examples: [">>> s = {1, 2}\n>>> s.discard(3)\n>>> s.discard(1)\n>>> s\n{2}"]
    ) { (a) throws(LullError) in
      _ = try a[0].set.remove(a[1])
      return .none
    },
    Builtin(
      "pop", "pop(self, /)", doc: "Take some element out and give it.",
      examples: [">>> s = {7}\n>>> s.pop(), len(s)\n(7, 0)"]
    ) { (a) throws(LullError) in
      if let v = a[0].set.pop() { return v }
      let s = makeStr("pop from an empty set")
      defer { s.release() }
      throw keyError(s)
    },
    Builtin(
      "clear", "clear(self, /)", doc: "Take all elements out.",
      examples: [">>> s = {1, 2}\n>>> s.clear()\n>>> len(s)\n0"]
    ) { (a) throws(LullError) in
      a[0].set.clear()
      return .none
    },
    Builtin(
      "update", "update(self, *others)", doc: "Put the elements of others in.",
      examples: [">>> s = {1}\n>>> s.update([2], [3])\n>>> sorted(s)\n[1, 2, 3]"]
    ) { (a) throws(LullError) in
      for x in a.rest(1) { try a[0].set.update(x) }
      return .none
    },
  ]
  out.append(
    Builtin(
      "intersection_update", "intersection_update(self, *others)",
      doc: "Keep only the elements that all others have.",
      examples: [">>> s = {1, 2, 3}\n>>> s.intersection_update([2, 3, 4])\n>>> sorted(s)\n[2, 3]"]
    ) { (a) throws(LullError) in
      try intersectSet(a[0].set, a.rest(1))
      return .none
    })
  out.append(
    Builtin(
      "difference_update", "difference_update(self, *others)",
      doc: "Take the elements of others out.",
      examples: [">>> s = {1, 2, 3}\n>>> s.difference_update([2])\n>>> sorted(s)\n[1, 3]"]
    ) { (a) throws(LullError) in
      for x in a.rest(1) { try a[0].set.subtract(x) }
      return .none
    })
  out.append(
    Builtin(
      "symmetric_difference_update", "symmetric_difference_update(self, other, /)",
      doc: "Keep the elements that only one of the two has.",
      examples: [">>> s = {1, 2}\n>>> s.symmetric_difference_update([2, 3])\n>>> sorted(s)\n[1, 3]"]
    ) { (a) throws(LullError) in
      try a[0].set.toggle(a[1])
      return .none
    })
  return out
}
