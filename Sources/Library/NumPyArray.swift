// `numpy.ndarray`: the same lazy arrays under NumPy's rules.
//
// Both array types hold an NDArray; what differs is what a program sees of it: the dtypes that numbers and lists
// get (int64, float64), how dtypes promote, how values print. While a function of NumPy's runs `isNumPyCall` is
// set: conversions then follow NumPy and results are ndarrays, so that most functions of mlx.core serve as they
// are. An ndarray that meets an mlx array gives way: its float64 becomes float32 and its complex128 complex64, as when
// MLX reads one.
//
// Views are values: `b = a[1:]` does not change when `a` does. 0-d arrays stand for NumPy's scalars.

import Engine
import Language

/// Whether a function of NumPy's runs.
nonisolated(unsafe) var isNumPyCall = false

/// Runs a body under NumPy's rules.
@inline(__always)
func underNumPy<R>(_ body: () throws(LullError) -> R) throws(LullError) -> R {
  let old = isNumPyCall
  isNumPyCall = true
  defer { isNumPyCall = old }
  return try body()
}

// MARK: - dtypes

func numpyNatural(of scalar: Scalar) -> DType {
  switch scalar {
  case .bool: .bool
  case .int: .int64
  case .unsigned: .uint64
  case .float: .float64
  case .complex: .complex128
  }
}
func numpyNatural(of scalars: [Scalar]) -> DType {
  guard let first = scalars.first else { return .float64 }
  return scalars.dropFirst().reduce(numpyNatural(of: first)) {
    numpyPromoted($0, numpyNatural(of: $1))
  }
}

/// The dtype in which NumPy's arrays of these types meet.
func numpyPromoted(_ a: DType, _ b: DType) -> DType {
  if a == b { return a }
  let (low, high) = a.rawValue < b.rawValue ? (a, b) : (b, a)
  if low == .bool || high == .complex128 { return high }
  // complex64 holds what float32 does, numbers of 16 bits too.
  if high == .complex64 {
    return low.isFloating || low.byteCount > 2 ? numpyFloat(low).complex : high
  }
  if high.isFloating {
    if low.isFloating { return high == .bfloat16 ? .float32 : high }
    // An integer needs a float that holds it.
    let needed: DType = low.byteCount == 1 ? .float16 : low.byteCount == 2 ? .float32 : .float64
    if high == .bfloat16 { return low.byteCount == 1 ? .bfloat16 : needed }
    return needed.rawValue > high.rawValue ? needed : high
  }
  if low.isUnsigned == high.isUnsigned { return high }
  if low == .uint64 { return .float64 }
  switch Swift.max(high.byteCount, 2 * low.byteCount) {
  case 2: return .int16
  case 4: return .int32
  default: return .int64
  }
}
/// The dtype that an array of NumPy's and a plain number meet in.
func numpyWeak(_ scalar: Scalar, with dtype: DType) -> DType {
  switch scalar {
  case .bool: dtype
  case .int, .unsigned: dtype == .bool ? .int64 : dtype
  case .float: dtype.isInexact ? dtype : .float64
  case .complex: dtype.isInexact ? dtype.complex : .complex128
  }
}
/// The float that NumPy's functions of real numbers give for a dtype.
func numpyFloat(_ dtype: DType) -> DType {
  if dtype.isInexact { return dtype }
  return dtype.byteCount == 1 ? .float16 : dtype.byteCount == 2 ? .float32 : .float64
}

/// A plain number as an array of a dtype; an integer must fit.
func numpyNumber(_ scalar: Scalar, _ dtype: DType) throws(LullError) -> NDArray {
  func misfit(_ text: String) -> LullError {
    .overflow("Python integer \(text) out of bounds for \(dtype.name)")
  }
  if dtype.isInteger, let info = IntegerInfo(dtype) {
    switch scalar {
    case .int(let i) where i < info.min || (i > 0 && UInt(i) > info.max): throw misfit("\(i)")
    case .unsigned(let u) where u > UInt64(info.max): throw misfit("\(u)")
    default: break
    }
  }
  return try engine { try NDArray(scalar, dtype: dtype) }
}

