// What the system does for `os` and `os.path`, which are written in the language (stdlib/os).
import Glibc

private func path(_ v: Value) throws(LullError) -> String {
  if v.kind == .str { return try withoutNull(v.string) }
  let f = v.type.lookup(.__fspath__)
  if f.isUndefined {
    throw LullError.typeError("expected str, bytes or os.PathLike object, not \(typeName(v))")
  }
  let r = try callMethod(f, v)
  defer { r.release() }
  guard r.kind == .str else {
    throw LullError.typeError(
      "expected \(typeName(v)).__fspath__() to return str or bytes, not \(typeName(r))")
  }
  return try withoutNull(r.string)
}
/// The system ends a path at a null.
private func withoutNull(_ s: String) throws(LullError) -> String {
  if s.utf8.contains(0) { throw LullError.valueError("embedded null byte") }
  return s
}
private func check(_ code: Int32, _ p: String) throws(LullError) -> Value {
  if code != 0 { throw osError(errno, p) }
  return .none
}
private func splitPath(_ p: String) -> (String, String) {
  guard let slash = p.lastIndex(of: "/") else { return ("", p) }
  var head = String(p[...slash])
  while head.count > 1, head.hasSuffix("/"), head.contains(where: { $0 != "/" }) {
    head.removeLast()
  }
  return (head, String(p[p.index(after: slash)...]))
}
private func splitExtension(_ p: String) -> (String, String) {
  let name = splitPath(p).1
  let stem = name.drop { $0 == "." }
  guard let dot = stem.lastIndex(of: ".") else { return (p, "") }
  let ext = String(stem[dot...])
  return (String(p.dropLast(ext.count)), ext)
}
func currentDirectory() -> String {
  guard let c = getcwd(nil, 0) else { return "/" }
  defer { free(c) }
  return String(cString: c)
}
private func normalized(_ p: String) -> String {
  var parts: [Substring] = []
  for s in p.split(separator: "/") where s != "." {
    if s == "..", let last = parts.last, last != ".." {
      parts.removeLast()
    } else if s != ".." || !p.hasPrefix("/") {
      parts.append(s)
    }
  }
  let joined = parts.joined(separator: "/")
  // POSIX lets two slashes at the start mean something; three are one.
  let root = p.hasPrefix("//") && !p.hasPrefix("///") ? "//" : "/"
  return p.hasPrefix("/") ? root + joined : joined.isEmpty ? "." : joined
}
private func text(
  _ name: String, _ doc: String, _ example: String, _ f: @escaping (String) -> Value
) -> Builtin {
  Builtin(name, "\(name)(path, /)", chapter: "os", doc: doc, examples: [example]) {
    (a) throws(LullError) in
    f(try path(a[0]))
  }
}

