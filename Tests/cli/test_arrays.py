"""Array programs (Tests/Arrays): gradients against differences, results against what MLX prints for the same program."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ARRAYS = ROOT / "Tests" / "Arrays"
LULL = os.environ.get("LULL", str(ROOT / "lull"))


def lull(program, level=None):
    env = dict(os.environ)
    if level is not None:
        env["LULL_SIMD"] = level
    run = subprocess.run([LULL, str(program)], capture_output=True, text=True, timeout=300, env=env)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr
    return run.stdout.splitlines()


@pytest.mark.parametrize("name", sorted(p.stem for p in ARRAYS.glob("*_gradients.lull")))
def test_gradients(name):
    assert lull(ARRAYS / f"{name}.lull")[-1].endswith("gradients")


@pytest.mark.parametrize("level", ["0", "1", None])
@pytest.mark.parametrize("name", sorted(p.stem for p in ARRAYS.glob("*.expected")))
def test_results(name, level):
    found = lull(ARRAYS / f"{name}.lull", level)
    wanted = (ARRAYS / f"{name}.expected").read_text().splitlines()
    assert len(found) == len(wanted)
    for line, reference in zip(found, wanted):
        head, *values = line.rsplit(" ", 2)
        expected_head, *expected = reference.rsplit(" ", 2)
        assert head == expected_head
        if values == expected:
            continue
        # The second number is the sum of absolute values: the size of what was added up.
        size = max(1.0, abs(float(expected[1])))
        for value, wanted_value in zip(values, expected):
            assert abs(float(value) - float(wanted_value)) <= 5e-5 * size + 2e-3, (line, reference)


def test_borrowed():
    assert lull(ARRAYS / "borrowed.lull") == ["63 agreed"]


def test_errors_and_kinds():
    lull(ARRAYS / "engine_errors.lull")


def test_shapeless():
    """Compiled without shapes: what does not follow the sizes of its inputs raises."""
    results, gradients = lull(ARRAYS / "shapeless.lull")
    assert results.startswith("results 116 agree;") and gradients.startswith("gradients 96 agree;")
    assert ":" not in results + gradients


@pytest.mark.parametrize("name", ["kept_kernels", "graph_pictures"])
def test_compiled(name):
    assert lull(ARRAYS / f"{name}.lull") == ["ok"]


@pytest.mark.parametrize("level", ["0", "1", None])
def test_memory(level):
    """Whose memory results take over, by the kernels of each instruction set."""
    assert lull(ARRAYS / "memory.lull", level) == ["ok"]


def test_products():
    assert lull(ARRAYS / "products.lull")[-1].endswith("products")


@pytest.mark.parametrize("level", ["0", "1", None])
def test_epilogues(level):
    assert lull(ARRAYS / "epilogues.lull", level)[-1].endswith("epilogues")


@pytest.mark.parametrize("level", ["0", "1", None])
@pytest.mark.parametrize("name", ["factorisations", "few_channels", "doubles"])
def test_kernels(name, level):
    """What checks itself, by the kernels of each instruction set."""
    assert int(lull(ARRAYS / f"{name}.lull", level)[-1].split()[0]) > 300
