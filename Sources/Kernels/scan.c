// Cumulative operations (rows.h). A long single row is done in two passes over blocks on the
// pool: every block's total first, then every block with what comes before it.
#include "Kernels.h"
#include <complex.h>
#include <math.h>
#include <string.h>

enum { blockSize = 1 << 16 };

typedef struct {
  char *out;
  const char *x;
  char *totals;
  int dtype, kind, reverse, inclusive, pass;
  int64_t outer, n, inner, blocks;
} Scan;

static float half_to_float(uint16_t h) {
  float f;
  lull_convert((char *)&f, lullFloat32, (const char *)&h, lullFloat16, 2, 1);
  return f;
}
static uint16_t float_to_half(float f) {
  uint16_t h;
  lull_convert((char *)&h, lullFloat16, (const char *)&f, lullFloat32, 4, 1);
  return h;
}
static float bf_to_float(uint16_t h) {
  uint32_t u = (uint32_t)h << 16;
  float f;
  memcpy(&f, &u, 4);
  return f;
}
static uint16_t float_to_bf(float f) {
  uint32_t u;
  memcpy(&u, &f, 4);
  return f != f ? (u >> 16) | 0x40 : (u + 0x7fff + ((u >> 16) & 1)) >> 16;
}
typedef struct { float re, im; } complex64;
typedef struct { double re, im; } complex128;
static double lae(double x, double y) {
  if (x != x || y != y) return NAN;
  double high = x > y ? x : y, low = x > y ? y : x;
  return high == INFINITY || low == -INFINITY ? high : high + log1p(exp(low - high));
}

// One run of n elements, `step` apart: M in memory, A accumulates. From `acc` on; the final
// accumulator is left there. Writes only when `out` is not NULL.
#define RUN(name, M, A, LD, ST, OP)                                                         \
  static void name(M *out, const M *x, int64_t n, int64_t step, int inclusive, A *state) {  \
    A acc = *state;                                                                         \
    if (!out) for (int64_t i = 0; i < n; ++i) { A v = LD(x[i * step]); acc = OP; }          \
    else if (inclusive) for (int64_t i = 0; i < n; ++i) {                                   \
      A v = LD(x[i * step]); acc = OP; out[i * step] = (M)ST(acc); }                        \
    else for (int64_t i = 0; i < n; ++i) {                                                  \
      A v = LD(x[i * step]); out[i * step] = (M)ST(acc); acc = OP; }                        \
    *state = acc;                                                                           \
  }
#define ID(x) (x)
#define NZ(x) ((x) != 0)
#define MAXF (acc != acc || acc > v ? acc : v)
#define MINF (acc != acc || acc < v ? acc : v)
#define KINDS(name, M, A, LD, ST)                                                           \
  RUN(name##_sum, M, A, LD, ST, acc + v) RUN(name##_prod, M, A, LD, ST, acc * v)            \
  RUN(name##_max, M, A, LD, ST, MAXF) RUN(name##_min, M, A, LD, ST, MINF)
KINDS(u8, uint8_t, uint8_t, ID, ID) KINDS(u16, uint16_t, uint16_t, ID, ID)
KINDS(u32, uint32_t, uint32_t, ID, ID) KINDS(u64, uint64_t, uint64_t, ID, ID)
KINDS(b, uint8_t, uint8_t, NZ, NZ)
RUN(i8_max, int8_t, int8_t, ID, ID, MAXF) RUN(i8_min, int8_t, int8_t, ID, ID, MINF)
RUN(i16_max, int16_t, int16_t, ID, ID, MAXF) RUN(i16_min, int16_t, int16_t, ID, ID, MINF)
RUN(i32_max, int32_t, int32_t, ID, ID, MAXF) RUN(i32_min, int32_t, int32_t, ID, ID, MINF)
RUN(i64_max, int64_t, int64_t, ID, ID, MAXF) RUN(i64_min, int64_t, int64_t, ID, ID, MINF)
KINDS(f32, float, double, ID, ID) KINDS(f64, double, double, ID, ID)
KINDS(f16, uint16_t, float, half_to_float, float_to_half)
KINDS(bf, uint16_t, float, bf_to_float, float_to_bf)
RUN(f32_lae, float, double, ID, ID, lae(acc, v)) RUN(f64_lae, double, double, ID, ID, lae(acc, v))
RUN(f16_lae, uint16_t, float, half_to_float, float_to_half, lae(acc, v))
RUN(bf_lae, uint16_t, float, bf_to_float, float_to_bf, lae(acc, v))
// The same of complex numbers C with parts of type T.
#define COMPLEX_RUN(name, C, T)                                                             \
  static C name##_lae(C x, C y) {                                                           \
    int swap = y.re > x.re;                                                                 \
    C high = swap ? y : x, low = swap ? x : y;                                              \
    if (high.re == -INFINITY) return high;                                                  \
    double complex sum = 1 + cexp((double)low.re - high.re + I * ((double)low.im - high.im)); \
    double complex log = clog(sum);                                                         \
    return (C){(T)(high.re + creal(log)), (T)(high.im + cimag(log))};                       \
  }                                                                                         \
  static void name##_run(C *out, const C *x, int64_t n, int64_t step, int inclusive, int kind, \
                         C *state) {                                                        \
    C acc = *state;                                                                         \
    for (int64_t i = 0; i < n; ++i) {                                                       \
      C v = x[i * step], before = acc;                                                      \
      if (kind == 0) acc.re += v.re, acc.im += v.im;                                        \
      else if (kind == 1) {                                                                 \
        T re = acc.re * v.re - acc.im * v.im;                                               \
        acc.im = acc.re * v.im + acc.im * v.re, acc.re = re;                                \
      } else if (kind == 4) acc = name##_lae(acc, v);                                       \
      else {                                                                                \
        int lower = v.re < acc.re || (v.re == acc.re && v.im < acc.im);                     \
        int equal = v.re == acc.re && v.im == acc.im;                                       \
        if (!equal && (kind == 2 ? !lower : lower)) acc = v;                                \
      }                                                                                     \
      if (out) out[i * step] = inclusive ? acc : before;                                    \
    }                                                                                       \
    *state = acc;                                                                           \
  }
