"""Fine-tuning by the command line and in programs: data, checkpoints, failures, and what becomes of the adapters."""

import json
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from test_examples import LULL

FIXTURES = Path(__file__).resolve().parents[1] / "Fixtures"
DIRECTORY = FIXTURES / "models" / "llama_gqa"
GGUF = FIXTURES / "gguf" / "llama_Q4_1.gguf"
TIMES = ("val_time", "iterations_per_second", "tokens_per_second", "peak_memory")


def data_of(folder, train=31, valid=6):
    folder.mkdir(exist_ok=True)
    numbers = random.Random(1)
    for name, count in (("train", train), ("valid", valid), ("test", valid)):
        lines = [
            json.dumps({"text": " ".join(numbers.choice("abc def ghi jk l".split()) for _ in range(numbers.randint(3, 20)))})
            for _ in range(count)
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def finetune(tmp_path, *options, model=DIRECTORY, data=None, fails=False):
    data = data_of(tmp_path / "data") if data is None else data
    run = subprocess.run(
        [LULL, "finetune", "--model", str(model), "--data", str(data), "--num-layers", "-1", *map(str, options)],
        capture_output=True, text=True, cwd=tmp_path, timeout=120,
    )
    assert (run.returncode != 0) == fails, run.stdout + run.stderr
    return run.stderr if fails else run.stdout


def program(tmp_path, source, fails=False):
    path = tmp_path / "program.lull"
    path.write_text(source)
    run = subprocess.run([LULL, str(path)], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert (run.returncode != 0) == fails, run.stdout + run.stderr
    return run.stderr if fails else run.stdout


def log_of(folder):
    records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in record.items() if k not in TIMES} for record in records]


STEPS = (
    "--iters", 40, "--batch-size", 2, "--steps-per-report", 5, "--steps-per-eval", 15, "--save-every", 7, "--learning-rate", 1e-3,
    "--dropout", 0.1, "--grad-accumulation-steps", 2,
)


