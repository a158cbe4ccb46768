// The kernel: a session behind Jupyter's messaging protocol (5.3).
//
// Requests on shell are done here one after the other, on the interpreter's thread: busy, what the request
// asks for, the reply, idle. The thread of the sockets has put them into an inbox and sends what is put into
// the outbox. One dictionary says who answers which request; what is not in it is not answered.

import CZeroMQ
import Formats
import Glibc
import Language
import Session

public final class Kernel {
  let session: Session
  let mail: Mailboxes
  private let key: SigningKey
  private let writer: MessageWriter
  private let sockets: SocketThread
  /// The request that is being done.
  private(set) var request: Request?
  /// Set while a cell runs that may ask its user for input.
  var allowsInput = false
  /// Set while a cell runs whose result is not to be shown.
  var isSilent = false
  /// What waited when a request failed: to be aborted, as far as they are cells.
  private var held: [Parcel] = []
  /// What is left of those, to be done before what has come since.
  private var backlog: [Parcel] = []
  /// The text of each cell's result, for the history, by number.
  var resultTexts: [Int: String] = [:]

  // Closures that keep nothing; only the interpreter's thread calls them.
  nonisolated(unsafe) private static let handlers: [String: (Kernel, JSON) -> Void] = [
    "kernel_info_request": { kernel, _ in
      kernel.reply("kernel_info_reply", KernelIdentity.information)
    },
    "execute_request": { $0.execute($1) },
    "complete_request": { $0.complete($1) },
    "inspect_request": { $0.inspect($1) },
    "is_complete_request": { $0.isComplete($1) },
    "history_request": { $0.history($1) },
    "comm_info_request": { kernel, _ in
      kernel.reply("comm_info_reply", ["status": "ok", "comms": [:]])
    },
    // No target is known here: who opens a comm learns that it is closed.
    "comm_open": { kernel, content in
      let identifier = content["comm_id"]?.string ?? ""
      kernel.broadcast("comm_close", ["comm_id": .string(identifier), "data": [:]])
    },
    "comm_msg": { _, _ in },
    "comm_close": { _, _ in },
    "shutdown_request": { kernel, content in
      let restart = content["restart"]?.bool ?? false
      kernel.reply("shutdown_reply", ["status": "ok", "restart": .bool(restart)])
      kernel.mail.requests.close()
    },
  ]

  /// What has to be installed before a kernel can run; nil when all is there.
  public static var missingLibrary: String? {
    lull_zmq_load() == 0 ? nil : String(cString: lull_zmq_problem())
  }

  /// Runs a kernel until it is shut down. Without a path the kernel writes a connection file of its own and
  /// says its name. The exit status.
  public static func run(connectionFile path: String?) throws(KernelError) -> Int32 {
    if let missing = missingLibrary { throw KernelError(missing) }
    var connection = ConnectionFile()
    if let path { connection = try ConnectionFile(path: path) }
    let given = connection.ports
    let bound = try Sockets(&connection)
    let file: String
    if let path { file = path } else { file = try ConnectionFile.ownPath() }
    if connection.ports != given { try connection.write(to: file) }
    if path == nil {
      OutputSink.standardError.write(
        "The kernel runs. To connect: jupyter console --existing \(file)\nTo stop it: Ctrl-\\\n")
    }
    try bound.startHeartbeat()
    let kernel = try Kernel(bound, SigningKey(connection.key))
    kernel.serve()
    kernel.sockets.finish()
    if path == nil { unlink(file) }
    return 0
  }

  private init(_ sockets: Sockets, _ key: SigningKey) throws(KernelError) {
    self.key = key
    mail = Mailboxes()
    guard mail.outbox.descriptor >= 0 else {
      throw KernelError("too many files are open: \(String(cString: strerror(errno)))")
    }
    let name = Bytes(randomIdentifier().utf8)
    writer = MessageWriter(key: key, session: name, name: "s")
    self.sockets = SocketThread(sockets, mail, key, name)
    // First the session, which takes the signal that an interrupt is.
    session = Session(directory: ".", arguments: [""])
    session.overwritesLines = true
    try self.sockets.start()
    session.onOutput = { [unowned self] output in publish(output) }
    session.interpreter.setInput { [unowned self] (prompt, isHidden) throws(LullError) in
      try askUser(prompt, isHidden: isHidden)
    }
  }

