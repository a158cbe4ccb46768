"""Plots: the SVG is well formed and shows the data, text in a terminal, what cannot be drawn, and files."""

import json
import os
import re
import xml.etree.ElementTree as ET

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from conftest import LULL, bare_path
from terminal import Terminal

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def bundles(lull, tmp_path):
    """Runs cells as a notebook: the data of each cell's last output, or its error."""

    def run(*sources, env=None):
        path = tmp_path / "cells.ipynb"
        nbformat.write(new_notebook(cells=[new_code_cell(s) for s in sources]), str(path))
        done = lull("run", path, "--in-place", "--allow-errors", env=env)
        assert done.code == 0, done.err
        nb = nbformat.read(str(path), as_version=4)
        nbformat.validate(nb)
        out = []
        for c in nb.cells:
            last = c["outputs"][-1] if c["outputs"] else {}
            out.append(last.get("data") or (f"{last['ename']}: {last['evalue']}" if last.get("output_type") == "error" else {}))
        return out

    return run


def tree(data):
    text = data["image/svg+xml"]
    # Nothing is fetched and nothing runs.
    assert "<script" not in text and not re.search(r'href="(?!#|data:)', text)
    return ET.fromstring(text)


def texts(root):
    return ["".join(t.itertext()).strip() for t in root.iter(SVG + "text")]


def path_points(root, number=1):
    """The points of the line of a series, in pixels."""
    group = next(g for g in root.iter(SVG + "g") if g.get("id", "").startswith(f"gnuplot_plot_{number}"))
    found = []
    for p in group.iter(SVG + "path"):
        found += [tuple(map(float, m)) for m in re.findall(r"[ML](-?[\d.]+),(-?[\d.]+)", p.get("d"))]
    return found


def test_a_line_is_where_its_data_is(bundles):
    data, = bundles("plot([0, 1, 2, 3, 4], [0, 1, 4, 9, 16], xlim=(0, 4), ylim=(0, 16), title='Squares', xlabel='n', ylabel='n * n')")
    root = tree(data)
    assert {"Squares", "n", "n * n", "16"} <= set(texts(root))
    points = path_points(root)
    assert len(points) == 5
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    steps = [b - a for a, b in zip(xs, xs[1:])]
    assert max(steps) - min(steps) < 0.1
    # Linear from (0, 0) at the bottom to (4, 16) at the top.
    for x, y, value in zip(xs, ys, [0, 1, 4, 9, 16]):
        assert abs((ys[0] - y) / (ys[0] - ys[4]) - value / 16) < 0.002
    assert data["text/plain"] == "Figure(Squares: line of 5 points, x from 0 to 4, y from 0 to 16)"
    title = root.find(SVG + "title").text
    assert title.startswith("Squares: line of 5 points")
    assert root.get("role") == "img"
    style = root.find(SVG + "style").text
    assert "prefers-color-scheme:dark" in style and "black" not in data["image/svg+xml"].replace("black-", "")


def test_ticks_with_names_and_cells_that_are_counted(bundles):
    named, empty, counted = bundles(
        "heatmap([[1, 2], [3, 4]], xticks=['left', 'right'], yticks=['x_y', 'a \"b\"'])", "plot([0, 1]).set(xticks=[], yticks=['low'])", "heatmap([[1, 2], [3, 4]], limits=(0, 9))"
    )
    assert {"left", "right", "x_y", 'a "b"'} <= set(texts(tree(named)))
    assert set(texts(tree(empty))) == {"low"}
    assert "0.5" not in texts(tree(counted))


def test_texts_with_quotes_and_percent_signs(bundles):
    data, = bundles("bar([\"' a'\", \"'\", \"''b\", '50 %', '%d', \"it's\"], range(6), title=\"'quoted'\", xlabel='%s', ylabel=\"'\")")
    assert {"' a'", "'", "''b", "50 %", "%d", "it's", "'quoted'", "%s"} <= {t.strip() if t.startswith("' ") else t for t in texts(tree(data))}


def test_log_axes(bundles):
    data, with_zero, limits = bundles("plot([1, 2, 3], [1, 100, 10000], yscale='log')", "plot([1, -1, 100, 0], yscale='log')", "plot([1, 2], xscale='log', xlim=(0, 1))")
    ys = [p[1] for p in path_points(tree(data))]
    assert abs((ys[0] - ys[1]) - (ys[1] - ys[2])) < 0.1
    assert "2 of 4 points are left out: not finite or not above 0" in tree(with_zero).find(SVG + "title").text
    assert "a log axis has no place for 0" in limits


