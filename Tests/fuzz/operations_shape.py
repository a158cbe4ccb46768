"""Operations that move elements: shapes, joining, indexing, updates and creation."""

import dtypes
import numpy as np
from dtypes import FLOATS, INTEGERS, REAL, kind, promote
from expressions import Impossible
from reference import SAMPLES, Value


def reshape(m):
    v = m.operand()
    left, shape = v.size, []
    if left == 0:
        shape = m.choice([(0,), (0, 3), (2, 0), (1, 0, 2)])
    else:
        while left > 1 and len(shape) < 3:
            n = m.choice([d for d in range(1, left + 1) if left % d == 0])
            shape.append(n)
            left //= n
        shape.append(left)
        if len(shape) > 1 and m.chance(0.3):
            shape[m.rng.randrange(len(shape))] = -1
    shape = tuple(shape)
    text = m.use(v)
    text = f"{text}.reshape({shape})" if m.chance(0.6) else f"mx.reshape({text}, {shape})"
    m.emit("reshape", text, v.dtype, lambda a: a.reshape(shape), [v])


def flatten(m):
    v = m.operand()
    if m.chance(0.5) or not v.shape:
        m.emit("flatten", f"mx.flatten({m.use(v)})", v.dtype, lambda a: a.reshape(-1), [v])
    else:
        a = m.rng.randrange(len(v.shape))
        b = m.rng.randrange(a, len(v.shape))
        shape = v.shape[:a] + (int(np.prod(v.shape[a : b + 1])),) + v.shape[b + 1 :]
        m.emit("flatten", f"mx.flatten({m.use(v)}, {a}, {b})", v.dtype, lambda x: x.reshape(shape), [v])


def transpose(m):
    v = m.operand()
    rank = len(v.shape)
    style = m.choice(["T", "axes", "move", "swap"])
    text = m.use(v)
    if style == "T" or rank < 2:
        m.emit("transpose", f"{text}.T", v.dtype, lambda a: a.T, [v])
    elif style == "axes":
        order = m.rng.sample(range(rank), rank)
        m.emit("transpose", f"mx.transpose({text}, {order})", v.dtype, lambda a: a.transpose(order), [v])
    else:
        a, b = m.rng.randrange(-rank, rank), m.rng.randrange(-rank, rank)
        name, f = ("moveaxis", np.moveaxis) if style == "move" else ("swapaxes", np.swapaxes)
        m.emit(name, f"mx.{name}({text}, {a}, {b})", v.dtype, lambda x: f(x, a, b), [v])


def axes_of_one(m):
    v = m.operand()
    ones = [i for i, n in enumerate(v.shape) if n == 1]
    if ones and m.chance(0.6):
        axis = m.choice(ones)
        m.emit("squeeze", f"mx.squeeze({m.use(v)}, {axis})", v.dtype, lambda a: np.squeeze(a, axis), [v])
    elif len(v.shape) < 5:
        axis = m.rng.randint(-len(v.shape) - 1, len(v.shape))
        m.emit("expand_dims", f"mx.expand_dims({m.use(v)}, {axis})", v.dtype, lambda a: np.expand_dims(a, axis), [v])
    else:
        raise Impossible


def broadcast(m):
    v = m.operand(fits=lambda v: v.size < 300 and len(v.shape) < 4)
    shape = tuple(m.choice([2, 3, 5, 0]) if n == 1 else n for n in v.shape)
    if m.chance(0.6):
        shape = (m.choice([1, 2, 4]),) + shape
    m.emit("broadcast_to", f"mx.broadcast_to({m.use(v)}, {shape})", v.dtype, lambda a: np.broadcast_to(a, shape), [v])


def join(m):
    v = m.operand(fits=lambda v: v.size < 500)
    pieces, texts = [v], [m.use(v)]
    name = m.choice(["concatenate", "concatenate", "stack"]) if v.shape else "stack"
    axis = m.rng.randrange(len(v.shape)) if name == "concatenate" else m.rng.randint(0, len(v.shape))
    for _ in range(m.choice([1, 1, 2])):
        shape = list(v.shape)
        if name == "concatenate":
            shape[axis] = m.choice([0, 1, 2, 5])
        w = m.source(tuple(shape), v.dtype if m.chance(0.7) else m.random_dtype())
        pieces.append(w)
        texts.append(w.text)
    dtype = v.dtype
    for w in pieces[1:]:
        dtype = promote(dtype, w.dtype)
    if m.chance(0.3):
        pieces.reverse()
        texts.reverse()
    written = axis - len(v.shape) - (name == "stack") if m.chance(0.3) else axis
    f = np.concatenate if name == "concatenate" else np.stack
    m.emit(name, f"mx.{name}([{', '.join(texts)}], axis={written})", dtype, lambda *a: f(a, axis), [m.cast(p, dtype) for p in pieces])


