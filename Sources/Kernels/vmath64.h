// Double-precision functions over `vd` (see vmath.h), for the levels that have FMA. Largest errors that were found
// against long double: below 0.8 ulp for exp, log and its bases, sin and pow; expm1 1.1, log1p 1.4, sigmoid 2.1, tanh
// 2.2; logaddexp 38 where it cancels (the formula of the C library 41). Special values and subnormals are those of
// the C library, which also does the few lanes that a formula does not cover.
//
// exp, log, sin and cos are fdlibm's reductions and polynomials (Sun Microsystems, 1993), with FMA where that saves
// a rounding. pow keeps the logarithm in two doubles: its error is multiplied by up to 745 on the way.

// The sums of two numbers that are written out must not become FMAs.
#pragma clang fp contract(off)

typedef uint64_t vw __attribute__((vector_size(8 * VL), aligned(8)));
INLINE int ANYD(vl m) { return __builtin_reduce_or(m) != 0; }
INLINE vd ABSD(vd x) { return __builtin_elementwise_abs(x); }
INLINE vd COPYSIGND(vd magnitude, vd sign) {
  return (vd)(((vl)magnitude & INT64_MAX) | ((vl)sign & INT64_MIN));
}
// 2^n for whole n in [-1022, 1023].
INLINE vd POWER2D(vd n) { return (vd)(((vl)(n + 0x1.8p52) + 1023) << 52); }
// x * 2^n for whole n in [-1100, 1100], rounded once: the first factor loses nothing.
INLINE vd SCALED(vd x, vd n) {
  vd half = RINTD(n * 0.5);
  return x * POWER2D(half) * POWER2D(n - half);
}

// x = n log 2 + r + low, |r| <= 0.35.
INLINE vd reduce_exp(vd x, vd *n, vd *low) {
  const double high = 6.93147180369123816490e-01, rest = 1.90821492927058770002e-10;
  *n = RINTD(x * 1.4426950408889634);
  vd t = FMA(*n, VD(-high), x), r = FMA(*n, VD(-rest), t);
  *low = FMA(*n, VD(-rest), t - r);
  return r;
}
// e^r - 1 - r = r^2 (1/2 + r/6 + ...).
INLINE vd exp_rest(vd r) {
  vd p = VD(1.0 / 6227020800.0);
  p = FMA(p, r, VD(1.0 / 479001600));
  p = FMA(p, r, VD(1.0 / 39916800));
  p = FMA(p, r, VD(1.0 / 3628800));
  p = FMA(p, r, VD(1.0 / 362880));
  p = FMA(p, r, VD(1.0 / 40320));
  p = FMA(p, r, VD(1.0 / 5040));
  p = FMA(p, r, VD(1.0 / 720));
  p = FMA(p, r, VD(1.0 / 120));
  p = FMA(p, r, VD(1.0 / 24));
  p = FMA(p, r, VD(1.0 / 6));
  p = FMA(p, r, VD(0.5));
  return p * (r * r);
}
// a + e^(r + low) - 1 with one rounding that counts, for |a| >= |r| or a = 0.
INLINE vd exp_sum(vd a, vd r, vd low) {
  vd sum = a + r;
  return sum + (((a - sum) + r) + (exp_rest(r) + low));
}
INLINE vd CLAMPD(vd x, double low, double high) {
  x = SELD(x > high, VD(high), x);
  return SELD(x < low, VD(low), x);
}
INLINE vd exp_vd(vd x) {
  vd n, low, r = reduce_exp(CLAMPD(x, -746.0, 710.0), &n, &low);
  return SCALED(exp_sum(VD(1.0), r, low), n);
}
// 2^n (e^r - 1 + (1 - 2^-n))
INLINE vd expm1_vd(vd x) {
  vd n, low, r = reduce_exp(CLAMPD(x, -40.0, 710.0), &n, &low);
  vd one = 1.0 - POWER2D(-SELD(n > 1000.0, VD(1000.0), n));
  vd y = SCALED(exp_sum(one, r, low), n);
  return SELD(x == 0.0, x, y);
}
INLINE vd tanh_vd(vd x) {
  vd a = ABSD(x), n, low, r = reduce_exp(SELD(a > 22.0, VD(44.0), a + a), &n, &low);
  vd scale = POWER2D(n), m = scale * exp_sum(1.0 - POWER2D(-n), r, low);
  return COPYSIGND(m / (m + 2.0), x);
}
INLINE vd sigmoid_vd(vd x) {
  vd e = exp_vd(-ABSD(x));
  return SELD(x < 0.0, e, VD(1.0)) / (1.0 + e);
}

