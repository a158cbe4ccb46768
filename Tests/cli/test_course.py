"""The course: every lesson in notebooks/ is valid, says what it stored, and has solved exercises."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest
from conftest import LULL, ROOT

LESSONS = sorted((ROOT / "notebooks").glob("[0-9][0-9]-*.ipynb"))


@pytest.fixture(params=LESSONS, ids=lambda path: path.stem)
def lesson(request):
    return request.param


def text(cell):
    return "".join(cell["source"])


def test_there_are_lessons():
    assert LESSONS


def test_valid(lesson):
    nbformat.validate(nbformat.read(lesson, as_version=4))
    # nbformat mends ids while it reads, so the file itself is looked at.
    cells = json.loads(lesson.read_text())["cells"]
    ids = [cell.get("id") for cell in cells]
    assert all(ids) and len(set(ids)) == len(ids), ids
    assert lesson.stat().st_size < 400_000


def test_outputs(lesson):
    """A cell has an error as its output only where one is shown on purpose, and there it has."""
    for cell in nbformat.read(lesson, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        failed = [output.evalue for output in cell.outputs if output.output_type == "error"]
        wanted = "raises-exception" in cell.metadata.get("tags", [])
        assert bool(failed) == wanted, (cell.id, failed)
        for output in cell.outputs:
            assert len(output.get("data", {}).get("image/svg+xml", "")) < 60_000, cell.id


def test_exercises(lesson):
    """Each exercise has its number, a solution that opens on request, and a cell that checks."""
    cells = nbformat.read(lesson, as_version=4).cells
    starts = [i for i, cell in enumerate(cells) if cell.cell_type == "markdown" and "**Exercise " in text(cell)]
    numbers = [int(n) for i in starts for n in re.findall(r"\*\*Exercise (\d+)\.\*\*", text(cells[i]))]
    assert len(starts) >= 3 and numbers == list(range(1, len(starts) + 1)), numbers
    for start, end in zip(starts, [*starts[1:], len(cells)]):
        part = cells[start:end]
        assert any("<details><summary>Solution</summary>" in text(c) and "</details>" in text(c) for c in part), part[0].id
        assert any(c.cell_type == "code" and re.search(r"^\s*assert ", text(c), re.M) for c in part), part[0].id


def test_closing(lesson):
    """It says what to remember, and its links lead to lessons and files that exist."""
    cells = nbformat.read(lesson, as_version=4).cells
    assert "## What to remember" in text(cells[-1])
    for cell in cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\(([^)#:]+)\)", text(cell)):
                assert (lesson.parent / target).exists(), (cell.id, target)


def test_runs_as_stored(lesson, tmp_path):
    """The stored outputs are those of a run of today."""
    if re.search(r"models/[\w.-]+\.gguf", lesson.read_text()) and not list((ROOT / "models").glob("*.gguf")):
        pytest.skip("needs the model: scripts/fetch-model")
    if "image/svg+xml" in lesson.read_text() and shutil.which("gnuplot") is None:
        pytest.skip("needs gnuplot")
    check = subprocess.run([LULL, "check", lesson, "--rtol", "1e-4"], capture_output=True, text=True, cwd=ROOT, timeout=180)
    assert check.returncode == 0, check.stdout + check.stderr


def test_list():
    """docs/course.md links to every lesson, and to nothing that is missing."""
    links = re.findall(r"\]\(([^)]+)\)", (ROOT / "docs" / "course.md").read_text())
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
    assert {path.name for path in LESSONS} <= {Path(link).name for link in links}
