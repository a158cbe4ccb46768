// The kernels of fast.h, compiled once per instruction set (see quant_impl.h for NAME and LEVEL).
//
// Attention never stores the score matrix: it goes over blocks of keys and keeps, for each query row, the
// running maximum, the running sum of exponentials and the unnormalised output (the "online softmax" of
// Milakov and Gimelshein, used as in FlashAttention). Many rows work on a transposed block of keys; few
// rows (decoding) take dot products with the keys as they lie.
#include <math.h>
#include <string.h>

typedef float f32x16 __attribute__((ext_vector_type(16)));
typedef float f32x16u __attribute__((ext_vector_type(16), aligned(4)));
typedef int32_t i32x16 __attribute__((ext_vector_type(16)));
#include "transpose_impl.h"
#define INLINE static inline __attribute__((always_inline))
#define LOAD(p) (*(const f32x16u *)(p))
#define STORE(p, v) (*(f32x16u *)(p) = (v))

INLINE float add16(f32x16 v) {
  __typeof__(v.lo) a = v.lo + v.hi;
  __typeof__(a.lo) b = a.lo + a.hi;
  return (b[0] + b[2]) + (b[1] + b[3]);
}
INLINE float max16(f32x16 v) {
  __typeof__(v.lo) a = __builtin_elementwise_max(v.lo, v.hi);
  __typeof__(a.lo) b = __builtin_elementwise_max(a.lo, a.hi);
  __typeof__(b.lo) c = __builtin_elementwise_max(b.lo, b.hi);
  return c[0] > c[1] ? c[0] : c[1];
}

// exp for x <= 0: 2^n * p(r), r = x - n ln 2 in [-0.35, 0.35], p of degree 6; below -87 it is 0.
INLINE f32x16 exp_negative(f32x16 x) {
  i32x16 alive = x > -87.0f;
  x = __builtin_elementwise_max(x, (f32x16)-87.0f);
  f32x16 n = __builtin_elementwise_roundeven(x * 1.44269504f);
  f32x16 r = x - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  f32x16 p = 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  i32x16 bits = (__builtin_convertvector(n, i32x16) + 127) << 23;
  f32x16 power;
  memcpy(&power, &bits, 64);
  f32x16 y = p * power;
  i32x16 out;
  memcpy(&out, &y, 64);
  out &= alive;
  memcpy(&y, &out, 64);
  return y;
}

void NAME(rms_norm)(const float *x, int64_t x_stride, const float *weight, float eps, int64_t rows,
                    int64_t n, float *out) {
  for (int64_t row = 0; row < rows; row++, x += x_stride, out += n) {
    f32x16 s0 = 0, s1 = 0;
    int64_t i = 0;
    for (; i + 32 <= n; i += 32) {
      f32x16 a = LOAD(x + i), b = LOAD(x + i + 16);
      s0 += a * a;
      s1 += b * b;
    }
    float s = add16(s0 + s1);
    for (; i < n; i++) s += x[i] * x[i];
    float factor = 1.0f / sqrtf(s / (float)n + eps);
    i = 0;
    if (weight) {
      for (; i + 16 <= n; i += 16) STORE(out + i, LOAD(x + i) * factor * LOAD(weight + i));
      for (; i < n; i++) out[i] = x[i] * factor * weight[i];
    } else {
      for (; i + 16 <= n; i += 16) STORE(out + i, LOAD(x + i) * factor);
      for (; i < n; i++) out[i] = x[i] * factor;
    }
  }
}

void NAME(layer_norm)(const float *x, int64_t x_stride, const float *weight, const float *bias, float eps,
                      int64_t rows, int64_t n, float *out) {
  for (int64_t row = 0; row < rows; row++, x += x_stride, out += n) {
    f32x16 total = 0;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) total += LOAD(x + i);
    float s = add16(total);
    for (; i < n; i++) s += x[i];
    float mean = s / (float)n;
    total = 0;
    for (i = 0; i + 16 <= n; i += 16) {
      f32x16 d = LOAD(x + i) - mean;
      total += d * d;
    }
    s = add16(total);
    for (; i < n; i++) s += (x[i] - mean) * (x[i] - mean);
    float factor = 1.0f / sqrtf(s / (float)n + eps);
    for (i = 0; i + 16 <= n; i += 16) {
      f32x16 v = (LOAD(x + i) - mean) * factor;
      if (weight) v *= LOAD(weight + i);
      if (bias) v += LOAD(bias + i);
      STORE(out + i, v);
    }
    for (; i < n; i++) out[i] = (x[i] - mean) * factor * (weight ? weight[i] : 1) + (bias ? bias[i] : 0);
  }
}

