// Memory for machine code; see code_memory.h.
#define _GNU_SOURCE
#include "code_memory.h"
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int lull_map_code(size_t bytes, uint8_t **writable, uint8_t **executable) {
#if defined(__x86_64__)
  const char *text = getenv("LULL_JIT");
  if (text && text[0] == '0') return 0;
  int file = memfd_create("lull code", MFD_CLOEXEC);
  if (file < 0) return 0;
  int works = 0;
  if (ftruncate(file, (off_t)bytes) == 0) {
    void *w = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    void *x = mmap(NULL, bytes, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0);
    if (w != MAP_FAILED && x != MAP_FAILED) *writable = w, *executable = x, works = 1;
  }
  close(file);
  return works;
#else
  return 0;
#endif
}
