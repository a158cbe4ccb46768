/// A shape (or strides) of at most ten dimensions, held inline: no allocation on the hot path.
public struct Shape: Sendable {
  public static let maxRank = 10
  public private(set) var count: Int
  @usableFromInline var dims: InlineArray<10, Int>

  /// The shape of a 0-d array.
  public init() {
    count = 0
    dims = InlineArray(repeating: 0)
  }
  /// Longer sequences than `maxRank` are a programming error: check with `Shape.checked`.
  public init(_ elements: some Sequence<Int>) {
    self.init()
    for element in elements { append(element) }
  }
  public init(repeating value: Int, count: Int) {
    precondition(count <= Shape.maxRank)
    self.init()
    self.count = count
    for i in 0..<count { dims[i] = value }
  }

  /// A shape out of numbers from a user: negative and too many dimensions are errors.
  public static func checked(_ elements: [Int], op: OperationName) throws(ArrayError) -> Shape {
    if elements.count > maxRank { throw .tooManyDimensions(op: op, count: elements.count) }
    for element in elements where element < 0 {
      throw .negativeDimension(op: op, shape: elements)
    }
    let shape = Shape(elements)
    _ = try shape.elementCount(op: op)
    return shape
  }

  @inlinable public subscript(i: Int) -> Int {
    get { dims[i] }
    set { dims[i] = newValue }
  }

  @inline(__always) subscript(unchecked i: Int) -> Int { dims[unchecked: i] }

  /// Becomes the strides of a row-major array of a shape.
  @inline(__always) mutating func setRowMajor(_ shape: borrowing Shape) {
    count = shape.count
    var step = 1
    var i = shape.count &- 1
    while i >= 0 {
      dims[unchecked: i] = step
      step &*= Swift.max(shape.dims[unchecked: i], 1)
      i &-= 1
    }
  }

  public mutating func append(_ value: Int) {
    precondition(count < Shape.maxRank, "more than \(Shape.maxRank) dimensions")
    dims[count] = value
    count += 1
  }
  public mutating func insert(_ value: Int, at index: Int) {
    append(value)
    var i = count - 1
    while i > index {
      dims[i] = dims[i - 1]
      i -= 1
    }
    dims[index] = value
  }
  /// The shape with one more dimension.
  func with(_ value: Int, at index: Int) -> Shape {
    var result = self
    result.insert(value, at: index)
    return result
  }
  public mutating func remove(at index: Int) {
    for i in index..<(count - 1) { dims[i] = dims[i + 1] }
    count -= 1
    dims[count] = 0
  }

  /// The product of the dimensions; throws when it (or the bytes of it) passes 2^60.
  public func elementCount(op: OperationName) throws(ArrayError) -> Int {
    var product = 1
    var hasZero = false
    for i in 0..<count {
      if dims[i] == 0 { hasZero = true }
      let (next, overflow) = product.multipliedReportingOverflow(by: Swift.max(dims[i], 1))
      if overflow || next > 1 << 58 { throw .tooLarge(op: op, shape: array) }
      product = next
    }
    return hasZero ? 0 : product
  }

  /// The product of the dimensions of a shape that is known to be sound.
  public var uncheckedElementCount: Int {
    var product = 1
    for i in 0..<count { product &*= dims[i] }
    return product
  }

  public var array: [Int] { (0..<count).map { dims[$0] } }
  public var last: Int? { count == 0 ? nil : dims[count - 1] }

  /// The strides, in elements, of a row-major array of this shape.
  public var rowMajorStrides: Shape {
    var result = self
    var step = 1
    var i = count - 1
    while i >= 0 {
      result.dims[i] = step
      step &*= Swift.max(dims[i], 1)
      i -= 1
    }
    return result
  }
}

extension Shape: Equatable, Hashable {
  public static func == (a: Shape, b: Shape) -> Bool {
    if a.count != b.count { return false }
    var i = 0
    while i < a.count {
      if a.dims[unchecked: i] != b.dims[unchecked: i] { return false }
      i &+= 1
    }
    return true
  }
  public func hash(into hasher: inout Hasher) {
    hasher.combine(count)
    for i in 0..<count { hasher.combine(dims[i]) }
  }
}

extension Shape: RandomAccessCollection, ExpressibleByArrayLiteral, CustomStringConvertible {
  public init(arrayLiteral elements: Int...) { self.init(elements) }
  public var startIndex: Int { 0 }
  public var endIndex: Int { count }
  /// As Python writes it: `(2, 3)`, `(4,)`, `()`.
  public var description: String { Shape.text(array) }

  public static func text(_ dims: [Int]) -> String {
    dims.count == 1
      ? "(\(dims[0]),)" : "(" + dims.map { "\($0)" }.joined(separator: ", ") + ")"
  }

  /// The shape that two arrays broadcast to.
  public static func broadcast(_ a: Shape, _ b: Shape, op: OperationName) throws(ArrayError)
    -> Shape
  {
    if a == b { return a }
    var result = a.count >= b.count ? a : b
    let shorter = a.count >= b.count ? b : a
    let shift = result.count - shorter.count
    for i in 0..<shorter.count {
      let (m, n) = (result.dims[i + shift], shorter.dims[i])
      if m == n || n == 1 { continue }
      if m != 1 { throw .broadcast(op: op, lhs: a.array, rhs: b.array) }
      result.dims[i + shift] = n
    }
    return result
  }
}

extension Shape: Codable {
  public init(from decoder: any Decoder) throws {
    let dims = try [Int](from: decoder)
    guard dims.count <= Shape.maxRank else {
      throw ArrayError.tooManyDimensions(op: "shape", count: dims.count)
    }
    self.init(dims)
  }
  public func encode(to encoder: any Encoder) throws { try array.encode(to: encoder) }
}
