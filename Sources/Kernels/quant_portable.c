// Quantised kernels for portable.
#include "Kernels.h"
#define LEVEL 0
#define NAME(x) lull_portable_##x
#include "quant_impl.h"
