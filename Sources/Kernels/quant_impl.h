// The quantised kernels, compiled once per instruction set with NAME(x) giving each its own names and
// LEVEL 0 (portable), 1 (AVX2) or 2 (AVX-512). Layouts are in quant.h; formulas are those of the GGUF
// block formats as ggml defines them.
#include <string.h>
#if LEVEL > 0
#include <immintrin.h>
#endif

typedef float f32x16 __attribute__((ext_vector_type(16)));
typedef float f32x16u __attribute__((ext_vector_type(16), aligned(4)));

static inline uint16_t load16(const uint8_t *p) { uint16_t v; memcpy(&v, p, 2); return v; }
static inline uint32_t load32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return v; }
static inline float as_float(uint32_t bits) { float f; memcpy(&f, &bits, 4); return f; }

static inline float half(uint16_t h) {
#if LEVEL > 0
  return _cvtsh_ss(h);
#else
  uint32_t sign = (uint32_t)(h & 0x8000) << 16, magnitude = h & 0x7fff;
  if (magnitude >= 0x7c00) return as_float(sign | 0x7f800000u | (magnitude & 0x3ff) << 13);
  // Scaling by 2^112 moves the exponent and turns subnormals into normal numbers.
  float value = as_float(magnitude << 13) * 0x1p112f;
  uint32_t bits;
  memcpy(&bits, &value, 4);
  return as_float(sign | bits);
#endif
}

static inline __attribute__((always_inline)) f32x16 half16(const uint8_t *p) {
#if LEVEL == 2
  return (f32x16)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
#elif LEVEL == 1
  f32x16 v;
  __m256 low = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
  __m256 high = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + 16)));
  memcpy(&v, &low, 32);
  memcpy((char *)&v + 32, &high, 32);
  return v;
#else
  f32x16 v;
  for (int i = 0; i < 16; i++) v[i] = half(load16(p + 2 * i));
  return v;
#endif
}

static const float iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                     1,    13,   25,  38,  53,  69,  89,  113};
static const float e2m1_values[16] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6,
                                      -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};

// ---- Block formats to float32 ------------------------------------------------------------------

static void k4_scale(int j, const uint8_t *q, int *scale, int *minimum) {
  if (j < 4) {
    *scale = q[j] & 63;
    *minimum = q[j + 4] & 63;
  } else {
    *scale = (q[j + 4] & 15) | (q[j - 4] >> 6) << 4;
    *minimum = q[j + 4] >> 4 | (q[j] >> 6) << 4;
  }
}

static void block_q2_k(const uint8_t *b, float *y) {
  const uint8_t *scales = b, *q = b + 16;
  float d = half(load16(b + 80)), dmin = half(load16(b + 82));
  for (int n = 0; n < 2; n++, q += 32)
    for (int j = 0; j < 4; j++)
      for (int h = 0; h < 2; h++) {
        int s = *scales++;
        float scale = d * (s & 15), minimum = dmin * (s >> 4);
        for (int l = 0; l < 16; l++) *y++ = scale * (q[16 * h + l] >> 2 * j & 3) - minimum;
      }
}

static void block_q3_k(const uint8_t *b, float *y) {
  const uint8_t *high = b, *q = b + 32, *packed = b + 96;
  float d = half(load16(b + 108));
  // Sixteen 6-bit scales: low four bits in bytes 0-7, high two in bytes 8-11.
  int scales[16];
  for (int i = 0; i < 16; i++) {
    int low = i < 8 ? packed[i] & 15 : packed[i - 8] >> 4;
    scales[i] = (low | (packed[8 + i % 4] >> 2 * (i / 4) & 3) << 4) - 32;
  }
  int s = 0;
  for (int n = 0; n < 2; n++, q += 32)
    for (int j = 0; j < 4; j++)
      for (int h = 0; h < 2; h++) {
        float scale = d * scales[s++];
        for (int l = 16 * h; l < 16 * h + 16; l++) {
          int code = (q[l] >> 2 * j & 3) - (high[l] >> (4 * n + j) & 1 ? 0 : 4);
          *y++ = scale * code;
        }
      }
}

