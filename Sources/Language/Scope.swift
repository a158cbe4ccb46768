// The resolver: which variable a name means.
//
// One pass over the tree makes a Scope for every function, lambda, comprehension and class body,
// noting what each assigns, reads and declares; a second pass decides for each scope which of its
// variables are captured by inner functions (cells) and which come from outside (free). Rules are
// Python's: a class body's names are invisible to functions in it, a comprehension is a function,
// a walrus in a comprehension binds outside of it.

enum ScopeKind { case module, function, comprehension, classBody }

final class Scope {
  let kind: ScopeKind
  unowned(unsafe) let parent: Scope?
  var assigned: Set<String> = []
  var used: Set<String> = []
  var globals: Set<String> = []
  var nonlocals: Set<String> = []
  var parameters: [String] = []
  var cells: Set<String> = []
  var free: [String] = []
  var isGenerator = false
  var hasWalrus = false
  var children: [Scope] = []
  /// The class whose body this is or lies in, for names such as `__x`.
  let className: String?
  init(_ kind: ScopeKind, _ parent: Scope?, className: String? = nil) {
    self.kind = kind
    self.parent = parent
    self.className = className ?? parent?.className
  }
  func mangled(_ n: String) -> String { mangledName(n, in: className) }
  func addFree(_ name: String) {
    if !free.contains(name) { free.append(name) }
  }
  var isFunction: Bool { kind == .function || kind == .comprehension }
  func isLocal(_ name: String) -> Bool {
    assigned.contains(name) && !globals.contains(name) && !nonlocals.contains(name)
  }
}

/// `__x` inside a class becomes `_Class__x`.
func mangledName(_ n: String, in className: String?) -> String {
  guard let className, n.hasPrefix("__"), !n.hasSuffix("__"), !n.contains(".") else { return n }
  let stripped = className.drop { $0 == "_" }
  return stripped.isEmpty ? n : "_\(stripped)\(n)"
}

struct ScopeBuilder {
  let source: SourceText
  var scopes: [ObjectIdentifier: Scope] = [:]
  var current: Scope

  init(source: SourceText) {
    self.source = source
    current = Scope(.module, nil)
  }

  func error(_ m: String, _ span: Span) -> LullError {
    LullError("SyntaxError", m, span: span, source: source)
  }

  mutating func build(_ body: [Stmt]) throws(LullError) -> Scope {
    let module = current
    try block(body)
    try resolve(module)
    return module
  }

  private mutating func assign(_ name: String) { current.assigned.insert(current.mangled(name)) }

  private mutating func block(_ body: [Stmt]) throws(LullError) {
    for s in body { try statement(s) }
  }

