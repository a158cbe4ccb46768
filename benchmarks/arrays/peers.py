"""Lull against every peer that is installed, on the tasks of the array targets, float32.

usage: peers.py LULL [words that the cases' names must contain]

Peers: NumPy, MLX, MLX compiled, JAX (jit), numba (parallel, fastmath) and numexpr, taken from the
Python that runs this file; those that are missing are left out. Lull runs every case as it is
written and (column `compiled`) with mx.compile, as MLX, JAX and numba do. Each library computes a
case in its own process, in turns, three rounds; printed is the best time of each in milliseconds,
and the best peer's time over Lull's, as written and over the better of the two columns. LULL_THREADS, OMP_NUM_THREADS and so on are as the shell sets them.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile

GELU = "0.5 * x * (1 + xp.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))"
HORNER = "x * 0.1 + 0.2"
for k in range(3, 10):
    HORNER = f"({HORNER}) * x + 0.{k}"

# name, set-up over xp, function body over its arguments, arguments, repeats, numexpr text or None
CASES = []
for n, repeats in ((1_000, 2000), (100_000, 400), (1_000_000, 60), (10_000_000, 10), (100_000_000, 3)):
    xs = f"x = values({n})"
    xy = f"x = values({n}); y = values({n}) + 1; w = values({n}) - 0.5"
    label = f"{n:.0e}".replace("+0", "")
    CASES += [
        (f"gelu {label}", xs, GELU, "x", repeats, GELU.replace("xp.", "")),
        (f"sum(sqrt(x*x+y*y)*w) {label}", xy, "xp.sum(xp.sqrt(x * x + y * y) * w)", "x, y, w", repeats,
         "sum(sqrt(x * x + y * y) * w)"),
        (f"horner {label}", xs, HORNER, "x", repeats, HORNER),
    ]
    if n >= 1_000_000 and n < 100_000_000:
        CASES += [
            (f"exp {label}", xs, "xp.exp(x)", "x", repeats, "exp(x)"),
            (f"sin {label}", xs, "xp.sin(x)", "x", repeats, "sin(x)"),
            (f"add {label}", xy, "x + y", "x, y", repeats, "x + y"),
            (f"sum {label}", xs, "xp.sum(x)", "x", repeats, None),
            (f"argmax {label}", xs, "xp.argmax(x)", "x", repeats, None),
        ]
rows = "x = xp.sin(values(4096 * 1024) * 1e6).reshape(4096, 1024); done(x)"
square = "x = values(1024 * 1024).reshape(1024, 1024); b = values(1024)"
large = "x = values(4096 * 4096).reshape(4096, 4096)"
CASES += [
    ("softmax 4096x1024", rows, "softmax(x)", "x", 20, None),
    ("layer_norm 4096x1024", rows, "layer_norm(x)", "x", 20, None),
    ("rms_norm 4096x1024", rows, "rms_norm(x)", "x", 20, None),
    ("pairwise distance 2000x2000x64",
     "x = xp.sin(values(2000 * 64) * 1e5).reshape(2000, 64); y = xp.cos(values(2000 * 64) * 1e5).reshape(2000, 64); done(x); done(y)",
     "xp.sqrt(xp.sum((x[:, None, :] - y[None, :, :]) ** 2, axis=-1))", "x, y", 3, None),
    ("matmul 256", "x = values(256 * 256).reshape(256, 256)", "x @ x", "x", 200, None),
    ("matmul 1024", square, "x @ x", "x", 20, None),
    ("matmul 1024 + bias + relu", square, "xp.maximum(x @ x + b, 0)", "x, b", 20, None),
    ("transpose copy 4096x4096", large, "contiguous(x.T)", "x", 8, None),
    ("strided sum [::2, ::3] 4096x4096", large, "xp.sum(x[::2, ::3])", "x", 20, None),
    ("take 1e6 of 1e7",
     "x = values(10000000); i = (xp.abs(xp.sin(values(1000000) * 1e6)) * 9999999).astype(xp.int32); done(i)",
     "xp.take(x, i)", "x, i", 20, None),
    ("cumsum 1e7", "x = values(10000000)", "xp.cumsum(x)", "x", 8, None),
    ("sort 1e6", "x = xp.sin(values(1000000) * 1e6); done(x)", "xp.sort(x)", "x", 10, None),
    ("argsort 1e6", "x = xp.sin(values(1000000) * 1e6); done(x)", "xp.argsort(x)", "x", 10, None),
    ("fft 2^20", "x = xp.sin(values(1 << 20) * 1e6).astype(xp.complex64); done(x)", "xp.fft.fft(x)", "x", 10, None),
    ("cholesky 512",
     "x = xp.sin(values(512 * 512) * 1e6).reshape(512, 512); x = x @ x.T + 512 * xp.eye(512); done(x)",
     "cholesky(x)", "x", 10, None),
    ("conv2d 8x56x56x64 3x3 64",
     "x = xp.sin(values(8 * 56 * 56 * 64)).reshape(8, 56, 56, 64); w = xp.cos(values(64 * 3 * 3 * 64)).reshape(64, 3, 3, 64); done(x); done(w)",
     "conv2d(x, w)", "x, w", 10, None),
]

VALUES = """
def values(n):
    x = xp.arange(n).astype(xp.float32) / n
    done(x)
    return x
