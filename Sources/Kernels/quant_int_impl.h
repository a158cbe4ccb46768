// Products of quantised weights with 16-bit integer activations (LEVEL 1 and 2; included after quant_impl.h).
//
// Codes are small integers: a block of 32 of them times 32 activations is an exact sum of integers (vpmaddwd),
// which is scaled once. A row is read as the file has it; its codes are widened in registers. For many rows of
// activations the codes of 16 rows are laid out side by side first (a panel), so that widening is paid once.

typedef int32_t i32x8 __attribute__((ext_vector_type(8)));
typedef float f32x8 __attribute__((ext_vector_type(8)));
typedef float f32x8u __attribute__((ext_vector_type(8), aligned(4)));

// What a row is made of, besides block types: MLX's formats by their bits a code.
enum { AFFINE = 64, FP4 = 96 };
#ifndef AHEAD  // bytes; 4096 measured best of 1024 to 8192
#define AHEAD 4096
#endif
#define INLINE static inline __attribute__((always_inline))

// The hardware's prefetcher stops at each page; asking some blocks ahead hides the misses.
INLINE void prefetch(const uint8_t *p, int64_t bytes) {
  for (int64_t line = 0; line < bytes; line += 64) __builtin_prefetch(p + AHEAD + line);
}

// ---- Codes of 32 columns as bytes --------------------------------------------------------------

INLINE __m256i load32bytes(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE __m128i load16bytes(const uint8_t *p) { return _mm_loadu_si128((const __m128i *)p); }

// Low nibbles of 16 bytes, then the high ones.
INLINE __m256i nibbles32(const uint8_t *p) {
  __m128i v = load16bytes(p), m = _mm_set1_epi8(15);
  return _mm256_set_m128i(_mm_and_si128(_mm_srli_epi16(v, 4), m), _mm_and_si128(v, m));
}

// Each bit of a word as a byte of 0 or 16.
INLINE __m256i fifth_bits(uint32_t bits) {
  const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,
                                          2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  const __m256i mask = _mm256_set1_epi64x((long long)0x8040201008040201ull);
  __m256i v = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32((int)bits), spread), mask);
  return _mm256_and_si256(_mm256_cmpeq_epi8(v, mask), _mm256_set1_epi8(16));
}

// Values of IQ4, and twice those of E2M1.
static const int8_t code_tables[2][16] = {
  {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113},
  {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}};
INLINE __m256i looked_up(__m256i nibbles, int table) {
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(load16bytes((const uint8_t *)code_tables[table])), nibbles);
}

// Byte `shift` bits down, masked; shifts are by 16-bit lanes, the mask drops what came from the neighbour.
INLINE __m256i bits_at(__m256i v, int shift, int mask) {
  return _mm256_and_si256(_mm256_srl_epi16(v, _mm_cvtsi32_si128(shift)), _mm256_set1_epi8((char)mask));
}

// 32 codes of `bits` bits, little-endian bit string.
INLINE __m256i bit_string(const uint8_t *p, int bits) {
  if (bits == 8) return load32bytes(p);
  if (bits == 4) {
    __m128i v = load16bytes(p), m = _mm_set1_epi8(15);
    __m128i low = _mm_and_si128(v, m), high = _mm_and_si128(_mm_srli_epi16(v, 4), m);
    return _mm256_set_m128i(_mm_unpackhi_epi8(low, high), _mm_unpacklo_epi8(low, high));
  }
  uint64_t mask = 0x0101010101010101ull * ((1u << bits) - 1), word[4];
  for (int i = 0; i < 4; i++) {
    uint64_t w = 0;
    memcpy(&w, p + i * bits, (size_t)bits);
    word[i] = _pdep_u64(w, mask);
  }
  return _mm256_setr_epi64x((long long)word[0], (long long)word[1], (long long)word[2], (long long)word[3]);
}

