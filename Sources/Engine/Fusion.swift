// From a group of elementwise nodes (and perhaps a reduction of theirs) to one kernel.
//
// The group's nodes, in topological order, become one SSA program (vm.h): inputs are loaded at
// their first use, values get tile registers by a linear scan, and the space that the program
// walks has as few dimensions as the inputs' strides allow. Arrays with one value become
// constants, filled once. The arrays of this file are scratch that is kept between kernels.

import Kernels

struct Fusion {
  private struct Value {
    var op: UInt8
    var type: UInt8
    var a: Int32, b: Int32, c: Int32
    var lastUse: Int32
    var register: Int32
    var isPinned: Bool
    /// A product of a compiled function.
    var mayContract = false
    /// Neither a result nor an operand of what comes later; known once the last uses are.
    var isUnused: Bool { lastUse < 0 && !isPinned && op != UInt8(lullLoad) }
  }

  nonisolated(unsafe) private static var values = Pile<Value>()
  nonisolated(unsafe) private static var inputs = Pile<LullInput>()
  nonisolated(unsafe) private static var inputNodes = Pile<Unmanaged<NDArray>>()
  nonisolated(unsafe) private static var outputs = Pile<LullOutput>()
  nonisolated(unsafe) private static var code = Pile<LullInstruction>()
  nonisolated(unsafe) private static var freeRegisters = Pile<Int32>()
  nonisolated(unsafe) private static var freeLoads = Pile<Int32>()
  nonisolated(unsafe) private static var mark: UInt32 = 0
  nonisolated(unsafe) static var launches = Launches()

  // MARK: Emitting

  private static func emit(
    _ op: Int, _ type: Int, _ a: Int32, _ b: Int32 = -1, _ c: Int32 = -1
  ) -> Int32 {
    values.append(
      Value(
        op: UInt8(op), type: UInt8(type), a: a, b: b, c: c, lastUse: -1, register: -1,
        isPinned: false))
    return Int32(values.count - 1)
  }

  @inline(__always) static func computeType(_ dtype: DType) -> Int {
    switch dtype {
    case .bool, .uint8, .uint16, .int8, .int16, .int32: lullI32
    case .uint32: lullU32
    case .uint64: lullU64
    case .int64: lullI64
    case .float16, .bfloat16, .float32: lullF32
    case .float64: lullF64
    case .complex64: lullC64
    case .complex128: lullC128
    }
  }

  /// Brings a computed value back into the range (or precision) of a small dtype.
  private static func normalized(_ value: Int32, _ dtype: DType) -> Int32 {
    switch dtype {
    case .bool: emit(lullNotZero, lullI32, value)
    case .uint8: emit(lullWrapU8, lullI32, value)
    case .uint16: emit(lullWrapU16, lullI32, value)
    case .int8: emit(lullWrapI8, lullI32, value)
    case .int16: emit(lullWrapI16, lullI32, value)
    case .float16: emit(lullRoundF16, lullF32, value)
    case .bfloat16: emit(lullRoundBF16, lullF32, value)
    default: value
    }
  }

  private static func cast(_ value: Int32, from: DType, to: DType) -> Int32 {
    let (s, t) = (computeType(from), computeType(to))
    if to == .bool { return emit(lullNotZero, s, value) }
    if s == t {
      if from == .bool || from == to { return value }
      switch to {
      case .int32, .float32: return value
      case .int16 where from == .uint8 || from == .int8: return value
      case .uint16 where from == .uint8: return value
      default: return normalized(value, to)
      }
    }
    return normalized(emit(lullCastF32 + t, s, value), to)
  }

  /// The value of a node that is computed elsewhere: a load or a constant.
  private static func load(_ node: NDArray) -> Int32 {
    if node.slotMark == mark { return node.slot }
    node.slotMark = mark
    inputNodes.append(Unmanaged.passUnretained(node))
    node.slot = emit(lullLoad, computeType(node.dtype), Int32(inputNodes.count - 1))
    return node.slot
  }

