"""Compiled functions of many steps keep their schedule of kernels: the same values as without, whatever happens to a call."""

import signal
import subprocess
import time

from conftest import LULL, ROOT, wait_for_line

VALUES = """
import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from functools import partial

def chain(a, b, w):
    x = a
    for i in range(12):
        x = mx.tanh(x @ w + b * (i + 1))
        x = mx.softmax(x, axis=-1)
        x = x.T[::1].T + mx.sort(x, axis=-1)
    return x, mx.sum(x), x.reshape(-1)[:5], a
mx.random.seed(0)
a = mx.random.normal((8, 8)); b = mx.random.normal((8,)); w = mx.random.normal((8, 8))
f = mx.compile(chain)
for k in range(4):
    got = f(a * (k + 1), b, w); want = chain(a * (k + 1), b, w)
    for g, v in zip(got, want): assert mx.allclose(g, v, atol=1e-5).item(), (k, g, v)
# only one output asked for, in another order
x, s, five, same = f(a, b, w)
print(five.shape, mx.allclose(s, chain(a, b, w)[1]).item())
# arguments that live on are not written over; those that die may be
keep = a + 0
r1 = f(keep, b, w); mx.eval(r1)
assert mx.array_equal(keep, a)
r = a + 0
for _ in range(5): r = f(r, b, w)[0]
e = a + 0
for _ in range(5): e = chain(e, b, w)[0]
print(mx.allclose(r, e, atol=1e-5).item())
# same array twice
def two(p, q):
    for i in range(20): p = mx.sort(p + q, axis=-1) * 0.5; q = q + 1
    return p, q
g = mx.compile(two)
z = a + 0
u, v = g(z, z); U, V = two(z, z)
print(mx.allclose(u, U).item(), mx.allclose(v, V).item())
z = mx.ones((4, 4)) * 2
u, v = g(z, z + 1); z2 = mx.ones((4, 4)) * 2
print(mx.allclose(u, two(z2, z2 + 1)[0]).item())
# several live calls at once
calls = [f(a * i, b, w) for i in range(6)]
mx.eval(calls[3]); mx.eval(calls[0]); mx.eval(calls[5])
for i in (5, 1, 0, 2, 4, 3): assert mx.allclose(calls[i][0], chain(a * i, b, w)[0], atol=1e-5).item()
# nested in gradient, vmap
L = lambda a: f(a, b, w)[1]
print(mx.allclose(mx.grad(L)(a), mx.grad(lambda a: chain(a, b, w)[1])(a), atol=1e-4).item())
print(mx.allclose(mx.vmap(lambda c: f(a * c, b, w)[1])(mx.arange(3.0)), mx.stack([chain(a * c, b, w)[1] for c in (0., 1., 2.)]), atol=1e-4).item())
# shapes / strides differ
print(mx.allclose(f(a.T, b[::-1], w.T)[0], chain(a.T, b[::-1], w.T)[0], atol=1e-5).item())
print(mx.allclose(f(mx.broadcast_to(a[:1], (8, 8)), b, w)[0], chain(mx.broadcast_to(a[:1], (8, 8)), b, w)[0], atol=1e-5).item())
# training step
class Net(nn.Module):
    def __init__(self):
        super().__init__(); self.a = nn.Linear(6, 16); self.b = nn.Linear(16, 16); self.c = nn.Linear(16, 1); self.d = nn.Dropout(0.2)
    def __call__(self, x): return self.c(nn.gelu(self.b(self.d(mx.tanh(self.a(x))))))
def train(compiled):
    mx.random.seed(1); net = Net(); opt = optim.AdamW(1e-2); mx.eval(net.parameters())
    X = mx.random.normal((32, 6)); Y = X.sum(axis=1, keepdims=True)
    lg = nn.value_and_grad(net, lambda n, x, y: ((n(x) - y) ** 2).mean())
    state = [net.state, opt.state, mx.random.state]
    def step(x, y):
        l, g = lg(net, x, y); opt.update(net, g); return l
    if compiled: step = mx.compile(step, inputs=state, outputs=state)
    out = []
    for _ in range(8):
        l = step(X, Y); mx.eval(state, l); out.append(l.item())
    return out
p, q = train(True), train(False)
print(max(abs(i - j) for i, j in zip(p, q)) < 1e-4)
# functions with rules of their own, recomputation, dependencies: their outputs are inputs of their nodes
@mx.custom_function
def own(p, q): return mx.sort(p * q), p + q
@own.vjp
def own_vjp(primals, cotangents, outputs): return cotangents[0] * primals[1] * 2, cotangents[1] * 3
def block(p, q):
    for _ in range(4):
        u, v = own(p, q)
        p = mx.depends(mx.sort(u), [v]) * 0.5
        q = mx.checkpoint(lambda t: mx.sin(mx.sort(t)) + 1)(v)
    return p, q, p.sum() + (q * q).sum()
p0, q0 = mx.linspace(0, 1, 16), mx.linspace(1, 2, 16)
both = mx.compile(block)
grads = mx.compile(mx.grad(lambda p, q: block(p, q)[2], argnums=(0, 1)))
wants = block(p0, q0) + mx.grad(lambda p, q: block(p, q)[2], argnums=(0, 1))(p0, q0)
for _ in range(3):
    gots = both(p0 + 0, q0 + 0) + grads(p0 + 0, q0 + 0)
    print(all(mx.allclose(g, v, atol=1e-5).item() for g, v in zip(gots, wants)))
# errors
def bad(x, i):
    for _ in range(20): x = mx.sort(x + 1, axis=-1)
    return mx.linalg.cholesky(x[:2, :2] * i), x
h = mx.compile(bad)
try: mx.eval(h(mx.array([[1., 2.], [3., 4.]]), mx.array(-1.0)))
except Exception as err: print(type(err).__name__, err)
c, x = h(mx.array([[4., 1.], [1., 3.]]), mx.array(1.0))
try: mx.eval(c); print('fine')
except Exception as err: print(type(err).__name__)
mem = mx.get_active_memory()
for _ in range(50): r = f(a, b, w); mx.eval(r)
print(mx.get_active_memory() - mem < 20000)
"""

