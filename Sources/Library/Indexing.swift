// `a[...]`: reading and writing with ints, slices, None, ..., arrays, lists and boolean masks.

import Engine
import Language

/// The index expression as the engine has it.
func indices(_ v: Value) throws(LullError) -> [Index] {
  if v.isTuple {
    var out: [Index] = []
    for element in v.elements { out.append(try index(element)) }
    return out
  }
  return [try index(v)]
}

private func index(_ v: Value) throws(LullError) -> Index {
  if let b = v.boolValue { return .array(try engine { try NDArray(.bool(b)) }) }
  if let i = v.intValue { return .int(try checkedIndex(i)) }
  if v.isNone { return .newAxis }
  if v.isEllipsis { return .ellipsis }
  if let (start, stop, step) = v.sliceParts {
    func bound(_ v: Value) throws(LullError) -> Int? {
      if v.isNone { return nil }
      if let i = v.intValue { return try checkedIndex(i) }
      if let x = v.ndarray, x.size == 1, x.dtype.isInteger {
        return try engine { try x.item().int }
      }
      throw LullError.typeError("slice indices must be ints or None, not \(v.typeNameText)")
    }
    return .slice(SliceRange(try bound(start), try bound(stop), try bound(step)))
  }
  if let x = v.ndarray {
    guard x.dtype.isInteger || x.dtype == .bool else {
      throw LullError.index(
        "an index array must have an integer or bool dtype, not \(x.dtype.name)")
    }
    return .array(x)
  }
  if v.isList || v.isTuple {
    let x = try toArray(v)
    return .array(x.size == 0 ? x.astype(.int32) : x)
  }
  let error = LullError("IndexError", "an array cannot be indexed by \(article(v.typeNameText))")
  error.notes.append(
    v.typeNameText == "float"
      ? "make it an int first: // in place of / divides ints, and int() rounds towards zero"
      : "indices are ints, slices, None, ... and arrays of ints or bools")
  throw error
}

/// The one value of an index that is a mask without axes: it takes all of the array, or nothing.
private func lonelyMask(_ at: [Index]) throws(LullError) -> Bool? {
  guard at.count == 1, case .array(let mask) = at[0], mask.dtype == .bool, mask.rank == 0 else {
    return nil
  }
  return try engine { try mask.item().int != 0 }
}

func readIndex(_ me: Value, _ v: Value) throws(LullError) -> NDArray {
  guard let x = me.ndarray else { throw LullError.typeError("not an array") }
  let at = try indices(v)
  if let isAll = try lonelyMask(at) {
    return try engine { try slice(expandDims(x, [0]), axis: 0, from: 0, to: isAll ? 1 : 0) }
  }
  return try engine { try x.at(at) }
}

func writeIndex(_ me: Value, _ v: Value, _ value: Value) throws(LullError) {
  guard let x = me.ndarray else { throw LullError.typeError("not an array") }
  let at = try indices(v)
  let update = try operands(me, value).1
  if let isAll = try lonelyMask(at) {
    if isAll { me.setNative(try engine { try update.astype(x.dtype).broadcast(to: x.shape) }) }
    return
  }
  let result = try engine { try x.updating(at, update.astype(x.dtype)) }
  me.setNative(result)
}

enum UpdateMode { case set, add, subtract, multiply, divide, maximum, minimum }

/// A copy of the array with `value` applied at an index.
func updated(_ array: Value, _ v: Value, _ value: Value, _ mode: UpdateMode) throws(LullError)
  -> NDArray
{
  guard let x = array.ndarray else { throw LullError.typeError("not an array") }
  let at = try indices(v)
  let y = try operands(array, value).1
  return try engine {
    let update = y.astype(x.dtype)
    switch mode {
    case .set: return try x.updating(at, update)
    case .add: return try x.updating(at, update, .add)
    case .subtract: return try x.updating(at, negative(update), .add)
    case .multiply: return try x.updating(at, update, .prod)
    case .divide: return try x.updating(at, divide(x.at(at), y).astype(x.dtype))
    case .maximum: return try x.updating(at, update, .max)
    case .minimum: return try x.updating(at, update, .min)
    }
  }
}

