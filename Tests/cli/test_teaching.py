"""The teaching commands: what they find out, how they look in a terminal, and that a page can show them."""

import re
import xml.etree.ElementTree as ET

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from conftest import LULL, bare_path
from terminal import Terminal


class Shown:
    """What one cell showed."""

    def __init__(self, cell):
        self.text = ""
        self.html = ""
        self.error = ""
        for o in cell["outputs"]:
            if o["output_type"] == "stream":
                self.text += o["text"]
            elif o["output_type"] == "error":
                self.error += f"{o['ename']}: {o['evalue']}\n" + "\n".join(o["traceback"])
            else:
                self.text += o["data"]["text/plain"] + "\n"
                self.html += o["data"].get("text/html", "")
        self.lines = self.text.splitlines()


@pytest.fixture
def notebook(lull, tmp_path):
    """Runs cells as a notebook: one Shown a cell."""

    def run(*sources, env=None):
        path = tmp_path / "cells.ipynb"
        nbformat.write(new_notebook(cells=[new_code_cell(s) for s in sources]), str(path))
        done = lull("run", path, "--in-place", "--allow-errors", env=env)
        assert done.code == 0, done.err
        nb = nbformat.read(str(path), as_version=4)
        nbformat.validate(nb)
        return [Shown(c) for c in nb.cells]

    return run


def check_page(shown):
    """HTML of ours is well formed, has no scripts, no fixed colour of text and fetches nothing; text fits a terminal."""
    assert shown.html, shown.error
    text = shown.html
    for entity, character in (("&nbsp;", " "), ("&larr;", "<-"), ("&hellip;", "...")):
        text = text.replace(entity, character.replace("<", "&lt;"))
    ET.fromstring(f"<page>{text.replace('<br>', '<br/>')}</page>")
    assert "<script" not in text and "src=" not in text and not re.search(r'[^:]href="[^#]', text)
    assert not re.search(r"(?<![-\w])color:(?!inherit)", text), "a fixed colour of text is unreadable on one of the pages"
    assert all(len(line) <= 80 for line in shown.lines), [line for line in shown.lines if len(line) > 80]


PROGRAM = "x = mx.arange(12.0).reshape(3, 4)\nmx.eval(x)\nw = ones((4, 2))\nbias = ones(3)"


def test_shapes(notebook):
    _, shown, pending = notebook(PROGRAM + "\np = x * 2", "%shapes (x - x.mean(axis=0)) @ w + p.sum()", "%lazy")
    check_page(shown)
    assert shown.lines[0] == "(x - x.mean(axis=0)) @ w + p.sum()"
    assert shown.lines[1].startswith(" (3,4) float32") and "(4,2)" in shown.lines[1]
    assert "     ~~~~~~~~~~~~~~        ~~~~~~~" in shown.lines and "     (4,)                  ()" in shown.lines
    assert shown.lines[-1] == "(3,2)"
    # Nothing was evaluated.
    assert any(line.startswith("p ") for line in pending.lines)


def test_shapes_of_mistakes_and_oddities(notebook):
    shown = notebook(
        PROGRAM, "%shapes x + array([1, 2, 3])", "%shapes y = [r.sum() for r in x]", "y[0].shape", "%shapes nothing + 1", "%shapes x +",
        "%shapes f'{x.shape}' if x.ndim > 1 else (lambda v: v)(x)", "%shapes", "%shapes 'héé' and x[:, None].astype(mx.float16)", "s = %shapes x.T\ns.facts['shape']",
        "%shapes print(1)",
    )
    assert "fails here" in shown[1].text and "ShapeError: add: shapes (3, 4) and (3,)" in shown[1].text
    assert "give the second an axis of size 1" in shown[1].text
    assert shown[3].text == "()\n"
    assert "NameError" in shown[4].error and "SyntaxError" in shown[5].error
    assert "(3,4)" in shown[6].text
    assert "needs a statement" in shown[7].error
    assert "          (3,1,4) float16" in shown[8].lines  # under its part, counted in characters
    assert shown[9].text == "(4, 3)\n"
    assert "there is no array in it" in shown[10].text


