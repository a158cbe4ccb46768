// What the two precisions of the transforms share with fft.c, which chooses between them.
#pragma once
#include "Kernels.h"

// exp(-2 pi i e / n) for 0 <= e < n, exact at the quarters.
void lull_fft_root(int64_t e, int64_t n, double *to);

#define LULL_FFT(T)                                                                                        \
  void lull_##T##_fft_roots(int64_t n, int64_t count, T *to);                                              \
  void lull_##T##_fft_tables(const LullFFT *, T *lanes, double *high, double *low);                        \
  void lull_##T##_fft_chirp(const LullFFT *, T *chirp, T *spectrum, void *scratch);                        \
  int64_t lull_##T##_fft_scratch(const LullFFT *, int64_t rows);                                           \
  void lull_##T##_fft_rows(const LullFFT *, const T *in, T *out, int64_t rows, int inverse, T scale,       \
                           char *scratch);                                                                 \
  void lull_##T##_fft_columns(const LullFFT *, const T *in, T *out, int64_t outer, int64_t inner,          \
                              int inverse, T scale, char *scratch);                                        \
  void lull_##T##_fft_unpack(const T *z, T *spectrum, int64_t rows, int64_t n, const T *roots);            \
  void lull_##T##_fft_pack(const T *spectrum, T *z, int64_t rows, int64_t n, const T *roots);
LULL_FFT(float)
LULL_FFT(double)
