// Matrix products for the AVX-512 level; see gemm_impl.h. Where the machine multiplies bfloat16 (VDPBF16PS) and
// gains by it, panels hold pairs of it.
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>
#include "Kernels.h"
#include "gemm_internal.h"
#include "vm_internal.h"
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")))
#define TARGET_BF16 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,avx512bf16")))
#define UNROLL _Pragma("clang loop unroll(full)")
#define LEVEL lull_level_avx512
#define GEMM lull_gemm_avx512
#define PAIRS

enum { VL = 16, MR = 14, NR = 32, AW = 16, DEPTH = 512 };
typedef __m512 Vector;
typedef __mmask16 Mask;
#define ZERO _mm512_setzero_ps()
#define SET1(x) _mm512_set1_ps(x)
#define ADD(a, b) _mm512_add_ps(a, b)
#define MULTIPLY_ADD(a, b, c) _mm512_fmadd_ps(a, b, c)
#define STORE(p, x) _mm512_storeu_ps(p, x)
#define STORE_PART(p, mask, x) _mm512_mask_storeu_ps(p, mask, x)
#define reduce(x) _mm512_reduce_add_ps(x)
#define DOT_F32(c, a, b) c = _mm512_fmadd_ps(a, b, c)
#define DOT_BF16(c, a, b) c = _mm512_dpbf16_ps(c, (__m512bh)(a), (__m512bh)(b))

#define LOAD_F32(mask, p) _mm512_maskz_loadu_ps(mask, p)
#define LOAD_F16(mask, p) _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, p))
#define LOAD_BF16(mask, p) \
  _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, p)), 16))
#define LOAD_F32_ALL(p) LOAD_F32(0xffff, p)
#define LOAD_F16_ALL(p) LOAD_F16(0xffff, p)
#define LOAD_BF16_ALL(p) LOAD_BF16(0xffff, p)
#define ROW_CASE(NAME, R, W) case R: NAME##_rows(R, W, t, m0, m1); return;
#define ROW_CASES(NAME, W)                                                                    \
  ROW_CASE(NAME, 14, W) ROW_CASE(NAME, 13, W) ROW_CASE(NAME, 12, W) ROW_CASE(NAME, 11, W)     \
  ROW_CASE(NAME, 10, W) ROW_CASE(NAME, 9, W) ROW_CASE(NAME, 8, W) ROW_CASE(NAME, 7, W)        \
  ROW_CASE(NAME, 6, W) ROW_CASE(NAME, 5, W) ROW_CASE(NAME, 4, W) ROW_CASE(NAME, 3, W)         \
  ROW_CASE(NAME, 2, W) ROW_CASE(NAME, 1, W)
// Rows, vectors side by side across columns and columns at once along them.
#define FEW_ROWS FEW(1, 4, 4) FEW(2, 4, 4) FEW(3, 4, 4) FEW(4, 4, 4)

// The lines to be packed lie in pages of their own, so the processor does not see them coming.
enum { packAhead = 16, slowEdges = 0 };

// Elements from p on as float32; `mask` chooses those that exist.
static inline TARGET __m512 load(const char *p, int dtype, __mmask16 mask) {
  switch (dtype) {
  case lullFloat16: return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, p));
  case lullBFloat16:
    return _mm512_castsi512_ps(
      _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, p)), 16));
  default: return _mm512_maskz_loadu_ps(mask, p);
  }
}
static inline TARGET Mask first(int64_t n) { return n >= 16 ? 0xffff : n <= 0 ? 0 : (__mmask16)((1 << n) - 1); }

static inline TARGET Vector load_all(const char *p, int dtype) { return load(p, dtype, 0xffff); }
static inline TARGET float load_one(const char *p, int dtype) { return _mm512_cvtss_f32(load(p, dtype, 1)); }

