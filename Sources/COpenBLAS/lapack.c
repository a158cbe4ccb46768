// See LAPACK.h. Fortran's routines take everything by address and the lengths of strings at the end.
#define _GNU_SOURCE
#include "LAPACK.h"
#include "COpenBLAS.h"
#include "library.h"
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>


// name, parameters; one line for each routine of the library
#define ROUTINES(X)                                                                                \
  X(spotrf, (const char *, int *, void *, int *, int *, size_t))                                              \
  X(dpotrf, (const char *, int *, void *, int *, int *, size_t))                                              \
  X(sgetrf, (int *, int *, void *, int *, int *, int *))                                                     \
  X(dgetrf, (int *, int *, void *, int *, int *, int *))                                                     \
  X(cgetrf, (int *, int *, void *, int *, int *, int *))                                                     \
  X(cgetri, (int *, void *, int *, int *, void *, int *, int *))                                             \
  X(cgetrs, (const char *, int *, int *, void *, int *, int *, void *, int *, int *, size_t))                       \
  X(sgetri, (int *, void *, int *, int *, void *, int *, int *))                                             \
  X(dgetri, (int *, void *, int *, int *, void *, int *, int *))                                             \
  X(strtri, (const char *, const char *, int *, void *, int *, int *, size_t, size_t))                             \
  X(dtrtri, (const char *, const char *, int *, void *, int *, int *, size_t, size_t))                             \
  X(sgetrs, (const char *, int *, int *, void *, int *, int *, void *, int *, int *, size_t))                       \
  X(dgetrs, (const char *, int *, int *, void *, int *, int *, void *, int *, int *, size_t))                       \
  X(strsm, (const char *, const char *, const char *, const char *, int *, int *, const void *,        \
            const void *, int *, void *, int *, size_t, size_t, size_t, size_t))                                           \
  X(dtrsm, (const char *, const char *, const char *, const char *, int *, int *, const void *,        \
            const void *, int *, void *, int *, size_t, size_t, size_t, size_t))                                           \
  X(sgeqrf, (int *, int *, void *, int *, void *, void *, int *, int *))                                     \
  X(dgeqrf, (int *, int *, void *, int *, void *, void *, int *, int *))                                     \
  X(sorgqr, (int *, int *, int *, void *, int *, void *, void *, int *, int *))                                \
  X(dorgqr, (int *, int *, int *, void *, int *, void *, void *, int *, int *))                                \
  X(sgesdd, (const char *, int *, int *, void *, int *, void *, void *, int *, void *, int *, void *, int *,   \
             int *, int *, size_t))                                                                         \
  X(dgesdd, (const char *, int *, int *, void *, int *, void *, void *, int *, void *, int *, void *, int *,   \
             int *, int *, size_t))                                                                         \
  X(cgesdd, (const char *, int *, int *, void *, int *, void *, void *, int *, void *, int *, void *, int *,   \
             void *, int *, int *, size_t))                                                                 \
  X(ssyevd, (const char *, const char *, int *, void *, int *, void *, void *, int *, int *, int *, int *, size_t,  \
             size_t))                                                                                   \
  X(dsyevd, (const char *, const char *, int *, void *, int *, void *, void *, int *, int *, int *, int *, size_t,  \
             size_t))                                                                                   \
  X(cheevd, (const char *, const char *, int *, void *, int *, void *, void *, int *, void *, int *, int *,  \
             int *, int *, size_t, size_t))                                                                      \
  X(sgeev, (const char *, const char *, int *, void *, int *, void *, void *, void *, int *, void *,     \
            int *, void *, int *, int *, size_t, size_t))                                                          \
  X(dgeev, (const char *, const char *, int *, void *, int *, void *, void *, void *, int *, void *,     \
            int *, void *, int *, int *, size_t, size_t))                                                          \
  X(cgeev, (const char *, const char *, int *, void *, int *, void *, void *, int *, void *, int *,        \
            void *, int *, void *, int *, size_t, size_t))

