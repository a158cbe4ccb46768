import sys
import time

t0 = time.perf_counter()

def run(n):
    count = 0
    for py in range(n):
        y0 = 2.0 * py / n - 1.0
        for px in range(n):
            x0 = 3.0 * px / n - 2.0
            x = 0.0
            y = 0.0
            i = 0
            while i < 50 and x * x + y * y <= 4.0:
                x, y = x * x - y * y + x0, 2.0 * x * y + y0
                i += 1
            count += i
    return count


print(run(160))

sys.stderr.write("inner %.6f\n" % (time.perf_counter() - t0))
