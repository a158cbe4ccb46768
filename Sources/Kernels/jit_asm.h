// An encoder for the vector instructions that fused kernels use (Intel SDM volume 2, 2.3 and 2.7 and
// the instructions' own pages): AVX-512 in EVEX, AVX2 in VEX. Part of jit.c.
//
// Memory operands are [base + index * scale + disp]. A displacement takes one byte where it can: in
// EVEX it then counts the bytes that the instruction reads.

typedef struct {
  uint8_t *at, *end;
  int failed;
} Assembler;

enum { rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15 };

static void byte1(Assembler *s, int b) {
  if (s->at < s->end) *s->at++ = (uint8_t)b;
  else s->failed = 1;
}
static void bytes4(Assembler *s, int32_t v) {
  for (int i = 0; i < 4; ++i) byte1(s, v >> (8 * i));
}
static void bytes8(Assembler *s, uint64_t v) {
  for (int i = 0; i < 8; ++i) byte1(s, (int)(v >> (8 * i)));
}

// index < 0: none; unit: the bytes that are read or written, 0 for a displacement of four bytes.
typedef struct { int base, index, scale, disp, unit; } Memory;

static void memory_operand(Assembler *s, int reg, Memory m) {
  int b = m.base & 7, r = (reg & 7) << 3;
  int isShort = m.unit && m.disp % m.unit == 0 && m.disp / m.unit >= -128 && m.disp / m.unit < 128;
  int mode = m.disp == 0 && b != 5 ? 0 : isShort ? 0x40 : 0x80;
  if (m.index < 0 && b != 4) {
    byte1(s, mode | r | b);
  } else {
    int shift = m.scale == 1 ? 0 : m.scale == 2 ? 1 : m.scale == 4 ? 2 : 3;
    byte1(s, mode | r | 4);
    byte1(s, shift << 6 | (m.index < 0 ? 4 : m.index & 7) << 3 | b);
  }
  if (mode == 0x40) byte1(s, m.disp / m.unit);
  else if (mode == 0x80) bytes4(s, m.disp);
}

// map << 16 | pp << 8 | opcode.
#define OPC(map, pp, opcode) ((map) << 16 | (pp) << 8 | (opcode))

// vvvv is the second operand (0 where there is none); k the mask register, z zeroing.
static void evex(Assembler *s, int opc, int reg, int vvvv, int x, int b, int vHigh, int k, int z,
                 int broadcast) {
  byte1(s, 0x62);
  byte1(s, (reg & 8 ? 0 : 0x80) | (x ? 0 : 0x40) | (b ? 0 : 0x20) | (reg & 16 ? 0 : 0x10) | opc >> 16);
  byte1(s, (~vvvv & 15) << 3 | 4 | (opc >> 8 & 3));
  byte1(s, (z ? 0x80 : 0) | 0x40 | (broadcast ? 0x10 : 0) | (vHigh ? 0 : 8) | k);
  byte1(s, opc & 255);
}
static void evex_rr(Assembler *s, int opc, int reg, int vvvv, int rm, int k, int z) {
  evex(s, opc, reg, vvvv, rm & 16, rm & 8, vvvv & 16, k, z, 0);
  byte1(s, 0xc0 | (reg & 7) << 3 | (rm & 7));
}
static void evex_rm(Assembler *s, int opc, int reg, int vvvv, Memory m, int k, int z, int broadcast) {
  evex(s, opc, reg, vvvv, m.index >= 0 && (m.index & 8), m.base & 8, vvvv & 16, k, z, broadcast);
  memory_operand(s, reg, m);
}

