// The compiler: syntax tree and scopes to register bytecode. Statements and control flow here;
// expressions in Compiler+Expressions.swift.
//
// One FunctionCompiler per code object. Locals have fixed registers; temporaries are allocated like
// a stack (`mark`/`release`), carry bit 15 while compiling, and get their final numbers, after the
// locals, when the code is finished. An expression is compiled `into` a register that the caller
// chose or into one of its own choice; reading a local needs no instruction.
//
// `try`, `with` and loops are blocks on a compile-time stack: a jump out of them (return, break,
// continue) first emits each block's clean-up inline, outside that block's exception ranges.

typealias Reg = UInt16
let temporaryBit: UInt16 = 0x8000

struct Label { var id: Int }

enum Block {
  case loop(breakTo: Label, continueTo: Label, iterator: Reg?)
  case finally([Stmt])
  case with(exit: Reg, span: Span)
  /// Inside an except clause: `saved` is what was being handled before.
  case handler(saved: Reg, name: String?)
}

final class FunctionCompiler {
  let source: SourceText
  let scopes: [ObjectIdentifier: Scope]
  /// `from __future__ import annotations` stands in the module.
  var defersAnnotations: Bool
  let scope: Scope
  let parent: FunctionCompiler?
  let name: String
  let qualname: String
  var instructions: [Instruction] = []
  var spans: [Span] = []
  var operands: [Int: (Span, Span)] = [:]
  var constants: [Value] = []
  var intConstants: [Int: UInt16] = [:]
  var nameConstants: [String: UInt16] = [:]
  var stringConstants: [TextKey: UInt16] = [:]
  var floatConstants: [UInt64: UInt16] = [:]
  var locals: [String: Reg] = [:]
  var localNames: [String] = []
  var localCount = 0
  var freeHidden: [Reg] = []
  /// Hidden locals that hold constants used in loops, by the constant's index; loaded on entry.
  var hoisted: [UInt16: Reg] = [:]
  var loopDepth = 0
  var temporaries = 0
  var maxTemporaries = 0
  var cacheCount = 0
  var labels: [Int] = []
  var jumps: [(at: Int, label: Label)] = []
  var ranges: [(start: Int, end: Int, handler: Label, register: Reg, depth: Int)] = []
  var blocks: [(block: Block, range: Int?)] = []
  /// Open exception ranges, innermost last: (start, handler, register).
  var openRanges: [(start: Int, handler: Label, register: Reg)] = []
  var span = Span(0, 0)
  /// The class whose body is being compiled, for name mangling of `__private`.
  var className: String?

  init(
    _ scope: Scope, _ scopes: [ObjectIdentifier: Scope], source: SourceText, name: String,
    parent: FunctionCompiler?
  ) {
    self.scope = scope
    self.scopes = scopes
    defersAnnotations = parent?.defersAnnotations ?? false
    self.source = source
    self.parent = parent
    self.name = name
    className = parent?.className
    if let parent, parent.scope.kind != .module {
      if parent.scope.globals.contains(name) {
        qualname = name
      } else {
        qualname =
          parent.scope.kind == .classBody
          ? "\(parent.qualname).\(name)" : "\(parent.qualname).<locals>.\(name)"
      }
    } else {
      qualname = name
    }
  }

  deinit { for v in constants { v.release() } }

  func error(_ m: String, _ span: Span) -> LullError {
    LullError("SyntaxError", m, span: span, source: source)
  }

  // MARK: Emission

  @discardableResult
  func emit(
    _ op: Op, _ a: UInt16 = 0, _ b: UInt16 = 0, _ c: UInt16 = 0, x: Int = 0, y: UInt32 = 0
  ) -> Int {
    instructions.append(
      Instruction(op: op, a: a, b: b, c: c, x: Int32(truncatingIfNeeded: x), y: y))
    spans.append(span)
    return instructions.count - 1
  }
  func emitJump(
    _ op: Op, _ a: UInt16 = 0, _ b: UInt16 = 0, _ c: UInt16 = 0, y: UInt32 = 0, to l: Label
  ) {
    jumps.append((emit(op, a, b, c, y: y), l))
  }
  func newLabel() -> Label {
    labels.append(-1)
    return Label(id: labels.count - 1)
  }
  func place(_ l: Label) { labels[l.id] = instructions.count }
  func at<T>(_ s: Span, _ body: () throws(LullError) -> T) throws(LullError) -> T {
    let old = span
    span = s
    let r = try body()
    span = old
    return r
  }

