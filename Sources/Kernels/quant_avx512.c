// Quantised kernels for avx512.
#include "Kernels.h"
#if defined(__x86_64__)
#include <immintrin.h>
#define LEVEL 2
#define NAME(x) lull_avx512_##x
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,bmi2"))), apply_to = function)
#include "quant_impl.h"
#include "quant_int_impl.h"
#include "quant_packed_impl.h"
#pragma clang attribute pop
#endif
