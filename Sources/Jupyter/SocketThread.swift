// The thread of the sockets: what comes is sorted, what is to go is sent, control is answered.
//
// It touches nothing of the interpreter. An interrupt is the signal that Ctrl-C sends. A shutdown is answered, then the interpreter's thread is asked to
// stop; one that does not is left behind after a second.

import CZeroMQ
import Formats
import Glibc
import Session

final class SocketThread: @unchecked Sendable {
  private let sockets: Sockets
  private let mail: Mailboxes
  private let key: SigningKey
  private let writer: MessageWriter
  private let interpreterThread: pthread_t
  private var parent = ParentProcess()
  /// Broadcasts that a slow subscriber keeps from being sent, first to go first.
  private var held: [(parts: [Bytes], byteCount: Int)] = []
  private var heldSince = 0.0
  private var givesUpAt: Double?
  private var thread: pthread_t?

  /// Seconds that a subscriber may take without reading anything before messages are lost for it.
  private static let patienceSeconds = 10.0
  /// Seconds that the interpreter's thread gets to stop.
  private static let stopSeconds = 1.0

  init(_ sockets: Sockets, _ mail: Mailboxes, _ key: SigningKey, _ session: Bytes) {
    self.sockets = sockets
    self.mail = mail
    self.key = key
    writer = MessageWriter(key: key, session: session, name: "c")
    interpreterThread = pthread_self()
  }

  func start() throws(KernelError) {
    thread = try startThread(stackBytes: 8 << 20) { [self] in run() }
  }

  /// Sends what is left and closes the sockets; on the interpreter's thread, at the end.
  func finish() {
    mail.outbox.finish()
    if let thread { pthread_join(thread, nil) }
    lull_zmq_end(sockets.context)
  }

  // MARK: - The loop

  private func run() {
    var items = [sockets.control, sockets.shell, sockets.stdin, sockets.iopub].map {
      LullZMQPoll(socket: $0.handle, descriptor: 0, events: Int16(LullZMQReadable), ready: 0)
    }
    items.append(
      LullZMQPoll(
        socket: nil, descriptor: mail.outbox.descriptor, events: Int16(LullZMQReadable), ready: 0))
    while true {
      if lull_zmq_poll(&items, Int32(items.count), waitMilliseconds()) < 0 { usleep(1000) }
      // Requests first: an interrupt that came with one is for it.
      for _ in 0..<1000 {
        guard let parts = sockets.shell.receive() else { break }
        guard Request(parts, key) != nil else { continue }
        // An interrupt that came when nothing ran is for nothing; one that comes from now on is for this.
        mail.requests.put(Parcel(parts), whenIdle: Interrupts.lower)
      }
      for _ in 0..<100 {
        guard let parts = sockets.control.receive() else { break }
        if let request = Request(parts, key) { answer(request) }
      }
      for _ in 0..<100 {
        guard let parts = sockets.stdin.receive() else { break }
        if Request(parts, key) != nil { mail.answers.put(Parcel(parts)) }
      }
      // Subscriptions: libzmq has dealt with them.
      while sockets.iopub.receive() != nil {}
      mail.outbox.acknowledge()
      sendWaiting()
      if mail.outbox.hasFinished, sendWaiting() { break }
      if parent.isGone { leave() }
      if let givesUpAt, monotonicSeconds() > givesUpAt { leave() }
    }
    closeSockets()
  }

  private func waitMilliseconds() -> Int {
    if !held.isEmpty { return 5 }
    let due = mail.outbox.secondsToText ?? 1
    return givesUpAt == nil ? min(1000, Int(due * 1000) + 1) : min(20, Int(due * 1000) + 1)
  }

  /// Sends what the interpreter's thread has made; whether all of it went.
  @discardableResult
  private func sendWaiting() -> Bool {
    sendHeld()
    while true {
      let (parcels, text) = mail.outbox.takeAll()
      if parcels.isEmpty, text == nil { return held.isEmpty }
      for parcel in parcels {
        var parts = parcel.open()
        guard let channel = parts.removeFirst().first.flatMap({ Channel(rawValue: $0) }) else {
          continue
        }
        send(parts, channel, byteCount: parcel.byteCount)
      }
      if let text { send(writer.stream(text), .iopub) }
    }
  }

