"""What the tests of the command line share. LULL names another program to test than the built one."""

import os
import pathlib
import select
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LULL = os.environ.get("LULL", str(ROOT / "lull"))

SEED = """import mlx.core as mx
a = mx.array([1, 2, 3, 4])
b = mx.array([1.5, 2.5, 3.5, 4.5])
c = a + b
print(c)
"""
SEED_OUTPUT = "array([2.5, 4.5, 6.5, 8.5], dtype=float32)"


class Result:
    def __init__(self, done):
        self.code = done.returncode
        self.out = done.stdout
        self.err = done.stderr


def bare_path(folder):
    """A PATH on which nothing is but what ./lull itself needs."""
    made = folder / "bin"
    made.mkdir()
    for name in ("readlink", "dirname", "env", "sh"):
        (made / name).symlink_to(shutil.which(name))
    return str(made)


def wait_for_line(process, line, seconds=10):
    """Waits for the first line that a started program prints; never for ever."""
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    if not ready:
        process.kill()
        raise AssertionError(f"no {line!r} within {seconds} s")
    assert process.stdout.readline() == line + "\n"


@pytest.fixture
def lull(tmp_path):
    """Runs lull in an empty directory: lull("-c", "print(1)", stdin=..., env=...)."""

    def run(*arguments, stdin="", env=None, timeout=60, cwd=tmp_path):
        done = subprocess.run(
            [LULL, *map(str, arguments)],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=cwd,
            env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), **(env or {})},
        )
        return Result(done)

    return run
