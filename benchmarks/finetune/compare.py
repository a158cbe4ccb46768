"""LoRA steps of Lull beside PyTorch with PEFT and mlx-lm: tokens a second, peak resident memory, losses.

usage: compare.py LULL MODEL.gguf [--torch PYTHON] [--mlx PYTHON] [--steps N]

Rank 8 on every linear layer, batch 4 x 256, float32, 2 threads. PYTHON is an interpreter with torch, transformers and peft, or with
mlx-lm. Those read the model as a directory of floats, which Lull writes first. Losses of the first step are the same for all.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

here = Path(__file__).resolve().parent
parser = argparse.ArgumentParser()
parser.add_argument("lull")
parser.add_argument("model")
parser.add_argument("--torch")
parser.add_argument("--mlx")
parser.add_argument("--steps", default="5")
args = parser.parse_args()


def run(name, *command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    result = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"{name:28}{result['tokens_per_second']:10.1f}{result['peak_mib']:10.0f}   first loss {result['losses'][0]:.4f}", flush=True)


with tempfile.TemporaryDirectory() as folder:
    floats, codes = f"{folder}/floats", f"{folder}/codes"
    subprocess.run([args.lull, "convert", args.model, floats, "--dtype", "float32"], check=True, capture_output=True)
    subprocess.run([args.lull, "convert", args.model, codes, "--q-bits", "4"], check=True, capture_output=True)
    print(f"{'':28}{'tokens/s':>10}{'peak MiB':>10}")
    program = str(here / "lull_run.lull")
    run("Lull, GGUF file", args.lull, program, args.model, args.steps)
    run("Lull, checkpointed", args.lull, program, args.model, args.steps, "4", "256", "checkpoint")
    run("Lull, MLX 4 bits", args.lull, program, codes, args.steps)
    run("Lull, float32", args.lull, program, floats, args.steps)
    if args.torch:
        run("PyTorch + PEFT, float32", args.torch, str(here / "peft_run.py"), floats, args.steps)
    if args.mlx:
        run("mlx-lm, float32", args.mlx, str(here / "mlx_run.py"), floats, "3")
