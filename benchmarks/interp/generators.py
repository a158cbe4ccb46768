import sys
import time

t0 = time.perf_counter()

def numbers(n):
    i = 0
    while i < n:
        yield i
        i += 1


def squares(it):
    for x in it:
        yield x * x


def run(n):
    total = 0
    for v in squares(numbers(n)):
        total += v
    return total + sum(x for x in numbers(n)) + len([x for x in range(n) if x % 3 == 0])


print(run(300000))

sys.stderr.write("inner %.6f\n" % (time.perf_counter() - t0))
