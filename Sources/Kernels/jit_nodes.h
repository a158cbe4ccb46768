// Part of jit.c: the instructions of each node, in registers that jit_registers.h gives.

// Constants lie after the code, where rbx points, scalars where r14 does. AVX2 has no operands that are
// one number for all lanes: there constants are whole vectors, and the kernel begins by spreading the
// scalars into its frame.
static uint32_t pool[maxNodes];
static int poolCount;
static uint8_t *poolAddress;  // where the code names the pool: written when that is placed
#define POOL_STEP (isWide ? 4 : 32)

static int pool_index(uint32_t bits) {
  for (int i = 0; i < poolCount; ++i)
    if (pool[i] == bits) return i;
  pool[poolCount] = bits;
  return poolCount++;
}
static Memory number_memory(const Node *n) {
  if (n->op == mScalar && !isWide) return (Memory){rsp, none, 1, firstScalar + n->a * 32, 32};
  if (n->op == mScalar) return (Memory){r14, none, 1, n->a * 4, 4};
  return (Memory){rbx, none, 1, pool_index(n->bits) * POOL_STEP, POOL_STEP};
}
static void number_rm(int opc, int reg, int vvvv, Memory m) {
  if (isWide) evex_rm(&E->out, opc, reg, vvvv, m, 0, 0, 1);
  else vex_rm(&E->out, opc, 1, reg, vvvv, m);
}

// An instruction whose last operand is a register or a broadcast number.
static void with_operand(int opc, int reg, int vvvv, int v) {
  if (E->reg[v] == none && is_number(v))
    number_rm(opc, reg, vvvv, number_memory(&B->nodes[v]));
  else
    vector_rr(&E->out, opc, reg, vvvv, operand(v));
}

static Memory stream_memory(int stream, int width) {
  int base = rax;
  if (stream < streamRegisterCount) base = streamRegisters[stream];
  else mov_load(&E->out, rax, (Memory){rbp, none, 1, stream * 8});
  return (Memory){base, r12, width, E->copy * LANES * width, LANES * width};
}

static void emit_shift(int d, int extension, int a, int amount) {
  if (!isWide) {
    vex_rr(&E->out, OPC(1, 1, 0x72), 1, extension, d, a);
    byte1(&E->out, amount);
    return;
  }
  evex(&E->out, OPC(1, 1, 0x72), extension, d, a & 16, a & 8, d & 16, 0, 0, 0);
  byte1(&E->out, 0xc0 | extension << 3 | (a & 7));
  byte1(&E->out, amount);
}

#include "jit_narrow.h"

static void emit_load(const Node *n, int v) {
  static const struct { int opc, width; } loads[14] = {
    [lullBool] = {OPC(2, 1, 0x31), 1}, [lullUInt8] = {OPC(2, 1, 0x31), 1},
    [lullInt8] = {OPC(2, 1, 0x21), 1}, [lullUInt16] = {OPC(2, 1, 0x33), 2},
    [lullInt16] = {OPC(2, 1, 0x23), 2}, [lullBFloat16] = {OPC(2, 1, 0x33), 2},
    [lullFloat16] = {OPC(2, 1, 0x13), 2}, [lullFloat32] = {OPC(1, 0, 0x10), 4},
    [lullInt32] = {OPC(1, 0, 0x10), 4}, [lullUInt32] = {OPC(1, 0, 0x10), 4},
  };
  int d = take_register(0, v), k = E->isTail ? tailMask : 0;
  if (n->hasImm) {  // one value for the row
    Memory one = stream_memory(E->streamOfInput[n->a], 4);
    one.index = none;
    one.scale = 1;
    one.disp = 0;
    vector_rm(&E->out, OPC(2, 1, 0x18), d, 0, one);
    return;
  }
  int width = loads[n->imm].width;
  Memory m = stream_memory(E->streamOfInput[n->a], width);
  if (isWide) evex_rm(&E->out, loads[n->imm].opc, d, 0, m, k, E->isTail, 0);
  else if (!E->isTail) vex_rm(&E->out, loads[n->imm].opc, 1, d, 0, m);
  else if (width == 4) narrow_load_tail(d, m);
  else {
    copy_tail(m, width, 0);
    vex_rm(&E->out, loads[n->imm].opc, 1, d, 0, (Memory){rsp, none, 1, tailRoom});
  }
  if (n->imm == lullBFloat16) emit_shift(d, 6, d, 16);
}

