// The loops of fft.h for floats.
#define REAL float
#define OF(name) lull_float_fft_##name
#define KERNEL(isa, name) lull_##isa##_##name
#include "fft_rows.h"
