// LU for one element type T with vectors of LANES; see lu.h and lu_internal.h. All vectors are whole:
// rows are padded with zeros, and what is computed there is never looked at.

typedef T FN(vec) __attribute__((ext_vector_type(LANES)));
typedef T FN(vecu) __attribute__((ext_vector_type(LANES), aligned(sizeof(T))));
typedef T FN(four) __attribute__((ext_vector_type(4), aligned(sizeof(T))));
typedef IT FN(lanes) __attribute__((ext_vector_type(LANES)));
#define V FN(vec)
#define VLOAD(p) ((V)(*(const FN(vecu) *)(p)))
#define VSTORE(p, v) (*(FN(vecu) *)(p) = (v))
#define CHOOSE(mask, a, b) ((V)(((FN(lanes))(a) & (mask)) | ((FN(lanes))(b) & ~(mask))))
#undef WIDTH
#define WIDTH (VECTORS * LANES)
#define ROW(i) ((T *)lu->rows + (i) * lu->line)
#pragma clang fp contract(fast)

INLINE FN(lanes) FN(numbers)(int64_t from) {
  FN(lanes) n;
  UNROLL for (int i = 0; i < LANES; i++) n[i] = (IT)(from + i);
  return n;
}

// MARK: Tiles

// c[R][N vectors] -= a[depth][R]^T b[depth][N vectors]; a's lines and steps are so many elements apart.
#define TILE(R, N)                                                                                         \
  INLINE void FN(tile_##R##_##N)(T *c, int64_t cLine, const T *a, int64_t aLine, int64_t aStep,            \
                                 const T *b, int64_t bStep, int64_t depth) {                               \
    V acc[R][N];                                                                                           \
    UNROLL for (int r = 0; r < R; r++) UNROLL for (int v = 0; v < N; v++)                                  \
        acc[r][v] = VLOAD(c + r * cLine + v * LANES);                                                      \
    for (int64_t p = 0; p < depth; p++, a += aStep, b += bStep) {                                          \
      V k[N];                                                                                              \
      UNROLL for (int v = 0; v < N; v++) k[v] = VLOAD(b + v * LANES);                                      \
      UNROLL for (int r = 0; r < R; r++) {                                                                 \
        V x = (V)a[r * aLine];                                                                             \
        UNROLL for (int v = 0; v < N; v++) acc[r][v] -= x * k[v];                                          \
      }                                                                                                    \
    }                                                                                                      \
    UNROLL for (int r = 0; r < R; r++) UNROLL for (int v = 0; v < N; v++)                                  \
        VSTORE(c + r * cLine + v * LANES, acc[r][v]);                                                      \
  }
#if LEVEL == 2
TILE(8, 3)
TILE(1, 3)
#define FULL_TILE FN(tile_8_3)
#define FEW_TILE FN(tile_8_3)
#define LINE_TILE FN(tile_1_3)
#else
TILE(6, 2)
TILE(4, 2)
TILE(1, 2)
#define FULL_TILE FN(tile_6_2)
#define FEW_TILE FN(tile_4_2)
#define LINE_TILE FN(tile_1_2)
#endif
#undef TILE

// MARK: A panel

// Where the largest of row[from ..< end] is; nan counts as none.
static int64_t FN(largest)(const T *row, int64_t from, int64_t end) {
  V best[2] = {(V)(T)-1, (V)(T)-1};
  FN(lanes) place[2] = {0, 0};
  int64_t i = from / LANES * LANES;
  FN(lanes) at = FN(numbers)(i), more;
  V x = __builtin_elementwise_abs(VLOAD(row + i));
  more = (x > best[0]) & (at >= (IT)from);
  best[0] = CHOOSE(more, x, best[0]);
  place[0] = at;
  for (i += LANES; i < end; i += 2 * LANES)
    UNROLL for (int q = 0; q < 2; q++) {
      if (i + q * LANES >= end) break;
      x = __builtin_elementwise_abs(VLOAD(row + i + q * LANES));
      at = FN(numbers)(0) + (IT)(i + q * LANES);
      more = x > best[q];
      best[q] = CHOOSE(more, x, best[q]);
      place[q] = (at & more) | (place[q] & ~more);
    }
  T most = -1;
  int64_t found = from;
  for (int q = 0; q < 2; q++)
    for (int l = 0; l < LANES; l++)
      if (best[q][l] > most || (best[q][l] == most && place[q][l] < found)) most = best[q][l], found = place[q][l];
  return found < end && found >= from ? found : from;
}

