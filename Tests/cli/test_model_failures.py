"""What goes wrong with models is one clear message that says what to do, in under a second, and never a crash.

A table of damages and messages, then some hundreds of files that are cut or changed at random.
"""

import json
import os
import random
import shutil
import struct
import subprocess
import time

import pytest
from conftest import LULL, ROOT

FIXTURES = ROOT / "Tests" / "Fixtures"
PLAIN = FIXTURES / "models" / "llama_gqa"
CODED = FIXTURES / "models" / "llama_mlx_tied_q4"
GGUF = FIXTURES / "gguf" / "llama_Q4_1.gguf"


def edit_json(path, change):
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def config(**values):
    return lambda d: edit_json(d / "config.json", lambda c: c.update(values))


def without(*keys):
    return lambda d: edit_json(d / "config.json", lambda c: [c.pop(k) for k in keys])


def cut(name, length):
    return lambda d: os.truncate(d / name, length if length >= 0 else os.path.getsize(d / name) + length)


def remove(*names):
    return lambda d: [(d / n).unlink() for n in names]


def write(name, text):
    return lambda d: (d / name).write_text(text)


def header(change):
    """Damage to the header of model.safetensors."""

    def apply(d):
        path = d / "model.safetensors"
        data = path.read_bytes()
        n = struct.unpack("<Q", data[:8])[0]
        tensors = json.loads(data[8 : 8 + n])
        change(tensors)
        text = json.dumps(tensors).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + n :])

    return apply


def rename(old, new):
    def change(tensors):
        tensors[new] = tensors.pop(old)

    return header(change)


def reshape(tensors):
    tensors["model.layers.0.self_attn.q_proj.weight"]["shape"] = [32, 128]


def double(tensors):
    # A tensor that the model does not have, over no bytes.
    end = max(t["data_offsets"][1] for name, t in tensors.items() if name != "__metadata__")
    tensors["model.layers.9.extra.weight"] = {"dtype": "F32", "shape": [0], "data_offsets": [end, end]}


