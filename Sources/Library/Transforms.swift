// Function transforms over trees: grad, value_and_grad, vjp, jvp.
//
// A transform replaces the arrays of the arguments it differentiates by the leaves of a trace, calls the
// function, and walks back from its outputs. Lists, dicts and modules among the arguments are changed in place
// for the call, so that the function sees the program's own objects, and put back after it.

import Engine
import Language

/// Which arguments to differentiate.
private struct Wanted {
  var argnums: [Int]
  let argnames: [String]
}

private func wanted(_ a: Args) throws(LullError) -> Wanted {
  var names: [String] = []
  if let name = a[2].stringValue {
    names = [name]
  } else if !a.isNone(2) {
    for v in try collect(a[2]) {
      defer { v.drop() }
      guard let name = v.stringValue else { throw a.wrong(2, "a str or a sequence of str") }
      names.append(name)
    }
  }
  if a.isNone(1) {
    return Wanted(argnums: names.isEmpty ? [0] : [], argnames: names)
  }
  if let i = a[1].intValue { return Wanted(argnums: [i], argnames: names) }
  let nums = try intSequence(a[1]) { a.wrong(1, $0) }
  if Set(nums).count < nums.count {
    throw LullError.valueError("grad: an argument is named twice in argnums")
  }
  if nums.isEmpty && names.isEmpty {
    throw LullError.valueError("grad: no argument to differentiate was given")
  }
  return Wanted(argnums: nums, argnames: names)
}

/// The arrays of some trees replaced by others for a call, lists, dicts and modules in place.
struct TreeSwap {
  /// The trees with the new arrays, owned.
  private(set) var values: [Value] = []
  private let trees: [Value]
  private var wrappers: [Value] = []
  private var originals: [UInt64: Value] = [:]
  private let what: String

  /// `new` has an array for each one in the trees, in order.
  init(_ trees: [Value], _ new: [NDArray], _ what: String) throws(LullError) {
    self.trees = trees
    self.what = what
    var rest = new[...]
    for tree in trees {
      let value = try Tree.replaced(tree, what) { (old) throws(LullError) in
        guard let next = rest.popFirst() else { return nil }
        let wrapper = wrap(next)
        wrappers.append(wrapper.retain())
        originals[wrapper.objectIdentity] = old.retain()
        return wrapper
      }
      values.append(value)
    }
  }

  /// Puts the arrays back wherever the new ones still are.
  mutating func end() {
    let originals = self.originals
    for tree in trees + values {
      do throws(LullError) {
        let back = try Tree.replaced(tree, what) { (x) throws(LullError) in
          originals[x.objectIdentity]?.retain()
        }
        back.drop()
      } catch {}
    }
    for v in values + wrappers + originals.values { v.drop() }
    (values, wrappers, self.originals) = ([], [], [:])
  }
}

/// How many functions that are being differentiated or mapped run now.
nonisolated(unsafe) var transformDepth = 0

