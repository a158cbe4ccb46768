// The module `lull.introspect`: facts about sources, graphs and memory for the teaching commands, which are written in
// the language (stdlib/lull/teaching). Nothing here evaluates an array.

import Engine
import Language

private func optional(_ value: Int?) -> Value { value.map { Value($0) } ?? .none }

let introspectFunctions: [Builtin] = [
  Builtin(
    "syntax", "syntax(source, /)", chapter: "introspect",
    doc: """
      The statements of a source text as dicts: kind, start, end, targets (names that it assigns), reads (names that it \
      reads) and value, the tree of its expression or None. A node of the tree has kind, start, end, text, name, children, and \
      wraps, whether it may be replaced by a call around it. Offsets count characters.
      """,
    examples: [
      ">>> from lull.introspect import syntax\n>>> [n[\"text\"] for n in syntax(\"a + f(b)\")[0][\"value\"][\"children\"]]\n['a', 'f(b)']"
    ]
  ) { (a) throws(LullError) in
    let source = try a.string(0)
    let program: [Stmt]
    do throws(SyntaxFailure) {
      program = try parseProgram(source)
    } catch {
      throw LullError(
        error.kind, error.message, span: error.span,
        source: SourceText(file: "<source>", text: source))
    }
    let reader = SyntaxReader(source)
    return makeListValue(program.map { reader.statement($0) })
  },
  Builtin(
    "graph", "graph(*arrays)", chapter: "introspect",
    doc: """
      The nodes that arrays (or trees of them) will be computed from, inputs first, as dicts: id, operation (None for an array that \
      has its values), shape, dtype, nbytes, evaluated, value (text of a number that is there), inputs (ids), kernel (number in the order of evaluation), file, line \
      and text of the source that made it.
      """,
    examples: [
      ">>> from lull.introspect import graph\n>>> x = mx.array([1.0, 4.0])\n"
        + ">>> [n[\"operation\"] for n in graph(mx.sqrt(x) + x)]\n[None, 'sqrt', 'add']"
    ]
  ) { (a) throws(LullError) in
    let arrays = try arraysIn(a.rest(0))
    return makeListValue(graphNodes(arrays).map { nodeValue($0) })
  },
  Builtin(
    "identity", "identity(array, /)", chapter: "introspect",
    doc: "The id that an array has in graph().",
    examples: [
      ">>> from lull.introspect import graph, identity\n>>> x = mx.array([1.0])\n>>> identity(x) == graph(x)[0][\"id\"]\nTrue"
    ]
  ) { (a) throws(LullError) in Value(Int(bitPattern: try given(a).identity)) },
  Builtin(
    "is_evaluated", "is_evaluated(array, /)", chapter: "introspect",
    doc: "Whether an array has its values.",
    examples: [
      ">>> from lull.introspect import is_evaluated\n>>> x = mx.ones(3) + 1\n>>> is_evaluated(x)\nFalse"
    ]
  ) { (a) throws(LullError) in Value(try given(a).isEvaluated) },
  Builtin(
    "layout", "layout(array, /)", chapter: "introspect",
    doc: """
      How an evaluated array lies in memory, as a dict: buffer (a number that arrays over the same memory share), \
      capacity (bytes of the buffer), offset and strides in elements, contiguous, external (a mapped file, or another \
      library's memory), and virtual (one value stands for all). None for a pending array.
      """,
    examples: [
      ">>> from lull.introspect import layout\n>>> x = mx.array([[1, 2], [3, 4]])\n>>> mx.eval(x)\n>>> layout(x)[\"strides\"]\n(2, 1)"
    ]
  ) { (a) throws(LullError) in
    let x = try given(a)
    guard let buffer = x.buffer else { return .none }
    return makeDictValue([
      ("buffer", Value(Int(bitPattern: buffer.pointer))), ("capacity", Value(buffer.byteCount)),
      ("offset", Value(x.offset / max(x.dtype.byteCount, 1))),
      ("strides", makeTuple(ints: x.strides)), ("contiguous", Value(x.isRowMajor)),
      ("external", Value(buffer.isExternal)), ("virtual", Value(x.isVirtual)),
    ])
  },
  Builtin(
    "origin", "origin(array, /)", chapter: "introspect",
    doc: "(file, line, text) of the source that made an array; None when its code is gone.",
    examples: [">>> from lull.introspect import origin\n>>> origin(mx.ones(3))[2]\n'mx.ones(3)'"]
  ) { (a) throws(LullError) in
    guard let place = sourceText(try given(a).position) else { return .none }
    return makeTupleValue([makeStr(place.file), Value(place.line), makeStr(place.text)])
  },
]

private func given(_ a: Args) throws(LullError) -> NDArray {
  guard let x = a[0].ndarray else { throw a.wrong(0, "array") }
  return x
}