static void block_q4_k(const uint8_t *b, float *y) {
  float d = half(load16(b)), dmin = half(load16(b + 2));
  const uint8_t *q = b + 16;
  for (int j = 0; j < 8; j += 2, q += 32) {
    int s0, m0, s1, m1;
    k4_scale(j, b + 4, &s0, &m0);
    k4_scale(j + 1, b + 4, &s1, &m1);
    float d0 = d * s0, n0 = dmin * m0, d1 = d * s1, n1 = dmin * m1;
    for (int l = 0; l < 32; l++) y[l] = d0 * (q[l] & 15) - n0;
    for (int l = 0; l < 32; l++) y[32 + l] = d1 * (q[l] >> 4) - n1;
    y += 64;
  }
}

static void block_q5_k(const uint8_t *b, float *y) {
  float d = half(load16(b)), dmin = half(load16(b + 2));
  const uint8_t *high = b + 16, *q = b + 48;
  for (int j = 0; j < 8; j += 2, q += 32) {
    int s0, m0, s1, m1;
    k4_scale(j, b + 4, &s0, &m0);
    k4_scale(j + 1, b + 4, &s1, &m1);
    float d0 = d * s0, n0 = dmin * m0, d1 = d * s1, n1 = dmin * m1;
    for (int l = 0; l < 32; l++) y[l] = d0 * ((q[l] & 15) + (high[l] >> j & 1) * 16) - n0;
    for (int l = 0; l < 32; l++) y[32 + l] = d1 * ((q[l] >> 4) + (high[l] >> (j + 1) & 1) * 16) - n1;
    y += 64;
  }
}

static void block_q6_k(const uint8_t *b, float *y) {
  const uint8_t *low = b, *high = b + 128;
  const int8_t *scales = (const int8_t *)(b + 192);
  float d = half(load16(b + 208));
  for (int n = 0; n < 2; n++, y += 128, low += 64, high += 32, scales += 8)
    for (int l = 0; l < 32; l++) {
      int s = l / 16;
      y[l] = d * scales[s] * ((low[l] & 15 | (high[l] & 3) << 4) - 32);
      y[l + 32] = d * scales[s + 2] * ((low[l + 32] & 15 | (high[l] >> 2 & 3) << 4) - 32);
      y[l + 64] = d * scales[s + 4] * ((low[l] >> 4 | (high[l] >> 4 & 3) << 4) - 32);
      y[l + 96] = d * scales[s + 6] * ((low[l + 32] >> 4 | (high[l] >> 6) << 4) - 32);
    }
}

static void block_iq4_xs(const uint8_t *b, float *y) {
  float d = half(load16(b));
  int high = load16(b + 2);
  const uint8_t *q = b + 8;
  for (int i = 0; i < 8; i++, q += 16, y += 32) {
    int scale = (b[4 + i / 2] >> 4 * (i % 2) & 15) | (high >> 2 * i & 3) << 4;
    float dl = d * (scale - 32);
    for (int l = 0; l < 16; l++) {
      y[l] = dl * iq4_values[q[l] & 15];
      y[l + 16] = dl * iq4_values[q[l] >> 4];
    }
  }
}

