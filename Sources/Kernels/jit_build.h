// From a fused program to machine operations in SSA form, for jit.c: each instruction of the
// program becomes a few nodes, equal nodes are one, constants are nodes without code.

enum {
  mConst,   // bits
  mScalar,  // the program's constant input number a
  mLoad,    // input number a; imm is the memory dtype
  mStore,   // value a to output number b; imm is the memory dtype
  mSum,     // value a to the sums of 16 lanes that output number b gets at the end
  // Binary: opcode in `opc`; b may be a broadcast memory operand.
  mBinary,
  mUnary,      // opc on a (rm position); imm8 follows where `hasImm`
  mShift,      // opc with /c, by imm
  mFma, mFms, mFnma, // a * b + c, a * b - c, c - a * b
  mCompare,    // opc, imm: to a mask
  mBlend,      // a ? b : c
  mMaskTo01,   // mask a to 0 and 1
  mMaskOp,     // opc of masks a and b
  mMaskNot,
  mRoundHalf,  // to float16 and back
  mSqrt,       // see emit_sqrt
};

typedef struct {
  uint8_t op, imm, hasImm;
  uint8_t isMask;  // it has a mask register; without AVX-512 masks are vectors of 0 and -1
  int16_t a, b, c;
  uint8_t copy;   // see interleave
  uint8_t unused;
  uint32_t bits;  // mConst: the value; others: opc
} Node;
_Static_assert(sizeof(Node) == 16, "nodes are compared as bytes: no padding");

enum { maxNodes = 1536, hashSlots = 4096 };

typedef struct {
  Node nodes[maxNodes];
  int16_t hash[hashSlots];
  int count, failed;
} Builder;

static Builder *B;  // the program under construction; compilation happens on one thread

static int node(Node n) {
  uint32_t h = 2166136261u;
  const uint8_t *bytes = (const uint8_t *)&n;
  for (unsigned i = 0; i < sizeof n; ++i) h = (h ^ bytes[i]) * 16777619u;
  unsigned slot = h % hashSlots;
  if (n.op != mStore && n.op != mSum) {
    for (; B->hash[slot] >= 0; slot = (slot + 1) % hashSlots)
      if (!memcmp(&B->nodes[B->hash[slot]], &n, sizeof n)) return B->hash[slot];
  }
  if (B->count == maxNodes) {
    B->failed = 1;
    return 0;
  }
  B->nodes[B->count] = n;
  if (n.op != mStore && n.op != mSum) B->hash[slot] = (int16_t)B->count;
  return B->count++;
}

typedef int V;
static int is_number(V x) { return B->nodes[x].op == mConst || B->nodes[x].op == mScalar; }
static V bits32(uint32_t bits) {
  Node n = {mConst, .a = -1, .b = -1, .c = -1, .bits = bits};
  return node(n);
}
static V K(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return bits32(bits);
}
static V binary(int opc, V a, V b) {
  Node n = {mBinary, .a = (int16_t)a, .b = (int16_t)b, .c = -1, .bits = (uint32_t)opc};
  return node(n);
}
static V commutative(int opc, V a, V b) { return is_number(a) ? binary(opc, b, a) : binary(opc, a, b); }
static V unary(int opc, V a) {
  Node n = {mUnary, .a = (int16_t)a, .b = -1, .c = -1, .bits = (uint32_t)opc};
  return node(n);
}
static V unary_imm(int opc, V a, int imm) {
  Node n = {mUnary, (uint8_t)imm, 1, .a = (int16_t)a, .b = -1, .c = -1, .bits = (uint32_t)opc};
  return node(n);
}
static V shift(int extension, V a, int amount) {  // /6 left, /2 right, /4 right with sign
  Node n = {mShift, (uint8_t)amount, .a = (int16_t)a, .b = -1, .c = (int16_t)extension, .bits = OPC(1, 1, 0x72)};
  return node(n);
}
static V fused(int op, V a, V b, V c) {
  if (is_number(a)) { V t = a; a = b; b = t; }
  Node n = {(uint8_t)op, .a = (int16_t)a, .b = (int16_t)b, .c = (int16_t)c};
  return node(n);
}
static V compare(int opc, V a, V b, int predicate) {
  Node n = {mCompare, (uint8_t)predicate, 1, (uint8_t)isWide, (int16_t)a, (int16_t)b, -1, .bits = (uint32_t)opc};
  return node(n);
}
static V blend(V mask, V a, V b) {
  if (a == b) return a;
  Node n = {mBlend, .a = (int16_t)mask, .b = (int16_t)a, .c = (int16_t)b};
  return node(n);
}