def test_a_command_shows_wherever_it_stands(notebook):
    shown = notebook(PROGRAM, "if True:\n    %shapes x\nfor i in range(2):\n    %broadcast (3,) x.T\n1 + 1")
    assert shown[1].text.count("(3,4)") == 1 and shown[1].text.count("result  (4, 3)") == 2 and shown[1].lines[-1] == "2"


def test_broadcast(notebook):
    _, fits, clash, many, names, wrong, blank = notebook(
        PROGRAM, "%broadcast (3,1) (4,)", "%broadcast x bias", "%broadcast x[:,None] 5 (2,1,1,1)", "broadcast(x, (1, 4)).facts['result']",
        "%broadcast (3,-1) x", "%broadcast x + 1",
    )
    check_page(fits)
    assert fits.lines[1].split() == ["a", "(3,", "1)", "3", "1", "->", "4"]
    assert fits.lines[3].split() == ["result", "(3,", "4)", "3", "4"]
    assert "■ □ □ □     ■ ■ ■ ■" in fits.lines
    check_page(clash)
    assert "axis -1: x has 4 and bias has 3" in clash.text and "bias[..., None] has shape (3, 1) and would fit" in clash.text
    assert re.search(r"result\s+\(2, 3, 1, 4\)", many.text)
    assert names.text == "(3, 4)\n"
    assert "a size cannot be negative" in wrong.error
    assert "put one that has blanks in brackets" in blank.error


def test_axis(notebook):
    _, down, across, several, keep, scan, wrong, mean, builtin = notebook(
        PROGRAM, "%axis mx.sum(x, axis=0)", "%axis x.max(axis=-1, keepdims=True)", "%axis mx.sum(mx.arange(24).reshape(2, 3, 4), axis=(0, 2))",
        "axis('x.mean(1, True)').facts", "%axis cumsum(x, axis=1)", "%axis x.sum(axis=2)", "%axis x.mean()", "%axis sum(x, axis=1)",
    )
    check_page(down)
    assert down.lines[0] == "sum along axis 0: (3, 4) becomes (4,)."
    assert "  12  15  18  21   <- sum" in down.lines
    assert "          = 1 + 5 + 9 = 15" in down.lines
    check_page(across)
    assert "   8   9  10  11  -> 11" in across.lines and "kept with size 1" in across.text
    assert "  60   92  124" in several.text and "sum along axes 0, 2: (2, 3, 4) becomes (3,)." in several.text
    assert "'shape': (3, 1)" in keep.text and "'axes': [1]" in keep.text
    assert "cumsum is no reduction" in scan.text
    assert "its axes are 0 to 1" in wrong.error
    assert "result = 5.5" in mean.lines
    assert "sum along axis 1: (3, 4) becomes (3,)." in builtin.text


def test_strides(notebook):
    _, plain, turned, pending, stretched, wrong = notebook(
        PROGRAM + "\nt = x.T\nmx.eval(t)\nb = mx.broadcast_to(mx.array([1, 2, 3]), (2, 3))\nmx.eval(b)",
        "%strides x", "%strides t", "%strides x + 1", "%strides b", "%strides 5",
    )
    for s in (plain, turned, stretched):
        check_page(s)
    assert "strides      (4, 1) in elements, (16, 4) in bytes" in plain.lines
    assert "reshape needs no copy" in plain.text and "t (4, 3)" in plain.text
    assert "visit    0  3  6  9  1  4  7 10  2  5  8 11" in turned.lines
    assert "reshape(-1)" in turned.text and "must copy them" in turned.text
    assert "pending, made by add" in pending.text
    assert "stride 0" in stretched.text and "visit   0,3 1,4 2,5" in stretched.lines
    assert "needs an array, not int" in wrong.error


