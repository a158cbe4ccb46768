"""Elementwise operations: (weight, function of a Maker) rows, and what the reference computes for each."""

import math

import dtypes
import numpy as np
from dtypes import FLOATS, INTEGERS, REAL, floating, kind, promote, promote_number
from expressions import Impossible, convert
from reference import Value, SAMPLES, reach

NUMERIC = INTEGERS + FLOATS + ["complex64"]


def _each(function):
    """A function of one float, on arrays."""
    return lambda a: np.array([function(x) for x in a.ravel().tolist()], np.float64).reshape(a.shape)


erf = _each(math.erf)


def erfinv(a):
    """By Newton's method from Winitzki's approximation."""
    with np.errstate(all="ignore"):
        inside = np.abs(a) < 1
        x = np.where(inside, a, 0.0)
        log = np.log1p(-x * x)
        first = 2 / (math.pi * 0.147) + log / 2
        y = np.sign(x) * np.sqrt(np.maximum(np.sqrt(first * first - log / 0.147) - first, 0))
        for _ in range(4):
            y = y - (erf(y) - x) * math.sqrt(math.pi) / 2 * np.exp(y * y)
        return np.where(inside, y, np.where(np.abs(a) == 1, np.copysign(np.inf, a), np.nan))


def sigmoid(a):
    e = np.exp(-np.abs(a))
    return np.where(a >= 0, 1 / (1 + e), e / (1 + e))


def sign(a):
    if a.dtype == np.complex128:
        return np.where(a == 0, 0, a / np.abs(a))
    return np.where(np.isnan(a), 0, np.sign(a)).astype(a.dtype) if a.dtype == np.float64 else np.sign(a)


def bool_as_integer(function):
    """NumPy refuses some functions on bools, which the engine computes as on 0 and 1."""
    return lambda *a: function(*[x.astype(np.uint8) if x.dtype == bool else x for x in a])


# Name: function, error in units of precision, dtypes, kind of the result (floating, same, bool)
UNARY = {
    "exp": (np.exp, 4, REAL + ["complex64"], "f"),
    "expm1": (np.expm1, 4, REAL, "f"),
    "log": (np.log, 4, REAL + ["complex64"], "f"),
    "log2": (np.log2, 4, REAL, "f"),
    "log10": (np.log10, 4, REAL, "f"),
    "log1p": (np.log1p, 4, REAL, "f"),
    "sqrt": (np.sqrt, 2, REAL + ["complex64"], "f"),
    "rsqrt": (lambda a: 1 / np.sqrt(a), 4, REAL, "f"),
    "sin": (np.sin, 4, REAL + ["complex64"], "f"),
    "cos": (np.cos, 4, REAL + ["complex64"], "f"),
    "tan": (np.tan, 6, REAL, "f"),
    "sinh": (np.sinh, 4, REAL, "f"),
    "cosh": (np.cosh, 4, REAL, "f"),
    "tanh": (np.tanh, 4, REAL, "f"),
    "arcsin": (np.arcsin, 4, REAL, "f"),
    "arccos": (np.arccos, 4, REAL, "f"),
    "arctan": (np.arctan, 4, REAL, "f"),
    "arcsinh": (np.arcsinh, 6, REAL, "f"),
    "arccosh": (np.arccosh, 6, REAL, "f"),
    "arctanh": (np.arctanh, 6, REAL, "f"),
    "sigmoid": (sigmoid, 4, REAL, "f"),
    "erf": (erf, 4, REAL, "f"),
    "degrees": (np.degrees, 2, REAL, "f"),
    "radians": (np.radians, 2, REAL, "f"),
    "reciprocal": (lambda a: 1 / a, 2, REAL + ["complex64"], "f"),
    "square": (bool_as_integer(lambda a: a * a), 0.5, dtypes.ALL, "s"),
    "abs": (np.abs, 0, REAL, "s"),
    "negative": (np.negative, 0, NUMERIC, "s"),
    "sign": (bool_as_integer(sign), 2, dtypes.ALL, "s"),
    "floor": (np.floor, 0, REAL, "s"),
    "ceil": (np.ceil, 0, REAL, "s"),
    "trunc": (np.trunc, 0, REAL, "s"),
    "round": (lambda a: a if a.dtype == bool else np.round(a), 0, REAL, "s"),
    "conj": (np.conj, 0, ["complex64"], "s"),
    "stop_gradient": (lambda a: a, 0, dtypes.ALL, "s"),
    "bitwise_invert": (np.invert, 0, ["bool"] + INTEGERS, "s"),
    "logical_not": (np.logical_not, 0, dtypes.ALL, "b"),
    "isnan": (np.isnan, 0, REAL, "b"),
    "isinf": (np.isinf, 0, REAL, "b"),
    "isfinite": (np.isfinite, 0, REAL, "b"),
    "isposinf": (lambda a: np.isinf(a) & (a > 0), 0, REAL, "b"),
    "isneginf": (lambda a: np.isinf(a) & (a < 0), 0, REAL, "b"),
}
SYMBOLS = {"negative": "-{}", "bitwise_invert": "~{}", "abs": "abs({})", "square": "{}.square()", "exp": "{}.exp()"}


