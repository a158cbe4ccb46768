// Devices and streams. Everything runs on the processor, in the order of the program; the names exist so that
// programs written for several devices run, and asking for a GPU says that there is none.

import Engine
import Language

#if canImport(Glibc)
  import Glibc
#endif

enum DeviceKind: String { case cpu, gpu }

final class DeviceTypeBox: Sendable {
  let kind: DeviceKind
  init(_ kind: DeviceKind) { self.kind = kind }
}

final class DeviceBox: Sendable {
  let kind: DeviceKind
  let index: Int
  init(_ kind: DeviceKind, _ index: Int = 0) {
    self.kind = kind
    self.index = index
  }
  var text: String { "Device(\(kind.rawValue), \(index))" }
}

final class StreamBox: Sendable {
  let device: DeviceBox
  let index: Int
  /// The thread of the program that made it, where only that one may use it.
  let thread: Int?
  init(_ device: DeviceBox, _ index: Int, thread: Int? = nil) {
    self.device = device
    self.index = index
    self.thread = thread
  }
  func check() throws(LullError) {
    guard let thread, thread != currentThread else { return }
    throw LullError.runtime(
      "there is no Stream(\(device.text), \(index)) in this thread: another one made it")
  }
}

/// What `with mx.stream(...)` holds: what to set, and what was set before.
final class StreamContextBox {
  let stream: StreamBox
  var old: StreamBox?
  init(_ stream: StreamBox) { self.stream = stream }
}

nonisolated(unsafe) private var defaultStream = StreamBox(DeviceBox(.cpu), 0)
nonisolated(unsafe) private var streamCount = 1

let deviceTypeType: NativeType = {
  let type = NativeType(
    "DeviceType", module: "mlx.core", doc: "A kind of device: cpu, or gpu, of which there is none.")
  type.repr = { (v) throws(LullError) in
    "DeviceType." + (v.native(DeviceTypeBox.self)?.kind.rawValue ?? "?")
  }
  type.compare = compareDevices
  type.hash = { (v) throws(LullError) in deviceHash(v) }
  return type
}()

/// `mx.cpu` and `mx.gpu`: one object each.
let cpuValue = deviceTypeType.make(DeviceTypeBox(.cpu))
let gpuValue = deviceTypeType.make(DeviceTypeBox(.gpu))

private func deviceHash(_ v: Value) -> Int {
  guard let d = device(inside: v) else { return 0 }
  return (d.kind == .cpu ? 1 : 2) &+ d.index &* 31
}
private func device(inside v: Value) -> DeviceBox? {
  if let box = v.native(DeviceBox.self) { return box }
  if let box = v.native(DeviceTypeBox.self) { return DeviceBox(box.kind) }
  return nil
}
private func compareDevices(_ op: CompareOperator, _ a: Value, _ b: Value) throws(LullError)
  -> Value?
{
  guard op == .equal || op == .notEqual else { return nil }
  let (x, y) = (device(inside: a), device(inside: b))
  let same = x != nil && x?.kind == y?.kind && x?.index == y?.index
  return Value(same == (op == .equal))
}

let deviceType: NativeType = {
  let type = NativeType("Device", module: "mlx.core", doc: "A device of a kind and a number.")
  type.constructor = Builtin(
    "Device", "Device(type, index=0)", chapter: "devices", doc: "A device of a kind and a number.",
    examples: [">>> mx.Device(mx.cpu)\nDevice(cpu, 0)"]
  ) { (a) throws(LullError) in
    guard let kind = a[0].native(DeviceTypeBox.self)?.kind else {
      throw a.wrong(0, "mx.cpu or mx.gpu")
    }
    return deviceType.make(DeviceBox(kind, try a.int(1)))
  }
  type.repr = { (v) throws(LullError) in v.native(DeviceBox.self)?.text ?? "Device" }
  type.compare = compareDevices
  type.hash = { (v) throws(LullError) in deviceHash(v) }
  type.properties = [
    NativeProperty("type", doc: "The kind: mx.cpu or mx.gpu.") { (v) throws(LullError) in
      (v.native(DeviceBox.self)?.kind == .gpu ? gpuValue : cpuValue).retain()
    }
  ]
  return type
}()

