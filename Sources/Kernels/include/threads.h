// The worker pool and the interrupt flag: all the state that the kernels have.
//
// A parallel region is a number of chunks and a function that does one chunk. The caller
// claims chunks itself from the first moment and never waits for a worker that is still
// asleep; workers spin for a short while after a region and then park on a futex. Chunks
// should be some 10 us or more of work each.
#pragma once
#include <stdint.h>

// Does chunk `chunk`; `worker` is 0 for the caller and 1... for the pool's workers.
typedef void (*LullChunk)(void *context, int64_t chunk, int worker);

// Runs `body` for every chunk in 0 ..< chunks and returns when all are done. Chunks are
// claimed in order. A raised interrupt flag makes the remaining chunks return unrun.
// Nested calls (from inside a body) run serially on the calling thread.
void lull_parallel_for(int64_t chunks, LullChunk body, void *context);

// Threads that take part in a region, the caller included. 0 means one per CPU (the default).
int lull_thread_count(void);
void lull_set_thread_count(int count);

// Raised by a signal handler; kernels look at it between tiles and chunks, the evaluation
// between kernels, and whoever reports the interruption lowers it.
extern volatile int lull_interrupt_flag;
static inline int lull_interrupt_raised(void) { return lull_interrupt_flag; }
static inline void lull_interrupt_set(int raised) { lull_interrupt_flag = raised; }
// While on, regions run to their end in spite of the flag: for kernels that write over one of
// their inputs, which must not be left half done. Each `on` is ended by an off; they nest.
void lull_interrupt_shield(int on);
extern volatile int lull_interrupt_shielded;
static inline int lull_interrupt_stops(void) {
  return lull_interrupt_flag && !lull_interrupt_shielded;
}

// 0 portable, 1 AVX2 + FMA + F16C, 2 AVX-512 (F, BW, DQ, VL); LULL_SIMD=0|1|2 lowers it.
int lull_simd_level(void);
// Lowers (or raises, as far as the processor goes) the level; for tests.
void lull_set_simd_level(int level);

// The heads of the buffer pool's free lists: zeroed memory that needs no initialisation.
enum { lullFreeLists = 256 };
static inline void **lull_free_lists(void) {
  extern void *lull_free_list_heads[lullFreeLists];
  return lull_free_list_heads;
}
