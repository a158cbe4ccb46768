// A matrix product under way: what gemm.c and the levels (gemm_impl.h) share.
#pragma once
#include <stdint.h>
#include "vm.h"

typedef struct {
  const char *a, *b;
  char *c;
  int64_t aRow, aColumn, bRow, bColumn;  // distances in bytes
  int64_t m, n, k;
  int64_t cRow;   // elements of a whole row of c, of which these are n columns
  int64_t steps;  // along k: elements, or pairs of them
  int dtype, pairs;
  int64_t rowsEach;   // rows of a panel of a
  // What is packed beforehand: the columns of b, [panel of NR][step][NR], or (for column_panels)
  // the rows of a, [block of steps][panel][step][AW].
  float *packed;
  const LullProgram *after;  // runs over finished parts of c, if it is there
  int64_t first;             // the index of c's first element in its space
} LullGemm;

int lull_gemm_pairs_pay(void);

// Tiles of rows x columns; a packed step of rows is `width` wide; blocks of `depth` along k.
typedef struct {
  int rows, columns, width, depth;
  void (*pack_columns)(const LullGemm *g, int64_t panel);
  void (*pack_rows)(const LullGemm *g, int64_t panel);
  // Row panels p0 ..< p1, column panels c0 ..< c1.
  void (*row_panels)(const LullGemm *g, int64_t p0, int64_t p1, int64_t c0, int64_t c1, float *scratch);
  // All rows, packed beforehand; columns are packed here.
  void (*column_panels)(const LullGemm *g, int64_t c0, int64_t c1, float *scratch);
  // Without packing: rows from ..< to, columns c0 ..< c1. a and c are float32, b is of g's dtype.
  void (*open)(const LullGemm *g, int64_t from, int64_t to, int64_t c0, int64_t c1);
  // n elements to float32, and back.
  void (*widen)(float *to, const char *from, int dtype, int64_t n);
  void (*narrow)(char *to, const float *from, int dtype, int64_t n);
  // Up to lullGemmFew rows without packing b, whose rows or columns are contiguous: `a` is
  // [m][k] in float32 (made by widen_rows), columns from ..< to (whole groups of 64).
  void (*widen_rows)(const LullGemm *g, float *a);
  void (*few_rows)(const LullGemm *g, const float *a, int64_t from, int64_t to);
} LullGemmLevel;
enum { lullGemmFew = 8 };
extern const LullGemmLevel lull_gemm_avx2, lull_gemm_avx512;
