"""Writes Tests/Fixtures/json and Tests/Fixtures/npy with Python's json and NumPy.

    pip install numpy
    python3 Tests/Fixtures/generate_format_fixtures.py
"""
import json, os
import numpy as np

here = os.path.dirname(os.path.abspath(__file__))
texts = [
    '{"b": 1, "a": [1, 2.5, -0.0, 1e16, 1e-5, 123456789012345678901234567890, true, null]}',
    '[]', '{}', '[[], {}, [[]], {"x": {}}]', '"caf\\u00e9 \\ud83d\\ude00 \\u0000\\u001f\\u007f \\/ \\b\\f\\n\\r\\t"',
    '[0.1, 1.0, 100.0, 1e22, 1.5e300, 5e-324, 2.2250738585072014e-308, 0.30000000000000004, 1E5, 1e-7]',
    '[NaN, Infinity, -Infinity]', '{"k": 1, "k": 2, "j": 3}', '  {"z":"\\u2028","é":"ü"}  ',
    '[9223372036854775807, -9223372036854775808, 9223372036854775808, -0, 0]',
    '{"é": 1, "e\\u0301": 2, "e": 3, "\\ud83d\\ude00": 4, "\\uffff": 5}',
]
notebook = {
    "cells": [
        {"cell_type": "markdown", "id": "a1", "metadata": {}, "source": ["# Title é 中文 😀\n", "text"]},
        {"cell_type": "code", "execution_count": 3, "id": "b2", "metadata": {"tags": ["parameters"]},
         "outputs": [{"name": "stdout", "output_type": "stream", "text": ["1.5\n", "\x1b[31mred\n"]},
                     {"data": {"text/plain": ["array([1, 2])"], "image/svg+xml": "<svg a=\"b\"/>"},
                      "execution_count": 3, "metadata": {}, "output_type": "execute_result"}],
         "source": "x = 'a\\tb'\nprint(x)"},
    ],
    "metadata": {"kernelspec": {"display_name": "Lull", "language": "python", "name": "lull"},
                 "times": [0.1, 1e-06, 12345678.9, 1e16]},
    "nbformat": 4, "nbformat_minor": 5,
}
texts.append(json.dumps(notebook))
cases = []
for t in texts:
    v = json.loads(t)
    cases.append({"text": t, "plain": json.dumps(v), "compact": json.dumps(v, separators=(",", ":")),
                  "notebook": json.dumps(v, indent=1, sort_keys=True, ensure_ascii=False),
                  "indent4": json.dumps(v, indent=4)})
bad = ['', '[1,]', '{"a":1,}', '[01]', '[1.]', '[.5]', '[+1]', "['a']", '{"a" 1}', '{1: 2}', '"\\x"', '"\t"',
       '"abc', '[1 2]', 'nul', 'truee', '{"a":1} x', '"\\u12"', '[1e]', '-', '[-]', '{"a"', '[', '{', '"\\']
for t in bad:
    try:
        json.loads(t); raise SystemExit("Python accepts " + t)
    except ValueError:
        pass
json.dump({"cases": cases, "bad": bad}, open(f"{here}/json/cases.json", "w"), indent=1)

rng = np.random.default_rng(0)
index = []
for d in ["?", "i1", "u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8", "<c8", "<c16", ">f4", "S5", "<U3", "<M8[s]"]:
    a = (rng.random((2, 3)) * 100).astype("f8")
    a = a.astype("i8").astype(d) if d == "<M8[s]" else a.astype(d)
    name = "t_" + "".join(c for c in d if c.isalnum()) + ("_big" if d[0] == ">" else "")
    np.save(f"{here}/npy/{name}.npy", a)
    index.append({"file": name, "kind": a.dtype.kind, "size": a.dtype.itemsize, "shape": [2, 3], "hex": a.tobytes().hex()})
np.save(f"{here}/npy/fortran.npy", np.asfortranarray(np.arange(6, dtype="<f4").reshape(2, 3)))
np.save(f"{here}/npy/scalar.npy", np.float32(3.5))
np.save(f"{here}/npy/empty.npy", np.zeros((0, 4), "<f4"))
np.savez(f"{here}/npy/two.npz", first=np.arange(4, dtype="<i4"), second=np.ones((2, 2), "<f8"))
np.savez_compressed(f"{here}/npy/deflated.npz", a=np.zeros(100))
np.save(f"{here}/npy/objects.npy", np.array([{}], dtype=object), allow_pickle=True)
with open(f"{here}/npy/version2.npy", "wb") as f:
    np.lib.format.write_array(f, np.arange(3, dtype="<f4"), version=(2, 0))
json.dump(index, open(f"{here}/npy/index.json", "w"), indent=1)
