// What the machine reaches, and a look for numbers that are not finite.
#define _GNU_SOURCE
#include "Kernels.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

enum { bandwidthChunk = 1 << 20, bandwidthChunks = 128 };

static void read_chunk(void *context, int64_t chunk, int worker) {
  typedef uint64_t v8 __attribute__((vector_size(64)));
  const v8 *p = (const v8 *)((char *)context + chunk * bandwidthChunk);
  v8 a = {0}, b = {0}, c = {0}, d = {0};
  for (int i = 0; i < bandwidthChunk / 64; i += 4) a ^= p[i], b ^= p[i + 1], c ^= p[i + 2], d ^= p[i + 3];
  a ^= b ^ c ^ d;
  __asm__ volatile("" : : "m"(a));
}

double lull_measure_bandwidth(void) {
  int64_t bytes = (int64_t)bandwidthChunk * bandwidthChunks;
  char *memory = aligned_alloc(64, (size_t)bytes);
  if (!memory) return 1e10;
  memset(memory, 1, (size_t)bytes);
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    double start = seconds();
    lull_parallel_for(bandwidthChunks, read_chunk, memory);
    double took = seconds() - start;
    if (took < best) best = took;
  }
  free(memory);
  return best > 0 ? (double)bytes / best : 1e10;
}

enum { arithmeticSteps = 4000, arithmeticChains = 12, arithmeticChunks = 64 };
#define CHAINS(name, width, attribute)                                                      \
  attribute static void name(void *context, int64_t chunk, int worker) {                    \
    typedef float vec __attribute__((vector_size(4 * width)));                              \
    vec x[arithmeticChains], m = (vec){} + 0.999f, a = (vec){} + 0.001f;                    \
    for (int k = 0; k < arithmeticChains; ++k) x[k] = (vec){} + (float)(k + chunk);         \
    for (int i = 0; i < arithmeticSteps; ++i)                                               \
      for (int k = 0; k < arithmeticChains; ++k) x[k] = x[k] * m + a;                       \
    for (int k = 1; k < arithmeticChains; ++k) x[0] += x[k];                                \
    __asm__ volatile("" : : "m"(x[0]));                                                     \
  }
CHAINS(chains_portable, 4, )
#if defined(__x86_64__)
CHAINS(chains_avx2, 8, __attribute__((target("avx2,fma"))))
CHAINS(chains_avx512, 16, __attribute__((target("avx512f,fma"))))
#endif

double lull_measure_arithmetic(void) {
  LullChunk body = chains_portable;
  int width = 4;
#if defined(__x86_64__)
  if (lull_simd_level() == 2) body = chains_avx512, width = 16;
  else if (lull_simd_level() == 1) body = chains_avx2, width = 8;
#endif
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    double start = seconds();
    lull_parallel_for(arithmeticChunks, body, NULL);
    double took = seconds() - start;
    if (took < best) best = took;
  }
  return 2.0 * arithmeticSteps * arithmeticChains * arithmeticChunks * width / best;
}

int64_t lull_first_non_finite(const void *data, int dtype, int64_t n, int nanOnly) {
#define LOOK(T, isNaN, isInf)                                                               \
  for (int64_t i = 0; i < n; ++i) {                                                         \
    T x = ((const T *)data)[i];                                                             \
    if (isNaN) return i << 1 | 1;                                                           \
    if (!nanOnly && (isInf)) return i << 1;                                                 \
  }                                                                                         \
  return -1;
  switch (dtype) {
  case lullFloat16: LOOK(uint16_t, (x & 0x7fff) > 0x7c00, (x & 0x7fff) == 0x7c00)
  case lullBFloat16: LOOK(uint16_t, (x & 0x7fff) > 0x7f80, (x & 0x7fff) == 0x7f80)
  case lullFloat32: LOOK(float, x != x, x - x != 0)
  case lullFloat64: LOOK(double, x != x, x - x != 0)
  case lullComplex64: case lullComplex128: {
    int parts = dtype == lullComplex64 ? lullFloat32 : lullFloat64;
    int64_t found = lull_first_non_finite(data, parts, 2 * n, nanOnly);
    return found < 0 ? found : (found >> 2) << 1 | (found & 1);
  }
  default: return -1;
  }
}
