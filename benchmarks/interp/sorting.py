import sys
import time

t0 = time.perf_counter()

def run():
    x = 12345
    a = []
    for i in range(100000):
        x = (x * 1103515245 + 12345) % 2147483648
        a.append(x)
    b = sorted(a)
    c = sorted(a, key=lambda v: -v)
    d = [(v % 100, v) for v in a]
    d.sort()
    e = sorted([str(v) for v in a])
    return b[500], c[500], d[500], e[500]


print(run())

sys.stderr.write("inner %.6f\n" % (time.perf_counter() - t0))
