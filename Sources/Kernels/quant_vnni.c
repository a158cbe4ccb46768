// Products of quantised weights with integer activations for AVX-512 with VNNI.
#include "Kernels.h"
#if defined(__x86_64__)
#include <immintrin.h>
#define LEVEL 2
#define VNNI 1
#define NAME(x) lull_vnni_##x
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c,bmi2"))), apply_to = function)
#include "quant_impl.h"
#include "quant_int_impl.h"
#include "quant_packed_impl.h"
#pragma clang attribute pop
#endif
