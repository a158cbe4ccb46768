// Modules: the registry of native ones, search of files, `import`.
import Glibc

/// What a native module has.
public struct NativeModule {
  public var builtins: [Builtin]
  /// Owned values.
  public var values: [(String, Value)]
  /// Makes further names on first use (owned value), for modules that are costly to build.
  public var lazy: ((String) throws -> Value?)?
  /// The names that `lazy` has, for `dir`.
  public var lazyNames: [String]
  public init(
    builtins: [Builtin] = [], values: [(String, Value)] = [], lazyNames: [String] = [],
    lazy: ((String) throws -> Value?)? = nil
  ) {
    self.lazyNames = lazyNames
    self.builtins = builtins
    self.values = values
    self.lazy = lazy
  }
}

/// Native modules by dotted name; a maker runs when a program first imports the module.
public enum ModuleRegistry {
  nonisolated(unsafe) static var makers: [String: () throws(LullError) -> NativeModule] = [:]
  public static func add(_ name: String, _ make: @escaping () throws(LullError) -> NativeModule) {
    makers[name] = make
  }
  /// What modules have besides the names in their dictionaries.
  nonisolated(unsafe) static var lazyNames: [String: [String]] = [:]
  /// Takes a native module away; one that was imported stays in `sys.modules`.
  public static func remove(_ name: String) { makers[name] = nil }
  public static var names: [String] { makers.keys.sorted() }
}

@exclusivity(unchecked) nonisolated(unsafe) var moduleSearchPath: [String] = ["."]
@exclusivity(unchecked) nonisolated(unsafe) var programArguments: [String] = [""]
@exclusivity(unchecked) nonisolated(unsafe) private var modules = Value.undefined

/// `sys.modules`, borrowed.
func modulesDict() -> Value {
  if modules.isUndefined {
    modules = makeDict()
    registerStandardModules()
  }
  return modules
}

func fileExists(_ path: String) -> Bool { access(path, R_OK) == 0 && !isDirectory(path) }
func isDirectory(_ path: String) -> Bool {
  var s = stat()
  return stat(path, &s) == 0 && s.st_mode & S_IFMT == S_IFDIR
}
public func readFile(_ path: String) throws(LullError) -> [UInt8] {
  guard !isDirectory(path) else { throw osError(21, path) }
  guard let f = fopen(path, "rb") else { throw osError(errno, path) }
  defer { fclose(f) }
  var out: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 1 << 16)
  while true {
    let n = fread(&buffer, 1, buffer.count, f)
    if n == 0 { break }
    out += buffer[..<n]
  }
  return out
}

/// Loads one module by absolute dotted name; its parent is loaded already. Borrowed result.
private func loadModule(_ name: String) throws(LullError) -> Value {
  let cache = modulesDict()
  let key = makeStr(name)
  defer { key.release() }
  if let m = cache.dict.get(key.str) {
    if m.isNone {
      throw LullError("ModuleNotFoundError", "import of \(name) halted; None in sys.modules")
    }
    return m
  }
  if let make = ModuleRegistry.makers[name] {
    let native = try make()
    let m = makeModule(name)
    for b in native.builtins { m.module.pointee.dict.dict.set(b.name, makeBuiltin(b)) }
    for (k, v) in native.values { m.module.pointee.dict.dict.set(k, v) }
    m.module.pointee.lazy = native.lazy
    if !native.lazyNames.isEmpty { ModuleRegistry.lazyNames[name] = native.lazyNames }
    BuiltinRegistry.add(native.builtins)
    cache.dict.set(key, m)
    return m
  }
  // A file: on the parent package's path, else on the search path.
  var directories = moduleSearchPath
  let parts = name.split(separator: ".").map(String.init)
  if parts.count > 1 {
    let parent = parts.dropLast().joined(separator: ".")
    if let p = cache.dict.get(parent), p.tag == .module,
      let path = p.module.pointee.dict.dict.get(Name.__path__.pointer), let list = path.asList
    {
      directories = list.array.map(\.string)
    } else if ModuleRegistry.makers[parent] != nil {
      directories = directories.map { $0 + "/" + parts.dropLast().joined(separator: "/") }
    } else {
      throw LullError(
        "ModuleNotFoundError", "No module named '\(name)'; '\(parent)' is not a package")
    }
  }
  let last = parts.last ?? name
  for d in directories {
    let base = d.isEmpty ? last : d + "/" + last
    for path in [base + ".lull", base + ".py", base + "/__init__.lull", base + "/__init__.py"]
    where fileExists(path) {
      let m = makeModule(name)
      let dict = m.module.pointee.dict.dict
      dict.set(Name.__file__.str, makeStr(path))
      if path.hasSuffix("/__init__.lull") || path.hasSuffix("/__init__.py") {
        dict.set(Name.__path__.str, makeList([makeStr(base)]))
        dict.set(Name.__package__.str, makeStr(name))
      } else {
        dict.set(Name.__package__.str, makeStr(parts.dropLast().joined(separator: ".")))
      }
      cache.dict.set(key, m)
      let bytes = try readFile(path)
      do throws(LullError) {
        try runSource(
          String(decoding: bytes, as: UTF8.self), file: path, module: m, showsLast: false
        ).release()
      } catch {
        if let x = try cache.dict.remove(key) { x.release() }
        throw error
      }
      return m
    }
  }
  // A folder without files of its own is a package too, but any real module comes first.
  for d in directories {
    let base = d.isEmpty ? last : d + "/" + last
    if isDirectory(base) {
      let m = makeModule(name)
      m.module.pointee.dict.dict.set(Name.__path__.str, makeList([makeStr(base)]))
      cache.dict.set(key, m)
      return m
    }
  }
  let e = LullError("ModuleNotFoundError", "No module named '\(name)'")
  if let near = nearestName(name, among: knownModules()) {
    e.notes.append("did you mean '\(near)'?")
  }
  e.attributes = [("name", makeStr(name))]
  throw e
}

