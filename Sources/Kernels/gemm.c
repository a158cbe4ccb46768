// Matrix products (gemm.h): how the work is cut into pieces. See gemm_avx512.c for the pieces.
#include "Kernels.h"
#include "gemm_internal.h"

#if defined(__x86_64__)
enum { MR = lullGemmRows, NR = lullGemmColumns };

static int uses_pairs(void) {
  static int known = -1;  // found by lull_gemm_works, before workers ask
  if (known < 0) {
    __builtin_cpu_init();
    known = __builtin_cpu_supports("avx512bf16") && lull_gemm_pairs_pay();
  }
  return known;
}
int lull_gemm_works(int dtype) {
  if (dtype == lullBFloat16 && lull_simd_level() == 2) uses_pairs();
  return lull_simd_level() == 2 &&
    (dtype == lullFloat32 || dtype == lullFloat16 || dtype == lullBFloat16);
}

static int64_t divided(int64_t x, int64_t by) { return (x + by - 1) / by; }

// Columns that are packed at once: at most 16 MiB of them.
static int64_t slab_panels(int64_t k) {
  int64_t panels = (16 << 20) / (k * NR * 4);
  return panels < 1 ? 1 : panels;
}

// How a product is cut: rows of a piece, columns (in panels) of a piece, pieces.
typedef struct { int64_t rows, panels, rowPieces, columnPieces, each; } Cut;

// Row blocks stay in the second-level cache while the columns pass by.
static Cut cut(int64_t m, int64_t n, int64_t k) {
  int64_t rowPanels = divided(m, MR), columnPanels = divided(n, NR);
  int threads = 2.0 * (double)m * (double)n * (double)k < 400000 ? 1 : lull_thread_count();
  int64_t blocks = divided(rowPanels, 16), columns = divided(columnPanels, 32);
  // Enough pieces for all workers, and of equal size: by rows where there are many, else by columns.
  if (blocks * columns < 2 * threads && threads > 1) {
    if (rowPanels >= columnPanels) blocks = rowPanels < 2 * threads ? rowPanels : 2 * threads;
    else columns = columnPanels < 2 * threads ? columnPanels : 2 * threads;
  } else if (blocks * columns % threads) {
    blocks = divided(blocks, threads) * threads;
  }
  Cut c;
  c.rows = divided(rowPanels, blocks) * MR;
  c.panels = divided(columnPanels, columns);
  c.rowPieces = divided(m, c.rows);
  c.columnPieces = divided(columnPanels, c.panels);
  // Floats: a packed block of rows, and sums for results that are narrower than float32.
  c.each = (c.rows / MR * lullGemmWidth * lullGemmDepth + (c.rows + MR) * (c.panels * NR + 16) + 15) & ~(int64_t)15;
  return c;
}

static int64_t slab_scratch(int64_t m, int64_t n, int64_t k) {
  return (divided(n, NR) * NR * k + cut(m, n, k).each * (lull_thread_count() + 1)) * 4 + 64;
}
int64_t lull_gemm_scratch(int dtype, int64_t m, int64_t n, int64_t k) {
  if (n == 1 && m > 1) return lull_gemm_scratch(dtype, 1, m, k);
  int64_t most = m <= lullGemmFew ? m * k * 4 + 64 : 0;
  int64_t slab = slab_panels(k) * NR, first = n < slab ? n : slab, last = n % slab;
  int64_t needed = slab_scratch(m, first, k);
  if (needed > most) most = needed;
  if (last && n > slab && (needed = slab_scratch(m, last, k)) > most) most = needed;
  return most;
}

typedef struct {
  const LullGemm *gemm;
  const Cut *cut;
  float *scratch;
  int64_t panelsEach;
} Work;

