// Sorting (sorting.h): every dtype becomes an unsigned key whose order is the wanted one, keys are
// sorted (by a vector quicksort with AVX-512, else by least-significant-digit radix passes or, when
// short, by merging), and mapped back. Indices ride in the low half of 64-bit keys, which makes
// them stable. One long row is first split into pieces that the workers sort.
#include "Kernels.h"
#include "sorting_internal.h"
#include <string.h>

static inline uint32_t key_f32(uint32_t u) {
  if ((u & 0x7fffffff) > 0x7f800000) return UINT32_MAX;
  return u ^ ((uint32_t)((int32_t)u >> 31) | 0x80000000u);
}
static inline uint32_t unkey_f32(uint32_t k) {
  return k ^ ((k >> 31) ? 0x80000000u : 0xffffffffu);
}
static inline uint64_t key_f64(uint64_t u) {
  if ((u & 0x7fffffffffffffffull) > 0x7ff0000000000000ull) return UINT64_MAX;
  return u ^ ((uint64_t)((int64_t)u >> 63) | 0x8000000000000000ull);
}
static inline uint64_t unkey_f64(uint64_t k) {
  return k ^ ((k >> 63) ? 0x8000000000000000ull : ~0ull);
}

// Keys order -0 before 0. Where equal values must keep their order, or what lies behind them decides, both are 0.
static inline uint32_t one_zero32(uint32_t u) { return u == 0x80000000u ? 0 : u; }
static inline uint64_t one_zero64(uint64_t u) { return u == 0x8000000000000000ull ? 0 : u; }

static uint64_t load_key(const char *x, int64_t i, int dtype) {
  switch (dtype) {
  case lullBool: case lullUInt8: return ((const uint8_t *)x)[i];
  case lullUInt16: return ((const uint16_t *)x)[i];
  case lullUInt32: return ((const uint32_t *)x)[i];
  case lullUInt64: return ((const uint64_t *)x)[i];
  case lullInt8: return (uint8_t)(((const uint8_t *)x)[i] ^ 0x80);
  case lullInt16: return (uint16_t)(((const uint16_t *)x)[i] ^ 0x8000);
  case lullInt32: return ((const uint32_t *)x)[i] ^ 0x80000000u;
  case lullInt64: return ((const uint64_t *)x)[i] ^ 0x8000000000000000ull;
  case lullFloat16: {
    uint16_t u = ((const uint16_t *)x)[i];
    if ((u & 0x7fff) > 0x7c00) return 0xffff;
    return (uint16_t)(u ^ ((u & 0x8000) ? 0xffff : 0x8000));
  }
  case lullBFloat16: {
    uint16_t u = ((const uint16_t *)x)[i];
    if ((u & 0x7fff) > 0x7f80) return 0xffff;
    return (uint16_t)(u ^ ((u & 0x8000) ? 0xffff : 0x8000));
  }
  case lullFloat32: return key_f32(((const uint32_t *)x)[i]);
  case lullFloat64: return key_f64(((const uint64_t *)x)[i]);
  default: {
    const uint32_t *c = (const uint32_t *)x + 2 * i;
    uint32_t re = key_f32(one_zero32(c[0])), im = key_f32(one_zero32(c[1]));
    if (re == UINT32_MAX || im == UINT32_MAX) return UINT64_MAX;
    return (uint64_t)re << 32 | im;
  }
  }
}
// The key for a sort that must be stable.
static uint64_t load_tied_key(const char *x, int64_t i, int dtype) {
  if ((dtype == lullFloat16 || dtype == lullBFloat16) && ((const uint16_t *)x)[i] == 0x8000) return 0x8000;
  if (dtype == lullFloat64) return key_f64(one_zero64(((const uint64_t *)x)[i]));
  return load_key(x, i, dtype);
}
static void store_key(char *d, int64_t i, uint64_t k, int dtype) {
  switch (dtype) {
  case lullBool: case lullUInt8: ((uint8_t *)d)[i] = k; break;
  case lullUInt16: ((uint16_t *)d)[i] = k; break;
  case lullUInt32: ((uint32_t *)d)[i] = k; break;
  case lullUInt64: ((uint64_t *)d)[i] = k; break;
  case lullInt8: ((uint8_t *)d)[i] = k ^ 0x80; break;
  case lullInt16: ((uint16_t *)d)[i] = k ^ 0x8000; break;
  case lullInt32: ((uint32_t *)d)[i] = (uint32_t)k ^ 0x80000000u; break;
  case lullInt64: ((uint64_t *)d)[i] = k ^ 0x8000000000000000ull; break;
  case lullFloat16: case lullBFloat16:
    ((uint16_t *)d)[i] = (k & 0x8000) ? k ^ 0x8000 : k ^ 0xffff; break;
  case lullFloat32: ((uint32_t *)d)[i] = unkey_f32(k); break;
  case lullFloat64: ((uint64_t *)d)[i] = unkey_f64(k); break;
  default:
    ((uint32_t *)d)[2 * i] = unkey_f32(k >> 32);
    ((uint32_t *)d)[2 * i + 1] = unkey_f32((uint32_t)k);
  }
}

