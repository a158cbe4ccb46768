// The native half of `json`: text to values and values to text, both over bytes. Options, files and
// the exception class are in stdlib/json.lull.
import BigInt
import Glibc

/// Where and why a text is no JSON; the offset is in bytes.
private struct JSONFailure {
  let message: String
  let offset: Int
}

private struct JSONScanner {
  let bytes: UnsafePointer<UInt8>
  let count: Int
  let objectHook: Value
  let pairsHook: Value
  let parseFloat: Value
  let parseInt: Value
  let parseConstant: Value
  let isStrict: Bool
  var at = 0
  var failure: JSONFailure?
  /// Equal keys of one text share one string.
  var keys: Value

  mutating func fail(_ message: String, _ offset: Int) -> Value {
    failure = JSONFailure(message: message, offset: offset)
    return .undefined
  }
  mutating func skipSpace() {
    while at < count {
      let b = bytes[at]
      if b != 32, b != 10, b != 13, b != 9 { return }
      at += 1
    }
  }
  func has(_ word: StaticString) -> Bool {
    let n = word.utf8CodeUnitCount
    return at + n <= count && memcmp(bytes + at, word.utf8Start, n) == 0
  }

  /// The value at `at`, owned; undefined after a failure.
  mutating func value() throws(LullError) -> Value {
    guard at < count else { return fail("Expecting value", at) }
    switch bytes[at] {
    case 34:
      at += 1
      return string()
    case 123:
      try checkNativeStack(" while decoding a JSON object from a unicode string")
      return try object()
    case 91:
      try checkNativeStack(" while decoding a JSON array from a unicode string")
      return try array()
    case 110 where has("null"):
      at += 4
      return .none
    case 116 where has("true"):
      at += 4
      return Value(true)
    case 102 where has("false"):
      at += 5
      return Value(false)
    case 78 where has("NaN"):
      return try constant("NaN", .nan)
    case 73 where has("Infinity"):
      return try constant("Infinity", .infinity)
    case 45 where has("-Infinity"):
      return try constant("-Infinity", -.infinity)
    case 45, 48...57: return try number()
    default: return fail("Expecting value", at)
    }
  }
  private mutating func constant(_ word: StaticString, _ value: Double) throws(LullError) -> Value {
    at += word.utf8CodeUnitCount
    if parseConstant.isNone { return Value(value) }
    let text = makeStr(word.utf8Start, word.utf8CodeUnitCount)
    defer { text.release() }
    return try call1(parseConstant, text)
  }
  private mutating func number() throws(LullError) -> Value {
    let start = at
    var i = at
    if bytes[i] == 45 { i += 1 }
    func digit(_ k: Int) -> Bool { k < count && bytes[k] >= 48 && bytes[k] <= 57 }
    guard digit(i) else { return fail("Expecting value", start) }
    if bytes[i] == 48 { i += 1 } else { while digit(i) { i += 1 } }
    var isFloat = false
    if i < count, bytes[i] == 46, digit(i + 1) {
      isFloat = true
      i += 1
      while digit(i) { i += 1 }
    }
    if i < count, bytes[i] == 101 || bytes[i] == 69 {
      var k = i + 1
      if k < count, bytes[k] == 43 || bytes[k] == 45 { k += 1 }
      if digit(k) {
        isFloat = true
        i = k
        while digit(i) { i += 1 }
      }
    }
    at = i
    let hook = isFloat ? parseFloat : parseInt
    if !hook.isNone {
      let text = makeStr(bytes + start, i - start)
      defer { text.release() }
      return try call1(hook, text)
    }
    if isFloat {
      // The text ends in a byte that is no part of a number, or in the string's end.
      var text = TextBuilder()
      text.append(bytes + start, i - start)
      text.append(0)
      return text.bytes.withMemoryRebound(to: CChar.self, capacity: text.count) {
        Value(strtod($0, nil))
      }
    }
    if i - start <= 18 {
      var n = 0
      for k in start..<i where bytes[k] != 45 { n = n * 10 + Int(bytes[k]) - 48 }
      return Value(bytes[start] == 45 ? -n : n)
    }
    return try parseDecimalDigits(
      String(decoding: UnsafeBufferPointer(start: bytes + start, count: i - start), as: UTF8.self))
  }
  /// After the opening quote.
  private mutating func string() -> Value {
    let begin = at - 1
    var i = at
    while i < count, bytes[i] != 34, bytes[i] != 92, bytes[i] >= 32 { i &+= 1 }
    if i < count, bytes[i] == 34 {
      let s = makeStr(bytes + at, i - at)
      at = i + 1
      return s
    }
    var out = TextBuilder()
    out.append(bytes + at, i - at)
    while true {
      guard i < count else { return fail("Unterminated string starting at", begin) }
      let b = bytes[i]
      if b == 34 { break }
      if b < 32, isStrict { return fail("Invalid control character at", i) }
      if b != 92 {
        out.append(b)
        i += 1
        continue
      }
      guard i + 1 < count else { return fail("Unterminated string starting at", begin) }
      let e = bytes[i + 1]
      switch e {
      case 34, 92, 47: out.append(e)
      case 98: out.append(8)
      case 102: out.append(12)
      case 110: out.append(10)
      case 114: out.append(13)
      case 116: out.append(9)
      case 117:
        guard var c = hex(i + 2) else { return fail("Invalid \\uXXXX escape", i + 1) }
        i += 4
        if c >= 0xD800, c < 0xDC00, i + 3 < count, bytes[i + 2] == 92, bytes[i + 3] == 117,
          let low = hex(i + 4), low >= 0xDC00, low < 0xE000
        {
          c = 0x10000 + (c - 0xD800) << 10 + (low - 0xDC00)
          i += 6
        }
        out.append(codePoint: c)
      default: return fail("Invalid \\escape", i)
      }
      i += 2
    }
    at = i + 1
    return out.value()
  }
  private func hex(_ from: Int) -> UInt32? {
    guard from + 4 <= count else { return nil }
    var c: UInt32 = 0
    for k in from..<(from + 4) {
      switch bytes[k] {
      case 48...57: c = c << 4 | UInt32(bytes[k] - 48)
      case 97...102: c = c << 4 | UInt32(bytes[k] - 87)
      case 65...70: c = c << 4 | UInt32(bytes[k] - 55)
      default: return nil
      }
    }
    return c
  }
  private mutating func array() throws(LullError) -> Value {
    at += 1
    let list = makeList()
    do throws(LullError) {
      skipSpace()
      if at < count, bytes[at] == 93 {
        at += 1
        return list
      }
      while true {
        let v = try value()
        if failure != nil { break }
        list.list.append(v)
        skipSpace()
        guard at < count else {
          _ = fail("Expecting ',' delimiter", at)
          break
        }
        let b = bytes[at]
        if b == 93 {
          at += 1
          return list
        }
        if b != 44 {
          _ = fail("Expecting ',' delimiter", at)
          break
        }
        at += 1
        skipSpace()
      }
    } catch {
      list.release()
      throw error
    }
    list.release()
    return .undefined
  }
  private mutating func object() throws(LullError) -> Value {
    at += 1
    let isPairs = !pairsHook.isNone
    let result = isPairs ? makeList() : makeDict()
    do throws(LullError) {
      skipSpace()
      if at < count, bytes[at] == 125 {
        at += 1
        return try finish(result, isPairs)
      }
      while true {
        guard at < count, bytes[at] == 34 else {
          _ = fail("Expecting property name enclosed in double quotes", at)
          break
        }
        at += 1
        var key = string()
        if failure != nil { break }
        let known = keys.dict.findStr(key.str)
        if known >= 0 {
          let twin = keys.dict.pointee.entries[known].key.retained()
          key.release()
          key = twin
        } else {
          keys.dict.set(key, .none)
        }
        defer { key.release() }
        skipSpace()
        guard at < count, bytes[at] == 58 else {
          _ = fail("Expecting ':' delimiter", at)
          break
        }
        at += 1
        skipSpace()
        let v = try value()
        if failure != nil { break }
        if isPairs {
          result.list.append(makeTuple([key.retained(), v]))
        } else {
          result.dict.set(key, v)
        }
        skipSpace()
        guard at < count else {
          _ = fail("Expecting ',' delimiter", at)
          break
        }
        let b = bytes[at]
        if b == 125 {
          at += 1
          return try finish(result, isPairs)
        }
        if b != 44 {
          _ = fail("Expecting ',' delimiter", at)
          break
        }
        at += 1
        skipSpace()
      }
    } catch {
      result.release()
      throw error
    }
    result.release()
    return .undefined
  }
  /// Hands a finished object to its hook. On an error the object is still owned by the caller.
  private func finish(_ v: Value, _ isPairs: Bool) throws(LullError) -> Value {
    if !isPairs, objectHook.isNone { return v }
    let r = try call1(isPairs ? pairsHook : objectHook, v)
    v.release()
    return r
  }
}

