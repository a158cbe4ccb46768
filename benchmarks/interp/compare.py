"""Times each program of this folder under CPython, under a Lull binary and, where there is one, its
Lua twin under Lua 5.4.

Usage: python3 compare.py LULL [repeats] [name...]

Runs are interleaved; the least time of each counts. `inner` is the program's own timer, `process`
the whole run. Ratios are CPython / Lull: above 1, Lull is faster. Outputs must agree (Lua's, which
prints otherwise, is not compared). Lua is left out when `lua5.4` is not installed.
"""

import glob
import math
import os
import shutil
import subprocess
import sys
import time


def run(command):
    start = time.perf_counter()
    p = subprocess.run(command, capture_output=True, text=True)
    wall = time.perf_counter() - start
    inner = None
    for line in p.stderr.splitlines():
        if line.startswith("inner "):
            inner = float(line.split()[1])
    return p.stdout, inner, wall, p.stderr if p.returncode else ""


def main():
    lull = sys.argv[1]
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    here = os.path.dirname(os.path.abspath(__file__))
    names = sys.argv[3:] or sorted(
        os.path.basename(p)[:-3] for p in glob.glob(here + "/*.py") if not p.endswith("compare.py")
    )
    lua = shutil.which("lua5.4")
    print("%-14s %10s %10s %7s %10s %10s %7s" % ("program", "py inner", "lull", "ratio", "py process", "lull", "ratio") + ("   py/lua" if lua else ""))
    inner_ratios, wall_ratios, twins, lua_ratios = [], [], [], []
    failed = 0
    for name in names:
        path = os.path.join(here, name + ".py")
        best = {}
        outputs = {}
        error = ""
        for _ in range(repeats):
            commands = [("py", [sys.executable, path]), ("lull", [lull, path])]
            if lua and os.path.exists(path[:-3] + ".lua"):
                commands.append(("lua", [lua, path[:-3] + ".lua"]))
            for label, command in commands:
                out, inner, wall, err = run(command)
                # Lua has no clock but processor time: its whole run counts, a millisecond of start included.
                if label == "lua" and not err:
                    inner = wall
                if inner is None:
                    error = error or "%s failed: %s" % (label, err.strip()[-200:])
                    break
                outputs[label] = out
                i, w = best.get(label, (math.inf, math.inf))
                best[label] = (min(i, inner), min(w, wall))
        if error or outputs.get("py") != outputs.get("lull"):
            failed += 1
            print("%-14s %s" % (name, error or "outputs differ"))
            continue
        (pi, pw), (li, lw) = best["py"], best["lull"]
        inner_ratios.append(pi / li)
        wall_ratios.append(pw / lw)
        row = (name, pi * 1e3, li * 1e3, pi / li, pw * 1e3, lw * 1e3, pw / lw)
        print("%-14s %8.1fms %8.1fms %6.2fx %8.1fms %8.1fms %6.2fx" % row, end="")
        if "lua" in best:
            twins.append(pi / li)
            lua_ratios.append(pi / best["lua"][0])
            print("  %6.2fx" % lua_ratios[-1], end="")
        print(flush=True)
    if inner_ratios:
        mean = lambda r: math.exp(sum(map(math.log, r)) / len(r))
        print("geometric mean %42.2fx %28.2fx" % (mean(inner_ratios), mean(wall_ratios)))
        if lua_ratios:
            print("over the %d programs that Lua has: Lull %.2fx, Lua %.2fx" % (len(twins), mean(twins), mean(lua_ratios)))
    sys.exit(1 if failed else 0)


main()
