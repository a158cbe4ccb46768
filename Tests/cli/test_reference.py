"""Models, training and files against the upstream implementations' results (Tests/Models/*.lull)."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "fixtures"
OWN = ROOT / "Tests" / "Fixtures"
LULL = os.environ.get("LULL", str(ROOT / "lull"))
MODEL = ROOT / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"

# Every model there is: folders and GGUF files.
SHARED_MODELS = sorted(p.name for p in (SHARED / "models").glob("*") if p.is_dir())
SHARED_GGUF = sorted(p.name for p in (SHARED / "gguf").glob("*.gguf"))


def lull(*arguments, env=None):
    run = subprocess.run(
        [LULL, *map(str, arguments)], capture_output=True, text=True, timeout=300, cwd=ROOT,
        env={**os.environ, **(env or {})},
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_small_models():
    lull("Tests/Models/logits.lull", OWN, *sorted(p.name for p in (OWN / "models").iterdir()), *sorted(p.name for p in (OWN / "gguf").glob("*.gguf")))


def test_caches():
    lull("Tests/Models/caches.lull", OWN / "gguf" / "llama_Q4_1.gguf")


@pytest.mark.parametrize("level", ["0", "1"])
def test_small_models_on_lesser_processors(level):
    lull("Tests/Models/logits.lull", OWN, "llama_mlx_tied_q4", "llama_Q4_1.gguf", env={"LULL_SIMD": level})


def test_small_lora():
    lull("Tests/Models/lora.lull", OWN, "llama_f32_qv")


def load_error(path):
    """The last line of what loading a model says."""
    run = subprocess.run([LULL, "-c", f"from mlx_lm import load\nload({str(path)!r})"], capture_output=True, text=True, timeout=60)
    assert run.returncode == 1, run.stdout
    return [line for line in run.stderr.splitlines() if "Error: " in line][-1]


@pytest.mark.parametrize("changes, expected", [
    ({"model_type": "bert"}, "unknown model architecture 'bert'; known are gemma, gemma2, gemma3_text, llama, mistral, mixtral, "
     "olmo2, phi, phi3, qwen2, qwen3, starcoder2"),
    ({"rms_norm_eps": None}, "the configuration has no 'rms_norm_eps'"),
    ({"hidden_size": "64"}, "'hidden_size' must be a positive number, not '64'"),
    ({"num_key_value_heads": 3}, "num_attention_heads (4) is no multiple of num_key_value_heads (3)"),
    ({"rope_scaling": {"type": "linear"}}, "rope_scaling of type 'linear' has no 'factor'"),
    ({"rope_scaling": {"type": "magic"}}, "rope scaling 'magic' is not supported; known are default, linear, llama3, yarn and longrope"),
    ({"layer_types": ["full_attention"]}, "layer_types has 1 entries for 2 layers"),
])
def test_errors_of_configurations(changes, expected, tmp_path):
    shutil.copytree(OWN / "models" / "llama_gqa", tmp_path / "m")
    config = tmp_path / "m" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **changes}))
    assert load_error(tmp_path / "m") == f"ValueError: {config}: {expected}"


def test_errors_of_weights(tmp_path):
    model = tmp_path / "m"
    shutil.copytree(OWN / "models" / "llama_gqa", model)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "intermediate_size": 100}))
    assert load_error(model) == (
        f"ValueError: {model}: expected shape (100, 64) but received shape (128, 64) for parameter model.layers.0.mlp.gate_proj.weight"
        "; the weights are not those of config.json: copy both again from one place"
    )
    (model / "config.json").write_text(json.dumps(config))
    weights = model / "model.safetensors"
    program = f"import mlx.core as mx\nw = dict(mx.load({str(weights)!r}))\nmx.eval(w)\n"
    less = f"del w['model.layers.1.self_attn.k_proj.weight']\nmx.save_safetensors({str(tmp_path / 'new.safetensors')!r}, w)\n"
    subprocess.run([LULL, "-c", program + less], check=True)
    os.replace(tmp_path / "new.safetensors", weights)
    assert load_error(model) == (
        f"ValueError: {model}: missing 1 parameters: model.layers.1.self_attn.k_proj.weight"
        "; the weights are not those of config.json: copy both again from one place"
    )

    shutil.copytree(OWN / "models" / "llama_mlx_tied_q4", tmp_path / "q")
    config = json.loads((tmp_path / "q" / "config.json").read_text())
    del config["quantization"]
    (tmp_path / "q" / "config.json").write_text(json.dumps(config))
    assert load_error(tmp_path / "q").endswith("the weights are quantised, but there is no 'quantization' that says how")


@pytest.mark.parametrize("old, new, expected", [
    (b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0blama", "unknown model architecture 'blama'; known are gemma,"),
    (b"llama.block_count", b"llama.block_Count", "the GGUF file has no metadata field 'llama.block_count'"),
    (b"blk.1.attn_q.weight", b"blk.1.attn_Q.weight", "no place for tensor 'blk.1.attn_Q.weight' in a llama model"),
    (b"blk.1.attn_q.weight", b"blk.1.attn_k.weight", "twice"),
    (b"blk.1.attn_q.weight", b"blk.1.attn_o.weight", "no place for tensor"),
    (b"blk.1.attn_norm.weight", b"blk.7.attn_norm.weight", "tensor for 'model.layers.7.input_layernorm.weight', which the model does not have"),
    (b"output_norm.weight", b"attn_k_norm.weight", "no place for tensor 'attn_k_norm.weight' in a llama model"),
])
def test_errors_of_gguf_files(old, new, expected, tmp_path):
    whole = (OWN / "gguf" / "llama_Q4_1.gguf").read_bytes()
    assert old in whole
    (tmp_path / "m.gguf").write_bytes(whole.replace(old, new, 1))
    message = load_error(tmp_path / "m.gguf")
    assert message.startswith(f"ValueError: {tmp_path / 'm.gguf'}: ") and expected in message


@pytest.mark.skipif(not SHARED.exists(), reason="the shared fixtures are not here")
def test_gguf_names():
    lull("Tests/Models/gguf_names.lull", SHARED)


@pytest.mark.skipif(not SHARED.exists(), reason="the shared fixtures are not here")
def test_all_models():
    assert len(SHARED_MODELS) >= 30
    lull("Tests/Models/logits.lull", SHARED, *SHARED_MODELS)


@pytest.mark.skipif(not SHARED.exists(), reason="the shared fixtures are not here")
def test_all_gguf_files():
    assert len(SHARED_GGUF) >= 28
    lull("Tests/Models/logits.lull", SHARED, *SHARED_GGUF)


@pytest.mark.skipif(not SHARED.exists(), reason="the shared fixtures are not here")
def test_all_llama_lora():
    lull("Tests/Models/lora.lull", SHARED, "llama_f32_all", "llama_f32_qv", "llama_q4_qlora")


def test_real_model_greedy():
    """The first 24 greedy tokens agree with the float32 reference."""
    reference = SHARED / "real" / "smollm2_greedy.json"
    if not reference.exists():
        reference = OWN / "smollm2_greedy.json"
    lull("Tests/Models/greedy.lull", MODEL, reference)
