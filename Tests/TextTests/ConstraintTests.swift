// Constraints: what the recogniser accepts, and masks against trying every token.

import Foundation
import Testing

@testable import Formats
@testable import Text

/// A small generator, so that a failure comes again.
struct Numbers: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return (state ^ state >> 29) &* 0xbf58_476d_1ce4_e5b9 ^ state >> 32
  }
}

@Suite struct ConstraintTests {
  static func schema(_ text: String, _ whitespace: JSONSchemaCompiler.Whitespace = .any) throws
    -> Constraint
  {
    try Constraint(jsonSchema: JSON.parse(text), whitespace: whitespace)
  }

  static func expect(_ constraint: Constraint, _ yes: [String], _ no: [String]) throws {
    for text in yes {
      #expect(try constraint.matches(text.utf8), "should match: \(text)")
      for end in text.indices {
        #expect(try constraint.isPrefix(text[..<end].utf8), "should go on: \(text[..<end])")
      }
    }
    for text in no { #expect(try !constraint.matches(text.utf8), "should not match: \(text)") }
  }

  // MARK: Patterns

  @Test(arguments: [
    ("a|bc*", ["a", "b", "bccc"], ["", "ab", "c"]),
    ("(?:ab){2,3}?", ["abab", "ababab"], ["ab", "abababab", "aba"]),
    ("x{0,2}y{2}z{1,}", ["yyz", "xxyyzzz"], ["yz", "xxxyyz"]),
    (#"\d+\.\d{2}"#, ["3.14", "10.00"], ["3.1", ".14"]),
    ("[^a-c]", ["d", "é", "😀", "\n"], ["a", "", "dd"]),
    ("[]a-]+", ["]a-"], ["b"]),
    (".", ["é", "中", "😀"], ["\n", "ab"]),
    ("^(a|b)$", ["a", "b"], ["ab"]),
    ("a{,2}", ["", "a", "aa"], ["aaa"]),
    ("{x}", ["{x}"], ["x"]),
    (#"(?P<year>\d{4})\x41\u00e9\."#, ["2024Aé."], ["2024Ae."]),
    ("(|a)(b|)", ["", "a", "b", "ab"], ["ba"]),
    ("(a*)*b", ["b", "aab"], ["a", "ba"]),
  ])
  func patterns(_ pattern: String, _ yes: [String], _ no: [String]) throws {
    try Self.expect(Constraint(regex: pattern), yes, no)
  }

  @Test(arguments: [
    "a(?=b)", "(?<!a)b", #"(a)\1"#, "(a", "a)", "*a", "a**", "[b-a]", "[a", #"\bword"#, "a++",
    #"\p{L}"#, "a{3,1}", "x{1,1000000}", "^x{1,90000}$", "(x{1000}){1000}", #"\q"#, "(?i)a", "a$b",
  ])
  func patternErrors(_ pattern: String) {
    #expect(throws: TextError.self) { try Constraint(regex: pattern) }
  }

  @Test func errorsShowThePlace() throws {
    do {
      _ = try Constraint(regex: "ab(?=c)")
      Issue.record("no error")
    } catch {
      #expect(
        "\(error)".hasPrefix(
          "the regular expression: character 3: looking ahead; a constraint goes forward only"))
      #expect("\(error)".hasSuffix("    ab(?=c)\n      ^"))
    }
    do {
      _ = try Self.schema(#"{"properties": {"a": {"type": "string", "minlength": 3}}}"#)
      Issue.record("no error")
    } catch {
      #expect(
        "\(error)" == "the JSON schema: #/properties/a/minlength: the keyword 'minlength' is not "
          + "known; did you mean 'minLength'?")
    }
  }

  // MARK: Grammars

  @Test func grammars() throws {
    let brackets = try Constraint(grammar: "root ::= \"(\" root \")\" root | \"\" # nested")
    try Self.expect(brackets, ["", "()", "(())()", "((()())())"], ["(", ")", "())"])
    let sums = try Constraint(
      grammar: """
        # sums, left-recursive
        root ::= sum
        sum  ::= sum "+" term | sum "-" term | term
        term ::= [0-9]+ | "(" sum ")"
        """)
    try Self.expect(sums, ["1", "1+2-3", "(1+2)-(3)", "((1))"], ["", "+1", "1+", "(1"])
    let chars = try Constraint(
      grammar: #"root ::= ("é" | [\x41-\x43] | [^a-z\n] | .){1,2} "\u00e9\"""#)
    try Self.expect(chars, ["éé\"", "Axé\"", "\u{1F600}é\""], ["é\"", "xxxé\""])
    let optional = try Constraint(grammar: "root ::= a a \"x\"\na ::= \"a\"?")
    try Self.expect(optional, ["x", "ax", "aax"], ["aaax", "a"])
    let lines = try Constraint(
      grammar: "root ::=\n  \"a\" |\n  \"b\"\n  | rest\nrest ::= (\n  \"c\"\n  \"d\" )")
    try Self.expect(lines, ["a", "b", "cd"], ["c", ""])
    // Two readings of every bracket: their stacks share their frames.
    let twins = try Constraint(
      grammar:
        "root ::= a | b\na ::= \"(\" (a | b)? \")\" \"x\"?\nb ::= \"(\" (a | b)? \")\" \"y\"?")
    let deep = String(repeating: "(", count: 200) + String(repeating: ")", count: 200)
    try Self.expect(twins, ["()", "(()x)y", deep], ["(()", "()z"])
  }

  @Test(arguments: [
    "root ::= b", "a ::= \"x\"", "root ::= \"a", "root ::= [a", "root ::= (\"a\"", "root \"a\"",
    "root ::= a\na ::= b\nb ::= a \"x\" | \"y\"", "root ::= \"a\"\nroot ::= \"b\"",
    "root ::= \"a\" root", "root ::= \"a\"{1,10000000}", "root ::= (\"abc\"{1000}){1000}",
    "root ::= )",
    "root ::= n root \"x\" | \"y\"\nn ::= \"\"",
  ])
  func grammarErrors(_ text: String) {
    #expect(throws: TextError.self) { try Constraint(grammar: text) }
  }

  // MARK: Schemas

  @Test(arguments: [
    (
      #"{"type": "integer"}"#, ["0", "-12", "999999999999999"],
      ["01", "1.0", "-", "1000000000000000"]
    ),
    (#"{"type": "number"}"#, ["0.5", "-1e5", "12.25E-7"], [".5", "1.", "1e999", "NaN"]),
    (#"{"type": ["null", "boolean"]}"#, ["null", "true", "false"], ["1", ""]),
    (
      #"{"enum": ["a\"b", 1, null, {"k": [1, 2]}]}"#,
      [#""a\"b""#, "1", "null", #"{ "k": [1,2] }"#], ["2"]
    ),
    (
      #"{"type": "string", "minLength": 2, "maxLength": 3}"#,
      [#""ab""#, #""é中😀""#, #""\n\u00e9""#, #""\ud83d\ude00x""#],
      [#""a""#, #""abcd""#, #""\ud83dx""#]
    ),
    (#"{"type": "string", "pattern": "b"}"#, [#""abc""#, #""b""#, #""\nb\"""#], [#""ac""#]),
    (
      #"{"type": "string", "pattern": "^[a-z]+$", "maxLength": 3}"#, [#""abc""#],
      [#""abcd""#, #""""#]
    ),
    (
      #"{"type": "string", "format": "date"}"#, [#""2024-02-29""#, #""1999-12-31""#],
      [#""2023-02-29""#, #""1900-02-29""#, #""2024-13-01""#, #""2024-04-31""#]
    ),
    (
      #"{"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3}"#,
      ["[1]", "[1, 2,3 ]"], ["[]", "[1,2,3,4]", "[1,]"]
    ),
    (
      #"{"type": "array", "prefixItems": [{"const": 1}, {"const": 2}]}"#, ["[]", "[1]", "[1,2]"],
      ["[2]", "[1,2,3]"]
    ),
    (
      #"{"prefixItems": [{"const": 1}], "items": {"const": 0}}"#, ["[1,0,0]", "[]"],
      ["[0]", "[1,1]"]
    ),
    (
      #"{"properties": {"a": {"type": "integer"}, "b": {"type": "null"}}, "required": ["b"]}"#,
      [#"{"a":1,"b":null}"#, #"{"b":null}"#, #"{ "b": null }"#],
      [#"{"a":1}"#, "{}", #"{"b":null,"a":1}"#, #"{"b":null,"c":1}"#]
    ),
    (
      #"{"properties": {"a": true}, "additionalProperties": {"type": "integer"}}"#,
      [#"{"a":[],"x":1,"ab":2}"#, #"{"x":1}"#, "{}"],
      [#"{"x":1,"a":2}"#, #"{"x":""}"#, #"{"\u0061":1}"#]
    ),
    (
      #"{"type": "object", "patternProperties": {"^x": {"type": "integer"}}, "minProperties": 1}"#,
      [#"{"x1":1,"x":2}"#], [#"{"y":1}"#, "{}"]
    ),
    (
      #"{"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 1}]}"#, ["5", #""a""#],
      [#""ab""#]
    ),
    (#"{"allOf": [{"minimum": 3}, {"type": "integer", "maximum": 5}]}"#, ["3", "5"], ["2", "6"]),
    (
      #"{"oneOf": [{"properties": {"k": {"const": "a"}}, "required": ["k"]}, {"properties": {"k": {"const": "b"}, "n": {"type": "null"}}, "required": ["k"]}], "type": "object"}"#,
      [#"{"k":"a"}"#, #"{"k":"b","n":null}"#], [#"{"k":"a","n":null}"#, "{}"]
    ),
    (
      ##"{"$ref": "#/$defs/t", "$defs": {"t": {"type": "object", "properties": {"v": {"type": "integer"}, "next": {"$ref": "#/$defs/t"}}, "required": ["v"]}}}"##,
      [#"{"v":1,"next":{"v":2,"next":{"v":3}}}"#], [#"{"next":{"v":1}}"#]
    ),
    (
      "true", [#"{"a":[1,{"b":null}],"c":"\u0041"}"#, "[]", "{}", "[[],{}]"],
      ["[1,]", "{1:2}", "nul"]
    ),
    (
      #"{"type": "number", "exclusiveMinimum": 0, "maximum": 2.5}"#,
      ["0.1", "2.5", "2", "0.000001", "2.500"], ["0", "0.0", "2.6", "-1", "3", "1e0"]
    ),
    (
      #"{"type": "number", "minimum": -1.5, "maximum": 0.25}"#,
      ["-1.5", "0", "0.25", "-1", "0.0", "-0.5"], ["-1.6", "0.26", "1"]
    ),
    (
      #"{"type": "integer", "multipleOf": 7, "minimum": -20, "maximum": 100}"#, ["-14", "0", "98"],
      ["1", "-21", "105"]
    ),
    (
      #"{"type": "integer", "multipleOf": 5000, "minimum": 1, "maximum": 20000}"#,
      ["5000", "20000"], ["0", "2500"]
    ),
    (
      #"{"properties": {"a": {"type": "integer"}}, "propertyNames": {"maxLength": 2}, "additionalProperties": true}"#,
      [#"{"a":1,"bc":2}"#], [#"{"bcd":1}"#]
    ),
    (#"{"type": "string", "enum": ["a", 1, "b"]}"#, [#""a""#], ["1"]),
  ])
  func schemas(_ text: String, _ yes: [String], _ no: [String]) throws {
    try Self.expect(Self.schema(text), yes, no)
  }

  @Test(arguments: [
    #"{"not": {}}"#, #"{"uniqueItems": true}"#, #"{"type": "strng"}"#, #"{"minLength": -1}"#, "3",
    #"{"if": true}"#, #"{"multipleOf": 0.1, "type": "number"}"#, #"{"format": "iban"}"#,
    ##"{"$ref": "other.json"}"##, ##"{"$ref": "#/nowhere"}"##, ##"{"$ref": "#"}"##,
    ##"{"pattern": "(?=a)"}"##,
    #"{"oneOf": [{"type": "integer"}, {"type": "number"}]}"#, #"{"items": [{}]}"#, "false",
    ##"{"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}"##,
    #"{"allOf": [{"type": "string"}, {"type": "integer"}]}"#,
    #"{"type": "string", "maxLength": 1000000}"#,
    #"{"enum": [1], "type": "string"}"#, #"{"exclusiveMinimum": true}"#, #"{"minProperties": 3}"#,
    ##"{"allOf": [{"$ref": "#"}]}"##, ##"{"properties": {"a": {"requird": []}}}"##,
    ##"{"maximum": 1, "minimum": 2}"##,
  ])
  func schemaErrors(_ text: String) {
    #expect(throws: TextError.self) { try Self.schema(text) }
  }

  @Test func compact() throws {
    let constraint = try Self.schema(#"{"properties": {"a": {"items": {}}}}"#, .compact)
    try Self.expect(constraint, [#"{"a":[1,2]}"#, "{}"], [#"{ }"#, #"{"a": []}"#])
  }

  /// Bounds of integers and decimals against arithmetic.
  @Test func numericBounds() throws {
    var numbers = Numbers(state: 5)
    for _ in 0..<60 {
      let (a, b) = (
        Int.random(in: -1200...1200, using: &numbers), Int.random(in: 13...1500, using: &numbers)
      )
      let multiple = Bool.random(using: &numbers) ? 1 : Int.random(in: 1...12, using: &numbers)
      let c = try Self.schema(
        #"{"type": "integer", "minimum": \#(a), "exclusiveMaximum": \#(a + b), "multipleOf": \#(multiple)}"#
      )
      for value in stride(from: -1300, through: 2800, by: 1) {
        let isIn = value >= a && value < a + b && value % multiple == 0
        #expect(
          try c.matches("\(value)".utf8) == isIn, "\(value) in \(a)..<\(a + b) by \(multiple)")
      }
    }
    for _ in 0..<60 {
      let a = Int.random(in: -3000...3000, using: &numbers)
      let b = a + Int.random(in: 1...3000, using: &numbers)
      let c = try Self.schema(
        #"{"type": "number", "exclusiveMinimum": \#(Double(a) / 100), "maximum": \#(Double(b) / 100)}"#
      )
      for value in stride(from: a - 40, through: b + 40, by: 7) {
        let sign = value < 0 ? "-" : ""
        let digits = String(value.magnitude % 100 + 100).dropFirst()
        let text = "\(sign)\(value.magnitude / 100).\(digits)"
        #expect(
          try c.matches(text.utf8) == (value > a && value <= b), "\(text) in (\(a), \(b)] / 100")
      }
    }
  }

  // MARK: Masks

  static let constraints: [(String, @Sendable () throws -> Constraint)] = [
    ("words", { try Constraint(regex: "[a-z]+( [a-z]+){0,3}[.!]?") }),
    ("text", { try Constraint(regex: "(?:.|\\n){0,40}") }),
    ("any JSON", { try schema("true") }),
    (
      "object",
      {
        try schema(
          #"{"properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer", "minimum": 0, "maximum": 150}, "tags": {"type": "array", "items": {"enum": ["red", "green", "a \"b\""]}}}, "required": ["name", "age"], "additionalProperties": {"type": "boolean"}}"#
        )
      }
    ),
    (
      "tree",
      {
        try schema(
          ##"{"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "properties": {"v": {"type": "string"}, "c": {"type": "array", "items": {"$ref": "#/$defs/n"}}}, "required": ["v"]}}}"##
        )
      }
    ),
    (
      "sums",
      {
        try Constraint(
          grammar: "root ::= s\ns ::= s [+*-] t | t\nt ::= [0-9]+ | \"(\" s \")\" | \"( \" s \" )\""
        )
      }
    ),
    (
      "letters",
      {
        try Constraint(
          grammar: "root ::= line+\nline ::= ch+ \"\\n\"\nch ::= [^\\n\"] | \"\\\"\" [a-z] \"\\\"\""
        )
      }
    ),
  ]

  /// Random texts by the mask; at each step the mask is what trying every token says.
  static func walk(
    _ constraint: Constraint, _ vocabulary: ConstraintVocabulary, steps: Int, seed: UInt64,
    name: String
  ) throws -> [Int] {
    var numbers = Numbers(state: seed)
    let matcher = constraint.matcher(vocabulary)
    let count = vocabulary.idLimit + 5
    for step in 0..<steps {
      let mask = try matcher.mask(count: count)
      let allowed = (0..<count).filter { mask[$0 >> 6] >> UInt64($0 & 63) & 1 != 0 }
      if step % 3 == 0 {
        for id in 0..<count
        where try matcher.allows(id) != (mask[id >> 6] >> UInt64(id & 63) & 1 != 0) {
          Issue.record("\(name): token \(id) after \(matcher.tokens)")
        }
      }
      if matcher.isComplete, Int.random(in: 0..<4, using: &numbers) == 0 { break }
      let open = allowed.filter { !vocabulary.endIds.contains($0) }
      guard let id = open.randomElement(using: &numbers) else { break }
      try matcher.accept(id)
      if step % 5 == 4 {
        let copy = matcher.copy()
        try matcher.rollback(2)
        try matcher.follow(copy.tokens.map { Int($0) })
        #expect(matcher.isComplete == copy.isComplete)
      }
    }
    return matcher.tokens.map { Int($0) }
  }

  @Test(arguments: Fixtures.tokenizers)
  func masks(_ path: String) throws {
    let tokenizer = try Tokenizer.load(directory: path)
    guard tokenizer.decoder != nil, tokenizer.idLimit < 50_000 else { return }
    let vocabulary = try ConstraintVocabulary(tokenizer)
    for (name, make) in Self.constraints {
      let constraint = try make()
      for seed in 0..<4 {
        let ids = try Self.walk(constraint, vocabulary, steps: 24, seed: UInt64(seed), name: name)
        let text = tokenizer.decode(ids)
        // A text that was broken off may end within a character.
        let cut = text.hasSuffix("\u{FFFD}") ? text.prefix { $0 != "\u{FFFD}" } : text[...]
        #expect(try constraint.isPrefix(cut.utf8), "\(name): \(text)")
        var stream = tokenizer.streamingDetokenizer()
        let streamed = ids.map { stream.append($0) }.joined() + stream.finish()
        #expect(streamed == text)
      }
    }
  }

  @Test func oddVocabularies() throws {
    let vocabulary = ConstraintVocabulary(
      tokens: [Array("a".utf8), Array("b".utf8), nil, []], endIds: [2])
    let matcher = try Constraint(regex: "ab?c").matcher(vocabulary)
    #expect(try matcher.mask(count: 4) == [1])
    try matcher.accept(0)
    try matcher.accept(1)
    // No token writes the c.
    #expect(throws: TextError.self) { try matcher.mask(count: 4) }
    #expect(throws: TextError.self) { try matcher.accept(2) }
    #expect(throws: TextError.self) { try matcher.accept(3) }
    let whole = try Constraint(regex: "ab?").matcher(vocabulary)
    try whole.accept(0)
    #expect(try whole.mask(count: 3) == [0b110])
    try whole.accept(2)
    #expect(whole.isFinished && whole.isComplete)
    #expect(try whole.mask(count: 3) == [0b100])
    #expect(throws: TextError.self) { try whole.accept(1) }
    #expect(throws: TextError.self) { try whole.rollback(3) }
    // Fewer logits than tokens.
    #expect(try Constraint(regex: "[ab]").matcher(vocabulary).mask(count: 1) == [1])
  }

  /// A text of many nested parts: the stack is deep, and every step stays cheap.
  @Test func depth() throws {
    let constraint = try Self.schema("true", .compact)
    var tokens: [[UInt8]?] = (0..<128).map { [UInt8($0)] }
    tokens += [Array("[[".utf8), Array("]]".utf8), Array("]]]]]]]]".utf8)]
    let matcher = constraint.matcher(ConstraintVocabulary(tokens: tokens, endIds: []))
    for _ in 0..<2_000 { try matcher.accept(128) }
    for _ in 0..<499 {
      _ = try matcher.mask(count: tokens.count)
      try matcher.accept(130)
    }
    let mask = try matcher.mask(count: tokens.count)
    #expect(mask[2] & 0b110 == 0b110)
    try matcher.accept(130)
    #expect(matcher.isFinished)
  }
}