def test_lazy_and_why(notebook):
    cells = [
        PROGRAM, "y = mx.sqrt(x) + 1\nz = softmax(y @ w, axis=-1).sum()", "%lazy", "%lazy z", "%why z", "%lazy x", "%why nothing",
        "mx.eval(y, z, w, bias)\n%lazy", "lazy(y * 2).facts", "q = %why z\nq.facts['lines']",
    ]
    shown = notebook(*cells)
    check_page(shown[2])
    rows = {line.split()[0]: line for line in shown[2].lines if line}
    assert "line 1 of <cell 2>" in rows["y"] and "line 2 of <cell 2>" in rows["z"]
    check_page(shown[3])
    assert "     1  sqrt       (3, 4) float32     1  mx.sqrt(x)" in shown[3].lines
    assert any("pending in" in line for line in shown[3].lines)
    check_page(shown[4])
    assert "  cell 2  z = softmax(y @ w, axis=-1).sum()" in shown[4].lines
    assert "  cell 2  <- y = mx.sqrt(x) + 1" in shown[4].lines
    assert "  cell 1     <- x = mx.arange(12.0).reshape(3, 4)" in shown[4].lines
    assert shown[5].text == "x has its values: nothing is pending.\n"
    assert "there is no 'nothing' in this session" in shown[6].error
    assert shown[7].text.startswith("nothing is pending: ")
    assert "'operations': ['multiply']" in shown[8].text
    assert "(2, 'y = mx.sqrt(x) + 1')" in shown[9].text


def test_compare(notebook):
    _, close, far, shape, equal, nan, ints, wrong, f16 = notebook(
        PROGRAM, "%compare x x*(1+1e-7)", "compare(x, x + 1).facts", "%compare x x.T", "%compare x x", "%compare array([1.0,mx.nan]) array([2.0,3.0])",
        "compare(array([1, 2]), array([1, 5])).facts", "%compare 'a' x", "compare(array([1.0]).astype(mx.float16), array([1.001]).astype(mx.float16)).facts",
    )
    check_page(close)
    assert re.search("at most [12], so they differ by", close.text) and "they are close" in close.text
    assert "'max_difference': 1.0" in far.text and "'different': 12" in far.text and "'close': False" in far.text
    assert "shapes do not fit each other" in shape.text
    assert "All elements are equal" in equal.text
    assert "1 element is NaN in one of them only" in nan.text
    assert "'max_difference': 3" in ints.text and "'where': (1,)" in ints.text
    assert "needs two arrays" in wrong.error
    assert "'max_ulps': 1" in f16.text


