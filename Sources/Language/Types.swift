// Types, attribute look-up in classes, and the table of core types.
//
// Inheritance is single, so the method resolution order is the chain of `base`. A type's namespace
// is an ordinary dict with interned keys. Look-ups go through a global cache keyed by (type version,
// name); changing a class gives it, its subclasses and their shapes fresh versions, which is all
// that invalidation needs: versions and shape ids come from one counter and are never reused.
import Glibc

struct TypeBody {
  var h: Header
  var name: String
  var qualname: String
  var module: String
  var base: TypePtr?
  var dict: Value
  /// The layout of instances.
  var kind: Tag
  var version: UInt32
  var rootShape: ShapePtr
  var dictShape: ShapePtr
  /// How many attribute slots to allocate inside a new instance.
  var slotHint: Int
  /// Not owned; a dying subclass removes itself.
  var subclasses: [TypePtr]
  /// Written in the language (its attributes may be set).
  var isUserDefined: Bool
  var isException: Bool
  /// A user-defined `__getattr__`, `__setattr__` or `__delattr__` exists in the chain.
  var hasGetattr: Bool
  /// A `__getattribute__` written in the language exists in the chain.
  var hasGetattribute = false
  var hasSetattr: Bool
  var hasDelattr: Bool
  /// How a call makes an instance of a builtin type; inherited by look-up along `base`.
  var constructor: Builtin?
  /// Slots of a native type (NativeInterface.swift); inherited.
  var native: NativeType?
  var doc: String
  /// Cached `__init__` look-up for construction: version it is valid for.
  var initVersion: UInt32
  var initFunction: Value
  /// The attributes that instances may have; nil: any.
  var slots: Set<StrPtr>? = nil
}

extension Value {
  init(_ t: TypePtr) { self.init(.type, t) }
}

/// The types and values that the machine itself needs.
struct Core {
  var object: TypePtr
  var frozensetType: TypePtr
  var dictKeysType: TypePtr
  var dictValuesType: TypePtr
  var dictItemsType: TypePtr
  var builtins: Value
  var emptyTuple: Value
  /// `object.__init__`; set with the builtins.
  var baseInitializer = Value.undefined
  var osError: TypePtr
}
@exclusivity(unchecked) nonisolated(unsafe) var core: UnsafeMutablePointer<Core> =
  UnsafeMutablePointer(bitPattern: 16).unsafelyUnwrapped
@exclusivity(unchecked) nonisolated(unsafe) var exceptionTypes: [String: TypePtr] = [:]
@exclusivity(unchecked) nonisolated(unsafe) var builtinTypes: [String: TypePtr] = [:]

/// Makes a type; its count is 1 (owned by the caller).
func makeType(
  _ name: String, base: TypePtr?, kind: Tag, module: String = "builtins", user: Bool = false
) -> TypePtr {
  let p = allocateObject(MemoryLayout<TypeBody>.size).bindMemory(to: TypeBody.self, capacity: 1)
  let header = Header(count: 1, kind: .type, flags: 0, type: typeTable[Int(Tag.type.rawValue)])
  p.initialize(
    to: TypeBody(
      h: header, name: name, qualname: name, module: module, base: base, dict: makeDict(),
      kind: kind, version: freshVersion(), rootShape: makeShape(),
      dictShape: makeShape(isDict: true), slotHint: user ? 4 : 0, subclasses: [],
      isUserDefined: user, isException: base?.pointee.isException ?? false,
      hasGetattr: base?.pointee.hasGetattr ?? false, hasSetattr: base?.pointee.hasSetattr ?? false,
      hasDelattr: base?.pointee.hasDelattr ?? false, constructor: nil, native: base?.pointee.native,
      doc: "", initVersion: 0, initFunction: .undefined))
  if let base {
    base.pointee.subclasses.append(p)
    base.pointee.h.count &+= 1
    p.pointee.slotHint = max(p.pointee.slotHint, base.pointee.slotHint)
  }
  return p
}

@inline(__always) func releaseType(_ t: TypePtr) {
  t.pointee.h.count &-= 1
  if t.pointee.h.count == 0 {
    destroy(UnsafeMutableRawPointer(t).assumingMemoryBound(to: Header.self))
  }
}

func destroyType(_ t: TypePtr) {
  if let base = t.pointee.base {
    base.pointee.subclasses.removeAll { $0 == t }
    releaseType(base)
  }
  t.pointee.dict.release()
  freeShapes(t.pointee.rootShape)
  freeShapes(t.pointee.dictShape)
  t.deinitialize(count: 1)
}
private func freeShapes(_ s: ShapePtr) {
  for (_, child) in s.pointee.transitions { freeShapes(child) }
  s.deinitialize(count: 1)
  s.deallocate()
}

