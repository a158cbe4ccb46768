// Matrix products of float32, float16 and bfloat16, summed in float32, on AVX-512 and AVX2.
#pragma once
#include <stdint.h>
#include "vm.h"

// Whether this machine has them, for a dtype (numbered as DType is).
int lull_gemm_works(int dtype);

// Bytes of scratch that lull_gemm needs with the same arguments.
int64_t lull_gemm_scratch(int dtype, int64_t aRow, int64_t aColumn, int64_t bRow, int64_t bColumn,
                          int64_t m, int64_t n, int64_t k);

// c[m][n] = a[m][k] b[k][n]. a and b have any strides (bytes), c is row-major; all of one dtype.
// The work is spread over the pool where that pays. `scratch` is aligned to 64 bytes.
//
// `after`, if any, is a program that has c among its inputs (its space is that of c, whose first
// element has the index `first` in it): it runs over each part of the result while that is in the
// cache. Its only output may be c itself.
void lull_gemm(int dtype, char *c, const char *a, int64_t aRow, int64_t aColumn, const char *b,
               int64_t bRow, int64_t bColumn, int64_t m, int64_t n, int64_t k, char *scratch,
               const LullProgram *after, int64_t first);
