// Ranges whose ends, step or length do not fit 64 bits.
//
// A range is four words (`RangeBody`), and loops over it add in registers. One that does not fit keeps its numbers
// here; its words then are those of an empty start with the length clipped, so that whoever only asks whether it is
// empty, or how much memory a list of it would take, needs no case of its own.
import BigInt

final class BigRange {
  let start: BigInt
  let stop: BigInt
  let step: BigInt
  let count: BigInt

  init(_ start: BigInt, _ stop: BigInt, _ step: BigInt) {
    self.start = start
    self.stop = stop
    self.step = step
    let distance = step.sign == .plus ? stop - start : start - stop
    count = distance > 0 ? (distance - 1) / BigInt(step.magnitude) + 1 : 0
  }

  func item(_ i: BigInt) -> Value { makeBig(start + i * step) }

  func index(of x: BigInt) -> BigInt? {
    let (q, r) = (x - start).quotientAndRemainder(dividingBy: step)
    return r.isZero && q.sign == .plus && q < count ? q : nil
  }

  /// The item at a place that may count from the end.
  func item(at key: Value) throws(LullError) -> Value {
    let k = try indexValue(key)
    defer { k.release() }
    let i = k.integer ?? 0
    let place = i.sign == .minus ? i + count : i
    guard place.sign == .plus, place < count else {
      throw LullError.index("range object index out of range")
    }
    return item(place)
  }

  func sliced(_ slice: Value) throws(LullError) -> Value {
    let (first, last, by) = try Self.indices(slice, count)
    return try makeRange(start + first * step, start + last * step, step * by)
  }

  /// Where a slice of so many items starts and stops, and its step.
  static func indices(_ slice: Value, _ count: BigInt) throws(LullError) -> (BigInt, BigInt, BigInt)
  {
    guard let parts = slice.sliceParts else { throw LullError.typeError("expected a slice") }
    func number(_ v: Value) throws(LullError) -> BigInt? {
      if v.isNone { return nil }
      do throws(LullError) {
        let r = try indexValue(v)
        defer { r.release() }
        return r.integer
      } catch {
        if isCustom(v), !v.type.lookup(.__index__).isUndefined { throw error }
        throw LullError.typeError(
          "slice indices must be integers or None or have an __index__ method")
      }
    }
    let by = try number(parts.step) ?? 1
    if by.isZero { throw LullError.valueError("slice step cannot be zero") }
    let isDown = by.sign == .minus
    let low: BigInt = isDown ? -1 : 0
    let high = isDown ? count - 1 : count
    func bound(_ given: BigInt?, _ missing: BigInt) -> BigInt {
      guard let given else { return missing }
      return min(max(given.sign == .minus ? given + count : given, low), high)
    }
    let first = bound(try number(parts.start), isDown ? high : low)
    let last = bound(try number(parts.stop), isDown ? low : high)
    return (first, last, by)
  }

  func iterator(reversed: Bool) -> Value {
    var next = reversed ? start + (count - 1) * step : start
    let by = reversed ? -step : step
    var left = count
    return makeIterator(kind: .native, type: "longrange_iterator") { (_) throws(LullError) in
      if left.isZero { return .undefined }
      left -= 1
      let v = makeBig(next)
      next += by
      return v
    }
  }
}

func makeRange(_ start: BigInt, _ stop: BigInt, _ step: BigInt) throws(LullError) -> Value {
  if step.isZero { throw LullError.valueError("range() arg 3 must not be zero") }
  let big = BigRange(start, stop, step)
  if let a = Int(exactly: start), let b = Int(exactly: stop), let c = Int(exactly: step),
    c != Int.min,
    let n = Int(exactly: big.count)
  {
    return makeRange(RangeBody(h: Header(.range), start: a, stop: b, step: c, count: n, big: nil))
  }
  return makeRange(
    RangeBody(
      h: Header(.range), start: 0, stop: 0, step: 1, count: Int(clamping: big.count), big: big))
}

/// Of ends that may be of any size, or have an `__index__`.
func makeRange(_ start: Value, _ stop: Value, _ step: Value) throws(LullError) -> Value {
  func number(_ v: Value) throws(LullError) -> Value {
    v.isUndefined ? Value(1) : try indexValue(v)
  }
  let a = try number(start)
  defer { a.release() }
  let b = try number(stop)
  defer { b.release() }
  let c = try number(step)
  defer { c.release() }
  if a.tag == .int, b.tag == .int, c.tag == .int { return try makeRange(a.asInt, b.asInt, c.asInt) }
  return try makeRange(a.integer ?? 0, b.integer ?? 0, c.integer ?? 0)
}

extension UnsafeMutablePointer where Pointee == RangeBody {
  /// Where a number stands in the range.
  func index(of x: Value) -> Value? {
    if let big = pointee.big { return big.index(of: x.integer ?? 0).map { makeBig($0) } }
    guard x.isIntOrBool else { return nil }
    let r = pointee
    // A distance of 64 bits or more is past the ends: the length of the range fits.
    let (d, o) =
      r.step > 0
      ? x.asInt.subtractingReportingOverflow(r.start)
      : r.start.subtractingReportingOverflow(x.asInt)
    if o || d < 0 { return nil }
    let (q, rest) = d.magnitude.quotientAndRemainder(dividingBy: r.step.magnitude)
    return rest == 0 && q < UInt(r.count) ? Value(Int(q)) : nil
  }

  func slice(_ k: Value) throws(LullError) -> Value {
    if let big = pointee.big { return try big.sliced(k) }
    let r = pointee
    let s = try sliceIndices(k, length: r.count)
    let (a, o1) = s.start.multipliedReportingOverflow(by: r.step)
    let (b, o2) = s.stop.multipliedReportingOverflow(by: r.step)
    let (step, o3) = s.step.multipliedReportingOverflow(by: r.step)
    let (start, o4) = a.addingReportingOverflow(r.start)
    let (stop, o5) = b.addingReportingOverflow(r.start)
    // `sliceIndices` clips steps past 64 bits.
    let clipped = k.sliceParts.map { $0.step.kind == .bigInt } ?? false
    if o1 || o2 || o3 || o4 || o5 || clipped {
      return try BigRange(BigInt(r.start), BigInt(r.stop), BigInt(r.step)).sliced(k)
    }
    return try makeRange(start, stop, step)
  }

  /// Start, stop and step as values.
  var ends: (Value, Value, Value) {
    if let b = pointee.big { return (makeBig(b.start), makeBig(b.stop), makeBig(b.step)) }
    return (Value(pointee.start), Value(pointee.stop), Value(pointee.step))
  }
}

/// How often a value occurs in a range when it is no integer: compared with each item, as CPython does.
func rangeItems(_ range: Value, equalTo x: Value, stopAtFirst: Bool) throws(LullError) -> (
  count: Int, first: Int?
) {
  var n = 0
  var place = 0
  var first: Int?
  let it = try makeIterator(range)
  defer { it.release() }
  while true {
    let item = try iteratorNext(it)
    if item.isUndefined { return (n, first) }
    defer { item.release() }
    if try sameOrEqual(item, x) {
      n += 1
      if first == nil { first = place }
      if stopAtFirst { return (n, first) }
    }
    place += 1
    if place & 0xFFFF == 0 { try throwIfInterrupted() }
  }
}
