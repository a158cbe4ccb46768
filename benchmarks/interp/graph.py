import sys
import time
from collections import deque, defaultdict, Counter
import heapq

t0 = time.perf_counter()

def run(n):
    edges = defaultdict(list)
    x = 7
    for i in range(n):
        for _ in range(4):
            x = (x * 1103515245 + 12345) % 2147483648
            edges[i].append((x % n, x % 17 + 1))
    seen = {0}
    queue = deque([0])
    order = []
    while queue:
        u = queue.popleft()
        order.append(u)
        for v, _ in edges[u]:
            if v not in seen:
                seen.add(v)
                queue.append(v)
    best = {0: 0}
    heap = [(0, 0)]
    while heap:
        d, u = heapq.heappop(heap)
        if d > best[u]:
            continue
        for v, w in edges[u]:
            if d + w < best.get(v, 1 << 60):
                best[v] = d + w
                heapq.heappush(heap, (d + w, v))
    degree = Counter(v for u in edges for v, _ in edges[u])
    return len(order), sum(best.values()), degree.most_common(1)[0][1]


print(run(6000))

sys.stderr.write("inner %.6f\n" % (time.perf_counter() - t0))
