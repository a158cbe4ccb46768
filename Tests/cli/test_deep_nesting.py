"""Values nested 100,000 deep, met by everything that walks them: an error at worst, even on the small stack of a thread."""

PROGRAM = """
import collections, copy, functools, itertools, json, threading
N = 100000


def nest(f, x, n=N):
    for _ in range(n):
        x = f(x)
    return x


def t(name, f):
    print(name, end=" ", flush=True)
    try:
        f()
        print("ok")
    except Exception as e:
        print(type(e).__name__)


class C:
    def __init__(self, v): self.v = v
    def __len__(self): return len(self.v)
    def __iter__(self): return iter(self.v)
    def __eq__(self, o): return self.v == o.v
    def __hash__(self): return hash(self.v)


def chained():
    e = None
    for _ in range(N):
        n = ValueError("x")
        n.__cause__ = e
        e = n
    raise e


def handled():
    try:
        1 / 0
    except nest(lambda x: (x,), int):
        pass


def main():
    pairs = nest(lambda x: (x,), int)
    lists = nest(lambda x: [x], 1)
    dicts = nest(lambda x: {"a": x}, 1)
    alias = nest(lambda x: list[x], int)
    error = nest(lambda x: ValueError(x), 1)
    loop = []
    loop.append(loop)
    t('isinstance tuple', lambda: isinstance(1.5, pairs))
    t('issubclass tuple', lambda: issubclass(float, pairs))
    t('hash tuple', lambda: hash(pairs))
    t('hash alias', lambda: hash(alias))
    t('eq alias', lambda: alias == nest(lambda x: list[x], int))
    t('eq tuple', lambda: pairs == nest(lambda x: (x,), int))
    t('lt list', lambda: lists < nest(lambda x: [x], 1))
    t('json', lambda: json.dumps(lists))
    t('json dict', lambda: json.dumps(dicts))
    t('json loads', lambda: json.loads('[' * N))
    t('json loads2', lambda: json.loads('{"a":' * N))
    t('deepcopy', lambda: copy.deepcopy(lists))
    t('repr alias', lambda: repr(alias))
    t('repr tuple', lambda: repr(pairs))
    t('str', lambda: str(dicts))
    t('percent', lambda: '%r' % (lists,))
    t('partial', lambda: nest(lambda x: functools.partial(x), int)())
    t('repr partial', lambda: repr(nest(lambda x: functools.partial(x), int)))
    t('chain', lambda: list(nest(lambda x: itertools.chain(x), [1])))
    t('map', lambda: list(nest(lambda x: map(abs, x), [1])))
    t('zip', lambda: list(nest(lambda x: zip(x), [1])))
    t('enumerate', lambda: next(nest(lambda x: enumerate(x), [1])))
    t('filter', lambda: list(nest(lambda x: filter(None, x), [1])))
    t('islice', lambda: list(nest(lambda x: itertools.islice(x, 5), [1])))
    t('reversed', lambda: list(nest(lambda x: iter(x), [1])))
    t('gen', lambda: list(nest(lambda x: (y for y in x), [1])))
    t('startswith', lambda: 'a'.startswith(pairs))
    t('repr exc', lambda: repr(error))
    t('str exc', lambda: str(error))
    t('raise chained', chained)
    t('set', lambda: {pairs})
    t('dict eq', lambda: dicts == nest(lambda x: {'a': x}, 1))
    t('sorted', lambda: sorted([lists, nest(lambda x: [x], 1)]))
    t('bound', lambda: repr(nest(lambda x: x.__repr__, 1)))
    t('union', lambda: repr(nest(lambda x: x | list[x] if not isinstance(x, type) else x | None, int, 8)))
    t('deque', lambda: repr(nest(lambda x: collections.deque([x]), 1)))
    t('od', lambda: repr(nest(lambda x: collections.OrderedDict(a=x), 1)))
    t('namedtuple', lambda: hash(nest(collections.namedtuple('P', 'a'), 1)))
    t('sum lists', lambda: sum(lists, []))
    t('getattr chain', lambda: nest(lambda x: type('A', (), {'__getattr__': x}), 1, 1000))
    t('class deep', lambda: nest(lambda x: type('A', (x,), {}), object, 2000))
    t('len', lambda: len(nest(C, [1])))
    t('iter', lambda: iter(nest(C, [1])))
    t('hash C', lambda: hash(nest(C, 1)))
    t('eq C', lambda: nest(C, 1) == nest(C, 1))
    t('contains', lambda: nest(C, 1) in [nest(C, 1)])
    t('except tuple', handled)
    t('match', lambda: [x for x in [lists] if x == lists])
    t('join', lambda: ''.join(nest(lambda x: [x], 'a')))
    t('int', lambda: int(nest(C, 1)))
    t('repr of a list in an alias', lambda: repr(list[lists]))
    t('repr of a list in itself in an alias', lambda: repr(list[loop]))
    t('a range longer than any list', lambda: print(*range(2**63 - 1)))
    t('an unpacked range', lambda: [0, *range(2**63)])


thread = threading.Thread(target=main)
thread.start()
thread.join()
main()
print("end")
"""


def test_deep_nesting_is_an_error_at_worst(lull):
    r = lull("-", stdin=PROGRAM)
    assert r.code == 0, r.out[-300:] + r.err[-300:]
    lines = r.out.splitlines()
    assert lines[-1] == "end"
    found = {line.split()[-1] for line in lines[:-1]}
    # Both outcomes, and no error of another kind than those that the values of the program give.
    assert {"ok", "RecursionError"} <= found
    assert found <= {"ok", "RecursionError", "MemoryError", "TypeError", "ValueError", "JSONDecodeError"}
