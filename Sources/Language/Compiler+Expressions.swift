// The compiler's expressions, calls, functions and classes.

extension FunctionCompiler {
  /// Evaluates into any register: a local's own register for a plain local, else a temporary.
  func operand(_ e: Expr) throws(LullError) -> Reg {
    if case .name(let n) = e.kind, !scope.hasWalrus, case .local(let l) = place(of: mangled(n)) {
      return l
    }
    if case .constant(let c) = e.kind, let r = try constantInLoop(c) { return r }
    let t = newTemporary()
    try exprInto(e, t)
    return t
  }
  /// Like `operand`, but never a local that a later assignment could change.
  func operandCopied(_ e: Expr) throws(LullError) -> Reg {
    let t = newTemporary()
    try exprInto(e, t)
    return t
  }
  func exprInto(_ e: Expr, _ dst: Reg) throws(LullError) {
    let r = try expr(e, into: dst)
    if r != dst {
      span = e.span
      emit(.move, dst, r)
    }
  }
  /// Evaluates and drops the value.
  func effect(_ e: Expr) throws(LullError) {
    let t = newTemporary()
    try exprInto(e, t)
    emit(.clear, t)
  }
  /// What a `for` goes through. A display of constants is one constant, as in CPython.
  func iterable(_ e: Expr) throws(LullError) -> Reg {
    if case .set(let items) = e.kind, let k = try constantSet(items) {
      let r = newTemporary()
      emit(.loadConst, r, k)
      return r
    }
    return try operand(e)
  }
  /// A frozenset of the items, when all are constants.
  private func constantSet(_ items: [Expr]) throws(LullError) -> UInt16? {
    guard items.allSatisfy(mayFold) else { return nil }
    let s = makeSet(frozen: true)
    for i in items {
      guard let v = try folded(i) else {
        s.release()
        return nil
      }
      defer { v.release() }
      try s.set.add(v)
    }
    // CPython makes the set again from its own elements when it files the constant, which may change the order.
    let again = makeSet(frozen: true)
    try s.set.eachElement { (e) throws(LullError) in try again.set.add(e.key, e.hash) }
    s.release()
    return try addConstant(again)
  }
  private func mayFold(_ e: Expr) -> Bool {
    switch e.kind {
    case .constant: return true
    case .unary(_, let a): return mayFold(a)
    case .binary(_, let a, let b): return mayFold(a) && mayFold(b)
    case .tuple(let items): return items.allSatisfy(mayFold)
    default: return false
    }
  }
  /// The value (owned) of an expression that CPython computes when it compiles; nil when it leaves it for later.
  private func folded(_ e: Expr) throws(LullError) -> Value? {
    switch e.kind {
    case .constant(let c): return constants[Int(try constant(c))].retained()
    case .unary(let op, let a):
      guard let x = try folded(a) else { return nil }
      defer { x.release() }
      do throws(LullError) { return try unaryOperation(op, x) } catch { return nil }
    case .binary(let op, let a, let b):
      guard let x = try folded(a) else { return nil }
      defer { x.release() }
      guard let y = try folded(b) else { return nil }
      defer { y.release() }
      // Within CPython's limits on the size of the result.
      if op == .multiply || op == .modulo, !(isNumber(x) && isNumber(y)) { return nil }
      if op == .power || op == .leftShift, x.isInteger, y.isInteger {
        let bits = (x.integer ?? 0).magnitude.bitWidth
        guard y.isIntOrBool, y.asInt <= 128 else { return nil }
        if (op == .power ? bits * max(y.asInt, 0) : bits + y.asInt) > 128 { return nil }
      }
      do throws(LullError) {
        let r = try binaryOrNil(op, x, y)
        return r.isUndefined ? nil : r
      } catch { return nil }
    case .tuple(let items):
      var all: [Value] = []
      for i in items {
        guard let v = try folded(i) else {
          for v in all { v.release() }
          return nil
        }
        all.append(v)
      }
      return makeTuple(all)
    default: return nil
    }
  }
  private func isNumber(_ v: Value) -> Bool {
    v.isInteger || v.kind == .float || v.kind == .complex
  }
  func operandIndex(_ e: Expr) throws(LullError) -> Reg { try operand(e) }

  func smallInt(_ e: Expr) -> Int32? {
    switch e.kind {
    case .constant(.int(let i)): return Int32(exactly: i)
    case .unary(.negate, let inner):
      if case .constant(.int(let i)) = inner.kind { return Int32(exactly: -i) }
      return nil
    default: return nil
    }
  }