def split(m):
    v = m.operand()
    axis, written = m.axis(v)
    n = v.shape[axis]
    if m.chance(0.5):
        parts = m.choice([d for d in range(1, n + 1) if n % d == 0] or [1])
        which = m.rng.randrange(parts)
        m.emit("split", f"mx.split({m.use(v)}, {parts}, axis={written})[{which}]", v.dtype,
               lambda a: np.split(a, parts, axis)[which], [v])
    else:
        cuts = sorted(m.rng.randint(0, n) for _ in range(2))
        which = m.choice([0, 1, 2])
        m.emit("split", f"mx.split({m.use(v)}, {cuts}, axis={written})[{which}]", v.dtype,
               lambda a: np.split(a, cuts, axis)[which], [v])


def repeated(m):
    v = m.operand(fits=lambda v: v.size < 500)
    if m.chance(0.5):
        times = tuple(m.choice([1, 2, 3]) for _ in range(max(1, len(v.shape) + m.choice([-1, 0, 0, 1]))))
        m.emit("tile", f"mx.tile({m.use(v)}, {times})", v.dtype, lambda a: np.tile(a, times), [v])
    else:
        axis, written = m.axis(v)
        times = m.choice([1, 2, 3])
        m.emit("repeat", f"mx.repeat({m.use(v)}, {times}, axis={written})", v.dtype, lambda a: np.repeat(a, times, axis), [v])


def roll(m):
    v = m.operand()
    shift = m.choice([-3, -1, 0, 1, 2, 40])
    if m.chance(0.3) or not v.shape:
        m.emit("roll", f"mx.roll({m.use(v)}, {shift})", v.dtype, lambda a: np.roll(a, shift), [v])
    else:
        axis, written = m.axis(v)
        m.emit("roll", f"mx.roll({m.use(v)}, {shift}, axis={written})", v.dtype, lambda a: np.roll(a, shift, axis), [v])


def flip(m):
    v = m.operand()
    axis, written = m.axis(v)
    m.emit("flip", f"mx.flip({m.use(v)}, axis={written})", v.dtype, lambda a: np.flip(a, axis), [v])


def pad(m):
    v = m.operand(fits=lambda v: v.size < 300 and v.shape)
    widths = [(m.choice([0, 1, 2]), m.choice([0, 1, 3])) for _ in v.shape]
    if 0 not in v.shape and m.chance(0.3):
        m.emit("pad", f'mx.pad({m.use(v)}, {widths}, mode="edge")', v.dtype, lambda a: np.pad(a, widths, mode="edge"), [v])
    else:
        number = m.choice([0, 1, 2])
        m.emit("pad", f"mx.pad({m.use(v)}, {widths}, constant_values={number})", v.dtype,
               lambda a: np.pad(a, widths, constant_values=number), [v])


def triangle(m):
    name = m.choice(["tril", "triu", "diagonal", "diag", "trace"])
    v = m.operand(fits=lambda v: (v.size < 400 and len(v.shape) in (1, 2) and 0 not in v.shape) if name == "diag" else
                  len(v.shape) >= 2 and (0 not in v.shape))
    k = m.choice([-2, -1, 0, 0, 1, 3])
    if name in ("tril", "triu"):
        m.emit(name, f"mx.{name}({m.use(v)}, {k})", v.dtype, getattr(np, name), [v]) if k == 0 else m.emit(
            name, f"mx.{name}({m.use(v)}, {k})", v.dtype, lambda a: getattr(np, name)(a, k), [v])
        return
    if name == "trace":
        if len(v.shape) != 2 or kind(v.dtype) in "fc":
            raise Impossible
        from operations_reduction import summed
        dtype = summed(v.dtype)
        m.emit(name, f"mx.trace({m.use(v)})", dtype, lambda a: np.trace(a, dtype=dtype), [m.cast(v, dtype)])
        return
    if len(v.shape) >= 2 and not -v.shape[0] < k < v.shape[1]:
        k = 0
    f = np.diag if name == "diag" else np.diagonal
    m.emit(name, f"mx.{name}({m.use(v)}, {k})", v.dtype, lambda a: f(a, k), [v])