static void blocks(int type, const uint8_t *b, int64_t columns, float *y) {
  int64_t n = columns;
  switch (type) {
  case LULL_F32: memcpy(y, b, (size_t)n * 4); return;
  case LULL_F16:
    for (; n >= 16; n -= 16, b += 32, y += 16) *(f32x16u *)y = half16(b);
    for (; n > 0; n--, b += 2) *y++ = half(load16(b));
    return;
  case LULL_BF16:
    for (int64_t i = 0; i < n; i++) y[i] = as_float((uint32_t)load16(b + 2 * i) << 16);
    return;
  case LULL_Q4_0:
    for (; n > 0; n -= 32, b += 18, y += 32) {
      float d = half(load16(b));
      for (int l = 0; l < 16; l++) y[l] = d * ((b[2 + l] & 15) - 8);
      for (int l = 0; l < 16; l++) y[16 + l] = d * ((b[2 + l] >> 4) - 8);
    }
    return;
  case LULL_Q4_1:
    for (; n > 0; n -= 32, b += 20, y += 32) {
      float d = half(load16(b)), m = half(load16(b + 2));
      for (int l = 0; l < 16; l++) y[l] = d * (b[4 + l] & 15) + m;
      for (int l = 0; l < 16; l++) y[16 + l] = d * (b[4 + l] >> 4) + m;
    }
    return;
  case LULL_Q5_0:
    for (; n > 0; n -= 32, b += 22, y += 32) {
      float d = half(load16(b));
      uint32_t high = load32(b + 2);
      for (int l = 0; l < 16; l++) y[l] = d * ((int)(b[6 + l] & 15 | (high >> l & 1) << 4) - 16);
      for (int l = 0; l < 16; l++)
        y[16 + l] = d * ((int)(b[6 + l] >> 4 | (high >> (l + 16) & 1) << 4) - 16);
    }
    return;
  case LULL_Q5_1:
    for (; n > 0; n -= 32, b += 24, y += 32) {
      float d = half(load16(b)), m = half(load16(b + 2));
      uint32_t high = load32(b + 4);
      for (int l = 0; l < 16; l++) y[l] = d * (int)(b[8 + l] & 15 | (high >> l & 1) << 4) + m;
      for (int l = 0; l < 16; l++)
        y[16 + l] = d * (int)(b[8 + l] >> 4 | (high >> (l + 16) & 1) << 4) + m;
    }
    return;
  case LULL_Q8_0:
    for (; n > 0; n -= 32, b += 34, y += 32) {
      float d = half(load16(b));
      for (int l = 0; l < 32; l++) y[l] = d * (int8_t)b[2 + l];
    }
    return;
  case LULL_IQ4_NL:
    for (; n > 0; n -= 32, b += 18, y += 32) {
      float d = half(load16(b));
      for (int l = 0; l < 16; l++) y[l] = d * iq4_values[b[2 + l] & 15];
      for (int l = 0; l < 16; l++) y[16 + l] = d * iq4_values[b[2 + l] >> 4];
    }
    return;
  case LULL_Q2_K: for (; n > 0; n -= 256, b += 84, y += 256) block_q2_k(b, y); return;
  case LULL_Q3_K: for (; n > 0; n -= 256, b += 110, y += 256) block_q3_k(b, y); return;
  case LULL_Q4_K: for (; n > 0; n -= 256, b += 144, y += 256) block_q4_k(b, y); return;
  case LULL_Q5_K: for (; n > 0; n -= 256, b += 176, y += 256) block_q5_k(b, y); return;
  case LULL_Q6_K: for (; n > 0; n -= 256, b += 210, y += 256) block_q6_k(b, y); return;
  case LULL_IQ4_XS: for (; n > 0; n -= 256, b += 136, y += 256) block_iq4_xs(b, y); return;
  }
}

// ---- MLX's formats to float32 ------------------------------------------------------------------

static float scale_at(const uint8_t *p, int type, int64_t i) {
  if (type == LULL_F16) return half(load16(p + 2 * i));
  if (type == LULL_BF16) return as_float((uint32_t)load16(p + 2 * i) << 16);
  return as_float(load32(p + 4 * i));
}

static float e4m3(uint8_t v) {
  float magnitude = (v & 0x7f) == 0x7f ? __builtin_nanf("")
    : (v >> 3 & 15) == 0 ? (v & 7) * 0x1p-9f
    : as_float((uint32_t)((v >> 3 & 15) + 120) << 23 | (uint32_t)(v & 7) << 20);
  return v & 0x80 ? -magnitude : magnitude;
}
// A power of two, 2^(v - 127); 255 is NaN, 0 the subnormal 2^-127.
static float e8m0(uint8_t v) {
  return v == 255 ? __builtin_nanf("") : v == 0 ? 0x1p-127f : as_float((uint32_t)v << 23);
}

