// Threefry-2x32 with 20 rounds (Salmon et al., 2011), 16 counters at a time; part of vm_impl.h.
// out0[i], out1[i] are the two words of the counter (from + i, second + i).
static void NAME(threefry_)(const uint32_t key[2], uint32_t from, uint32_t second, int64_t n,
                            uint32_t *out0, uint32_t *out1) {
  typedef uint32_t v __attribute__((vector_size(64), aligned(4)));
  static const int rotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  static const v lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const uint32_t ks[3] = {key[0], key[1], key[0] ^ key[1] ^ 0x1BD11BDA};
  for (int64_t at = 0; at < n; at += 16) {
    v a = lane + (from + (uint32_t)at) + ks[0], b = lane + (second + (uint32_t)at) + ks[1];
    _Pragma("unroll") for (int i = 0; i < 5; ++i) {
      _Pragma("unroll") for (int r = 0; r < 4; ++r) {
        int k = rotations[i & 1][r];
        a += b;
        b = (b << k | b >> (32 - k)) ^ a;
      }
      a += ks[(i + 1) % 3];
      b += ks[(i + 2) % 3] + (uint32_t)(i + 1);
    }
    if (n - at >= 16) {
      *(v *)(out0 + at) = a;
      *(v *)(out1 + at) = b;
    } else {
      for (int64_t k = 0; k < n - at; ++k) out0[at + k] = a[k], out1[at + k] = b[k];
    }
  }
}
