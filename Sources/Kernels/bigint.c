// See bigint.h.
#include "bigint.h"
#include <stdlib.h>
#include <string.h>

typedef unsigned __int128 u128;

// r[n] += a[n] * f; returns the carry. submul takes away and returns the borrow.
static uint64_t addmul(uint64_t *r, const uint64_t *a, int64_t n, uint64_t f) {
  uint64_t carry = 0;
  for (int64_t i = 0; i < n; ++i) {
    u128 t = (u128)a[i] * f + r[i] + carry;
    r[i] = (uint64_t)t;
    carry = (uint64_t)(t >> 64);
  }
  return carry;
}
static uint64_t submul(uint64_t *r, const uint64_t *a, int64_t n, uint64_t f) {
  uint64_t borrow = 0;
  for (int64_t i = 0; i < n; ++i) {
    u128 t = (u128)a[i] * f + borrow;
    uint64_t low = (uint64_t)t;
    borrow = (uint64_t)(t >> 64) + (r[i] < low);
    r[i] -= low;
  }
  return borrow;
}
// r[n] += a[m], m <= n; the carry runs on. subtract in the same way.
static uint64_t add(uint64_t *r, int64_t n, const uint64_t *a, int64_t m) {
  uint64_t carry = 0;
  for (int64_t i = 0; i < m; ++i) {
    u128 t = (u128)r[i] + a[i] + carry;
    r[i] = (uint64_t)t;
    carry = (uint64_t)(t >> 64);
  }
  for (int64_t i = m; carry && i < n; ++i) carry = ++r[i] == 0;
  return carry;
}
static uint64_t subtract(uint64_t *r, int64_t n, const uint64_t *a, int64_t m) {
  uint64_t borrow = 0;
  for (int64_t i = 0; i < m; ++i) {
    u128 t = (u128)r[i] - a[i] - borrow;
    r[i] = (uint64_t)t;
    borrow = (uint64_t)(t >> 64) & 1;
  }
  for (int64_t i = m; borrow && i < n; ++i) borrow = r[i]-- == 0;
  return borrow;
}

static void multiply_long(uint64_t *r, const uint64_t *a, int64_t n, const uint64_t *b, int64_t m) {
  memset(r, 0, (size_t)n * 8);
  for (int64_t j = 0; j < m; ++j) r[n + j] = addmul(r + j, a, n, b[j]);
}

// r[n] = |a[n] - b[m]|, m <= n; whether it was negative.
static int difference(uint64_t *r, const uint64_t *a, int64_t n, const uint64_t *b, int64_t m) {
  int64_t i = n;
  while (i > m && a[i - 1] == 0) --i;
  if (i == m)
    while (i > 0 && a[i - 1] == b[i - 1]) --i;
  int isNegative = i > 0 && i <= m && a[i - 1] < b[i - 1];
  if (isNegative) {
    memcpy(r, b, (size_t)m * 8);
    memset(r + m, 0, (size_t)(n - m) * 8);
    subtract(r, n, a, m);  // what a has beyond is 0
  } else {
    memcpy(r, a, (size_t)n * 8);
    subtract(r, n, b, m);
  }
  return isNegative;
}

enum { karatsubaFrom = 28 };
static int64_t scratch_of(int64_t n) { return 6 * n + 256; }

// r[2n] = a[n] * b[n]: (a0 + a1 x) (b0 + b1 x) with three products, the middle one of differences.
static void karatsuba(uint64_t *r, const uint64_t *a, const uint64_t *b, int64_t n, uint64_t *t, const volatile int32_t *stop) {
  if (n < karatsubaFrom) {
    multiply_long(r, a, n, b, n);
    return;
  }
  if (stop && n > 256 && *stop == 1) return;
  int64_t l = (n + 1) / 2, h = n - l;
  uint64_t *product = t + 2 * l, *rest = t + 4 * l;
  int isNegative = difference(t, a, l, a + l, h) ^ difference(t + l, b, l, b + l, h);
  karatsuba(product, t, t + l, l, rest, stop);
  karatsuba(r, a, b, l, rest, stop);
  karatsuba(r + 2 * l, a + l, b + l, h, rest, stop);
  // a0 b1 + a1 b0 = a0 b0 + a1 b1 - (a0 - a1)(b0 - b1)
  memcpy(t, r, (size_t)(2 * l) * 8);
  uint64_t carry = add(t, 2 * l, r + 2 * l, 2 * h);
  if (isNegative) carry += add(t, 2 * l, product, 2 * l);
  else carry -= subtract(t, 2 * l, product, 2 * l);
  // The highest limbs of the middle are 0 where r has no room for them.
  int64_t room = 2 * n - l, some = 2 * l < room ? 2 * l : room;
  add(r + l, room, t, some);
  if (carry && room > 2 * l) add(r + 3 * l, room - 2 * l, &carry, 1);
}

