import sys
import time

t0 = time.perf_counter()

def run():
    parts = []
    for i in range(60000):
        parts.append(f"item {i}: {i * 2}")
    s = ", ".join(parts)
    t = ""
    for i in range(60000):
        t += "x" + str(i)
    u = s.upper().replace("ITEM", "thing")
    return len(s), len(t), u.count("thing"), len(s.split(", "))


print(run())

sys.stderr.write("inner %.6f\n" % (time.perf_counter() - t0))
