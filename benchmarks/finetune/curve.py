"""The loss of 50 LoRA steps on the real model, in Lull and in mlx-lm: the same initial adapters, batches and optimizer.

usage: curve.py LULL MODEL.gguf TEXT [--steps 50] [--batch 4] [--length 256]     (with mlx-lm installed)

mlx-lm reads the model as a directory of float32 weights, Lull that directory, the GGUF file itself, and a directory in MLX's 4 bits.
Prints the largest relative difference between the curves, and the curves.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx_lm.tuner.trainer import default_loss
from mlx_lm.tuner.utils import linear_to_lora_layers
from mlx_lm.utils import load_model

PROGRAM = """
import json, os, sys
import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx_lm import load
from mlx_lm.tuner.adapters import load_adapter_weights, save_trained_weights
from mlx_lm.tuner.trainer import default_loss
from mlx_lm.tuner.utils import linear_to_lora_layers
folder, path, text, steps, rows, length = sys.argv[1], sys.argv[2], sys.argv[3], *map(int, sys.argv[4:7])
model, tokenizer = load(path)
model.freeze()
mx.random.seed(7)
linear_to_lora_layers(model, -1, {"rank": 8, "scale": 20.0, "dropout": 0.0})
start = folder + "/start.safetensors"
if os.path.exists(start):
    load_adapter_weights(model, start)
else:
    save_trained_weights(start, model)
tokens = tokenizer.encode(open(text).read())
plan = [[[tokens[((i * rows + r) * 97 + j) % len(tokens)] for j in range(length + 1)] for r in range(rows)] for i in range(steps)]
json.dump(plan, open(folder + "/plan.json", "w"))
model.train()
optimizer = optim.Adam(1e-4)
step = nn.value_and_grad(model, default_loss)
losses = []
for batch in plan:
    (loss, _), grads = step(model, mx.array(batch), mx.array([[0, length]] * rows))
    optimizer.update(model, grads)
    mx.eval(model.trainable_parameters(), optimizer.state, loss)
    losses.append(loss.item())
print(json.dumps(losses))
"""


def theirs(model_path, folder, length):
    model, _ = load_model(Path(model_path))
    model.freeze()
    linear_to_lora_layers(model, len(model.layers), {"rank": 8, "scale": 20.0, "dropout": 0.0})
    model.load_weights(f"{folder}/start.safetensors", strict=False)
    model.train()
    optimizer = optim.Adam(1e-4)
    step = nn.value_and_grad(model, default_loss)
    losses = []
    for batch in json.loads(Path(folder, "plan.json").read_text()):
        (loss, _), grads = step(model, mx.array(batch), mx.array([[0, length]] * len(batch)))
        optimizer.update(model, grads)
        mx.eval(model.trainable_parameters(), optimizer.state, loss)
        losses.append(loss.item())
    return losses


parser = argparse.ArgumentParser()
parser.add_argument("lull")
parser.add_argument("model")
parser.add_argument("text")
parser.add_argument("--steps", type=int, default=50)
parser.add_argument("--batch", type=int, default=4)
parser.add_argument("--length", type=int, default=256)
args = parser.parse_args()

with tempfile.TemporaryDirectory() as folder:
    floats, codes = f"{folder}/floats", f"{folder}/codes"
    subprocess.run([args.lull, "convert", args.model, floats, "--dtype", "float32"], check=True, capture_output=True)
    subprocess.run([args.lull, "convert", args.model, codes, "--q-bits", "4"], check=True, capture_output=True)
    Path(folder, "program.lull").write_text(PROGRAM)
    numbers = [args.text, str(args.steps), str(args.batch), str(args.length)]

    def ours(path):
        run = subprocess.run(
            [args.lull, f"{folder}/program.lull", folder, str(path), *numbers], check=True, capture_output=True, text=True
        )
        return json.loads(run.stdout.splitlines()[-1])

    curves = {"Lull, float32": ours(floats), "Lull, GGUF file": ours(args.model), "Lull, MLX 4 bits": ours(codes)}
    for name, path in (("mlx-lm, float32", floats), ("mlx-lm, MLX 4 bits", codes)):
        curves[name] = theirs(path, folder, args.length)
    for name, losses in curves.items():
        print(f"{name:22}", " ".join(f"{x:.4f}" for x in losses[:: max(1, args.steps // 10)]), f"... {losses[-1]:.4f}")
    for ours_name, their_name in (
        ("Lull, float32", "mlx-lm, float32"), ("Lull, GGUF file", "mlx-lm, float32"), ("Lull, MLX 4 bits", "mlx-lm, MLX 4 bits"),
    ):
        worst = max(abs(a - b) / abs(b) for a, b in zip(curves[ours_name], curves[their_name]))
        print(f"{ours_name} against {their_name}: largest relative difference {worst:.2e}")
