// The kernels of fast.h for avx2.
#include "Kernels.h"
#if defined(__x86_64__)
#include <immintrin.h>
#define LEVEL 1
#define NAME(x) lull_avx2_##x
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#include "fast_impl.h"
#pragma clang attribute pop
#endif
