"""Notebooks: the file format, headless runs, parameters, errors, time limits."""

import json
import os
import signal
import subprocess
import time

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from conftest import LULL, SEED, SEED_OUTPUT, wait_for_line


def write(path, *cells, **metadata):
    made = []
    for cell in cells:
        if isinstance(cell, str):
            cell = new_code_cell(cell)
        made.append(cell)
    nbformat.write(new_notebook(cells=made, metadata=metadata), str(path))
    return path


def read(path):
    """Validates as nbformat does and checks that it would write the very same bytes."""
    text = path.read_text()
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert nbformat.writes(notebook) + "\n" == text
    return notebook


def tagged(source, *tags):
    return new_code_cell(source, metadata={"tags": list(tags)})


def test_seed(lull, tmp_path):
    path = write(tmp_path / "seed.ipynb", SEED)
    result = lull("run", path, "-o", "out.ipynb")
    assert result.code == 0, result.err
    assert result.out == SEED_OUTPUT + "\n"
    assert "[1/1] import mlx.core as mx" in result.err
    cell = read(tmp_path / "out.ipynb").cells[0]
    assert cell.outputs == [new_output("stream", name="stdout", text=SEED_OUTPUT + "\n")]
    assert cell.execution_count == 1


def test_outputs(lull, tmp_path):
    path = write(
        tmp_path / "a.ipynb",
        new_markdown_cell("# Title\n\nText with ünïcode"),
        "x = 3\nx",
        "print('a'); print('b')\nimport sys\nsys.stderr.write('c\\n')\nprint('d')",
        "_ + Out[1]",
        "None",
        "print('10%\\r20%\\r100%')",
    )
    before = path.read_bytes()
    result = lull("run", path, "-o", "out.ipynb")
    assert result.code == 0, result.err
    assert path.read_bytes() == before
    notebook = read(tmp_path / "out.ipynb")
    code = [c for c in notebook.cells if c.cell_type == "code"]
    assert [c.execution_count for c in code] == [1, 2, 3, 4, 5]
    assert code[0].outputs[0].output_type == "execute_result"
    assert code[0].outputs[0].data == {"text/plain": "3"}
    assert [(o.name, o.text) for o in code[1].outputs] == [
        ("stdout", "a\nb\n"),
        ("stderr", "c\n"),
        ("stdout", "d\n"),
    ]
    assert code[2].outputs[0].data["text/plain"] == "6"
    assert code[3].outputs == []
    assert code[4].outputs[0].text == "100%\n"
    assert notebook.metadata.kernelspec == {"display_name": "Lull", "language": "python", "name": "lull"}
    assert notebook.metadata.language_info.name == "python"


def test_writes_nothing_without_output(lull, tmp_path):
    path = write(tmp_path / "a.ipynb", "print(1)")
    before = path.read_bytes()
    assert lull("run", path).out == "1\n"
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.ipynb"]


def test_in_place_and_round_trip(lull, tmp_path):
    path = write(tmp_path / "a.ipynb", new_markdown_cell("text\n"), "1 + 1", custom={"kept": [1, 2.5, None]})
    ids = [c.id for c in read(path).cells]
    assert lull("run", path, "--in-place").code == 0
    first = path.read_bytes()
    notebook = read(path)
    assert [c.id for c in notebook.cells] == ids
    assert notebook.metadata.custom == {"kept": [1, 2.5, None]}
    assert lull("run", path, "--in-place").code == 0
    assert path.read_bytes() == first
    assert [p.name for p in tmp_path.iterdir()] == ["a.ipynb"]


def test_lines_split_as_python_splits_them(lull, tmp_path):
    source = "print('x\\x0by\\u2028z')\n# \u2028 a\x0cb\n\n'end'"
    path = write(tmp_path / "a.ipynb", source)
    assert lull("run", path, "-o", "out.ipynb").code == 0
    cell = read(tmp_path / "out.ipynb").cells[0]
    assert cell.source == source
    assert cell.outputs[0].text == "x\x0by\u2028z\n"


