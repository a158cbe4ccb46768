// The parallel loops of the transforms (fft.h) for numbers whose parts are REAL, float or double. OF(name) is a
// function here (fft_internal.h), KERNEL(isa, name) one of fft_impl.h.
#include "fft_internal.h"
#include <math.h>
#include <string.h>

#define KERNELS(isa)                                                                                       \
  void KERNEL(isa, fft_lanes_columns)(const LullLanes *, const REAL *, REAL *, int64_t, int64_t, int,      \
                                      REAL, REAL *);                                                       \
  void KERNEL(isa, fft_lanes_rows)(const LullLanes *, const REAL *, REAL *, int64_t, int, REAL, REAL *);   \
  void KERNEL(isa, fft_first)(const LullFFT *, const REAL *, REAL *, int64_t, int64_t, int, REAL *);       \
  void KERNEL(isa, fft_second)(const LullFFT *, const REAL *, REAL *, int64_t, int64_t, int, REAL, REAL *);

KERNELS(portable)
#if defined(__x86_64__)
KERNELS(avx2)
KERNELS(avx512)
#define CHOOSE(name, ...)                                       \
  switch (lull_simd_level()) {                                  \
  case 2: KERNEL(avx512, name)(__VA_ARGS__); break;             \
  case 1: KERNEL(avx2, name)(__VA_ARGS__); break;               \
  default: KERNEL(portable, name)(__VA_ARGS__);                 \
  }
#else
#define CHOOSE(name, ...) KERNEL(portable, name)(__VA_ARGS__);
#endif

void OF(roots)(int64_t n, int64_t count, REAL *to) {
  for (int64_t k = 0; k < count; k++) {
    double z[2];
    lull_fft_root(k, n, z);
    to[2 * k] = (REAL)z[0], to[2 * k + 1] = (REAL)z[1];
  }
}

void OF(tables)(const LullFFT *f, REAL *lanes, double *high, double *low) {
  int64_t width = (int64_t)1 << f->shift;
  for (int64_t e = 0; e < width && e < f->n; e++) lull_fft_root(e, f->n, low + 2 * e);
  for (int64_t i = 0; i * width < f->n; i++) lull_fft_root(i * width, f->n, high + 2 * i);
  for (int64_t k = 0; k < f->first.n; k++)
    for (int64_t l = 0; l < 16; l++) {
      int64_t e = k * l % f->n;
      const double *a = high + 2 * (e >> f->shift), *b = low + 2 * (e & (width - 1));
      lanes[k * 32 + l] = (REAL)(a[0] * b[0] - a[1] * b[1]);
      lanes[k * 32 + 16 + l] = (REAL)(a[0] * b[1] + a[1] * b[0]);
    }
}

void OF(chirp)(const LullFFT *f, REAL *chirp, REAL *spectrum, void *scratch) {
  int64_t n = f->n, m = f->inner->n;
  memset(spectrum, 0, (size_t)m * 2 * sizeof(REAL));
  int64_t square = 0;  // k * k mod 2 n
  for (int64_t k = 0; k < n; k++) {
    double z[2];
    lull_fft_root(square, 2 * n, z);
    chirp[2 * k] = (REAL)z[0], chirp[2 * k + 1] = (REAL)z[1];
    spectrum[2 * k] = (REAL)(z[0] / (double)m), spectrum[2 * k + 1] = (REAL)(-z[1] / (double)m);
    if (k > 0) memcpy(spectrum + 2 * (m - k), spectrum + 2 * k, 2 * sizeof(REAL));
    square = (square + 2 * k + 1) % (2 * n);
  }
  OF(rows)(f->inner, spectrum, spectrum, 1, 0, 1, scratch);
}

static int64_t lanes_bytes(const LullLanes *l) { return l->n * 32 * (int64_t)sizeof(REAL) * 2; }
static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t passes_bytes(const LullFFT *f) {
  return (larger(lanes_bytes(&f->first), f->kind == 1 ? lanes_bytes(&f->second) : 0) + 63) / 64 * 64;
}