enum { cmpEq = 0, cmpLt = 0x11, cmpLe = 0x12, cmpUnordered = 3, cmpNe = 4, cmpGe = 0x1d, cmpGt = 0x1e };
#define COMPARE_PS OPC(1, 0, 0xc2)
#define ADD(a, b) commutative(OPC(1, 0, 0x58), a, b)
#define SUB(a, b) binary(OPC(1, 0, 0x5c), a, b)
#define MUL(a, b) commutative(OPC(1, 0, 0x59), a, b)
#define DIV(a, b) binary(OPC(1, 0, 0x5e), a, b)
#define MINPS(a, b) binary(OPC(1, 0, 0x5d), a, b)
#define MAXPS(a, b) binary(OPC(1, 0, 0x5f), a, b)
#define FMA(a, b, c) fused(mFma, a, b, c)
#define AND(a, b) commutative(OPC(1, 1, 0xdb), a, b)
#define OR(a, b) commutative(OPC(1, 1, 0xeb), a, b)
#define XOR(a, b) commutative(OPC(1, 1, 0xef), a, b)
#define ADDI(a, b) commutative(OPC(1, 1, 0xfe), a, b)
#define SUBI(a, b) binary(OPC(1, 1, 0xfa), a, b)
#define ROUND(a, mode) unary_imm(OPC(3, 1, 0x08), a, mode)
#define RINT(a) ROUND(a, 8)
static V SQRT(V a) {
  Node n = {mSqrt, .a = (int16_t)a, .b = (int16_t)K(0.5f), .c = -1};
  return node(n);
}
#define ABS(a) AND(a, bits32(0x7fffffffu))
#define SHL(a, n) shift(6, a, n)
#define SHR(a, n) shift(2, a, n)
#define SAR(a, n) shift(4, a, n)
#define POWER2(z) ADDI(SHL(z, 23), bits32(0x3f800000u))
#define IFNAN(a, x, y) blend(compare(COMPARE_PS, a, a, cmpUnordered), x, y)
static V LESS(V a, V b, V x, V y) {
  if (a == x && b == y) return MINPS(a, b);
  if (a == y && b == x) return MAXPS(b, a);
  if (is_number(a)) return blend(compare(COMPARE_PS, b, a, cmpGt), x, y);
  return blend(compare(COMPARE_PS, a, b, cmpLt), x, y);
}
// AVX2 has no instruction for it: two factors, each a power of two, as in vmath.h.
static V SCALE(V x, V n) {
  if (isWide) return binary(OPC(2, 1, 0x2c), x, n);
  V k = unary(OPC(1, 2, 0x5b), n), half = SAR(k, 1);
  V y = MUL(x, SHL(ADDI(half, bits32(127)), 23));
  return MUL(y, SHL(ADDI(SUBI(k, half), bits32(127)), 23));
}
static V not_mask(V mask) {
  if (!isWide) return XOR(mask, bits32(~0u));
  Node n = {mMaskNot, 0, 0, 1, (int16_t)mask, -1, -1};
  return node(n);
}
// Predicates of integers: 0 equal, 1 less, 2 at most, 4 not equal, 5 at least, 6 more. AVX2 has the first and,
// for signed ones, the last.
static V compare_integers(int isSigned, V a, V b, int predicate) {
  if (isWide) return compare(isSigned ? OPC(3, 1, 0x1f) : OPC(3, 1, 0x1e), a, b, predicate);
#define EQUAL(a, b) commutative(OPC(1, 1, 0x76), a, b)
  switch (predicate) {
  case 0: return EQUAL(a, b);
  case 4: return not_mask(EQUAL(a, b));
  case 1: return isSigned ? binary(OPC(1, 1, 0x66), b, a) : not_mask(compare_integers(0, a, b, 5));
  case 6: return compare_integers(isSigned, b, a, 1);
  case 5:
    if (isSigned) return not_mask(compare_integers(1, a, b, 1));
    return EQUAL(binary(OPC(2, 1, 0x3f), a, b), a);
  default: return compare_integers(isSigned, b, a, 5);
  }
}
// a is not zero.
static V test(V a) {
  if (!isWide) return not_mask(EQUAL(a, bits32(0)));
  Node n = {mCompare, 0, 0, 1, (int16_t)a, (int16_t)a, -1, .bits = OPC(2, 1, 0x27)};
  return node(n);
}
static V zero_or_one(V mask) {
  if (!isWide) return SHR(mask, 31);
  Node n = {mMaskTo01, .a = (int16_t)mask, .b = -1, .c = -1};
  return node(n);
}
// x with its bits as an unsigned number. Both halves are exact, and their sum is rounded once.
static V unsigned_to_float(V x) {
  if (isWide) return unary(OPC(1, 3, 0x7a), x);
  V high = unary(OPC(1, 0, 0x5b), SHR(x, 16)), low = unary(OPC(1, 0, 0x5b), AND(x, bits32(65535)));
  return FMA(high, K(65536.0f), low);
}
static V COPYSIGN(V magnitude, V sign) {
  return OR(AND(magnitude, bits32(0x7fffffffu)), AND(sign, bits32(0x80000000u)));
}
#define CORE static
#define NAMED(f) emit_##f
#include "vmath_core.h"
#undef CORE
#undef NAMED

