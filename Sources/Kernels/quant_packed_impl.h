// Packed tiles of quantised weights (LEVEL 1 and 2; included after quant_int_impl.h). The layout is in quant.h.
#ifndef VNNI  // AVX512_VNNI: sums of products in one instruction
#define VNNI 0
#endif

typedef struct {
  int bits, table;          // a code's bits; the table it is looked up in: 0 none, 1 IQ4, 2 E2M1
  int blocks;               // blocks that share a head
  int head, block_head;     // their bytes
  int planes;               // bytes of a block's codes
} PackedForm;

// `variant` is the mode of E2M1 codes, and the type of the scales of affine ones.
INLINE PackedForm packed_form(int kind, int variant, int group) {
  PackedForm f = {4, 0, 1, 32, 0, 0};
  switch (kind) {
  case LULL_Q4_0: break;
  case LULL_Q4_1: f.head = 64; break;
  case LULL_Q5_0: f.bits = 5; break;
  case LULL_Q5_1: f.bits = 5, f.head = 64; break;
  case LULL_Q8_0: f.bits = 8; break;
  case LULL_IQ4_NL: f.table = 1; break;
  case LULL_IQ4_XS: f.table = 1, f.blocks = 8, f.block_head = 32; break;
  case LULL_Q2_K: f.bits = 2, f.blocks = 8, f.head = 64, f.block_head = 32; break;
  case LULL_Q3_K: f.bits = 3, f.blocks = 8, f.block_head = 32; break;
  case LULL_Q4_K: f.blocks = 8, f.head = 64, f.block_head = 32; break;
  case LULL_Q5_K: f.bits = 5, f.blocks = 8, f.head = 64, f.block_head = 32; break;
  case LULL_Q6_K: f.bits = 6, f.blocks = 8, f.block_head = 32; break;
  case FP4: f.table = 2; break;
  default: f.bits = kind - AFFINE, f.blocks = group / 32, f.head = variant == LULL_F32 ? 128 : 64;
  }
  f.planes = 64 * f.bits;
  return f;
}
static int variant_of(const LullQuantized *w) { return integer_kind(w) == FP4 ? w->mode : w->scale_type; }
static PackedForm form_of(const LullQuantized *w) { return packed_form(integer_kind(w), variant_of(w), w->group); }

int64_t NAME(packed_tile_bytes)(const LullQuantized *w) {
  if (!NAME(has_int_dot)(w)) return 0;
  PackedForm f = form_of(w);
  return w->columns / (32 * f.blocks) * (f.head + (int64_t)f.blocks * (f.block_head + f.planes));
}

// ---- Packing -----------------------------------------------------------------------------------

// What codes32 gives, before tables and offsets.
INLINE __m256i raw_codes(int kind, const uint8_t *row, int64_t block) {
  __m256i v = kind == LULL_IQ4_NL ? nibbles32(row + block * 18 + 2)
    : kind == LULL_IQ4_XS ? nibbles32(row + (block >> 3) * 136 + 8 + 16 * (block & 7))
    : kind == FP4 ? bit_string(row + block * 16, 4) : codes32(kind, row, block);
  if (kind == LULL_Q6_K) v = _mm256_add_epi8(v, _mm256_set1_epi8(32));
  if (kind == LULL_Q3_K) v = _mm256_add_epi8(v, _mm256_set1_epi8(4));
  return v;
}

// The heads of row r: `head` at the start of its blocks' run, `own` before each block's codes.
INLINE void pack_heads(int kind, const LullQuantized *w, int64_t row, int64_t run, const PackedForm *f, uint8_t *out,
                       int r) {
  const uint8_t *b = w->data + row * w->row_bytes;
  int64_t stride = f->block_head + f->planes;
  uint8_t *own = out + f->head;
  switch (kind) {
  case LULL_Q4_0: case LULL_IQ4_NL: memcpy(out + 2 * r, b + run * 18, 2); return;
  case LULL_Q5_0: memcpy(out + 2 * r, b + run * 22, 2); return;
  case LULL_Q8_0: memcpy(out + 2 * r, b + run * 34, 2); return;
  case LULL_Q4_1: case LULL_Q5_1:
    b += run * (kind == LULL_Q4_1 ? 20 : 24);
    memcpy(out + 2 * r, b, 2);
    memcpy(out + 32 + 2 * r, b + 2, 2);
    return;
  case LULL_Q4_K: case LULL_Q5_K:
    b += run * (kind == LULL_Q4_K ? 144 : 176);
    memcpy(out + 2 * r, b, 2);
    memcpy(out + 32 + 2 * r, b + 2, 2);
    for (int k = 0; k < 8; k++) {
      int scale, minimum;
      k4_scale(k, b + 4, &scale, &minimum);
      own[k * stride + r] = (uint8_t)scale;
      own[k * stride + 16 + r] = (uint8_t)minimum;
    }
    return;
  case LULL_Q6_K:
    b += run * 210;
    memcpy(out + 2 * r, b + 208, 2);
    for (int k = 0; k < 16; k++) own[(k >> 1) * stride + 16 * (k & 1) + r] = b[192 + k];
    return;
  case LULL_Q3_K:
    b += run * 110;
    memcpy(out + 2 * r, b + 108, 2);
    for (int k = 0; k < 16; k++) {
      int low = k < 8 ? b[96 + k] & 15 : b[88 + k] >> 4;
      own[(k >> 1) * stride + 16 * (k & 1) + r] = (uint8_t)((low | (b[104 + k % 4] >> 2 * (k / 4) & 3) << 4) - 32);
    }
    return;
  case LULL_Q2_K:
    b += run * 84;
    memcpy(out + 2 * r, b + 80, 2);
    memcpy(out + 32 + 2 * r, b + 82, 2);
    for (int k = 0; k < 16; k++) own[(k >> 1) * stride + 16 * (k & 1) + r] = b[k];
    return;
  case LULL_IQ4_XS:
    b += run * 136;
    memcpy(out + 2 * r, b, 2);
    for (int k = 0; k < 8; k++)
      own[k * stride + r] = (uint8_t)(((b[4 + k / 2] >> 4 * (k % 2) & 15) | (load16(b + 2) >> 2 * k & 3) << 4) - 32);
    return;
  case FP4: {
    const uint8_t *s = w->scales + row * (w->columns / w->group);
    for (int h = 0; h < 2; h++) out[16 * h + r] = s[w->group == 16 ? 2 * run + h : run];
    return;
  }
  default: {
    int bytes = w->scale_type == LULL_F32 ? 4 : 2;
    int64_t at = (row * (w->columns / w->group) + run) * bytes;
    memcpy(out + bytes * r, w->scales + at, (size_t)bytes);
    memcpy(out + 16 * bytes + bytes * r, w->biases + at, (size_t)bytes);
  }
  }
}

