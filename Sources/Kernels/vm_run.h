// Running a program over ranges of its space: part of vm_impl.h.

typedef struct {
  char *slots;
  const void *regs[lullMaxRegisters];   // where each register's tile lies just now
  LullOpFunction fn[lullMaxInstructions];
  uint32_t scalars[lullMaxInputs];      // for machine code: the constant inputs
  uint64_t crossing;                    // inputs that lie in panels just now, see elementwise_blocks_
  int64_t panelStart;                   // the first index of the panels along the crossing dimension
  char *panels[lullMaxPanels];
} Frame;

// Elements that machine code adds up in float32 before the sums go on in double precision.
enum { sumTile = 4096, bareTile = 4096 };
enum { panelRows = 16, panelBytes = 1024, panelStride = panelBytes + 64 };

#define SLOT(f, r) ((f)->slots + (int64_t)(r) * slotStride)
#define ROUND16(n) (((n) + 15) & ~(int64_t)15)

static inline __attribute__((always_inline)) void prepare(const LullProgram *p, Frame *f) {
  f->crossing = 0;
  if (p->jit) {
    char value[slotStride];
    int count = 0;
    for (int i = 0; i < p->inputCount; ++i) {
      if (!p->inputs[i].isConstant) continue;
      NAME(lull_load_)(value, p->inputs[i].data, p->inputs[i].dtype, 0, 1);
      memcpy(&f->scalars[count++], value, 4);
    }
    return;
  }
  for (int r = 0; r < p->registerCount; ++r) f->regs[r] = SLOT(f, r);
  for (int i = 0; i < p->instructionCount; ++i)
    f->fn[i] = p->code[i].op == lullLoad ? NULL : table[p->code[i].op][p->code[i].type];
  for (int i = 0; i < p->inputCount; ++i)
    if (p->inputs[i].isConstant)
      NAME(lull_load_)(SLOT(f, p->inputs[i].reg), p->inputs[i].data, p->inputs[i].dtype, 0, p->tile);
}

static inline int direct(int dtype) {
  return dtype == lullFloat32 || dtype == lullInt32 || dtype == lullUInt32 || dtype == lullInt64 ||
    dtype == lullUInt64 || dtype == lullFloat64 || dtype == lullComplex64 || dtype == lullComplex128;
}

// Brings n elements of an input, from multi-index `index` on, to where register `reg` finds them.
static void load_input(const LullProgram *p, const LullInput *in, Frame *f, int reg,
                       const int64_t *index, int64_t n) {
  int last = p->rank - 1;
  if (last < 0) {
    NAME(lull_load_)(SLOT(f, reg), in->data, in->dtype, 0, n);
    f->regs[reg] = SLOT(f, reg);
    return;
  }
  int number = (int)(in - p->inputs);
  if (f->crossing >> number & 1) {
    int panel = __builtin_popcountll(f->crossing & ((1ull << number) - 1));
    f->regs[reg] = f->panels[panel] + (index[p->cross] - f->panelStart) * panelStride;
    return;
  }
  const char *src = in->data;
  for (int k = 0; k <= last; ++k) src += index[k] * in->strides[k];
  int64_t stride = in->strides[last], row = p->shape[last], size = dtypeSize[in->dtype];
  int64_t here = row - index[last];
  if (here >= n) {
    if (stride == size && direct(in->dtype) && src + ROUND16(n) * size <= in->limit) {
      f->regs[reg] = src;
      return;
    }
    NAME(lull_load_)(SLOT(f, reg), src, in->dtype, stride, n);
    f->regs[reg] = SLOT(f, reg);
    return;
  }
  // Several rows that lie one after the other are as one.
  if (stride == size && direct(in->dtype) && src + ROUND16(n) * size <= in->limit) {
    int64_t left = here, block = row;
    for (int k = last - 1; k >= 0 && left < n && in->strides[k] == block * size; --k) {
      left += (p->shape[k] - 1 - index[k]) * block;
      block *= p->shape[k];
    }
    if (left >= n) {
      f->regs[reg] = src;
      return;
    }
  }
  // Else walk them with an odometer over the outer dimensions.
  int64_t at[lullMaxRank];
  for (int k = 0; k <= last; ++k) at[k] = index[k];
  char *d = SLOT(f, reg);
  int64_t width = loadedSize[in->dtype];
  int64_t done = 0;
  while (done < n) {
    int64_t count = row - at[last];
    if (count > n - done) count = n - done;
    if (stride == size && direct(in->dtype)) {
      memcpy(d + done * width, src, (size_t)(count * width));
    } else if (size == 4 && count < 32) {
      uint32_t *o = (uint32_t *)(d + done * 4);
      for (int64_t i = 0; i < count; ++i) o[i] = *(const uint32_t *)(src + i * stride);
    } else {
      NAME(lull_load_)(d + done * width, src, in->dtype, stride, count);
    }
    done += count;
    src -= at[last] * stride;
    at[last] = 0;
    int k = last - 1;
    for (; k >= 0; --k) {
      src += in->strides[k];
      if (++at[k] < p->shape[k]) break;
      src -= p->shape[k] * in->strides[k];
      at[k] = 0;
    }
    if (k < 0) break;
  }
  f->regs[reg] = d;
}