def test_older_format(lull, tmp_path):
    cell = {"cell_type": "code", "source": "print(1)", "metadata": {}, "outputs": [], "execution_count": 7}
    old = {"cells": [cell, dict(cell)], "metadata": {}, "nbformat": 4, "nbformat_minor": 2}
    (tmp_path / "old.ipynb").write_text(json.dumps(old))
    assert lull("run", "old.ipynb", "-o", "a.ipynb").code == 0
    assert lull("run", "old.ipynb", "-o", "b.ipynb").code == 0
    notebook = read(tmp_path / "a.ipynb")
    assert notebook.nbformat_minor == 5
    ids = [c.id for c in notebook.cells]
    assert len(set(ids)) == 2 and all(len(i) == 8 for i in ids)
    assert (tmp_path / "a.ipynb").read_bytes() == (tmp_path / "b.ipynb").read_bytes()


def test_parameters(lull, tmp_path):
    path = write(tmp_path / "a.ipynb", tagged("n = 1\nname = 'x'", "parameters"), "print(n, name)")
    result = lull("run", path, "-p", "n", "[1, 2]", "-p", "name", "plain text", "-o", "out.ipynb")
    assert result.out == "[1, 2] plain text\n"
    notebook = read(tmp_path / "out.ipynb")
    assert notebook.cells[1].metadata.tags == ["injected-parameters"]
    assert notebook.cells[1].source == '# Parameters\nn = [1, 2]\nname = "plain text"'
    # A second run replaces what the first injected.
    result = lull("run", "out.ipynb", "-p", "n", "-2.5", "--in-place")
    assert result.out == "-2.5 x\n"
    assert len(read(tmp_path / "out.ipynb").cells) == 3


def test_parameters_without_a_tag_and_their_types(lull, tmp_path):
    path = write(tmp_path / "a.ipynb", "print([repr(v) for v in (a, b, c, d, e)])")
    result = lull(
        "run", path, "-p", "a", "1e3", "-p", "b", "True", "-p", "c", "__import__", "-p", "d", 'q"\\', "-p", "e", "null"
    )
    assert result.out == str([repr(v) for v in (1000.0, True, "__import__", 'q"\\', None)]) + "\n"


def test_failing_cell(lull, tmp_path):
    path = write(tmp_path / "a.ipynb", "print(1)", "def f():\n    return missing\nf()", "print(2)")
    result = lull("run", path, "-o", "out.ipynb")
    assert (result.code, result.out) == (1, "1\n")
    assert "NameError: name 'missing' is not defined" in result.err
    notebook = read(tmp_path / "out.ipynb")
    error = notebook.cells[1].outputs[0]
    assert (error.output_type, error.ename) == ("error", "NameError")
    assert error.evalue == "name 'missing' is not defined"
    assert error.traceback[0] == "Traceback (most recent call last):"
    assert '  File "<cell 2>", line 3, in <module>' in error.traceback
    assert notebook.cells[2].execution_count is None and notebook.cells[2].outputs == []


def test_allowed_errors(lull, tmp_path):
    path = write(tmp_path / "a.ipynb", "1 / 0", "print(2)")
    result = lull("run", path, "--allow-errors", "-o", "out.ipynb")
    assert (result.code, result.out) == (0, "2\n")
    assert read(tmp_path / "out.ipynb").cells[0].outputs[0].ename == "ZeroDivisionError"


def test_tags(lull, tmp_path):
    path = write(
        tmp_path / "a.ipynb",
        tagged("1 / 0", "raises-exception"),
        tagged("print('never')", "skip-execution"),
        "print('end')",
    )
    result = lull("run", path)
    assert (result.code, result.out) == (0, "end\n")


