// Matrix products with AVX-512: blocks of both factors are packed into panels (converted to float32
// on the way, so half precision costs no extra pass), and a tile of 14 x 32 of the product stays in
// registers. The shape of the loops is Goto and van de Geijn's (Anatomy of High-Performance Matrix
// Multiplication, 2008). Where the machine multiplies bfloat16 (VDPBF16PS) and gains by it, panels
// hold pairs of it: then `depth` below counts pairs.
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>
#include "Kernels.h"
#include "gemm_internal.h"
#include "vm_internal.h"
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")))
#define TARGET_BF16 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,avx512bf16")))
#define UNROLL _Pragma("clang loop unroll(full)")

enum { MR = lullGemmRows, NR = lullGemmColumns, AW = lullGemmWidth };

// MARK: Packing

// The lines to be packed lie in pages of their own, so the processor does not see them coming.
enum { packAhead = 16 };

// 16 elements from p on as float32; `mask` chooses those that exist.
static inline TARGET __m512 load16(const char *p, int dtype, __mmask16 mask) {
  switch (dtype) {
  case lullFloat16: return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, p));
  case lullBFloat16:
    return _mm512_castsi512_ps(
      _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, p)), 16));
  default: return _mm512_maskz_loadu_ps(mask, p);
  }
}
static inline TARGET __mmask16 first(int64_t n) { return n >= 16 ? 0xffff : n <= 0 ? 0 : (__mmask16)((1 << n) - 1); }

// 16 lines of 16 steps each, transposed: to[step * width + line]. Lines that do not exist are the first one again.
static inline __attribute__((always_inline)) TARGET void transpose16(
    float *to, int width, const char *from, int dtype, int64_t line, int64_t lines, int64_t steps) {
  __m512 r[16], t[16];
  __mmask16 mask = first(steps);
  UNROLL for (int i = 0; i < 16; ++i) {
    const char *source = from + (i < lines ? i : 0) * line;
    _mm_prefetch(source + 128, _MM_HINT_T0);
    r[i] = load16(source, dtype, mask);
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

// A panel of `width` lines (a multiple of 16), of which `lines` exist, and `depth` steps along k:
// to[k * width + line]. `line` and `step` are the distances of lines and of steps in bytes.
static TARGET void pack_panel(float *to, int width, const char *from, int dtype, int64_t line,
                              int64_t step, int64_t lines, int64_t depth) {
  int size = lull_dtype_size(dtype);
  if (line == size && width == NR) {
    __mmask16 m0 = first(lines), m1 = first(lines - 16);
    for (int64_t k = 0; k < depth; ++k, from += step, to += NR) {
      _mm_prefetch(from + packAhead * step, _MM_HINT_T0);
      _mm_prefetch(from + packAhead * step + 16 * size, _MM_HINT_T0);
      __builtin_prefetch(to + packAhead * NR, 1);
      __builtin_prefetch(to + packAhead * NR + 16, 1);
      _mm512_storeu_ps(to, load16(from, dtype, m0));
      _mm512_storeu_ps(to + 16, load16(from + 16 * size, dtype, m1));
    }
    return;
  }
  for (int i = 0; i < width; i += 16) {
    int64_t some = lines - i;
    const char *source = from + i * line;
    float *out = to + i;
    if (some <= 0) {
      for (int64_t k = 0; k < depth; ++k) _mm512_storeu_ps(out + k * width, _mm512_setzero_ps());
    } else if (line == size) {
      __mmask16 mask = first(some);
      for (int64_t k = 0; k < depth; ++k) {
        _mm_prefetch(source + (k + packAhead) * step, _MM_HINT_T0);
        _mm512_storeu_ps(out + k * width, load16(source + k * step, dtype, mask));
      }
    } else if (step == size) {
      for (int64_t k = 0; k < depth; k += 16)
        transpose16(out + k * width, width, source + k * step, dtype, line, some, depth - k);
    } else {
      for (int64_t k = 0; k < depth; ++k)
        for (int64_t j = 0; j < 16; ++j)
          out[k * width + j] = j < some ? _mm512_cvtss_f32(load16(source + j * line + k * step, dtype, 1)) : 0;
    }
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
        transpose16(out + j * width, width, source + j * 4, lullFloat32, line, some, whole - j);
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

// MARK: Tiles

#define DOT_F32(c, a, b) c = _mm512_fmadd_ps(a, b, c)
#define DOT_BF16(c, a, b) c = _mm512_dpbf16_ps(c, (__m512bh)(a), (__m512bh)(b))

// What a tile multiplies. In panels a step of `a` is AW floats and a step of `b` NR; in place, `a`
// has lines `aLine` bytes apart and a step of `b` is `bStep` bytes.
typedef struct {
  const float *a, *b;
  int64_t aLine, bStep, depth;
  float *c;
  int64_t ldc;
  int adds;           // to what c holds
  const char *next;   // called into the second-level cache meanwhile, `ahead` bytes a step
  int64_t ahead;
} Tile;

// The lines of c are fetched this many steps before the end.
enum { storeAhead = 24 };

#define LOAD_F32(mask, p) _mm512_maskz_loadu_ps(mask, p)
#define LOAD_F16(mask, p) _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, p))
#define LOAD_BF16(mask, p) \
  _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, p)), 16))

