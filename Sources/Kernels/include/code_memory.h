// Memory for machine code.
#pragma once
#include <stddef.h>
#include <stdint.h>

// Maps `bytes` twice: written through one address and run through another, so that no page is writable and executable.
// 0 where the system forbids it, on processors other than x86-64 and with LULL_JIT=0 in the environment.
int lull_map_code(size_t bytes, uint8_t **writable, uint8_t **executable);