/// Two operands in the dtype in which NumPy lets them meet.
func numpyOperands(_ a: Value, _ b: Value) throws(LullError) -> (NDArray, NDArray) {
  let (s, t) = (try a.scalar(), try b.scalar())
  if let s, t == nil {
    let y = try toArray(b)
    let dtype = numpyWeak(s, with: y.dtype)
    return (try numpyNumber(s, dtype), y.astype(dtype))
  }
  if let t, s == nil {
    let x = try toArray(a)
    let dtype = numpyWeak(t, with: x.dtype)
    return (x.astype(dtype), try numpyNumber(t, dtype))
  }
  let (x, y) = (try toArray(a), try toArray(b))
  let dtype = numpyPromoted(x.dtype, y.dtype)
  return (x.astype(dtype), y.astype(dtype))
}

let numpyDTypeType: NativeType = {
  let type = NativeType(
    "dtype", module: "numpy", doc: "The type of an ndarray's elements; calling it converts a value."
  )
  type.repr = { (v) throws(LullError) in "dtype('\(v.native(DTypeBox.self)?.dtype.name ?? "?")')" }
  type.str = { (v) throws(LullError) in v.native(DTypeBox.self)?.dtype.name ?? "?" }
  type.hash = { (v) throws(LullError) in Int(v.native(DTypeBox.self)?.dtype.rawValue ?? 0) }
  type.compare = { (op, a, b) throws(LullError) in
    guard op == .equal || op == .notEqual, let x = a.native(DTypeBox.self) else { return nil }
    var other: DType?
    do throws(LullError) { other = try numpyDType(b) } catch {}
    return Value((other == x.dtype) == (op == .equal))
  }
  type.constructor = Builtin(
    "dtype", "dtype(dtype)", chapter: "numpy", doc: "The dtype of a name or of a type.",
    examples: [">>> import numpy as np\n>>> np.dtype('float32')\ndtype('float32')"]
  ) { (a) throws(LullError) in numpyDTypeValue(try numpyDType(a[0])) }
  type.call = { (me, args, keywords) throws(LullError) in
    guard let dtype = me.native(DTypeBox.self)?.dtype, args.count <= 1, keywords.isEmpty else {
      throw LullError.typeError("a dtype takes one value to convert")
    }
    return try underNumPy { () throws(LullError) in
      guard args.count == 1 else { return wrap(try engine { try NDArray(.int(0), dtype: dtype) }) }
      if let text = args[0].stringValue {
        guard let number = Double(text) else {
          throw LullError.valueError("could not convert string to \(dtype.name): '\(text)'")
        }
        return wrap(try engine { try NDArray(.float(number), dtype: dtype) })
      }
      if let scalar = try args[0].scalar() {
        return wrap(try engine { try NDArray(scalar, dtype: dtype) })
      }
      return wrap(try toArray(args[0]).astype(dtype))
    }
  }
  func field(_ name: String, _ doc: String, _ get: @escaping (DType) -> Value) -> NativeProperty {
    NativeProperty(name, doc: doc) { (v) throws(LullError) in
      v.native(DTypeBox.self).map { get($0.dtype) } ?? .none
    }
  }
  type.properties = [
    field("name", "The name, 'float64'.") { makeStr($0.name) },
    field("itemsize", "Bytes of one element.") { Value($0.byteCount) },
    field("kind", "One letter: b, i, u, f or c.") { makeStr(kindLetter($0)) },
    field("str", "Byte order, kind and size, '<f8'.") {
      makeStr(($0.byteCount == 1 ? "|" : "<") + kindLetter($0) + String($0.byteCount))
    },
    field("type", "What converts to this dtype.") { numpyDTypeValue($0) },
    field("__name__", "The name.") { makeStr($0.name) },
  ]
  return type
}()