// c[rows][columns] (+)= a * b; wide: 0 up to 16 columns, 1 up to 32, 2 exactly 32. SIZE: bytes of an
// element of b.
#define TILE(NAME, ATTRIBUTE, DOT, OPEN, LOAD, SIZE)                                                      \
  static inline __attribute__((always_inline)) ATTRIBUTE void NAME##_rows(                    \
      const int rows, const int wide, const Tile *t, __mmask16 m0, __mmask16 m1) {            \
    __m512 x[MR][2];                                                                          \
    UNROLL for (int i = 0; i < rows; ++i) x[i][0] = x[i][1] = _mm512_setzero_ps();            \
    const char *b = (const char *)t->b, *next = t->next, *a[5];                               \
    UNROLL for (int i = 0; i < 5; ++i) a[i] = (const char *)t->a + 3 * i * t->aLine;          \
    const int64_t line = t->aLine, bStep = OPEN ? t->bStep : NR * 4, ahead = t->ahead;        \
    float *c = t->c;                                                                          \
    const int64_t ldc = t->ldc;                                                               \
    int64_t left = t->depth;                                                                  \
    for (int part = 0; part < 2; ++part) {                                                    \
      for (int64_t k = part ? left : left - storeAhead; k > 0; --k) {                         \
        __m512 b0, b1;                                                                        \
        if (OPEN && wide < 2) {                                                               \
          b0 = LOAD(m0, b);                                                                   \
          b1 = wide ? LOAD(m1, b + 16 * SIZE) : b0;                                           \
        } else {                                                                              \
          b0 = LOAD(0xffff, b);                                                               \
          b1 = wide ? LOAD(0xffff, b + 16 * SIZE) : b0;                                       \
        }                                                                                     \
        _mm_prefetch(b + 12 * bStep, _MM_HINT_T0);                                            \
        if (wide && SIZE == 4) _mm_prefetch(b + 12 * bStep + 64, _MM_HINT_T0);                \
        if (!OPEN) _mm_prefetch(next, _MM_HINT_T1), next += ahead;                            \
        UNROLL for (int i = 0; i < rows; ++i) {                                               \
          __m512 v = _mm512_set1_ps(OPEN ? *(const float *)(a[i / 3] + i % 3 * line)          \
                                         : ((const float *)a[0])[i]);                         \
          DOT(x[i][0], v, b0);                                                                \
          if (wide) DOT(x[i][1], v, b1);                                                      \
        }                                                                                     \
        b += bStep;                                                                           \
        if (OPEN) { UNROLL for (int i = 0; i < 5; ++i) a[i] += 4; }                           \
        else a[0] += AW * 4;                                                                  \
      }                                                                                       \
      if (part == 0) {                                                                        \
        if (left > storeAhead) left = storeAhead;                                             \
        UNROLL for (int i = 0; i < rows; ++i) {                                               \
          _mm_prefetch((const char *)(c + i * ldc), _MM_HINT_T0);                             \
          if (wide) _mm_prefetch((const char *)(c + i * ldc + 16), _MM_HINT_T0);              \
        }                                                                                     \
      }                                                                                       \
    }                                                                                         \
    const int adds = t->adds;                                                                 \
    UNROLL for (int i = 0; i < rows; ++i, c += ldc) {                                         \
      if (adds) {                                                                             \
        x[i][0] = _mm512_add_ps(x[i][0], _mm512_maskz_loadu_ps(m0, c));                       \
        if (wide) x[i][1] = _mm512_add_ps(x[i][1], _mm512_maskz_loadu_ps(m1, c + 16));        \
      }                                                                                       \
      if (wide == 2) {                                                                        \
        _mm512_storeu_ps(c, x[i][0]);                                                         \
        _mm512_storeu_ps(c + 16, x[i][1]);                                                    \
        continue;                                                                             \
      }                                                                                       \
      _mm512_mask_storeu_ps(c, m0, x[i][0]);                                                  \
      if (wide) _mm512_mask_storeu_ps(c + 16, m1, x[i][1]);                                   \
    }                                                                                         \
  }                                                                                           \
  static ATTRIBUTE void NAME(const Tile *t, int64_t rows, int64_t columns) {                  \
    __mmask16 m0 = first(columns), m1 = first(columns - 16);                                  \
    if (columns <= 16) {                                                                      \
      switch (rows) { ROW_CASES(NAME, 0) }                                                    \
    } else if (columns < 32) {                                                                \
      switch (rows) { ROW_CASES(NAME, 1) }                                                    \
    } else {                                                                                  \
      switch (rows) { ROW_CASES(NAME, 2) }                                                    \
    }                                                                                         \
  }
