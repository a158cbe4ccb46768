// The kernel's five sockets, and the thread that owns four of them.
//
// A ZeroMQ socket belongs to one thread. This one sends what the interpreter's thread has put into the outbox,
// and sorts what comes: requests on shell and answers on stdin wait in inboxes, those on control are
// answered here, so that they are while a cell runs. The heartbeat has a thread and a socket of its own.

import CZeroMQ
import Formats
import Glibc
import Session

/// A ZeroMQ socket, in the hands of one thread.
struct Socket: @unchecked Sendable {
  let handle: UnsafeMutableRawPointer
  /// Files of a socket with transport ipc, to be removed at the end.
  var path: String?

  init(_ context: UnsafeMutableRawPointer, type: Int, endpoint: String) throws(KernelError) {
    guard let handle = lull_zmq_socket(context, Int32(type)) else {
      throw KernelError("ZeroMQ cannot make a socket: \(Socket.problem)")
    }
    self.handle = handle
    set(LullZMQLinger, 500)
    set(LullZMQSendLimit, type == LullZMQXPublish ? 1000 : 0)
    set(LullZMQReceiveLimit, 0)
    lull_zmq_set_largest(handle, 1 << 30)
    if endpoint.contains("[") { set(LullZMQIPv6, 1) }
    if type == LullZMQRouter { set(LullZMQRouterHandover, 1) }
    guard lull_zmq_bind(handle, endpoint) == 0 else {
      throw KernelError("cannot listen at \(endpoint): \(Socket.problem)")
    }
    if endpoint.hasPrefix("ipc://") { path = String(endpoint.dropFirst(6)) }
  }

  static var problem: String { String(cString: lull_zmq_error_text(lull_zmq_error())) }

  private func set(_ option: Int, _ value: Int) {
    lull_zmq_set(handle, Int32(option), Int32(value))
  }

  /// Whether a subscriber that does not read makes sending fail, instead of missing what is sent.
  func keepAll(_ keeps: Bool) { set(LullZMQPublishNoDrop, keeps ? 1 : 0) }

  /// The port that the system has chosen.
  var port: Int? {
    var text = [CChar](repeating: 0, count: 1024)
    guard lull_zmq_endpoint(handle, &text, text.count) == 0 else { return nil }
    let endpoint = String(
      decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return endpoint.split(separator: ":").last.flatMap { Int($0) }
  }

  /// The parts of a message that has come; nil when there is none.
  func receive(waits: Bool = false) -> [Bytes]? {
    var parts: [Bytes] = []
    while true {
      var part = LullZMQPart()
      // The parts of a message come together.
      guard lull_zmq_receive(handle, &part, waits ? 1 : 0) == 0 else { return nil }
      let size = lull_zmq_size(&part)
      let data = lull_zmq_data(&part)
      // Whoever sends thousands of parts is no front end.
      if parts.count < 4096 {
        parts.append(Bytes(UnsafeRawBufferPointer(start: data, count: data == nil ? 0 : size)))
      }
      let more = lull_zmq_more(&part) != 0
      lull_zmq_close_part(&part)
      if !more { return parts }
    }
  }

  /// False when the message cannot be sent now; nothing of it was.
  @discardableResult
  func send(_ parts: [Bytes], waits: Bool = false) -> Bool {
    for (i, part) in parts.enumerated() {
      let more: Int32 = i < parts.count - 1 ? 1 : 0
      // After the first part the others find room.
      let mayWait: Int32 = waits || i > 0 ? 1 : 0
      let failed = part.withUnsafeBytes {
        lull_zmq_send(handle, $0.baseAddress, $0.count, more, mayWait) != 0
      }
      if failed { return false }
    }
    return true
  }

  func close() {
    lull_zmq_close(handle)
    if let path { unlink(path) }
  }
}

/// Runs `body` on a thread that no signal reaches.
func startThread(stackBytes: Int, _ body: @escaping @Sendable () -> Void) throws(KernelError)
  -> pthread_t
{
  final class Box {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
  var attributes = pthread_attr_t()
  pthread_attr_init(&attributes)
  defer { pthread_attr_destroy(&attributes) }
  pthread_attr_setstacksize(&attributes, stackBytes)
  var mask = sigset_t()
  var old = sigset_t()
  sigfillset(&mask)
  for fault in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP] { sigdelset(&mask, fault) }
  pthread_sigmask(SIG_BLOCK, &mask, &old)
  defer { pthread_sigmask(SIG_SETMASK, &old, nil) }
  let passed = Unmanaged.passRetained(Box(body))
  var thread = pthread_t()
  let failed = pthread_create(
    &thread, &attributes,
    { argument in
      if let argument {
        Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body()
      }
      return nil
    }, passed.toOpaque())
  if failed != 0 {
    passed.release()
    throw KernelError("cannot start a thread: \(String(cString: strerror(failed)))")
  }
  return thread
}

/// What the threads of a kernel share.
struct Mailboxes: Sendable {
  let outbox = Outbox()
  /// Requests on shell.
  let requests = Inbox()
  /// Answers on stdin.
  let answers = Inbox()
}

/// The five sockets, bound.
struct Sockets: @unchecked Sendable {
  let context: UnsafeMutableRawPointer
  let shell: Socket
  let control: Socket
  let stdin: Socket
  let iopub: Socket
  let heartbeat: Socket

  init(_ connection: inout ConnectionFile) throws(KernelError) {
    guard let context = lull_zmq_context() else {
      throw KernelError("ZeroMQ cannot start: \(Socket.problem)")
    }
    self.context = context
    if connection.transport == "ipc" {
      for port in ConnectionFile.Port.allCases where connection.ports[port] == 0 {
        connection.ports[port] = (ConnectionFile.Port.allCases.firstIndex(of: port) ?? 0) + 1
      }
    }
    let router = LullZMQRouter
    shell = try Socket(context, type: router, endpoint: connection.endpoint(.shell))
    control = try Socket(context, type: router, endpoint: connection.endpoint(.control))
    stdin = try Socket(context, type: router, endpoint: connection.endpoint(.stdin))
    iopub = try Socket(
      context, type: LullZMQXPublish, endpoint: connection.endpoint(.iopub))
    iopub.keepAll(true)
    heartbeat = try Socket(
      context, type: LullZMQReply, endpoint: connection.endpoint(.heartbeat))
    if connection.transport == "tcp" {
      let bound: [(ConnectionFile.Port, Socket)] = [
        (.shell, shell), (.control, control), (.stdin, stdin), (.iopub, iopub),
        (.heartbeat, heartbeat),
      ]
      for (port, socket) in bound where connection.ports[port] == 0 {
        connection.ports[port] = socket.port ?? 0
      }
    }
  }

  /// Answers heartbeats until the context ends.
  func startHeartbeat() throws(KernelError) {
    let heartbeat = heartbeat
    _ = try startThread(stackBytes: 256 << 10) {
      while true {
        if let beat = heartbeat.receive(waits: true) {
          heartbeat.send(beat, waits: true)
        } else if lull_zmq_is_ending(lull_zmq_error()) != 0 {
          return heartbeat.close()
        } else {
          usleep(1000)
        }
      }
    }
  }
}