// 32 codes of row r into the planes: column 8g + k is in word g, its pair (k and k + 4) in one 32-bit lane.
INLINE void pack_codes(__m256i codes, int bits, uint8_t *out, int r) {
  const uint64_t c[4] = {(uint64_t)_mm256_extract_epi64(codes, 0), (uint64_t)_mm256_extract_epi64(codes, 1),
                         (uint64_t)_mm256_extract_epi64(codes, 2), (uint64_t)_mm256_extract_epi64(codes, 3)};
  if (bits == 8) {
    for (int g = 0; g < 4; g++)
      for (int j = 0; j < 4; j++) {
        uint16_t pair = (uint16_t)((c[g] >> 8 * j & 255) | (c[g] >> (32 + 8 * j) & 255) << 8);
        memcpy(out + 32 * (4 * g + j) + 2 * r, &pair, 2);
      }
    return;
  }
  int low_bits = bits >= 4 ? 4 : 2;
  for (int g = 0; g < 4 && low_bits == 4; g++) {
    uint32_t word = (uint32_t)_pext_u64(c[g], 0x0f0f0f0f0f0f0f0full);
    memcpy(out + 64 * g + 4 * r, &word, 4);
  }
  if (low_bits == 2 || bits == 6) {
    uint8_t *plane = out + (bits == 6 ? 256 : 0);
    uint64_t mask = bits == 6 ? 0x3030303030303030ull : 0x0303030303030303ull;
    for (int h = 0; h < 2; h++) {
      uint32_t x = (uint32_t)_pext_u64(c[2 * h], mask), y = (uint32_t)_pext_u64(c[2 * h + 1], mask);
      uint32_t word = (x & 0xff) | (y & 0xff) << 8 | (x >> 8) << 16 | (y >> 8) << 24;
      memcpy(plane + 64 * h + 4 * r, &word, 4);
    }
  }
  if (bits == 5 || bits == 3) {
    uint64_t mask = 0x0101010101010101ull << (bits - 1);
    uint32_t word = 0;
    for (int g = 0; g < 4; g++) {
      uint32_t x = (uint32_t)_pext_u64(c[g], mask);
      word |= (x & 15) << 4 * g | (x >> 4) << (16 + 4 * g);
    }
    memcpy(out + (bits == 5 ? 256 : 128) + 4 * r, &word, 4);
  }
}

// With a constant kind there is no choice left for each block.
INLINE void pack_tiles_of(int kind, const LullQuantized *w, PackedForm f, int64_t first_tile, int64_t tiles,
                          uint8_t *packed) {
  int64_t tile_bytes = NAME(packed_tile_bytes)(w), run_bytes = f.head + (int64_t)f.blocks * (f.block_head + f.planes);
  int64_t runs = w->columns / (32 * f.blocks);
  for (int64_t tile = first_tile; tile < first_tile + tiles; tile++) {
    uint8_t *out = packed + tile * tile_bytes;
    if (tile * 16 + 16 > w->rows) memset(out, 0, (size_t)tile_bytes);
    for (int r = 0; r < 16 && tile * 16 + r < w->rows; r++) {
      int64_t row = tile * 16 + r;
      const uint8_t *data = w->data + row * w->row_bytes;
      for (int64_t run = 0; run < runs; run++) {
        uint8_t *at = out + run * run_bytes;
        pack_heads(kind, w, row, run, &f, at, r);
        for (int k = 0; k < f.blocks; k++)
          pack_codes(raw_codes(kind, data, run * f.blocks + k), f.bits,
                     at + f.head + k * (f.block_head + f.planes) + f.block_head, r);
      }
    }
  }
}

void NAME(pack_tiles)(const LullQuantized *w, int64_t first_tile, int64_t tiles, uint8_t *packed) {
  int kind = integer_kind(w);
#define KIND(name) case name: pack_tiles_of(name, w, packed_form(name, 0, 0), first_tile, tiles, packed); return;
  switch (kind) {
    KIND(LULL_Q4_0) KIND(LULL_Q4_1) KIND(LULL_Q5_0) KIND(LULL_Q5_1) KIND(LULL_Q8_0) KIND(LULL_IQ4_NL) KIND(LULL_IQ4_XS)
    KIND(LULL_Q2_K) KIND(LULL_Q3_K) KIND(LULL_Q4_K) KIND(LULL_Q5_K) KIND(LULL_Q6_K)
    default: pack_tiles_of(kind, w, form_of(w), first_tile, tiles, packed);
  }
#undef KIND
}

// ---- Reading tiles -----------------------------------------------------------------------------

