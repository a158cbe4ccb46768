// Open MPI, opened at run time by the processes that mpirun started.
//
// Nothing of it is linked: a run of one process never opens it. Groups of processes are small numbers; 0 is the
// world. Communications do not block in the library: they are polled, so that `stop` can end the wait.
// A function returns 0 when all is well; `lull_mpi_description` says what went wrong otherwise.
#pragma once
#include <stdint.h>

enum { lullMPIStopped = -2, lullMPIFailed = -1 };

/// The data types of reductions.
typedef enum {
  lullMPIInt8, lullMPIInt16, lullMPIInt32, lullMPIInt64, lullMPIUInt8, lullMPIUInt16, lullMPIUInt32,
  lullMPIUInt64, lullMPIFloat, lullMPIDouble, lullMPIComplex, lullMPIDoubleComplex, lullMPIByte,
} LullMPIType;
typedef enum { lullMPISum, lullMPIMax, lullMPIMin } LullMPIOperation;

/// How many processes mpirun started, from the environment; 1 without it. Opens nothing.
int lull_mpi_launched(void);
/// This process's number among them, from the environment.
int lull_mpi_launched_rank(void);
/// 0 when the library is there; opens it.
int lull_mpi_load(void);
/// Begins communication (once a process) and arranges its end.
int lull_mpi_start(void);
const char *lull_mpi_description(void);

/// How many groups there are; 0 before the start.
int lull_mpi_groups(void);
int lull_mpi_rank(int group);
int lull_mpi_size(int group);
/// The group of the processes with the same color, or -1.
int lull_mpi_split(int group, int color, int key);

/// `stop` is asked now and then whether to give up.
typedef int (*LullMPIStop)(void);
int lull_mpi_all_reduce(int group, LullMPIOperation operation, LullMPIType type, const void *in, void *out,
                        int64_t count, LullMPIStop stop);
/// `bytes` of every process, in the order of their numbers.
int lull_mpi_all_gather(int group, const void *in, void *out, int64_t bytes, LullMPIStop stop);
int lull_mpi_send(int group, const void *in, int64_t bytes, int to, LullMPIStop stop);
int lull_mpi_receive(int group, void *out, int64_t bytes, int from, LullMPIStop stop);