void NAME(rope)(const float *x, const float *cosine, const float *sine, int64_t n, int64_t dims,
                int interleaved, float sign, float *out) {
  int64_t half = dims / 2;
  if (interleaved)
    for (int64_t i = 0; i < half; i++) {
      float a = x[2 * i], b = x[2 * i + 1], c = cosine[i], s = sign * sine[i];
      out[2 * i] = a * c - b * s;
      out[2 * i + 1] = a * s + b * c;
    }
  else
    for (int64_t i = 0; i < half; i++) {
      float a = x[i], b = x[half + i], c = cosine[i], s = sign * sine[i];
      out[i] = a * c - b * s;
      out[half + i] = a * s + b * c;
    }
  if (out != x && n > dims) memcpy(out + dims, x + dims, (size_t)(n - dims) * 4);
}

// ---- Attention ---------------------------------------------------------------------------------

enum { KEYS = 64, ROWS = 4, FEW = 4 };

INLINE int64_t padded(int64_t n) { return (n + 15) / 16 * 16; }

// Applies scale, mask and the causal bound to one row of scores, then folds it into the running softmax:
// s becomes exp(s - max), the running sum and maximum move on; returns the factor for the output so far.
static float fold(const LullAttention *a, int64_t row, int64_t first_key, int64_t count, float *s,
                  float *maximum, float *sum) {
  int64_t head = row / a->queries, query = row % a->queries;
  int64_t visible = count;
  if (a->causal) {
    int64_t last = query + a->keys - a->queries - first_key;  // relative to the block
    visible = last < 0 ? 0 : last + 1 < count ? last + 1 : count;
  }
  for (int64_t j = visible; j < KEYS; j++) s[j] = -INFINITY;
  if (a->mask_kind) {
    int64_t base = head * a->mask_head + query * a->mask_row + first_key * a->mask_key;
    if (a->mask_kind == 1) {
      const float *m = (const float *)a->mask + base;
      for (int64_t j = 0; j < visible; j++) s[j] = s[j] * a->scale + m[j * a->mask_key];
    } else {
      const uint8_t *m = (const uint8_t *)a->mask + base;
      if (a->mask_key == 1)
        for (int64_t j = 0; j < visible; j++) s[j] = m[j] ? s[j] * a->scale : -INFINITY;
      else
        for (int64_t j = 0; j < visible; j++) s[j] = m[j * a->mask_key] ? s[j] * a->scale : -INFINITY;
    }
  } else {
    for (int64_t j = 0; j < KEYS; j += 16) STORE(s + j, LOAD(s + j) * a->scale);
    for (int64_t j = visible; j < KEYS; j++) s[j] = -INFINITY;
  }
  f32x16 high = LOAD(s);
  for (int64_t j = 16; j < KEYS; j += 16) high = __builtin_elementwise_max(high, LOAD(s + j));
  float top = max16(high);
  if (top < *maximum) top = *maximum;
  if (top == -INFINITY) {  // nothing visible yet
    memset(s, 0, KEYS * 4);
    return 1;
  }
  f32x16 total = 0;
  for (int64_t j = 0; j < KEYS; j += 16) {
    f32x16 e = exp_negative(LOAD(s + j) - top);
    STORE(s + j, e);
    total += e;
  }
  float factor = *maximum == -INFINITY ? 0 : exp_negative((f32x16)(*maximum - top))[0];
  *sum = *sum * factor + add16(total);
  *maximum = top;
  return factor;
}

// How many vectors of 16 a row's sums take at a time: those of ROWS rows stay in registers.
#if LEVEL == 2
enum { WIDE = 4 };
#else
enum { WIDE = 1 };
#endif