// The same by machine code: inputs that are not linear are gathered into slots first, and what is
// to be reduced goes to the slot after theirs.
static void run_kernel(const LullProgram *p, Frame *f, int64_t start, int64_t n) {
  const LullJit *jit = p->jit;
  char *streams[lullJitStreams];
  int64_t index[lullMaxRank];
  int count = 0;
  if (!jit->allLinear) {
    int64_t rest = start;
    for (int k = p->rank - 1; k > 0; --k) {
      index[k] = rest % p->shape[k];
      rest /= p->shape[k];
    }
    index[0] = rest;
  }
  for (int i = 0; i < p->inputCount; ++i) {
    const LullInput *in = &p->inputs[i];
    if (in->isConstant) continue;
    if (jit->isLinear[i]) {
      streams[count++] = (char *)in->data + start * dtypeSize[in->dtype];
    } else {
      load_input(p, in, f, i, index, n);
      streams[count++] = (char *)f->regs[i];
    }
  }
  for (int i = 0; i < p->outputCount; ++i)
    streams[count++] = p->outputs[i].data + start * dtypeSize[p->outputs[i].dtype];
  if (p->reduce) f->regs[p->reduceReg] = streams[count++] = SLOT(f, p->inputCount);
  jit->run(streams, f->scalars, n, 0);
}

// Computes the n elements from linear index `start` on; all registers are then in place.
static inline __attribute__((always_inline)) void run_tile(
    const LullProgram *p, Frame *f, int64_t start, int64_t n) {
  if (p->jit) {
    run_kernel(p, f, start, n);
    return;
  }
  int64_t index[lullMaxRank];
  int64_t rest = start;
  for (int k = p->rank - 1; k > 0; --k) {
    index[k] = rest % p->shape[k];
    rest /= p->shape[k];
  }
  index[0] = rest;
  int64_t padded = ROUND16(n);
  for (int i = 0; i < p->outputCount; ++i) {
    const LullOutput *out = &p->outputs[i];
    char *d = out->data + start * dtypeSize[out->dtype];
    int fits = direct(out->dtype) && (n == padded || d + padded * dtypeSize[out->dtype] <= out->limit)
      && (n == padded || start + n == p->total);
    f->regs[out->reg] = fits ? d : SLOT(f, out->reg);
  }
  for (int i = 0; i < p->instructionCount; ++i) {
    LullInstruction in = p->code[i];
    if (in.op == lullLoad) load_input(p, &p->inputs[in.a], f, in.dst, index, n);
    else f->fn[i]((void *)f->regs[in.dst], f->regs[in.a], f->regs[in.b], f->regs[in.c], padded);
  }
  for (int i = 0; i < p->outputCount; ++i) {
    const LullOutput *out = &p->outputs[i];
    char *d = out->data + start * dtypeSize[out->dtype];
    if (f->regs[out->reg] != d) NAME(lull_store_)(d, f->regs[out->reg], out->dtype, n);
  }
}

