import sys
import time

t0 = time.perf_counter()

class Item:
    def __init__(self, name, price):
        self.name = name
        self.price = price

    def __lt__(self, other):
        return self.price < other.price


def run(n):
    x = 42
    items = []
    rows = []
    for i in range(n):
        x = (x * 1103515245 + 12345) % 2147483648
        items.append(Item("n%d" % (x % 5000), x % 1000))
        rows.append({"id": i, "group": "g%d" % (x % 50), "value": x / 7.0})
    a = sorted(items, key=lambda t: (t.price, t.name))
    b = sorted(items)
    c = sorted(rows, key=lambda r: r["value"], reverse=True)
    groups = {}
    for r in rows:
        groups.setdefault(r["group"], []).append(r["value"])
    d = sorted(groups.items(), key=lambda kv: -len(kv[1]))
    e = min(rows, key=lambda r: r["value"])
    return a[5].name, b[7].price, c[3]["id"], d[0][0], e["id"]


print(run(20000))

sys.stderr.write("inner %.6f\n" % (time.perf_counter() - t0))
