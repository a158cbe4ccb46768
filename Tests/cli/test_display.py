"""What a value is shown as: tables of arrays and records, images, sound."""

import base64
import io
import struct
import xml.etree.ElementTree as ET
import zlib

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook


@pytest.fixture
def bundles(lull, tmp_path):
    """Runs cells as a notebook: the data of each cell's last output, or its error."""

    def run(*sources):
        path = tmp_path / "cells.ipynb"
        nbformat.write(new_notebook(cells=[new_code_cell(s) for s in sources]), str(path))
        done = lull("run", path, "--in-place", "--allow-errors")
        assert done.code == 0, done.err
        nb = nbformat.read(str(path), as_version=4)
        nbformat.validate(nb)
        out = []
        for c in nb.cells:
            last = c["outputs"][-1] if c["outputs"] else {}
            out.append(last.get("data") or (f"{last['ename']}: {last['evalue']}" if last.get("output_type") == "error" else {}))
        return out

    return run


def cells_of(html):
    """(caption, heads, rows) of a table."""
    tree = ET.fromstring(html.replace("&nbsp;", " ").replace("&hellip;", "…"))
    caption = "".join(tree.find(".//caption").itertext())
    heads = ["".join(t.itertext()) for t in tree.findall(".//thead//th")]
    rows = [["".join(t.itertext()) for t in r] for r in tree.findall(".//tbody/tr")]
    return caption.split(), heads, rows


def test_tables_of_arrays(bundles):
    matrix, vector, large, scalar, cube, empty, numpy, strange = bundles(
        "mx.array([[1, 2, 3], [4, 5, 6]])", "mx.array([0.5, mx.nan, -mx.inf])", "mx.arange(1000.0).reshape(25, 40)", "mx.array(1.5)", "mx.ones((2, 2, 2))",
        "mx.zeros((0, 3))", "np.array([[1.5, 2.0]])", "mx.array([1 + 2j])",
    )
    assert matrix["text/plain"].startswith("array([[1, 2, 3],")
    assert cells_of(matrix["text/html"]) == (["array", "shape", "(2,", "3)", "int32"], ["", "0", "1", "2"], [["0", "1", "2", "3"], ["1", "4", "5", "6"]])
    assert cells_of(vector["text/html"])[2] == [["0.5", "nan", "-inf"]]
    caption, heads, rows = cells_of(large["text/html"])
    assert caption[-1] == "float32" and len(rows) == 11 and len(heads) == 12
    assert heads[1:7] == ["0", "1", "2", "3", "4", "…"] and rows[-1][0] == "24" and rows[-1][-1] == "999" and rows[5][1] == "⋮"
    for plain in (scalar, cube, empty):
        assert list(plain) == ["text/plain"]
    assert cells_of(numpy["text/html"])[2] == [["0", "1.5", "2"]]
    assert cells_of(strange["text/html"])[2] == [["1+2j"]]


def test_tables_of_records(bundles):
    records, mixed, nested, plain = bundles(
        "[{'name': 'a<b', 'n': 1}, {'name': 'c', 'n': None}]", "[{'a': 1}, {'b': 2}]", "[{'a': [1]}]", "[1, 2]"
    )
    assert cells_of(records["text/html"]) == (["list", "of", "2", "records"], ["", "name", "n"], [["0", "a<b", "1"], ["1", "c", "None"]])
    for other in (mixed, nested, plain):
        assert list(other) == ["text/plain"]