typedef struct { uint64_t key; uint32_t index, pad; } Pair;
// complex128: its parts are two keys, both the largest for a nan.
typedef struct { uint64_t high, low; int64_t index; } Twin;

static Twin load_twin(const char *x, int64_t i) {
  const uint64_t *c = (const uint64_t *)x + 2 * i;
  Twin t = {key_f64(one_zero64(c[0])), key_f64(one_zero64(c[1])), i};
  if (t.high == UINT64_MAX || t.low == UINT64_MAX) t.high = t.low = UINT64_MAX;
  return t;
}

// Each sorter sorts a[0..n) with b as scratch; the result is left in a.
#define SORTER(name, T, KEY, DIGITS, BITS)                                                  \
  static void merge_##name(T *a, T *b, int64_t n) {                                         \
    for (int64_t s = 0; s < n; s += 16) {                                                   \
      int64_t e = s + 16 < n ? s + 16 : n;                                                  \
      for (int64_t i = s + 1; i < e; ++i) {                                                 \
        T v = a[i];                                                                         \
        int64_t j = i;                                                                      \
        for (; j > s && KEY(a[j - 1]) > KEY(v); --j) a[j] = a[j - 1];                       \
        a[j] = v;                                                                           \
      }                                                                                     \
    }                                                                                       \
    T *from = a, *to = b;                                                                   \
    for (int64_t w = 16; w < n; w *= 2) {                                                   \
      for (int64_t s = 0; s < n; s += 2 * w) {                                              \
        int64_t m = s + w < n ? s + w : n, e = s + 2 * w < n ? s + 2 * w : n;               \
        int64_t i = s, j = m, k = s;                                                        \
        while (i < m && j < e) {                                                            \
          if (KEY(from[j]) < KEY(from[i])) to[k++] = from[j++];                             \
          else to[k++] = from[i++];                                                         \
        }                                                                                   \
        while (i < m) to[k++] = from[i++];                                                  \
        while (j < e) to[k++] = from[j++];                                                  \
      }                                                                                     \
      T *t = from; from = to; to = t;                                                       \
    }                                                                                       \
    if (from != a) memcpy(a, from, n * sizeof(T));                                          \
  }                                                                                         \
  static void radix_##name(T *a, T *b, int64_t n) {                                         \
    enum { buckets = 1 << BITS };                                                           \
    if (n < 512) { merge_##name(a, b, n); return; }                                         \
    uint32_t counts[DIGITS][buckets];                                                       \
    memset(counts, 0, sizeof counts);                                                       \
    for (int64_t i = 0; i < n; ++i)                                                         \
      for (int d = 0; d < DIGITS; ++d) counts[d][KEY(a[i]) >> (d * BITS) & (buckets - 1)]++; \
    T *from = a, *to = b;                                                                   \
    for (int d = 0; d < DIGITS; ++d) {                                                      \
      uint32_t *c = counts[d];                                                              \
      if (c[KEY(a[0]) >> (d * BITS) & (buckets - 1)] == n) continue;                        \
      uint32_t at = 0;                                                                      \
      for (int k = 0; k < buckets; ++k) { uint32_t next = at + c[k]; c[k] = at; at = next; } \
      for (int64_t i = 0; i < n; ++i)                                                       \
        to[c[KEY(from[i]) >> (d * BITS) & (buckets - 1)]++] = from[i];                      \
      T *t = from; from = to; to = t;                                                       \
    }                                                                                       \
    if (from != a) memcpy(a, from, n * sizeof(T));                                          \
  }
