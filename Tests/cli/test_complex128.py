"""complex128 in Lull's numpy against NumPy: the same lines run in both; dtypes, shapes, texts and values are compared."""

import json
import math
import subprocess

import numpy as np
import pytest
from conftest import LULL

# Arrays that the cases are made of: a, b complex128; c complex64; f float64; g float32; i int64; in several layouts.
SETUP = """
import numpy as np

def numbers(n, seed):
    out = []
    x = seed
    for _ in range(n):
        x = (x * 1103515245 + 12345) % 2147483648
        out.append(x / 1073741824 - 1)
    return np.array(out)

a = numbers(24, 1).reshape(4, 6) + 1j * numbers(24, 2).reshape(4, 6)
b = numbers(24, 3).reshape(4, 6) + 1j * numbers(24, 4).reshape(4, 6)
t = (numbers(24, 5) + 1j * numbers(24, 6)).reshape(6, 4).T
s = (numbers(96, 7) + 1j * numbers(96, 8)).reshape(8, 12)[::2, ::2]
r = (numbers(24, 9) + 1j * numbers(24, 10)).reshape(4, 6)[::-1, ::-1]
row = numbers(6, 11) + 1j * numbers(6, 12)
col = (numbers(4, 13) + 1j * numbers(4, 14)).reshape(4, 1)
big = numbers(3000, 15) + 1j * numbers(3000, 16)
wide = big.reshape(30, 100)
tall = (numbers(40000, 17) + 1j * numbers(40000, 18)).reshape(400, 100)
c = a.astype(np.complex64)
f = numbers(24, 19).reshape(4, 6)
g = f.astype(np.float32)
i = np.arange(24).reshape(4, 6)
m = numbers(16, 20).reshape(4, 4) + 1j * numbers(16, 21).reshape(4, 4) + 2 * np.eye(4)
h = m + m.conj().T
q = numbers(16, 22).reshape(4, 4)
stackm = (numbers(75, 23) + 1j * numbers(75, 24)).reshape(3, 5, 5)
empty = np.zeros((0, 3), dtype=np.complex128)
zero = np.array(1.5 - 2j)
special = np.array([complex(float('nan'), 1), complex(float('inf'), 0), complex(0, -float('inf')), 0j, 1 + 0j])
"""

ARRAYS = ["a", "t", "s", "r", "row", "big", "zero", "wide", "wide.T", "np.broadcast_to(row, (4, 6))"]
UNARY = """exp expm1 log log2 log10 log1p sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh
sqrt square reciprocal negative positive sign absolute conjugate isnan isinf isfinite rint exp2 real imag angle
iscomplex isreal logical_not""".split()
BINARY = "add subtract multiply divide power equal not_equal less less_equal greater greater_equal maximum minimum logical_and logical_or".split()
PAIRS = ["a, b", "a, t", "s, r", "a, row", "col, row", "a, zero", "zero, b", "a, c", "c, f", "a, f", "f, a", "g, a", "i, a", "a, 2.5",
         "2, a", "a, 1+2j", "f, 1+2j", "g, 1j", "i + 1, 1j", "c, 1j", "c, i", "c, g", "wide, wide[::-1]", "tall, tall[::-1]",
         "wide.T, wide.T * 2", "True, a", "a < 9, 1j"]
REDUCE = "sum prod mean var std max min any all argmax argmin cumsum cumprod".split()

LINES = []
for name in UNARY:
    LINES += [f"np.{name}({x})" for x in ARRAYS]
for name in BINARY:
    LINES += [f"np.{name}({p})" for p in PAIRS]
for name in REDUCE:
    LINES += [f"np.{name}({x})" for x in ["a", "t", "s", "r", "row", "wide * 1.5", "zero"]]
    LINES += [f"np.{name}({x}, axis={k})" for x in ["a", "t", "s", "wide", "wide.T", "stackm"] for k in (0, 1, -1)]
for name in ("sum", "mean", "max", "prod", "any"):
    LINES += [f"np.{name}(stackm, axis=(0, 2))", f"np.{name}(stackm, axis=1, keepdims=True)", f"np.{name}(tall, axis=0)", f"np.{name}(tall * 1, axis=1)"]
