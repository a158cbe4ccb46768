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
  X(zgetrf, (int *, int *, void *, int *, int *, int *))                                                     \
  X(cgetri, (int *, void *, int *, int *, void *, int *, int *))                                             \
  X(zgetri, (int *, void *, int *, int *, void *, int *, int *))                                             \
  X(cgetrs, (const char *, int *, int *, void *, int *, int *, void *, int *, int *, size_t))                       \
  X(zgetrs, (const char *, int *, int *, void *, int *, int *, void *, int *, int *, size_t))                       \
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
  X(zgesdd, (const char *, int *, int *, void *, int *, void *, void *, int *, void *, int *, void *, int *,   \
             void *, int *, int *, size_t))                                                                 \
  X(ssyevd, (const char *, const char *, int *, void *, int *, void *, void *, int *, int *, int *, int *, size_t,  \
             size_t))                                                                                   \
  X(dsyevd, (const char *, const char *, int *, void *, int *, void *, void *, int *, int *, int *, int *, size_t,  \
             size_t))                                                                                   \
  X(cheevd, (const char *, const char *, int *, void *, int *, void *, void *, int *, void *, int *, int *,  \
             int *, int *, size_t, size_t))                                                                      \
  X(zheevd, (const char *, const char *, int *, void *, int *, void *, void *, int *, void *, int *, int *,  \
             int *, int *, size_t, size_t))                                                                      \
  X(sgeev, (const char *, const char *, int *, void *, int *, void *, void *, void *, int *, void *,     \
            int *, void *, int *, int *, size_t, size_t))                                                          \
  X(dgeev, (const char *, const char *, int *, void *, int *, void *, void *, void *, int *, void *,     \
            int *, void *, int *, int *, size_t, size_t))                                                          \
  X(cgeev, (const char *, const char *, int *, void *, int *, void *, void *, int *, void *, int *,        \
            void *, int *, void *, int *, size_t, size_t))                                         \
  X(zgeev, (const char *, const char *, int *, void *, int *, void *, void *, int *, void *, int *,        \
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

static int is_double(char type) { return type == 'd' || type == 'z'; }
static int is_complex(char type) { return type == 'c' || type == 'z'; }
// The bytes of a number, and of its real part.
static size_t part_bytes(char type) { return is_double(type) ? 8 : 4; }
static size_t element_bytes(char type) { return part_bytes(type) * (is_complex(type) ? 2 : 1); }

static void conjugate(char type, void *z, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (is_double(type)) ((double *)z)[2 * i + 1] *= -1;
    else ((float *)z)[2 * i + 1] *= -1;
}

// The size in the first element of a workspace query, with room for its rounding to float.
static int roomy(char type, const void *size) {
  return (int)((is_double(type) ? *(const double *)size : *(const float *)size) * 1.0001) + 16;
}
// The routine of a type.
#define OF(type, s, d, c, z) ((type) == 's' ? (s) : (type) == 'd' ? (d) : (type) == 'c' ? (c) : (z))

int lull_potrf(char type, int upper, int n, void *a) {
  int info = 0;
  (type == 's' ? spotrf : dpotrf)(upper ? "L" : "U", &n, a, &n, &info, 1);
  return info;
}

int lull_getrf(char type, int m, int n, void *a, int *pivots) {
  int info = 0;
  OF(type, sgetrf, dgetrf, cgetrf, zgetrf)(&m, &n, a, &m, pivots, &info);
  return info;
}

int lull_inverse(char type, int n, void *a, int *pivots) {
  int info = lull_getrf(type, n, n, a, pivots), query = -1;
  if (info) return info;
  double size[2] = {0, 0};
  void (*invert)(int *, void *, int *, int *, void *, int *, int *) = OF(type, sgetri, dgetri, cgetri, zgetri);
  invert(&n, a, &n, pivots, size, &query, &info);
  int room = roomy(type, size);
  void *work = malloc((size_t)room * element_bytes(type));
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
  OF(type, sgetrs, dgetrs, cgetrs, zgetrs)("T", &n, &k, a, &n, pivots, b, &n, &info, 1);
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
  int p = roomy(type, &first), q = roomy(type, &second);
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
  void *reals = NULL;
  int ldu = u ? n : 1, ldv = !u ? 1 : thin ? k : m;
  if (is_complex(type)) {
    size_t big = m > n ? m : n;
    size_t count = u ? 5 * (size_t)k * k + 5 * (size_t)k + 2 * big * k + 2 * (size_t)k * k : 7 * (size_t)k;
    reals = malloc(part_bytes(type) * (count + 16));
    if (!reals) return free(integers), lullLapackMemory;
  }
#define DECOMPOSE(work, room)                                                                       \
  if (is_complex(type))                                                                             \
    (type == 'c' ? cgesdd : zgesdd)(job, &n, &m, a, &n, s, vt, &ldu, u, &ldv, work, room, reals,    \
                                    integers, &info, 1);                                            \
  else                                                                                              \
    (type == 's' ? sgesdd : dgesdd)(job, &n, &m, a, &n, s, vt, &ldu, u, &ldv, work, room, integers, &info, 1);
  DECOMPOSE(size, &query)
  int room = roomy(type, size);
  void *work = malloc((size_t)room * element_bytes(type));
  if (!work) {
    info = lullLapackMemory;
  } else {
    DECOMPOSE(work, &room)
  }
#undef DECOMPOSE
  free(work);
  free(reals);
  free(integers);
  return info;
}

int lull_eigh(char type, int upper, int vectors, int n, void *a, void *values) {
  int info = 0, query = -1, integerRoom = 0, realRoom = 0, room = 0;
  const char *job = vectors ? "V" : "N", *triangle = upper ? "L" : "U";
  double size[2] = {0, 0}, real = 0;
#define DECOMPOSE(work, room, reals, realRoom, integers, integerRoom)                               \
  if (is_complex(type))                                                                             \
    (type == 'c' ? cheevd : zheevd)(job, triangle, &n, a, &n, values, work, room, reals, realRoom,  \
                                    integers, integerRoom, &info, 1, 1);                            \
  else                                                                                              \
    (type == 's' ? ssyevd : dsyevd)(job, triangle, &n, a, &n, values, work, room, integers, integerRoom, \
                                    &info, 1, 1);
  DECOMPOSE(size, &query, &real, &query, &integerRoom, &query)
  room = roomy(type, size);
  if (is_complex(type)) realRoom = roomy(type, &real);
  void *work = malloc((size_t)room * element_bytes(type));
  void *reals = malloc(((size_t)realRoom + 1) * part_bytes(type));
  int *integers = malloc(((size_t)integerRoom + 1) * sizeof(int));
  if (!work || !reals || !integers) {
    info = lullLapackMemory;
  } else {
    DECOMPOSE(work, &room, reals, &realRoom, integers, &integerRoom)
    // What was decomposed is the transpose, which is the conjugate.
    if (is_complex(type) && vectors && !info) conjugate(type, a, (size_t)n * n);
  }
#undef DECOMPOSE
  free(work);
  free(reals);
  free(integers);
  return info;
}

// Real matrices: LAPACK's pairs of real vectors as complex ones, with parts of type T. The left eigenvectors of the
// transpose, conjugated, are the right ones of the matrix.
#define SPREAD(T)                                                                                   \
  static void spread_##T(int n, const T *re, const T *im, const T *v, T *values, T *vectors) {      \
    size_t count = (size_t)n;                                                                       \
    for (size_t i = 0; i < count; i++) values[2 * i] = re[i], values[2 * i + 1] = im[i];            \
    for (size_t i = 0; i < count && vectors; i++) {                                                 \
      const T *x = v + i * count, *y = x + count;                                                   \
      T *to = vectors + 2 * i * count, *next = to + 2 * count;                                      \
      int isPair = im[i] != 0 && i + 1 < count;                                                     \
      for (size_t j = 0; j < count; j++) {                                                          \
        to[2 * j] = x[j], to[2 * j + 1] = isPair ? -y[j] : 0;                                       \
        if (isPair) next[2 * j] = x[j], next[2 * j + 1] = y[j];                                     \
      }                                                                                             \
      i += (size_t)isPair;                                                                          \
    }                                                                                               \
  }
SPREAD(float)
SPREAD(double)

static int realEig(char type, int n, void *a, void *values, void *vectors) {
  int info = 0, query = -1, one = 1, rows = vectors ? n : 1;
  size_t width = part_bytes(type), count = (size_t)n;
  const char *job = vectors ? "V" : "N";
  double size = 0;
  char *parts = malloc((2 * count + (vectors ? count * count : 1)) * width);
  if (!parts) return lullLapackMemory;
  char *imaginary = parts + count * width, *v = imaginary + count * width;
  (type == 's' ? sgeev : dgeev)(job, "N", &n, a, &n, parts, imaginary, v, &rows, NULL, &one, &size,
                                &query, &info, 1, 1);
  int room = roomy(type, &size);
  void *work = malloc((size_t)room * width);
  if (!work) return free(parts), lullLapackMemory;
  (type == 's' ? sgeev : dgeev)(job, "N", &n, a, &n, parts, imaginary, v, &rows, NULL, &one, work,
                                &room, &info, 1, 1);
  if (!info && type == 's')
    spread_float(n, (float *)parts, (float *)imaginary, (float *)v, values, vectors);
  else if (!info)
    spread_double(n, (double *)parts, (double *)imaginary, (double *)v, values, vectors);
  free(work);
  free(parts);
  return info;
}

int lull_eig(char type, int n, void *a, void *values, void *vectors) {
  if (!is_complex(type)) return realEig(type, n, a, values, vectors);
  int info = 0, query = -1, one = 1, rows = vectors ? n : 1;
  double size[2] = {0, 0};
  void *reals = malloc(part_bytes(type) * 2 * (size_t)n);
  if (!reals) return lullLapackMemory;
  (type == 'c' ? cgeev : zgeev)(vectors ? "V" : "N", "N", &n, a, &n, values, vectors, &rows, NULL, &one, size,
                                &query, reals, &info, 1, 1);
  int room = roomy(type, size);
  void *work = malloc((size_t)room * element_bytes(type));
  if (!work) return free(reals), lullLapackMemory;
  (type == 'c' ? cgeev : zgeev)(vectors ? "V" : "N", "N", &n, a, &n, values, vectors, &rows, NULL, &one, work,
                                &room, reals, &info, 1, 1);
  if (vectors) conjugate(type, vectors, (size_t)n * n);
  free(work);
  free(reals);
  return info;
}
