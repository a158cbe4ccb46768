// What the convolution kernels share, and their dispatch.
#include "conv_internal.h"
#include <string.h>

#define KERNELS(isa)                                                                          \
  int64_t lull_##isa##_conv_width(const LullConv *);                                          \
  void lull_##isa##_conv_pack(const LullConv *);                                              \
  void lull_##isa##_conv(const LullConv *, int64_t, int64_t, int64_t, void *);                \
  void lull_##isa##_conv_weight(const LullConv *, int64_t, int64_t, void *, void *);

KERNELS(portable)
#if defined(__x86_64__)
KERNELS(avx2)
KERNELS(avx512)
#define CHOOSE(name, ...)                                        \
  switch (lull_simd_level()) {                                   \
  case 2: return lull_avx512_##name(__VA_ARGS__);                \
  case 1: return lull_avx2_##name(__VA_ARGS__);                  \
  default: return lull_portable_##name(__VA_ARGS__);             \
  }
#else
#define CHOOSE(name, ...) return lull_portable_##name(__VA_ARGS__);
#endif

static int64_t width(const LullConv *c) { CHOOSE(conv_width, c) }
void lull_conv_pack(const LullConv *c) { CHOOSE(conv_pack, c) }
void lull_conv(const LullConv *c, int64_t image, int64_t first, int64_t count, void *scratch) {
  CHOOSE(conv, c, image, first, count, scratch)
}
void lull_conv_weight(const LullConv *c, int64_t first, int64_t count, void *gradient, void *scratch) {
  CHOOSE(conv_weight, c, first, count, gradient, scratch)
}

int64_t lull_conv_packed_size(const LullConv *c) {
  if (conv_is_depthwise(c)) return conv_taps(c) * c->channels;
  if (conv_spreads(c)) return conv_spread_size(c) * c->channels;
  int64_t each = c->outputs / c->groups, depth = c->channels / c->groups;
  return c->groups * (each + 15) / 16 * 16 * conv_taps(c) * depth + c->groups * 16 * conv_taps(c) * depth;
}

// Pointers to the rows of y, zeros and slots, the table; or the products of a tile.
int64_t lull_conv_scratch(const LullConv *c) {
  int64_t element = c->isDouble ? 8 : 4;
  if (conv_spreads(c)) return 12 * conv_spread_size(c) * element;
  int64_t slots = conv_merges(c) ? conv_rows(c) * c->block + 1 : 1;
  return c->block * 8 + (slots * conv_depth(c) * element + 127) + conv_rows(c) * c->block * 4;
}

int lull_conv_is_ordered(const LullConv *c) {
  return (c->inputDilation[0] > 1 || c->inputDilation[1] > 1 || c->inputDilation[2] > 1) && !conv_spreads(c);
}

int64_t lull_conv_block(const LullConv *c) {
  if (conv_spreads(c)) {
    // Whole lines, not much fewer than those that one line of the input reaches.
    int64_t lines = c->out[0] * c->out[1], pieces = (4 * lull_thread_count() + c->images - 1) / c->images;
    int64_t each = (lines + pieces - 1) / pieces, reach = (c->kernel[1] - 1) * c->kernelDilation[1] + 1;
    if (each < 2 * reach) each = 2 * reach;
    return (each < lines ? each : lines) * c->out[2];
  }
  // Some 96 positions (a multiple of all tiles), fewer where threads would be idle.
  int64_t block = c->padded ? 4096 : 96, positions = conv_out_size(c);
  while (block > 24 && c->images * ((positions + block - 1) / block) < 4 * lull_thread_count()) block /= 2;
  return block < 24 ? 24 : block / 24 * 24;
}

void lull_conv_order(const LullConv *c, int32_t *order) {
  // A phase longer than the axis is the axis itself.
  int64_t step[3];
  for (int i = 0; i < 3; i++)
    step[i] = c->inputDilation[i] < c->out[i] ? c->inputDilation[i] : c->out[i];
  for (int64_t a = 0; a < step[0]; a++)
    for (int64_t b = 0; b < step[1]; b++)
      for (int64_t e = 0; e < step[2]; e++)
        for (int64_t d = a; d < c->out[0]; d += step[0])
          for (int64_t h = b; h < c->out[1]; h += step[1])
            for (int64_t w = e; w < c->out[2]; w += step[2])
              *order++ = (int32_t)((d * c->out[1] + h) * c->out[2] + w);
}

void lull_conv_table(const LullConv *c, int64_t first, int64_t count, int32_t *table) {
  int64_t taps = conv_taps(c);
  for (int64_t tap = 0; tap < taps; tap++) lull_conv_tap(c, tap, first, count, table + tap * count);
}

