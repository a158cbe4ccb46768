// export_function, exporter and import_function; export_to_dot.

import Engine
import Formats
import Language

/// The arrays of a call of an exported function: positional, and by keyword in the order of their names.
private struct ExportArguments {
  var positional: [NDArray] = []
  var keywords: [(String, NDArray)] = []

  /// Accepts f(x, y, k=z), f([x, y]), f((x, y), {"k": z}) and f({"k": z}).
  init(_ op: String, _ args: [Value], _ named: [(String, Value)]) throws(LullError) {
    var positions = args
    var names = named
    if named.isEmpty, let last = args.last, last.isDict, args.count <= 2 {
      positions.removeLast()
      for (key, v) in dictItems(last) {
        guard let name = key.stringValue else {
          throw LullError.valueError("\(op): keywords must be str")
        }
        names.append((name, v))
      }
    }
    if positions.count == 1, positions[0].isList || positions[0].isTuple {
      positions = Array(positions[0].elements)
    }
    func array(_ v: Value) throws(LullError) -> NDArray {
      guard let x = v.ndarray else {
        throw LullError.valueError("\(op): arguments must be arrays, found \(Tree.describe(v))")
      }
      return x
    }
    for v in positions { positional.append(try array(v)) }
    for (name, v) in names.sorted(by: { $0.0 < $1.0 }) { keywords.append((name, try array(v))) }
  }
  var arrays: [NDArray] { positional + keywords.map(\.1) }

  func fits(_ trace: GraphFile.Trace, isShapeless: Bool) -> Bool {
    guard positional.count == trace.positionalCount, keywords.map(\.0) == trace.keywords else {
      return false
    }
    return zip(arrays, trace.plan.inputEntries).allSatisfy {
      $0.dtype == $1.dtype && (isShapeless ? $0.rank == $1.shape.count : $0.shape == $1.shape)
    }
  }
  var text: String {
    let all =
      positional.map { "\($0.dtype.name) \($0.shape)" }
      + keywords.map { "\($0)=\($1.dtype.name) \($1.shape)" }
    return "(" + all.joined(separator: ", ") + ")"
  }
}

/// Collects traces of a function and writes them when it is closed.
private final class Exporter: @unchecked Sendable {
  let path: String
  let function: Holder
  var file: GraphFile
  var isOpen = true
  init(_ path: String, _ function: Value, isShapeless: Bool, metadata: String) {
    self.path = path
    self.function = Holder(function)
    file = GraphFile(isShapeless: isShapeless, metadata: metadata)
  }

  func add(_ args: [Value], _ named: [(String, Value)]) throws(LullError) {
    guard isOpen else {
      throw LullError(
        "RuntimeError", "exporter: the file is written; nothing can be added after close()")
    }
    let given = try ExportArguments("export_function", args, named)
    if file.traces.contains(where: { given.fits($0, isShapeless: file.isShapeless) }) {
      throw LullError(
        "RuntimeError", "export_function: the function is in the file for \(given.text) already")
    }
    let trace = PlanTrace(given.arrays, isShapeless: file.isShapeless)
    defer { trace.end() }
    let own = trace.placeholders.map { wrap($0) }
    defer { for v in own { v.drop() } }
    var keywords: [(String, Value)] = []
    for (i, (name, _)) in given.keywords.enumerated() {
      keywords.append((name, own[given.positional.count + i]))
    }
    let result = try callValue(
      function.value, Array(own[..<given.positional.count]), keywords: keywords)
    defer { result.drop() }
    var outputs: [NDArray] = []
    for v in result.ndarray != nil ? [result] : Array(result.elements) {
      guard let x = v.ndarray else {
        throw LullError.valueError(
          "export_function: the function must return an array, or a list or tuple of arrays, "
            + "but it holds \(Tree.describe(v))")
      }
      outputs.append(x)
    }
    guard result.ndarray != nil || result.isList || result.isTuple else {
      throw LullError.valueError(
        "export_function: the function must return an array, or a list or tuple of arrays, not "
          + Tree.describe(result))
    }
    let plan = try engine { try trace.finish(outputs, op: "export_function") }
    guard plan.isLasting else {
      throw LullError.valueError(
        "export_function: the function uses an array of a trace around it, which has no value")
    }
    file.traces.append(
      GraphFile.Trace(
        plan: plan, positionalCount: given.positional.count, keywords: given.keywords.map(\.0)))
  }

  func close() throws(LullError) {
    guard isOpen else { return }
    isOpen = false
    let bytes = try engine { try file.bytes() }
    try formats { try writeAtomically(bytes, to: path) }
    file.traces = []
  }
}