// Pairs of codes, two columns in a 32-bit lane: of 8 rows, or of 16 with AVX-512.
#if LEVEL == 2
typedef __m512i Pairs;
enum { PARTS = 1, PART_BYTES = 64 };
INLINE Pairs load_pairs(const uint8_t *p) { return _mm512_loadu_si512(p); }
INLINE Pairs masked(Pairs v, int shift, uint32_t mask) {
  return _mm512_and_si512(_mm512_srli_epi32(v, (unsigned)shift), _mm512_set1_epi32((int)mask));
}
INLINE Pairs or_shifted(Pairs a, Pairs b, int shift) { return _mm512_or_si512(a, _mm512_slli_epi32(b, (unsigned)shift)); }
INLINE Pairs byte_pairs(const uint8_t *p) { return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)p)); }
INLINE Pairs unsigned_pairs(const uint8_t *p) { return _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)p)); }
INLINE Pairs table_bytes(Pairs v, int table) {
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(load16bytes((const uint8_t *)code_tables[table - 1])), v);
}
INLINE Pairs even_bytes(Pairs v) { return _mm512_srai_epi16(_mm512_slli_epi16(v, 8), 8); }
INLINE Pairs odd_bytes(Pairs v) { return _mm512_srai_epi16(v, 8); }
INLINE Pairs plus_products(Pairs sum, Pairs codes, uint32_t x) {
#if VNNI
  return _mm512_dpwssd_epi32(sum, codes, _mm512_set1_epi32((int)x));
#else
  return _mm512_add_epi32(sum, _mm512_madd_epi16(codes, _mm512_set1_epi32((int)x)));
#endif
}
#if VNNI
INLINE Pairs plus_quads(Pairs sum, Pairs codes, uint32_t x) { return _mm512_dpbusd_epi32(sum, codes, _mm512_set1_epi32((int)x)); }
#endif
INLINE Pairs quads(Pairs a, Pairs b) {
  const __m512i m = _mm512_set1_epi32(0x00ff00ff);
  return _mm512_or_si512(_mm512_and_si512(a, m), _mm512_slli_epi32(_mm512_and_si512(b, m), 8));
}
INLINE Pairs made_unsigned(Pairs v) { return _mm512_xor_si512(v, _mm512_set1_epi8(-128)); }
INLINE Pairs quad_products(Pairs codes, uint32_t x) { return _mm512_maddubs_epi16(codes, _mm512_set1_epi32((int)x)); }
INLINE Pairs plus_halves(Pairs a, Pairs b) { return _mm512_add_epi16(a, b); }
INLINE Pairs halves_added(Pairs v) { return _mm512_madd_epi16(v, _mm512_set1_epi16(1)); }
INLINE Pairs plus(Pairs a, Pairs b) { return _mm512_add_epi32(a, b); }
typedef __m512 Rows;
INLINE Rows to_floats(Pairs v) { return _mm512_cvtepi32_ps(v); }
INLINE Rows fused(Rows a, Rows b, Rows c) { return _mm512_fmadd_ps(a, b, c); }
INLINE Rows times(Rows a, Rows b) { return _mm512_mul_ps(a, b); }
INLINE Rows spread(float x) { return _mm512_set1_ps(x); }
INLINE Rows rows_half(const uint8_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
INLINE Rows rows_bf16(const uint8_t *p) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}
INLINE Rows rows_f32(const uint8_t *p) { return _mm512_loadu_ps((const float *)p); }
INLINE Rows rows_u8(const uint8_t *p) { return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(load16bytes(p))); }
INLINE Rows rows_i8(const uint8_t *p) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load16bytes(p))); }
INLINE Rows rows_bits(const uint8_t *p, int shift, int mask) {
  return _mm512_cvtepi32_ps(_mm512_and_si512(_mm512_srli_epi32(_mm512_cvtepu8_epi32(load16bytes(p)), (unsigned)shift), _mm512_set1_epi32(mask)));
}
INLINE Rows rows_e8m0(const uint8_t *p) {
  __m512i v = _mm512_max_epi32(_mm512_slli_epi32(_mm512_cvtepu8_epi32(load16bytes(p)), 23), _mm512_set1_epi32(1 << 22));
  return _mm512_castsi512_ps(_mm512_mask_mov_epi32(v, _mm512_cmpeq_epi32_mask(v, _mm512_set1_epi32(255 << 23)), _mm512_set1_epi32(-1)));
}
INLINE Rows rows_e4m3(const uint8_t *p) {
  __m512i v = _mm512_cvtepu8_epi32(load16bytes(p)), m = _mm512_and_si512(v, _mm512_set1_epi32(127));
  __m512i bits = _mm512_slli_epi32(m, 20);
  __m512 normal = _mm512_castsi512_ps(_mm512_add_epi32(bits, _mm512_set1_epi32(120 << 23)));
  __m512 small = _mm512_castsi512_ps(_mm512_add_epi32(bits, _mm512_set1_epi32(121 << 23)));
  normal = _mm512_mask_sub_ps(normal, _mm512_cmplt_epi32_mask(m, _mm512_set1_epi32(8)), small, _mm512_set1_ps(0x1p-6f));
  __m512i w = _mm512_or_si512(_mm512_castps_si512(normal), _mm512_slli_epi32(_mm512_xor_si512(v, m), 24));
  return _mm512_castsi512_ps(_mm512_mask_mov_epi32(w, _mm512_cmpeq_epi32_mask(m, _mm512_set1_epi32(127)), _mm512_set1_epi32(-1)));
}
INLINE Pairs zero_pairs(void) { return _mm512_setzero_si512(); }
INLINE void store_pairs(void *p, Pairs v) { _mm512_storeu_si512(p, v); }
INLINE void store_rows(float *p, Rows v) { _mm512_storeu_ps(p, v); }
INLINE Rows load_rows(const float *p) { return _mm512_loadu_ps(p); }
#else
typedef __m256i Pairs;
enum { PARTS = 2, PART_BYTES = 32 };
INLINE Pairs load_pairs(const uint8_t *p) { return load32bytes(p); }
INLINE Pairs masked(Pairs v, int shift, uint32_t mask) {
  return _mm256_and_si256(_mm256_srli_epi32(v, shift), _mm256_set1_epi32((int)mask));
}
INLINE Pairs or_shifted(Pairs a, Pairs b, int shift) { return _mm256_or_si256(a, _mm256_slli_epi32(b, shift)); }
INLINE Pairs byte_pairs(const uint8_t *p) { return _mm256_cvtepi8_epi16(load16bytes(p)); }
INLINE Pairs unsigned_pairs(const uint8_t *p) { return _mm256_cvtepu8_epi16(load16bytes(p)); }
INLINE Pairs table_bytes(Pairs v, int table) { return looked_up(v, table - 1); }
INLINE Pairs even_bytes(Pairs v) { return _mm256_srai_epi16(_mm256_slli_epi16(v, 8), 8); }
INLINE Pairs odd_bytes(Pairs v) { return _mm256_srai_epi16(v, 8); }
INLINE Pairs plus_products(Pairs sum, Pairs codes, uint32_t x) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(codes, _mm256_set1_epi32((int)x)));
}
INLINE Pairs quads(Pairs a, Pairs b) {
  const __m256i m = _mm256_set1_epi32(0x00ff00ff);
  return _mm256_or_si256(_mm256_and_si256(a, m), _mm256_slli_epi32(_mm256_and_si256(b, m), 8));
}
INLINE Pairs made_unsigned(Pairs v) { return _mm256_xor_si256(v, _mm256_set1_epi8(-128)); }
INLINE Pairs quad_products(Pairs codes, uint32_t x) { return _mm256_maddubs_epi16(codes, _mm256_set1_epi32((int)x)); }
INLINE Pairs plus_halves(Pairs a, Pairs b) { return _mm256_add_epi16(a, b); }
INLINE Pairs halves_added(Pairs v) { return _mm256_madd_epi16(v, _mm256_set1_epi16(1)); }
INLINE Pairs plus(Pairs a, Pairs b) { return _mm256_add_epi32(a, b); }
typedef __m256 Rows;
INLINE Rows to_floats(Pairs v) { return _mm256_cvtepi32_ps(v); }
INLINE Rows fused(Rows a, Rows b, Rows c) { return _mm256_fmadd_ps(a, b, c); }
INLINE Rows times(Rows a, Rows b) { return _mm256_mul_ps(a, b); }
INLINE Rows spread(float x) { return _mm256_set1_ps(x); }
INLINE Rows rows_half(const uint8_t *p) { return _mm256_cvtph_ps(load16bytes(p)); }
INLINE Rows rows_bf16(const uint8_t *p) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load16bytes(p)), 16));
}
INLINE Rows rows_f32(const uint8_t *p) { return _mm256_loadu_ps((const float *)p); }
INLINE __m128i load8bytes(const uint8_t *p) { return _mm_loadl_epi64((const __m128i *)p); }
INLINE Rows rows_u8(const uint8_t *p) { return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(load8bytes(p))); }
INLINE Rows rows_i8(const uint8_t *p) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(load8bytes(p))); }
INLINE Rows rows_bits(const uint8_t *p, int shift, int mask) {
  return _mm256_cvtepi32_ps(_mm256_and_si256(_mm256_srli_epi32(_mm256_cvtepu8_epi32(load8bytes(p)), shift), _mm256_set1_epi32(mask)));
}
INLINE Rows rows_e8m0(const uint8_t *p) {
  __m256i v = _mm256_max_epi32(_mm256_slli_epi32(_mm256_cvtepu8_epi32(load8bytes(p)), 23), _mm256_set1_epi32(1 << 22));
  return _mm256_castsi256_ps(_mm256_or_si256(v, _mm256_cmpeq_epi32(v, _mm256_set1_epi32(255 << 23))));
}
INLINE Rows rows_e4m3(const uint8_t *p) {
  __m256i v = _mm256_cvtepu8_epi32(load8bytes(p)), m = _mm256_and_si256(v, _mm256_set1_epi32(127));
  __m256i bits = _mm256_slli_epi32(m, 20);
  __m256 normal = _mm256_castsi256_ps(_mm256_add_epi32(bits, _mm256_set1_epi32(120 << 23)));
  __m256 small = _mm256_sub_ps(_mm256_castsi256_ps(_mm256_add_epi32(bits, _mm256_set1_epi32(121 << 23))), _mm256_set1_ps(0x1p-6f));
  __m256 magnitude = _mm256_blendv_ps(normal, small, _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(8), m)));
  __m256i w = _mm256_or_si256(_mm256_castps_si256(magnitude), _mm256_slli_epi32(_mm256_xor_si256(v, m), 24));
  return _mm256_castsi256_ps(_mm256_or_si256(w, _mm256_cmpeq_epi32(m, _mm256_set1_epi32(127))));
}
INLINE Pairs zero_pairs(void) { return _mm256_setzero_si256(); }
INLINE void store_pairs(void *p, Pairs v) { _mm256_storeu_si256((__m256i *)p, v); }
INLINE void store_rows(float *p, Rows v) { _mm256_storeu_ps(p, v); }
INLINE Rows load_rows(const float *p) { return _mm256_loadu_ps(p); }
#endif
enum { LANES = 16 / PARTS };

