import sys
import time

t0 = time.perf_counter()

class Node:
    def __init__(self, value, left, right):
        self.value = value
        self.left = left
        self.right = right

    def total(self):
        s = self.value
        if self.left is not None:
            s += self.left.total()
        if self.right is not None:
            s += self.right.total()
        return s


def build(depth):
    if depth == 0:
        return Node(1, None, None)
    return Node(depth, build(depth - 1), build(depth - 1))


s = 0
for _ in range(6):
    s += build(13).total()
print(s)

sys.stderr.write("inner %.6f\n" % (time.perf_counter() - t0))