  @inline(__always) private static func operand(_ node: NDArray) -> Int32 {
    node.slotMark == mark ? node.slot : load(node)
  }
  @inline(__always) private static func operand(_ node: NDArray, _ i: Int) -> Int32 {
    node.reference(i)._withUnsafeGuaranteedRef { operand($0) }
  }

  /// a + b or a - b as one instruction, rounded once, where one of them is a product of the same compiled function,
  /// as the peers' compilers do; nil where there is none. A product that nothing else needs is not computed.
  private static func contracted(_ a: Int32, _ b: Int32, isSum: Bool) -> Int32? {
    let (x, y) = (values[Int(a)], values[Int(b)])
    func isProduct(_ v: Value) -> Bool { v.mayContract && v.type == UInt8(lullF32) }
    func second(_ v: Value) -> Int32 { v.b >= 0 ? v.b : v.a }
    if isProduct(x) { return emit(isSum ? lullMulAdd : lullMulSub, lullF32, x.a, second(x), b) }
    if isProduct(y) { return emit(isSum ? lullMulAdd : lullNegMulAdd, lullF32, y.a, second(y), a) }
    return nil
  }

  private static func compute(_ node: NDArray) -> Int32 {
    let from = node.reference(0)._withUnsafeGuaranteedRef { $0.dtype }
    let type = computeType(from)
    let a = operand(node, 0)
    func one(_ op: Int) -> Int32 { emit(op, type, a) }
    func two(_ op: Int) -> Int32 { emit(op, type, a, operand(node, 1)) }
    let value: Int32
    switch node.op {
    case .none, .copy, .stopGradient: return a
    case .cast: return cast(a, from: from, to: node.dtype)
    case .select:
      return emit(
        lullSelect, computeType(node.dtype), a, operand(node, 1), operand(node, 2))
    case .negative: value = one(lullNeg)
    case .abs: value = one(lullAbs)
    case .sign: value = one(lullSign)
    case .square:
      value = one(lullSquare)
      values[Int(value)].mayContract = node.call != 0
    case .sqrt: value = one(lullSqrt)
    case .rsqrt: value = one(lullRsqrt)
    case .reciprocal: value = one(lullRecip)
    case .exp: value = one(lullExp)
    case .expm1: value = one(lullExpm1)
    case .log: value = one(lullLog)
    case .log2: value = one(lullLog2)
    case .log10: value = one(lullLog10)
    case .log1p: value = one(lullLog1p)
    case .sin: value = one(lullSin)
    case .cos: value = one(lullCos)
    case .tan: value = one(lullTan)
    case .arcsin: value = one(lullAsin)
    case .arccos: value = one(lullAcos)
    case .arctan: value = one(lullAtan)
    case .sinh: value = one(lullSinh)
    case .cosh: value = one(lullCosh)
    case .tanh: value = one(lullTanh)
    case .arcsinh: value = one(lullAsinh)
    case .arccosh: value = one(lullAcosh)
    case .arctanh: value = one(lullAtanh)
    case .sigmoid: value = one(lullSigmoid)
    case .erf: value = one(lullErf)
    case .erfinv: value = one(lullErfInv)
    case .floor: value = one(lullFloor)
    case .ceil: value = one(lullCeil)
    case .rint: value = one(lullRint)
    case .trunc: value = one(lullTrunc)
    case .logicalNot: return one(lullIsZero)
    case .invert: value = from == .bool ? one(lullIsZero) : one(lullInvert)
    case .isnan: return from.isInexact ? one(lullIsNan) : emit(lullNe, type, a, a)
    case .isinf: return from.isInexact ? one(lullIsInf) : emit(lullNe, type, a, a)
    case .isposinf: return from.isInexact ? one(lullIsPosInf) : emit(lullNe, type, a, a)
    case .isneginf: return from.isInexact ? one(lullIsNegInf) : emit(lullNe, type, a, a)
    case .isfinite: return from.isInexact ? one(lullIsFinite) : emit(lullEq, type, a, a)
    case .real: return one(lullCastF32 + computeType(node.dtype))
    case .imag: return one(lullImag)
    case .conjugate: return one(lullConj)
    case .add, .subtract:
      let b = operand(node, 1), isSum = node.op == .add
      value =
        (node.call != 0 ? contracted(a, b, isSum: isSum) : nil)
        ?? emit(isSum ? lullAdd : lullSub, type, a, b)
    case .multiply:
      value = two(lullMul)
      values[Int(value)].mayContract = node.call != 0
    case .divide: value = two(lullDiv)
    case .floorDivide:
      if node.dtype == .float16 || node.dtype == .bfloat16 {
        return emit(lullFloor, type, normalized(two(lullDiv), node.dtype))
      }
      value = two(lullFloorDiv)
    case .remainder: value = two(lullRem)
    case .power:
      switch wholeExponent(node) {
      case 1: value = a
      case 2: value = one(lullSquare)
      case 3: value = emit(lullMul, type, one(lullSquare), a)
      default: value = two(lullPow)
      }
    case .maximum: value = two(lullMax)
    case .minimum: value = two(lullMin)
    case .arctan2: value = two(lullAtan2)
    case .logaddexp: value = two(lullLogAddExp)
    case .equal: return two(lullEq)
    case .notEqual: return two(lullNe)
    case .less: return two(lullLt)
    case .lessEqual: return two(lullLe)
    case .greater: return two(lullGt)
    case .greaterEqual: return two(lullGe)
    case .logicalAnd, .bitwiseAnd: return two(lullAnd)
    case .logicalOr, .bitwiseOr: return two(lullOr)
    case .logicalXor, .bitwiseXor: return two(lullXor)
    case .leftShift: value = two(lullShl)
    case .rightShift: value = two(lullShr)
    }
    if node.op.isExact && (node.dtype == .float16 || node.dtype == .bfloat16) { return value }
    return node.dtype == from ? normalized(value, node.dtype) : value
  }

