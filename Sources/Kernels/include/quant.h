// Quantised weights: block formats as files have them, and one packed layout made for reading.
//
// A weight is [rows, columns], each row a run of blocks (GGUF) or a packed bit string with scales and
// biases (MLX). Products are with float32 activations and are exact up to float32 rounding: codes are
// widened in registers, never stored.
//
// Packed layout (made once, for the 4- and 8-bit formats of 32 values a block): 16 rows are one tile and
// lie side by side, one row a SIMD lane. A tile is a run of blocks of 32 columns; a block is
//
//   u16 scale[16]            float16, one a row
//   u16 minimum[16]          float16, only for Q4_1
//   u32 codes[4][16]         4-bit: word g of row r holds columns 8g..8g+7, lowest nibble first
//   i8  codes[32][16]        8-bit: column by column
//
// so a product needs no shuffles across rows, and decoding reads memory in order.
#pragma once
#include <stddef.h>
#include <stdint.h>

// Block types, numbered as in GGUF.
enum {
  LULL_F32 = 0, LULL_F16 = 1, LULL_Q4_0 = 2, LULL_Q4_1 = 3, LULL_Q5_0 = 6, LULL_Q5_1 = 7,
  LULL_Q8_0 = 8, LULL_Q2_K = 10, LULL_Q3_K = 11, LULL_Q4_K = 12, LULL_Q5_K = 13, LULL_Q6_K = 14,
  LULL_IQ4_NL = 20, LULL_IQ4_XS = 23, LULL_BF16 = 30
};
// Values and bytes of one block; 0 for a type that is not known.
int lull_block_values(int type);
int lull_block_bytes(int type);

// MLX's formats: `bits` per code in a little-endian bit string, one scale (and bias) a group.
enum { LULL_AFFINE = 0, LULL_MXFP4 = 1, LULL_MXFP8 = 2, LULL_NVFP4 = 3 };
typedef struct {
  int type;                // a block type, or -1 for MLX's formats below
  int mode, bits, group;   // MLX: mode, bits a code, values a group
  int scale_type;          // MLX affine: LULL_F32, LULL_F16 or LULL_BF16
  int64_t rows, columns;
  const uint8_t *data;
  int64_t row_bytes;
  const uint8_t *scales, *biases;  // MLX: [rows, columns / group]
} LullQuantized;

// MLX's affine quantisation of `groups` groups of `group` values: codes as a bit string (group * bits / 8
// bytes each), one scale and bias a group. The end of the range that is farther from zero is exact.
void lull_quantize_affine(const float *w, int64_t groups, int group, int bits, uint8_t *codes,
                          float *scales, float *biases);

// Rows first ..< first + count as float32 at out, `stride` floats apart.
void lull_quant_rows(const LullQuantized *w, int64_t first, int64_t count, float *out, int64_t stride);

// y[m, row] = x[m] . w[row] for rows first ..< first + count; x is [m, columns] with x_stride floats
// a row, y [m, rows] with y_stride. `scratch` holds `columns` floats.
void lull_quant_dot(const LullQuantized *w, int64_t first, int64_t count, const float *x, int64_t m,
                    int64_t x_stride, float *y, int64_t y_stride, float *scratch);

// Packed layout: whether there is one for the type, bytes of a tile of 16 rows, and making it.
int lull_packs(int type);
int64_t lull_packed_tile_bytes(int type, int64_t columns);
void lull_pack_tiles(const LullQuantized *w, int64_t first_tile, int64_t tiles, uint8_t *packed);

// Sums of x over each 32 columns: [m, columns / 32]. The products of Q4_1 need them.
void lull_block_sums(const float *x, int64_t m, int64_t x_stride, int64_t columns, float *sums);
// As lull_quant_dot, from packed tiles; rows past `rows` are not stored.
void lull_packed_dot(int type, const uint8_t *packed, int64_t rows, int64_t columns,
                     int64_t first_tile, int64_t tiles, const float *x, const float *sums, int64_t m,
                     int64_t x_stride, float *y, int64_t y_stride);
// Tiles as float32, transposed: out[column * stride + 16 * tile + row].
void lull_packed_columns(int type, const uint8_t *packed, int64_t columns, int64_t first_tile,
                         int64_t tiles, float *out, int64_t stride);
