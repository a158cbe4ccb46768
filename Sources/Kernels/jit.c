// Machine code for fused programs: 16 elements of 4 bytes at a time with AVX-512, 8 with AVX2.
//
// A program (vm.h) in the compute types f32, i32 and u32 becomes machine operations (jit_build.h),
// which are laid out for several vectors (jit_plan.h), get registers by a scan over their next uses
// (jit_registers.h) and become instructions (jit_nodes.h, and jit_narrow.h for AVX2); a kernel is a loop over
// whole vectors and a masked copy of its body for the rest. Programs with other types or with functions that are not inlined stay
// with the tile interpreter (vm_run.h), which is the oracle of the tests: both give the same bits.
//
// Kernels are kept in a table by the program's structure. Code is written through one mapping
// and run through another, so no page is ever writable and executable; where the system forbids
// that, there is no machine code and the interpreter does the work. Compilation happens on the
// thread that evaluates, between parallel regions.
#define _GNU_SOURCE
#include "jit.h"
#include "code_memory.h"
#include "vm_internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__) && defined(__linux__)
#include <time.h>
#include "jit_asm.h"
#include "jit_build.h"
#include "jit_registers.h"
#include "jit_nodes.h"

// MARK: Code

static void reset_registers(void) {
  E->slotCount = 0;
  for (int v = 0; v < B->count; ++v) {
    E->useAt[v] = E->useStart[v];
    E->slot[v] = none;
    if (!E->isHoisted[v]) E->reg[v] = none;
    else if (E->fixed[v] != none) E->reg[v] = (int8_t)(E->fixed[v] + E->first);
  }
  for (int r = 0; r < E->registers; ++r)
    if (E->inVector[r] != none && !E->isHoisted[E->inVector[r]]) E->inVector[r] = none;
  for (int r = 0; r < 8; ++r) E->inMask[r] = none;
}

static void emit_body(int isTail, int first) {
  E->isTail = isTail;
  E->first = first;
  reset_registers();
  for (int v = 0; v < B->count; ++v) {
    int copy = B->nodes[v].copy;
    E->now = v;
    E->copy = first + copy;
    if (E->live[v] && E->fixed[v] == none && (E->isInterleaved || copy == 0)) emit_node(v);
  }
}

#include "jit_plan.h"

// While r12 < r13: `copies` bodies, each for the elements of the next vector.
static void emit_loop(int copies) {
  Assembler *s = &E->out;
  rex_rr(s, 0x39, r13, r12);  // cmp r12, r13
  uint8_t *past = jump_if(s, 3);
  uint8_t *top = s->at;
  E->roots = 0;
  E->isInterleaved = copies > 1;
  emit_body(0, 0);
  E->isInterleaved = 0;
  alu_imm(s, 0, r12, LANES * copies);
  rex_rr(s, 0x39, r13, r12);
  jump_back_if(s, 2, top);
  land(s, past);
}

// The vectors of a row, one after the other, or loops over them.
static void emit_elements(const LullJit *jit, Memory n) {
  Assembler *s = &E->out;
  if (E->rowVectors) {
    int isTail = jit->rowLength % LANES != 0;
    E->roots = 0;
    for (int i = 0; i < E->rowVectors; ++i) emit_body(isTail && i == E->rowVectors - 1, i);
    return;
  }
  byte1(s, 0x45); byte1(s, 0x31); byte1(s, 0xe4);  // xor r12d, r12d
  mov_load(s, r13, n);
  alu_imm(s, 4, r13, -LANES * E->copies);
  emit_loop(E->copies);
  if (E->copies > 1) {
    mov_load(s, r13, n);
    alu_imm(s, 4, r13, -LANES);
    emit_loop(1);
  }
  rex_rm(s, 0x3b, r12, n);  // cmp r12, n
  uint8_t *toEnd = jump_if(s, 4);
  emit_body(1, 0);
  land(s, toEnd);
}

