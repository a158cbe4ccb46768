#!/usr/bin/env python3
"""Runs the Python blocks of MLX's documentation under MLX and under ./lull and compares what they print.

    Tests/mlx/docs.py FOLDER... --mlx PYTHON [--lull PROGRAM] [--show]

Each FOLDER (MLX's docs/src/usage, docs/src/examples) is read page by page. A page's blocks run in order in one
program: a block that fails does not end it, and lines with prompts (>>>) show their value as at a prompt. Blocks
count by what MLX's own CPU build does with them: those that it runs must run here and print the same text.
"""

import argparse
import ast
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MARK = "=#= block"
SKIPPED = re.compile(r"metal_kernel|mx\.gpu|mx\.metal|distributed|import torch|import jax|tensorflow|MNIST|mnist\b|mlx\.launch")


def blocks(text):
    """The code of `.. code-block:: python` and of whatever has Python's prompts, in order."""
    lines = text.splitlines()
    found, i = [], 0
    while i < len(lines):
        m = re.match(r"^(\s*)\.\. code(-block)?:: *(python|shell)?\s*$", lines[i])
        i += 1
        if not m:
            continue
        indent = len(m[1])
        body = []
        while i < len(lines) and (not lines[i].strip() or len(lines[i]) - len(lines[i].lstrip()) > indent):
            body.append(lines[i])
            i += 1
        while body and (not body[0].strip() or body[0].strip().startswith(":")):
            body.pop(0)
        code = re.sub(r"^>> ", ">>> ", textwrap.dedent("\n".join(body)).strip(), flags=re.M)
        if m[3] == "python" or ">>>" in code:
            found.append(code)
    return found


def source(code):
    """A block as a program: prompts are taken away, values at prompts are printed; None where it is no Python."""
    if ">>>" in code:
        kept = []
        for line in code.splitlines():
            if re.match(r"(>>>|\.\.\.)( |$)", line):
                kept.append((line[:3], line[4:]))
        pieces, current = [], []
        for prompt, line in kept:
            if prompt == ">>>" and current:
                pieces.append("\n".join(current))
                current = []
            current.append(line)
        pieces.append("\n".join(current))
    else:
        pieces = [code]
    lines = []
    for piece in pieces:
        try:
            tree = ast.parse(piece)
        except SyntaxError:
            return None
        if ">>>" in code and len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr):
            lines.append(f"_shown = {piece.strip()}\nif _shown is not None: print(repr(_shown))")
        else:
            lines.append(piece)
    return "\n".join(lines)


def program(codes):
    # Names that pages use without saying so.
    parts = [
        "import mlx.core as mx\nimport mlx.nn as nn\nimport mlx.optimizers as optim\nimport numpy as np\n"
        "from functools import partial\nimport time\nmx.set_default_device(mx.cpu)\nmx.random.seed(0)\n"
    ]
    for number, code in enumerate(codes):
        body = source(code)
        parts.append(f"print({MARK!r}, {number})\ntry:")
        parts.append(textwrap.indent(body if body else "raise SyntaxError('not a program')", "    "))
        # A comment alone is no block.
        parts.append("    pass\nexcept Exception as _e:\n    print('RAISED', type(_e).__name__, str(_e)[:200])\n")
    return "\n".join(parts)


def run(command, path, folder):
    process = subprocess.run(
        command + [str(path)], cwd=folder, capture_output=True, text=True, errors="replace", timeout=300,
        stdin=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": ""})
    outputs = {}
    current = None
    for line in process.stdout.splitlines():
        if line.startswith(MARK):
            current = int(line.split()[-1])
            outputs[current] = []
        elif current is not None:
            outputs[current].append(line)
    if process.returncode and current is not None:
        outputs[current].append("RAISED at the end " + process.stderr.strip().split("\n")[-1][:200])
    elif process.returncode:
        print("  ", path.name, process.stderr.strip().split("\n")[-1][:300])
    return {k: "\n".join(v) for k, v in outputs.items()}


def plain(text):
    """Without what may differ from run to run: addresses, times, and the order in MLX's dicts out of C++ maps."""
    text = re.sub(r"0x[0-9a-f]+", "0x", text)
    text = "\n".join(
        " ".join(sorted(re.findall(r"\w+", line))) if line.startswith("{'") else line for line in text.splitlines())
    return re.sub(r"\d+\.\d+ *(ms|msec|s\b|sec)|[Tt]iming .*", "TIME", text)


NUMBER = re.compile(r"-?\d+\.\d+(?:e[-+]\d+)?")


def same(found, expected, is_timing):
    """The same text; the last printed digit of a computed number may differ by rounding, and times altogether."""
    a, b = plain(found), plain(expected)
    if NUMBER.sub("#", a) != NUMBER.sub("#", b):
        return False
    if is_timing:
        return True
    return all(abs(float(x) - float(y)) <= 4e-6 * abs(float(y)) for x, y in zip(NUMBER.findall(a), NUMBER.findall(b)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--mlx", required=True, help="a Python that has mlx")
    parser.add_argument("--lull", default=str(ROOT / "lull"))
    parser.add_argument("--show", action="store_true", help="print what differs")
    args = parser.parse_args()
    total = {"blocks": 0, "mlx runs": 0, "same": 0, "differs": 0}
    print(f"{'page':32} {'blocks':>7} {'mlx runs':>9} {'same':>5} {'differs':>8}")
    for folder in args.folders:
        for page in sorted(folder.glob("*.rst")):
            codes = [c for c in blocks(page.read_text()) if not SKIPPED.search(c)]
            if not codes:
                continue
            counts = {"blocks": len(codes), "mlx runs": 0, "same": 0, "differs": 0}
            results = []
            for command in ([args.mlx], [args.lull]):
                with tempfile.TemporaryDirectory() as place:
                    path = Path(place) / (page.stem + "_page.py")
                    path.write_text(program(codes))
                    results.append(run(command, path, place))
            theirs, ours = results
            notes = []
            for number, code in enumerate(codes):
                expected = theirs.get(number)
                if expected is None or "RAISED" in expected:
                    continue
                counts["mlx runs"] += 1
                found = ours.get(number, "(not reached)")
                if same(found, expected, "timeit" in code):
                    counts["same"] += 1
                else:
                    counts["differs"] += 1
                    notes.append(f"--- block {number}\n{textwrap.indent(code, '    ')}\nMLX:  {expected}\nLull: {found}")
            for key in total:
                total[key] += counts[key]
            print(f"{page.name:32} {counts['blocks']:7} {counts['mlx runs']:9} {counts['same']:5} {counts['differs']:8}", flush=True)
            if args.show:
                for note in notes:
                    print(note)
    print(f"{'all':32} {total['blocks']:7} {total['mlx runs']:9} {total['same']:5} {total['differs']:8}")
    return 1 if total["differs"] else 0


if __name__ == "__main__":
    sys.exit(main())