static void mlx_row(const LullQuantized *w, int64_t row, float *y) {
  const uint8_t *p = w->data + row * w->row_bytes;
  int64_t groups = w->columns / w->group;
  int bits = w->bits;
  uint32_t mask = (1u << bits) - 1;
  for (int64_t g = 0; g < groups; g++, y += w->group) {
    int64_t at = row * groups + g;
    if (w->mode == LULL_AFFINE) {
      float scale = scale_at(w->scales, w->scale_type, at);
      float bias = scale_at(w->biases, w->scale_type, at);
      const uint8_t *q = p + g * w->group * bits / 8;
      if (bits == 4)
        for (int i = 0; i < w->group / 2; i++) {
          y[2 * i] = scale * (q[i] & 15) + bias;
          y[2 * i + 1] = scale * (q[i] >> 4) + bias;
        }
      else if (bits == 8)
        for (int i = 0; i < w->group; i++) y[i] = scale * q[i] + bias;
      else
        // Eight codes are `bits` bytes in every width.
        for (int i = 0; i < w->group; i += 8, q += bits) {
          uint64_t word = 0;
          memcpy(&word, q, (size_t)bits);
          for (int j = 0; j < 8; j++) y[i + j] = scale * (word >> bits * j & mask) + bias;
        }
    } else if (w->mode == LULL_MXFP8) {
      float scale = e8m0(w->scales[at]);
      const uint8_t *q = p + g * w->group;
      for (int i = 0; i < w->group; i++) y[i] = scale * e4m3(q[i]);
    } else {
      float scale = w->mode == LULL_NVFP4 ? e4m3(w->scales[at]) : e8m0(w->scales[at]);
      const uint8_t *q = p + g * w->group / 2;
      for (int i = 0; i < w->group / 2; i++) {
        y[2 * i] = scale * e2m1_values[q[i] & 15];
        y[2 * i + 1] = scale * e2m1_values[q[i] >> 4];
      }
    }
  }
}

static void one_row(const LullQuantized *w, int64_t row, float *y) {
  if (w->type < 0) mlx_row(w, row, y);
  else blocks(w->type, w->data + row * w->row_bytes, w->columns, y);
}

void NAME(quant_rows)(const LullQuantized *w, int64_t first, int64_t count, float *out, int64_t stride) {
  for (int64_t i = 0; i < count; i++) one_row(w, first + i, out + i * stride);
}

static inline float sum16(f32x16 v) {
  float s = 0;
  for (int i = 0; i < 16; i++) s += v[i];
  return s;
}

static float dot(const float *a, const float *b, int64_t n) {
  f32x16 s0 = 0, s1 = 0;
  int64_t i = 0;
  for (; i + 32 <= n; i += 32) {
    s0 += *(const f32x16u *)(a + i) * *(const f32x16u *)(b + i);
    s1 += *(const f32x16u *)(a + i + 16) * *(const f32x16u *)(b + i + 16);
  }
  float s = sum16(s0 + s1);
  for (; i < n; i++) s += a[i] * b[i];
  return s;
}

// ---- 16-bit floats -----------------------------------------------------------------------------

// How many rows of a weight are read together, and how many rows of x each of them meets: their sums stay in registers.
#if LEVEL == 2
enum { HALF_ROWS = 4, HALF_XS = 5 };
#else
enum { HALF_ROWS = 2, HALF_XS = 2 };
#endif
enum { HALF_AHEAD = 8192 };  // bytes that are asked for ahead

static inline __attribute__((always_inline)) f32x16 wide16(const uint8_t *p, int type) {
  if (type == LULL_F16) return half16(p);
  typedef uint16_t u16x16 __attribute__((ext_vector_type(16)));
  typedef uint32_t u32x16 __attribute__((ext_vector_type(16)));
  u16x16 bits;
  memcpy(&bits, p, 32);
  u32x16 wide = __builtin_convertvector(bits, u32x16) << 16;
  f32x16 v;
  memcpy(&v, &wide, 64);
  return v;
}

