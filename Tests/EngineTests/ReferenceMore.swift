// The cases of make_reference_more.py: products, indexing, sorting, random numbers.

import Engine

private func indexed(_ c: ReferenceCase) throws(ArrayError) -> NDArray {
  let x = c.inputs[0]
  func a(_ i: Int) -> Index { .array(c.inputs[i]) }
  let all = Index.slice(SliceRange())
  switch c.params[0] {
  case 0: return try x.at([a(1)])
  case 1: return try x.at([all, a(1)])
  case 2: return try x.at([a(1), a(2)])
  case 3: return try x.at([a(1), all, a(2)])
  case 4: return try x.at([.int(1), all, a(1)])
  case 5: return try x.at([all, a(1), a(2)])
  case 6: return try x.at([.ellipsis, .newAxis, .slice(SliceRange(1, 3))])
  case 7: return try x.at([.array(greater(x, NDArray(.int(0))))])
  case 8: return try x.at([.int(-1), .slice(SliceRange(nil, nil, -2))])
  case 9:
    return try x.at([.slice(SliceRange(1, 3)), .array(c.inputs[1].reshaped([3, 1])), a(2)])
  default: return try x.at([.newAxis, a(1), .newAxis, a(2)])
  }
}

private func assigned(_ c: ReferenceCase) throws(ArrayError) -> NDArray {
  let x = c.inputs[0]
  func a(_ i: Int) -> Index { .array(c.inputs[i]) }
  let all = Index.slice(SliceRange())
  func n(_ value: Double) throws(ArrayError) -> NDArray { try NDArray(.float(value)) }
  switch c.params[0] {
  case 0: return try x.updating([a(1), a(2)], c.inputs[3])
  case 1: return try x.updating([a(1), a(2)], c.inputs[3], .add)
  case 2: return try x.updating([.slice(SliceRange(1, 3)), all, a(1)], n(7))
  case 3: return try x.updating([.array(greater(x, n(0)))], n(-1))
  case 4: return try x.updating([.int(0), .slice(SliceRange(1, 4))], n(2), .add)
  default: return try x.updating([all, a(1)], n(0.5), .max)
  }
}

func runMoreCases(_ c: ReferenceCase) throws(ArrayError) -> [NDArray] {
  let x = c.inputs[0]
  let p = c.params
  let dtype = p.first.flatMap { DType(rawValue: UInt8(truncatingIfNeeded: $0)) } ?? .float32
  let rest = Shape(p.dropFirst())
  func n(_ value: Double) throws(ArrayError) -> NDArray { try NDArray(.float(value)) }
  switch c.name {
  case "matmul": return [try matmul(x, c.inputs[1])]
  case "take": return [try take(x, c.inputs[1], axis: p[0])]
  case "take_flat": return [try take(x, c.inputs[1])]
  case "take_along": return [try takeAlongAxis(x, c.inputs[1], axis: p[0])]
  case "index": return [try indexed(c)]
  case "assign": return [try assigned(c)]
  case "sort": return [try sort(x, axis: p[0])]
  case "argsort_values":
    return [try takeAlongAxis(x, argsort(x, axis: p[0]), axis: p[0])]
  case "tensordot": return [try tensordot(x, c.inputs[1], axes: p[0])]
  case "random.key": return [try Random.key(UInt64(p[0]))]
  case "random.split": return [try Random.split(x, count: p[0])]
  case "random.bits": return [try Random.bits(rest, width: p[0], key: x)]
  case "random.uniform": return [try Random.uniform(-2, 3, rest, dtype: dtype, key: x)]
  case "random.normal": return [try Random.normal(rest, dtype: dtype, key: x)]
  case "random.laplace": return [try Random.laplace(rest, dtype: dtype, key: x)]
  case "random.gumbel": return [try Random.gumbel(rest, dtype: dtype, key: x)]
  case "random.randint":
    return [
      try Random.randint(
        low: NDArray(.int(-50)), high: NDArray(.int(1000)), Shape(p), key: x)
    ]
  case "random.bernoulli": return [try Random.bernoulli(n(0.3), Shape(p), key: x)]
  case "random.truncated":
    return [try Random.truncatedNormal(low: n(-1), high: n(2), Shape(p), key: x)]
  case "random.categorical": return [try Random.categorical(c.inputs[1], key: x)]
  case "random.categorical_count": return [try Random.categorical(c.inputs[1], count: 4, key: x)]
  case "random.permutation": return [try Random.permutation(p[0], key: x)]
  case "random.global":
    try Random.seed(9)
    return [try Random.uniform(0, 1, [3]), try Random.normal([2])]
  default:
    if c.name.hasPrefix("einsum:") {
      return [try einsum(String(c.name.dropFirst(7)), c.inputs)]
    }
    throw .argument(op: "test", message: "no such case: \(c.name)")
  }
}
