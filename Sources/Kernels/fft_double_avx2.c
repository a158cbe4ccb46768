// The kernels of fft.h in double precision for avx2.
#include "Kernels.h"
#if defined(__x86_64__)
#define LEVEL 1
#define REAL double
#define NAME(x) lull_avx2_double_##x
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#include "fft_impl.h"
#pragma clang attribute pop
#endif