private func kindLetter(_ d: DType) -> String {
  d == .bool ? "b" : d.isComplex ? "c" : d.isFloating ? "f" : d.isUnsigned ? "u" : "i"
}

private let numpyDTypeValues: [Value] = DType.allCases.map {
  numpyDTypeType.make(DTypeBox($0))
}
func numpyDTypeValue(_ dtype: DType) -> Value {
  numpyDTypeValues[DType.allCases.firstIndex(of: dtype) ?? 0].retain()
}

/// A dtype as NumPy names it: `float` is float64, `int` int64.
func numpyDType(_ v: Value) throws(LullError) -> DType {
  if let box = v.native(DTypeBox.self) { return box.dtype }
  if let name = v.stringValue {
    let plain = name.drop { "<|=".contains($0) }
    let names: [String: DType] = [
      "int": .int64, "float": .float64, "double": .float64, "single": .float32, "half": .float16,
      "complex": .complex128, "cdouble": .complex128, "csingle": .complex64, "c16": .complex128,
      "D": .complex128, "F": .complex64, "f2": .float16, "f4": .float32,
      "f8": .float64, "i1": .int8, "i2": .int16, "i4": .int32, "i8": .int64, "u1": .uint8,
      "u2": .uint16, "u4": .uint32, "u8": .uint64, "b1": .bool, "?": .bool, "d": .float64,
      "f": .float32, "e": .float16, "q": .int64, "l": .int64, "c8": .complex64,
    ]
    if let dtype = DType(name: String(plain)) ?? names[String(plain)] { return dtype }
    throw LullError.typeError("data type '\(name)' not understood")
  }
  for (name, dtype) in [
    ("bool", DType.bool), ("int", .int64), ("float", .float64), ("complex", .complex128),
  ] {
    if let type = builtinType(name), type.tag == v.tag, type.bits == v.bits { return dtype }
  }
  throw LullError.typeError("cannot interpret \(v.typeNameText) as a data type")
}

// MARK: - ndarray

/// Whether an operand of an ndarray is one that it can be computed with.
private func meets(_ other: Value) throws(LullError) -> Bool {
  if other.ndarray != nil || other.isList || other.isTuple { return true }
  return try underNumPy { () throws(LullError) in try other.scalar() != nil }
}