  func newTemporary() -> Reg {
    temporaries += 1
    maxTemporaries = max(maxTemporaries, temporaries)
    return temporaryBit | UInt16(truncatingIfNeeded: temporaries - 1)
  }
  func newLocal(_ name: String) -> Reg {
    localNames.append(name)
    localCount += 1
    return UInt16(truncatingIfNeeded: localCount - 1)
  }
  func newHidden() -> Reg {
    if let r = freeHidden.popLast() { return r }
    return newLocal("")
  }
  /// Clears a hidden local and allows its reuse.
  func freeHiddenLocal(_ r: Reg) {
    emit(.clear, r)
    freeHidden.append(r)
  }
  func isTemporary(_ r: Reg) -> Bool { r & temporaryBit != 0 }

  func addConstant(_ v: Value) throws(LullError) -> UInt16 {
    if constants.count >= 0x7FF0 { throw error("too many constants in one function", span) }
    constants.append(v)
    return UInt16(constants.count - 1)
  }
  func nameConstant(_ n: String) throws(LullError) -> UInt16 {
    if let k = nameConstants[n] { return k }
    let k = try addConstant(interned(n))
    nameConstants[n] = k
    return k
  }
  func newCache() -> Int {
    cacheCount += 1
    return cacheCount - 1
  }

  func mangled(_ n: String) -> String { mangledName(n, in: className) }

  // MARK: Variables

  enum Place {
    case local(Reg)
    case cell(Reg)
    case free(Int)
    case global
    case name
    /// In a class body: class namespace first, then the enclosing function's variable.
    case classFree(Int)
  }

  func place(of n: String) -> Place {
    if scope.kind == .module { return .global }
    if scope.globals.contains(n) { return .global }
    if scope.kind == .classBody {
      if n == "__class__", let i = scope.free.firstIndex(of: n) { return .free(i) }
      if scope.isLocal(n) { return .name }
      if let i = scope.free.firstIndex(of: n) {
        return scope.nonlocals.contains(n) ? .free(i) : .classFree(i)
      }
      return scope.assigned.contains(n) ? .name : .global
    }
    if scope.isLocal(n) {
      let r = localRegister(n)
      return scope.cells.contains(n) ? .cell(r) : .local(r)
    }
    if let i = scope.free.firstIndex(of: n) { return .free(i) }
    return .global
  }
  func localRegister(_ n: String) -> Reg {
    if let r = locals[n] { return r }
    let r = newLocal(n)
    locals[n] = r
    return r
  }

  /// Stores a register (consumed when temporary) into a variable.
  func store(_ r: Reg, name raw: String, _ s: Span) throws(LullError) {
    let n = mangled(raw)
    let old = span
    span = s
    defer { span = old }
    switch place(of: n) {
    case .local(let l): if l != r { emit(.move, l, r) }
    case .cell(let l): emit(.storeCell, r, l, try nameConstant(n))
    case .free(let i), .classFree(let i): emit(.storeFree, r, UInt16(i), try nameConstant(n))
    case .global: emit(.storeGlobal, r, 0, try nameConstant(n))
    case .name: emit(.storeName, r, 0, try nameConstant(n))
    }
  }

  // MARK: Statements

  func block(_ body: [Stmt]) throws(LullError) {
    for s in body { try statement(s) }
  }

