// Matrix products (gemm.h): how the work is cut into pieces. See gemm_impl.h for the pieces.
#include "Kernels.h"
#include "gemm_internal.h"
#include "vm_internal.h"

#if defined(__x86_64__)
enum { blockPanels = 16 };
static const LullGemmLevel *level(void) { return lull_simd_level() == 2 ? &lull_gemm_avx512 : &lull_gemm_avx2; }
#define MR level()->rows
#define NR level()->columns

static int uses_pairs(void) {
  static int known = -1;  // found by lull_gemm_works, before workers ask
  if (lull_simd_level() < 2) return 0;
  if (known < 0) {
    __builtin_cpu_init();
    known = __builtin_cpu_supports("avx512bf16") && lull_gemm_pairs_pay();
  }
  return known;
}
int lull_gemm_works(int dtype) {
  if (dtype == lullBFloat16) uses_pairs();
  return lull_simd_level() >= 1 &&
    (dtype == lullFloat32 || dtype == lullFloat16 || dtype == lullBFloat16);
}

static int64_t divided(int64_t x, int64_t by) { return (x + by - 1) / by; }
static int64_t least(int64_t x, int64_t y) { return x < y ? x : y; }
static double operations(int64_t m, int64_t n, int64_t k) { return 2.0 * (double)m * (double)n * (double)k; }

// Below this (some 4 us) a product stays on one thread.
static int threads_for(int64_t m, int64_t n, int64_t k) {
  return operations(m, n, k) < 400000 ? 1 : lull_thread_count();
}

// Columns that are packed at once: at most 16 MiB of them.
static int64_t slab_panels(int64_t k) {
  int64_t panels = (16 << 20) / (k * NR * 4);
  return panels < 1 ? 1 : panels;
}

// MARK: Cutting

// Pieces along one side: first some of equal size, then ever smaller ones, so that all workers end
// at the same time, also when something else takes a part of the machine. Counted in panels.
enum { mostTail = 128 };
typedef struct {
  int64_t total, each, whole, pieces;
  int64_t tail[mostTail + 1];  // where the pieces after the first `whole` begin, and the end
} Side;

static void cut_side(Side *s, int64_t total, int64_t most, int64_t fewest, int threads) {
  s->total = total;
  s->each = most;
  int64_t rest = threads > 1 ? least(total, 2 * threads * most) : 0;
  s->whole = (total - rest) / most;
  rest = total - s->whole * most;
  s->pieces = s->whole;
  int count = 0;
  while (rest > 0) {
    s->tail[count++] = total - rest;
    int64_t size = threads > 1 ? divided(rest, 2 * threads) : most;
    if (size < fewest) size = fewest;
    // The scratch is for `most`; at most 2 * 64 of them are left for as many pieces.
    if (size < divided(rest, mostTail + 1 - count)) size = divided(rest, mostTail + 1 - count);
    if (size > most) size = most;
    rest -= least(rest, size);
  }
  s->tail[count] = total;
  s->pieces += count;
}
static int64_t side_at(const Side *s, int64_t piece) {
  return piece < s->whole ? piece * s->each : s->tail[piece - s->whole];
}

typedef struct {
  Side rows, columns;
  int64_t rowsEach;     // rows of a panel: at most MR, and panels are alike
  int64_t most;         // row panels of the largest piece
  int64_t mostColumns;  // and its column panels
  int64_t each;         // floats of a worker's scratch
  int byColumns;        // few rows: all are packed beforehand, columns when they are multiplied
} Cut;

// Rows of panels of equal height, of which every worker gets as many where they are few.
static int64_t rows_each(int64_t m, int threads) {
  int64_t panels = divided(m, MR);
  if (panels < 16 * threads && m >= panels + threads) panels = divided(panels, threads) * threads;
  return divided(m, panels);
}