  /// The exponent of a power where it is one number and 1, 2 or 3: a product is as exact and far
  /// cheaper. nil for any other.
  static func wholeExponent(_ node: NDArray) -> Int? {
    guard let y = node.in1, y.size == 1, y.buffer != nil, !node.dtype.isComplex else {
      return nil
    }
    if launches.isWanted { launches.noteValue(of: y) }
    let value: Double
    switch y.dtype {
    case .float32: value = Double(y.pointer(as: Float.self).pointee)
    case .float64: value = y.pointer(as: Double.self).pointee
    case .int32: value = Double(y.pointer(as: Int32.self).pointee)
    case .int64: value = Double(y.pointer(as: Int64.self).pointee)
    case .float16, .bfloat16:
      var wide: Float = 0
      withUnsafeMutablePointer(to: &wide) { raw in
        lull_convert(
          UnsafeMutableRawPointer(raw).assumingMemoryBound(to: CChar.self),
          Int32(DType.float32.rawValue),
          UnsafePointer(y.pointer(as: CChar.self)), Int32(y.dtype.rawValue), 2, 1)
      }
      value = Double(wide)
    default: return nil
    }
    return value == 1 || value == 2 || value == 3 ? Int(value) : nil
  }

  // MARK: Running

  /// Computes a group. `nodes` are its elementwise members in topological order, `kept` those
  /// of them that get storage, `reduction` the reduction at its root, if any. `epilogue`: the group
  /// follows a product, part by part.
  static func execute(
    _ nodes: [Unmanaged<NDArray>], kept: [NDArray], reduction: NDArray?, epilogue: Epilogue? = nil
  ) throws(ArrayError) {
    let space = reduction?.input(0).shape ?? nodes[0]._withUnsafeGuaranteedRef { $0.shape }
    mark &+= 1
    values.removeAll(keepingCapacity: true)
    inputs.removeAll(keepingCapacity: true)
    outputs.removeAll(keepingCapacity: true)
    code.removeAll(keepingCapacity: true)
    freeRegisters.removeAll(keepingCapacity: true)
    freeLoads.removeAll(keepingCapacity: true)
    defer { inputNodes.removeAll(keepingCapacity: true) }

    var isInPlace = false
    if let epilogue {
      try epilogue.allocate(kept)
    } else if kept.count == 1 && reduction == nil && takesOver(kept[0], nodes) {
      isInPlace = true
      lull_interrupt_shield(1)
    } else {
      for node in kept { try node.allocate() }
    }
    defer { if isInPlace { lull_interrupt_shield(0) } }
    if let reduction { try reduction.allocate() }
    do throws(ArrayError) {
      for reference in nodes {
        reference._withUnsafeGuaranteedRef { node in
          let value = compute(node)
          node.slot = value
          node.slotMark = mark
        }
      }
      try launch(space: space, kept: kept, reduction: reduction, epilogue: epilogue)
      // In memory of an input the kernel was not interrupted.
      if lull_interrupt_stops() != 0 { throw .interrupted }
    } catch {
      for node in kept { node.buffer = nil }
      reduction?.buffer = nil
      throw error
    }
  }

