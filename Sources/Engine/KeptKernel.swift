// Kernels that a compiled function keeps.
//
// Most of the time of a function over a few thousand elements goes into making its nodes, grouping
// them and writing the program of their kernel (some 100 ns an operation). A compiled function
// whose steps are all elementwise, or those and one reduction, becomes one kernel: the first
// evaluation keeps its program, later ones put in other addresses and run it.
//
// The call makes one node, `KeptFunction`, as lazy as any other. It is used only where nobody needs
// to see into it: outside traces, and not while kernels are recorded. Other operations do not fuse
// with it, so larger arrays, where memory counts more than nodes, take the ordinary way.

import Kernels

/// A program that has run, with its own copies of what it points to.
final class KeptKernel {
  private var program: LullProgram
  private let code: UnsafeMutablePointer<LullInstruction>
  private let inputs: UnsafeMutablePointer<LullInput>
  private let outputs: UnsafeMutablePointer<LullOutput>
  /// For each input of the program the number of the function's argument, or -1 for a constant.
  private let arguments: [Int]
  /// How the arguments lay; another order in memory is another program.
  private let strides: [Shape]
  private let holders: [Buffer]
  private let scratch: Buffer?

  /// `read` are the arrays of the program's inputs, `constants` those that are no arguments.
  init(
    _ program: LullProgram, read: [NDArray], arguments: [ObjectIdentifier], strides: [Shape],
    scratch: Buffer?
  ) {
    self.program = program
    self.scratch = scratch
    let (n, m, k) = (
      Int(program.instructionCount), Int(program.inputCount), Int(program.outputCount)
    )
    code = .allocate(capacity: Swift.max(n, 1))
    inputs = .allocate(capacity: Swift.max(m, 1))
    outputs = .allocate(capacity: Swift.max(k, 1))
    if n > 0 { code.update(from: program.code, count: n) }
    if m > 0 { inputs.update(from: program.inputs, count: m) }
    if k > 0 { outputs.update(from: program.outputs, count: k) }
    self.program.code = UnsafePointer(code)
    self.program.inputs = UnsafePointer(inputs)
    self.program.outputs = UnsafePointer(outputs)
    self.arguments = read.map { arguments.firstIndex(of: ObjectIdentifier($0)) ?? -1 }
    self.strides = strides
    holders = zip(read, self.arguments).filter { $0.1 < 0 }.compactMap(\.0.buffer)
  }

  deinit {
    code.deallocate()
    inputs.deallocate()
    outputs.deallocate()
  }

  /// Computes `out` from arguments of the recorded shapes and dtypes; false when they lie otherwise.
  func run(_ out: NDArray) throws(ArrayError) -> Bool {
    for i in 0..<out.inputCount {
      let isSame = out.reference(i)._withUnsafeGuaranteedRef { $0.strides == strides[i] }
      if !isSame { return false }
    }
    // In the memory of an argument that dies with the call: a program reads each element before it writes it.
    var isInPlace = false
    var i = 0
    while program.reduce == Int32(lullNoReduce), !isInPlace, i < Swift.min(3, out.inputCount) {
      isInPlace = out.takeDonation(i)
      i += 1
    }
    if !isInPlace { try out.allocate() }
    for (i, argument) in arguments.enumerated() where argument >= 0 {
      out.reference(argument)._withUnsafeGuaranteedRef { x in
        let buffer = x.buffer.unsafelyUnwrapped
        inputs[i].data = UnsafePointer(
          (buffer.pointer + x.offset).assumingMemoryBound(to: CChar.self))
        inputs[i].limit = UnsafePointer(
          (buffer.pointer + buffer.byteCount).assumingMemoryBound(to: CChar.self))
      }
    }
    let result = out.pointer.assumingMemoryBound(to: CChar.self)
    if program.reduce == Int32(lullNoReduce) {
      outputs[0].data = result
      outputs[0].limit = result + out.buffer.unsafelyUnwrapped.byteCount
      lull_program_run(&program)
    } else {
      program.result = result
      lull_program_reduce(&program)
    }
    return true
  }
}

/// The result of a compiled function whose plan keeps its kernel.
struct KeptFunction: Primitive {
  let plan: CompiledPlan
  var name: OperationName { "compiled" }