#define DECLARE(name, parameters) static void(*name) parameters;
ROUTINES(DECLARE)
static void (*setThreads)(int);
static int state = 1;

int lull_lapack_load(void) {
  if (state != 1) return state;
  if (lull_blas_load() != 0) return lull_blas_load();
  void *library = lull_blas_library();
  int missing = 0;
#define FIND(name, parameters)                                  \
  *(void **)&name = dlsym(library, #name "_");                  \
  missing += name == NULL;
  ROUTINES(FIND)
  *(void **)&setThreads = dlsym(library, "openblas_set_num_threads");
  state = missing ? 2 : 0;
  return state;
}

void lull_lapack_threads(int count) {
  if (setThreads) setThreads(count);
}

typedef struct {
  float re, im;
} Complex;

static void conjugate(Complex *z, size_t count) {
  for (size_t i = 0; i < count; i++) z[i].im = -z[i].im;
}

// The size in the first element of a workspace query, with room for its rounding to float.
static int roomy(double size) { return (int)(size * 1.0001) + 16; }

int lull_potrf(char type, int upper, int n, void *a) {
  int info = 0;
  (type == 's' ? spotrf : dpotrf)(upper ? "L" : "U", &n, a, &n, &info, 1);
  return info;
}

int lull_getrf(char type, int m, int n, void *a, int *pivots) {
  int info = 0;
  (type == 's' ? sgetrf : type == 'd' ? dgetrf : cgetrf)(&m, &n, a, &m, pivots, &info);
  return info;
}

int lull_inverse(char type, int n, void *a, int *pivots) {
  int info = lull_getrf(type, n, n, a, pivots), query = -1;
  if (info) return info;
  double size = 0;
  float *single = (float *)&size;
  void (*invert)(int *, void *, int *, int *, void *, int *, int *) =
      type == 's' ? sgetri : type == 'd' ? dgetri : cgetri;
  invert(&n, a, &n, pivots, &size, &query, &info);
  int room = roomy(type == 'd' ? size : *single);
  void *work = malloc((size_t)room * 8);
  if (!work) return lullLapackMemory;
  invert(&n, a, &n, pivots, work, &room, &info);
  free(work);
  return info;
}

int lull_tri_inverse(char type, int upper, int n, void *a) {
  int info = 0;
  (type == 's' ? strtri : dtrtri)(upper ? "L" : "U", "N", &n, a, &n, &info, 1, 1);
  return info;
}

int lull_solve(char type, int n, int k, void *a, int *pivots, void *b) {
  int info = lull_getrf(type, n, n, a, pivots);
  if (info) return info;
  (type == 's' ? sgetrs : type == 'd' ? dgetrs : cgetrs)("T", &n, &k, a, &n, pivots, b, &n, &info, 1);
  return info;
}

void lull_solve_triangular(char type, int upper, int n, int k, const void *a, void *b) {
  // a x = b in rows is x.T a.T = b.T in columns.
  double one = 1;
  float single = 1;
  (type == 's' ? strsm : dtrsm)("R", upper ? "L" : "U", "N", "N", &k, &n,
                                type == 's' ? (void *)&single : (void *)&one, a, &n, b, &k, 1, 1, 1, 1);
}

int lull_qr(char type, int m, int n, void *a, void *r) {
  int k = m < n ? m : n, info = 0, query = -1;
  size_t width = type == 's' ? 4 : 8;
  double first = 0, second = 0;
  (type == 's' ? sgeqrf : dgeqrf)(&m, &n, a, &m, &first, &first, &query, &info);
  (type == 's' ? sorgqr : dorgqr)(&m, &k, &k, a, &m, &second, &second, &query, &info);
  int p = roomy(type == 's' ? *(float *)&first : first), q = roomy(type == 's' ? *(float *)&second : second);
  int room = p > q ? p : q;
  char *tau = malloc(((size_t)room + (size_t)k) * width);
  if (!tau) return lullLapackMemory;
  void *work = tau + (size_t)k * width;
  (type == 's' ? sgeqrf : dgeqrf)(&m, &n, a, &m, tau, work, &room, &info);
  for (int j = 0; j < n; j++) {
    int kept = j < k ? j + 1 : k;
    char *column = (char *)r + (size_t)j * k * width;
    memcpy(column, (char *)a + (size_t)j * m * width, (size_t)kept * width);
    memset(column + (size_t)kept * width, 0, (size_t)(k - kept) * width);
  }
  if (!info) (type == 's' ? sorgqr : dorgqr)(&m, &k, &k, a, &m, tau, work, &room, &info);
  free(tau);
  return info;
}

int lull_svd(char type, int thin, int m, int n, void *a, void *s, void *u, void *vt) {
  // The transpose is vt.T s u.T: LAPACK's u is vt, its vt is u.
  int k = m < n ? m : n, info = 0, query = -1;
  const char *job = !u ? "N" : thin ? "S" : "A";
  double size[2] = {0, 0};
  int *integers = malloc(sizeof(int) * 8 * (size_t)k);
  if (!integers) return lullLapackMemory;
  float *reals = NULL;
  int ldu = u ? n : 1, ldv = !u ? 1 : thin ? k : m;
  if (type == 'c') {
    size_t big = m > n ? m : n;
    size_t count = u ? 5 * (size_t)k * k + 5 * (size_t)k + 2 * big * k + 2 * (size_t)k * k : 7 * (size_t)k;
    reals = malloc(sizeof(float) * (count + 16));
    if (!reals) return free(integers), lullLapackMemory;
  }
  int room = 0;
  if (type == 's') {
    sgesdd(job, &n, &m, a, &n, s, vt, &ldu, u, &ldv, size, &query, integers, &info, 1);
    room = roomy(*(float *)size);
  } else if (type == 'd') {
    dgesdd(job, &n, &m, a, &n, s, vt, &ldu, u, &ldv, size, &query, integers, &info, 1);
    room = roomy(size[0]);
  } else {
    cgesdd(job, &n, &m, a, &n, s, vt, &ldu, u, &ldv, size, &query, reals, integers, &info, 1);
    room = roomy(*(float *)size);
  }
  void *work = malloc((size_t)room * 8);
  if (!work) {
    info = lullLapackMemory;
  } else if (type == 's') {
    sgesdd(job, &n, &m, a, &n, s, vt, &ldu, u, &ldv, work, &room, integers, &info, 1);
  } else if (type == 'd') {
    dgesdd(job, &n, &m, a, &n, s, vt, &ldu, u, &ldv, work, &room, integers, &info, 1);
  } else {
    cgesdd(job, &n, &m, a, &n, s, vt, &ldu, u, &ldv, work, &room, reals, integers, &info, 1);
  }
  free(work);
  free(reals);
  free(integers);
  return info;
}

int lull_eigh(char type, int upper, int vectors, int n, void *a, void *values) {
  int info = 0, query = -1, integerRoom = 0, realRoom = 0, room = 0;
  const char *job = vectors ? "V" : "N", *triangle = upper ? "L" : "U";
  double size[2] = {0, 0};
  float real = 0;
  if (type == 's') {
    ssyevd(job, triangle, &n, a, &n, values, size, &query, &integerRoom, &query, &info, 1, 1);
    room = roomy(*(float *)size);
  } else if (type == 'd') {
    dsyevd(job, triangle, &n, a, &n, values, size, &query, &integerRoom, &query, &info, 1, 1);
    room = roomy(size[0]);
  } else {
    cheevd(job, triangle, &n, a, &n, values, size, &query, &real, &query, &integerRoom, &query, &info, 1, 1);
    room = roomy(*(float *)size);
    realRoom = roomy(real);
  }
  void *work = malloc((size_t)room * 8);
  float *reals = malloc(((size_t)realRoom + 1) * 4);
  int *integers = malloc(((size_t)integerRoom + 1) * sizeof(int));
  if (!work || !reals || !integers) {
    info = lullLapackMemory;
  } else if (type == 's') {
    ssyevd(job, triangle, &n, a, &n, values, work, &room, integers, &integerRoom, &info, 1, 1);
  } else if (type == 'd') {
    dsyevd(job, triangle, &n, a, &n, values, work, &room, integers, &integerRoom, &info, 1, 1);
  } else {
    cheevd(job, triangle, &n, a, &n, values, work, &room, reals, &realRoom, integers, &integerRoom,
           &info, 1, 1);
    // What was decomposed is the transpose, which is the conjugate.
    if (vectors && !info) conjugate(a, (size_t)n * n);
  }
  free(work);
  free(reals);
  free(integers);
  return info;
}

// The left eigenvectors of the transpose, conjugated, are the right ones of the matrix.
static int realEig(char type, int n, void *a, Complex *values, Complex *vectors) {
  int info = 0, query = -1, one = 1, rows = vectors ? n : 1;
  size_t width = type == 's' ? 4 : 8, count = (size_t)n;
  const char *job = vectors ? "V" : "N";
  double size = 0;
  char *parts = malloc((2 * count + (vectors ? count * count : 1)) * width);
  if (!parts) return lullLapackMemory;
  char *imaginary = parts + count * width, *v = imaginary + count * width;
  (type == 's' ? sgeev : dgeev)(job, "N", &n, a, &n, parts, imaginary, v, &rows, NULL, &one, &size,
                                &query, &info, 1, 1);
  int room = roomy(type == 's' ? *(float *)&size : size);
  void *work = malloc((size_t)room * width);
  if (!work) return free(parts), lullLapackMemory;
  (type == 's' ? sgeev : dgeev)(job, "N", &n, a, &n, parts, imaginary, v, &rows, NULL, &one, work,
                                &room, &info, 1, 1);
#define COMPLEX(re, im) ((Complex){re, im})
#define AT(p, i) (type == 's' ? ((float *)(p))[i] : (float)((double *)(p))[i])
  for (int i = 0; i < n && !info; i++) values[i] = COMPLEX(AT(parts, i), AT(imaginary, i));
  for (int i = 0; i < n && vectors && !info; i++) {
    size_t row = (size_t)i * count;
    if (AT(imaginary, i) != 0 && i + 1 < n) {
      for (size_t j = 0; j < count; j++) {
        vectors[row + j] = COMPLEX(AT(v, row + j), -AT(v, row + count + j));
        vectors[row + count + j] = COMPLEX(AT(v, row + j), AT(v, row + count + j));
      }
      i++;
    } else {
      for (size_t j = 0; j < count; j++) vectors[row + j] = COMPLEX(AT(v, row + j), 0);
    }
  }
  free(work);
  free(parts);
  return info;
}

int lull_eig(char type, int n, void *a, void *values, void *vectors) {
  if (type != 'c') return realEig(type, n, a, values, vectors);
  int info = 0, query = -1, one = 1, rows = vectors ? n : 1;
  Complex size = {0, 0};
  float *reals = malloc(sizeof(float) * 2 * (size_t)n);
  if (!reals) return lullLapackMemory;
  cgeev(vectors ? "V" : "N", "N", &n, a, &n, values, vectors, &rows, NULL, &one, &size, &query, reals,
        &info, 1, 1);
  int room = roomy(size.re);
  void *work = malloc((size_t)room * 8);
  if (!work) return free(reals), lullLapackMemory;
  cgeev(vectors ? "V" : "N", "N", &n, a, &n, values, vectors, &rows, NULL, &one, work, &room, reals,
        &info, 1, 1);
  if (vectors) conjugate(vectors, (size_t)n * n);
  free(work);
  free(reals);
  return info;
}
