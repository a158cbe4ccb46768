// execute_request: a cell, its outputs, and what it asks its user.

import Formats
import Language
import Session

extension Kernel {
  func execute(_ content: JSON) {
    guard let code = content["code"]?.string else {
      return reply(
        "execute_reply",
        failure(
          CellError(
            name: "ValueError", text: "the request has no code",
            traceback: "ValueError: the request has no code\n", isInterrupt: false)))
    }
    isSilent = content["silent"]?.bool ?? false
    let storesHistory = !isSilent && content["store_history"]?.bool ?? true
    allowsInput = content["allow_stdin"]?.bool ?? true
    defer {
      isSilent = false
      allowsInput = false
    }
    if !isSilent {
      broadcast(
        "execute_input",
        [
          "code": .string(code),
          "execution_count": .int(session.executionCount + (storesHistory ? 1 : 0)),
        ])
    }
    let status = runCell(code, storesHistory)
    var answer: JSON
    var endsQueue = false
    switch status {
    case .done: answer = success(content["user_expressions"])
    case .failed(let error):
      answer = failure(error)
      endsQueue = content["stop_on_error"]?.bool ?? true
    case .exit(0, message: nil):
      // A console leaves, and shuts the kernel down; a notebook goes on with the kernel.
      answer = success(nil, payload: [["source": "ask_exit", "keepkernel": false]])
      endsQueue = true
    case .exit(let code, let message):
      let text = message ?? String(code)
      let error = CellError(
        name: "SystemExit", text: text, traceback: "SystemExit: \(text)\n", isInterrupt: false)
      publish(.error(error))
      answer = failure(error)
      endsQueue = content["stop_on_error"]?.bool ?? true
    }
    if endsQueue { holdWaiting() }
    reply("execute_reply", answer)
  }

  private func runCell(_ code: String, _ storesHistory: Bool) -> CellStatus {
    let words = code.split { $0 == " " || $0.isNewline || $0 == "\t" }
    if words.isEmpty { return .done }
    // The names alone leave, as at Lull's own prompt.
    if words == ["exit"] || words == ["quit"] { return .exit(0, message: nil) }
    return session.run(cell: code, storeHistory: storesHistory, keepsInterrupt: true)
  }

  private func success(_ expressions: JSON?, payload: JSON = []) -> JSON {
    var values = JSONObject()
    for (name, expression) in expressions?.object ?? JSONObject() {
      guard let text = expression.string else { continue }
      switch session.evaluation(of: text) {
      case .value(let bundle):
        values[name] = [
          "status": "ok", "data": bundle.data, "metadata": .object(bundle.metadata),
        ]
      case .failed(let error): values[name] = failure(error, isReply: false)
      }
    }
    return [
      "status": "ok", "execution_count": .int(session.executionCount),
      "user_expressions": .object(values), "payload": payload,
    ]
  }

  private func failure(_ error: CellError, isReply: Bool = true) -> JSON {
    var content = JSONObject([("status", "error")])
    if isReply { content["execution_count"] = .int(session.executionCount) }
    for (name, value) in errorMembers(error) { content[name] = value }
    return .object(content)
  }

  private func errorMembers(_ error: CellError) -> JSONObject {
    JSONObject([
      ("ename", .string(error.name)), ("evalue", .string(error.text)),
      ("traceback", .array(error.lines.map { .string($0) })),
    ])
  }

  /// Sends what a cell shows.
  func publish(_ output: CellOutput) {
    switch output {
    case .stream(let name, let text):
      if !text.isEmpty { print(text, isError: name == "stderr") }
    case .display(let bundle):
      broadcast("display_data", displayed(bundle))
      waitForRoom()
    case .update(let bundle):
      broadcast("update_display_data", displayed(bundle))
      waitForRoom()
    case .clear(let wait): broadcast("clear_output", ["wait": .bool(wait)])
    case .result(let bundle, let count):
      if isSilent { return }
      remember(bundle.plain, count)
      broadcast(
        "execute_result",
        [
          "execution_count": .int(count), "data": bundle.data,
          "metadata": .object(bundle.metadata),
        ])
    case .error(let error): broadcast("error", .object(errorMembers(error)))
    }
  }

  /// For the history: the beginning of each result, and of the last thousand only.
  private func remember(_ text: String, _ count: Int) {
    resultTexts[count] = text.utf8.count > 10_000 ? text.prefix(2_000) + "..." : text
    resultTexts[count - 1000] = nil
  }

  private func displayed(_ bundle: MimeBundle) -> JSON {
    var transient = JSONObject()
    if let id = bundle.displayID { transient["display_id"] = .string(id) }
    return [
      "data": bundle.data, "metadata": .object(bundle.metadata), "transient": .object(transient),
    ]
  }

  // MARK: - input()

  /// Asks the front end for a line.
  func askUser(_ prompt: String, isHidden: Bool) throws(LullError) -> String? {
    guard allowsInput else {
      throw LullError(
        "NotImplementedError",
        "input() was called, but this front end does not support input requests",
        notes: ["run the notebook where somebody can answer, or give the value as a parameter"])
    }
    // An answer that came too late for an earlier question is none to this one.
    mail.answers.clear()
    sendOnStdin("input_request", ["prompt": .string(prompt), "password": .bool(isHidden)])
    while true {
      try throwIfInterrupted()
      if mail.answers.hasClosed { return nil }
      guard let content = answer(seconds: 0.05) else { continue }
      if let text = content["value"]?.string { return text }
      return nil
    }
  }
}
