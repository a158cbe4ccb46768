// Numbers between bounds, as texts.
//
// The numbers are whole multiples of a unit 10^-f, so that bounds and numbers are integers here. A
// text is followed digit by digit with two flags: whether it still equals the lower bound's digits,
// and the upper one's. Numbers have at most 15 digits: any two of them differ as doubles, too, so
// whoever reads the text with doubles compares it with the bounds alike.

import Formats

enum JSONNumbers {
  static let maximumDigits = 15
  /// The largest number of 15 digits.
  static let largest = 999_999_999_999_999

  /// Without bounds. An exponent has at most two digits, so no number is infinite.
  static let integer = "-?(?:0|[1-9][0-9]{0,14})"
  static let number = "-?(?:0|[1-9][0-9]{0,14})(?:\\.[0-9]{1,15})?(?:[eE][+-]?[0-9]{1,2})?"

  /// The texts of low * unit ... high * unit that are multiples of `multiple` units.
  static func texts(
    _ low: Int, _ high: Int, fractionDigits: Int = 0, multiple: Int = 1
  ) -> ScalarAutomaton {
    var builder = Builder(fractionDigits: fractionDigits, multiple: multiple)
    if high >= 0, low <= high {
      builder.add(max(low, 0), high, from: 0)
    }
    if low < 0 {
      let minus = builder.out.addState()
      builder.out.edges[0].append(.init(set: ScalarSet("-"), target: minus))
      builder.add(max(1, -high), -low, from: minus)
    }
    return builder.out.trimmed
  }

  private struct Builder {
    let fractionDigits: Int
    let multiple: Int
    var out = ScalarAutomaton()
    /// States behind which all digits are free, by digits to come, whether the point is behind, and the remainder.
    private var free: [Int: Int] = [:]

    init(fractionDigits: Int, multiple: Int) {
      self.fractionDigits = fractionDigits
      self.multiple = multiple
    }

    /// Numbers low...high, neither negative, behind a state.
    mutating func add(_ low: Int, _ high: Int, from start: Int) {
      guard low <= high else { return }
      var top = 1  // 10^(digits)
      for _ in 0..<fractionDigits { top *= 10 }
      var bottom = 0
      for length in 1...(maximumDigits - fractionDigits + 1) {
        if top > largest { break }
        top *= 10
        let (a, b) = (max(low, bottom), min(high, top - 1))
        if a <= b { follow(digits(a, length), digits(b, length), length, start) }
        bottom = top
        if bottom > high { break }
      }
    }

    private func digits(_ value: Int, _ length: Int) -> [Int] {
      var out: [Int] = []
      var value = value
      for _ in 0..<length + fractionDigits {
        out.append(value % 10)
        value /= 10
      }
      return out.reversed()
    }

    /// Digits of one length. Tight states are those that equal a bound so far.
    private mutating func follow(_ low: [Int], _ high: [Int], _ length: Int, _ start: Int) {
      struct Tight {
        var state: Int
        var isLow: Bool
        var isHigh: Bool
        var remainder: Int
      }
      var tight = [Tight(state: start, isLow: true, isHigh: true, remainder: 0)]
      for position in 0..<low.count {
        var next: [Tight] = []
        let left = low.count - position - 1
        for t in tight {
          var state = t.state
          if position == length {
            let point = out.addState()
            out.edges[state].append(.init(set: ScalarSet("."), target: point))
            state = point
          }
          let least = t.isLow ? low[position] : 0
          let most = t.isHigh ? high[position] : 9
          if least > most { continue }
          for digit in least...most {
            let set = ScalarSet(value: UInt32(48 + digit))
            let remainder = (t.remainder * 10 + digit) % multiple
            let isLow = t.isLow && digit == low[position]
            let isHigh = t.isHigh && digit == high[position]
            if !isLow, !isHigh {
              let target = freeState(left, remainder)
              out.edges[state].append(.init(set: set, target: target))
              continue
            }
            let target = out.addState()
            out.edges[state].append(.init(set: set, target: target))
            next.append(Tight(state: target, isLow: isLow, isHigh: isHigh, remainder: remainder))
            // What is left out counts as zeros.
            let mayEnd =
              position + 1 >= length && (!isLow || low[(position + 1)...].allSatisfy { $0 == 0 })
            if mayEnd, remainder == 0 { out.isFinal[target] = true }
          }
        }
        tight = next
      }
    }

    private mutating func freeState(_ left: Int, _ remainder: Int) -> Int {
      let key = left * multiple + remainder
      if let known = free[key] { return known }
      let state = out.addState()
      free[key] = state
      if left <= fractionDigits, remainder == 0 { out.isFinal[state] = true }
      if left > 0 {
        var from = state
        if left == fractionDigits {
          from = out.addState()
          out.edges[state].append(.init(set: ScalarSet("."), target: from))
        }
        for digit in 0...9 {
          let target = freeState(left - 1, (remainder * 10 + digit) % multiple)
          out.edges[from].append(.init(set: ScalarSet(value: UInt32(48 + digit)), target: target))
        }
      }
      return state
    }
  }
}

/// A number of a schema in decimal.
struct JSONDecimal {
  var isNegative = false
  /// The digits without leading zeros, and how many of them stand behind the point.
  var digits = 0
  var scale = 0

  /// Nil where it has more than 15 digits or is no number.
  init?(_ json: JSON) {
    switch json {
    case .int(let value):
      guard value.magnitude <= UInt(JSONNumbers.largest) else { return nil }
      isNegative = value < 0
      digits = Int(value.magnitude)
    case .double(let value):
      guard value.isFinite else { return nil }
      isNegative = value < 0
      var exponent = 0
      var seenPoint = false
      var count = 0
      let text = "\(value.magnitude)"
      var rest = text[...]
      while let c = rest.popFirst() {
        if c == "e" {
          guard let power = Int(rest) else { return nil }
          exponent = power
          break
        }
        if c == "." {
          seenPoint = true
          continue
        }
        guard let digit = c.wholeNumberValue else { return nil }
        if digits > 0 || digit > 0 { count += 1 }
        guard count <= JSONNumbers.maximumDigits + 2 else { return nil }
        digits = digits * 10 + digit
        if seenPoint { scale += 1 }
      }
      scale -= exponent
      while digits != 0, digits % 10 == 0, scale > 0 {
        digits /= 10
        scale -= 1
      }
      if digits == 0 { scale = 0 }
      while scale < 0 {
        guard digits <= JSONNumbers.largest / 10 else { return nil }
        digits *= 10
        scale += 1
      }
      guard digits <= JSONNumbers.largest, scale <= JSONNumbers.maximumDigits else { return nil }
    default: return nil
    }
  }

  /// The number in units of 10^-f, if it is whole there and small enough.
  func units(_ fractionDigits: Int) -> Int? {
    guard fractionDigits >= scale else { return nil }
    var value = digits
    for _ in 0..<fractionDigits - scale {
      guard value <= JSONNumbers.largest / 10 else { return nil }
      value *= 10
    }
    return isNegative ? -value : value
  }

  /// The whole number at or below it, and whether that is it.
  var floor: (Int, isExact: Bool) {
    var unit = 1
    for _ in 0..<scale { unit *= 10 }
    let isExact = digits % unit == 0
    let down = digits / unit
    return (isNegative ? -(down + (isExact ? 0 : 1)) : down, isExact)
  }
}
