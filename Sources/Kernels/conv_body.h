// Convolution for one element type T with vectors of LANES; see conv_impl.h.

typedef T FN(vec) __attribute__((ext_vector_type(LANES)));
typedef T FN(vecu) __attribute__((ext_vector_type(LANES), aligned(sizeof(T))));
typedef T FN(four) __attribute__((ext_vector_type(4), aligned(sizeof(T))));
#define V FN(vec)
#define VLOAD(p) ((V)(*(const FN(vecu) *)(p)))
#define VSTORE(p, v) (*(FN(vecu) *)(p) = (v))
#undef VECTORS
#define VECTORS (LEVEL == 2 ? 4 : 2)

// For conv_spreads: [block][channel][convSpreadWidth], numbers of a block going on through (line of taps, tap
// along the last axis in the order of its targets, output).
static void FN(pack_spread)(const LullConv *c) {
  const T *w = c->weight;
  T *to = c->packed;
  int64_t taps = conv_taps(c), size = taps * c->outputs, kernel = c->kernel[2], span = kernel * c->outputs;
  for (int64_t b = 0; b < size; b += convSpreadWidth)
    for (int64_t i = 0; i < c->channels; i++)
      for (int64_t e = b; e < b + convSpreadWidth; e++) {
        int64_t k = e % span / c->outputs, o = e % c->outputs;
        int64_t tap = e / span * kernel + (c->flip ? k : kernel - 1 - k);
        *to++ = e < size ? w[(o * taps + tap) * c->channels + i] : 0;
      }
}

// The weight as [group][block of out channels][tap][channel][width], zero where the block is not full.
static void FN(pack)(const LullConv *c) {
  const T *w = c->weight;
  T *to = c->packed;
  int64_t taps = conv_rows(c), depth = conv_depth(c), each = c->outputs / c->groups;
  if (conv_spreads(c)) return FN(pack_spread)(c);
  if (conv_is_depthwise(c)) {
    for (int64_t tap = 0; tap < taps; tap++)
      for (int64_t i = 0; i < c->channels; i++) to[tap * c->channels + i] = w[i * taps + tap];
    return;
  }
  for (int64_t g = 0; g < c->groups; g++)
    for (int64_t o = 0; o < each; o += VECTORS * LANES) {
      int64_t n = each - o < VECTORS * LANES ? each - o : VECTORS * LANES;
      int64_t width = (n + LANES - 1) / LANES * LANES;
      const T *from = w + (g * each + o) * taps * depth;
      for (int64_t k = 0; k < taps * depth; k++, to += width) {
        int64_t place = k - k % depth + conv_merged_place(c, k % depth);
        for (int64_t i = 0; i < n; i++) to[i] = from[i * taps * depth + place];
        for (int64_t i = n; i < width; i++) to[i] = 0;
      }
    }
}

// A tile: `count` of P positions, vectors * LANES out channels of which `n` exist, taps and channels in a range.
#define TILE(P, N)                                                                                    \
  INLINE void FN(tile_##P##_##N)(const T *x, const int32_t *table, int64_t stride, int64_t row,       \
                                 const T *zeros, int64_t slot, const T *w, int64_t depth,             \
                                 int64_t c0, int64_t c1,                                              \
                                 int64_t tap0, int64_t tap1, T *const *y, int64_t count, int64_t n,   \
                                 int first) {                                                         \
    V acc[P][N];                                                                                      \
    T part[N * LANES];                                                                                \
    UNROLL for (int p = 0; p < P; p++) UNROLL for (int v = 0; v < N; v++) acc[p][v] = 0;              \
    for (int64_t tap = tap0; tap < tap1; tap++) {                                                     \
      const int32_t *places = table + tap * stride;                                                   \
      const T *from[P];                                                                               \
      int32_t any = -1;                                                                               \
      UNROLL for (int p = 0; p < P; p++) {                                                            \
        int32_t at = p < count ? places[p] : -1;                                                      \
        any &= at;                                                                                    \
        from[p] = at < 0 ? zeros + (-1 - (int64_t)at) * slot : x + (int64_t)at * row;                 \
      }                                                                                               \
      if (any == -1) {                                                                                \
        int all = 1;                                                                                  \
        for (int p = 0; p < P; p++) all &= from[p] == zeros;                                          \
        if (all) continue;                                                                            \
      }                                                                                               \
      const T *b = w + (tap * depth + c0) * (N * LANES);                                              \
      for (int64_t i = c0; i < c1; i++, b += N * LANES) {                                             \
        V k[N];                                                                                       \
        UNROLL for (int v = 0; v < N; v++) k[v] = VLOAD(b + v * LANES);                               \
        UNROLL for (int p = 0; p < P; p++) {                                                          \
          V a = (V)from[p][i];                                                                        \
          UNROLL for (int v = 0; v < N; v++) acc[p][v] += a * k[v];                                   \
        }                                                                                             \
      }                                                                                               \
    }                                                                                                 \
    UNROLL for (int p = 0; p < P; p++) if (p < count) {                                               \
      if (n == N * LANES) {                                                                           \
        UNROLL for (int v = 0; v < N; v++)                                                            \
            VSTORE(y[p] + v * LANES, first ? acc[p][v] : acc[p][v] + VLOAD(y[p] + v * LANES));        \
      } else {                                                                                        \
        UNROLL for (int v = 0; v < N; v++) VSTORE(part + v * LANES, acc[p][v]);                       \
        for (int64_t i = 0; i < n; i++) y[p][i] = first ? part[i] : y[p][i] + part[i];                \
      }                                                                                               \
    }                                                                                                 \
  }
