"""Models, training and files against the upstream implementations' results (Tests/Models/*.lull)."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "fixtures"
OWN = ROOT / "Tests" / "Fixtures"
LULL = os.environ.get("LULL", str(ROOT / "lull"))
MODEL = ROOT / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"

SHARED_MODELS = [
    "llama_gqa", "llama_rope_linear", "llama_rope_llama3", "llama_rope_yarn", "llama_tied_bf16",
    "llama_sharded_f16", "llama_mlx_q4_g64", "llama_mlx_q8_g32", "llama_mlx_tied_q4", "llama_mlx_mixed",
    "llama_mlx_mxfp4", "mistral", "mistral_mlx_q4_g32",
]
SHARED_GGUF = [
    "llama_F16", "llama_BF16", "llama_Q4_0", "llama_Q4_1", "llama_Q5_0", "llama_Q5_1", "llama_Q8_0",
    "llama_Q2_K", "llama_Q3_K", "llama_Q4_K", "llama_Q4_K_M", "llama_Q5_K", "llama_Q6_K", "llama_IQ4_NL",
    "llama_IQ4_XS", "llama_tied_Q4_0_embdQ6_K", "llama_rope_linear_F16", "llama_rope_llama3_F16",
    "llama_spm_vocab_F16", "mistral_F16",
]


def lull(*arguments, env=None):
    run = subprocess.run(
        [LULL, *map(str, arguments)], capture_output=True, text=True, timeout=300, cwd=ROOT,
        env={**os.environ, **(env or {})},
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_small_models():
    lull("Tests/Models/logits.lull", OWN, "llama_gqa", "llama_mlx_tied_q4", "llama_Q4_1.gguf")


@pytest.mark.parametrize("level", ["0", "1"])
def test_small_models_on_lesser_processors(level):
    lull("Tests/Models/logits.lull", OWN, "llama_mlx_tied_q4", "llama_Q4_1.gguf", env={"LULL_SIMD": level})


def test_small_lora():
    lull("Tests/Models/lora.lull", OWN, "llama_f32_qv")


@pytest.mark.skipif(not SHARED.exists(), reason="the shared fixtures are not here")
def test_all_llama_models():
    lull("Tests/Models/logits.lull", SHARED, *SHARED_MODELS)


@pytest.mark.skipif(not SHARED.exists(), reason="the shared fixtures are not here")
def test_all_llama_gguf_types():
    lull("Tests/Models/logits.lull", SHARED, *[name + ".gguf" for name in SHARED_GGUF])


@pytest.mark.skipif(not SHARED.exists(), reason="the shared fixtures are not here")
def test_all_llama_lora():
    lull("Tests/Models/lora.lull", SHARED, "llama_f32_all", "llama_f32_qv", "llama_q4_qlora")


def test_real_model_greedy():
    """The first 24 greedy tokens agree with the float32 reference."""
    reference = SHARED / "real" / "smollm2_greedy.json"
    if not reference.exists():
        reference = OWN / "smollm2_greedy.json"
    lull("Tests/Models/greedy.lull", MODEL, reference)