  func constant(_ c: Constant) throws(LullError) -> UInt16 {
    switch c {
    case .none: return try noneConstant()
    case .bool(let b): return try addConstant(Value(b))
    case .int(let i):
      if let k = intConstants[i] { return k }
      let k = try addConstant(Value(i))
      intConstants[i] = k
      return k
    case .bigInt(let digits): return try addConstant(try parseDecimalDigits(digits))
    case .float(let d):
      if let k = floatConstants[d.bitPattern] { return k }
      let k = try addConstant(Value(d))
      floatConstants[d.bitPattern] = k
      return k
    case .imaginary(let d): return try addConstant(makeComplex(0, d))
    case .string(let s):
      if let k = stringConstants[TextKey(text: s)] { return k }
      let k = try addConstant(s.utf8.count <= 40 ? interned(s).retained() : makeStr(s))
      stringConstants[TextKey(text: s)] = k
      return k
    case .surrogates(let b): return try addConstant(makeStr(b))
    case .bytes(let b): return try addConstant(makeBytes(b))
    case .ellipsis: return try addConstant(.ellipsis)
    }
  }

  /// Evaluates; the result is in `dst` if one was given and the expression is not a plain local.
  func expr(_ e: Expr, into dst: Reg) throws(LullError) -> Reg {
    let mark = temporaries
    defer { temporaries = mark }
    span = e.span
    switch e.kind {
    case .constant(let c):
      if case .int(let i) = c, let small = Int32(exactly: i) {
        emit(.loadInt, dst, x: Int(small))
      } else {
        emit(.loadConst, dst, try constant(c))
      }
    case .name(let raw):
      let n = mangled(raw)
      switch place(of: n) {
      case .local(let l): return l
      case .cell(let l): emit(.loadCell, dst, l, try nameConstant(n))
      case .free(let i): emit(.loadFree, dst, UInt16(i), try nameConstant(n))
      case .classFree(let i): emit(.loadClassFree, dst, UInt16(i), try nameConstant(n))
      case .global: emit(.loadGlobal, dst, 0, try nameConstant(n), x: -1)
      case .name: emit(.loadName, dst, 0, try nameConstant(n))
      }
    case .tuple(let items):
      if items.contains(where: { $0.isStarred }) || items.count > 500 {
        let l = newTemporary()
        try listInto(items, l)
        span = e.span
        emit(.listToTuple, dst, l)
      } else {
        let base = try sequence(items)
        span = e.span
        emit(.makeTuple, dst, base, UInt16(items.count))
      }
    case .list(let items):
      if items.contains(where: { $0.isStarred }) || items.count > 500 {
        let l = newTemporary()
        try listInto(items, l)
        emit(.move, dst, l)
      } else {
        let base = try sequence(items)
        span = e.span
        emit(.makeList, dst, base, UInt16(items.count))
      }
    case .set(let items):
      let s = newTemporary()
      emit(.makeSet, s, 0, 0)
      // CPython keeps three constants or more as one set and merges that: another order than of adding them.
      if items.count > 2, let k = try constantSet(items) {
        let r = newTemporary()
        emit(.loadConst, r, k)
        emit(.bitOr, s, s, r, x: 1)
        emit(.move, dst, s)
        break
      }
      for i in items {
        let m = temporaries
        if case .starred(let inner) = i.kind {
          let r = try operand(inner)
          span = inner.span
          emit(.setUpdate, s, r)
        } else {
          let r = try operand(i)
          span = i.span
          emit(.setAdd, s, r)
        }
        temporaries = m
      }
      emit(.move, dst, s)
    case .dict(let items):
      let d = newTemporary()
      // A hint at its size; a display of many may still have few distinct keys.
      emit(.makeDict, d, 0, 0, x: min(items.count, 40))
      for (k, v) in items {
        let m = temporaries
        if let k {
          let kr = try operand(k)
          let vr = try operand(v)
          span = k.span
          emit(.dictSet, d, kr, vr)
        } else {
          let r = try operand(v)
          span = v.span
          emit(.dictUpdate, d, r)
        }
        temporaries = m
      }
      emit(.move, dst, d)
    case .unary(let op, let a):
      if op == .negate, case .constant(.int(let i)) = a.kind, let small = Int32(exactly: -i) {
        emit(.loadInt, dst, x: Int(small))
        break
      }
      if op == .negate, case .constant(.float(let d)) = a.kind {
        emit(.loadConst, dst, try addConstant(Value(-d)))
        break
      }
      let r = try operand(a)
      span = e.span
      let o: Op
      switch op {
      case .not: o = .not
      case .negate: o = .negate
      case .plus: o = .plus
      case .invert: o = .invert
      }
      emit(o, dst, r)
    case .binary(let op, let a, let b): try binary(e, op, a, b, dst)
    case .boolean(let op, let items):
      // The value is kept in one temporary while jumping out.
      let t = newTemporary()
      let end = newLabel()
      for (i, item) in items.enumerated() {
        if i < items.count - 1, case .boolean(let inner, let parts) = item.kind, inner != op,
          let last = parts.last
        {
          // What decides the inner one is not asked for its truth once more.
          let next = newLabel()
          for p in parts.dropLast() { try jump(p, to: next, when: inner == .or) }
          try exprInto(last, t)
          span = last.span
          emitJump(op == .and ? .jumpFalseKeep : .jumpTrueKeep, t, to: end)
          place(next)
          continue
        }
        try exprInto(item, t)
        if i < items.count - 1 {
          span = item.span
          emitJump(op == .and ? .jumpFalseKeep : .jumpTrueKeep, t, to: end)
        }
      }
      place(end)
      emit(.move, dst, t)
    case .compare(let first, let rest): try compare(e, first, rest, dst)
    case .conditional(let test, let body, let orElse):
      let t = newTemporary()
      let no = newLabel()
      let end = newLabel()
      try jump(test, to: no, when: false)
      try exprInto(body, t)
      emitJump(.jump, to: end)
      place(no)
      try exprInto(orElse, t)
      place(end)
      emit(.move, dst, t)
    case .call(let f, let arguments): try call(e, f, arguments, dst)
    case .attribute(let o, let name):
      let r = try operand(o)
      span = e.span
      emit(.getAttr, dst, r, try nameConstant(mangled(name.name)))
      operands[instructions.count - 1] = (o.span, name.span)
    case .subscript(let o, let index):
      let r = try operand(o)
      if let x = smallInt(index) {
        span = e.span
        operands[emit(.getItemImm, dst, r, x: Int(x))] = (o.span, index.span)
        break
      }
      let i = try operandIndex(index)
      span = e.span
      operands[emit(.getItem, dst, r, i)] = (o.span, index.span)
    case .slice(let lower, let upper, let step):
      let base = newTemporary()
      if let lower { try exprInto(lower, base) } else { emit(.loadConst, base, try noneConstant()) }
      let b = newTemporary()
      if let upper { try exprInto(upper, b) } else { emit(.loadConst, b, try noneConstant()) }
      let c = newTemporary()
      if let step { try exprInto(step, c) } else { emit(.loadConst, c, try noneConstant()) }
      span = e.span
      emit(.makeSlice, dst, base)
    case .starred: throw error("can't use starred expression here", e.span)
    case .lambda(let p, let body):
      try makeFunction(
        ObjectIdentifier(e), "<lambda>", p, e.span, doc: nil, dst
      ) { f throws(LullError) in
        let r = try f.operand(body)
        f.span = body.span
        f.emit(.return, r)
      }
    case .listComprehension(let x, let clauses):
      try comprehension(e, "<listcomp>", clauses, dst, start: .makeList) {
        (f, acc) throws(LullError) in
        let r = try f.operand(x)
        f.span = x.span
        f.emit(.listAppend, acc, r)
      }
    case .setComprehension(let x, let clauses):
      try comprehension(e, "<setcomp>", clauses, dst, start: .makeSet) {
        (f, acc) throws(LullError) in
        let r = try f.operand(x)
        f.span = x.span
        f.emit(.setAdd, acc, r)
      }
    case .dictComprehension(let k, let v, let clauses):
      try comprehension(e, "<dictcomp>", clauses, dst, start: .makeDict) {
        (f, acc) throws(LullError) in
        let a = try f.operand(k)
        let b = try f.operand(v)
        f.span = k.span
        f.emit(.dictSet, acc, a, b)
      }
    case .generatorExpression(let x, let clauses):
      try comprehension(e, "<genexpr>", clauses, dst, start: nil) { (f, _) throws(LullError) in
        let r = try f.operand(x)
        f.span = x.span
        let t = f.newTemporary()
        f.emit(.yield, t, r)
        f.emit(.clear, t)
      }
    case .formatted(let parts): try formatted(parts, dst, e.span)
    case .yield(let v):
      let r: Reg
      if let v { r = try operand(v) } else { r = try loadNone() }
      span = e.span
      emit(.yield, dst, r)
    case .yieldFrom(let v):
      let h = newHidden()
      let r = try operand(v)
      span = e.span
      emit(.getIter, h, r, 1)
      emit(.yieldFrom, dst, h)
      freeHiddenLocal(h)
    case .walrus(let name, let v):
      let t = newTemporary()
      try exprInto(v, t)
      let h = newHidden()
      emit(.move, h, t)
      emit(.move, t, h)
      let t2 = newTemporary()
      emit(.move, t2, h)
      try store(t, name: name.name, name.span)
      emit(.move, dst, t2)
      freeHiddenLocal(h)
    }
    return dst
  }
  private func sequence(_ items: [Expr]) throws(LullError) -> Reg {
    let base = temporaryBit | UInt16(temporaries)
    for i in items {
      let t = newTemporary()
      try exprInto(i, t)
    }
    return base
  }
  /// Builds a list, starred items and any length.
  func listInto(_ items: [Expr], _ l: Reg) throws(LullError) {
    emit(.makeList, l, 0, 0)
    for i in items {
      let m = temporaries
      if case .starred(let inner) = i.kind {
        let r = try operand(inner)
        span = inner.span
        emit(.listExtend, l, r, noRegister, x: 2)
      } else {
        let r = try operand(i)
        span = i.span
        emit(.listAppend, l, r)
      }
      temporaries = m
    }
  }