  /// `byteCount` is what the message counts for in the outbox.
  private func send(_ parts: [Bytes], _ channel: Channel, byteCount: Int = 0) {
    switch channel {
    case .shell: sockets.shell.send(parts)
    case .control: sockets.control.send(parts)
    case .stdin: sockets.stdin.send(parts)
    case .iopub:
      guard held.isEmpty, sockets.iopub.send(parts) else {
        if held.isEmpty { heldSince = monotonicSeconds() }
        held.append((parts, byteCount))
        return
      }
    }
    mail.outbox.sent(byteCount: byteCount)
  }

  private func sendHeld() {
    if held.isEmpty { return }
    var sent = 0
    var byteCount = 0
    while sent < held.count, sockets.iopub.send(held[sent].parts) {
      byteCount += held[sent].byteCount
      sent += 1
    }
    held.removeFirst(sent)
    mail.outbox.sent(byteCount: byteCount)
    let now = monotonicSeconds()
    if sent > 0 { heldSince = now }
    let isHopeless = now - heldSince > SocketThread.patienceSeconds || mail.outbox.hasFinished
    // Nobody reads there any more; from now on who does not read misses messages.
    if !held.isEmpty, isHopeless { sockets.iopub.keepAll(false) }
  }

  private func closeSockets() {
    for socket in [sockets.shell, sockets.control, sockets.stdin, sockets.iopub] { socket.close() }
    if let path = sockets.heartbeat.path { unlink(path) }
  }

  /// Ends the process though the interpreter's thread is busy.
  private func leave() -> Never {
    closeSockets()
    _exit(0)
  }

  // MARK: - Control

  private func answer(_ request: Request) {
    guard ["kernel_info_request", "interrupt_request", "shutdown_request"].contains(request.type)
    else { return }
    broadcast("status", ["execution_state": "busy"], request)
    switch request.type {
    case "kernel_info_request": reply("kernel_info_reply", KernelIdentity.information, request)
    case "interrupt_request":
      interrupt()
      reply("interrupt_reply", ["status": "ok"], request)
    default:
      let restart = request.content()["restart"]?.bool ?? false
      let content: JSON = ["status": "ok", "restart": .bool(restart)]
      reply("shutdown_reply", content, request)
      broadcast("shutdown_reply", content, request)
      givesUpAt = monotonicSeconds() + SocketThread.stopSeconds
      mail.requests.close()
      mail.answers.close()
      interrupt()
    }
    broadcast("status", ["execution_state": "idle"], request)
  }

  /// As Ctrl-C does: a system call that the interpreter waits in returns, too.
  private func interrupt() { pthread_kill(interpreterThread, SIGINT) }

  private func reply(_ type: String, _ content: JSON, _ request: Request) {
    send(
      writer.message(type, to: request.identities, parent: request.header, content: content),
      .control)
  }

  private func broadcast(_ type: String, _ content: JSON, _ request: Request) {
    send(writer.broadcast(type, parent: request.header, content: content), .iopub)
  }
}

extension MessageWriter {
  func stream(_ text: Outbox.Text) -> [Bytes] {
    broadcast(
      "stream", parent: text.parent,
      content: [
        "name": text.isError ? "stderr" : "stdout",
        "text": .string(String(decoding: text.bytes, as: UTF8.self)),
      ])
  }
}

/// The process that started the kernel, when it said which it is.
private struct ParentProcess {
  private let identifier: pid_t?
  private let isDirect: Bool

  init() {
    let given = environment("JPY_PARENT_PID").flatMap { pid_t($0) }
    identifier = given.flatMap { $0 > 1 ? $0 : nil }
    isDirect = identifier == getppid()
  }

  var isGone: Bool {
    guard let identifier else { return false }
    return isDirect ? getppid() != identifier : kill(identifier, 0) != 0 && errno == ESRCH
  }
}
