// LU factorisation (lu.h): how the work is shared out. Right-looking over panels of rows: while the others are
// brought up to date with one panel, the caller finishes the next one, so that nobody waits for it.
#include "lu_internal.h"
#include <string.h>

static const LullLUKernels *kernels(const LullLU *lu) {
#if defined(__x86_64__)
  if (lull_simd_level() == 2) return lu->isDouble ? &lull_lu_avx512_d : &lull_lu_avx512_f;
  return lu->isDouble ? &lull_lu_avx2_d : &lull_lu_avx2_f;
#else
  return NULL;
#endif
}
int lull_lu_works(void) {
#if defined(__x86_64__)
  return lull_simd_level() > 0;
#else
  return 0;
#endif
}

// All instruction sets use the same room: panels, units of rows, widths, and columns that are solved for at once
// are at most these.
enum { mostPanel = 64, mostUnit = 24, mostWidth = 48, mostColumns = 64, cacheLine = 64 };
static int64_t rounded(int64_t x, int64_t to) { return (x + to - 1) / to * to; }
static int64_t least(int64_t x, int64_t y) { return x < y ? x : y; }
static int64_t size_of(int isDouble) { return isDouble ? 8 : 4; }
static int64_t padded(const LullLU *lu) { return rounded(lu->n, kernels(lu)->unit); }

// Room for a tile behind the last element, and an odd number of cache lines.
static int64_t line_bytes(int isDouble, int64_t m, int64_t n) {
  int64_t lines = rounded((m > n ? m : n) + mostWidth, 16) * size_of(isDouble) / cacheLine;
  return (lines | 1) * cacheLine;
}
// Rounded up to units of any size, of which the last may begin anywhere.
static int64_t all_rows(int64_t n) { return rounded(n, mostUnit) + mostUnit; }
static int64_t packed_bytes(int isDouble, int64_t m) {
  return rounded(rounded(m, mostWidth) * mostPanel * size_of(isDouble), cacheLine);
}
static int64_t worker_bytes(int isDouble, int64_t n) {
  int64_t update = mostPanel * 3 * mostUnit, columns = all_rows(n) * mostColumns;
  return (update > columns ? update : columns) * size_of(isDouble);
}
// Two packed panels are used while it is factorised, worker's scratch then and later.
int64_t lull_lu_bytes(int isDouble, int64_t m, int64_t n, int threads) {
  return line_bytes(isDouble, m, n) * all_rows(n) + rounded(least(m, n) * 4 + n * 4, cacheLine) +
         2 * packed_bytes(isDouble, m) + threads * worker_bytes(isDouble, n);
}
void lull_lu_open(LullLU *lu, int isDouble, int64_t m, int64_t n, int threads, void *memory) {
  int64_t bytes = line_bytes(isDouble, m, n);
  char *pivots = (char *)memory + bytes * all_rows(n);
  *lu = (LullLU){isDouble, m, n, bytes / size_of(isDouble), memory, (int32_t *)pivots};
  lu->order = lu->pivots + least(m, n);
  lu->scratch = pivots + rounded(least(m, n) * 4 + n * 4, cacheLine);
  lu->threads = threads;
}

static char *row(const LullLU *lu, int64_t i) { return (char *)lu->rows + i * lu->line * size_of(lu->isDouble); }
static char *worker_scratch(const LullLU *lu, int worker) {
  return (char *)lu->scratch + 2 * packed_bytes(lu->isDouble, lu->m) + worker * worker_bytes(lu->isDouble, lu->n);
}
static void load(LullLU *lu, const void *a) {
  int64_t own = lu->m * size_of(lu->isDouble), all = lu->line * size_of(lu->isDouble);
  for (int64_t i = 0; i < all_rows(lu->n); ++i) {
    int64_t some = i < lu->n ? own : 0;
    if (some) memcpy(row(lu, i), (const char *)a + i * own, (size_t)some);
    memset(row(lu, i) + some, 0, (size_t)(all - some));
  }
}
void lull_lu_store(const LullLU *lu, void *a) {
  int64_t own = lu->m * size_of(lu->isDouble);
  for (int64_t i = 0; i < lu->n; ++i) memcpy((char *)a + i * own, row(lu, i), (size_t)own);
}

