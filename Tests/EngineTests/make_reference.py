"""Writes reference.bin: operations, their inputs and what MLX (or NumPy) answers.

Little-endian; `n` is a LEB128 number, signed ones zigzag. Arrays and strings are pooled, so an
input that many cases share is stored once:
  n arrays: u8 dtype, n rank, n dims, bytes;  n strings: n length, UTF-8
  n cases: n name, n params and each signed, f32 tolerance, n inputs: u8 layout, n array,
    n outputs: either n array + 1, or 0, n dtype, n rank, n dims, n array of samples;
    n text + 1, or 0
Large outputs are sampled at SAMPLES places, evenly in row-major order.
Layouts: 0 row-major, 1 a transposed view, 2 every second element of a wider array.
Run with a Python that has mlx and numpy: python make_reference.py
"""
import os
import struct
import zlib

import mlx.core as mx
import numpy as np

mx.set_default_device(mx.cpu)
rng = np.random.default_rng(7)
NAMES = ["bool_", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
         "float16", "bfloat16", "float32", "float64", "complex64"]
DT = [getattr(mx, n) for n in NAMES]
FLOATS = DT[9:13]
WIDE = [mx.int8, mx.int32, mx.float16, mx.float32, mx.float64, mx.complex64]
SAMPLES = 24
arrays, strings, cases = {}, {}, []


def number(i):
    result = bytearray()
    while True:
        result.append(i & 127 | (128 if i > 127 else 0))
        i >>= 7
        if i == 0:
            return bytes(result)


def signed(i):
    return number(i << 1 if i >= 0 else (-i << 1) - 1)


def pooled(pool, data):
    return pool.setdefault(data, len(pool))


def raw(a):
    mx.eval(a)
    if a.dtype == mx.bfloat16:
        return np.array(a.view(mx.uint16))
    return np.ascontiguousarray(np.array(a))


def head(a):
    return number(DT.index(a.dtype)) + number(a.ndim) + b"".join(number(d) for d in a.shape)


def stored(a):
    return pooled(arrays, head(a) + raw(a).tobytes())


