// Part of jit.c: what AVX2 does in other ways than AVX-512. Masks are vectors; there are no masked loads
// and stores of narrow types, whose tails go through the frame; and constants are whole vectors.

static Memory tail_mask(void) { return (Memory){rsp, none, 1, narrowMask}; }

// The pool begins with 8 lanes of -1 and 8 of 0: the tail's mask is read across them.
static void narrow_pool(void) {
  pool[0] = ~0u;
  pool[1] = 0;
  poolCount = 2;
}

// The tail's mask and the scalars, before anything else has registers. rdx: n.
static void narrow_head(void) {
  Assembler *s = &E->out;
  mov_rr(s, rcx, rdx);
  alu_imm(s, 4, rcx, 7);
  byte1(s, 0x48); byte1(s, 0xf7); byte1(s, 0xd9);  // neg rcx
  vex_rm(s, OPC(1, 0, 0x10), 1, 0, 0, (Memory){rbx, rcx, 4, 32});
  vex_rm(s, OPC(1, 0, 0x11), 1, 0, 0, tail_mask());
  for (int v = 0; v < B->count; ++v) {
    if (B->nodes[v].op != mScalar || !E->live[v]) continue;
    vex_rm(s, OPC(2, 1, 0x18), 1, 0, 0, (Memory){r14, none, 1, B->nodes[v].a * 4});
    vex_rm(s, OPC(1, 0, 0x11), 1, 0, 0, number_memory(&B->nodes[v]));
  }
}

// The register that the mask is read into may be the result's own.
static void narrow_load_tail(int d, Memory m) {
  vex_rm(&E->out, OPC(1, 0, 0x10), 1, d, 0, tail_mask());
  vex_rm(&E->out, OPC(2, 1, 0x2c), 1, d, d, m);
}

// Copies the tail of a stream of narrow elements to the frame, or from there.
static void copy_tail(Memory m, int width, int isStore) {
  static const int used[3] = {rsi, rdi, rcx};
  Assembler *s = &E->out;
  for (int i = 0; i < 3; ++i) rex_rm(s, 0x89, used[i], (Memory){rsp, none, 1, savedStreams + 8 * i});
  rex_rm(s, 0x8d, isStore ? rdi : rsi, m);                                    // lea
  rex_rm(s, 0x8d, isStore ? rsi : rdi, (Memory){rsp, none, 1, tailRoom});
  mov_load(s, rcx, (Memory){rsp, none, 1, elementCount});
  alu_imm(s, 4, rcx, 7);
  if (width == 2) rex_rr(s, 0x01, rcx, rcx);                                  // add rcx, rcx
  byte1(s, 0xf3); byte1(s, 0xa4);                                             // rep movsb
  for (int i = 0; i < 3; ++i) mov_load(s, used[i], (Memory){rsp, none, 1, savedStreams + 8 * i});
}

static void narrow_store(const Node *n) {
  Assembler *s = &E->out;
  int a = operand(n->a), stream = E->inputStreams + n->b;
  if (n->imm == lullFloat32 || n->imm == lullInt32 || n->imm == lullUInt32) {
    Memory m = stream_memory(stream, 4);
    if (!E->isTail) {
      vex_rm(s, E->streaming ? OPC(1, 0, 0x2b) : OPC(1, 0, 0x11), 1, a, 0, m);
      return;
    }
    int mask = free_register(0);
    vex_rm(s, OPC(1, 0, 0x10), 1, mask, 0, tail_mask());
    vex_rm(s, OPC(2, 1, 0x2e), 1, a, mask, m);
    return;
  }
  int isByte = n->imm != lullFloat16 && n->imm != lullInt16 && n->imm != lullUInt16 && n->imm != lullBFloat16;
  Memory m = stream_memory(stream, isByte ? 1 : 2);
  Memory to = E->isTail ? (Memory){rsp, none, 1, tailRoom} : m;
  if (n->imm == lullFloat16) {
    vex_rm(s, OPC(3, 1, 0x1d), 1, a, 0, to);                                  // vcvtps2ph
    byte1(s, 0);
  } else {
    // The low bits only, so that packing saturates nothing; it packs each half for itself.
    int d = free_register(0);
    Node low = {mConst, .bits = isByte ? 255 : 65535};
    vex_rm(s, OPC(1, 1, 0xdb), 1, d, a, number_memory(&low));
    vex_rr(s, OPC(2, 1, 0x2b), 1, d, d, d);                                   // vpackusdw
    vex(s, OPC(3, 1, 0x00), 1, d, 0, 0, d & 8);                               // vpermq with W
    s->at[-2] |= s->failed ? 0 : 0x80;
    byte1(s, 0xc0 | (d & 7) << 3 | (d & 7));
    byte1(s, 8);
    if (isByte) {
      vex_rr(s, OPC(1, 1, 0x67), 0, d, d, d);                                 // vpackuswb
      vex_rm(s, OPC(1, 1, 0xd6), 0, d, 0, to);                                // vmovq
    } else {
      vex_rm(s, OPC(1, 0, 0x11), 0, d, 0, to);
    }
  }
  if (E->isTail) copy_tail(m, isByte ? 1 : 2, 1);
}

