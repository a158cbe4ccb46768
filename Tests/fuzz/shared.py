"""What every random program imports: how it shows values and errors, and a few things to work with."""

import bisect
import collections
import contextlib
import copy
import dataclasses
import functools
import heapq
import io
import itertools
import json
import math
import operator
import random
import re
import statistics
import string
import textwrap
from dataclasses import dataclass, field
from typing import ClassVar

LIMIT = 2000


def told(e):
    try:
        return f"{type(e).__name__}: {e}"
    except Exception as again:
        return f"{type(e).__name__} ({type(again).__name__})"


def cut(text):
    return text if len(text) <= LIMIT else f"{text[:LIMIT]}... {len(text)}"


def show(f, at=0):
    try:
        print(cut(f"@{at} {f()!r}"))
    except Exception as e:
        print(cut(f"@{at} ! {told(e)}"))


def attempt(f, otherwise, at=0):
    try:
        return f()
    except Exception as e:
        print(cut(f"@{at} ? {told(e)}"))
        return otherwise


def failed(e):
    print("failed", cut(told(e)))


def chain(e):
    steps = 0
    while e is not None and steps < 6:
        print("  " * steps + "caught", cut(told(e)), len(e.args), "suppressed" if e.__suppress_context__ else "")
        e = e.__cause__ or e.__context__
        steps += 1


def textof(value):
    return cut(str(value))


class Base:
    kind = "base"

    def __init__(self, *a):
        self.v = a[0] if a else None

    def hello(self):
        return f"hello from {type(self).__name__}"


class Custom(Exception):
    pass


class Detail(ValueError):
    def __init__(self, *args):
        super().__init__(*args)
        self.count = len(args)

    def __str__(self):
        return f"detail {self.count}: {super().__str__()}"


class Manager:
    def __init__(self, name, swallow=(), fail_enter=False, fail_exit=False):
        self.name, self.swallow, self.fail_enter, self.fail_exit = name, swallow, fail_enter, fail_exit

    def __enter__(self):
        print("enter", self.name)
        if self.fail_enter:
            raise RuntimeError("enter fails")
        return self

    def __exit__(self, kind, value, trace):
        print("exit", self.name, kind and kind.__name__, value)
        if self.fail_exit:
            raise RuntimeError("exit fails")
        return kind is not None and issubclass(kind, self.swallow)


@contextlib.contextmanager
def managed(name, swallow=False):
    print("before", name)
    try:
        yield name
    except Exception as e:
        print("inside", told(e))
        if not swallow:
            raise
    finally:
        print("behind", name)


def logged(f):
    @functools.wraps(f)
    def call(*args, **kwargs):
        print("call", f.__name__, args, kwargs)
        return f(*args, **kwargs)
    return call


def tagged(tag, times=1):
    def decorate(f):
        @functools.wraps(f)
        def call(*args, **kwargs):
            return [(tag, f(*args, **kwargs)) for _ in range(times)]
        return call
    return decorate


def sub(n):
    for i in range(n):
        got = yield ("sub", i)
        print("sub got", got)
    return n * 10


CLOSE, NEXT = object(), object()


def drive(g, messages):
    for m in messages:
        try:
            if m is CLOSE:
                print("close", g.close())
            elif m is NEXT:
                print("next", next(g, "end"))
            elif isinstance(m, Exception) or isinstance(m, type):
                print("throw", g.throw(m))
            else:
                print("send", g.send(m))
        except StopIteration as e:
            print("stopped", e.value)
        except Exception as e:
            print("error", told(e))


def setitem(a, i, v):
    a[i] = v


def delitem(a, i):
    del a[i]


def raiser(e):
    raise e


def fill(d, keys):
    for i, k in enumerate(keys):
        d[k].append(i)
    return d


def rotated(d, n):
    d.rotate(n)
    d.appendleft("l")
    return d


def random_stream(seed):
    r = random.Random(seed)
    return [r.random(), r.randint(1, 100), r.choice("abc"), r.sample(range(9), 3), r.uniform(1, 2), r.shuffle([1, 2]), r.gauss(0, 1), r.randrange(0, 9, 2), r.choices([1, 2, 3], k=2), r.getrandbits(70)]


def heaped(v):
    h = []
    for x in v:
        heapq.heappush(h, x)
    return h, [heapq.heappop(h) for _ in range(len(h))], heapq.nlargest(2, v), list(heapq.merge(sorted(v), [1, 2]))


def statistics_of(v):
    return statistics.mean(v), statistics.median(v), statistics.pstdev(v)


def textwrap_of(s):
    return textwrap.dedent("  " + s), textwrap.fill(s * 3, 12), textwrap.indent(s, "> ")


def singles(v):
    @functools.singledispatch
    def f(x):
        return ("other", x)

    @f.register(int)
    def _(x):
        return ("int", x)

    @f.register(list)
    def _(x):
        return ("list", len(x))

    return f(v), f(1), f("s"), f(True)


@functools.total_ordering
class Decimalish:
    def __init__(self, v):
        self.v = v

    def __eq__(self, o):
        return self.v == o.v if isinstance(o, Decimalish) else NotImplemented

    def __lt__(self, o):
        return self.v < o.v if isinstance(o, Decimalish) else NotImplemented

    def __repr__(self):
        return f"Decimalish({self.v}, {self >= Decimalish(5)}, {self <= Decimalish(5)})"