static void emit_kernel(const LullJit *jit) {
  Assembler *s = &E->out;
  E->slotCount = 0;
  push(s, rbp); push(s, rbx); push(s, r12); push(s, r13); push(s, r14); push(s, r15);
  mov_rr(s, rax, rsp);
  alu_imm(s, 5, rsp, frameBytes + 64);
  alu_imm(s, 4, rsp, -64);
  const Memory n = {rsp, none, 1, elementCount};
  rex_rm(s, 0x89, rax, (Memory){rsp, none, 1, callerStack});
  rex_rm(s, 0x89, rdx, n);
  if (E->isRows) mov_rr(s, rowsLeft, rcx);
  mov_rr(s, rbp, rdi);
  mov_rr(s, r14, rsi);
  // mov rbx, imm64: the pool
  byte1(s, 0x48); byte1(s, 0xbb);
  poolAddress = s->at;
  bytes8(s, 0);
  if (isWide) {
    // mask = (1 << (n & 15)) - 1
    mov_rr(s, rcx, rdx);
    alu_imm(s, 4, rcx, 15);
    byte1(s, 0xb8); bytes4(s, 1);           // mov eax, 1
    byte1(s, 0xd3); byte1(s, 0xe0);         // shl eax, cl
    byte1(s, 0xff); byte1(s, 0xc8);         // dec eax
    rex_rm(s, 0x89, rax, (Memory){rsp, none, 1, 0});
    kmov_memory(s, 0x90, tailMask, (Memory){rsp, none, 1, 0});
  } else {
    narrow_head();
  }
  int streams = E->inputStreams;
  for (int v = 0; v < B->count; ++v)
    if (B->nodes[v].op == mStore && E->inputStreams + B->nodes[v].b + 1 > streams)
      streams = E->inputStreams + B->nodes[v].b + 1;
  if (E->isRows && streams > lullRowStreams) s->failed = 1;
  if (E->isRows && E->hasSum) mov_load(s, sumAddress, (Memory){rbp, none, 1, streams * 8});
  for (int i = 0; i < streams && i < streamRegisterCount; ++i)
    mov_load(s, streamRegisters[i], (Memory){rbp, none, 1, i * 8});
  byte1(s, 0x45); byte1(s, 0x31); byte1(s, 0xe4);  // xor r12d, r12d
  hoist_values(jit);
  uint8_t *row = s->at;
  clear_sums();
  emit_elements(jit, n);
  finish_sums();
  if (E->isRows) {
    for (int i = 0; i < streams && i < streamRegisterCount; ++i)
      rex_rm(s, 0x03, streamRegisters[i], (Memory){rbp, none, 1, (lullJitSteps + i) * 8});
    alu_imm(s, 5, rowsLeft, 1);
    jump_back_if(s, 5, row);
  }
  if (E->streaming) { byte1(s, 0x0f); byte1(s, 0xae); byte1(s, 0xf8); }  // sfence
  mov_load(s, rsp, (Memory){rsp, none, 1, callerStack});
  pop(s, r15); pop(s, r14); pop(s, r13); pop(s, r12); pop(s, rbx); pop(s, rbp);
  byte1(s, 0xc5); byte1(s, 0xf8); byte1(s, 0x77);  // vzeroupper
  byte1(s, 0xc3);
}

// MARK: Memory for code, and the table of kernels

enum { arenaBytes = 8 << 20, kernelBytes = 256 << 10, tableSlots = 4096, tableLimit = 2048 };
typedef struct {
  uint64_t hash;
  uint8_t *key;
  int keyLength;
  LullKernel run;
} Entry;
static Entry table[tableSlots];
static int tableCount;
static uint8_t *writable, *executable;
static size_t arenaUsed;
static int state;  // 0 not tried, 1 works, -1 forbidden or switched off
static int64_t compiled;