#pragma clang fp contract(fast)
#if LEVEL == 2
TILE(6, 4)
TILE(8, 3)
TILE(12, 2)
TILE(12, 1)
#else
TILE(6, 2)
TILE(6, 1)
#endif

// One channel in and out: rows of the padded copy slide under the taps.
static void FN(line)(const LullConv *c, int64_t image, int64_t first, int64_t count) {
  int64_t span = c->out[2], rowSize = lull_conv_row_size(c);
  const T *padded = (const T *)c->padded + image * c->in[0] * c->in[1] * rowSize;
  const T *w = c->weight;
  T *out = (T *)c->y + image * conv_out_size(c);
  for (int64_t done = 0; done < count;) {
    int64_t at = first + done, x = at % span, h = at / span % c->out[1], d = at / span / c->out[1];
    int64_t n = span - x < count - done ? span - x : count - done;
    if (n > 4 * LANES) n = 4 * LANES;
    V acc[4] = {0, 0, 0, 0};
    for (int64_t kd = 0; kd < c->kernel[0]; kd++) {
      int64_t zd = conv_place(c, 0, d, kd);
      if (zd < 0) continue;
      for (int64_t kh = 0; kh < c->kernel[1]; kh++) {
        int64_t zh = conv_place(c, 1, h, kh);
        if (zh < 0) continue;
        const T *row = padded + (zd * c->in[1] + zh) * rowSize + x;
        const T *taps = w + (kd * c->kernel[1] + kh) * c->kernel[2];
        for (int64_t k = 0; k < c->kernel[2]; k++) {
          const T *p = row + (c->flip ? c->kernel[2] - 1 - k : k) * c->kernelDilation[2];
          V b = (V)taps[k];
          UNROLL for (int v = 0; v < 4; v++) acc[v] += b * VLOAD(p + v * LANES);
        }
      }
    }
    T part[4 * LANES];
    UNROLL for (int v = 0; v < 4; v++) VSTORE(part + v * LANES, acc[v]);
    memcpy(out + at, part, (size_t)n * sizeof(T));
    done += n;
  }
}

// Each channel by itself: vectors of channels.
static void FN(depthwise)(const LullConv *c, const int32_t *table, const T *x, T *const *y, int64_t count) {
  int64_t taps = conv_taps(c), n = c->channels;
  const T *w = c->packed;
  for (int64_t p = 0; p < count; p++) {
    int64_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
      V acc[4] = {0, 0, 0, 0};
      for (int64_t tap = 0; tap < taps; tap++) {
        int32_t at = table[tap * count + p];
        if (at < 0) continue;
        const T *from = x + (int64_t)at * n + i, *k = w + tap * n + i;
        UNROLL for (int v = 0; v < 4; v++) acc[v] += VLOAD(from + v * LANES) * VLOAD(k + v * LANES);
      }
      UNROLL for (int v = 0; v < 4; v++) VSTORE(y[p] + i + v * LANES, acc[v]);
    }
    for (; i + LANES <= n; i += LANES) {
      V acc = 0;
      for (int64_t tap = 0; tap < taps; tap++) {
        int32_t at = table[tap * count + p];
        if (at >= 0) acc += VLOAD(x + (int64_t)at * n + i) * VLOAD(w + tap * n + i);
      }
      VSTORE(y[p] + i, acc);
    }
    for (; i < n; i++) {
      T acc = 0;
      for (int64_t tap = 0; tap < taps; tap++) {
        int32_t at = table[tap * count + p];
        if (at >= 0) acc += x[(int64_t)at * n + i] * w[tap * n + i];
      }
      y[p][i] = acc;
    }
  }
}

