// Kernels over rows: softmax and cumulative operations.
#pragma once
#include <stdint.h>

void lull_softmax(float *out, const float *x, int64_t rows, int64_t columns, int isLog);

// kind: 0 sum, 1 product, 2 maximum, 3 minimum, 4 logaddexp. Row-major [outer, n, inner].
int64_t lull_scan_scratch(int64_t outer, int64_t n, int64_t inner);
void lull_scan(void *out, const void *x, int dtype, int kind, int reverse, int inclusive,
               int64_t outer, int64_t n, int64_t inner, void *scratch);