// scores[r][j] = q[r] . k[j] for a block of keys, from the transposed block kt [dim][KEYS].
INLINE void scores_of_rows(const float *const *q, const float *kt, int64_t dim, float *scores) {
  for (int64_t first = 0; first < KEYS; first += 16 * WIDE) {
    f32x16 c[ROWS][WIDE];
    for (int r = 0; r < ROWS; r++)
      for (int j = 0; j < WIDE; j++) c[r][j] = 0;
    for (int64_t d = 0; d < dim; d++) {
      f32x16 k[WIDE];
      for (int j = 0; j < WIDE; j++) k[j] = LOAD(kt + d * KEYS + first + 16 * j);
      for (int r = 0; r < ROWS; r++)
        for (int j = 0; j < WIDE; j++) c[r][j] += q[r][d] * k[j];
    }
    for (int r = 0; r < ROWS; r++)
      for (int j = 0; j < WIDE; j++) STORE(scores + r * KEYS + first + 16 * j, c[r][j]);
  }
}

// Keys and values lie as 4 or 2 bytes an element; `type` is a constant wherever these are used.
INLINE const char *element(const void *p, int64_t i, int type) {
  return (const char *)p + i * (type == LULL_KV_FLOAT32 ? 4 : 2);
}
INLINE float widened(const void *p, int64_t i, int type) {
  const char *at = element(p, i, type);
  if (type == LULL_KV_FLOAT32) return *(const float *)at;
  uint16_t bits;
  memcpy(&bits, at, 2);
  if (type == LULL_KV_BFLOAT16) {
    uint32_t wide = (uint32_t)bits << 16;
    float x;
    memcpy(&x, &wide, 4);
    return x;
  }
#if LEVEL > 0
  return _cvtsh_ss(bits);
#else
  // The exponent is moved by multiplying, which is right for small numbers without a leading 1, too.
  uint32_t wide = (uint32_t)(bits & 0x7fff) << 13;
  if ((bits & 0x7c00) == 0x7c00) wide |= 0x7f800000;
  float x;
  memcpy(&x, &wide, 4);
  if ((bits & 0x7c00) != 0x7c00) x *= 0x1p112f;
  return bits & 0x8000 ? -x : x;
#endif
}
INLINE f32x16 widened16(const void *p, int64_t i, int type) {
  const char *at = element(p, i, type);
  if (type == LULL_KV_FLOAT32) return LOAD((const float *)at);
#if LEVEL == 2
  if (type == LULL_KV_FLOAT16) return (f32x16)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)at));
#elif LEVEL == 1
  if (type == LULL_KV_FLOAT16) {
    f32x16 x;
    x.lo = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)at));
    x.hi = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(at + 16)));
    return x;
  }
#endif
  typedef uint16_t u16x16 __attribute__((ext_vector_type(16)));
  u16x16 bits;
  memcpy(&bits, at, 32);
  i32x16 wide = __builtin_convertvector(bits, i32x16);
  f32x16 x;
  if (type == LULL_KV_BFLOAT16) {
    wide <<= 16;
    memcpy(&x, &wide, 64);
    return x;
  }
  // As in `widened`.
  i32x16 sign = (wide & 0x8000) << 16, special = (wide & 0x7c00) == 0x7c00;
  wide = (wide & 0x7fff) << 13;
  memcpy(&x, &wide, 64);
  x *= 0x1p112f;
  i32x16 out;
  memcpy(&out, &x, 64);
  out = (special & (wide | 0x7f800000)) | (~special & out) | sign;
  memcpy(&x, &out, 64);
  return x;
}

INLINE void ask(const void *p, int64_t count, int type) {
  for (int64_t i = 0; i < count; i += type == LULL_KV_FLOAT32 ? 16 : 32) __builtin_prefetch(element(p, i, type));
}

// A row of keys or values with the next one `stride` elements after it.
typedef struct {
  const void *data;
  int64_t stride;
} Rows;