// Row 0 is divided by its element `at`; `rest` rows behind it lose it so many times that theirs is zero.
#define ELIMINATE(REST)                                                                                    \
  INLINE void FN(eliminate_##REST)(T *row, int64_t line, int64_t at, int64_t end, T pivot) {               \
    V x[REST + 1];                                                                                         \
    UNROLL for (int r = 1; r <= REST; r++) x[r] = (V)row[r * line + at];                                   \
    int64_t i = (at + 1) / LANES * LANES;                                                                  \
    FN(lanes) behind = FN(numbers)(i) > (IT)at;                                                            \
    V own = VLOAD(row + i), f = CHOOSE(behind, own / pivot, (V)(T)0);                                      \
    VSTORE(row + i, CHOOSE(behind, f, own));                                                               \
    for (;;) {                                                                                             \
      UNROLL for (int r = 1; r <= REST; r++)                                                               \
          VSTORE(row + r * line + i, VLOAD(row + r * line + i) - x[r] * f);                                \
      i += LANES;                                                                                          \
      if (i >= end) return;                                                                                \
      f = VLOAD(row + i) / pivot;                                                                          \
      VSTORE(row + i, f);                                                                                  \
    }                                                                                                      \
  }
ELIMINATE(0) ELIMINATE(1) ELIMINATE(2) ELIMINATE(3) ELIMINATE(4) ELIMINATE(5) ELIMINATE(6) ELIMINATE(7)
#undef ELIMINATE

static void FN(exchange)(const LullLU *lu, int64_t row, int64_t first, int64_t last) {
  T *x = ROW(row);
  for (int64_t i = first; i < last; i++) {
    int64_t other = lu->pivots[i];
    T own = x[i];
    x[i] = x[other];
    x[other] = own;
  }
}

enum { FN(leaf) = 8 };
static void FN(few)(LullLU *lu, int64_t k, int64_t count) {
  const int64_t end = lu->m, line = lu->line;
  for (int64_t q = k; q < k + count; q++) {
    T *row = ROW(q);
    lu->pivots[q] = (int32_t)FN(largest)(row, q, end);
    if (lu->pivots[q] != q)
      for (int64_t j = k; j < k + count; j++) FN(exchange)(lu, j, q, q + 1);
    T pivot = row[q];
    if (pivot == 0) {
      if (!lu->singular) lu->singular = q + 1;
      continue;
    }
    if (q + 1 >= end) continue;
    switch (k + count - q - 1) {
    case 0: FN(eliminate_0)(row, line, q, end, pivot); break;
    case 1: FN(eliminate_1)(row, line, q, end, pivot); break;
    case 2: FN(eliminate_2)(row, line, q, end, pivot); break;
    case 3: FN(eliminate_3)(row, line, q, end, pivot); break;
    case 4: FN(eliminate_4)(row, line, q, end, pivot); break;
    case 5: FN(eliminate_5)(row, line, q, end, pivot); break;
    case 6: FN(eliminate_6)(row, line, q, end, pivot); break;
    default: FN(eliminate_7)(row, line, q, end, pivot);
    }
  }
}

// Recursive, so that most of it are products. The rows k ..< k + h being done, those behind them follow.
static void FN(panel)(LullLU *lu, int64_t k, int64_t count) {
  if (count <= FN(leaf)) return FN(few)(lu, k, count);
  enum { most = PANEL - FN(leaf), room = most + LANES };
  const int64_t line = lu->line, end = lu->m, last = k + count;
  int64_t h = FN(leaf);
  while (2 * h < count) h *= 2;
  FN(panel)(lu, k, h);
  for (int64_t j = k + h; j < last; j++) FN(exchange)(lu, j, k, k + h);
  // The unit triangle of L, zeros elsewhere, so that whole vectors can be taken off.
  T triangle[most][room];
  memset(triangle, 0, sizeof triangle);
  for (int64_t q = 0; q < h; q++)
    memcpy(triangle[q] + q + 1, ROW(k + q) + k + q + 1, (size_t)(h - q - 1) * sizeof(T));
  for (int64_t q = 0; q + 1 < h; q++)
    for (int64_t j = k + h; j < last; j++) {
      T *row = ROW(j) + k;
      V x = (V)row[q];
      for (int64_t i = q / LANES * LANES; i < h; i += LANES)
        VSTORE(row + i, VLOAD(row + i) - x * VLOAD(triangle[q] + i));
    }
  for (int64_t i = k + h; i < end; i += WIDTH) {
    int64_t j = k + h;
    for (; j + FEW_ROWS <= last; j += FEW_ROWS) FEW_TILE(ROW(j) + i, line, ROW(j) + k, line, 1, ROW(k) + i, line, h);
    for (; j < last; j++) LINE_TILE(ROW(j) + i, line, ROW(j) + k, line, 1, ROW(k) + i, line, h);
  }
  FN(panel)(lu, k + h, count - h);
  for (int64_t j = k; j < k + h; j++) FN(exchange)(lu, j, k + h, last);
}