int64_t lull_jit_compiled(void) { return compiled; }
void lull_set_jit(int on) {
  if (!on) state = -1;
  else if (state < 0) state = writable ? 1 : 0;
}

static void open_arena(void) {
  state = lull_map_code(arenaBytes, &writable, &executable) ? 1 : -1;
}

static void forget_all(void) {
  for (int i = 0; i < tableSlots; ++i) free(table[i].key);
  memset(table, 0, sizeof table);
  tableCount = 0;
  arenaUsed = 0;
}

static void measure_roots(void);

static LullKernel compile(const LullProgram *p, const LullJit *jit, int streaming) {
  isWide = lull_simd_level() >= 2;
  if (!rootsAreMeasured)
    for (int i = 0; i < p->instructionCount; ++i)
      if (p->code[i].op == lullSqrt || p->code[i].op == lullRsqrt) {
        measure_roots();
        break;
      }
  static Builder builder;
  static Emitter emitter;
  B = &builder;
  E = &emitter;
  B->count = B->failed = 0;
  memset(B->hash, 0xff, sizeof B->hash);
  Held held[lullMaxRegisters];
  memset(held, 0xff, sizeof held);
  E->inputStreams = 0;
  int scalars = 0;
  for (int i = 0; i < p->inputCount; ++i) {
    const LullInput *in = &p->inputs[i];
    if (in->isConstant) {
      Node n = {mScalar, .a = (int16_t)scalars++, .b = -1, .c = -1};
      held[in->reg] = (Held){(int16_t)node(n), -1};
    } else {
      E->streamOfInput[i] = (int8_t)E->inputStreams++;
    }
  }
  for (int i = 0; i < p->instructionCount; ++i) {
    const LullInstruction *in = &p->code[i];
    if (in->op == lullLoad) {
      int type = p->inputs[in->a].dtype;
      if (!jit->isLinear[in->a])
        type = lull_compute_type(type) == lullF32 ? lullFloat32
          : lull_compute_type(type) == lullI32 ? lullInt32 : lullUInt32;
      Node n = {mLoad, (uint8_t)type, jit->isSplat[in->a], .a = (int16_t)in->a, .b = -1, .c = -1};
      held[in->dst] = (Held){(int16_t)node(n), -1};
    } else if (!expand(in, held)) {
      return NULL;
    }
  }
  int outputs = 0;
  for (int i = 0; i < p->outputCount; ++i) {
    Held *h = &held[p->outputs[i].reg];
    int dtype = p->outputs[i].dtype;
    int v = as_vector(h);
    if (dtype == lullBool) {
      Held truth = {-1, (int16_t)as_mask(h)};
      v = as_vector(&truth);
    }
    if (dtype == lullBFloat16) v = SHR(v, 16);
    Node n = {mStore, (uint8_t)dtype, .a = (int16_t)v, .b = (int16_t)outputs++, .c = -1};
    node(n);
  }
  if (p->reduce) {
    Held *h = &held[p->reduceReg];
    Node n = {jit->sums ? mSum : mStore, lullInt32, .a = (int16_t)as_vector(h), .b = (int16_t)outputs++, .c = -1};
    const Node *value = &B->nodes[n.a];
    if (jit->sums && value->op == mBinary && value->bits == OPC(1, 0, 0x59)) {
      n.a = value->a;
      n.c = value->b;
    }
    node(n);
  }
  if (B->failed) return NULL;
  if (arenaUsed + kernelBytes > arenaBytes) forget_all();
  uint8_t *start = writable + arenaUsed;
  E->out = (Assembler){start, start + kernelBytes - POOL_STEP * maxNodes - 64, 0};
  E->streaming = streaming;
  E->registers = isWide ? 32 : 16;
  poolCount = 0;
  if (!isWide) narrow_pool();
  find_uses();
  // Short bodies are repeated: their additions would wait for each other.
  int length = 0, roots = 0;
  for (int v = 0; v < B->count; ++v) {
    length += E->live[v] && !is_number(v);
    roots += E->live[v] && B->nodes[v].op == mSqrt;
  }
  E->hasSum = jit->sums;
  E->isRows = jit->rowLength > 0;
  int most = most_alive();
  E->copies = length <= (isWide ? 8 : 40) ? 4 : length <= 160 && most <= 12 ? 2 : 1;
  if (roots && rootShare % 4 && length <= 40) E->copies = 4;
  int vectors = (int)((jit->rowLength + LANES - 1) / LANES);
  E->rowVectors = vectors * length <= wholeRow && jit->rowLength <= shortRow ? vectors : 0;
  // The sums of one row do not wait for those of the next.
  E->sums = jit->rowLength && jit->rowLength <= shortRow ? 1 : E->copies;
  E->sumRegisters = E->sums < 2 ? 2 : E->sums;
  E->firstSum = isWide ? 15 : E->sumRegisters - 1;
  if (E->rowVectors) E->copies = 1;
  if (E->copies > 1) interleave(E->copies);
  emit_kernel(jit);
  if (E->out.failed) return NULL;
  uint8_t *poolAt = writable + (((size_t)(E->out.at - writable) + 63) & ~(size_t)63);
  for (int i = 0; i < poolCount; ++i)
    for (int k = 0; k < POOL_STEP; k += 4) memcpy(poolAt + i * POOL_STEP + k, &pool[i], 4);
  uint64_t address = (uint64_t)(executable + (poolAt - writable));
  memcpy(poolAddress, &address, 8);
  LullKernel run = (LullKernel)(void *)(executable + (start - writable));
  arenaUsed = ((size_t)(poolAt - writable) + (size_t)(POOL_STEP * poolCount) + 63) & ~(size_t)63;
  ++compiled;
  return run;
}