// out[r] = out[r] * factor[r] + p[r] . v for some rows and `width` vectors of 16 columns from d on. Asks for the first
// `asked` elements of the rows of `next`.
INLINE void add_columns(int rows, int width, float *const *out, int64_t d, const float *factor, const float *p, Rows v,
                        int64_t count, Rows next, int64_t asked, int type) {
  f32x16 c[ROWS][WIDE];
  for (int r = 0; r < rows; r++)
    for (int j = 0; j < width; j++) c[r][j] = LOAD(out[r] + d + 16 * j) * factor[r];
  for (int64_t key = 0; key < count; key++) {
    f32x16 value[WIDE];
    for (int j = 0; j < width; j++) value[j] = widened16(v.data, key * v.stride + d + 16 * j, type);
    if (asked) ask(element(next.data, key * next.stride, type), asked, type);
    for (int r = 0; r < rows; r++)
      for (int j = 0; j < width; j++) c[r][j] += p[r * KEYS + key] * value[j];
  }
  for (int r = 0; r < rows; r++)
    for (int j = 0; j < width; j++) STORE(out[r] + d + 16 * j, c[r][j]);
}

// All columns, of up to ROWS rows.
INLINE void add_values(int rows, float *const *out, const float *factor, const float *p, Rows v, int64_t count,
                       int64_t columns, Rows next, int64_t asked, int type) {
  int64_t d = 0;
  // Asks for the keys that come next in the first pass, in their order.
  if (asked && 16 * WIDE <= columns) {
    add_columns(rows, WIDE, out, 0, factor, p, v, count, next, asked, type);
    d = 16 * WIDE;
  }
  for (; d + 16 * WIDE <= columns; d += 16 * WIDE) add_columns(rows, WIDE, out, d, factor, p, v, count, next, 0, type);
  for (; d < columns; d += 16) add_columns(rows, 1, out, d, factor, p, v, count, next, 0, type);
}

INLINE void add_rows(int64_t rows, float *const *out, const float *factor, const float *p, Rows v, int64_t count,
                     int64_t columns, Rows next, int64_t asked, int type) {
  switch (rows) {
  case 1: add_values(1, out, factor, p, v, count, columns, next, asked, type); break;
  case 2: add_values(2, out, factor, p, v, count, columns, next, asked, type); break;
  case 3: add_values(3, out, factor, p, v, count, columns, next, asked, type); break;
  default: add_values(ROWS, out, factor, p, v, count, columns, next, asked, type);
  }
}

// Dot products of up to FEW queries with 4 keys, out[r][0 ..< 4], summed across lanes together.
INLINE void dot4(int rows, const float *const *q, Rows k, int64_t dim, float *out, int type) {
  f32x16 s[FEW][4];
  for (int r = 0; r < rows; r++)
    for (int j = 0; j < 4; j++) s[r][j] = 0;
  int64_t d = 0;
  for (; d + 16 <= dim; d += 16)
    for (int j = 0; j < 4; j++) {
      f32x16 key = widened16(k.data, j * k.stride + d, type);
      for (int r = 0; r < rows; r++) s[r][j] += key * LOAD(q[r] + d);
    }
  for (int r = 0; r < rows; r++, out += KEYS) {
    __typeof__(s[0][0].lo) h[4];
    for (int j = 0; j < 4; j++) h[j] = s[r][j].lo + s[r][j].hi;
#define PAIR(a, b)                                                                                     \
  (__builtin_shufflevector(a, b, 0, 2, 8, 10, 4, 6, 12, 14) + __builtin_shufflevector(a, b, 1, 3, 9, 11, 5, 7, 13, 15))
    __typeof__(h[0]) a = PAIR(h[0], h[1]), b = PAIR(h[2], h[3]), c = PAIR(a, b);
#undef PAIR
    __typeof__(c.lo) sums = c.lo + c.hi;
    for (int j = 0; j < 4; j++) out[j] = sums[j];
    for (int64_t i = d; i < dim; i++)
      for (int j = 0; j < 4; j++) out[j] += q[r][i] * widened(k.data, j * k.stride + i, type);
  }
}

