"""The value of an expression in double precision, and how far rounding may take it.

Each value is computed SAMPLES times: in float64 as it is (sample 0), rounded to its dtype at every step (1), and rounded
after a step away by the error that a careful implementation of that operation may have (2 on; up, down and at random).
How far the samples lie apart measures how ill-conditioned the expression is at that element, so no operation needs a
tolerance chosen by hand:

- samples that are all finite: the result must lie within SLACK times their spread around sample 0, unless the spread is
  more than half of the largest sample (no digit is left) or the largest number of the dtype is within reach;
- samples that are all NaN, or all the same infinity: the result must be that;
- samples that disagree about that, and integers and bools that differ: rounding decides, so nothing is compared.

An element that has no defined value (a sum whose parts overflow on the way) is another number in each sample, so whatever
depends on it spreads and is not compared either.
"""

import numpy as np

import dtypes

SAMPLES = 8
SLACK = 3.0


class Value:
    """One array of an expression: how the program writes it, its dtype and its samples."""

    def __init__(self, text, dtype, samples):
        self.text, self.dtype, self.samples = text, dtype, samples
        self.ties = None  # of an index: where several elements may be the extreme, and which they are

    @property
    def shape(self):
        return self.samples[0].shape

    @property
    def size(self):
        return self.samples[0].size

    @property
    def kind(self):
        return dtypes.kind(self.dtype)

    @property
    def exact(self):
        """All samples are one array."""
        return all(s is self.samples[0] for s in self.samples)


def _directions(k, shape, rng):
    if k == 2:
        return np.ones(shape)
    if k == 3:
        return -np.ones(shape)
    return rng.uniform(-1, 1, shape)


def _disturbed(raw, dtype, k, ulps, scale, rng):
    """Sample k of a step with the given result, in dtype, when its error may be ulps times scale."""
    if k == 0:
        return raw
    near = dtypes.rounded(raw, dtype)
    if k == 1 or ulps == 0:
        return near
    if scale is None:
        scale = np.abs(raw)
    unit = dtypes.EPSILON[dtype] * ulps * np.maximum(scale, dtypes.TINY[dtype])
    off = unit * _directions(k, raw.shape, rng)
    if dtype == "complex64":
        off = off + 1j * unit * _directions(k + 1, raw.shape, rng)
    away = dtypes.rounded(raw + off, dtype)
    if k == 4:  # zero is special to what follows, and subnormal numbers may become it
        away = np.where(np.abs(raw) <= (unit if ulps <= 0.5 else np.maximum(unit, dtypes.TINY[dtype])), 0, away)
    if ulps <= 0.5:  # correctly rounded: what fits is exact
        away = np.where(near == raw, near, away)
    return np.where(np.isfinite(near), away, near)


def _without_meaning(dtype, k, rng, shape):
    kind = dtypes.kind(dtype)
    if kind in "fc":
        top = 0.9 * dtypes.LARGEST[dtype]
        special = {0: -top, 1: top, 2: np.nan, 3: np.inf, 4: -np.inf, 5: 0.0}
        if k in special:
            return np.full(shape, special[k])
        return rng.choice([-1.0, 1.0], shape) * top ** rng.uniform(0, 1, shape)
    if kind == "b":
        return np.full(shape, k % 2 == 0)
    info = np.iinfo(dtype)
    special = {0: info.min, 1: info.max, 2: 0, 3: 1}
    return np.full(shape, special[k], dtype) if k in special else rng.integers(info.min, info.max, shape, dtype, True)


def finish(raws, dtype, ulps, scales, masks, rng):
    """The samples of a step from its results of each sample of its operands."""
    shared = all(r is raws[0] for r in raws)
    inexact = dtypes.kind(dtype) in "fc"
    if shared and not inexact and masks[0] is None:
        return raws
    if shared and ulps == 0 and masks[0] is None and dtype != "complex64":
        near = dtypes.rounded(raws[0], dtype)
        return [near if np.array_equal(near, raws[0], equal_nan=True) else raws[0]] + [near] * (SAMPLES - 1)
    samples = []
    for k in range(SAMPLES):
        value = _disturbed(raws[k], dtype, k, ulps, scales[k], rng) if inexact else raws[k]
        if masks[k] is not None and masks[k].any():
            value = np.where(masks[k], _without_meaning(dtype, k, rng, value.shape), value).astype(value.dtype)
        samples.append(value)
    if dtype == "complex64":  # what is not finite has many equal forms
        odd = np.zeros(samples[0].shape, bool)
        for s in samples:
            odd |= ~np.isfinite(s)
        if odd.any():
            forms = [complex("nan+nanj"), complex("inf"), complex("-inf"), 1j * np.inf, 0j, -1e9 + 1j, -3j, 1e9 + 0j]
            samples = [np.where(odd, forms[k], s) for k, s in enumerate(samples)]
    return samples


class Verdict:
    """Of a result against the reference: how many elements were compared, and the first that is wrong."""

    def __init__(self, compared, wrong, detail):
        self.compared, self.wrong, self.detail = compared, wrong, detail


def reach(samples, dtype):
    """The middle of a result's range, how far rounding moved it, how far it may lie off, and where all of it is finite."""
    stack = np.stack(samples)
    with np.errstate(all="ignore"):
        finite = np.isfinite(stack).all(axis=0)
        spread = np.where(finite, np.abs(stack - stack[0]).max(axis=0), 0)
        allowed = SLACK * spread + dtypes.EPSILON[dtype] * np.abs(stack).max(axis=0) + 2 * dtypes.TINY[dtype]
    return stack[0], spread, allowed, finite


def judge_ties(result, ties):
    """Of indices of extremes that rounding decides: one of the elements that may be the extreme must have been taken."""
    rows, choices = ties
    index = result.reshape(rows.shape).astype(np.int64)
    inside = index < choices.shape[-1]
    taken = np.take_along_axis(choices, np.where(inside, index, 0)[..., None], -1)[..., 0]
    bad = rows & ~(inside & taken)
    return Verdict(int(rows.sum()), int(bad.sum()), f"index {index[bad][0]} is no extreme" if bad.any() else "")


def judge(result, samples, dtype):
    stack = np.stack(samples) if samples[0].size else np.zeros((SAMPLES,) + samples[0].shape)
    if result.size == 0:
        return Verdict(0, 0, "")
    if dtypes.kind(dtype) not in "fc":
        stable = (stack == stack[0]).all(axis=0)
        bad = stable & (result != stack[0])
    else:
        with np.errstate(all="ignore"):
            center, spread, allowed, all_finite = reach(samples, dtype)
            size = np.abs(stack).max(axis=0)
            if dtype == "complex64":
                same = np.zeros(center.shape, bool)
            else:
                same = np.isnan(stack).all(axis=0) | (np.isinf(stack) & (stack == stack[0])).all(axis=0)
            all_finite &= size + allowed < dtypes.LARGEST[dtype]
            all_finite &= 2 * spread <= size
            stable = all_finite | same
            bad = all_finite & ~(np.abs(result - center) <= allowed)
            if dtype != "complex64":
                bad |= same & ~((np.isnan(result) & np.isnan(stack[0])) | (result == stack[0]))
    wrong = int(bad.sum())
    detail = ""
    if wrong:
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        detail = f"at {at}: {result[at]!r}, reference {[s[at] for s in samples[:4]]}"
    return Verdict(int(stable.sum()), wrong, detail)