def pixels(data):
    """(width, height, channels, rows of bytes) of a PNG of ours."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    place, body = 8, b""
    while place < len(data):
        size, kind = struct.unpack(">I4s", data[place : place + 8])
        content = data[place + 8 : place + 8 + size]
        assert struct.unpack(">I", data[place + 8 + size : place + 12 + size])[0] == zlib.crc32(kind + content)
        if kind == b"IHDR":
            width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", content)
            assert depth == 8 and rest == [0, 0, 0]
        elif kind == b"IDAT":
            body += content
        place += 12 + size
    channels = {0: 1, 4: 2, 2: 3, 6: 4}[colour]
    raw = zlib.decompress(body)
    rows, above = [], bytes(width * channels)
    for y in range(height):
        start = y * (width * channels + 1)
        line = raw[start + 1 : start + 1 + width * channels]
        if raw[start] == 2:
            line = bytes((a + b) & 255 for a, b in zip(line, above))
        else:
            assert raw[start] == 0
        rows.append(line)
        above = line
    return width, height, channels, rows


def image(data):
    return pixels(base64.b64decode(data["image/png"]))


def test_images(bundles):
    grey, rgb, alpha, ints, bools, limits, large = bundles(
        "show_image(mx.array([[0.0, 0.5], [1.0, 2.0]]), scale=1)", "show_image(mx.array([[[255, 0, 10], [1, 2, 3]]]), scale=2)",
        "show_image(mx.ones((3, 2, 4)), scale=1)", "show_image(np.array([[0, 300], [-5, 7]]), scale=1)", "show_image(mx.array([[True, False]]), scale=1)",
        "show_image(mx.array([[-1.0, 1.0, mx.nan]]), limits=(-1, 1), scale=1)", "show_image(mx.random.uniform(shape=(300, 200, 3)))",
    )
    assert image(grey) == (2, 2, 1, [b"\x00\x80", b"\xff\xff"])
    assert image(rgb) == (4, 2, 3, [b"\xff\x00\x0a" * 2 + b"\x01\x02\x03" * 2] * 2)
    assert image(alpha) == (2, 3, 4, [b"\xff" * 8] * 3)
    assert image(ints) == (2, 2, 1, [b"\x00\xff", b"\x00\x07"])
    assert image(bools) == (2, 1, 1, [b"\xff\x00"])
    assert image(limits)[3] == [b"\x00\xff\x00"]
    assert image(large)[:3] == (200, 300, 3)
    assert grey["text/plain"] == "Picture(2 x 2, grey)"


def test_wrong_images(bundles):
    shape, empty, text, cplx, channels, path = bundles(
        "show_image(mx.zeros((3, 8, 9)))", "show_image(mx.zeros((0, 3)))", "show_image('x')", "show_image(mx.array([[1j]]))", "show_image(mx.zeros(5))",
        "show_image(mx.zeros((2, 2))).save('x.jpg')",
    )
    assert "move the channels last" in shape and "no pixels" in empty and "TypeError" in text and "mx.abs(x)" in cplx
    assert "(rows, columns)" in channels and "ends in .png" in path


def test_sound(bundles):
    import wave

    mono, stereo, long, rate = bundles(
        "show_audio(mx.array([0.0, 0.5, -1.0, 2.0]), 8000)", "show_audio(mx.array([[1, 2], [3, 4]], dtype=mx.int16), 44100)",
        "show_audio(mx.zeros((8000 * 700,)), 8000)", "show_audio([0.0], 0)",
    )
    html = mono["text/html"]
    ET.fromstring(html.replace("controls ", 'controls="" '))
    data = base64.b64decode(html.split("base64,")[1].split('"')[0])
    with wave.open(io.BytesIO(data)) as w:
        assert (w.getnchannels(), w.getsampwidth(), w.getframerate(), w.getnframes()) == (1, 2, 8000, 4)
        assert struct.unpack("<4h", w.readframes(4)) == (0, 16384, -32767, 32767)
    data = base64.b64decode(stereo["text/html"].split("base64,")[1].split('"')[0])
    with wave.open(io.BytesIO(data)) as w:
        assert (w.getnchannels(), w.getframerate()) == (2, 44100) and struct.unpack("<4h", w.readframes(2)) == (1, 2, 3, 4)
    assert "too long" in long and "samples a second" in rate


def test_a_program_shows_text_alone(lull, tmp_path):
    path = tmp_path / "program.lull"
    path.write_text("print(show_image(mx.zeros((2, 2))))\ndisplay(mx.array([1, 2]))")
    assert lull(path).out == "Picture(2 x 2, grey)\narray([1, 2], dtype=int32)\n"