// The codes of pair j of word g, rows 8 * part .. (all 16 with AVX-512), as they enter the product.
INLINE Pairs code_pairs(int kind, int bits, int table, const uint8_t *codes, int g, int j, int part) {
  const uint8_t *p = codes + PART_BYTES * part;
  if (bits == 8) {
    p = codes + 32 * (4 * g + j) + PART_BYTES / 2 * part;
    return kind == AFFINE + 8 ? unsigned_pairs(p) : byte_pairs(p);
  }
  if (table) {
    // One look-up gives pairs j and j + 2.
    Pairs v = table_bytes(masked(load_pairs(p + 64 * g), 4 * (j & 1), 0x0f0f0f0fu), table);
    return j & 2 ? odd_bytes(v) : even_bytes(v);
  }
  int at = 2 * (4 * (g & 1) + j);
  Pairs v = bits >= 4 ? masked(load_pairs(p + 64 * g), 4 * j, 0x000f000fu) : masked(load_pairs(p + 64 * (g >> 1)), at, 0x00030003u);
  if (bits == 6) v = or_shifted(v, masked(load_pairs(p + 256 + 64 * (g >> 1)), at, 0x00030003u), 4);
  if (bits == 5) v = or_shifted(v, masked(load_pairs(p + 256), 4 * g + j, 0x00010001u), 4);
  if (bits == 3) v = or_shifted(v, masked(load_pairs(p + 128), 4 * g + j, 0x00010001u), 2);
  return v;
}