// Scores of up to FEW queries with n keys. One query has too little to do for the hardware to see what comes: asks for
// the first `asked` of the values. `wide` has room for 4 keys.
INLINE void scores_of_few(int rows, const float *const *q, Rows k, int64_t n, int64_t dim, Rows v, int64_t asked,
                          float *scores, float *wide, int type) {
  int64_t j = 0;
  for (; j + 4 <= n; j += 4) {
    for (int i = 0; i < 4; i++) ask(element(v.data, (j + i) * v.stride, type), asked, type);
    Rows keys = {element(k.data, j * k.stride, type), k.stride};
#if LEVEL == 2
    dot4(rows, q, keys, dim, scores + j, type);
#else
    // There are registers for the sums of one query only.
    if (rows > 1 && type != LULL_KV_FLOAT32) {
      for (int i = 0; i < 4; i++) {
        int64_t d = 0;
        for (; d + 16 <= dim; d += 16) STORE(wide + i * dim + d, widened16(keys.data, i * k.stride + d, type));
        for (; d < dim; d++) wide[i * dim + d] = widened(keys.data, i * k.stride + d, type);
      }
      keys = (Rows){wide, dim};
      for (int r = 0; r < rows; r++) dot4(1, q + r, keys, dim, scores + r * KEYS + j, LULL_KV_FLOAT32);
    } else {
      for (int r = 0; r < rows; r++) dot4(1, q + r, keys, dim, scores + r * KEYS + j, type);
    }
#endif
  }
  for (; j < n; j++)
    for (int r = 0; r < rows; r++) {
      float s = 0;
      for (int64_t d = 0; d < dim; d++) s += q[r][d] * widened(k.data, j * k.stride + d, type);
      scores[r * KEYS + j] = s;
    }
}