// Few long rows are done one after the other, each by all threads.
static int is_shared(const LullFFT *f, int64_t rows) {
  return f->kind == 1 && f->n >= 1 << 14 && rows < 2 * lull_thread_count();
}
static int64_t worker_bytes(const LullFFT *f) {
  int64_t row = ((f->kind == 2 ? f->inner->n : f->n) * 2 * (int64_t)sizeof(REAL) + 63) / 64 * 64;
  if (f->kind == 0) return passes_bytes(f);
  if (f->kind == 1) return passes_bytes(f) + row;
  return row + OF(scratch)(f->inner, 1);
}
int64_t OF(scratch)(const LullFFT *f, int64_t rows) {
  int64_t threads = lull_thread_count();
  if (is_shared(f, rows)) return threads * passes_bytes(f) + f->n * 2 * (int64_t)sizeof(REAL);
  return worker_bytes(f) * (rows > 1 ? threads : 1);
}

typedef struct {
  const LullFFT *f;
  const REAL *in;
  REAL *out, *middle;
  int64_t rows, each, size, inner, blocks;
  int inverse;
  REAL scale;
  char *scratch;
} Job;

static void four_step(const LullFFT *f, const REAL *in, REAL *out, int inverse, REAL scale, char *scratch) {
  int64_t n1 = f->first.n, n2 = f->second.n;
  REAL *passes = (REAL *)scratch, *middle = (REAL *)(scratch + passes_bytes(f));
  for (int64_t j = 0; j < n2; j += 16) {
    int64_t lanes = n2 - j < 16 ? n2 - j : 16;
    CHOOSE(fft_first, f, in, middle, j, lanes, inverse, passes)
  }
  for (int64_t k = 0; k < n1; k += 16) {
    int64_t lanes = n1 - k < 16 ? n1 - k : 16;
    CHOOSE(fft_second, f, middle, out, k, lanes, inverse, scale, passes)
  }
}

static void multiply(const REAL *a, const REAL *b, REAL *to, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    REAL re = a[2 * i] * b[2 * i] - a[2 * i + 1] * b[2 * i + 1];
    REAL im = a[2 * i] * b[2 * i + 1] + a[2 * i + 1] * b[2 * i];
    to[2 * i] = re, to[2 * i + 1] = im;
  }
}

// `whole` runs the inner transforms with all threads.
static void bluestein(const LullFFT *f, const REAL *in, REAL *out, int inverse, REAL scale, char *scratch) {
  int64_t n = f->n, m = f->inner->n;
  const REAL *chirp = f->chirp;
  REAL *z = (REAL *)scratch;
  char *rest = scratch + (m * 2 * (int64_t)sizeof(REAL) + 63) / 64 * 64;
  for (int64_t k = 0; k < n; k++) {
    REAL re = in[2 * k], im = inverse ? -in[2 * k + 1] : in[2 * k + 1];
    const REAL *w = chirp + 2 * k;
    z[2 * k] = re * w[0] - im * w[1], z[2 * k + 1] = re * w[1] + im * w[0];
  }
  memset(z + 2 * n, 0, (size_t)(m - n) * 2 * sizeof(REAL));
  OF(rows)(f->inner, z, z, 1, 0, 1, rest);
  multiply(z, f->spectrum, z, m);
  OF(rows)(f->inner, z, z, 1, 1, 1, rest);
  REAL sign = inverse ? -scale : scale;
  for (int64_t k = 0; k < n; k++) {
    REAL re = z[2 * k], im = z[2 * k + 1];
    const REAL *w = chirp + 2 * k;
    out[2 * k] = (re * w[0] - im * w[1]) * scale, out[2 * k + 1] = (re * w[1] + im * w[0]) * sign;
  }
}

