// The tests: `value is name`.

import Formats

enum JinjaChecks {
  static let names: Set<String> = [
    "boolean", "callable", "defined", "divisibleby", "eq", "equalto", "==", "escaped", "even",
    "false", "filter", "float", "ge", ">=", "gt", "greaterthan", ">", "in", "integer", "iterable",
    "le", "<=", "lower", "lt", "lessthan", "<", "mapping", "ne", "!=", "none", "number", "odd",
    "sameas", "sequence", "string", "test", "true", "undefined", "upper", "None", "True", "False",
  ]
}

extension JinjaInterpreter {
  func check(
    _ name: String, _ value: JinjaValue, _ arguments: JinjaCallArguments
  ) throws(TextError) -> Bool {
    try step()
    func other() throws(TextError) -> JinjaValue {
      guard let value = arguments.positional.first else {
        throw failure("the test '\(name)' needs an argument")
      }
      return value
    }
    func integer(_ value: JinjaValue) throws(TextError) -> Int {
      guard let integer = value.integer else {
        throw failure("the test '\(name)' needs an integer, not \(value.typeName)")
      }
      return integer
    }
    switch name {
    case "defined": return !value.isUndefined
    case "undefined": return value.isUndefined
    case "none", "None": if case .none = value { return true } else { return false }
    case "boolean": if case .bool = value { return true } else { return false }
    case "true", "True": if case .bool(true) = value { return true } else { return false }
    case "false", "False": if case .bool(false) = value { return true } else { return false }
    case "integer": if case .int = value { return true } else { return false }
    case "float": if case .double = value { return true } else { return false }
    case "number": return value.number != nil
    case "string": if case .string = value { return true } else { return false }
    case "mapping": if case .dict = value { return true } else { return false }
    case "iterable", "sequence":
      switch value {
      case .string, .list, .dict, .undefined: return true
      default: return false
      }
    case "callable":
      switch value {
      case .macro, .function, .method, .undefined: return true
      case .cycler(let cycler): return cycler.isJoiner
      default: return false
      }
    case "escaped": return false
    case "even": return try integer(value) & 1 == 0
    case "odd": return try integer(value) & 1 == 1
    case "divisibleby":
      let divisor = try integer(try other())
      guard divisor != 0 else { throw failure("integer division or modulo by zero") }
      return try integer(value).remainderReportingOverflow(dividingBy: divisor).partialValue == 0
    case "eq", "equalto", "==": return jinjaEqual(value, try other())
    case "ne", "!=": return !jinjaEqual(value, try other())
    case "gt", "greaterthan", ">": return try compare(">", value, try other())
    case "ge", ">=": return try compare(">=", value, try other())
    case "lt", "lessthan", "<": return try compare("<", value, try other())
    case "le", "<=": return try compare("<=", value, try other())
    case "in": return try compare("in", value, try other())
    case "sameas":
      let other = try other()
      return value.typeName == other.typeName && jinjaEqual(value, other)
    case "lower": return sameBytes(value.text, value.text.lowercased())
    case "upper": return sameBytes(value.text, value.text.uppercased())
    case "filter": return JinjaFilters.names.contains(value.text)
    case "test": return JinjaChecks.names.contains(value.text)
    default: throw failure("no test named '\(name)'")
    }
  }
}