def test_killed_and_resumed_runs_are_the_same(tmp_path):
    start = time.perf_counter()
    finetune(tmp_path, *STEPS, "--adapter-path", "whole")
    length = time.perf_counter() - start
    whole = log_of(tmp_path / "whole")
    assert [r["iteration"] for r in whole if r["kind"] == "step"] == list(range(1, 41))
    moments = random.Random(5)
    for run in range(3):
        folder = tmp_path / f"killed{run}"
        command = [
            LULL, "finetune", "--model", str(DIRECTORY), "--data", "data", "--num-layers", "-1", *map(str, STEPS),
            "--adapter-path", folder.name,
        ]
        for _ in range(4):
            resume = ["--resume"] if (folder / "checkpoint.safetensors").exists() else []
            process = subprocess.Popen(command + resume, cwd=tmp_path, stdout=subprocess.DEVNULL)
            try:
                process.wait(timeout=moments.uniform(0.2, 0.9) * length)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        resume = ["--resume"] if (folder / "checkpoint.safetensors").exists() else []
        subprocess.run(command + resume, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
        assert log_of(folder) == whole
        assert (folder / "adapters.safetensors").read_bytes() == (tmp_path / "whole" / "adapters.safetensors").read_bytes()


def test_interrupt_saves(tmp_path):
    data = data_of(tmp_path / "data")
    command = [
        LULL, "finetune", "--model", str(DIRECTORY), "--data", str(data), "--iters", "100000", "--batch-size", "2",
        "--save-every", "100000", "--steps-per-eval", "100000", "--steps-per-report", "1",
    ]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("Iter 3:"):
            break
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    assert process.wait(timeout=20) == 130
    done = int(rest.split("Interrupted after iteration ")[1].split(";")[0])
    assert done >= 3
    out = subprocess.run(
        command[:6] + ["--iters", str(done + 1), "--batch-size", "2", "--resume"], cwd=tmp_path, capture_output=True, text=True,
        timeout=60,
    )
    assert f"Resuming after iteration {done}" in out.stdout and out.returncode == 0, out.stderr


def test_resume_with_other_settings_is_refused(tmp_path):
    finetune(tmp_path, "--iters", 2, "--batch-size", 2)
    error = finetune(tmp_path, "--iters", 4, "--batch-size", 3, "--resume", fails=True)
    assert "had other settings: batch_size was 2, now 3" in error
    error = finetune(tmp_path, "--iters", 4, "--rank", 4, "--batch-size", 2, "--resume", fails=True)
    assert "trained other weights" in error
    error = finetune(tmp_path, "--iters", 4, "--resume", "--adapter-path", "nowhere", fails=True)
    assert "there is no checkpoint to resume from" in error


def test_settings_from_a_file(tmp_path):
    (tmp_path / "settings.yaml").write_text(
        "iters: 3\nbatch_size: 2\nlora_parameters:\n  rank: 3\n  scale: 10.0\n  keys: [self_attn.q_proj]\noptimizer: adamw\n"
        "optimizer_config:\n  adamw:\n    weight_decay: 0.1\nlr_schedule:\n  name: cosine_decay\n  warmup: 2\n"
        "  arguments: [1e-4, 10]\n"
    )
    finetune(tmp_path, "-c", "settings.yaml", "--iters", 4)
    config = json.loads((tmp_path / "adapters" / "adapter_config.json").read_text())
    assert (config["iters"], config["batch_size"], config["lora_parameters"]["rank"]) == (4, 2, 3)
    rates = [r["learning_rate"] for r in log_of(tmp_path / "adapters") if r["kind"] == "step"]
    assert rates == pytest.approx([0, 5e-5, 1e-4, 1e-4], abs=3e-6)
    (tmp_path / "wrong.yaml").write_text("iterations: 3\n")
    assert "wrong.yaml: there is no setting iterations" in finetune(tmp_path, "-c", "wrong.yaml", fails=True)
    (tmp_path / "wrong.yaml").write_text("iters: 3\n  x: [1")
    assert "wrong.yaml, line 2" in finetune(tmp_path, "-c", "wrong.yaml", fails=True)


def test_loss_that_is_not_finite(tmp_path):
    error = finetune(tmp_path, "--iters", 20, "--batch-size", 4, "--learning-rate", 1e30, fails=True)
    assert "not finite in 3 batches in a row" in error and "lower the learning rate" in error
    steps = [r for r in log_of(tmp_path / "adapters") if r["kind"] == "step"]
    assert [r["loss"] is None for r in steps][-3:] == [True] * 3
    out = program(
        tmp_path,
        "from mlx_lm import load\nfrom mlx_lm.lora import finetune\n"
        f"model, t = load({str(DIRECTORY)!r})\n"
        "try:\n    finetune(model, 'data', iters=9, batch_size=4, learning_rate=1e30, adapter_path=None)\n"
        "except ValueError:\n    print('ended')\n",
    )
    assert "the batch (data/train.jsonl, line " in out and out.endswith("ended\n")


def test_early_stopping_and_the_best_adapters(tmp_path):
    # The rate falls to zero: after that no validation is better than the one before.
    (tmp_path / "rate.yaml").write_text("lr_schedule:\n  name: cosine_decay\n  arguments: [0.01, 20]\n")
    out = finetune(
        tmp_path, "--iters", 200, "--batch-size", 4, "--config", "rate.yaml", "--steps-per-eval", 2, "--early-stopping", 3,
    )
    assert "Stopping early: no better validation loss than" in out
    values = {r["iteration"]: r["val_loss"] for r in log_of(tmp_path / "adapters") if r["kind"] == "val"}
    best = min(values, key=values.get)
    assert 3 < len(values) < 20 and values[max(values)] >= values[best]
    if best:
        assert (tmp_path / "adapters" / "best_adapters.safetensors").exists()


BAD_DATA = [
    ('{"text": "a"}\n{"text": \n', "line 2: Expecting value"),
    ('{"text": "a"}\n{"body": "b"}\n', "line 2: expected 'messages', or 'prompt' and 'completion', or 'text'; it has 'body'"),
    ('{"text": "a"}\n\n{"text": 3}\n', "line 3: 'text' must be a string, not 3"),
    ('{"text": "a"}\n{"messages": []}\n', "line 2: a record of another kind than the first"),
    ('"text"\n', "line 1: expected an object, not str"),
    ("", "has no records to train on"),
    ('{"messages": [{"content": "x"}]}\n', "line 1: 'messages' must be a list of messages with 'role' and 'content'"),
]


@pytest.mark.parametrize("text, message", BAD_DATA)
def test_bad_records(tmp_path, text, message):
    path = tmp_path / "train.jsonl"
    path.write_text(text)
    assert message in finetune(tmp_path, "--iters", 1, data=path, fails=True)


def test_what_is_cut_and_what_does_not_count_is_said(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps({"prompt": "a b c " * n, "completion": "d"}) + "\n" for n in (1, 2, 60)))
    out = finetune(tmp_path, "--iters", 2, "--batch-size", 2, "--max-seq-length", 60, "--mask-prompt", data=path)
    assert "1 of 3 sequences are longer than 60 tokens and are cut" in out
    assert "1 of 3 sequences have no token that counts in the loss (the first is" in out
    error = finetune(tmp_path, "--iters", 2, "--batch-size", 2, "--max-seq-length", 4, "--mask-prompt", data=path, fails=True)
    assert "no token counts in the loss" in error


