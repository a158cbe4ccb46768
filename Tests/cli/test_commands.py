"""Commands in cells, help, and the session's names, driven through text notebooks."""

import pytest


@pytest.fixture
def cells(lull, tmp_path):
    """Runs cells and returns the result."""

    def run(*sources, allow=False):
        path = tmp_path / "cells.lull"
        path.write_text("".join(f"# %%\n{s}\n" for s in sources))
        return lull("run", path, *(["--allow-errors"] if allow else []))

    return run


def out(result):
    assert result.code == 0, result.err
    return result.out


def test_who(cells):
    assert out(cells("x = 1\ndef f(): pass\n_hidden = 2", "%who")) == "x  f\n"


def test_whos_evaluates_nothing(cells):
    text = out(cells("x = ones((3, 4)) + 1\nn = 5\ns = 'text'", "%whos"))
    rows = {line.split()[0]: line for line in text.splitlines()}
    assert "(3, 4) float32, pending" in rows["x"]
    assert "5" in rows["n"] and "'text'" in rows["s"]


def test_time(cells):
    text = out(cells("x = ones((200, 200))\n%time y = x @ x", "y[0, 0]"))
    first, second = text.splitlines()
    assert first.startswith("time: ") and "build" in first and "evaluated 1 pending array" in first
    assert second == "array(200, dtype=float32)"


def test_time_gives_the_value(cells):
    text = out(cells("%time 6 * 7", "_ + 1"))
    assert text.splitlines()[1:] == ["42", "43"]


def test_time_cell(cells):
    text = out(cells("%%time\nx = 1\nfor i in range(10):\n    x += i\nx"))
    assert text.splitlines()[0].startswith("time: ")
    assert text.splitlines()[1] == "46"


def test_timeit(cells):
    text = out(cells("%timeit -n 10 -r 2 ones(10) + 1"))
    assert text.startswith("best ") and "2 rounds of 10 runs, arrays evaluated in each run" in text
    assert "rounds of" in out(cells("x = 3\n%timeit x + 1"))


def test_commands_keep_line_numbers(cells):
    result = cells("x = 1\n%time sum(\n  [1,\n   2])\n1 / 0", allow=True)
    assert '<cell 1>", line 5' in result.err


def test_percent_inside_expressions_and_strings(cells):
    source = 'a = """\n%time no\n%who\n"""\nb = (7\n  % 4)\nc = 7 \\\n  % 4\n# %who in a comment\n(a, b, c)'
    assert out(cells(source)) == "('\\n%time no\\n%who\\n', 3, 3)\n"


def test_help_marks(cells):
    text = out(cells("def area(w, h=2):\n    '''The area.'''\n    return w * h", "area?", "area??"))
    assert "area(w, h=2)" in text and "The area." in text and "return w * h" in text
    assert "softmax(" in out(cells("softmax?"))
    assert "softmax(" in out(cells("help(softmax)"))
    assert "%timeit" in out(cells("%timeit?"))
    pending = out(cells("x = ones((2, 3)) + 1", "x?"))
    assert "shape (2, 3)" in pending and "pending" in pending and "24 bytes" in pending
    assert "evaluated" in out(cells("x = ones((2, 3)) + 1\nmx.eval(x)", "x?"))


def test_assignment(cells):
    assert out(cells("here = %pwd\ntype(here)")).strip() == "<class 'str'>"


def test_unknown_command(cells):
    result = cells("%tmie 1")
    assert result.code == 1
    assert "there is no command '%tmie'" in result.err
    assert "did you mean '%time'?" in result.err


def test_unknown_option(cells):
    result = cells("%generate m 'x' --max-token 3")
    assert result.code == 1
    assert "did you mean '--max-tokens'?" in result.err


def test_shell_lines(cells, tmp_path):
    assert out(cells("!echo 'a  b'; echo err >&2")) == "a  b\n"
    assert out(cells("n = 2\nfiles = !printf 'x\\n%s' {n + 1}\nfiles")) == "['x', '3']\n"
    assert out(cells("n = 2\n!echo $n $$HOME {n}{a,b} {no_such} $no_such.", "_exit_code")).splitlines()[-1] == "0"
    assert out(cells("!exit 7\n_exit_code")) == "7\n"
    assert out(cells("for i in range(2):\n    !echo $i")) == "0\n1\n"
    assert out(cells("%%shell\nfor i in 1 2\ndo echo $i\ndone")) == "1\n2\n"
    assert out(cells("x = !printf 'é%.0s' $(seq 40000)\nlen(x[0])")) == "40000\n"
    assert out(cells("!echo one \\\n  two\n1 != 2")) == "one two\nTrue\n"
    result = cells("! ")
    assert result.code == 1 and "'!' needs a command" in result.err


def test_traceback_shows_the_command(cells):
    result = cells("%load no/such/file.gguf")
    assert result.code == 1
    assert "%load no/such/file.gguf" in result.err
    assert "_command_" not in result.err
    assert "FileNotFoundError: no model at 'no/such/file.gguf'" in result.err


def test_history_and_outputs(cells):
    text = out(cells("1 + 1", "2 + 2", "(_, __, In[1], Out[1])", "%history -n 2"))
    assert text.splitlines()[2] == "(4, 2, '1 + 1', 2)"
    assert "2: 2 + 2" in text


def test_reset(cells):
    result = cells("x = 1", "%reset", "x")
    assert result.code == 1 and "NameError" in result.err


def test_run_and_files(cells, tmp_path):
    (tmp_path / "part.lull").write_text("import sys\nvalue = sys.argv[0]\n")
    text = out(cells("%run part.lull", "value", "%ls"))
    assert text.splitlines()[0] == "'part.lull'" and "part.lull" in text.splitlines()[1]


def test_late_names(cells):
    text = out(cells("nn.Linear(2, 3).weight.shape", "float16", "mx.random.key(0).shape"))
    assert text == "(3, 2)\nmlx.core.float16\n(2,)\n"


def test_state_persists_and_display(cells):
    source = "class A:\n    def __repr__(self): return 'A!'\n    def _repr_html_(self): return '<b>A</b>'"
    assert out(cells(source, "display(A())\nA()")) == "A!\nA!\n"


def test_help_on_a_class_of_the_library(cells):
    assert out(cells("nn.Linear?")).startswith("Linear(input_dims, output_dims, bias=True)\n")


def test_help_shows_pages_of_the_documentation(cells):
    assert out(cells("%help language")).startswith("# ")
    assert "# Plots" in out(cells("help('plots')"))
    assert "Pages of the documentation: arrays commands " in out(cells("%help"))
    result = cells("%help langauge")
    assert result.code == 1 and "did you mean 'language'?" in result.err
