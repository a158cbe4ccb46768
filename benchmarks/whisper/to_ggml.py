"""Writes whisper.cpp's ggml file (float16) from a CTranslate2 directory: to_ggml.py DIRECTORY OUT.bin"""

import json
import struct
import sys
from pathlib import Path

import numpy as np

TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
PARTS = {
    "self_attention/linear_1": "attn.out", "self_attention/layer_norm": "attn_ln", "attention/linear_2": "cross_attn.out",
    "attention/layer_norm": "cross_attn_ln", "ffn/linear_0": "mlp.0", "ffn/linear_1": "mlp.2", "ffn/layer_norm": "mlp_ln",
}


def read_ct2(path):
    data = Path(path).read_bytes()
    at = 0

    def take(format):
        nonlocal at
        (value,) = struct.unpack_from("<" + format, data, at)
        at += struct.calcsize("<" + format)
        return value

    def text():
        nonlocal at
        n = take("H")
        value = data[at : at + n].rstrip(b"\0").decode()
        at += n
        return value

    take("I"), text(), take("I")
    variables = {}
    for _ in range(take("I")):
        name = text()
        shape = [take("I") for _ in range(take("B"))]
        dtype = np.dtype(TYPES[take("B")])
        size = take("I")
        variables[name] = np.frombuffer(data, dtype, size // dtype.itemsize, at).reshape(shape)
        at += size
    return variables


def tensors(v):
    out = {}

    def linear(source, target):
        out[target + ".weight"], out[target + ".bias"] = v[source + "/weight"], v[source + "/bias"]

    def pieces(source, target, names):
        w, b = v[source + "/weight"], v[source + "/bias"]
        n = w.shape[0] // len(names)
        for i, name in enumerate(names):
            out[f"{target}.{name}.weight"] = w[i * n : (i + 1) * n]
            if name != "key":
                out[f"{target}.{name}.bias"] = b[i * n : (i + 1) * n]

    for side in ("encoder", "decoder"):
        count = 1 + max(int(k.split("/")[1][6:]) for k in v if k.startswith(f"{side}/layer_") and k.split("/")[1][6:].isdigit())
        for i in range(count):
            s, t = f"{side}/layer_{i}", f"{side}.blocks.{i}"
            pieces(f"{s}/self_attention/linear_0", f"{t}.attn", ["query", "key", "value"])
            if side == "decoder":
                pieces(f"{s}/attention/linear_0", f"{t}.cross_attn", ["query"])
                pieces(f"{s}/attention/linear_1", f"{t}.cross_attn", ["key", "value"])
            for part, name in PARTS.items():
                if f"{s}/{part}/gamma" in v:
                    out[f"{t}.{name}.weight"], out[f"{t}.{name}.bias"] = v[f"{s}/{part}/gamma"], v[f"{s}/{part}/beta"]
                elif f"{s}/{part}/weight" in v:
                    linear(f"{s}/{part}", f"{t}.{name}")
        out[f"{side}.positional_embedding"] = v[f"{side}/position_encodings/encodings"]
    for name in ("conv1", "conv2"):
        linear(f"encoder/{name}", f"encoder.{name}")
        out[f"encoder.{name}.bias"] = out[f"encoder.{name}.bias"].reshape(-1, 1)
    for source, target in (("encoder/layer_norm", "encoder.ln_post"), ("decoder/layer_norm", "decoder.ln")):
        out[target + ".weight"], out[target + ".bias"] = v[source + "/gamma"], v[source + "/beta"]
    out["decoder.token_embedding.weight"] = v["decoder/embeddings/weight"]
    return out


def mel_filters(n_mels):
    to_mel = lambda f: np.where(f >= 1000, 15 + np.log(np.maximum(f, 1e-9) / 1000) * 27 / np.log(6.4), f * 3 / 200)
    to_hertz = lambda m: np.where(m >= 15, 1000 * np.exp(np.log(6.4) / 27 * (m - 15)), m * 200 / 3)
    bins = np.linspace(0, 8000, 201)
    edges = to_hertz(np.linspace(0, to_mel(np.array(8000.0)), n_mels + 2))
    ramps = edges[:, None] - bins
    d = np.diff(edges)
    w = np.maximum(0, np.minimum(-ramps[:-2] / d[:-1, None], ramps[2:] / d[1:, None]))
    return (w * (2 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


def main(folder, out):
    v = read_ct2(f"{folder}/model.bin")
    t = tensors(v)
    vocabulary = json.loads(Path(f"{folder}/tokenizer.json").read_text())["model"]["vocab"]
    printable = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    alphabet = {chr(b): b for b in printable}
    alphabet.update({chr(256 + i): b for i, b in enumerate(b for b in range(256) if b not in printable)})
    eot = 50257 if t["decoder.token_embedding.weight"].shape[0] >= 51865 else 50256
    by_id = {i: bytes(alphabet[c] for c in text) if all(c in alphabet for c in text) else text.encode() for text, i in vocabulary.items()}
    words = [by_id.get(i, b"") for i in range(eot)]
    kernel, table, places = t["encoder.conv1.weight"], t["decoder.token_embedding.weight"], t["decoder.positional_embedding"]
    layers = lambda side: 1 + max(int(k.split(".")[2]) for k in t if k.startswith(f"{side}.blocks."))
    with open(out, "wb") as f:
        f.write(struct.pack(
            "<12i", 0x67676D6C, table.shape[0], t["encoder.positional_embedding"].shape[0], kernel.shape[0], int(v["encoder/num_heads"]),
            layers("encoder"), places.shape[0], table.shape[1], int(v["decoder/num_heads"]), layers("decoder"), kernel.shape[1], 1))
        filters = mel_filters(kernel.shape[1])
        f.write(struct.pack("<2i", *filters.shape) + filters.tobytes())
        f.write(struct.pack("<i", len(words)))
        for word in words:
            f.write(struct.pack("<i", len(word)) + word)
        for name, x in t.items():
            is_half = x.ndim >= 2 and not name.endswith((".bias", "positional_embedding"))
            x = np.ascontiguousarray(x, dtype=np.float16 if is_half else np.float32)
            f.write(struct.pack("<3i", x.ndim, len(name), int(is_half)))
            f.write(struct.pack(f"<{x.ndim}i", *reversed(x.shape)) + name.encode() + x.tobytes())


if __name__ == "__main__":
    main(*sys.argv[1:])