#if LEVEL == 2
enum { FN(spread_positions) = 12 };
#else
enum { FN(spread_positions) = 6 };
#endif
// The products of some positions with a block of numbers of pack_spread.
INLINE void FN(spread_tile)(const T *x, const T *w, int64_t depth, T *sums, int64_t line) {
  enum { N = 2, P = FN(spread_positions) };
  for (int part = 0; part < convSpreadWidth; part += N * LANES) {
    V acc[P][N];
    UNROLL for (int p = 0; p < P; p++) UNROLL for (int v = 0; v < N; v++) acc[p][v] = 0;
    for (int64_t i = 0; i < depth; i++) {
      V k[N];
      UNROLL for (int v = 0; v < N; v++) k[v] = VLOAD(w + i * convSpreadWidth + part + v * LANES);
      UNROLL for (int p = 0; p < P; p++) {
        V a = (V)x[p * depth + i];
        UNROLL for (int v = 0; v < N; v++) acc[p][v] += a * k[v];
      }
    }
    UNROLL for (int p = 0; p < P; p++) UNROLL for (int v = 0; v < N; v++)
        VSTORE(sums + p * line + part + v * LANES, acc[p][v]);
  }
}

// Whole lines of y, see conv_spreads.
static void FN(spread)(const LullConv *c, int64_t image, int64_t first, int64_t count, T *sums) {
  enum { P = FN(spread_positions) };
  const int64_t depth = c->channels, size = conv_spread_size(c);
  const int64_t span = c->kernel[2] * c->outputs, width = c->out[2] * c->outputs;
  const int64_t line0 = first / c->out[2], line1 = (first + count) / c->out[2];
  const T *x = (const T *)c->x + image * conv_in_size(c) * depth;
  T *y = (T *)c->y + image * conv_out_size(c) * c->outputs;
  memset(y + line0 * width, 0, (size_t)((line1 - line0) * width) * sizeof(T));
  for (int64_t id = 0; id < c->in[0]; id++)
    for (int64_t ih = 0; ih < c->in[1]; ih++) {
      // The lines of taps that go to lines of this chunk: at most 4096 / 2.
      int32_t taps[2048];
      int64_t hits = 0;
      for (int64_t kd = 0; kd < c->kernel[0]; kd++) {
        int64_t d = conv_target(c, 0, id, kd);
        if (d < 0 || d >= c->out[0] || (d + 1) * c->out[1] <= line0 || d * c->out[1] >= line1) continue;
        for (int64_t kh = 0; kh < c->kernel[1]; kh++) {
          int64_t h = conv_target(c, 1, ih, kh), line = d * c->out[1] + h;
          if (h >= 0 && h < c->out[1] && line >= line0 && line < line1) taps[hits++] = (int32_t)(kd * c->kernel[1] + kh);
        }
      }
      if (!hits) continue;
      const T *from = x + (id * c->in[1] + ih) * c->in[2] * depth;
      for (int64_t w0 = 0; w0 < c->in[2]; w0 += P) {
        // The last tile begins earlier and its first positions are left out, or it is read from a copy.
        int64_t some = c->in[2] - w0 < P ? c->in[2] - w0 : P, skipped = some < P && w0 >= P - some ? P - some : 0;
        for (int64_t b = 0, next = 0; b < size; b += convSpreadWidth) {
          while (next < hits && (taps[next] + 1) * span <= b) next++;
          if (next == hits || taps[next] * span >= b + convSpreadWidth) continue;
          const T *weight = (const T *)c->packed + b * depth;
          if (some == P || skipped) {
            FN(spread_tile)(from + (w0 - skipped) * depth, weight, depth, sums + b, size);
          } else {
            for (int64_t p = 0; p < some; p++)
              for (int64_t e = 0; e < convSpreadWidth; e += LANES) {
                V acc = 0;
                for (int64_t i = 0; i < depth; i++)
                  acc += (V)from[(w0 + p) * depth + i] * VLOAD(weight + i * convSpreadWidth + e);
                VSTORE(sums + p * size + b + e, acc);
              }
          }
        }
        for (int64_t p = 0; p < some; p++) {
          int64_t place = ((w0 + p) * c->inputDilation[2] + c->low[2] - (c->kernel[2] - 1)) * c->outputs;
          int64_t start = place < 0 ? -place : 0, end = width - place < span ? width - place : span;
          for (int64_t q = 0; q < hits; q++) {
            int64_t tap = taps[q], d = conv_target(c, 0, id, tap / c->kernel[1]);
            int64_t h = conv_target(c, 1, ih, tap % c->kernel[1]), e = start;
            T *to = y + (d * c->out[1] + h) * width + place;
            const T *sum = sums + (p + skipped) * size + tap * span;
            for (; e + LANES <= end; e += LANES) VSTORE(to + e, VLOAD(to + e) + VLOAD(sum + e));
            for (; e + 4 <= end; e += 4)
              *(FN(four) *)(to + e) = *(FN(four) *)(to + e) + *(const FN(four) *)(sum + e);
            for (; e < end; e++) to[e] += sum[e];
          }
        }
      }
    }
}