private struct JSONWriter {
  let skipKeys: Bool
  let ascii: Bool
  let allowNaN: Bool
  /// None for one line.
  let indent: Value
  let itemSeparator: StrPtr
  let keySeparator: StrPtr
  let defaultHook: Value
  let sortKeys: Bool
  private var open: [UInt64] = []

  mutating func write(_ v: Value, _ out: inout TextBuilder) throws(LullError) {
    switch v.kind {
    case .none: out.append("null")
    case .bool: v.asBool ? out.append("true") : out.append("false")
    case .int: out.append(decimal: v.asInt)
    case .bigInt: out.append(text: try bigText(v.bigInt))
    case .float: try write(number: try doubleOf(v), &out)
    case .str: write(string: v.str, &out)
    case .list, .tuple:
      try enter(v)
      if defaultHook.isNone, v.tag != .derived {
        // No code of the program runs: the items stay as they are.
        let items = v.elements
        if items.isEmpty {
          out.append("[]")
        } else {
          out.append(91)
          for k in 0..<items.count {
            if k > 0 { out.append(itemSeparator) }
            newLine(open.count, &out)
            try write(items[k], &out)
          }
          newLine(open.count - 1, &out)
          out.append(93)
        }
        open.removeLast()
        return
      }
      let items = try collect(v)
      defer { for x in items { x.release() } }
      if items.isEmpty {
        out.append("[]")
      } else {
        out.append(91)
        for (k, x) in items.enumerated() {
          if k > 0 { out.append(itemSeparator) }
          newLine(open.count, &out)
          try write(x, &out)
        }
        newLine(open.count - 1, &out)
        out.append(93)
      }
      open.removeLast()
    case .dict:
      try enter(v)
      if defaultHook.isNone, v.tag == .dict {
        let keys = sortKeys ? try sortedKeys(v.dict) : .undefined
        if !sortKeys || !keys.isUndefined {
          defer { keys.release() }
          try write(entries: v.dict, keys.isUndefined ? nil : keys.list, &out)
          open.removeLast()
          return
        }
      }
      var items: [(Value, Value)] = []
      defer {
        for (k, x) in items {
          k.release()
          x.release()
        }
      }
      for (k, x) in dictItems(v) { items.append((k.retained(), x.retained())) }
      if sortKeys {
        let list = makeList(items.map { makeTuple([$0.0.retained(), $0.1.retained()]) })
        defer { list.release() }
        let first = Builtin("key", "key(pair, /)") { (a) throws(LullError) in
          a[0].tuple.items[0].retained()
        }
        let key = makeBuiltin(first)
        defer { key.release() }
        try sortList(list.list, key: key, reverse: false)
        for (k, x) in items {
          k.release()
          x.release()
        }
        items = list.list.array.map {
          ($0.tuple.items[0].retained(), $0.tuple.items[1].retained())
        }
      }
      if items.isEmpty {
        out.append("{}")
      } else {
        out.append(123)
        var isFirst = true
        for (k, x) in items {
          let mark = out.count
          if !isFirst { out.append(itemSeparator) }
          newLine(open.count, &out)
          guard try write(key: k, &out) else {
            out.count = mark
            continue
          }
          isFirst = false
          out.append(keySeparator)
          try write(x, &out)
        }
        if !isFirst { newLine(open.count - 1, &out) }
        out.append(125)
      }
      open.removeLast()
    default:
      if defaultHook.isNone {
        throw LullError.typeError("Object of type \(typeName(v)) is not JSON serializable")
      }
      try enter(v)
      let r = try call1(defaultHook, v)
      defer { r.release() }
      hidden += 1
      try write(r, &out)
      hidden -= 1
      open.removeLast()
    }
  }
  /// The keys of a dict in order (owned), when all are strs; else undefined.
  private func sortedKeys(_ d: DictPtr) throws(LullError) -> Value {
    let keys = makeList(capacity: d.pointee.count)
    for i in 0..<d.pointee.used {
      let k = d.pointee.entries[i].key
      if k.isUndefined { continue }
      if k.tag != .str {
        keys.release()
        return .undefined
      }
      keys.list.append(k.retained())
    }
    try sortList(keys.list, key: .none, reverse: false)
    return keys
  }
  /// A dict that no code of the program changes meanwhile, in the order of `keys` if there are some.
  private mutating func write(entries d: DictPtr, _ keys: ListPtr?, _ out: inout TextBuilder)
    throws(LullError)
  {
    if d.pointee.count == 0 { return out.append("{}") }
    out.append(123)
    var isFirst = true
    for n in 0..<(keys?.pointee.count ?? d.pointee.used) {
      let i = keys.map { d.findStr($0.pointee.items[n].str) } ?? n
      if i < 0 { continue }
      let e = d.pointee.entries + i
      if e.pointee.key.isUndefined { continue }
      let mark = out.count
      if !isFirst { out.append(itemSeparator) }
      newLine(open.count, &out)
      guard try write(key: e.pointee.key, &out) else {
        out.count = mark
        continue
      }
      isFirst = false
      out.append(keySeparator)
      try write(e.pointee.value, &out)
    }
    if !isFirst { newLine(open.count - 1, &out) }
    out.append(125)
  }
  /// Entries of `open` that are objects under a `default` hook and make no indentation.
  private var hidden = 0

