// Matrix products by panels, for the levels that include this (gemm_avx512.c, gemm_avx2.c). Blocks of both
// factors are packed into panels (converted to float32 on the way, so half precision costs no extra
// pass), and a tile of MR x NR of the product stays in registers. The shape of the loops is Goto and
// van de Geijn's (Anatomy of High-Performance Matrix Multiplication, 2008).
//
// A level defines Vector of VL lanes and Mask, some of the first lanes (first); ZERO, SET1, ADD, MULTIPLY_ADD, STORE
// and STORE_PART; LOAD_F32, LOAD_F16 and LOAD_BF16 under a mask, and with _ALL of whole vectors; load, load_all and
// load_one by dtype; reduce, the sum of the lanes; transpose; MR, NR = 2 VL, AW (the width of a packed step of rows),
// DEPTH (of a block along k), slowEdges (partial loads cost more than whole ones), ROW_CASES, FEW_ROWS, LEVEL and GEMM (the table's name). With PAIRS also what multiplies
// pairs of bfloat16, in which `depth` counts pairs.

// MARK: Packing

// A panel of `width` lines (a multiple of VL), of which `lines` exist, and `depth` steps along k:
// to[k * width + line]. `line` and `step` are the distances of lines and of steps in bytes.
static TARGET void pack_panel(float *to, int width, const char *from, int dtype, int64_t line,
                              int64_t step, int64_t lines, int64_t depth) {
  int size = lull_dtype_size(dtype);
  if (line == size && width == NR) {
    Mask m0 = first(lines), m1 = first(lines - VL);
    for (int64_t k = 0; k < depth; ++k, from += step, to += NR) {
      _mm_prefetch(from + packAhead * step, _MM_HINT_T0);
      if (VL == 16) _mm_prefetch(from + packAhead * step + 16 * size, _MM_HINT_T0);
      __builtin_prefetch(to + packAhead * NR, 1);
      if (VL == 16) __builtin_prefetch(to + packAhead * NR + 16, 1);
      STORE(to, load(from, dtype, m0));
      STORE(to + VL, load(from + VL * size, dtype, m1));
    }
    return;
  }
  for (int i = 0; i < width; i += VL) {
    int64_t some = lines - i;
    const char *source = from + i * line;
    float *out = to + i;
    if (some <= 0) {
      for (int64_t k = 0; k < depth; ++k) STORE(out + k * width, ZERO);
    } else if (line == size) {
      Mask mask = first(some);
      for (int64_t k = 0; k < depth; ++k) {
        _mm_prefetch(source + (k + packAhead) * step, _MM_HINT_T0);
        STORE(out + k * width, load(source + k * step, dtype, mask));
      }
    } else if (step == size) {
      for (int64_t k = 0; k < depth; k += VL)
        transpose(out + k * width, width, source + k * step, dtype, line, some, depth - k);
    } else {
      for (int64_t k = 0; k < depth; ++k)
        for (int64_t j = 0; j < VL; ++j)
          out[k * width + j] = j < some ? load_one(source + j * line + k * step, dtype) : 0;
    }
  }
}

// MARK: Tiles

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
  const char *end;    // of the memory that b is in: whole vectors may be read before it
} Tile;

// The lines of c are fetched this many steps before the end.
enum { storeAhead = 24 };

