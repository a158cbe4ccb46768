// Chat templates: a conversation to the text a model was trained on.
//
// Published as Jinja texts with the model's files. They are parsed once and rendered with the
// environment that their authors wrote them for (see JinjaLexer and JinjaInterpreter).

import Formats

/// A parsed template.
public final class JinjaTemplate: @unchecked Sendable {
  // The tree is never changed after parsing, so sharing it is safe.
  private let body: [JinjaStatement]
  public let name: String
  public let limits: JinjaLimits
  /// The largest template accepted, in bytes.
  static let maximumSize = 1 << 20

  /// Parses a template; `name` is used in messages.
  public init(
    _ text: String, name: String = "template", limits: JinjaLimits = JinjaLimits()
  ) throws(TextError) {
    guard text.utf8.count <= Self.maximumSize else {
      throw TextError(
        .limit, source: name, field: "size", found: "\(text.utf8.count) bytes of template",
        remedy: "at most \(Self.maximumSize) are accepted")
    }
    var parser = try JinjaParser(text, source: name)
    body = try parser.parse()
    self.name = name
    self.limits = limits
  }

  /// Renders with variables.
  public func render(_ variables: JSONObject) throws(TextError) -> String {
    var values: [String: JinjaValue] = [:]
    for (key, value) in variables { values[key] = try JinjaValue(value) }
    return try JinjaInterpreter(source: name, limits: limits).render(body, variables: values)
  }
}

extension JinjaTemplate {
  /// Renders a conversation. `messages` is a list of `{"role": …, "content": …}`; `variables`
  /// adds what the template asks for (bos_token, tools, enable_thinking, …) and wins over the
  /// standard ones.
  public func render(
    messages: JSON, addGenerationPrompt: Bool, variables: JSONObject = JSONObject()
  ) throws(TextError) -> String {
    var all = JSONObject()
    all["messages"] = messages
    all["add_generation_prompt"] = .bool(addGenerationPrompt)
    for (key, value) in variables { all[key] = value }
    return try render(all)
  }
}

extension Tokenizer {
  /// Applies the model's chat template. The text holds the special tokens, so encode it with
  /// `addSpecial: false`.
  public func applyChatTemplate(
    messages: JSON, addGenerationPrompt: Bool = true, variables: JSONObject = JSONObject()
  ) throws(TextError) -> String {
    guard let chatTemplate else {
      throw TextError(
        .invalid, source: source, field: "chat_template", found: "the model has none",
        remedy: "pass a template, or use plain completion")
    }
    var all = JSONObject()
    if let bosId, let text = token(bosId) { all["bos_token"] = .string(text) }
    if let eosId, let text = token(eosId) { all["eos_token"] = .string(text) }
    for (key, value) in variables { all[key] = value }
    return try JinjaTemplate(chatTemplate, name: "\(source) chat template").render(
      messages: messages, addGenerationPrompt: addGenerationPrompt, variables: all)
  }
}