#define PLAIN(x) (x)
#define HIGH(x) ((x) >> 32)
#define KEYOF(x) ((x).key)
#define TWIN(x) ((unsigned __int128)(x).high << 64 | (x).low)
SORTER(u32, uint32_t, PLAIN, 3, 11)
SORTER(u64, uint64_t, PLAIN, 8, 8)
SORTER(indexed, uint64_t, HIGH, 3, 11)
SORTER(pair, Pair, KEYOF, 8, 8)
SORTER(twin, Twin, TWIN, 16, 8)

void lull_radix_u32(uint32_t *a, uint32_t *b, int64_t n) { radix_u32(a, b, n); }
void lull_radix_u64(uint64_t *a, uint64_t *b, int64_t n) { radix_u64(a, b, n); }

static int has_vectors(void) {
#if defined(__x86_64__)
  return lull_simd_level() >= 1;
#else
  return 0;
#endif
}
#if defined(__x86_64__)
#define BY_LEVEL(f, a, n, b) (lull_simd_level() == 2 ? f##_avx512(a, n, b) : f##_avx2(a, n, b))
#endif
static void sort_u32(uint32_t *a, uint32_t *b, int64_t n) {
#if defined(__x86_64__)
  if (has_vectors()) { BY_LEVEL(lull_quicksort_u32, a, n, b); return; }
#endif
  radix_u32(a, b, n);
}
static void sort_u64(uint64_t *a, uint64_t *b, int64_t n) {
#if defined(__x86_64__)
  if (has_vectors()) { BY_LEVEL(lull_quicksort_u64, a, n, b); return; }
#endif
  radix_u64(a, b, n);
}
// Four lanes of 8 bytes gain nothing over three passes by digits.
static void sort_indexed(uint64_t *a, uint64_t *b, int64_t n) {
#if defined(__x86_64__)
  if (lull_simd_level() == 2) { lull_quicksort_u64_avx512(a, n, b); return; }
#endif
  radix_indexed(a, b, n);
}

typedef struct {
  char *values;
  uint32_t *indices;
  const char *x;
  int dtype;
  int64_t rows, n, each, slot;
  char *scratch;
} Sort;

// What the keys of a row are: 4 bytes, 8 bytes (indices in the low half, or wide values), pairs, or twins.
enum { narrow, wide, indexed, paired, twinned };
static int kind_of(const Sort *s) {
  if (s->dtype == lullComplex128) return twinned;
  int isWide = lull_dtype_size(s->dtype) > 4;
  return s->indices ? isWide ? paired : indexed : isWide ? wide : narrow;
}

static void make_keys(const Sort *s, const char *x, void *keys, int64_t from, int64_t to) {
  int kind = kind_of(s);
  if (kind == narrow) {
    uint32_t *a = keys;
    if (s->dtype == lullFloat32)
      for (int64_t i = from; i < to; ++i) a[i] = key_f32(((const uint32_t *)x)[i]);
    else
      for (int64_t i = from; i < to; ++i) a[i] = (uint32_t)load_key(x, i, s->dtype);
  } else if (kind == indexed) {
    uint64_t *a = keys;
    if (s->dtype == lullFloat32)
      for (int64_t i = from; i < to; ++i) a[i] = (uint64_t)key_f32(one_zero32(((const uint32_t *)x)[i])) << 32 | (uint32_t)i;
    else
      for (int64_t i = from; i < to; ++i) a[i] = load_tied_key(x, i, s->dtype) << 32 | (uint32_t)i;
  } else if (kind == wide) {
    uint64_t *a = keys;
    for (int64_t i = from; i < to; ++i) a[i] = load_key(x, i, s->dtype);
  } else if (kind == twinned) {
    Twin *a = keys;
    for (int64_t i = from; i < to; ++i) a[i] = load_twin(x, i);
  } else {
    Pair *a = keys;
    for (int64_t i = from; i < to; ++i) a[i] = (Pair){load_tied_key(x, i, s->dtype), (uint32_t)i, 0};
  }
}

