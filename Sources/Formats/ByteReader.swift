// A cursor over untrusted bytes.
//
// Invariant: 0 <= offset <= count. A read that would pass the end throws and leaves the
// cursor where it was. Field names are autoclosures: they are only built when a read fails.

struct ByteReader {
  let bytes: UnsafeRawBufferPointer
  let file: String
  private(set) var offset: Int

  init(_ bytes: UnsafeRawBufferPointer, file: String, offset: Int = 0) {
    self.bytes = bytes
    self.file = file
    self.offset = min(max(offset, 0), bytes.count)
  }

  var remaining: Int { bytes.count - offset }

  /// Takes `count` bytes and returns where they begin.
  mutating func take(_ count: Int, _ field: @autoclosure () -> String) throws(FormatError) -> Int {
    guard count >= 0, count <= remaining else {
      throw FormatError(
        .truncated, file: file, field: field(),
        found: "needs \(count) bytes at offset \(offset), the file has \(remaining) left")
    }
    defer { offset += count }
    return offset
  }

  mutating func integer<T: FixedWidthInteger>(
    _ type: T.Type, _ field: @autoclosure () -> String
  ) throws(FormatError) -> T {
    let at = try take(MemoryLayout<T>.size, field())
    return T(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: T.self))
  }

  /// A 64-bit length or count that must fit an `Int`.
  mutating func length(_ field: @autoclosure () -> String) throws(FormatError) -> Int {
    let value = try integer(UInt64.self, field())
    guard let length = Int(exactly: value) else {
      throw FormatError(.invalid, file: file, field: field(), found: "impossible length \(value)")
    }
    return length
  }
}

/// `a * b`, or nil past 63 bits or for negative operands.
@inline(__always)
func checkedProduct(_ a: Int, _ b: Int) -> Int? {
  guard a >= 0, b >= 0 else { return nil }
  let (product, overflow) = a.multipliedReportingOverflow(by: b)
  return overflow ? nil : product
}

/// The product of a shape's dimensions, or nil past 63 bits.
func checkedElementCount(_ shape: [Int]) -> Int? {
  if shape.contains(0) { return shape.allSatisfy { $0 >= 0 } ? 0 : nil }
  var count = 1
  for dim in shape {
    guard let next = checkedProduct(count, dim) else { return nil }
    count = next
  }
  return count
}

/// `a + b`, or nil past 63 bits.
@inline(__always)
func checkedSum(_ a: Int, _ b: Int) -> Int? {
  let (sum, overflow) = a.addingReportingOverflow(b)
  return overflow ? nil : sum
}
