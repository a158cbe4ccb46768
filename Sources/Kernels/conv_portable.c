// The kernels of conv.h for portable.
#include "Kernels.h"
#define LEVEL 0
#define NAME(x) lull_portable_##x
#include "conv_impl.h"