public let indexingFunctions: [Builtin] = [
  function(
    "take", "a, /, indices, axis=None", "indexing",
    "The entries of an axis (None: of the flattened array) at indices.",
    [">>> mx.take(mx.array([10, 20, 30]), mx.array([2, 0]))\narray([30, 10], dtype=int32)"]
  ) { a in
    if let weight = a.args[0].native(QuantizedWeight.self) {
      return try quantizedTake(weight, a.array(1))
    }
    let x = try a.array(0)
    if let i = a.args[1].intValue {
      let dtype: DType = Int32(exactly: try checkedIndex(i)) == nil ? .int64 : .int32
      return try take(x, NDArray(.int(i), dtype: dtype), axis: a.optionalInt(2))
    }
    return try take(x, a.array(1), axis: a.optionalInt(2))
  },
  function(
    "take_along_axis", "a, /, indices, axis=-1", "indexing",
    "The entries at indices, one for each position of the other axes.",
    [
      ">>> mx.take_along_axis(mx.array([[3, 1], [2, 4]]), mx.array([[1], [0]]), axis=1)\narray([[1],\n       [2]], dtype=int32)"
    ]
  ) { try takeAlongAxis($0.array(0), $0.array(1), axis: $0.optionalInt(2)) },
  function(
    "put_along_axis", "a, /, indices, values, axis=None", "indexing",
    "A copy of a with values put at indices.",
    [
      ">>> mx.put_along_axis(mx.array([[3, 1]]), mx.array([[0]]), mx.array([[9]]), axis=1)\narray([[9, 1]], dtype=int32)"
    ]
  ) {
    let (x, values) = try $0.pair(0, 2)
    return try putAlongAxis(x, $0.array(1), values.astype(x.dtype), axis: $0.optionalInt(3))
  },
  special(
    "nonzero", "a, /", "indexing",
    "The indices of the values that are not zero, one array an axis.",
    [">>> mx.nonzero(mx.array([0, 5, 7]))\n(array([1, 2], dtype=int32),)"]
  ) { tuple(try nonzero($0.array(0)).map { $0.astype(.int32) }) },
  function(
    "slice_update", "a, update, start_indices, axes", "indexing",
    "A copy of a with update put where start_indices say, along the axes.",
    [
      ">>> mx.slice_update(mx.zeros(4), mx.ones(2), mx.array([1]), axes=(0,))\narray([0, 1, 1, 0], dtype=float32)"
    ]
  ) { a in
    let (x, update) = try a.pair(0, 1)
    let places = try a.array(2)
    let axes = try a.ints(3)
    if !places.isEvaluated || places.isTraced {
      return try sliceUpdate(x, update, at: places, axes)
    }
    let starts = try places.ints()
    guard starts.count == axes.count else {
      throw LullError.valueError(
        "slice_update: \(starts.count) start indices for \(axes.count) axes")
    }
    guard update.rank == x.rank else {
      throw ArrayError.shapeMismatch(
        op: "slice_update", lhs: x.shape.array, rhs: update.shape.array,
        reason: "the update must have as many axes as the array")
    }
    var at = [Index](repeating: .slice(SliceRange()), count: x.rank)
    for (start, axis) in zip(starts, axes) {
      let i = axis < 0 ? axis + x.rank : axis
      guard i >= 0, i < x.rank else {
        throw ArrayError.axis(op: "slice_update", axis: axis, rank: x.rank)
      }
      guard start >= 0, start <= x.shape[i] - update.shape[i] else {
        throw ArrayError.indexOutOfRange(
          op: "slice_update", index: start, axis: i, size: x.shape[i])
      }
      at[i] = .slice(SliceRange(start, start + update.shape[i]))
    }
    return try x.updating(at, update.astype(x.dtype))
  },
  function(
    "sort", "a, /, axis=-1", "sorting", "The values in ascending order along an axis (None: all).",
    [">>> mx.sort(mx.array([3, 1, 2]))\narray([1, 2, 3], dtype=int32)"]
  ) {
    try sort($0.array(0), axis: $0.optionalInt(1))
  },
  function(
    "argsort", "a, /, axis=-1", "sorting", "The indices that sort an axis, as uint32.",
    [">>> mx.argsort(mx.array([3, 1, 2]))\narray([1, 2, 0], dtype=uint32)"]
  ) {
    try argsort($0.array(0), axis: $0.optionalInt(1))
  },
  function(
    "partition", "a, /, kth, axis=-1", "sorting",
    "The values with the kth one where sorting puts it, smaller ones before it.",
    [">>> mx.partition(mx.array([3, 1, 2]), 1)[1]\narray(2, dtype=int32)"]
  ) { try partition($0.array(0), $0.int(1), axis: $0.optionalInt(2)) },
  function(
    "argpartition", "a, /, kth, axis=-1", "sorting",
    "The indices that partition an axis, as uint32.",
    [">>> mx.argpartition(mx.array([3, 1, 2]), 1)[1]\narray(2, dtype=uint32)"]
  ) { try argpartition($0.array(0), $0.int(1), axis: $0.optionalInt(2)) },
  function(
    "topk", "a, /, k, axis=-1", "sorting", "The k largest values, in no special order.",
    [">>> mx.topk(mx.array([3, 1, 2]), 1)\narray([3], dtype=int32)"]
  ) {
    try topk($0.array(0), $0.int(1), axis: $0.optionalInt(2))
  },
  function(
    "searchsorted", "sorted_sequence, values, /, side='left'", "sorting",
    "Where values belong in a sorted array, as uint32.",
    [">>> mx.searchsorted(mx.array([1, 3, 5]), mx.array([3, 4]))\narray([1, 2], dtype=uint32)"]
  ) { a in
    let side = try a.string(2)
    guard side == "left" || side == "right" else {
      throw LullError.valueError("searchsorted: side must be 'left' or 'right', not '\(side)'")
    }
    let sorted = try a.array(0)
    if sorted.isMapped {
      throw LullError.valueError(
        "searchsorted: vmap maps over the values, not over the sorted sequence")
    }
    return try searchsorted(sorted, a.array(1), right: side == "right")
  },
]
