// Kernels of rows: machine code that walks a two-dimensional space itself, with a step from row to
// row for each array, and so reads broadcast and sliced inputs where they lie. A row is what a sum
// adds up, or the last dimension of a program without a reduction.
//
// What it saves: a value that is one for a whole row, or a row that is the same for all, is not
// copied into tiles, and the sum of a short row leaves the registers as one number. A sum of
// squared differences of 2000 x 2000 pairs of 64 numbers takes a sixth of the time of the tiles.
#include "vm_internal.h"
#include <string.h>

enum { longestRow = 4096, leastRows = 4, rowsAtOnce = 1 << 16, reusedBytes = 16384 };

typedef struct {
  const LullProgram *program;  // its last dimension is a row, the one before it a column of rows
  const LullJit *jit;
  uint32_t scalars[lullMaxInputs];
  int64_t columns, rowsPerCall;
  int64_t unitsPerChunk, units;
  int isByColumns;             // units are columns, else rows of the only column
} Rows;

// `count` rows of a column from `row` on.
static void run_rows(const Rows *r, int64_t column, int64_t row, int64_t count) {
  const LullProgram *p = r->program;
  int down = p->rank - 2;
  int64_t n = p->shape[p->rank - 1], first = column * p->shape[down] + row;
  char *streams[lullJitStreams];
  int64_t index[lullMaxRank + 1];
  index[down] = row;
  for (int k = down - 1; k >= 0; --k) {
    index[k] = column % p->shape[k];
    column /= p->shape[k];
  }
  int stream = 0;
  for (int i = 0; i < p->inputCount; ++i) {
    const LullInput *in = &p->inputs[i];
    if (in->isConstant) continue;
    char *at = (char *)in->data;
    for (int k = 0; k <= down; ++k) at += index[k] * in->strides[k];
    streams[lullJitSteps + stream] = (char *)in->strides[down];
    streams[stream++] = at;
  }
  for (int i = 0; i < p->outputCount; ++i) {
    int64_t size = lull_dtype_size(p->outputs[i].dtype);
    streams[lullJitSteps + stream] = (char *)(n * size);
    streams[stream++] = p->outputs[i].data + first * n * size;
  }
  if (p->reduce) streams[stream] = p->result + first * (int64_t)sizeof(float);
  r->jit->run(streams, r->scalars, n, count);
}

static void rows_chunk(void *context, int64_t chunk, int worker) {
  const Rows *r = context;
  int64_t from = chunk * r->unitsPerChunk, to = from + r->unitsPerChunk;
  if (to > r->units) to = r->units;
  int64_t column0 = r->isByColumns ? from : 0, column1 = r->isByColumns ? to : 1;
  int64_t row0 = r->isByColumns ? 0 : from, row1 = r->isByColumns ? r->program->shape[r->program->rank - 2] : to;
  // The same few rows for all columns: what they share stays in the cache.
  for (int64_t row = row0; row < row1; row += r->rowsPerCall) {
    int64_t count = row1 - row < r->rowsPerCall ? row1 - row : r->rowsPerCall;
    for (int64_t column = column0; column < column1 && !lull_interrupt_stops(); ++column)
      run_rows(r, column, row, count);
  }
}

// The rows of one call: few when the next column reads the same memory again.
static int64_t rows_per_call(const LullProgram *p) {
  int down = p->rank - 2;
  int64_t n = p->shape[p->rank - 1], bytes = 0;
  int isReused = 0;
  for (int i = 0; i < p->inputCount; ++i) {
    const LullInput *in = &p->inputs[i];
    if (in->isConstant || in->strides[down] == 0) continue;
    bytes += in->strides[down + 1] ? n * lull_dtype_size(in->dtype) : 64;
    if (down > 0 && in->strides[down - 1] == 0) isReused = 1;
  }
  int64_t rows = isReused ? reusedBytes / bytes : rowsAtOnce / n;
  return rows < 8 ? 8 : rows;
}

// Whether all rows run along the last dimension, which is cut when it holds several.
static int has_rows(LullProgram *p, LullInput *inputs, int64_t n) {
  int last = p->rank - 1, arrays = p->outputCount;
  if (last < 0 || n > longestRow || p->shape[last] % n || p->rank == lullMaxRank) return 0;
  for (int i = 0; i < p->inputCount; ++i) {
    const LullInput *in = &p->inputs[i];
    if (in->isConstant) continue;
    int64_t size = lull_dtype_size(in->dtype), step = in->strides[last];
    if (size > 4 || (step != size && !(step == 0 && size == 4))) return 0;
    ++arrays;
  }
  if (arrays > lullRowStreams) return 0;
  if (p->shape[last] == n) return p->rank > 1;
  memcpy(inputs, p->inputs, sizeof(LullInput) * (size_t)p->inputCount);
  p->inputs = inputs;
  p->shape[p->rank] = n;
  p->shape[last] /= n;
  for (int i = 0; i < p->inputCount; ++i) {
    inputs[i].strides[p->rank] = inputs[i].strides[last];
    inputs[i].strides[last] *= n;
  }
  ++p->rank;
  return 1;
}

int lull_run_rows(const LullProgram *given, int streaming, int64_t parallelWork, int64_t workOfElement) {
  LullProgram q = *given, *p = &q;
  LullInput inputs[lullMaxInputs];
  int64_t n;
  if (p->reduce) {
    if (p->reduce != lullSum || p->reduceType != lullF32 || p->resultDType != lullFloat32) return 0;
    if (p->inner != 1 || p->outer < leastRows) return 0;
    n = p->reduced;
  } else {
    if (p->rank < 2) return 0;
    n = p->shape[p->rank - 1];
    if (p->total / n < leastRows) return 0;
    if (n * 4 % 64) streaming = 0;  // such stores need whole lines
  }
  if (!has_rows(p, inputs, n)) return 0;
  LullJit jit = lull_jit(p, streaming, p->reduce != 0, n);
  if (!jit.run) return 0;
  Rows r = {p, &jit, .columns = p->total / n / p->shape[p->rank - 2]};
  int scalars = 0;
  for (int i = 0; i < p->inputCount; ++i)
    if (p->inputs[i].isConstant) lull_load_number(&r.scalars[scalars++], &p->inputs[i]);
  int64_t down = p->shape[p->rank - 2];
  r.rowsPerCall = rows_per_call(p);
  r.isByColumns = r.columns >= 2 * lull_thread_count();
  if (!r.isByColumns && r.columns > 1) return 0;
  r.units = r.isByColumns ? r.columns : down;
  int64_t work = (n * workOfElement + 20) * (r.isByColumns ? down : 1);
  r.unitsPerChunk = parallelWork / 4 / work + 1;
  int64_t most = r.units / (4 * lull_thread_count());
  if (r.isByColumns && r.rowsPerCall < down && r.unitsPerChunk < 16) r.unitsPerChunk = most < 16 ? most + 1 : 16;
  if (r.units * work < parallelWork) r.unitsPerChunk = r.units;
  int64_t chunks = lull_even_chunks(r.units, &r.unitsPerChunk);
  lull_parallel_for(chunks, rows_chunk, &r);
  return 1;
}