typedef struct { Rows scale[2], offset[2]; } Scales;

// Scales and offsets of a block's two halves (the same where the format has one for both).
INLINE Scales block_scales(int kind, int variant, const uint8_t *head, const uint8_t *own, int part) {
  Scales s;
  int at = LANES * part;
  Rows d = spread(0);
  if (kind < AFFINE) d = rows_half(head + 2 * at);
  s.scale[0] = s.scale[1] = d;
  s.offset[0] = s.offset[1] = spread(0);
  switch (kind) {
  case LULL_Q4_0: s.offset[0] = times(d, spread(-8)); break;
  case LULL_Q5_0: s.offset[0] = times(d, spread(-16)); break;
  case LULL_Q4_1: case LULL_Q5_1: s.offset[0] = rows_half(head + 32 + 2 * at); break;
  case LULL_Q8_0: case LULL_IQ4_NL: break;
  case LULL_Q4_K: case LULL_Q5_K:
    s.scale[0] = times(d, rows_u8(own + at));
    s.offset[0] = times(times(rows_half(head + 32 + 2 * at), spread(-1)), rows_u8(own + 16 + at));
    break;
  case LULL_IQ4_XS: s.scale[0] = times(d, rows_i8(own + at)); break;
  case LULL_Q6_K: case LULL_Q3_K:
    for (int h = 0; h < 2; h++) {
      s.scale[h] = times(d, rows_i8(own + 16 * h + at));
      s.offset[h] = times(s.scale[h], spread(kind == LULL_Q6_K ? -32 : -4));
    }
    break;
  case LULL_Q2_K:
    for (int h = 0; h < 2; h++) {
      s.scale[h] = times(d, rows_bits(own + 16 * h + at, 0, 15));
      s.offset[h] = times(times(rows_half(head + 32 + 2 * at), spread(-1)), rows_bits(own + 16 * h + at, 4, 15));
    }
    break;
  case FP4:
    for (int h = 0; h < 2; h++) {
      // Powers of two, or four bits of exponent and three of mantissa; E2M1 codes are doubled.
      Rows v = variant == LULL_NVFP4 ? times(rows_e4m3(head + 16 * h + at), spread(0.5f))
                                     : times(rows_e8m0(head + 16 * h + at), spread(0.5f));
      s.scale[h] = v;
    }
    break;
  default:
    if (variant == LULL_F32) {
      s.scale[0] = rows_f32(head + 4 * at);
      s.offset[0] = rows_f32(head + 64 + 4 * at);
    } else if (variant == LULL_F16) {
      s.scale[0] = rows_half(head + 2 * at);
      s.offset[0] = rows_half(head + 32 + 2 * at);
    } else {
      s.scale[0] = rows_bf16(head + 2 * at);
      s.offset[0] = rows_bf16(head + 32 + 2 * at);
    }
  }
  if (!has_halves(kind)) s.scale[1] = s.scale[0], s.offset[1] = s.offset[0];
  return s;
}
// In packed form these have an offset, too: their codes are unsigned there.
INLINE int packed_offset(int kind) { return has_offset(kind) || kind == LULL_Q6_K || kind == LULL_Q3_K; }

// ---- Few rows of activations -------------------------------------------------------------------

INLINE void packed_int_tile(int kind, int variant, int count, int group, const uint8_t *p, int64_t blocks,
                            const LullActivations *a, int64_t first, float *out) {
  PackedForm f = packed_form(kind, variant, group);
  int64_t columns = blocks * 32;
  Rows total[4][PARTS];
  for (int i = 0; i < count; i++) for (int k = 0; k < PARTS; k++) total[i][k] = spread(0);
  // Two or three rows are four, the last of them repeated.
  const int16_t *q[4];
  const float *xs[4], *xsums[4];
  for (int i = 0; i < count; i++) {
    int64_t row = first + i < a->m ? first + i : a->m - 1;
    q[i] = a->q + row * columns;
    xs[i] = a->scales + row * blocks;
    xsums[i] = a->sums + row * blocks * 2;
  }
  const uint8_t *head = p;
  int left = 0;
  for (int64_t b = 0; b < blocks; b++) {
    if (left == 0) {
      head = p;
      p += f.head;
      left = f.blocks;
    }
    left--;
    const uint8_t *own = p, *codes = p + f.block_head;
    p = codes + f.planes;
    prefetch(own, f.head / f.blocks + f.block_head + f.planes);
    Pairs sum[4][PARTS];
    _Pragma("clang loop unroll(full)") for (int h = 0; h < 2; h++) {
      if (h == 0 || has_halves(kind))
        for (int i = 0; i < count; i++) for (int k = 0; k < PARTS; k++) sum[i][k] = zero_pairs();
      _Pragma("clang loop unroll(full)") for (int g = 2 * h; g < 2 * h + 2; g++)
        _Pragma("clang loop unroll(full)") for (int j = 0; j < 4; j++) {
          Pairs v[PARTS];
          for (int k = 0; k < PARTS; k++) v[k] = code_pairs(kind, f.bits, f.table, codes, g, j, k);
          for (int i = 0; i < count; i++) {
            uint32_t x = load32((const uint8_t *)(q[i] + 32 * b + 8 * g + 2 * j));
            for (int k = 0; k < PARTS; k++) sum[i][k] = plus_products(sum[i][k], v[k], x);
          }
        }
      if (h == 0 && !has_halves(kind)) continue;
      for (int k = 0; k < PARTS; k++) {
        Scales s = block_scales(kind, variant, head, own, k);
        for (int i = 0; i < count; i++) {
          const float *sums = xsums[i] + 2 * b;
          total[i][k] = fused(to_floats(sum[i][k]), times(s.scale[h], spread(xs[i][b])), total[i][k]);
          if (packed_offset(kind))
            total[i][k] = fused(s.offset[h], spread(has_halves(kind) ? sums[h] : sums[0] + sums[1]), total[i][k]);
        }
      }
    }
  }
  for (int i = 0; i < count; i++) for (int k = 0; k < PARTS; k++) store_rows(out + 16 * i + LANES * k, total[i][k]);
}

