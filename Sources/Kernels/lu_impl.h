// The kernels of lu.h, compiled once per instruction set, for float and double.
#include <string.h>
#include "lu_internal.h"

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")
// A tile is ROWS x VECTORS: 24 of 32 registers hold sums, or 12 of 16. Panels are cut into fewer rows.
#if LEVEL == 2
#define BYTES 64
#define ROWS 8
#define VECTORS 3
#define UNIT 16
#define FEW_ROWS 8
#define PANEL 64
#else
#define BYTES 32
#define ROWS 6
#define VECTORS 2
#define UNIT 24
#define FEW_ROWS 4
#define PANEL 48
#endif

#define T float
#define IT int32_t
#define FN(x) x##_f
#define LANES (BYTES / 4)
#define TABLE NAME(f)
#include "lu_body.h"
#undef T
#undef IT
#undef FN
#undef LANES
#undef TABLE
#define T double
#define IT int64_t
#define FN(x) x##_d
#define LANES (BYTES / 8)
#define TABLE NAME(d)
#include "lu_body.h"
