"""Whatever help() knows has an example, and every example prints what it shows.

One program asks for the help of every public function, class and method of a module; its examples then run in order as
one notebook. What cannot have an example that runs is listed here with the reason.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
from test_docs import matches, printed

ROOT = Path(__file__).resolve().parents[2]
LULL = os.environ.get("LULL", str(ROOT / "lull"))

MODULES = (
    "builtins IPython.display getpass math cmath time sys os os.path stat struct gc weakref json re itertools functools collections collections.abc heapq "
    "bisect operator string random statistics copy textwrap contextlib dataclasses io pathlib tempfile abc argparse inspect "
    "keyword pickle platform queue subprocess threading timeit traceback types typing unittest warnings numpy numpy.linalg numpy.fft "
    "numpy.random numpy.testing numpy.lib.stride_tricks mlx.core mlx.core.cuda mlx.core.distributed mlx.core.fast mlx.core.fft "
    "mlx.core.linalg mlx.core.metal mlx.core.random mlx.nn mlx.nn.distributed mlx.nn.init mlx.nn.losses mlx.nn.utils "
    "mlx.optimizers mlx.utils mlx_lm mlx_lm.batch mlx_lm.chat mlx_lm.constrained mlx_lm.convert mlx_lm.embeddings mlx_lm.fuse mlx_lm.generate mlx_lm.lora mlx_lm.perplexity "
    "mlx_lm.tuner.adapters mlx_lm.tuner.callbacks mlx_lm.tuner.checkpoint mlx_lm.tuner.datasets mlx_lm.tuner.dora mlx_lm.tuner.lora mlx_lm.tuner.trainer "
    "mlx_lm.tuner.utils yaml "
    "mlx_lm.sample_utils mlx_lm.speculative mlx_lm.utils models.cache "
    "models.base models.gemma models.gemma2 models.gemma3_text models.gguf models.llama models.mixtral models.olmo2 models.phi "
    "models.phi3 models.qwen2 models.qwen3 models.rope models.starcoder2 models.switch_layers lull.formats "
    "lull.introspect lull.media lull.media_native lull.plots lull.programs lull.session lull.trace lull.teaching.axis lull.teaching.broadcast "
    "lull.teaching.compare lull.teaching.explain lull.teaching.graph lull.teaching.lazy lull.teaching.quiz lull.teaching.shapes "
    "lull.teaching.strides lull.teaching.why "
    "models.whisper mlx_whisper mlx_whisper.audio mlx_whisper.decoding mlx_whisper.load_models mlx_whisper.timing mlx_whisper.tokenizer "
    "mlx_whisper.transcribe mlx_whisper.writers lull.audio zlib"
).split()

# Modules of the library whose names another module shows, or which have none.
PARTS = "IPython __future__ lull lull.arrays lull.cli lull.commands lull.snapshot lull.teaching models numpy.lib mlx_lm.tuner mlx_lm.models mlx_lm.models.cache mlx.optimizers.schedulers".split() + [
    "mlx.nn." + part for part in "activations convolution layers module normalization pooling positional recurrent transformer upsample".split()
]

# Names without an example that runs.
WITHOUT = {
    "builtins.input": "reads the terminal", "getpass.getpass": "reads the terminal",
    "IPython.display.DisplayHandle": "what display() gives",
    "builtins.exit": "ends the session", "builtins.quit": "ends the session",
    "functools.CacheInfo": "what cache_info() gives", "statistics.LinearRegression": "what linear_regression() gives",
    "types.GenericAlias": "what list[int] gives", "types.UnionType": "what int | str gives",
    "weakref.CallableProxyType": "what proxy() gives", "weakref.ProxyType": "what proxy() gives",
    "numpy.ndarray": "what array() gives", "numpy.ufunc": "the type of add, exp and so on", "numpy.take_dlpack": "a part of from_dlpack()",
    "mlx.core.ArrayAt": "what a.at gives",
    "mlx.core.DeviceType": "the type of mx.cpu", "mlx.core.Dtype": "the type of mx.float32", "mlx.core.DtypeCategory": "the type of mx.floating",
    "mlx.core.FunctionExporter": "what exporter() gives", "mlx.core.Stream": "what new_stream() gives",
    "mlx.core.StreamContext": "what stream() gives", "mlx.core.ThreadLocalStream": "what new_thread_local_stream() gives",
    "mlx.core.fast.cuda_kernel": "needs a GPU", "mlx.core.fast.metal_kernel": "needs a GPU",
    "mlx.core.fast.precompiled_cuda_kernel": "needs a GPU",
}

ASK = """
import sys
module = {module!r}
M = __import__(module, fromlist=["x"])
asked = []


def ask(name, x):
    print("=#=", name)
    help(x)


