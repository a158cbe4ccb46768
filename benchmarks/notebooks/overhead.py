"""What a run of a notebook adds to its cells: milliseconds a cell, and a large notebook's opening.

usage: overhead.py LULL

The same 200 cells are run as one program and as a notebook that is written as it goes; nbclient with ipykernel runs them, too, where both
are installed.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

lull = sys.argv[1]
cells = [f"x{i} = {i}\nprint(x{i} + 1)" for i in range(200)]


def seconds(*command, cwd):
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run(command, cwd=cwd, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def notebook(path, sources, outputs=()):
    made = [
        {"cell_type": "code", "execution_count": None, "id": f"c{i}", "metadata": {}, "outputs": list(outputs), "source": source}
        for i, source in enumerate(sources)
    ]
    path.write_text(json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))


with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    (folder / "p.lull").write_text("\n".join(cells))
    notebook(folder / "n.ipynb", cells)
    program = seconds(lull, "p.lull", cwd=folder)
    run = seconds(lull, "run", "n.ipynb", "-o", "out.ipynb", cwd=folder)
    print(f"200 cells: program {program * 1e3:.0f} ms, notebook {run * 1e3:.0f} ms, {(run - program) / 200 * 1e3:.2f} ms a cell")
    try:
        import ipykernel  # noqa: F401
        import nbclient
        import nbformat

        start = time.perf_counter()
        nbclient.NotebookClient(nbformat.read(folder / "n.ipynb", as_version=4), kernel_name="python3").execute()
        print(f"200 cells: nbclient and ipykernel {(time.perf_counter() - start) * 1e3:.0f} ms")
    except ImportError:
        pass
    big = {"output_type": "stream", "name": "stdout", "text": "0123456789" * 25_000}
    notebook(folder / "big.ipynb", cells, [big])
    size = (folder / "big.ipynb").stat().st_size / 1e6
    print(f"{size:.0f} MB notebook, run in place: {seconds(lull, 'run', 'big.ipynb', '-o', 'out.ipynb', cwd=folder) * 1e3:.0f} ms")
    notebook(folder / "large.ipynb", ["print('0123456789' * 25_000)"] * 200)
    print(f"a notebook that grows to {size:.0f} MB: {seconds(lull, 'run', 'large.ipynb', '-o', 'out.ipynb', cwd=folder) * 1e3:.0f} ms")
