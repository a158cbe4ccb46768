// The syntax tree.
//
// What it is: the parser's output and the compiler's input, nothing else. Nodes are immutable and
// carry the span of source bytes that made them, so that every later stage can point at its operand.
// Names are Python's (`ast` module) in Swift spelling. The tree's depth is bounded by the parser
// (`Parser.maximumDepth`), so recursive walks and the recursive deinit of a tree are safe.

/// A half-open range of UTF-8 byte offsets in one source text.
public struct Span: Hashable, Sendable {
  public var start: Int32
  public var end: Int32
  public init(_ start: Int, _ end: Int) {
    self.start = Int32(truncatingIfNeeded: start)
    self.end = Int32(truncatingIfNeeded: end)
  }
  /// From the start of `a` to the end of `b`.
  public init(_ a: Span, _ b: Span) {
    start = a.start
    end = b.end
  }
}

/// An identifier with the place where it stands.
public struct Identifier {
  public let name: String
  public let span: Span
  public init(_ name: String, _ span: Span) {
    self.name = name
    self.span = span
  }
}

public enum Constant {
  case none
  case bool(Bool)
  case int(Int)
  /// Decimal digits (no sign, no underscores) of a literal that does not fit `Int`.
  case bigInt(String)
  case float(Double)
  /// The imaginary part of a literal such as `2j`.
  case imaginary(Double)
  case string(String)
  /// A string with lone surrogates, which a Swift string cannot hold, as WTF-8.
  case surrogates([UInt8])
  case bytes([UInt8])
  case ellipsis
}

extension Constant {
  static func text(_ bytes: [UInt8]) -> Constant {
    String(validating: bytes, as: UTF8.self).map { .string($0) } ?? .surrogates(bytes)
  }
}

public enum UnaryOperator { case not, negate, plus, invert }
public enum BoolOperator { case and, or }
public enum BinaryOperator: UInt8, CaseIterable {
  case add, subtract, multiply, matmul, divide, floorDivide, modulo, power
  case leftShift, rightShift, bitAnd, bitOr, bitXor
}
public enum CompareOperator: UInt8 {
  case equal, notEqual, less, lessEqual, greater, greaterEqual
  case `is`, isNot, `in`, notIn
}

public final class Expr {
  public let kind: ExprKind
  public let span: Span
  public init(_ kind: ExprKind, _ span: Span) {
    self.kind = kind
    self.span = span
  }
}

public enum ExprKind {
  case constant(Constant)
  case name(String)
  /// Elements may be `.starred`.
  case tuple([Expr])
  case list([Expr])
  case set([Expr])
  /// A nil key is `**value`.
  case dict([(key: Expr?, value: Expr)])
  case unary(UnaryOperator, Expr)
  case binary(BinaryOperator, Expr, Expr)
  /// `a and b and c`: two or more operands, evaluated left to right.
  case boolean(BoolOperator, [Expr])
  /// `first op operand op operand ...`
  case compare(Expr, [(op: CompareOperator, operand: Expr)])
  case conditional(test: Expr, body: Expr, orElse: Expr)
  case call(Expr, [Argument])
  case attribute(Expr, Identifier)
  /// The index is a `.tuple` for `a[i, j]`; `.slice` and `.starred` occur only inside it.
  case `subscript`(Expr, Expr)
  case slice(lower: Expr?, upper: Expr?, step: Expr?)
  /// `*value` in a display, a call, a subscript or an assignment target.
  case starred(Expr)
  case lambda(Parameters, Expr)
  case listComprehension(Expr, [Comprehension])
  case setComprehension(Expr, [Comprehension])
  case dictComprehension(key: Expr, value: Expr, [Comprehension])
  case generatorExpression(Expr, [Comprehension])
  /// An f-string, implicit concatenations included.
  case formatted([FStringPart])
  case yield(Expr?)
  case yieldFrom(Expr)
  case walrus(Identifier, Expr)
}

public struct Argument {
  public enum Kind {
    case positional
    case keyword(Identifier)
    /// `*value`
    case unpack
    /// `**value`
    case unpackKeywords
  }
  public let kind: Kind
  public let value: Expr
  public init(_ kind: Kind, _ value: Expr) {
    self.kind = kind
    self.value = value
  }
}

