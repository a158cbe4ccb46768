// Bytecode.
//
// One instruction is 16 bytes:
//
//   | op (UInt8) | temporaries (UInt8) | a (UInt16) | b (UInt16) | c (UInt16) | x (Int32) | y (UInt32) |
//
// a, b, c name registers unless the table below says otherwise; `x` is a relative jump (from the
// next instruction), an immediate integer or a constant's index; x and y also hold inline caches,
// which the machine rewrites in place.
//
// Registers of a frame: arguments and locals, then hidden locals (iterators and the like), together
// `localCount`; then temporaries. An instruction that reads a temporary consumes it (releases it
// when it is done, or moves it); locals are only borrowed. So nothing outlives its last use except
// through a variable.

enum Op: UInt8 {
  case loadConst  // a = constants[b]
  case loadInt  // a = x
  case move  // a = b (checked)
  case clear  // a = undefined
  case checkLocal  // error if a is unassigned
  case deleteLocal
  case loadGlobal  // a, c = name constant; cache: x entry index, y version
  case loadGlobalCached, loadBuiltinCached
  case storeGlobal  // a = value, c = name
  case deleteGlobal
  case loadName, storeName, deleteName  // class bodies
  case makeCell  // a: wrap the register's value into a cell
  case loadCell, storeCell, deleteCell  // a = value, b = cell register, c = name
  case loadFree, storeFree, deleteFree  // a = value, b = index in the closure, c = name
  case loadClassFree  // a, b = index, c = name: class namespace first
  case add, subtract, multiply, matmul, divide, floorDivide, modulo, power
  case leftShift, rightShift, bitAnd, bitOr, bitXor  // x: 1 in the in-place form, from matmul on
  case addImm, subtractImm, multiplyImm, floorDivideImm, moduloImm  // c unused, x immediate
  case inplaceAdd, inplaceSubtract, inplaceMultiply
  case inplaceAddImm, inplaceSubtractImm
  case equal, notEqual, less, lessEqual, greater, greaterEqual
  case isSame, isNotSame, contains, notContains
  case jump, jumpTrue, jumpFalse  // a consumed, x target
  case jumpTrueKeep, jumpFalseKeep  // a kept when jumping, else consumed
  // Fused: compare a with b (or the immediate y); jump x when the result is c.
  case jumpEqual, jumpNotEqual, jumpLess, jumpLessEqual, jumpGreater, jumpGreaterEqual
  case jumpEqualImm, jumpNotEqualImm, jumpLessImm, jumpLessEqualImm, jumpGreaterImm
  case jumpGreaterEqualImm
  case jumpIs, jumpIsNot
  case not, negate, plus, invert
  case makeList, makeTuple, makeSet, makeDict, makeString  // a, b first, c count (x: of a dict)
  case makeSlice  // a, b first of three
  case listAppend, listExtend, setAdd, setUpdate  // a container (kept), b value
  case dictSet  // a dict, b key, c value
  case dictUpdate, dictMerge  // a dict, b mapping
  case listToTuple  // a = tuple(b)
  case getAttr  // a, b object, c name; cache
  case setAttr  // a object, b value, c name; cache
  case deleteAttr
  case getItem, setItem, deleteItem  // a = b[c]; a[b] = c; del a[b]
  case getItemImm, setItemImm  // a = b[x]; a[x] = c
  case call  // a = result, b base (callee, then arguments), c argument count
  case callKeywords  // + x = constant with the tuple of names
  case callUnpacked  // a, b list of positionals, c dict of keywords, x callee register
  case loadMethod  // a base: a+1 holds the object; c name; cache
  case callMethod  // a = result, b base, c argument count, self included
  case `return`  // a
  case yield  // a = sent, b value
  case yieldFrom  // a = result, b hidden iterator register
  case getIter  // a = iter(b)
  case forIter  // a = next(b): jump x while there is one
  case unpack  // a first, b source, c count
  case unpackPair  // a and x: two locals, b source
  case unpackStar  // a first, b source, x before, y after
  case raise  // a exception, b cause or none (0xFFFF)
  case reraise  // a exception register, or the handled one (0xFFFF)
  case pushHandled  // a = saved, b exception
  case popHandled  // a saved
  case matchException  // a = bool, b exception, c type
  case assertFail  // a message or 0xFFFF
  case withEnter  // a = result of enter, b = exit (hidden), c = manager
  case withExit  // a = suppress?, b = exit, c = exception or 0xFFFF
  case format  // a, b value, c spec or 0xFFFF, x conversion
  // a, b code constant, c defaults tuple or 0xFFFF, x keyword defaults or -1, y annotations + 1 or 0
  case makeFunction
  case makeClass  // a, b code constant, c first base, x base count
  case loadSuper  // a, b class cell (free index), c self register, x: 1 self is in a cell
  case importName  // a, c name constant, x level, y: 1 = bind the top package
  case importFrom  // a, b module, c name
  case importStar  // b module
  case nop
  case leaveLoop  // the machine's frame goes on in machine code
}

struct Instruction {
  var op: Op
  /// Which operands are temporaries: 1 a, 2 b, 4 c.
  var temporaries: UInt8 = 0
  var a: UInt16
  var b: UInt16
  var c: UInt16
  var x: Int32
  var y: UInt32
}