void lull_big_multiply(
    uint64_t *r, const uint64_t *a, int64_t n, const uint64_t *b, int64_t m,
    const volatile int32_t *stop) {
  if (n < m) {
    const uint64_t *c = a;
    a = b, b = c;
    int64_t k = n;
    n = m, m = k;
  }
  uint64_t *t = m < karatsubaFrom ? NULL : malloc((size_t)(scratch_of(m) + 2 * m) * 8);
  if (!t) {
    multiply_long(r, a, n, b, m);
    return;
  }
  if (n == m) {
    karatsuba(r, a, b, n, t, stop);
  } else {
    // Pieces as long as the shorter one.
    uint64_t *piece = t + scratch_of(m);
    memset(r, 0, (size_t)(n + m) * 8);
    int64_t i = 0;
    for (; i + m <= n && !(stop && *stop == 1); i += m) {
      karatsuba(piece, a + i, b, m, t, stop);
      add(r + i, n + m - i, piece, 2 * m);
    }
    if (i < n && !(stop && *stop == 1)) {
      lull_big_multiply(piece, b, m, a + i, n - i, stop);
      add(r + i, n + m - i, piece, m + n - i);
    }
  }
  free(t);
}

// (high * 2^64 + low) / d, high < d.
static inline uint64_t divide_two(uint64_t high, uint64_t low, uint64_t d, uint64_t *rest) {
#if defined(__x86_64__)
  uint64_t q;
  __asm__("divq %4" : "=a"(q), "=d"(*rest) : "0"(low), "1"(high), "r"(d) : "cc");
  return q;
#else
  u128 x = (u128)high << 64 | low;
  *rest = (uint64_t)(x % d);
  return (uint64_t)(x / d);
#endif
}

uint64_t lull_big_divide_word(uint64_t *q, const uint64_t *a, int64_t n, uint64_t d) {
  uint64_t rest = 0;
  for (int64_t i = n; i-- > 0;) q[i] = divide_two(rest, a[i], d, &rest);
  return rest;
}

uint64_t lull_big_multiply_word(uint64_t *a, int64_t n, uint64_t f, uint64_t c) {
  for (int64_t i = 0; i < n; ++i) {
    u128 t = (u128)a[i] * f + c;
    a[i] = (uint64_t)t;
    c = (uint64_t)(t >> 64);
  }
  return c;
}

void lull_big_shift_left(uint64_t *r, const uint64_t *a, int64_t n, int64_t words, int bits) {
  memset(r, 0, (size_t)words * 8);
  r += words;
  r[n] = bits ? a[n - 1] >> (64 - bits) : 0;
  for (int64_t i = n; i-- > 0;)
    r[i] = bits ? a[i] << bits | (i > 0 ? a[i - 1] >> (64 - bits) : 0) : a[i];
}
void lull_big_shift_right(uint64_t *r, const uint64_t *a, int64_t n, int64_t words, int bits) {
  for (int64_t i = words; i < n; ++i)
    r[i - words] = bits ? a[i] >> bits | (i + 1 < n ? a[i + 1] << (64 - bits) : 0) : a[i];
}

void lull_big_divide(
    uint64_t *q, uint64_t *r, const uint64_t *a, int64_t n, const uint64_t *b, int64_t m,
    uint64_t *u, uint64_t *v, const volatile int32_t *stop) {
  int bits = __builtin_clzll(b[m - 1]);
  for (int64_t i = m; i-- > 0;) v[i] = bits ? b[i] << bits | (i > 0 ? b[i - 1] >> (64 - bits) : 0) : b[i];
  lull_big_shift_left(u, a, n, 0, bits);
  const uint64_t first = v[m - 1], second = v[m - 2];
  for (int64_t j = n - m; j >= 0; --j) {
    if (stop && (j & 63) == 0 && *stop == 1) return;
    uint64_t guess, rest;
    int fits = 1;  // rest < 2^64
    if (u[j + m] >= first) {
      guess = ~0ull;
      fits = !__builtin_add_overflow(u[j + m - 1], first, &rest);
    } else {
      guess = divide_two(u[j + m], u[j + m - 1], first, &rest);
    }
    while (fits && (u128)guess * second > ((u128)rest << 64 | u[j + m - 2])) {
      --guess;
      fits = !__builtin_add_overflow(rest, first, &rest);
    }
    uint64_t borrow = submul(u + j, v, m, guess), top = u[j + m];
    u[j + m] = top - borrow;
    if (borrow > top) {
      --guess;
      u[j + m] += add(u + j, m, v, m);
    }
    q[j] = guess;
  }
  lull_big_shift_right(r, u, m, 0, bits);
}
