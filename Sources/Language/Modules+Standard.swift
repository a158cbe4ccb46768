// The small standard modules written in Swift: math, time, sys. Each is made when imported.
import BigInt
import Glibc

private func function(
  _ name: String, _ doc: String, _ example: String, _ f: @escaping (Double) -> Double
) -> Builtin {
  Builtin(name, "\(name)(x, /)", chapter: "math", doc: doc, examples: [example]) {
    (a) throws(LullError) in
    let x = try a.double(0)
    let r = f(x)
    if r.isNaN, !x.isNaN { throw LullError.valueError("math domain error") }
    // Degrees may be too many for a double: then they are infinite.
    if r.isInfinite, x.isFinite, name != "degrees" {
      if name == "atanh" || name.hasPrefix("log") {
        throw LullError.valueError("math domain error")
      }
      throw LullError.overflow("math range error")
    }
    return Value(r)
  }
}
private func integer(_ a: Args, _ i: Int) throws(LullError) -> BigInt {
  let v = try indexValue(a[i])
  defer { v.release() }
  return v.integer ?? 0
}
private func rounding(
  _ name: String, _ doc: String, _ example: String, _ dunder: Name,
  _ rule: FloatingPointRoundingRule
) -> Builtin {
  Builtin(name, "\(name)(x, /)", chapter: "math", doc: doc, examples: [example]) {
    (a) throws(LullError) in
    let v = a[0]
    if v.kind == .float { return try truncate(try doubleOf(v).rounded(rule)) }
    if v.isInteger { return try indexValue(v) }
    let f = v.type.lookup(dunder)
    if !f.isUndefined { return try callMethod(f, v) }
    if dunder == .__trunc__, v.kind != .native {
      throw LullError.typeError("type \(typeName(v)) doesn't define __trunc__ method")
    }
    return try truncate(try doubleOf(v).rounded(rule))
  }
}
private func logarithm(_ v: Value, _ f: (Double) -> Double) throws(LullError) -> Double {
  if let b = v.integer {
    if b.sign == .minus || b.isZero { throw LullError.valueError("math domain error") }
    if b.bitWidth <= 1024, let d = Double(exactly: b) ?? (try? bigToDouble(b)), d.isFinite {
      return f(d)
    }
    // Past doubles: the leading bits as a fraction of 0.5 to 1, and the exponent.
    let e = b.magnitude.bitWidth
    return f(try bigToDouble(b >> (e - 64)) * 0x1p-64) + Double(e) * f(2)
  }
  let d = try doubleOf(v)
  if d <= 0 { throw LullError.valueError("math domain error") }
  return f(d)
}

/// The Euclidean length, nearly correctly rounded: the squares are split into exact parts and added with
/// compensation, the root is corrected once (the steps of CPython, so that results agree to the bit).
private func vectorLength(_ list: [Double]) -> Double {
  let most = list.max { $0 < $1 || $1.isNaN } ?? 0
  if list.contains(where: \.isInfinite) { return .infinity }
  if list.contains(where: \.isNaN) { return .nan }
  if most == 0 || list.count <= 1 { return most }
  let exponent = Int(most.exponent) + 1
  var sum = 1.0
  var part1 = 0.0
  var part2 = 0.0
  var part3 = 0.0
  func add(_ x: Double, _ part: inout Double) {
    let old = sum
    sum += x
    part += (old - sum) + x
  }
  if exponent < -1023 {
    for v in list { add((v / most) * (v / most), &part1) }
    return most * (sum - 1 + part1).squareRoot()
  }
  let splitter = 134_217_729.0
  let scale = scalbn(1, Int32(-exponent))
  for v in list {
    let x = v * scale
    let t = x * splitter
    let high = t - (t - x)
    let low = x - high
    add(high * high, &part1)
    add(2 * high * low, &part2)
    part3 += low * low
  }
  let h = (sum - 1 + (part1 + part2 + part3)).squareRoot()
  let t = h * splitter
  let high = t - (t - h)
  let low = h - high
  add(-high * high, &part1)
  add(-2 * high * low, &part2)
  add(-low * low, &part3)
  let rest = sum - 1 + (part1 + part2 + part3)
  return (h + rest / (2 * h)) / scale
}

