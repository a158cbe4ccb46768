// Window functions of `count` values.

private func window(
  _ count: Int, _ op: OperationName, _ values: (NDArray, Double) throws(ArrayError) -> NDArray
) throws(ArrayError) -> NDArray {
  guard count < 1 << 40 else { throw .tooLarge(op: op, shape: [count]) }
  if count < 1 { return try NDArray.zeros([0]) }
  if count == 1 { return try NDArray.ones([1]) }
  let n = try NDArray.arange(.int(0), .int(count), dtype: .float32)
  return try values(n, Double(count - 1))
}
private func number(_ value: Double) throws(ArrayError) -> NDArray {
  try NDArray.weak(.float(value), like: .float32)
}

public func hanning(_ count: Int) throws(ArrayError) -> NDArray {
  try window(count, "hanning") { (n, last) throws(ArrayError) in
    square(sin(try multiply(number(Double.pi / last), n)))
  }
}
public func hamming(_ count: Int) throws(ArrayError) -> NDArray {
  try window(count, "hamming") { (n, last) throws(ArrayError) in
    let wave = cos(try multiply(number(2 * Double.pi / last), n))
    return try subtract(number(0.54), multiply(number(0.46), wave))
  }
}
public func blackman(_ count: Int) throws(ArrayError) -> NDArray {
  try window(count, "blackman") { (n, last) throws(ArrayError) in
    let wave = cos(try multiply(number(2 * Double.pi / last), n))
    return try add(
      subtract(number(0.34), multiply(number(0.5), wave)), multiply(number(0.16), square(wave)))
  }
}
public func bartlett(_ count: Int) throws(ArrayError) -> NDArray {
  try window(count, "bartlett") { (n, last) throws(ArrayError) in
    let slope = try subtract(multiply(number(2 / last), n), number(1))
    return try subtract(number(1), abs(slope))
  }
}
