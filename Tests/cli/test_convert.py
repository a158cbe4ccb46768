"""Converting models: what is written is read again with the same results, by Lull, by MLX and (where it is there) by mlx-lm.

The blocks of GGUF files are compared with what the gguf package makes of the same numbers (Tests/Fixtures holds its output).
"""

import json
import struct
import subprocess
import sys

import mlx.core as mx
import numpy as np
import pytest
from conftest import LULL, ROOT

FIXTURES = ROOT / "Tests" / "Fixtures"
PLAIN = FIXTURES / "models" / "llama_gqa"
CODED = FIXTURES / "models" / "llama_mlx_tied_q4"
STARCODER = FIXTURES / "models" / "starcoder2"
SHARED = ROOT.parent / "shared" / "fixtures" / "models"
MODEL = ROOT / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"

START = """
import json
import mlx.core as mx
import mlx.nn as nn
from mlx_lm import convert, load
ids = mx.array([[5, 17, 40, 7, 100, 33, 21]])
TEXTS = ["Hello, world! 12345", "  two  spaces\\n\\nnew", "naïve café 你好 🙂", "<|im_start|>user"]


def logits(path):
    model, _ = load(path)
    with nn.activation_bits(None):
        y = model(ids)[0]
        mx.eval(y)
    return y


def difference(a, b):
    return mx.abs(logits(a) - logits(b)).max().item()


def same_tokens(a, b):
    one, other = load(a)[1], load(b)[1]
    same = [one.encode(t) == other.encode(t) and one.decode(one.encode(t)) == other.decode(other.encode(t)) for t in TEXTS]
    return all(same) and one.eos_token_ids == other.eos_token_ids and one.chat_template == other.chat_template


def error(*args, **kwargs):
    try:
        convert(*args, **kwargs)
    except Exception as e:
        print(type(e).__name__ + ":", e)


"""


@pytest.fixture
def printed(lull, tmp_path):
    def run(source):
        path = tmp_path / "program.lull"
        path.write_text(START + source)
        result = lull(path, timeout=120)
        assert result.code == 0, result.err
        return result.out.splitlines()

    return run


def tensors(folder):
    out = {}
    for path in folder.glob("*.safetensors"):
        out.update(mx.load(str(path)))
    return out


