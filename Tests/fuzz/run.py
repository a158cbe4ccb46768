#!/usr/bin/env python3
"""Random array expressions under Lull, compared with NumPy in double precision and with MLX.

    Tests/fuzz/run.py [--seed S] [--count N] [--start I] [--mlx PYTHON] [--levels] [--only I] [--keep FOLDER]
                      [--silence S] [--progress] [--stated FILE | --record FILE]

Expression I of a seed is always the same program. Each is a function of at most eight operations (more text where an
order is free and results are sorted first); one process runs a batch of them, once by each runner:

    lull            as it is                              compared with the reference
    lull, no JIT    LULL_JIT=0                            the same bits; with sums, which machine code adds in
                                                          another order, compared with the reference
    lull, lesser    LULL_SIMD=0 and 1 (with --levels)     compared with the reference
    mlx             the program under PYTHON              the same shape and dtype; values compared with the reference,
                                                          and shown where only MLX is far from it

reference.py says what "compared" means. Without MLX, FILE has the shapes and dtypes that it gave (--record writes one).
Exit status 1 when Lull fails anything.
"""

import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np  # noqa: E402

import dtypes  # noqa: E402
import expressions  # noqa: E402
import operations_elementwise  # noqa: E402
import operations_linear  # noqa: E402
import operations_reduction  # noqa: E402
import operations_shape  # noqa: E402
import reference  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
LULL = os.environ.get("LULL", str(ROOT / "lull"))
BATCH = 1000
SILENCE = 10  # seconds without a line, then a process counts as hanging; --silence
TABLES = [operations_elementwise, operations_reduction, operations_shape, operations_linear]
OPERATIONS = (
    [f for t in TABLES for _, f in t.OPERATIONS],
    [w for t in TABLES for w, _ in t.OPERATIONS],
)

# Operations that add up rows of floats by a fused reduction; einsum does where no product of matrices is left of it.
SUMS = {"sum", "mean", "var", "std", "logsumexp", "vecdot", "trace", "einsum"}

HEAD = """import sys
import mlx.core as mx
mx.set_default_device(mx.cpu)
D = mx.load({path!r})
"""
RUN = """
def show(number, function):
    try:
        results = function()
        mx.eval(results)
        line = [number]
        for r in results:
            data = bytes(r.reshape(-1).view(mx.uint8).tolist()).hex() if r.size else ""
            line += [str(r.dtype)[9:], list(r.shape), data]
        print(*line, sep=";", flush=True)
    except Exception as e:
        print(number, "error", type(e).__name__, str(e).split("\\n")[0].replace(";", ","), sep=";", flush=True)


for number, function in [{table}]:
    show(number, function)
"""


def program(batch, pools, path):
    lines = [HEAD.format(path=str(path))]
    for dtype, flavour in pools:
        name = expressions.pool_name(dtype, flavour)
        lines.append(f"{name} = D[{name!r}]{'.astype(mx.bfloat16)' if dtype == 'bfloat16' else ''}\n")
    lines.append("mx.eval([" + ", ".join(expressions.pool_name(*p) for p in pools) + "])\n\n\n")
    lines += [e.source + "\n\n" for e in batch]
    lines.append(RUN.format(table=", ".join(f"({e.number}, e{e.number})" for e in batch)))
    return "".join(lines)


def guarded(command, place, environment):
    """Runs a command until it ends or prints nothing for SILENCE seconds: its status, output and errors."""
    out, err = place.with_suffix(".out"), place.with_suffix(".err")
    with open(out, "wb") as o, open(err, "wb") as e:
        process = subprocess.Popen(command, stdout=o, stderr=e, env={**os.environ, **(environment or {})})
    size, since = 0, time.monotonic()
    while process.poll() is None:
        time.sleep(0.05)
        if out.stat().st_size != size:
            size, since = out.stat().st_size, time.monotonic()
        elif time.monotonic() - since > SILENCE:
            process.kill()
            process.wait()
            return "hangs", out.read_text(), ""
    return process.returncode, out.read_text(), err.read_text()


