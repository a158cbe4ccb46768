// Vector mathematics in clang's vector extensions, written once and compiled for each level.
// VL lanes of float; `vd` is as many doubles. Functions with hard spots (tiny differences, powers)
// work in double and round once; exp, log, sin, cos, tanh, sigmoid and erf work in float.
// Errors are within about 2 ulp on the whole range, subnormals and huge arguments included.
#include <math.h>
#include <string.h>
#if LULL_LEVEL == 2
#include <immintrin.h>
#endif

typedef float vf __attribute__((vector_size(4 * VL), aligned(4)));
typedef int32_t vi __attribute__((vector_size(4 * VL), aligned(4)));
typedef uint32_t vu __attribute__((vector_size(4 * VL), aligned(4)));
typedef double vd __attribute__((vector_size(8 * VL), aligned(8)));
typedef int64_t vl __attribute__((vector_size(8 * VL), aligned(8)));
#define INLINE static inline __attribute__((always_inline))

#if LULL_LEVEL > 0
#define FMA(a, b, c) __builtin_elementwise_fma((a), (b), (c))
#define RINTF(x) __builtin_elementwise_rint(x)
#define RINTD(x) __builtin_elementwise_rint(x)
#else
#define FMA(a, b, c) ((a) * (b) + (c))
// SSE2 has no rounding instruction: where the last place counts ones, adding rounds. The sign is kept, as -0 is its own.
INLINE vf RINTF(vf x) {
  vf a = __builtin_elementwise_abs(x), r = (a + 0x1p23f) - 0x1p23f;
  vi keep = (vi)(a < 0x1p23f), sign = (vi)x & (int32_t)0x80000000;
  return (vf)((((vi)r | sign) & keep) | ((vi)x & ~keep));
}
INLINE vd RINTD(vd x) {
  vd a = __builtin_elementwise_abs(x), r = (a + 0x1p52) - 0x1p52;
  vl keep = (vl)(a < 0x1p52), sign = (vl)x & INT64_MIN;
  return (vd)((((vl)r | sign) & keep) | ((vl)x & ~keep));
}
#endif
#define ABSF(x) __builtin_elementwise_abs(x)
INLINE vf SEL(vi m, vf a, vf b) { return (vf)(((vi)a & m) | ((vi)b & ~m)); }
INLINE vd SELD(vl m, vd a, vd b) { return (vd)(((vl)a & m) | ((vl)b & ~m)); }
INLINE vf VF(float x) { return (vf){} + x; }
INLINE vd VD(double x) { return (vd){} + x; }
INLINE vd TOD(vf x) { return __builtin_convertvector(x, vd); }
INLINE vf TOF(vd x) { return __builtin_convertvector(x, vf); }
INLINE vf COPYSIGN(vf magnitude, vf sign) {
  return (vf)(((vi)magnitude & 0x7fffffff) | ((vi)sign & (int32_t)0x80000000));
}
INLINE int ANY(vi m) { return __builtin_reduce_or(m) != 0; }

// x * 2^n for whole n in [-150, 128], rounded once.
#if LULL_LEVEL == 2
INLINE vf SCALE(vf x, vf n) {
  return (vf)__builtin_ia32_scalefps512_mask((__v16sf)x, (__v16sf)n, (__v16sf)x, -1, 4);
}
#else
INLINE vf SCALE(vf x, vf n) {
  vi k = __builtin_convertvector(n, vi), half = k >> 1;
  return x * (vf)((half + 127) << 23) * (vf)((k - half + 127) << 23);
}
#endif
INLINE vf POWER2(vf z) { return (vf)((vi)(((vu)z << 23) + 0x3f800000u)); }
#define V vf
#define K VF
#define ADD(a, b) ((a) + (b))
#define SUB(a, b) ((a) - (b))
#define MUL(a, b) ((a) * (b))
#define DIV(a, b) ((a) / (b))
#define RINT RINTF
#define ABS ABSF
#define OR(a, b) ((vf)((vi)(a) | (vi)(b)))
#define XOR(a, b) ((vf)((vi)(a) ^ (vi)(b)))
#define LESS(a, b, x, y) SEL((a) < (b), x, y)
#define IFNAN(a, x, y) SEL((a) != (a), x, y)
#define CORE INLINE
#define NAMED(f) f##_v
#include "vmath_core.h"
#undef V
#undef K
#undef ADD
#undef SUB
#undef MUL
#undef DIV
#undef RINT
#undef ABS
#undef OR
#undef XOR
#undef LESS
#undef IFNAN
#undef CORE
#undef NAMED

