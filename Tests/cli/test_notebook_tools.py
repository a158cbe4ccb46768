"""`lull run`'s options, `lull check`, `lull export` and `lull new`."""

import html.parser
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbformat import v4
from test_examples import LULL

ROOT = Path(__file__).resolve().parents[2]


def lull(*arguments, cwd, code=0):
    run = subprocess.run([LULL, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, timeout=120)
    assert run.returncode == code, run.stdout + run.stderr
    return run


def notebook(path, *cells, **metadata):
    """Writes a notebook; a cell is its source, or (source, tags)."""
    made = []
    for i, cell in enumerate(cells):
        source, tags = cell if isinstance(cell, tuple) else (cell, [])
        made.append(v4.new_code_cell(source, id=f"c{i}", metadata={"tags": tags} if tags else {}))
    nbformat.write(v4.new_notebook(cells=made, metadata=metadata), path)
    return path


def texts(path):
    """What each code cell of an executed notebook shows."""
    read = nbformat.read(path, as_version=4)
    nbformat.validate(read)
    return [
        "".join(o.get("text") or o.get("data", {}).get("text/plain") or o.get("ename", "") for o in c.outputs)
        for c in read.cells
        if c.cell_type == "code"
    ]


# --- run


def test_parameters(tmp_path):
    notebook(tmp_path / "n.ipynb", ("n = 1  # how many\nname = 'a'\nrates = [1]", ["parameters"]), "print(n, repr(name), rates)")
    (tmp_path / "p.json").write_text('{"n": 5, "rates": [0.5, true, null, "x\\"y"]}')
    (tmp_path / "p.yaml").write_text("n: 7\nname: text\n")
    lull("run", "n.ipynb", "-o", "a.ipynb", "-f", "p.json", "-r", "name", "12", cwd=tmp_path)
    assert texts(tmp_path / "a.ipynb")[-1] == "5 '12' [0.5, True, None, 'x\"y']\n"
    lull("run", "n.ipynb", "-o", "b.ipynb", "-f", "p.yaml", "-p", "n", "8", cwd=tmp_path)
    assert texts(tmp_path / "b.ipynb")[-1] == "8 'text' [1]\n"
    # A run's own output runs again, with other parameters in place of those.
    lull("run", "b.ipynb", "--in-place", "-p", "n", "9", cwd=tmp_path)
    assert texts(tmp_path / "b.ipynb") == ["", "", "9 'a' [1]\n"]
    run = lull("run", "n.ipynb", "-p", "nmae", "8", cwd=tmp_path)
    assert "the cell of parameters does not set 'nmae'; did you mean 'name'?" in run.stderr
    assert lull("run", "n.ipynb", "--list-parameters", cwd=tmp_path).stdout == "n = 1  # how many\nname = 'a'\nrates = [1]\n"
    (tmp_path / "bad.json").write_text("[1]")
    assert "must hold names and values, not list" in lull("run", "n.ipynb", "-f", "bad.json", cwd=tmp_path, code=1).stderr
    (tmp_path / "bad.yaml").write_text("two words: 1\n")
    assert "is not a name for a parameter" in lull("run", "n.ipynb", "-f", "bad.yaml", cwd=tmp_path, code=1).stderr
    assert "cannot read" in lull("run", "n.ipynb", "-f", "no.json", cwd=tmp_path, code=1).stderr


def test_failing_cells(tmp_path):
    notebook(tmp_path / "n.ipynb", "print(1)", "1 / 0", "print(2)", ("print(3)", ["raises-exception"]))
    lull("run", "n.ipynb", "-o", "out.ipynb", cwd=tmp_path, code=1)
    assert texts(tmp_path / "out.ipynb") == ["1\n", "ZeroDivisionError", "", ""]
    run = lull("run", "n.ipynb", "-o", "out.ipynb", "--keep-going", cwd=tmp_path, code=1)
    assert texts(tmp_path / "out.ipynb") == ["1\n", "ZeroDivisionError", "2\n", "3\n"]
    assert "cell 4 is tagged raises-exception, and raised none" in run.stderr
    lull("run", "n.ipynb", "--allow-errors", cwd=tmp_path)


def test_quiet(tmp_path):
    notebook(tmp_path / "n.ipynb", "print('shown')", "5", "1 / 0")
    run = lull("run", "n.ipynb", "-q", cwd=tmp_path, code=1)
    assert run.stdout == "" and "ZeroDivisionError" in run.stderr and "[2/3]" in run.stderr


def test_total_timeout(tmp_path):
    notebook(tmp_path / "n.ipynb", "import time\nprint('a')", "while True: pass", "print('b')")
    run = lull("run", "n.ipynb", "-o", "out.ipynb", "--total-timeout", "0.5", "--keep-going", cwd=tmp_path, code=1)
    assert "the notebook did not end within 500.00 ms" in run.stderr
    assert texts(tmp_path / "out.ipynb") == ["a\n", "CellTimeoutError", ""]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_what_it_has(tmp_path, number):
    notebook(tmp_path / "n.ipynb", "print('a')", "print('b', flush=True)\nwhile True: pass", "print('c')")
    process = subprocess.Popen(
        [LULL, "run", "n.ipynb", "-o", "out.ipynb"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "a\n" and process.stdout.readline() == "b\n"
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert texts(tmp_path / "out.ipynb") == ["a\n", "b\nKeyboardInterrupt", ""]


def test_a_killed_run_leaves_a_whole_file(tmp_path):
    notebook(tmp_path / "n.ipynb", "print('a')", "import time\nprint('b', flush=True)\ntime.sleep(60)")
    process = subprocess.Popen([LULL, "run", "n.ipynb", "--in-place"], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "a\n" and process.stdout.readline() == "b\n"
    process.kill()
    process.wait()
    assert texts(tmp_path / "n.ipynb") == ["a\n", ""]


def test_hidden_state_is_reported(tmp_path):
    notebook(
        tmp_path / "n.ipynb", "def f():\n    return later\nprint([i for i in range(3)], abs(-1), np.pi)", "print(x)", "x = later = 1",
        "%time y = x + 1\nif y > 5:\n    del y", "del x", "(lambda q: q)(x)", "class A:\n    b = 1\n    c = b + 1",
    )
    run = lull("run", "n.ipynb", "--keep-going", cwd=tmp_path, code=1)
    warnings = [line for line in run.stderr.splitlines() if line.startswith("warning: ")]
    assert warnings == [
        "warning: cell 2 uses 'x', which only cell 3, further down, defines", "warning: cell 6 uses 'x', which cell 5 deletes",
    ]
    assert "note: cell 3, further down, defines 'x'" in run.stderr


def test_running_again_changes_nothing(tmp_path):
    notebook(tmp_path / "n.ipynb", "x = arange(4)", "x * 2", "print(x.sum())\nprint('two')", "1 / 0", kernelspec={
        "name": "lull", "display_name": "Lull", "language": "python"})
    lull("run", "n.ipynb", "--in-place", "--allow-errors", cwd=tmp_path)
    first = (tmp_path / "n.ipynb").read_bytes()
    lull("run", "n.ipynb", "--in-place", "--allow-errors", cwd=tmp_path)
    assert (tmp_path / "n.ipynb").read_bytes() == first


# --- check


def test_check(tmp_path):
    notebook(
        tmp_path / "n.ipynb", "mx.array([1.0, 2.5]) / 3", "print('text', 0.1 + 0.2)", ("import time\ntime.time()", ["nbval-ignore-output"]),
        "# NBVAL_SKIP\n1 / 0", "[1][5]", "object()",
    )
    lull("run", "n.ipynb", "--in-place", "--allow-errors", cwd=tmp_path)
    assert lull("check", "n.ipynb", cwd=tmp_path).stdout == "n.ipynb: 6 cells, as stored\n"
    source = (tmp_path / "n.ipynb").read_text()
    # Within the tolerance, and beyond it.
    (tmp_path / "n.ipynb").write_text(source.replace("0.333333", "0.3333331"))
    lull("check", "n.ipynb", cwd=tmp_path)
    assert "cell 1: text/plain differs" in lull("check", "n.ipynb", "--rtol", "0", "--atol", "0", cwd=tmp_path, code=1).stdout
    (tmp_path / "n.ipynb").write_text(source.replace("0.333333", "0.3334").replace('"text ', '"other '))
    run = lull("check", "n.ipynb", cwd=tmp_path, code=1)
    assert "  - array([0.3334, 0.833333], dtype=float32)\n  + array([0.333333, 0.833333], dtype=float32)\n" in run.stdout
    assert "cell 2: stdout differs:\n  - other 0.30000000000000004\n  + text 0.30000000000000004\n" in run.stdout
    assert run.stdout.endswith("n.ipynb: 2 problems in 6 cells\n")


def test_check_of_errors_and_order(tmp_path):
    notebook(tmp_path / "n.ipynb", "x = 1", ("x + 1", ["raises-exception"]), "x", "y", "y = 2")
    lull("run", "n.ipynb", "--in-place", "--allow-errors", cwd=tmp_path)
    read = nbformat.read(tmp_path / "n.ipynb", as_version=4)
    read.cells[0].execution_count = 7
    read.cells[2].outputs = []
    read.cells[3].outputs = read.cells[1].outputs
    nbformat.write(read, tmp_path / "n.ipynb")
    out = lull("check", "n.ipynb", cwd=tmp_path, code=1).stdout
    for text in (
        "cell 4: uses 'y', which only cell 5, further down, defines", "cell 2: was run before the one above it",
        "cell 2: is tagged raises-exception, and raised none", "cell 3: shows more than stored:\n  + 1\n",
        "cell 4: failed: NameError",
    ):
        assert text in out, out
    assert lull("check", "no.ipynb", cwd=tmp_path, code=1).stderr == "lull: no notebook 'no.ipynb'\n"
    (tmp_path / "t.lull").write_text("1\n")
    assert "has no outputs to check" in lull("check", "t.lull", cwd=tmp_path, code=1).stderr


def test_check_of_a_notebook_that_was_never_run(tmp_path):
    notebook(tmp_path / "n.ipynb", "x = 1", "x")
    assert "cell 2: has no stored outputs" in lull("check", "n.ipynb", cwd=tmp_path, code=1).stdout


# --- export


class Page(html.parser.HTMLParser):
    VOID = {"meta", "link", "br", "hr", "img", "input", "wbr", "col", "source"}

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.tags = [], [], []
        self.feed(text)
        assert self.open == [], self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href", "srcset", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open and self.open[-1] == tag, (self.open, tag)
            self.open.pop()


def test_html(tmp_path):
    made = v4.new_notebook(cells=[
        v4.new_markdown_cell("# A <title> & more\n\n| a | b |\n| - | - |\n| 1 | ~~2~~ |\n\n```python\nx < 1\n```\n<script>alert(1)</script>"),
        v4.new_code_cell("for i in range(3):  # a < b\n    print(f'{i}<&>')\n%time 1 + 1", execution_count=3, outputs=[
            v4.new_output("stream", text="0<&>\nbar 10%\rbar 99%\n\x1b[31mred\x1b[0m \x1b[38;5;196mmore\x1b[1m bold\x1b[0m"),
            v4.new_output("stream", name="stderr", text="warning"),
            v4.new_output("display_data", {"image/png": "aGk=\n", "text/plain": "a \"picture\""}),
            v4.new_output("display_data", {"text/html": "<table><tr><td>cell</td></tr></table>", "text/plain": "table"}),
            v4.new_output("display_data", {"image/svg+xml": "<?xml version='1.0'?><svg viewBox='0 0 1 1'></svg>", "text/plain": "s"}),
            v4.new_output("display_data", {"text/markdown": "*star*", "text/plain": "s"}),
            v4.new_output("error", ename="ValueError", evalue="<bad>", traceback=["Traceback", "ValueError: <bad>"]),
        ]),
        v4.new_raw_cell("raw < text"), v4.new_code_cell("hidden = 1", metadata={"tags": ["hide-input"]}),
    ])
    made.cells[0].attachments = {"p.png": {"image/png": "aGk="}}
    made.cells[0].source += "\n![text](attachment:p.png)"
    nbformat.write(made, tmp_path / "n.ipynb")
    assert lull("export", "n.ipynb", cwd=tmp_path).stdout == "n.html\n"
    text = (tmp_path / "n.html").read_text()
    page = Page(text)
    assert all(a.startswith("data:") for a in page.addresses), page.addresses
    assert "script" not in page.tags and "default-src 'none'" in text
    assert "<title>A &lt;title&gt; &amp; more</title>" in text
    assert page.tags.count("table") == 2 and page.tags.count("img") == 2 and "del" in page.tags and "svg" in page.tags
    for part in (
        '<span class="k">for</span>', '<span class="c"># a &lt; b</span>', '<span class="m">%time</span>', "bar 99%",
        '<span style="color:var(--t1)">red</span>', "rgb(255,0,0);font-weight:bold", "ValueError: &lt;bad&gt;", "<em>star</em>",
        "data:image/png;base64,aGk=", 'alt="a &quot;picture&quot;"', "raw &lt; text", '<span class="count">3</span>',
    ):
        assert part in text, part
    assert "bar 10%" not in text and "hidden" not in text and "<?xml" not in text


def test_every_notebook_of_ours(tmp_path):
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        own = nbformat.read(path, as_version=4)
        nbformat.validate(own)
        copy = tmp_path / path.name
        copy.write_bytes(path.read_bytes())
        lull("export", copy.name, "--to", "html", cwd=tmp_path)
        Page(copy.with_suffix(".html").read_text())
        lull("export", copy.name, "--to", "lull", cwd=tmp_path)
        lull("export", copy.with_suffix(".lull").name, "-o", "again.ipynb", cwd=tmp_path)
        again = nbformat.read(tmp_path / "again.ipynb", as_version=4)
        (tmp_path / "again.ipynb").unlink()
        assert [(c.cell_type, c.id, c.source, c.metadata) for c in own.cells] == [
            (c.cell_type, c.id, c.source, c.metadata) for c in again.cells
        ]
        # With the file in place its outputs stay.
        lull("export", copy.with_suffix(".lull").name, "-o", copy.name, cwd=tmp_path)
        assert json.loads(copy.read_text())["cells"] == json.loads(path.read_text())["cells"]
        # Jupytext's percent format, there and back.
        percent = jupytext.writes(own, fmt="py:percent")
        back = jupytext.reads(percent, fmt="py:percent")
        assert [c.source for c in back.cells] == [c.source for c in own.cells]


AWKWARD = [
    "", "\n", "\n\nx = 1\n\n", "# %% not a marker\nx = 1", "x = '''\n# %%\n'''", "%time 1 + 1\n!ls", "# [markdown]\n#comment", "é = 'λ'",
    "a\tb", "#\n# \n#  x", "x\r\ny", '"""doc"""',
]


@pytest.mark.parametrize("kind", ["code", "markdown", "raw"])
def test_text_and_back_is_loss_free(tmp_path, kind):
    make = {"code": v4.new_code_cell, "markdown": v4.new_markdown_cell, "raw": v4.new_raw_cell}[kind]
    cells = [make(source) for source in AWKWARD]
    cells[2].metadata = {"tags": ["a", "b c"], "title": "Of 2 parts", "deep": {"x": [1, None, "] y=1 ["]}, "text": 'with "quotes" = '}
    cells[3].metadata = {"title": "odd [raw] = title", "collapsed": True}
    if kind != "code":
        cells[4]["attachments"] = {"a b.png": {"image/png": "aGk="}}
    made = v4.new_notebook(cells=cells, metadata={
        "kernelspec": {"name": "lull", "display_name": "Lull: 'x'", "language": "python"}, "own": {"list": [1, {"a": "b: c"}]}, "n": 1.5})
    nbformat.write(made, tmp_path / "n.ipynb")
    lull("export", "n.ipynb", "-o", "n.lull", cwd=tmp_path)
    lull("export", "n.lull", "-o", "back.ipynb", cwd=tmp_path)
    assert json.loads((tmp_path / "back.ipynb").read_text()) == json.loads((tmp_path / "n.ipynb").read_text())


def test_jupytext_reads_our_text_and_we_its(tmp_path):
    made = v4.new_notebook(cells=[
        v4.new_markdown_cell("# Title\n\ntext"), v4.new_code_cell("x = 1\n\ny = 2", metadata={"tags": ["parameters"]}),
        v4.new_raw_cell("raw"), v4.new_code_cell("x + y"),
    ], metadata={"kernelspec": {"name": "lull", "display_name": "Lull", "language": "python"}})
    nbformat.write(made, tmp_path / "n.ipynb")
    lull("export", "n.ipynb", "-o", "n.py", cwd=tmp_path)

    def shape(read):
        return [(c.cell_type, c.source, c.metadata.get("tags")) for c in read.cells]

    assert shape(jupytext.read(tmp_path / "n.py", fmt="py:percent")) == shape(made)
    jupytext.write(made, tmp_path / "theirs.py", fmt="py:percent")
    lull("export", "theirs.py", "-o", "theirs.ipynb", cwd=tmp_path)
    theirs = nbformat.read(tmp_path / "theirs.ipynb", as_version=4)
    assert shape(theirs) == shape(made) and theirs.metadata.kernelspec.name == "lull"
    assert theirs.metadata.jupytext.text_representation.format_name == "percent"


def test_changed_text_keeps_the_outputs_of_other_cells(tmp_path):
    notebook(tmp_path / "n.ipynb", "1 + 1", "2 + 2", "3 + 3")
    lull("run", "n.ipynb", "--in-place", cwd=tmp_path)
    lull("export", "n.ipynb", "-o", "n.lull", cwd=tmp_path)
    text = (tmp_path / "n.lull").read_text()
    (tmp_path / "n.lull").write_text(text.replace("2 + 2", "2 + 20") + "\n# %%\n4\n")
    lull("export", "n.lull", "-o", "n.ipynb", cwd=tmp_path)
    assert texts(tmp_path / "n.ipynb") == ["2", "", "6", ""]


def test_export_says_what_is_wrong(tmp_path):
    notebook(tmp_path / "n.ipynb", "1")
    assert "must end in .html, .lull, .py or .ipynb" in lull("export", "n.ipynb", "-o", "n.pdf", cwd=tmp_path, code=1).stderr
    assert "would be written over itself" in lull("export", "n.ipynb", "-o", "n.ipynb", cwd=tmp_path, code=2).stderr
    assert "--to takes html, lull, py or ipynb, not 'pdf'" in lull("export", "n.ipynb", "--to", "pdf", cwd=tmp_path, code=2).stderr
    assert "no notebook 'x.ipynb'" in lull("export", "x.ipynb", cwd=tmp_path, code=1).stderr
    made = v4.new_notebook(cells=[v4.new_markdown_cell("text")])
    nbformat.write(made, tmp_path / "m.ipynb")
    (tmp_path / "bin").mkdir()
    for name in ("readlink", "dirname", "sh"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name))
    environment = {**os.environ, "PATH": str(tmp_path / "bin")}
    run = subprocess.run([LULL, "export", "m.ipynb"], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert run.returncode == 1 and "the program 'cmark-gfm' is not there (Debian: cmark-gfm)" in run.stderr


def test_new(tmp_path):
    lull("new", "My notes.ipynb", "--title", "On arrays", cwd=tmp_path)
    made = nbformat.read(tmp_path / "My notes.ipynb", as_version=4)
    nbformat.validate(made)
    assert made.cells[0].source == "# On arrays" and made.metadata.kernelspec.name == "lull"
    lull("run", "My notes.ipynb", cwd=tmp_path)
    lull("new", "plain.lull", cwd=tmp_path)
    assert (tmp_path / "plain.lull").read_text() == "# %% [markdown]\n# # plain\n\n# %%\n"
    assert "is there already" in lull("new", "plain.lull", cwd=tmp_path, code=1).stderr
    assert "must end in" in lull("new", "plain.txt", cwd=tmp_path, code=1).stderr


@pytest.mark.parametrize("program", ["run", "check", "export", "new"])
def test_usage(tmp_path, program):
    assert lull(program, "--help", cwd=tmp_path).stdout.startswith(f"usage: lull {program} NOTEBOOK")
    assert f"lull {program}: name the notebook" in lull(program, cwd=tmp_path, code=2).stderr
    assert "unknown option '--no-such'" in lull(program, "x.ipynb", "--no-such", cwd=tmp_path, code=2).stderr


def test_damaged_notebooks_never_crash(tmp_path):
    made = notebook(tmp_path / "n.ipynb", "print(1)", "1 / 0")
    lull("run", made, "--in-place", "--allow-errors", cwd=tmp_path)
    good = made.read_text()
    # Each value of the file becomes one of another kind.
    places = [m.span() for m in re.finditer(r'(?<=: )("[^"]*"|\d+|null|\{\}|\[\])', good)]
    start = time.monotonic()
    for first, last in places:
        for other in ("null", "7", '"x"', "[[]]", '{"a": null}'):
            if time.monotonic() - start > 60:
                return
            (tmp_path / "d.ipynb").write_text(good[:first] + other + good[last:])
            for command in (["export", "d.ipynb", "--to", "html"], ["export", "d.ipynb", "--to", "lull"], ["check", "d.ipynb"]):
                run = subprocess.run([LULL, *command], capture_output=True, text=True, cwd=tmp_path, timeout=60)
                assert run.returncode in (0, 1), (other, good[first - 30 : last], run.stderr)