LINES += """
big.sum()
tall.sum()
np.exp(tall).mean()
(tall * 2 + 1j).sum(axis=0)
(tall.T * 2 + 1j).sum(axis=0)
(tall.T * 2 + 1j).sum(axis=1)
np.abs(tall).max()
np.argmax(tall, axis=0)
np.sum(empty), np.prod(empty), np.sum(empty, axis=0)
np.sum(a, where=f > 0)
np.sum(f, dtype=np.complex128), np.sum(c, dtype=np.complex128), np.sum(a, dtype=np.complex64)
np.cumsum(stackm, axis=1), np.cumprod(stackm, axis=0)
np.sort(row), np.argsort(row), np.sort(big), np.argsort(big)
np.sort(a, axis=0), np.sort(a, axis=1), np.sort(a, axis=None), np.argsort(t, axis=0)
np.sort(np.array([1+2j, 1+1j, 0+5j, -0.0+1j, 1-1j])), np.argsort(np.array([1+2j, 1+1j, 1+2j, 0j, 1+1j]))
np.unique(np.array([1+2j, 3j, 1+2j, 0, 3j])), np.unique(np.array([1+2j, 3j, 1+2j, 0, 3j]), return_counts=True, return_inverse=True)
np.where(f > 0, a, b), np.where(f > 0, a, 0), np.where(f > 0, 1j, f), np.where(f > 0, c, f), np.where(True, a, row)
np.select([f > 0.5, f < -0.5], [a, b], 0)
a[1], a[1, 2], a[::2, 1:4], a[:, ::-1], a[[0, 2]], a[f > 0], a[[0, 1], [2, 3]], a[..., None].shape
big[[5, -1, 2999]], tall[[3, 399], ::7], big[np.arange(0, 3000, 7)]
np.take(a, [0, 5, 7]), np.take(a, [1, 0], axis=1), np.take_along_axis(a, np.argsort(f, axis=1), axis=1)
np.concatenate([a, b]), np.concatenate([a, f]), np.concatenate([c, f], axis=1), np.concatenate([c, g])
np.stack([a, b], axis=1), np.vstack([row, row]), np.hstack([a, b])
np.pad(a, 1), np.pad(row, 2, constant_values=1j), np.roll(a, 2), np.roll(a, 1, axis=1), np.flip(a), np.flip(t, 0)
np.tile(row, 3), np.repeat(row, 2), np.transpose(stackm, (2, 0, 1)), a.reshape(6, 4), t.ravel(), t.flatten()
np.broadcast_to(row, (2, 6)), np.moveaxis(stackm, 0, -1), np.expand_dims(row, 0), np.squeeze(col)
np.diag(row), np.diagonal(m), np.trace(m), np.tril(m), np.triu(m, 1), np.eye(3, dtype=complex), np.identity(2, dtype=np.complex128)
np.diff(row), np.diff(a, axis=0), np.outer(row, row), np.kron(np.array([1j, 2]), np.array([1, 2+1j])), np.inner(row, row)
np.dot(a, b.T), a @ b.T, t @ s.T, np.matmul(stackm, stackm), np.matmul(a, row), np.matmul(row, a.T), row @ row
wide @ wide.T, wide.T @ wide, tall.T @ tall, np.matmul(f, a.T), np.matmul(c, f.T), np.matmul(c, g.T), np.matmul(i, a.T)
np.vdot(row, row), np.vdot(a, b), np.vecdot(a, b), np.tensordot(a, b, axes=([0, 1], [0, 1])), np.tensordot(stackm, stackm[0], 1)
np.einsum('ij,kj->ik', a, b), np.einsum('ij->i', a), np.einsum('bij,bjk->bik', stackm, stackm), np.einsum('ii', m), np.einsum('i,i', row, row)
np.fft.fft(row), np.fft.ifft(row), np.fft.fft(a, axis=0), np.fft.fft(wide), np.fft.ifft(wide, axis=0), np.fft.fft(big)
np.fft.fft(f), np.fft.fft(g), np.fft.fft(c), np.fft.fft(i), np.fft.fft([1, 2, 3]), np.fft.ifft(f)
np.fft.rfft(f), np.fft.rfft(g), np.fft.rfft(i), np.fft.irfft(a), np.fft.irfft(c), np.fft.irfft(a, n=7), np.fft.rfft(f, n=9), np.fft.rfft(f, axis=0)
np.fft.rfft(big.real[:257]), np.fft.irfft(np.fft.rfft(big.real[:257]), n=257), np.fft.fft(big[:1009]), np.fft.fft(big[:46]), np.fft.fft(big[:2048]), np.fft.fft(big[:77])
np.fft.fft2(a), np.fft.ifft2(a), np.fft.fftn(stackm), np.fft.ifftn(stackm), np.fft.rfft2(f), np.fft.rfftn(f), np.fft.irfftn(a), np.fft.irfft2(a)
np.fft.fft(row, norm='ortho'), np.fft.fft(row, n=4), np.fft.fft(row, n=11), np.fft.ifft(row, norm='forward')
np.fft.fft(tall.ravel()[:16384]), np.fft.ifft(np.fft.fft(tall.ravel()[:20000])), np.fft.fft(tall, axis=0), np.fft.fft(tall.T, axis=-1)
np.fft.fftshift(row), np.fft.fftfreq(5)
np.linalg.inv(m), np.linalg.inv(stackm), np.linalg.solve(m, a), np.linalg.solve(m, col), np.linalg.solve(q, a), np.linalg.solve(m, row[:4])
np.linalg.eigvalsh(h), np.linalg.svd(a, compute_uv=False), np.linalg.svd(stackm)[1], np.linalg.svdvals(a), np.linalg.matrix_rank(a), np.linalg.cond(m)
np.linalg.norm(a), np.linalg.norm(row), np.linalg.norm(a, 1), np.linalg.norm(a, np.inf), np.linalg.norm(row, 3), np.linalg.norm(a, 'nuc'), np.linalg.norm(a, 2), np.linalg.norm(a, axis=1)
np.linalg.pinv(a), np.linalg.lstsq(t.T, a.T, rcond=None)[0], np.linalg.matrix_power(m, 3), np.linalg.matrix_power(m, -2), np.linalg.multi_dot([a, b.T, a])
np.sort_complex(np.linalg.eigvals(q)), np.sort_complex(np.linalg.eigvals(m)), np.sort_complex(np.linalg.eigvals(q.astype(np.float32))).dtype
np.linalg.eigvals(np.diag([1.0, 2.0, 3.0])), np.linalg.eig(np.diag([1.0, 2.0]))[1], np.linalg.eig(np.array([[0.0, -1.0], [1.0, 0.0]]))[0]
np.abs(q.astype(complex) @ np.linalg.eig(q)[1] - np.linalg.eig(q)[1] * np.linalg.eig(q)[0]) < 1e-12, np.linalg.eig(q)[1].dtype
np.abs(m @ np.linalg.eig(m)[1] - np.linalg.eig(m)[1] * np.linalg.eig(m)[0]) < 1e-12
np.abs(h @ np.linalg.eigh(h)[1] - np.linalg.eigh(h)[1] * np.linalg.eigh(h)[0]) < 1e-12
np.abs(np.linalg.svd(m)[0] * np.linalg.svd(m)[1] @ np.linalg.svd(m)[2] - m) < 1e-12
np.sort_complex(np.roots([1, 0, 1])), np.roots([1, 0, 0, -8]).dtype, np.roots([1, -3, 2]).dtype, np.poly([1j, -1j]), np.poly([1j, 2])
np.polyval([1j, 2], row), np.convolve(row, [1, 1j])
a.dtype, a.itemsize, a.nbytes, a.strides, t.strides, np.dtype('c16'), np.dtype('c8'), np.dtype('D'), np.dtype('F'), np.dtype(complex), np.dtype('complex')
np.dtype('complex128').kind, np.dtype('complex128').itemsize, np.dtype('complex128').str, np.dtype('complex64').str, np.dtype('c16') == complex, np.dtype('f8') == float
np.result_type(np.complex64, np.float64), np.result_type(np.complex64, np.float32), np.result_type(np.complex64, np.int64), np.result_type(np.complex64, np.int32), np.result_type(np.complex64, np.int16), np.result_type(np.complex64, np.uint8), np.result_type(np.complex64, np.bool_), np.result_type(np.complex64, np.float16)
np.result_type(np.complex128, np.int8), np.result_type(np.complex128, np.complex64), np.result_type(np.float32, 1j), np.result_type(np.float64, 1j), np.result_type(np.int8, 1j), np.result_type(np.complex64, 1.0), np.promote_types('c8', 'f8')
np.can_cast(np.complex128, np.complex64), np.can_cast(np.complex64, np.complex128), np.can_cast(np.float64, np.complex64), np.can_cast(np.float64, np.complex128), np.can_cast(np.complex128, np.float64), np.can_cast(np.complex128, np.complex64, 'same_kind')
np.iscomplexobj(a), np.iscomplexobj(f), np.isrealobj(a), np.issubdtype(np.complex128, np.complexfloating), np.issubdtype(np.complex128, np.complex64), np.issubdtype(np.complex128, np.floating), np.issubdtype(np.complex128, np.inexact)
np.finfo(np.complex128).eps, np.finfo(np.complex128).dtype, np.finfo(np.complex128).bits, np.finfo(np.complex64).eps, np.finfo(np.complex64).dtype, np.finfo(complex).max, np.finfo(np.complex128).precision
np.array([1+2j]), np.array([1+2j, 0.1-1e-9j]), np.array([1, 2j]), np.array(2j), np.array([[1j]]), np.array([], dtype=complex), np.zeros(2, complex), np.ones((1, 2), dtype='c16')
np.array([1+2j], dtype=np.complex64), np.array([1e-300+1e300j]), np.array([0.1+0.2j]), np.array([1/3+2/3j]), np.array([1e10+1j, 1-1j]), special
np.complex128(1+2j), np.complex64(1+2j), np.complex128(3), np.complex128(2j), np.complex128(0.1+1e-20j), np.array([1+2j])[0], np.array([1j])[0], np.array([-1j])[0], np.array([complex(-0.0, 1)])[0]
str(np.complex128(1+2j)), str(np.array([1.5-2j, 3j])), str(np.array([1j])[0]), str(a), repr(wide), repr(tall)
complex(np.complex128(0.1+0.2j)), a.tolist(), zero.item(), a[0, 0].item(), zero.tolist(), np.array([0.1+0.7j])[0] == 0.1+0.7j
np.array([0.1+0.7j]) == [0.1+0.7j], np.array([0.1]) + 0.7j == np.array([0.1+0.7j]), np.full(2, 0.1+0.7j), np.full((2, 2), 1j), np.full_like(f, 1), np.full_like(a, 0.1)
a.astype(np.complex64), a.astype(np.complex64).astype(complex), f.astype(complex), i.astype(complex), g.astype(np.complex128), c.astype(np.complex128), (f > 0).astype(complex), np.arange(3, dtype=np.uint8).astype('c16'), np.arange(3).astype(np.float16).astype('c16')
(a != 0).astype(bool), np.array([0j, 1j, 1]).astype(bool), np.array([1.7+1j]).real.astype(int)
row.view(np.float64), row.view(np.int64).shape, np.arange(4.0).view(complex), row.view(np.complex64).shape, np.array([1.0, 2.0]).view('c16')
row.tobytes() == row.copy().tobytes(), len(row.tobytes()), np.frombuffer(row.tobytes(), dtype=complex), np.frombuffer(row.tobytes(), dtype='c16') == row
a.real, a.imag, a.conj(), a.T, a.mean(), a.sum(0), a.max(), a.round(2), np.round(a, 3), np.real(a), np.imag(a), a.T.conj().real
np.zeros_like(a), np.ones_like(a), np.empty_like(a).dtype, np.isclose(a, a + 1e-12), np.allclose(a, b), np.array_equal(a, a), np.count_nonzero(a), np.nonzero(special)
np.float_power(row, 2), np.float_power(f, 2).dtype, row ** 2, row ** -1, row ** 3, row ** 0.5, 2 ** row, row ** row, np.array([1+2j]) ** 2, np.array([0j, 2j]) ** 2, np.array([1+2j]) ** 17
np.isnan(special), np.isinf(special), np.isfinite(special), np.abs(special), special == special, special.real, special.imag, np.conj(special)
np.maximum(row, row[::-1]), np.fmax(row, row[::-1]), np.fmin(row, row[::-1]), np.max(special[1:]), np.argmax(special)
np.average(row), np.average(row, weights=[1, 2, 3, 4, 5, 6]), np.cov(row.real), np.median(row.real)
np.meshgrid(row[:2], row[2:4])[0], np.split(row, 2)[1], np.array_split(row, 4)[0], np.append(row, 1), np.insert(row, 1, 2j), np.delete(row, [0, 1]), np.ravel(t, order='F')
np.isin(np.array([1j, 2]), np.array([1j])), np.union1d([1j, 2], [2, 3j]), np.trapezoid(row), np.cumsum(row), np.add.reduce(a), np.multiply.accumulate(row), np.add.outer(row, row)
np.sort_complex([3, 1, 2]), np.sort_complex(c.ravel()).dtype, np.sort_complex(np.array([1+1j, 1-1j])), np.unwrap(np.angle(row)), np.angle(a, deg=True)
np.exp(1j * np.pi), np.exp(1j * np.array([0, np.pi / 2])), np.sqrt(np.array([-1 + 0j])), np.sqrt(complex(-4)), np.log(-1 + 0j)
np.mean(c), np.var(c), np.std(a), np.var(a, ddof=1), np.sum(c), np.prod(c, axis=0), np.abs(c), np.abs(a), np.sign(c)
np.linalg.det(m), np.linalg.det(stackm), np.linalg.slogdet(m), np.linalg.slogdet(stackm), np.linalg.det(np.zeros((2, 2), complex))
np.pad(row, 2, mode='edge'), np.pad(row, 2, mode='reflect'), np.pad(row, 2, mode='wrap'), np.pad(row, 2, mode='symmetric')
np.pad(row, 2, mode='linear_ramp'), np.pad(row, 2, mode='mean')
np.gradient(row), np.gradient(a)[0], np.gradient(row, 0.5)
np.interp([0.5, 1.5], [0, 1, 2], row[:3]), np.trapezoid(a, axis=0), np.diff(a, n=2)
np.cov(a), np.corrcoef(a), np.cov(a, rowvar=False), np.average(a, axis=0, weights=[1, 2, 3, 4])
np.nansum(row), np.nanmean(row), np.nanprod(row), np.nancumsum(row), np.nanstd(row), np.nanvar(a, axis=0)
np.convolve(row, row), np.convolve(row, [1, 2]), np.convolve(row, row, 'same'), np.convolve(row, row[:2], 'valid'), np.correlate(row, row[:3]), np.correlate(row, row[:3], 'full'), np.correlate(row.real, row[:3])
np.cross(a[:, :3], b[:, :3]), np.vander(row, 3), np.polyfit([0, 1, 2, 3], row[:4], 1), np.polyfit(row, row * 2 + 1j, 1), np.polyval([1j, 2, 3], 2), np.polymul([1j, 2], [1, 1j]), np.polyadd([1j], [1, 2]), np.polyder([1j, 2, 3]), np.polyint([1j, 2])
np.apply_along_axis(np.sum, 0, a), np.fromiter([1j, 2], complex), np.isclose(row, row * 1j), np.lexsort((row,)), np.sinc(row), np.cbrt(row.real), np.clip(row, 0, 1)
np.ix_([0, 1]), np.nonzero(row), np.argwhere(row), np.flatnonzero(row), np.extract(row.real > 0, row), np.compress([True, False, True], row), np.choose([0, 1, 0], [row[:3], row[3:]]), np.piecewise(row, [row.real > 0], [1j, 2])
np.rot90(a), np.fliplr(a), np.flipud(a), np.triu(a), np.vsplit(a, 2)[1], np.column_stack([row, row]), np.dstack([row, row]), np.block([[a, b]]), np.atleast_2d(row), np.resize(row, (2, 2)), np.rollaxis(stackm, 2), np.unstack(a)[0], np.swapaxes(stackm, 0, 1)
np.unique(a), np.unique(np.array([[1j, 2], [1j, 2], [0, 1]]), axis=0), np.intersect1d([1j, 2], [2, 3j]), np.setdiff1d([1j, 2], [2]), np.setxor1d([1j, 2], [2, 3j]), np.trim_zeros(np.array([0, 1j, 0]))
np.median(row), np.median(a, axis=0), np.ptp(row.real), np.cumulative_sum(row), np.linalg.matrix_norm(m), np.linalg.vector_norm(row), np.linalg.cross(row[:3], row[3:]), np.linalg.outer(row, row), np.linalg.matrix_transpose(a), np.linalg.trace(m), np.linalg.diagonal(m)
np.take(a, np.array([[0, 1], [2, 3]])), np.einsum('ij,ij', a, b), np.einsum('i->', row), np.einsum('ij->ji', a), np.einsum('ij,j', a, f[0]), np.einsum('ij,jk,kl->il', m, m, q)
np.vectorize(lambda z: z * 2)(row), np.vectorize(abs)(row)
np.exp(special), np.log(special[1:]), np.sqrt(special), np.sin(special[3:]), np.prod(special[3:]), np.sum(special), np.sort(special[1:])
np.full(3, 1j).sum(), np.zeros(3, complex).prod(), np.ones((3, 4), complex).sum(axis=0), np.broadcast_to(np.array(1j), (3, 3)).sum(), np.full((300, 300), 0.1j).sum(), np.full((2, 3), 2j) @ np.ones((3, 2)), np.full(5, 1j)[::2], np.full(3, 1j).astype(np.complex64), np.full((4, 6), 1j) + a, np.where(f > 0, np.full((4, 6), 1j), a)
np.cumsum(np.full(200000, 1 + 1j))[-1], np.cumprod(np.full(300000, 1 + 1e-9j))[-1], np.sort(tall.ravel())[::999], np.argsort(tall.ravel())[::999], np.take(tall.ravel(), np.arange(0, 40000, 3)).sum()
np.random.default_rng(0).choice(row, 3).dtype, np.random.permutation(row).dtype, np.iscomplexobj(row.tolist()), np.isscalar(1j), np.ndim(1j), np.shape(row), np.size(row)
np.dtype(np.complex128) == 'complex128', np.dtype('c16') == np.complex128, np.complex128 == np.dtype('D'), np.array([1j]).dtype == complex, np.array([1.0]).dtype == float, np.array([1]).dtype == int, np.array([1.0]).dtype == 'f8'
np.nan_to_num(special), np.nan_to_num(row), np.nan_to_num(special, nan=3, posinf=1), np.nansum(special[:1]), np.nanmean(special[3:])
""".strip().split("\n")

