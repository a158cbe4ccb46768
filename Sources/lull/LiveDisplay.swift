// Updates at the prompt: what was displayed last is written over, as long as nothing was written after it. An update of anything
// further up is shown below, as a value of its own.

import Glibc
import Session

struct LiveDisplay {
  private var last: (id: String, rows: Int)?

  /// Something else was written, or a new cell begins.
  mutating func forget() { last = nil }

  /// What takes the cursor back to the beginning of what the output replaces; empty when it replaces nothing.
  mutating func start(of output: CellOutput) -> String {
    let before = last
    last = nil
    guard let columns = LiveDisplay.columns else { return "" }
    switch output {
    case .display(let bundle), .update(let bundle):
      guard let id = bundle.displayID else { return "" }
      let rows = bundle.plain.split(separator: "\n", omittingEmptySubsequences: false)
        .reduce(0) { $0 + max(0, $1.count - 1) / columns + 1 }
      last = (id, rows)
      if case .update = output, let before, before.id == id {
        return "\u{1B}[\(before.rows)A\r\u{1B}[J"
      }
    default: break
    }
    return ""
  }

  /// The width of the terminal that standard output is; nil when it is none, or one that cannot go back.
  private static var columns: Int? {
    var size = winsize()
    guard OutputSink.standardOutput.isTerminal, environment("TERM") != "dumb",
      ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0
    else { return nil }
    return Int(size.ws_col)
  }
}
