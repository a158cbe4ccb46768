// The text of an array, byte for byte as MLX writes it: `array([2.5, 4.5], dtype=float32)`.
//
// Numbers have six significant digits (C's %g); a dimension longer than six shows its first and
// last three; rows of an inner dimension are aligned under the first.

#if canImport(Glibc)
  import Glibc
#endif

/// Decimals of printed floats; -1: six significant digits.
nonisolated(unsafe) public var printPrecision = -1

extension NDArray {
  /// The array as a user sees it; evaluates it.
  public func text(edge: Int = 3) throws(ArrayError) -> String {
    try eval()
    var out = "array("
    append(to: &out, dimension: 0, at: pointer, indent: 7, edge: edge)
    out += ", dtype="
    out += dtype.name
    out += ")"
    return out
  }

  /// One element of an evaluated array as `text` writes it; there is an index for every axis.
  public func elementText(_ index: [Int]) -> String {
    var place = 0
    for (axis, i) in index.enumerated() where axis < rank { place += i * strides[axis] }
    var out = ""
    NDArray.appendNumber(NDArray.load(pointer + place * dtype.byteCount, dtype), to: &out)
    return out
  }

  private func append(
    to out: inout String, dimension: Int, at p: UnsafeRawPointer, indent: Int, edge: Int
  ) {
    if dimension == rank {
      NDArray.appendNumber(NDArray.load(p, dtype), to: &out)
      return
    }
    let count = shape[dimension]
    if count == 0 {
      out += "[]"
      return
    }
    let step = strides[dimension] * dtype.byteCount
    let isLast = dimension == rank - 1
    let separator = isLast ? ", " : ",\n" + String(repeating: " ", count: indent)
    out += "["
    func element(_ i: Int) {
      append(to: &out, dimension: dimension + 1, at: p + i * step, indent: indent + 1, edge: edge)
    }
    if count > 2 * edge {
      for i in 0..<edge {
        element(i)
        out += separator
      }
      out += "..."
      for i in (count - edge)..<count {
        out += separator
        element(i)
      }
    } else {
      for i in 0..<count {
        if i > 0 { out += separator }
        element(i)
      }
    }
    out += "]"
  }

  private static func appendNumber(_ scalar: Scalar, to out: inout String) {
    switch scalar {
    case .bool(let value): out += value ? "True" : "False"
    case .int(let value): out += String(value)
    case .unsigned(let value): out += String(value)
    case .float(let value): out += general(value)
    case .complex(let real, let imaginary):
      out += general(real)
      if imaginary >= 0 || imaginary.isNaN { out += "+" }
      out += general(imaginary) + "j"
    }
  }

  /// C's `%g`, with nan without a sign; with a precision, so many decimals.
  static func general(_ value: Double) -> String {
    if value.isNaN { return "nan" }
    if printPrecision >= 0 { return formatted("%.*f", [Int32(printPrecision), value]) }
    if value == value.rounded(), Swift.abs(value) < 100000, value != 0 || value.sign == .plus {
      return String(Int(value))
    }
    return formatted("%g", [value])
  }

  /// What C's printf makes of a number: at most 309 digits, a sign, a point and 60 decimals.
  private static func formatted(_ format: String, _ arguments: [any CVarArg]) -> String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 400) { buffer in
      guard let text = buffer.baseAddress else { return "" }
      _ = withVaList(arguments) { vsnprintf(text, buffer.count, format, $0) }
      return String(cString: text)
    }
  }
}

extension NDArray: CustomStringConvertible {
  /// The text, or what went wrong in making it.
  public var description: String {
    do throws(ArrayError) { return try text() } catch { return "array(\(error.message))" }
  }
}