let noRegister: UInt16 = 0xFFFF

/// A range of instructions whose exceptions go to `handler`.
struct ExceptionRange {
  var start: Int
  var end: Int
  var handler: Int
  /// Where the handler finds the exception.
  var register: UInt16
  var depth: Int
}

/// Where a closure's cell comes from when the function is made.
enum CellSource {
  case register(UInt16)
  case free(Int)
}

/// What a call needs to know of a code, in raw memory: reading it takes no count and no call.
struct CodeHead {
  var instructions: UnsafeMutablePointer<Instruction>
  /// The constants, then the borrowed method values of inline caches (`loadMethod`).
  var constants: UnsafeMutablePointer<Value>
  /// The number of positional parameters when a call with exactly that many needs no binding, else -1.
  var exactCount: Int
  var registerCount: Int
  var localCount: Int
  /// The bytes from a frame's registers to its `top`.
  var windowBytes: Int
  var code: Unmanaged<Code>
  /// The ranges of instructions whose exceptions have a handler.
  var ranges: UnsafeMutableBufferPointer<ExceptionRange>
  /// Calls and turns of loops until the code is translated (MachineCode/Translation.swift).
  var heat: Int32
  /// Machine code: where a call enters, and where each instruction begins; nil without.
  var entry: UnsafeRawPointer? = nil
  var table: UnsafeMutablePointer<UnsafeRawPointer>? = nil
}

/// The compiled form of one function, class body, comprehension or module.
final class Code {
  let name: String
  let qualname: String
  let source: SourceText
  let head: UnsafeMutablePointer<CodeHead>
  var instructions: UnsafeMutablePointer<Instruction> { head.pointee.instructions }
  var constants: UnsafeMutablePointer<Value> { head.pointee.constants }
  var count: Int
  var constantCount: Int
  var spans: [Span]
  var operands: [Int: (Span, Span)]
  var localCount: Int { head.pointee.localCount }
  var registerCount: Int { head.pointee.registerCount }
  var localNames: [String] = []
  var freeNames: [String] = []
  var cellSources: [CellSource] = []
  var docstring: String?
  // Parameters lie in the first registers: positional, keyword-only, *rest, **keywords.
  var positionalOnly = 0
  var positionalCount = 0
  var keywordOnlyCount = 0
  var hasRest = false
  var hasKeywords = false
  var parameterNames: [StrPtr] = []
  var isGenerator = false
  /// Called with exactly `positionalCount` arguments, needs no binding. Set after that.
  var isSimple = false {
    didSet { head.pointee.exactCount = isSimple ? positionalCount : -1 }
  }
  /// Shared functions' line numbers: the span of the definition.
  var span = Span(0, 0)
  var id: UInt32

  /// `name` and `qualname` as strs for the functions made of this; owned.
  let nameValue: Value
  let qualnameValue: Value

  init(
    name: String, qualname: String, source: SourceText, instructions list: [Instruction],
    constants values: [Value], cacheCount: Int, localCount: Int, registerCount: Int,
    spans: [Span], operands: [Int: (Span, Span)], ranges: [ExceptionRange]
  ) {
    self.name = name
    self.qualname = qualname
    nameValue = interned(name).retained()
    qualnameValue = name == qualname ? nameValue.retained() : makeStr(qualname)
    self.source = source
    let instructions = UnsafeMutablePointer<Instruction>.allocate(capacity: max(list.count, 1))
    for (i, x) in list.enumerated() {
      (instructions + i).initialize(to: x)
      // Both numbers are below 0x7FFF.
      if x.op == .loadMethod { instructions[i].b = x.b + UInt16(values.count) }
    }
    count = list.count
    let constants = UnsafeMutablePointer<Value>.allocate(
      capacity: max(values.count + cacheCount, 1))
    for (i, v) in values.enumerated() { (constants + i).initialize(to: v) }
    (constants + values.count).initialize(repeating: .undefined, count: cacheCount)
    constantCount = values.count
    head = .allocate(capacity: 1)
    self.spans = spans
    self.operands = operands
    let places = UnsafeMutableBufferPointer<ExceptionRange>.allocate(capacity: ranges.count)
    _ = places.initialize(from: ranges)
    id = UInt32(truncatingIfNeeded: codeTable.count)
    head.initialize(
      to: CodeHead(
        instructions: instructions, constants: constants, exactCount: -1,
        registerCount: registerCount, localCount: localCount,
        windowBytes: (registerCount + windowSlack) * 16, code: Unmanaged.passUnretained(self),
        ranges: places, heat: heatOfCode))
    codeTable.append(Unmanaged.passUnretained(self))
  }

  deinit {
    for i in 0..<constantCount { constants[i].release() }
    nameValue.release()
    qualnameValue.release()
    codeTable[Int(id)] = nil
    forgetMachineCode(head)
    head.pointee.ranges.deallocate()
    instructions.deallocate()
    constants.deallocate()
    head.deallocate()
  }

  var parameterCount: Int {
    positionalCount + keywordOnlyCount + (hasRest ? 1 : 0) + (hasKeywords ? 1 : 0)
  }
}

/// All living code objects by id, so that a source position packs into 64 bits.
@exclusivity(unchecked) nonisolated(unsafe) var codeTable: [Unmanaged<Code>?] = []