// All activations against one tile, one or four at a time.
INLINE void few_rows(int kind, int variant, int group, const uint8_t *p, int64_t blocks, const LullActivations *a,
                     float *y, int64_t y_stride, size_t bytes) {
  float out[64];
  for (int64_t i = 0; i < a->m; i += 4) {
    int count = a->m - i < 4 ? (int)(a->m - i) : 4;
    if (count == 1) packed_int_tile(kind, variant, 1, group, p, blocks, a, i, out);
    else packed_int_tile(kind, variant, 4, group, p, blocks, a, i, out);
    for (int k = 0; k < count; k++) memcpy(y + (i + k) * y_stride, out + 16 * k, bytes);
  }
}

// ---- Many rows of activations: a tile's codes widened first ------------------------------------

// A panel is a run of blocks of 32 columns of one tile: pairs[16][16 rows] of 16 bits or quads[8][16 rows] of 8, then
// the scales and offsets of both halves.
enum { PANEL_BLOCKS = 64, PANEL_BLOCK_BYTES = 1024 + 256 };

// Signed codes; as bytes they are 128 more.
INLINE int has_signs(int kind) { return kind == LULL_Q8_0 || kind == LULL_IQ4_NL || kind == LULL_IQ4_XS || kind == FP4; }

INLINE void widen_block(int kind, int variant, int bytes, const PackedForm *f, const uint8_t *head,
                        const uint8_t *own, uint8_t *panel) {
  const uint8_t *codes = own + f->block_head;
  if (bytes) {
    _Pragma("clang loop unroll(full)") for (int g = 0; g < 4; g++)
      _Pragma("clang loop unroll(full)") for (int j = 0; j < 4; j += 2)
        for (int k = 0; k < PARTS; k++)
          {
            Pairs v = quads(code_pairs(kind, f->bits, f->table, codes, g, j, k),
                            code_pairs(kind, f->bits, f->table, codes, g, j + 1, k));
            store_pairs(panel + 64 * (2 * g + j / 2) + PART_BYTES * k, has_signs(kind) ? made_unsigned(v) : v);
          }
  } else
  _Pragma("clang loop unroll(full)") for (int g = 0; g < 4; g++)
    _Pragma("clang loop unroll(full)") for (int j = 0; j < 4; j++)
      for (int k = 0; k < PARTS; k++)
        store_pairs(panel + 64 * (4 * g + j) + PART_BYTES * k, code_pairs(kind, f->bits, f->table, codes, g, j, k));
  float *scales = (float *)(panel + 1024);
  for (int k = 0; k < PARTS; k++) {
    Scales s = block_scales(kind, variant, head, own, k);
    for (int h = 0; h < 2; h++) {
      store_rows(scales + 16 * h + LANES * k, s.scale[h]);
      if (bytes && has_signs(kind)) s.offset[h] = fused(s.scale[h], spread(-128), s.offset[h]);
      store_rows(scales + 32 + 16 * h + LANES * k, s.offset[h]);
    }
  }
}

// `blocks` blocks from `first` on, which starts a run, of one tile.
INLINE void widen(int kind, int variant, int bytes, int group, const uint8_t *tile, int64_t first, int64_t blocks, uint8_t *panel) {
  PackedForm f = packed_form(kind, variant, group);
  int64_t stride = f.block_head + f.planes, run_bytes = f.head + f.blocks * stride;
  for (int64_t b = first; b < first + blocks; b++, panel += PANEL_BLOCK_BYTES) {
    const uint8_t *head = tile + b / f.blocks * run_bytes;
    widen_block(kind, variant, bytes, &f, head, head + f.head + b % f.blocks * stride, panel);
  }
}

// How many rows of activations share a pass over the panel: the sums stay in registers.
#if LEVEL == 2
enum { PASS = 12 };
#else
enum { PASS = 4 };
#endif

INLINE void panel_pass(int halves, int offsets, int count, const uint8_t *panel, int64_t first_block, int64_t blocks,
                       const LullActivations *a, int64_t first, int64_t columns, float *out) {
  Rows total[PASS][PARTS];
  for (int i = 0; i < count; i++) for (int k = 0; k < PARTS; k++) total[i][k] = load_rows(out + 16 * i + LANES * k);
  int64_t all = columns / 32;
  for (int64_t b = first_block; b < first_block + blocks; b++, panel += PANEL_BLOCK_BYTES) {
    const float *scales = (const float *)(panel + 1024);
    Pairs sum[PASS][PARTS];
    _Pragma("clang loop unroll(full)") for (int h = 0; h < 2; h++) {
      if (h == 0 || halves) for (int i = 0; i < count; i++) for (int k = 0; k < PARTS; k++) sum[i][k] = zero_pairs();
      // Unrolled, the compiler would keep what it cannot hold.
      _Pragma("clang loop unroll(disable)") for (int q = 8 * h; q < 8 * h + 8; q++) {
        Pairs v[PARTS];
        for (int k = 0; k < PARTS; k++) v[k] = load_pairs(panel + 64 * q + PART_BYTES * k);
        for (int i = 0; i < count; i++) {
          uint32_t x = load32((const uint8_t *)(a->q + (first + i) * columns + 32 * b + 2 * q));
          for (int k = 0; k < PARTS; k++) sum[i][k] = plus_products(sum[i][k], v[k], x);
        }
      }
      if (h == 0 && !halves) continue;
      for (int i = 0; i < count; i++) {
        const float *sums = a->sums + ((first + i) * all + b) * 2;
        Rows xs = spread(a->scales[(first + i) * all + b]);
        Rows sx = spread(halves ? sums[h] : sums[0] + sums[1]);
        for (int k = 0; k < PARTS; k++) {
          total[i][k] = fused(to_floats(sum[i][k]), times(load_rows(scales + 16 * h + LANES * k), xs), total[i][k]);
          if (offsets) total[i][k] = fused(load_rows(scales + 32 + 16 * h + LANES * k), sx, total[i][k]);
        }
      }
    }
  }
  for (int i = 0; i < count; i++) for (int k = 0; k < PARTS; k++) store_rows(out + 16 * i + LANES * k, total[i][k]);
}