  func statement(_ s: Stmt) throws(LullError) {
    let mark = temporaries
    defer { temporaries = mark }
    span = s.span
    switch s.kind {
    case .expression(let e):
      if case .constant = e.kind { return }
      try effect(e)
    case .assign(let targets, let value): try assign(targets, value)
    case .augmentedAssign(let target, let op, let value):
      try augmented(target, op, value, s.span)
    case .annotatedAssign(let target, let annotation, let value):
      if let value { try assign([target], value) }
      // Inside functions they are not evaluated, as in CPython.
      if scope.kind != .function {
        let v = newTemporary()
        try self.annotation(annotation, v)
        if case .name(let n) = target.kind {
          let d = newTemporary()
          if scope.kind == .module {
            emit(.loadGlobal, d, 0, try nameConstant("__annotations__"), x: -1)
          } else {
            emit(.loadName, d, 0, try nameConstant("__annotations__"))
          }
          let k = newTemporary()
          emit(.loadConst, k, try addConstant(makeStr(mangled(n))))
          // The program may have put anything there.
          emit(.setItem, d, k, v)
        } else {
          emit(.clear, v)
        }
      }
    case .return(let e):
      if !(scope.kind == .function) { throw error("'return' outside function", s.span) }
      try returnStatement(e)
    case .delete(let targets): for t in targets { try delete(t) }
    case .pass: break
    case .break:
      guard let i = blocks.lastIndex(where: { if case .loop = $0.block { true } else { false } })
      else { throw error("'break' outside loop", s.span) }
      if case .loop(let to, _, _) = blocks[i].block {
        try unwind(downTo: i + 1)
        emitJump(.jump, to: to)
        reopen(from: i + 1)
      }
    case .continue:
      guard let i = blocks.lastIndex(where: { if case .loop = $0.block { true } else { false } })
      else { throw error("'continue' not properly in loop", s.span) }
      if case .loop(_, let to, _) = blocks[i].block {
        try unwind(downTo: i + 1)
        emitJump(.jump, to: to)
        reopen(from: i + 1)
      }
    case .if(let test, let body, let orElse):
      let no = newLabel()
      try jump(test, to: no, when: false)
      try block(body)
      if orElse.isEmpty {
        place(no)
      } else {
        let end = newLabel()
        emitJump(.jump, to: end)
        place(no)
        try block(orElse)
        place(end)
      }
    case .while(let test, let body, let orElse):
      let top = newLabel()
      let next = newLabel()
      let exit = newLabel()
      let end = newLabel()
      loopDepth += 1
      try jump(test, to: exit, when: false)
      place(top)
      blocks.append((.loop(breakTo: end, continueTo: next, iterator: nil), nil))
      try block(body)
      blocks.removeLast()
      place(next)
      span = s.span
      try jump(test, to: top, when: true)
      loopDepth -= 1
      place(exit)
      try block(orElse)
      place(end)
    case .for(let target, let iterable, let body, let orElse):
      try forLoop(target, iterable, body, orElse)
    case .function(let f): try function(f)
    case .class(let c): try classDefinition(c)
    case .with(let items, let body): try with(items[...], body, s.span)
    case .try(let body, let handlers, let orElse, let finally):
      try tryStatement(body, handlers, orElse, finally)
    case .raise(let e, let cause):
      guard let e else {
        emit(.reraise, noRegister)
        return
      }
      let r = try operand(e)
      var c = noRegister
      if let cause { c = try operand(cause) }
      span = s.span
      emit(.raise, r, c)
    case .assert(let e, let message):
      let ok = newLabel()
      try jump(e, to: ok, when: true)
      span = e.span
      var m = noRegister
      if let message { m = try operand(message) }
      span = e.span
      emit(.assertFail, m)
      place(ok)
    case .global, .nonlocal: break
    case .import(let aliases):
      for a in aliases {
        let r = newTemporary()
        span = a.name.span
        emit(
          .importName, r, 0, try nameConstant(a.name.name), x: 0, y: a.alias == nil ? 1 : 0)
        let bound = a.alias?.name ?? String(a.name.name.prefix { $0 != "." })
        try store(r, name: bound, a.name.span)
      }
    case .importFrom(let module, let level, let aliases):
      let r = newHidden()
      emit(.importName, r, 0, try nameConstant(module), x: level, y: 0)
      if aliases.isEmpty { emit(.importStar, 0, r) }
      for a in aliases {
        span = a.name.span
        let v = newTemporary()
        emit(.importFrom, v, r, try nameConstant(a.name.name))
        try store(v, name: a.alias?.name ?? a.name.name, a.name.span)
      }
      freeHiddenLocal(r)
    }
  }

  private func assign(_ targets: [Expr], _ value: Expr) throws(LullError) {
    if targets.count == 1, case .name(let n) = targets[0].kind {
      if case .local(let l) = place(of: mangled(n)) {
        let r = try expr(value, into: l)
        if r != l { emit(.move, l, r) }
        return
      }
    }
    // a, b = x, y: without building the tuple when the counts match and nothing is starred.
    if targets.count == 1, case .tuple(let left) = targets[0].kind,
      case .tuple(let right) = value.kind, left.count == right.count, left.count <= 4,
      !left.contains(where: { $0.isStarred }), !right.contains(where: { $0.isStarred })
    {
      var registers: [Reg] = []
      // Distinct locals: the last value may go to its place at once.
      let locals = left.compactMap { (t) -> Reg? in
        if case .name(let n) = t.kind, case .local(let l) = place(of: mangled(n)) { return l }
        return nil
      }
      if let last = locals.last, Set(locals).count == left.count, !scope.hasWalrus {
        for e in right.dropLast() {
          let t = newTemporary()
          try exprInto(e, t)
          registers.append(t)
        }
        try exprInto(right[right.count - 1], last)
        for (t, r) in zip(left, registers) { try assign(t, from: r) }
        return
      }
      for e in right {
        let t = newTemporary()
        try exprInto(e, t)
        registers.append(t)
      }
      for (t, r) in zip(left, registers) { try assign(t, from: r) }
      return
    }
    if targets.count == 1 {
      let r = try operandCopied(value)
      try assign(targets[0], from: r)
      return
    }
    let h = newHidden()
    try exprInto(value, h)
    for t in targets {
      let mark = temporaries
      let r = newTemporary()
      emit(.move, r, h)
      try assign(t, from: r)
      temporaries = mark
    }
    freeHiddenLocal(h)
  }

