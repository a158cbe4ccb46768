// Messages on the wire.
//
//     identities ... | <IDS|MSG> | signature | header | parent header | metadata | content | buffers ...
//
// Every part after the delimiter but the buffers is JSON; the signature is the HMAC-SHA256 of the four
// parts after it, in hex. What is not signed with our key, has too few parts or a header that is none is
// dropped without a word: it is from somebody else.

import CZeroMQ
import Formats
import Glibc

typealias Bytes = [UInt8]

/// The key that signs messages. Plain memory that is never freed: every thread reads it.
struct SigningKey: @unchecked Sendable {
  private let start: UnsafeMutableRawPointer
  private let count: Int

  init(_ key: Bytes) {
    start = .allocate(byteCount: max(1, key.count), alignment: 1)
    count = key.count
    start.copyMemory(from: key, byteCount: key.count)
  }

  var isEmpty: Bool { count == 0 }

  /// The signature of the parts in hex; empty without a key.
  func signature(of parts: ArraySlice<Bytes>) -> Bytes {
    if isEmpty { return [] }
    var joined: [LullBytes] = []
    let digest = withPointers(to: parts, &joined) { joined -> Bytes in
      var digest = Bytes(repeating: 0, count: LullDigestSize)
      lull_hmac_sha256(start, count, joined, Int32(joined.count), &digest)
      return digest
    }
    let digits = Array("0123456789abcdef".utf8)
    return digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
  }

  /// Whether the signature is that of the parts.
  func accepts(_ signature: Bytes, of parts: ArraySlice<Bytes>) -> Bool {
    if isEmpty { return true }
    let expected = self.signature(of: parts)
    return signature.count == expected.count
      && lull_equal_in_constant_time(signature, expected, expected.count) != 0
  }

  private func withPointers<R>(
    to parts: ArraySlice<Bytes>, _ joined: inout [LullBytes], _ body: ([LullBytes]) -> R
  ) -> R {
    guard let first = parts.first else { return body(joined) }
    return first.withUnsafeBytes { bytes in
      joined.append(LullBytes(data: bytes.baseAddress, size: bytes.count))
      return withPointers(to: parts.dropFirst(), &joined, body)
    }
  }
}

private let delimiter = Bytes("<IDS|MSG>".utf8)

/// A message that came and is signed as it should be.
struct Request {
  /// Who sent it, as its socket knows them.
  let identities: [Bytes]
  let type: String
  let identifier: String
  /// The header as it came, for the parent header of answers.
  let header: Bytes
  private let contentBytes: Bytes

  init?(_ parts: [Bytes], _ key: SigningKey) {
    guard let mark = parts.firstIndex(of: delimiter), parts.count >= mark + 6,
      key.accepts(parts[mark + 1], of: parts[(mark + 2)..<(mark + 6)]),
      let json = parsed(parts[mark + 2]), let type = json["msg_type"]?.string,
      let identifier = json["msg_id"]?.string
    else { return nil }
    identities = Array(parts[..<mark])
    header = parts[mark + 2]
    contentBytes = parts[mark + 5]
    self.type = type
    self.identifier = identifier
  }

  /// An empty object where it is not valid.
  func content() -> JSON {
    if let json = parsed(contentBytes), case .object = json { return json }
    return [:]
  }
}

private func parsed(_ bytes: Bytes) -> JSON? {
  do throws(FormatError) {
    return try JSON.parse(bytes, options: .init(maximumDepth: 200))
  } catch {
    return nil
  }
}

/// Makes the messages of one thread.
final class MessageWriter {
  private let key: SigningKey
  private let session: String
  private let name: String
  private var count = 0

  /// `name` tells the threads' messages apart; the session is the kernel's.
  init(key: SigningKey, session: Bytes, name: String) {
    self.key = key
    self.session = String(decoding: session, as: UTF8.self)
    self.name = name
  }

  /// The parts of a message. `identities` are the request's, or the topic of a broadcast.
  func message(
    _ type: String, to identities: [Bytes], parent: Bytes, content: JSON, metadata: JSON = [:]
  ) -> [Bytes] {
    count += 1
    let header: JSON = [
      "msg_id": .string("\(session)_\(name)\(count)"), "msg_type": .string(type),
      "username": "lull", "session": .string(session), "date": .string(timestamp()),
      "version": .string(KernelIdentity.protocolVersion),
    ]
    let options = JSON.WriteOptions(ensureASCII: false, compact: true)
    let parts = [
      header.serializedBytes(options), parent.isEmpty ? Bytes("{}".utf8) : parent,
      metadata.serializedBytes(options), content.serializedBytes(options),
    ]
    return identities + [delimiter, key.signature(of: parts[...])] + parts
  }

  /// A message to all: its topic says what it is.
  func broadcast(_ type: String, parent: Bytes, content: JSON) -> [Bytes] {
    message(
      type, to: [Bytes("kernel.\(session).\(type)".utf8)], parent: parent, content: content)
  }
}

/// The time in UTC, ISO 8601 with microseconds.
private func timestamp() -> String {
  var now = timespec()
  clock_gettime(CLOCK_REALTIME, &now)
  var parts = tm()
  gmtime_r(&now.tv_sec, &parts)
  func digits(_ value: Int, _ width: Int) -> String {
    let text = String(value)
    return String(repeating: "0", count: max(0, width - text.count)) + text
  }
  let date =
    "\(digits(Int(parts.tm_year) + 1900, 4))-\(digits(Int(parts.tm_mon) + 1, 2))-\(digits(Int(parts.tm_mday), 2))"
  let time =
    "\(digits(Int(parts.tm_hour), 2)):\(digits(Int(parts.tm_min), 2)):\(digits(Int(parts.tm_sec), 2))"
  return "\(date)T\(time).\(digits(Int(now.tv_nsec) / 1000, 6))Z"
}
