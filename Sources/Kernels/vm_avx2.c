// The tile interpreter for the avx2 level; see vm_impl.h.
#if defined(__x86_64__)
#define LULL_LEVEL 1
#define LULL_SUFFIX avx2
#define VL 8
#define LULL_TARGET "avx2,fma,f16c,bmi,bmi2,lzcnt"
#include <math.h>
#include <stdint.h>
#include <string.h>
#include "vm_impl.h"
#endif