def test_series_and_legend(bundles):
    two, matrix, names, chain, wrong = bundles(
        "x = linspace(0, 1, 5)\nplot(x, x, x * x, label=['a', 'b <c>'])", "plot(mx.eye(3))", "plot({'one': [1, 2], 'two': ([5, 6], [3, 4])})",
        "plot([1, 2], label='l').scatter([0, 1], [1, 2], label='p').bar([1, 1], label='q')", "plot([1], [2], [3], label=['a'])",
    )
    root = tree(two)
    assert {"a", "b <c>"} <= set(texts(root)) and len(path_points(root, 2)) == 5 + 0 or len(path_points(root, 2)) >= 5
    assert {"0", "1", "2"} <= set(texts(tree(matrix)))
    assert names["text/plain"] == "Figure(line 'one' of 2 points, x from 0 to 1, y from 1 to 2; line 'two' of 2 points, x from 5 to 6, y from 3 to 4)"
    assert {"l", "p", "q"} <= set(texts(tree(chain)))
    assert "1 labels for 2 series" in wrong


def test_bars_and_histograms(bundles):
    bars, hist, grouped, counted, edges = bundles(
        "bar({'ant': 1, 'bee': 3})", "hist([1, 2, 2, 3, 3, 3], bins=3)", "bar([1, 2], label='a').bar([2, 1], label='b')",
        "from lull.plots._data import bin_counts\nbin_counts(np.array([0.1, 0.2, 0.9, np.nan, np.inf]), 2, (0, 1))", "hist([1, 2], bins=[1, 1])",
    )
    assert {"ant", "bee"} <= set(texts(tree(bars)))
    assert hist["text/plain"] == "Figure(histogram with 3 bins from 1 to 3, 6 in all)"
    assert "2 bars 'a'" in grouped["text/plain"]
    assert counted["text/plain"] == "([2, 1], [0.0, 0.5, 1])"
    assert "edges of bins must rise" in edges


def test_pictures(bundles):
    heat, rgb, grey, large, wrong = bundles(
        "heatmap(mx.arange(6).reshape(2, 3), title='h')", "imshow(mx.random.uniform(shape=(4, 5, 3)))", "imshow(mx.eye(4))", "heatmap(mx.ones((2000, 1000)) * mx.arange(1000.0))",
        "heatmap(mx.ones(3))",
    )
    assert heat["text/plain"] == "Figure(h: heat map of 2 rows and 3 columns, values from 0 to 5)"
    for data in (heat, rgb, grey):
        images = list(tree(data).iter(SVG + "image"))
        assert images and all(i.get("{http://www.w3.org/1999/xlink}href").startswith("data:image/png;base64,") for i in images)
    assert len(large["image/svg+xml"]) < 400_000
    assert "a matrix is needed" in wrong


def test_several_panels(bundles):
    data, chained, wrong = bundles(
        "figure(plot([1, 2], title='A'), hist([1, 2, 2], bins=2, title='B'), errorbar([1, 2], [3, 4], [0.1, 0.2], title='C'), title='All')",
        "plot([1, 2]).panel(title='second').bar([1])", "figure([1, 2])",
    )
    assert {"All", "A", "B", "C"} <= set(texts(tree(data)))
    assert " | second: 1 bar" in chained["text/plain"]
    assert "its panels are figures" in wrong


def test_what_cannot_be_drawn(bundles):
    gaps, empty, nothing, huge, cloud, text, missing, cplx, lengths, colour, style, option, inf = bundles(
        "plot([1, float('nan'), 3, float('inf'), 5])", "plot([])", "scatter(mx.array([mx.nan]), mx.array([1.0]))", "plot(mx.random.normal((1000000,)))",
        "x = mx.random.normal((1000000,))\nscatter(x, x[::-1])", "plot('abc')", "plot([1, None])", "plot(mx.array([1j]))", "plot([1, 2], [1, 2, 3])",
        "plot([1], color='mauve')", "plot([1], style='wavy')", "plot([1], titel='x')", "plot([1e308, -1e308, 1e-320])",
    )
    assert "2 of 5 points are left out: not finite" in tree(gaps).find(SVG + "title").text
    for data in (empty, nothing):
        assert any("no finite data" in t or "left out" in t for t in texts(tree(data)))
    assert len(huge["image/svg+xml"]) < 300_000 and "1000000 points" in huge["text/plain"]
    assert len(cloud["image/svg+xml"]) < 800_000
    assert "numbers are needed, not str" in text and "use nan for a gap" in missing and "mx.real(x)" in cplx
    assert "x has 2 numbers and y has 3" in lengths and "there is no colour 'mauve'" in colour and "styles: solid" in style
    assert "'titel'" in option
    tree(inf)


def test_peaks_survive_thinning(bundles):
    data, = bundles("x = mx.zeros((1000000,))\nx[123456] = 7\nfrom lull.plots._data import thinned_line, floats\nxs, ys = thinned_line(mx.arange(1000000).astype(mx.float64), floats(x, 'x'))\nmax(ys), xs[ys.index(max(ys))], len(xs)")
    top, place, count = eval(data["text/plain"])
    assert (top, place) == (7.0, 123456.0) and count <= 4100


