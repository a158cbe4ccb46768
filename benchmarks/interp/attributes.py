import sys
import time

t0 = time.perf_counter()

class Shape:
    count = 0

    def __init__(self, name):
        self.name = name
        self._scale = 1
        Shape.count += 1

    @property
    def scale(self):
        return self._scale

    @scale.setter
    def scale(self, v):
        self._scale = v

    @staticmethod
    def clamp(x):
        return x if x < 1000 else 1000

    @classmethod
    def made(cls):
        return cls.count

    def area(self):
        return 0

    def grown(self):
        return self.area() * self.scale


class Box(Shape):
    def __init__(self, name, w, h):
        super().__init__(name)
        self.w = w
        self.h = h

    def area(self):
        return self.w * self.h

    def __eq__(self, other):
        return self.w == other.w and self.h == other.h

    def __lt__(self, other):
        return self.area() < other.area()

    def __add__(self, other):
        return Box(self.name, self.w + other.w, self.h + other.h)

    def __len__(self):
        return self.w

    def __getitem__(self, i):
        return self.w + i


def run(n):
    a = Box("a", 2, 3)
    b = Box("b", 3, 4)
    total = 0
    for i in range(n):
        c = a + b
        c.scale = i & 3
        total += c.grown() + Shape.clamp(i) + len(c) + c[i & 7]
        if a < b and not a == c:
            total += Box.made()
        a.w = (a.w + 1) % 10
        if isinstance(c, Shape) and hasattr(c, "w"):
            total += getattr(c, "h")
    return total


print(run(40000))

sys.stderr.write("inner %.6f\n" % (time.perf_counter() - t0))