private func streamType(_ name: String, _ doc: String) -> NativeType {
  let type = NativeType(name, module: "mlx.core", doc: doc)
  type.repr = { (v) throws(LullError) in
    guard let s = v.native(StreamBox.self) else { return name }
    return "\(name)(\(s.device.text), \(s.index))"
  }
  type.compare = { (op, a, b) throws(LullError) in
    guard op == .equal || op == .notEqual else { return nil }
    let (x, y) = (a.native(StreamBox.self), b.native(StreamBox.self))
    let same = x?.index == y?.index && x?.device.kind == y?.device.kind
    return Value(same == (op == .equal))
  }
  type.hash = { (v) throws(LullError) in v.native(StreamBox.self)?.index ?? 0 }
  type.properties = [
    NativeProperty("device", doc: "The device of the stream.") { (v) throws(LullError) in
      v.native(StreamBox.self).map { deviceType.make($0.device) } ?? .none
    }
  ]
  return type
}
let plainStreamType = streamType("Stream", "A queue of operations on a device.")
let threadStreamType = streamType("ThreadLocalStream", "A stream of one thread.")

let streamContextType: NativeType = {
  let type = NativeType(
    "StreamContext", module: "mlx.core", doc: "A context in which a stream is the default.")
  type.enter = { (me) throws(LullError) in
    guard let box = me.native(StreamContextBox.self) else { return .none }
    try box.stream.check()
    box.old = defaultStream
    defaultStream = box.stream
    return .none
  }
  type.exit = { (me, _) throws(LullError) in
    if let old = me.native(StreamContextBox.self)?.old { defaultStream = old }
    return false
  }
  return type
}()

/// The device of an argument; a GPU is refused in the words of the function that asked.
private func usableDevice(_ v: Value, _ a: Args, _ i: Int, _ refusal: String) throws(LullError)
  -> DeviceBox
{
  guard let box = device(inside: v) else { throw a.wrong(i, "a device such as mx.cpu") }
  guard box.kind == .cpu else { throw LullError.valueError(refusal) }
  guard box.index == 0 else {
    throw LullError.valueError("device index \(box.index) is out of range: there is one processor")
  }
  return box
}

/// A stream or device given as `stream=`: checked, then ignored.
func checkStream(_ v: Value) throws(LullError) {
  if v.isNone { return }
  if let stream = v.native(StreamBox.self) { return try stream.check() }
  guard let box = device(inside: v) else {
    throw LullError.typeError("stream must be a stream or a device, not \(v.typeNameText)")
  }
  if box.kind == .gpu {
    throw LullError.valueError("stream: no GPU back-end is available; use mx.cpu")
  }
}

private func processorName() -> String {
  guard let bytes = try? readFile("/proc/cpuinfo") else { return "CPU" }
  for line in bytes.split(separator: 10, omittingEmptySubsequences: true).prefix(32) {
    let text = String(decoding: line, as: UTF8.self)
    guard text.hasPrefix("model name"), let colon = text.firstIndex(of: ":") else { continue }
    return String(text[text.index(after: colon)...].drop { $0 == " " })
  }
  return "CPU"
}
private func architecture() -> String {
  var u = utsname()
  uname(&u)
  return withUnsafeBytes(of: u.machine) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}

