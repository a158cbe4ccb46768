#!/usr/bin/env python3
"""Writes docs/errors.md: the mistakes of mistakes.py with what Lull says, beside what NumPy and MLX say.

    Tests/errors/write.py [--python PYTHON]

PYTHON has NumPy and MLX; without one of them what the page says of it is kept. Tests/cli/test_errors.py checks the page.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from mistakes import MISTAKES  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "errors.md"
LULL = os.environ.get("LULL", str(ROOT / "lull"))
IMPORTS = "import mlx.core as mx\nimport mlx.nn as nn\n"
HEAD = """# Errors

What Lull says to mistakes that beginners make with arrays, beside what NumPy {numpy} and MLX {mlx} say to the same program.
A message has the place, with marks under what went wrong, the shapes and dtypes that decide, and one remedy that was tried
on them. `Tests/errors/write.py` writes this page by running each program; a test compares it with what is said now.

The programs begin with `import mlx.core as mx` and `import mlx.nn as nn`; for NumPy `mx` is `np`.
"""
# Runs under the Python that has them: {library: [message, or null for none]}, and their versions.
OTHERS = """
import json, sys
programs = json.load(sys.stdin)
told = {}
for library, name in (("numpy", "np"), ("mlx", "mx")):
    try:
        if library == "numpy":
            import numpy as module
            names = {"np": module}
        else:
            import mlx.core as module, mlx.nn as nn
            names = {"mx": module, "nn": nn}
    except ImportError:
        continue
    said = []
    for program in programs[library]:
        if program is None:
            said.append(None)
            continue
        try:
            import contextlib, io
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(program, dict(names))
            printed = out.getvalue().strip()
            said.append(f"no error, prints {printed}" if printed else "no error")
        except Exception as e:
            said.append(f"{type(e).__name__}: {e}")
    told[library] = {"version": module.__version__, "said": said}
print(json.dumps(told))
"""


def programs():
    """(title, source, NumPy's source or None) of each mistake."""
    for title, source, *numpy in MISTAKES:
        yield title, source, numpy[0] if numpy else source.replace("mx.", "np.")


def lull_says(source):
    """The last frame, message and remedy, as a prompt shows them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mistake.lull"
        path.write_text(IMPORTS + source + "\n")
        done = subprocess.run([LULL, str(path)], capture_output=True, text=True, timeout=60, cwd=folder)
    lines = done.stderr.rstrip("\n").split("\n")
    # The program's own last frame: where in the library it failed is no help to a beginner.
    frames = [i for i, line in enumerate(lines) if line.startswith("  File ")]
    message = next(i for i in range(len(lines)) if re.match(r"[A-Za-z.]+(Error|Exception|Interrupt)\b", lines[i]))
    mine = [i for i in frames if str(path) in lines[i]][-1]
    after = min([i for i in frames if i > mine] + [message])
    shown = [line[2:] for line in lines[mine + 1:after]] + lines[message:]
    # Where the node was made is told by file and line: the mark is there already.
    return [line for line in shown if not line.startswith("  made by line ")]


def others_say(python):
    every = list(programs())
    asked = {"numpy": [n for *_, n in every], "mlx": [s for _, s, _ in every]}
    try:
        done = subprocess.run([python, "-c", OTHERS], input=json.dumps(asked), capture_output=True, text=True, timeout=300)
        return json.loads(done.stdout)
    except (OSError, ValueError):
        return {}


def one_line(text):
    """A message as one table cell's worth: its lines joined, and shortened where it lists overloads."""
    text = " ".join(text.split())
    return text if len(text) <= 300 else text[:297] + "..."


def stated(page):
    """What the page says of the others: {library: {title: message}}, and the versions."""
    found = {"numpy": {}, "mlx": {}}
    for section in page.split("\n## ")[1:]:
        title = section.split("\n", 1)[0].split(". ", 1)[1]
        for library, name in (("numpy", "NumPy"), ("mlx", "MLX")):
            m = re.search(rf"^- {name}: (.*)$", section, re.M)
            if m:
                found[library][title] = m[1]
    versions = re.search(r"NumPy (\S+) and MLX (\S+) say", page)
    return found, versions.groups() if versions else ("?", "?")


def page(python):
    told = others_say(python)
    kept, versions = stated(PAGE.read_text()) if PAGE.exists() else ({"numpy": {}, "mlx": {}}, ("?", "?"))
    numpy, mlx = (told[n]["version"] if n in told else v for n, v in zip(("numpy", "mlx"), versions))
    out = [HEAD.format(numpy=numpy, mlx=mlx)]
    for i, (title, source, _) in enumerate(programs()):
        out.append(f"## {i + 1}. {title}\n\n```python\n{source}\n```\n\n```\n" + "\n".join(lull_says(source)) + "\n```\n")
        lines = []
        for library, name in (("numpy", "NumPy"), ("mlx", "MLX")):
            if library in told:
                said = told[library]["said"][i]
                text = None if said is None else said if said.startswith("no error") else one_line(said)
                text = None if text is None else f"`{text}`" if not text.startswith("no error") else text
            else:
                text = kept[library].get(title)
            if text is not None:
                lines.append(f"- {name}: {text}")
        out.append("\n".join(lines) + "\n" if lines else "")
    return "\n".join(out).rstrip("\n") + "\n"


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--python", default=sys.executable)
    PAGE.write_text(page(p.parse_args().python))