static void FN(run)(const LullConv *c, int64_t image, int64_t first, int64_t count, char *scratch) {
  if (c->padded) return FN(line)(c, image, first, count);
  if (conv_spreads(c)) return FN(spread)(c, image, first, count, (T *)scratch);
  int64_t taps = conv_rows(c), depth = conv_depth(c), each = c->outputs / c->groups;
  int64_t slots = conv_merges(c) ? taps * c->block + 1 : 1;
  // scratch: the pointers to the rows of y, zeros and slots, the table
  T **y = (T **)scratch;
  T *zeros = (T *)(scratch + c->block * sizeof(T *));
  int32_t *table = (int32_t *)((char *)zeros + (slots * depth * sizeof(T) + 63) / 64 * 64);
  const T *x = (const T *)c->x + image * conv_in_size(c) * c->channels;
  memset(zeros, 0, (size_t)depth * sizeof(T));
  if (conv_merges(c)) {
    int64_t used = 1;
    for (int64_t tap = 0; tap < taps; tap++)
      lull_conv_merged_tap(c, tap, x, first, count, table + tap * count, zeros, &used);
  } else {
    lull_conv_table(c, first, count, table);
  }
  for (int64_t i = 0; i < count; i++) {
    int64_t at = c->order ? c->order[first + i] : first + i;
    y[i] = (T *)c->y + (image * conv_out_size(c) + at) * c->outputs;
  }
  if (conv_is_depthwise(c)) return FN(depthwise)(c, table, x, y, count);
  const T *w = c->packed;
  for (int64_t g = 0; g < c->groups; g++, x += depth) {
    for (int64_t o = 0; o < each; o += VECTORS * LANES) {
      int64_t n = each - o < VECTORS * LANES ? each - o : VECTORS * LANES;
      int64_t vectors = (n + LANES - 1) / LANES;
      int64_t deep = convBlockElements / (vectors * LANES);
      if (deep > depth) deep = depth;
      int64_t many = convBlockElements / (deep * vectors * LANES);
      if (deep < depth) many = 1;
      int started = 0;
      for (int64_t tap = 0; tap < taps; tap += many)
        for (int64_t c0 = 0; c0 < depth; c0 += deep, started = 1) {
          int64_t end = tap + many < taps ? tap + many : taps, c1 = c0 + deep < depth ? c0 + deep : depth;
#define TILES(P, N)                                                                                     \
  for (int64_t p = 0; p < count; p += P)                                                                \
    FN(tile_##P##_##N)(x, table + p, count, c->channels, zeros, depth, w, depth, c0, c1, tap, end, y + p,      \
                       count - p < P ? count - p : P, n, !started);
          switch (vectors) {
#if LEVEL == 2
          case 4: TILES(6, 4) break;
          case 3: TILES(8, 3) break;
          case 2: TILES(12, 2) break;
          default: TILES(12, 1)
#else
          case 2: TILES(6, 2) break;
          default: TILES(6, 1)
#endif
          }
        }
      for (int64_t i = 0; i < count; i++) y[i] += n;
      w += taps * depth * vectors * LANES;
    }
  }
}