  init(_ a: Args) throws(LullError) {
    skipKeys = try truth(a[1])
    ascii = try truth(a[2])
    allowNaN = try truth(a[3])
    indent = a[4]
    itemSeparator = try a.str(5)
    keySeparator = try a.str(6)
    defaultHook = a[7]
    sortKeys = try truth(a[8])
  }
  private mutating func enter(_ v: Value) throws(LullError) {
    if open.contains(v.bits) { throw LullError.valueError("Circular reference detected") }
    try checkNativeStack(" while encoding a JSON object")
    open.append(v.bits)
  }
  private func newLine(_ depth: Int, _ out: inout TextBuilder) {
    guard let s = indent.asStr else { return }
    out.append(10)
    for _ in 0..<max(0, depth - hidden) { out.append(s) }
  }
  private func write(number d: Double, _ out: inout TextBuilder) throws(LullError) {
    if d.isFinite { return appendFloat(d, &out) }
    if !allowNaN {
      throw LullError.valueError(
        "Out of range float values are not JSON compliant")
    }
    d.isNaN ? out.append("NaN") : d > 0 ? out.append("Infinity") : out.append("-Infinity")
  }
  private func write(key k: Value, _ out: inout TextBuilder) throws(LullError) -> Bool {
    switch k.kind {
    case .str: write(string: k.str, &out)
    case .none: out.append("\"null\"")
    case .bool: k.asBool ? out.append("\"true\"") : out.append("\"false\"")
    case .int, .bigInt, .float:
      out.append(34)
      if k.kind == .float {
        try write(number: try doubleOf(k), &out)
      } else {
        out.append(text: try bigText(k.integer ?? 0))
      }
      out.append(34)
    default:
      if skipKeys { return false }
      throw LullError.typeError(
        "keys must be str, int, float, bool or None, not \(typeName(k))")
    }
    return true
  }
  private func write(string s: StrPtr, _ out: inout TextBuilder) {
    out.append(34)
    let n = s.pointee.byteCount
    let b = s.bytes
    var i = 0
    while i < n {
      var j = i
      while j < n, b[j] >= 32, b[j] != 34, b[j] != 92, b[j] < 127 || b[j] >= 128 && !ascii {
        j += 1
      }
      out.append(b + i, j - i)
      i = j
      if i >= n { break }
      switch b[i] {
      case 34: out.append("\\\"")
      case 92: out.append("\\\\")
      case 10: out.append("\\n")
      case 13: out.append("\\r")
      case 9: out.append("\\t")
      case 8: out.append("\\b")
      case 12: out.append("\\f")
      case 127 where !ascii: out.append(127)
      case 0..<32:
        out.append("\\u")
        out.append(hex: UInt32(b[i]), 4)
      default:
        let (c, l) = s.decode(i)
        if c < 0x10000 {
          out.append("\\u")
          out.append(hex: c, 4)
        } else {
          out.append("\\u")
          out.append(hex: 0xD800 + (c - 0x10000) >> 10, 4)
          out.append("\\u")
          out.append(hex: 0xDC00 + (c - 0x10000) & 0x3FF, 4)
        }
        i += l - 1
      }
      i += 1
    }
    out.append(34)
  }
}