# Statements that change arrays; the value of `x` afterwards counts.
CHANGES = [
    "x = a + 0; x[1] = 0", "x = a + 0; x[f > 0] = 1j", "x = a + 0; x[::2, ::3] = row[:2]", "x = a + 0; x[[0, 2]] = b[[1, 3]]",
    "x = a + 0; x += 1", "x = a + 0; x *= b", "x = a + 0; x /= 2j", "x = a + 0; x -= f", "x = c + 0; x += a", "x = a + 0; x **= 2",
    "x = a + 0; x[0, 0] = 0.1 + 0.7j", "x = f.astype(complex); x[1, 1] = 5j", "x = np.zeros(3, complex); x.fill(0.1 + 2j)", "x = row + 0; x.sort()",
    "x = a + 0; x[:, 1] += 2j",
    "x = row + 0; np.put_along_axis(x, np.array([0, 3]), np.array([9j, 8]), 0)", "x = big + 0; x[np.arange(0, 3000, 3)] = 1j",
    "x = tall + 0; x[:, ::2] = tall[:, 1::2]; x = x.sum(0)", "x = a.copy(); x.shape = (3, 8)",
    "x = np.add(a, b, out=np.zeros((4, 6), complex))", "x = (a + b) * c - f / (1 + np.abs(a)) + np.real(t) * 1j",
    "x = np.where(np.abs(tall) > 0.5, tall * 2, tall.real)[::50, ::20]", "x = [(tall + k).sum() for k in range(3)]",
    "x = np.exp(tall.T) * tall.T + tall.T.real; x = x[::9, ::70]", "y = a * 2; z = y + 1; w = y.astype(np.complex64); x = [y, z, w]",
    "y = wide * 2; x = [y, y + 0, y.real, np.abs(y) > 1]", "x = np.save('/tmp/lull-c128.npy', a) or np.load('/tmp/lull-c128.npy')",
    "x = np.savez('/tmp/lull-c128.npz', p=a, q=c, r=t) or [np.load('/tmp/lull-c128.npz')[k] for k in 'pqr']",
    "x = np.savez_compressed('/tmp/lull-c128.npz', p=a) or np.load('/tmp/lull-c128.npz')['p']",
    "import pickle; x = pickle.loads(pickle.dumps(a)); y = pickle.loads(pickle.dumps(zero)); x = [x, y]",
    "x = memoryview(row).nbytes", "x = [v for v in row]", "x = [complex(v) for v in row]", "x = sum(row)", "x = max(np.abs(row))", "x = len(a), bool(zero), zero == 1.5 - 2j",
    "x = a + 0; x[x.real > 0] *= 2",
    "x = a + 0; x[1:3] += b[1:3]",
    "x = tall + 0; x[::3] = 0; x[:, 1] = tall[:, 0]",
    "x = stackm + 0; x[:, [0, 1]] = x[:, [1, 0]]",
    "x = row + 0; x[-1], x[0] = x[0], x[-1]",
    "x = np.zeros((3, 3), complex); np.fill_diagonal(x, 1j)",
    "x = row + 0; np.put(x, [0, 1], [1j, 2])",
    "x = row + 0; np.place(x, x.real > 0, [1j])",
    "x = row + 0; np.copyto(x, 1j, where=row.real > 0)",
    "x = c + 0; x[0] = a[0]",
    "x = a + 0; x[0] = c[0]",
    "x = f + 0; x[0] = 3",
    "x = np.concatenate([a, c, f, i], axis=None)",
    "x = np.stack([np.complex64(1), np.complex128(2j), 3.0])",
    "x = np.array([np.complex128(1j), np.float64(2)])",
    "x = np.array([row, row])",
    "x = np.array([[1j, 2], [np.float32(3), 4]])",
    "x = np.asarray(a, dtype=np.complex64)",
    "x = np.array(a, dtype='complex64')",
    "x = np.array(c, dtype=complex)",
    "x = np.ascontiguousarray(t)",
    "x = a.astype('c8'), a.astype('D'), a.astype(np.cdouble), a.astype(np.csingle)",
    "x = row.repeat(3), row.take([0, 1]), row.cumsum(), row.cumprod(), row.prod(), row.std(), row.var(), row.argmax(), row.argsort(), row.nonzero(), row.conjugate(), row.any(), row.all(), row.dot(row), a.trace(), a.diagonal(), a.swapaxes(0, 1)",
    "x = [complex(v) for v in a[0]], [v.real for v in a[0]], divmod(7, 2), abs(a[0, 0]), -a[0, 0], a[0, 0] + 1, a[0, 0] * 2j, a[0, 0] == a[0, 0], hash(a[0, 0]) == hash(complex(a[0, 0]))",
    "x = f'{a[0, 0]:.3f}', f'{row[0]}' != '', '%s' % row[0] != ''",
]