// The codes of columns 32 * block .. of a row; signed bytes, for 8-bit affine ones unsigned.
INLINE __m256i codes32(int type, const uint8_t *row, int64_t block) {
  const uint8_t *b;
  int s = (int)(block & 7);
  switch (type) {
  case LULL_Q4_0: return nibbles32(row + block * 18 + 2);
  case LULL_Q4_1: return nibbles32(row + block * 20 + 4);
  case LULL_Q5_0: b = row + block * 22; return _mm256_or_si256(nibbles32(b + 6), fifth_bits(load32(b + 2)));
  case LULL_Q5_1: b = row + block * 24; return _mm256_or_si256(nibbles32(b + 8), fifth_bits(load32(b + 4)));
  case LULL_Q8_0: return load32bytes(row + block * 34 + 2);
  case LULL_IQ4_NL: return looked_up(nibbles32(row + block * 18 + 2), 0);
  case LULL_IQ4_XS: return looked_up(nibbles32(row + (block >> 3) * 136 + 8 + 16 * s), 0);
  case LULL_Q4_K: return bits_at(load32bytes(row + (block >> 3) * 144 + 16 + 32 * (s >> 1)), 4 * (s & 1), 15);
  case LULL_Q5_K:
    b = row + (block >> 3) * 176;
    return _mm256_or_si256(bits_at(load32bytes(b + 48 + 32 * (s >> 1)), 4 * (s & 1), 15),
                           _mm256_slli_epi16(bits_at(load32bytes(b + 16), s, 1), 4));
  case LULL_Q6_K: {
    b = row + (block >> 3) * 210;
    __m256i low = bits_at(load32bytes(b + 64 * (s >> 2) + 32 * (s & 1)), s & 2 ? 4 : 0, 15);
    __m256i high = bits_at(load32bytes(b + 128 + 32 * (s >> 2)), 2 * (s & 3), 3);
    return _mm256_sub_epi8(_mm256_or_si256(low, _mm256_slli_epi16(high, 4)), _mm256_set1_epi8(32));
  }
  case LULL_Q3_K: {
    b = row + (block >> 3) * 110;
    __m256i low = bits_at(load32bytes(b + 32 + 32 * (s >> 2)), 2 * (s & 3), 3);
    __m256i high = _mm256_slli_epi16(bits_at(load32bytes(b), s, 1), 2);
    return _mm256_sub_epi8(_mm256_or_si256(low, high), _mm256_set1_epi8(4));
  }
  case LULL_Q2_K: return bits_at(load32bytes(row + (block >> 3) * 84 + 16 + 32 * (s >> 2)), 2 * (s & 3), 3);
  case FP4: return looked_up(bit_string(row + block * 16, 4), 1);
  default: return bit_string(row + block * 4 * (type - AFFINE), type - AFFINE);
  }
}

// Formats whose scales belong to 16 columns, and those that add a multiple of the sum of the activations.
INLINE int has_halves(int type) { return type == LULL_Q2_K || type == LULL_Q3_K || type == LULL_Q6_K || type == FP4; }
INLINE int has_offset(int type) {
  return type == LULL_Q4_0 || type == LULL_Q4_1 || type == LULL_Q5_0 || type == LULL_Q5_1 || type == LULL_Q2_K ||
         type == LULL_Q4_K || type == LULL_Q5_K || (type > AFFINE && type < FP4);
}

