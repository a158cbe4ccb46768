"""docs/errors.md says what Lull says now, and what NumPy says where it is the version that the page names."""

import importlib.util
import re
import sys

import pytest

from conftest import ROOT

spec = importlib.util.spec_from_file_location("errors_page", ROOT / "Tests" / "errors" / "write.py")
write = importlib.util.module_from_spec(spec)
spec.loader.exec_module(write)

PAGE = write.PAGE.read_text()
SECTIONS = {s.split("\n", 1)[0].split(". ", 1)[1]: s for s in PAGE.split("\n## ")[1:]}


def test_every_mistake_is_there():
    assert list(SECTIONS) == [title for title, *_ in write.MISTAKES]
    assert len(SECTIONS) >= 30


@pytest.mark.parametrize("mistake", write.MISTAKES, ids=lambda m: m[0])
def test_message(mistake):
    program, said = re.findall(r"^```\w*\n(.*?)^```", SECTIONS[mistake[0]], re.M | re.S)[:2]
    assert program == mistake[1] + "\n"
    lines = write.lull_says(mistake[1])
    assert said == "\n".join(lines) + "\n", "Tests/errors/write.py writes the page anew"
    # The place is the program's own; and there is a remedy, in a line of its own or behind the message.
    assert lines[0].strip() in mistake[1]
    assert lines[-1].startswith("  ") or ":" in lines[-1].split(": ", 1)[1] or ";" in lines[-1], lines


def test_most_places_are_marked():
    """All but what fails inside a layer, or in a file."""
    marked = [title for title, s in SECTIONS.items() if re.search(r"^ *[~^]+$", s, re.M)]
    assert len(marked) >= len(SECTIONS) - 3, SECTIONS.keys() - set(marked)


def test_numpy_says_the_same():
    numpy = pytest.importorskip("numpy")
    kept, versions = write.stated(PAGE)
    if numpy.__version__ != versions[0]:
        pytest.skip(f"the page has NumPy {versions[0]}")
    said = write.others_say(sys.executable)["numpy"]["said"]
    for (title, *_), text in zip(write.programs(), said):
        if text is not None:
            assert kept["numpy"][title].strip("`") == write.one_line(text)