static void use_keys(const Sort *s, int64_t row, const void *keys, int64_t from, int64_t to) {
  int kind = kind_of(s), size = lull_dtype_size(s->dtype);
  uint32_t *out = s->indices ? s->indices + row * s->n : NULL;
  char *d = s->values ? s->values + row * s->n * size : NULL;
  const char *x = s->x + row * s->n * size;
  if (kind == twinned) {
    const Twin *t = keys;
    for (int64_t i = from; i < to; ++i) {
      if (out) out[i] = (uint32_t)t[i].index;
      else memcpy(d + i * size, x + t[i].index * size, (size_t)size);
    }
  } else if (kind == indexed) {
    for (int64_t i = from; i < to; ++i) out[i] = (uint32_t)((const uint64_t *)keys)[i];
  } else if (kind == paired) {
    for (int64_t i = from; i < to; ++i) out[i] = ((const Pair *)keys)[i].index;
  } else if (kind == wide) {
    for (int64_t i = from; i < to; ++i) store_key(d, i, ((const uint64_t *)keys)[i], s->dtype);
  } else if (s->dtype == lullFloat32) {
    for (int64_t i = from; i < to; ++i) ((uint32_t *)d)[i] = unkey_f32(((const uint32_t *)keys)[i]);
  } else {
    for (int64_t i = from; i < to; ++i) store_key(d, i, ((const uint32_t *)keys)[i], s->dtype);
  }
}

static void sort_row(const Sort *s, int64_t row, char *scratch) {
  int64_t n = s->n;
  make_keys(s, s->x + row * n * lull_dtype_size(s->dtype), scratch, 0, n);
  switch (kind_of(s)) {
  case narrow: sort_u32((uint32_t *)scratch, (uint32_t *)scratch + n, n); break;
  case wide: sort_u64((uint64_t *)scratch, (uint64_t *)scratch + n, n); break;
  case indexed: sort_indexed((uint64_t *)scratch, (uint64_t *)scratch + n, n); break;
  case paired: radix_pair((Pair *)scratch, (Pair *)scratch + n, n); break;
  default: radix_twin((Twin *)scratch, (Twin *)scratch + n, n);
  }
  use_keys(s, row, scratch, 0, n);
}

#if defined(__x86_64__)
// One long row: the pieces between the bounds are halved in parallel until there are enough of
// them, then sorted in parallel. A piece's part of the scratch has room for its slack.
enum { maxPieces = 64, keyChunk = 1 << 16 };
typedef struct {
  const Sort *sort;
  int64_t row;
  char *keys, *rest;
  int size;  // bytes of a key
  int pieces;
  int64_t bounds[maxPieces + 1], cuts[maxPieces];
} LongRow;

static void keys_chunk(void *context, int64_t chunk, int worker) {
  const LongRow *r = context;
  const Sort *s = r->sort;
  int64_t from = chunk * keyChunk, to = from + keyChunk < s->n ? from + keyChunk : s->n;
  make_keys(s, s->x + r->row * s->n * lull_dtype_size(s->dtype), r->keys, from, to);
}
static void results_chunk(void *context, int64_t chunk, int worker) {
  const LongRow *r = context;
  int64_t from = chunk * keyChunk, to = from + keyChunk < r->sort->n ? from + keyChunk : r->sort->n;
  use_keys(r->sort, r->row, r->keys, from, to);
}
static void split_chunk(void *context, int64_t i, int worker) {
  LongRow *r = context;
  int64_t from = r->bounds[i], n = r->bounds[i + 1] - from;
  char *a = r->keys + from * r->size, *b = r->rest + (from + i * lullSortSlack) * r->size;
  if (n <= r->sort->n / 16 || n < 1024) r->cuts[i] = n;
  else if (r->size == 4) r->cuts[i] = BY_LEVEL(lull_partition_u32, (uint32_t *)a, n, (uint32_t *)b);
  else r->cuts[i] = BY_LEVEL(lull_partition_u64, (uint64_t *)a, n, (uint64_t *)b);
}
static void piece_chunk(void *context, int64_t i, int worker) {
  LongRow *r = context;
  int64_t from = r->bounds[i], n = r->bounds[i + 1] - from;
  char *a = r->keys + from * r->size, *b = r->rest + (from + i * lullSortSlack) * r->size;
  if (r->size == 4) sort_u32((uint32_t *)a, (uint32_t *)b, n);
  else if (r->sort->indices) sort_indexed((uint64_t *)a, (uint64_t *)b, n);
  else sort_u64((uint64_t *)a, (uint64_t *)b, n);
}

