"""Matrix products and the fused functions of models."""

import dtypes
import numpy as np
from dtypes import FLOATS, INTEGERS, kind, promote
from expressions import Impossible

PRODUCTS = FLOATS + ["complex64"]


def _second(m, v, shape):
    dtype = v.dtype if m.chance(0.8) else m.choice(["float32", "float16", "bfloat16"])
    if v.dtype in ("float64", "complex64"):
        dtype = v.dtype
    w = m.source(shape, dtype, m.choice(["plain", "whole"]))
    return w, promote(v.dtype, dtype)


def _emit(m, name, text, dtype, f, operands, count):
    # einsum may sum an operand on its own, in that operand's dtype
    coarse = max(dtypes.EPSILON.get(o.dtype, 0) for o in operands) / dtypes.EPSILON[dtype] if name == "einsum" else 1
    operands = [m.cast(o, dtype) for o in operands]
    size = (lambda *a: f(*[np.abs(x) for x in a])) if kind(dtype) in "fc" else None
    m.emit(name, text, dtype, f, operands, coarse * (4 + count**0.5) if size else 0, size, peak=size)


def matmul(m):
    v = m.operand(PRODUCTS if m.chance(0.85) else ["int32", "int8", "uint8", "int64"], fits=lambda v: v.shape)
    n = v.shape[-1]
    width = m.choice([1, 2, 5, 16, 33])
    style = m.choice(["matrix", "matrix", "vector", "batch"])
    if style == "vector":
        shape = (n,)
    elif style == "batch" and len(v.shape) > 1:
        shape = tuple(1 if m.chance(0.3) else k for k in v.shape[:-2]) + (n, width)
    else:
        shape = (n, width)
    if kind(v.dtype) in "iu":
        w, dtype = m.source(shape, v.dtype), v.dtype
    else:
        w, dtype = _second(m, v, shape)
    text = f"({m.use(v)} @ {w.text})" if m.chance(0.5) else f"mx.matmul({m.use(v)}, {w.text})"
    _emit(m, "matmul", text, dtype, np.matmul, [v, w], n)


def addmm(m):
    v = m.operand(["float32", "float16", "bfloat16", "float64"], fits=lambda v: len(v.shape) == 2)
    n, width = v.shape[1], m.choice([1, 3, 16])
    w = m.source((n, width), v.dtype, "plain")
    c = m.source(m.choice([(width,), (v.shape[0], width), (v.shape[0], 1)]), v.dtype, "plain")
    alpha, beta = m.choice([(1.0, 1.0), (0.5, 2.0), (2.0, -1.0)])
    extra = "" if alpha == beta == 1 else f", alpha={alpha}, beta={beta}"
    f = lambda c, a, b: alpha * (a @ b) + beta * c
    m.emit("addmm", f"mx.addmm({c.text}, {m.use(v)}, {w.text}{extra})", v.dtype, f, [c, v, w], 4 + n**0.5,
           lambda c, a, b: abs(alpha) * (np.abs(a) @ np.abs(b)) + abs(beta) * np.abs(c),
           peak=lambda c, a, b: np.abs(a) @ np.abs(b) + 2 * np.abs(c))


def outer(m):
    v = m.operand(PRODUCTS, fits=lambda v: v.size < 60)
    w, dtype = _second(m, v, (m.choice([1, 3, 8]),))
    f = lambda a, b: np.outer(a, b)
    _emit(m, "outer", f"mx.outer({m.use(v)}, {w.text})", dtype, f, [v, w], 1)


def inner(m):
    v = m.operand(PRODUCTS, fits=lambda v: v.shape)
    shape = (v.shape[-1],) if m.chance(0.5) else (m.choice([1, 2, 4]), v.shape[-1])
    w, dtype = _second(m, v, shape)
    _emit(m, "inner", f"mx.inner({m.use(v)}, {w.text})", dtype, np.inner, [v, w], v.shape[-1])


def vecdot(m):
    v = m.operand(FLOATS, fits=lambda v: v.shape)
    w, dtype = _second(m, v, v.shape)
    axis, written = m.axis(v)
    _emit(m, "vecdot", f"mx.vecdot({m.use(v)}, {w.text}, axis={written})", dtype, lambda a, b: (a * b).sum(axis), [v, w], v.shape[axis])


def kron(m):
    v = m.operand(PRODUCTS, fits=lambda v: v.size < 60 and v.shape)
    w, dtype = _second(m, v, m.choice([(3,), (2, 2), (1, 3)]))
    _emit(m, "kron", f"mx.kron({m.use(v)}, {w.text})", dtype, np.kron, [v, w], 1)


def tensordot(m):
    v = m.operand(PRODUCTS, fits=lambda v: v.shape)
    axes = m.rng.randint(1, min(2, len(v.shape)))
    shape = v.shape[len(v.shape) - axes :] + (m.choice([1, 4]),)
    w, dtype = _second(m, v, shape)
    count = int(np.prod(shape[:-1]))
    _emit(m, "tensordot", f"mx.tensordot({m.use(v)}, {w.text}, axes={axes})", dtype, lambda a, b: np.tensordot(a, b, axes), [v, w], count)