// What lies behind the tail must not count, whatever it is.
static void narrow_sum_tail(const Node *n, int d) {
  Assembler *s = &E->out;
  int a = operand(n->a), c = n->c < 0 ? none : operand(n->c);
  int mask = free_register(0), masked = free_register(0);
  vex_rm(s, OPC(1, 0, 0x10), 1, mask, 0, tail_mask());
  vex_rr(s, OPC(1, 0, 0x54), 1, masked, mask, a);
  if (c < 0) {
    vex_rr(s, OPC(1, 0, 0x58), 1, d, d, masked);
  } else {
    vex_rr(s, OPC(1, 0, 0x54), 1, mask, mask, c);
    vex_rr(s, OPC(2, 1, 0xb8), 1, d, masked, mask);
  }
}

// The square root without the slow instruction, where the estimate has 12 bits and differs between
// processors: as in emit_sqrt, and then the result is proved. With u half a unit in the last place of the number
// before s (of s, but below a power of two, where numbers are closer), |x - s^2| < 2 s u says that no other number is nearer
// to the root. The few lanes in which it is not so, and zero, tiny, infinite, negative and nan ones, take the instruction.
static void narrow_sqrt(const Node *n, int v) {
  Assembler *s = &E->out;
  int x = operand(n->a), d = take_register(0, v), h = free_register(0), r = free_register(0);
  if (s->failed) return;
  enum { oneLess = 0xffffffffu, exponent = 0x7f800000, magnitude = 0x7fffffff, unit = 0x33fffff0 };
#define NUMBER(bits) (Memory){rbx, none, 1, pool_index(bits) * POOL_STEP}
  vex_rr(s, OPC(1, 0, 0x52), 1, r, 0, x);              // r = rsqrt(x)
  vex_rr(s, OPC(1, 0, 0x59), 1, d, x, r);              // d = x r
  with_operand(OPC(1, 0, 0x59), h, r, n->b);           // h = r / 2
  vex_rr(s, OPC(1, 0, 0x28), 1, r, 0, d);
  with_operand(OPC(2, 1, 0xac), r, h, n->b);           // r = 1/2 - d h
  vex_rr(s, OPC(2, 1, 0xb8), 1, d, d, r);              // d = d + d r
  vex_rr(s, OPC(2, 1, 0xb8), 1, h, h, r);              // h = h + h r
  vex_rr(s, OPC(1, 0, 0x28), 1, r, 0, d);
  vex_rr(s, OPC(2, 1, 0xac), 1, r, d, x);              // r = x - d d
  vex_rr(s, OPC(2, 1, 0xb8), 1, d, h, r);              // d = d + h r
  vex_rr(s, OPC(1, 0, 0x28), 1, r, 0, d);
  vex_rr(s, OPC(2, 1, 0xac), 1, r, d, x);              // r = x - d d
  vex_rm(s, OPC(1, 0, 0x54), 1, r, r, NUMBER(magnitude));
  vex_rm(s, OPC(1, 1, 0xfe), 1, h, d, NUMBER(oneLess));
  vex_rm(s, OPC(1, 0, 0x54), 1, h, h, NUMBER(exponent));
  vex_rr(s, OPC(1, 0, 0x59), 1, h, h, d);
  vex_rm(s, OPC(1, 0, 0x59), 1, h, h, NUMBER(unit));   // h = 2 d u, a little less: 2^-23 (1 - 2^-20)
  vex_rr(s, OPC(1, 0, 0xc2), 1, r, r, h);
  byte1(s, 0x11);                                      // r < h
  vex_rr(s, OPC(1, 0, 0x50), 1, rax, 0, r);            // vmovmskps eax
  byte1(s, 0x3d);
  bytes4(s, 255);                                      // cmp eax, 255
  uint8_t *skip = jump_if(s, 4);
  vex_rr(s, OPC(1, 0, 0x51), 1, d, 0, x);
  land(s, skip);
#undef NUMBER
}

// mask ? b : c
static void narrow_blend(const Node *n, int v, int mask, int c) {
  Assembler *s = &E->out;
  if (is_number(n->b) && E->reg[n->b] == none) {
    int d = result(v, n->c, n->a, none);
    vex_rm(s, OPC(3, 1, 0x4a), 1, d, c, number_memory(&B->nodes[n->b]));
  } else {
    int b = operand(n->b), d = result(v, n->c, n->b, n->a);
    vex_rr(s, OPC(3, 1, 0x4a), 1, d, c, b);
  }
  byte1(s, mask << 4);
}
