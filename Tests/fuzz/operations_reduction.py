"""Reductions, scans, sorting and the fused functions over an axis."""

import dtypes
import numpy as np
from dtypes import FLOATS, INTEGERS, REAL, floating, kind
from expressions import Impossible
from reference import SAMPLES, reach

NUMERIC = INTEGERS + FLOATS + ["complex64"]


def summed(dtype):
    """The dtype of sum and prod."""
    return {"bool": "int32", "int8": "int32", "int16": "int32", "uint8": "uint32", "uint16": "uint32"}.get(dtype, dtype)


def _axes(m, v):
    """Random axes: as the program writes them (or None), and for NumPy."""
    style = m.choice(["all", "one", "one", "one", "many"])
    if style == "all" or not v.shape:
        return None, tuple(range(len(v.shape)))
    if style == "one":
        axis, written = m.axis(v)
        return written, (axis,)
    axes = m.rng.sample(range(len(v.shape)), m.rng.randint(1, len(v.shape)))
    return [a - len(v.shape) if m.chance(0.3) else a for a in axes], tuple(axes)


def _arguments(m, v):
    written, axes = _axes(m, v)
    keep = m.chance(0.4)
    text = ("" if written is None else f", axis={written}") + (", keepdims=True" if keep else "")
    count = int(np.prod([v.shape[a] for a in axes])) if axes else 1
    return text, axes, keep, count


