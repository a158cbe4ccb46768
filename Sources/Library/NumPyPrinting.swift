// The text of NumPy's arrays, as NumPy 2 writes it: numbers of one width, the shortest digits that read back as
// the same value (at most `precision` after the point), lines of at most `linewidth`, and three entries at each
// end of an axis once an array has more than `threshold` elements.

import Engine

#if canImport(Glibc)
  import Glibc
#endif

/// What `np.set_printoptions` sets.
struct NumPyPrintOptions {
  var precision = 8
  var threshold = 1000
  var edgeitems = 3
  var linewidth = 75
  var suppress = false
}
nonisolated(unsafe) var numpyPrintOptions = NumPyPrintOptions()

/// Digits of a float: 0.d1d2d3... * 10^exponent, the shortest that read back.
private struct Digits {
  var isNegative: Bool
  var digits: [UInt8]
  var exponent: Int

  init(_ text: String, negative: Bool) {
    isNegative = negative
    var mantissa: [UInt8] = []
    var point: Int?
    var power = 0
    let bytes = Array(text.utf8)
    var i = 0
    while i < bytes.count {
      let b = bytes[i]
      if b >= 48, b <= 57 { mantissa.append(b - 48) }
      if b == UInt8(ascii: ".") { point = mantissa.count }
      if b == UInt8(ascii: "e") || b == UInt8(ascii: "E") {
        power = Int(String(decoding: bytes[(i + 1)...], as: UTF8.self)) ?? 0
        break
      }
      i += 1
    }
    exponent = (point ?? mantissa.count) + power
    while let first = mantissa.first, first == 0 {
      mantissa.removeFirst()
      exponent -= 1
    }
    while mantissa.last == 0 { mantissa.removeLast() }
    if mantissa.isEmpty { exponent = 1 }
    digits = mantissa
  }

  /// At most `count` digits kept, the last one rounded.
  mutating func round(to count: Int) {
    guard count < digits.count else { return }
    if count < 0 {
      digits = []
      exponent = 1
      return
    }
    let next = digits[count]
    let isTie = next == 5 && digits.count == count + 1
    let isOdd = count > 0 && digits[count - 1] % 2 == 1
    digits.removeSubrange(count...)
    if next > 5 || (next == 5 && (!isTie || isOdd)) {
      var i = count - 1
      while i >= 0, digits[i] == 9 { i -= 1 }
      if i < 0 {
        digits = [1]
        exponent += 1
      } else {
        digits[i] += 1
        digits.removeSubrange((i + 1)...)
      }
    }
    while digits.last == 0 { digits.removeLast() }
    if digits.isEmpty { exponent = 1 }
  }

  func text(_ from: Int, _ to: Int) -> String {
    String(
      (from..<Swift.max(from, to)).map { i in
        Character(UnicodeScalar(48 + (i >= 0 && i < digits.count ? digits[i] : 0)))
      })
  }
}

private func digits(_ x: Double, _ dtype: DType) -> Digits {
  let m = Swift.abs(x)
  let text: String
  switch dtype {
  case .float32, .complex64, .bfloat16: text = Float(m).description
  case .float16: text = Float16(m).description
  default: text = m.description
  }
  return Digits(text, negative: x.sign == .minus)
}

private func padded(_ s: String, _ width: Int) -> String {
  s.count >= width ? s : String(repeating: " ", count: width - s.count) + s
}
private func filled(_ s: String, _ width: Int) -> String {
  s.count >= width ? s : s + String(repeating: " ", count: width - s.count)
}

/// Makes all floats of an array one width.
private struct FloatColumn {
  let dtype: DType
  var isExponential = false
  var left = 0
  var right = 0
  var decimals = 0
  /// Digits of the widest exponent, at least two.
  var powerDigits = 2
  var width = 0
  var alwaysSigned = false
  let isScalar: Bool

  init(_ values: [Double], _ dtype: DType, scalar: Bool = false, signed: Bool = false) {
    self.dtype = dtype
    isScalar = scalar
    alwaysSigned = signed
    let options = numpyPrintOptions
    let finite = values.filter { $0.isFinite }
    let nonzero = finite.filter { $0 != 0 }.map { Swift.abs($0) }
    if let high = nonzero.max(), let low = nonzero.min() {
      if scalar {
        isExponential = high >= 1e16 || low < 1e-4
      } else {
        isExponential = high >= 1e8 || (!options.suppress && (low < 0.0001 || high / low > 1000))
      }
    }
    let limit = scalar ? 17 : options.precision
    if isExponential {
      for x in finite {
        var d = digits(x, dtype)
        d.round(to: limit + 1)
        decimals = Swift.max(decimals, d.digits.count - 1)
        if !d.digits.isEmpty {
          powerDigits = Swift.max(powerDigits, String(Swift.abs(d.exponent - 1)).count)
        }
        left = Swift.max(left, d.isNegative || signed ? 2 : 1)
      }
      right = decimals
    } else {
      for x in finite {
        let (whole, fraction) = parts(x, limit)
        left = Swift.max(left, whole.count)
        right = Swift.max(right, fraction.count)
      }
      decimals = right
    }
    for x in values where !x.isFinite {
      let word = special(x)
      if left == 0 && right == 0 && finite.isEmpty {
        width = Swift.max(width, word.count)
      } else {
        left = Swift.max(left, word.count - right - 1 - (isExponential ? 2 + powerDigits : 0))
      }
    }
  }