/// Calls `function` on traced arguments; gives its result and the gradient tree.
private func differentiate(
  _ name: String, _ function: Value, _ wanted: Wanted, _ args: [Value],
  _ keywords: [(String, Value)], hasAuxiliary: Bool
) throws(LullError) -> (value: Value, gradient: Value) {
  var trees: [Value] = []
  for n in wanted.argnums {
    let i = n < 0 ? n + args.count : n
    guard args.indices.contains(i) else {
      throw LullError.valueError(
        "\(name): cannot differentiate argument \(n) of a call with \(args.count) positional arguments"
      )
    }
    trees.append(args[i])
  }
  for key in wanted.argnames {
    guard let pair = keywords.first(where: { $0.0 == key }) else {
      throw LullError.valueError("\(name): the call has no keyword argument '\(key)'")
    }
    trees.append(pair.1)
  }
  var arrays: [NDArray] = []
  var counts: [Int] = []
  for tree in trees {
    let own = try Tree.arrays(tree, "\(name): the argument to differentiate")
    arrays += own
    counts.append(own.count)
  }
  for x in arrays where x.dtype == .bool {
    throw LullError.valueError(
      "\(name): arguments to differentiate must be numbers, found bool; use astype(float32)")
  }
  let traced = beginTrace(arrays)
  var results: [NDArray] = []
  defer { endTrace(results) }
  var swap = try TreeSwap(trees, traced, name)
  var isSwapped = true
  defer { if isSwapped { swap.end() } }
  var newArgs = args
  var newKeywords = keywords
  for (k, replacement) in swap.values.enumerated() {
    if k < wanted.argnums.count {
      let n = wanted.argnums[k]
      newArgs[n < 0 ? n + args.count : n] = replacement
    } else {
      let key = wanted.argnames[k - wanted.argnums.count]
      for i in newKeywords.indices where newKeywords[i].0 == key { newKeywords[i].1 = replacement }
    }
  }
  transformDepth += 1
  defer { transformDepth -= 1 }
  let result = try callValue(function, newArgs, keywords: newKeywords)
  var keep = false
  defer { if !keep { result.drop() } }
  swap.end()
  isSwapped = false
  let isSequence = result.isTuple || result.isList
  let first = isSequence ? result.elements.first ?? .none : result
  guard let loss = first.ndarray, hasAuxiliary || !isSequence else {
    throw LullError.valueError(
      "\(name): the function must return a scalar array"
        + (hasAuxiliary ? " (or a tuple that begins with one)" : "")
        + ", not \(Tree.describe(isSequence && !hasAuxiliary ? result : first))")
  }
  guard loss.rank == 0 else {
    throw LullError.valueError(
      "\(name): the function must return a scalar, but the result has shape \(loss.shape)"
    )
    .advising("take its sum() or mean()")
  }
  let gradients = try engine {
    try vjp(
      outputs: [loss], inputs: traced,
      cotangents: [NDArray.ones(loss.shape, dtype: loss.dtype)])
  }
  results = [loss] + gradients
  var start = 0
  var gradientTrees: [Value] = []
  for (k, tree) in trees.enumerated() {
    gradientTrees.append(try Tree.rebuilt(tree, Array(gradients[start..<start + counts[k]])))
    start += counts[k]
  }
  keep = true
  let positional = Array(gradientTrees[..<wanted.argnums.count])
  let head =
    positional.count == 1
    ? positional[0] : positional.isEmpty ? Value.none : makeTupleValue(positional)
  if wanted.argnames.isEmpty { return (result, head) }
  let named = makeDictValue(
    Array(zip(wanted.argnames, gradientTrees[wanted.argnums.count...])).map { ($0, $1) })
  return (result, makeTupleValue([head, named]))
}

/// A function made of another by a transform: called like it, named like it.
final class TransformedFunction: @unchecked Sendable {
  typealias Run = (Value, [Value], [(String, Value)]) throws(LullError) -> Value
  let function: Value
  /// What the function that runs holds besides, borrowed.
  var others: () -> [Value] = { [] }
  let run: Run
  init(_ function: Value, _ run: @escaping Run) {
    self.function = function.retain()
    self.run = run
  }
  deinit { function.drop() }
}

private let transformedType: NativeType = {
  let type = NativeType(
    "transformed_function", module: "mlx.core",
    doc: "A function made of another by grad, vmap, compile or their like.")
  type.call = { (me, args, keywords) throws(LullError) in
    guard let box = me.native(TransformedFunction.self) else { return .none }
    return try box.run(box.function, Array(args), keywords)
  }
  type.properties = ["__name__", "__qualname__", "__doc__"].map { name in
    NativeProperty(name) { (me) throws(LullError) in
      guard let box = me.native(TransformedFunction.self) else { return .none }
      return try attributeOrNil(box.function, name) ?? .none
    }
  }
  type.references = { object in
    guard let t = object as? TransformedFunction else { return [] }
    return [t.function] + t.others()
  }
  type.getAttribute = { (me, name) throws(LullError) in
    name == "__wrapped__" ? me.native(TransformedFunction.self)?.function.retain() : nil
  }
  return type
}()

/// A callable of any arguments around a function of the language.
func transformed(_ name: String, _ function: Value, _ run: @escaping TransformedFunction.Run)
  -> Value
{
  transformedType.make(TransformedFunction(function, run))
}