  /// Assigns a register (a temporary is consumed) to a target.
  func assign(_ target: Expr, from r: Reg) throws(LullError) {
    let mark = temporaries
    defer { temporaries = mark }
    switch target.kind {
    case .name(let n): try store(r, name: n, target.span)
    case .attribute(let o, let name):
      let obj = try operand(o)
      span = target.span
      emit(.setAttr, obj, r, try nameConstant(mangled(name.name)), x: 0, y: 0)
    case .subscript(let o, let index):
      let obj = try operand(o)
      if let x = smallInt(index) {
        span = target.span
        emit(.setItemImm, obj, 0, r, x: Int(x))
        break
      }
      let i = try operandIndex(index)
      span = target.span
      emit(.setItem, obj, i, r)
    case .tuple(let items), .list(let items):
      span = target.span
      let first = temporaries
      for _ in items { _ = newTemporary() }
      let base = temporaryBit | UInt16(first)
      if let star = items.firstIndex(where: { $0.isStarred }) {
        if items[(star + 1)...].contains(where: { $0.isStarred }) {
          throw error("multiple starred expressions in assignment", target.span)
        }
        emit(
          .unpackStar, base, r, 0, x: star, y: UInt32(truncatingIfNeeded: items.count - star - 1))
      } else if items.count == 2, case .name(let m) = items[0].kind,
        case .name(let n) = items[1].kind, m != n,
        case .local(let first) = place(of: mangled(m)),
        case .local(let second) = place(of: mangled(n))
      {
        emit(.unpackPair, first, r, x: Int(second))
        break
      } else {
        emit(.unpack, base, r, UInt16(truncatingIfNeeded: items.count))
      }
      for (i, t) in items.enumerated() {
        let from = base + UInt16(i)
        if case .starred(let inner) = t.kind {
          try assign(inner, from: from)
        } else {
          try assign(t, from: from)
        }
      }
    case .starred:
      throw error("starred assignment target must be in a list or tuple", target.span)
    default: throw error("cannot assign to this expression", target.span)
    }
  }

  /// A register that outlives temporaries: the local itself, or a hidden local (true) to be freed.
  private func heldOperand(_ e: Expr) throws(LullError) -> (Reg, Bool) {
    if case .name(let n) = e.kind, !scope.hasWalrus, case .local(let l) = place(of: mangled(n)) {
      return (l, false)
    }
    let h = newHidden()
    try exprInto(e, h)
    return (h, true)
  }

