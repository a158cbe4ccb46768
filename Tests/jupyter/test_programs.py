"""Jupyter's own programs run notebooks with the kernel: nbconvert, nbclient, papermill, the console."""

import os
import re
import subprocess
import sys
import time

import nbformat
import pexpect
import pytest
from conftest import LULL, ROOT, WAIT
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

KERNELSPEC = {"name": "lull", "display_name": "Lull", "language": "python"}


def program(name):
    return os.path.join(os.path.dirname(sys.executable), name)


def write(path, *cells):
    made = [new_code_cell(c) if isinstance(c, str) else c for c in cells]
    nbformat.write(new_notebook(cells=made, metadata={"kernelspec": KERNELSPEC}), str(path))
    return path


def run(*words, code=0, **options):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=300, **options)
    assert done.returncode == code, done.stderr
    return done


def outputs(path):
    notebook = nbformat.read(str(path), as_version=4)
    nbformat.validate(notebook)
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture
def small(tmp_path):
    return write(
        tmp_path / "small.ipynb",
        new_markdown_cell("# A notebook"),
        "a = array([1, 2, 3, 4])\nb = array([1.5, 2.5, 3.5, 4.5])\na + b",
        "print('a line')\nimport sys\nprint('an error line', file=sys.stderr)",
        "from IPython.display import HTML\nh = display(HTML('<b>first</b>'), display_id='shown')",
        "update_display(HTML('<b>second</b>'), display_id='shown')",
        "for i in range(3):\n    clear_output(wait=True)\n    print('step', i)",
    )


def check(path):
    found = outputs(path)
    assert found[0][0].data["text/plain"] == "array([2.5, 4.5, 6.5, 8.5], dtype=float32)"
    assert [(o.name, o.text) for o in found[1]] == [("stdout", "a line\n"), ("stderr", "an error line\n")]
    assert found[2][0].data["text/html"] == "<b>second</b>" and found[3] == []
    assert [o.text for o in found[4]] == ["step 2\n"]


def test_nbconvert(small, tmp_path):
    run(program("jupyter-nbconvert"), "--to", "notebook", "--execute", small, "--output", "done.ipynb")
    check(tmp_path / "done.ipynb")
    run(program("jupyter-nbconvert"), "--to", "html", "--execute", small, "--output", "done.html")
    page = (tmp_path / "done.html").read_text()
    assert "8.5" in page and "<b>second</b>" in page


def test_headless_run_gives_the_same(small, tmp_path):
    run(program("jupyter-nbconvert"), "--to", "notebook", "--execute", small, "--output", "done.ipynb")
    run(LULL, "run", small, "-o", tmp_path / "lull.ipynb")
    check(tmp_path / "lull.ipynb")
    assert outputs(tmp_path / "lull.ipynb") == outputs(tmp_path / "done.ipynb")


def test_jupyter_execute(small, tmp_path):
    run(program("jupyter-execute"), "--inplace", small)
    check(small)


def test_nbclient_errors(tmp_path):
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError

    def client(*cells, **options):
        notebook = new_notebook(cells=[new_code_cell(c) for c in cells], metadata={"kernelspec": KERNELSPEC})
        return NotebookClient(notebook, **options)

    with pytest.raises(CellExecutionError, match="division by zero"):
        client("1 / 0", "x = 1").execute()
    done = client("1 / 0", "2", allow_errors=True).execute()
    assert done.cells[0].outputs[0].ename == "ZeroDivisionError"
    assert done.cells[1].outputs[0].data["text/plain"] == "2"
    # The kernel is interrupted and the rest runs.
    slow = client("while True: pass", "3", timeout=1, interrupt_on_timeout=True, allow_errors=True).execute()
    assert slow.cells[0].outputs[0].ename == "KeyboardInterrupt"
    assert slow.cells[1].outputs[0].data["text/plain"] == "3"
    with pytest.raises(CellTimeoutError):
        client("while True: pass", timeout=1).execute()
    assert client("%timeit -n 1 -r 1 1 + 1").execute().cells[0].outputs[0].name == "stdout"


def test_papermill(tmp_path):
    path = write(
        tmp_path / "in.ipynb", new_code_cell("n = 1\nname = 'none'\nrates = [1.0]", metadata={"tags": ["parameters"]}), "n + 1, name, rates"
    )
    run(program("papermill"), path, tmp_path / "out.ipynb", "-p", "n", "41", "-p", "name", "ünï", "-y", "rates: [0.5, 2]", "--log-output")
    notebook = nbformat.read(str(tmp_path / "out.ipynb"), as_version=4)
    assert "injected-parameters" in notebook.cells[1].metadata.tags
    assert notebook.cells[2].outputs[0].data["text/plain"] == "(42, 'ünï', [0.5, 2])"
    failing = write(tmp_path / "bad.ipynb", "1 / 0")
    assert "ZeroDivisionError" in run(program("papermill"), failing, tmp_path / "bad_out.ipynb", code=1).stderr