static Cut cut(int64_t m, int64_t n, int64_t k) {
  int threads = threads_for(m, n, k);
  Cut c;
  c.rowsEach = rows_each(m, threads);
  int64_t rowPanels = divided(m, c.rowsEach), columnPanels = divided(n, NR);
  // A packed block of rows stays in the second-level cache while the columns pass by.
  c.most = least(rowPanels, blockPanels);
  c.mostColumns = least(columnPanels, 32);
  c.byColumns = rowPanels < 20 * threads && columnPanels > rowPanels && m * k <= 1 << 20;
  if (c.byColumns) {
    c.most = rowPanels;
    c.mostColumns = least(columnPanels, 8);
    cut_side(&c.rows, rowPanels, rowPanels, 1, 1);
    cut_side(&c.columns, columnPanels, c.mostColumns, 1, threads);
    c.each = (level()->depth * NR + rowPanels * c.rowsEach * NR + 15) & ~(int64_t)15;
    return c;
  }
  int64_t fewest = 1 + (int64_t)(2e6 / operations(c.rowsEach, c.mostColumns * NR, k));
  cut_side(&c.rows, rowPanels, c.most, fewest, threads);
  cut_side(&c.columns, columnPanels, c.mostColumns, 1, 1);
  // A packed block of rows, and sums for results that are narrower than float32.
  c.each = (c.most * level()->width * level()->depth + c.most * c.rowsEach * c.mostColumns * NR + 15) & ~(int64_t)15;
  return c;
}

// Floats that are packed before the pieces begin.
static int64_t packed_first(const Cut *c, int64_t n, int64_t k) {
  return c->byColumns ? c->rows.total * level()->width * divided(k, level()->depth) * level()->depth
                      : divided(n, NR) * NR * k;
}
static int64_t slab_scratch(int64_t m, int64_t n, int64_t k) {
  Cut c = cut(m, n, k);
  return (packed_first(&c, n, k) + c.each * lull_thread_count()) * 4 + 64;
}

// Whether b is read where it lies: each of its elements is used too seldom for packing to pay, or it
// stays in the second-level cache anyway. So is a, if it is float32; else its rows are widened one
// panel at a time. A distance of whole pages (or halves, of narrow tiles) between rows makes them fight
// for places in the cache.
static int is_open(int dtype, int64_t aRow, int64_t aColumn, int64_t bRow, int64_t bColumn, int64_t m,
                   int64_t n, int64_t k) {
  int size = lull_dtype_size(dtype);
  if (bColumn != size || aColumn != size) return 0;
  if (dtype == lullBFloat16 && uses_pairs() && operations(m, n, k) > 2.1e6) return 0;
  if (m <= 2 * MR) return 1;
  if (n * k > 1 << 18) return 0;
  return (aRow % 4096 || n <= NR || k <= 256 || size == 2) && (bRow % (128 * NR) || k <= 128 || m <= 64);
}
// Floats of a worker: a panel of rows and a panel of sums, where they are not in place.
static int64_t open_row(int64_t n) { return (n + 31) & ~(int64_t)15; }
static int64_t open_each(int dtype, int64_t n, int64_t k) {
  return dtype == lullFloat32 ? 0 : MR * (open_row(k) + open_row(n));
}

static int is_few(int dtype, int64_t bRow, int64_t bColumn, int64_t m) {
  int size = lull_dtype_size(dtype);
  return m <= lullGemmFew && (bRow == size || bColumn == size);
}

int64_t lull_gemm_scratch(int dtype, int64_t aRow, int64_t aColumn, int64_t bRow, int64_t bColumn,
                          int64_t m, int64_t n, int64_t k) {
  if (n == 1 && m > 1) return lull_gemm_scratch(dtype, bColumn, bRow, aColumn, aRow, 1, m, k);
  if (is_few(dtype, bRow, bColumn, m)) return m * k * 4 + 64;
  if (is_open(dtype, aRow, aColumn, bRow, bColumn, m, n, k))
    return open_each(dtype, n, k) * lull_thread_count() * 4;
  int64_t slab = slab_panels(k) * NR, last = n % slab;
  int64_t most = slab_scratch(m, least(n, slab), k);
  if (last && n > slab) {
    int64_t needed = slab_scratch(m, last, k);
    if (needed > most) most = needed;
  }
  return most;
}

// MARK: Running

typedef struct {
  LullGemm gemm;
  Cut cut;
  float *scratch;
  int64_t panelsEach;
} Work;

// What follows the product, over rows from ..< to and columns c0 ..< c1.
static void finish_part(const LullGemm *g, int64_t from, int64_t to, int64_t c0, int64_t c1) {
  if (!g->after) return;
  int64_t first = g->first + from * g->cRow + c0;
  if (c1 - c0 == g->cRow) {
    lull_program_part(g->after, first, first + (to - from) * g->cRow);
    return;
  }
  for (int64_t i = from; i < to; ++i, first += g->cRow) lull_program_part(g->after, first, first + c1 - c0);
}

