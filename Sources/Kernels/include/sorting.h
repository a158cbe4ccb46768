// Sorting rows, searching sorted arrays, and random bits.
#pragma once
#include <stdint.h>

// Scratch bytes for sorting rows of n elements of a dtype on `threads` workers.
int64_t lull_sort_scratch(int64_t n, int dtype, int threads);
// Sorts each row ascending, stable, NaN last. `values` (elements of dtype) or `indices` (uint32)
// may be NULL. x is row-major rows x n.
void lull_sort(void *values, uint32_t *indices, const void *x, int dtype, int64_t rows, int64_t n,
               void *scratch);

// Where each value would be inserted in the sorted double (or int64) array.
void lull_search_sorted(uint32_t *out, const double *sorted, int64_t n, const double *values,
                        int64_t count, int right);

// MLX's random bits: Threefry-2x32 counters under `keys` [count][2], `bytes` bytes for each key.
void lull_random_bits(char *out, const uint32_t *keys, int64_t count, int64_t bytes);