  private mutating func statement(_ s: Stmt) throws(LullError) {
    switch s.kind {
    case .expression(let e): try expr(e)
    case .assign(let targets, let value):
      try expr(value)
      for t in targets { try target(t) }
    case .augmentedAssign(let t, _, let value):
      try expr(t)
      try target(t)
      try expr(value)
    case .annotatedAssign(let t, let annotation, let value):
      if let value { try expr(value) }
      if current.kind != .function {
        current.assigned.insert("__annotations__")
        try expr(annotation)
      }
      try target(t)
    case .return(let e): if let e { try expr(e) }
    case .delete(let targets): for t in targets { try target(t) }
    case .pass, .break, .continue: break
    case .if(let test, let body, let orElse):
      try expr(test)
      try block(body)
      try block(orElse)
    case .while(let test, let body, let orElse):
      try expr(test)
      try block(body)
      try block(orElse)
    case .for(let t, let iterable, let body, let orElse):
      try expr(iterable)
      try target(t)
      try block(body)
      try block(orElse)
    case .function(let f):
      for d in f.decorators { try expr(d) }
      assign(f.name.name)
      if let e = f.returnAnnotation { try expr(e) }
      try function(ObjectIdentifier(f), f.parameters) { b throws(LullError) in
        try b.block(f.body)
      }
    case .class(let c):
      for d in c.decorators { try expr(d) }
      for a in c.arguments { try expr(a.value) }
      assign(c.name.name)
      let outer = current
      current = Scope(.classBody, outer, className: c.name.name)
      outer.children.append(current)
      scopes[ObjectIdentifier(c)] = current
      try block(c.body)
      current = outer
    case .with(let items, let body):
      for i in items {
        try expr(i.context)
        if let t = i.target { try target(t) }
      }
      try block(body)
    case .try(let body, let handlers, let orElse, let finally):
      try block(body)
      for h in handlers {
        if let t = h.type { try expr(t) }
        if let n = h.name { assign(n.name) }
        try block(h.body)
      }
      try block(orElse)
      try block(finally)
    case .raise(let e, let cause):
      if let e { try expr(e) }
      if let cause { try expr(cause) }
    case .assert(let e, let message):
      try expr(e)
      if let message { try expr(message) }
    case .global(let names):
      for n in names {
        if current.parameters.contains(current.mangled(n.name)) {
          throw error("name '\(n.name)' is parameter and global", n.span)
        }
        if current.assigned.contains(current.mangled(n.name)), current.kind != .module {
          throw error("name '\(n.name)' is assigned to before global declaration", n.span)
        }
        if current.used.contains(current.mangled(n.name)), current.kind != .module {
          throw error("name '\(n.name)' is used prior to global declaration", n.span)
        }
        current.globals.insert(current.mangled(n.name))
      }
    case .nonlocal(let names):
      for n in names {
        if current.kind == .module {
          throw error("nonlocal declaration not allowed at module level", n.span)
        }
        if current.parameters.contains(current.mangled(n.name)) {
          throw error("name '\(n.name)' is parameter and nonlocal", n.span)
        }
        if current.assigned.contains(current.mangled(n.name)) {
          throw error("name '\(n.name)' is assigned to before nonlocal declaration", n.span)
        }
        if current.used.contains(current.mangled(n.name)) {
          throw error("name '\(n.name)' is used prior to nonlocal declaration", n.span)
        }
        var p = current.parent
        var found = false
        while let q = p {
          // The binding may be assigned further down in the enclosing function; that is decided
          // in `resolve`. Here only the existence of an enclosing function is checked.
          if q.kind == .function { found = true }
          p = q.parent
        }
        if !found { throw error("no binding for nonlocal '\(n.name)' found", n.span) }
        current.nonlocals.insert(current.mangled(n.name))
        nonlocalSpans[ObjectIdentifier(current), default: []].append(
          Identifier(current.mangled(n.name), n.span))
      }
    case .import(let aliases):
      for a in aliases {
        if let alias = a.alias {
          assign(alias.name)
        } else {
          assign(String(a.name.name.prefix { $0 != "." }))
        }
      }
    case .importFrom(_, _, let aliases):
      if aliases.isEmpty, current.kind != .module {
        throw error("import * only allowed at module level", s.span)
      }
      for a in aliases { assign(a.alias?.name ?? a.name.name) }
    }
  }
  private var nonlocalSpans: [ObjectIdentifier: [Identifier]] = [:]

  private mutating func target(_ e: Expr) throws(LullError) {
    switch e.kind {
    case .name(let n): assign(n)
    case .tuple(let items), .list(let items): for i in items { try target(i) }
    case .starred(let i): try target(i)
    default: try expr(e)
    }
  }

  private mutating func function(
    _ id: ObjectIdentifier, _ p: Parameters, kind: ScopeKind = .function,
    _ body: (inout ScopeBuilder) throws(LullError) -> Void
  ) throws(LullError) {
    for q in p.positionalOnly + p.positional + p.keywordOnly {
      if let d = q.defaultValue { try expr(d) }
    }
    for q in p.positionalOnly + p.positional + p.keywordOnly
      + [p.rest, p.keywords].compactMap({ $0 })
    {
      if let e = q.annotation { try expr(e) }
    }
    let outer = current
    let scope = Scope(kind, outer)
    outer.children.append(scope)
    scopes[id] = scope
    for q in p.positionalOnly + p.positional + p.keywordOnly
      + [p.rest, p.keywords].compactMap({ $0 })
    {
      if scope.assigned.contains(scope.mangled(q.name.name)) {
        throw error(
          "duplicate argument '\(q.name.name)' in function definition", q.name.span)
      }
      scope.parameters.append(scope.mangled(q.name.name))
      scope.assigned.insert(scope.mangled(q.name.name))
    }
    current = scope
    try body(&self)
    current = outer
  }

  private mutating func comprehension(
    _ e: Expr, _ clauses: [Comprehension], _ parts: [Expr]
  ) throws(LullError) {
    guard let first = clauses.first else { return }
    try expr(first.iterable)
    let outer = current
    let scope = Scope(.comprehension, outer)
    outer.children.append(scope)
    scopes[ObjectIdentifier(e)] = scope
    current = scope
    scope.parameters = [".0"]
    scope.assigned.insert(".0")
    for (i, c) in clauses.enumerated() {
      try target(c.target)
      if i > 0 { try expr(c.iterable) }
      for condition in c.conditions { try expr(condition) }
    }
    for p in parts { try expr(p) }
    current = outer
  }