#define ROW_CASE(NAME, R, W) case R: NAME##_rows(R, W, t, m0, m1); return;
#define ROW_CASES(NAME, W)                                                                    \
  ROW_CASE(NAME, 14, W) ROW_CASE(NAME, 13, W) ROW_CASE(NAME, 12, W) ROW_CASE(NAME, 11, W)     \
  ROW_CASE(NAME, 10, W) ROW_CASE(NAME, 9, W) ROW_CASE(NAME, 8, W) ROW_CASE(NAME, 7, W)        \
  ROW_CASE(NAME, 6, W) ROW_CASE(NAME, 5, W) ROW_CASE(NAME, 4, W) ROW_CASE(NAME, 3, W)         \
  ROW_CASE(NAME, 2, W) ROW_CASE(NAME, 1, W)
TILE(tile_f32, TARGET, DOT_F32, 0, LOAD_F32, 4)
TILE(tile_bf16, TARGET_BF16, DOT_BF16, 0, LOAD_F32, 4)
TILE(tile_open_f32, TARGET, DOT_F32, 1, LOAD_F32, 4)
TILE(tile_open_f16, TARGET, DOT_F32, 1, LOAD_F16, 2)
TILE(tile_open_bf16, TARGET, DOT_F32, 1, LOAD_BF16, 2)

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

// MARK: Pieces of the work

// A panel of columns, steps k ..< k + depth.
static TARGET void pack_column_panel(const LullGemm *g, float *to, int64_t panel, int64_t k, int64_t depth) {
  int64_t j = panel * NR, lines = g->n - j < NR ? g->n - j : NR;
  const char *from = g->b + j * g->bColumn + k * (g->pairs ? 2 : 1) * g->bRow;
  if (g->pairs) {
    int64_t elements = g->k - 2 * k < 2 * depth ? g->k - 2 * k : 2 * depth;
    pack_pairs(to, NR, from, g->bColumn, g->bRow, lines, elements);
  } else {
    pack_panel(to, NR, from, g->dtype, g->bColumn, g->bRow, lines, depth);
  }
}
void lull_gemm_pack_columns(const LullGemm *g, int64_t panel) {
  pack_column_panel(g, g->packed + panel * NR * g->steps, panel, 0, g->steps);
}

