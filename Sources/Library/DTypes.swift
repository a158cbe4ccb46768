// dtypes as values of the language, and their categories (`mx.floating`, ...).

import Engine
import Language

final class DTypeBox {
  let dtype: DType
  init(_ dtype: DType) { self.dtype = dtype }
}

/// A family of dtypes, as NumPy arranges them.
final class CategoryBox: Sendable {
  let name: String
  let parent: CategoryBox?
  init(_ name: String, _ parent: CategoryBox?) {
    self.name = name
    self.parent = parent
  }
  func isInside(_ other: CategoryBox) -> Bool {
    var step: CategoryBox? = self
    while let category = step {
      if category === other { return true }
      step = category.parent
    }
    return false
  }
}

private let generic = CategoryBox("generic", nil)
private let number = CategoryBox("number", generic)
private let integer = CategoryBox("integer", number)
private let signedInteger = CategoryBox("signedinteger", integer)
private let unsignedInteger = CategoryBox("unsignedinteger", integer)
private let inexact = CategoryBox("inexact", number)
private let floating = CategoryBox("floating", inexact)
private let complexFloating = CategoryBox("complexfloating", inexact)

private func category(of dtype: DType) -> CategoryBox {
  if dtype.isComplex { return complexFloating }
  if dtype.isFloating { return floating }
  if dtype == .bool { return generic }
  return dtype.isUnsigned ? unsignedInteger : signedInteger
}

let dtypeType: NativeType = {
  let type = NativeType("Dtype", module: "mlx.core", doc: "The type of an array's elements.")
  type.repr = { (v) throws(LullError) in "mlx.core." + (v.native(DTypeBox.self)?.dtype.name ?? "?")
  }
  type.hash = { (v) throws(LullError) in Int(v.native(DTypeBox.self)?.dtype.rawValue ?? 0) }
  type.compare = { (op, a, b) throws(LullError) in
    guard op == .equal || op == .notEqual, let x = a.native(DTypeBox.self) else { return nil }
    let same = b.native(DTypeBox.self)?.dtype == x.dtype
    return Value(same == (op == .equal))
  }
  type.properties = [
    NativeProperty("size", doc: "Bytes of one element.") { (v) throws(LullError) in
      Value(v.native(DTypeBox.self)?.dtype.byteCount ?? 0)
    }
  ]
  return type
}()

let categoryType: NativeType = {
  let type = NativeType("DtypeCategory", module: "mlx.core", doc: "A family of dtypes.")
  type.repr = { (v) throws(LullError) in
    "DtypeCategory." + (v.native(CategoryBox.self)?.name ?? "?")
  }
  return type
}()

/// One object a dtype for the life of the program, so that `is` works as well as `==`.
private let dtypeValues: [Value] = DType.allCases.map {
  dtypeType.make(DTypeBox($0))
}

func dtypeValue(_ dtype: DType) -> Value {
  dtypeValues[DType.allCases.firstIndex(of: dtype) ?? 0].retain()
}

/// `float32`, ... and the categories, for the module's names.
func dtypeNames() -> [(String, Value)] {
  // MLX has no complex128: it is NumPy's alone.
  var names = DType.allCases.filter { $0 != .complex128 }.map { ($0.name, dtypeValue($0)) }
  names.append(("bool_", dtypeValue(.bool)))
  for category in [
    generic, number, integer, signedInteger, unsignedInteger, inexact, floating, complexFloating,
  ] {
    names.append((category.name, categoryType.make(category)))
  }
  return names
}

private func categoryOrType(_ v: Value) throws(LullError) -> (CategoryBox, DType?) {
  if let box = v.native(CategoryBox.self) { return (box, nil) }
  let dtype = try anyDType(v)
  return (category(of: dtype), dtype)
}

public let dtypeFunctions: [Builtin] = [
  Builtin(
    "issubdtype", "issubdtype(arg1, arg2)", chapter: "dtypes",
    doc: "Whether a dtype or category belongs to a category (or is the dtype) arg2.",
    examples: [">>> mx.issubdtype(mx.float16, mx.floating)\nTrue"]
  ) { (a) throws(LullError) in
    let (left, leftType) = try categoryOrType(a[0])
    let (right, rightType) = try categoryOrType(a[1])
    if let rightType { return Value(leftType == rightType) }
    return Value(left.isInside(right))
  },
  Builtin(
    "result_type", "result_type(*arrays_and_dtypes)", chapter: "dtypes",
    doc: "The dtype that arrays and dtypes promote to together.",
    examples: [">>> mx.result_type(mx.int32, mx.float16)\nmlx.core.float16"]
  ) { (a) throws(LullError) in
    var result: DType?
    for v in a.rest(0) {
      let dtype: DType
      if let x = v.ndarray { dtype = x.dtype } else { dtype = try anyDType(v) }
      result = result.map { DType.promoted($0, dtype) } ?? dtype
    }
    guard let result else {
      throw LullError.valueError("result_type() needs at least one argument")
    }
    return dtypeValue(result)
  },
  Builtin(
    "finfo", "finfo(dtype)", chapter: "dtypes",
    doc: "Limits of a floating-point dtype: min, max, eps, smallest_normal, bits.",
    examples: [">>> mx.finfo(mx.float16).max\n65504.0"]
  ) { (a) throws(LullError) in
    let dtype = try anyDType(a[0])
    guard let info = FloatInfo(dtype) else {
      throw LullError.valueError("finfo() needs a floating-point dtype, not \(dtype.name)")
    }
    return infoType.make(
      InfoBox([
        ("min", Value(info.min)), ("max", Value(info.max)), ("eps", Value(info.eps)),
        ("smallest_normal", Value(info.smallestNormal)), ("bits", Value(info.bits)),
        ("dtype", dtypeValue(dtype.realPart)),
      ]))
  },
  Builtin(
    "iinfo", "iinfo(dtype)", chapter: "dtypes",
    doc: "Limits of an integer dtype: min, max, bits.", examples: [">>> mx.iinfo(mx.int8).max\n127"]
  ) { (a) throws(LullError) in
    let dtype = try dtypeOf(a[0])
    guard let info = IntegerInfo(dtype) else {
      throw LullError.valueError("iinfo() needs an integer dtype, not \(dtype.name)")
    }
    return infoType.make(
      InfoBox([
        ("min", Value(info.min)), ("max", makeInt(UInt64(info.max))), ("bits", Value(info.bits)),
        ("dtype", dtypeValue(dtype)),
      ]))
  },
]

private final class InfoBox {
  let fields: [(String, Value)]
  init(_ fields: [(String, Value)]) { self.fields = fields }
  deinit { for (_, v) in fields { v.drop() } }
}
private let infoType: NativeType = {
  let type = NativeType("info", module: "mlx.core", doc: "Limits of a dtype.")
  type.getAttribute = { (v, name) throws(LullError) in
    v.native(InfoBox.self)?.fields.first { $0.0 == name }?.1.retain()
  }
  type.repr = { (v) throws(LullError) in
    var parts: [String] = []
    for (name, value) in v.native(InfoBox.self)?.fields ?? [] {
      parts.append("\(name)=\(try reprText(value))")
    }
    return "info(" + parts.joined(separator: ", ") + ")"
  }
  return type
}()
