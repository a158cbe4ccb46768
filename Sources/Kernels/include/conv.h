// Convolutions of [N, D, H, W, C] arrays with weights [O, kd, kh, kw, C / groups], in float or double.
//
// No patch matrix is ever made: a tile of output positions reads its inputs through pointers, one for each
// position and tap; where a tap falls on padding (or between the elements of a dilated input) the pointer is
// to zeros, and a tap that all positions of a tile miss is left out.
#pragma once
#include <stdint.h>

typedef struct {
  int isDouble;
  int64_t images, channels, outputs, groups;   // all channels of all groups
  int64_t in[3], kernel[3], out[3];
  int64_t stride[3], low[3], kernelDilation[3], inputDilation[3];
  int flip;
  const void *x;
  const void *weight;       // [O, taps, C / groups]; read by packing and by the weight's gradient not at all
  void *packed;             // lull_conv_packed_size elements
  void *y;                  // [N, out, O]; the weight's gradient reads it
  const int32_t *order;     // out positions of an image, those of one phase of the dilation together; or null
  const void *padded;       // lull_conv_padded_size elements, for one channel; or null
  int64_t block;            // out positions in a chunk
} LullConv;

int64_t lull_conv_packed_size(const LullConv *c);
// Brings the weight into the order in which the tiles read it.
void lull_conv_pack(const LullConv *c);
// Whether c->order must be there, and how many positions make a good chunk (c->block).
int lull_conv_is_ordered(const LullConv *c);
int64_t lull_conv_block(const LullConv *c);
// Writes c->order: out[0] * out[1] * out[2] numbers.
void lull_conv_order(const LullConv *c, int32_t *order);
// One channel in, one out, unit steps along the last axis: rows with their padding. 0 when it is another case.
int64_t lull_conv_padded_size(const LullConv *c);
void lull_conv_pad(const LullConv *c, void *padded);

// Positions first ..< first + count (at most `block`) of an image; scratch of lull_conv_scratch bytes.
int64_t lull_conv_scratch(const LullConv *c);
void lull_conv(const LullConv *c, int64_t image, int64_t first, int64_t count, void *scratch);

// The gradient for the weight, [O, taps, C / groups], in pieces numbered from 0.
int64_t lull_conv_weight_pieces(const LullConv *c);
int64_t lull_conv_weight_scratch(const LullConv *c, int64_t pieces);
void lull_conv_weight(const LullConv *c, int64_t first, int64_t count, void *gradient, void *scratch);