TAIL = """
def told(x):
    if isinstance(x, (list, tuple)):
        return [told(v) for v in x]
    if isinstance(x, (bool, int, str)) or x is None:
        return [type(x).__name__, x if isinstance(x, str) else repr(x)]
    if isinstance(x, (float, complex)) and not hasattr(x, 'dtype'):
        return [type(x).__name__, [[x.real, x.imag]]]
    if hasattr(x, 'dtype') and hasattr(x, 'shape'):
        flat = np.asarray(x).ravel()
        values = flat.tolist()
        step = max(1, len(values) // 400)
        return [str(x.dtype), list(x.shape), [[float(v.real), float(v.imag)] for v in values[::step]]]
    return ['other', str(x)]
"""
RUN = """
try:
    {0}
    out.append(told({1}))
except Exception as e:
    out.append(['error', type(e).__name__, str(e)])
"""


def program(result):
    parts = [SETUP, TAIL, "import json\nout = []"]
    for line in LINES:
        parts.append(RUN.format("pass", f"[{line}]"))
    for line in CHANGES:
        parts.append(RUN.format(line, "x"))
    parts.append(f"with open({result!r}, 'w') as f:\n    f.write(json.dumps(out))")
    return "\n".join(parts)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("complex128")
    (folder / "cases.lull").write_text(program(str(folder / "out.json")))
    done = subprocess.run([LULL, str(folder / "cases.lull")], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    got = json.loads((folder / "out.json").read_text())
    names = {}
    with np.errstate(all="ignore"):
        exec(compile(program(str(folder / "numpy.json")), "cases", "exec"), names)
    return got, json.loads((folder / "numpy.json").read_text())


def close(x, y, digits):
    if isinstance(x, float) and isinstance(y, float):
        if math.isnan(x) or math.isnan(y):
            return math.isnan(x) and math.isnan(y)
        return x == y or abs(x - y) <= digits * max(1, abs(x), abs(y))
    if isinstance(x, list) and isinstance(y, list):
        if len(x) > 0 and x[0] in ("complex64", "float32") and y[:1] == x[:1]:
            digits = 2e-5
        if x[:1] == ["str"] and y[:1] == ["str"]:
            return x == y or close_text(x[1], y[1])
        return len(x) == len(y) and all(close(p, q, digits) for p, q in zip(x, y))
    return x == y


def close_text(x, y):
    """Texts of arrays whose last digits may differ."""
    return len(x.split()) == len(y.split()) and x[:5] == y[:5]


@pytest.mark.parametrize("k", range(len(LINES) + len(CHANGES)), ids=LINES + CHANGES)
def test_as_numpy(results, k):
    got, expected = results
    assert close(got[k], expected[k], 1e-11), f"\nlull:  {str(got[k])[:1500]}\nnumpy: {str(expected[k])[:1500]}"


TEXTS = """
np.array([1+2j])
np.array([1+2j], dtype=np.complex64)
np.array([1.5-2j, 3j, 0.1+1e-9j])
np.array([[1j, 2], [3, 4.25]])
np.array(1+2j)[()]
np.complex128(1+2j)
np.complex64(1+2j)
np.complex128(2j)
np.array([], dtype=complex)
np.array([], dtype=np.complex64)
np.zeros((2, 0), dtype=complex)
np.arange(3) * 1j
np.array([1e300+1j, 1])
np.array([complex('nan'), complex('inf'), 1j])
np.array([1/3 + 1j/7])
np.ones(2000, dtype=complex)
np.fft.fft([1, 0, 0, 0])
np.fft.fft(np.array([1, 0, 0, 0], dtype=np.float32))
np.array([1j]).dtype, np.array([1j]).dtype.str, np.array([1j]).itemsize
np.array([1j]).tolist(), np.array([1j]).item(), np.array([0.1+0.2j]).tolist()
(np.array([1], dtype=np.complex64) + np.array([1.0])).dtype
(np.array([1], dtype=np.complex64) + 1.0).dtype, (np.array([1.0]) + 1j).dtype, (np.array([1], dtype=np.float32) + 1j).dtype
np.finfo(np.complex128).eps
np.array([2.0]) ** 1j
np.array([1+2j]) ** 2
np.sqrt(np.array([-1 + 0j]))
np.linalg.eigvals(np.array([[0.0, -1.0], [1.0, 0.0]]))
np.conj([1+2j])
""".strip().split("\n")


@pytest.mark.parametrize("line", TEXTS)
def test_text(lull, line):
    done = lull("-c", f"import numpy as np\nprint(repr(({line})))")
    with np.errstate(all="ignore"):
        assert done.out.rstrip("\n") == repr(eval(line)), done.err


def test_mlx_has_no_complex128(lull):
    done = lull("-c", """import mlx.core as mx, numpy as np
x = np.array([0.1 + 0.2j])
print(hasattr(mx, "complex128"))
print(mx.array(x).dtype, (mx.array([1.0]) + x).dtype, mx.exp(x).dtype)
print((mx.array([1.0]) * x[0]).dtype, mx.array([x[0], x[0]]).dtype, mx.array(x, dtype=np.complex128).dtype)
print(mx.fft.fft(mx.array([1.0], dtype=mx.float64)).dtype, mx.fft.rfft(np.array([1.0, 2.0])).dtype)
print(mx.linalg.eig(mx.array([[1.0]], dtype=mx.float64))[0].dtype, mx.linalg.eigvals(np.eye(2)).dtype)
print(mx.array(memoryview(x)).dtype, mx.array([1.0]).astype(np.complex128).dtype)
y = mx.array([1j, 2])
y[0] = x[0]
print(y.dtype, y.at[1].add(x[0]).dtype)
""")
    assert done.err == ""
    assert done.out.split("\n")[0] == "False"
    words = set(done.out.split()[1:])
    assert words == {"mlx.core.complex64"}, done.out


def test_files(lull, tmp_path):
    np.save(tmp_path / "z.npy", np.array([0.1 + 0.2j, 3]))
    done = lull("-c", """import mlx.core as mx, numpy as np
x = np.load("z.npy")
print(repr(x), x.dtype)
for f in (lambda: mx.load("z.npy"), lambda: mx.save_safetensors("z.safetensors", {"x": x}), lambda: mx.save_gguf("z.gguf", {"x": x})):
    try:
        print(f())
    except ValueError as e:
        print("ValueError", e)
np.save("back.npy", x.reshape(2, 1))
""")
    lines = done.out.split("\n")
    assert lines[0] == "array([0.1+0.2j, 3. +0.j ]) complex128"
    assert [line.split()[0] for line in lines[1:4]] == ["ValueError"] * 3
    assert all("complex128" in line for line in lines[1:4])
    assert done.err == ""
    back = np.load(tmp_path / "back.npy")
    assert back.dtype == np.complex128 and back.tolist() == [[0.1 + 0.2j], [3]]


def test_gradients_compile_and_vmap(lull):
    """Functions of the engine, traced over ndarrays: the parts of complex128 keep double precision."""
    done = lull("-c", """import mlx.core as mx, numpy as np, _numpy as n
x = n.asmx(np.array([[0.3 + 0.7j, -1.2 + 0.1j], [0.5 - 0.4j, 0.9 + 0.2j]]))
def loss(f):
    return lambda z: mx.real(f(z)).sum() + mx.imag(f(z)).sum() * 0.5
ops = [mx.exp, mx.log, mx.sin, mx.sqrt, mx.square, mx.reciprocal, mx.tanh, mx.conjugate, lambda z: mx.abs(z), lambda z: z * z * z,
       lambda z: z @ z, mx.linalg.inv, lambda z: mx.fft.fft(z), lambda z: mx.cumsum(z, 0), lambda z: z[::-1], lambda z: z.sum(0),
       lambda z: mx.prod(z, 1), lambda z: mx.linalg.solve(z, z.T), lambda z: mx.concatenate([z, z]), lambda z: z[mx.array([1, 1])]]
h = 1e-6
for k, f in enumerate(ops):
    if k == 12:
        continue
    g = n.asnd(mx.grad(loss(f))(x))
    assert str(g.dtype) == "complex128", (k, g.dtype)
    worst = 0.0
    for i in range(2):
        for j in range(2):
            for part in (1.0, 1j):
                d = np.zeros((2, 2), dtype=complex)
                d[i, j] = part * h
                up = n.asnd(loss(f)(n.asmx(n.asnd(x) + d))).item()
                down = n.asnd(loss(f)(n.asmx(n.asnd(x) - d))).item()
                slope = (up - down) / (2 * h)
                have = g[i, j].real.item() if part == 1.0 else g[i, j].imag.item()
                worst = max(worst, abs(slope - have))
    assert worst < 1e-7, (k, worst)
    c = mx.compile(f)
    a, b = n.asnd(f(x)), n.asnd(c(x))
    c(x)
    assert a.dtype == b.dtype and np.abs(a - b).max() < 1e-14 and np.abs(a - n.asnd(c(x))).max() < 1e-14, k
v = n.asnd(mx.vmap(lambda z: mx.exp(z) * z.sum())(x))
w = n.asnd(x)
assert str(v.dtype) == "complex128" and np.abs(v - np.exp(w) * w.sum(1, keepdims=True)).max() < 1e-14
p, t = mx.jvp(lambda z: mx.exp(z), [x], [x])
assert np.abs(n.asnd(t[0]) - np.exp(w) * w).max() < 1e-14
print("ok")
""")
    assert done.out == "ok\n", done.err
