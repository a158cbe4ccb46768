import sys
import time

t0 = time.perf_counter()

def run(n):
    total = 0
    for k in range(n):
        a = [x * x for x in range(50)]
        b = [x for x in a if x % 2 == 0]
        d = {x: y for x, y in zip(range(30), a)}
        s = {x % 7 for x in a}
        e = {str(x): [x, x + 1] for x in b[:10]}
        total += len(b) + sum(d.values()) + len(s) + sum(len(v) for v in e.values())
        pairs = [(i, j) for i in range(8) for j in range(i)]
        total += sum(i * j for i, j in pairs) + max(v for v in d.values())
    return total


print(run(2500))

sys.stderr.write("inner %.6f\n" % (time.perf_counter() - t0))