def unary(m):
    name = m.choice(list(UNARY))
    function, ulps, among, result = UNARY[name]
    v = m.operand(among)
    dtype = {"f": floating(v.dtype), "s": v.dtype, "b": "bool"}[result]
    x = m.cast(v, dtype) if result == "f" else v
    text = m.use(v)
    if name in SYMBOLS and m.chance(0.3):
        text = f"({SYMBOLS[name].format(text)})"
    else:
        text = f"mx.{name}({text})"
    m.emit(name, text, dtype, function, [x], ulps if kind(dtype) in "fc" else 0)


def erf_inverse(m):
    """erfinv, on values within its domain."""
    v = m.operand(["float32", "float16", "bfloat16"])
    x = m.emit("tanh", f"mx.tanh({m.use(v)})", v.dtype, np.tanh, [v], 4)
    m.emit("erfinv", f"mx.erfinv({m.use(x)})", v.dtype, erfinv, [x], 8)


def of_complex(m):
    v = m.operand(["complex64"])
    name = m.choice(["real", "imag", "abs"])
    functions = {"real": np.real, "imag": np.imag, "abs": np.abs}
    text = m.use(v)
    m.emit(name, f"mx.{name}({text})", "float32", functions[name], [v], 2 if name == "abs" else 0)


def round_decimals(m):
    v = m.operand(["float32", "float64"])
    d = m.choice([1, 2, 3])
    scaled = m.hidden(v.dtype, lambda a: a * 10.0**d, [v], 0.5)
    m.emit("round", f"mx.round({m.use(v)}, {d})", v.dtype, lambda a: np.rint(a) / 10.0**d, [scaled], 2)


def _floor_divide(a, b):
    """By 0, an integer gives 0; the lowest integer divided by -1 stays what it is."""
    return a & b if a.dtype == bool else np.floor_divide(a, b)


def _remainder(a, b):
    if a.dtype == bool:
        return a & ~b
    if a.dtype == np.float64:
        r = np.fmod(a, b)
        return np.where((r != 0) & ((r < 0) != (b < 0)), r + b, r)
    return np.where(b == 0, a, np.remainder(a, np.where(b == 0, 1, b))).astype(a.dtype)


def _remainder_scale(a, b):
    return np.abs(b) * (np.abs(_remainder(a, b)) > 0)


def _power(a, b):
    """An integer to a negative power is 0."""
    if a.dtype == bool:
        return a | ~b
    if a.dtype.kind in "ui":
        out, base, power = np.ones(np.broadcast_shapes(a.shape, b.shape), a.dtype), a.copy(), np.maximum(b, 0)
        while power.any():
            out = np.where((power & 1).astype(bool), out * base, out)
            base, power = base * base, power >> 1
        if a.dtype.kind == "i":
            out = np.where(b < 0, 0, out).astype(a.dtype)
        return out
    if a.dtype == np.complex128:
        return np.where((a == 0) & (b == 0), 1, np.exp(b * np.log(a)))
    return np.power(a, np.broadcast_to(b, np.broadcast_shapes(a.shape, b.shape)).copy())  # a scalar 0.5 would be sqrt