  func special(_ x: Double) -> String {
    if x.isNaN { return alwaysSigned ? "+nan" : "nan" }
    return x < 0 ? "-inf" : alwaysSigned ? "+inf" : "inf"
  }
  /// The text before and after the point.
  private func parts(_ x: Double, _ limit: Int) -> (String, String) {
    var d = digits(x, dtype)
    d.round(to: d.exponent + limit)
    let sign = d.isNegative ? "-" : alwaysSigned ? "+" : ""
    let whole = d.exponent > 0 ? d.text(0, d.exponent) : "0"
    let fraction =
      d.digits.isEmpty
      ? ""
      : d.text(Swift.min(d.exponent, 0) < 0 ? d.exponent : Swift.max(d.exponent, 0), d.digits.count)
    return (sign + whole, fraction)
  }

  func text(_ x: Double) -> String {
    if !x.isFinite {
      let total = width > 0 ? width : left + 1 + right + (isExponential ? 2 + powerDigits : 0)
      return padded(special(x), total)
    }
    if isExponential {
      var d = digits(x, dtype)
      d.round(to: decimals + 1)
      let sign = d.isNegative ? "-" : alwaysSigned ? "+" : ""
      let power = d.digits.isEmpty ? 0 : d.exponent - 1
      let plain = String(Swift.abs(power))
      let zeros = String(repeating: "0", count: Swift.max(powerDigits - plain.count, 0))
      let tail = "e" + (power < 0 ? "-" : "+") + zeros + plain
      let first = d.digits.isEmpty ? "0" : d.text(0, 1)
      let point = isScalar && decimals == 0 ? "" : "."
      return padded(sign + first, left) + point + d.text(1, decimals + 1) + tail
    }
    let (whole, fraction) = parts(x, isScalar ? 17 : numpyPrintOptions.precision)
    if isScalar { return whole + "." + (fraction.isEmpty ? "0" : fraction) }
    return padded(whole, left) + "." + filled(fraction, right)
  }
}

/// How each element of an array is written.
private func formatter(_ values: [Scalar], _ dtype: DType, scalar: Bool) -> (Scalar) -> String {
  if dtype == .bool {
    return { s in
      scalar ? (s.int != 0 ? "True" : "False") : padded(s.int != 0 ? "True" : "False", 5)
    }
  }
  if dtype.isComplex {
    let re = FloatColumn(values.map(\.double), dtype, scalar: scalar)
    let im = FloatColumn(values.map(\.imaginary), dtype, scalar: scalar, signed: true)
    return { s in
      let i = im.text(s.imaginary)
      // Blanks that fill the fraction go behind the j.
      let bare = String(i.reversed().drop { $0 == " " }.reversed())
      return re.text(s.double) + bare + "j" + String(repeating: " ", count: i.count - bare.count)
    }
  }
  if dtype.isFloating {
    let column = FloatColumn(values.map(\.double), dtype, scalar: scalar)
    return { column.text($0.double) }
  }
  func plain(_ s: Scalar) -> String {
    if case .unsigned(let u) = s { return String(u) }
    return String(s.int)
  }
  let width = scalar ? 0 : values.map { plain($0).count }.max() ?? 0
  return { padded(plain($0), width) }
}

private struct Layout {
  let shape: [Int]
  let isShort: Bool
  let edge = numpyPrintOptions.edgeitems
  /// Offsets of the elements shown, by the row-major order of what is shown.
  func shownRange(_ n: Int) -> [Int?] {
    guard isShort, n > 2 * edge else { return (0..<n).map { $0 } }
    return (0..<edge).map { $0 } + [nil] + ((n - edge)..<n).map { $0 }
  }
}