  private mutating func expr(_ e: Expr) throws(LullError) {
    switch e.kind {
    case .constant: break
    case .name(let n):
      current.used.insert(current.mangled(n))
      if n == "super" || n == "__class__" { current.used.insert("__class__") }
    case .tuple(let items), .list(let items), .set(let items), .boolean(_, let items):
      for i in items { try expr(i) }
    case .dict(let items):
      for (k, v) in items {
        if let k { try expr(k) }
        try expr(v)
      }
    case .unary(_, let a), .starred(let a), .yieldFrom(let a), .attribute(let a, _):
      if case .yieldFrom = e.kind { try markGenerator(e) }
      try expr(a)
    case .binary(_, let a, let b), .subscript(let a, let b):
      try expr(a)
      try expr(b)
    case .compare(let a, let rest):
      try expr(a)
      for r in rest { try expr(r.operand) }
    case .conditional(let t, let a, let b):
      try expr(t)
      try expr(a)
      try expr(b)
    case .call(let f, let arguments):
      try expr(f)
      for a in arguments { try expr(a.value) }
    case .slice(let a, let b, let c):
      if let a { try expr(a) }
      if let b { try expr(b) }
      if let c { try expr(c) }
    case .lambda(let p, let body):
      try function(ObjectIdentifier(e), p) { b throws(LullError) in try b.expr(body) }
    case .listComprehension(let x, let c), .setComprehension(let x, let c):
      try comprehension(e, c, [x])
    case .generatorExpression(let x, let c):
      try comprehension(e, c, [x])
      scopes[ObjectIdentifier(e)]?.isGenerator = true
    case .dictComprehension(let k, let v, let c): try comprehension(e, c, [k, v])
    case .formatted(let parts): try format(parts)
    case .yield(let v):
      try markGenerator(e)
      if let v { try expr(v) }
    case .walrus(let raw, let v):
      try expr(v)
      let name = Identifier(current.mangled(raw.name), raw.span)
      var s = current
      while s.kind == .comprehension, let p = s.parent {
        s.hasWalrus = true
        s.used.insert(name.name)
        if p.kind == .classBody {
          throw error(
            "assignment expression within a comprehension cannot be used in a class body", e.span)
        }
        s = p
      }
      if s !== current {
        if s.kind == .module || s.globals.contains(name.name) {
          var t = current
          while t !== s, let p = t.parent {
            t.globals.insert(name.name)
            t = p
          }
        } else {
          var t = current
          while t !== s, let p = t.parent {
            t.nonlocals.insert(name.name)
            t = p
          }
        }
      }
      s.assigned.insert(name.name)
      s.hasWalrus = true
      current.hasWalrus = true
    }
  }
  private mutating func format(_ parts: [FStringPart]) throws(LullError) {
    for p in parts {
      if case .value(let v, _, let spec) = p {
        try expr(v)
        if let spec { try format(spec) }
      }
    }
  }
  private func markGenerator(_ e: Expr) throws(LullError) {
    if current.kind == .function {
      current.isGenerator = true
    } else if current.kind == .comprehension {
      throw error("'yield' inside a comprehension", e.span)
    } else {
      throw error("'yield' outside function", e.span)
    }
  }

  // MARK: Resolution

  private func resolve(_ s: Scope) throws(LullError) {
    if s.kind != .module {
      for name in s.used.union(s.nonlocals) {
        if s.globals.contains(name) { continue }
        if s.isLocal(name), s.kind != .classBody || name != "__class__" { continue }
        let found = bind(name, from: s)
        if !found, s.nonlocals.contains(name) {
          let span = nonlocalSpans[ObjectIdentifier(s)]?.first { $0.name == name }?.span
          throw error("no binding for nonlocal '\(name)' found", span ?? Span(0, 0))
        }
      }
    }
    for c in s.children { try resolve(c) }
    // All that need them have said so: in the order of their names, as CPython has the cells.
    s.free.sort()
  }

  /// Finds the enclosing function that owns `name`, makes it a cell there and free in between.
  private func bind(_ name: String, from s: Scope) -> Bool {
    var path = [s]
    var p = s.parent
    while let q = p {
      if q.kind == .classBody {
        if name == "__class__" {
          q.cells.insert(name)
          for x in path { x.addFree(name) }
          return true
        }
      } else if q.isFunction {
        if q.globals.contains(name) { return false }
        if q.isLocal(name) {
          q.cells.insert(name)
          for x in path { x.addFree(name) }
          return true
        }
      }
      path.append(q)
      p = q.parent
    }
    return false
  }
}