// For the triangles: rows and columns behind the last ones are those of a unit matrix.
static void end_with_ones(LullLU *lu) {
  int64_t size = size_of(lu->isDouble), n = lu->n, all = padded(lu);
  for (int64_t i = 0; i < all; ++i) {
    int64_t from = i < n ? n : 0;
    memset(row(lu, i) + from * size, 0, (size_t)((all - from) * size));
    if (i < n) continue;
    if (lu->isDouble) ((double *)row(lu, i))[i] = 1;
    else ((float *)row(lu, i))[i] = 1;
  }
}

// MARK: Factorising

typedef struct {
  LullLU *lu;
  const LullLUKernels *kernels;
  int64_t k, count;      // the panel that is done
  int64_t next, rows;    // rows of the next panel, and of every other chunk
  void *packed, *after;  // of this panel and of the next one
} Step;

static void step_chunk(void *context, int64_t chunk, int worker) {
  const Step *s = context;
  LullLU *lu = s->lu;
  int64_t begin = s->k + s->count, behind = begin + s->next, all = padded(lu);
  int64_t from = chunk ? behind + (chunk - 1) * s->rows : begin, to = chunk ? least(from + s->rows, all) : least(behind, all);
  s->kernels->update(lu, s->k, s->count, s->packed, from, to, worker_scratch(lu, worker));
  int64_t left = least(lu->m, lu->n) - begin;
  if (chunk || left <= 0) return;
  int64_t count = least(left, s->kernels->most);
  s->kernels->panel(lu, begin, count);
  s->kernels->pack(lu, begin, count, s->after);
}

static void exchange_chunk(void *context, int64_t chunk, int worker) {
  const Step *s = context;
  int64_t last = least(s->lu->m, s->lu->n), most = s->kernels->most;
  int64_t from = chunk * most, to = least(from + most, last);
  for (int64_t i = from; i < to; ++i) s->kernels->exchange(s->lu, i, to, last);
}

static void run(const LullLU *lu, int64_t chunks, LullChunk body, void *context) {
  if (lu->threads > 1) {
    lull_parallel_for(chunks, body, context);
    return;
  }
  for (int64_t i = 0; i < chunks && !lull_interrupt_stops(); ++i) body(context, i, 0);
}

void lull_lu_factorise(LullLU *lu, const void *a) {
  const LullLUKernels *kernel = kernels(lu);
  int64_t last = least(lu->m, lu->n), bytes = packed_bytes(lu->isDouble, lu->m);
  load(lu, a);
  // An interruption leaves some of them as they are.
  for (int64_t i = 0; i < last; ++i) lu->pivots[i] = (int32_t)i;
  // Some 30 us.
  if ((double)lu->n * (double)lu->n * (double)lu->m < 2e6) lu->threads = 1;
  int64_t most = kernel->most;
  Step s = {lu, kernel, 0, least(last, most), most, lu->n < 2048 ? most / 2 : most, lu->scratch,
            (char *)lu->scratch + bytes};
  kernel->panel(lu, 0, s.count);
  kernel->pack(lu, 0, s.count, s.packed);
  for (; s.k + s.count < lu->n && s.k < last && !lull_interrupt_stops(); s.k += s.count, s.count = least(last - s.k, most)) {
    int64_t others = padded(lu) - s.k - s.count - s.next;
    run(lu, 1 + (others > 0 ? (others + s.rows - 1) / s.rows : 0), step_chunk, &s);
    void *packed = s.packed;
    s.packed = s.after, s.after = packed;
  }
  // Rows of a panel have seen its own exchanges and those before it.
  run(lu, (last + most - 1) / most, exchange_chunk, &s);
}

// MARK: Solving

