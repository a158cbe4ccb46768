"""Several processes under mpirun: communication, and training that shares the rows of each batch."""

import json
import os
import signal
import subprocess
import time

import nbformat
import pytest
from test_examples import LULL
from test_finetune import DIRECTORY, data_of, log_of

MPIRUN = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none"]
ENVIRONMENT = {**os.environ, "LULL_THREADS": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1"}


def mpirun(count, *command, cwd, timeout=120):
    return subprocess.run(
        [*MPIRUN, "-n", str(count), *map(str, command)], capture_output=True, text=True, cwd=cwd, timeout=timeout, env=ENVIRONMENT
    )


PROGRAM = """
import json
import mlx.core as mx
import mlx.nn as nn

group = mx.distributed.init()
rank, size = group.rank(), group.size()
out = {"rank": rank, "size": size, "dtypes": {}}
for dtype in (mx.bool_, mx.int8, mx.uint16, mx.int32, mx.uint64, mx.float16, mx.bfloat16, mx.float32, mx.float64, mx.complex64):
    x = (mx.arange(5) % 2 + rank).astype(dtype)
    total = mx.distributed.all_sum(x)
    assert total.dtype == dtype
    out["dtypes"][str(dtype)] = str(total.tolist())
x = mx.arange(6.0).reshape(2, 3) * (rank + 1)
out["sum"] = mx.distributed.all_sum(x.T).tolist()
out["max"] = mx.distributed.all_max(-x).tolist()
out["min"] = mx.distributed.all_min(x).tolist()
out["gather"] = mx.distributed.all_gather(x).tolist()
out["scatter"] = mx.distributed.sum_scatter(mx.arange(2.0 * size) * (rank + 1)).tolist()
out["empty"] = mx.distributed.all_sum(mx.zeros((0, 3))).shape
ring = mx.distributed.send(x, (rank + 1) % size) if rank % 2 == 0 else None
if ring is not None:
    mx.eval(ring)
out["received"] = mx.distributed.recv_like(x, (rank - 1) % size).tolist() if rank % 2 == 1 else None
out["grad"] = mx.grad(lambda x: (mx.distributed.all_sum(x) ** 2).sum())(mx.array([1.0, 2.0]) * (rank + 1)).tolist()
out["vmap"] = mx.vmap(mx.distributed.all_sum)(x).tolist()
tree = {"a": mx.ones((3, 2)) * rank, "b": [mx.ones(4).astype(mx.float16) * rank, {}], "c": mx.ones(2) * rank}
mean = nn.average_gradients(tree, all_reduce_size=16)
out["mean"] = [mean["a"].shape, mean["a"][0, 0].item(), str(mean["b"][0].dtype), mean["b"][1], mean["c"].tolist()]
part = group.split(rank % 2)
out["part"] = [part.rank(), part.size()]
if part.size() > 1:
    out["part"].append(mx.distributed.all_sum(mx.array(rank), group=part).item())
open(f"{rank}.json", "w").write(json.dumps(out))
"""


@pytest.mark.parametrize("count", [2, 4])
def test_communication(tmp_path, count):
    (tmp_path / "program.lull").write_text(PROGRAM)
    run = mpirun(count, LULL, "program.lull", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    total = count * (count + 1) // 2
    row = [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    for rank in range(count):
        out = json.loads((tmp_path / f"{rank}.json").read_text())
        assert (out["rank"], out["size"]) == (rank, count)
        sums = [sum(i % 2 + r for r in range(count)) for i in range(5)]
        for dtype, text in out["dtypes"].items():
            expected = [any(i % 2 + r for r in range(count)) for i in range(5)] if "bool" in dtype else sums
            value = eval(text)  # a list of numbers that the program printed
            assert value == expected, dtype
        assert out["sum"] == [[row[j][i] * total for j in range(2)] for i in range(3)]
        assert out["max"] == [[-x for x in r] for r in row]
        assert out["min"] == row
        assert out["gather"] == [[x * (r + 1) for x in line] for r in range(count) for line in row]
        assert out["scatter"] == [x * total for x in range(2 * rank, 2 * rank + 2)]
        assert out["empty"] == [0, 3]
        if rank % 2 == 1:
            assert out["received"] == [[x * rank for x in r] for r in row]
        assert out["grad"] == [2.0 * total, 4.0 * total]
        assert out["vmap"] == [[x * total for x in r] for r in row]
        mean = sum(range(count)) / count
        assert out["mean"] == [[3, 2], mean, "mlx.core.float16", {}, [mean, mean]]
        assert out["part"][:2] == [rank // 2, count // 2]
        if count == 4:
            assert out["part"][2] == rank % 2 * 2 + 2


def test_mistakes_are_errors(tmp_path):
    program = """
import mlx.core as mx
rank = mx.distributed.init().rank()
for wrong in (
    lambda: mx.distributed.send(mx.ones(2), 5), lambda: mx.distributed.recv((2,), mx.float32, rank),
    lambda: mx.distributed.sum_scatter(mx.ones(3)), lambda: mx.distributed.all_sum(mx.ones(2), group=3),
    lambda: mx.distributed.init(strict=True, backend="nccl"), lambda: mx.distributed.all_max(mx.ones(2) * 1j),
):
    try:
        mx.eval(wrong())
    except (ValueError, TypeError, RuntimeError) as e:
        if rank == 0:
            print(e)
if rank == 0:
    mx.eval(mx.distributed.send(mx.ones(2), 1))
else:
    try:
        mx.eval(mx.distributed.recv((3,), mx.float32, 0))
    except RuntimeError as e:
        print(e)
"""
    (tmp_path / "program.lull").write_text(program)
    run = mpirun(2, LULL, "program.lull", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    for text in (
        "there is no process 5", "process 0 is this one",
        "the first axis of (3,) does not divide into 2 equal parts", "group must be a mx.distributed.Group, not int",
        "this process is alone", "needs real numbers", "process 0 sent 8 bytes where 12 were expected",
    ):
        assert text in run.stdout, run.stdout


def test_one_process_opens_no_mpi(tmp_path):
    program = "mx.distributed.all_sum(mx.ones(2)); print('libmpi' in open('/proc/self/maps').read())"
    run = subprocess.run([LULL, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert run.stdout == "False\n", run.stderr


STEPS = (
    "--iters", 12, "--steps-per-report", 4, "--steps-per-eval", 6, "--save-every", 5, "--learning-rate", 1e-3, "--batch-size", 4,
)


def finetune(*options):
    return [LULL, "finetune", "--model", str(DIRECTORY), "--data", "data", "--num-layers", "-1", *map(str, options)]


def same_curves(one, other):
    assert [(r["kind"], r["iteration"]) for r in one] == [(r["kind"], r["iteration"]) for r in other]
    for a, b in zip(one, other):
        assert a.get("tokens") == b.get("tokens")
        for name in ("loss", "train_loss", "val_loss", "gradient_norm"):
            if name in a:
                assert b[name] == pytest.approx(a[name], rel=2e-5), (name, a)


@pytest.mark.parametrize("count", [2, 3])
def test_several_processes_train_as_one(tmp_path, count):
    # 30 rows in batches of 4: the last has two, fewer than three processes.
    data_of(tmp_path / "data", train=30, valid=5)
    alone = subprocess.run(finetune(*STEPS, "--adapter-path", "one"), capture_output=True, text=True, cwd=tmp_path)
    assert alone.returncode == 0, alone.stderr
    run = mpirun(count, *finetune(*STEPS, "--adapter-path", "many"), cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("Iter 4: Train loss") == 1
    same_curves(log_of(tmp_path / "one"), log_of(tmp_path / "many"))


def test_a_notebook_runs_unchanged(tmp_path):
    source = (
        "from mlx_lm.lora import finetune\n"
        f"model, tokenizer = load({str(DIRECTORY)!r})\n"
        "data = [{'text': 'abc def ghi'[: 4 + i % 7]} for i in range(16)]\n"
        "history = finetune(model, data, iters=4, batch_size=4, num_layers=-1, steps_per_report=1, learning_rate=1e-3)\n"
        "[round(loss, 4) for loss in history.losses]"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    nbformat.write(notebook, tmp_path / "train.ipynb")
    alone = subprocess.run([LULL, "run", "train.ipynb", "-o", "one.ipynb"], capture_output=True, text=True, cwd=tmp_path)
    assert alone.returncode == 0, alone.stderr
    run = mpirun(2, LULL, "run", "train.ipynb", "-o", "two.ipynb", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    results = []
    for name in ("one.ipynb", "two.ipynb"):
        written = nbformat.read(tmp_path / name, as_version=4)
        nbformat.validate(written)
        results.append(eval(written.cells[0].outputs[-1]["data"]["text/plain"]))
    assert results[0] == pytest.approx(results[1], abs=2e-4)


def test_dropout_resumes_with_several_processes(tmp_path):
    data_of(tmp_path / "data", train=30, valid=5)
    options = (*STEPS, "--dropout", 0.2)
    assert mpirun(2, *finetune(*options, "--adapter-path", "whole"), cwd=tmp_path).returncode == 0
    short = [x if x != 12 else 5 for x in options]
    assert mpirun(2, *finetune(*short, "--adapter-path", "parts"), cwd=tmp_path).returncode == 0
    run = mpirun(2, *finetune(*options, "--adapter-path", "parts", "--resume"), cwd=tmp_path)
    assert run.returncode == 0, run.stderr

    def steps(folder):
        return [r for r in log_of(tmp_path / folder) if r["kind"] == "step"]

    assert steps("whole") == steps("parts")


def test_a_lost_process_ends_the_run_and_leaves_a_checkpoint(tmp_path):
    data_of(tmp_path / "data")
    options = ["--iters", 100000, "--save-every", 100000, "--batch-size", 2, "--adapter-path", "run", "--steps-per-eval", 100000]
    process = subprocess.Popen(
        [*MPIRUN, "-n", "2", *finetune(*options)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        env=ENVIRONMENT,
    )
    log = tmp_path / "run" / "log.jsonl"
    for _ in range(600):
        if log.exists() and '"train"' in log.read_text():
            break
        time.sleep(0.1)
    children = subprocess.run(["pgrep", "-P", str(process.pid), "-f", "finetune"], capture_output=True, text=True).stdout.split()
    ranks = {}
    for pid in children:
        for entry in open(f"/proc/{pid}/environ").read().split("\0"):
            if entry.startswith("OMPI_COMM_WORLD_RANK="):
                ranks[int(entry.split("=")[1])] = int(pid)
    os.kill(ranks[1], signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "mpirun ends this run, because another of its processes was lost" in err
    assert "what was learned is saved" in out
    done = json.loads(out.split("Interrupted after iteration ")[1].split(";")[0])
    more = subprocess.run(
        finetune("--iters", done + 3, "--batch-size", 2, "--adapter-path", "run", "--resume", "--steps-per-report", 1),
        capture_output=True, text=True, cwd=tmp_path,
    )
    assert more.returncode == 0, more.stderr
    assert f"Resuming after iteration {done}" in more.stdout
