// Signatures, documentation and source of what can be called.
//
// Builtins say it in their record. Functions and classes written in the language are found in the text
// that defined them: the cells of the session, remembered here, or the file of their module. Nothing
// here runs code of the user.

import Formats
import Language

/// Where the functions and classes of the cells were defined.
struct DefinitionIndex {
  struct Place {
    let file: String
    let source: String
  }
  /// The latest definition by qualified name.
  private var places: [String: Place] = [:]
  private var order: [String: Int] = [:]
  private var definitionCount = 0

  /// Remembers the text of a cell that defines something.
  mutating func note(_ source: String, file: String) {
    guard source.contains("def ") || source.contains("class ") else { return }
    guard let program = parsed(source) else { return }
    for definition in definitions(in: program) {
      places[definition.name] = Place(file: file, source: source)
      definitionCount += 1
      order[definition.name] = definitionCount
    }
  }

  func place(_ qualifiedName: String) -> Place? { places[qualifiedName] }

  /// The names that are defined, without those inside classes, the oldest definition first.
  var names: [String] {
    places.keys.filter { !$0.contains(".") }.sorted { (order[$0] ?? 0) < (order[$1] ?? 0) }
  }
}

/// A function or class found in a text.
struct Definition {
  let name: String
  /// `f(x, y=1)`; for a class, of its `__init__` without self.
  let signature: String
  let parameters: [String]
  let doc: String
  let source: String
}

private enum Found {
  case function(FunctionDefinition)
  case type(ClassDefinition)
}

private func parsed(_ source: String) -> [Stmt]? {
  do throws(SyntaxFailure) { return try parseProgram(source) } catch { return nil }
}

private func definitions(in program: [Stmt], prefix: String = "") -> [(name: String, Found)] {
  var out: [(name: String, Found)] = []
  for statement in program {
    switch statement.kind {
    case .function(let f): out.append((prefix + f.name.name, .function(f)))
    case .class(let c):
      out.append((prefix + c.name.name, .type(c)))
      out += definitions(in: c.body, prefix: prefix + c.name.name + ".")
    case .if(_, let body, let orElse):
      out += definitions(in: body, prefix: prefix) + definitions(in: orElse, prefix: prefix)
    default: break
    }
  }
  return out
}

/// The text of a name's definition, decorators included.
func definitionText(_ name: String, in source: String) -> String? {
  guard let program = parsed(source),
    let found = definitions(in: program).last(where: { $0.name == name })
  else { return nil }
  let text = SourceText(file: "", text: source)
  let (span, decorators) =
    switch found.1 {
    case .function(let f): (f.span, f.decorators)
    case .type(let c): (c.span, c.decorators)
    }
  guard let first = decorators.first else { return text.text(span) }
  let bytes = Array(source.utf8)
  var start = Int(first.span.start)
  while start > 0, start <= bytes.count, bytes[start - 1] != 64 { start -= 1 }
  return text.text(Span(max(start - 1, 0), Int(span.end)))
}

/// The definition of a qualified name in a text.
func findDefinition(_ qualifiedName: String, in source: String) -> Definition? {
  guard let program = parsed(source) else { return nil }
  let all = definitions(in: program)
  guard let found = all.last(where: { $0.name == qualifiedName }) else { return nil }
  let text = SourceText(file: "", text: source)
  switch found.1 {
  case .function(let f):
    let names = parameterNames(f)
    return Definition(
      name: qualifiedName, signature: f.name.name + signatureText(f, text), parameters: names,
      doc: docString(f.body), source: text.text(f.span))
  case .type(let c):
    var signature = c.name.name + "()"
    var names: [String] = []
    if let maker = all.last(where: { $0.name == qualifiedName + ".__init__" }),
      case .function(let f) = maker.1
    {
      names = Array(parameterNames(f).dropFirst())
      signature = c.name.name + signatureText(f, text, withoutFirst: true)
    }
    return Definition(
      name: qualifiedName, signature: signature, parameters: names, doc: docString(c.body),
      source: text.text(c.span))
  }
}

private func docString(_ body: [Stmt]) -> String {
  guard let first = body.first, case .expression(let e) = first.kind,
    case .constant(.string(let text)) = e.kind
  else { return "" }
  return text
}

private func parameterNames(_ f: FunctionDefinition) -> [String] {
  let p = f.parameters
  return (p.positionalOnly + p.positional + p.keywordOnly).map(\.name.name)
}