// One panel of rows, steps k ..< k + depth.
static TARGET void pack_row_panel(const LullGemm *g, float *to, int64_t panel, int64_t k, int64_t depth) {
  int64_t i = panel * g->rowsEach, lines = g->m - i < g->rowsEach ? g->m - i : g->rowsEach;
  const char *from = g->a + i * g->aRow + k * (g->pairs ? 2 : 1) * g->aColumn;
  if (g->pairs) {
    int64_t elements = g->k - 2 * k < 2 * depth ? g->k - 2 * k : 2 * depth;
    pack_pairs(to, AW, from, g->aRow, g->aColumn, lines, elements);
  } else {
    pack_panel(to, AW, from, g->dtype, g->aRow, g->aColumn, lines, depth);
  }
}
static int64_t block_depth(const LullGemm *g, int64_t k) {
  return g->steps - k < lullGemmDepth ? g->steps - k : lullGemmDepth;
}
static int64_t row_panels(const LullGemm *g) { return (g->m + g->rowsEach - 1) / g->rowsEach; }

void lull_gemm_pack_rows(const LullGemm *g, int64_t panel) {
  for (int64_t k = 0; k < g->steps; k += lullGemmDepth)
    pack_row_panel(g, g->packed + (k * row_panels(g) + panel * lullGemmDepth) * AW, panel, k, block_depth(g, k));
}

TARGET void lull_gemm_rows(const LullGemm *g, int64_t p0, int64_t p1, int64_t c0, int64_t c1,
                           float *scratch) {
  enum { panelFloats = AW * lullGemmDepth };
  const int64_t each = g->rowsEach, from = p0 * each, to = p1 * each < g->m ? p1 * each : g->m;
  int64_t columns = (c1 * NR < g->n ? c1 * NR : g->n) - c0 * NR, tiles = p1 - p0;
  float *sums = scratch + tiles * panelFloats;
  int isDirect = g->dtype == lullFloat32;
  int64_t ldc = isDirect ? g->cRow : (columns + 15) & ~(int64_t)15;
  float *c = isDirect ? (float *)g->c + from * g->cRow + c0 * NR : sums;
  int size = lull_dtype_size(g->dtype);
  for (int64_t k = 0; k < g->steps; k += lullGemmDepth) {
    int64_t depth = block_depth(g, k);
    for (int64_t p = p0; p < p1; ++p) pack_row_panel(g, scratch + (p - p0) * panelFloats, p, k, depth);
    for (int64_t j = c0; j < c1; ++j) {
      const float *b = g->packed + j * NR * g->steps + k * NR;
      int64_t width = g->n - j * NR < NR ? g->n - j * NR : NR;
      // The panel after this one is fetched, a part during each tile.
      const char *next = (const char *)(j + 1 < c1 ? b + NR * g->steps : b);
      int64_t ahead = NR * 4 / tiles;
      Tile t = {scratch, b, .depth = depth, .c = c + (j - c0) * NR, .ldc = ldc, .adds = k > 0, .next = next, .ahead = ahead};
      for (int64_t i = from; i < to; i += each, t.a += panelFloats, t.c += each * ldc, t.next += ahead * depth) {
        int64_t lines = to - i < each ? to - i : each;
        if (g->pairs) tile_bf16(&t, lines, width);
        else tile_f32(&t, lines, width);
      }
    }
  }
  if (isDirect) return;
  for (int64_t i = from; i < to; ++i)
    lull_level_avx512.store(g->c + (i * g->cRow + c0 * NR) * size, sums + (i - from) * ldc, g->dtype, columns);
}