  /// Gives the only result of a group the memory of an input that dies with it: a program reads each element before
  /// it writes it.
  private static func takesOver(_ out: NDArray, _ nodes: [Unmanaged<NDArray>]) -> Bool {
    // Memory for small results costs less than the search.
    if out.isTraced || Evaluator.watch != .nobody || out.size <= 1024 && !launches.isWanted {
      return false
    }
    for reference in nodes {
      let isFound = reference._withUnsafeGuaranteedRef { node in
        for i in 0..<node.inputCount {
          let input = node.reference(i)
          let isCandidate = input._withUnsafeGuaranteedRef {
            $0.buffer != nil && $0.size == out.size && $0.isRowContiguous && $0.size > 1
          }
          if isCandidate, isOnlyIn(nodes, input), out.takeOver(input) { return true }
        }
        return false
      }
      if isFound { return true }
    }
    return false
  }

  /// Whether nobody refers to an array but nodes of the group.
  private static func isOnlyIn(_ nodes: [Unmanaged<NDArray>], _ x: Unmanaged<NDArray>) -> Bool {
    if x._withUnsafeGuaranteedRef({ $0.isKept }) {
      return x._withUnsafeGuaranteedRef { $0.isDying }
    }
    var count: UInt = 0
    for reference in nodes {
      reference._withUnsafeGuaranteedRef { node in
        for i in 0..<node.inputCount where node.reference(i).toOpaque() == x.toOpaque() {
          count += 1
        }
      }
    }
    return Evaluator.references(x) == count
  }

