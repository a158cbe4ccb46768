import sys
import time

t0 = time.perf_counter()

def fib(n):
    if n < 2:
        return n
    return fib(n - 1) + fib(n - 2)


print(fib(27))

sys.stderr.write("inner %.6f\n" % (time.perf_counter() - t0))
