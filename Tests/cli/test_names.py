"""Every public name of MLX (Tests/mlx/names.json, written by names.py under MLX 0.32.4) is there, and listed by dir."""

import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LULL = os.environ.get("LULL", str(ROOT / "lull"))


def lull(*arguments):
    run = subprocess.run([LULL, *arguments], capture_output=True, text=True, timeout=100)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_names():
    expected = json.loads((ROOT / "Tests" / "mlx" / "names.json").read_text())
    found = json.loads(lull(str(ROOT / "Tests" / "mlx" / "names.py")))
    missing = {part: sorted(set(names) - set(found[part])) for part, names in expected.items()}
    assert not any(missing.values()), missing


def test_borrowed_names_are_listed_and_described():
    program = "import mlx.core as mx\nassert {'hypot', 'percentile', 'vstack'} <= set(dir(mx))\nprint(mx.hypot.__doc__)"
    text = lull("-c", program)
    assert text.startswith("hypot(x1, x2, /)\n\nsqrt(x1 ** 2 + x2 ** 2).")
