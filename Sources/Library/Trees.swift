// Trees: an array, or lists, tuples, dicts and modules of trees.
//
// A transform takes the arrays out of a tree, and puts others in their place. Tuples and results are made anew;
// where the program's own containers must be seen to change (state of a compiled function, arguments of a
// gradient) lists, dicts and modules are changed in place and put back afterwards.

import Engine
import Language

enum Tree {
  static let depthLimit = 200

  static func describe(_ v: Value) -> String {
    v.isNone ? "None" : "a value of type \(v.typeNameText)"
  }

  /// The parts of a module (public attributes) by name: an object that has `parameters`; nil for others.
  static func moduleParts(_ v: Value) throws(LullError) -> [(name: String, value: Value)]? {
    if v.isList || v.isTuple || v.isDict || v.ndarray != nil || v.isNone || v.isString {
      return nil
    }
    guard v.intValue == nil, v.doubleValue == nil,
      let method = try attributeOrNil(v, "parameters")
    else { return nil }
    let isCallable = method.isCallable
    method.drop()
    guard isCallable, let dict = try attributeOrNil(v, "__dict__") else { return nil }
    defer { dict.drop() }
    guard dict.isDict else { return nil }
    var parts: [(String, Value)] = []
    for (key, item) in dictItems(dict) {
      guard let name = key.stringValue, !name.hasPrefix("_") else { continue }
      parts.append((name, item))
    }
    return parts
  }

  /// Visits the leaves in order: arrays, and whatever is no container.
  static func visit(
    _ v: Value, _ what: String, _ depth: Int = 0, _ leaf: (Value) throws(LullError) -> Void
  )
    throws(LullError)
  {
    if depth > depthLimit { throw LullError.valueError("\(what): the tree is nested too deeply") }
    if v.ndarray != nil { return try leaf(v) }
    if v.isList || v.isTuple {
      for element in v.elements { try visit(element, what, depth + 1, leaf) }
    } else if v.isDict {
      for (_, item) in dictItems(v) { try visit(item, what, depth + 1, leaf) }
    } else if let parts = try moduleParts(v) {
      // What else a module holds (sizes, functions) is no part of the tree.
      for (_, item) in parts {
        try visit(item, what, depth + 1) { (x) throws(LullError) in
          if x.ndarray != nil { try leaf(x) }
        }
      }
    } else {
      try leaf(v)
    }
  }

  /// The arrays of a tree, in order; anything else in it is an error.
  static func arrays(_ v: Value, _ what: String) throws(LullError) -> [NDArray] {
    var found: [NDArray] = []
    try visit(v, what) { (x) throws(LullError) in
      guard let array = x.ndarray else {
        throw LullError.valueError(
          "\(what) must be an array or lists, tuples and dicts of arrays, but holds \(describe(x))")
      }
      found.append(array)
    }
    return found
  }
  /// The arrays of a tree that may hold other things.
  static func someArrays(_ v: Value, _ what: String) throws(LullError) -> [NDArray] {
    var found: [NDArray] = []
    try visit(v, what) { (x) throws(LullError) in if let array = x.ndarray { found.append(array) } }
    return found
  }

  /// A tuple (owned elements) of the class of another: a named tuple stays one.
  static func makeTuple(like v: Value, _ elements: [Value]) throws(LullError) -> Value {
    let plain = makeTupleValue(elements)
    guard v.typeNameText != "tuple", let type = try attributeOrNil(v, "__class__") else {
      return plain
    }
    defer {
      type.drop()
      plain.drop()
    }
    if let fields = try attributeOrNil(v, "_fields") {
      fields.drop()
      return try callValue(type, elements)
    }
    return try callValue(type, [plain])
  }

  /// A tree of the same form with other arrays, taken in order; the rest is kept.
  static func rebuilt(_ v: Value, _ arrays: [NDArray]) throws(LullError) -> Value {
    var rest = arrays[...]
    return try rebuilt(v, &rest)
  }
  static func rebuilt(_ v: Value, _ arrays: inout ArraySlice<NDArray>) throws(LullError) -> Value {
    if v.ndarray != nil { return arrays.popFirst().map { wrap($0) } ?? .none }
    if v.isList || v.isTuple {
      var out: [Value] = []
      do throws(LullError) {
        for element in v.elements { out.append(try rebuilt(element, &arrays)) }
      } catch {
        for x in out { x.drop() }
        throw error
      }
      return v.isList ? makeListValue(out) : try makeTuple(like: v, out)
    }
    if v.isDict {
      let dict = makeDictValue([])
      for (key, item) in dictItems(v) { try setDictItem(dict, key, try rebuilt(item, &arrays)) }
      return dict
    }
    if let parts = try moduleParts(v) {
      let dict = makeDictValue([])
      for (name, item) in parts where try !someArrays(item, "module").isEmpty {
        let key = makeStr(name)
        defer { key.drop() }
        try setDictItem(dict, key, try rebuilt(item, &arrays))
      }
      return dict
    }
    return v.retain()
  }

