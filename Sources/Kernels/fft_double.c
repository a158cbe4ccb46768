// The loops of fft.h in double precision.
#define REAL double
#define OF(name) lull_double_fft_##name
#define KERNEL(isa, name) lull_##isa##_double_##name
#include "fft_rows.h"
