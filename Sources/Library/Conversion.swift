// Between the language's values and the engine's arrays.
//
// An array in the language is a native object that holds an NDArray. Arrays are values: `a[i] = x` and
// `a += x` put a new NDArray into the same object, so every name of that object sees the change, and views
// made before do not. Plain numbers are weak: they take the dtype of the array that they meet.
//
// Errors: the engine throws facts (`ArrayError`); `LullError(_: ArrayError)` gives them the user's words and,
// when evaluation found them late, the place in the program that built the failing node.

import Engine
import Kernels
import Language

extension LullError {
  /// The engine's failure as the user sees it.
  public convenience init(_ error: ArrayError) {
    let kind =
      switch error.fact {
      case .broadcast, .shapeMismatch, .badReshape: "ShapeError"
      case .tooManyIndices: isNumPyCall ? "IndexError" : "ValueError"
      case .scalarOverflow: isNumPyCall ? "OverflowError" : "ValueError"
      default: error.kind
      }
    var message = error.fact.message
    var remedy = error.remedy
    if case .argument = error.fact, let cut = message.firstRange(of: "; ") {
      remedy = String(message[cut.upperBound...])
      message = String(message[..<cut.lowerBound])
    }
    self.init(kind, message)
    if let remedy { notes.append(remedy) }
    if let position = error.position, let place = decodePosition(position) {
      notes.append(
        "made by line \(place.line) of \(place.source.file): \(place.source.text(place.span))")
    }
  }
}

extension LullError {
  /// The same with a line on what to do.
  func advising(_ remedy: String) -> LullError {
    notes.append(remedy)
    return self
  }
}

/// A failure of the program's code that the engine called, on its way through the engine.
enum ProgramFailure {
  nonisolated(unsafe) static var pending: LullError?

  /// Runs code of the program inside the engine, which knows its own errors only.
  static func carry<R>(_ body: () throws(LullError) -> R) throws(ArrayError) -> R {
    do throws(LullError) { return try body() } catch {
      pending = error
      throw .programFailed
    }
  }
}

/// Runs engine code; its failures become the language's.
@inline(__always)
func engine<R>(_ body: () throws -> R) throws(LullError) -> R {
  do { return try body() } catch let error as ArrayError {
    if case .interrupted = error.fact {
      // The program learns of it here, once: both flags come down, so that a handler may go on.
      lull_interrupt_set(0)
      try throwIfInterrupted()
    }
    if case .programFailed = error.fact, let failure = ProgramFailure.pending {
      ProgramFailure.pending = nil
      throw failure
    }
    throw LullError(error)
  } catch let error as LullError {
    throw error
  } catch {
    throw LullError("SystemError", "\(error)")
  }
}

/// Stamps the running instruction on the nodes built from here on.
@inline(__always) func stampPosition() {
  Engine.currentPosition = Language.currentPosition()
}

@inline(__always) func wrap(_ array: NDArray) -> Value {
  isNumPyCall ? ndarrayType.make(array) : arrayType.make(array)
}

/// Sizes and indices of mlx arrays have 32 bits, as in MLX, whose programs count on the error; the array as a whole
/// may be larger. NumPy's arrays, where files of many gigabytes are read, have 64.
private let dimensionRange = Int(Int32.min)...Int(Int32.max)

/// Refuses dimensions that an mlx array cannot have, with MLX's sentence, which its tests compare.
func checkDimensions(_ dims: [Int]) throws(LullError) {
  guard !isNumPyCall, let wrong = dims.first(where: { !dimensionRange.contains($0) }) else {
    return
  }
  throw LullError.overflow(
    "Shape dimension \(wrong) is outside the supported range [-2147483648, 2147483647]. "
      + "MLX currently uses 32-bit integers for shape dimensions.")
}
/// The array, unless one of its dimensions is too large for an mlx array.
@inline(__always) func withinLimits(_ array: NDArray) throws(LullError) -> NDArray {
  if array.size > dimensionRange.upperBound { try checkDimensions(array.shape.array) }
  return array
}
/// An index (or a bound of a slice) of an mlx array.
func checkedIndex(_ i: Int) throws(LullError) -> Int {
  if !dimensionRange.contains(i), !isNumPyCall {
    throw LullError.valueError("indices of an array must fit 32 bits; \(i) does not")
  }
  return i
}

extension Value {
  /// The array inside, if this is one.
  @inline(__always) var ndarray: NDArray? { native(NDArray.self) }