private func mathModule() -> NativeModule {
  var list: [Builtin] = [
    function("sqrt", "The square root.", ">>> import math\n>>> round(math.sqrt(2), 6)\n1.414214") {
      sqrt($0)
    },
    function("exp", "e to the power x.", ">>> import math\n>>> round(math.exp(1), 6)\n2.718282") {
      exp($0)
    },
    function(
      "expm1", "exp(x) - 1, exact for small x.",
      ">>> import math\n>>> round(math.expm1(0.5), 6)\n0.648721"
    ) { expm1($0) },
    function("exp2", "2 to the power x.", ">>> import math\n>>> math.exp2(10)\n1024.0") {
      exp2($0)
    },
    function(
      "log1p", "log(1 + x), exact for small x.",
      ">>> import math\n>>> round(math.log1p(0.5), 6)\n0.405465"
    ) { log1p($0) },
    function(
      "sin", "The sine of an angle in radians.",
      ">>> import math\n>>> round(math.sin(math.pi / 6), 6)\n0.5"
    ) { sin($0) },
    function("cos", "The cosine of an angle in radians.", ">>> import math\n>>> math.cos(0)\n1.0") {
      cos($0)
    },
    function(
      "tan", "The tangent of an angle in radians.",
      ">>> import math\n>>> round(math.tan(math.pi / 4), 6)\n1.0"
    ) { tan($0) },
    function(
      "asin", "The inverse sine, in radians.",
      ">>> import math\n>>> round(math.asin(1), 6)\n1.570796"
    ) { asin($0) },
    function("acos", "The inverse cosine, in radians.", ">>> import math\n>>> math.acos(1)\n0.0") {
      acos($0)
    },
    function(
      "atan", "The inverse tangent, in radians.",
      ">>> import math\n>>> math.degrees(math.atan(1))\n45.0"
    ) { atan($0) },
    function(
      "sinh", "The hyperbolic sine.", ">>> import math\n>>> round(math.sinh(1), 6)\n1.175201"
    ) { sinh($0) },
    function(
      "cosh", "The hyperbolic cosine.", ">>> import math\n>>> round(math.cosh(1), 6)\n1.543081"
    ) { cosh($0) },
    function(
      "tanh", "The hyperbolic tangent.", ">>> import math\n>>> round(math.tanh(1), 6)\n0.761594"
    ) { tanh($0) },
    function(
      "asinh", "The inverse hyperbolic sine.",
      ">>> import math\n>>> round(math.asinh(1), 6)\n0.881374"
    ) { asinh($0) },
    function(
      "acosh", "The inverse hyperbolic cosine.",
      ">>> import math\n>>> round(math.acosh(2), 6)\n1.316958"
    ) { acosh($0) },
    function(
      "atanh", "The inverse hyperbolic tangent.",
      ">>> import math\n>>> round(math.atanh(0.5), 6)\n0.549306"
    ) { atanh($0) },
    function("erf", "The error function.", ">>> import math\n>>> round(math.erf(0.5), 6)\n0.5205") {
      erf($0)
    },
    function(
      "erfc", "1 - erf(x), exact for large x.",
      ">>> import math\n>>> round(math.erfc(0.5), 6)\n0.4795"
    ) { erfc($0) },
    function(
      "gamma", "The gamma function, (x - 1)! of whole numbers.",
      ">>> import math\n>>> math.gamma(5)\n24.0"
    ) { gammaFunction($0) },
    function("cbrt", "The cube root.", ">>> import math\n>>> round(math.cbrt(27), 6)\n3.0") {
      cbrt($0)
    },
    function(
      "lgamma", "The logarithm of the absolute value of gamma(x).",
      ">>> import math\n>>> round(math.lgamma(3), 6)\n0.693147"
    ) { logGamma($0) },
    function("fabs", "The absolute value as a float.", ">>> import math\n>>> math.fabs(-3)\n3.0") {
      Swift.abs($0)
    },
    function("degrees", "Radians to degrees.", ">>> import math\n>>> math.degrees(math.pi)\n180.0")
    { $0 * (180 / Double.pi) },
    function(
      "radians", "Degrees to radians.", ">>> import math\n>>> round(math.radians(180), 6)\n3.141593"
    ) { $0 * (Double.pi / 180) },
    rounding(
      "floor", "The largest whole number that is not larger.",
      ">>> import math\n>>> math.floor(-1.5)\n-2", .__floor__, .down),
    rounding(
      "ceil", "The smallest whole number that is not smaller.",
      ">>> import math\n>>> math.ceil(-1.5)\n-1", .__ceil__, .up),
    rounding(
      "trunc", "The number without its fraction.", ">>> import math\n>>> math.trunc(-1.5)\n-1",
      .__trunc__, .towardZero),
    Builtin(
      "log", "log(x, base=..., /)", chapter: "math", doc: "The logarithm.",
      examples: [">>> import math\n>>> math.log(math.e), math.log(8, 2)\n(1.0, 3.0)"]
    ) { (a) throws(LullError) in
      let r = try logarithm(a[0]) { log($0) }
      if !a.has(1) { return Value(r) }
      let b = try logarithm(a[1]) { log($0) }
      if b == 0 { throw LullError.zeroDivision("float division by zero") }
      return Value(r / b)
    },
    Builtin(
      "log2", "log2(x, /)", chapter: "math", doc: "The base-2 logarithm.",
      examples: [">>> import math\n>>> math.log2(1024)\n10.0"]
    ) { (a) throws(LullError) in
      Value(try logarithm(a[0]) { log2($0) })
    },
    Builtin(
      "log10", "log10(x, /)", chapter: "math", doc: "The base-10 logarithm.",
      examples: [">>> import math\n>>> math.log10(1000)\n3.0"]
    ) { (a) throws(LullError) in
      Value(try logarithm(a[0]) { log10($0) })
    },
    Builtin(
      "pow", "pow(x, y, /)", chapter: "math", doc: "x to the power y, as floats.",
      examples: [">>> import math\n>>> math.pow(2, 0.5) == math.sqrt(2)\nTrue"]
    ) { (a) throws(LullError) in
      let x = try a.double(0)
      let y = try a.double(1)
      let r = pow(x, y)
      if r.isNaN, !x.isNaN, !y.isNaN { throw LullError.valueError("math domain error") }
      if r.isInfinite, x.isFinite, y.isFinite {
        throw x == 0
          ? LullError.valueError("math domain error") : LullError.overflow("math range error")
      }
      return Value(r)
    },
    Builtin(
      "atan2", "atan2(y, x, /)", chapter: "math", doc: "The angle of a point.",
      examples: [">>> import math\n>>> math.degrees(math.atan2(1, 1))\n45.0"]
    ) { (a) throws(LullError) in
      Value(atan2(try a.double(0), try a.double(1)))
    },
    Builtin(
      "copysign", "copysign(x, y, /)", chapter: "math", doc: "x with y's sign.",
      examples: [">>> import math\n>>> math.copysign(3, -0.0)\n-3.0"]
    ) { (a) throws(LullError) in
      Value(copysign(try a.double(0), try a.double(1)))
    },
    Builtin(
      "fmod", "fmod(x, y, /)", chapter: "math", doc: "C's remainder, with the sign of x.",
      examples: [">>> import math\n>>> math.fmod(-7, 3), -7 % 3\n(-1.0, 2)"]
    ) { (a) throws(LullError) in
      let x = try a.double(0)
      let y = try a.double(1)
      if !x.isNaN, !y.isNaN, y == 0 || x.isInfinite {
        throw LullError.valueError("math domain error")
      }
      return Value(fmod(x, y))
    },
    Builtin(
      "remainder", "remainder(x, y, /)", chapter: "math", doc: "IEEE remainder.",
      examples: [">>> import math\n>>> math.remainder(7, 4)\n-1.0"]
    ) { (a) throws(LullError) in
      let x = try a.double(0)
      let y = try a.double(1)
      if !x.isNaN, !y.isNaN, y == 0 || x.isInfinite {
        throw LullError.valueError("math domain error")
      }
      return Value(remainder(x, y))
    },
    Builtin(
      "ldexp", "ldexp(x, i, /)", chapter: "math", doc: "x * 2**i.",
      examples: [">>> import math\n>>> math.ldexp(0.75, 3)\n6.0"]
    ) { (a) throws(LullError) in
      let x = try a.double(0)
      if !a[1].isInteger {
        throw LullError.typeError("Expected an int as second argument to ldexp.")
      }
      let r = scalbn(x, Int32(clamping: try a.clamped(1)))
      if r.isInfinite, x.isFinite { throw LullError.overflow("math range error") }
      return Value(r)
    },
    Builtin(
      "frexp", "frexp(x, /)", chapter: "math", doc: "Mantissa and exponent.",
      examples: [">>> import math\n>>> math.frexp(6.0)\n(0.75, 3)"]
    ) { (a) throws(LullError) in
      let x = try a.double(0)
      if x == 0 || !x.isFinite { return makePair(Value(x), Value(0)) }
      let e = Int(x.exponent) + 1
      return makePair(Value(scalbn(x, Int32(-e))), Value(e))
    },
    Builtin(
      "modf", "modf(x, /)", chapter: "math", doc: "Fraction and integer parts.",
      examples: [">>> import math\n>>> math.modf(2.5)\n(0.5, 2.0)"]
    ) { (a) throws(LullError) in
      let x = try a.double(0)
      let w = x.rounded(.towardZero)
      return makePair(Value(x.isInfinite ? copysign(0, x) : copysign(x - w, x)), Value(w))
    },
    Builtin(
      "isnan", "isnan(x, /)", chapter: "math", doc: "Whether not a number.",
      examples: [">>> import math\n>>> math.isnan(math.nan)\nTrue"]
    ) { (a) throws(LullError) in Value(try a.double(0).isNaN) },
    Builtin(
      "isinf", "isinf(x, /)", chapter: "math", doc: "Whether infinite.",
      examples: [">>> import math\n>>> math.isinf(-math.inf)\nTrue"]
    ) { (a) throws(LullError) in Value(try a.double(0).isInfinite) },
    Builtin(
      "isfinite", "isfinite(x, /)", chapter: "math", doc: "Whether finite.",
      examples: [
        ">>> import math\n>>> math.isfinite(1e300), math.isfinite(math.inf)\n(True, False)"
      ]
    ) { (a) throws(LullError) in Value(try a.double(0).isFinite) },
    Builtin(
      "isclose", "isclose(a, b, *, rel_tol=1e-09, abs_tol=0.0)", chapter: "math",
      doc: "Whether two numbers are close.",
      examples: [
        ">>> import math\n>>> 0.1 + 0.2 == 0.3, math.isclose(0.1 + 0.2, 0.3)\n(False, True)"
      ]
    ) { (a) throws(LullError) in
      let x = try a.double(0)
      let y = try a.double(1)
      if x == y { return Value(true) }
      if x.isInfinite || y.isInfinite { return Value(false) }
      let d = Swift.abs(x - y)
      return Value(
        d <= Swift.max(try a.double(2) * Swift.max(Swift.abs(x), Swift.abs(y)), try a.double(3)))
    },
    Builtin(
      "hypot", "hypot(*coordinates)", chapter: "math", doc: "The Euclidean length.",
      examples: [">>> import math\n>>> math.hypot(3, 4)\n5.0"]
    ) { (a) throws(LullError) in
      var x: [Double] = []
      for v in a.rest(0) { x.append(Swift.abs(try doubleOf(v))) }
      return Value(vectorLength(x))
    },
    Builtin(
      "dist", "dist(p, q, /)", chapter: "math", doc: "The distance of two points.",
      examples: [">>> import math\n>>> math.dist((1, 2), (4, 6))\n5.0"]
    ) { (a) throws(LullError) in
      let p = try collect(a[0])
      let q = try collect(a[1])
      defer { for v in p + q { v.release() } }
      if p.count != q.count {
        throw LullError.valueError("both points must have the same number of dimensions")
      }
      var d: [Double] = []
      for (x, y) in zip(p, q) { d.append(Swift.abs(try doubleOf(x) - doubleOf(y))) }
      return Value(vectorLength(d))
    },
    Builtin(
      "fsum", "fsum(seq, /)", chapter: "math", doc: "An exact floating-point sum.",
      examples: [
        ">>> import math\n>>> math.fsum([0.1] * 10), sum([0.1] * 10)\n(1.0, 0.9999999999999999)"
      ]
    ) { (a) throws(LullError) in
      var partials: [Double] = []
      // Values that are no numbers or infinite are added apart, with the infinite ones in a second sum.
      var special = 0.0
      var infinite = 0.0
      try forEach(a[0]) { (v) throws(LullError) in
        var x = try doubleOf(v)
        let given = x
        var kept: [Double] = []
        for var y in partials {
          if Swift.abs(x) < Swift.abs(y) { swap(&x, &y) }
          let hi = x + y
          let lo = y - (hi - x)
          if lo != 0 { kept.append(lo) }
          x = hi
        }
        if !x.isFinite {
          if given.isFinite { throw LullError.overflow("intermediate overflow in fsum") }
          if given.isInfinite { infinite += given }
          special += given
          partials = []
          return
        }
        partials = kept + [x]
      }
      if special != 0 {
        if infinite.isNaN { throw LullError.valueError("-inf + inf in fsum") }
        return Value(special)
      }
      var sum = 0.0
      var n = partials.count
      if n > 0 {
        n -= 1
        sum = partials[n]
        var lo = 0.0
        while n > 0 {
          let x = sum
          n -= 1
          let y = partials[n]
          sum = x + y
          lo = y - (sum - x)
          if lo != 0 { break }
        }
        if n > 0, (lo < 0) == (partials[n - 1] < 0), lo != 0 {
          let y = lo * 2
          let x = sum + y
          if y == x - sum { sum = x }
        }
      }
      return Value(sum)
    },
    Builtin(
      "prod", "prod(iterable, /, *, start=1)", chapter: "math", doc: "The product.",
      examples: [">>> import math\n>>> math.prod([1, 2, 3, 4])\n24"]
    ) { (a) throws(LullError) in
      var r = a[1].retained()
      try forEach(a[0]) { (v) throws(LullError) in
        let n = try binary(.multiply, r, v)
        r.release()
        r = n
      }
      return r
    },
    Builtin(
      "gcd", "gcd(*integers)", chapter: "math", doc: "The greatest common divisor.",
      examples: [">>> import math\n>>> math.gcd(12, 18)\n6"]
    ) { (a) throws(LullError) in
      var r = BigInt(0)
      for v in a.rest(0) {
        let x = try indexValue(v)
        r = r.greatestCommonDivisor(with: x.integer ?? 0)
        x.release()
      }
      return makeBig(r)
    },
    Builtin(
      "lcm", "lcm(*integers)", chapter: "math", doc: "The least common multiple.",
      examples: [">>> import math\n>>> math.lcm(4, 6)\n12"]
    ) { (a) throws(LullError) in
      var r = BigInt(1)
      for v in a.rest(0) {
        let x = try indexValue(v)
        let b = x.integer ?? 0
        x.release()
        // The others are still looked at: they may be no integers.
        r =
          r.isZero || b.isZero
          ? 0 : BigInt(r.magnitude / r.greatestCommonDivisor(with: b).magnitude * b.magnitude)
      }
      return makeBig(r)
    },
    Builtin(
      "factorial", "factorial(n, /)", chapter: "math", doc: "n!",
      examples: [">>> import math\n>>> math.factorial(20)\n2432902008176640000"]
    ) { (a) throws(LullError) in
      let given = try indexValue(a[0])
      defer { given.release() }
      if (given.integer ?? 0).sign == .minus {
        throw LullError.valueError("factorial() not defined for negative values")
      }
      if given.kind == .bigInt {
        throw LullError.overflow("factorial() argument should not exceed 9223372036854775807")
      }
      let n = given.asInt
      if n > 200_000 { throw LullError.overflow("factorial() argument should not exceed 200000") }
      func product(_ lo: Int, _ hi: Int) throws(LullError) -> BigUInt {
        if hi - lo < 8 { return (lo...max(lo, hi)).reduce(BigUInt(1)) { $0 * BigUInt($1) } }
        let m = (lo + hi) / 2
        return try bigProduct(try product(lo, m), try product(m + 1, hi))
      }
      return makeBig(n < 2 ? 1 : BigInt(try product(1, n)))
    },
    Builtin(
      "comb", "comb(n, k, /)", chapter: "math", doc: "n choose k.",
      examples: [">>> import math\n>>> math.comb(5, 2)\n10"]
    ) { (a) throws(LullError) in
      let n = try integer(a, 0)
      let wanted = try integer(a, 1)
      if n < 0 || wanted < 0 {
        throw LullError.valueError("\(n < 0 ? "n" : "k") must be a non-negative integer")
      }
      if wanted > n { return Value(0) }
      guard let k = Int(exactly: Swift.min(wanted, n - wanted)) else {
        throw LullError.overflow("min(n - k, k) must not exceed \(Int.max)")
      }
      var r = BigInt(1)
      for i in 0..<k {
        r = r * (n - BigInt(i)) / BigInt(i + 1)
        if i & 255 == 255 { try throwIfInterrupted() }
      }
      return makeBig(r)
    },
    Builtin(
      "perm", "perm(n, k=None, /)", chapter: "math", doc: "Ordered choices.",
      examples: [">>> import math\n>>> math.perm(5, 2)\n20"]
    ) { (a) throws(LullError) in
      let n = try integer(a, 0)
      let wanted = a.isNone(1) ? n : try integer(a, 1)
      if a.isNone(1), n < 0 {
        throw LullError.valueError("factorial() not defined for negative values")
      }
      if n < 0 || wanted < 0 {
        throw LullError.valueError("\(n < 0 ? "n" : "k") must be a non-negative integer")
      }
      if wanted > n { return Value(0) }
      guard let k = Int(exactly: wanted) else {
        throw LullError.overflow("k must not exceed \(Int.max)")
      }
      var r = BigInt(1)
      for i in 0..<k {
        r *= n - BigInt(i)
        if i & 255 == 255 { try throwIfInterrupted() }
      }
      return makeBig(r)
    },
    Builtin(
      "isqrt", "isqrt(n, /)", chapter: "math", doc: "The integer square root.",
      examples: [">>> import math\n>>> math.isqrt(17)\n4"]
    ) { (a) throws(LullError) in
      let n = try integer(a, 0)
      if n.sign == .minus { throw LullError.valueError("isqrt() argument must be nonnegative") }
      return makeBig(BigInt(try bigSquareRoot(n.magnitude)))
    },
  ]
  list.append(
    Builtin(
      "ulp", "ulp(x, /)", chapter: "math", doc: "The value of the last bit.",
      examples: [">>> import math\n>>> math.ulp(1.0)\n2.220446049250313e-16"]
    ) { (a) throws(LullError) in
      let x = Swift.abs(try a.double(0))
      return Value(x.isFinite ? x.ulp : x)
    })
  list.append(
    Builtin(
      "nextafter", "nextafter(x, y, /)", chapter: "math", doc: "The next float towards y.",
      examples: [">>> import math\n>>> math.nextafter(1.0, 2.0)\n1.0000000000000002"]
    ) { (a) throws(LullError) in
      Value(nextafter(try a.double(0), try a.double(1)))
    })
  return NativeModule(
    builtins: list,
    values: [
      ("pi", Value(Double.pi)), ("e", Value(M_E)), ("tau", Value(2 * Double.pi)),
      ("inf", Value(Double.infinity)), ("nan", Value(Double.nan)),
    ])
}