@pytest.mark.parametrize("settings", [{"bits": 4, "group_size": 64}, {"bits": 8, "group_size": 32}, {"bits": 3, "group_size": 64}])
def test_quantised_as_mlx_does(lull, tmp_path, settings):
    out = tmp_path / "out"
    result = lull("convert", "--model", PLAIN, "--mlx-path", out, "-q", "--q-bits", settings["bits"], "--q-group-size", settings["group_size"])
    assert result.code == 0 and result.out == f"Wrote {out}\n", result.err
    source, made = tensors(PLAIN), tensors(out)
    count = 0
    for name, w in source.items():
        if w.ndim == 1:
            assert mx.array_equal(made[name], w)
            continue
        stem = name.removesuffix(".weight")
        for part, expected in zip(("weight", "scales", "biases"), mx.quantize(w, **settings)):
            assert mx.array_equal(made[f"{stem}.{part}"], expected), name
        count += 1
    assert count == 16
    config = json.loads((out / "config.json").read_text())
    assert config["quantization"] == config["quantization_config"] == {**settings, "mode": "affine"}
    index = json.loads((out / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(x.nbytes for x in made.values())
    assert index["metadata"]["total_parameters"] == sum(x.size for x in source.values())
    assert set(index["weight_map"]) == set(made)
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        assert (out / name).read_bytes() == (PLAIN / name).read_bytes()
    assert [p.name for p in tmp_path.iterdir() if "tmp" in p.name] == []


def test_other_modes_and_recipes(lull, tmp_path):
    def make(name, *options):
        result = lull("convert", "--model", PLAIN, "--mlx-path", tmp_path / name, *options)
        assert result.code == 0, result.err
        return tensors(tmp_path / name), json.loads((tmp_path / name / "config.json").read_text())

    source = tensors(PLAIN)
    name = "model.layers.0.mlp.down_proj"
    made, config = make("mx", "--q-mode", "mxfp4")
    codes, scales = mx.quantize(source[name + ".weight"], mode="mxfp4")
    assert mx.array_equal(made[name + ".weight"], codes) and mx.array_equal(made[name + ".scales"], scales)
    assert config["quantization"] == {"group_size": 32, "bits": 4, "mode": "mxfp4"}
    made, config = make("mixed", "--quant-predicate", "mixed_3_6", "--q-group-size", "32")
    assert config["quantization"]["lm_head"]["bits"] == 6 and config["quantization"]["model.embed_tokens"]["bits"] == 3
    made, config = make("half", "--dtype", "bfloat16")
    assert {x.dtype for x in made.values()} == {mx.bfloat16} and config["torch_dtype"] == "bfloat16"
    assert mx.array_equal(made["model.norm.weight"], source["model.norm.weight"].astype(mx.bfloat16))


def test_shards(printed, tmp_path):
    lines = printed(f"""
from mlx_lm import _conversion
_conversion._SHARD = 50000
convert({str(PLAIN)!r}, 'shards')
print(difference({str(PLAIN)!r}, 'shards'))
""")
    assert lines == ["0.0"]
    names = sorted(p.name for p in (tmp_path / "shards").glob("*.safetensors"))
    count = len(names)
    assert count > 5 and names == [f"model-{i + 1:05}-of-{count:05}.safetensors" for i in range(count)]
    index = json.loads((tmp_path / "shards" / "model.safetensors.index.json").read_text())["weight_map"]
    assert sorted(set(index.values())) == names
    source, made = tensors(PLAIN), tensors(tmp_path / "shards")
    assert set(source) == set(made) == set(index) and all(mx.array_equal(source[k], made[k]) for k in source)
    assert all(p.stat().st_size < 90000 for p in (tmp_path / "shards").glob("*.safetensors"))


def test_models_come_back(printed):
    lines = printed(f"""
convert({str(PLAIN)!r}, 'plain')
print(difference({str(PLAIN)!r}, 'plain'), same_tokens({str(PLAIN)!r}, 'plain'))
convert({str(PLAIN)!r}, 'f32.gguf', gguf_type='F32')
print(difference({str(PLAIN)!r}, 'f32.gguf') < 1e-4, same_tokens({str(PLAIN)!r}, 'f32.gguf'))
convert('f32.gguf', 'back')
print(difference('f32.gguf', 'back') < 1e-4, same_tokens('f32.gguf', 'back'))
convert({str(STARCODER)!r}, 'star.gguf', gguf_type='F32')
print(difference({str(STARCODER)!r}, 'star.gguf') < 1e-4, same_tokens({str(STARCODER)!r}, 'star.gguf'))
convert({str(CODED)!r}, 'expanded', dequantize=True, dtype='float32')
print(difference({str(CODED)!r}, 'expanded') < 1e-3)
convert({str(CODED)!r}, 'coded.gguf', gguf_type='F32')
print(difference({str(CODED)!r}, 'coded.gguf') < 1e-3, same_tokens({str(CODED)!r}, 'coded.gguf'))
for name in ('llama_Q4_1', 'mixtral_Q8_0', 'qwen2_Q8_0'):
    path = {str(FIXTURES / 'gguf')!r} + '/' + name + '.gguf'
    convert(path, name, dtype='float32')
    convert(path, name + '.F32.gguf', gguf_type='F32')
    print(difference(path, name) < 1e-3, same_tokens(path, name), difference(path, name + '.F32.gguf') < 1e-3)
for kind in ('F16', 'BF16', 'Q8_0', 'Q4_0', 'Q4_K'):
    convert({str(PLAIN)!r}, kind + '.gguf', gguf_type=kind)
    print(kind, round(difference({str(PLAIN)!r}, kind + '.gguf'), 1))
""")
    assert lines[:6] == ["0.0 True", "True True", "True True", "True True", "True", "True True"]
    assert lines[6:9] == ["True True True"] * 3
    differences = {line.split()[0]: float(line.split()[1]) for line in lines[9:]}
    assert differences["F16"] <= 0.1 and differences["BF16"] <= 0.5 and differences["Q8_0"] <= 1
    assert 1 < differences["Q4_0"] < 12 and 1 < differences["Q4_K"] < 12


@pytest.mark.skipif(not SHARED.exists(), reason="the shared fixtures are not here")
def test_all_families(printed):
    """To a GGUF file and from there to a directory: the logits stay."""
    families = (
        "gemma gemma3_text llama_rope_linear llama_rope_llama3 llama_rope_yarn llama_mlx_mxfp4 llama_tied_bf16 mistral mixtral olmo2 phi "
        "phi3 phi3_longrope phi3_partial_tied qwen2 qwen3 starcoder2"
    ).split()
    lines = printed(f"""
for family in {families!r}:
    path = {str(SHARED)!r} + '/' + family
    convert(path, family + '.gguf', gguf_type='F32')
    there = difference(path, family + '.gguf')
    convert(family + '.gguf', family)
    print(family, there < 1e-3, difference(path, family) < 1e-3, same_tokens(path, family))
error({str(SHARED)!r} + '/mistral_swa', 'swa.gguf')
error({str(SHARED)!r} + '/gemma2', 'gemma2.gguf')
""")
    assert lines[:-2] == [f"{family} True True True" for family in families]
    assert lines[-2:] == [
        "ValueError: a GGUF file cannot say which layers of a 'mistral' model see only a window of tokens",
        "ValueError: a GGUF file cannot say that query_pre_attn_scalar is 40.0: readers take 32",
    ]


@pytest.mark.parametrize("name, kind, same", [
    ("gemma_style_small", ("llama", "default", False), None), ("llama3_style_small", ("gpt2", "llama-bpe", None), None),
    # llama.cpp composes no accents, and puts a blank before a text that begins with one, too.
    ("qwen2_style_small", ("gpt2", "qwen2", None), 170), ("spm_small_metaspace", ("llama", "default", True), 150),
])
def test_tokenizers_go_there_and_back(lull, tmp_path, name, kind, same):
    folder = FIXTURES / "tokenizers" / name
    code = f"""
import json
from lull import formats
from mlx_lm import _tokenizers
original = formats.load_tokenizer({str(folder)!r})
fields = _tokenizers.metadata_of({str(folder)!r}, 1)
formats.save_tensors('t.gguf', [], lambda name: None, {{'general.architecture': 'llama', **fields}})
print(tuple(fields.get('tokenizer.ggml.' + key) for key in ('model', 'pre', 'add_space_prefix')))
there = formats.gguf_tokenizer('t.gguf')
_tokenizers.write_files(_tokenizers.files_of(formats.load_gguf('t.gguf', True)[0], 't.gguf'), '.')
back = formats.load_tokenizer('.')
texts = [case['text'] for case in json.load(open({str(folder / 'expected.json')!r}))['cases']]
print(len(texts), sum(original.encode(t) == there.encode(t) for t in texts), sum(there.encode(t) == back.encode(t) for t in texts))
"""
    result = lull("-c", code)
    assert result.code == 0, result.err
    names, counts = result.out.splitlines()
    assert names == str(kind)
    count, kept, again = map(int, counts.split())
    assert count > 170 and (kept == count if same is None else kept >= same) and again == count


def read_gguf(path):
    """{name: (type, shape, bytes)} of a GGUF file, and its metadata keys."""
    data = path.read_bytes()
    at = 24
    (count, pairs) = struct.unpack_from("<QQ", data, 8)

    def text():
        nonlocal at
        (n,) = struct.unpack_from("<Q", data, at)
        at += 8 + n
        return data[at - n : at].decode()

    def value(kind):
        nonlocal at
        sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
        if kind == 8:
            return text()
        if kind == 9:
            (inner, n) = struct.unpack_from("<IQ", data, at)
            at += 12
            return [value(inner) for _ in range(n)]
        at += sizes[kind]
        return struct.unpack_from({4: "<I", 5: "<i", 6: "<f", 7: "<?"}.get(kind, "<B"), data, at - sizes[kind])[0]

    metadata = {}
    for _ in range(pairs):
        key = text()
        (kind,) = struct.unpack_from("<I", data, at)
        at += 4
        metadata[key] = value(kind)
    infos = []
    for _ in range(count):
        name = text()
        (rank,) = struct.unpack_from("<I", data, at)
        dims = struct.unpack_from(f"<{rank}Q", data, at + 4)
        (kind, offset) = struct.unpack_from("<IQ", data, at + 4 + 8 * rank)
        at += 16 + 8 * rank
        infos.append((name, kind, dims[::-1], offset))
    start = (at + 31) // 32 * 32
    return metadata, {name: (kind, shape, start + offset) for name, kind, shape, offset in infos}, data


def test_a_gguf_file_as_llama_cpp_expects_it(lull, tmp_path):
    path = tmp_path / "m.gguf"
    assert lull("convert", PLAIN, path, "--gguf-type", "Q8_0").code == 0
    metadata, infos, data = read_gguf(path)
    expected = {
        "general.architecture": "llama", "general.file_type": 7, "general.quantization_version": 2, "llama.block_count": 2,
        "llama.embedding_length": 64, "llama.attention.head_count": 4, "llama.attention.head_count_kv": 2, "llama.context_length": 2048,
        "llama.feed_forward_length": 128, "llama.rope.dimension_count": 16, "llama.rope.freq_base": 10000.0, "llama.vocab_size": 320,
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2,
    }
    assert {k: metadata[k] for k in expected} == expected
    assert len(metadata["tokenizer.ggml.tokens"]) == len(metadata["tokenizer.ggml.token_type"]) == 320
    assert {kind for kind, _, _ in infos.values()} == {0, 8} and infos["blk.0.attn_norm.weight"][0] == 0
    # The rows of q are in the order of the interleaved rotation, in exact blocks of 8 bits.
    w = np.array(tensors(PLAIN)["model.layers.0.self_attn.q_proj.weight"])
    w = w.reshape(4, 2, 8, 64).swapaxes(1, 2).reshape(64, 64)
    blocks = w.reshape(-1, 32)
    scale = (np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)).astype(np.float32)
    inverse = np.where(scale == 0, 0, np.float32(1) / scale)
    scaled = blocks * inverse
    codes = np.sign(scaled) * np.floor(np.abs(scaled) + np.float32(0.5))
    expected = np.concatenate([scale.astype(np.float16).view(np.uint8), codes.astype(np.int8).view(np.uint8)], axis=1)
    at = infos["blk.0.attn_q.weight"][2]
    assert data[at : at + expected.size] == expected.tobytes()


QUANTIZE = """
import mlx.core as mx
from lull import formats
x = mx.load('x.npy')
for kind in ('Q8_0', 'Q4_0', 'Q5_0', 'Q4_K'):
    weight = formats.quantize_blocks(x, kind)
    mx.save(kind + '.npy', mx.dequantize(weight))
    formats.save_tensors(kind + '.gguf', [('x', kind, x.shape)], lambda name: weight, {'general.architecture': 'llama'})
"""


def test_blocks(lull, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((24, 512)).astype(np.float32) * 0.05
    x[1], x[2, :256], x[3], x[4] = 0, 0, 1.5, np.abs(x[4])
    x[5], x[6] = rng.laplace(size=512), rng.standard_t(3, 512)
    np.save(tmp_path / "x.npy", x)
    assert lull("-c", QUANTIZE).code == 0
    # Q4_0 as the reference makes it: the value of the largest size becomes -8.
    blocks = x.reshape(-1, 32)
    most = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=1, keepdims=True), axis=1)
    scale = most / np.float32(-8)
    inverse = np.divide(np.float32(1), scale, out=np.zeros_like(scale), where=scale != 0)
    codes = np.trunc(blocks * inverse + np.float32(8.5)).clip(0, 15).astype(np.uint8)
    expected = np.concatenate([scale.astype(np.float16).view(np.uint8), codes[:, :16] | codes[:, 16:] << 4], axis=1)
    _, infos, data = read_gguf(tmp_path / "Q4_0.gguf")
    at = infos["x"][2]
    assert data[at : at + expected.size] == expected.tobytes()

    def error(kind, rows=slice(None)):
        return float(np.sqrt(((np.load(tmp_path / f"{kind}.npy") - x)[rows] ** 2).mean()))

    assert error("Q8_0") < error("Q5_0") < error("Q4_0")
    # With its minima and its search Q4_K is closer than Q4_0, by far where all values have one sign.
    assert error("Q4_K") < 0.85 * error("Q4_0") and error("Q4_K", 4) < 0.6 * error("Q4_0", 4)
    assert error("Q4_K", 1) == 0 and error("Q4_K", 3) < 2e-2
    # llama.cpp's own search leaves 0.0723 of the standard deviation on normal values.
    normal = np.load(tmp_path / "Q4_K.npy")[7:] - x[7:]
    assert 0.06 < normal.std() / 0.05 < 0.0745