  /// A plain number: bool, int, float or complex.
  func scalar() throws(LullError) -> Scalar? {
    if let b = boolValue { return .bool(b) }
    if let i = intValue { return .int(i) }
    if tag == .float { return .float(asDouble) }
    if isComplex, let (re, im) = complexParts { return .complex(re, im) }
    if typeNameText == "int" {
      if isNumPyCall, let u = unsignedValue { return .unsigned(u) }
      throw LullError.overflow("int is too large for an array: it needs more than 64 bits")
    }
    return nil
  }
}

/// Any value that can be an array: an array, a number, or (nested) lists and tuples of them.
func toArray(_ v: Value, dtype: DType? = nil) throws(LullError) -> NDArray {
  if let array = v.ndarray {
    if let dtype { return array.astype(dtype) }
    return isNumPyCall || !array.dtype.isOfNumPy || !v.isInstance(of: ndarrayType)
      ? array : array.astype(array.dtype.ofMLX)
  }
  if let scalar = try v.scalar() {
    return try engine {
      try NDArray(scalar, dtype: dtype ?? (isNumPyCall ? numpyNatural(of: scalar) : nil))
    }
  }
  if v.isList || v.isTuple { return try fromNested(v, dtype: dtype) }
  if let b = try memoryViewContents(v), b.format != "B" || b.shape.count != 1 {
    guard let element = elementType(ofFormat: b.format) else {
      throw LullError.valueError("an array of elements of the format '\(b.format)' cannot be made")
    }
    let made = try engine {
      try b.bytes.withUnsafeBytes { try NDArray(bytes: $0, shape: Shape(b.shape), dtype: element) }
    }
    return dtype.map { made.astype($0) }
      ?? (element == .complex128 && !isNumPyCall ? made.astype(.complex64) : made)
  }
  if let bytes = v.byteArray {
    let made = try engine {
      try bytes.withUnsafeBytes { try NDArray(bytes: $0, shape: [bytes.count], dtype: .uint8) }
    }
    return dtype.map { made.astype($0) } ?? made
  }
  if v.rangeParts != nil {
    let items = try collect(v)
    let list = makeListValue(items)
    defer { list.drop() }
    return try fromNested(list, dtype: dtype)
  }
  if let own = try attributeOrNil(v, "__mlx_array__") {
    defer { own.drop() }
    let made = try callValue(own, [])
    defer { made.drop() }
    if let array = made.ndarray { return dtype.map { array.astype($0) } ?? array }
  }
  throw LullError.typeError("cannot make an array of \(article(v.typeNameText))")
}

func article(_ name: String) -> String {
  ("aeiou".contains(name.first ?? "x") ? "an " : "a ") + name
}

/// Nested lists to an array: the shape comes from the first elements, every other list must agree.
private func fromNested(_ v: Value, dtype: DType?) throws(LullError) -> NDArray {
  var shape: [Int] = []
  var probe = v
  while probe.isList || probe.isTuple {
    shape.append(probe.elements.count)
    if shape.count > Shape.maxRank {
      throw LullError.valueError("lists are nested deeper than \(Shape.maxRank) levels")
    }
    guard let first = probe.elements.first else { break }
    probe = first
  }
  func stacked() throws(LullError) -> NDArray {
    var parts: [NDArray] = []
    for element in v.elements { parts.append(try toArray(element)) }
    return try engine {
      if isNumPyCall, let first = parts.first {
        let common = parts.dropFirst().reduce(first.dtype) { numpyPromoted($0, $1.dtype) }
        parts = parts.map { $0.astype(common) }
      }
      guard parts.allSatisfy({ $0.shape == parts[0].shape }) else {
        throw LullError.valueError("Initialization encountered non-uniform length.")
      }
      let whole = try stack(parts, axis: 0)
      return dtype.map { whole.astype($0) } ?? whole
    }
  }
  var scalars: [Scalar] = []
  var hasArrays = false
  func gather(_ v: Value, _ depth: Int) throws(LullError) {
    if depth == shape.count {
      guard let scalar = try v.scalar() else {
        if v.isList || v.isTuple { throw ragged(depth) }
        if v.ndarray != nil {
          hasArrays = true
          throw ragged(depth)
        }
        throw LullError.valueError(
          "cannot put the \(v.typeNameText) \(try repr(v).prefix(40)) into an array"
        )
        .advising("an array holds numbers: convert texts with int() or float() first")
      }
      scalars.append(scalar)
      return
    }
    guard v.isList || v.isTuple else {
      if v.ndarray != nil { hasArrays = true }
      throw ragged(depth)
    }
    guard v.elements.count == shape[depth] else { throw ragged(depth) }
    for element in v.elements { try gather(element, depth + 1) }
  }
  func ragged(_ depth: Int) -> LullError {
    LullError.valueError(
      "the lists have different lengths at level \(depth + 1): an array needs rows of one length"
    )
    .advising("fill the short rows up, or keep the rows in a list")
  }
  if containsArray(v, 0) { return try stacked() }
  do throws(LullError) {
    try gather(v, 0)
  } catch {
    if hasArrays { return try stacked() }
    throw error
  }
  return try engine {
    try NDArray(
      scalars, shape: Shape(shape), dtype: dtype ?? (isNumPyCall ? numpyNatural(of: scalars) : nil))
  }
}

