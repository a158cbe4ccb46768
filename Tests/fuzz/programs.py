#!/usr/bin/env python3
"""Random programs of the language, under Lull and under CPython 3.11: the same output, byte for byte.

    Tests/fuzz/programs.py [--seed S] [--count N] [--start I] [--only I] [--record FILE | --stated FILE] [--show N]

Program I of a seed is always the same (statements.py, grammar.py). A batch of them is imported as modules by one
process of each; values and errors are printed with their text. A difference is made smaller, statement by statement, and
reported once for each kind. Where a sentence is Lull's own (DESIGN: errors for learners), only the type is compared:
`OURS` lists these. --record stores digests of CPython's output, which --stated compares with where there is no CPython.
Exit status 1 when anything differs.
"""

import argparse
import collections
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import statements  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
LULL = os.environ.get("LULL", str(ROOT / "lull"))
SILENCE = 6
# Bytes and seconds that a batch may take.
MOST_OUTPUT, MOST_SECONDS = 1 << 25, 40
MARK = "\x1e"

# Errors whose text is ours: type, pattern of Lull's text.
OURS = []

IMPORTS = "from shared import *\nimport bisect, collections, contextlib, copy, dataclasses, functools, heapq, io, itertools, json, math, operator, re, string\n\n"
DRIVER = """import shared
def fails(e):
    print("ended", shared.told(e))
"""


def main_text(numbers):
    lines = [DRIVER]
    for n in numbers:
        lines.append(f"print('{chr(92)}x1e{n}', flush=True)\ntry:\n    import m{n}\nexcept Exception as e:\n    fails(e)\n")
    return "".join(lines)