def own(x):
    "Whether a function or class is of this module or package, and not only imported from another one that is asked, too."
    home = getattr(x, "__module__", None)
    if home is None or home == module or home.startswith(module + "."):
        return True
    return home not in {modules!r} and home.split(".")[0] == module.split(".")[0]


def methods(kind):
    "The public methods of a class, those of private bases too; one that a base of the package has is described there."
    names, known = [], set()
    for base in kind.__mro__:
        if base is kind or base.__name__.startswith("_"):
            names += [n for n in vars(base) if not n.startswith("_") and n not in names]
        elif own(base):
            known.update(vars(base))
    return [n for n in names if n not in known and callable(getattr(kind, n)) and not isinstance(getattr(kind, n), type)]


for name in dir(M):
    x = getattr(M, name, None)
    if name.startswith("_") or not callable(x) or "numpy.dtype" in str(type(x)):
        continue
    if isinstance(x, type) and issubclass(x, BaseException):
        continue
    if type(x).__name__ in ("function", "type") and not own(x):
        continue
    ask(module + "." + name, x)
    if isinstance(x, type) and x not in asked:
        asked.append(x)
        for method in methods(x):
            ask(module + "." + name + "." + method, getattr(x, method))
"""


def helps(module, folder):
    """The help of each name of a module."""
    path = folder / "ask.lull"
    path.write_text(ASK.format(module=module, modules=MODULES))
    run = subprocess.run([LULL, str(path)], capture_output=True, text=True, cwd=folder, timeout=120)
    assert run.returncode == 0, run.stderr
    found, name = {}, None
    for line in run.stdout.splitlines():
        if line.startswith("=#= "):
            name = line[4:]
            found[name] = []
        elif name:
            found[name].append(line[2:] if line.startswith("  ") else line)
    return found


def with_models(folder):
    """A folder with the models and the sound that some examples read: model (a directory), model.gguf, whisper and talk.wav."""
    fixtures = ROOT / "Tests" / "Fixtures"
    (folder / "model").symlink_to(fixtures / "models" / "llama_gqa")
    (folder / "whisper").symlink_to(ROOT / "models" / "whisper-tiny.en")
    (folder / "talk.wav").symlink_to(fixtures / "whisper" / "human_words.wav")
    (folder / "model.gguf").symlink_to(fixtures / "gguf" / "llama_Q4_1.gguf")
    return folder


def cells_of(lines):
    """Pairs (source, expected lines) of the examples in a help text."""
    cells = []
    for line in lines:
        if line.startswith(">>> "):
            cells.append(([line[4:]], []))
        elif cells and (line.startswith("... ") or line == "...") and not cells[-1][1]:
            cells[-1][0].append(line[4:])
        elif cells:
            cells[-1][1].append(line)
    for _, expected in cells:
        while expected and not expected[-1]:
            expected.pop()
    return [("\n".join(source), expected) for source, expected in cells]


def test_every_module_is_asked():
    library = ROOT / "stdlib"
    names = [".".join(p.relative_to(library).with_suffix("").parts).removesuffix(".__init__") for p in library.rglob("*.lull")]
    public = {n for n in names if not any(part.startswith("_") and part != "__future__" for part in n.split("."))}
    assert sorted(public - set(MODULES) - set(PARTS)) == []


@pytest.mark.parametrize("module", MODULES)
def test_examples(module, tmp_path):
    found = helps(module, with_models(tmp_path))
    assert found
    # A command shows how it is typed; those lines run nothing.
    lacking = [
        name for name, lines in found.items()
        if name not in WITHOUT and not cells_of(lines) and not any("As a function: " in line or line.startswith("%") for line in lines)
    ]
    assert not lacking, f"without an example: {' '.join(lacking)}"
    cells = [(name, *cell) for name, lines in found.items() for cell in cells_of(lines)]
    notebook = {
        "cells": [
            {"cell_type": "code", "execution_count": None, "id": f"c{i}", "metadata": {}, "outputs": [], "source": source}
            for i, (_, source, _) in enumerate(cells)
        ],
        "metadata": {}, "nbformat": 4, "nbformat_minor": 5,
    }
    path = tmp_path / "examples.ipynb"
    path.write_text(json.dumps(notebook))
    run = subprocess.run(
        [LULL, "run", str(path), "-o", str(tmp_path / "out.ipynb"), "--allow-errors"],
        capture_output=True, text=True, cwd=tmp_path, timeout=300, stdin=subprocess.DEVNULL,
    )
    assert run.returncode == 0, run.stderr
    done = json.loads((tmp_path / "out.ipynb").read_text())
    wrong = []
    for (name, source, expected), cell in zip(cells, done["cells"]):
        if not matches(printed(cell), expected):
            wrong.append(f"{name}: {source}\n--- shown\n" + "\n".join(expected) + "\n--- printed\n" + "\n".join(printed(cell)))
    assert not wrong, "\n\n".join(wrong[:20]) + f"\n{len(wrong)} of {len(cells)} examples are wrong"
