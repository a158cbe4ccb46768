import sys
import time

t0 = time.perf_counter()

def matmul(a, b):
    n = len(a)
    m = len(b[0])
    k = len(b)
    out = [[0.0] * m for _ in range(n)]
    for i in range(n):
        row = a[i]
        o = out[i]
        for j in range(m):
            s = 0.0
            for p in range(k):
                s += row[p] * b[p][j]
            o[j] = s
    return out


n = 110
a = [[(i * j % 7) + 0.5 for j in range(n)] for i in range(n)]
b = [[(i + j) % 5 - 1.25 for j in range(n)] for i in range(n)]
c = matmul(a, b)
print(sum(map(sum, c)))

sys.stderr.write("inner %.6f\n" % (time.perf_counter() - t0))
