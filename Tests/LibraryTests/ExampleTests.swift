// Every record's examples print what they say, and its failures fail as they say.

import Language
import Testing

import Library

/// Runs `>>> ` lines and gives what a prompt would print.
private func transcript(_ interpreter: Interpreter, _ lines: [String]) throws -> String {
  final class Sink { var text = "" }
  let sink = Sink()
  interpreter.setOutput(OutputStream(write: { sink.text += $0 }, flush: {}))
  for line in lines {
    if let value = try interpreter.run(line, file: "<example>") {
      sink.text += try reprText(value) + "\n"
      value.drop()
    }
  }
  return sink.text
}

@Suite(.serialized) struct ExampleTests {
  static let records: [Builtin] = {
    Library.install()
    return coreFunctions + randomFunctions + fastFunctions + linalgFunctions + fourierFunctions
      + arrayType.methods
      + [arrayType.constructor].compactMap { $0 }
  }()

  private func fresh() throws -> Interpreter {
    Library.install()
    let interpreter = Interpreter()
    // The repository's own stdlib, three folders up.
    let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    interpreter.searchPath = ["/\(root)/stdlib"]
    interpreter.addBuiltins(Library.prelude())
    _ = try interpreter.run("import mlx.core as mx\nfrom mlx.core import array", file: "<example>")
    return interpreter
  }

  @Test func examplesPrintWhatTheySay() throws {
    let interpreter = try fresh()
    var count = 0
    for record in Self.records {
      for example in record.examples {
        let lines = example.split(separator: "\n", omittingEmptySubsequences: false).map(
          String.init)
        var sources: [String] = []
        for line in lines where line.hasPrefix(">>> ") || line.hasPrefix("...") {
          // A line that goes on begins with "...", as at the prompt.
          if line.hasPrefix("..."), let last = sources.popLast() {
            sources.append(last + "\n" + line.dropFirst(4))
          } else {
            sources.append(String(line.dropFirst(4)))
          }
        }
        let expected = lines.filter { !$0.hasPrefix(">>> ") && !$0.hasPrefix("...") }
          .joined(separator: "\n")
        #expect(!sources.isEmpty, "\(record.name): an example without '>>> '")
        do {
          let printed = try transcript(interpreter, sources)
          #expect(
            printed.trimmed == expected.trimmed,
            "\(record.name): \(sources.joined(separator: "; "))")
        } catch {
          Issue.record("\(record.name): \(sources.joined(separator: "; ")) raised \(error)")
        }
        count += 1
      }
    }
    #expect(count > 150)
  }

  @Test func failuresFail() throws {
    let interpreter = try fresh()
    for record in Self.records {
      for (source, kind) in record.fails {
        do {
          _ = try interpreter.run(source, file: "<example>")
          Issue.record("\(record.name): \(source) did not raise \(kind)")
        } catch let error as LullError {
          #expect(error.kind == kind, "\(record.name): \(source)")
        }
      }
    }
  }

  @Test func recordsAreComplete() {
    var seen: Set<String> = []
    for record in coreFunctions {
      #expect(!record.doc.isEmpty, "\(record.name) has no summary")
      #expect(!record.examples.isEmpty, "\(record.name) has no example")
      #expect(seen.insert(record.name).inserted, "\(record.name) is declared twice")
    }
  }
}

extension String {
  fileprivate var trimmed: String {
    var text = Substring(self)
    while let last = text.last, last == "\n" || last == " " { text = text.dropLast() }
    return String(text)
  }
}