private func containsArray(_ v: Value, _ depth: Int) -> Bool {
  guard v.isList || v.isTuple, depth <= Shape.maxRank else { return v.ndarray != nil }
  guard let first = v.elements.first else { return false }
  return containsArray(first, depth + 1)
}

/// The two operands of a binary operation; a plain number takes the other's dtype where it can.
func operands(_ a: Value, _ b: Value) throws(LullError) -> (NDArray, NDArray) {
  if isNumPyCall { return try numpyOperands(a, b) }
  if let x = a.ndarray {
    if let y = b.ndarray {
      if x.dtype.isOfNumPy || y.dtype.isOfNumPy { return mixedOperands(a, x, b, y) }
      return (x, y)
    }
    if let s = try b.scalar() { return (x, try engine { try NDArray.weak(s, like: x.dtype) }) }
    return (x, try toArray(b))
  }
  if let y = b.ndarray, let s = try a.scalar() {
    return (try engine { try NDArray.weak(s, like: y.dtype) }, y)
  }
  return (try toArray(a), try toArray(b))
}

extension DType {
  /// Whether it is a default of NumPy's that gives way where it meets mlx arrays.
  @inline(__always) var isOfNumPy: Bool { self == .float64 || self == .complex128 }
  /// What an ndarray's dtype becomes among mlx arrays.
  var ofMLX: DType { self == .float64 ? .float32 : self == .complex128 ? .complex64 : self }
}

/// Two arrays of which one may be NumPy's: its float64 and complex128 are NumPy's defaults, and give way.
func mixedOperands(_ a: Value, _ x: NDArray, _ b: Value, _ y: NDArray) -> (NDArray, NDArray) {
  func lowered(_ v: Value, _ own: NDArray, _ other: DType) -> NDArray {
    guard own.dtype.isOfNumPy, v.isInstance(of: ndarrayType) else { return own }
    let isNumber = own.rank == 0 && own.dtype == .float64
    return own.astype(isNumber ? other.inexact : own.dtype.ofMLX)
  }
  return (lowered(a, x, y.dtype), lowered(b, y, x.dtype))
}

/// One number as the language has it.
func value(of scalar: Scalar) -> Value {
  switch scalar {
  case .bool(let b): Value(b)
  case .int(let i): Value(i)
  case .unsigned(let u): makeInteger(u)
  case .float(let d): Value(d)
  case .complex(let re, let im): makeComplexValue(re, im)
  }
}

/// Nested lists of the array's values (a plain number for a 0-d array).
func nestedList(_ array: NDArray) throws(LullError) -> Value {
  let scalars = try engine { try array.scalars() }
  let shape = array.shape
  if shape.count == 0 { return value(of: scalars[0]) }
  func build(_ axis: Int, _ start: Int, _ stride: Int) -> Value {
    let size = shape[axis]
    if axis == shape.count - 1 {
      return makeListValue((0..<size).map { value(of: scalars[start + $0]) })
    }
    let inner = size == 0 ? 0 : stride / size
    return makeListValue(
      (0..<size).map { build(axis + 1, start + $0 * inner, shape[axis + 1] == 0 ? 0 : inner) })
  }
  return build(0, 0, array.size)
}

// MARK: - Arguments of builtins

/// Reads the bound arguments of an array function. Indices are positions in the signature.
struct ArrayArgs {
  let args: Args
  init(_ args: Args) { self.args = args }

  func has(_ i: Int) -> Bool { !args.isNone(i) }