func jsonModule() -> NativeModule {
  NativeModule(builtins: [
    Builtin(
      "scan",
      "scan(text, object_hook, pairs_hook, parse_float, parse_int, strict, parse_constant=None, start=..., /)",
      chapter: "json",
      doc:
        "(value,) of a JSON text, or (message, position) of what is wrong; from a start on ('', 0, value, end)."
    ) { (a) throws(LullError) in
      let s = try a.str(0)
      let keys = makeDict()
      defer { keys.release() }
      var scanner = JSONScanner(
        bytes: s.bytes, count: s.pointee.byteCount, objectHook: a[1], pairsHook: a[2],
        parseFloat: a[3], parseInt: a[4], parseConstant: a[6], isStrict: try truth(a[5]), keys: keys
      )
      if a.has(7) {
        let start = try a.int(7)
        if start < 0 { throw LullError.valueError("idx cannot be negative") }
        scanner.at = start <= s.pointee.count ? s.offset(of: start) : s.pointee.byteCount
      } else {
        scanner.skipSpace()
      }
      let v = try scanner.value()
      if scanner.failure == nil, a.has(7) {
        return makeTuple([makeStr(""), Value(0), v, Value(s.index(ofOffset: scanner.at))])
      }
      if scanner.failure == nil {
        scanner.skipSpace()
        if scanner.at == scanner.count { return makeTuple([v]) }
        v.release()
        _ = scanner.fail("Extra data", scanner.at)
      }
      guard let f = scanner.failure else { return makeTuple([.none]) }
      return makeTuple([makeStr(f.message), Value(s.index(ofOffset: f.offset))])
    },
    Builtin(
      "encode",
      "encode(value, skipkeys, ensure_ascii, allow_nan, indent, item, key, default, sort_keys, /)",
      chapter: "json", doc: "The JSON text of a value."
    ) { (a) throws(LullError) in
      var writer = try JSONWriter(a)
      var out = TextBuilder()
      try writer.write(a[0], &out)
      return out.value()
    },
  ])
}