  private func binary(_ e: Expr, _ op: BinaryOperator, _ a: Expr, _ b: Expr, _ dst: Reg)
    throws(LullError)
  {
    let l = try operand(a)
    if let i = smallInt(b) {
      let o: Op?
      switch op {
      case .add: o = .addImm
      case .subtract: o = .subtractImm
      case .multiply: o = .multiplyImm
      case .floorDivide: o = i > 0 ? .floorDivideImm : nil
      case .modulo: o = i > 0 ? .moduloImm : nil
      default: o = nil
      }
      if let o {
        span = e.span
        operands[emit(o, dst, l, 0, x: Int(i))] = (a.span, b.span)
        return
      }
    }
    let r = try operand(b)
    span = e.span
    let o: Op
    switch op {
    case .add: o = .add
    case .subtract: o = .subtract
    case .multiply: o = .multiply
    case .matmul: o = .matmul
    case .divide: o = .divide
    case .floorDivide: o = .floorDivide
    case .modulo: o = .modulo
    case .power: o = .power
    case .leftShift: o = .leftShift
    case .rightShift: o = .rightShift
    case .bitAnd: o = .bitAnd
    case .bitOr: o = .bitOr
    case .bitXor: o = .bitXor
    }
    operands[emit(o, dst, l, r)] = (a.span, b.span)
  }