private func body(_ x: NDArray, separator: String, prefix: Int, suffix: Int) throws(ArrayError)
  -> String
{
  let shape = x.shape.array
  let layout = Layout(shape: shape, isShort: x.size > numpyPrintOptions.threshold)
  var shown = x
  if layout.isShort {
    // Only the entries at the ends are read.
    for (axis, n) in shape.enumerated() where n > 2 * layout.edge {
      let (e, all) = (layout.edge, shown)
      shown = try concatenate(
        [slice(all, axis: axis, from: 0, to: e), slice(all, axis: axis, from: n - e, to: n)],
        axis: axis)
    }
  }
  let scalars = try shown.scalars()
  let format = formatter(scalars, x.dtype, scalar: false)
  let dims = shown.shape.array
  let line = numpyPrintOptions.linewidth
  func recurse(_ axis: Int, _ start: Int, _ hang: Int) -> String {
    let n = dims[axis]
    let step = dims[(axis + 1)...].reduce(1, *)
    let isCut = layout.isShort && shape[axis] > 2 * layout.edge
    let next = separator == ", " ? "," : ""
    if axis == dims.count - 1 {
      var out = ""
      var row = "["
      let indent = String(repeating: " ", count: hang + 1)
      func place(_ word: String, isLast: Bool) {
        let room = isLast ? line - suffix - dims.count : line - suffix - next.count
        let used = (out.isEmpty ? hang : 0) + row.count + word.count
        if used > room, row.trimmingBlanks.count > (out.isEmpty ? 1 : 0) {
          out += row.trimmedEnd + "\n"
          row = indent
        }
        row += word
      }
      var words: [String] = []
      for i in 0..<n {
        if isCut, i == layout.edge { words.append("...") }
        words.append(format(scalars[start + i]))
      }
      for (i, word) in words.enumerated() {
        let isLast = i == words.count - 1
        place(word, isLast: isLast)
        if !isLast { row += separator }
      }
      return out + row + "]"
    }
    var parts: [String] = []
    for i in 0..<n {
      if isCut, i == layout.edge { parts.append("...") }
      parts.append(recurse(axis + 1, start + i * step, hang + 1))
    }
    let gap =
      next + String(repeating: "\n", count: dims.count - 1 - axis)
      + String(repeating: " ", count: hang + 1)
    return "[" + parts.joined(separator: gap) + "]"
  }
  return recurse(0, 0, prefix)
}

extension String {
  fileprivate var trimmedEnd: String {
    var s = Substring(self)
    while s.last == " " { s.removeLast() }
    return String(s)
  }
  fileprivate var trimmingBlanks: String { filter { $0 != " " } }
}

/// `str(x)`.
func numpyText(_ x: NDArray) throws(ArrayError) -> String {
  try x.eval()
  if x.rank == 0 {
    let s = try x.item()
    let text = formatter([s], x.dtype, scalar: true)(s)
    guard x.dtype.isComplex else { return text }
    if s.double == 0, s.double.sign == .plus {
      let own = FloatColumn([s.imaginary], x.dtype, scalar: true).text(s.imaginary) + "j"
      return own.replacing(".0j", with: "j")
    }
    return "("
      + text.replacing(".0+", with: "+").replacing(".0-", with: "-").replacing(".0j", with: "j")
      + ")"
  }
  if x.size == 0 { return "[]" }
  return try body(x, separator: " ", prefix: 0, suffix: 0)
}

/// `repr(x)`.
func numpyRepr(_ x: NDArray) throws(ArrayError) -> String {
  try x.eval()
  if x.rank == 0 {
    let text = try numpyText(x)
    if x.dtype == .bool { return "np.\(text)_" }
    return "np.\(x.dtype.name)(\(text.hasPrefix("(") ? String(text.dropFirst().dropLast()) : text))"
  }
  let isDefault = [DType.bool, .int64, .float64, .complex128].contains(x.dtype)
  var suffix = x.size > numpyPrintOptions.threshold ? ", shape=\(Shape.text(x.shape.array))" : ""
  if !isDefault || x.size == 0 { suffix += ", dtype=\(x.dtype.name)" }
  if x.size == 0 {
    let shape = x.rank == 1 ? "" : ", shape=\(Shape.text(x.shape.array))"
    return "array([]\(shape), dtype=\(x.dtype.name))"
  }
  let text = try body(x, separator: ", ", prefix: 6, suffix: 1)
  if suffix.isEmpty { return "array(" + text + ")" }
  // The dtype goes on a line of its own when the last line is full.
  let last = text.split(separator: "\n", omittingEmptySubsequences: false).last?.count ?? 0
  let used = last + (text.contains("\n") ? 0 : 6)
  let isWide = used + suffix.count + 1 > numpyPrintOptions.linewidth
  return "array(" + text + (isWide ? ",\n      " + suffix.dropFirst(2) : suffix) + ")"
}
