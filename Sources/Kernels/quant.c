// Dispatch of the quantised kernels, the table of block formats, and quantising.
#include "Kernels.h"
#include <math.h>
#include <string.h>

#define KERNELS(isa)                                                                                   \
  void lull_##isa##_quant_rows(const LullQuantized *, int64_t, int64_t, float *, int64_t);             \
  void lull_##isa##_quant_dot(const LullQuantized *, int64_t, int64_t, const float *, int64_t, int64_t, \
                              float *, int64_t, float *);

#define INTEGER_KERNELS(isa)                                                                           \
  int lull_##isa##_has_int_dot(const LullQuantized *);                                                 \
  void lull_##isa##_quantize_activations(const float *, int64_t, int64_t, int64_t, int, int16_t *,     \
                                         int8_t *, float *, float *);                                  \
  void lull_##isa##_int_dot(const LullQuantized *, int64_t, int64_t, const LullActivations *, float *, \
                            int64_t, float *);                                                         \
  int64_t lull_##isa##_packed_tile_bytes(const LullQuantized *);                                       \
  void lull_##isa##_pack_tiles(const LullQuantized *, int64_t, int64_t, uint8_t *);                    \
  void lull_##isa##_packed_dot(const LullQuantized *, const uint8_t *, int64_t, int64_t,               \
                               const LullActivations *, float *, int64_t, uint8_t *);                  \
  void lull_##isa##_packed_columns(const LullQuantized *, const uint8_t *, int64_t, int64_t, float *, int64_t);

KERNELS(portable)
#if defined(__x86_64__)
KERNELS(avx2)
KERNELS(avx512)
INTEGER_KERNELS(avx2)
INTEGER_KERNELS(avx512)
INTEGER_KERNELS(vnni)
#define CHOOSE(name, ...)                                                                              \
  switch (lull_simd_level()) {                                                                         \
  case 2: lull_avx512_##name(__VA_ARGS__); break;                                                      \
  case 1: lull_avx2_##name(__VA_ARGS__); break;                                                        \
  default: lull_portable_##name(__VA_ARGS__);                                                          \
  }
#else
#define CHOOSE(name, ...) lull_portable_##name(__VA_ARGS__);
#endif

// The integer kernels are for x86 with AVX2 and BMI2.
#if defined(__x86_64__)
static int lull_has_vnni(void) {
  static int found = -1;
  if (found < 0) found = __builtin_cpu_supports("avx512vnni") != 0;
  return found;
}
static int has_integers(void) { return lull_simd_level() > 0 && __builtin_cpu_supports("bmi2"); }
#define CHOOSE_INTEGER(name, ...)                                                                      \
  if (lull_simd_level() == 2 && lull_has_vnni()) lull_vnni_##name(__VA_ARGS__);                        \
  else if (lull_simd_level() == 2) lull_avx512_##name(__VA_ARGS__);                                    \
  else lull_avx2_##name(__VA_ARGS__);
int lull_has_int_dot(const LullQuantized *w) { return has_integers() && lull_avx2_has_int_dot(w); }
int64_t lull_packed_tile_bytes(const LullQuantized *w) {
  return has_integers() ? lull_avx2_packed_tile_bytes(w) : 0;
}
#else
#define CHOOSE_INTEGER(name, ...)
int lull_has_int_dot(const LullQuantized *w) { return 0; }
int64_t lull_packed_tile_bytes(const LullQuantized *w) { return 0; }
#endif

void lull_quantize_activations(const float *x, int64_t m, int64_t x_stride, int64_t columns, int order, int16_t *q,
                               int8_t *q8, float *scales, float *sums) {
  CHOOSE_INTEGER(quantize_activations, x, m, x_stride, columns, order, q, q8, scales, sums)
}

void lull_int_dot(const LullQuantized *w, int64_t first, int64_t count, const LullActivations *a, float *y,
                  int64_t y_stride, float *work) {
  CHOOSE_INTEGER(int_dot, w, first, count, a, y, y_stride, work)
}