COMPLEX_RUN(c64, complex64, float)
COMPLEX_RUN(c128, complex128, double)

typedef union { double d; float f; uint8_t u8; uint16_t u16; uint32_t u32; uint64_t u64;
  int8_t i8; int16_t i16; int32_t i32; int64_t i64; complex64 c; complex128 z; } State;

static State identity(int dtype, int kind) {
  State s;
  memset(&s, 0, sizeof s);
  int low = kind == 2;
#define LIM(field, lo, hi) if (kind == 1) s.field = 1; else if (kind >= 2) s.field = low ? lo : hi; break
  switch (dtype) {
  case lullBool: LIM(u8, 0, 1);
  case lullUInt8: LIM(u8, 0, UINT8_MAX);
  case lullUInt16: LIM(u16, 0, UINT16_MAX);
  case lullUInt32: LIM(u32, 0, UINT32_MAX);
  case lullUInt64: LIM(u64, 0, UINT64_MAX);
  case lullInt8: LIM(i8, INT8_MIN, INT8_MAX);
  case lullInt16: LIM(i16, INT16_MIN, INT16_MAX);
  case lullInt32: LIM(i32, INT32_MIN, INT32_MAX);
  case lullInt64: LIM(i64, INT64_MIN, INT64_MAX);
  case lullFloat16: case lullBFloat16:
    if (kind == 1) s.f = 1; else if (kind >= 2) s.f = low || kind == 4 ? -INFINITY : INFINITY;
    break;
  case lullFloat32: case lullFloat64:
    if (kind == 1) s.d = 1; else if (kind >= 2) s.d = low || kind == 4 ? -INFINITY : INFINITY;
    break;
#define COMPLEX_LIM(c)                                                                      \
  if (kind == 1) c.re = 1;                                                                  \
  else if (kind == 4) c.re = -INFINITY;                                                     \
  else if (kind >= 2) c.re = c.im = low ? -INFINITY : INFINITY
  case lullComplex64: COMPLEX_LIM(s.c); break;
  default: COMPLEX_LIM(s.z);
  }
  return s;
}

static void run(void *out, const void *x, int dtype, int kind, int64_t n, int64_t step,
                int inclusive, State *s) {
#define CALL4(p, f) switch (kind) { case 0: p##_sum(out, x, n, step, inclusive, &s->f); break;     \
    case 1: p##_prod(out, x, n, step, inclusive, &s->f); break;                             \
    case 2: p##_max(out, x, n, step, inclusive, &s->f); break;                              \
    case 3: p##_min(out, x, n, step, inclusive, &s->f); break; } break
#define CALLI(u, i, fu, fi) switch (kind) { case 0: u##_sum(out, x, n, step, inclusive, &s->fu); break; \
    case 1: u##_prod(out, x, n, step, inclusive, &s->fu); break;                            \
    case 2: i##_max(out, x, n, step, inclusive, &s->fi); break;                             \
    case 3: i##_min(out, x, n, step, inclusive, &s->fi); break; } break
  switch (dtype) {
  case lullBool: CALL4(b, u8);
  case lullUInt8: CALL4(u8, u8);
  case lullUInt16: CALL4(u16, u16);
  case lullUInt32: CALL4(u32, u32);
  case lullUInt64: CALL4(u64, u64);
  case lullInt8: CALLI(u8, i8, u8, i8);
  case lullInt16: CALLI(u16, i16, u16, i16);
  case lullInt32: CALLI(u32, i32, u32, i32);
  case lullInt64: CALLI(u64, i64, u64, i64);
  case lullFloat16: if (kind == 4) f16_lae(out, x, n, step, inclusive, &s->f); else CALL4(f16, f); break;
  case lullBFloat16: if (kind == 4) bf_lae(out, x, n, step, inclusive, &s->f); else CALL4(bf, f); break;
  case lullFloat32: if (kind == 4) f32_lae(out, x, n, step, inclusive, &s->d); else CALL4(f32, d); break;
  case lullFloat64: if (kind == 4) f64_lae(out, x, n, step, inclusive, &s->d); else CALL4(f64, d); break;
  case lullComplex64: c64_run(out, x, n, step, inclusive, kind, &s->c); break;
  case lullComplex128: c128_run(out, x, n, step, inclusive, kind, &s->z); break;
  }
}