  private static func launch(
    space: Shape, kept: [NDArray], reduction: NDArray?, epilogue: Epilogue?
  ) throws(ArrayError) {
    var reduceValue: Int32 = -1
    var reduceCode = 0
    if let reduction, let primitive = reduction.primitive as? Reduction {
      reduceValue = operand(reduction.input(0))
      let type = computeType(reduction.input(0).dtype)
      reduceCode = Int(primitive.kind.code)
      if primitive.kind == .any || primitive.kind == .all {
        reduceValue = emit(lullNotZero, type, reduceValue)
      } else if primitive.kind == .sum || primitive.kind == .prod {
        // The result type of small integers is wider already; 32-bit ones keep theirs.
        if computeType(reduction.dtype) != type {
          reduceValue = cast(reduceValue, from: reduction.input(0).dtype, to: reduction.dtype)
        }
      }
    }

    // Order of the dimensions: outer kept, reduced, inner kept.
    var order: [Int] = []
    var (outer, reduced, inner) = (1, 1, 1)
    if let reduction, let primitive = reduction.primitive as? Reduction {
      let axes = primitive.axisMask
      var tail = space.count
      while tail > 0 && axes & (1 << (tail - 1)) == 0 {
        tail -= 1
        inner *= space[tail]
      }
      if tail == 0 || inner < 16 || primitive.kind == .argmax || primitive.kind == .argmin
        || tail < space.count && runsAlong(axes, insteadOf: space.count - 1, space)
      {
        tail = space.count
        inner = 1
      }
      let last = tail == space.count ? contiguousKeptAxis(space, axes, primitive.kind) : nil
      for i in 0..<tail where axes & (1 << i) == 0 && i != last {
        order.append(i)
        outer *= space[i]
      }
      for i in 0..<space.count where axes & (1 << i) != 0 {
        order.append(i)
        reduced *= space[i]
      }
      if let last {
        order.append(last)
        inner = space[last]
      }
      for i in tail..<space.count { order.append(i) }
    }

    var program = LullProgram()
    // Which values are at the root: they are pinned to registers of their own.
    for node in kept { values[Int(node.slot)].isPinned = true }
    if reduceValue >= 0 { values[Int(reduceValue)].isPinned = true }

    // Strides of the inputs in the space, in bytes; then as few dimensions as possible.
    let rank = space.count
    let identity = order.isEmpty
    for i in inputNodes.indices {
      let node = inputNodes[i]._withUnsafeGuaranteedRef { $0 }
      var input = LullInput()
      input.data = UnsafePointer(node.pointer.assumingMemoryBound(to: CChar.self))
      input.limit = UnsafePointer(node.limit.assumingMemoryBound(to: CChar.self))
      input.dtype = node.dtype.rawValue
      let shift = rank - node.shape.count
      let width = node.dtype.byteCount
      var constant = true
      withUnsafeMutableBytes(of: &input.strides) { raw in
        let strides = raw.assumingMemoryBound(to: Int64.self)
        for k in 0..<rank {
          let axis = identity ? k : order[k]
          let own = axis - shift
          let stride = own < 0 || node.shape[own] == 1 ? 0 : node.strides[own] * width
          strides[k] = Int64(stride)
          if stride != 0 { constant = false }
        }
      }
      input.isConstant = constant ? 1 : 0
      inputs.append(input)
    }
    var shape = identity ? space : Shape(order.map { space[$0] })
    collapse(&shape)
    program.rank = Int32(shape.count)
    withUnsafeMutableBytes(of: &program.shape) { raw in
      let dims = raw.assumingMemoryBound(to: Int64.self)
      for k in 0..<shape.count { dims[k] = Int64(shape[k]) }
    }

    // Last uses, then registers by a linear scan.
    var (wide, widest) = (false, false)
    func use(_ v: Int32, at i: Int) {
      if v >= 0 && values[Int(v)].lastUse < 0 { values[Int(v)].lastUse = Int32(i) }
    }
    for i in (0..<values.count).reversed() {
      let value = values[i]
      if value.isUnused { continue }
      if value.type == UInt8(lullF64) || value.type >= UInt8(lullI64)
        || value.op == UInt8(lullCastF64)
        || value.op >= UInt8(lullCastI64)
          && value.op <= UInt8(lullCastC128)
      {
        wide = true
        if value.type == UInt8(lullC128) || value.op == UInt8(lullCastC128) { widest = true }
      }
      if value.op != UInt8(lullLoad) {
        use(value.a, at: i)
        use(value.b, at: i)
        use(value.c, at: i)
      }
    }
    var registerCount: Int32 = 0
    func fresh() -> Int32 {
      registerCount += 1
      return registerCount - 1
    }
    func release(_ operand: Int32, at i: Int) {
      if operand < 0 { return }
      let value = values[Int(operand)]
      if value.lastUse != Int32(i) || value.isPinned || value.register < 0 { return }
      if value.op == UInt8(lullLoad) {
        if inputs[Int(value.a)].isConstant == 0 { freeLoads.append(value.register) }
      } else {
        freeRegisters.append(value.register)
      }
      values[Int(operand)].lastUse = -2  // an operand used twice is released once
    }
    for i in 0..<values.count {
      let value = values[i]
      if value.isUnused { continue }
      var instruction = LullInstruction()
      instruction.op = value.op
      instruction.type = value.type
      if value.op == UInt8(lullLoad) {
        if inputs[Int(value.a)].isConstant != 0 && !value.isPinned {
          let register = fresh()
          values[i].register = register
          inputs[Int(value.a)].reg = UInt16(register)
          continue
        }
        inputs[Int(value.a)].isConstant = 0
        let register = value.isPinned ? fresh() : freeLoads.popLast() ?? fresh()
        values[i].register = register
        instruction.dst = UInt16(register)
        instruction.a = UInt16(value.a)
        code.append(instruction)
        continue
      }
      instruction.a = UInt16(values[Int(value.a)].register)
      instruction.b = value.b >= 0 ? UInt16(values[Int(value.b)].register) : instruction.a
      instruction.c = value.c >= 0 ? UInt16(values[Int(value.c)].register) : instruction.a
      // Working in place is safe only where operands and result have the same width.
      let sameWidth =
        !wide || value.op < UInt8(lullEq)
        || value.op >= UInt8(lullNeg) && value.op <= UInt8(lullSquare)
      let reuse = sameWidth && value.op != UInt8(lullAbs)
      if reuse {
        release(value.a, at: i)
        release(value.b, at: i)
        release(value.c, at: i)
      }
      let register = value.isPinned ? fresh() : freeRegisters.popLast() ?? fresh()
      values[i].register = register
      instruction.dst = UInt16(register)
      code.append(instruction)
      if !reuse {
        release(value.a, at: i)
        release(value.b, at: i)
        release(value.c, at: i)
      }
    }

    // Two kept nodes may share a value (a copy): the second is stored from its own register.
    for node in kept {
      var output = LullOutput()
      output.data = node.pointer.assumingMemoryBound(to: CChar.self)
      output.limit = node.limit.assumingMemoryBound(to: CChar.self)
      output.reg = UInt16(values[Int(node.slot)].register)
      output.dtype = node.dtype.rawValue
      output.type = UInt8(computeType(node.dtype))
      outputs.append(output)
    }
    for i in outputs.indices {
      let isShared = (0..<i).contains { outputs[$0].reg == outputs[i].reg }
      let value = values[Int(kept[i].slot)]
      if isShared || value.op == UInt8(lullLoad) {
        // Or with itself copies any 4-byte (or 8-byte) value, a choice between equals one of 16 bytes.
        let size = lull_compute_size(Int32(outputs[i].type))
        let type = size == 16 ? lullC128 : size == 8 ? lullI64 : lullI32
        var copy = LullInstruction()
        copy.op = UInt8(size == 16 ? lullSelect : lullOr)
        copy.type = UInt8(type)
        copy.a = outputs[i].reg
        copy.b = outputs[i].reg
        copy.c = outputs[i].reg
        copy.dst = UInt16(fresh())
        outputs[i].reg = copy.dst
        code.append(copy)
      }
    }
    guard registerCount <= Int32(lullMaxRegisters), code.count <= Int(lullMaxInstructions) else {
      throw .internal("a fused kernel needs \(registerCount) registers")
    }

    program.tile = widest ? 128 : wide ? 256 : 512
    program.total = Int64(space.uncheckedElementCount)
    program.registerCount = registerCount
    program.instructionCount = Int32(code.count)
    program.inputCount = Int32(inputs.count)
    program.outputCount = Int32(outputs.count)
    program.code = code.pointer
    program.inputs = inputs.pointer
    program.outputs = outputs.pointer
    func watch(_ scratch: Buffer?) {
      guard launches.isWanted else { return }
      let read = inputNodes.indices.map { inputNodes[$0].takeUnretainedValue() }
      launches.add(program, read: read, scratch: scratch)
    }
    guard let reduction else {
      watch(nil)
      if let epilogue { epilogue.run(&program) } else { lull_program_run(&program) }
      return
    }
    program.reduce = Int32(reduceCode)
    program.reduceReg = UInt16(values[Int(reduceValue)].register)
    let root = values[Int(reduceValue)]
    program.reduceType = root.op == UInt8(lullLoad) ? root.type : resultType(root.op, root.type)
    program.resultDType = reduction.dtype.rawValue
    program.outer = Int64(outer)
    program.reduced = Int64(reduced)
    program.inner = Int64(inner)
    program.result = reduction.pointer.assumingMemoryBound(to: CChar.self)
    let scratch = Int(lull_reduce_scratch(&program))
    var keeper: Buffer?
    if scratch > 0 {
      let buffer = try Buffer(byteCount: scratch)
      keeper = buffer
      program.partials = buffer.pointer.assumingMemoryBound(to: CChar.self)
    }
    watch(keeper)
    lull_program_reduce(&program)
    withExtendedLifetime(keeper) {}
  }

