// The tile interpreter, compiled once a level: LULL_LEVEL 0 portable, 1 AVX2, 2 AVX-512.
// Included by vm_portable.c, vm_avx2.c and vm_avx512.c only.
#include <complex.h>
#include "Kernels.h"
#include "vm_internal.h"

#pragma clang diagnostic ignored "-Wpsabi"  // vectors never cross a call: all inlined
#pragma clang diagnostic ignored "-Wunused-function"

#if LULL_LEVEL > 0
#pragma clang attribute push(__attribute__((target(LULL_TARGET))), apply_to = function)
#endif
#include "vmath.h"

#define CAT2(a, b) a##b
#define CAT(a, b) CAT2(a, b)
#define NAME(x) CAT(x, LULL_SUFFIX)
#define ARGS void *dv, const void *av, const void *bv, const void *cv, int64_t n
#define LOOP                                                                                \
  _Pragma("clang loop vectorize(assume_safety) interleave(enable)") for (int64_t i = 0; i < n; ++i)

typedef float F32;
typedef double F64;
typedef int32_t I32;
typedef uint32_t U32;
typedef int64_t I64;
typedef uint64_t U64;
typedef float _Complex C64;
typedef double _Complex C128;

// A function of one, two or three operands: R result type, T operand type.
#define UN(name, R, T, expr)                                                                \
  static void name(ARGS) {                                                                  \
    R *d = dv; const T *a = av; (void)bv; (void)cv;                                         \
    LOOP { T x = a[i]; d[i] = (expr); }                                                     \
  }
#define BI(name, R, T, expr)                                                                \
  static void name(ARGS) {                                                                  \
    R *d = dv; const T *a = av; const T *b = bv; (void)cv;                                  \
    LOOP { T x = a[i], y = b[i]; d[i] = (expr); }                                           \
  }
#define UNV(name, fn)                                                                       \
  static void name(ARGS) {                                                                  \
    vf *d = dv; const vf *a = av; (void)bv; (void)cv;                                       \
    for (int64_t i = 0; i < n / VL; ++i) d[i] = fn(a[i]);                                   \
  }
#define BIV(name, fn)                                                                       \
  static void name(ARGS) {                                                                  \
    vf *d = dv; const vf *a = av; const vf *b = bv; (void)cv;                               \
    for (int64_t i = 0; i < n / VL; ++i) d[i] = fn(a[i], b[i]);                             \
  }
// Serial loops for what calls the C library.
#define UNS(name, R, T, expr)                                                               \
  static void name(ARGS) {                                                                  \
    R *d = dv; const T *a = av; (void)bv; (void)cv;                                         \
    for (int64_t i = 0; i < n; ++i) { T x = a[i]; d[i] = (expr); }                          \
  }
#define BIS(name, R, T, expr)                                                               \
  static void name(ARGS) {                                                                  \
    R *d = dv; const T *a = av; const T *b = bv; (void)cv;                                  \
    for (int64_t i = 0; i < n; ++i) { T x = a[i], y = b[i]; d[i] = (expr); }                \
  }

