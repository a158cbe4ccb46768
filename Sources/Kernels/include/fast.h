// Whole-layer kernels in float32: normalisations, rotary embedding, attention.
#pragma once
#include <stdint.h>

// out[r] = x[r] * rsqrt(mean(x[r]^2) + eps) * weight; weight may be NULL. Rows are `n` floats, x_stride
// floats apart in x, dense in out.
void lull_rms_norm(const float *x, int64_t x_stride, const float *weight, float eps, int64_t rows,
                   int64_t n, float *out);
// out[r] = (x[r] - mean) * rsqrt(variance + eps) * weight + bias; weight and bias may be NULL.
void lull_layer_norm(const float *x, int64_t x_stride, const float *weight, const float *bias, float eps,
                     int64_t rows, int64_t n, float *out);

// Rotates the first `dims` of each row of `n` floats by (cosine, sine)[dims / 2]. Interleaved rotates
// pairs (2i, 2i + 1), otherwise (i, i + dims / 2). `sign` -1 rotates back.
void lull_rope(const float *x, const float *cosine, const float *sine, int64_t n, int64_t dims,
               int interleaved, float sign, float *out);

// How keys and values lie in memory; they are computed with as float32.
enum { LULL_KV_FLOAT32, LULL_KV_FLOAT16, LULL_KV_BFLOAT16 };

// Attention of one key/value head: `rows` query rows share its keys. Row r is query position
// r % queries of query head r / queries.
typedef struct {
  int64_t keys, dim, value_dim, queries;
  const float *q;
  const void *k, *v;                         // of the element type `kv_type`
  int kv_type;
  int64_t q_head, q_row, k_row, v_row;      // strides in elements; elements of a row are dense
  float *out;
  int64_t out_head, out_row;
  float scale;
  int causal;                                // query i sees keys 0 ... i + keys - queries
  int mask_kind;                             // 0 none, 1 float added, 2 uint8 (0 hides)
  const void *mask;
  int64_t mask_head, mask_row, mask_key;     // strides in elements, 0 where broadcast
  const float *sinks;                        // one score a head for a key without a value, or NULL
  int64_t sink_head;
  float *state;                              // for some of the keys: (maximum, sum) of each row, or NULL
} LullAttention;
// Rows first ..< first + count. With `state` the result is not yet divided by the sum, so that those of other keys can
// be merged with it by lull_attention_merge. `scratch` holds lull_attention_scratch floats, 64-byte aligned.
int64_t lull_attention_scratch(const LullAttention *a, int64_t count);
enum { LULL_ATTENTION_ROWS = 32 };           // most rows a call may ask for
void lull_attention(const LullAttention *a, int64_t first, int64_t count, float *scratch);
// One row from `parts` parts of its keys: outs are `width` floats, `stride` apart, states (maximum, sum) as far as
// `state_stride` apart. False when no key was visible.
int lull_attention_merge(const float *outs, int64_t stride, const float *states, int64_t state_stride, int64_t parts,
                         int64_t width, float *out);
