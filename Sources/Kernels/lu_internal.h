// What lu.c and the kernels of an instruction set share.
#pragma once
#include "Kernels.h"

typedef struct {
  int most;    // rows that are factorised before the others are brought up to date: units
  int unit;    // rows that an update takes at once
  int width;   // columns of a tile
  int lanes;   // numbers of a vector
  // Rows k ..< k + count become final; `count` is at most `most`.
  void (*panel)(LullLU *, int64_t k, int64_t count);
  // Packs what the panel gives the others, [block of columns][count][width].
  void (*pack)(const LullLU *, int64_t k, int64_t count, void *packed);
  // Brings rows from ..< to up to date with the panel. `scratch`: (to - from) * most elements.
  void (*update)(const LullLU *, int64_t k, int64_t count, const void *packed, int64_t from, int64_t to,
                 void *scratch);
  // Exchanges the columns first ..< last of a row with their pivots.
  void (*exchange)(const LullLU *, int64_t row, int64_t first, int64_t last);
  // Solve in place for tiles of `size` elements, [n rounded up to whole units][vectors of numbers]: a row of the
  // matrix serves all of them while it is in the cache. The first `start` rows are zero, `step` more in each tile.
  void (*lower)(const LullLU *, void *x, int64_t size, int tiles, int vectors, int64_t start, int64_t step);
  void (*upper)(const LullLU *, void *x, int64_t size, int tiles, int vectors, int isUnit);
} LullLUKernels;

extern const LullLUKernels lull_lu_avx2_f, lull_lu_avx2_d, lull_lu_avx512_f, lull_lu_avx512_d;