INLINE vf log_v(vf x) {
  vi tiny = (vi)(x < 0x1p-126f);
  vf y = SEL(tiny, x * 0x1p23f, x);
  vi e = ((vi)y - 0x3f3504f3) >> 23;
  vf m = (vf)((vi)y - (e << 23));
  vf fe = __builtin_convertvector(e, vf) - SEL(tiny, VF(23.0f), VF(0.0f));
  vf f = m - 1.0f, z = f * f;
  vf p = VF(7.0376836292e-2f);
  p = FMA(p, f, VF(-1.1514610310e-1f));
  p = FMA(p, f, VF(1.1676998740e-1f));
  p = FMA(p, f, VF(-1.2420140846e-1f));
  p = FMA(p, f, VF(1.4249322787e-1f));
  p = FMA(p, f, VF(-1.6668057665e-1f));
  p = FMA(p, f, VF(2.0000714765e-1f));
  p = FMA(p, f, VF(-2.4999993993e-1f));
  p = FMA(p, f, VF(3.3333331174e-1f));
  vf t = p * f * z;
  t = FMA(fe, VF(-2.12194440e-4f), t);
  t = FMA(z, VF(-0.5f), t);
  vf r = FMA(fe, VF(0.693359375f), f + t);
  r = SEL(x == INFINITY, x, r);
  r = SEL(x == 0.0f, VF(-INFINITY), r);
  return SEL((vi)(x < 0.0f) | (vi)(x != x), VF(NAN), r);
}

// exp in double for |x| < 700, to about 1e-15.
INLINE vd exp_d(vd x) {
  vd n = RINTD(x * 1.4426950408889634);
  vd r = FMA(n, VD(-6.93147180369123816490e-01), x);
  r = FMA(n, VD(-1.90821492927058770002e-10), r);
  vd p = VD(1.0 / 479001600);
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
  p = FMA(p, r, VD(1.0));
  p = FMA(p, r, VD(1.0));
  vl k = (vl)(n + 0x1.8p52) << 52;
  return (vd)((vl)p + k);
}
// log in double for positive normal finite numbers, to about 1e-15.
INLINE vd log_d(vd x) {
  vl b = (vl)x;
  vl e = (b - 0x3fe6a09e667f3bcdLL) >> 52;
  vd m = (vd)(b - (e << 52));
  vd s = (m - 1.0) / (m + 1.0), z = s * s;
  vd p = VD(1.0 / 19);
  p = FMA(p, z, VD(1.0 / 17));
  p = FMA(p, z, VD(1.0 / 15));
  p = FMA(p, z, VD(1.0 / 13));
  p = FMA(p, z, VD(1.0 / 11));
  p = FMA(p, z, VD(1.0 / 9));
  p = FMA(p, z, VD(1.0 / 7));
  p = FMA(p, z, VD(1.0 / 5));
  p = FMA(p, z, VD(1.0 / 3));
  vd l = 2.0 * FMA(p * z, s, s);
  vd fe = (vd)(e + 0x4338000000000000LL) - 0x1.8p52;
  return FMA(fe, VD(0.69314718055994530942), l);
}
INLINE vf CLAMP(vf x, float low, float high) {
  x = SEL(x > high, VF(high), x);
  return SEL(x < low, VF(low), x);
}
// x where it is positive and finite, else 1; the caller mends the other lanes.
INLINE vf POSITIVE(vf x) { return SEL((vi)(x > 0.0f) & (vi)(x < INFINITY), x, VF(1.0f)); }