// MARK: - Look-up

private struct CacheEntry {
  var version: UInt32
  var name: StrPtr?
  var value: Value
}
@exclusivity(unchecked) nonisolated(unsafe) private var lookupCache:
  UnsafeMutablePointer<CacheEntry>? = nil

func makeLookupCache() {
  let c = UnsafeMutablePointer<CacheEntry>.allocate(capacity: 4096)
  c.initialize(repeating: CacheEntry(version: 0, name: nil, value: .undefined), count: 4096)
  lookupCache = c
}

extension UnsafeMutablePointer where Pointee == TypeBody {
  /// A name in the class or its bases; borrowed; undefined when absent. `name` is interned.
  @inline(__always) func lookup(_ name: StrPtr) -> Value {
    let v = pointee.version
    let index = Int((UInt(v) &* 31 &+ UInt(bitPattern: name) >> 4) & 4095)
    let e = lookupCache.unsafelyUnwrapped + index
    if e.pointee.version == v, e.pointee.name == name { return e.pointee.value }
    let r = lookupUncached(name)
    e.pointee = CacheEntry(version: v, name: name, value: r)
    return r
  }
  /// Drops what the cache has for one name, here and in the subclasses.
  func forget(_ name: StrPtr) {
    let v = pointee.version
    let index = Int((UInt(v) &* 31 &+ UInt(bitPattern: name) >> 4) & 4095)
    let e = lookupCache.unsafelyUnwrapped + index
    if e.pointee.version == v, e.pointee.name == name {
      e.pointee = CacheEntry(version: 0, name: nil, value: .undefined)
    }
    for s in pointee.subclasses { s.forget(name) }
  }
  @inline(never) func lookupUncached(_ name: StrPtr) -> Value {
    var t: TypePtr? = self
    while let c = t {
      if let v = c.pointee.dict.dict.get(name) { return v }
      t = c.pointee.base
    }
    return .undefined
  }
  @inline(__always) func lookup(_ name: Name) -> Value { lookup(name.pointer) }

  func isSubtype(of other: TypePtr) -> Bool {
    var t: TypePtr? = self
    while let c = t {
      if c == other { return true }
      t = c.pointee.base
    }
    return false
  }
  /// To be called after any change of the namespace.
  func changed() {
    pointee.version = freshVersion()
    pointee.rootShape.renumber()
    pointee.dictShape.renumber()
    refreshFlags()
    for s in pointee.subclasses { s.changed() }
  }
  func refreshFlags() {
    let d = pointee.dict.dict
    let b = pointee.base?.pointee
    pointee.hasGetattr = (b?.hasGetattr ?? false) || d.get(Name.__getattr__.pointer) != nil
    pointee.hasGetattribute =
      (b?.hasGetattribute ?? false)
      || (pointee.isUserDefined && d.get(Name.__getattribute__.pointer) != nil)
    pointee.hasSetattr =
      (b?.hasSetattr ?? false) || (pointee.isUserDefined && d.get(Name.__setattr__.pointer) != nil)
    pointee.hasDelattr =
      (b?.hasDelattr ?? false) || (pointee.isUserDefined && d.get(Name.__delattr__.pointer) != nil)
  }
  /// The nearest builtin class in the chain.
  var builtinBase: TypePtr {
    var t = self
    while t.pointee.isUserDefined, let b = t.pointee.base { t = b }
    return t
  }
  /// Shows as in messages: `module.Name` only where CPython prints it.
  var name: String { pointee.name }
}

/// The name of the value's class, for messages.
func typeName(_ v: Value) -> String { v.isUndefined ? "undefined" : v.type.pointee.name }

// MARK: - Names the machine uses

