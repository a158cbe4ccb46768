// Which names of its module a piece of source reads, binds and deletes.
//
// For tools that look at cells in their order: what a cell needs from others before it runs, and what it leaves.
// Bodies of functions and lambdas run later, so what they read is not among the reads; comprehensions run at once.

public struct NameUse {
  /// Names of the module that are read before the source binds them, with the first place.
  public private(set) var reads: [Identifier] = []
  /// Names that are bound for others: assigned, imported, defined.
  public private(set) var binds: Set<String> = []
  /// Names that are deleted and not bound again.
  public private(set) var deletes: Set<String> = []
  private var seen: Set<String> = []
  /// Names of comprehensions and class bodies around the place that is being read.
  private var inner: [Set<String>] = []

  /// Throws what the parser has against the source.
  public init(_ source: String) throws(SyntaxFailure) {
    block(try parseProgram(source))
  }

  // MARK: - Names

  private mutating func read(_ name: String, _ span: Span) {
    if inner.contains(where: { $0.contains(name) }) || binds.contains(name) { return }
    if seen.insert(name).inserted { reads.append(Identifier(name, span)) }
  }

  private mutating func bind(_ name: String) {
    if inner.isEmpty {
      binds.insert(name)
      deletes.remove(name)
    } else {
      inner[inner.count - 1].insert(name)
    }
  }

  // MARK: - Statements

  private mutating func block(_ body: [Stmt]) { for s in body { statement(s) } }

  private mutating func statement(_ s: Stmt) {
    switch s.kind {
    case .expression(let e): expr(e)
    case .assign(let targets, let value):
      expr(value)
      for t in targets { target(t) }
    case .augmentedAssign(let t, _, let value):
      expr(t)
      expr(value)
      target(t)
    case .annotatedAssign(let t, let annotation, let value):
      if let value { expr(value) }
      expr(annotation)
      if value != nil { target(t) }
    case .return(let e): if let e { expr(e) }
    case .delete(let targets): for t in targets { delete(t) }
    case .pass, .break, .continue, .global, .nonlocal: break
    case .if(let test, let body, let orElse):
      expr(test)
      alternatives([body, orElse])
    case .while(let test, let body, let orElse):
      expr(test)
      block(body)
      block(orElse)
    case .for(let t, let iterable, let body, let orElse):
      expr(iterable)
      target(t)
      block(body)
      block(orElse)
    case .function(let f):
      for d in f.decorators { expr(d) }
      parameters(f.parameters)
      if let e = f.returnAnnotation { expr(e) }
      bind(f.name.name)
    case .class(let c):
      for d in c.decorators { expr(d) }
      for a in c.arguments { expr(a.value) }
      inner.append([])
      block(c.body)
      inner.removeLast()
      bind(c.name.name)
    case .with(let items, let body):
      for i in items {
        expr(i.context)
        if let t = i.target { target(t) }
      }
      block(body)
    case .try(let body, let handlers, let orElse, let finally):
      block(body)
      for h in handlers {
        if let t = h.type { expr(t) }
        if let n = h.name { bind(n.name) }
        block(h.body)
      }
      block(orElse)
      block(finally)
    case .raise(let e, let cause):
      if let e { expr(e) }
      if let cause { expr(cause) }
    case .assert(let e, let message):
      expr(e)
      if let message { expr(message) }
    case .import(let aliases):
      for a in aliases { bind(a.alias?.name ?? String(a.name.name.prefix { $0 != "." })) }
    case .importFrom(_, _, let aliases):
      for a in aliases { bind(a.alias?.name ?? a.name.name) }
    }
  }

  /// Branches of which one runs: each starts from the same names, and what any binds may be there.
  private mutating func alternatives(_ branches: [[Stmt]]) {
    let before = (binds, deletes)
    var bound = binds
    var deleted = deletes
    for branch in branches {
      (binds, deletes) = before
      block(branch)
      bound.formUnion(binds)
      deleted.formIntersection(deletes)
    }
    (binds, deletes) = (bound, deleted)
  }

  private mutating func target(_ e: Expr) {
    switch e.kind {
    case .name(let n): bind(n)
    case .tuple(let items), .list(let items): for i in items { target(i) }
    case .starred(let i): target(i)
    default: expr(e)
    }
  }

  private mutating func delete(_ e: Expr) {
    switch e.kind {
    case .name(let n):
      read(n, e.span)
      if inner.isEmpty {
        binds.remove(n)
        deletes.insert(n)
      } else {
        inner[inner.count - 1].remove(n)
      }
    case .tuple(let items), .list(let items): for i in items { delete(i) }
    default: expr(e)
    }
  }

  // MARK: - Expressions

  /// What a function's definition reads at once: defaults and annotations.
  private mutating func parameters(_ p: Parameters) {
    let all =
      p.positionalOnly + p.positional + p.keywordOnly + [p.rest, p.keywords].compactMap { $0 }
    for q in all {
      if let d = q.defaultValue { expr(d) }
      if let a = q.annotation { expr(a) }
    }
  }

  private mutating func expr(_ e: Expr) {
    switch e.kind {
    case .constant: break
    case .name(let n): read(n, e.span)
    case .tuple(let items), .list(let items), .set(let items), .boolean(_, let items):
      for i in items { expr(i) }
    case .dict(let items):
      for i in items {
        if let key = i.key { expr(key) }
        expr(i.value)
      }
    case .unary(_, let x), .starred(let x), .attribute(let x, _), .yieldFrom(let x): expr(x)
    case .binary(_, let a, let b), .subscript(let a, let b):
      expr(a)
      expr(b)
    case .compare(let first, let rest):
      expr(first)
      for r in rest { expr(r.operand) }
    case .conditional(let test, let body, let orElse):
      expr(test)
      expr(body)
      expr(orElse)
    case .call(let f, let arguments):
      expr(f)
      for a in arguments { expr(a.value) }
    case .slice(let lower, let upper, let step):
      for x in [lower, upper, step] { if let x { expr(x) } }
    case .lambda(let p, _): parameters(p)
    case .listComprehension(let x, let clauses), .setComprehension(let x, let clauses):
      comprehension(clauses, [x])
    // A generator may run later; where it is made, it is mostly used.
    case .generatorExpression(let x, let clauses): comprehension(clauses, [x])
    case .dictComprehension(let key, let value, let clauses): comprehension(clauses, [key, value])
    case .formatted(let parts): formatted(parts)
    case .yield(let x): if let x { expr(x) }
    case .walrus(let name, let value):
      expr(value)
      // Binds outside of comprehensions.
      let own = inner
      inner = []
      bind(name.name)
      inner = own
    }
  }

  private mutating func comprehension(_ clauses: [Comprehension], _ results: [Expr]) {
    for (i, clause) in clauses.enumerated() {
      expr(clause.iterable)
      if i == 0 { inner.append([]) }
      target(clause.target)
      for c in clause.conditions { expr(c) }
    }
    for r in results { expr(r) }
    if !clauses.isEmpty { inner.removeLast() }
  }

  private mutating func formatted(_ parts: [FStringPart]) {
    for part in parts {
      guard case .value(let e, _, let spec) = part else { continue }
      expr(e)
      if let spec { formatted(spec) }
    }
  }
}