public let deviceFunctions: [Builtin] = [
  Builtin(
    "default_device", "default_device()", chapter: "devices",
    doc: "The device that operations use.",
    examples: [">>> mx.default_device()\nDevice(cpu, 0)"]
  ) { (a) throws(LullError) in deviceType.make(defaultStream.device) },
  Builtin(
    "set_default_device", "set_default_device(device)", chapter: "devices",
    doc: "Set the device that operations use; the processor is the only one.",
    examples: [">>> mx.set_default_device(mx.cpu)"]
  ) { (a) throws(LullError) in
    let device = try usableDevice(
      a[0], a, 0, "set_default_device: no GPU back-end is available; use mx.cpu")
    defaultStream = StreamBox(device, 0)
    return .none
  },
  Builtin(
    "default_stream", "default_stream(device)", chapter: "devices",
    doc: "The stream that a device uses.",
    examples: [">>> mx.default_stream(mx.cpu)\nStream(Device(cpu, 0), 0)"]
  ) { (a) throws(LullError) in
    _ = try usableDevice(a[0], a, 0, "default_stream: no GPU back-end is available; use mx.cpu")
    return plainStreamType.make(defaultStream)
  },
  Builtin(
    "set_default_stream", "set_default_stream(stream)", chapter: "devices",
    doc: "Set the stream that operations use.",
    examples: [">>> mx.set_default_stream(mx.default_stream(mx.cpu))"]
  ) { (a) throws(LullError) in
    guard let box = a[0].native(StreamBox.self) else { throw a.wrong(0, "a stream") }
    defaultStream = box
    return .none
  },
  newStream(
    "new_stream", "A new stream on a device, for the thread that makes it.", "Stream", isOwned: true
  ),
  newStream(
    "new_thread_local_stream", "A new stream on a device, for any thread.", "ThreadLocalStream"),
  newStream("new_thread_unsafe_stream", "A new stream on a device, for any thread.", "Stream"),
  Builtin(
    "clear_streams", "clear_streams()", chapter: "devices",
    doc: "Forget the streams that were made.",
    examples: [">>> mx.clear_streams()"]
  ) { (a) throws(LullError) in
    defaultStream = StreamBox(DeviceBox(.cpu), 0)
    streamCount = 1
    return .none
  },
  Builtin(
    "stream", "stream(s)", chapter: "devices", doc: "A context (`with`) in which s is the default.",
    examples: [">>> with mx.stream(mx.cpu):\n...     mx.eval(mx.ones(2))"]
  ) { (a) throws(LullError) in
    if let box = a[0].native(StreamBox.self) {
      return streamContextType.make(StreamContextBox(box))
    }
    let device = try usableDevice(a[0], a, 0, "stream: no GPU back-end is available; use mx.cpu")
    return streamContextType.make(StreamContextBox(StreamBox(device, 0)))
  },
  Builtin(
    "is_available", "is_available(device)", chapter: "devices",
    doc: "Whether a device is there.", examples: [">>> mx.is_available(mx.gpu)\nFalse"]
  ) { (a) throws(LullError) in
    guard let box = device(inside: a[0]) else { throw a.wrong(0, "a device such as mx.cpu") }
    return Value(box.kind == .cpu && box.index == 0)
  },
  Builtin(
    "device_count", "device_count(device_type)", chapter: "devices",
    doc: "How many devices of a kind there are.", examples: [">>> mx.device_count(mx.cpu)\n1"]
  ) { (a) throws(LullError) in
    guard let box = device(inside: a[0]) else { throw a.wrong(0, "mx.cpu or mx.gpu") }
    return Value(box.kind == .cpu ? 1 : 0)
  },
  Builtin(
    "device_info", "device_info(d=None)", chapter: "devices",
    doc: "The device's name and architecture.",
    examples: [">>> sorted(mx.device_info())\n['architecture', 'device_name']"]
  ) { (a) throws(LullError) in
    if !a.isNone(0) {
      _ = try usableDevice(a[0], a, 0, "device_info: no GPU back-end is available; use mx.cpu")
    }
    return makeDictValue([
      ("architecture", makeStr(architecture())), ("device_name", makeStr(processorName())),
    ])
  },
]

private func newStream(_ name: String, _ doc: String, _ type: String, isOwned: Bool = false)
  -> Builtin
{
  Builtin(
    name, "\(name)(device)", chapter: "devices", doc: doc,
    examples: [">>> mx.\(name)(mx.cpu).device\nDevice(cpu, 0)"]
  ) { (a) throws(LullError) in
    let device = try usableDevice(a[0], a, 0, "\(name): no GPU back-end is available; use mx.cpu")
    let box = StreamBox(device, streamCount, thread: isOwned ? currentThread : nil)
    streamCount += 1
    return type == "Stream" ? plainStreamType.make(box) : threadStreamType.make(box)
  }
}

/// The types and constants, for the module's names.
func deviceNames() -> [(String, Value)] {
  [
    ("cpu", cpuValue.retain()), ("gpu", gpuValue.retain()),
    ("DeviceType", deviceTypeType.value.retain()), ("Device", deviceType.value.retain()),
    ("Stream", plainStreamType.value.retain()),
    ("ThreadLocalStream", threadStreamType.value.retain()),
    ("StreamContext", streamContextType.value.retain()),
  ]
}