  /// The last axis that a reduction keeps, when the inputs run along it and not along the axes that
  /// are reduced (a transposed array): whole rows of results are then accumulated at once.
  private static func contiguousKeptAxis(_ space: Shape, _ axes: Int, _ kind: Reduction.Kind)
    -> Int?
  {
    if kind == .argmax || kind == .argmin { return nil }
    guard let kept = (0..<space.count).last(where: { axes & (1 << $0) == 0 }),
      let reduced = (0..<space.count).last(where: { axes & (1 << $0) != 0 && space[$0] > 1 }),
      space[kept] >= 16
    else { return nil }
    return runsAlong(1 << kept, insteadOf: reduced, space) ? kept : nil
  }

  /// Whether the inputs run along the last of `axes` (a mask) and along it better than along `other`.
  private static func runsAlong(_ axes: Int, insteadOf other: Int, _ space: Shape) -> Bool {
    guard let axis = (0..<space.count).last(where: { axes & (1 << $0) != 0 && space[$0] > 1 }),
      space[axis] >= 16
    else { return false }
    var gains = false
    for i in inputNodes.indices {
      let (here, there) = inputNodes[i]._withUnsafeGuaranteedRef { node in
        func stride(_ axis: Int) -> Int {
          let own = axis - (space.count - node.shape.count)
          return own < 0 || node.shape[own] == 1 ? 0 : Swift.abs(node.strides[own])
        }
        return (stride(axis), stride(other))
      }
      if here == there { continue }
      if here != 1 || there == 0 { return false }
      gains = true
    }
    return gains
  }