#define FRAME(p)                                                                            \
  Frame frame;                                                                              \
  char slots[((p)->jit ? (p)->inputCount + 1 : (p)->registerCount) * slotStride + 64];      \
  frame.slots = (char *)(((uintptr_t)slots + 63) & ~(uintptr_t)63);                         \
  prepare(p, &frame);

static void NAME(elementwise_)(const LullProgram *p, int64_t from, int64_t to) {
  FRAME(p)
  // Without gathering there is no need for tiles, but for interrupts.
  int64_t tile = p->jit && p->jit->allLinear ? 1 << 16 : p->tile;
  for (int64_t at = from; at < to && !lull_interrupt_stops(); at += tile)
    run_tile(p, &frame, at, to - at < tile ? to - at : tile);
}

// Brings rows x columns of an input that runs along the crossing dimension into a panel of rows.
static void fill_panel(const LullInput *in, char *panel, const char *src, int64_t step,
                       int64_t rows, int64_t columns) {
  if (dtypeSize[in->dtype] == 4) {
    NAME(transpose_)(panel, panelStride, src, step, rows, columns);
    return;
  }
  _Alignas(64) char column[panelRows * 16 + 64];
  int64_t width = loadedSize[in->dtype];
  for (int64_t j = 0; j < columns; ++j, src += step) {
    NAME(lull_load_)(column, src, in->dtype, dtypeSize[in->dtype], rows);
    if (width == 4)
      for (int64_t r = 0; r < rows; ++r)
        *(uint32_t *)(panel + r * panelStride + j * 4) = ((const uint32_t *)column)[r];
    else if (width == 16)
      for (int64_t r = 0; r < rows; ++r) memcpy(panel + r * panelStride + j * 16, column + r * 16, 16);
    else
      for (int64_t r = 0; r < rows; ++r)
        *(uint64_t *)(panel + r * panelStride + j * 8) = ((const uint64_t *)column)[r];
  }
}

// Some inputs run fastest along another dimension than the last one (a transpose): blocks of 16
// rows of that dimension, transposed into panels in the cache first. A unit is one such block.
static void NAME(elementwise_blocks_)(const LullProgram *p, int64_t from, int64_t to) {
  FRAME(p)
  int last = p->rank - 1, cross = p->cross;
  int64_t columns = p->tile / 2;
  int64_t rowBlocks = (p->shape[cross] + panelRows - 1) / panelRows;
  int64_t columnBlocks = (p->shape[last] + columns - 1) / columns;
  int panels = __builtin_popcountll(p->crossing);
  char memory[panels * panelRows * panelStride + 64];
  for (int i = 0; i < panels; ++i)
    frame.panels[i] = (char *)(((uintptr_t)memory + 63) & ~(uintptr_t)63) + i * panelRows * panelStride;
  frame.crossing = p->crossing;
  for (int64_t unit = from; unit < to && !lull_interrupt_stops(); ++unit) {
    int64_t rest = unit / columnBlocks;
    int64_t c0 = unit % columnBlocks * columns, c1 = c0 + columns < p->shape[last] ? c0 + columns : p->shape[last];
    int64_t r0 = rest % rowBlocks * panelRows;
    int64_t r1 = r0 + panelRows < p->shape[cross] ? r0 + panelRows : p->shape[cross];
    rest /= rowBlocks;
    int64_t index[lullMaxRank] = {0};
    for (int k = last - 1; k >= 0; --k) {
      if (k == cross) continue;
      index[k] = rest % p->shape[k];
      rest /= p->shape[k];
    }
    index[cross] = r0;
    index[last] = c0;
    frame.panelStart = r0;
    for (int i = 0, panel = 0; i < p->inputCount; ++i) {
      if (!(p->crossing >> i & 1)) continue;
      const char *src = p->inputs[i].data;
      for (int k = 0; k <= last; ++k) src += index[k] * p->inputs[i].strides[k];
      fill_panel(&p->inputs[i], frame.panels[panel++], src, p->inputs[i].strides[last], r1 - r0, c1 - c0);
    }
    int64_t start = 0, rowStep = 1;
    for (int k = 0; k <= last; ++k) start = start * p->shape[k] + index[k];
    for (int k = cross + 1; k <= last; ++k) rowStep *= p->shape[k];
    for (int64_t r = r0; r < r1; ++r, start += rowStep) run_tile(p, &frame, start, c1 - c0);
  }
}

