// NFC, NFD, NFKC and NFKD.
//
// The textbook algorithm over tables made by the generator: decompose fully, order marks by
// combining class, and for the composed forms join each mark with the last starter when
// nothing of its class stands between. Hangul is computed. Text of ASCII alone is returned
// untouched, which is nearly all of it.

enum NormalizationForm: Sendable {
  case nfc, nfd, nfkc, nfkd

  fileprivate var isCompatible: Bool { self == .nfkc || self == .nfkd }
  fileprivate var isComposed: Bool { self == .nfc || self == .nfkc }
}

private struct NormalizationTables: Sendable {
  let canonical: [UInt32: [UInt32]]
  let compatibility: [UInt32: [UInt32]]
  /// first << 32 | second → composite
  let composition: [UInt64: UInt32]

  static let shared = NormalizationTables()

  private init() {
    canonical = Dictionary(uniqueKeysWithValues: Self.read(unicodeCanonical))
    compatibility = Dictionary(uniqueKeysWithValues: Self.read(unicodeCompatibility))
    var composition: [UInt64: UInt32] = [:]
    for (composite, parts) in Self.read(unicodeComposition) where parts.count == 2 {
      composition[UInt64(parts[0]) << 32 | UInt64(parts[1])] = composite
    }
    self.composition = composition
  }

  private static func read(_ text: StaticString) -> [(UInt32, [UInt32])] {
    var entries: [(UInt32, [UInt32])] = []
    var reader = Base32Reader(text)
    var scalar = 0
    while let gap = reader.number() {
      scalar += gap
      var parts: [UInt32] = []
      while let separator = reader.byte(), separator == UInt8(ascii: ".") {
        parts.append(UInt32(reader.number() ?? 0))
      }
      entries.append((UInt32(scalar), parts))
    }
    return entries
  }
}

/// Normalises UTF-8.
func normalized(_ bytes: [UInt8], to form: NormalizationForm) -> [UInt8] {
  if bytes.allSatisfy({ $0 < 0x80 }) { return bytes }
  let tables = NormalizationTables.shared
  var scalars: [UInt32] = []
  scalars.reserveCapacity(bytes.count)
  bytes.withUnsafeBufferPointer { buffer in
    var at = 0
    while at < buffer.count {
      let (value, length) = decodeScalar(buffer, at)
      at += length
      decompose(value, form, tables, into: &scalars)
    }
  }
  orderMarks(&scalars)
  if form.isComposed { compose(&scalars, tables) }
  var out: [UInt8] = []
  out.reserveCapacity(bytes.count)
  for scalar in scalars { appendScalar(scalar, to: &out) }
  return out
}

private func decompose(
  _ value: UInt32, _ form: NormalizationForm, _ tables: NormalizationTables,
  into scalars: inout [UInt32]
) {
  if value < 0x80 {
    scalars.append(value)
  } else if value >= 0xAC00, value < 0xD7A4 {
    let index = value - 0xAC00
    scalars.append(0x1100 + index / 588)
    scalars.append(0x1161 + index % 588 / 28)
    if index % 28 != 0 { scalars.append(0x11A7 + index % 28) }
  } else if form.isCompatible, let parts = tables.compatibility[value] {
    scalars.append(contentsOf: parts)
  } else if let parts = tables.canonical[value] {
    scalars.append(contentsOf: parts)
  } else {
    scalars.append(value)
  }
}

@inline(__always)
private func combiningClass(_ value: UInt32) -> UInt8 {
  guard value >= 0x300, let scalar = Unicode.Scalar(value) else { return 0 }
  return scalar.properties.canonicalCombiningClass.rawValue
}

/// Sorts each run of marks by class, keeping equal classes in order.
private func orderMarks(_ scalars: inout [UInt32]) {
  var start = 0
  while start < scalars.count {
    guard combiningClass(scalars[start]) != 0 else {
      start += 1
      continue
    }
    var end = start + 1
    while end < scalars.count, combiningClass(scalars[end]) != 0 { end += 1 }
    if end - start > 1 {
      let run = scalars[start..<end].enumerated().sorted {
        (combiningClass($0.element), $0.offset) < (combiningClass($1.element), $1.offset)
      }
      for (index, item) in run.enumerated() { scalars[start + index] = item.element }
    }
    start = end
  }
}

private func compose(_ scalars: inout [UInt32], _ tables: NormalizationTables) {
  var out: [UInt32] = []
  out.reserveCapacity(scalars.count)
  var starter = -1
  var lastClass: UInt8 = 0
  for value in scalars {
    let mark = combiningClass(value)
    let isAdjacent = starter == out.count - 1
    // A mark is blocked by one of the same or a higher class between it and the starter.
    if starter >= 0, isAdjacent || (lastClass != 0 && lastClass < mark),
      let composite = pair(out[starter], value, tables)
    {
      out[starter] = composite
      continue
    }
    if mark == 0 { starter = out.count }
    lastClass = mark
    out.append(value)
  }
  scalars = out
}

private func pair(_ first: UInt32, _ second: UInt32, _ tables: NormalizationTables) -> UInt32? {
  if first >= 0x1100, first < 0x1113, second >= 0x1161, second < 0x1176 {
    return 0xAC00 + ((first - 0x1100) * 21 + second - 0x1161) * 28
  }
  if first >= 0xAC00, first < 0xD7A4, (first - 0xAC00) % 28 == 0, second > 0x11A7, second < 0x11C3 {
    return first + second - 0x11A7
  }
  return tables.composition[UInt64(first) << 32 | UInt64(second)]
}