static int64_t nanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

// Times a sum of square roots of sums of squares with each share of instructions (some 20 us in
// all). On a Zen 4 with AVX-512, 3 of 4 take 0.145 ns an element, all of them 0.174, none 0.22.
static void measure_roots(void) {
  enum { count = 4096, tries = 5 };
  static float x[count];
  for (int i = 0; i < count; ++i) x[i] = 1.0f + (float)i;
  rootsAreMeasured = 1;
  const LullInput in = {.data = (const char *)x, .limit = (const char *)(x + count), .strides = {4},
    .dtype = lullFloat32};
  const LullInstruction code[] = {
    {lullLoad, lullF32, 0, 0, 0, 0}, {lullMul, lullF32, 1, 0, 0, 0}, {lullAdd, lullF32, 1, 1, 0, 0},
    {lullSqrt, lullF32, 1, 1, 1, 1}, {lullMul, lullF32, 1, 1, 0, 0},
  };
  const LullProgram p = {.code = code, .inputs = &in, .instructionCount = 5, .inputCount = 1,
    .registerCount = 2, .rank = 1, .shape = {count}, .total = count, .reduce = lullSum, .reduceReg = 1};
  const LullJit jit = {.isLinear = {1}, .allLinear = 1, .sums = 1};
  int64_t best = INT64_MAX;
  int bestShare = 4;
  size_t used = arenaUsed;
  for (int share = 0; share <= 4; ++share) {
    rootShare = share;
    LullKernel run = compile(&p, &jit, 0);
    if (!run) break;
    _Alignas(64) float lanes[16];
    char *streams[2] = {(char *)x, (char *)lanes};
    for (int i = 0; i < tries; ++i) {
      int64_t start = nanoseconds();
      run(streams, NULL, count, 0);
      int64_t time = nanoseconds() - start;
      if (time < best) best = time, bestShare = share;
    }
    if (arenaUsed > used) arenaUsed = used;
  }
  rootShare = bestShare;
}