INLINE vf expm1_v(vf x) {
  vd d = TOD(CLAMP(x, -100.0f, 100.0f));
  vd r = exp_d(d) - 1.0, s = FMA(d * d, FMA(d, VD(1.0 / 6), VD(0.5)), d);
  vf y = TOF(SELD(__builtin_elementwise_abs(d) < 1e-4, s, r));
  return SEL(x == 0.0f, x, SEL(x == INFINITY, x, y));
}
INLINE vf log1p_v(vf x) {
  vi good = (vi)(x > -1.0f) & (vi)(x < INFINITY);
  vd d = TOD(SEL(good, x, VF(0.0f)));
  vd s = FMA(d * d, FMA(d, VD(1.0 / 3), VD(-0.5)), d);
  vf y = TOF(SELD(__builtin_elementwise_abs(d) < 1e-4, s, log_d(1.0 + d)));
  y = SEL(good, SEL(x == 0.0f, x, y), VF(NAN));
  y = SEL(x == INFINITY, x, y);
  return SEL(x == -1.0f, VF(-INFINITY), y);
}
INLINE vf log_scaled(vf x, double scale) {
  vf y = TOF(log_d(TOD(POSITIVE(x))) * scale);
  y = SEL((vi)(x < 0.0f) | (vi)(x != x), VF(NAN), y);
  y = SEL(x == 0.0f, VF(-INFINITY), y);
  return SEL(x == INFINITY, x, y);
}
INLINE vf log2_v(vf x) { return log_scaled(x, 1.44269504088896340736); }
INLINE vf log10_v(vf x) { return log_scaled(x, 0.43429448190325182765); }

// Both sine and cosine. The angle is reduced by pi/2 in three parts of 24 bits, whose products the FMA
// rounds once; where a lane is past 2^16, in double; lanes past 2^28 (2^19 without
// FMA) go to the C library.
INLINE void sincos_v(vf x, vf *sine, vf *cosine) {
  vf ax = ABSF(x), t;
#if LULL_LEVEL > 0
  const float limit = 0x1p28f;
#else
  const float limit = 0x1p19f;  // the products must be exact without FMA
#endif
  vi huge = (vi)(ax > limit) | (vi)(x != x), q;
#if LULL_LEVEL > 0
  if (__builtin_expect(!ANY((vi)(ax > 0x1p16f) | huge), 1)) {
    vf n = RINTF(x * 0x1.45f306p-1f);
    t = FMA(n, VF(-0x1.921fb6p0f), x);
    t = FMA(n, VF(0x1.777a5cp-25f), t);
    t = FMA(n, VF(0x1.ee59dap-50f), t);
    q = __builtin_convertvector(n, vi);
  } else
#endif
  {
    vd d = TOD(SEL(huge, VF(0.0f), x));
    vd n = RINTD(d * 0.63661977236758134308);
    vd r = FMA(n, VD(-1.57079632673412561417), d);
    r = FMA(n, VD(-6.07710050650619224932e-11), r);
    q = __builtin_convertvector((vl)(n + 0x1.8p52), vi);
    t = TOF(r);
  }
  vf z = t * t;
  vf s = VF(-1.9515295891e-4f);
  s = FMA(s, z, VF(8.3321608736e-3f));
  s = FMA(s, z, VF(-1.6666654611e-1f));
  s = FMA(s * z, t, t);
  vf c = VF(2.443315711809948e-5f);
  c = FMA(c, z, VF(-1.388731625493765e-3f));
  c = FMA(c, z, VF(4.166664568298827e-2f));
  c = FMA(c, z * z, FMA(z, VF(-0.5f), VF(1.0f)));
  vi odd = (q & 1) != 0;
  vf sv = SEL(odd, c, s), cv = SEL(odd, s, c);
  sv = (vf)((vi)sv ^ ((q & 2) << 30));
  cv = (vf)((vi)cv ^ (((q + 1) & 2) << 30));
  sv = SEL(x == 0.0f, x, sv);
  if (__builtin_expect(ANY(huge), 0)) {
    for (int i = 0; i < VL; ++i)
      if (huge[i]) sv[i] = sinf(x[i]), cv[i] = cosf(x[i]);
  }
  *sine = sv;
  *cosine = cv;
}
INLINE vf sin_v(vf x) { vf s, c; sincos_v(x, &s, &c); return s; }
INLINE vf cos_v(vf x) { vf s, c; sincos_v(x, &s, &c); return c; }
INLINE vf tan_v(vf x) { vf s, c; sincos_v(x, &s, &c); return s / c; }

