// Dispatch of the kernels in fast.h.
#include "Kernels.h"
#include <math.h>

#define KERNELS(isa)                                                                                   \
  void lull_##isa##_rms_norm(const float *, int64_t, const float *, float, int64_t, int64_t, float *); \
  void lull_##isa##_layer_norm(const float *, int64_t, const float *, const float *, float, int64_t,   \
                               int64_t, float *);                                                      \
  void lull_##isa##_rope(const float *, const float *, const float *, int64_t, int64_t, int, float,    \
                         float *);                                                                     \
  void lull_##isa##_attention(const LullAttention *, int64_t, int64_t, float *);

KERNELS(portable)
#if defined(__x86_64__)
KERNELS(avx2)
KERNELS(avx512)
#define CHOOSE(name, ...)                                                                              \
  switch (lull_simd_level()) {                                                                         \
  case 2: lull_avx512_##name(__VA_ARGS__); break;                                                      \
  case 1: lull_avx2_##name(__VA_ARGS__); break;                                                        \
  default: lull_portable_##name(__VA_ARGS__);                                                          \
  }
#else
#define CHOOSE(name, ...) lull_portable_##name(__VA_ARGS__);
#endif

void lull_rms_norm(const float *x, int64_t x_stride, const float *weight, float eps, int64_t rows,
                   int64_t n, float *out) {
  CHOOSE(rms_norm, x, x_stride, weight, eps, rows, n, out)
}

void lull_layer_norm(const float *x, int64_t x_stride, const float *weight, const float *bias, float eps,
                     int64_t rows, int64_t n, float *out) {
  CHOOSE(layer_norm, x, x_stride, weight, bias, eps, rows, n, out)
}

void lull_rope(const float *x, const float *cosine, const float *sine, int64_t n, int64_t dims,
               int interleaved, float sign, float *out) {
  CHOOSE(rope, x, cosine, sine, n, dims, interleaved, sign, out)
}

int64_t lull_attention_scratch(const LullAttention *a, int64_t count) {
  int64_t rows = (count + 3) / 4 * 4, vpad = (a->value_dim + 15) / 16 * 16;
  return a->dim * 64 + 64 * vpad + rows * 64 + rows * vpad;
}

void lull_attention(const LullAttention *a, int64_t first, int64_t count, float *scratch) {
  CHOOSE(attention, a, first, count, scratch)
}

int lull_attention_merge(const float *outs, int64_t stride, const float *states, int64_t state_stride, int64_t parts,
                         int64_t width, float *out) {
  float top = -INFINITY, sum = 0;
  for (int64_t p = 0; p < parts; p++)
    if (states[p * state_stride + 1] > 0 && states[p * state_stride] > top) top = states[p * state_stride];
  for (int64_t i = 0; i < width; i++) out[i] = 0;
  int isNumber = 1;
  for (int64_t p = 0; p < parts; p++) {
    float own = states[p * state_stride + 1];
    if (own == 0) continue;
    if (own != own) isNumber = 0;
    float factor = expf(states[p * state_stride] - top);
    sum += own * factor;
    for (int64_t i = 0; i < width; i++) out[i] += factor * outs[p * stride + i];
  }
  if (sum == 0 && isNumber) return 0;
  for (int64_t i = 0; i < width; i++) out[i] /= sum;
  return 1;
}
