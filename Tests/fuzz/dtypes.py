"""The dtypes of the engine, their promotion, and how the reference keeps them.

A bool or integer array is kept as NumPy's array of the same dtype, so that it wraps as the engine's does. A floating array
is kept as float64, a complex one as complex128, whatever its dtype; `rounded` brings values to the nearest of the dtype.
"""

import numpy as np

UNSIGNED = ["uint8", "uint16", "uint32", "uint64"]
SIGNED = ["int8", "int16", "int32", "int64"]
INTEGERS = UNSIGNED + SIGNED
FLOATS = ["float16", "bfloat16", "float32", "float64"]
ALL = ["bool"] + INTEGERS + FLOATS + ["complex64"]
REAL = ["bool"] + INTEGERS + FLOATS

EPSILON = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52, "complex64": 2.0**-23}
TINY = {"float16": 2.0**-14, "bfloat16": 2.0**-126, "float32": 2.0**-126, "float64": 2.0**-1022, "complex64": 2.0**-126}
LARGEST = {"float16": 65504.0, "bfloat16": 3.38e38, "float32": 3.4e38, "float64": 1.79e308, "complex64": 3.4e38}
SIZE = {"bool": 1, "float16": 2, "bfloat16": 2, "float32": 4, "float64": 8, "complex64": 8}
SIZE.update({name: int(name.strip("uint")) // 8 for name in INTEGERS})


def name(dtype):
    """As a program writes it."""
    return "mx.bool_" if dtype == "bool" else "mx." + dtype


def kind(dtype):
    return "b" if dtype == "bool" else "c" if dtype == "complex64" else "f" if dtype in FLOATS else dtype[0]


def storage(dtype):
    return {"b": np.bool_, "f": np.float64, "c": np.complex128}.get(kind(dtype)) or np.dtype(dtype).type


def promote(a, b):
    """MLX's table."""
    if a == b:
        return a
    order = "buifc"
    if order.index(kind(a)) > order.index(kind(b)):
        a, b = b, a
    ka, kb = kind(a), kind(b)
    if ka == kb:
        if {a, b} == {"float16", "bfloat16"}:
            return "float32"
        return max(a, b, key=lambda d: (SIZE[d], d == "float32"))
    if ka == "u" and kb == "i":
        if a == "uint64":
            return "float32"
        return b if SIZE[b] > SIZE[a] else "int" + str(16 * SIZE[a])
    return b


def promote_number(dtype, number):
    """The dtype of an array that meets a Python number."""
    if isinstance(number, bool) or kind(dtype) in "fc":
        return "complex64" if isinstance(number, complex) else dtype
    if isinstance(number, int):
        return "int32" if dtype == "bool" else dtype
    return "complex64" if isinstance(number, complex) else "float32"


def floating(dtype):
    """Of functions whose result is never an integer."""
    return dtype if kind(dtype) in "fc" else "float32"


def rounded(values, dtype):
    """The nearest values of the dtype, to even if two are."""
    if dtype == "float32":
        return values.astype(np.float32).astype(np.float64)
    if dtype == "float16":
        return values.astype(np.float16).astype(np.float64)
    if dtype == "bfloat16":
        bits = values.astype(np.float32).view(np.uint32)
        nan = np.isnan(values)
        bits = ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32)
        return np.where(nan, np.nan, bits.view(np.float32).astype(np.float64))
    if dtype == "complex64":
        return values.astype(np.complex64).astype(np.complex128)
    return values


def from_bytes(data, dtype, shape):
    """What a program printed, as the reference keeps it."""
    if dtype == "bfloat16":
        bits = np.frombuffer(data, np.uint16).astype(np.uint32) << 16
        return bits.view(np.float32).astype(np.float64).reshape(shape)
    if dtype == "bool":
        return (np.frombuffer(data, np.uint8) != 0).reshape(shape)
    return np.frombuffer(data, np.dtype(dtype)).astype(storage(dtype)).reshape(shape)
