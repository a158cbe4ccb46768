// display, update_display and clear_output, as in IPython.display.
//
// They are in the prelude, and in the module `_display`, from which stdlib/IPython/display.lull takes them.
// A displayed object may say more of itself than `display(of:)` asks for: `_repr_mimebundle_` gives all
// forms at once, with metadata; `_ipython_display_` shows the object itself.

import Formats
import Language
import Library

/// What `display` returns for an id: the way to replace what it showed.
private final class DisplayHandle {
  let id: String
  init(id: String) { self.id = id }
}

private let handleType = NativeType(
  "DisplayHandle", module: "IPython.display",
  doc: "What display(..., display_id=True) returns: update(object) replaces what was shown.")

nonisolated(unsafe) private var handleIsRegistered = false

extension Session {
  var displayFunctions: [Builtin] {
    [
      Builtin(
        "display",
        "display(*objects, include=None, exclude=None, metadata=None, transient=None, display_id=None, raw=False, clear=False)",
        chapter: "session",
        doc:
          "Show values as a cell shows its last value; with display_id (True or a name) a handle that updates them.",
        examples: [">>> display([1, 2])\n[1, 2]"]
      ) { [unowned self] (a) throws(LullError) in
        if try a.bool("clear") { self.onOutput(.clear(wait: true)) }
        let given = a["display_id"]
        var id: String?
        if let flag = given.boolValue {
          id = flag ? newDisplayID() : nil
        } else if !given.isNone {
          id = try displayID(given)
        }
        for value in a.rest(0) { try self.show(value, a, id: id, isUpdate: false) }
        return id.map { self.handle(for: $0) } ?? .none
      },
      Builtin(
        "update_display",
        "update_display(obj, *, display_id, include=None, exclude=None, metadata=None, transient=None, raw=False)",
        chapter: "session", doc: "Replace what was displayed under an id.",
        examples: [">>> update_display('step 2 of 3', display_id='progress')"]
      ) { [unowned self] (a) throws(LullError) in
        try self.show(a[0], a, id: try displayID(a["display_id"]), isUpdate: true)
        return .none
      },
      Builtin(
        "clear_output", "clear_output(wait=False)", chapter: "session",
        doc: "Take away the outputs of the cell; with wait when the next one comes.",
        examples: [">>> clear_output(wait=True)"]
      ) { [unowned self] (a) throws(LullError) in
        self.onOutput(.clear(wait: try a.bool(0)))
        return .none
      },
    ]
  }

  /// What stdlib/IPython/display.lull and stdlib/lull/_terminal.lull need of the session.
  func displayModule() -> NativeModule {
    registerHandle()
    return NativeModule(
      builtins: displayFunctions + [
        Builtin(
          "overwrites_lines", "overwrites_lines()", chapter: "session",
          doc:
            "Whether a line can be written over after a carriage return, though there is no terminal."
        ) { [unowned self] (_) in Value(self.overwritesLines) },
        Builtin(
          "base64", "base64(data, /)", chapter: "session", doc: "Bytes as base64 on one line."
        ) { (a) throws(LullError) in
          guard let bytes = a[0].byteArray else { throw a.wrong(0, "bytes") }
          return strValue(base64(bytes))
        },
      ], values: [("DisplayHandle", handleType.value.retain())])
  }

  private func handle(for id: String) -> Value {
    registerHandle()
    return handleType.make(DisplayHandle(id: id))
  }

  private func registerHandle() {
    if handleIsRegistered { return }
    handleIsRegistered = true
    handleType.constructor = Builtin("DisplayHandle", "DisplayHandle(display_id=None)") {
      (a) throws(LullError) in
      handleType.make(
        DisplayHandle(id: a.isNone(0) ? newDisplayID() : try displayID(a[0])))
    }
    handleType.properties = [
      NativeProperty("display_id", doc: "The id under which it was displayed.") {
        (v) throws(LullError) in
        strValue(try handleID(v))
      }
    ]
    let options = "include=None, exclude=None, metadata=None, transient=None, raw=False"
    handleType.methods = [
      Builtin(
        "update", "update(self, obj, *, \(options))", doc: "Replace what was displayed.",
        examples: [
          ">>> from IPython.display import DisplayHandle\n>>> DisplayHandle('progress').update('step 2 of 3')"
        ]
      ) {
        [unowned self] (a) throws(LullError) in
        try self.show(a[1], a, id: try handleID(a[0]), isUpdate: true)
        return .none
      },
      Builtin(
        "display", "display(self, obj, *, \(options))", doc: "Display once more.",
        examples: [
          ">>> from IPython.display import DisplayHandle\n>>> DisplayHandle('steps').display('step 1')\n'step 1'"
        ]
      ) {
        [unowned self] (a) throws(LullError) in
        try self.show(a[1], a, id: try handleID(a[0]), isUpdate: false)
        return .none
      },
    ]
    handleType.repr = { (v) throws(LullError) in "<DisplayHandle display_id=\(try handleID(v))>" }
    handleType.register()
  }

  // MARK: - Bundles

