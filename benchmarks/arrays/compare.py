"""The same array programs in Lull, NumPy and (where it is installed) MLX, taking turns.

usage: compare.py LULL [words that the cases' names must contain]

Every case is one program text; only the module behind `xp` and `done`, which evaluates, differ.
Printed: the best time of a round in microseconds (an operation's, where it is in a loop), and how
many times faster than the others Lull is.
"""

import importlib.util
import subprocess
import sys
import tempfile

# name, set-up, statement, operations in the statement, repeats
CASES = [
    ("add, 10 elements, each evaluated", "a = values(10); b = values(10)",
     "for i in range(5000):\n            c = a + b\n            done(c)", 5000, 20),
    ("add a number, 10 elements", "a = values(10)",
     "for i in range(5000):\n            c = a + 2.0\n            done(c)", 5000, 20),
    ("chain of 1000 adds, 10 elements", "a = values(10); b = values(10)",
     "c = a\n        for i in range(1000):\n            c = c + b\n        done(c)", 1000, 50),
]
for n in (1000, 100_000, 1_000_000, 10_000_000):
    repeats = 300 if n < 10_000 else 50 if n < 2_000_000 else 7
    two = f"x = values({n}); y = values({n}) + 1"
    CASES += [
        (f"gelu {n:.0e}", two,
         "c = 0.5 * x * (1 + xp.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))\n        done(c)",
         1, repeats),
        (f"sum(sqrt(x*x + y*y) * x) {n:.0e}", two,
         "c = xp.sum(xp.sqrt(x * x + y * y) * x)\n        done(c)", 1, repeats),
        (f"exp {n:.0e}", two, "c = xp.exp(x)\n        done(c)", 1, repeats),
        (f"sin {n:.0e}", two, "c = xp.sin(x)\n        done(c)", 1, repeats),
        (f"add {n:.0e}", two, "c = x + y\n        done(c)", 1, repeats),
        (f"sum {n:.0e}", two, "c = xp.sum(x)\n        done(c)", 1, repeats),
        (f"argmax {n:.0e}", two, "c = xp.argmax(x)\n        done(c)", 1, repeats),
    ]
square = "x = xp.reshape(values(1024 * 1024), (1024, 1024))"
CASES += [
    ("cumsum 1e+06", "x = values(1000000)", "c = xp.cumsum(x)\n        done(c)", 1, 20),
    ("sort 1e+06", "x = xp.sin(values(1000000) * 1e6)", "c = xp.sort(x)\n        done(c)", 1, 8),
    ("matmul 1024", square, "c = xp.matmul(x, x)\n        done(c)", 1, 10),
    ("sum of rows 1024", square, "c = xp.sum(x, axis=1)\n        done(c)", 1, 50),
    ("sum of columns 1024", square, "c = xp.sum(x, axis=0)\n        done(c)", 1, 50),
    ("transpose copy 1024", square, "c = xp.transpose(x) + 0.0\n        done(c)", 1, 50),
    ("strided sum", square, "c = xp.sum(x[::2, ::3])\n        done(c)", 1, 50),
]
# Linear algebra, transforms and a convolution; NumPy has no convolution of images.
matrix = "a = xp.reshape(xp.sin(values(512 * 512) * 7e4), (512, 512)); done(a)"
CASES += [
    ("solve 512", matrix + "; b = a[:, :1] + 0.0; done(b)", "c = xp.linalg.solve(a, b)\n        done(c)", 1, 10),
    ("cholesky 512", matrix + "; a = xp.matmul(a, xp.transpose(a)) + 512 * xp.eye(512, dtype=xp.float32); done(a)",
     "c = xp.linalg.cholesky(a)\n        done(c)", 1, 20),
    ("svd 512", matrix, "c = xp.linalg.svd(a)\n        done(c)", 1, 3),
    ("eigh 512", matrix + "; a = a + xp.transpose(a); done(a)", "c = xp.linalg.eigh(a)\n        done(c)", 1, 3),
    ("fft 2^20", "x = xp.sin(values(1 << 20) * 1e6) + 1j; done(x)", "c = xp.fft.fft(x)\n        done(c)", 1, 10),
    ("rfft 1000 x 1024", "x = xp.reshape(xp.sin(values(1024000) * 1e6), (1000, 1024)); done(x)",
     "c = xp.fft.rfft(x)\n        done(c)", 1, 20),
    ("conv2d 8x56x56x64, 3x3, 64",
     "x = xp.reshape(xp.sin(values(8 * 56 * 56 * 64)), (8, 56, 56, 64)); "
     "w = xp.reshape(xp.sin(values(64 * 9 * 64)), (64, 3, 3, 64)); done(x); done(w)",
     "c = xp.conv2d(x, w, padding=1)\n        done(c)", 1, 5),
]
COMMON = '''
def values(n):
    x = xp.arange(n).astype(xp.float32) / n
    done(x)
    return x

def case():
    {setup}
    best = 1e9
    for r in range({repeats}):
        start = time.perf_counter()
        {statement}
        best = min(best, time.perf_counter() - start)
    print(best)

case()
'''
LAZY = "import time\nimport mlx.core as xp\ndone = xp.eval\n"
EAGER = "import time\nimport numpy as xp\ndef done(x):\n    pass\n"


def program(head, case):
    _, setup, statement, _, repeats = case
    if head is EAGER:
        # What evaluates is no work for an eager library: not even a call.
        lines = [line for line in statement.split("\n") if line.strip() != "done(c)"]
        statement = "\n".join(lines)
    return head + COMMON.format(setup=setup, statement=statement, repeats=repeats)


def run(command, text):
    with tempfile.NamedTemporaryFile("w", suffix=".lull") as file:
        file.write(text)
        file.flush()
        done = subprocess.run(command + [file.name], capture_output=True, text=True)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        return float("nan")
    return float(done.stdout)


def main():
    peers = [("Lull", [sys.argv[1]], LAZY), ("NumPy", [sys.executable], EAGER)]
    if importlib.util.find_spec("mlx"):
        peers.append(("MLX", [sys.executable], LAZY))
    print(f"{'':36}" + "".join(f"{name + ', us':>12}" for name, _, _ in peers)
          + "".join(f"{'/' + name:>8}" for name, _, _ in peers[1:]))
    for case in CASES:
        if not all(word in case[0] for word in sys.argv[2:]):
            continue
        best = [float("inf")] * len(peers)
        for _ in range(3):
            for i, (_, command, head) in enumerate(peers):
                if head is EAGER and "conv" in case[0]:
                    continue
                best[i] = min(best[i], run(command, program(head, case)))
        times = [b / case[3] * 1e6 for b in best]
        print(f"{case[0]:36}" + "".join(f"{t:12.3f}" for t in times)
              + "".join(f"{t / times[0]:8.2f}" for t in times[1:]), flush=True)


main()
