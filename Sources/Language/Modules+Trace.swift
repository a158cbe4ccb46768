// What `traceback` and `sys.exc_info` read: the text of an exception and the one being handled.

private func exception(_ a: Args, _ i: Int) throws(LullError) -> Value {
  let v = a[i]
  guard v.tag == .exception else {
    throw LullError.typeError("expected an exception, got \(typeName(v))")
  }
  return v
}

/// `sys.exc_info()`: (class, exception, None) of the exception being handled; owned.
func handledException() -> Value {
  let handled = vm.pointee.handled
  guard handled.tag == .exception else { return makeTuple([.none, .none, .none]) }
  return makeTuple([Value(handled.type).retained(), handled.retained(), .none])
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
