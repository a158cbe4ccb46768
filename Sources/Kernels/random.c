// MLX's random bits (sorting.h declares them): the first half of the words are the first outputs of
// the counters, the second half their second outputs; an odd word in between has a counter of its own.
#include "Kernels.h"
#include "vm_internal.h"
#include <string.h>

typedef struct {
  char *out;
  const uint32_t *key;
  int64_t bytes, half, words;
} Random;

enum { randomChunk = 1 << 14, randomBlock = 512 };

// Words from `word` on, cut where the bytes end.
static void put(const Random *r, int64_t word, const uint32_t *values, int64_t n) {
  int64_t left = r->bytes - word * 4;
  if (left > n * 4) left = n * 4;
  if (left > 0) memcpy(r->out + word * 4, values, (size_t)left);
}

static void random_chunk(void *context, int64_t chunk, int worker) {
  const Random *r = context;
  int64_t second = r->half + (r->words & 1), from = chunk * randomChunk, to = from + randomChunk;
  if (to > r->half) to = r->half;
  uint32_t a[randomBlock], b[randomBlock];
  for (int64_t i = from; i < to; i += randomBlock) {
    int64_t n = to - i < randomBlock ? to - i : randomBlock;
    lull_threefry(r->key, (uint32_t)i, (uint32_t)(second + i), n, a, b);
    put(r, i, a, n);
    put(r, second + i, b, n);
  }
}

void lull_random_bits(char *out, const uint32_t *keys, int64_t count, int64_t bytes) {
  for (int64_t k = 0; k < count; ++k) {
    int64_t words = (bytes + 3) / 4;
    Random r = {out + k * bytes, keys + 2 * k, bytes, words / 2, words};
    lull_parallel_for((r.half + randomChunk - 1) / randomChunk, random_chunk, &r);
    if (words & 1) {
      uint32_t a, b;
      lull_threefry(r.key, (uint32_t)r.half, 0, 1, &a, &b);
      put(&r, r.half, &a, 1);
    }
  }
}