// Arithmetic on unsigned images, so that overflow wraps.
#define INTS(S, U, BITS)                                                                    \
  BI(add_##S, U, U, x + y) BI(sub_##S, U, U, x - y) BI(mul_##S, U, U, x * y)                \
  UN(neg_##S, U, U, (U)0 - x) UN(square_##S, U, U, x * x)                                   \
  BI(max_##S, S, S, x > y ? x : y) BI(min_##S, S, S, x < y ? x : y)                         \
  BI(and_##S, U, U, x & y) BI(or_##S, U, U, x | y) BI(xor_##S, U, U, x ^ y)                 \
  UN(invert_##S, U, U, ~x)                                                                  \
  BI(shl_##S, U, U, x << (y & (BITS - 1))) BI(shr_##S, S, S, x >> (y & (BITS - 1)))
INTS(I32, U32, 32)
INTS(U32, U32, 32)
INTS(I64, U64, 64)
INTS(U64, U64, 64)
UN(abs_I32, U32, I32, x < 0 ? 0u - (U32)x : (U32)x)
UN(abs_I64, U64, I64, x < 0 ? 0ull - (U64)x : (U64)x)
UN(abs_U32, U32, U32, x)
UN(abs_U64, U64, U64, x)
UN(sign_I32, I32, I32, (x > 0) - (x < 0))
UN(sign_I64, I64, I64, (x > 0) - (x < 0))
UN(sign_U32, U32, U32, x != 0)
UN(sign_U64, U64, U64, x != 0)
// Division by zero gives 0 (remainder: the dividend); the lowest number over -1 wraps.
#define SDIV(S, U)                                                                          \
  static inline S fdiv1_##S(S x, S y) {                                                     \
    if (y == 0) return 0;                                                                   \
    if (y == -1) return (S)((U)0 - (U)x);                                                   \
    S q = x / y;                                                                            \
    return q - ((x % y != 0) & ((x ^ y) < 0));                                              \
  }                                                                                         \
  static inline S rem1_##S(S x, S y) {                                                      \
    if (y == 0 || y == -1) return y == 0 ? x : 0;                                           \
    S r = x % y;                                                                            \
    return r + (((r != 0) & ((r ^ y) < 0)) ? y : 0);                                        \
  }                                                                                         \
  static inline S pow1_##S(S base, S e) {                                                   \
    if (e < 0) return 0; /* as MLX, for every base */                                       \
    U r = 1, b = (U)base;                                                                   \
    for (; e; e >>= 1, b *= b) if (e & 1) r *= b;                                           \
    return (S)r;                                                                            \
  }
SDIV(I32, U32)
SDIV(I64, U64)
#define UDIV(U)                                                                             \
  static inline U fdiv1_##U(U x, U y) { return y ? x / y : 0; }                             \
  static inline U rem1_##U(U x, U y) { return y ? x % y : x; }                              \
  static inline U pow1_##U(U b, U e) {                                                      \
    U r = 1;                                                                                \
    for (; e; e >>= 1, b *= b) if (e & 1) r *= b;                                           \
    return r;                                                                               \
  }
UDIV(U32)
UDIV(U64)
#define DIVS(T) BIS(fdiv_##T, T, T, fdiv1_##T(x, y)) BIS(rem_##T, T, T, rem1_##T(x, y))     \
  BIS(pow_##T, T, T, pow1_##T(x, y))
DIVS(I32) DIVS(U32) DIVS(I64) DIVS(U64)

#define COMPARES(T)                                                                         \
  BI(eq_##T, I32, T, x == y) BI(ne_##T, I32, T, x != y) BI(lt_##T, I32, T, x < y)           \
  BI(le_##T, I32, T, x <= y) BI(gt_##T, I32, T, x > y) BI(ge_##T, I32, T, x >= y)           \
  UN(nz_##T, I32, T, x != 0) UN(iz_##T, I32, T, x == 0)
COMPARES(F32) COMPARES(F64) COMPARES(I32) COMPARES(U32) COMPARES(I64) COMPARES(U64)

#define FLOATS(T, fn)                                                                       \
  BI(add_##T, T, T, x + y) BI(sub_##T, T, T, x - y) BI(mul_##T, T, T, x * y)                \
  BI(div_##T, T, T, x / y) UN(neg_##T, T, T, -x) UN(square_##T, T, T, x * x)                \
  BI(max_##T, T, T, ((x > y) | (x != x)) ? x : y) BI(min_##T, T, T, ((x < y) | (x != x)) ? x : y) \
  UN(abs_##T, T, T, __builtin_elementwise_abs(x))                                           \
  UN(sign_##T, T, T, (T)((x > 0) - (x < 0)))                                                \
  UN(isnan_##T, I32, T, x != x)                                                             \
  UN(isinf_##T, I32, T, __builtin_elementwise_abs(x) == (T)INFINITY)                        \
  UN(isfinite_##T, I32, T, __builtin_elementwise_abs(x) < (T)INFINITY)                      \
  UN(isposinf_##T, I32, T, x == (T)INFINITY) UN(isneginf_##T, I32, T, x == -(T)INFINITY)    \
  UN(floor_##T, T, T, __builtin_elementwise_floor(x))                                       \
  UN(ceil_##T, T, T, __builtin_elementwise_ceil(x))                                         \
  UN(rint_##T, T, T, __builtin_elementwise_rint(x))                                         \
  UN(trunc_##T, T, T, __builtin_elementwise_trunc(x))                                       \
  UN(sqrt_##T, T, T, __builtin_elementwise_sqrt(x))                                         \
  UN(rsqrt_##T, T, T, (T)1 / __builtin_elementwise_sqrt(x)) UN(recip_##T, T, T, (T)1 / x)   \
  BI(fdiv_##T, T, T, __builtin_elementwise_floor(x / y))
FLOATS(F32, f)
FLOATS(F64, )
static inline float remf(float x, float y) {
  float r = fmodf(x, y);
  return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}
static inline double remd(double x, double y) {
  double r = fmod(x, y);
  return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}
BIS(rem_F32, F32, F32, remf(x, y))
BIS(rem_F64, F64, F64, remd(x, y))
// Rounded once where the processor can.
#if LULL_LEVEL > 0
#define ROUNDED_ONCE(a, b, c) __builtin_fmaf(a, b, c)
#else
#define ROUNDED_ONCE(a, b, c) ((a) * (b) + (c))
#endif
#define PRODUCT(name, a, b, c)                                                               \
  static void name##_F32(ARGS) {                                                            \
    F32 *d = dv; const F32 *x = av, *y = bv, *z = cv;                                       \
    LOOP d[i] = ROUNDED_ONCE(a, b, c);                                                      \
  }
PRODUCT(muladd, x[i], y[i], z[i])
PRODUCT(mulsub, x[i], y[i], -z[i])
PRODUCT(negmuladd, -x[i], y[i], z[i])
static void select4(ARGS) {
  U32 *d = dv; const I32 *a = av; const U32 *b = bv, *c = cv;
  LOOP d[i] = a[i] ? b[i] : c[i];
}
static void select8(ARGS) {
  U64 *d = dv; const I32 *a = av; const U64 *b = bv, *c = cv;
  LOOP d[i] = a[i] ? b[i] : c[i];
}
static void select16(ARGS) {
  C128 *d = dv; const I32 *a = av; const C128 *b = bv, *c = cv;
  for (int64_t i = 0; i < n; ++i) d[i] = a[i] ? b[i] : c[i];
}

UNV(exp_F32, exp_v) UNV(expm1_F32, expm1_v) UNV(log_F32, log_v) UNV(log2_F32, log2_v)
UNV(log10_F32, log10_v) UNV(log1p_F32, log1p_v) UNV(sin_F32, sin_v) UNV(cos_F32, cos_v)
UNV(tan_F32, tan_v) UNV(asin_F32, asin_v) UNV(acos_F32, acos_v) UNV(atan_F32, atan_v)
UNV(sinh_F32, sinh_v) UNV(cosh_F32, cosh_v) UNV(tanh_F32, tanh_v) UNV(asinh_F32, asinh_v)
UNV(acosh_F32, acosh_v) UNV(atanh_F32, atanh_v) UNV(sigmoid_F32, sigmoid_v)
UNV(erf_F32, erf_v) UNV(erfinv_F32, erfinv_v) BIV(pow_F32, pow_v)
BIV(logaddexp_F32, logaddexp_v) BIS(atan2_F32, F32, F32, atan2f(x, y))

#define D1(name, expr) UNS(name##_F64, F64, F64, expr)
#if LULL_LEVEL > 0
#include "vmath64.h"
#define D1V(name)                                                                           \
  static void name##_F64(ARGS) {                                                            \
    vd *d = dv; const vd *a = av; (void)bv; (void)cv;                                       \
    for (int64_t i = 0; i < n / VL; ++i) d[i] = name##_vd(a[i]);                            \
  }
#define D2V(name)                                                                           \
  static void name##_F64(ARGS) {                                                            \
    vd *d = dv; const vd *a = av; const vd *b = bv; (void)cv;                               \
    for (int64_t i = 0; i < n / VL; ++i) d[i] = name##_vd(a[i], b[i]);                      \
  }
D1V(exp) D1V(expm1) D1V(log) D1V(log2) D1V(log10) D1V(log1p) D1V(sin) D1V(cos) D1V(tan) D1V(tanh)
D1V(sigmoid) D2V(pow) D2V(logaddexp)
#else
D1(exp, exp(x)) D1(expm1, expm1(x)) D1(log, log(x)) D1(log2, log2(x)) D1(log10, log10(x))
D1(log1p, log1p(x)) D1(sin, sin(x)) D1(cos, cos(x)) D1(tan, tan(x)) D1(tanh, tanh(x))
static inline double sigmoid_d(double x) {
  double e = exp(-fabs(x));
  return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}
D1(sigmoid, sigmoid_d(x))
BIS(pow_F64, F64, F64, pow(x, y))
static inline double logaddexp_d(double x, double y) {
  if (x != x || y != y) return NAN;
  double high = x > y ? x : y, low = x > y ? y : x;
  return high == INFINITY || low == -INFINITY ? high : high + log1p(exp(low - high));
}
BIS(logaddexp_F64, F64, F64, logaddexp_d(x, y))
#endif
D1(asin, asin(x)) D1(acos, acos(x)) D1(atan, atan(x)) D1(sinh, sinh(x)) D1(cosh, cosh(x))
D1(asinh, asinh(x)) D1(acosh, acosh(x)) D1(atanh, atanh(x)) D1(erf, erf(x))
static double erfinv_d(double x) {
  if (!(x > -1 && x < 1)) return x == 1 ? INFINITY : x == -1 ? -INFINITY : NAN;
  double w = -log((1 - x) * (1 + x)), p;
  if (w < 5) {
    w -= 2.5;
    p = 2.81022636e-08;
    p = 3.43273939e-07 + p * w;
    p = -3.5233877e-06 + p * w;
    p = -4.39150654e-06 + p * w;
    p = 0.00021858087 + p * w;
    p = -0.00125372503 + p * w;
    p = -0.00417768164 + p * w;
    p = 0.246640727 + p * w;
    p = 1.50140941 + p * w;
  } else {
    w = sqrt(w) - 3;
    p = -0.000200214257;
    p = 0.000100950558 + p * w;
    p = 0.00134934322 + p * w;
    p = -0.00367342844 + p * w;
    p = 0.00573950773 + p * w;
    p = -0.0076224613 + p * w;
    p = 0.00943887047 + p * w;
    p = 1.00167406 + p * w;
    p = 2.83297682 + p * w;
  }
  double y = p * x;
  for (int k = 0; k < 2; ++k) {  // Newton, on the complement where erf has no digits left
    double rest = (1 - fabs(x)) - erfc(fabs(y));
    double e = fabs(x) > 0.5 ? (x < 0 ? -rest : rest) : erf(y) - x;
    y -= e * 0.88622692545275801365 * exp(y * y);
  }
  return y;
}
D1(erfinv, erfinv_d(x))
BIS(atan2_F64, F64, F64, atan2(x, y))
// Complex numbers, of floats and of doubles (T the parts, f the suffix of the C library's names). They compare by
// real part, then imaginary. A power with a small whole exponent is products, as in NumPy.
#define COMPLEX(C, T, f)                                                                     \
  static inline int lt1_##C(C x, C y) {                                                     \
    return creal##f(x) < creal##f(y) || (creal##f(x) == creal##f(y) && cimag##f(x) < cimag##f(y)); \
  }                                                                                         \
  static inline int nan1_##C(C x) { return creal##f(x) != creal##f(x) || cimag##f(x) != cimag##f(x); } \
  static inline C make_##C(T re, T im) { return __builtin_complex(re, im); }                \
  static inline C mul1_##C(C x, C y) {                                                      \
    T a = creal##f(x), b = cimag##f(x), c = creal##f(y), d = cimag##f(y);                   \
    return make_##C(a * c - b * d, a * d + b * c);                                          \
  }                                                                                         \
  static inline C sign1_##C(C x) {                                                          \
    T m = cabs##f(x);                                                                       \
    return m == 0 ? x : make_##C(creal##f(x) / m, cimag##f(x) / m);                         \
  }                                                                                         \
  static inline C scale_##C(C x, T s) { return make_##C(creal##f(x) * s, cimag##f(x) * s); } \
  static inline C pow1_##C(C x, C y) {                                                      \
    if (creal##f(y) == 0 && cimag##f(y) == 0) return 1;                                     \
    if (nan1_##C(y)) return make_##C(NAN, NAN);                                             \
    if (creal##f(x) == 0 && cimag##f(x) == 0) return 0;                                     \
    T e = creal##f(y);                                                                      \
    if (cimag##f(y) == 0 && e > -100 && e < 100 && e == (T)(int)e) {                        \
      int n = (int)e, m = n < 0 ? -n : n;                                                   \
      C r = 1, b = x;                                                                       \
      for (;;) {                                                                            \
        if (m & 1) r = mul1_##C(r, b);                                                      \
        if (!(m >>= 1)) break;                                                              \
        b = mul1_##C(b, b);                                                                 \
      }                                                                                     \
      return n < 0 ? 1 / r : r;                                                             \
    }                                                                                       \
    return cpow##f(x, y);                                                                   \
  }                                                                                         \
  static inline C logaddexp1_##C(C x, C y) {                                                \
    C high = lt1_##C(y, x) ? x : y, low = lt1_##C(y, x) ? y : x;                            \
    if (creal##f(high) == -INFINITY) return high;                                           \
    return high + clog##f(1 + cexp##f(low - high));                                         \
  }                                                                                         \
  BI(add_##C, C, C, x + y) BI(sub_##C, C, C, x - y) BIS(mul_##C, C, C, mul1_##C(x, y))      \
  BIS(div_##C, C, C, x / y) UN(neg_##C, C, C, -x) UNS(square_##C, C, C, mul1_##C(x, x))     \
  BIS(max_##C, C, C, nan1_##C(x) ? x : nan1_##C(y) ? y : lt1_##C(x, y) ? y : x)             \
  BIS(min_##C, C, C, nan1_##C(x) ? x : nan1_##C(y) ? y : lt1_##C(y, x) ? y : x)             \
  BIS(eq_##C, I32, C, x == y) BIS(ne_##C, I32, C, x != y) BIS(lt_##C, I32, C, lt1_##C(x, y)) \
  BIS(le_##C, I32, C, !nan1_##C(x) && !nan1_##C(y) && !lt1_##C(y, x))                       \
  BIS(gt_##C, I32, C, lt1_##C(y, x))                                                        \
  BIS(ge_##C, I32, C, !nan1_##C(x) && !nan1_##C(y) && !lt1_##C(x, y))                       \
  UNS(nz_##C, I32, C, x != 0) UNS(iz_##C, I32, C, x == 0) UNS(abs_##C, T, C, cabs##f(x))    \
  UNS(sign_##C, C, C, sign1_##C(x)) UNS(isnan_##C, I32, C, nan1_##C(x))                     \
  UNS(isinf_##C, I32, C, fabs##f(creal##f(x)) == INFINITY || fabs##f(cimag##f(x)) == INFINITY) \
  UNS(isfinite_##C, I32, C, fabs##f(creal##f(x)) < INFINITY && fabs##f(cimag##f(x)) < INFINITY) \
  UNS(rint_##C, C, C, make_##C(rint##f(creal##f(x)), rint##f(cimag##f(x))))                 \
  BIS(fdiv_##C, C, C, (x = x / y, make_##C(floor##f(creal##f(x)), floor##f(cimag##f(x)))))  \
  BIS(pow_##C, C, C, pow1_##C(x, y)) BIS(logaddexp_##C, C, C, logaddexp1_##C(x, y))         \
  UNS(sqrt_##C, C, C, csqrt##f(x)) UNS(rsqrt_##C, C, C, 1 / csqrt##f(x))                    \
  UNS(recip_##C, C, C, 1 / x) UNS(exp_##C, C, C, cexp##f(x))                                \
  UNS(expm1_##C, C, C, cexp##f(x) - 1) UNS(log_##C, C, C, clog##f(x))                       \
  UNS(log2_##C, C, C, scale_##C(clog##f(x), (T)1.44269504088896340736))                     \
  UNS(log10_##C, C, C, scale_##C(clog##f(x), (T)0.43429448190325182765))                    \
  UNS(log1p_##C, C, C, clog##f(1 + x))                                                      \
  UNS(sin_##C, C, C, csin##f(x)) UNS(cos_##C, C, C, ccos##f(x)) UNS(tan_##C, C, C, ctan##f(x)) \
  UNS(asin_##C, C, C, casin##f(x)) UNS(acos_##C, C, C, cacos##f(x))                         \
  UNS(atan_##C, C, C, catan##f(x)) UNS(sinh_##C, C, C, csinh##f(x))                         \
  UNS(cosh_##C, C, C, ccosh##f(x)) UNS(tanh_##C, C, C, ctanh##f(x))                         \
  UNS(asinh_##C, C, C, casinh##f(x)) UNS(acosh_##C, C, C, cacosh##f(x))                     \
  UNS(atanh_##C, C, C, catanh##f(x)) UNS(sigmoid_##C, C, C, 1 / (1 + cexp##f(-x)))          \
  UNS(conj_##C, C, C, conj##f(x)) UNS(imag_##C, T, C, cimag##f(x))
COMPLEX(C64, float, f)
COMPLEX(C128, double, )

// Casts. A float out of an integer's range gives the lowest integer, as x86 does.
static inline I32 f2i(double x) { return x > -2147483649.0 && x < 2147483648.0 ? (I32)x : INT32_MIN; }
static inline I32 ff2i(float x) { return x >= -0x1p31f && x < 0x1p31f ? (I32)x : INT32_MIN; }
static inline I64 f2l(double x) { return x >= -0x1p63 && x < 0x1p63 ? (I64)x : INT64_MIN; }
static inline U64 f2ul(double x) {
  return x >= 0x1p63 && x < 0x1p64 ? (U64)x : (U64)f2l(x);
}
#define CASTS(T, R, name)                                                                   \
  UN(name##_I32, R, I32, (R)x) UN(name##_U32, R, U32, (R)x) UN(name##_I64, R, I64, (R)x)    \
  UN(name##_U64, R, U64, (R)x)
CASTS(T, F32, tof32) CASTS(T, F64, tof64) CASTS(T, I32, toi32) CASTS(T, I64, toi64)
UN(tof32_F64, F32, F64, (F32)x) UN(tof64_F32, F64, F32, (F64)x)
UN(toi32_F32, I32, F32, ff2i(x)) UN(toi32_F64, I32, F64, f2i(x))
UN(tou32_F32, U32, F32, (U32)f2l(x)) UN(tou32_F64, U32, F64, (U32)f2l(x))
UN(toi64_F32, I64, F32, f2l(x)) UN(toi64_F64, I64, F64, f2l(x))
UN(tou64_F32, U64, F32, f2ul(x)) UN(tou64_F64, U64, F64, f2ul(x))
#define COMPLEX_CASTS(C, T, f, F2I)                                                          \
  UNS(tof32_##C, F32, C, (F32)creal##f(x)) UNS(tof64_##C, F64, C, creal##f(x))              \
  UNS(toi32_##C, I32, C, F2I(creal##f(x))) UNS(tou32_##C, U32, C, (U32)f2l(creal##f(x)))    \
  UNS(toi64_##C, I64, C, f2l(creal##f(x))) UNS(tou64_##C, U64, C, f2ul(creal##f(x)))        \
  UN(to##C##_F32, C, F32, make_##C((T)x, 0)) UN(to##C##_F64, C, F64, make_##C((T)x, 0))     \
  UN(to##C##_I32, C, I32, make_##C((T)x, 0)) UN(to##C##_U32, C, U32, make_##C((T)x, 0))     \
  UN(to##C##_I64, C, I64, make_##C((T)x, 0)) UN(to##C##_U64, C, U64, make_##C((T)x, 0))
COMPLEX_CASTS(C64, float, f, ff2i)
COMPLEX_CASTS(C128, double, , f2i)
UNS(toC128_C64, C128, C64, make_C128(crealf(x), cimagf(x)))
UNS(toC64_C128, C64, C128, make_C64((float)creal(x), (float)cimag(x)))
UN(wrap_i8, I32, I32, (int8_t)x) UN(wrap_u8, I32, I32, (uint8_t)x)
UN(wrap_i16, I32, I32, (int16_t)x) UN(wrap_u16, I32, I32, (uint16_t)x)

// float16 and bfloat16, by bits where there is no instruction.
static inline U32 f32bits(float x) { U32 u; memcpy(&u, &x, 4); return u; }
static inline float bitsf32(U32 u) { float x; memcpy(&x, &u, 4); return x; }
static inline U32 tobf16(float x) {
  U32 u = f32bits(x);
  U32 r = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
  return x != x ? (u >> 16) | 0x40 : r;
}
static inline float frombf16(U32 h) { return bitsf32(h << 16); }
#if LULL_LEVEL > 0
static inline float fromf16(uint16_t h) { _Float16 x; memcpy(&x, &h, 2); return (float)x; }
static inline uint16_t tof16(float f) { _Float16 x = (_Float16)f; uint16_t h; memcpy(&h, &x, 2); return h; }
#else
static inline float fromf16(uint16_t h) {
  U32 w = (U32)h << 16, sign = w & 0x80000000u, two = w + w;
  float normal = bitsf32((two >> 4) + (0xe0u << 23)) * 0x1p-112f;
  float subnormal = bitsf32((two >> 17) | (126u << 23)) - 0.5f;
  return bitsf32(sign | f32bits(two < (1u << 27) ? subnormal : normal));
}
static inline uint16_t tof16(float f) {
  U32 w = f32bits(f), two = w + w, sign = w & 0x80000000u, bias = two & 0xff000000u;
  if (bias < 0x71000000u) bias = 0x71000000u;
  float base = fabsf(f) * 0x1p+112f * 0x1p-110f;
  base = bitsf32((bias >> 1) + 0x07800000u) + base;
  U32 bits = f32bits(base);
  U32 low = ((bits >> 13) & 0x7c00u) + (bits & 0xfffu);
  return (uint16_t)((sign >> 16) | (two > 0xff000000u ? 0x7e00u : low));
}
#endif
UN(round_f16, F32, F32, fromf16(tof16(x)))
UN(round_bf16, F32, F32, frombf16(tobf16(x)))

#define ALLI(f) [lullI32] = f##_I32, [lullU32] = f##_U32, [lullI64] = f##_I64, [lullU64] = f##_U64
#define FLT(f) [lullF32] = f##_F32, [lullF64] = f##_F64
#define CPLX(f) [lullC64] = f##_C64, [lullC128] = f##_C128
#define FC(f) FLT(f), CPLX(f)
#define REAL(f) FLT(f), ALLI(f)
#define EVERY(f) REAL(f), CPLX(f)
static const LullOpFunction table[lullOpCount][lullComputeTypes] = {
  [lullAdd] = {EVERY(add)}, [lullSub] = {EVERY(sub)}, [lullMul] = {EVERY(mul)},
  [lullDiv] = {FC(div)}, [lullFloorDiv] = {EVERY(fdiv)}, [lullRem] = {REAL(rem)},
  [lullPow] = {EVERY(pow)}, [lullMax] = {EVERY(max)}, [lullMin] = {EVERY(min)},
  [lullAtan2] = {FLT(atan2)}, [lullLogAddExp] = {FC(logaddexp)}, [lullEq] = {EVERY(eq)},
  [lullNe] = {EVERY(ne)}, [lullLt] = {EVERY(lt)}, [lullLe] = {EVERY(le)}, [lullGt] = {EVERY(gt)},
  [lullGe] = {EVERY(ge)}, [lullAnd] = {ALLI(and)}, [lullOr] = {ALLI(or)}, [lullXor] = {ALLI(xor)},
  [lullShl] = {ALLI(shl)}, [lullShr] = {ALLI(shr)},
  [lullSelect] = {[lullF32] = select4, [lullI32] = select4, [lullU32] = select4,
    [lullF64] = select8, [lullI64] = select8, [lullU64] = select8, [lullC64] = select8, [lullC128] = select16},
  [lullNeg] = {EVERY(neg)}, [lullAbs] = {EVERY(abs)}, [lullSign] = {EVERY(sign)},
  [lullSquare] = {EVERY(square)}, [lullNotZero] = {EVERY(nz)}, [lullIsZero] = {EVERY(iz)},
  [lullInvert] = {ALLI(invert)}, [lullIsNan] = {FC(isnan)}, [lullIsInf] = {FC(isinf)},
  [lullIsFinite] = {FC(isfinite)}, [lullIsPosInf] = {FLT(isposinf)},
  [lullIsNegInf] = {FLT(isneginf)}, [lullFloor] = {FLT(floor)}, [lullCeil] = {FLT(ceil)},
  [lullRint] = {FC(rint)}, [lullTrunc] = {FLT(trunc)}, [lullSqrt] = {FC(sqrt)},
  [lullRsqrt] = {FC(rsqrt)}, [lullRecip] = {FC(recip)}, [lullExp] = {FC(exp)},
  [lullExpm1] = {FC(expm1)}, [lullLog] = {FC(log)}, [lullLog2] = {FC(log2)},
  [lullLog10] = {FC(log10)}, [lullLog1p] = {FC(log1p)}, [lullSin] = {FC(sin)},
  [lullCos] = {FC(cos)}, [lullTan] = {FC(tan)}, [lullAsin] = {FC(asin)}, [lullAcos] = {FC(acos)},
  [lullAtan] = {FC(atan)}, [lullSinh] = {FC(sinh)}, [lullCosh] = {FC(cosh)},
  [lullTanh] = {FC(tanh)}, [lullAsinh] = {FC(asinh)}, [lullAcosh] = {FC(acosh)},
  [lullAtanh] = {FC(atanh)}, [lullSigmoid] = {FC(sigmoid)}, [lullErf] = {FLT(erf)},
  [lullErfInv] = {FLT(erfinv)}, [lullConj] = {CPLX(conj)},
  [lullImag] = {CPLX(imag)},
  [lullCastF32] = {ALLI(tof32), [lullF64] = tof32_F64, CPLX(tof32)},
  [lullCastF64] = {ALLI(tof64), [lullF32] = tof64_F32, CPLX(tof64)},
  [lullCastI32] = {FC(toi32), [lullU32] = toi32_U32, [lullI64] = toi32_I64, [lullU64] = toi32_U64},
  [lullCastU32] = {FC(tou32), [lullI32] = toi32_U32, [lullI64] = toi32_I64, [lullU64] = toi32_U64},
  [lullCastI64] = {FC(toi64), [lullI32] = toi64_I32, [lullU32] = toi64_U32, [lullU64] = toi64_U64},
  [lullCastU64] = {FC(tou64), [lullI32] = toi64_I32, [lullU32] = toi64_U32, [lullI64] = toi64_U64},
  [lullCastC64] = {REAL(toC64), [lullC128] = toC64_C128},
  [lullCastC128] = {REAL(toC128), [lullC64] = toC128_C64},
  [lullWrapI8] = {[lullI32] = wrap_i8}, [lullWrapU8] = {[lullI32] = wrap_u8},
  [lullWrapI16] = {[lullI32] = wrap_i16}, [lullWrapU16] = {[lullI32] = wrap_u16},
  [lullRoundF16] = {[lullF32] = round_f16}, [lullRoundBF16] = {[lullF32] = round_bf16},
  [lullMulAdd] = {[lullF32] = muladd_F32}, [lullMulSub] = {[lullF32] = mulsub_F32},
  [lullNegMulAdd] = {[lullF32] = negmuladd_F32},
};
LullOpFunction NAME(lull_op_)(int op, int type) { return table[op][type]; }

// Loading n elements of memory type M, `stride` bytes apart, to compute type R, and storing.
#define LOADER(dtype, M, R, load)                                                           \
  case dtype: {                                                                             \
    R *d = dv;                                                                              \
    if (stride == (int64_t)sizeof(M)) {                                                     \
      const M *s = (const M *)src;                                                          \
      LOOP { M x = s[i]; d[i] = load; }                                                     \
    } else if (stride == 0) {                                                               \
      M x = *(const M *)src;                                                                \
      R value = load;                                                                       \
      LOOP d[i] = value;                                                                    \
    } else {                                                                                \
      for (int64_t i = 0; i < n; ++i) { M x = *(const M *)(src + i * stride); d[i] = load; } \
    }                                                                                       \
    break;                                                                                  \
  }
// Elements of 4 bytes a few apart: with the distance known, whole vectors are read and shuffled.
static int load_stepped(U32 *d, const U32 *s, int64_t stride, int64_t n) {
  switch (stride) {
#define STEP(k) case 4 * (k): LOOP d[i] = s[(k) * i]; return 1;
    STEP(-1) STEP(2) STEP(3) STEP(4)
  }
  return 0;
}
void NAME(lull_load_)(void *dv, const char *src, int dtype, int64_t stride, int64_t n) {
  if ((dtype == lullFloat32 || dtype == lullInt32 || dtype == lullUInt32) &&
      load_stepped(dv, (const U32 *)src, stride, n))
    return;
  switch (dtype) {
    LOADER(lullBool, uint8_t, I32, x != 0)
    LOADER(lullUInt8, uint8_t, I32, x)
    LOADER(lullUInt16, uint16_t, I32, x)
    LOADER(lullUInt32, U32, U32, x)
    LOADER(lullUInt64, U64, U64, x)
    LOADER(lullInt8, int8_t, I32, x)
    LOADER(lullInt16, int16_t, I32, x)
    LOADER(lullInt32, U32, U32, x)
    LOADER(lullInt64, U64, U64, x)
    LOADER(lullFloat16, uint16_t, F32, fromf16(x))
    LOADER(lullBFloat16, uint16_t, F32, frombf16(x))
    LOADER(lullFloat32, U32, U32, x)
    LOADER(lullFloat64, U64, U64, x)
    LOADER(lullComplex64, U64, U64, x)
    LOADER(lullComplex128, C128, C128, x)
  }
}
#define STORER(dtype, M, R, expr)                                                           \
  case dtype: {                                                                             \
    const R *a = av;                                                                        \
    M *d = (M *)dst;                                                                        \
    LOOP { R x = a[i]; d[i] = (M)(expr); }                                                  \
    break;                                                                                  \
  }
void NAME(lull_store_)(char *dst, const void *av, int dtype, int64_t n) {
  switch (dtype) {
    STORER(lullBool, uint8_t, I32, x != 0)
    STORER(lullUInt8, uint8_t, I32, x)
    STORER(lullUInt16, uint16_t, I32, x)
    STORER(lullInt8, int8_t, I32, x)
    STORER(lullInt16, int16_t, I32, x)
    STORER(lullFloat16, uint16_t, F32, tof16(x))
    STORER(lullBFloat16, uint16_t, F32, tobf16(x))
    STORER(lullUInt32, U32, U32, x)
    STORER(lullInt32, U32, U32, x)
    STORER(lullFloat32, U32, U32, x)
    STORER(lullUInt64, U64, U64, x)
    STORER(lullInt64, U64, U64, x)
    STORER(lullFloat64, U64, U64, x)
    STORER(lullComplex64, U64, U64, x)
    STORER(lullComplex128, C128, C128, x)
  }
}

// Folding n values of a tile into an accumulator.
static double sum_lanes(vf x) {
  typedef double vdouble __attribute__((vector_size(VL * 8)));
  vdouble d = __builtin_convertvector(x, vdouble);
  double lane[VL];
  memcpy(lane, &d, sizeof lane);
  // Pairs, not a chain of additions that wait for each other.
  for (int width = VL / 2; width > 0; width /= 2)
    for (int k = 0; k < width; ++k) lane[k] += lane[k + width];
  return lane[0];
}
// Up to 128 numbers: no lane adds more than 8, so float32 loses little before the pairs are added.
static float sum_few_f32(const float *a, int64_t n) {
  vf acc = VF(0.0f);
  int64_t i = 0;
  for (; i + VL <= n; i += VL) acc += *(const vf *)(a + i);
  float lane[VL];
  memcpy(lane, &acc, sizeof lane);
  for (int width = VL / 2; width > 0; width /= 2)
    for (int k = 0; k < width; ++k) lane[k] += lane[k + width];
  float total = lane[0];
  for (; i < n; ++i) total += a[i];
  return total;
}
static double sum_f32(const float *a, int64_t n) {
  enum { W = 4 };
  vf acc[W] = {};
  int64_t i = 0;
  for (; i + W * VL <= n; i += W * VL)
    for (int k = 0; k < W; ++k) acc[k] += *(const vf *)(a + i + k * VL);
  for (; i + VL <= n; i += VL) acc[0] += *(const vf *)(a + i);
  double total = sum_lanes((acc[0] + acc[1]) + (acc[2] + acc[3]));
  for (; i < n; ++i) total += a[i];
  return total;
}
#define FOLD(name, A, T, start, step)                                                       \
  static A name(const T *a, int64_t n, A acc) {                                             \
    _Pragma("clang loop vectorize(enable) interleave(enable)") for (int64_t i = 0; i < n; ++i) { T x = a[i]; step; } \
    return acc;                                                                             \
  }
FOLD(sum_i32, U64, I32, 0, acc += (U64)(I64)x)
FOLD(sum_u32, U64, U32, 0, acc += x)
FOLD(sum_u64, U64, U64, 0, acc += x)
FOLD(prod_i32, U64, I32, 1, acc *= (U64)(I64)x)
FOLD(prod_u64, U64, U64, 1, acc *= x)
FOLD(max_i32, I32, I32, 0, acc = x > acc ? x : acc)
FOLD(min_i32, I32, I32, 0, acc = x < acc ? x : acc)
FOLD(max_u32, U32, U32, 0, acc = x > acc ? x : acc)
FOLD(min_u32, U32, U32, 0, acc = x < acc ? x : acc)
FOLD(max_i64, I64, I64, 0, acc = x > acc ? x : acc)
FOLD(min_i64, I64, I64, 0, acc = x < acc ? x : acc)
FOLD(max_u64, U64, U64, 0, acc = x > acc ? x : acc)
FOLD(min_u64, U64, U64, 0, acc = x < acc ? x : acc)
FOLD(or_i32, I32, I32, 0, acc |= x)
FOLD(and_i32, I32, I32, 0, acc &= x)
static double sum_f64(const double *a, int64_t n) {
  double s[8] = {0};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int k = 0; k < 8; ++k) s[k] += a[i + k];
  double total = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
  for (; i < n; ++i) total += a[i];
  return total;
}
static double prod_f32(const float *a, int64_t n) {
  double s[4] = {1, 1, 1, 1};
  int64_t i = 0;
  for (; i + 4 <= n; i += 4)
    for (int k = 0; k < 4; ++k) s[k] *= a[i + k];
  double total = (s[0] * s[1]) * (s[2] * s[3]);
  for (; i < n; ++i) total *= a[i];
  return total;
}
// Largest (or smallest) float of n > 0, NaN if there is one.
static float extreme_f32(const float *a, int64_t n, int smallest) {
  int64_t i = 0;
  float best = a[0];
  if (n >= VL) {
    // Four at a time: one comparison waits for the last otherwise.
    vf m = *(const vf *)a, m1 = m, m2 = m, m3 = m;
    vi bad = (vi)(m != m);
#define WIDER(m, x) m = smallest ? SEL(x < m, x, m) : SEL(x > m, x, m);
    for (; i + 4 * VL <= n; i += 4 * VL) {
      vf x = *(const vf *)(a + i), x1 = *(const vf *)(a + i + VL);
      vf x2 = *(const vf *)(a + i + 2 * VL), x3 = *(const vf *)(a + i + 3 * VL);
      WIDER(m, x) WIDER(m1, x1) WIDER(m2, x2) WIDER(m3, x3)
      bad |= ((vi)(x != x) | (vi)(x1 != x1)) | ((vi)(x2 != x2) | (vi)(x3 != x3));
    }
    for (; i + VL <= n; i += VL) {
      vf x = *(const vf *)(a + i);
      WIDER(m, x)
      bad |= (vi)(x != x);
    }
    m = smallest ? SEL(m1 < m, m1, m) : SEL(m1 > m, m1, m);
    m = smallest ? SEL(m2 < m, m2, m) : SEL(m2 > m, m2, m);
    m = smallest ? SEL(m3 < m, m3, m) : SEL(m3 > m, m3, m);
    if (ANY(bad)) return NAN;
    float lane[VL];
    memcpy(lane, &m, sizeof lane);
    for (int width = VL / 2; width > 0; width /= 2)
      for (int k = 0; k < width; ++k) {
        float x = lane[k], y = lane[k + width];
        lane[k] = smallest ? (y < x ? y : x) : (y > x ? y : x);
      }
    best = lane[0];
  }
  for (; i < n; ++i) {
    if (a[i] != a[i]) return NAN;
    best = smallest ? (a[i] < best ? a[i] : best) : (a[i] > best ? a[i] : best);
  }
  return best != best ? NAN : best;
}

// The first place of m (any nan, if it is nan) among n floats that hold it.
static int64_t first_equal_f32(const float *a, int64_t n, float m) {
  int64_t i = 0;
  for (; i + VL <= n; i += VL) {
    vf x = *(const vf *)(a + i);
    if (ANY(m != m ? (vi)(x != x) : (vi)(x == m))) break;
  }
  while (i < n - 1 && !(m != m ? a[i] != a[i] : a[i] == m)) ++i;
  return i;
}

// Complex numbers of a tile, as pairs of parts of type T: into the sum, the product, the extreme.
#define SUM_PAIRS(T)                                                                        \
  for (int64_t i = 0; i < n; ++i)                                                           \
    acc->re += ((const T *)tile)[2 * i], acc->im += ((const T *)tile)[2 * i + 1];
#define MULTIPLY_PAIRS(T)                                                                   \
  for (int64_t i = 0; i < n; ++i) {                                                         \
    double a = acc->re, b = acc->im, c = ((const T *)tile)[2 * i], d = ((const T *)tile)[2 * i + 1]; \
    acc->re = a * c - b * d, acc->im = a * d + b * c;                                       \
  }
#define EXTREME_PAIR(C, T, f, found)                                                         \
  for (int64_t i = 0; i < n; ++i) {                                                         \
    C m = ((const C *)tile)[i], o = make_##C((T)acc->re, (T)acc->im);                       \
    if (first || (!nan1_##C(o) && (nan1_##C(m) || (least ? lt1_##C(m, o) : lt1_##C(o, m))))) { \
      acc->re = creal##f(m), acc->im = cimag##f(m);                                         \
      found                                                                                 \
    }                                                                                       \
    first = 0;                                                                              \
  }
// Whether a complex number takes the place of the extreme found so far: the first nan stays.
static inline int is_better(const LullAccumulator *acc, double re, double im, int least) {
  C128 m = make_C128(re, im), o = make_C128(acc->re, acc->im);
  return !nan1_C128(o) && (nan1_C128(m) || (least ? lt1_C128(m, o) : lt1_C128(o, m)));
}

static void fold(LullAccumulator *acc, int op, int type, const void *tile, int64_t n, int64_t base) {
  if (n <= 0) return;
  int first = acc->count == 0;
  switch (op) {
  case lullSum:
    if (first) acc->re = acc->im = 0, acc->u = 0;
    switch (type) {
    case lullF32: acc->re += sum_f32(tile, n); break;
    case lullF64: acc->re += sum_f64(tile, n); break;
    case lullI32: acc->u = sum_i32(tile, n, acc->u); break;
    case lullU32: acc->u = sum_u32(tile, n, acc->u); break;
    case lullI64: case lullU64: acc->u = sum_u64(tile, n, acc->u); break;
    case lullC64: SUM_PAIRS(float) break;
    default: SUM_PAIRS(double)
    }
    break;
  case lullProd:
    if (first) acc->re = 1, acc->im = 0, acc->u = 1;
    switch (type) {
    case lullF32: acc->re *= prod_f32(tile, n); break;
    case lullF64: for (int64_t i = 0; i < n; ++i) acc->re *= ((const double *)tile)[i]; break;
    case lullI32: acc->u = prod_i32(tile, n, acc->u); break;
    case lullU32: for (int64_t i = 0; i < n; ++i) acc->u *= ((const U32 *)tile)[i]; break;
    case lullI64: case lullU64: acc->u = prod_u64(tile, n, acc->u); break;
    case lullC64: MULTIPLY_PAIRS(float) break;
    default: MULTIPLY_PAIRS(double)
    }
    break;
  case lullMaxOf: case lullMinOf: {
    int least = op == lullMinOf;
    switch (type) {
    case lullF32: {
      double m = extreme_f32(tile, n, least);
      if (first || m != m || (least ? m < acc->re : m > acc->re)) if (first || acc->re == acc->re) acc->re = m;
      break;
    }
    case lullF64: for (int64_t i = 0; i < n; ++i) {
      double m = ((const double *)tile)[i];
      if (first || m != m || (least ? m < acc->re : m > acc->re)) if (first || acc->re == acc->re) acc->re = m;
      first = 0;
    } break;
#define EXTREME(T, f, F) { T m = ((const T *)tile)[0]; if (!first) m = (T)acc->u; \
      acc->u = (U64)(I64)(least ? min_##f(tile, n, m) : max_##f(tile, n, m)); }
    case lullI32: EXTREME(I32, i32, ) break;
    case lullU32: EXTREME(U32, u32, ) break;
    case lullI64: EXTREME(I64, i64, ) break;
    case lullU64: EXTREME(U64, u64, ) break;
    case lullC64: EXTREME_PAIR(C64, float, f, ) break;
    default: EXTREME_PAIR(C128, double, , )
    }
    break;
  }
  case lullAny: acc->u = (U64)or_i32(tile, n, first ? 0 : (I32)acc->u); break;
  case lullAll: acc->u = (U64)and_i32(tile, n, first ? 1 : (I32)acc->u); break;
  case lullArgMax: case lullArgMin: {
    int least = op == lullArgMin;
#define ARG(T, field, isnan1)                                                               \
    {                                                                                       \
      const T *a = tile;                                                                    \
      for (int64_t i = 0; i < n; ++i) {                                                     \
        T x = a[i];                                                                         \
        if (first || ((least ? x < (T)acc->field : x > (T)acc->field) && (T)acc->field == (T)acc->field) || \
            (isnan1 && acc->field == acc->field))                                           \
          acc->field = x, acc->index = base + i, first = 0;                                 \
      }                                                                                     \
    }
    switch (type) {
    case lullF32: {
      float m = extreme_f32(tile, n, least);
      if (!first && (acc->re != acc->re || !(m != m || (least ? m < acc->re : m > acc->re)))) break;
      int64_t i = first_equal_f32(tile, n, m);
      acc->re = m;
      acc->index = base + i;
      break;
    }
    case lullF64: ARG(double, re, x != x) break;
    case lullI32: { const I32 *a = tile; for (int64_t i = 0; i < n; ++i)
      if (first || (least ? a[i] < (I64)acc->u : a[i] > (I64)acc->u)) acc->u = (U64)(I64)a[i], acc->index = base + i, first = 0; } break;
    case lullU32: ARG(U32, u, 0) break;
    case lullI64: { const I64 *a = tile; for (int64_t i = 0; i < n; ++i)
      if (first || (least ? a[i] < (I64)acc->u : a[i] > (I64)acc->u)) acc->u = (U64)a[i], acc->index = base + i, first = 0; } break;
    case lullU64: ARG(U64, u, 0) break;
    case lullC64: EXTREME_PAIR(C64, float, f, acc->index = base + i;) break;
    default: EXTREME_PAIR(C128, double, , acc->index = base + i;)
    }
    break;
  }
  }
  acc->count += n;
}

// Folds one partial accumulator into another (in order, so that the first index wins).
static void merge(LullAccumulator *acc, const LullAccumulator *next, int op, int type) {
  if (next->count == 0) return;
  if (acc->count == 0) { *acc = *next; return; }
  int least = op == lullMinOf || op == lullArgMin;
  switch (op) {
  case lullSum: acc->re += next->re; acc->im += next->im; acc->u += next->u; break;
  case lullProd: {
    double a = acc->re, b = acc->im;
    acc->re = type >= lullC64 ? a * next->re - b * next->im : a * next->re;
    acc->im = type >= lullC64 ? a * next->im + b * next->re : 0;
    acc->u *= next->u;
    break;
  }
  case lullAny: acc->u |= next->u; break;
  case lullAll: acc->u &= next->u; break;
  default: {
    int better;
    switch (type) {
    case lullF32: case lullF64:
      better = acc->re == acc->re && (next->re != next->re || (least ? next->re < acc->re : next->re > acc->re));
      break;
    case lullI32: case lullI64: better = least ? (I64)next->u < (I64)acc->u : (I64)next->u > (I64)acc->u; break;
    case lullU32: case lullU64: better = least ? next->u < acc->u : next->u > acc->u; break;
    default: better = is_better(acc, next->re, next->im, least);
    }
    int64_t count = acc->count;
    if (better) *acc = *next;
    acc->count = count;
  }
  }
  acc->count += next->count;
}

static void finish(const LullAccumulator *acc, int op, int type, int dtype, char *out) {
  if (op == lullArgMax || op == lullArgMin) {
    U32 index = (U32)acc->index;
    memcpy(out, &index, 4);
    return;
  }
  union { float f; double d; U32 u; U64 l; C64 c; C128 z; } v;
  double re = acc->re, im = acc->im;
  U64 u = acc->u;
  if (acc->count == 0) re = u = op == lullProd || op == lullAll, im = 0;
  switch (type) {
  case lullF32: v.f = (float)re; break;
  case lullF64: v.d = re; break;
  case lullI32: case lullU32: v.u = (U32)u; break;
  case lullI64: case lullU64: v.l = u; break;
  case lullC64: v.c = make_C64((float)re, (float)im); break;
  default: v.z = make_C128(re, im);
  }
  NAME(lull_store_)(out, &v, dtype, 1);
}

#include "random_impl.h"
#include "transpose_impl.h"
#include "vm_run.h"
#include "softmax_impl.h"

const LullLevel NAME(lull_level_) = {
  NAME(lull_op_), NAME(lull_load_), NAME(lull_store_), NAME(elementwise_),
  NAME(elementwise_blocks_), NAME(reduce_rows_), NAME(reduce_columns_), NAME(finish_rows_), NAME(finish_columns_), NAME(softmax_),
  NAME(transpose_), NAME(threefry_),
};

#if LULL_LEVEL > 0
#pragma clang attribute pop
#endif
