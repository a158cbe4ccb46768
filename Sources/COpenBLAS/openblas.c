// See COpenBLAS.h.
#define _GNU_SOURCE
#include "COpenBLAS.h"
#include "library.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static __typeof__(&cblas_sgemm) sgemm;
static __typeof__(&cblas_dgemm) dgemm;
static __typeof__(&cblas_cgemm) cgemm;
static __typeof__(&cblas_zgemm) zgemm;
static __typeof__(&cblas_sgemv) sgemv;
static void *library;
static int state = 1;  // 1 not tried, 0 ready, 2 missing
static char description[256] = "OpenBLAS was not needed yet";

// The kernels for this processor, when the library may be too old to know it.
static const char *core(void) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"))
    return "SkylakeX";
  // On AMD too: the library's sizes of blocks for Zen are those of its first generation. On a Zen 4 without
  // AVX-512, one thread, products of 50 to 300 float32 take 0.86 to 0.95 of the time.
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "Haswell";
#endif
  return NULL;
}

int lull_blas_load(void) {
  if (state != 1) return state;
  static const char *const names[] = {"libopenblas.so.0", "libopenblas.so"};
  const char *chosen = core();
  if (chosen) setenv("OPENBLAS_CORETYPE", chosen, 0);
  setenv("OPENBLAS_NUM_THREADS", "1", 1);
  for (int i = 0; i < 2 && !library; i++) library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
  state = 2;
  if (!library) {
    snprintf(description, sizeof description, "OpenBLAS is not installed (Debian: libopenblas0): %s",
             dlerror());
    return state;
  }
  sgemm = (__typeof__(sgemm))dlsym(library, "cblas_sgemm");
  dgemm = (__typeof__(dgemm))dlsym(library, "cblas_dgemm");
  cgemm = (__typeof__(cgemm))dlsym(library, "cblas_cgemm");
  zgemm = (__typeof__(zgemm))dlsym(library, "cblas_zgemm");
  sgemv = (__typeof__(sgemv))dlsym(library, "cblas_sgemv");
  void (*threads)(int) = (void (*)(int))dlsym(library, "openblas_set_num_threads");
  char *(*corename)(void) = (char *(*)(void))dlsym(library, "openblas_get_corename");
  if (!sgemm || !dgemm || !cgemm || !zgemm || !sgemv) {
    snprintf(description, sizeof description, "the OpenBLAS library lacks CBLAS functions");
    return state;
  }
  // Our own workers call it, so it must not start threads.
  if (threads) threads(1);
  snprintf(description, sizeof description, "OpenBLAS, %s kernels", corename ? corename() : "unknown");
  state = 0;
  return state;
}

void *lull_blas_library(void) { return library; }

const char *lull_blas_description(void) { return description; }

void cblas_sgemm(enum CBLAS_ORDER o, enum CBLAS_TRANSPOSE ta, enum CBLAS_TRANSPOSE tb, int m, int n,
                 int k, float alpha, const float *a, int lda, const float *b, int ldb, float beta,
                 float *c, int ldc) {
  sgemm(o, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
void cblas_dgemm(enum CBLAS_ORDER o, enum CBLAS_TRANSPOSE ta, enum CBLAS_TRANSPOSE tb, int m, int n,
                 int k, double alpha, const double *a, int lda, const double *b, int ldb, double beta,
                 double *c, int ldc) {
  dgemm(o, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
void cblas_cgemm(enum CBLAS_ORDER o, enum CBLAS_TRANSPOSE ta, enum CBLAS_TRANSPOSE tb, int m, int n,
                 int k, const void *alpha, const void *a, int lda, const void *b, int ldb,
                 const void *beta, void *c, int ldc) {
  cgemm(o, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
void cblas_zgemm(enum CBLAS_ORDER o, enum CBLAS_TRANSPOSE ta, enum CBLAS_TRANSPOSE tb, int m, int n,
                 int k, const void *alpha, const void *a, int lda, const void *b, int ldb,
                 const void *beta, void *c, int ldc) {
  zgemm(o, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
void cblas_sgemv(enum CBLAS_ORDER o, enum CBLAS_TRANSPOSE t, int m, int n, float alpha, const float *a,
                 int lda, const float *x, int incx, float beta, float *y, int incy) {
  sgemv(o, t, m, n, alpha, a, lda, x, incx, beta, y, incy);
}
