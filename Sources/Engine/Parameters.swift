// The parameters of a primitive as plain data: for files of exported functions, for telling equal nodes, and
// for showing a graph. Primitives are `Codable`; this is a coder to a tree of plain values with the field names.

public enum Parameter: Hashable, Sendable {
  case null
  case bool(Bool)
  case int(Int64)
  /// A number in the bits of a float64.
  case real(UInt64)
  case text(String)
  case list([Parameter])
  case map([String: Parameter])

  /// The parameters of a primitive; nil when it has none that can be told.
  static func of(_ primitive: Any) -> Parameter? {
    guard let value = primitive as? any Encodable else { return nil }
    let slot = Slot()
    do { try value.encode(to: Writer(slot: slot, codingPath: [])) } catch { return nil }
    return slot.value
  }

  func decoded<T: Decodable>(as type: T.Type) throws -> T {
    try T(from: Reader(value: self, codingPath: []))
  }
}

/// A place that an encoder writes one value to, when all of it is known.
private final class Slot {
  var plain = Parameter.null
  var items: [Slot]?
  var fields: [(String, Slot)]?
  var value: Parameter {
    if let items { return .list(items.map(\.value)) }
    if let fields {
      return .map(Dictionary(fields.map { ($0.0, $0.1.value) }, uniquingKeysWith: { $1 }))
    }
    return plain
  }
}

private struct Writer: Encoder {
  let slot: Slot
  let codingPath: [any CodingKey]
  var userInfo: [CodingUserInfoKey: Any] { [:] }
  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    if slot.fields == nil { slot.fields = [] }
    return KeyedEncodingContainer(Fields<Key>(slot: slot, codingPath: codingPath))
  }
  func unkeyedContainer() -> any UnkeyedEncodingContainer {
    if slot.items == nil { slot.items = [] }
    return Items(slot: slot, codingPath: codingPath)
  }
  func singleValueContainer() -> any SingleValueEncodingContainer {
    One(slot: slot, codingPath: codingPath)
  }

  static func store<T: Encodable>(_ value: T, _ slot: Slot, _ path: [any CodingKey]) throws {
    switch value {
    case let b as Bool: slot.plain = .bool(b)
    case let d as Double: slot.plain = .real(d.bitPattern)
    case let f as Float: slot.plain = .real(Double(f).bitPattern)
    case let s as String: slot.plain = .text(s)
    case let i as any BinaryInteger:
      guard let i = Int64(exactly: i) else {
        throw EncodingError.invalidValue(
          value, .init(codingPath: path, debugDescription: "an integer of more than 64 bits"))
      }
      slot.plain = .int(i)
    default: try value.encode(to: Writer(slot: slot, codingPath: path))
    }
  }

  struct Fields<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let slot: Slot
    let codingPath: [any CodingKey]
    private func field(_ key: Key) -> Slot {
      let new = Slot()
      slot.fields?.append((key.stringValue, new))
      return new
    }
    mutating func encodeNil(forKey key: Key) throws { _ = field(key) }
    mutating func encode<T: Encodable>(_ value: T, forKey key: Key) throws {
      try Writer.store(value, field(key), codingPath)
    }
    mutating func nestedContainer<N: CodingKey>(keyedBy type: N.Type, forKey key: Key)
      -> KeyedEncodingContainer<N>
    { Writer(slot: field(key), codingPath: codingPath).container(keyedBy: type) }
    mutating func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
      Writer(slot: field(key), codingPath: codingPath).unkeyedContainer()
    }
    mutating func superEncoder() -> any Encoder { Writer(slot: slot, codingPath: codingPath) }
    mutating func superEncoder(forKey key: Key) -> any Encoder {
      Writer(slot: field(key), codingPath: codingPath)
    }
  }

  struct Items: UnkeyedEncodingContainer {
    let slot: Slot
    let codingPath: [any CodingKey]
    var count: Int { slot.items?.count ?? 0 }
    private func item() -> Slot {
      let new = Slot()
      slot.items?.append(new)
      return new
    }
    mutating func encodeNil() throws { _ = item() }
    mutating func encode<T: Encodable>(_ value: T) throws {
      try Writer.store(value, item(), codingPath)
    }
    mutating func nestedContainer<N: CodingKey>(keyedBy type: N.Type) -> KeyedEncodingContainer<N> {
      Writer(slot: item(), codingPath: codingPath).container(keyedBy: type)
    }
    mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
      Writer(slot: item(), codingPath: codingPath).unkeyedContainer()
    }
    mutating func superEncoder() -> any Encoder { Writer(slot: item(), codingPath: codingPath) }
  }

  struct One: SingleValueEncodingContainer {
    let slot: Slot
    let codingPath: [any CodingKey]
    mutating func encodeNil() throws { slot.plain = .null }
    mutating func encode<T: Encodable>(_ value: T) throws {
      try Writer.store(value, slot, codingPath)
    }
  }
}

