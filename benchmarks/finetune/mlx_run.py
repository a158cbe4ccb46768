"""The same steps with mlx-lm. usage: mlx_run.py DIRECTORY STEPS [BATCH LENGTH]"""

import json
import resource
import statistics
import sys
import time
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx_lm.tuner.trainer import default_loss
from mlx_lm.tuner.utils import linear_to_lora_layers
from mlx_lm.utils import load_model

path, steps = sys.argv[1], int(sys.argv[2])
batch, length = (int(sys.argv[3]), int(sys.argv[4])) if len(sys.argv) > 4 else (4, 256)
model, _ = load_model(Path(path))
mx.random.seed(0)
model.freeze()
linear_to_lora_layers(model, len(model.layers), {"rank": 8, "scale": 20.0, "dropout": 0.0})
model.train()
rows = mx.array([[(7 * i + 31 * j * j + 5) % 40000 for i in range(length + 1)] for j in range(batch)])
lengths = mx.array([[0, length]] * batch)
optimizer = optim.Adam(1e-5)
loss_and_grad = nn.value_and_grad(model, default_loss)
times, losses = [], []
for _ in range(steps):
    start = time.perf_counter()
    (loss, _), grads = loss_and_grad(model, rows, lengths)
    optimizer.update(model, grads)
    mx.eval(model.trainable_parameters(), optimizer.state, loss)
    losses.append(loss.item())
    times.append(time.perf_counter() - start)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"tokens_per_second": batch * length / statistics.median(times[1:]), "peak_mib": peak, "losses": losses}))