def test_tour(tmp_path):
    """The tour, cells of language models included where the model is there."""
    model = ROOT / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    if not model.exists():
        pytest.skip("models/SmolLM2-135M-Instruct.Q4_1.gguf is not there: make demo fetches it")
    run(
        program("papermill"), "notebooks/tour.ipynb", tmp_path / "tour.ipynb", "-p", "iters", "20", "-p", "max_tokens", "10", "--kernel",
        "lull", "--cwd", "notebooks", cwd=ROOT,
    )
    found = outputs(tmp_path / "tour.ipynb")
    assert not [o for cell in found for o in cell if o.output_type == "error"]
    assert any("Generation: 10 tokens" in o.get("text", "") for cell in found for o in cell)


def test_console(jupyter, tmp_path):
    """jupyter console in a terminal: results, blocks, completion, Ctrl-C, input(), exit."""
    child = pexpect.spawn(
        program("jupyter-console"), ["--kernel", "lull", "--ZMQTerminalInteractiveShell.highlighting_style=bw"],
        encoding="utf-8", timeout=WAIT, dimensions=(40, 120), env={**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},
        cwd=tmp_path,
    )
    escapes = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]")

    def wait(pattern):
        child.expect(pattern)
        return escapes.sub("", child.before + child.after)

    try:
        wait("Lull .*arrays and local language models")
        wait(r"In \[")
        child.send("6 * 7\r")
        wait("42")
        wait(r"In \[")
        child.send("for i in range(2):\rprint('line', i)\r\r")
        wait("line 1")
        wait(r"In \[")
        child.send("1 / 0\r")
        wait("ZeroDivisionError: division by zero")
        wait(r"In \[")
        child.send("input('your name? ').upper()\r")
        wait("your name")
        child.send("lull\r")
        wait("LULL")
        wait(r"In \[")
        child.send("while True: pass\r\r")
        time.sleep(1)
        child.sendintr()
        wait("KeyboardInterrupt")
        wait(r"In \[")
        child.send("'still ' + 'here'\r")
        wait("still here")
        wait(r"In \[")
        child.send("exit\r")
        child.expect(pexpect.EOF)
    finally:
        child.close(force=True)


def test_kernelspecs(tmp_path):
    env = {**os.environ, "JUPYTER_DATA_DIR": str(tmp_path / "data"), "VIRTUAL_ENV": str(tmp_path / "venv")}

    def lull(*words, code=0):
        done = subprocess.run([LULL, "kernel", *words], capture_output=True, text=True, env=env, timeout=WAIT)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    assert "No kernel is installed" in lull("list")
    lull("install", "--name", "lull-two", "--display-name", "Lull Two")
    lull("install", "--sys-prefix")
    lull("install", "--prefix", str(tmp_path / "prefix"))
    lull("install", "--prefix=" + str(tmp_path / "prefix"))
    for place in ("data/kernels/lull-two", "venv/share/jupyter/kernels/lull", "prefix/share/jupyter/kernels/lull"):
        assert (tmp_path / place / "kernel.json").exists() and (tmp_path / place / "logo-svg.svg").exists()
    listed = lull("list")
    assert "lull-two" in listed and "venv" in listed and "missing" not in listed
    shown = subprocess.run([program("jupyter-kernelspec"), "list", "--json"], capture_output=True, text=True, env=env).stdout
    assert '"display_name": "Lull Two"' in shown and '"interrupt_mode": "message"' in shown
    assert "Removed" in lull("uninstall", "--name", "lull-two")
    assert "no kernel" in lull("uninstall", "--name", "lull-two", code=1)
    # Another program's kernel stays.
    other = tmp_path / "data" / "kernels" / "other"
    other.mkdir(parents=True)
    (other / "kernel.json").write_text('{"argv": ["x"]}')
    assert "another program's kernel" in lull("install", "--name", "other", code=1)
    assert "another program's kernel" in lull("uninstall", "--name", "other", code=1)
    assert (other / "kernel.json").read_text() == '{"argv": ["x"]}'
    for words, message in [
        ((), "say what to do"),
        (("instal",), "did you mean 'install'"),
        (("install", "--usr"), "did you mean '--user'"),
        (("install", "--prefix"), "needs a value"),
        (("install", "--user", "--sys-prefix"), "exclude each other"),
        (("install", "x"), "one argument too many"),
        (("run", "--user"), "unknown option"),
    ]:
        assert message in lull(*words, code=2)
    assert "no name for a kernel" in lull("install", "--name", "../x", code=1)
    assert "usage" in lull("--help")