// Scales and offsets of a row, one for each 16 or 32 columns: value = scale * code + offset.
INLINE void row_scales(int type, const LullQuantized *w, int64_t row, float *scale, float *offset) {
  const uint8_t *b = w->data + row * w->row_bytes;
  int64_t blocks = w->columns / 32;
  if (type == LULL_Q4_0 || type == LULL_Q5_0) {
    int bytes = type == LULL_Q4_0 ? 18 : 22;
    for (int64_t i = 0; i < blocks; i++, b += bytes) {
      scale[i] = half(load16(b));
      offset[i] = scale[i] * (type == LULL_Q4_0 ? -8 : -16);
    }
  } else if (type == LULL_Q4_1 || type == LULL_Q5_1) {
    for (int64_t i = 0; i < blocks; i++, b += type == LULL_Q4_1 ? 20 : 24) {
      __m128 both = _mm_cvtph_ps(_mm_cvtsi32_si128((int)load32(b)));
      scale[i] = _mm_cvtss_f32(both);
      offset[i] = _mm_cvtss_f32(_mm_movehdup_ps(both));
    }
  } else if (type == LULL_Q8_0 || type == LULL_IQ4_NL) {
    for (int64_t i = 0; i < blocks; i++, b += type == LULL_Q8_0 ? 34 : 18) scale[i] = half(load16(b));
  } else if (type == LULL_Q4_K || type == LULL_Q5_K) {
    for (int64_t i = 0; i < blocks; i += 8, b += type == LULL_Q4_K ? 144 : 176) {
      float d = half(load16(b)), dmin = half(load16(b + 2));
      // Eight 6-bit scales and minima in 12 bytes.
      uint32_t a = load32(b + 4), c = load32(b + 8), e = load32(b + 12);
      uint32_t s1 = (e & 0x0f0f0f0fu) | (a >> 6 & 0x03030303u) << 4, m1 = (e >> 4 & 0x0f0f0f0fu) | (c >> 6 & 0x03030303u) << 4;
      __m128i s = _mm_set_epi64x(0, (long long)((uint64_t)s1 << 32 | (a & 0x3f3f3f3fu)));
      __m128i m = _mm_set_epi64x(0, (long long)((uint64_t)m1 << 32 | (c & 0x3f3f3f3fu)));
      _mm256_storeu_ps(scale + i, _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(s)), _mm256_set1_ps(d)));
      _mm256_storeu_ps(offset + i, _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(m)), _mm256_set1_ps(-dmin)));
    }
  } else if (type == LULL_Q6_K) {
    for (int64_t i = 0; i < blocks; i += 8, b += 210) {
      __m256 d = _mm256_set1_ps(half(load16(b + 208)));
      for (int h = 0; h < 2; h++) {
        __m256i s = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(b + 192 + 8 * h)));
        _mm256_storeu_ps(scale + 2 * i + 8 * h, _mm256_mul_ps(_mm256_cvtepi32_ps(s), d));
      }
    }
  } else if (type == LULL_Q2_K) {
    for (int64_t i = 0; i < blocks; i += 8, b += 84) {
      float d = half(load16(b + 80)), dmin = half(load16(b + 82));
      for (int k = 0; k < 16; k++) {
        scale[2 * i + k] = d * (b[k] & 15);
        offset[2 * i + k] = -dmin * (b[k] >> 4);
      }
    }
  } else if (type == LULL_Q3_K) {
    for (int64_t i = 0; i < blocks; i += 8, b += 110) {
      float d = half(load16(b + 108));
      const uint8_t *packed = b + 96;
      for (int k = 0; k < 16; k++) {
        int low = k < 8 ? packed[k] & 15 : packed[k - 8] >> 4;
        scale[2 * i + k] = d * ((low | (packed[8 + k % 4] >> 2 * (k / 4) & 3) << 4) - 32);
      }
    }
  } else if (type == LULL_IQ4_XS) {
    for (int64_t i = 0; i < blocks; i += 8, b += 136) {
      float d = half(load16(b));
      int high = load16(b + 2);
      for (int k = 0; k < 8; k++)
        scale[i + k] = d * (((b[4 + k / 2] >> 4 * (k % 2) & 15) | (high >> 2 * k & 3) << 4) - 32);
    }
  } else if (type == FP4) {
    int64_t groups = w->columns / w->group, at = row * groups;
    for (int64_t g = 0; g < groups; g++) {
      if (w->mode == LULL_NVFP4) scale[g] = 0.5f * e4m3(w->scales[at + g]);
      else scale[2 * g] = scale[2 * g + 1] = 0.5f * e8m0(w->scales[at + g]);
    }
  } else {
    int64_t groups = w->columns / w->group, at = row * groups;
    int each = w->group / 32;
    for (int64_t g = 0; g < groups; g++) {
      float s = scale_at(w->scales, w->scale_type, at + g), o = scale_at(w->biases, w->scale_type, at + g);
      for (int k = 0; k < each; k++) {
        scale[g * each + k] = s;
        offset[g * each + k] = o;
      }
    }
  }
}

// The kind of a weight for the functions above; 0 where there is none (floats, and 8-bit floating-point codes).
static int integer_kind(const LullQuantized *w) {
  if (w->type >= 0) return w->type == LULL_F32 || w->type == LULL_F16 || w->type == LULL_BF16 ? 0 : w->type;
  if (w->mode == LULL_AFFINE) return AFFINE + w->bits;
  return w->mode == LULL_MXFP8 ? 0 : FP4;
}

int NAME(has_int_dot)(const LullQuantized *w) { return w->columns % 32 == 0 && integer_kind(w) != 0; }

// ---- Activations -------------------------------------------------------------------------------