DIRECTORIES = {
    "no config": (remove("config.json"), "has no config.json, so it is not a model directory"),
    "no weights": (remove("model.safetensors"), "has no model.safetensors: copy the model's .safetensors files beside config.json"),
    "torch weights": (
        lambda d: (d / "model.safetensors").rename(d / "pytorch_model.bin"), "save the model again with transformers, which writes .safetensors"
    ),
    "no tokenizer": (remove("tokenizer.json"), "has no tokenizer.json: copy the model's tokenizer.json beside config.json"),
    "only tokenizer.model": (
        lambda d: (d / "tokenizer.json").rename(d / "tokenizer.model"), "save the tokenizer again with transformers' AutoTokenizer"
    ),
    "config cut": (cut("config.json", 40), "config.json: no valid JSON"),
    "config empty": (write("config.json", ""), "config.json: no valid JSON"),
    "config a list": (write("config.json", "[1]"), "config.json: expected an object, found list"),
    "unknown architecture": (
        config(model_type="mamba"), "unknown model architecture 'mamba'; known are gemma, gemma2, gemma3_text, llama, mistral"
    ),
    "no architecture": (without("model_type"), "unknown model architecture 'unnamed'; known are"),
    "field missing": (without("hidden_size", "vocab_size"), "the configuration has no 'hidden_size', 'vocab_size'"),
    "field a text": (config(hidden_size="64"), "'hidden_size' must be a positive number, not '64'"),
    "field negative": (config(num_hidden_layers=-1), "'num_hidden_layers' must be a positive number, not -1"),
    "a number for an object": (config(rope_scaling=3), "'rope_scaling' must be an object, not 3"),
    "too many layers": (config(num_hidden_layers=10**6), "'num_hidden_layers' must be at most 10000, not 1000000"),
    "heads do not divide": (config(num_key_value_heads=3), "num_attention_heads (4) is no multiple of num_key_value_heads (3)"),
    "rope of another kind": (config(rope_scaling={"type": "spiral"}), "rope scaling 'spiral' is not supported; known are"),
    "another width": (config(intermediate_size=96), "model.layers.0.mlp"),
    "weights cut": (cut("model.safetensors", 5000), "the file is incomplete, download or copy it again"),
    "weights cut at the end": (cut("model.safetensors", -1), "the file is incomplete, download or copy it again"),
    "header cut": (cut("model.safetensors", 100), "the file is incomplete, download or copy it again"),
    "weights empty": (cut("model.safetensors", 0), "the file is incomplete, download or copy it again"),
    "weights a text": (write("model.safetensors", "<html>Not found</html> and more"), "is this a safetensors file?"),
    "a tensor missing": (
        rename("model.norm.weight", "rotary_emb.x"),
        "model.norm.weight; the weights are not those of config.json: copy both again from one place",
    ),
    "a tensor too many": (header(double), "model.layers.9.extra.weight"),
    "a tensor of another shape": (header(reshape), "model.layers.0.self_attn.q_proj.weight"),
    "tokenizer cut": (cut("tokenizer.json", 300), "tokenizer.json"),
    "tokenizer of another kind": (
        write("tokenizer.json", '{"model": {"type": "WordPiece"}}'), "'WordPiece'; BPE and Unigram are supported"
    ),
    "shard missing": (
        lambda d: (remove("model.safetensors")(d), write(
            "model.safetensors.index.json", '{"weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors"}}')(d)),
        "model-00001-of-00002.safetensors",
    ),
}
CODED_DIRECTORIES = {
    "no quantization": (without("quantization"), "the weights are quantised, but there is no 'quantization' that says how"),
    "other bits": (config(quantization={"group_size": 64, "bits": 8}), "llama_model"),
    "impossible bits": (
        config(quantization={"group_size": 64, "bits": 7}), "affine codes have 2, 3, 4, 5, 6 or 8 bits and groups of 32, 64 or 128, not 7"
    ),
    "bits a text": (config(quantization={"group_size": 64, "bits": "four"}), "not four bits and 64"),
    "quantization a text": (config(quantization="4bit"), "'quantization' must be an object, not '4bit'"),
}
FILES = {
    "cut": (lambda p: os.truncate(p, 60000), "the file is incomplete, download or copy it again"),
    "cut in the header": (lambda p: os.truncate(p, 900), "the file is incomplete, download or copy it again"),
    "empty": (lambda p: os.truncate(p, 0), "the file is incomplete, download or copy it again"),
    "a text": (lambda p: p.write_text("<html>Not found</html>"), "this is no GGUF file"),
    "another version": (lambda p: overwrite(p, 4, struct.pack("<I", 9)), "version 9; convert the model to a little-endian GGUF"),
    "big-endian": (lambda p: overwrite(p, 4, struct.pack(">I", 3)), "the file is big-endian; convert the model"),
    "another architecture": (lambda p: replace(p, b"llama\x0c", b"mamba\x0c", 1), "unknown model architecture 'mamba'; known are"),
    "a renamed tensor": (lambda p: replace(p, b"blk.1.attn_q.weight", b"blk.1.attn_z.weight"), "no place for tensor 'blk.1.attn_z.weight'"),
    "a renamed field": (lambda p: replace(p, b"llama.block_count", b"llama.block_comte"), "no metadata field 'llama.block_count'"),
    "another tokenizer": (lambda p: replace(p, b"tokenizer.ggml.model\x08\0\0\0\x04\0\0\0\0\0\0\0gpt2", b"tokenizer.ggml.model\x08\0\0\0\x04\0\0\0\0\0\0\0bert"),
                          "'bert'; gpt2 and llama are supported"),
}


def overwrite(path, at, data):
    with open(path, "r+b") as f:
        f.seek(at)
        f.write(data)


def replace(path, old, new, count=-1):
    data = path.read_bytes()
    assert old in data and len(old) == len(new)
    path.write_bytes(data.replace(old, new, count))