  func evaluate(_ out: NDArray) throws(ArrayError) {
    if let kernel = plan.kernel, try kernel.run(out) { return }
    for x in plan.constants { try x.eval() }
    let result = try plan.nodes(out.inputs)[0]
    // An array in two roles would be one input of the program.
    let arguments = (0..<out.inputCount).map { ObjectIdentifier(out.input($0)) }
    let all = arguments + plan.constants.map { ObjectIdentifier($0) }
    let isWanted = plan.kernel == nil && Set(all).count == all.count
    if isWanted {
      Fusion.launches.begin(
        arguments, (0..<out.inputCount).map { out.input($0).strides })
    }
    defer { Fusion.launches.end() }
    // Only the graph holds the arguments now: what dies with the call can be overwritten.
    if !out.isTraced { out.becomeCopy(of: result) }
    try result.eval()
    if isWanted {
      plan.kernel = Fusion.launches.only
      plan.keepsKernel = plan.kernel != nil
    }
    out.share(result, strides: result.strides)
  }
  func vjp(_ out: NDArray, _ cotangent: NDArray) throws(ArrayError) -> [NDArray?] {
    throw .internal("a compiled function that is traced makes all its nodes")
  }
}

/// Watches an evaluation for the one kernel that a plan may keep.
struct Launches {
  /// The arguments of the function that runs, if its kernel is wanted.
  private var arguments: [ObjectIdentifier]?
  private var strides: [Shape] = []
  private var count = 0
  private var found: KeptKernel?
  /// The program was written for the value of an argument.
  private var isSpecial = false
  var only: KeptKernel? { count == 1 && !isSpecial ? found : nil }
  var isWanted: Bool { arguments != nil }

  mutating func begin(_ arguments: [ObjectIdentifier], _ strides: [Shape]) {
    self = Launches(arguments: arguments, strides: strides)
  }
  mutating func noteValue(of x: NDArray) {
    if let arguments, arguments.contains(ObjectIdentifier(x)) { isSpecial = true }
  }
  mutating func end() { self = Launches() }
  /// Called for what is computed without a program: then one kernel is not all of the function.
  mutating func noteOther() { count += 1 }
  /// Called for every kernel of a wanted evaluation; those with several outputs are not kept.
  mutating func add(_ program: LullProgram, read: [NDArray], scratch: Buffer?) {
    count += 1
    let outputs = program.outputCount + (program.reduce == Int32(lullNoReduce) ? 0 : 1)
    guard count == 1, outputs == 1, let arguments else { return }
    found = KeptKernel(
      program, read: read, arguments: arguments, strides: strides, scratch: scratch)
  }
}

extension CompiledPlan {
  /// Larger results take the ordinary way, where they fuse with what follows.
  static let keptElements = 1 << 18

  /// Whether all steps can be one kernel.
  func canBeOneKernel() -> Bool {
    if isShapeless || outputs.count != 1 || steps.isEmpty || steps.count > 60 { return false }
    // The node of a call has all arguments for inputs: one that is not needed would be computed for it.
    let used = Set(steps.lazy.flatMap(\.inputs))
    if !inputs.indices.allSatisfy(used.contains) { return false }
    var reductions = 0
    for (i, step) in steps.enumerated() {
      if inputs.isEmpty || step.shape.uncheckedElementCount > CompiledPlan.keptElements {
        return false
      }
      switch step.kind {
      case .elementwise: break
      case .primitive(let primitive):
        reductions += 1
        let isLast = outputs[0] == inputs.count + constants.count + i
        if !(primitive is Reduction) || !isLast || reductions > 1 { return false }
      case .several, .output: return false
      }
    }
    return outputs[0] >= inputs.count + constants.count
  }

  /// The one node of a call whose kernel is kept, or to be kept; nil for the ordinary way.
  func keptNode(_ arguments: [NDArray]) -> NDArray? {
    guard keepsKernel, Evaluator.traceDepth == 0, Evaluator.watch == .nobody else { return nil }
    let last = steps[outputs[0] - inputs.count - constants.count]
    let saved = currentPosition
    defer { currentPosition = saved }
    currentPosition = last.position
    return NDArray(
      KeptFunction(plan: self), shape: last.shape, dtype: last.dtype, inputs: arguments)
  }
}
