"""Random programs print under Lull what CPython 3.11 prints (Tests/fuzz/programs.py)."""

import os
import subprocess
import sys

import pytest
from conftest import LULL, ROOT
from test_programs import cpython

FOLDER = ROOT / "Tests" / "fuzz"


@pytest.mark.parametrize("heat", ["0", "100"])
def test_random_programs(heat):
    """In machine code from the first call on, and as usual. Against CPython where it is 3.11; else against digests of what it printed."""
    python = cpython()
    version = python and subprocess.run([python, "-V"], capture_output=True, text=True).stdout.split()[1]
    peer = ["--python", python] if version and version.startswith("3.11") else ["--stated", str(FOLDER / "programs.json")]
    done = subprocess.run(
        [sys.executable, str(FOLDER / "programs.py"), "--seed", "7", "--count", "400", *peer],
        capture_output=True, text=True, timeout=300, env={**os.environ, "LULL": LULL, "LULL_HEAT": heat},
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
