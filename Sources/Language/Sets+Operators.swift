// Operators and comparisons of sets and of the views of dicts that behave like sets.
import Glibc

// MARK: - Sets

/// A set for a set or a dict's keys or items view (owned), nil otherwise.
func setLike(_ v: Value) -> Value? {
  if v.kind == .set { return v.retained() }
  if v.kind == .dictView, v.body(DictViewBody.self).pointee.which != .values {
    let s = makeSet()
    do throws(LullError) {
      try forEach(v) { (x) throws(LullError) in try s.set.add(x) }
    } catch {
      s.release()
      return nil
    }
    return s
  }
  return nil
}
func compareSets(_ op: CompareOperator, _ a: SetPtr, _ b: SetPtr) throws(LullError) -> Bool {
  func subset(_ x: SetPtr, _ y: SetPtr) throws(LullError) -> Bool {
    var all = true
    try x.eachElement { (e) throws(LullError) in
      if all, !(try y.has(e.key, e.hash)) { all = false }
    }
    return all
  }
  let n = a.pointee.count
  let m = b.pointee.count
  switch op {
  case .equal: return n == m ? try subset(a, b) : false
  case .notEqual: return n == m ? !(try subset(a, b)) : true
  case .less: return n < m ? try subset(a, b) : false
  case .lessEqual: return n <= m ? try subset(a, b) : false
  case .greater: return n > m ? try subset(b, a) : false
  default: return n >= m ? try subset(b, a) : false
  }
}
func setBinary(_ op: BinaryOperator, _ a: Value, _ b: Value) throws(LullError) -> Value? {
  guard op == .bitOr || op == .bitAnd || op == .bitXor || op == .subtract else { return nil }
  guard a.kind == .set || a.kind == .dictView, b.kind == .set || b.kind == .dictView,
    let x = setLike(a), let y = setLike(b)
  else { return nil }
  defer {
    x.release()
    y.release()
  }
  let frozen = x.set.isFrozen && a.kind == .set
  switch op {
  case .bitOr:
    let r = x.set.copy(frozen: frozen)
    try r.set.merge(y.set)
    return r
  case .bitAnd: return try setIntersection(x.set, y.set, frozen)
  case .subtract: return try setDifference(x.set, y.set, frozen)
  default:
    let r = x.set.copy(frozen: frozen)
    try y.set.eachElement { (e) throws(LullError) in
      if !(try r.set.remove(e.key)) { try r.set.add(e.key, e.hash) }
    }
    return r
  }
}
func setIntersection(_ a: SetPtr, _ b: SetPtr, _ frozen: Bool) throws(LullError) -> Value {
  let r = makeSet(frozen: frozen)
  let (small, large) = b.pointee.count > a.pointee.count ? (a, b) : (b, a)
  try small.eachElement { (e) throws(LullError) in
    if try large.has(e.key, e.hash) { try r.set.add(e.key, e.hash) }
  }
  return r
}
func setDifference(_ a: SetPtr, _ b: SetPtr, _ frozen: Bool) throws(LullError) -> Value {
  let r = makeSet(frozen: frozen)
  try a.eachElement { (e) throws(LullError) in
    if !(try b.has(e.key, e.hash)) { try r.set.add(e.key, e.hash) }
  }
  return r
}
