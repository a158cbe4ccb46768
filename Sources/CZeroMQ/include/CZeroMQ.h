// ZeroMQ and the part of libsodium that signs messages, opened at run time on first use.
//
// Only the Jupyter kernel needs them, so they are neither linked nor needed to build: what is declared here is the
// stable interface of libzmq 4 (libzmq.so.5). Call `lull_zmq_load` before any other; where it fails the rest must
// not be called. Functions give -1 for a failure, as libzmq's do, and `lull_zmq_error` says which.
#pragma once
#include <stddef.h>
#include <stdint.h>

// 0 when both libraries are there. Not for several threads at once.
int lull_zmq_load(void);
// What is missing, and the Debian package that has it.
const char *lull_zmq_problem(void);
// "4.3.4"
const char *lull_zmq_version(void);

enum { LullZMQReply = 4, LullZMQRouter = 6, LullZMQXPublish = 9 };
enum {
  LullZMQLinger = 17,
  LullZMQSendLimit = 23,
  LullZMQReceiveLimit = 24,
  LullZMQIPv6 = 42,
  LullZMQRouterHandover = 56,
  LullZMQPublishNoDrop = 69,
};

void *lull_zmq_context(void);
// Waits until what was sent is on its way (as long as the sockets linger); sockets in use fail with
// `lull_zmq_is_ending`.
void lull_zmq_end(void *context);
void *lull_zmq_socket(void *context, int type);
void lull_zmq_close(void *socket);
int lull_zmq_set(void *socket, int option, int value);
// Messages above the limit end the connection that sent them.
int lull_zmq_set_largest(void *socket, int64_t bytes);
int lull_zmq_bind(void *socket, const char *endpoint);
// The endpoint that was bound, with its port.
int lull_zmq_endpoint(void *socket, char *text, size_t room);

// One part of a message; libzmq's zmq_msg_t.
typedef struct {
  _Alignas(8) unsigned char bytes[64];
} LullZMQPart;
// Receives a part without waiting; the part is to be closed when 0 is returned.
int lull_zmq_receive(void *socket, LullZMQPart *part, int waits);
const void *lull_zmq_data(LullZMQPart *part);
size_t lull_zmq_size(LullZMQPart *part);
// Whether another part of the same message follows.
int lull_zmq_more(LullZMQPart *part);
void lull_zmq_close_part(LullZMQPart *part);
// Sends a part without waiting, unless `waits`; `more` when another part follows.
int lull_zmq_send(void *socket, const void *data, size_t size, int more, int waits);

// libzmq's zmq_pollitem_t.
typedef struct {
  void *socket;
  int descriptor;
  short events;
  short ready;
} LullZMQPoll;
enum { LullZMQReadable = 1 };
int lull_zmq_poll(LullZMQPoll *items, int count, long milliseconds);

// A descriptor to poll: readable after a write of 8 bytes until it is read.
int lull_event_descriptor(void);

int lull_zmq_error(void);
const char *lull_zmq_error_text(int error);
int lull_zmq_is_ending(int error);

// HMAC-SHA256 of parts one after the other.
typedef struct {
  const void *data;
  size_t size;
} LullBytes;
enum { LullDigestSize = 32 };
void lull_hmac_sha256(const void *key, size_t keySize, const LullBytes *parts, int count,
                      unsigned char digest[LullDigestSize]);
// Compares in a time that does not depend on the contents.
int lull_equal_in_constant_time(const void *a, const void *b, size_t size);
