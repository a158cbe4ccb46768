// Chooses the level of the tile interpreter and spreads programs over the pool.
#include "Kernels.h"
#include "jit.h"
#include "vm_internal.h"
#include <string.h>

static const LullLevel *level(void) {
#if defined(__x86_64__)
  int simd = lull_simd_level();
  if (simd == 2) return &lull_level_avx512;
  if (simd == 1) return &lull_level_avx2;
#endif
  return &lull_level_portable;
}

LullOpFunction lull_op_function(int op, int type) { return level()->op(op, type); }

void lull_transpose_block(char *d, int64_t ds, const char *s, int64_t ss, int64_t h, int64_t w) {
  level()->transpose(d, ds, s, ss, h, w);
}

void lull_threefry(const uint32_t key[2], uint32_t from, uint32_t second, int64_t n, uint32_t *out0,
                   uint32_t *out1) {
  level()->threefry(key, from, second, n, out0, out1);
}

static const uint8_t computeTypes[lullElementTypes] = {
  lullI32, lullI32, lullI32, lullU32, lullU64, lullI32, lullI32, lullI32, lullI64, lullF32,
  lullF32, lullF32, lullF64, lullC64, lullC128,
};
int lull_compute_type(int dtype) { return computeTypes[dtype]; }
int lull_dtype_size(int dtype) { return dtypeSize[dtype]; }
int lull_compute_size(int type) { return computeSize[type]; }

// Below this many element-instructions a region is not worth waking a worker for (about 30 us).
enum { parallelWork = 400000, chunkWork = 100000 };

static int64_t work_of(const LullProgram *p) {
  int64_t each = 2;
  for (int i = 0; i < p->instructionCount; ++i) {
    int op = p->code[i].op;
    each += op >= lullExp && op <= lullErfInv ? 8 : op >= lullFloorDiv && op <= lullPow ? 6 : 1;
  }
  return each;
}

static void elementwise_chunk(void *context, int64_t chunk, int worker) {
  const LullProgram *p = ((const void **)context)[0];
  int64_t size = *(int64_t *)((void **)context)[1];
  int64_t from = chunk * size, to = from + size < p->total ? from + size : p->total;
  level()->elementwise(p, from, to);
}

// Outputs larger than this go past the caches: they will not be found there anyway.
static const int64_t streamingBytes = 8 << 20;

static int streams_out(const LullProgram *p) {
  if (p->total * 4 < streamingBytes) return 0;
  for (int i = 0; i < p->outputCount; ++i)
    if ((uintptr_t)p->outputs[i].data % 64) return 0;
  for (int i = 0; i < p->inputCount; ++i)
    if (p->inputs[i].data == p->outputs[0].data) return 0;
  return 1;
}

// Finds the inputs that run fastest along another dimension than the last one.
static void find_crossing(LullProgram *p) {
  int last = p->rank - 1, count = 0;
  p->crossing = 0;
  p->cross = -1;
  if (last < 1 || p->shape[last] < 16) return;
  for (int i = 0; i < p->inputCount && count < lullMaxPanels; ++i) {
    const LullInput *in = &p->inputs[i];
    int64_t size = dtypeSize[in->dtype];
    if (in->isConstant || in->strides[last] == size || in->strides[last] == 0) continue;
    for (int k = last - 1; k >= 0; --k) {
      if (in->strides[k] != size || p->shape[k] < 8 || (p->cross >= 0 && p->cross != k)) continue;
      p->cross = k;
      p->crossing |= 1ull << i;
      ++count;
      break;
    }
  }
}

static void blocks_chunk(void *context, int64_t chunk, int worker) {
  const LullProgram *p = ((const void **)context)[0];
  const int64_t *plan = ((void **)context)[1];  // units of a chunk, units
  int64_t from = chunk * plan[0], to = from + plan[0] < plan[1] ? from + plan[0] : plan[1];
  level()->elementwiseBlocks(p, from, to);
}

void lull_load_number(uint32_t *number, const LullInput *in) {
  _Alignas(64) char value[slotStride];
  level()->load(value, in->data, in->dtype, 0, 1);
  memcpy(number, value, 4);
}

int64_t lull_even_chunks(int64_t units, int64_t *each) {
  int64_t chunks = (units + *each - 1) / *each, threads = lull_thread_count();
  if (chunks <= 1 || chunks > 16 * threads) return chunks;
  chunks = (chunks + threads - 1) / threads * threads;
  *each = (units + chunks - 1) / chunks;
  return (units + *each - 1) / *each;
}

