// Copies between strided layouts, and the gathers and scatters of indexing.
#pragma once
#include <stdint.h>

// Copies shape[0..rank) elements of `size` bytes; strides in bytes, of either sign. Transposed
// layouts are copied in blocks; large copies run on the pool.
void lull_copy_strided(char *dst, const int64_t *dst_strides, const char *src,
                       const int64_t *src_strides, const int64_t *shape, int rank, int size);

// Turns index tuples into byte offsets: offsets[i] = sum over axes of index * stride. Indices are
// int64, [axes][count]; negative ones count from the end. Returns -1, or the flat position
// axis * count + i of the first index that is out of range.
int64_t lull_index_offsets(int64_t *offsets, const int64_t *const *indices, int axes,
                           const int64_t *sizes, const int64_t *strides, int64_t count);

// out[i] = src[offsets[i] ..< + slice] for slices of `slice` bytes.
void lull_gather(char *out, const char *src, const int64_t *offsets, int64_t count, int64_t slice);

// out[i] = src[index[i] * stride ..< + slice], bytes, for int64, int32 or uint32 indices into `size`
// places, negative ones from the end. Returns -1 or the position of the first index out of range.
int64_t lull_take(char *out, const char *src, const void *index, int dtype, int64_t size,
                  int64_t stride, int64_t count, int64_t slice);

// dst[offsets[i] ...] (mode) = updates[i * slice ...], in order. mode: 0 set, 1 add, 2 multiply,
// 3 maximum, 4 minimum. `elements` is the slice's length in elements of dtype.
void lull_scatter(char *dst, const char *updates, const int64_t *offsets, int64_t count,
                  int64_t elements, int dtype, int mode);

// Indices along the last axis: rows x m indices into rows x n values. Returns -1 or the position
// of the first index out of range.
int64_t lull_take_along(char *out, const char *x, const int64_t *index, int64_t rows, int64_t n,
                        int64_t m, int size);
int64_t lull_put_along(char *dst, const char *updates, const int64_t *index, int64_t rows,
                       int64_t n, int64_t m, int dtype, int mode);

// The flat positions of the bytes that are not zero; returns how many. out may be NULL.
int64_t lull_nonzero(int64_t *out, const uint8_t *mask, int64_t count);