let ndarrayType: NativeType = {
  let type = NativeType("ndarray", module: "numpy", doc: "An array of NumPy's.")
  type.binary = { (op, me, other, reflected) throws(LullError) in
    guard me.ndarray != nil, try meets(other) else { return nil }
    stampPosition()
    return try underNumPy { () throws(LullError) in
      let name = ufuncName(op)
      return try reflected ? callUfunc(name, [other, me]) : callUfunc(name, [me, other])
    }
  }
  type.inplace = { (op, me, other) throws(LullError) in
    guard let x = me.ndarray else { return nil }
    stampPosition()
    return try underNumPy { () throws(LullError) in
      let made = try callUfunc(ufuncName(op), [me, other])
      defer { made.drop() }
      guard let y = made.ndarray else { return nil }
      guard y.shape == x.shape else {
        throw LullError.shapeError(
          "non-broadcastable output operand with shape \(Shape.text(x.shape.array)) doesn't match the broadcast shape \(Shape.text(y.shape.array))"
        )
      }
      let isLossy =
        (y.dtype.isInexact && !x.dtype.isInexact) || (y.dtype.isComplex && !x.dtype.isComplex)
      if isLossy || (x.dtype == .bool && y.dtype != .bool) {
        throw LullError.typeError(
          "cannot put a \(y.dtype.name) result into an array of \(x.dtype.name)")
      }
      me.setNative(y.astype(x.dtype))
      return me.retain()
    }
  }
  type.unary = { (op, me) throws(LullError) in
    guard me.ndarray != nil else { return nil }
    stampPosition()
    return try underNumPy { () throws(LullError) in
      switch op {
      case .negate: return try callUfunc("negative", [me])
      case .plus: return me.retain()
      case .invert: return try callUfunc("invert", [me])
      case .not: return nil
      }
    }
  }
  type.compare = { (op, me, other) throws(LullError) in
    guard me.ndarray != nil else { return nil }
    if try !meets(other) {
      return op == .equal ? Value(false) : op == .notEqual ? Value(true) : nil
    }
    let name: String
    switch op {
    case .equal: name = "equal"
    case .notEqual: name = "not_equal"
    case .less: name = "less"
    case .lessEqual: name = "less_equal"
    case .greater: name = "greater"
    case .greaterEqual: name = "greater_equal"
    default: return nil
    }
    stampPosition()
    return try underNumPy { () throws(LullError) in try callUfunc(name, [me, other]) }
  }
  type.getItem = { (me, index) throws(LullError) in
    stampPosition()
    return try underNumPy { () throws(LullError) in wrap(try readIndex(me, index)) }
  }
  type.setItem = { (me, index, value) throws(LullError) in
    stampPosition()
    try underNumPy { () throws(LullError) in
      guard let x = me.ndarray else { return }
      let at = try indices(index)
      let update: NDArray
      if let s = try value.scalar() {
        update = try numpyNumber(s, numpyWeak(s, with: x.dtype))
      } else {
        update = try toArray(value)
      }
      let result = try engine { try x.updating(at, update.astype(x.dtype)) }
      me.setNative(result)
    }
  }
  type.len = arrayType.len
  type.contains = { (me, item) throws(LullError) in
    try underNumPy { () throws(LullError) in
      let (x, y) = try operands(me, item)
      return try engine { try any(equal(x, y)).item().int != 0 }
    }
  }
  type.iter = { (me) throws(LullError) in
    try underNumPy { () throws(LullError) in try arrayType.iter?(me) ?? .none }
  }
  type.bool = arrayType.bool
  type.hash = { (me) throws(LullError) in
    guard let x = me.ndarray, x.rank == 0 else {
      throw LullError.typeError("unhashable type: 'numpy.ndarray'")
    }
    let v = value(of: try engine { try x.item() })
    defer { v.drop() }
    return try hashOf(v)
  }
  type.float = arrayType.float
  type.int = arrayType.int
  type.index = arrayType.index
  type.repr = { (me) throws(LullError) in
    guard let x = me.ndarray else { return "array()" }
    return try engine { try numpyRepr(x) }
  }
  type.str = { (me) throws(LullError) in
    guard let x = me.ndarray else { return "" }
    return try engine { try numpyText(x) }
  }
  type.format = { (me, spec) throws(LullError) in
    guard let x = me.ndarray else { return "" }
    if spec.isEmpty { return try engine { try numpyText(x) } }
    guard x.size == 1 else {
      throw LullError.typeError("the format '\(spec)' needs one value, this array has \(x.size)")
    }
    return try Language.format(value(of: engine { try x.item() }), spec)
  }
  type.properties = numpyProperties
  type.methods = numpyMethods
  return type
}()

/// `ndarray.flags`. An array owns its elements when no other array shows them.
private let flagsType: NativeType = {
  let type = NativeType(
    "flagsobj", module: "numpy", doc: "How the elements of an ndarray lie in memory.")
  func flag(_ name: String, _ get: @escaping (NDArray) throws -> Bool) -> NativeProperty {
    NativeProperty(name) { (v) throws(LullError) in
      guard let x = v.native(NDArray.self) else { return .none }
      return Value(try engine { try get(x) })
    }
  }
  type.properties = [
    flag("c_contiguous") { $0.isRowMajor }, flag("contiguous") { $0.isRowMajor },
    flag("f_contiguous") { try transposed($0).isRowMajor }, flag("owndata") { $0.ownsBuffer },
    flag("writeable") { _ in true }, flag("aligned") { _ in true },
  ]
  return type
}()
private func transposed(_ x: NDArray) throws -> NDArray {
  let y = try transpose(x)
  try y.eval()
  return y
}