// For positive finite x = 2^k m with m from sqrt(1/2) to sqrt(2): f = m - 1, and k.
INLINE vd log_parts(vd x, vd *k) {
  vl tiny = (vl)(x < 0x1p-1022);
  vl b = (vl)SELD(tiny, x * 0x1p54, x);
  vl e = ((b - 0x3fe6a09e667f3bcdLL) & (int64_t)0xfff0000000000000ull);
  // AVX2 has no arithmetic shift of 64 bits: the exponent is moved down as a positive number.
  vl whole = (vl)(((vw)e ^ 0x8000000000000000ull) >> 52);
  *k = ((vd)(whole | 0x4330000000000000LL) - 0x1p52) - 2048.0 - SELD(tiny, VD(54.0), VD(0.0));
  return (vd)(b - e) - 1.0;
}
// s = f / (2 + f); log(1 + f) = f - (f^2 / 2 - s (f^2 / 2 + R)), with R out of s^2.
INLINE vd log_rest(vd s) {
  vd z = s * s, p = VD(1.479819860511658591e-01);
  p = FMA(p, z, VD(1.531383769920937332e-01));
  p = FMA(p, z, VD(1.818357216161805012e-01));
  p = FMA(p, z, VD(2.222219843214978396e-01));
  p = FMA(p, z, VD(2.857142874366239149e-01));
  p = FMA(p, z, VD(3.999999999940941908e-01));
  p = FMA(p, z, VD(6.666666666666735130e-01));
  return p * z;
}
INLINE vd log_special(vd x, vd r) {
  r = SELD(x == INFINITY, x, r);
  r = SELD(x == 0.0, VD(-INFINITY), r);
  return SELD((vl)(x < 0.0) | (vl)(x != x), VD(NAN), r);
}
// x where it is positive and finite, else 1; the caller mends the other lanes.
INLINE vd POSITIVED(vd x) { return SELD((vl)(x > 0.0) & (vl)(x < INFINITY), x, VD(1.0)); }
INLINE vd log_vd(vd x) {
  vd k, f = log_parts(POSITIVED(x), &k), s = f / (2.0 + f), half = 0.5 * f * f;
  vd low = FMA(s, half + log_rest(s), k * 1.90821492927058770002e-10);
  return log_special(x, FMA(k, VD(6.93147180369123816490e-01), f - (half - low)));
}
// The logarithm to another base: k * step + log(m) * scale, each number in two parts of which the first
// has so few digits that its products are exact.
INLINE vd log_based(vd x, double stepHigh, double stepLow, double scaleHigh, double scaleLow) {
  vd k, f = log_parts(POSITIVED(x), &k), s = f / (2.0 + f), half = 0.5 * f * f;
  vd high = (vd)((vl)(f - half) & (int64_t)0xffffffff00000000ull);
  vd low = FMA(s, half + log_rest(s), (f - high) - half);
  vd whole = k * stepHigh, part = high * scaleHigh, sum = whole + part;
  vd rest = FMA(k, VD(stepLow), FMA(low + high, VD(scaleLow), low * scaleHigh));
  return log_special(x, sum + (rest + ((whole - sum) + part)));
}
INLINE vd log2_vd(vd x) {
  return log_based(x, 1.0, 0.0, 1.44269504072144627571e+00, 1.67517131648865118353e-10);
}
INLINE vd log10_vd(vd x) {
  return log_based(x, 3.01029995663611771306e-01, 3.69423907715893078616e-13, 4.34294481878168880939e-01,
                   2.50829467116452752298e-11);
}
INLINE vd log1p_vd(vd x) {
  vd u = 1.0 + x, lost = x - (u - 1.0), y = log_vd(u) + lost / u;
  y = SELD((vl)(u == 0.0) | (vl)(u == INFINITY), log_vd(u), y);
  return SELD(ABSD(x) < 0x1p-54, x, y);
}

// Both sine and cosine. The product of n with the leading part of pi/2 is a multiple of 2^-52 as x is, so the
// first FMA is exact; what the second part loses goes to `tail` with the third one.
INLINE void sincos_vd(vd x, vd *sine, vd *cosine) {
  vl huge = ~(vl)(ABSD(x) <= 0x1p30);
  vd a = SELD(huge, VD(0.0), x), n = RINTD(a * 0.63661977236758134308);
  vl q = (vl)(n + 0x1.8p52);
  vd t = FMA(n, VD(-0x1.921fb54442d18p0), a), second = n * 0x1.1a62633145c07p-54;
  vd secondLow = FMA(n, VD(0x1.1a62633145c07p-54), -second), r = t - second, part = r - t;
  vd tail = FMA(n, VD(0x1.f1976b7ed8fbcp-110), ((t - (r - part)) - (second + part)) - secondLow);
  vd z = r * r, v = z * r;
  vd s = VD(1.58969099521155010221e-10);
  s = FMA(s, z, VD(-2.50507602534068634195e-08));
  s = FMA(s, z, VD(2.75573137070700676789e-06));
  s = FMA(s, z, VD(-1.98412698298579493134e-04));
  s = FMA(s, z, VD(8.33333333332248946124e-03));
  s = r - (FMA(z, 0.5 * tail - v * s, -tail) - v * -1.66666666666666324348e-01);
  vd c = VD(-1.13596475577881948265e-11);
  c = FMA(c, z, VD(2.08757232129817482790e-09));
  c = FMA(c, z, VD(-2.75573143513906633035e-07));
  c = FMA(c, z, VD(2.48015872894767294178e-05));
  c = FMA(c, z, VD(-1.38888888888741095749e-03));
  c = FMA(c, z, VD(4.16666666666666019037e-02));
  vd half = 0.5 * z, w = 1.0 - half;
  c = w + (((1.0 - w) - half) + FMA(z * z, c, -(r * tail)));
  vl odd = (vl)((q & 1) != 0);
  vd sv = SELD(odd, c, s), cv = SELD(odd, s, c);
  sv = (vd)((vl)sv ^ ((q & 2) << 62));
  cv = (vd)((vl)cv ^ (((q + 1) & 2) << 62));
  sv = SELD(a == 0.0, a, sv);
  if (__builtin_expect(ANYD(huge), 0)) {
    for (int i = 0; i < VL; ++i)
      if (huge[i]) sv[i] = sin(x[i]), cv[i] = cos(x[i]);
  }
  *sine = sv;
  *cosine = cv;
}
INLINE vd sin_vd(vd x) { vd s, c; sincos_vd(x, &s, &c); return s; }
INLINE vd cos_vd(vd x) { vd s, c; sincos_vd(x, &s, &c); return c; }
INLINE vd tan_vd(vd x) { vd s, c; sincos_vd(x, &s, &c); return s / c; }

