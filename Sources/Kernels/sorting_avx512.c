// Sorting for the AVX-512 level; see sorting_impl.h.
#if defined(__x86_64__)
#include <immintrin.h>
#include "Kernels.h"
#include "sorting_internal.h"
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,bmi2,popcnt,lzcnt")))
#define INLINE static inline __attribute__((always_inline)) TARGET
#define NAME(f) f##_avx512
typedef __m512i V;
#define VECTOR_LOAD(p) _mm512_loadu_si512(p)
#define VECTOR_STORE(p, x) _mm512_storeu_si512(p, x)

#define XOR16(x) _mm512_xor_si512(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0), _mm512_set1_epi32(x))
#define XOR8(x) _mm512_xor_si512(_mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0), _mm512_set1_epi64(x))

#define u32_lanes 16
#define u64_lanes 8
#define u32_permute(x, by) _mm512_permutexvar_epi32(XOR16(by), x)
#define u64_permute(x, by) _mm512_permutexvar_epi64(XOR8(by), x)
#define u32_min _mm512_min_epu32
#define u32_max _mm512_max_epu32
#define u64_min _mm512_min_epu64
#define u64_max _mm512_max_epu64
// Lanes whose bit `d` is set.
static const uint16_t upper[9] = {0, 0xaaaa, 0xcccc, 0, 0xf0f0, 0, 0, 0, 0xff00};
#define u32_upper(a, b, d) _mm512_mask_mov_epi32(a, upper[d], b)
#define u64_upper(a, b, d) _mm512_mask_mov_epi64(a, (__mmask8)upper[d], b)
#define u32_below(x, p) _mm512_cmplt_epu32_mask(x, p)
#define u64_below(x, p) _mm512_cmplt_epu64_mask(x, p)
#define u32_notAbove(x, p) _mm512_cmple_epu32_mask(x, p)
#define u64_notAbove(x, p) _mm512_cmple_epu64_mask(x, p)
#define u32_compress(m, x) _mm512_maskz_compress_epi32((__mmask16)(m), x)
#define u64_compress(m, x) _mm512_maskz_compress_epi64((__mmask8)(m), x)
#define u32_all(x) _mm512_set1_epi32((int)(x))
#define u64_all(x) _mm512_set1_epi64((long long)(x))
static inline unsigned first(int64_t n, int lanes) { return n >= lanes ? (1u << lanes) - 1 : n <= 0 ? 0 : (1u << n) - 1; }
#define u32_load(fill, n, a) _mm512_mask_loadu_epi32(fill, (__mmask16)first(n, 16), a)
#define u64_load(fill, n, a) _mm512_mask_loadu_epi64(fill, (__mmask8)first(n, 8), a)
#define u32_store(a, n, x) _mm512_mask_storeu_epi32(a, (__mmask16)first(n, 16), x)
#define u64_store(a, n, x) _mm512_mask_storeu_epi64(a, (__mmask8)first(n, 8), x)
#include "sorting_impl.h"
#endif