static void emit_store(const Node *n) {
  if (!isWide) return narrow_store(n);
  int a = operand(n->a), k = E->isTail ? tailMask : 0;
  Assembler *s = &E->out;
  int stream = E->inputStreams + n->b;
  switch (n->imm) {
  case lullFloat32: case lullInt32: case lullUInt32: {
    int opc = E->streaming && !E->isTail ? OPC(1, 0, 0x2b) : OPC(1, 0, 0x11);
    evex_rm(s, opc, a, 0, stream_memory(stream, 4), k, 0, 0);
    break;
  }
  case lullFloat16:
    evex_rm(s, OPC(3, 1, 0x1d), a, 0, stream_memory(stream, 2), k, 0, 0);
    byte1(s, 0);
    break;
  case lullInt16: case lullUInt16: case lullBFloat16:
    evex_rm(s, OPC(2, 2, 0x33), a, 0, stream_memory(stream, 2), k, 0, 0);
    break;
  default:
    evex_rm(s, OPC(2, 2, 0x31), a, 0, stream_memory(stream, 1), k, 0, 0);
  }
}

// The sums of the copies of the body have registers of their own, but in short rows. A product is added in one step,
// rounded once.
static void emit_sum(const Node *n) {
  int d = E->firstSum - E->copy % E->sums, a = operand(n->a), k = E->isTail ? tailMask : 0;
  if (!isWide && k) narrow_sum_tail(n, d);
  else if (n->c < 0 && !isWide) vex_rr(&E->out, OPC(1, 0, 0x58), 1, d, d, a);
  else if (n->c < 0) evex_rr(&E->out, OPC(1, 0, 0x58), d, d, a, k, 0);
  else if (k) evex_rr(&E->out, OPC(2, 1, 0xb8), d, a, operand(n->c), k, 0);
  else with_operand(OPC(2, 1, 0xb8), d, a, n->c);
}
static void clear_sums(void) {
  for (int i = 0, last = E->firstSum; E->hasSum && i < E->sums; ++i)
    vex_rr(&E->out, OPC(1, 0, 0x57), 0, last - i, last - i, last - i);
}
// The lanes of the sum go to the last output, or for rows their total does.
static void finish_sums(void) {
  Assembler *s = &E->out;
  for (int v = 0; v < B->count; ++v) {
    if (B->nodes[v].op != mSum || B->nodes[v].copy) continue;
    const int sum = E->firstSum, other = E->firstSum - 1;
    for (int step = E->sums / 2; step > 0; step /= 2)
      for (int i = 0; i < step; ++i)
        vector_rr(s, OPC(1, 0, 0x58), sum - i, sum - i, sum - i - step);
    if (!E->isRows) {
      mov_load(s, rax, (Memory){rbp, none, 1, (E->inputStreams + B->nodes[v].b) * 8});
      vector_rm(s, OPC(1, 0, 0x11), sum, 0, (Memory){rax, none, 1, 0});
      continue;
    }
    // The upper half is added to the lower one, again and again; narrow instructions take less room.
    if (isWide) {
      evex_rr(s, OPC(3, 1, 0x1b), sum, 0, other, 0, 0);  // vextractf32x8
      byte1(s, 1);
      vex_rr(s, OPC(1, 0, 0x58), 1, sum, sum, other);
    }
    vex_rr(s, OPC(3, 1, 0x19), 1, sum, 0, other);      // vextractf128
    byte1(s, 1);
    vex_rr(s, OPC(1, 0, 0x58), 0, sum, sum, other);
    vex_rr(s, OPC(1, 0, 0x12), 0, other, sum, sum);    // vmovhlps
    vex_rr(s, OPC(1, 0, 0x58), 0, sum, sum, other);
    vex_rr(s, OPC(1, 2, 0x16), 0, other, 0, sum);      // vmovshdup
    vex_rr(s, OPC(1, 0, 0x58), 0, sum, sum, other);
    vex_rm(s, OPC(1, 2, 0x11), 0, sum, 0, (Memory){sumAddress, none, 1, 0});  // vmovss
    alu_imm(s, 0, sumAddress, 4);
  }
}

