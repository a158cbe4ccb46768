// The kernels of fft.h, compiled once per instruction set for numbers whose parts are REAL, float or double.
#include <math.h>
#include <string.h>

typedef REAL reals __attribute__((ext_vector_type(16)));
typedef REAL looseReals __attribute__((ext_vector_type(16), aligned(sizeof(REAL))));
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")
#pragma clang fp contract(fast)

typedef struct {
  reals re, im;
} C;

INLINE C add(C a, C b) { return (C){a.re + b.re, a.im + b.im}; }
INLINE C sub(C a, C b) { return (C){a.re - b.re, a.im - b.im}; }
// times -i
INLINE C turn(C a) { return (C){a.im, -a.re}; }
INLINE C times(C a, REAL re, REAL im) { return (C){a.re * re - a.im * im, a.re * im + a.im * re}; }

// Butterflies: x becomes its transform of R elements.
INLINE void fft2(C *x) {
  C a = x[0], b = x[1];
  x[0] = add(a, b), x[1] = sub(a, b);
}
INLINE void fft3(C *x) {
  C sum = add(x[1], x[2]), difference = sub(x[1], x[2]);
  C a = {x[0].re - (REAL)0.5 * sum.re, x[0].im - (REAL)0.5 * sum.im};
  C b = times(turn(difference), (REAL)0.86602540378443864676, 0);
  x[0] = add(x[0], sum);
  x[1] = add(a, b), x[2] = sub(a, b);
}
INLINE void fft4(C *x) {
  C a = add(x[0], x[2]), b = sub(x[0], x[2]), c = add(x[1], x[3]), d = turn(sub(x[1], x[3]));
  x[0] = add(a, c), x[1] = add(b, d), x[2] = sub(a, c), x[3] = sub(b, d);
}
INLINE void fft5(C *x) {
  const REAL c1 = (REAL)0.30901699437494742410, c2 = -(REAL)0.80901699437494742410, s1 = (REAL)0.95105651629515357212, s2 = (REAL)0.58778525229247312917;
  C a1 = add(x[1], x[4]), b1 = turn(sub(x[1], x[4])), a2 = add(x[2], x[3]), b2 = turn(sub(x[2], x[3]));
  C p1 = {x[0].re + c1 * a1.re + c2 * a2.re, x[0].im + c1 * a1.im + c2 * a2.im};
  C p2 = {x[0].re + c2 * a1.re + c1 * a2.re, x[0].im + c2 * a1.im + c1 * a2.im};
  C q1 = {s1 * b1.re + s2 * b2.re, s1 * b1.im + s2 * b2.im};
  C q2 = {s2 * b1.re - s1 * b2.re, s2 * b1.im - s1 * b2.im};
  x[0] = add(x[0], add(a1, a2));
  x[1] = add(p1, q1), x[4] = sub(p1, q1), x[2] = add(p2, q2), x[3] = sub(p2, q2);
}
INLINE void fft8(C *x) {
  const REAL h = (REAL)0.70710678118654752440;
  C even[4] = {x[0], x[2], x[4], x[6]}, odd[4] = {x[1], x[3], x[5], x[7]};
  fft4(even);
  fft4(odd);
  odd[1] = times(odd[1], h, -h);
  odd[2] = turn(odd[2]);
  odd[3] = times(odd[3], -h, -h);
  UNROLL for (int i = 0; i < 4; i++) x[i] = add(even[i], odd[i]), x[i + 4] = sub(even[i], odd[i]);
}

INLINE C load(const REAL *p) { return (C){*(const looseReals *)p, *(const looseReals *)(p + 16)}; }
INLINE void store(REAL *p, C x) { *(looseReals *)p = x.re, *(looseReals *)(p + 16) = x.im; }

// One pass: sequences of n (of which there are s, interleaved) lose the factor R. Elements are [2][16] numbers.
#define PASS(R, BUTTERFLY)                                                                            \
  static void pass##R(const REAL *x, REAL *y, int64_t n, int64_t s, const REAL *w) {               \
    int64_t m = n / R;                                                                                \
    for (int64_t p = 0; p < m; p++) {                                                                 \
      REAL re[R], im[R];                                                                             \
      for (int k = 1; k < R; k++) re[k] = w[2 * s * p * k], im[k] = w[2 * s * p * k + 1];             \
      for (int64_t q = 0; q < s; q++) {                                                               \
        C v[R];                                                                                       \
        UNROLL for (int j = 0; j < R; j++) v[j] = load(x + (q + s * (p + m * j)) * 32);               \
        BUTTERFLY(v);                                                                                 \
        store(y + (q + s * (R * p)) * 32, v[0]);                                                      \
        if (p == 0) {                                                                                 \
          UNROLL for (int k = 1; k < R; k++) store(y + (q + s * k) * 32, v[k]);                       \
        } else {                                                                                      \
          UNROLL for (int k = 1; k < R; k++)                                                          \
              store(y + (q + s * (R * p + k)) * 32, times(v[k], re[k], im[k]));                       \
        }                                                                                             \
      }                                                                                               \
    }                                                                                                 \
  }
