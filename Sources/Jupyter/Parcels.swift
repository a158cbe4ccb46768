// What goes from thread to thread.
//
// The interpreter's modules count references without atomic instructions, so nothing that is counted may be
// seen by two threads. What is handed over is therefore plain memory: a parcel holds the parts of a message,
// one copy of them, and belongs to whoever has it. The queues' own arrays are only touched under their lock.

import CZeroMQ
import Glibc

/// The parts of a message in one piece of memory: a count, the lengths, the bytes.
struct Parcel: @unchecked Sendable {
  private let start: UnsafeMutableRawPointer
  let byteCount: Int

  init(_ parts: [Bytes]) {
    let word = MemoryLayout<Int>.size
    let head = (parts.count + 1) * word
    byteCount = parts.reduce(head) { $0 + $1.count }
    start = .allocate(byteCount: byteCount, alignment: word)
    start.storeBytes(of: parts.count, as: Int.self)
    var at = head
    for (i, part) in parts.enumerated() {
      start.storeBytes(of: part.count, toByteOffset: (i + 1) * word, as: Int.self)
      (start + at).copyMemory(from: part, byteCount: part.count)
      at += part.count
    }
  }

  /// The parts; the memory is given back.
  func open() -> [Bytes] {
    let word = MemoryLayout<Int>.size
    let count = start.load(as: Int.self)
    var at = (count + 1) * word
    var parts: [Bytes] = []
    parts.reserveCapacity(count)
    for i in 0..<count {
      let length = start.load(fromByteOffset: (i + 1) * word, as: Int.self)
      parts.append(Bytes(UnsafeRawBufferPointer(start: start + at, count: length)))
      at += length
    }
    start.deallocate()
    return parts
  }

  func discard() { start.deallocate() }
}

/// A lock with a condition that threads wait for. Never freed: as long as the process.
struct Monitor: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  init() {
    pthread_mutex_init(mutex, nil)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(condition, &attributes)
    pthread_condattr_destroy(&attributes)
  }

  func locked<R>(_ body: () -> R) -> R {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body()
  }

  /// Gives the lock away until `wake` or until the time is up; only inside `locked`.
  func wait(seconds: Double) {
    var end = timespec()
    clock_gettime(CLOCK_MONOTONIC, &end)
    let nanoseconds = Int(min(max(seconds, 0), 3600) * 1e9) + end.tv_nsec
    end.tv_sec += nanoseconds / 1_000_000_000
    end.tv_nsec = nanoseconds % 1_000_000_000
    pthread_cond_timedwait(condition, mutex, &end)
  }

  func wake() { pthread_cond_broadcast(condition) }
}

func monotonicSeconds() -> Double {
  var now = timespec()
  clock_gettime(CLOCK_MONOTONIC, &now)
  return Double(now.tv_sec) + Double(now.tv_nsec) * 1e-9
}

/// Messages for the interpreter's thread.
final class Inbox: @unchecked Sendable {
  private let monitor = Monitor()
  private var waiting: [Parcel] = []
  private var lastArrival = 0.0
  private var isClosed = false
  private var isAwaited = false

  /// `whenIdle` is done before, if somebody waits and nothing is there.
  func put(_ parcel: Parcel, whenIdle: () -> Void = {}) {
    monitor.locked {
      if isAwaited, waiting.isEmpty { whenIdle() }
      waiting.append(parcel)
      lastArrival = monotonicSeconds()
      monitor.wake()
    }
  }

  /// The next one; waits for it, at most as long as given. nil when there is none, or after `close`.
  func next(seconds: Double = .infinity) -> Parcel? {
    let end = monotonicSeconds() + min(seconds, 1e9)
    return monitor.locked {
      isAwaited = true
      defer { isAwaited = false }
      while waiting.isEmpty, !isClosed {
        let left = end - monotonicSeconds()
        if left <= 0 { return nil }
        monitor.wait(seconds: left)
      }
      return isClosed ? nil : waiting.removeFirst()
    }
  }

  /// Waits until nothing has come for a while, and takes all that is there.
  func takeAll(quietSeconds: Double, atMost: Double) -> [Parcel] {
    let start = monotonicSeconds()
    return monitor.locked {
      while !isClosed {
        let now = monotonicSeconds()
        let quiet = now - max(lastArrival, start)
        if quiet >= quietSeconds || now - start >= atMost { break }
        monitor.wait(seconds: quietSeconds - quiet)
      }
      return drain()
    }
  }

  /// Throws away what is there.
  func clear() { monitor.locked { for parcel in drain() { parcel.discard() } } }

  func close() {
    monitor.locked {
      isClosed = true
      monitor.wake()
    }
  }

  var hasClosed: Bool { monitor.locked { isClosed } }

