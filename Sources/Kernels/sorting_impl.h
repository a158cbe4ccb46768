// Quicksort with vectors: a vector of keys is split by one comparison and two compressions, and short
// pieces go through a bitonic network in registers. The pivot is the median of one vector of samples; a
// piece whose pivots stay bad is left to the radix sort.
//
// Included by a level that defines for S = u32 and u64: S_lanes; S_permute(x, by), lane i ^ by; S_min,
// S_max; S_upper(a, b, d), b in the lanes whose bit d is set; S_below and S_notAbove, bits of lanes;
// S_compress(bits, x), those lanes to the front; S_all; S_load(fill, n, a) and S_store(a, n, x), at most n lanes.
#include <string.h>

#define SORT(T, S)                                                                          \
  /* Compares lane i with lane i ^ by; the lanes that hold bit d keep the larger. */        \
  INLINE V S##_exchange(V x, int by, int d) {                                   \
    V y = S##_permute(x, by);                                                         \
    return S##_upper(S##_min(x, y), S##_max(x, y), d);                     \
  }                                                                                         \
  INLINE V S##_clean(V x) {                                                     \
    if (S##_lanes == 16) x = S##_exchange(x, 8, 8);                                         \
    if (S##_lanes >= 8) x = S##_exchange(x, 4, 4);                                          \
    x = S##_exchange(x, 2, 2);                                                              \
    return S##_exchange(x, 1, 1);                                                           \
  }                                                                                         \
  INLINE V S##_sortVector(V x) {                                                \
    x = S##_exchange(x, 1, 1);                                                              \
    x = S##_exchange(x, 3, 2);                                                              \
    x = S##_exchange(x, 1, 1);                                                              \
    if (S##_lanes >= 8) {                                                                   \
      x = S##_exchange(x, 7, 4);                                                            \
      x = S##_exchange(x, 2, 2);                                                            \
      x = S##_exchange(x, 1, 1);                                                            \
    }                                                                                       \
    if (S##_lanes == 16) {                                                                  \
      x = S##_exchange(x, 15, 8);                                                           \
      x = S##_exchange(x, 4, 4);                                                            \
      x = S##_exchange(x, 2, 2);                                                            \
      x = S##_exchange(x, 1, 1);                                                            \
    }                                                                                       \
    return x;                                                                               \
  }                                                                                         \
  INLINE void S##_network(V *x, const int count) {                                    \
    _Pragma("unroll") for (int i = 0; i < count; ++i) x[i] = S##_sortVector(x[i]);          \
    _Pragma("unroll") for (int w = 1; w < count; w *= 2) {                                  \
      _Pragma("unroll") for (int g = 0; g < count; g += 2 * w) {                            \
        V y[8];                                                                       \
        _Pragma("unroll") for (int j = 0; j < w; ++j) {                                     \
          V b = S##_permute(x[g + 2 * w - 1 - j], S##_lanes - 1);                     \
          y[j] = S##_min(x[g + j], b);                                                      \
          y[w + j] = S##_max(x[g + j], b);                                                  \
        }                                                                                   \
        _Pragma("unroll") for (int j = 0; j < 2 * w; ++j) x[g + j] = y[j];                  \
        _Pragma("unroll") for (int d = w / 2; d >= 1; d /= 2)                               \
          _Pragma("unroll") for (int i = 0; i < 2 * w; ++i)                                 \
            if (!(i & d)) {                                                                 \
              V a = x[g + i], b = x[g + i + d];                                       \
              x[g + i] = S##_min(a, b);                                                     \
              x[g + i + d] = S##_max(a, b);                                                 \
            }                                                                               \
        _Pragma("unroll") for (int j = 0; j < 2 * w; ++j) x[g + j] = S##_clean(x[g + j]);   \
      }                                                                                     \
    }                                                                                       \
  }                                                                                         \
  INLINE void S##_short(T *a, int64_t n, const int count) {                                 \
    V x[8];                                                                                 \
    _Pragma("unroll") for (int i = 0; i < count; ++i)                                       \
      x[i] = S##_load(S##_all(~(T)0), n - i * S##_lanes, a + i * S##_lanes);                \
    S##_network(x, count);                                                                  \
    _Pragma("unroll") for (int i = 0; i < count; ++i)                                       \
      S##_store(a + i * S##_lanes, n - i * S##_lanes, x[i]);                                \
  }                                                                                         \
  static TARGET void S##_base(T *a, int64_t n) {                                            \
    if (n <= S##_lanes) S##_short(a, n, 1);                                                 \
    else if (n <= 2 * S##_lanes) S##_short(a, n, 2);                                        \
    else if (n <= 4 * S##_lanes) S##_short(a, n, 4);                                        \
    else S##_short(a, n, 8);                                                                \
  }                                                                                         \
  /* Keys below the pivot (or not above it) move to the front, the others behind them. */   \
  INLINE int64_t S##_split(T *a, int64_t n, T pivot, T *high, const int inclusive) {        \
    V p = S##_all(pivot);                                                                   \
    int64_t low = 0, up = 0, i = 0;                                                         \
    const unsigned every = (1u << S##_lanes) - 1;                                           \
    for (; i + S##_lanes <= n; i += S##_lanes) {                                            \
      V x = VECTOR_LOAD(a + i);                                                             \
      unsigned m = inclusive ? S##_notAbove(x, p) : S##_below(x, p);                        \
      int64_t count = __builtin_popcount(m);                                                \
      VECTOR_STORE(a + low, S##_compress(m, x));                                            \
      VECTOR_STORE(high + up, S##_compress(~m & every, x));                                 \
      low += count;                                                                         \
      up += S##_lanes - count;                                                              \
    }                                                                                       \
    if (i < n) {                                                                            \
      unsigned valid = (1u << (n - i)) - 1;                                                 \
      V x = S##_load(p, n - i, a + i);                                                      \
      unsigned m = (inclusive ? S##_notAbove(x, p) : S##_below(x, p)) & valid;              \
      int64_t count = __builtin_popcount(m);                                                \
      S##_store(a + low, count, S##_compress(m, x));                                        \
      VECTOR_STORE(high + up, S##_compress(~m & valid, x));                                 \
      low += count;                                                                         \
      up += n - i - count;                                                                  \
    }                                                                                       \
    memcpy(a + low, high, (size_t)up * sizeof(T));                                          \
    return low;                                                                             \
  }                                                                                         \
  INLINE T S##_pivot(const T *a, int64_t n) {                                               \
    T samples[S##_lanes];                                                                   \
    int64_t step = n / S##_lanes;                                                           \
    for (int i = 0; i < S##_lanes; ++i) samples[i] = a[i * step + (step >> 1)];             \
    S##_base(samples, S##_lanes);                                                           \
    return samples[S##_lanes / 2];                                                          \
  }                                                                                         \
  TARGET int64_t NAME(lull_partition_##S)(T *a, int64_t n, T *scratch) {                 \
    T pivot = S##_pivot(a, n);                                                              \
    int64_t low = S##_split(a, n, pivot, scratch, 0);                                       \
    return low > 0 ? low : S##_split(a, n, pivot, scratch, 1);                              \
  }                                                                                         \
  static TARGET void S##_quick(T *a, int64_t n, T *scratch, int depth) {                    \
    while (n > 8 * S##_lanes) {                                                             \
      if (lull_interrupt_stops()) return;                                                   \
      if (depth-- == 0) {                                                                   \
        lull_radix_##S(a, scratch, n);                                                      \
        return;                                                                             \
      }                                                                                     \
      T pivot = S##_pivot(a, n);                                                            \
      int64_t low = S##_split(a, n, pivot, scratch, 0);                                     \
      if (low == 0) {  /* the pivot is the least key: all of its equals are in place */     \
        low = S##_split(a, n, pivot, scratch, 1);                                           \
        a += low, n -= low;                                                                 \
        continue;                                                                           \
      }                                                                                     \
      if (low < n - low) {                                                                  \
        S##_quick(a, low, scratch, depth);                                                  \
        a += low, n -= low;                                                                 \
      } else {                                                                              \
        S##_quick(a + low, n - low, scratch, depth);                                        \
        n = low;                                                                            \
      }                                                                                     \
    }                                                                                       \
    if (n > 1) S##_base(a, n);                                                              \
  }                                                                                         \
  TARGET void NAME(lull_quicksort_##S)(T *a, int64_t n, T *scratch) {                    \
    int depth = 8;                                                                          \
    for (int64_t m = n; m > 0; m >>= 1) depth += 2;                                         \
    S##_quick(a, n, scratch, depth);                                                        \
  }

SORT(uint32_t, u32)
SORT(uint64_t, u64)
