"""Lull against llama.cpp on one model, interleaved, 2 threads.

usage: compare.py LULL MODEL.gguf [PYTHON with llama-cpp-python [TOKENS [PROMPT [CONTEXT]]]]

CONTEXT is the length at which decoding is timed once more (0: not). synthetic.py makes larger models.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

here = Path(__file__).resolve().parent
lull, model = sys.argv[1], sys.argv[2]
python = sys.argv[3] if len(sys.argv) > 3 else sys.executable
tokens, prompt, context = (sys.argv[4:] + ["200", "512", "2048"][len(sys.argv[4:]) :])[:3]
rounds = 3
size = os.path.getsize(model) / 2**20


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


ours, theirs = [], []
for _ in range(rounds):
    ours.append(run([lull, str(here / "bench.lull"), model, tokens, prompt, context]))
    theirs.append(run([python, str(here / "bench_llama_cpp.py"), model, tokens, prompt, context]))

print(f"{Path(model).name}, {size:.0f} MiB, 2 threads, median of {rounds} interleaved runs")
print(f"{'':30}{'Lull':>10}{'llama.cpp':>12}{'ratio':>8}")
for key, label in [
    ("decode", "decode, tokens/s"), ("decode_far", f"decode after {context}"), ("prompt", f"prompt of {prompt}, tokens/s"),
    ("prompt_8bit", "the same, activation_bits(8)"),
]:
    if key == "decode_far" and context == "0":
        continue
    a = statistics.median(r[key] for r in ours)
    b = statistics.median(r[key.removesuffix("_8bit")] for r in theirs)
    print(f"{label:30}{a:10.1f}{b:12.1f}{a / b:8.2f}")
for key, label in [("load_ms", "load, ms"), ("after_decode_mib", "resident, MiB"), ("peak_mib", "peak with prompts, MiB")]:
    a = statistics.median(r[key] for r in ours)
    b = statistics.median(r[key] for r in theirs)
    print(f"{label:30}{a:10.1f}{b:12.1f}{a / b:8.2f}")
ours_first = "from mlx_lm import generate, load\ngenerate(*load({0!r}), 'The capital of France is', max_tokens=1)"
theirs_first = "import llama_cpp\nllama_cpp.Llama({0!r}, n_threads=2, verbose=False)('The capital of France is', max_tokens=1)"


def seconds(command):
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


a = statistics.median(seconds([lull, "-c", ours_first.format(model)]) for _ in range(5)) * 1e3
b = statistics.median(seconds([python, "-c", theirs_first.format(model)]) for _ in range(5)) * 1e3
print(f"{'process start to first token, ms':32}{a:8.1f}{b:12.1f}{a / b:8.2f}")
print(f"resident / file: {statistics.median(r['after_decode_mib'] for r in ours) / size:.2f}")
