// Standard output and error as the front ends write them.
//
// Buffered here, not by stdio: one write call a buffer, whole lines at once on a terminal, and
// nothing lost at exit because `flush` is called there. A reader that went away (`| head`) ends the
// process by SIGPIPE, silently, as for any other Unix program.

import Glibc
import Language

public final class OutputSink: @unchecked Sendable {
  public static let standardOutput = OutputSink(descriptor: 1)
  public static let standardError = OutputSink(descriptor: 2)

  private let descriptor: Int32
  private var buffer: [UInt8] = []
  public let isTerminal: Bool
  /// Drops what is written: of several processes one talks.
  public var isSilent = false

  init(descriptor: Int32) {
    self.descriptor = descriptor
    isTerminal = isatty(descriptor) == 1
  }

  public func write(_ text: String) {
    if isSilent { return }
    var text = text
    text.withUTF8 { buffer.append(contentsOf: $0) }
    if descriptor == 2 || buffer.count > 1 << 15 || (isTerminal && buffer.contains(10)) { flush() }
  }

  public func flush() {
    var start = 0
    while start < buffer.count {
      // Ctrl-C ends a long output, too.
      if isTerminal, descriptor == 1, Interrupts.isRaised { break }
      let n = buffer.withUnsafeBytes {
        Glibc.write(descriptor, $0.baseAddress.map { $0 + start }, min($0.count - start, 1 << 16))
      }
      if n > 0 {
        start += n
      } else if errno == EAGAIN {
        var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        poll(&wait, 1, 1000)
      } else if errno != EINTR {
        break
      }
    }
    buffer.removeAll(keepingCapacity: true)
  }
}
