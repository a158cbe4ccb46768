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
