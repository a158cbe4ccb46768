// Operators and comparisons of sets and of the views of dicts that behave like sets.
import Glibc

// MARK: - Sets

private func isKeysOrItems(_ v: Value) -> Bool { v.body(DictViewBody.self).pointee.which != .values }

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
  let x: Value
  let y: Value
  if a.kind == .dictView && isKeysOrItems(a) || b.kind == .dictView && isKeysOrItems(b) {
    // A view takes any iterable.
    x = try setFrom(a, frozen: false)
    do throws(LullError) { y = try setFrom(b, frozen: false) } catch {
      x.release()
      throw error
    }
  } else {
    guard a.kind == .set, b.kind == .set else { return nil }
    x = a.retained()
    y = b.retained()
  }
  defer {
    x.release()
    y.release()
  }
  let frozen = x.set.isFrozen && a.kind == .set
  switch op {
  case .bitOr:
    let r = x.set.copy(frozen: frozen)
    // As CPython: merging a set with itself could make its table grow, which changes the order.
    if x.set != y.set { try r.set.merge(y.set) }
    return r
  case .bitAnd: return try setIntersection(x.set, y.set, frozen)
  case .subtract: return try setDifference(x.set, y.set, frozen)
  default:
    // From the other operand, as CPython: the order of the elements depends on it.
    let r = y.set.copy(frozen: frozen)
    try x.set.eachElement { (e) throws(LullError) in
      if !(try r.set.remove(e.key)) { try r.set.add(e.key, e.hash) }
    }
    return r
  }
}
func setIntersection(_ a: SetPtr, _ b: SetPtr, _ frozen: Bool) throws(LullError) -> Value {
  if a == b { return a.copy(frozen: frozen) }
  let r = makeSet(frozen: frozen)
  let (small, large) = b.pointee.count > a.pointee.count ? (a, b) : (b, a)
  try small.eachElement { (e) throws(LullError) in
    if try large.has(e.key, e.hash) { try r.set.add(e.key, e.hash) }
  }
  return r
}
func setDifference(_ a: SetPtr, _ b: SetPtr, _ frozen: Bool) throws(LullError) -> Value {
  if a.pointee.count >> 2 > b.pointee.count {
    let r = a.copy(frozen: frozen)
    try b.eachElement { (e) throws(LullError) in _ = try r.set.remove(e.key) }
    return r
  }
  let r = makeSet(frozen: frozen)
  try a.eachElement { (e) throws(LullError) in
    if !(try b.has(e.key, e.hash)) { try r.set.add(e.key, e.hash) }
  }
  return r
}
