// See CZeroMQ.h.
#define _GNU_SOURCE
#include "CZeroMQ.h"
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>

// name, result, parameters; one line for each function of the libraries
#define ZEROMQ(X)                                                             \
  X(zmq_version, void, (int *, int *, int *))                                 \
  X(zmq_ctx_new, void *, (void))                                              \
  X(zmq_ctx_term, int, (void *))                                              \
  X(zmq_socket, void *, (void *, int))                                        \
  X(zmq_close, int, (void *))                                                 \
  X(zmq_setsockopt, int, (void *, int, const void *, size_t))                 \
  X(zmq_getsockopt, int, (void *, int, void *, size_t *))                     \
  X(zmq_bind, int, (void *, const char *))                                    \
  X(zmq_msg_init, int, (LullZMQPart *))                                       \
  X(zmq_msg_recv, int, (LullZMQPart *, void *, int))                          \
  X(zmq_msg_data, void *, (LullZMQPart *))                                    \
  X(zmq_msg_size, size_t, (const LullZMQPart *))                              \
  X(zmq_msg_more, int, (const LullZMQPart *))                                 \
  X(zmq_msg_close, int, (LullZMQPart *))                                      \
  X(zmq_send, int, (void *, const void *, size_t, int))                       \
  X(zmq_poll, int, (LullZMQPoll *, int, long))                                \
  X(zmq_errno, int, (void))                                                   \
  X(zmq_strerror, const char *, (int))
#define SODIUM(X)                                                             \
  X(sodium_init, int, (void))                                                 \
  X(sodium_memcmp, int, (const void *, const void *, size_t))                 \
  X(crypto_auth_hmacsha256_statebytes, size_t, (void))                        \
  X(crypto_auth_hmacsha256_init, int, (void *, const void *, size_t))         \
  X(crypto_auth_hmacsha256_update, int, (void *, const void *, unsigned long long)) \
  X(crypto_auth_hmacsha256_final, int, (void *, unsigned char *))

#define DECLARE(name, result, parameters) static result(*name) parameters;
ZEROMQ(DECLARE)
SODIUM(DECLARE)

enum { largestState = 1024 };  // of HMAC-SHA256; some 200 bytes today
static int state = 1;  // 1 not tried, 0 ready, 2 missing
static char problem[256] = "";

// The first of the names that opens; without any, what was wrong with the first.
static void *open_first(const char *const *names, char *why, size_t room) {
  for (int i = 0; names[i]; i++) {
    void *library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (library) return library;
    const char *error = dlerror();
    if (i == 0) snprintf(why, room, "%s", error ? error : "unknown error");
  }
  return NULL;
}