static void pack_chunk(void *context, int64_t chunk, int worker) {
  const Work *w = context;
  int64_t panels = w->cut.byColumns ? w->cut.rows.total : divided(w->gemm.n, NR);
  int64_t from = chunk * w->panelsEach, to = least(from + w->panelsEach, panels);
  for (int64_t i = from; i < to; ++i) {
    if (w->cut.byColumns) level()->pack_rows(&w->gemm, i);
    else level()->pack_columns(&w->gemm, i);
  }
}
static void piece(void *context, int64_t chunk, int worker) {
  const Work *w = context;
  const Cut *c = &w->cut;
  int64_t i = chunk % c->rows.pieces, j = chunk / c->rows.pieces;
  int64_t c0 = side_at(&c->columns, j), c1 = side_at(&c->columns, j + 1);
  float *scratch = w->scratch + worker * c->each;
  if (c->byColumns) {
    level()->column_panels(&w->gemm, c0, c1, scratch);
    return;
  }
  int64_t p0 = side_at(&c->rows, i), p1 = side_at(&c->rows, i + 1);
  level()->row_panels(&w->gemm, p0, p1, c0, c1, scratch);
  finish_part(&w->gemm, p0 * c->rowsEach, least(p1 * c->rowsEach, w->gemm.m), c0 * NR, least(c1 * NR, w->gemm.n));
}

typedef struct {
  LullGemm gemm;
  int64_t rows, columns, rowPieces;  // of a piece
  float *scratch;
} Open;

static void open_piece(void *context, int64_t chunk, int worker) {
  const Open *o = context;
  const LullGemm *g = &o->gemm;
  int64_t from = chunk % o->rowPieces * o->rows, to = least(from + o->rows, g->m);
  int64_t c0 = chunk / o->rowPieces * o->columns, c1 = least(c0 + o->columns, g->n);
  if (g->dtype == lullFloat32) {
    level()->open(g, from, to, c0, c1);
    finish_part(g, from, to, c0, c1);
    return;
  }
  float *a = o->scratch + worker * open_each(g->dtype, g->n, g->k), *sums = a + MR * open_row(g->k);
  int64_t row = open_row(g->k);
  LullGemm part = *g;
  part.aRow = row * 4;
  part.cRow = open_row(g->n);
  part.c = (char *)sums;
  for (; from < to; from += g->rowsEach) {
    int64_t lines = least(g->rowsEach, to - from);
    for (int64_t i = 0; i < lines; ++i) level()->widen(a + i * row, g->a + (from + i) * g->aRow, g->dtype, g->k);
    part.a = (const char *)a;
    level()->open(&part, 0, lines, c0, c1);
    for (int64_t i = 0; i < lines; ++i)
      level()->narrow(g->c + ((from + i) * g->cRow + c0) * 2, sums + i * part.cRow + c0, g->dtype, c1 - c0);
    finish_part(g, from, from + lines, c0, c1);
  }
}

static void multiply_open(const LullGemm *g, char *scratch) {
  Open o = {*g, .scratch = (float *)scratch};
  int threads = threads_for(g->m, g->n, g->k);
  o.gemm.rowsEach = o.rows = rows_each(g->m, threads);
  o.columns = g->n;
  if (threads == 1) {
    o.rows = g->m, o.rowPieces = 1;
    open_piece(&o, 0, 0);
    return;
  }
  // Pieces of some 8 us, but as many for each worker.
  int64_t panels = divided(g->m, o.rows), wanted = (int64_t)(operations(g->m, g->n, g->k) / 9e5) + 1;
  wanted = divided(wanted, threads) * threads;
  if (panels >= 2 * threads || panels * NR >= g->n) {
    int64_t some = divided(panels, least(wanted, panels));
    while (divided(panels, some) % threads && some > 1) --some;
    o.rows *= some;
  } else {
    o.rows = g->m;
    o.columns = divided(divided(g->n, NR), wanted) * NR;
  }
  o.rowPieces = divided(g->m, o.rows);
  lull_parallel_for(o.rowPieces * divided(g->n, o.columns), open_piece, &o);
}

