import sys
import time

t0 = time.perf_counter()

def run():
    text = "the quick brown fox jumps over the lazy dog and runs away from the angry bear"
    words = text.split()
    counts = {}
    for k in range(20000):
        for w in words:
            counts[w] = counts.get(w, 0) + 1
        key = "key%d" % (k % 1000)
        if key in counts:
            counts[key] += 1
        else:
            counts[key] = 1
    return sum(counts.values()), len(counts), counts["the"]


print(run())

sys.stderr.write("inner %.6f\n" % (time.perf_counter() - t0))
