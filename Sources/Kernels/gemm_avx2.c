// Matrix products for the AVX2 level; see gemm_impl.h.
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>
#include "Kernels.h"
#include "gemm_internal.h"
#include "vm_internal.h"
#define TARGET __attribute__((target("avx2,fma,f16c,bmi,bmi2,popcnt")))
#define UNROLL _Pragma("clang loop unroll(full)")
#define LEVEL lull_level_avx2
#define GEMM lull_gemm_avx2

enum { VL = 8, MR = 6, NR = 16, AW = 8, DEPTH = 256 };
typedef __m256 Vector;
typedef __m256i Mask;
#define ZERO _mm256_setzero_ps()
#define SET1(x) _mm256_set1_ps(x)
#define ADD(a, b) _mm256_add_ps(a, b)
#define MULTIPLY_ADD(a, b, c) _mm256_fmadd_ps(a, b, c)
#define STORE(p, x) _mm256_storeu_ps(p, x)
#define STORE_PART(p, mask, x) _mm256_maskstore_ps(p, mask, x)
#define DOT_F32(c, a, b) c = _mm256_fmadd_ps(a, b, c)
#define LOAD_F32(mask, p) _mm256_maskload_ps((const float *)(p), mask)
#define LOAD_F32_ALL(p) _mm256_loadu_ps((const float *)(p))
#define LOAD_F16(mask, p) _mm256_cvtph_ps(halves(p, mask))
#define LOAD_F16_ALL(p) _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p)))
#define FROM_BF16(x) _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16))
#define LOAD_BF16(mask, p) FROM_BF16(halves(p, mask))
#define LOAD_BF16_ALL(p) FROM_BF16(_mm_loadu_si128((const __m128i *)(p)))
#define ROW_CASE(NAME, R, W) case R: NAME##_rows(R, W, t, m0, m1); return;
#define ROW_CASES(NAME, W)                                                                    \
  ROW_CASE(NAME, 6, W) ROW_CASE(NAME, 5, W) ROW_CASE(NAME, 4, W) ROW_CASE(NAME, 3, W)         \
  ROW_CASE(NAME, 2, W) ROW_CASE(NAME, 1, W)
// Rows, vectors side by side across columns and columns at once along them.
#define FEW_ROWS FEW(1, 8, 4) FEW(2, 4, 4) FEW(3, 2, 2) FEW(4, 2, 2)

enum { packAhead = 16, slowEdges = 1 };

static inline TARGET Mask first(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n > 8 ? 8 : n < 0 ? 0 : (int)n), _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0));
}
// The first elements of two bytes, as many as the mask has; there is no masked load of them.
static inline TARGET __m128i halves(const char *p, Mask mask) {
  int n = _mm_popcnt_u32((unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(mask)));
  if (n == 8) return _mm_loadu_si128((const __m128i *)p);
  uint64_t words[2] = {0, 0};
  char *to = (char *)words;
  if (n & 4) memcpy(to, p, 8), to += 8, p += 8;
  if (n & 2) memcpy(to, p, 4), to += 4, p += 4;
  if (n & 1) memcpy(to, p, 2);
  return _mm_set_epi64x((long long)words[1], (long long)words[0]);
}
// Elements from p on as float32; `mask` chooses those that exist.
static inline TARGET Vector load(const char *p, int dtype, Mask mask) {
  switch (dtype) {
  case lullFloat16: return LOAD_F16(mask, p);
  case lullBFloat16: return LOAD_BF16(mask, p);
  default: return LOAD_F32(mask, p);
  }
}
static inline TARGET Vector load_all(const char *p, int dtype) {
  switch (dtype) {
  case lullFloat16: return LOAD_F16_ALL(p);
  case lullBFloat16: return LOAD_BF16_ALL(p);
  default: return LOAD_F32_ALL(p);
  }
}
static inline TARGET float load_one(const char *p, int dtype) { return _mm256_cvtss_f32(load(p, dtype, first(1))); }
static inline TARGET float reduce(Vector x) {
  __m128 y = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  y = _mm_add_ps(y, _mm_movehl_ps(y, y));
  return _mm_cvtss_f32(_mm_add_ss(y, _mm_movehdup_ps(y)));
}

// 8 lines of 8 steps each, transposed: to[step * width + line]. Lines that do not exist are the first one again.
static inline __attribute__((always_inline)) TARGET void transpose(
    float *to, int width, const char *from, int dtype, int64_t line, int64_t lines, int64_t steps) {
  Vector r[8], t[8];
  Mask mask = first(steps);
  UNROLL for (int i = 0; i < 8; ++i) {
    const char *source = from + (i < lines ? i : 0) * line;
    _mm_prefetch(source + 128, _MM_HINT_T0);
    r[i] = load(source, dtype, mask);
  }
  UNROLL for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
  UNROLL for (int i = 0; i < 8; i += 4) {
    r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
    r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
  UNROLL for (int k = 0; k < 4; ++k) {
    if (k < steps) STORE(to + k * width, _mm256_permute2f128_ps(r[k], r[4 + k], 0x20));
    if (k + 4 < steps) STORE(to + (k + 4) * width, _mm256_permute2f128_ps(r[k], r[4 + k], 0x31));
  }
}

#include "gemm_impl.h"
#endif