private struct Reader: Decoder {
  let value: Parameter
  let codingPath: [any CodingKey]
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    guard case .map(let fields) = value else { throw Reader.wrong("fields", codingPath) }
    return KeyedDecodingContainer(Fields<Key>(fields: fields, codingPath: codingPath))
  }
  func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
    guard case .list(let items) = value else { throw Reader.wrong("a list", codingPath) }
    return Items(items: items, codingPath: codingPath)
  }
  func singleValueContainer() throws -> any SingleValueDecodingContainer {
    One(value: value, codingPath: codingPath)
  }

  static func wrong(_ needed: String, _ path: [any CodingKey]) -> DecodingError {
    .dataCorrupted(
      .init(
        codingPath: path,
        debugDescription: "\(needed) expected"
          + (path.isEmpty ? "" : " at " + path.map(\.stringValue).joined(separator: "."))))
  }
  static func load<T: Decodable>(_ type: T.Type, _ value: Parameter, _ path: [any CodingKey])
    throws -> T
  {
    func integer<I: FixedWidthInteger>(_: I.Type) throws -> I {
      guard case .int(let i) = value, let exact = I(exactly: i) else {
        throw wrong("an integer", path)
      }
      return exact
    }
    func give(_ x: Any) throws -> T {
      guard let x = x as? T else { throw wrong("a value", path) }
      return x
    }
    switch type {
    case is Bool.Type:
      guard case .bool(let b) = value else { throw wrong("a bool", path) }
      return try give(b)
    case is Double.Type, is Float.Type:
      guard case .real(let bits) = value else { throw wrong("a number", path) }
      return try give(
        type is Float.Type ? Float(Double(bitPattern: bits)) as Any : Double(bitPattern: bits))
    case is String.Type:
      guard case .text(let s) = value else { throw wrong("a text", path) }
      return try give(s)
    case is Int.Type: return try give(integer(Int.self))
    case is Int32.Type: return try give(integer(Int32.self))
    case is Int64.Type: return try give(integer(Int64.self))
    case is UInt8.Type: return try give(integer(UInt8.self))
    case is UInt32.Type: return try give(integer(UInt32.self))
    default: return try T(from: Reader(value: value, codingPath: path))
    }
  }

  struct Fields<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let fields: [String: Parameter]
    let codingPath: [any CodingKey]
    var allKeys: [Key] { fields.keys.compactMap { Key(stringValue: $0) } }
    func contains(_ key: Key) -> Bool { fields[key.stringValue] != nil }
    private func field(_ key: Key) throws -> Parameter {
      guard let found = fields[key.stringValue] else {
        throw Reader.wrong("field '\(key.stringValue)'", codingPath)
      }
      return found
    }
    func decodeNil(forKey key: Key) throws -> Bool { try field(key) == .null }
    func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T {
      try Reader.load(type, field(key), codingPath + [key])
    }
    func nestedContainer<N: CodingKey>(keyedBy type: N.Type, forKey key: Key) throws
      -> KeyedDecodingContainer<N>
    { try Reader(value: field(key), codingPath: codingPath + [key]).container(keyedBy: type) }
    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
      try Reader(value: field(key), codingPath: codingPath + [key]).unkeyedContainer()
    }
    func superDecoder() throws -> any Decoder {
      Reader(value: .map(fields), codingPath: codingPath)
    }
    func superDecoder(forKey key: Key) throws -> any Decoder {
      Reader(value: try field(key), codingPath: codingPath + [key])
    }
  }

  struct Items: UnkeyedDecodingContainer {
    let items: [Parameter]
    let codingPath: [any CodingKey]
    var currentIndex = 0
    init(items: [Parameter], codingPath: [any CodingKey]) {
      self.items = items
      self.codingPath = codingPath
    }
    var count: Int? { items.count }
    var isAtEnd: Bool { currentIndex >= items.count }
    private mutating func next() throws -> Parameter {
      guard !isAtEnd else { throw Reader.wrong("one more element", codingPath) }
      currentIndex += 1
      return items[currentIndex - 1]
    }
    mutating func decodeNil() throws -> Bool {
      if !isAtEnd, items[currentIndex] == .null {
        currentIndex += 1
        return true
      }
      return false
    }
    mutating func decode<T: Decodable>(_ type: T.Type) throws -> T {
      try Reader.load(type, next(), codingPath)
    }
    mutating func nestedContainer<N: CodingKey>(keyedBy type: N.Type) throws
      -> KeyedDecodingContainer<N>
    { try Reader(value: next(), codingPath: codingPath).container(keyedBy: type) }
    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
      try Reader(value: next(), codingPath: codingPath).unkeyedContainer()
    }
    mutating func superDecoder() throws -> any Decoder {
      Reader(value: try next(), codingPath: codingPath)
    }
  }

  struct One: SingleValueDecodingContainer {
    let value: Parameter
    let codingPath: [any CodingKey]
    func decodeNil() -> Bool { value == .null }
    func decode<T: Decodable>(_ type: T.Type) throws -> T {
      try Reader.load(type, value, codingPath)
    }
  }
}