def einsum(m):
    v = m.operand(PRODUCTS, fits=lambda v: len(v.shape) in (2, 3))
    if len(v.shape) == 2:
        i, j = v.shape
        k = m.choice([1, 3, 6])
        sub, shape = m.choice([("ij,jk->ik", (j, k)), ("ij,kj->ki", (k, j)), ("ij,ij->i", (i, j)), ("ij,j->", (j,)), ("ij,i->ji", (i,)),
                               ("ij,kl->ijkl", (2, 3))])
    else:
        b, i, j = v.shape
        sub, shape = m.choice([("bij,bjk->bik", (b, j, 4)), ("bij,jk->kbi", (j, 2)), ("bij,bij->b", (b, i, j)), ("bij,i->bj", (i,))])
    w, dtype = _second(m, v, shape)
    _emit(m, "einsum", f'mx.einsum("{sub}", {m.use(v)}, {w.text})', dtype, lambda a, b: np.einsum(sub, a.copy(), b.copy()), [v, w],
          max(v.shape[-1] * v.shape[-2], 1))


def attention(m):
    """fast.scaled_dot_product_attention of new arrays."""
    dtype = m.choice(["float32", "float32", "float16", "bfloat16"])
    batch, heads, groups, d = m.choice([1, 2]), m.choice([1, 2]), m.choice([1, 2]), m.choice([4, 8, 32])
    queries, keys = m.choice([1, 3, 9]), m.choice([1, 5, 9, 17])
    if batch * heads * groups * queries * d > m.limit:
        raise Impossible
    q = m.source((batch, heads * groups, queries, d), dtype, "plain")
    k = m.source((batch, heads, keys, d), dtype, "plain")
    v = m.source((batch, heads, keys, d), dtype, "plain")
    mask = m.choice([None, "causal", "bool"])
    if mask == "causal" and keys < queries:
        mask = None
    operands, extra = [q, k, v], ""
    if mask == "causal":
        extra = ', mask="causal"'
    elif mask == "bool":
        operands.append(m.source((queries, keys), "bool"))
        extra = f", mask={operands[3].text}"

    def scores(q, k, *rest):
        s = np.einsum("bhqd,bhkd->bhqk", q, np.repeat(k, groups, 1)) * 0.5
        # a row that may see no key weighs all alike
        allowed = np.tril(np.ones((queries, keys), bool), keys - queries) if mask == "causal" else rest[0] if rest else np.ones((1, 1), bool)
        return np.where(allowed | ~np.any(allowed, -1, keepdims=True), s * np.any(allowed, -1, keepdims=True), -np.inf)

    def mix(s, v):
        p = np.exp(s - s.max(-1, keepdims=True))
        return (p / p.sum(-1, keepdims=True)) @ np.repeat(v, groups, 1)

    def f(q, k, v, *rest):
        return mix(scores(q, k, *rest), v)

    def error(q, k, v, *rest):
        size = np.einsum("bhqd,bhkd->bhqk", np.abs(q), np.abs(np.repeat(k, groups, 1))).max(-1, keepdims=True)
        return mix(scores(q, k, *rest), np.abs(v)) * (1 + size)

    m.emit("attention", f"mx.fast.scaled_dot_product_attention({q.text}, {k.text}, {v.text}, scale=0.5{extra})", dtype, f,
           operands, 6, error)


def rope(m):
    dtype = m.choice(["float32", "float16", "bfloat16"])
    shape = (m.choice([1, 2]), m.choice([1, 3]), m.choice([1, 5]), m.choice([8, 16]))
    x = m.source(shape, dtype, "plain")
    dims = m.choice([shape[-1], 4, 8])
    traditional, offset = m.chance(0.5), m.choice([0, 3])

    def angles():
        position = np.arange(shape[2]) + offset
        return np.outer(position, 100.0 ** (-np.arange(dims // 2) / (dims // 2)))

    def f(a):
        c, s = np.cos(angles()), np.sin(angles())
        out = a.copy()
        one, two = (slice(0, dims, 2), slice(1, dims, 2)) if traditional else (slice(0, dims // 2), slice(dims // 2, dims))
        out[..., one], out[..., two] = a[..., one] * c - a[..., two] * s, a[..., one] * s + a[..., two] * c
        return out

    m.emit("rope", f"mx.fast.rope({x.text}, {dims}, traditional={traditional}, base=100.0, scale=1.0, offset={offset})", dtype, f, [x],
           16, lambda a: np.full(a.shape, np.abs(a).max()))


OPERATIONS = [(7, matmul), (2, addmm), (2, outer), (2, inner), (1, vecdot), (1, kron), (2, tensordot), (3, einsum), (1, attention), (1, rope)]