def test_nothing_half_written(lull, tmp_path):
    """What fails, or is broken off, leaves neither the output nor a temporary file."""
    bad = tmp_path / "bad"
    subprocess.run(["cp", "-r", PLAIN, bad], check=True)
    text = json.loads((bad / "tokenizer.json").read_text())
    text["model"] = {"type": "Unigram", "vocab": [["a", 0.0], ["b", -1.0]], "unk_id": 0}
    text["pre_tokenizer"] = text["decoder"] = text["post_processor"] = None
    (bad / "tokenizer.json").write_text(json.dumps(text))
    before = sorted(p.name for p in tmp_path.iterdir())
    result = lull("convert", bad, "out.gguf")
    assert result.code == 1 and "a tokenizer of type 'Unigram' has no form in a GGUF file" in result.err
    code = """
from mlx_lm import convert
def stop(done, total):
    if done > total // 2:
        raise KeyboardInterrupt
for out in ('out', 'out.gguf'):
    try:
        convert(%r, out, progress=stop)
    except KeyboardInterrupt:
        print('stopped')
""" % str(PLAIN)
    assert lull("-c", code).out == "stopped\nstopped\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_wrong_arguments(printed, tmp_path):
    (tmp_path / "there").mkdir()
    lines = printed(f"""
P = {str(PLAIN)!r}
error(P, 'there')
error(P, 'no/where')
error('nothing', 'x')
error('mlx-community/x', 'y')
error(P, 'x', q_bits=7)
error(P, 'x', q_bits=4, q_group_size=48)
error(P, 'x', q_mode='q4')
error(P, 'x', q_mode='mxfp4', q_bits=8)
error(P, 'x', quantize=True, dequantize=True)
error(P, 'x', dequantize=True)
error({str(CODED)!r}, 'x', q_bits=8)
error(P, 'x', dtype='float8')
error(P, 'x', quant_predicate='mixed_1_2')
error(P, 'x.gguf', gguf_type='Q3_X')
error(P, 'x.gguf', q_bits=6)
error(P, 'x', gguf_type='F16')
error(P, 'x.gguf', q_mode='nvfp4')
error(P, 'x', upload_repo='me/x')
""")
    assert [line.split(": ", 1)[1] for line in lines] == [
        "'there' exists already: delete it, or name another path to write to",
        f"there is no directory '{tmp_path}/no' to write 'where' into",
        "no model at 'nothing': give a .gguf file or a directory with config.json",
        "no model at 'mlx-community/x': that looks like a name on the Hugging Face hub, and Lull never downloads; get it with "
        "'hf download mlx-community/x --local-dir x' and give 'x'",
        "'model.embed_tokens': affine codes have 2, 3, 4, 5, 6 or 8 bits and groups of 32, 64 or 128, not 7 bits and 64",
        f"{PLAIN}: nothing to quantise: no layer has rows that divide into groups of 48",
        "there is no q_mode 'q4'; known are affine, mxfp4, nvfp4, mxfp8",
        "'model.embed_tokens': mxfp4 has 4 bits and groups of 32, not 8 and 32",
        "choose either quantize or dequantize, not both",
        f"{PLAIN}: nothing to expand: the model is not quantised",
        f"{CODED}: nothing to quantise: every layer is quantised already; expand it first (dequantize)",
        "dtype must be one of float16, bfloat16, float32, not 'float8'",
        "there is no recipe 'mixed_1_2'; known are mixed_2_6, mixed_3_4, mixed_3_6, mixed_4_6",
        "gguf_type must be one of F32, F16, Q4_0, Q8_0, Q4_K, BF16, not 'Q3_X'",
        "a GGUF file is written with 4 or 8 bits, not 6",
        "gguf_type is for files that end with .gguf, and 'x' does not",
        "GGUF files have formats of their own: give gguf_type instead of q_mode, q_group_size and quant_predicate",
        "Lull never uploads; use 'hf upload' on the directory that convert writes",
    ]


@pytest.mark.skipif(not MODEL.exists(), reason="the model is not fetched yet")
def test_the_real_model(lull, tmp_path):
    """There and back, in little memory."""
    def memory(*arguments):
        script = f"import resource, subprocess\nsubprocess.run({[LULL, *map(str, arguments)]!r}, check=True)\n" \
                 "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return int(done.stdout.splitlines()[-1]) / 1024

    wide = memory("convert", MODEL, "wide", "--dtype", "float32")
    size = (tmp_path / "wide" / "model.safetensors").stat().st_size / 2**20
    assert size > 500 and wide < 0.75 * size
    assert memory("convert", "wide", "w4", "-q", "--dtype", "float16") < 0.4 * size
    assert memory("convert", "wide", "w.gguf", "--gguf-type", "Q8_0") < 0.4 * size
    answers = set()
    for model in (MODEL, "wide", "w.gguf"):
        result = lull("generate", "--model", model, "--prompt", "What is the capital of France? Answer briefly.", "-m", 8, "--no-verbose")
        answers.add(result.out)
    assert answers == {"The capital of France is Paris.\n"}