TARGET void lull_gemm_columns(const LullGemm *g, int64_t c0, int64_t c1, float *scratch) {
  const int64_t each = g->rowsEach, panels = row_panels(g);
  const int isDirect = g->dtype == lullFloat32;
  float *sums = scratch + lullGemmDepth * NR;
  for (int64_t j = c0; j < c1; ++j) {
    int64_t width = g->n - j * NR < NR ? g->n - j * NR : NR;
    for (int64_t k = 0; k < g->steps; k += lullGemmDepth) {
      int64_t depth = block_depth(g, k);
      pack_column_panel(g, scratch, j, k, depth);
      Tile t = {g->packed + k * panels * AW, scratch, .depth = depth, .adds = k > 0, .ahead = AW * 4,
                .c = isDirect ? (float *)g->c + j * NR : sums, .ldc = isDirect ? g->cRow : NR};
      for (int64_t i = 0; i < g->m; i += each, t.a += AW * lullGemmDepth, t.c += each * t.ldc) {
        int64_t lines = g->m - i < each ? g->m - i : each;
        t.next = (const char *)(t.a + AW * lullGemmDepth);
        if (g->pairs) tile_bf16(&t, lines, width);
        else tile_f32(&t, lines, width);
      }
    }
    for (int64_t i = 0; !isDirect && i < g->m; ++i)
      lull_level_avx512.store(g->c + (i * g->cRow + j * NR) * 2, sums + i * NR, g->dtype, width);
  }
}

TARGET void lull_gemm_open(const LullGemm *g, int64_t from, int64_t to, int64_t c0, int64_t c1) {
  const int64_t each = g->rowsEach;
  const int size = lull_dtype_size(g->dtype);
  // The factor that is used less often passes by, the other one stays in the cache.
  int64_t rowStep = each, columnStep = c1 - c0;
  if (to - from <= 2 * MR) rowStep = to - from, columnStep = NR;
  for (int64_t i0 = from; i0 < to; i0 += rowStep)
    for (int64_t j0 = c0; j0 < c1; j0 += columnStep)
      for (int64_t i = i0; i < i0 + rowStep && i < to; i += each) {
        int64_t lines = to - i < each ? to - i : each;
        for (int64_t j = j0; j < j0 + columnStep && j < c1; j += NR) {
          Tile t = {(const float *)(g->a + i * g->aRow), (const float *)(g->b + j * size), g->aRow, g->bRow,
                    g->k, (float *)g->c + i * g->cRow + j, g->cRow};
          int64_t width = c1 - j < NR ? c1 - j : NR;
          if (g->dtype == lullFloat32) tile_open_f32(&t, lines, width);
          else if (g->dtype == lullFloat16) tile_open_f16(&t, lines, width);
          else tile_open_bf16(&t, lines, width);
        }
      }
}

// MARK: Few rows