void NAME(quantize_activations)(const float *x, int64_t m, int64_t x_stride, int64_t columns, int order, int16_t *q,
                                int8_t *q8, float *scales, float *sums) {
  const __m256i pairs = _mm256_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15,
                                         0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15);
  const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  for (int64_t i = 0; i < m; i++)
    for (int64_t b = 0; b < columns / 32; b++, q += 32, scales++, sums += 2) {
      const float *p = x + i * x_stride + b * 32;
      __m256 v[4], top = _mm256_setzero_ps();
      for (int k = 0; k < 4; k++) {
        v[k] = _mm256_loadu_ps(p + 8 * k);
        // A NaN first operand gives the second: the sums below spread it.
        top = _mm256_max_ps(_mm256_and_ps(v[k], magnitude), top);
      }
      __m128 t = _mm_max_ps(_mm256_castps256_ps128(top), _mm256_extractf128_ps(top, 1));
      t = _mm_max_ps(t, _mm_movehl_ps(t, t));
      t = _mm_max_ss(t, _mm_movehdup_ps(t));
      float largest = _mm_cvtss_f32(t);
      const float top_code = q8 ? 127 : 32767;
      float scale = largest / top_code;
      // Below the smallest normal number the reciprocal would overflow; such a block is nothing.
      __m256 inverse = _mm256_set1_ps(largest > 1e-30f ? top_code / largest : 0);
      __m256i w[4];
      for (int k = 0; k < 4; k++) w[k] = _mm256_cvtps_epi32(_mm256_mul_ps(v[k], inverse));
      __m256 total[2];
      for (int h = 0; h < 2; h++) {
        __m256i both = _mm256_permute4x64_epi64(_mm256_packs_epi32(w[2 * h], w[2 * h + 1]), 0xd8);
        _mm256_storeu_si256((__m256i *)(q + 16 * h), order == LULL_PAIRED ? _mm256_shuffle_epi8(both, pairs) : both);
        total[h] = _mm256_cvtepi32_ps(_mm256_madd_epi16(both, _mm256_set1_epi16(1)));
      }
      if (q8) {
        const __m256i quads = _mm256_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15,
                                               0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15);
        __m256i a = _mm256_permute4x64_epi64(_mm256_packs_epi32(w[0], w[1]), 0xd8);
        __m256i b = _mm256_permute4x64_epi64(_mm256_packs_epi32(w[2], w[3]), 0xd8);
        __m256i bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(a, b), 0xd8);
        _mm256_storeu_si256((__m256i *)q8, _mm256_shuffle_epi8(bytes, quads));
        q8 += 32;
      }
      f32x8 low = (f32x8)total[0], high = (f32x8)total[1];
      float a = 0, c = 0, check = 0;
      for (int k = 0; k < 8; k++) a += low[k], c += high[k];
      // Infinities and NaN must not become numbers.
      __m256 all = _mm256_add_ps(_mm256_add_ps(v[0], v[1]), _mm256_add_ps(v[2], v[3]));
      __m256 bad = _mm256_sub_ps(all, all);
      if (_mm256_movemask_ps(_mm256_cmp_ps(bad, _mm256_setzero_ps(), _CMP_NEQ_UQ))) check = scale = __builtin_nanf("");
      *scales = scale;
      sums[0] = a * scale + check;
      sums[1] = c * scale + check;
    }
}

// ---- Few rows of activations: the weight as it is ----------------------------------------------

INLINE float sum8(__m256 v) {
  __m128 t = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  t = _mm_add_ps(t, _mm_movehl_ps(t, t));
  return _mm_cvtss_f32(_mm_add_ss(t, _mm_movehdup_ps(t)));
}

INLINE __m256i widened(int type, __m256i codes, int half) {
  __m128i part = half ? _mm256_extracti128_si256(codes, 1) : _mm256_castsi256_si128(codes);
  return type == AFFINE + 8 ? _mm256_cvtepu8_epi16(part) : _mm256_cvtepi8_epi16(part);
}

// A row against `count` rows of activations. `work` holds (2 + count) * columns / 16 floats.
INLINE void int_dot(int type, int count, const LullQuantized *w, int64_t row, const LullActivations *a, int64_t first,
                    float *y, int64_t y_stride, float *work) {
  int64_t blocks = w->columns / 32, n = has_halves(type) ? 2 * blocks : blocks;
  const uint8_t *p = w->data + row * w->row_bytes;
  int64_t eight_blocks = w->row_bytes * 8 / blocks;
  float *scale = work, *offset = work + n, *both = work + 2 * n;
  row_scales(type, w, row, scale, offset);
  __m256 total[4];
  for (int i = 0; i < count; i++) {
    const float *xs = a->scales + (first + i) * blocks;
    const float *sums = a->sums + (first + i) * 2 * blocks;
    float *t = both + i * n;
    f32x8 low = 0;
    float rest = 0;
    int64_t k = 0;
    if (has_halves(type)) {
      for (; k < n; k++) {
        t[k] = scale[k] * xs[k >> 1];
        if (has_offset(type)) rest += offset[k] * sums[k];
      }
    } else {
      for (; k + 8 <= n; k += 8) {
        *(f32x8u *)(t + k) = *(f32x8u *)(scale + k) * *(f32x8u *)(xs + k);
        if (has_offset(type)) {
          // Sums of 16 columns by twos.
          __m256 s0 = _mm256_loadu_ps(sums + 2 * k), s1 = _mm256_loadu_ps(sums + 2 * k + 8);
          __m256 s = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(_mm256_hadd_ps(s0, s1)), 0xd8));
          low += *(f32x8u *)(offset + k) * (f32x8)s;
        }
      }
      for (; k < n; k++) {
        t[k] = scale[k] * xs[k];
        if (has_offset(type)) rest += offset[k] * (sums[2 * k] + sums[2 * k + 1]);
      }
    }
    low[0] += rest;
    total[i] = (__m256)low;
  }
