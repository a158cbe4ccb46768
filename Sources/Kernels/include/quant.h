// Quantised weights: block formats as files have them, and one packed layout made for reading.
//
// A weight is [rows, columns], each row a run of blocks (GGUF) or a packed bit string with scales and
// biases (MLX). Products are with float32 activations and are exact up to float32 rounding: codes are
// widened in registers, never stored.
//
// Packed layout (x86 with AVX2): 16 rows are one tile and lie side by side, one row a 32-bit lane, so that a
// product needs no shuffles across rows and reads memory in order. A tile is a run of blocks of 32 columns. Blocks
// that share scales (8 of a K format, group / 32 of MLX's affine ones) have one head before them: float16 scale[16]
// and, where the format has one, minimum[16]. A block is its own scales (K formats: a byte a row, two kinds of them)
// and the planes of its codes:
//
//   4 bits   u32 [4][16]: word g of row r holds columns 8g..8g+7, lowest nibble first
//   2 bits   u32 [2][16]: word h holds the pairs (16h + 8e + j, 16h + 8e + 4 + j), the first in its low half
//   1 bit    u32 [16]: columns (8g + j, 8g + 4 + j) at bits 4g + j and 16 + 4g + j
//   8 bits   i8 [16][16][2]: the pairs of columns (8g + j, 8g + 4 + j) of each row
//
// Codes of 3, 5 and 6 bits are planes of 2 + 1, 4 + 1 and 4 + 2 bits.
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

// Activations [m, columns] as 16-bit integers: x = scale * q with one scale for each 32 columns, so that products
// with codes are exact integer sums. The rounding is 2^-16 of the largest of the 32. `sums` are those of scale * q
// over each 16 columns.
//
// Many rows may have 8 bits instead (as other programs compute): 2^-8 of the largest of the 32, and some 1.7 times
// as fast for codes of up to 6 bits. The others take the 16 bits of the same values.
typedef struct {
  int64_t m;
  int16_t *q;
  int8_t *q8;     // of each 8 columns 0, 1, 4, 5, 2, 3, 6, 7; NULL unless these are to be used
  float *scales;  // [m, columns / 32]
  float *sums;    // [m, columns / 16]
} LullActivations;
// Whether products of this weight with such activations exist on this machine.
int lull_has_int_dot(const LullQuantized *w);
// Fills q, scales and sums; columns divide by 32. With q8 the values have 8 bits, in q, too.
enum { LULL_IN_ORDER = 0, LULL_PAIRED = 1 };  // PAIRED: of each 8 columns 0, 4, 1, 5, 2, 6, 3, 7
void lull_quantize_activations(const float *x, int64_t m, int64_t x_stride, int64_t columns, int order, int16_t *q,
                               int8_t *q8, float *scales, float *sums);
// As lull_quant_dot, activations in order. `work` holds columns / 16 * 6 floats.
void lull_int_dot(const LullQuantized *w, int64_t first, int64_t count, const LullActivations *a, float *y,
                  int64_t y_stride, float *work);

// Packed layout: bytes of a tile of 16 rows (0: there is none for this weight or machine), and making it.
int64_t lull_packed_tile_bytes(const LullQuantized *w);
void lull_pack_tiles(const LullQuantized *w, int64_t first_tile, int64_t tiles, uint8_t *packed);
// y[m, row] for the rows of some tiles, activations in the order LULL_PAIRED. From LULL_MANY_ROWS rows of them on
// the codes are widened first, into `panel` of LULL_PANEL_BYTES.
enum { LULL_MANY_ROWS = 8, LULL_PANEL_BYTES = 64 * 1280 };
void lull_packed_dot(const LullQuantized *w, const uint8_t *packed, int64_t first_tile, int64_t tiles,
                     const LullActivations *a, float *y, int64_t y_stride, uint8_t *panel);
// Several products of one x [m, columns], m < LULL_MANY_ROWS, as one parallel region: y [m, rows] of each. `memory` holds
// lull_products_bytes(m, columns).
typedef struct {
  LullQuantized w;
  const uint8_t *packed;
  float *y;
} LullProduct;
enum { LULL_MOST_PRODUCTS = 8 };
int64_t lull_products_bytes(int64_t m, int64_t columns);
void lull_packed_products(const float *x, int64_t m, int64_t columns, const LullProduct *products, int count,
                          void *memory);
// Tiles as float32, transposed: out[column * stride + 16 * tile + row].
void lull_packed_columns(const LullQuantized *w, const uint8_t *packed, int64_t first_tile, int64_t tiles,
                         float *out, int64_t stride);
