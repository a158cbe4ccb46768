"""The commands of language models, with the small real model (`make demo` fetches it)."""

import os
import time

import pytest

from conftest import LULL, ROOT
from terminal import Terminal

MODEL = ROOT / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"

pytestmark = pytest.mark.skipif(not MODEL.exists(), reason="the model is not fetched yet")


def run(lull, tmp_path, *cells):
    path = tmp_path / "cells.lull"
    path.write_text("".join(f"# %%\n{c}\n" for c in cells))
    result = lull("run", path, timeout=120)
    assert result.code == 0, result.err
    return result.out


def test_load_and_generate(lull, tmp_path):
    out = run(
        lull,
        tmp_path,
        f"model, tokenizer = %load {MODEL}",
        '%generate model "What is the capital of France? Answer briefly." --max-tokens 12',
        'question = "What is the capital of France? Answer briefly."',
        "text = generate(model, question, max_tokens=12, verbose=False)\ntext",
        "%generate model $question --max-tokens 12",
    )
    lines = out.splitlines()
    assert lines[0] == "=" * 10 and "Paris" in lines[1]
    assert any(line.startswith("Prompt: ") and line.endswith("tokens-per-sec") for line in lines)
    assert any(line.startswith("Generation: ") for line in lines)
    assert any(line.startswith("Peak memory: ") for line in lines)
    # The command and the function are the same.
    assert repr(lines[1]) in lines or lines.count(lines[1]) == 2


def test_a_seed_repeats_the_text(lull, tmp_path):
    out = run(
        lull,
        tmp_path,
        f"model, _ = load({str(MODEL)!r})",
        "a = generate(model, 'Once', max_tokens=8, temp=1.0, seed=3, raw=True, verbose=False)\n"
        "b = generate(model, 'Once', max_tokens=8, temp=1.0, seed=3, raw=True, verbose=False)\n"
        "(a == b, len(a) > 0)",
    )
    assert out == "(True, True)\n"


def test_finetune_lowers_the_loss(lull, tmp_path):
    (tmp_path / "data.txt").write_text("the cat sat on the mat and the dog sat on the log. " * 40)
    out = run(
        lull,
        tmp_path,
        f"model, tokenizer = load({str(MODEL)!r})",
        "history = %finetune model data.txt --iters 6 --batch-size 1 --max-seq-length 32 --num-layers 2 "
        "--learning-rate 1e-3 --steps-per-report 2",
        "history.losses[-1] < history.losses[0]",
    )
    assert out.splitlines()[0].startswith("Trainable parameters: ")
    assert out.splitlines()[-1] == "True"


def test_wrong_arguments(lull, tmp_path):
    path = tmp_path / "cells.lull"
    path.write_text(f"model, tok = load({str(MODEL)!r})\ngenerate(model, 'x', max_tokens=0)\n")
    result = lull("run", path)
    assert result.code == 1 and "ValueError: max_tokens must be a positive integer, got 0" in result.err
    path.write_text("generate(3, 'x')\n")
    assert "TypeError: expected a model that load returned, not int" in lull("run", path).err


def test_interrupt_of_a_generation_keeps_the_session(tmp_path):
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "TERM": "xterm", "INPUTRC": "/dev/null"}
    t = Terminal([LULL], env, tmp_path)
    try:
        t.expect(">>> ")
        t.line(f"model, tok = load({str(MODEL)!r})")
        t.expect(">>> ")
        # A raw beginning goes on for longer than the test waits.
        t.line("%generate model 'one two three four five six seven one two three four' --max-tokens 2000 --raw")
        t.expect("==========")
        time.sleep(0.7)
        t.interrupt()
        t.expect("Generation: ", timeout=3)  # the figures of what there is
        t.expect("Interrupted", timeout=3)
        t.expect(">>> ")
        assert t.ask("1 + 1") == "2"
        t.line("%generate model 'Say yes.' --max-tokens 2")
        t.expect("Peak memory")
        t.expect(">>> ")
    finally:
        t.close()