private func pathModule() -> NativeModule {
  NativeModule(
    builtins: [
      Builtin(
        "join", "join(path, *paths)", chapter: "os", doc: "Join path parts.",
        examples: [">>> import os\n>>> os.path.join('data', 'train', 'a.txt')\n'data/train/a.txt'"]
      ) { (a) throws(LullError) in
        var p = try path(a[0])
        for v in a.rest(1) {
          let q = try path(v)
          if q.hasPrefix("/") {
            p = q
          } else if p.isEmpty || p.hasSuffix("/") {
            p += q
          } else {
            p += "/" + q
          }
        }
        return makeStr(p)
      },
      text(
        "exists", "Whether a path exists.",
        ">>> import os\n>>> os.path.exists('/no/such/file')\nFalse"
      ) { Value(access($0, F_OK) == 0) },
      text(
        "isfile", "Whether a path is a file.", ">>> import os\n>>> os.path.isfile('/tmp')\nFalse"
      ) { Value(access($0, F_OK) == 0 && !isDirectory($0)) },
      text(
        "isdir", "Whether a path is a directory.", ">>> import os\n>>> os.path.isdir('/tmp')\nTrue"
      ) { Value(isDirectory($0)) },
      text(
        "basename", "The last part.", ">>> import os\n>>> os.path.basename('data/a.txt')\n'a.txt'"
      ) { makeStr(splitPath($0).1) },
      text(
        "dirname", "All but the last part.",
        ">>> import os\n>>> os.path.dirname('data/a.txt')\n'data'"
      ) { makeStr(splitPath($0).0) },
      text(
        "split", "Directory and last part.",
        ">>> import os\n>>> os.path.split('data/a.txt')\n('data', 'a.txt')"
      ) { makePair(makeStr(splitPath($0).0), makeStr(splitPath($0).1)) },
      text(
        "splitext", "Root and extension.",
        ">>> import os\n>>> os.path.splitext('data/a.tar.gz')\n('data/a.tar', '.gz')"
      ) { makePair(makeStr(splitExtension($0).0), makeStr(splitExtension($0).1)) },
      text(
        "abspath", "The absolute path.", ">>> import os\n>>> os.path.abspath('/tmp/../etc')\n'/etc'"
      ) { makeStr(normalized($0.hasPrefix("/") ? $0 : currentDirectory() + "/" + $0)) },
      text(
        "normpath", "Without dots and double slashes.",
        ">>> import os\n>>> os.path.normpath('data//./a/../b')\n'data/b'"
      ) { makeStr(normalized($0)) },
      text(
        "isabs", "Whether absolute.",
        ">>> import os\n>>> os.path.isabs('/tmp'), os.path.isabs('tmp')\n(True, False)"
      ) { Value($0.hasPrefix("/")) },
      text("expanduser", "With ~ replaced.", ">>> import os\n>>> os.path.expanduser('a/~')\n'a/~'")
      { p in
        guard p == "~" || p.hasPrefix("~/"), let h = getenv("HOME") else { return makeStr(p) }
        return makeStr(String(cString: h) + p.dropFirst())
      },
      Builtin(
        "getsize", "getsize(path, /)", chapter: "os", doc: "The size in bytes.",
        examples: [
          ">>> import os\n>>> with open('/tmp/lull-example.txt', 'w') as f:\n...     n = f.write('hello')\n>>> os.path.getsize('/tmp/lull-example.txt')\n5"
        ]
      ) { (a) throws(LullError) in
        let p = try path(a[0])
        var s = stat()
        if stat(p, &s) != 0 { throw osError(errno, p) }
        return Value(Int(s.st_size))
      },
    ])
}

/// What `os.uname()` gives.
private final class Uname {
  let fields: [(name: String, value: Value)]
  init(fields: [(name: String, value: Value)]) { self.fields = fields }
  deinit { for f in fields { f.value.release() } }
}
private let unameType: NativeType = {
  let type = NativeType("uname_result", module: "posix", doc: "The names of the system.")
  type.getAttribute = { (me, name) throws(LullError) in
    me.native(Uname.self)?.fields.first { $0.name == name }?.value.retained()
  }
  type.len = { (me) throws(LullError) in me.native(Uname.self)?.fields.count ?? 0 }
  type.getItem = { (me, index) throws(LullError) in
    guard let fields = me.native(Uname.self)?.fields else { return .none }
    let t = makeTuple(fields.map { $0.value.retained() })
    defer { t.release() }
    return try getItem(t, index)
  }
  return type
}()