  private func compareOp(_ op: CompareOperator) -> Op {
    switch op {
    case .equal: .equal
    case .notEqual: .notEqual
    case .less: .less
    case .lessEqual: .lessEqual
    case .greater: .greater
    case .greaterEqual: .greaterEqual
    case .is: .isSame
    case .isNot: .isNotSame
    case .in: .contains
    case .notIn: .notContains
    }
  }
  private func compare(
    _ e: Expr, _ first: Expr, _ rest: [(op: CompareOperator, operand: Expr)], _ dst: Reg
  ) throws(LullError) {
    if rest.count == 1 {
      let l = try operand(first)
      let r = try operand(rest[0].operand)
      span = e.span
      operands[emit(compareOp(rest[0].op), dst, l, r)] = (first.span, rest[0].operand.span)
      return
    }
    let end = newLabel()
    let t = newTemporary()
    var left = try operandCopied(first)
    var leftSpan = first.span
    var hidden: [Reg] = []
    for (i, c) in rest.enumerated() {
      let m = temporaries
      let r = try operandCopied(c.operand)
      if i < rest.count - 1 {
        let h = newHidden()
        hidden.append(h)
        emit(.move, h, r)
        span = Span(leftSpan, c.operand.span)
        operands[emit(compareOp(c.op), t, left, h)] = (leftSpan, c.operand.span)
        emitJump(.jumpFalseKeep, t, to: end)
        left = h
        leftSpan = c.operand.span
        temporaries = m
      } else {
        span = Span(leftSpan, c.operand.span)
        operands[emit(compareOp(c.op), t, left, r)] = (leftSpan, c.operand.span)
      }
    }
    place(end)
    emit(.move, dst, t)
    for h in hidden { freeHiddenLocal(h) }
  }

