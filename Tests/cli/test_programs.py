"""Every program of Tests/Programs prints what its .out file says, and what CPython prints."""

import functools
import os
import re
import shutil
import subprocess
import sys

import pytest

from conftest import LULL, ROOT

FOLDER = ROOT / "Tests" / "Programs"
# A file without .out is a module that a program imports.
PROGRAMS = [p for p in sorted(FOLDER.rglob("*.lull")) if p.with_suffix(".out").exists()]


def python_copy(path, tmp_path):
    """The program where CPython can run it: beside modules of its own it needs them as .py files."""
    folder = path.parent
    if all(p.with_suffix(".out").exists() for p in folder.rglob("*.lull")):
        return path
    copy = tmp_path / "program"
    shutil.copytree(folder, copy)
    for module in list(copy.rglob("*.lull")):
        module.rename(module.with_suffix(".py"))
    return copy / path.with_suffix(".py").name


@functools.cache
def cpython():
    """CPython 3.11 or later, or None."""
    for name in [sys.executable, "python3"]:
        path = shutil.which(name)
        if not path:
            continue
        code = "import sys; print(sys.implementation.name, sys.version_info >= (3, 11))"
        done = subprocess.run([path, "-c", code], capture_output=True, text=True)
        if done.stdout.split() == ["cpython", "True"]:
            return path
    return None


def run(command, **env):
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, cwd=FOLDER,
        env={**os.environ, **env},
    )


def is_plain_python(source):
    """Whether CPython can run it: it imports nothing of ours and expects no error of ours."""
    ours = re.search(r"^\s*(import|from)\s+(mlx|mlx_lm|lull|models|numpy)\b", source, re.M)
    return not ours and "# lull only" not in source


def test_there_are_programs():
    assert len(PROGRAMS) >= 400


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda p: str(p.relative_to(FOLDER)))
def test_program(path, tmp_path):
    expected = path.with_suffix(".out")
    done = run([LULL, str(path)])
    assert done.stdout == expected.read_text(), done.stderr
    # Everything in machine code from the first call on, and nothing in it.
    for setting in [{"LULL_HEAT": "0"}, {"LULL_JIT": "0"}]:
        other = run([LULL, str(path)], **setting)
        assert (other.stdout, other.returncode) == (done.stdout, done.returncode), other.stderr
    python = cpython()
    if python and is_plain_python(path.read_text()):
        reference = run([python, str(python_copy(path, tmp_path))])
        assert done.stdout == reference.stdout
        assert (done.returncode == 0) == (reference.returncode == 0), done.stderr
