// Sorting for the AVX2 level; see sorting_impl.h. Lanes are compressed by a permutation from a table.
#if defined(__x86_64__)
#include <immintrin.h>
#include "Kernels.h"
#include "sorting_internal.h"
#define TARGET __attribute__((target("avx2,bmi,popcnt")))
#define INLINE static inline __attribute__((always_inline)) TARGET
#define NAME(f) f##_avx2
typedef __m256i V;
#define VECTOR_LOAD(p) _mm256_loadu_si256((const V *)(p))
#define VECTOR_STORE(p, x) _mm256_storeu_si256((V *)(p), x)

// For each set of lanes of 4 bytes: which lanes come first, a byte each.
static uint64_t fronts[256];
__attribute__((constructor)) static void fill_fronts(void) {
  for (int m = 0; m < 256; ++m) {
    int at = 0;
    for (int i = 0; i < 8; ++i)
      if (m >> i & 1) fronts[m] |= (uint64_t)i << (8 * at++);
  }
}

#define EIGHT _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0)
#define FOUR _mm256_set_epi64x(3, 2, 1, 0)
#define SIGN _mm256_set1_epi64x((long long)(1ull << 63))
#define u32_lanes 8
#define u64_lanes 4
#define u32_all(x) _mm256_set1_epi32((int)(x))
#define u64_all(x) _mm256_set1_epi64x((long long)(x))
#define u32_min _mm256_min_epu32
#define u32_max _mm256_max_epu32
INLINE V u32_permute(V x, int by) {
  return _mm256_permutevar8x32_epi32(x, _mm256_xor_si256(EIGHT, u32_all(by)));
}
INLINE V u64_permute(V x, int by) {
  return _mm256_permutevar8x32_epi32(x, _mm256_xor_si256(EIGHT, u32_all(2 * by)));
}
INLINE V u64_above(V x, V y) {
  return _mm256_cmpgt_epi64(_mm256_xor_si256(x, SIGN), _mm256_xor_si256(y, SIGN));
}
INLINE V u64_min(V x, V y) { return _mm256_blendv_epi8(x, y, u64_above(x, y)); }
INLINE V u64_max(V x, V y) { return _mm256_blendv_epi8(y, x, u64_above(x, y)); }
INLINE V u32_upper(V a, V b, int d) {
  return _mm256_blendv_epi8(a, b, _mm256_cmpgt_epi32(_mm256_and_si256(EIGHT, u32_all(d)), u32_all(0)));
}
INLINE V u64_upper(V a, V b, int d) {
  return _mm256_blendv_epi8(a, b, _mm256_cmpgt_epi64(_mm256_and_si256(FOUR, u64_all(d)), u64_all(0)));
}
INLINE unsigned u32_bits(V m) { return (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(m)); }
INLINE unsigned u64_bits(V m) { return (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(m)); }
INLINE unsigned u32_notAbove(V x, V p) { return u32_bits(_mm256_cmpeq_epi32(u32_min(x, p), x)); }
INLINE unsigned u32_below(V x, V p) { return u32_bits(_mm256_cmpeq_epi32(u32_max(x, p), x)) ^ 255; }
INLINE unsigned u64_below(V x, V p) { return u64_bits(u64_above(p, x)); }
INLINE unsigned u64_notAbove(V x, V p) { return u64_bits(u64_above(x, p)) ^ 15; }
INLINE V u32_compress(unsigned m, V x) {
  V order = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)&fronts[m]));
  return _mm256_permutevar8x32_epi32(x, order);
}
INLINE V u64_compress(unsigned m, V x) {
  static const uint8_t pairs[16] = {0, 3, 12, 15, 48, 51, 60, 63, 192, 195, 204, 207, 240, 243, 252, 255};
  return u32_compress(pairs[m], x);
}
INLINE V u32_first(int64_t n) {
  return _mm256_cmpgt_epi32(u32_all(n > 8 ? 8 : n < 0 ? 0 : n), EIGHT);
}
INLINE V u64_first(int64_t n) { return _mm256_cmpgt_epi64(u64_all(n), FOUR); }
INLINE V u32_load(V fill, int64_t n, const uint32_t *a) {
  V m = u32_first(n);
  return _mm256_blendv_epi8(fill, _mm256_maskload_epi32((const int *)a, m), m);
}
INLINE V u64_load(V fill, int64_t n, const uint64_t *a) {
  V m = u64_first(n);
  return _mm256_blendv_epi8(fill, _mm256_maskload_epi64((const long long *)a, m), m);
}
INLINE void u32_store(uint32_t *a, int64_t n, V x) { _mm256_maskstore_epi32((int *)a, u32_first(n), x); }
INLINE void u64_store(uint64_t *a, int64_t n, V x) { _mm256_maskstore_epi64((long long *)a, u64_first(n), x); }
#include "sorting_impl.h"
#endif
