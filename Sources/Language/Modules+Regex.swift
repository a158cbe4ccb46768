// The native half of `re`: programs, matches as tuples of positions, and the loops of findall,
// split and sub. Patterns are parsed in stdlib/re.lull.

private let programType = NativeType(
  "Program", module: "_re")

private func program(_ a: Args) throws(LullError) -> RegexProgram {
  guard let p = a[0].native(RegexProgram.self) else { throw a.wrong(0, "Program") }
  return p
}
/// The text and the bytes at which the search begins and ends.
private func region(_ a: Args, _ start: Int, _ stop: Int) throws(LullError) -> (StrPtr, Int, Int) {
  let s = try a.str(1)
  let n = s.pointee.count
  let e = min(a.isNone(stop) ? n : max(try a.int(stop), 0), n)
  let b = min(max(try a.int(start), 0), n)
  return (s, b > e ? -1 : s.offset(of: b), s.offset(of: e))
}
/// Positions of the groups as code points: (start, end, start of 1, end of 1, ...), -1 when unset.
private func positions(_ m: borrowing RegexMatcher) -> Value {
  let n = 2 * (m.program.groupCount + 1)
  let t = makeTuple(uninitialized: n)
  for k in 0..<n {
    let x = m.slots[k]
    t.tuple.items[k] = Value(x < 0 ? -1 : m.text.index(ofOffset: x))
  }
  return t
}
private func group(_ m: borrowing RegexMatcher, _ g: Int, _ missing: Value) -> Value {
  let a = m.slots[2 * g]
  return a < 0 ? missing.retained() : makePiece(m.text, a, m.slots[2 * g + 1])
}
/// Calls `body` for each match, left to right, until it says no.
private func eachMatch(
  _ m: inout RegexMatcher, from start: Int,
  _ body: (borrowing RegexMatcher) throws(LullError) -> Bool
) throws(LullError) {
  if start < 0 { return }
  var at = start
  var empty = true
  while try m.search(from: at, allowsEmpty: empty) {
    if !(try body(m)) { return }
    // An empty match is not repeated at its place; a longer one may begin there.
    empty = m.slots[1] > m.slots[0]
    at = m.slots[1]
  }
}
/// The attributes of a Match, in the order of its `__init__`, once there was one.
@exclusivity(unchecked) nonisolated(unsafe) private var matchNames: UnsafeMutablePointer<StrPtr>?
private func findMatchNames() -> UnsafeMutablePointer<StrPtr> {
  if let names = matchNames { return names }
  let names = UnsafeMutablePointer<StrPtr>.allocate(capacity: 5)
  for (i, name) in ["re", "string", "pos", "endpos", "_spans"].enumerated() {
    (names + i).initialize(to: internedPointer(name))
  }
  matchNames = names
  return names
}
/// A Match (owned) with these attributes, which are consumed.
private func makeMatch(_ type: TypePtr, _ a: Value, _ b: Value, _ c: Value, _ d: Value, _ e: Value)
  -> Value
{
  let v = makeInstance(type)
  let o = v.instance
  let names = findMatchNames()
  o.addSlot(names[0], a)
  o.addSlot(names[1], b)
  o.addSlot(names[2], c)
  o.addSlot(names[3], d)
  o.addSlot(names[4], e)
  return v
}

