// vmap over trees.

import Engine
import Language

public let vmapFunctions: [Builtin] = [
  Builtin(
    "vmap", "vmap(fun, in_axes=0, out_axes=0)", chapter: "transforms",
    doc:
      "The function fun, written for one example, over a batch: arguments are mapped over in_axes (None: not "
      + "mapped; trees of axes for trees of arguments), results stacked along out_axes.",
    examples: [
      ">>> f = mx.vmap(lambda x, y: (x * y).sum(), in_axes=(0, None))\n>>> f(mx.array([[1.0, 2.0], [3.0, 4.0]]), mx.array([1.0, 10.0]))\narray([21, 43], dtype=float32)"
    ]
  ) { (a) throws(LullError) in
    let (inAxes, outAxes) = (Holder(a[1]), Holder(a[2]))
    for (v, what) in [(a[1], "in_axes"), (a[2], "out_axes")] {
      guard v.isNone || v.intValue != nil || v.isList || v.isTuple || v.isDict else {
        throw LullError.valueError(
          "vmap: \(what) must be an int, None, or lists, tuples and dicts of them, not \(Tree.describe(v))"
        )
      }
    }
    return transformed("vmap", try callable(a)) { (f, args, keywords) throws(LullError) in
      guard keywords.isEmpty else {
        throw LullError.valueError("vmap: pass the arguments by position, not by keyword")
      }
      return try mapped(f, args, inAxes.value, outAxes.value)
    }
  }
]

private func mapped(_ f: Value, _ args: [Value], _ inAxes: Value, _ outAxes: Value)
  throws(LullError) -> Value
{
  var arrays: [NDArray] = []
  for v in args { arrays += try Tree.arrays(v, "vmap: an argument") }
  var axes: [Int?] = []
  if inAxes.isList || inAxes.isTuple {
    guard inAxes.elements.count == args.count else {
      throw LullError.valueError(
        "vmap: in_axes has \(inAxes.elements.count) entries for \(args.count) arguments")
    }
    for (axis, v) in zip(inAxes.elements, args) { try Tree.axes(axis, for: v, "in_axes", &axes) }
  } else if inAxes.isDict && args.count != 1 {
    throw LullError.valueError("vmap: in_axes is a dict, but there are \(args.count) arguments")
  } else {
    for v in args { try Tree.axes(inAxes, for: v, "in_axes", &axes) }
  }
  stampPosition()
  let trace = try engine { try BatchTrace(arrays, axes: axes) }
  defer { trace.end() }
  var rest = trace.examples[...]
  var own: [Value] = []
  defer { for v in own { v.drop() } }
  for v in args { own.append(try Tree.rebuilt(v, &rest)) }
  let result = try callValue(f, own)
  defer { result.drop() }
  let outputs = try Tree.arrays(result, "vmap: the result of the function")
  var places: [Int?] = []
  if (outAxes.isList || outAxes.isTuple) && outAxes.elements.count == 1 && result.ndarray != nil {
    try Tree.axes(outAxes.elements[0], for: result, "out_axes", &places)
  } else {
    try Tree.axes(outAxes, for: result, "out_axes", &places)
  }
  let batches = try engine { try trace.finish(outputs, axes: places) }
  return try Tree.rebuilt(result, batches)
}
