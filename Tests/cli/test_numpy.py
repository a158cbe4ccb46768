"""NumPy's functions: results, dtypes and printing against what NumPy itself gave (Tests/numpy)."""

import json
import subprocess
from pathlib import Path

import pytest
from conftest import LULL

FOLDER = Path(__file__).resolve().parents[1] / "numpy"
EXPECTED = json.loads((FOLDER / "expected.json").read_text())["results"]

PROGRAM = """
import json
import numpy as np

with open({path!r}) as f:
    lines = json.loads(f.read())
out = {{}}
{cases}
with open({result!r}, "w") as f:
    f.write(json.dumps(out))
"""

CASE = """
try:
    out[lines[{i}]] = repr(({line}))
except Exception as e:
    out[lines[{i}]] = f"{{type(e).__name__}}: {{e}}"
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("numpy")
    lines = list(EXPECTED)
    (folder / "lines.json").write_text(json.dumps(lines))
    program = folder / "cases.lull"
    program.write_text(
        PROGRAM.format(
            path=str(folder / "lines.json"), result=str(folder / "out.json"),
            cases="".join(CASE.format(i=i, line=line) for i, line in enumerate(lines)),
        )
    )
    done = subprocess.run([LULL, str(program)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "out.json").read_text())


@pytest.mark.parametrize("line", list(EXPECTED))
def test_as_numpy(results, line):
    assert results[line] == EXPECTED[line]
