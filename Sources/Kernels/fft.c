// Plans of the transforms, and the choice of a precision; see fft.h.
#define _GNU_SOURCE
#include "fft_internal.h"
#include <math.h>

void lull_fft_root(int64_t e, int64_t n, double *to) {
  // Into the first octant, where sine and cosine are most exact.
  int64_t eight = 8 * e, octant = eight / n;
  int64_t rest = octant & 1 ? (octant + 1) * n - eight : eight - octant * n;  // in 1 / 8 n
  double angle = 6.283185307179586476925 * (double)rest / (8.0 * (double)n);
  double c = cos(angle), s = sin(angle), x, y;
  switch (octant) {
  case 0: x = c, y = s; break;
  case 1: x = s, y = c; break;
  case 2: x = -s, y = c; break;
  case 3: x = -c, y = s; break;
  case 4: x = -c, y = -s; break;
  case 5: x = -s, y = -c; break;
  case 6: x = s, y = -c; break;
  default: x = c, y = -s;
  }
  to[0] = x, to[1] = -y;
}

int lull_fft_radices(int64_t n, LullLanes *l) {
  l->n = n;
  l->count = 0;
  while (n % 8 == 0 && n != 16) l->radix[l->count++] = 8, n /= 8;
  while (n % 4 == 0) l->radix[l->count++] = 4, n /= 4;
  for (int p = 2; p <= 31; p++)
    while (n % p == 0) l->radix[l->count++] = p, n /= p;
  return n == 1;
}

#define CHOOSE(isDouble, name, ...) \
  if (isDouble) lull_double_fft_##name(__VA_ARGS__); else lull_float_fft_##name(__VA_ARGS__)

void lull_fft_roots(int64_t n, int64_t count, int isDouble, void *to) {
  CHOOSE(isDouble, roots, n, count, to);
}
void lull_fft_tables(const LullFFT *f, void *lanes, double *high, double *low) {
  CHOOSE(f->isDouble, tables, f, lanes, high, low);
}
void lull_fft_chirp(const LullFFT *f, void *chirp, void *spectrum, void *scratch) {
  CHOOSE(f->isDouble, chirp, f, chirp, spectrum, scratch);
}
int64_t lull_fft_scratch(const LullFFT *f, int64_t rows) {
  return f->isDouble ? lull_double_fft_scratch(f, rows) : lull_float_fft_scratch(f, rows);
}
void lull_fft(const LullFFT *f, const void *in, void *out, int64_t rows, int inverse, double scale,
              char *scratch) {
  CHOOSE(f->isDouble, rows, f, in, out, rows, inverse, scale, scratch);
}
void lull_fft_columns(const LullFFT *f, const void *in, void *out, int64_t outer, int64_t inner, int inverse,
                      double scale, char *scratch) {
  CHOOSE(f->isDouble, columns, f, in, out, outer, inner, inverse, scale, scratch);
}
void lull_fft_unpack(const void *z, void *spectrum, int64_t rows, int64_t n, int isDouble, const void *roots) {
  CHOOSE(isDouble, unpack, z, spectrum, rows, n, roots);
}
void lull_fft_pack(const void *spectrum, void *z, int64_t rows, int64_t n, int isDouble, const void *roots) {
  CHOOSE(isDouble, pack, spectrum, z, rows, n, roots);
}
