// Floats of eight bits, and Hadamard's transform.
#pragma once
#include <stdint.h>

// Four bits of exponent, three of mantissa, no infinities; the largest is 448, the code
// after it NaN. Rounds to the nearest even one.
void lull_to_fp8(const float *x, uint8_t *codes, int64_t count);
void lull_from_fp8(const uint8_t *codes, float *x, int64_t count);

// Rows of m * n floats (n a power of two) are multiplied, in place, with Hadamard's matrix and scale; `matrix` is
// m x m of 1 and -1, by rows, or null for m = 1.
void lull_hadamard(float *x, int64_t rows, int64_t n, int m, const float *matrix, float scale);
