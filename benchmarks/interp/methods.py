import sys
import time

t0 = time.perf_counter()

class Vec:
    def __init__(self, x, y):
        self.x = x
        self.y = y

    def dot(self, other):
        return self.x * other.x + self.y * other.y

    def shift(self, d):
        self.x += d
        self.y -= d


def run(n):
    a = Vec(1, 2)
    b = Vec(3, 4)
    s = 0
    for i in range(n):
        s += a.dot(b)
        a.shift(1)
        s &= 0xFFFFFF
    return s


print(run(300000))

sys.stderr.write("inner %.6f\n" % (time.perf_counter() - t0))