int lull_zmq_load(void) {
  if (state != 1) return state;
  state = 2;
  static const char *const zeromqNames[] = {"libzmq.so.5", "libzmq.so", NULL};
  static const char *const sodiumNames[] = {"libsodium.so.23", "libsodium.so.26", "libsodium.so",
                                            NULL};
  char why[160] = "";
  void *zeromq = open_first(zeromqNames, why, sizeof why);
  if (!zeromq) {
    snprintf(problem, sizeof problem, "ZeroMQ is not installed (Debian: libzmq5): %s", why);
    return state;
  }
  void *sodium = open_first(sodiumNames, why, sizeof why);
  if (!sodium) {
    snprintf(problem, sizeof problem, "libsodium is not installed (Debian: libsodium23): %s", why);
    return state;
  }
  const char *missing = NULL;
#define FIND_ZEROMQ(name, result, parameters) \
  if (!(*(void **)&name = dlsym(zeromq, #name))) missing = #name;
#define FIND_SODIUM(name, result, parameters) \
  if (!(*(void **)&name = dlsym(sodium, #name))) missing = #name;
  ZEROMQ(FIND_ZEROMQ)
  SODIUM(FIND_SODIUM)
  if (missing) {
    snprintf(problem, sizeof problem,
             "ZeroMQ or libsodium is too old: it has no %s (Debian: libzmq5, libsodium23)", missing);
    return state;
  }
  if (crypto_auth_hmacsha256_statebytes() > largestState) {
    snprintf(problem, sizeof problem, "this libsodium is too new for this Lull");
    return state;
  }
  if (sodium_init() < 0) {
    snprintf(problem, sizeof problem, "libsodium cannot start");
    return state;
  }
  state = 0;
  return state;
}

const char *lull_zmq_problem(void) { return problem; }

const char *lull_zmq_version(void) {
  static char text[40];
  int major = 0, minor = 0, patch = 0;
  zmq_version(&major, &minor, &patch);
  snprintf(text, sizeof text, "%d.%d.%d", major, minor, patch);
  return text;
}

void *lull_zmq_context(void) { return zmq_ctx_new(); }
void lull_zmq_end(void *context) {
  while (zmq_ctx_term(context) != 0 && zmq_errno() == EINTR) {
  }
}
void *lull_zmq_socket(void *context, int type) { return zmq_socket(context, type); }
void lull_zmq_close(void *socket) { zmq_close(socket); }
int lull_zmq_set(void *socket, int option, int value) {
  return zmq_setsockopt(socket, option, &value, sizeof value);
}
int lull_zmq_set_largest(void *socket, int64_t bytes) {
  enum { largestMessage = 22 };
  return zmq_setsockopt(socket, largestMessage, &bytes, sizeof bytes);
}
int lull_zmq_bind(void *socket, const char *endpoint) { return zmq_bind(socket, endpoint); }
int lull_zmq_endpoint(void *socket, char *text, size_t room) {
  enum { lastEndpoint = 32 };
  return zmq_getsockopt(socket, lastEndpoint, text, &room);
}

enum { dontWait = 1, sendMore = 2 };

int lull_zmq_receive(void *socket, LullZMQPart *part, int waits) {
  zmq_msg_init(part);
  for (;;) {
    if (zmq_msg_recv(part, socket, waits ? 0 : dontWait) >= 0) return 0;
    if (zmq_errno() != EINTR) break;
  }
  int error = zmq_errno();
  zmq_msg_close(part);
  errno = error;
  return -1;
}
const void *lull_zmq_data(LullZMQPart *part) { return zmq_msg_data(part); }
size_t lull_zmq_size(LullZMQPart *part) { return zmq_msg_size(part); }
int lull_zmq_more(LullZMQPart *part) { return zmq_msg_more(part); }
void lull_zmq_close_part(LullZMQPart *part) { zmq_msg_close(part); }

int lull_zmq_send(void *socket, const void *data, size_t size, int more, int waits) {
  int flags = (waits ? 0 : dontWait) | (more ? sendMore : 0);
  for (;;) {
    if (zmq_send(socket, data, size, flags) >= 0) return 0;
    if (zmq_errno() != EINTR) return -1;
  }
}

int lull_zmq_poll(LullZMQPoll *items, int count, long milliseconds) {
  return zmq_poll(items, count, milliseconds);
}

int lull_event_descriptor(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

int lull_zmq_error(void) { return zmq_errno(); }
const char *lull_zmq_error_text(int error) { return zmq_strerror(error); }
int lull_zmq_is_ending(int error) {
  enum { contextTerminated = 156384712 + 53 };
  return error == contextTerminated;
}

void lull_hmac_sha256(const void *key, size_t keySize, const LullBytes *parts, int count,
                      unsigned char digest[LullDigestSize]) {
  _Alignas(64) unsigned char sum[largestState];
  crypto_auth_hmacsha256_init(sum, key, keySize);
  for (int i = 0; i < count; i++)
    crypto_auth_hmacsha256_update(sum, parts[i].data, parts[i].size);
  crypto_auth_hmacsha256_final(sum, digest);
}

int lull_equal_in_constant_time(const void *a, const void *b, size_t size) {
  return sodium_memcmp(a, b, size) == 0;
}