static void rows_chunk(void *context, int64_t chunk, int worker) {
  const Job *j = context;
  char *scratch = j->scratch + worker * j->size;
  int64_t first = chunk * j->each, last = first + j->each < j->rows ? first + j->each : j->rows;
  int64_t step = j->f->kind == 0 ? 16 : 1, n = j->f->n;
  for (int64_t i = first; i < last; i += step) {
    const REAL *in = j->in + 2 * i * n;
    REAL *out = j->out + 2 * i * n;
    int64_t lanes = last - i < 16 ? last - i : 16;
    if (j->f->kind == 0) {
      CHOOSE(fft_lanes_rows, &j->f->first, in, out, lanes, j->inverse, j->scale, (REAL *)scratch)
    } else if (j->f->kind == 1) {
      four_step(j->f, in, out, j->inverse, j->scale, scratch);
    } else {
      bluestein(j->f, in, out, j->inverse, j->scale, scratch);
    }
  }
}

static void first_chunk(void *context, int64_t chunk, int worker) {
  const Job *job = context;
  int64_t n2 = job->f->second.n;
  for (int64_t j = chunk * job->each; j < (chunk + 1) * job->each && j < n2; j += 16) {
    int64_t lanes = n2 - j < 16 ? n2 - j : 16;
    CHOOSE(fft_first, job->f, job->in, job->middle, j, lanes, job->inverse,
           (REAL *)(job->scratch + worker * job->size))
  }
}
static void second_chunk(void *context, int64_t chunk, int worker) {
  const Job *job = context;
  int64_t n1 = job->f->first.n;
  for (int64_t k = chunk * job->each; k < (chunk + 1) * job->each && k < n1; k += 16) {
    int64_t lanes = n1 - k < 16 ? n1 - k : 16;
    CHOOSE(fft_second, job->f, job->middle, job->out, k, lanes, job->inverse, job->scale,
           (REAL *)(job->scratch + worker * job->size))
  }
}

void OF(rows)(const LullFFT *f, const REAL *in, REAL *out, int64_t rows, int inverse, REAL scale,
              char *scratch) {
  int64_t threads = lull_thread_count();
  Job job = {.f = f, .in = in, .out = out, .rows = rows, .inverse = inverse, .scale = scale, .scratch = scratch};
  if (is_shared(f, rows)) {
    // The matrix in between is behind what the threads use.
    job.size = passes_bytes(f);
    job.middle = (REAL *)(scratch + threads * job.size);
    for (int64_t i = 0; i < rows; i++) {
      job.in = in + 2 * i * f->n, job.out = out + 2 * i * f->n;
      job.each = (f->second.n / (8 * threads) + 15) / 16 * 16;
      if (job.each < 16) job.each = 16;
      lull_parallel_for((f->second.n + job.each - 1) / job.each, first_chunk, &job);
      job.each = (f->first.n / (8 * threads) + 15) / 16 * 16;
      if (job.each < 16) job.each = 16;
      lull_parallel_for((f->first.n + job.each - 1) / job.each, second_chunk, &job);
    }
    return;
  }
  job.size = worker_bytes(f);
  if (f->kind == 2 && rows < threads) {
    // Not inside a region, so that the inner transforms may use all threads.
    for (int64_t i = 0; i < rows; i++)
      bluestein(f, in + 2 * i * f->n, out + 2 * i * f->n, inverse, scale, scratch);
    return;
  }
  // Some 20 microseconds a chunk.
  job.each = 8192 / (f->n < 8192 ? f->n : 8192);
  if (f->kind == 0) job.each = (job.each + 15) / 16 * 16;
  if (job.each < 1) job.each = 1;
  lull_parallel_for((rows + job.each - 1) / job.each, rows_chunk, &job);
}