  func array(_ i: Int) throws(LullError) -> NDArray { try toArray(args[i]) }
  func optionalArray(_ i: Int) throws(LullError) -> NDArray? { has(i) ? try toArray(args[i]) : nil }
  func pair(_ i: Int, _ j: Int) throws(LullError) -> (NDArray, NDArray) {
    try operands(args[i], args[j])
  }
  /// A list or tuple of arrays.
  func arrays(_ i: Int) throws(LullError) -> [NDArray] {
    guard args[i].isList || args[i].isTuple else {
      throw args.wrong(i, "a list or tuple of arrays").advising(
        "put the arrays into one list: [a, b]")
    }
    var out: [NDArray] = []
    for element in args[i].elements { out.append(try toArray(element)) }
    if isNumPyCall, let first = out.first {
      let common = out.dropFirst().reduce(first.dtype) { numpyPromoted($0, $1.dtype) }
      return out.map { $0.astype(common) }
    }
    return out
  }
  func int(_ i: Int) throws(LullError) -> Int {
    if let array = args[i].ndarray, array.size == 1, array.dtype.isInteger {
      return try engine { try array.item().int }
    }
    return try args.int(i)
  }
  func optionalInt(_ i: Int) throws(LullError) -> Int? { has(i) ? try int(i) : nil }
  func double(_ i: Int) throws(LullError) -> Double {
    if let array = args[i].ndarray, array.size == 1 {
      return try engine { try array.item().double }
    }
    return try args.double(i)
  }
  func float(_ i: Int) throws(LullError) -> Float { Float(try double(i)) }
  func bool(_ i: Int) throws(LullError) -> Bool { try args.bool(i) }
  func string(_ i: Int) throws(LullError) -> String { try args.string(i) }
  /// One int or a sequence of ints.
  func ints(_ i: Int) throws(LullError) -> [Int] { try intSequence(args[i]) { args.wrong(i, $0) } }
  /// The dimensions of a shape, which may be partly left open (-1).
  func dimensions(_ i: Int) throws(LullError) -> [Int] {
    let dims = try ints(i)
    try checkDimensions(dims)
    return dims
  }
  /// The axes of a reduction: nil for None.
  func axes(_ i: Int) throws(LullError) -> [Int]? { has(i) ? try ints(i) : nil }
  /// `*rest` as ints, either spread out or as one sequence.
  func restInts(_ i: Int) throws(LullError) -> [Int] {
    let rest = args.rest(i)
    if rest.count == 1, rest[0].intValue == nil {
      return try intSequence(rest[0]) { args.wrong(i, $0) }
    }
    var out: [Int] = []
    for v in rest { out += try intSequence(v) { args.wrong(i, $0) } }
    return out
  }
  func shape(_ i: Int, op: OperationName) throws(LullError) -> Shape {
    let dims = try dimensions(i)
    return try engine { try Shape.checked(dims, op: op) }
  }
  func dtype(_ i: Int) throws(LullError) -> DType? {
    guard has(i) else { return nil }
    return try dtypeOf(args[i])
  }
}

func intSequence(_ v: Value, _ wrong: (String) -> LullError) throws(LullError) -> [Int] {
  if let i = v.intValue { return [i] }
  if let array = v.ndarray, array.dtype.isInteger, array.rank <= 1 {
    return try engine { try array.ints() }
  }
  guard v.isList || v.isTuple || v.rangeParts != nil else {
    throw wrong("an int or a sequence of ints")
  }
  let items = try collect(v)
  defer { for item in items { item.drop() } }
  var out: [Int] = []
  for item in items {
    if let i = item.intValue {
      out.append(i)
    } else if let array = item.ndarray, array.size == 1, array.dtype.isInteger {
      out.append(try engine { try array.item().int })
    } else {
      throw wrong("an int or a sequence of ints")
    }
  }
  return out
}

/// A dtype as mlx.core names it; of NumPy's dtypes complex128 is complex64 there.
func dtypeOf(_ v: Value) throws(LullError) -> DType {
  let dtype = try anyDType(v)
  return dtype == .complex128 && !isNumPyCall ? .complex64 : dtype
}
func anyDType(_ v: Value) throws(LullError) -> DType {
  if let box = v.native(DTypeBox.self) { return box.dtype }
  if let name = v.stringValue, let dtype = DType(name: name) { return dtype }
  for (name, dtype) in [
    ("bool", DType.bool), ("int", .int32), ("float", .float32), ("complex", .complex64),
  ] {
    if let type = builtinType(name), type.tag == v.tag, type.bits == v.bits { return dtype }
  }
  let error = LullError.typeError(
    "expected a dtype such as float32, not \(article(v.typeNameText))")
  error.notes.append(
    v.typeNameText == "int"
      ? "a shape is one argument, a tuple such as (2, 3)"
      : "dtypes are mx.float32, mx.int32, mx.bool_ and so on")
  throw error
}

/// Calls `leaf` on every array in a tree of lists, tuples, dicts and modules' parameters.
func forEachArray(_ v: Value, _ leaf: (Value) throws(LullError) -> Void) throws(LullError) {
  var stack = [v]
  var seen = 0
  while let next = stack.popLast() {
    seen += 1
    if seen > 10_000_000 { throw LullError.valueError("the tree is too large or refers to itself") }
    if next.ndarray != nil {
      try leaf(next)
    } else if next.isList || next.isTuple {
      for element in next.elements.reversed() { stack.append(element) }
    } else if next.isDict {
      for (_, item) in dictItems(next).reversed() { stack.append(item) }
    }
  }
}
