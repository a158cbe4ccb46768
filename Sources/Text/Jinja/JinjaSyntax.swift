// The syntax tree of a template.

indirect enum JinjaExpression {
  case literal(JinjaLiteral)
  case name(String)
  case list([JinjaExpression])
  case tuple([JinjaExpression])
  case dict([(JinjaExpression, JinjaExpression)])
  case attribute(JinjaExpression, String)
  case subscript_(JinjaExpression, JinjaExpression)
  case slice(JinjaExpression, JinjaExpression?, JinjaExpression?, JinjaExpression?)
  case call(JinjaExpression, JinjaArguments)
  case filter(JinjaExpression, String, JinjaArguments)
  case test(JinjaExpression, String, JinjaArguments, negated: Bool)
  case unary(String, JinjaExpression)
  case binary(String, JinjaExpression, JinjaExpression)
  case comparison(JinjaExpression, [(String, JinjaExpression)])
  case conditional(then: JinjaExpression, condition: JinjaExpression, otherwise: JinjaExpression?)
}

enum JinjaLiteral: Sendable {
  case none
  case bool(Bool)
  case int(Int)
  case double(Double)
  case string(String)
}

struct JinjaArguments {
  var positional: [JinjaExpression] = []
  var named: [(String, JinjaExpression)] = []
}

enum JinjaTarget {
  case name(String)
  case tuple([JinjaTarget])
  /// `set ns.name = …`
  case attribute(String, String)
}

struct JinjaStatement {
  enum Kind {
    case text(String)
    case output(JinjaExpression)
    case if_([(JinjaExpression, [JinjaStatement])], otherwise: [JinjaStatement])
    case for_(JinjaForLoop)
    case set(JinjaTarget, JinjaExpression)
    case setBlock(JinjaTarget, filters: [(String, JinjaArguments)], body: [JinjaStatement])
    case macro(JinjaMacroDefinition)
    case call(JinjaMacroDefinition, JinjaExpression)
    case filter([(String, JinjaArguments)], body: [JinjaStatement])
    case with([(JinjaTarget, JinjaExpression)], body: [JinjaStatement])
    /// A block that only marks its text (`generation`).
    case group([JinjaStatement])
    case do_(JinjaExpression)
    case break_
    case continue_
  }

  let kind: Kind
  let line: Int
}

struct JinjaForLoop {
  var target: JinjaTarget
  var iterable: JinjaExpression
  var condition: JinjaExpression?
  var body: [JinjaStatement]
  var otherwise: [JinjaStatement]
}

final class JinjaMacroDefinition {
  let name: String
  let parameters: [(name: String, standard: JinjaExpression?)]
  let body: [JinjaStatement]

  init(
    name: String, parameters: [(name: String, standard: JinjaExpression?)], body: [JinjaStatement]
  ) {
    self.name = name
    self.parameters = parameters
    self.body = body
  }
}