// 16 lines of 16 steps each, transposed: to[step * width + line]. Lines that do not exist are the first one again.
static inline __attribute__((always_inline)) TARGET void transpose(
    float *to, int width, const char *from, int dtype, int64_t line, int64_t lines, int64_t steps) {
  __m512 r[16], t[16];
  __mmask16 mask = first(steps);
  UNROLL for (int i = 0; i < 16; ++i) {
    const char *source = from + (i < lines ? i : 0) * line;
    _mm_prefetch(source + 128, _MM_HINT_T0);
    r[i] = load(source, dtype, mask);
  }
  UNROLL for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
  }
  UNROLL for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
    r[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
  UNROLL for (int k = 0; k < 4; ++k) {
    __m512 e0 = _mm512_shuffle_f32x4(r[k], r[4 + k], 0x88), o0 = _mm512_shuffle_f32x4(r[k], r[4 + k], 0xdd);
    __m512 e1 = _mm512_shuffle_f32x4(r[8 + k], r[12 + k], 0x88), o1 = _mm512_shuffle_f32x4(r[8 + k], r[12 + k], 0xdd);
    __m512 row[4] = {_mm512_shuffle_f32x4(e0, e1, 0x88), _mm512_shuffle_f32x4(o0, o1, 0x88),
                     _mm512_shuffle_f32x4(e0, e1, 0xdd), _mm512_shuffle_f32x4(o0, o1, 0xdd)};
    UNROLL for (int q = 0; q < 4; ++q)
      if (k + 4 * q < steps) _mm512_storeu_ps(to + (k + 4 * q) * width, row[q]);
  }
}

// The same in pairs of bfloat16 along k; an odd last one is paired with zero.
static TARGET void pack_pairs(float *to, int width, const char *from, int64_t line, int64_t step,
                              int64_t lines, int64_t k) {
  int64_t whole = k / 2;
  for (int i = 0; i < width; i += 16) {
    int64_t some = lines - i;
    const char *source = from + i * line;
    float *out = to + i;
    if (some <= 0) {
      for (int64_t j = 0; j < whole; ++j) _mm512_storeu_ps(out + j * width, _mm512_setzero_ps());
    } else if (step == 2) {
      for (int64_t j = 0; j < whole; j += 16)
        transpose(out + j * width, width, source + j * 4, lullFloat32, line, some, whole - j);
    } else {
      __mmask16 mask = first(some);
      for (int64_t j = 0; j < whole; ++j) {
        const char *a = source + 2 * j * step, *b = a + step;
        __m512i low, high;
        if (line == 2) {
          low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, a));
          high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, b));
        } else {
          uint32_t p[16] = {0}, q[16] = {0};
          for (int64_t l = 0; l < 16 && l < some; ++l) memcpy(&p[l], a + l * line, 2), memcpy(&q[l], b + l * line, 2);
          low = _mm512_loadu_si512(p), high = _mm512_loadu_si512(q);
        }
        _mm512_storeu_ps(out + j * width, _mm512_castsi512_ps(_mm512_or_si512(low, _mm512_slli_epi32(high, 16))));
      }
    }
    for (int64_t l = 0; (k & 1) && l < 16; ++l) {
      uint32_t last = 0;
      if (l < some) memcpy(&last, source + l * line + (k - 1) * step, 2);
      memcpy(out + whole * width + l, &last, 4);
    }
  }
}

#include "gemm_impl.h"

// Whether pairs of bfloat16 are faster: on some machines the instruction takes four times as long
// as a float32 one (measured on Sapphire Rapids: half the speed), on others both take the same time.
int lull_gemm_pairs_pay(void) {
  enum { depth = 128, rounds = 8 };
  static _Alignas(64) float a[2 * depth * AW], b[2 * depth * NR], c[MR * NR];
  uint64_t pairs = ~0ull, single = ~0ull;
  for (int i = 0; i < rounds; ++i) {
    uint64_t start = __builtin_ia32_rdtsc();
    Tile t = {a, b, .depth = 2 * depth, .c = c, .ldc = NR, .next = (const char *)b};
    tile_f32(&t, MR, NR);
    uint64_t middle = __builtin_ia32_rdtsc();
    t.depth = depth;
    tile_bf16(&t, MR, NR);
    uint64_t end = __builtin_ia32_rdtsc();
    if (middle - start < single) single = middle - start;
    if (end - middle < pairs) pairs = end - middle;
  }
  return pairs < single;
}

#endif