INLINE vf erfinv_v(vf a) {
  vf t = log_v(FMA(a, -a, VF(1.0f)));
  vf p = VF(3.03697567e-10f);
  p = FMA(p, t, VF(2.93243101e-8f));
  p = FMA(p, t, VF(1.22150334e-6f));
  p = FMA(p, t, VF(2.84108955e-5f));
  p = FMA(p, t, VF(3.93552968e-4f));
  p = FMA(p, t, VF(3.02698812e-3f));
  p = FMA(p, t, VF(4.83185798e-3f));
  p = FMA(p, t, VF(-2.64646143e-1f));
  p = FMA(p, t, VF(8.40016484e-1f));
  vf q = VF(5.43877832e-9f);
  q = FMA(q, t, VF(1.43285448e-7f));
  q = FMA(q, t, VF(1.22774793e-6f));
  q = FMA(q, t, VF(1.12963626e-7f));
  q = FMA(q, t, VF(-5.61530760e-5f));
  q = FMA(q, t, VF(-1.47697632e-4f));
  q = FMA(q, t, VF(2.31468678e-3f));
  q = FMA(q, t, VF(1.15392581e-2f));
  q = FMA(q, t, VF(-2.32015476e-1f));
  q = FMA(q, t, VF(8.86226892e-1f));
  vf r = a * SEL(ABSF(t) > 6.125f, p, q);
  return SEL(ABSF(a) == 1.0f, a * INFINITY, r);
}
INLINE vd atan_d(vd x) {  // any x, infinities included, to about 1e-10
  vd a = __builtin_elementwise_abs(x);
  vl inverted = (vl)(a > 1.0);
  vd y = SELD(inverted, 1.0 / a, a);
  vl shifted = (vl)(y > 0.41421356237309504880);
  vd t = SELD(shifted, (y - 1.0) / (y + 1.0), y), z = t * t;
  vd p = VD(1.0 / 29);
  p = FMA(p, z, VD(-1.0 / 27));
  p = FMA(p, z, VD(1.0 / 25));
  p = FMA(p, z, VD(-1.0 / 23));
  p = FMA(p, z, VD(1.0 / 21));
  p = FMA(p, z, VD(-1.0 / 19));
  p = FMA(p, z, VD(1.0 / 17));
  p = FMA(p, z, VD(-1.0 / 15));
  p = FMA(p, z, VD(1.0 / 13));
  p = FMA(p, z, VD(-1.0 / 11));
  p = FMA(p, z, VD(1.0 / 9));
  p = FMA(p, z, VD(-1.0 / 7));
  p = FMA(p, z, VD(1.0 / 5));
  p = FMA(p, z, VD(-1.0 / 3));
  vd r = FMA(p * z, t, t) + SELD(shifted, VD(0.78539816339744830962), VD(0.0));
  r = SELD(inverted, 1.57079632679489661923 - r, r);
  return (vd)((vl)r | ((vl)x & (int64_t)0x8000000000000000ull));
}
INLINE vf atan_v(vf x) { return SEL(x != x, x, TOF(atan_d(TOD(x)))); }
INLINE vf asin_v(vf x) {
  vd d = TOD(x);
  vf r = TOF(atan_d(d / __builtin_elementwise_sqrt((1.0 - d) * (1.0 + d))));
  return SEL((vi)(ABSF(x) > 1.0f) | (vi)(x != x), VF(NAN), SEL(x == 0.0f, x, r));
}
INLINE vf acos_v(vf x) {
  vd d = TOD(x);
  vf r = TOF(2.0 * atan_d(__builtin_elementwise_sqrt((1.0 - d) / (1.0 + d))));
  return SEL((vi)(ABSF(x) > 1.0f) | (vi)(x != x), VF(NAN), r);
}
INLINE vf sinh_v(vf x) {
  vd d = TOD(CLAMP(x, -100.0f, 100.0f)), e = exp_d(d), z = d * d;
  vd s = FMA(FMA(z, VD(1.0 / 120), VD(1.0 / 6)) * z, d, d);
  vf y = TOF(SELD(z < 1e-4, s, 0.5 * (e - 1.0 / e)));
  return SEL((vi)(x != x) | (vi)(x == 0.0f), x, y);
}
INLINE vf cosh_v(vf x) {
  vd e = exp_d(TOD(CLAMP(x, -100.0f, 100.0f)));
  return SEL(x != x, x, TOF(0.5 * (e + 1.0 / e)));
}
INLINE vf asinh_v(vf x) {
  vf a = ABSF(x);
  vi bad = (vi)(x != x) | (vi)(a == INFINITY);
  vd d = TOD(SEL(bad, VF(1.0f), a)), z = d * d;
  vd s = FMA(FMA(z, VD(3.0 / 40), VD(-1.0 / 6)) * z, d, d);
  vf y = TOF(SELD(z < 1e-4, s, log_d(d + __builtin_elementwise_sqrt(z + 1.0))));
  return SEL(bad, x, COPYSIGN(y, x));
}
INLINE vf acosh_v(vf x) {
  vi good = (vi)(x >= 1.0f) & (vi)(x < INFINITY);
  vd d = TOD(SEL(good, x, VF(1.0f)));
  vf y = TOF(log_d(d + __builtin_elementwise_sqrt((d - 1.0) * (d + 1.0))));
  return SEL(good, y, SEL(x == INFINITY, x, VF(NAN)));
}
INLINE vf atanh_v(vf x) {
  vi good = (vi)(ABSF(x) < 1.0f);
  vd d = TOD(SEL(good, x, VF(0.0f))), z = d * d;
  vd s = FMA(FMA(z, VD(1.0 / 5), VD(1.0 / 3)) * z, d, d);
  vf y = TOF(SELD(z < 1e-4, s, 0.5 * log_d((1.0 + d) / (1.0 - d))));
  y = SEL(good, SEL(x == 0.0f, x, y), VF(NAN));
  return SEL(ABSF(x) == 1.0f, x * INFINITY, y);
}
INLINE vf pow_v(vf x, vf y) {
  // Powers of negative numbers have whole exponents, and odd ones a sign.
  vf a = ABSF(x), half = y * 0.5f;
  vi whole = (vi)(RINTF(y) == y), odd = whole & (vi)(RINTF(half) != half);
  vi plain = ((vi)(x > 0.0f) | whole) & (vi)(a > 0.0f) & (vi)(a < INFINITY) & (vi)(ABSF(y) < INFINITY);
  vd e = log_d(TOD(SEL(plain, a, VF(1.0f)))) * TOD(SEL(plain, y, VF(0.0f)));
  e = SELD(e > 200.0, VD(200.0), e);
  e = SELD(e < -200.0, VD(-200.0), e);
  vf r = TOF(exp_d(e));
  r = SEL((vi)(x < 0.0f) & odd, -r, r);
  if (__builtin_expect(ANY(~plain), 0))
    for (int i = 0; i < VL; ++i)
      if (!plain[i]) r[i] = powf(x[i], y[i]);
  return r;
}
INLINE vf logaddexp_v(vf x, vf y) {
  vf high = SEL(x > y, x, y), low = SEL(x > y, y, x);
  vf r = high + log1p_v(exp_v(low - high));
  vi special = (vi)(high == INFINITY) | (vi)(low == -INFINITY);
  r = SEL(special, high, r);
  return SEL((vi)(x != x) | (vi)(y != y), VF(NAN), r);
}
