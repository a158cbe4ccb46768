// Part of jit.c: where the values of a body are just now. A value that is needed last makes room; it
// then waits on the stack.

enum { shortRow = 128, wholeRow = 128, tailMask = 7, frameSlots = 160, none = -1 };
// The kernel's frame: the tail's mask (without AVX-512 a vector, at 32), the caller's stack and n, then a
// place for each value that waits; without AVX-512 also the scalars as vectors, and room for a tail.
enum {
  callerStack = 8, elementCount = 16, narrowMask = 32, firstSlot = 64,
  firstScalar = firstSlot + 64 * frameSlots, tailRoom = firstScalar + 32 * lullMaxInputs,
  savedStreams = tailRoom + 32, frameBytes = savedStreams + 32,
};
// In kernels of rows the last two registers for streams serve other ends.
enum { streamRegisterCount = 9, sumAddress = rdx, rowsLeft = r15 };
static const uint8_t streamRegisters[streamRegisterCount] = {rsi, rdi, r8, r9, r10, r11, rcx, rdx, r15};

typedef struct {
  Assembler out;
  int isTail, streaming;
  int copies;                   // bodies that the main loop interleaves
  int first, copy;              // the number of the body's first vector, and that of the node's
  int isInterleaved;            // the body has all copies, else one
  int registers;                // vector registers
  int hasSum, sums, sumRegisters, firstSum;     // the sums have the registers from firstSum down
  int isRows;                   // the kernel walks rows, see LullJit
  int rowVectors;               // short rows are written out whole: their vectors, or 0
  int8_t fixed[maxNodes];       // their inputs that stay for all rows: the first vector's register, or none
  int roots;                    // square roots written so far
  int16_t useStart[maxNodes + 1], useAt[maxNodes], uses[maxNodes * 3];
  uint8_t live[maxNodes];
  int8_t reg[maxNodes];         // where a value is, or none
  int16_t slot[maxNodes];       // where it is kept on the stack, or none
  int16_t inVector[32], inMask[8];
  uint8_t isHoisted[maxNodes];
  uint32_t pinnedVectors, pinnedMasks;
  int now, slotCount, inputStreams;
  int8_t streamOfInput[lullMaxInputs];
} Emitter;

static Emitter *E;

static Memory slot_memory(int slot) { return (Memory){rsp, none, 1, firstSlot + slot * 64, 64}; }

// The position of a value's next use after (or at) the present one.
static int next_use(int v) {
  while (E->useAt[v] < E->useStart[v + 1] && E->uses[E->useAt[v]] < E->now) ++E->useAt[v];
  return E->useAt[v] < E->useStart[v + 1] ? E->uses[E->useAt[v]] : maxNodes + 1;
}
static int dies_here(int v) {
  int i = E->useAt[v];
  while (i < E->useStart[v + 1] && E->uses[i] <= E->now) ++i;
  return i == E->useStart[v + 1] && !E->isHoisted[v];
}

static Memory number_memory(const Node *n);

static void keep_on_stack(int v) {
  const Node *n = &B->nodes[v];
  if (E->slot[v] >= 0 || is_number(v)) return;
  if (E->slotCount == frameSlots) { E->out.failed = 1; return; }
  E->slot[v] = (int16_t)E->slotCount++;
  if (n->isMask) kmov_memory(&E->out, 0x91, E->reg[v], slot_memory(E->slot[v]));
  else vector_rm(&E->out, OPC(1, 0, 0x11), E->reg[v], 0, slot_memory(E->slot[v]));
}

// A free register, pinned; what is needed last makes room.
static int free_register(int isMask) {
  int16_t *in = isMask ? E->inMask : E->inVector;
  uint32_t pinned = isMask ? E->pinnedMasks : E->pinnedVectors;
  int from = isMask ? 1 : 0, to = isMask ? 7 : E->registers, best = none, farthest = -1;
  for (int r = from; r < to; ++r) {
    if (pinned >> r & 1) continue;
    if (!isMask && E->hasSum && r <= E->firstSum && r > E->firstSum - E->sumRegisters) continue;
    if (in[r] == none) { best = r; break; }
    if (E->isHoisted[in[r]]) continue;
    int use = next_use(in[r]);
    if (use > farthest) farthest = use, best = r;
  }
  if (best == none) { E->out.failed = 1; return from; }
  if (in[best] != none) {
    int old = in[best];
    if (next_use(old) <= maxNodes) keep_on_stack(old);
    E->reg[old] = none;
  }
  in[best] = none;
  if (isMask) E->pinnedMasks |= 1u << best;
  else E->pinnedVectors |= 1u << best;
  return best;
}

// A register for a new value.
static int take_register(int isMask, int v) {
  int r = free_register(isMask);
  (isMask ? E->inMask : E->inVector)[r] = (int16_t)v;
  E->reg[v] = (int8_t)r;
  return r;
}


// The register of an operand, loaded again if it had to make room.
static int operand(int v) {
  const Node *n = &B->nodes[v];
  int r = E->reg[v];
  if (r == none) {
    r = take_register(n->isMask, v);
    if (is_number(v)) {
      if (n->op == mConst && n->bits == 0)
        vector_rr(&E->out, OPC(1, 1, 0xef), r, r, r);
      else
        vector_rm(&E->out, isWide ? OPC(2, 1, 0x18) : OPC(1, 0, 0x10), r, 0, number_memory(n));
    } else if (E->slot[v] < 0) {
      E->out.failed = 1;
    } else if (n->isMask) {
      kmov_memory(&E->out, 0x90, r, slot_memory(E->slot[v]));
    } else {
      vector_rm(&E->out, OPC(1, 0, 0x10), r, 0, slot_memory(E->slot[v]));
    }
  }
  if (n->isMask) E->pinnedMasks |= 1u << r;
  else E->pinnedVectors |= 1u << r;
  return r;
}

static void release_operand(int v) {
  if (v < 0 || E->reg[v] == none || !dies_here(v)) return;
  int16_t *in = B->nodes[v].isMask ? E->inMask : E->inVector;
  in[E->reg[v]] = none;
  E->reg[v] = none;
}

// The register of a result: that of an operand which dies here, where there is one.
static int result(int v, int a, int b, int c) {
  const int operands[3] = {a, b, c};
  int isMask = B->nodes[v].isMask;
  for (int i = 0; i < 3; ++i) {
    int o = operands[i];
    if (o < 0 || E->reg[o] == none || B->nodes[o].isMask != isMask || !dies_here(o)) continue;
    int r = E->reg[o];
    E->reg[o] = none;
    E->reg[v] = (int8_t)r;
    (isMask ? E->inMask : E->inVector)[r] = (int16_t)v;
    return r;
  }
  return take_register(isMask, v);
}