private func ufuncName(_ op: BinaryOperator) -> String {
  switch op {
  case .add: "add"
  case .subtract: "subtract"
  case .multiply: "multiply"
  case .matmul: "matmul"
  case .divide: "divide"
  case .floorDivide: "floor_divide"
  case .modulo: "remainder"
  case .power: "power"
  case .leftShift: "left_shift"
  case .rightShift: "right_shift"
  case .bitAnd: "bitwise_and"
  case .bitOr: "bitwise_or"
  case .bitXor: "bitwise_xor"
  }
}

private func property(
  _ name: String, _ doc: String, _ get: @escaping (NDArray) throws -> Value
) -> NativeProperty {
  NativeProperty(name, doc: doc) { (v) throws(LullError) in
    guard let x = v.ndarray else { return .none }
    stampPosition()
    return try underNumPy { () throws(LullError) in try engine { try get(x) } }
  }
}
private let numpyProperties: [NativeProperty] = [
  NativeProperty(
    "shape", doc: "The length of each axis, as a tuple.",
    get: { (v) throws(LullError) in v.ndarray.map { makeTuple(ints: $0.shape) } ?? .none },
    set: { (v, shape) throws(LullError) in
      guard let x = v.ndarray else { return }
      let dims = try intSequence(shape) { _ in LullError.typeError("a shape is a tuple of ints") }
      v.setNative(try engine { try x.reshaped(dims) })
    }),
  property("dtype", "The type of the elements.") { numpyDTypeValue($0.dtype) },
  property("ndim", "The number of axes.") { Value($0.rank) },
  property("size", "The number of elements.") { Value($0.size) },
  property("nbytes", "Bytes of the elements.") { Value($0.byteCount) },
  property("itemsize", "Bytes of one element.") { Value($0.dtype.byteCount) },
  property("strides", "Bytes from one element of an axis to the next.") { x in
    try x.eval()
    // One value everywhere takes no memory; a program sees it as if it did.
    return makeTuple(
      ints: (x.isVirtual ? x.shape.rowMajorStrides : x.strides).map { $0 * x.dtype.byteCount })
  },
  property("flags", "How the elements lie: c_contiguous, f_contiguous, owndata, writeable.") { x in
    try x.eval()
    return flagsType.make(x)
  },
  property("__array_interface__", "Where the elements lie, in NumPy's protocol, version 3.") { x in
    try x.evalInMemory()
    let fields: [(String, Value)] = [
      ("version", Value(3)), ("shape", makeTuple(ints: x.shape)),
      (
        "typestr",
        makeStr(
          (x.dtype.byteCount == 1 ? "|" : "<") + kindLetter(x.dtype) + String(x.dtype.byteCount))
      ),
      ("data", makeTupleValue([Value(Int(bitPattern: x.pointer)), Value(false)])),
      ("strides", makeTuple(ints: x.strides.map { $0 * x.dtype.byteCount })),
    ]
    return makeDictValue(fields)
  },
  NativeProperty("base", doc: "The array whose memory copy=False shares; None for any other.") {
    (v) throws(LullError) in
    v.kept.isUndefined ? .none : v.kept.retain()
  },
  property("T", "The array with its axes reversed.") { wrap(try transpose($0)) },
  property("mT", "The array with its last two axes exchanged.") { wrap(try matrixTranspose($0)) },
  property("real", "Real part.") { wrap(real($0)) },
  property("imag", "Imaginary part.") { x in
    wrap(x.dtype.isComplex ? try imag(x) : try NDArray.zeros(x.shape, dtype: x.dtype))
  },
  property("flat", "The elements one after the other.") { wrap(try flatten($0)) },
]