// `rows` rows of the weight from `data` on, times `xs` rows of x.
static inline __attribute__((always_inline)) void half_tile(const uint8_t *data, int64_t row_bytes, int64_t columns, int type,
                                                            int rows, int xs, const float *x, int64_t x_stride, float *y,
                                                            int64_t y_stride) {
  f32x16 sums[HALF_ROWS][HALF_XS];
  for (int r = 0; r < rows; r++)
    for (int i = 0; i < xs; i++) sums[r][i] = 0;
  int64_t c = 0;
  for (; c + 16 <= columns; c += 16) {
    f32x16 w[HALF_ROWS];
    // The hardware's prefetcher stops at each page. (One core: 31 to 40 GB/s for one row of x, 13 to 30 for five.)
    if (c % 32 == 0)
      for (int r = 0; r < rows; r++) __builtin_prefetch(data + r * row_bytes + 2 * c + HALF_AHEAD);
    for (int r = 0; r < rows; r++) w[r] = wide16(data + r * row_bytes + 2 * c, type);
    for (int i = 0; i < xs; i++) {
      f32x16 v = *(const f32x16u *)(x + i * x_stride + c);
      for (int r = 0; r < rows; r++) sums[r][i] += w[r] * v;
    }
  }
  for (int i = 0; i < xs; i++)
    for (int r = 0; r < rows; r++) {
      __typeof__(sums[0][0].lo) a = sums[r][i].lo + sums[r][i].hi;
      __typeof__(a.lo) b = a.lo + a.hi;
      float s = (b[0] + b[2]) + (b[1] + b[3]);
      for (int64_t k = c; k < columns; k++) {
        uint16_t bits = load16(data + r * row_bytes + 2 * k);
        s += x[i * x_stride + k] * (type == LULL_F16 ? half(bits) : as_float((uint32_t)bits << 16));
      }
      y[i * y_stride + r] = s;
    }
}

static inline __attribute__((always_inline)) void half_rows(const uint8_t *data, int64_t row_bytes, int64_t columns, int type,
                                                            int rows, const float *x, int64_t m, int64_t x_stride, float *y,
                                                            int64_t y_stride) {
  for (int64_t i = 0; i < m;) {
    int xs = m - i < HALF_XS ? (int)(m - i) : HALF_XS;
    const float *from = x + i * x_stride;
    float *to = y + i * y_stride;
    switch (xs) {
    case 1: half_tile(data, row_bytes, columns, type, rows, 1, from, x_stride, to, y_stride); break;
    case 2: half_tile(data, row_bytes, columns, type, rows, 2, from, x_stride, to, y_stride); break;
#if LEVEL == 2
    case 3: half_tile(data, row_bytes, columns, type, rows, 3, from, x_stride, to, y_stride); break;
    case 4: half_tile(data, row_bytes, columns, type, rows, 4, from, x_stride, to, y_stride); break;
    default: half_tile(data, row_bytes, columns, type, rows, HALF_XS, from, x_stride, to, y_stride);
#endif
    }
    i += xs;
  }
}

static inline __attribute__((always_inline)) void half_dot(const LullQuantized *w, int type, int64_t first, int64_t count,
                                                           const float *x, int64_t m, int64_t x_stride, float *y,
                                                           int64_t y_stride) {
  int64_t row = first;
  for (; row + HALF_ROWS <= first + count; row += HALF_ROWS)
    half_rows(w->data + row * w->row_bytes, w->row_bytes, w->columns, type, HALF_ROWS, x, m, x_stride, y + row, y_stride);
  for (; row < first + count; row++)
    half_rows(w->data + row * w->row_bytes, w->row_bytes, w->columns, type, 1, x, m, x_stride, y + row, y_stride);
}

void NAME(quant_dot)(const LullQuantized *w, int64_t first, int64_t count, const float *x, int64_t m,
                     int64_t x_stride, float *y, int64_t y_stride, float *scratch) {
  if (w->type == LULL_F16) return half_dot(w, LULL_F16, first, count, x, m, x_stride, y, y_stride);
  if (w->type == LULL_BF16) return half_dot(w, LULL_BF16, first, count, x, m, x_stride, y, y_stride);
  for (int64_t row = first; row < first + count; row++) {
    one_row(w, row, scratch);
    for (int64_t i = 0; i < m; i++) y[i * y_stride + row] = dot(x + i * x_stride, scratch, w->columns);
  }
}