// Three-byte VEX, for the narrow vectors of registers 0 to 15: 16 bytes (L 0) or 32 (1).
static void vex(Assembler *s, int opc, int L, int reg, int vvvv, int x, int b) {
  byte1(s, 0xc4);
  byte1(s, (reg & 8 ? 0 : 0x80) | (x ? 0 : 0x40) | (b ? 0 : 0x20) | opc >> 16);
  byte1(s, (~vvvv & 15) << 3 | L << 2 | (opc >> 8 & 3));
  byte1(s, opc & 255);
}
static void vex_rr(Assembler *s, int opc, int L, int reg, int vvvv, int rm) {
  vex(s, opc, L, reg, vvvv, 0, rm & 8);
  byte1(s, 0xc0 | (reg & 7) << 3 | (rm & 7));
}
static void vex_rm(Assembler *s, int opc, int L, int reg, int vvvv, Memory m) {
  vex(s, opc, L, reg, vvvv, m.index >= 0 && (m.index & 8), m.base & 8);
  m.unit = 1;
  memory_operand(s, reg, m);
}
// Mask instructions: three-byte VEX.
static void vex_kkk(Assembler *s, int opcode, int L, int d, int a, int b) {
  byte1(s, 0xc4);
  byte1(s, 0xe1);
  byte1(s, (~a & 15) << 3 | L << 2);
  byte1(s, opcode);
  byte1(s, 0xc0 | d << 3 | b);
}
static void kmov_memory(Assembler *s, int opcode, int k, Memory m) {
  byte1(s, 0xc4);
  byte1(s, 0xc1 | (m.base & 8 ? 0 : 0x20));
  byte1(s, 15 << 3);
  byte1(s, opcode);
  m.unit = 1;
  memory_operand(s, k, m);
}

// Whole vectors of the width that kernels have: 16 lanes with AVX-512, else 8.
static int isWide;
#define LANES (isWide ? 16 : 8)
static void vector_rr(Assembler *s, int opc, int reg, int vvvv, int rm) {
  if (isWide) evex_rr(s, opc, reg, vvvv, rm, 0, 0);
  else vex_rr(s, opc, 1, reg, vvvv, rm);
}
static void vector_rm(Assembler *s, int opc, int reg, int vvvv, Memory m) {
  if (isWide) evex_rm(s, opc, reg, vvvv, m, 0, 0, 0);
  else vex_rm(s, opc, 1, reg, vvvv, m);
}

// General registers, 64 bits.
static void rex_rm(Assembler *s, int opcode, int reg, Memory m) {
  byte1(s, 0x48 | (reg & 8) >> 1 | (m.index >= 0 ? (m.index & 8) >> 2 : 0) | (m.base & 8) >> 3);
  byte1(s, opcode);
  m.unit = 1;
  memory_operand(s, reg, m);
}
static void rex_rr(Assembler *s, int opcode, int reg, int rm) {
  byte1(s, 0x48 | (reg & 8) >> 1 | (rm & 8) >> 3);
  byte1(s, opcode);
  byte1(s, 0xc0 | (reg & 7) << 3 | (rm & 7));
}
static void mov_load(Assembler *s, int reg, Memory m) { rex_rm(s, 0x8b, reg, m); }
static void mov_rr(Assembler *s, int d, int a) { rex_rr(s, 0x89, a, d); }
// add (0), and (4), sub (5), cmp (7) of a sign-extended 32-bit number.
static void alu_imm(Assembler *s, int operation, int reg, int32_t value) {
  int isShort = value >= -128 && value < 128;
  rex_rr(s, isShort ? 0x83 : 0x81, operation, reg);
  if (isShort) byte1(s, value);
  else bytes4(s, value);
}
static void push(Assembler *s, int reg) {
  if (reg & 8) byte1(s, 0x41);
  byte1(s, 0x50 | (reg & 7));
}
static void pop(Assembler *s, int reg) {
  if (reg & 8) byte1(s, 0x41);
  byte1(s, 0x58 | (reg & 7));
}
// A jump whose distance is written by `land` later.
static uint8_t *jump_if(Assembler *s, int condition) {
  byte1(s, 0x0f);
  byte1(s, 0x80 | condition);
  bytes4(s, 0);
  return s->at;
}
static void land(Assembler *s, uint8_t *from) {
  if (s->failed) return;
  int32_t distance = (int32_t)(s->at - from);
  memcpy(from - 4, &distance, 4);
}
static void jump_back_if(Assembler *s, int condition, uint8_t *to) {
  byte1(s, 0x0f);
  byte1(s, 0x80 | condition);
  bytes4(s, s->failed ? 0 : (int32_t)(to - (s->at + 4)));
}