PASS(2, fft2)
PASS(3, fft3)
PASS(4, fft4)
PASS(5, fft5)
PASS(8, fft8)

// Any small prime r; `total` is the length of the table w.
static void pass_any(int r, const REAL *x, REAL *y, int64_t n, int64_t s, const REAL *w, int64_t total) {
  int64_t m = n / r, step = total / r;
  for (int64_t p = 0; p < m; p++)
    for (int64_t q = 0; q < s; q++) {
      C first = load(x + (q + s * p) * 32), sum = first;
      C plus[16], minus[16];
      int half = (r - 1) / 2;
      for (int j = 1; j <= half; j++) {
        C a = load(x + (q + s * (p + m * j)) * 32), b = load(x + (q + s * (p + m * (r - j))) * 32);
        plus[j] = add(a, b);
        minus[j] = turn(sub(a, b));
        sum = add(sum, plus[j]);
      }
      store(y + (q + s * (r * p)) * 32, sum);
      for (int k = 1; k <= half; k++) {
        C a = first, b = {0, 0};
        for (int j = 1; j <= half; j++) {
          const REAL *z = w + 2 * step * ((j * k) % r);
          a.re += z[0] * plus[j].re, a.im += z[0] * plus[j].im;
          b.re -= z[1] * minus[j].re, b.im -= z[1] * minus[j].im;
        }
        C up = add(a, b), down = sub(a, b);
        const REAL *u = w + 2 * s * p * k, *d = w + 2 * s * p * (r - k);
        store(y + (q + s * (r * p + k)) * 32, times(up, u[0], u[1]));
        store(y + (q + s * (r * p + r - k)) * 32, times(down, d[0], d[1]));
      }
    }
}

// The transform of lanes in `a` with `b` as the other half of the scratch; where the result is.
static REAL *transform(const LullLanes *l, REAL *a, REAL *b) {
  const REAL *w = l->twiddle;
  int64_t n = l->n, s = 1;
  for (int i = 0; i < l->count; i++) {
    int r = l->radix[i];
    switch (r) {
    case 2: pass2(a, b, n, s, w); break;
    case 3: pass3(a, b, n, s, w); break;
    case 4: pass4(a, b, n, s, w); break;
    case 5: pass5(a, b, n, s, w); break;
    case 8: pass8(a, b, n, s, w); break;
    default: pass_any(r, a, b, n, s, w, l->n);
    }
    REAL *t = a;
    a = b, b = t;
    n /= r, s *= r;
  }
  return a;
}