static const struct { uint8_t type; uint16_t values, bytes; } formats[] = {
  {LULL_F32, 1, 4},       {LULL_F16, 1, 2},       {LULL_BF16, 1, 2},      {LULL_Q4_0, 32, 18},
  {LULL_Q4_1, 32, 20},    {LULL_Q5_0, 32, 22},    {LULL_Q5_1, 32, 24},    {LULL_Q8_0, 32, 34},
  {LULL_Q2_K, 256, 84},   {LULL_Q3_K, 256, 110},  {LULL_Q4_K, 256, 144},  {LULL_Q5_K, 256, 176},
  {LULL_Q6_K, 256, 210},  {LULL_IQ4_NL, 32, 18},  {LULL_IQ4_XS, 256, 136},
};

int lull_block_values(int type) {
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
    if (formats[i].type == type) return formats[i].values;
  return 0;
}

int lull_block_bytes(int type) {
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
    if (formats[i].type == type) return formats[i].bytes;
  return 0;
}

void lull_quant_rows(const LullQuantized *w, int64_t first, int64_t count, float *out, int64_t stride) {
  CHOOSE(quant_rows, w, first, count, out, stride)
}

void lull_quant_dot(const LullQuantized *w, int64_t first, int64_t count, const float *x, int64_t m,
                    int64_t x_stride, float *y, int64_t y_stride, float *scratch) {
  CHOOSE(quant_dot, w, first, count, x, m, x_stride, y, y_stride, scratch)
}

void lull_pack_tiles(const LullQuantized *w, int64_t first_tile, int64_t tiles, uint8_t *packed) {
  CHOOSE_INTEGER(pack_tiles, w, first_tile, tiles, packed)
}

void lull_packed_dot(const LullQuantized *w, const uint8_t *packed, int64_t first_tile, int64_t tiles,
                     const LullActivations *a, float *y, int64_t y_stride, uint8_t *panel) {
  CHOOSE_INTEGER(packed_dot, w, packed, first_tile, tiles, a, y, y_stride, panel)
}

void lull_packed_columns(const LullQuantized *w, const uint8_t *packed, int64_t first_tile, int64_t tiles,
                         float *out, int64_t stride) {
  CHOOSE_INTEGER(packed_columns, w, packed, first_tile, tiles, out, stride)
}

void lull_quantize_affine(const float *w, int64_t groups, int group, int bits, uint8_t *codes,
                          float *scales, float *biases) {
  const float steps = (float)((1 << bits) - 1);
  int64_t bytes = (int64_t)group * bits / 8;
  for (int64_t g = 0; g < groups; g++, w += group, codes += bytes) {
    float low = w[0], high = w[0];
    for (int i = 1; i < group; i++) {
      low = w[i] < low ? w[i] : low;
      high = w[i] > high ? w[i] : high;
    }
    int from_low = fabsf(low) > fabsf(high);
    float scale = (high - low) / steps;
    if (!(scale > 1e-7f)) scale = 1e-7f;
    if (!from_low) scale = -scale;
    float edge = from_low ? low : high, bias = 0;
    float first = rintf(edge / scale);
    if (first != 0) {
      scale = edge / first;
      bias = edge;
    }
    scales[g] = scale;
    biases[g] = bias;
    memset(codes, 0, (size_t)bytes);
    for (int i = 0; i < group; i++) {
      float q = rintf((w[i] - bias) / scale);
      q = q > 0 ? (q < steps ? q : steps) : 0;  // NaN becomes 0
      uint32_t code = (uint32_t)q;
      int64_t bit = (int64_t)i * bits;
      codes[bit / 8] |= (uint8_t)(code << bit % 8);
      if (bit % 8 + bits > 8) codes[bit / 8 + 1] |= (uint8_t)(code >> (8 - bit % 8));
    }
  }
}