def test_graph(notebook, tmp_path):
    _, shown, saved, wrong, done = notebook(
        PROGRAM + "\ny = mx.exp(x)", "%graph (y + x).sum()", f"g = %graph y\ng.save({str(tmp_path / 'g.svg')!r})\ng.save({str(tmp_path / 'g.dot')!r})\ng.save('g.xyz')",
        "%graph 5", "%graph x",
    )
    assert shown.lines[0].startswith("sum () float32")
    assert "exp (3, 4) float32 = y" in shown.text and "`- x (3, 4) float32" in shown.text
    svg = re.search(r"<svg.*</svg>", shown.html, re.S).group(0)
    tree = ET.fromstring(svg)
    texts = ["".join(t.itertext()) for t in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert "add" in texts and "exp = y" in texts and "sum" in texts
    assert 'role="img"' in svg and "black" not in svg
    assert "ends in .svg, .png, .pdf or .dot" in saved.error
    ET.parse(tmp_path / "g.svg")
    assert (tmp_path / "g.dot").read_text().startswith("digraph")
    assert "there is no array in int" in wrong.error
    assert "Nothing is pending" in done.text


def test_graph_without_graphviz(notebook, tmp_path):
    _, shown, saved = notebook(PROGRAM, "%graph x + 1", "g = %graph x + 1\ng.save('g.svg')", env={"PATH": bare_path(tmp_path)})
    assert "add (3, 4) float32" in shown.text and "apt install graphviz" in shown.text and "<svg" not in shown.html
    assert "dot is not installed" in saved.error and "apt install graphviz" in saved.error


def test_explain(notebook):
    _, shown, nothing, value, cell = notebook(
        PROGRAM, "%explain mx.sum(mx.sqrt(x * x + 1) @ w, axis=0)", "%explain x", "r = %explain x * 2 + 1\n[s[1] for s in r.facts['steps']], r.facts['kernels'][0]['operations']",
        "%%explain\na = exp(x)\nb = a.sum()",
    )
    check_page(shown)
    steps = [line.split() for line in shown.lines if re.match(r" +\d+  (multiply|add|sqrt|matmul|sum) ", line)]
    assert [s[1] for s in steps][:3] == ["multiply", "add", "sqrt"]
    assert len({s[-2] for s in steps[:3]}) == 1, "the elementwise steps are one kernel"
    assert any("multiply add sqrt" in line for line in shown.lines)
    assert "never" in shown.text and "written to memory" in shown.text.replace("\n", " ")
    assert "the machine's limit" in shown.text
    assert nothing.text == "nothing to compute: the arrays are evaluated\n"
    assert value.text == "(['multiply', 'add'], ['multiply', 'add'])\n"
    assert "exp" in cell.text and "sum" in cell.text


def test_trace_nan(notebook):
    _, found, passes, survey, plain = notebook(
        PROGRAM + "\nbad = mx.log(x - 5)\nmx.eval(bad)\nwaiting = bad + 1", "%trace nan mx.log(x - 1)", "%trace nan mx.array([1.0]) / 0", "%trace nan", "%trace x / 0"
    )
    assert "FloatingPointError: log: the result has nan at index (0, 0)" in found.error
    assert passes.text == "no result is nan\n"
    assert re.search(r"bad +\(3, 4\) float32 +5 +1 +\[0, 0\]", survey.text) and "not looked at, because pending: waiting" in survey.text
    assert "FloatingPointError: divide" in plain.error


def test_quiz(notebook):
    shown = notebook(
        "%quiz answer 5", "%quiz broadcasting --seed 3", "%quiz answer (9, 9)", "%quiz hint", "%quiz answer error", "%quiz", "%quiz skip", "%quiz score",
        "%quiz nonsense", "%quiz axes", "%quiz answer )", "quiz('skip').facts['answer']",
    )
    assert "there is no open question" in shown[0].error
    assert "What is the shape of a + b?" in shown[1].text
    check_page(shown[1])
    assert "Not quite: it is not (9, 9)." in shown[2].text and "Try again" in shown[2].text
    assert "end together" in shown[3].text.replace("\n", " ")
    assert shown[4].text.startswith("Right: error.") and "1 of 1 right, 0 at the first try" in shown[4].text
    assert shown[6].text.startswith("The answer is ")
    assert "1 of 2 right" in shown[7].text
    assert "topics: broadcasting, indexing, axes" in shown[8].error
    assert "cannot be read" in shown[10].error
    assert shown[11].text.startswith("(") or shown[11].text.startswith("()")


def test_quiz_answers_are_right(notebook):
    """Every question's answer is given back as its text, for many seeds; every mistake gets a sentence."""
    program = """
import random
from lull.teaching.quiz import TOPICS, make_question, _read_answer
wrong_answers = {"shape": [(2, 3), "error", (1,), (), (2, 3, 4)], "dtype": ["float64", "int64", "int8"], "list": [[1, 2, 100]], "yesno": ["yes", "no"]}
count = 0
for seed in range(120):
    for topic in TOPICS:
        q = make_question(topic, random.Random(seed))
        assert _read_answer(q.kind, str(q.answer)) == q.answer, (q.text, q.answer)
        for given in wrong_answers[q.kind]:
            if given != q.answer:
                assert len(q.wrong(given)) > 10
        assert q.hint and q.explanation
        count += 1
print(count)
"""
    assert notebook(program)[0].text == "720\n"


def test_quiz_tells_the_truth_about_laziness(notebook):
    """Each line that the quiz asks about computes what the quiz says."""
    program = """
from lull.introspect import is_evaluated
from lull.session import evaluate
from lull.teaching.quiz import LAZY_FORMS
for form, computes, _ in LAZY_FORMS:
    evaluate("x = arange(4.0)\\ny = mx.exp(x) * 2\\n" + form)
    evaluated = is_evaluated(y) or form == "y.sum().item()" or form == "float(y[0])" or form.startswith("if ")
    assert evaluated == computes, form
print(len(LAZY_FORMS))
"""
    assert notebook(program)[0].lines[-1] == "14"


def test_in_a_terminal(tmp_path):
    import os

    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "TERM": "xterm", "INPUTRC": "/dev/null"}
    t = Terminal([LULL], env, tmp_path)
    try:
        t.expect(">>> ")
        t.ask("x = mx.ones((3, 4))")
        assert t.ask("%shapes x.T @ x").splitlines()[-1] == "(4,4)"
        assert "result  (3, 4)" in t.ask("%broadcast (3,1) (4,)")
        assert t.ask("%graph x + 1").startswith("add (3, 4) float32")
        assert "1 kernel" in t.ask("%lazy x * 2 + 1")
    finally:
        t.close()
