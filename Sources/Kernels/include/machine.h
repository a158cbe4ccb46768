// What the machine reaches, and a look for numbers that are not finite.
#pragma once
#include <stdint.h>

// Bytes read from memory, and float32 operations done, in a second by all workers.
double lull_measure_bandwidth(void);
double lull_measure_arithmetic(void);
// Twice the place of the first nan (plus 1) or infinity among n elements of a dtype; -1: none.
int64_t lull_first_non_finite(const void *data, int dtype, int64_t n, int nanOnly);
