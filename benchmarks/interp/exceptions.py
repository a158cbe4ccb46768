import sys
import time

t0 = time.perf_counter()

class Missing(Exception):
    def __init__(self, key):
        super().__init__(f"no {key}")
        self.key = key


def find(table, key):
    if key not in table:
        raise Missing(key)
    return table[key]


def run(n):
    table = {i: i * i for i in range(0, 100, 2)}
    found = missing = bad = 0
    for i in range(n):
        try:
            found += find(table, i % 100)
        except Missing as e:
            missing += e.key
        try:
            int("x" if i % 4 == 0 else "7")
        except ValueError:
            bad += 1
        finally:
            bad += 2
        try:
            table[-1]
        except (IndexError, KeyError):
            bad += 1
    return found, missing, bad


print(run(40000))

sys.stderr.write("inner %.6f\n" % (time.perf_counter() - t0))
