// Transposing 4-byte elements in blocks of 16 x 16, part of vm_impl.h and fast_impl.h: each cache line
// of either side is touched once.
typedef uint32_t v16 __attribute__((vector_size(64), aligned(4)));
#define SHUFFLE __builtin_shufflevector
#define LOW32(a, b) SHUFFLE(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define HIGH32(a, b) SHUFFLE(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#define LOW64(a, b) SHUFFLE(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define HIGH64(a, b) SHUFFLE(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
#define EVEN128(a, b) SHUFFLE(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27)
#define ODD128(a, b) SHUFFLE(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31)

static inline __attribute__((always_inline)) void transpose16(
    char *d, int64_t ds, const char *s, int64_t ss) {
  v16 r[16], t[16];
  for (int i = 0; i < 16; ++i) r[i] = *(const v16 *)(s + i * ss);
  for (int i = 0; i < 16; i += 2) t[i] = LOW32(r[i], r[i + 1]), t[i + 1] = HIGH32(r[i], r[i + 1]);
  for (int i = 0; i < 16; i += 4) {
    r[i] = LOW64(t[i], t[i + 2]), r[i + 1] = HIGH64(t[i], t[i + 2]);
    r[i + 2] = LOW64(t[i + 1], t[i + 3]), r[i + 3] = HIGH64(t[i + 1], t[i + 3]);
  }
  for (int k = 0; k < 4; ++k) {
    v16 e0 = EVEN128(r[k], r[4 + k]), o0 = ODD128(r[k], r[4 + k]);
    v16 e1 = EVEN128(r[8 + k], r[12 + k]), o1 = ODD128(r[8 + k], r[12 + k]);
    *(v16 *)(d + k * ds) = EVEN128(e0, e1);
    *(v16 *)(d + (4 + k) * ds) = EVEN128(o0, o1);
    *(v16 *)(d + (8 + k) * ds) = ODD128(e0, e1);
    *(v16 *)(d + (12 + k) * ds) = ODD128(o0, o1);
  }
}

static void NAME(transpose_)(char *d, int64_t ds, const char *s, int64_t ss, int64_t h, int64_t w) {
  int64_t j = 0;
  for (; j + 16 <= w; j += 16) {
    int64_t i = 0;
    for (; i + 16 <= h; i += 16) transpose16(d + i * ds + j * 4, ds, s + j * ss + i * 4, ss);
    for (; i < h; ++i)
      for (int64_t k = j; k < j + 16; ++k)
        *(uint32_t *)(d + i * ds + k * 4) = *(const uint32_t *)(s + k * ss + i * 4);
  }
  for (; j < w; ++j)
    for (int64_t i = 0; i < h; ++i)
      *(uint32_t *)(d + i * ds + j * 4) = *(const uint32_t *)(s + j * ss + i * 4);
}