let exporterType: NativeType = {
  let type = NativeType(
    "FunctionExporter", module: "mlx.core",
    doc: "Writes a function to a file for each kind of arguments that it is called with.")
  type.call = { (me, args, keywords) throws(LullError) in
    try me.native(Exporter.self)?.add(Array(args), keywords)
    return .none
  }
  type.enter = { (me) throws(LullError) in me.retain() }
  type.exit = { (me, _) throws(LullError) in
    try me.native(Exporter.self)?.close()
    return false
  }
  type.methods = [
    Builtin(
      "close", "close(self)", doc: "Write the file; the end of a `with` block does it too.",
      examples: [
        ">>> export = mx.exporter('/tmp/lull-example.fn', lambda x: x + 1)\n>>> export(mx.array(1))\n>>> export.close()\n>>> mx.import_function('/tmp/lull-example.fn')(mx.array(4))\n[array(5, dtype=int32)]"
      ]
    ) { (a) throws(LullError) in
      try a[0].native(Exporter.self)?.close()
      return .none
    }
  ]
  return type
}()

private final class ImportedFunction: @unchecked Sendable {
  let file: GraphFile
  let path: String
  init(_ file: GraphFile, _ path: String) { (self.file, self.path) = (file, path) }

  func call(_ args: [Value], _ named: [(String, Value)]) throws(LullError) -> Value {
    let given = try ExportArguments("import_function", args, named)
    guard let trace = file.traces.first(where: { given.fits($0, isShapeless: file.isShapeless) })
    else {
      let known = file.traces.map { trace in
        var parts: [String] = []
        for (i, entry) in trace.plan.inputEntries.enumerated() {
          let name =
            i < trace.positionalCount ? "" : trace.keywords[i - trace.positionalCount] + "="
          parts.append("\(name)\(entry.dtype.name) \(entry.shape)")
        }
        return "(" + parts.joined(separator: ", ") + ")"
      }
      throw LullError.valueError(
        "\(path): the function was not exported for \(given.text); it was for "
          + known.joined(separator: ", "))
    }
    stampPosition()
    return list(try engine { try trace.plan.run(given.arrays) })
  }
}

private let importedType: NativeType = {
  let type = NativeType(
    "imported_function", module: "mlx.core", doc: "A function read from a file of export_function.")
  type.call = { (me, args, keywords) throws(LullError) in
    guard let function = me.native(ImportedFunction.self) else { return .none }
    return try function.call(Array(args), keywords)
  }
  return type
}()

private func metadata(_ v: Value) throws(LullError) -> String {
  if v.isNone { return "" }
  guard let text = v.stringValue else {
    throw LullError.typeError("metadata must be a str, not \(v.typeNameText)")
  }
  return text
}

private func namedValues(_ dict: Value) -> [(String, Value)] {
  dictItems(dict).map { ($0.key.stringValue ?? "", $0.value) }
}

/// Tells a function of the program what a trace has, part by part, instead of writing a file.
private func report(_ trace: GraphFile.Trace, to callback: Value) throws(LullError) {
  // A, B, ..., Z, AA, ... in the order in which they are told.
  var names: [Int: String] = [:]
  func name(_ entry: CompiledPlan.Entry) -> Value {
    if let known = names[entry.slot] { return makeStr(known) }
    var (number, text) = (names.count + 1, "")
    while number > 0 {
      text = String(UnicodeScalar(UInt8(65 + (number - 1) % 26))) + text
      number = (number - 1) / 26
    }
    names[entry.slot] = text
    return makeStr(text)
  }
  func form(_ entry: CompiledPlan.Entry) -> Value {
    makeTupleValue([name(entry), makeTuple(ints: entry.shape), dtypeValue(entry.dtype)])
  }
  func tell(_ type: String, _ items: [(String, Value)]) throws(LullError) {
    let dict = makeDictValue([("type", makeStr(type))] + items)
    defer { dict.drop() }
    try callValue(callback, [dict]).drop()
  }
  let plan = trace.plan
  try tell("inputs", [("inputs", makeListValue(plan.inputEntries.map(form)))])
  let named = zip(trace.keywords, plan.inputEntries.dropFirst(trace.positionalCount))
  try tell(
    "keyword_inputs",
    [("keywords", makeListValue(named.map { makeTupleValue([makeStr($0), name($1)]) }))])
  try tell("outputs", [("outputs", makeListValue(plan.outputEntries.map(form)))])
  try tell(
    "constants",
    [
      (
        "constants",
        makeListValue(plan.constantEntries.map { makeTupleValue([name($0), wrap($1)]) })
      )
    ])
  for operation in plan.operations {
    let (title, arguments) = described(operation)
    try tell(
      "primitive",
      [
        ("name", makeStr(title)), ("arguments", makeListValue(arguments)),
        ("inputs", makeListValue(operation.inputs.map(form))),
        ("outputs", makeListValue(operation.outputs.map(form))),
      ])
  }
}