void lull_conv_tap(const LullConv *c, int64_t tap, int64_t first, int64_t count, int32_t *table) {
  int64_t kw = tap % c->kernel[2], kh = tap / c->kernel[2] % c->kernel[1];
  int64_t kd = tap / c->kernel[2] / c->kernel[1];
  int64_t line = -1, row = -1;
  for (int64_t i = 0; i < count; i++) {
    int64_t at = c->order ? c->order[first + i] : first + i;
    int64_t w = at % c->out[2], rest = at / c->out[2];
    if (rest != line) {
      line = rest;
      int64_t h = conv_place(c, 1, rest % c->out[1], kh), d = conv_place(c, 0, rest / c->out[1], kd);
      row = h < 0 || d < 0 ? -1 : (d * c->in[1] + h) * c->in[2];
    }
    int64_t x = row < 0 ? -1 : conv_place(c, 2, w, kw);
    table[i] = x < 0 ? -1 : (int32_t)(row + x);
  }
}

void lull_conv_merged_tap(const LullConv *c, int64_t tap, const void *x, int64_t first, int64_t count,
                          int32_t *table, void *slots, int64_t *used) {
  const size_t element = (size_t)c->channels * (c->isDouble ? 8 : 4);
  const int64_t kernel = c->kernel[2], size = c->in[2];
  int64_t kh = tap % c->kernel[1], kd = tap / c->kernel[1], line = -1, row = -1;
  for (int64_t i = 0; i < count; i++) {
    int64_t w = (first + i) % c->out[2], rest = (first + i) / c->out[2];
    if (rest != line) {
      line = rest;
      int64_t h = conv_place(c, 1, rest % c->out[1], kh), d = conv_place(c, 0, rest / c->out[1], kd);
      row = h < 0 || d < 0 ? -1 : (d * c->in[1] + h) * size;
    }
    int64_t from = w * c->stride[2] - c->low[2], to = from + kernel;
    if (row < 0 || to <= 0 || from >= size) {
      table[i] = -1;
      continue;
    }
    if (from >= 0 && to <= size) {
      table[i] = (int32_t)(row + from);
      continue;
    }
    int64_t before = from < 0 ? -from : 0, after = to > size ? to - size : 0, own = kernel - before - after;
    char *slot = (char *)slots + (size_t)(*used * kernel) * element;
    memset(slot, 0, (size_t)before * element);
    memcpy(slot + (size_t)before * element, (const char *)x + (size_t)(row + from + before) * element,
           (size_t)own * element);
    memset(slot + (size_t)(before + own) * element, 0, (size_t)after * element);
    table[i] = (int32_t)(-1 - *used);
    ++*used;
  }
}

int64_t lull_conv_row_size(const LullConv *c) {
  int64_t last = (c->out[2] - 1) + (c->kernel[2] - 1) * c->kernelDilation[2] + 1;
  int64_t own = c->low[2] + c->in[2];
  return (last > own ? last : own) + 64;
}
int64_t lull_conv_padded_size(const LullConv *c) {
  if (c->channels != 1 || c->outputs != 1 || c->stride[2] != 1 || c->inputDilation[2] != 1 ||
      c->inputDilation[1] != 1 || c->inputDilation[0] != 1 || c->low[2] < 0)
    return 0;
  return c->images * c->in[0] * c->in[1] * lull_conv_row_size(c) + 64;
}
void lull_conv_pad(const LullConv *c, void *padded) {
  size_t each = c->isDouble ? 8 : 4, size = (size_t)lull_conv_row_size(c) * each;
  size_t own = (size_t)c->in[2] * each, low = (size_t)c->low[2] * each;
  for (int64_t i = 0; i < c->images * c->in[0] * c->in[1]; i++) {
    char *row = (char *)padded + (size_t)i * size;
    memset(row, 0, low);
    memcpy(row + low, (const char *)c->x + (size_t)i * own, own);
    memset(row + low + own, 0, size - low - own);
  }
}

int64_t lull_conv_weight_pieces(const LullConv *c) {
  int64_t w = width(c);
  if (conv_is_depthwise(c)) return (c->channels + w - 1) / w * conv_taps(c);
  int64_t each = c->outputs / c->groups;
  return c->groups * ((each + w - 1) / w) * conv_rows(c) * ((conv_depth(c) + convDepth - 1) / convDepth);
}
int64_t lull_conv_weight_scratch(const LullConv *c, int64_t pieces) {
  int64_t element = c->isDouble ? 8 : 4, w = width(c);
  int64_t slots = conv_merges(c) ? (convWeightPositions + 1) * conv_depth(c) * element : 0;
  return convWeightPositions * (4 + 16 + w * element) + pieces * convDepth * w * element + slots;
}
