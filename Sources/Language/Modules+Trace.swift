// What `traceback` and `sys.exc_info` read: the text of an exception and the one being handled.

private func exception(_ a: Args, _ i: Int) throws(LullError) -> Value {
  let v = a[i]
  guard v.tag == .exception else {
    throw LullError.typeError("expected an exception, got \(typeName(v))")
  }
  return v
}

/// `sys.exc_info()`: (class, exception, traceback) of the exception being handled; owned.
func handledException() -> Value {
  let handled = vm.pointee.handled
  guard handled.tag == .exception else { return makeTuple([.none, .none, .none]) }
  return makeTuple([Value(handled.type).retained(), handled.retained(), tracebackValue(handled)])
}

func traceModule() -> NativeModule {
  NativeModule(builtins: [
    Builtin(
      "format", "format(error, hidden='', /)", chapter: "traceback",
      doc: "The text that an uncaught exception prints, without the frames of one file."
    ) { (a) throws(LullError) in
      let e = wrap(try exception(a, 0))
      let hidden = try a.string(1)
      let shown = e.unwound.filter { $0.source.file != hidden }
      return makeStr(renderTraceback(e, shown.reversed()))
    },
    Builtin(
      "frames", "frames(error, /)", chapter: "traceback",
      doc: "(file, line, function, text) of each frame, outermost first."
    ) { (a) throws(LullError) in
      let entries = try exception(a, 0).exceptionBody.pointee.traceback.reversed()
      return makeList(
        entries.map { f in
          let text = f.source.lineText(f.line)
          return makeTuple([
            makeStr(f.source.file), Value(f.line), makeStr(f.function),
            makeStr(String(text.drop { $0 == " " || $0 == "\t" })),
          ])
        })
    },
  ])
}

// MARK: - Traceback objects

@exclusivity(unchecked) nonisolated(unsafe) private var traceTypes: [String: TypePtr] = [:]

private func record(_ type: String, _ fields: [(String, Value)]) -> Value {
  let t: TypePtr
  if let known = traceTypes[type] {
    t = known
  } else {
    t = makeType(type, base: core.pointee.object, kind: .instance)
    t.pointee.h.count = immortal
    traceTypes[type] = t
  }
  let v = makeInstance(t)
  for (name, value) in fields { v.instance.addSlot(internedPointer(name), value) }
  return v
}

/// `__traceback__` (owned): a chain of entries, outermost first, made anew each time.
func tracebackValue(_ e: Value) -> Value {
  var next = Value.none
  for entry in e.exceptionBody.pointee.traceback {
    let code = record(
      "code", [("co_name", makeStr(entry.function)), ("co_filename", makeStr(entry.source.file))])
    let frame = record("frame", [("f_code", code), ("f_lineno", Value(entry.line))])
    let text = entry.source.lineText(entry.line).drop { $0 == " " || $0 == "\t" }
    next = record(
      "traceback",
      [
        ("tb_frame", frame), ("tb_lineno", Value(entry.line)), ("tb_next", next),
        // Not in CPython, which reads the file again: a cell has none.
        ("tb_line", makeStr(String(text))),
      ])
  }
  return next
}