  /// The compute type of an instruction's result.
  private static func resultType(_ op: UInt8, _ type: UInt8) -> UInt8 {
    let op = Int(op)
    if op >= lullCastF32 && op <= lullCastC128 { return UInt8(op - lullCastF32) }
    if op >= lullEq && op <= lullGe || op == lullNotZero || op == lullIsZero
      || op >= lullIsNan && op <= lullIsNegInf
    {
      return UInt8(lullI32)
    }
    if op == lullAbs || op == lullImag {
      if Int(type) == lullC64 { return UInt8(lullF32) }
      if Int(type) == lullC128 { return UInt8(lullF64) }
    }
    return type
  }

  /// Drops dimensions of size one and joins neighbours that every input walks as one.
  private static func collapse(_ shape: inout Shape) {
    var result = Shape()
    let count = shape.count
    // kept[k]: the original index whose strides dimension k of the result has.
    inputs.withUnsafeMutableBufferPointer { inputs in
      for axis in 0..<count {
        let size = shape[axis]
        if size == 1 { continue }
        let last = result.count - 1
        var joins = last >= 0
        if joins {
          for i in inputs.indices where inputs[i].isConstant == 0 {
            let (outer, inner) = withUnsafeBytes(of: &inputs[i].strides) { raw in
              let strides = raw.assumingMemoryBound(to: Int64.self)
              return (strides[last], strides[axis])
            }
            if outer != inner &* Int64(size) {
              joins = false
              break
            }
          }
        }
        let target = joins ? last : last + 1
        if joins { result[last] *= size } else { result.append(size) }
        for i in inputs.indices {
          withUnsafeMutableBytes(of: &inputs[i].strides) { raw in
            let strides = raw.assumingMemoryBound(to: Int64.self)
            strides[target] = strides[axis]
          }
        }
      }
    }
    if result.count == 0 { result.append(1) }
    shape = result
  }
}
