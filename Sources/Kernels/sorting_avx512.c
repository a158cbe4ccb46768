// Quicksort with AVX-512: a vector of keys is split by one comparison and two compressions, and
// short pieces go through a bitonic network in registers. The pivot is the median of one vector
// of samples; a piece whose pivots stay bad is left to the radix sort.
#if defined(__x86_64__)
#include <immintrin.h>
#include "Kernels.h"
#include "sorting_internal.h"
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,bmi2,popcnt,lzcnt")))
#define INLINE static inline __attribute__((always_inline)) TARGET

// Lanes i ^ x, for x = 1, 2, 3, 4, 7, 8, 15.
#define XOR16(x) _mm512_xor_si512(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0), _mm512_set1_epi32(x))
#define XOR8(x) _mm512_xor_si512(_mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0), _mm512_set1_epi64(x))

#define u32_permute(x, by) _mm512_permutexvar_epi32(XOR16(by), x)
#define u64_permute(x, by) _mm512_permutexvar_epi64(XOR8(by), x)
#define u32_min _mm512_min_epu32
#define u32_max _mm512_max_epu32
#define u64_min _mm512_min_epu64
#define u64_max _mm512_max_epu64
#define u32_blend _mm512_mask_mov_epi32
#define u64_blend _mm512_mask_mov_epi64
#define u32_below(x, p) _mm512_cmplt_epu32_mask(x, p)
#define u64_below(x, p) _mm512_cmplt_epu64_mask(x, p)
#define u32_notAbove(x, p) _mm512_cmple_epu32_mask(x, p)
#define u64_notAbove(x, p) _mm512_cmple_epu64_mask(x, p)
#define u32_compress _mm512_maskz_compress_epi32
#define u64_compress _mm512_maskz_compress_epi64
#define u32_all(x) _mm512_set1_epi32((int)(x))
#define u64_all(x) _mm512_set1_epi64((long long)(x))
#define u32_load _mm512_mask_loadu_epi32
#define u64_load _mm512_mask_loadu_epi64
#define u32_store _mm512_mask_storeu_epi32
#define u64_store _mm512_mask_storeu_epi64
#define u32_lanes 16
#define u64_lanes 8
#define u32_mask __mmask16
#define u64_mask __mmask8
// Lanes whose bit `d` is set.
static const uint16_t upper[9] = {0, 0xaaaa, 0xcccc, 0, 0xf0f0, 0, 0, 0, 0xff00};

