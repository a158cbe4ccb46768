"""%save and %restore: a session over a restart."""

import subprocess

import pytest
from test_examples import LULL

FIRST = """
# %%
import numpy as np
from dataclasses import dataclass
from functools import partial
n, text, z = 10 ** 30, "é\\n", 1.5 + 2j
a = arange(6).reshape(2, 3)
view = a[:, 1]
doubles = np.linspace(0, 1, 3)
cplx = np.array([1 + 2j])
half = array([1.5, -2.0]).astype(mx.bfloat16)
shared = [a, float("nan"), {"key": (a, b"\\x00")}]
shared.append(shared)
# %%
def scale(x, by=n):
    return x * 2

class Base:
    kind = "base"

class Point(Base):
    def __init__(self, x):
        self.x = x
        self.me = self
    def twice(self):
        return self.x * 2

@dataclass
class Row:
    name: str
    values: list

def logged(f):
    def inner(*args):
        return ("logged", f(*args))
    return inner

@logged
def shout(s):
    return s.upper()

@mx.compile
def step(x):
    return x * x + 1
# %%
p = Point(4)
row = Row("r", [1, p])
method = p.twice
part = partial(scale, 3)
model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
optimizer = optim.Adam(learning_rate=0.01)
optimizer.init(model.trainable_parameters())
kept = model(a.astype(float32))
lam = lambda x: x * x
gen = (i for i in range(3))
mx.random.seed(7)
mx.random.uniform()
# %%
%save {path}
# %%
after = mx.random.uniform(shape=(3,))
print(after.tolist(), kept.tolist())
"""

SECOND = """
# %%
%restore {path}
# %%
print(mx.random.uniform(shape=(3,)).tolist(), model(a.astype(float32)).tolist())
# %%
assert n == 10 ** 30 and text == "é\\n" and z == 1.5 + 2j
assert a.tolist() == [[0, 1, 2], [3, 4, 5]] and view.tolist() == [1, 4] and view.dtype == mx.int32
assert doubles.dtype == np.float64 and cplx[0] == 1 + 2j and half.dtype == mx.bfloat16 and half.tolist() == [1.5, -2.0]
assert shared[0] is a and shared[3] is shared and shared[2]["key"][0] is a and shared[1] != shared[1]
assert scale(2) == 4 and p.twice() == 8 and p.me is p and isinstance(p, Base) and Point.kind == "base"
assert row == Row("r", [1, p]) and row.values[1] is p and method() == 8 and method.__self__ is p and part() == 6
assert shout("a") == ("logged", "A") and step(array(3.0)).item() == 10
assert optimizer.learning_rate.item() == array(0.01).item() and optimizer.state["step"].item() == 0
optimizer.update(model, model.trainable_parameters())
try:
    lam
    assert False
except NameError:
    pass
# %%
%history import
# %%
scale??
"""


def run(tmp_path, name, source, code=0):
    (tmp_path / name).write_text(source.replace("{path}", "work.session"))
    done = subprocess.run([LULL, "run", name], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_a_session_comes_back(tmp_path):
    first = run(tmp_path, "first.lull", FIRST).stdout
    assert "not saved: lam (a lambda cannot be saved; define it with def)" in first
    assert "not saved: gen (a generator cannot be saved)" in first
    second = run(tmp_path, "second.lull", SECOND).stdout
    assert first.splitlines()[-1] in second
    assert "restored: \n   import numpy as np" in second or "restored: import numpy as np" in second
    assert "def scale(x, by=n):" in second


def test_what_is_restored_can_be_saved_again(tmp_path):
    run(tmp_path, "first.lull", FIRST)
    run(tmp_path, "second.lull", "# %%\n%restore work.session\n# %%\n%save work.session\n")
    run(tmp_path, "third.lull", SECOND)


def test_models_are_loaded_from_where_they_were(tmp_path):
    from test_finetune import DIRECTORY

    first = f"""
# %%
model, tok = load({str(DIRECTORY)!r})
other = model
ids = tok.encode("abc")
# %%
%save work.session
print(model(mx.array([ids]))[0, -1, :3].tolist())
"""
    second = """
# %%
%restore work.session
# %%
assert other is model and model._tokenizer is tok
print(model(mx.array([tok.encode("abc")]))[0, -1, :3].tolist())
"""
    expected = run(tmp_path, "first.lull", first).stdout.splitlines()[-1]
    assert run(tmp_path, "second.lull", second).stdout.splitlines()[-1] == expected


def test_failures(tmp_path):
    assert "No such file" in run(tmp_path, "a.lull", "# %%\n%restore no.session\n", code=1).stderr
    (tmp_path / "work.session").write_bytes(b"nothing")
    run(tmp_path, "a.lull", "# %%\n%restore work.session\n", code=1)
    plain = "# %%\nmx.save_safetensors('w.safetensors', {'a': mx.ones(2)})\n%restore w.safetensors\n"
    assert "is no session that %save wrote" in run(tmp_path, "a.lull", plain, code=1).stderr
    run(tmp_path, "a.lull", "# %%\nx = 1\n%save work.session\n")
    whole = (tmp_path / "work.session").read_bytes()
    for cut in range(0, len(whole), 37):
        (tmp_path / "work.session").write_bytes(whole[:cut])
        run(tmp_path, "b.lull", "# %%\n%restore work.session\n", code=1)
    # Nothing of a failed save replaces the file.
    (tmp_path / "work.session").write_bytes(whole)
    assert "there/x.session" in run(tmp_path, "c.lull", "# %%\nx = 1\n%save not/there/x.session\n", code=1).stderr


@pytest.mark.parametrize("first, second, says", [
    ("import math\ndef f(x): return math.sqrt(x)\n", "print(f(4))", "2.0"),
    ("def f(x): return x + 1\ng = f\ndef f(x): return x + 2\n", "print('g' in dir())", "False"),
    ("def f(x): return x + 1\ng = f\ndel f\n", "print(g(1))", "2"),
    ("class A: pass\nA.n = 5\na = A()\na.d = {1, 2}\n", "print(sorted(a.d))", "[1, 2]"),
    ("from collections import *\nc = Counter('aab'); d = defaultdict(list, {1: [2]}); q = deque([1], maxlen=2)\n",
     "print(c['a'], d[5], q.maxlen)", "2 [] 2"),
    ("e = ValueError('bad')\n", "print(repr(e))", "ValueError('bad')"),
    ("r = range(2, 9, 3); s = slice(None, 4); t = mx.float16; k = (1, frozenset({2})); b = bytearray(b'x')\n",
     "print(r, s, t, k, b)", "range(2, 9, 3) slice(None, 4, None) mlx.core.float16 (1, frozenset({2})) bytearray(b'x')"),
])
def test_kinds_of_values(tmp_path, first, second, says):
    run(tmp_path, "first.lull", "# %%\n" + first + "# %%\n%save work.session\n")
    assert run(tmp_path, "second.lull", "# %%\n%restore work.session\n# %%\n" + second).stdout.splitlines()[-1] == says
