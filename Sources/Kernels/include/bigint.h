// Arithmetic of long numbers: magnitudes of 64-bit limbs, the least significant first.
//
// `stop` may be NULL; when it turns 1 while a long operation runs, that ends early and its result is meaningless.
#pragma once
#include <stdint.h>

// r[n + m] = a[n] * b[m], n >= 1, m >= 1. r overlaps neither. Karatsuba's way for long ones, with memory of its own
// (without it, the long way).
void lull_big_multiply(
    uint64_t *r, const uint64_t *a, int64_t n, const uint64_t *b, int64_t m,
    const volatile int32_t *stop);

// q[n - m + 1] and r[m] of a[n] / b[m]; n >= m >= 2, the last limb of b is not 0. u has room for n + 1 limbs and
// v for m. Knuth, The Art of Computer Programming 4.3.1, algorithm D.
void lull_big_divide(
    uint64_t *q, uint64_t *r, const uint64_t *a, int64_t n, const uint64_t *b, int64_t m,
    uint64_t *u, uint64_t *v, const volatile int32_t *stop);

// q[n] = a[n] / d, which may be in place; returns the remainder.
uint64_t lull_big_divide_word(uint64_t *q, const uint64_t *a, int64_t n, uint64_t d);

// a[n] = a[n] * f + c; returns the limb that carries out.
uint64_t lull_big_multiply_word(uint64_t *a, int64_t n, uint64_t f, uint64_t c);

// r[n + words + 1] = a[n] << (64 * words + bits); r[n - words] = a[n] >> (64 * words + bits), words < n; bits < 64.
void lull_big_shift_left(uint64_t *r, const uint64_t *a, int64_t n, int64_t words, int bits);
void lull_big_shift_right(uint64_t *r, const uint64_t *a, int64_t n, int64_t words, int bits);