// The weight's gradient. Pairs are the address of an input and the place of an output. A piece is a tap, convDepth channels and a block of out channels of a group, the
// pieces of a tap following each other; sums over blocks of positions stay in scratch.
#define PIECE(P, N)                                                                                      \
  INLINE void FN(piece_##P##_##N)(int64_t x, const T *dy, const int64_t *pairs, int64_t count, T *sum) {  \
    V acc[P][N];                                                                                         \
    UNROLL for (int p = 0; p < P; p++) UNROLL for (int v = 0; v < N; v++)                                \
        acc[p][v] = VLOAD(sum + (p * N + v) * LANES);                                                    \
    for (int64_t i = 0; i < count; i++) {                                                                \
      const T *from = (const T *)pairs[2 * i] + x, *k = dy + pairs[2 * i + 1];                           \
      V b[N];                                                                                            \
      UNROLL for (int v = 0; v < N; v++) b[v] = VLOAD(k + v * LANES);                                    \
      UNROLL for (int p = 0; p < P; p++) {                                                               \
        V a = (V)from[p];                                                                                \
        UNROLL for (int v = 0; v < N; v++) acc[p][v] += a * b[v];                                        \
      }                                                                                                  \
    }                                                                                                    \
    UNROLL for (int p = 0; p < P; p++) UNROLL for (int v = 0; v < N; v++)                                \
        VSTORE(sum + (p * N + v) * LANES, acc[p][v]);                                                    \
  }
#define PIECES(P) PIECE(P, 1) PIECE(P, 2)
PIECES(6) PIECES(3) PIECES(2) PIECES(1)
#if LEVEL == 2
PIECE(6, 3) PIECE(3, 3) PIECE(2, 3) PIECE(1, 3)
PIECE(6, 4) PIECE(3, 4) PIECE(2, 4) PIECE(1, 4)
#endif