def test_text_of_the_user_is_only_text(bundles, tmp_path):
    evil = "it's `touch pwned` \"$(touch pwned)\" @x {/Symbol a} \\n\nsystem('touch pwned') <b>&"
    data, again = bundles(
        f"t = {evil!r}\nplot([1, 2], title=t, xlabel=t, ylabel=t, label=t)", "bar({t: 1, \"'; system 'touch pwned'; '\": 2})\n"
    )
    root = tree(data)
    shown = [t for t in texts(root) if "touch" in t]
    assert any("it's `touch pwned` \"$(touch pwned)\" @x {/Symbol a}" in t and "<b>&" in t for t in shown)
    tree(again)
    assert not (tmp_path / "pwned").exists()


def test_files(lull, tmp_path):
    program = "from lull.plots import plot, heatmap\nfor f in ['a.svg', 'a.png', 'a.pdf', 'a.txt']:\n    plot([1, 4, 9]).save(f)\nheatmap([[1, 2]]).save('h.png')\nplot([1]).save('a.gif')"
    path = tmp_path / "program.lull"
    path.write_text(program)
    done = lull(path)
    assert done.code == 1 and "ends in .svg, .png, .pdf or .txt" in done.err
    ET.parse(tmp_path / "a.svg")
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG" and (tmp_path / "h.png").stat().st_size > 1000
    assert (tmp_path / "a.pdf").read_bytes()[:5] == b"%PDF-"
    assert "*" in (tmp_path / "a.txt").read_text()


def test_without_gnuplot(bundles, lull, tmp_path):
    shown, saved = bundles("plot([1, 2])", "plot([1, 2]).save('a.svg')", env={"PATH": bare_path(tmp_path)})
    assert "image/svg+xml" not in shown and "apt install gnuplot-nox" in shown["text/html"]
    assert "FileNotFoundError" in saved and "apt install gnuplot-nox" in saved
    done = lull("-c", "from lull.programs import run\nrun('ls', [], '')")
    assert "only gnuplot and dot can" in done.err


def test_command(bundles):
    data, value = bundles("x = linspace(0, 1, 4)\n%plot x x*x --title 'A title' --yscale linear", "p = %plot x --kind bar\np.describe()")
    assert "A title" in texts(tree(data))
    assert value["text/plain"].startswith("'4 bars")


def test_losses(bundles, tmp_path):
    log = tmp_path / "adapters" / "log.jsonl"
    log.parent.mkdir()
    records = [{"kind": "step", "iteration": i, "loss": 3.0 - i / 10} for i in range(1, 11)]
    records += [{"kind": "train", "iteration": i, "train_loss": 3.0 - i / 10} for i in (5, 10)]
    records += [{"kind": "val", "iteration": 10, "val_loss": 2.2}]
    log.write_text("".join(json.dumps(r) + "\n" for r in records) + '{"kind": "st')
    data, history, none = bundles(
        f"from lull.plots import losses\nlosses({str(log.parent)!r})", "from mlx_lm.tuner.trainer import History\nlosses(History([(1, 2.0), (2, 1.0), (3, 0.5)], [(3, 1.5)]))",
        "losses('nowhere')",
    )
    assert data["text/plain"] == "Figure(Loss: line 'training' of 2 points, x from 5 to 10, y from 2 to 2.5; line 'validation' of 1 point, x from 10 to 10, y from 2.2 to 2.2)"
    assert {"training", "validation", "iteration", "loss"} <= set(texts(tree(history)))
    assert "there is no log at 'nowhere'" in none


@pytest.mark.parametrize("graphics, sign", [("text", "*"), ("kitty", "\x1b_Ga=T,f=100"), ("sixel", "\x1bPq")])
def test_in_a_terminal(tmp_path, graphics, sign):
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "TERM": "xterm", "INPUTRC": "/dev/null", "LULL_GRAPHICS": graphics}
    t = Terminal([LULL], env, tmp_path)
    try:
        t.expect(">>> ")
        t.line("plot([1, 4, 9, 16])")
        t.expect(">>> ")
        assert sign in t.all, t.all[-500:]
        if graphics == "text":
            widest = max(len(line) for line in t.all.splitlines())
            assert widest <= 121
    finally:
        t.close()


def test_odd_limits_and_huge_numbers(bundles):
    outside, back, bars, huge, into = bundles(
        "plot([1, 2], xlim=(5, 6))", "plot([1, 2, 3], xlim=(2, 0))", "bar([1, 2], xlim=(1, 0))", "hist([1e308, -1e308, 1.0])", "plot([1], figure=3)"
    )
    assert "no data between these limits" in texts(tree(outside))
    xs = [p[0] for p in path_points(tree(back))]
    assert xs == sorted(xs, reverse=True)
    assert "exchanged" in tree(bars).find(SVG + "title").text
    assert ", 1 in all" in huge["text/plain"]
    assert "figure is what another plot gave" in into


def test_small_grids_number_whole_rows(lull):
    """Rows and columns have whole numbers, however few there are."""
    run = lull("-c", "print(heatmap(arange(12.0).reshape(3, 4)).svg())")
    assert run.code == 0, run.err
    labels = re.findall(r"<text[^>]*>(?:<[^>]*>)*([^<]*)", run.out)
    assert "2" in [label.strip() for label in labels]
    assert not [label for label in labels if label.strip().endswith(".5")], labels