typedef struct {
  const LullLU *lu;
  const LullLUKernels *kernels;
  const char *b;  // null for the unit matrix
  char *x;
  int64_t k, each;        // columns of all, and of a chunk
  int isFactors, isUpper; // both triangles, or one
} Columns;

static void columns_chunk(void *context, int64_t chunk, int worker) {
  const Columns *c = context;
  const LullLU *lu = c->lu;
  const int64_t size = size_of(lu->isDouble), from = chunk * c->each, count = least(c->k - from, c->each), n = lu->n;
  const int64_t width = c->kernels->width, lanes = c->kernels->lanes, own = least(count, width);
  const int tiles = (int)((count + width - 1) / width), vectors = (int)((own + lanes - 1) / lanes);
  const int64_t line = vectors * lanes * size, tile = padded(lu) * line;
  char *x = worker_scratch(lu, worker);
  memset(x, 0, (size_t)(tiles * tile));
  for (int t = 0; t < tiles; ++t) {
    int64_t first = from + t * width, some = least(count - t * width, width);
    char *to = x + t * tile;
    for (int64_t j = 0; j < some && !c->b; ++j)
      if (lu->isDouble) *(double *)(to + (first + j) * line + j * 8) = 1;
      else *(float *)(to + (first + j) * line + j * 4) = 1;
    for (int64_t i = 0; i < n && c->b; ++i)
      memcpy(to + i * line, c->b + (i * c->k + first) * size, (size_t)(some * size));
  }
  if (c->isFactors || !c->isUpper)
    c->kernels->lower(lu, x, tile / size, tiles, vectors, c->b ? 0 : from, c->b ? 0 : width);
  if (c->isFactors || c->isUpper) c->kernels->upper(lu, x, tile / size, tiles, vectors, c->isFactors);
  for (int64_t i = 0; i < n; ++i)
    for (int t = 0; t < tiles; ++t) {
      int64_t first = from + t * width, some = least(count - t * width, width);
      memcpy(c->x + (i * c->k + first) * size, x + t * tile + (c->isFactors ? lu->order[i] : i) * line,
             (size_t)(some * size));
    }
}

static void solve(const LullLU *lu, int isFactors, int isUpper, int64_t k, const void *b, void *x) {
  const LullLUKernels *kernel = kernels(lu);
  Columns c = {lu, kernel, b, x, k, mostColumns / kernel->width * kernel->width, isFactors, isUpper};
  // Narrower where threads would be idle.
  int64_t threads = lu->threads;
  while (c.each > kernel->width && (k + c.each - 1) / c.each < 4 * threads) c.each -= kernel->width;
  while (c.each > kernel->lanes && (k + c.each - 1) / c.each < 2 * threads) c.each -= kernel->lanes;
  int64_t chunks = (k + c.each - 1) / c.each;
  if ((double)lu->n * (double)lu->n * (double)k < 4e5)
    for (int64_t i = 0; i < chunks; ++i) columns_chunk(&c, i, 0);
  else run(lu, chunks, columns_chunk, &c);
}

// Before solving: the padding, and from which unknown of the permuted system each one comes.
static void prepare(LullLU *lu) {
  end_with_ones(lu);
  for (int64_t i = 0; i < lu->n; ++i) lu->order[i] = (int32_t)i;
  for (int64_t i = least(lu->m, lu->n) - 1; i >= 0; --i) {
    int32_t own = lu->order[i];
    lu->order[i] = lu->order[lu->pivots[i]];
    lu->order[lu->pivots[i]] = own;
  }
}

void lull_lu_solve(LullLU *lu, int64_t k, const void *b, void *x) {
  prepare(lu);
  solve(lu, 1, 0, k, b, x);
}
void lull_lu_invert(LullLU *lu, void *x) {
  prepare(lu);
  solve(lu, 1, 0, lu->n, NULL, x);
}

void lull_triangle_load(LullLU *lu, const void *a) {
  load(lu, a);
  end_with_ones(lu);
}
void lull_triangle_solve(const LullLU *lu, int isUpper, int64_t k, const void *b, void *x) {
  solve(lu, 0, isUpper, k, b, x);
}