// c[rows][columns] (+)= a * b; wide: 0 up to VL columns, 1 up to 2 VL, 2 exactly that. SIZE: bytes of an
// element of b.
#define TILE(NAME, ATTRIBUTE, DOT, OPEN, LOAD, SIZE)                                                      \
  static inline __attribute__((always_inline)) ATTRIBUTE void NAME##_rows(                    \
      const int rows, const int wide, const Tile *t, Mask m0, Mask m1) {                      \
    Vector x[MR][2];                                                                          \
    UNROLL for (int i = 0; i < rows; ++i) x[i][0] = x[i][1] = ZERO;            \
    const char *b = (const char *)t->b, *next = t->next, *a[(MR + 2) / 3];                               \
    UNROLL for (int i = 0; i < (MR + 2) / 3; ++i) a[i] = (const char *)t->a + 3 * i * t->aLine;          \
    const int64_t line = t->aLine, bStep = OPEN ? t->bStep : NR * 4, ahead = t->ahead;        \
    float *c = t->c;                                                                          \
    const int64_t ldc = t->ldc;                                                               \
    const char *end = t->end;                                                                 \
    int64_t left = t->depth;                                                                  \
    for (int part = 0; part < 2; ++part) {                                                    \
      for (int64_t k = part ? left : left - storeAhead; k > 0; --k) {                         \
        Vector b0, b1;                                                                        \
        if (OPEN && wide < 2 && !(slowEdges && b + NR * SIZE <= end)) {                       \
          b0 = LOAD(m0, b);                                                                   \
          b1 = wide ? LOAD(m1, b + VL * SIZE) : b0;                                           \
        } else {                                                                              \
          b0 = LOAD##_ALL(b);                                                               \
          b1 = wide ? LOAD##_ALL(b + VL * SIZE) : b0;                                       \
        }                                                                                     \
        _mm_prefetch(b + 12 * bStep, _MM_HINT_T0);                                            \
        if (wide && SIZE * VL == 64) _mm_prefetch(b + 12 * bStep + 64, _MM_HINT_T0);                \
        if (!OPEN) _mm_prefetch(next, _MM_HINT_T1), next += ahead;                            \
        UNROLL for (int i = 0; i < rows; ++i) {                                               \
          Vector v = SET1(OPEN ? *(const float *)(a[i / 3] + i % 3 * line)          \
                                         : ((const float *)a[0])[i]);                         \
          DOT(x[i][0], v, b0);                                                                \
          if (wide) DOT(x[i][1], v, b1);                                                      \
        }                                                                                     \
        b += bStep;                                                                           \
        if (OPEN) { UNROLL for (int i = 0; i < (MR + 2) / 3; ++i) a[i] += 4; }                           \
        else a[0] += AW * 4;                                                                  \
      }                                                                                       \
      if (part == 0) {                                                                        \
        if (left > storeAhead) left = storeAhead;                                             \
        UNROLL for (int i = 0; i < rows; ++i) {                                               \
          _mm_prefetch((const char *)(c + i * ldc), _MM_HINT_T0);                             \
          if (wide) _mm_prefetch((const char *)(c + i * ldc + VL), _MM_HINT_T0);              \
        }                                                                                     \
      }                                                                                       \
    }                                                                                         \
    const int adds = t->adds;                                                                 \
    UNROLL for (int i = 0; i < rows; ++i, c += ldc) {                                         \
      if (adds) {                                                                             \
        x[i][0] = ADD(x[i][0], LOAD_F32(m0, c));                       \
        if (wide) x[i][1] = ADD(x[i][1], LOAD_F32(m1, c + VL));        \
      }                                                                                       \
      if (wide == 2) {                                                                        \
        STORE(c, x[i][0]);                                                         \
        STORE(c + VL, x[i][1]);                                                    \
        continue;                                                                             \
      }                                                                                       \
      STORE_PART(c, m0, x[i][0]);                                                  \
      if (wide) STORE_PART(c + VL, m1, x[i][1]);                                   \
    }                                                                                         \
  }                                                                                           \
  static ATTRIBUTE void NAME(const Tile *t, int64_t rows, int64_t columns) {                  \
    Mask m0 = first(columns), m1 = first(columns - VL);                                  \
    if (columns <= VL) {                                                                      \
      switch (rows) { ROW_CASES(NAME, 0) }                                                    \
    } else if (columns < NR) {                                                                \
      switch (rows) { ROW_CASES(NAME, 1) }                                                    \
    } else {                                                                                  \
      switch (rows) { ROW_CASES(NAME, 2) }                                                    \
    }                                                                                         \
  }
