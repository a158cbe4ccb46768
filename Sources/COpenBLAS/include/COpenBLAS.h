// OpenBLAS, opened at run time on first use.
//
// Linked at start-up it would cost every run some milliseconds and start its threads; and its choice of kernels
// can only be corrected (processors newer than the library run its oldest kernels, several times slower) by an
// environment variable that must be set before it loads. The functions here have OpenBLAS's names and pass the
// call on. Call `lull_blas_load` before any other; without the library the rest must not be called.
#pragma once
#include "LAPACK.h"
#include <stdint.h>

enum CBLAS_ORDER { CblasRowMajor = 101, CblasColMajor = 102 };
enum CBLAS_TRANSPOSE { CblasNoTrans = 111, CblasTrans = 112, CblasConjTrans = 113 };

// 0 when OpenBLAS is there and ready (on one thread), else not. Cheap after the first call.
int lull_blas_load(void);
// What was found: the library's name and kernels, or why it could not be opened.
const char *lull_blas_description(void);

typedef int blasint;
#define LULL_BLAS(name) __asm__("lull_blas_" #name)
void cblas_sgemm(enum CBLAS_ORDER, enum CBLAS_TRANSPOSE, enum CBLAS_TRANSPOSE, int m, int n, int k,
                 float alpha, const float *a, int lda, const float *b, int ldb, float beta, float *c,
                 int ldc) LULL_BLAS(sgemm);
void cblas_dgemm(enum CBLAS_ORDER, enum CBLAS_TRANSPOSE, enum CBLAS_TRANSPOSE, int m, int n, int k,
                 double alpha, const double *a, int lda, const double *b, int ldb, double beta,
                 double *c, int ldc) LULL_BLAS(dgemm);
void cblas_cgemm(enum CBLAS_ORDER, enum CBLAS_TRANSPOSE, enum CBLAS_TRANSPOSE, int m, int n, int k,
                 const void *alpha, const void *a, int lda, const void *b, int ldb, const void *beta,
                 void *c, int ldc) LULL_BLAS(cgemm);
void cblas_zgemm(enum CBLAS_ORDER, enum CBLAS_TRANSPOSE, enum CBLAS_TRANSPOSE, int m, int n, int k,
                 const void *alpha, const void *a, int lda, const void *b, int ldb, const void *beta,
                 void *c, int ldc) LULL_BLAS(zgemm);
void cblas_sgemv(enum CBLAS_ORDER, enum CBLAS_TRANSPOSE, int m, int n, float alpha, const float *a,
                 int lda, const float *x, int incx, float beta, float *y, int incy) LULL_BLAS(sgemv);