def diff(m):
    v = m.operand(INTEGERS + FLOATS, fits=lambda v: v.shape)
    axis, written = m.axis(v)
    if v.shape[axis] < 2:
        raise Impossible
    m.emit("diff", f"mx.diff({m.use(v)}, axis={written})", v.dtype, lambda a: np.diff(a, axis=axis), [v], 0.5 if kind(v.dtype) == "f" else 0)


def spread_out(m):
    """unflatten, atleast_nd, meshgrid."""
    v = m.operand()
    style = m.choice(["unflatten", "atleast", "meshgrid"])
    if style == "unflatten":
        axis, written = m.axis(v)
        n = v.shape[axis]
        first = m.choice([d for d in range(1, n + 1) if n % d == 0] or [1])
        shape = v.shape[:axis] + (first, n // first) + v.shape[axis + 1 :]
        m.emit("unflatten", f"mx.unflatten({m.use(v)}, {written}, ({first}, {-1 if n else 0}))", v.dtype, lambda a: a.reshape(shape), [v])
    elif style == "atleast":
        name = m.choice(["atleast_1d", "atleast_2d", "atleast_3d"])
        m.emit(name, f"mx.{name}({m.use(v)})", v.dtype, getattr(np, name), [v])
    else:
        a, b = m.source((m.choice([1, 3]),), v.dtype), m.source((m.choice([1, 4]),), v.dtype)
        which, order = m.choice([0, 1]), m.choice(["xy", "ij"])
        m.emit("meshgrid", f'mx.meshgrid({a.text}, {b.text}, indexing="{order}")[{which}]', v.dtype,
               lambda a, b: np.meshgrid(a, b, indexing=order)[which], [a, b])


# Indexing

def _index_array(m, n, shape):
    """Integers that may stand for positions of an axis of n."""
    if n == 0 and 0 not in shape:
        raise Impossible
    dtype = m.choice(["int32", "int32", "uint32", "int64", "uint8", "int16", "uint64"])
    low = -n if dtype[0] == "i" else 0
    if dtype == "uint8" and n > 255:
        dtype = "uint32"
    numbers = m.noise.integers(low, max(n, low + 1), shape).astype(dtype)
    text = f"mx.array({numbers.tolist()}, dtype=mx.{dtype})"
    if numbers.size == 0:
        text = f"mx.zeros({shape}, dtype=mx.{dtype})"
    return Value(text, dtype, [numbers] * SAMPLES)


def _slice(m, n):
    step = m.choice([None, None, None, 2, 3, -1, -2])
    ends = [None] + list(range(-n - 1, n + 2))
    a, b = m.choice(ends), m.choice(ends)
    return slice(a, b, step), ":".join("" if x is None else str(x) for x in (a, b)) + (f":{step}" if step else "")


def _basic_index(m, shape):
    """A random index of slices, integers, None and ..., as NumPy takes it and as it is written."""
    index, text = [], []
    cut = m.rng.randint(0, len(shape)) if m.chance(0.3) else None
    for axis, n in enumerate(shape):
        if cut == axis:
            index.append(Ellipsis)
            text.append("...")
            if m.chance(0.5):  # what follows is counted from the end
                rest = len(shape) - axis
                skipped = m.rng.randint(0, rest)
                for size in shape[axis + skipped :]:
                    s, t = _slice(m, size)
                    index.append(s)
                    text.append(t)
            return index, text
        style = m.choice(["slice", "slice", "slice", "int", "all", "new"])
        if style == "new":
            index.append(None)
            text.append("None")
            style = "all"
        if style == "int" and n:
            i = m.rng.randrange(-n, n)
            index.append(i)
            text.append(str(i))
        elif style == "all":
            if m.chance(0.3) and cut is None:
                break
            index.append(slice(None))
            text.append(":")
        else:
            s, t = _slice(m, n)
            index.append(s)
            text.append(t)
    return index, text


def get_basic(m):
    v = m.operand(fits=lambda v: v.shape)
    index, text = _basic_index(m, v.shape)
    if not index:
        raise Impossible
    m.emit("index", f"{m.use(v)}[{', '.join(text)}]", v.dtype, lambda a: a[tuple(index)], [v])


def get_array(m):
    v = m.operand(fits=lambda v: v.shape)
    style = m.choice(["one", "two", "mixed", "mask"])
    rank = len(v.shape)
    if style == "two" and rank >= 2:
        shape = m.choice([(3,), (2, 2), (1,), ()])
        i, j = _index_array(m, v.shape[0], shape), _index_array(m, v.shape[1], shape)
        m.emit("gather", f"{m.use(v)}[{i.text}, {j.text}]", v.dtype, lambda a, i, j: a[i.astype(int), j.astype(int)], [v, i, j])
    elif style == "mixed" and rank >= 2:
        axis = m.rng.randrange(rank)
        i = _index_array(m, v.shape[axis], (m.choice([0, 1, 4]),))
        parts, texts = [], []
        for a in range(rank):
            s, t = (slice(None), ":") if m.chance(0.4) else _slice(m, v.shape[a])
            parts.append(s)
            texts.append(i.text if a == axis else t)
        def f(a, i):
            return a[tuple(i.astype(int) if k == axis else s for k, s in enumerate(parts))]
        m.emit("gather", f"{m.use(v)}[{', '.join(texts)}]", v.dtype, f, [v, i])
    else:
        i = _index_array(m, v.shape[0], m.choice([(3,), (2, 2), (0,), (), (1, 7)]))
        m.emit("gather", f"{m.use(v)}[{i.text}]", v.dtype, lambda a, i: a[i.astype(int)], [v, i])


def take(m):
    v = m.operand(fits=lambda v: v.shape)
    axis, written = m.axis(v)
    style = m.choice(["take", "along", "flat"])
    if style == "take":
        i = _index_array(m, v.shape[axis], m.choice([(4,), (2, 3), (1,), (0,)]))
        m.emit("take", f"mx.take({m.use(v)}, {i.text}, axis={written})", v.dtype, lambda a, i: np.take(a, i.astype(int), axis), [v, i])
    elif style == "flat":
        i = _index_array(m, v.size, m.choice([(4,), (2, 3), (1,)]))
        m.emit("take", f"mx.take({m.use(v)}, {i.text})", v.dtype, lambda a, i: np.take(a, i.astype(int)), [v, i])
    else:
        shape = list(v.shape)
        shape[axis] = m.choice([1, 2, 5])
        if np.prod(shape) > 200:
            raise Impossible
        i = _index_array(m, v.shape[axis], tuple(shape))
        m.emit("take_along_axis", f"mx.take_along_axis({m.use(v)}, {i.text}, axis={written})", v.dtype,
               lambda a, i: np.take_along_axis(a, i.astype(int), axis), [v, i])


def put(m):
    """put_along_axis at distinct places."""
    v = m.operand(fits=lambda v: v.shape and 0 not in v.shape)
    axis, written = m.axis(v)
    count = m.rng.randint(1, min(v.shape[axis], 5))
    shape = v.shape[:axis] + (count,) + v.shape[axis + 1 :]
    if np.prod(shape) > 200:
        raise Impossible
    order = np.argsort(m.noise.random(v.shape), axis=axis)
    numbers = np.take(order, range(count), axis).astype(np.int32)
    w = m.source(shape, v.dtype)
    m.emit("put_along_axis", f"mx.put_along_axis({m.use(v)}, mx.array({numbers.tolist()}), {w.text}, axis={written})", v.dtype,
           lambda a, b: _put(a, numbers, b, axis), [v, w])


def _put(a, numbers, b, axis):
    out = a.copy()
    np.put_along_axis(out, numbers.astype(int), b, axis)
    return out


def update(m):
    """at[...].add and its like, and assignment, through slices or an array of positions."""
    v = m.operand(INTEGERS + FLOATS, fits=lambda v: v.shape)
    name = m.choice(["add", "subtract", "multiply", "maximum", "minimum", "set"])
    if m.chance(0.5):
        index, text = _basic_index(m, v.shape)
        if not index or any(i is None for i in index):
            raise Impossible
        index, text = tuple(index), ", ".join(text)
    else:
        n = v.shape[0]
        if n == 0:
            raise Impossible
        count = m.rng.randint(1, 4)
        if name in ("set", "multiply"):
            count = min(count, n)
            numbers = m.noise.permutation(n)[:count]
        else:
            numbers = m.noise.integers(-n, n, count)
        index, text = numbers, f"mx.array({numbers.tolist()})"
    shape = np.empty(v.shape, np.int8)[index].shape
    w = m.source(tuple(1 if m.chance(0.2) else n for n in shape), v.dtype)
    ufunc = {"add": np.add, "subtract": np.subtract, "multiply": np.multiply, "maximum": np.maximum, "minimum": np.minimum}

    def f(a, b):
        out = a.copy()
        if name == "set":
            out[index] = b
        elif isinstance(index, tuple):
            out[index] = ufunc[name](out[index], b)
        else:
            ufunc[name].at(out, index, b)
        return out

    def scale(a, b):
        return np.abs(a) + np.max(np.abs(b), initial=0)

    inexact = kind(v.dtype) in "fc" and name in ("add", "subtract", "multiply")
    if name == "set":
        m.names += 1
        held = f"t{m.names}"
        m.lines.append(f"{held} = mx.array({m.use(v)})")
        m.lines.append(f"{held}[{text}] = {w.text}")
        m.emit("set", held, v.dtype, f, [v, w])
    else:
        m.emit("at", f"{m.use(v)}.at[{text}].{name}({w.text})", v.dtype, f, [v, w], 3 if inexact else 0,
               scale if inexact and name != "multiply" else None)


def mask_assign(m):
    v = m.operand(fits=lambda v: v.shape)
    mask = m.source(v.shape, "bool")
    number = m.choice([0, 1, 2])
    m.names += 1
    held = f"t{m.names}"
    m.lines.append(f"{held} = mx.array({m.use(v)})")
    m.lines.append(f"{held}[{mask.text}] = {number}")
    m.emit("mask", held, v.dtype, lambda a, c: np.where(c, np.asarray(number, a.dtype), a), [v, mask])


def create(m):
    name = m.choice(["zeros", "ones", "full", "arange", "linspace", "eye", "tri", "zeros_like", "ones_like"])
    dtype = m.random_dtype(REAL)
    shape = m.random_shape()
    d = dtypes.name(dtype)
    if name in ("zeros", "ones"):
        m.emit(name, f"mx.{name}({shape}, dtype={d})", dtype, lambda: getattr(np, name)(shape), [])
    elif name == "full":
        number = m.choice([True, False] if dtype == "bool" else [0, 1, 3])
        m.emit(name, f"mx.full({shape}, {number}, dtype={d})", dtype, lambda: np.full(shape, number), [])
    elif name == "arange":
        dtype = m.choice(INTEGERS + FLOATS)
        a, b, s = m.choice([(0, 7, 1), (3, 40, 2), (0, 0, 1), (5, 100, 7), (2, 60, 1)])
        m.emit(name, f"mx.arange({a}, {b}, {s}, dtype={dtypes.name(dtype)})", dtype, lambda: np.arange(a, b, s), [])
    elif name == "linspace":
        n = m.choice([1, 2, 5, 33])
        m.emit(name, f"mx.linspace(-1, 3, {n})", "float32", lambda: np.linspace(-1, 3, n), [], 2, lambda: np.full(n, 3.0))
    elif name in ("eye", "tri"):
        n, w, k = m.choice([1, 3, 6]), m.choice([1, 4, 5]), m.choice([-1, 0, 1])
        m.emit(name, f"mx.{name}({n}, {w}, {k}, dtype={d})", dtype, lambda: getattr(np, name)(n, w, k), [])
    else:
        v = m.operand()
        m.emit(name, f"mx.{name}({m.use(v)})", v.dtype, getattr(np, name), [v])


OPERATIONS = [(5, reshape), (2, flatten), (5, transpose), (3, axes_of_one), (2, broadcast), (4, join), (2, split), (3, repeated),
              (2, roll), (1, flip), (2, pad), (3, triangle), (1, diff), (2, spread_out), (6, get_basic), (4, get_array), (4, take), (2, put), (4, update),
              (1, mask_assign), (2, create)]
