// Products of one x with several quantised weights: x is rounded once, and the threads share all tiles. The steps of a
// model's decoding are made of these (the projections of queries, keys and values; gate and up), and a region of its own
// for each of the smaller ones costs as much as its arithmetic.
#include "Kernels.h"

typedef struct {
  const LullProduct *products;
  const LullActivations *activations;
  int64_t first[LULL_MOST_PRODUCTS + 1];  // chunks before each product
  int64_t tiles[LULL_MOST_PRODUCTS];      // tiles of a chunk
} Job;

int64_t lull_products_bytes(int64_t m, int64_t columns) { return m * (columns * 2 + columns / 32 * 12); }

static int64_t bytes_of(const LullProduct *p) { return (p->w.rows + 15) / 16 * lull_packed_tile_bytes(&p->w); }

static void run(void *context, int64_t chunk, int worker) {
  (void)worker;
  const Job *job = context;
  int i = 0;
  while (chunk >= job->first[i + 1]) ++i;
  const LullProduct *p = job->products + i;
  int64_t all = (p->w.rows + 15) / 16, first = (chunk - job->first[i]) * job->tiles[i];
  int64_t tiles = all - first < job->tiles[i] ? all - first : job->tiles[i];
  lull_packed_dot(&p->w, p->packed, first, tiles, job->activations, p->y, p->w.rows, 0);
}

void lull_packed_products(const float *x, int64_t m, int64_t columns, const LullProduct *products, int count,
                          void *memory) {
  int16_t *q = memory;
  float *scales = (float *)(q + m * columns);
  LullActivations activations = {m, q, 0, scales, scales + m * (columns / 32)};
  lull_quantize_activations(x, m, columns, columns, LULL_PAIRED, q, 0, scales, activations.sums);
  Job job = {products, &activations, {0}, {0}};
  int64_t bytes = 0;
  for (int i = 0; i < count; ++i) bytes += bytes_of(products + i);
  // Long runs: the memory is read 1.3 times as fast as in pieces of 10 KB, which would let the threads end together.
  int64_t share = bytes / (lull_thread_count() * 2);
  share = share < 4096 ? 4096 : share > 1000000 ? 1000000 : share;
  for (int i = 0; i < count; ++i) {
    int64_t tiles = (products[i].w.rows + 15) / 16, each = share / lull_packed_tile_bytes(&products[i].w);
    job.tiles[i] = each < 1 ? 1 : each;
    job.first[i + 1] = job.first[i] + (tiles + job.tiles[i] - 1) / job.tiles[i];
  }
  lull_parallel_for(job.first[count], run, &job);
}