def execute(command, batch, pools, folder, name, environment=None):
    """The printed results of each expression: a list of (dtype, shape, bytes), or ("error" or "died", ...). A process that dies is started again
    behind the expression it died of."""
    results, rest = {}, list(batch)
    while rest:
        path = folder / f"with_{name}.py"
        path.write_text(program(rest, pools, folder / "pools.npz"))
        status, output, problem = guarded(command + [str(path)], folder / name, environment)
        for line in output.splitlines():
            number, *fields = line.split(";")
            if fields[0] == "error":
                results[int(number)] = ("error", fields[1], ": ".join(fields[1:]))
            elif len(fields) % 3 == 0:
                results[int(number)] = [
                    (fields[i], tuple(json.loads(fields[i + 1])), bytes.fromhex(fields[i + 2])) for i in range(0, len(fields), 3)
                ]
        missing = [e for e in rest if e.number not in results]
        if not missing:
            break
        if len(missing) == len(rest) and not output and status != "hangs" and "Error" in problem:
            sys.exit(f"{name} does not run the program:\n{problem[-2000:]}")
        results[missing[0].number] = ("died", str(status), problem.strip().split("\n")[-1][:200])
        rest = missing[1:]
    return results


class Report:
    """Counts, and the failures: of Lull, and what is told of MLX."""

    def __init__(self, show):
        self.counts, self.shown, self.show = collections.Counter(), collections.Counter(), show
        self.uses = collections.Counter()

    def failure(self, kind, expression, text):
        self.counts[kind] += 1
        self.counts["failures of Lull"] += kind.startswith("lull")
        self.shown[kind] += 1
        if self.shown[kind] <= self.show:
            print(f"{kind}: --only {expression.number}: {text}"[:700], flush=True)

    def finish(self, seed):
        for key in sorted(self.counts):
            print(f"{self.counts[key]:10d} {key}")
        print("operations: " + ", ".join(f"{name} {n}" for name, n in self.uses.most_common()))
        failed = self.counts["failures of Lull"]
        print(f"seed {seed}: {self.counts['expressions']} expressions, {sum(self.uses.values())} operations, {failed} failures")
        return 1 if failed else 0


def stated(results):
    return [r[:2] for r in results]


def is_failure(results):
    return results[0] in ("error", "died")


def check_values(expression, results, report, who, agreeing=None):
    """Whether results are what the reference says. Rounding before a step (an argsort of almost equal keys, a count of
    what underflows) can put all samples of the reference on one side: where MLX has the same bits, that is counted apart."""
    good = True
    for value, result in zip(expression.values, results):
        found = dtypes.from_bytes(result[2], result[0], result[1])
        verdict = reference.judge(found, value.samples, value.dtype)
        if value.ties and not verdict.wrong:
            tied = reference.judge_ties(found, value.ties)
            verdict = reference.Verdict(verdict.compared + tied.compared, tied.wrong, tied.detail)
        report.counts[f"elements of {who}"] += value.size
        report.counts[f"elements of {who} compared"] += verdict.compared
        if verdict.wrong and agreeing is not None and agreeing == results:
            report.failure("same as mlx, not as the reference", expression, f"{value.text}: {verdict.detail}")
            break
        if verdict.wrong:
            wide = who == "mlx" and any(v.dtype == "float64" for v in expression.values)
            report.failure(f"{who} value" + wide * " in an expression with float64", expression, f"{value.text}, {value.dtype} {value.shape}: {verdict.wrong} wrong, {verdict.detail}")
            good = False
            break
    return good


def compare(expression, lull, others, mlx, report):
    report.counts["expressions"] += 1
    for operation in expression.operations:
        report.uses[operation] += 1
    expected = [(v.dtype, v.shape) for v in expression.values]
    if is_failure(lull):
        if lull[0] == "error" and mlx and mlx[0] == "error":
            report.counts["both raise"] += 1
        else:
            report.failure("lull " + lull[0], expression, f"{lull}; mlx {mlx and (mlx if is_failure(mlx) else stated(mlx))}")
        return
    if mlx and is_failure(mlx):
        report.failure("mlx " + mlx[0], expression, str(mlx))
    elif mlx and stated(mlx) != stated(lull):
        report.failure("lull shape or dtype", expression, f"lull {stated(lull)}, mlx {stated(mlx)}, reference {expected}")
        return
    if stated(lull) != expected:
        report.failure("lull shape or dtype", expression, f"lull {stated(lull)}, reference {expected}, mlx {mlx and stated(mlx)}")
        return
    agreeing = mlx if mlx and not is_failure(mlx) and all(len(r) == 3 for r in mlx) else None
    good = check_values(expression, lull, report, "lull", agreeing)
    for name, other in others.items():
        if is_failure(other) or stated(other) != stated(lull):
            report.failure(f"lull {name}", expression, str(other)[:300])
        elif name == "no JIT":
            if other != lull and SUMS.intersection(expression.operations):
                if good:
                    check_values(expression, other, report, "lull no JIT")
            elif other != lull:
                where = [v.text for v, a, b in zip(expression.values, lull, other) if a != b]
                report.failure("lull bits without JIT", expression, f"{where}, {expected}")
        elif other != lull and good:
            check_values(expression, other, report, f"lull {name}")
    if mlx and not is_failure(mlx) and all(len(r) == 3 for r in mlx):
        check_values(expression, mlx, report, "mlx")