def _logsumexp(a, axes, keep):
    top = a.max(axis=axes, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    out = np.log(np.exp(a - top).sum(axis=axes, keepdims=True)) + top
    return out if keep else out.reshape([n for i, n in enumerate(a.shape) if i not in axes])


def reduce(m):
    name = m.choice(["sum", "sum", "prod", "max", "min", "mean", "any", "all", "logsumexp", "count_nonzero"])
    among = INTEGERS + FLOATS if name == "logsumexp" else dtypes.ALL
    v = m.operand(among)
    text, axes, keep, count = _arguments(m, v)
    if count == 0 and name in ("max", "min", "logsumexp", "mean"):
        raise Impossible
    if name == "count_nonzero":
        text = text.replace(", keepdims=True", "")
        keep = False
    total = summed(v.dtype) if v.shape else v.dtype
    dtype = {"sum": total, "prod": total, "mean": floating(v.dtype), "any": "bool", "all": "bool",
             "logsumexp": floating(v.dtype), "count_nonzero": "int32"}.get(name, v.dtype)
    x = v if name in ("any", "all", "count_nonzero") else m.cast(v, dtype)
    whole = {"axis": axes, "keepdims": keep}
    scale, ulps, peak = None, 0, None
    if name in ("sum", "mean"):
        f = (lambda a: a.sum(**whole, dtype=a.dtype)) if name == "sum" else (lambda a: a.mean(**whole))
        scale, ulps = (lambda a: getattr(np.abs(a), name)(**whole)), (4 + count**0.5 / 4 if count > 1 else 0.5)
        peak = lambda a: np.abs(a).sum(**whole)
    elif name == "prod":
        f, ulps = (lambda a: a.prod(**whole, dtype=a.dtype)), (count * 2 if count > 1 else 0)
        scale = lambda a: np.abs(a).prod(**whole)
        peak = lambda a: np.maximum(np.abs(a), 1).prod(**whole)
    elif name == "logsumexp":
        f, ulps = (lambda a: _logsumexp(a, axes, keep)), 6 + count**0.5 / 4
        scale = lambda a: 1 + np.abs(np.nan_to_num(a.max(**whole)))
    elif name == "count_nonzero":
        f = lambda a: np.asarray((a != 0).sum(**whole)).astype(np.int32)
    else:
        f = lambda a: getattr(np, name)(a, **whole)
    used = m.use(v)
    call = f"{used}.{name}({text[2:]})" if m.chance(0.3) and name not in ("count_nonzero",) else f"mx.{name}({used}{text})"
    m.emit(name, call, dtype, f, [x], ulps if kind(dtype) in "fc" else 0, scale if kind(dtype) in "fc" else None,
           peak=peak if kind(dtype) in "fc" else None)


def spread(m):
    """var and std."""
    name = m.choice(["var", "std"])
    v = m.operand(INTEGERS + FLOATS)
    text, axes, keep, count = _arguments(m, v)
    ddof = 1 if count > 1 and m.chance(0.3) else 0
    if count == 0:
        raise Impossible
    if ddof:
        text += ", ddof=1"
    dtype = floating(v.dtype)
    x = m.cast(v, dtype)
    whole = {"axis": axes, "keepdims": keep}
    unit = dtypes.EPSILON[dtype]
    ulps = 6 + count**0.5 / 4

    def error(a):  # of the squares, and of the mean that is taken away
        variance, size = a.var(**whole, ddof=ddof), np.abs(a).max(**whole)
        total = variance + ulps * unit * size * size
        return total if name == "var" else total / np.maximum(np.sqrt(variance), np.sqrt(ulps * unit * total + 1e-300))

    m.emit(name, f"mx.{name}({m.use(v)}{text})", dtype, lambda a: getattr(a, name)(**whole, ddof=ddof), [x], ulps, error,
           peak=lambda a: (a * a).sum(**whole))


def arg_reduce(m):
    name = m.choice(["argmax", "argmin"])
    v = m.operand()
    if v.size == 0:
        raise Impossible
    keep = m.chance(0.3)
    extra = ", keepdims=True" if keep else ""
    if not v.shape or m.chance(0.2):
        axis, text = None, ""
    else:
        axis, written = m.axis(v)
        text = f", axis={written}"
    out = m.emit(name, f"mx.{name}({m.use(v)}{text}{extra})", "uint32", lambda a: getattr(np, name)(a, axis=axis, keepdims=keep), [v])
    if kind(v.dtype) == "f" and not v.exact:
        _let_rounding_choose(out, v, axis, name)


def _let_rounding_choose(out, v, axis, name):
    """Where several elements may be the extreme after rounding, the samples take one after the other, so that nothing is
    said of what depends on the index; the index itself must be that of one of them."""
    middle, _, allowed, finite = (x.reshape(-1) if axis is None else np.moveaxis(x, axis, -1) for x in reach(v.samples, v.dtype))
    best = (middle.argmax if name == "argmax" else middle.argmin)(-1)[..., None]
    near = np.abs(middle - np.take_along_axis(middle, best, -1)) <= allowed + np.take_along_axis(allowed, best, -1)
    rows = finite.all(-1) & (near.sum(-1) > 1)
    if not rows.any():
        return
    order, count = np.argsort(~near, -1, kind="stable"), np.maximum(near.sum(-1), 1)
    shape = out.shape
    out.samples = [
        np.where(rows.reshape(shape), np.take_along_axis(order, (k % count)[..., None], -1).reshape(shape), s).astype(s.dtype)
        for k, s in zip(range(SAMPLES), out.samples)
    ]
    out.ties = (rows, near)


def scan(m):
    name = m.choice(["cumsum", "cumsum", "cumprod", "cummax", "cummin", "logcumsumexp"])
    v = m.operand({"logcumsumexp": FLOATS, "cummax": INTEGERS + FLOATS, "cummin": INTEGERS + FLOATS}.get(name, NUMERIC))
    axis, written = m.axis(v)
    back, inclusive = m.chance(0.3), not m.chance(0.3)
    if name in ("cummax", "cummin", "logcumsumexp"):
        inclusive = True
    flip = (lambda a: np.flip(a, axis)) if back else (lambda a: a)
    functions = {
        "cumsum": lambda a: np.cumsum(a, axis, dtype=a.dtype), "cumprod": lambda a: np.cumprod(a, axis, dtype=a.dtype),
        "cummax": lambda a: np.maximum.accumulate(a, axis), "cummin": lambda a: np.minimum.accumulate(a, axis),
        "logcumsumexp": lambda a: np.logaddexp.accumulate(a, axis),
    }

    def f(a, function=functions[name]):
        out = function(flip(a)) if a.size else a
        if not inclusive and a.size:
            start = np.full_like(np.take(out, [0], axis), 1 if name == "cumprod" else 0)
            out = np.concatenate([start, np.take(out, range(a.shape[axis] - 1), axis)], axis)
        return flip(out)

    count = v.shape[axis]
    ulps = {"cumsum": 2 + count**0.5, "cumprod": 2 * count, "logcumsumexp": 4 + 2 * count}.get(name, 0)
    scale = {"cumsum": lambda a: f(np.abs(a)), "cumprod": lambda a: f(np.abs(a)),
             "logcumsumexp": lambda a: 1 + np.abs(np.nan_to_num(f(a)))}.get(name)
    if kind(v.dtype) not in "fc":
        ulps, scale = 0, None
    text = f", axis={written}" + (", reverse=True" if back else "") + ("" if inclusive else ", inclusive=False")
    peak = {"cumsum": lambda a: f(np.abs(a)), "cumprod": lambda a: f(np.maximum(np.abs(a), 1))}.get(name)
    m.emit(name, f"mx.{name}({m.use(v)}{text})", v.dtype, f, [v], ulps, scale, peak=peak if ulps else None)


def sort(m):
    name = m.choice(["sort", "argsort", "topk", "partition", "argpartition", "median"])
    v = m.operand(INTEGERS + FLOATS if name == "median" else dtypes.ALL if name in ("sort", "argsort") else REAL)
    axis, written = m.axis(v)
    count = v.shape[axis]
    text = m.use(v)
    if name == "sort":
        m.emit(name, f"mx.sort({text}, axis={written})", v.dtype, lambda a: np.sort(a, axis), [v])
    elif name == "argsort":
        m.emit(name, f"mx.argsort({text}, axis={written})", "uint32", lambda a: np.argsort(a, axis, kind="stable"), [v])
    elif count == 0:
        raise Impossible
    elif name == "median":
        dtype = floating(v.dtype)
        m.emit(name, f"mx.median({text}, axis={written})", dtype, lambda a: np.median(a, axis), [m.cast(v, dtype)], 1)
    elif name == "topk":  # in no order: sorted before it is compared
        k = m.rng.randint(1, count)
        m.emit(name, f"mx.sort(mx.topk({text}, {k}, axis={written}), axis={written})", v.dtype,
               lambda a: np.take(np.sort(a, axis), range(count - k, count), axis), [v])
    else:
        k = m.rng.randint(0, count - 1)
        m.names += 1
        held = f"t{m.names}"
        m.lines.append(f"{held} = {text}")
        if name == "partition":
            m.lines.append(f"{held} = mx.partition({held}, {k}, axis={written})")
        else:
            m.lines.append(f"{held} = mx.take_along_axis({held}, mx.argpartition({held}, {k}, axis={written}), axis={written})")
        index = ", ".join([":"] * axis)
        index += ", " if index else ""
        part, piece = m.choice([(f"{index}:{k + 1}", range(k + 1)), (f"{index}{k}:", range(k, count))])
        m.emit(name, f"mx.sort({held}[{part}], axis={written})", v.dtype, lambda a: np.take(np.sort(a, axis), piece, axis), [v])


def search(m):
    """searchsorted in a sorted array."""
    n = m.choice([0, 1, 5, 40])
    dtype = m.choice(["float32", "int32", "uint8", "int64", "float16"])
    order = m.source((n,), dtype, "whole" if kind(dtype) == "f" else "small")
    v = m.source(m.random_shape(), dtype, "whole" if kind(dtype) == "f" else "small")
    side = m.choice(["left", "right"])
    m.emit("searchsorted", f'mx.searchsorted(mx.sort({order.text}), {v.text}, side="{side}")', "uint32",
           lambda a, b: np.searchsorted(np.sort(a), b, side=side), [order, v])


def softmax(m):
    v = m.operand(FLOATS)
    axis, written = m.axis(v)
    if v.size == 0:
        raise Impossible
    precise = ", precise=True" if m.chance(0.2) else ""

    def f(a):
        e = np.exp(a - a.max(axis=axis, keepdims=True))
        return e / e.sum(axis=axis, keepdims=True)

    def error(a):
        return f(a) * (1 + np.abs(np.nan_to_num(a - a.max(axis=axis, keepdims=True))))

    m.emit("softmax", f"mx.softmax({m.use(v)}, axis={written}{precise})", v.dtype, f, [v], 6 + v.shape[axis] ** 0.5 / 4, error)


def norm(m):
    """fast.rms_norm and fast.layer_norm."""
    v = m.operand(["float32", "float16", "bfloat16"], fits=lambda v: v.shape and v.shape[-1] > 1)
    n = v.shape[-1]
    has_weight, has_bias = m.chance(0.7), m.chance(0.5)
    name = m.choice(["rms_norm", "layer_norm"])
    weight = m.source((n,), v.dtype, "plain") if has_weight else None
    bias = m.source((n,), v.dtype, "plain") if has_bias and name == "layer_norm" else None
    operands = [x for x in (v, weight, bias) if x is not None]

    def parts(a, *rest):
        rest = list(rest)
        w = rest.pop(0) if weight else np.ones(())
        return a, w, rest.pop(0) if bias else np.zeros(())

    def f(*inputs):
        a, w, b = parts(*inputs)
        if name == "rms_norm":
            return a / np.sqrt((a * a).mean(-1, keepdims=True) + 1e-5) * w
        return (a - a.mean(-1, keepdims=True)) / np.sqrt(a.var(-1, keepdims=True) + 1e-5) * w + b

    def error(*inputs):
        a, w, b = parts(*inputs)
        if name == "rms_norm":
            return np.abs(f(*inputs))
        size = np.abs(a).max(-1, keepdims=True)
        unit = 2.0**-23 * (8 + n**0.5)
        deviation = np.sqrt(a.var(-1, keepdims=True) + 1e-5)
        lost = unit * size / deviation  # of what stays when the mean is taken away
        return np.abs(w) * (1 + size / deviation * lost) * np.abs((a - a.mean(-1, keepdims=True)) / deviation) + np.abs(
            w) * size / deviation + np.abs(b)

    narrower = dtypes.LARGEST[v.dtype] / dtypes.LARGEST["float32"]  # in which the squares are summed
    extra = f"{weight.text if weight else None}, "
    if name == "layer_norm":
        extra += f"{bias.text if bias else None}, "
    m.emit(name, f"mx.fast.{name}({m.use(v)}, {extra}1e-5)", v.dtype, f, operands, 6 + n**0.5 / 4, error,
           peak=lambda *o: narrower * (o[0] * o[0]).sum(-1, keepdims=True))


OPERATIONS = [(9, reduce), (2, spread), (2, arg_reduce), (5, scan), (6, sort), (1, search), (3, softmax), (2, norm)]