def copy(source, folder):
    """A copy of a model directory, less the expected values."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("expected*", "trace*"))
    return folder


def expect_failure(lull, path, message, *options, env=None):
    """Every way in gives the message on one line, fast."""
    start = time.monotonic()
    result = lull("generate", "--model", path, "--prompt", "hi", "-m", "2", *options, env=env)
    seconds = time.monotonic() - start
    assert result.code == 1 and result.out == "", result.err
    assert result.err.startswith("lull generate: ") and result.err.count("\n") == 1, result.err
    assert message in result.err
    assert seconds < 1, seconds
    return result.err


@pytest.mark.parametrize("damage", DIRECTORIES)
def test_directories(lull, tmp_path, damage):
    apply, message = DIRECTORIES[damage]
    folder = copy(PLAIN, tmp_path / "llama_model")
    apply(folder)
    expect_failure(lull, folder, message)


@pytest.mark.parametrize("damage", CODED_DIRECTORIES)
def test_quantised_directories(lull, tmp_path, damage):
    apply, message = CODED_DIRECTORIES[damage]
    folder = copy(CODED, tmp_path / "llama_model")
    apply(folder)
    expect_failure(lull, folder, message)


@pytest.mark.parametrize("damage", FILES)
def test_gguf_files(lull, tmp_path, damage):
    apply, message = FILES[damage]
    path = tmp_path / "m.gguf"
    shutil.copy(GGUF, path)
    apply(path)
    expect_failure(lull, path, message)


def test_paths(lull, tmp_path):
    expect_failure(lull, tmp_path / "nothing", "give a .gguf file or a directory with config.json")
    expect_failure(lull, "nothing.gguf", "no model at 'nothing.gguf'")
    text = expect_failure(lull, "mlx-community/Llama-3.2-1B-4bit", "Lull never downloads; get it with")
    assert "'hf download mlx-community/Llama-3.2-1B-4bit --local-dir Llama-3.2-1B-4bit'" in text
    (tmp_path / "notes.txt").write_text("x")
    expect_failure(lull, "notes.txt", "'notes.txt' is not a model: expected a .gguf file or a directory with config.json")
    expect_failure(lull, PLAIN, "no model at 'nodraft'", "--draft-model", "nodraft")
    expect_failure(lull, PLAIN, "adapter", "--adapter-path", "noadapter")


def test_memory(lull, tmp_path):
    text = expect_failure(lull, GGUF, "of memory, and 0.1 MB are free: take a model of at most that size", env={"LULL_MEMORY": "0.0001"})
    assert "convert writes it" in text
    # Room for the weights, none for the keys and values of so many tokens.
    long = copy(PLAIN, tmp_path / "long")
    config(max_position_embeddings=10**6)(long)
    code = f"""
from mlx_lm import generate, load
model, tokenizer = load({str(long)!r})
for settings in ({{}}, {{'kv_bits': 8}}, {{'max_kv_size': 100}}):
    try:
        generate(model, tokenizer, [5, 6, 7], max_tokens=100000, stop='e', **settings)
        print('done')
    except MemoryError as e:
        print(e)
"""
    result = lull("-c", code, env={"LULL_MEMORY": "0.01"})
    lines = result.out.splitlines()
    assert lines[0] == (
        "the keys and values of 100003 tokens need 51.2 MB of memory, and 10.0 MB are free: keep a window of them with "
        "max_kv_size=19531, or ask for fewer tokens, or quantise the cache with kv_bits=8"
    )
    assert "need 14.4 MB" in lines[1] and "kv_bits=8" not in lines[1]
    assert lines[2] == "done"
    expect_failure(lull, GGUF, "LULL_MEMORY must be a number of gigabytes, not 'much'", env={"LULL_MEMORY": "much"})


def test_a_prompt_longer_than_the_context(lull):
    text = expect_failure(lull, PLAIN, "but the model's context holds 2048", "--ignore-chat-template", "--prefill-response", "ab " * 3000)
    assert "shorten the prompt, or keep a window of it with max_kv_size=2048" in text


def test_no_limit_where_the_configuration_has_none(lull, tmp_path):
    folder = copy(PLAIN, tmp_path / "m")
    without("max_position_embeddings")(folder)
    code = f"from mlx_lm import *\nm, t = load({str(folder)!r})\nprint(len(generate(m, t, [5] * 2100, max_tokens=2)) > 0)"
    assert lull("-c", code).out == "True\n"


DAMAGED = """
import json
import time
from mlx_lm import generate, load

