// JSON values.
//
// Objects keep their order. Integers and floats stay apart, as in Python (1 is not 1.0), and
// integers past 64 bits keep their digits as text. Strings and keys are compared byte for
// byte: Swift's own String equality treats composed and decomposed characters as equal, which
// would merge two different tokens of a vocabulary.

/// One JSON value.
public enum JSON: Sendable, Equatable {
  case null
  case bool(Bool)
  case int(Int)
  /// An integer past 64 bits, as its decimal digits.
  case bigInt(String)
  case double(Double)
  case string(String)
  case array([JSON])
  case object(JSONObject)

  public static func == (a: JSON, b: JSON) -> Bool {
    switch (a, b) {
    case (.null, .null): true
    case (.bool(let x), .bool(let y)): x == y
    case (.int(let x), .int(let y)): x == y
    case (.bigInt(let x), .bigInt(let y)): sameBytes(x, y)
    case (.double(let x), .double(let y)): x == y
    case (.string(let x), .string(let y)): sameBytes(x, y)
    case (.array(let x), .array(let y)): x == y
    case (.object(let x), .object(let y)): x == y
    default: false
    }
  }

  /// The member of an object; nil for a missing key and for anything but an object.
  public subscript(key: String) -> JSON? {
    if case .object(let object) = self { return object[key] }
    return nil
  }

  /// The element of an array; nil past its ends and for anything but an array.
  public subscript(index: Int) -> JSON? {
    if case .array(let array) = self, array.indices.contains(index) { return array[index] }
    return nil
  }

  public var isNull: Bool { if case .null = self { true } else { false } }
  public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  public var int: Int? { if case .int(let value) = self { value } else { nil } }
  public var string: String? { if case .string(let value) = self { value } else { nil } }
  public var array: [JSON]? { if case .array(let value) = self { value } else { nil } }
  public var object: JSONObject? { if case .object(let value) = self { value } else { nil } }

  /// An array of integers only.
  public var intArray: [Int]? {
    guard let array else { return nil }
    let values = array.compactMap(\.int)
    return values.count == array.count ? values : nil
  }

  /// An array of strings only.
  public var stringArray: [String]? {
    guard let array else { return nil }
    let values = array.compactMap(\.string)
    return values.count == array.count ? values : nil
  }

  /// A number of either kind as a float.
  public var double: Double? {
    switch self {
    case .int(let value): Double(value)
    case .bigInt(let digits): Double(digits)
    case .double(let value): value
    default: nil
    }
  }

  /// The kind of value in JSON's words, for messages.
  public var typeName: String {
    switch self {
    case .null: "null"
    case .bool: "a boolean"
    case .int, .bigInt: "an integer"
    case .double: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }
}

extension JSON: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByFloatLiteral, ExpressibleByStringLiteral, ExpressibleByArrayLiteral,
  ExpressibleByDictionaryLiteral
{
  public init(nilLiteral: ()) { self = .null }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(integerLiteral value: Int) { self = .int(value) }
  public init(floatLiteral value: Double) { self = .double(value) }
  public init(stringLiteral value: String) { self = .string(value) }
  public init(arrayLiteral elements: JSON...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, JSON)...) {
    var object = JSONObject()
    for (key, value) in elements { object[key] = value }
    self = .object(object)
  }
}

/// The members of an object in the file's order. A repeated key keeps its first place and its
/// last value, as in Python.
///
/// `keys` and `values` run in parallel. Above a dozen members an open-addressing table of
/// indices (power of two, at most half full, -1 = free) finds a key in constant time.
public struct JSONObject: Sendable, Equatable, Sequence {
  public private(set) var keys: [String] = []
  public private(set) var values: [JSON] = []
  private var table: [Int32] = []
  private static let indexThreshold = 12

  public init() {}

  public init(_ members: [(String, JSON)]) {
    for (key, value) in members { self[key] = value }
  }

  public var count: Int { keys.count }
  public var isEmpty: Bool { keys.isEmpty }

  public func makeIterator() -> Zip2Sequence<[String], [JSON]>.Iterator {
    zip(keys, values).makeIterator()
  }

  public subscript(key: String) -> JSON? {
    get { index(of: key).map { values[$0] } }
    set {
      switch (index(of: key), newValue) {
      case (let index?, let value?): values[index] = value
      case (nil, let value?): append(key, value)
      case (let index?, nil):
        keys.remove(at: index)
        values.remove(at: index)
        rebuildTable()
      case (nil, nil): break
      }
    }
  }

  public func index(of key: String) -> Int? {
    if table.isEmpty { return keys.firstIndex { sameBytes($0, key) } }
    let mask = table.count - 1
    var slot = Int(truncatingIfNeeded: byteHash(key)) & mask
    while table[slot] >= 0 {
      let index = Int(table[slot])
      if sameBytes(keys[index], key) { return index }
      slot = (slot + 1) & mask
    }
    return nil
  }

  /// Order matters not for equality, as for Python's dict.
  public static func == (a: JSONObject, b: JSONObject) -> Bool {
    a.count == b.count && zip(a.keys, a.values).allSatisfy { b[$0] == $1 }
  }

  /// Sets a member, hashing the key once (a vocabulary has 100,000 of them).
  mutating func put(_ key: String, _ value: JSON) {
    guard !table.isEmpty else {
      if let index = keys.firstIndex(where: { sameBytes($0, key) }) {
        values[index] = value
      } else {
        append(key, value)
      }
      return
    }
    let mask = table.count - 1
    var slot = Int(truncatingIfNeeded: byteHash(key)) & mask
    while table[slot] >= 0 {
      let index = Int(table[slot])
      if sameBytes(keys[index], key) {
        values[index] = value
        return
      }
      slot = (slot + 1) & mask
    }
    keys.append(key)
    values.append(value)
    if keys.count * 2 > table.count {
      rebuildTable()
    } else {
      table[slot] = Int32(truncatingIfNeeded: keys.count - 1)
    }
  }

  private mutating func append(_ key: String, _ value: JSON) {
    keys.append(key)
    values.append(value)
    if table.isEmpty ? keys.count > Self.indexThreshold : keys.count * 2 > table.count {
      rebuildTable()
    } else if !table.isEmpty {
      enter(keys.count - 1)
    }
  }

  private mutating func rebuildTable() {
    guard keys.count > Self.indexThreshold else {
      table = []
      return
    }
    var size = 64
    while size < keys.count * 4 { size *= 2 }
    table = [Int32](repeating: -1, count: size)
    for index in keys.indices { enter(index) }
  }

  private mutating func enter(_ index: Int) {
    let mask = table.count - 1
    var slot = Int(truncatingIfNeeded: byteHash(keys[index])) & mask
    while table[slot] >= 0 { slot = (slot + 1) & mask }
    table[slot] = Int32(truncatingIfNeeded: index)
  }
}

/// Equality of the UTF-8, without Unicode's canonical equivalence.
@inline(__always)
public func sameBytes(_ a: String, _ b: String) -> Bool {
  guard a.utf8.count == b.utf8.count else { return false }
  var a = a
  var b = b
  return a.withUTF8 { a in b.withUTF8 { b in a.elementsEqual(b) } }
}

/// FNV-1a over the UTF-8, mixed so that the low bits are good.
func byteHash(_ text: String) -> UInt64 {
  var text = text
  return text.withUTF8 { bytes in
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
    return hash ^ (hash >> 29)
  }
}
