"""Random array expressions against NumPy in double precision, and against MLX where it is installed (Tests/fuzz)."""

import importlib.util
import os
import subprocess
import sys

import pytest
from conftest import LULL, ROOT

FOLDER = ROOT / "Tests" / "fuzz"


def fuzz(*arguments):
    peer = ["--mlx", sys.executable] if importlib.util.find_spec("mlx") else ["--stated", str(FOLDER / "stated.json")]
    done = subprocess.run(
        [sys.executable, str(FOLDER / "run.py"), "--seed", "4", *arguments, *peer],
        capture_output=True, text=True, timeout=300, env={**os.environ, "LULL": LULL},
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]


def test_random_expressions():
    fuzz("--count", "2000")


def test_random_expressions_on_lesser_processors():
    fuzz("--count", "300", "--start", "2000", "--levels")


@pytest.mark.parametrize(
    "line, printed",
    [
        ("mx.argsort(mx.array([0.0, -0.0, 1.0, -0.0], dtype=mx.float16)).tolist()", "[0, 1, 3, 2]"),
        ("mx.argsort(mx.array([0.0, -0.0, 1.0, -0.0], dtype=mx.float64)).tolist()", "[0, 1, 3, 2]"),
        ("mx.argsort(mx.array([0.0, -0.0] * 2000)).tolist() == list(range(4000))", "True"),
        ("mx.sort(mx.array([complex(-0.0, 5), complex(0.0, 1)])).tolist()", "[1j, 5j]"),
        ("mx.count_nonzero(mx.array(3)).dtype", "mlx.core.int32"),
        ("mx.roll(mx.array([[1, 2, 3]]), 1, axis=1).tolist()", "[[3, 1, 2]]"),
        ("mx.tile(mx.ones((2,) * 8), (2,) * 8).sum().item()", "65536.0"),
        ("mx.array([-1]).astype(mx.uint64).tolist()", "[18446744073709551615]"),
        ("int(mx.array(-1).astype(mx.uint64)), mx.array(-1).astype(mx.uint64).item()", "(18446744073709551615, 18446744073709551615)"),
    ],
)
def test_what_it_found(lull, line, printed):
    assert lull("-c", f"import mlx.core as mx\nprint(({line}))").out.strip() == printed