for path in json.load(open('paths.json')):
    print('@', path, flush=True)
    start = time.perf_counter()
    try:
        model, tokenizer = load(path)
        generate(model, tokenizer, [5, 6, 7], max_tokens=2)
        said = 'OK'
    except (ValueError, FileNotFoundError, MemoryError) as error:
        said = str(error)
    print(json.dumps([said, time.perf_counter() - start]))
"""


def run_damaged(paths, folder):
    """Loads each file in one process: each is refused by one line, or works; nothing crashes or takes long."""
    (folder / "paths.json").write_text(json.dumps([str(p) for p in paths]))
    (folder / "damaged.lull").write_text(DAMAGED)
    done = subprocess.run([LULL, "damaged.lull"], cwd=folder, capture_output=True, text=True, timeout=300)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, (done.returncode, lines[-1:], done.stderr[-2000:])
    answers = [json.loads(line) for line in lines if line.startswith("[")]
    assert len(answers) == len(paths)
    for path, (said, seconds) in zip(paths, answers):
        assert "\n" not in said and 0 < len(said) < 1500, (path, said)
        assert seconds < 2, (path, said, seconds)
    return [said for said, _ in answers]


def test_files_cut_anywhere(tmp_path):
    data = GGUF.read_bytes()
    start = data.rfind(b"output_norm.weight") + 60
    places = [*range(0, 600, 7), *range(600, start, 331), *range(start, len(data), 6007), len(data) - 1]
    paths = []
    for n in places:
        path = tmp_path / f"cut{n}.gguf"
        path.write_bytes(data[:n])
        paths.append(path)
    data = (PLAIN / "model.safetensors").read_bytes()
    for n in [0, 1, 7, 8, 9, 100, 1000, 2000, 3000, 20000, len(data) - 4, len(data) - 1]:
        folder = copy(PLAIN, tmp_path / f"cut{n}")
        (folder / "model.safetensors").write_bytes(data[:n])
        paths.append(folder)
    assert all(said != "OK" for said in run_damaged(paths, tmp_path))


@pytest.mark.parametrize("seed", range(2))
def test_bytes_changed(tmp_path, seed):
    rng = random.Random(seed)
    paths = []
    for i in range(100):
        data = bytearray(rng.choice([GGUF, FIXTURES / "gguf" / "mixtral_Q8_0.gguf", FIXTURES / "gguf" / "qwen2_Q8_0.gguf"]).read_bytes())
        end = data.find(b"tokenizer.ggml.tokens")
        for _ in range(rng.choice((1, 1, 2, 4))):
            at = rng.randrange(end if rng.random() < 0.6 else 15000)
            data[at] = rng.choice((data[at] ^ 1 << rng.randrange(8), 0, 255, 127, 128, rng.randrange(256)))
        paths.append(tmp_path / f"{i}.gguf")
        paths[-1].write_bytes(data)
    odd = (None, 0, -1, 1, 3, 7, 2**31, 2**63, 10**30, 2.5, 1e300, "x", [], {}, [1, 2], True, {"type": "yarn"}, {"bits": 4},
           {"rope_type": "llama3", "factor": 0}, {"type": "linear", "factor": 0}, {"group_size": 0, "bits": 4},
           {"type": "longrope", "long_factor": [1], "original_max_position_embeddings": 8})
    for i in range(50):
        folder = copy(rng.choice([PLAIN, CODED, FIXTURES / "models" / "starcoder2"]), tmp_path / f"d{i}")
        if i % 2:
            edit_json(folder / "config.json", lambda c: c.update({rng.choice([*c, "rope_scaling"]): rng.choice(odd)}))
        else:
            path = folder / rng.choice(["model.safetensors", "tokenizer.json", "config.json", "tokenizer_config.json"])
            data = bytearray(path.read_bytes())
            for _ in range(2):
                data[rng.randrange(min(len(data), 2500))] = rng.randrange(256)
            path.write_bytes(data)
        paths.append(folder)
    said = run_damaged(paths, tmp_path)
    assert 20 < sum(s != "OK" for s in said)
