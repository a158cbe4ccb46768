// See CZlib.h.
#define _GNU_SOURCE
#include "CZlib.h"
#include <dlfcn.h>
#include <stdio.h>

static unsigned long (*compressBound)(unsigned long);
static int (*compress2)(uint8_t *, unsigned long *, const uint8_t *, unsigned long, int);
static int (*uncompress2)(uint8_t *, unsigned long *, const uint8_t *, unsigned long *);
static unsigned long (*crc32_z)(unsigned long, const uint8_t *, size_t);
static unsigned long (*adler32_z)(unsigned long, const uint8_t *, size_t);
static int state = 1;  // 1 not tried, 0 ready, 2 missing
static char description[256] = "zlib was not needed yet";

int lull_zlib_load(void) {
  if (state != 1) return state;
  state = 2;
  void *library = dlopen("libz.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    snprintf(description, sizeof description, "zlib is not installed (Debian: zlib1g): %s", dlerror());
    return state;
  }
#define TAKE(name) name = (__typeof__(name))dlsym(library, #name)
  TAKE(compressBound);
  TAKE(compress2);
  TAKE(uncompress2);
  TAKE(crc32_z);
  TAKE(adler32_z);
  if (!compressBound || !compress2 || !uncompress2 || !crc32_z || !adler32_z) {
    snprintf(description, sizeof description, "the zlib that is installed lacks functions; 1.2.9 or later is needed");
    return state;
  }
  state = 0;
  return state;
}

const char *lull_zlib_description(void) { return description; }
size_t lull_zlib_bound(size_t count) { return compressBound(count); }

int lull_zlib_compress(const uint8_t *in, size_t count, int level, uint8_t *out, size_t *size) {
  unsigned long n = *size;
  int error = compress2(out, &n, in, count, level);
  *size = n;
  return error;
}

int lull_zlib_uncompress(const uint8_t *in, size_t *used, uint8_t *out, size_t *size) {
  unsigned long n = *size, taken = *used;
  int error = uncompress2(out, &n, in, &taken);
  *size = n;
  *used = taken;
  return error;
}

uint32_t lull_zlib_crc32(uint32_t start, const uint8_t *in, size_t count) { return (uint32_t)crc32_z(start, in, count); }
uint32_t lull_zlib_adler32(uint32_t start, const uint8_t *in, size_t count) {
  return (uint32_t)adler32_z(start, in, count);
}
