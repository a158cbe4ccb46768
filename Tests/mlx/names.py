"""Prints the public names of mlx.core, its modules and its array type as JSON: under MLX's Python for names.json, under
./lull to compare with it."""
import json

import mlx.core as mx


def names(x):
    return sorted(n for n in dir(x) if not n.startswith("_"))


parts = {"mlx.core": mx, "array": mx.array}
for name in ("fast", "random", "fft", "linalg", "metal", "cuda", "distributed"):
    parts[name] = getattr(mx, name)
print(json.dumps({k: names(v) for k, v in parts.items()}))
