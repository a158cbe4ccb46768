// zlib, opened at run time on first use: its compressed sizes are those that Python's zlib gives.
#pragma once
#include <stddef.h>
#include <stdint.h>

// 0 when zlib is there. Cheap after the first call.
int lull_zlib_load(void);
const char *lull_zlib_description(void);
// The most bytes that compressing `count` bytes can give.
size_t lull_zlib_bound(size_t count);
// 0 with the bytes written in *size (which says how many there is room for), else zlib's error.
int lull_zlib_compress(const uint8_t *in, size_t count, int level, uint8_t *out, size_t *size);
// 0, or zlib's error: -5 where there is too little room or the data ends too soon, -3 where it is damaged. *used is what was read of `in`.
int lull_zlib_uncompress(const uint8_t *in, size_t *used, uint8_t *out, size_t *size);
uint32_t lull_zlib_crc32(uint32_t start, const uint8_t *in, size_t count);
uint32_t lull_zlib_adler32(uint32_t start, const uint8_t *in, size_t count);