// log(m) = 2 (s + s z (1/3 + z Q(z))), z = s^2: the sums down to z Q in two doubles.
INLINE vd pow_vd(vd x, vd y) {
  vd a = ABSD(x), half = y * 0.5;
  vl whole = (vl)(RINTD(y) == y), odd = whole & (vl)(RINTD(half) != half);
  vl plain = ((vl)(x > 0.0) | whole) & (vl)(a > 0.0) & (vl)(a < INFINITY) & (vl)(ABSD(y) < INFINITY);
  vd k, f = log_parts(SELD(plain, a, VD(1.0)), &k);
  vd base = f + 2.0, baseLow = f - (base - 2.0);
  vd s = f / base, sLow = FMA(-s, baseLow, FMA(-s, base, f)) / base;
  vd z = s * s, zLow = FMA(s, s, -z) + 2.0 * s * sLow;
  vd p = VD(1.0 / 27);
  p = FMA(p, z, VD(1.0 / 25));
  p = FMA(p, z, VD(1.0 / 23));
  p = FMA(p, z, VD(1.0 / 21));
  p = FMA(p, z, VD(1.0 / 19));
  p = FMA(p, z, VD(1.0 / 17));
  p = FMA(p, z, VD(1.0 / 15));
  p = FMA(p, z, VD(1.0 / 13));
  p = FMA(p, z, VD(1.0 / 11));
  p = FMA(p, z, VD(1.0 / 9));
  p = FMA(p, z, VD(1.0 / 7));
  p = FMA(p, z, VD(1.0 / 5));
  const double third = 1.0 / 3, thirdLow = 0x1.5555555555555p-56;
  vd t = FMA(z, p, VD(third)), tLow = FMA(z, p, third - t) + (thirdLow + zLow * p);
  vd w = z * t, wLow = FMA(z, t, -w) + FMA(z, tLow, zLow * t);
  vd u = s * w, uLow = FMA(s, w, -u) + FMA(s, wLow, sLow * w);
  vd l = s + u, lLow = ((s - l) + u) + (sLow + uLow);
  vd big = k * 6.93147180369123816490e-01;
  vd sum = big + 2.0 * l, part = sum - big;
  vd sumLow = (big - (sum - part)) + (2.0 * l - part) + FMA(k, VD(1.90821492927058770002e-10), 2.0 * lLow);
  vd h = sum + sumLow, hLow = (sum - h) + sumLow;
  vd e = y * h, eLow = FMA(y, h, -e) + y * hLow;
  vl far = ~(vl)(ABSD(e) < 800.0);
  eLow = SELD(far, VD(0.0), eLow);
  e = CLAMPD(e, -800.0, 800.0);
  vd n, low, reduced = reduce_exp(e, &n, &low);
  vd r = reduced + (low += eLow);
  vd result = SCALED(exp_sum(VD(1.0), r, (reduced - r) + low), n);
  result = SELD((vl)(x < 0.0) & odd, -result, result);
  if (__builtin_expect(ANYD(~plain), 0))
    for (int i = 0; i < VL; ++i)
      if (!plain[i]) result[i] = pow(x[i], y[i]);
  return result;
}
INLINE vd logaddexp_vd(vd x, vd y) {
  vd high = SELD(x > y, x, y), low = SELD(x > y, y, x);
  vd r = high + log1p_vd(exp_vd(low - high));
  vl special = (vl)(high == INFINITY) | (vl)(low == -INFINITY);
  r = SELD(special, high, r);
  return SELD((vl)(x != x) | (vl)(y != y), VD(NAN), r);
}
#pragma clang fp contract(on)