  private func augmented(_ target: Expr, _ op: BinaryOperator, _ value: Expr, _ s: Span)
    throws(LullError)
  {
    switch target.kind {
    case .name(let n):
      let p = place(of: mangled(n))
      if case .local(let l) = p {
        try inplace(op, l, l, value, s, target.span)
        return
      }
      let r = newTemporary()
      try exprInto(target, r)
      try inplace(op, r, r, value, s, target.span)
      try store(r, name: n, target.span)
    case .attribute(let o, let name):
      let (h, isOwn) = try heldOperand(o)
      let r = newTemporary()
      span = target.span
      emit(.getAttr, r, h, try nameConstant(mangled(name.name)))
      try inplace(op, r, r, value, s, target.span)
      span = target.span
      emit(.setAttr, h, r, try nameConstant(mangled(name.name)))
      if isOwn { freeHiddenLocal(h) }
    case .subscript(let o, let index):
      let (h, isOwn) = try heldOperand(o)
      if let x = smallInt(index) {
        let r = newTemporary()
        span = target.span
        emit(.getItemImm, r, h, x: Int(x))
        try inplace(op, r, r, value, s, target.span)
        span = target.span
        emit(.setItemImm, h, 0, r, x: Int(x))
      } else {
        let (i, isOwnIndex) = try heldOperand(index)
        let r = newTemporary()
        span = target.span
        emit(.getItem, r, h, i)
        try inplace(op, r, r, value, s, target.span)
        span = target.span
        emit(.setItem, h, i, r)
        if isOwnIndex { freeHiddenLocal(i) }
      }
      if isOwn { freeHiddenLocal(h) }
    default: throw error("illegal expression for augmented assignment", target.span)
    }
  }
  private func inplace(
    _ op: BinaryOperator, _ dst: Reg, _ left: Reg, _ value: Expr, _ s: Span, _ t: Span
  ) throws(LullError) {
    let mark = temporaries
    if case .constant(.int(let i)) = value.kind, let i32 = Int32(exactly: i),
      op == .add || op == .subtract
    {
      span = s
      let pc = emit(op == .add ? .inplaceAddImm : .inplaceSubtractImm, dst, left, 0, x: Int(i32))
      operands[pc] = (t, value.span)
      return
    }
    let r = try operand(value)
    span = s
    let pc: Int
    switch op {
    case .add: pc = emit(.inplaceAdd, dst, left, r)
    case .subtract: pc = emit(.inplaceSubtract, dst, left, r)
    case .multiply: pc = emit(.inplaceMultiply, dst, left, r)
    // The others share the plain operator's instruction: their in-place form differs for objects only.
    case .matmul: pc = emit(.matmul, dst, left, r, x: 1)
    case .divide: pc = emit(.divide, dst, left, r, x: 1)
    case .floorDivide: pc = emit(.floorDivide, dst, left, r, x: 1)
    case .modulo: pc = emit(.modulo, dst, left, r, x: 1)
    case .power: pc = emit(.power, dst, left, r, x: 1)
    case .leftShift: pc = emit(.leftShift, dst, left, r, x: 1)
    case .rightShift: pc = emit(.rightShift, dst, left, r, x: 1)
    case .bitAnd: pc = emit(.bitAnd, dst, left, r, x: 1)
    case .bitOr: pc = emit(.bitOr, dst, left, r, x: 1)
    case .bitXor: pc = emit(.bitXor, dst, left, r, x: 1)
    }
    operands[pc] = (t, value.span)
    temporaries = mark
  }

  private func returnStatement(_ e: Expr?) throws(LullError) {
    let r: Reg
    let s = span
    if let e { r = try operand(e) } else { r = try loadNone() }
    span = s
    let hasCleanup = blocks.contains {
      switch $0.block {
      case .loop: false
      default: true
      }
    }
    if hasCleanup {
      let h = newHidden()
      emit(.move, h, r)
      try unwind(downTo: 0)
      let t = newTemporary()
      emit(.move, t, h)
      emit(.return, t)
      reopen(from: 0)
      freeHidden.append(h)
    } else {
      emit(.return, r)
    }
  }
  func loadNone() throws(LullError) -> Reg {
    let t = newTemporary()
    emit(.loadConst, t, try noneConstant())
    return t
  }
  private var noneIndex: UInt16?
  func noneConstant() throws(LullError) -> UInt16 {
    if let noneIndex { return noneIndex }
    let k = try addConstant(.none)
    noneIndex = k
    return k
  }

  func delete(_ target: Expr) throws(LullError) {
    let mark = temporaries
    defer { temporaries = mark }
    span = target.span
    switch target.kind {
    case .name(let raw):
      let n = mangled(raw)
      let k = try nameConstant(n)
      switch place(of: n) {
      case .local(let l): emit(.deleteLocal, l, 0, k)
      case .cell(let l): emit(.deleteCell, 0, l, k)
      case .free(let i), .classFree(let i): emit(.deleteFree, 0, UInt16(i), k)
      case .global: emit(.deleteGlobal, 0, 0, k)
      case .name: emit(.deleteName, 0, 0, k)
      }
    case .attribute(let o, let name):
      let r = try operand(o)
      span = target.span
      emit(.deleteAttr, r, 0, try nameConstant(mangled(name.name)))
    case .subscript(let o, let index):
      let r = try operand(o)
      let i = try operandIndex(index)
      span = target.span
      emit(.deleteItem, r, i)
    case .tuple(let items), .list(let items): for i in items { try delete(i) }
    default: throw error("cannot delete this expression", target.span)
    }
  }

  // MARK: Blocks

