"""Whole-process times of nothing much. usage: startup.py LULL"""

import statistics
import subprocess
import sys
import time

cases = [
    ("lull -c 'print(1)'", [sys.argv[1], "-c", "print(1)"]),
    ("lull, an array evaluated", [sys.argv[1], "-c", "print(array([1, 2]) + 1)"]),
    ("python3 -c 'print(1)'", [sys.executable, "-c", "print(1)"]),
    ("python3, a NumPy array", [sys.executable, "-c", "import numpy; print(numpy.array([1, 2]) + 1)"]),
]
times = {name: [] for name, _ in cases}
for _ in range(20):
    for name, command in cases:
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times[name].append((time.perf_counter() - start) * 1e3)
for name, values in times.items():
    print(f"{name:28} min {min(values):6.1f} ms   median {statistics.median(values):6.1f} ms")
