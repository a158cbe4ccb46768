// Part of jit.c: what is decided before a body is written. Which nodes are needed and where, how many
// vectors go side by side, and what stays in registers for the whole loop.

// Which nodes are needed, and where each value is used.
static void find_uses(void) {
  memset(E->live, 0, sizeof E->live);
  for (int v = B->count - 1; v >= 0; --v) {
    const Node *n = &B->nodes[v];
    if (n->op == mStore || n->op == mSum) E->live[v] = 1;
    if (!E->live[v]) continue;
    if (n->op == mConst || n->op == mScalar || n->op == mLoad) continue;
    E->live[n->a] = 1;
    if (n->op != mStore && n->op != mSum && n->b >= 0) E->live[n->b] = 1;
    if (n->op != mShift && n->c >= 0) E->live[n->c] = 1;
  }
  static int16_t counts[maxNodes];
  memset(counts, 0, sizeof counts);
  for (int pass = 0; pass < 2; ++pass) {
    for (int v = 0; v < B->count; ++v) {
      const Node *n = &B->nodes[v];
      if (!E->live[v] || n->op == mConst || n->op == mScalar || n->op == mLoad) continue;
      int operands[3] = {n->a, n->op == mStore || n->op == mSum ? none : n->b, n->op == mShift ? none : n->c};
      for (int i = 0; i < 3; ++i) {
        if (operands[i] < 0) continue;
        if (pass == 0) ++counts[operands[i]];
        else E->uses[E->useStart[operands[i]] + counts[operands[i]]++] = (int16_t)v;
      }
    }
    if (pass == 0) {
      int sum = 0;
      for (int v = 0; v < B->count; ++v) E->useStart[v] = (int16_t)sum, sum += counts[v];
      E->useStart[B->count] = (int16_t)sum;
      memset(counts, 0, sizeof counts);
    }
  }
}

// How many vectors of a body are needed at once.
static int most_alive(void) {
  int alive = 0, most = 0;
  static int16_t ends[maxNodes + 1];
  memset(ends, 0, sizeof ends);
  for (int v = 0; v < B->count; ++v) {
    const Node *n = &B->nodes[v];
    if (E->live[v] && !is_number(v) && !n->isMask && n->op != mStore && n->op != mSum &&
        E->useStart[v + 1] > E->useStart[v]) {
      ++alive;
      ++ends[E->uses[E->useStart[v + 1] - 1]];
    }
    if (alive > most) most = alive;
    alive -= ends[v];
  }
  return most;
}

// Repeats each node for `copies` vectors, one beside the other: they do not wait for each other, so
// a processor that keeps some hundred instructions in flight finds enough to do in them.
static void interleave(int copies) {
  static Node old[maxNodes];
  static int16_t to[maxNodes];
  int count = B->count;
  memcpy(old, B->nodes, sizeof(Node) * (size_t)count);
  B->count = 0;
  for (int v = 0; v < count; ++v) {
    if (!E->live[v]) continue;
    int isNumber = old[v].op == mConst || old[v].op == mScalar;
    to[v] = (int16_t)B->count;
    for (int k = 0; k < (isNumber ? 1 : copies); ++k) {
      Node n = old[v];
#define MOVED(x) (int16_t)(to[x] + (old[x].op == mConst || old[x].op == mScalar ? 0 : k))
      if (!isNumber && n.op != mLoad) {
        n.a = MOVED(n.a);
        if (n.b >= 0 && n.op != mStore && n.op != mSum) n.b = MOVED(n.b);
        if (n.c >= 0 && n.op != mShift) n.c = MOVED(n.c);
      }
#undef MOVED
      n.copy = (uint8_t)k;
      B->nodes[B->count++] = n;
    }
  }
  find_uses();
}

// Inputs that are the same for all rows, of rows that are written out: loaded before the first row,
// into neighbouring registers from the last one down.
static void hoist_fixed(const LullJit *jit, int *room) {
  int next = E->registers, isTail = jit->rowLength % LANES != 0;
  for (int v = 0; v < B->count; ++v) {
    const Node *n = &B->nodes[v];
    if (n->op != mLoad || !E->live[v] || !E->rowVectors || !jit->isFixed[n->a]) continue;
    if (*room < E->rowVectors || next - E->rowVectors <= E->firstSum) continue;
    *room -= E->rowVectors;
    next -= E->rowVectors;
    for (int i = 0; i < E->rowVectors; ++i) {
      E->copy = i;
      E->isTail = isTail && i == E->rowVectors - 1;
      // Only this register is free for the load.
      E->pinnedVectors = ~(1u << (next + i));
      emit_load(n, v);
    }
    E->isHoisted[v] = 1;
    E->fixed[v] = (int8_t)next;
  }
}

// Numbers live in registers for the whole loop as far as the body leaves room.
static void hoist_values(const LullJit *jit) {
  int most = most_alive();
  int room = E->registers - 4 - most - (E->hasSum ? E->sumRegisters : 0);
  memset(E->isHoisted, 0, sizeof E->isHoisted);
  for (int r = 0; r < E->registers; ++r) E->inVector[r] = none;
  for (int v = 0; v < B->count; ++v) E->reg[v] = E->fixed[v] = none;
  hoist_fixed(jit, &room);
  for (int v = 0; v < B->count && room > 0; ++v) {
    if (!E->live[v] || !is_number(v)) continue;
    E->pinnedVectors = 0;
    E->now = 0;
    operand(v);
    E->isHoisted[v] = 1;
    --room;
  }
}