private func clock(_ id: clockid_t) -> Double {
  var t = timespec()
  clock_gettime(id, &t)
  return Double(t.tv_sec) + Double(t.tv_nsec) * 1e-9
}
private func timer(_ name: String, _ doc: String, _ id: clockid_t) -> [Builtin] {
  [
    Builtin(
      name, "\(name)()", chapter: "time", doc: "\(doc), in seconds.",
      examples: [">>> import time\n>>> start = time.\(name)()\n>>> time.\(name)() >= start\nTrue"]
    ) { (_) throws(LullError) in Value(clock(id)) },
    Builtin(
      name + "_ns", "\(name)_ns()", chapter: "time", doc: "\(doc), in nanoseconds.",
      examples: [
        ">>> import time\n>>> start = time.\(name)_ns()\n>>> time.\(name)_ns() >= start\nTrue"
      ]
    ) { (_) throws(LullError) in
      var t = timespec()
      clock_gettime(id, &t)
      return Value(t.tv_sec * 1_000_000_000 + t.tv_nsec)
    },
  ]
}
private func timeModule() -> NativeModule {
  NativeModule(
    builtins: timer("time", "The time since 1970", CLOCK_REALTIME)
      + timer("perf_counter", "A clock for measuring short times", CLOCK_MONOTONIC)
      + timer("monotonic", "A clock that never goes back", CLOCK_MONOTONIC)
      + timer("process_time", "The processor time of this program", CLOCK_PROCESS_CPUTIME_ID) + [
        Builtin(
          "sleep", "sleep(seconds, /)", chapter: "time", doc: "Wait.",
          examples: [">>> import time\n>>> time.sleep(0.001)"]
        ) { (a) throws(LullError) in
          let s = try a.double(0)
          if s < 0 { throw LullError.valueError("sleep length must be non-negative") }
          if Threads.areSeveral {
            if s == 0 { try Threads.pause(always: true) } else { _ = try Threads.wait(seconds: s) }
            return .none
          }
          let end = clock(CLOCK_MONOTONIC) + s
          while true {
            let left = end - clock(CLOCK_MONOTONIC)
            if left <= 0 { return .none }
            try throwIfInterrupted()
            usleep(UInt32(Swift.min(left, 0.05) * 1e6))
          }
        }
      ])
}

