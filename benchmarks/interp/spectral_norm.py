import sys
import time

t0 = time.perf_counter()

def A(i, j):
    return 1.0 / ((i + j) * (i + j + 1) // 2 + i + 1)


def mul_av(v):
    n = len(v)
    return [sum([A(i, j) * v[j] for j in range(n)]) for i in range(n)]


def mul_atv(v):
    n = len(v)
    return [sum([A(j, i) * v[j] for j in range(n)]) for i in range(n)]


u = [1.0] * 100
for _ in range(6):
    v = mul_atv(mul_av(u))
    u = mul_atv(mul_av(v))
vbv = vv = 0.0
for ue, ve in zip(u, v):
    vbv += ue * ve
    vv += ve * ve
print("%.9f" % ((vbv / vv) ** 0.5))

sys.stderr.write("inner %.6f\n" % (time.perf_counter() - t0))
