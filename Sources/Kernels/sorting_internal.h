// Sorting keys in place with vectors (sorting_impl.h). The scratch holds n keys and lullSortSlack more.
#pragma once
#include <stdint.h>

enum { lullSortSlack = 64 };

#define LULL_SORTS(level)                                                                  \
  void lull_quicksort_u32_##level(uint32_t *a, int64_t n, uint32_t *scratch);               \
  void lull_quicksort_u64_##level(uint64_t *a, int64_t n, uint64_t *scratch);               \
  /* Moves the keys below some pivot to the front and returns how many they are; 0 or n */  \
  /* where all keys are equal. */                                                           \
  int64_t lull_partition_u32_##level(uint32_t *a, int64_t n, uint32_t *scratch);            \
  int64_t lull_partition_u64_##level(uint64_t *a, int64_t n, uint64_t *scratch);
LULL_SORTS(avx2)
LULL_SORTS(avx512)
// The radix sorts that quicksort falls back to when its pivots are bad again and again.
void lull_radix_u32(uint32_t *a, uint32_t *b, int64_t n);
void lull_radix_u64(uint64_t *a, uint64_t *b, int64_t n);