static void FN(pack)(const LullLU *lu, int64_t k, int64_t count, void *packed) {
  T *to = packed;
  for (int64_t i = k + count; i < lu->m; i += WIDTH)
    for (int64_t p = 0; p < count; p++, to += WIDTH) {
      const T *from = ROW(k + p) + i;
      UNROLL for (int v = 0; v < VECTORS; v++) VSTORE(to + v * LANES, VLOAD(from + v * LANES));
    }
}

// MARK: The rows behind a panel

// to[j][i] = from[i][j] for rows x columns, multiples of 4.
INLINE void FN(transpose)(T *to, int64_t toLine, const T *from, int64_t fromLine, int64_t rows, int64_t columns) {
  for (int64_t j = 0; j < columns; j += 4)
    for (int64_t i = 0; i < rows; i += 4) {
      FN(four) x[4], y[4];
      UNROLL for (int q = 0; q < 4; q++) x[q] = *(const FN(four) *)(from + (i + q) * fromLine + j);
      y[0] = __builtin_shufflevector(x[0], x[1], 0, 4, 1, 5), y[1] = __builtin_shufflevector(x[0], x[1], 2, 6, 3, 7);
      y[2] = __builtin_shufflevector(x[2], x[3], 0, 4, 1, 5), y[3] = __builtin_shufflevector(x[2], x[3], 2, 6, 3, 7);
      x[0] = __builtin_shufflevector(y[0], y[2], 0, 1, 4, 5), x[1] = __builtin_shufflevector(y[0], y[2], 2, 3, 6, 7);
      x[2] = __builtin_shufflevector(y[1], y[3], 0, 1, 4, 5), x[3] = __builtin_shufflevector(y[1], y[3], 2, 3, 6, 7);
      UNROLL for (int q = 0; q < 4; q++) *(FN(four) *)(to + (j + q) * toLine + i) = x[q];
    }
}

// a[count][UNIT] becomes U: solved with the panel's unit triangle of L, a vector of rows after the other.
INLINE void FN(triangle)(const LullLU *lu, int64_t k, int64_t count, T *a) {
  enum { step = 8 };
  for (int part = 0; part < UNIT; part += LANES) {
    int64_t p = 0;
    for (; p + step <= count; p += step) {
      V acc[step];
      UNROLL for (int e = 0; e < step; e++) acc[e] = VLOAD(a + (p + e) * UNIT + part);
      const T *l = ROW(k) + k + p;
      for (int64_t q = 0; q < p; q++, l += lu->line) {
        V y = VLOAD(a + q * UNIT + part);
        UNROLL for (int e = 0; e < step; e++) acc[e] -= (V)l[e] * y;
      }
      UNROLL for (int f = 0; f < step; f++, l += lu->line)
        UNROLL for (int e = f + 1; e < step; e++) acc[e] -= (V)l[e] * acc[f];
      UNROLL for (int e = 0; e < step; e++) VSTORE(a + (p + e) * UNIT + part, acc[e]);
    }
    for (; p < count; p++) {
      V acc = VLOAD(a + p * UNIT + part);
      for (int64_t q = 0; q < p; q++) acc -= (V)ROW(k + q)[k + p] * VLOAD(a + q * UNIT + part);
      VSTORE(a + p * UNIT + part, acc);
    }
  }
}

static void FN(update)(const LullLU *lu, int64_t k, int64_t count, const void *packed, int64_t from, int64_t to,
                       void *scratch) {
  const int64_t line = lu->line, end = lu->m, whole = (count + 3) & ~(int64_t)3;
  T *a = scratch;
  for (int64_t j = from; j < to; j += UNIT, a += PANEL * UNIT) {
    for (int64_t r = j; r < j + UNIT; r++) FN(exchange)(lu, r, k, k + count);
    FN(transpose)(a, UNIT, ROW(j) + k, line, UNIT, whole);
    FN(triangle)(lu, k, count, a);
    FN(transpose)(ROW(j) + k, line, a, UNIT, whole, UNIT);
  }
  const T *b = packed;
  for (int64_t i = k + count; i < end; i += WIDTH, b += count * WIDTH) {
    a = scratch;
    for (int64_t j = from; j < to; j += UNIT, a += PANEL * UNIT) {
      UNROLL for (int r = 0; r < UNIT; r += ROWS)
          FULL_TILE(ROW(j + r) + i, line, a + r, 1, UNIT, b, WIDTH, count);
    }
  }
}

// MARK: Triangles

