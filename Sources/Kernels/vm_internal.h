// What the levels of the tile interpreter share with the dispatcher in vm.c.
#pragma once
#include "Kernels.h"
#include "jit.h"

typedef struct {
  double re, im;   // floats and complex numbers
  uint64_t u;      // integers and booleans (signed ones sign-extended)
  int64_t index;   // arg reductions
  int64_t count;   // elements folded so far
} LullAccumulator;

// The bytes of a value in a compute type, of an element in memory, and of one once it is loaded.
static const uint8_t computeSize[lullComputeTypes] = {4, 8, 4, 4, 8, 8, 8, 16};
static const uint8_t dtypeSize[lullElementTypes] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8, 8, 16};
static const uint8_t loadedSize[lullElementTypes] = {4, 4, 4, 4, 8, 4, 4, 4, 8, 4, 4, 4, 8, 8, 16};

enum {
  slotStride = lullSlotBytes + 64 + 64,  // a tile, slack for padded groups, and an odd distance
};

typedef struct {
  LullOpFunction (*op)(int op, int type);
  void (*load)(void *dst, const char *src, int dtype, int64_t stride, int64_t n);
  void (*store)(char *dst, const void *src, int dtype, int64_t n);
  void (*elementwise)(const LullProgram *, int64_t from, int64_t to);
  void (*elementwiseBlocks)(const LullProgram *, int64_t from, int64_t to);
  void (*reduceRows)(const LullProgram *, int64_t row0, int64_t row1, int64_t r0, int64_t r1,
                     LullAccumulator *partial);
  void (*reduceColumns)(const LullProgram *, int64_t outer, int64_t i0, int64_t i1, int64_t r0,
                        int64_t r1, char *partial);
  void (*finishRows)(const LullProgram *, LullAccumulator *partials, int64_t row0, int64_t row1);
  void (*finishColumns)(const LullProgram *, int64_t from, int64_t to);
  void (*softmax)(float *out, const float *x, int64_t rows, int64_t columns, int isLog);
  void (*transpose)(char *d, int64_t ds, const char *s, int64_t ss, int64_t h, int64_t w);
  void (*threefry)(const uint32_t key[2], uint32_t from, uint32_t second, int64_t n, uint32_t *out0,
                   uint32_t *out1);
} LullLevel;

// For kernels that run a program over each part of its space as soon as its input is there: prepared
// once, by the caller of a region, then any worker runs the elements from ..< to.
void lull_program_prepare(LullProgram *p, const LullProgram *given, LullJit *jit);
void lull_program_part(const LullProgram *p, int64_t from, int64_t to);

// Random words of n counters, see random_impl.h.
void lull_threefry(const uint32_t key[2], uint32_t from, uint32_t second, int64_t n, uint32_t *out0,
                   uint32_t *out1);
// A block of h x w 4-byte elements: the destination's rows are `w` long, the source's columns contiguous.
void lull_transpose_block(char *d, int64_t ds, const char *s, int64_t ss, int64_t h, int64_t w);

// Runs a program by a kernel of rows; 0 where that does not fit it.
int lull_run_rows(const LullProgram *p, int streaming, int64_t parallelWork, int64_t workOfElement);
// A constant input in its compute type of 4 bytes.
void lull_load_number(uint32_t *number, const LullInput *in);
// How many chunks units make, at least `each` in all but the last. A few are made even in number, so
// that the threads end together.
int64_t lull_even_chunks(int64_t units, int64_t *each);

extern const LullLevel lull_level_portable, lull_level_avx2, lull_level_avx512;