/// Modules that can be imported by name: native ones and files on the search path.
public func knownModules() -> [String] {
  var out = Set(ModuleRegistry.makers.keys)
  for d in moduleSearchPath {
    guard let dir = opendir(d) else { continue }
    defer { closedir(dir) }
    while let e = readdir(dir) {
      let n = withUnsafePointer(to: &e.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      for suffix in [".lull", ".py"] where n.hasSuffix(suffix) {
        out.insert(String(n.dropLast(suffix.count)))
      }
    }
  }
  return out.sorted()
}

/// `import name` (owned): the top package when `top`, else the module itself.
func importModule(_ name: String, level: Int, globals: DictPtr, top: Bool) throws(LullError)
  -> Value
{
  try checkNativeStack()
  var full = name
  if level > 0 {
    var package = globals.get(Name.__package__.pointer)?.string ?? ""
    if package.isEmpty {
      throw LullError("ImportError", "attempted relative import with no known parent package")
    }
    for _ in 1..<max(level, 1) {
      guard let dot = package.lastIndex(of: ".") else {
        throw LullError("ImportError", "attempted relative import beyond top-level package")
      }
      package = String(package[..<dot])
    }
    full = name.isEmpty ? package : package + "." + name
  }
  let parts = full.split(separator: ".").map(String.init)
  var path = ""
  var first = Value.undefined
  var parent = Value.undefined
  for p in parts {
    path = path.isEmpty ? p : path + "." + p
    let m = try loadModule(path)
    if first.isUndefined { first = m }
    if parent.tag == .module, parent.module.pointee.dict.dict.get(p) == nil {
      parent.module.pointee.dict.dict.set(p, m.retained())
    }
    parent = m
  }
  return (top ? first : parent).retained()
}

func importFrom(_ m: Value, _ name: Value) throws(LullError) -> Value {
  do throws(LullError) { if let v = try getAttributeOrNil(m, name) { return v } } catch {
    // A module's own __getattr__ says so when it has no such name.
    if m.tag != .module || !error.isA("AttributeError") { throw error }
  }
  if m.tag == .module {
    let full = m.module.pointee.name + "." + name.string
    do throws(LullError) {
      return try loadModule(full).retained()
    } catch {
      if error.kind != "ModuleNotFoundError" || !error.message.contains("'\(full)'") { throw error }
    }
    let file = m.module.pointee.dict.dict.get(Name.__file__.pointer)?.string ?? "unknown location"
    let e = LullError(
      "ImportError", "cannot import name '\(name.string)' from '\(m.module.pointee.name)' (\(file))"
    )
    if let near = nearestName(name.string, among: m.module.pointee.dict.dict.keys.map(\.string)) {
      e.notes.append("did you mean '\(near)'?")
    }
    throw e
  }
  throw LullError("ImportError", "cannot import name '\(name.string)'")
}

func importStar(_ m: Value, _ globals: DictPtr) throws(LullError) {
  guard m.tag == .module else { return }
  let d = m.module.pointee.dict.dict
  if let all = d.get(Name.__all__.pointer) {
    try forEach(all) { (n) throws(LullError) in
      globals.set(interned(n), try getAttribute(m, n))
    }
    return
  }
  for k in d.keys where !k.string.hasPrefix("_") {
    if let v = d.get(k.str) { globals.set(interned(k), v.retained()) }
  }
}

/// The module with this dotted name (owned), imported if it was not yet.
public func importModuleValue(_ name: String) throws(LullError) -> Value {
  let parts = name.split(separator: ".").map(String.init)
  var path = ""
  var last = Value.none
  for part in parts {
    path = path.isEmpty ? part : path + "." + part
    last = try loadModule(path)
  }
  return last.retained()
}
