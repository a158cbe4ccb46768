"""Lull against llama.cpp on the real model, interleaved, 2 threads.

usage: compare.py LULL MODEL.gguf [PYTHON with llama-cpp-python]
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

here = Path(__file__).resolve().parent
lull, model = sys.argv[1], sys.argv[2]
python = sys.argv[3] if len(sys.argv) > 3 else sys.executable
tokens, prompt, rounds = "200", "512", 3
size = os.path.getsize(model) / 2**20


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


ours, theirs = [], []
for _ in range(rounds):
    ours.append(run([lull, str(here / "bench.lull"), model, tokens, prompt]))
    theirs.append(run([python, str(here / "bench_llama_cpp.py"), model, tokens, prompt]))

print(f"{Path(model).name}, {size:.0f} MiB, 2 threads, median of {rounds} interleaved runs")
print(f"{'':26}{'Lull':>10}{'llama.cpp':>12}{'ratio':>8}")
for key, label in [("decode", "decode, tokens/s"), ("prompt", f"prompt of {prompt}, tokens/s")]:
    a = statistics.median(r[key] for r in ours)
    b = statistics.median(r[key] for r in theirs)
    print(f"{label:26}{a:10.1f}{b:12.1f}{a / b:8.2f}")
for key, label in [("load_ms", "load, ms"), ("after_decode_mib", "resident, MiB"), ("peak_mib", "peak with prompts, MiB")]:
    a = statistics.median(r[key] for r in ours)
    b = statistics.median(r[key] for r in theirs)
    print(f"{label:26}{a:10.1f}{b:12.1f}{a / b:8.2f}")
print(f"resident / file: {statistics.median(r['after_decode_mib'] for r in ours) / size:.2f}")
