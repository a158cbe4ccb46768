// See CMPI.h. Open MPI's handles are addresses of objects that the library exports.
#define _GNU_SOURCE
#include "CMPI.h"
#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef void *Handle;

static struct {
  int (*initialize)(int *, char ***, int, int *);
  int (*initialized)(int *);
  int (*finalize)(void);
  int (*abort)(Handle, int);
  int (*set_errhandler)(Handle, Handle);
  int (*rank)(Handle, int *);
  int (*size)(Handle, int *);
  int (*split)(Handle, int, int, Handle *);
  int (*all_reduce)(const void *, void *, int, Handle, Handle, Handle, Handle *);
  int (*all_gather)(const void *, int, Handle, void *, int, Handle, Handle, Handle *);
  int (*send)(const void *, int, Handle, int, int, Handle, Handle *);
  int (*receive)(void *, int, Handle, int, int, Handle, Handle *);
  int (*test)(Handle *, int *, void *);
  int (*get_count)(const void *, Handle, int *);
  int (*error_string)(int, char *, int *);
} mpi;

enum { maxGroups = 256, messageTag = 1, threadsSerialized = 2, maxBlock = 1 << 30 };

static void *library;
static Handle groups[maxGroups];
static int groupCount, ranks[maxGroups], sizes[maxGroups];
static int loadState = 1;   // 1 not tried, 0 ready, 2 missing
static int startState = 1;  // 1 not tried, 0 ready, 2 failed, 3 broken by an interrupt
static char description[512] = "MPI was not needed yet";

static int number(const char *name, int otherwise) {
  const char *text = getenv(name);
  if (!text || !*text) return otherwise;
  char *end;
  long value = strtol(text, &end, 10);
  return *end || value < 0 || value > 1000000 ? otherwise : (int)value;
}

int lull_mpi_launched(void) {
  int count = number("OMPI_COMM_WORLD_SIZE", 1);
  return count < 1 ? 1 : count;
}
int lull_mpi_launched_rank(void) { return number("OMPI_COMM_WORLD_RANK", 0); }
const char *lull_mpi_description(void) { return description; }

int lull_mpi_load(void) {
  if (loadState != 1) return loadState;
  loadState = 2;
  static const char *const names[] = {"libmpi.so.40", "libmpi.so"};
  // Open MPI's own plugins look for its names among the global ones.
  for (int i = 0; i < 2 && !library; i++) library = dlopen(names[i], RTLD_NOW | RTLD_GLOBAL);
  if (!library) {
    snprintf(description, sizeof description, "Open MPI is not installed (Debian: openmpi-bin): %s", dlerror());
    return loadState;
  }
  const struct {
    const char *name;
    void *slot;
  } functions[] = {
      {"MPI_Init_thread", &mpi.initialize}, {"MPI_Initialized", &mpi.initialized},
      {"MPI_Finalize", &mpi.finalize},      {"MPI_Abort", &mpi.abort},
      {"MPI_Comm_set_errhandler", &mpi.set_errhandler}, {"MPI_Comm_rank", &mpi.rank},
      {"MPI_Comm_size", &mpi.size},         {"MPI_Comm_split", &mpi.split},
      {"MPI_Iallreduce", &mpi.all_reduce},  {"MPI_Iallgather", &mpi.all_gather},
      {"MPI_Isend", &mpi.send},             {"MPI_Irecv", &mpi.receive},
      {"MPI_Test", &mpi.test},              {"MPI_Get_count", &mpi.get_count},
      {"MPI_Error_string", &mpi.error_string},
  };
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    void *function = dlsym(library, functions[i].name);
    if (!function || !dlsym(library, "ompi_mpi_comm_world")) {
      snprintf(description, sizeof description,
               "the MPI library is not Open MPI, or too old: it lacks %s", functions[i].name);
      return loadState;
    }
    memcpy(functions[i].slot, &function, sizeof function);
  }
  return loadState = 0;
}

static Handle object(const char *name) { return dlsym(library, name); }

static int failed(int code) {
  char text[1024] = "";
  int length = 0;
  mpi.error_string(code, text, &length);
  snprintf(description, sizeof description, "%.400s", text[0] ? text : "MPI failed");
  return lullMPIFailed;
}

// A process that ends well waits for the others; one that fails takes them with it, or they would wait for ever.
static void finish(int status, void *unused) {
  (void)unused;
  if (startState == 0 && status == 0) mpi.finalize();
  else if (startState == 0 || startState == 3) mpi.abort(groups[0], status ? status : 1);
}

static int add_group(Handle group) {
  if (groupCount == maxGroups) {
    snprintf(description, sizeof description, "there are %d groups already, which is the most", maxGroups);
    return -1;
  }
  mpi.set_errhandler(group, object("ompi_mpi_errors_return"));
  if (mpi.rank(group, &ranks[groupCount]) || mpi.size(group, &sizes[groupCount])) return -1;
  groups[groupCount] = group;
  return groupCount++;
}

int lull_mpi_start(void) {
  if (startState != 1) return startState;
  if (lull_mpi_load()) return lullMPIFailed;
  startState = 2;
  int already = 0, threads = 0;
  mpi.initialized(&already);
  if (!already && mpi.initialize(NULL, NULL, threadsSerialized, &threads)) {
    snprintf(description, sizeof description, "MPI did not start");
    return startState;
  }
  if (add_group(object("ompi_mpi_comm_world")) != 0) return startState;
  on_exit(finish, NULL);
  return startState = 0;
}