  /// Emits the clean-up of the blocks from the innermost down to index `i`; their exception ranges
  /// are closed before and must be reopened (`reopen`) after the jump.
  private func unwind(downTo i: Int) throws(LullError) {
    let saved = blocks
    let s = span
    while blocks.count > i {
      let (b, range) = blocks[blocks.count - 1]
      blocks.removeLast()
      if let range { closeRanges(from: range) }
      switch b {
      case .loop(_, _, let iterator): if let iterator { emit(.clear, iterator) }
      case .finally(let body): try block(body)
      case .with(let exit, let at):
        span = at
        let t = newTemporary()
        emit(.withExit, t, exit, noRegister)
        emit(.clear, t)
      case .handler(let saved, let name):
        emit(.popHandled, saved)
        if let name { try unbind(name) }
      }
    }
    blocks = saved
    span = s
  }
  /// `del name` that does not mind an unbound name, as after an except clause.
  private func unbind(_ name: String) throws(LullError) {
    let t = try loadNone()
    try store(t, name: name, span)
    temporaries -= 1
    let e = Expr(.name(name), span)
    try delete(e)
  }

  func openRange(_ handler: Label, _ register: Reg) -> Int {
    openRanges.append((instructions.count, handler, register))
    return openRanges.count - 1
  }
  /// Ends the ranges from index `i` up at the current place; they stay on the stack.
  private func closeRanges(from i: Int) {
    for j in i..<openRanges.count {
      record(j)
      openRanges[j].start = -1
    }
  }
  private func record(_ j: Int) {
    let r = openRanges[j]
    if r.start >= 0, r.start < instructions.count {
      ranges.append((r.start, instructions.count, r.handler, r.register, j))
    }
  }
  private func reopen(from blockIndex: Int) {
    for j in 0..<openRanges.count where openRanges[j].start < 0 {
      openRanges[j].start = instructions.count
    }
  }
  func endRange(_ i: Int) {
    while openRanges.count > i {
      record(openRanges.count - 1)
      openRanges.removeLast()
    }
  }

  private func forLoop(_ target: Expr, _ iterable: Expr, _ body: [Stmt], _ orElse: [Stmt])
    throws(LullError)
  {
    let iterator = newHidden()
    let r = try self.iterable(iterable)
    span = iterable.span
    emit(.getIter, iterator, r)
    let top = newLabel()
    let next = newLabel()
    let end = newLabel()
    let exit = newLabel()
    emitJump(.jump, to: next)
    place(top)
    loopDepth += 1
    let mark = temporaries
    var item: Reg
    if case .name(let n) = target.kind, case .local(let l) = place(of: mangled(n)) {
      item = l
    } else {
      item = newTemporary()
      try assign(target, from: item)
      temporaries = mark
    }
    blocks.append((.loop(breakTo: end, continueTo: next, iterator: nil), nil))
    try block(body)
    blocks.removeLast()
    place(next)
    span = iterable.span
    emitJump(.forIter, item, iterator, to: top)
    loopDepth -= 1
    place(exit)
    emit(.clear, iterator)
    try block(orElse)
    let done = newLabel()
    if !orElse.isEmpty { emitJump(.jump, to: done) }
    place(end)
    emit(.clear, iterator)
    place(done)
    freeHidden.append(iterator)
  }

  private func with(
    _ items: ArraySlice<(context: Expr, target: Expr?)>, _ body: [Stmt], _ s: Span
  ) throws(LullError) {
    guard let first = items.first else { return try block(body) }
    let manager = try operand(first.context)
    let exit = newHidden()
    let value = newTemporary()
    span = first.context.span
    emit(.withEnter, value, exit, manager)
    let handler = newLabel()
    let done = newLabel()
    let excRegister = newHidden()
    let saved = newHidden()
    let range = openRange(handler, excRegister)
    blocks.append((.with(exit: exit, span: first.context.span), range))
    if let t = first.target { try assign(t, from: value) } else { emit(.clear, value) }
    temporaries = 0
    try with(items.dropFirst(), body, s)
    blocks.removeLast()
    endRange(range)
    span = first.context.span
    let t = newTemporary()
    emit(.withExit, t, exit, noRegister)
    emit(.clear, t)
    emitJump(.jump, to: done)
    place(handler)
    emit(.pushHandled, saved, excRegister)
    let cleanup = newLabel()
    let excRegister2 = newHidden()
    let range2 = openRange(cleanup, excRegister2)
    let suppress = newTemporary()
    emit(.withExit, suppress, exit, excRegister)
    let swallowed = newLabel()
    emitJump(.jumpTrue, suppress, to: swallowed)
    emit(.reraise, excRegister)
    endRange(range2)
    place(cleanup)
    emit(.popHandled, saved)
    emit(.reraise, excRegister2)
    place(swallowed)
    emit(.popHandled, saved)
    place(done)
    for r in [exit, excRegister, excRegister2, saved] { freeHiddenLocal(r) }
  }