#if LEVEL == 2
  __m512 wide[4];
  for (int i = 0; i < count; i++) wide[i] = _mm512_zextps256_ps512(total[i]);
#endif
  for (int64_t b = 0; b < blocks; b++) {
    __m256i codes = codes32(type, p, b);
    if ((b & 7) == 0) prefetch(p + (b >> 3) * eight_blocks, eight_blocks);
#if LEVEL == 2
    __m512i wide_codes = type == AFFINE + 8 ? _mm512_cvtepu8_epi16(codes) : _mm512_cvtepi8_epi16(codes);
    for (int i = 0; i < count; i++) {
      const int16_t *x = a->q + (first + i) * w->columns + 32 * b;
      __m512 sum = _mm512_cvtepi32_ps(_mm512_madd_epi16(wide_codes, _mm512_loadu_si512(x)));
      const float *t = both + i * n;
      __m512 s = has_halves(type) ? _mm512_insertf32x8(_mm512_set1_ps(t[2 * b]), _mm256_set1_ps(t[2 * b + 1]), 1)
                                  : _mm512_set1_ps(t[b]);
      wide[i] = _mm512_fmadd_ps(sum, s, wide[i]);
    }
#else
    __m256i low = widened(type, codes, 0), high = widened(type, codes, 1);
    for (int i = 0; i < count; i++) {
      const int16_t *x = a->q + (first + i) * w->columns + 32 * b;
      __m256i s0 = _mm256_madd_epi16(low, _mm256_loadu_si256((const __m256i *)x));
      __m256i s1 = _mm256_madd_epi16(high, _mm256_loadu_si256((const __m256i *)(x + 16)));
      const float *t = both + i * n;
      if (has_halves(type)) {
        total[i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(s0), _mm256_broadcast_ss(t + 2 * b), total[i]);
        total[i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(s1), _mm256_broadcast_ss(t + 2 * b + 1), total[i]);
      } else {
        total[i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_add_epi32(s0, s1)), _mm256_broadcast_ss(t + b), total[i]);
      }
    }
#endif
  }
  for (int i = 0; i < count; i++) {
#if LEVEL == 2
    y[(first + i) * y_stride + row] = _mm512_reduce_add_ps(wide[i]);
#else
    y[(first + i) * y_stride + row] = sum8(total[i]);
#endif
  }
}

#define INT_DOT(type)                                                                                                  \
  case type:                                                                                                           \
    for (int64_t row = first; row < first + count; row++) {                                                            \
      int64_t i = 0;                                                                                                   \
      for (; i + 4 <= a->m; i += 4) int_dot(type, 4, w, row, a, i, y, y_stride, work);                                 \
      for (; i < a->m; i++) int_dot(type, 1, w, row, a, i, y, y_stride, work);                                         \
    }                                                                                                                  \
    return;

void NAME(int_dot)(const LullQuantized *w, int64_t first, int64_t count, const LullActivations *a, float *y,
                   int64_t y_stride, float *work) {
  switch (integer_kind(w)) {
    INT_DOT(LULL_Q4_0) INT_DOT(LULL_Q4_1) INT_DOT(LULL_Q5_0) INT_DOT(LULL_Q5_1) INT_DOT(LULL_Q8_0)
    INT_DOT(LULL_Q2_K) INT_DOT(LULL_Q3_K) INT_DOT(LULL_Q4_K) INT_DOT(LULL_Q5_K) INT_DOT(LULL_Q6_K)
    INT_DOT(LULL_IQ4_NL) INT_DOT(LULL_IQ4_XS) INT_DOT(AFFINE + 2) INT_DOT(AFFINE + 3) INT_DOT(AFFINE + 4)
    INT_DOT(AFFINE + 5) INT_DOT(AFFINE + 6) INT_DOT(AFFINE + 8) INT_DOT(FP4)
  }
}