void lull_program_run(const LullProgram *given) {
  LullProgram q = *given, *p = &q;
  int64_t each = work_of(p);
  int streaming = streams_out(p);
  if (lull_run_rows(p, streaming, parallelWork, each)) return;
  LullJit jit = lull_jit(p, streaming, 0, 0);
  q.jit = jit.run ? &jit : NULL;
  find_crossing(p);
  if (p->crossing) {
    int64_t columns = p->tile / 2;
    int64_t units = p->total / p->shape[p->cross] / p->shape[p->rank - 1]
      * ((p->shape[p->cross] + 15) / 16) * ((p->shape[p->rank - 1] + columns - 1) / columns);
    int64_t plan[2] = {chunkWork / (each * 16 * columns) + 1, units};
    if (p->total * each < parallelWork) plan[0] = units;
    while (units / plan[0] > 4096) plan[0] *= 2;
    const void *context[2] = {p, plan};
    lull_parallel_for((units + plan[0] - 1) / plan[0], blocks_chunk, context);
    return;
  }
  if (p->total * each < parallelWork || lull_thread_count() == 1) {
    level()->elementwise(p, 0, p->total);
    return;
  }
  int64_t tiles = (p->total + p->tile - 1) / p->tile, size = chunkWork / each / p->tile;
  if (size < 1) size = 1;
  while (tiles / size > 4096) size *= 2;
  int64_t chunks = lull_even_chunks(tiles, &size);
  size *= p->tile;
  const void *context[2] = {p, &size};
  lull_parallel_for(chunks, elementwise_chunk, context);
}

void lull_program_prepare(LullProgram *p, const LullProgram *given, LullJit *jit) {
  *p = *given;
  p->crossing = 0;
  *jit = lull_jit(p, 0, 0, 0);
  p->jit = jit->run ? jit : NULL;
}
void lull_program_part(const LullProgram *p, int64_t from, int64_t to) { level()->elementwise(p, from, to); }

static int64_t column_tiles(const LullProgram *p) { return (p->inner + p->tile - 1) / p->tile; }

int64_t lull_reduce_scratch(LullProgram *p) {
  int64_t each = work_of(p), work = p->outer * p->reduced * p->inner * each;
  int64_t units = p->inner == 1 ? p->outer : p->outer * column_tiles(p);
  int64_t width = p->inner == 1 ? 1 : p->inner < p->tile ? p->inner : p->tile;
  p->splits = 1;
  if (work >= parallelWork && units < 16) {
    int64_t rows = chunkWork * 2 / (each * width);  // reduced indices of one chunk
    if (rows < 1) rows = 1;
    int64_t splits = lull_even_chunks(p->reduced, &rows);
    if (splits > 256) splits = 256;
    p->splits = splits < 1 ? 1 : (int)splits;
  }
  if (p->splits == 1) return 0;
  return p->inner == 1 ? p->outer * p->splits * (int64_t)sizeof(LullAccumulator)
                       : p->outer * p->inner * p->splits * computeSize[p->reduceType];
}

typedef struct {
  const LullProgram *program;
  int64_t unitsPerChunk, units, step;
} Reduction;

static void row_chunk(void *context, int64_t chunk, int worker) {
  Reduction *r = context;
  const LullProgram *p = r->program;
  if (p->splits > 1) {
    int64_t row = chunk / p->splits, split = chunk % p->splits;
    int64_t r0 = split * r->step, r1 = r0 + r->step;
    if (r1 > p->reduced) r1 = p->reduced;
    if (r0 > r1) r0 = r1;
    level()->reduceRows(p, row, row + 1, r0, r1,
      (LullAccumulator *)p->partials + row * p->splits + split);
    return;
  }
  int64_t from = chunk * r->unitsPerChunk, to = from + r->unitsPerChunk;
  level()->reduceRows(p, from, to < p->outer ? to : p->outer, 0, p->reduced, NULL);
}

static void column_chunk(void *context, int64_t chunk, int worker) {
  Reduction *r = context;
  const LullProgram *p = r->program;
  int64_t tiles = column_tiles(p), split = chunk % p->splits;
  int64_t first = chunk / p->splits * r->unitsPerChunk;
  for (int64_t unit = first; unit < first + r->unitsPerChunk && unit < r->units; ++unit) {
    int64_t outer = unit / tiles, i0 = unit % tiles * p->tile, i1 = i0 + p->tile;
    if (i1 > p->inner) i1 = p->inner;
    int wide = computeSize[p->reduceType];
    int64_t r0 = split * r->step, r1 = r0 + r->step;
    if (r1 > p->reduced) r1 = p->reduced;
    char *partial = p->splits == 1 ? NULL
      : p->partials + ((split * p->outer + outer) * p->inner + i0) * wide;
    level()->reduceColumns(p, outer, i0, i1, r0, r1, partial);
  }
}