TRAINED = """
import mlx.core as mx
import mlx.nn as nn
from mlx_lm import load
from mlx_lm.lora import finetune
from mlx_lm.fuse import fuse
from mlx_lm.tuner.adapters import export_peft
from mlx_lm.tuner.utils import fuse_lora_layers
ids = mx.array([[5, 6, 40, 7, 100, 12]])


def logits(model):
    model.eval()
    with nn.activation_bits(None):
        return model(ids)


def apart(a, b):
    return (mx.abs(a - b).max() / mx.abs(b).max()).item()


def trained(path, kind):
    model, tokenizer = load(path)
    finetune(model, 'data', iters=6, batch_size=2, rank=4, learning_rate=1e-2, fine_tune_type=kind, num_layers=-1, report=None,
             adapter_path='adapters-' + kind)
    return model
"""


@pytest.mark.parametrize("kind", ["lora", "dora", "full"])
def test_fused_directory(tmp_path, kind):
    data_of(tmp_path / "data")
    out = program(
        tmp_path,
        TRAINED + f"model = trained({str(DIRECTORY)!r}, {kind!r})\nplain = logits(load({str(DIRECTORY)!r})[0])\n"
        f"fuse({str(DIRECTORY)!r}, 'adapters-{kind}', 'fused')\nfuse({str(DIRECTORY)!r}, 'adapters-{kind}', 'fused.gguf', gguf_type='F32')\n"
        "a = logits(model)\nprint(apart(a, plain) > 0.05, apart(logits(load('fused')[0]), a) < 1e-4)\n"
        "print(apart(logits(load('fused.gguf')[0]), a) < 1e-4)\n"
        f"again, _ = load({str(DIRECTORY)!r}, adapter_path='adapters-{kind}')\nprint(apart(logits(again), a) < 1e-5)\n",
    )
    assert out == "True True\nTrue\nTrue\n"


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_adapters_of_a_gguf_file_fit_the_same_model_elsewhere(tmp_path, kind):
    """A llama file has the rows of q and k in another order than a directory."""
    data_of(tmp_path / "data")
    out = program(
        tmp_path,
        TRAINED + f"model = trained({str(GGUF)!r}, {kind!r})\nfrom mlx_lm import convert\n"
        f"convert({str(GGUF)!r}, 'directory', dtype='float32')\na = logits(model)\n"
        f"other, _ = load('directory', adapter_path='adapters-{kind}')\nprint(apart(logits(other), a) < 1e-4)\n"
        f"fuse({str(GGUF)!r}, 'adapters-{kind}', 'fused.gguf', gguf_type='F32')\nprint(apart(logits(load('fused.gguf')[0]), a) < 1e-4)\n"
        f"fuse({str(GGUF)!r}, 'adapters-{kind}', 'as-it-was.gguf')\nnear, _ = load('as-it-was.gguf')\n"
        "print(near.layers[0].self_attn.q_proj, apart(logits(near), a) < 0.1)\n"
        "fuse('directory', 'adapters-" + kind + "', 'fused')\nprint(apart(logits(load('fused')[0]), a) < 1e-4)\n"
        f"export_peft('adapters-{kind}', 'peft')\npeft, _ = load('directory', adapter_path='peft')\nprint(apart(logits(peft), a) < 1e-4)\n",
    )
    assert out == (
        "True\nTrue\nBlockLinear(input_dims=128, output_dims=128, bias=False, format=Q8_0) True\nTrue\nTrue\n"
    )


def test_fused_mlx_codes_are_packed_again(tmp_path):
    data_of(tmp_path / "data")
    out = program(
        tmp_path,
        TRAINED + f"from mlx_lm import convert\nconvert({str(GGUF)!r}, 'q8', q_bits=8, q_group_size=32)\n"
        "model = trained('q8', 'lora')\na = logits(model)\nfuse('q8', 'adapters-lora', 'fused')\nfused, _ = load('fused')\n"
        "print(fused.layers[0].self_attn.q_proj)\nb = logits(fused)\nprint(apart(b, logits(fuse_lora_layers(model))) < 5e-3, apart(b, a) < 0.05)\n"
        "fuse('q8', 'adapters-lora', 'plain', dequantize=True)\nplain, _ = load('plain')\n"
        "print(type(plain.layers[0].self_attn.q_proj).__name__, apart(logits(plain), a) < 1e-2)\n",
    )
    assert out == (
        "QuantizedLinear(input_dims=128, output_dims=128, bias=False, group_size=32, bits=8, mode=affine)\nTrue True\nLinear True\n"
    )