static int is_linear(const LullProgram *p, const LullInput *in) {
  int64_t step = lull_dtype_size(in->dtype);
  for (int k = p->rank - 1; k >= 0; --k) {
    if (p->shape[k] != 1 && in->strides[k] != step) return 0;
    step *= p->shape[k];
  }
  return 1;
}

LullJit lull_jit(const LullProgram *p, int streaming, int sums, int64_t rowLength) {
  LullJit jit = {.sums = (uint8_t)sums, .rowLength = rowLength};
  if (lull_simd_level() < 1) return jit;
  if (state == 0) open_arena();
  if (state < 0) return jit;
  // The key: everything that the code depends on.
  uint8_t key[lullMaxInstructions * sizeof(LullInstruction) + lullMaxInputs * 4 + 128 * 4 + 16];
  int length = (int)sizeof(LullInstruction) * p->instructionCount;
  memcpy(key, p->code, (size_t)length);
  jit.allLinear = 1;
  for (int i = 0; i < p->inputCount; ++i) {
    const LullInput *in = &p->inputs[i];
    if (lull_dtype_size(in->dtype) > 4) return (LullJit){0};
    int splat = rowLength && !in->isConstant && in->strides[p->rank - 1] == 0;
    int linear = !in->isConstant && (rowLength || is_linear(p, in));
    jit.isLinear[i] = (uint8_t)linear;
    jit.isSplat[i] = (uint8_t)splat;
    jit.isFixed[i] = rowLength && rowLength <= shortRow && !in->isConstant && !splat && in->strides[p->rank - 2] == 0;
    if (!linear && !in->isConstant) jit.allLinear = 0;
    key[length++] = (uint8_t)((in->isConstant ? 2 : splat ? 3 : linear) | jit.isFixed[i] << 2);
    key[length++] = in->dtype;
    key[length++] = in->isConstant ? (uint8_t)in->reg : 0;
  }
  if (p->outputCount > 100) return (LullJit){0};
  for (int i = 0; i < p->outputCount; ++i) {
    if (lull_dtype_size(p->outputs[i].dtype) > 4) return (LullJit){0};
    key[length++] = (uint8_t)p->outputs[i].reg;
    key[length++] = p->outputs[i].dtype;
  }
  key[length++] = (uint8_t)(lull_simd_level() << 4 | streaming | sums << 1 | (rowLength > 0) << 2 | (rowLength > shortRow) << 3);
  key[length++] = (uint8_t)(rowLength <= shortRow ? rowLength : 0);
  key[length++] = (uint8_t)(p->reduce ? p->reduceReg : 255);
  uint64_t hash = 14695981039346656037ull;
  int i = 0;
  for (; i + 8 <= length; i += 8) {
    uint64_t word;
    memcpy(&word, key + i, 8);
    hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
    hash ^= hash >> 29;
  }
  for (; i < length; ++i) hash = (hash ^ key[i]) * 1099511628211ull;
  hash ^= hash >> 32;
  unsigned slot = (unsigned)(hash % tableSlots);
  for (; table[slot].key; slot = (slot + 1) % tableSlots) {
    const Entry *e = &table[slot];
    if (e->hash == hash && e->keyLength == length && !memcmp(e->key, key, (size_t)length)) {
      jit.run = e->run;
      return jit;
    }
  }
  if (tableCount >= tableLimit) {
    forget_all();
    slot = (unsigned)(hash % tableSlots);
  }
  int before = tableCount;
  jit.run = compile(p, &jit, streaming);
  if (tableCount < before) slot = (unsigned)(hash % tableSlots);
  uint8_t *copy = malloc((size_t)length);
  if (!copy) return jit;
  memcpy(copy, key, (size_t)length);
  table[slot] = (Entry){hash, copy, length, jit.run};
  ++tableCount;
  return jit;
}
#else
int64_t lull_jit_compiled(void) { return 0; }
void lull_set_jit(int on) {}
LullJit lull_jit(const LullProgram *p, int streaming, int sums, int64_t rowLength) { return (LullJit){0}; }
#endif