private func signatureText(
  _ f: FunctionDefinition, _ text: SourceText, withoutFirst: Bool = false
) -> String {
  func shown(_ p: Parameter) -> String {
    p.defaultValue.map { "\(p.name.name)=\(text.text($0.span))" } ?? p.name.name
  }
  let p = f.parameters
  var parts = p.positionalOnly.map(shown)
  if !parts.isEmpty { parts.append("/") }
  parts += p.positional.map(shown)
  if withoutFirst, !parts.isEmpty { parts.removeFirst() }
  if let rest = p.rest {
    parts.append("*" + rest.name.name)
  } else if !p.keywordOnly.isEmpty {
    parts.append("*")
  }
  parts += p.keywordOnly.map(shown)
  if let keywords = p.keywords { parts.append("**" + keywords.name.name) }
  return "(" + parts.joined(separator: ", ") + ")"
}

extension Session {
  /// The definition in the language behind a function, method or class.
  func definition(of value: Value) -> Definition? {
    guard let name = textAttribute(value, "__qualname__") else { return nil }
    var module = textAttribute(value, "__module__") ?? "__main__"
    if module == "__main__", value.typeNameText == "type", definitions.place(name) == nil,
      let maker = quietAttribute(value, "__init__")
    {
      // A class is where its methods are.
      defer { maker.drop() }
      module = textAttribute(maker, "__module__") ?? module
    }
    if module == "__main__" {
      guard let place = definitions.place(name) else { return nil }
      return findDefinition(name, in: place.source)
    }
    guard let file = moduleFile(module) else { return nil }
    do {
      let bytes = try Formats.readFile(file)
      return findDefinition(name, in: String(decoding: bytes, as: UTF8.self))
    } catch {
      return nil
    }
  }

  private func moduleFile(_ name: String) -> String? {
    let parts = name.split(separator: ".").joined(separator: "/")
    for directory in interpreter.searchPath {
      for suffix in [".lull", ".py", "/__init__.lull", "/__init__.py"] {
        let path = directory + "/" + parts + suffix
        if fileExists(path) { return path }
      }
    }
    return nil
  }

  /// The parameters that a call of the value takes by keyword, and its signature.
  func signature(of value: Value) -> (text: String, parameters: [String])? {
    if let record = value.record {
      let all = record.parameters
      let names = all.parameters.dropFirst(all.positionalOnly).map(\.name)
      return (record.signature, names.filter { !$0.hasPrefix("_") && $0 != "self" })
    }
    if let d = definition(of: value) {
      let isMethod = value.typeNameText == "method"
      return (d.signature, isMethod ? Array(d.parameters.dropFirst()) : d.parameters)
    }
    return nil
  }

  /// A str attribute; nil when it is missing or no str.
  func textAttribute(_ value: Value, _ name: String) -> String? {
    do throws(LullError) {
      guard let v = try attributeOrNil(value, name) else { return nil }
      defer { v.drop() }
      return v.stringValue
    } catch {
      return nil
    }
  }

  /// The value that a dotted name means, without running code of the user: plain attributes of
  /// modules, classes and instances, and of builtin objects. Owned.
  func resolve(_ path: String) -> Value? {
    let parts = path.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard let first = parts.first, !first.isEmpty else { return nil }
    bindLate(first)
    guard var value = interpreter[first]?.retain() ?? builtin(first) else { return nil }
    for name in parts.dropFirst() {
      guard let next = quietAttribute(value, name) else {
        value.drop()
        return nil
      }
      value.drop()
      value = next
    }
    return value
  }

  private func builtin(_ name: String) -> Value? {
    guard interpreter.builtinNames.contains(name) else { return nil }
    do throws(LullError) {
      return try interpreter.run(name, file: "<session>")
    } catch {
      return nil
    }
  }

  private func quietAttribute(_ value: Value, _ name: String) -> Value? {
    guard attributeNames(value).contains(name) else { return nil }
    do throws(LullError) {
      // A property of the user's class would run.
      if value.typeNameText != "module", value.typeNameText != "type", value.nativeObject() == nil {
        let type = try attribute(value, "__class__")
        defer { type.drop() }
        if let descriptor = try attributeOrNil(type, name) {
          defer { descriptor.drop() }
          if descriptor.typeNameText == "property" { return nil }
        }
      }
      return try attributeOrNil(value, name)
    } catch {
      return nil
    }
  }
}
