// complete_request, inspect_request, is_complete_request.
//
// The protocol counts positions in code points, the session in bytes of UTF-8.

import Formats
import Session

extension Kernel {
  func complete(_ content: JSON) {
    let code = content["code"]?.string ?? ""
    let cursor = byteOffset(content["cursor_pos"]?.int, in: code)
    let found = session.complete(code, cursor: cursor)
    let start = codePoints(in: code, upTo: found.start)
    let end = codePoints(in: code, upTo: cursor)
    let kinds = found.candidates.map { candidate -> JSON in
      [
        "start": .int(start), "end": .int(end), "text": .string(candidate),
        "type": .string(session.kind(of: candidate, in: found)), "signature": "",
      ]
    }
    reply(
      "complete_reply",
      [
        "status": "ok", "matches": .array(found.candidates.map { .string($0) }),
        "cursor_start": .int(start), "cursor_end": .int(end),
        "metadata": ["_jupyter_types_experimental": .array(kinds)],
      ])
  }

  func inspect(_ content: JSON) {
    let code = content["code"]?.string ?? ""
    let cursor = byteOffset(content["cursor_pos"]?.int, in: code)
    let detail = (content["detail_level"]?.int ?? 0) > 0 ? 2 : 1
    var data: JSON = [:]
    for name in session.namesToInspect(code, cursor: cursor) {
      guard let text = session.inspect(name, detail: detail) else { continue }
      data = ["text/plain": .string(text)]
      break
    }
    reply(
      "inspect_reply",
      [
        "status": "ok", "found": .bool(data.object?.isEmpty == false), "data": data,
        "metadata": [:],
      ])
  }

  func isComplete(_ content: JSON) {
    let answer: JSON
    switch session.inputStatus(content["code"]?.string ?? "") {
    case .complete: answer = ["status": "complete"]
    case .incomplete(let indent): answer = ["status": "incomplete", "indent": .string(indent)]
    case .invalid: answer = ["status": "invalid"]
    }
    reply("is_complete_reply", answer)
  }
}

/// The byte offset of a position in code points; the end of the text where there is none.
func byteOffset(_ position: Int?, in text: String) -> Int {
  guard let position else { return text.utf8.count }
  var left = position
  var offset = 0
  for scalar in text.unicodeScalars {
    if left <= 0 { break }
    offset += UTF8.width(scalar)
    left -= 1
  }
  return offset
}

/// The number of code points in the first bytes of a text.
func codePoints(in text: String, upTo offset: Int) -> Int {
  text.utf8.prefix(max(0, offset)).count { $0 & 0xC0 != 0x80 }
}
