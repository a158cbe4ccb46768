// Machine code for fused programs on AVX-512; see jit.c.
#pragma once
#include "Kernels.h"

// Computes n elements: streams are the addresses of the inputs (in their order, constants left
// out), then of the outputs; scalars hold the constant inputs in their compute types. A kernel of
// rows does so `rows` times: after each row the streams move on by the bytes that stand from
// streams[lullJitSteps] on, the sums' stream by one float.
typedef void (*LullKernel)(char **streams, const uint32_t *scalars, int64_t n, int64_t rows);

enum { lullJitStreams = lullMaxInputs + 72, lullJitSteps = 16, lullRowStreams = 7 };

// How the streams of a program lie for its kernel.
typedef struct LullJit {
  LullKernel run;  // NULL: the tile interpreter has to do it
  // Memory types of the input streams: an input that is not linear comes in its compute type.
  uint8_t isLinear[lullMaxInputs];
  int allLinear;
  // Kernels of rows: the elements of a row (0: not one), and the inputs with one value for a row.
  int64_t rowLength;
  uint8_t isSplat[lullMaxInputs];
  uint8_t isFixed[lullMaxInputs];  // the same row for all rows of a call
  uint8_t sums;  // the last output gets the sums of 16 lanes
} LullJit;

// Finds or makes the kernel of a program; `reduceReg` is an output when the program reduces: the
// values, or with `sums` their sums in 16 lanes of float32 (of rows: each row's sum). Rows lie
// along the last dimension, with every input linear there or constant.
LullJit lull_jit(const LullProgram *p, int streaming, int sums, int64_t rowLength);