static void columns_chunk(void *context, int64_t chunk, int worker) {
  const Job *j = context;
  int64_t outer = chunk / j->blocks, first = chunk % j->blocks * 16, n = j->f->n;
  int64_t at = 2 * (outer * n * j->inner + first), lanes = j->inner - first < 16 ? j->inner - first : 16;
  CHOOSE(fft_lanes_columns, &j->f->first, j->in + at, j->out + at, j->inner, lanes, j->inverse, j->scale,
         (REAL *)(j->scratch + worker * j->size))
}

void OF(columns)(const LullFFT *f, const REAL *in, REAL *out, int64_t outer, int64_t inner, int inverse,
                      REAL scale, char *scratch) {
  Job job = {.f = f, .in = in, .out = out, .inner = inner, .inverse = inverse, .scale = scale,
             .scratch = scratch, .size = passes_bytes(f), .blocks = (inner + 15) / 16};
  lull_parallel_for(outer * job.blocks, columns_chunk, &job);
}

typedef struct {
  const REAL *from, *roots;
  REAL *to;
  int64_t rows, n, each;
} RealJob;

// x = even + w odd, of the halves of the packed transform.
static void unpack_chunk(void *context, int64_t chunk, int worker) {
  const RealJob *j = context;
  int64_t m = j->n / 2, last = (chunk + 1) * j->each < j->rows ? (chunk + 1) * j->each : j->rows;
  for (int64_t row = chunk * j->each; row < last; row++) {
    const REAL *z = j->from + 2 * row * m;
    REAL *x = j->to + 2 * row * (m + 1);
    x[0] = z[0] + z[1], x[1] = 0;
    x[2 * m] = z[0] - z[1], x[2 * m + 1] = 0;
    for (int64_t k = 1; k < m; k++) {
      const REAL *a = z + 2 * k, *b = z + 2 * (m - k), *w = j->roots + 2 * k;
      REAL er = (REAL)0.5 * (a[0] + b[0]), ei = (REAL)0.5 * (a[1] - b[1]);
      REAL or = (REAL)0.5 * (a[1] + b[1]), oi = -(REAL)0.5 * (a[0] - b[0]);
      x[2 * k] = er + w[0] * or - w[1] * oi;
      x[2 * k + 1] = ei + w[0] * oi + w[1] * or ;
    }
  }
}
static void pack_chunk(void *context, int64_t chunk, int worker) {
  const RealJob *j = context;
  int64_t m = j->n / 2, last = (chunk + 1) * j->each < j->rows ? (chunk + 1) * j->each : j->rows;
  for (int64_t row = chunk * j->each; row < last; row++) {
    const REAL *x = j->from + 2 * row * (m + 1);
    REAL *z = j->to + 2 * row * m;
    // The imaginary parts of the first and the last number count for nothing.
    z[0] = x[0] + x[2 * m], z[1] = x[0] - x[2 * m];
    for (int64_t k = 1; k < m; k++) {
      const REAL *a = x + 2 * k, *b = x + 2 * (m - k), *w = j->roots + 2 * k;
      REAL er = a[0] + b[0], ei = a[1] - b[1], dr = a[0] - b[0], di = a[1] + b[1];
      REAL or = dr * w[0] + di * w[1], oi = di * w[0] - dr * w[1];
      z[2 * k] = er - oi, z[2 * k + 1] = ei + or ;
    }
  }
}
static void real_rows(const REAL *from, REAL *to, int64_t rows, int64_t n, const REAL *roots, LullChunk body) {
  RealJob job = {from, roots, to, rows, n, 16384 / n + 1};
  lull_parallel_for((rows + job.each - 1) / job.each, body, &job);
}
void OF(unpack)(const REAL *z, REAL *spectrum, int64_t rows, int64_t n, const REAL *roots) {
  real_rows(z, spectrum, rows, n, roots, unpack_chunk);
}
void OF(pack)(const REAL *spectrum, REAL *z, int64_t rows, int64_t n, const REAL *roots) {
  real_rows(spectrum, z, rows, n, roots, pack_chunk);
}
