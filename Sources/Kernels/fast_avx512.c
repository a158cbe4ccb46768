// The kernels of fast.h for avx512.
#include "Kernels.h"
#if defined(__x86_64__)
#include <immintrin.h>
#define LEVEL 2
#define NAME(x) lull_avx512_##x
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), apply_to = function)
#include "fast_impl.h"
#pragma clang attribute pop
#endif