INLINE reals evens(reals a, reals b) {
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
}
INLINE reals odds(reals a, reals b) {
  return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
}
INLINE reals low(reals a, reals b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
INLINE reals high(reals a, reals b) {
  return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

// 16 complex numbers in a row, of which `count` exist; swapping the parts turns the transform round.
INLINE C load_row(const REAL *p, int64_t count, int swap) {
  reals a, b;
  if (count >= 16) {
    a = *(const looseReals *)p, b = *(const looseReals *)(p + 16);
  } else {
    REAL part[32] = {0};
    memcpy(part, p, (size_t)count * 2 * sizeof(REAL));
    a = *(const looseReals *)part, b = *(const looseReals *)(part + 16);
  }
  return swap ? (C){odds(a, b), evens(a, b)} : (C){evens(a, b), odds(a, b)};
}
INLINE void store_row(REAL *p, C x, int64_t count, int swap) {
  reals re = swap ? x.im : x.re, im = swap ? x.re : x.im;
  reals a = low(re, im), b = high(re, im);
  if (count >= 16) {
    *(looseReals *)p = a, *(looseReals *)(p + 16) = b;
  } else {
    REAL part[32];
    *(looseReals *)part = a, *(looseReals *)(part + 16) = b;
    memcpy(p, part, (size_t)count * 2 * sizeof(REAL));
  }
}

// 16 rows of 16 numbers, transposed in place: four times, a perfect shuffle of rows i and i + 8.
INLINE void transpose(reals *r) {
  UNROLL for (int k = 0; k < 4; k++) {
    reals t[16];
    UNROLL for (int i = 0; i < 8; i++) t[2 * i] = low(r[i], r[i + 8]), t[2 * i + 1] = high(r[i], r[i + 8]);
    UNROLL for (int i = 0; i < 16; i++) r[i] = t[i];
  }
}

// Columns: element k of lane l is in[k * stride + l].
static void load_columns(const REAL *in, int64_t n, int64_t stride, int64_t lanes, int swap, REAL *to) {
  for (int64_t k = 0; k < n; k++) store(to + k * 32, load_row(in + 2 * k * stride, lanes, swap));
}
static void store_columns(const REAL *from, int64_t n, REAL *out, int64_t stride, int64_t lanes, int swap,
                          REAL scale) {
  for (int64_t k = 0; k < n; k++) {
    C x = load(from + k * 32);
    x.re *= scale, x.im *= scale;
    store_row(out + 2 * k * stride, x, lanes, swap);
  }
}
// Rows: element k of lane l is in[l * stride + k].
static void load_rows(const REAL *in, int64_t n, int64_t stride, int64_t lanes, int swap, REAL *to) {
  for (int64_t k = 0; k < n; k += 16) {
    reals re[16], im[16];
    for (int l = 0; l < 16; l++) {
      C x = l < lanes ? load_row(in + 2 * (l * stride + k), n - k, swap) : (C){0, 0};
      re[l] = x.re, im[l] = x.im;
    }
    transpose(re);
    transpose(im);
    int64_t some = n - k < 16 ? n - k : 16;
    for (int64_t i = 0; i < some; i++) store(to + (k + i) * 32, (C){re[i], im[i]});
  }
}
static void store_rows(const REAL *from, int64_t n, REAL *out, int64_t stride, int64_t lanes, int swap,
                       REAL scale) {
  for (int64_t k = 0; k < n; k += 16) {
    reals re[16], im[16];
    for (int64_t i = 0; i < 16; i++) {
      C x = k + i < n ? load(from + (k + i) * 32) : (C){0, 0};
      re[i] = x.re * scale, im[i] = x.im * scale;
    }
    transpose(re);
    transpose(im);
    for (int64_t l = 0; l < lanes; l++) store_row(out + 2 * (l * stride + k), (C){re[l], im[l]}, n - k, swap);
  }
}

void NAME(fft_lanes_columns)(const LullLanes *l, const REAL *in, REAL *out, int64_t stride, int64_t lanes,
                             int inverse, REAL scale, REAL *scratch) {
  load_columns(in, l->n, stride, lanes, inverse, scratch);
  REAL *result = transform(l, scratch, scratch + l->n * 32);
  store_columns(result, l->n, out, stride, lanes, inverse, scale);
}
void NAME(fft_lanes_rows)(const LullLanes *l, const REAL *in, REAL *out, int64_t lanes, int inverse,
                          REAL scale, REAL *scratch) {
  load_rows(in, l->n, l->n, lanes, inverse, scratch);
  REAL *result = transform(l, scratch, scratch + l->n * 32);
  store_rows(result, l->n, out, l->n, lanes, inverse, scale);
}
// The first half of the four steps for columns j ..< j + lanes; the second for rows k ..< k + lanes.
void NAME(fft_first)(const LullFFT *f, const REAL *in, REAL *middle, int64_t j, int64_t lanes, int inverse,
                     REAL *scratch) {
  int64_t n1 = f->first.n, n2 = f->second.n, mask = ((int64_t)1 << f->shift) - 1;
  load_columns(in + 2 * j, n1, n2, lanes, inverse, scratch);
  REAL *x = transform(&f->first, scratch, scratch + n1 * 32);
  const REAL *turns = f->lanes;
  for (int64_t k = 0; k < n1; k++) {
    int64_t e = k * j;
    const double *a = f->high + 2 * (e >> f->shift), *b = f->low + 2 * (e & mask);
    C w = times(load(turns + k * 32), (REAL)(a[0] * b[0] - a[1] * b[1]), (REAL)(a[0] * b[1] + a[1] * b[0]));
    C v = load(x + k * 32);
    C r = {v.re * w.re - v.im * w.im, v.re * w.im + v.im * w.re};
    store_row(middle + 2 * (k * n2 + j), r, lanes, 0);
  }
}
void NAME(fft_second)(const LullFFT *f, const REAL *middle, REAL *out, int64_t k, int64_t lanes, int inverse,
                      REAL scale, REAL *scratch) {
  int64_t n1 = f->first.n, n2 = f->second.n;
  load_rows(middle + 2 * k * n2, n2, n2, lanes, 0, scratch);
  REAL *result = transform(&f->second, scratch, scratch + n2 * 32);
  store_columns(result, n2, out + 2 * k, n1, lanes, inverse, scale);
}