// The memory that a reduction runs over when it needs no program: one input in the order of the
// space, in its compute type.
static const char *bare_input(const LullProgram *p) {
  const LullInput *in = &p->inputs[0];
  if (p->instructionCount != 1 || p->code[0].op != lullLoad || p->inputCount != 1 ||
      in->isConstant || !direct(in->dtype))
    return NULL;
  int64_t step = dtypeSize[in->dtype];
  for (int k = p->rank - 1; k >= 0; --k) {
    if (p->shape[k] != 1 && in->strides[k] != step) return NULL;
    step *= p->shape[k];
  }
  return in->data;
}

static void NAME(reduce_rows_)(const LullProgram *p, int64_t row0, int64_t row1, int64_t r0,
                               int64_t r1, LullAccumulator *partial) {
  FRAME(p)
  int64_t reduced = p->reduced;
  int wide = computeSize[p->reduceType];
  if (r0 == 0 && r1 == reduced && reduced * 2 <= p->tile && reduced > 0) {
    int64_t rows = p->tile / reduced;
    for (int64_t row = row0; row < row1 && !lull_interrupt_stops(); row += rows) {
      int64_t count = row1 - row < rows ? row1 - row : rows;
      run_tile(p, &frame, row * reduced, count * reduced);
      const char *tile = frame.regs[p->reduceReg];
      if (p->reduce == lullSum && p->reduceType == lullF32 && p->resultDType == lullFloat32 && !partial) {
        float *results = (float *)p->result + row;
        for (int64_t k = 0; k < count; ++k)
          results[k] = reduced <= 128 ? sum_few_f32((const float *)tile + k * reduced, reduced)
            : (float)sum_f32((const float *)tile + k * reduced, reduced);
        continue;
      }
      for (int64_t k = 0; k < count; ++k) {
        LullAccumulator acc = {0};
        fold(&acc, p->reduce, p->reduceType, tile + k * reduced * wide, reduced, 0);
        if (partial) partial[row + k - row0] = acc;
        else finish(&acc, p->reduce, p->reduceType, p->resultDType,
          p->result + (row + k) * dtypeSize[p->resultDType]);
      }
    }
    return;
  }
  int sums = p->jit && p->jit->sums;
  const char *bare = sums ? NULL : bare_input(p);
  int64_t tile = bare ? bareTile : sums && p->jit->allLinear ? sumTile : p->tile;
  for (int64_t row = row0; row < row1; ++row) {
    LullAccumulator acc = {0};
    for (int64_t r = r0; r < r1 && !lull_interrupt_stops(); r += tile) {
      int64_t n = r1 - r < tile ? r1 - r : tile;
      if (bare) {
        fold(&acc, p->reduce, p->reduceType, bare + (row * reduced + r) * wide, n, r);
        continue;
      }
      run_tile(p, &frame, row * reduced + r, n);
      if (sums) acc.re += sum_lanes(*(const vf *)frame.regs[p->reduceReg]), acc.count += n;
      else fold(&acc, p->reduce, p->reduceType, frame.regs[p->reduceReg], n, r);
    }
    if (partial) partial[row - row0] = acc;
    else finish(&acc, p->reduce, p->reduceType, p->resultDType,
      p->result + row * dtypeSize[p->resultDType]);
  }
}

