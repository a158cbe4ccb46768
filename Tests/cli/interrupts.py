"""Ctrl-C at random moments of a mixed workload at the prompt: the session must live, keep its names, and come back at once.

usage: interrupts.py [--count 1000] [--seed 1] [--model MODEL.gguf]

Prints how long the prompt took to come back after each Ctrl-C: median, 99 of 100, longest.
"""

import argparse
import os
import random
import statistics
import tempfile
import time
from pathlib import Path

from terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]

# Each is typed as one line and takes far longer than the wait before Ctrl-C, or is as likely to be over.
WORK = [
    "while True: pass",
    "for i in range(10**12): kept = i and kept or kept",
    "[i * i for i in range(10**9)]",
    "sum(i for i in range(10**12))",
    "sorted([(-i) % 977 for i in range(10**7)])",
    "'x' * 10 ** 6 + ''.join(str(i) for i in range(10**8))",
    "def deep(n): return 0 if n == 0 else 1 + deep(n - 1)\nwhile True: deep(500)\n",
    "try:\n    while True: pass\nfinally:\n    done = True\n",
    "import time; time.sleep(60)",
    "input('name? ')",
    "mx.eval(mx.ones((3000, 3000)) @ mx.ones((3000, 3000)) @ mx.ones((3000, 3000)))",
    "mx.eval([mx.sort(mx.random.uniform(shape=(3_000_000,))) for i in range(20)])",
    "x = mx.random.normal((2000, 2000)); mx.eval(mx.exp(x).sum() + mx.tanh(x).cumsum().max() + mx.sqrt(mx.abs(x)).mean())",
    "mx.linalg.svd(mx.random.normal((600, 600)), stream=mx.cpu)[0].tolist()[0][0]",
    "mx.eval(mx.fft.fft(mx.random.normal((3_000_000,))), mx.conv_general(mx.ones((4, 200, 200, 32)), mx.ones((64, 5, 5, 32))))",
    "f = mx.compile(lambda x: mx.sin(x) * 2 + 1)\nwhile True: f(mx.ones(1000)).sum().item()\n",
    "g = mx.grad(lambda w: (mx.tanh(w @ w) ** 2).sum())\nwhile True: mx.eval(g(mx.ones((200, 200))))\n",
    "!sleep 60",
    "lines = !sleep 60",
    "print('\\n'.join(str(i) for i in range(20000)))",
    "import json; json.loads(json.dumps([{'a': i} for i in range(2_000_000)]))['x']",
    "import re; re.match('(a+)+b', 'a' * 40)",
    "10 ** 10 ** 7 % 7",
    "%timeit mx.ones(100).sum()",
    "%run no_such_file.lull",
    "1 / 0",
]
MODEL_WORK = [
    "model, tokenizer = load({model!r})",
    "_ = generate(model, tokenizer, 'Tell me a long story.', max_tokens=4000)",
    "%generate model 'Count to a thousand.' --max-tokens 4000",
    "mx.eval(model(mx.random.randint(0, 40000, (4, 512))))",
]


def entry(text):
    """A cell as it is typed: several lines as a paste."""
    return text + "\r" if "\n" not in text else "\x1b[200~" + text + "\x1b[201~\r"


def prompt_back(terminal, limit=20):
    """Reads until the prompt is the last thing shown; the moment when it came."""
    end = time.monotonic() + limit
    came = None
    while time.monotonic() < end:
        if terminal._read(0.01):
            came = time.monotonic()
        elif terminal.seen.endswith(">>> ") and came is not None and time.monotonic() - came > 0.03:
            return came
        elif terminal.process.poll() is not None:
            raise AssertionError(f"the session ended: {terminal.all[-2000:]!r}")
    raise AssertionError(f"no prompt within {limit} s: {terminal.seen[-500:]!r}")


def run(command, count, seed, model=None, say=print):
    """Seconds until the prompt was back, for each interrupt."""
    numbers = random.Random(seed)
    folder = tempfile.mkdtemp()
    env = {**os.environ, "XDG_STATE_HOME": folder, "XDG_CONFIG_HOME": folder, "TERM": "xterm", "INPUTRC": "/dev/null", "PAGER": "cat"}
    terminal = Terminal(command, env, folder)
    terminal.expect(">>> ")
    terminal.ask("kept = 12345; table = mx.arange(1000); names = {'a': [1, 2]}")
    work = WORK + ([text.replace("{model!r}", repr(str(model))) for text in MODEL_WORK] if model else [])
    if model:
        terminal.line(MODEL_WORK[0].replace("{model!r}", repr(str(model))))
        prompt_back(terminal)
    waits, slow = [], []
    for i in range(count):
        text = numbers.choice(work)
        terminal.seen = ""
        terminal.send(entry(text))
        time.sleep(numbers.choice([0.0, 0.01, 0.03, 0.1, 0.2, 0.4]) * numbers.random())
        while terminal._read(0):
            pass
        start = time.monotonic()
        terminal.interrupt()
        try:
            waits.append(max(prompt_back(terminal) - start, 0.0))
        except AssertionError as error:
            raise AssertionError(f"after {text!r} (number {i}): {error}") from None
        if waits[-1] > 0.1:
            slow.append((round(waits[-1] * 1000), text))
        if i % 20 == 19:
            terminal.seen = ""
            terminal.send("print(kept, int(table.sum().item()), names)\r")
            prompt_back(terminal)
            assert "12345 499500 {'a': [1, 2]}" in terminal.seen, terminal.seen
    terminal.close()
    return waits, slow


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", type=Path)
    args = parser.parse_args()
    waits, slow = run([str(ROOT / "lull")], args.count, args.seed, args.model and args.model.resolve())
    ordered = sorted(waits)
    print(
        f"{len(waits)} interrupts, no name lost; prompt back after {statistics.median(waits) * 1e3:.1f} ms (median), "
        f"{ordered[int(len(ordered) * 0.99)] * 1e3:.0f} ms (99 of 100), {ordered[-1] * 1e3:.0f} ms (longest)"
    )
    for milliseconds, text in sorted(slow, reverse=True)[:20]:
        print(f"  {milliseconds} ms: {text!r}")
