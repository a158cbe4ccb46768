// The tile interpreter for the portable level; see vm_impl.h.
#define LULL_LEVEL 0
#define LULL_SUFFIX portable
#define VL 4
#include <math.h>
#include <stdint.h>
#include <string.h>
#include "vm_impl.h"