#define SORT(T, S)                                                                          \
  /* Compares lane i with lane i ^ by; the lanes that hold bit d keep the larger. */        \
  INLINE __m512i S##_exchange(__m512i x, int by, int d) {                                   \
    __m512i y = S##_permute(x, by);                                                         \
    return S##_blend(S##_min(x, y), (S##_mask)upper[d], S##_max(x, y));                     \
  }                                                                                         \
  INLINE __m512i S##_clean(__m512i x) {                                                     \
    if (S##_lanes == 16) x = S##_exchange(x, 8, 8);                                         \
    x = S##_exchange(x, 4, 4);                                                              \
    x = S##_exchange(x, 2, 2);                                                              \
    return S##_exchange(x, 1, 1);                                                           \
  }                                                                                         \
  INLINE __m512i S##_sortVector(__m512i x) {                                                \
    x = S##_exchange(x, 1, 1);                                                              \
    x = S##_exchange(x, 3, 2);                                                              \
    x = S##_exchange(x, 1, 1);                                                              \
    x = S##_exchange(x, 7, 4);                                                              \
    x = S##_exchange(x, 2, 2);                                                              \
    x = S##_exchange(x, 1, 1);                                                              \
    if (S##_lanes == 16) {                                                                  \
      x = S##_exchange(x, 15, 8);                                                           \
      x = S##_exchange(x, 4, 4);                                                            \
      x = S##_exchange(x, 2, 2);                                                            \
      x = S##_exchange(x, 1, 1);                                                            \
    }                                                                                       \
    return x;                                                                               \
  }                                                                                         \
  INLINE void S##_network(__m512i *x, const int count) {                                    \
    _Pragma("unroll") for (int i = 0; i < count; ++i) x[i] = S##_sortVector(x[i]);          \
    _Pragma("unroll") for (int w = 1; w < count; w *= 2) {                                  \
      _Pragma("unroll") for (int g = 0; g < count; g += 2 * w) {                            \
        __m512i y[8];                                                                       \
        _Pragma("unroll") for (int j = 0; j < w; ++j) {                                     \
          __m512i b = S##_permute(x[g + 2 * w - 1 - j], S##_lanes - 1);                     \
          y[j] = S##_min(x[g + j], b);                                                      \
          y[w + j] = S##_max(x[g + j], b);                                                  \
        }                                                                                   \
        _Pragma("unroll") for (int j = 0; j < 2 * w; ++j) x[g + j] = y[j];                  \
        _Pragma("unroll") for (int d = w / 2; d >= 1; d /= 2)                               \
          _Pragma("unroll") for (int i = 0; i < 2 * w; ++i)                                 \
            if (!(i & d)) {                                                                 \
              __m512i a = x[g + i], b = x[g + i + d];                                       \
              x[g + i] = S##_min(a, b);                                                     \
              x[g + i + d] = S##_max(a, b);                                                 \
            }                                                                               \
        _Pragma("unroll") for (int j = 0; j < 2 * w; ++j) x[g + j] = S##_clean(x[g + j]);   \
      }                                                                                     \
    }                                                                                       \
  }                                                                                         \
  INLINE void S##_short(T *a, int64_t n, const int count) {                                 \
    __m512i x[8];                                                                           \
    S##_mask masks[8];                                                                      \
    _Pragma("unroll") for (int i = 0; i < count; ++i) {                                     \
      int64_t left = n - i * S##_lanes;                                                     \
      masks[i] = left >= S##_lanes ? (S##_mask)~0 : left <= 0 ? 0 : (S##_mask)((1u << left) - 1); \
      x[i] = S##_load(S##_all(~(T)0), masks[i], a + i * S##_lanes);                         \
    }                                                                                       \
    S##_network(x, count);                                                                  \
    _Pragma("unroll") for (int i = 0; i < count; ++i) S##_store(a + i * S##_lanes, masks[i], x[i]); \
  }                                                                                         \
  static TARGET void S##_base(T *a, int64_t n) {                                            \
    if (n <= S##_lanes) S##_short(a, n, 1);                                                 \
    else if (n <= 2 * S##_lanes) S##_short(a, n, 2);                                        \
    else if (n <= 4 * S##_lanes) S##_short(a, n, 4);                                        \
    else S##_short(a, n, 8);                                                                \
  }                                                                                         \
  /* Keys below the pivot (or not above it) move to the front, the others behind them. */   \
  INLINE int64_t S##_split(T *a, int64_t n, T pivot, T *high, const int inclusive) {        \
    __m512i p = S##_all(pivot);                                                             \
int64_t low = 0, up = 0, i = 0;                                                         \
    for (; i + S##_lanes <= n; i += S##_lanes) {                                            \
      __m512i x = _mm512_loadu_si512(a + i);                                                \
      S##_mask m = inclusive ? S##_notAbove(x, p) : S##_below(x, p);                        \
      int64_t count = __builtin_popcount(m);                                                \
      _mm512_storeu_si512(a + low, S##_compress(m, x));                                     \
      _mm512_storeu_si512(high + up, S##_compress((S##_mask)~m, x));                        \
      low += count;                                                                         \
      up += S##_lanes - count;                                                              \
    }                                                                                       \
    if (i < n) {                                                                            \
      S##_mask valid = (S##_mask)((1u << (n - i)) - 1);                                     \
      __m512i x = S##_load(_mm512_setzero_si512(), valid, a + i);                           \
      S##_mask m = (inclusive ? S##_notAbove(x, p) : S##_below(x, p)) & valid;              \
      int64_t count = __builtin_popcount(m);                                                \
      S##_store(a + low, (S##_mask)((1u << count) - 1), S##_compress(m, x));                \
      _mm512_storeu_si512(high + up, S##_compress((S##_mask)(~m & valid), x));              \
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
  TARGET int64_t lull_partition_##S##_avx512(T *a, int64_t n, T *scratch) {                 \
    T pivot = S##_pivot(a, n);                                                              \
    int64_t low = S##_split(a, n, pivot, scratch, 0);                                       \
    return low > 0 ? low : S##_split(a, n, pivot, scratch, 1);                              \
  }                                                                                         \
  static TARGET void S##_quick(T *a, int64_t n, T *scratch, int depth) {                    \
    while (n > 8 * S##_lanes) {                                                             \
      if (lull_interrupt_stops()) return;                                                      \
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
  TARGET void lull_quicksort_##S##_avx512(T *a, int64_t n, T *scratch) {                    \
    int depth = 8;                                                                          \
    for (int64_t m = n; m > 0; m >>= 1) depth += 2;                                         \
    S##_quick(a, n, scratch, depth);                                                        \
  }

#include <string.h>
SORT(uint32_t, u32)
SORT(uint64_t, u64)
#endif
