// Strided copies (movement.h). Dimensions that both sides walk as one are joined first; then
// either rows are contiguous on both sides (memcpy), or the source runs fastest along another
// dimension than the destination (a transpose, done in blocks that fit the first-level cache),
// or elements are moved one by one.
#include "vm_internal.h"
#include <string.h>

typedef struct {
  char *dst;
  const char *src;
  int64_t shape[10], ds[10], ss[10];
  int rank, size, cross;  // cross: the source's fastest dimension, -1 when it is the last
  int64_t outer, chunkRows, rows;
} Copy;

typedef struct { uint64_t low, high; } Wide;  // an element of 16 bytes

static inline void move(char *d, int64_t ds, const char *s, int64_t ss, int64_t n, int size) {
#define MOVE(T) for (int64_t i = 0; i < n; ++i) *(T *)(d + i * ds) = *(const T *)(s + i * ss)
  switch (size) {
  case 1: MOVE(uint8_t); break;
  case 2: MOVE(uint16_t); break;
  case 4: MOVE(uint32_t); break;
  case 8: MOVE(uint64_t); break;
  case 16: MOVE(Wide); break;
  }
}

static void move_row(char *d, int64_t ds, const char *s, int64_t ss, int64_t n, int size) {
  if (ds == size && ss == size) memcpy(d, s, n * size);
  else if (ds == size && ss == 0) {
#define FILL(T) { T v = *(const T *)s; T *o = (T *)d; for (int64_t i = 0; i < n; ++i) o[i] = v; }
    switch (size) {
    case 1: memset(d, *s, n); break;
    case 2: FILL(uint16_t) break;
    case 4: FILL(uint32_t) break;
    case 8: FILL(uint64_t) break;
    case 16: FILL(Wide) break;
    }
  } else move(d, ds, s, ss, n, size);
}

// The unit of work is one row of the last dimension, or one row of blocks when transposing.
static void copy_units(const Copy *c, int64_t from, int64_t to) {
  int last = c->rank - 1;
  enum { block = 64 };
  for (int64_t unit = from; unit < to && !lull_interrupt_stops(); ++unit) {
    int64_t rest = unit, start = 0;
    char *d = c->dst;
    const char *s = c->src;
    for (int k = last - 1; k >= 0; --k) {
      int64_t n = c->shape[k];
      if (k == c->cross) n = (n + block - 1) / block;
      int64_t at = rest % n;
      rest /= n;
      if (k == c->cross) start = at * block, at = start;
      d += at * c->ds[k];
      s += at * c->ss[k];
    }
    if (c->cross < 0) {
      move_row(d, c->ds[last], s, c->ss[last], c->shape[last], c->size);
      continue;
    }
    int k = c->cross;
    int64_t h = c->shape[k] - start < block ? c->shape[k] - start : block, w = c->shape[last];
    for (int64_t j = 0; j < w; j += block) {
      int64_t n = w - j < block ? w - j : block;
      if (c->size == 4 && c->ds[last] == 4)
        lull_transpose_block(d + j * 4, c->ds[k], s + j * c->ss[last], c->ss[last], h, n);
      else
        for (int64_t i = 0; i < h; ++i)
          move(d + i * c->ds[k] + j * c->ds[last], c->ds[last],
            s + i * c->ss[k] + j * c->ss[last], c->ss[last], n, c->size);
    }
  }
}

static void copy_chunk(void *context, int64_t chunk, int worker) {
  const Copy *c = context;
  int64_t from = chunk * c->chunkRows, to = from + c->chunkRows;
  copy_units(c, from, to < c->rows ? to : c->rows);
}

static void contiguous_chunk(void *context, int64_t chunk, int worker) {
  const Copy *c = context;
  int64_t total = c->shape[0] * c->size, from = chunk << 18, n = total - from;
  memcpy(c->dst + from, c->src + from, n < 1 << 18 ? n : 1 << 18);
}

void lull_copy_strided(char *dst, const int64_t *ds, const char *src, const int64_t *ss,
                       const int64_t *shape, int rank, int size) {
  Copy c = {.dst = dst, .src = src, .size = size, .cross = -1};
  int64_t total = size;
  for (int k = 0; k < rank; ++k) {
    total *= shape[k];
    if (shape[k] == 1) continue;
    int p = c.rank - 1;
    if (p >= 0 && c.ds[p] == ds[k] * shape[k] && c.ss[p] == ss[k] * shape[k]) {
      c.shape[p] *= shape[k];
    } else {
      p = c.rank++;
      c.shape[p] = shape[k];
    }
    c.ds[p] = ds[k];
    c.ss[p] = ss[k];
  }
  if (total == 0) return;
  if (c.rank == 0) { memcpy(dst, src, size); return; }
  int last = c.rank - 1;
  if (c.rank == 1 && c.ds[0] == size && c.ss[0] == size) {
    if (total < 1 << 20) memcpy(dst, src, total);
    else lull_parallel_for((total + (1 << 18) - 1) >> 18, contiguous_chunk, &c);
    return;
  }
  if (c.ss[last] != size && c.ss[last] != 0 && c.shape[last] >= 8)
    for (int k = 0; k < last; ++k)
      if (c.ss[k] == size && c.shape[k] >= 8) c.cross = k;
  // A long single row is cut in two dimensions, so that it can be shared.
  if (c.rank == 1 && c.shape[0] > 1 << 16) {
    int64_t n = c.shape[0], row = 1 << 14, body = n / row * row;
    if (body < n)
      move_row(dst + body * c.ds[0], c.ds[0], src + body * c.ss[0], c.ss[0], n - body, size);
    c.rank = 2;
    c.shape[0] = n / row, c.shape[1] = row;
    c.ds[1] = c.ds[0], c.ss[1] = c.ss[0];
    c.ds[0] *= row, c.ss[0] *= row;
    last = 1;
  }
  c.rows = 1;
  for (int k = 0; k < last; ++k) c.rows *= k == c.cross ? (c.shape[k] + 63) / 64 : c.shape[k];
  if (total < 1 << 18 || c.rows == 1) { copy_units(&c, 0, c.rows); return; }
  int64_t perRow = total / c.rows;
  c.chunkRows = (1 << 17) / (perRow + 1) + 1;
  lull_parallel_for((c.rows + c.chunkRows - 1) / c.chunkRows, copy_chunk, &c);
}