  private func tryStatement(
    _ body: [Stmt], _ handlers: [ExceptHandler], _ orElse: [Stmt], _ finally: [Stmt]
  ) throws(LullError) {
    let done = newLabel()
    let finallyHandler = newLabel()
    var finallyRange = -1
    let finallyException = finally.isEmpty ? 0 : newHidden()
    if !finally.isEmpty {
      finallyRange = openRange(finallyHandler, finallyException)
      blocks.append((.finally(finally), finallyRange))
    }
    if handlers.isEmpty {
      try block(body)
      try block(orElse)
    } else {
      let end = newLabel()
      let dispatch = newLabel()
      let exception = newHidden()
      let saved = newHidden()
      let range = openRange(dispatch, exception)
      try block(body)
      endRange(range)
      try block(orElse)
      emitJump(.jump, to: end)
      place(dispatch)
      span = handlers[0].span
      emit(.pushHandled, saved, exception)
      let cleanup = newLabel()
      let second = newHidden()
      let handlerRange = openRange(cleanup, second)
      blocks.append((.handler(saved: saved, name: nil), handlerRange))
      for h in handlers {
        let next = newLabel()
        if let type = h.type {
          let mark = temporaries
          let t = try operand(type)
          span = type.span
          let m = newTemporary()
          emit(.matchException, m, exception, t)
          emitJump(.jumpFalse, m, to: next)
          temporaries = mark
        }
        if let name = h.name {
          let t = newTemporary()
          emit(.move, t, exception)
          try store(t, name: name.name, name.span)
          temporaries -= 1
          // An inner range, so that the name is unbound when the clause fails, too.
          let unbindLabel = newLabel()
          let third = newHidden()
          let nameRange = openRange(unbindLabel, third)
          blocks[blocks.count - 1].block = .handler(saved: saved, name: name.name)
          try block(h.body)
          blocks[blocks.count - 1].block = .handler(saved: saved, name: nil)
          endRange(nameRange)
          try unbind(name.name)
          emit(.popHandled, saved)
          emit(.clear, exception)
          emitJump(.jump, to: end)
          place(unbindLabel)
          try unbind(name.name)
          emit(.reraise, third)
          freeHidden.append(third)
        } else {
          try block(h.body)
          emit(.popHandled, saved)
          emit(.clear, exception)
          emitJump(.jump, to: end)
        }
        place(next)
      }
      emit(.reraise, exception)
      blocks.removeLast()
      endRange(handlerRange)
      place(cleanup)
      emit(.popHandled, saved)
      emit(.clear, exception)
      emit(.reraise, second)
      place(end)
      for r in [exception, saved, second] { freeHidden.append(r) }
    }
    if !finally.isEmpty {
      blocks.removeLast()
      endRange(finallyRange)
      try block(finally)
      emitJump(.jump, to: done)
      place(finallyHandler)
      let saved = newHidden()
      emit(.pushHandled, saved, finallyException)
      let cleanup = newLabel()
      let second = newHidden()
      let range = openRange(cleanup, second)
      blocks.append((.handler(saved: saved, name: nil), range))
      try block(finally)
      blocks.removeLast()
      emit(.popHandled, saved)
      endRange(range)
      emit(.reraise, finallyException)
      place(cleanup)
      emit(.popHandled, saved)
      emit(.clear, finallyException)
      emit(.reraise, second)
      place(done)
      for r in [saved, second, finallyException] { freeHidden.append(r) }
    }
  }

  // MARK: Finishing

  /// A hidden local for a constant operand inside a loop, nil where it would not pay.
  func constantInLoop(_ c: Constant) throws(LullError) -> Reg? {
    if loopDepth == 0 || scope.kind != .function { return nil }
    let k = try constant(c)
    if let r = hoisted[k] { return r }
    if hoisted.count >= 32 { return nil }
    let r = newLocal("")
    hoisted[k] = r
    return r
  }
  /// Puts the loads of these constants before everything else.
  private func hoistConstants() {
    let n = hoisted.count
    if n == 0 { return }
    let loads = hoisted.sorted { $0.value < $1.value }.map {
      Instruction(op: .loadConst, a: $0.value, b: $0.key, c: 0, x: 0, y: 0)
    }
    instructions.insert(contentsOf: loads, at: 0)
    spans.insert(contentsOf: repeatElement(spans.first ?? span, count: n), at: 0)
    operands = Dictionary(uniqueKeysWithValues: operands.map { ($0.key + n, $0.value) })
    for k in labels.indices where labels[k] >= 0 { labels[k] += n }
    for k in jumps.indices { jumps[k].at += n }
    for k in ranges.indices {
      ranges[k].start += n
      ranges[k].end += n
    }
  }