TILE(tile_f32, TARGET, DOT_F32, 0, LOAD_F32, 4)
#ifdef PAIRS
TILE(tile_bf16, TARGET_BF16, DOT_BF16, 0, LOAD_F32, 4)
#endif
TILE(tile_open_f32, TARGET, DOT_F32, 1, LOAD_F32, 4)
TILE(tile_open_f16, TARGET, DOT_F32, 1, LOAD_F16, 2)
TILE(tile_open_bf16, TARGET, DOT_F32, 1, LOAD_BF16, 2)


// MARK: Pieces of the work

static TARGET void multiply_tile(const LullGemm *g, const Tile *t, int64_t lines, int64_t width) {
#ifdef PAIRS
  if (g->pairs) {
    tile_bf16(t, lines, width);
    return;
  }
#endif
  tile_f32(t, lines, width);
}

// Lines of a factor that begins at `from`, steps k ..< k + depth of it.
static inline __attribute__((always_inline)) TARGET void pack(
    const LullGemm *g, float *to, int width, const char *from, int64_t line, int64_t step, int64_t lines,
    int64_t k, int64_t depth) {
#ifdef PAIRS
  if (g->pairs) {
    int64_t elements = g->k - 2 * k < 2 * depth ? g->k - 2 * k : 2 * depth;
    pack_pairs(to, width, from + 2 * k * step, line, step, lines, elements);
    return;
  }
#endif
  pack_panel(to, width, from + k * step, g->dtype, line, step, lines, depth);
}
static TARGET void pack_column_panel(const LullGemm *g, float *to, int64_t panel, int64_t k, int64_t depth) {
  int64_t j = panel * NR, lines = g->n - j < NR ? g->n - j : NR;
  pack(g, to, NR, g->b + j * g->bColumn, g->bColumn, g->bRow, lines, k, depth);
}
static void gemm_pack_columns(const LullGemm *g, int64_t panel) {
  pack_column_panel(g, g->packed + panel * NR * g->steps, panel, 0, g->steps);
}
static TARGET void pack_row_panel(const LullGemm *g, float *to, int64_t panel, int64_t k, int64_t depth) {
  int64_t i = panel * g->rowsEach, lines = g->m - i < g->rowsEach ? g->m - i : g->rowsEach;
  pack(g, to, AW, g->a + i * g->aRow, g->aRow, g->aColumn, lines, k, depth);
}
static int64_t block_depth(const LullGemm *g, int64_t k) {
  return g->steps - k < DEPTH ? g->steps - k : DEPTH;
}
static int64_t row_panels(const LullGemm *g) { return (g->m + g->rowsEach - 1) / g->rowsEach; }

static void gemm_pack_rows(const LullGemm *g, int64_t panel) {
  for (int64_t k = 0; k < g->steps; k += DEPTH)
    pack_row_panel(g, g->packed + (k * row_panels(g) + panel * DEPTH) * AW, panel, k, block_depth(g, k));
}

static TARGET void gemm_rows(const LullGemm *g, int64_t p0, int64_t p1, int64_t c0, int64_t c1,
                           float *scratch) {
  enum { panelFloats = AW * DEPTH };
  const int64_t each = g->rowsEach, from = p0 * each, to = p1 * each < g->m ? p1 * each : g->m;
  int64_t columns = (c1 * NR < g->n ? c1 * NR : g->n) - c0 * NR, tiles = p1 - p0;
  float *sums = scratch + tiles * panelFloats;
  int isDirect = g->dtype == lullFloat32;
  int64_t ldc = isDirect ? g->cRow : (columns + 15) & ~(int64_t)15;
  float *c = isDirect ? (float *)g->c + from * g->cRow + c0 * NR : sums;
  int size = lull_dtype_size(g->dtype);
  for (int64_t k = 0; k < g->steps; k += DEPTH) {
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
        multiply_tile(g, &t, lines, width);
      }
    }
  }
  if (isDirect) return;
  for (int64_t i = from; i < to; ++i)
    LEVEL.store(g->c + (i * g->cRow + c0 * NR) * size, sums + (i - from) * ldc, g->dtype, columns);
}