def known(recorded, batch):
    """What --record wrote of MLX's results, in their place."""
    results = {}
    for e in batch:
        line = recorded.get(str(e.number))
        if line in ("error", "died"):
            results[e.number] = (line, "", "")
        elif line:
            parts = [part.split("[") for part in line.split()]
            results[e.number] = [(dtype, tuple(json.loads("[" + shape))) for dtype, shape in parts]
    return results


def explain(expression, runs):
    print(expression.source)
    for k, value in enumerate(expression.values):
        print(value.text, value.dtype, value.shape)
        for i, sample in enumerate(value.samples[:4]):
            print("sample", i, sample.ravel()[:64])
        for name, results in runs.items():
            if results:
                print(name, results if is_failure(results) else dtypes.from_bytes(results[k][2], *results[k][:2]).ravel()[:64])


def main(arguments=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--mlx", help="a Python that has mlx")
    parser.add_argument("--levels", action="store_true")
    parser.add_argument("--show", type=int, default=10)
    parser.add_argument("--silence", type=float, default=SILENCE, help="seconds without output that count as hanging")
    parser.add_argument("--progress", action="store_true", help="a line for each thousand expressions on standard error")
    parser.add_argument("--keep", help="a folder for the programs")
    parser.add_argument("--stated", help="a file of shapes and dtypes to use in MLX's place")
    parser.add_argument("--record", help="a file to write with MLX's shapes and dtypes")
    options = parser.parse_args(arguments)
    if options.only is not None:
        options.start, options.count = options.only, 1
    globals()["SILENCE"] = options.silence
    np.seterr(all="ignore")
    pools = expressions.make_pools(options.seed)
    report, recorded = Report(options.show), {}
    if options.stated:
        recorded = json.loads(Path(options.stated).read_text())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(options.keep or temporary)
        folder.mkdir(exist_ok=True)
        expressions.write_pools(pools, folder / "pools.npz")
        for first in range(options.start, options.start + options.count, BATCH):
            last = min(first + BATCH, options.start + options.count)
            batch = [expressions.make(options.seed, i, pools, OPERATIONS) for i in range(first, last)]
            lull = execute([LULL], batch, pools, folder, "lull")
            others = {"no JIT": execute([LULL], batch, pools, folder, "nojit", {"LULL_JIT": "0"})}
            if options.levels:
                for level in "01":
                    others["SIMD " + level] = execute([LULL], batch, pools, folder, "simd" + level, {"LULL_SIMD": level})
            mlx = execute([options.mlx], batch, pools, folder, "mlx") if options.mlx else known(recorded, batch)
            if options.record:
                recorded.update(
                    (n, r[0] if is_failure(r) else " ".join(f"{d}{list(shape)}".replace(" ", "") for d, shape in stated(r)))
                    for n, r in mlx.items())
            for e in batch:
                compare(e, lull[e.number], {k: v[e.number] for k, v in others.items()}, mlx.get(e.number), report)
                if options.only is not None:
                    explain(e, {"lull": lull[e.number], "mlx": mlx.get(e.number)})
            if options.progress:
                print(f"{last - options.start} of {options.count}: {report.counts['failures of Lull']} failures", file=sys.stderr, flush=True)
    if options.record:
        Path(options.record).write_text(json.dumps(recorded, indent=0))
    return report.finish(options.seed)


if __name__ == "__main__":
    sys.exit(main())
