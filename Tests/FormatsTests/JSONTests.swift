// JSON against Python's json module.

import Testing

@testable import Formats

@Suite struct JSONTests {
  @Test func matchesPython() throws {
    let file = try JSON.load("\(Fixtures.committed)/json/cases.json")
    for entry in file["cases"]?.array ?? [] {
      let value = try JSON.parse(try #require(entry["text"]?.string))
      #expect(value.serialized() == entry["plain"]?.string)
      #expect(value.serialized(JSON.WriteOptions(compact: true)) == entry["compact"]?.string)
      #expect(value.serialized(.notebook) == entry["notebook"]?.string)
      #expect(value.serialized(JSON.WriteOptions(indent: 4)) == entry["indent4"]?.string)
      #expect(try JSON.parse(value.serialized()).serialized() == value.serialized())
    }
    for entry in file["bad"]?.array ?? [] {
      let text = try #require(entry.string)
      #expect(throws: FormatError.self, "\(text)") { try JSON.parse(text) }
    }
  }

  @Test func refusesDeepAndBroken() throws {
    let deep = String(repeating: "[", count: 100_000)
    #expect(throws: FormatError.self) { try JSON.parse(deep) }
    #expect(throws: FormatError.self) { try JSON.parse([0x22, 0xC3, 0x28, 0x22]) }
    #expect(throws: FormatError.self) { try JSON.parse([0x22, 0xED, 0xA0, 0x80, 0x22]) }
    #expect(try JSON.parse("\"\\ud800x\"").string == "\u{FFFD}x")
    let strict = JSON.ParseOptions(allowsNonFinite: false)
    #expect(throws: FormatError.self) { try JSON.parse("NaN", options: strict) }
  }

  @Test func objectsKeepOrderAndDistinguishForms() throws {
    var object = JSONObject()
    for index in 0..<40 { object["k\(index)"] = .int(index) }
    object["k3"] = nil
    object["k5"] = "five"
    #expect(object.keys.first == "k0" && object.count == 39 && object["k3"] == nil)
    #expect(object["k5"] == .string("five") && object["k39"] == .int(39))
    let forms = try JSON.parse("{\"\\u00e9\": 1, \"e\\u0301\": 2}")
    #expect(forms.object?.count == 2)
    #expect(forms["\u{e9}"] == .int(1) && forms["e\u{301}"] == .int(2))
  }

  @Test func errorsNamePlace() {
    do {
      _ = try JSON.parse("{\n  \"a\": 1,\n  oops\n}", file: "config.json")
      Issue.record("should fail")
    } catch {
      #expect(error.description.contains("config.json: JSON line 3 column 3"))
    }
  }
}
