// Shared by the instruction sets' versions of the convolution kernels.
#pragma once
#include "Kernels.h"

// Elements of a weight block: it stays in the second-level cache while the tiles go over it.
enum { convBlockElements = 12 << 10, convWeightPositions = 256, convDepth = 6 };

static inline int64_t conv_taps(const LullConv *c) { return c->kernel[0] * c->kernel[1] * c->kernel[2]; }
static inline int64_t conv_out_size(const LullConv *c) { return c->out[0] * c->out[1] * c->out[2]; }
static inline int64_t conv_in_size(const LullConv *c) { return c->in[0] * c->in[1] * c->in[2]; }
static inline int conv_is_depthwise(const LullConv *c) {
  return c->groups == c->channels && c->groups == c->outputs;
}

// Where tap k of an axis reads for out position o: an index of the input, or -1.
static inline int64_t conv_place(const LullConv *c, int axis, int64_t o, int64_t k) {
  if (c->flip) k = c->kernel[axis] - 1 - k;
  int64_t p = o * c->stride[axis] - c->low[axis] + k * c->kernelDilation[axis];
  int64_t step = c->inputDilation[axis];
  if (p < 0) return -1;
  if (step != 1) {
    if (p % step) return -1;
    p /= step;
  }
  return p < c->in[axis] ? p : -1;
}

// For positions of one image: where each tap reads, table[tap * count + i] in positions, or -1.
void lull_conv_table(const LullConv *c, int64_t first, int64_t count, int32_t *table);
// The same for one tap.
void lull_conv_tap(const LullConv *c, int64_t tap, int64_t first, int64_t count, int32_t *table);
// Elements of a row of the padded copy.
int64_t lull_conv_row_size(const LullConv *c);