  /// The tree with its arrays replaced in place by what `other` gives (owned; nil keeps it). Tuples that change
  /// are made anew, so the tree itself may be another value (owned).
  static func replaced(
    _ v: Value, _ what: String, _ depth: Int = 0, _ other: (Value) throws(LullError) -> Value?
  )
    throws(LullError) -> Value
  {
    if depth > depthLimit { throw LullError.valueError("\(what): the tree is nested too deeply") }
    if v.ndarray != nil { return try other(v) ?? v.retain() }
    func same(_ a: Value, _ b: Value) -> Bool {
      a.tag == b.tag && a.objectIdentity == b.objectIdentity
    }
    if v.isList {
      for i in 0..<v.elements.count where i < v.elements.count {
        let old = v.elements[i]
        let new = try replaced(old, what, depth + 1, other)
        if same(old, new) { new.drop() } else { setListItem(v, i, new) }
      }
      return v.retain()
    }
    if v.isTuple {
      var out: [Value] = []
      var isNew = false
      for old in v.elements {
        let new = try replaced(old, what, depth + 1, other)
        if !same(old, new) { isNew = true }
        out.append(new)
      }
      if isNew { return try makeTuple(like: v, out) }
      for x in out { x.drop() }
      return v.retain()
    }
    if v.isDict {
      for (key, old) in dictItems(v) {
        let new = try replaced(old, what, depth + 1, other)
        if same(old, new) { new.drop() } else { try setDictItem(v, key, new) }
      }
      return v.retain()
    }
    if let parts = try moduleParts(v) {
      for (name, old) in parts {
        let new = try replaced(old, what, depth + 1, other)
        defer { new.drop() }
        if !same(old, new) { try setAttributeValue(v, name, new) }
      }
    }
    return v.retain()
  }

  /// Puts arrays into a tree's containers, in order.
  static func fill(_ v: Value, _ arrays: [NDArray], _ what: String) throws(LullError) {
    var rest = arrays[...]
    let new = try replaced(v, what) { (old) throws(LullError) in
      guard let next = rest.popFirst() else {
        throw LullError.valueError("\(what): the tree has more arrays than before")
      }
      return wrap(next)
    }
    defer { new.drop() }
    if !rest.isEmpty {
      throw LullError.valueError("\(what): the tree has fewer arrays than before")
    }
    guard new.objectIdentity == v.objectIdentity else {
      throw LullError.valueError("\(what): a tuple cannot be changed; use a list or a dict")
    }
  }

  /// A tree of axes brought to one axis (or None) for each array of a tree.
  static func axes(
    _ axes: Value, for v: Value, _ what: String, _ out: inout [Int?], _ depth: Int = 0
  )
    throws(LullError)
  {
    func wrong(_ text: String) -> LullError { LullError.valueError("vmap: \(what) \(text)") }
    if depth > depthLimit { throw wrong("is nested too deeply") }
    if axes.isNone || axes.intValue != nil, axes.boolValue == nil {
      for _ in try arrays(v, "vmap: the tree") { out.append(axes.intValue) }
    } else if axes.isList || axes.isTuple {
      guard v.isList || v.isTuple, v.elements.count == axes.elements.count else {
        throw wrong("has \(axes.elements.count) entries where the tree has \(describe(v))")
      }
      for (a, x) in zip(axes.elements, v.elements) {
        try self.axes(a, for: x, what, &out, depth + 1)
      }
    } else if axes.isDict {
      guard v.isDict, dictItems(v).count == dictItems(axes).count else {
        throw wrong("is a dict where the tree has another form")
      }
      for (key, x) in dictItems(v) {
        guard let name = key.stringValue, let a = dictItem(axes, name) else {
          throw wrong("lacks the key \(try reprText(key))")
        }
        try self.axes(a, for: x, what, &out, depth + 1)
      }
    } else {
      throw wrong("must be an int, None, or lists, tuples and dicts of them, not \(describe(axes))")
    }
  }
}
