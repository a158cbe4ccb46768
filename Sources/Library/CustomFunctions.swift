// custom_function, checkpoint and depends over trees.

import Engine
import Language

/// A function of the program with rules of its own for some transforms.
private final class CustomFunctionBox: @unchecked Sendable {
  let function: Holder
  var vjp: Holder?
  var jvp: Holder?
  var vmap: Holder?
  init(_ function: Value) { self.function = Holder(function) }

  func call(_ args: [Value], _ keywords: [(String, Value)]) throws(LullError) -> Value {
    if vjp == nil && jvp == nil && vmap == nil {
      return try callValue(function.value, args, keywords: keywords)
    }
    let form = CallForm(args, keywords)
    let arrays = try form.arrays()
    var resultForm: Holder?
    let function = self.function
    func results(_ v: Value) throws(LullError) -> [NDArray] {
      if resultForm == nil { resultForm = Holder(v) }
      return try Tree.someArrays(v, "custom_function: the result")
    }
    let rules = CustomRules { (inputs) throws(ArrayError) in
      try ProgramFailure.carry { () throws(LullError) in
        let result = try form.call(function.value, inputs)
        defer { result.drop() }
        return try results(result)
      }
    }
    if let rule = vjp {
      rules.vjp = { (inputs, outputs, cotangents) throws(ArrayError) in
        try ProgramFailure.carry { () throws(LullError) in
          guard let resultForm else { return [] }
          let c = try Tree.rebuilt(resultForm.value, cotangents)
          let y = try Tree.rebuilt(resultForm.value, outputs)
          defer {
            c.drop()
            y.drop()
          }
          let result = try form.withPrimals(inputs) { (primals, named) throws(LullError) in
            try callValue(rule.value, [primals, c, y], keywords: named)
          }
          defer { result.drop() }
          return try form.gradients(result)
        }
      }
    }
    if let rule = jvp {
      guard keywords.isEmpty else {
        throw LullError.valueError("custom_function: a jvp rule takes no keywords")
      }
      rules.jvp = { (inputs, tangents) throws(ArrayError) in
        try ProgramFailure.carry { () throws(LullError) in
          let result = try form.withPrimals(inputs) { (primals, _) throws(LullError) in
            let t = try form.tree { tangents[$0].map { wrap($0) } ?? .none }
            defer { t.drop() }
            return try callValue(rule.value, [primals, t])
          }
          defer { result.drop() }
          return try Tree.someArrays(result, "custom_function: the tangents")
        }
      }
    }
    if let rule = vmap {
      guard keywords.isEmpty else {
        throw LullError.valueError("custom_function: a vmap rule takes no keywords")
      }
      rules.vmap = { (inputs, axes) throws(ArrayError) in
        try ProgramFailure.carry { () throws(LullError) in
          let result = try form.withPrimals(inputs) { (primals, _) throws(LullError) in
            let a = try form.tree { axes[$0].map { Value($0) } ?? .none }
            defer { a.drop() }
            return try callValue(rule.value, [primals, a])
          }
          defer { result.drop() }
          guard result.isTuple, result.elements.count == 2 else {
            throw LullError.valueError("custom_function: a vmap rule gives (outputs, axes)")
          }
          var places: [Int?] = []
          try Tree.axes(result.elements[1], for: result.elements[0], "axes of the rule", &places)
          return (try Tree.arrays(result.elements[0], "custom_function: the batch"), places)
        }
      }
    }
    stampPosition()
    let outputs = try engine { try customFunction(arrays, rules) }
    guard let resultForm else { return .none }
    return try Tree.rebuilt(resultForm.value, outputs)
  }
}

