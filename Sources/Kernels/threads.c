// The worker pool (see threads.h). One region runs at a time; its descriptor is static.
// Claiming is one fetch_add on a 64-bit word that holds the region's number in its high bits,
// so that a late worker can never claim a chunk of a later region by mistake.
#define _GNU_SOURCE
#include "Kernels.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

volatile int lull_interrupt_flag = 0;
volatile int lull_interrupt_shielded = 0;

void lull_interrupt_shield(int on) {
  if (on) ++lull_interrupt_shielded;
  else if (lull_interrupt_shielded > 0) --lull_interrupt_shielded;
}

enum { maxWorkers = 63, spinCount = 4000 };

static struct {
  _Alignas(64) _Atomic uint64_t claim;   // region number << 40 | next chunk
  _Alignas(64) _Atomic int64_t done;     // chunks finished in this region
  _Alignas(64) _Atomic uint32_t region;  // futex word: bumped to start a region
  _Atomic int sleeping;
  _Atomic int reading;                   // workers that are looking at the descriptor
  int64_t chunks;
  LullChunk body;
  void *context;
  int started, wanted;
} pool;
static _Thread_local int insideRegion = 0;

static inline void pause_cpu(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

static void work(uint32_t region, int64_t chunks, LullChunk body, void *context, int worker) {
  for (;;) {
    uint64_t seen = atomic_load_explicit(&pool.claim, memory_order_acquire);
    int64_t chunk;
    do {
      if ((uint32_t)(seen >> 40) != (region & 0xffffff)) return;
      chunk = (int64_t)(seen & 0xffffffffffull);
      if (chunk >= chunks) return;
    } while (!atomic_compare_exchange_weak_explicit(
        &pool.claim, &seen, seen + 1, memory_order_acq_rel, memory_order_acquire));
    if (!lull_interrupt_stops()) body(context, chunk, worker);
    atomic_fetch_add_explicit(&pool.done, 1, memory_order_acq_rel);
  }
}

static void *worker_main(void *argument) {
  int worker = (int)(intptr_t)argument;
  uint32_t last = 0;
  insideRegion = 1;
  for (;;) {
    uint32_t region;
    int spins = 0;
    while ((region = atomic_load_explicit(&pool.region, memory_order_acquire)) == last) {
      if (++spins < spinCount) {
        pause_cpu();
      } else {
        atomic_fetch_add(&pool.sleeping, 1);
        syscall(SYS_futex, &pool.region, FUTEX_WAIT_PRIVATE, last, NULL, NULL, 0);
        atomic_fetch_sub(&pool.sleeping, 1);
        spins = 0;
      }
    }
    last = region;
    // The descriptor may change only while nobody reads it; the claim's region number is
    // checked after registering, so a stale reader leaves without touching a chunk.
    atomic_fetch_add(&pool.reading, 1);
    if (atomic_load(&pool.region) == region)
      work(region, pool.chunks, pool.body, pool.context, worker);
    atomic_fetch_sub(&pool.reading, 1);
  }
  return NULL;
}

// The processors that this process may use: fewer than there are under taskset, mpirun or a container's limits.
static int processors(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

int lull_thread_count(void) {
  if (pool.wanted <= 0) {
    const char *text = getenv("LULL_THREADS");
    int count = text ? atoi(text) : 0;
    if (count <= 0) count = processors();
    pool.wanted = count < 1 ? 1 : count > maxWorkers + 1 ? maxWorkers + 1 : count;
  }
  return pool.wanted;
}

void lull_set_thread_count(int count) {
  pool.wanted = count > maxWorkers + 1 ? maxWorkers + 1 : count;
}

void lull_parallel_for(int64_t chunks, LullChunk body, void *context) {
  int threads = lull_thread_count();
  if (chunks <= 1 || threads == 1 || insideRegion) {
    for (int64_t chunk = 0; chunk < chunks && !lull_interrupt_stops(); ++chunk)
      body(context, chunk, 0);
    return;
  }
  // Signals are for the thread that computes: a worker that took one would not end what that one waits for.
  sigset_t all, old;
  int starts = pool.started < threads - 1;
  if (starts) {
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
  }
  while (pool.started < threads - 1) {
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 4 << 20);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &attributes, worker_main, (void *)(intptr_t)(pool.started + 1)))
      break;
    pthread_attr_destroy(&attributes);
    pool.started++;
  }
  if (starts) pthread_sigmask(SIG_SETMASK, &old, NULL);
  insideRegion = 1;
  uint32_t region = atomic_load(&pool.region) + 1;
  atomic_store(&pool.claim, (uint64_t)((region - 1) & 0xffffff) << 40 | 0xffffffffffull);
  while (atomic_load(&pool.reading)) pause_cpu();
  pool.chunks = chunks;
  pool.body = body;
  pool.context = context;
  atomic_store(&pool.done, 0);
  atomic_store(&pool.claim, (uint64_t)(region & 0xffffff) << 40);
  atomic_store(&pool.region, region);
  if (atomic_load(&pool.sleeping))
    syscall(SYS_futex, &pool.region, FUTEX_WAKE_PRIVATE, threads - 1, NULL, NULL, 0);
  work(region, chunks, body, context, 0);
  int spins = 0;
  while (atomic_load_explicit(&pool.done, memory_order_acquire) < chunks) {
    if (++spins < 20000) pause_cpu();
    else usleep(20), spins = 10000;
  }
  insideRegion = 0;
}

void *lull_free_list_heads[lullFreeLists];

static int simdLevel = -1, simdLimit = 0;

int lull_simd_level(void) {
  if (simdLevel >= 0) return simdLevel;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("f16c")) {
    simdLimit = 1;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
      simdLimit = 2;
  }
#endif
  int found = simdLimit;
  const char *text = getenv("LULL_SIMD");
  if (text && text[0] >= '0' && text[0] <= '2' && text[0] - '0' < found) found = text[0] - '0';
  return simdLevel = found;
}

void lull_set_simd_level(int level) {
  lull_simd_level();
  simdLevel = level < 0 ? 0 : level < simdLimit ? level : simdLimit;
}
