// Machine code for fused programs on AVX-512; see jit.c.
#pragma once
#include "Kernels.h"

// Computes n elements: streams are the addresses of the inputs (in their order, constants left
// out), then of the outputs; scalars hold the constant inputs in their compute types.
typedef void (*LullKernel)(char *const *streams, const uint32_t *scalars, int64_t n);

enum { lullJitStreams = lullMaxInputs + 72 };

// How the streams of a program lie for its kernel.
typedef struct LullJit {
  LullKernel run;  // NULL: the tile interpreter has to do it
  // Memory types of the input streams: an input that is not linear comes in its compute type.
  uint8_t isLinear[lullMaxInputs];
  int allLinear;
  uint8_t sums;  // the last output gets the sums of 16 lanes
} LullJit;

// Finds or makes the kernel of a program; `reduceReg` is an output when the program reduces: the
// values, or with `sums` their sums in 16 lanes of float32.
LullJit lull_jit(const LullProgram *p, int streaming, int sums);