// What a register of the program holds just now: a vector, a mask, or both.
typedef struct { int16_t vector, mask; } Held;

static V as_vector(Held *h) {
  if (h->vector < 0) h->vector = (int16_t)zero_or_one(h->mask);
  return h->vector;
}
static V as_mask(Held *h) {
  if (h->mask < 0) h->mask = (int16_t)test(h->vector);
  return h->mask;
}

static V round_bf16(V x) {
  V up = ADDI(ADDI(x, bits32(0x7fff)), AND(SHR(x, 16), bits32(1)));
  return AND(IFNAN(x, OR(x, bits32(0x400000)), up), bits32(0xffff0000u));
}

// One instruction; 0 where there is no machine code for it.
static int expand(const LullInstruction *in, Held *held) {
  int isFloat = in->type == lullF32, isSigned = in->type == lullI32;
  if (!isFloat && !isSigned && in->type != lullU32) return 0;
  Held *x = &held[in->a], *y = &held[in->b], *z = &held[in->c];
  int16_t v = -1, m = -1;
#define X as_vector(x)
#define Y as_vector(y)
#define Z as_vector(z)
#define FLOAT(e) if (!isFloat) return 0; v = (int16_t)(e); break
#define EITHER(f, i) v = (int16_t)(isFloat ? (f) : (i)); break
#define COMPARED(f, i)                                                                      \
  m = (int16_t)(isFloat ? compare(COMPARE_PS, X, Y, f) : compare_integers(isSigned, X, Y, i)); \
  break
// A register with a vector may hold any number, even if its mask is known, too.
#define LOGICAL(vex, opc) {                                                                 \
  if (isFloat) return 0;                                                                    \
  int areTruths = x->vector < 0 && y->vector < 0;                                           \
  if (areTruths && isWide) {                                                                \
    Node n = {mMaskOp, 0, 0, 1, x->mask, y->mask, -1, .bits = vex};                         \
    m = (int16_t)node(n);                                                                   \
  } else if (areTruths) {                                                                   \
    m = (int16_t)commutative(opc, x->mask, y->mask);                                        \
  } else {                                                                                  \
    v = (int16_t)commutative(opc, X, Y);                                                    \
  }                                                                                         \
  break; }
  switch (in->op) {
  case lullAdd: EITHER(ADD(X, Y), ADDI(X, Y));
  case lullSub: EITHER(SUB(X, Y), SUBI(X, Y));
  case lullMul: EITHER(MUL(X, Y), commutative(OPC(2, 1, 0x40), X, Y));
  case lullSquare: EITHER(MUL(X, X), binary(OPC(2, 1, 0x40), X, X));
  case lullDiv: FLOAT(DIV(X, Y));
  case lullFloorDiv: FLOAT(ROUND(DIV(X, Y), 9));
  case lullMax:
    EITHER(IFNAN(X, X, MAXPS(X, Y)), commutative(isSigned ? OPC(2, 1, 0x3d) : OPC(2, 1, 0x3f), X, Y));
  case lullMin:
    EITHER(IFNAN(X, X, MINPS(X, Y)), commutative(isSigned ? OPC(2, 1, 0x39) : OPC(2, 1, 0x3b), X, Y));
  case lullMulAdd: FLOAT(FMA(X, Y, Z));
  case lullMulSub: FLOAT(fused(mFms, X, Y, Z));
  case lullNegMulAdd: FLOAT(fused(mFnma, X, Y, Z));
  case lullEq: COMPARED(cmpEq, 0);
  case lullNe: COMPARED(cmpNe, 4);
  case lullLt: COMPARED(cmpLt, 1);
  case lullLe: COMPARED(cmpLe, 2);
  case lullGt: COMPARED(cmpGt, 6);
  case lullGe: COMPARED(cmpGe, 5);
  case lullAnd: LOGICAL(0x41, OPC(1, 1, 0xdb));
  case lullOr: LOGICAL(0x45, OPC(1, 1, 0xeb));
  case lullXor: LOGICAL(0x47, OPC(1, 1, 0xef));
  case lullShl:
    if (isFloat) return 0;
    v = (int16_t)binary(OPC(2, 1, 0x47), X, AND(Y, bits32(31)));
    break;
  case lullShr:
    if (isFloat) return 0;
    v = (int16_t)binary(OPC(2, 1, isSigned ? 0x46 : 0x45), X, AND(Y, bits32(31)));
    break;
  case lullSelect: v = (int16_t)blend(as_mask(x), Y, Z); break;
  case lullNeg: EITHER(XOR(X, bits32(0x80000000u)), SUBI(bits32(0), X));
  case lullAbs: EITHER(ABS(X), isSigned ? unary(OPC(2, 1, 0x1e), X) : X);
  case lullSign:
    if (isFloat)
      v = (int16_t)blend(compare(COMPARE_PS, X, K(0), cmpGt), K(1),
                         blend(compare(COMPARE_PS, X, K(0), cmpLt), K(-1), K(0)));
    else if (isSigned)
      v = (int16_t)commutative(OPC(2, 1, 0x3d), commutative(OPC(2, 1, 0x39), X, bits32(1)), bits32(~0u));
    else
      v = (int16_t)commutative(OPC(2, 1, 0x3b), X, bits32(1));
    break;
  case lullNotZero:
    m = (int16_t)(isFloat ? compare(COMPARE_PS, X, K(0), cmpNe) : as_mask(x));
    break;
  case lullIsZero:
    if (isFloat) m = (int16_t)compare(COMPARE_PS, X, K(0), cmpEq);
    else if (x->mask < 0) m = (int16_t)compare_integers(1, X, bits32(0), 0);
    else m = (int16_t)not_mask(x->mask);
    break;
  case lullInvert:
    if (isFloat) return 0;
    v = (int16_t)XOR(X, bits32(~0u));
    break;
#define TESTED(e) if (!isFloat) return 0; m = (int16_t)(e); break
  case lullIsNan: TESTED(compare(COMPARE_PS, X, X, cmpUnordered));
  case lullIsInf: TESTED(compare(COMPARE_PS, ABS(X), K(INFINITY), cmpEq));
  case lullIsFinite: TESTED(compare(COMPARE_PS, ABS(X), K(INFINITY), cmpLt));
  case lullIsPosInf: TESTED(compare(COMPARE_PS, X, K(INFINITY), cmpEq));
  case lullIsNegInf: TESTED(compare(COMPARE_PS, X, K(-INFINITY), cmpEq));
  case lullFloor: FLOAT(ROUND(X, 9));
  case lullCeil: FLOAT(ROUND(X, 10));
  case lullRint: FLOAT(ROUND(X, 8));
  case lullTrunc: FLOAT(ROUND(X, 11));
  case lullSqrt: FLOAT(SQRT(X));
  case lullRsqrt: FLOAT(DIV(K(1), SQRT(X)));
  case lullRecip: FLOAT(DIV(K(1), X));
  case lullExp: FLOAT(emit_exp(X));
  case lullTanh: FLOAT(emit_tanh(X));
  case lullSigmoid: FLOAT(emit_sigmoid(X));
  case lullErf: FLOAT(emit_erf(X));
  case lullCastF32:
    v = (int16_t)(isFloat ? X : isSigned ? unary(OPC(1, 0, 0x5b), X) : unsigned_to_float(X));
    break;
  case lullCastI32: EITHER(unary(OPC(1, 2, 0x5b), X), X);
  case lullCastU32:
    if (isFloat) return 0;
    v = (int16_t)X;
    break;
  case lullWrapI8: v = (int16_t)SAR(SHL(X, 24), 24); break;
  case lullWrapU8: v = (int16_t)AND(X, bits32(255)); break;
  case lullWrapI16: v = (int16_t)SAR(SHL(X, 16), 16); break;
  case lullWrapU16: v = (int16_t)AND(X, bits32(65535)); break;
  case lullRoundF16: {
    Node n = {mRoundHalf, .a = (int16_t)X, .b = -1, .c = -1};
    v = (int16_t)node(n);
    break;
  }
  case lullRoundBF16: v = (int16_t)round_bf16(X); break;
  default: return 0;
  }
  held[in->dst].vector = v;
  held[in->dst].mask = m;
  return !B->failed;
}