static void sort_long_row(const Sort *s, int64_t row, char *scratch) {
  LongRow r = {s, row, scratch, NULL, kind_of(s) == narrow ? 4 : 8, 1, {0, s->n}, {0}};
  r.rest = scratch + s->n * r.size;
  int64_t chunks = (s->n + keyChunk - 1) / keyChunk;
  lull_parallel_for(chunks, keys_chunk, &r);
  for (int level = 0; level < 5; ++level) {
    lull_parallel_for(r.pieces, split_chunk, &r);
    int64_t bounds[maxPieces + 1];
    int count = 0;
    for (int i = 0; i < r.pieces; ++i) {
      int64_t from = r.bounds[i], n = r.bounds[i + 1] - from;
      bounds[count++] = from;
      if (r.cuts[i] > 0 && r.cuts[i] < n) bounds[count++] = from + r.cuts[i];
    }
    bounds[count] = s->n;
    memcpy(r.bounds, bounds, sizeof bounds);
    if (count == r.pieces) break;
    r.pieces = count;
  }
  lull_parallel_for(r.pieces, piece_chunk, &r);
  lull_parallel_for(chunks, results_chunk, &r);
}
#endif

static void sort_chunk(void *context, int64_t chunk, int worker) {
  const Sort *s = context;
  int64_t to = (chunk + 1) * s->each;
  for (int64_t row = chunk * s->each; row < to && row < s->rows && !lull_interrupt_stops(); ++row)
    sort_row(s, row, s->scratch + worker * s->slot);
}

// Twins take 48 bytes an element, the rest at most 32.
static int64_t row_bytes(int64_t n, int dtype) { return n * (dtype == lullComplex128 ? 48 : 32) + 65536; }
int64_t lull_sort_scratch(int64_t n, int dtype, int threads) { return row_bytes(n, dtype) * threads; }

void lull_sort(void *values, uint32_t *indices, const void *x, int dtype, int64_t rows, int64_t n,
               void *scratch) {
  Sort s = {values, indices, x, dtype, rows, n, 1, row_bytes(n, dtype), scratch};
#if defined(__x86_64__)
  if (n >= 1 << 17 && rows < 4 && has_vectors() && kind_of(&s) < paired && lull_thread_count() > 1) {
    for (int64_t row = 0; row < rows && !lull_interrupt_stops(); ++row) sort_long_row(&s, row, scratch);
    return;
  }
#endif
  s.each = n < 16384 ? 16384 / (n + 1) + 1 : 1;
  if (rows * n < 16384) s.each = rows;
  lull_parallel_for((rows + s.each - 1) / s.each, sort_chunk, &s);
}

void lull_search_sorted(uint32_t *out, const double *sorted, int64_t n, const double *values,
                        int64_t count, int right) {
  for (int64_t i = 0; i < count; ++i) {
    double v = values[i];
    int64_t low = 0, high = n;
    while (low < high) {
      int64_t mid = low + (high - low) / 2;
      double m = sorted[mid];
      // NaN sorts last.
      int before = right ? (m <= v || v != v) : (m < v || (v != v && m == m));
      if (before) low = mid + 1; else high = mid;
    }
    out[i] = (uint32_t)low;
  }
}
