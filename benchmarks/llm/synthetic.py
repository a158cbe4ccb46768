"""Writes a model of random weights in the shape of a real one, as a GGUF file with the tokenizer of another.

usage: synthetic.py SHAPE TYPE TOKENIZER.gguf OUT.gguf     SHAPE: 1.1B or 7B; TYPE: Q4_0, Q4_K, Q8_0 or F16

Codes are random bits and scales give weights of some 0.02, so that nothing overflows; the text such a model writes means
nothing, but every byte of it is read as those of a real one.
"""

import sys

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter

SHAPES = {  # hidden, feed-forward, layers, heads, kv heads: TinyLlama 1.1B, Mistral 7B
    "1.1B": (2048, 5632, 22, 32, 4),
    "7B": (4096, 14336, 32, 32, 8),
}
BLOCKS = {"Q4_0": (32, 18), "Q8_0": (32, 34), "Q4_K": (256, 144), "F16": (1, 2)}

shape, kind, source, out = sys.argv[1:5]
hidden, feed, layers, heads, kv_heads = SHAPES[shape]
values, size = BLOCKS[kind]
rng = np.random.default_rng(1)
reader = GGUFReader(source)
writer = GGUFWriter(out, "llama")
for field in reader.fields.values():
    if not field.name.startswith("tokenizer."):
        continue
    if field.types[0] == GGUFValueType.ARRAY:
        writer.add_array(field.name, field.contents())
    elif field.types[0] == GGUFValueType.STRING:
        writer.add_string(field.name, field.contents())
    else:
        writer.add_key_value(field.name, field.contents(), field.types[0])
vocabulary = len(reader.fields["tokenizer.ggml.tokens"].contents())
writer.add_context_length(4096)
writer.add_embedding_length(hidden)
writer.add_block_count(layers)
writer.add_feed_forward_length(feed)
writer.add_head_count(heads)
writer.add_head_count_kv(kv_heads)
writer.add_layer_norm_rms_eps(1e-5)
writer.add_rope_dimension_count(hidden // heads)
writer.add_rope_freq_base(10000.0)
writer.add_vocab_size(vocabulary)


def blocks(rows, columns):
    """Random blocks [rows, bytes of a row]."""
    raw = rng.integers(0, 256, (rows * columns // values, size), dtype=np.uint8)
    if kind == "F16":
        return (rng.standard_normal((rows, columns), dtype=np.float32) * 0.02).astype(np.float16)
    scale = {"Q4_0": 0.02 / 4.6, "Q8_0": 0.02 / 74, "Q4_K": 0.02 / 150}[kind]
    raw[:, :2] = np.full(len(raw), scale, np.float16).view(np.uint8).reshape(-1, 2)
    if kind == "Q4_K":  # the minima take away about the mean of the codes
        raw[:, 2:4] = np.full(len(raw), scale * 7.5, np.float16).view(np.uint8).reshape(-1, 2)
        raw[:, 8:12] = raw[:, 4:8]
        raw[:, 12:16] = (raw[:, 12:16] & 15) * 17
    return raw.reshape(rows, columns // values * size)


dtype = getattr(GGMLQuantizationType, kind)


def matrix(name, rows, columns):
    writer.add_tensor(name, blocks(rows, columns), raw_dtype=None if kind == "F16" else dtype)


matrix("token_embd.weight", vocabulary, hidden)
matrix("output.weight", vocabulary, hidden)
writer.add_tensor("output_norm.weight", np.ones(hidden, np.float32))
for i in range(layers):
    writer.add_tensor(f"blk.{i}.attn_norm.weight", np.ones(hidden, np.float32))
    writer.add_tensor(f"blk.{i}.ffn_norm.weight", np.ones(hidden, np.float32))
    matrix(f"blk.{i}.attn_q.weight", hidden, hidden)
    matrix(f"blk.{i}.attn_k.weight", hidden // heads * kv_heads, hidden)
    matrix(f"blk.{i}.attn_v.weight", hidden // heads * kv_heads, hidden)
    matrix(f"blk.{i}.attn_output.weight", hidden, hidden)
    matrix(f"blk.{i}.ffn_gate.weight", feed, hidden)
    matrix(f"blk.{i}.ffn_up.weight", feed, hidden)
    matrix(f"blk.{i}.ffn_down.weight", hidden, feed)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
