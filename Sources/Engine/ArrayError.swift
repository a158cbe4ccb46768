/// Everything that can go wrong in the engine, as facts; `message` is the one renderer.
///
/// `op` is the operation's name as the user writes it. Positions in the user's source are not
/// kept here but on the node: an error that only evaluation can find is wrapped in
/// `.at(position:error:)` by the evaluation.
public indirect enum ArrayError: Error, Equatable {
  case broadcast(op: StaticName, lhs: [Int], rhs: [Int])
  case shapeMismatch(op: StaticName, lhs: [Int], rhs: [Int], reason: String)
  case badReshape(shape: [Int], to: [Int])
  case negativeDimension(op: StaticName, shape: [Int])
  case tooManyDimensions(op: StaticName, count: Int)
  case tooLarge(op: StaticName, shape: [Int])
  case rank(op: StaticName, shape: [Int], needed: String)
  case axis(op: StaticName, axis: Int, rank: Int)
  /// The same where MLX has an IndexError.
  case axisIndex(op: StaticName, axis: Int, rank: Int)
  case duplicateAxis(op: StaticName, axes: [Int])
  case indexOutOfRange(op: StaticName, index: Int, axis: Int, size: Int)
  case tooManyIndices(count: Int, shape: [Int])
  case dtype(op: StaticName, found: DType, needed: String)
  case scalarOverflow(value: Int, dtype: DType)
  case empty(op: StaticName, what: String)
  case argument(op: StaticName, message: String)
  case notScalar(shape: [Int])
  case memory(requested: Int, active: Int, limit: Int, op: StaticName = "", shape: [Int] = [])
  case notFinite(op: StaticName, value: String, index: [Int], shape: [Int])
  /// The elements of an array that a file should have.
  case unreadable(String)
  /// The other processes of a run could not be reached.
  case communication(String)
  case interrupted
  case notDifferentiable(op: StaticName, reason: String)
  case evaluatedInTrace
  /// A function of the program, called by the engine, failed: the library knows how.
  case programFailed
  case `internal`(String)
  case at(position: UInt64, error: ArrayError)

  public typealias StaticName = OperationName

  /// The user's name for the kind of failure, in Python's terms.
  public var kind: String {
    switch self {
    case .indexOutOfRange, .axisIndex: "IndexError"
    case .memory: "MemoryError"
    case .notFinite: "FloatingPointError"
    case .unreadable, .communication: "RuntimeError"
    case .interrupted: "KeyboardInterrupt"
    case .internal: "SystemError"
    case .at(_, let error): error.kind
    default: "ValueError"
    }
  }

  /// The source position of the node that failed, when evaluation found it.
  public var position: UInt64? {
    if case .at(let position, _) = self { return position }
    return nil
  }

  /// The failure without its position.
  public var fact: ArrayError {
    if case .at(_, let error) = self { return error.fact }
    return self
  }

  public var message: String {
    func shape(_ dims: [Int]) -> String { Shape.text(dims) }
    switch self {
    case .broadcast(let op, let lhs, let rhs):
      return "\(op): shapes \(shape(lhs)) and \(shape(rhs)) cannot be broadcast together"
    case .shapeMismatch(let op, let lhs, let rhs, let reason):
      return "\(op): shapes \(shape(lhs)) and \(shape(rhs)) do not fit: \(reason)"
    case .badReshape(let from, let to):
      return "reshape: cannot reshape array of size \(from.reduce(1, &*)) with shape "
        + "\(shape(from)) into shape \(shape(to))"
    case .negativeDimension(let op, let dims):
      return "\(op): negative dimensions not allowed, got shape \(shape(dims))"
    case .tooManyDimensions(let op, let count):
      return "\(op): \(count) dimensions, but at most \(Shape.maxRank) are supported"
    case .tooLarge(let op, let dims):
      return "\(op): an array of shape \(shape(dims)) is too large for this machine's addresses"
    case .rank(let op, let dims, let needed):
      return "\(op): needs \(needed), but the array has shape \(shape(dims))"
    case .axis(let op, let axis, let rank), .axisIndex(let op, let axis, let rank):
      return "\(op): axis \(axis) is out of bounds for an array with \(rank) "
        + (rank == 1 ? "dimension" : "dimensions")
    case .duplicateAxis(let op, let axes):
      return "\(op): an axis is given twice in \(shape(axes))"
    case .indexOutOfRange(let op, let index, let axis, let size):
      return "\(op): index \(index) is out of bounds for axis \(axis) with size \(size)"
    case .tooManyIndices(let count, let dims):
      return "too many indices: \(count) for an array of shape \(shape(dims))"
    case .dtype(let op, let found, let needed):
      return "\(op): needs \(needed), but the array has dtype \(found.name)"
    case .scalarOverflow(let value, let dtype):
      return "converting \(value) to \(dtype.name) would overflow"
    case .empty(let op, let what): return "\(op): \(what) of a zero-size array"
    case .argument(let op, let message): return "\(op): \(message)"
    case .notScalar(let dims):
      return "only an array with one element converts to a number, this one has shape "
        + shape(dims)
    case .memory(let requested, let active, let limit, let op, let dims):
      let asker = op == "" ? "" : " by \(op) for an array of shape \(shape(dims))"
      return "out of memory: \(requested) bytes asked for\(asker) with \(active) in use, "
        + "limit \(limit); use smaller arrays, or raise it with set_memory_limit"
    case .notFinite(let op, let value, let index, let dims):
      let place = dims.isEmpty ? "" : " at index \(Shape.text(index)) of shape \(shape(dims))"
      return op == "array"
        ? "an array that was given has \(value)\(place)"
        : "\(op): the result has \(value)\(place), its inputs have none"
    case .unreadable(let problem): return problem
    case .communication(let problem): return "distributed: \(problem)"
    case .interrupted: return "interrupted"
    case .notDifferentiable(let op, let reason): return "\(op) has no gradient: \(reason)"
    case .programFailed: return "a function of the program failed"
    case .evaluatedInTrace:
      return
        "eval: the values of an array inside a function that vmap, compile or export is tracing are not "
        + "there yet: no item(), print, comparison in an if, or eval of it there"
    case .internal(let text): return "internal error: \(text) (please report it)"
    case .at(_, let error): return error.message
    }
  }
}

/// The name of an operation in an error: made from a literal at no cost, compared as text.
public struct OperationName: Equatable, Sendable, ExpressibleByStringLiteral,
  CustomStringConvertible
{
  let text: StaticString
  public init(stringLiteral text: StaticString) { self.text = text }
  public init(_ text: StaticString) { self.text = text }
  public var description: String { text.description }
  public static func == (a: OperationName, b: OperationName) -> Bool {
    a.description == b.description
  }
}
