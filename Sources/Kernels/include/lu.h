// LU factorisation with partial pivoting, and what is solved with it, in float or double, on AVX2 and AVX-512.
//
// The matrix comes as `n` rows of `m` elements that stand for its columns, as LAPACK has them. A row-major
// matrix A is therefore factorised as its transpose: P A^T = L U, so A = U^T L^T P. That costs nothing: the
// rows of A hold U^T up to the diagonal and L^T behind it, and A x = b is solved by these two triangles.
#pragma once
#include <stdint.h>

// Whether this machine has them.
int lull_lu_works(void);

// A factorisation lies in a workspace of its own: rows padded to whole tiles, at distances that do not
// fight for places in the cache. All is in `memory`, of lull_lu_bytes, aligned to 64 bytes.
typedef struct {
  int isDouble;
  int64_t m, n;      // rows and columns of the factorised matrix
  int64_t line;      // elements from a row of the workspace to the next
  void *rows;
  int32_t *pivots;   // min(m, n), from 0
  int32_t *order;    // of the unknowns, when it is solved
  int64_t singular;  // 1 + the place of the first zero on the diagonal of U, or 0
  void *scratch;
  int threads;
} LullLU;

// `threads` that may share the work, the caller's among them.
int64_t lull_lu_bytes(int isDouble, int64_t m, int64_t n, int threads);
void lull_lu_open(LullLU *lu, int isDouble, int64_t m, int64_t n, int threads, void *memory);
// Reads `a` ([n][m]) and factorises it. The work is spread over the pool where that pays.
void lull_lu_factorise(LullLU *lu, const void *a);
// Brings L and U to `a` ([n][m]).
void lull_lu_store(const LullLU *lu, void *a);

// With A = a of lull_lu_factorise, square, row-major and not singular. x and b are [n][k]; they may be the same.
void lull_lu_solve(LullLU *lu, int64_t k, const void *b, void *x);
// x is A^-1, [n][n].
void lull_lu_invert(LullLU *lu, void *x);

// A triangle of a row-major matrix instead: opened with m = n, then filled by this.
void lull_triangle_load(LullLU *lu, const void *a);
void lull_triangle_solve(const LullLU *lu, int isUpper, int64_t k, const void *b, void *x);