enum Name: Int, CaseIterable {
  case __init__, __new__, __call__, __getitem__, __setitem__, __delitem__, __iter__, __next__
  case __contains__, __enter__, __exit__, __getattr__, __getattribute__, __setattr__, __delattr__,
    __len__, __bool__
  case __eq__, __ne__, __lt__, __le__, __gt__, __ge__, __hash__, __repr__, __str__, __format__
  case __add__, __sub__, __mul__, __matmul__, __truediv__, __floordiv__, __mod__, __pow__
  case __lshift__, __rshift__, __and__, __or__, __xor__
  case __radd__, __rsub__, __rmul__, __rmatmul__, __rtruediv__, __rfloordiv__, __rmod__, __rpow__
  case __rlshift__, __rrshift__, __rand__, __ror__, __rxor__
  case __iadd__, __isub__, __imul__, __imatmul__, __itruediv__, __ifloordiv__, __imod__, __ipow__
  case __ilshift__, __irshift__, __iand__, __ior__, __ixor__
  case __neg__, __pos__, __invert__, __abs__, __int__, __float__, __index__, __round__
  case __name__, __qualname__, __module__, __doc__, __dict__, __class__, __annotations__
  case __reversed__, __missing__, __get__, __set__, __delete__, __set_name__, __dir__, __bases__
  case __mro__, __wrapped__, __file__, __path__, __all__, __main__, __build_class__, __slots__
  case __init_subclass__, __class_getitem__, __trunc__, __floor__, __ceil__, __divmod__
  case __rdivmod__, __bytes__, __complex__, __cause__, __context__, __traceback__
  case __suppress_context__, __notes__, __defaults__, __kwdefaults__, __closure__, __code__
  case __globals__, __self__, __func__, __copy__, __deepcopy__, __base__, __subclasses__
  case __package__, __builtins__, __length_hint__, __fspath__
  case append, get, join, key, args, send, close, `throw`, start, stop, step, value, name, keys

  @inline(__always) var pointer: StrPtr { nameTable[rawValue] }
  @inline(__always) var str: Value { Value(.str, nameTable[rawValue]) }
}
@exclusivity(unchecked) nonisolated(unsafe) var nameTable: UnsafeMutablePointer<StrPtr> =
  UnsafeMutablePointer(bitPattern: 16).unsafelyUnwrapped

/// What `String(describing:)` asks for a case's name, without its search for other descriptions.
@_silgen_name("swift_EnumCaseName")
private func enumCaseName<T>(_ value: T) -> UnsafePointer<CChar>?

func makeNameTable() {
  nameTable = .allocate(capacity: Name.allCases.count)
  for n in Name.allCases {
    (nameTable + n.rawValue).initialize(
      to: internedPointer(enumCaseName(n).map { String(cString: $0) } ?? String(describing: n)))
  }
}

// MARK: - Core types

nonisolated(unsafe) private let plainTypes: [(Tag, String)] = [
  (.none, "NoneType"), (.bool, "bool"), (.int, "int"), (.float, "float"), (.str, "str"),
  (.bigInt, "int"), (.list, "list"), (.tuple, "tuple"), (.dict, "dict"), (.set, "set"),
  (.function, "function"), (.builtin, "builtin_function_or_method"), (.boundMethod, "method"),
  (.type, "type"), (.cell, "cell"), (.iterator, "iterator"), (.generator, "generator"),
  (.range, "range"), (.slice, "slice"), (.bytes, "bytes"), (.complex, "complex"),
  (.module, "module"), (.property, "property"), (.staticMethod, "staticmethod"),
  (.classMethod, "classmethod"), (.superObject, "super"), (.code, "code"),
]

/// Exceptions as "name base"; a base stands before its subclasses.
private let exceptionNames = """
  BaseException object
  Exception BaseException
  KeyboardInterrupt BaseException
  SystemExit BaseException
  GeneratorExit BaseException
  ArithmeticError Exception
  OverflowError ArithmeticError
  ZeroDivisionError ArithmeticError
  FloatingPointError ArithmeticError
  AssertionError Exception
  AttributeError Exception
  BufferError Exception
  EOFError Exception
  ImportError Exception
  ModuleNotFoundError ImportError
  LookupError Exception
  IndexError LookupError
  KeyError LookupError
  MemoryError Exception
  NameError Exception
  UnboundLocalError NameError
  OSError Exception
  FileNotFoundError OSError
  FileExistsError OSError
  PermissionError OSError
  IsADirectoryError OSError
  NotADirectoryError OSError
  InterruptedError OSError
  ConnectionError OSError
  BrokenPipeError ConnectionError
  ConnectionAbortedError ConnectionError
  ConnectionRefusedError ConnectionError
  ConnectionResetError ConnectionError
  ProcessLookupError OSError
  ChildProcessError OSError
  BlockingIOError OSError
  TimeoutError OSError
  ReferenceError Exception
  RuntimeError Exception
  NotImplementedError RuntimeError
  RecursionError RuntimeError
  StopIteration Exception
  StopAsyncIteration Exception
  SyntaxError Exception
  IndentationError SyntaxError
  TabError IndentationError
  SystemError Exception
  TypeError Exception
  ValueError Exception
  UnicodeError ValueError
  UnicodeDecodeError UnicodeError
  UnicodeEncodeError UnicodeError
  UnicodeTranslateError UnicodeError
  ShapeError ValueError
  Warning Exception
  DeprecationWarning Warning
  UserWarning Warning
  RuntimeWarning Warning
  FutureWarning Warning
  ImportWarning Warning
  SyntaxWarning Warning
  ResourceWarning Warning
  BytesWarning Warning
  UnicodeWarning Warning
  EncodingWarning Warning
  PendingDeprecationWarning Warning
  """

