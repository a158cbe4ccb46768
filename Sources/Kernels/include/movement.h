// Copies between strided layouts, and the gathers and scatters of indexing.
#pragma once
#include <stdint.h>

// Copies shape[0..rank) elements of `size` bytes; strides in bytes, of either sign. Transposed
// layouts are copied in blocks; large copies run on the pool.
void lull_copy_strided(char *dst, const int64_t *dst_strides, const char *src,
                       const int64_t *src_strides, const int64_t *shape, int rank, int size);
