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


// Few channels: the taps along the last axis lie in one piece of memory with their channels. They count as
// the channels of one tap, `row` of which is a position further. Where the piece reaches over an end of the
// axis, a copy with zeros is read instead.
static inline int conv_merges(const LullConv *c) {
  return c->groups == 1 && !conv_is_depthwise(c) && c->channels <= 16 && c->kernel[2] > 1 &&
         c->kernelDilation[2] == 1 && c->inputDilation[0] == 1 && c->inputDilation[1] == 1 &&
         c->inputDilation[2] == 1 && conv_taps(c) * c->channels <= 4096;
}
static inline int64_t conv_rows(const LullConv *c) {
  return conv_merges(c) ? c->kernel[0] * c->kernel[1] : conv_taps(c);
}
static inline int64_t conv_depth(const LullConv *c) {
  return conv_merges(c) ? c->kernel[2] * c->channels : c->channels / c->groups;
}
// Where element k of such a tap is in the weight's.
static inline int64_t conv_merged_place(const LullConv *c, int64_t k) {
  if (!c->flip || !conv_merges(c)) return k;
  return (c->kernel[2] - 1 - k / c->channels) * c->channels + k % c->channels;
}

// Few outputs (the gradient for an image): vectors of outputs would be empty for the most part. Each input
// position is multiplied with all taps at once instead, and the results are added to where they belong.
enum { convSpreadWidth = 32 };
static inline int conv_spreads(const LullConv *c) {
  int64_t each = conv_taps(c) * c->outputs;
  return c->groups == 1 && c->outputs <= 8 && c->channels >= 8 && c->kernel[2] > 1 && c->stride[0] == 1 &&
         c->stride[1] == 1 && c->stride[2] == 1 && c->kernelDilation[2] == 1 && each >= 16 && each <= 4096;
}
static inline int64_t conv_spread_size(const LullConv *c) {
  return (conv_taps(c) * c->outputs + convSpreadWidth - 1) / convSpreadWidth * convSpreadWidth;
}
// Where input position i goes by tap k of an axis with stride 1; it may be outside.
static inline int64_t conv_target(const LullConv *c, int axis, int64_t i, int64_t k) {
  if (c->flip) k = c->kernel[axis] - 1 - k;
  return i * c->inputDilation[axis] + c->low[axis] - k * c->kernelDilation[axis];
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
// The same for a merged tap. What reaches over an end is copied from the image x to `slots`, pieces of
// conv_depth elements, from number *used on (0 is all zeros); slot s stands in the table as -1 - s.
void lull_conv_merged_tap(const LullConv *c, int64_t tap, const void *x, int64_t first, int64_t count,
                          int32_t *table, void *slots, int64_t *used);
// Elements of a row of the padded copy.
int64_t lull_conv_row_size(const LullConv *c);