def test_timeout(lull, tmp_path):
    path = write(tmp_path / "a.ipynb", "print('start')\nwhile True: pass", "print('after')")
    start = time.monotonic()
    result = lull("run", path, "--timeout", "0.5", "-o", "out.ipynb")
    assert time.monotonic() - start < 10
    assert (result.code, result.out) == (1, "start\n")
    assert "did not end within" in result.err
    outputs = read(tmp_path / "out.ipynb").cells[0].outputs
    assert outputs[0].text == "start\n"
    assert outputs[1].ename == "CellTimeoutError"


def test_interrupt(tmp_path):
    path = write(tmp_path / "a.ipynb", "print('up')\nwhile True: pass")
    process = subprocess.Popen(
        [LULL, "run", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for_line(process, "up")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 130


def test_exit_in_a_cell(lull, tmp_path):
    path = write(tmp_path / "a.ipynb", "import sys\nsys.exit(7)", "print(1)")
    result = lull("run", path)
    assert (result.code, result.out) == (7, "")


TEXT = """# %% [markdown]
# # Title
# Some text.

# %% tags=["parameters"]
n = 3

# %%
print(n * 2)
"""


@pytest.mark.parametrize("suffix", [".lull", ".py"])
def test_text_notebook(lull, tmp_path, suffix):
    path = tmp_path / ("a" + suffix)
    path.write_text(TEXT)
    result = lull("run", path, "-p", "n", "5", "-o", "out.ipynb")
    assert (result.code, result.out) == (0, "10\n")
    notebook = read(tmp_path / "out.ipynb")
    assert [c.cell_type for c in notebook.cells] == ["markdown", "code", "code", "code"]
    assert notebook.cells[0].source == "# Title\nSome text."
    assert notebook.cells[1].metadata.tags == ["parameters"]
    assert path.read_text() == TEXT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        "{}",
        '{"nbformat": 3, "nbformat_minor": 0, "worksheets": []}',
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": 3}',
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "x"}]}',
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "code", "source": 3}]}',
        "\x00\x01\x02",
        '{"nbformat": 4, "cells": [' + "[" * 100000,
    ],
)
def test_malformed(lull, tmp_path, text):
    (tmp_path / "bad.ipynb").write_text(text)
    result = lull("run", "bad.ipynb")
    assert result.code == 1
    assert len(result.err.splitlines()) == 1 and "bad.ipynb" in result.err
    assert "Traceback" not in result.err


def test_missing(lull):
    result = lull("run", "none.ipynb")
    assert result.code == 1
    assert result.err == "lull: no notebook 'none.ipynb'\n"


def test_output_that_cannot_be_written(lull, tmp_path):
    path = write(tmp_path / "a.ipynb", "print(1)")
    result = lull("run", path, "-o", "no/such/folder/out.ipynb")
    assert result.code == 1
    assert len(result.err.splitlines()) == 1


def test_mutated_notebooks(lull, tmp_path):
    """Damaged files are errors, never crashes; each is one line or runs."""
    import random

    source = nbformat.writes(
        new_notebook(cells=[new_markdown_cell("a"), new_code_cell("1"), new_code_cell("x = [1]\nx")])
    )
    generator = random.Random(1)
    for _ in range(60):
        data = bytearray(source.encode())
        for _ in range(generator.randrange(1, 6)):
            k = generator.randrange(len(data))
            if generator.random() < 0.5:
                data[k] = generator.randrange(256)
            else:
                del data[k : k + generator.randrange(1, 20)]
        (tmp_path / "m.ipynb").write_bytes(bytes(data))
        assert lull("run", "m.ipynb").code in (0, 1), bytes(data)


MUTATED = [
    "%time x = ones((2, 3)) @ ones((3, 2))\nx",
    "y = %pwd\ny?",
    "%%time\nfor i in range(3):\n    z = i % 2\nz",
    "%timeit -n 2 -r 1 [k % 3 for k in range(5)]",
    'a = """\n%who\n"""\n(a,\n % b) ??',
    '%generate m "Why?" --max-tokens 9 --temp=0.5',
    "def f(x, *, k=1):\n    return x[k:-1, ...] if x else {**{}}\nf([1, 2])",
    "f'{1 + 1:>{4}}' \\\n  % 3",
    "!ls\n?x",
]


