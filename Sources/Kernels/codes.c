// See codes.h.
#include "Kernels.h"
#include <string.h>

void lull_to_fp8(const float *x, uint8_t *codes, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    uint32_t bits;
    memcpy(&bits, x + i, 4);
    uint32_t sign = bits >> 24 & 0x80, code;
    bits &= 0x7fffffff;
    if (bits >= 543u << 21) {
      code = 0x7e;  // 448 and what is larger
    } else if (bits < 121u << 23) {
      // Below 2^-6: the sum's last bits count steps of 2^-9.
      float value, step = 16384;
      memcpy(&value, &bits, 4);
      value += step;
      uint32_t sum, base = 141u << 23;
      memcpy(&sum, &value, 4);
      code = sum - base;
    } else {
      uint32_t odd = bits >> 20 & 1;
      code = (bits + ((uint32_t)(7 - 127) << 23) + 0x7ffff + odd) >> 20;
    }
    codes[i] = (uint8_t)(code | sign);
  }
}

void lull_from_fp8(const uint8_t *codes, float *x, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    uint32_t code = codes[i] & 127;
    // As the bits of a float with 2^-120 too small an exponent: denormal codes become right too.
    uint32_t bits = code << 20;
    float value;
    memcpy(&value, &bits, 4);
    value = code == 127 ? __builtin_nanf("") : value * 0x1p120f;
    x[i] = codes[i] & 128 ? -value : value;
  }
}

typedef struct {
  float *x;
  int64_t rows, n, each;
  int m;
  const float *matrix;
  float scale;
} Job;

static void chunk(void *context, int64_t index, int worker) {
  const Job *j = context;
  int64_t size = j->n * j->m;
  for (int64_t row = index * j->each; row < (index + 1) * j->each && row < j->rows; row++) {
    float *x = j->x + row * size;
    for (int64_t h = 1; h < j->n; h *= 2)
      for (int64_t i = 0; i < size; i += 2 * h)
        for (int64_t k = i; k < i + h; k++) {
          float a = x[k], b = x[k + h];
          x[k] = a + b, x[k + h] = a - b;
        }
    if (j->m == 1) {
      for (int64_t i = 0; i < size; i++) x[i] *= j->scale;
      continue;
    }
    for (int64_t i = 0; i < j->n; i++) {
      float column[32];
      for (int k = 0; k < j->m; k++) column[k] = x[i + k * j->n];
      for (int k = 0; k < j->m; k++) {
        float sum = 0;
        for (int l = 0; l < j->m; l++) sum += j->matrix[k * j->m + l] * column[l];
        x[i + k * j->n] = sum * j->scale;
      }
    }
  }
}

void lull_hadamard(float *x, int64_t rows, int64_t n, int m, const float *matrix, float scale) {
  Job job = {x, rows, n, 1 + 16384 / (n * m), m, matrix, scale};
  lull_parallel_for((rows + job.each - 1) / job.each, chunk, &job);
}