MEMORY = """
import mlx.core as mx
def f(x):
    a = x + 1
    for i in range(13): a = mx.sort(mx.tan(a) + x[::-1], axis=0)
    b = mx.concatenate([a] * 8)
    for i in range(4): b = mx.sort(b * 2, axis=0) + mx.cumsum(b)
    return b.sum(), a
g = mx.compile(f)
x = mx.linspace(0, 1, 200000)
mx.eval(g(x + 0))
want = f(x); mx.eval(want)
mx.clear_cache()
old = mx.set_memory_limit(mx.get_active_memory() + 6_000_000)
y = g(x + 0)
for i in range(2):
    try: mx.eval(y)
    except MemoryError as e: print('MemoryError', str(e)[:60])
mx.set_memory_limit(old)
other = g(x * 2); mx.eval(other)      # another call of the plan meanwhile
mx.eval(y)
print(mx.allclose(y[0], want[0]).item(), mx.allclose(y[1], want[1]).item())
w2 = f(x * 2); print(mx.allclose(other[0], w2[0]).item(), mx.allclose(other[1], w2[1]).item())
"""

INTERRUPTED = """
import mlx.core as mx
def f(x):
    a = x
    for i in range(200): a = mx.sort(mx.tan(a) + x, axis=0)
    return a, a.sum()
g = mx.compile(f)
x = mx.linspace(0, 1, 1000000)
mx.eval(g(x + 0))
want = f(x); mx.eval(want)
print("go", flush=True)
y = g(x + 0); n = 0
while True:
    try:
        mx.eval(y); break
    except KeyboardInterrupt: n += 1; print("interrupted", n, flush=True)
print(n, mx.array_equal(y[0], want[0]).item(), mx.array_equal(y[1], want[1]).item())
"""


def test_values_are_those_of_the_function(lull):
    r = lull("-", stdin=VALUES)
    assert r.code == 0, r.err
    lines = r.out.splitlines()
    assert len(lines) == 15 and not any("False" in line for line in lines)
    assert lines[-3:] == ["ValueError linalg.cholesky: the matrix is not positive definite: its leading 1 x 1 part is not", "fine", "True"]


def test_a_call_without_memory_goes_on_when_there_is_some(lull):
    r = lull("-", stdin=MEMORY)
    assert r.code == 0, r.err
    lines = r.out.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["MemoryError", "MemoryError"]
    assert lines[2:] == ["True True", "True True"]


def test_an_interrupted_call_goes_on_where_it_stopped():
    process = subprocess.Popen([LULL, "-c", INTERRUPTED], stdout=subprocess.PIPE, text=True)
    wait_for_line(process, "go", 60)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    wait_for_line(process, "interrupted 1", 60)
    time.sleep(0.1)  # it is in the evaluation again
    process.send_signal(signal.SIGINT)
    wait_for_line(process, "interrupted 2", 60)
    rest, _ = process.communicate(timeout=120)
    assert rest == "2 True True\n" and process.returncode == 0


def test_random_functions(lull):
    r = lull(ROOT / "Tests/Compiled/random_functions.lull", 0, 300)
    assert r.code == 0 and r.out == "300 functions, 0 wrong\n", r.out + r.err
