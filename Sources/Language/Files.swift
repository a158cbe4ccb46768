// `open`: files as text or bytes. A file opened for reading alone is read whole; writes are collected and go out
// when the file is flushed or closed, when something asks for the position, or when the object is dropped. A file
// opened with `+` reads back what it has written.
import Glibc

private final class FileObject {
  let path: String
  let mode: String
  let isBinary: Bool
  let isUpdating: Bool
  var content: [UInt8] = []
  var position = 0
  var pending: [UInt8] = []
  var handle: UnsafeMutablePointer<FILE>?
  var isClosed = false

  init(_ path: String, _ mode: String) throws(LullError) {
    self.path = path
    self.mode = mode
    isBinary = mode.contains("b")
    let kinds = mode.filter { "rwax".contains($0) }
    if kinds.count != 1, !mode.isEmpty, mode.allSatisfy({ "rwaxbt+".contains($0) }) {
      throw LullError.valueError("must have exactly one of create/read/write/append mode")
    }
    guard kinds.count == 1, mode.allSatisfy({ "rwaxbt+".contains($0) }) else {
      throw LullError.valueError("invalid mode: '\(mode)'")
    }
    isUpdating = mode.contains("+")
    if kinds == "r", !isUpdating {
      content = try readFile(path)
    } else {
      let plus = isUpdating ? "+" : ""
      let how = kinds == "x" ? "wb\(plus)x" : kinds + "b" + plus
      guard let h = fopen(path, how) else { throw osError(errno, path) }
      handle = h
    }
  }
  /// Runs a reading operation: one that writes too reads its file anew, from where it stands.
  func reading<R>(_ body: () throws(LullError) -> R) throws(LullError) -> R {
    guard let handle else { return try body() }
    flush()
    position = ftell(handle)
    content = try readFile(path)
    position = min(position, content.count)
    defer {
      fseek(handle, position, SEEK_SET)
      content = []
    }
    return try body()
  }
  func tell() -> Int {
    flush()
    return handle.map { ftell($0) } ?? position
  }
  func seek(_ offset: Int, _ whence: Int) throws(LullError) -> Int {
    flush()
    if let handle {
      let how = whence == 0 ? SEEK_SET : whence == 1 ? SEEK_CUR : SEEK_END
      guard fseek(handle, offset, how) == 0 else { throw osError(errno, path) }
      return ftell(handle)
    }
    let base = whence == 0 ? 0 : whence == 1 ? position : content.count
    let (target, overflow) = base.addingReportingOverflow(offset)
    guard !overflow, target >= 0 else {
      throw LullError.valueError("negative seek value \(offset)")
    }
    position = min(target, content.count)
    return target
  }
  func truncate(_ size: Int?) throws(LullError) -> Int {
    guard let handle else { throw LullError("OSError", "not writable") }
    let n = size ?? tell()
    flush()
    guard n >= 0, ftruncate(fileno(handle), n) == 0 else {
      throw osError(n < 0 ? EINVAL : errno, path)
    }
    return n
  }
  deinit { close() }
  func flush() {
    guard let handle, !pending.isEmpty else { return }
    _ = fwrite(pending, 1, pending.count, handle)
    fflush(handle)
    pending = []
  }
  func close() {
    flush()
    if let handle { fclose(handle) }
    handle = nil
    isClosed = true
  }
  func value(_ bytes: ArraySlice<UInt8>) throws(LullError) -> Value {
    if isBinary { return makeBytes(Array(bytes)) }
    var out: [UInt8] = []
    out.reserveCapacity(bytes.count)
    var previous: UInt8 = 0
    // Universal newlines.
    for b in bytes {
      if b == 13 { out.append(10) } else if !(b == 10 && previous == 13) { out.append(b) }
      previous = b
    }
    return try decodeBytes(out, "utf-8", "strict")
  }
  func line() -> ArraySlice<UInt8> {
    let start = position
    while position < content.count {
      position += 1
      if content[position - 1] == 10 { break }
    }
    return content[start..<position]
  }
}

private func file(_ v: Value, reading: Bool? = nil) throws(LullError) -> FileObject {
  guard let f = v.native(FileObject.self) else { throw LullError.typeError("not a file") }
  if f.isClosed { throw LullError.valueError("I/O operation on closed file.") }
  if reading == true, f.handle != nil, !f.isUpdating { throw LullError("OSError", "not readable") }
  if reading == false, f.handle == nil { throw LullError("OSError", "not writable") }
  return f
}