// a * b + c in the form that spares a copy: one of the operands becomes the result.
static void emit_fma(const Node *n, int v) {
  int base = n->op == mFma ? 0x98 : n->op == mFms ? 0x9a : 0x9c;
  int o132 = OPC(2, 1, base), o213 = OPC(2, 1, base + 0x10), o231 = OPC(2, 1, base + 0x20);
  int a = n->a, b = n->b, c = n->c;
  // Only one operand can come from memory: c, or else b.
  int cInMemory = is_number(c) && E->reg[c] == none;
  int bInMemory = !cInMemory && is_number(b) && E->reg[b] == none;
  int ra = operand(a), rb = bInMemory ? none : operand(b), rc = cInMemory ? none : operand(c);
  int distinct = a != b && b != c && a != c;
  if (distinct && dies_here(a)) {
    int d = result(v, a, none, none);
    if (bInMemory) with_operand(o132, d, rc, b);
    else with_operand(o213, d, rb, c);
  } else if (distinct && !bInMemory && dies_here(b)) {
    int d = result(v, b, none, none);
    with_operand(o213, d, ra, c);
  } else if (distinct && !cInMemory && dies_here(c)) {
    int d = result(v, c, none, none);
    with_operand(o231, d, ra, b);
  } else {
    int d = take_register(0, v);
    vector_rr(&E->out, OPC(1, 0, 0x28), d, 0, ra);
    if (bInMemory) with_operand(o132, d, rc, b);
    else with_operand(o213, d, rb, c);
  }
}

// The instruction of the square root is slow but leaves the multipliers free. Of four square roots so
// many are the instruction, the others are worked out: measured once, see measure_roots.
static int rootShare = 4, rootsAreMeasured = 0;

// The square root without the slow instruction: an estimate of 14 bits of 1 / sqrt(x), one Newton step for
// s = sqrt(x) and h = 1 / (2 sqrt(x)) together, and a correction s + h (x - s^2). The result is the
// correctly rounded one for every float from 2^-100 on (all mantissas were tried); zero, tiny,
// infinite, negative and nan lanes go through the instruction, in a branch that is rarely taken.
static void emit_sqrt(const Node *n, int v) {
  Assembler *s = &E->out;
  if (E->roots++ % 4 < rootShare) {
    int a = operand(n->a), d = result(v, n->a, none, none);
    vector_rr(s, OPC(1, 0, 0x51), d, 0, a);
    return;
  }
  if (!isWide) return narrow_sqrt(n, v);
  int x = operand(n->a), half = operand(n->b);
  int d = take_register(0, v);
  // Scratch registers and a mask that nothing else needs meanwhile.
  int h = free_register(0), r = free_register(0), k = free_register(1);
  if (s->failed) return;
  evex_rr(s, OPC(2, 1, 0x4e), r, 0, x, 0, 0);            // r = rsqrt14(x)
  evex_rr(s, OPC(1, 0, 0x59), d, x, r, 0, 0);            // d = x r
  evex_rr(s, OPC(1, 0, 0x59), h, r, half, 0, 0);         // h = r / 2
  evex_rr(s, OPC(1, 0, 0x28), r, 0, d, 0, 0);
  evex_rr(s, OPC(2, 1, 0xac), r, h, half, 0, 0);         // r = 1/2 - d h
  evex_rr(s, OPC(2, 1, 0xb8), d, d, r, 0, 0);            // d = d + d r
  evex_rr(s, OPC(2, 1, 0xb8), h, h, r, 0, 0);            // h = h + h r
  evex_rr(s, OPC(1, 0, 0x28), r, 0, d, 0, 0);
  evex_rr(s, OPC(2, 1, 0xac), r, d, x, 0, 0);            // r = x - d d
  evex_rr(s, OPC(2, 1, 0xb8), d, h, r, 0, 0);            // d = d + h r
  // Lanes whose bits are not from 2^-100 to the largest number.
  enum { low = 27 << 23, span = 0x7f7fffff - (27 << 23) };
  evex_rm(s, OPC(1, 1, 0xfa), r, x, (Memory){rbx, none, 1, pool_index(low) * 4, 4}, 0, 0, 1);
  evex_rm(s, OPC(3, 1, 0x1e), k, r, (Memory){rbx, none, 1, pool_index(span) * 4, 4}, 0, 0, 1);
  byte1(s, 6);
  vex_kkk(s, 0x98, 0, k, 0, k);                          // kortestw
  uint8_t *skip = jump_if(s, 4);
  evex_rr(s, OPC(1, 0, 0x51), d, 0, x, k, 0);            // d{k} = sqrt(x)
  land(s, skip);
}