  /// Jumps to `label` when the truth of `e` is `sense`, else falls through.
  func jump(_ e: Expr, to label: Label, when sense: Bool) throws(LullError) {
    let mark = temporaries
    defer { temporaries = mark }
    switch e.kind {
    case .unary(.not, let a):
      try jump(a, to: label, when: !sense)
      return
    case .boolean(let op, let items):
      // and/false and or/true: any item decides. Otherwise the last one does.
      if (op == .and) != sense {
        for i in items { try jump(i, to: label, when: sense) }
      } else {
        let skip = newLabel()
        for i in items.dropLast() { try jump(i, to: skip, when: !sense) }
        if let last = items.last { try jump(last, to: label, when: sense) }
        place(skip)
      }
      return
    case .constant(.bool(let b)):
      span = e.span
      if b == sense { emitJump(.jump, to: label) }
      return
    case .compare(let a, let rest) where rest.count == 1:
      let c: UInt16 = sense ? 1 : 0
      let b = rest[0].operand
      let imm: Op?
      let reg: Op?
      switch rest[0].op {
      case .equal: (imm, reg) = (.jumpEqualImm, .jumpEqual)
      case .notEqual: (imm, reg) = (.jumpNotEqualImm, .jumpNotEqual)
      case .less: (imm, reg) = (.jumpLessImm, .jumpLess)
      case .lessEqual: (imm, reg) = (.jumpLessEqualImm, .jumpLessEqual)
      case .greater: (imm, reg) = (.jumpGreaterImm, .jumpGreater)
      case .greaterEqual: (imm, reg) = (.jumpGreaterEqualImm, .jumpGreaterEqual)
      case .is: (imm, reg) = (nil, .jumpIs)
      case .isNot: (imm, reg) = (nil, .jumpIsNot)
      default: (imm, reg) = (nil, nil)
      }
      if let imm, let i = smallInt(b) {
        let l = try operand(a)
        span = e.span
        operands[instructions.count] = (a.span, b.span)
        emitJump(imm, l, 0, c, y: UInt32(bitPattern: i), to: label)
        return
      }
      if let reg {
        let l = try operand(a)
        let r = try operand(b)
        span = e.span
        operands[instructions.count] = (a.span, b.span)
        emitJump(reg, l, r, c, to: label)
        return
      }
    default: break
    }
    let r = try operand(e)
    span = e.span
    emitJump(sense ? .jumpTrue : .jumpFalse, r, to: label)
  }

  // MARK: Calls

  private func call(_ e: Expr, _ f: Expr, _ arguments: [Argument], _ dst: Reg) throws(LullError) {
    if case .name("super") = f.kind, arguments.isEmpty, scope.kind == .function,
      let i = scope.free.firstIndex(of: "__class__"), let first = scope.parameters.first
    {
      let r = localRegister(first)
      span = e.span
      emit(.loadSuper, dst, UInt16(i), r, x: scope.cells.contains(first) ? 1 : 0)
      return
    }
    let isPlain =
      arguments.count < 250
      && !arguments.contains {
        switch $0.kind {
        case .unpack, .unpackKeywords: true
        default: false
        }
      }
    if !isPlain {
      let callee = newTemporary()
      try exprInto(f, callee)
      let list = newTemporary()
      emit(.makeList, list, 0, 0)
      var dict = noRegister
      for a in arguments {
        let m = temporaries
        switch a.kind {
        case .positional:
          let r = try operand(a.value)
          emit(.listAppend, list, r)
        case .unpack:
          let r = try operand(a.value)
          span = a.value.span
          emit(.listExtend, list, r, callee, x: 1)
        case .keyword, .unpackKeywords: continue
        }
        temporaries = m
      }
      for a in arguments {
        switch a.kind {
        case .keyword(let name):
          if dict == noRegister {
            dict = newTemporary()
            emit(.makeDict, dict, 0, 0)
          }
          let m = temporaries
          let k = newTemporary()
          emit(.loadConst, k, try nameConstant(name.name))
          let r = try operand(a.value)
          span = name.span
          let tuple = newTemporary()
          emit(.makeDict, tuple, 0, 0)
          emit(.dictSet, tuple, k, r)
          emit(.dictMerge, dict, tuple, callee)
          temporaries = m
        case .unpackKeywords:
          if dict == noRegister {
            dict = newTemporary()
            emit(.makeDict, dict, 0, 0)
          }
          let m = temporaries
          let r = try operand(a.value)
          span = a.value.span
          emit(.dictMerge, dict, r, callee)
          temporaries = m
        default: break
        }
      }
      span = e.span
      emit(.callUnpacked, dst, list, dict, x: Int(callee))
      return
    }
    var names: [Value] = []
    if case .attribute(let o, let name) = f.kind {
      let base = newTemporary()
      let receiver = newTemporary()
      try exprInto(o, receiver)
      span = f.span
      operands[instructions.count] = (o.span, name.span)
      if arguments.contains(where: { if case .keyword = $0.kind { true } else { false } }) {
        // Keyword calls take the bound method; they are not the hot ones.
        emit(.getAttr, base, receiver, try nameConstant(mangled(name.name)))
        temporaries -= 1
        names = try plainArguments(arguments)
        span = e.span
        emit(
          .callKeywords, dst, base, UInt16(arguments.count),
          x: Int(try addConstant(makeTuple(names))))
        return
      }
      emit(
        .loadMethod, base, UInt16(min(newCache(), 0x7FFE)),
        try nameConstant(mangled(name.name)))
      _ = try plainArguments(arguments)
      span = e.span
      emit(.callMethod, dst, base, UInt16(arguments.count + 1))
      return
    }
    let base = newTemporary()
    try exprInto(f, base)
    names = try plainArguments(arguments)
    span = e.span
    if names.isEmpty {
      emit(.call, dst, base, UInt16(arguments.count))
    } else {
      emit(
        .callKeywords, dst, base, UInt16(arguments.count), x: Int(try addConstant(makeTuple(names)))
      )
    }
  }
  private func plainArguments(_ arguments: [Argument]) throws(LullError) -> [Value] {
    var names: [Value] = []
    var seen: Set<String> = []
    for a in arguments {
      let t = newTemporary()
      try exprInto(a.value, t)
      if case .keyword(let n) = a.kind {
        if !seen.insert(n.name).inserted {
          throw error("keyword argument repeated: \(n.name)", n.span)
        }
        names.append(interned(n.name))
      }
    }
    return names
  }

