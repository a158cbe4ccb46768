// math.gamma and math.lgamma as CPython computes them, to the last bit: Lanczos' approximation with the 13 terms of
// Boost, and the reflection formula with a sine of pi x that is exact at the half integers. The C library's differ in
// the last digits.
import Glibc

private let lanczosG = 6.024680040776729583740234375
private let lanczosGMinusHalf = 5.524680040776729583740234375
private let numerator: [Double] = [
  23531376880.410759688572007674451636754734846804940,
  42919803642.649098768957899047001988850926355848959,
  35711959237.355668049440185451547166705960488635843,
  17921034426.037209699919755754458931112671403265390,
  6039542586.3520280050642916443072979210699388420708,
  1439720407.3117216736632230727949123939715485786372,
  248874557.86205415651146038641322942321632125127801,
  31426415.585400194380614231628318205362874684987640,
  2876370.6289353724412254090516208496135991145378768,
  186056.26539522349504029498971604569928220784236328,
  8071.6720023658162106380029022722506138218516325024,
  210.82427775157934587250973392071336271166969580291,
  2.5066282746310002701649081771338373386264310793408,
]
private let denominator: [Double] = [
  0, 39916800, 120543840, 150917976, 105258076, 45995730, 13339535, 2637558, 357423, 32670, 1925,
  66, 1,
]
private let logPi = 1.144729885849400174143427351353058711647
/// 0! to 22!, which a double holds exactly.
private let factorials: [Double] = (1..<23).reduce(into: [1]) {
  $0.append($0[$0.count - 1] * Double($1))
}

private func lanczosSum(_ x: Double) -> Double {
  var num = 0.0
  var den = 0.0
  if x < 5 {
    for i in numerator.indices.reversed() {
      num = num * x + numerator[i]
      den = den * x + denominator[i]
    }
  } else {
    for i in numerator.indices {
      num = num / x + numerator[i]
      den = den / x + denominator[i]
    }
  }
  return num / den
}
/// sin(pi x), with the argument brought near zero first.
private func sinPi(_ x: Double) -> Double {
  let y = fmod(abs(x), 2)
  let r: Double
  switch Int((2 * y).rounded(.toNearestOrAwayFromZero)) {
  case 0: r = sin(Double.pi * y)
  case 1: r = cos(Double.pi * (y - 0.5))
  case 2: r = sin(Double.pi * (1 - y))
  case 3: r = -cos(Double.pi * (y - 1.5))
  default: r = sin(Double.pi * (y - 2))
  }
  return copysign(1, x) * r
}

/// nan where there is no value, infinity where it is too large.
func gammaFunction(_ x: Double) -> Double {
  if x.isNaN || x == .infinity { return x }
  if x == -.infinity || x == 0 { return .nan }
  if x == x.rounded(.down) {
    if x < 0 { return .nan }
    if x <= Double(factorials.count) { return factorials[Int(x) - 1] }
  }
  let size = abs(x)
  if size < 1e-20 { return 1 / x }
  if size > 200 { return x < 0 ? 0 / sinPi(x) : .infinity }
  let y = size + lanczosGMinusHalf
  // What rounding took from y.
  var z =
    size > lanczosGMinusHalf ? (y - size) - lanczosGMinusHalf : (y - lanczosGMinusHalf) - size
  z = z * lanczosG / y
  var r: Double
  if x < 0 {
    r = -Double.pi / sinPi(size) / size * exp(y) / lanczosSum(size)
    r -= z * r
    if size < 140 { return r / pow(y, size - 0.5) }
    let root = pow(y, size / 2 - 0.25)
    return r / root / root
  }
  r = lanczosSum(size) / exp(y)
  r += z * r
  if size < 140 { return r * pow(y, size - 0.5) }
  let root = pow(y, size / 2 - 0.25)
  return r * root * root
}

func logGamma(_ x: Double) -> Double {
  if x.isNaN { return x }
  if x.isInfinite { return .infinity }
  if x == x.rounded(.down), x <= 2 { return x <= 0 ? .nan : 0 }
  let size = abs(x)
  if size < 1e-20 { return -log(size) }
  var r = log(lanczosSum(size)) - lanczosG
  r += (size - 0.5) * (log(size + lanczosG - 0.5) - 1)
  if x < 0 { r = logPi - log(abs(sinPi(size))) - log(size) - r }
  return r
}