def execute(command, programs, folder):
    """Outputs by number. A process that dies or hangs is started again behind the program it was in."""
    for number, items in programs.items():
        (folder / f"m{number}.py").write_text(IMPORTS + statements.text(items))
    (folder / "shared.py").write_text((HERE / "shared.py").read_text())
    results, rest = {}, list(programs)
    while rest:
        (folder / "batch.py").write_text(main_text(rest))
        out = folder / "out.txt"
        with open(out, "wb") as o:
            process = subprocess.Popen(command + [str(folder / "batch.py")], stdout=o, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                                       env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0", "PYTHONWARNINGS": "ignore"}, cwd=folder)
        size, since, status = 0, time.monotonic(), None
        began = since
        while True:
            try:
                process.wait(0.2)
                status = str(process.returncode)
                break
            except subprocess.TimeoutExpired:
                now = time.monotonic()
                grown = out.stat().st_size - size
                if grown and size + grown < MOST_OUTPUT and now - began < MOST_SECONDS:
                    size, since = size + grown, now
                elif grown or now - since > SILENCE:
                    process.kill()
                    process.wait()
                    status = "hangs"
                    break
        pieces = out.read_bytes().decode("utf-8", "backslashreplace").split(MARK)[1:]
        for piece in pieces:
            number, _, body = piece.partition("\n")
            results[int(number)] = body
        if status == "0" and len(pieces) == len(rest):
            break
        last = rest[max(len(pieces) - 1, 0)]
        results[last] = results.get(last, "") + f"DIED {status}"
        rest = rest[rest.index(last) + 1:]
    return results


def compared(text):
    """The text with what may differ taken out: addresses, and errors whose sentence is ours."""
    text = re.sub(r"0x[0-9a-f]{8,}", "0x", text)
    text = re.sub(r"ended (IndentationError|SyntaxError): .*", "ended SyntaxError", text)
    for kind, pattern in OURS:
        text = re.sub(rf"({kind}): {pattern}", r"\1", text)
    return text


def digest(text):
    return hashlib.sha256(compared(text).encode()).hexdigest()[:10]


def first_difference(a, b):
    for x, y in zip(a.split("\n") + [""], b.split("\n") + [""]):
        if x != y:
            return x, y
    return "", ""


def kind_of(expected, found):
    """What a difference looks like, without its values."""
    def plain(t):
        t = re.sub(r"'[^']*'|\"[^\"]*\"", "'", t)
        return re.sub(r"[0-9.]+(e[+-]?[0-9]+)?|[CDPfgx][0-9]+", "N", t)[:60]

    x, y = first_difference(compared(expected), compared(found))
    x, y = re.sub(r"^@\d+ ", "", x), re.sub(r"^@\d+ ", "", y)
    if re.match(r"[!?] |failed|\s*caught|ended|error", x) and re.match(r"[!?] |failed|\s*caught|ended|error", y):
        return plain(x) + " | " + plain(y)
    return "value: " + (plain(x)[:25] + " | " + plain(y)[:25])


class Pair:
    def __init__(self, folder, python):
        self.folder, self.python = folder, python

    def run(self, programs):
        return execute([self.python], programs, self.folder), execute([LULL], programs, self.folder)

    def differing(self, programs):
        a, b = self.run(programs)
        # What 3.11 refuses to parse says nothing: a few forms are newer (quotes in f-strings).
        return {
            n: (a.get(n, ""), b.get(n, "")) for n in programs
            if compared(a.get(n, "")) != compared(b.get(n, "")) and not compared(a.get(n, "")).startswith("ended SyntaxError")
        }

    def reduce(self, items, kind):
        """The smallest program found that differs in the same way."""
        outputs = None
        for _ in range(25):
            tries = {i: c for i, c in zip(range(60), statements.smaller(items))}
            found = {n: o for n, o in self.differing(tries).items() if kind_of(*o) == kind}
            if not found:
                break
            n = min(found, key=lambda k: len(statements.text(tries[k])))
            items, outputs = tries[n], found[n]
        return items, outputs


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--count", type=int, default=1000)
    p.add_argument("--start", type=int, default=0)
    p.add_argument("--only", type=int)
    p.add_argument("--batch", type=int, default=250)
    p.add_argument("--show", type=int, default=30, help="how many kinds of differences to reduce and show")
    p.add_argument("--reduce", type=int, default=0, help="how many of these to make smaller")
    p.add_argument("--python", default="python3")
    p.add_argument("--record")
    p.add_argument("--stated")
    o = p.parse_args()
    numbers = [o.only] if o.only is not None else list(range(o.start, o.start + o.count))
    kinds, example, digests, began = collections.Counter(), {}, {}, time.monotonic()
    stated = json.loads(Path(o.stated).read_text()) if o.stated else None
    with tempfile.TemporaryDirectory() as folder:
        pair = Pair(Path(folder), o.python)
        for i in range(0, len(numbers), o.batch):
            programs = {n: statements.Writer(o.seed, n).program() for n in numbers[i:i + o.batch]}
            if o.only is not None:
                print(statements.text(programs[o.only]))
            if stated is not None:
                for n, out in execute([LULL], programs, pair.folder).items():
                    if digest(out) != stated["digests"].get(str(n), digest(out)):
                        kinds["differs from what is stated"] += 1
                        print(f"program {n} differs from CPython's recorded output; --only {n} with CPython shows it")
                continue
            if o.record:
                outputs = execute([o.python], programs, pair.folder)
                digests.update({str(n): digest(out) for n, out in outputs.items() if not compared(out).startswith("ended SyntaxError")})
                continue
            for n, (a, b) in pair.differing(programs).items():
                kind = kind_of(a, b)
                kinds[kind] += 1
                example.setdefault(kind, (n, programs[n], a, b))
            for f in pair.folder.glob("m*.py"):
                f.unlink()
        if o.record:
            Path(o.record).write_text(json.dumps({"seed": o.seed, "digests": digests}))
            return 0
        for place, (kind, count) in enumerate(kinds.most_common(o.show)):
            if kind not in example:
                continue
            n, items, a, b = example[kind]
            small = place < o.reduce
            if small:
                items, outputs = pair.reduce(items, kind)
                a, b = outputs or (a, b)
            x, y = first_difference(compared(a), compared(b))
            source = statements.text(items)
            lines = [int(m.group(1)) for m in [re.match(r"@(\d+) ", x)] if m]
            shown = source if small else "".join(source.split("\n")[i].strip() + "\n" for i in lines)
            print(f"== {count} times; --only {n}\n{shown}  cpython: {x[:300]}\n  lull:    {y[:300]}", flush=True)
    total = sum(kinds.values())
    print(f"seed {o.seed}: {len(numbers)} programs, {total} differ, {len(kinds)} kinds, {time.monotonic() - began:.0f} s")
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
