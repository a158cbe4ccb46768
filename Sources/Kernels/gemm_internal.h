// A matrix product under way: what gemm.c and gemm_avx512.c share.
#pragma once
#include <stdint.h>
#include "vm.h"

// Tiles of 14 x 32; a packed step of rows is 16 wide, one cache line.
enum { lullGemmRows = 14, lullGemmWidth = 16, lullGemmColumns = 32, lullGemmDepth = 512 };

typedef struct {
  const char *a, *b;
  char *c;
  int64_t aRow, aColumn, bRow, bColumn;  // distances in bytes
  int64_t m, n, k;
  int64_t cRow;   // elements of a whole row of c, of which these are n columns
  int64_t steps;  // along k: elements, or pairs of them
  int dtype, pairs;
  int64_t rowsEach;   // rows of a panel of a
  // What is packed beforehand: the columns of b, [panel of 32][step][32], or (for lull_gemm_columns)
  // the rows of a, [block of steps][panel][step][16].
  float *packed;
  const LullProgram *after;  // runs over finished parts of c, if it is there
  int64_t first;             // the index of c's first element in its space
} LullGemm;

int lull_gemm_pairs_pay(void);
void lull_gemm_pack_columns(const LullGemm *g, int64_t panel);
void lull_gemm_pack_rows(const LullGemm *g, int64_t panel);
// Row panels p0 ..< p1, column panels c0 ..< c1.
void lull_gemm_rows(const LullGemm *g, int64_t p0, int64_t p1, int64_t c0, int64_t c1, float *scratch);
// All rows, packed beforehand; columns are packed here.
void lull_gemm_columns(const LullGemm *g, int64_t c0, int64_t c1, float *scratch);
// Without packing: rows from ..< to, columns c0 ..< c1. a and c are float32, b is of g's dtype.
void lull_gemm_open(const LullGemm *g, int64_t from, int64_t to, int64_t c0, int64_t c1);

// n elements to float32, and back.
void lull_gemm_widen(float *to, const char *from, int dtype, int64_t n);
void lull_gemm_narrow(char *to, const float *from, int dtype, int64_t n);

// Up to lullGemmFew rows without packing b, whose rows or columns are contiguous: `a` is
// [m][k] in float32 (made by widen_rows), columns from ..< to (whole groups of 64).
enum { lullGemmFew = 8 };
void lull_gemm_widen_rows(const LullGemm *g, float *a);
void lull_gemm_few_rows(const LullGemm *g, const float *a, int64_t from, int64_t to);