  private func show(_ value: Value, _ a: Args, id: String?, isUpdate: Bool) throws(LullError) {
    let isRaw = try a.bool("raw")
    if !isRaw, id == nil, try showsItself(value) { return }
    var bundle = isRaw ? try rawBundle(value) : try bundle(of: value)
    let included = try types(a["include"])
    let excluded = try types(a["exclude"])
    bundle.entries.removeAll { entry in
      included?.contains(entry.type) == false || excluded?.contains(entry.type) == true
    }
    if !a["metadata"].isNone {
      for (key, value) in try object(a["metadata"], "metadata") { bundle.metadata[key] = value }
    }
    bundle.displayID = id
    onOutput(isUpdate ? .update(bundle) : .display(bundle))
  }

  private func showsItself(_ value: Value) throws(LullError) -> Bool {
    guard value.nativeObject() == nil, value.typeNameText != "type",
      let method = try attributeOrNil(value, "_ipython_display_")
    else { return false }
    defer { method.drop() }
    guard method.isCallable else { return false }
    try callValue(method, []).drop()
    return true
  }

  /// All forms of a value and what is to be known of them.
  func bundle(of value: Value) throws(LullError) -> MimeBundle {
    var bundle = try display(of: value)
    guard value.nativeObject() == nil, value.typeNameText != "type" else { return bundle }
    let names = attributeNames(value)
    let more = [
      ("_repr_json_", "application/json"), ("_repr_jpeg_", "image/jpeg"),
      ("_repr_pdf_", "application/pdf"), ("_repr_javascript_", "application/javascript"),
    ]
    for (name, type) in more where names.contains(name) {
      if bundle.entries.contains(where: { $0.type == type }) { continue }
      let method = try attribute(value, name)
      defer { method.drop() }
      let made = try callValue(method, [])
      defer { made.drop() }
      if !made.isNone { bundle.entries.append((type, try content(made, type))) }
    }
    guard names.contains("_repr_mimebundle_") else { return bundle }
    let method = try attribute(value, "_repr_mimebundle_")
    defer { method.drop() }
    let made = try callValue(method, [], keywords: [("include", .none), ("exclude", .none)])
    defer { made.drop() }
    var data = made
    if made.isTuple, made.elements.count == 2 {
      data = made.elements[0]
      bundle.metadata = try object(made.elements[1], "metadata")
    }
    if data.isNone { return bundle }
    for (type, content) in try rawBundle(data).entries {
      if let place = bundle.entries.firstIndex(where: { $0.type == type }) {
        bundle.entries[place].content = content
      } else {
        bundle.entries.append((type, content))
      }
    }
    return bundle
  }

  private func rawBundle(_ value: Value) throws(LullError) -> MimeBundle {
    guard value.isDict else {
      throw LullError.typeError(
        "a bundle is a dict of MIME types and contents, not \(value.typeNameText)")
    }
    var bundle = MimeBundle(plain: "")
    bundle.entries = []
    for (key, item) in dictItems(value) {
      guard let type = key.stringValue else {
        throw LullError.typeError("a MIME type must be a str, not \(key.typeNameText)")
      }
      if !item.isNone { bundle.entries.append((type, try content(item, type))) }
    }
    return bundle
  }

  private func content(_ value: Value, _ type: String) throws(LullError) -> String {
    let isJSON =
      type == "application/json" || (type.hasPrefix("application/") && type.hasSuffix("+json"))
    if isJSON {
      // Text is JSON already, as a notebook's file has it.
      if let text = value.stringValue { return text }
      let made = try json(value)
      try checkFinite(made)
      return made.serialized()
    }
    if let text = value.stringValue { return text }
    if let bytes = value.byteArray { return base64(bytes) }
    throw LullError.typeError(
      "the content of \(type) must be str or bytes, not \(value.typeNameText)")
  }

  private func types(_ value: Value) throws(LullError) -> Set<String>? {
    if value.isNone { return nil }
    if let one = value.stringValue { return [one] }
    let items = try collect(value)
    defer { for item in items { item.drop() } }
    return Set(items.compactMap(\.stringValue))
  }

  private func object(_ value: Value, _ what: String) throws(LullError) -> JSONObject {
    guard case .object(let object) = try json(value) else {
      throw LullError.typeError("\(what) must be a dict, not \(value.typeNameText)")
    }
    try checkFinite(.object(object))
    return object
  }
}

/// JSON has no NaN and no infinity; front ends would refuse the whole message.
private func checkFinite(_ value: JSON) throws(LullError) {
  switch value {
  case .double(let number) where !number.isFinite:
    let name = number.isNaN ? "nan" : number < 0 ? "-inf" : "inf"
    throw LullError.valueError("\(name) has no JSON form: JSON has finite numbers only")
  case .array(let items): for item in items { try checkFinite(item) }
  case .object(let object): for item in object.values { try checkFinite(item) }
  default: break
  }
}

private func displayID(_ value: Value) throws(LullError) -> String {
  guard let id = value.stringValue, !id.isEmpty else {
    throw LullError.typeError("display_id must be a name (or True), not \(try reprText(value))")
  }
  return id
}

private func handleID(_ value: Value) throws(LullError) -> String {
  guard let handle = value.native(DisplayHandle.self) else {
    throw LullError.typeError("expected a DisplayHandle, not \(value.typeNameText)")
  }
  return handle.id
}

/// 32 hex digits.
private func newDisplayID() -> String {
  var generator = SystemRandomNumberGenerator()
  return (0..<2).map { _ in
    let digits = String(generator.next() as UInt64, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }.joined()
}