static void emit_node(int v) {
  const Node *n = &B->nodes[v];
  Assembler *s = &E->out;
  E->pinnedVectors = E->pinnedMasks = 0;
  switch (n->op) {
  case mConst: case mScalar: return;
  case mLoad: emit_load(n, v); return;
  case mStore: emit_store(n); break;
  case mSum: emit_sum(n); break;
  case mBinary: {
    int a = operand(n->a);
    if (!(is_number(n->b) && E->reg[n->b] == none)) operand(n->b);
    int rb = E->reg[n->b];
    int d = result(v, n->a, n->b, none);
    if (rb == none) number_rm((int)n->bits, d, a, number_memory(&B->nodes[n->b]));
    else vector_rr(s, (int)n->bits, d, a, rb);
    break;
  }
  case mUnary: {
    int a = operand(n->a), d = result(v, n->a, none, none);
    vector_rr(s, (int)n->bits, d, 0, a);
    if (n->hasImm) byte1(s, n->imm);
    break;
  }
  case mShift: {
    int a = operand(n->a), d = result(v, n->a, none, none);
    emit_shift(d, n->c, a, n->imm);
    return release_operand(n->a);
  }
  case mFma: case mFms: case mFnma: emit_fma(n, v); break;
  case mCompare: {
    int a = operand(n->a), d;
    if (is_number(n->b) && E->reg[n->b] == none) {
      d = take_register(isWide, v);
      number_rm((int)n->bits, d, a, number_memory(&B->nodes[n->b]));
    } else {
      int b = operand(n->b);
      d = take_register(isWide, v);
      vector_rr(s, (int)n->bits, d, a, b);
    }
    if (n->hasImm) byte1(s, n->imm);
    break;
  }
  case mBlend: {
    int k = operand(n->a), c = operand(n->c);
    if (!isWide) {
      narrow_blend(n, v, k, c);
      break;
    }
    if (is_number(n->b) && E->reg[n->b] == none) {
      int d = result(v, n->c, none, none);
      evex_rm(s, OPC(2, 1, 0x65), d, c, number_memory(&B->nodes[n->b]), k, 0, 1);
    } else {
      int b = operand(n->b), d = result(v, n->c, n->b, none);
      evex_rr(s, OPC(2, 1, 0x65), d, c, b, k, 0);
    }
    break;
  }
  case mMaskTo01: {
    int k = operand(n->a), d = take_register(0, v);
    evex_rm(s, OPC(2, 1, 0x58), d, 0, (Memory){rbx, none, 1, pool_index(1) * 4, 4}, k, 1, 0);
    break;
  }
  case mMaskOp: {
    int a = operand(n->a), b = operand(n->b), d = result(v, n->a, n->b, none);
    vex_kkk(s, (int)n->bits, 1, d, a, b);
    break;
  }
  case mMaskNot: {
    int a = operand(n->a), d = result(v, n->a, none, none);
    vex_kkk(s, 0x44, 0, d, 0, a);
    break;
  }
  case mSqrt: emit_sqrt(n, v); break;
  case mRoundHalf: {
    int a = operand(n->a), d = result(v, n->a, none, none);
    vector_rr(s, OPC(3, 1, 0x1d), a, 0, d);
    byte1(s, 0);
    vector_rr(s, OPC(2, 1, 0x13), d, 0, d);
    break;
  }
  }
  release_operand(n->a);
  release_operand(n->b);
  release_operand(n->c);
}