/// Keeps a value alive for a closure.
final class Holder: @unchecked Sendable {
  let value: Value
  init(_ value: Value) { self.value = value.retain() }
  deinit { value.drop() }
}

func callable(_ a: Args) throws(LullError) -> Value {
  guard a[0].isCallable else { throw a.wrong(0, "a function") }
  return a[0]
}

public let transformFunctions: [Builtin] = [
  Builtin(
    "grad", "grad(fun, argnums=None, argnames=None)", chapter: "transforms",
    doc:
      "The function that computes the gradient of a scalar function fun with respect to some arguments.",
    examples: [">>> mx.grad(lambda x: x * x)(mx.array(3.0))\narray(6, dtype=float32)"]
  ) { (a) throws(LullError) in
    let selected = try wanted(a)
    return transformed("grad", try callable(a)) { (f, args, keywords) throws(LullError) in
      let (value, gradient) = try differentiate(
        "grad", f, selected, args, keywords, hasAuxiliary: false)
      value.drop()
      return gradient
    }
  },
  Builtin(
    "value_and_grad", "value_and_grad(fun, argnums=None, argnames=None)", chapter: "transforms",
    doc: "As grad, but the function gives (fun's value, gradient).",
    examples: [
      ">>> mx.value_and_grad(lambda x: x * x)(mx.array(3.0))\n(array(9, dtype=float32), array(6, dtype=float32))"
    ]
  ) { (a) throws(LullError) in
    let selected = try wanted(a)
    return transformed("value_and_grad", try callable(a)) { (f, args, keywords) throws(LullError) in
      let (value, gradient) = try differentiate(
        "value_and_grad", f, selected, args, keywords, hasAuxiliary: true)
      return makeTupleValue([value, gradient])
    }
  },
  Builtin(
    "vjp", "vjp(fun, primals, cotangents)", chapter: "transforms",
    doc: "(outputs of fun at the primals, cotangents times the Jacobian).",
    examples: [
      ">>> mx.vjp(lambda x: x * x, [mx.array([1.0, 2.0])], [mx.array([1.0, 1.0])])[1]\n[array([2, 4], dtype=float32)]"
    ]
  ) { (a) throws(LullError) in
    let f = try callable(a)
    let args = ArrayArgs(a)
    let (primals, cotangents) = (try args.arrays(1), try args.arrays(2))
    let (outputs, gradients) = try engine {
      try throughFunction(f) { (call) throws(ArrayError) in
        try vjp(primals, cotangents: cotangents, call)
      }
    }
    return makeTupleValue([list(outputs), list(gradients)])
  },
  Builtin(
    "jvp", "jvp(fun, primals, tangents)", chapter: "transforms",
    doc: "(outputs of fun at the primals, the Jacobian times the tangents).",
    examples: [
      ">>> mx.jvp(lambda x: x * x, [mx.array([1.0, 2.0])], [mx.array([1.0, 0.0])])[1]\n[array([2, 0], dtype=float32)]"
    ]
  ) { (a) throws(LullError) in
    let f = try callable(a)
    let args = ArrayArgs(a)
    let (primals, tangents) = (try args.arrays(1), try args.arrays(2))
    let (outputs, results) = try engine {
      try throughFunction(f) { (call) throws(ArrayError) in
        try jvp(primals, tangents: tangents, call)
      }
    }
    return makeTupleValue([list(outputs), list(results)])
  },
]

/// Lends a function of the language to the engine.
func throughFunction<R>(
  _ f: Value, _ body: (([NDArray]) throws(ArrayError) -> [NDArray]) throws(ArrayError) -> R
) throws(ArrayError) -> R {
  try body { (arrays) throws(ArrayError) in
    try ProgramFailure.carry { () throws(LullError) in
      let values = arrays.map { wrap($0) }
      defer { for v in values { v.drop() } }
      transformDepth += 1
      defer { transformDepth -= 1 }
      let result = try callValue(f, values)
      defer { result.drop() }
      return try Tree.arrays(result, "the result of the function")
    }
  }
}
