// What runs of notebooks need of a session beside running cells.

import Formats
import Language

extension Session {
  /// What a cell reads and binds, commands taken into account; nil when it does not parse.
  public func nameUse(_ cell: String) -> NameUse? {
    if cell.trimmed.hasPrefix("%%") { return nil }
    do throws(LullError) {
      let source = try CellScanner.rewrite(cell, table: table).source
      do throws(SyntaxFailure) { return try NameUse(source) } catch { return nil }
    } catch {
      return nil
    }
  }

  /// Whether a name is there without any cell having defined it.
  public func isBuiltin(_ name: String) -> Bool {
    name.hasPrefix("__") || interpreter.builtinNames.contains(name) || lateNames.contains(name)
  }

  /// Names and values (as source) in a .json, .yaml or .yml file of settings.
  public func settings(inFile path: String) throws(LullError) -> [(name: String, value: String)] {
    let isJSON = path.hasSuffix(".json")
    guard isJSON || path.hasSuffix(".yaml") || path.hasSuffix(".yml") else {
      throw LullError.valueError("'\(path)' must end in .json, .yaml or .yml")
    }
    let bytes: [UInt8]
    do { bytes = try Formats.readFile(path) } catch {
      throw LullError("FileNotFoundError", "cannot read '\(path)'")
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw LullError.valueError("'\(path)' is not UTF-8 text")
    }
    let module = try importedModule(isJSON ? "json" : "yaml")
    defer { module.drop() }
    let parse = try attribute(module, isJSON ? "loads" : "safe_load")
    defer { parse.drop() }
    let source = strValue(text)
    defer { source.drop() }
    let value = try callValue(parse, [source])
    defer { value.drop() }
    guard value.isDict else {
      throw LullError.valueError("'\(path)' must hold names and values, not \(value.typeNameText)")
    }
    var result: [(name: String, value: String)] = []
    for (key, item) in dictItems(value) {
      guard let name = key.stringValue else {
        throw LullError.valueError("'\(path)': a name must be text, not \(key.typeNameText)")
      }
      result.append((name, try reprText(item)))
    }
    return result
  }
}