"""
HEADS = {
    "Lull": """import time
import mlx.core as xp
done = xp.eval
def compiled(f): return f
contiguous = xp.contiguous
def softmax(x): return xp.softmax(x, axis=-1)
def layer_norm(x): return xp.fast.layer_norm(x, None, None, 1e-5)
def rms_norm(x): return xp.fast.rms_norm(x, None, 1e-5)
def cholesky(x): return xp.linalg.cholesky(x{stream})
def conv2d(x, w): return xp.conv2d(x, w, padding=1)
""",
    "NumPy": """import time
import numpy as xp
def done(x): pass
def compiled(f): return f
contiguous = xp.ascontiguousarray
def softmax(x):
    e = xp.exp(x - xp.max(x, axis=-1, keepdims=True))
    return e / xp.sum(e, axis=-1, keepdims=True)
def layer_norm(x):
    d = x - xp.mean(x, axis=-1, keepdims=True)
    return d / xp.sqrt(xp.mean(d * d, axis=-1, keepdims=True) + 1e-5)
def rms_norm(x): return x / xp.sqrt(xp.mean(x * x, axis=-1, keepdims=True) + 1e-5)
cholesky = xp.linalg.cholesky
""",
    "JAX": """import time
import os
import jax
import jax.numpy as xp
def done(x): jax.block_until_ready(x)
compiled = jax.jit
def contiguous(x): return x
def softmax(x): return jax.nn.softmax(x, axis=-1)
def layer_norm(x):
    d = x - xp.mean(x, axis=-1, keepdims=True)
    return d * jax.lax.rsqrt(xp.mean(d * d, axis=-1, keepdims=True) + 1e-5)
def rms_norm(x): return x * jax.lax.rsqrt(xp.mean(x * x, axis=-1, keepdims=True) + 1e-5)
cholesky = xp.linalg.cholesky
def conv2d(x, w):
    return jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "OHWI", "NHWC"))
""",
    "numba": """import time
import numpy as xp
import numba
def done(x): pass
compiled = numba.njit(parallel=True, fastmath=True)
""",
    "numexpr": """import time
import numpy as xp
import numexpr
def done(x): pass
def compiled(f): return f
""",
}
HEADS["MLX"] = HEADS["Lull"].replace("{stream}", ", stream=xp.cpu")
HEADS["Lull"] = HEADS["Lull"].replace("{stream}", "")
HEADS["compiled"] = HEADS["Lull"].replace("def compiled(f): return f", "compiled = xp.compile")
HEADS["MLX compiled"] = HEADS["MLX"].replace("def compiled(f): return f", "compiled = xp.compile")

BODY = """
def case():
    {setup}
    def f({arguments}):
        return {body}
    g = compiled(f)
    done(g({arguments}))
    best = 1e9
    for r in range({repeats}):
        start = time.perf_counter()
        done(g({arguments}))
        best = min(best, time.perf_counter() - start)
    print(best)

case()
"""


def program(library, case):
    name, setup, body, arguments, repeats, numexpr = case
    if library == "numexpr":
        if numexpr is None:
            return None
        body = f'numexpr.evaluate("{numexpr}")'
    if library == "numba" and not any(word in name for word in ("gelu", "sqrt(x*x", "horner", "exp", "add", "sum 1e")):
        return None
    if library == "NumPy" and "conv2d" in name:
        return None
    head = HEADS[library]
    if library == "numba":
        # The compiled function sees the module by its own name.
        body = body.replace("xp.", "np.")
        head += "np = xp\n"
    return head + VALUES + BODY.format(setup=setup, arguments=arguments, body=body, repeats=repeats)


def run(command, text):
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(text)
        file.flush()
        try:
            done = subprocess.run(command + [file.name], capture_output=True, text=True, timeout=300)
        except subprocess.TimeoutExpired:
            return float("inf")
    if done.returncode:
        if os.environ.get("VERBOSE"):
            print(done.stderr[-2000:], file=sys.stderr)
        return float("inf")
    return float(done.stdout)


def main():
    python = [sys.executable]
    peers = {"Lull": [sys.argv[1]], "compiled": [sys.argv[1]]}
    for name, module in (("NumPy", "numpy"), ("MLX", "mlx"), ("MLX compiled", "mlx"), ("JAX", "jax"),
                         ("numba", "numba"), ("numexpr", "numexpr")):
        if importlib.util.find_spec(module):
            peers[name] = python
    rounds = int(os.environ.get("ROUNDS", "3"))
    print(f"{'milliseconds':34}" + "".join(f"{name:>13}" for name in peers) + f"{'best peer/Lull':>16}{'/better':>9}")
    for case in CASES:
        if not all(word in case[0] for word in sys.argv[2:]):
            continue
        best = dict.fromkeys(peers, float("inf"))
        for _ in range(rounds):
            for name, command in peers.items():
                text = program(name, case)
                if text is not None:
                    best[name] = min(best[name], run(command, text))
        cells = "".join(f"{'-' if t == float('inf') else f'{t * 1e3:.4f}':>13}" for t in best.values())
        own = [best["Lull"], best["compiled"]]
        rivals = list(best.values())[2:]
        ratio = f"{min(rivals) / own[0]:16.2f}{min(rivals) / min(own):9.2f}" if rivals else ""
        print(f"{case[0]:34}{cells}{ratio}", flush=True)


main()