def record(name, params, tol, inputs, layouts, outputs, text):
    r = number(pooled(strings, name.encode())) + number(len(params))
    r += b"".join(signed(int(p)) for p in params) + struct.pack("<f", tol) + number(len(inputs))
    for i, a in enumerate(inputs):
        r += bytes([layouts[i] if layouts else 0]) + number(stored(a))
    r += number(len(outputs))
    for a in outputs:
        if a.size <= 2 * SAMPLES:
            r += number(stored(a) + 1)
            continue
        places = [i * (a.size - 1) // (SAMPLES - 1) for i in range(SAMPLES)]
        picked = raw(a).reshape(-1)[places]
        sample = number(DT.index(a.dtype)) + number(1) + number(SAMPLES) + picked.tobytes()
        r += number(0) + head(a) + number(pooled(arrays, sample))
    cases.append(r + number(0 if text is None else pooled(strings, text.encode()) + 1))


def case(name, inputs, expected, params=(), tol=0.0, layouts=None):
    """tol: in units of the output dtype's epsilon, relative to each value, or, where negative,
    to the largest value of the output; 0 is exact."""
    if not isinstance(expected, (list, tuple)):
        expected = [expected]
    record(name, params, tol, inputs, layouts, expected, None)


def text(name, a, s):
    record("text:" + name, (), 0, [a], None, [], s)


made = {}


def values(*arguments, **named):
    """Two sets of values for a dtype and shape (one where it is large), given in turn."""
    key = repr((arguments, sorted(named.items())))
    count, kept = made.setdefault(key, [0, {}])
    made[key][0] += 1
    variant = count % 2 if int(np.prod(arguments[1])) <= 200 else 0
    if variant not in kept:
        kept[variant] = fresh_values(*arguments, rng=np.random.default_rng(zlib.crc32(key.encode()) + variant), **named)
    return kept[variant]


def fresh_values(dtype, shape, low=-4, high=4, positive=False, rng=rng):
    n = int(np.prod(shape)) if shape else 1
    if dtype == mx.bool_:
        a = rng.integers(0, 2, n).astype(bool)
    elif dtype == mx.complex64:
        a = (rng.uniform(low, high, n) + 1j * rng.uniform(low, high, n)).astype(np.complex64)
    elif dtype in FLOATS:
        a = rng.uniform(0.1 if positive else low, high, n)
        return mx.array(a.astype(np.float64), dtype=mx.float64).astype(dtype).reshape(shape)
    else:
        unsigned = "uint" in str(dtype)
        a = rng.integers(1 if positive else 0 if unsigned else -9, 10, n)
    return mx.array(a).astype(dtype).reshape(shape)


def attempt(f):
    try:
        r = f()
        mx.eval(r)
        return r
    except ValueError:
        return None
    except RuntimeError:
        return None


UNARY = ["negative", "abs", "sign", "square", "sqrt", "rsqrt", "reciprocal", "exp", "expm1", "log",
         "log2", "log10", "log1p", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh",
         "tanh", "arcsinh", "arccosh", "arctanh", "sigmoid", "erf", "erfinv", "floor", "ceil",
         "round", "logical_not", "bitwise_invert", "isnan", "isinf", "isfinite", "isposinf",
         "isneginf", "real", "imag", "conjugate", "degrees", "radians", "nan_to_num"]
BINARY = ["add", "subtract", "multiply", "divide", "floor_divide", "remainder", "power", "maximum",
          "minimum", "arctan2", "logaddexp", "equal", "not_equal", "less", "less_equal", "greater",
          "greater_equal", "logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or",
          "bitwise_xor", "left_shift", "right_shift"]
SHAPES = [(), (0,), (1,), (7,), (3, 5), (2, 3, 4), (2, 0, 3), (530,), (9, 7)]

for name in UNARY:
    f = getattr(mx, name)
    for d in DT:
        for shape in [(3, 5), (), (0,), (600,) if d == mx.float32 else (20,)]:
            narrow = name in ("arcsin", "arccos", "arctanh", "erfinv")
            x = values(d, shape, -0.95 if narrow else -4, 0.95 if narrow else 4,
                       positive=name in ("arccosh", "log", "log2", "log10", "log1p", "sqrt", "rsqrt"))
            if name == "arccosh" and d in FLOATS:
                x = x + mx.array(1, dtype=d)
            if name in ("reciprocal", "rsqrt", "log", "log2", "log10") and d not in FLOATS and d != mx.complex64:
                x = mx.maximum(x, mx.array(1, dtype=d)).astype(d) if d != mx.bool_ else mx.ones(shape, dtype=d)
            if narrow and d not in FLOATS and d != mx.complex64:
                x = mx.zeros(shape, dtype=d)
            # MLX computes these in float32 only, and erf with some 200 ulp.
            if name == "erf" and d in FLOATS[2:] or d == mx.float64 and name in ("exp", "sin", "cos", "sigmoid", "erfinv"):
                continue
            r = attempt(lambda: f(x))
            if r is not None:
                transcendental = 0 if name in ("negative", "abs", "sign", "floor", "ceil", "round") and d != mx.complex64 else 8
                case(name, [x], r, tol=transcendental, layouts=[1 if len(shape) > 1 else 0])

for name in BINARY:
    f = getattr(mx, name)
    for d in DT:
        for sa, sb in [((3, 5), (3, 5)), ((3, 5), (5,)), ((3, 1), (1, 5)), ((), (4,)), ((0, 3), (1, 3)),
                       ((2, 3, 4), (3, 1))]:
            a, b = values(d, sa), values(d, sb)
            if name in ("divide", "floor_divide", "remainder", "left_shift", "right_shift", "power") and d != mx.complex64:
                b = mx.abs(b).astype(d)
                b = mx.where(b == 0, mx.array(1, dtype=d), b).astype(d)
            if name == "power" and d in FLOATS:
                a = mx.abs(a)
            if name == "power" and d not in FLOATS:
                b = mx.minimum(b, mx.array(3, dtype=d)).astype(d) if d != mx.complex64 else b
            if name == "logaddexp" and d == mx.float64 or name == "floor_divide" and d == mx.complex64:
                continue
            r = attempt(lambda: f(a, b))
            if r is not None:
                case(name, [a, b], r, tol=16 if name in ("power", "logaddexp", "arctan2") or d == mx.complex64 else 2,
                     layouts=[1 if len(sa) == 2 else 0, 2 if len(sb) == 1 else 0])
    for da in DT:
        for db in DT:
            a, b = values(da, (6,), positive=True), values(db, (6,), positive=True)
            if name in ("logaddexp", "left_shift", "right_shift", "power", "remainder", "floor_divide"):
                continue
            r = attempt(lambda: f(a, b))
            if r is not None:
                case(name, [a, b], r, tol=16)

for da in DT:
    for db in DT:
        x = values(da, (37,), 0 if "uint" in str(db) else -4)
        case("astype", [x], x.astype(db), params=[DT.index(db)], layouts=[2])
for d in DT:
    c, a, b = values(mx.bool_, (3, 5)), values(d, (5,)), values(d, (3, 1))
    case("where", [c, a, b], mx.where(c, a, b), layouts=[1, 0, 0])
for dec in (-1, 1, 2):
    x = values(mx.float32, (20,), -100, 100)
    case("rounded", [x], mx.round(x, decimals=dec), params=[dec], tol=2)

REDUCE = ["sum", "prod", "max", "min", "all", "any", "mean", "var", "std", "logsumexp", "argmax", "argmin"]
for name in REDUCE:
    f = getattr(mx, name)
    for d in DT:
        for shape, axes in [((7,), None), ((3, 5), (0,)), ((3, 5), (1,)), ((2, 3, 4), (1,)), ((2, 3, 4), (0, 2)),
                            ((2, 3, 4), (0, 1, 2)), ((14, 50), (0,)), ((14, 50), (1,)), ((3, 700), (1,)),
                            ((300, 3), (0,)), ((2, 60, 20), (1,)), ((2, 3, 4, 5), (1, 3)), ((), None),
                            ((0, 3), (0,)), ((0, 3), (1,)), ((1100,), None)]:
            if name == "prod" and max(shape + (0,)) > 7 or int(np.prod(shape)) > 200 and d not in WIDE:
                continue
            x = values(d, shape, -2, 2)
            if name in ("argmax", "argmin"):
                if axes is not None and len(axes) != 1:
                    continue
                r = attempt(lambda: f(x, axis=axes[0] if axes else None))
            elif name in ("var", "std") and d == mx.complex64:
                continue
            else:
                r = attempt(lambda: f(x, axis=list(axes) if axes else None, keepdims=len(shape) == 3))
            if r is None:
                continue
            if name == "logsumexp" and d not in FLOATS[:3] or name in ("var", "std", "mean") and 0 in shape:
                continue
            n = 1000 if d in FLOATS[:2] else 256
            case(name, [x], r, tol=n if d in FLOATS or d == mx.complex64 or name in ("mean", "var", "std", "logsumexp") else 0,
                 params=[int(len(shape) == 3 and name not in ("argmax", "argmin"))] + list(axes or []),
                 layouts=[1 if len(shape) >= 2 else 0])

for name in ["cumsum", "cumprod", "cummax", "cummin", "logcumsumexp"]:
    f = getattr(mx, name)
    for d in DT:
        for shape, axis in [((6,), 0), ((3, 4), 0), ((3, 4), 1), ((2, 3, 4), 1)]:
            for rev in (False, True):
                for inc in (False, True):
                    x = values(d, shape, -2, 2)
                    if name == "logcumsumexp" and d == mx.float64 or d == mx.complex64 and name not in ("cumsum", "cumprod"):
                        continue
                    if name == "cumprod" and d not in FLOATS and d != mx.complex64:
                        x = mx.minimum(x, mx.array(2, dtype=d)).astype(d) if d != mx.bool_ else x
                    r = attempt(lambda: f(x, axis=axis, reverse=rev, inclusive=inc))
                    if r is not None:
                        case(name, [x], r, params=[axis, rev, inc], tol=700)




for d in FLOATS[:3]:
    for shape in [(7,), (3, 5), (2, 3, 40), (2, 1000)]:
        for axis in range(-1, len(shape)):
            x = values(d, shape)
            case("softmax", [x], mx.softmax(x, axis=axis, precise=True), params=[axis], tol=16, layouts=[1])

for d in [mx.bool_, mx.uint8, mx.int16, mx.float32, mx.complex64]:
    x = values(d, (2, 3, 4))
    case("reshape", [x], x.reshape(4, 6), params=[4, 6], layouts=[1])
    case("reshape", [x], x.reshape(3, -1), params=[3, -1], layouts=[2])
    case("transpose", [x], x.transpose(2, 0, 1), params=[2, 0, 1])
    case("flatten", [x], mx.flatten(x, 1, 2), params=[1, 2], layouts=[1])
    case("squeeze_expand", [x], mx.expand_dims(x, [0, 3]), params=[0, 3])
    case("moveaxis", [x], mx.moveaxis(x, 0, 2), params=[0, 2])
    case("swapaxes", [x], mx.swapaxes(x, 0, 2), params=[0, 2])
    case("broadcast", [x], mx.broadcast_to(x, (2, 2, 3, 4)), params=[2, 2, 3, 4])
    case("concatenate", [x, x[:, :1]], mx.concatenate([x, x[:, :1]], axis=1), params=[1], layouts=[1, 0])
    case("stack", [x, x], mx.stack([x, x], axis=1), params=[1])
    case("split", [x], mx.split(x, 2, axis=2), params=[2, 2], layouts=[1])
    case("pad", [x], mx.pad(x, [(1, 2), (0, 1), (2, 0)]), params=[1, 2, 0, 1, 2, 0])
    case("pad_edge", [x], mx.pad(x, [(1, 2), (0, 1), (2, 0)], mode="edge"), params=[1, 2, 0, 1, 2, 0])
    case("tile", [x], mx.tile(x, (2, 1, 3)), params=[2, 1, 3])
    case("repeat", [x], mx.repeat(x, 3, axis=1), params=[3, 1])
    case("roll", [x], mx.roll(x, 2, axis=2), params=[2, 2])
    case("roll", [x], mx.roll(x, -1, axis=0), params=[-1, 0])
    case("slice", [x], x[::-1, 1:3, ::2], params=[1, -3, -1, 1, 3, 1, 0, 4, 2])
    case("diagonal", [x], mx.diagonal(x, 1, 0, 2), params=[1, 0, 2])
    case("tril", [x], mx.tril(x, 1), params=[1])
    case("triu", [x], mx.triu(x, -1), params=[-1])
    v = values(d, (3,))
    case("diag", [v], mx.diag(v, -1), params=[-1])
    u = values(d, (2, 2))
    y = mx.array(x)
    y[:, 0:3:2, 1] = u
    case("slice_update", [x, u.reshape(2, 2, 1)], y, params=[0, 2, 1, 0, 3, 2, 1, 2, 1])
x = values(mx.float32, (60, 70))
case("reshape", [x], x.T.T.reshape(70, 60), params=[70, 60], layouts=[1])
x = values(mx.float32, (130, 140))
case("contiguous", [x], x, layouts=[1])
for d in DT:
    x = values(d, (14, 15))
    case("contiguous", [x], x, layouts=[1])
    case("contiguous", [x], x, layouts=[2])

for d in DT:
    for shape in [(), (3,), (7,), (6,), (0,), (2, 3), (3, 0), (2, 2, 3), (8, 1), (2, 10, 7)]:
        x = values(d, shape, -1e3, 1e3)
        text("array", x, repr(x))
for v in [[1e10, 1.5e-7, 123456789, 0.1, 1 / 3, 1e6], [1e5, 99999.5, 100000.5, 1e-5, 0.0001], [float("inf"), float("nan"), -0.0, -float("inf")],
          [65504, 1e38, 1e-45, 123456.7]]:
    x = mx.array(v)
    text("array", x, repr(x))
x = mx.array([1e10 + 0j, 1 - 2j, complex(0.0, -0.0)])
text("array", x, repr(x))

extra = os.path.join(os.path.dirname(os.path.abspath(__file__)), "make_reference_more.py")
if os.path.exists(extra):
    exec(open(extra).read())

data = number(len(arrays)) + b"".join(arrays) + number(len(strings))
data += b"".join(number(len(t)) + t for t in strings)
data += number(len(cases)) + b"".join(cases)
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "reference.bin")
open(path, "wb").write(data)
print(len(cases), "cases,", len(data), "bytes")