// Without packing: every element of b is read once. `a` is float32, [rows][k]; columns from ..< to.
#define FEW(R)                                                                                \
  static inline __attribute__((always_inline)) TARGET void along_##R(                         \
      const LullGemm *g, const float *a, int64_t row, int64_t from, int64_t to) {             \
    const int size = lull_dtype_size(g->dtype);                                               \
    int64_t j = from;                                                                         \
    for (; j < to; j += 4) {                                                                  \
      __m512 x[R][4];                                                                         \
      UNROLL for (int i = 0; i < R; ++i) UNROLL for (int q = 0; q < 4; ++q) x[i][q] = _mm512_setzero_ps(); \
      const char *b[4];                                                                       \
      UNROLL for (int q = 0; q < 4; ++q) b[q] = g->b + (j + q < to ? j + q : j) * g->bColumn; \
      for (int64_t k = 0; k < g->k; k += 16) {                                                \
        __mmask16 mask = first(g->k - k);                                                     \
        __m512 w[4];                                                                          \
        UNROLL for (int q = 0; q < 4; ++q) w[q] = load16(b[q] + k * size, g->dtype, mask);    \
        UNROLL for (int i = 0; i < R; ++i) {                                                  \
          __m512 v = _mm512_maskz_loadu_ps(mask, a + (row + i) * g->k + k);                   \
          UNROLL for (int q = 0; q < 4; ++q) x[i][q] = _mm512_fmadd_ps(v, w[q], x[i][q]);     \
        }                                                                                     \
      }                                                                                       \
      UNROLL for (int i = 0; i < R; ++i) {                                                    \
        float sums[4];                                                                        \
        UNROLL for (int q = 0; q < 4; ++q) sums[q] = _mm512_reduce_add_ps(x[i][q]);           \
        lull_level_avx512.store(g->c + ((row + i) * g->n + j) * size, sums, g->dtype, to - j < 4 ? to - j : 4); \
      }                                                                                       \
    }                                                                                         \
  }                                                                                           \
  static inline __attribute__((always_inline)) TARGET void across_##R(                        \
      const LullGemm *g, const float *a, int64_t row, int64_t from, int64_t to) {             \
    const int size = lull_dtype_size(g->dtype);                                               \
    for (int64_t j = from; j < to; j += 64) {                                                 \
      __m512 x[R][4];                                                                         \
      __mmask16 mask[4];                                                                      \
      UNROLL for (int q = 0; q < 4; ++q) mask[q] = first(to - j - q * 16);                    \
      UNROLL for (int i = 0; i < R; ++i) UNROLL for (int q = 0; q < 4; ++q) x[i][q] = _mm512_setzero_ps(); \
      const char *b = g->b + j * size;                                                        \
      for (int64_t k = 0; k < g->k; ++k, b += g->bRow) {                                      \
        __m512 w[4];                                                                          \
        _mm_prefetch(b + 8 * g->bRow, _MM_HINT_T0);                                           \
        _mm_prefetch(b + 8 * g->bRow + 64, _MM_HINT_T0);                                      \
        UNROLL for (int q = 0; q < 4; ++q) w[q] = load16(b + q * 16 * size, g->dtype, mask[q]); \
        UNROLL for (int i = 0; i < R; ++i) {                                                  \
          __m512 v = _mm512_set1_ps(a[(row + i) * g->k + k]);                                 \
          UNROLL for (int q = 0; q < 4; ++q) x[i][q] = _mm512_fmadd_ps(v, w[q], x[i][q]);     \
        }                                                                                     \
      }                                                                                       \
      UNROLL for (int i = 0; i < R; ++i) {                                                    \
        float sums[64];                                                                       \
        UNROLL for (int q = 0; q < 4; ++q) _mm512_storeu_ps(sums + q * 16, x[i][q]);          \
        lull_level_avx512.store(g->c + ((row + i) * g->n + j) * size, sums, g->dtype, to - j < 64 ? to - j : 64); \
      }                                                                                       \
    }                                                                                         \
  }
FEW(1)
FEW(2)
FEW(3)
FEW(4)

TARGET void lull_gemm_widen(float *to, const char *from, int dtype, int64_t n) {
  int size = lull_dtype_size(dtype);
  int64_t k = 0;
  for (; k + 16 <= n; k += 16) _mm512_storeu_ps(to + k, load16(from + k * size, dtype, 0xffff));
  if (k < n) _mm512_mask_storeu_ps(to + k, first(n - k), load16(from + k * size, dtype, first(n - k)));
}
void lull_gemm_narrow(char *to, const float *from, int dtype, int64_t n) {
  lull_level_avx512.store(to, from, dtype, n);
}

TARGET void lull_gemm_widen_rows(const LullGemm *g, float *a) {
  for (int64_t i = 0; i < g->m; ++i) {
    const char *row = g->a + i * g->aRow;
    if (g->aColumn == lull_dtype_size(g->dtype)) {
      lull_gemm_widen(a + i * g->k, row, g->dtype, g->k);
    } else {
      for (int64_t k = 0; k < g->k; ++k) a[i * g->k + k] = _mm512_cvtss_f32(load16(row + k * g->aColumn, g->dtype, 1));
    }
  }
}

TARGET void lull_gemm_few_rows(const LullGemm *g, const float *a, int64_t from, int64_t to) {
  int along = g->bRow == lull_dtype_size(g->dtype);
  for (int64_t i = 0; i < g->m; i += 4) {
    switch (g->m - i) {
    case 1: if (along) along_1(g, a, i, from, to); else across_1(g, a, i, from, to); break;
    case 2: if (along) along_2(g, a, i, from, to); else across_2(g, a, i, from, to); break;
    case 3: if (along) along_3(g, a, i, from, to); else across_3(g, a, i, from, to); break;
    default: if (along) along_4(g, a, i, from, to); else across_4(g, a, i, from, to);
    }
  }
}
#endif
