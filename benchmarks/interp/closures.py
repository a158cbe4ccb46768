import sys
import time

t0 = time.perf_counter()

def counter(step):
    count = 0

    def add(x):
        nonlocal count
        count += x * step
        return count

    return add


def run():
    fs = [counter(k) for k in range(10)]
    last = 0
    for i in range(60000):
        for f in fs:
            last = f(i & 7)
    return last


print(run())

sys.stderr.write("inner %.6f\n" % (time.perf_counter() - t0))
