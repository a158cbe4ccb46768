// The float functions that fused kernels inline, written once over a few names: the tile
// interpreter compiles them over vectors (vmath.h), the assembler (jit.c) emits them as machine
// code, and both give the same bits. Every product that is added is an explicit FMA.
//
// Needed: V (a value), K(number), ADD SUB MUL DIV, FMA(a, b, c) = a * b + c, RINT, ABS,
// LESS(a, b, x, y) = a < b ? x : y (y where a or b is NaN), IFNAN(a, x, y) = a != a ? x : y,
// COPYSIGN(magnitude, sign), OR and XOR of the bits, SCALE(x, n) = x * 2^n rounded once, POWER2(1.5 * 2^23 + n) = 2^n
// for whole n in [0, 127]. Divisions are the instruction: the divider works beside the multipliers.

// Degree 5 after the reduction by log 2 in two parts (Cephes expf); 1.3 ulp.
CORE V NAMED(exp)(V x) {
  x = LESS(K(89.0f), x, K(89.0f), x);
  x = LESS(x, K(-104.0f), K(-104.0f), x);
  V n = RINT(MUL(x, K(0x1.715476p0f)));
  V r = FMA(n, K(-0x1.62e400p-1f), x);
  r = FMA(n, K(-0x1.7f7d1cp-20f), r);
  V p = FMA(r, K(1.9875691500e-4f), K(1.3981999507e-3f));
  p = FMA(p, r, K(8.3334519073e-3f));
  p = FMA(p, r, K(4.1665795894e-2f));
  p = FMA(p, r, K(1.6666665459e-1f));
  p = FMA(p, r, K(5.0000001201e-1f));
  p = ADD(FMA(p, MUL(r, r), r), K(1.0f));
  return SCALE(p, n);
}

// m / (m + 2) with m = exp(2|x|) - 1 = 2^n (e^r - 1) + (2^n - 1), which keeps small arguments exact.
CORE V NAMED(tanh)(V x) {
  V a = ABS(x), t = ADD(a, a);
  t = LESS(K(18.2f), t, K(18.2f), t);
  // Adding 1.5 * 2^23 rounds to a whole number, which then stands in the last bits.
  // The logarithm of 2 in one part is enough: n is at most 26.
  V z = FMA(t, K(0x1.715476p0f), K(12582912.0f)), n = SUB(z, K(12582912.0f));
  V r = FMA(n, K(-0x1.62e430p-1f), t);
  V p = FMA(r, K(1.9875691500e-4f), K(1.3981999507e-3f));
  p = FMA(p, r, K(8.3334519073e-3f));
  p = FMA(p, r, K(4.1665795894e-2f));
  p = FMA(p, r, K(1.6666665459e-1f));
  p = FMA(p, r, K(5.0000001201e-1f));
  p = FMA(p, MUL(r, r), r);
  V s = POWER2(z);
  V m = FMA(p, s, ADD(s, K(-1.0f)));
  V y = DIV(m, ADD(m, K(2.0f)));
  return OR(y, XOR(x, a));
}

CORE V NAMED(sigmoid)(V x) {
  V e = NAMED(exp)(SUB(K(0.0f), ABS(x)));
  return IFNAN(x, x, DIV(LESS(x, K(0.0f), e, K(1.0f)), ADD(e, K(1.0f))));
}

// Njuffa's polynomials: odd below 0.9277, 1 - exp(polynomial) above.
CORE V NAMED(erf)(V a) {
  V t = ABS(a), s = MUL(a, a);
  V tc = LESS(K(4.0f), t, K(4.0f), t), sc = MUL(tc, tc);
  V r = FMA(tc, K(-1.72853470e-5f), K(3.83197126e-4f));
  V u = FMA(tc, K(-3.88396438e-3f), K(2.42546219e-2f));
  r = FMA(r, sc, u);
  r = FMA(r, tc, K(-1.06777877e-1f));
  r = FMA(r, tc, K(-6.34846687e-1f));
  r = FMA(r, tc, K(-1.28717512e-1f));
  r = FMA(r, tc, SUB(K(0.0f), tc));
  V far = COPYSIGN(SUB(K(1.0f), NAMED(exp)(r)), a);
  V p = FMA(s, K(-5.96761703e-4f), K(4.99119423e-3f));
  p = FMA(p, s, K(-2.67681349e-2f));
  p = FMA(p, s, K(1.12819925e-1f));
  p = FMA(p, s, K(-3.76125336e-1f));
  p = FMA(p, s, K(1.28379166e-1f));
  p = FMA(p, a, a);
  return LESS(K(0.927734375f), t, IFNAN(a, a, far), p);
}