  private func formatted(_ parts: [FStringPart], _ dst: Reg, _ s: Span) throws(LullError) {
    if parts.isEmpty {
      emit(.loadConst, dst, try constant(.string("")))
      return
    }
    let base = temporaryBit | UInt16(temporaries)
    var count = 0
    for p in parts {
      let t = newTemporary()
      count += 1
      switch p {
      case .literal(let text): emit(.loadConst, t, try constant(text))
      case .value(let v, let conversion, let spec):
        let m = temporaries
        let r = try operand(v)
        var specRegister = noRegister
        if let spec {
          specRegister = newTemporary()
          try formatted(spec, specRegister, s)
        }
        span = v.span
        emit(.format, t, r, specRegister, x: Int(conversion?.asciiValue ?? 0))
        temporaries = m
      }
      if count == 200 {
        emit(.makeString, base, base, UInt16(count))
        temporaries -= count - 1
        count = 1
      }
    }
    span = s
    emit(.makeString, dst, base, UInt16(count))
  }

  // MARK: Functions

  func makeFunction(
    _ id: ObjectIdentifier, _ name: String, _ p: Parameters, _ s: Span, doc: String?,
    returns: Expr? = nil, _ dst: Reg,
    _ body: (FunctionCompiler) throws(LullError) -> Void
  ) throws(LullError) {
    guard let scope = scopes[id] else { throw error("internal: no scope for \(name)", s) }
    let f = FunctionCompiler(scope, scopes, source: source, name: name, parent: self)
    f.span = s
    let positional = p.positionalOnly + p.positional
    for q in positional + p.keywordOnly + [p.rest, p.keywords].compactMap({ $0 }) {
      _ = f.localRegister(f.mangled(q.name.name))
    }
    for q in scope.parameters where scope.cells.contains(q) {
      f.emit(.makeCell, f.localRegister(q))
    }
    for n in scope.cells.sorted() where !scope.parameters.contains(n) {
      f.emit(.makeCell, f.localRegister(n))
    }
    try body(f)
    f.span = s
    let code = try f.finish()
    code.positionalOnly = p.positionalOnly.count
    code.positionalCount = positional.count
    code.keywordOnlyCount = p.keywordOnly.count
    code.hasRest = p.rest != nil
    code.hasKeywords = p.keywords != nil
    code.parameterNames = (positional + p.keywordOnly + [p.rest, p.keywords].compactMap({ $0 }))
      .map { internedPointer(f.mangled($0.name.name)) }
    code.isSimple =
      p.keywordOnly.isEmpty && p.rest == nil && p.keywords == nil && !code.isGenerator
    code.docstring = doc
    code.span = s
    // In CPython's order of evaluation.
    let noted: [(String, Expr)] =
      (p.positional + p.positionalOnly + [p.rest].compactMap({ $0 }) + p.keywordOnly
      + [p.keywords].compactMap({ $0 })).compactMap { q in
        q.annotation.map { (mangled(q.name.name), $0) }
      }
      + (returns.map { [("return", $0)] } ?? [])
    try emitFunction(code, scope, dst, s, noted) { me throws(LullError) in
      var defaults = noRegister
      let values = positional.compactMap(\.defaultValue)
      if !values.isEmpty {
        defaults = me.newTemporary()
        let m = me.temporaries
        let base = try me.sequence(values)
        me.emit(.makeTuple, defaults, base, UInt16(values.count))
        me.temporaries = m
      }
      var keyword = noRegister
      if p.keywordOnly.contains(where: { $0.defaultValue != nil }) {
        keyword = me.newTemporary()
        me.emit(.makeDict, keyword, 0, 0)
        for q in p.keywordOnly {
          guard let d = q.defaultValue else { continue }
          let m = me.temporaries
          let k = me.newTemporary()
          me.emit(.loadConst, k, try me.nameConstant(q.name.name))
          let v = try me.operand(d)
          me.emit(.dictSet, keyword, k, v)
          me.temporaries = m
        }
      }
      return (defaults, keyword)
    }
  }

