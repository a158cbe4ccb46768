"""Makes random expressions: the text of a function that is a program for MLX and for Lull, and its reference value.

The arrays come from pools that both read from one file (`write_pools`); an expression takes slices of them and gives them
a shape in one of several layouts. What one operation made is written into the next one's arguments or given a name.
"""

import random

import dtypes
import numpy as np
from reference import SAMPLES, Value, finish

POOL = 6000
FLAVOURS = {"b": ["any"], "u": ["small", "full"], "i": ["small", "full"], "f": ["plain", "whole", "wide", "odd"],
            "c": ["plain", "whole"]}
AXES = [0, 1, 1, 2, 2, 3, 3, 4, 5, 5, 7, 8, 9, 16, 17, 31, 33]


class Impossible(Exception):
    """An operation has no operands here; another one is tried."""


def _pool(dtype, flavour, rng):
    kind = dtypes.kind(dtype)
    if kind == "b":
        return rng.integers(0, 2, POOL).astype(bool)
    if kind in "ui":
        info = np.iinfo(dtype)
        if flavour == "full":
            values = rng.integers(info.min, info.max, POOL, dtype=dtype, endpoint=True)
            values[rng.integers(0, POOL, POOL // 10)] = rng.choice(np.array([info.min, info.max, 0, 1], dtype), POOL // 10)
            return values
        return rng.integers(max(info.min, -9), 10, POOL).astype(dtype)
    if kind == "c":
        values = _pool("float32", flavour, rng) + 1j * _pool("float32", flavour, rng)
        return dtypes.rounded(values, dtype)
    if flavour == "whole":
        values = rng.integers(-6, 7, POOL).astype(np.float64)
    elif flavour == "wide":
        top = 3 if dtype == "float16" else 8
        values = rng.choice([-1.0, 1.0], POOL) * 10.0 ** rng.uniform(-top, top, POOL)
    else:
        values = rng.standard_normal(POOL) * 2
    if flavour == "odd":
        at = rng.integers(0, POOL, POOL // 5)
        values[at] = rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0], at.size)
    return dtypes.rounded(values, dtype)


def make_pools(seed):
    rng = np.random.default_rng(seed)
    return {(d, f): _pool(d, f, rng) for d in dtypes.ALL for f in FLAVOURS[dtypes.kind(d)]}


def pool_name(dtype, flavour):
    return f"{dtype}_{flavour}"


def write_pools(pools, path):
    stored = {}
    for (dtype, flavour), values in pools.items():
        if dtype == "bfloat16":
            values = values.astype(np.float32)
        elif dtypes.kind(dtype) in "fc":
            values = values.astype(dtype)
        stored[pool_name(dtype, flavour)] = values
    np.savez(path, **stored)


class Expression:
    """A function of no arguments that returns a list, and the reference values of what it returns."""

    def __init__(self, number, source, values, operations):
        self.number, self.source, self.values, self.operations = number, source, values, operations


class Maker:
    """One expression in the making. Operations (see operations_*.py) take operands from it and `emit` results."""

    def __init__(self, seed, number, pools):
        self.rng = random.Random(f"{seed}/{number}")
        self.noise = np.random.default_rng([seed, number])
        self.pools, self.number = pools, number
        self.lines, self.values, self.operations = [], [], []
        self.names, self.used = 0, set()
        self.limit = self.rng.choices([1500, 20000, 150000], [0.96, 0.035, 0.005])[0]
        self.base = self.random_shape()

    # Choices

    def chance(self, p):
        return self.rng.random() < p

    def choice(self, items):
        return self.rng.choice(items)

    def random_shape(self, rank=None):
        while True:
            r = self.choice([0, 1, 1, 2, 2, 2, 3, 3, 4]) if rank is None else rank
            shape = tuple(self.choice(AXES) if self.chance(0.97) else self.choice([64, 100, 257, 1025]) for _ in range(r))
            if self.limit > 1500 and shape and self.chance(0.5):  # enough for the threads
                shape = shape[:-1] + (self.choice([1000, 2049, 4100]),)
            if np.prod(shape) <= self.limit and (0 not in shape or self.chance(0.3)):
                return shape

    def random_dtype(self, among=dtypes.ALL):
        if "float32" in among and self.chance(0.3):
            return "float32"
        return self.choice(among)

    # Operands

    def source(self, shape, dtype, flavour=None):
        """A new array of the shape, in a random layout."""
        flavour = flavour or self.choice(FLAVOURS[dtypes.kind(dtype)])
        pool = self.pools[dtype, flavour]
        name = pool_name(dtype, flavour)
        layout = self.choice(["plain", "plain", "transposed", "stepped", "broadcast", "offset", "swapped"])
        kept = shape
        if layout == "broadcast":
            kept = tuple(1 if self.chance(0.5) else n for n in shape)
        wide, cuts = [], []
        for n in kept:
            if layout in ("stepped", "swapped") and n and self.chance(0.7):
                step = self.choice([-3, -2, -1, -1, 2, 2, 3])
                wide.append(abs(step) * (n - 1) + 1 + self.choice([0, 1]) * (step > 1))
                cuts.append(f"::{step}")
            elif layout == "offset" and n and self.chance(0.7):
                before, after = self.choice([0, 1, 2]), self.choice([0, 1])
                wide.append(n + before + after)
                cuts.append(f"{before}:{before + n}")
            else:
                wide.append(n)
                cuts.append(":")
        order = list(range(len(kept)))
        if layout in ("transposed", "swapped"):
            self.rng.shuffle(order)
        laid = [wide[i] for i in order]
        count = int(np.prod(laid)) if laid else 1
        if count > POOL - 8:
            return self.source(shape, dtype, flavour) if shape and np.prod(shape) <= 1500 else self._tiled(shape, dtype, flavour)
        start = self.rng.randrange(0, POOL - count - 1)
        text = f"{name}[{start}:{start + count}]"
        values = pool[start : start + count]
        if len(laid) != 1 or self.chance(0.2):
            text += f".reshape({tuple(laid)})"
            values = values.reshape(laid)
        if order != sorted(order):
            back = [order.index(i) for i in range(len(order))]
            text += f".transpose({', '.join(map(str, back))})"
            values = values.transpose(back)
        if any(c != ":" for c in cuts):
            text += f"[{', '.join(cuts)}]"
            for axis, c in enumerate(cuts):
                a, b, s = (c.split(":") + [""])[:3]
                cut = slice(int(a) if a else None, int(b) if b else None, int(s) if s else None)
                values = values[(slice(None),) * axis + (cut,)]
        if layout == "broadcast" and kept != shape:
            text = f"mx.broadcast_to({text}, {shape})"
            values = np.broadcast_to(values, shape)
        assert values.shape == shape, (text, values.shape, shape)
        return Value(text, dtype, [values] * SAMPLES)

    def _tiled(self, shape, dtype, flavour):
        count = int(np.prod(shape))
        pool = self.pools[dtype, flavour][:4096]
        times = -(-count // 4096)
        text = f"mx.tile({pool_name(dtype, flavour)}[:4096], {times})[:{count}].reshape({shape})"
        return Value(text, dtype, [np.tile(pool, times)[:count].reshape(shape)] * SAMPLES)

    def operand(self, among=dtypes.ALL, fits=lambda v: True, shape=None, fresh=0.15):
        """A value with a dtype of `among`: most often the latest, else an older one or a new array."""
        if not self.chance(fresh):
            for v in reversed(self.values[-3:]):
                if v.dtype in among and fits(v) and self.chance(0.85):
                    return v
        if shape is None:
            shape = self.base if self.chance(0.5) else self.random_shape()
        v = self.source(shape, self.random_dtype(among))
        if not fits(v):
            for _ in range(8):
                v = self.source(self.random_shape(), self.random_dtype(among))
                if fits(v):
                    return v
            raise Impossible
        return v

    def partner(self, v, among=dtypes.ALL):
        """A value that broadcasts with v."""
        dtype = v.dtype if v.dtype in among and self.chance(0.5) else self.random_dtype(among)
        if v.text.isidentifier() and v.dtype in among and self.chance(0.06):
            return v
        if self.chance(0.25):
            for w in reversed(self.values):
                if w is not v and w.dtype in among and self.fits_size(v.shape, w.shape):
                    return w
        shape = tuple(1 if self.chance(0.2) else n for n in v.shape)
        if self.chance(0.2):
            shape = shape[self.rng.randint(0, len(shape)) :]
        return self.source(shape, dtype)

    def fits_size(self, *shapes):
        try:
            return np.prod(np.broadcast_shapes(*shapes), dtype=float) <= self.limit
        except ValueError:
            return False

    def use(self, v):
        """The text of an operand; what was not given a name is written in place, once."""
        self.used.add(v)
        if v in self.values and not v.text.isidentifier():
            self.values.remove(v)
        return v.text

    def axis(self, v):
        if not v.shape:
            raise Impossible
        axis = self.rng.randrange(len(v.shape))
        return axis, (axis - len(v.shape) if self.chance(0.4) else axis)

    # Results

    def cast(self, v, dtype):
        """The samples of v in dtype, as an operation converts its operands."""
        if v.dtype == dtype:
            return v
        raws, before = [], None
        for s in v.samples:
            raws.append(raws[-1] if s is before else convert(s, v.dtype, dtype))
            before = s
        return Value(v.text, dtype, finish(raws, dtype, 0, [None] * SAMPLES, [None] * SAMPLES, self.noise))

    def hidden(self, dtype, function, operands, ulps=0, scale=None, mask=None, peak=None):
        """A value that the program does not name: a part of an operation. `function` computes it on arrays in double
        precision (or exact integers); its error may be `ulps` units of the dtype's precision times `scale` (of the
        result's size, unless given). `mask` tells what has no defined value, `peak` the largest number on the way."""
        raws, scales, masks, before = [], [], [], None
        with np.errstate(all="ignore"):
            for k in range(SAMPLES):
                inputs = [o.samples[k] for o in operands]
                if before is None or any(a is not b for a, b in zip(inputs, before)):
                    raw = np.asarray(function(*inputs))
                    if raw.dtype != dtypes.storage(dtype):
                        raw = raw.astype(dtypes.storage(dtype))
                    size = None if scale is None else np.asarray(scale(*inputs), dtype=np.float64)
                    out = None if mask is None else mask(*inputs)
                    if peak is not None:
                        top = peak(*[np.where(np.isfinite(x), x, 0) for x in inputs])
                        over = np.broadcast_to(~(top < dtypes.LARGEST[dtype] / 2), raw.shape)
                        out = over if out is None else out | over
                raws.append(raw)
                scales.append(size)
                masks.append(out)
                before = inputs
            if raws[0].size > self.limit or raws[0].ndim > 6:
                raise Impossible
            return Value("", dtype, finish(raws, dtype, ulps, scales, masks, self.noise))

    def emit(self, name, text, dtype, function, operands, ulps=0, scale=None, mask=None, peak=None):
        """Adds a step; see `hidden` for its value."""
        v = self.hidden(dtype, function, operands, ulps, scale, mask, peak)
        self.operations.append(name)
        if self.chance(0.5):
            self.names += 1
            self.lines.append(f"t{self.names} = {text}")
            text = f"t{self.names}"
        v.text = text
        self.values.append(v)
        return v

    def finished(self):
        """Returns what no operation used: most often the last result alone."""
        left = [v for v in self.values if v not in self.used]
        body = "".join(f"    {line}\n" for line in self.lines)
        texts = ", ".join(v.text for v in left)
        return Expression(self.number, f"def e{self.number}():\n{body}    return [{texts}]\n", left, self.operations)

    def state(self):
        return list(self.lines), list(self.values), list(self.operations), self.names, set(self.used)

    def restore(self, state):
        self.lines, self.values, self.operations, self.names, self.used = state


def convert(a, source, target):
    """An array of one dtype in another. A float becomes a 64-bit integer on its way to uint32, int64 and uint64 (which
    takes what is below 2^64), a 32-bit one on its way to the others, of which the low bits are kept; what does not fit
    that, and NaN, is its lowest number."""
    ks, kt = dtypes.kind(source), dtypes.kind(target)
    with np.errstate(all="ignore"):
        if kt == "b":
            return a != 0
        if ks == "c" and kt != "c":
            a, ks = a.real, "f"
        if ks == "f" and kt in "ui":
            middle = np.int64 if target in ("uint32", "int64", "uint64") else np.int32
            end = 2.0 ** (np.iinfo(middle).bits - 1)
            whole = np.trunc(a)
            fits = (whole >= -end) & (whole < end)
            out = np.where(fits, np.where(fits, whole, 0).astype(middle), np.iinfo(middle).min).astype(target)
            if target == "uint64":
                large = (whole >= end) & (whole < 2 * end)
                out = np.where(large, np.where(large, whole, 0).astype(np.uint64), out)
            return out
        return a.astype(dtypes.storage(target))


def make(seed, number, pools, operations):
    """Expression `number` of a seed: one to eight operations of the given weighted table."""
    maker = Maker(seed, number, pools)
    wanted = maker.choice([1, 2, 3, 4, 5, 6, 7, 8])
    functions, weights = operations
    tries = 0
    while len(maker.operations) < wanted and tries < 60:
        tries += 1
        operation = maker.rng.choices(functions, weights)[0]
        saved = maker.state()
        try:
            operation(maker)
        except Impossible:
            maker.restore(saved)
            continue
        if len(maker.operations) > 8:
            maker.restore(saved)
    return maker.finished()