def test_adapters_that_do_not_fit(tmp_path):
    finetune(tmp_path, "--iters", 1, "--batch-size", 2)
    error = program(tmp_path, f"from mlx_lm import load\nload({str(GGUF)!r}, adapter_path='adapters')\n", fails=True)
    assert "adapters/adapters.safetensors does not fit the model:" in error and "shape (64, 8), but the model's is (128, 8)" in error
    run = subprocess.run([LULL, "fuse", str(GGUF), "adapters"], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 1 and "is for a weight of shape" in run.stderr and not (tmp_path / "fused_model").exists()


def test_full_needs_weights_that_are_no_codes(tmp_path):
    error = finetune(tmp_path, "--method", "full", "--iters", 1, model=GGUF, fails=True)
    assert "the weights of this model are quantised" in error
    out = finetune(tmp_path, "--method", "full", "--iters", 2, "--batch-size", 2, "--test")
    assert "Test loss" in out


def test_data_of_a_cell(tmp_path):
    out = program(
        tmp_path,
        "import mlx.core as mx\nfrom mlx_lm import load\nfrom mlx_lm.lora import finetune\n"
        f"model, t = load({str(DIRECTORY)!r})\n"
        "for data in (['a b c', 'd e f'], [[1, 2, 3], [4, 5, 6]], mx.array([[1, 2, 3], [4, 5, 6]]), [{'text': 'a b'}] * 2,\n"
        "             {'train': [[1, 2, 3]] * 2, 'valid': [[4, 5]], 'test': [[1, 2]]}):\n"
        "    model, t = load(" + repr(str(DIRECTORY)) + ")\n"
        "    h = finetune(model, data, iters=2, batch_size=2, adapter_path=None, report=None, num_layers=1)\n"
        "    print(len(h.losses), len(h.val_losses))\n",
    )
    assert out == "1 0\n1 0\n1 0\n1 0\n1 2\n"


def test_the_lesson_in_a_short_form(tmp_path):
    """notebooks/finetune.ipynb with the real model, a few iterations and questions."""
    root = Path(__file__).resolve().parents[2]
    model = root / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    if not model.exists():
        pytest.skip("the model is not there")
    out = tmp_path / "done.ipynb"
    run = subprocess.run(
        [
            LULL, "run", str(root / "notebooks" / "finetune.ipynb"), "-o", str(out), "-p", "model_path", str(model), "-p", "data",
            str(root / "notebooks" / "data" / "orders"), "-p", "iters", "3", "-p", "questions", "3",
        ],
        capture_output=True, text=True, cwd=tmp_path, timeout=300,
    )
    assert run.returncode == 0, run.stderr
    notebook = json.loads(out.read_text())
    printed = ["".join("".join(o.get("text", "")) for o in cell["outputs"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert "0% of 3 are right" in printed[4]
    assert "Iter 3: Train loss" in printed[5] and (tmp_path / "adapters-orders" / "adapters.safetensors").exists()
    assert "before" in printed[-1] and "after, of 3 sentences" in printed[-1]


def test_checkpointing_changes_memory_and_nothing_else(tmp_path):
    out = program(tmp_path, f"""
import mlx.core as mx
import mlx.optimizers as optim
from mlx_lm import load
from mlx_lm.tuner.trainer import TrainingArgs, train
from mlx_lm.tuner.utils import linear_to_lora_layers

def run(checkpoint):
    model, _ = load({str(DIRECTORY)!r})
    mx.random.seed(0)
    model.freeze()
    linear_to_lora_layers(model, -1, {{"rank": 8, "scale": 20.0, "dropout": 0.2}})
    rows = [([(7 * i + 31 * j * j + 5) % 300 for i in range(129)], 0) for j in range(8)]
    mx.reset_peak_memory()
    args = TrainingArgs(iters=5, batch_size=8, max_seq_length=129, steps_per_report=1, adapter_file=None, grad_checkpoint=checkpoint)
    history = train(model, optim.Adam(1e-3), rows, args=args, report=None)
    return history.losses, mx.get_peak_memory()

plain, checkpointed = run(False), run(True)
print(plain[0] == checkpointed[0], checkpointed[1] < 0.8 * plain[1], plain[1], checkpointed[1])
""")
    assert out.startswith("True True"), out
