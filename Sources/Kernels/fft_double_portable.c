// The kernels of fft.h in double precision for portable.
#include "Kernels.h"
#define LEVEL 0
#define REAL double
#define NAME(x) lull_portable_double_##x
#include "fft_impl.h"