// ROWS unknowns of N vectors each, at row `at`: what is known of the others (rows p ..< last) is taken off, then
// they follow one from another.
#define UNKNOWNS(N)                                                                                        \
  INLINE void FN(unknowns_##N)(const LullLU *lu, T *x, int64_t at, int64_t p, int64_t last, int isUpper,     \
                               int isUnit) {                                                               \
    const T *a = ROW(at), *b = x + p * N * LANES;                                                          \
    const int64_t line = lu->line;                                                                         \
    T *c = x + at * N * LANES;                                                                             \
    V acc[ROWS][N];                                                                                        \
    UNROLL for (int r = 0; r < ROWS; r++) UNROLL for (int v = 0; v < N; v++)                               \
        acc[r][v] = VLOAD(c + (r * N + v) * LANES);                                                        \
    for (; p < last; p++, b += N * LANES) {                                                                \
      V k[N];                                                                                              \
      UNROLL for (int v = 0; v < N; v++) k[v] = VLOAD(b + v * LANES);                                      \
      UNROLL for (int r = 0; r < ROWS; r++) {                                                              \
        V y = (V)a[r * line + p];                                                                          \
        UNROLL for (int v = 0; v < N; v++) acc[r][v] -= y * k[v];                                          \
      }                                                                                                    \
    }                                                                                                      \
    a += at;                                                                                               \
    if (isUpper) {                                                                                         \
      UNROLL for (int i = ROWS - 1; i >= 0; i--) UNROLL for (int v = 0; v < N; v++) {                      \
        if (!isUnit) acc[i][v] /= a[i * line + i];                                                         \
        UNROLL for (int r = 0; r < i; r++) acc[r][v] -= (V)a[r * line + i] * acc[i][v];                    \
      }                                                                                                    \
    } else {                                                                                               \
      UNROLL for (int i = 0; i < ROWS; i++) UNROLL for (int v = 0; v < N; v++) {                           \
        if (!isUnit) acc[i][v] /= a[i * line + i];                                                         \
        UNROLL for (int r = i + 1; r < ROWS; r++) acc[r][v] -= (V)a[r * line + i] * acc[i][v];             \
      }                                                                                                    \
    }                                                                                                      \
    UNROLL for (int r = 0; r < ROWS; r++) UNROLL for (int v = 0; v < N; v++)                               \
        VSTORE(c + (r * N + v) * LANES, acc[r][v]);                                                        \
  }                                                                                                        \
  static void FN(lower_##N)(const LullLU *lu, T *x, int64_t size, int tiles, int64_t start, int64_t step) { \
    for (int64_t at = start / ROWS * ROWS; at < lu->n; at += ROWS)                                         \
      for (int t = 0; t < tiles; t++) {                                                                    \
        int64_t from = (start + t * step) / ROWS * ROWS;                                                   \
        if (at >= from) FN(unknowns_##N)(lu, x + t * size, at, from, at, 0, 0);                            \
      }                                                                                                    \
  }                                                                                                        \
  static void FN(upper_##N)(const LullLU *lu, T *x, int64_t size, int tiles, int isUnit) {                 \
    int64_t n = (lu->n + ROWS - 1) / ROWS * ROWS;                                                          \
    for (int64_t at = n - ROWS; at >= 0; at -= ROWS)                                                       \
      for (int t = 0; t < tiles; t++)                                                                      \
        if (isUnit) FN(unknowns_##N)(lu, x + t * size, at, at + ROWS, n, 1, 1);                            \
        else FN(unknowns_##N)(lu, x + t * size, at, at + ROWS, n, 1, 0);                                   \
  }
UNKNOWNS(1)
UNKNOWNS(2)
#if LEVEL == 2
UNKNOWNS(3)
#endif
#undef UNKNOWNS

static void FN(lower)(const LullLU *lu, void *x, int64_t size, int tiles, int vectors, int64_t start, int64_t step) {
#if LEVEL == 2
  if (vectors == 3) return FN(lower_3)(lu, x, size, tiles, start, step);
#endif
  if (vectors == 2) FN(lower_2)(lu, x, size, tiles, start, step);
  else FN(lower_1)(lu, x, size, tiles, start, step);
}
static void FN(upper)(const LullLU *lu, void *x, int64_t size, int tiles, int vectors, int isUnit) {
#if LEVEL == 2
  if (vectors == 3) return FN(upper_3)(lu, x, size, tiles, isUnit);
#endif
  if (vectors == 2) FN(upper_2)(lu, x, size, tiles, isUnit);
  else FN(upper_1)(lu, x, size, tiles, isUnit);
}

const LullLUKernels TABLE = {PANEL, UNIT, WIDTH, LANES, FN(panel), FN(pack), FN(update), FN(exchange), FN(lower), FN(upper)};
#undef V
#undef VLOAD
#undef VSTORE
#undef CHOOSE
#undef ROW
#undef FULL_TILE
#undef FEW_TILE
#undef LINE_TILE