INLINE void many_rows(int halves, int offsets, const uint8_t *panel, int64_t first_block, int64_t blocks,
                      const LullActivations *a, int64_t columns, float *y, int64_t y_stride, size_t bytes) {
  float out[16 * PASS];
  for (int64_t i = 0; i < a->m;) {
    int count = a->m - i >= PASS ? PASS : a->m - i >= 4 ? 4 : 1;
    memset(out, 0, sizeof out);
    if (first_block > 0) for (int k = 0; k < count; k++) memcpy(out + 16 * k, y + (i + k) * y_stride, bytes);
    if (count == PASS) panel_pass(halves, offsets, PASS, panel, first_block, blocks, a, i, columns, out);
    else if (count == 4) panel_pass(halves, offsets, 4, panel, first_block, blocks, a, i, columns, out);
    else panel_pass(halves, offsets, 1, panel, first_block, blocks, a, i, columns, out);
    for (int k = 0; k < count; k++) memcpy(y + (i + k) * y_stride, out + 16 * k, bytes);
    i += count;
  }
}

// The same with activations of 8 bits.
#if VNNI
enum { BYTE_PASS = PASS };
INLINE int fits_bytes(int kind) { return kind != 0; }
#else
enum { BYTE_PASS = 4 };
INLINE int fits_bytes(int kind) { return !has_signs(kind) && kind != AFFINE + 8; }
#endif

// sum[i][k] = the products of quads from ..< to.
INLINE void byte_sums(int bits, int count, int from, int to, const uint8_t *panel, const int8_t *const *x,
                      Pairs (*sum)[PARTS]) {
  for (int i = 0; i < count; i++) for (int k = 0; k < PARTS; k++) sum[i][k] = zero_pairs();
#if VNNI
  _Pragma("clang loop unroll(disable)") for (int q = from; q < to; q++) {
    Pairs v = load_pairs(panel + 64 * q);
    for (int i = 0; i < count; i++) sum[i][0] = plus_quads(sum[i][0], v, load32((const uint8_t *)(x[i] + 4 * q)));
  }
#else
  // Products of two columns add up in 16 bits as long as 127 * (2^bits - 1) * 2 * run stays below 2^15.
  const int run = bits <= 4 ? 8 : bits == 5 ? 4 : 2, each = run < to - from ? run : to - from;
  for (int q0 = from; q0 < to; q0 += each) {
    Pairs few[BYTE_PASS][PARTS];
    for (int i = 0; i < count; i++) for (int k = 0; k < PARTS; k++) few[i][k] = zero_pairs();
    _Pragma("clang loop unroll(disable)") for (int q = q0; q < q0 + each; q++) {
      Pairs v[PARTS];
      for (int k = 0; k < PARTS; k++) v[k] = load_pairs(panel + 64 * q + PART_BYTES * k);
      for (int i = 0; i < count; i++) {
        uint32_t word = load32((const uint8_t *)(x[i] + 4 * q));
        for (int k = 0; k < PARTS; k++) few[i][k] = plus_halves(few[i][k], quad_products(v[k], word));
      }
    }
    for (int i = 0; i < count; i++) for (int k = 0; k < PARTS; k++) sum[i][k] = plus(sum[i][k], halves_added(few[i][k]));
  }
#endif
}

INLINE void byte_pass(int bits, int halves, int offsets, int count, const uint8_t *panel, int64_t first_block,
                      int64_t blocks, const LullActivations *a, int64_t first, int64_t columns, float *out) {
  Rows total[BYTE_PASS][PARTS];
  for (int i = 0; i < count; i++) for (int k = 0; k < PARTS; k++) total[i][k] = load_rows(out + 16 * i + LANES * k);
  int64_t all = columns / 32;
  for (int64_t b = first_block; b < first_block + blocks; b++, panel += PANEL_BLOCK_BYTES) {
    const float *scales = (const float *)(panel + 1024);
    const int8_t *x[BYTE_PASS];
    for (int i = 0; i < count; i++) x[i] = a->q8 + (first + i) * columns + 32 * b;
    _Pragma("clang loop unroll(full)") for (int h = 0; h < (halves ? 2 : 1); h++) {
      Pairs sum[BYTE_PASS][PARTS];
      byte_sums(bits, count, 4 * h, halves ? 4 * h + 4 : 8, panel, x, sum);
      for (int i = 0; i < count; i++) {
        const float *sums = a->sums + ((first + i) * all + b) * 2;
        Rows xs = spread(a->scales[(first + i) * all + b]), sx = spread(halves ? sums[h] : sums[0] + sums[1]);
        for (int k = 0; k < PARTS; k++) {
          total[i][k] = fused(to_floats(sum[i][k]), times(load_rows(scales + 16 * h + LANES * k), xs), total[i][k]);
          if (offsets) total[i][k] = fused(load_rows(scales + 32 + 16 * h + LANES * k), sx, total[i][k]);
        }
      }
    }
  }
  for (int i = 0; i < count; i++) for (int k = 0; k < PARTS; k++) store_rows(out + 16 * i + LANES * k, total[i][k]);
}

