// Lines of standard input, for input().
//
// Ctrl-C must end the wait. A signal that comes just before the read would be missed by it, so the wait is
// for a tenth of a second at a time, and the flag is looked at in between.

import Glibc

/// What was read and not yet asked for.
nonisolated(unsafe) private var pendingInput: [UInt8] = []

/// The next line without its end; nil at the end of the input.
func readInputLine() throws(LullError) -> String? {
  var buffer = [UInt8](repeating: 0, count: 1 << 16)
  while true {
    if let end = pendingInput.firstIndex(of: 10) {
      let length = end > 0 && pendingInput[end - 1] == 13 ? end - 1 : end
      let line = String(decoding: pendingInput[..<length], as: UTF8.self)
      pendingInput.removeFirst(end + 1)
      return line
    }
    if vm.pointee.interruptFlag == Request.interrupt { try interrupted() }
    var waiting = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
    let ready = poll(&waiting, 1, 100)
    if ready == 0 || (ready < 0 && errno == EINTR) { continue }
    let count = read(0, &buffer, buffer.count)
    if count > 0 {
      pendingInput += buffer[..<count]
    } else if count == 0 || errno != EINTR {
      guard !pendingInput.isEmpty else { return nil }
      defer { pendingInput = [] }
      return String(decoding: pendingInput, as: UTF8.self)
    }
  }
}
