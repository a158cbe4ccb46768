import sys
import time

t0 = time.perf_counter()

def run(n):
    total = 0
    for i in range(n):
        x = i * 0.37
        a = f"{i:>6}|{x:8.3f}|{i:04x}|{'ab':<5}|{x!r}"
        b = "%5d %s %.2f %-8s" % (i, x, x, "name")
        c = "{}:{:>8}:{:.1e}".format(i, "pq", x)
        total += len(a) + len(b) + len(c)
    return total


print(run(30000))

sys.stderr.write("inner %.6f\n" % (time.perf_counter() - t0))
