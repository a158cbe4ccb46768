"""Every transcript in docs/ and the README prints what it shows.

A transcript is a code block whose lines begin with `>>> ` or `... `. One file is one session: its cells run in
order as a notebook, and what each cell prints or raises is compared with the block.
"""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LULL = os.environ.get("LULL", str(ROOT / "lull"))
PAGES = [p for p in sorted(ROOT.glob("docs/*.md")) + [ROOT / "README.md"] if "\n>>> " in p.read_text()]


def cells_of(text):
    """Pairs (source, expected lines); an expected line `...` alone stands for any lines."""
    cells = []
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S):
        if not block.startswith(">>> "):
            continue
        for line in block.splitlines():
            if line.startswith(">>> "):
                cells.append(([line[4:]], []))
            elif line.startswith("... ") or line == "...":
                if cells[-1][1]:
                    cells[-1][1].append(line)
                else:
                    cells[-1][0].append(line[4:])
            else:
                cells[-1][1].append(line)
    return [("\n".join(source), expected) for source, expected in cells]


def printed(cell):
    text = ""
    for output in cell["outputs"]:
        if output["output_type"] == "stream":
            text += "".join(output["text"])
        elif output["output_type"] == "error":
            text += re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(output["traceback"])) + "\n"
        else:
            text += "".join(output["data"]["text/plain"]) + "\n"
    return text.rstrip("\n").split("\n") if text.strip("\n") else []


def matches(found, expected):
    if "..." not in expected:
        return found == expected
    at = expected.index("...")
    head, tail = expected[:at], expected[at + 1 :]
    return found[: len(head)] == head and (not tail or found[-len(tail) :] == tail)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_transcripts(page, tmp_path):
    cells = cells_of(page.read_text())
    assert cells
    notebook = {
        "cells": [
            {"cell_type": "code", "execution_count": None, "id": f"c{i}", "metadata": {}, "outputs": [], "source": source}
            for i, (source, _) in enumerate(cells)
        ],
        "metadata": {}, "nbformat": 4, "nbformat_minor": 5,
    }
    path = tmp_path / "page.ipynb"
    path.write_text(json.dumps(notebook))
    run = subprocess.run(
        [LULL, "run", str(path), "-o", str(tmp_path / "out.ipynb"), "--allow-errors"],
        capture_output=True, text=True, cwd=ROOT, timeout=300,
    )
    assert run.returncode == 0, run.stderr
    done = json.loads((tmp_path / "out.ipynb").read_text())
    for (source, expected), cell in zip(cells, done["cells"]):
        expected = [line for line in expected]
        while expected and not expected[-1]:
            expected.pop()
        found = printed(cell)
        assert matches(found, expected), f"{page.name}: {source}\n--- shown\n" + "\n".join(expected) + "\n--- printed\n" + "\n".join(found)