static void pack_chunk(void *context, int64_t chunk, int worker) {
  const Work *w = context;
  int64_t panels = divided(w->gemm->n, NR), from = chunk * w->panelsEach, to = from + w->panelsEach;
  for (int64_t i = from; i < to && i < panels; ++i) lull_gemm_pack_columns(w->gemm, i);
}
static void piece(void *context, int64_t chunk, int worker) {
  const Work *w = context;
  const Cut *c = w->cut;
  int64_t i = chunk % c->rowPieces, j = chunk / c->rowPieces, panels = divided(w->gemm->n, NR);
  int64_t from = i * c->rows, to = from + c->rows < w->gemm->m ? from + c->rows : w->gemm->m;
  int64_t c0 = j * c->panels, c1 = c0 + c->panels < panels ? c0 + c->panels : panels;
  lull_gemm_rows(w->gemm, from, to, c0, c1, w->scratch + worker * c->each);
}

typedef struct {
  const LullGemm *gemm;
  int64_t each;
} FewRows;
static void few_chunk(void *context, int64_t chunk, int worker) {
  const FewRows *f = context;
  int64_t from = chunk * f->each, to = from + f->each < f->gemm->n ? from + f->each : f->gemm->n;
  lull_gemm_few_rows(f->gemm, f->gemm->packed, from, to);
}

static void multiply_slab(int dtype, char *c, const char *a, int64_t aRow, int64_t aColumn, const char *b,
                          int64_t bRow, int64_t bColumn, int64_t m, int64_t n, int64_t k, int64_t cRow,
                          char *scratch) {
  Cut cuts = cut(m, n, k);
  LullGemm g = {a, b, c, aRow, aColumn, bRow, bColumn, m, n, k, cRow, k, dtype, 0, (float *)scratch};
  if (dtype == lullBFloat16 && uses_pairs()) g.pairs = 1, g.steps = divided(k, 2);
  int64_t panels = divided(n, NR);
  Work w = {&g, &cuts, g.packed + panels * NR * k, 1};
  int small = 2.0 * (double)m * (double)n * (double)k < 400000;
  w.panelsEach = small ? panels : divided(1 << 14, k * NR) < 1 ? 1 : divided(1 << 14, k * NR);
  if (small) {
    pack_chunk(&w, 0, 0);
    for (int64_t i = 0; i < cuts.rowPieces * cuts.columnPieces; ++i) piece(&w, i, 0);
    return;
  }
  lull_parallel_for(divided(panels, w.panelsEach), pack_chunk, &w);
  lull_parallel_for(cuts.rowPieces * cuts.columnPieces, piece, &w);
}

void lull_gemm(int dtype, char *c, const char *a, int64_t aRow, int64_t aColumn, const char *b,
               int64_t bRow, int64_t bColumn, int64_t m, int64_t n, int64_t k, char *scratch) {
  if (n == 1 && m > 1) {  // the transposed product has few rows
    lull_gemm(dtype, c, b, bColumn, bRow, a, aColumn, aRow, 1, m, k, scratch);
    return;
  }
  int size = lull_dtype_size(dtype);
  if (m <= lullGemmFew && (bRow == size || bColumn == size)) {
    LullGemm g = {a, b, c, aRow, aColumn, bRow, bColumn, m, n, k, n, k, dtype, 0, (float *)scratch};
    lull_gemm_widen_rows(&g, g.packed);
    FewRows f = {&g, divided((1 << 16) / (k + 1) + 1, 64) * 64};
    if (n * k * m < 200000) f.each = n;
    lull_parallel_for(divided(n, f.each), few_chunk, &f);
    return;
  }
  int64_t slab = slab_panels(k) * NR;
  for (int64_t j = 0; j < n && !lull_interrupt_stops(); j += slab)
    multiply_slab(dtype, c + j * size, a, aRow, aColumn, b + j * bColumn, bRow, bColumn, m,
                  n - j < slab ? n - j : slab, k, n, scratch);
}
#else
int lull_gemm_works(int dtype) { return 0; }
int64_t lull_gemm_scratch(int dtype, int64_t m, int64_t n, int64_t k) { return 0; }
void lull_gemm(int dtype, char *c, const char *a, int64_t aRow, int64_t aColumn, const char *b,
               int64_t bRow, int64_t bColumn, int64_t m, int64_t n, int64_t k, char *scratch) {}
#endif
