"""What the Jupyter kernel costs: start to first reply, milliseconds a cell, against ipykernel where it is installed.

    .venv/bin/python benchmarks/notebooks/kernel.py

A cell's time is from sending its request to having its reply and idle, with jupyter_client: so it holds the client's own time,
which is the same for both.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from jupyter_client.kernelspec import NoSuchKernel
from jupyter_client.manager import start_new_kernel

ROOT = Path(__file__).resolve().parents[1]
LULL = os.environ.get("LULL", str(ROOT / "lull"))
CELLS = ["x = {i}", "x + {i}", "print('cell', {i})", "def f(a):\n    return a * {i}\nf(3)"]


def run(client, code):
    identifier = client.execute(code)
    while client.get_shell_msg(timeout=30)["parent_header"].get("msg_id") != identifier:
        pass
    while True:
        message = client.get_iopub_msg(timeout=30)
        if message["parent_header"].get("msg_id") == identifier and message["content"].get("execution_state") == "idle":
            return


def measure(name, starts, cells):
    times = []
    for _ in range(starts):
        begin = time.perf_counter()
        manager, client = start_new_kernel(kernel_name=name)
        run(client, "1")
        times.append(time.perf_counter() - begin)
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    manager, client = start_new_kernel(kernel_name=name)
    for i in range(20):
        run(client, "0")
    begin = time.perf_counter()
    for i in range(cells):
        run(client, CELLS[i % len(CELLS)].format(i=i))
    each = (time.perf_counter() - begin) / cells
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    print(f"{name:8}  start_new_kernel to first reply {1000 * statistics.median(times):6.0f} ms   {cells} cells: {1000 * each:.2f} ms a cell")


def main():
    directory = tempfile.mkdtemp()
    os.environ["JUPYTER_DATA_DIR"] = directory
    subprocess.run([LULL, "kernel", "install"], check=True, capture_output=True)
    measure("lull", 10, 200)
    try:
        measure("python3", 5, 200)
    except NoSuchKernel:
        print("ipykernel is not installed here")


if __name__ == "__main__":
    sys.exit(main())