private func osModule() -> NativeModule {
  let environment = makeDict()
  var e = environ
  while let entry = e.pointee {
    let s = String(cString: entry)
    if let eq = s.firstIndex(of: "=") {
      environment.dict.store(string: String(s[..<eq]), makeStr(String(s[s.index(after: eq)...])))
    }
    e += 1
  }
  return NativeModule(
    builtins: [
      Builtin(
        "getcwd", "getcwd()", chapter: "os", doc: "The working directory.",
        examples: [">>> import os\n>>> os.path.isdir(os.getcwd())\nTrue"]
      ) { (_) throws(LullError) in makeStr(currentDirectory()) },
      Builtin(
        "chdir", "chdir(path, /)", chapter: "os", doc: "Change the working directory.",
        examples: [
          ">>> import os\n>>> here = os.getcwd()\n>>> os.chdir('/tmp')\n>>> os.getcwd()\n'/tmp'\n>>> os.chdir(here)"
        ]
      ) { (a) throws(LullError) in
        let p = try path(a[0])
        return try check(chdir(p), p)
      },
      Builtin(
        "listdir", "listdir(path='.', /)", chapter: "os", doc: "The names in a directory.",
        examples: [
          ">>> import os, tempfile\n>>> with tempfile.TemporaryDirectory() as d:\n...     open(os.path.join(d, 'a.txt'), 'w').close()\n...     print(os.listdir(d))\n['a.txt']"
        ]
      ) { (a) throws(LullError) in
        let p = try path(a[0])
        guard let d = opendir(p) else { throw osError(errno, p) }
        defer { closedir(d) }
        let out = makeList()
        while let entry = readdir(d) {
          let n = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
          }
          if n != ".", n != ".." { out.list.append(makeStr(n)) }
        }
        return out
      },
      Builtin(
        "mkdir", "mkdir(path, mode=511)", chapter: "os", doc: "Make a directory.",
        examples: [
          ">>> import os, tempfile\n>>> with tempfile.TemporaryDirectory() as d:\n...     os.mkdir(os.path.join(d, 'a'))\n...     print(os.path.isdir(os.path.join(d, 'a')))\nTrue"
        ]
      ) { (a) throws(LullError) in
        let p = try path(a[0])
        return try check(mkdir(p, mode_t(truncatingIfNeeded: try a.int(1))), p)
      },
      Builtin(
        "remove", "remove(path, /)", chapter: "os", doc: "Delete a file.",
        examples: [
          ">>> import os\n>>> open('/tmp/lull-example.txt', 'w').close()\n>>> os.remove('/tmp/lull-example.txt')\n>>> os.path.exists('/tmp/lull-example.txt')\nFalse"
        ]
      ) { (a) throws(LullError) in
        let p = try path(a[0])
        return try check(unlink(p), p)
      },
      Builtin(
        "rmdir", "rmdir(path, /)", chapter: "os", doc: "Delete an empty directory.",
        examples: [
          ">>> import os, tempfile\n>>> d = tempfile.mkdtemp()\n>>> os.rmdir(d)\n>>> os.path.exists(d)\nFalse"
        ]
      ) { (a) throws(LullError) in
        let p = try path(a[0])
        return try check(rmdir(p), p)
      },
      Builtin(
        "rename", "rename(src, dst, /)", chapter: "os", doc: "Rename.",
        examples: [
          ">>> import os, tempfile\n>>> with tempfile.TemporaryDirectory() as d:\n...     os.mkdir(os.path.join(d, 'a'))\n...     os.rename(os.path.join(d, 'a'), os.path.join(d, 'b'))\n...     print(os.listdir(d))\n['b']"
        ]
      ) { (a) throws(LullError) in
        let p = try path(a[0])
        return try check(rename(p, try path(a[1])), p)
      },
      Builtin(
        "symlink", "symlink(src, dst, /)", chapter: "os", doc: "Make a symbolic link dst to src.",
        examples: [
          ">>> import os, tempfile\n>>> with tempfile.TemporaryDirectory() as d:\n...     os.symlink('a', os.path.join(d, 'b'))\n...     print(os.readlink(os.path.join(d, 'b')))\na"
        ]
      ) { (a) throws(LullError) in
        let p = try path(a[0])
        return try check(symlink(p, try path(a[1])), p)
      },
      Builtin(
        "link", "link(src, dst, /)", chapter: "os", doc: "Make a second name dst of the file src.",
        examples: [
          ">>> import os, tempfile\n>>> with tempfile.TemporaryDirectory() as d:\n...     a, b = os.path.join(d, 'a'), os.path.join(d, 'b')\n...     open(a, 'w').close()\n...     os.link(a, b)\n...     print(os.path.samefile(a, b))\nTrue"
        ]
      ) { (a) throws(LullError) in
        let p = try path(a[0])
        return try check(link(p, try path(a[1])), p)
      },
      Builtin(
        "readlink", "readlink(path, /)", chapter: "os", doc: "What a symbolic link names.",
        examples: [
          ">>> import os, tempfile\n>>> with tempfile.TemporaryDirectory() as d:\n...     os.symlink('a', os.path.join(d, 'b'))\n...     print(os.readlink(os.path.join(d, 'b')))\na"
        ]
      ) { (a) throws(LullError) in
        let p = try path(a[0])
        var room = [CChar](repeating: 0, count: 4096)
        let n = readlink(p, &room, room.count)
        if n < 0 { throw osError(errno, p) }
        return makeStr(String(decoding: room[..<n].map { UInt8(bitPattern: $0) }, as: UTF8.self))
      },
      Builtin(
        "chmod", "chmod(path, mode, /)", chapter: "os", doc: "Change the permissions of a file.",
        examples: [
          ">>> import os\n>>> open('/tmp/lull-example.txt', 'w').close()\n>>> os.chmod('/tmp/lull-example.txt', 0o600)\n>>> oct(os.stat('/tmp/lull-example.txt').st_mode & 0o777)\n'0o600'"
        ]
      ) { (a) throws(LullError) in
        let p = try path(a[0])
        return try check(chmod(p, mode_t(truncatingIfNeeded: try a.int(1))), p)
      },
      Builtin(
        "access", "access(path, mode, /)", chapter: "os",
        doc: "Whether the file can be read (R_OK), written (W_OK), run (X_OK) or is there (F_OK).",
        examples: [
          ">>> import os\n>>> os.access('/tmp', os.R_OK), os.access('/no/such', os.F_OK)\n(True, False)"
        ]
      ) { (a) throws(LullError) in
        Value(access(try path(a[0]), Int32(truncatingIfNeeded: try a.int(1))) == 0)
      },
      // os.stat's fields, times in nanoseconds.
      Builtin(
        "_stat", "_stat(path, follow, /)", chapter: "os", doc: "The numbers of a file.",
        examples: []
      ) { (a) throws(LullError) in
        let p = try path(a[0])
        var s = stat()
        if (try truth(a[1]) ? stat(p, &s) : lstat(p, &s)) != 0 { throw osError(errno, p) }
        func nanoseconds(_ t: timespec) -> Int { t.tv_sec &* 1_000_000_000 &+ t.tv_nsec }
        let fields: [Int] = [
          Int(s.st_mode), Int(bitPattern: UInt(s.st_ino)), Int(bitPattern: UInt(s.st_dev)),
          Int(s.st_nlink), Int(s.st_uid), Int(s.st_gid), Int(s.st_size), nanoseconds(s.st_atim),
          nanoseconds(s.st_mtim), nanoseconds(s.st_ctim), Int(s.st_blksize), Int(s.st_blocks),
        ]
        return makeTuple(fields.map { Value($0) })
      },
      Builtin(
        "getpid", "getpid()", chapter: "os", doc: "The process id.",
        examples: [">>> import os\n>>> os.getpid() > 0\nTrue"]
      ) { (_) throws(LullError) in Value(Int(getpid())) },
      Builtin(
        "uname", "uname()", chapter: "os",
        doc: "Names of the system: sysname, nodename, release, version, machine.",
        examples: [">>> import os\n>>> os.uname()[0]\n'Linux'"]
      ) { (_) throws(LullError) in
        var u = utsname()
        uname(&u)
        func text<T>(_ field: T) -> Value {
          withUnsafeBytes(of: field) {
            makeStr(String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self))
          }
        }
        return unameType.make(
          Uname(fields: [
            ("sysname", text(u.sysname)), ("nodename", text(u.nodename)),
            ("release", text(u.release)),
            ("version", text(u.version)), ("machine", text(u.machine)),
          ]))
      },
      Builtin(
        "cpu_count", "cpu_count()", chapter: "os", doc: "The number of processors.",
        examples: [">>> import os\n>>> os.cpu_count() > 0\nTrue"]
      ) { (_) throws(LullError) in
        Value(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
      },
    ],
    values: [("environ", environment)])
}

func registerSystemModules() {
  ModuleRegistry.add("posix") { () throws(LullError) in osModule() }
  ModuleRegistry.add("_posixpath") { () throws(LullError) in pathModule() }
}
