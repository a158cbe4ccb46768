// The module `_mpi`, under `mlx.core.distributed`, which has the names and the documentation.
//
// Groups are their numbers here: 0 is all processes of the run.

import Engine
import Language

private func function(
  _ name: String, _ parameters: String, _ doc: String,
  _ run: @escaping (ArrayArgs) throws -> Value
) -> Builtin {
  Builtin(name, "\(name)(\(parameters))", chapter: "distributed", doc: doc, examples: []) {
    (args) throws(LullError) in
    stampPosition()
    return try engine { try run(ArrayArgs(args)) }
  }
}

private func group(_ a: ArrayArgs, _ i: Int) throws -> ProcessGroup {
  guard let group = ProcessGroup(number: try a.int(i)) else {
    throw LullError.valueError(
      "distributed: there is no such group; begin with mx.distributed.init()")
  }
  return group
}

private func number(_ a: ArrayArgs, _ i: Int, _ what: String) throws -> Int32 {
  guard let value = Int32(exactly: try a.int(i)) else {
    throw LullError.valueError("distributed: the \(what) must fit 32 bits")
  }
  return value
}

private func described(_ group: ProcessGroup) -> Value {
  makeTupleValue([Value(group.number), Value(group.rank), Value(group.size)])
}

let processFunctions: [Builtin] = [
  function("launched", "", "How many processes mpirun started; opens nothing.") { _ in
    Value(ProcessGroup.launchedSize)
  },
  function("is_available", "", "Whether Open MPI is installed.") { _ in
    Value(ProcessGroup.isAvailable)
  },
  function("world", "", "(number, rank, size) of the group of all processes.") { _ in
    described(try ProcessGroup.world())
  },
  function("split", "group, color, key", "(number, rank, size) of the group with the same color.") {
    a in
    described(
      try group(a, 0).split(color: number(a, 1, "color"), key: number(a, 2, "key")))
  },
  function("all_sum", "x, group", "The sum over the processes.") { a in
    wrap(try allReduce(a.array(0), .sum, group(a, 1)))
  },
  function("all_max", "x, group", "The largest over the processes.") { a in
    wrap(try allReduce(a.array(0), .max, group(a, 1)))
  },
  function("all_min", "x, group", "The smallest over the processes.") { a in
    wrap(try allReduce(a.array(0), .min, group(a, 1)))
  },
  function("all_gather", "x, group", "The arrays of all processes behind each other.") { a in
    wrap(try allGather(a.array(0), group(a, 1)))
  },
  function("sum_scatter", "x, group", "This process's part of the sum.") { a in
    wrap(try sumScatter(a.array(0), group(a, 1)))
  },
  function("send", "x, dst, group", "x, which is sent when it is evaluated.") { a in
    wrap(try send(a.array(0), to: a.int(1), group(a, 2)))
  },
  function("recv", "shape, dtype, src, group", "What another process sends.") { a in
    wrap(
      try receive(
        a.shape(0, op: "distributed.recv"), a.dtype(1) ?? .float32, from: a.int(2), group(a, 3)))
  },
]