static TARGET void gemm_columns(const LullGemm *g, int64_t c0, int64_t c1, float *scratch) {
  const int64_t each = g->rowsEach, panels = row_panels(g);
  const int isDirect = g->dtype == lullFloat32;
  float *sums = scratch + DEPTH * NR;
  for (int64_t j = c0; j < c1; ++j) {
    int64_t width = g->n - j * NR < NR ? g->n - j * NR : NR;
    for (int64_t k = 0; k < g->steps; k += DEPTH) {
      int64_t depth = block_depth(g, k);
      pack_column_panel(g, scratch, j, k, depth);
      Tile t = {g->packed + k * panels * AW, scratch, .depth = depth, .adds = k > 0, .ahead = AW * 4,
                .c = isDirect ? (float *)g->c + j * NR : sums, .ldc = isDirect ? g->cRow : NR};
      for (int64_t i = 0; i < g->m; i += each, t.a += AW * DEPTH, t.c += each * t.ldc) {
        int64_t lines = g->m - i < each ? g->m - i : each;
        t.next = (const char *)(t.a + AW * DEPTH);
        multiply_tile(g, &t, lines, width);
      }
    }
    for (int64_t i = 0; !isDirect && i < g->m; ++i)
      LEVEL.store(g->c + (i * g->cRow + j * NR) * 2, sums + i * NR, g->dtype, width);
  }
}

static TARGET void gemm_open(const LullGemm *g, int64_t from, int64_t to, int64_t c0, int64_t c1) {
  const int64_t each = g->rowsEach;
  const int size = lull_dtype_size(g->dtype);
  const char *end = g->b + (g->k - 1) * g->bRow + g->n * size;
  // The factor that is used less often passes by, the other one stays in the cache.
  int64_t rowStep = each, columnStep = c1 - c0;
  if (to - from <= 2 * MR) rowStep = to - from, columnStep = NR;
  for (int64_t i0 = from; i0 < to; i0 += rowStep)
    for (int64_t j0 = c0; j0 < c1; j0 += columnStep)
      for (int64_t i = i0; i < i0 + rowStep && i < to; i += each) {
        int64_t lines = to - i < each ? to - i : each;
        for (int64_t j = j0; j < j0 + columnStep && j < c1; j += NR) {
          Tile t = {(const float *)(g->a + i * g->aRow), (const float *)(g->b + j * size), g->aRow, g->bRow,
                    g->k, (float *)g->c + i * g->cRow + j, g->cRow, .end = end};
          int64_t width = c1 - j < NR ? c1 - j : NR;
          if (g->dtype == lullFloat32) tile_open_f32(&t, lines, width);
          else if (g->dtype == lullFloat16) tile_open_f16(&t, lines, width);
          else tile_open_bf16(&t, lines, width);
        }
      }
}

// MARK: Few rows