/// Makes the core types, tables and interned names. Once per process.
func makeCoreTypes() {
  typeTable = .allocate(capacity: 64)
  makeLookupCache()
  // `type` and `object` first: headers point at them.
  let placeholder = allocateObject(MemoryLayout<TypeBody>.size)
    .bindMemory(to: TypeBody.self, capacity: 1)
  for i in 0..<64 { (typeTable + i).initialize(to: placeholder) }
  let object = makeType("object", base: nil, kind: .instance)
  core = .allocate(capacity: 1)
  core.initialize(
    to: Core(
      object: object, frozensetType: object, dictKeysType: object, dictValuesType: object,
      dictItemsType: object, builtins: .undefined, emptyTuple: .undefined,
      osError: object))
  builtinTypes["object"] = object
  for (tag, name) in plainTypes {
    let t: TypePtr
    if let known = builtinTypes[name] {
      t = known
    } else {
      let base = name == "bool" ? builtinTypes["int"] ?? object : object
      t = makeType(name, base: base, kind: tag)
      builtinTypes[name] = t
    }
    typeTable[Int(tag.rawValue)] = t
    if name == "NoneType" {
      // int must exist before bool.
      builtinTypes["int"] = makeType("int", base: object, kind: .int)
    }
  }
  func extra(_ name: String, _ kind: Tag) -> TypePtr {
    let t = makeType(name, base: object, kind: kind)
    builtinTypes[name] = t
    return t
  }
  typeTable[5] = extra("NotImplementedType", .singleton)
  typeTable[6] = extra("ellipsis", .singleton)
  core.pointee.frozensetType = extra("frozenset", .set)
  core.pointee.dictKeysType = extra("dict_keys", .dictView)
  core.pointee.dictValuesType = extra("dict_values", .dictView)
  core.pointee.dictItemsType = extra("dict_items", .dictView)
  typeTable[Int(Tag.dictView.rawValue)] = core.pointee.dictKeysType
  // Objects made so far carry the placeholder as their type.
  let typeType = typeTable[Int(Tag.type.rawValue)]
  let dictType = typeTable[Int(Tag.dict.rawValue)]
  for t in builtinTypes.values {
    t.pointee.h.type = typeType
    t.pointee.dict.header.pointee.type = dictType
    t.pointee.h.count = immortal
  }
  makeASCIITable()
  makeDigitTables()
  makeNameTable()
  core.pointee.emptyTuple = makeTuple([])
  core.pointee.emptyTuple.header.pointee.count = immortal
  for line in exceptionNames.split(separator: "\n") {
    let parts = line.split(separator: " ")
    let base = exceptionTypes[String(parts[1])] ?? object
    let t = makeType(String(parts[0]), base: base, kind: .exception)
    t.pointee.isException = true
    t.pointee.h.count = immortal
    exceptionTypes[String(parts[0])] = t
  }
  typeTable[Int(Tag.exception.rawValue)] = exceptionTypes["Exception"] ?? object
  core.pointee.osError = exceptionTypes["OSError"] ?? object
}

func emptyTuple() -> Value { core.pointee.emptyTuple.retained() }

/// The classes asked for last: programs raise the same few again and again.
@exclusivity(unchecked) nonisolated(unsafe) private var recentExceptions: [(String, TypePtr)] = []
@exclusivity(unchecked) nonisolated(unsafe) private var oldestException = 0

func exceptionType(_ name: String) -> TypePtr {
  for (known, t) in recentExceptions where known == name { return t }
  let t = exceptionTypes[name] ?? exceptionTypes["RuntimeError"].unsafelyUnwrapped
  if recentExceptions.count < 8 {
    recentExceptions.append((name, t))
  } else {
    recentExceptions[oldestException] = (name, t)
    oldestException = (oldestException + 1) % 8
  }
  return t
}