  func finish() throws(LullError) -> Code {
    if localCount + maxTemporaries > 30000 {
      throw error("too many variables in one function", span)
    }
    hoistConstants()
    let base = UInt16(localCount)
    func fix(_ r: UInt16) -> UInt16 {
      r != noRegister && r & temporaryBit != 0 ? (r & ~temporaryBit) + base : r
    }
    for i in 0..<instructions.count {
      instructions[i].a = fix(instructions[i].a)
      instructions[i].b = fix(instructions[i].b)
      switch instructions[i].op {
      case .loadGlobal, .storeGlobal, .deleteGlobal, .loadName, .storeName, .deleteName,
        .deleteLocal, .loadCell, .storeCell, .deleteCell, .loadFree, .storeFree, .deleteFree,
        .loadClassFree, .getAttr, .setAttr, .deleteAttr, .loadMethod, .importName, .importFrom,
        .call, .callKeywords, .callMethod, .unpack:
        break
      case .callUnpacked, .makeFunction:
        instructions[i].c = fix(instructions[i].c)
        if instructions[i].x >= 0 {
          instructions[i].x = Int32(fix(UInt16(truncatingIfNeeded: instructions[i].x)))
        }
        if instructions[i].op == .makeFunction, instructions[i].y > 0 {
          instructions[i].y = UInt32(fix(UInt16(truncatingIfNeeded: instructions[i].y - 1))) + 1
        }
      default: instructions[i].c = fix(instructions[i].c)
      }
      let x = instructions[i]
      instructions[i].temporaries =
        (x.a >= base ? 1 : 0) | (x.b >= base ? 2 : 0) | (x.c >= base ? 4 : 0)
    }
    for (at, label) in jumps {
      instructions[at].x = Int32(truncatingIfNeeded: labels[label.id] - (at + 1))
    }
    let fixed = ranges.map {
      ExceptionRange(
        start: $0.start, end: $0.end, handler: labels[$0.handler.id], register: fix($0.register),
        depth: $0.depth)
    }
    let code = Code(
      name: name, qualname: qualname, source: source, instructions: instructions,
      constants: constants, cacheCount: cacheCount, localCount: localCount,
      registerCount: localCount + maxTemporaries, spans: spans, operands: operands, ranges: fixed)
    constants = []
    code.localNames = localNames
    code.freeNames = scope.free
    code.isGenerator = scope.isGenerator
    return code
  }
}

extension Expr {
  var isStarred: Bool {
    if case .starred = kind { return true }
    return false
  }
}

/// Compiles a whole module or cell. With `showsLast`, a trailing expression statement is what the
/// code returns.
func compileModule(_ program: [Stmt], source: SourceText, showsLast: Bool) throws(LullError) -> Code
{
  var builder = ScopeBuilder(source: source)
  let scope = try builder.build(program)
  let f = FunctionCompiler(
    scope, builder.scopes, source: source, name: "<module>", parent: nil)
  var body = program[...]
  var last: Expr?
  if showsLast, let s = program.last, case .expression(let e) = s.kind {
    last = e
    body = body.dropLast()
  }
  if !showsLast, let first = program.first, case .expression(let e) = first.kind,
    case .constant(.string(let s)) = e.kind
  {
    let t = f.newTemporary()
    f.emit(.loadConst, t, try f.addConstant(makeStr(s)))
    try f.store(t, name: "__doc__", first.span)
    f.temporaries = 0
  }
  f.defersAnnotations = program.contains { s in
    guard case .importFrom(let module, _, let names) = s.kind else { return false }
    return module == "__future__" && names.contains { $0.name.name == "annotations" }
  }
  // The cells of a session share the dict that its module began with.
  if !showsLast, scope.assigned.contains("__annotations__") {
    let t = f.newTemporary()
    f.emit(.makeDict, t, 0, 0)
    try f.store(t, name: "__annotations__", f.span)
    f.temporaries = 0
  }
  try f.block(Array(body))
  if let last {
    f.span = last.span
    let r = try f.operand(last)
    f.span = last.span
    f.emit(.return, r)
  } else {
    f.emit(.return, try f.loadNone())
  }
  return try f.finish()
}