  private func serve() {
    broadcast("status", ["execution_state": "starting"])
    while let parcel = nextRequest() {
      guard let request = Request(parcel.open(), key) else { continue }
      handle(request)
    }
  }

  private func nextRequest() -> Parcel? {
    if mail.requests.hasClosed { return nil }
    if !backlog.isEmpty { return backlog.removeFirst() }
    return mail.requests.next()
  }

  private func handle(_ request: Request) {
    guard let handler = Kernel.handlers[request.type] else { return }
    self.request = request
    broadcast("status", ["execution_state": "busy"])
    handler(self, request.content())
    flushText()
    broadcast("status", ["execution_state": "idle"])
    if !held.isEmpty { abortHeld() }
    self.request = nil
  }

  /// Takes what waits and what is on its way, before the reply to a request that failed: its execute requests
  /// are answered as aborted after the reply. A front end that runs all cells has sent them at once, and the
  /// last ones may still be on their way; what answers to the reply cannot be among them.
  func holdWaiting() { held = backlog + mail.requests.takeAll(quietSeconds: 0.01, atMost: 0.1) }

  private func abortHeld() {
    backlog = []
    for parcel in held {
      let parts = parcel.open()
      guard let waiting = Request(parts, key) else { continue }
      guard waiting.type == "execute_request" else {
        backlog.append(Parcel(parts))
        continue
      }
      request = waiting
      broadcast("status", ["execution_state": "busy"])
      // No count: a front end would show it as the cell's.
      reply("execute_reply", ["status": "aborted"])
      broadcast("status", ["execution_state": "idle"])
    }
    held = []
  }

  // MARK: - Sending

  func reply(_ type: String, _ content: JSON, metadata: JSON = [:]) {
    guard let request else { return }
    flushText()
    put(
      .shell,
      writer.message(
        type, to: request.identities, parent: request.header, content: content, metadata: metadata))
  }

  func broadcast(_ type: String, _ content: JSON) {
    flushText()
    put(.iopub, writer.broadcast(type, parent: request?.header ?? [], content: content))
  }

  func sendOnStdin(_ type: String, _ content: JSON) {
    guard let request else { return }
    flushText()
    put(
      .stdin,
      writer.message(type, to: request.identities, parent: request.header, content: content))
  }

  /// The content of an answer that has come on stdin.
  func answer(seconds: Double) -> JSON? {
    guard let parcel = mail.answers.next(seconds: seconds) else { return nil }
    return Request(parcel.open(), key).flatMap { $0.type == "input_reply" ? $0.content() : nil }
  }

  /// Text of the running cell, to be sent soon.
  func print(_ text: String, isError: Bool) {
    var text = text
    let parent = request?.header ?? []
    let isTaken = text.withUTF8 {
      mail.outbox.add(UnsafeRawBufferPointer($0), isError: isError, parent: parent)
    }
    if isTaken { return }
    flushText()
    waitForRoom()
    _ = text.withUTF8 {
      mail.outbox.add(UnsafeRawBufferPointer($0), isError: isError, parent: parent)
    }
  }

  private func flushText() {
    if let text = mail.outbox.takeText() { put(.iopub, writer.stream(text)) }
  }

  private func put(_ channel: Channel, _ parts: [Bytes]) {
    mail.outbox.put(Parcel([[channel.rawValue]] + parts))
  }

  /// Holds a cell up that shows more than goes out; an interrupt ends the wait.
  func waitForRoom() {
    while !mail.outbox.waitForRoom(seconds: 0.05), !Interrupts.isRaised, !mail.requests.hasClosed {}
  }
}
