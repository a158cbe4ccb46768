// The kernels of fast.h for portable.
#include "Kernels.h"
#define LEVEL 0
#define NAME(x) lull_portable_##x
#include "fast_impl.h"
