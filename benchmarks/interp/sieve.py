import sys
import time

t0 = time.perf_counter()

def sieve(n):
    flags = [True] * (n + 1)
    flags[0] = flags[1] = False
    i = 2
    while i * i <= n:
        if flags[i]:
            for j in range(i * i, n + 1, i):
                flags[j] = False
        i += 1
    count = 0
    for f in flags:
        if f:
            count += 1
    return count


print(sieve(1000000))

sys.stderr.write("inner %.6f\n" % (time.perf_counter() - t0))