  private func emitFunction(
    _ code: Code, _ inner: Scope, _ dst: Reg, _ s: Span, _ noted: [(String, Expr)] = [],
    _ defaults: (FunctionCompiler) throws(LullError) -> (Reg, Reg)
  ) throws(LullError) {
    code.cellSources = try cellSources(inner)
    let (d, k) = try defaults(self)
    var annotations = noRegister
    if !noted.isEmpty {
      annotations = newTemporary()
      emit(.makeDict, annotations, 0, 0)
      for (name, e) in noted {
        let m = temporaries
        let key = newTemporary()
        emit(.loadConst, key, try addConstant(interned(name)))
        let v = newTemporary()
        try annotation(e, v)
        emit(.dictSet, annotations, key, v)
        temporaries = m
      }
    }
    span = s
    emit(
      .makeFunction, dst, try codeConstant(code), d, x: k == noRegister ? -1 : Int(k),
      y: annotations == noRegister ? 0 : UInt32(annotations) + 1)
  }
  /// The value of an annotation, or its text under `from __future__ import annotations`.
  func annotation(_ e: Expr, _ dst: Reg) throws(LullError) {
    if defersAnnotations {
      emit(.loadConst, dst, try addConstant(makeStr(source.text(e.span))))
    } else {
      try exprInto(e, dst)
    }
  }
  private func cellSources(_ inner: Scope) throws(LullError) -> [CellSource] {
    var out: [CellSource] = []
    for n in inner.free {
      if scope.cells.contains(n) {
        out.append(.register(localRegister(n)))
      } else if let i = scope.free.firstIndex(of: n) {
        out.append(.free(i))
      } else {
        throw error("internal: free variable \(n)", span)
      }
    }
    return out
  }
  private func codeConstant(_ code: Code) throws(LullError) -> UInt16 {
    let p = allocateObject(MemoryLayout<CodeBody>.size).bindMemory(to: CodeBody.self, capacity: 1)
    p.initialize(to: CodeBody(h: Header(.code), code: code))
    return try addConstant(Value(.code, p))
  }

  func function(_ d: FunctionDefinition) throws(LullError) {
    var decorators: [Reg] = []
    for e in d.decorators {
      // Each decorator lies just before the place of its argument.
      let t = newTemporary()
      try exprInto(e, t)
      decorators.append(t)
    }
    let r = newTemporary()
    var doc: String?
    if let first = d.body.first, case .expression(let e) = first.kind,
      case .constant(.string(let text)) = e.kind
    {
      doc = text
    }
    try makeFunction(
      ObjectIdentifier(d), d.name.name, d.parameters, d.span, doc: doc,
      returns: d.returnAnnotation, r
    ) { f throws(LullError) in
      try f.block(d.body)
      f.span = d.body.last?.span ?? d.span
      f.emit(.return, try f.loadNone())
    }
    for (i, e) in decorators.enumerated().reversed() {
      span = d.decorators[i].span
      emit(.call, e, e, 1)
    }
    try store(decorators.first ?? r, name: d.name.name, d.name.span)
  }

