"""Training steps against JAX (jit) and MLX, the same program in each, float32.

usage: training.py LULL [words that the cases' names must contain]

mlp: 784-256-10 with relu, cross entropy, batch 256, gradients and the step of gradient descent.
blocks: forward and backward of four transformer blocks, 4 x 128 positions, 256 wide, 4 heads, 1024 inside.
Each library runs in its own process, in turns (ROUNDS=3); printed is the best time of each in milliseconds
and the best peer's over the better of Lull's.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile

HEADS = {
    "MLX": """
import time
import mlx.core as mx
xp = mx
def value_and_grad(f): return mx.value_and_grad(f)
def compiled(f): return f
done = mx.eval
def values(shape, scale):
    n = 1
    for d in shape: n *= d
    return (mx.sin(mx.arange(n).astype(mx.float32) * 12.9898) * scale).reshape(shape)
def layer_norm(x, w, b): return mx.fast.layer_norm(x, w, b, 1e-5)
def attention(q, k, v, scale): return mx.fast.scaled_dot_product_attention(q, k, v, scale=scale, mask="causal")
def gelu(x): return x * mx.sigmoid(1.702 * x)
def pick(x, i): return mx.take_along_axis(x, i[:, None], axis=1)
""",
    "JAX": """
import time
import jax
import jax.numpy as xp
def value_and_grad(f): return jax.value_and_grad(f)
compiled = jax.jit
def done(*x): jax.block_until_ready(x)
def values(shape, scale):
    n = 1
    for d in shape: n *= d
    return (xp.sin(xp.arange(n).astype(xp.float32) * 12.9898) * scale).reshape(shape)
def layer_norm(x, w, b):
    d = x - xp.mean(x, axis=-1, keepdims=True)
    return d * jax.lax.rsqrt(xp.mean(d * d, axis=-1, keepdims=True) + 1e-5) * w + b
def attention(q, k, v, scale):
    s = q @ xp.swapaxes(k, -1, -2) * scale
    mask = xp.tril(xp.ones((s.shape[-1], s.shape[-1]), dtype=bool))
    return jax.nn.softmax(xp.where(mask, s, -1e30), axis=-1) @ v
def gelu(x): return x * jax.nn.sigmoid(1.702 * x)
def pick(x, i): return xp.take_along_axis(x, i[:, None], axis=1)
""",
}
HEADS["Lull"] = HEADS["MLX"]
for name in ("MLX", "Lull"):
    HEADS[name + " compiled"] = HEADS[name].replace("def compiled(f): return f", "compiled = mx.compile")

CASES = {
    "mlp": """
x = values((256, 784), 1.0)
y = (xp.arange(256) * 7 % 10).astype(xp.int32)
p = {"w1": values((256, 784), 0.05), "b1": values((256,), 0.1), "w2": values((10, 256), 0.05), "b2": values((10,), 0.1)}
def loss(p, x, y):
    h = xp.maximum(x @ p["w1"].T + p["b1"], 0)
    z = h @ p["w2"].T + p["b2"]
    m = xp.max(z, axis=1, keepdims=True)
    return xp.mean(xp.log(xp.sum(xp.exp(z - m), axis=1, keepdims=True)) + m - pick(z, y))
g = value_and_grad(loss)
def step(p, x, y):
    v, d = g(p, x, y)
    return v, {k: p[k] - 0.1 * d[k] for k in p}
f = compiled(step)
repeats = 60
def run():
    global p
    v, p = f(p, x, y)
    done(v, p["w1"], p["b1"], p["w2"], p["b2"])
    return v
""",
    "blocks": """
B, T, D, H, F, L = 4, 128, 256, 4, 1024, 4
x = values((B, T, D), 1.0)
def block(i):
    s = 0.03 + i * 0.001
    return {"n1": values((D,), 0.1) + 1, "c1": values((D,), 0.1), "n2": values((D,), 0.1) + 1, "c2": values((D,), 0.1),
            "qkv": values((3 * D, D), s), "o": values((D, D), s), "up": values((F, D), s), "down": values((D, F), s),
            "bu": values((F,), s), "bd": values((D,), s)}
p = [block(i) for i in range(L)]
def forward(p, x):
    for b in p:
        h = layer_norm(x, b["n1"], b["c1"]) @ b["qkv"].T
        h = h.reshape(B, T, 3, H, D // H)
        q, k, v = [xp.swapaxes(h[:, :, j], 1, 2) for j in range(3)]
        a = attention(q, k, v, (D // H) ** -0.5)
        x = x + xp.swapaxes(a, 1, 2).reshape(B, T, D) @ b["o"].T
        h = gelu(layer_norm(x, b["n2"], b["c2"]) @ b["up"].T + b["bu"])
        x = x + h @ b["down"].T + b["bd"]
    return xp.mean(x * x)
g = value_and_grad(forward)
f = compiled(lambda p, x: g(p, x))
repeats = 6
def run():
    v, d = f(p, x)
    done(v, *[d[i][k] for i in range(L) for k in d[i]])
    return v
""",
}

TAIL = """
first = float(run())
best = 1e9
for i in range(repeats):
    start = time.perf_counter()
    run()
    best = min(best, time.perf_counter() - start)
print(best, first)
"""


def main():
    lull = sys.argv[1]
    libraries = {"Lull": [lull], "Lull compiled": [lull]}
    for name, module in (("MLX", "mlx"), ("MLX compiled", "mlx"), ("JAX", "jax")):
        if importlib.util.find_spec(module):
            libraries[name] = [sys.executable]
    print(f"{'milliseconds':14}" + "".join(f"{name:>15}" for name in libraries) + f"{'best peer/Lull':>16}")
    for case, body in CASES.items():
        if not all(word in case for word in sys.argv[2:]):
            continue
        best, losses = {}, {}
        for _ in range(int(os.environ.get("ROUNDS", "3"))):
            for name, command in libraries.items():
                with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
                    file.write(HEADS[name] + body + TAIL)
                    file.flush()
                    done = subprocess.run(command + [file.name], capture_output=True, text=True)
                if done.returncode:
                    sys.exit(f"{name}: {done.stdout}{done.stderr}")
                seconds, losses[name] = [float(word) for word in done.stdout.split()]
                best[name] = min(best.get(name, 1e9), seconds)
        if max(losses.values()) - min(losses.values()) > 1e-3 * abs(losses["Lull"]):
            sys.exit(f"{case}: the losses differ: {losses}")
        own = min(best["Lull"], best["Lull compiled"])
        rivals = [t for name, t in best.items() if not name.startswith("Lull")]
        ratio = f"{min(rivals) / own:16.2f}" if rivals else ""
        print(f"{case:14}" + "".join(f"{t * 1e3:15.3f}" for t in best.values()) + ratio, flush=True)


main()
