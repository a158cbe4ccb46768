"""Interrupts at random moments of a mixed workload: nothing is lost, nothing crashes, the kernel answers soon."""

import os
import random
import statistics
import time

from conftest import ROOT, WAIT

COUNT = int(os.environ.get("LULL_INTERRUPTS", "200"))
MODEL = ROOT / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"

SETUP = """
import mlx.core as mx
import mlx_lm, json, re
import numpy as np
kept = {"list": list(range(1000)), "array": mx.arange(1000), "text": "ü" * 100}
big = mx.random.normal((1500, 1500))
small = mx.random.normal((300, 300))
names = [f"key {i}" for i in range(20000)]
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)
class Node:
    def __init__(self, below):
        self.below = below
"""

WORK = [
    "while True: fib(15)",
    "n = 0\nwhile True:\n    n += 1",
    "while True: mx.eval(big @ big)",
    "while True: mx.eval(mx.softmax(mx.exp(mx.sin(big)) * 2, axis=-1))",
    "while True: mx.eval(mx.sort(big, axis=0))",
    "while True: np.linalg.svd(np.array(small))",
    "while True: sorted(names, key=lambda s: s[::-1])",
    "while True: json.loads(json.dumps({'a': names}))",
    "while True: re.findall(r'(k|e)+y \\d+', ' '.join(names))",
    "while True: print('text ' * 20)",
    "import time\nwhile True: time.sleep(10)",
    "while True: [Node(Node(None)) for _ in range(10000)]",
    "while True: {i: str(i) for i in range(50000)}",
    "while True: display(big)",
    "while True: kept['array'] + 1; str(kept)",
    "f = mx.value_and_grad(lambda w: mx.sum(mx.tanh(w @ w)))\nwhile True: mx.eval(f(small))",
    "g = mx.compile(lambda x: mx.tanh(x) * x + 1)\nwhile True: mx.eval(g(big))",
    "input('? ')",
]
MODEL_WORK = [
    f"while True: mlx_lm.load({str(MODEL)!r})",
    "while True: mlx_lm.generate(model, tokenizer, 'Once upon a time', max_tokens=200)",
    "while True:\n    for _ in mlx_lm.stream_generate(model, tokenizer, 'Why?', max_tokens=50): pass",
]
CHECK = "sum(kept['list']), int(mx.sum(kept['array'])), len(kept['text']), int(mx.isfinite(big).all()), fib(10)"


def test_interrupts(kernel):
    chance = random.Random(int(os.environ.get("LULL_FUZZ_SEED", "5")))
    kernel.run(SETUP)
    work = list(WORK)
    if MODEL.exists():
        assert kernel.run(f"model, tokenizer = mlx_lm.load({str(MODEL)!r})").reply["status"] == "ok"
        work += MODEL_WORK
    expected = kernel.value(CHECK)
    times = []
    slow = {}
    for i in range(COUNT):
        code = work[i % len(work)] if i < len(work) else chance.choice(work)
        identifier = kernel.client.execute(code, allow_stdin=True)
        # At once, soon, or in the middle of it.
        time.sleep(chance.choice([0, 0.001, 0.01, 0.05, 0.1, 0.3]) * (0.5 + chance.random()))
        begin = time.perf_counter()
        reply = None
        # One that comes before the cell does stops nothing: the user presses again.
        while reply is None:
            kernel.interrupt()
            end = time.perf_counter() + 1
            while time.perf_counter() < end:
                try:
                    message = kernel.client.get_shell_msg(timeout=0.2)
                except Exception:
                    continue
                if message["parent_header"].get("msg_id") == identifier:
                    reply = message["content"]
                    break
            assert time.perf_counter() - begin < WAIT, code
        taken = time.perf_counter() - begin
        times.append(taken)
        slow[code] = max(slow.get(code, 0), taken)
        assert reply["status"] == "error" and reply["ename"] == "KeyboardInterrupt", (code, reply)
        drain(kernel)
        if i % 10 == 9:
            assert kernel.value(CHECK) == expected
    assert kernel.value(CHECK) == expected
    times.sort()
    print(f"\n{COUNT} interrupts: median {1000 * statistics.median(times):.1f} ms, 95% {1000 * times[int(COUNT * 0.95)]:.0f} ms, most {1000 * times[-1]:.0f} ms")
    for code, t in sorted(slow.items(), key=lambda item: -item[1])[:5]:
        print(f"  {1000 * t:.0f} ms  {code.splitlines()[-1][:60]}")


def drain(kernel):
    """Throws away what the interrupted cell has shown, and its questions."""
    for get in (kernel.client.get_iopub_msg, kernel.client.get_stdin_msg, kernel.client.get_control_msg):
        while True:
            try:
                get(timeout=0)
            except Exception:
                break
