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
  let b = max(try a.int(start), 0)
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
  return a < 0 ? missing.retained() : makeStr(m.bytes + a, m.slots[2 * g + 1] - a)
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
          out.list.append(makeStr(s.bytes + at, m.slots[0] - at))
          for g in 0..<p.groupCount { out.list.append(group(m, g + 1, .none)) }
          at = m.slots[1]
          return true
        }
      } catch {
        out.release()
        throw error
      }
      out.list.append(makeStr(s.bytes + at, s.pointee.byteCount - at))
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
