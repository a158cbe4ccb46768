// The tile interpreter for the avx512 level; see vm_impl.h.
#if defined(__x86_64__)
#define LULL_LEVEL 2
#define LULL_SUFFIX avx512
#define VL 16
#define LULL_TARGET "avx2,fma,f16c,bmi,bmi2,lzcnt,avx512f,avx512bw,avx512dq,avx512vl,avx512cd"
#include <math.h>
#include <stdint.h>
#include <string.h>
#include "vm_impl.h"
#endif