/// One node of `graph()`; also what `%explain` hands to the language.
public func nodeValue(_ node: GraphNode) -> Value {
  let place = sourceText(node.position)
  let byteCount = node.shape.reduce(1, &*) &* node.dtype.byteCount
  return makeDictValue([
    ("id", Value(Int(bitPattern: node.id))),
    ("operation", node.operation.map { makeStr($0) } ?? .none),
    ("shape", makeTuple(ints: node.shape)), ("dtype", makeStr(node.dtype.name)),
    ("nbytes", Value(byteCount)), ("evaluated", Value(node.isEvaluated)),
    ("value", node.value.map { makeStr($0) } ?? .none),
    ("inputs", makeListValue(node.inputs.map { Value(Int(bitPattern: $0)) })),
    ("kernel", optional(node.kernel)), ("file", place.map { makeStr($0.file) } ?? .none),
    ("line", optional(place?.line)), ("text", place.map { makeStr($0.text) } ?? .none),
  ])
}

// MARK: - Syntax trees

/// Turns a tree into dicts; offsets in bytes become offsets in characters.
private struct SyntaxReader {
  let source: SourceText
  /// Characters before each byte; empty for ASCII, where they are the same.
  private var characters: [Int32] = []

  init(_ text: String) {
    source = SourceText(file: "<source>", text: text)
    if source.bytes.contains(where: { $0 >= 128 }) {
      var count: Int32 = 0
      for b in source.bytes {
        characters.append(count)
        if b & 0xC0 != 0x80 { count += 1 }
      }
      characters.append(count)
    }
  }

  private func place(_ offset: Int32) -> Value {
    let i = max(0, min(Int(offset), source.bytes.count))
    return Value(characters.isEmpty ? i : Int(characters[i]))
  }

  func statement(_ s: Stmt) -> Value {
    var kind = "other"
    var targets: [String] = []
    var value: Expr?
    var reads: Set<String> = []
    switch s.kind {
    case .expression(let e): (kind, value) = ("expression", e)
    case .assign(let places, let e):
      (kind, value) = ("assign", e)
      for t in places { assigned(t, &targets) }
    case .augmentedAssign(let t, _, let e):
      (kind, value) = ("augmented", e)
      assigned(t, &targets)
      reads.formUnion(targets)
    case .annotatedAssign(let t, _, let e):
      (kind, value) = ("assign", e)
      assigned(t, &targets)
    case .for(let t, let e, let body, let orElse):
      (kind, value) = ("for", nil)
      assigned(t, &targets)
      reads.formUnion(names(e))
      inner(body + orElse, &targets, &reads)
    case .with(let items, let body):
      kind = "with"
      for item in items {
        if let t = item.target { assigned(t, &targets) }
        reads.formUnion(names(item.context))
      }
      inner(body, &targets, &reads)
    case .if(let test, let body, let orElse), .while(let test, let body, let orElse):
      kind = "block"
      reads.formUnion(names(test))
      inner(body + orElse, &targets, &reads)
    case .function(let f): (kind, targets) = ("definition", [f.name.name])
    case .class(let c): (kind, targets) = ("definition", [c.name.name])
    case .import(let aliases):
      kind = "import"
      targets = aliases.map {
        $0.alias?.name ?? String($0.name.name.split(separator: ".").first ?? "")
      }
    case .importFrom(_, _, let aliases):
      kind = "import"
      targets = aliases.map { $0.alias?.name ?? $0.name.name }
    default: break
    }
    if let value { reads.formUnion(names(value)) }
    return makeDictValue([
      ("kind", makeStr(kind)), ("start", place(s.span.start)), ("end", place(s.span.end)),
      ("line", Value(source.line(at: s.span.start))), ("text", makeStr(source.text(s.span))),
      ("targets", makeListValue(targets.map { makeStr($0) })),
      ("reads", makeListValue(reads.sorted().map { makeStr($0) })),
      ("value", value.map { node($0) } ?? .none),
    ])
  }

  private func inner(_ body: [Stmt], _ targets: inout [String], _ reads: inout Set<String>) {
    for s in body {
      switch s.kind {
      case .expression(let e): reads.formUnion(names(e))
      case .assign(let places, let e):
        for t in places { assigned(t, &targets) }
        reads.formUnion(names(e))
      case .augmentedAssign(let t, _, let e):
        assigned(t, &targets)
        reads.formUnion(names(e))
      case .for(let t, let e, let body, let orElse):
        assigned(t, &targets)
        reads.formUnion(names(e))
        inner(body + orElse, &targets, &reads)
      case .with(_, let body): inner(body, &targets, &reads)
      case .if(let test, let body, let orElse), .while(let test, let body, let orElse):
        reads.formUnion(names(test))
        inner(body + orElse, &targets, &reads)
      default: break
      }
    }
  }