/// `for target in iterable if c1 if c2`
public struct Comprehension {
  public let target: Expr
  public let iterable: Expr
  public let conditions: [Expr]
}

public enum FStringPart {
  case literal(Constant)
  /// `{value!conversion:spec}`; `conversion` is `r`, `s` or `a`. The spec may hold values itself.
  /// `{value=}` is a literal part with the source text followed by this part with conversion `r`
  /// (none if a spec is given).
  case value(Expr, conversion: Character?, spec: [FStringPart]?)
}

public struct Parameter {
  public let name: Identifier
  public let annotation: Expr?
  public let defaultValue: Expr?
}

/// `positionalOnly, /, positional, *rest, keywordOnly, **keywords`
public struct Parameters {
  public var positionalOnly: [Parameter] = []
  public var positional: [Parameter] = []
  public var rest: Parameter?
  public var keywordOnly: [Parameter] = []
  public var keywords: Parameter?
  public init() {}
}

public final class Stmt {
  public let kind: StmtKind
  public let span: Span
  public init(_ kind: StmtKind, _ span: Span) {
    self.kind = kind
    self.span = span
  }
}

public indirect enum StmtKind {
  case expression(Expr)
  /// `a = b = value`: targets from left to right. A target is a name, attribute, subscript,
  /// tuple/list of targets, or starred target inside one.
  case assign(targets: [Expr], value: Expr)
  case augmentedAssign(target: Expr, BinaryOperator, value: Expr)
  /// `target: annotation [= value]`; the annotation is evaluated in modules and class bodies, where
  /// `__annotations__` keeps it.
  case annotatedAssign(target: Expr, annotation: Expr, value: Expr?)
  case `return`(Expr?)
  case delete([Expr])
  case pass
  case `break`
  case `continue`
  case `if`(test: Expr, body: [Stmt], orElse: [Stmt])
  case `while`(test: Expr, body: [Stmt], orElse: [Stmt])
  case `for`(target: Expr, iterable: Expr, body: [Stmt], orElse: [Stmt])
  case function(FunctionDefinition)
  case `class`(ClassDefinition)
  case with(items: [(context: Expr, target: Expr?)], body: [Stmt])
  case `try`(body: [Stmt], handlers: [ExceptHandler], orElse: [Stmt], finally: [Stmt])
  case raise(Expr?, cause: Expr?)
  case assert(Expr, message: Expr?)
  case global([Identifier])
  case nonlocal([Identifier])
  /// `import a.b as c, d`
  case `import`([ImportAlias])
  /// `from ..module import a as b`; `level` counts the dots; an empty alias list means `*`.
  case importFrom(module: String, level: Int, [ImportAlias])
}

public final class FunctionDefinition {
  public let name: Identifier
  public let parameters: Parameters
  public let body: [Stmt]
  public let decorators: [Expr]
  public let returnAnnotation: Expr?
  /// From `def` to the end of the body, without decorators.
  public let span: Span
  public init(
    name: Identifier, parameters: Parameters, body: [Stmt], decorators: [Expr],
    returnAnnotation: Expr?, span: Span
  ) {
    self.name = name
    self.parameters = parameters
    self.body = body
    self.decorators = decorators
    self.returnAnnotation = returnAnnotation
    self.span = span
  }
}

public final class ClassDefinition {
  public let name: Identifier
  /// The base and the keywords of `__init_subclass__` (`metaclass=` is not in the language).
  public let arguments: [Argument]
  public let body: [Stmt]
  public let decorators: [Expr]
  public let span: Span
  public init(
    name: Identifier, arguments: [Argument], body: [Stmt], decorators: [Expr], span: Span
  ) {
    self.name = name
    self.arguments = arguments
    self.body = body
    self.decorators = decorators
    self.span = span
  }
}

public struct ExceptHandler {
  /// nil for a bare `except:`
  public let type: Expr?
  public let name: Identifier?
  public let body: [Stmt]
  public let span: Span
}

public struct ImportAlias {
  /// Dotted for `import a.b`.
  public let name: Identifier
  public let alias: Identifier?
}