INLINE void byte_rows(int kind, int variant, int group, const uint8_t *tile, int64_t first_block, int64_t blocks,
                      uint8_t *panel, const LullActivations *a, int64_t columns, float *y, int64_t y_stride,
                      size_t bytes) {
  if (!fits_bytes(kind)) return;
  const int bits = packed_form(kind, variant, group).bits, halves = has_halves(kind);
  const int offsets = packed_offset(kind) || has_signs(kind);
  widen(kind, variant, 1, group, tile, first_block, blocks, panel);
  float out[16 * BYTE_PASS];
  for (int64_t i = 0; i < a->m;) {
    int count = a->m - i >= BYTE_PASS ? BYTE_PASS : 1;
    memset(out, 0, sizeof out);
    if (first_block > 0) for (int k = 0; k < count; k++) memcpy(out + 16 * k, y + (i + k) * y_stride, bytes);
    if (count == BYTE_PASS) byte_pass(bits, halves, offsets, BYTE_PASS, panel, first_block, blocks, a, i, columns, out);
    else byte_pass(bits, halves, offsets, 1, panel, first_block, blocks, a, i, columns, out);
    for (int k = 0; k < count; k++) memcpy(y + (i + k) * y_stride, out + 16 * k, bytes);
    i += count;
  }
}

// ---- Entry points ------------------------------------------------------------------------------

// `BODY` with a kind that is known to the compiler.
#define KIND(k) case k: BODY(k) break;
#define FOR_KIND                                                                                       \
  switch (kind) {                                                                                      \
    KIND(LULL_Q4_0) KIND(LULL_Q4_1) KIND(LULL_Q5_0) KIND(LULL_Q5_1) KIND(LULL_Q8_0) KIND(LULL_Q2_K)    \
    KIND(LULL_Q3_K) KIND(LULL_Q4_K) KIND(LULL_Q5_K) KIND(LULL_Q6_K) KIND(LULL_IQ4_NL)                  \
    KIND(LULL_IQ4_XS) KIND(AFFINE + 2) KIND(AFFINE + 3) KIND(AFFINE + 4) KIND(AFFINE + 5)              \
    KIND(AFFINE + 6) KIND(AFFINE + 8) KIND(FP4)                                                        \
  }

void NAME(packed_dot)(const LullQuantized *w, const uint8_t *packed, int64_t first_tile, int64_t tiles,
                      const LullActivations *a, float *y, int64_t y_stride, uint8_t *panel) {
  int kind = integer_kind(w), variant = variant_of(w), group = w->group;
  int64_t blocks = w->columns / 32, tile_bytes = NAME(packed_tile_bytes)(w);
  for (int64_t t = first_tile; t < first_tile + tiles; t++) {
    const uint8_t *p = packed + t * tile_bytes;
    float *out = y + 16 * t;
    size_t bytes = (size_t)(w->rows - 16 * t < 16 ? w->rows - 16 * t : 16) * 4;
    if (a->m < LULL_MANY_ROWS) {
#define BODY(k) few_rows(k, variant, group, p, blocks, a, out, y_stride, bytes);
      FOR_KIND
#undef BODY
      continue;
    }
    for (int64_t first = 0; first < blocks; first += PANEL_BLOCKS) {
      int64_t count = blocks - first < PANEL_BLOCKS ? blocks - first : PANEL_BLOCKS;
      if (a->q8 && fits_bytes(kind)) {
#define BODY(k) byte_rows(k, variant, group, p, first, count, panel, a, w->columns, out, y_stride, bytes);
        FOR_KIND
#undef BODY
        continue;
      }
#define BODY(k) widen(k, variant, 0, group, p, first, count, panel);
      FOR_KIND
#undef BODY
      if (has_halves(kind))
        many_rows(1, 1, panel, first, count, a, w->columns, out, y_stride, bytes);
      else if (packed_offset(kind))
        many_rows(0, 1, panel, first, count, a, w->columns, out, y_stride, bytes);
      else
        many_rows(0, 0, panel, first, count, a, w->columns, out, y_stride, bytes);
    }
  }
}

void NAME(packed_columns)(const LullQuantized *w, const uint8_t *packed, int64_t first_tile, int64_t tiles, float *out,
                          int64_t stride) {
  int kind = integer_kind(w), variant = variant_of(w), group = w->group;
  int64_t blocks = w->columns / 32, tile_bytes = NAME(packed_tile_bytes)(w);
  uint8_t panel[PANEL_BLOCK_BYTES] __attribute__((aligned(64)));
  for (int64_t t = 0; t < tiles; t++)
    for (int64_t b = 0; b < blocks; b++) {
      const uint8_t *p = packed + (first_tile + t) * tile_bytes;
#define BODY(k) widen(k, variant, 0, group, p, b, 1, panel);
      FOR_KIND
#undef BODY
      const float *scales = (const float *)(panel + 1024);
      for (int q = 0; q < 16; q++)
        for (int k = 0; k < 2; k++) {
          __m256i both = load32bytes(panel + 64 * q + 32 * k);
          __m256 s = _mm256_loadu_ps(scales + 16 * (q >> 3) + 8 * k), o = _mm256_loadu_ps(scales + 32 + 16 * (q >> 3) + 8 * k);
          float *at = out + (b * 32 + 8 * (q >> 2) + (q & 3)) * stride + 16 * t + 8 * k;
          __m256 low = _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(both, 16), 16));
          __m256 high = _mm256_cvtepi32_ps(_mm256_srai_epi32(both, 16));
          _mm256_storeu_ps(at, _mm256_add_ps(_mm256_mul_ps(low, s), o));
          _mm256_storeu_ps(at + 4 * stride, _mm256_add_ps(_mm256_mul_ps(high, s), o));
        }
    }
}