/// The arguments of a call as a form that other arrays can be put into.
private final class CallForm: @unchecked Sendable {
  private let args: [Holder]
  private let keywords: [(String, Holder)]
  init(_ args: [Value], _ keywords: [(String, Value)]) {
    self.args = args.map { Holder($0) }
    self.keywords = keywords.map { ($0.0, Holder($0.1)) }
  }
  func arrays() throws(LullError) -> [NDArray] {
    var found: [NDArray] = []
    for v in args.map(\.value) + keywords.map(\.1.value) {
      found += try Tree.someArrays(v, "custom_function: an argument")
    }
    return found
  }
  /// The positional arguments and the keywords with other arrays (owned).
  private func filled(_ arrays: [NDArray]) throws(LullError) -> ([Value], [(String, Value)]) {
    var rest = arrays[...]
    var own: [Value] = []
    for v in args { own.append(try Tree.rebuilt(v.value, &rest)) }
    var named: [(String, Value)] = []
    for (name, v) in keywords { named.append((name, try Tree.rebuilt(v.value, &rest))) }
    return (own, named)
  }
  func call(_ f: Value, _ arrays: [NDArray]) throws(LullError) -> Value {
    let (own, named) = try filled(arrays)
    defer { for v in own + named.map(\.1) { v.drop() } }
    return try callValue(f, own, keywords: named)
  }
  /// The argument alone if there is one, else a tuple of them.
  func withPrimals(
    _ arrays: [NDArray], _ body: (Value, [(String, Value)]) throws(LullError) -> Value
  ) throws(LullError) -> Value {
    let (own, named) = try filled(arrays)
    let primals = own.count == 1 ? own[0] : makeTupleValue(own)
    defer {
      primals.drop()
      for (_, v) in named { v.drop() }
    }
    return try body(primals, named)
  }
  /// The arguments' form with something in the place of each array, by number.
  func tree(_ leaf: (Int) -> Value) throws(LullError) -> Value {
    var next = 0
    func build(_ v: Value) throws(LullError) -> Value {
      if v.ndarray != nil {
        next += 1
        return leaf(next - 1)
      }
      if v.isList || v.isTuple {
        var out: [Value] = []
        for x in v.elements { out.append(try build(x)) }
        return v.isList ? makeListValue(out) : makeTupleValue(out)
      }
      if v.isDict {
        let dict = makeDictValue([])
        for (key, x) in dictItems(v) { try setDictItem(dict, key, try build(x)) }
        return dict
      }
      return .none
    }
    if args.count == 1 { return try build(args[0].value) }
    var out: [Value] = []
    for v in args { out.append(try build(v.value)) }
    return makeTupleValue(out)
  }
  /// The gradients that a rule gave: a tree like the arguments; None for an argument is no gradient.
  func gradients(_ result: Value) throws(LullError) -> [NDArray?] {
    var counts: [Int] = []
    for v in args { counts.append(try Tree.someArrays(v.value, "custom_function").count) }
    let rest = try arrays().count - counts.reduce(0, +)
    let missing = [NDArray?](repeating: nil, count: rest)
    let found = try Tree.someArrays(result, "custom_function: the gradients")
    if found.count == counts.reduce(0, +) { return found + missing }
    if found.count == counts.reduce(0, +) + rest { return found }
    var all: [NDArray?] = []
    let parts =
      args.count == 1 ? [result] : result.isTuple || result.isList ? Array(result.elements) : []
    guard parts.count == args.count else {
      throw LullError.valueError(
        "custom_function: the vjp rule gave \(found.count) gradients for \(counts.reduce(0, +)) arrays"
      )
    }
    for (i, part) in parts.enumerated() {
      let own = try Tree.someArrays(part, "custom_function: the gradients")
      guard part.isNone || own.count == counts[i] else {
        throw LullError.valueError(
          "custom_function: the vjp rule gave \(own.count) gradients for the \(counts[i]) arrays of argument \(i)"
        )
      }
      all += part.isNone ? [NDArray?](repeating: nil, count: counts[i]) : own
    }
    return all + missing
  }
}