/// MLX's name for an operation (`AsType`), and the values of its parameters.
private func described(_ operation: CompiledPlan.Operation) -> (String, [Value]) {
  switch operation.name {
  case "astype": return ("AsType", operation.outputs.map { dtypeValue($0.dtype) })
  // MLX has one logarithm with three bases.
  case "log2": return ("Log", [Value(0)])
  case "log10": return ("Log", [Value(1)])
  case "log": return ("Log", [Value(2)])
  default: break
  }
  let title = operation.name.split { $0 == "_" || $0 == "." }
    .map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
  func value(_ p: Engine.Parameter) -> Value {
    switch p {
    case .null: .none
    case .bool(let b): Value(b)
    case .int(let i): Value(Int(i))
    case .real(let bits): Value(Double(bitPattern: bits))
    case .text(let s): makeStr(s)
    case .list(let items): makeListValue(items.map(value))
    case .map(let fields):
      makeDictValue(fields.sorted { $0.key < $1.key }.map { ($0.key, value($0.value)) })
    }
  }
  guard case .map(let fields) = operation.parameters else { return (title, []) }
  return (title, fields.sorted { $0.key < $1.key }.map { value($0.value) })
}

public let exportFunctions: [Builtin] = [
  Builtin(
    "export_function", "export_function(file, fun, *args, shapeless=False, metadata='', **kwargs)",
    chapter: "transforms",
    doc:
      "Write what fun computes for such arguments to a file that import_function reads; with shapeless, for "
      + "arrays of other sizes too. A function in the place of the file is told the parts instead.",
    examples: [
      ">>> mx.export_function('/tmp/lull-example.fn', lambda x: mx.exp(x) + 1, mx.array([0.0, 1.0]))\n>>> mx.import_function('/tmp/lull-example.fn')(mx.array([1.0, 0.0]))\n[array([3.71828, 2], dtype=float32)]"
    ]
  ) { (a) throws(LullError) in
    guard a[1].isCallable else { throw a.wrong(1, "a function") }
    let (args, keywords) = (Array(a.rest(2)), namedValues(a["kwargs"]))
    let text = try metadata(a["metadata"])
    let isShapeless = try a.bool("shapeless")
    stampPosition()
    if a[0].isCallable && a[0].stringValue == nil {
      guard text.isEmpty else {
        throw LullError.valueError("export_function: a callback takes no metadata")
      }
      let exporter = Exporter("", a[1], isShapeless: isShapeless, metadata: "")
      try exporter.add(args, keywords)
      try report(exporter.file.traces[0], to: a[0])
      return .none
    }
    let exporter = Exporter(try pathText(a[0]), a[1], isShapeless: isShapeless, metadata: text)
    try exporter.add(args, keywords)
    try exporter.close()
    return .none
  },
  Builtin(
    "exporter", "exporter(file, fun, *, shapeless=False, metadata='')", chapter: "transforms",
    doc: "A context manager that writes fun to a file for each call that is made with it.",
    examples: [
      ">>> with mx.exporter('/tmp/lull-example.fn', lambda x: x + 1) as export:\n...     export(mx.array(1))\n...     export(mx.array([1.0, 2.0]))\n>>> mx.import_function('/tmp/lull-example.fn')(mx.array(4))\n[array(5, dtype=int32)]"
    ]
  ) { (a) throws(LullError) in
    guard a[1].isCallable else { throw a.wrong(1, "a function") }
    return exporterType.make(
      Exporter(
        try pathText(a[0]), a[1], isShapeless: try a.bool("shapeless"),
        metadata: try metadata(a["metadata"])))
  },
  Builtin(
    "import_function", "import_function(file, *, return_metadata=False)", chapter: "transforms",
    doc:
      "The function in a file of export_function; called with arrays, it gives the list of its outputs.",
    examples: [
      ">>> mx.export_function('/tmp/lull-example.fn', lambda x: x * 2, mx.array(1))\n>>> mx.import_function('/tmp/lull-example.fn')(mx.array(3))\n[array(6, dtype=int32)]"
    ]
  ) { (a) throws(LullError) in
    let path = try pathText(a[0])
    let mapped = try formats { try MappedFile(path: path) }
    let file: GraphFile
    do throws(ArrayError) { file = try GraphFile(bytes: mapped.bytes) } catch {
      throw LullError.valueError("\(path): \(error.message)")
    }
    let function = importedType.make(ImportedFunction(file, path))
    return try a.bool("return_metadata")
      ? makeTupleValue([function, makeStr(file.metadata)]) : function
  },
  Builtin(
    "export_to_dot", "export_to_dot(file, *args, **kwargs)", chapter: "transforms",
    doc: "Write the graph of pending arrays as text for Graphviz to a path or an open file.",
    examples: [">>> mx.export_to_dot('/tmp/lull-example.dot', mx.array(1) + 2)"]
  ) { (a) throws(LullError) in
    var outputs: [NDArray] = []
    for v in a.rest(1) { outputs += try Tree.arrays(v, "export_to_dot: an argument") }
    var names: [ObjectIdentifier: String] = [:]
    for (name, v) in namedValues(a["kwargs"]) {
      for x in try Tree.arrays(v, "export_to_dot: an argument") {
        names[ObjectIdentifier(x)] = name
        outputs.append(x)
      }
    }
    let text = graphText(outputs, names: names)
    if let write = try attributeOrNil(a[0], "write") {
      defer { write.drop() }
      let value = makeStr(text)
      defer { value.drop() }
      try callValue(write, [value]).drop()
    } else {
      let path = try pathText(a[0])
      try formats { try writeAtomically(text, to: path) }
    }
    return .none
  },
]
