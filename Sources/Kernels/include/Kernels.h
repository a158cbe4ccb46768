// The whole interface of the C kernels. No function allocates; none has state beyond the pool.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "threads.h"
#include "quant.h"
#include "vm.h"
#include "fast.h"
#include "movement.h"
#include "rows.h"
#include "sorting.h"
#include "conv.h"
#include "machine.h"
#include "fft.h"
#include "codes.h"
#include "gemm.h"
#include "lu.h"
#include "code_memory.h"
