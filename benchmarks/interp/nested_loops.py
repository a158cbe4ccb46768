import sys
import time

t0 = time.perf_counter()

def run(n):
    total = 0
    for i in range(n):
        for j in range(n):
            total = (total + i * j) % 1000003
    return total


print(run(1200))

sys.stderr.write("inner %.6f\n" % (time.perf_counter() - t0))