private let fileType: NativeType = {
  let t = NativeType("TextIOWrapper", module: "_io", doc: "An open file.")
  t.methods = [
    Builtin(
      "read", "read(self, size=-1, /)", chapter: "files", doc: "The rest of the file.",
      examples: [
        ">>> f = open('/tmp/lull-example.txt', 'w+')\n>>> f.write('one\\ntwo\\n')\n8\n>>> f.seek(0)\n0\n>>> f.read(3), f.read()\n('one', '\\ntwo\\n')\n>>> f.close()"
      ]
    ) { (a) throws(LullError) in
      let f = try file(a[0], reading: true)
      let n = a.isNone(1) ? -1 : try a.int(1)
      return try f.reading { () throws(LullError) in
        let end = n < 0 || n > f.content.count - f.position ? f.content.count : f.position + n
        defer { f.position = end }
        return try f.value(f.content[f.position..<end])
      }
    },
    Builtin(
      "readline", "readline(self, /)", chapter: "files", doc: "The next line.",
      examples: [
        ">>> f = open('/tmp/lull-example.txt', 'w+')\n>>> f.write('one\\ntwo\\n')\n8\n>>> f.seek(0)\n0\n>>> f.readline()\n'one\\n'\n>>> f.close()"
      ]
    ) { (a) throws(LullError) in
      let f = try file(a[0], reading: true)
      return try f.reading { () throws(LullError) in try f.value(f.line()) }
    },
    Builtin(
      "readlines", "readlines(self, /)", chapter: "files", doc: "The remaining lines.",
      examples: [
        ">>> f = open('/tmp/lull-example.txt', 'w+')\n>>> f.write('one\\ntwo\\n')\n8\n>>> f.seek(0)\n0\n>>> f.readlines()\n['one\\n', 'two\\n']\n>>> f.close()"
      ]
    ) { (a) throws(LullError) in
      let f = try file(a[0], reading: true)
      let out = makeList()
      try f.reading { () throws(LullError) in
        while f.position < f.content.count { out.list.append(try f.value(f.line())) }
      }
      return out
    },
    Builtin(
      "write", "write(self, data, /)", chapter: "files", doc: "Append text or bytes.",
      examples: [
        ">>> f = open('/tmp/lull-example.txt', 'w+')\n>>> f.write('one\\n')\n4\n>>> f.close()"
      ]
    ) { (a) throws(LullError) in
      let f = try file(a[0], reading: false)
      if f.isBinary {
        guard a[1].kind == .bytes else {
          throw LullError.typeError("a bytes-like object is required, not '\(typeName(a[1]))'")
        }
        f.pending += a[1].bytes
      } else {
        let s = try a.str(1)
        f.pending += s.hasSurrogates ? try encodeString(s, "utf-8", "strict") : Array(s.buffer)
      }
      if f.pending.count > 1 << 16 { f.flush() }
      return Value(try length(a[1]))
    },
    Builtin(
      "writelines", "writelines(self, lines, /)", chapter: "files", doc: "Append each line.",
      examples: [
        ">>> f = open('/tmp/lull-example.txt', 'w+')\n>>> f.writelines(['one\\n', 'two\\n'])\n>>> f.tell()\n8\n>>> f.close()"
      ]
    ) { (a) throws(LullError) in
      let f = try file(a[0], reading: false)
      try forEach(a[1]) { (x) throws(LullError) in
        f.pending +=
          x.kind == .bytes
          ? x.bytes : x.kind == .str ? try encodeString(x.str, "utf-8", "strict") : []
      }
      return .none
    },
    Builtin(
      "tell", "tell(self, /)", chapter: "files", doc: "The position in bytes.",
      examples: [
        ">>> f = open('/tmp/lull-example.txt', 'w+')\n>>> f.write('one')\n3\n>>> f.tell()\n3\n>>> f.close()"
      ]
    ) { (a) throws(LullError) in
      Value(try file(a[0]).tell())
    },
    Builtin(
      "seek", "seek(self, offset, whence=0, /)", chapter: "files",
      doc: "Go to a position: from the start, from here (1), from the end (2).",
      examples: [
        ">>> f = open('/tmp/lull-example.txt', 'w+')\n>>> f.write('one')\n3\n>>> f.seek(1)\n1\n>>> f.read()\n'ne'\n>>> f.close()"
      ]
    ) { (a) throws(LullError) in
      let whence = try a.int(2)
      guard (0...2).contains(whence) else {
        throw LullError.valueError("invalid whence (\(whence), should be 0, 1 or 2)")
      }
      return Value(try file(a[0]).seek(try a.int(1), whence))
    },
    Builtin(
      "truncate", "truncate(self, size=None, /)", chapter: "files",
      doc: "Cut the file to a size (None: to the position).",
      examples: [
        ">>> f = open('/tmp/lull-example.txt', 'w+')\n>>> f.write('one two')\n7\n>>> f.truncate(3)\n3\n>>> f.seek(0)\n0\n>>> f.read()\n'one'\n>>> f.close()"
      ]
    ) { (a) throws(LullError) in
      Value(try file(a[0], reading: false).truncate(a.isNone(1) ? nil : try a.int(1)))
    },
    Builtin(
      "readable", "readable(self, /)", chapter: "files", doc: "Whether it can be read.",
      examples: [
        ">>> f = open('/tmp/lull-example.txt', 'w+')\n>>> f.readable()\nTrue\n>>> f.close()"
      ]
    ) { (a) throws(LullError) in
      let f = try file(a[0])
      return Value(f.handle == nil || f.isUpdating)
    },
    Builtin(
      "writable", "writable(self, /)", chapter: "files", doc: "Whether it can be written.",
      examples: [
        ">>> f = open('/tmp/lull-example.txt', 'w+')\n>>> f.writable()\nTrue\n>>> f.close()"
      ]
    ) { (a) throws(LullError) in
      Value(try file(a[0]).handle != nil)
    },
    Builtin(
      "seekable", "seekable(self, /)", chapter: "files", doc: "Whether it has positions.",
      examples: [
        ">>> f = open('/tmp/lull-example.txt', 'w+')\n>>> f.seekable()\nTrue\n>>> f.close()"
      ]
    ) { (_) throws(LullError) in Value(true) },
    Builtin(
      "flush", "flush(self, /)", chapter: "files", doc: "Write out what is pending.",
      examples: [
        ">>> f = open('/tmp/lull-example.txt', 'w+')\n>>> f.write('one')\n3\n>>> f.flush()\n>>> open('/tmp/lull-example.txt').read()\n'one'\n>>> f.close()"
      ]
    ) { (a) throws(LullError) in
      try file(a[0]).flush()
      return .none
    },
    Builtin(
      "close", "close(self, /)", chapter: "files", doc: "Close the file.",
      examples: [">>> f = open('/tmp/lull-example.txt', 'w')\n>>> f.close()\n>>> f.closed\nTrue"]
    ) { (a) throws(LullError) in
      a[0].native(FileObject.self)?.close()
      return .none
    },
  ]
  t.properties = [
    NativeProperty("name") { (v) throws(LullError) in makeStr(v.native(FileObject.self)?.path ?? "")
    },
    NativeProperty("mode") { (v) throws(LullError) in makeStr(v.native(FileObject.self)?.mode ?? "")
    },
    NativeProperty("closed") { (v) throws(LullError) in
      Value(v.native(FileObject.self)?.isClosed ?? true)
    },
  ]
  t.next = { (v) throws(LullError) in
    let f = try file(v, reading: true)
    return try f.reading { () throws(LullError) in
      f.position >= f.content.count ? .undefined : try f.value(f.line())
    }
  }
  t.enter = { (v) throws(LullError) in
    _ = try file(v)
    return v.retain()
  }
  t.exit = { (v, _) throws(LullError) in
    v.native(FileObject.self)?.close()
    return false
  }
  return t
}()

let openFunction = Builtin(
  "open", "open(file, mode='r', buffering=-1, encoding=None, errors=None, newline=None)",
  chapter: "files", doc: "Open a file for reading or writing.",
  examples: [
    ">>> with open('/tmp/lull-example.txt', 'w') as f:\n...     print('hello', file=f)\n>>> with open('/tmp/lull-example.txt') as f:\n...     for line in f:\n...         print(line.strip())\nhello"
  ]
) { (a) throws(LullError) in
  var path = a[0].string
  if a[0].kind != .str {
    let f = a[0].type.lookup(.__fspath__)
    if f.isUndefined {
      throw LullError.typeError("expected str, bytes or os.PathLike object, not \(typeName(a[0]))")
    }
    let r = try callMethod(f, a[0])
    path = r.string
    r.release()
  }
  return fileType.make(try FileObject(path, try a.string(1)))
}