  private func drain() -> [Parcel] {
    var all: [Parcel] = []
    swap(&all, &waiting)
    return all
  }
}

/// Which socket a message goes out by.
enum Channel: UInt8 {
  case shell, control, iopub, stdin
}

/// Messages of the interpreter's thread to the sockets', and the text that its cell has printed.
///
/// Text is collected for 50 ms or up to 64 KiB, so that a loop of prints is some messages and not thousands.
/// It goes out before any other message. A thread that is too far ahead of the sockets waits.
final class Outbox: @unchecked Sendable {
  struct Text {
    let bytes: Bytes
    let isError: Bool
    let parent: Bytes
  }

  static let streamSeconds = 0.05
  static let streamBytes = 64 << 10
  static let mostBytes = 16 << 20

  /// Readable when there is something to send.
  let descriptor: Int32
  private let monitor = Monitor()
  private var parcels: [Parcel] = []
  private var queuedBytes = 0
  private var isFinished = false
  // The printed text: plain memory that grows.
  private var text = UnsafeMutableRawPointer.allocate(byteCount: 1 << 12, alignment: 1)
  private var textCount = 0
  private var textRoom = 1 << 12
  private var textSince = 0.0
  private var textIsError = false
  private var textParent: Parcel?

  init() { descriptor = lull_event_descriptor() }

  /// Printed text with the header of the request whose cell printed it. False when it has to be sent first
  /// (`takeText`): there is too much, or it is of the other stream.
  func add(_ new: UnsafeRawBufferPointer, isError: Bool, parent: Bytes) -> Bool {
    monitor.locked {
      if textCount > 0, isError != textIsError || textCount + new.count > Outbox.streamBytes {
        return false
      }
      if textCount == 0 {
        textIsError = isError
        textSince = monotonicSeconds()
        textParent?.discard()
        textParent = Parcel([parent])
        signal()
      }
      if textCount + new.count > textRoom {
        textRoom = max(textRoom * 2, textCount + new.count)
        let larger = UnsafeMutableRawPointer.allocate(byteCount: textRoom, alignment: 1)
        larger.copyMemory(from: text, byteCount: textCount)
        text.deallocate()
        text = larger
      }
      if let start = new.baseAddress {
        (text + textCount).copyMemory(from: start, byteCount: new.count)
      }
      textCount += new.count
      return true
    }
  }

  /// The text so far.
  func takeText() -> Text? { monitor.locked { takenText() } }

  private func takenText() -> Text? {
    guard textCount > 0, let parent = textParent else { return nil }
    let bytes = Bytes(UnsafeRawBufferPointer(start: text, count: textCount))
    textCount = 0
    textParent = nil
    // A single long text is no reason to keep its room.
    if textRoom > Outbox.streamBytes * 4 {
      text.deallocate()
      textRoom = 1 << 12
      text = .allocate(byteCount: textRoom, alignment: 1)
    }
    return Text(bytes: bytes, isError: textIsError, parent: parent.open().first ?? [])
  }

  /// Seconds until the text is due; nil when there is none.
  var secondsToText: Double? {
    monitor.locked {
      textCount == 0 ? nil : max(0, textSince + Outbox.streamSeconds - monotonicSeconds())
    }
  }

  func put(_ parcel: Parcel) {
    monitor.locked {
      parcels.append(parcel)
      queuedBytes += parcel.byteCount
      if parcels.count == 1 { signal() }
    }
  }

  /// Waits until the sockets have caught up, some time at most; false when they have not.
  func waitForRoom(seconds: Double) -> Bool {
    monitor.locked {
      if queuedBytes > Outbox.mostBytes { monitor.wait(seconds: seconds) }
      return queuedBytes <= Outbox.mostBytes
    }
  }

  /// All messages, and the text that was printed after them if it is due.
  func takeAll() -> (parcels: [Parcel], text: Text?) {
    monitor.locked {
      var all: [Parcel] = []
      swap(&all, &parcels)
      let isDue = isFinished || monotonicSeconds() - textSince >= Outbox.streamSeconds
      return (all, isDue ? takenText() : nil)
    }
  }

  /// Says that parcels which were taken are on their way.
  func sent(byteCount: Int) {
    monitor.locked {
      queuedBytes -= byteCount
      monitor.wake()
    }
  }

  /// Nothing more will be put in.
  func finish() {
    monitor.locked {
      isFinished = true
      signal()
    }
  }

  var hasFinished: Bool { monitor.locked { isFinished } }

  /// Takes the signal back, before what it announces is taken.
  func acknowledge() {
    var count: UInt64 = 0
    _ = read(descriptor, &count, 8)
  }

  private func signal() {
    var one: UInt64 = 1
    _ = write(descriptor, &one, 8)
  }
}
