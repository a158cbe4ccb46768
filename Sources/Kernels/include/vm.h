// Fused elementwise kernels: a small SSA program run over tiles that stay in the first-level
// cache, alone or with a reduction at its root.
//
// A register is one tile of values in a compute type (bool and small integers are computed in
// i32, float16 and bfloat16 in f32; WRAP and ROUND instructions bring results back into range).
// A program sees a space of `rank` dimensions, walked in row-major order; each input has byte
// strides in that space, outputs are row-major in it. For reductions the space is
// [outer..., reduced..., inner...] and the result has outer * inner elements.
//
// All reads may touch whole 16-element groups where `limit` says the memory allows it.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum {
  lullMaxRank = 10, lullMaxRegisters = 160, lullMaxInstructions = 384, lullMaxInputs = 40, lullSlotBytes = 2048,
  lullMaxPanels = 4
};

// Compute types.
enum { lullF32, lullF64, lullI32, lullU32, lullI64, lullU64, lullC64, lullC128, lullComputeTypes };

// Element types in memory, numbered as DType is.
enum {
  lullBool, lullUInt8, lullUInt16, lullUInt32, lullUInt64, lullInt8, lullInt16, lullInt32,
  lullInt64, lullFloat16, lullBFloat16, lullFloat32, lullFloat64, lullComplex64, lullComplex128,
  lullElementTypes
};

#define LULL_OPS(X)                                                                          \
  X(Load) X(Add) X(Sub) X(Mul) X(Div) X(FloorDiv) X(Rem) X(Pow) X(Max) X(Min) X(Atan2)      \
  X(LogAddExp) X(Eq) X(Ne) X(Lt) X(Le) X(Gt) X(Ge) X(And) X(Or) X(Xor) X(Shl) X(Shr)        \
  X(Select) X(Neg) X(Abs) X(Sign) X(Square) X(NotZero) X(IsZero) X(Invert) X(IsNan)         \
  X(IsInf) X(IsFinite) X(IsPosInf) X(IsNegInf) X(Floor) X(Ceil) X(Rint) X(Trunc) X(Sqrt)    \
  X(Rsqrt) X(Recip) X(Exp) X(Expm1) X(Log) X(Log2) X(Log10) X(Log1p) X(Sin) X(Cos) X(Tan)   \
  X(Asin) X(Acos) X(Atan) X(Sinh) X(Cosh) X(Tanh) X(Asinh) X(Acosh) X(Atanh) X(Sigmoid)     \
  X(Erf) X(ErfInv) X(Conj) X(Imag) X(CastF32) X(CastF64) X(CastI32) X(CastU32) X(CastI64)   \
  X(CastU64) X(CastC64) X(CastC128) X(WrapI8) X(WrapU8) X(WrapI16) X(WrapU16)               \
  X(RoundF16) X(RoundBF16) X(MulAdd) X(MulSub) X(NegMulAdd)  /* a b + c, a b - c, c - a b, rounded once */
enum {
#define LULL_OP(name) lull##name,
  LULL_OPS(LULL_OP)
#undef LULL_OP
  lullOpCount
};

typedef struct {
  uint8_t op, type;  // type is the compute type of the operands
  uint16_t dst, a, b, c;  // registers; for Load, a is the input
} LullInstruction;

typedef struct {
  const char *data;
  const char *limit;  // reading below this is allowed
  int64_t strides[lullMaxRank];  // bytes
  uint8_t dtype;
  uint8_t isConstant;  // one value for the whole space; its register is filled once
  uint16_t reg;        // where a constant goes
} LullInput;

typedef struct {
  char *data;
  char *limit;  // writing below this is allowed
  uint16_t reg;
  uint8_t dtype, type;
} LullOutput;

enum { lullNoReduce, lullSum, lullProd, lullMaxOf, lullMinOf, lullAny, lullAll, lullArgMax, lullArgMin };

typedef struct {
  const LullInstruction *code;
  const LullInput *inputs;
  const LullOutput *outputs;
  int32_t instructionCount, inputCount, outputCount, registerCount;
  int32_t rank;
  int32_t tile;  // elements of a tile: 512, or 256 where an 8-byte type takes part, 128 with a 16-byte one
  int64_t shape[lullMaxRank];
  int64_t total;
  // Reduction.
  int32_t reduce;  // lullNoReduce and so on
  uint16_t reduceReg;
  uint8_t reduceType, resultDType;
  int64_t outer, reduced, inner;
  char *result;
  char *partials;   // scratch of lull_reduce_scratch bytes
  int32_t splits;   // filled by lull_reduce_scratch
  // Set while it runs: its machine code, if any, and the inputs (a bit each) that run fastest
  // along the dimension `cross` instead of the last one.
  const struct LullJit *jit;
  uint64_t crossing;
  int32_t cross;
} LullProgram;

// Machine code for programs (jit.c) can be switched off, also by LULL_JIT=0; then the tile
// interpreter runs them. How many kernels were made so far.
void lull_set_jit(int on);
int64_t lull_jit_compiled(void);

// Runs a program without reduction over its whole space, on the pool when it is worth it.
void lull_program_run(const LullProgram *program);

// Decides how a reduction is split; returns the bytes of scratch that it needs (may be 0).
int64_t lull_reduce_scratch(LullProgram *program);
void lull_program_reduce(const LullProgram *program);

// One instruction over n elements (a multiple of 16) of row-major memory, for small arrays.
typedef void (*LullOpFunction)(
    void *d, const void *a, const void *b, const void *c, int64_t n);
LullOpFunction lull_op_function(int op, int type);

// Converts n elements between memory types, strided source (bytes), row-major destination.
void lull_convert(char *d, int ddtype, const char *s, int sdtype, int64_t stride, int64_t n);

// The compute type of a memory type.
int lull_compute_type(int dtype);
int lull_dtype_size(int dtype);
// The bytes of a value in a compute type.
int lull_compute_size(int type);