int lull_mpi_groups(void) { return groupCount; }
int lull_mpi_rank(int group) { return group >= 0 && group < groupCount ? ranks[group] : 0; }
int lull_mpi_size(int group) { return group >= 0 && group < groupCount ? sizes[group] : 1; }

static int usable(int group) {
  if (startState == 3)
    snprintf(description, sizeof description,
             "a communication was interrupted half-way, and the processes no longer agree on what comes next; "
             "start the run again");
  else if (startState != 0 || group < 0 || group >= groupCount)
    snprintf(description, sizeof description, "there is no such group of processes");
  else return 1;
  return 0;
}

int lull_mpi_split(int group, int color, int key) {
  if (!usable(group)) return -1;
  Handle part = NULL;
  int code = mpi.split(groups[group], color, key, &part);
  return code ? failed(code) : add_group(part);
}

static int wait_for(Handle request, LullMPIStop stop, char *status) {
  struct timespec start, now;
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (int polls = 0;; polls++) {
    int done = 0;
    int code = mpi.test(&request, &done, status);
    if (code) return failed(code);
    if (done) return 0;
    if (stop && stop()) {
      // What is under way cannot be called back.
      startState = 3;
      return lullMPIStopped;
    }
    if (polls % 64 == 63) clock_gettime(CLOCK_MONOTONIC, &now);
    else now = start;
    // Processes may share a core: those that wait give way, and after a while sleep.
    if (now.tv_sec - start.tv_sec > 0 || now.tv_nsec - start.tv_nsec > 5000000) usleep(50);
    else sched_yield();
  }
}

static Handle data_type(LullMPIType type) {
  static const char *const names[] = {
      "ompi_mpi_int8_t",   "ompi_mpi_int16_t",  "ompi_mpi_int32_t",        "ompi_mpi_int64_t", "ompi_mpi_uint8_t",
      "ompi_mpi_uint16_t", "ompi_mpi_uint32_t", "ompi_mpi_uint64_t",       "ompi_mpi_float",   "ompi_mpi_double",
      "ompi_mpi_c_float_complex",               "ompi_mpi_c_double_complex", "ompi_mpi_byte"};
  return object(names[type]);
}

int lull_mpi_all_reduce(int group, LullMPIOperation operation, LullMPIType type, const void *in, void *out,
                        int64_t count, LullMPIStop stop) {
  static const int sizes[] = {1, 2, 4, 8, 1, 2, 4, 8, 4, 8, 8, 16, 1};
  static const char *const names[] = {"ompi_mpi_op_sum", "ompi_mpi_op_max", "ompi_mpi_op_min"};
  if (!usable(group)) return lullMPIFailed;
  for (int64_t first = 0; first < count; first += maxBlock) {
    int64_t block = count - first < maxBlock ? count - first : maxBlock;
    Handle request = NULL;
    int code = mpi.all_reduce((const char *)in + first * sizes[type], (char *)out + first * sizes[type], (int)block,
                              data_type(type), object(names[operation]), groups[group], &request);
    if (code) return failed(code);
    char status[256] = {0};
    if ((code = wait_for(request, stop, status))) return code;
  }
  return 0;
}

int lull_mpi_all_gather(int group, const void *in, void *out, int64_t bytes, LullMPIStop stop) {
  if (!usable(group)) return lullMPIFailed;
  if (bytes > maxBlock) {
    snprintf(description, sizeof description, "all_gather takes at most 1 GiB of each process");
    return lullMPIFailed;
  }
  Handle request = NULL, byte = data_type(lullMPIByte);
  int code = mpi.all_gather(in, (int)bytes, byte, out, (int)bytes, byte, groups[group], &request);
  char status[256] = {0};
  return code ? failed(code) : wait_for(request, stop, status);
}

int lull_mpi_send(int group, const void *in, int64_t bytes, int to, LullMPIStop stop) {
  if (!usable(group)) return lullMPIFailed;
  for (int64_t first = 0; first < bytes || first == 0; first += maxBlock) {
    int64_t block = bytes - first < maxBlock ? bytes - first : maxBlock;
    Handle request = NULL;
    int code = mpi.send((const char *)in + first, (int)block, data_type(lullMPIByte), to, messageTag, groups[group],
                        &request);
    char status[256] = {0};
    if (code) return failed(code);
    if ((code = wait_for(request, stop, status))) return code;
  }
  return 0;
}

int lull_mpi_receive(int group, void *out, int64_t bytes, int from, LullMPIStop stop) {
  if (!usable(group)) return lullMPIFailed;
  for (int64_t first = 0; first < bytes || first == 0; first += maxBlock) {
    int64_t block = bytes - first < maxBlock ? bytes - first : maxBlock;
    Handle request = NULL, byte = data_type(lullMPIByte);
    int code = mpi.receive((char *)out + first, (int)block, byte, from, messageTag, groups[group], &request);
    char status[256] = {0};
    if (code) return failed(code);
    if ((code = wait_for(request, stop, status))) return code;
    int count = 0;
    if (mpi.get_count(status, byte, &count) || count != block) {
      snprintf(description, sizeof description,
               "process %d sent %d bytes where %lld were expected: its array has another shape or dtype", from, count,
               (long long)block);
      return lullMPIFailed;
    }
  }
  return 0;
}