// Scratch: kt [dim][KEYS], padded values [KEYS][vpad] when needed, scores [rows][KEYS], out [rows][vpad].
INLINE void attention(const LullAttention *a, int64_t first, int64_t count, float *scratch, int type) {
  int64_t vpad = padded(a->value_dim), padded_rows = (count + ROWS - 1) / ROWS * ROWS;
  // Many rows read a block of values often: it is widened once.
  int copies_values = a->value_dim % 16 != 0 || (type != LULL_KV_FLOAT32 && count > FEW);
  float *kt = scratch;
  float *values = kt + a->dim * KEYS;
  float *scores = values + (copies_values ? KEYS * vpad : 0);
  float *out = scores + padded_rows * KEYS;
  float maximum[LULL_ATTENTION_ROWS + ROWS], sum[LULL_ATTENTION_ROWS + ROWS];
  float factor[LULL_ATTENTION_ROWS + ROWS];
  const float *q[LULL_ATTENTION_ROWS + ROWS];
  float *rows[LULL_ATTENTION_ROWS + ROWS];
  int64_t last_key = 0;  // keys past this are hidden from every row
  for (int64_t r = 0; r < padded_rows; r++) {
    int64_t row = first + (r < count ? r : count - 1);
    int64_t head = row / a->queries, query = row % a->queries;
    q[r] = a->q + head * a->q_head + query * a->q_row;
    rows[r] = out + r * vpad;
    maximum[r] = a->sinks ? a->sinks[head * a->sink_head] : -INFINITY;
    sum[r] = maximum[r] == -INFINITY ? 0 : 1;
    factor[r] = 1;
    int64_t visible = a->causal ? query + a->keys - a->queries + 1 : a->keys;
    if (visible > a->keys) visible = a->keys;
    // A cache has room for more keys than there are yet: a mask that hides them ends with zeros.
    if (a->mask_kind == 2 && count <= FEW) {
      const uint8_t *mask = (const uint8_t *)a->mask + head * a->mask_head + query * a->mask_row;
      while (visible > 0 && !mask[(visible - 1) * a->mask_key]) visible--;
    }
    if (visible > last_key) last_key = visible;
  }
  memset(out, 0, (size_t)(padded_rows * vpad) * 4);
  memset(scores, 0, (size_t)(padded_rows * KEYS) * 4);
  for (int64_t key = 0; key < last_key; key += KEYS) {
    int64_t n = last_key - key < KEYS ? last_key - key : KEYS;
    Rows k = {element(a->k, key * a->k_row, type), a->k_row}, v = {element(a->v, key * a->v_row, type), a->v_row};
    if (count <= FEW) {
      switch (count) {
      case 1: scores_of_few(1, q, k, n, a->dim, v, a->value_dim, scores, kt, type); break;
      case 2: scores_of_few(2, q, k, n, a->dim, v, a->value_dim, scores, kt, type); break;
      case 3: scores_of_few(3, q, k, n, a->dim, v, a->value_dim, scores, kt, type); break;
      default: scores_of_few(4, q, k, n, a->dim, v, a->value_dim, scores, kt, type);
      }
    } else {
      if (type == LULL_KV_FLOAT32)
        NAME(transpose_)((char *)kt, KEYS * 4, k.data, k.stride * 4, a->dim, n);
      else
        for (int64_t j = 0; j < n; j++)
          for (int64_t d = 0; d < a->dim; d++) kt[d * KEYS + j] = widened(k.data, j * k.stride + d, type);
      if (n < KEYS)
        for (int64_t d = 0; d < a->dim; d++) memset(kt + d * KEYS + n, 0, (size_t)(KEYS - n) * 4);
      for (int64_t r = 0; r < padded_rows; r += ROWS)
        scores_of_rows(q + r, kt, a->dim, scores + r * KEYS);
    }
    // A block's tail is hidden by treating it as outside `count` in fold.
    for (int64_t r = 0; r < count; r++)
      factor[r] = fold(a, first + r, key, n, scores + r * KEYS, &maximum[r], &sum[r]);
    if (copies_values) {
      for (int64_t j = 0; j < n; j++) {
        float *to = values + j * vpad;
        int64_t d = 0;
        for (; d + 16 <= a->value_dim; d += 16) STORE(to + d, widened16(v.data, j * v.stride + d, type));
        for (; d < a->value_dim; d++) to[d] = widened(v.data, j * v.stride + d, type);
        for (; d < vpad; d++) to[d] = 0;
      }
      v = (Rows){values, vpad};
    }
    int64_t asked = !copies_values && count <= FEW && key + KEYS < last_key ? a->dim : 0;
    Rows next = {element(k.data, asked ? KEYS * k.stride : 0, type), k.stride};
    for (int64_t r = 0; r < count; r += ROWS) {
      float *const *o = (float *const *)rows + r;
      const float *f = factor + r, *p = scores + r * KEYS;
      int64_t several = count - r < ROWS ? count - r : ROWS;
      if (copies_values) add_rows(several, o, f, p, v, n, vpad, next, 0, LULL_KV_FLOAT32);
      else add_rows(several, o, f, p, v, n, vpad, next, asked, type);
    }
  }
  for (int64_t r = 0; r < count; r++) {
    int64_t row = first + r, head = row / a->queries, query = row % a->queries;
    float *to = a->out + head * a->out_head + query * a->out_row;
    if (a->state) {
      memcpy(to, rows[r], (size_t)a->value_dim * 4);
      a->state[2 * row] = maximum[r];
      a->state[2 * row + 1] = sum[r];
      continue;
    }
    if (sum[r] == 0 && (a->causal || a->mask_kind == 2)) {  // all keys hidden: all weigh the same
      memset(rows[r], 0, (size_t)a->value_dim * 4);
      for (int64_t j = 0; j < a->keys; j++)
        for (int64_t d = 0; d < a->value_dim; d++) rows[r][d] += widened(a->v, j * a->v_row + d, type);
      sum[r] = (float)a->keys;
    }
    float inverse = 1.0f / sum[r];  // every score -inf: 0/0, NaN, as softmax says
    for (int64_t d = 0; d < a->value_dim; d++) to[d] = rows[r][d] * inverse;
  }
}

void NAME(attention)(const LullAttention *a, int64_t first, int64_t count, float *scratch) {
  switch (a->kv_type) {
  case LULL_KV_FLOAT16: attention(a, first, count, scratch, LULL_KV_FLOAT16); break;
  case LULL_KV_BFLOAT16: attention(a, first, count, scratch, LULL_KV_BFLOAT16); break;
  default: attention(a, first, count, scratch, LULL_KV_FLOAT32);
  }
}