def _power_scale(a, b):
    """The error of exp(b log a) grows with its exponent."""
    p = np.abs(_power(a, b))
    return p * (1 + np.nan_to_num(np.abs(b * np.log(np.where(a == 0, 1, a)))) / 8) if a.dtype == np.complex128 else p


def _undecided(x, y):
    """Where rounding decides whether the exponent of a negative number is whole, or odd."""
    middle, spread, allowed, _ = reach(y.samples, y.dtype)
    whole = (spread > 0) & (np.floor(middle + allowed) >= np.ceil(middle - allowed))
    return whole & np.signbit(np.stack(x.samples)).any(axis=0)


def _shift(function):
    def shift(a, b):
        if a.dtype == bool:
            a, b = a.astype(np.uint8), b.astype(np.uint8)
        return function(a, b)

    return shift


def _logaddexp(a, b):
    return np.where(np.isnan(a) | np.isnan(b), np.nan, np.logaddexp(a, b))


def _logaddexp_scale(a, b):
    """The larger operand may cancel the logarithm that is added to it."""
    return np.abs(np.nan_to_num(np.maximum(a, b))) + np.abs(_logaddexp(a, b))


def _lexical(function):
    """Complex numbers are compared by their real parts, then their imaginary ones."""
    def compare(a, b):
        if a.dtype != np.complex128:
            return function(a, b)
        return np.where(a.real == b.real, function(a.imag, b.imag), function(a.real, b.real))

    return compare


# Name: function, error, dtypes, result (promoted, floating, bool), operator
BINARY = {
    "add": (np.add, 0.5, dtypes.ALL, "p", "+"),
    "subtract": (lambda a, b: a ^ b if a.dtype == bool else np.subtract(a, b), 0.5, dtypes.ALL, "p", "-"),
    "multiply": (np.multiply, 0.5, dtypes.ALL, "p", "*"),
    "divide": (np.divide, 0.5, dtypes.ALL, "f", "/"),
    "floor_divide": (_floor_divide, 0, REAL, "p", "//"),
    "remainder": (_remainder, 1, REAL, "p", "%"),
    "power": (_power, 8, dtypes.ALL, "p", "**"),
    "maximum": (np.maximum, 0, dtypes.ALL, "p", None),
    "minimum": (np.minimum, 0, dtypes.ALL, "p", None),
    "logaddexp": (_logaddexp, 8, REAL, "f", None),
    "arctan2": (np.arctan2, 6, REAL, "f", None),
    "equal": (np.equal, 0, dtypes.ALL, "b", "=="),
    "not_equal": (np.not_equal, 0, dtypes.ALL, "b", "!="),
    "less": (_lexical(np.less), 0, dtypes.ALL, "b", "<"),
    "less_equal": (_lexical(np.less_equal), 0, dtypes.ALL, "b", "<="),
    "greater": (_lexical(np.greater), 0, dtypes.ALL, "b", ">"),
    "greater_equal": (_lexical(np.greater_equal), 0, dtypes.ALL, "b", ">="),
    "logical_and": (np.logical_and, 0, dtypes.ALL, "b", None),
    "logical_or": (np.logical_or, 0, dtypes.ALL, "b", None),
    "logical_xor": (np.logical_xor, 0, dtypes.ALL, "b", None),
    "bitwise_and": (np.bitwise_and, 0, ["bool"] + INTEGERS, "p", "&"),
    "bitwise_or": (np.bitwise_or, 0, ["bool"] + INTEGERS, "p", "|"),
    "bitwise_xor": (np.bitwise_xor, 0, ["bool"] + INTEGERS, "p", "^"),
    "left_shift": (_shift(np.left_shift), 0, INTEGERS, "p", "<<"),
    "right_shift": (_shift(np.right_shift), 0, INTEGERS, "p", ">>"),
}
NUMBERS = {"b": [True, False], "i": [2, 3, 1, -1, 5, 0], "u": [2, 3, 1, 0, 7], "f": [0.5, 2.0, -1.5, 3, 0.25, 1, -2.0, 0.0],
           "c": [0.5, 2, -1.0, 1.5]}


