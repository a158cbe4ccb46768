// The kernels of conv.h, compiled once per instruction set, for float and double.
#include <string.h>
#include "conv_internal.h"

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

#if LEVEL == 2
#define BYTES 64
#else
#define BYTES 32
#endif

#define T float
#define FN(x) x##_f
#define LANES (BYTES / 4)
#include "conv_body.h"
#undef T
#undef FN
#undef LANES
#define T double
#define FN(x) x##_d
#define LANES (BYTES / 8)
#include "conv_body.h"
#undef T
#undef FN
#undef LANES

int64_t NAME(conv_width)(const LullConv *c) { return VECTORS * (BYTES / (c->isDouble ? 8 : 4)); }
void NAME(conv_pack)(const LullConv *c) { c->isDouble ? pack_d(c) : pack_f(c); }
void NAME(conv)(const LullConv *c, int64_t image, int64_t first, int64_t count, void *scratch) {
  c->isDouble ? run_d(c, image, first, count, scratch) : run_f(c, image, first, count, scratch);
}
void NAME(conv_weight)(const LullConv *c, int64_t first, int64_t count, void *gradient, void *scratch) {
  c->isDouble ? weight_d(c, first, count, gradient, scratch)
              : weight_f(c, first, count, gradient, scratch);
}