// Fewer channels than a full piece are done in threes, twos and ones.
#define ANY_PIECE(N)                                                                             \
  INLINE void FN(pieces_##N)(int64_t x, const T *dy, const int64_t *pairs, int64_t count,        \
                             int64_t depth, T *sum) {                                            \
    if (depth == 6) return FN(piece_6_##N)(x, dy, pairs, count, sum);                            \
    if (depth >= 3) {                                                                            \
      FN(piece_3_##N)(x, dy, pairs, count, sum);                                                 \
      x += 3, sum += 3 * N * LANES, depth -= 3;                                                  \
    }                                                                                            \
    if (depth == 2) FN(piece_2_##N)(x, dy, pairs, count, sum);                                   \
    if (depth == 1) FN(piece_1_##N)(x, dy, pairs, count, sum);                                   \
  }
ANY_PIECE(1)
ANY_PIECE(2)
#if LEVEL == 2
ANY_PIECE(3)
ANY_PIECE(4)
#endif

static void FN(weight)(const LullConv *c, int64_t first, int64_t count, T *gradient, char *scratch) {
  int64_t taps = conv_rows(c), depth = conv_depth(c), each = c->outputs / c->groups, isMerged = conv_merges(c);
  int64_t size = conv_out_size(c), total = c->images * size, isOwn = conv_is_depthwise(c);
  enum { width = VECTORS * LANES };
  int64_t tiles = (depth + convDepth - 1) / convDepth, blocks = (each + width - 1) / width;
  if (isOwn) tiles = 1, blocks = (c->channels + width - 1) / width;
  int32_t *table = (int32_t *)scratch;                                   // [positions] of one tap
  int64_t *pairs = (int64_t *)(table + convWeightPositions);             // [positions][2]
  T *narrow = (T *)(pairs + 2 * convWeightPositions);                    // [positions][width]
  T *sums = narrow + convWeightPositions * width;                        // [count][convDepth][width]
  T *slots = sums + count * convDepth * width;                           // [1 + positions][depth] if merged
  memset(sums, 0, (size_t)(count * convDepth * width) * sizeof(T));
  const T *dy = c->y;
  for (int64_t start = 0; start < total; start += convWeightPositions) {
    int64_t some = total - start < convWeightPositions ? total - start : convWeightPositions;
    int64_t knownTap = -1, knownBlock = -1, knownWidth = -1, pairCount = 0;
    for (int64_t piece = first; piece < first + count; piece++) {
      int64_t rest = piece, tile = rest % tiles;
      rest /= tiles;
      int64_t tap = rest % taps;
      rest /= taps;
      int64_t block = rest % blocks, g = rest / blocks;
      int64_t from = block * width, n = (isOwn ? c->channels : each) - from;
      if (n > width) n = width;
      int64_t vectors = (n + LANES - 1) / LANES, isFull = n == vectors * LANES && !isOwn;
      if (!isFull && !isOwn && (g * blocks + block != knownBlock)) {
        // Rows that end inside a vector are copied, so that whole vectors may be read.
        for (int64_t i = 0; i < some; i++) {
          T *row = narrow + i * width;
          const T *own = dy + (start + i) * c->outputs + g * each + from;
          for (int64_t j = 0; j < n; j++) row[j] = own[j];
          for (int64_t j = n; j < vectors * LANES; j++) row[j] = 0;
        }
        knownBlock = g * blocks + block;
      }
      if (tap != knownTap || isFull != knownWidth) {
        pairCount = 0;
        int64_t used = 1;
        for (int64_t done = 0; done < some;) {
          int64_t image = (start + done) / size, at = (start + done) % size;
          int64_t piece = size - at < some - done ? size - at : some - done;
          const T *x = (const T *)c->x + image * conv_in_size(c) * c->channels;
          if (isMerged) lull_conv_merged_tap(c, tap, x, at, piece, table, slots, &used);
          else lull_conv_tap(c, tap, at, piece, table);
          for (int64_t i = 0; i < piece; i++)
            if (table[i] != -1) {
              pairs[2 * pairCount] =
                  (int64_t)(table[i] < 0 ? slots + (-1 - (int64_t)table[i]) * depth : x + table[i] * c->channels);
              pairs[2 * pairCount + 1] =
                  isFull || isOwn ? (start + done + i) * c->outputs : (done + i) * width;
              pairCount++;
            }
          done += piece;
        }
        knownTap = tap;
        knownWidth = isFull;
      }
      T *sum = sums + (piece - first) * convDepth * width;
      if (isOwn) {
        const T *k = dy + from;
#define OWN(i) ((const T *)pairs[2 * (i)] + from)
        for (int64_t v = 0; v + LANES <= n; v += LANES) {
          V acc = VLOAD(sum + v), other = 0;
          int64_t i = 0;
          for (; i + 2 <= pairCount; i += 2) {
            acc += VLOAD(OWN(i) + v) * VLOAD(k + pairs[2 * i + 1] + v);
            other += VLOAD(OWN(i + 1) + v) * VLOAD(k + pairs[2 * i + 3] + v);
          }
          if (i < pairCount) acc += VLOAD(OWN(i) + v) * VLOAD(k + pairs[2 * i + 1] + v);
          VSTORE(sum + v, acc + other);
        }
        for (int64_t v = n / LANES * LANES; v < n; v++) {
          T acc = sum[v];
          for (int64_t i = 0; i < pairCount; i++) acc += OWN(i)[v] * k[pairs[2 * i + 1] + v];
          sum[v] = acc;
        }
        continue;
      }
      int64_t x = g * depth + tile * convDepth;
      const T *k = isFull ? dy + g * each + from : narrow;
      int64_t deep = depth - tile * convDepth < convDepth ? depth - tile * convDepth : convDepth;
      switch (vectors) {
#if LEVEL == 2
      case 4: FN(pieces_4)(x, k, pairs, pairCount, deep, sum); break;
      case 3: FN(pieces_3)(x, k, pairs, pairCount, deep, sum); break;
#endif
      case 2: FN(pieces_2)(x, k, pairs, pairCount, deep, sum); break;
      default: FN(pieces_1)(x, k, pairs, pairCount, deep, sum);
      }
    }
  }
  for (int64_t piece = first; piece < first + count; piece++) {
    int64_t rest = piece, tile = rest % tiles;
    rest /= tiles;
    int64_t tap = rest % taps;
    rest /= taps;
    int64_t block = rest % blocks, g = rest / blocks, from = block * width;
    const T *sum = sums + (piece - first) * convDepth * width;
    if (isOwn) {
      for (int64_t i = 0; i < width && from + i < c->channels; i++)
        gradient[(from + i) * taps + tap] = sum[i];
      continue;
    }
    int64_t n = each - from < width ? each - from : width, vectors = (n + LANES - 1) / LANES;
    int64_t c0 = tile * convDepth, deep = depth - c0 < convDepth ? depth - c0 : convDepth;
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = 0; j < deep; j++)
        gradient[((g * each + from + i) * taps + tap) * depth + conv_merged_place(c, c0 + j)] =
            sum[j * vectors * LANES + i];
  }
}
#undef V
#undef VLOAD
#undef VSTORE
#undef TILE
#undef TILES
#undef PIECE
#undef PIECES
#undef ANY_PIECE
#undef OWN