void lull_program_reduce(const LullProgram *given) {
  LullProgram q = *given, *p = &q;
  q.crossing = 0;
  int64_t each = work_of(p);
  if (lull_run_rows(p, 0, parallelWork, each)) return;
  // Long rows of float32 are summed by the machine code itself.
  int sums = p->reduce == lullSum && p->reduceType == lullF32 && p->inner == 1 && p->reduced * 2 > p->tile;
  LullJit jit = lull_jit(p, 0, sums, 0);
  q.jit = jit.run ? &jit : NULL;
  Reduction r = {p, 1, 0, p->reduced};
  int64_t chunks;
  if (p->splits > 1) {
    r.step = (p->reduced + p->splits - 1) / p->splits;
    if (p->inner == 1) r.step = (r.step + p->tile - 1) / p->tile * p->tile;
  }
  // Every split must have rows: the last ones may have none after rounding.
  if (p->splits > 1) q.splits = (int)((p->reduced + r.step - 1) / r.step);
  r.program = &q;
  if (p->inner == 1) {
    int64_t perRow = p->reduced * each + 20;
    r.units = p->outer;
    if (q.splits == 1) {
      r.unitsPerChunk = chunkWork / perRow + 1;
      if (p->outer * perRow < parallelWork) r.unitsPerChunk = p->outer > 0 ? p->outer : 1;
    }
    chunks = q.splits > 1 ? p->outer * q.splits : (p->outer + r.unitsPerChunk - 1) / r.unitsPerChunk;
    lull_parallel_for(chunks, row_chunk, &r);
    if (q.splits > 1) level()->finishRows(&q, (LullAccumulator *)p->partials, 0, p->outer);
    return;
  }
  int64_t width = p->inner < p->tile ? p->inner : p->tile;
  int64_t perUnit = p->reduced * width * each;
  r.units = p->outer * column_tiles(p);
  if (q.splits == 1) {
    r.unitsPerChunk = chunkWork / (perUnit + 1) + 1;
    if (r.units * perUnit < parallelWork) r.unitsPerChunk = r.units;
  }
  chunks = (r.units + r.unitsPerChunk - 1) / r.unitsPerChunk * q.splits;
  lull_parallel_for(chunks, column_chunk, &r);
  if (q.splits > 1) level()->finishColumns(&q, 0, p->outer * p->inner);
}

void lull_convert(char *d, int ddtype, const char *s, int sdtype, int64_t stride, int64_t n) {
  const LullLevel *l = level();
  _Alignas(64) char a[lullSlotBytes], b[lullSlotBytes];
  int from = computeTypes[sdtype], to = computeTypes[ddtype];
  int cast = lullCastF32 + to;
  LullOpFunction f = from == to ? NULL : l->op(cast, from);
  if (ddtype == lullBool) f = l->op(lullNotZero, from);
  int64_t step = from == lullC128 || to == lullC128 ? 128 : 256;
  for (int64_t i = 0; i < n; i += step) {
    int64_t m = n - i < step ? n - i : step;
    l->load(a, s + i * stride, sdtype, stride, m);
    if (f) f(b, a, NULL, NULL, (m + 15) & ~(int64_t)15);
    l->store(d + i * dtypeSize[ddtype], f ? b : a, ddtype, m);
  }
}

typedef struct {
  float *out;
  const float *x;
  int64_t rows, columns, each;
  int isLog;
} SoftmaxRows;

static void softmax_chunk(void *context, int64_t chunk, int worker) {
  const SoftmaxRows *s = context;
  int64_t from = chunk * s->each, to = from + s->each < s->rows ? from + s->each : s->rows;
  level()->softmax(s->out + from * s->columns, s->x + from * s->columns, to - from, s->columns,
    s->isLog);
}

void lull_softmax(float *out, const float *x, int64_t rows, int64_t columns, int isLog) {
  int64_t each = 32768 / (columns + 1) + 1;
  if (rows * columns < 65536) each = rows;
  SoftmaxRows s = {out, x, rows, columns, each, isLog};
  lull_parallel_for((rows + each - 1) / each, softmax_chunk, &s);
}
