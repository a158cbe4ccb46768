// Discrete Fourier transforms of rows of complex numbers: of floats, or of doubles where a plan says so. What is
// `void *` here holds parts of that width.
//
// Everything is built on transforms of 16 sequences side by side, one in each lane of a vector (Stockham's
// passes of radix 8, 4, 2, 3, 5, 7 and other small primes over a scratch that stays in cache). A long row is a
// matrix n1 x n2: its columns are transformed 16 at a time, turned by the twiddle factors, and then its rows,
// 16 at a time, whose results come out in order (the four-step method). Lengths with a prime factor above 31
// are a convolution of a length without one (Bluestein).
#pragma once
#include <stdint.h>

// Transforms of `n` elements in lanes.
typedef struct {
  int64_t n;
  int count;
  int radix[40];
  const void *twiddle;       // n complex: exp(-2 pi i k / n)
} LullLanes;

typedef struct LullFFT {
  int64_t n;
  int isDouble;
  int kind;                  // 0 direct: rows in lanes; 1 four-step; 2 Bluestein
  LullLanes first, second;   // direct uses the first; four-step n1 and n2
  const void *lanes;         // four-step: [n1][2][16], exp(-2 pi i k l / n)
  const double *high, *low;  // exp(-2 pi i e / n) is high[e >> shift] * low[e & mask]
  int shift;
  const struct LullFFT *inner;  // Bluestein: of length m
  const void *chirp;         // n complex
  const void *spectrum;      // m complex, divided by m
} LullFFT;

// Splits n into radices; 0 when a prime factor is too large.
int lull_fft_radices(int64_t n, LullLanes *lanes);
// Fills count complex numbers with exp(-2 pi i k step / n).
void lull_fft_roots(int64_t n, int64_t count, int isDouble, void *to);
// The tables of a four-step plan whose n, first, second and shift are set.
void lull_fft_tables(const LullFFT *plan, void *lanes, double *high, double *low);
// The tables of a Bluestein plan; scratch as for `inner`.
void lull_fft_chirp(const LullFFT *plan, void *chirp, void *spectrum, void *scratch);

// Bytes of scratch that `rows` rows need, for all threads together.
int64_t lull_fft_scratch(const LullFFT *plan, int64_t rows);
// `rows` rows of n complex numbers, dense, from `in` to `out` (which may be the same), times scale. The inverse
// has the other sign and no factor of its own. Parallel.
void lull_fft(const LullFFT *plan, const void *in, void *out, int64_t rows, int inverse, double scale,
              char *scratch);
// Along an axis with `inner` >= 1 elements after it, outer x n x inner; direct plans only.
void lull_fft_columns(const LullFFT *plan, const void *in, void *out, int64_t outer, int64_t inner,
                      int inverse, double scale, char *scratch);

// Real rows of even length n by transforms of n / 2: the spectrum's rows have n / 2 + 1 numbers. `roots` are n
// roots of n. Before an inverse, pack; after a forward transform, unpack (z and spectrum are different memory).
void lull_fft_unpack(const void *z, void *spectrum, int64_t rows, int64_t n, int isDouble, const void *roots);
void lull_fft_pack(const void *spectrum, void *z, int64_t rows, int64_t n, int isDouble, const void *roots);