  /// The names that an assignment to a target changes.
  private func assigned(_ target: Expr, _ out: inout [String]) {
    switch target.kind {
    case .name(let name): out.append(name)
    case .tuple(let parts), .list(let parts): for p in parts { assigned(p, &out) }
    case .starred(let e), .attribute(let e, _), .subscript(let e, _): assigned(e, &out)
    default: break
    }
  }

  private func names(_ e: Expr) -> Set<String> {
    if case .name(let name) = e.kind { return [name] }
    return children(e).reduce(into: []) { $0.formUnion(names($1.expression)) }
  }

  private func node(_ e: Expr, wraps: Bool = true) -> Value {
    let (kind, name) = describe(e)
    let canWrap =
      switch e.kind {
      case .constant, .starred, .slice, .lambda, .generatorExpression, .walrus, .yield, .yieldFrom,
        .formatted:
        false
      default: wraps
      }
    let parts: [Value]
    switch e.kind {
    // Their parts have no values of their own, or are run many times under names of their own.
    case .lambda, .formatted, .constant: parts = []
    default: parts = children(e).map { node($0.expression, wraps: $0.wraps) }
    }
    return makeDictValue([
      ("kind", makeStr(kind)), ("name", name.map { makeStr($0) } ?? .none),
      ("start", place(e.span.start)), ("end", place(e.span.end)),
      ("text", makeStr(source.text(e.span))), ("wraps", Value(canWrap)),
      ("children", makeListValue(parts)),
    ])
  }

  private func describe(_ e: Expr) -> (String, String?) {
    switch e.kind {
    case .constant: ("constant", nil)
    case .name(let name): ("name", name)
    case .tuple: ("tuple", nil)
    case .list: ("list", nil)
    case .set: ("set", nil)
    case .dict: ("dict", nil)
    case .unary(let op, _): ("unary", "\(op)")
    case .binary(let op, _, _): ("binary", "\(op)")
    case .boolean: ("boolean", nil)
    case .compare: ("compare", nil)
    case .conditional: ("conditional", nil)
    case .call(let f, _):
      switch f.kind {
      case .name(let name): ("call", name)
      case .attribute(_, let name): ("call", name.name)
      default: ("call", nil)
      }
    case .attribute(_, let name): ("attribute", name.name)
    case .subscript: ("subscript", nil)
    case .slice: ("slice", nil)
    case .starred: ("starred", nil)
    case .lambda: ("lambda", nil)
    case .listComprehension, .setComprehension, .dictComprehension, .generatorExpression:
      ("comprehension", nil)
    case .formatted: ("formatted", nil)
    case .yield, .yieldFrom: ("yield", nil)
    case .walrus(let name, _): ("walrus", name.name)
    }
  }

  /// The parts of an expression in the order of the source, and whether a call may be put around each.
  private func children(_ e: Expr) -> [(expression: Expr, wraps: Bool)] {
    func all(_ parts: [Expr], _ wraps: Bool = true) -> [(expression: Expr, wraps: Bool)] {
      parts.map { ($0, wraps) }
    }
    func clauses(_ list: [Comprehension]) -> [(expression: Expr, wraps: Bool)] {
      list.flatMap { [($0.target, false), ($0.iterable, true)] + all($0.conditions) }
    }
    switch e.kind {
    case .constant, .name, .lambda: return []
    case .tuple(let p), .list(let p), .set(let p), .boolean(_, let p): return all(p)
    case .dict(let items):
      return items.flatMap { all(($0.key.map { [$0] } ?? []) + [$0.value]) }
    case .unary(_, let x), .starred(let x), .yieldFrom(let x), .attribute(let x, _),
      .walrus(_, let x):
      return [(x, true)]
    case .binary(_, let a, let b): return all([a, b])
    case .compare(let first, let rest): return all([first] + rest.map(\.operand))
    case .conditional(let test, let body, let orElse): return all([body, test, orElse])
    case .call(let f, let arguments):
      let callee: [(expression: Expr, wraps: Bool)] =
        if case .attribute(let base, _) = f.kind { [(base, true)] } else { [(f, false)] }
      return callee + arguments.map { ($0.value, true) }
    case .subscript(let x, let index):
      // The tuple of several indices is no value of its own.
      if case .tuple = index.kind { return [(x, true), (index, false)] }
      return all([x, index])
    case .slice(let a, let b, let c): return all([a, b, c].compactMap { $0 })
    case .listComprehension(let x, let list), .setComprehension(let x, let list),
      .generatorExpression(let x, let list):
      return [(x, true)] + clauses(list)
    case .dictComprehension(let k, let v, let list): return all([k, v]) + clauses(list)
    case .formatted(let parts):
      return parts.compactMap {
        if case .value(let x, _, _) = $0 { (x, false) } else { nil }
      }
    case .yield(let x): return all(x.map { [$0] } ?? [])
    }
  }
}
