"""Fine-tuning against mlx-lm: the losses of each step from the same adapters and batches, the adapters after them, and the logits.

usage: finetune.py LULL FIXTURES [NAME...]     (with mlx-lm installed)
"""

import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm.tuner.trainer import default_loss
from mlx_lm.tuner.utils import linear_to_lora_layers
from mlx_lm.utils import load_model

OURS = """
import json, os
import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx_lm import load
from mlx_lm.lora import _prepare, settings_of
from mlx_lm.tuner.trainer import default_loss
from mlx_lm.tuner.adapters import load_adapter_weights, save_trained_weights
plan = json.load(open({plan!r}))
model, _ = load(plan["model"])
mx.random.seed(7)
_prepare(settings_of({{"fine_tune_type": plan["kind"], "num_layers": plan["layers"], "rank": 4, "scale": 2.0}}), model)
model.train()
save_trained_weights({folder!r} + "/start.safetensors", model)
optimizer = optim.AdamW(1e-3)
step = nn.value_and_grad(model, default_loss)
batch, lengths = mx.array(plan["batch"]), mx.array(plan["lengths"])
losses = []
for i in range(plan["steps"]):
    (loss, count), grads = step(model, batch, lengths)
    losses.append(loss.item())
    if i == 0:
        first = grads
    optimizer.update(model, grads)
    mx.eval(model.trainable_parameters(), optimizer.state)
save_trained_weights({folder!r} + "/end.safetensors", model)
model.eval()
with nn.activation_bits(None):
    logits = model(batch)[:, -1]
mx.save_safetensors({folder!r} + "/logits.safetensors", {{"logits": logits.astype(mx.float32)}})
json.dump(losses, open({folder!r} + "/losses.json", "w"))
"""


def theirs(plan, start):
    # In float32, as Lull computes.
    model, _ = load_model(Path(plan["model"]))
    model.apply(lambda x: x.astype(mx.float32) if mx.issubdtype(x.dtype, mx.floating) else x)
    model.freeze()
    if plan["kind"] == "full":
        for layer in model.layers[-plan["layers"] :]:
            layer.unfreeze()
    else:
        linear_to_lora_layers(
            model, plan["layers"], {"rank": 4, "scale": 2.0, "dropout": 0.0}, use_dora=plan["kind"] == "dora"
        )
    model.load_weights(start, strict=False)
    model.train()
    optimizer = optim.AdamW(1e-3)
    step = nn.value_and_grad(model, default_loss)
    batch, lengths = mx.array(plan["batch"]), mx.array(plan["lengths"])
    losses = []
    for _ in range(plan["steps"]):
        (loss, _), grads = step(model, batch, lengths)
        losses.append(loss.item())
        optimizer.update(model, grads)
        mx.eval(model.trainable_parameters(), optimizer.state)
    model.eval()
    return losses, dict(tree_flatten(model.trainable_parameters())), model(batch)[:, -1].astype(mx.float32)


def relative(found, reference):
    names = sorted(reference)
    d = sum(mx.square(found[k].astype(mx.float32) - reference[k].astype(mx.float32)).sum().item() for k in names)
    n = sum(mx.square(reference[k].astype(mx.float32)).sum().item() for k in names)
    return (d / n) ** 0.5


def main():
    lull, fixtures = sys.argv[1:3]
    names = sys.argv[3:] or [
        "llama_gqa", "mistral", "qwen2", "phi", "gemma2", "mixtral", "olmo2", "phi3", "llama_mlx_q4_g64", "llama_mlx_mixed"
    ]
    failed = 0
    for name in names:
        for kind in ("lora", "dora", "full"):
            if kind == "full" and "mlx" in name or kind == "dora" and name == "mixtral":
                continue
            rows = [[(7 * i + 3 * j * j) % 300 for i in range(20)] for j in range(3)]
            plan = {
                "model": f"{fixtures}/models/{name}", "kind": kind, "layers": 2, "steps": 20, "batch": rows,
                "lengths": [[0, 19], [5, 12], [0, 17]],
            }
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "plan.json"
                path.write_text(json.dumps(plan))
                program = Path(folder) / "ours.lull"
                program.write_text(OURS.format(plan=str(path), folder=folder))
                subprocess.run([lull, str(program)], check=True)
                losses, weights, logits = theirs(plan, f"{folder}/start.safetensors")
                ours = json.loads((Path(folder) / "losses.json").read_text())
                if [math.isnan(x) for x in ours] != [math.isnan(x) for x in losses]:
                    sys.exit(f"{name} {kind}: not finite at other steps: {ours} {losses}")
                if math.isnan(losses[-1]):
                    print("ok", name, kind, f"both are not finite from step {sum(x == x for x in losses)} on", flush=True)
                    continue
                curve = max(abs(a - b) / b for a, b in zip(ours, losses))
                found = mx.load(f"{folder}/end.safetensors")
                start = mx.load(f"{folder}/start.safetensors")
                moved = relative({k: found[k] - start[k] for k in weights}, {k: weights[k] - start[k] for k in weights})
                other = relative({"x": mx.load(f"{folder}/logits.safetensors")["logits"]}, {"x": logits})
            ok = abs(ours[0] - losses[0]) / losses[0] < 1e-5 and curve < 1e-3 and moved < 2e-2 and sorted(found) == sorted(weights)
            failed += not ok
            print(
                "ok" if ok else "FAILED", name, kind,
                f"first loss {abs(ours[0] - losses[0]) / losses[0]:.1e}, curve {curve:.1e}, moved {moved:.1e}, logits {other:.1e}",
                flush=True,
            )
    sys.exit(1 if failed else 0)


main()