private let customType: NativeType = {
  let type = NativeType(
    "custom_function", module: "mlx.core",
    doc: "A function with rules of its own for vjp, jvp or vmap.")
  type.references = { object in
    guard let box = object as? CustomFunctionBox else { return [] }
    return [box.function, box.vjp, box.jvp, box.vmap].compactMap { $0?.value }
  }
  func rule(_ name: String, _ doc: String, _ set: @escaping (CustomFunctionBox, Value) -> Void)
    -> Builtin
  {
    Builtin(name, "\(name)(self, f, /)", doc: doc) { (a) throws(LullError) in
      guard let box = a[0].native(CustomFunctionBox.self) else {
        throw a.wrong(0, "a custom_function")
      }
      guard a[1].isCallable else { throw a.wrong(1, "a function") }
      set(box, a[1])
      return a[0].retain()
    }
  }
  type.methods = [
    rule("vjp", "Take f(primals, cotangents, outputs) for the gradients.") { $0.vjp = Holder($1) },
    rule("jvp", "Take f(primals, tangents) for the outputs' tangents.") { $0.jvp = Holder($1) },
    rule("vmap", "Take f(inputs, axes), which gives (outputs, axes), for a batch.") {
      $0.vmap = Holder($1)
    },
  ]
  type.call = { (me, args, keywords) throws(LullError) in
    guard let box = me.native(CustomFunctionBox.self) else { return .none }
    return try box.call(Array(args), keywords)
  }
  type.getAttribute = { (me, name) throws(LullError) in
    guard let box = me.native(CustomFunctionBox.self) else { return nil }
    return ["__name__", "__qualname__", "__module__"].contains(name)
      ? try attributeOrNil(box.function.value, name) : nil
  }
  return type
}()

public let customFunctions: [Builtin] = [
  Builtin(
    "custom_function", "custom_function(fun)", chapter: "transforms",
    doc:
      "The function fun, whose vjp, jvp and vmap can be given as rules with the decorators of that name; "
      + "what has no rule is taken of fun itself.",
    examples: [
      ">>> f = mx.custom_function(lambda x: x * x)\n>>> def rule(x, cotangent, output): return 10 * cotangent\n>>> f = f.vjp(rule)\n>>> mx.grad(f)(mx.array(3.0))\narray(10, dtype=float32)"
    ]
  ) { (a) throws(LullError) in customType.make(CustomFunctionBox(try callable(a))) },
  Builtin(
    "checkpoint", "checkpoint(fun)", chapter: "transforms",
    doc:
      "The function fun, which is computed again for its gradient instead of keeping what it needs in memory.",
    examples: [
      ">>> f = mx.checkpoint(lambda x: mx.sin(x).sum())\n>>> mx.grad(f)(mx.array([0.0, 1.0]))\narray([1, 0.540302], dtype=float32)"
    ]
  ) { (a) throws(LullError) in
    transformed("checkpoint", try callable(a)) { (f, args, keywords) throws(LullError) in
      let form = CallForm(args, keywords)
      let arrays = try form.arrays()
      let function = Holder(f)
      var resultForm: Holder?
      stampPosition()
      let outputs = try engine {
        try checkpoint(arrays) { (inputs) throws(ArrayError) in
          try ProgramFailure.carry { () throws(LullError) in
            let result = try form.call(function.value, inputs)
            defer { result.drop() }
            if resultForm == nil { resultForm = Holder(result) }
            return try Tree.someArrays(result, "checkpoint: the result")
          }
        }
      }
      guard let resultForm else { return .none }
      return try Tree.rebuilt(resultForm.value, outputs)
    }
  },
  Builtin(
    "depends", "depends(inputs, dependencies)", chapter: "transforms",
    doc: "The inputs (an array or a tree), which are not computed before the dependencies are.",
    examples: [">>> mx.depends(mx.array(1), [mx.array(2)])\narray(1, dtype=int32)"]
  ) { (a) throws(LullError) in
    stampPosition()
    let inputs = try Tree.arrays(a[0], "depends: inputs")
    let dependencies = try Tree.arrays(a[1], "depends: dependencies")
    return try Tree.rebuilt(a[0], depends(inputs, on: dependencies))
  },
]