// Without packing: every element of b is read once. `a` is float32, [rows][k]; columns from ..< to.
#define FEW(R, Q, L)                                                                          \
  static inline __attribute__((always_inline)) TARGET void along_##R(                         \
      const LullGemm *g, const float *a, int64_t row, int64_t from, int64_t to) {             \
    const int size = lull_dtype_size(g->dtype);                                               \
    int64_t j = from;                                                                         \
    for (; j < to; j += L) {                                                                  \
      Vector x[R][L];                                                                         \
      UNROLL for (int i = 0; i < R; ++i) UNROLL for (int q = 0; q < L; ++q) x[i][q] = ZERO; \
      const char *b[L];                                                                       \
      UNROLL for (int q = 0; q < L; ++q) b[q] = g->b + (j + q < to ? j + q : j) * g->bColumn; \
      for (int64_t k = 0; k < g->k; k += VL) {                                                \
        Mask mask = first(g->k - k);                                                     \
        Vector w[L];                                                                          \
        UNROLL for (int q = 0; q < L; ++q) w[q] = load(b[q] + k * size, g->dtype, mask);    \
        UNROLL for (int i = 0; i < R; ++i) {                                                  \
          Vector v = LOAD_F32(mask, a + (row + i) * g->k + k);                   \
          UNROLL for (int q = 0; q < L; ++q) x[i][q] = MULTIPLY_ADD(v, w[q], x[i][q]);     \
        }                                                                                     \
      }                                                                                       \
      UNROLL for (int i = 0; i < R; ++i) {                                                    \
        float sums[L];                                                                        \
        UNROLL for (int q = 0; q < L; ++q) sums[q] = reduce(x[i][q]);           \
        LEVEL.store(g->c + ((row + i) * g->n + j) * size, sums, g->dtype, to - j < L ? to - j : L); \
      }                                                                                       \
    }                                                                                         \
  }                                                                                           \
  static inline __attribute__((always_inline)) TARGET void across_##R(                        \
      const LullGemm *g, const float *a, int64_t row, int64_t from, int64_t to) {             \
    const int size = lull_dtype_size(g->dtype);                                               \
    for (int64_t j = from; j < to; j += Q * VL) {                                                 \
      Vector x[R][Q];                                                                         \
      Mask mask[Q];                                                                      \
      UNROLL for (int q = 0; q < Q; ++q) mask[q] = first(to - j - q * VL);                    \
      UNROLL for (int i = 0; i < R; ++i) UNROLL for (int q = 0; q < Q; ++q) x[i][q] = ZERO; \
      const char *b = g->b + j * size;                                                        \
      for (int64_t k = 0; k < g->k; ++k, b += g->bRow) {                                      \
        Vector w[Q];                                                                          \
        _mm_prefetch(b + 8 * g->bRow, _MM_HINT_T0);                                           \
        if (Q * VL > 16) _mm_prefetch(b + 8 * g->bRow + 64, _MM_HINT_T0);                                      \
        UNROLL for (int q = 0; q < Q; ++q) w[q] = load(b + q * VL * size, g->dtype, mask[q]); \
        UNROLL for (int i = 0; i < R; ++i) {                                                  \
          Vector v = SET1(a[(row + i) * g->k + k]);                                 \
          UNROLL for (int q = 0; q < Q; ++q) x[i][q] = MULTIPLY_ADD(v, w[q], x[i][q]);     \
        }                                                                                     \
      }                                                                                       \
      UNROLL for (int i = 0; i < R; ++i) {                                                    \
        float sums[Q * VL];                                                                       \
        UNROLL for (int q = 0; q < Q; ++q) STORE(sums + q * VL, x[i][q]);          \
        LEVEL.store(g->c + ((row + i) * g->n + j) * size, sums, g->dtype, to - j < Q * VL ? to - j : Q * VL); \
      }                                                                                       \
    }                                                                                         \
  }
FEW_ROWS

static TARGET void gemm_widen(float *to, const char *from, int dtype, int64_t n) {
  int size = lull_dtype_size(dtype);
  int64_t k = 0;
  for (; k + VL <= n; k += VL) STORE(to + k, load_all(from + k * size, dtype));
  if (k < n) STORE_PART(to + k, first(n - k), load(from + k * size, dtype, first(n - k)));
}
static void gemm_narrow(char *to, const float *from, int dtype, int64_t n) {
  LEVEL.store(to, from, dtype, n);
}

static TARGET void gemm_widen_rows(const LullGemm *g, float *a) {
  for (int64_t i = 0; i < g->m; ++i) {
    const char *row = g->a + i * g->aRow;
    if (g->aColumn == lull_dtype_size(g->dtype)) {
      gemm_widen(a + i * g->k, row, g->dtype, g->k);
    } else {
      for (int64_t k = 0; k < g->k; ++k) a[i * g->k + k] = load_one(row + k * g->aColumn, g->dtype);
    }
  }
}

static TARGET void gemm_few_rows(const LullGemm *g, const float *a, int64_t from, int64_t to) {
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

const LullGemmLevel GEMM = {
  MR, NR, AW, DEPTH, gemm_pack_columns, gemm_pack_rows, gemm_rows, gemm_columns, gemm_open, gemm_widen,
  gemm_narrow, gemm_widen_rows, gemm_few_rows,
};