static void NAME(finish_rows_)(const LullProgram *p, LullAccumulator *partials, int64_t row0,
                               int64_t row1) {
  for (int64_t row = row0; row < row1; ++row) {
    LullAccumulator acc = {0};
    for (int s = 0; s < p->splits; ++s)
      merge(&acc, &partials[row * p->splits + s], p->reduce, p->reduceType);
    finish(&acc, p->reduce, p->reduceType, p->resultDType, p->result + row * dtypeSize[p->resultDType]);
  }
}

static int combiner(int reduce) {
  switch (reduce) {
  case lullSum: return lullAdd;
  case lullProd: return lullMul;
  case lullMaxOf: return lullMax;
  case lullMinOf: return lullMin;
  case lullAny: return lullOr;
  default: return lullAnd;
  }
}

// Columns i0 ..< i1 (at most a tile) of one outer index, rows r0 ..< r1. The result goes to
// `partial` in the compute type, or straight to the result.
static void NAME(reduce_columns_)(const LullProgram *p, int64_t outer, int64_t i0, int64_t i1,
                                  int64_t r0, int64_t r1, char *partial) {
  FRAME(p)
  char accSlot[slotStride + 64];
  char *acc = (char *)(((uintptr_t)accSlot + 63) & ~(uintptr_t)63);
  LullOpFunction combine = table[combiner(p->reduce)][p->reduceType];
  int wide = computeSize[p->reduceType];
  int64_t n = i1 - i0, rows = n == p->inner && n * 2 <= p->tile ? p->tile / n : 1;
  int filled = 0;
  for (int64_t r = r0; r < r1 && !lull_interrupt_stops(); r += rows) {
    int64_t count = r1 - r < rows ? r1 - r : rows;
    run_tile(p, &frame, (outer * p->reduced + r) * p->inner + i0, count * n);
    const char *tile = frame.regs[p->reduceReg];
    for (int64_t k = 0; k < count; ++k) {
      const char *row = tile + k * n * wide;
      if (!filled) memcpy(acc, row, n * wide), filled = 1;
      else if (k + 1 < count || rows == 1) combine(acc, acc, row, NULL, ROUND16(n));
      else {
        // The last row of a packed tile may end near the slot's end: copy before padding.
        char lastSlot[slotStride];
        memcpy(lastSlot, row, n * wide);
        combine(acc, acc, lastSlot, NULL, ROUND16(n));
      }
    }
  }
  if (partial) memcpy(partial, acc, n * wide);
  else NAME(lull_store_)(p->result + (outer * p->inner + i0) * dtypeSize[p->resultDType], acc,
    p->resultDType, n);
}

// Combines the partial results [split][outer * inner] of columns from ..< to.
static void NAME(finish_columns_)(const LullProgram *p, int64_t from, int64_t to) {
  LullOpFunction combine = table[combiner(p->reduce)][p->reduceType];
  int wide = computeSize[p->reduceType];
  char acc[slotStride], next[slotStride];
  int64_t step = wide == 16 ? 128 : 256;
  for (int64_t at = from; at < to; at += step) {
    int64_t n = to - at < step ? to - at : step;
    for (int s = 0; s < p->splits; ++s) {
      const char *row = p->partials + ((int64_t)s * p->outer * p->inner + at) * wide;
      if (s == 0) { memcpy(acc, row, n * wide); continue; }
      memcpy(next, row, n * wide);
      combine(acc, acc, next, NULL, ROUND16(n));
    }
    NAME(lull_store_)(p->result + at * dtypeSize[p->resultDType], acc, p->resultDType, n);
  }
}
