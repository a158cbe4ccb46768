// The kernels of fft.h for portable.
#include "Kernels.h"
#define LEVEL 0
#define REAL float
#define NAME(x) lull_portable_##x
#include "fft_impl.h"