def test_mutated_cells(lull, tmp_path):
    """Damaged cells, with and without commands, are errors of theirs and never end the session."""
    import random

    generator = random.Random(2)
    cells = []
    for _ in range(600):
        text = list(generator.choice(MUTATED))
        for _ in range(generator.randrange(1, 5)):
            text = text or ["x"]
            k = generator.randrange(len(text))
            action = generator.random()
            if action < 0.4:
                text[k] = generator.choice("%?!()[]{}'\"\\\n #=:,.\t-é😀x0")
            elif action < 0.7:
                del text[k : k + generator.randrange(1, 4)]
            else:
                text.insert(k, generator.choice(MUTATED)[: generator.randrange(6)])
        cells.append(new_code_cell("".join(text)))
    path = write(tmp_path / "a.ipynb", *cells, "print('alive')")
    result = lull("run", path, "--allow-errors", "--timeout", "5", timeout=120)
    assert result.code == 0, result.err[-500:]
    assert result.out.endswith("alive\n")


def test_memory_of_small_objects_goes_back_between_cells(lull, tmp_path):
    resident = "print(int(open('/proc/self/statm').read().split()[1]) * 4096 >> 20)"
    path = write(
        tmp_path / "memory.ipynb", "a = [(i, str(i)) for i in range(2000000)]\n" + resident, "del a",
        # The release may rest for a cell.
        "1", "2", resident,
        # Of another size, in the chunks that became free; what lives is whole.
        "b = [{i: [i]} for i in range(200000)]\nassert all(b[i][i] == [i] for i in range(200000))", resident,
    )
    out = tmp_path / "out.ipynb"
    assert lull("run", path, "-o", out).code == 0
    full, empty, after = [int(c.outputs[0].text) for c in read(out).cells if c.outputs and "text" in c.outputs[0]]
    assert full > 250 and empty < full / 2 and after < full


def test_display_updates(lull, tmp_path):
    path = write(
        tmp_path / "a.ipynb",
        "h = display('one', display_id='shown')\nprint('between')\ndisplay('other')",
        "h.update('two')",
        "h.display('three')\nupdate_display('four', display_id='shown')",
        "from IPython.display import HTML\nh.update(HTML('<b>five</b>'), metadata={'text/html': {'isolated': True}})",
    )
    assert lull("run", path, "-o", "out.ipynb").code == 0
    cells = read(tmp_path / "out.ipynb").cells
    assert cells[0].outputs[0].data == {"text/plain": "<IPython.display.HTML object>", "text/html": "<b>five</b>"}
    assert cells[0].outputs[0].metadata == {"text/html": {"isolated": True}}
    assert cells[0].outputs[1].text == "between\n" and cells[0].outputs[2].data == {"text/plain": "'other'"}
    assert cells[1].outputs == [] and cells[3].outputs == []
    assert cells[2].outputs[0].data["text/html"] == "<b>five</b>"
    assert "transient" not in (tmp_path / "out.ipynb").read_text()


def test_clear_output(lull, tmp_path):
    path = write(
        tmp_path / "a.ipynb",
        "print('gone')\ndisplay(1)\nclear_output()\nprint('kept')",
        "print('a')\nclear_output(wait=True)\nprint('b')\nclear_output(wait=True)",
        "h = display('x', display_id='i')\nclear_output(wait=True)\nh.update('y')",
        "h.update('z')",
        "1\ndisplay(2, clear=True)",
    )
    assert lull("run", path, "-o", "out.ipynb").code == 0
    cells = read(tmp_path / "out.ipynb").cells
    assert [o.text for o in cells[0].outputs] == ["kept\n"]
    assert [o.text for o in cells[1].outputs] == ["b\n"]
    assert cells[2].outputs[0].data == {"text/plain": "'z'"}
    assert [o.data for o in cells[4].outputs] == [{"text/plain": "2"}]
