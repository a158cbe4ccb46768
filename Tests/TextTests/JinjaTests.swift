// Chat templates and template units against Jinja2.

import Foundation
import Testing

@testable import Formats
@testable import Text

@Suite struct JinjaTests {
  @Test(arguments: Fixtures.chatTemplates)
  func chatTemplate(_ path: String) throws {
    let text = String(decoding: try readFile("\(path).jinja"), as: UTF8.self)
    let expected = try JSON.load("\(path).expected.json")
    let template = try JinjaTemplate(text, name: path)
    for entry in expected["cases"]?.array ?? [] {
      let name = entry["name"]?.string ?? ""
      let messages = try #require(entry["messages"])
      let variables = entry["variables"]?.object ?? JSONObject()
      let prompt = entry["add_generation_prompt"]?.bool ?? false
      var rendered: String?
      var problem = ""
      do {
        rendered = try template.render(
          messages: messages, addGenerationPrompt: prompt, variables: variables)
      } catch { problem = "\(error)" }
      if let wanted = entry["rendered"]?.string {
        let matches = rendered.map { sameBytes($0, wanted) } ?? false
        #expect(matches, "\(name): \(rendered ?? problem) WANTED \(wanted)")
      } else {
        let wanted = try #require(entry["error"]?.string)
        #expect(rendered == nil, "\(name) should fail: \(wanted)")
        if let range = wanted.range(of: "TemplateError: ") {
          #expect(problem == wanted[range.upperBound...])
        }
      }
    }
  }

  @Test(arguments: [Fixtures.shared, Fixtures.committed])
  func units(_ root: String) throws {
    let path = "\(root)/chat_templates/jinja_units.json"
    guard FileManager.default.fileExists(atPath: path) else { return }
    for unit in try JSON.load(path)["units"]?.array ?? [] {
      let text = try #require(unit["template"]?.string)
      var rendered: String?
      var problem = ""
      do {
        rendered = try JinjaTemplate(text).render(unit["variables"]?.object ?? JSONObject())
      } catch { problem = "\(error)" }
      if let wanted = unit["rendered"]?.string {
        #expect(rendered == wanted, "\(text): \(problem)")
      } else {
        #expect(rendered == nil, "\(text) should fail")
      }
    }
  }

  @Test(arguments: [
    "{% for i in range(100000) %}{% for j in range(100000) %}{{ i }}{% endfor %}{% endfor %}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{{ 'a' * 1000000000000 }}", "{{ 2 ** 9999 }}", "{{ [1] * 100000000 }}",
    "{% set ns = namespace(x='ab') %}{% for i in range(90) %}{% set ns.x = ns.x + ns.x %}"
      + "{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% endfor %}",
    "{{ '%s' }}{{ " + String(repeating: "(", count: 5000) + " }}",
    "{% set ns = namespace(x=[1]) %}{% for i in range(90) %}{% set ns.x = [ns.x, ns.x] %}"
      + "{% endfor %}{{ ns.x == ns.x }}",
    "{{ range(9223372036854775800, 9223372036854775807, 5) }}", "{{ 'x'.center(-2 ** 63) + 1 }}",
    "{{ -9223372036854775807 - 2 }}", "{{ (-9223372036854775807 - 1) // -1 }}",
    "{{ 1" + String(repeating: " + 1", count: 5000) + " }}", "{{ 'x'.center(99999999999999) }}",
  ])
  func hostileTemplatesAreErrors(_ text: String) {
    #expect(throws: TextError.self) { try JinjaTemplate(text).render(JSONObject()) }
  }

  @Test func namespacesAreFreed() throws {
    let text =
      "{% set ns = namespace(x=none) %}{% for i in range(50000) %}"
      + "{% set n = namespace(x=none) %}{% set n.x = ns.x %}{% set ns.x = n %}{% endfor %}ok"
    #expect(try JinjaTemplate(text).render(JSONObject()) == "ok")
  }
}