def _second(m, v, among):
    """The other operand of v: a value or a Python number; its text, and the dtype that the two promote to."""
    if m.chance(0.25):
        number = m.choice(NUMBERS[v.kind] if not m.chance(0.1) else [2, 0.5])
        dtype = promote_number(v.dtype, number)
        if dtype not in among:
            raise Impossible
        samples = [np.asarray(number, dtypes.storage(dtype))] * SAMPLES
        text = f"({number!r})" if number < 0 else repr(number)
        return Value(text, dtype, samples), text, dtype
    w = m.partner(v, among)
    dtype = promote(v.dtype, w.dtype)
    if dtype not in among or not m.fits_size(v.shape, w.shape):
        raise Impossible
    return w, m.use(w), dtype


def binary(m):
    name = m.choice(list(BINARY)) if m.chance(0.6) else m.choice(["add", "subtract", "multiply", "divide"])
    function, ulps, among, result, operator = BINARY[name]
    v = m.operand(among)
    text = m.use(v)
    w, other, common = _second(m, v, among)
    if result == "f":
        common = floating(common)
    x, y = m.cast(v, common), m.cast(w, common)
    if m.chance(0.4):
        x, y, text, other = y, x, other, text
    dtype = "bool" if result == "b" else common
    if name in ("left_shift", "right_shift"):
        bits = 8 * dtypes.SIZE[common]
        count = m.choice([1, 2, bits - 1, bits // 2])
        y, other = m.cast(Value(str(count), "int32", [np.asarray(count, np.int32)] * SAMPLES), common), str(count)
        x, text = m.cast(v, common), v.text
        if common != v.dtype:
            raise Impossible
    if operator and m.chance(0.6):
        text = f"({text} {operator} {other})"
        if kind(v.dtype) == "b" and name == "floor_divide":
            raise Impossible
    else:
        text = f"mx.{name}({text}, {other})"
    scale = mask = None
    if dtype == "complex64" and name in ("multiply", "divide"):
        ulps = 4
    if name == "power":
        scale = _power_scale
        if kind(common) == "f":
            undecided = _undecided(x, y)
            mask = lambda a, b: undecided
    if name == "remainder" and kind(common) == "f":
        scale = _remainder_scale
    if name == "logaddexp":
        scale = _logaddexp_scale
    if name == "floor_divide" and kind(common) == "f":
        m.emit(name, text, dtype, np.floor, [m.hidden(dtype, np.divide, [x, y], 0.5)])
        return
    m.emit(name, text, dtype, function, [x, y], ulps if kind(dtype) in "fc" else 0, scale, mask)


def close(m):
    v = m.operand(FLOATS)
    w = m.partner(v, FLOATS)
    if not m.fits_size(v.shape, w.shape):
        raise Impossible
    dtype = promote(v.dtype, w.dtype)
    x, y = m.cast(v, dtype), m.cast(w, dtype)
    text = f"mx.isclose({m.use(v)}, {m.use(w)}, rtol=0.5, atol=0.25)"
    apart = m.hidden(dtype, lambda a, b: np.where(a == b, 0, np.abs(a - b)), [x, y], 0.5)
    bound = m.hidden(dtype, lambda b: np.where(np.isinf(b), -1, 0.25 + 0.5 * np.abs(b)), [y], 1)
    m.emit("isclose", text, "bool", lambda d, b: (d == 0) | (d <= b), [apart, bound])


def divmod_part(m):
    v = m.operand(INTEGERS + FLOATS)
    w = m.partner(v, INTEGERS + FLOATS)
    dtype = promote(v.dtype, w.dtype)
    if not m.fits_size(v.shape, w.shape):
        raise Impossible
    part = m.choice([0, 1])
    x, y = m.cast(v, dtype), m.cast(w, dtype)
    text = f"mx.divmod({m.use(v)}, {m.use(w)})[{part}]"
    if part == 0 and kind(dtype) == "f":
        m.emit("divmod", text, dtype, np.floor, [m.hidden(dtype, np.divide, [x, y], 0.5)])
    elif part == 0:
        m.emit("divmod", text, dtype, _floor_divide, [x, y])
    else:
        inexact = kind(dtype) == "f"
        m.emit("divmod", text, dtype, _remainder, [x, y], 1 if inexact else 0, _remainder_scale if inexact else None)


def where(m):
    c = m.operand(["bool"] if m.chance(0.8) else REAL)
    text = m.use(c)
    v = m.partner(c)
    first = m.use(v)
    w, second, dtype = _second(m, v, dtypes.ALL)
    if not m.fits_size(c.shape, v.shape, w.shape):
        raise Impossible
    m.emit("where", f"mx.where({text}, {first}, {second})", dtype, lambda c, a, b: np.where(c, a, b),
           [m.cast(c, "bool"), m.cast(v, dtype), m.cast(w, dtype)])


def clip(m):
    v = m.operand(INTEGERS + FLOATS)
    low, high = sorted(m.rng.sample(NUMBERS[v.kind], 2))
    if kind(v.dtype) in "iu":
        low, high = int(low), int(high)
    style = m.choice([0, 1, 2])
    if style == 0:
        m.emit("clip", f"mx.clip({m.use(v)}, {low}, {high})", v.dtype, lambda a: np.clip(a, low, high), [v])
    elif style == 1:
        m.emit("clip", f"mx.clip({m.use(v)}, {low}, None)", v.dtype, lambda a: np.maximum(a, np.asarray(low, a.dtype)), [v])
    else:
        m.emit("clip", f"mx.clip({m.use(v)}, None, {high})", v.dtype, lambda a: np.minimum(a, np.asarray(high, a.dtype)), [v])


def nan_to_num(m):
    v = m.operand(["float16", "bfloat16", "float32"])
    m.emit("nan_to_num", f"mx.nan_to_num({m.use(v)}, nan=1.0, posinf=2.0, neginf=-4.0)", v.dtype,
           lambda a: np.nan_to_num(a, nan=1.0, posinf=2.0, neginf=-4.0), [v])


def cast(m):
    v = m.operand()
    dtype = m.random_dtype()
    m.emit("astype", f"{m.use(v)}.astype({dtypes.name(dtype)})", dtype, lambda a: convert(a, v.dtype, dtype), [v])


def view_bits(m):
    """Another dtype of the same size over the same bytes, of values that nothing was computed for."""
    pairs = [("float32", "int32"), ("int32", "uint32"), ("int64", "uint64"), ("uint8", "int8"), ("int16", "uint16"),
             ("float64", "int64"), ("uint32", "float32")]
    a, b = m.choice(pairs)
    v = m.source(m.random_shape(), a, None if a != "uint32" else "small")
    stored = lambda x: x.astype(a) if kind(a) == "f" else x
    m.emit("view", f"{v.text}.view({dtypes.name(b)})", b, lambda x: np.ascontiguousarray(stored(x)).view(b).reshape(x.shape), [v])


def activation(m):
    """The usual compositions, in the form of one expression."""
    v = m.operand(["float16", "bfloat16", "float32", "float32"])
    m.names += 1
    name = f"t{m.names}"
    m.lines.append(f"{name} = {m.use(v)}")
    which = m.choice(["silu", "gelu", "softplus", "relu"])
    if which == "silu":
        text, f = f"({name} * mx.sigmoid({name}))", lambda a: a * sigmoid(a)
    elif which == "gelu":
        text, f = f"(0.5 * {name} * (1 + mx.erf({name} * 0.75)))", lambda a: 0.5 * a * (1 + erf(a * 0.75))
    elif which == "softplus":
        text, f = f"mx.logaddexp({name}, 0)", lambda a: _logaddexp(a, np.zeros(()))
    else:
        text, f = f"mx.maximum({name}, 0)", lambda a: np.maximum(a, 0)
    m.emit(which, text, v.dtype, f, [v], 0 if which == "relu" else 8, (lambda a: np.abs(a) + np.abs(f(a))) if which == "gelu" else
           (lambda a: _logaddexp_scale(a, np.zeros(()))) if which == "softplus" else None)


OPERATIONS = [(14, unary), (1, erf_inverse), (2, of_complex), (1, round_decimals), (18, binary), (1, close), (2, divmod_part),
              (4, where), (2, clip), (1, nan_to_num), (6, cast), (1, view_bits), (3, activation)]