  private func comprehension(
    _ e: Expr, _ name: String, _ clauses: [Comprehension], _ dst: Reg, start: Op?,
    _ element: @escaping (FunctionCompiler, Reg) throws(LullError) -> Void
  ) throws(LullError) {
    guard let inner = scopes[ObjectIdentifier(e)], let first = clauses.first else {
      throw error("internal: no scope", e.span)
    }
    let f = FunctionCompiler(inner, scopes, source: source, name: name, parent: self)
    f.span = e.span
    let iterator = f.localRegister(".0")
    for n in inner.cells.sorted() where n != ".0" { f.emit(.makeCell, f.localRegister(n)) }
    let accumulator = f.newHidden()
    if let start { f.emit(start, accumulator, 0, 0) }
    try f.clause(clauses[...], iterator, accumulator, element)
    f.span = e.span
    if start != nil {
      let t = f.newTemporary()
      f.emit(.move, t, accumulator)
      f.emit(.return, t)
    } else {
      f.emit(.return, try f.loadNone())
    }
    let code = try f.finish()
    code.positionalCount = 1
    code.parameterNames = [internedPointer(".0")]
    code.isSimple = start != nil
    code.span = e.span
    let base = newTemporary()
    try emitFunction(code, inner, base, e.span) { _ throws(LullError) in (noRegister, noRegister) }
    let argument = newTemporary()
    let m = temporaries
    let r = try iterable(first.iterable)
    span = first.iterable.span
    emit(.getIter, argument, r)
    temporaries = m
    span = e.span
    emit(.call, dst, base, 1)
  }
  private func clause(
    _ clauses: ArraySlice<Comprehension>, _ iterator: Reg, _ accumulator: Reg,
    _ element: (FunctionCompiler, Reg) throws(LullError) -> Void
  ) throws(LullError) {
    guard let c = clauses.first else {
      let m = temporaries
      try element(self, accumulator)
      temporaries = m
      return
    }
    let top = newLabel()
    let next = newLabel()
    emitJump(.jump, to: next)
    place(top)
    let mark = temporaries
    let item: Reg
    if case .name(let n) = c.target.kind, case .local(let l) = place(of: mangled(n)) {
      item = l
    } else {
      item = newTemporary()
      try assign(c.target, from: item)
      temporaries = mark
    }
    for condition in c.conditions { try jump(condition, to: next, when: false) }
    let rest = clauses.dropFirst()
    if let inner = rest.first {
      let h = newHidden()
      let r = try iterable(inner.iterable)
      span = inner.iterable.span
      emit(.getIter, h, r)
      temporaries = mark
      try clause(rest, h, accumulator, element)
      freeHiddenLocal(h)
    } else {
      try clause(rest, iterator, accumulator, element)
    }
    place(next)
    span = c.iterable.span
    emitJump(.forIter, item, iterator, to: top)
  }

  // MARK: Classes

  func classDefinition(_ d: ClassDefinition) throws(LullError) {
    guard let inner = scopes[ObjectIdentifier(d)] else {
      throw error("internal: no scope for \(d.name.name)", d.span)
    }
    var decorators: [Reg] = []
    for e in d.decorators {
      let t = newTemporary()
      try exprInto(e, t)
      decorators.append(t)
    }
    let r = newTemporary()
    let m = temporaries
    var bases: [Expr] = []
    var keywords: [(String, Expr)] = []
    for a in d.arguments {
      switch a.kind {
      case .positional: bases.append(a.value)
      case .keyword(let n):
        if n.name == "metaclass" { throw error("metaclasses are not in the language", n.span) }
        keywords.append((n.name, a.value))
      default: throw error("unpacking in a class's bases is not in the language", a.value.span)
      }
    }
    if bases.count > 1 {
      throw error("multiple inheritance is not in the language", bases[1].span)
    }
    let f = FunctionCompiler(inner, scopes, source: source, name: d.name.name, parent: self)
    f.className = d.name.name
    f.span = d.span
    if inner.cells.contains("__class__") {
      f.emit(.makeCell, f.localRegister("__class__"))
    }
    let t = f.newTemporary()
    f.emit(.loadGlobal, t, 0, try f.nameConstant("__name__"), x: -1)
    f.emit(.storeName, t, 0, try f.nameConstant("__module__"))
    let q = f.newTemporary()
    f.emit(.loadConst, q, try f.addConstant(makeStr(f.qualname)))
    f.emit(.storeName, q, 0, try f.nameConstant("__qualname__"))
    f.temporaries = 0
    var body = d.body[...]
    if let first = d.body.first, case .expression(let e) = first.kind,
      case .constant(.string(let text)) = e.kind
    {
      let t = f.newTemporary()
      f.emit(.loadConst, t, try f.addConstant(makeStr(text)))
      f.span = first.span
      f.emit(.storeName, t, 0, try f.nameConstant("__doc__"))
      f.temporaries = 0
      body = body.dropFirst()
    }
    if inner.assigned.contains("__annotations__") {
      let t = f.newTemporary()
      f.emit(.makeDict, t, 0, 0)
      try f.store(t, name: "__annotations__", d.span)
      f.temporaries = 0
    }
    try f.block(Array(body))
    f.emit(.return, try f.loadNone())
    let code = try f.finish()
    code.span = d.span
    code.cellSources = try cellSources(inner)
    let base = try sequence(bases)
    if !keywords.isEmpty {
      let table = newTemporary()
      emit(.makeDict, table, 0, 0)
      for (name, e) in keywords {
        let mark = temporaries
        let k = newTemporary()
        emit(.loadConst, k, try addConstant(interned(name)))
        emit(.dictSet, table, k, try operand(e))
        temporaries = mark
      }
    }
    span = d.span
    emit(.makeClass, r, try codeConstant(code), base, x: bases.count, y: keywords.isEmpty ? 0 : 1)
    temporaries = m
    for (i, e) in decorators.enumerated().reversed() {
      span = d.decorators[i].span
      emit(.call, e, e, 1)
    }
    try store(decorators.first ?? r, name: d.name.name, d.name.span)
  }
}