func regexModule() -> NativeModule {
  programType.register()
  return NativeModule(builtins: [
    Builtin("compile", "compile(code, sets, groups, loops, /)") { (a) throws(LullError) in
      var code: [Int] = []
      for v in a[0].elements {
        guard v.tag == .int else { throw LullError.typeError("code must be ints") }
        code.append(v.asInt)
      }
      var sets: [RegexProgram.CharacterSet] = []
      for v in a[1].elements {
        // [negated, folded, ascii, category or (low, high) or character, ...]
        let parts = v.elements
        guard parts.count >= 3 else { throw LullError.valueError("a set needs three flags") }
        var s = RegexProgram.CharacterSet()
        s.isNegated = try truth(parts[0])
        s.isFolded = try truth(parts[1])
        s.isASCII = try truth(parts[2])
        for x in parts.dropFirst(3) {
          if x.tag == .str, x.str.pointee.byteCount == 1 {
            s.categories.append(x.str.bytes[0])
          } else if x.tag == .tuple, x.elements.count == 2, x.elements[0].tag == .int,
            x.elements[1].tag == .int
          {
            s.ranges.append(
              (UInt32(clamping: x.elements[0].asInt), UInt32(clamping: x.elements[1].asInt)))
          } else {
            throw LullError.typeError("a set holds categories and ranges")
          }
        }
        s.fillTable()
        sets.append(s)
      }
      let groups = try a.int(2)
      let loops = try a.int(3)
      guard groups >= 0, groups < 1 << 16, loops >= 0, loops < 1 << 16,
        let p = RegexProgram(code: code, sets: sets, groupCount: groups, loopCount: loops)
      else { throw LullError.valueError("not a program of a regular expression") }
      return programType.make(p)
    },
    Builtin("find", "find(program, text, start, stop, mode, empty=True, /)") {
      (a) throws(LullError) in
      // mode: 0 match, 1 fullmatch, 2 search
      let (s, start, stop) = try region(a, 2, 3)
      if start < 0 { return .none }
      var m = RegexMatcher(try program(a), s, end: stop)
      let mode = try a.int(4)
      let empty = try a.bool(5)
      let found =
        mode == 2
        ? try m.search(from: start, allowsEmpty: empty)
        : try m.matches(at: start, full: mode == 1, allowsEmpty: empty)
      return found ? positions(m) : .none
    },
    Builtin("match", "match(program, pattern, text, start, stop, mode, class, /)") {
      (a) throws(LullError) in
      // As `find`, but the result is an instance of `class`. NotImplemented for anything but a str and a program.
      guard let p = a[0].native(RegexProgram.self) else { return .notImplemented }
      guard a[2].tag == .str, a[6].tag == .type, a[6].typeObject.pointee.kind == .instance else {
        return .notImplemented
      }
      let s = a[2].str
      let n = s.pointee.count
      let pos = min(max(try a.int(3), 0), n)
      let stop = min(a.isNone(4) ? n : max(try a.int(4), 0), n)
      if pos > stop { return .none }
      let start = s.offset(of: pos)
      var m = RegexMatcher(p, s, end: s.offset(of: stop))
      let mode = try a.int(5)
      let found =
        mode == 2
        ? try m.search(from: start, allowsEmpty: true)
        : try m.matches(at: start, full: mode == 1, allowsEmpty: true)
      if !found { return .none }
      return makeMatch(
        a[6].typeObject, a[1].retained(), a[2].retained(), Value(pos), Value(stop), positions(m))
    },
    Builtin("group", "group(spans, text, groups, names, /)") { (a) throws(LullError) in
      // The text of each group in a tuple of numbers and names: one, or a tuple of them.
      guard a[0].tag == .tuple, a[1].tag == .str, a[2].tag == .tuple else { return .notImplemented }
      let spans = a[0].tuple
      let s = a[1].str
      let wanted = a[2].tuple
      func text(_ g: Value) throws(LullError) -> Value {
        var g = g
        if g.kind == .str {
          guard let names = a[3].asDict, let k = try names.lookup(g) else {
            throw LullError("IndexError", "no such group")
          }
          g = k
        }
        guard g.isIntOrBool, g.asInt >= 0, g.asInt < spans.pointee.count / 2 else {
          throw LullError("IndexError", "no such group")
        }
        let from = spans.items[2 * g.asInt].asInt
        let to = spans.items[2 * g.asInt + 1].asInt
        if from < 0 { return .none }
        guard from <= to, to <= s.pointee.count else { return .notImplemented }
        return makePiece(s, s.offset(of: from), s.offset(of: to))
      }
      if wanted.pointee.count == 0 { return try text(Value(0)) }
      if wanted.pointee.count == 1 { return try text(wanted.items[0]) }
      var out: [Value] = []
      do throws(LullError) {
        for k in 0..<wanted.pointee.count { out.append(try text(wanted.items[k])) }
      } catch {
        for x in out { x.release() }
        throw error
      }
      return makeTuple(out)
    },
    Builtin("findall", "findall(program, text, start, stop, /)") { (a) throws(LullError) in
      let (s, start, stop) = try region(a, 2, 3)
      let p = try program(a)
      var m = RegexMatcher(p, s, end: stop)
      let out = makeList()
      let empty = makeStr("")
      defer { empty.release() }
      do throws(LullError) {
        try eachMatch(&m, from: start) { (m) throws(LullError) in
          if p.groupCount <= 1 {
            out.list.append(group(m, p.groupCount, empty))
          } else {
            let t = makeTuple(uninitialized: p.groupCount)
            for g in 1...p.groupCount { t.tuple.items[g - 1] = group(m, g, empty) }
            out.list.append(t)
          }
          return true
        }
      } catch {
        out.release()
        throw error
      }
      return out
    },
    Builtin("split", "split(program, text, most, /)") { (a) throws(LullError) in
      let s = try a.str(1)
      let p = try program(a)
      var left = try a.int(2)
      if left <= 0 { left = Int.max }
      var m = RegexMatcher(p, s, end: s.pointee.byteCount)
      let out = makeList()
      var at = 0
      do throws(LullError) {
        try eachMatch(&m, from: 0) { (m) throws(LullError) in
          if left == 0 { return false }
          left -= 1
          out.list.append(makePiece(s, at, m.slots[0]))
          for g in 0..<p.groupCount { out.list.append(group(m, g + 1, .none)) }
          at = m.slots[1]
          return true
        }
      } catch {
        out.release()
        throw error
      }
      out.list.append(makePiece(s, at, s.pointee.byteCount))
      return out
    },
    Builtin("sub", "sub(program, text, parts, count, /)") { (a) throws(LullError) in
      // parts: the replacement as strings and numbers of groups
      let s = try a.str(1)
      let p = try program(a)
      var left = try a.int(3)
      if left <= 0 { left = Int.max }
      let parts = a[2].elements
      for x in parts where x.tag != .str {
        guard x.tag == .int, x.asInt >= 0, x.asInt <= p.groupCount else {
          throw LullError("IndexError", "no such group")
        }
      }
      var m = RegexMatcher(p, s, end: s.pointee.byteCount)
      var out = TextBuilder()
      var at = 0
      var n = 0
      var ticks = 0
      try eachMatch(&m, from: 0) { (m) throws(LullError) in
        if left == 0 { return false }
        left -= 1
        n += 1
        out.append(s.bytes + at, m.slots[0] - at)
        for x in parts {
          if x.tag == .str {
            out.append(x.str)
          } else if m.slots[2 * x.asInt] >= 0 {
            out.append(
              s.bytes + m.slots[2 * x.asInt], m.slots[2 * x.asInt + 1] - m.slots[2 * x.asInt])
          }
        }
        at = m.slots[1]
        ticks += 1
        if ticks & 0xFFF == 0 { try checkAllocation(out.count, 2) }
        return true
      }
      if n == 0 { return makeTuple([a[1].retained(), Value(0)]) }
      out.append(s.bytes + at, s.pointee.byteCount - at)
      return makeTuple([out.value(), Value(n)])
    },
  ])
}