static void scan_line(const Scan *c, int64_t line) {
  int size = lull_dtype_size(c->dtype);
  int64_t o = line / c->inner, i = line % c->inner;
  int64_t first = (o * c->n + (c->reverse ? c->n - 1 : 0)) * c->inner + i;
  State s = identity(c->dtype, c->kind);
  run(c->out + first * size, c->x + first * size, c->dtype, c->kind, c->n,
    c->reverse ? -c->inner : c->inner, c->inclusive, &s);
}

static void line_chunk(void *context, int64_t chunk, int worker) {
  const Scan *c = context;
  int64_t lines = c->outer * c->inner, each = (lines + c->blocks - 1) / c->blocks;
  int64_t to = (chunk + 1) * each;
  for (int64_t line = chunk * each; line < to && line < lines && !lull_interrupt_stops(); ++line)
    scan_line(c, line);
}

static void block_chunk(void *context, int64_t chunk, int worker) {
  const Scan *c = context;
  int size = lull_dtype_size(c->dtype);
  int64_t from = chunk * blockSize, count = c->n - from < blockSize ? c->n - from : blockSize;
  int64_t first = c->reverse ? c->n - 1 - from : from;
  State *totals = (State *)c->totals;
  if (c->pass == 0) {
    State s = identity(c->dtype, c->kind);
    run(NULL, c->x + first * size, c->dtype, c->kind, count, c->reverse ? -1 : 1, 1, &s);
    totals[chunk] = s;
  } else {
    State s = totals[chunk];
    run(c->out + first * size, c->x + first * size, c->dtype, c->kind, count,
      c->reverse ? -1 : 1, c->inclusive, &s);
  }
}

static int is_split(int64_t outer, int64_t n, int64_t inner) {
  return outer * inner == 1 && n > 4 * blockSize;
}
int64_t lull_scan_scratch(int64_t outer, int64_t n, int64_t inner) {
  return is_split(outer, n, inner) ? (n / blockSize + 2) * (int64_t)sizeof(State) : 0;
}

// Folds a total (in accumulator form) into another.
static State join(State a, State b, int dtype, int kind) {
  State s = a;
  switch (dtype) {
  case lullFloat32: run(NULL, &b.d, lullFloat64, kind, 1, 1, 1, &s); break;
  case lullFloat16: case lullBFloat16: {
    State t;
    t.d = a.f;
    double v = b.f;
    run(NULL, &v, lullFloat64, kind, 1, 1, 1, &t);
    s.f = (float)t.d;
    break;
  }
  default: run(NULL, &b, dtype, kind, 1, 1, 1, &s);
  }
  return s;
}

void lull_scan(void *out, const void *x, int dtype, int kind, int reverse, int inclusive,
               int64_t outer, int64_t n, int64_t inner, void *scratch) {
  Scan c = {out, x, scratch, dtype, kind, reverse, inclusive, 0, outer, n, inner, 1};
  if (is_split(outer, n, inner) && scratch) {
    int64_t blocks = (n + blockSize - 1) / blockSize;
    lull_parallel_for(blocks, block_chunk, &c);
    State *totals = scratch, acc = identity(dtype, kind);
    for (int64_t b = 0; b < blocks; ++b) {
      State next = join(acc, totals[b], dtype, kind);
      totals[b] = acc;
      acc = next;
    }
    c.pass = 1;
    lull_parallel_for(blocks, block_chunk, &c);
    return;
  }
  int64_t lines = outer * inner;
  c.blocks = outer * n * inner < 1 << 16 ? 1 : lines < 256 ? lines : 256;
  lull_parallel_for(c.blocks, line_chunk, &c);
}