typedef struct {
  const LullGemm *gemm;
  int64_t each;
} FewRows;
static void few_chunk(void *context, int64_t chunk, int worker) {
  const FewRows *f = context;
  int64_t from = chunk * f->each;
  level()->few_rows(f->gemm, f->gemm->packed, from, least(from + f->each, f->gemm->n));
}

static void multiply_slab(const LullGemm *g, char *scratch) {
  Work w = {.gemm = *g, .cut = cut(g->m, g->n, g->k)};
  w.gemm.packed = (float *)scratch;
  w.gemm.rowsEach = w.cut.rowsEach;
  if (g->dtype == lullBFloat16 && uses_pairs()) w.gemm.pairs = 1, w.gemm.steps = divided(g->k, 2);
  w.scratch = w.gemm.packed + packed_first(&w.cut, g->n, g->k);
  int isSmall = threads_for(g->m, g->n, g->k) == 1;
  int64_t panels = w.cut.byColumns ? w.cut.rows.total : divided(g->n, NR);
  w.panelsEach = isSmall ? panels : divided(1 << 14, g->k * NR);
  int64_t pieces = w.cut.rows.pieces * w.cut.columns.pieces;
  if (isSmall) {
    pack_chunk(&w, 0, 0);
    for (int64_t i = 0; i < pieces; ++i) piece(&w, i, 0);
    return;
  }
  lull_parallel_for(divided(panels, w.panelsEach), pack_chunk, &w);
  lull_parallel_for(pieces, piece, &w);
}

// Returns whether the program that follows has run.
static int multiply(LullGemm *g, char *scratch) {
  int size = lull_dtype_size(g->dtype);
  if (is_few(g->dtype, g->bRow, g->bColumn, g->m)) {
    g->packed = (float *)scratch;
    level()->widen_rows(g, g->packed);
    FewRows f = {g, divided((1 << 16) / (g->k + 1) + 1, 64) * 64};
    if (g->n * g->k * g->m < 200000) f.each = g->n;
    lull_parallel_for(divided(g->n, f.each), few_chunk, &f);
    return 0;
  }
  if (is_open(g->dtype, g->aRow, g->aColumn, g->bRow, g->bColumn, g->m, g->n, g->k)) {
    multiply_open(g, scratch);
    return 1;
  }
  int64_t slab = slab_panels(g->k) * NR;
  // Pieces of few columns would run the program over short rows: it runs when all is done.
  int byColumns = cut(g->m, least(g->n, slab), g->k).byColumns;
  if (byColumns) g->after = NULL;
  LullGemm part = *g;
  for (int64_t j = 0; j < g->n && !lull_interrupt_stops(); j += slab) {
    part.b = g->b + j * g->bColumn;
    part.c = g->c + j * size;
    part.first = g->first + j;
    part.n = least(g->n - j, slab);
    multiply_slab(&part, scratch);
  }
  return !byColumns;
}

void lull_gemm(int dtype, char *c, const char *a, int64_t aRow, int64_t aColumn, const char *b,
               int64_t bRow, int64_t bColumn, int64_t m, int64_t n, int64_t k, char *scratch,
               const LullProgram *after, int64_t first) {
  LullGemm g = {a, b, c, aRow, aColumn, bRow, bColumn, m, n, k, n, k, dtype};
  if (n == 1 && m > 1)  // the transposed product has few rows
    g = (LullGemm){b, a, c, bColumn, bRow, aColumn, aRow, 1, m, k, m, k, dtype};
  LullProgram program;
  LullJit jit;
  if (after) {
    lull_program_prepare(&program, after, &jit);
    g.after = &program;
    g.first = first;
  }
  if (!multiply(&g, scratch) && after) {
    if (m * n == after->total) lull_program_run(after);
    else lull_program_part(&program, first, first + m * n);
  }
}
#else
int lull_gemm_works(int dtype) { return 0; }
int64_t lull_gemm_scratch(int dtype, int64_t aRow, int64_t aColumn, int64_t bRow, int64_t bColumn,
                          int64_t m, int64_t n, int64_t k) { return 0; }
void lull_gemm(int dtype, char *c, const char *a, int64_t aRow, int64_t aColumn, const char *b,
               int64_t bRow, int64_t bColumn, int64_t m, int64_t n, int64_t k, char *scratch,
               const LullProgram *after, int64_t first) {}
#endif