private func stream(_ name: String, _ out: @escaping () -> OutputStream) -> Value {
  let t = NativeType("TextIOWrapper", module: "io")
  final class Stream {}
  t.methods = [
    Builtin(
      "write", "write(self, text, /)", doc: "Write text; gives its length.",
      examples: [">>> import sys\n>>> n = sys.stdout.write('hello\\n')\nhello\n>>> n\n6"]
    ) { (a) throws(LullError) in
      out().write(try a.string(1))
      return Value(a[1].str.pointee.count)
    },
    Builtin(
      "flush", "flush(self, /)", doc: "Write out what is pending.",
      examples: [">>> import sys\n>>> sys.stdout.flush()"]
    ) { (_) throws(LullError) in
      out().flush()
      return .none
    },
    Builtin(
      "isatty", "isatty(self, /)", doc: "Whether it is a terminal; False here.",
      examples: [">>> import sys\n>>> sys.stdout.isatty()\nFalse"]
    ) { (_) throws(LullError) in Value(false) },
  ]
  t.repr = { (_) throws(LullError) in "<\(name)>" }
  return t.make(Stream())
}
private func sysModule() -> NativeModule {
  NativeModule(
    builtins: [
      Builtin(
        "exit", "exit(status=None, /)", chapter: "sys", doc: "Leave the program.",
        examples: [
          ">>> import sys\n>>> try:\n...     sys.exit(3)\n... except SystemExit as e:\n...     print('status', e.code)\nstatus 3"
        ]
      ) { (a) throws(LullError) in
        let v = makeException(
          exceptionType("SystemExit"),
          args: a[0].isNone ? emptyTuple() : makeTuple([a[0].retained()]))
        defer { v.release() }
        throw wrap(v)
      },
      Builtin(
        "exc_info", "exc_info()", chapter: "sys",
        doc: "Class, exception and traceback of what is being handled.",
        examples: [
          ">>> import sys\n>>> try:\n...     1 / 0\n... except ZeroDivisionError:\n...     print(sys.exc_info()[0].__name__)\nZeroDivisionError"
        ]
      ) { (_) throws(LullError) in
        handledException()
      },
      Builtin(
        "getrecursionlimit", "getrecursionlimit()", chapter: "sys", doc: "The recursion limit.",
        examples: [">>> import sys\n>>> sys.getrecursionlimit() > 0\nTrue"]
      ) { (_) throws(LullError) in
        Value(vm.pointee.recursionLimit)
      },
      Builtin(
        "setrecursionlimit", "setrecursionlimit(limit, /)", chapter: "sys",
        doc: "Set the recursion limit.",
        examples: [
          ">>> import sys\n>>> limit = sys.getrecursionlimit()\n>>> sys.setrecursionlimit(5000)\n>>> sys.getrecursionlimit()\n5000\n>>> sys.setrecursionlimit(limit)"
        ]
      ) { (a) throws(LullError) in
        let n = try a.int(0)
        if n < 1 { throw LullError.valueError("recursion limit must be greater or equal than 1") }
        if n <= vm.pointee.depth {
          throw LullError.recursion(
            "cannot set the recursion limit to \(n) at the recursion depth \(vm.pointee.depth): the limit is too low"
          )
        }
        vm.pointee.recursionLimit = Swift.min(n, 2_000_000)
        return .none
      },
      Builtin(
        "intern", "intern(string, /)", chapter: "sys", doc: "The interned string.",
        examples: [">>> import sys\n>>> sys.intern('a' + 'b') is sys.intern('ab')\nTrue"]
      ) { (a) throws(LullError) in
        interned(a[0]).retained()
      },
      Builtin(
        "getsizeof", "getsizeof(object, /)", chapter: "sys", doc: "A rough size in bytes.",
        examples: [">>> import sys\n>>> sys.getsizeof([1, 2]) > sys.getsizeof([])\nTrue"]
      ) { (a) throws(LullError) in
        Value(48 + 16 * (a[0].elements.count))
      },
    ],
    values: [
      ("argv", makeList(programArguments.map { makeStr($0) })),
      ("path", makeList(moduleSearchPath.map { makeStr($0) })),
      ("modules", modulesDict().retained()), ("maxsize", Value(Int.max)),
      ("version", makeStr("3.12.0 (Lull)")), ("platform", makeStr("linux")),
      ("byteorder", makeStr("little")), ("executable", makeStr(programArguments.first ?? "")),
      ("version_info", makeTuple([Value(3), Value(12), Value(0), makeStr("final"), Value(0)])),
      ("stdout", stream("stdout") { standardOutput }),
      ("stderr", stream("stderr") { standardError }),
    ])
}

func registerStandardModules() {
  registerSystemModules()
  let makers: [(String, () throws(LullError) -> NativeModule)] = [
    ("math", { () throws(LullError) in mathModule() }),
    ("time", { () throws(LullError) in timeModule() }),
    ("sys", { () throws(LullError) in sysModule() }),
    ("_struct", { () throws(LullError) in structModule() }),
    ("_input", { () throws(LullError) in inputModule() }),
    ("_trace", { () throws(LullError) in traceModule() }),
    ("_json", { () throws(LullError) in jsonModule() }),
    ("_re", { () throws(LullError) in regexModule() }),
    ("_gc", { () throws(LullError) in collectorModule() }),
    ("_weakref", { () throws(LullError) in weakModule() }),
    ("_heapq", { () throws(LullError) in heapModule() }),
    ("_thread", { () throws(LullError) in threadModule() }),
    (
      "builtins",
      { () throws(LullError) in
        NativeModule(
          values: dictItems(core.pointee.builtins).map { ($0.key.string, $0.value.retained()) })
      }
    ),
  ]
  for (name, make) in makers where ModuleRegistry.makers[name] == nil {
    ModuleRegistry.makers[name] = make
  }
}
