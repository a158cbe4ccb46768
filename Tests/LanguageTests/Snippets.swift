/// Programs that change containers from inside their own operations; seeds of the fuzz test.
let reentrantSnippets: [String] = [
  """
  a = [3, 1, 2]
  def key(x):
      a.append(x); a.clear(); return -x
  try: a.sort(key=key)
  except ValueError as e: print(e)
  print(a)
  """,
  """
  class K:
      def __init__(self, n): self.n = n
      def __hash__(self): return 1
      def __eq__(self, o):
          d.clear(); s.clear()
          return self.n == o.n
  d = {}
  s = set()
  for i in range(5):
      d[K(i)] = i
      s.add(K(i))
  print(len(d), K(3) in d, K(4) in s, d.get(K(1)), d.pop(K(2), None), d.setdefault(K(1), 2))
  """,
  """
  class E:
      def __eq__(self, o):
          a[:] = []
          return False
  a = [E() for _ in range(5)]
  print(a.count(1), 3 in a, a == [1, 2, 3, 4, 5])
  a = [E() for _ in range(5)]
  try: a.remove(7)
  except ValueError as e: print(e)
  try: a.index(7)
  except ValueError as e: print(e)
  """,
  """
  class L:
      def __lt__(self, o):
          a.clear()
          return True
      def __repr__(self):
          a.clear(); d.clear()
          return 'L'
  a = [L() for _ in range(6)]
  try: a.sort()
  except ValueError as e: print(e)
  a = [L() for _ in range(6)]
  d = {i: L() for i in range(6)}
  print(a, d)
  print(min([L(), L()]), max([L(), L()]))
  """,
  """
  a = [1, 2, 3]
  a.extend(a); a += a; a[1:2] = a; a[::2] = a[::2]; a[:] = a; a *= 2
  a.extend(x for x in a[:3]); a[len(a):] = (x for x in a)
  print(a)
  d = {1: 2}; d.update(d); print(d | d)
  s = {1, 2}; s |= s; s -= s; s ^= s; print(s)
  """,
  """
  def g():
      try:
          while True:
              x = yield len(a)
              a.append(x)
              next(it)
      except ValueError as e: print(e)
      finally: a.clear()
  a = []
  it = g()
  print(next(it))
  try: print(it.send(3))
  except StopIteration: print('stop')
  it.close()
  """,
  """
  d = {i: i for i in range(9)}
  try:
      for k in d:
          d[k + 100] = 1
          del d[k]
  except RuntimeError as e: print(e)
  a = list(range(9))
  for x in a:
      a.remove(x)
      a.insert(0, a)
      if len(a) > 12: break
  print(len(a))
  for k, v in list(d.items()): d.pop(k)
  it = iter(d); d[1] = 2
  try: next(it)
  except (RuntimeError, StopIteration) as e: print(type(e))
  """,
  """
  class I:
      def __index__(self):
          a.clear()
          return 2
      def __len__(self): return 3
      def __iter__(self):
          a.clear()
          return iter([1, 2, 3])
      def __getitem__(self, i):
          if i > 3: raise IndexError
          return i
      def __bool__(self): a.clear(); return True
      def __contains__(self, x): a.clear(); return x
  a = list(range(10))
  try: print(a[I()])
  except IndexError as e: print(e)
  a = list(range(10))
  print(a[I():], a[:I()])
  a = list(range(10))
  a[I():5] = I()
  print(a)
  a = list(range(10))
  try: a.insert(I(), 3); a.pop(I())
  except IndexError as e: print(e)
  a = list(range(10))
  try: a[I()] = I(); del a[I()]
  except IndexError as e: print(e)
  print([*a, *I()], (*I(),), {*I()}, list(zip(a, I())), 5 in I())
  """,
  """
  def f(n): return f(n + 1)
  try: f(0)
  except RecursionError as e: print(e)
  class R:
      def __repr__(self): return repr(self)
      def __eq__(self, o): return self == o
      def __hash__(self): return hash(self)
      def __add__(self, o): return self + o
      def __getattr__(self, n): return getattr(self, n)
      def __len__(self): return len(self)
      def __iter__(self): return iter(self)
      def __call__(self): return self()
      def __lt__(self, o): return self < o
      def __contains__(self, o): return o in self
      def __str__(self): return str(self)
      def __format__(self, s): return format(self, s)
      def __bool__(self): return bool(self)
      def __getitem__(self, i): return self[i]
      def __enter__(self): 
          with self: pass
  r = R()
  for g in [lambda: repr(r), lambda: r == 1, lambda: {r: 1}, lambda: r + 1, lambda: r.x,
            lambda: len(r), lambda: list(r), lambda: r(), lambda: sorted([r, r]), lambda: 1 in r,
            lambda: str(r), lambda: f'{r:5}', lambda: not r, lambda: r[0], lambda: r.__enter__()]:
      try: g()
      except RecursionError as e: print('deep')
  """,
  """
  a = []
  for _ in range(100000): a = [a]
  try: repr(a)
  except RecursionError as e: print('deep')
  b = []
  for _ in range(100000): b = [b]
  try: a == b
  except RecursionError as e: print('deep')
  t = ()
  for _ in range(100000): t = (t,)
  try: hash(t)
  except RecursionError as e: print('deep')
  del a, b, t
  a = []; a.append(a); print(a)
  d = {}; d[1] = d; print(d)
  """,
  """
  class D:
      def __get__(self, o, t=None): return lambda *a: (o, a)
      def __set__(self, o, v): o.__dict__['v'] = v
  class C:
      d = D()
      @property
      def p(self): return self.q
      @p.setter
      def p(self, v): del C.p
      def __setattr__(self, n, v): object.__setattr__(self, n + '_', v)
      def __getattribute__(self, n): return object.__getattribute__(self, n)
  c = C()
  c.d = 5; c.x = 3
  print(c.x_, c.d(1)[1])
  try: c.p
  except AttributeError as e: print(e)
  C.__init__ = lambda self: None
  C.y = 4
  print(C().y, vars(c))
  del C.y
  """,
  """
  import itertools, functools, collections
  print(list(itertools.chain([1], (2,), {3})), list(itertools.islice(itertools.count(), 5)))
  print(functools.reduce(lambda a, b: a + b, [1, 2, 3]), list(itertools.product('ab', repeat=2)))
  c = collections.Counter('abca'); print(c.most_common(), c['z'])
  dq = collections.deque([1, 2, 3], maxlen=2); dq.appendleft(0); print(list(dq))
  dd = collections.defaultdict(list); dd[1].append(2); print(dict(dd))
  P = collections.namedtuple('P', 'x y'); p = P(1, 2); print(p, p._replace(x=3), p.x + p.y)
  """,
  """
  try:
      try: raise ValueError('a', 1)
      finally:
          try: {}[1]
          except KeyError as e: raise TypeError('b') from e
  except TypeError as e:
      print(e, repr(e.__cause__), repr(e.__context__), e.__suppress_context__)
      e.__context__ = e
  def f():
      for i in range(3):
          try: continue
          finally:
              if i == 2: return i
      while True:
          try: break
          finally: pass
  print(f())
  class X(Exception):
      def __init__(self, a): self.a = a
      def __str__(self): raise X(2)
  try: raise X(1)
  except X as e:
      try: print(e)
      except X as g: print(g.a)
  """,
  """
  s = 'héllo wörld'
  print(s[1], s[-1], s[::-1], s.find('w'), s.split(), s.center(20, '*'), s.encode(), s * 3)
  print('%5.2f|%-5s|%05d' % (3.14159, 'ab', 42), '{:>{}}'.format('x', 5), f'{s!r:>20}')
  print(s.partition(' '), s.replace('l', 'LL', 1), s.translate({104: 'H'}), s.title(), s.zfill(20))
  print('a,b,,c'.split(','), 'abc'.join(['1', '2']), 'x'.isdigit(), ord('é'), chr(0x1F600))
  print(int('ff', 16), float('1e5'), bytes([1, 2, 255]), b'abc'[1], 'abc' < 'abd', '\\N{BULLET}')
  print(hex(-255), bin(10), oct(8), round(2.5), round(-1234, -2), divmod(-7, 2), pow(3, -1, 7))
  """,
  """
  def outer():
      x = 1
      def inner():
          nonlocal x
          x += 1
          return [x + y for y in range(3) if (z := y) or z]
      return inner, lambda: x
  f, g = outer()
  print(f(), g(), *f(), **{})
  def h(a, /, b=2, *c, d, e=5, **k): return (a, b, c, d, e, k)
  print(h(1, d=4), h(1, 2, 3, d=4, z=5), h(*[1, 2], **{'d': 1}))
  a, *b, c = range(5); (x, y), z = (1, 2), 3
  print(a, b, c, x, y, z)
  with open_(3) if False else __import__('contextlib').suppress(Exception) as q: 1 / 0
  """,
]
