// The kernels of fft.h in double precision for avx512.
#include "Kernels.h"
#if defined(__x86_64__)
#define LEVEL 2
#define REAL double
#define NAME(x) lull_avx512_double_##x
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), apply_to = function)
#include "fft_impl.h"
#pragma clang attribute pop
#endif
