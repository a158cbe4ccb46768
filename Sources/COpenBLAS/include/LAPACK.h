// LAPACK out of the same library, row-major and with its workspaces looked after.
//
// `type` is 's', 'd' or (where the comment says so) 'c' and 'z', complex64 and complex128. Matrices are row-major unless a comment says
// otherwise; LAPACK sees the transpose of what is given, which each function takes into account. The
// result is LAPACK's `info` (0 is well), or `lullLapackMemory` when a workspace could not be had.
// `lull_lapack_load` must have returned 0 before any other is called.
#pragma once
#include <stdint.h>

enum { lullLapackMemory = -1000 };

// 0 when the library has LAPACK too.
int lull_lapack_load(void);
// The threads that LAPACK may use for what it does next: 1, but for large single matrices.
void lull_lapack_threads(int count);

// a (n x n) becomes its Cholesky factor in the lower or upper triangle; the other is left as it is.
int lull_potrf(char type, int upper, int n, void *a);
// 's', 'd', 'c', 'z': a is column-major m x n and becomes L and U; pivots are from 1.
int lull_getrf(char type, int m, int n, void *a, int *pivots);
// 's', 'd', 'c', 'z': a becomes its inverse; pivots has room for n.
int lull_inverse(char type, int n, void *a, int *pivots);
int lull_tri_inverse(char type, int upper, int n, void *a);
// 's', 'd', 'c', 'z': a (n x n, row-major, overwritten) x = b; b is column-major n x k and becomes x.
int lull_solve(char type, int n, int k, void *a, int *pivots, void *b);
// b (n x k, row-major) becomes the solution for a triangle of a, whose diagonal has no zero.
void lull_solve_triangular(char type, int upper, int n, int k, const void *a, void *b);
// a is column-major m x n and becomes Q (its first min(m, n) columns); r, column-major min(m, n) x n, is R.
int lull_qr(char type, int m, int n, void *a, void *r);
// 's', 'd', 'c', 'z': a (overwritten) is m x n; u (m x m) and vt (n x n) may be null together. `thin`
// keeps min(m, n) columns of u and rows of vt.
int lull_svd(char type, int thin, int m, int n, void *a, void *s, void *u, void *vt);
// 's', 'd', 'c', 'z': a is Hermitian, one triangle of it is read; its rows become the eigenvectors
// (conjugated for complex numbers) when `vectors`.
int lull_eigh(char type, int upper, int vectors, int n, void *a, void *values);
// 's', 'd', 'c', 'z': a is overwritten; values (and the rows of vectors, unless null) are complex64 for 's' and 'c', complex128 for 'd' and 'z'.
int lull_eig(char type, int n, void *a, void *values, void *vectors);
