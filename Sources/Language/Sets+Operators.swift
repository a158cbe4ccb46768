// Operators and comparisons of sets and of the views of dicts that behave like sets.
import Glibc

// MARK: - Sets

private func isKeysOrItems(_ v: Value) -> Bool {
  v.body(DictViewBody.self).pointee.which != .values
}

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
  if a.kind == .dictView && isKeysOrItems(a) || b.kind == .dictView && isKeysOrItems(b) {
    return try viewBinary(op, a, b)
  }
  guard a.kind == .set, b.kind == .set else { return nil }
  let x = a.retained()
  let y = b.retained()
  defer {
    x.release()
    y.release()
  }
  let frozen = x.set.isFrozen
  switch op {
  case .bitOr:
    let r = x.set.copy(frozen: frozen)
    // As CPython: merging a set with itself could make its table grow, which changes the order.
    if x.set != y.set { try r.set.merge(y.set) }
    return r
  case .bitAnd: return try setIntersection(x.set, y.set, frozen)
  case .subtract: return try setDifference(x.set, y, frozen)
  default:
    // From the other operand, as CPython: the order of the elements depends on it.
    let r = y.set.copy(frozen: frozen)
    do throws(LullError) { try r.set.toggle(x) } catch {
      r.release()
      throw error
    }
    return r
  }
}
/// With a view of a dict on either side, the other any iterable. Each makes its set as CPython, for the same order.
private func viewBinary(_ op: BinaryOperator, _ a: Value, _ b: Value) throws(LullError) -> Value {
  func isView(_ v: Value) -> Bool { v.kind == .dictView && isKeysOrItems(v) }
  func dict(_ v: Value) -> Value { v.body(DictViewBody.self).pointee.dict }
  if op == .bitAnd {
    var (view, other) = isView(a) ? (a, b) : (b, a)
    let n = dict(view).dict.pointee.count
    if other.tag == .set, !other.set.isFrozen, n <= other.set.pointee.count {
      return try setIntersection(other.set, view, false)
    }
    if isView(other), dict(other).dict.pointee.count > n { swap(&view, &other) }
    let r = makeSet()
    do throws(LullError) {
      try forEach(other) { (x) throws(LullError) in
        if try containsValue(view, x) { try r.set.add(x) }
      }
    } catch {
      r.release()
      throw error
    }
    return r
  }
  let bothItems =
    op == .bitXor
    && [a, b].allSatisfy { isView($0) && $0.body(DictViewBody.self).pointee.which == .items }
  let r =
    bothItems
    ? makeSet()
    : try setFrom(
      isView(a) && dict(a).tag == .dict && a.body(DictViewBody.self).pointee.which == .keys
        ? dict(a) : a, frozen: false)
  do throws(LullError) {
    switch op {
    case .bitOr: try r.set.update(b)
    case .subtract: try r.set.subtract(b)
    default:
      if !bothItems {
        try r.set.toggle(b)
      } else {
        for (x, y) in [(b, a), (a, b)] {
          try forEach(x) { (e) throws(LullError) in
            if !(try containsValue(y, e)) { try r.set.add(e) }
          }
        }
      }
    }
  } catch {
    r.release()
    throw error
  }
  return r
}
/// With a set or any iterable: in the order of the smaller set, or of the iterable.
func setIntersection(_ a: SetPtr, _ b: Value, _ frozen: Bool) throws(LullError) -> Value {
  if b.kind == .set { return try setIntersection(a, b.set, frozen) }
  let r = makeSet(frozen: frozen)
  do throws(LullError) {
    try forEach(b) { (x) throws(LullError) in if try a.contains(x) { try r.set.add(x) } }
  } catch {
    r.release()
    throw error
  }
  return r
}
/// With each of several; a copy when there are none.
func setIntersection(_ a: SetPtr, all others: some Sequence<Value>, _ frozen: Bool)
  throws(LullError) -> Value
{
  var r = Value.undefined
  do throws(LullError) {
    for x in others {
      let n = try setIntersection(r.isUndefined ? a : r.set, x, frozen)
      r.release()
      r = n
    }
  } catch {
    r.release()
    throw error
  }
  return r.isUndefined ? a.copy(frozen: frozen) : r
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
/// CPython's order: elements of a set or dict that is not much smaller are looked up there, else a copy loses them.
func setDifference(_ a: SetPtr, _ b: Value, _ frozen: Bool) throws(LullError) -> Value {
  let size = b.kind == .set ? b.set.pointee.count : b.tag == .dict ? b.dict.pointee.count : nil
  let r: Value
  if let size, a.pointee.count >> 2 <= size {
    r = makeSet(frozen: frozen)
  } else {
    r = a.copy(frozen: frozen)
  }
  do throws(LullError) {
    if let size, a.pointee.count >> 2 <= size {
      try a.eachElement { (e) throws(LullError) in
        let has = b.kind == .set ? try b.set.has(e.key, e.hash) : try b.dict.lookup(e.key) != nil
        if !has { try r.set.add(e.key, e.hash) }
      }
    } else {
      try r.set.subtract(b)
    }
  } catch {
    r.release()
    throw error
  }
  return r
}
